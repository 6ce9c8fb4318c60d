//! The engine with one instrument and two accounts, and what its events say of it.
//!
//! Commands are numbered as a gateway numbers them. Book, trades and balances are those that the
//! events tell; the engine's own state is looked at only to see that it is the same
//! ([`Venue::agrees`]).

use super::ladder::Ladders;
use super::report::Report;
use anyhow::{Result, bail};
use engine::Engine;
use protocol::command::{
    AmendOrder, CancelAllOrders, CancelOrder, DefineAccount, DefineInstrument, GatewayJoined,
    Genesis, NewOrder, OrderRequest, ReplaceOrder, SetFees, SetInstrumentStatus, SetTradingRules,
    Tick, TradingRules, Transfer, account_permission,
};
use protocol::instrument::Symbol;
use protocol::{
    AccountId, Amount, AssetId, CancelRestrictions, Command, Envelope, Event, FeeScope,
    InstrumentDefinition, InstrumentId, InstrumentStatus, OrderId, OrderKind, Origin, Price,
    Quantity, QuantityUnit, Sequence, Sequenced, Side, Stamp, StpMode, Text, TimeInForce,
    TransferDirection,
};
use std::collections::BTreeMap;
use std::io;

/// Each account's opening balance of either asset: more than any recording can move.
const DEPOSIT: Amount = Amount(10i128.pow(33));
/// Commission is taken so that conservation is about more than two sides of a trade.
const MAKER_RATE: u32 = 10_000;
const TAKER_RATE: u32 = 20_000;
const ORIGIN: Origin = Origin { node: 0, slot: 1, incarnation: 1, number: 0 };
const ACCOUNTS: [&str; 2] = ["first", "second"];
const COMPLAINTS_MAX: usize = 10;

/// A new limit order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) account: AccountId,
    pub(super) side: Side,
    pub(super) price: Price,
    pub(super) quantity: Quantity,
    pub(super) time_in_force: TimeInForce,
}

/// Anything that the engine said and that must not be, first ones kept.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    pub(super) count: u64,
    pub(super) first: Vec<String>,
}

impl Complaints {
    pub(super) fn add(&mut self, text: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < COMPLAINTS_MAX {
            self.first.push(text());
        }
    }
}

pub(super) struct Venue {
    engine: Engine,
    sequence: Sequence,
    stamp: Stamp,
    number: u64,
    orders: u64,
    symbol: Symbol,
    instrument: InstrumentId,
    base: AssetId,
    quote: AssetId,
    first: AccountId,
    second: AccountId,
    events: Vec<Event>,
    /// Quantity per level.
    pub(super) book: Ladders<Amount>,
    pub(super) money: Money,
    pub(super) refusals: Complaints,
    pub(super) commands: u64,
    pub(super) trades: u64,
}

impl Venue {
    /// Opens the exchange: genesis, instrument, fees, two rich accounts.
    pub(super) fn open(symbol: &str, base: &str, quote: &str) -> Result<Venue> {
        let mut venue = Venue {
            engine: Engine::new(),
            sequence: Sequence::NONE,
            stamp: Stamp(0),
            number: 0,
            orders: 0,
            symbol: Text::new(symbol)?,
            instrument: InstrumentId::NONE,
            base: AssetId::NONE,
            quote: AssetId::NONE,
            first: AccountId::NONE,
            second: AccountId::NONE,
            events: Vec::new(),
            book: Ladders::default(),
            money: Money::default(),
            refusals: Complaints::default(),
            commands: 0,
            trades: 0,
        };
        let envelope = Envelope::INTERNAL;
        venue.run(Genesis { envelope, seed: 1, rules: engine::RULES_VERSION });
        let joined = Envelope { origin: Origin { incarnation: 0, ..ORIGIN }, ..envelope };
        venue.run(GatewayJoined { envelope: joined, nonce: 1 });
        let (base, quote) = (Text::new(base)?, Text::new(quote)?);
        let definition = InstrumentDefinition::open(venue.symbol, base, quote);
        venue.run(DefineInstrument { envelope, definition });
        let (scope, maker, taker) = (FeeScope::Venue, MAKER_RATE, TAKER_RATE);
        venue.run(SetFees { envelope, scope, name: Text::EMPTY, maker, taker });
        for name in ACCOUNTS {
            let (name, permissions) = (Text::new(name)?, account_permission::ALL);
            venue.run(DefineAccount { envelope, name, trade_group: 0, permissions });
            for asset in [base, quote] {
                let transfer = Text::new(&format!("{name}-{asset}"))?;
                let (direction, amount) = (TransferDirection::Deposit, DEPOSIT);
                let account = name;
                venue.run(Transfer { envelope, transfer, account, asset, direction, amount });
            }
        }
        if venue.refusals.count > 0 || venue.second == AccountId::NONE {
            bail!("the engine refused to open: {}", venue.refusals.first.join("; "));
        }
        Ok(venue)
    }

