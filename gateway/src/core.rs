//! The state of a gateway: its link, its views, and the requests that wait. One lock guards it; what
//! runs under it never waits.
//!
//! **Invariants:** views hold an event before anything that follows from it is written; an answer
//! is written from the views as they stand at its command's `CommandAnswered`.

use std::cell::Cell;
use std::sync::Arc;

use marketdata::{History, Market};
use protocol::command::ClientOrderId;
use protocol::event::CommandBegan;
use protocol::ids::SECOND_NS;
use protocol::{AccountId, Command, Event, FeedEvent, Origin, Sequence, Stamp};
use rustc_hash::FxHashMap;

use crate::accounts::{Accounts, Kept};
use crate::answers::Facts;
use crate::controls::Controls;
use crate::disconnect::Partings;
use crate::error::ApiError;
use crate::feed::{FeedLog, FeedView};
use crate::idempotency::{Names, names};
use crate::limits::{ClientId, Connects, OrderCounts, Rules, Statuses, Usage, Used};
use crate::link::{Broken, FeedLink, FeedPolled, Full, Host, Link, Polled};
use crate::options::Options;
use crate::pending::{Answer, Pending, Waiting, id_from};
use crate::streams::Streams;
use crate::users::Users;

/// Events that are folded before others get their turn.
const EVENTS_PER_TURN: usize = 2_048;

/// Records of a feed that are folded before others get their turn.
const RECORDS_PER_TURN: usize = 4_096;

/// Rate limits and who used how much of them.
#[derive(Debug, Default)]
pub struct Limits {
    /// The venue's, from the log.
    pub rules: Rules,
    pub usage: Usage,
    pub orders: OrderCounts,
    pub connects: Connects,
}

/// Everything that requests, streams and the event log have in common.
pub struct Core {
    pub link: Box<dyn Link>,
    /// None: no feed is looked for.
    feed_link: Option<Box<dyn FeedLink>>,
    pub views: Views,
    pub pending: Pending,
    /// Orders sent and not yet answered, per account.
    in_flight: FxHashMap<AccountId, u32>,
    answer: Vec<Event>,
    pub(crate) partings: Partings,
    names: Names,
    pub options: Options,
    ids: Cell<(u64, u64)>,
    /// No new commands: the exchange is about to stop.
    pub is_draining: bool,
    swept: Stamp,
}

/// What the events made.
pub struct Views {
    pub host: Arc<dyn Host>,
    pub market: Market,
    pub accounts: Accounts,
    pub controls: Controls,
    pub limits: Limits,
    pub streams: Streams,
    /// What a feed knows of other venues.
    pub feed: FeedView,
    pub users: Users,
    /// Of the newest command seen.
    pub sequence: Sequence,
    pub stamp: Stamp,
    /// Of the newest `StateHashed` seen: the sequence and the hash.
    pub state_hash: (Sequence, u64),
    /// The market was loaded and holds the events of commands up to this one.
    pub market_holds: Sequence,
    /// Bounds of the public history.
    pub history: History,
    /// Is the current command's answer complete?
    is_answered: bool,
}

impl std::ops::Deref for Core {
    type Target = Views;

    fn deref(&self) -> &Views {
        &self.views
    }
}

impl std::ops::DerefMut for Core {
    fn deref_mut(&mut self) -> &mut Views {
        &mut self.views
    }
}

impl Views {
    /// Empty views.
    pub fn new(options: &Options, host: Arc<dyn Host>) -> Views {
        let kept =
            Kept { closed_orders_max: options.closed_orders_max, fills_max: options.fills_max };
        let mut seed = [0; size_of::<usize>()];
        // Without randomness the seed stays 0: Core::new then refuses to start.
        let _ = host.random(&mut seed);
        Views {
            host,
            market: Market::new(options.history),
            accounts: Accounts::new(kept, usize::from_le_bytes(seed)),
            controls: Controls::default(),
            limits: Limits {
                connects: Connects::new(options.connects_per_five_minutes),
                ..Limits::default()
            },
            streams: Streams::new(options),
            feed: FeedView::default(),
            users: Users::default(),
            sequence: Sequence(0),
            stamp: Stamp(0),
            state_hash: (Sequence(0), 0),
            market_holds: Sequence(0),
            history: options.history,
            is_answered: true,
        }
    }

