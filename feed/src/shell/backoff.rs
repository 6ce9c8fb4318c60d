//! How long to wait before the next connection: exponential, capped, with jitter. Reads no clock.

use super::random::Random;

/// Bounds of the waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffOptions {
    /// Longest first wait.
    pub first_ms: u64,
    /// Longest wait ever.
    pub wait_max_ms: u64,
    /// A connection that lasted so long was a good one: the next wait is a first one again.
    pub steady_ms: u64,
}

impl Default for BackoffOptions {
    fn default() -> BackoffOptions {
        BackoffOptions { first_ms: 500, wait_max_ms: 60_000, steady_ms: 30_000 }
    }
}

/// The waits between the connections to one address.
///
/// The n-th wait in a row is drawn from the upper half of `first_ms * 2^n`, capped: never nothing,
/// and never the same for two feeds that lost their connections together.
#[derive(Debug, Clone)]
pub struct Backoff {
    options: BackoffOptions,
    random: Random,
    failures: u32,
}

impl Backoff {
    pub fn new(options: BackoffOptions, seed: u64) -> Backoff {
        Backoff { options, random: Random::new(seed), failures: 0 }
    }

    /// A connection is over, or never came about (`lasted_ms` 0). Gives the wait in milliseconds.
    pub fn lost(&mut self, lasted_ms: u64) -> u64 {
        if lasted_ms >= self.options.steady_ms {
            self.failures = 0;
        }
        let doubled = 1_u64.checked_shl(self.failures).unwrap_or(u64::MAX);
        let longest = self.options.first_ms.saturating_mul(doubled);
        let longest = longest.min(self.options.wait_max_ms);
        self.failures = self.failures.saturating_add(1);
        longest - self.random.below(longest / 2 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: BackoffOptions =
        BackoffOptions { first_ms: 100, wait_max_ms: 3_000, steady_ms: 10_000 };

    #[test]
    fn waits_double_up_to_a_cap_and_keep_to_their_upper_half() {
        for seed in 0..200 {
            let mut backoff = Backoff::new(OPTIONS, seed);
            for longest in [100, 200, 400, 800, 1_600, 3_000, 3_000, 3_000] {
                let wait = backoff.lost(0);
                assert!((longest / 2..=longest).contains(&wait), "{wait} of {longest}, {seed}");
            }
            let longest = (0..100).map(|_| backoff.lost(0)).max();
            assert!(longest <= Some(3_000), "{longest:?}");
        }
    }

    #[test]
    fn a_connection_that_lasted_starts_over_and_a_short_one_does_not() {
        let mut backoff = Backoff::new(OPTIONS, 7);
        assert_eq!((0..5).filter(|_| backoff.lost(0) > 0).count(), 5);
        assert!(backoff.lost(9_999) >= 1_500);
        assert!(backoff.lost(10_000) <= 100);
        assert!(backoff.lost(0) <= 200);
    }

    #[test]
    fn the_same_seed_waits_the_same_and_another_does_not() {
        let waits = |seed| {
            let mut backoff = Backoff::new(OPTIONS, seed);
            (0..8).map(|_| backoff.lost(0)).collect::<Vec<_>>()
        };
        assert_eq!(waits(1), waits(1));
        assert_ne!(waits(1), waits(2));
    }
}
