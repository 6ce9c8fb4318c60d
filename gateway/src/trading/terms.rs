//! A new order's parameters: which belong to which type, and in which order they are refused
//! (rest-api.md, "Additional mandatory parameters" and "Pegged Orders"). What depends on the state of
//! the market, or on what a symbol allows, is refused by the engine.

use marketdata::Instrument;
use protocol::command::{ListedOrder, OrderRequest, OrderTerms, PEG_LEVEL_MAX};
use protocol::{
    AccountId, OrderKind, PegPrice, Price, Quantity, QuantityUnit, Side, StpMode, TimeInForce,
};

use super::client_order_id;
use crate::core::Core;
use crate::endpoint::Call;
use crate::error::ApiError;
use crate::params::Params;
use crate::reports::{PRICE_LEVEL, ResponseKind};

/// `strategyType` below this is the venue's own.
const STRATEGY_TYPE_MIN: u64 = 1_000_000;

/// What an order's own parameters are called; empty where a request has no such parameter.
pub(super) struct Names {
    pub(super) time_in_force: &'static str,
    pub(super) price: &'static str,
    pub(super) stop_price: &'static str,
    pub(super) trailing_delta: &'static str,
    pub(super) iceberg: &'static str,
    pub(super) client_order_id: &'static str,
    pub(super) strategy_id: &'static str,
    pub(super) strategy_type: &'static str,
    pub(super) peg: &'static str,
    pub(super) peg_offset: &'static str,
    pub(super) peg_level: &'static str,
}

impl Names {
    pub(super) const NONE: Names = Names {
        time_in_force: "",
        price: "",
        stop_price: "",
        trailing_delta: "",
        iceberg: "",
        client_order_id: "",
        strategy_id: "",
        strategy_type: "",
        peg: "",
        peg_offset: "",
        peg_level: "",
    };

    /// Of a single order.
    const PLAIN: Names = Names {
        time_in_force: "timeInForce",
        price: "price",
        stop_price: "stopPrice",
        trailing_delta: "trailingDelta",
        iceberg: "icebergQty",
        client_order_id: "newClientOrderId",
        strategy_id: "strategyId",
        strategy_type: "strategyType",
        peg: "pegPriceType",
        peg_offset: "pegOffsetType",
        peg_level: "pegOffsetValue",
    };
}

/// What an order of a list shares with others of it, or what is called otherwise there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Basics {
    pub(super) side: Side,
    pub(super) kind: OrderKind,
    pub(super) quantity: Quantity,
    pub(super) quantity_unit: QuantityUnit,
}

/// Which parameters a type needs, may have and may not have.
struct Shape {
    time_in_force: bool,
    price: bool,
    stop_price: bool,
}

const fn shape(kind: OrderKind) -> Shape {
    let (time_in_force, price, stop_price) = match kind {
        OrderKind::Limit => (true, true, false),
        OrderKind::LimitMaker => (false, true, false),
        OrderKind::Market => (false, false, false),
        OrderKind::StopLoss | OrderKind::TakeProfit => (false, false, true),
        OrderKind::StopLossLimit | OrderKind::TakeProfitLimit => (true, true, true),
    };
    Shape { time_in_force, price, stop_price }
}

/// Reads new orders from the parameters of a request.
pub(super) struct Reader<'a> {
    pub(super) core: &'a Core,
    pub(super) params: &'a Params<'a>,
    pub(super) account: AccountId,
    pub(super) instrument: &'a Instrument,
}

