//! Definitions as `[[instrument]]` tables that the configuration reads back to the same.

use super::shape::{
    CAPABILITIES, FILTERS, FilterShape, PRECISIONS, Word, decimal_text, permission_names,
    snake_case,
};
use protocol::{InstrumentDefinition, OrderKind, StpMode};
use std::fmt::Write;

/// TOML text of the definitions. What has its default value is left out.
pub fn to_toml(definitions: &[InstrumentDefinition]) -> String {
    let mut out = String::new();
    for definition in definitions {
        if !out.is_empty() {
            out.push('\n');
        }
        instrument(&mut out, definition);
    }
    out
}

fn instrument(out: &mut String, it: &InstrumentDefinition) {
    let default = InstrumentDefinition::open(it.symbol, it.base, it.quote);
    out.push_str("[[instrument]]\n");
    line(out, "symbol", &quoted(it.symbol.as_str()));
    line(out, "base", &quoted(it.base.as_str()));
    line(out, "quote", &quoted(it.quote.as_str()));
    line(out, "status", &quoted(it.status.as_str()));
    for precision in PRECISIONS {
        if (precision.get)(it) != (precision.get)(&default) {
            let digits = (precision.get)(it).to_string();
            line(out, &snake_case(precision.json), &digits);
        }
    }
    if it.order_kinds != default.order_kinds {
        line(out, "order_types", &quoted_list(&OrderKind::names(it.order_kinds)));
    }
    for capability in CAPABILITIES {
        if (it.flags ^ default.flags) & capability.bit != 0 {
            let allowed = (it.flags & capability.bit != 0).to_string();
            line(out, &snake_case(capability.json), &allowed);
        }
    }
    if it.permissions != default.permissions {
        line(out, "permissions", &quoted_list(&permission_names(it.permissions)));
    }
    if it.default_stp_mode != default.default_stp_mode {
        let mode = quoted(it.default_stp_mode.as_str());
        line(out, "default_self_trade_prevention_mode", &mode);
    }
    if it.allowed_stp_modes != default.allowed_stp_modes {
        let modes = quoted_list(&StpMode::names(it.allowed_stp_modes));
        line(out, "allowed_self_trade_prevention_modes", &modes);
    }
    if !it.reference_price.is_zero() {
        let price = decimal_text(u128::from(it.reference_price.0));
        line(out, "reference_price", &quoted(&price));
    }
    if !it.other_filters.is_empty() {
        let others = String::from_utf8_lossy(it.other_filters.as_bytes());
        line(out, "other_filters", &quoted(&others));
    }
    for shape in FILTERS.iter().filter(|shape| it.filters.has(shape.bit)) {
        line(out, &shape.key(), &filter(shape, it));
    }
}

fn filter(shape: &FilterShape, it: &InstrumentDefinition) -> String {
    let fields = shape.fields.iter().map(|field| {
        let text = field.kind.text((field.get)(&it.filters));
        let value = if field.kind.is_decimal() { quoted(&text) } else { text };
        format!("{} = {value}", snake_case(field.json))
    });
    format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
}

fn line(out: &mut String, key: &str, value: &str) {
    out.push_str(key);
    out.push_str(" = ");
    out.push_str(value);
    out.push('\n');
}

fn quoted_list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| self::quoted(name)).collect();
    format!("[{}]", quoted.join(", "))
}

/// A basic string of TOML.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            control if control.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}
