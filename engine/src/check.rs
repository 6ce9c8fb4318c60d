//! Every refusal of an order, in the order in which the venue reports them (docs/rules.md §3).

use crate::book::crosses;
use crate::engine::{Engine, Refusal};
use crate::market::Market;
use crate::orders::Owner;
use crate::reference::{is_above, is_below, is_outside, times};
use crate::risk::Applicable;
use crate::walk::Appetite;
use protocol::command::{
    ClientOrderId, OrderRequest, OrderTerms, PEG_LEVEL_MAX, account_permission,
};
use protocol::instrument::{filter, flag};
use protocol::*;

#[inline]
fn require(holds: bool, reason: RejectReason) -> Refusal {
    if holds { Ok(()) } else { Err(reason) }
}

/// What the checks found on their way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checked {
    /// None: the account never had an order on the instrument.
    pub(crate) owner: Option<u32>,
    pub(crate) name_hash: u32,
    /// What the order will hold.
    pub(crate) hold: Amount,
}

/// A new order under examination.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draft<'a> {
    pub(crate) request: &'a OrderRequest,
    pub(crate) terms: OrderTerms,
    /// What counts in place of the limit price: a pegged order finds it, a market order in an auction
    /// gets it; otherwise the limit price.
    pub(crate) price: Price,
    /// Its quantity comes later, from the order that pays for it.
    pub(crate) is_paid: bool,
    /// It waits for another order: no price is sought for it yet.
    pub(crate) is_pending: bool,
    /// One of an order list: no auction takes it.
    pub(crate) is_listed: bool,
    /// It has terms that few orders have.
    pub(crate) has_terms: bool,
}

impl<'a> Draft<'a> {
    #[inline]
    pub(crate) fn new(request: &'a OrderRequest, terms: OrderTerms) -> Draft<'a> {
        Draft {
            request,
            terms,
            price: request.price,
            is_paid: false,
            is_pending: false,
            is_listed: false,
            has_terms: terms != OrderTerms::NONE,
        }
    }

    #[inline]
    pub(crate) fn is_pegged(&self) -> bool {
        self.terms.peg != PegPrice::None
    }

    /// The prices that filters look at: the named one, then the effective one (§3).
    #[inline]
    fn prices(&self) -> impl Iterator<Item = Price> + Clone + use<> {
        let (named, effective) = (self.request.price, self.price);
        let is_limit = self.request.kind.is_limit();
        let named_counts = is_limit && !named.is_zero();
        let effective_counts = is_limit && !effective.is_zero() && effective != named;
        let named = named_counts.then_some(named);
        named.into_iter().chain(effective_counts.then_some(effective))
    }

    #[inline]
    pub(crate) fn adds(&self) -> Adding {
        Adding {
            orders: 1,
            algos: self.request.kind.is_contingent().into(),
            icebergs: (!self.terms.iceberg.is_zero()).into(),
        }
    }
}

/// Parts that an iceberg may have, whatever the filter says.
const ICEBERG_PARTS_MAX: u32 = 1_000;

/// Filters that count an owner's open orders.
const COUNTED: u32 =
    filter::MAX_NUM_ORDERS | filter::MAX_NUM_ALGO_ORDERS | filter::MAX_NUM_ICEBERG_ORDERS;

/// Filters that look at more than the grids of prices and quantities.
const BEYOND_GRIDS: u32 = filter::PERCENT_PRICE
    | filter::PERCENT_PRICE_BY_SIDE
    | filter::MIN_NOTIONAL
    | filter::NOTIONAL
    | filter::MAX_POSITION;

/// How many orders of each sort come.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Adding {
    pub(crate) orders: u32,
    pub(crate) algos: u32,
    pub(crate) icebergs: u32,
}

impl core::ops::Add for Adding {
    type Output = Adding;

    fn add(self, other: Adding) -> Adding {
        Adding {
            orders: self.orders + other.orders,
            algos: self.algos + other.algos,
            icebergs: self.icebergs + other.icebergs,
        }
    }
}

fn reaches(open: u32, new: u32, bound: u32) -> bool {
    new != 0 && bound != 0 && open.saturating_add(new) > bound
}

