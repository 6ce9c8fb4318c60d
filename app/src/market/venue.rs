//! What an extended market's venue has: more filters, trading rules, calendars, limits of risk,
//! kill switches, auctions.

use super::*;

/// As [`definition`], with all kinds of orders, and each further filter on one or the other.
pub(super) fn extended_definition(index: u32) -> InstrumentDefinition {
    let mut definition = definition(index);
    let step = template_of(index).step;
    let every =
        flag::ICEBERG | flag::OCO | flag::OTO | flag::OPO | flag::TRAILING_STOP | flag::PEGGED;
    definition.flags |= every;
    definition.allowed_stp_modes |= StpMode::Transfer.bit();
    let filters = &mut definition.filters;
    match index as usize % TEMPLATES.len() {
        0 => {
            filters.present |= filter::PERCENT_PRICE
                | filter::ICEBERG_PARTS
                | filter::MAX_NUM_ALGO_ORDERS
                | filter::MAX_NUM_ICEBERG_ORDERS
                | filter::MAX_NUM_ORDER_LISTS;
            filters.percent_price.multiplier_up = 3 * COIN;
            filters.percent_price.multiplier_down = COIN / 3;
            filters.percent_price.average_minutes = 1;
            filters.iceberg_parts = 10;
            filters.max_num_algo_orders = 3;
            filters.max_num_iceberg_orders = 2;
            filters.max_num_order_lists = 2;
        }
        2 => definition.flags &= !(flag::OPO | flag::PEGGED),
        3 => definition.flags &= !(flag::ICEBERG | flag::OTO),
        4 => {
            filters.present |= filter::TRAILING_DELTA | filter::MAX_NUM_ORDER_LISTS;
            filters.trailing_delta.min_above = 5;
            filters.trailing_delta.max_above = 300;
            filters.trailing_delta.min_below = 20;
            filters.trailing_delta.max_below = 1_000;
            filters.max_num_order_lists = 1;
        }
        5 => definition.flags &= !(flag::OCO | flag::TRAILING_STOP),
        6 => {
            filters.present |= filter::PERCENT_PRICE
                | filter::ICEBERG_PARTS
                | filter::MARKET_LOT_SIZE
                | filter::MAX_NUM_ALGO_ORDERS
                | filter::MAX_NUM_ICEBERG_ORDERS;
            filters.percent_price.multiplier_up = COIN * 11 / 10;
            filters.percent_price.multiplier_down = COIN * 9 / 10;
            filters.market_lot_size.step = Quantity(5 * step);
            filters.market_lot_size.max = Quantity(700 * step);
            filters.iceberg_parts = 4;
            filters.max_num_algo_orders = 2;
            filters.max_num_iceberg_orders = 1;
        }
        // Each is switched off by its zeros.
        7 => filters.present = filter::KNOWN & !filter::MAX_POSITION,
        _ => {}
    }
    definition
}

/// Each rule stands on one instrument and is missing on another.
fn trading_rules(index: u32) -> TradingRules {
    let mut rules = TradingRules::default();
    match index as usize % TEMPLATES.len() {
        0 => {
            (rules.volatility_band, rules.volatility_minutes) = (COIN / 4_000, 1);
            rules.volatility_auction_s = 1;
        }
        1 => {
            (rules.bucket_width_ms, rules.bucket_count) = (7, 5);
            (rules.bid_limit_up, rules.ask_limit_down) = (COIN + 800, COIN - 800);
        }
        3 => {
            (rules.volatility_band, rules.volatility_auction_s) = (COIN / 10, 1);
            (rules.bucket_width_ms, rules.bucket_count) = (1_000, 60);
        }
        4 => {
            (rules.bucket_width_ms, rules.bucket_count) = (250, 4);
            (rules.bid_limit_up, rules.bid_limit_down) = (COIN * 51 / 50, COIN * 49 / 50);
            (rules.ask_limit_up, rules.ask_limit_down) = (COIN * 51 / 50, COIN * 49 / 50);
        }
        6 => {
            rules.external_reference = Price(template_of(index).price);
            (rules.bid_limit_up, rules.ask_limit_down) = (COIN * 21 / 20, COIN * 19 / 20);
        }
        _ => {}
    }
    rules
}

