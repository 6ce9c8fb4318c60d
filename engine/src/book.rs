//! The resting orders of one instrument, by price and time.
//!
//! A level is a queue of orders, linked from the oldest to the youngest; orders know their queue,
//! so that a cancel takes no search. [`Ladder`] finds queues by price and knows the best.

use crate::divisor::Divisor;
use crate::ladder::Ladder;
use crate::slab::{Order, Phase, Slab, Slot};
use alloc::vec::Vec;
use protocol::{Amount, Price, Quantity, Side};

/// One price level: what the public depth shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    pub price: Price,
    /// Σ shown: all that remains, of icebergs their shown part.
    pub quantity: Amount,
    pub orders: u32,
}

/// The orders of one level: half a line of memory.
#[derive(Debug, Clone, Copy)]
#[repr(align(32))]
struct Queue {
    price: Price,
    /// Σ shown: fewer than 2^32 orders of less than 2^63 fit into 96 bits.
    quantity: u64,
    quantity_high: u32,
    orders: u32,
    oldest: Slot,
    youngest: Slot,
}

const _: () = assert!(size_of::<Queue>() == 32);

impl Queue {
    #[inline]
    fn level(&self) -> Level {
        let quantity = u128::from(self.quantity_high) << 64 | u128::from(self.quantity);
        Level { price: self.price, quantity: Amount(quantity as i128), orders: self.orders }
    }

    #[inline]
    fn add(&mut self, quantity: Quantity) {
        let (sum, carries) = self.quantity.overflowing_add(quantity.0);
        self.quantity = sum;
        self.quantity_high += u32::from(carries);
    }

    #[inline]
    fn subtract(&mut self, quantity: Quantity) {
        let (rest, borrows) = self.quantity.overflowing_sub(quantity.0);
        self.quantity = rest;
        // Below zero stops here: overflows are checked.
        self.quantity_high -= u32::from(borrows);
    }
}

/// **Invariants:** a level exists exactly while orders rest at it; its sums are theirs; a book never
/// crosses between commands, but while an auction collects.
#[derive(Debug)]
pub(crate) struct Book {
    queues: Vec<Queue>,
    free: Vec<u32>,
    bids: Ladder,
    asks: Ladder,
}

/// Would an order of this side and limit trade at `price`?
#[inline]
pub(crate) fn crosses(side: Side, limit: Price, price: Price) -> bool {
    match side {
        Side::Buy => price <= limit,
        Side::Sell => price >= limit,
    }
}

impl Book {
    /// A book whose prices are multiples of the tick, nearly always; 0 if nothing is known.
    pub(crate) fn new(tick: Price) -> Book {
        let grid = match tick.0 {
            0 => Divisor::NOTHING,
            tick => Divisor::new(tick),
        };
        Book {
            queues: Vec::new(),
            free: Vec::new(),
            bids: Ladder::new(Side::Buy, grid),
            asks: Ladder::new(Side::Sell, grid),
        }
    }

