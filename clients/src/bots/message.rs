//! The messages of the WebSocket API as far as the bots read and write them.

use std::fmt::Write;

use protocol::{Amount, OrderKind, OrderStatus, Price, Quantity, TimeInForce};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::desk::{Balance, Desk, Intent, NewOrder};
use crate::session::symbol_json;

/// Any message of the server: an answer has an id and a status, an event has `event`.
#[derive(Deserialize)]
pub(super) struct Incoming<'a> {
    pub(super) id: Option<u64>,
    pub(super) status: Option<u16>,
    #[serde(borrow)]
    pub(super) result: Option<&'a RawValue>,
    pub(super) error: Option<ErrorBody>,
    #[serde(borrow)]
    pub(super) event: Option<&'a RawValue>,
}

#[derive(Deserialize)]
pub(super) struct ErrorBody {
    pub(super) code: i64,
    pub(super) data: Option<ErrorData>,
}

/// Of a refused cancel-replace, or of a rate limit.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ErrorData {
    pub(super) cancel_result: Option<String>,
    pub(super) cancel_response: Option<CancelResponse>,
    /// Both in milliseconds since 1970, by the server's clock.
    pub(super) server_time: Option<u64>,
    pub(super) retry_after: Option<u64>,
}

#[derive(Deserialize)]
pub(super) struct CancelResponse {
    pub(super) code: Option<i64>,
}

/// An order in an answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OrderResult {
    status: String,
    executed_qty: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReplaceResult {
    new_order_response: OrderResult,
}

/// Status and filled quantity of an order.
pub(super) type OrderNews = (OrderStatus, Quantity);

/// What the answer to an order says; `None` when it says nothing that is known.
pub(super) fn placed(result: &RawValue) -> Option<OrderNews> {
    order_news(serde_json::from_str(result.get()).ok()?)
}

/// What the answer to a cancel-replace says about the new order.
pub(super) fn replaced(result: &RawValue) -> Option<OrderNews> {
    let result: ReplaceResult = serde_json::from_str(result.get()).ok()?;
    order_news(result.new_order_response)
}

fn order_news(order: OrderResult) -> Option<OrderNews> {
    Some((OrderStatus::parse(&order.status)?, Quantity::parse(&order.executed_qty).ok()?))
}

#[derive(Deserialize)]
struct EventKind<'a> {
    #[serde(rename = "e")]
    kind: &'a str,
}

#[derive(Deserialize)]
struct ExecutionReport {
    #[serde(rename = "c")]
    client_order_id: String,
    /// Of the order itself, where `c` is the id of a cancel.
    #[serde(rename = "C")]
    original_client_order_id: String,
    #[serde(rename = "X")]
    status: String,
    #[serde(rename = "z")]
    filled: String,
}

#[derive(Deserialize)]
struct AccountPosition {
    #[serde(rename = "B")]
    balances: Vec<AssetBalance>,
}

#[derive(Deserialize)]
struct AccountStatus {
    balances: Vec<AssetBalance>,
}

