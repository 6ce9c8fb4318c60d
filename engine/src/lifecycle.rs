//! What an order goes through: placed, run, rested, triggered, amended, closed
//! (docs/rules.md §4, 7 and 8).

use crate::book::{Level, crosses};
use crate::check::{Checked, Draft, check_iceberg_parts, check_lots, check_price_grid};
use crate::engine::{Engine, Refusal};
use crate::ledger::Row;
use crate::lists::OrderList;
use crate::market::Market;
use crate::orders::{Extra, Owner};
use crate::sink::EventSink;
use crate::slab::{Order, Phase, Slot};
use crate::table::NONE;
use crate::walk::{Appetite, Taker};
use alloc::vec::Vec;
use protocol::command::*;
use protocol::event::*;
use protocol::instrument::{filter, flag};
use protocol::*;

/// An order whose quantity was changed, to be told.
#[derive(Debug, Clone, Copy)]
struct Amended {
    slot: Slot,
    id: OrderId,
    held: Amount,
    quantity: Quantity,
    quantity_before: Quantity,
    /// Its level, if it rests.
    level: Option<Level>,
    client_order_id_before: ClientOrderId,
    client_order_id_after: ClientOrderId,
}

/// How a command names an order.
#[derive(Debug, Clone, Copy)]
struct Name<'a> {
    account: AccountId,
    instrument: InstrumentId,
    order: OrderId,
    client_order_id: &'a ClientOrderId,
}

/// Would the order run, meet nobody, and rest?
#[inline]
fn rests_at_once(request: &OrderRequest, market: &Market) -> bool {
    let best = market.book.best(request.side.opposite());
    request.kind.is_limit()
        && request.time_in_force == TimeInForce::Gtc
        && !best.is_some_and(|best| crosses(request.side, request.price, best))
}

impl Engine {
    #[inline]
    pub(crate) fn new_order(&mut self, new: &NewOrder, out: &mut impl EventSink) -> Refusal {
        let mut draft = Draft::new(&new.request, OrderTerms::NONE);
        let checked = self.check(&mut draft)?;
        if new.dry_run {
            out.emit(OrderTested { instrument: new.request.instrument });
        } else {
            self.place(&draft, checked, out);
        }
        Ok(())
    }

    pub(crate) fn new_order_with_terms(
        &mut self,
        new: &NewOrderWithTerms,
        out: &mut impl EventSink,
    ) -> Refusal {
        let mut draft = Draft::new(&new.request, new.terms);
        let checked = self.check(&mut draft)?;
        if new.dry_run {
            out.emit(OrderTested { instrument: new.request.instrument });
        } else {
            self.place(&draft, checked, out);
        }
        Ok(())
    }

    /// Takes a checked order in.
    #[inline]
    fn place(&mut self, draft: &Draft<'_>, checked: Checked, out: &mut impl EventSink) {
        let request = draft.request;
        let market = self.venue.known(request.instrument);
        if draft.has_terms || market.is_collecting() {
            let slot = self.accept(draft, checked.owner, OrderListId::NONE, out);
            self.hold_and_begin(slot, out);
            return;
        }
        let owner = checked.owner.unwrap_or_else(|| self.add_owner(Owner::of(request)));
        self.last_order = self.last_order.next();
        let order = self.last_order;
        let slot = self.orders.insert(order, owner, checked.name_hash, request);
        self.venue.accounts[request.account.0 as usize].count(request.kind, OrderTerms::NONE, 1);
        let market = self.venue.known(request.instrument);
        out.emit(OrderAccepted { order, execution: market.next_execution(), request: *request });
        if !checked.hold.is_zero() {
            let row = self.orders.get(slot).paying;
            self.ledger.hold(row, checked.hold);
            out.emit(self.ledger.changed(row));
        }
        if request.kind.is_contingent() {
            self.wait(slot);
        } else if rests_at_once(request, market) {
            let level = market.book.insert(&mut self.orders.slab, slot, request.quantity);
            out.emit(market.book_changed(request.side, level));
        } else {
            let (time_in_force, stp_mode) = (request.time_in_force, request.stp_mode);
            let appetite = Appetite::of_request(request, market);
            self.run(Taker { slot, time_in_force, stp_mode }, appetite, out);
        }
    }

