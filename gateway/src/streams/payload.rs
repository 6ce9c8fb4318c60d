//! The payloads of web-socket-streams.md, field by field. Each function writes the fields of one
//! object; the order is the document's.

use marketdata::{AggregateTrade, Auction, AveragePrice, Candle, Depth, DepthDiff, Ticker};
use protocol::event::Trade;
use protocol::{Amount, InstrumentStatus, Price, Side, Stamp, TradeId, UpdateId};

use super::name::{TickerKind, Window};
use crate::json::Json;

/// Best price and quantity of both sides; zeros for a side that is empty.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Top {
    pub(super) bid: (Price, Amount),
    pub(super) ask: (Price, Amount),
}

impl Top {
    pub(super) fn of(depth: &Depth) -> Top {
        let best =
            |side| depth.best(side).map_or_else(Default::default, |it| (it.price, it.quantity));
        Top { bid: best(Side::Buy), ask: best(Side::Sell) }
    }
}

fn head(json: &mut Json, event: &str, time: Stamp, symbol: &str) {
    json.text_field("e", event);
    json.time_field("E", time);
    json.text_field("s", symbol);
}

pub(super) fn trade(json: &mut Json, symbol: &str, trade: &Trade, stamp: Stamp) {
    head(json, "trade", stamp, symbol);
    json.number_field("t", trade.trade.0);
    json.decimal_field("p", trade.price);
    json.decimal_field("q", trade.quantity);
    json.time_field("T", stamp);
    json.flag_field("m", trade.taker_side == Side::Sell);
    json.flag_field("M", true);
}

pub(super) fn aggregate_trade(json: &mut Json, symbol: &str, run: &AggregateTrade) {
    head(json, "aggTrade", run.stamp, symbol);
    json.number_field("a", run.id.0);
    json.decimal_field("p", run.price);
    json.decimal_field("q", run.quantity);
    json.number_field("f", run.first_trade.0);
    json.number_field("l", run.last_trade.0);
    json.time_field("T", run.stamp);
    json.flag_field("m", run.buyer_is_maker);
    json.flag_field("M", true);
}

pub(super) fn book_ticker(json: &mut Json, symbol: &str, update: UpdateId, top: &Top) {
    json.number_field("u", update.0);
    json.text_field("s", symbol);
    top_fields(json, top);
}

fn top_fields(json: &mut Json, top: &Top) {
    json.decimal_field("b", top.bid.0);
    json.decimal_field("B", top.bid.1);
    json.decimal_field("a", top.ask.0);
    json.decimal_field("A", top.ask.1);
}

pub(super) fn depth(json: &mut Json, symbol: &str, diff: &DepthDiff, time: Stamp) {
    head(json, "depthUpdate", time, symbol);
    json.number_field("U", diff.first_update().0);
    json.number_field("u", diff.last_update().0);
    json.array_field("b", |json| diff.bids().into_iter().for_each(|it| level(json, it)));
    json.array_field("a", |json| diff.asks().into_iter().for_each(|it| level(json, it)));
}

pub(super) fn partial_depth(json: &mut Json, depth: &Depth, count: usize) {
    json.number_field("lastUpdateId", depth.last_update().0);
    let levels = |json: &mut Json, side| {
        let best = depth.levels(side).take(count);
        best.for_each(|it| level(json, (it.price, it.quantity)));
    };
    json.array_field("bids", |json| levels(json, Side::Buy));
    json.array_field("asks", |json| levels(json, Side::Sell));
}

fn level(json: &mut Json, (price, quantity): (Price, Amount)) {
    json.array(|json| {
        json.decimal(price);
        json.decimal(quantity);
    });
}

pub(super) fn kline(
    json: &mut Json,
    symbol: &str,
    interval: &str,
    candle: &Candle,
    time: Stamp,
    is_closed: bool,
) {
    head(json, "kline", time, symbol);
    json.object_field("k", |json| {
        json.time_field("t", candle.open_stamp);
        json.time_field("T", candle.close_stamp);
        json.text_field("s", symbol);
        json.text_field("i", interval);
        id_field(json, "f", candle.first_trade);
        id_field(json, "L", candle.last_trade);
        json.decimal_field("o", candle.open);
        json.decimal_field("c", candle.close);
        json.decimal_field("h", candle.high);
        json.decimal_field("l", candle.low);
        json.decimal_field("v", candle.volume);
        json.number_field("n", candle.trades);
        json.flag_field("x", is_closed);
        json.decimal_field("q", candle.quote);
        json.decimal_field("V", candle.taker_buy_volume);
        json.decimal_field("Q", candle.taker_buy_quote);
        json.text_field("B", "0");
    });
}

