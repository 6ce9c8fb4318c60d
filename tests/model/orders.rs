//! New orders: what is checked and in which order (§3), what follows (§4); cancel, cancel-replace,
//! amend (§7).

use super::*;
use protocol::instrument::{LotSize, filter, flag};

/// Which order a cancel or an amend means, as its sender states it.
pub(super) struct Named {
    pub(super) account: AccountId,
    pub(super) instrument: InstrumentId,
    pub(super) order: OrderId,
    pub(super) client_order_id: ClientOrderId,
}

impl Model {
    pub(super) fn new_order(&mut self, command: &NewOrder) -> Refusable {
        let request = command.request;
        self.check_owner(&request)?;
        self.check_shape_and_filters(&request)?;
        self.check_state(&request)?;
        match command.dry_run {
            true => self.emit(OrderTested { instrument: request.instrument }),
            false => self.accept(request),
        }
        Ok(())
    }

    /// Check 1.
    fn check_owner(&self, request: &OrderRequest) -> Refusable {
        self.check_known(request.instrument, request.account)?;
        match self.account(request.account).permissions & account_permission::TRADE {
            0 => Err(RejectReason::AccountMayNotTrade),
            _ => Ok(()),
        }
    }

    fn check_known(&self, instrument: InstrumentId, account: AccountId) -> Refusable {
        if instrument.0 == 0 || instrument.0 as usize > self.instruments.len() {
            return Err(RejectReason::UnknownInstrument);
        }
        if account.0 == 0 || account.0 as usize > self.accounts.len() {
            return Err(RejectReason::UnknownAccount);
        }
        Ok(())
    }

    /// Checks 2 to 13: those that a cancel-replace makes before its cancel.
    fn check_shape_and_filters(&self, request: &OrderRequest) -> Refusable {
        check_numbers(request)?;
        check_combination(request)?;
        self.check_allowed(request)?;
        self.check_prices(request)?;
        self.check_lots(request)?;
        self.check_notional(request)?;
        self.check_position(request)?;
        self.check_open_orders(request)
    }

    /// Checks 4 and 5.
    fn check_allowed(&self, request: &OrderRequest) -> Refusable {
        let definition = &self.instrument(request.instrument).definition;
        if definition.order_kinds & request.kind.bit() == 0 {
            return Err(RejectReason::OrderKindNotAllowed);
        }
        let by_quote = request.quantity_unit == QuantityUnit::Quote;
        if by_quote && definition.flags & flag::QUOTE_ORDER_QUANTITY == 0 {
            return Err(RejectReason::QuoteQuantityNotAllowed);
        }
        let mode = request.stp_mode;
        if definition.allowed_stp_modes & mode.bit() == 0 || mode == StpMode::Transfer {
            return Err(RejectReason::StpModeNotAllowed);
        }
        if definition.status != InstrumentStatus::Trading {
            return Err(RejectReason::MarketClosed);
        }
        Ok(())
    }

    /// Checks 6 and 7. (filters.md: PRICE_FILTER, PERCENT_PRICE_BY_SIDE)
    fn check_prices(&self, request: &OrderRequest) -> Refusable {
        let filters = &self.instrument(request.instrument).definition.filters;
        if filters.has(filter::PRICE) {
            let fits = |price: Price| {
                fits_grid(price.0, filters.price.min.0, filters.price.max.0, filters.price.tick.0)
            };
            if request.kind.is_limit() && !fits(request.price) {
                return Err(RejectReason::PriceFilter);
            }
            if request.kind.is_contingent() && !fits(request.stop_price) {
                return Err(RejectReason::PriceFilter);
            }
        }
        if filters.has(filter::PERCENT_PRICE_BY_SIDE) && request.kind.is_limit() {
            let band = filters.percent_price_by_side;
            let (up, down) = match request.side {
                Side::Buy => (band.bid_multiplier_up, band.bid_multiplier_down),
                Side::Sell => (band.ask_multiplier_up, band.ask_multiplier_down),
            };
            if let Some(average) = self.average_price(request.instrument, band.average_minutes) {
                let price = u128::from(request.price.0) * u128::from(SCALE);
                let bound = |multiplier: u64| u128::from(average.0) * u128::from(multiplier);
                if (up != 0 && price > bound(up)) || (down != 0 && price < bound(down)) {
                    return Err(RejectReason::PercentPriceBySide);
                }
            }
        }
        Ok(())
    }

