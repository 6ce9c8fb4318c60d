//! What a bot must know of an instrument, and prices and quantities that fit its filters.

use protocol::{Amount, Price, Quantity, SCALE, Side};

/// An instrument the bots trade on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BotSymbol {
    pub symbol: String,
    pub base: String,
    pub quote: String,
    /// The price that the fair price returns to.
    pub reference_price: Price,
    pub tick: Price,
    pub step: Quantity,
    /// Usual quantity of an order on the first level.
    pub order_quantity: Quantity,
    /// In the quote asset.
    pub min_notional: Amount,
}

/// Orders stand this far above the smallest notional, in percent: prices move.
const NOTIONAL_MARGIN_PERCENT: u128 = 125;

/// Distance of price levels in parts per million of the reference price, at least a tick.
const GAP_PPM: u128 = 25;
const MILLION: u128 = 1_000_000;

impl BotSymbol {
    /// Whether prices and quantities can be made at all.
    pub(super) fn is_usable(&self) -> bool {
        let numbers = [self.reference_price.0, self.tick.0, self.step.0, self.order_quantity.0];
        numbers.iter().all(|&number| number > 0 && number <= Price::MAX.0)
            && self.tick < self.reference_price
    }

    /// The distance of two price levels: whole ticks.
    pub(super) fn gap(&self) -> Price {
        let wanted = u128::from(self.reference_price.0) * GAP_PPM / MILLION;
        self.down_to_tick(Price(wanted as u64))
    }

    /// The next price on a tick that is not above `price`, at least one tick.
    pub(super) fn down_to_tick(&self, price: Price) -> Price {
        Price((price.0 / self.tick.0).max(1) * self.tick.0)
    }

    /// `distance` away from `price` to the side on which orders of `side` rest; on a tick.
    pub(super) fn away(&self, side: Side, price: Price, distance: Price) -> Price {
        let moved = match side {
            Side::Buy => price.0.saturating_sub(distance.0),
            Side::Sell => price.0.saturating_add(distance.0).min(Price::MAX.0),
        };
        self.down_to_tick(Price(moved))
    }

    /// The quantity on a step that is nearest below `wanted` and large enough for `price`.
    pub(super) fn fit(&self, price: Price, wanted: Quantity) -> Quantity {
        let steps = (wanted.0 / self.step.0).max(self.steps_min(price));
        Quantity(steps.saturating_mul(self.step.0).min(Quantity::MAX.0 / self.step.0 * self.step.0))
    }

    /// The fewest steps whose notional at `price` is above the smallest one, with its margin.
    fn steps_min(&self, price: Price) -> u64 {
        let notional = self.min_notional.0.max(0) as u128 * NOTIONAL_MARGIN_PERCENT / 100;
        let step_value = u128::from(price.0.max(1)) * u128::from(self.step.0);
        let steps = notional.saturating_mul(u128::from(SCALE)).div_ceil(step_value);
        u64::try_from(steps.max(1)).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::random::Random;
    use protocol::notional;

    pub(in crate::bots) fn symbol(name: &str, price: &str, tick: &str, step: &str) -> BotSymbol {
        let (base, quote) = name.split_at(name.len() - 4);
        BotSymbol {
            symbol: name.to_owned(),
            base: base.to_owned(),
            quote: quote.to_owned(),
            reference_price: Price::parse(price).unwrap(),
            tick: Price::parse(tick).unwrap(),
            step: Quantity::parse(step).unwrap(),
            order_quantity: Quantity(Quantity::parse(step).unwrap().0 * 20),
            min_notional: Amount::parse("5").unwrap(),
        }
    }

    pub(in crate::bots) fn symbols() -> Vec<BotSymbol> {
        vec![
            symbol("BTCUSDT", "61234.56", "0.01", "0.00001"),
            symbol("PEPEUSDT", "0.00001234", "0.00000001", "1"),
            symbol("COARSEUSDT", "3", "0.5", "0.1"),
        ]
    }

    #[test]
    fn a_fitted_quantity_is_on_a_step_and_above_the_smallest_notional() {
        let mut random = Random::new(11);
        for symbol in symbols() {
            for _ in 0..2_000 {
                let price = symbol.down_to_tick(Price(random.below(symbol.reference_price.0 * 2)));
                let quantity = symbol.fit(price, Quantity(random.below(symbol.order_quantity.0)));
                assert!(quantity.0.is_multiple_of(symbol.step.0));
                assert!(notional(price, quantity) >= symbol.min_notional, "{price} {quantity}");
            }
        }
    }

    #[test]
    fn prices_are_on_a_tick_and_never_zero() {
        let symbol = symbol("AUSDT", "10", "0.03", "1");
        assert_eq!(symbol.down_to_tick(Price(0)), symbol.tick);
        assert_eq!(symbol.away(Side::Buy, Price(5), Price(100)), symbol.tick);
        assert!(symbol.gap().0.is_multiple_of(symbol.tick.0));
        assert!(symbol.gap() >= symbol.tick);
    }
}
