//! The frame around every command: its envelope, its route, its answer, its consequences
//! (docs/rules.md §1 and §8).

use crate::book::Level;
use crate::gateways::Gateways;
use crate::ledger::{Balance, Ledger};
use crate::lists::{OrderList, OrderLists};
use crate::orders::{Extra, Orders};
use crate::risk::{DAY_NS, day_of};
use crate::sink::{Counted, EventSink};
use crate::slab::{Order, Phase, Slot};
use crate::sweep::{COMMANDS_PER_SLICE, Sweep};
use crate::venue::Venue;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use protocol::command::{
    AccountName, CancelOrder, Genesis, NewOrder, OrderRequest, OrderTerms, ReplaceOrder, Tick,
};
use protocol::event::*;
use protocol::instrument::{AssetName, Symbol};
use protocol::*;

/// The version of the rules that this build implements.
pub const RULES_VERSION: u32 = 2;

/// Commands from one hash of the state to the next (docs/rules.md §1).
const HASH_INTERVAL: u64 = 4_096;
const _: () = assert!(HASH_INTERVAL.is_multiple_of(COMMANDS_PER_SLICE));

/// A command stops running triggered orders once its events have passed this.
const EVENTS_PER_COMMAND_MAX: u32 = 10_000;

/// What the frame around a command looks at.
struct Frame<'a> {
    envelope: &'a Envelope,
    /// Of the command's record.
    kind: u16,
    is_numbered: bool,
    is_order: bool,
}

impl<'a> Frame<'a> {
    /// Of a client's order command.
    fn order<C: Record>(envelope: &'a Envelope) -> Frame<'a> {
        Frame { envelope, kind: C::KIND, is_numbered: true, is_order: true }
    }
}

/// Ok, or why not: nothing has changed then.
pub(crate) type Refusal = Result<(), RejectReason>;

/// The whole exchange.
#[derive(Debug, Default)]
pub struct Engine {
    /// Seed of the hashers, once the log has begun.
    pub(crate) genesis: Option<u64>,
    pub(crate) rules: u32,
    pub(crate) sequence: Sequence,
    pub(crate) now: Stamp,
    pub(crate) gateways: Gateways,
    pub(crate) venue: Venue,
    pub(crate) ledger: Ledger,
    pub(crate) orders: Orders,
    pub(crate) lists: OrderLists,
    pub(crate) last_order: OrderId,
    pub(crate) last_list: OrderListId,
    /// Stored time of the last tick; 0 before the first.
    pub(crate) last_tick: Stamp,
    /// When the next UTC day of stored time begins, in nanoseconds.
    day_end: u64,
    pub(crate) sweep: Sweep,
    /// Orders whose stop price was reached and that have not run yet; ids of gone ones are skipped.
    pub(crate) triggered: VecDeque<OrderId>,
    /// Prices of the current run's trades, for the triggers. Empty between commands.
    pub(crate) traded: Vec<(InstrumentId, Price)>,
    /// Lists whose working order was filled in the current run, by their first pending order. Empty
    /// between commands.
    pub(crate) filled_lists: Vec<OrderId>,
}

impl Engine {
    /// An engine before the first command of a log.
    pub fn new() -> Engine {
        Engine::default()
    }

    pub(crate) fn open(&mut self, seed: u64, rules: u32) {
        self.genesis = Some(seed);
        self.rules = rules;
        self.orders = Orders::with_seed(seed);
        self.ledger = Ledger::with_seed(seed);
        self.begin_day();
    }

    /// Applies one command and appends what happened to `events`.
    ///
    /// Cannot fail: a bad command is a `CommandRefused` event, because every replica must agree
    /// that it was bad.
    ///
    /// # Panics
    /// When the sequence has a gap or time runs backwards: the log itself is corrupt.
    pub fn apply(&mut self, input: &Sequenced<'_>, events: &mut impl EventSink) {
        assert_eq!(input.sequence, self.sequence.next(), "gap in the command log");
        assert!(input.stamp >= self.now, "time ran backwards in the command log");
        self.sequence = input.sequence;
        self.now = input.stamp;
        if self.now.0 >= self.day_end {
            self.begin_day();
        }
        let out = &mut Counted::new(events);
        // What comes most often has a copy of the frame to itself.
        match input.command {
            Command::NewOrder(new) => {
                let frame = Frame::order::<NewOrder>(&new.envelope);
                self.execute(input, frame, out, |engine, out| engine.new_order(new, out));
            }
            Command::CancelOrder(cancel) => {
                let frame = Frame::order::<CancelOrder>(&cancel.envelope);
                self.execute(input, frame, out, |engine, out| engine.cancel_order(cancel, out));
            }
            Command::ReplaceOrder(replace) => {
                let frame = Frame::order::<ReplaceOrder>(&replace.envelope);
                self.execute(input, frame, out, |engine, out| engine.replace_order(replace, out));
            }
            other => {
                let frame = Frame {
                    envelope: other.envelope(),
                    kind: other.kind(),
                    is_numbered: other.is_numbered(),
                    is_order: other.is_order(),
                };
                self.execute(input, frame, out, |engine, out| engine.route(other, out));
            }
        }
    }

