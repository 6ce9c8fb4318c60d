//! A random market from a seed: commands as many gateways would send them, for the simulator and
//! for the test of the engine against its model.
//!
//! It is a function of its seed and of the events it is shown, and it counts in integers. It keeps
//! the books at a bounded size for ever: prices return to where they began, and what is open beyond
//! [`Shape::open_orders`] is canceled. It never reads a clock. An *extended* market also sends orders
//! with terms and lists, and its venue has auctions, limits of risk and kill switches.

mod extended;
mod venue;

use engine::RULES_VERSION;
use protocol::command::*;
use protocol::event::Event;
use protocol::instrument::{AssetName, InstrumentDefinition, Symbol, filter, flag};
use protocol::*;
use std::collections::HashMap;
use std::ops::Range;

/// How large a venue is and how its members behave.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub instruments: u32,
    pub accounts: u32,
    /// Open orders that one [`Market`] keeps, about.
    pub open_orders: u32,
    /// Of a thousand commands, so many are bad on purpose.
    pub bad_per_mille: u32,
}

impl Default for Shape {
    fn default() -> Shape {
        Shape { instruments: 8, accounts: 64, open_orders: 2_000, bad_per_mille: 20 }
    }
}

/// Pseudo-random numbers: splitmix64.
#[derive(Debug, Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 … `bound` − 1, for a bound above 0.
    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    /// Mostly small: 0 … 63, each half as far twice as often.
    fn distance(&mut self) -> i64 {
        let bits = self.below(7);
        self.below(1 << bits) as i64
    }
}

// The venue.

const COIN: u64 = SCALE;
/// What an account gets of each asset, and what one of [`POOR_EVERY`] gets instead.
const RICH: i128 = 1_000_000_000_000_000 * COIN as i128;
const POOR: i128 = 3_000 * COIN as i128;
const POOR_EVERY: u32 = 8;

/// What kind of instrument stands at one place of the list; the list repeats.
struct Template {
    base: &'static str,
    /// Quoted in the base of the block's first instrument, instead of USDT.
    crossed: bool,
    price: u64,
    tick: u64,
    step: u64,
    /// An order has so many steps, at least and beyond.
    steps_min: u64,
    steps_range: u64,
}

const TEMPLATES: &[Template] = &[
    template("BTC", 30_000 * COIN, COIN / 100, 1_000, 100, 10_000),
    // A price below 1 and no grid: every cut to 10^-8 shows.
    template("DUST", 31_234_567, 1, 1, COIN / 2, 40 * COIN),
    // Tick × step is finer than 10^-8.
    Template { crossed: true, ..template("ETH", 5_230_000, 1_000, 10_000, 100, 30_000) },
    template("BRICK", 50 * COIN, COIN, COIN, 1, 40),
    template("SHIB", 750, 1, COIN, 1_000_000, 9_000_000),
    template("BNB", 2 * COIN, COIN / 10_000, COIN / 10, 20, 2_000),
    template("STOP", 400 * COIN, COIN / 10, COIN / 100, 10, 900),
    template("ZERO", 100 * COIN, COIN / 4, COIN / 10, 5, 60),
];

const fn template(
    base: &'static str,
    price: u64,
    tick: u64,
    step: u64,
    steps_min: u64,
    steps_range: u64,
) -> Template {
    Template { base, crossed: false, price, tick, step, steps_min, steps_range }
}

fn template_of(index: u32) -> &'static Template {
    &TEMPLATES[index as usize % TEMPLATES.len()]
}

/// Text that is known to fit.
fn text<const N: usize>(text: &str) -> Text<N> {
    Text::new(text).unwrap_or(Text::EMPTY)
}

fn base_name(index: u32) -> String {
    let block = index as usize / TEMPLATES.len();
    let base = template_of(index).base;
    if block == 0 { base.into() } else { format!("{base}{block}") }
}

fn quote_name(index: u32) -> String {
    match template_of(index).crossed {
        true => base_name(index - index % TEMPLATES.len() as u32),
        false => "USDT".into(),
    }
}

fn symbol(index: u32) -> Symbol {
    text(&format!("{}{}", base_name(index), quote_name(index)))
}

fn account_name(index: u32) -> AccountName {
    text(&format!("member{}", index + 1))
}

/// The filters of a market that is not extended.
const FILTERS: u32 = filter::PRICE
    | filter::PERCENT_PRICE_BY_SIDE
    | filter::LOT_SIZE
    | filter::MARKET_LOT_SIZE
    | filter::MIN_NOTIONAL
    | filter::NOTIONAL
    | filter::MAX_NUM_ORDERS
    | filter::MAX_POSITION
    | filter::MAX_NUM_ORDER_AMENDS;

