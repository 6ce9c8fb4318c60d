//! One side of a book: levels in blocks of bounded length, sorted, so that a change moves little.

use crate::book::Written;

/// Levels of a block; a longer one is split.
const BLOCK_MAX: usize = 32;
/// A block below this is joined with a neighbour, if both together are no longer than half a block.
const BLOCK_SMALL: usize = BLOCK_MAX / 8;

/// A level beside its key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) quantity: u128,
    pub(crate) written: Written,
}

/// **Invariants:** keys rise, within a block and from block to block; no block is empty or longer
/// than [`BLOCK_MAX`]; `lasts` are the last keys of the blocks; `len` is the sum of their lengths.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ladder {
    blocks: Vec<Block>,
    lasts: Vec<u64>,
    len: usize,
    /// Where the last change was; any number is right.
    near: usize,
}

#[derive(Debug, Clone, Default)]
struct Block {
    keys: Vec<u64>,
    entries: Vec<Entry>,
}

impl Block {
    fn split_off(&mut self, at: usize) -> Block {
        Block { keys: self.keys.split_off(at), entries: self.entries.split_off(at) }
    }

    fn append(&mut self, other: &mut Block) {
        self.keys.append(&mut other.keys);
        self.entries.append(&mut other.entries);
    }
}

impl Ladder {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn first(&self) -> Option<u64> {
        self.blocks.first()?.keys.first().copied()
    }

    pub(crate) fn last(&self) -> Option<u64> {
        self.lasts.last().copied()
    }

    /// From the last to the first.
    pub(crate) fn iter_back(&self) -> impl Iterator<Item = (u64, &Entry)> {
        let blocks = self.blocks.iter().rev();
        blocks.flat_map(|block| block.keys.iter().copied().zip(&block.entries).rev())
    }

    /// How many keys are this or greater.
    pub(crate) fn count_from(&self, key: u64) -> usize {
        let at = self.lasts.partition_point(|&last| last < key);
        let below = self.blocks.get(at).map_or(0, |it| it.keys.partition_point(|&it| it < key));
        let rest = self.blocks.get(at..).unwrap_or(&[]).iter().map(|it| it.keys.len());
        rest.sum::<usize>() - below
    }

    /// Sets a level, or removes it with a quantity of zero; returns what it was, zero if none.
    #[inline]
    pub(crate) fn set(&mut self, key: u64, entry: Entry) -> Entry {
        let place = self.place_of(key);
        self.near = place;
        let Some(block) = self.blocks.get_mut(place) else { return self.push(key, entry) };
        let at = block.keys.partition_point(|&other| other < key);
        match (block.keys.get(at) == Some(&key), entry.quantity) {
            (false, 0) => Entry::default(),
            (false, _) => {
                block.keys.insert(at, key);
                block.entries.insert(at, entry);
                self.len += 1;
                if block.keys.len() > BLOCK_MAX {
                    self.split(place);
                }
                Entry::default()
            }
            (true, 0) => self.remove(place, at),
            (true, _) => match block.entries.get_mut(at) {
                Some(old) => std::mem::replace(old, entry),
                None => Entry::default(),
            },
        }
    }

    /// The block that has the key, or would. Changes come sorted: mostly it is the one of the change
    /// before, or one beside it.
    #[inline(always)]
    fn place_of(&self, key: u64) -> usize {
        let reaches = |at: usize| self.lasts.get(at).is_none_or(|&last| key <= last);
        let begins = |at: usize| at == 0 || self.lasts.get(at - 1).is_none_or(|&last| last < key);
        match self.near {
            near if near > self.lasts.len() => self.lasts.partition_point(|&last| last < key),
            near if reaches(near) && begins(near) => near,
            near if near > 0 && reaches(near - 1) && begins(near - 1) => near - 1,
            near if reaches(near + 1) && begins(near + 1) && near < self.lasts.len() => near + 1,
            _ => self.lasts.partition_point(|&last| last < key),
        }
    }

    /// A key greater than all others.
    fn push(&mut self, key: u64, entry: Entry) -> Entry {
        if entry.quantity == 0 {
            return Entry::default();
        }
        self.len += 1;
        match (self.blocks.last_mut(), self.lasts.last_mut()) {
            (Some(block), Some(last)) => {
                block.keys.push(key);
                block.entries.push(entry);
                *last = key;
                if block.keys.len() > BLOCK_MAX {
                    self.split(self.blocks.len() - 1);
                }
            }
            _ => {
                self.blocks.push(Block { keys: vec![key], entries: vec![entry] });
                self.lasts.push(key);
            }
        }
        Entry::default()
    }

    #[cold]
    fn split(&mut self, place: usize) {
        let Some(block) = self.blocks.get_mut(place) else { return };
        let upper = block.split_off(block.keys.len() / 2);
        let last = block.keys.last().copied().unwrap_or(0);
        self.blocks.insert(place + 1, upper);
        self.lasts.insert(place, last);
    }