    #[inline]
    fn ladder(&self, side: Side) -> &Ladder {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    #[inline]
    fn ladder_mut(&mut self, side: Side) -> &mut Ladder {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    #[inline(always)]
    pub(crate) fn best(&self, side: Side) -> Option<Price> {
        self.ladder(side).best().map(|at| self.queues[at as usize].price)
    }

    /// The oldest order of the best level.
    #[inline]
    pub(crate) fn front(&self, side: Side) -> Option<Slot> {
        self.ladder(side).best().map(|at| self.queues[at as usize].oldest)
    }

    /// Levels from best to worst.
    pub(crate) fn levels(&self, side: Side) -> impl Iterator<Item = Level> + '_ {
        self.ladder(side).levels().map(|at| self.queues[at as usize].level())
    }

    /// Orders from best to worst price, oldest first.
    pub(crate) fn orders<'a>(
        &'a self,
        slab: &'a Slab,
        side: Side,
    ) -> impl Iterator<Item = Slot> + 'a {
        self.ladder(side).levels().flat_map(|at| self.queue_from(slab, at))
    }

    /// Orders of one level, oldest first.
    pub(crate) fn queue<'a>(
        &'a self,
        slab: &'a Slab,
        side: Side,
        price: Price,
    ) -> impl Iterator<Item = Slot> + 'a {
        let at = self.ladder(side).find(price);
        at.into_iter().flat_map(|at| self.queue_from(slab, at))
    }

    fn queue_from<'a>(&'a self, slab: &'a Slab, at: u32) -> impl Iterator<Item = Slot> + 'a {
        let first = self.queues[at as usize].oldest.some();
        core::iter::successors(first, |slot| slab.get(*slot).younger.some())
    }

    /// The order joins the end of its price's queue and shows so much of itself. Returns the level
    /// after it.
    #[inline(always)]
    pub(crate) fn insert(&mut self, slab: &mut Slab, slot: Slot, shown: Quantity) -> Level {
        let Order { side, price, .. } = *slab.get(slot);
        let Book { queues, free, bids, asks } = self;
        let ladder = match side {
            Side::Buy => bids,
            Side::Sell => asks,
        };
        let place = ladder.place(price);
        let (at, youngest, level) = match ladder.level(place) {
            Some(at) => {
                let queue = &mut queues[at as usize];
                queue.add(shown);
                queue.orders += 1;
                let youngest = core::mem::replace(&mut queue.youngest, slot);
                (at, youngest, queue.level())
            }
            None => {
                let (oldest, youngest) = (slot, slot);
                let (quantity, quantity_high) = (shown.0, 0);
                let queue = Queue { price, quantity, quantity_high, orders: 1, oldest, youngest };
                let at = add_queue(queues, free, queue);
                ladder.put(place, at);
                (at, Slot::NONE, queue.level())
            }
        };
        slab.get_mut(youngest).younger = slot;
        let order = slab.get_mut(slot);
        order.older = youngest;
        order.younger = Slot::NONE;
        order.phase = Phase::Resting;
        order.queue = at;
        level
    }

    /// Takes `quantity` off what the level of a resting order shows. Returns the level after it.
    #[inline]
    pub(crate) fn reduce(&mut self, order: &Order, quantity: Quantity) -> Level {
        assert_rests(order);
        let queue = &mut self.queues[order.queue as usize];
        queue.subtract(quantity);
        queue.level()
    }

    /// A resting order shows another part of itself.
    pub(crate) fn change_shown(&mut self, order: &Order, before: Quantity, after: Quantity) {
        assert_rests(order);
        let queue = &mut self.queues[order.queue as usize];
        queue.subtract(before);
        queue.add(after);
    }

    /// The order leaves its queue with all that it shows. Returns the level after it.
    #[inline(always)]
    pub(crate) fn remove(&mut self, slab: &mut Slab, slot: Slot, shown: Quantity) -> Level {
        let order = slab.get_mut(slot);
        assert_rests(order);
        order.phase = Phase::Running;
        let Order { older, younger, side, queue: at, .. } = *order;
        slab.get_mut(older).younger = younger;
        slab.get_mut(younger).older = older;
        let queue = &mut self.queues[at as usize];
        queue.oldest = if older.is_none() { younger } else { queue.oldest };
        queue.youngest = if younger.is_none() { older } else { queue.youngest };
        queue.subtract(shown);
        queue.orders -= 1;
        let level = queue.level();
        if level.orders == 0 {
            assert!(level.quantity.is_zero(), "an empty level shows {}", level.quantity);
            self.ladder_mut(side).take(level.price);
            self.free.push(at);
        }
        level
    }
}

#[inline]
fn add_queue(queues: &mut Vec<Queue>, free: &mut Vec<u32>, queue: Queue) -> u32 {
    match free.pop() {
        Some(at) => {
            queues[at as usize] = queue;
            at
        }
        None => {
            queues.push(queue);
            u32::try_from(queues.len() - 1).expect("fewer than 2^32 levels")
        }
    }
}

#[inline]
fn assert_rests(order: &Order) {
    assert!(order.phase == Phase::Resting, "order {} is not in the book", order.id);
}
