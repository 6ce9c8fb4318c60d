//! The naive model of the exchange: docs/rules.md as plainly as it can be said, to hold the engine
//! against. It shares nothing with the engine but the types of `protocol`; it scans lists, clones,
//! and is never made faster. § are the page's paragraphs.

mod orders;
mod venue;
mod walk;

use protocol::command::*;
use protocol::event::*;
use protocol::instrument::{AssetName, InstrumentDefinition};
use protocol::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Everything that the venue remembers.
#[derive(Clone, Default)]
pub(crate) struct Model {
    /// 0 before the genesis.
    rules: u32,
    now: u64,
    slots: BTreeMap<(u8, u8), Slot>,
    /// The id of each thing is its place, counted from 1.
    assets: Vec<AssetName>,
    instruments: Vec<Instrument>,
    accounts: Vec<Account>,
    keys: BTreeMap<ApiKey, KeyAdded>,
    /// By scope and id; the venue's has id 0. What is not here is not set.
    fees: BTreeMap<(FeeScope, u32), Rates>,
    rate_limits: BTreeMap<(RateLimitKind, RateLimitInterval, u32), u32>,
    open_orders_max: u32,
    transfers: BTreeSet<TransferId>,
    balances: BTreeMap<(AccountId, AssetId), Balance>,
    /// The open orders of all instruments: waiting or resting.
    orders: BTreeMap<OrderId, Order>,
    last_order: u64,
    /// Counts the orders that came to rest, for their age in the book.
    arrivals: u64,
    /// Orders whose stop price was reached and that have not run yet.
    queue: VecDeque<OrderId>,
    /// Trades of the command, not looked at for triggers yet: instrument and price.
    trades: VecDeque<(InstrumentId, Price)>,
    events: Vec<Event>,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    incarnation: u32,
    last_number: u64,
}

#[derive(Clone)]
struct Account {
    name: AccountName,
    trade_group: u32,
    permissions: u8,
}

#[derive(Clone, Copy, Default, PartialEq)]
struct Rates {
    maker: u32,
    taker: u32,
}

#[derive(Clone, Copy, Default)]
struct Balance {
    free: i128,
    locked: i128,
}

#[derive(Clone)]
struct Instrument {
    id: InstrumentId,
    definition: InstrumentDefinition,
    base: AssetId,
    quote: AssetId,
    last_trade: Option<Price>,
    /// Σ quote and Σ quantity of the trades of each minute.
    minutes: BTreeMap<u64, (i128, i128)>,
    /// §10: the last id given out; prevented matches count from 0, so theirs is the next.
    trades: u64,
    aggregates: u64,
    executions: u64,
    updates: u64,
    prevented_matches: u64,
}

#[derive(Clone)]
struct Order {
    id: OrderId,
    /// As accepted, with the quantity and the client order id of the last amend.
    request: OrderRequest,
    executed: u64,
    executed_quote: i128,
    prevented: u64,
    amends: u32,
    /// What is locked for it, of the asset that it gives.
    held: i128,
    place: Place,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Incoming: being walked, or just accepted.
    Running,
    /// A contingent order before its trigger.
    Waiting,
    /// In the book; arrived as the n-th.
    Resting(u64),
}

/// Events of one command after which the trigger queue stops. (§8)
const EVENTS_MAX: usize = 10_000;
/// Commands between two hashes of the state, and open orders that double it. (§1)
const HASH_INTERVAL: u64 = 4_096;

type Refusable = Result<(), RejectReason>;

impl Model {
    pub(crate) fn new() -> Model {
        Model::default()
    }

    /// Executes one command and returns its events. The hash in `StateHashed` is 0.
    pub(crate) fn apply(
        &mut self,
        sequence: Sequence,
        stamp: Stamp,
        command: &Command,
    ) -> Vec<Event> {
        let Envelope { origin, session, request, deadline } = *command.envelope();
        let kind = command.kind();
        self.now = stamp.0;
        let checked = match self.check_envelope(command) {
            EnvelopeCheck::Repeated => return Vec::new(),
            EnvelopeCheck::Refused(reason) => Err(reason),
            EnvelopeCheck::Passed if command.is_order() && stamp > deadline => {
                Err(RejectReason::DeadlinePassed)
            }
            EnvelopeCheck::Passed => Ok(()),
        };
        self.emit(CommandBegan { sequence, stamp, origin, session, request, kind });
        if let Err(reason) = checked.and_then(|()| self.execute(command)) {
            self.emit(CommandRefused { part: CommandPart::Whole, reason });
        }
        self.emit(CommandAnswered { sequence });
        let goes_on = matches!(command, Command::Tick(_)) && checked.is_ok();
        if goes_on || !self.trades.is_empty() {
            self.run_triggers();
        }
        let scale = (self.orders.len() as u64 / HASH_INTERVAL + 1).next_power_of_two();
        if sequence.0.is_multiple_of(HASH_INTERVAL * scale) {
            self.emit(StateHashed { sequence, state_hash: 0 });
        }
        std::mem::take(&mut self.events)
    }

