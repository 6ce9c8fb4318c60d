//! What venues of a feed send, and recordings of it: the scanner reads what `serde_json` reads, a
//! book is what a map is, and nothing that comes in breaks a session.

use std::collections::BTreeMap;
use std::io::Read as Reader;
use std::sync::Arc;

use feed::adapter::{Collected, Depth, Input, Item, Read, Venue};
use feed::binance::Binance;
use feed::bitget::{Bitget, Channel, Product, Version};
use feed::naive;
use feed::player::Player;
use feed::recordings::Recordings;
use feed::session::{Session, SessionOptions, Source};
use protocol::Side;
use protocol::feed::{FeedEvent, FeedState};

use crate::Target;
use crate::feedback::note;

pub const MESSAGE: Target =
    Target { name: "feed_message", run: message, corpus, words: WORDS, length_max: 4_096 };
pub const SESSION: Target = Target {
    name: "feed_session",
    run: session,
    corpus: sessions,
    words: WORDS,
    length_max: 8_192,
};
pub const RECORDING: Target = Target {
    name: "feed_recording",
    run: recording,
    corpus: recordings,
    words: WORDS,
    length_max: 8_192,
};

const WORDS: &[&str] = &[
    "\n",
    "[[\"1.5\",\"2\"]]",
    "[\"1.50\",\"0\"],",
    "\"0.000000001\"",
    "\"99999999999999999999999999999999999999\"",
    "\"1e5\"",
    "{\"e\":\"depthUpdate\",\"s\":\"X\",\"U\":1,\"u\":2,\"b\":[],\"a\":[]}",
    "\"E\":1,",
    "\"pu\":1,",
    "\"U\":",
    "\"u\":",
    "18446744073709551615",
    "{\"stream\":\"x@depth\",\"data\":",
    "{\"lastUpdateId\":1,\"bids\":[],\"asks\":[]}",
    "{\"action\":\"snapshot\",\"arg\":{\"instType\":\"spot\",\"channel\":\"books\",\"instId\":\"X\"},",
    "\"action\":\"update\"",
    "\"checksum\":0,",
    "\"pseq\":0,\"seq\":\"7\",",
    "\\u0041",
    "é",
    "1617647603.4249449: ",
    "1723161253937085768 ",
    "https://a/depth?symbol=X -> 1.5: ",
    "#open 0 binance spot X wss://x",
    "@0 ",
];

const MESSAGES: &[&str] = &[
    r#"{"stream":"x@depth@100ms","data":{"e":"depthUpdate","E":5,"s":"X","U":11,"u":12,"b":[["9.50","1.0"],["9.4","0"]],"a":[["10","2.5"]]}}"#,
    r#"{"e":"depthUpdate","E":5,"T":4,"s":"X","U":11,"u":12,"pu":10,"b":[],"a":[["10","2.5",[]]]}"#,
    r#"{"u":7,"s":"X","b":"9.5","B":"1","a":"10","A":"2"}"#,
    r#"{"e":"aggTrade","E":5,"s":"X","a":3,"p":"9.5","q":"1","f":1,"l":1,"T":4,"m":true,"M":true}"#,
    r#"{"result":null,"id":1}"#,
    r#"{"action":"snapshot","arg":{"instType":"sp","channel":"books","instId":"X"},"data":[{"asks":[["10","1"]],"bids":[["9.5","2.0"]],"checksum":-139104234,"ts":"1649290077548"}]}"#,
    r#"{"action":"update","arg":{"instType":"spot","topic":"books","symbol":"X"},"data":[{"a":[],"b":[["9","0"]],"checksum":0,"pseq":7,"seq":"8","ts":"5"}],"ts":6}"#,
    r#"{"action":"update","arg":{"instType":"mc","channel":"trade","instId":"X"},"data":[["5","9.5","1","buy"]]}"#,
    r#"{"event":"error","arg":{},"code":30001,"msg":"no"}"#,
    "pong",
];

fn corpus() -> Vec<Vec<u8>> {
    MESSAGES.iter().map(|text| text.as_bytes().to_vec()).collect()
}

