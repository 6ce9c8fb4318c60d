//! Which open orders have a hash: those that share a bucket form a chain, each linked to the next.
//!
//! Orders come and go with nearly every command. To join is to stand before the first of a chain, to
//! leave is to be stepped over, whatever else is in the table; links lie where the order's other
//! facts are. What only ever grows is in a [`crate::table`].

use crate::slab::Slot;
use alloc::vec::Vec;
use core::ops::Range;

/// Buckets of the smallest table.
const BUCKETS_MIN: usize = 16;

/// With fewer slots than one for so many buckets, the table is made smaller: the sweep of the state
/// looks at the buckets of a share of it, full or not.
const BUCKETS_PER_SLOT_MAX: usize = 16;
const _: () = assert!(BUCKETS_MIN <= BUCKETS_PER_SLOT_MAX);

/// Where the links of chains lie.
pub(crate) trait Links {
    /// The next of the chain.
    fn next(&self, slot: Slot) -> Slot;
    fn set_next(&mut self, slot: Slot, next: Slot);
    /// What the slot was inserted with.
    fn hash(&self, slot: Slot) -> u32;
}

/// **Invariants:** the number of buckets is a power of two, or 0, at least twice that of the slots and
/// not more than 16 times (or the smallest there is); a slot is in the chain of its hash, once.
#[derive(Debug, Default)]
pub(crate) struct Chains {
    /// The first of each chain.
    first: Vec<Slot>,
    len: usize,
}

impl Chains {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The low bits of a hash.
    #[inline]
    fn bucket(&self, hash: u32) -> usize {
        hash as usize & self.first.len().wrapping_sub(1)
    }

    /// The slot in the chain of this hash that `is_it`.
    #[inline]
    pub(crate) fn find(
        &self,
        links: &impl Links,
        hash: u32,
        is_it: impl Fn(Slot) -> bool,
    ) -> Option<Slot> {
        let mut slot = *self.first.get(self.bucket(hash))?;
        while !slot.is_none() {
            if is_it(slot) {
                return Some(slot);
            }
            slot = links.next(slot);
        }
        None
    }

    /// Adds a slot that is in no chain.
    #[inline]
    pub(crate) fn insert(&mut self, links: &mut impl Links, hash: u32, slot: Slot) {
        if 2 * (self.len + 1) > self.first.len() {
            self.resize(links, (2 * self.first.len()).max(BUCKETS_MIN));
        }
        self.len += 1;
        self.put(links, hash, slot);
    }

    #[inline]
    fn put(&mut self, links: &mut impl Links, hash: u32, slot: Slot) {
        let bucket = self.bucket(hash);
        let next = core::mem::replace(&mut self.first[bucket], slot);
        links.set_next(slot, next);
    }

    #[cold]
    #[inline(never)]
    fn resize(&mut self, links: &mut impl Links, length: usize) {
        assert!(length < 1 << 30, "fewer than 2^28 open orders");
        for first in core::mem::replace(&mut self.first, alloc::vec![Slot::NONE; length]) {
            let mut slot = first;
            while !slot.is_none() {
                let next = links.next(slot);
                self.put(links, links.hash(slot), slot);
                slot = next;
            }
        }
    }

    /// Takes a slot out of the chain of its hash.
    #[inline]
    pub(crate) fn remove(&mut self, links: &mut impl Links, hash: u32, slot: Slot) {
        let next = links.next(slot);
        let bucket = self.bucket(hash);
        let mut before = self.first[bucket];
        self.len -= 1;
        if before == slot {
            self.first[bucket] = next;
        } else {
            loop {
                assert!(!before.is_none(), "slot {slot:?} is in no chain");
                let after = links.next(before);
                if after == slot {
                    break;
                }
                before = after;
            }
            links.set_next(before, next);
        }
        if self.first.len() > BUCKETS_PER_SLOT_MAX * self.len.max(1) {
            self.resize(links, (self.first.len() / 4).max(BUCKETS_MIN));
        }
    }

