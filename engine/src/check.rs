//! Every refusal of an order, in the order in which the venue reports them (docs/rules.md §3).

use crate::book::crosses;
use crate::engine::{Engine, Refusal};
use crate::market::Market;
use crate::orders::Owner;
use crate::walk::Appetite;
use protocol::command::{OrderRequest, account_permission};
use protocol::instrument::{LotSize, PriceFilter, filter, flag};
use protocol::*;

fn require(holds: bool, reason: RejectReason) -> Refusal {
    if holds { Ok(()) } else { Err(reason) }
}

impl Engine {
    /// §3, 1 to 17.
    pub(crate) fn check(&self, new: &OrderRequest) -> Refusal {
        self.check_identity(new)?;
        self.check_request(new)?;
        self.check_state(new)
    }

    /// §3.1.
    pub(crate) fn check_identity(&self, new: &OrderRequest) -> Refusal {
        require(self.venue.market(new.instrument).is_some(), RejectReason::UnknownInstrument)?;
        let account = self.venue.account(new.account).ok_or(RejectReason::UnknownAccount)?;
        let may_trade = account.permissions & account_permission::TRADE != 0;
        require(may_trade, RejectReason::AccountMayNotTrade)
    }

    /// §3.2 to 13: what the request itself and the filters say.
    pub(crate) fn check_request(&self, new: &OrderRequest) -> Refusal {
        let market = self.known_market(new);
        check_shape(new)?;
        check_allowed(new, market)?;
        self.check_filters(new, market)
    }

    /// §3.14 to 17: what depends on the account's orders and funds, and on the book.
    pub(crate) fn check_state(&self, new: &OrderRequest) -> Refusal {
        let market = self.known_market(new);
        let owner = Owner { account: new.account, instrument: new.instrument };
        let duplicate = self.orders.find_named(owner, &new.client_order_id).is_some();
        require(!duplicate, RejectReason::DuplicateClientOrderId)?;
        self.check_funds(new, market)?;
        require(!would_trigger(new, market), RejectReason::WouldTriggerImmediately)?;
        let best = market.book.best(new.side.opposite());
        let takes = best.is_some_and(|best| crosses(new.side, new.price, best));
        let posts_only = new.kind == OrderKind::LimitMaker;
        require(!(posts_only && takes), RejectReason::WouldMatchImmediately)
    }

    fn known_market(&self, new: &OrderRequest) -> &Market {
        self.venue.market(new.instrument).expect("the instrument was checked")
    }

    fn check_filters(&self, new: &OrderRequest, market: &Market) -> Refusal {
        let filters = &market.definition.filters;
        if filters.has(filter::PRICE) {
            let price_fits = !new.kind.is_limit() || fits_grid(&filters.price, new.price);
            let stop_fits = !new.kind.is_contingent() || fits_grid(&filters.price, new.stop_price);
            require(price_fits && stop_fits, RejectReason::PriceFilter)?;
        }
        self.check_percent_price(new, market)?;
        if new.quantity_unit == QuantityUnit::Base {
            check_lots(new.kind, new.quantity, market)?;
        }
        self.check_notional(new.kind, new.quantity_unit, new.price, new.quantity, market)?;
        self.check_position(new, market)?;
        self.check_counts(new, market)
    }

    fn check_percent_price(&self, new: &OrderRequest, market: &Market) -> Refusal {
        let filters = &market.definition.filters;
        if !filters.has(filter::PERCENT_PRICE_BY_SIDE) || !new.kind.is_limit() {
            return Ok(());
        }
        let band = &filters.percent_price_by_side;
        let Some(average) = market.average_price(band.average_minutes, self.now) else {
            return Ok(());
        };
        let (up, down) = match new.side {
            Side::Buy => (band.bid_multiplier_up, band.bid_multiplier_down),
            Side::Sell => (band.ask_multiplier_up, band.ask_multiplier_down),
        };
        let price = u128::from(new.price.0) * u128::from(SCALE);
        let bound = |multiplier| u128::from(average.0) * u128::from(multiplier);
        let fits = (up == 0 || price <= bound(up)) && (down == 0 || price >= bound(down));
        require(fits, RejectReason::PercentPriceBySide)
    }

