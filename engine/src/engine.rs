//! The frame around every command: its envelope, its route, its answer, its consequences
//! (docs/rules.md §1 and §8).

use crate::book::Level;
use crate::ledger::{Balance, Ledger};
use crate::orders::{Order, Orders, Phase};
use crate::sink::{Counted, EventSink};
use crate::venue::Venue;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;
use protocol::command::{AccountName, OrderRequest};
use protocol::event::*;
use protocol::instrument::{AssetName, Symbol};
use protocol::*;

/// The version of the rules that this build implements.
pub const RULES_VERSION: u32 = 1;

/// The state is hashed at multiples of this, fewer when it is large (docs/rules.md §1).
pub(crate) const HASH_INTERVAL: u64 = 4_096;

/// A command stops running triggered orders once its events have passed this.
const EVENTS_PER_COMMAND_MAX: u32 = 10_000;

/// Ok, or why not: nothing has changed then.
pub(crate) type Refusal = Result<(), RejectReason>;

/// Who holds a gateway's slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct GatewaySlot {
    pub(crate) incarnation: u32,
    pub(crate) last_number: u64,
}

/// The whole exchange.
#[derive(Debug, Default)]
pub struct Engine {
    /// Seed of the hashers, once the log has begun.
    pub(crate) genesis: Option<u64>,
    pub(crate) rules: u32,
    pub(crate) sequence: Sequence,
    pub(crate) now: Stamp,
    pub(crate) slots: BTreeMap<(u8, u8), GatewaySlot>,
    pub(crate) venue: Venue,
    pub(crate) ledger: Ledger,
    pub(crate) orders: Orders,
    pub(crate) last_order: OrderId,
    /// Orders whose stop price was reached and that have not run yet; ids of gone ones are skipped.
    pub(crate) triggered: VecDeque<OrderId>,
    /// Prices of the current run's trades, for the triggers. Empty between commands.
    pub(crate) traded: Vec<(InstrumentId, Price)>,
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
        let out = &mut Counted::new(events);
        let Some(checked) = self.check_envelope(input.command) else { return };
        self.emit_began(input, out);
        let result = checked.and_then(|()| self.route(input.command, out));
        if let Err(reason) = result {
            out.emit(CommandRefused { part: CommandPart::Whole, reason });
        }
        out.emit(CommandAnswered { sequence: input.sequence });
        let is_tick = matches!(input.command, Command::Tick(_)) && result.is_ok();
        if is_tick || !self.traded.is_empty() {
            self.run_triggers(out);
        }
        if self.is_hash_due() {
            let state_hash = self.state_hash();
            out.emit(StateHashed { sequence: input.sequence, state_hash });
        }
    }

    fn emit_began(&self, input: &Sequenced<'_>, out: &mut impl EventSink) {
        let envelope = input.command.envelope();
        out.emit(CommandBegan {
            sequence: input.sequence,
            stamp: input.stamp,
            origin: envelope.origin,
            session: envelope.session,
            request: envelope.request,
            kind: input.command.kind(),
        });
    }

    /// None: a copy of a command that was executed; it is dropped without an event.
    fn check_envelope(&mut self, command: &Command) -> Option<Refusal> {
        if self.genesis.is_none() && !matches!(command, Command::Genesis(_)) {
            return Some(Err(RejectReason::NoGenesis));
        }
        let envelope = command.envelope();
        if command.is_numbered() {
            let origin = &envelope.origin;
            let slot = self.slots.get_mut(&(origin.node, origin.slot));
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
        match command.is_order() && self.now > envelope.deadline {
            true => Some(Err(RejectReason::DeadlinePassed)),
            false => Some(Ok(())),
        }
    }

    fn route(&mut self, command: &Command, out: &mut impl EventSink) -> Refusal {
        match command {
            Command::NewOrder(new) => self.new_order(new, out),
            Command::CancelOrder(cancel) => self.cancel_order(cancel, out),
            Command::CancelNamedOrder(cancel) => self.cancel_named_order(cancel, out),
            Command::CancelAllOrders(cancel) => self.cancel_all_orders(cancel, out),
            Command::CancelReplace(replace) => self.cancel_replace(replace, out),
            Command::AmendOrder(amend) => self.amend_order(amend, out),
            Command::ReplaceOrder(replace) => self.replace_order(replace, out),
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
        }
    }

    fn admit_gateway(
        &mut self,
        joined: &command::GatewayJoined,
        out: &mut impl EventSink,
    ) -> Refusal {
        let Origin { node, slot, .. } = joined.envelope.origin;
        let held = self.slots.entry((node, slot)).or_default();
        held.incarnation = held.incarnation.wrapping_add(1);
        held.last_number = 0;
        let incarnation = held.incarnation;
        out.emit(GatewayAdmitted { node, slot, incarnation, nonce: joined.nonce });
        Ok(())
    }

    /// Consequences: what the trades made due joins the queue, the queue is run to its end or to
    /// the bound on a command's events; the next tick or command with trades goes on then. Where
    /// nothing trades, nothing runs: those orders keep their place.
    fn run_triggers<S: EventSink>(&mut self, out: &mut Counted<'_, S>) {
        self.collect_due();
        let mut halted = Vec::new();
        while out.count <= EVENTS_PER_COMMAND_MAX {
            let Some(order) = self.triggered.pop_front() else { break };
            let Some(slot) = self.orders.find(order) else { continue };
            let instrument = self.orders.get(slot).request.instrument;
            if self.venue.known(instrument).definition.status != InstrumentStatus::Trading {
                halted.push(order);
                continue;
            }
            self.trigger(slot, out);
            self.collect_due();
        }
        for order in halted.into_iter().rev() {
            self.triggered.push_front(order);
        }
    }

    fn collect_due(&mut self) {
        let mut before = None;
        for at in 0..self.traded.len() {
            let trade = self.traded[at];
            let (instrument, price) = trade;
            let stops = &mut self.venue.known(instrument).stops;
            if before.replace(trade) == Some(trade) || stops.is_empty() {
                continue;
            }
            for (order, slot) in stops.take_due(price) {
                self.orders.get_mut(slot).phase = Phase::Due;
                self.triggered.push_back(order);
            }
        }
        self.traded.clear();
    }

    fn is_hash_due(&self) -> bool {
        let Sequence(sequence) = self.sequence;
        if !sequence.is_multiple_of(HASH_INTERVAL) {
            return false;
        }
        let scale = (self.orders.len() as u64 / HASH_INTERVAL + 1).next_power_of_two();
        sequence.is_multiple_of(HASH_INTERVAL * scale)
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
        let mut orders: Vec<_> = self.orders.iter().map(OpenOrder::of).collect();
        orders.sort_unstable_by_key(|order| order.order);
        orders
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
    /// Waits for its trigger.
    pub is_waiting: bool,
}

impl OpenOrder {
    fn of(order: &Order) -> OpenOrder {
        OpenOrder {
            order: order.id,
            request: order.request,
            executed: order.executed,
            executed_quote: order.executed_quote,
            prevented: order.prevented,
            remaining: order.remaining(),
            is_waiting: !matches!(order.phase, Phase::Resting { .. }),
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
    /// Levels from best to worst.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = Level> + 'a {
        self.market.book.levels(side)
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
        self.market.book.queue(orders, side, price).map(|slot| {
            let order = orders.get(slot);
            (order.id, order.remaining())
        })
    }
}
