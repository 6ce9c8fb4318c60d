//! lobster has limit, market and cancel. An IOC is a limit whose rest is canceled, a replace a cancel and
//! a limit with the same id.

use app::ops::{BUY, Kind, Operation, Outcome, Refused, Subject};
use lobster::{OrderBook, OrderEvent, OrderType, Side};

#[derive(Default)]
pub struct Peer {
    book: OrderBook,
    outcome: Outcome,
}

impl Subject for Peer {
    type Prepared = Operation;

    fn prepare(&mut self, operation: &Operation) -> Result<Operation, String> {
        Ok(*operation)
    }

    #[inline]
    fn apply(&mut self, operation: &Operation) {
        let id = u128::from(operation.id);
        match operation.kind {
            Kind::Limit => {
                self.limit(operation);
            }
            Kind::ImmediateOrCancel => {
                if self.limit(operation) {
                    self.book.execute(OrderType::Cancel { id });
                }
            }
            Kind::Cancel => {
                self.book.execute(OrderType::Cancel { id });
            }
            Kind::Replace => {
                self.book.execute(OrderType::Cancel { id });
                self.limit(operation);
            }
        }
    }

    fn settle(&mut self, outcome: &mut Outcome) -> Result<(), Refused> {
        *outcome = self.outcome;
        Ok(())
    }
}

impl Peer {
    /// True when something of the order rests.
    fn limit(&mut self, operation: &Operation) -> bool {
        let event = self.book.execute(OrderType::Limit {
            id: u128::from(operation.id),
            side: if operation.side == BUY { Side::Bid } else { Side::Ask },
            qty: operation.quantity,
            price: operation.price as u64,
        });
        let (fills, rests) = match event {
            OrderEvent::PartiallyFilled { fills, .. } => (fills, true),
            OrderEvent::Filled { fills, .. } => (fills, false),
            _ => return true,
        };
        fills.iter().for_each(|fill| self.outcome.add(fill.order_2 as u64, fill.qty));
        rests
    }
}