    /// Checks 8 and 9. (filters.md: LOT_SIZE, MARKET_LOT_SIZE)
    fn check_lots(&self, request: &OrderRequest) -> Refusable {
        let filters = &self.instrument(request.instrument).definition.filters;
        let by_base = request.quantity_unit == QuantityUnit::Base;
        let fits = |lot: LotSize| fits_grid(request.quantity.0, lot.min.0, lot.max.0, lot.step.0);
        if filters.has(filter::LOT_SIZE) && by_base && !fits(filters.lot_size) {
            return Err(RejectReason::LotSize);
        }
        let by_market = by_base && !request.kind.is_limit();
        if filters.has(filter::MARKET_LOT_SIZE) && by_market && !fits(filters.market_lot_size) {
            return Err(RejectReason::MarketLotSize);
        }
        Ok(())
    }

    /// Checks 10 and 11. (filters.md: MIN_NOTIONAL, NOTIONAL)
    fn check_notional(&self, request: &OrderRequest) -> Refusable {
        let filters = &self.instrument(request.instrument).definition.filters;
        let to_market = !request.kind.is_limit();
        if filters.has(filter::MIN_NOTIONAL) {
            let rule = filters.min_notional;
            let worth = self.worth(request, rule.average_minutes);
            let applies = !to_market || rule.apply_to_market;
            if applies && worth.is_some_and(|worth| worth < rule.min) {
                return Err(RejectReason::MinNotional);
            }
        }
        if filters.has(filter::NOTIONAL) {
            let rule = filters.notional;
            let worth = self.worth(request, rule.average_minutes);
            let min_applies = !to_market || rule.apply_min_to_market;
            let max_applies = (!to_market || rule.apply_max_to_market) && !rule.max.is_zero();
            if min_applies && worth.is_some_and(|worth| worth < rule.min) {
                return Err(RejectReason::Notional);
            }
            if max_applies && worth.is_some_and(|worth| worth > rule.max) {
                return Err(RejectReason::Notional);
            }
        }
        Ok(())
    }

    /// The order's notional as its filters see it; none for a market order without an average.
    fn worth(&self, request: &OrderRequest, average_minutes: u32) -> Option<Amount> {
        if request.quantity_unit == QuantityUnit::Quote {
            return Some(request.quantity.into());
        }
        if request.kind.is_limit() {
            return Some(notional(request.price, request.quantity));
        }
        let average = self.average_price(request.instrument, average_minutes)?;
        Some(notional(average, request.quantity))
    }

    /// Check 12. (filters.md: MAX_POSITION)
    fn check_position(&self, request: &OrderRequest) -> Refusable {
        let instrument = self.instrument(request.instrument);
        let filters = &instrument.definition.filters;
        let buys_base = request.side == Side::Buy && request.quantity_unit == QuantityUnit::Base;
        if !filters.has(filter::MAX_POSITION) || !buys_base {
            return Ok(());
        }
        let Balance { free, locked } = self.balance(request.account, instrument.base);
        let open = self.open_orders(request.account, Some(request.instrument));
        let open_buys = open.iter().filter(|order| order.request.side == Side::Buy);
        let buying: i128 = open_buys.map(|order| i128::from(order.remaining())).sum();
        let position = free + locked + buying + i128::from(request.quantity.0);
        match position > filters.max_position.0 {
            true => Err(RejectReason::MaxPosition),
            false => Ok(()),
        }
    }

    /// Check 13. (filters.md: MAX_NUM_ORDERS, EXCHANGE_MAX_NUM_ORDERS)
    fn check_open_orders(&self, request: &OrderRequest) -> Refusable {
        let filters = &self.instrument(request.instrument).definition.filters;
        let reaches = |count: usize, max: u32| max != 0 && count >= max as usize;
        let here = self.open_orders(request.account, Some(request.instrument)).len();
        if filters.has(filter::MAX_NUM_ORDERS) && reaches(here, filters.max_num_orders) {
            return Err(RejectReason::MaxNumOrders);
        }
        let anywhere = self.open_orders(request.account, None).len();
        if reaches(anywhere, self.open_orders_max) {
            return Err(RejectReason::ExchangeMaxNumOrders);
        }
        Ok(())
    }

    /// In the order of their ids.
    fn open_orders(&self, account: AccountId, instrument: Option<InstrumentId>) -> Vec<&Order> {
        let of_account = self.orders.values().filter(|order| order.request.account == account);
        of_account
            .filter(|order| instrument.is_none_or(|id| order.request.instrument == id))
            .collect()
    }

