//! Orders, fills and balances in the venue's JSON: answers to their owners and user data events
//! (rest-api.md "Conditional fields in Order Responses", user-data-stream.md).

mod lists;

pub use lists::{ListStatus, amended_list, list_status, order_list};

use marketdata::{Instrument, Market};
use protocol::command::ClientOrderId;
use protocol::event::{MatchPrevented, OrderFilled};
use protocol::{
    Amount, CloseReason, ExecutionId, OrderListId, OrderStatus, RejectReason, Stamp, notional,
};

use crate::accounts::{Account, Fill, Order};
use crate::json::Json;

/// The list that an order is of; -1 for none.
fn list_field(json: &mut Json, name: &str, list: OrderListId) {
    match list {
        OrderListId::NONE => json.number_field(name, -1i64),
        OrderListId(id) => json.number_field(name, id),
    }
}

/// The only `pegOffsetType`.
pub const PRICE_LEVEL: &str = "PRICE_LEVEL";

/// `newOrderRespType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseKind {
    Ack,
    Result,
    Full,
}

/// Why an order expired (user-data-stream.md, "Order Expiry Reason").
pub const fn expiry_reason(order: &Order) -> Option<&'static str> {
    let Some(reason) = order.close_reason else { return None };
    match reason {
        CloseReason::ImmediateOrCancel => Some("UNFILLED_IOC_QUANTITY_EXPIRED"),
        CloseReason::FillOrKill => Some("UNFILLED_FOK_ORDER_EXPIRED"),
        CloseReason::NoLiquidity => Some("INSUFFICIENT_LIQUIDITY"),
        CloseReason::InsufficientBalance | CloseReason::Refused => Some("REJECTED"),
        CloseReason::ListTriggered => Some("OCO_TRIGGER"),
        CloseReason::ListExpired => Some("OTO_PHASE_ONE_EXPIRED"),
        CloseReason::PriceRange => Some("EXECUTION_RULE_PRICE_RANGE_EXCEEDED"),
        CloseReason::Interrupted | CloseReason::Exchange => Some("EXCHANGE_CANCELED"),
        CloseReason::Requested
        | CloseReason::SelfTrade
        | CloseReason::Amended
        | CloseReason::Disconnected => None,
    }
}

/// Why an order was rejected (user-data-stream.md, "Order Reject Reason"); for the other reasons the
/// document has no word.
const fn reject_reason(order: &Order) -> &'static str {
    match (order.close_reason, order.refusal) {
        (Some(CloseReason::InsufficientBalance), _)
        | (_, Some(RejectReason::InsufficientBalance)) => "INSUFFICIENT_BALANCES",
        (_, Some(RejectReason::WouldTriggerImmediately)) => "STOP_PRICE_WOULD_TRIGGER_IMMEDIATELY",
        (_, Some(RejectReason::WouldMatchImmediately)) => "WOULD_MATCH_IMMEDIATELY",
        (_, Some(RejectReason::ListPrices)) => "OCO_BAD_PRICES",
        _ => "NONE",
    }
}

/// Answer to a new order. `fills`: this command's fills of the order.
pub fn new_order(
    json: &mut Json,
    symbol: &str,
    order: &Order,
    kind: ResponseKind,
    fills: &[OrderFilled],
    market: &Market,
) {
    json.text_field("symbol", symbol);
    json.number_field("orderId", order.id.0);
    list_field(json, "orderListId", order.list);
    json.text_field("clientOrderId", order.client_order_id.as_str());
    json.time_field("transactTime", order.updated);
    if kind == ResponseKind::Ack {
        return;
    }
    terms(json, order);
    working_time(json, order);
    json.text_field("selfTradePreventionMode", order.stp_mode.as_str());
    conditional(json, order);
    if kind == ResponseKind::Full {
        json.array_field("fills", |json| {
            for fill in fills {
                json.object(|json| {
                    json.decimal_field("price", fill.price);
                    json.decimal_field("qty", fill.quantity);
                    json.decimal_field("commission", fill.commission);
                    let asset = market.asset(fill.commission_asset);
                    json.text_field("commissionAsset", asset.map_or("", |name| name.as_str()));
                    json.number_field("tradeId", fill.trade.0);
                });
            }
        });
    }
}

