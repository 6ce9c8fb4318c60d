//! The exchange's book as its rows of orders show it: added, modified, canceled, and nothing else.
//!
//! It knows no fills and no priority, and never looks at the engine: it is what the engine's book
//! is compared with.

use super::super::ladder::Ladders;
use super::format::Order;
use protocol::Side;
use std::collections::{BTreeMap, HashMap};

/// Orders of one level by the exchange's id, in lots. **Invariant:** never empty in [`Shown`].
pub(super) type Level = BTreeMap<u64, u64>;

/// **Invariant:** `places` and `levels` hold the same orders, none of size 0.
#[derive(Debug, Default)]
pub(super) struct Shown {
    levels: Ladders<Level>,
    places: HashMap<u64, (Side, u64)>,
}

impl Shown {
    pub(super) fn get(&self, id: u64) -> Option<Order> {
        let (side, price) = *self.places.get(&id)?;
        let size = *self.levels.get(side, price)?.get(&id)?;
        Some(Order { id, side, price: protocol::Price(price), size })
    }

    /// Adds the order, or gives it this side, price and size.
    pub(super) fn set(&mut self, order: Order) {
        let Order { id, side, price, size } = order;
        self.remove(id);
        self.places.insert(id, (side, price.0));
        match self.levels.get_mut(side, price.0) {
            Some(level) => drop(level.insert(id, size)),
            None => self.levels.set(side, price.0, Level::from([(id, size)])),
        }
    }

    /// Takes so much off the order; returns what is left, if the order is known.
    pub(super) fn cancel(&mut self, id: u64, size: u64) -> Option<u64> {
        let order = self.get(id)?;
        match order.size.saturating_sub(size) {
            0 => self.remove(id),
            rest => self.set(Order { size: rest, ..order }),
        }
        Some(order.size.saturating_sub(size))
    }

    fn remove(&mut self, id: u64) {
        let Some((side, price)) = self.places.remove(&id) else { return };
        let Some(level) = self.levels.get_mut(side, price) else { return };
        level.remove(&id);
        if level.is_empty() {
            self.levels.remove(side, price);
        }
    }

    pub(super) fn clear(&mut self) {
        self.levels.clear();
        self.places.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn level(&self, side: Side, price: u64) -> Option<&Level> {
        self.levels.get(side, price)
    }

    pub(super) fn prices(&self, side: Side) -> impl Iterator<Item = u64> {
        self.levels.levels(side).map(|(price, _)| price)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Price;

    #[test]
    fn an_order_is_set_moved_reduced_and_gone() {
        let mut shown = Shown::default();
        let order = Order { id: 7, side: Side::Buy, price: Price(10), size: 5 };
        shown.set(order);
        shown.set(Order { price: Price(11), ..order });
        assert_eq!(shown.level(Side::Buy, 10), None);
        assert_eq!(shown.cancel(7, 2), Some(3));
        assert_eq!(shown.level(Side::Buy, 11), Some(&Level::from([(7, 3)])));
        assert_eq!(shown.cancel(7, 3), Some(0));
        assert_eq!((shown.cancel(7, 1), shown.get(7), shown.len()), (None, None, 0));
        assert_eq!(shown.prices(Side::Buy).count(), 0);
    }
}