    fn find_by_client_order_id(
        &self,
        account: AccountId,
        instrument: InstrumentId,
        client_order_id: &ClientOrderId,
    ) -> Option<OrderId> {
        let open = self.open_orders(account, Some(instrument));
        open.into_iter().find(|it| it.request.client_order_id == *client_order_id).map(|it| it.id)
    }

    /// Checks 14 to 17.
    fn check_state(&self, request: &OrderRequest) -> Refusable {
        let OrderRequest { account, instrument, side, kind, .. } = *request;
        if self.find_by_client_order_id(account, instrument, &request.client_order_id).is_some() {
            return Err(RejectReason::DuplicateClientOrderId);
        }
        self.check_funds(request)?;
        if kind.is_contingent() {
            let triggers =
                self.last_price(instrument).is_some_and(|last| match kind.fires_on_rise(side) {
                    true => last >= request.stop_price,
                    false => last <= request.stop_price,
                });
            if triggers {
                return Err(RejectReason::WouldTriggerImmediately);
            }
        }
        if kind == OrderKind::LimitMaker {
            let best = self.book(instrument, side.opposite()).first().map(|it| it.request.price);
            if best.is_some_and(|best| crosses(request, best)) {
                return Err(RejectReason::WouldMatchImmediately);
            }
        }
        Ok(())
    }

    /// Check 15.
    fn check_funds(&self, request: &OrderRequest) -> Refusable {
        let OrderRequest { account, side, kind, price, quantity, .. } = *request;
        let instrument = self.instrument(request.instrument);
        let free_base = self.balance(account, instrument.base).free;
        let free_quote = self.balance(account, instrument.quote).free;
        let in_base = i128::from(quantity.0);
        let enough = |enough: bool| match enough {
            true => Ok(()),
            false => Err(RejectReason::InsufficientBalance),
        };
        let by_quote = request.quantity_unit == QuantityUnit::Quote;
        match (side, kind) {
            (Side::Buy, kind) if kind.is_limit() => {
                enough(free_quote >= notional(price, quantity).0)
            }
            (Side::Buy, OrderKind::Market) if by_quote => {
                enough(free_quote >= i128::from(quantity.0))?;
                self.check_one_step(request)
            }
            (Side::Buy, OrderKind::Market) => enough(free_quote >= self.preview(request).quote),
            (Side::Buy, _) => Ok(()),
            (Side::Sell, OrderKind::Market) if by_quote => {
                self.check_one_step(request)?;
                enough(free_base >= self.preview(request).base)
            }
            (Side::Sell, _) => enough(free_base >= in_base),
        }
    }

    /// "If the first maker is reached and not one step is affordable": semantics.md, Money.
    fn check_one_step(&self, request: &OrderRequest) -> Refusable {
        match self.preview(request).nothing_affordable {
            true => Err(RejectReason::LotSize),
            false => Ok(()),
        }
    }

    /// §4.
    fn accept(&mut self, request: OrderRequest) {
        self.last_order += 1;
        let (id, instrument) = (OrderId(self.last_order), request.instrument);
        let execution = self.next_execution(instrument);
        let place = match request.kind.is_contingent() {
            true => Place::Waiting,
            false => Place::Running,
        };
        let order = Order {
            id,
            request,
            executed: 0,
            executed_quote: 0,
            prevented: 0,
            amends: 0,
            held: 0,
            place,
        };
        self.orders.insert(id, order);
        self.emit(OrderAccepted { order: id, execution, request });
        self.hold_anew_and_tell(id);
        if place == Place::Running {
            self.run(id);
        }
    }

