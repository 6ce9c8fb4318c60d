//! At which price an auction executes (docs/rules.md §11). Pure: quantities in, a price out.

use alloc::vec::Vec;
use core::cmp::Reverse;
use protocol::{Amount, Price, Side};

/// What is wanted and offered, hidden parts included.
#[derive(Debug, Default)]
pub(crate) struct Interest {
    /// Σ remaining by limit price, best (highest) first.
    pub(crate) bids: Vec<(Price, Amount)>,
    /// Σ remaining by limit price, best (lowest) first.
    pub(crate) asks: Vec<(Price, Amount)>,
    /// Market orders to buy: their upper price and what remains of them.
    pub(crate) market_bids: Vec<(Price, Amount)>,
    /// Σ remaining of the market orders to sell.
    pub(crate) market_asks: Amount,
    /// Decides when all else is equal, and is a candidate itself.
    pub(crate) last: Option<Price>,
}

/// What executes at which price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Clearing {
    pub(crate) price: Price,
    pub(crate) demand: Amount,
    pub(crate) supply: Amount,
}

impl Clearing {
    pub(crate) fn quantity(&self) -> Amount {
        self.demand.min(self.supply)
    }

    pub(crate) fn surplus(&self) -> (Side, Amount) {
        match self.demand > self.supply {
            true => (Side::Buy, self.demand - self.supply),
            false => (Side::Sell, self.supply - self.demand),
        }
    }

    fn imbalance(&self) -> Amount {
        self.surplus().1
    }
}

impl Interest {
    /// The price of the largest quantity, then of the smallest surplus, then on the side of the
    /// surplus, then nearest to the last price. None: nothing would execute.
    pub(crate) fn clearing(&mut self) -> Option<Clearing> {
        let candidates = self.candidates();
        let best = candidates
            .iter()
            .map(|at| (at.quantity(), Reverse(at.imbalance())))
            .max()
            .filter(|(quantity, _)| !quantity.is_zero())?;
        let is_best = |at: &&Clearing| (at.quantity(), Reverse(at.imbalance())) == best;
        let all = || candidates.iter().filter(is_best);
        if all().all(|at| at.demand > at.supply) {
            return all().next_back().copied();
        }
        if all().all(|at| at.demand < at.supply) {
            return all().next().copied();
        }
        let distance = |at: &&Clearing| self.last.map_or(0, |last| last.0.abs_diff(at.price.0));
        all().min_by_key(distance).copied()
    }

    /// Demand and supply at every candidate, in rising order of price: one pass over both sides.
    fn candidates(&mut self) -> Vec<Clearing> {
        // Both with the price that leaves first at the end.
        self.market_bids.sort_unstable_by_key(|(upper, _)| Reverse(*upper));
        let mut prices: Vec<Price> =
            self.bids.iter().chain(&self.asks).map(|(price, _)| *price).chain(self.last).collect();
        prices.sort_unstable();
        prices.dedup();
        let sum =
            |all: &[(Price, Amount)]| -> Amount { all.iter().map(|(_, quantity)| *quantity).sum() };
        let mut demand: Amount = sum(&self.bids) + sum(&self.market_bids);
        let mut supply = self.market_asks;
        let (mut bids, mut market_bids) = (self.bids.iter().rev(), self.market_bids.iter().rev());
        let (mut bids, mut market_bids) =
            (bids.by_ref().peekable(), market_bids.by_ref().peekable());
        let mut asks = self.asks.iter().peekable();
        let at = |price: Price| {
            while let Some((_, quantity)) = bids.next_if(|(limit, _)| *limit < price) {
                demand -= *quantity;
            }
            while let Some((_, quantity)) = market_bids.next_if(|(upper, _)| *upper < price) {
                demand -= *quantity;
            }
            while let Some((_, quantity)) = asks.next_if(|(limit, _)| *limit <= price) {
                supply += *quantity;
            }
            Clearing { price, demand, supply }
        };
        prices.into_iter().map(at).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn levels(levels: &[(u64, i128)]) -> Vec<(Price, Amount)> {
        levels.iter().map(|(price, quantity)| (Price(*price), Amount(*quantity))).collect()
    }

    fn price(bids: &[(u64, i128)], asks: &[(u64, i128)], last: Option<u64>) -> Option<(u64, i128)> {
        let (bids, asks, last) = (levels(bids), levels(asks), last.map(Price));
        let mut interest = Interest { bids, asks, last, ..Interest::default() };
        interest.clearing().map(|at| (at.price.0, at.quantity().0))
    }

    #[test]
    fn the_largest_quantity_wins_then_the_smallest_surplus() {
        assert_eq!(price(&[(12, 5), (11, 5), (10, 9)], &[(9, 8), (11, 4)], None), Some((11, 10)));
        // 10 and 11 both execute 8; at 11 two are left to sell, at 10 six to buy.
        assert_eq!(price(&[(11, 8), (10, 6)], &[(10, 8), (11, 2)], None), Some((11, 8)));
        assert_eq!(price(&[(9, 1)], &[(10, 1)], Some(9)), None);
        assert_eq!(price(&[], &[], Some(9)), None);
    }

    #[test]
    fn then_the_side_of_the_surplus_then_the_last_price() {
        let wide = |left: i128, right: i128, last| price(&[(12, left)], &[(10, right)], last);
        assert_eq!(wide(9, 5, None), Some((12, 5)), "demand pulls up");
        assert_eq!(wide(5, 9, None), Some((10, 5)), "supply pulls down");
        assert_eq!(wide(5, 5, None), Some((10, 5)), "nothing to go by: the lowest");
        assert_eq!(wide(5, 5, Some(11)), Some((11, 5)), "the last price itself");
        assert_eq!(wide(5, 5, Some(99)), Some((12, 5)), "the nearest to it");
    }

    #[test]
    fn market_orders_buy_up_to_their_upper_price_and_sell_at_any() {
        let mut interest = Interest {
            bids: levels(&[(10, 1)]),
            asks: levels(&[(12, 4)]),
            market_bids: levels(&[(11, 3), (13, 2)]),
            market_asks: Amount(1),
            last: None,
        };
        let clearing = interest.clearing().unwrap();
        // At 12 only the order with upper price 13 buys; at 10 all do, and one is offered.
        assert_eq!((clearing.price, clearing.quantity()), (Price(12), Amount(2)));
        assert_eq!(clearing.surplus(), (Side::Sell, Amount(3)));
    }
}