/// What is read of a message is what a reader by `serde_json` finds in it.
pub fn message(data: &[u8]) {
    let venues: [&dyn Venue; 3] = [
        &Binance::spot(),
        &Binance::usdm(),
        &Bitget::new(Version::V3, Product::Spot, Channel::Books),
    ];
    let mut read = Read::default();
    for (at, venue) in venues.into_iter().enumerate() {
        let scanned = venue.read(data, &mut read);
        note((at, scanned.as_ref().map_err(|error| error.what), read.items.len().min(3)));
        if scanned.is_ok() {
            check_depths(data, &read);
        }
        let scanned = venue.read_snapshot(data, &mut read);
        note((at, "snapshot", scanned.as_ref().map_err(|error| error.what)));
        if scanned.is_ok() {
            check_depths(data, &read);
        }
    }
}

fn check_depths(data: &[u8], read: &Read) {
    for item in &read.items {
        let Item::Depth(Depth { bids, asks, .. }) = item else { continue };
        let words = |range| -> naive::Levels {
            let levels = read.levels(range).iter();
            levels.map(|it| [it.price.to_string(), it.quantity.to_string()]).collect()
        };
        let found = (words(bids), words(asks));
        let all = naive::depths(data);
        let is_there = all.as_ref().is_some_and(|all| all.contains(&found));
        assert!(is_there, "{found:?} is not in {all:?}");
    }
}

fn sessions() -> Vec<Vec<u8>> {
    let update = |first: u64| {
        format!(
            r#"{{"e":"depthUpdate","E":5,"s":"X","U":{first},"u":{first},"pu":{},"b":[["9","{first}"]],"a":[]}}"#,
            first - 1
        )
    };
    let snapshot = r#"={"lastUpdateId":11,"bids":[["9","1"]],"asks":[["10","1"]]}"#;
    let lines = [update(11), snapshot.into(), update(12), update(14), snapshot.into(), "~".into()];
    let bitget = [MESSAGES[5], MESSAGES[6], "-", MESSAGES[5]];
    vec![
        format!("a{}", lines.join("\n")).into_bytes(),
        format!("b{}", lines.join("\n")).into_bytes(),
        format!("c{}", bitget.join("\n")).into_bytes(),
    ]
}

/// The first byte chooses the venue; then a line is a message, the answer of a request (`=`), a cut
/// (`-`) or ten seconds (`~`). The changes that come out make the book that the session has.
pub fn session(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let venue: Arc<dyn Venue> = match first % 3 {
        0 => Arc::new(Bitget::new(Version::V2, Product::Spot, Channel::Books)),
        1 => Arc::new(Binance::spot()),
        _ => Arc::new(Binance::usdm()),
    };
    let options = SessionOptions {
        depth_max: usize::from(first / 3 % 8),
        known_levels_min: usize::from(first / 24 % 3),
        refuses_crossed: first & 1 == 0,
        ..SessionOptions::default()
    };
    let mut session = Session::new(venue, &["X".to_owned()], 0, options);
    let mut out = Collected::default();
    session.start(&mut out);
    let mut now = 1_700_000_000_000_000_000;
    session.input(now, Input::Opened, &mut out);
    let mut books = [BTreeMap::new(), BTreeMap::new()];
    for line in rest.split(|&byte| byte == b'\n') {
        now += 1_000_000_000;
        match line.split_first() {
            Some((b'-', _)) => {
                session.input(now, Input::Closed { reason: "cut" }, &mut out);
                session.input(now, Input::Opened, &mut out);
            }
            Some((b'~', _)) => {
                now += 10_000_000_000;
                session.input(now, Input::Tick, &mut out);
            }
            Some((b'=', body)) => {
                let id = session.sources().first().and_then(Source::request).unwrap_or(0);
                let status = if body.is_empty() { 429 } else { 200 };
                let answer = Input::Response { id, status, retry_after_s: None, body };
                session.input(now, answer, &mut out);
            }
            _ => session.input(now, Input::Text(line), &mut out),
        }
        follow(&mut books, &out.changes);
        note(&out.notes);
        out = Collected::default();
        let Some(source) = session.sources().first() else { continue };
        note((source.state(), source.counts().gaps.min(3), source.counts().applied.min(5)));
        check_book(source, &books, options.depth_max);
    }
}