/// The account that has next to nothing.
const POORER: u32 = 5;

/// Follows [`venue_commands`].
pub(super) fn more_venue_commands(shape: &Shape) -> Vec<Command> {
    let envelope = Envelope::INTERNAL;
    let mut commands: Vec<Command> = Vec::new();
    for index in 0..shape.instruments {
        let (definition, rules) = (extended_definition(index), trading_rules(index));
        commands.push(DefineInstrument { envelope, definition }.into());
        commands.push(SetTradingRules { envelope, symbol: symbol(index), rules }.into());
    }
    // One that is short of money, and one with limits.
    let places = if shape.accounts > POORER { 0..shape.instruments + 1 } else { 0..0 };
    for place in places {
        let asset = if place == 0 { "USDT".into() } else { base_name(place - 1) };
        let (id, name) = (format!("withdrawn-{place}"), account_name(POORER));
        let direction = TransferDirection::Withdrawal;
        commands.push(transfer(&id, name, &asset, direction, RICH - POOR / 20));
    }
    let name = account_name(0);
    let limits = RiskLimits { open_orders_max: 150, collar: COIN / 2, ..RiskLimits::default() };
    commands.push(risk_limits(name, Symbol::EMPTY, limits));
    commands
}

fn risk_limits(account: AccountName, symbol: Symbol, limits: RiskLimits) -> Command {
    SetRiskLimits { envelope: Envelope::INTERNAL, account, symbol, limits }.into()
}

impl RandomLog {
    pub(super) fn more_venue_command(&mut self) -> Command {
        let envelope = Envelope::INTERNAL;
        let account = self.random.below(u64::from(self.shape.accounts)) as u32;
        let instrument = self.random.below(u64::from(self.shape.instruments)) as u32;
        match self.random.below(40) {
            0..10 => self.auction(instrument),
            10..20 => self.set_risk_limits(account, instrument),
            20..22 => {
                let account = match self.random.below(12) {
                    0 => AccountName::EMPTY,
                    1 => text("nobody"),
                    _ => account_name(account),
                };
                let engaged = !self.random.one_in(4);
                self.mending.push(SetKillSwitch { envelope, account, engaged: false }.into());
                SetKillSwitch { envelope, account, engaged }.into()
            }
            22..29 => self.set_trading_rules(instrument),
            29..36 => self.set_calendar(instrument),
            _ => {
                self.mending.push(
                    SetVenueLimits {
                        envelope,
                        limits: VenueLimits { open_orders_max: 1_000, ..VenueLimits::default() },
                    }
                    .into(),
                );
                let mut limit = || self.random.below(8) as u32 * 3;
                let limits = VenueLimits {
                    open_orders_max: 1_000,
                    algo_orders_max: limit(),
                    iceberg_orders_max: limit() / 3,
                    order_lists_max: limit() / 3,
                };
                SetVenueLimits { envelope, limits }.into()
            }
        }
    }

    /// Into an auction, out of one, or beside one.
    fn auction(&mut self, instrument: u32) -> Command {
        let (envelope, symbol) = (Envelope::INTERNAL, symbol(instrument));
        let status = |status| SetInstrumentStatus { envelope, symbol, status }.into();
        self.endings.push(status(InstrumentStatus::Trading));
        status(self.random.pick(&[
            InstrumentStatus::OpeningAuction,
            InstrumentStatus::OpeningAuction,
            InstrumentStatus::ClosingAuction,
            InstrumentStatus::Trading,
            InstrumentStatus::Closed,
            InstrumentStatus::Halt,
        ]))
    }

