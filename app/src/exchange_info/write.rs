//! Definitions as the `symbols` array of exchangeInfo, in today's layout.

use super::shape::{CAPABILITIES, FILTERS, FilterShape, Kind, PRECISIONS, Word, permission_names};
use protocol::number::SCALE;
use protocol::{InstrumentDefinition, OrderKind, StpMode};
use serde_json::{Map, Value, json};

/// The `symbols` array of exchangeInfo, with Binance's names.
pub fn to_json(definitions: &[InstrumentDefinition]) -> Value {
    Value::Array(definitions.iter().map(symbol).collect())
}

fn symbol(definition: &InstrumentDefinition) -> Value {
    let mut object = Map::new();
    let mut put = |name: &str, value: Value| object.insert(name.to_string(), value);
    put("symbol", json!(definition.symbol.as_str()));
    put("status", json!(definition.status.as_str()));
    put("baseAsset", json!(definition.base.as_str()));
    put("quoteAsset", json!(definition.quote.as_str()));
    for precision in PRECISIONS {
        put(precision.json, json!((precision.get)(definition)));
    }
    put("quotePrecision", json!(definition.quote_precision));
    put("orderTypes", json!(OrderKind::names(definition.order_kinds)));
    for capability in CAPABILITIES {
        put(capability.json, json!(definition.flags & capability.bit != 0));
    }
    put("permissions", json!([]));
    put("permissionSets", json!([permission_names(definition.permissions)]));
    put("defaultSelfTradePreventionMode", json!(definition.default_stp_mode.as_str()));
    let modes = StpMode::names(definition.allowed_stp_modes);
    put("allowedSelfTradePreventionModes", json!(modes));
    put("filters", filters(definition));
    Value::Object(object)
}

fn filters(definition: &InstrumentDefinition) -> Value {
    let present = FILTERS.iter().filter(|shape| definition.filters.has(shape.bit));
    let mut list: Vec<Value> = present.map(|shape| filter(shape, definition)).collect();
    list.extend(other_filters(definition));
    Value::Array(list)
}

fn filter(shape: &FilterShape, definition: &InstrumentDefinition) -> Value {
    let mut object = Map::new();
    object.insert("filterType".to_string(), json!(shape.name()));
    for field in shape.fields {
        let value = (field.get)(&definition.filters);
        let shown = match field.kind {
            // Binance writes multipliers short and everything else with eight digits.
            Kind::Decimal if field.json.ends_with("ultiplierUp") => json!(field.kind.text(value)),
            Kind::Decimal if field.json.ends_with("ultiplierDown") => json!(field.kind.text(value)),
            Kind::Decimal | Kind::Amount => {
                let scale = u128::from(SCALE);
                json!(format!("{}.{:08}", value / scale, value % scale))
            }
            Kind::Minutes | Kind::Count => json!(u64::try_from(value).unwrap_or(u64::MAX)),
            Kind::Flag => json!(value != 0),
        };
        object.insert(field.json.to_string(), shown);
    }
    Value::Object(object)
}

/// The filters that were kept as they came. What is not JSON is left out: a log may hold anything.
fn other_filters(definition: &InstrumentDefinition) -> Vec<Value> {
    let kept = String::from_utf8_lossy(definition.other_filters.as_bytes());
    serde_json::from_str(&format!("[{kept}]")).unwrap_or_default()
}
