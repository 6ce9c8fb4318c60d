//! Sessions, and what goes wrong on the way from a venue.

use crate::adapter::{Collected, Depth, Input, Item, Last, Order, Place, Read, Venue};
use crate::binance::Binance;
use crate::bitget::{Bitget, Channel, Product, Version};
use crate::session::{Session, SessionOptions, Source};
use protocol::Side;
use protocol::feed::{FeedEvent, FeedState};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

const SECOND: u64 = 1_000_000_000;
const BEGIN: u64 = 1_700_000_000 * SECOND;

/// A session with one symbol, `BTCUSDT`, and all it has put out.
struct Driven {
    session: Session,
    out: Collected,
    now: u64,
}

impl Driven {
    fn new(venue: impl Venue + 'static, options: SessionOptions) -> Driven {
        let session = Session::new(Arc::new(venue), &["BTCUSDT".to_owned()], 0, options);
        let mut driven = Driven { session, out: Collected::default(), now: BEGIN };
        driven.session.start(&mut driven.out);
        driven.input(Input::Opened);
        driven
    }

    fn spot() -> Driven {
        let options = SessionOptions { known_levels_min: 0, ..SessionOptions::default() };
        Driven::new(Binance::spot(), options)
    }

    fn usdm() -> Driven {
        let options = SessionOptions { known_levels_min: 0, ..SessionOptions::default() };
        Driven::new(Binance::usdm(), options)
    }

    fn bitget() -> Driven {
        let venue = Bitget::new(Version::V3, Product::Spot, Channel::Books);
        let options = SessionOptions { known_levels_min: 0, ..SessionOptions::default() };
        Driven::new(venue, options)
    }

    fn input(&mut self, input: Input<'_>) {
        self.now += 1_000;
        self.session.input(self.now, input, &mut self.out);
    }

    fn text(&mut self, text: impl AsRef<[u8]>) {
        self.input(Input::Text(text.as_ref()));
    }

    fn later(&mut self, seconds: u64) {
        self.now += seconds * SECOND;
        self.input(Input::Tick);
    }

    fn answer(&mut self, status: u16, retry_after_s: Option<u64>, body: &str) {
        let id = self.source().request().unwrap();
        self.input(Input::Response { id, status, retry_after_s, body: body.as_bytes() });
    }

    fn source(&self) -> &Source {
        self.session.source("BTCUSDT").unwrap()
    }

    fn state(&self) -> FeedState {
        self.source().state()
    }

    /// `bid quantity @ price …/ask …`, whole numbers.
    fn book(&self) -> String {
        let side = |side| {
            let levels = self.source().book().levels(side);
            let word = |(price, quantity): (u64, u128)| {
                format!("{}@{}", quantity / 100_000_000, price / 100_000_000)
            };
            levels.map(word).collect::<Vec<_>>().join(" ")
        };
        format!("{}/{}", side(Side::Buy), side(Side::Sell))
    }

    fn requests(&self) -> usize {
        self.out.orders.iter().filter(|order| matches!(order, Order::Request { .. })).count()
    }

