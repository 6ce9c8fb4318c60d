//! The rate limit of a venue's REST API, shared by all symbols that ask it for snapshots. Reads no
//! clock.
//!
//! A venue counts weight in fixed minutes of its own clock. Ours is another one, so what was spent
//! counts for a whole minute after it was spent: never more than the limit in any of the venue's
//! minutes. Weight that others spend from the same address is learnt from the venue's answers. New
//! connections have a budget, too: one that weighs 1 each.

use std::collections::VecDeque;

const SECOND_NS: u64 = 1_000_000_000;
/// A refusal without `Retry-After`: 429 asks to slow down, 418 is a ban of two minutes or more.
const SLOW_DOWN_S: u64 = 10;
const BAN_S: u64 = 120;
/// The longest `Retry-After` that is believed: bans last at most three days.
const RETRY_AFTER_MAX_S: u64 = 3 * 24 * 3_600;
/// Requests that are remembered; the oldest are joined when there are more.
const SPENT_MAX: usize = 4_096;

/// The weight that is left of one address.
///
/// **Invariants:** `spent` is in order of time.
#[derive(Debug)]
pub struct Budget {
    weight_max: u32,
    window_ns: u64,
    spent: VecDeque<(u64, u32)>,
    blocked_until_ns: u64,
}

impl Budget {
    /// At most `weight_max` in any `window_ns`.
    pub fn new(weight_max: u32, window_ns: u64) -> Budget {
        Budget { weight_max, window_ns, spent: VecDeque::new(), blocked_until_ns: 0 }
    }

    /// Spends `weight` now. Error: the time to ask again.
    ///
    /// A weight above the whole limit is let through when nothing else was spent: it would never
    /// come, and the venue may know better.
    pub fn spend(&mut self, now_ns: u64, weight: u32) -> Result<(), u64> {
        if now_ns < self.blocked_until_ns {
            return Err(self.blocked_until_ns);
        }
        self.forget(now_ns);
        let limit = u64::from(self.weight_max);
        let mut total: u64 = self.spent.iter().map(|&(_, weight)| u64::from(weight)).sum();
        for &(at_ns, spent) in &self.spent {
            if total + u64::from(weight) <= limit {
                break;
            }
            total -= u64::from(spent);
            if total + u64::from(weight) <= limit || total == 0 {
                return Err(at_ns.saturating_add(self.window_ns));
            }
        }
        self.note(now_ns, weight);
        Ok(())
    }

    /// What an answer says of the limit: its status, the seconds of `Retry-After`, and the weight
    /// that the venue has counted in its minute so far.
    pub fn answered(
        &mut self,
        now_ns: u64,
        status: u16,
        retry_after_s: Option<u64>,
        used: Option<u32>,
    ) {
        let wait_s = match status {
            429 => retry_after_s.unwrap_or(SLOW_DOWN_S),
            418 => retry_after_s.unwrap_or(BAN_S),
            _ => retry_after_s.unwrap_or(0),
        };
        if wait_s > 0 {
            let wait_ns = wait_s.min(RETRY_AFTER_MAX_S) * SECOND_NS;
            self.blocked_until_ns = self.blocked_until_ns.max(now_ns.saturating_add(wait_ns));
        }
        self.forget(now_ns);
        let ours: u64 = self.spent.iter().map(|&(_, weight)| u64::from(weight)).sum();
        let others = u64::from(used.unwrap_or(0)).saturating_sub(ours);
        if others > 0 {
            self.note(now_ns, u32::try_from(others).unwrap_or(u32::MAX));
        }
    }

    /// Nothing is asked before this time; 0 when nothing was refused.
    pub fn blocked_until_ns(&self) -> u64 {
        self.blocked_until_ns
    }

    fn forget(&mut self, now_ns: u64) {
        let is_past = |&(at, _): &(u64, u32)| at.saturating_add(self.window_ns) <= now_ns;
        while self.spent.front().is_some_and(is_past) {
            self.spent.pop_front();
        }
    }