    /// Closing, whatever the reason. (§4, the end)
    pub(super) fn close(
        &mut self,
        id: OrderId,
        status: OrderStatus,
        reason: CloseReason,
        cancel_client_order_id: ClientOrderId,
    ) {
        let order = self.orders.remove(&id).expect("an open order");
        let OrderRequest { account, instrument, side, price, .. } = order.request;
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
            self.emit_level(instrument, side, price);
        }
    }

    // Cancel. (§7)

    fn find(&self, named: &Named) -> Result<OrderId, RejectReason> {
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

    fn cancel(
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
        for id in ids {
            let (status, reason) = (OrderStatus::Canceled, CloseReason::Requested);
            self.close(id, status, reason, ClientOrderId::EMPTY);
        }
        Ok(())
    }

    /// rest-api.md, cancelReplace: "Filters and Order Count are evaluated before the processing of
    /// the cancellation and order placement occurs."
    pub(super) fn cancel_replace(&mut self, command: &CancelReplace) -> Refusable {
        let request = command.request;
        self.check_owner(&request)?;
        self.check_flag(request.instrument, flag::CANCEL_REPLACE)
            .map_err(|()| RejectReason::CancelReplaceNotSupported)?;
        self.check_shape_and_filters(&request)?;
        let named = Named {
            account: request.account,
            instrument: request.instrument,
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
        match self.check_state(&request) {
            Ok(()) => self.accept(request),
            Err(reason) => self.emit(CommandRefused { part: CommandPart::New, reason }),
        }
        Ok(())
    }

    fn check_flag(&self, instrument: InstrumentId, flag: u32) -> Result<(), ()> {
        match self.instrument(instrument).definition.flags & flag {
            0 => Err(()),
            _ => Ok(()),
        }
    }

    // Amend. (order_amend_keep_priority.md)

    pub(super) fn amend_order(&mut self, command: &AmendOrder) -> Refusable {
        let AmendOrder { account, instrument, order, client_order_id, quantity, .. } = *command;
        self.check_known(instrument, account)?;
        let id = self.find(&Named { account, instrument, order, client_order_id })?;
        self.check_flag(instrument, flag::AMEND).map_err(|()| RejectReason::AmendNotSupported)?;
        self.check_amend(id, command)?;
        let execution = self.next_execution(instrument);
        let order = self.order_mut(id);
        let quantity_before = order.request.quantity;
        let client_order_id_before = order.request.client_order_id;
        order.request.quantity = quantity;
        order.request.client_order_id = command.new_client_order_id;
        order.amends += 1;
        let order = order.clone();
        self.emit(OrderAmended {
            order: id,
            account,
            instrument,
            execution,
            quantity,
            quantity_before,
            client_order_id: command.new_client_order_id,
            client_order_id_before,
        });
        if quantity.0 <= order.executed + order.prevented {
            let (status, reason) = (OrderStatus::Expired, CloseReason::Amended);
            self.close(id, status, reason, ClientOrderId::EMPTY);
            return Ok(());
        }
        self.hold_anew_and_tell(id);
        if matches!(order.place, Place::Resting(_)) {
            self.emit_level(instrument, order.request.side, order.request.price);
        }
        Ok(())
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
        let amended = OrderRequest { quantity, ..order.request };
        self.check_lots(&amended)?;
        if amended.kind.is_limit() {
            self.check_notional(&amended)?;
        }
        let holder = self.find_by_client_order_id(command.account, command.instrument, &new_id);
        match holder {
            Some(holder) if holder != id => Err(RejectReason::DuplicateClientOrderId),
            _ => Ok(()),
        }
    }
}

/// Check 2.
fn check_numbers(request: &OrderRequest) -> Refusable {
    let OrderRequest { kind, price, quantity, stop_price, .. } = *request;
    if (kind.is_limit() && price.is_zero()) || !price.is_valid() {
        return Err(RejectReason::InvalidPrice);
    }
    if quantity.is_zero() || !quantity.is_valid() {
        return Err(RejectReason::InvalidQuantity);
    }
    if (kind.is_contingent() && stop_price.is_zero()) || !stop_price.is_valid() {
        return Err(RejectReason::InvalidStopPrice);
    }
    match request.client_order_id.is_empty() {
        true => Err(RejectReason::InvalidClientOrderId),
        false => Ok(()),
    }
}

/// Check 3.
fn check_combination(request: &OrderRequest) -> Refusable {
    let OrderRequest { kind, time_in_force, quantity_unit, price, stop_price, .. } = *request;
    let has_time_in_force =
        matches!(kind, OrderKind::Limit | OrderKind::StopLossLimit | OrderKind::TakeProfitLimit);
    if (quantity_unit == QuantityUnit::Quote && kind != OrderKind::Market)
        || (!price.is_zero() && !kind.is_limit())
        || (!stop_price.is_zero() && !kind.is_contingent())
        || (time_in_force != TimeInForce::Gtc && !has_time_in_force)
    {
        return Err(RejectReason::UnsupportedCombination);
    }
    Ok(())
}

/// filters.md: each of the three is off when it is 0.
fn fits_grid(value: u64, min: u64, max: u64, step: u64) -> bool {
    value >= min && (max == 0 || value <= max) && (step == 0 || value.is_multiple_of(step))
}

/// Does the order meet a maker at this price? Market kinds always do.
pub(super) fn crosses(request: &OrderRequest, maker_price: Price) -> bool {
    match request.side {
        _ if !request.kind.is_limit() => true,
        Side::Buy => request.price >= maker_price,
        Side::Sell => request.price <= maker_price,
    }
}
