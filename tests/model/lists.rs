//! Order lists: how they begin, and how one order's end is another's. (§12)

use super::*;
use protocol::instrument::{filter, flag};

impl Model {
    pub(super) fn new_order_list(&mut self, command: &NewOrderList) -> Refusable {
        let NewOrderList { account, instrument, kind, list_client_order_id, .. } = *command;
        self.check_owner(instrument, account)?;
        if list_client_order_id.is_empty() {
            return Err(RejectReason::InvalidClientOrderId);
        }
        self.check_list_kind(instrument, kind)?;
        check_list_shape(command)?;
        let mut orders = self.orders_of(command);
        for order in &mut orders {
            self.check_shape(order)?;
        }
        for order in &orders {
            self.check_filters(order)?;
        }
        self.check_counts(&orders)?;
        self.check_list_counts(account, instrument)?;
        self.check_risk(&orders)?;
        // The pair stands last.
        if kind.has_pair() {
            let last = self.last_price(instrument).filter(|_| kind == OrderListKind::Oco);
            check_list_prices(&orders[orders.len() - 2..], last)?;
        }
        let open = self.lists.values().filter(|it| it.account == account);
        let mut open = open.filter(|it| it.instrument == instrument);
        if open.any(|it| it.client_order_id == list_client_order_id) {
            return Err(RejectReason::DuplicateListClientOrderId);
        }
        for order in &orders {
            self.check_client_order_id(&order.request)?;
        }
        match kind.has_working_order() {
            true => {
                self.check_funds(&orders[0])?;
                self.check_would_match(&orders[0])?;
            }
            false => self.check_pair(&orders).map_err(|(_, reason)| reason)?,
        }
        self.accept_list(command, orders);
        Ok(())
    }

    fn check_list_kind(&self, instrument: InstrumentId, kind: OrderListKind) -> Refusable {
        let needs = |needed: bool, flag, reason| match needed {
            true => self.check_flag(instrument, flag, reason),
            false => Ok(()),
        };
        needs(kind.has_working_order(), flag::OTO, RejectReason::OtoNotAllowed)?;
        needs(kind.has_pair(), flag::OCO, RejectReason::OcoNotAllowed)?;
        needs(kind.pays(), flag::OPO, RejectReason::OpoNotAllowed)
    }

    /// The orders as they would be if the list were accepted.
    fn orders_of(&self, command: &NewOrderList) -> Vec<Order> {
        let kind = command.kind;
        let listed = &command.orders[..kind.orders()];
        let orders = listed.iter().enumerate().map(|(at, it)| {
            let is_pending = kind.has_working_order() && at > 0;
            let mut order = Order::new(it.request, it.terms);
            order.list = OrderListId(self.last_list + 1);
            order.place = if is_pending { Place::Pending } else { Place::Running };
            order.paid = is_pending && kind.pays();
            order
        });
        orders.collect()
    }

    fn check_list_counts(&self, account: AccountId, instrument: InstrumentId) -> Refusable {
        let filters = &self.instrument(instrument).definition.filters;
        let reaches = |count: usize, max: u32| max != 0 && count >= max as usize;
        let open: Vec<&List> = self.lists.values().filter(|it| it.account == account).collect();
        let here = open.iter().filter(|it| it.instrument == instrument).count();
        if filters.has(filter::MAX_NUM_ORDER_LISTS) && reaches(here, filters.max_num_order_lists) {
            return Err(RejectReason::MaxNumOrderLists);
        }
        if reaches(open.len(), self.limits.order_lists_max) {
            return Err(RejectReason::ExchangeMaxNumOrderLists);
        }
        Ok(())
    }

    /// 15 to 17 of two orders of which only one will work; gives the one that fails.
    pub(super) fn check_pair(&self, pair: &[Order]) -> Result<(), (usize, RejectReason)> {
        // What another paid is locked already.
        let larger = usize::from(pair[1].need() > pair[0].need());
        if !pair[0].paid {
            self.check_funds(&pair[larger]).map_err(|reason| (larger, reason))?;
        }
        for (at, order) in pair.iter().enumerate() {
            self.check_would_trigger(order).map_err(|reason| (at, reason))?;
            self.check_would_match(order).map_err(|reason| (at, reason))?;
        }
        Ok(())
    }

    fn accept_list(&mut self, command: &NewOrderList, orders: Vec<Order>) {
        let NewOrderList { account, instrument, kind, list_client_order_id, .. } = *command;
        self.last_list += 1;
        let id = OrderListId(self.last_list);
        let ids: Vec<OrderId> =
            (1..=orders.len() as u64).map(|at| OrderId(self.last_order + at)).collect();
        let mut told = [OrderId::NONE; LISTED_ORDERS_MAX];
        told[..ids.len()].copy_from_slice(&ids);
        self.emit(OrderListAccepted {
            list: id,
            account,
            instrument,
            kind,
            list_client_order_id,
            orders: told,
        });
        for order in orders {
            self.insert(order);
        }
        let (working, others) = match kind.has_working_order() {
            true => (ids[0], ids[1..].to_vec()),
            false => (OrderId::NONE, ids),
        };
        let list = List {
            id,
            account,
            instrument,
            client_order_id: list_client_order_id,
            working,
            others,
            pays: kind.pays(),
            stage: Stage::Working,
            holder: OrderId::NONE,
        };
        self.lists.insert(id, list);
        match kind.has_working_order() {
            true => {
                self.hold_anew_and_tell(working);
                self.begin(working);
            }
            false => self.begin_pair(id),
        }
    }

