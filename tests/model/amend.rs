//! What changes an order: cancel-replace, replace, amend. (§7)

use super::cancel::Named;
use super::*;
use protocol::instrument::{filter, flag};

impl Model {
    /// rest-api.md, cancelReplace: "Filters and Order Count are evaluated before the processing of
    /// the cancellation and order placement occurs."
    pub(super) fn cancel_replace(&mut self, command: &CancelReplace) -> Refusable {
        let OrderRequest { account, instrument, .. } = command.request;
        self.check_owner(instrument, account)?;
        let reason = RejectReason::CancelReplaceNotSupported;
        self.check_flag(instrument, flag::CANCEL_REPLACE, reason)?;
        let mut order = Order::new(command.request, command.terms);
        self.check_rules(&mut order)?;
        let named = Named {
            account,
            instrument,
            order: command.cancel_order,
            client_order_id: command.cancel_original_client_order_id,
        };
        let canceled = self.cancel(&named, command.restrictions, command.cancel_client_order_id);
        if let Err(reason) = canceled {
            self.emit(CommandRefused { part: CommandPart::Cancel, reason });
            if command.mode == CancelReplaceMode::StopOnFailure {
                return Ok(());
            }
        }
        match self.check_state(&order) {
            Ok(()) => self.accept(order),
            Err(reason) => self.emit(CommandRefused { part: CommandPart::New, reason }),
        }
        Ok(())
    }

    // Replace.

    pub(super) fn replace_order(&mut self, command: &ReplaceOrder) -> Refusable {
        let ReplaceOrder { account, instrument, order, price, quantity, .. } = *command;
        self.check_known(instrument, account)?;
        self.check_kill_switch(account)?;
        let client_order_id = ClientOrderId::EMPTY;
        let id = self.find(&Named { account, instrument, order, client_order_id })?;
        self.check_replace(id, price, quantity)?;
        let before = self.order(id).clone();
        let quantity = Quantity(before.executed + before.prevented + quantity.0);
        let order = self.order_mut(id);
        (order.request.price, order.request.quantity) = (price, quantity);
        order.place = Place::Running;
        let execution = self.next_execution(instrument);
        let price_before = before.request.price;
        self.emit(OrderReplaced {
            order: id,
            account,
            instrument,
            execution,
            price,
            quantity,
            price_before,
        });
        self.hold_anew_and_tell(id);
        self.emit_level(instrument, before.request.side, price_before);
        // Whatever its kind: it was triggered already.
        self.work(id);
        Ok(())
    }

    fn check_replace(&self, id: OrderId, price: Price, quantity: Quantity) -> Refusable {
        let order = self.order(id);
        let gone = order.executed + order.prevented;
        if !matches!(order.place, Place::Resting(_)) {
            return Err(RejectReason::NotInBook);
        }
        if price.is_zero() || !price.is_valid() {
            return Err(RejectReason::InvalidPrice);
        }
        if quantity.is_zero() || quantity.0 > Quantity::MAX.0 - gone {
            return Err(RejectReason::InvalidQuantity);
        }
        let status = self.instrument(order.request.instrument).definition.status;
        if status != InstrumentStatus::Trading && !status.is_auction() {
            return Err(RejectReason::MarketClosed);
        }
        if self.lists.contains_key(&order.list) || order.terms.peg != PegPrice::None {
            return Err(RejectReason::UnsupportedCombination);
        }
        // As if it were new, without its iceberg part.
        let mut replaced = order.clone();
        (replaced.request.price, replaced.request.quantity) = (price, quantity);
        (replaced.executed, replaced.prevented) = (0, 0);
        replaced.terms = OrderTerms::NONE;
        self.check_price_grid(order.request.instrument, price)?;
        self.check_lots(&replaced)?;
        self.check_iceberg_parts(order, quantity)?;
        if self.free(order) + order.held < replaced.need() {
            return Err(RejectReason::InsufficientBalance);
        }
        self.check_would_match(&replaced)
    }

