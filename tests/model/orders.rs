//! New orders: the order of the checks (§3) and what follows (§4).

use super::*;

impl Model {
    pub(super) fn new_order(
        &mut self,
        request: OrderRequest,
        terms: OrderTerms,
        dry_run: bool,
    ) -> Refusable {
        self.check_owner(request.instrument, request.account)?;
        let mut order = Order::new(request, terms);
        self.check_rules(&mut order)?;
        self.check_state(&order)?;
        match dry_run {
            true => self.emit(OrderTested { instrument: request.instrument }),
            false => self.accept(order),
        }
        Ok(())
    }

    /// Checks 2 to 13: those that a cancel-replace makes before its cancel.
    pub(super) fn check_rules(&self, order: &mut Order) -> Refusable {
        self.check_shape(order)?;
        self.check_filters(order)?;
        let new = std::slice::from_ref(order);
        self.check_counts(new)?;
        self.check_risk(new)?;
        self.find_upper(order)
    }

    /// In the order of their ids.
    pub(super) fn open_orders(
        &self,
        account: AccountId,
        instrument: Option<InstrumentId>,
    ) -> Vec<&Order> {
        let of_account = self.orders.values().filter(|order| order.request.account == account);
        of_account
            .filter(|order| instrument.is_none_or(|id| order.request.instrument == id))
            .collect()
    }

    pub(super) fn find_by_client_order_id(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        client_order_id: &ClientOrderId,
    ) -> Option<OrderId> {
        let open = self.open_orders(account, Some(instrument));
        open.into_iter().find(|it| it.request.client_order_id == *client_order_id).map(|it| it.id)
    }

    /// §4.
    pub(super) fn accept(&mut self, order: Order) {
        let id = self.insert(order);
        self.hold_anew_and_tell(id);
        self.begin(id);
    }

    /// Gives the order its id and tells of it.
    pub(super) fn insert(&mut self, mut order: Order) -> OrderId {
        self.last_order += 1;
        order.id = OrderId(self.last_order);
        let Order { id, request, terms, pegged_price, list, place, .. } = order;
        let execution = self.next_execution(request.instrument);
        self.orders.insert(id, order);
        if terms == OrderTerms::NONE && list == OrderListId::NONE {
            self.emit(OrderAccepted { order: id, execution, request });
        } else {
            let is_pending = place == Place::Pending;
            self.emit(OrderAcceptedWithTerms {
                order: id,
                execution,
                request,
                terms,
                pegged_price,
                list,
                is_pending,
            });
        }
        id
    }

    /// §4.3 and 4, and what an auction does instead (§11).
    pub(super) fn begin(&mut self, id: OrderId) {
        let OrderRequest { instrument, kind, .. } = self.order(id).request;
        if kind.is_contingent() {
            let last_trade = self.instrument(instrument).last_trade;
            let order = self.order_mut(id);
            order.place = Place::Waiting;
            // trailing-stop-faq.md, Scenario E.
            if order.is_trailing() && order.request.stop_price.is_zero() {
                order.extreme = last_trade;
            }
        } else if self.order(id).place != Place::Collected {
            self.work(id);
        }
    }

    /// The order meets the book; in an auction it joins its level at once.
    pub(super) fn work(&mut self, id: OrderId) {
        let instrument = self.order(id).request.instrument;
        match self.instrument(instrument).definition.status.is_auction() {
            true => self.rest(id),
            false => self.run(id),
        }
    }

    /// The order joins its level behind all others.
    pub(super) fn rest(&mut self, id: OrderId) {
        self.arrivals += 1;
        let arrival = self.arrivals;
        let order = self.order_mut(id);
        order.place = Place::Resting(arrival);
        order.visible = order.terms.iceberg.0.min(order.remaining());
        let OrderRequest { instrument, side, .. } = order.request;
        let price = order.price();
        self.emit_level(instrument, side, price);
    }

    /// Closing, whatever the reason, and what the order's list demands. (§4, the end)
    pub(super) fn close(
        &mut self,
        id: OrderId,
        status: OrderStatus,
        reason: CloseReason,
        cancel_client_order_id: ClientOrderId,
    ) {
        let list = self.order(id).list;
        self.close_alone(id, status, reason, cancel_client_order_id);
        self.close_along(list, status, reason);
    }

    /// Closing that nobody asked for by a cancel's id.
    pub(super) fn expire(&mut self, id: OrderId, status: OrderStatus, reason: CloseReason) {
        self.close(id, status, reason, ClientOrderId::EMPTY);
    }

    /// Closes the order without a look at its list.
    pub(super) fn close_alone(
        &mut self,
        id: OrderId,
        status: OrderStatus,
        reason: CloseReason,
        cancel_client_order_id: ClientOrderId,
    ) {
        let order = self.orders.remove(&id).expect("an open order");
        let OrderRequest { account, instrument, side, .. } = order.request;
        let execution = self.next_execution(instrument);
        self.emit(OrderClosed {
            order: id,
            account,
            instrument,
            execution,
            status,
            reason,
            cumulative_quantity: Quantity(order.executed),
            cumulative_quote: Amount(order.executed_quote),
            prevented_quantity: Quantity(order.prevented),
            cancel_client_order_id,
        });
        if order.held != 0 {
            let asset = self.held_asset(&order);
            let balance = self.balance_mut(account, asset);
            balance.free += order.held;
            balance.locked -= order.held;
            self.emit_balance(account, asset);
        }
        if matches!(order.place, Place::Resting(_)) {
            self.emit_level(instrument, side, order.price());
        }
    }
}