/// The instrument at a place of the list, counted from 0. Each enforced filter is there on one and
/// missing on another.
fn definition(index: u32) -> InstrumentDefinition {
    let Template { price, tick, step, .. } = *template_of(index);
    let (base, quote) = (text(&base_name(index)), text(&quote_name(index)));
    let mut definition = InstrumentDefinition::open(symbol(index), base, quote);
    let filters = &mut definition.filters;
    match index as usize % TEMPLATES.len() {
        0 => {
            filters.present = filter::PRICE
                | filter::LOT_SIZE
                | filter::MARKET_LOT_SIZE
                | filter::PERCENT_PRICE_BY_SIDE
                | filter::NOTIONAL
                | filter::MAX_NUM_ORDERS
                | filter::MAX_NUM_ORDER_AMENDS;
            (filters.price.min, filters.price.max) = (Price(tick), Price(1_000_000 * COIN));
            (filters.lot_size.min, filters.lot_size.max) = (Quantity(step), Quantity(9_000 * COIN));
            filters.market_lot_size.max = Quantity(COIN);
            filters.percent_price_by_side.bid_multiplier_up = 5 * COIN;
            filters.percent_price_by_side.bid_multiplier_down = COIN / 5;
            filters.percent_price_by_side.ask_multiplier_up = 5 * COIN;
            filters.percent_price_by_side.ask_multiplier_down = COIN / 5;
            filters.percent_price_by_side.average_minutes = 5;
            filters.notional.min = Amount(100 * i128::from(COIN));
            filters.notional.max = Amount(9_000_000 * i128::from(COIN));
            filters.notional.apply_min_to_market = true;
            filters.notional.average_minutes = 5;
            (filters.max_num_orders, filters.max_num_order_amends) = (200, 10);
            (filters.price.tick, filters.lot_size.step) = (Price(tick), Quantity(step));
        }
        1 => {}
        2 => {
            filters.present = filter::PRICE
                | filter::LOT_SIZE
                | filter::PERCENT_PRICE_BY_SIDE
                | filter::MIN_NOTIONAL;
            filters.percent_price_by_side.bid_multiplier_up = COIN * 101 / 100;
            filters.percent_price_by_side.ask_multiplier_up = COIN * 102 / 100;
            filters.percent_price_by_side.bid_multiplier_down = COIN * 98 / 100;
            filters.percent_price_by_side.ask_multiplier_down = COIN * 99 / 100;
            filters.percent_price_by_side.average_minutes = 1;
            filters.min_notional.min = Amount(60_000);
            filters.min_notional.apply_to_market = true;
            filters.min_notional.average_minutes = 1;
            (filters.price.tick, filters.lot_size.step) = (Price(tick), Quantity(step));
        }
        3 => {
            filters.present =
                filter::PRICE | filter::LOT_SIZE | filter::MARKET_LOT_SIZE | filter::MAX_NUM_ORDERS;
            filters.market_lot_size.min = Quantity(2 * COIN);
            filters.market_lot_size.max = Quantity(30 * COIN);
            filters.market_lot_size.step = Quantity(2 * COIN);
            filters.max_num_orders = 25;
            (filters.price.tick, filters.lot_size.step) = (Price(tick), Quantity(step));
            definition.allowed_stp_modes =
                StpMode::None.bit() | StpMode::ExpireTaker.bit() | StpMode::ExpireBoth.bit();
            definition.flags &= !flag::AMEND;
        }
        4 => {
            filters.present = filter::PRICE | filter::LOT_SIZE | filter::MAX_POSITION;
            filters.max_position = Amount(RICH + 60_000_000 * i128::from(COIN));
            (filters.price.tick, filters.lot_size.step) = (Price(tick), Quantity(step));
            definition.reference_price = Price(price);
        }
        5 => {
            filters.present = filter::LOT_SIZE
                | filter::PERCENT_PRICE_BY_SIDE
                | filter::MIN_NOTIONAL
                | filter::NOTIONAL;
            filters.percent_price_by_side.bid_multiplier_up = 2 * COIN;
            filters.percent_price_by_side.ask_multiplier_down = COIN / 2;
            filters.min_notional.min = Amount(5 * i128::from(COIN));
            filters.notional.max = Amount(300 * i128::from(COIN));
            filters.notional.apply_max_to_market = true;
            filters.lot_size.step = Quantity(step);
            definition.reference_price = Price(price);
            definition.flags &= !(flag::QUOTE_ORDER_QUANTITY | flag::CANCEL_REPLACE);
            definition.order_kinds &= !(OrderKind::StopLoss.bit() | OrderKind::TakeProfit.bit());
        }
        6 => {
            filters.present = filter::PRICE
                | filter::LOT_SIZE
                | filter::MAX_NUM_ORDERS
                | filter::MAX_NUM_ORDER_AMENDS;
            (filters.max_num_orders, filters.max_num_order_amends) = (60, 2);
            (filters.price.tick, filters.lot_size.step) = (Price(tick), Quantity(step));
            definition.reference_price = Price(price);
            definition.default_stp_mode = StpMode::ExpireMaker;
        }
        // Every filter is there, and each is switched off by its zeros.
        _ => filters.present = FILTERS & !filter::MAX_POSITION,
    }
    definition
}

/// Genesis, then all that the shape's market needs, in an order in which nothing is refused.
pub fn venue_commands(shape: &Shape) -> Vec<Command> {
    let envelope = Envelope::INTERNAL;
    let genesis = Genesis { envelope, seed: 1, rules: RULES_VERSION };
    let mut commands: Vec<Command> = vec![genesis.into()];
    for index in 0..shape.instruments {
        commands.push(DefineInstrument { envelope, definition: definition(index) }.into());
    }
    for index in 0..shape.accounts {
        commands.push(define_account(index, account_permission::ALL).into());
        commands.push(add_key(index, index).into());
    }
    commands.push(fees(FeeScope::Venue, "", 100_000, 100_000).into());
    if shape.instruments > 1 {
        let name = symbol(1);
        commands.push(fees(FeeScope::Instrument, name.as_str(), 12_345, 54_321).into());
    }
    if shape.accounts > 1 {
        let name = account_name(1);
        commands.push(fees(FeeScope::Account, name.as_str(), 0, 7_500_001).into());
    }
    for (kind, interval, interval_count, limit) in [
        (RateLimitKind::RequestWeight, RateLimitInterval::Minute, 1, 6_000),
        (RateLimitKind::Orders, RateLimitInterval::Second, 10, 100),
        (RateLimitKind::Orders, RateLimitInterval::Day, 1, 200_000),
        (RateLimitKind::RawRequests, RateLimitInterval::Minute, 5, 61_000),
    ] {
        commands.push(SetRateLimit { envelope, kind, interval, interval_count, limit }.into());
    }
    commands.push(
        SetVenueLimits {
            envelope,
            limits: VenueLimits { open_orders_max: 1_000, ..VenueLimits::default() },
        }
        .into(),
    );
    commands.extend(deposits(shape));
    commands
}

