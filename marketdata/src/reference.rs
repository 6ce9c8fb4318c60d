//! The reference price, as the venue calculates it from trades or an operator sets it
//! (docs/rules.md, §9; price_range_execution_rules.md).

use protocol::command::TradingRules;
use protocol::{AggregateTradeId, MILLISECOND_NS, Price, Stamp};
use std::collections::VecDeque;

/// Counts and sums of a bucket have four digits more.
const BUCKET_SCALE: u64 = 10_000;

part! {
    /// Trades of one interval.
    pub struct Bucket {
        /// Milliseconds since 1970.
        pub open: u64,
        /// Trades × 10^4.
        pub count: u64,
        /// Σ price × 10^4.
        pub sum: i128,
    }
}

/// Stands for an aggregate that is still to come.
const AWAITED: AggregateTradeId = AggregateTradeId(u64::MAX);

/// The one trade that the prints of an uncross count as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Print {
    #[default]
    None,
    /// It was counted; its trades follow.
    Awaited,
    /// Its trades are this aggregate.
    Of(AggregateTradeId),
}

/// The rules of one instrument and the trades that its reference price is made of.
///
/// **Invariants:** opening times of buckets rise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reference {
    rules: TradingRules,
    buckets: VecDeque<Bucket>,
    print: Print,
}

impl Reference {
    pub fn rules(&self) -> &TradingRules {
        &self.rules
    }

    /// Is there a rule that gives a price, whether or not it gives one now?
    pub fn is_defined(&self) -> bool {
        self.rules.bucket_width_ms != 0 || !self.rules.external_reference.is_zero()
    }

    /// The price as of `now`.
    pub fn price(&self, now: Stamp) -> Option<Price> {
        match self.rules.external_reference {
            Price::ZERO => self.average(now),
            external => Some(external),
        }
    }

    fn average(&self, now: Stamp) -> Option<Price> {
        let (width, cutoff) = (self.width(), self.cutoff(now));
        let (mut count, mut sum) = (0i128, 0i128);
        for bucket in &self.buckets {
            let inside = bucket.open.saturating_add(width).saturating_sub(cutoff).min(width);
            let share = |whole: i128| match inside == width {
                true => whole,
                false => whole.saturating_mul(i128::from(inside)) / i128::from(width.max(1)),
            };
            count = count.saturating_add(share(i128::from(bucket.count)));
            sum = sum.saturating_add(share(bucket.sum));
        }
        let price = sum.checked_div(count)?;
        Some(Price(u64::try_from(price).unwrap_or(u64::MAX).min(Price::MAX.0)))
    }

    fn width(&self) -> u64 {
        u64::from(self.rules.bucket_width_ms)
    }

    /// Milliseconds; what is older does not count.
    fn cutoff(&self, now: Stamp) -> u64 {
        let window = self.width() * u64::from(self.rules.bucket_count);
        (now.0 / MILLISECOND_NS).saturating_sub(window)
    }

    pub(crate) fn set_rules(&mut self, rules: &TradingRules) {
        let buckets = |it: &TradingRules| (it.bucket_width_ms, it.bucket_count);
        if buckets(rules) != buckets(&self.rules) {
            self.buckets.clear();
        }
        self.rules = *rules;
    }

    pub(crate) fn traded(&mut self, aggregate: AggregateTradeId, price: Price, now: Stamp) {
        match self.print {
            Print::Awaited => self.print = Print::Of(aggregate),
            Print::Of(printed) if printed == aggregate => {}
            Print::None | Print::Of(_) => self.add(price, now),
        }
    }

    /// All trades of an uncross, which follow, are one print; a price of 0 is none.
    pub(crate) fn uncrossed(&mut self, price: Price, now: Stamp) {
        if !price.is_zero() {
            self.print = Print::Awaited;
            self.add(price, now);
        }
    }

    fn add(&mut self, price: Price, now: Stamp) {
        let (width, cutoff) = (self.width(), self.cutoff(now));
        if width == 0 {
            return;
        }
        while self.buckets.front().is_some_and(|it| it.open.saturating_add(width) <= cutoff) {
            self.buckets.pop_front();
        }
        let now = now.0 / MILLISECOND_NS;
        let open = now - now % width;
        if self.buckets.back().is_none_or(|last| last.open < open) {
            self.buckets.push_back(Bucket { open, count: 0, sum: 0 });
        }
        if let Some(last) = self.buckets.back_mut() {
            last.count = last.count.saturating_add(BUCKET_SCALE);
            last.sum = last.sum.saturating_add(i128::from(price.0) * i128::from(BUCKET_SCALE));
        }
    }

