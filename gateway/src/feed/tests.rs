//! What is served of feeds, against records made by hand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use protocol::event::BookChanged;
use protocol::feed::*;
use protocol::{Amount, FeedEvent, FeedState, LevelQuantity, Price, SCALE, Side, Stamp, UpdateId};
use serde_json::{Value, json};

use crate::core::Core;
use crate::endpoint::{Call, Run};
use crate::error::ApiError;
use crate::json::TimeUnit;
use crate::link::{FeedLink, FeedPolled, FeedSeer};
use crate::params::Params;
use crate::testing::{INSTRUMENT, NOW, Venue, text};

/// A log that is written by hand: what waits to be read, and what is known of its writer.
#[derive(Clone, Default)]
pub(crate) struct HandMade(Arc<Mutex<(VecDeque<FeedEvent>, FeedPolled)>>);

impl HandMade {
    pub(crate) fn write(&self, events: impl IntoIterator<Item = FeedEvent>) {
        let mut log = self.0.lock().unwrap();
        log.0.extend(events);
        log.1 = FeedPolled { is_there: true, is_live: true, has_more: false };
    }

    pub(crate) fn fall_silent(&self) {
        self.0.lock().unwrap().1.is_live = false;
    }
}

impl FeedLink for HandMade {
    fn poll(&mut self, now: Stamp, _: usize, see: &mut FeedSeer<'_>) -> FeedPolled {
        let mut log = self.0.lock().unwrap();
        log.0.drain(..).for_each(|event| see(&event, now));
        log.1
    }

    fn problem(&self) -> Option<&str> {
        None
    }
}

pub(crate) fn defined(source: u32, venue: &str, market: &str, symbol: &str) -> FeedEvent {
    FeedSourceDefined {
        source,
        venue: text(venue),
        market: text(market),
        symbol: text(symbol),
        price_scale: 8,
        quantity_scale: 8,
        depth_max: 100,
    }
    .into()
}

pub(crate) fn status(source: u32, state: FeedState, reason: &str) -> FeedEvent {
    FeedStatusChanged {
        source,
        state,
        reason: text(reason),
        messages: 7,
        gaps: 1,
        resyncs: 2,
        dropped: 3,
        lag_ns: -1_500_000,
    }
    .into()
}

/// A whole message: levels in whole units.
pub(crate) fn message(source: u32, update: u64, levels: &[(Side, u64, u64)]) -> Vec<FeedEvent> {
    let units = |count: u64| count * SCALE;
    let change = |(side, price, quantity): &(Side, u64, u64)| {
        let (price, quantity) = (units(*price), u128::from(units(*quantity)));
        FeedLevelChanged { source, side: *side, price, quantity }.into()
    };
    let mut events: Vec<FeedEvent> = levels.iter().map(change).collect();
    let (event_ns, receive_ns) = (NOW.0, NOW.0 + 2_000_000);
    events.push(FeedBookCommitted { source, update, event_ns, receive_ns }.into());
    events
}

/// LTCBTC is ours, with one bid; a feed has it of two venues, and a symbol that we do not have.
fn core() -> (Core, HandMade) {
    let mut venue = Venue::new();
    let change = BookChanged {
        instrument: INSTRUMENT,
        update: UpdateId(1),
        side: Side::Buy,
        price: Price(10 * SCALE),
        quantity: LevelQuantity::new(Amount(3 * i128::from(SCALE))),
        orders: 1,
    };
    venue.command([change.into()]);
    let (mut core, log) = (venue.core(), HandMade::default());
    core.follow_feed(Box::new(log.clone()));
    log.write([
        FeedCheckpointBegan { sources: 0 }.into(),
        defined(0, "binance", "spot", "LTCBTC"),
        defined(1, "binance", "usdm", "LTCBTC"),
        defined(2, "bitget", "spot", "XYZUSDT"),
        status(0, FeedState::Synced, ""),
        status(1, FeedState::Buffering, ""),
    ]);
    log.write(message(0, 42, &[(Side::Buy, 11, 1), (Side::Buy, 10, 2), (Side::Sell, 12, 1)]));
    core.pump_feed();
    (core, log)
}

fn ask(core: &Core, path: &str, query: &str) -> Result<Value, ApiError> {
    let endpoint = super::ENDPOINTS.iter().find(|it| it.rest.1 == path).unwrap();
    let params = Params::of_rest(query, "").unwrap();
    let call = Call {
        params: &params,
        unit: TimeUnit::Millisecond,
        now: NOW,
        deadline: Stamp::NEVER,
        caller: None,
        is_socket: false,
    };
    let Run::Query(run) = endpoint.run else { panic!("a query") };
    run(core, &call).map(|text| serde_json::from_str(&text).unwrap())
}

