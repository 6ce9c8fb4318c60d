//! The price levels of one side in the order of their prices.
//!
//! A price is a whole number of grid units; 64 neighbours share a page, which exists while one of
//! them has orders. In a page the next level is found by its bits; from page to page there are
//! links. An ordered map of the pages is touched only when a page appears or vanishes, and by the
//! look-ups that a small direct-mapped memory of pages does not answer. So a book of close prices
//! takes no search at all, and one of prices far apart takes one in an ordered map, as before.

use crate::divisor::{Divisor, greatest_common};
use crate::table::NONE;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use protocol::{Price, Side};

const PAGE: u64 = 64;

/// The grid is looked at anew after so many pages, and half as many as there are.
const PAGES_BETWEEN_CHECKS: usize = 64;

#[derive(Debug)]
struct Page {
    number: u64,
    /// A bit for each level that exists.
    occupied: u64,
    /// Neighbours that exist, whatever lies between.
    better: u32,
    worse: u32,
    levels: [u32; PAGE as usize],
}

#[derive(Debug, Clone, Copy)]
struct Near {
    number: u64,
    page: u32,
}

/// No page has this number.
const NOWHERE: Near = Near { number: u64::MAX, page: NONE };

/// Where a level of some price is or would be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    page: u32,
    key: u64,
}

/// **Invariants:** every page has a level; `by_number` holds all pages and no other; the links
/// follow it; what `near` says of a page is so; `best` has the smallest key of all.
#[derive(Debug)]
pub(crate) struct Ladder {
    /// Turns an index of the grid into a key, and back: keys grow from best to worst.
    flip: u64,
    grid: Divisor,
    best: u32,
    best_key: u64,
    pages: Vec<Page>,
    free: Vec<u32>,
    by_number: BTreeMap<u64, u32>,
    near: Vec<Near>,
    /// Since the grid was looked at.
    pages_opened: usize,
}

impl Ladder {
    pub(crate) fn new(side: Side, grid: Divisor) -> Ladder {
        Ladder {
            flip: match side {
                Side::Buy => u64::MAX,
                Side::Sell => 0,
            },
            grid,
            best: NONE,
            best_key: u64::MAX,
            pages: Vec::new(),
            free: Vec::new(),
            by_number: BTreeMap::new(),
            near: Vec::new(),
            pages_opened: 0,
        }
    }

    /// The best level.
    #[inline]
    pub(crate) fn best(&self) -> Option<u32> {
        Some(self.best).filter(|level| *level != NONE)
    }

    #[inline]
    fn key(&self, price: Price) -> Option<u64> {
        self.grid.quotient(price.0).map(|index| index ^ self.flip)
    }

    #[inline]
    fn page_near(&self, number: u64) -> Option<u32> {
        let mask = self.near.len().wrapping_sub(1);
        let near = self.near.get(number as usize & mask)?;
        (near.number == number).then_some(near.page)
    }

    /// The level of a price.
    pub(crate) fn find(&self, price: Price) -> Option<u32> {
        let key = self.key(price)?;
        let number = key / PAGE;
        let page = self.page_near(number).or_else(|| self.by_number.get(&number).copied())?;
        self.level(Place { page, key })
    }

    /// The place of a price; a level must be put there if there is none.
    #[inline(always)]
    pub(crate) fn place(&mut self, price: Price) -> Place {
        if let Some(key) = self.key(price)
            && let Some(page) = self.page_near(key / PAGE)
        {
            return Place { page, key };
        }
        self.place_far(price)
    }

    #[cold]
    #[inline(never)]
    fn place_far(&mut self, price: Price) -> Place {
        if self.key(price).is_none() {
            self.rebuild(greatest_common(self.grid.unit(), price.0));
        } else if self.pages_opened > self.by_number.len() / 2 + PAGES_BETWEEN_CHECKS {
            self.check_grid(price);
        }
        let key = self.key(price).expect("the grid was made to fit");
        let number = key / PAGE;
        let page = match self.by_number.get(&number) {
            Some(page) => *page,
            None => self.open_page(number),
        };
        self.remember(Near { number, page });
        Place { page, key }
    }