    /// The order exists from here on.
    #[cold]
    pub(crate) fn accept(
        &mut self,
        draft: &Draft<'_>,
        owner: Option<u32>,
        list: OrderListId,
        out: &mut impl EventSink,
    ) -> Slot {
        let request = draft.request;
        let owner = owner.unwrap_or_else(|| self.add_owner(Owner::of(request)));
        self.last_order = self.last_order.next();
        let order = self.last_order;
        let name_hash = self.orders.name_hash(Owner::of(request), &request.client_order_id);
        let slot = self.orders.insert(order, owner, name_hash, request);
        self.venue.accounts[request.account.0 as usize].count(request.kind, draft.terms, 1);
        let execution = self.venue.known(request.instrument).next_execution();
        if !draft.has_terms && list == OrderListId::NONE {
            let market = self.venue.known(request.instrument);
            if request.kind == OrderKind::Market && market.is_collecting() {
                self.accept_collected(slot, draft.price);
            }
            out.emit(OrderAccepted { order, execution, request: *request });
        } else {
            let mut event = OrderAcceptedWithTerms {
                order,
                execution,
                request: *request,
                terms: draft.terms,
                pegged_price: Price::ZERO,
                list,
                is_pending: draft.is_pending,
            };
            self.accept_extra(slot, draft, list, &mut event);
            out.emit(event);
        }
        slot
    }

    /// A market order in an auction has an upper price, and holds by it.
    #[cold]
    fn accept_collected(&mut self, slot: Slot, upper: Price) {
        let extra = Extra::new(OrderTerms::NONE, OrderListId::NONE, Price::ZERO);
        self.orders.add_extra(slot, Extra { is_funded: true, ..extra });
        self.orders.slab.get_mut(slot).price = upper;
    }

    #[cold]
    fn accept_extra(
        &mut self,
        slot: Slot,
        draft: &Draft<'_>,
        list: OrderListId,
        event: &mut OrderAcceptedWithTerms,
    ) {
        self.orders.add_extra(slot, Extra::new(draft.terms, list, draft.request.price));
        let order = self.orders.slab.get_mut(slot);
        order.price = draft.price;
        if draft.is_pending {
            order.phase = Phase::Pending;
        } else if draft.is_pegged() && !draft.request.kind.is_contingent() {
            event.pegged_price = draft.price;
        }
    }

    #[cold]
    pub(crate) fn hold_and_begin(&mut self, slot: Slot, out: &mut impl EventSink) {
        // Nothing is held yet, unless another order paid for it.
        let held = self.orders.extra(slot).map_or(Amount::ZERO, |extra| extra.held);
        if self.hold_anew(slot, held) {
            self.emit_paying_balance(slot, out);
        }
        self.begin(slot, out);
    }

    /// An order begins its work: it waits for its trigger, joins an auction, or runs.
    #[cold]
    pub(crate) fn begin(&mut self, slot: Slot, out: &mut impl EventSink) {
        let Order { instrument, kind, .. } = *self.orders.get(slot);
        if kind.is_contingent() {
            self.wait(slot);
        } else if self.venue.known(instrument).is_collecting() {
            self.join_auction(slot);
        } else {
            let request = self.orders.request(slot);
            let appetite = match request.quantity_unit {
                QuantityUnit::Base => Appetite::Base { remaining: self.orders.get(slot).remaining },
                QuantityUnit::Quote => Appetite::of_request(&request, self.venue.known(instrument)),
            };
            self.run(Taker::of(&self.orders, slot), appetite, out);
        }
    }

    /// A contingent order waits for its stop price, or trails the price at once.
    #[cold]
    fn wait(&mut self, slot: Slot) {
        let Order { id, instrument, side, kind, .. } = *self.orders.get(slot);
        let stop_price = self.orders.terms(slot).stop_price;
        let delta = self.orders.extra(slot).map_or(0, |extra| extra.terms.trailing_delta);
        let market = self.venue.known(instrument);
        let phase = match (stop_price, market.last_trade) {
            (Price::ZERO, Some(last)) => {
                market.trailing.start(side, last, delta, id, slot);
                Phase::Trailing
            }
            (Price::ZERO, None) => {
                market.trailing.wait(id, slot);
                Phase::Trailing
            }
            _ => {
                market.stops.insert(kind.fires_on_rise(side), stop_price, id, slot);
                Phase::Waiting
            }
        };
        self.orders.slab.get_mut(slot).phase = phase;
    }

    /// Its balances exist from then on.
    #[cold]
    pub(crate) fn add_owner(&mut self, owner: Owner) -> u32 {
        let market = self.venue.known(owner.instrument);
        let [base, quote] =
            [market.base, market.quote].map(|asset| self.ledger.row(owner.account, asset));
        self.orders.add_owner(owner, base, quote)
    }