impl Engine {
    /// §3, 1 to 17.
    #[inline]
    pub(crate) fn check(&self, draft: &mut Draft<'_>) -> Result<Checked, RejectReason> {
        let market = self.check_identity(draft.request.account, draft.request.instrument)?;
        let owner = self.orders.find_owner(Owner::of(draft.request));
        self.check_request(draft, owner, market)?;
        self.check_state(draft, owner, market)
    }

    /// §3.1.
    #[inline]
    pub(crate) fn check_identity(
        &self,
        account: AccountId,
        instrument: InstrumentId,
    ) -> Result<&Market, RejectReason> {
        let market = self.venue.market(instrument).ok_or(RejectReason::UnknownInstrument)?;
        let account = self.venue.account(account).ok_or(RejectReason::UnknownAccount)?;
        let may_trade = account.permissions & account_permission::TRADE != 0;
        require(may_trade, RejectReason::AccountMayNotTrade)?;
        require(!self.venue.is_killed && !account.is_killed, RejectReason::KillSwitch)?;
        Ok(market)
    }

    /// §3.2 to 13, and risk: what the request itself and the filters say.
    #[inline]
    pub(crate) fn check_request(
        &self,
        draft: &mut Draft<'_>,
        owner: Option<u32>,
        market: &Market,
    ) -> Refusal {
        let is_usual = is_usual(draft, market);
        if !is_usual {
            self.check_terms(draft, market)?;
        }
        if !is_usual || market.rules.has(BEYOND_GRIDS) {
            self.check_filters(draft, owner, market)?;
        }
        self.check_counts(draft.request.account, owner, draft.adds(), market)?;
        self.check_risk(draft, 1, owner, market)?;
        match is_usual {
            true => Ok(()),
            false => self.bound_market_price(draft, market),
        }
    }

    /// §3.2 to 5: shape, what the instrument allows, and the price of a peg.
    #[inline]
    pub(crate) fn check_terms(&self, draft: &mut Draft<'_>, market: &Market) -> Refusal {
        check_shape(draft)?;
        check_allowed(draft, market)?;
        let enters = !draft.request.kind.is_contingent() && !draft.is_pending;
        if draft.is_pegged() && enters {
            let (side, terms) = (draft.request.side, &draft.terms);
            draft.price = market.peg(side, terms).ok_or(RejectReason::NoPegPrice)?;
        }
        Ok(())
    }

    /// In an auction a market order to buy needs an upper price (§11).
    #[inline]
    fn bound_market_price(&self, draft: &mut Draft<'_>, market: &Market) -> Refusal {
        let is_bought = draft.request.kind == OrderKind::Market && draft.request.side == Side::Buy;
        if market.rules.status.is_auction() && is_bought {
            let upper = market.upper_price(self.now);
            draft.price = upper.ok_or(RejectReason::NoUpperPrice)?;
        }
        Ok(())
    }

    /// §3.14 to 17: what depends on the account's orders and funds, and on the book.
    #[inline]
    pub(crate) fn check_state(
        &self,
        draft: &Draft<'_>,
        owner: Option<u32>,
        market: &Market,
    ) -> Result<Checked, RejectReason> {
        let new = draft.request;
        let name_hash = self.orders.name_hash(Owner::of(new), &new.client_order_id);
        let named = |owner| self.orders.find_hashed(owner, name_hash, &new.client_order_id);
        require(owner.and_then(named).is_none(), RejectReason::DuplicateClientOrderId)?;
        let hold = self.check_funds(draft, owner, market)?;
        self.check_triggers(draft, market)?;
        Ok(Checked { owner, name_hash, hold })
    }

    /// §3.14.
    pub(crate) fn check_name(&self, owner: Option<u32>, name: &ClientOrderId) -> Refusal {
        let named = |owner| self.orders.find_named(owner, name);
        require(owner.and_then(named).is_none(), RejectReason::DuplicateClientOrderId)
    }

    /// §3.16 and 17.
    #[inline]
    pub(crate) fn check_triggers(&self, draft: &Draft<'_>, market: &Market) -> Refusal {
        let new = draft.request;
        require(!would_trigger(new, market), RejectReason::WouldTriggerImmediately)?;
        if new.kind != OrderKind::LimitMaker || market.is_collecting() {
            return Ok(());
        }
        let best = market.book.best(new.side.opposite());
        let takes = best.is_some_and(|best| crosses(new.side, draft.price, best));
        require(!takes, RejectReason::WouldMatchImmediately)
    }

