//! Endpoints that need a signature: orders, and what an account may know about itself.

mod account;
mod lists;
mod orders;
mod queries;
mod terms;
#[cfg(test)]
mod tests;

pub(crate) use orders::over_the_limit;

use axum::http::Method;
use marketdata::Instrument;
use protocol::command::ClientOrderId;
use protocol::{OrderId, OrderListId};

use crate::core::Core;
use crate::endpoint::{Endpoint, Run, Security, weight};
use crate::error::ApiError;
use crate::params::{CLIENT_ORDER_ID_RANGE, Params};
use crate::pending::AMEND_WEIGHT;

/// A new order's parameters besides the mandatory three, and those of one more kind of request.
macro_rules! order_parameters {
    ($($more:literal),* $(,)?) => {
        &[
            "timeInForce",
            "quantity",
            "quoteOrderQty",
            "price",
            "newClientOrderId",
            "strategyId",
            "strategyType",
            "stopPrice",
            "trailingDelta",
            "icebergQty",
            "newOrderRespType",
            "selfTradePreventionMode",
            "pegPriceType",
            "pegOffsetValue",
            "pegOffsetType",
            $($more,)*
        ]
    };
}

const ORDER: &[&str] = order_parameters!();
const TEST: &[&str] = order_parameters!("computeCommissionRates");
const CANCEL_REPLACE: &[&str] = order_parameters!(
    "cancelOrderId",
    "cancelOrigClientOrderId",
    "cancelNewClientOrderId",
    "cancelRestrictions",
    "orderRateLimitExceededMode",
);

fn test_weight(params: &Params<'_>) -> u32 {
    match params.boolean("computeCommissionRates") {
        Ok(Some(true)) => 20,
        _ => 1,
    }
}

fn open_orders_weight(params: &Params<'_>) -> u32 {
    if params.has("symbol") { 6 } else { 80 }
}

fn my_trades_weight(params: &Params<'_>) -> u32 {
    if params.has("orderId") { 5 } else { 20 }
}

fn prevented_weight(params: &Params<'_>) -> u32 {
    if params.has("orderId") { 20 } else { 2 }
}

const fn trade(
    method: &'static str,
    rest: (Method, &'static str),
    mandatory: &'static [&'static str],
    optional: &'static [&'static str],
    weight: fn(&Params<'_>) -> u32,
    run: Run,
) -> Endpoint {
    Endpoint { method, rest, security: Security::Trade, mandatory, optional, weight, run }
}

const fn read(
    method: &'static str,
    rest: (Method, &'static str),
    mandatory: &'static [&'static str],
    optional: &'static [&'static str],
    weight: fn(&Params<'_>) -> u32,
    run: Run,
) -> Endpoint {
    Endpoint { method, rest, security: Security::UserData, mandatory, optional, weight, run }
}