    /// Lets an order trade, then rest or expire.
    fn run(&mut self, taker: Taker, appetite: Appetite, out: &mut impl EventSink) {
        let Taker { slot, time_in_force, .. } = taker;
        if time_in_force == TimeInForce::Fok && !self.is_fillable(taker) {
            self.expire(slot, CloseReason::FillOrKill, out);
            return;
        }
        if !self.walk(taker, appetite, out) {
            return;
        }
        let Order { instrument, side, kind, .. } = *self.orders.get(slot);
        if !kind.is_limit() {
            self.expire(slot, CloseReason::NoLiquidity, out);
        } else if time_in_force != TimeInForce::Gtc {
            self.expire(slot, CloseReason::ImmediateOrCancel, out);
        } else {
            let level = self.rest(slot);
            out.emit(self.venue.known(instrument).book_changed(side, level));
        }
    }

    /// The order joins its level.
    #[inline]
    pub(crate) fn rest(&mut self, slot: Slot) -> Level {
        if self.orders.get(slot).extra != NONE {
            self.show_part(slot);
        }
        let shown = self.orders.shown(slot);
        let instrument = self.orders.get(slot).instrument;
        self.venue.known(instrument).book.insert(&mut self.orders.slab, slot, shown)
    }

    #[cold]
    fn show_part(&mut self, slot: Slot) {
        let Order { id, instrument, remaining, .. } = *self.orders.get(slot);
        if let Some(extra) = self.orders.extra_mut(slot).filter(|extra| extra.is_iceberg()) {
            extra.shown = extra.terms.iceberg.min(remaining);
            self.venue.known(instrument).icebergs.insert(id, slot);
        }
    }

    /// A stop price was reached (§8).
    pub(crate) fn trigger(&mut self, slot: Slot, out: &mut impl EventSink) {
        let order = self.orders.slab.get_mut(slot);
        order.phase = Phase::Running;
        let Order { id, account, instrument, side, kind, remaining, extra, .. } = *order;
        let execution = self.venue.known(instrument).next_execution();
        out.emit(OrderTriggered { order: id, account, instrument, execution });
        if extra != NONE {
            self.send_other_away(slot, out);
            if !self.find_peg(slot, out) {
                return;
            }
        }
        let taker = Taker::of(&self.orders, slot);
        let appetite = Appetite::Base { remaining };
        if side == Side::Buy && !kind.is_limit() {
            let plan = self.plan(&self.orders.request(slot), appetite);
            let row = self.orders.owned(self.orders.get(slot).owner).quote;
            if plan.pays > self.ledger.entry(row).balance.free {
                let (status, reason) = (OrderStatus::Rejected, CloseReason::InsufficientBalance);
                let held = self.orders.held(slot);
                self.close(slot, held, status, reason, ClientOrderId::EMPTY, out);
                return;
            }
        }
        self.run(taker, appetite, out);
    }

    /// A triggered order that is pegged finds its price (§8). Returns whether it is still open.
    #[cold]
    fn find_peg(&mut self, slot: Slot, out: &mut impl EventSink) -> bool {
        let Some(extra) = self.orders.extra(slot).copied().filter(Extra::is_pegged) else {
            return true;
        };
        let Order { id, account, instrument, side, remaining, .. } = *self.orders.get(slot);
        let market = self.venue.known(instrument);
        let Some(price) = market.peg(side, &extra.terms) else {
            self.reject(slot, RejectReason::NoPegPrice, out);
            return false;
        };
        out.emit(OrderPegged { order: id, account, instrument, price });
        let request = OrderRequest { quantity: remaining, ..self.orders.request(slot) };
        let draft = Draft { price, ..Draft::new(&request, extra.terms) };
        if let Err(reason) = self.check_late(&draft, true) {
            self.reject(slot, reason, out);
            return false;
        }
        let row = self.orders.get(slot).paying;
        if self.ledger.entry(row).balance.free + extra.held < self.need_of(&draft) {
            self.reject(slot, RejectReason::InsufficientBalance, out);
            return false;
        }
        self.orders.slab.get_mut(slot).price = price;
        if self.hold_anew(slot, extra.held) {
            self.emit_paying_balance(slot, out);
        }
        true
    }

    pub(crate) fn expire(&mut self, slot: Slot, reason: CloseReason, out: &mut impl EventSink) {
        let (held, status) = (self.orders.held(slot), OrderStatus::Expired);
        self.close(slot, held, status, reason, ClientOrderId::EMPTY, out);
    }

