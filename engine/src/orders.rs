//! Open orders: their hot parts in a slab, the rest of them beside it, and the ways to find one: by
//! client order id and by owner.

use crate::chains::{Chains, Links};
use crate::ledger::Row;
use crate::risk::DayTraded;
use crate::slab::{Order, Phase, Slab, Slot};
use crate::table::{NONE, Table, mix};
use alloc::vec::Vec;
use core::ops::Range;
use protocol::command::{ClientOrderId, OrderRequest, OrderTerms};
use protocol::{
    AccountId, Amount, InstrumentId, OrderId, OrderListId, OrderStatus, PegPrice, Price, Quantity,
    QuantityUnit, Side, StpMode, TimeInForce, notional,
};

/// The cold part of an open order: two lines of memory, what a fill changes in the first.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Terms {
    pub(crate) executed_quote: Amount,
    pub(crate) executed: Quantity,
    pub(crate) prevented: Quantity,
    pub(crate) stop_price: Price,
    /// As requested: of the unit, before any amend.
    pub(crate) quantity: Quantity,
    pub(crate) amends: u32,
    pub(crate) strategy_type: u32,
    pub(crate) strategy_id: i64,
    pub(crate) client_order_id: ClientOrderId,
    pub(crate) time_in_force: TimeInForce,
    pub(crate) stp_mode: StpMode,
    pub(crate) unit: QuantityUnit,
}

const _: () = assert!(size_of::<Terms>() == 128);

impl Terms {
    fn new(request: &OrderRequest) -> Terms {
        Terms {
            executed_quote: Amount::ZERO,
            executed: Quantity::ZERO,
            prevented: Quantity::ZERO,
            stop_price: request.stop_price,
            quantity: request.quantity,
            amends: 0,
            strategy_type: request.strategy_type,
            strategy_id: request.strategy_id,
            client_order_id: request.client_order_id,
            time_in_force: request.time_in_force,
            stp_mode: request.stp_mode,
            unit: request.quantity_unit,
        }
    }

    /// What no longer remains.
    pub(crate) fn gone(&self) -> Quantity {
        Quantity(self.executed.0 + self.prevented.0)
    }
}

/// What few orders have: terms, a list, a hold that is not the usual one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extra {
    pub(crate) terms: OrderTerms,
    /// `NONE`: of no list, or its list is closed and takes it along.
    pub(crate) list: OrderListId,
    /// As its owner named it; 0 if not at all. What counts is the order's own.
    pub(crate) named_price: Price,
    /// Of a resting iceberg; all that remains otherwise.
    pub(crate) shown: Quantity,
    /// What is held for it.
    pub(crate) held: Amount,
    /// A market order that holds what it pays with.
    pub(crate) is_funded: bool,
}

impl Extra {
    pub(crate) fn new(terms: OrderTerms, list: OrderListId, named_price: Price) -> Extra {
        let (shown, held) = (Quantity::ZERO, Amount::ZERO);
        Extra { terms, list, named_price, shown, held, is_funded: false }
    }

    pub(crate) fn is_iceberg(&self) -> bool {
        !self.terms.iceberg.is_zero()
    }

    pub(crate) fn is_pegged(&self) -> bool {
        self.terms.peg != PegPrice::None
    }
}

/// By what an order is found but its id: a quarter of a line of memory.
#[derive(Debug, Clone, Copy)]
#[repr(align(16))]
struct Ties {
    /// Neighbours among the owner's orders on the instrument, by id.
    previous: Slot,
    next: Slot,
    /// The next order of its chain in the table of client order ids.
    chained: Slot,
    /// Of its client order id.
    name_hash: u32,
}

impl Ties {
    const NONE: Ties =
        Ties { previous: Slot::NONE, next: Slot::NONE, chained: Slot::NONE, name_hash: 0 };
}

impl Links for Vec<Ties> {
    #[inline]
    fn next(&self, slot: Slot) -> Slot {
        self[slot.0 as usize].chained
    }

    #[inline]
    fn set_next(&mut self, slot: Slot, next: Slot) {
        self[slot.0 as usize].chained = next;
    }

    #[inline]
    fn hash(&self, slot: Slot) -> u32 {
        self[slot.0 as usize].name_hash
    }
}

/// Who may have orders on which instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owner {
    pub(crate) account: AccountId,
    pub(crate) instrument: InstrumentId,
}

impl Owner {
    #[inline]
    pub(crate) fn of(request: &OrderRequest) -> Owner {
        Owner { account: request.account, instrument: request.instrument }
    }
}