    /// The account that is opened first.
    pub(super) fn first(&self) -> AccountId {
        self.first
    }

    pub(super) fn second(&self) -> AccountId {
        self.second
    }

    /// Moves time on; time that runs backwards stands still.
    pub(super) fn at(&mut self, stamp: Stamp) {
        self.stamp = self.stamp.max(stamp);
    }

    /// Enters a limit order; `after` sees each event when book and balances have taken it in.
    pub(super) fn place(
        &mut self,
        limit: Limit,
        after: impl FnMut(&Ladders<Amount>, &Event),
    ) -> Option<OrderId> {
        let kind = OrderKind::Limit;
        self.enter(kind, limit, after)
    }

    /// Enters a market order; in an auction it waits beside the book.
    pub(super) fn place_market(
        &mut self,
        account: AccountId,
        side: Side,
        quantity: Quantity,
    ) -> Option<OrderId> {
        let (price, time_in_force) = (Price::ZERO, TimeInForce::Gtc);
        let limit = Limit { account, side, price, quantity, time_in_force };
        self.enter(OrderKind::Market, limit, |_, _| ())
    }

    /// Changes the phase of trading; `after` as in [`Venue::place`].
    pub(super) fn set_status(&mut self, status: InstrumentStatus, mut after: impl FnMut(&Event)) {
        let (envelope, symbol) = (Envelope::INTERNAL, self.symbol);
        let command = SetInstrumentStatus { envelope, symbol, status };
        self.apply(command.into(), |_, event| after(event));
    }

    pub(super) fn set_trading_rules(&mut self, rules: TradingRules) {
        let (envelope, symbol) = (Envelope::INTERNAL, self.symbol);
        self.run(SetTradingRules { envelope, symbol, rules });
    }

    /// Lets the engine look at the time; `after` as in [`Venue::place`].
    pub(super) fn tick(&mut self, mut after: impl FnMut(&Event)) {
        self.apply(Tick { envelope: Envelope::INTERNAL }.into(), |_, event| after(event));
    }

    /// No command was refused, no balance was negative, and all accounts sum to zero.
    pub(super) fn is_sound(&self) -> bool {
        self.refusals.count == 0 && self.money.negative == 0 && self.money.lost == 0
    }

    pub(super) fn cancel(&mut self, account: AccountId, order: OrderId) {
        let (envelope, instrument) = (Envelope::INTERNAL, self.instrument);
        let restrictions = CancelRestrictions::None;
        self.run(CancelOrder { envelope, account, instrument, order, restrictions });
    }

    /// Reduces the order to this quantity, executed part included; it keeps its place.
    pub(super) fn amend(&mut self, account: AccountId, order: OrderId, quantity: Quantity) {
        let command = AmendOrder {
            envelope: Envelope::INTERNAL,
            account,
            instrument: self.instrument,
            order,
            client_order_id: Text::EMPTY,
            new_client_order_id: self.client_order_id(),
            quantity,
        };
        self.run(command);
    }

