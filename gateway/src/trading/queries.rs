//! What an account may ask about its orders and fills. Answered from the views.

use protocol::{
    ExecutionId, OrderId, PreventedMatchId, Stamp, TradeId,
    ids::{MILLISECOND_NS, SECOND_NS},
};

use super::{client_order_id, instrument, order_id, order_list_id};
use crate::accounts::{Activity, Fill, Order, OrderList};
use crate::core::Core;
use crate::endpoint::Call;
use crate::error::ApiError;
use crate::json::Json;
use crate::params::Params;
use crate::reports;

type Found = Result<String, ApiError>;

/// Items of a list, unless asked otherwise, and at most.
const LIMIT_DEFAULT: usize = 500;
const LIMIT_MAX: usize = 1_000;
/// The longest time between `startTime` and `endTime`.
const SPAN_MAX_NS: u64 = 24 * 3_600 * SECOND_NS;

/// A time parameter, in milliseconds or microseconds.
pub(crate) fn stamp(params: &Params<'_>, name: &str) -> Result<Option<Stamp>, ApiError> {
    Ok(params.integer(name)?.map(stamp_of))
}

/// From 10^14 on it counts microseconds: as milliseconds that would be the year 5138.
pub(crate) const fn stamp_of(value: u64) -> Stamp {
    match value < 100_000_000_000_000 {
        true => Stamp(value.saturating_mul(MILLISECOND_NS)),
        false => Stamp(value.saturating_mul(1_000)),
    }
}

/// `startTime` and `endTime`: what lies between, both included.
struct Span {
    start: Option<Stamp>,
    end: Option<Stamp>,
}

impl Span {
    fn read(params: &Params<'_>) -> Result<Span, ApiError> {
        let (start, end) = (stamp(params, "startTime")?, stamp(params, "endTime")?);
        if let (Some(start), Some(end)) = (start, end) {
            if start > end {
                let text = "Start time is greater than end time.";
                return Err(ApiError::new(-1127, text));
            }
            if end.0 - start.0 > SPAN_MAX_NS {
                let text = "More than 24 hours between startTime and endTime.";
                return Err(ApiError::new(-1127, text));
            }
        }
        // A millisecond is all of its nanoseconds.
        let end = end.map(|end| Stamp(end.0.saturating_add(MILLISECOND_NS - 1)));
        Ok(Span { start, end })
    }

    fn holds(&self, stamp: Stamp) -> bool {
        self.start.is_none_or(|start| stamp >= start) && self.end.is_none_or(|end| stamp <= end)
    }

    /// With a start the oldest items count, else the newest.
    const fn is_from_start(&self) -> bool {
        self.start.is_some()
    }
}

/// At most `limit` items in their order: the first ones or the last ones.
fn bounded<T>(items: impl Iterator<Item = T>, from_start: bool, limit: usize) -> Vec<T> {
    let mut items: Vec<T> = match from_start {
        true => items.take(limit).collect(),
        false => items.collect(),
    };
    let excess = items.len().saturating_sub(limit);
    items.drain(..excess);
    items
}

fn list<T>(call: &Call<'_>, items: Vec<T>, mut write: impl FnMut(&mut Json, T)) -> String {
    Json::list(call.unit, |json| {
        for item in items {
            json.object(|json| write(json, item));
        }
    })
}

/// `GET /api/v3/order`
pub(super) fn order(core: &Core, call: &Call<'_>) -> Found {
    let (account, instrument) = (call.account()?, instrument(core, call.params)?);
    let id = order_id(call.params, "orderId")?;
    let name = client_order_id(call.params, "origClientOrderId")?;
    let accounts = &core.accounts;
    let found = match (id, &name) {
        (Some(id), _) => accounts.find(account, instrument.id, id),
        (None, Some(name)) => accounts.find_named(account, instrument.id, name),
        (None, None) => return Err(ApiError::either("orderId", "origClientOrderId")),
    };
    let found = found.ok_or_else(ApiError::no_such_order)?;
    if name.is_some_and(|name| name != found.client_order_id) {
        let text = "Client order ID is not correct for this order ID.";
        return Err(ApiError::new(-2039, text));
    }
    let symbol = instrument.definition.symbol;
    Ok(Json::of(call.unit, |json| reports::order(json, symbol.as_str(), found)))
}

