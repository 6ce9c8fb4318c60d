//! Order lists: their parameters, which orders fit together, and the commands they become
//! (rest-api.md, "Order lists"; the codes are errors.md's).

use protocol::command::*;
use protocol::{OrderKind, OrderListId, OrderListKind, Quantity, QuantityUnit, Side, TimeInForce};

use super::orders::envelope;
use super::terms::{Basics, Names, Reader, response_kind_or};
use super::{client_order_id, instrument, order_list_id};
use crate::core::Core;
use crate::endpoint::{Asked, Call};
use crate::error::ApiError;
use crate::pending::Expect;
use crate::reports::ResponseKind;

/// Optional parameters of a request for a list: of working orders, of orders that may be contingent
/// (both by the prefix of their names), and further ones.
macro_rules! list_parameters {
    ([$($working:literal),*], [$($prefix:literal),*], [$($more:literal),*]) => {
        &[
            "listClientOrderId",
            "newOrderRespType",
            "selfTradePreventionMode",
            $($more,)*
            $(
                concat!($working, "ClientOrderId"),
                concat!($working, "Price"),
                concat!($working, "TimeInForce"),
                concat!($working, "IcebergQty"),
                concat!($working, "StrategyId"),
                concat!($working, "StrategyType"),
                concat!($working, "PegPriceType"),
                concat!($working, "PegOffsetType"),
                concat!($working, "PegOffsetValue"),
            )*
            $(
                concat!($prefix, "ClientOrderId"),
                concat!($prefix, "Price"),
                concat!($prefix, "StopPrice"),
                concat!($prefix, "TrailingDelta"),
                concat!($prefix, "TimeInForce"),
                concat!($prefix, "IcebergQty"),
                concat!($prefix, "StrategyId"),
                concat!($prefix, "StrategyType"),
                concat!($prefix, "PegPriceType"),
                concat!($prefix, "PegOffsetType"),
                concat!($prefix, "PegOffsetValue"),
            )*
        ]
    };
}

pub(super) const OCO: &[&str] = list_parameters!([], ["above", "below"], []);
pub(super) const OTO: &[&str] = list_parameters!(["working"], ["pending"], []);
pub(super) const OTOCO: &[&str] =
    list_parameters!(["working"], ["pendingAbove", "pendingBelow"], ["pendingBelowType"]);
// Read to be refused with a code of its own.
pub(super) const OPO: &[&str] = list_parameters!(["working"], ["pending"], ["pendingQuantity"]);
pub(super) const OPOCO: &[&str] = list_parameters!(
    ["working"],
    ["pendingAbove", "pendingBelow"],
    ["pendingBelowType", "pendingQuantity"]
);
/// Of the deprecated request for an OCO.
pub(super) const PLAIN_OCO: &[&str] = &[
    "listClientOrderId",
    "newOrderRespType",
    "selfTradePreventionMode",
    "limitClientOrderId",
    "limitStrategyId",
    "limitStrategyType",
    "limitIcebergQty",
    "stopPrice",
    "trailingDelta",
    "stopClientOrderId",
    "stopStrategyId",
    "stopStrategyType",
    "stopLimitPrice",
    "stopLimitTimeInForce",
    "stopIcebergQty",
];

/// The names of an order's own parameters behind a prefix.
macro_rules! names {
    ($prefix:literal) => {
        Names {
            time_in_force: concat!($prefix, "TimeInForce"),
            price: concat!($prefix, "Price"),
            stop_price: concat!($prefix, "StopPrice"),
            trailing_delta: concat!($prefix, "TrailingDelta"),
            iceberg: concat!($prefix, "IcebergQty"),
            client_order_id: concat!($prefix, "ClientOrderId"),
            strategy_id: concat!($prefix, "StrategyId"),
            strategy_type: concat!($prefix, "StrategyType"),
            peg: concat!($prefix, "PegPriceType"),
            peg_offset: concat!($prefix, "PegOffsetType"),
            peg_level: concat!($prefix, "PegOffsetValue"),
        }
    };
}

static WORKING: Names = names!("working");
static PENDING: Names = names!("pending");

