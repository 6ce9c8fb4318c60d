//! What the orders of a list do to each other (docs/rules.md §12).

use crate::check::{Adding, Draft};
use crate::engine::{Engine, Refusal};
use crate::lists::{OrderList, Stage};
use crate::orders::Owner;
use crate::sink::EventSink;
use crate::slab::{Order, Phase, Slot};
use alloc::vec::Vec;
use protocol::command::*;
use protocol::event::*;
use protocol::instrument::{filter, flag};
use protocol::*;

/// What is received of this asset pays its own commission (opo.md).
const FEE_ASSET: &str = "BNB";

/// A fill, as the order's list sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ListFill {
    pub(crate) quantity: Quantity,
    pub(crate) commission: Amount,
    /// The order wants no more.
    pub(crate) is_filled: bool,
    /// Against an order of the same account.
    pub(crate) is_own: bool,
}

/// Closed because somebody asked for it: the others of the list follow with the same words.
fn is_request(reason: CloseReason) -> bool {
    matches!(reason, CloseReason::Requested | CloseReason::Disconnected | CloseReason::Exchange)
}

fn require(holds: bool, reason: RejectReason) -> Refusal {
    if holds { Ok(()) } else { Err(reason) }
}

/// The prices that the two orders of a pair stand for: the lower one's and the higher one's; 0 is
/// not known yet.
fn pair_prices(stop_loss: &Draft<'_>, other: &Draft<'_>) -> (Price, Price) {
    let stop = stop_loss.request.stop_price;
    let other_price = match other.request.kind {
        OrderKind::LimitMaker => other.price,
        OrderKind::TakeProfitLimit => other.request.price,
        _ => other.request.stop_price,
    };
    match stop_loss.request.side {
        Side::Sell => (stop, other_price),
        Side::Buy => (other_price, stop),
    }
}

impl Engine {
    pub(crate) fn new_order_list(
        &mut self,
        new: &NewOrderList,
        out: &mut impl EventSink,
    ) -> Refusal {
        let mut drafts = self.check_list_shape(new)?;
        let owner = self.check_list(new, &mut drafts)?;
        self.place_list(new, &drafts, owner, out);
        Ok(())
    }