    fn check_envelope(&mut self, command: &Command) -> EnvelopeCheck {
        if self.rules == 0 && !matches!(command, Command::Genesis(_)) {
            return EnvelopeCheck::Refused(RejectReason::NoGenesis);
        }
        if !command.is_numbered() {
            return EnvelopeCheck::Passed;
        }
        let origin = command.envelope().origin;
        match self.slots.get_mut(&(origin.node, origin.slot)) {
            Some(slot) if slot.incarnation == origin.incarnation => {
                if origin.number <= slot.last_number {
                    EnvelopeCheck::Repeated
                } else if origin.number > slot.last_number + 1 {
                    EnvelopeCheck::Refused(RejectReason::NumberGap)
                } else {
                    slot.last_number = origin.number;
                    EnvelopeCheck::Passed
                }
            }
            _ => EnvelopeCheck::Refused(RejectReason::StaleIncarnation),
        }
    }

    fn execute(&mut self, command: &Command) -> Refusable {
        match command {
            Command::Genesis(command) => self.genesis(command),
            Command::SetRules(command) => self.set_rules(command),
            Command::Tick(_) => Ok(()),
            Command::GatewayJoined(command) => self.gateway_joined(command),
            Command::DefineInstrument(command) => self.define_instrument(&command.definition),
            Command::SetInstrumentStatus(command) => self.set_instrument_status(command),
            Command::DefineAccount(command) => self.define_account(command),
            Command::AddKey(command) => self.add_key(command),
            Command::RemoveKey(command) => self.remove_key(command),
            Command::SetFees(command) => self.set_fees(command),
            Command::SetRateLimit(command) => self.set_rate_limit(command),
            Command::SetVenueLimits(command) => self.set_venue_limits(command),
            Command::Transfer(command) => self.transfer(command),
            Command::NewOrder(command) => self.new_order(command),
            Command::CancelOrder(command) => self.cancel_order(command),
            Command::CancelNamedOrder(command) => self.cancel_named_order(command),
            Command::CancelAllOrders(command) => self.cancel_all_orders(command),
            Command::CancelReplace(command) => self.cancel_replace(command),
            Command::AmendOrder(command) => self.amend_order(command),
            Command::ReplaceOrder(_) => panic!("the model does not know replaces yet"),
        }
    }

    fn emit(&mut self, event: impl Into<Event>) {
        self.events.push(event.into());
    }

    fn instrument(&self, id: InstrumentId) -> &Instrument {
        &self.instruments[id.0 as usize - 1]
    }

    fn instrument_mut(&mut self, id: InstrumentId) -> &mut Instrument {
        &mut self.instruments[id.0 as usize - 1]
    }

    fn account(&self, id: AccountId) -> &Account {
        &self.accounts[id.0 as usize - 1]
    }

    fn order(&self, id: OrderId) -> &Order {
        &self.orders[&id]
    }

    fn order_mut(&mut self, id: OrderId) -> &mut Order {
        self.orders.get_mut(&id).expect("an open order")
    }

    fn next_execution(&mut self, instrument: InstrumentId) -> ExecutionId {
        let instrument = self.instrument_mut(instrument);
        instrument.executions += 1;
        ExecutionId(instrument.executions)
    }

    // Money.

    fn balance(&self, account: AccountId, asset: AssetId) -> Balance {
        self.balances.get(&(account, asset)).copied().unwrap_or_default()
    }

    fn balance_mut(&mut self, account: AccountId, asset: AssetId) -> &mut Balance {
        self.balances.entry((account, asset)).or_default()
    }