    /// §3.6 to 12.
    #[inline]
    pub(crate) fn check_filters(
        &self,
        draft: &Draft<'_>,
        owner: Option<u32>,
        market: &Market,
    ) -> Refusal {
        let new = draft.request;
        self.check_price_filters(draft, market)?;
        if draft.is_paid {
            return Ok(());
        }
        if new.quantity_unit == QuantityUnit::Base {
            check_lots(new.kind, new.quantity, draft.terms.iceberg, market)?;
        }
        self.check_notionals(draft, new.quantity, market)?;
        self.check_position(new, owner, market)
    }

    /// §3.6 and 7.
    #[inline]
    fn check_price_filters(&self, draft: &Draft<'_>, market: &Market) -> Refusal {
        let (new, grid) = (draft.request, &market.rules.price);
        let prices_fit = draft.prices().all(|price| grid.fits_price(price));
        let has_stop = new.kind.is_contingent() && !new.stop_price.is_zero();
        let stop_fits = !has_stop || grid.fits_price(new.stop_price);
        require(prices_fit && stop_fits, RejectReason::PriceFilter)?;
        let delta = draft.terms.trailing_delta;
        if delta != 0 && market.rules.has(filter::TRAILING_DELTA) {
            let rule = &market.definition().filters.trailing_delta;
            let (min, max) = match new.kind.fires_on_rise(new.side) {
                true => (rule.min_above, rule.max_above),
                false => (rule.min_below, rule.max_below),
            };
            let fits = delta >= min && (max == 0 || delta <= max);
            require(fits, RejectReason::TrailingDelta)?;
        }
        match market.rules.has(filter::PERCENT_PRICE | filter::PERCENT_PRICE_BY_SIDE) {
            true => self.check_percent_prices(draft, market),
            false => Ok(()),
        }
    }

    fn check_percent_prices(&self, draft: &Draft<'_>, market: &Market) -> Refusal {
        let filters = &market.definition().filters;
        let fits = |minutes, up, down| {
            let middle = market.filter_price(minutes, self.now);
            middle.is_none_or(|middle| {
                let out = |price| is_above(price, middle, up) || is_below(price, middle, down);
                !draft.prices().any(out)
            })
        };
        if filters.has(filter::PERCENT_PRICE) {
            let band = &filters.percent_price;
            let fits = fits(band.average_minutes, band.multiplier_up, band.multiplier_down);
            require(fits, RejectReason::PercentPrice)?;
        }
        if filters.has(filter::PERCENT_PRICE_BY_SIDE) {
            let band = &filters.percent_price_by_side;
            let (up, down) = match draft.request.side {
                Side::Buy => (band.bid_multiplier_up, band.bid_multiplier_down),
                Side::Sell => (band.ask_multiplier_up, band.ask_multiplier_down),
            };
            let fits = fits(band.average_minutes, up, down);
            require(fits, RejectReason::PercentPriceBySide)?;
        }
        Ok(())
    }

    /// §3.10 and 11.
    #[inline]
    fn check_notionals(&self, draft: &Draft<'_>, quantity: Quantity, market: &Market) -> Refusal {
        if !market.rules.has(filter::MIN_NOTIONAL | filter::NOTIONAL) {
            return Ok(());
        }
        let OrderRequest { kind, quantity_unit, .. } = *draft.request;
        self.check_notional(kind, quantity_unit, draft.prices(), quantity, market)
    }

    /// MIN_NOTIONAL at all prices, then NOTIONAL at all of them, for new orders and amends.
    pub(crate) fn check_notional(
        &self,
        kind: OrderKind,
        unit: QuantityUnit,
        prices: impl Iterator<Item = Price> + Clone,
        quantity: Quantity,
        market: &Market,
    ) -> Refusal {
        let filters = &market.definition().filters;
        let all =
            |average_minutes: u32, fits: &dyn Fn(Amount) -> bool| match (kind.is_limit(), unit) {
                (true, _) => prices.clone().all(|price| fits(notional(price, quantity))),
                (false, QuantityUnit::Quote) => fits(quantity.into()),
                (false, QuantityUnit::Base) => market
                    .filter_price(average_minutes, self.now)
                    .is_none_or(|average| fits(notional(average, quantity))),
            };
        if filters.has(filter::MIN_NOTIONAL) {
            let rule = &filters.min_notional;
            let applies = kind.is_limit() || rule.apply_to_market;
            let fits = |value| !applies || value >= rule.min;
            require(all(rule.average_minutes, &fits), RejectReason::MinNotional)?;
        }
        if filters.has(filter::NOTIONAL) {
            let rule = &filters.notional;
            let has_min = kind.is_limit() || rule.apply_min_to_market;
            let has_max = (kind.is_limit() || rule.apply_max_to_market) && !rule.max.is_zero();
            let fits = |value| (!has_min || value >= rule.min) && (!has_max || value <= rule.max);
            require(all(rule.average_minutes, &fits), RejectReason::Notional)?;
        }
        Ok(())
    }

