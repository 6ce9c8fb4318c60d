//! Endpoints that anybody may ask: the venue and its symbols, books, trades, candles, tickers. All
//! of them answer from the market's views at once and change nothing.

mod depth;
mod general;
mod klines;
pub mod neighbours;
mod read;
mod rules;
mod tickers;
mod trades;

#[cfg(test)]
mod tests;

use axum::http::Method;

use crate::core::Core;
use crate::endpoint::{Call, Endpoint, Run, Security, weight};
use crate::error::ApiError;
use crate::params::Params;

const KLINES: &[&str] = &["startTime", "endTime", "timeZone", "limit"];
const SYMBOLS: &[&str] = &["symbol", "symbols", "symbolStatus"];

type Query = fn(&Core, &Call<'_>) -> Result<String, ApiError>;

/// An endpoint without a key; `method` is its name over the WebSocket API, empty if it is not there.
pub(crate) const fn query(
    method: &'static str,
    path: &'static str,
    mandatory: &'static [&'static str],
    optional: &'static [&'static str],
    weight: fn(&Params<'_>) -> u32,
    run: Query,
) -> Endpoint {
    let (rest, security, run) = ((Method::GET, path), Security::None, Run::Query(run));
    Endpoint { method, rest, security, mandatory, optional, weight, run }
}

/// Every endpoint of market data, as the documents have them.
pub const ENDPOINTS: &[Endpoint] = &[
    query("ping", "/api/v3/ping", &[], &[], weight::<1>, |_, _| Ok(general::ping())),
    query("time", "/api/v3/time", &[], &[], weight::<1>, |_, call| Ok(general::time(call))),
    query(
        "exchangeInfo",
        "/api/v3/exchangeInfo",
        &[],
        &["symbol", "symbols", "permissions", "showPermissionSets", "symbolStatus"],
        weight::<20>,
        |core, call| general::exchange_info(&core.market, &general::Venue::of(core), call),
    ),
    query(
        "executionRules",
        "/api/v3/executionRules",
        &[],
        SYMBOLS,
        rules::execution_rules_weight,
        |core, call| rules::execution_rules(&core.market, call),
    ),
    query(
        "depth",
        "/api/v3/depth",
        &["symbol"],
        &["limit", "symbolStatus"],
        depth::weight,
        |core, call| depth::book(&core.market, call),
    ),
    query(
        "trades.recent",
        "/api/v3/trades",
        &["symbol"],
        &["limit"],
        weight::<25>,
        |core, call| trades::recent(&core.market, call),
    ),
    query(
        "trades.historical",
        "/api/v3/historicalTrades",
        &["symbol"],
        // A key was needed once; clients still send it.
        &["limit", "fromId", "apiKey"],
        weight::<25>,
        |core, call| trades::historical(&core.market, call),
    ),
    query(
        "blockTrades.historical",
        "/api/v3/historicalBlockTrades",
        &["symbol", "fromId"],
        &["limit"],
        weight::<25>,
        |core, call| trades::blocks(&core.market, call),
    ),
    query(
        "trades.aggregate",
        "/api/v3/aggTrades",
        &["symbol"],
        &["fromId", "startTime", "endTime", "limit"],
        weight::<4>,
        |core, call| trades::aggregates(&core.market, call),
    ),
    query(
        "klines",
        "/api/v3/klines",
        &["symbol", "interval"],
        KLINES,
        weight::<2>,
        |core, call| klines::candles(&core.market, call),
    ),
    query(
        "uiKlines",
        "/api/v3/uiKlines",
        &["symbol", "interval"],
        KLINES,
        weight::<2>,
        |core, call| klines::candles(&core.market, call),
    ),
    query("avgPrice", "/api/v3/avgPrice", &["symbol"], &[], weight::<2>, |core, call| {
        klines::average(&core.market, call)
    }),
    query(
        "ticker.24hr",
        "/api/v3/ticker/24hr",
        &[],
        &["symbol", "symbols", "type", "symbolStatus"],
        tickers::day_weight,
        |core, call| tickers::day(&core.market, call),
    ),
    query(
        "ticker.tradingDay",
        "/api/v3/ticker/tradingDay",
        &[],
        &["symbol", "symbols", "timeZone", "type", "symbolStatus"],
        tickers::window_weight,
        |core, call| tickers::trading_day(&core.market, call),
    ),
    query(
        "ticker",
        "/api/v3/ticker",
        &[],
        &["symbol", "symbols", "windowSize", "type", "symbolStatus"],
        tickers::window_weight,
        |core, call| tickers::window(&core.market, call),
    ),
    query(
        "ticker.price",
        "/api/v3/ticker/price",
        &[],
        SYMBOLS,
        tickers::price_weight,
        |core, call| tickers::price(&core.market, call),
    ),
    query(
        "ticker.book",
        "/api/v3/ticker/bookTicker",
        &[],
        SYMBOLS,
        tickers::price_weight,
        |core, call| tickers::book(&core.market, call),
    ),
    query(
        "referencePrice",
        "/api/v3/referencePrice",
        &["symbol"],
        &[],
        weight::<2>,
        |core, call| rules::reference_price(&core.market, call),
    ),
    query(
        "referencePrice.calculation",
        "/api/v3/referencePrice/calculation",
        &["symbol"],
        &["symbolStatus"],
        weight::<2>,
        |core, call| rules::calculation(&core.market, call),
    ),
    // Ours.
    query("auction", "/api/v3/auction", &["symbol"], &[], weight::<2>, |core, call| {
        rules::auction(&core.market, call)
    }),
];
