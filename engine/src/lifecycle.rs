//! What an order goes through: placed, run, rested, triggered, amended, closed
//! (docs/rules.md §4, 7 and 8).

use crate::book::crosses;
use crate::check::{check_lots, check_price_grid};
use crate::engine::{Engine, Refusal};
use crate::orders::{Order, Owner, Phase, Slot};
use crate::sink::EventSink;
use crate::walk::Appetite;
use protocol::command::*;
use protocol::event::*;
use protocol::instrument::{filter, flag};
use protocol::*;

impl Order {
    /// Does an order of this kind and side hold funds while it is open?
    pub(crate) fn holds(&self) -> bool {
        let OrderRequest { kind, side, .. } = self.request;
        kind.is_limit() || (kind.is_contingent() && side == Side::Sell)
    }

    /// What must be held for what remains.
    pub(crate) fn due_hold(&self) -> Amount {
        match self.request.side {
            _ if !self.holds() => Amount::ZERO,
            Side::Buy => notional(self.request.price, self.remaining()),
            Side::Sell => self.remaining().into(),
        }
    }
}

/// How a command names an order.
#[derive(Debug, Clone, Copy)]
struct Name<'a> {
    account: AccountId,
    instrument: InstrumentId,
    order: OrderId,
    client_order_id: &'a ClientOrderId,
}

impl Engine {
    pub(crate) fn new_order(&mut self, new: &NewOrder, out: &mut impl EventSink) -> Refusal {
        self.check(&new.request)?;
        if new.dry_run {
            out.emit(OrderTested { instrument: new.request.instrument });
        } else {
            self.place(&new.request, out);
        }
        Ok(())
    }

    /// Takes a checked order in.
    fn place(&mut self, request: &OrderRequest, out: &mut impl EventSink) {
        self.last_order = self.last_order.next();
        let order = self.last_order;
        let slot = self.orders.insert(Order::new(order, request));
        self.venue.accounts[request.account.0 as usize].open_orders += 1;
        let market = self.venue.known(request.instrument);
        out.emit(OrderAccepted { order, execution: market.next_execution(), request: *request });
        if self.hold_anew(slot) {
            self.emit_paying_balance(slot, out);
        }
        if request.kind.is_contingent() {
            self.orders.get_mut(slot).phase = Phase::Waiting;
            let on_rise = request.kind.fires_on_rise(request.side);
            let stops = &mut self.venue.known(request.instrument).stops;
            stops.insert(on_rise, request.stop_price, order, slot);
        } else {
            self.run(slot, out);
        }
    }

    /// Lets an order trade, then rest or expire.
    fn run(&mut self, slot: Slot, out: &mut impl EventSink) {
        let order = self.orders.get(slot);
        let OrderRequest { kind, time_in_force, instrument, side, .. } = order.request;
        if time_in_force == TimeInForce::Fok && !self.is_fillable(order) {
            self.expire(slot, CloseReason::FillOrKill, out);
            return;
        }
        if !self.walk(slot, out) {
            return;
        }
        if !kind.is_limit() {
            self.expire(slot, CloseReason::NoLiquidity, out);
        } else if time_in_force != TimeInForce::Gtc {
            self.expire(slot, CloseReason::ImmediateOrCancel, out);
        } else {
            let market = self.venue.known(instrument);
            let level = market.book.insert(&mut self.orders, slot);
            out.emit(market.book_changed(side, level));
        }
    }

    /// A stop price was reached (§8).
    pub(crate) fn trigger(&mut self, slot: Slot, out: &mut impl EventSink) {
        let order = self.orders.get_mut(slot);
        order.phase = Phase::Running;
        let (id, request, remaining) = (order.id, order.request, order.remaining());
        let OrderRequest { account, instrument, side, kind, .. } = request;
        let market = self.venue.known(instrument);
        let quote = market.quote;
        let execution = market.next_execution();
        out.emit(OrderTriggered { order: id, account, instrument, execution });
        if side == Side::Buy && !kind.is_limit() {
            let plan = self.plan(&request, Appetite::Base { remaining });
            if plan.pays > self.ledger.balance(account, quote).free {
                let (status, reason) = (OrderStatus::Rejected, CloseReason::InsufficientBalance);
                self.close(slot, status, reason, ClientOrderId::EMPTY, out);
                return;
            }
        }
        self.run(slot, out);
    }