fn deposits(shape: &Shape) -> Vec<Command> {
    let mut assets: Vec<String> = (0..shape.instruments).map(base_name).collect();
    assets.push("USDT".into());
    let mut commands = Vec::new();
    for index in 0..shape.accounts {
        let amount = if index % POOR_EVERY == 2 { POOR } else { RICH };
        for (place, asset) in assets.iter().enumerate() {
            let id = format!("opening-{}-{}", index + 1, place + 1);
            let direction = TransferDirection::Deposit;
            commands.push(transfer(&id, account_name(index), asset, direction, amount));
        }
    }
    commands
}

fn define_account(index: u32, permissions: u8) -> DefineAccount {
    // Two accounts to a group, then four that are alone.
    let trade_group = if index % 8 < 4 { index / 2 % 2 + index / 8 * 2 + 1 } else { 0 };
    let name = account_name(index);
    DefineAccount { envelope: Envelope::INTERNAL, name, trade_group, permissions }
}

fn add_key(index: u32, account: u32) -> AddKey {
    let key = text(&format!("simulated-key-{}", index + 1));
    AddKey {
        envelope: Envelope::INTERNAL,
        account: account_name(account),
        key,
        kind: KeyKind::ALL[index as usize % KeyKind::ALL.len()],
        permissions: key_permission::ALL,
        material: Bytes::new(b"no secret: nobody signs with it").unwrap_or(Bytes::EMPTY),
    }
}

fn fees(scope: FeeScope, name: &str, maker: u32, taker: u32) -> SetFees {
    SetFees { envelope: Envelope::INTERNAL, scope, name: text(name), maker, taker }
}

fn transfer(
    id: &str,
    account: AccountName,
    asset: &str,
    direction: TransferDirection,
    amount: i128,
) -> Command {
    let (transfer, asset): (_, AssetName) = (text(id), text(asset));
    let envelope = Envelope::INTERNAL;
    Transfer { envelope, transfer, account, asset, direction, amount: Amount(amount) }.into()
}

// The market.

/// Sends order commands for some of the venue's accounts.
#[derive(Debug)]
pub struct Market {
    random: Random,
    shape: Shape,
    /// Ids of the accounts that are its own.
    accounts: Range<u32>,
    /// By instrument, the first at 0: where the price is, in ticks from where it began.
    mids: Vec<i64>,
    /// Its own open orders as far as it was shown, and where each stands in the list.
    open: Vec<Open>,
    places: HashMap<OrderId, u32>,
    /// An order that was its own and is gone.
    gone: OrderId,
    tag: u64,
    requests: u32,
    extended: bool,
    /// Its own open lists, of an extended market.
    lists: Vec<OpenList>,
}

#[derive(Debug, Clone, Copy)]
struct OpenList {
    list: OrderListId,
    account: AccountId,
    instrument: InstrumentId,
    client_order_id: ClientOrderId,
}

#[derive(Debug, Clone, Copy)]
struct Open {
    order: OrderId,
    account: AccountId,
    instrument: InstrumentId,
    quantity: Quantity,
    client_order_id: ClientOrderId,
}

/// More are never remembered; without answers in time there could be more.
const OPEN_MAX: usize = 1 << 16;

impl Market {
    /// A market for the accounts with these ids; ids of a venue of this shape are 1 … `accounts`.
    ///
    /// # Panics
    /// When there is no account or no instrument.
    pub fn new(seed: u64, shape: Shape, accounts: Range<u32>) -> Market {
        assert!(!accounts.is_empty() && shape.instruments > 0, "a market of nobody or nothing");
        Market {
            random: Random(seed ^ u64::from(accounts.start) << 32),
            shape,
            tag: u64::from(accounts.start),
            accounts,
            mids: vec![0; shape.instruments as usize],
            open: Vec::new(),
            places: HashMap::new(),
            gone: OrderId::NONE,
            requests: 0,
            extended: false,
            lists: Vec::new(),
        }
    }

    /// The next command; the caller fills in its origin and its deadline.
    #[expect(clippy::should_implement_trait, reason = "it never ends, and it is shown events")]
    pub fn next(&mut self) -> Command {
        self.requests = self.requests.wrapping_add(1);
        let instrument = self.move_price();
        let too_many = self.open.len() > self.shape.open_orders as usize;
        let mut command = match self.random.below(1_000) {
            _ if too_many && !self.random.one_in(3) => self.cancel(),
            0..400 if self.extended => self.extended_command(instrument),
            0..480 => self.new_order(instrument, OrderKind::Limit),
            480..600 => self.cancel(),
            600..640 => self.cancel_named(),
            640..690 => self.amend(),
            690..760 => self.new_order(instrument, OrderKind::Market),
            760..800 => self.new_order(instrument, OrderKind::LimitMaker),
            800..880 => {
                let kind = self.random.pick(&[
                    OrderKind::StopLoss,
                    OrderKind::StopLossLimit,
                    OrderKind::TakeProfit,
                    OrderKind::TakeProfitLimit,
                ]);
                self.new_order(instrument, kind)
            }
            880..940 => self.cancel_replace(instrument),
            940..943 => self.cancel_all(instrument),
            943..960 => match self.new_order(instrument, OrderKind::Limit) {
                Command::NewOrder(order) => NewOrder { dry_run: true, ..order }.into(),
                other => other,
            },
            _ => self.new_order(instrument, OrderKind::Limit),
        };
        if self.random.below(1_000) < u64::from(self.shape.bad_per_mille) {
            self.spoil(&mut command);
        }
        let envelope = command.envelope_mut();
        (envelope.session, envelope.request) = (self.tag as u32, self.requests);
        command
    }

