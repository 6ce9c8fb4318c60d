//! One order of an account, as its events tell it.

use protocol::command::{ClientOrderId, OrderRequest, OrderTerms};
use protocol::event::{
    MatchPrevented, OrderAcceptedWithTerms, OrderActivated, OrderClosed, OrderReplaced,
};
use protocol::{
    AccountId, Amount, CloseReason, InstrumentId, OrderId, OrderKind, OrderListId, OrderStatus,
    PegPrice, Price, Quantity, QuantityUnit, RejectReason, Side, Stamp, StpMode, TimeInForce,
};

#[derive(Debug, Clone)]
pub struct Order {
    pub id: OrderId,
    pub account: AccountId,
    pub instrument: InstrumentId,
    pub client_order_id: ClientOrderId,
    pub side: Side,
    pub kind: OrderKind,
    pub time_in_force: TimeInForce,
    pub stp_mode: StpMode,
    pub status: OrderStatus,
    pub price: Price,
    pub stop_price: Price,
    /// Of the base asset; what was executed or prevented for an order by quote quantity. 0 for one
    /// that another pays, until it is activated.
    pub quantity: Quantity,
    /// Of the quote asset; 0 for an order by base quantity.
    pub quote_quantity: Quantity,
    pub executed: Quantity,
    pub executed_quote: Amount,
    pub prevented: Quantity,
    /// The latest match that self-trade prevention stopped.
    pub prevention: Option<Box<MatchPrevented>>,
    pub strategy_id: i64,
    pub strategy_type: u32,
    pub created: Stamp,
    pub updated: Stamp,
    /// Since when it trades or rests; none while it waits for its trigger or its working order.
    pub working: Option<Stamp>,
    pub close_reason: Option<CloseReason>,
    pub terms: OrderTerms,
    /// The price that its peg gave; 0: not pegged, or not yet.
    pub pegged_price: Price,
    /// Since when a trailing stop follows the price.
    pub trailing: Option<Stamp>,
    /// `NONE`: of no list.
    pub list: OrderListId,
    /// Why it could not begin its work.
    pub refusal: Option<RejectReason>,
}

impl Order {
    /// As it is when it is accepted.
    pub fn of(id: OrderId, request: &OrderRequest, stamp: Stamp) -> Order {
        let (quantity, quote_quantity) = match request.quantity_unit {
            QuantityUnit::Base => (request.quantity, Quantity::ZERO),
            QuantityUnit::Quote => (Quantity::ZERO, request.quantity),
        };
        Order {
            id,
            account: request.account,
            instrument: request.instrument,
            client_order_id: request.client_order_id,
            side: request.side,
            kind: request.kind,
            time_in_force: request.time_in_force,
            stp_mode: request.stp_mode,
            status: OrderStatus::New,
            price: request.price,
            stop_price: request.stop_price,
            quantity,
            quote_quantity,
            executed: Quantity::ZERO,
            executed_quote: Amount::ZERO,
            prevented: Quantity::ZERO,
            prevention: None,
            strategy_id: request.strategy_id,
            strategy_type: request.strategy_type,
            created: stamp,
            updated: stamp,
            working: (!request.kind.is_contingent()).then_some(stamp),
            close_reason: None,
            terms: OrderTerms::NONE,
            pegged_price: Price::ZERO,
            trailing: None,
            list: OrderListId::NONE,
            refusal: None,
        }
    }

    /// As [`Order::of`], of an order with terms or of a list.
    pub fn with_terms(event: &OrderAcceptedWithTerms, stamp: Stamp) -> Order {
        let mut order = Order {
            terms: event.terms,
            pegged_price: event.pegged_price,
            list: event.list,
            ..Order::of(event.order, &event.request, stamp)
        };
        match event.is_pending {
            true => {
                order.status = OrderStatus::PendingNew;
                order.working = None;
            }
            false => order.begin_trailing(stamp),
        }
        order
    }

    /// Without a stop price a trailing stop follows the price at once (trailing-stop-faq.md).
    fn begin_trailing(&mut self, stamp: Stamp) {
        if self.is_trailing() && self.stop_price.is_zero() {
            self.trailing = Some(stamp);
        }
    }

    pub(super) fn activate(&mut self, event: &OrderActivated, stamp: Stamp) {
        self.status = OrderStatus::New;
        self.quantity = event.quantity;
        self.pegged_price = event.pegged_price;
        self.updated = stamp;
        self.working = (!self.kind.is_contingent()).then_some(stamp);
        self.begin_trailing(stamp);
    }

    pub(super) fn replace(&mut self, event: &OrderReplaced, stamp: Stamp) {
        self.price = event.price;
        self.quantity = event.quantity;
        self.updated = stamp;
    }

    pub(super) fn close(&mut self, event: &OrderClosed, stamp: Stamp) {
        self.status = event.status;
        self.close_reason = Some(event.reason);
        self.executed = event.cumulative_quantity;
        self.executed_quote = event.cumulative_quote;
        self.prevented = event.prevented_quantity;
        self.updated = stamp;
    }

    /// Pending orders of a list are open, too.
    pub const fn is_open(&self) -> bool {
        matches!(
            self.status,
            OrderStatus::New | OrderStatus::PartiallyFilled | OrderStatus::PendingNew
        )
    }

    /// On the book, or trading at this moment.
    pub const fn is_working(&self) -> bool {
        self.is_open() && self.working.is_some()
    }

    pub const fn is_trailing(&self) -> bool {
        self.terms.trailing_delta > 0
    }

    pub const fn is_pegged(&self) -> bool {
        !matches!(self.terms.peg, PegPrice::None)
    }

    pub fn is_of_list(&self) -> bool {
        self.list != OrderListId::NONE
    }

    /// Waits for what its working order receives: nobody knows how much that will be.
    pub const fn has_no_quantity(&self) -> bool {
        matches!(self.status, OrderStatus::PendingNew) && self.quantity.is_zero()
    }

    /// Orders by quote quantity show what they came to.
    pub const fn shown_quantity(&self) -> Quantity {
        match self.quote_quantity.is_zero() {
            true => self.quantity,
            false => Quantity(self.executed.0.saturating_add(self.prevented.0)),
        }
    }

    /// Will this prevented match close it? Orders by quote quantity are told by their closing.
    pub const fn is_used_up(&self) -> bool {
        self.quote_quantity.is_zero()
            && self.executed.0.saturating_add(self.prevented.0) >= self.quantity.0
    }
}