    // Amend. (order_amend_keep_priority.md)

    pub(super) fn amend_order(&mut self, command: &AmendOrder) -> Refusable {
        let AmendOrder { account, instrument, order, client_order_id, quantity, .. } = *command;
        self.check_known(instrument, account)?;
        let id = self.find(&Named { account, instrument, order, client_order_id })?;
        self.check_flag(instrument, flag::AMEND, RejectReason::AmendNotSupported)?;
        self.check_amend(id, command)?;
        // "Amending either order affects both orders."
        let list = self.lists.get(&self.order(id).list);
        let pair = list.map_or(&[][..], |list| &list.others[..]);
        let mut open = pair.iter().copied().filter(|it| self.orders.contains_key(it));
        let other = open.find(|it| pair.contains(&id) && *it != id);
        let mut before = Vec::new();
        for id in std::iter::once(id).chain(other) {
            before.push(self.order(id).clone());
            self.order_mut(id).request.quantity = quantity;
        }
        for (at, before) in before.into_iter().enumerate() {
            // The second is gone if the first was closed.
            if self.orders.contains_key(&before.id) {
                let client_order_id = match at {
                    0 => command.new_client_order_id,
                    _ => before.request.client_order_id,
                };
                self.amend(&before, client_order_id);
            }
        }
        Ok(())
    }

    /// Tells of an order's new quantity and does what follows from it.
    fn amend(&mut self, before: &Order, client_order_id: ClientOrderId) {
        let id = before.id;
        let OrderRequest { account, instrument, side, .. } = before.request;
        let execution = self.next_execution(instrument);
        let order = self.order_mut(id);
        order.request.client_order_id = client_order_id;
        order.amends += 1;
        let quantity = order.request.quantity;
        order.visible = order.visible.min(order.remaining());
        let (price, place, is_gone) = (order.price(), order.place, order.remaining() == 0);
        self.emit(OrderAmended {
            order: id,
            account,
            instrument,
            execution,
            quantity,
            quantity_before: before.request.quantity,
            client_order_id,
            client_order_id_before: before.request.client_order_id,
        });
        if is_gone {
            return self.expire(id, OrderStatus::Expired, CloseReason::Amended);
        }
        self.hold_anew_and_tell(id);
        if matches!(place, Place::Resting(_)) {
            self.emit_level(instrument, side, price);
        }
    }

    fn check_amend(&self, id: OrderId, command: &AmendOrder) -> Refusable {
        let order = self.order(id);
        let (new_id, quantity) = (command.new_client_order_id, command.quantity);
        if new_id.is_empty() {
            return Err(RejectReason::InvalidClientOrderId);
        }
        if quantity.is_zero() || !quantity.is_valid() {
            return Err(RejectReason::InvalidQuantity);
        }
        if order.paid && order.place == Place::Pending {
            return Err(RejectReason::PendingAmend);
        }
        if quantity > order.request.quantity {
            return Err(RejectReason::QuantityIncrease);
        }
        if quantity == order.request.quantity {
            return Err(RejectReason::NoChange);
        }
        let filters = &self.instrument(command.instrument).definition.filters;
        let amends_max = filters.max_num_order_amends;
        if filters.has(filter::MAX_NUM_ORDER_AMENDS)
            && amends_max != 0
            && order.amends >= amends_max
        {
            return Err(RejectReason::TooManyAmends);
        }
        let mut amended = order.clone();
        amended.request.quantity = quantity;
        self.check_lots(&amended)?;
        if order.request.kind.is_limit() {
            self.check_worth(&amended)?;
        }
        let holder = self.find_by_client_order_id(command.account, command.instrument, &new_id);
        match holder {
            Some(holder) if holder != id => Err(RejectReason::DuplicateClientOrderId),
            _ => Ok(()),
        }
    }
}
