//! What a feed knows of other venues, served: the log comes and goes, written by this process while
//! the server reads it in its own, or by the server itself.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use feed::log::{FeedLog, FeedLogOptions};
use protocol::feed::*;
use protocol::{FeedEvent, FeedState, SCALE, Side, Text};
use serde_json::{Value, json};

use super::child::{PATIENCE, Process, Server, Setting};
use super::events::Events;
use super::http::Http;
use super::socket::Socket;

const LOOK: Duration = Duration::from_millis(10);

/// These tests ask again and again: on a slow machine more often than a client may in a minute.
fn unlimited(setting: Setting) -> Setting {
    setting.set("server.rate_limits", "false")
}

fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos()).unwrap()
}

/// A feed that is kept by hand.
struct Hand(FeedLog);

impl Hand {
    fn begin(data: &Path) -> Hand {
        let options = FeedLogOptions { segment_bytes: 1 << 20, log_bytes: 2 << 20 };
        Hand(FeedLog::open(data, &options, now_ns()).unwrap())
    }

    fn write(&mut self, events: &[FeedEvent]) {
        events.iter().for_each(|event| self.0.append(event));
        self.0.publish(now_ns()).unwrap();
    }

    /// Asks again and again, and lets the feed live meanwhile.
    #[track_caller]
    fn until<T>(&mut self, mut ask: impl FnMut() -> Result<T, Value>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.0.publish(now_ns()).unwrap();
            match ask() {
                Ok(found) => return found,
                Err(last) => assert!(Instant::now() < deadline, "never came: {last}"),
            }
            thread::park_timeout(LOOK);
        }
    }
}

fn defined(source: u32, venue: &str, symbol: &str) -> FeedEvent {
    FeedSourceDefined {
        source,
        venue: Text::new(venue).unwrap(),
        market: Text::new("spot").unwrap(),
        symbol: Text::new(symbol).unwrap(),
        price_scale: 8,
        quantity_scale: 8,
        depth_max: 1_000,
    }
    .into()
}

fn status(source: u32, state: FeedState) -> FeedEvent {
    let (reason, messages, gaps, resyncs, dropped, lag_ns) = (Text::EMPTY, 1, 0, 0, 0, 0);
    FeedStatusChanged { source, state, reason, messages, gaps, resyncs, dropped, lag_ns }.into()
}

/// A message of the venue: levels in whole units.
fn message(source: u32, update: u64, levels: &[(Side, u64, u64)]) -> Vec<FeedEvent> {
    let level = |&(side, price, quantity): &(Side, u64, u64)| {
        let (price, quantity) = (price * SCALE, u128::from(quantity * SCALE));
        FeedLevelChanged { source, side, price, quantity }.into()
    };
    let mut events: Vec<FeedEvent> = levels.iter().map(level).collect();
    let now = now_ns();
    events.push(FeedBookCommitted { source, update, event_ns: now, receive_ns: now }.into());
    events
}

fn state_of(http: &mut Http, venue: &str) -> String {
    let answer = http.get(&format!("/feed/v1/status?venue={venue}"));
    match answer.status {
        200 => answer.json()["sources"][0]["state"].as_str().unwrap().to_owned(),
        status => format!("{status} {}", answer.text),
    }
}

fn is(found: &str, wanted: &str) -> Result<(), Value> {
    if found == wanted { Ok(()) } else { Err(json!(found)) }
}