    fn remember(&mut self, near: Near) {
        if self.near.len() < 2 * self.by_number.len() {
            let length = (4 * self.by_number.len()).next_power_of_two().max(16);
            self.near.clear();
            self.near.resize(length, NOWHERE);
            for (number, page) in &self.by_number {
                self.near[*number as usize & (length - 1)] = Near { number: *number, page: *page };
            }
        }
        let mask = self.near.len() - 1;
        self.near[near.number as usize & mask] = near;
    }

    fn open_page(&mut self, number: u64) -> u32 {
        let better = self.by_number.range(..number).next_back().map_or(NONE, |(_, page)| *page);
        let worse = self.by_number.range(number..).next().map_or(NONE, |(_, page)| *page);
        let levels = [NONE; PAGE as usize];
        let page = Page { number, occupied: 0, better, worse, levels };
        let at = match self.free.pop() {
            Some(at) => {
                self.pages[at as usize] = page;
                at
            }
            None => {
                self.pages.push(page);
                u32::try_from(self.pages.len() - 1).expect("fewer than 2^32 pages")
            }
        };
        self.link(better, worse, at, at);
        self.by_number.insert(number, at);
        self.pages_opened += 1;
        at
    }

    #[cold]
    #[inline(never)]
    fn close_page(&mut self, at: u32) {
        let Page { number, better, worse, .. } = self.pages[at as usize];
        self.link(better, worse, worse, better);
        self.by_number.remove(&number);
        let mask = self.near.len().wrapping_sub(1);
        if let Some(near) = self.near.get_mut(number as usize & mask)
            && near.number == number
        {
            *near = NOWHERE;
        }
        self.free.push(at);
    }

    /// Sets what the neighbours of a place see there.
    fn link(&mut self, better: u32, worse: u32, seen_below: u32, seen_above: u32) {
        if let Some(page) = self.pages.get_mut(better as usize) {
            page.worse = seen_below;
        }
        if let Some(page) = self.pages.get_mut(worse as usize) {
            page.better = seen_above;
        }
    }

    /// The level of a place.
    #[inline(always)]
    pub(crate) fn level(&self, place: Place) -> Option<u32> {
        let page = &self.pages[place.page as usize];
        let at = place.key % PAGE;
        (page.occupied >> at & 1 != 0).then(|| page.levels[at as usize])
    }

    /// Puts a level at a place that has none.
    #[inline(always)]
    pub(crate) fn put(&mut self, place: Place, level: u32) {
        let page = &mut self.pages[place.page as usize];
        let at = place.key % PAGE;
        page.occupied |= 1 << at;
        page.levels[at as usize] = level;
        if place.key < self.best_key || self.best == NONE {
            (self.best, self.best_key) = (level, place.key);
        }
    }

    /// Takes the level of a price out.
    #[inline]
    pub(crate) fn take(&mut self, price: Price) {
        let Place { page, key } = self.place(price);
        let at = key % PAGE;
        self.pages[page as usize].occupied &= !(1 << at);
        if key == self.best_key {
            (self.best_key, self.best) =
                self.after(Place { page, key }).unwrap_or((u64::MAX, NONE));
        }
        if self.pages[page as usize].occupied == 0 {
            self.close_page(page);
        }
    }

    /// The next worse level after a place, and its key.
    #[inline]
    fn after(&self, place: Place) -> Option<(u64, u32)> {
        let mut page = &self.pages[place.page as usize];
        // Two shifts, for a place that is the last of its page.
        let mut bits = page.occupied >> (place.key % PAGE) >> 1 << (place.key % PAGE) << 1;
        if bits == 0 {
            page = self.pages.get(page.worse as usize)?;
            bits = page.occupied;
        }
        let at = u64::from(bits.trailing_zeros());
        Some((page.number * PAGE + at, page.levels[at as usize]))
    }