    /// Closes an order that is not filled: tells, releases, takes it out of wherever it stands.
    #[inline]
    pub(crate) fn close(
        &mut self,
        slot: Slot,
        held: Amount,
        status: OrderStatus,
        reason: CloseReason,
        cancel_client_order_id: ClientOrderId,
        out: &mut impl EventSink,
    ) {
        let order = *self.orders.get(slot);
        let Order { id, account, instrument, side, .. } = order;
        let (cumulative_quantity, cumulative_quote, prevented_quantity) = match order.is_touched {
            false => (Quantity::ZERO, Amount::ZERO, Quantity::ZERO),
            true => {
                let terms = self.orders.terms(slot);
                (terms.executed, terms.executed_quote, terms.prevented)
            }
        };
        let market = self.venue.known(instrument);
        out.emit(OrderClosed {
            order: id,
            account,
            instrument,
            execution: market.next_execution(),
            status,
            reason,
            cumulative_quantity,
            cumulative_quote,
            prevented_quantity,
            cancel_client_order_id,
        });
        if !held.is_zero() {
            self.ledger.hold(order.paying, -held);
            out.emit(self.ledger.changed(order.paying));
        }
        if order.extra == NONE && order.phase == Phase::Resting {
            let level = market.book.remove(&mut self.orders.slab, slot, order.remaining);
            market.tell_level(side, level, out);
            self.orders.remove(slot);
            self.venue.accounts[account.0 as usize].count(order.kind, OrderTerms::NONE, -1);
            return;
        }
        self.leave(slot, out);
        let list = self.orders.extra(slot).map_or(OrderListId::NONE, |extra| extra.list);
        self.forget(slot);
        if list != OrderListId::NONE {
            self.closed_of_list(list, id, (status, reason), out);
        }
    }

    /// The order stands nowhere from here on, but is not forgotten yet.
    fn leave(&mut self, slot: Slot, out: &mut impl EventSink) {
        let Order { id, instrument, side, kind, phase, .. } = *self.orders.get(slot);
        let market = self.venue.known(instrument);
        match phase {
            Phase::Resting => {
                let shown = self.orders.shown(slot);
                let level = market.book.remove(&mut self.orders.slab, slot, shown);
                market.forget_iceberg(&self.orders, slot);
                market.tell_level(side, level, out);
            }
            Phase::Waiting => {
                let stop_price = self.orders.terms(slot).stop_price;
                market.stops.remove(kind.fires_on_rise(side), stop_price, id);
            }
            Phase::Trailing => {
                let delta = self.orders.extra(slot).map_or(0, |extra| extra.terms.trailing_delta);
                market.trailing.remove(side, delta, id);
            }
            Phase::Collected => {
                let collection = market.collection.as_mut().expect("it collects");
                collection.side_mut(side).remove(&id);
                collection.is_stale = true;
            }
            Phase::Running | Phase::Due | Phase::Pending => {}
        }
    }

    /// The order is gone: nothing is held for it, it stands nowhere.
    #[inline]
    pub(crate) fn forget(&mut self, slot: Slot) {
        let Order { account, kind, .. } = *self.orders.get(slot);
        let terms = self.orders.extra(slot).map_or(OrderTerms::NONE, |extra| extra.terms);
        self.orders.remove(slot);
        self.venue.accounts[account.0 as usize].count(kind, terms, -1);
    }

    /// What is held for an order becomes what the rule says for what remains. Returns whether that
    /// is another amount than was held.
    #[inline]
    pub(crate) fn hold_anew(&mut self, slot: Slot, held: Amount) -> bool {
        match self.orders.get(slot).extra {
            NONE => self.move_hold(slot, held, self.orders.get(slot).hold()),
            _ => self.hold_extra_anew(slot, held),
        }
    }

    #[cold]
    fn hold_extra_anew(&mut self, slot: Slot, held: Amount) -> bool {
        let holder = self.holder_of(slot);
        let held = if holder == slot { held } else { self.orders.held(holder) };
        self.move_hold(holder, held, self.due_hold(holder))
    }

    #[inline]
    fn move_hold(&mut self, slot: Slot, held: Amount, target: Amount) -> bool {
        let difference = target - held;
        if let Some(extra) = self.orders.extra_mut(slot) {
            extra.held = target;
        }
        if difference.is_zero() {
            return false;
        }
        self.ledger.hold(self.orders.get(slot).paying, difference);
        true
    }

