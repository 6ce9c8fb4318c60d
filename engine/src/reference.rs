//! The reference price and the bands around prices (docs/rules.md §5, 9 and 11;
//! price_range_execution_rules.md).

use alloc::collections::VecDeque;
use protocol::command::TradingRules;
use protocol::{Price, SCALE, Side, Stamp};

const MILLISECOND_NS: u64 = 1_000_000;
/// Fixed-point digits of counts and sums of a bucket.
const BUCKET_SCALE: u128 = 10_000;

/// Trades of one interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bucket {
    /// Milliseconds since 1970.
    pub(crate) open: u64,
    /// × 10^4.
    pub(crate) count: u64,
    /// Σ price × 10^4.
    pub(crate) sum: u128,
}

/// The moving average of trade prices.
///
/// **Invariants:** opening times rise and are multiples of the width.
#[derive(Debug, Default)]
pub(crate) struct Buckets {
    pub(crate) buckets: VecDeque<Bucket>,
}

impl Buckets {
    pub(crate) fn add(&mut self, rules: &TradingRules, now: Stamp, price: Price) {
        let (width, now) = (u64::from(rules.bucket_width_ms), now.0 / MILLISECOND_NS);
        if width == 0 {
            return;
        }
        let cutoff = cutoff(rules, now);
        while self.buckets.front().is_some_and(|bucket| bucket.open + width <= cutoff) {
            self.buckets.pop_front();
        }
        let open = now - now % width;
        if self.buckets.back().is_none_or(|last| last.open != open) {
            self.buckets.push_back(Bucket { open, count: 0, sum: 0 });
        }
        if let Some(last) = self.buckets.back_mut() {
            last.count += BUCKET_SCALE as u64;
            last.sum += u128::from(price.0) * BUCKET_SCALE;
        }
    }

    fn average(&self, rules: &TradingRules, now: Stamp) -> Option<Price> {
        let (width, now) = (u64::from(rules.bucket_width_ms), now.0 / MILLISECOND_NS);
        let cutoff = cutoff(rules, now);
        let (mut count, mut sum) = (0u128, 0u128);
        for bucket in &self.buckets {
            let inside = (bucket.open + width).saturating_sub(cutoff).min(width);
            let share = |whole: u128| match inside == width {
                true => whole,
                false => whole * u128::from(inside) / u128::from(width),
            };
            count += share(u128::from(bucket.count));
            sum += share(bucket.sum);
        }
        let price = sum.checked_div(count)?;
        Some(Price(u64::try_from(price).unwrap_or(u64::MAX).min(Price::MAX.0)))
    }

    /// The reference price, if there is one.
    pub(crate) fn reference(&self, rules: &TradingRules, now: Stamp) -> Option<Price> {
        match rules.external_reference {
            Price::ZERO => self.average(rules, now),
            external => Some(external),
        }
    }
}

/// Milliseconds; what is older does not count.
fn cutoff(rules: &TradingRules, now: u64) -> u64 {
    now.saturating_sub(u64::from(rules.bucket_width_ms) * u64::from(rules.bucket_count))
}

/// `price × multiple`, the multiple in counts of 10^-8, cut, at most `Price::MAX`.
pub(crate) fn times(price: Price, multiple: u64) -> Price {
    let product = u128::from(price.0) * u128::from(multiple) / u128::from(SCALE);
    Price(u64::try_from(product).unwrap_or(u64::MAX).min(Price::MAX.0))
}

/// Is the price above `middle × multiple`? A multiple of 0 is no bound.
pub(crate) fn is_above(price: Price, middle: Price, multiple: u64) -> bool {
    let bound = u128::from(middle.0) * u128::from(multiple);
    multiple != 0 && u128::from(price.0) * u128::from(SCALE) > bound
}

/// Is the price below `middle × multiple`? A multiple of 0 is no bound.
pub(crate) fn is_below(price: Price, middle: Price, multiple: u64) -> bool {
    let bound = u128::from(middle.0) * u128::from(multiple);
    multiple != 0 && u128::from(price.0) * u128::from(SCALE) < bound
}

