//! The order book.

use marketdata::{Depth, Market};
use protocol::Side;

use super::read;
use crate::endpoint::Call;
use crate::error::ApiError;
use crate::json::Json;
use crate::params::Params;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 5_000;

/// By the levels asked for.
pub(super) fn weight(params: &Params<'_>) -> u32 {
    match params.limit(LIMIT_DEFAULT, LIMIT_MAX) {
        Ok(0..=100) | Err(_) => 5,
        Ok(101..=500) => 25,
        Ok(501..=1_000) => 50,
        Ok(_) => 250,
    }
}

/// `depth`.
pub(super) fn book(market: &Market, call: &Call<'_>) -> Result<String, ApiError> {
    let limit = call.params.limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    let status = read::status(call.params)?;
    let instrument = read::instrument(market, call.params)?;
    read::matches(instrument, status)?;
    let depth = &instrument.depth;
    Ok(Json::of(call.unit, |json| {
        json.number_field("lastUpdateId", depth.last_update().0);
        json.array_field("bids", |json| levels(json, depth, Side::Buy, limit));
        json.array_field("asks", |json| levels(json, depth, Side::Sell, limit));
    }))
}

/// The best levels of one side as `["price","quantity"]`.
fn levels(json: &mut Json, depth: &Depth, side: Side, limit: usize) {
    for level in depth.levels(side).take(limit) {
        json.array(|json| {
            json.decimal(level.price);
            json.decimal(level.quantity);
        });
    }
}
