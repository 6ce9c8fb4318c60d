//! When each order is due: order `k` at `k / rate` seconds after the start. The schedule does not
//! know whether anybody kept to it, so a stall shows in the latency of every order it delayed.

const SECOND_NS: u128 = 1_000_000_000;

#[derive(Debug, Clone, Copy)]
pub(super) struct Schedule {
    /// Orders per second; never 0.
    rate: u64,
}

impl Schedule {
    pub(super) fn new(rate: u64) -> Schedule {
        Schedule { rate: rate.max(1) }
    }

    /// Nanoseconds after the start at which order `number` is to be sent.
    #[inline]
    pub(super) fn intended_ns(self, number: u64) -> u64 {
        (u128::from(number) * SECOND_NS / u128::from(self.rate)) as u64
    }

    /// How many orders are due `elapsed_ns` after the start.
    #[inline]
    pub(super) fn due(self, elapsed_ns: u64) -> u64 {
        // Order k is due when k × 10^9 / rate, cut, is not above the elapsed time.
        ((u128::from(elapsed_ns) + 1) * u128::from(self.rate)).div_ceil(SECOND_NS) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_are_due_at_even_distances() {
        let schedule = Schedule::new(4);
        assert_eq!(
            [0, 1, 2, 5].map(|number| schedule.intended_ns(number)),
            [0, 250_000_000, 500_000_000, 1_250_000_000]
        );
        assert_eq!(
            [0, 1, 249_999_999, 250_000_000, 1_000_000_000].map(|ns| schedule.due(ns)),
            [1, 1, 1, 2, 5]
        );
    }

    #[test]
    fn what_is_due_has_an_intended_time_that_passed() {
        for rate in [1, 3, 7, 999, 150_000, 3_333_333] {
            let schedule = Schedule::new(rate);
            for elapsed in (0..2_000_000_000).step_by(77_777_777) {
                let due = schedule.due(elapsed);
                assert!(schedule.intended_ns(due - 1) <= elapsed, "{rate} {elapsed}");
                assert!(schedule.intended_ns(due) > elapsed, "{rate} {elapsed}");
            }
        }
    }

    #[test]
    fn a_day_at_the_highest_rate_does_not_wrap() {
        let schedule = Schedule::new(1_000_000);
        assert_eq!(schedule.intended_ns(86_400_000_000), 86_400_000_000_000);
    }
}