#[track_caller]
fn check_refused(core: &Core, path: &str, query: &str, status: u16, code: i32, text: &str) {
    let error = ask(core, path, query).unwrap_err();
    let found = (error.status, error.code, &*error.message);
    assert_eq!(found, (status, code, text), "{path}?{query}");
}

#[test]
fn the_status_tells_all_that_is_known_of_a_source() {
    let (core, _) = core();
    let answer = ask(&core, "/feed/v1/status", "venue=binance&market=spot").unwrap();
    let time = NOW.0 / 1_000_000;
    assert_eq!(
        answer,
        json!({
            "log": "live",
            "problem": null,
            "sources": [{
                "venue": "binance", "market": "spot", "symbol": "LTCBTC",
                "state": "synced", "reason": "",
                "bid": ["11.00000000", "1.00000000"],
                "ask": ["12.00000000", "1.00000000"],
                "spread": "1.00000000",
                "obi": [
                    {"levels": 5, "bids": "3.00000000", "asks": "1.00000000", "obi": "0.500000000000"},
                    {"levels": 10, "bids": "3.00000000", "asks": "1.00000000", "obi": "0.500000000000"},
                    {"levels": 20, "bids": "3.00000000", "asks": "1.00000000", "obi": "0.500000000000"},
                ],
                "messages": 7, "messagesPerSecond": "0.000",
                "gaps": 1, "resyncs": 2, "dropped": 3, "lagMs": "-1.500000",
                "priceScale": 8, "quantityScale": 8, "depthMax": 100,
                "lastUpdateId": 42, "eventTime": time, "receiveTime": time + 2,
            }],
        })
    );
    let all = ask(&core, "/feed/v1/status", "").unwrap();
    assert_eq!(all["sources"].as_array().unwrap().len(), 3);
    assert_eq!(all["sources"][1]["bid"], Value::Null);
}

#[test]
fn imbalances_are_told_of_our_own_book_and_of_each_venue() {
    let (core, _) = core();
    let answer = ask(&core, "/feed/v1/obi", "symbol=LTCBTC").unwrap();
    let row = |place: usize| {
        let row = &answer[place];
        (row["venue"].clone(), row["market"].clone(), row["obi"][0]["obi"].clone())
    };
    assert_eq!(row(0), (json!("outcry"), json!("spot"), json!("1.000000000000")));
    assert_eq!(row(1), (json!("binance"), json!("spot"), json!("0.500000000000")));
    // A book that is not synced has no imbalance.
    assert_eq!(row(2), (json!("binance"), json!("usdm"), Value::Null));
    let one = ask(&core, "/feed/v1/obi", "symbol=ltcbtc&venue=outcry").unwrap();
    assert_eq!(one.as_array().unwrap().len(), 1);
}

#[test]
fn the_consolidated_book_has_each_level_with_its_venues() {
    let (core, _) = core();
    let answer = ask(&core, "/feed/v1/book", "symbol=LTCBTC").unwrap();
    assert_eq!(
        answer,
        json!({
            "symbol": "LTCBTC",
            "venues": [
                {"venue": "outcry", "market": "spot", "state": "synced", "lastUpdateId": 1, "isIncluded": true},
                {"venue": "binance", "market": "spot", "state": "synced", "lastUpdateId": 42, "isIncluded": true},
                {"venue": "binance", "market": "usdm", "state": "buffering", "lastUpdateId": null, "isIncluded": false},
            ],
            "isCrossed": false,
            "bids": [
                ["11.00000000", "1.00000000", [[1, "1.00000000"]]],
                ["10.00000000", "5.00000000", [[0, "3.00000000"], [1, "2.00000000"]]],
            ],
            "asks": [["12.00000000", "1.00000000", [[1, "1.00000000"]]]],
        })
    );
    let best = ask(&core, "/feed/v1/book", "symbol=LTCBTC&limit=1").unwrap();
    assert_eq!(best["bids"].as_array().unwrap().len(), 1);
}

#[test]
fn the_book_of_one_venue_is_told_by_its_name() {
    let (core, _) = core();
    let answer = ask(&core, "/feed/v1/book", "symbol=LTCBTC&venue=binance&market=spot").unwrap();
    let time = NOW.0 / 1_000_000;
    assert_eq!(
        answer,
        json!({
            "venue": "binance", "market": "spot", "symbol": "LTCBTC",
            "state": "synced", "reason": "",
            "lastUpdateId": 42, "eventTime": time, "receiveTime": time + 2,
            "bids": [["11.00000000", "1.00000000"], ["10.00000000", "2.00000000"]],
            "asks": [["12.00000000", "1.00000000"]],
        })
    );
    let own = ask(&core, "/feed/v1/book", "symbol=LTCBTC&venue=outcry").unwrap();
    assert_eq!(own["bids"], json!([["10.00000000", "3.00000000"]]));
}

