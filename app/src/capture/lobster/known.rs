//! What is known of the exchange's own queues: which order stands where in each level.
//!
//! It follows the messages alone, never the engine: it says whom the exchange should have filled,
//! and which order of the engine stands for which of the exchange.

use super::super::ladder::{Ladders, crosses};
use protocol::{OrderId, Side};
use std::collections::VecDeque;

/// One order of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resting {
    /// The exchange's id; none for quantity whose arrival was not seen.
    pub(super) name: Option<i64>,
    pub(super) order: OrderId,
    /// Shares.
    pub(super) remaining: u64,
    pub(super) executed: u64,
}

/// Oldest first. **Invariant:** never empty while it is in [`Known`], no order without remaining.
pub(super) type Queue = VecDeque<Resting>;

/// How an execution of the exchange fits price-time priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fit {
    /// The oldest order at the best price; its arrival was seen.
    Oldest,
    /// Quantity that rested before it was seen, oldest at the best price.
    OldestUnseen,
    /// Quantity whose arrival was not seen is older.
    BehindUnseen,
    /// An order whose arrival was seen is older.
    BehindSeen,
    /// An unseen order where not so much unseen quantity is oldest.
    UnseenShort,
    /// More than the order had.
    TooLarge,
    NotBest,
}

#[derive(Debug, Default)]
pub(super) struct Known {
    levels: Ladders<Queue>,
}

impl Known {
    pub(super) fn best(&self, side: Side) -> Option<u64> {
        self.levels.best(side)
    }

    pub(super) fn clear(&mut self) {
        self.levels.clear();
    }

    pub(super) fn levels(&self, side: Side) -> impl DoubleEndedIterator<Item = (u64, &Queue)> {
        self.levels.levels(side)
    }

    /// Would an order of this side and price trade?
    pub(super) fn would_trade(&self, side: Side, price: u64) -> bool {
        self.best(side.opposite()).is_some_and(|best| crosses(side, price, best))
    }

    pub(super) fn add(&mut self, side: Side, price: u64, resting: Resting) {
        match self.levels.get_mut(side, price) {
            Some(queue) => {
                // The id is taken: whoever had it cannot be told from others any more.
                let same = |it: &&mut Resting| it.name.is_some() && it.name == resting.name;
                if let Some(older) = queue.iter_mut().find(same) {
                    older.name = None;
                }
                queue.push_back(resting);
            }
            None => self.levels.set(side, price, VecDeque::from([resting])),
        }
    }

    pub(super) fn remove_level(&mut self, side: Side, price: u64) -> Queue {
        self.levels.remove(side, price).unwrap_or_default()
    }

    pub(super) fn is_seen(&self, side: Side, price: u64, name: i64) -> bool {
        let queue = self.levels.get(side, price);
        queue.is_some_and(|queue| queue.iter().any(|it| it.name == Some(name)))
    }

    /// The pieces of unseen quantity at the head of the level, oldest first.
    pub(super) fn unseen_head(&self, side: Side, price: u64) -> impl Iterator<Item = &Resting> {
        let queue = self.levels.get(side, price).into_iter().flatten();
        queue.take_while(|resting| resting.name.is_none())
    }

    pub(super) fn fit(&self, side: Side, price: u64, name: i64, size: u64) -> Fit {
        if self.best(side) != Some(price) {
            return Fit::NotBest;
        }
        let Some(oldest) = self.levels.get(side, price).and_then(VecDeque::front) else {
            return Fit::NotBest;
        };
        match oldest.name {
            Some(seen) if seen == name && size > oldest.remaining => Fit::TooLarge,
            Some(seen) if seen == name => Fit::Oldest,
            Some(_) if self.is_seen(side, price, name) => Fit::BehindSeen,
            None if self.is_seen(side, price, name) => Fit::BehindUnseen,
            None if size <= oldest.remaining => Fit::OldestUnseen,
            _ => Fit::UnseenShort,
        }
    }