/// Every signed endpoint.
pub const ENDPOINTS: &[Endpoint] = &[
    trade(
        "order.place",
        (Method::POST, "/api/v3/order"),
        &["symbol", "side", "type"],
        ORDER,
        weight::<1>,
        Run::Command(orders::place),
    ),
    trade(
        "order.test",
        (Method::POST, "/api/v3/order/test"),
        &["symbol", "side", "type"],
        TEST,
        test_weight,
        Run::Command(orders::test),
    ),
    trade(
        "order.cancel",
        (Method::DELETE, "/api/v3/order"),
        &["symbol"],
        &["orderId", "origClientOrderId", "newClientOrderId", "cancelRestrictions"],
        weight::<1>,
        Run::Command(orders::cancel),
    ),
    trade(
        "order.cancelReplace",
        (Method::POST, "/api/v3/order/cancelReplace"),
        &["symbol", "side", "type", "cancelReplaceMode"],
        CANCEL_REPLACE,
        weight::<1>,
        Run::Command(orders::cancel_replace),
    ),
    trade(
        "order.amend.keepPriority",
        (Method::PUT, "/api/v3/order/amend/keepPriority"),
        &["symbol", "newQty"],
        &["orderId", "origClientOrderId", "newClientOrderId"],
        weight::<AMEND_WEIGHT>,
        Run::Command(orders::amend),
    ),
    trade(
        "openOrders.cancelAll",
        (Method::DELETE, "/api/v3/openOrders"),
        &["symbol"],
        &[],
        weight::<1>,
        Run::Command(orders::cancel_all),
    ),
    trade(
        "orderList.place",
        (Method::POST, "/api/v3/order/oco"),
        &["symbol", "side", "quantity", "price"],
        lists::PLAIN_OCO,
        weight::<1>,
        Run::Command(lists::plain_oco),
    ),
    trade(
        "orderList.place.oco",
        (Method::POST, "/api/v3/orderList/oco"),
        &["symbol", "side", "quantity", "aboveType", "belowType"],
        lists::OCO,
        weight::<1>,
        Run::Command(lists::oco),
    ),
    trade(
        "orderList.place.oto",
        (Method::POST, "/api/v3/orderList/oto"),
        &[
            "symbol",
            "workingType",
            "workingSide",
            "workingQuantity",
            "pendingType",
            "pendingSide",
            "pendingQuantity",
        ],
        lists::OTO,
        weight::<1>,
        Run::Command(lists::oto),
    ),
    trade(
        "orderList.place.otoco",
        (Method::POST, "/api/v3/orderList/otoco"),
        &[
            "symbol",
            "workingType",
            "workingSide",
            "workingQuantity",
            "pendingSide",
            "pendingQuantity",
            "pendingAboveType",
        ],
        lists::OTOCO,
        weight::<1>,
        Run::Command(lists::otoco),
    ),
    trade(
        "orderList.place.opo",
        (Method::POST, "/api/v3/orderList/opo"),
        &["symbol", "workingType", "workingSide", "workingQuantity", "pendingType", "pendingSide"],
        lists::OPO,
        weight::<1>,
        Run::Command(lists::opo),
    ),
    trade(
        "orderList.place.opoco",
        (Method::POST, "/api/v3/orderList/opoco"),
        &[
            "symbol",
            "workingType",
            "workingSide",
            "workingQuantity",
            "pendingSide",
            "pendingAboveType",
        ],
        lists::OPOCO,
        weight::<1>,
        Run::Command(lists::opoco),
    ),
    trade(
        "orderList.cancel",
        (Method::DELETE, "/api/v3/orderList"),
        &["symbol"],
        &["orderListId", "listClientOrderId", "newClientOrderId"],
        weight::<1>,
        Run::Command(lists::cancel),
    ),
    read(
        "order.status",
        (Method::GET, "/api/v3/order"),
        &["symbol"],
        &["orderId", "origClientOrderId"],
        weight::<4>,
        Run::Query(queries::order),
    ),
    read(
        "openOrders.status",
        (Method::GET, "/api/v3/openOrders"),
        &[],
        &["symbol"],
        open_orders_weight,
        Run::Query(queries::open_orders),
    ),
    read(
        "allOrders",
        (Method::GET, "/api/v3/allOrders"),
        &["symbol"],
        &["orderId", "startTime", "endTime", "limit"],
        weight::<20>,
        Run::Query(queries::all_orders),
    ),
    read(
        "myTrades",
        (Method::GET, "/api/v3/myTrades"),
        &["symbol"],
        &["orderId", "startTime", "endTime", "fromId", "limit"],
        my_trades_weight,
        Run::Query(queries::my_trades),
    ),
    read(
        "myPreventedMatches",
        (Method::GET, "/api/v3/myPreventedMatches"),
        &["symbol"],
        &["preventedMatchId", "orderId", "fromPreventedMatchId", "limit"],
        prevented_weight,
        Run::Query(queries::prevented_matches),
    ),
    read(
        "order.amendments",
        (Method::GET, "/api/v3/order/amendments"),
        &["symbol", "orderId"],
        &["fromExecutionId", "limit"],
        weight::<4>,
        Run::Query(queries::amendments),
    ),
    read(
        "account.status",
        (Method::GET, "/api/v3/account"),
        &[],
        &["omitZeroBalances"],
        weight::<20>,
        Run::Query(account::account),
    ),
    read(
        "account.commission",
        (Method::GET, "/api/v3/account/commission"),
        &["symbol"],
        &[],
        weight::<20>,
        Run::Query(account::commission),
    ),
    read(
        "account.rateLimits.orders",
        (Method::GET, "/api/v3/rateLimit/order"),
        &[],
        &[],
        weight::<40>,
        Run::Query(account::order_rate_limits),
    ),
    read(
        "myFilters",
        (Method::GET, "/api/v3/myFilters"),
        &["symbol"],
        &[],
        weight::<40>,
        Run::Query(account::my_filters),
    ),
    read(
        "myAllocations",
        (Method::GET, "/api/v3/myAllocations"),
        &["symbol"],
        &["startTime", "endTime", "fromAllocationId", "limit", "orderId"],
        weight::<20>,
        Run::Query(account::allocations),
    ),
    read(
        "orderList.status",
        (Method::GET, "/api/v3/orderList"),
        &[],
        &["orderListId", "origClientOrderId"],
        weight::<4>,
        Run::Query(queries::order_list),
    ),
    read(
        "allOrderLists",
        (Method::GET, "/api/v3/allOrderList"),
        &[],
        &["fromId", "startTime", "endTime", "limit"],
        weight::<20>,
        Run::Query(queries::all_order_lists),
    ),
    read(
        "openOrderLists.status",
        (Method::GET, "/api/v3/openOrderList"),
        &[],
        &[],
        weight::<6>,
        Run::Query(queries::open_order_lists),
    ),
];

/// The instrument of the parameter `symbol`.
fn instrument<'c>(core: &'c Core, params: &Params<'_>) -> Result<&'c Instrument, ApiError> {
    let symbol = params.required("symbol")?;
    core.market.by_symbol(symbol).ok_or_else(|| {
        let is_odd = |it: char| it.is_lowercase() || !(it.is_alphanumeric() || "-._&".contains(it));
        match symbol.contains(is_odd) {
            true => ApiError::illegal("symbol", crate::params::SYMBOL_RANGE),
            false => ApiError::symbol(),
        }
    })
}

fn client_order_id(params: &Params<'_>, name: &str) -> Result<Option<ClientOrderId>, ApiError> {
    let Some(text) = params.get(name) else { return Ok(None) };
    let is_plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':' | b'/');
    match ClientOrderId::new(text) {
        Ok(id) if text.bytes().all(is_plain) => Ok(Some(id)),
        _ => Err(ApiError::illegal(name, CLIENT_ORDER_ID_RANGE)),
    }
}

fn order_id(params: &Params<'_>, name: &str) -> Result<Option<OrderId>, ApiError> {
    Ok(params.integer(name)?.map(OrderId))
}

fn order_list_id(params: &Params<'_>, name: &str) -> Result<Option<OrderListId>, ApiError> {
    Ok(params.integer(name)?.map(OrderListId))
}
