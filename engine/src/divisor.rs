//! Exact division by a number that is known long before: one multiplication instead of a division.

/// Divides what it divides without a remainder, and says so of the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Divisor {
    unit: u64,
    /// Of the odd part of the unit, modulo 2^64.
    inverse: u64,
    /// Twos in the unit.
    shift: u32,
    /// The largest quotient.
    limit: u64,
}

impl Divisor {
    /// Divides everything: a grid that is switched off.
    pub(crate) const EVERYTHING: Divisor = Divisor { unit: 0, inverse: 0, shift: 0, limit: 0 };

    /// Divides nothing but 0: a grid that is not known yet.
    pub(crate) const NOTHING: Divisor = Divisor { unit: 0, inverse: 1, shift: 0, limit: 0 };

    /// A unit of 0 divides everything.
    pub(crate) fn new(unit: u64) -> Divisor {
        if unit == 0 {
            return Divisor::EVERYTHING;
        }
        let shift = unit.trailing_zeros();
        let odd = unit >> shift;
        // Newton's step doubles the bits that are right; an odd number is its own inverse in 3.
        let inverse = (0..5).fold(odd, |inverse: u64, _| {
            inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)))
        });
        Divisor { unit, inverse, shift, limit: u64::MAX / unit }
    }

    pub(crate) fn unit(&self) -> u64 {
        self.unit
    }

    /// The quotient, if there is no remainder.
    #[inline]
    pub(crate) fn quotient(&self, number: u64) -> Option<u64> {
        // What the unit does not divide comes out above every quotient.
        let quotient = number.wrapping_mul(self.inverse).rotate_right(self.shift);
        (quotient <= self.limit).then_some(quotient)
    }

    #[inline]
    pub(crate) fn divides(&self, number: u64) -> bool {
        self.quotient(number).is_some()
    }
}

/// The greatest number that divides both.
pub(crate) fn greatest_common(mut one: u64, mut other: u64) -> u64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_are_those_of_a_division() {
        for unit in [1, 2, 3, 7, 10, 96, 1_000_000, 1_000_001, 1 << 40, u64::MAX / 3, u64::MAX] {
            let divisor = Divisor::new(unit);
            let near = [0, 1, 2, 3, 5, 64, 1_000].map(|times: u64| unit.wrapping_mul(times));
            for number in near.into_iter().chain([u64::MAX, u64::MAX - 1, u64::MAX / unit * unit]) {
                for number in [number, number.wrapping_add(1), number.wrapping_sub(1)] {
                    let expected = number.is_multiple_of(unit).then(|| number / unit);
                    assert_eq!(divisor.quotient(number), expected, "{number} by {unit}");
                }
            }
        }
        assert!(Divisor::EVERYTHING.divides(7));
        assert!(!Divisor::NOTHING.divides(7));
        assert_eq!(greatest_common(0, 12), 12);
        assert_eq!(greatest_common(18, 12), 6);
    }
}
