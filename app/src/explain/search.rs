//! One way through the command log that watches the orders that are asked for.

use std::collections::BTreeSet;

use anyhow::Result;
use engine::Engine;
use protocol::command::{NewOrder, NewOrderWithTerms, OrderRequest, OrderTerms};
use protocol::event::{CommandRefused, OrderListAccepted};
use protocol::*;

use super::checks::{Asked, asked, checks};
use super::facts::Facts;
use super::life::{At, Doing, Entry, Life, List, Scene};
use super::values::Refused;
use super::why::why;
use super::{NoSuchOrder, Told, Wanted};
use crate::offline::{Beginning, Commands, Folder};
use crate::progress::Progress;

/// Orders and refused commands of one client order id that are told; the newest are.
const LIVES_MAX: usize = 100;

pub(super) struct Search {
    wanted: Wanted,
    /// Orders that get the wanted client order id later.
    also: BTreeSet<OrderId>,
    /// Orders that got it and were not watched.
    renamed: BTreeSet<OrderId>,
    engine: Engine,
    facts: Facts,
    /// Of one command.
    events: Vec<Event>,
    /// The first and the last order that came into being on the way.
    orders: Option<(OrderId, OrderId)>,
    /// The last command before the first that was looked at.
    after: u64,
    lives: Vec<Life>,
    older: u64,
}

/// What an account has locked of the assets of an instrument, before a command.
#[derive(Debug, Clone, Copy)]
struct Locked {
    assets: [(AssetId, Amount); 2],
}

