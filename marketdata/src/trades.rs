//! The newest trades, one by one and by taker run.

use protocol::event::Trade;
use protocol::{AggregateTradeId, Amount, OrderId, Price, Quantity, Side, Stamp, TradeId};
use std::collections::VecDeque;

part! {
    /// One trade.
    pub struct TradeRow {
        pub id: TradeId,
        pub aggregate: AggregateTradeId,
        pub price: Price,
        pub quantity: Quantity,
        /// Price × quantity, cut to 10^-8.
        pub quote: Amount,
        pub stamp: Stamp,
        pub maker_order: OrderId,
        pub taker_order: OrderId,
        pub buyer_is_maker: bool,
    }
}

part! {
    /// Trades of one taker at one price, in a row.
    pub struct AggregateTrade {
        pub id: AggregateTradeId,
        pub price: Price,
        pub quantity: Amount,
        pub first_trade: TradeId,
        pub last_trade: TradeId,
        pub stamp: Stamp,
        pub buyer_is_maker: bool,
    }
}

/// One instrument's newest trades. **Invariants:** ids rise, stamps do not fall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trades {
    rows: VecDeque<TradeRow>,
    rows_max: usize,
    aggregates: VecDeque<AggregateTrade>,
    aggregates_max: usize,
}

impl Trades {
    pub(crate) fn new(rows_max: usize, aggregates_max: usize) -> Trades {
        Trades {
            rows: VecDeque::new(),
            rows_max: rows_max.max(1),
            aggregates: VecDeque::new(),
            aggregates_max: aggregates_max.max(1),
        }
    }

    /// The newest trade.
    pub fn last(&self) -> Option<&TradeRow> {
        self.rows.back()
    }

    /// The oldest trade that is kept.
    pub fn first(&self) -> Option<&TradeRow> {
        self.rows.front()
    }

    /// How many trades are kept.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The newest trades, oldest first.
    pub fn recent(&self, limit: usize) -> impl Iterator<Item = &TradeRow> {
        newest(&self.rows, self.rows.len(), limit)
    }

    /// Trades from this id on, or from the oldest that is kept.
    pub fn from_id(&self, id: TradeId, limit: usize) -> impl Iterator<Item = &TradeRow> {
        self.rows.range(self.rows.partition_point(|row| row.id < id)..).take(limit)
    }

    /// The newest aggregate; the next trade may still be part of it.
    pub fn last_aggregate(&self) -> Option<&AggregateTrade> {
        self.aggregates.back()
    }

    /// The newest aggregates, oldest first.
    pub fn recent_aggregates(&self, limit: usize) -> impl Iterator<Item = &AggregateTrade> {
        newest(&self.aggregates, self.aggregates.len(), limit)
    }

    /// Aggregates from this id on, or from the oldest that is kept.
    pub fn aggregates_from_id(
        &self,
        id: AggregateTradeId,
        limit: usize,
    ) -> impl Iterator<Item = &AggregateTrade> {
        let start = self.aggregates.partition_point(|row| row.id < id);
        self.aggregates.range(start..).take(limit)
    }

    /// Aggregates of a span, both ends inclusive, oldest first: with a start the first `limit`
    /// from it, without one the last `limit` up to the end.
    pub fn aggregates_between(
        &self,
        start: Option<Stamp>,
        end: Option<Stamp>,
        limit: usize,
    ) -> impl Iterator<Item = &AggregateTrade> {
        let rows = &self.aggregates;
        let until = end.map_or(rows.len(), |end| rows.partition_point(|row| row.stamp <= end));
        let from = match start {
            Some(start) => rows.partition_point(|row| row.stamp < start).min(until),
            None => until.saturating_sub(limit),
        };
        rows.range(from..until).take(limit)
    }

    pub(crate) fn apply(&mut self, trade: &Trade, stamp: Stamp) {
        let row = TradeRow {
            id: trade.trade,
            aggregate: trade.aggregate,
            price: trade.price,
            quantity: trade.quantity,
            quote: trade.quote,
            stamp,
            maker_order: trade.maker_order,
            taker_order: trade.taker_order,
            buyer_is_maker: trade.taker_side == Side::Sell,
        };
        match self.aggregates.back_mut().filter(|last| last.id == trade.aggregate) {
            Some(last) => last.add(&row),
            None => self.push_aggregate(AggregateTrade::of(&row)),
        }
        self.push(row);
    }

    pub(crate) fn push(&mut self, row: TradeRow) {
        push_bounded(&mut self.rows, row, self.rows_max);
    }

    pub(crate) fn push_aggregate(&mut self, row: AggregateTrade) {
        push_bounded(&mut self.aggregates, row, self.aggregates_max);
    }
}

impl TradeRow {
    /// Always: a trade is at the best price of its moment.
    pub const IS_BEST_MATCH: bool = true;
}

impl AggregateTrade {
    fn of(row: &TradeRow) -> AggregateTrade {
        AggregateTrade {
            id: row.aggregate,
            price: row.price,
            quantity: row.quantity.into(),
            first_trade: row.id,
            last_trade: row.id,
            stamp: row.stamp,
            buyer_is_maker: row.buyer_is_maker,
        }
    }

    fn add(&mut self, row: &TradeRow) {
        self.quantity = sum(self.quantity, row.quantity.into());
        self.last_trade = row.id;
    }
}

/// The sum; the largest number there is instead of one above it.
pub(crate) fn sum(one: Amount, other: Amount) -> Amount {
    Amount(one.0.saturating_add(other.0))
}

/// Appends, and returns the oldest if it had to go.
pub(crate) fn push_bounded<T>(rows: &mut VecDeque<T>, row: T, rows_max: usize) -> Option<T> {
    let evicted = if rows.len() >= rows_max { rows.pop_front() } else { None };
    rows.push_back(row);
    evicted
}

fn newest<T>(rows: &VecDeque<T>, until: usize, limit: usize) -> impl Iterator<Item = &T> {
    rows.range(until.saturating_sub(limit)..until)
}
