//! Candles, and the average price.

use marketdata::{Candle, Interval, Market};

use super::read;
use crate::endpoint::Call;
use crate::error::ApiError;
use crate::json::Json;

const LIMIT_DEFAULT: usize = 500;
const LIMIT_MAX: usize = 1_000;

/// `klines` and `uiKlines`: what the venue smoothes for charts is the same here.
pub(super) fn candles(market: &Market, call: &Call<'_>) -> Result<String, ApiError> {
    let interval = interval(call.params.required("interval")?)?;
    let limit = call.params.limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    let start = read::from(call.params, "startTime")?;
    let end = read::until(call.params, "endTime")?;
    let offset = read::time_zone(call.params)?;
    let instrument = read::instrument(market, call.params)?;
    let candles = instrument.candles.candles(interval, start, end, limit, call.now, offset);
    Ok(Json::list(call.unit, |json| {
        for candle in &candles {
            json.array(|json| row(json, candle));
        }
    }))
}

fn interval(text: &str) -> Result<Interval, ApiError> {
    Interval::parse(text).ok_or_else(|| ApiError::new(-1120, "Invalid interval."))
}

fn row(json: &mut Json, candle: &Candle) {
    json.time(candle.open_stamp);
    json.decimal(candle.open);
    json.decimal(candle.high);
    json.decimal(candle.low);
    json.decimal(candle.close);
    json.decimal(candle.volume);
    json.time(candle.close_stamp);
    json.decimal(candle.quote);
    json.number(candle.trades);
    json.decimal(candle.taker_buy_volume);
    json.decimal(candle.taker_buy_quote);
    // Unused by the venue.
    json.text("0");
}

/// `avgPrice`.
pub(super) fn average(market: &Market, call: &Call<'_>) -> Result<String, ApiError> {
    let average = read::instrument(market, call.params)?.average_price(call.now);
    Ok(Json::of(call.unit, |json| {
        json.number_field("mins", average.minutes);
        json.decimal_field("price", average.price);
        json.time_field("closeTime", average.close_stamp);
    }))
}
