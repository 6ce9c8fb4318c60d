//! The filters of an instrument and the counts of open orders. (§3.6 to 13, filters.md)

use super::prices::is_outside;
use super::*;
use protocol::instrument::{LotSize, filter};

impl Model {
    /// Checks 6 to 12; of an order that another pays only those that need no quantity.
    pub(super) fn check_filters(&self, order: &Order) -> Refusable {
        self.check_prices(order)?;
        if order.paid && order.place == Place::Pending {
            return Ok(());
        }
        self.check_lots(order)?;
        self.check_worth(order)?;
        self.check_position(order)
    }

    /// Checks 6 and 7, by all that the order says.
    fn check_prices(&self, order: &Order) -> Refusable {
        for price in order.prices() {
            self.check_price_grid(order.request.instrument, price)?;
        }
        if !order.request.stop_price.is_zero() {
            self.check_price_grid(order.request.instrument, order.request.stop_price)?;
        }
        self.check_trailing_delta(order)?;
        self.check_percent(order, &order.prices())
    }

    pub(super) fn check_price_grid(&self, instrument: InstrumentId, price: Price) -> Refusable {
        let filters = &self.instrument(instrument).definition.filters;
        let (min, max, tick) = (filters.price.min.0, filters.price.max.0, filters.price.tick.0);
        match filters.has(filter::PRICE) && !fits_grid(price.0, min, max, tick) {
            true => Err(RejectReason::PriceFilter),
            false => Ok(()),
        }
    }

    fn check_trailing_delta(&self, order: &Order) -> Refusable {
        let OrderRequest { instrument, kind, side, .. } = order.request;
        let filters = &self.instrument(instrument).definition.filters;
        let rule = filters.trailing_delta;
        let (min, max) = match kind.fires_on_rise(side) {
            true => (rule.min_above, rule.max_above),
            false => (rule.min_below, rule.max_below),
        };
        let applies = filters.has(filter::TRAILING_DELTA) && order.is_trailing();
        let delta = u64::from(order.terms.trailing_delta);
        match applies && !fits_grid(delta, u64::from(min), u64::from(max), 0) {
            true => Err(RejectReason::TrailingDelta),
            false => Ok(()),
        }
    }

    /// Check 7, by these prices.
    fn check_percent(&self, order: &Order, prices: &[Price]) -> Refusable {
        let OrderRequest { instrument, side, .. } = order.request;
        let filters = &self.instrument(instrument).definition.filters;
        let fails = |minutes: u32, up: u64, down: u64| {
            let middle = self.filter_price(instrument, minutes);
            middle.is_some_and(|it| prices.iter().any(|price| is_outside(*price, it, up, down)))
        };
        let band = filters.percent_price;
        if filters.has(filter::PERCENT_PRICE)
            && fails(band.average_minutes, band.multiplier_up, band.multiplier_down)
        {
            return Err(RejectReason::PercentPrice);
        }
        let band = filters.percent_price_by_side;
        let (up, down) = match side {
            Side::Buy => (band.bid_multiplier_up, band.bid_multiplier_down),
            Side::Sell => (band.ask_multiplier_up, band.ask_multiplier_down),
        };
        if filters.has(filter::PERCENT_PRICE_BY_SIDE) && fails(band.average_minutes, up, down) {
            return Err(RejectReason::PercentPriceBySide);
        }
        Ok(())
    }

    /// Checks 6, 7, 10 and 11 by the price of a peg. (§8)
    pub(super) fn check_by_pegged_price(&self, order: &Order) -> Refusable {
        let prices = [order.pegged_price];
        self.check_price_grid(order.request.instrument, order.pegged_price)?;
        self.check_percent(order, &prices)?;
        self.check_limit_worth(order, &prices)
    }

    /// Checks 6 and 7 by the price of a peg, for an order that has no quantity yet.
    pub(super) fn check_pegged_price_alone(&self, order: &Order) -> Refusable {
        self.check_price_grid(order.request.instrument, order.pegged_price)?;
        self.check_percent(order, &[order.pegged_price])
    }

    /// Checks 8 and 9.
    pub(super) fn check_lots(&self, order: &Order) -> Refusable {
        let OrderRequest { instrument, kind, quantity, quantity_unit, .. } = order.request;
        let filters = &self.instrument(instrument).definition.filters;
        let by_base = quantity_unit == QuantityUnit::Base;
        let iceberg = order.terms.iceberg;
        if filters.has(filter::LOT_SIZE) && by_base {
            let fits = |quantity| fits_lot(quantity, filters.lot_size);
            if !fits(quantity) || (order.is_iceberg() && !fits(iceberg)) {
                return Err(RejectReason::LotSize);
            }
        }
        self.check_iceberg_parts(order, quantity)?;
        let by_market = by_base && !kind.is_limit();
        if filters.has(filter::MARKET_LOT_SIZE)
            && by_market
            && !fits_lot(quantity, filters.market_lot_size)
        {
            return Err(RejectReason::MarketLotSize);
        }
        Ok(())
    }

    /// The end of check 8.
    pub(super) fn check_iceberg_parts(&self, order: &Order, quantity: Quantity) -> Refusable {
        let filters = &self.instrument(order.request.instrument).definition.filters;
        let is_bounded = filters.has(filter::ICEBERG_PARTS) && filters.iceberg_parts != 0;
        let parts_max = if is_bounded { filters.iceberg_parts.min(1_000) } else { 1_000 };
        let iceberg = order.terms.iceberg.0;
        match order.is_iceberg() && quantity.0.div_ceil(iceberg) > u64::from(parts_max) {
            true => Err(RejectReason::IcebergParts),
            false => Ok(()),
        }
    }

