//! Cancels: of one order, of all, of a list. (§7)

use super::*;

/// Which order a cancel or an amend means, as its sender states it.
pub(super) struct Named {
    pub(super) account: AccountId,
    pub(super) instrument: InstrumentId,
    pub(super) order: OrderId,
    pub(super) client_order_id: ClientOrderId,
}

impl Model {
    pub(super) fn find(&self, named: &Named) -> Result<OrderId, RejectReason> {
        let Named { account, instrument, order, client_order_id } = named;
        if *order == OrderId::NONE {
            let found = self.find_by_client_order_id(*account, *instrument, client_order_id);
            // An open order's id is never empty, so that an empty one finds nothing.
            return found.ok_or(RejectReason::UnknownOrder);
        }
        let open = self.open_orders(*account, Some(*instrument));
        let found = open.into_iter().find(|it| it.id == *order);
        let found = found.ok_or(RejectReason::UnknownOrder)?;
        if !client_order_id.is_empty() && found.request.client_order_id != *client_order_id {
            return Err(RejectReason::ClientOrderIdMismatch);
        }
        Ok(found.id)
    }

    pub(super) fn cancel(
        &mut self,
        named: &Named,
        restrictions: CancelRestrictions,
        cancel_client_order_id: ClientOrderId,
    ) -> Refusable {
        self.check_known(named.instrument, named.account)?;
        let id = self.find(named)?;
        let is_new = self.order(id).executed == 0;
        let restricted = match restrictions {
            CancelRestrictions::None => false,
            CancelRestrictions::OnlyNew => !is_new,
            CancelRestrictions::OnlyPartiallyFilled => is_new,
        };
        if restricted {
            return Err(RejectReason::CancelRestricted);
        }
        self.close(id, OrderStatus::Canceled, CloseReason::Requested, cancel_client_order_id);
        Ok(())
    }

    pub(super) fn cancel_order(&mut self, command: &CancelOrder) -> Refusable {
        let CancelOrder { account, instrument, order, restrictions, .. } = *command;
        let named = Named { account, instrument, order, client_order_id: ClientOrderId::EMPTY };
        self.cancel(&named, restrictions, ClientOrderId::EMPTY)
    }

    pub(super) fn cancel_named_order(&mut self, command: &CancelNamedOrder) -> Refusable {
        let CancelNamedOrder { account, instrument, order, client_order_id, .. } = *command;
        let named = Named { account, instrument, order, client_order_id };
        self.cancel(&named, command.restrictions, command.cancel_client_order_id)
    }

    pub(super) fn cancel_all_orders(&mut self, command: &CancelAllOrders) -> Refusable {
        self.check_known(command.instrument, command.account)?;
        let open = self.open_orders(command.account, Some(command.instrument));
        let ids: Vec<OrderId> = open.into_iter().map(|order| order.id).collect();
        if ids.is_empty() {
            return Err(RejectReason::UnknownOrder);
        }
        self.close_each(ids, OrderStatus::Canceled, CloseReason::Requested);
        Ok(())
    }

    /// Those that a list takes along are gone when it is their turn.
    fn close_each(&mut self, ids: Vec<OrderId>, status: OrderStatus, reason: CloseReason) {
        for id in ids {
            if self.orders.contains_key(&id) {
                self.expire(id, status, reason);
            }
        }
    }

    pub(super) fn mass_cancel(&mut self, command: &MassCancel) -> Refusable {
        let MassCancel { account, instrument, cause, .. } = *command;
        if account.0 as usize > self.accounts.len() {
            return Err(RejectReason::UnknownAccount);
        }
        if instrument.0 as usize > self.instruments.len() {
            return Err(RejectReason::UnknownInstrument);
        }
        self.cancel_everything(account, instrument, cause);
        Ok(())
    }

    /// `NONE` is every account, every instrument.
    pub(super) fn cancel_everything(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        cause: MassCancelCause,
    ) {
        let ids = self
            .orders
            .values()
            .filter(|it| account == AccountId::NONE || it.request.account == account)
            .filter(|it| instrument == InstrumentId::NONE || it.request.instrument == instrument)
            .map(|it| it.id)
            .collect();
        let (status, reason) = match cause {
            MassCancelCause::Disconnect => (OrderStatus::Canceled, CloseReason::Disconnected),
            MassCancelCause::Administrator => (OrderStatus::Expired, CloseReason::Exchange),
        };
        self.close_each(ids, status, reason);
    }

    pub(super) fn cancel_order_list(&mut self, command: &CancelOrderList) -> Refusable {
        let CancelOrderList { account, instrument, list, list_client_order_id, .. } = *command;
        self.check_known(instrument, account)?;
        // An open list's client order id is never empty, so that an empty one finds nothing.
        let found = self
            .lists
            .values()
            .filter(|it| (it.account, it.instrument) == (account, instrument))
            .find(|it| match list {
                OrderListId::NONE => it.client_order_id == list_client_order_id,
                _ if list_client_order_id.is_empty() => it.id == list,
                _ => it.id == list && it.client_order_id == list_client_order_id,
            });
        let found = found.ok_or(RejectReason::UnknownOrderList)?.clone();
        for id in self.open_of(&found) {
            let (status, reason) = (OrderStatus::Canceled, CloseReason::Requested);
            self.close_alone(id, status, reason, command.cancel_client_order_id);
        }
        self.end_list(&found);
        Ok(())
    }
}
