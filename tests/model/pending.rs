//! Pending orders: what their working order pays them, and how they begin. (§12)

use super::lists::check_list_prices;
use super::*;
use protocol::instrument::{LotSize, filter};

impl Model {
    /// What a working order bought is locked for the first of the orders that will sell it.
    pub(super) fn pay(&mut self, buyer: &Order, quantity: u64, commission: i128, is_own: bool) {
        let Some(list) = self.lists.get(&buyer.list).filter(|it| it.pays).cloned() else { return };
        if list.working != buyer.id {
            return;
        }
        let account = list.account;
        let base = self.instrument(list.instrument).base;
        let quantity = i128::from(quantity);
        let free_before = self.balance(account, base).free - (quantity - commission);
        let is_bnb = self.instrument(list.instrument).definition.base.as_str() == "BNB";
        let locked = match free_before >= commission && !is_bnb && !is_own {
            true => quantity,
            false => quantity - commission,
        };
        if locked != 0 {
            self.balance_mut(account, base).free -= locked;
            self.balance_mut(account, base).locked += locked;
            self.order_mut(list.others[0]).held += locked;
            self.emit_balance(account, base);
        }
    }

    /// Its working order was filled: the others wait for their turn.
    pub(super) fn note_filled(&mut self, order: &Order) {
        if let Some(list) = self.lists.get_mut(&order.list).filter(|it| it.working == order.id) {
            list.stage = Stage::Filled;
            self.queue.push_back(Due::List(list.id));
        }
    }

    /// The pending orders of a list begin, or one of them cannot.
    pub(super) fn activate(&mut self, id: OrderListId) {
        let list = self.lists[&id].clone();
        let mut orders: Vec<Order> = list.others.iter().map(|id| self.order(*id).clone()).collect();
        if let Err((at, reason)) = self.check_activation(&mut orders) {
            let Order { id, request, .. } = orders[at];
            let OrderRequest { account, instrument, .. } = request;
            if reason == RejectReason::InsufficientBalance {
                let reason = CloseReason::InsufficientBalance;
                return self.expire(id, OrderStatus::Rejected, reason);
            }
            self.emit(OrderRefused { order: id, account, instrument, reason });
            return self.expire(id, OrderStatus::Rejected, CloseReason::Refused);
        }
        for order in orders {
            let Order { id, request, pegged_price, .. } = order;
            let OrderRequest { account, instrument, quantity, .. } = request;
            self.orders.insert(id, order);
            let execution = self.next_execution(instrument);
            self.emit(OrderActivated {
                order: id,
                account,
                instrument,
                execution,
                quantity,
                pegged_price,
            });
        }
        if list.others.len() == 2 {
            return self.begin_pair(id);
        }
        let id = list.others[0];
        self.leave_last(list.id);
        self.hold_anew_and_tell(id);
        self.begin(id);
    }

    /// Completes the orders as they would begin; gives the one that fails.
    fn check_activation(&self, orders: &mut [Order]) -> Result<(), (usize, RejectReason)> {
        let paid: i128 = orders.iter().map(|order| order.held).sum();
        for (at, order) in orders.iter_mut().enumerate() {
            self.complete(order, paid).map_err(|reason| (at, reason))?;
        }
        if let [_, _] = orders {
            let last = self.last_price(orders[0].request.instrument);
            check_list_prices(orders, last).map_err(|reason| (0, reason))?;
            return self.check_pair(orders);
        }
        let order = &orders[0];
        let check = || {
            if !order.paid {
                self.check_funds(order)?;
            }
            self.check_would_trigger(order)?;
            self.check_would_match(order)
        };
        check().map_err(|reason| (0, reason))
    }

    /// Its peg's price and what it was paid, with the filters that these must pass.
    fn complete(&self, order: &mut Order, paid: i128) -> Refusable {
        order.place = Place::Running;
        self.find_peg(order)?;
        if !order.pegged_price.is_zero() {
            match order.paid {
                true => self.check_pegged_price_alone(order)?,
                false => self.check_by_pegged_price(order)?,
            }
        }
        if !order.paid {
            return Ok(());
        }
        let filters = &self.instrument(order.request.instrument).definition.filters;
        let mut quantity = paid as u64;
        if filters.has(filter::LOT_SIZE) {
            quantity = cut(quantity, filters.lot_size);
        }
        if filters.has(filter::MARKET_LOT_SIZE) && !order.request.kind.is_limit() {
            quantity = cut(quantity, filters.market_lot_size);
        }
        if quantity == 0 {
            return Err(RejectReason::LotSize);
        }
        order.request.quantity = Quantity(quantity);
        self.check_lots(order)?;
        self.check_worth(order)
    }
}

/// Down to the largest quantity that the lot's maximum and step allow.
fn cut(quantity: u64, lot: LotSize) -> u64 {
    let quantity = if lot.max.is_zero() { quantity } else { quantity.min(lot.max.0) };
    if lot.step.is_zero() { quantity } else { quantity / lot.step.0 * lot.step.0 }
}
