//! Facts that only venue commands change, by their names, with a hash of all of them at hand.

use crate::table::mix;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use protocol::hash::hash_bytes;
use protocol::record::{Record, encode};

/// **Invariants:** `sum` is the wrapping sum of the hashes of all facts, whatever their history.
#[derive(Debug)]
pub(crate) struct Registry<K, R> {
    facts: BTreeMap<K, R>,
    sum: u64,
}

impl<K, R> Default for Registry<K, R> {
    fn default() -> Registry<K, R> {
        Registry { facts: BTreeMap::new(), sum: 0 }
    }
}

fn hash_of(record: &impl Record) -> u64 {
    let mut bytes = Vec::new();
    encode(record, &mut bytes);
    hash_bytes(&bytes, 0)
}

impl<K: Ord, R: Record> Registry<K, R> {
    pub(crate) fn len(&self) -> usize {
        self.facts.len()
    }

    pub(crate) fn get(&self, name: &K) -> Option<&R> {
        self.facts.get(name)
    }

    /// All facts, by name.
    pub(crate) fn values(&self) -> impl Iterator<Item = &R> + '_ {
        self.facts.values()
    }

    /// States a fact, in place of one of the same name.
    pub(crate) fn insert(&mut self, name: K, fact: R) {
        self.sum = self.sum.wrapping_add(hash_of(&fact));
        if let Some(before) = self.facts.insert(name, fact) {
            self.sum = self.sum.wrapping_sub(hash_of(&before));
        }
    }

    pub(crate) fn remove(&mut self, name: &K) -> Option<R> {
        let removed = self.facts.remove(name)?;
        self.sum = self.sum.wrapping_sub(hash_of(&removed));
        Some(removed)
    }

    /// Of all facts.
    pub(crate) fn hash(&self) -> u64 {
        mix(self.facts.len() as u64, self.sum, 0)
    }
}
