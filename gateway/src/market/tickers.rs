//! Statistics of a day or a window, last prices, best bids and asks.

use marketdata::{Instrument, Level, Market, Ticker};
use protocol::{Amount, MINUTE_NS, Price, Side, Stamp};

use super::read::{self, Asked};
use crate::endpoint::Call;
use crate::error::ApiError;
use crate::json::Json;
use crate::params::Params;

const HOUR_NS: u64 = 60 * MINUTE_NS;
const DAY_NS: u64 = 24 * HOUR_NS;
/// Symbols of one request for windows or trading days.
const SYMBOLS_MAX: usize = 100;

/// How much of the statistics is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extent {
    Full,
    Mini,
}

impl Extent {
    fn of(params: &Params<'_>) -> Result<Extent, ApiError> {
        match params.get("type") {
            None | Some("FULL") => Ok(Extent::Full),
            Some("MINI") => Ok(Extent::Mini),
            Some(_) => Err(ApiError::new(-1139, "Invalid ticker type.")),
        }
    }
}

/// Of `ticker/24hr`, by the number of symbols.
pub(super) fn day_weight(params: &Params<'_>) -> u32 {
    match read::symbols_count(params) {
        Some(0..=20) => 2,
        Some(21..=100) => 40,
        Some(_) | None => 80,
    }
}

/// Of `ticker` and `ticker/tradingDay`: 4 for each symbol.
pub(super) fn window_weight(params: &Params<'_>) -> u32 {
    4 * read::symbols_count(params).unwrap_or(1).clamp(1, 50)
}

/// Of `ticker/price` and `ticker/bookTicker`: by whether it is one symbol.
pub(super) fn price_weight(params: &Params<'_>) -> u32 {
    if params.has("symbol") { 2 } else { 4 }
}

/// `ticker/24hr`.
pub(super) fn day(market: &Market, call: &Call<'_>) -> Result<String, ApiError> {
    let extent = Extent::of(call.params)?;
    let asked = Asked::of(market, call.params)?;
    Ok(asked.answer(call, |json, instrument| {
        let rolling = instrument.rolling(DAY_NS, call.now);
        // Shown to the millisecond, unlike the window of `ticker`.
        let open_stamp = Stamp(rolling.close_stamp.0.saturating_sub(DAY_NS));
        let ticker = Ticker { open_stamp, ..rolling };
        json.text_field("symbol", instrument.symbol());
        if extent == Extent::Full {
            change(json, &ticker);
            json.decimal_field("prevClosePrice", ticker.previous_close);
            json.decimal_field("lastPrice", ticker.last);
            json.decimal_field("lastQty", ticker.last_quantity);
            best(json, instrument);
            json.decimal_field("openPrice", ticker.open);
            json.decimal_field("highPrice", ticker.high);
            json.decimal_field("lowPrice", ticker.low);
        } else {
            prices(json, &ticker);
        }
        volumes(json, &ticker);
    }))
}

/// `ticker`: a window of the asker's size.
pub(super) fn window(market: &Market, call: &Call<'_>) -> Result<String, ApiError> {
    let window_ns = window_ns(call.params)?;
    statistics(market, call, |instrument| instrument.rolling(window_ns, call.now))
}

/// `ticker/tradingDay`: the day of the asker's time zone.
pub(super) fn trading_day(market: &Market, call: &Call<'_>) -> Result<String, ApiError> {
    let offset = read::time_zone(call.params)?;
    statistics(market, call, |instrument| instrument.trading_day(call.now, offset))
}

fn statistics(
    market: &Market,
    call: &Call<'_>,
    ticker: impl Fn(&Instrument) -> Ticker,
) -> Result<String, ApiError> {
    let extent = Extent::of(call.params)?;
    let asked = Asked::some(market, call.params, SYMBOLS_MAX)?;
    Ok(asked.answer(call, |json, instrument| {
        let ticker = ticker(instrument);
        json.text_field("symbol", instrument.symbol());
        if extent == Extent::Full {
            change(json, &ticker);
        }
        prices(json, &ticker);
        volumes(json, &ticker);
    }))
}