    /// MIN_NOTIONAL and NOTIONAL, for new orders and amends.
    pub(crate) fn check_notional(
        &self,
        kind: OrderKind,
        unit: QuantityUnit,
        price: Price,
        quantity: Quantity,
        market: &Market,
    ) -> Refusal {
        let filters = &market.definition.filters;
        let value = |average_minutes| match (kind.is_limit(), unit) {
            (true, _) => Some(notional(price, quantity)),
            (false, QuantityUnit::Quote) => Some(quantity.into()),
            (false, QuantityUnit::Base) => market
                .average_price(average_minutes, self.now)
                .map(|average| notional(average, quantity)),
        };
        if filters.has(filter::MIN_NOTIONAL) {
            let rule = &filters.min_notional;
            let applies = kind.is_limit() || rule.apply_to_market;
            let value = value(rule.average_minutes).filter(|_| applies);
            require(value.is_none_or(|value| value >= rule.min), RejectReason::MinNotional)?;
        }
        if filters.has(filter::NOTIONAL) {
            let rule = &filters.notional;
            let value = value(rule.average_minutes);
            let low = value.filter(|_| kind.is_limit() || rule.apply_min_to_market);
            let high = value.filter(|_| kind.is_limit() || rule.apply_max_to_market);
            require(low.is_none_or(|value| value >= rule.min), RejectReason::Notional)?;
            let bounded = !rule.max.is_zero();
            let fits = high.is_none_or(|value| !bounded || value <= rule.max);
            require(fits, RejectReason::Notional)?;
        }
        Ok(())
    }

    fn check_position(&self, new: &OrderRequest, market: &Market) -> Refusal {
        let filters = &market.definition.filters;
        let buys_base = new.side == Side::Buy && new.quantity_unit == QuantityUnit::Base;
        if !filters.has(filter::MAX_POSITION) || !buys_base {
            return Ok(());
        }
        let owner = Owner { account: new.account, instrument: new.instrument };
        let held = self.ledger.balance(new.account, market.base).total();
        let position = held + self.orders.owned(owner).buying + new.quantity.into();
        require(position <= filters.max_position, RejectReason::MaxPosition)
    }

    fn check_counts(&self, new: &OrderRequest, market: &Market) -> Refusal {
        let filters = &market.definition.filters;
        let owner = Owner { account: new.account, instrument: new.instrument };
        if filters.has(filter::MAX_NUM_ORDERS) {
            let open = self.orders.owned(owner).count;
            let bound = filters.max_num_orders;
            require(bound == 0 || open < bound, RejectReason::MaxNumOrders)?;
        }
        let open = self.venue.account(new.account).map_or(0, |account| account.open_orders);
        let bound = self.venue.open_orders_max;
        require(bound == 0 || open < bound, RejectReason::ExchangeMaxNumOrders)
    }

    /// §3.15.
    fn check_funds(&self, new: &OrderRequest, market: &Market) -> Refusal {
        let free = self.ledger.balance(new.account, market.paying_asset(new.side)).free;
        let quantity = Amount::from(new.quantity);
        let needed = match (new.kind, new.side) {
            (OrderKind::Market, _) => return self.check_market_funds(new, market, free),
            (kind, Side::Buy) if kind.is_limit() => notional(new.price, new.quantity),
            (_, Side::Buy) => Amount::ZERO,
            (_, Side::Sell) => quantity,
        };
        require(free >= needed, RejectReason::InsufficientBalance)
    }

    fn check_market_funds(&self, new: &OrderRequest, market: &Market, free: Amount) -> Refusal {
        let quantity = Amount::from(new.quantity);
        let plan = || self.plan(new, Appetite::of_request(new, market));
        match (new.quantity_unit, new.side) {
            (QuantityUnit::Base, Side::Sell) => {
                require(free >= quantity, RejectReason::InsufficientBalance)
            }
            (QuantityUnit::Base, Side::Buy) => {
                require(free >= plan().pays, RejectReason::InsufficientBalance)
            }
            (QuantityUnit::Quote, side) => {
                let affords = side == Side::Sell || free >= quantity;
                require(affords, RejectReason::InsufficientBalance)?;
                let plan = plan();
                require(!plan.not_one_step, RejectReason::LotSize)?;
                let has = side == Side::Buy || free >= plan.sells;
                require(has, RejectReason::InsufficientBalance)
            }
        }
    }
}