    #[inline]
    pub(crate) fn emit_paying_balance(&self, slot: Slot, out: &mut impl EventSink) {
        self.emit_balance(self.orders.get(slot).paying, out);
    }

    #[inline]
    pub(crate) fn emit_balance(&self, row: Row, out: &mut impl EventSink) {
        out.emit(self.ledger.changed(row));
    }

    #[inline]
    fn find_by_id(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        order: OrderId,
    ) -> Result<Slot, RejectReason> {
        let is_owned = |slot: &Slot| {
            let order = self.orders.get(*slot);
            order.account == account && order.instrument == instrument
        };
        if let Some(slot) = self.orders.find(order).filter(is_owned) {
            return Ok(slot);
        }
        Err(if self.venue.market(instrument).is_none() {
            RejectReason::UnknownInstrument
        } else if self.venue.account(account).is_none() {
            RejectReason::UnknownAccount
        } else {
            RejectReason::UnknownOrder
        })
    }

    fn find_order(&self, name: Name<'_>) -> Result<Slot, RejectReason> {
        let Name { account, instrument, order, client_order_id } = name;
        if self.venue.market(instrument).is_none() {
            return Err(RejectReason::UnknownInstrument);
        }
        if self.venue.account(account).is_none() {
            return Err(RejectReason::UnknownAccount);
        }
        if order == OrderId::NONE {
            return match client_order_id.is_empty() {
                true => None,
                false => self
                    .orders
                    .find_owner(Owner { account, instrument })
                    .and_then(|owner| self.orders.find_named(owner, client_order_id)),
            }
            .ok_or(RejectReason::UnknownOrder);
        }
        let slot = self.find_by_id(account, instrument, order)?;
        let is_named = || self.orders.terms(slot).client_order_id == *client_order_id;
        match client_order_id.is_empty() || is_named() {
            true => Ok(slot),
            false => Err(RejectReason::ClientOrderIdMismatch),
        }
    }

    #[inline]
    pub(crate) fn cancel_order(
        &mut self,
        cancel: &CancelOrder,
        out: &mut impl EventSink,
    ) -> Refusal {
        let CancelOrder { account, instrument, order, restrictions, .. } = *cancel;
        let slot = self.find_by_id(account, instrument, order)?;
        self.cancel(slot, restrictions, ClientOrderId::EMPTY, out)
    }

    pub(crate) fn cancel_named_order(
        &mut self,
        cancel: &CancelNamedOrder,
        out: &mut impl EventSink,
    ) -> Refusal {
        let name = Name {
            account: cancel.account,
            instrument: cancel.instrument,
            order: cancel.order,
            client_order_id: &cancel.client_order_id,
        };
        let slot = self.find_order(name)?;
        self.cancel(slot, cancel.restrictions, cancel.cancel_client_order_id, out)
    }

    #[inline]
    fn cancel(
        &mut self,
        slot: Slot,
        restrictions: CancelRestrictions,
        cancel_client_order_id: ClientOrderId,
        out: &mut impl EventSink,
    ) -> Refusal {
        let wanted = match restrictions {
            CancelRestrictions::None => None,
            CancelRestrictions::OnlyNew => Some(OrderStatus::New),
            CancelRestrictions::OnlyPartiallyFilled => Some(OrderStatus::PartiallyFilled),
        };
        if wanted.is_some_and(|wanted| self.orders.status(slot) != wanted) {
            return Err(RejectReason::CancelRestricted);
        }
        let (status, reason) = (OrderStatus::Canceled, CloseReason::Requested);
        let held = self.orders.held(slot);
        self.close(slot, held, status, reason, cancel_client_order_id, out);
        Ok(())
    }

    pub(crate) fn cancel_all_orders(
        &mut self,
        cancel: &CancelAllOrders,
        out: &mut impl EventSink,
    ) -> Refusal {
        let CancelAllOrders { account, instrument, .. } = *cancel;
        if self.venue.market(instrument).is_none() {
            return Err(RejectReason::UnknownInstrument);
        }
        if self.venue.account(account).is_none() {
            return Err(RejectReason::UnknownAccount);
        }
        let owner = self.orders.find_owner(Owner { account, instrument });
        let slots = owner.map(|owner| self.orders.of_owner(owner)).unwrap_or_default();
        if slots.is_empty() {
            return Err(RejectReason::UnknownOrder);
        }
        let orders: Vec<OrderId> = slots.iter().map(|slot| self.orders.get(*slot).id).collect();
        self.close_all(&orders, OrderStatus::Canceled, CloseReason::Requested, out);
        Ok(())
    }