    fn sent(&self) -> Vec<&str> {
        let texts = self.out.orders.iter().filter_map(|order| match order {
            Order::Send { text } => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    fn last_note(&self) -> &str {
        self.out.notes.last().map_or("", String::as_str)
    }
}

/// `"1@100 2@99"` as JSON levels.
fn levels(words: &str) -> String {
    let pair = |word: &str| {
        let (quantity, price) = word.split_once('@').unwrap();
        format!(r#"["{price}","{quantity}"]"#)
    };
    words.split_whitespace().map(pair).collect::<Vec<_>>().join(",")
}

fn sides(words: &str) -> (String, String) {
    let (bids, asks) = words.split_once('/').unwrap();
    (levels(bids), levels(asks))
}

fn spot(first: u64, last: u64, words: &str) -> String {
    let (bids, asks) = sides(words);
    format!(
        r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":{first},"u":{last},"b":[{bids}],"a":[{asks}]}}}}"#
    )
}

fn usdm(first: u64, last: u64, previous: u64, words: &str) -> String {
    let (bids, asks) = sides(words);
    format!(
        r#"{{"e":"depthUpdate","E":1,"T":1,"s":"BTCUSDT","U":{first},"u":{last},"pu":{previous},"b":[{bids}],"a":[{asks}]}}"#
    )
}

fn snapshot(id: u64, words: &str) -> String {
    let (bids, asks) = sides(words);
    format!(r#"{{"lastUpdateId":{id},"bids":[{bids}],"asks":[{asks}]}}"#)
}

/// As the documents of v3 show it; `pseq` and `seq` come as number and as text.
fn bitget(action: &str, previous: u64, sequence: u64, checksum: i64, words: &str) -> String {
    let (bids, asks) = sides(words);
    format!(
        r#"{{"action":"{action}","arg":{{"instType":"spot","topic":"books","symbol":"BTCUSDT"}},"data":[{{"a":[{asks}],"b":[{bids}],"checksum":{checksum},"pseq":{previous},"seq":"{sequence}","ts":"1755937421270"}}],"ts":1755937421337}}"#
    )
}

fn synced() -> Driven {
    let mut driven = Driven::spot();
    driven.text(spot(5, 10, "1@99/"));
    driven.answer(200, None, &snapshot(10, "1@99 1@98/1@101"));
    driven
}

#[test]
fn updates_wait_for_the_snapshot_and_follow_it() {
    let mut driven = Driven::spot();
    assert_eq!(driven.state(), FeedState::Buffering);
    driven.text(spot(5, 8, "9@99/"));
    driven.text(spot(9, 12, "2@99/"));
    driven.text(spot(13, 13, "/3@101"));
    assert_eq!(driven.book(), "/");
    driven.answer(200, None, &snapshot(10, "1@99 1@98/1@101"));
    assert_eq!((driven.state(), driven.book().as_str()), (FeedState::Synced, "2@99 1@98/3@101"));
    let counts = driven.source().counts();
    assert_eq!((counts.stale, counts.applied, counts.before_snapshot), (1, 2, 3));
    assert_eq!(driven.source().first_applied(), Some((9, 12)));
    driven.text(spot(14, 14, "0@98/"));
    assert_eq!(driven.book(), "2@99/3@101");
}

#[track_caller]
fn check_place(venue: &dyn Venue, text: &str, update: u64, is_snapshot: bool, expected: &str) {
    let mut read = Read::default();
    venue.read(text.as_bytes(), &mut read).unwrap();
    let Some(Item::Depth(depth)) = read.items.first() else { panic!("no depth: {text}") };
    let found = match venue.place(Last { update, is_snapshot }, depth) {
        Place::Next => "next",
        Place::Old => "old",
        Place::Gap { .. } => "gap",
        Place::Restart { .. } => "restart",
    };
    assert_eq!(found, expected, "{text} after {update}, snapshot {is_snapshot}");
}

#[test]
fn what_follows_what_at_each_venue() {
    let venue = Binance::spot();
    for (first, last, after, is_snapshot, expected) in [
        (5, 10, 10, true, "old"),
        (5, 11, 10, true, "next"),
        (11, 12, 10, true, "next"),
        (12, 13, 10, true, "gap"),
        (11, 12, 10, false, "next"),
        (10, 12, 10, false, "gap"),
        (12, 12, 10, false, "gap"),
        (5, 10, 10, false, "old"),
    ] {
        check_place(&venue, &spot(first, last, "/"), after, is_snapshot, expected);
    }
    let venue = Binance::usdm();
    for (first, last, previous, after, is_snapshot, expected) in [
        (5, 9, 4, 10, true, "old"),
        (5, 10, 4, 10, true, "next"),
        (10, 15, 9, 10, true, "next"),
        (14, 15, 10, 10, true, "next"),
        (14, 15, 11, 10, true, "gap"),
        (14, 15, 10, 10, false, "next"),
        (14, 15, 12, 10, false, "gap"),
        (5, 10, 4, 10, false, "old"),
    ] {
        check_place(&venue, &usdm(first, last, previous, "/"), after, is_snapshot, expected);
    }
    let venue = Bitget::new(Version::V3, Product::Spot, Channel::Books);
    for (previous, sequence, expected) in
        [(10, 12, "next"), (11, 12, "gap"), (9, 10, "old"), (0, 12, "restart")]
    {
        check_place(&venue, &bitget("update", previous, sequence, 0, "/"), 10, false, expected);
    }
}

#[test]
fn a_lost_update_is_named_and_the_book_stays_until_a_new_snapshot() {
    let mut driven = synced();
    driven.text(spot(13, 14, "7@99/"));
    assert_eq!(driven.last_note(), "gap: expected 11, found 13");
    assert_eq!(driven.state(), FeedState::Resyncing);
    assert_eq!(driven.book(), "1@99 1@98/1@101");
    driven.text(spot(16, 16, "/5@102"));
    assert_eq!(driven.last_note(), "gap: expected 15, found 16");
    assert_eq!((driven.source().counts().gaps, driven.requests()), (2, 2));
    driven.answer(200, None, &snapshot(16, "7@99/1@101 5@102"));
    assert_eq!((driven.state(), driven.book().as_str()), (FeedState::Synced, "7@99/1@101 5@102"));
}

#[test]
fn a_futures_gap_is_found_by_the_id_before() {
    let mut driven = Driven::usdm();
    driven.text(usdm(5, 10, 4, "2@99/"));
    driven.answer(200, None, &snapshot(10, "1@99/1@101"));
    driven.text(usdm(20, 25, 10, "3@99/"));
    assert_eq!((driven.state(), driven.book().as_str()), (FeedState::Synced, "3@99/1@101"));
    driven.text(usdm(40, 45, 30, "4@99/"));
    assert_eq!(driven.last_note(), "gap: expected 25, found 30");
    assert_eq!(driven.book(), "3@99/1@101");
}

#[test]
fn what_comes_twice_changes_nothing_and_is_no_gap() {
    let mut driven = synced();
    driven.text(spot(11, 12, "5@99/"));
    driven.text(spot(11, 12, "5@99/"));
    assert_eq!(driven.last_note(), "repeated update 12");
    driven.text(spot(13, 13, "6@99/"));
    assert_eq!((driven.state(), driven.source().counts().gaps), (FeedState::Synced, 0));
    assert_eq!(driven.book(), "6@99 1@98/1@101");
}

#[test]
fn updates_in_the_wrong_order_are_a_gap_and_then_late() {
    let mut driven = synced();
    driven.text(spot(12, 12, "6@99/"));
    driven.text(spot(11, 11, "5@99/"));
    driven.text(spot(13, 13, "7@99/"));
    assert_eq!((driven.state(), driven.source().counts().gaps), (FeedState::Resyncing, 1));
    driven.answer(200, None, &snapshot(12, "6@99/1@101"));
    assert_eq!((driven.state(), driven.book().as_str()), (FeedState::Synced, "7@99/1@101"));
}

#[test]
fn a_snapshot_that_is_too_old_or_cut_is_asked_for_again_later() {
    let mut driven = Driven::spot();
    driven.text(spot(15, 16, "2@99/"));
    driven.answer(200, None, &snapshot(10, "1@99/1@101"));
    assert_eq!(driven.last_note(), "snapshot 10 does not reach the first kept update 15");
    assert_eq!((driven.state(), driven.requests()), (FeedState::Buffering, 1));
    assert!(driven.session.wake_ns() <= driven.now + SECOND);
    driven.later(1);
    assert_eq!(driven.requests(), 2);
    let whole = snapshot(15, "1@99/1@101");
    driven.answer(200, None, &whole[..whole.len() - 9]);
    assert!(driven.last_note().starts_with("unreadable"), "{}", driven.last_note());
    driven.later(1);
    assert_eq!(driven.requests(), 2);
    driven.later(1);
    driven.answer(200, None, &whole);
    assert_eq!((driven.state(), driven.book().as_str()), (FeedState::Synced, "2@99/1@101"));
}

#[test]
fn a_snapshot_behind_what_was_seen_is_not_taken_though_nothing_is_kept() {
    let options = SessionOptions { known_levels_min: 2, ..SessionOptions::default() };
    let venue = Binance::spot().with_snapshot_levels(2);
    let mut driven = Driven::new(venue, options);
    driven.answer(200, None, &snapshot(10, "1@99 1@98/1@101 1@102"));
    driven.text(spot(11, 12, "0@99/"));
    assert_eq!(driven.source().reason(), "the snapshot is used up");
    assert_eq!(
        (driven.state(), driven.book().as_str()),
        (FeedState::Resyncing, "1@98/1@101 1@102")
    );
    driven.answer(200, None, &snapshot(11, "1@99 1@98/1@101 1@102"));
    assert_eq!(driven.state(), FeedState::Resyncing);
    driven.later(60);
    driven.answer(200, None, &snapshot(12, "1@98 1@97/1@101 1@102"));
    assert_eq!(
        (driven.state(), driven.book().as_str()),
        (FeedState::Synced, "1@98 1@97/1@101 1@102")
    );
}

#[test]
fn garbage_is_counted_and_harms_nothing() {
    let mut driven = synced();
    let whole = spot(11, 11, "5@99/");
    for text in ["", "{", "null", "\u{0}", "{\"e\":\"depthUpdate\"}", &whole[..whole.len() - 3]] {
        driven.text(text);
    }
    driven.input(Input::Text(&[0xff; 40]));
    driven.text(spot(11, 11, "1@99/").replace("\"1\"", "\"1e5\""));
    assert_eq!((driven.state(), driven.book().as_str()), (FeedState::Synced, "1@99 1@98/1@101"));
    assert!(driven.session.refused() >= 6, "{}", driven.session.refused());
    driven.text(whole);
    assert_eq!(driven.book(), "5@99 1@98/1@101");
}

#[test]
fn a_level_that_is_deleted_twice_is_gone_once() {
    let mut driven = synced();
    driven.text(spot(11, 11, "0@98 0@98 0@55/0@200"));
    assert_eq!((driven.book().as_str(), driven.source().counts().absent), ("1@99/1@101", 3));
}

#[test]
fn an_update_that_crosses_the_book_is_taken_back() {
    let mut driven = synced();
    driven.text(spot(11, 11, "4@98 1@101/"));
    assert!(driven.last_note().starts_with("crossed book"), "{}", driven.last_note());
    assert_eq!((driven.state(), driven.book().as_str()), (FeedState::Resyncing, "1@99 1@98/1@101"));
    driven.answer(200, None, &snapshot(11, "4@98/1@101"));
    assert_eq!((driven.state(), driven.book().as_str()), (FeedState::Synced, "4@98/1@101"));

    let mut driven = Driven::new(Binance::spot(), SessionOptions::replay());
    driven.answer(200, None, &snapshot(10, "1@99/1@101"));
    driven.text(spot(11, 11, "1@101/"));
    assert_eq!((driven.state(), driven.source().counts().crossed), (FeedState::Synced, 1));
}

#[test]
fn the_venue_is_left_alone_as_long_as_it_says() {
    let mut driven = Driven::spot();
    driven.answer(429, Some(7), "{}");
    driven.later(6);
    assert_eq!(driven.requests(), 1);
    driven.later(1);
    assert_eq!(driven.requests(), 2);
    driven.answer(418, None, r#"{"code":-1003,"msg":"banned"}"#);
    driven.later(119);
    assert_eq!(driven.requests(), 2);
    assert!(driven.source().reason().starts_with("HTTP 418"), "{}", driven.source().reason());
    driven.later(1);
    driven.answer(200, None, &snapshot(10, "1@99/1@101"));
    assert_eq!(driven.state(), FeedState::Synced);
}

#[test]
fn a_symbol_that_the_venue_does_not_have_is_down_and_tried_seldom() {
    let mut driven = Driven::spot();
    driven.answer(400, None, r#"{"code":-1121,"msg":"Invalid symbol."}"#);
    assert_eq!(driven.state(), FeedState::Down);
    assert!(driven.source().reason().contains("Invalid symbol"), "{}", driven.source().reason());
    driven.later(59);
    assert_eq!(driven.requests(), 1);
    driven.later(1);
    assert_eq!(driven.requests(), 2);
}

#[test]
fn a_request_without_answer_is_tried_again_after_longer_and_longer() {
    let mut driven = Driven::spot();
    for wait in [1, 2, 4, 8] {
        let (id, requests) = (driven.source().request().unwrap(), driven.requests());
        driven.input(Input::Failed { id, reason: "timed out" });
        driven.later(wait - 1);
        assert_eq!(driven.requests(), requests);
        driven.later(1);
        assert_eq!(driven.requests(), requests + 1);
    }
    // An answer to what was asked long ago changes nothing.
    driven.input(Input::Response { id: 1, status: 200, retry_after_s: None, body: b"{}" });
    assert_eq!(driven.state(), FeedState::Buffering);
}

#[test]
fn a_message_may_come_before_it_was_sent() {
    let mut driven = synced();
    let event_ms = driven.now / 1_000_000 + 1_270;
    driven.text(spot(11, 11, "5@99/").replace("\"E\":1,", &format!("\"E\":{event_ms},")));
    assert!((-1_270_000_000..-1_268_000_000).contains(&driven.source().lag_ns()));
    assert_eq!(driven.state(), FeedState::Synced);
}

#[test]
fn a_lost_connection_keeps_the_book_and_a_new_one_begins_anew() {
    let mut driven = synced();
    driven.input(Input::Closed { reason: "reset by peer" });
    assert_eq!(
        (driven.state(), driven.source().reason()),
        (FeedState::Connecting, "reset by peer")
    );
    assert_eq!(driven.book(), "1@99 1@98/1@101");
    assert!(matches!(driven.out.orders.last(), Some(Order::Connect { .. })));
    driven.input(Input::Opened);
    // A venue that was restarted counts from 1 again.
    driven.text(spot(1, 2, "5@90/"));
    driven.answer(200, None, &snapshot(1, "4@90/1@101"));
    assert_eq!((driven.state(), driven.book().as_str()), (FeedState::Synced, "5@90/1@101"));
}

#[test]
fn a_silent_line_is_asked_then_stale_then_cut() {
    let mut driven = synced();
    driven.later(10);
    assert_eq!(driven.out.orders.last(), Some(&Order::Ping));
    driven.input(Input::Ping);
    driven.later(25);
    assert_eq!((driven.state(), driven.source().reason()), (FeedState::Stale, "nothing for 25 s"));
    driven.text(spot(11, 11, "5@99/"));
    assert_eq!((driven.state(), driven.book().as_str()), (FeedState::Synced, "5@99 1@98/1@101"));
    driven.later(60);
    let cut = Order::Disconnect { reason: "silent for 60 s".into() };
    assert_eq!(driven.out.orders.last(), Some(&cut));
}

#[test]
fn a_connection_ends_before_the_venue_ends_it() {
    let mut driven = synced();
    for _ in 0..(24 * 3600 / 20) {
        driven.input(Input::Ping);
        driven.later(20);
    }
    let ended = driven.out.orders.iter().any(|order| matches!(order, Order::Disconnect { .. }));
    assert!(ended && driven.state() == FeedState::Synced);
}

#[test]
fn longer_decimals_widen_the_book_and_too_long_ones_are_refused_clearly() {
    let mut driven = synced();
    driven.text(spot(11, 11, "5@99.000011311/"));
    assert_eq!(driven.source().book().scales().price, 9);
    assert_eq!(driven.source().book().best(Side::Buy), Some((99_000_011_311, 500_000_000)));
    let kinds: Vec<_> = driven.out.changes.iter().rev().take(6).map(FeedEvent::kind).collect();
    let reset = driven.out.changes.iter().rev().take(7).any(|change| {
        matches!(change, FeedEvent::FeedSourceDefined(defined) if defined.price_scale == 9)
    });
    assert!(reset, "{kinds:?}");
    driven.text(spot(12, 12, "5@99.0000000000001/"));
    assert_eq!(driven.state(), FeedState::Down);
    assert!(
        driven.source().reason().starts_with("13 decimal places"),
        "{}",
        driven.source().reason()
    );
}

#[test]
fn all_changes_together_make_the_book() {
    let options = SessionOptions { depth_max: 3, known_levels_min: 0, ..SessionOptions::default() };
    let mut driven = Driven::new(Binance::spot(), options);
    driven.answer(200, None, &snapshot(10, "1@99 1@98 1@97 1@96/1@101"));
    driven.text(spot(11, 11, "2@100 0@99 3@95/1@102 1@103 1@104"));
    driven.text(spot(12, 12, "2@99/0@101"));
    let mut books: [BTreeMap<u64, u128>; 2] = Default::default();
    for change in &driven.out.changes {
        match change {
            FeedEvent::FeedBookReset(_) => books = Default::default(),
            FeedEvent::FeedLevelChanged(level) => {
                let side = &mut books[usize::from(level.side == Side::Sell)];
                match level.quantity {
                    0 => drop(side.remove(&level.price)),
                    quantity => drop(side.insert(level.price, quantity)),
                }
            }
            _ => {}
        }
    }
    let kept = |side| driven.source().book().levels(side).collect::<BTreeMap<_, _>>();
    assert_eq!(books, [kept(Side::Buy), kept(Side::Sell)]);
    assert_eq!(driven.book(), "2@100 2@99 1@98/1@102 1@103");
}

#[test]
fn bitget_follows_the_sequence_and_begins_anew_when_told() {
    let mut driven = Driven::bitget();
    assert!(driven.sent()[0].contains(r#"{"instType":"spot","topic":"books","symbol":"BTCUSDT"}"#));
    driven.text(
        r#"{"event":"subscribe","arg":{"instType":"spot","topic":"books","symbol":"BTCUSDT"}}"#,
    );
    driven.text(bitget("snapshot", 0, 10, 0, "1@99/1@101"));
    driven.text(bitget("update", 10, 15, 0, "2@99/"));
    assert_eq!((driven.state(), driven.book().as_str()), (FeedState::Synced, "2@99/1@101"));
    driven.text(bitget("update", 16, 17, 0, "3@99/"));
    assert_eq!(driven.last_note(), "gap: expected 15, found 16");
    assert_eq!((driven.state(), driven.book().as_str()), (FeedState::Resyncing, "2@99/1@101"));
    let sent = driven.sent();
    assert!(
        sent[sent.len() - 2].contains("unsubscribe") && sent[sent.len() - 1].contains("subscribe")
    );
    driven.text(bitget("update", 17, 18, 0, "4@99/"));
    driven.text(bitget("snapshot", 0, 20, 0, "5@99/1@101"));
    driven.text(bitget("update", 20, 21, 0, "6@99/"));
    assert_eq!((driven.state(), driven.book().as_str()), (FeedState::Synced, "6@99/1@101"));
    driven.text(bitget("update", 0, 3, 0, "7@99/"));
    assert_eq!(driven.last_note(), "the venue began anew at 3");
    assert_eq!((driven.state(), driven.book().as_str()), (FeedState::Resyncing, "6@99/1@101"));
}

#[test]
fn a_checksum_is_verified_where_there_is_one() {
    let sum = |text: &str| i64::from(crc32fast::hash(text.as_bytes()).cast_signed());
    let mut driven = Driven::bitget();
    driven.text(bitget("snapshot", 0, 10, sum("99:1:101:1"), "1@99/1@101"));
    driven.text(bitget("update", 10, 11, sum("99:2:101:1"), "2@99/"));
    assert_eq!((driven.state(), driven.source().counts().checksums), (FeedState::Synced, 2));
    let unsigned = i64::from(crc32fast::hash(b"99:2:101:3.0"));
    driven.text(bitget("update", 11, 12, unsigned, "/3.0@101"));
    assert_eq!(driven.state(), FeedState::Synced);
    driven.text(bitget("update", 12, 13, sum("nonsense"), "4@99/"));
    assert!(driven.last_note().starts_with("gap: checksum"), "{}", driven.last_note());
    assert_eq!((driven.state(), driven.book().as_str()), (FeedState::Resyncing, "2@99/3@101"));
    driven.text(bitget("snapshot", 0, 20, sum("nonsense"), "9@99/1@101"));
    assert_eq!((driven.state(), driven.book().as_str()), (FeedState::Resyncing, "2@99/3@101"));
}

#[test]
fn bitget_v2_and_its_shallow_books_are_read() {
    let venue = Bitget::new(Version::V2, Product::UsdtFutures, Channel::Books5);
    let mut driven = Driven::new(venue, SessionOptions::default());
    assert!(
        driven.sent()[0]
            .contains(r#"{"instType":"USDT-FUTURES","channel":"books5","instId":"BTCUSDT"}"#)
    );
    let message = |sequence: u64, price: u64| {
        format!(
            r#"{{"action":"snapshot","arg":{{"instType":"USDT-FUTURES","channel":"books5","instId":"BTCUSDT"}},"data":[{{"asks":[["101","1"]],"bids":[["{price}","1"]],"checksum":0,"seq":{sequence},"ts":"1695710946294"}}],"ts":1695710946294}}"#
        )
    };
    driven.text(message(1, 99));
    driven.text(message(2, 98));
    assert_eq!((driven.state(), driven.book().as_str()), (FeedState::Synced, "1@98/1@101"));
    driven.text(r#"{"event":"error","arg":{},"code":30001,"msg":"no such channel"}"#);
    assert_eq!(driven.last_note(), "refused: 30001 no such channel");
    driven.text("pong");
    driven.later(25);
    assert_eq!(driven.sent().last(), Some(&"ping"));
}

#[test]
fn an_update_without_its_snapshot_is_a_gap() {
    let mut driven = Driven::bitget();
    driven.text(bitget("update", 9, 10, 0, "1@99/"));
    assert_eq!(driven.last_note(), "gap: no snapshot before 10");
    assert_eq!((driven.state(), driven.source().counts().gaps), (FeedState::Resyncing, 1));
    driven.later(60);
    assert!(driven.sent().iter().filter(|text| text.contains("unsubscribe")).count() >= 2);
}

#[test]
fn trades_that_are_missing_are_counted_by_their_ids() {
    let mut driven = synced();
    for id in [7, 8, 11, 11] {
        driven.text(format!(
            r#"{{"e":"aggTrade","E":1,"s":"BTCUSDT","a":{id},"p":"100.5","q":"1","f":1,"l":1,"T":1,"m":true,"M":true}}"#
        ));
    }
    let counts = driven.source().counts();
    assert_eq!((counts.trades, counts.trades_missed, counts.gaps), (4, 2, 0));
}

/// A venue's true book and all that it was, by update id.
#[derive(Default)]
struct Truth {
    books: [BTreeMap<u64, u64>; 2],
    was: HashMap<u64, [BTreeMap<u64, u64>; 2]>,
    id: u64,
}

impl Truth {
    /// Some changes; gives the update's text.
    fn step(&mut self, draw: &mut impl FnMut(u64) -> u64, is_usdm: bool) -> String {
        let previous = self.id;
        let first = previous + 1 + if is_usdm { draw(5) } else { 0 };
        self.id = first + draw(4);
        let mut words = [String::new(), String::new()];
        for _ in 0..1 + draw(4) {
            let side = draw(2) as usize;
            let price = if side == 0 { 100 - draw(12) } else { 101 + draw(12) };
            let quantity = draw(3);
            match quantity {
                0 => drop(self.books[side].remove(&price)),
                _ => drop(self.books[side].insert(price, quantity)),
            }
            words[side] += &format!("{quantity}@{price} ");
        }
        self.was.insert(self.id, self.books.clone());
        let words = words.join("/");
        match is_usdm {
            true => usdm(first, self.id, previous, &words),
            false => spot(first, self.id, &words),
        }
    }

    fn snapshot(&self, id: u64) -> String {
        let side = |side: &BTreeMap<u64, u64>| {
            side.iter().map(|(price, quantity)| format!("{quantity}@{price} ")).collect::<String>()
        };
        let [bids, asks] = &self.was[&id];
        snapshot(id, &format!("{}/{}", side(bids), side(asks)))
    }
}

/// Drops, repeats, delays and spoils messages and snapshots at random; whatever is committed must
/// be what the venue's book was at that id.
#[track_caller]
fn check_faults(seed: u64, is_usdm: bool) -> (u64, u64) {
    let mut state = seed;
    let mut draw = move |below: u64| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut truth = Truth::default();
    let mut driven = if is_usdm { Driven::usdm() } else { Driven::spot() };
    let mut waiting: Vec<String> = Vec::new();
    let mut ids = Vec::new();
    let mut checked = 0;
    for step in 0..3_200_u64 {
        waiting.push(truth.step(&mut draw, is_usdm));
        ids.push(truth.id);
        // The second half is calm at times, so that books come back.
        let fault = if (step / 200).is_multiple_of(2) { draw(30) } else { 30 };
        match fault {
            0 => drop(waiting.pop()),
            1 => waiting.push(waiting[waiting.len() - 1].clone()),
            2 if waiting.len() > 1 => {
                let last = waiting.len() - 1;
                waiting.swap(last - 1, last);
            }
            3 => {
                let text = waiting.pop().unwrap();
                waiting.push(text[..text.len() - 1 - draw(30) as usize].to_owned());
            }
            4 => continue,
            5 => {
                driven.input(Input::Closed { reason: "cut" });
                waiting.clear();
                driven.input(Input::Opened);
            }
            _ => {}
        }
        for text in waiting.drain(..) {
            driven.text(text);
        }
        if driven.source().request().is_some() && draw(3) == 0 {
            let back = if draw(4) == 0 { draw(40) as usize } else { 0 };
            let id = ids[ids.len().saturating_sub(1 + back)];
            let body = truth.snapshot(id);
            match draw(8) {
                0 => driven.answer(503, None, ""),
                1 => driven.answer(200, None, &body[..body.len() - 2 - draw(10) as usize]),
                _ => driven.answer(200, None, &body),
            }
        }
        driven.later(draw(3));
        if let (FeedState::Synced, Some(committed)) = (driven.state(), driven.source().committed())
        {
            let unscaled = |side| -> BTreeMap<u64, u64> {
                let levels = driven.source().book().levels(side);
                levels.map(|(p, q)| (p / 100_000_000, (q / 100_000_000) as u64)).collect()
            };
            let book = [unscaled(Side::Buy), unscaled(Side::Sell)];
            assert_eq!(book, truth.was[&committed.update], "seed {seed}, step {step}");
            checked += 1;
        }
    }
    assert_eq!(driven.state(), FeedState::Synced, "seed {seed}: {}", driven.source().reason());
    (checked, driven.source().counts().gaps)
}

#[test]
fn a_committed_book_is_the_venues_whatever_happens_on_the_way() {
    let (mut checked, mut gaps) = (0, 0);
    for seed in 1..=20 {
        for is_usdm in [false, true] {
            let (more, gap) = check_faults(seed, is_usdm);
            (checked, gaps) = (checked + more, gaps + gap);
        }
    }
    assert!(checked > 40_000 && gaps > 500, "{checked} books checked, {gaps} gaps");
}

#[test]
fn the_scanner_reads_what_serde_json_reads() {
    let venue = Binance::spot();
    let mut read = Read::default();
    let text = spot(11, 12, "5.50@99 0@98/1@101.00000000");
    venue.read(text.as_bytes(), &mut read).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let Some(Item::Depth(Depth { first, last, bids, asks, .. })) = read.items.first() else {
        panic!("no depth")
    };
    assert_eq!(json["data"]["U"], *first);
    assert_eq!(json["data"]["u"], *last);
    for (range, name) in [(bids, "b"), (asks, "a")] {
        let shown = read.levels(range).iter();
        let shown: Vec<_> =
            shown.map(|it| [it.price.to_string(), it.quantity.to_string()]).collect();
        assert_eq!(json["data"][name], serde_json::json!(shown));
    }
}
