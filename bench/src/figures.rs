//! Times of many operations, and what is printed of them.

use std::fmt;

use hdrhistogram::Histogram;

use crate::Result;

/// Quantiles that are printed.
const QUANTILES: [f64; 4] = [0.5, 0.99, 0.999, 0.9999];

/// For times in nanoseconds, up to an hour, in three digits.
pub fn histogram() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, 3_600_000_000_000, 3)?)
}

/// The figures of all rounds of one thing.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    per_second: Vec<f64>,
    quantiles: [Vec<u64>; 4],
}

impl Figures {
    pub fn add_rate(&mut self, per_second: f64) {
        self.per_second.push(per_second);
    }

    pub fn add_times(&mut self, histogram: &Histogram<u64>) {
        self.add_quantiles(QUANTILES.map(|quantile| histogram.value_at_quantile(quantile)));
    }

    /// p50, p99, p99.9 and p99.99 of one round.
    pub fn add_quantiles(&mut self, quantiles: [u64; 4]) {
        for (values, value) in self.quantiles.iter_mut().zip(quantiles) {
            values.push(value);
        }
    }

    /// The median of the rounds.
    pub fn per_second(&self) -> f64 {
        let mut sorted = self.per_second.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
    }

    /// The medians of the rounds, in nanoseconds.
    pub fn quantiles(&self) -> [u64; 4] {
        self.quantiles.each_ref().map(|values| {
            let mut sorted = values.clone();
            sorted.sort_unstable();
            sorted.get(sorted.len() / 2).copied().unwrap_or(0)
        })
    }
}

/// A line of the report: name, operations per second, percentiles in nanoseconds.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>14}", grouped(self.per_second() as u64))?;
        self.quantiles().iter().try_for_each(|value| write!(f, " {:>11}", grouped(*value)))
    }
}

/// `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_round_counts() {
        let mut figures = Figures::default();
        for (rate, time) in [(3.0, 30_000_000), (1.0, 10_000_000), (2.0, 20_000_000)] {
            let mut histogram = histogram().unwrap();
            histogram.record(time).unwrap();
            figures.add_rate(rate);
            figures.add_times(&histogram);
        }
        assert_eq!(figures.per_second(), 2.0);
        let three_digits = |time: u64| (19_980_000..20_020_000).contains(&time);
        assert!(figures.quantiles().into_iter().all(three_digits), "{figures:?}");
    }

    #[test]
    fn digits_stand_in_groups_of_three() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1 << 20, "1,048,576")] {
            assert_eq!(grouped(number), text);
        }
    }
}
