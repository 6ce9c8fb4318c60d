//! A new order's parameters: which belong to which type, and in which order they are refused
//! (rest-api.md, "Additional mandatory parameters").

use marketdata::Instrument;
use protocol::command::OrderRequest;
use protocol::{AccountId, OrderKind, Price, Quantity, QuantityUnit, Side, StpMode, TimeInForce};

use super::client_order_id;
use crate::core::Core;
use crate::endpoint::Call;
use crate::error::ApiError;
use crate::params::Params;
use crate::reports::ResponseKind;

/// `strategyType` below this is the venue's own.
const STRATEGY_TYPE_MIN: u64 = 1_000_000;

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

/// A new order as its parameters state it.
pub(super) fn read(
    core: &Core,
    call: &Call<'_>,
    account: AccountId,
    instrument: &Instrument,
) -> Result<OrderRequest, ApiError> {
    let params = call.params;
    let side = Side::parse(params.required("side")?)
        .ok_or_else(|| ApiError::new(-1117, "Invalid side."))?;
    let kind = OrderKind::parse(params.required("type")?)
        .ok_or_else(|| ApiError::new(-1116, "Invalid orderType."))?;
    let shape = shape(kind);
    let time_in_force = time_in_force(params, &shape)?;
    let (quantity, quantity_unit) = quantity(params, kind)?;
    let price = expected_price(params, "price", shape.price)?;
    let stop_price = stop_price(params, &shape)?;
    refuse_later_kinds(params)?;
    let stp_mode = stp_mode(params, instrument.definition.default_stp_mode)?;
    let (strategy_id, strategy_type) = strategy(params)?;
    let named = client_order_id(params, "newClientOrderId")?;
    Ok(OrderRequest {
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
    })
}

fn time_in_force(params: &Params<'_>, shape: &Shape) -> Result<TimeInForce, ApiError> {
    match (params.get("timeInForce"), shape.time_in_force) {
        (Some(_), false) => Err(ApiError::not_required("timeInForce")),
        (None, false) => Ok(TimeInForce::Gtc),
        (None, true) => Err(ApiError::mandatory("timeInForce")),
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

fn expected_price(params: &Params<'_>, name: &str, is_needed: bool) -> Result<Price, ApiError> {
    match (params.price(name)?, is_needed) {
        (Some(price), true) => Ok(price),
        (None, true) => Err(ApiError::mandatory(name)),
        (Some(_), false) => Err(ApiError::not_required(name)),
        (None, false) => Ok(Price::ZERO),
    }
}

fn stop_price(params: &Params<'_>, shape: &Shape) -> Result<Price, ApiError> {
    if !shape.stop_price && params.has("trailingDelta") {
        return Err(ApiError::not_required("trailingDelta"));
    }
    let has_neither = !params.has("stopPrice") && !params.has("trailingDelta");
    if shape.stop_price && has_neither {
        return Err(ApiError::either("stopPrice", "trailingDelta"));
    }
    if params.has("trailingDelta") {
        params.integer("trailingDelta")?;
        let text = "Trailing stop orders are not supported for this symbol.";
        return Err(ApiError::new(-2010, text));
    }
    expected_price(params, "stopPrice", shape.stop_price)
}

/// What exchangeInfo says that no symbol has.
fn refuse_later_kinds(params: &Params<'_>) -> Result<(), ApiError> {
    // An iceberg that shows nothing apart is none.
    if params.quantity("icebergQty")?.is_some_and(|shown| !shown.is_zero()) {
        let text = "Iceberg orders are not supported for this symbol.";
        return Err(ApiError::new(-2010, text));
    }
    if ["pegPriceType", "pegOffsetValue", "pegOffsetType"].iter().any(|name| params.has(name)) {
        return Err(ApiError::new(-2010, "Pegged orders are not supported for this symbol."));
    }
    Ok(())
}

fn stp_mode(params: &Params<'_>, default: StpMode) -> Result<StpMode, ApiError> {
    match params.get("selfTradePreventionMode") {
        None => Ok(default),
        Some(text) => {
            StpMode::parse(text).ok_or_else(|| ApiError::invalid("selfTradePreventionMode"))
        }
    }
}

fn strategy(params: &Params<'_>) -> Result<(i64, u32), ApiError> {
    let id = params.signed("strategyId")?.unwrap_or(0);
    let Some(kind) = params.integer("strategyType")? else { return Ok((id, 0)) };
    if kind < STRATEGY_TYPE_MIN {
        return Err(ApiError::new(-1134, "`strategyType` was less than 1000000."));
    }
    let kind = u32::try_from(kind).map_err(|_| ApiError::overflow("strategyType"))?;
    Ok((id, kind))
}

/// `newOrderRespType`: FULL for LIMIT and MARKET, ACK for the others, unless it says otherwise.
pub(super) fn response_kind(
    params: &Params<'_>,
    kind: OrderKind,
) -> Result<ResponseKind, ApiError> {
    match params.get("newOrderRespType") {
        None if matches!(kind, OrderKind::Limit | OrderKind::Market) => Ok(ResponseKind::Full),
        None | Some("ACK") => Ok(ResponseKind::Ack),
        Some("RESULT") => Ok(ResponseKind::Result),
        Some("FULL") => Ok(ResponseKind::Full),
        Some(_) => Err(ApiError::invalid("newOrderRespType")),
    }
}