    /// Gives the order another price and open quantity; it loses its place. `after` as in
    /// [`Venue::place`].
    pub(super) fn replace(
        &mut self,
        account: AccountId,
        order: OrderId,
        price: Price,
        quantity: Quantity,
        after: impl FnMut(&Ladders<Amount>, &Event),
    ) {
        let (envelope, instrument) = (Envelope::INTERNAL, self.instrument);
        let command = ReplaceOrder { envelope, account, instrument, order, price, quantity };
        self.apply(command.into(), after);
    }

    pub(super) fn cancel_all(&mut self, account: AccountId) {
        let (envelope, instrument) = (Envelope::INTERNAL, self.instrument);
        self.run(CancelAllOrders { envelope, account, instrument });
    }

    /// Is the book that the events tell the engine's own?
    pub(super) fn agrees(&self) -> bool {
        let Some(book) = self.engine.order_book(self.instrument) else { return false };
        [Side::Buy, Side::Sell].into_iter().all(|side| {
            let told = self.book.levels(side).map(|(price, quantity)| (Price(price), *quantity));
            told.eq(book.levels(side).map(|level| (level.price, level.quantity)))
        })
    }

    /// # Panics
    /// When a sum or a link of the engine's state does not hold.
    pub(super) fn check_invariants(&self) {
        self.engine.check_invariants();
    }

    pub(super) fn has_open_orders(&self) -> bool {
        self.engine.open_orders_count() > 0
    }

    /// The checks of the engine that hold whatever was recorded. `held`: what its open orders must
    /// hold back, of base and quote.
    pub(super) fn print(&self, held: (Amount, Amount), report: &mut Report<'_>) -> io::Result<()> {
        report.check(self.agrees(), "the book that the events tell is the engine's own")?;
        let Money { negative, lost, changes, .. } = self.money;
        let is_sound = negative == 0 && lost == 0 && self.locked() == held;
        report.check(
            is_sound,
            format_args!(
                "money: {changes} balances changed, {negative} negative; all accounts sum to zero \
                 per asset after each of {} commands but {lost}; open orders hold {} and {}",
                self.commands,
                self.locked().0,
                self.locked().1
            ),
        )?;
        let refused = self.refusals.count;
        report.check(
            refused == 0,
            format_args!(
                "commands refused: {refused} of {}; trades: {}",
                self.commands, self.trades
            ),
        )?;
        report.notes(&self.refusals.first, refused)
    }

    /// What is held back for open orders, of base and quote.
    pub(super) fn locked(&self) -> (Amount, Amount) {
        (self.money.locked(self.base), self.money.locked(self.quote))
    }

    /// The orders of one level with what remains of them, oldest first.
    pub(super) fn queue(&self, side: Side, price: Price) -> Vec<(OrderId, Quantity)> {
        let book = self.engine.order_book(self.instrument);
        book.map_or_else(Vec::new, |book| book.queue(side, price).collect())
    }

    fn enter(
        &mut self,
        kind: OrderKind,
        limit: Limit,
        after: impl FnMut(&Ladders<Amount>, &Event),
    ) -> Option<OrderId> {
        let request = OrderRequest {
            account: limit.account,
            instrument: self.instrument,
            side: limit.side,
            kind,
            time_in_force: limit.time_in_force,
            stp_mode: StpMode::None,
            quantity_unit: QuantityUnit::Base,
            price: limit.price,
            quantity: limit.quantity,
            stop_price: Price::ZERO,
            client_order_id: self.client_order_id(),
            strategy_id: 0,
            strategy_type: 0,
        };
        let command = NewOrder { envelope: Envelope::INTERNAL, request, dry_run: false };
        self.apply(command.into(), after);
        self.events.iter().find_map(|event| match event {
            Event::OrderAccepted(accepted) => Some(accepted.order),
            _ => None,
        })
    }

