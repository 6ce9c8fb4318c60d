//! Enters what owners asked for (create, cancel) into the engine and notes what it traded.
//!
//! What the exchange did (changes, fills) is an outcome to compare with, never an input, but for
//! orders that the engine does not know or still has after the exchange filled them.

use super::super::ladder::crosses;
use super::super::venue::{Limit, Venue};
use super::format::{Entry, Order, Record, Snapshot, Trade};
use super::outcomes::Outcomes;
use anyhow::Result;
use protocol::{
    AccountId, Amount, Event, OrderId, Price, Quantity, Side, Stamp, TimeInForce, notional,
};
use std::collections::{HashMap, HashSet};

const NANOSECONDS: u64 = protocol::MILLISECOND_NS;

/// A fill of the engine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fill {
    /// Line of the create that caused it.
    pub(super) line: u64,
    pub(super) received_ms: u64,
    pub(super) price: Price,
    pub(super) quantity: Quantity,
    /// The exchange's ids; an order from before the log has none.
    pub(super) maker: Option<u64>,
    pub(super) taker: u64,
}

/// A trade as the exchange printed it.
#[derive(Debug, Clone)]
pub(super) struct Printed {
    pub(super) line: u64,
    pub(super) received_ms: u64,
    pub(super) trade: Trade,
}

#[derive(Debug, Clone, Copy)]
struct Resting {
    id: Option<u64>,
    side: Side,
    price: Price,
    remaining: Quantity,
    executed: Quantity,
}

#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) created: u64,
    pub(super) canceled: u64,
    /// Canceled with another rest than the engine had.
    pub(super) canceled_other_rest: u64,
    pub(super) filled: u64,
    /// Filled by the exchange, still open in the engine: taken out.
    pub(super) filled_still_open: u64,
    /// Canceled by the owner, filled already by the engine.
    pub(super) canceled_but_filled: u64,
    pub(super) from_before: u64,
    pub(super) before_create: u64,
    pub(super) not_enterable: u64,
    pub(super) snapshots: u64,
    pub(super) snapshots_best_equal: u64,
    pub(super) levels: u64,
    pub(super) levels_equal: u64,
}

pub(super) struct Replay {
    pub(super) venue: Venue,
    pub(super) tally: Tally,
    pub(super) fills: Vec<Fill>,
    pub(super) printed: Vec<Printed>,
    pub(super) outcomes: Outcomes,
    pub(super) price_places: u32,
    pub(super) lines: u64,
    open: HashMap<OrderId, Resting>,
    by_id: HashMap<u64, OrderId>,
    /// What rested before the log, one order per level of the first snapshot.
    before: HashMap<(Side, Price), OrderId>,
    seen: HashSet<u64>,
    deleted_unseen: HashSet<u64>,
    seeded: bool,
}

impl Replay {
    pub(super) fn open() -> Result<Replay> {
        Ok(Replay {
            venue: Venue::open("BTCUSD", "BTC", "USD")?,
            tally: Tally::default(),
            fills: Vec::new(),
            printed: Vec::new(),
            outcomes: Outcomes::default(),
            price_places: 0,
            lines: 0,
            open: HashMap::new(),
            by_id: HashMap::new(),
            before: HashMap::new(),
            seen: HashSet::new(),
            deleted_unseen: HashSet::new(),
            seeded: false,
        })
    }

    pub(super) fn advance(&mut self, record: Record) {
        self.lines = record.line;
        self.price_places = self.price_places.max(record.price_places);
        self.venue.at(Stamp(record.received_ms * NANOSECONDS));
        self.outcomes.note(&record);
        let (line, received_ms) = (record.line, record.received_ms);
        match record.entry {
            Entry::Created(order) => self.created(order, line, received_ms),
            Entry::Deleted(order) => self.deleted(order),
            Entry::Changed(_) => (),
            Entry::Trade(trade) => self.printed.push(Printed { line, received_ms, trade }),
            Entry::Snapshot(snapshot) if !self.seeded => self.seed(&snapshot),
            Entry::Snapshot(snapshot) => self.compare(&snapshot),
        }
    }

    fn created(&mut self, order: Order, line: u64, received_ms: u64) {
        let Order { id, side, price, amount } = order;
        self.tally.created += 1;
        self.seen.insert(id);
        if price.is_zero() || amount.is_zero() {
            self.tally.not_enterable += 1;
            return;
        }
        let (placed, trades) = self.place(side, price, amount);
        let mut remaining = amount;
        for (maker, price, quantity) in trades {
            remaining = Quantity(remaining.0.saturating_sub(quantity.0));
            let maker = self.fill(maker, quantity);
            self.fills.push(Fill { line, received_ms, price, quantity, maker, taker: id });
        }
        let Some(placed) = placed.filter(|_| !remaining.is_zero()) else { return };
        let executed = Quantity(amount.0 - remaining.0);
        self.open.insert(placed, Resting { id: Some(id), side, price, remaining, executed });
        if let Some(older) = self.by_id.insert(id, placed) {
            self.cancel(older);
        }
        if self.deleted_unseen.remove(&id) {
            self.tally.before_create += 1;
            self.cancel(placed);
        }
    }

    fn place(
        &mut self,
        side: Side,
        price: Price,
        quantity: Quantity,
    ) -> (Option<OrderId>, Vec<(OrderId, Price, Quantity)>) {
        let account = self.account(side);
        let mut trades = Vec::new();
        let limit = Limit { account, side, price, quantity, time_in_force: TimeInForce::Gtc };
        let placed = self.venue.place(limit, |_, event| {
            if let Event::Trade(trade) = event {
                trades.push((trade.maker_order, trade.price, trade.quantity));
            }
        });
        (placed, trades)
    }