    fn expire(&mut self, slot: Slot, reason: CloseReason, out: &mut impl EventSink) {
        self.close(slot, OrderStatus::Expired, reason, ClientOrderId::EMPTY, out);
    }

    /// Closes an order that is not filled: tells, releases, takes it out of wherever it stands.
    pub(crate) fn close(
        &mut self,
        slot: Slot,
        status: OrderStatus,
        reason: CloseReason,
        cancel_client_order_id: ClientOrderId,
        out: &mut impl EventSink,
    ) {
        let order = self.orders.get(slot);
        let (id, phase, request) = (order.id, order.phase, order.request);
        let market = self.venue.known(request.instrument);
        out.emit(OrderClosed {
            order: id,
            account: request.account,
            instrument: request.instrument,
            execution: market.next_execution(),
            status,
            reason,
            cumulative_quantity: order.executed,
            cumulative_quote: order.executed_quote,
            prevented_quantity: order.prevented,
            cancel_client_order_id,
        });
        if self.hold_exactly(slot, Amount::ZERO) {
            self.emit_paying_balance(slot, out);
        }
        let market = self.venue.known(request.instrument);
        match phase {
            Phase::Resting { .. } => {
                let level = market.book.remove(&mut self.orders, slot);
                out.emit(market.book_changed(request.side, level));
            }
            Phase::Waiting => {
                let on_rise = request.kind.fires_on_rise(request.side);
                market.stops.remove(on_rise, request.stop_price, id);
            }
            Phase::Running | Phase::Due => {}
        }
        self.forget(slot);
    }

    /// The order is gone: nothing is held for it, it stands nowhere.
    pub(crate) fn forget(&mut self, slot: Slot) {
        let order = self.orders.remove(slot);
        assert!(order.held.is_zero(), "order {} leaves {} behind", order.id, order.held);
        self.venue.accounts[order.request.account.0 as usize].open_orders -= 1;
    }

    /// Sets the hold to what the rule says for what remains. Returns whether it changed.
    pub(crate) fn hold_anew(&mut self, slot: Slot) -> bool {
        self.hold_exactly(slot, self.orders.get(slot).due_hold())
    }

    fn hold_exactly(&mut self, slot: Slot, target: Amount) -> bool {
        let order = self.orders.get_mut(slot);
        let difference = target - core::mem::replace(&mut order.held, target);
        if difference.is_zero() {
            return false;
        }
        let OrderRequest { account, instrument, side, .. } = order.request;
        let asset = self.venue.known(instrument).paying_asset(side);
        self.ledger.hold(account, asset, difference);
        true
    }

    pub(crate) fn emit_paying_balance(&self, slot: Slot, out: &mut impl EventSink) {
        let OrderRequest { account, instrument, side, .. } = self.orders.get(slot).request;
        let market = self.venue.market(instrument).expect("the order's instrument exists");
        self.emit_balance(account, market.paying_asset(side), out);
    }

    pub(crate) fn emit_balance(
        &self,
        account: AccountId,
        asset: AssetId,
        out: &mut impl EventSink,
    ) {
        let balance = self.ledger.balance(account, asset);
        out.emit(BalanceChanged { account, asset, free: balance.free, locked: balance.locked });
    }

    fn find_order(&self, name: Name<'_>) -> Result<Slot, RejectReason> {
        let Name { account, instrument, order, client_order_id } = name;
        if self.venue.market(instrument).is_none() {
            return Err(RejectReason::UnknownInstrument);
        }
        if self.venue.account(account).is_none() {
            return Err(RejectReason::UnknownAccount);
        }
        let owner = Owner { account, instrument };
        if order == OrderId::NONE {
            return match client_order_id.is_empty() {
                true => None,
                false => self.orders.find_named(owner, client_order_id),
            }
            .ok_or(RejectReason::UnknownOrder);
        }
        let found = self.orders.find(order).filter(|slot| self.orders.get(*slot).owner() == owner);
        let slot = found.ok_or(RejectReason::UnknownOrder)?;
        let named = self.orders.get(slot).request.client_order_id;
        match client_order_id.is_empty() || named == *client_order_id {
            true => Ok(slot),
            false => Err(RejectReason::ClientOrderIdMismatch),
        }
    }