    /// The oldest order of the level trades `size`, no more than it has.
    pub(super) fn fill_oldest(&mut self, side: Side, price: u64, size: u64) -> Option<OrderId> {
        let queue = self.levels.get_mut(side, price)?;
        let oldest = queue.front_mut()?;
        let order = oldest.order;
        oldest.remaining = oldest.remaining.saturating_sub(size);
        oldest.executed += size;
        if oldest.remaining == 0 {
            queue.pop_front();
        }
        self.forget_if_empty(side, price);
        Some(order)
    }

    /// Takes up to `size` off one order: the named one, else the oldest unseen, else the oldest.
    /// Returns the order as it is now and how much was taken.
    pub(super) fn reduce(
        &mut self,
        side: Side,
        price: u64,
        name: i64,
        size: u64,
    ) -> Option<(Resting, u64)> {
        let queue = self.levels.get_mut(side, price)?;
        let named = queue.iter().position(|it| it.name == Some(name));
        let unseen = || queue.iter().position(|it| it.name.is_none());
        let at = named.or_else(unseen).unwrap_or(0);
        let resting = queue.get_mut(at)?;
        let taken = size.min(resting.remaining);
        resting.remaining -= taken;
        let now = *resting;
        if now.remaining == 0 {
            queue.remove(at);
        }
        self.forget_if_empty(side, price);
        Some((now, taken))
    }

    fn forget_if_empty(&mut self, side: Side, price: u64) {
        if self.levels.get(side, price).is_some_and(VecDeque::is_empty) {
            self.levels.remove(side, price);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(queue: &[(Option<i64>, u64)]) -> Known {
        let mut known = Known::default();
        for (at, &(name, remaining)) in queue.iter().enumerate() {
            let order = OrderId(at as u64 + 1);
            known.add(Side::Buy, 10, Resting { name, order, remaining, executed: 0 });
        }
        known
    }

    #[test]
    fn an_execution_fits_or_says_how_not() {
        let unseen_first = known(&[(None, 5), (Some(7), 3), (Some(8), 3)]);
        let fit = |known: &Known, name, size| known.fit(Side::Buy, 10, name, size);
        assert_eq!(fit(&unseen_first, 99, 5), Fit::OldestUnseen);
        assert_eq!(fit(&unseen_first, 99, 6), Fit::UnseenShort);
        assert_eq!(fit(&unseen_first, 7, 3), Fit::BehindUnseen);
        let seen_first = known(&[(Some(7), 3), (Some(8), 3)]);
        assert_eq!(fit(&seen_first, 7, 3), Fit::Oldest);
        assert_eq!(fit(&seen_first, 7, 4), Fit::TooLarge);
        assert_eq!(fit(&seen_first, 8, 1), Fit::BehindSeen);
        assert_eq!(fit(&seen_first, 99, 1), Fit::UnseenShort);
        assert_eq!(seen_first.fit(Side::Buy, 9, 7, 1), Fit::NotBest);
        assert_eq!(seen_first.fit(Side::Sell, 10, 7, 1), Fit::NotBest);
    }

    #[test]
    fn a_reduction_takes_the_named_then_the_unseen_then_the_oldest() {
        let mut known = known(&[(Some(7), 3), (None, 5), (Some(8), 4)]);
        let mut reduce = |name, size| {
            let (resting, taken) = known.reduce(Side::Buy, 10, name, size)?;
            Some((resting.order.0, resting.remaining, taken))
        };
        assert_eq!(reduce(8, 1), Some((3, 3, 1)));
        assert_eq!(reduce(8, 9), Some((3, 0, 3)));
        assert_eq!(reduce(8, 6), Some((2, 0, 5)));
        assert_eq!(reduce(8, 1), Some((1, 2, 1)));
        assert_eq!(reduce(8, 9), Some((1, 0, 2)));
        assert_eq!(reduce(8, 9), None);
        assert_eq!(known.best(Side::Buy), None);
    }

    #[test]
    fn an_id_that_comes_again_leaves_its_older_order_without_name() {
        let mut known = known(&[(Some(7), 3)]);
        let again = Resting { name: Some(7), order: OrderId(2), remaining: 4, executed: 0 };
        known.add(Side::Buy, 10, again);
        let names: Vec<_> = known.levels(Side::Buy).flat_map(|it| it.1).map(|it| it.name).collect();
        assert_eq!(names, [None, Some(7)]);
    }
}