/// The first or last trade of a span; -1 for a span without trades.
fn id_field(json: &mut Json, name: &str, id: TradeId) {
    match id {
        TradeId::NONE => json.number_field(name, -1i64),
        _ => json.number_field(name, id.0),
    }
}

pub(super) fn ticker(
    json: &mut Json,
    symbol: &str,
    kind: TickerKind,
    ticker: &Ticker,
    top: &Top,
    time: Stamp,
) {
    match kind {
        TickerKind::Mini => mini_ticker(json, symbol, ticker, time),
        TickerKind::Full => full_ticker(json, symbol, ticker, top, time),
        TickerKind::Rolling(window) => rolling_ticker(json, symbol, window, ticker, time),
    }
}

fn mini_ticker(json: &mut Json, symbol: &str, ticker: &Ticker, time: Stamp) {
    head(json, "24hrMiniTicker", time, symbol);
    json.decimal_field("c", ticker.last);
    json.decimal_field("o", ticker.open);
    json.decimal_field("h", ticker.high);
    json.decimal_field("l", ticker.low);
    json.decimal_field("v", ticker.volume);
    json.decimal_field("q", ticker.quote);
}

fn full_ticker(json: &mut Json, symbol: &str, ticker: &Ticker, top: &Top, time: Stamp) {
    head(json, "24hrTicker", time, symbol);
    change_fields(json, ticker);
    json.decimal_field("w", ticker.weighted_average);
    json.decimal_field("x", ticker.previous_close);
    json.decimal_field("c", ticker.last);
    json.decimal_field("Q", ticker.last_quantity);
    top_fields(json, top);
    json.decimal_field("o", ticker.open);
    json.decimal_field("h", ticker.high);
    json.decimal_field("l", ticker.low);
    total_fields(json, ticker);
}

fn rolling_ticker(json: &mut Json, symbol: &str, window: Window, ticker: &Ticker, time: Stamp) {
    head(json, window.event_name(), time, symbol);
    change_fields(json, ticker);
    json.decimal_field("o", ticker.open);
    json.decimal_field("h", ticker.high);
    json.decimal_field("l", ticker.low);
    json.decimal_field("c", ticker.last);
    json.decimal_field("w", ticker.weighted_average);
    total_fields(json, ticker);
}

fn change_fields(json: &mut Json, ticker: &Ticker) {
    json.decimal_field("p", ticker.change);
    json.fixed_field("P", ticker.change_percent_thousandths, 3);
}

fn total_fields(json: &mut Json, ticker: &Ticker) {
    json.decimal_field("v", ticker.volume);
    json.decimal_field("q", ticker.quote);
    json.time_field("O", ticker.open_stamp);
    json.time_field("C", ticker.close_stamp);
    id_field(json, "F", ticker.first_trade);
    id_field(json, "L", ticker.last_trade);
    json.number_field("n", ticker.trades);
}

pub(super) fn average_price(json: &mut Json, symbol: &str, average: &AveragePrice, time: Stamp) {
    head(json, "avgPrice", time, symbol);
    json.text_field("i", &format!("{}m", average.minutes));
    json.decimal_field("w", average.price);
    json.time_field("T", average.close_stamp);
}

pub(super) fn reference_price(json: &mut Json, symbol: &str, price: Option<Price>, time: Stamp) {
    json.text_field("e", "referencePrice");
    json.text_field("s", symbol);
    match price {
        Some(price) => json.decimal_field("r", price),
        None => json.null_field("r"),
    }
    json.time_field("t", time);
}

pub(super) fn auction(
    json: &mut Json,
    symbol: &str,
    status: InstrumentStatus,
    auction: &Auction,
    time: Stamp,
) {
    head(json, "auction", time, symbol);
    json.decimal_field("p", auction.price);
    json.decimal_field("q", auction.quantity);
    json.text_field("S", auction.surplus_side.as_str());
    json.decimal_field("Q", auction.surplus);
    json.decimal_field("r", auction.reference);
    json.text_field("st", status.as_str());
    json.flag_field("x", !auction.is_collecting);
}

pub(super) fn server_shutdown(json: &mut Json, now: Stamp) {
    json.text_field("e", "serverShutdown");
    json.time_field("E", now);
}