/// Is the price further from `middle` than `band`, in counts of 10^-8 of it?
pub(crate) fn is_outside(price: Price, middle: Price, band: u64) -> bool {
    let distance = u128::from(price.0.abs_diff(middle.0)) * u128::from(SCALE);
    distance > u128::from(middle.0) * u128::from(band)
}

/// Between which prices a run of one side may execute, and in which band all do.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Bounds {
    /// Reference price with the multiples above and below which nothing executes.
    range: Option<(Price, u64, u64)>,
    /// Middle and width.
    band: Option<(Price, u64)>,
}

/// What stands in the way of a trade at a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Obstacle {
    PriceRange,
    /// Trading is to be interrupted; the middle of the band.
    Volatility {
        middle: Price,
    },
}

impl Bounds {
    pub(crate) fn new(
        rules: &TradingRules,
        side: Side,
        reference: Option<Price>,
        middle: Option<Price>,
    ) -> Bounds {
        let (up, down) = match side {
            Side::Buy => (rules.bid_limit_up, rules.bid_limit_down),
            Side::Sell => (rules.ask_limit_up, rules.ask_limit_down),
        };
        let band = middle.map(|middle| (middle, rules.volatility_band));
        Bounds {
            range: reference.map(|reference| (reference, up, down)),
            band: band.filter(|(_, width)| *width != 0),
        }
    }

    pub(crate) fn obstacle(&self, price: Price) -> Option<Obstacle> {
        if let Some((reference, up, down)) = self.range
            && (is_above(price, reference, up) || is_below(price, reference, down))
        {
            return Some(Obstacle::PriceRange);
        }
        let (middle, width) = self.band?;
        is_outside(price, middle, width).then_some(Obstacle::Volatility { middle })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Stamp {
        Stamp(ms * MILLISECOND_NS)
    }

    #[test]
    fn a_bucket_that_straddles_the_cutoff_counts_in_part() {
        let rules =
            TradingRules { bucket_width_ms: 1_000, bucket_count: 2, ..TradingRules::default() };
        let mut buckets = Buckets::default();
        assert_eq!(buckets.reference(&rules, at(10_000)), None);
        buckets.add(&rules, at(10_000), Price(100));
        buckets.add(&rules, at(10_999), Price(300));
        buckets.add(&rules, at(11_500), Price(500));
        assert_eq!(buckets.reference(&rules, at(11_900)), Some(Price(300)));
        // Cutoff 10,500: half of the first bucket is gone: (200 + 500) / 2.
        assert_eq!(buckets.reference(&rules, at(12_500)), Some(Price(350)));
        assert_eq!(buckets.reference(&rules, at(13_000)), Some(Price(500)));
        assert_eq!(buckets.reference(&rules, at(14_000)), None);
        let external = TradingRules { external_reference: Price(7), ..rules };
        assert_eq!(buckets.reference(&external, at(14_000)), Some(Price(7)));
    }

    #[test]
    fn a_run_keeps_within_range_and_band() {
        let rules = TradingRules {
            bid_limit_up: 2 * SCALE,
            ask_limit_down: SCALE / 2,
            volatility_band: SCALE / 10,
            ..TradingRules::default()
        };
        let buyer = Bounds::new(&rules, Side::Buy, Some(Price(100)), None);
        assert_eq!(buyer.obstacle(Price(200)), None);
        assert_eq!(buyer.obstacle(Price(201)), Some(Obstacle::PriceRange));
        assert_eq!(buyer.obstacle(Price(1)), None);
        let seller = Bounds::new(&rules, Side::Sell, Some(Price(100)), Some(Price(100)));
        assert_eq!(seller.obstacle(Price(49)), Some(Obstacle::PriceRange));
        assert_eq!(seller.obstacle(Price(90)), None);
        let volatility = Some(Obstacle::Volatility { middle: Price(100) });
        assert_eq!(seller.obstacle(Price(89)), volatility);
        assert_eq!(seller.obstacle(Price(111)), volatility);
    }
}
