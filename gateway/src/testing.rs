//! What unit tests need: a venue of one instrument and one account, made of hand-made events.

use std::sync::Arc;

use protocol::command::{AccountName, OrderRequest, OrderTerms, account_permission};
use protocol::event::*;
use protocol::instrument::{AssetName, Symbol};
use protocol::*;
use serde_json::Value;

use crate::answers::Facts;
use crate::core::{Core, Views};
use crate::error::ApiError;
use crate::json::TimeUnit;
use crate::link::{Broken, Full, Host, Link, NodeState, Polled, Seer, Untold};
use crate::options::Options;
use crate::outbox::{Outbox, OutboxLimits};
use crate::pending::Expect;
use crate::users::{Listener, Wrap};

pub(crate) const ALICE: AccountId = AccountId(1);
/// LTCBTC, the symbol of most examples.
pub(crate) const INSTRUMENT: InstrumentId = InstrumentId(1);
/// The time of the example of an OCO in rest-api.md.
pub(crate) const NOW: Stamp = Stamp(1_710_485_608_839_000_000);

/// A node that does nothing.
struct Nobody;

impl Host for Nobody {
    fn seal(&self, _: &ApiKey, secret: &[u8]) -> Result<Vec<u8>, String> {
        Ok(secret.to_vec())
    }

    fn unseal(&self, _: &ApiKey, sealed: &[u8]) -> Result<Vec<u8>, String> {
        Ok(sealed.to_vec())
    }

    fn random(&self, buffer: &mut [u8]) -> Result<(), String> {
        buffer.fill(7);
        Ok(())
    }

    fn explain(&self, _: &str) -> Result<String, Untold> {
        Err(Untold::Unreadable("no log".to_owned()))
    }

    fn request_snapshot(&self) {}

    fn is_stalled(&self) -> bool {
        false
    }

    fn node(&self) -> NodeState {
        NodeState::default()
    }
}

impl Link for Nobody {
    fn send(&mut self, _: Command) -> Result<(), Full> {
        Ok(())
    }

    fn poll(&mut self, _: usize, _: &mut Seer<'_>) -> Result<Polled, Broken> {
        Ok(Polled::Nothing)
    }

    fn has_news(&self) -> bool {
        false
    }

    fn origin(&self) -> Origin {
        Origin::default()
    }

    fn now(&self) -> Stamp {
        NOW
    }
}

pub(crate) fn text<const N: usize>(text: &str) -> Text<N> {
    Text::new(text).unwrap()
}

/// Views that are told of commands one by one, and somebody who listens to Alice.
pub(crate) struct Venue {
    pub(crate) views: Views,
    began: CommandBegan,
    answer: Vec<Event>,
    outbox: Arc<Outbox>,
}

impl Venue {
    pub(crate) fn new() -> Venue {
        Venue::keeping(100)
    }

    pub(crate) fn keeping(closed_orders_max: usize) -> Venue {
        let options = Options { closed_orders_max, ..Options::default() };
        let outbox = OutboxLimits { messages_max: 999, bytes_max: 999_999 };
        let mut venue = Venue {
            views: Views::new(&options, Arc::new(Nobody)),
            began: CommandBegan {
                sequence: Sequence(0),
                stamp: NOW,
                origin: Origin::default(),
                session: 0,
                request: 0,
                kind: 0,
            },
            answer: Vec::new(),
            outbox: Arc::new(Outbox::new(outbox)),
        };
        let (base, quote) = (AssetName::new("LTC").unwrap(), AssetName::new("BTC").unwrap());
        let definition = InstrumentDefinition::open(Symbol::new("LTCBTC").unwrap(), base, quote);
        let (instrument, name) = (INSTRUMENT, AccountName::new("alice").unwrap());
        venue.command([
            AssetDefined { asset: AssetId(1), name: base }.into(),
            AssetDefined { asset: AssetId(2), name: quote }.into(),
            InstrumentDefined { instrument, base: AssetId(1), quote: AssetId(2), definition }
                .into(),
            AccountDefined {
                account: ALICE,
                name,
                trade_group: 0,
                permissions: account_permission::ALL,
            }
            .into(),
        ]);
        let listener = Listener {
            outbox: Arc::clone(&venue.outbox),
            connection: 1,
            wrap: Wrap::Stream { name: "listenKey".into(), is_combined: false },
            unit: TimeUnit::Millisecond,
            key: ApiKey::EMPTY,
            is_of_logon: false,
        };
        venue.views.users.subscribe(ALICE, listener).unwrap();
        venue
    }

    /// Redefines the instrument.
    pub(crate) fn define(&mut self, change: impl FnOnce(&mut InstrumentDefinition)) {
        let instrument = self.views.market.instrument(INSTRUMENT).unwrap();
        let (base, quote, mut definition) =
            (instrument.base, instrument.quote, instrument.definition);
        change(&mut definition);
        let instrument = INSTRUMENT;
        self.command([InstrumentDefined { instrument, base, quote, definition }.into()]);
    }

    /// A command is executed with this answer.
    pub(crate) fn command<const N: usize>(&mut self, answer: [Event; N]) {
        self.command_then(answer, []);
    }

    /// A command is executed with this answer and these consequences.
    pub(crate) fn command_then<const N: usize, const M: usize>(
        &mut self,
        answer: [Event; N],
        consequences: [Event; M],
    ) {
        self.began.sequence = self.began.sequence.next();
        let (sequence, began) = (self.began.sequence, self.began);
        self.views.apply(&began.into(), &began);
        for event in &answer {
            self.views.apply(event, &began);
        }
        self.views.apply(&CommandAnswered { sequence }.into(), &began);
        for event in &consequences {
            self.views.apply(event, &began);
        }
        self.answer = answer.to_vec();
    }

