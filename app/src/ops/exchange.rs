//! The engine on operations: they become commands, and order ids the operations' ids again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use engine::{Engine, OperationKind};
use protocol::command::*;
use protocol::{
    AccountId, Amount, CancelRestrictions, Command, Envelope, FeeScope, InstrumentDefinition,
    InstrumentId, OrderId, OrderKind, Origin, Price, Quantity, QuantityUnit, SECOND_NS, Sequence,
    Sequenced, Side, Stamp, StpMode, Text, TimeInForce, TransferDirection,
};

use super::{BUY, Kind, MemoryLog, Operation, Outcome};

const ACCOUNTS: u64 = 1_000;
/// A tick and a lot in counts of 10^-8: 0.01 and 0.001.
pub(super) const TICK: u64 = 1_000_000;
pub(super) const LOT: u64 = 100_000;
/// In ticks and in lots.
pub(super) const PRICE_MAX: i64 = (Price::MAX.0 / TICK) as i64;
pub(super) const QUANTITY_MAX: u64 = Quantity::MAX.0 / LOT;
/// A tenth of a percent.
const RATE: u32 = 100_000;
const BEGINNING_NS: u64 = 1_767_225_600 * SECOND_NS;
/// Stored time between two commands.
const STEP_NS: u64 = 1_000;

/// An engine and the place where its log stands.
#[derive(Default)]
pub struct Exchange {
    engine: Engine,
    sequence: u64,
    pub log: MemoryLog,
}

impl Exchange {
    /// An exchange with the one instrument and the accounts that operations need.
    pub fn of_operations(translator: &mut Translator) -> Exchange {
        let mut exchange = Exchange::default();
        translator.venue().iter().for_each(|command| exchange.apply(command));
        exchange
    }

    /// Applies the next command of the log.
    #[inline]
    pub fn apply(&mut self, command: &Command) {
        self.sequence += 1;
        let stamp = Stamp(BEGINNING_NS + STEP_NS * self.sequence);
        let input = Sequenced { sequence: Sequence(self.sequence), stamp, command };
        self.engine.apply(&input, &mut self.log);
        self.log.end_command();
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}

/// Makes commands of operations, and operations' ids of order ids.
pub struct Translator {
    origin: Origin,
    /// By the id in the operations: the order and its side. Order ids are given in the order of the
    /// commands.
    orders: HashMap<u64, (OrderId, u8)>,
    /// By order id: the id in the operations.
    ids: Vec<u64>,
}

impl Default for Translator {
    fn default() -> Translator {
        let origin = Origin { node: 1, slot: 1, incarnation: 1, number: 0 };
        Translator { origin, orders: HashMap::new(), ids: vec![0] }
    }
}

impl Translator {
    /// With room for so many orders, so that no memory is left behind by growing.
    pub fn with_capacity(orders: usize) -> Translator {
        let mut translator = Translator::default();
        translator.orders.reserve(orders);
        translator.ids.reserve(orders);
        translator
    }

    /// The engine's command for an operation.
    ///
    /// Errors: a new order with an id that another one had; no such order, or one of the other side.
    pub fn command(&mut self, operation: &Operation) -> Result<Command, String> {
        let order = self.order_of(operation)?;
        Ok(match operation.kind {
            Kind::Limit => self.new_order(operation, TimeInForce::Gtc),
            Kind::ImmediateOrCancel => self.new_order(operation, TimeInForce::Ioc),
            Kind::Cancel => self.cancel(operation, order),
            Kind::Replace => self.replace(operation, order),
        })
    }

    /// The operation as a book alone takes it. Errors as with [`Translator::command`].
    pub fn book_operation(&mut self, operation: &Operation) -> Result<engine::Operation, String> {
        self.order_of(operation)?;
        Ok(engine::Operation {
            kind: match operation.kind {
                Kind::Limit => OperationKind::Limit,
                Kind::ImmediateOrCancel => OperationKind::ImmediateOrCancel,
                Kind::Cancel => OperationKind::Cancel,
                Kind::Replace => OperationKind::Replace,
            },
            side: side_of(operation),
            id: operation.id,
            price: price_of(operation),
            quantity: quantity_of(operation),
        })
    }

    /// Adds trades of the engine to an outcome of operations.
    pub fn add(&self, trades: &mut Vec<(u64, u64)>, outcome: &mut Outcome) {
        for (maker, quantity) in trades.drain(..) {
            let maker = self.ids.get(maker as usize).copied().unwrap_or(0);
            outcome.add(maker, quantity / LOT);
        }
    }

