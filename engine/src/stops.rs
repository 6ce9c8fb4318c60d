//! Contingent orders that wait for a trade at or past their stop price (docs/rules.md §8).

use crate::slab::Slot;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use protocol::{OrderId, Price};

/// **Invariants:** an order stands in exactly one of the two maps, under its own stop price.
#[derive(Debug, Default)]
pub(crate) struct Stops {
    /// Fire when the price rises to the stop price.
    rising: BTreeMap<(Price, OrderId), Slot>,
    /// Fire when the price falls to the stop price.
    falling: BTreeMap<(Price, OrderId), Slot>,
}

impl Stops {
    fn side(&mut self, fires_on_rise: bool) -> &mut BTreeMap<(Price, OrderId), Slot> {
        if fires_on_rise { &mut self.rising } else { &mut self.falling }
    }

    pub(crate) fn insert(&mut self, on_rise: bool, stop: Price, order: OrderId, slot: Slot) {
        let previous = self.side(on_rise).insert((stop, order), slot);
        assert!(previous.is_none(), "order {order} waits twice");
    }

    pub(crate) fn remove(&mut self, on_rise: bool, stop: Price, order: OrderId) {
        let removed = self.side(on_rise).remove(&(stop, order));
        assert!(removed.is_some(), "order {order} does not wait");
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rising.is_empty() && self.falling.is_empty()
    }

    /// Takes out what a trade at `price` makes due, by order id.
    pub(crate) fn take_due(&mut self, price: Price) -> Vec<(OrderId, Slot)> {
        let mut due = Vec::new();
        while let Some(entry) = self.rising.first_entry().filter(|entry| entry.key().0 <= price) {
            let ((_, order), slot) = entry.remove_entry();
            due.push((order, slot));
        }
        while let Some(entry) = self.falling.last_entry().filter(|entry| entry.key().0 >= price) {
            let ((_, order), slot) = entry.remove_entry();
            due.push((order, slot));
        }
        due.sort_unstable();
        due
    }

    /// All that wait, by order id.
    pub(crate) fn by_order(&self) -> Vec<(OrderId, Slot)> {
        let both = self.rising.iter().chain(&self.falling);
        let mut all: Vec<_> = both.map(|((_, order), slot)| (*order, *slot)).collect();
        all.sort_unstable();
        all
    }
}
