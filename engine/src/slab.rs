//! Open orders by place and by id: what books, queues and a walk need of them, a line of memory
//! each. What is needed less often is in [`crate::orders`].

use crate::chains::{Chains, Links};
use crate::ledger::Row;
use crate::table::{NONE, mix};
use alloc::vec::Vec;
use core::ops::Range;
use protocol::{
    AccountId, Amount, InstrumentId, OrderId, OrderKind, Price, Quantity, Side, notional,
};

/// Place of an order in the slab; used again after the order is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) u32);

impl Slot {
    /// Nobody's place, but a place: what is told to the neighbour that an order does not have is
    /// written there and never read, which is cheaper than to look whether there is one.
    pub(crate) const NONE: Slot = Slot(0);

    #[inline]
    pub(crate) fn is_none(self) -> bool {
        self == Slot::NONE
    }

    #[inline]
    pub(crate) fn some(self) -> Option<Slot> {
        Some(self).filter(|slot| !slot.is_none())
    }
}

/// What an open order is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Walking the book right now, or about to.
    Running,
    /// In the book.
    Resting,
    /// Waits for its stop price.
    Waiting,
    /// Trails the price, or waits for the first trade to do so.
    Trailing,
    /// Its stop price was reached; it stands in the trigger queue.
    Due,
    /// Of an order list: waits until the working order is filled.
    Pending,
    /// A market order that waits beside the book for the end of an auction.
    Collected,
}

/// The hot part of an open order.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(crate) struct Order {
    /// None: nothing is here.
    pub(crate) id: OrderId,
    /// Its limit; 0 for a market kind.
    pub(crate) price: Price,
    /// What may still be executed; 0 for an order by quote quantity.
    pub(crate) remaining: Quantity,
    pub(crate) account: AccountId,
    pub(crate) instrument: InstrumentId,
    /// Whose it is: place in [`crate::orders::Orders`].
    pub(crate) owner: u32,
    /// The balance that it pays from.
    pub(crate) paying: Row,
    /// The next order of its chain in the table of ids.
    pub(crate) chained: Slot,
    /// The queue it rests in.
    pub(crate) queue: u32,
    /// Neighbours in its queue.
    pub(crate) older: Slot,
    pub(crate) younger: Slot,
    /// What few orders have: place in [`crate::orders::Orders`].
    pub(crate) extra: u32,
    pub(crate) side: Side,
    pub(crate) kind: OrderKind,
    pub(crate) phase: Phase,
    /// Something of it was executed or prevented: its counts are not all 0.
    pub(crate) is_touched: bool,
}

const _: () = assert!(size_of::<Order>() == 64);

impl Order {
    /// Does an order of this kind and side hold funds while it is open?
    #[inline]
    pub(crate) fn holds(&self) -> bool {
        self.kind.is_limit() || (self.kind.is_contingent() && self.side == Side::Sell)
    }

    /// What is held for what remains: always the rule's value, never counted down.
    #[inline(always)]
    pub(crate) fn hold(&self) -> Amount {
        match self.side {
            _ if !self.holds() => Amount::ZERO,
            Side::Buy => notional(self.price, self.remaining),
            Side::Sell => self.remaining.into(),
        }
    }
}

const NOBODY: Order = Order {
    extra: crate::table::NONE,
    id: OrderId::NONE,
    price: Price::ZERO,
    remaining: Quantity::ZERO,
    account: AccountId::VENUE,
    instrument: InstrumentId::NONE,
    owner: 0,
    paying: Row::NONE,
    chained: Slot::NONE,
    queue: NONE,
    older: Slot::NONE,
    younger: Slot::NONE,
    side: Side::Buy,
    kind: OrderKind::Limit,
    phase: Phase::Running,
    is_touched: false,
};

/// Orders, and what their ids are hashed with.
#[derive(Debug)]
struct Places {
    orders: Vec<Order>,
    /// Odd, and nobody's to guess.
    factor: u64,
}

/// Ids that share a row of buckets, as a power of two: the first slots of a row are a line of memory.
const ROW_BITS: u32 = 4;

impl Places {
    /// The engine gives ids one after the other, so new orders meet in a row; where the row lies is
    /// not theirs to choose. Whoever leaves every 16th order open makes chains and slices of the
    /// sweep 16 times as long as others, and no longer.
    #[inline]
    fn hash_of(&self, id: OrderId) -> u32 {
        let row = ((id.0 >> ROW_BITS).wrapping_mul(self.factor) >> 32) as u32;
        row << ROW_BITS | id.0 as u32 & ((1 << ROW_BITS) - 1)
    }
}

impl Links for Places {
    #[inline]
    fn next(&self, slot: Slot) -> Slot {
        self.orders[slot.0 as usize].chained
    }

    #[inline]
    fn set_next(&mut self, slot: Slot, next: Slot) {
        self.orders[slot.0 as usize].chained = next;
    }

    #[inline]
    fn hash(&self, slot: Slot) -> u32 {
        self.hash_of(self.orders[slot.0 as usize].id)
    }
}

/// **Invariants:** an order is at its slot and in `by_id`, exactly once; nothing else is. Slots
/// without an order form a list by `younger` from `free`.
#[derive(Debug)]
pub(crate) struct Slab {
    places: Places,
    by_id: Chains,
    free: Slot,
}

impl Default for Slab {
    fn default() -> Slab {
        Slab::with_seed(0)
    }
}

impl Slab {
    pub(crate) fn with_seed(seed: u64) -> Slab {
        let places = Places { orders: Vec::from([NOBODY]), factor: mix(seed, 0, 0) | 1 };
        Slab { places, by_id: Chains::default(), free: Slot::NONE }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> &Order {
        &self.places.orders[slot.0 as usize]
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: Slot) -> &mut Order {
        &mut self.places.orders[slot.0 as usize]
    }

    #[inline]
    pub(crate) fn find(&self, id: OrderId) -> Option<Slot> {
        let hash = self.places.hash_of(id);
        self.by_id.find(&self.places, hash, |slot| self.get(slot).id == id)
    }

    /// Orders whose id's hash, reversed, lies in the range, in no order that means anything.
    pub(crate) fn reversed(&self, range: Range<u64>) -> impl Iterator<Item = Slot> + '_ {
        self.by_id.reversed(&self.places, range)
    }

    /// All open orders, in no order that means anything.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        let slots = self.places.orders.iter().zip(0..);
        slots.filter(|(order, _)| order.id != OrderId::NONE).map(|(_, slot)| Slot(slot))
    }

    /// Adds an order of a new id.
    #[inline]
    pub(crate) fn insert(&mut self, order: Order) -> Slot {
        let slot = self.free;
        let slot = if slot.is_none() {
            self.places.orders.push(order);
            Slot(u32::try_from(self.places.orders.len() - 1).expect("fewer than 2^32 open orders"))
        } else {
            let place = self.get_mut(slot);
            let free = core::mem::replace(place, order).younger;
            self.free = free;
            slot
        };
        let hash = self.places.hash_of(order.id);
        self.by_id.insert(&mut self.places, hash, slot);
        slot
    }

    #[inline]
    pub(crate) fn remove(&mut self, slot: Slot) {
        let hash = self.places.hash(slot);
        self.by_id.remove(&mut self.places, hash, slot);
        let free = core::mem::replace(&mut self.free, slot);
        let order = self.get_mut(slot);
        order.id = OrderId::NONE;
        order.younger = free;
    }
}
