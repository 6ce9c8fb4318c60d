//! The taker: small MARKET orders and LIMIT orders that cross, so that there are trades.

use protocol::{OrderKind, Price, Quantity, Side, TimeInForce};

use super::Trader;
use super::desk::{Desk, Intent, NewOrder};
use crate::random::Random;

/// Of orders: MARKET, per cent. The others are LIMIT, immediate or cancel.
const MARKET_PERCENT: u64 = 50;

/// Levels past the best price that a LIMIT order takes.
const SLIPPAGE_LEVELS: u64 = 4;

/// Unanswered orders per instrument and side above which nothing is sent.
const UNANSWERED_MAX: usize = 4;

pub(super) struct Taker {
    random: Random,
}

impl Taker {
    pub(super) fn new(seed: u64) -> Taker {
        Taker { random: Random::new(seed) }
    }
}

impl Trader for Taker {
    fn turn(&mut self) {}

    fn decide(&mut self, desk: &Desk) -> Option<Intent> {
        let instrument = self.random.below(desk.symbols.len() as u64) as usize;
        let symbol = desk.symbols.get(instrument)?;
        let touch = (*desk.touches.get(instrument)?)?;
        let side = desk.lean(instrument, &mut self.random);
        let best = match side {
            Side::Buy => touch.ask,
            Side::Sell => touch.bid,
        };
        let slippage = Price(symbol.gap().0.saturating_mul(SLIPPAGE_LEVELS));
        let price = symbol.away(side.opposite(), best, slippage);
        let percent = self.random.between(10, 120);
        let wanted =
            Quantity((u128::from(symbol.order_quantity.0) * u128::from(percent) / 100) as u64);
        let kind = match self.random.chance(MARKET_PERCENT, 100) {
            true => OrderKind::Market,
            false => OrderKind::Limit,
        };
        // The smallest notional counts at the price of the trade.
        let quantity = symbol.fit(price.min(best), wanted);
        let time_in_force = TimeInForce::Ioc;
        let new = NewOrder { instrument, side, kind, time_in_force, price, quantity };
        let is_good = desk.own(instrument, side).count() < UNANSWERED_MAX && desk.can_afford(&new);
        is_good.then_some(Intent::Place(new))
    }
}
