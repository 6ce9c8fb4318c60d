//! A book alone: the engine's own book and queues, without accounts, filters or client order ids.

use crate::book::{Book, crosses};
use crate::ledger::Row;
use crate::sink::EventSink;
use crate::slab::{Order, Phase, Slab, Slot};
use crate::table::NONE;
use protocol::event::{BookChanged, Trade};
use protocol::*;

/// What is asked of a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperationKind {
    /// A limit order that rests with what it could not trade.
    Limit,
    /// A limit order whose rest is dropped.
    ImmediateOrCancel,
    /// Takes the order `id` out of the book.
    Cancel,
    /// Another price and open quantity for the order `id`, behind all others.
    Replace,
}

/// One operation on a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    pub kind: OperationKind,
    pub side: Side,
    /// Chosen by the caller; not 0, and not that of an order in the book.
    pub id: u64,
    /// Not 0. A cancel does not look at it.
    pub price: Price,
    /// Not 0. A cancel does not look at it.
    pub quantity: Quantity,
}

/// One book. Operations on orders that are not in it do nothing.
#[derive(Debug)]
pub struct BareBook {
    book: Book,
    slab: Slab,
    trade: TradeId,
    aggregate: AggregateTradeId,
    update: UpdateId,
}

const INSTRUMENT: InstrumentId = InstrumentId(1);

impl Default for BareBook {
    fn default() -> BareBook {
        BareBook::new()
    }
}

impl BareBook {
    pub fn new() -> BareBook {
        BareBook::with_tick(Price::ZERO)
    }

    /// A book whose prices are expected to be multiples of `tick`; others are right too.
    pub fn with_tick(tick: Price) -> BareBook {
        BareBook {
            book: Book::new(tick),
            slab: Slab::default(),
            trade: TradeId::NONE,
            aggregate: AggregateTradeId::NONE,
            update: UpdateId::NONE,
        }
    }

    /// Applies one operation: a [`Trade`] for each trade, a [`BookChanged`] for each change of a level.
    #[inline]
    pub fn apply(&mut self, operation: &Operation, out: &mut impl EventSink) {
        match operation.kind {
            OperationKind::Limit => self.limit(operation, true, out),
            OperationKind::ImmediateOrCancel => self.limit(operation, false, out),
            OperationKind::Cancel => {
                if let Some(slot) = self.slab.find(OrderId(operation.id)) {
                    self.take_out(slot, out);
                }
            }
            OperationKind::Replace => {
                if let Some(slot) = self.slab.find(OrderId(operation.id)) {
                    self.replace(slot, operation, out);
                }
            }
        }
    }

    #[inline]
    fn take_out(&mut self, slot: Slot, out: &mut impl EventSink) {
        let side = self.slab.get(slot).side;
        let shown = self.slab.get(slot).remaining;
        let level = self.book.remove(&mut self.slab, slot, shown);
        self.changed(side, level, out);
        self.slab.remove(slot);
    }

    #[inline]
    fn replace(&mut self, slot: Slot, operation: &Operation, out: &mut impl EventSink) {
        let side = self.slab.get(slot).side;
        let shown = self.slab.get(slot).remaining;
        let level = self.book.remove(&mut self.slab, slot, shown);
        self.changed(side, level, out);
        let mut remaining = operation.quantity;
        if self.crosses(side, operation.price) {
            remaining = self.walk(&Operation { side, ..*operation }, out);
            if remaining.is_zero() {
                self.slab.remove(slot);
                return;
            }
        }
        let order = self.slab.get_mut(slot);
        (order.price, order.remaining) = (operation.price, remaining);
        self.rest(slot, out);
    }

    #[inline]
    fn crosses(&self, side: Side, price: Price) -> bool {
        self.book.best(side.opposite()).is_some_and(|best| crosses(side, price, best))
    }

    #[inline]
    fn rest(&mut self, slot: Slot, out: &mut impl EventSink) {
        let shown = self.slab.get(slot).remaining;
        let level = self.book.insert(&mut self.slab, slot, shown);
        self.changed(self.slab.get(slot).side, level, out);
    }

    #[inline]
    fn changed(&mut self, side: Side, level: crate::book::Level, out: &mut impl EventSink) {
        self.update = self.update.next();
        out.emit(BookChanged {
            instrument: INSTRUMENT,
            update: self.update,
            side,
            price: level.price,
            quantity: LevelQuantity::new(level.quantity),
            orders: level.orders,
        });
    }

    #[inline]
    fn limit(&mut self, operation: &Operation, rests: bool, out: &mut impl EventSink) {
        let remaining = match self.crosses(operation.side, operation.price) {
            true => self.walk(operation, out),
            false => operation.quantity,
        };
        if rests && !remaining.is_zero() {
            let slot = self.slab.insert(Order {
                extra: crate::table::NONE,
                id: OrderId(operation.id),
                price: operation.price,
                remaining,
                account: AccountId(1),
                instrument: INSTRUMENT,
                owner: 0,
                paying: Row::NONE,
                chained: Slot::NONE,
                queue: NONE,
                older: Slot::NONE,
                younger: Slot::NONE,
                side: operation.side,
                kind: OrderKind::Limit,
                phase: Phase::Running,
                is_touched: false,
            });
            self.rest(slot, out);
        }
    }

    /// Trades while something crosses. Returns what remains.
    fn walk(&mut self, operation: &Operation, out: &mut impl EventSink) -> Quantity {
        let Operation { side, price, mut quantity, .. } = *operation;
        let mut previous = None;
        while let Some(maker) = self.book.front(side.opposite()) {
            let at = self.slab.get(maker).price;
            if quantity.is_zero() || !crosses(side, price, at) {
                break;
            }
            let same_price = previous.replace(at) == Some(at);
            quantity.0 -= self.trade(operation, quantity, maker, same_price, out).0;
        }
        quantity
    }

    /// One trade at the maker's price. Returns its quantity.
    fn trade(
        &mut self,
        taker: &Operation,
        wanted: Quantity,
        maker: Slot,
        same_price: bool,
        out: &mut impl EventSink,
    ) -> Quantity {
        let Order { id: maker_order, price, remaining, .. } = *self.slab.get(maker);
        let quantity = wanted.min(remaining);
        self.trade = self.trade.next();
        if !same_price {
            self.aggregate = self.aggregate.next();
        }
        out.emit(Trade {
            instrument: INSTRUMENT,
            trade: self.trade,
            aggregate: self.aggregate,
            price,
            quantity,
            quote: notional(price, quantity),
            maker_order,
            taker_order: OrderId(taker.id),
            taker_side: taker.side,
        });
        if quantity == remaining {
            self.take_out(maker, out);
        } else {
            let level = self.book.reduce(self.slab.get(maker), quantity);
            self.slab.get_mut(maker).remaining.0 -= quantity.0;
            self.changed(taker.side.opposite(), level, out);
        }
        quantity
    }
}