/// §3.2 and 3.
fn check_shape(new: &OrderRequest) -> Refusal {
    let (kind, price) = (new.kind, new.price);
    let priced = price.is_valid() && !(kind.is_limit() && price.is_zero());
    require(priced, RejectReason::InvalidPrice)?;
    let counted = new.quantity.is_valid() && !new.quantity.is_zero();
    require(counted, RejectReason::InvalidQuantity)?;
    let stop = new.stop_price;
    let stopped = stop.is_valid() && !(kind.is_contingent() && stop.is_zero());
    require(stopped, RejectReason::InvalidStopPrice)?;
    require(!new.client_order_id.is_empty(), RejectReason::InvalidClientOrderId)?;
    let may_expire =
        matches!(kind, OrderKind::Limit | OrderKind::StopLossLimit | OrderKind::TakeProfitLimit);
    let combines = (new.quantity_unit == QuantityUnit::Base || kind == OrderKind::Market)
        && (kind.is_limit() || price.is_zero())
        && (kind.is_contingent() || stop.is_zero())
        && (may_expire || new.time_in_force == TimeInForce::Gtc);
    require(combines, RejectReason::UnsupportedCombination)
}

/// §3.4 and 5.
fn check_allowed(new: &OrderRequest, market: &Market) -> Refusal {
    let definition = &market.definition;
    let kind_allowed = definition.order_kinds & new.kind.bit() != 0;
    require(kind_allowed, RejectReason::OrderKindNotAllowed)?;
    let by_quote = new.quantity_unit == QuantityUnit::Quote;
    let quote_allowed = definition.flags & flag::QUOTE_ORDER_QUANTITY != 0;
    require(!by_quote || quote_allowed, RejectReason::QuoteQuantityNotAllowed)?;
    let mode_allowed = definition.allowed_stp_modes & new.stp_mode.bit() != 0;
    let mode_known = new.stp_mode != StpMode::Transfer;
    require(mode_allowed && mode_known, RejectReason::StpModeNotAllowed)?;
    require(definition.status == InstrumentStatus::Trading, RejectReason::MarketClosed)
}

/// PRICE_FILTER of a limit price.
pub(crate) fn check_price_grid(market: &Market, price: Price) -> Refusal {
    let filters = &market.definition.filters;
    let fits = !filters.has(filter::PRICE) || fits_grid(&filters.price, price);
    require(fits, RejectReason::PriceFilter)
}

fn fits_grid(rule: &PriceFilter, price: Price) -> bool {
    (rule.min.is_zero() || price >= rule.min)
        && (rule.max.is_zero() || price <= rule.max)
        && (rule.tick.is_zero() || price.0.is_multiple_of(rule.tick.0))
}

fn fits_lots(rule: &LotSize, quantity: Quantity) -> bool {
    quantity >= rule.min
        && (rule.max.is_zero() || quantity <= rule.max)
        && (rule.step.is_zero() || quantity.0.is_multiple_of(rule.step.0))
}

/// LOT_SIZE and, for market kinds, MARKET_LOT_SIZE: for new orders and amends.
pub(crate) fn check_lots(kind: OrderKind, quantity: Quantity, market: &Market) -> Refusal {
    let filters = &market.definition.filters;
    let fits = !filters.has(filter::LOT_SIZE) || fits_lots(&filters.lot_size, quantity);
    require(fits, RejectReason::LotSize)?;
    let applies = filters.has(filter::MARKET_LOT_SIZE) && !kind.is_limit();
    require(!applies || fits_lots(&filters.market_lot_size, quantity), RejectReason::MarketLotSize)
}

/// §3.16.
fn would_trigger(new: &OrderRequest, market: &Market) -> bool {
    new.kind.is_contingent()
        && market.last_price().is_some_and(|last| match new.kind.fires_on_rise(new.side) {
            true => last >= new.stop_price,
            false => last <= new.stop_price,
        })
}
