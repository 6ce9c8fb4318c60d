//! The life of one order: a fold over the events of each command and the engine after it. It says
//! what happened, step by step; why the order was not filled is `why`'s business.

use std::collections::BTreeMap;

use engine::{Engine, Level};
use protocol::command::{OrderRequest, OrderTerms};
use protocol::event::*;
use protocol::*;
use serde_json::{Map, Value};

use super::checks::Checks;
use super::facts::Facts;
use super::queue::{Causes, Place};

/// Where something stands in the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) sequence: Sequence,
    pub(super) stamp: Stamp,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) at: At,
    /// A word of the JSON form; docs/explain.md has them all.
    pub(super) what: &'static str,
    pub(super) text: String,
    pub(super) fields: Map<String, Value>,
    /// Of a change in the queue: ahead before and after it. Such steps may be told together.
    pub(super) ahead: Option<(Amount, Amount)>,
}

/// A command after it was applied.
pub(super) struct Scene<'a> {
    pub(super) at: At,
    pub(super) command: &'a Command,
    pub(super) events: &'a [Event],
    pub(super) engine: &'a Engine,
    pub(super) facts: &'a Facts,
}

/// Who asked, and how.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) at: At,
    pub(super) command: &'static str,
    pub(super) words: String,
    pub(super) envelope: Envelope,
}

/// What the order is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    /// Never an order: the command was refused, or only a test.
    Refused,
    Tested,
    /// Waits for its working order.
    Pending,
    /// Waits for its stop price, or follows the price.
    Waiting,
    /// Was triggered or accepted and does not rest (yet): a market order of an auction, too.
    Working,
    Resting,
    Filled,
    Closed(OrderStatus, CloseReason),
}

/// What the instrument traded while the order was open, its own trades left out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Traded {
    pub(super) trades: u64,
    pub(super) lowest: Price,
    pub(super) highest: Price,
    /// Quantity at the order's price, and at better prices for the other side.
    pub(super) at: Amount,
    pub(super) through: Amount,
}

/// A list that the order is of.
#[derive(Debug, Clone)]
pub(super) struct List {
    pub(super) id: OrderListId,
    pub(super) kind: OrderListKind,
    pub(super) others: Vec<OrderId>,
}

/// The book when the order was closed, or as it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Around {
    /// Best level of the other side.
    pub(super) opposite: Option<Level>,
    /// Quantity of the other side within its limit.
    pub(super) within: Amount,
    /// Better levels of its own side: how many, and what they show.
    pub(super) better: (usize, Amount),
    pub(super) status: Option<InstrumentStatus>,
    pub(super) free: Amount,
}

/// **Invariants:** `steps` are in the order of the log and at most `STEPS_MAX` and an end.
#[derive(Debug, Clone)]
pub(super) struct Life {
    /// `NONE`: it never was an order.
    pub(super) order: OrderId,
    pub(super) entry: Entry,
    pub(super) account: String,
    pub(super) symbol: String,
    pub(super) request: OrderRequest,
    pub(super) terms: OrderTerms,
    pub(super) headline: String,
    pub(super) checks: Checks,
    /// Amount and asset that it held at first.
    pub(super) hold: Option<(Amount, String)>,
    pub(super) list: Option<List>,
    pub(super) doing: Doing,
    /// Its limit, or what its peg gave; 0 for a market kind.
    pub(super) price: Price,
    pub(super) quantity: Quantity,
    pub(super) executed: Quantity,
    pub(super) executed_quote: Amount,
    pub(super) prevented: Quantity,
    pub(super) fills: u64,
    pub(super) traded_at_once: Amount,
    /// By asset.
    pub(super) commissions: BTreeMap<String, Amount>,
    /// What a trailing stop follows.
    pub(super) extreme: Option<Price>,
    /// The trade that made it due.
    pub(super) due_by: Option<(TradeId, Price)>,
    pub(super) place: Option<Place>,
    /// Where it last stood in a queue, once it does not any more.
    pub(super) last_place: Option<Place>,
    pub(super) traded: Traded,
    pub(super) around: Around,
    /// Why it could not begin its work.
    pub(super) refusal: Option<RejectReason>,
    pub(super) indication: Option<IndicativeChanged>,
    pub(super) steps: Vec<Step>,
    pub(super) steps_left_out: u64,
    pub(super) why: Vec<String>,
}

