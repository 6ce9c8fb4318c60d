//! The rolling hash over events: the same events in the same order give the same value, wherever
//! frames begin and end.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A hash over a growing list of byte strings.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RollingHash(pub u64);

impl RollingHash {
    /// Adds one record, header and padding included.
    pub fn add(&mut self, record: &[u8]) {
        self.0 = xxh3_64_with_seed(record, self.0);
    }
}

/// Hash of a whole byte string, seeded.
pub fn hash_bytes(bytes: &[u8], seed: u64) -> u64 {
    xxh3_64_with_seed(bytes, seed)
}