type Books = [BTreeMap<u64, u128>; 2];

fn follow(books: &mut Books, changes: &[FeedEvent]) {
    for change in changes {
        match change {
            FeedEvent::FeedBookReset(_) => *books = Books::default(),
            FeedEvent::FeedLevelChanged(level) => {
                let [bids, asks] = books;
                let side = if level.side == Side::Buy { bids } else { asks };
                match level.quantity {
                    0 => drop(side.remove(&level.price)),
                    quantity => drop(side.insert(level.price, quantity)),
                }
            }
            _ => {}
        }
    }
}

/// The order of levels, the bound, and what the changes told.
fn check_book(source: &Source, [bids, asks]: &Books, depth_max: usize) {
    let book = source.book();
    let own_bids: Vec<_> = book.levels(Side::Buy).collect();
    let own_asks: Vec<_> = book.levels(Side::Sell).collect();
    assert!(
        own_bids.iter().eq(bids.iter().rev().map(|(p, q)| (*p, *q)).collect::<Vec<_>>().iter())
    );
    assert!(own_asks.iter().eq(asks.iter().map(|(p, q)| (*p, *q)).collect::<Vec<_>>().iter()));
    assert!(depth_max == 0 || own_bids.len().max(own_asks.len()) <= depth_max);
    if let Some(all) = book.imbalances() {
        let sum = |levels: &[(u64, u128)]| levels.iter().take(20).map(|it| it.1).sum::<u128>();
        assert_eq!((all[2].bids, all[2].asks), (sum(&own_bids), sum(&own_asks)));
    }
    let _ = book.checksum(25);
    if source.state() == FeedState::Synced {
        assert!(source.committed().is_some());
    }
}

fn recordings() -> Vec<Vec<u8>> {
    let join = |stamp: &str| -> Vec<u8> {
        MESSAGES.iter().flat_map(|it| format!("{stamp}{it}\n").into_bytes()).collect()
    };
    vec![
        join("1723161253937085768 "),
        join("1617647603.4249449: "),
        b"1 #open 0 binance spot X wss://x\n2 @0 {}\n3 #answer 0 200 - http://a/depth?symbol=X {}\n4 #close 0 cut\n".to_vec(),
        b"configuration: {}\nwss://a <-> 1.5\nhttps://a/api/v3/depth?symbol=X -> 1.5: {\"lastUpdateId\":1,\"bids\":[],\"asks\":[]}\n".to_vec(),
    ]
}

/// A recording is read alike in whatever pieces it comes, and played without harm.
pub fn recording(data: &[u8]) {
    let whole = read_in_pieces(data, usize::MAX);
    for piece in [1, 7] {
        assert_eq!(read_in_pieces(data, piece), whole, "in pieces of {piece}");
    }
}

fn read_in_pieces(data: &[u8], piece: usize) -> Result<Vec<String>, String> {
    let data: Arc<[u8]> = data.into();
    let make = || -> Box<dyn Reader> { Box::new(Pieces { data: Arc::clone(&data), at: 0, piece }) };
    let text = |error: feed::recordings::Error| error.to_string();
    let mut recordings = Recordings::from_readers(&[("fuzz", &make)], None).map_err(text)?;
    let mut player = Player::new(SessionOptions::replay());
    let (mut out, mut lines) = (Collected::default(), Vec::new());
    while let Some(recorded) = recordings.read_next().map_err(text)? {
        lines.push(format!("{recorded:?}"));
        player.play(&recorded, recordings.connections(), &mut out);
        note((recorded.connection, out.changes.len().min(9)));
        lines.append(&mut out.notes);
        out = Collected::default();
    }
    lines.extend(recordings.remarks());
    Ok(lines)
}

struct Pieces {
    data: Arc<[u8]>,
    at: usize,
    piece: usize,
}

impl Reader for Pieces {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let rest = self.data.get(self.at..).unwrap_or(&[]);
        let length = rest.len().min(out.len()).min(self.piece);
        out[..length].copy_from_slice(&rest[..length]);
        self.at += length;
        Ok(length)
    }
}