    /// Commands are executed so much later from here on.
    pub(crate) fn wait_ms(&mut self, wait_ms: u64) {
        self.began.stamp.0 += wait_ms * MILLISECOND_NS;
    }

    /// What the newest command is answered with.
    pub(crate) fn answer(&self, expect: &Expect) -> Result<Value, ApiError> {
        let Views { accounts, market, .. } = &self.views;
        let facts = Facts { events: &self.answer, accounts, market, unit: TimeUnit::Millisecond };
        facts.answer(expect).map(|text| serde_json::from_str(&text).unwrap())
    }

    /// What Alice was told since she was asked last.
    pub(crate) fn told(&mut self) -> Vec<Value> {
        self.views.settle();
        let mut messages = Vec::new();
        self.outbox.drain(&mut messages);
        messages.iter().map(|it| serde_json::from_str(it).unwrap()).collect()
    }

    pub(crate) fn core(self) -> Core {
        Core::new(Box::new(Nobody), self.views, Options::default()).unwrap()
    }
}

/// An order as its owner states it, in whole units.
pub(crate) fn request(side: Side, kind: OrderKind, quantity: u64, name: &str) -> OrderRequest {
    OrderRequest {
        account: ALICE,
        instrument: INSTRUMENT,
        side,
        kind,
        quantity: Quantity(quantity * SCALE),
        client_order_id: text(name),
        ..OrderRequest::EMPTY
    }
}

/// Accepted with terms, or as an order of a list.
pub(crate) fn accepted(order: u64, request: OrderRequest) -> OrderAcceptedWithTerms {
    OrderAcceptedWithTerms {
        order: OrderId(order),
        execution: ExecutionId(order),
        request,
        terms: OrderTerms::NONE,
        pegged_price: Price::ZERO,
        list: OrderListId::NONE,
        is_pending: false,
    }
}

/// Closed by itself, with nothing executed.
pub(crate) fn closed(order: u64, status: OrderStatus, reason: CloseReason) -> OrderClosed {
    OrderClosed {
        order: OrderId(order),
        account: ALICE,
        instrument: INSTRUMENT,
        execution: ExecutionId(100 + order),
        status,
        reason,
        cumulative_quantity: Quantity::ZERO,
        cumulative_quote: Amount::ZERO,
        prevented_quantity: Quantity::ZERO,
        cancel_client_order_id: Text::EMPTY,
    }
}

pub(crate) fn list_accepted(list: u64, kind: OrderListKind, first: u64) -> OrderListAccepted {
    let mut orders = [OrderId::NONE; 3];
    for (place, id) in orders.iter_mut().take(kind.orders()).zip(first..) {
        *place = OrderId(id);
    }
    OrderListAccepted {
        list: OrderListId(list),
        account: ALICE,
        instrument: INSTRUMENT,
        kind,
        list_client_order_id: text(&format!("list-{list}")),
        orders,
    }
}

pub(crate) fn list_done(list: u64) -> Event {
    let (list, account, instrument) = (OrderListId(list), ALICE, INSTRUMENT);
    OrderListDone { list, account, instrument }.into()
}

/// An OCO to sell 5: the stop-loss as order 10 with a shown part of 1, the limit maker as 11.
pub(crate) fn oco() -> [Event; 3] {
    let list = OrderListId(1);
    let stop = OrderRequest {
        price: Price(SCALE),
        stop_price: Price(SCALE),
        ..request(Side::Sell, OrderKind::StopLossLimit, 5, "stop")
    };
    let limit = OrderRequest {
        price: Price(3 * SCALE),
        ..request(Side::Sell, OrderKind::LimitMaker, 5, "limit")
    };
    let terms = OrderTerms { iceberg: Quantity(SCALE), ..OrderTerms::NONE };
    [
        list_accepted(1, OrderListKind::Oco, 10).into(),
        OrderAcceptedWithTerms { list, terms, ..accepted(10, stop) }.into(),
        OrderAcceptedWithTerms { list, ..accepted(11, limit) }.into(),
    ]
}

/// A working order to buy 2 at 1 as order 20, and what it pays for: a MARKET SELL as 21.
pub(crate) fn opo() -> [Event; 3] {
    let list = OrderListId(2);
    let working =
        OrderRequest { price: Price(SCALE), ..request(Side::Buy, OrderKind::Limit, 2, "working") };
    let pending = request(Side::Sell, OrderKind::Market, 0, "pending");
    [
        list_accepted(2, OrderListKind::Opo, 20).into(),
        OrderAcceptedWithTerms { list, ..accepted(20, working) }.into(),
        OrderAcceptedWithTerms { list, is_pending: true, ..accepted(21, pending) }.into(),
    ]
}

/// A fill of all of an order.
pub(crate) fn filled(order: u64, side: Side, price: u64, quantity: u64) -> Event {
    let (price, quantity) = (Price(price * SCALE), Quantity(quantity * SCALE));
    OrderFilled {
        order: OrderId(order),
        account: ALICE,
        instrument: INSTRUMENT,
        execution: ExecutionId(50 + order),
        trade: TradeId(1),
        side,
        is_maker: false,
        status: OrderStatus::Filled,
        price,
        quantity,
        cumulative_quantity: quantity,
        cumulative_quote: notional(price, quantity),
        commission: Amount::ZERO,
        commission_asset: AssetId(1),
    }
    .into()
}