    fn check_position(&self, new: &OrderRequest, owner: Option<u32>, market: &Market) -> Refusal {
        let buys_base = new.side == Side::Buy && new.quantity_unit == QuantityUnit::Base;
        if !market.rules.has(filter::MAX_POSITION) || !buys_base {
            return Ok(());
        }
        let held = self.ledger.balance(new.account, market.base).total();
        let buying = |owner| self.orders.owned(owner).open[Side::Buy as usize];
        let position = held + owner.map_or(Amount::ZERO, buying) + new.quantity.into();
        let bound = market.definition().filters.max_position;
        require(position <= bound, RejectReason::MaxPosition)
    }

    /// §3.13.
    #[inline]
    pub(crate) fn check_counts(
        &self,
        account: AccountId,
        owner: Option<u32>,
        new: Adding,
        market: &Market,
    ) -> Refusal {
        if market.rules.has(COUNTED) {
            let filters = &market.definition().filters;
            let owned = owner.map(|owner| self.orders.owned(owner));
            let open = owned.map_or((0, 0, 0), |owned| (owned.count, owned.algos, owned.icebergs));
            let passes = |filter, open, new, bound, reason| {
                require(!filters.has(filter) || !reaches(open, new, bound), reason)
            };
            let (orders, algos, icebergs) = (
                filters.max_num_orders,
                filters.max_num_algo_orders,
                filters.max_num_iceberg_orders,
            );
            passes(filter::MAX_NUM_ORDERS, open.0, new.orders, orders, RejectReason::MaxNumOrders)?;
            let reason = RejectReason::MaxNumAlgoOrders;
            passes(filter::MAX_NUM_ALGO_ORDERS, open.1, new.algos, algos, reason)?;
            let reason = RejectReason::MaxNumIcebergOrders;
            passes(filter::MAX_NUM_ICEBERG_ORDERS, open.2, new.icebergs, icebergs, reason)?;
        }
        let Some(of) = self.venue.account(account) else { return Ok(()) };
        let bounds = &self.venue.limits;
        let orders = reaches(of.open_orders, new.orders, bounds.open_orders_max);
        require(!orders, RejectReason::ExchangeMaxNumOrders)?;
        let algos = reaches(of.algo_orders, new.algos, bounds.algo_orders_max);
        require(!algos, RejectReason::ExchangeMaxNumAlgoOrders)?;
        let icebergs = reaches(of.iceberg_orders, new.icebergs, bounds.iceberg_orders_max);
        require(!icebergs, RejectReason::ExchangeMaxNumIcebergOrders)
    }

    /// §13, for one of `new` orders.
    #[inline]
    pub(crate) fn check_risk(
        &self,
        draft: &Draft<'_>,
        new: u32,
        owner: Option<u32>,
        market: &Market,
    ) -> Refusal {
        let OrderRequest { account, instrument, .. } = *draft.request;
        match self.venue.risk.of(account, instrument) {
            None => Ok(()),
            Some(applicable) => self.check_limits(draft, new, owner, market, &applicable),
        }
    }