    /// Shows what happened; only its own accounts' orders matter to it.
    pub fn observe(&mut self, event: &Event) {
        match event {
            Event::OrderAccepted(accepted)
                if self.accounts.contains(&accepted.request.account.0)
                    && accepted.request.instrument.0 <= self.shape.instruments =>
            {
                self.remember(accepted.order, &accepted.request);
            }
            Event::OrderFilled(filled) if filled.status == OrderStatus::Filled => {
                self.forget(filled.account, filled.order);
            }
            Event::OrderClosed(closed) => self.forget(closed.account, closed.order),
            Event::OrderAmended(amended) => {
                let place = self.places.get(&amended.order);
                if let Some(open) = place.and_then(|&place| self.open.get_mut(place as usize)) {
                    (open.quantity, open.client_order_id) =
                        (amended.quantity, amended.client_order_id);
                }
            }
            _ if self.extended => self.observe_extended(event),
            _ => {}
        }
    }

    fn remember(&mut self, order: OrderId, request: &OrderRequest) {
        let OrderRequest { account, instrument, quantity, client_order_id, .. } = *request;
        if self.open.len() < OPEN_MAX {
            self.places.insert(order, self.open.len() as u32);
            self.open.push(Open { order, account, instrument, quantity, client_order_id });
        }
    }

    /// Its own open orders that it knows of.
    pub fn open_orders(&self) -> usize {
        self.open.len()
    }

    fn forget(&mut self, account: AccountId, order: OrderId) {
        if !self.accounts.contains(&account.0) {
            return;
        }
        if let Some(place) = self.places.remove(&order) {
            self.open.swap_remove(place as usize);
            if let Some(moved) = self.open.get(place as usize) {
                self.places.insert(moved.order, place);
            }
            self.gone = order;
        }
    }

    /// Chooses an instrument and moves its price a little, back towards its beginning when far.
    fn move_price(&mut self) -> usize {
        let instrument = self.random.below(self.mids.len() as u64) as usize;
        let mid = &mut self.mids[instrument];
        *mid += self.random.below(5) as i64 - 2;
        if self.random.one_in(8) {
            *mid -= *mid / 16;
        }
        instrument
    }

    fn account(&mut self) -> AccountId {
        let count = u64::from(self.accounts.end - self.accounts.start);
        AccountId(self.accounts.start + self.random.below(count) as u32)
    }

    fn client_order_id(&mut self) -> ClientOrderId {
        // `m<tag>-<number>` without the cost of formatting.
        let mut bytes = [0; 36];
        let mut length = 0;
        let mut put = |mut number: u64, lead: u8| {
            let (mut digits, mut count) = ([0; 20], 0);
            loop {
                digits[count] = b'0' + (number % 10) as u8;
                (number, count) = (number / 10, count + 1);
                if number == 0 {
                    break;
                }
            }
            for byte in std::iter::once(lead).chain(digits[..count].iter().rev().copied()) {
                bytes[length] = byte;
                length += 1;
            }
        };
        put(self.tag, b'm');
        put(u64::from(self.requests), b'-');
        text(str::from_utf8(&bytes[..length]).unwrap_or(""))
    }

    /// The price so many ticks above the middle; at least one tick.
    fn price(&self, instrument: usize, ticks: i64) -> Price {
        let Template { price, tick, .. } = *template_of(instrument as u32);
        let at = (price / tick) as i64 + self.mids[instrument] + ticks;
        Price(at.max(1) as u64 * tick)
    }

    fn quantity(&mut self, instrument: usize) -> Quantity {
        let Template { step, steps_min, steps_range, .. } = *template_of(instrument as u32);
        Quantity((steps_min + self.random.below(steps_range)) * step)
    }

    fn request(&mut self, instrument: usize, kind: OrderKind) -> OrderRequest {
        let side = self.random.pick(Side::ALL);
        let better = if side == Side::Buy { 1 } else { -1 };
        let mut request = OrderRequest {
            account: self.account(),
            instrument: InstrumentId(instrument as u32 + 1),
            side,
            kind,
            time_in_force: TimeInForce::Gtc,
            stp_mode: StpMode::None,
            quantity_unit: QuantityUnit::Base,
            price: Price::ZERO,
            quantity: self.quantity(instrument),
            stop_price: Price::ZERO,
            client_order_id: self.client_order_id(),
            strategy_id: 0,
            strategy_type: 0,
        };
        if kind.is_limit() {
            // One in four crosses the middle.
            let distance = self.random.distance();
            let ticks = if self.random.one_in(4) { distance / 2 } else { -1 - distance };
            request.price = self.price(instrument, better * ticks);
        }
        if kind.is_contingent() {
            let distance = self.random.distance();
            let ticks = if kind.fires_on_rise(side) { 3 + distance } else { -3 - distance };
            request.stop_price = self.price(instrument, ticks);
            if kind.is_limit() {
                let slack = self.random.below(12) as i64 - 4;
                request.price = self.price(instrument, ticks + better * slack);
            }
        }
        if kind == OrderKind::Market && self.random.one_in(2) {
            request.quantity_unit = QuantityUnit::Quote;
            let worth = notional(self.price(instrument, 0), request.quantity).0;
            request.quantity = Quantity(worth as u64 + self.random.below(COIN));
        }
        let has_time_in_force = kind.is_limit() && kind != OrderKind::LimitMaker;
        if has_time_in_force && self.random.one_in(6) {
            request.time_in_force = self.random.pick(&[TimeInForce::Ioc, TimeInForce::Fok]);
        }
        if self.random.one_in(3) {
            request.stp_mode = self.random.pick(&StpMode::ALL[..5]);
        }
        // It takes two.
        if self.extended && self.random.one_in(4) {
            request.stp_mode = StpMode::Transfer;
        }
        if self.random.one_in(50) {
            (request.strategy_id, request.strategy_type) = (-1, 1_000_000);
        }
        request
    }