    fn note(&mut self, now_ns: u64, weight: u32) {
        let last_ns = self.spent.back().map_or(0, |&(at, _)| at);
        if self.spent.len() == SPENT_MAX
            && let Some((_, oldest)) = self.spent.pop_front()
            && let Some((_, next)) = self.spent.front_mut()
        {
            *next = next.saturating_add(oldest);
        }
        self.spent.push_back((now_ns.max(last_ns), weight));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW_NS: u64 = 60 * SECOND_NS;

    fn budget(weight_max: u32) -> Budget {
        Budget::new(weight_max, WINDOW_NS)
    }

    #[test]
    fn in_no_minute_more_is_spent_than_the_limit() {
        let mut budget = budget(600);
        let (mut now, mut spent) = (SECOND_NS, Vec::new());
        for _ in 0..100 {
            while let Err(again) = budget.spend(now, 250) {
                assert!(again > now, "{again} is not after {now}");
                now = again;
            }
            spent.push(now);
            now += 3 * SECOND_NS;
        }
        for (index, &at) in spent.iter().enumerate() {
            let within = spent[index..].iter().take_while(|&&it| it < at + WINDOW_NS).count();
            assert!(within * 250 <= 600, "{within} from {at}");
        }
        // And no less than it allows: two a minute.
        assert!(now <= 51 * WINDOW_NS, "{now}");
    }

    #[test]
    fn a_refusal_blocks_all_for_as_long_as_it_says() {
        #[track_caller]
        fn check(status: u16, retry_after_s: Option<u64>, seconds: u64) {
            let mut budget = budget(600);
            budget.answered(SECOND_NS, status, retry_after_s, None);
            let until = if seconds == 0 { 0 } else { (1 + seconds) * SECOND_NS };
            assert_eq!(budget.blocked_until_ns(), until, "{status} {retry_after_s:?}");
            let asked = budget.spend(SECOND_NS + 1, 1);
            assert_eq!(asked, if seconds == 0 { Ok(()) } else { Err(until) });
            assert_eq!(budget.spend(until.max(SECOND_NS + 1), 1), Ok(()));
        }
        check(200, None, 0);
        check(429, Some(7), 7);
        check(429, None, SLOW_DOWN_S);
        check(418, None, BAN_S);
        check(418, Some(u64::MAX), RETRY_AFTER_MAX_S);
        check(503, Some(3), 3);
        check(404, None, 0);
    }

    #[test]
    fn a_shorter_refusal_does_not_end_a_longer_one() {
        let mut budget = budget(600);
        budget.answered(0, 418, Some(100), None);
        budget.answered(SECOND_NS, 429, Some(1), None);
        assert_eq!(budget.blocked_until_ns(), 100 * SECOND_NS);
    }

    #[test]
    fn what_others_spend_counts_too() {
        let mut budget = budget(600);
        assert_eq!(budget.spend(SECOND_NS, 50), Ok(()));
        budget.answered(SECOND_NS, 200, None, Some(500));
        assert_eq!(budget.spend(2 * SECOND_NS, 100), Ok(()));
        assert_eq!(budget.spend(3 * SECOND_NS, 50), Err(61 * SECOND_NS));
    }

    #[test]
    fn a_weight_above_the_limit_waits_for_nothing_but_the_rest() {
        let mut budget = budget(600);
        assert_eq!(budget.spend(SECOND_NS, 1_000), Ok(()));
        assert_eq!(budget.spend(2 * SECOND_NS, 1_000), Err(61 * SECOND_NS));
        assert_eq!(budget.spend(61 * SECOND_NS, 1_000), Ok(()));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut budget = budget(u32::MAX);
        (0..3 * SPENT_MAX as u64).for_each(|now| assert_eq!(budget.spend(now, 1), Ok(())));
        assert_eq!(budget.spent.len(), SPENT_MAX);
        assert_eq!(budget.spent.iter().map(|it| it.1).sum::<u32>() as usize, 3 * SPENT_MAX);
    }
}