    /// Folds one event of a command.
    pub fn apply(&mut self, event: &Event, command: &CommandBegan) {
        let stamp = command.stamp;
        match event {
            Event::CommandBegan(began) => return self.began(began),
            Event::CommandAnswered(_) => self.is_answered = true,
            Event::StateHashed(it) => self.state_hash = (it.sequence, it.state_hash),
            Event::RateLimitSet(it) => {
                self.limits.rules.set(it);
            }
            Event::OrderAccepted(it) => {
                self.limits.orders.accepted(&self.limits.rules, it.request.account, stamp);
            }
            Event::OrderAcceptedWithTerms(it) => {
                self.limits.orders.accepted(&self.limits.rules, it.request.account, stamp);
            }
            Event::OrderFilled(it) if it.cumulative_quantity == it.quantity => {
                let Limits { rules, orders, .. } = &mut self.limits;
                orders.first_filled(rules, it.account, it.is_maker, stamp);
            }
            _ => {}
        }
        if command.sequence > self.market_holds {
            self.market.apply(event, stamp);
        }
        self.accounts.apply(event, stamp, self.host.as_ref());
        self.controls.apply(event);
        self.streams.apply(event, stamp, command.sequence, &self.market);
        self.users.apply(event, stamp, &self.accounts, &self.market);
        if matches!(event, Event::CommandAnswered(_)) {
            // The answer is told as a whole; closed orders stay known: it is made of them next.
            self.tell();
        }
    }

    fn began(&mut self, began: &CommandBegan) {
        self.settle();
        self.streams.advance(began.stamp, began.sequence, &self.market, &self.feed);
        self.sequence = began.sequence;
        self.stamp = began.stamp;
        self.is_answered = false;
    }

    /// What belongs together is complete: positions and aggregate trades go out.
    fn tell(&mut self) {
        self.streams.settle(self.stamp, self.sequence, &self.market);
        self.users.settle(self.stamp, &self.accounts, &self.market);
    }

    /// Folds one record of a feed.
    fn apply_feed(&mut self, event: &FeedEvent, stamp: Stamp) {
        let Views { feed, streams, .. } = self;
        feed.feeds.apply(event, stamp, |source| streams.source_changed(source));
    }

    /// What there was is folded; `now` is the wall clock.
    fn settle_feed(&mut self, polled: FeedPolled, problem: Option<&str>, now: Stamp) {
        let log = match polled {
            FeedPolled { is_live: true, .. } => FeedLog::Live,
            FeedPolled { is_there: true, .. } => FeedLog::Silent,
            _ => FeedLog::Absent,
        };
        if self.feed.problem.as_deref() != problem {
            self.feed.problem = problem.map(str::to_owned);
        }
        if log != self.feed.log {
            self.feed.log = log;
            // Every source counts for something else now.
            self.feed.feeds.sources().for_each(|source| self.streams.source_changed(source));
        }
        self.streams.advance_feeds(now, &self.market, &self.feed);
    }

    /// A command is over and answered: what it changed goes out, what is too old goes.
    pub fn settle(&mut self) {
        self.tell();
        self.accounts.settle();
    }
}

impl Core {
    /// A core over views that were rebuilt.
    ///
    /// Errors: no randomness for the ids it draws.
    pub fn new(link: Box<dyn Link>, views: Views, options: Options) -> Result<Core, String> {
        let mut seed = [0u8; 8];
        views.host.random(&mut seed)?;
        Ok(Core {
            link,
            feed_link: None,
            views,
            pending: Pending::default(),
            in_flight: FxHashMap::default(),
            answer: Vec::new(),
            partings: Partings::default(),
            names: Names::new(options.idempotency_window_s),
            options,
            ids: Cell::new((u64::from_le_bytes(seed), 0)),
            is_draining: false,
            swept: Stamp(0),
        })
    }

    /// A client order id for an order that came without.
    pub fn draw_client_order_id(&self) -> ClientOrderId {
        let (seed, count) = self.ids.get();
        self.ids.set((seed, count.wrapping_add(1)));
        id_from(seed, count)
    }