    #[cold]
    fn check_limits(
        &self,
        draft: &Draft<'_>,
        new: u32,
        owner: Option<u32>,
        market: &Market,
        Applicable { limits, of_instrument }: &Applicable,
    ) -> Refusal {
        let OrderRequest { account, kind, quantity, quantity_unit: unit, .. } = *draft.request;
        let owned = owner.map(|owner| self.orders.owned(owner));
        if !limits.order_notional_max.is_zero() && !draft.is_paid {
            let within = |value: Amount| value <= limits.order_notional_max;
            let fits = match (kind.is_limit(), unit) {
                (true, _) => draft.prices().all(|price| within(notional(price, quantity))),
                (false, QuantityUnit::Quote) => within(quantity.into()),
                (false, QuantityUnit::Base) => {
                    let price = market.filter_price(0, self.now);
                    price.is_none_or(|price| within(notional(price, quantity)))
                }
            };
            require(fits, RejectReason::OrderNotionalLimit)?;
        }
        let open = match of_instrument {
            true => owned.map_or(0, |owned| owned.count),
            false => self.venue.account(account).map_or(0, |account| account.open_orders),
        };
        require(!reaches(open, new, limits.open_orders_max), RejectReason::OpenOrdersLimit)?;
        if !limits.day_quantity_max.is_zero() && !draft.is_paid {
            let wanted = match unit {
                QuantityUnit::Base => quantity.into(),
                QuantityUnit::Quote => {
                    self.plan(draft.request, Appetite::of_request(draft.request, market)).sells
                }
            };
            let before = owned.map_or(Amount::ZERO, |owned| {
                owned.traded.on(self.orders.day) + owned.open[0] + owned.open[1]
            });
            let fits = before + wanted <= limits.day_quantity_max;
            require(fits, RejectReason::DayQuantityLimit)?;
        }
        let last = market.last_price().filter(|_| limits.collar != 0);
        let is_out = |price| last.is_some_and(|last| is_outside(price, last, limits.collar));
        require(!draft.prices().any(is_out), RejectReason::PriceCollar)
    }

    /// What an order needs (§3.15) but a market order outside of an auction.
    #[inline]
    pub(crate) fn need_of(&self, draft: &Draft<'_>) -> Amount {
        let OrderRequest { kind, side, quantity, .. } = *draft.request;
        match side {
            Side::Buy if kind.is_limit() || kind == OrderKind::Market => {
                notional(draft.price, quantity)
            }
            Side::Buy => Amount::ZERO,
            Side::Sell => quantity.into(),
        }
    }

    /// §3.15.
    #[inline]
    pub(crate) fn check_funds(
        &self,
        draft: &Draft<'_>,
        owner: Option<u32>,
        market: &Market,
    ) -> Result<Amount, RejectReason> {
        let new = draft.request;
        let row = match owner {
            Some(owner) => Some(self.orders.owned(owner).paying(new.side)),
            None => self.ledger.find(new.account, market.paying_asset(new.side)),
        };
        let free = row.map_or(Amount::ZERO, |row| self.ledger.entry(row).balance.free);
        if new.kind == OrderKind::Market && !market.rules.status.is_auction() {
            self.check_market_funds(new, market, free)?;
            return Ok(Amount::ZERO);
        }
        let needed = self.need_of(draft);
        require(free >= needed, RejectReason::InsufficientBalance)?;
        // The funds that it needs are those that it holds.
        Ok(needed)
    }

    #[cold]
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

    /// Filters that an order passes when it begins its work (§8 and 12): by its pegged price, and by
    /// the quantity that was paid for it.
    pub(crate) fn check_late(&self, draft: &Draft<'_>, found_price: bool) -> Refusal {
        let new = draft.request;
        let market = self.venue.market(new.instrument).expect("the instrument was checked");
        if found_price {
            // The named price and the stop price passed when the order was taken.
            let named = OrderRequest { price: Price::ZERO, stop_price: Price::ZERO, ..*new };
            let priced = Draft {
                request: &named,
                terms: OrderTerms { trailing_delta: 0, ..draft.terms },
                ..*draft
            };
            self.check_price_filters(&priced, market)?;
            if !draft.is_paid {
                self.check_notionals(&priced, new.quantity, market)?;
            }
        }
        if draft.is_paid {
            require(!new.quantity.is_zero(), RejectReason::LotSize)?;
            check_lots(new.kind, new.quantity, draft.terms.iceberg, market)?;
            self.check_notionals(draft, new.quantity, market)?;
        }
        Ok(())
    }
}

impl Market {
    /// The price of a peg, if the book is that deep.
    pub(crate) fn peg(&self, side: Side, terms: &OrderTerms) -> Option<Price> {
        let followed = match terms.peg {
            PegPrice::None => return None,
            PegPrice::Primary => side,
            PegPrice::Market => side.opposite(),
        };
        self.book.levels(followed).nth(terms.peg_level.into()).map(|level| level.price)
    }

