//! Order lists in the venue's JSON (rest-api.md "Order lists", user-data-stream.md `listStatus`).

use protocol::{OrderListKind, Stamp};

use crate::accounts::OrderList;
use crate::json::Json;

/// Why a list is told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListStatus {
    Started,
    /// One of its orders has another client order id.
    Updated,
    Done,
}

impl ListStatus {
    /// `listStatusType` and `listOrderStatus`.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            ListStatus::Started => ("EXEC_STARTED", "EXECUTING"),
            ListStatus::Updated => ("UPDATED", "EXECUTING"),
            ListStatus::Done => ("ALL_DONE", "ALL_DONE"),
        }
    }

    const fn of(list: &OrderList) -> ListStatus {
        if list.is_done { ListStatus::Done } else { ListStatus::Started }
    }
}

/// The venue knows two: whatever begins with a working order is an OTO.
const fn contingency(kind: OrderListKind) -> &'static str {
    if kind.has_working_order() { "OTO" } else { "OCO" }
}

/// A list as answers and queries show it.
pub fn order_list(json: &mut Json, symbol: &str, list: &OrderList) {
    let (status_type, order_status) = ListStatus::of(list).words();
    json.number_field("orderListId", list.id.0);
    json.text_field("contingencyType", contingency(list.kind));
    json.text_field("listStatusType", status_type);
    json.text_field("listOrderStatus", order_status);
    json.text_field("listClientOrderId", list.client_order_id.as_str());
    json.time_field("transactionTime", list.updated);
    orders(json, symbol, list);
}

/// The list of an order that was amended.
pub fn amended_list(json: &mut Json, symbol: &str, list: &OrderList) {
    json.number_field("orderListId", list.id.0);
    json.text_field("contingencyType", contingency(list.kind));
    json.text_field("listOrderStatus", ListStatus::of(list).words().1);
    json.text_field("listClientOrderId", list.client_order_id.as_str());
    orders(json, symbol, list);
}

fn orders(json: &mut Json, symbol: &str, list: &OrderList) {
    json.text_field("symbol", symbol);
    json.array_field("orders", |json| {
        for leg in list.legs() {
            json.object(|json| {
                json.text_field("symbol", symbol);
                json.number_field("orderId", leg.order.0);
                json.text_field("clientOrderId", leg.client_order_id.as_str());
            });
        }
    });
}

/// `listStatus`.
pub fn list_status(
    json: &mut Json,
    symbol: &str,
    list: &OrderList,
    status: ListStatus,
    stamp: Stamp,
) {
    let (status_type, order_status) = status.words();
    json.text_field("e", "listStatus");
    json.time_field("E", stamp);
    json.text_field("s", symbol);
    json.number_field("g", list.id.0);
    json.text_field("c", contingency(list.kind));
    json.text_field("l", status_type);
    json.text_field("L", order_status);
    json.text_field("r", "NONE");
    json.text_field("C", list.client_order_id.as_str());
    json.time_field("T", stamp);
    json.array_field("O", |json| {
        for leg in list.legs() {
            json.object(|json| {
                json.text_field("s", symbol);
                json.number_field("i", leg.order.0);
                json.text_field("c", leg.client_order_id.as_str());
            });
        }
    });
}
