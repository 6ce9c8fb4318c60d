//! How symbols trade besides their filters: execution rules, reference prices, auctions.

use marketdata::{Instrument, Market};
use protocol::command::TradingRules;

use super::read::{self, Asked};
use crate::endpoint::Call;
use crate::error::ApiError;
use crate::json::Json;
use crate::params::Params;

/// Weight of a request for the execution rules of many symbols.
const WEIGHT_MAX: u32 = 40;
/// How an external reference price comes about: an operator sets it (price_range_execution_rules.md).
const SET_BY_HAND: u32 = 0;
/// Multipliers that have no more digits are shown with four, as in the venue's examples.
const MULTIPLIER_DIGITS: usize = 4;
const MULTIPLIER_UNITS: u64 = 10_000;

/// 2 for each symbol.
pub(super) fn execution_rules_weight(params: &Params<'_>) -> u32 {
    match read::symbols_count(params) {
        Some(count) => count.clamp(1, WEIGHT_MAX / 2) * 2,
        None => WEIGHT_MAX,
    }
}

/// `executionRules`: of the symbols that have some.
pub(super) fn execution_rules(market: &Market, call: &Call<'_>) -> Result<String, ApiError> {
    let is_named = call.params.has("symbol") || call.params.has("symbols");
    if is_named && call.params.has("symbolStatus") {
        return Err(ApiError::bad_combination());
    }
    let asked = Asked::of(market, call.params)?;
    Ok(Json::of(call.unit, |json| {
        json.array_field("symbolRules", |json| {
            for instrument in asked.list() {
                let multipliers = multipliers(instrument.reference.rules());
                if multipliers.iter().all(|(_, multiplier)| *multiplier == 0) {
                    continue;
                }
                json.object(|json| {
                    json.text_field("symbol", instrument.symbol());
                    json.array_field("rules", |json| price_range(json, &multipliers));
                });
            }
        });
    }))
}

fn multipliers(rules: &TradingRules) -> [(&'static str, u64); 4] {
    [
        ("bidLimitMultUp", rules.bid_limit_up),
        ("bidLimitMultDown", rules.bid_limit_down),
        ("askLimitMultUp", rules.ask_limit_up),
        ("askLimitMultDown", rules.ask_limit_down),
    ]
}

/// A multiplier of 0 is no rule and not shown.
fn price_range(json: &mut Json, multipliers: &[(&'static str, u64)]) {
    json.object(|json| {
        json.text_field("ruleType", "PRICE_RANGE");
        for (name, multiplier) in multipliers.iter().filter(|(_, multiplier)| *multiplier != 0) {
            match multiplier % MULTIPLIER_UNITS {
                0 => {
                    let short = i128::from(multiplier / MULTIPLIER_UNITS);
                    json.fixed_field(name, short, MULTIPLIER_DIGITS);
                }
                _ => json.fixed_field(name, i128::from(*multiplier), 8),
            }
        }
    });
}

/// The symbol, if something gives it a reference price.
fn referring<'m>(market: &'m Market, call: &Call<'_>) -> Result<&'m Instrument, ApiError> {
    let status = read::status(call.params)?;
    let instrument = read::instrument(market, call.params)?;
    read::matches(instrument, status)?;
    let none = || ApiError::new(-2043, "This symbol doesn't have a reference price.");
    if instrument.reference.is_defined() { Ok(instrument) } else { Err(none()) }
}

/// `referencePrice`.
pub(super) fn reference_price(market: &Market, call: &Call<'_>) -> Result<String, ApiError> {
    let instrument = referring(market, call)?;
    Ok(Json::of(call.unit, |json| {
        json.text_field("symbol", instrument.symbol());
        match instrument.reference_price(call.now) {
            Some(price) => json.decimal_field("referencePrice", price),
            None => json.null_field("referencePrice"),
        }
        json.time_field("timestamp", call.now);
    }))
}

/// `referencePrice.calculation`.
pub(super) fn calculation(market: &Market, call: &Call<'_>) -> Result<String, ApiError> {
    let instrument = referring(market, call)?;
    let rules = instrument.reference.rules();
    Ok(Json::of(call.unit, |json| {
        json.text_field("symbol", instrument.symbol());
        if rules.external_reference.is_zero() {
            json.text_field("calculationType", "ARITHMETIC_MEAN");
            json.number_field("bucketCount", rules.bucket_count);
            json.number_field("bucketWidthMs", rules.bucket_width_ms);
        } else {
            json.text_field("calculationType", "EXTERNAL");
            json.number_field("externalCalculationId", SET_BY_HAND);
        }
    }))
}

/// `auction` (*ours*): the running auction, or the last one.
pub(super) fn auction(market: &Market, call: &Call<'_>) -> Result<String, ApiError> {
    let instrument = read::instrument(market, call.params)?;
    Ok(Json::of(call.unit, |json| {
        json.text_field("symbol", instrument.symbol());
        json.text_field("status", instrument.definition.status.as_str());
        let Some(auction) = &instrument.auction else {
            return json.null_field("auction");
        };
        json.object_field("auction", |json| {
            json.flag_field("isRunning", auction.is_collecting);
            json.decimal_field("price", auction.price);
            json.decimal_field("quantity", auction.quantity);
            json.text_field("surplusSide", auction.surplus_side.as_str());
            json.decimal_field("surplus", auction.surplus);
            json.decimal_field("reference", auction.reference);
            json.time_field("time", auction.stamp);
        });
    }))
}