    /// The highest price that a market order to buy pays in an auction, if anything bounds it (§11).
    fn upper_price(&self, now: Stamp) -> Option<Price> {
        let (filters, rules) = (&self.definition().filters, &self.trading_rules);
        let bound = |present: bool, multiple: u64, middle: Option<Price>| {
            let middle = middle.filter(|_| present && multiple != 0)?;
            Some(times(middle, multiple))
        };
        let (both, by_side) = (&filters.percent_price, &filters.percent_price_by_side);
        let band = rules.volatility_band;
        [
            bound(
                filters.has(filter::PERCENT_PRICE),
                both.multiplier_up,
                self.filter_price(both.average_minutes, now),
            ),
            bound(
                filters.has(filter::PERCENT_PRICE_BY_SIDE),
                by_side.bid_multiplier_up,
                self.filter_price(by_side.average_minutes, now),
            ),
            bound(true, rules.bid_limit_up, self.reference_price(now)),
            bound(band != 0, band.saturating_add(SCALE), self.band_middle(now)),
        ]
        .into_iter()
        .flatten()
        .min()
    }
}

/// What most orders are, in one look: a limit order that §3.2 to 5 let pass, on the grids of prices
/// and quantities, while the market trades.
#[inline]
fn is_usual(draft: &Draft<'_>, market: &Market) -> bool {
    let (new, rules) = (draft.request, &market.rules);
    new.kind == OrderKind::Limit
        && new.quantity_unit == QuantityUnit::Base
        && (1..=Price::MAX.0).contains(&new.price.0)
        && (1..=Quantity::MAX.0).contains(&new.quantity.0)
        && new.stop_price.is_zero()
        && !new.client_order_id.is_empty()
        && !draft.has_terms
        && !draft.is_paid
        && rules.status == InstrumentStatus::Trading
        && rules.order_kinds & OrderKind::Limit.bit() != 0
        && rules.stp_modes & new.stp_mode.bit() != 0
        && rules.price.fits_price(new.price)
        && rules.lots.fits_quantity(new.quantity)
}

/// §3.2 and 3.
fn check_shape(draft: &Draft<'_>) -> Refusal {
    let (new, terms) = (draft.request, &draft.terms);
    let (kind, price) = (new.kind, new.price);
    let needs_price = kind.is_limit() && !draft.is_pegged();
    let priced = price.is_valid() && !(needs_price && price.is_zero());
    require(priced, RejectReason::InvalidPrice)?;
    let counted = new.quantity.is_valid() && !new.quantity.is_zero();
    require(counted || draft.is_paid, RejectReason::InvalidQuantity)?;
    let stop = new.stop_price;
    let needs_stop = kind.is_contingent() && terms.trailing_delta == 0;
    let stopped = stop.is_valid() && !(needs_stop && stop.is_zero());
    require(stopped, RejectReason::InvalidStopPrice)?;
    require(!new.client_order_id.is_empty(), RejectReason::InvalidClientOrderId)?;
    let may_expire =
        matches!(kind, OrderKind::Limit | OrderKind::StopLossLimit | OrderKind::TakeProfitLimit);
    let combines = (new.quantity_unit == QuantityUnit::Base || kind == OrderKind::Market)
        && (kind.is_limit() || price.is_zero())
        && (kind.is_contingent() || stop.is_zero())
        && (may_expire || new.time_in_force == TimeInForce::Gtc);
    require(combines, RejectReason::UnsupportedCombination)?;
    match draft.has_terms {
        true => check_shape_of_terms(draft),
        false => Ok(()),
    }
}

#[cold]
fn check_shape_of_terms(draft: &Draft<'_>) -> Refusal {
    let (new, terms) = (draft.request, &draft.terms);
    let kind = new.kind;
    let is_gtc = new.time_in_force == TimeInForce::Gtc;
    let combines = (terms.iceberg.is_zero() || (kind.is_limit() && is_gtc))
        && (terms.trailing_delta == 0 || kind.is_contingent())
        && (terms.peg_level == 0 || draft.is_pegged())
        && terms.peg_level <= PEG_LEVEL_MAX;
    require(combines, RejectReason::UnsupportedCombination)?;
    let fits = draft.is_paid || terms.iceberg <= new.quantity;
    require(fits, RejectReason::IcebergExceedsQuantity)?;
    require(!draft.is_pegged() || kind.is_limit(), RejectReason::PegNotForKind)?;
    let suits = match (terms.peg, kind) {
        (PegPrice::Market, OrderKind::LimitMaker) => false,
        (PegPrice::Primary, OrderKind::Limit) => is_gtc,
        _ => true,
    };
    require(suits, RejectReason::PegNotForCombination)
}