    fn new_order(&mut self, instrument: usize, kind: OrderKind) -> Command {
        let request = self.request(instrument, kind);
        NewOrder { envelope: Envelope::INTERNAL, request, dry_run: false }.into()
    }

    fn some_open(&mut self) -> Open {
        if self.open.is_empty() {
            let account = self.account();
            return Open {
                order: OrderId(1),
                account,
                instrument: InstrumentId(1),
                quantity: Quantity(COIN),
                client_order_id: text("nothing-is-open"),
            };
        }
        let at = self.random.below(self.open.len() as u64) as usize;
        self.open[at]
    }

    fn restrictions(&mut self) -> CancelRestrictions {
        match self.random.one_in(8) {
            true => self.random.pick(CancelRestrictions::ALL),
            false => CancelRestrictions::None,
        }
    }

    fn cancel(&mut self) -> Command {
        let Open { order, account, instrument, .. } = self.some_open();
        let (envelope, restrictions) = (Envelope::INTERNAL, self.restrictions());
        CancelOrder { envelope, account, instrument, order, restrictions }.into()
    }

    fn cancel_named(&mut self) -> Command {
        let Open { order, account, instrument, client_order_id, .. } = self.some_open();
        let restrictions = self.restrictions();
        let order = if self.random.one_in(2) { order } else { OrderId::NONE };
        let cancel_client_order_id = match self.random.one_in(2) {
            true => self.client_order_id(),
            false => ClientOrderId::EMPTY,
        };
        CancelNamedOrder {
            envelope: Envelope::INTERNAL,
            account,
            instrument,
            order,
            client_order_id,
            cancel_client_order_id,
            restrictions,
        }
        .into()
    }

    fn cancel_all(&mut self, instrument: usize) -> Command {
        let (envelope, account) = (Envelope::INTERNAL, self.account());
        CancelAllOrders { envelope, account, instrument: InstrumentId(instrument as u32 + 1) }
            .into()
    }

    fn cancel_replace(&mut self, instrument: usize) -> Command {
        let open = self.some_open();
        let mut request = self.request(instrument, OrderKind::Limit);
        // Mostly what could be meant: an order of the same account on the same instrument.
        if !self.random.one_in(8) {
            request = self.request(open.instrument.0 as usize - 1, request.kind);
            request.account = open.account;
        }
        if self.random.one_in(4) {
            request.client_order_id = open.client_order_id;
        }
        let terms = match self.extended && self.random.one_in(3) {
            true => self.add_terms(&mut request),
            false => OrderTerms::NONE,
        };
        CancelReplace {
            terms,
            envelope: Envelope::INTERNAL,
            mode: self.random.pick(CancelReplaceMode::ALL),
            restrictions: self.restrictions(),
            cancel_order: if self.random.one_in(2) { open.order } else { OrderId::NONE },
            cancel_original_client_order_id: open.client_order_id,
            cancel_client_order_id: ClientOrderId::EMPTY,
            request,
        }
        .into()
    }

    fn amend(&mut self) -> Command {
        let Open { order, account, instrument, quantity, client_order_id } = self.some_open();
        let step = template_of(instrument.0 - 1).step;
        let quantity = Quantity((1 + self.random.below(quantity.0 / step + 1)) * step);
        let by_id = self.random.one_in(2);
        AmendOrder {
            envelope: Envelope::INTERNAL,
            account,
            instrument,
            order: if by_id { order } else { OrderId::NONE },
            client_order_id: if by_id { ClientOrderId::EMPTY } else { client_order_id },
            new_client_order_id: match self.random.one_in(2) {
                true => client_order_id,
                false => self.client_order_id(),
            },
            quantity,
        }
        .into()
    }

    // Bad commands.

    fn spoil(&mut self, command: &mut Command) {
        let open = self.some_open();
        let number = self.bad_number();
        let id = self.random.pick(&[0, 0, self.mids.len() as u32 + 1, 77_777, u32::MAX]);
        let order = match self.random.below(4) {
            0 => self.gone,
            1 => OrderId(number),
            2 => OrderId(open.order.0 + 1),
            _ => OrderId::NONE,
        };
        let choice = self.random.below(4);
        match command {
            Command::NewOrder(it) => self.spoil_request(&mut it.request, number, id),
            Command::CancelReplace(it) => match choice {
                0 => it.cancel_order = order,
                1 => it.cancel_original_client_order_id = ClientOrderId::EMPTY,
                _ => self.spoil_request(&mut it.request, number, id),
            },
            Command::CancelOrder(it) => match choice {
                0 => it.instrument = InstrumentId(id),
                1 => it.account = AccountId(id),
                _ => it.order = order,
            },
            Command::CancelNamedOrder(it) => match choice {
                0 => it.instrument = InstrumentId(id),
                1 => it.order = order,
                2 => it.client_order_id = open.client_order_id,
                _ => it.client_order_id = ClientOrderId::EMPTY,
            },
            Command::CancelAllOrders(it) => match choice {
                0 => it.account = AccountId(id),
                _ => it.instrument = InstrumentId(id),
            },
            Command::AmendOrder(it) => match self.random.below(6) {
                0 => it.quantity = Quantity(number),
                1 => it.new_client_order_id = ClientOrderId::EMPTY,
                2 => it.new_client_order_id = open.client_order_id,
                3 => it.quantity = open.quantity,
                4 => it.account = AccountId(id),
                _ => it.order = order,
            },
            other => self.spoil_extended(other, number, id, order),
        }
    }

