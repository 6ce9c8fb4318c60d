//! What the exchange says became of its orders: which two of them made a printed trade.

use super::format::{Entry, Order, Record};
use protocol::{Price, Quantity, Side};
use std::collections::HashMap;

/// A trade's two order lines stand this close to it, whichever comes first.
const APART_MS_MAX: u64 = 1_000;
/// An order that spends a sum of money leaves at most this part of its amount.
const MONEY_REST_PARTS: u64 = 1_000;

/// One line that says that an order traded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    line: u64,
    received_ms: u64,
    pub(super) id: u64,
    side: Side,
    /// The order's price at that time.
    price: Price,
    told: Told,
    /// The exchange had changed the order's price before.
    pub(super) is_repriced: bool,
    is_used: bool,
}

/// How much of the order traded, as far as its line tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    Exactly(Quantity),
    /// Its amount before is not known.
    Nothing,
    /// It was canceled with this rest. An order that spends a sum of money trades nearly as much in
    /// the same moment, and its line shows the amount of before.
    CanceledWith(Quantity),
}

#[derive(Debug, Clone, Copy)]
struct Last {
    /// As it was created.
    price: Price,
    amount: Quantity,
    is_repriced: bool,
}

impl Outcome {
    fn tells_exactly(&self) -> bool {
        matches!(self.told, Told::Exactly(_))
    }

    /// Can the line tell of such a trade? An order that is created later in the log was incoming,
    /// the others of which nothing is known rested at the trade's price.
    fn tells_of(&self, price: Price, quantity: Quantity, is_late: bool) -> bool {
        match self.told {
            Told::Exactly(traded) => traded == quantity,
            Told::Nothing => self.price == price || is_late,
            Told::CanceledWith(rest) => {
                let missing = rest.0.checked_sub(quantity.0);
                missing.is_some_and(|missing| missing <= rest.0 / MONEY_REST_PARTS)
                    && self.price == price
            }
        }
    }

    /// Did the line show the whole amount although the order traded?
    pub(super) fn hides_its_trade(&self) -> bool {
        matches!(self.told, Told::CanceledWith(_))
    }
}

#[derive(Debug, Default)]
pub(super) struct Outcomes {
    list: Vec<Outcome>,
    last: HashMap<u64, Last>,
    created: HashMap<u64, u64>,
}

impl Outcomes {
    pub(super) fn note(&mut self, record: &Record) {
        match record.entry {
            Entry::Created(order) => {
                self.created.entry(order.id).or_insert(record.line);
                let Order { price, amount, .. } = order;
                self.last.entry(order.id).or_insert(Last { price, amount, is_repriced: false });
            }
            Entry::Changed(order) => self.changed(order, record, false),
            Entry::Deleted(order) => self.changed(order, record, true),
            Entry::Trade(_) | Entry::Snapshot(_) => (),
        }
    }

    fn changed(&mut self, order: Order, record: &Record, is_deleted: bool) {
        let Order { id, side, price, amount } = order;
        let before = self.last.get(&id).copied();
        let is_repriced = before.is_some_and(|last| last.is_repriced || last.price != price);
        let first_price = before.map_or(price, |last| last.price);
        self.last.insert(id, Last { price: first_price, amount, is_repriced });
        let told = match before {
            _ if is_deleted && !amount.is_zero() => Told::CanceledWith(amount),
            Some(last) if last.amount == amount => return,
            Some(last) => Told::Exactly(Quantity(last.amount.0.saturating_sub(amount.0))),
            None => Told::Nothing,
        };
        let (line, received_ms, is_used) = (record.line, record.received_ms, false);
        let outcome = Outcome { line, received_ms, id, side, price, told, is_repriced, is_used };
        self.list.push(outcome);
    }

    /// The bid and the ask whose lines tell of this trade; each line tells of one trade only.
    pub(super) fn pair(
        &mut self,
        line: u64,
        received_ms: u64,
        price: Price,
        quantity: Quantity,
    ) -> Option<[Outcome; 2]> {
        let from = self.list.partition_point(|it| it.received_ms + APART_MS_MAX < received_ms);
        let fits = |(_, it): &(usize, &Outcome)| {
            let limit_holds = match it.side {
                Side::Buy => it.price >= price,
                Side::Sell => it.price <= price,
            };
            let is_late = self.is_before_create(it);
            !it.is_used && limit_holds && it.tells_of(price, quantity, is_late)
        };
        let near = self.list.iter().enumerate().skip(from);
        let near = near.take_while(|(_, it)| it.received_ms <= received_ms + APART_MS_MAX);
        let near: Vec<(usize, &Outcome)> = near.filter(fits).collect();
        let bids = near.iter().filter(|(_, it)| it.side == Side::Buy);
        let asks = || near.iter().filter(|(_, it)| it.side == Side::Sell);
        let pairs = bids.flat_map(|bid| asks().map(move |ask| (bid, ask)));
        // One of the two rested at the trade's price, and one tells the quantity.
        let pairs = pairs.filter(|((_, bid), (_, ask))| {
            (bid.price == price || ask.price == price)
                && (bid.tells_exactly() || ask.tells_exactly())
        });
        let (bid, ask) = pairs
            .min_by_key(|((_, bid), (_, ask))| {
                let untold = u8::from(!bid.tells_exactly()) + u8::from(!ask.tells_exactly());
                (untold, bid.line.abs_diff(line) + ask.line.abs_diff(line))
            })
            .map(|(bid, ask)| (bid.0, ask.0))?;
        for at in [bid, ask] {
            self.list.get_mut(at)?.is_used = true;
        }
        Some([*self.list.get(bid)?, *self.list.get(ask)?])
    }

    /// Does the exchange change the order's price anywhere in the log?
    pub(super) fn is_repriced(&self, id: u64) -> bool {
        self.last.get(&id).is_some_and(|last| last.is_repriced)
    }

    /// Was the order never created in the log?
    pub(super) fn is_from_before(&self, outcome: &Outcome) -> bool {
        !self.created.contains_key(&outcome.id)
    }

    pub(super) fn is_before_create(&self, outcome: &Outcome) -> bool {
        self.created.get(&outcome.id).is_some_and(|line| *line > outcome.line)
    }
}