#[derive(Deserialize)]
struct AssetBalance {
    #[serde(rename = "a", alias = "asset")]
    asset: String,
    #[serde(rename = "f", alias = "free")]
    free: String,
    #[serde(rename = "l", alias = "locked")]
    locked: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BookTicker {
    symbol: String,
    bid_price: String,
    ask_price: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum BookTickers {
    Many(Vec<BookTicker>),
    One(BookTicker),
}

#[derive(Deserialize)]
struct Answer<T> {
    result: T,
}

/// Takes an event of the user data stream into the desk. `prefix` begins the bot's own client
/// order ids.
pub(super) fn hear_event(desk: &mut Desk, prefix: &str, event: &RawValue) {
    let kind = serde_json::from_str::<EventKind<'_>>(event.get()).map(|event| event.kind);
    match kind {
        Ok("executionReport") => {
            if let Ok(report) = serde_json::from_str(event.get()) {
                hear_report(desk, prefix, &report);
            }
        }
        Ok("outboundAccountPosition") => {
            if let Ok(position) = serde_json::from_str::<AccountPosition>(event.get()) {
                set_balances(desk, &position.balances);
            }
        }
        _ => {}
    }
}

fn hear_report(desk: &mut Desk, prefix: &str, report: &ExecutionReport) {
    let number = order_number(prefix, &report.original_client_order_id)
        .or_else(|| order_number(prefix, &report.client_order_id));
    let status = OrderStatus::parse(&report.status);
    let filled = Quantity::parse(&report.filled);
    if let (Some(number), Some(status), Ok(filled)) = (number, status, filled) {
        desk.order_is(number, status, filled);
    }
}

fn order_number(prefix: &str, client_order_id: &str) -> Option<u64> {
    client_order_id.strip_prefix(prefix)?.parse().ok()
}

/// Takes the answer to `account.status` into the desk.
pub(super) fn hear_account(desk: &mut Desk, answer: &str) {
    if let Ok(answer) = serde_json::from_str::<Answer<AccountStatus>>(answer) {
        set_balances(desk, &answer.result.balances);
    }
}

fn set_balances(desk: &mut Desk, balances: &[AssetBalance]) {
    for AssetBalance { asset, free, locked } in balances {
        if let (Ok(free), Ok(locked)) = (Amount::parse(free), Amount::parse(locked)) {
            desk.set_balance(asset, Balance { free, locked });
        }
    }
}

/// Takes the answer to `ticker.book` into the desk.
pub(super) fn hear_touches(desk: &mut Desk, result: &RawValue) {
    let tickers = match serde_json::from_str(result.get()) {
        Ok(BookTickers::Many(tickers)) => tickers,
        Ok(BookTickers::One(ticker)) => vec![ticker],
        Err(_) => return,
    };
    for BookTicker { symbol, bid_price, ask_price } in &tickers {
        if let (Ok(bid), Ok(ask)) = (Price::parse(bid_price), Price::parse(ask_price)) {
            desk.set_touch(symbol, bid, ask);
        }
    }
}

/// Method and parameters of an intent; `new_number` is that of its new order.
pub(super) fn request(
    desk: &Desk,
    prefix: &str,
    intent: &Intent,
    new_number: Option<u64>,
    now_ms: u64,
) -> Option<(&'static str, String)> {
    let new_id = format!("{prefix}{}", new_number.unwrap_or_default());
    let symbol = |number: &u64| {
        let instrument = desk.orders.get(number)?.order.instrument;
        symbol_parameter(desk, instrument)
    };
    let (method, mut parameters) = match intent {
        Intent::Place(new) => {
            ("order.place", symbol_parameter(desk, new.instrument)? + &order(new, &new_id))
        }
        Intent::Cancel { number } => {
            let id = format!(",\"origClientOrderId\":\"{prefix}{number}\"");
            ("order.cancel", symbol(number)? + &id)
        }
        Intent::Replace { number, new } => {
            let cancel = format!(
                ",\"cancelReplaceMode\":\"STOP_ON_FAILURE\",\
                 \"cancelOrigClientOrderId\":\"{prefix}{number}\""
            );
            ("order.cancelReplace", symbol(number)? + &cancel + &order(new, &new_id))
        }
        Intent::Amend { number, quantity } => {
            let amend = format!(
                ",\"origClientOrderId\":\"{prefix}{number}\",\
                 \"newClientOrderId\":\"{prefix}{number}\",\"newQty\":\"{quantity}\""
            );
            ("order.amend.keepPriority", symbol(number)? + &amend)
        }
    };
    // Writing to a String does not fail.
    let _ = write!(parameters, ",\"timestamp\":{now_ms}}}");
    Some((method, parameters))
}

fn symbol_parameter(desk: &Desk, instrument: usize) -> Option<String> {
    let symbol = desk.symbols.get(instrument)?;
    Some(format!("{{\"symbol\":{}", symbol_json(&symbol.symbol)))
}

fn order(new: &NewOrder, client_order_id: &str) -> String {
    let NewOrder { side, kind, time_in_force, price, quantity, .. } = new;
    let price = match kind {
        OrderKind::Market => String::new(),
        _ => format!(",\"price\":\"{price}\""),
    };
    let time_in_force = match (kind, time_in_force) {
        (
            OrderKind::Limit,
            time_in_force @ (TimeInForce::Gtc | TimeInForce::Ioc | TimeInForce::Fok),
        ) => {
            format!(",\"timeInForce\":\"{time_in_force}\"")
        }
        _ => String::new(),
    };
    format!(
        ",\"side\":\"{side}\",\"type\":\"{kind}\"{time_in_force}{price},\"quantity\":\"{quantity}\",\
         \"newClientOrderId\":\"{client_order_id}\",\"newOrderRespType\":\"RESULT\""
    )
}
