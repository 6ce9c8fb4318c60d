//! orderbook-rs has limit orders with a time in force, cancels and updates of price and quantity. Its
//! trades come through a listener; an IOC with a rest is an error behind its trades.

use std::sync::{Arc, Mutex, PoisonError};

use app::ops::{BUY, Kind, Operation, Outcome, Refused, Subject};
use orderbook_rs::{OrderBook, TradeResult};
use pricelevel::{Id, OrderUpdate, Price, Quantity, Side, TimeInForce};

pub struct Peer {
    book: OrderBook<()>,
    outcome: Arc<Mutex<Outcome>>,
}

impl Default for Peer {
    fn default() -> Peer {
        let outcome = Arc::new(Mutex::new(Outcome::default()));
        let sum = Arc::clone(&outcome);
        let listener = move |result: &TradeResult| {
            let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
            for trade in result.match_result.trades().as_vec() {
                if let Id::Sequential(maker) = trade.maker_order_id() {
                    sum.add(maker, trade.quantity().as_u64());
                }
            }
        };
        Peer { book: OrderBook::with_trade_listener("XY", Arc::new(listener)), outcome }
    }
}

impl Subject for Peer {
    type Prepared = Operation;

    fn prepare(&mut self, operation: &Operation) -> Result<Operation, String> {
        Ok(*operation)
    }

    #[inline]
    fn apply(&mut self, operation: &Operation) {
        let id = Id::Sequential(operation.id);
        // What is refused shows in the outcome.
        match operation.kind {
            Kind::Limit => self.limit(operation, TimeInForce::Gtc),
            Kind::ImmediateOrCancel => self.limit(operation, TimeInForce::Ioc),
            Kind::Cancel => drop(self.book.cancel_order(id)),
            Kind::Replace => drop(self.book.update_order(OrderUpdate::UpdatePriceAndQuantity {
                order_id: id,
                new_price: Price::new(operation.price as u128),
                new_quantity: Quantity::new(operation.quantity),
            })),
        }
    }

    fn settle(&mut self, outcome: &mut Outcome) -> Result<(), Refused> {
        *outcome = *self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(())
    }
}

impl Peer {
    fn limit(&self, operation: &Operation, time_in_force: TimeInForce) {
        let id = Id::Sequential(operation.id);
        let side = if operation.side == BUY { Side::Buy } else { Side::Sell };
        let (price, quantity) = (operation.price as u128, operation.quantity);
        drop(self.book.add_limit_order(id, price, quantity, side, time_in_force, None));
    }
}
