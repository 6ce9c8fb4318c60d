//! The resting orders of one instrument, by price and time.
//!
//! Levels lie in a slab, linked from best to worst; an ordered map by price is touched only when a
//! level appears or vanishes. Orders lie in [`Orders`] and are linked within their level, so that
//! best price and cancel take no search.

use crate::orders::{Order, Orders, Phase, Slot};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::ops::Bound;
use protocol::{Amount, Price, Quantity, Side};

/// One price level: what the public depth shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    pub price: Price,
    /// Σ remaining.
    pub quantity: Amount,
    pub orders: u32,
}

const NONE: u32 = u32::MAX;

#[derive(Debug)]
struct Node {
    level: Level,
    side: Side,
    oldest: Slot,
    youngest: Slot,
    better: u32,
    worse: u32,
}

#[derive(Debug, Default)]
struct Ladder {
    by_price: BTreeMap<Price, u32>,
    best: Option<u32>,
}

/// **Invariants:** a level exists exactly while orders rest at it; its sums are theirs; `best` is
/// the highest bid or the lowest ask; a book never crosses between commands.
#[derive(Debug, Default)]
pub(crate) struct Book {
    nodes: Vec<Node>,
    free: Vec<u32>,
    bids: Ladder,
    asks: Ladder,
}

/// Would an order of this side and limit trade at `price`?
pub(crate) fn crosses(side: Side, limit: Price, price: Price) -> bool {
    match side {
        Side::Buy => price <= limit,
        Side::Sell => price >= limit,
    }
}

impl Book {
    fn ladder(&self, side: Side) -> &Ladder {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn ladder_mut(&mut self, side: Side) -> &mut Ladder {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    pub(crate) fn best(&self, side: Side) -> Option<Price> {
        self.ladder(side).best.map(|at| self.nodes[at as usize].level.price)
    }

    /// The oldest order of the best level.
    pub(crate) fn front(&self, side: Side) -> Option<Slot> {
        self.ladder(side).best.map(|at| self.nodes[at as usize].oldest)
    }

    /// Levels from best to worst.
    pub(crate) fn levels(&self, side: Side) -> impl Iterator<Item = Level> + '_ {
        self.level_indexes(side).map(|at| self.nodes[at as usize].level)
    }

    fn level_indexes(&self, side: Side) -> impl Iterator<Item = u32> + '_ {
        let worse = |at: &u32| Some(self.nodes[*at as usize].worse).filter(|at| *at != NONE);
        core::iter::successors(self.ladder(side).best, worse)
    }

