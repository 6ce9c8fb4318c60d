//! A book as one would first write it: a tree of prices, a queue at each, a map of orders. The peer
//! that the engine is measured beside, and a second opinion on what must come of the operations.

use std::collections::{BTreeMap, HashMap, VecDeque};

use app::ops::{BUY, Kind, Operation, Outcome, Refused, Subject};

/// Orders of one price, oldest first: id and what remains.
type Queue = VecDeque<(u64, u64)>;

/// One book.
#[derive(Debug, Default)]
pub struct Book {
    bids: BTreeMap<i64, Queue>,
    asks: BTreeMap<i64, Queue>,
    orders: HashMap<u64, (u8, i64)>,
    pub outcome: Outcome,
}

impl Book {
    pub fn best(&self, side: u8) -> Option<i64> {
        match side {
            BUY => self.bids.keys().next_back().copied(),
            _ => self.asks.keys().next().copied(),
        }
    }

    /// Side, price and what remains of an open order.
    pub fn open(&self, id: u64) -> Option<(u8, i64, u64)> {
        let (side, price) = *self.orders.get(&id)?;
        let levels = if side == BUY { &self.bids } else { &self.asks };
        let order = levels.get(&price)?.iter().find(|order| order.0 == id)?;
        Some((side, price, order.1))
    }

    /// Applies one operation; `filled` is told each maker that was filled whole.
    pub fn apply(&mut self, operation: &Operation, filled: impl FnMut(u64)) {
        match operation.kind {
            Kind::Limit => self.limit(operation, true, filled),
            Kind::ImmediateOrCancel => self.limit(operation, false, filled),
            Kind::Cancel => self.cancel(operation.id),
            Kind::Replace => {
                self.cancel(operation.id);
                self.limit(operation, true, filled);
            }
        }
    }

    fn levels(&mut self, side: u8) -> &mut BTreeMap<i64, Queue> {
        if side == BUY { &mut self.bids } else { &mut self.asks }
    }

    fn cancel(&mut self, id: u64) {
        let Some((side, price)) = self.orders.remove(&id) else { return };
        let levels = self.levels(side);
        let Some(queue) = levels.get_mut(&price) else { return };
        if let Some(at) = queue.iter().position(|order| order.0 == id) {
            queue.remove(at);
        }
        if queue.is_empty() {
            levels.remove(&price);
        }
    }

    fn limit(&mut self, operation: &Operation, rests: bool, mut filled: impl FnMut(u64)) {
        let Operation { side, id, price, mut quantity, .. } = *operation;
        while quantity > 0
            && let Some(best) = self.best(1 - side)
            && (if side == BUY { best <= price } else { best >= price })
        {
            let levels = self.levels(1 - side);
            let Some(queue) = levels.get_mut(&best) else { return };
            let Some((maker, remaining)) = queue.front_mut() else { return };
            let maker = *maker;
            let traded = quantity.min(*remaining);
            *remaining -= traded;
            quantity -= traded;
            if *remaining == 0 {
                queue.pop_front();
                if queue.is_empty() {
                    levels.remove(&best);
                }
                self.orders.remove(&maker);
                filled(maker);
            }
            self.outcome.add(maker, traded);
        }
        if rests && quantity > 0 {
            self.levels(side).entry(price).or_default().push_back((id, quantity));
            self.orders.insert(id, (side, price));
        }
    }
}

impl Subject for Book {
    type Prepared = Operation;

    fn prepare(&mut self, operation: &Operation) -> Result<Operation, String> {
        Ok(*operation)
    }

    #[inline]
    fn apply(&mut self, operation: &Operation) {
        Book::apply(self, operation, |_| {});
    }

    fn settle(&mut self, outcome: &mut Outcome) -> Result<(), Refused> {
        *outcome = self.outcome;
        Ok(())
    }
}
