//! Open orders: a slab, and the ways to find one: by id, by client order id, by owner.

use alloc::vec::Vec;
use core::hash::{BuildHasher, Hasher};
use hashbrown::{HashMap, HashTable};
use protocol::command::{ClientOrderId, OrderRequest};
use protocol::{
    AccountId, Amount, InstrumentId, OrderId, OrderStatus, Quantity, QuantityUnit, Side, hash,
};

/// Place of an order in the slab; reused after the order is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) u32);

impl Slot {
    pub(crate) const NONE: Slot = Slot(u32::MAX);

    pub(crate) fn is_none(self) -> bool {
        self == Slot::NONE
    }
}

/// What an open order is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Walking the book right now, or about to.
    Running,
    /// In the book, in the queue of this level.
    Resting { level: u32 },
    /// Waits for its stop price.
    Waiting,
    /// Its stop price was reached; it stands in the trigger queue.
    Due,
}

/// An open order.
#[derive(Debug)]
pub(crate) struct Order {
    pub(crate) id: OrderId,
    pub(crate) request: OrderRequest,
    /// Of the base asset, as amended; 0 for an order by quote quantity.
    pub(crate) quantity: Quantity,
    pub(crate) executed: Quantity,
    pub(crate) executed_quote: Amount,
    pub(crate) prevented: Quantity,
    /// What the ledger holds for it: always set to the rule's value anew, never counted down.
    pub(crate) held: Amount,
    pub(crate) amends: u32,
    pub(crate) phase: Phase,
    /// Neighbours in the queue of its level.
    pub(crate) older: Slot,
    pub(crate) younger: Slot,
    /// Neighbours among its owner's orders on the instrument, by id.
    owner_previous: Slot,
    owner_next: Slot,
}

impl Order {
    pub(crate) fn new(id: OrderId, request: &OrderRequest) -> Order {
        let quantity = match request.quantity_unit {
            QuantityUnit::Base => request.quantity,
            QuantityUnit::Quote => Quantity::ZERO,
        };
        Order {
            id,
            request: *request,
            quantity,
            executed: Quantity::ZERO,
            executed_quote: Amount::ZERO,
            prevented: Quantity::ZERO,
            held: Amount::ZERO,
            amends: 0,
            phase: Phase::Running,
            older: Slot::NONE,
            younger: Slot::NONE,
            owner_previous: Slot::NONE,
            owner_next: Slot::NONE,
        }
    }

    /// What may still be executed; 0 for an order by quote quantity.
    pub(crate) fn remaining(&self) -> Quantity {
        Quantity(self.quantity.0.saturating_sub(self.executed.0).saturating_sub(self.prevented.0))
    }

    pub(crate) fn status(&self) -> OrderStatus {
        match self.executed.is_zero() {
            true => OrderStatus::New,
            false => OrderStatus::PartiallyFilled,
        }
    }

    pub(crate) fn owner(&self) -> Owner {
        Owner { account: self.request.account, instrument: self.request.instrument }
    }
}

/// Whose orders on which instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Owner {
    pub(crate) account: AccountId,
    pub(crate) instrument: InstrumentId,
}

/// An owner's open orders, as a list by id.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owned {
    pub(crate) count: u32,
    /// Σ remaining of the BUY orders.
    pub(crate) buying: Amount,
    first: Slot,
    last: Slot,
}

const NOTHING_OWNED: Owned =
    Owned { count: 0, buying: Amount::ZERO, first: Slot::NONE, last: Slot::NONE };

/// Seeded from the log's genesis: clients choose ids, so the hash must not be theirs to guess.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seed(pub(crate) u64);

pub(crate) struct SeededHasher(u64);

impl BuildHasher for Seed {
    type Hasher = SeededHasher;

    fn build_hasher(&self) -> SeededHasher {
        SeededHasher(self.0)
    }
}

impl Hasher for SeededHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = hash::hash_bytes(bytes, self.0);
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        let product = u128::from(self.0 ^ value ^ 0x9e37_79b9_7f4a_7c15)
            * u128::from(value.rotate_left(32) ^ 0xd6e8_feb8_6659_fd93);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// **Invariants:** every open order is in the slab, in `by_id`, in `by_client_id` and in its
/// owner's list, exactly once; nothing else is.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    slab: Vec<Option<Order>>,
    free: Vec<Slot>,
    by_id: HashTable<Slot>,
    by_client_id: HashTable<Slot>,
    by_owner: HashMap<Owner, Owned, Seed>,
    seed: Seed,
}

