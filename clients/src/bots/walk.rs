//! The fair price of one instrument: a random walk that is pulled back to its reference price.

use protocol::Price;

use crate::random::Random;

/// Parts of a price unit in the walk's own unit, so that small prices move too.
const FINE: i128 = 1 << 16;

/// One step in parts per million of the reference price: the sum of this many draws from
/// `-STEP_PPM ..= STEP_PPM`.
const DRAWS: usize = 3;
const STEP_PPM: i128 = 12;
const MILLION: i128 = 1_000_000;

/// Each step takes back this part of the distance to the reference price.
const PULL: i128 = 4_096;

/// The walk ends this many percent away from its reference.
const DISTANCE_PERCENT_MAX: i128 = 10;

/// **Invariants:** the fair price is within 10 % of the reference price.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    random: Random,
    /// Both in `1 / FINE` of a price unit.
    reference: i128,
    fair: i128,
}

impl Walk {
    pub(super) fn new(reference: Price, random: Random) -> Walk {
        let reference = i128::from(reference.0) * FINE;
        Walk { random, reference, fair: reference }
    }

    pub(super) fn step(&mut self) {
        let draw =
            |random: &mut Random| i128::from(random.below(2 * STEP_PPM as u64 + 1)) - STEP_PPM;
        let drawn: i128 = (0..DRAWS).map(|_| draw(&mut self.random)).sum();
        let pull = (self.reference - self.fair) / PULL;
        let distance_max = self.reference * DISTANCE_PERCENT_MAX / 100;
        let moved = self.fair + self.reference * drawn / MILLION + pull;
        self.fair = moved.clamp(self.reference - distance_max, self.reference + distance_max);
    }

    pub(super) fn fair(&self) -> Price {
        Price(u64::try_from(self.fair / FINE).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_walk_moves_and_stays_near_its_reference() {
        for (seed, reference) in [(1, 6_000_000_000_000), (2, 100), (3, 5_000)] {
            let mut walk = Walk::new(Price(reference), Random::new(seed));
            let mut seen = std::collections::BTreeSet::new();
            for _ in 0..200_000 {
                walk.step();
                let distance = walk.fair().0.abs_diff(reference);
                assert!(distance * 10 <= reference + 10, "seed {seed}");
                seen.insert(walk.fair());
            }
            assert!(seen.len() > 1, "seed {seed}");
        }
    }

    #[test]
    fn one_seed_gives_one_walk() {
        let steps = |seed| {
            let mut walk = Walk::new(Price(1_000_000_000), Random::new(seed));
            (0..100).map(|_| (walk.step(), walk.fair()).1).collect::<Vec<_>>()
        };
        assert_eq!(steps(5), steps(5));
        assert_ne!(steps(5), steps(6));
    }
}
