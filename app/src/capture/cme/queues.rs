//! The exchange's queues: which order stands where, by its rows of orders and its fills, and which
//! order of the engine stands for it.
//!
//! A modification to another price or a larger size puts an order behind all others; so does one of
//! an order that was filled whole (the next slice of an iceberg).

use super::super::ladder::{Ladders, crosses};
use protocol::{OrderId, Side};
use std::collections::{HashMap, VecDeque};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resting {
    /// The exchange's id.
    pub(super) id: u64,
    /// The engine's; none while the engine does not have it.
    pub(super) order: OrderId,
    /// In lots.
    pub(super) remaining: u64,
    /// What the engine's order has traded, in lots.
    pub(super) executed: u64,
    /// Orders by priority of time over all prices.
    pub(super) arrival: u64,
}

/// Oldest first. **Invariants:** no queue is empty, no order is without remaining, `places` holds
/// the same orders.
#[derive(Debug, Default)]
pub(super) struct Queues {
    levels: Ladders<VecDeque<Resting>>,
    places: HashMap<u64, (Side, u64)>,
    arrivals: u64,
}

impl Queues {
    pub(super) fn place(&self, id: u64) -> Option<(Side, u64)> {
        self.places.get(&id).copied()
    }

    pub(super) fn get(&self, id: u64) -> Option<&Resting> {
        let (side, price) = self.place(id)?;
        self.levels.get(side, price)?.iter().find(|resting| resting.id == id)
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Resting> {
        let (side, price) = self.place(id)?;
        self.levels.get_mut(side, price)?.iter_mut().find(|resting| resting.id == id)
    }

    /// Behind all others of the level.
    pub(super) fn push(&mut self, side: Side, price: u64, resting: Resting) {
        self.arrivals += 1;
        let resting = Resting { arrival: self.arrivals, ..resting };
        self.places.insert(resting.id, (side, price));
        match self.levels.get_mut(side, price) {
            Some(queue) => queue.push_back(resting),
            None => self.levels.set(side, price, VecDeque::from([resting])),
        }
    }

    pub(super) fn remove(&mut self, id: u64) -> Option<Resting> {
        let (side, price) = self.places.remove(&id)?;
        let queue = self.levels.get_mut(side, price)?;
        let at = queue.iter().position(|resting| resting.id == id)?;
        let resting = queue.remove(at);
        if queue.is_empty() {
            self.levels.remove(side, price);
        }
        resting
    }

    pub(super) fn clear(&mut self) {
        self.levels.clear();
        self.places.clear();
    }

    pub(super) fn queue(&self, side: Side, price: u64) -> impl Iterator<Item = &Resting> {
        self.levels.get(side, price).into_iter().flatten()
    }

    /// Price and queue, best first.
    pub(super) fn levels(&self, side: Side) -> impl Iterator<Item = (u64, &VecDeque<Resting>)> {
        self.levels.levels(side)
    }

    /// Oldest first over both sides.
    pub(super) fn by_arrival(&self) -> Vec<(Side, u64, Resting)> {
        let side = |side| {
            let levels = self.levels.levels(side);
            levels.flat_map(move |(price, queue)| queue.iter().map(move |it| (side, price, *it)))
        };
        let mut orders: Vec<_> = side(Side::Buy).chain(side(Side::Sell)).collect();
        orders.sort_by_key(|(_, _, resting)| resting.arrival);
        orders
    }

    /// Would an order of this side and price trade?
    pub(super) fn would_trade(&self, side: Side, price: u64) -> bool {
        self.levels.best(side.opposite()).is_some_and(|best| crosses(side, price, best))
    }

    pub(super) fn is_crossed(&self) -> bool {
        self.levels.best(Side::Buy).is_some_and(|best| self.would_trade(Side::Buy, best))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resting(id: u64, remaining: u64) -> Resting {
        Resting { id, order: OrderId::NONE, remaining, executed: 0, arrival: 0 }
    }

    #[test]
    fn orders_stand_by_price_and_then_by_arrival() {
        let mut queues = Queues::default();
        for (id, price) in [(1, 10), (2, 11), (3, 10)] {
            queues.push(Side::Buy, price, resting(id, 5));
        }
        queues.push(Side::Sell, 12, resting(4, 5));
        let again = queues.remove(1).unwrap();
        queues.push(Side::Buy, 10, again);
        let ids = |queues: &Queues| queues.queue(Side::Buy, 10).map(|it| it.id).collect::<Vec<_>>();
        assert_eq!(ids(&queues), [3, 1]);
        let oldest: Vec<_> = queues.by_arrival().iter().map(|it| it.2.id).collect();
        assert_eq!(oldest, [2, 3, 4, 1]);
        assert!(queues.would_trade(Side::Sell, 11) && !queues.would_trade(Side::Sell, 12));
        assert!(!queues.is_crossed());
        queues.push(Side::Buy, 12, resting(5, 1));
        assert!(queues.is_crossed());
    }
}