    /// One hold, the larger need; then the one, then the other.
    pub(super) fn begin_pair(&mut self, id: OrderListId) {
        let pair = self.lists[&id].others.clone();
        for id in &pair {
            self.order_mut(*id).place = Place::Running;
        }
        let second_needs_more = self.order(pair[1]).need() > self.order(pair[0]).need();
        let list = self.lists.get_mut(&id).expect("an open list");
        list.stage = Stage::Pair;
        list.holder = pair[usize::from(second_needs_more)];
        let first = self.order(pair[0]).clone();
        let free_before = self.free(&first);
        for id in &pair {
            self.hold_anew(*id);
        }
        if self.free(&first) != free_before {
            self.emit_balance(first.request.account, self.held_asset(&first));
        }
        for id in pair {
            self.begin(id);
        }
    }

    // Ends.

    pub(super) fn open_of(&self, list: &List) -> Vec<OrderId> {
        let all = std::iter::once(&list.working).chain(&list.others);
        all.copied().filter(|id| self.orders.contains_key(id)).collect()
    }

    pub(super) fn end_list(&mut self, list: &List) {
        let List { id, account, instrument, .. } = *list;
        self.lists.remove(&id);
        self.emit(OrderListDone { list: id, account, instrument });
    }

    /// One order of the list closed without being filled: so do the others.
    pub(super) fn close_along(
        &mut self,
        list: OrderListId,
        status: OrderStatus,
        reason: CloseReason,
    ) {
        let Some(list) = self.lists.get(&list).cloned() else { return };
        let by_request = matches!(
            reason,
            CloseReason::Requested | CloseReason::Exchange | CloseReason::Disconnected
        );
        let (status, reason) = match list.stage {
            _ if by_request => (status, reason),
            Stage::Working => (OrderStatus::Expired, CloseReason::ListExpired),
            Stage::Filled | Stage::Pair | Stage::Last => {
                (OrderStatus::Expired, CloseReason::ListTriggered)
            }
        };
        for id in self.open_of(&list) {
            self.close_alone(id, status, reason, ClientOrderId::EMPTY);
        }
        self.end_list(&list);
    }

    /// If the order is one of a pair, the other one goes: this one works now.
    pub(super) fn send_other_away(&mut self, id: OrderId) {
        let list = self.lists.get(&self.order(id).list).cloned();
        let Some(list) = list.filter(|list| list.stage == Stage::Pair) else { return };
        self.leave_last(list.id);
        for other in list.others.iter().filter(|other| **other != id) {
            let (status, reason) = (OrderStatus::Expired, CloseReason::ListTriggered);
            self.close_alone(*other, status, reason, ClientOrderId::EMPTY);
        }
        self.hold_anew_and_tell(id);
    }

    /// One of its orders is left, and is on its own.
    pub(super) fn leave_last(&mut self, id: OrderListId) {
        self.lists.get_mut(&id).expect("an open list").stage = Stage::Last;
    }

    /// A filled order that was the last of its list ends it.
    pub(super) fn end_list_of_filled(&mut self, order: &Order) {
        let list = self.lists.get(&order.list).cloned();
        if let Some(list) = list.filter(|list| self.open_of(list).is_empty()) {
            self.end_list(&list);
        }
    }
}

/// Check 3 of a list.
fn check_list_shape(command: &NewOrderList) -> Refusable {
    let NewOrderList { account, instrument, kind, orders, .. } = command;
    let (used, unused) = orders.split_at(kind.orders());
    let mut fits = unused.iter().all(|it| *it == ListedOrder::EMPTY)
        && used.iter().all(|ListedOrder { request, .. }| {
            request.account == *account
                && request.instrument == *instrument
                && request.quantity_unit == QuantityUnit::Base
        });
    if kind.has_pair() {
        let (first, second) = (&used[used.len() - 2].request, &used[used.len() - 1].request);
        fits &= first.side == second.side && first.quantity == second.quantity;
        fits &= matches!(first.kind, OrderKind::StopLoss | OrderKind::StopLossLimit);
        fits &= matches!(
            second.kind,
            OrderKind::LimitMaker | OrderKind::TakeProfit | OrderKind::TakeProfitLimit
        );
    }
    if kind.has_working_order() {
        fits &= matches!(used[0].request.kind, OrderKind::Limit | OrderKind::LimitMaker);
    }
    if kind.pays() {
        fits &= used[0].request.side == Side::Buy;
        fits &= used[1..].iter().all(|it| it.request.side == Side::Sell);
        fits &= used[1..].iter().all(|it| it.request.quantity.is_zero());
    }
    if !fits {
        return Err(RejectReason::InvalidOrderList);
    }
    let ids: BTreeSet<ClientOrderId> = used.iter().map(|it| it.request.client_order_id).collect();
    match ids.len() < used.len() {
        true => Err(RejectReason::DuplicateClientOrderId),
        false => Ok(()),
    }
}

/// Check 5 of a list. (rest-api.md, "Price Restrictions")
pub(super) fn check_list_prices(pair: &[Order], last: Option<Price>) -> Refusable {
    let (first, second) = (&pair[0], &pair[1]);
    let stop = first.request.stop_price;
    let other = match second.request.kind {
        OrderKind::TakeProfit => second.request.stop_price,
        _ => second.price(),
    };
    let (low, high) = match first.request.side {
        Side::Sell => (stop, other),
        Side::Buy => (other, stop),
    };
    let mut prices = vec![Some(low), last, Some(high)];
    prices.retain(|price| price.is_some_and(|price| !price.is_zero()));
    match prices.is_sorted_by(|a, b| a < b) {
        true => Ok(()),
        false => Err(RejectReason::ListPrices),
    }
}