    /// Orders from best to worst price, oldest first.
    pub(crate) fn orders<'a>(
        &'a self,
        orders: &'a Orders,
        side: Side,
    ) -> impl Iterator<Item = Slot> + 'a {
        self.level_indexes(side).flat_map(|at| self.queue_from(orders, at))
    }

    /// Orders of one level, oldest first.
    pub(crate) fn queue<'a>(
        &'a self,
        orders: &'a Orders,
        side: Side,
        price: Price,
    ) -> impl Iterator<Item = Slot> + 'a {
        let at = self.ladder(side).by_price.get(&price).copied();
        at.into_iter().flat_map(|at| self.queue_from(orders, at))
    }

    fn queue_from<'a>(&'a self, orders: &'a Orders, at: u32) -> impl Iterator<Item = Slot> + 'a {
        let first = Some(self.nodes[at as usize].oldest).filter(|slot| !slot.is_none());
        core::iter::successors(first, |slot| {
            Some(orders.get(*slot).younger).filter(|slot| !slot.is_none())
        })
    }

    /// The order joins the end of its price's queue. Returns the level after it.
    pub(crate) fn insert(&mut self, orders: &mut Orders, slot: Slot) -> Level {
        let order = orders.get(slot);
        let (side, price, remaining) = (order.request.side, order.request.price, order.remaining());
        let at = match self.ladder(side).by_price.get(&price) {
            Some(at) => *at,
            None => self.open_level(side, price),
        };
        let node = &mut self.nodes[at as usize];
        let youngest = core::mem::replace(&mut node.youngest, slot);
        if node.oldest.is_none() {
            node.oldest = slot;
        }
        node.level.quantity += remaining.into();
        node.level.orders += 1;
        let level = node.level;
        if !youngest.is_none() {
            orders.get_mut(youngest).younger = slot;
        }
        let order = orders.get_mut(slot);
        order.older = youngest;
        order.younger = Slot::NONE;
        order.phase = Phase::Resting { level: at };
        level
    }

    /// Takes `quantity` off what the level of a resting order shows. Returns the level after it.
    pub(crate) fn reduce(&mut self, order: &Order, quantity: Quantity) -> Level {
        let level = &mut self.nodes[resting_level(order) as usize].level;
        level.quantity -= quantity.into();
        assert!(level.quantity >= Amount::ZERO, "level {} below zero", level.price);
        *level
    }

    /// The order leaves its queue with all that remains of it. Returns the level after it.
    pub(crate) fn remove(&mut self, orders: &mut Orders, slot: Slot) -> Level {
        let order = orders.get(slot);
        let at = resting_level(order);
        let (older, younger, remaining) = (order.older, order.younger, order.remaining());
        if !older.is_none() {
            orders.get_mut(older).younger = younger;
        }
        if !younger.is_none() {
            orders.get_mut(younger).older = older;
        }
        let node = &mut self.nodes[at as usize];
        if older.is_none() {
            node.oldest = younger;
        }
        if younger.is_none() {
            node.youngest = older;
        }
        node.level.quantity -= remaining.into();
        node.level.orders -= 1;
        let level = node.level;
        if level.orders == 0 {
            assert!(level.quantity.is_zero(), "an empty level shows {}", level.quantity);
            self.close_level(at);
        }
        orders.get_mut(slot).phase = Phase::Running;
        level
    }

    fn open_level(&mut self, side: Side, price: Price) -> u32 {
        let by_price = &self.ladder(side).by_price;
        let below = by_price.range(..price).next_back().map_or(NONE, |(_, at)| *at);
        let above = by_price
            .range((Bound::Excluded(price), Bound::Unbounded))
            .next()
            .map_or(NONE, |(_, at)| *at);
        let (better, worse) = match side {
            Side::Buy => (above, below),
            Side::Sell => (below, above),
        };
        let level = Level { price, quantity: Amount::ZERO, orders: 0 };
        let (oldest, youngest) = (Slot::NONE, Slot::NONE);
        let node = Node { level, side, oldest, youngest, better, worse };
        let at = match self.free.pop() {
            Some(at) => {
                self.nodes[at as usize] = node;
                at
            }
            None => {
                self.nodes.push(node);
                u32::try_from(self.nodes.len() - 1).expect("fewer than 2^32 levels")
            }
        };
        self.link(side, better, worse, at, at);
        self.ladder_mut(side).by_price.insert(price, at);
        at
    }

    fn close_level(&mut self, at: u32) {
        let node = &self.nodes[at as usize];
        let (side, price, better, worse) = (node.side, node.level.price, node.better, node.worse);
        self.link(side, better, worse, worse, better);
        self.ladder_mut(side).by_price.remove(&price);
        self.free.push(at);
    }

    /// Sets what the neighbours `better` and `worse` of a place see there.
    fn link(&mut self, side: Side, better: u32, worse: u32, seen_below: u32, seen_above: u32) {
        match better {
            NONE => self.ladder_mut(side).best = Some(seen_below).filter(|at| *at != NONE),
            better => self.nodes[better as usize].worse = seen_below,
        }
        if worse != NONE {
            self.nodes[worse as usize].better = seen_above;
        }
    }
}

fn resting_level(order: &Order) -> u32 {
    match order.phase {
        Phase::Resting { level } => level,
        phase => panic!("order {} is not in the book but {phase:?}", order.id),
    }
}