fn write_order(core: &Core, json: &mut Json, order: &Order) {
    let instrument = core.market.instrument(order.instrument);
    reports::order(json, instrument.map_or("", |it| it.definition.symbol.as_str()), order);
}

/// `GET /api/v3/openOrders`
pub(super) fn open_orders(core: &Core, call: &Call<'_>) -> Found {
    let account = call.account()?;
    let open: Vec<OrderId> = match call.params.has("symbol") {
        true => {
            let instrument = instrument(core, call.params)?.id;
            activity(core, account, instrument).map_or(Vec::new(), |it| it.open().collect())
        }
        false => core.accounts.account(account).map_or(Vec::new(), |account| account.open()),
    };
    let orders: Vec<&Order> = open.into_iter().filter_map(|id| core.accounts.order(id)).collect();
    Ok(list(call, orders, |json, order| write_order(core, json, order)))
}

fn activity(
    core: &Core,
    account: protocol::AccountId,
    instrument: protocol::InstrumentId,
) -> Option<&Activity> {
    core.accounts.account(account)?.on(instrument)
}

/// `GET /api/v3/allOrders`
pub(super) fn all_orders(core: &Core, call: &Call<'_>) -> Found {
    let (account, instrument) = (call.account()?, instrument(core, call.params)?.id);
    let limit = call.params.limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    let (from, span) = (order_id(call.params, "orderId")?, Span::read(call.params)?);
    let Some(activity) = activity(core, account, instrument) else { return Ok("[]".to_owned()) };
    let orders = activity.orders().filter_map(|id| core.accounts.order(id));
    let orders = orders
        .filter(|order| from.is_none_or(|from| order.id >= from) && span.holds(order.created));
    let orders = bounded(orders, from.is_some() || span.is_from_start(), limit);
    Ok(list(call, orders, |json, order| write_order(core, json, order)))
}

/// `GET /api/v3/orderList`
pub(super) fn order_list(core: &Core, call: &Call<'_>) -> Found {
    let account = core.accounts.account(call.account()?).ok_or_else(ApiError::key)?;
    let id = order_list_id(call.params, "orderListId")?;
    // With both the name counts (web-socket-api.md, `orderList.status`).
    let found = match (id, client_order_id(call.params, "origClientOrderId")?) {
        (_, Some(name)) => account.lists.find_named(&name),
        (Some(id), None) => account.lists.get(id),
        (None, None) => return Err(ApiError::either("orderListId", "origClientOrderId")),
    };
    let found = found.ok_or_else(ApiError::no_such_order)?;
    Ok(Json::of(call.unit, |json| write_list(core, json, found)))
}

fn write_list(core: &Core, json: &mut Json, list: &OrderList) {
    let instrument = core.market.instrument(list.instrument);
    reports::order_list(json, instrument.map_or("", |it| it.definition.symbol.as_str()), list);
}

/// `GET /api/v3/openOrderList`
pub(super) fn open_order_lists(core: &Core, call: &Call<'_>) -> Found {
    let account = core.accounts.account(call.account()?).ok_or_else(ApiError::key)?;
    let open = account.lists.iter().filter(|it| !it.is_done).collect();
    Ok(list(call, open, |json, it| write_list(core, json, it)))
}

/// `GET /api/v3/allOrderList`: by the time of a list's latest change.
pub(super) fn all_order_lists(core: &Core, call: &Call<'_>) -> Found {
    let account = core.accounts.account(call.account()?).ok_or_else(ApiError::key)?;
    let limit = call.params.limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    let (from, span) = (order_list_id(call.params, "fromId")?, Span::read(call.params)?);
    let has_span = span.start.is_some() || span.end.is_some();
    let from = match (from, has_span) {
        // Where they are refused over REST, the id is ignored over the WebSocket API.
        (Some(_), true) if !call.is_socket => return Err(ApiError::bad_combination()),
        (from, has_span) => from.filter(|_| !has_span),
    };
    let lists = account.lists.iter();
    let lists = lists.filter(|it| from.is_none_or(|from| it.id >= from) && span.holds(it.updated));
    let lists = bounded(lists, from.is_some() || span.is_from_start(), limit);
    Ok(list(call, lists, |json, it| write_list(core, json, it)))
}