    fn set_risk_limits(&mut self, account: u32, instrument: u32) -> Command {
        let random = &mut self.random;
        let account = match random.below(8) {
            0 => text("nobody"),
            1 | 2 => AccountName::EMPTY,
            _ => account_name(account),
        };
        let of = symbol(instrument);
        let symbol = match random.below(8) {
            0 => text("NOTHING"),
            1..4 => Symbol::EMPTY,
            _ => of,
        };
        let Template { price, step, steps_range, .. } = *template_of(instrument);
        let worth = notional(Price(price), Quantity(step)).0 * i128::from(steps_range);
        let day = i128::from(step * steps_range) * i128::from(1 + random.below(40));
        let mut limits = RiskLimits::default();
        match random.below(6) {
            0 => limits.order_notional_max = Amount(worth / i128::from(1 + random.below(8))),
            1 => limits.open_orders_max = 1 + random.below(12) as u32,
            2 => limits.day_quantity_max = Amount(day),
            3 => limits.collar = random.below(COIN / 50),
            4 => {
                let bad = random.pick(&[-1, Amount::MAX.0, Amount::MAX.0 + 1]);
                limits.day_quantity_max = Amount(bad);
            }
            _ => limits.order_notional_max = Amount(worth),
        }
        self.mending.push(risk_limits(account, symbol, RiskLimits::default()));
        risk_limits(account, symbol, limits)
    }

    fn set_trading_rules(&mut self, instrument: u32) -> Command {
        let envelope = Envelope::INTERNAL;
        let symbol = symbol(instrument);
        let mut rules = trading_rules(instrument);
        self.mending.push(SetTradingRules { envelope, symbol, rules }.into());
        let random = &mut self.random;
        let near = COIN / 1_000 * (1_000 + random.below(20));
        match random.below(14) {
            0 => rules.external_reference = Price(template_of(instrument).price),
            1 => rules.external_reference = Price(Price::MAX.0 + 1),
            2 => (rules.bucket_width_ms, rules.bucket_count) = (1 + random.below(90) as u32, 3),
            3 => rules.bucket_count = random.below(700) as u32,
            4 => rules.bid_limit_up = near,
            5 => rules.ask_limit_down = 2 * COIN - near,
            6 => rules.ask_limit_up = near,
            7 => rules.bid_limit_down = 2 * COIN - near,
            8 => rules.bid_limit_up = (COIN << 32) + random.below(2),
            9 => rules.volatility_band = near - COIN,
            10 => rules.volatility_minutes = random.below(63) as u32,
            11 => rules.volatility_auction_s = random.pick(&[0, 1, 86_400, 86_401]),
            12 => rules.bucket_width_ms = random.pick(&[0, 50, 3_600_000, 3_600_001]),
            _ => {
                (rules.volatility_band, rules.volatility_auction_s) = (near - COIN + 1, 1);
                rules.volatility_minutes = random.below(2) as u32;
            }
        }
        SetTradingRules { envelope, symbol, rules }.into()
    }

    /// Moments that are near, so that some come.
    fn set_calendar(&mut self, instrument: u32) -> Command {
        let envelope = Envelope::INTERNAL;
        let symbol = symbol(instrument);
        let mut entries = [CalendarEntry::NONE; CALENDAR_ENTRIES_MAX];
        let random = &mut self.random;
        let used = random.below(5) as usize;
        for entry in &mut entries[..used] {
            let ahead = random.pick(&[1, 1, 60, 1_200, 7_200]);
            let second = self.now / SECOND_NS + random.below(ahead * 3);
            entry.second = (second % 86_400) as u32;
            entry.weekdays = 1 + random.below(127) as u8;
            entry.status = random.pick(InstrumentStatus::ALL);
            if entry.status == InstrumentStatus::VolatilityAuction && !random.one_in(4) {
                entry.status = InstrumentStatus::Trading;
            }
        }
        let at = random.below(CALENDAR_ENTRIES_MAX as u64) as usize;
        match random.below(16) {
            0 => entries[at].weekdays = 128,
            1 => entries[at].second += 86_400,
            2 => entries[at].status = InstrumentStatus::Halt,
            _ => {}
        }
        let status = InstrumentStatus::Trading;
        self.endings.push(SetInstrumentStatus { envelope, symbol, status }.into());
        SetCalendar { envelope, symbol, entries }.into()
    }
}