    pub(crate) fn cancel_order(
        &mut self,
        cancel: &CancelOrder,
        out: &mut impl EventSink,
    ) -> Refusal {
        let CancelOrder { account, instrument, order, restrictions, .. } = *cancel;
        let nameless = ClientOrderId::EMPTY;
        let name = Name { account, instrument, order, client_order_id: &nameless };
        self.cancel(name, restrictions, nameless, out)
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
        self.cancel(name, cancel.restrictions, cancel.cancel_client_order_id, out)
    }

    fn cancel(
        &mut self,
        name: Name<'_>,
        restrictions: CancelRestrictions,
        cancel_client_order_id: ClientOrderId,
        out: &mut impl EventSink,
    ) -> Refusal {
        let slot = self.find_order(name)?;
        let status = self.orders.get(slot).status();
        let wanted = match restrictions {
            CancelRestrictions::None => status,
            CancelRestrictions::OnlyNew => OrderStatus::New,
            CancelRestrictions::OnlyPartiallyFilled => OrderStatus::PartiallyFilled,
        };
        if status != wanted {
            return Err(RejectReason::CancelRestricted);
        }
        let (status, reason) = (OrderStatus::Canceled, CloseReason::Requested);
        self.close(slot, status, reason, cancel_client_order_id, out);
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
        let slots = self.orders.of_owner(Owner { account, instrument });
        if slots.is_empty() {
            return Err(RejectReason::UnknownOrder);
        }
        for slot in slots {
            let (status, reason) = (OrderStatus::Canceled, CloseReason::Requested);
            self.close(slot, status, reason, ClientOrderId::EMPTY, out);
        }
        Ok(())
    }

