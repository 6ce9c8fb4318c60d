//! Where something is, by a hash of its name: open addressing in one flat array, so that a look-up
//! touches one line of memory.
//!
//! A cell holds a hash and a place; what is at the place decides whether it is the thing looked
//! for. What is in a table stays; what comes and goes is in [`crate::chains`]. Nothing here depends
//! on the order in which things came.

use alloc::vec::Vec;
use core::ops::Range;

/// No place.
pub(crate) const NONE: u32 = u32::MAX;

const EMPTY: u64 = u64::MAX;

/// Cells of the smallest table.
const CELLS_MIN: usize = 16;

/// **Invariants:** the number of cells is a power of two, or 0; at most half of them are full;
/// between a full cell and the home of its hash no cell is empty.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Hash in the upper half, place in the lower.
    cells: Vec<u64>,
    len: usize,
    /// A hash without so many low bits is its home.
    shift: u32,
}

impl Table {
    #[inline]
    fn home(&self, hash: u32) -> usize {
        (hash >> self.shift) as usize
    }

    /// The place under this hash that `is_it`.
    #[inline]
    pub(crate) fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.cells.len().wrapping_sub(1);
        let mut at = self.home(hash);
        loop {
            let cell = *self.cells.get(at & mask)?;
            if (cell >> 32) as u32 == hash && cell != EMPTY && is_it(cell as u32) {
                return Some(cell as u32);
            }
            if cell == EMPTY {
                return None;
            }
            at += 1;
        }
    }

    /// Adds a place that is not under this hash yet.
    #[inline]
    pub(crate) fn insert(&mut self, hash: u32, place: u32) {
        if 2 * (self.len + 1) > self.cells.len() {
            self.grow();
        }
        self.len += 1;
        self.put(u64::from(hash) << 32 | u64::from(place));
    }

    #[inline]
    fn put(&mut self, cell: u64) {
        let mask = self.cells.len() - 1;
        let mut at = self.home((cell >> 32) as u32) & mask;
        while self.cells[at] != EMPTY {
            at = (at + 1) & mask;
        }
        self.cells[at] = cell;
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self) {
        let length = (2 * self.cells.len()).max(CELLS_MIN);
        assert!(length < 1 << 30, "fewer than 2^29 entries");
        self.shift = u32::BITS - length.trailing_zeros();
        let cells = core::mem::replace(&mut self.cells, alloc::vec![EMPTY; length]);
        cells.into_iter().filter(|cell| *cell != EMPTY).for_each(|cell| self.put(cell));
    }

    /// All places whose hash lies in the range, in no order that means anything. The range ends at
    /// 2^32 or before.
    pub(crate) fn places(&self, hashes: Range<u64>) -> impl Iterator<Item = u32> + '_ {
        let mask = self.cells.len().wrapping_sub(1);
        let first = (hashes.start >> self.shift) as usize;
        let last = (hashes.end >> self.shift) as usize;
        // Past the last home up to an empty cell, but never around more than once.
        let cells = (first..first + self.cells.len()).map(move |at| (at, self.cells[at & mask]));
        cells
            .take_while(move |(at, cell)| *at <= last || *cell != EMPTY)
            .filter(move |(_, cell)| *cell != EMPTY && hashes.contains(&(cell >> 32)))
            .map(|(_, cell)| cell as u32)
    }
}

/// A hash of two numbers that nobody can steer who does not know the seed.
#[inline]
pub(crate) fn mix(seed: u64, one: u64, other: u64) -> u64 {
    let product = u128::from(seed ^ one ^ 0x9e37_79b9_7f4a_7c15)
        * u128::from(seed.rotate_left(32) ^ other ^ 0xd6e8_feb8_6659_fd93);
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;

    /// Few distinct homes, so that cells run into each other and around the end.
    fn hash_of(place: u32) -> u32 {
        let spread = (mix(7, u64::from(place), 0) >> 32) as u32;
        if place.is_multiple_of(3) { spread | 0xffff_ff00 } else { spread }
    }

    #[test]
    fn a_table_holds_what_a_set_holds() {
        let (mut table, mut set) = (Table::default(), BTreeSet::new());
        for step in 0u64..5_000 {
            let place = (mix(1, step, 0) % 1_500) as u32;
            let hash = hash_of(place);
            assert_eq!(table.find(hash, |at| at == place).is_some(), set.contains(&place));
            if set.insert(place) {
                table.insert(hash, place);
            }
        }
        assert_eq!(table.places(0..1 << 32).collect::<BTreeSet<_>>(), set);
    }

    #[test]
    fn ranges_of_hashes_together_hold_every_place_once() {
        for count in [0u32, 1, 5, 100, 3_000] {
            let mut table = Table::default();
            (0..count).for_each(|place| table.insert(hash_of(place), place));
            let step = (1u64 << 32) / 37;
            let mut found: alloc::vec::Vec<u32> = (0..38)
                .flat_map(|part| {
                    let end = ((part + 1) * step).min(1 << 32);
                    table.places(part * step..end).collect::<alloc::vec::Vec<_>>()
                })
                .collect();
            found.sort_unstable();
            assert_eq!(found, (0..count).collect::<alloc::vec::Vec<_>>());
        }
    }
}