    /// Checks 10 and 11.
    pub(super) fn check_worth(&self, order: &Order) -> Refusable {
        let OrderRequest { instrument, kind, quantity, quantity_unit, .. } = order.request;
        if kind.is_limit() {
            return self.check_limit_worth(order, &order.prices());
        }
        let filters = &self.instrument(instrument).definition.filters;
        let worth = |minutes: u32| match quantity_unit {
            QuantityUnit::Quote => Some(quantity.into()),
            QuantityUnit::Base => {
                self.filter_price(instrument, minutes).map(|price| notional(price, quantity))
            }
        };
        let rule = filters.min_notional;
        let is_below = |worth: Option<Amount>, min: Amount| worth.is_some_and(|worth| worth < min);
        if filters.has(filter::MIN_NOTIONAL)
            && rule.apply_to_market
            && is_below(worth(rule.average_minutes), rule.min)
        {
            return Err(RejectReason::MinNotional);
        }
        let rule = filters.notional;
        if filters.has(filter::NOTIONAL) {
            let worth = worth(rule.average_minutes);
            let is_above = !rule.max.is_zero() && worth.is_some_and(|worth| worth > rule.max);
            if (rule.apply_min_to_market && is_below(worth, rule.min))
                || (rule.apply_max_to_market && is_above)
            {
                return Err(RejectReason::Notional);
            }
        }
        Ok(())
    }

    /// Checks 10 and 11 of a limit kind, by these prices.
    fn check_limit_worth(&self, order: &Order, prices: &[Price]) -> Refusable {
        let filters = &self.instrument(order.request.instrument).definition.filters;
        let worths: Vec<Amount> =
            prices.iter().map(|price| notional(*price, order.request.quantity)).collect();
        let rule = filters.min_notional;
        if filters.has(filter::MIN_NOTIONAL) && worths.iter().any(|worth| *worth < rule.min) {
            return Err(RejectReason::MinNotional);
        }
        let rule = filters.notional;
        let fails =
            |worth: &Amount| *worth < rule.min || (!rule.max.is_zero() && *worth > rule.max);
        if filters.has(filter::NOTIONAL) && worths.iter().any(fails) {
            return Err(RejectReason::Notional);
        }
        Ok(())
    }

    /// Check 12.
    fn check_position(&self, order: &Order) -> Refusable {
        let OrderRequest { account, side, quantity, quantity_unit, .. } = order.request;
        let instrument = self.instrument(order.request.instrument);
        let filters = &instrument.definition.filters;
        let buys_base = side == Side::Buy && quantity_unit == QuantityUnit::Base;
        if !filters.has(filter::MAX_POSITION) || !buys_base {
            return Ok(());
        }
        let Balance { free, locked } = self.balance(account, instrument.base);
        let open = self.open_orders(account, Some(instrument.id));
        let open_buys = open.iter().filter(|order| order.request.side == Side::Buy);
        let buying: i128 = open_buys.map(|order| i128::from(order.remaining())).sum();
        let position = free + locked + buying + i128::from(quantity.0);
        match position > filters.max_position.0 {
            true => Err(RejectReason::MaxPosition),
            false => Ok(()),
        }
    }

    /// Check 13, for one order or for all of a list: they are of one account and instrument.
    pub(super) fn check_counts(&self, new: &[Order]) -> Refusable {
        let OrderRequest { account, instrument, .. } = new[0].request;
        let filters = &self.instrument(instrument).definition.filters;
        let here = self.open_orders(account, Some(instrument));
        let anywhere = self.open_orders(account, None);
        let is_any = |_: &Order| true;
        let is_algo = |order: &Order| order.request.kind.is_contingent();
        let is_iceberg = |order: &Order| order.is_iceberg();
        let fails = |open: &[&Order], is_counted: &dyn Fn(&Order) -> bool, max: u32| {
            let new = new.iter().filter(|order| is_counted(order)).count();
            let open = open.iter().filter(|order| is_counted(order)).count();
            max != 0 && new != 0 && open + new > max as usize
        };
        if filters.has(filter::MAX_NUM_ORDERS) && fails(&here, &is_any, filters.max_num_orders) {
            return Err(RejectReason::MaxNumOrders);
        }
        let algo_max = filters.max_num_algo_orders;
        if filters.has(filter::MAX_NUM_ALGO_ORDERS) && fails(&here, &is_algo, algo_max) {
            return Err(RejectReason::MaxNumAlgoOrders);
        }
        let iceberg_max = filters.max_num_iceberg_orders;
        if filters.has(filter::MAX_NUM_ICEBERG_ORDERS) && fails(&here, &is_iceberg, iceberg_max) {
            return Err(RejectReason::MaxNumIcebergOrders);
        }
        if fails(&anywhere, &is_any, self.limits.open_orders_max) {
            return Err(RejectReason::ExchangeMaxNumOrders);
        }
        if fails(&anywhere, &is_algo, self.limits.algo_orders_max) {
            return Err(RejectReason::ExchangeMaxNumAlgoOrders);
        }
        if fails(&anywhere, &is_iceberg, self.limits.iceberg_orders_max) {
            return Err(RejectReason::ExchangeMaxNumIcebergOrders);
        }
        Ok(())
    }
}

fn fits_lot(quantity: Quantity, lot: LotSize) -> bool {
    fits_grid(quantity.0, lot.min.0, lot.max.0, lot.step.0)
}

/// filters.md: each of the three is off when it is 0.
fn fits_grid(value: u64, min: u64, max: u64, step: u64) -> bool {
    value >= min && (max == 0 || value <= max) && (step == 0 || value.is_multiple_of(step))
}
