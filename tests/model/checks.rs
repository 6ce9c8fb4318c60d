//! What is checked of a new order besides filters and limits: its shape, and the state that it
//! meets. (§3.1 to 5 and 14 to 17)

use super::prices::multiplied;
use super::*;
use protocol::instrument::{filter, flag};

impl Model {
    pub(super) fn check_known(&self, instrument: InstrumentId, account: AccountId) -> Refusable {
        if instrument.0 == 0 || instrument.0 as usize > self.instruments.len() {
            return Err(RejectReason::UnknownInstrument);
        }
        if account.0 == 0 || account.0 as usize > self.accounts.len() {
            return Err(RejectReason::UnknownAccount);
        }
        Ok(())
    }

    /// Check 1.
    pub(super) fn check_owner(&self, instrument: InstrumentId, account: AccountId) -> Refusable {
        self.check_known(instrument, account)?;
        if self.account(account).permissions & account_permission::TRADE == 0 {
            return Err(RejectReason::AccountMayNotTrade);
        }
        self.check_kill_switch(account)
    }

    pub(super) fn check_flag(
        &self,
        instrument: InstrumentId,
        flag: u32,
        reason: RejectReason,
    ) -> Refusable {
        match self.instrument(instrument).definition.flags & flag {
            0 => Err(reason),
            _ => Ok(()),
        }
    }

    /// Checks 2 to 5, the last of which gives a pegged order its price.
    pub(super) fn check_shape(&self, order: &mut Order) -> Refusable {
        check_numbers(order)?;
        check_combination(order)?;
        check_peg(order)?;
        self.check_allowed(order)?;
        self.check_status(order)?;
        match order.place {
            Place::Pending => Ok(()),
            _ => self.find_peg(order),
        }
    }

    /// Check 4.
    fn check_allowed(&self, order: &Order) -> Refusable {
        let OrderRequest { instrument, kind, quantity_unit, stp_mode, .. } = order.request;
        let definition = &self.instrument(instrument).definition;
        if definition.order_kinds & kind.bit() == 0 {
            return Err(RejectReason::OrderKindNotAllowed);
        }
        let needs = |needed: bool, flag, reason| match needed {
            true => self.check_flag(instrument, flag, reason),
            false => Ok(()),
        };
        let by_quote = quantity_unit == QuantityUnit::Quote;
        needs(by_quote, flag::QUOTE_ORDER_QUANTITY, RejectReason::QuoteQuantityNotAllowed)?;
        if definition.allowed_stp_modes & stp_mode.bit() == 0 {
            return Err(RejectReason::StpModeNotAllowed);
        }
        let is_pegged = order.terms.peg != PegPrice::None;
        needs(order.is_iceberg(), flag::ICEBERG, RejectReason::IcebergNotAllowed)?;
        needs(order.is_trailing(), flag::TRAILING_STOP, RejectReason::TrailingStopNotAllowed)?;
        needs(is_pegged, flag::PEGGED, RejectReason::PeggedNotAllowed)
    }

    /// Check 5, and what an auction takes. (§11)
    fn check_status(&self, order: &Order) -> Refusable {
        let OrderRequest { instrument, kind, time_in_force, quantity_unit, .. } = order.request;
        let status = self.instrument(instrument).definition.status;
        let is_plain = order.terms == OrderTerms::NONE && order.list == OrderListId::NONE;
        let is_taken_by_auctions = match kind {
            OrderKind::Limit => time_in_force == TimeInForce::Gtc,
            OrderKind::Market => quantity_unit == QuantityUnit::Base,
            _ => false,
        };
        match status {
            InstrumentStatus::Trading => Ok(()),
            _ if status.is_auction() && is_plain && is_taken_by_auctions => Ok(()),
            _ => Err(RejectReason::MarketClosed),
        }
    }