impl Life {
    pub(super) fn new(
        order: OrderId,
        entry: Entry,
        request: &OrderRequest,
        terms: &OrderTerms,
        facts: &Facts,
    ) -> Life {
        let doing = match request.kind.is_contingent() {
            true => Doing::Waiting,
            false => Doing::Working,
        };
        Life {
            order,
            entry,
            account: facts.account_name(request.account),
            symbol: facts.symbol(request.instrument),
            request: *request,
            terms: *terms,
            headline: String::new(),
            checks: Checks::default(),
            hold: None,
            list: None,
            doing,
            price: request.price,
            quantity: request.quantity,
            executed: Quantity::ZERO,
            executed_quote: Amount::ZERO,
            prevented: Quantity::ZERO,
            fills: 0,
            traded_at_once: Amount::ZERO,
            commissions: BTreeMap::new(),
            extreme: None,
            due_by: None,
            place: None,
            last_place: None,
            traded: Traded::default(),
            around: Around::default(),
            refusal: None,
            indication: None,
            steps: Vec::new(),
            steps_left_out: 0,
            why: Vec::new(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.doing, Doing::Pending | Doing::Waiting | Doing::Working | Doing::Resting)
    }

    /// What may still be executed of the base quantity.
    pub(super) fn remaining(&self) -> Quantity {
        let gone = self.executed.0.saturating_add(self.prevented.0);
        Quantity(self.quantity.0.saturating_sub(gone))
    }

    /// Takes the events of one command, from the order's own acceptance on.
    pub(super) fn see(&mut self, scene: &Scene<'_>) {
        if !self.is_open() {
            return;
        }
        let is_entry = self.entry.at.sequence == scene.at.sequence;
        let mut seen = Seen { began: !is_entry, ..Seen::default() };
        for event in scene.events {
            seen.began |= self.is_own_entry(event);
            if seen.began && self.is_open() {
                self.see_event(event, scene, &mut seen);
            }
        }
        self.see_refusal(scene);
        if self.is_open() && (seen.is_touched || is_entry) {
            self.look(scene, &seen);
        }
        self.see_uncross(scene, &seen);
        if !self.is_open() {
            self.last_place = self.place.take().or(self.last_place.take());
            self.look_around(scene.engine, scene.facts);
        }
    }

    fn is_own_entry(&self, event: &Event) -> bool {
        match event {
            Event::OrderAccepted(it) => it.order == self.order,
            Event::OrderAcceptedWithTerms(it) => it.order == self.order,
            _ => false,
        }
    }

    fn see_event(&mut self, event: &Event, scene: &Scene<'_>, seen: &mut Seen) {
        match event {
            Event::Trade(it) if it.instrument == self.request.instrument => {
                self.see_trade(it);
                seen.trade = Some(*it);
            }
            Event::OrderFilled(it) if it.order == self.order => self.see_fill(it, scene, seen),
            Event::MatchPrevented(it)
                if it.maker_order == self.order || it.taker_order == self.order =>
            {
                self.see_prevented(it, scene);
                seen.is_touched = true;
            }
            Event::BookChanged(it) => {
                let place = (it.instrument, it.side, it.price);
                let own = (self.request.instrument, self.request.side, self.price);
                seen.is_touched |= place == own;
            }
            Event::InstrumentStatusSet(_)
            | Event::TradingInterrupted(_)
            | Event::IndicativeChanged(_)
            | Event::AuctionUncrossed(_) => self.see_phase(event, scene, seen),
            _ if subject(event) == Some(self.order) => {
                seen.is_touched = true;
                self.see_own(event, scene);
            }
            _ => self.see_list(event, scene),
        }
        if let Some(place) = &self.place {
            seen.causes.see(event, place);
        }
        // While orders are collected no book event tells of the queue.
        let is_collecting = scene.facts.is_collecting(self.request.instrument);
        seen.is_touched |= is_collecting && subject(event).is_some();
    }

    fn see_trade(&mut self, trade: &Trade) {
        let Trade { price, quantity, .. } = *trade;
        let is_own = trade.maker_order == self.order || trade.taker_order == self.order;
        if !is_own {
            self.traded.see(price, quantity, self.price, self.request.side);
        }
        if self.doing == Doing::Waiting && self.due_by.is_none() && self.is_due(price) {
            self.due_by = Some((trade.trade, price));
        }
        self.follow(price);
    }

    /// Does a trade at this price fire it (docs/rules.md §4 and §8)?
    fn is_due(&self, price: Price) -> bool {
        let rises = self.request.kind.fires_on_rise(self.request.side);
        if self.terms.trailing_delta == 0 {
            let stop = self.request.stop_price;
            return if rises { price >= stop } else { price <= stop };
        }
        self.extreme.is_some_and(|extreme| match self.request.side {
            Side::Sell => price.0 <= self.fires_at(extreme).0,
            Side::Buy => price.0 >= self.fires_at(extreme).0,
        })
    }

    /// The price that a trailing stop with this extreme fires at.
    pub(super) fn fires_at(&self, extreme: Price) -> Price {
        let (delta, whole) = (u128::from(self.terms.trailing_delta), 10_000_u128);
        let at = match self.request.side {
            Side::Sell => u128::from(extreme.0) * whole.saturating_sub(delta) / whole,
            Side::Buy => (u128::from(extreme.0) * (whole + delta)).div_ceil(whole),
        };
        Price(u64::try_from(at).unwrap_or(u64::MAX))
    }

    fn follow(&mut self, price: Price) {
        if let Some(extreme) = self.extreme {
            self.extreme = Some(match self.request.side {
                Side::Sell => extreme.max(price),
                Side::Buy => extreme.min(price),
            });
        }
    }

    /// Where it stands now.
    fn look(&mut self, scene: &Scene<'_>, seen: &Seen) {
        let Some(book) = scene.engine.order_book(self.request.instrument) else { return };
        let side = self.request.side;
        let found = Place::find(&book, self.order, side, self.price, scene.facts);
        match (found, self.place.take()) {
            (Some(now), Some(before)) => {
                let mut place = before;
                if place.ahead != now.ahead {
                    let mut causes = seen.causes.clone();
                    let step = place.moved(now.ahead, &mut causes, scene.at);
                    self.push(step);
                }
                self.place = Some(Place { of: now.of, better: now.better, ..place });
            }
            (Some(now), None) => {
                self.doing = Doing::Resting;
                let step = now.rests(scene.at);
                self.push(step);
                self.place = Some(now);
            }
            (None, before) => {
                self.last_place = before.or(self.last_place.take());
                if self.doing == Doing::Resting {
                    self.doing = Doing::Working;
                }
            }
        }
    }

    /// Looks at its place once more: better levels have come and gone since it was touched.
    pub(super) fn finish(&mut self, engine: &Engine, facts: &Facts) {
        let (side, price) = (self.request.side, self.price);
        if let (Some(_), Some(book)) = (&self.place, engine.order_book(self.request.instrument)) {
            self.place = Place::find(&book, self.order, side, price, facts);
        }
        self.look_around(engine, facts);
    }

    /// What of the other side it could have had, and what else decides.
    fn look_around(&mut self, engine: &Engine, facts: &Facts) {
        let (side, instrument) = (self.request.side, self.request.instrument);
        let Some(book) = engine.order_book(instrument) else { return };
        let crosses = |price: Price| match (self.price, side) {
            (Price::ZERO, _) => true,
            (limit, Side::Buy) => price <= limit,
            (limit, Side::Sell) => price >= limit,
        };
        let mut around = Around::default();
        for level in book.levels(side.opposite()) {
            around.opposite = around.opposite.or(Some(level));
            if !crosses(level.price) {
                break;
            }
            around.within += level.quantity;
        }
        let own = book.levels(side).take_while(|level| level.price != self.price);
        let is_better = |level: &Level| match side {
            Side::Buy => level.price > self.price,
            Side::Sell => level.price < self.price,
        };
        for level in own.take_while(is_better) {
            around.better = (around.better.0 + 1, around.better.1 + level.quantity);
        }
        around.status = facts.definition(instrument).map(|definition| definition.status);
        around.free = engine.balance(self.request.account, facts.paying(instrument, side)).0;
        self.around = around;
    }
}

/// What the events of one command told so far.
#[derive(Default)]
pub(super) struct Seen {
    /// The order exists.
    began: bool,
    pub(super) trade: Option<Trade>,
    pub(super) causes: Causes,
    /// The order or its level changed.
    pub(super) is_touched: bool,
    /// An uncross, and the order's fills before it.
    pub(super) uncross: Option<(AuctionUncrossed, u64)>,
}

impl Traded {
    fn see(&mut self, price: Price, quantity: Quantity, own: Price, side: Side) {
        self.lowest = if self.trades == 0 { price } else { self.lowest.min(price) };
        self.highest = self.highest.max(price);
        self.trades += 1;
        let is_through = match side {
            Side::Buy => price < own,
            Side::Sell => price > own,
        };
        if price == own {
            self.at += quantity.into();
        } else if is_through && !own.is_zero() {
            self.through += quantity.into();
        }
    }
}

/// The order that an event is about.
pub(super) fn subject(event: &Event) -> Option<OrderId> {
    Some(match event {
        Event::OrderAccepted(it) => it.order,
        Event::OrderAcceptedWithTerms(it) => it.order,
        Event::OrderTriggered(it) => it.order,
        Event::OrderFilled(it) => it.order,
        Event::OrderClosed(it) => it.order,
        Event::OrderAmended(it) => it.order,
        Event::OrderReplaced(it) => it.order,
        Event::OrderActivated(it) => it.order,
        Event::OrderPegged(it) => it.order,
        Event::OrderRefused(it) => it.order,
        Event::TrailingStarted(it) => it.order,
        Event::IcebergRefilled(it) => it.order,
        _ => return None,
    })
}