/// One order of a pair: the name of its type, and those of its own parameters.
type PairNames = [(&'static str, Names); 2];

static PAIR: PairNames = [("aboveType", names!("above")), ("belowType", names!("below"))];
static PENDING_PAIR: PairNames =
    [("pendingAboveType", names!("pendingAbove")), ("pendingBelowType", names!("pendingBelow"))];

/// The two orders of the deprecated OCO.
static LIMIT: Names = Names {
    price: "price",
    iceberg: "limitIcebergQty",
    client_order_id: "limitClientOrderId",
    strategy_id: "limitStrategyId",
    strategy_type: "limitStrategyType",
    ..Names::NONE
};
static STOP: Names = Names {
    time_in_force: "stopLimitTimeInForce",
    price: "stopLimitPrice",
    stop_price: "stopPrice",
    trailing_delta: "trailingDelta",
    iceberg: "stopIcebergQty",
    client_order_id: "stopClientOrderId",
    strategy_id: "stopStrategyId",
    strategy_type: "stopStrategyType",
    ..Names::NONE
};

/// `POST /api/v3/orderList/oco`
pub(super) fn oco(core: &Core, call: &Call<'_>) -> Asked {
    let reader = Reader::new(core, call)?;
    let quantity = needed_quantity(&reader, "quantity")?;
    let pair = pair(&reader, reader.side("side")?, quantity, &PAIR)?;
    place(call, &reader, OrderListKind::Oco, &pair)
}

/// `POST /api/v3/order/oco`, deprecated: the prices tell the types.
pub(super) fn plain_oco(core: &Core, call: &Call<'_>) -> Asked {
    let reader = Reader::new(core, call)?;
    let side = reader.side("side")?;
    let quantity = needed_quantity(&reader, "quantity")?;
    let kind = match reader.params.has("stopLimitPrice") {
        true => OrderKind::StopLossLimit,
        false => OrderKind::StopLoss,
    };
    let limit = reader.listed(&LIMIT, base(side, OrderKind::LimitMaker, quantity))?;
    let stop = reader.listed(&STOP, base(side, kind, quantity))?;
    shown_until_canceled(&stop, &STOP)?;
    place(call, &reader, OrderListKind::Oco, &[stop, limit])
}

/// `POST /api/v3/orderList/oto`
pub(super) fn oto(core: &Core, call: &Call<'_>) -> Asked {
    let reader = Reader::new(core, call)?;
    let working = working(&reader)?;
    let quantity = needed_quantity(&reader, "pendingQuantity")?;
    let pending = pending(&reader, reader.side("pendingSide")?, quantity)?;
    place(call, &reader, OrderListKind::Oto, &[working, pending])
}

/// `POST /api/v3/orderList/otoco`
pub(super) fn otoco(core: &Core, call: &Call<'_>) -> Asked {
    let reader = Reader::new(core, call)?;
    let working = working(&reader)?;
    let quantity = needed_quantity(&reader, "pendingQuantity")?;
    let [first, second] = pair(&reader, reader.side("pendingSide")?, quantity, &PENDING_PAIR)?;
    place(call, &reader, OrderListKind::Otoco, &[working, first, second])
}

/// `POST /api/v3/orderList/opo`
pub(super) fn opo(core: &Core, call: &Call<'_>) -> Asked {
    let reader = Reader::new(core, call)?;
    let working = working(&reader)?;
    let pending = pending(&reader, paid_side(&reader)?, Quantity::ZERO)?;
    place(call, &reader, OrderListKind::Opo, &[working, pending])
}

/// `POST /api/v3/orderList/opoco`
pub(super) fn opoco(core: &Core, call: &Call<'_>) -> Asked {
    let reader = Reader::new(core, call)?;
    let working = working(&reader)?;
    let side = paid_side(&reader)?;
    let [first, second] = pair(&reader, side, Quantity::ZERO, &PENDING_PAIR)?;
    place(call, &reader, OrderListKind::Opoco, &[working, first, second])
}

fn place(
    call: &Call<'_>,
    reader: &Reader<'_>,
    kind: OrderListKind,
    listed: &[ListedOrder],
) -> Asked {
    let response = response_kind_or(reader.params, ResponseKind::Full)?;
    let named = client_order_id(reader.params, "listClientOrderId")?;
    let mut orders = [ListedOrder::EMPTY; LISTED_ORDERS_MAX];
    for (place, order) in orders.iter_mut().zip(listed) {
        *place = *order;
    }
    let command = NewOrderList {
        envelope: envelope(call),
        account: reader.account,
        instrument: reader.instrument.id,
        kind,
        list_client_order_id: named.unwrap_or_else(|| reader.core.draw_client_order_id()),
        orders,
    };
    let allowed = reader.instrument.definition.order_kinds;
    let mut kinds = listed.iter().map(|it| it.request.kind);
    let refused = kinds.find(|kind| allowed & kind.bit() == 0).unwrap_or(OrderKind::Limit);
    let orders = listed.len() as u32;
    Ok((command.into(), Expect::PlaceList { kind: refused, response, orders }))
}

fn needed_quantity(reader: &Reader<'_>, name: &str) -> Result<Quantity, ApiError> {
    reader.params.quantity(name)?.ok_or_else(|| ApiError::mandatory(name))
}

const fn base(side: Side, kind: OrderKind, quantity: Quantity) -> Basics {
    Basics { side, kind, quantity, quantity_unit: QuantityUnit::Base }
}

fn working(reader: &Reader<'_>) -> Result<ListedOrder, ApiError> {
    let kind = reader.kind("workingType")?;
    if !matches!(kind, OrderKind::Limit | OrderKind::LimitMaker) {
        return Err(ApiError::invalid("workingType"));
    }
    let quantity = needed_quantity(reader, "workingQuantity")?;
    reader.listed(&WORKING, base(reader.side("workingSide")?, kind, quantity))
}

fn pending(reader: &Reader<'_>, side: Side, quantity: Quantity) -> Result<ListedOrder, ApiError> {
    reader.listed(&PENDING, base(side, reader.kind("pendingType")?, quantity))
}

/// Of the orders that another pays: they sell what it buys, however much that is (opo.md).
fn paid_side(reader: &Reader<'_>) -> Result<Side, ApiError> {
    if reader.side("workingSide")? != Side::Buy {
        return Err(ApiError::new(-1222, "Working order in an OPO list must be a bid."));
    }
    let side = reader.side("pendingSide")?;
    if side != Side::Sell {
        return Err(ApiError::new(-1223, "Pending orders in an OPO list must be asks."));
    }
    match reader.params.has("pendingQuantity") {
        true => {
            let text = "Pending orders should not include the 'pendingQuantity' tag.";
            Err(ApiError::new(-1225, text))
        }
        false => Ok(side),
    }
}

/// The two orders of which one cancels the other, the stop-loss first.
fn pair(
    reader: &Reader<'_>,
    side: Side,
    quantity: Quantity,
    [above, below]: &PairNames,
) -> Result<[ListedOrder; 2], ApiError> {
    let kinds = [paired_kind(reader, above.0)?, paired_kind(reader, below.0)?];
    if kinds == [OrderKind::LimitMaker; 2] {
        return Err(ApiError::new(-1168, "At least one OCO order must be contingent."));
    }
    stands_right(side, kinds[0], true)?;
    stands_right(side, kinds[1], false)?;
    let above_order = reader.listed(&above.1, base(side, kinds[0], quantity))?;
    let below_order = reader.listed(&below.1, base(side, kinds[1], quantity))?;
    shown_until_canceled(&above_order, &above.1)?;
    shown_until_canceled(&below_order, &below.1)?;
    Ok(match is_stop_loss(kinds[0]) {
        true => [above_order, below_order],
        false => [below_order, above_order],
    })
}

fn paired_kind(reader: &Reader<'_>, name: &str) -> Result<OrderKind, ApiError> {
    match reader.kind(name)? {
        OrderKind::Limit | OrderKind::Market => {
            Err(ApiError::new(-1158, "Order type not supported in OCO."))
        }
        kind => Ok(kind),
    }
}

const fn is_stop_loss(kind: OrderKind) -> bool {
    matches!(kind, OrderKind::StopLoss | OrderKind::StopLossLimit)
}

/// Of a pair a stop-loss stands where the price turns against the owner, the other one opposite.
fn stands_right(side: Side, kind: OrderKind, is_above: bool) -> Result<(), ApiError> {
    if (side == Side::Buy) == (is_stop_loss(kind) == is_above) {
        return Ok(());
    }
    let (code, text) = match (kind, side) {
        (OrderKind::StopLoss | OrderKind::StopLossLimit, Side::Buy) => {
            (-1196, "A stop loss order in a buy OCO must be above.")
        }
        (OrderKind::StopLoss | OrderKind::StopLossLimit, Side::Sell) => {
            (-1197, "A stop loss order in a sell OCO must be below.")
        }
        (OrderKind::TakeProfit | OrderKind::TakeProfitLimit, Side::Buy) => {
            (-1198, "A take profit order in a buy OCO must be below.")
        }
        (OrderKind::TakeProfit | OrderKind::TakeProfitLimit, Side::Sell) => {
            (-1199, "A take profit order in a sell OCO must be above.")
        }
        (_, Side::Buy) => (-1165, "A limit order in a buy OCO must be below."),
        (_, Side::Sell) => (-1166, "A limit order in a sell OCO must be above."),
    };
    Err(ApiError::new(code, text))
}

/// An iceberg of a pair is GTC.
fn shown_until_canceled(order: &ListedOrder, names: &Names) -> Result<(), ApiError> {
    if order.terms.iceberg.is_zero() || order.request.time_in_force == TimeInForce::Gtc {
        return Ok(());
    }
    let Names { iceberg, time_in_force, .. } = names;
    let text = format!("Parameter '{iceberg}' is not supported if `{time_in_force}` is not GTC.");
    Err(ApiError::new(-1160, text))
}

/// `DELETE /api/v3/orderList`
pub(super) fn cancel(core: &Core, call: &Call<'_>) -> Asked {
    let (account, instrument) = (call.account()?, instrument(core, call.params)?.id);
    let list = order_list_id(call.params, "orderListId")?;
    let named = client_order_id(call.params, "listClientOrderId")?;
    // Id 0 is no list, and would mean "by name".
    let list = match (list, named) {
        (None, None) => return Err(ApiError::either("orderListId", "listClientOrderId")),
        (Some(OrderListId::NONE), _) => OrderListId(u64::MAX),
        (list, _) => list.unwrap_or(OrderListId::NONE),
    };
    let cancel = client_order_id(call.params, "newClientOrderId")?;
    let command = CancelOrderList {
        envelope: envelope(call),
        account,
        instrument,
        list,
        list_client_order_id: named.unwrap_or(ClientOrderId::EMPTY),
        cancel_client_order_id: cancel.unwrap_or(ClientOrderId::EMPTY),
    };
    Ok((command.into(), Expect::Cancel))
}