/// §3.4 and 5.
#[inline]
fn check_allowed(draft: &Draft<'_>, market: &Market) -> Refusal {
    let (new, rules) = (draft.request, &market.rules);
    let kind_allowed = rules.order_kinds & new.kind.bit() != 0;
    require(kind_allowed, RejectReason::OrderKindNotAllowed)?;
    let by_quote = new.quantity_unit == QuantityUnit::Quote;
    let quote_allowed = rules.flags & flag::QUOTE_ORDER_QUANTITY != 0;
    require(!by_quote || quote_allowed, RejectReason::QuoteQuantityNotAllowed)?;
    let mode_allowed = rules.stp_modes & new.stp_mode.bit() != 0;
    require(mode_allowed, RejectReason::StpModeNotAllowed)?;
    if draft.has_terms {
        let allows = |flag| rules.flags & flag != 0;
        let icebergs = draft.terms.iceberg.is_zero() || allows(flag::ICEBERG);
        require(icebergs, RejectReason::IcebergNotAllowed)?;
        let trails = draft.terms.trailing_delta == 0 || allows(flag::TRAILING_STOP);
        require(trails, RejectReason::TrailingStopNotAllowed)?;
        require(!draft.is_pegged() || allows(flag::PEGGED), RejectReason::PeggedNotAllowed)?;
    }
    let taken_in_auction = || {
        let is_limit = new.kind == OrderKind::Limit && new.time_in_force == TimeInForce::Gtc;
        let is_market = new.kind == OrderKind::Market && !by_quote;
        rules.status.is_auction() && !draft.has_terms && !draft.is_listed && (is_limit || is_market)
    };
    let is_open = rules.status == InstrumentStatus::Trading || taken_in_auction();
    require(is_open, RejectReason::MarketClosed)
}

/// PRICE_FILTER of a limit price.
#[inline]
pub(crate) fn check_price_grid(market: &Market, price: Price) -> Refusal {
    require(market.rules.price.fits_price(price), RejectReason::PriceFilter)
}

/// LOT_SIZE, ICEBERG_PARTS and, for market kinds, MARKET_LOT_SIZE: for new orders and amends.
#[inline]
pub(crate) fn check_lots(
    kind: OrderKind,
    quantity: Quantity,
    iceberg: Quantity,
    market: &Market,
) -> Refusal {
    let rules = &market.rules;
    require(rules.lots.fits_quantity(quantity), RejectReason::LotSize)?;
    if !iceberg.is_zero() {
        require(rules.lots.fits_quantity(iceberg), RejectReason::LotSize)?;
        check_iceberg_parts(quantity, iceberg, market)?;
    }
    let fits = kind.is_limit() || rules.market_lots.fits_quantity(quantity);
    require(fits, RejectReason::MarketLotSize)
}

/// ICEBERG_PARTS, and our own bound on them: each part is a trade of its own.
pub(crate) fn check_iceberg_parts(
    quantity: Quantity,
    iceberg: Quantity,
    market: &Market,
) -> Refusal {
    let parts_max = match market.definition().filters.iceberg_parts {
        parts_max if market.rules.has(filter::ICEBERG_PARTS) && parts_max != 0 => parts_max,
        _ => ICEBERG_PARTS_MAX,
    };
    let parts = quantity.0.div_ceil(iceberg.0.max(1));
    require(parts <= u64::from(parts_max.min(ICEBERG_PARTS_MAX)), RejectReason::IcebergParts)
}

/// §3.16.
#[inline]
fn would_trigger(new: &OrderRequest, market: &Market) -> bool {
    new.kind.is_contingent()
        && !new.stop_price.is_zero()
        && market.last_price().is_some_and(|last| match new.kind.fires_on_rise(new.side) {
            true => last >= new.stop_price,
            false => last <= new.stop_price,
        })
}