    fn client_order_id(&mut self) -> Text<36> {
        self.orders += 1;
        Text::new(&self.orders.to_string()).unwrap_or(Text::EMPTY)
    }

    fn run(&mut self, command: impl Into<Command>) {
        self.apply(command.into(), |_, _| ());
    }

    fn apply(&mut self, mut command: Command, mut after: impl FnMut(&Ladders<Amount>, &Event)) {
        if command.is_numbered() {
            self.number += 1;
            command.envelope_mut().origin = Origin { number: self.number, ..ORIGIN };
        }
        self.sequence = self.sequence.next();
        self.commands += 1;
        self.events.clear();
        let input = Sequenced { sequence: self.sequence, stamp: self.stamp, command: &command };
        self.engine.apply(&input, &mut self.events);
        let events = std::mem::take(&mut self.events);
        for event in &events {
            self.absorb(event, &command);
            after(&self.book, event);
        }
        if !events.iter().any(|event| matches!(event, Event::CommandAnswered(_))) {
            self.refusals.add(|| format!("no answer to {command:?}"));
        }
        self.events = events;
        self.money.check();
    }

    fn absorb(&mut self, event: &Event, command: &Command) {
        match event {
            Event::BookChanged(level) if level.quantity.is_zero() => {
                self.book.remove(level.side, level.price.0);
            }
            Event::BookChanged(level) => {
                self.book.set(level.side, level.price.0, level.quantity.into());
            }
            Event::Trade(_) => self.trades += 1,
            Event::CommandRefused(refused) => {
                self.refusals.add(|| format!("{}: {command:?}", refused.reason));
            }
            Event::InstrumentDefined(defined) => {
                (self.instrument, self.base, self.quote) =
                    (defined.instrument, defined.base, defined.quote);
            }
            Event::AccountDefined(defined) if defined.name.as_str() == ACCOUNTS[0] => {
                self.first = defined.account;
            }
            Event::AccountDefined(defined) => self.second = defined.account,
            _ => self.money.absorb(event),
        }
    }
}

/// Balances as the events tell them.
#[derive(Debug, Default)]
pub(super) struct Money {
    balances: BTreeMap<(AccountId, AssetId), (Amount, Amount)>,
    /// Per asset: what all accounts hold, the venue's own (negative) balance included.
    sums: BTreeMap<AssetId, Amount>,
    pub(super) negative: u64,
    /// Commands after which an asset did not sum to zero.
    pub(super) lost: u64,
    pub(super) changes: u64,
}

impl Money {
    fn absorb(&mut self, event: &Event) {
        match event {
            Event::BalanceChanged(now) => {
                let place = self.balances.entry((now.account, now.asset)).or_default();
                let before = std::mem::replace(place, (now.free, now.locked));
                let change = now.free + now.locked - before.0 - before.1;
                *self.sums.entry(now.asset).or_default() += change;
                self.changes += 1;
                self.negative += u64::from(now.free < Amount::ZERO || now.locked < Amount::ZERO);
            }
            Event::OrderFilled(filled) => {
                *self.sums.entry(filled.commission_asset).or_default() += filled.commission;
            }
            Event::TransferExecuted(transfer) => {
                // Deposits are the only transfers here; the venue's own balance pays them.
                *self.sums.entry(transfer.asset).or_default() -= transfer.amount;
            }
            _ => (),
        }
    }

    fn check(&mut self) {
        self.lost += u64::from(self.sums.values().any(|sum| !sum.is_zero()));
    }

    /// What all accounts hold back of the asset for open orders.
    fn locked(&self, asset: AssetId) -> Amount {
        let of_asset = self.balances.iter().filter(|(key, _)| key.1 == asset);
        of_asset.fold(Amount::ZERO, |sum, (_, balance)| sum + balance.1)
    }
}
