//! matchcore has submit, amend and cancel, with ids of its own: the number of the submitting command. A
//! replace is an amend of price and quantity.
//!
//! Its marketable limit orders trade through their limit, so its trades and, after a while, its book are
//! others. An operation on an order that it has not got any more is refused and costs little.

use std::collections::HashMap;

use app::ops::{BUY, Kind, Operation, Outcome, Refused, Subject};
use matchcore::*;

pub struct Peer {
    book: OrderBook,
    /// Commands so far.
    number: u64,
    /// By the id in the operations.
    orders: HashMap<u64, u64>,
    /// By order.
    ids: Vec<u64>,
    trades: Vec<(u64, u64)>,
}

impl Default for Peer {
    fn default() -> Peer {
        Peer {
            book: OrderBook::new("XY"),
            number: 0,
            orders: HashMap::new(),
            ids: Vec::new(),
            trades: Vec::new(),
        }
    }
}

impl Subject for Peer {
    type Prepared = Command;

    fn prepare(&mut self, operation: &Operation) -> Result<Command, String> {
        let number = self.number;
        self.number += 1;
        self.ids.push(operation.id);
        if operation.is_new() {
            self.orders.insert(operation.id, number);
        }
        let order_id = OrderId(self.orders.get(&operation.id).copied().ok_or("an unknown order")?);
        let meta =
            CommandMeta { sequence_number: SequenceNumber(number), timestamp: Timestamp(number) };
        let kind = match operation.kind {
            Kind::Limit => submit(operation, TimeInForce::Gtc),
            Kind::ImmediateOrCancel => submit(operation, TimeInForce::Ioc),
            Kind::Cancel => {
                CommandKind::Cancel(CancelCmd { order_id, order_kind: OrderKind::Limit })
            }
            Kind::Replace => CommandKind::Amend(AmendCmd {
                order_id,
                patch: AmendPatch::Limit(
                    LimitOrderPatch::new()
                        .with_price(price_of(operation))
                        .with_quantity_policy(quantity_of(operation)),
                ),
            }),
        };
        Ok(Command { meta, kind })
    }

    #[inline]
    fn apply(&mut self, command: &Command) {
        let CommandOutcome::Applied(CommandReport::Submit(effects) | CommandReport::Amend(effects)) =
            self.book.execute(command)
        else {
            return;
        };
        let Some(matched) = effects.target_order().match_result() else { return };
        let trades = matched.trades().iter();
        self.trades.extend(trades.map(|trade| (trade.maker_order_id().0, trade.quantity().0)));
    }

    fn settle(&mut self, outcome: &mut Outcome) -> Result<(), Refused> {
        for (maker, quantity) in self.trades.drain(..) {
            outcome.add(self.ids.get(maker as usize).copied().unwrap_or(0), quantity);
        }
        Ok(())
    }
}

fn submit(operation: &Operation, time_in_force: TimeInForce) -> CommandKind {
    let side = if operation.side == BUY { Side::Buy } else { Side::Sell };
    let flags = OrderFlags::new(side, false, time_in_force);
    let order = LimitOrder::new(price_of(operation), quantity_of(operation), flags);
    CommandKind::Submit(SubmitCmd { order: NewOrder::Limit(order) })
}

fn price_of(operation: &Operation) -> Price {
    Price(operation.price as u64)
}

fn quantity_of(operation: &Operation) -> QuantityPolicy {
    QuantityPolicy::Standard { quantity: Quantity(operation.quantity) }
}
