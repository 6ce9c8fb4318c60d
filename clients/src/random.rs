//! The generator of every random choice of this crate: xorshift64*, seeded through splitmix64.

/// **Invariants:** the state is never zero.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random { state: splitmix(seed).max(1) }
    }

    /// A generator of its own for each `lane` of one seed.
    pub(crate) fn lane(seed: u64, lane: u64) -> Random {
        Random::new(splitmix(seed) ^ splitmix(!lane))
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Below `bound`; 0 when `bound` is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }

    /// From `low` to `high`, both included; `low` when they are the wrong way round.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low.saturating_add(self.below(high.saturating_sub(low).saturating_add(1)))
    }

    /// True `parts` times in `whole`.
    pub(crate) fn chance(&mut self, parts: u64, whole: u64) -> bool {
        self.below(whole) < parts
    }
}

fn splitmix(seed: u64) -> u64 {
    let mut mixed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_stays_below_its_bound() {
        let mut random = Random::new(7);
        for bound in [1, 2, 10, 1_000_003] {
            for _ in 0..1_000 {
                assert!(random.below(bound) < bound);
                assert!((3..=3 + bound).contains(&random.between(3, 3 + bound)));
            }
        }
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn lanes_of_one_seed_differ() {
        assert_ne!(Random::lane(1, 0).draw(), Random::lane(1, 1).draw());
        assert_eq!(Random::lane(1, 0).draw(), Random::lane(1, 0).draw());
    }
}
