//! The naive model of the exchange: docs/rules.md as plainly as it can be said, to hold the engine
//! against. It shares nothing with the engine but the types of `protocol`; it scans lists, clones,
//! and is never made faster. § are the page's paragraphs.

mod amend;
mod auction;
mod book;
mod cancel;
mod checks;
mod filters;
mod lists;
mod money;
mod orders;
mod pending;
mod phases;
mod prevention;
mod prices;
mod risk;
mod triggers;
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
    /// When the last tick was, if there was one.
    last_tick: Option<u64>,
    slots: BTreeMap<(u8, u8), Slot>,
    /// The id of each thing is its place, counted from 1.
    assets: Vec<AssetName>,
    instruments: Vec<Instrument>,
    accounts: Vec<Account>,
    keys: BTreeMap<ApiKey, KeyAdded>,
    /// By scope and id; the venue's has id 0. What is not here is not set.
    fees: BTreeMap<(FeeScope, u32), Rates>,
    rate_limits: BTreeMap<(RateLimitKind, RateLimitInterval, u32), u32>,
    limits: VenueLimits,
    /// By account and instrument; `NONE` is every one.
    risk_limits: BTreeMap<(AccountId, InstrumentId), RiskLimits>,
    /// Accounts whose kill switch is engaged; `VENUE` is everybody's.
    killed: BTreeSet<AccountId>,
    transfers: BTreeSet<TransferId>,
    balances: BTreeMap<(AccountId, AssetId), Balance>,
    /// The open orders of all instruments.
    orders: BTreeMap<OrderId, Order>,
    last_order: u64,
    /// The open lists: those of which an order is open.
    lists: BTreeMap<OrderListId, List>,
    last_list: u64,
    /// Counts the orders that came to rest, for their age in the book.
    arrivals: u64,
    /// What was triggered or may be activated, and has not run yet.
    queue: VecDeque<Due>,
    /// Trades of the command, not looked at for triggers yet: instrument and price.
    trades: VecDeque<(InstrumentId, Price)>,
    /// Each side of every trade of the day.
    fills: Vec<DayFill>,
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

/// One side of a trade, for the limits on a day's quantity. (§13)
#[derive(Clone, Copy)]
struct DayFill {
    day: u64,
    account: AccountId,
    instrument: InstrumentId,
    quantity: i128,
}

#[derive(Clone)]
struct Instrument {
    id: InstrumentId,
    definition: InstrumentDefinition,
    base: AssetId,
    quote: AssetId,
    trading_rules: TradingRules,
    calendar: Calendar,
    last_trade: Option<Price>,
    /// Σ quote and Σ quantity of the trades of each minute.
    minutes: BTreeMap<u64, (i128, i128)>,
    /// Trades that count for the reference price: their millisecond and price.
    reference_trades: Vec<(u64, Price)>,
    /// An auction began and was not uncrossed yet. (§11)
    collecting: bool,
    /// End of the volatility auction.
    until: Stamp,
    /// The last one that this auction told.
    told_indication: Indication,
    /// The levels as the public last heard of them.
    told_levels: Levels,
    /// §10: the last id given out; prevented matches count from 0, so theirs is the next.
    trades: u64,
    aggregates: u64,
    executions: u64,
    updates: u64,
    prevented_matches: u64,
}

/// Quantity and number of orders of the levels that there are.
type Levels = BTreeMap<(Side, Price), (i128, u32)>;

/// What an auction would do. (§11)
#[derive(Clone, Copy, PartialEq)]
struct Indication {
    /// 0: nothing would trade.
    price: Price,
    quantity: i128,
    surplus_side: Side,
    surplus: i128,
    reference: Price,
}

impl Indication {
    const NONE: Indication = Indication {
        price: Price::ZERO,
        quantity: 0,
        surplus_side: Side::Buy,
        surplus: 0,
        reference: Price::ZERO,
    };
}

#[derive(Clone)]
struct Order {
    id: OrderId,
    /// As accepted, with the quantity and the client order id of the last amend.
    request: OrderRequest,
    terms: OrderTerms,
    /// What its peg gave; 0 is nothing, or not yet.
    pegged_price: Price,
    /// The list that it came with, whether that is still open or not.
    list: OrderListId,
    /// Sells what the working order of its list bought.
    paid: bool,
    executed: u64,
    executed_quote: i128,
    prevented: u64,
    amends: u32,
    /// What is locked for it, of the asset that it gives.
    held: i128,
    /// Of a resting iceberg: what the book shows.
    visible: u64,
    /// Of a trailing order that was started: the price that it follows.
    extreme: Option<Price>,
    /// Of a market order to buy in an auction: what it pays at most.
    upper: Price,
    place: Place,
}

#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Incoming: being walked, or just accepted.
    Running,
    /// Of a list: until its working order is filled.
    Pending,
    /// A contingent order before its trigger.
    Waiting,
    /// In the book; arrived as the n-th.
    Resting(u64),
    /// A market order in an auction, beside the book.
    Collected,
}