    /// Closes orders; those that go with others of their list are gone at their turn.
    fn close_all(
        &mut self,
        orders: &[OrderId],
        status: OrderStatus,
        reason: CloseReason,
        out: &mut impl EventSink,
    ) {
        for order in orders {
            if let Some(slot) = self.orders.find(*order) {
                let held = self.orders.held(slot);
                self.close(slot, held, status, reason, ClientOrderId::EMPTY, out);
            }
        }
    }

    pub(crate) fn mass_cancel(&mut self, cancel: &MassCancel, out: &mut impl EventSink) -> Refusal {
        let MassCancel { account, instrument, cause, .. } = *cancel;
        if account != AccountId::NONE && self.venue.account(account).is_none() {
            return Err(RejectReason::UnknownAccount);
        }
        if instrument != InstrumentId::NONE && self.venue.market(instrument).is_none() {
            return Err(RejectReason::UnknownInstrument);
        }
        self.cancel_everything(account, instrument, cause, out);
        Ok(())
    }

    /// All open orders of an account, of an instrument, of both or of all, by id.
    pub(crate) fn cancel_everything(
        &mut self,
        account: AccountId,
        instrument: InstrumentId,
        cause: MassCancelCause,
        out: &mut impl EventSink,
    ) {
        let is_meant = |order: &&Order| {
            (account == AccountId::NONE || order.account == account)
                && (instrument == InstrumentId::NONE || order.instrument == instrument)
        };
        let open = self.orders.slots().map(|slot| self.orders.get(slot));
        let mut orders: Vec<OrderId> = open.filter(is_meant).map(|order| order.id).collect();
        orders.sort_unstable();
        let (status, reason) = match cause {
            MassCancelCause::Disconnect => (OrderStatus::Canceled, CloseReason::Disconnected),
            MassCancelCause::Administrator => (OrderStatus::Expired, CloseReason::Exchange),
        };
        self.close_all(&orders, status, reason, out);
    }

    pub(crate) fn cancel_replace(
        &mut self,
        replace: &CancelReplace,
        out: &mut impl EventSink,
    ) -> Refusal {
        let new = &replace.request;
        let mut draft = Draft::new(new, replace.terms);
        let market = self.check_identity(new.account, new.instrument)?;
        if market.rules.flags & flag::CANCEL_REPLACE == 0 {
            return Err(RejectReason::CancelReplaceNotSupported);
        }
        let owner = self.orders.find_owner(Owner::of(new));
        self.check_request(&mut draft, owner, market)?;
        let name = Name {
            account: new.account,
            instrument: new.instrument,
            order: replace.cancel_order,
            client_order_id: &replace.cancel_original_client_order_id,
        };
        let canceled = self.find_order(name).and_then(|slot| {
            self.cancel(slot, replace.restrictions, replace.cancel_client_order_id, out)
        });
        if let Err(reason) = canceled {
            out.emit(CommandRefused { part: CommandPart::Cancel, reason });
            if replace.mode == CancelReplaceMode::StopOnFailure {
                return Ok(());
            }
        }
        let market = self.venue.market(new.instrument).expect("the instrument was checked");
        match self.check_state(&draft, owner, market) {
            Ok(checked) => self.place(&draft, checked, out),
            Err(reason) => out.emit(CommandRefused { part: CommandPart::New, reason }),
        }
        Ok(())
    }

    pub(crate) fn amend_order(&mut self, amend: &AmendOrder, out: &mut impl EventSink) -> Refusal {
        let slot = self.find_order(Name {
            account: amend.account,
            instrument: amend.instrument,
            order: amend.order,
            client_order_id: &amend.client_order_id,
        })?;
        self.check_amend(slot, amend)?;
        // Amending one of a pair amends both (order_amend_keep_priority.md).
        let other = self.other_of_pair(slot);
        let mut amended = self.reduce_to(slot, amend.quantity);
        let other = other.map(|other| self.reduce_to(other, amend.quantity));
        self.orders.rename(slot, amend.new_client_order_id);
        amended.client_order_id_after = amend.new_client_order_id;
        self.tell_amended(&amended, out);
        if let Some(other) = other.filter(|other| self.orders.find(other.id) == Some(other.slot)) {
            self.tell_amended(&other, out);
        }
        Ok(())
    }