    /// One account buys, the other sells.
    fn account(&self, side: Side) -> AccountId {
        match side {
            Side::Buy => self.venue.first(),
            Side::Sell => self.venue.second(),
        }
    }

    fn fill(&mut self, maker: OrderId, quantity: Quantity) -> Option<u64> {
        let resting = self.open.get_mut(&maker)?;
        let id = resting.id;
        resting.executed = Quantity(resting.executed.0 + quantity.0);
        resting.remaining = Quantity(resting.remaining.0.saturating_sub(quantity.0));
        if resting.remaining.is_zero() {
            self.forget(maker);
        }
        id
    }

    fn forget(&mut self, order: OrderId) -> Option<Resting> {
        let resting = self.open.remove(&order)?;
        let place = (resting.side, resting.price);
        match resting.id {
            Some(id) if self.by_id.get(&id) == Some(&order) => drop(self.by_id.remove(&id)),
            None if self.before.get(&place) == Some(&order) => drop(self.before.remove(&place)),
            _ => (),
        }
        Some(resting)
    }

    fn cancel(&mut self, order: OrderId) -> Option<Resting> {
        let resting = self.forget(order)?;
        self.venue.cancel(self.account(resting.side), order);
        Some(resting)
    }

    fn deleted(&mut self, deleted: Order) {
        let was_filled = deleted.amount.is_zero();
        if let Some(order) = self.by_id.get(&deleted.id).copied() {
            let rest = self.cancel(order).map(|resting| resting.remaining);
            match (was_filled, rest == Some(deleted.amount)) {
                (true, _) => self.tally.filled_still_open += 1,
                (false, true) => self.tally.canceled += 1,
                (false, false) => self.tally.canceled_other_rest += 1,
            }
        } else if self.seen.contains(&deleted.id) {
            self.tally.filled += u64::from(was_filled);
            self.tally.canceled_but_filled += u64::from(!was_filled);
        } else {
            self.deleted_unseen.insert(deleted.id);
            self.tally.from_before += 1;
            self.reduce_before(deleted);
        }
    }

    /// An order from before the log goes: it was a part of its level's order, or all of it.
    fn reduce_before(&mut self, deleted: Order) {
        let Some(order) = self.before.get(&(deleted.side, deleted.price)).copied() else { return };
        let Some(resting) = self.open.get_mut(&order) else { return };
        if deleted.amount.is_zero() || deleted.amount >= resting.remaining {
            self.cancel(order);
            return;
        }
        resting.remaining = Quantity(resting.remaining.0 - deleted.amount.0);
        let quantity = Quantity(resting.executed.0 + resting.remaining.0);
        self.venue.amend(self.account(deleted.side), order, quantity);
    }

    /// The first snapshot shows what rested before the log: it is older than what was seen.
    fn seed(&mut self, snapshot: &Snapshot) {
        self.seeded = true;
        for side in [Side::Buy, Side::Sell] {
            for &(price, amount) in snapshot.side(side) {
                let best = self.venue.book.best(side.opposite());
                let would_trade = best.is_some_and(|best| crosses(side, price.0, best));
                let known = self.venue.book.get(side, price.0).map_or(0, |level| level.0);
                let unseen = i128::from(amount.0) - known;
                let unseen = u64::try_from(unseen).unwrap_or(0);
                if !would_trade && unseen > 0 {
                    self.seed_level(side, price, Quantity(unseen));
                }
            }
        }
    }

    fn seed_level(&mut self, side: Side, price: Price, unseen: Quantity) {
        let younger: Vec<_> =
            self.venue.queue(side, price).iter().filter_map(|(it, _)| self.cancel(*it)).collect();
        let executed = Quantity::ZERO;
        if let (Some(order), _) = self.place(side, price, unseen) {
            self.before.insert((side, price), order);
            self.open.insert(order, Resting { id: None, side, price, remaining: unseen, executed });
        }
        for resting in younger {
            if let (Some(order), _) = self.place(side, price, resting.remaining) {
                self.open.insert(order, Resting { executed, ..resting });
                resting.id.map(|id| self.by_id.insert(id, order));
            }
        }
    }

    fn compare(&mut self, snapshot: &Snapshot) {
        let mut best_equal = true;
        for side in [Side::Buy, Side::Sell] {
            let levels = snapshot.side(side);
            let best = self.venue.book.levels(side).next();
            let best = best.map(|(price, amount)| (price, *amount));
            let theirs = levels.first().map(|(price, amount)| (price.0, Amount::from(*amount)));
            best_equal &= best == theirs;
            self.tally.levels += levels.len() as u64;
            let same = |(price, amount): &&(Price, Quantity)| {
                self.venue.book.get(side, price.0) == Some(&Amount::from(*amount))
            };
            self.tally.levels_equal += levels.iter().filter(same).count() as u64;
        }
        self.tally.snapshots += 1;
        self.tally.snapshots_best_equal += u64::from(best_equal);
    }

    /// What the open orders must hold, of base and quote.
    pub(super) fn held(&self) -> (Amount, Amount) {
        let (mut base, mut quote) = (Amount::ZERO, Amount::ZERO);
        for resting in self.open.values() {
            match resting.side {
                Side::Sell => base += resting.remaining.into(),
                Side::Buy => quote += notional(resting.price, resting.remaining),
            }
        }
        (base, quote)
    }
}
