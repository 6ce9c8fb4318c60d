//! The book by price level, and what changed in it between two moments.

use protocol::event::BookChanged;
use protocol::{Amount, Price, Side, UpdateId};
use std::collections::BTreeMap;

/// One price of the book: what rests there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    pub price: Price,
    pub quantity: Amount,
    pub orders: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Resting {
    quantity: Amount,
    orders: u32,
}

/// One instrument's book. **Invariants:** no level is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Depth {
    last_update: UpdateId,
    bids: BTreeMap<Price, Resting>,
    asks: BTreeMap<Price, Resting>,
}

impl Depth {
    /// The newest change that is in; 0 before the first.
    pub fn last_update(&self) -> UpdateId {
        self.last_update
    }

    pub fn best(&self, side: Side) -> Option<Level> {
        let (price, resting) = match side {
            Side::Buy => self.bids.last_key_value(),
            Side::Sell => self.asks.first_key_value(),
        }?;
        Some(level(price, resting))
    }

    /// From the best price outwards.
    pub fn levels(&self, side: Side) -> impl Iterator<Item = Level> + '_ {
        let (bids, asks) = match side {
            Side::Buy => (Some(self.bids.iter().rev()), None),
            Side::Sell => (None, Some(self.asks.iter())),
        };
        let bids = bids.into_iter().flatten();
        bids.chain(asks.into_iter().flatten()).map(|(price, resting)| level(price, resting))
    }

    pub fn level(&self, side: Side, price: Price) -> Option<Level> {
        let levels = match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        };
        levels.get(&price).map(|resting| level(&price, resting))
    }

    /// How many prices one side has.
    pub fn levels_count(&self, side: Side) -> usize {
        match side {
            Side::Buy => self.bids.len(),
            Side::Sell => self.asks.len(),
        }
    }

    pub(crate) fn apply(&mut self, change: &BookChanged) {
        self.last_update = change.update;
        let levels = match change.side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        };
        if !change.quantity.is_zero() {
            let resting = Resting { quantity: change.quantity.into(), orders: change.orders };
            levels.insert(change.price, resting);
        } else {
            levels.remove(&change.price);
        }
    }

    /// Sets what a snapshot states beside the levels.
    pub(crate) fn restore(&mut self, last_update: UpdateId) {
        self.last_update = last_update;
    }
}

fn level(price: &Price, resting: &Resting) -> Level {
    Level { price: *price, quantity: resting.quantity, orders: resting.orders }
}

/// Changes below this many are not looked through for repeated prices.
const COMPACTED_AT_LEAST: usize = 256;

/// The levels that changed between two moments, each with its last quantity.
///
/// Memory stays within about twice the number of different prices.
#[derive(Debug, Clone, Default)]
pub struct DepthDiff {
    first_update: UpdateId,
    last_update: UpdateId,
    bids: Changes,
    asks: Changes,
}

/// Changes in the order they came.
#[derive(Debug, Clone, Default)]
struct Changes {
    rows: Vec<(Price, Amount)>,
    /// Length at which repeated prices are dropped.
    compact_at: usize,
}

impl DepthDiff {
    pub fn new() -> DepthDiff {
        DepthDiff::default()
    }

    pub fn add(&mut self, change: &BookChanged) {
        if self.is_empty() {
            self.first_update = change.update;
        }
        self.last_update = change.update;
        let quantity = change.quantity.into();
        match change.side {
            Side::Buy => self.bids.add(change.price, quantity),
            Side::Sell => self.asks.add(change.price, quantity),
        }
    }

    /// Update of the first change since the last [`clear`](DepthDiff::clear); 0 if there is none.
    pub fn first_update(&self) -> UpdateId {
        self.first_update
    }

    pub fn last_update(&self) -> UpdateId {
        self.last_update
    }

    /// Price and quantity after, best price first; quantity 0: the level is gone.
    pub fn bids(&self) -> Vec<(Price, Amount)> {
        let mut rows = self.bids.compacted();
        rows.reverse();
        rows
    }

    /// Price and quantity after, best price first; quantity 0: the level is gone.
    pub fn asks(&self) -> Vec<(Price, Amount)> {
        self.asks.compacted()
    }

    pub fn is_empty(&self) -> bool {
        self.last_update == UpdateId::NONE
    }

    /// Forgets the changes and keeps the memory.
    pub fn clear(&mut self) {
        (self.first_update, self.last_update) = (UpdateId::NONE, UpdateId::NONE);
        self.bids.rows.clear();
        self.asks.rows.clear();
    }
}

impl Changes {
    fn add(&mut self, price: Price, quantity: Amount) {
        match self.rows.last_mut() {
            Some(last) if last.0 == price => last.1 = quantity,
            _ => self.rows.push((price, quantity)),
        }
        if self.rows.len() >= self.compact_at.max(COMPACTED_AT_LEAST) {
            self.rows = self.compacted();
            self.compact_at = 2 * self.rows.len();
        }
    }

    /// By rising price, the last quantity of each.
    fn compacted(&self) -> Vec<(Price, Amount)> {
        let mut rows = self.rows.clone();
        rows.sort_by_key(|row| row.0);
        // The sort is stable: of equal prices the last is the newest.
        rows.dedup_by(|newer, kept| {
            let same = newer.0 == kept.0;
            if same {
                kept.1 = newer.1;
            }
            same
        });
        rows
    }
}