impl Orders {
    pub(crate) fn with_seed(seed: u64) -> Orders {
        let seed = Seed(seed);
        Orders { seed, by_owner: HashMap::with_hasher(seed), ..Orders::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn get(&self, slot: Slot) -> &Order {
        self.slab[slot.0 as usize].as_ref().expect("a slot that is held names an open order")
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> &mut Order {
        self.slab[slot.0 as usize].as_mut().expect("a slot that is held names an open order")
    }

    pub(crate) fn find(&self, id: OrderId) -> Option<Slot> {
        self.by_id.find(hash_id(self.seed, id), |slot| self.get(*slot).id == id).copied()
    }

    pub(crate) fn find_named(&self, owner: Owner, client_id: &ClientOrderId) -> Option<Slot> {
        let hash = hash_client_id(self.seed, owner, client_id);
        let is_it = |slot: &Slot| {
            let order = self.get(*slot);
            order.request.client_order_id == *client_id && order.owner() == owner
        };
        self.by_client_id.find(hash, is_it).copied()
    }

    pub(crate) fn owned(&self, owner: Owner) -> Owned {
        self.by_owner.get(&owner).copied().unwrap_or(NOTHING_OWNED)
    }

    /// The owner's open orders, by id.
    pub(crate) fn of_owner(&self, owner: Owner) -> Vec<Slot> {
        let mut slots = Vec::new();
        let mut slot = self.owned(owner).first;
        while !slot.is_none() {
            slots.push(slot);
            slot = self.get(slot).owner_next;
        }
        slots
    }

    /// All open orders, in no order that means anything.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Order> {
        self.slab.iter().flatten()
    }

    /// Adds an order; ids must rise within an owner's list.
    pub(crate) fn insert(&mut self, order: Order) -> Slot {
        let (id, owner, client_id) = (order.id, order.owner(), order.request.client_order_id);
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slab[slot.0 as usize] = Some(order);
                slot
            }
            None => {
                let slot = u32::try_from(self.slab.len()).expect("fewer than 2^32 open orders");
                self.slab.push(Some(order));
                Slot(slot)
            }
        };
        self.link_owner(owner, slot);
        let (slab, seed) = (&self.slab, self.seed);
        self.by_id
            .insert_unique(hash_id(seed, id), slot, |slot| hash_id(seed, resident(slab, *slot).id));
        Orders::index_name(&mut self.by_client_id, slab, seed, owner, &client_id, slot);
        slot
    }

    fn index_name(
        names: &mut HashTable<Slot>,
        slab: &[Option<Order>],
        seed: Seed,
        owner: Owner,
        client_id: &ClientOrderId,
        slot: Slot,
    ) {
        names.insert_unique(hash_client_id(seed, owner, client_id), slot, |slot| {
            let order = resident(slab, *slot);
            hash_client_id(seed, order.owner(), &order.request.client_order_id)
        });
    }

    fn forget_name(&mut self, owner: Owner, client_id: &ClientOrderId, slot: Slot) {
        let hash = hash_client_id(self.seed, owner, client_id);
        match self.by_client_id.find_entry(hash, |other| *other == slot) {
            Ok(entry) => drop(entry.remove()),
            Err(_) => panic!("client order id {client_id} of slot {slot:?} is not indexed"),
        }
    }

    pub(crate) fn remove(&mut self, slot: Slot) -> Order {
        let order = self.slab[slot.0 as usize].take().expect("a slot that is held is occupied");
        self.forget_name(order.owner(), &order.request.client_order_id, slot);
        match self.by_id.find_entry(hash_id(self.seed, order.id), |other| *other == slot) {
            Ok(entry) => drop(entry.remove()),
            Err(_) => panic!("order {} is not indexed", order.id),
        }
        self.unlink_owner(&order);
        self.free.push(slot);
        order
    }

    pub(crate) fn rename(&mut self, slot: Slot, client_id: ClientOrderId) {
        let order = self.get(slot);
        let (owner, before) = (order.owner(), order.request.client_order_id);
        self.forget_name(owner, &before, slot);
        self.get_mut(slot).request.client_order_id = client_id;
        let (slab, seed) = (&self.slab, self.seed);
        Orders::index_name(&mut self.by_client_id, slab, seed, owner, &client_id, slot);
    }

    /// Changes what remains of an order: the one place that does, so that the owner's sum holds.
    pub(crate) fn change(&mut self, slot: Slot, change: impl FnOnce(&mut Order)) {
        let order = self.get_mut(slot);
        let before = order.remaining();
        change(order);
        let (owner, side) = (order.owner(), order.request.side);
        let difference = i128::from(order.remaining().0) - i128::from(before.0);
        if side == Side::Buy && difference != 0 {
            let owned = self.by_owner.get_mut(&owner).expect("an open order's owner is listed");
            owned.buying += Amount(difference);
        }
    }

    fn link_owner(&mut self, owner: Owner, slot: Slot) {
        let last = self.by_owner.get(&owner).map_or(Slot::NONE, |owned| owned.last);
        if !last.is_none() {
            self.get_mut(last).owner_next = slot;
        }
        let order = self.get_mut(slot);
        order.owner_previous = last;
        let buying = match order.request.side {
            Side::Buy => order.remaining().into(),
            Side::Sell => Amount::ZERO,
        };
        let owned = self.by_owner.entry(owner).or_insert(NOTHING_OWNED);
        owned.count += 1;
        owned.buying += buying;
        owned.last = slot;
        if owned.first.is_none() {
            owned.first = slot;
        }
    }

    fn unlink_owner(&mut self, order: &Order) {
        let (previous, next) = (order.owner_previous, order.owner_next);
        if !previous.is_none() {
            self.get_mut(previous).owner_next = next;
        }
        if !next.is_none() {
            self.get_mut(next).owner_previous = previous;
        }
        let owner = order.owner();
        let owned = self.by_owner.get_mut(&owner).expect("an open order's owner is listed");
        owned.count -= 1;
        if order.request.side == Side::Buy {
            owned.buying -= order.remaining().into();
        }
        if previous.is_none() {
            owned.first = next;
        }
        if next.is_none() {
            owned.last = previous;
        }
        if owned.count == 0 {
            self.by_owner.remove(&owner);
        }
    }
}

fn resident(slab: &[Option<Order>], slot: Slot) -> &Order {
    slab[slot.0 as usize].as_ref().expect("an indexed slot is occupied")
}

fn hash_id(seed: Seed, id: OrderId) -> u64 {
    seed.hash_one(id)
}

fn hash_client_id(seed: Seed, owner: Owner, client_id: &ClientOrderId) -> u64 {
    let place = u64::from(owner.account.0) << 32 | u64::from(owner.instrument.0);
    hash::hash_bytes(client_id.as_bytes(), seed.0 ^ place)
}