#[test]
fn refusals_say_what_there_is() {
    let (core, _) = core();
    let book = "/feed/v1/book";
    check_refused(&core, book, "symbol=NONE", 400, -1121, "Invalid symbol.");
    check_refused(&core, "/feed/v1/obi", "symbol=NONE", 400, -1121, "Invalid symbol.");
    check_refused(&core, "/feed/v1/status", "symbol=NONE", 400, -1121, "Invalid symbol.");
    let text = "Invalid venue or market; the symbol is at outcry/spot, binance/spot, binance/usdm.";
    check_refused(&core, book, "symbol=LTCBTC&venue=bitget", 400, -1121, text);
    let text = "Send 'venue' and 'market' of one of binance/spot, binance/usdm.";
    check_refused(&core, book, "symbol=LTCBTC&venue=binance", 400, -1128, text);
    let text = "No book of binance/usdm yet, the feed is buffering.";
    check_refused(&core, book, "symbol=LTCBTC&market=usdm", 503, -1000, text);
}

#[test]
fn a_book_that_nobody_keeps_is_down_and_in_no_sum() {
    let (mut core, log) = core();
    log.fall_silent();
    core.pump_feed();
    let status = ask(&core, "/feed/v1/status", "market=spot&venue=binance").unwrap();
    assert_eq!(status["log"], "silent");
    assert_eq!(status["sources"][0]["state"], "down");
    assert_eq!(status["sources"][0]["reason"], "nobody keeps the feed");
    assert_eq!(status["sources"][0]["obi"], json!([]));
    let together = ask(&core, "/feed/v1/book", "symbol=LTCBTC").unwrap();
    assert_eq!(together["bids"], json!([["10.00000000", "3.00000000", [[0, "3.00000000"]]]]));
    assert_eq!(together["venues"][1]["isIncluded"], false);
    // The last state is still told to those who ask for it by name.
    let book = ask(&core, "/feed/v1/book", "symbol=LTCBTC&venue=binance&market=spot").unwrap();
    assert_eq!((&book["state"], &book["lastUpdateId"]), (&json!("down"), &json!(42)));
}

#[test]
fn a_gap_leaves_the_last_book_and_takes_it_out_of_sums() {
    let (mut core, log) = core();
    log.write([status(0, FeedState::Resyncing, "expected 43, found 45")]);
    core.pump_feed();
    let book = ask(&core, "/feed/v1/book", "symbol=LTCBTC&venue=binance&market=spot").unwrap();
    assert_eq!(book["reason"], "expected 43, found 45");
    assert_eq!(book["bids"][0][0], "11.00000000");
    let together = ask(&core, "/feed/v1/book", "symbol=LTCBTC").unwrap();
    assert_eq!(together["bids"].as_array().unwrap().len(), 1);
    // Begun anew, whole and synced again.
    log.write([FeedBookReset { source: 0 }.into()]);
    log.write(message(0, 60, &[(Side::Sell, 20, 1)]));
    log.write([status(0, FeedState::Synced, "")]);
    core.pump_feed();
    let together = ask(&core, "/feed/v1/book", "symbol=LTCBTC").unwrap();
    assert_eq!(together["asks"], json!([["20.00000000", "1.00000000", [[1, "1.00000000"]]]]));
}

#[test]
fn without_a_feed_our_own_book_is_all_there_is() {
    let core = Venue::new().core();
    let status = ask(&core, "/feed/v1/status", "").unwrap();
    assert_eq!(status, json!({"log": "absent", "problem": null, "sources": []}));
    let obi = ask(&core, "/feed/v1/obi", "symbol=LTCBTC").unwrap();
    assert_eq!(obi[0]["obi"][2]["obi"], Value::Null);
    assert_eq!(obi.as_array().unwrap().len(), 1);
}

#[test]
fn finer_scales_are_shown_whole() {
    let (mut core, log) = core();
    let finer = FeedSourceDefined {
        source: 2,
        venue: text("bitget"),
        market: text("spot"),
        symbol: text("XYZUSDT"),
        price_scale: 12,
        quantity_scale: 0,
        depth_max: 0,
    };
    let (source, side) = (2, Side::Buy);
    log.write([
        finer.into(),
        FeedLevelChanged { source, side, price: 1, quantity: u128::from(u64::MAX) }.into(),
        FeedBookCommitted { source, update: 1, event_ns: 0, receive_ns: 0 }.into(),
        status(2, FeedState::Synced, ""),
    ]);
    core.pump_feed();
    let book = ask(&core, "/feed/v1/book", "symbol=XYZUSDT").unwrap();
    assert_eq!(
        book["bids"],
        json!([["0.000000000001", "18446744073709551615", [[0, "18446744073709551615"]]]])
    );
}
