//! Order book imbalance: how much more is wanted than offered near the best prices, exactly.

use std::fmt;

/// Levels a side over which it is usually told.
pub const OBI_LEVELS: [usize; 3] = [5, 10, 20];

/// Decimal places of a ratio.
pub const RATIO_DECIMALS: u32 = 12;

/// One in counts of a ratio.
const ONE: u128 = 10u128.pow(RATIO_DECIMALS);

/// Sums of quantity over the best levels of both sides, in the counts of the book.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imbalance {
    pub bids: u128,
    pub asks: u128,
}

impl Imbalance {
    /// Over the best `levels` of each side, from the best outwards; fewer where a side has fewer.
    ///
    /// None: the sums together are more than [`Imbalance::SUM_MAX`].
    pub fn of(
        bids: impl IntoIterator<Item = u128>,
        asks: impl IntoIterator<Item = u128>,
        levels: usize,
    ) -> Option<Imbalance> {
        let imbalance = Imbalance { bids: sum(bids, levels)?, asks: sum(asks, levels)? };
        imbalance.total().map(|_| imbalance)
    }

    /// What both sums together may be: one digit more of it still fits 128 bits.
    pub const SUM_MAX: u128 = u128::MAX / 20;

    fn total(&self) -> Option<u128> {
        self.bids.checked_add(self.asks).filter(|total| *total <= Imbalance::SUM_MAX)
    }

    /// `(bids − asks) / (bids + asks)`, rounded half to even; none where nothing is on either side,
    /// or where the sums are too large.
    pub fn ratio(&self) -> Option<Ratio> {
        let total = self.total().filter(|total| *total > 0)?;
        let mut rest = self.bids.abs_diff(self.asks);
        // Long division: the product with 10^12 need not fit. The rest stays below the total.
        let mut count = 0i64;
        if rest == total {
            (count, rest) = (ONE as i64, 0);
        } else {
            for _ in 0..RATIO_DECIMALS {
                rest *= 10;
                count = count * 10 + (rest / total) as i64;
                rest %= total;
            }
        }
        let is_up = match (rest * 2).cmp(&total) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => count % 2 == 1,
            std::cmp::Ordering::Greater => true,
        };
        count += i64::from(is_up);
        Some(Ratio(if self.bids < self.asks { -count } else { count }))
    }
}

fn sum(quantities: impl IntoIterator<Item = u128>, levels: usize) -> Option<u128> {
    quantities.into_iter().take(levels).try_fold(0u128, u128::checked_add)
}

/// Between −1 and 1, in counts of 10^-12.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ratio(pub i64);

impl fmt::Display for Ratio {
    /// With all 12 decimals: `-0.862284824200`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = ONE as u64;
        let (sign, count) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        write!(f, "{sign}{}.{:012}", count / one, count % one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(bids: u128, asks: u128, expected: Option<&str>) {
        let ratio = |bids, asks| Imbalance { bids, asks }.ratio().map(|it| it.to_string());
        assert_eq!(ratio(bids, asks).as_deref(), expected, "{bids} {asks}");
        let opposite = expected.map(|it| match it.strip_prefix('-') {
            Some(it) => it.to_owned(),
            None if it.trim_matches(['0', '.']).is_empty() => it.to_owned(),
            None => format!("-{it}"),
        });
        assert_eq!(ratio(asks, bids), opposite, "{asks} {bids}");
    }

    #[test]
    fn a_ratio_has_twelve_decimals_rounded_half_to_even() {
        check(0, 0, None);
        check(1, 0, Some("1.000000000000"));
        check(7, 7, Some("0.000000000000"));
        check(2, 1, Some("0.333333333333"));
        check(5, 1, Some("0.666666666667"));
        // Rows of a recorded market.
        check(3_896_300_000_000, 2_917_860_000_000, Some("0.143589231835"));
        check(10_339_800, 139_822_300, Some("-0.862284824200"));
        // Exactly in the middle: 1, 3 and 5 halves of the last place.
        let total = 2 * ONE;
        for (difference, expected) in
            [(1, "0.000000000000"), (3, "0.000000000002"), (5, "0.000000000002")]
        {
            let double = 2 * total;
            check((double + 2 * difference) / 2, (double - 2 * difference) / 2, Some(expected));
        }
        check(ONE * 3 - 1, 1, Some("0.999999999999"));
        check(ONE * 4 - 1, 1, Some("1.000000000000"));
        check(ONE * 40 - 1, 1, Some("1.000000000000"));
    }

    /// The same by one division in 128 bits, where it fits.
    #[test]
    fn long_division_gives_what_one_division_gives() {
        let mut state = 7u64;
        let mut draw = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
            u128::from(state >> 11) % (1 << (state % 53))
        };
        for _ in 0..20_000 {
            let (bids, asks) = (draw(), draw());
            let total = bids + asks;
            let expected = (total > 0).then(|| {
                let scaled = bids.abs_diff(asks) * ONE;
                let (whole, rest) = (scaled / total, scaled % total);
                let up = rest * 2 > total || (rest * 2 == total && whole % 2 == 1);
                let count = whole as i64 + i64::from(up);
                Ratio(if bids < asks { -count } else { count })
            });
            assert_eq!(Imbalance { bids, asks }.ratio(), expected, "{bids} {asks}");
        }
    }

    #[test]
    fn sums_take_the_best_levels_and_are_refused_when_too_large() {
        let imbalance = Imbalance::of([1, 2, 3], [10, 20, 30, 40], 3);
        assert_eq!(imbalance, Some(Imbalance { bids: 6, asks: 60 }));
        assert_eq!(Imbalance::of([1], [], 5), Some(Imbalance { bids: 1, asks: 0 }));
        assert_eq!(Imbalance::of([u128::MAX, 1], [], 5), None);
        assert_eq!(Imbalance::of([Imbalance::SUM_MAX], [1], 5), None);
        let most = Imbalance::of([Imbalance::SUM_MAX - 1], [1], 5).unwrap();
        assert_eq!(most.ratio(), Some(Ratio(ONE as i64)));
    }
}
