//! Answers against the examples of the documents: names, their order, and what is text.

use axum::http::Method;
use marketdata::{History, Market};
use protocol::command::VenueLimits;
use protocol::event::{
    AssetDefined, BookChanged, InstrumentDefined, InstrumentStatusSet, RateLimitSet, Trade,
};
use protocol::instrument::{AssetName, Symbol};
use protocol::{
    AggregateTradeId, AssetId, Event, InstrumentDefinition, InstrumentId, InstrumentStatus,
    LevelQuantity, MINUTE_NS, OrderId, Price, Quantity, RateLimitInterval, RateLimitKind, SCALE,
    SECOND_NS, Side, Stamp, TradeId, UpdateId, notional,
};
use serde_json::Value;

use super::general::{self, Venue};
use super::{ENDPOINTS, depth, klines, rules, tickers, trades};

mod phases;
use crate::endpoint::{Call, Security};
use crate::error::ApiError;
use crate::json::TimeUnit;
use crate::limits::Rules;
use crate::params::Params;

/// 2023-01-02T00:00Z, a Monday.
const START: u64 = 1_672_617_600 * SECOND_NS;
/// Half past midnight and 7 s, 123 ms, 456 µs.
const NOW: Stamp = Stamp(START + 30 * MINUTE_NS + 7_123_456_789);
/// The same in milliseconds.
const NOW_MS: u64 = 1_672_619_407_123;
const START_MS: u64 = 1_672_617_600_000;