/// An owner's open orders, as a list by id. It stays when the last order goes. What every order
/// changes is one line of memory, the rest is another.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Owned {
    /// Σ remaining of the BUY orders, and of the SELL orders.
    pub(crate) open: [Amount; 2],
    pub(crate) owner: Owner,
    /// Its account's balances of the instrument's base and quote.
    pub(crate) base: Row,
    pub(crate) quote: Row,
    pub(crate) count: u32,
    /// Of the contingent kinds.
    pub(crate) algos: u32,
    first: Slot,
    last: Slot,
    pub(crate) traded: DayTraded,
    pub(crate) icebergs: u32,
}

const _: () = assert!(core::mem::offset_of!(Owned, traded) == 64);

impl Owned {
    /// The balance that an order of this side pays from.
    #[inline]
    pub(crate) fn paying(&self, side: Side) -> Row {
        match side {
            Side::Buy => self.quote,
            Side::Sell => self.base,
        }
    }
}

/// **Invariants:** every open order is in the slab, has terms, is in `by_name` and in its owner's
/// list, exactly once; nothing else is.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    pub(crate) slab: Slab,
    terms: Vec<Terms>,
    extras: Vec<Extra>,
    free_extras: Vec<u32>,
    ties: Vec<Ties>,
    by_name: Chains,
    owners: Vec<Owned>,
    by_owner: Table,
    /// From the log's genesis: clients choose ids, so the hash must not be theirs to guess.
    seed: u64,
    /// The UTC day of stored time.
    pub(crate) day: u32,
}

impl Orders {
    pub(crate) fn with_seed(seed: u64) -> Orders {
        Orders { slab: Slab::with_seed(seed), seed, ..Orders::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> &Order {
        self.slab.get(slot)
    }

    #[inline]
    pub(crate) fn terms(&self, slot: Slot) -> &Terms {
        &self.terms[slot.0 as usize]
    }

    #[inline]
    pub(crate) fn terms_mut(&mut self, slot: Slot) -> &mut Terms {
        &mut self.terms[slot.0 as usize]
    }

    #[inline]
    pub(crate) fn find(&self, id: OrderId) -> Option<Slot> {
        self.slab.find(id)
    }

    #[inline]
    pub(crate) fn name_hash(&self, owner: Owner, name: &ClientOrderId) -> u32 {
        let Owner { account, instrument } = owner;
        let place = mix(self.seed, account.0.into(), instrument.0.into());
        // All bytes, whatever the length: no loop, no branch. Texts that differ in zeros at their
        // ends have one hash.
        let (words, rest) = name.padded().as_chunks::<8>();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        let [a, b, c, d] = core::array::from_fn(|at| u64::from_le_bytes(words[at]));
        let hash = mix(mix(place, a, b), c, d);
        (mix(hash, u64::from_le_bytes(last), 0) >> 32) as u32
    }

    pub(crate) fn find_named(&self, owner: u32, name: &ClientOrderId) -> Option<Slot> {
        let hash = self.name_hash(self.owned(owner).owner, name);
        self.find_hashed(owner, hash, name)
    }

    #[inline]
    pub(crate) fn find_hashed(&self, owner: u32, hash: u32, name: &ClientOrderId) -> Option<Slot> {
        let is_it = |slot: Slot| {
            self.ties[slot.0 as usize].name_hash == hash
                && self.get(slot).owner == owner
                && self.terms(slot).client_order_id == *name
        };
        self.by_name.find(&self.ties, hash, is_it)
    }

    #[inline]
    fn owner_hash(&self, owner: Owner) -> u32 {
        let Owner { account, instrument } = owner;
        (mix(self.seed, account.0.into(), instrument.0.into()) >> 32) as u32
    }

    #[inline]
    pub(crate) fn find_owner(&self, owner: Owner) -> Option<u32> {
        let is_it = |at: u32| self.owners[at as usize].owner == owner;
        self.by_owner.find(self.owner_hash(owner), is_it)
    }

    #[cold]
    pub(crate) fn add_owner(&mut self, owner: Owner, base: Row, quote: Row) -> u32 {
        let at = u32::try_from(self.owners.len()).expect("fewer than 2^32 owners");
        let (first, last) = (Slot::NONE, Slot::NONE);
        self.owners.push(Owned {
            open: [Amount::ZERO; 2],
            owner,
            base,
            quote,
            count: 0,
            algos: 0,
            first,
            last,
            traded: DayTraded::default(),
            icebergs: 0,
        });
        self.by_owner.insert(self.owner_hash(owner), at);
        at
    }

    #[inline]
    pub(crate) fn owned(&self, owner: u32) -> &Owned {
        &self.owners[owner as usize]
    }

    pub(crate) fn owned_mut(&mut self, owner: u32) -> &mut Owned {
        &mut self.owners[owner as usize]
    }

    /// Everyone who ever had an order, sorted.
    pub(crate) fn owners(&self) -> Vec<Owned> {
        let mut owners = self.owners.clone();
        owners.sort_unstable_by_key(|owned| owned.owner);
        owners
    }

    /// Owners whose hash lies in the range, in no order that means anything.
    pub(crate) fn owners_hashed(&self, hashes: Range<u64>) -> impl Iterator<Item = &Owned> + '_ {
        self.by_owner.places(hashes).map(|at| &self.owners[at as usize])
    }

    #[inline]
    pub(crate) fn extra(&self, slot: Slot) -> Option<&Extra> {
        match self.get(slot).extra {
            NONE => None,
            at => Some(&self.extras[at as usize]),
        }
    }

    #[inline(always)]
    pub(crate) fn extra_mut(&mut self, slot: Slot) -> Option<&mut Extra> {
        match self.get(slot).extra {
            NONE => None,
            at => Some(&mut self.extras[at as usize]),
        }
    }

    /// From here on the order has an extra.
    #[cold]
    pub(crate) fn add_extra(&mut self, slot: Slot, extra: Extra) {
        let at = match self.free_extras.pop() {
            Some(at) => {
                self.extras[at as usize] = extra;
                at
            }
            None => {
                self.extras.push(extra);
                u32::try_from(self.extras.len() - 1).expect("fewer than 2^32 open orders")
            }
        };
        let order = self.slab.get_mut(slot);
        order.extra = at;
        let owner = order.owner;
        if extra.is_iceberg() {
            self.owners[owner as usize].icebergs += 1;
        }
    }

    /// How much of a resting order its level counts.
    #[inline]
    pub(crate) fn shown(&self, slot: Slot) -> Quantity {
        match self.extra(slot) {
            Some(extra) if extra.is_iceberg() => extra.shown,
            _ => self.get(slot).remaining,
        }
    }

    /// Does the order hold what it pays with?
    #[inline]
    pub(crate) fn holds(&self, slot: Slot) -> bool {
        self.get(slot).holds() || self.extra(slot).is_some_and(|extra| extra.is_funded)
    }

    /// What is held for an order now.
    #[inline]
    pub(crate) fn held(&self, slot: Slot) -> Amount {
        match self.extra(slot) {
            None => self.get(slot).hold(),
            Some(extra) => extra.held,
        }
    }

    /// What an order must hold for what remains of it, alone.
    pub(crate) fn need(&self, slot: Slot) -> Amount {
        let order = self.get(slot);
        match order.side {
            _ if !self.holds(slot) => Amount::ZERO,
            Side::Buy => notional(order.price, order.remaining),
            Side::Sell => order.remaining.into(),
        }
    }

    /// The owner's open orders, by id.
    pub(crate) fn of_owner(&self, owner: u32) -> Vec<Slot> {
        let first = self.owned(owner).first.some();
        core::iter::successors(first, |slot| self.ties[slot.0 as usize].next.some()).collect()
    }

    /// All open orders, in no order that means anything.
    pub(crate) fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.slab.slots()
    }