    fn order_of(&mut self, operation: &Operation) -> Result<OrderId, String> {
        let Operation { id, side, .. } = *operation;
        let next = OrderId(self.ids.len() as u64);
        match (self.orders.entry(id), operation.is_new()) {
            (Entry::Occupied(_), true) => Err(format!("id {id} was used before")),
            (Entry::Vacant(_), false) => Err(format!("no order had the id {id}")),
            (Entry::Occupied(order), false) => match *order.get() {
                (order, of_side) if of_side == side => Ok(order),
                _ => Err(format!("the order {id} is of the other side")),
            },
            (Entry::Vacant(place), true) => {
                self.ids.push(id);
                place.insert((next, side));
                Ok(next)
            }
        }
    }

    fn envelope(&mut self) -> Envelope {
        self.origin.number += 1;
        Envelope { origin: self.origin, ..Envelope::INTERNAL }
    }

    fn new_order(&mut self, operation: &Operation, time_in_force: TimeInForce) -> Command {
        let request = OrderRequest {
            account: account_of(operation),
            instrument: InstrumentId(1),
            side: side_of(operation),
            kind: OrderKind::Limit,
            time_in_force,
            stp_mode: StpMode::None,
            quantity_unit: QuantityUnit::Base,
            price: price_of(operation),
            quantity: quantity_of(operation),
            stop_price: Price::ZERO,
            client_order_id: client_order_id(operation.id),
            strategy_id: 0,
            strategy_type: 0,
        };
        NewOrder { envelope: self.envelope(), request, dry_run: false }.into()
    }

    fn cancel(&mut self, operation: &Operation, order: OrderId) -> Command {
        CancelOrder {
            envelope: self.envelope(),
            account: account_of(operation),
            instrument: InstrumentId(1),
            order,
            restrictions: CancelRestrictions::None,
        }
        .into()
    }

    fn replace(&mut self, operation: &Operation, order: OrderId) -> Command {
        ReplaceOrder {
            envelope: self.envelope(),
            account: account_of(operation),
            instrument: InstrumentId(1),
            order,
            price: price_of(operation),
            quantity: quantity_of(operation),
        }
        .into()
    }

    /// Genesis, the instrument, and accounts that never run out.
    fn venue(&mut self) -> Vec<Command> {
        let envelope = Envelope { origin: self.origin, ..Envelope::INTERNAL };
        let internal = Envelope::INTERNAL;
        let definition = InstrumentDefinition::open(text("XY"), text("X"), text("Y"));
        let mut commands = vec![
            Genesis { envelope: internal, seed: 1, rules: engine::RULES_VERSION }.into(),
            GatewayJoined { envelope, nonce: 1 }.into(),
            DefineInstrument { envelope: self.envelope(), definition }.into(),
        ];
        let (scope, name, envelope) = (FeeScope::Venue, Text::EMPTY, self.envelope());
        commands.push(SetFees { envelope, scope, name, maker: RATE, taker: RATE }.into());
        for number in 0..ACCOUNTS {
            let (name, envelope) = (text(&format!("member{number}")), self.envelope());
            let permissions = account_permission::ALL;
            commands.push(DefineAccount { envelope, name, trade_group: 0, permissions }.into());
            for asset in ["X", "Y"] {
                let deposit = Transfer {
                    envelope: self.envelope(),
                    transfer: text(&format!("{asset}{number}")),
                    account: name,
                    asset: text(asset),
                    direction: TransferDirection::Deposit,
                    amount: Amount(Amount::MAX.0 / 10_000),
                };
                commands.push(deposit.into());
            }
        }
        commands
    }
}

fn account_of(operation: &Operation) -> AccountId {
    AccountId(1 + (operation.id % ACCOUNTS) as u32)
}

fn side_of(operation: &Operation) -> Side {
    if operation.side == BUY { Side::Buy } else { Side::Sell }
}

fn price_of(operation: &Operation) -> Price {
    Price(operation.price as u64 * TICK)
}

fn quantity_of(operation: &Operation) -> Quantity {
    Quantity(operation.quantity * LOT)
}

/// The id in decimal, padded to 22 characters.
fn client_order_id(mut id: u64) -> ClientOrderId {
    let mut digits = [b'0'; 22];
    for digit in digits.iter_mut().rev() {
        *digit += (id % 10) as u8;
        id /= 10;
    }
    text(str::from_utf8(&digits).unwrap_or_default())
}

/// Text that is known to fit.
fn text<const N: usize>(text: &str) -> Text<N> {
    Text::new(text).unwrap_or(Text::EMPTY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_order_id_is_the_id_in_22_characters() {
        assert_eq!(client_order_id(42).as_str(), "0000000000000000000042");
    }
}