    pub fn now(&self) -> Stamp {
        self.link.now()
    }

    /// An account's unfilled-order counts.
    pub fn order_counts(&self, account: AccountId, now: Stamp) -> Statuses {
        self.limits.orders.counts(&self.limits.rules, account, now)
    }

    /// Folds everything that was published: what a query needs that must not miss anything.
    pub fn catch_up(&mut self) -> Result<(), Broken> {
        while self.link.has_news() && self.pump()? {}
        while self.pump_feed() {}
        Ok(())
    }

    /// Looks for a feed from here on.
    pub fn follow_feed(&mut self, link: Box<dyn FeedLink>) {
        self.feed_link = Some(link);
    }

    /// Is a feed looked for?
    pub fn follows_feed(&self) -> bool {
        self.feed_link.is_some()
    }

    /// Folds some of what a feed has published; true when there is more.
    pub fn pump_feed(&mut self) -> bool {
        let now = self.now();
        let Core { feed_link: Some(link), views, .. } = self else { return false };
        let polled =
            link.poll(now, RECORDS_PER_TURN, &mut |event, stamp| views.apply_feed(event, stamp));
        views.settle_feed(polled, link.problem(), now);
        polled.has_more
    }

    /// Folds some of what was published, and answers what it answers. True when there was
    /// something. Not all at once: connections must get to write between, or what waits for them
    /// would look as if they were slow.
    pub fn pump(&mut self) -> Result<bool, Broken> {
        self.send_partings();
        let origin = self.link.origin();
        let Core { link, views, pending, in_flight, answer, names, .. } = self;
        let mut fold = Fold { origin, views, pending, in_flight, answer, names };
        let polled = link.poll(EVENTS_PER_TURN, &mut |event, command| fold.see(event, command))?;
        // In between a command may be cut: its rest comes with the next turn.
        if polled == Polled::All {
            self.views.settle();
        }
        Ok(polled != Polled::Nothing)
    }

    /// Sends a command for a request that waits for it; one that cannot be sent is answered at once.
    pub fn send(&mut self, command: Command, waiting: Waiting, used: Used) {
        let refuse = |waiting: Waiting, error| {
            waiting.reply.send(Answer { result: Err(error), used });
        };
        if self.is_draining {
            return refuse(waiting, ApiError::shutting_down());
        }
        // Without room on the disk nothing is answered until there is some.
        if self.pending.len() >= self.options.pending_max || self.host.is_stalled() {
            return refuse(waiting, ApiError::busy());
        }
        let placed = match self.names.are_watched() {
            true => names(&command),
            false => Vec::new(),
        };
        if !placed.is_empty() {
            // What was closed a moment ago must be known.
            let known = self.catch_up().map_err(|_| ApiError::shutting_down());
            let checked =
                known.and_then(|()| self.names.check(&command, &self.views.accounts, self.now()));
            if let Err(error) = checked {
                return refuse(waiting, error);
            }
        }
        let (account, orders) = (waiting.account, waiting.expect.orders_placed());
        let (generation, index) = self.pending.insert(waiting);
        let mut command = command;
        let envelope = command.envelope_mut();
        (envelope.session, envelope.request) = (generation, index);
        match self.link.send(command) {
            Ok(()) => {
                self.names.sent((generation, index), placed);
                if orders > 0 {
                    *self.in_flight.entry(account).or_default() += orders;
                }
            }
            Err(Full) => {
                if let Some(waiting) = self.pending.take(generation, index) {
                    refuse(waiting, ApiError::busy());
                }
            }
        }
    }

    /// May the account place so many orders more?
    pub fn may_place(&self, account: AccountId, more: u32, now: Stamp) -> Result<(), ApiError> {
        if !self.options.rate_limits {
            return Ok(());
        }
        let in_flight = self.in_flight.get(&account).copied().unwrap_or(0);
        let Limits { rules, orders, .. } = &self.views.limits;
        orders.may_place(rules, account, more, in_flight, now).map_err(|error| {
            let mut refused = ApiError::new(-1015, error.to_string()).with_status(429);
            refused.retry_after = Some(error.retry_after_seconds);
            refused
        })
    }