#[test]
fn a_feed_that_comes_later_is_served_over_rest_sockets_and_events() {
    let folder = tempfile::tempdir().unwrap();
    let setting = unlimited(Setting::quiet(folder.path(), ""));
    let server = setting.start();
    let mut http = Http::new(&server.http);
    let nothing = json!({"log": "absent", "problem": null, "sources": []});
    assert_eq!(http.get("/feed/v1/status").ok(), nothing);
    assert_eq!(http.get("/feed/v1/book?symbol=XYZUSDT").refusal(), (400, -1121));
    assert_eq!(http.get("/feed/v1/book").refusal(), (400, -1102));
    assert_eq!(http.get("/feed/v1/obi?symbol=BTCUSDT&x=1").refusal(), (400, -1104));
    assert_eq!(http.request("POST", "/feed/v1/obi", &[], "").status, 405);
    let own = http.get("/feed/v1/obi?symbol=BTCUSDT").ok();
    assert_eq!((own.as_array().unwrap().len(), &own[0]["venue"]), (1, &json!("outcry")));

    let mut imbalances = Socket::open(&server.ws, "/ws/xyzusdt@obi");
    let mut together = Socket::open(&server.ws, "/stream?streams=btcusdt@consolidated");
    let mut events = Events::open(&server.http, "xyzusdt@obi", None);
    let mut hand = Hand::begin(&setting.data());
    hand.write(&[
        defined(0, "binance", "BTCUSDT"),
        defined(1, "bitget", "XYZUSDT"),
        status(0, FeedState::Synced),
        status(1, FeedState::Synced),
    ]);
    hand.write(&message(0, 7, &[(Side::Buy, 100, 2), (Side::Sell, 101, 1)]));
    hand.write(&message(1, 9, &[(Side::Buy, 5, 3), (Side::Sell, 6, 1)]));

    let obi = imbalances.find(|it| it["u"] == 9);
    let best = json!({"n": 5, "B": "3.00000000", "A": "1.00000000", "r": "0.500000000000"});
    assert_eq!(obi["i"][0], best);
    let mut consolidated = |update: u64| {
        together.find(|it| {
            let row = &it["data"]["v"][1];
            it["stream"] == "btcusdt@consolidated" && row["v"] == "binance" && row["u"] == update
        })
    };
    let first = consolidated(7);
    assert_eq!(
        first["data"]["b"],
        json!([["100.00000000", "2.00000000", [[1, "2.00000000"]]]]),
        "{first}"
    );
    let event = loop {
        let event = events.next();
        if event.data.contains("\"u\":9") {
            break event;
        }
    };
    let data: Value = serde_json::from_str(&event.data).unwrap();
    assert_eq!(data["data"]["i"], obi["i"]);

    let book = http.get("/feed/v1/book?symbol=BTCUSDT&venue=binance&limit=5").ok();
    assert_eq!((&book["state"], &book["lastUpdateId"]), (&json!("synced"), &json!(7)));
    let snapshot = http.get("/feed/v1/book?symbol=btcusdt").ok();
    assert_eq!(snapshot["bids"], first["data"]["b"]);

    // A change, and a gap.
    hand.write(&message(0, 8, &[(Side::Buy, 100, 0), (Side::Buy, 99, 4)]));
    let changed = consolidated(8);
    assert_eq!(changed["data"]["b"][0][0], "99.00000000");
    hand.write(&[status(0, FeedState::Resyncing)]);
    hand.until(|| is(&state_of(&mut http, "binance"), "resyncing"));
    assert_eq!(http.get("/feed/v1/book?symbol=BTCUSDT").ok()["bids"], json!([]));
    drop(events);
    server.stop();
}

#[test]
fn a_writer_that_goes_is_missed_and_the_next_one_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let setting = unlimited(Setting::quiet(folder.path(), ""));
    // Before the exchange: the folder is the feed's alone.
    let mut hand = Hand::begin(&setting.data());
    hand.write(&[defined(0, "binance", "BTCUSDT"), status(0, FeedState::Synced)]);
    hand.write(&message(0, 1, &[(Side::Buy, 100, 2)]));
    let server = setting.start();
    let mut http = Http::new(&server.http);
    hand.until(|| is(&state_of(&mut http, "binance"), "synced"));
    drop(hand);
    let gone = http.get("/feed/v1/status").ok();
    assert_eq!((&gone["log"], &gone["sources"][0]["state"]), (&json!("silent"), &json!("down")));

    let mut hand = Hand::begin(&setting.data());
    hand.write(&[defined(0, "bitget", "BTCUSDT"), status(0, FeedState::Synced)]);
    hand.write(&message(0, 1, &[(Side::Sell, 50, 1)]));
    hand.until(|| is(&state_of(&mut http, "bitget"), "synced"));
    assert!(state_of(&mut http, "binance").starts_with("400"));

    // More than the log keeps: segments go from under the reader.
    for update in 2..3_000 {
        let price = 50 + update % 20;
        let side = Side::Sell;
        hand.0.append(&status(0, FeedState::Synced));
        hand.write(&message(0, update, &[(side, price, update), (side, price + 20, 1)]));
    }
    hand.until(|| {
        let book = http.get("/feed/v1/book?symbol=BTCUSDT&venue=bitget").ok();
        if book["lastUpdateId"] == 2_999 { Ok(()) } else { Err(book) }
    });
    let told = hand.0.told().source(0).unwrap().book().unwrap();
    let best = told.best(Side::Sell).unwrap();
    let book = http.get("/feed/v1/book?symbol=BTCUSDT&venue=bitget").ok();
    let shown = format!("{}.00000000", best.1 / u128::from(SCALE));
    assert_eq!(book["asks"][0][1], json!(shown));
    assert_eq!(book["asks"].as_array().unwrap().len(), told.levels_count(Side::Sell));
    server.stop();
}