    fn spoil_request(&mut self, request: &mut OrderRequest, number: u64, id: u32) {
        match self.random.below(20) {
            0 => request.instrument = InstrumentId(id),
            1 => request.account = AccountId(id),
            2 => request.price = Price(number),
            3 => request.price = Price(request.price.0 + 1),
            4 => request.price = Price(request.price.0.saturating_mul(3)),
            5 => request.price = Price(request.price.0 / 4),
            6 => request.quantity = Quantity(number),
            7 => request.quantity = Quantity(request.quantity.0 + 1),
            8 => request.quantity = Quantity(request.quantity.0 / 100),
            9 => request.quantity = Quantity(request.quantity.0.saturating_mul(10_000)),
            10 => request.stop_price = Price(number),
            11 => request.stop_price = Price(request.stop_price.0 + 1),
            12 => request.client_order_id = ClientOrderId::EMPTY,
            13 => {
                let open = self.some_open();
                (request.account, request.instrument) = (open.account, open.instrument);
                request.client_order_id = open.client_order_id;
            }
            14 => request.time_in_force = self.random.pick(TimeInForce::ALL),
            15 => request.quantity_unit = QuantityUnit::Quote,
            16 => request.kind = self.random.pick(OrderKind::ALL),
            17 => request.stp_mode = StpMode::Transfer,
            18 => request.stp_mode = self.random.pick(StpMode::ALL),
            // A quarter cent: less than any step costs.
            _ if request.kind == OrderKind::Market => {
                request.quantity_unit = QuantityUnit::Quote;
                request.quantity = Quantity(1 + self.random.below(1_000));
            }
            _ => request.price = Price(request.price.0 + self.random.below(1_000)),
        }
    }

    fn bad_number(&mut self) -> u64 {
        let small = self.random.below(3);
        let any = self.random.next();
        let largest = Price::MAX.0;
        self.random.pick(&[0, 1, small, largest, largest + 1, u64::MAX, any, any >> 8])
    }
}

// A whole log.

/// How a command is numbered within its slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    Next,
    /// The number of the command before it.
    Again,
    /// One number is left out.
    Skip,
    /// The next number of an incarnation that is over.
    Stale,
}

/// One command of a log before it has its place there.
#[derive(Debug, Clone)]
pub struct Step {
    /// Stored time since the step before.
    pub advance_ns: u64,
    pub slot: u8,
    pub numbering: Numbering,
    /// From stored time on, or behind it; `None`: never.
    pub deadline_ns: Option<i64>,
    pub command: Command,
}

impl Step {
    /// A step that is numbered as it should be.
    pub fn new(command: impl Into<Command>) -> Step {
        let command = command.into();
        Step { advance_ns: 0, slot: 0, numbering: Numbering::Next, deadline_ns: None, command }
    }
}

/// Where a log stands: its time, and the attachment and the last number of each slot. Knows what
/// the engine will say to a command's number, so that steps can be left out of a log.
#[derive(Debug, Clone, Default)]
pub struct Slots {
    now: u64,
    has_genesis: bool,
    slots: [Origin; 8],
}

/// When logs of [`Slots`] begin: 2025-01-01, UTC.
const BEGINNING_NS: u64 = 1_735_689_600 * SECOND_NS;

impl Slots {
    pub fn new() -> Slots {
        Slots { now: BEGINNING_NS, ..Slots::default() }
    }

    /// The step as the log would have it.
    ///
    /// # Panics
    /// When the step's slot is above 7.
    pub fn place(&mut self, step: &Step) -> (Stamp, Command) {
        self.now += step.advance_ns;
        let mut command = step.command.clone();
        let origin = &mut self.slots[usize::from(step.slot)];
        (origin.node, origin.slot) = (1, step.slot);
        let mut sent = *origin;
        match (&command, step.numbering) {
            (Command::Genesis(genesis), _) => {
                self.has_genesis |= genesis.rules == RULES_VERSION;
                sent = Origin::default();
            }
            (Command::Tick(_), _) => sent = Origin::default(),
            (Command::GatewayJoined(_), _) => {
                sent = Origin { incarnation: 0, number: 0, ..sent };
                if self.has_genesis {
                    *origin = Origin { incarnation: origin.incarnation + 1, number: 0, ..*origin };
                }
            }
            (_, Numbering::Next) => {
                sent.number += 1;
                if self.has_genesis && origin.incarnation != 0 {
                    origin.number += 1;
                }
            }
            (_, Numbering::Again) => {}
            (_, Numbering::Skip) => sent.number += 2,
            (_, Numbering::Stale) => {
                sent.number += 1;
                sent.incarnation = sent.incarnation.wrapping_sub(1);
            }
        }
        let envelope = command.envelope_mut();
        envelope.origin = sent;
        envelope.deadline = match step.deadline_ns {
            Some(deadline_ns) => Stamp(self.now.saturating_add_signed(deadline_ns)),
            None => Stamp::NEVER,
        };
        (Stamp(self.now), command)
    }
}

