//! The rolling hash over events: the same events in the same order give the same value, wherever
//! frames begin and end.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A hash over a growing list of records. It takes 16 bytes at a time, which is what records are
/// padded to, and one step keeps only the last multiplication on its path: a processor works on many
/// steps at once. docs/format.md has the definition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RollingHash(pub u64);

/// Digits of the golden ratio and of pi.
const LOW: u64 = 0x9e37_79b9_7f4a_7c15;
const HIGH: u64 = 0x243f_6a88_85a3_08d3;

impl RollingHash {
    /// Adds whole records, header and padding included.
    #[inline]
    pub fn add(&mut self, records: &[u8]) {
        let (blocks, rest) = records.as_chunks::<16>();
        debug_assert!(rest.is_empty(), "records are padded to 16");
        let (fours, rest) = blocks.as_chunks::<4>();
        let mut hash = self.0;
        for four in fours {
            let sum = four.iter().fold(0, step);
            hash = hash.wrapping_mul(9 * 9 * 9 * 9).wrapping_add(sum);
        }
        self.0 = rest.iter().fold(hash, step);
    }
}

/// One block further.
#[inline(always)]
fn step(hash: u64, block: &[u8; 16]) -> u64 {
    let block = u128::from_le_bytes(*block);
    let (low, high) = (block as u64 ^ LOW, (block >> 64) as u64 ^ HIGH);
    let product = u128::from(low) * u128::from(high);
    hash.wrapping_mul(9).wrapping_add(product as u64 ^ (product >> 64) as u64)
}

/// Hash of a whole byte string, seeded.
pub fn hash_bytes(bytes: &[u8], seed: u64) -> u64 {
    xxh3_64_with_seed(bytes, seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers below 64, each in a byte: four blocks.
    fn blocks() -> [u8; 64] {
        core::array::from_fn(|at| at as u8)
    }

    fn hash(pieces: &[&[u8]]) -> u64 {
        let mut hash = RollingHash(7);
        pieces.iter().for_each(|piece| hash.add(piece));
        hash.0
    }

    #[test]
    fn the_hash_does_not_see_where_pieces_begin_and_end() {
        let bytes = blocks().repeat(3);
        for at in (0..bytes.len()).step_by(16) {
            let (one, other) = bytes.split_at(at);
            assert_eq!(hash(&[one, other]), hash(&[&bytes]), "{at}");
        }
    }

    /// docs/format.md has the same number.
    #[test]
    fn the_hash_of_64_bytes_is_what_the_format_says() {
        let mut hash = RollingHash::default();
        hash.add(&blocks());
        assert_eq!(hash.0, 0x09d3_07c6_c7a7_4152);
    }

    #[test]
    fn other_bytes_or_another_order_give_another_hash() {
        let bytes = blocks();
        for bit in 0..8 * bytes.len() {
            let mut other = bytes;
            other[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(hash(&[&other]), hash(&[&bytes]), "bit {bit}");
        }
        let [a, b, c, d] = [0, 16, 32, 48].map(|at| &bytes[at..at + 16]);
        for other in [[b, a, c, d], [a, c, b, d], [d, b, c, a], [a, a, a, a]] {
            assert_ne!(hash(&other), hash(&[&bytes]));
        }
        assert_ne!(hash(&[&[0; 16]]), hash(&[&[0; 32]]));
    }
}