    /// The price of a pegged LIMIT or LIMIT_MAKER; contingent ones find theirs when triggered.
    pub(super) fn find_peg(&self, order: &mut Order) -> Refusable {
        if order.terms.peg == PegPrice::None || order.request.kind.is_contingent() {
            return Ok(());
        }
        order.pegged_price = self.peg_price(order).ok_or(RejectReason::NoPegPrice)?;
        Ok(())
    }

    /// A market order in an auction waits beside the book, and if it buys, it has an upper price.
    /// (§11)
    pub(super) fn find_upper(&self, order: &mut Order) -> Refusable {
        let OrderRequest { instrument, side, kind, .. } = order.request;
        let Instrument { definition, trading_rules, .. } = self.instrument(instrument);
        if kind != OrderKind::Market || !definition.status.is_auction() {
            return Ok(());
        }
        order.place = Place::Collected;
        if side == Side::Sell {
            return Ok(());
        }
        let filters = &definition.filters;
        let mut uppers = Vec::new();
        let mut add = |base: Option<Price>, multiplier: u64| {
            if let Some(base) = base.filter(|_| multiplier != 0) {
                uppers.push(multiplied(base, multiplier));
            }
        };
        if filters.has(filter::PERCENT_PRICE) {
            let band = filters.percent_price;
            add(self.filter_price(instrument, band.average_minutes), band.multiplier_up);
        }
        if filters.has(filter::PERCENT_PRICE_BY_SIDE) {
            let band = filters.percent_price_by_side;
            add(self.filter_price(instrument, band.average_minutes), band.bid_multiplier_up);
        }
        add(self.reference_price(instrument), trading_rules.bid_limit_up);
        add(self.middle(instrument), SCALE + trading_rules.volatility_band);
        order.upper = uppers.into_iter().min().ok_or(RejectReason::NoUpperPrice)?;
        Ok(())
    }

    // The state that it meets.

    /// Checks 14 to 17.
    pub(super) fn check_state(&self, order: &Order) -> Refusable {
        self.check_client_order_id(&order.request)?;
        self.check_funds(order)?;
        self.check_would_trigger(order)?;
        self.check_would_match(order)
    }

    /// Check 14.
    pub(super) fn check_client_order_id(&self, request: &OrderRequest) -> Refusable {
        let OrderRequest { account, instrument, client_order_id, .. } = request;
        match self.find_by_client_order_id(*account, *instrument, client_order_id) {
            Some(_) => Err(RejectReason::DuplicateClientOrderId),
            None => Ok(()),
        }
    }

    /// Check 15.
    pub(super) fn check_funds(&self, order: &Order) -> Refusable {
        let OrderRequest { side, kind, quantity, quantity_unit, .. } = order.request;
        let by_quote = quantity_unit == QuantityUnit::Quote;
        let free = self.free(order);
        let needed = match (kind, side) {
            (OrderKind::Market, _) if order.place == Place::Collected => order.need(),
            (OrderKind::Market, Side::Sell) if !by_quote => i128::from(quantity.0),
            (OrderKind::Market, Side::Buy) if !by_quote => self.rehearse(order).quote,
            (OrderKind::Market, side) => {
                if side == Side::Buy && free < i128::from(quantity.0) {
                    return Err(RejectReason::InsufficientBalance);
                }
                let rehearsed = self.rehearse(order);
                if rehearsed.nothing_affordable {
                    return Err(RejectReason::LotSize);
                }
                if side == Side::Buy { 0 } else { rehearsed.base }
            }
            _ => order.need(),
        };
        match free < needed {
            true => Err(RejectReason::InsufficientBalance),
            false => Ok(()),
        }
    }

    /// Check 16.
    pub(super) fn check_would_trigger(&self, order: &Order) -> Refusable {
        let OrderRequest { instrument, stop_price, kind, .. } = order.request;
        let last = self.last_price(instrument);
        let has_stop = kind.is_contingent() && !stop_price.is_zero();
        match last.is_some_and(|last| has_stop && order.is_reached_at(last)) {
            true => Err(RejectReason::WouldTriggerImmediately),
            false => Ok(()),
        }
    }