/// Everything that a log may hold, at random: a venue, its market, and what happens to both.
#[derive(Debug)]
pub struct RandomLog {
    random: Random,
    shape: Shape,
    market: Market,
    /// Still to come, the next one last.
    beginning: Vec<Step>,
    /// What puts the venue back as it was.
    mending: Vec<Command>,
    transfers: u64,
    extended: bool,
    /// What ends the auctions and halts of an extended log, later.
    endings: Vec<Command>,
    /// Stored time of the last step.
    now: u64,
}

const SLOTS: u64 = 4;

impl RandomLog {
    pub fn new(seed: u64, shape: Shape) -> RandomLog {
        RandomLog::build(seed, shape, false)
    }

    /// A log of an extended market.
    pub fn extended(seed: u64, shape: Shape) -> RandomLog {
        RandomLog::build(seed, shape, true)
    }

    fn build(seed: u64, shape: Shape, extended: bool) -> RandomLog {
        let mut random = Random(seed);
        let mut market = Market::new(random.next(), shape, 1..shape.accounts + 1);
        market.extended = extended;
        let mut venue = venue_commands(&shape);
        if extended {
            venue.extend(venue::more_venue_commands(&shape));
        }
        let mut venue = venue.into_iter();
        let mut beginning: Vec<Step> = Vec::new();
        if random.one_in(2) {
            beginning.push(Step::new(Tick { envelope: Envelope::INTERNAL }));
            beginning.push(Step::new(define_account(0, 0)));
        }
        beginning.extend(venue.next().map(Step::new));
        let joins = (0..SLOTS as u8 - 1).map(|slot| Step { slot, ..Step::new(joined(7)) });
        beginning.extend(joins);
        beginning.extend(venue.map(Step::new));
        beginning.reverse();
        RandomLog {
            random,
            shape,
            market,
            beginning,
            mending: Vec::new(),
            transfers: 0,
            extended,
            endings: Vec::new(),
            now: BEGINNING_NS,
        }
    }

    #[expect(clippy::should_implement_trait, reason = "it never ends, and it is shown events")]
    pub fn next(&mut self) -> Step {
        if let Some(step) = self.beginning.pop() {
            return step;
        }
        let random = &mut self.random;
        let advance_ns = match random.below(2_000) {
            0 => 90 * MINUTE_NS,
            1..10 => random.below(3 * MINUTE_NS),
            10..1_000 => random.below(20 * MILLISECOND_NS),
            _ => 0,
        };
        self.now += advance_ns;
        let slot = random.below(SLOTS - 1) as u8;
        let mut step = Step { advance_ns, slot, ..Step::new(joined(0)) };
        step.command = match random.below(1_000) {
            0..10 => Tick { envelope: Envelope::INTERNAL }.into(),
            10..12 => joined(random.next()).into(),
            12..35 => self.mending.pop().unwrap_or_else(|| self.market.next()),
            35..65 => self.venue_command(),
            65..85 if self.extended => self.more_venue_command(),
            85..105 if self.extended => Tick { envelope: Envelope::INTERNAL }.into(),
            105..165 if self.extended => self.mending.pop().unwrap_or_else(|| self.market.next()),
            165..174 if self.extended => self.endings.pop().unwrap_or_else(|| self.market.next()),
            _ => self.market.next(),
        };
        match self.random.below(400) {
            0 => step.numbering = Numbering::Again,
            1 => step.numbering = Numbering::Skip,
            2 => step.numbering = Numbering::Stale,
            // Nobody joined the last slot.
            3 => step.slot = SLOTS as u8 - 1,
            4..8 => step.deadline_ns = Some(-(self.random.below(3) as i64)),
            8..50 => step.deadline_ns = Some(self.random.below(SECOND_NS) as i64),
            _ => {}
        }
        step
    }

    pub fn observe(&mut self, event: &Event) {
        self.market.observe(event);
    }

    fn venue_command(&mut self) -> Command {
        let envelope = Envelope::INTERNAL;
        let account = self.random.below(u64::from(self.shape.accounts)) as u32;
        let instrument = self.random.below(u64::from(self.shape.instruments)) as u32;
        match self.random.below(40) {
            0..14 => self.transfer(account, instrument),
            14..18 => {
                let symbol = symbol(instrument);
                let status = self.random.pick(InstrumentStatus::ALL);
                let trading = InstrumentStatus::Trading;
                self.mending.push(SetInstrumentStatus { envelope, symbol, status: trading }.into());
                SetInstrumentStatus { envelope, symbol, status }.into()
            }
            18..22 => {
                let definition = self.definition(instrument);
                self.mending.push(DefineInstrument { envelope, definition }.into());
                let definition = self.redefine(definition);
                DefineInstrument { envelope, definition }.into()
            }
            22..25 => {
                self.mending.push(define_account(account, account_permission::ALL).into());
                let bits = self.random.below(9) as u8;
                let changed = define_account(account, bits);
                let trade_group = self.random.below(3) as u32;
                match self.random.below(4) {
                    0 => DefineAccount { name: AccountName::EMPTY, ..changed }.into(),
                    1 => DefineAccount { trade_group, ..changed }.into(),
                    _ => changed.into(),
                }
            }
            25..30 => self.fees(account, instrument),
            30..34 => self.key(account),
            34..36 => SetRateLimit {
                envelope,
                kind: self.random.pick(RateLimitKind::ALL),
                interval: self.random.pick(RateLimitInterval::ALL),
                interval_count: self.random.below(3) as u32,
                limit: self.random.below(2) as u32 * 10,
            }
            .into(),
            36..38 => {
                self.mending.push(
                    SetVenueLimits {
                        envelope,
                        limits: VenueLimits { open_orders_max: 1_000, ..VenueLimits::default() },
                    }
                    .into(),
                );
                let open_orders_max = self.random.below(12) as u32;
                SetVenueLimits {
                    envelope,
                    limits: VenueLimits { open_orders_max, ..VenueLimits::default() },
                }
                .into()
            }
            38 => SetRules { envelope, rules: self.random.below(3) as u32 }.into(),
            _ => Genesis { envelope, seed: 2, rules: self.random.below(3) as u32 }.into(),
        }
    }

