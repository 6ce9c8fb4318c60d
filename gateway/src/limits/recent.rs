//! A map that remembers the keys used lately.

use core::hash::Hash;
use core::mem;
use std::collections::HashMap;

/// Two generations. A key that is used moves to the young one; once that holds half of the bound,
/// the old one is forgotten and the generations change places. So the last `length_max / 2` keys
/// used are always remembered, and never more than `length_max`. Keys are chosen by strangers:
/// the hasher is seeded.
///
/// **Invariants:** no key is in both; each holds at most `half`, which is above 0.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    half: usize,
}

impl<K: Copy + Eq + Hash, V: Default> Recent<K, V> {
    pub(super) fn new(length_max: usize) -> Recent<K, V> {
        let half = (length_max / 2).max(1);
        Recent { young: HashMap::new(), old: HashMap::new(), half }
    }

    /// The value of a key, which counts as used; the default if it is new or forgotten.
    pub(super) fn entry(&mut self, key: &K) -> &mut V {
        if self.young.len() >= self.half && !self.young.contains_key(key) {
            let kept = self.old.remove(key);
            mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
            self.young.extend(kept.map(|value| (*key, value)));
        }
        let Recent { young, old, .. } = self;
        young.entry(*key).or_insert_with(|| old.remove(key).unwrap_or_default())
    }

    /// Reads without counting as use.
    pub(super) fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    pub(super) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let Recent { young, old, .. } = self;
        young.get_mut(key).or_else(|| old.get_mut(key))
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}