    /// The order's quantity is another one from here on; nothing is told yet.
    #[inline]
    fn reduce_to(&mut self, slot: Slot, quantity: Quantity) -> Amended {
        let held = self.orders.held(slot);
        let Order { id, instrument, phase, remaining: remaining_before, .. } =
            *self.orders.get(slot);
        let gone = self.orders.gone(slot);
        let remaining = Quantity(quantity.0.saturating_sub(gone.0));
        let shown = self.orders.shown(slot);
        self.orders.set_remaining(slot, remaining);
        self.orders.terms_mut(slot).amends += 1;
        let left = shown.min(remaining);
        if let Some(extra) = self.orders.extra_mut(slot) {
            extra.shown = left;
        }
        let level = match phase {
            Phase::Resting => {
                let market = self.venue.known(instrument);
                let taken = Quantity(shown.0 - left.0);
                Some(market.book.reduce(self.orders.get(slot), taken))
            }
            _ => None,
        };
        let client_order_id = self.orders.terms(slot).client_order_id;
        Amended {
            slot,
            id,
            held,
            quantity,
            quantity_before: Quantity(remaining_before.0 + gone.0),
            level,
            client_order_id_before: client_order_id,
            client_order_id_after: client_order_id,
        }
    }

    #[inline]
    fn tell_amended(&mut self, amended: &Amended, out: &mut impl EventSink) {
        let Amended { slot, id, held, quantity, quantity_before, level, .. } = *amended;
        let Order { account, instrument, side, remaining, .. } = *self.orders.get(slot);
        out.emit(OrderAmended {
            order: id,
            account,
            instrument,
            execution: self.venue.known(instrument).next_execution(),
            quantity,
            quantity_before,
            client_order_id: amended.client_order_id_after,
            client_order_id_before: amended.client_order_id_before,
        });
        if remaining.is_zero() {
            let (status, reason) = (OrderStatus::Expired, CloseReason::Amended);
            self.close(slot, held, status, reason, ClientOrderId::EMPTY, out);
            return;
        }
        let is_holder = self.holder_of(slot) == slot;
        if is_holder && self.hold_anew(slot, held) {
            self.emit_paying_balance(slot, out);
        }
        let market = self.venue.known(instrument);
        if let Some(level) = level {
            market.tell_level(side, level, out);
        } else if let Some(collection) = &mut market.collection {
            collection.is_stale = true;
        }
    }

    /// Another price and open quantity for a resting order, behind all others (docs/rules.md §7).
    #[inline]
    pub(crate) fn replace_order(
        &mut self,
        replace: &ReplaceOrder,
        out: &mut impl EventSink,
    ) -> Refusal {
        let ReplaceOrder { account, instrument, order, price, quantity, .. } = *replace;
        let found = self.find_by_id(account, instrument, order);
        if self.venue.is_killed || self.venue.account(account).is_some_and(|it| it.is_killed) {
            return Err(match found {
                Err(unknown) if unknown != RejectReason::UnknownOrder => unknown,
                _ => RejectReason::KillSwitch,
            });
        }
        let slot = found?;
        let before = *self.orders.get(slot);
        let Order { side, kind, .. } = before;
        let gone = self.orders.gone(slot);
        let market = self.venue.known(instrument);
        check_replace(&before, gone, (price, quantity), market)?;
        let is_plain = before.extra == NONE;
        if !is_plain {
            self.check_unbound(slot)?;
        }
        let market = self.venue.known(instrument);
        check_price_grid(market, price)?;
        check_lots(kind, quantity, Quantity::ZERO, market)?;
        if let Some(extra) = self.orders.extra(slot).filter(|extra| extra.is_iceberg()) {
            check_iceberg_parts(quantity, extra.terms.iceberg, market)?;
        }
        let row = before.paying;
        let held = if is_plain { before.hold() } else { self.orders.held(slot) };
        let needed = match side {
            Side::Buy => notional(price, quantity),
            Side::Sell => quantity.into(),
        };
        if self.ledger.entry(row).balance.free + held < needed {
            return Err(RejectReason::InsufficientBalance);
        }
        let best = market.book.best(side.opposite());
        let is_crossed = best.is_some_and(|best| crosses(side, price, best));
        let takes = is_crossed && !market.is_collecting();
        if takes && kind == OrderKind::LimitMaker {
            return Err(RejectReason::WouldMatchImmediately);
        }
        let shown = if is_plain { before.remaining } else { self.orders.shown(slot) };
        let level = market.book.remove(&mut self.orders.slab, slot, shown);
        if !is_plain {
            market.forget_iceberg(&self.orders, slot);
        }
        self.orders.set_remaining(slot, quantity);
        self.orders.slab.get_mut(slot).price = price;
        out.emit(OrderReplaced {
            order,
            account,
            instrument,
            execution: market.next_execution(),
            price,
            quantity: Quantity(gone.0 + quantity.0),
            price_before: before.price,
        });
        if let Some(extra) = self.orders.extra_mut(slot) {
            extra.held = needed;
        }
        if needed != held {
            self.ledger.hold(row, needed - held);
            out.emit(self.ledger.changed(row));
        }
        market.tell_level(side, level, out);
        if takes {
            let appetite = Appetite::Base { remaining: quantity };
            self.run(Taker::of(&self.orders, slot), appetite, out);
        } else if is_plain {
            // It rests, like any that runs and meets nobody; its terms are not looked at.
            let level = market.book.insert(&mut self.orders.slab, slot, quantity);
            market.tell_level(side, level, out);
        } else {
            let level = self.rest(slot);
            self.venue.known(instrument).tell_level(side, level, out);
        }
        Ok(())
    }