/// Price, quantities, status, type and side: what every answer about an order shares.
fn terms(json: &mut Json, order: &Order) {
    json.decimal_field("price", order.price);
    if !order.has_no_quantity() {
        json.decimal_field("origQty", order.shown_quantity());
    }
    json.decimal_field("executedQty", order.executed);
    json.decimal_field("origQuoteOrderQty", order.quote_quantity);
    json.decimal_field("cummulativeQuoteQty", order.executed_quote);
    json.text_field("status", order.status.as_str());
    json.text_field("timeInForce", order.time_in_force.as_str());
    json.text_field("type", order.kind.as_str());
    json.text_field("side", order.side.as_str());
}

fn working_time(json: &mut Json, order: &Order) {
    since(json, "workingTime", order.working);
}

/// A time, or -1 for what is still to come.
fn since(json: &mut Json, name: &str, stamp: Option<Stamp>) {
    match stamp {
        Some(stamp) => json.time_field(name, stamp),
        None => json.number_field(name, -1i64),
    }
}

/// Fields that are there only when they mean something.
fn conditional(json: &mut Json, order: &Order) {
    if order.kind.is_contingent() {
        json.decimal_field("stopPrice", order.stop_price);
    }
    if !order.terms.iceberg.is_zero() {
        json.decimal_field("icebergQty", order.terms.iceberg);
    }
    labels_and_ends(json, order);
}

fn labels_and_ends(json: &mut Json, order: &Order) {
    if order.is_trailing() {
        json.number_field("trailingDelta", order.terms.trailing_delta);
        since(json, "trailingTime", order.trailing);
    }
    if order.is_pegged() {
        peg(json, order, ["pegPriceType", "pegOffsetType", "pegOffsetValue", "peggedPrice"]);
    }
    if order.strategy_id != 0 {
        json.number_field("strategyId", order.strategy_id);
    }
    if order.strategy_type != 0 {
        json.number_field("strategyType", order.strategy_type);
    }
    if let (OrderStatus::ExpiredInMatch, Some(prevention)) = (order.status, &order.prevention) {
        json.number_field("preventedMatchId", prevention.prevented_match.0);
        json.decimal_field("preventedQuantity", order.prevented);
    }
    if let Some(reason) = expiry_reason(order) {
        json.text_field("expiryReason", reason);
    }
}

/// A peg under the names of answers or events: the offset if there is one, the price once it is known.
fn peg(json: &mut Json, order: &Order, [kind, offset, level, price]: [&str; 4]) {
    json.text_field(kind, order.terms.peg.as_str());
    if order.terms.peg_level > 0 {
        json.text_field(offset, PRICE_LEVEL);
        json.number_field(level, order.terms.peg_level);
    }
    if !order.pegged_price.is_zero() {
        json.decimal_field(price, order.pegged_price);
    }
}

/// Answer to a cancel. `client_order_id`: of the cancel.
pub fn canceled(json: &mut Json, symbol: &str, order: &Order, client_order_id: &ClientOrderId) {
    json.text_field("symbol", symbol);
    json.text_field("origClientOrderId", order.client_order_id.as_str());
    json.number_field("orderId", order.id.0);
    list_field(json, "orderListId", order.list);
    json.text_field("clientOrderId", client_order_id.as_str());
    json.time_field("transactTime", order.updated);
    terms(json, order);
    json.text_field("selfTradePreventionMode", order.stp_mode.as_str());
    conditional(json, order);
}

/// An order as queries show it.
pub fn order(json: &mut Json, symbol: &str, order: &Order) {
    json.text_field("symbol", symbol);
    json.number_field("orderId", order.id.0);
    list_field(json, "orderListId", order.list);
    json.text_field("clientOrderId", order.client_order_id.as_str());
    terms(json, order);
    json.decimal_field("stopPrice", order.stop_price);
    json.decimal_field("icebergQty", order.terms.iceberg);
    json.time_field("time", order.created);
    json.time_field("updateTime", order.updated);
    // "Did it come onto the book": stays true when it is filled or canceled.
    json.flag_field("isWorking", order.working.is_some());
    working_time(json, order);
    json.text_field("selfTradePreventionMode", order.stp_mode.as_str());
    labels_and_ends(json, order);
}