type Answer = fn(&Market, &Call<'_>) -> Result<String, ApiError>;

fn define(market: &mut Market, id: u32, base: &str) {
    let (quote, symbol) = (AssetName::new("USDT").unwrap(), format!("{base}USDT"));
    let (symbol, base_name) = (Symbol::new(&symbol).unwrap(), AssetName::new(base).unwrap());
    let (base, quote_id) = (AssetId(id + 1), AssetId(1));
    market.apply(&AssetDefined { asset: base, name: base_name }.into(), Stamp(START));
    let definition = InstrumentDefinition::open(symbol, base_name, quote);
    let instrument = InstrumentId(id);
    let defined = InstrumentDefined { instrument, base, quote: quote_id, definition };
    market.apply(&defined.into(), Stamp(START));
}

/// BTCUSDT and ETHUSDT, without a trade.
pub(super) fn market() -> Market {
    let mut market = Market::new(History::default());
    let name = AssetName::new("USDT").unwrap();
    market.apply(&AssetDefined { asset: AssetId(1), name }.into(), Stamp(START));
    define(&mut market, 1, "BTC");
    define(&mut market, 2, "ETH");
    market
}

fn level(market: &mut Market, update: u64, side: Side, price: u64, quantity: u64) {
    let change = BookChanged {
        instrument: InstrumentId(1),
        update: UpdateId(update),
        side,
        price: Price(price * SCALE),
        quantity: LevelQuantity::new(Quantity(quantity * SCALE).into()),
        orders: 1,
    };
    market.apply(&change.into(), Stamp(START));
}

fn trade(market: &mut Market, id: u64, aggregate: u64, taker: Side, price: u64, minute: u64) {
    let (price, quantity) = (Price(price * SCALE), Quantity(SCALE / 2));
    let trade = Trade {
        instrument: InstrumentId(1),
        trade: TradeId(id),
        aggregate: AggregateTradeId(aggregate),
        price,
        quantity,
        quote: notional(price, quantity),
        maker_order: OrderId(1),
        taker_order: OrderId(2),
        taker_side: taker,
    };
    market.apply(&trade.into(), Stamp(START + minute * MINUTE_NS + 1_500_000));
}

/// BTCUSDT with two bids, an ask, and four trades: one at midnight, two of one taker 5 minutes
/// later, one at 00:29.
fn traded() -> Market {
    let mut market = market();
    level(&mut market, 1, Side::Buy, 98, 7);
    level(&mut market, 2, Side::Buy, 99, 3);
    level(&mut market, 3, Side::Sell, 101, 2);
    trade(&mut market, 1, 1, Side::Buy, 100, 0);
    trade(&mut market, 2, 2, Side::Sell, 99, 5);
    trade(&mut market, 3, 2, Side::Sell, 99, 5);
    trade(&mut market, 4, 3, Side::Buy, 102, 29);
    market
}

fn ask(market: &Market, answer: Answer, query: &str) -> Result<String, ApiError> {
    let params = Params::of_rest(query, "").unwrap();
    let unit = TimeUnit::Millisecond;
    let (now, deadline) = (NOW, Stamp::NEVER);
    answer(market, &Call { params: &params, unit, now, deadline, caller: None, is_socket: false })
}

#[track_caller]
fn check(market: &Market, answer: Answer, query: &str, expected: &str) {
    let found = ask(market, answer, query).unwrap();
    assert_eq!(found, expected, "{query}");
    let _: Value = serde_json::from_str(&found).unwrap();
}

#[track_caller]
fn refused(market: &Market, answer: Answer, query: &str, code: i32, message: &str) {
    let error = ask(market, answer, query).unwrap_err();
    assert_eq!((error.code, &*error.message, error.status), (code, message, 400), "{query}");
}

fn ms(minute: u64) -> u64 {
    START_MS + minute * 60_000
}

#[test]
fn every_request_of_the_documents_is_there_once() {
    let expected = [
        ("ping", "ping"),
        ("time", "time"),
        ("exchangeInfo", "exchangeInfo"),
        ("executionRules", "executionRules"),
        ("depth", "depth"),
        ("trades.recent", "trades"),
        ("trades.historical", "historicalTrades"),
        ("blockTrades.historical", "historicalBlockTrades"),
        ("trades.aggregate", "aggTrades"),
        ("klines", "klines"),
        ("uiKlines", "uiKlines"),
        ("avgPrice", "avgPrice"),
        ("ticker.24hr", "ticker/24hr"),
        ("ticker.tradingDay", "ticker/tradingDay"),
        ("ticker", "ticker"),
        ("ticker.price", "ticker/price"),
        ("ticker.book", "ticker/bookTicker"),
        ("referencePrice", "referencePrice"),
        ("referencePrice.calculation", "referencePrice/calculation"),
        // Ours.
        ("auction", "auction"),
    ];
    let found: Vec<_> = ENDPOINTS.iter().map(|it| (it.method, it.rest.1)).collect();
    let paths: Vec<_> = expected.map(|(_, path)| format!("/api/v3/{path}")).into_iter().collect();
    let expected: Vec<_> = expected.iter().zip(&paths).map(|(it, path)| (it.0, &**path)).collect();
    assert_eq!(found, expected);
    assert!(ENDPOINTS.iter().all(|it| it.rest.0 == Method::GET && it.security == Security::None));
}

#[test]
fn a_request_weighs_what_the_documents_say() {
    #[track_caller]
    fn check(method: &str, query: &str, weight: u32) {
        let endpoint = ENDPOINTS.iter().find(|it| it.method == method).unwrap();
        assert_eq!((endpoint.weight)(&Params::of_rest(query, "").unwrap()), weight, "{query}");
    }
    let symbols = |count: usize| {
        let names: Vec<String> = (0..count).map(|it| format!("\"S{it}\"")).collect();
        format!("symbols=[{}]", names.join(","))
    };
    check("ping", "", 1);
    check("time", "", 1);
    check("exchangeInfo", "", 20);
    for (limit, weight) in [
        ("", 5),
        ("limit=100", 5),
        ("limit=101", 25),
        ("limit=500", 25),
        ("limit=501", 50),
        ("limit=1000", 50),
        ("limit=1001", 250),
        ("limit=999999", 250),
        ("limit=x", 5),
    ] {
        check("depth", limit, weight);
    }
    check("trades.recent", "symbol=A", 25);
    check("trades.historical", "symbol=A", 25);
    check("blockTrades.historical", "symbol=A", 25);
    check("trades.aggregate", "symbol=A", 4);
    check("klines", "symbol=A", 2);
    check("uiKlines", "symbol=A", 2);
    check("avgPrice", "symbol=A", 2);
    for (query, day, window, price, rules) in [
        ("symbol=A".to_owned(), 2, 4, 2, 2),
        (symbols(1), 2, 4, 4, 2),
        (symbols(20), 2, 80, 4, 40),
        (symbols(21), 40, 84, 4, 40),
        (symbols(50), 40, 200, 4, 40),
        (symbols(100), 40, 200, 4, 40),
        (symbols(101), 80, 200, 4, 40),
        (String::new(), 80, 4, 4, 40),
        ("symbols=x".to_owned(), 2, 4, 4, 2),
    ] {
        check("ticker.24hr", &query, day);
        check("ticker", &query, window);
        check("ticker.tradingDay", &query, window);
        check("ticker.price", &query, price);
        check("ticker.book", &query, price);
        check("executionRules", &query, rules);
    }
    check("executionRules", "symbolStatus=HALT", 40);
    check("referencePrice", "symbol=A", 2);
    check("referencePrice.calculation", "symbol=A", 2);
}

#[test]
fn time_is_shown_in_the_unit_asked_for() {
    let params = Params::default();
    let time = |unit| {
        general::time(&Call {
            params: &params,
            unit,
            now: NOW,
            deadline: Stamp::NEVER,
            caller: None,
            is_socket: false,
        })
    };
    assert_eq!(time(TimeUnit::Millisecond), format!("{{\"serverTime\":{NOW_MS}}}"));
    assert_eq!(time(TimeUnit::Microsecond), format!("{{\"serverTime\":{NOW_MS}456}}"));
    assert_eq!(general::ping(), "{}");
}

#[test]
fn depth_is_the_best_levels_of_both_sides() {
    let market = traded();
    let bids = "[\"99.00000000\",\"3.00000000\"],[\"98.00000000\",\"7.00000000\"]";
    let asks = "[\"101.00000000\",\"2.00000000\"]";
    let whole = format!("{{\"lastUpdateId\":3,\"bids\":[{bids}],\"asks\":[{asks}]}}");
    check(&market, depth::book, "symbol=BTCUSDT", &whole);
    check(&market, depth::book, "symbol=BTCUSDT&limit=9999&symbolStatus=TRADING", &whole);
    let best = format!(
        "{{\"lastUpdateId\":3,\"bids\":[[\"99.00000000\",\"3.00000000\"]],\"asks\":[{asks}]}}"
    );
    check(&market, depth::book, "symbol=BTCUSDT&limit=1", &best);
    let empty = "{\"lastUpdateId\":0,\"bids\":[],\"asks\":[]}";
    check(&market, depth::book, "symbol=ETHUSDT", empty);
}

#[test]
fn trades_are_shown_oldest_first() {
    let market = traded();
    let row = |id: u64, price: &str, quote: &str, time: u64, is_maker: bool| {
        format!(
            "{{\"id\":{id},\"price\":\"{price}.00000000\",\"qty\":\"0.50000000\",\
             \"quoteQty\":\"{quote}\",\"time\":{time},\"isBuyerMaker\":{is_maker},\
             \"isBestMatch\":true}}"
        )
    };
    let first = row(1, "100", "50.00000000", ms(0) + 1, false);
    let third = row(3, "99", "49.50000000", ms(5) + 1, true);
    let fourth = row(4, "102", "51.00000000", ms(29) + 1, false);
    let newest = format!("[{third},{fourth}]");
    check(&market, trades::recent, "symbol=BTCUSDT&limit=2", &newest);
    check(&market, trades::historical, "symbol=BTCUSDT&limit=2", &newest);
    check(&market, trades::historical, "symbol=BTCUSDT&fromId=3", &newest);
    check(&market, trades::historical, "symbol=BTCUSDT&fromId=0&limit=1", &format!("[{first}]"));
    check(&market, trades::historical, "symbol=BTCUSDT&fromId=5", "[]");
    check(&market, trades::recent, "symbol=ETHUSDT", "[]");
    check(&market, trades::blocks, "symbol=BTCUSDT&fromId=1", "[]");
}

#[test]
fn aggregate_trades_are_chosen_by_id_or_by_time() {
    let market = traded();
    let row = |id: u64, price: &str, quantity: &str, trades: (u64, u64), time: u64, m: bool| {
        format!(
            "{{\"a\":{id},\"p\":\"{price}.00000000\",\"q\":\"{quantity}\",\"f\":{},\"l\":{},\
             \"T\":{time},\"m\":{m},\"M\":true}}",
            trades.0, trades.1
        )
    };
    let first = row(1, "100", "0.50000000", (1, 1), ms(0) + 1, false);
    let second = row(2, "99", "1.00000000", (2, 3), ms(5) + 1, true);
    let third = row(3, "102", "0.50000000", (4, 4), ms(29) + 1, false);
    let of = |query: &str, expected: &[&String]| {
        let rows: Vec<&str> = expected.iter().map(|row| row.as_str()).collect();
        let query = format!("symbol=BTCUSDT{query}");
        check(&market, trades::aggregates, &query, &format!("[{}]", rows.join(",")));
    };
    of("", &[&first, &second, &third]);
    of("&limit=1", &[&third]);
    of("&fromId=2", &[&second, &third]);
    of("&fromId=0&limit=1", &[&first]);
    of(&format!("&startTime={}", ms(5)), &[&second, &third]);
    of(&format!("&startTime={}&limit=1", ms(0)), &[&first]);
    of(&format!("&endTime={}", ms(6)), &[&first, &second]);
    of(&format!("&endTime={}&limit=1", ms(6)), &[&second]);
    // What is shown at that time is included, to the millisecond or the microsecond asked for.
    of(&format!("&startTime={}&endTime={}", ms(5) + 1, ms(5) + 1), &[&second]);
    of(&format!("&startTime={}501", ms(5) + 1), &[&third]);
    of(&format!("&endTime={}499", ms(5) + 1), &[&first]);
    of(&format!("&startTime={}&endTime={}", ms(9), ms(8)), &[]);
}

#[test]
fn candles_are_arrays_of_twelve() {
    let market = traded();
    let candle = |open: u64, prices: [&str; 4], volume: &str, close: u64, rest: &str| {
        let [o, h, l, c] = prices.map(|price| format!("\"{price}.00000000\""));
        format!("[{open},{o},{h},{l},{c},\"{volume}\",{close},{rest},\"0\"]")
    };
    let quiet = "\"0.00000000\",0,\"0.00000000\",\"0.00000000\"";
    let first = candle(
        ms(0),
        ["100", "100", "99", "99"],
        "1.50000000",
        ms(15) - 1,
        "\"149.00000000\",3,\"0.50000000\",\"50.00000000\"",
    );
    let second = candle(
        ms(15),
        ["102", "102", "102", "102"],
        "0.50000000",
        ms(30) - 1,
        "\"51.00000000\",1,\"0.50000000\",\"51.00000000\"",
    );
    let third = candle(ms(30), ["102"; 4], "0.00000000", ms(45) - 1, quiet);
    let of = |query: &str, expected: &[&String]| {
        let rows: Vec<&str> = expected.iter().map(|row| row.as_str()).collect();
        let query = format!("symbol=BTCUSDT&interval=15m{query}");
        check(&market, klines::candles, &query, &format!("[{}]", rows.join(",")));
    };
    of("", &[&first, &second, &third]);
    of("&limit=2", &[&second, &third]);
    of(&format!("&startTime={}&limit=1", ms(1)), &[&second]);
    of(&format!("&endTime={}", ms(15)), &[&first, &second]);
    of(&format!("&startTime={}&endTime={}", ms(2), ms(1)), &[]);
    of("&timeZone=05:45&limit=1", &[&third]);
    // An hour begins at :15 there.
    let query = "symbol=BTCUSDT&interval=1h&timeZone=05:45&limit=1";
    let shifted: Value =
        serde_json::from_str(&ask(&market, klines::candles, query).unwrap()).unwrap();
    assert_eq!(shifted[0][0], ms(15));
    check(&market, klines::candles, "symbol=ETHUSDT&interval=1M", "[]");
}

#[test]
fn the_average_price_says_when_the_last_trade_was() {
    let expected =
        format!("{{\"mins\":5,\"price\":\"102.00000000\",\"closeTime\":{}}}", ms(29) + 1);
    check(&traded(), klines::average, "symbol=BTCUSDT", &expected);
    let none = "{\"mins\":5,\"price\":\"0.00000000\",\"closeTime\":0}";
    check(&traded(), klines::average, "symbol=ETHUSDT", none);
}

const CHANGE: &str = "\"priceChange\":\"2.00000000\",\"priceChangePercent\":\"2.000\",\
                      \"weightedAvgPrice\":\"100.00000000\"";
const PRICES: &str = "\"openPrice\":\"100.00000000\",\"highPrice\":\"102.00000000\",\
                      \"lowPrice\":\"99.00000000\"";
const VOLUMES: &str = "\"volume\":\"2.00000000\",\"quoteVolume\":\"200.00000000\"";
const IDS: &str = "\"firstId\":1,\"lastId\":4,\"count\":4";

#[test]
fn the_ticker_of_24_hours_has_the_fields_of_the_document() {
    let market = traded();
    let times = format!("\"openTime\":{},\"closeTime\":{NOW_MS}", NOW_MS - 86_400_000);
    let full = format!(
        "{{\"symbol\":\"BTCUSDT\",{CHANGE},\"prevClosePrice\":\"0.00000000\",\
         \"lastPrice\":\"102.00000000\",\"lastQty\":\"0.50000000\",\"bidPrice\":\"99.00000000\",\
         \"bidQty\":\"3.00000000\",\"askPrice\":\"101.00000000\",\"askQty\":\"2.00000000\",\
         {PRICES},{VOLUMES},{times},{IDS}}}"
    );
    let mini = format!(
        "{{\"symbol\":\"BTCUSDT\",{PRICES},\"lastPrice\":\"102.00000000\",{VOLUMES},{times},{IDS}}}"
    );
    let quiet = format!(
        "{{\"symbol\":\"ETHUSDT\",\"openPrice\":\"0.00000000\",\"highPrice\":\"0.00000000\",\
         \"lowPrice\":\"0.00000000\",\"lastPrice\":\"0.00000000\",\"volume\":\"0.00000000\",\
         \"quoteVolume\":\"0.00000000\",{times},\"firstId\":-1,\"lastId\":-1,\"count\":0}}"
    );
    check(&market, tickers::day, "symbol=BTCUSDT", &full);
    check(&market, tickers::day, "symbol=BTCUSDT&type=FULL", &full);
    check(&market, tickers::day, "symbol=BTCUSDT&type=MINI", &mini);
    let both = "symbols=[\"ETHUSDT\",\"BTCUSDT\"]&type=MINI";
    check(&market, tickers::day, both, &format!("[{quiet},{mini}]"));
    check(&market, tickers::day, "type=MINI", &format!("[{mini},{quiet}]"));
    check(&market, tickers::day, "type=MINI&symbolStatus=HALT", "[]");
}

#[test]
fn tickers_of_windows_and_days_differ_in_their_times() {
    let market = traded();
    let full = |open: u64, close: u64| {
        format!(
            "{{\"symbol\":\"BTCUSDT\",{CHANGE},{PRICES},\"lastPrice\":\"102.00000000\",{VOLUMES},\
             \"openTime\":{open},\"closeTime\":{close},{IDS}}}"
        )
    };
    // The window opens on a minute.
    let day = full(ms(30) - 86_400_000, NOW_MS);
    check(&market, tickers::window, "symbol=BTCUSDT", &day);
    check(&market, tickers::window, "symbols=[\"BTCUSDT\"]", &format!("[{day}]"));
    check(&market, tickers::window, "symbol=BTCUSDT&windowSize=1d", &day);
    let hour = full(ms(30) - 3_600_000, NOW_MS);
    check(&market, tickers::window, "symbol=BTCUSDT&windowSize=1h", &hour);
    let today = full(START_MS, START_MS + 86_400_000 - 1);
    check(&market, tickers::trading_day, "symbol=BTCUSDT", &today);
    let west = full(START_MS - 82_800_000, START_MS + 3_600_000 - 1);
    check(&market, tickers::trading_day, "symbol=BTCUSDT&timeZone=-1:00", &west);
    let mini = format!(
        "{{\"symbol\":\"BTCUSDT\",{PRICES},\"lastPrice\":\"102.00000000\",{VOLUMES},\
         \"openTime\":{START_MS},\"closeTime\":{},{IDS}}}",
        START_MS + 86_400_000 - 1
    );
    check(&market, tickers::trading_day, "symbol=BTCUSDT&type=MINI", &mini);
}

#[test]
fn an_empty_side_of_the_book_is_zeros() {
    let market = traded();
    let btc = "{\"symbol\":\"BTCUSDT\",\"bidPrice\":\"99.00000000\",\"bidQty\":\"3.00000000\",\
               \"askPrice\":\"101.00000000\",\"askQty\":\"2.00000000\"}";
    let eth = "{\"symbol\":\"ETHUSDT\",\"bidPrice\":\"0.00000000\",\"bidQty\":\"0.00000000\",\
               \"askPrice\":\"0.00000000\",\"askQty\":\"0.00000000\"}";
    check(&market, tickers::book, "symbol=BTCUSDT", btc);
    check(&market, tickers::book, "", &format!("[{btc},{eth}]"));
    let btc = "{\"symbol\":\"BTCUSDT\",\"price\":\"102.00000000\"}";
    let eth = "{\"symbol\":\"ETHUSDT\",\"price\":\"0.00000000\"}";
    check(&market, tickers::price, "symbol=BTCUSDT", btc);
    check(&market, tickers::price, "symbols=[\"ETHUSDT\",\"BTCUSDT\"]", &format!("[{eth},{btc}]"));
    check(&market, tickers::price, "symbols=%5B%22ETHUSDT%22%5D", &format!("[{eth}]"));
}

#[test]
fn a_status_leaves_out_the_others_and_refuses_a_single_one() {
    let mut market = traded();
    let (instrument, status) = (InstrumentId(2), InstrumentStatus::Halt);
    market.apply(&Event::from(InstrumentStatusSet { instrument, status }), NOW);
    let eth = "[{\"symbol\":\"ETHUSDT\",\"price\":\"0.00000000\"}]";
    let both = "symbols=[\"BTCUSDT\",\"ETHUSDT\"]&symbolStatus=HALT";
    check(&market, tickers::price, "symbolStatus=HALT", eth);
    check(&market, tickers::price, both, eth);
    check(&market, tickers::price, "symbolStatus=CANCEL_ONLY", "[]");
    let message = "The symbol's status does not match the requested symbolStatus.";
    for answer in [tickers::price, tickers::book, tickers::day, tickers::window, depth::book] {
        refused(&market, answer, "symbol=BTCUSDT&symbolStatus=HALT", -1220, message);
    }
    refused(&market, rules::reference_price, "symbol=BTCUSDT&symbolStatus=BREAK", -1220, message);
}

#[test]
fn what_cannot_be_read_is_refused() {
    let market = traded();
    let no = |answer: Answer, query: &str, code: i32, message: &str| {
        refused(&market, answer, query, code, message);
    };
    let one: [Answer; 9] = [
        depth::book,
        trades::recent,
        trades::historical,
        trades::aggregates,
        klines::average,
        tickers::day,
        tickers::window,
        tickers::price,
        rules::reference_price,
    ];
    let range = "Illegal characters found in parameter 'symbol'; legal range is \
                 '^[\\w\\-._&&[^a-z]]{1,50}$'.";
    for answer in one {
        no(answer, "symbol=XYZ", -1121, "Invalid symbol.");
        no(answer, "symbol=btcusdt", -1100, range);
    }
    let either = "Param 'symbol' or 'symbols' must be sent, but both were empty/null!";
    no(tickers::window, "", -1102, either);
    no(tickers::trading_day, "", -1102, either);
    let many = format!("symbols=[{}]", ["\"BTCUSDT\""; 101].join(","));
    let twice = "Symbol is present multiple times in the list.";
    let lists: [Answer; 5] =
        [tickers::day, tickers::window, tickers::price, tickers::book, rules::execution_rules];
    let range = "Illegal characters found in parameter 'symbols'; legal range is \
                 '^\\[(\"[\\w\\-._&&[^a-z]]{1,50}\"(,\"[\\w\\-._&&[^a-z]]{1,50}\"){0,}){0,1}\\]$'.";
    let combination = "Combination of optional parameters invalid.";
    for answer in lists {
        no(answer, "symbol=BTCUSDT&symbols=[\"BTCUSDT\"]", -1128, combination);
        no(answer, "symbols=[\"XYZ\"]", -1121, "Invalid symbol.");
        no(answer, &many, -1151, twice);
        for list in ["[]", "BTCUSDT", "[\"btcusdt\"]", "[BTCUSDT]", "[1]", "[\"A B\"]"] {
            no(answer, &format!("symbols={list}"), -1100, range);
        }
        no(answer, "symbolStatus=OPEN", -1122, "Invalid symbolStatus.");
    }
    no(rules::execution_rules, "symbol=BTCUSDT&symbolStatus=HALT", -1128, combination);
    no(tickers::day, "symbol=BTCUSDT&type=mini", -1139, "Invalid ticker type.");
    let window = "Data sent for parameter 'windowSize' is not valid.";
    no(tickers::window, "symbol=BTCUSDT&windowSize=1d2h", -1130, window);
    let zone = "Data sent for parameter 'timeZone' is not valid.";
    no(tickers::trading_day, "symbol=BTCUSDT&timeZone=15", -1130, zone);
    no(klines::candles, "symbol=BTCUSDT&interval=1m&timeZone=UTC", -1130, zone);
    no(klines::candles, "symbol=BTCUSDT&interval=1H", -1120, "Invalid interval.");
    no(trades::aggregates, "symbol=BTCUSDT&fromId=1&startTime=1", -1128, combination);
    no(trades::aggregates, "symbol=BTCUSDT&fromId=1&endTime=1", -1128, combination);
    let integer = |name: &str| {
        format!("Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    };
    no(trades::aggregates, "symbol=BTCUSDT&startTime=x", -1100, &integer("startTime"));
    no(trades::historical, "symbol=BTCUSDT&fromId=-1", -1100, &integer("fromId"));
    no(trades::recent, "symbol=BTCUSDT&limit=0", -1100, &integer("limit"));
    no(depth::book, "symbol=BTCUSDT&limit=a", -1100, &integer("limit"));
    let fresh = "This symbol doesn't have a reference price.";
    no(rules::reference_price, "symbol=BTCUSDT", -2043, fresh);
}

#[test]
fn more_symbols_than_a_window_takes_are_refused() {
    let mut market = market();
    for id in 3..=101 {
        define(&mut market, id, &format!("A{id}"));
    }
    let names = |count: usize| {
        let names: Vec<_> = market.instruments().take(count).map(|it| it.symbol()).collect();
        format!("symbols={}", serde_json::to_string(&names).unwrap())
    };
    let message = "Too many parameters; expected '100' and received '101'.";
    refused(&market, tickers::window, &names(101), -1101, message);
    refused(&market, tickers::trading_day, &names(101), -1101, message);
    assert!(ask(&market, tickers::window, &names(100)).is_ok());
    assert!(ask(&market, tickers::day, &names(101)).is_ok());
}

fn info(market: &Market, query: &str, is_socket: bool) -> Result<Value, ApiError> {
    let mut rules = Rules::new();
    for (kind, interval, interval_count, limit) in [
        (RateLimitKind::RawRequests, RateLimitInterval::Minute, 5, 300_000),
        (RateLimitKind::RequestWeight, RateLimitInterval::Minute, 1, 6_000),
        (RateLimitKind::Orders, RateLimitInterval::Day, 1, 200_000),
    ] {
        rules.set(&RateLimitSet { kind, interval, interval_count, limit });
    }
    let limits = VenueLimits { open_orders_max: 1_000, order_lists_max: 20, ..Default::default() };
    let venue = Venue { rules: &rules, connects_max: 300, limits };
    let params = Params::of_rest(query, "").unwrap();
    let unit = TimeUnit::Millisecond;
    let (now, deadline) = (NOW, Stamp::NEVER);
    let call = Call { params: &params, unit, now, deadline, caller: None, is_socket };
    let text = general::exchange_info(market, &venue, &call)?;
    let start = format!("{{\"timezone\":\"UTC\",\"serverTime\":{NOW_MS},\"rateLimits\":[");
    assert!(text.starts_with(&start), "{text}");
    Ok(serde_json::from_str(&text).unwrap())
}

/// Symbols of an answer.
fn shown(info: Result<Value, ApiError>) -> Result<Vec<String>, i32> {
    let info = info.map_err(|error| error.code)?;
    let symbols = info["symbols"].as_array().unwrap().iter();
    Ok(symbols.map(|symbol| symbol["symbol"].as_str().unwrap().to_owned()).collect())
}

#[test]
fn exchange_info_shows_limits_filters_and_what_works() {
    let mut market = market();
    let mut definition = market.by_symbol("BTCUSDT").unwrap().definition;
    definition.flags = u32::MAX;
    let (instrument, base, quote) = (InstrumentId(1), AssetId(2), AssetId(1));
    let defined = InstrumentDefined { instrument, base, quote, definition };
    market.apply(&defined.into(), NOW);
    let rest = info(&market, "symbol=BTCUSDT", false).unwrap();
    let limit = |kind: &str, interval: &str, count: u32, limit: u32| {
        serde_json::json!({
            "rateLimitType": kind, "interval": interval, "intervalNum": count, "limit": limit
        })
    };
    let (weight, orders) =
        (limit("REQUEST_WEIGHT", "MINUTE", 1, 6_000), limit("ORDERS", "DAY", 1, 200_000));
    let raw = limit("RAW_REQUESTS", "MINUTE", 5, 300_000);
    assert_eq!(rest["rateLimits"], serde_json::json!([weight, orders, raw]));
    let socket = info(&market, "symbol=BTCUSDT", true).unwrap();
    let connections = limit("CONNECTIONS", "MINUTE", 5, 300);
    assert_eq!(socket["rateLimits"], serde_json::json!([weight, orders, connections]));
    let filters = serde_json::json!([
        {"filterType": "EXCHANGE_MAX_NUM_ORDERS", "maxNumOrders": 1_000},
        {"filterType": "EXCHANGE_MAX_NUM_ORDER_LISTS", "maxNumOrderLists": 20}
    ]);
    assert_eq!(rest["exchangeFilters"], filters);
    let symbol = &rest["symbols"][0];
    for (name, value) in symbol.as_object().unwrap() {
        if let Some(flag) = value.as_bool() {
            assert_eq!(flag, name != "isMarginTradingAllowed", "{name}");
        }
    }
    assert_eq!(symbol["permissionSets"], serde_json::json!([["SPOT"]]));
    assert!(rest.get("sors").is_none());
}

#[test]
fn exchange_info_is_asked_by_symbol_permission_and_status() {
    let mut market = market();
    define(&mut market, 3, "BNB");
    let mut definition = market.by_symbol("BNBUSDT").unwrap().definition;
    definition.permissions = 1 << 3;
    definition.status = InstrumentStatus::Break;
    let (instrument, base, quote) = (InstrumentId(3), AssetId(4), AssetId(1));
    let defined = InstrumentDefined { instrument, base, quote, definition };
    market.apply(&defined.into(), NOW);
    #[track_caller]
    fn check(market: &Market, query: &str, expected: Result<&[&str], i32>) {
        let expected = expected.map(|list| list.iter().map(|it| it.to_string()).collect());
        assert_eq!(shown(info(market, query, false)), expected, "{query}");
    }
    let spot: Result<&[&str], i32> = Ok(&["BTCUSDT", "ETHUSDT"]);
    check(&market, "", spot);
    check(&market, "permissions=SPOT", spot);
    check(&market, "permissions=[\"MARGIN\",\"SPOT\"]", spot);
    check(&market, "permissions=MARGIN", Ok(&[]));
    check(&market, "permissions=TRD_GRP_002", Ok(&["BNBUSDT"]));
    check(&market, "permissions=[\"TRD_GRP_002\",\"SPOT\"]&symbolStatus=BREAK", Ok(&["BNBUSDT"]));
    check(&market, "symbolStatus=TRADING", spot);
    check(&market, "symbolStatus=BREAK", Ok(&[]));
    check(&market, "symbol=BNBUSDT", Ok(&["BNBUSDT"]));
    check(&market, "symbols=[\"ETHUSDT\",\"BTCUSDT\"]", Ok(&["ETHUSDT", "BTCUSDT"]));
    check(&market, "symbol=XYZ", Err(-1121));
    check(&market, "symbols=[\"BTCUSDT\",\"XYZ\"]", Err(-1121));
    check(&market, "symbols=[\"BTCUSDT\",\"BTCUSDT\"]", Err(-1151));
    check(&market, "symbols=[]", Err(-1100));
    check(&market, "symbols=[BTCUSDT]", Err(-1100));
    check(&market, "symbol=BTCUSDT&symbols=[\"BTCUSDT\"]", Err(-1128));
    check(&market, "symbol=BTCUSDT&permissions=SPOT", Err(-1128));
    check(&market, "symbols=[\"BTCUSDT\"]&symbolStatus=TRADING", Err(-1128));
    check(&market, "symbolStatus=NONE", Err(-1122));
    check(&market, "permissions=PLOT", Err(-1130));
    check(&market, "permissions=[]", Err(-1130));
    check(&market, "showPermissionSets=maybe", Err(-1100));
    let hidden = info(&market, "symbol=BTCUSDT&showPermissionSets=false", false).unwrap();
    assert_eq!(hidden["symbols"][0]["permissionSets"], serde_json::json!([]));
}
