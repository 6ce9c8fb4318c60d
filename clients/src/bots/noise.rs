//! The noise trader: small orders near the touch that come and go, now and then one that takes.

use protocol::{OrderKind, Price, Quantity, Side, TimeInForce};

use super::Trader;
use super::desk::{Desk, Intent, NewOrder, Phase, Touch};
use super::market::BotSymbol;
use crate::random::Random;

/// Open orders per instrument above which one is canceled first.
const OPEN_MAX: usize = 8;

/// Of decisions: cancel an order, per cent.
const CANCEL_PERCENT: u64 = 35;

/// Of new orders: immediate or cancel, per cent.
const IMMEDIATE_PERCENT: u64 = 15;

/// Orders stand up to this many levels away from the touch.
const LEVELS: u64 = 4;

pub(super) struct Noise {
    random: Random,
}

impl Noise {
    pub(super) fn new(seed: u64) -> Noise {
        Noise { random: Random::new(seed) }
    }

    fn cancel(&mut self, desk: &Desk, instrument: usize) -> Option<Intent> {
        let own = |side| desk.own(instrument, side);
        let open: Vec<u64> = own(Side::Buy)
            .chain(own(Side::Sell))
            .filter(|(_, own)| own.phase == Phase::Open)
            .map(|(number, _)| number)
            .collect();
        let drawn = self.random.below(open.len() as u64) as usize;
        open.get(drawn).map(|&number| Intent::Cancel { number })
    }

    fn place(&mut self, desk: &Desk, instrument: usize) -> Option<Intent> {
        let symbol = desk.symbols.get(instrument)?;
        let touch = (*desk.touches.get(instrument)?)?;
        let side = desk.lean(instrument, &mut self.random);
        let is_immediate = self.random.chance(IMMEDIATE_PERCENT, 100);
        let price = self.price(symbol, touch, side, is_immediate);
        let percent = self.random.between(10, 60);
        let wanted =
            Quantity((u128::from(symbol.order_quantity.0) * u128::from(percent) / 100) as u64);
        let new = NewOrder {
            instrument,
            side,
            kind: OrderKind::Limit,
            time_in_force: if is_immediate { TimeInForce::Ioc } else { TimeInForce::Gtc },
            price,
            quantity: symbol.fit(price, wanted),
        };
        let is_good = !desk.crosses_own(instrument, side, price) && desk.can_afford(&new);
        is_good.then_some(Intent::Place(new))
    }

    /// An order that takes meets the other side's best price; one that rests stands between that
    /// and a few levels behind its own side's.
    fn price(&mut self, symbol: &BotSymbol, touch: Touch, side: Side, is_immediate: bool) -> Price {
        let (own, other) = match side {
            Side::Buy => (touch.bid, touch.ask),
            Side::Sell => (touch.ask, touch.bid),
        };
        if is_immediate {
            return symbol.away(side, other, Price::ZERO);
        }
        let inside = own.0.abs_diff(other.0).saturating_sub(symbol.tick.0);
        let reach = inside.saturating_add(symbol.gap().0.saturating_mul(LEVELS));
        let drawn = Price(self.random.below(reach.saturating_add(1)));
        let nearest = symbol.away(side, other, symbol.tick);
        symbol.away(side, nearest, symbol.down_to_tick(drawn))
    }
}

impl Trader for Noise {
    fn turn(&mut self) {}

    fn decide(&mut self, desk: &Desk) -> Option<Intent> {
        let instrument = self.random.below(desk.symbols.len() as u64) as usize;
        let open =
            desk.own(instrument, Side::Buy).count() + desk.own(instrument, Side::Sell).count();
        if open >= OPEN_MAX || self.random.chance(CANCEL_PERCENT, 100) {
            return self.cancel(desk, instrument);
        }
        self.place(desk, instrument)
    }
}