/// Answer to an amend.
pub fn amended(
    json: &mut Json,
    symbol: &str,
    order: &Order,
    execution: ExecutionId,
    original_client_order_id: &ClientOrderId,
) {
    json.time_field("transactTime", order.updated);
    json.number_field("executionId", execution.0);
    json.object_field("amendedOrder", |json| {
        json.text_field("symbol", symbol);
        json.number_field("orderId", order.id.0);
        list_field(json, "orderListId", order.list);
        json.text_field("origClientOrderId", original_client_order_id.as_str());
        json.text_field("clientOrderId", order.client_order_id.as_str());
        json.decimal_field("price", order.price);
        json.decimal_field("qty", order.quantity);
        json.decimal_field("executedQty", order.executed);
        json.decimal_field("preventedQty", order.prevented);
        json.decimal_field("quoteOrderQty", order.quote_quantity);
        json.decimal_field("cumulativeQuoteQty", order.executed_quote);
        json.text_field("status", order.status.as_str());
        json.text_field("timeInForce", order.time_in_force.as_str());
        json.text_field("type", order.kind.as_str());
        json.text_field("side", order.side.as_str());
        if let Some(stamp) = order.working {
            json.time_field("workingTime", stamp);
        }
        json.text_field("selfTradePreventionMode", order.stp_mode.as_str());
        conditional(json, order);
    });
}

/// One of `myTrades`.
pub fn fill(json: &mut Json, symbol: &str, fill: &Fill, market: &Market) {
    json.text_field("symbol", symbol);
    json.number_field("id", fill.trade.0);
    json.number_field("orderId", fill.order.0);
    list_field(json, "orderListId", fill.list);
    json.decimal_field("price", fill.price);
    json.decimal_field("qty", fill.quantity);
    json.decimal_field("quoteQty", fill.quote);
    json.decimal_field("commission", fill.commission);
    let asset = market.asset(fill.commission_asset);
    json.text_field("commissionAsset", asset.map_or("", |name| name.as_str()));
    json.time_field("time", fill.stamp);
    json.flag_field("isBuyer", fill.side == protocol::Side::Buy);
    json.flag_field("isMaker", fill.is_maker);
    json.flag_field("isBestMatch", true);
}

/// What happened to an order, for its owner.
#[derive(Debug, Clone, Copy)]
pub struct Execution<'a> {
    pub order: &'a Order,
    pub execution: ExecutionId,
    /// `x`: NEW, CANCELED, REPLACED, REJECTED, TRADE, EXPIRED, TRADE_PREVENTION.
    pub kind: &'static str,
    /// `c`: the id of the request that did it.
    pub client_order_id: &'a str,
    /// `C`: the order's own id where `c` is another's.
    pub original_client_order_id: &'a str,
    pub fill: Option<&'a OrderFilled>,
    pub prevention: Option<&'a MatchPrevented>,
    pub stamp: Stamp,
}