    /// The frame around a command.
    #[inline(always)]
    fn execute<S: EventSink>(
        &mut self,
        input: &Sequenced<'_>,
        frame: Frame<'_>,
        out: &mut Counted<'_, S>,
        run: impl FnOnce(&mut Engine, &mut Counted<'_, S>) -> Refusal,
    ) {
        let Some(checked) = self.check_envelope(&frame) else { return };
        let Envelope { origin, session, request, .. } = *frame.envelope;
        out.emit(CommandBegan {
            sequence: input.sequence,
            stamp: input.stamp,
            origin,
            session,
            request,
            kind: frame.kind,
        });
        let result = checked.and_then(|()| run(self, out));
        if let Err(reason) = result {
            out.emit(CommandRefused { part: CommandPart::Whole, reason });
        }
        out.emit(CommandAnswered { sequence: input.sequence });
        let is_tick = frame.kind == Tick::KIND && result.is_ok();
        if is_tick {
            self.pass_time(out);
        }
        if is_tick || !self.traded.is_empty() {
            self.run_consequences(out);
        }
        if input.sequence.0.is_multiple_of(COMMANDS_PER_SLICE) {
            self.hash_state(out);
        }
    }

    /// What the command's trades, or time, made due.
    #[inline(never)]
    fn run_consequences<S: EventSink>(&mut self, out: &mut Counted<'_, S>) {
        self.collect_due(out);
        if !self.triggered.is_empty() {
            self.run_triggers(out);
        }
    }

    /// A slice of the state joins the hash, which is told from time to time.
    #[inline(never)]
    fn hash_state(&mut self, out: &mut impl EventSink) {
        self.sweep();
        let sequence = self.sequence;
        if sequence.0.is_multiple_of(HASH_INTERVAL) {
            let state_hash = self.swept_hash();
            out.emit(StateHashed { sequence, state_hash });
        }
    }

    /// None: a copy of a command that was executed; it is dropped without an event.
    #[inline]
    fn check_envelope(&mut self, frame: &Frame<'_>) -> Option<Refusal> {
        let Envelope { origin, deadline, .. } = frame.envelope;
        if self.genesis.is_none() && frame.kind != Genesis::KIND {
            return Some(Err(RejectReason::NoGenesis));
        }
        if frame.is_numbered {
            let slot = self.gateways.get_mut(origin.node, origin.slot);
            let Some(slot) = slot.filter(|slot| slot.incarnation == origin.incarnation) else {
                return Some(Err(RejectReason::StaleIncarnation));
            };
            if origin.number <= slot.last_number {
                return None;
            }
            if origin.number - slot.last_number > 1 {
                return Some(Err(RejectReason::NumberGap));
            }
            slot.last_number = origin.number;
        }
        match frame.is_order && self.now > *deadline {
            true => Some(Err(RejectReason::DeadlinePassed)),
            false => Some(Ok(())),
        }
    }

    fn route(&mut self, command: &Command, out: &mut impl EventSink) -> Refusal {
        match command {
            Command::CancelNamedOrder(cancel) => self.cancel_named_order(cancel, out),
            Command::CancelAllOrders(cancel) => self.cancel_all_orders(cancel, out),
            Command::CancelReplace(replace) => self.cancel_replace(replace, out),
            Command::AmendOrder(amend) => self.amend_order(amend, out),
            Command::NewOrder(_) | Command::CancelOrder(_) | Command::ReplaceOrder(_) => {
                unreachable!("apply runs these itself")
            }
            Command::Tick(_) => Ok(()),
            Command::GatewayJoined(joined) => self.admit_gateway(joined, out),
            Command::Genesis(genesis) => self.genesis(genesis, out),
            Command::SetRules(rules) => self.set_rules(rules, out),
            Command::DefineInstrument(define) => self.define_instrument(&define.definition, out),
            Command::SetInstrumentStatus(set) => self.set_instrument_status(set, out),
            Command::DefineAccount(define) => self.define_account(define, out),
            Command::AddKey(add) => self.add_key(add, out),
            Command::RemoveKey(remove) => self.remove_key(remove, out),
            Command::SetFees(fees) => self.set_fees(fees, out),
            Command::SetRateLimit(limit) => self.set_rate_limit(limit, out),
            Command::SetVenueLimits(limits) => self.set_venue_limits(limits, out),
            Command::Transfer(transfer) => self.transfer(transfer, out),
            Command::SetRiskLimits(set) => self.set_risk_limits(set, out),
            Command::SetKillSwitch(set) => self.set_kill_switch(set, out),
            Command::SetTradingRules(set) => self.set_trading_rules(set, out),
            Command::SetCalendar(set) => self.set_calendar(set, out),
            Command::NewOrderWithTerms(new) => self.new_order_with_terms(new, out),
            Command::NewOrderList(new) => self.new_order_list(new, out),
            Command::CancelOrderList(cancel) => self.cancel_order_list(cancel, out),
            Command::MassCancel(cancel) => self.mass_cancel(cancel, out),
        }
    }

    fn admit_gateway(
        &mut self,
        joined: &command::GatewayJoined,
        out: &mut impl EventSink,
    ) -> Refusal {
        let Origin { node, slot, .. } = joined.envelope.origin;
        let held = self.gateways.get_or_add(node, slot);
        held.incarnation = held.incarnation.wrapping_add(1);
        held.last_number = 0;
        let incarnation = held.incarnation;
        out.emit(GatewayAdmitted { node, slot, incarnation, nonce: joined.nonce });
        Ok(())
    }

    /// Consequences: what the trades made due joins the queue, the queue is run to its end or to
    /// the bound on a command's events; the next tick or command with trades goes on then. Where
    /// nothing trades, nothing runs: those orders keep their place.
    #[cold]
    #[inline(never)]
    fn run_triggers<S: EventSink>(&mut self, out: &mut Counted<'_, S>) {
        let mut halted = Vec::new();
        while out.count <= EVENTS_PER_COMMAND_MAX {
            let Some(order) = self.triggered.pop_front() else { break };
            let Some(slot) = self.orders.find(order) else { continue };
            let instrument = self.orders.get(slot).instrument;
            if self.venue.known(instrument).rules.status != InstrumentStatus::Trading {
                halted.push(order);
                continue;
            }
            match self.orders.get(slot).phase {
                Phase::Pending => self.activate(slot, out),
                _ => self.trigger(slot, out),
            }
            self.collect_due(out);
        }
        for order in halted.into_iter().rev() {
            self.triggered.push_front(order);
        }
    }

    /// What a run left behind joins the queue: lists whose working order was filled, then for each
    /// trade the orders that it makes due, by id.
    fn collect_due(&mut self, out: &mut impl EventSink) {
        for pending in self.filled_lists.drain(..) {
            self.triggered.push_back(pending);
        }
        let mut before = None;
        for at in 0..self.traded.len() {
            let trade = self.traded[at];
            let (instrument, price) = trade;
            let market = self.venue.known(instrument);
            let waits = !market.stops.is_empty() || !market.trailing.is_empty();
            if waits && before.replace(trade) != Some(trade) {
                self.collect_due_by(instrument, price, out);
            }
        }
        self.traded.clear();
    }

    #[cold]
    fn collect_due_by(&mut self, instrument: InstrumentId, price: Price, out: &mut impl EventSink) {
        let market = self.venue.known(instrument);
        let mut due = Vec::new();
        market.trailing.follow(price, &mut due);
        let (trailing, reached): (Vec<_>, Vec<_>) =
            market.stops.take_due(price).into_iter().partition(|(_, slot)| {
                self.orders.extra(*slot).is_some_and(|extra| extra.terms.trailing_delta != 0)
            });
        let mut started: Vec<_> = market.trailing.take_unstarted().into_iter().collect();
        started.extend(trailing);
        started.sort_unstable();
        for (order, slot) in started {
            let Order { account, side, .. } = *self.orders.get(slot);
            let delta = self.orders.extra(slot).map_or(0, |extra| extra.terms.trailing_delta);
            market.trailing.start(side, price, delta, order, slot);
            self.orders.slab.get_mut(slot).phase = Phase::Trailing;
            out.emit(TrailingStarted { order, account, instrument, price });
        }
        due.extend(reached);
        due.sort_unstable();
        for (order, slot) in due {
            self.orders.slab.get_mut(slot).phase = Phase::Due;
            self.triggered.push_back(order);
        }
    }

    #[cold]
    pub(crate) fn begin_day(&mut self) {
        let day = day_of(self.now);
        self.orders.day = day;
        self.day_end = (u64::from(day) + 1).saturating_mul(DAY_NS);
    }

    /// The last command that was applied.
    pub fn last_sequence(&self) -> Sequence {
        self.sequence
    }

    /// Stored time.
    pub fn now(&self) -> Stamp {
        self.now
    }

    /// The version of the rules in force; 0 before the genesis.
    pub fn rules(&self) -> u32 {
        self.rules
    }

    /// Has the log begun?
    pub fn has_genesis(&self) -> bool {
        self.genesis.is_some()
    }

    pub fn account_named(&self, name: &AccountName) -> Option<AccountId> {
        self.venue.account_named(name)
    }

    pub fn instrument_named(&self, symbol: &Symbol) -> Option<InstrumentId> {
        self.venue.instrument_named(symbol)
    }

    pub fn asset_named(&self, name: &AssetName) -> Option<AssetId> {
        self.venue.asset_named(name)
    }

    /// Free and locked, zero if the account never had any.
    pub fn balance(&self, account: AccountId, asset: AssetId) -> (Amount, Amount) {
        let Balance { free, locked } = self.ledger.balance(account, asset);
        (free, locked)
    }

    /// All open orders, by id.
    pub fn open_orders(&self) -> Vec<OpenOrder> {
        let slots = self.orders.slots();
        let mut orders: Vec<_> = slots.map(|slot| OpenOrder::of(&self.orders, slot)).collect();
        orders.sort_unstable_by_key(|order| order.order);
        orders
    }

    /// Open order lists, by id, as the events that began them.
    pub fn open_order_lists(&self) -> Vec<OrderListAccepted> {
        self.lists.iter().map(OrderList::accepted).collect()
    }

    /// Buckets of an instrument's calculated reference price: opening time in milliseconds since 1970,
    /// count and sum of prices, both × 10^4 (docs/rules.md §9).
    pub fn reference_buckets(
        &self,
        instrument: InstrumentId,
    ) -> impl Iterator<Item = (u64, u64, u128)> + '_ {
        let market = self.venue.market(instrument).into_iter();
        let buckets = market.flat_map(|market| &market.buckets.buckets);
        buckets.map(|bucket| (bucket.open, bucket.count, bucket.sum))
    }

