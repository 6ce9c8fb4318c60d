//! Price levels of one side, best first.

use protocol::Side;
use std::collections::BTreeMap;

/// Orders the prices of one side from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(i128);

pub(super) fn rank(side: Side, price: u64) -> Rank {
    match side {
        Side::Buy => Rank(-i128::from(price)),
        Side::Sell => Rank(i128::from(price)),
    }
}

/// Would an order of this side and limit trade at `price`?
pub(super) fn crosses(side: Side, limit: u64, price: u64) -> bool {
    rank(side.opposite(), price) <= rank(side.opposite(), limit)
}

/// What stands at each price of both sides.
#[derive(Debug)]
pub(super) struct Ladders<T> {
    bids: BTreeMap<Rank, (u64, T)>,
    asks: BTreeMap<Rank, (u64, T)>,
}

impl<T> Default for Ladders<T> {
    fn default() -> Ladders<T> {
        Ladders { bids: BTreeMap::new(), asks: BTreeMap::new() }
    }
}

impl<T> Ladders<T> {
    fn side(&self, side: Side) -> &BTreeMap<Rank, (u64, T)> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut BTreeMap<Rank, (u64, T)> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    pub(super) fn get(&self, side: Side, price: u64) -> Option<&T> {
        self.side(side).get(&rank(side, price)).map(|(_, level)| level)
    }

    pub(super) fn get_mut(&mut self, side: Side, price: u64) -> Option<&mut T> {
        self.side_mut(side).get_mut(&rank(side, price)).map(|(_, level)| level)
    }

    pub(super) fn set(&mut self, side: Side, price: u64, level: T) {
        self.side_mut(side).insert(rank(side, price), (price, level));
    }

    pub(super) fn remove(&mut self, side: Side, price: u64) -> Option<T> {
        self.side_mut(side).remove(&rank(side, price)).map(|(_, level)| level)
    }

    /// Price and level, best first.
    pub(super) fn levels(&self, side: Side) -> impl DoubleEndedIterator<Item = (u64, &T)> {
        self.side(side).values().map(|(price, level)| (*price, level))
    }

    pub(super) fn best(&self, side: Side) -> Option<u64> {
        self.levels(side).next().map(|(price, _)| price)
    }

    pub(super) fn clear(&mut self) {
        self.bids.clear();
        self.asks.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_run_from_best_to_worst() {
        let mut ladders = Ladders::default();
        for price in [3, 1, 2] {
            ladders.set(Side::Buy, price, ());
            ladders.set(Side::Sell, price + 10, ());
        }
        let prices = |side| ladders.levels(side).map(|(price, ())| price).collect::<Vec<_>>();
        assert_eq!(prices(Side::Buy), [3, 2, 1]);
        assert_eq!(prices(Side::Sell), [11, 12, 13]);
        assert!(crosses(Side::Buy, 11, 11) && !crosses(Side::Buy, 10, 11));
        assert!(crosses(Side::Sell, 3, 3) && !crosses(Side::Sell, 4, 3));
    }
}