    /// §12, 1 to 3.
    fn check_list_shape<'a>(&self, new: &'a NewOrderList) -> Result<Vec<Draft<'a>>, RejectReason> {
        let kind = new.kind;
        let market = self.check_identity(new.account, new.instrument)?;
        require(!new.list_client_order_id.is_empty(), RejectReason::InvalidClientOrderId)?;
        let allows = |flag| market.rules.flags & flag != 0;
        let oto = !kind.has_working_order() || allows(flag::OTO);
        require(oto, RejectReason::OtoNotAllowed)?;
        require(!kind.has_pair() || allows(flag::OCO), RejectReason::OcoNotAllowed)?;
        require(!kind.pays() || allows(flag::OPO), RejectReason::OpoNotAllowed)?;
        let (orders, unused) = new.orders.split_at(kind.orders());
        let is_unused = unused.iter().all(|order| *order == ListedOrder::EMPTY);
        let is_ours = |order: &ListedOrder| {
            let request = &order.request;
            request.account == new.account
                && request.instrument == new.instrument
                && request.quantity_unit == QuantityUnit::Base
        };
        let fits = is_unused && orders.iter().all(is_ours) && fits_kind(kind, orders);
        require(fits, RejectReason::InvalidOrderList)?;
        let name = |at: usize| orders[at].request.client_order_id;
        let is_double = (1..orders.len()).any(|at| (0..at).any(|before| name(before) == name(at)));
        require(!is_double, RejectReason::DuplicateClientOrderId)?;
        let is_pending = |at: usize| kind.has_working_order() && at > 0;
        let draft = |(at, order): (usize, &'a ListedOrder)| Draft {
            is_paid: kind.pays() && is_pending(at),
            is_pending: is_pending(at),
            is_listed: true,
            ..Draft::new(&order.request, order.terms)
        };
        Ok(orders.iter().enumerate().map(draft).collect())
    }

    /// §12, 4 to 6. Returns the orders' owner, if it had an order before.
    fn check_list(
        &self,
        new: &NewOrderList,
        drafts: &mut [Draft<'_>],
    ) -> Result<Option<u32>, RejectReason> {
        let market = self.venue.market(new.instrument).expect("the instrument was checked");
        let owner =
            self.orders.find_owner(Owner { account: new.account, instrument: new.instrument });
        for draft in drafts.iter_mut() {
            self.check_terms(draft, market)?;
        }
        for draft in drafts.iter() {
            self.check_filters(draft, owner, market)?;
        }
        let adding = drafts.iter().map(Draft::adds).fold(Adding::default(), |sum, new| sum + new);
        self.check_counts(new.account, owner, adding, market)?;
        let (all, here) = self.lists.counts(new.account, new.instrument);
        let filters = &market.definition().filters;
        let (bound, bound_here) = (self.venue.limits.order_lists_max, filters.max_num_order_lists);
        let is_full = filters.has(filter::MAX_NUM_ORDER_LISTS) && bound_here != 0;
        require(!is_full || here < bound_here, RejectReason::MaxNumOrderLists)?;
        require(bound == 0 || all < bound, RejectReason::ExchangeMaxNumOrderLists)?;
        for draft in drafts.iter() {
            self.check_risk(draft, adding.orders, owner, market)?;
        }
        let first_of_pair = usize::from(new.kind.has_working_order());
        if new.kind.has_pair() {
            let (low, high) = pair_prices(&drafts[first_of_pair], &drafts[first_of_pair + 1]);
            let last = match new.kind {
                OrderListKind::Oco => market.last_price(),
                _ => None,
            };
            check_pair_prices(low, high, last)?;
        }
        let named = self.lists.named(new.account, new.instrument, &new.list_client_order_id);
        require(named.is_none(), RejectReason::DuplicateListClientOrderId)?;
        for draft in drafts.iter() {
            self.check_name(owner, &draft.request.client_order_id)?;
        }
        if new.kind == OrderListKind::Oco {
            let larger = self.larger_need(&drafts[0], &drafts[1]);
            self.check_funds(larger, owner, market)?;
            for draft in drafts.iter() {
                self.check_triggers(draft, market)?;
            }
        } else {
            self.check_funds(&drafts[0], owner, market)?;
            self.check_triggers(&drafts[0], market)?;
        }
        Ok(owner)
    }

    /// The one of two that needs more; the first if both need the same.
    fn larger_need<'d, 'r>(&self, first: &'d Draft<'r>, second: &'d Draft<'r>) -> &'d Draft<'r> {
        match self.need_of(second) > self.need_of(first) {
            true => second,
            false => first,
        }
    }

    fn place_list(
        &mut self,
        new: &NewOrderList,
        drafts: &[Draft<'_>],
        owner: Option<u32>,
        out: &mut impl EventSink,
    ) {
        let NewOrderList { account, instrument, kind, list_client_order_id, .. } = *new;
        self.last_list = self.last_list.next();
        let list = self.last_list;
        let mut orders = [OrderId::NONE; LISTED_ORDERS_MAX];
        let mut next = self.last_order;
        for order in orders.iter_mut().take(drafts.len()) {
            next = next.next();
            *order = next;
        }
        out.emit(OrderListAccepted {
            list,
            account,
            instrument,
            kind,
            list_client_order_id,
            orders,
        });
        let owner = owner.unwrap_or_else(|| self.add_owner(Owner { account, instrument }));
        let mut slots = [Slot::NONE; LISTED_ORDERS_MAX];
        for (slot, draft) in slots.iter_mut().zip(drafts) {
            *slot = self.accept(draft, Some(owner), list, out);
        }
        let stage = match kind {
            OrderListKind::Oco => Stage::Pair,
            _ => Stage::Working,
        };
        self.lists.insert(OrderList {
            id: list,
            account,
            instrument,
            kind,
            client_order_id: list_client_order_id,
            orders,
            stage,
            holder: OrderId::NONE,
        });
        if kind == OrderListKind::Oco {
            self.begin_pair(list, [slots[0], slots[1]], out);
        } else {
            self.hold_and_begin(slots[0], out);
        }
    }

    /// Two orders begin to work, with one hold for both.
    fn begin_pair(&mut self, list: OrderListId, pair: [Slot; 2], out: &mut impl EventSink) {
        let [first, second] = pair;
        let holder = match self.orders.need(second) > self.orders.need(first) {
            true => second,
            false => first,
        };
        // What was paid for them moves to the one that holds.
        let held: Amount = pair.iter().map(|slot| self.orders.held(*slot)).sum();
        for slot in pair {
            let held = if slot == holder { held } else { Amount::ZERO };
            self.orders.extra_mut(slot).expect("of a list").held = held;
        }
        let id = self.orders.get(holder).id;
        self.lists.change(list, |list| (list.stage, list.holder) = (Stage::Pair, id));
        if self.hold_anew(holder, held) {
            self.emit_paying_balance(holder, out);
        }
        for slot in pair {
            self.begin(slot, out);
        }
    }

    /// The list that an order is of.
    pub(crate) fn list_of(&self, slot: Slot) -> Option<&OrderList> {
        let list = self.orders.extra(slot)?.list;
        self.lists.get(list)
    }

    /// The other order of the pair that an order is of, working or pending.
    pub(crate) fn other_of_pair(&self, slot: Slot) -> Option<Slot> {
        let list = self.list_of(slot).filter(|list| list.kind.has_pair())?;
        let id = self.orders.get(slot).id;
        let is_of_pair = list.pair().contains(&id);
        is_of_pair.then(|| self.orders.find(list.other(id)))?
    }

    /// What must be held for an order that has an extra.
    pub(crate) fn due_hold(&self, slot: Slot) -> Amount {
        let order = self.orders.get(slot);
        if order.phase == Phase::Pending {
            return self.orders.held(slot);
        }
        let Some(list) = self.list_of(slot).filter(|list| list.stage == Stage::Pair) else {
            return self.orders.need(slot);
        };
        if list.holder != order.id {
            return Amount::ZERO;
        }
        let need =
            |order| self.orders.find(order).map_or(Amount::ZERO, |slot| self.orders.need(slot));
        let [first, second] = list.pair();
        need(first).max(need(second))
    }

    /// The order that holds for an order of a pair; any other holds for itself.
    pub(crate) fn holder_of(&self, slot: Slot) -> Slot {
        let list = self.list_of(slot).filter(|list| list.stage == Stage::Pair);
        list.and_then(|list| self.orders.find(list.holder)).unwrap_or(slot)
    }

    /// The list is no more. Returns its orders that are open, by id.
    fn dissolve(&mut self, list: OrderListId) -> Option<(OrderList, Vec<Slot>)> {
        let list = self.lists.remove(list)?;
        let open: Vec<Slot> =
            list.orders.iter().filter_map(|order| self.orders.find(*order)).collect();
        for slot in &open {
            self.orders.extra_mut(*slot).expect("of a list").list = OrderListId::NONE;
        }
        Some((list, open))
    }

    fn emit_done(&self, list: &OrderList, out: &mut impl EventSink) {
        let OrderList { id, account, instrument, .. } = *list;
        out.emit(OrderListDone { list: id, account, instrument });
    }

    /// One of a pair works: the other one goes.
    #[cold]
    pub(crate) fn send_other_away(&mut self, slot: Slot, out: &mut impl EventSink) {
        let Some(list) = self.list_of(slot).filter(|list| list.stage == Stage::Pair) else {
            return;
        };
        let id = list.id;
        let other = self.orders.find(list.other(self.orders.get(slot).id));
        self.leave_last(id);
        if let Some(other) = other {
            // It takes nobody along.
            self.orders.extra_mut(other).expect("of a list").list = OrderListId::NONE;
            let held = self.orders.held(other);
            let (status, reason) = (OrderStatus::Expired, CloseReason::ListTriggered);
            self.close(other, held, status, reason, ClientOrderId::EMPTY, out);
        }
        if self.hold_anew(slot, self.orders.held(slot)) {
            self.emit_paying_balance(slot, out);
        }
    }

    /// From here on the list is of one order, which holds for itself.
    fn leave_last(&mut self, list: OrderListId) {
        self.lists.change(list, |list| (list.stage, list.holder) = (Stage::Last, OrderId::NONE));
    }

    /// A filled order is gone, and with the last one its list.
    #[inline]
    pub(crate) fn finish(&mut self, slot: Slot, out: &mut impl EventSink) {
        let list = self.orders.extra(slot).map_or(OrderListId::NONE, |extra| extra.list);
        self.forget(slot);
        if list != OrderListId::NONE {
            self.filled_last(list, out);
        }
    }

    #[cold]
    fn filled_last(&mut self, list: OrderListId, out: &mut impl EventSink) {
        let is_last = self.lists.get(list).is_some_and(|list| list.stage == Stage::Last);
        if is_last && let Some(list) = self.lists.remove(list) {
            self.emit_done(&list, out);
        }
    }

    /// An order of a list was closed without being filled: the others follow, by id.
    #[cold]
    pub(crate) fn closed_of_list(
        &mut self,
        list: OrderListId,
        order: OrderId,
        (status, reason): (OrderStatus, CloseReason),
        out: &mut impl EventSink,
    ) {
        let Some((list, others)) = self.dissolve(list) else { return };
        let was_working = list.stage == Stage::Working && list.working() == Some(order);
        let (status, reason) = match (is_request(reason), was_working) {
            (true, _) => (status, reason),
            (false, true) => (OrderStatus::Expired, CloseReason::ListExpired),
            (false, false) => (OrderStatus::Expired, CloseReason::ListTriggered),
        };
        for slot in others {
            let held = self.orders.held(slot);
            self.close(slot, held, status, reason, ClientOrderId::EMPTY, out);
        }
        self.emit_done(&list, out);
    }

    /// A fill of an order that may be the working one of a list.
    #[cold]
    pub(crate) fn filled_of_list(&mut self, slot: Slot, fill: ListFill, out: &mut impl EventSink) {
        let id = self.orders.get(slot).id;
        let Some(list) = self.list_of(slot).filter(|list| list.working() == Some(id)) else {
            return;
        };
        let (list, pays, pending) = (list.id, list.kind.pays(), list.orders[1]);
        if pays && let Some(paid) = self.orders.find(pending) {
            self.lock_received(paid, fill, out);
        }
        if fill.is_filled {
            self.lists.change(list, |list| list.stage = Stage::Filled);
            self.filled_lists.push(pending);
        }
    }

    /// What was received is held for the order that it pays (opo.md).
    fn lock_received(&mut self, paid: Slot, fill: ListFill, out: &mut impl EventSink) {
        let ListFill { quantity, commission, is_own, .. } = fill;
        let Order { owner, instrument, .. } = *self.orders.get(paid);
        let row = self.orders.owned(owner).base;
        let received = Amount::from(quantity) - commission;
        let besides = self.ledger.entry(row).balance.free - received;
        // An own order at the market pays from the free funds as it goes: they are not to be touched.
        let market = self.venue.market(instrument).expect("the order's instrument exists");
        let is_short = is_own || market.definition().base.as_str() == FEE_ASSET;
        let locked = if besides >= commission && !is_short { quantity.into() } else { received };
        if locked.is_zero() {
            return;
        }
        self.orders.extra_mut(paid).expect("of a list").held += locked;
        self.ledger.hold(row, locked);
        self.emit_balance(row, out);
    }

    /// The pending orders of a list begin to work, or are rejected.
    #[cold]
    pub(crate) fn activate(&mut self, slot: Slot, out: &mut impl EventSink) {
        let Some(list) = self.list_of(slot).copied() else { return };
        let slots: Vec<Slot> =
            list.pending().iter().filter_map(|order| self.orders.find(*order)).collect();
        let requests: Vec<OrderRequest> = slots
            .iter()
            .map(|slot| {
                let request = self.orders.request(*slot);
                let quantity = match list.kind.pays() {
                    true => self.paid_quantity(slots[0], &request),
                    false => self.orders.get(*slot).remaining,
                };
                OrderRequest { quantity, ..request }
            })
            .collect();
        let mut drafts: Vec<Draft<'_>> = slots
            .iter()
            .zip(&requests)
            .map(|(slot, request)| {
                let terms = self.orders.extra(*slot).expect("of a list").terms;
                Draft { is_paid: list.kind.pays(), ..Draft::new(request, terms) }
            })
            .collect();
        if let Err((at, reason)) = self.check_activation(&list, &mut drafts) {
            self.reject(slots[at], reason, out);
            return;
        }
        for (slot, draft) in slots.iter().zip(&drafts) {
            self.set_activated(*slot, draft, out);
        }
        match slots[..] {
            [first, second] => self.begin_pair(list.id, [first, second], out),
            [only] => {
                self.leave_last(list.id);
                let held = self.orders.held(only);
                if self.hold_anew(only, held) {
                    self.emit_paying_balance(only, out);
                }
                self.begin(only, out);
            }
            _ => {}
        }
    }

    /// What the working order left for an order, on its grid.
    fn paid_quantity(&self, holder: Slot, request: &OrderRequest) -> Quantity {
        let market = self.venue.market(request.instrument).expect("the order's instrument exists");
        let held = self.orders.held(holder).0;
        let quantity = Quantity(u64::try_from(held).unwrap_or(u64::MAX)).min(Quantity::MAX);
        let quantity = market.rules.lots.cut(quantity);
        match request.kind.is_limit() {
            true => quantity,
            false => market.rules.market_lots.cut(quantity),
        }
    }

    /// Which of the orders cannot begin to work, and why.
    fn check_activation(
        &self,
        list: &OrderList,
        drafts: &mut [Draft<'_>],
    ) -> Result<(), (usize, RejectReason)> {
        let market = self.venue.market(list.instrument).expect("the list's instrument exists");
        for (at, draft) in drafts.iter_mut().enumerate() {
            let enters = draft.is_pegged() && !draft.request.kind.is_contingent();
            if enters {
                let price = market.peg(draft.request.side, &draft.terms);
                draft.price = price.ok_or((at, RejectReason::NoPegPrice))?;
            }
            self.check_late(draft, enters).map_err(|reason| (at, reason))?;
        }
        if let [first, second] = drafts {
            let (low, high) = pair_prices(first, second);
            let checked = check_pair_prices(low, high, market.last_price());
            checked.map_err(|reason| (0, reason))?;
        }
        if !list.kind.pays() {
            let at = match drafts {
                [first, second] => usize::from(self.need_of(second) > self.need_of(first)),
                _ => 0,
            };
            let owner = Owner { account: list.account, instrument: list.instrument };
            let owner = self.orders.find_owner(owner);
            self.check_funds(&drafts[at], owner, market).map_err(|reason| (at, reason))?;
        }
        for (at, draft) in drafts.iter().enumerate() {
            self.check_triggers(draft, market).map_err(|reason| (at, reason))?;
        }
        Ok(())
    }

    fn set_activated(&mut self, slot: Slot, draft: &Draft<'_>, out: &mut impl EventSink) {
        let is_paid_market = draft.is_paid && draft.request.kind == OrderKind::Market;
        let quantity = draft.request.quantity;
        if draft.is_paid {
            self.orders.set_remaining(slot, quantity);
            self.orders.terms_mut(slot).quantity = quantity;
        }
        let order = self.orders.slab.get_mut(slot);
        order.phase = Phase::Running;
        order.price = draft.price;
        let Order { id, account, instrument, remaining, .. } = *order;
        self.orders.extra_mut(slot).expect("of a list").is_funded = is_paid_market;
        let pegged = draft.is_pegged() && !draft.request.kind.is_contingent();
        out.emit(OrderActivated {
            order: id,
            account,
            instrument,
            execution: self.venue.known(instrument).next_execution(),
            quantity: remaining,
            pegged_price: if pegged { draft.price } else { Price::ZERO },
        });
    }

    /// An order that was accepted before cannot begin its work.
    pub(crate) fn reject(&mut self, slot: Slot, reason: RejectReason, out: &mut impl EventSink) {
        let Order { id, account, instrument, .. } = *self.orders.get(slot);
        let why = match reason {
            RejectReason::InsufficientBalance => CloseReason::InsufficientBalance,
            _ => {
                out.emit(OrderRefused { order: id, account, instrument, reason });
                CloseReason::Refused
            }
        };
        let (held, status) = (self.orders.held(slot), OrderStatus::Rejected);
        self.close(slot, held, status, why, ClientOrderId::EMPTY, out);
    }

    pub(crate) fn cancel_order_list(
        &mut self,
        cancel: &CancelOrderList,
        out: &mut impl EventSink,
    ) -> Refusal {
        let CancelOrderList { account, instrument, list, .. } = *cancel;
        require(self.venue.market(instrument).is_some(), RejectReason::UnknownInstrument)?;
        require(self.venue.account(account).is_some(), RejectReason::UnknownAccount)?;
        let name = &cancel.list_client_order_id;
        let found = match list {
            OrderListId::NONE => self.lists.named(account, instrument, name),
            list => Some(list),
        };
        let is_it = |list: &&OrderList| {
            let is_named = name.is_empty() || list.client_order_id == *name;
            list.account == account && list.instrument == instrument && is_named
        };
        let known = found.and_then(|list| self.lists.get(list)).filter(is_it);
        let id = known.ok_or(RejectReason::UnknownOrderList)?.id;
        let Some((list, slots)) = self.dissolve(id) else { return Ok(()) };
        for slot in slots {
            let (status, reason) = (OrderStatus::Canceled, CloseReason::Requested);
            let held = self.orders.held(slot);
            self.close(slot, held, status, reason, cancel.cancel_client_order_id, out);
        }
        self.emit_done(&list, out);
        Ok(())
    }
}

/// §12.3: do the orders have the shape of the list?
fn fits_kind(kind: OrderListKind, orders: &[ListedOrder]) -> bool {
    let working = kind.has_working_order().then(|| &orders[0].request);
    let works = working.is_none_or(|working| {
        let side_fits = !kind.pays() || working.side == Side::Buy;
        matches!(working.kind, OrderKind::Limit | OrderKind::LimitMaker) && side_fits
    });
    let pending = if kind.has_working_order() { &orders[1..] } else { &[] };
    let is_paid =
        |order: &ListedOrder| order.request.side == Side::Sell && order.request.quantity.is_zero();
    let is_paid = !kind.pays() || pending.iter().all(is_paid);
    works && is_paid && (!kind.has_pair() || is_pair(&orders[orders.len() - 2..]))
}

fn is_pair(pair: &[ListedOrder]) -> bool {
    let [stop_loss, other] = pair else { return false };
    let (stop_loss, other) = (&stop_loss.request, &other.request);
    stop_loss.side == other.side
        && stop_loss.quantity == other.quantity
        && matches!(stop_loss.kind, OrderKind::StopLoss | OrderKind::StopLossLimit)
        && matches!(
            other.kind,
            OrderKind::LimitMaker | OrderKind::TakeProfit | OrderKind::TakeProfitLimit
        )
}

/// §12.5. Unknown prices are not compared.
fn check_pair_prices(low: Price, high: Price, last: Option<Price>) -> Refusal {
    let below = |one: Price, other: Price| one.is_zero() || other.is_zero() || one < other;
    let fits = below(low, high) && last.is_none_or(|last| below(low, last) && below(last, high));
    require(fits, RejectReason::ListPrices)
}
