//! Histograms of nanoseconds and the percentiles people read.

use std::fmt;

use hdrhistogram::Histogram;

/// The longest time that is told apart; longer ones count as this.
const LATENCY_NS_MAX: u64 = 600 * 1_000_000_000;

/// Significant decimal digits of a histogram.
const DIGITS: u8 = 3;

/// Times in nanoseconds.
#[derive(Clone)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Latencies {
        let histogram = Histogram::new_with_bounds(1, LATENCY_NS_MAX, DIGITS);
        Latencies(histogram.expect("constant bounds are legal"))
    }
}

impl Latencies {
    pub fn new() -> Latencies {
        Latencies::default()
    }

    pub fn record(&mut self, nanoseconds: u64) {
        self.0.saturating_record(nanoseconds.max(1));
    }

    pub(crate) fn percentiles(&self) -> Percentiles {
        Percentiles {
            count: self.0.len(),
            p50_ns: self.0.value_at_quantile(0.5),
            p90_ns: self.0.value_at_quantile(0.9),
            p99_ns: self.0.value_at_quantile(0.99),
            p999_ns: self.0.value_at_quantile(0.999),
            max_ns: self.0.max(),
        }
    }

    /// p50, p99, p99.9 and p99.99.
    pub fn tail_ns(&self) -> [u64; 4] {
        [0.5, 0.99, 0.999, 0.9999].map(|quantile| self.0.value_at_quantile(quantile))
    }
}

/// Percentiles of a set of times in nanoseconds; all 0 when nothing was measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Percentiles {
    pub count: u64,
    pub p50_ns: u64,
    pub p90_ns: u64,
    pub p99_ns: u64,
    pub p999_ns: u64,
    pub max_ns: u64,
}

/// The line above columns of [`Percentiles`].
pub(crate) struct PercentilesHeading;

impl fmt::Display for PercentilesHeading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in ["count", "p50", "p90", "p99", "p99.9", "max"] {
            write!(f, "{name:>12}")?;
        }
        Ok(())
    }
}

/// Count, then p50, p90, p99, p99.9 and maximum in microseconds, in columns of 12.
impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>12}", self.count)?;
        for ns in [self.p50_ns, self.p90_ns, self.p99_ns, self.p999_ns, self.max_ns] {
            write!(f, "{:>12}", microseconds(ns))?;
        }
        Ok(())
    }
}

/// `12.3us` from 12,345 ns.
pub(crate) fn microseconds(ns: u64) -> String {
    format!("{}.{}us", ns / 1_000, ns % 1_000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut latencies = Latencies::new();
        (1..=1_000).for_each(|step| latencies.record(step * 1_000));
        let percentiles = latencies.percentiles();
        assert_eq!(percentiles.count, 1_000);
        assert_eq!(percentiles.p50_ns / 1_000, 500);
        assert_eq!(percentiles.p99_ns / 1_000, 990);
        assert_eq!(microseconds(12_345), "12.3us");
    }

    #[test]
    fn a_time_past_the_end_is_counted() {
        let mut latencies = Latencies::new();
        latencies.record(u64::MAX);
        assert_eq!(latencies.percentiles().count, 1);
    }
}