    /// Charges a client; unlimited ones are told that they used nothing.
    pub fn charge(
        &mut self,
        client: &ClientId,
        weight: u32,
        now: Stamp,
    ) -> Result<Statuses, ApiError> {
        let Limits { rules, usage, .. } = &mut self.views.limits;
        if !self.options.rate_limits {
            return Ok(usage.used(rules, client, now));
        }
        match usage.charge(rules, client, weight, now) {
            Ok(used) => Ok(used),
            Err(error) => {
                let mut refused =
                    ApiError::new(-1003, error.to_string()).with_status(error.status());
                refused.retry_after = Some(error.retry_after_seconds);
                let (now, retry) = (now.0 / 1_000_000, error.retry_at.0 / 1_000_000);
                let data = format!("{{\"serverTime\":{now},\"retryAfter\":{retry}}}");
                Err(refused.with_data(data))
            }
        }
    }

    /// Once a second: requests without an answer for too long are told that nobody knows.
    pub fn sweep(&mut self) {
        let now = self.now();
        if now.0 < self.swept.0.saturating_add(SECOND_NS) {
            return;
        }
        self.swept = now;
        self.end_listen_keys(now);
        let timeout = self.options.answer_timeout.as_nanos().min(u128::from(u64::MAX)) as u64;
        for waiting in self.pending.take_older(Stamp(now.0.saturating_sub(timeout))) {
            forget_in_flight(&mut self.in_flight, &waiting);
            waiting.reply.send(Answer { result: Err(ApiError::timeout()), used: Used::NOTHING });
        }
    }
}

fn forget_in_flight(in_flight: &mut FxHashMap<AccountId, u32>, answered: &Waiting) {
    let orders = answered.expect.orders_placed();
    if orders > 0
        && let Some(count) = in_flight.get_mut(&answered.account)
    {
        *count = count.saturating_sub(orders);
    }
}

/// One pass over what was published.
struct Fold<'a> {
    origin: Origin,
    views: &'a mut Views,
    pending: &'a mut Pending,
    in_flight: &'a mut FxHashMap<AccountId, u32>,
    /// Events of the own command whose answer is being read.
    answer: &'a mut Vec<Event>,
    names: &'a mut Names,
}

impl Fold<'_> {
    fn see(&mut self, event: &Event, command: &CommandBegan) {
        let Origin { node, slot, incarnation, .. } = command.origin;
        let is_own = (node, slot, incarnation)
            == (self.origin.node, self.origin.slot, self.origin.incarnation);
        if is_own {
            match event {
                Event::CommandBegan(_) => self.answer.clear(),
                Event::BookChanged(_) | Event::BalanceChanged(_) | Event::Trade(_) => {}
                // What follows the answer belongs to nobody's request.
                _ if self.views.is_answered => {}
                event => self.answer.push(event.clone()),
            }
        }
        self.views.apply(event, command);
        if is_own && matches!(event, Event::CommandAnswered(_)) {
            self.answered(command);
        }
    }

    fn answered(&mut self, command: &CommandBegan) {
        self.names.answered((command.session, command.request));
        let Some(waiting) = self.pending.take(command.session, command.request) else { return };
        forget_in_flight(self.in_flight, &waiting);
        let Views { market, accounts, limits, .. } = &mut *self.views;
        let facts = Facts { events: self.answer, accounts, market, unit: waiting.unit };
        let result = facts.answer(&waiting.expect);
        let now = command.stamp;
        let refund = if result.is_ok() { waiting.expect.refund(self.answer) } else { 0 };
        if let Some(client) = waiting.client.as_ref().filter(|_| refund > 0) {
            limits.usage.refund(&limits.rules, client, refund, waiting.since);
        }
        let mut used = Used::NOTHING;
        if waiting.reply.shows_limits() {
            if waiting.expect.orders_placed() > 0 {
                used.orders = limits.orders.counts(&limits.rules, waiting.account, now);
            }
            if let Some(client) = &waiting.client {
                used.weights = limits.usage.used(&limits.rules, client, now);
            }
        }
        waiting.reply.send(Answer { result, used });
    }
}