    /// Check 17. In an auction everything may cross. (§11)
    pub(super) fn check_would_match(&self, order: &Order) -> Refusable {
        let OrderRequest { instrument, side, kind, .. } = order.request;
        let opposite = self.book(instrument, side.opposite());
        let crosses = opposite.first().is_some_and(|best| order.crosses(best.price()));
        let is_auction = self.instrument(instrument).definition.status.is_auction();
        match kind == OrderKind::LimitMaker && crosses && !is_auction {
            true => Err(RejectReason::WouldMatchImmediately),
            false => Ok(()),
        }
    }
}

impl Order {
    /// Does the order meet a maker at this price? Market kinds always do.
    pub(super) fn crosses(&self, maker_price: Price) -> bool {
        match self.request.side {
            _ if !self.request.kind.is_limit() => true,
            Side::Buy => self.price() >= maker_price,
            Side::Sell => self.price() <= maker_price,
        }
    }

    /// Has a price at its stop price, or past it, been reached with this one?
    pub(super) fn is_reached_at(&self, price: Price) -> bool {
        let OrderRequest { kind, side, stop_price, .. } = self.request;
        match kind.fires_on_rise(side) {
            true => stop_price <= price,
            false => stop_price >= price,
        }
    }
}

/// Check 2.
fn check_numbers(order: &Order) -> Refusable {
    let OrderRequest { kind, price, quantity, stop_price, client_order_id, .. } = order.request;
    let needs_price = kind.is_limit() && order.terms.peg == PegPrice::None;
    if (needs_price && price.is_zero()) || !price.is_valid() {
        return Err(RejectReason::InvalidPrice);
    }
    if (quantity.is_zero() && !order.paid) || !quantity.is_valid() {
        return Err(RejectReason::InvalidQuantity);
    }
    let needs_stop = kind.is_contingent() && !order.is_trailing();
    if (needs_stop && stop_price.is_zero()) || !stop_price.is_valid() {
        return Err(RejectReason::InvalidStopPrice);
    }
    match client_order_id.is_empty() {
        true => Err(RejectReason::InvalidClientOrderId),
        false => Ok(()),
    }
}

/// Check 3, all but the peg.
fn check_combination(order: &Order) -> Refusable {
    let Order { request, terms, .. } = order;
    let OrderRequest { kind, time_in_force, quantity_unit, price, stop_price, .. } = *request;
    let is_gtc = time_in_force == TimeInForce::Gtc;
    let has_time_in_force =
        matches!(kind, OrderKind::Limit | OrderKind::StopLossLimit | OrderKind::TakeProfitLimit);
    let has_level = terms.peg_level != 0;
    if (quantity_unit == QuantityUnit::Quote && kind != OrderKind::Market)
        || (!price.is_zero() && !kind.is_limit())
        || (!stop_price.is_zero() && !kind.is_contingent())
        || (!is_gtc && !has_time_in_force)
        || (order.is_iceberg() && (!kind.is_limit() || !is_gtc))
        || (order.is_trailing() && !kind.is_contingent())
        || (has_level && terms.peg == PegPrice::None)
        || terms.peg_level > PEG_LEVEL_MAX
    {
        return Err(RejectReason::UnsupportedCombination);
    }
    match !order.paid && terms.iceberg > request.quantity {
        true => Err(RejectReason::IcebergExceedsQuantity),
        false => Ok(()),
    }
}

/// Check 3, the peg. (pegged_orders.md)
fn check_peg(order: &Order) -> Refusable {
    let OrderRequest { kind, time_in_force, .. } = order.request;
    match order.terms.peg {
        PegPrice::None => Ok(()),
        _ if !kind.is_limit() => Err(RejectReason::PegNotForKind),
        PegPrice::Market if kind == OrderKind::LimitMaker => {
            Err(RejectReason::PegNotForCombination)
        }
        PegPrice::Primary if kind == OrderKind::Limit && time_in_force != TimeInForce::Gtc => {
            Err(RejectReason::PegNotForCombination)
        }
        _ => Ok(()),
    }
}