    pub fn open_orders_count(&self) -> usize {
        self.orders.len()
    }

    pub fn order_book(&self, instrument: InstrumentId) -> Option<OrderBook<'_>> {
        self.venue.market(instrument).map(|market| OrderBook { market, orders: &self.orders })
    }
}

/// An open order as tools and tests see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenOrder {
    pub order: OrderId,
    pub request: OrderRequest,
    pub executed: Quantity,
    pub executed_quote: Amount,
    pub prevented: Quantity,
    pub remaining: Quantity,
    /// Waits for its trigger or its list; neither rests nor is collected by an auction.
    pub is_waiting: bool,
    /// Trails the price, or waits for the first trade to do so.
    pub is_trailing: bool,
    pub terms: OrderTerms,
    /// Of an open list; `NONE` otherwise.
    pub list: OrderListId,
    /// Waits for the working order of its list.
    pub is_pending: bool,
    /// What its peg gave; 0: not pegged, or not yet.
    pub pegged_price: Price,
}

impl OpenOrder {
    fn of(orders: &Orders, slot: Slot) -> OpenOrder {
        let (order, terms) = (orders.get(slot), orders.terms(slot));
        let extra = orders.extra(slot);
        let is_pegged = extra.is_some_and(Extra::is_pegged)
            && !matches!(
                order.phase,
                Phase::Pending | Phase::Waiting | Phase::Trailing | Phase::Due
            );
        OpenOrder {
            order: order.id,
            request: orders.request(slot),
            executed: terms.executed,
            executed_quote: terms.executed_quote,
            prevented: terms.prevented,
            remaining: order.remaining,
            is_waiting: !matches!(order.phase, Phase::Resting | Phase::Collected),
            is_trailing: order.phase == Phase::Trailing,
            terms: extra.map_or(OrderTerms::NONE, |extra| extra.terms),
            list: extra.map_or(OrderListId::NONE, |extra| extra.list),
            is_pending: order.phase == Phase::Pending,
            pegged_price: if is_pegged { order.price } else { Price::ZERO },
        }
    }
}

/// One instrument's book, to look at.
#[derive(Debug, Clone, Copy)]
pub struct OrderBook<'a> {
    market: &'a crate::market::Market,
    orders: &'a Orders,
}

impl<'a> OrderBook<'a> {
    /// Levels from best to worst, as the public depth has them.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = Level> + 'a {
        let told = self.market.told_levels(side);
        let stands = told.is_none().then(|| self.market.book.levels(side));
        told.into_iter().flatten().chain(stands.into_iter().flatten())
    }

    /// The id of the latest change.
    pub fn last_update(&self) -> UpdateId {
        self.market.counters.update
    }

    /// The orders of one level and what remains of them, oldest first.
    pub fn queue(
        &self,
        side: Side,
        price: Price,
    ) -> impl Iterator<Item = (OrderId, Quantity)> + 'a {
        let orders = self.orders;
        self.market.book.queue(&orders.slab, side, price).map(|slot| {
            let order = orders.get(slot);
            (order.id, order.remaining)
        })
    }
}