    pub(crate) fn buckets(&self) -> impl Iterator<Item = &Bucket> {
        self.buckets.iter()
    }

    /// As it is saved.
    pub(crate) fn print(&self) -> AggregateTradeId {
        match self.print {
            Print::Of(aggregate) => aggregate,
            Print::None => AggregateTradeId::NONE,
            Print::Awaited => AWAITED,
        }
    }

    pub(crate) fn restore_print(&mut self, aggregate: AggregateTradeId) {
        self.print = match aggregate {
            AggregateTradeId::NONE => Print::None,
            AWAITED => Print::Awaited,
            aggregate => Print::Of(aggregate),
        };
    }

    /// False if it does not follow the last one; nothing is changed.
    pub(crate) fn restore(&mut self, bucket: Bucket) -> bool {
        let rises = self.buckets.back().is_none_or(|last| last.open < bucket.open);
        if rises {
            self.buckets.push_back(bucket);
        }
        rises
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Stamp {
        Stamp(ms * MILLISECOND_NS)
    }

    fn with(rules: TradingRules) -> Reference {
        Reference { rules, ..Reference::default() }
    }

    const TWO_SECONDS: (u32, u32) = (1_000, 2);

    fn two_seconds() -> Reference {
        let (bucket_width_ms, bucket_count) = TWO_SECONDS;
        with(TradingRules { bucket_width_ms, bucket_count, ..TradingRules::default() })
    }

    #[test]
    fn a_bucket_that_straddles_the_cutoff_counts_in_part() {
        let mut reference = two_seconds();
        assert_eq!(reference.price(at(10_000)), None);
        for (ms, price) in [(10_000, 100), (10_999, 300), (11_500, 500)] {
            reference.traded(AggregateTradeId(ms), Price(price), at(ms));
        }
        assert_eq!(reference.price(at(11_900)), Some(Price(300)));
        // The cutoff is 10,500: half of the first bucket is gone: (200 + 500) / 2.
        assert_eq!(reference.price(at(12_500)), Some(Price(350)));
        assert_eq!(reference.price(at(13_000)), Some(Price(500)));
        assert_eq!(reference.price(at(14_000)), None);
        reference.traded(AggregateTradeId(9), Price(7), at(14_000));
        assert_eq!(reference.buckets().count(), 1, "what is too old is dropped");
    }

    #[test]
    fn an_operators_price_goes_before_and_other_buckets_begin_anew() {
        let mut reference = two_seconds();
        reference.traded(AggregateTradeId(1), Price(100), at(10_000));
        let rules = *reference.rules();
        reference.set_rules(&TradingRules { external_reference: Price(7), ..rules });
        assert_eq!(reference.price(at(10_000)), Some(Price(7)));
        reference.set_rules(&rules);
        assert_eq!(reference.price(at(10_000)), Some(Price(100)), "trades were counted on");
        reference.set_rules(&TradingRules { bucket_count: 3, ..rules });
        assert_eq!(reference.price(at(10_000)), None);
        assert!(reference.is_defined());
        reference.set_rules(&TradingRules::default());
        assert!(!reference.is_defined());
    }

    #[test]
    fn the_trades_of_an_uncross_are_one_print() {
        let mut reference = two_seconds();
        reference.traded(AggregateTradeId(1), Price(100), at(10_000));
        reference.uncrossed(Price(200), at(10_000));
        for _ in 0..3 {
            reference.traded(AggregateTradeId(2), Price(200), at(10_000));
        }
        assert_eq!(reference.price(at(10_000)), Some(Price(150)));
        reference.traded(AggregateTradeId(3), Price(600), at(10_000));
        assert_eq!(reference.price(at(10_000)), Some(Price(300)));
        reference.uncrossed(Price::ZERO, at(10_000));
        reference.traded(AggregateTradeId(4), Price(300), at(10_000));
        assert_eq!(reference.price(at(10_000)), Some(Price(300)), "nothing was printed before");
    }
}