/// `GET /api/v3/myTrades`
pub(super) fn my_trades(core: &Core, call: &Call<'_>) -> Found {
    let params = call.params;
    let (account, instrument) = (call.account()?, instrument(core, params)?);
    let limit = params.limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    let (order, from) = (order_id(params, "orderId")?, params.integer("fromId")?.map(TradeId));
    let span = Span::read(params)?;
    let has_span = span.start.is_some() || span.end.is_some();
    if has_span && (order.is_some() || from.is_some()) {
        return Err(ApiError::bad_combination());
    }
    let Some(activity) = activity(core, account, instrument.id) else {
        return Ok("[]".to_owned());
    };
    let is_asked = |fill: &&Fill| {
        order.is_none_or(|order| fill.order == order)
            && from.is_none_or(|from| fill.trade >= from)
            && span.holds(fill.stamp)
    };
    let mut fills = activity.fills.iter().filter(is_asked).collect::<Vec<_>>();
    // Both sides of one trade may be the account's own: the taker's comes first.
    fills.sort_by_key(|fill| fill.trade);
    let fills = bounded(fills.into_iter(), from.is_some() || span.is_from_start(), limit);
    let symbol = instrument.definition.symbol;
    Ok(list(call, fills, |json, fill| {
        reports::fill(json, symbol.as_str(), fill, &core.market);
    }))
}

/// `GET /api/v3/myPreventedMatches`
pub(super) fn prevented_matches(core: &Core, call: &Call<'_>) -> Found {
    let params = call.params;
    let (account, instrument) = (call.account()?, instrument(core, params)?);
    let limit = params.limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    let id = params.integer("preventedMatchId")?.map(PreventedMatchId);
    let order = order_id(params, "orderId")?;
    let from = params.integer("fromPreventedMatchId")?.map(PreventedMatchId);
    match (id, order) {
        (None, None) => return Err(ApiError::either("preventedMatchId", "orderId")),
        (Some(_), Some(_)) => return Err(ApiError::bad_combination()),
        _ => {}
    }
    let Some(activity) = activity(core, account, instrument.id) else {
        return Ok("[]".to_owned());
    };
    let found = activity.prevented.iter().filter(|it| {
        let event = &it.event;
        id.is_none_or(|id| event.prevented_match == id)
            && order.is_none_or(|id| event.maker_order == id || event.taker_order == id)
            && from.is_none_or(|from| event.prevented_match >= from)
    });
    let symbol = instrument.definition.symbol;
    Ok(list(call, found.take(limit).collect(), |json, it| {
        let event = &it.event;
        json.text_field("symbol", symbol.as_str());
        json.number_field("preventedMatchId", event.prevented_match.0);
        json.number_field("takerOrderId", event.taker_order.0);
        json.text_field("makerSymbol", symbol.as_str());
        json.number_field("makerOrderId", event.maker_order.0);
        json.number_field("tradeGroupId", reports::group_of(event));
        json.text_field("selfTradePreventionMode", event.mode.as_str());
        json.decimal_field("price", event.price);
        if !event.maker_prevented.is_zero() {
            json.decimal_field("makerPreventedQuantity", event.maker_prevented);
        }
        if !event.taker_prevented.is_zero() {
            json.decimal_field("takerPreventedQuantity", event.taker_prevented);
        }
        json.time_field("transactTime", it.stamp);
    }))
}

/// `GET /api/v3/order/amendments`
pub(super) fn amendments(core: &Core, call: &Call<'_>) -> Found {
    let params = call.params;
    let (account, instrument) = (call.account()?, instrument(core, params)?);
    let limit = params.limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    let order = order_id(params, "orderId")?;
    let from = params.integer("fromExecutionId")?.map(ExecutionId);
    let Some(activity) = activity(core, account, instrument.id) else {
        return Ok("[]".to_owned());
    };
    let found = activity.amendments.iter().filter(|it| {
        Some(it.event.order) == order && from.is_none_or(|from| it.event.execution >= from)
    });
    let symbol = instrument.definition.symbol;
    Ok(list(call, found.take(limit).collect(), |json, it| {
        json.text_field("symbol", symbol.as_str());
        json.number_field("orderId", it.event.order.0);
        json.number_field("executionId", it.event.execution.0);
        json.text_field("origClientOrderId", it.event.client_order_id_before.as_str());
        json.text_field("newClientOrderId", it.event.client_order_id.as_str());
        json.decimal_field("origQty", it.event.quantity_before);
        json.decimal_field("newQty", it.event.quantity);
        json.time_field("time", it.stamp);
    }))
}
