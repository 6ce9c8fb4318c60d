//! The real engine on the operations of a [`Workload`](crate::workload::Workload).
//!
//! A replace is a cancel and a new order, two commands that count as one operation, until the engine
//! has orders that are replaced in place.

use engine::Engine;
use protocol::command::*;
use protocol::{
    AccountId, Amount, CancelRestrictions, Command, Envelope, FeeScope, InstrumentDefinition,
    InstrumentId, OrderId, OrderKind, Origin, Price, Quantity, QuantityUnit, SECOND_NS, Sequence,
    Sequenced, Side, Stamp, StpMode, Text, TimeInForce, TransferDirection,
};

use crate::book::Outcome;
use crate::sink::MemoryLog;
use crate::workload::{BUY, Kind, Operation};

const ACCOUNTS: u64 = 1_000;
/// A tick and a lot in counts of 10^-8.
const TICK: u64 = 1_000_000;
const LOT: u64 = 100_000;
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
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }
}

/// Makes commands of operations, and operations' ids of order ids.
pub struct Translator {
    origin: Origin,
    /// The order that an operation's id means now. An id of 0 is no order.
    orders: Vec<u64>,
    /// By order id: the id in the operations. Order ids are given in the order of the commands.
    operations: Vec<u64>,
}

impl Default for Translator {
    fn default() -> Translator {
        let origin = Origin { node: 1, slot: 1, incarnation: 1, number: 0 };
        Translator { origin, orders: Vec::new(), operations: vec![0] }
    }
}

impl Translator {
    /// Appends the commands of one operation; gives how many.
    pub fn translate(&mut self, operation: &Operation, out: &mut Vec<Command>) -> usize {
        let is_new = matches!(operation.kind, Kind::Limit | Kind::ImmediateOrCancel);
        if !is_new {
            let cancel = self.cancel(operation);
            out.push(cancel);
        }
        if operation.kind != Kind::Cancel {
            let new = self.new_order(operation);
            out.push(new);
        }
        1 + usize::from(operation.kind == Kind::Replace)
    }

    /// Adds trades of the engine to an outcome of operations.
    pub fn add(&self, trades: &mut Vec<(u64, u64)>, outcome: &mut Outcome) {
        for (maker, quantity) in trades.drain(..) {
            let maker = self.operations.get(maker as usize).copied().unwrap_or(0);
            outcome.add(maker, quantity / LOT);
        }
    }

    fn envelope(&mut self) -> Envelope {
        self.origin.number += 1;
        Envelope { origin: self.origin, ..Envelope::INTERNAL }
    }

    fn cancel(&mut self, operation: &Operation) -> Command {
        let order = self.orders.get(operation.id as usize).copied().unwrap_or(0);
        CancelOrder {
            envelope: self.envelope(),
            account: account_of(operation),
            instrument: InstrumentId(1),
            order: OrderId(order),
            restrictions: CancelRestrictions::None,
        }
        .into()
    }

    fn new_order(&mut self, operation: &Operation) -> Command {
        let id = operation.id as usize;
        if self.orders.len() <= id {
            self.orders.resize(id + 1, 0);
        }
        self.orders[id] = self.operations.len() as u64;
        self.operations.push(operation.id);
        let request = OrderRequest {
            account: account_of(operation),
            instrument: InstrumentId(1),
            side: if operation.side == BUY { Side::Buy } else { Side::Sell },
            kind: OrderKind::Limit,
            time_in_force: match operation.kind {
                Kind::ImmediateOrCancel => TimeInForce::Ioc,
                _ => TimeInForce::Gtc,
            },
            stp_mode: StpMode::None,
            quantity_unit: QuantityUnit::Base,
            price: Price(operation.price as u64 * TICK),
            quantity: Quantity(operation.quantity * LOT),
            stop_price: Price::ZERO,
            client_order_id: client_order_id(operation.id),
            strategy_id: 0,
            strategy_type: 0,
        };
        NewOrder { envelope: self.envelope(), request, dry_run: false }.into()
    }

    /// Genesis, the instrument, and accounts that never run out.
    fn venue(&mut self) -> Vec<Command> {
        let envelope = Envelope { origin: self.origin, ..Envelope::INTERNAL };
        let internal = Envelope::INTERNAL;
        let definition = InstrumentDefinition::open(text("XY"), text("X"), text("Y"));
        let mut commands = vec![
            Genesis { envelope: internal, seed: 1, rules: 1 }.into(),
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
    use crate::book::Book;
    use crate::workload::{Mix, Workload};

    #[test]
    fn the_engine_trades_as_the_naive_book() {
        for mix in [Mix::A, Mix::B] {
            let workload = Workload::generate(mix, 20_000);
            let (mut book, mut outcome) = (Book::default(), Outcome::default());
            let mut translator = Translator::default();
            let mut exchange = Exchange::of_operations(&mut translator);
            let mut commands = Vec::new();
            for operation in workload.prefill.iter().chain(&workload.operations) {
                book.apply(operation, |_| {});
                commands.clear();
                translator.translate(operation, &mut commands);
                commands.iter().for_each(|command| exchange.apply(command));
            }
            translator.add(&mut exchange.log.trades, &mut outcome);
            assert_eq!((outcome, book.outcome), (workload.outcome, workload.outcome), "{mix:?}");
            assert!(outcome.trades > 100, "{mix:?}");
            exchange.engine().check_invariants();
        }
    }

    #[test]
    fn a_client_order_id_is_the_id_in_22_characters() {
        assert_eq!(client_order_id(42).as_str(), "0000000000000000000042");
    }
}