/// Orders that hang together. (§12)
#[derive(Clone)]
struct List {
    id: OrderListId,
    account: AccountId,
    instrument: InstrumentId,
    client_order_id: ClientOrderId,
    /// `NONE` in an OCO.
    working: OrderId,
    /// The pending order, or the two of a pair.
    others: Vec<OrderId>,
    pays: bool,
    stage: Stage,
    /// Which of a pair has the one hold.
    holder: OrderId,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    /// The working order is open.
    Working,
    /// The working order was filled; the others are in the queue.
    Filled,
    /// The two are open and at work.
    Pair,
    /// One is left and on its own.
    Last,
}

/// An entry of the trigger queue. (§8)
#[derive(Clone, Copy, PartialEq)]
enum Due {
    Order(OrderId),
    /// Its pending orders are to be activated.
    List(OrderListId),
}

/// The version of docs/rules.md that this is.
const RULES: u32 = 2;
/// Events of one command after which the trigger queue stops. (§8)
const EVENTS_MAX: usize = 10_000;
/// Commands between two hashes of the state, and open orders that double it. (§1)
const HASH_INTERVAL: u64 = 4_096;
/// Commands between two looks at the model's own sums.
const CHECK_INTERVAL: u64 = 16;
const DAY_NS: u64 = 24 * 60 * MINUTE_NS;

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
        let ticks = matches!(command, Command::Tick(_)) && checked.is_ok();
        if ticks {
            self.tick();
        }
        if ticks || !self.trades.is_empty() {
            self.run_triggers();
        }
        if sequence.0.is_multiple_of(HASH_INTERVAL) {
            self.emit(StateHashed { sequence, state_hash: 0 });
        }
        if sequence.0.is_multiple_of(CHECK_INTERVAL) {
            self.check_sums();
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
            Command::SetRiskLimits(command) => self.set_risk_limits(command),
            Command::SetKillSwitch(command) => self.set_kill_switch(command),
            Command::SetTradingRules(command) => self.set_trading_rules(command),
            Command::SetCalendar(command) => self.set_calendar(command),
            Command::NewOrder(NewOrder { request, dry_run, .. }) => {
                self.new_order(*request, OrderTerms::NONE, *dry_run)
            }
            Command::NewOrderWithTerms(NewOrderWithTerms { request, terms, dry_run, .. }) => {
                self.new_order(*request, *terms, *dry_run)
            }
            Command::NewOrderList(command) => self.new_order_list(command),
            Command::CancelOrder(command) => self.cancel_order(command),
            Command::CancelNamedOrder(command) => self.cancel_named_order(command),
            Command::CancelAllOrders(command) => self.cancel_all_orders(command),
            Command::CancelReplace(command) => self.cancel_replace(command),
            Command::AmendOrder(command) => self.amend_order(command),
            Command::ReplaceOrder(command) => self.replace_order(command),
            Command::CancelOrderList(command) => self.cancel_order_list(command),
            Command::MassCancel(command) => self.mass_cancel(command),
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
}

enum EnvelopeCheck {
    Passed,
    /// Executed before: no event at all.
    Repeated,
    Refused(RejectReason),
}

impl Order {
    fn new(request: OrderRequest, terms: OrderTerms) -> Order {
        Order {
            // Of an order that is only looked at.
            id: OrderId(u64::MAX),
            request,
            terms,
            pegged_price: Price::ZERO,
            list: OrderListId::NONE,
            paid: false,
            executed: 0,
            executed_quote: 0,
            prevented: 0,
            amends: 0,
            held: 0,
            visible: 0,
            extreme: None,
            upper: Price::ZERO,
            place: Place::Running,
        }
    }

    /// The effective price. (§3.5)
    fn price(&self) -> Price {
        if self.pegged_price.is_zero() { self.request.price } else { self.pegged_price }
    }

    /// "By price": the limit price, then the effective one, as far as they are there. (§3)
    fn prices(&self) -> Vec<Price> {
        let mut prices = vec![self.request.price, self.price()];
        prices.dedup();
        prices.retain(|price| self.request.kind.is_limit() && !price.is_zero());
        prices
    }

    /// Base quantity that may still trade. Orders by quote quantity have none of their own.
    fn remaining(&self) -> u64 {
        // An amend may ask for less than is gone already; the order is closed then.
        self.request.quantity.0.saturating_sub(self.executed + self.prevented)
    }

    fn is_iceberg(&self) -> bool {
        !self.terms.iceberg.is_zero()
    }

    fn is_trailing(&self) -> bool {
        self.terms.trailing_delta != 0
    }

    /// What the book shows of a resting order.
    fn shown(&self) -> u64 {
        if self.is_iceberg() { self.visible } else { self.remaining() }
    }

    /// What should be locked for the order as it stands, if it is in no list. (§4.2, §11, §12)
    fn need(&self) -> i128 {
        let OrderRequest { kind, side, .. } = self.request;
        let is_collected = self.place == Place::Collected;
        match side {
            Side::Buy if kind.is_limit() => notional(self.price(), Quantity(self.remaining())).0,
            Side::Buy if is_collected => notional(self.upper, Quantity(self.remaining())).0,
            Side::Sell if kind != OrderKind::Market || is_collected || self.paid => {
                i128::from(self.remaining())
            }
            _ => 0,
        }
    }
}