    fn definition(&self, index: u32) -> InstrumentDefinition {
        match self.extended {
            true => venue::extended_definition(index),
            false => definition(index),
        }
    }

    fn transfer(&mut self, account: u32, instrument: u32) -> Command {
        self.transfers += 1;
        // One in eight has an id that was used, or none.
        let id = match self.random.below(16) {
            0 => String::new(),
            1 => format!("moved-{}", 1 + self.random.below(self.transfers)),
            _ => format!("moved-{}", self.transfers),
        };
        let account = match self.random.one_in(20) {
            true => text("nobody"),
            false => account_name(account),
        };
        let asset = match self.random.below(20) {
            0 => "NOTHING".into(),
            1..10 => "USDT".into(),
            _ => base_name(instrument),
        };
        let small = i128::from(self.random.below(1_000 * COIN));
        let amount = match self.random.below(24) {
            0 => 0,
            1 => -small,
            2 => Amount::MAX.0,
            3 => Amount::MAX.0 + 1,
            4 => RICH + small,
            _ => small,
        };
        let direction = self.random.pick(TransferDirection::ALL);
        transfer(&id, account, &asset, direction, amount)
    }

    fn fees(&mut self, account: u32, instrument: u32) -> Command {
        let (account, symbol) = (account_name(account), symbol(instrument));
        let rate = self.random.pick(&[0, 0, 1, 100_000, 99_999_999, 100_000_000, 100_000_001]);
        let other = self.random.below(1_000_000) as u32;
        let scope = self.random.pick(FeeScope::ALL);
        let name = match scope {
            _ if self.random.one_in(16) => "nobody",
            FeeScope::Venue => "",
            FeeScope::Instrument => symbol.as_str(),
            FeeScope::Account => account.as_str(),
        };
        match self.random.one_in(2) {
            true => fees(scope, name, rate, other).into(),
            false => fees(scope, name, other, rate).into(),
        }
    }

    fn key(&mut self, account: u32) -> Command {
        let key = add_key(self.random.below(u64::from(self.shape.accounts)) as u32, account);
        let permissions = self.random.below(10) as u8;
        let remove = RemoveKey { envelope: Envelope::INTERNAL, key: key.key };
        match self.random.below(8) {
            0..3 => remove.into(),
            3 => AddKey { key: ApiKey::EMPTY, ..key }.into(),
            4 => AddKey { material: Bytes::EMPTY, ..key }.into(),
            5 => AddKey { account: text("nobody"), ..key }.into(),
            _ => AddKey { permissions, ..key }.into(),
        }
    }

    /// Another definition of the same symbol: allowed, equal, or bad in one place.
    fn redefine(&mut self, mut definition: InstrumentDefinition) -> InstrumentDefinition {
        let random = &mut self.random;
        let filters = &mut definition.filters;
        match random.below(22) {
            0 => definition.quote = text("OTHER"),
            1 => definition.base = definition.quote,
            2 => definition.base_precision = 9,
            3 => filters.notional.average_minutes = 61,
            4 => filters.present |= 1 << 31,
            5 => filters.max_position = Amount(-1),
            6 => filters.price.max = Price(Price::MAX.0 + 1),
            7 => definition.allowed_stp_modes &= !definition.default_stp_mode.bit(),
            8 => definition.symbol = Symbol::EMPTY,
            9 => definition.status = random.pick(InstrumentStatus::ALL),
            10 => definition.order_kinds = random.below(128) as u16,
            11 => definition.flags = random.next() as u32,
            12 => definition.allowed_stp_modes = 1 | random.below(64) as u16,
            13 => definition.reference_price = Price(random.below(2) * 100 * COIN),
            14 => {
                let all = if self.extended { filter::KNOWN } else { FILTERS };
                filters.present = random.next() as u32 & all;
            }
            15 => filters.price.tick = Price(filters.price.tick.0 * 10),
            16 => filters.lot_size.step = Quantity(filters.lot_size.step.0 * 10),
            17 => {
                filters.present |= filter::MAX_NUM_ORDERS;
                filters.max_num_orders = random.below(6) as u32;
            }
            18 => {
                filters.present |= filter::MAX_POSITION;
                filters.max_position = Amount(i128::from(random.below(2)) * RICH);
            }
            19 => {
                filters.present |= filter::PERCENT_PRICE_BY_SIDE;
                filters.percent_price_by_side.average_minutes = random.below(61) as u32;
                filters.percent_price_by_side.bid_multiplier_up = COIN;
                filters.percent_price_by_side.ask_multiplier_down = COIN * 999 / 1_000;
            }
            20 => definition.filters.max_num_algo_orders += 1,
            _ => {}
        }
        definition
    }
}

fn joined(nonce: u64) -> GatewayJoined {
    GatewayJoined { envelope: Envelope::INTERNAL, nonce }
}