/// A server whose feed is another server of ours.
fn fed_by(venue: &Server, folder: &Path) -> Setting {
    let setting = unlimited(Setting::quiet(folder, "")).set("feed.sources", "binance:BTCUSDT");
    let setting = setting.set("feed.ws_urls", &format!("binance={}", venue.ws));
    setting.set("feed.rest_urls", &format!("binance={}", venue.http))
}

#[test]
fn a_server_keeps_a_feed_of_its_own_and_shows_the_very_book_of_the_venue() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let venue = unlimited(Setting::demo(folders[0].path())).start();
    let setting = fed_by(&venue, folders[1].path());
    let server = setting.start();
    let (mut there, mut here) = (Http::new(&venue.http), Http::new(&server.http));
    let deadline = Instant::now() + PATIENCE;
    let mut equal = 0;
    while equal < 3 {
        assert!(Instant::now() < deadline, "{}", here.get("/feed/v1/status").text);
        thread::park_timeout(LOOK);
        let target = "/feed/v1/book?symbol=BTCUSDT&venue=binance&market=spot&limit=5000";
        let answer = here.get(target);
        if answer.status != 200 {
            continue;
        }
        let book = answer.json();
        let theirs = there.get("/api/v3/depth?symbol=BTCUSDT&limit=5000").ok();
        if book["lastUpdateId"] == theirs["lastUpdateId"] {
            assert_eq!((&book["bids"], &book["asks"]), (&theirs["bids"], &theirs["asks"]));
            equal += 1;
        }
    }
    // Nobody else may write what it writes.
    let options = FeedLogOptions::default();
    let refused = FeedLog::open(&setting.data(), &options, now_ns()).err().unwrap().to_string();
    assert!(refused.contains(&server.process.id().to_string()), "{refused}");
    server.stop();
    venue.stop();
}

#[test]
fn a_server_does_not_begin_a_feed_that_somebody_else_keeps() {
    let folder = tempfile::tempdir().unwrap();
    let setting = Setting::quiet(folder.path(), "").set("feed.sources", "binance:BTCUSDT");
    let setting = setting.set("feed.ws_urls", "binance=ws://127.0.0.1:1");
    let setting = setting.set("feed.rest_urls", "binance=http://127.0.0.1:1");
    let hand = Hand::begin(&setting.data());
    let mut process = setting.spawn();
    assert!(!process.wait(PATIENCE).success());
    let said = process.said();
    assert!(
        said.contains("cannot write the feed's log") && said.contains("feed.sources"),
        "{said}"
    );
    drop(hand);
    // The exchange itself was left as it was.
    let server = setting.start();
    server.stop();
}

/// `outcry feed watch --data`, in a process of its own.
fn watch(venue: &Server, data: &Path, log: &Path) -> Process {
    let (ws, rest) = (venue.ws.as_str(), venue.http.as_str());
    let to = ["--ws-url", ws, "--rest-url", rest, "--data", data.to_str().unwrap(), "--json"];
    let what = ["feed", "watch", "--venue", "binance", "--symbol", "BTCUSDT"];
    Process::start(&[&what[..], &to[..]].concat(), log)
}

#[test]
fn a_feed_in_a_process_of_its_own_is_served_missed_when_killed_and_served_again() {
    let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let venue = Setting::demo(folders[0].path()).start();
    let setting = unlimited(Setting::quiet(folders[1].path(), ""));
    let (server, log) = (setting.start(), folders[1].path().join("watch.log"));
    let mut http = Http::new(&server.http);
    let mut until = |state: &str, watching: &mut Process| {
        let deadline = Instant::now() + PATIENCE;
        while state_of(&mut http, "binance") != state {
            let last = http.get("/feed/v1/status").text;
            assert!(Instant::now() < deadline, "not {state}: {last}\n{}", watching.said());
            thread::park_timeout(LOOK);
        }
    };
    let mut watching = watch(&venue, &setting.data(), &log);
    until("synced", &mut watching);
    watching.kill();
    until("down", &mut watching);
    let mut watching = watch(&venue, &setting.data(), &log);
    until("synced", &mut watching);
    watching.terminate();
    assert!(watching.wait(PATIENCE).success());
    until("down", &mut watching);
    server.stop();
    venue.stop();
}