/// `executionReport`.
pub fn execution(
    json: &mut Json,
    report: &Execution<'_>,
    instrument: &Instrument,
    market: &Market,
) {
    let Execution { order, fill, stamp, .. } = *report;
    let reject_reason = if report.kind == "REJECTED" { reject_reason(order) } else { "NONE" };
    json.text_field("e", "executionReport");
    json.time_field("E", stamp);
    json.text_field("s", instrument.definition.symbol.as_str());
    json.text_field("c", report.client_order_id);
    json.text_field("S", order.side.as_str());
    json.text_field("o", order.kind.as_str());
    json.text_field("f", order.time_in_force.as_str());
    json.decimal_field("q", order.shown_quantity());
    json.decimal_field("p", order.price);
    json.decimal_field("P", order.stop_price);
    json.decimal_field("F", order.terms.iceberg);
    list_field(json, "g", order.list);
    json.text_field("C", report.original_client_order_id);
    json.text_field("x", report.kind);
    json.text_field("X", order.status.as_str());
    json.text_field("r", reject_reason);
    json.number_field("i", order.id.0);
    json.decimal_field("l", fill.map_or(protocol::Quantity::ZERO, |fill| fill.quantity));
    json.decimal_field("z", order.executed);
    json.decimal_field("L", fill.map_or(protocol::Price::ZERO, |fill| fill.price));
    match fill {
        Some(fill) => {
            json.decimal_field("n", fill.commission);
            let asset = market.asset(fill.commission_asset);
            json.text_field("N", asset.map_or("", |name| name.as_str()));
        }
        None => {
            json.text_field("n", "0");
            json.null_field("N");
        }
    }
    json.time_field("T", stamp);
    match fill {
        Some(fill) => json.number_field("t", fill.trade.0),
        None => json.number_field("t", -1i64),
    }
    if let Some(prevention) = report.prevention {
        json.number_field("v", prevention.prevented_match.0);
    }
    json.number_field("I", report.execution.0);
    json.flag_field("w", order.is_working());
    json.flag_field("m", fill.is_some_and(|fill| fill.is_maker));
    json.flag_field("M", false);
    json.time_field("O", order.created);
    json.decimal_field("Z", order.executed_quote);
    let last_quote = fill.map_or(Amount::ZERO, |fill| notional(fill.price, fill.quantity));
    json.decimal_field("Y", last_quote);
    json.decimal_field("Q", order.quote_quantity);
    if let Some(working) = order.working {
        json.time_field("W", working);
    }
    json.text_field("V", order.stp_mode.as_str());
    if order.is_trailing() {
        json.number_field("d", order.terms.trailing_delta);
        since(json, "D", order.trailing);
    }
    if order.is_pegged() {
        peg(json, order, ["gP", "gOT", "gOV", "gp"]);
    }
    if order.strategy_id != 0 {
        json.number_field("j", order.strategy_id);
    }
    if order.strategy_type != 0 {
        json.number_field("J", order.strategy_type);
    }
    if let Some(prevention) = report.prevention {
        prevented_fields(json, order, prevention, instrument);
    }
    if let Some(reason) = expiry_reason(order) {
        json.text_field("eR", reason);
    }
}

fn prevented_fields(
    json: &mut Json,
    order: &Order,
    prevention: &MatchPrevented,
    instrument: &Instrument,
) {
    let is_maker = prevention.maker_order == order.id;
    let (last, counter) = match is_maker {
        true => (prevention.maker_prevented, prevention.taker_order),
        false => (prevention.taker_prevented, prevention.maker_order),
    };
    json.decimal_field("A", order.prevented);
    json.decimal_field("B", last);
    json.number_field("u", group_of(prevention));
    json.number_field("U", counter.0);
    json.text_field("Cs", instrument.definition.symbol.as_str());
    json.decimal_field("pl", last);
    json.decimal_field("pL", prevention.price);
    json.decimal_field("pY", notional(prevention.price, last));
}

/// The trade group of a prevented match; an account without one is a group by itself.
pub const fn group_of(prevention: &MatchPrevented) -> i64 {
    match prevention.trade_group {
        0 => -(prevention.taker_account.0 as i64),
        group => group as i64,
    }
}

/// `outboundAccountPosition` over some of an account's assets.
pub fn account_position(
    json: &mut Json,
    account: &Account,
    assets: &[protocol::AssetId],
    stamp: Stamp,
    market: &Market,
) {
    json.text_field("e", "outboundAccountPosition");
    json.time_field("E", stamp);
    json.time_field("u", account.updated);
    json.array_field("B", |json| {
        for asset in assets {
            let balance = account.balances.get(asset).copied().unwrap_or_default();
            json.object(|json| {
                json.text_field("a", market.asset(*asset).map_or("", |name| name.as_str()));
                json.decimal_field("f", balance.free);
                json.decimal_field("l", balance.locked);
            });
        }
    });
}

/// `balanceUpdate` of a deposit or withdrawal; `delta` is signed.
pub fn balance_update(json: &mut Json, asset: &str, delta: Amount, stamp: Stamp) {
    json.text_field("e", "balanceUpdate");
    json.time_field("E", stamp);
    json.text_field("a", asset);
    json.decimal_field("d", delta);
    json.time_field("T", stamp);
}

/// `eventStreamTerminated`, `serverShutdown`.
pub fn notice(json: &mut Json, event: &str, stamp: Stamp) {
    json.text_field("e", event);
    json.time_field("E", stamp);
}