impl<'a> Reader<'a> {
    pub(super) fn new(core: &'a Core, call: &'a Call<'_>) -> Result<Reader<'a>, ApiError> {
        let (account, params) = (call.account()?, call.params);
        Ok(Reader { core, params, account, instrument: super::instrument(core, params)? })
    }

    /// The order of a request for a single one.
    pub(super) fn order(&self) -> Result<ListedOrder, ApiError> {
        let (side, kind) = (self.side("side")?, self.kind("type")?);
        // Before the quantity, which a type without a time in force has, too.
        time_in_force(self.params, &Names::PLAIN, &shape(kind))?;
        let (quantity, quantity_unit) = quantity(self.params, kind)?;
        self.listed(&Names::PLAIN, Basics { side, kind, quantity, quantity_unit })
    }

    /// One order under its own names.
    pub(super) fn listed(&self, names: &Names, basics: Basics) -> Result<ListedOrder, ApiError> {
        let Reader { core, params, account, instrument } = *self;
        let Basics { side, kind, quantity, quantity_unit } = basics;
        let shape = shape(kind);
        let time_in_force = time_in_force(params, names, &shape)?;
        let price = price(params, names, &shape)?;
        let (stop_price, trailing_delta) = trigger(params, names, &shape)?;
        let iceberg = iceberg(params, names, &shape)?;
        let (peg, peg_level) = peg(params, names)?;
        let stp_mode = stp_mode(params, instrument.definition.default_stp_mode)?;
        let (strategy_id, strategy_type) = strategy(params, names)?;
        let named = client_order_id(params, names.client_order_id)?;
        let request = OrderRequest {
            account,
            instrument: instrument.id,
            side,
            kind,
            time_in_force,
            stp_mode,
            quantity_unit,
            price,
            quantity,
            stop_price,
            client_order_id: named.unwrap_or_else(|| core.draw_client_order_id()),
            strategy_id,
            strategy_type,
        };
        let terms = OrderTerms { iceberg, trailing_delta, peg, peg_level };
        Ok(ListedOrder { request, terms })
    }

    pub(super) fn side(&self, name: &str) -> Result<Side, ApiError> {
        let side = Side::parse(self.params.required(name)?);
        side.ok_or_else(|| ApiError::new(-1117, "Invalid side."))
    }

    pub(super) fn kind(&self, name: &str) -> Result<OrderKind, ApiError> {
        let kind = OrderKind::parse(self.params.required(name)?);
        kind.ok_or_else(|| ApiError::new(-1116, "Invalid orderType."))
    }
}

fn time_in_force(
    params: &Params<'_>,
    names: &Names,
    shape: &Shape,
) -> Result<TimeInForce, ApiError> {
    match (params.get(names.time_in_force), shape.time_in_force) {
        (Some(_), false) => Err(ApiError::not_required(names.time_in_force)),
        (None, false) => Ok(TimeInForce::Gtc),
        (None, true) => Err(ApiError::mandatory(names.time_in_force)),
        (Some(text), true) => {
            TimeInForce::parse(text).ok_or_else(|| ApiError::new(-1115, "Invalid timeInForce."))
        }
    }
}

fn quantity(params: &Params<'_>, kind: OrderKind) -> Result<(Quantity, QuantityUnit), ApiError> {
    let (base, quote) = (params.quantity("quantity")?, params.quantity("quoteOrderQty")?);
    match (kind, base, quote) {
        (OrderKind::Market, None, None) => Err(ApiError::either("quantity", "quoteOrderQty")),
        (OrderKind::Market, None, Some(quote)) => Ok((quote, QuantityUnit::Quote)),
        (_, _, Some(_)) => Err(ApiError::not_required("quoteOrderQty")),
        (_, Some(base), None) => Ok((base, QuantityUnit::Base)),
        (_, None, None) => Err(ApiError::mandatory("quantity")),
    }
}

/// The limit price; a peg stands in for it.
fn price(params: &Params<'_>, names: &Names, shape: &Shape) -> Result<Price, ApiError> {
    match (params.price(names.price)?, shape.price) {
        (Some(price), true) => Ok(price),
        (None, true) if params.has(names.peg) => Ok(Price::ZERO),
        (None, true) => Err(ApiError::mandatory(names.price)),
        (Some(_), false) => Err(ApiError::not_required(names.price)),
        (None, false) => Ok(Price::ZERO),
    }
}

/// Stop price and trailing delta: a contingent order has one of them at least.
fn trigger(params: &Params<'_>, names: &Names, shape: &Shape) -> Result<(Price, u32), ApiError> {
    let is_sent = |name: &str| params.has(name);
    if !shape.stop_price {
        let sent = [names.trailing_delta, names.stop_price].into_iter().find(|it| is_sent(it));
        return sent.map_or(Ok((Price::ZERO, 0)), |name| Err(ApiError::not_required(name)));
    }
    let stop_price = params.price(names.stop_price)?;
    // A delta of nothing is none.
    let delta = params.integer(names.trailing_delta)?.unwrap_or(0);
    let delta = u32::try_from(delta).map_err(|_| ApiError::overflow(names.trailing_delta))?;
    if stop_price.is_none() && delta == 0 {
        return Err(ApiError::either(names.stop_price, names.trailing_delta));
    }
    Ok((stop_price.unwrap_or(Price::ZERO), delta))
}

/// The part that is shown; an iceberg that shows nothing apart is none.
fn iceberg(params: &Params<'_>, names: &Names, shape: &Shape) -> Result<Quantity, ApiError> {
    let shown = params.quantity(names.iceberg)?.unwrap_or(Quantity::ZERO);
    match shown.is_zero() || shape.price {
        true => Ok(shown),
        false => Err(ApiError::not_required(names.iceberg)),
    }
}

/// What the price is pegged to, and how many levels behind it.
fn peg(params: &Params<'_>, names: &Names) -> Result<(PegPrice, u8), ApiError> {
    let peg = match params.get(names.peg) {
        None => PegPrice::None,
        Some(text) => PegPrice::parse(text)
            .filter(|peg| *peg != PegPrice::None)
            .ok_or_else(|| ApiError::new(-1210, "Invalid pegPriceType."))?,
    };
    let (offset, level) = (params.get(names.peg_offset), params.integer(names.peg_level)?);
    let level = match (offset, level) {
        (None, None) => return Ok((peg, 0)),
        (Some(PRICE_LEVEL), Some(level)) => level,
        (Some(_), Some(_)) => return Err(ApiError::new(-1211, "Invalid pegOffsetType.")),
        _ => return Err(ApiError::only_together(names.peg_offset, names.peg_level)),
    };
    if peg == PegPrice::None {
        return Err(ApiError::not_required(names.peg_offset));
    }
    let level = u8::try_from(level).ok().filter(|level| *level <= PEG_LEVEL_MAX);
    Ok((peg, level.ok_or_else(|| ApiError::invalid(names.peg_level))?))
}

fn stp_mode(params: &Params<'_>, default: StpMode) -> Result<StpMode, ApiError> {
    match params.get("selfTradePreventionMode") {
        None => Ok(default),
        Some(text) => {
            StpMode::parse(text).ok_or_else(|| ApiError::invalid("selfTradePreventionMode"))
        }
    }
}

fn strategy(params: &Params<'_>, names: &Names) -> Result<(i64, u32), ApiError> {
    let id = params.signed(names.strategy_id)?.unwrap_or(0);
    let Some(kind) = params.integer(names.strategy_type)? else { return Ok((id, 0)) };
    if kind < STRATEGY_TYPE_MIN {
        return Err(ApiError::new(-1134, "`strategyType` was less than 1000000."));
    }
    let kind = u32::try_from(kind).map_err(|_| ApiError::overflow(names.strategy_type))?;
    Ok((id, kind))
}

/// `newOrderRespType` of a single order: FULL for LIMIT and MARKET, ACK for the others, unless it
/// says otherwise.
pub(super) fn response_kind(
    params: &Params<'_>,
    kind: OrderKind,
) -> Result<ResponseKind, ApiError> {
    let is_full = matches!(kind, OrderKind::Limit | OrderKind::Market);
    response_kind_or(params, if is_full { ResponseKind::Full } else { ResponseKind::Ack })
}

pub(super) fn response_kind_or(
    params: &Params<'_>,
    default: ResponseKind,
) -> Result<ResponseKind, ApiError> {
    match params.get("newOrderRespType") {
        None => Ok(default),
        Some("ACK") => Ok(ResponseKind::Ack),
        Some("RESULT") => Ok(ResponseKind::Result),
        Some("FULL") => Ok(ResponseKind::Full),
        Some(_) => Err(ApiError::invalid("newOrderRespType")),
    }
}