    /// Adds an order; ids must rise within an owner's list.
    #[inline]
    pub(crate) fn insert(
        &mut self,
        id: OrderId,
        owner: u32,
        name_hash: u32,
        request: &OrderRequest,
    ) -> Slot {
        let slot = self.slab.insert(Order {
            id,
            price: request.price,
            remaining: match request.quantity_unit {
                QuantityUnit::Base => request.quantity,
                QuantityUnit::Quote => Quantity::ZERO,
            },
            account: request.account,
            instrument: request.instrument,
            owner,
            paying: self.owned(owner).paying(request.side),
            chained: Slot::NONE,
            queue: NONE,
            older: Slot::NONE,
            younger: Slot::NONE,
            extra: NONE,
            side: request.side,
            kind: request.kind,
            phase: Phase::Running,
            is_touched: false,
        });
        if slot.0 as usize >= self.terms.len() {
            // Nobody's place too has terms and ties, which say nothing.
            self.terms.resize(slot.0 as usize + 1, Terms::new(request));
            self.ties.resize(slot.0 as usize + 1, Ties::NONE);
        }
        self.terms[slot.0 as usize] = Terms::new(request);
        let previous = self.join_owner(slot);
        self.ties[slot.0 as usize] = Ties { previous, name_hash, ..Ties::NONE };
        self.by_name.insert(&mut self.ties, name_hash, slot);
        slot
    }

    #[inline]
    pub(crate) fn remove(&mut self, slot: Slot) {
        self.leave_owner(slot);
        let extra = self.get(slot).extra;
        if extra != NONE {
            self.free_extras.push(extra);
        }
        let name_hash = self.ties[slot.0 as usize].name_hash;
        self.by_name.remove(&mut self.ties, name_hash, slot);
        self.slab.remove(slot);
    }