    fn remove(&mut self, place: usize, at: usize) -> Entry {
        let Some(block) = self.blocks.get_mut(place) else { return Entry::default() };
        block.keys.remove(at);
        let removed = block.entries.remove(at);
        self.len -= 1;
        if let (Some(&key), Some(last)) = (block.keys.last(), self.lasts.get_mut(place)) {
            *last = key;
        }
        if block.keys.len() < BLOCK_SMALL {
            self.join(place);
        }
        removed
    }

    /// Puts a small block into a neighbour, or takes an empty one out.
    #[cold]
    fn join(&mut self, place: usize) {
        let length = |at: usize| self.blocks.get(at).map(|block| block.keys.len());
        let own = length(place).unwrap_or(0);
        let fits = |at: usize| length(at).is_some_and(|other| own + other <= BLOCK_MAX / 2);
        if own == 0 {
            self.blocks.remove(place);
            self.lasts.remove(place);
        } else if fits(place + 1) {
            self.join_next(place);
        } else if place > 0 && fits(place - 1) {
            self.join_next(place - 1);
        }
    }

    fn join_next(&mut self, place: usize) {
        let mut next = self.blocks.remove(place + 1);
        self.lasts.remove(place);
        if let Some(block) = self.blocks.get_mut(place) {
            block.append(&mut next);
        }
    }

    /// Takes the first levels away, as many as said.
    pub(crate) fn drain_first(&mut self, count: usize, mut each: impl FnMut(u64, Entry)) {
        let mut rest = count.min(self.len);
        self.len -= rest;
        while let Some(block) = self.blocks.first_mut() {
            let taken = rest.min(block.keys.len());
            let entries = block.entries.drain(..taken);
            block.keys.drain(..taken).zip(entries).for_each(|(key, entry)| each(key, entry));
            rest -= taken;
            if !block.keys.is_empty() {
                break;
            }
            self.blocks.remove(0);
            self.lasts.remove(0);
        }
    }

    /// Changes every level; `change` keeps the order of keys. None: it could not, and some may be
    /// changed.
    pub(crate) fn try_for_each(
        &mut self,
        mut change: impl FnMut(&mut u64, &mut Entry) -> Option<()>,
    ) -> Option<()> {
        for (block, last) in self.blocks.iter_mut().zip(&mut self.lasts) {
            for (key, entry) in block.keys.iter_mut().zip(&mut block.entries) {
                change(key, entry)?;
            }
            *last = block.keys.last().copied()?;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn check(ladder: &Ladder, model: &BTreeMap<u64, u128>) {
        let shown: Vec<_> = ladder.iter_back().map(|(key, it)| (key, it.quantity)).collect();
        assert!(shown.iter().rev().copied().eq(model.iter().map(|(key, it)| (*key, *it))));
        assert_eq!((ladder.len(), ladder.blocks.len()), (model.len(), ladder.lasts.len()));
        for (block, last) in ladder.blocks.iter().zip(&ladder.lasts) {
            assert!((1..=BLOCK_MAX).contains(&block.keys.len()));
            assert_eq!((block.keys.last(), block.keys.len()), (Some(last), block.entries.len()));
        }
        assert_eq!(ladder.first(), model.first_key_value().map(|it| *it.0));
        assert_eq!(ladder.last(), model.last_key_value().map(|it| *it.0));
    }

    #[test]
    fn a_ladder_is_what_a_map_is() {
        for spread in [3, 100, 1_000, 100_000] {
            let (mut ladder, mut model) = (Ladder::default(), BTreeMap::new());
            let mut state = spread;
            let mut draw = |below: u64| {
                state = u64::wrapping_mul(state, 6_364_136_223_846_793_005).wrapping_add(1_442_695);
                (state >> 33) % below
            };
            for step in 0..20_000_u64 {
                // Grows, and shrinks again.
                let removes = if (step / 4_000) % 2 == 0 { 3 } else { 7 };
                let (key, quantity) = (draw(spread), u128::from(draw(10).saturating_sub(removes)));
                let before = match quantity {
                    0 => model.remove(&key),
                    _ => model.insert(key, quantity),
                };
                let entry = Entry { quantity, written: Written::default() };
                assert_eq!(ladder.set(key, entry).quantity, before.unwrap_or(0));
                if step % 97 == 0 {
                    let from = draw(spread);
                    assert_eq!(ladder.count_from(from), model.range(from..).count());
                    check(&ladder, &model);
                }
                if step % 1_009 == 0 {
                    let count = draw(70) as usize;
                    ladder.drain_first(count, |key, it| {
                        assert_eq!(model.pop_first(), Some((key, it.quantity)));
                    });
                    check(&ladder, &model);
                }
            }
        }
    }
}