impl Search {
    pub(super) fn run(
        folder: &Folder,
        begin: Beginning,
        wanted: Wanted,
        also: BTreeSet<OrderId>,
        progress: &mut Progress,
    ) -> Result<Search> {
        let mut commands = Commands::of(folder, begin.facts.commands_position)?;
        let mut search = Search {
            wanted,
            also,
            renamed: BTreeSet::new(),
            facts: Facts::of(&begin.engine),
            engine: begin.engine,
            events: Vec::new(),
            orders: None,
            after: begin.facts.sequence,
            lives: Vec::new(),
            older: 0,
        };
        let see = |search: &mut Search, input: &Sequenced<'_>| {
            if !search.is_over() {
                search.apply(input);
            }
            Ok(())
        };
        while !search.is_over() && commands.next_frame(|input| see(&mut search, input))? {
            let (done, all) = commands.progress();
            progress.show(done, all, search.engine.last_sequence().0);
        }
        search.finish();
        Ok(search)
    }

    /// Nothing that is still to come can matter: the order's life is over, or it began before.
    fn is_over(&self) -> bool {
        let Wanted::Order(id) = self.wanted else { return false };
        let is_told = self.lives.first().is_some_and(|life| !life.is_open());
        is_told || self.orders.is_some_and(|(first, _)| first > id)
    }

    /// Did the wanted order come into being before this began, as far as can be known?
    pub(super) fn is_too_late(&self) -> bool {
        let Wanted::Order(id) = self.wanted else { return false };
        self.lives.is_empty() && self.orders.is_none_or(|(first, _)| first > id)
    }

    pub(super) fn take_renamed(&mut self) -> BTreeSet<OrderId> {
        std::mem::take(&mut self.renamed)
    }

    /// What was found; else why there is nothing.
    pub(super) fn told(self, wanted: &str) -> Result<Told> {
        let up_to = At { sequence: self.engine.last_sequence(), stamp: self.engine.now() };
        if !self.lives.is_empty() {
            let Search { lives, older, after, .. } = self;
            return Ok(Told { wanted: wanted.to_owned(), lives, older, after, up_to });
        }
        let looked = match self.after {
            0 => format!("up to command {}", up_to.sequence),
            after => format!("in commands {} to {}, all that is kept", after + 1, up_to.sequence),
        };
        let why = match (self.wanted, self.orders) {
            (Wanted::Order(id), Some((first, _))) if first > id => {
                format!("order #{id} is older than the log that is kept: its first is #{first}")
            }
            (Wanted::Order(id), Some((_, last))) => {
                format!("there is no order #{id} {looked}; the last one is #{last}")
            }
            (Wanted::Order(id), None) => format!("there is no order #{id} {looked}"),
            (Wanted::Named(name), _) => {
                format!("no order ever had the client order id {name} {looked}")
            }
        };
        Err(NoSuchOrder(why).into())
    }

    fn apply(&mut self, input: &Sequenced<'_>) {
        let locked = self.locked_before(input.command);
        self.events.clear();
        self.engine.apply(input, &mut self.events);
        for event in &self.events {
            self.facts.see(event, input.stamp);
        }
        let at = At { sequence: input.sequence, stamp: input.stamp };
        let begun = self.begin_lives(at, input.command, locked);
        let scene = Scene {
            at,
            command: input.command,
            events: &self.events,
            engine: &self.engine,
            facts: &self.facts,
        };
        self.lives.extend(begun);
        for life in &mut self.lives {
            life.see(&scene);
        }
        let surplus = self.lives.len().saturating_sub(LIVES_MAX);
        self.lives.drain(..surplus);
        self.older += surplus as u64;
        self.see_renamed();
    }

    fn finish(&mut self) {
        for life in &mut self.lives {
            if life.is_open() {
                life.finish(&self.engine, &self.facts);
            }
            life.why = why(life, &self.facts);
        }
    }

    fn wants(&self, order: OrderId, request: &OrderRequest) -> bool {
        match self.wanted {
            Wanted::Order(id) => order == id,
            Wanted::Named(name) => request.client_order_id == name || self.also.contains(&order),
        }
    }

    fn see_renamed(&mut self) {
        let Wanted::Named(name) = self.wanted else { return };
        for event in &self.events {
            if let Event::OrderAmended(it) = event
                && it.client_order_id == name
                && it.client_order_id_before != name
                && !self.also.contains(&it.order)
                && !self.lives.iter().any(|life| life.order == it.order)
            {
                self.renamed.insert(it.order);
                if self.renamed.len() > LIVES_MAX {
                    self.renamed.pop_first();
                }
            }
        }
    }

    /// What the owner of the orders that a command asks for has locked.
    fn locked_before(&self, command: &Command) -> Option<Locked> {
        let (account, instrument) = match command {
            Command::NewOrder(it) => (it.request.account, it.request.instrument),
            Command::NewOrderWithTerms(it) => (it.request.account, it.request.instrument),
            Command::CancelReplace(it) => (it.request.account, it.request.instrument),
            Command::NewOrderList(it) => (it.account, it.instrument),
            _ => return None,
        };
        let assets = [Side::Buy, Side::Sell].map(|side| {
            let asset = self.facts.paying(instrument, side);
            (asset, self.engine.balance(account, asset).1)
        });
        Some(Locked { assets })
    }

    /// The lives that begin with a command.
    fn begin_lives(&mut self, at: At, command: &Command, locked: Option<Locked>) -> Vec<Life> {
        let mut begun = Vec::new();
        let (mut list, mut refused) = (None, None);
        for (place, event) in self.events.iter().enumerate() {
            let (order, request, terms) = match event {
                Event::OrderAccepted(it) => (it.order, &it.request, &OrderTerms::NONE),
                Event::OrderAcceptedWithTerms(it) => (it.order, &it.request, &it.terms),
                Event::OrderListAccepted(it) => {
                    list = Some(*it);
                    continue;
                }
                Event::CommandRefused(it) => {
                    refused = Some(*it);
                    continue;
                }
                _ => continue,
            };
            let first = self.orders.map_or(order, |(first, _)| first);
            self.orders = Some((first, order));
            if self.wants(order, request) {
                let mut life = self.life(order, at, command, request, terms);
                life.checks = checks(command, None, &self.facts);
                life.list = list.and_then(|list| list_of(&list, order));
                life.hold = locked.and_then(|locked| self.hold(place, request, locked));
                life.cancel_failed(refused, at);
                begun.push(life);
            }
        }
        if begun.is_empty() {
            begun.extend(self.refused_or_tested(at, command, refused));
        }
        begun
    }

    fn life(
        &self,
        order: OrderId,
        at: At,
        command: &Command,
        request: &OrderRequest,
        terms: &OrderTerms,
    ) -> Life {
        let headline = headline(request, terms, &self.facts);
        let kind = Command::kind_name(command.kind()).unwrap_or("command");
        let words = self.facts.story.command_line(command);
        let entry = Entry { at, command: kind, words, envelope: *command.envelope() };
        let mut life = Life::new(order, entry, request, terms, &self.facts);
        life.headline = headline;
        life
    }

    /// Commands with the wanted client order id that never made an order.
    fn refused_or_tested(
        &self,
        at: At,
        command: &Command,
        refused: Option<CommandRefused>,
    ) -> Option<Life> {
        let Wanted::Named(name) = self.wanted else { return None };
        let tests = self.events.iter().any(|event| matches!(event, Event::OrderTested(_)));
        if refused.is_none() && !tests {
            return None;
        }
        let orders = asked(command);
        let asked = orders.iter().find(|asked| asked.request.client_order_id == name)?;
        let mut life = self.life(OrderId::NONE, at, command, &asked.request, &asked.terms);
        life.doing = if tests { Doing::Tested } else { Doing::Refused };
        let failed = refused.filter(|_| !tests).map(|it| (it.part, it.reason));
        life.checks = checks(command, failed, &self.facts);
        self.add_values(&mut life, asked, command.envelope());
        Some(life)
    }

    fn add_values(&self, life: &mut Life, asked: &Asked, envelope: &Envelope) {
        let (engine, facts) = (&self.engine, &self.facts);
        if let Some(failed) = &mut life.checks.failed {
            let refused = Refused { asked, envelope, engine, facts };
            failed.values = refused.values(failed.reason);
        }
    }

    /// What its owner locked for it: the first change of the balance after its acceptance.
    fn hold(
        &self,
        place: usize,
        request: &OrderRequest,
        locked: Locked,
    ) -> Option<(Amount, String)> {
        let asset = self.facts.paying(request.instrument, request.side);
        let of_asset = |event: &Event| match event {
            Event::BalanceChanged(it) if (it.account, it.asset) == (request.account, asset) => {
                Some(it.locked)
            }
            _ => None,
        };
        // The cancel of a cancel-replace comes first.
        let (earlier, later) = self.events.split_at(place);
        let released = earlier.iter().rev().find_map(of_asset);
        let before = locked.assets.iter().find(|(of, _)| *of == asset)?.1;
        let mut until_trade = later.iter().take_while(|it| !matches!(it, Event::Trade(_)));
        let held = until_trade.find_map(of_asset)? - released.unwrap_or(before);
        (held > Amount::ZERO).then(|| (held, self.facts.asset(asset)))
    }
}

/// The request and its terms in the words of stories.
fn headline(request: &OrderRequest, terms: &OrderTerms, facts: &Facts) -> String {
    let (envelope, request, terms) = (Envelope::INTERNAL, *request, *terms);
    let command = match terms == OrderTerms::NONE {
        true => NewOrder { envelope, request, dry_run: false }.into(),
        false => NewOrderWithTerms { envelope, request, terms, dry_run: false }.into(),
    };
    facts.story.command_line(&command)
}

/// The list of an order, if it is of this one.
fn list_of(list: &OrderListAccepted, order: OrderId) -> Option<List> {
    let orders = list.orders.iter().copied().filter(|it| *it != OrderId::NONE);
    let others = orders.clone().filter(|it| *it != order).collect();
    let is_of_it = orders.into_iter().any(|it| it == order);
    is_of_it.then_some(List { id: list.list, kind: list.kind, others })
}