    pub(crate) fn rename(&mut self, slot: Slot, name: ClientOrderId) {
        let name_hash = self.name_hash(self.owned(self.get(slot).owner).owner, &name);
        let ties = &mut self.ties;
        let before = core::mem::replace(&mut ties[slot.0 as usize].name_hash, name_hash);
        self.by_name.remove(ties, before, slot);
        self.by_name.insert(ties, name_hash, slot);
        self.terms_mut(slot).client_order_id = name;
    }

    /// Sets what remains of an order: the one place that does, so that the owner's sum holds.
    #[inline(always)]
    pub(crate) fn set_remaining(&mut self, slot: Slot, remaining: Quantity) {
        let order = self.slab.get_mut(slot);
        let before = core::mem::replace(&mut order.remaining, remaining);
        let difference = i128::from(remaining.0) - i128::from(before.0);
        self.owners[order.owner as usize].open[order.side as usize] += Amount(difference);
    }

    /// Some of an order was executed.
    #[inline(always)]
    pub(crate) fn execute(&mut self, slot: Slot, quantity: Quantity, quote: Amount) {
        let order = self.slab.get_mut(slot);
        order.is_touched = true;
        let (remaining, owner) = (order.remaining.0, order.owner);
        self.owners[owner as usize].traded.add(self.day, quantity);
        let terms = &mut self.terms[slot.0 as usize];
        terms.executed.0 += quantity.0;
        terms.executed_quote += quote;
        // Nothing remains of an order by quote quantity, ever.
        self.set_remaining(slot, Quantity(remaining.saturating_sub(quantity.0)));
    }

    /// Some of an order was prevented (docs/rules.md §6).
    pub(crate) fn prevent(&mut self, slot: Slot, quantity: Quantity) {
        let order = self.slab.get_mut(slot);
        order.is_touched = true;
        let remaining = order.remaining.0;
        self.terms[slot.0 as usize].prevented.0 += quantity.0;
        self.set_remaining(slot, Quantity(remaining.saturating_sub(quantity.0)));
    }

    /// What no longer remains of an order, without a look at its terms where that is nothing.
    #[inline]
    pub(crate) fn gone(&self, slot: Slot) -> Quantity {
        match self.get(slot).is_touched {
            true => self.terms(slot).gone(),
            false => Quantity::ZERO,
        }
    }

    pub(crate) fn status(&self, slot: Slot) -> OrderStatus {
        match self.get(slot).is_touched && !self.terms(slot).executed.is_zero() {
            true => OrderStatus::PartiallyFilled,
            false => OrderStatus::New,
        }
    }

    /// The request as it stands: with the price and the client order id that were last set; a
    /// pegged order with the price that its owner named.
    pub(crate) fn request(&self, slot: Slot) -> OrderRequest {
        let (order, terms) = (self.get(slot), self.terms(slot));
        let named = self.extra(slot).filter(|extra| extra.is_pegged() || extra.is_funded);
        OrderRequest {
            account: order.account,
            instrument: order.instrument,
            side: order.side,
            kind: order.kind,
            time_in_force: terms.time_in_force,
            stp_mode: terms.stp_mode,
            quantity_unit: terms.unit,
            price: named.map_or(order.price, |extra| extra.named_price),
            quantity: terms.quantity,
            stop_price: terms.stop_price,
            client_order_id: terms.client_order_id,
            strategy_id: terms.strategy_id,
            strategy_type: terms.strategy_type,
        }
    }

    /// Returns the owner's order before it.
    #[inline]
    fn join_owner(&mut self, slot: Slot) -> Slot {
        let Order { owner, side, kind, remaining, .. } = *self.get(slot);
        let owned = &mut self.owners[owner as usize];
        owned.count += 1;
        owned.algos += u32::from(kind.is_contingent());
        owned.open[side as usize] += remaining.into();
        let last = core::mem::replace(&mut owned.last, slot);
        owned.first = if last.is_none() { slot } else { owned.first };
        self.ties[last.0 as usize].next = slot;
        last
    }

    #[inline]
    fn leave_owner(&mut self, slot: Slot) {
        let Ties { previous, next, .. } = self.ties[slot.0 as usize];
        let Order { owner, side, kind, remaining, .. } = *self.get(slot);
        let is_iceberg = self.extra(slot).is_some_and(Extra::is_iceberg);
        let owned = &mut self.owners[owner as usize];
        owned.count -= 1;
        owned.algos -= u32::from(kind.is_contingent());
        if is_iceberg {
            owned.icebergs -= 1;
        }
        owned.open[side as usize] -= remaining.into();
        owned.first = if previous.is_none() { next } else { owned.first };
        owned.last = if next.is_none() { previous } else { owned.last };
        self.ties[previous.0 as usize].next = next;
        self.ties[next.0 as usize].previous = previous;
    }
}