    /// Keys and levels from best to worst.
    fn iter(&self) -> impl Iterator<Item = (u64, u32)> + '_ {
        let first = (self.best != NONE).then_some((self.best_key, self.best));
        core::iter::successors(first, |(key, _)| {
            let number = key / PAGE;
            let page = self.page_near(number).or_else(|| self.by_number.get(&number).copied());
            self.after(Place { page: page.expect("a level is in a page"), key: *key })
        })
    }

    /// Levels from best to worst.
    pub(crate) fn levels(&self) -> impl Iterator<Item = u32> + '_ {
        self.iter().map(|(_, level)| level)
    }

    /// Prices that were off the grid of all others may be gone: a grid as coarse as can be keeps
    /// neighbours in one page.
    fn check_grid(&mut self, price: Price) {
        self.pages_opened = 0;
        let index = self.grid.quotient(price.0).unwrap_or(1);
        let mut common = index;
        for (key, _) in self.iter() {
            common = greatest_common(common, key ^ self.flip);
            if common == 1 {
                return;
            }
        }
        self.rebuild(self.grid.unit() * common);
    }

    #[cold]
    fn rebuild(&mut self, unit: u64) {
        let prices: Vec<(Price, u32)> = self
            .iter()
            .map(|(key, level)| (Price((key ^ self.flip) * self.grid.unit()), level))
            .collect();
        let flip = self.flip;
        *self = Ladder { flip, ..Ladder::new(Side::Sell, Divisor::new(unit)) };
        for (price, level) in prices {
            let place = self.place(price);
            self.put(place, level);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::mix;

    /// A price of one of several characters: close, on a coarse grid, far apart, anything.
    fn price(step: u64) -> Price {
        let number = mix(3, step, 0);
        Price(match number % 16 {
            0 => 1 + number % Price::MAX.0,
            1 => 1 + (number >> 32) % 1_000,
            2 | 3 => (1 + (number >> 32) % 64) << 50,
            _ => (50_000 + (number >> 32) % 300) * 1_000_000,
        })
    }

    fn check(ladder: &Ladder, model: &BTreeMap<Price, u32>, side: Side) {
        let mut expected: Vec<u32> = model.values().copied().collect();
        if side == Side::Buy {
            expected.reverse();
        }
        assert_eq!(ladder.levels().collect::<Vec<_>>(), expected);
        assert_eq!(ladder.best(), expected.first().copied());
        assert!(model.iter().all(|(price, level)| ladder.find(*price) == Some(*level)));
        assert!(ladder.by_number.len() <= model.len());
    }

    #[test]
    fn a_ladder_holds_what_an_ordered_map_holds() {
        for (side, tick) in [(Side::Buy, 0), (Side::Sell, 0), (Side::Buy, 1_000_000)] {
            let grid = if tick == 0 { Divisor::NOTHING } else { Divisor::new(tick) };
            let (mut ladder, mut model) = (Ladder::new(side, grid), BTreeMap::new());
            for step in 0..6_000u64 {
                let price = price(step % 1_500);
                let place = ladder.place(price);
                match model.remove(&price) {
                    Some(level) => {
                        assert_eq!(ladder.level(place), Some(level));
                        ladder.take(price);
                    }
                    None => {
                        assert_eq!(ladder.level(place), None);
                        ladder.put(place, step as u32);
                        model.insert(price, step as u32);
                    }
                }
                if step % 37 == 0 {
                    check(&ladder, &model, side);
                }
            }
            check(&ladder, &model, side);
        }
    }

    #[test]
    fn a_grid_recovers_from_a_price_that_has_gone() {
        let mut ladder = Ladder::new(Side::Sell, Divisor::NOTHING);
        let add = |ladder: &mut Ladder, price| {
            let place = ladder.place(Price(price));
            ladder.put(place, 1);
        };
        add(&mut ladder, 7);
        for at in 1..=1_000 {
            add(&mut ladder, at * 1_000_000);
        }
        assert_eq!((ladder.grid.unit(), ladder.by_number.len()), (1, 1_001));
        ladder.take(Price(7));
        for at in 1_001..3_000 {
            add(&mut ladder, at * 1_000_000);
        }
        assert_eq!((ladder.grid.unit(), ladder.by_number.len()), (1_000_000, 47));
    }
}