    fn emit_balance(&mut self, account: AccountId, asset: AssetId) {
        let Balance { free, locked } = self.balance(account, asset);
        assert!(free >= 0 && locked >= 0, "the model lets account {account} overdraw");
        self.emit(BalanceChanged { account, asset, free: Amount(free), locked: Amount(locked) });
    }

    /// What the order gives: quote to buy, base to sell.
    fn held_asset(&self, order: &Order) -> AssetId {
        let instrument = self.instrument(order.request.instrument);
        match order.request.side {
            Side::Buy => instrument.quote,
            Side::Sell => instrument.base,
        }
    }

    /// Locks as much as the order should hold now, and frees the rest. Did anything change?
    fn hold_anew(&mut self, id: OrderId) -> bool {
        let order = self.order(id).clone();
        let (asset, hold) = (self.held_asset(&order), order.hold());
        let balance = self.balance_mut(order.request.account, asset);
        balance.free -= hold - order.held;
        balance.locked += hold - order.held;
        self.order_mut(id).held = hold;
        hold != order.held
    }

    fn hold_anew_and_tell(&mut self, id: OrderId) {
        if self.hold_anew(id) {
            let order = self.order(id).clone();
            self.emit_balance(order.request.account, self.held_asset(&order));
        }
    }

    // The book.

    /// Resting orders of one side, best price first, oldest first within a price.
    fn book(&self, instrument: InstrumentId, side: Side) -> Vec<&Order> {
        let mut resting: Vec<(u64, u64, &Order)> = self
            .orders
            .values()
            .filter(|it| it.request.instrument == instrument && it.request.side == side)
            .filter_map(|order| match (order.place, side) {
                (Place::Resting(arrival), Side::Sell) => {
                    Some((order.request.price.0, arrival, order))
                }
                (Place::Resting(arrival), Side::Buy) => {
                    Some((u64::MAX - order.request.price.0, arrival, order))
                }
                _ => None,
            })
            .collect();
        resting.sort_by_key(|(price, arrival, _)| (*price, *arrival));
        resting.into_iter().map(|(_, _, order)| order).collect()
    }

    fn emit_level(&mut self, instrument: InstrumentId, side: Side, price: Price) {
        let level: Vec<&Order> = self.book(instrument, side);
        let level: Vec<&Order> =
            level.into_iter().filter(|order| order.request.price == price).collect();
        let quantity = level.iter().map(|order| i128::from(order.remaining())).sum();
        let orders = level.len() as u32;
        let instrument = self.instrument_mut(instrument);
        instrument.updates += 1;
        let (update, instrument) = (UpdateId(instrument.updates), instrument.id);
        let quantity = Amount(quantity);
        self.emit(BookChanged { instrument, update, side, price, quantity, orders });
    }

    // Prices. (§9)

    fn last_price(&self, instrument: InstrumentId) -> Option<Price> {
        let instrument = self.instrument(instrument);
        let reference = instrument.definition.reference_price;
        instrument.last_trade.or((!reference.is_zero()).then_some(reference))
    }

    fn average_price(&self, instrument: InstrumentId, minutes: u32) -> Option<Price> {
        let (now, minutes) = (Stamp(self.now).minute(), u64::from(minutes));
        let (mut quote, mut quantity) = (0, 0);
        for (minute, sums) in &self.instrument(instrument).minutes {
            // Whether `minute` is one of now − minutes + 1 … now.
            if *minute <= now && now < minute + minutes {
                quote += sums.0;
                quantity += sums.1;
            }
        }
        if quantity == 0 {
            return self.last_price(instrument);
        }
        // floor(quote × 10^8 / quantity), without leaving 128 bits.
        let scale = i128::from(SCALE);
        let average = quote / quantity * scale + quote % quantity * scale / quantity;
        Some(Price(average as u64))
    }
}

enum EnvelopeCheck {
    Passed,
    /// Executed before: no event at all.
    Repeated,
    Refused(RejectReason),
}

impl Order {
    /// Base quantity that may still trade. Orders by quote quantity have none of their own.
    fn remaining(&self) -> u64 {
        self.request.quantity.0 - self.executed - self.prevented
    }

    /// What should be locked for the order as it stands. (§4.2)
    fn hold(&self) -> i128 {
        let OrderRequest { kind, side, price, .. } = self.request;
        match side {
            Side::Buy if kind.is_limit() => notional(price, Quantity(self.remaining())).0,
            Side::Sell if kind != OrderKind::Market => i128::from(self.remaining()),
            _ => 0,
        }
    }
}
