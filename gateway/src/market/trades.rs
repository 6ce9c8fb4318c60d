//! Trades, one by one and by taker.

use marketdata::{AggregateTrade, Market, TradeRow, Trades};
use protocol::{AggregateTradeId, TradeId};

use super::read;
use crate::endpoint::Call;
use crate::error::ApiError;
use crate::json::Json;

const LIMIT_DEFAULT: usize = 500;
const LIMIT_MAX: usize = 1_000;

/// `trades`: the newest.
pub(super) fn recent(market: &Market, call: &Call<'_>) -> Result<String, ApiError> {
    let limit = call.params.limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    let instrument = read::instrument(market, call.params)?;
    Ok(rows(call, instrument.trades.recent(limit)))
}

/// `historicalTrades`: from an id on; what is no longer kept is left out.
pub(super) fn historical(market: &Market, call: &Call<'_>) -> Result<String, ApiError> {
    let limit = call.params.limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    let from = call.params.integer("fromId")?;
    let trades = &read::instrument(market, call.params)?.trades;
    Ok(match from {
        Some(from) => rows(call, trades.from_id(TradeId(from), limit)),
        None => rows(call, trades.recent(limit)),
    })
}

/// `historicalBlockTrades`: this exchange has none.
pub(super) fn blocks(market: &Market, call: &Call<'_>) -> Result<String, ApiError> {
    call.params.limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    call.params.required("fromId")?;
    call.params.integer("fromId")?;
    read::instrument(market, call.params)?;
    Ok("[]".to_owned())
}

fn rows<'a>(call: &Call<'_>, trades: impl Iterator<Item = &'a TradeRow>) -> String {
    Json::list(call.unit, |json| {
        for trade in trades {
            json.object(|json| row(json, trade));
        }
    })
}

fn row(json: &mut Json, trade: &TradeRow) {
    json.number_field("id", trade.id.0);
    json.decimal_field("price", trade.price);
    json.decimal_field("qty", trade.quantity);
    json.decimal_field("quoteQty", trade.quote);
    json.time_field("time", trade.stamp);
    json.flag_field("isBuyerMaker", trade.buyer_is_maker);
    json.flag_field("isBestMatch", TradeRow::IS_BEST_MATCH);
}

/// `aggTrades`: from an id on, of a span of time, or the newest.
pub(super) fn aggregates(market: &Market, call: &Call<'_>) -> Result<String, ApiError> {
    let limit = call.params.limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    let from = call.params.integer("fromId")?;
    let start = read::from(call.params, "startTime")?;
    let end = read::until(call.params, "endTime")?;
    let trades: &Trades = &read::instrument(market, call.params)?.trades;
    match (from, start.is_some() || end.is_some()) {
        (Some(_), true) => Err(ApiError::bad_combination()),
        (Some(from), false) => {
            let rows = trades.aggregates_from_id(AggregateTradeId(from), limit);
            Ok(aggregate_rows(call, rows))
        }
        (None, _) => Ok(aggregate_rows(call, trades.aggregates_between(start, end, limit))),
    }
}

fn aggregate_rows<'a>(call: &Call<'_>, trades: impl Iterator<Item = &'a AggregateTrade>) -> String {
    Json::list(call.unit, |json| {
        for trade in trades {
            json.object(|json| aggregate_row(json, trade));
        }
    })
}

fn aggregate_row(json: &mut Json, trade: &AggregateTrade) {
    json.number_field("a", trade.id.0);
    json.decimal_field("p", trade.price);
    json.decimal_field("q", trade.quantity);
    json.number_field("f", trade.first_trade.0);
    json.number_field("l", trade.last_trade.0);
    json.time_field("T", trade.stamp);
    json.flag_field("m", trade.buyer_is_maker);
    json.flag_field("M", TradeRow::IS_BEST_MATCH);
}