    pub(crate) fn cancel_replace(
        &mut self,
        replace: &CancelReplace,
        out: &mut impl EventSink,
    ) -> Refusal {
        let new = &replace.request;
        self.check_identity(new)?;
        let flags = self.venue.known(new.instrument).definition.flags;
        if flags & flag::CANCEL_REPLACE == 0 {
            return Err(RejectReason::CancelReplaceNotSupported);
        }
        self.check_request(new)?;
        let name = Name {
            account: new.account,
            instrument: new.instrument,
            order: replace.cancel_order,
            client_order_id: &replace.cancel_original_client_order_id,
        };
        let canceled = self.cancel(name, replace.restrictions, replace.cancel_client_order_id, out);
        if let Err(reason) = canceled {
            out.emit(CommandRefused { part: CommandPart::Cancel, reason });
            if replace.mode == CancelReplaceMode::StopOnFailure {
                return Ok(());
            }
        }
        match self.check_state(new) {
            Ok(()) => self.place(new, out),
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
        let order = self.orders.get(slot);
        let (id, side, phase) = (order.id, order.request.side, order.phase);
        let (quantity_before, remaining_before) = (order.quantity, order.remaining());
        let client_order_id_before = order.request.client_order_id;
        self.orders.rename(slot, amend.new_client_order_id);
        let taken = quantity_before.0 - amend.quantity.0;
        let taken = Quantity(taken.min(remaining_before.0));
        let level = match phase {
            Phase::Resting { .. } => {
                let market = self.venue.known(amend.instrument);
                Some(market.book.reduce(self.orders.get(slot), taken))
            }
            _ => None,
        };
        self.orders.change(slot, |order| {
            order.quantity = amend.quantity;
            order.amends += 1;
        });
        out.emit(OrderAmended {
            order: id,
            account: amend.account,
            instrument: amend.instrument,
            execution: self.venue.known(amend.instrument).next_execution(),
            quantity: amend.quantity,
            quantity_before,
            client_order_id: amend.new_client_order_id,
            client_order_id_before,
        });
        if self.orders.get(slot).remaining().is_zero() {
            self.expire(slot, CloseReason::Amended, out);
            return Ok(());
        }
        if self.hold_anew(slot) {
            self.emit_paying_balance(slot, out);
        }
        if let Some(level) = level {
            out.emit(self.venue.known(amend.instrument).book_changed(side, level));
        }
        Ok(())
    }

    /// Another price and open quantity for a resting order, behind all others (docs/rules.md §7).
    pub(crate) fn replace_order(
        &mut self,
        replace: &ReplaceOrder,
        out: &mut impl EventSink,
    ) -> Refusal {
        let ReplaceOrder { account, instrument, order, price, quantity, .. } = *replace;
        let client_order_id = &ClientOrderId::EMPTY;
        let slot = self.find_order(Name { account, instrument, order, client_order_id })?;
        self.check_replace(slot, price, quantity)?;
        let market = self.venue.known(instrument);
        let level = market.book.remove(&mut self.orders, slot);
        let mut price_before = Price::ZERO;
        self.orders.change(slot, |order| {
            price_before = core::mem::replace(&mut order.request.price, price);
            order.quantity = Quantity(order.executed.0 + order.prevented.0 + quantity.0);
        });
        let resting = self.orders.get(slot);
        let (side, quantity) = (resting.request.side, resting.quantity);
        let execution = market.next_execution();
        out.emit(OrderReplaced {
            order,
            account,
            instrument,
            execution,
            price,
            quantity,
            price_before,
        });
        if self.hold_anew(slot) {
            self.emit_paying_balance(slot, out);
        }
        out.emit(self.venue.known(instrument).book_changed(side, level));
        self.run(slot, out);
        Ok(())
    }

    fn check_replace(&self, slot: Slot, price: Price, quantity: Quantity) -> Refusal {
        let order = self.orders.get(slot);
        let request = &order.request;
        let Phase::Resting { .. } = order.phase else { return Err(RejectReason::NotInBook) };
        if price.is_zero() || !price.is_valid() {
            return Err(RejectReason::InvalidPrice);
        }
        let before = order.executed.0 + order.prevented.0;
        if quantity.is_zero() || quantity.0 > Quantity::MAX.0 - before {
            return Err(RejectReason::InvalidQuantity);
        }
        let market = self.venue.market(request.instrument).expect("the order's instrument exists");
        if market.definition.status != InstrumentStatus::Trading {
            return Err(RejectReason::MarketClosed);
        }
        check_price_grid(market, price)?;
        check_lots(request.kind, quantity, market)?;
        let (needed, side) = match request.side {
            Side::Buy => (notional(price, quantity), Side::Buy),
            Side::Sell => (quantity.into(), Side::Sell),
        };
        let free = self.ledger.balance(request.account, market.paying_asset(side)).free;
        if free + order.held < needed {
            return Err(RejectReason::InsufficientBalance);
        }
        let best = market.book.best(request.side.opposite());
        match best.is_some_and(|best| crosses(request.side, price, best)) {
            true if request.kind == OrderKind::LimitMaker => {
                Err(RejectReason::WouldMatchImmediately)
            }
            _ => Ok(()),
        }
    }

    fn check_amend(&self, slot: Slot, amend: &AmendOrder) -> Refusal {
        let order = self.orders.get(slot);
        let market = self.venue.market(amend.instrument).expect("the order's instrument exists");
        if market.definition.flags & flag::AMEND == 0 {
            return Err(RejectReason::AmendNotSupported);
        }
        if amend.new_client_order_id.is_empty() {
            return Err(RejectReason::InvalidClientOrderId);
        }
        if amend.quantity.is_zero() || !amend.quantity.is_valid() {
            return Err(RejectReason::InvalidQuantity);
        }
        if amend.quantity > order.quantity {
            return Err(RejectReason::QuantityIncrease);
        }
        if amend.quantity == order.quantity {
            return Err(RejectReason::NoChange);
        }
        let filters = &market.definition.filters;
        let amends_max = filters.max_num_order_amends;
        if filters.has(filter::MAX_NUM_ORDER_AMENDS)
            && amends_max != 0
            && order.amends >= amends_max
        {
            return Err(RejectReason::TooManyAmends);
        }
        let OrderRequest { kind, price, .. } = order.request;
        check_lots(kind, amend.quantity, market)?;
        if kind.is_limit() {
            self.check_notional(kind, QuantityUnit::Base, price, amend.quantity, market)?;
        }
        let named = self.orders.find_named(order.owner(), &amend.new_client_order_id);
        match named {
            Some(other) if other != slot => Err(RejectReason::DuplicateClientOrderId),
            _ => Ok(()),
        }
    }
}