    /// A pegged order, or one whose list goes on, is not replaced.
    #[cold]
    fn check_unbound(&self, slot: Slot) -> Refusal {
        let is_bound = self
            .orders
            .extra(slot)
            .is_some_and(|extra| extra.is_pegged() || self.lists.get(extra.list).is_some());
        match is_bound {
            true => Err(RejectReason::UnsupportedCombination),
            false => Ok(()),
        }
    }

    fn check_amend(&self, slot: Slot, amend: &AmendOrder) -> Refusal {
        let order = self.orders.get(slot);
        let market = self.venue.market(amend.instrument).expect("the order's instrument exists");
        if market.rules.flags & flag::AMEND == 0 {
            return Err(RejectReason::AmendNotSupported);
        }
        if amend.new_client_order_id.is_empty() {
            return Err(RejectReason::InvalidClientOrderId);
        }
        if amend.quantity.is_zero() || !amend.quantity.is_valid() {
            return Err(RejectReason::InvalidQuantity);
        }
        let pays = |list: &OrderList| list.kind.pays();
        if order.phase == Phase::Pending && self.list_of(slot).is_some_and(pays) {
            return Err(RejectReason::PendingAmend);
        }
        let quantity = Quantity(order.remaining.0 + self.orders.gone(slot).0);
        if amend.quantity > quantity {
            return Err(RejectReason::QuantityIncrease);
        }
        if amend.quantity == quantity {
            return Err(RejectReason::NoChange);
        }
        let amends_max = market.definition().filters.max_num_order_amends;
        if market.rules.has(filter::MAX_NUM_ORDER_AMENDS)
            && amends_max != 0
            && self.orders.terms(slot).amends >= amends_max
        {
            return Err(RejectReason::TooManyAmends);
        }
        let Order { kind, price, owner, .. } = *order;
        let iceberg = self.orders.extra(slot).map_or(Quantity::ZERO, |extra| extra.terms.iceberg);
        check_lots(kind, amend.quantity, iceberg, market)?;
        if kind.is_limit() {
            let pegged = self.orders.extra(slot).filter(|extra| extra.is_pegged());
            let named = pegged.map_or(price, |extra| extra.named_price);
            let other = Some(price).filter(|price| *price != named);
            // A pegged order that found no price yet, and names none, is looked at when it does.
            let prices = [named].into_iter().chain(other).filter(|price| !price.is_zero());
            self.check_notional(kind, QuantityUnit::Base, prices, amend.quantity, market)?;
        }
        let named = self.orders.find_named(owner, &amend.new_client_order_id);
        match named {
            Some(other) if other != slot => Err(RejectReason::DuplicateClientOrderId),
            _ => Ok(()),
        }
    }
}

/// What a replace refuses before it looks at funds and at the other side of the book.
#[inline]
fn check_replace(
    order: &Order,
    gone: Quantity,
    (price, quantity): (Price, Quantity),
    market: &Market,
) -> Refusal {
    if order.phase != Phase::Resting {
        return Err(RejectReason::NotInBook);
    }
    if price.is_zero() || !price.is_valid() {
        return Err(RejectReason::InvalidPrice);
    }
    if quantity.is_zero() || quantity.0 > Quantity::MAX.0 - gone.0 {
        return Err(RejectReason::InvalidQuantity);
    }
    let status = market.rules.status;
    match status == InstrumentStatus::Trading || status.is_auction() {
        true => Ok(()),
        false => Err(RejectReason::MarketClosed),
    }
}