    /// All slots whose hash, its bits reversed, lies in the range, in no order that means anything:
    /// so a range is some buckets, however many there are. It ends at 2^32 or before.
    pub(crate) fn reversed<'a>(
        &'a self,
        links: &'a impl Links,
        range: Range<u64>,
    ) -> impl Iterator<Item = Slot> + 'a {
        let bits = self.first.len().max(1).trailing_zeros();
        let prefix = |reversed: u64| reversed >> (u32::BITS - bits);
        let prefixes = match range.is_empty() {
            true => 0..0,
            false => prefix(range.start)..prefix(range.end - 1) + 1,
        };
        let first = move |prefix: u64| {
            // The prefix of the reversed is the reverse of the low bits.
            let low = (prefix as u32).reverse_bits() >> 1 >> (u32::BITS - 1 - bits);
            self.first.get(low as usize)?.some()
        };
        prefixes
            .filter_map(first)
            .flat_map(|first| core::iter::successors(Some(first), |slot| links.next(*slot).some()))
            .filter(move |slot| range.contains(&links.hash(*slot).reverse_bits().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::mix;
    use alloc::collections::BTreeSet;

    /// Slots by a hash of their numbers, in which many are equal.
    struct Numbers(Vec<Slot>);

    fn hash_of(slot: Slot) -> u32 {
        (mix(7, u64::from(slot.0 / 3), 0) >> 32) as u32
    }

    impl Links for Numbers {
        fn next(&self, slot: Slot) -> Slot {
            self.0[slot.0 as usize]
        }

        fn set_next(&mut self, slot: Slot, next: Slot) {
            self.0[slot.0 as usize] = next;
        }

        fn hash(&self, slot: Slot) -> u32 {
            hash_of(slot)
        }
    }

    #[test]
    fn chains_hold_what_a_set_holds() {
        let mut links = Numbers(alloc::vec![Slot::NONE; 1_001]);
        let (mut chains, mut set) = (Chains::default(), BTreeSet::new());
        for step in 0..20_000u64 {
            let slot = Slot(1 + (mix(step, 3, 5) % 1_000) as u32);
            let hash = hash_of(slot);
            let found = chains.find(&links, hash, |at| at == slot);
            assert_eq!(found.is_some(), set.contains(&slot));
            if set.remove(&slot) {
                chains.remove(&mut links, hash, slot);
            } else {
                set.insert(slot);
                chains.insert(&mut links, hash, slot);
            }
            assert_eq!(chains.len(), set.len());
        }
        assert_eq!(chains.reversed(&links, 0..1 << 32).collect::<BTreeSet<_>>(), set);
    }

    /// The sweep of a loaded engine goes through a table that never was larger.
    #[test]
    fn a_table_that_was_larger_has_the_same_slots_in_every_range_and_is_small_again() {
        let mut links = [(); 2].map(|()| Numbers(alloc::vec![Slot::NONE; 10_001]));
        let mut chains = [(); 2].map(|()| Chains::default());
        (1..=10_000)
            .map(Slot)
            .for_each(|slot| chains[0].insert(&mut links[0], hash_of(slot), slot));
        let buckets = chains[0].first.len();
        for slot in (1..=10_000).map(Slot) {
            let stays = slot.0.is_multiple_of(100);
            match stays {
                true => chains[1].insert(&mut links[1], hash_of(slot), slot),
                false => chains[0].remove(&mut links[0], hash_of(slot), slot),
            }
            let before = chains[0].first.len();
            assert!(before <= (16 * chains[0].len()).max(BUCKETS_MIN), "{before} buckets");
        }
        assert!(chains[0].first.len() * 16 <= buckets);
        assert_ne!(chains[0].first.len(), chains[1].first.len());
        let step = (1u64 << 32) / 37;
        for part in 0..38 {
            let range = part * step..((part + 1) * step).min(1 << 32);
            let [large, small] = [0, 1].map(|at| {
                let mut found: Vec<Slot> = chains[at].reversed(&links[at], range.clone()).collect();
                found.sort_unstable();
                found
            });
            assert_eq!(large, small, "{range:?}");
        }
    }

    #[test]
    fn ranges_of_hashes_together_hold_every_slot_once() {
        for count in [0u32, 1, 5, 100, 3_000] {
            let mut links = Numbers(alloc::vec![Slot::NONE; count as usize + 1]);
            let mut chains = Chains::default();
            let slots = (1..=count).map(Slot);
            slots.clone().for_each(|slot| chains.insert(&mut links, hash_of(slot), slot));
            let step = (1u64 << 32) / 37;
            let mut found = Vec::new();
            for part in 0..38 {
                let end = ((part + 1) * step).min(1 << 32);
                found.extend(chains.reversed(&links, part * step..end));
            }
            found.sort_unstable();
            assert_eq!(found, slots.collect::<Vec<_>>());
        }
    }
}