/// `windowSize`: 1m to 59m, 1h to 23h, 1d to 7d; a day when absent.
fn window_ns(params: &Params<'_>) -> Result<u64, ApiError> {
    let Some(text) = params.get("windowSize") else { return Ok(DAY_NS) };
    parse_window(text).ok_or_else(|| ApiError::invalid("windowSize"))
}

fn parse_window(text: &str) -> Option<u64> {
    let units = [("m", MINUTE_NS, 59), ("h", HOUR_NS, 23), ("d", DAY_NS, 7)];
    let (digits, unit_ns, max) = units
        .into_iter()
        .find_map(|(unit, unit_ns, max)| Some((text.strip_suffix(unit)?, unit_ns, max)))?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    let count: u64 = digits.parse().ok().filter(|count| is_number && *count <= max)?;
    Some(count * unit_ns)
}

fn change(json: &mut Json, ticker: &Ticker) {
    json.decimal_field("priceChange", ticker.change);
    json.fixed_field("priceChangePercent", ticker.change_percent_thousandths, 3);
    json.decimal_field("weightedAvgPrice", ticker.weighted_average);
}

fn prices(json: &mut Json, ticker: &Ticker) {
    json.decimal_field("openPrice", ticker.open);
    json.decimal_field("highPrice", ticker.high);
    json.decimal_field("lowPrice", ticker.low);
    json.decimal_field("lastPrice", ticker.last);
}

fn volumes(json: &mut Json, ticker: &Ticker) {
    json.decimal_field("volume", ticker.volume);
    json.decimal_field("quoteVolume", ticker.quote);
    json.time_field("openTime", ticker.open_stamp);
    json.time_field("closeTime", ticker.close_stamp);
    // Without a trade there is no id.
    let id = |id: u64| if ticker.trades == 0 { -1 } else { i128::from(id) };
    json.number_field("firstId", id(ticker.first_trade.0));
    json.number_field("lastId", id(ticker.last_trade.0));
    json.number_field("count", ticker.trades);
}

/// `ticker/price`; 0 before the first trade.
pub(super) fn price(market: &Market, call: &Call<'_>) -> Result<String, ApiError> {
    let asked = Asked::of(market, call.params)?;
    Ok(asked.answer(call, |json, instrument| {
        json.text_field("symbol", instrument.symbol());
        json.decimal_field("price", instrument.last_price().unwrap_or(Price::ZERO));
    }))
}

/// `ticker/bookTicker`.
pub(super) fn book(market: &Market, call: &Call<'_>) -> Result<String, ApiError> {
    let asked = Asked::of(market, call.params)?;
    Ok(asked.answer(call, |json, instrument| {
        json.text_field("symbol", instrument.symbol());
        best(json, instrument);
    }))
}

/// Best bid and ask; an empty side is all zeros.
fn best(json: &mut Json, instrument: &Instrument) {
    let none = Level { price: Price::ZERO, quantity: Amount::ZERO, orders: 0 };
    let best = |side| instrument.depth.best(side).unwrap_or(none);
    let (bid, ask) = (best(Side::Buy), best(Side::Sell));
    json.decimal_field("bidPrice", bid.price);
    json.decimal_field("bidQty", bid.quantity);
    json.decimal_field("askPrice", ask.price);
    json.decimal_field("askQty", ask.quantity);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_minutes_hours_or_days() {
        let valid = [
            ("1m", MINUTE_NS),
            ("59m", 59 * MINUTE_NS),
            ("1h", HOUR_NS),
            ("23h", 23 * HOUR_NS),
            ("1d", DAY_NS),
            ("7d", 7 * DAY_NS),
        ];
        for (text, expected) in valid {
            assert_eq!(parse_window(text), Some(expected), "{text}");
        }
        for text in ["0m", "60m", "24h", "8d", "1d2h", "1w", "1M", "01m", "+1m", "m", "", "7"] {
            assert_eq!(parse_window(text), None, "{text}");
        }
    }
}
