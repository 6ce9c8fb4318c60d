//! Definitions as the `symbols` of exchangeInfo, in today's layout.

use protocol::command::VenueLimits;
use protocol::{InstrumentDefinition, InstrumentStatus, OrderKind, StpMode};
use serde_json::Value;

use super::shape::{CAPABILITIES, FILTERS, Field, FilterShape, Kind, Word, permission_names};
use crate::json::{Json, TimeUnit};

/// How definitions are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Capabilities that may be shown as allowed: bits of `protocol::instrument::flag`.
    pub flags: u32,
    /// Are the permissions listed, or left out to save room?
    pub permission_sets: bool,
}

impl Shown {
    /// As they were defined.
    pub const AS_DEFINED: Shown = Shown { flags: u32::MAX, permission_sets: true };
}

/// The `symbols` array of exchangeInfo, with Binance's names, as defined.
pub fn to_json(definitions: &[InstrumentDefinition]) -> Value {
    let text = Json::list(TimeUnit::Millisecond, |json| {
        for definition in definitions {
            json.object(|json| symbol(json, definition, Shown::AS_DEFINED));
        }
    });
    // What was written here is JSON: `other_filters` is looked at before.
    serde_json::from_str(&text).unwrap_or_default()
}

/// Every status that a symbol may show.
pub const STATUS_WORDS: &[&str] =
    &["TRADING", "HALT", "CANCEL_ONLY", "BREAK", "END_OF_DAY", "AUCTION_MATCH"];

/// The venue's word for a status. For the phases that it does not have these are words that it once
/// had (*ours*).
pub const fn status_word(status: InstrumentStatus) -> &'static str {
    match status {
        InstrumentStatus::Trading
        | InstrumentStatus::Halt
        | InstrumentStatus::Break
        | InstrumentStatus::CancelOnly => status.as_str(),
        InstrumentStatus::Closed => "END_OF_DAY",
        InstrumentStatus::OpeningAuction
        | InstrumentStatus::VolatilityAuction
        | InstrumentStatus::ClosingAuction => "AUCTION_MATCH",
    }
}

/// The fields of one symbol, in the order of the venue's document.
pub fn symbol(json: &mut Json, it: &InstrumentDefinition, shown: Shown) {
    json.text_field("symbol", it.symbol.as_str());
    json.text_field("status", status_word(it.status));
    json.text_field("baseAsset", it.base.as_str());
    json.number_field("baseAssetPrecision", it.base_precision);
    json.text_field("quoteAsset", it.quote.as_str());
    json.number_field("quotePrecision", it.quote_precision);
    json.number_field("quoteAssetPrecision", it.quote_precision);
    json.number_field("baseCommissionPrecision", it.base_commission_precision);
    json.number_field("quoteCommissionPrecision", it.quote_commission_precision);
    json.array_field("orderTypes", |json| texts(json, &OrderKind::names(it.order_kinds)));
    for capability in CAPABILITIES {
        json.flag_field(capability.json, it.flags & shown.flags & capability.bit != 0);
    }
    json.array_field("filters", |json| {
        filters(json, it, u32::MAX);
        other_filters(json, it);
    });
    json.array_field("permissions", |_| {});
    json.array_field("permissionSets", |json| {
        if shown.permission_sets {
            json.array(|json| texts(json, &permission_names(it.permissions)));
        }
    });
    json.text_field("defaultSelfTradePreventionMode", it.default_stp_mode.as_str());
    let modes = StpMode::names(it.allowed_stp_modes);
    json.array_field("allowedSelfTradePreventionModes", |json| texts(json, &modes));
}

/// The venue's own filters, as `exchangeFilters`: those that bound something.
pub fn exchange_filters(json: &mut Json, limits: &VenueLimits) {
    let filters = [
        ("EXCHANGE_MAX_NUM_ORDERS", "maxNumOrders", limits.open_orders_max),
        ("EXCHANGE_MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders", limits.algo_orders_max),
        ("EXCHANGE_MAX_NUM_ICEBERG_ORDERS", "maxNumIcebergOrders", limits.iceberg_orders_max),
        ("EXCHANGE_MAX_NUM_ORDER_LISTS", "maxNumOrderLists", limits.order_lists_max),
    ];
    for (name, field, bound) in filters.into_iter().filter(|(_, _, bound)| *bound > 0) {
        json.object(|json| {
            json.text_field("filterType", name);
            json.number_field(field, bound);
        });
    }
}

fn texts(json: &mut Json, texts: &[&str]) {
    for text in texts {
        json.text(text);
    }
}

/// The filters that an instrument has, of a set of bits of `protocol::instrument::filter`.
pub fn filters(json: &mut Json, definition: &InstrumentDefinition, set: u32) {
    for shape in FILTERS.iter().filter(|shape| definition.filters.has(shape.bit & set)) {
        json.object(|json| filter(json, shape, definition));
    }
}

fn filter(json: &mut Json, shape: &FilterShape, definition: &InstrumentDefinition) {
    json.text_field("filterType", shape.name());
    for field in shape.fields {
        number(json, field, (field.get)(&definition.filters));
    }
}

fn number(json: &mut Json, field: &Field, value: u128) {
    // Nothing that is shown comes near 2^127.
    let units = i128::try_from(value).unwrap_or(i128::MAX);
    match field.kind {
        // Binance writes multipliers short and everything else with eight digits.
        Kind::Decimal if field.is_multiplier() => {
            json.text_field(field.json, &field.kind.text(value));
        }
        Kind::Decimal | Kind::Amount => json.fixed_field(field.json, units, 8),
        Kind::Minutes | Kind::Count => json.number_field(field.json, units),
        Kind::Flag => json.flag_field(field.json, value != 0),
    }
}

/// The filters that were kept as they came. What is not JSON is left out: a log may hold anything.
fn other_filters(json: &mut Json, definition: &InstrumentDefinition) {
    let Ok(kept) = str::from_utf8(definition.other_filters.as_bytes()) else { return };
    let is_json = |text: &str| serde_json::from_str::<Vec<Value>>(text).is_ok();
    // By itself, so that it cannot close what is around it, and as deep as it will stand.
    let is_list = is_json(&format!("[{kept}]")) && is_json(&format!("[[[[[{kept}]]]]]"));
    if is_list && !kept.trim_ascii().is_empty() {
        json.raw(kept);
    }
}
