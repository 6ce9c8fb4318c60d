//! Recorded feeds of real venues: every row, count and final book that others found in them.
//!
//! The recordings lie beside the repository, as those of `capture.rs` do; without them these tests
//! say so and pass.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::PathBuf;

use app::feed::replay::{Pace, play};
use app::feed::{Judge, Replay, replay};
use app::simulate::Orders;
use feed::adapter::{Note, Order, Sink};
use feed::decimal::Decimal;
use feed::player::Player;
use feed::recordings::{Make, Recorded, Recordings, What};
use feed::session::SessionOptions;
use protocol::feed::FeedEvent;
use serde_json::Value;

use crate::capture::recording;

struct Capture {
    files: &'static [&'static str],
    expected: &'static str,
    /// The last line of the report.
    verdict: &'static str,
}

const CAPTURES: &[Capture] = &[
    Capture {
        files: &["binance-cryptofeed/binance_spot_20210405.all.gz"],
        expected: "binance-cryptofeed/expected_binance_spot_20210405",
        verdict: "rows: 4642 agree, 0 differ, 0 missing; final books: 10 of 10 agree; counts: 150 \
                  of 150 agree",
    },
    Capture {
        files: &[
            "binance-cryptofeed/binance_spot_20210417.http.gz",
            "binance-cryptofeed/binance_spot_20210417.ws.gz",
        ],
        expected: "binance-cryptofeed/expected_binance_spot_20210417",
        verdict: "rows: 590 agree, 0 differ, 0 missing; final books: 10 of 10 agree; counts: 150 \
                  of 150 agree",
    },
    Capture {
        files: &["binance-cryptofeed/binance_us_20210405.all.gz"],
        expected: "binance-cryptofeed/expected_binance_us_20210405",
        verdict: "rows: 3185 agree, 0 differ, 0 missing; final books: 10 of 10 agree; counts: 150 \
                  of 150 agree",
    },
    Capture {
        files: &["binance-cryptofeed/binance_usdm_20210405.all.gz"],
        expected: "binance-cryptofeed/expected_binance_usdm_20210405",
        verdict: "rows: 4395 agree, 0 differ, 0 missing; final books: 5 of 5 agree; counts: 75 of \
                  75 agree",
    },
    Capture {
        files: &[
            "binance-hftbacktest/spot_btcusdt_20240808.gz",
            "binance-hftbacktest/spot_btcusdt_20240809.gz",
        ],
        expected: "binance-hftbacktest/expected_spot_btcusdt",
        verdict: "rows: 6493 agree, 0 differ, 0 missing; final books: 1 of 1 agree; counts: 15 of \
                  15 agree",
    },
    Capture {
        files: &["binance-hftbacktest/usdm_btcusdt_20240808.gz"],
        expected: "binance-hftbacktest/expected_usdm_btcusdt",
        verdict: "rows: 6547 agree, 0 differ, 0 missing; final books: 1 of 1 agree; counts: 15 of \
                  15 agree",
    },
    Capture {
        files: &["bitget-cryptofeed/bitget_spot_v1_20220407.gz"],
        expected: "bitget-cryptofeed/expected_bitget_spot_v1_20220407",
        verdict: "rows: 443 agree, 0 differ, 0 missing; final books: 0 of 0 agree; counts: 64 of \
                  64 agree",
    },
    Capture {
        files: &["bitget-cryptofeed/bitget_mix_v1_20220407_DASHUSDT.gz"],
        expected: "bitget-cryptofeed/expected_bitget_mix_v1_20220407_DASHUSDT",
        verdict: "rows: 98 agree, 0 differ, 0 missing; final books: 0 of 0 agree; counts: 8 of 8 \
                  agree",
    },
];

/// Paths of the files, if all are there.
fn files(capture: &Capture) -> Option<Vec<PathBuf>> {
    capture.files.iter().map(|name| recording(name)).collect()
}

/// The prefix of what is expected, if it is there.
fn prefix(capture: &Capture) -> Option<PathBuf> {
    let summary = recording(&format!("{}.summary.json", capture.expected))?;
    let text = summary.to_str()?.strip_suffix(".summary.json")?;
    Some(text.into())
}

#[track_caller]
fn check_verdict(capture: &Capture, passed: bool, report: &[u8]) {
    let report = String::from_utf8_lossy(report);
    assert_eq!(report.lines().last(), Some(capture.verdict), "{report}");
    assert!(passed, "{report}");
}

#[test]
fn every_row_and_final_book_of_recorded_feeds_is_as_expected() {
    for capture in CAPTURES {
        let (Some(files), Some(expect)) = (files(capture), prefix(capture)) else { continue };
        let args = Replay { files, speed: "max".into(), market: None, expect: Some(expect) };
        let mut report = Vec::new();
        let passed = replay(&args, &Orders::default(), &mut report).unwrap();
        check_verdict(capture, passed, &report);
    }
}

/// The rest of a file, a few bytes at a time.
struct Pieces<R> {
    reader: R,
    lengths: std::iter::Cycle<std::vec::IntoIter<usize>>,
}

impl<R: Read> Read for Pieces<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let length = self.lengths.next().unwrap_or(1).min(out.len());
        self.reader.read(&mut out[..length])
    }
}

#[test]
fn a_recording_says_the_same_in_pieces_of_any_length() {
    for capture in [&CAPTURES[1], &CAPTURES[6], &CAPTURES[7]] {
        let (Some(files), Some(expect)) = (files(capture), prefix(capture)) else { continue };
        for lengths in [vec![1], vec![7, 1, 4_096, 13]] {
            type Own = Box<dyn Fn() -> Box<dyn Read>>;
            let make = |path: &PathBuf| -> Own {
                let (path, lengths) = (path.clone(), lengths.clone());
                Box::new(move || {
                    let lengths = lengths.clone().into_iter().cycle();
                    Box::new(Pieces { reader: std::fs::File::open(&path).unwrap(), lengths })
                })
            };
            let makes: Vec<Own> = files.iter().map(make).collect();
            let sources: Vec<(&str, Make<'_>)> =
                makes.iter().map(|make| ("pieces", &**make)).collect();
            let recordings = Recordings::from_readers(&sources, None).unwrap();
            let (pace, judge) = (Pace::new("max").unwrap(), Judge::open(&expect).unwrap());
            let mut report = Vec::new();
            let orders = Orders::default();
            let passed = play(recordings, pace, Some(judge), &orders, &mut report).unwrap();
            check_verdict(capture, passed, &report);
        }
    }
}

#[test]
fn a_changed_digit_is_found_by_row_and_by_final_book() {
    let capture = &CAPTURES[1];
    let (Some(files), Some(expect)) = (files(capture), prefix(capture)) else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for path in &files {
        let mut text = String::new();
        let file = std::fs::File::open(path).unwrap();
        flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
        let to = folder.path().join(path.file_name().unwrap()).with_extension("txt");
        std::fs::write(&to, text.replace("\"8.08000000\"", "\"8.08000001\"")).unwrap();
        paths.push(to);
    }
    let args = Replay { files: paths, speed: "max".into(), market: None, expect: Some(expect) };
    let mut report = Vec::new();
    assert!(!replay(&args, &Orders::default(), &mut report).unwrap());
    let report = String::from_utf8_lossy(&report);
    assert!(report.contains("BUSDTRY final_book_sha256: expected"), "{report}");
}

/// Gaps that a session named: time of receipt and source.
#[derive(Default)]
struct Gaps {
    now: u64,
    named: BTreeSet<(u64, String)>,
    symbols: BTreeMap<u32, String>,
}

impl Sink for Gaps {
    fn change(&mut self, change: FeedEvent) {
        if let FeedEvent::FeedSourceDefined(defined) = change {
            self.symbols.insert(defined.source, defined.symbol.as_str().to_owned());
        }
    }

    fn order(&mut self, _order: Order) {}

    fn note(&mut self, source: Option<u32>, note: Note<'_>) {
        let is_gap =
            matches!(note, Note::Gap { .. } | Note::Checksum { .. } | Note::NoSnapshot { .. });
        if let (true, Some(symbol)) = (is_gap, source.and_then(|it| self.symbols.get(&it))) {
            self.named.insert((self.now, symbol.clone()));
        }
    }
}

/// Symbol and last id of a depth message, read by `serde_json`; Bitget's v1 has no ids.
fn depth_of(recorded: &Recorded) -> Option<(String, u64)> {
    let What::Text(text) = &recorded.what else { return None };
    let message: Value = serde_json::from_slice(text).ok()?;
    let data = &message["data"];
    if data["e"] == "depthUpdate" {
        return Some((data["s"].as_str()?.to_owned(), data["u"].as_u64()?));
    }
    let is_book = message["arg"]["channel"] == "books" && data.is_array();
    is_book.then(|| Some((message["arg"]["instId"].as_str()?.to_owned(), u64::MAX))).flatten()
}

fn snapshot_of(recorded: &Recorded) -> Option<(String, u64)> {
    let What::Snapshot { symbol, body } = &recorded.what else { return None };
    let body: Value = serde_json::from_slice(body).ok()?;
    Some((symbol.clone()?, body["lastUpdateId"].as_u64()?))
}

/// A book of Bitget's v1 as the texts that it was told with.
#[derive(Default)]
struct PlainBook([BTreeMap<u128, (String, String)>; 2]);

impl PlainBook {
    /// Sets the levels of a message; is the book now what its checksum is of?
    fn follow(&mut self, update: &Value) -> bool {
        for (levels, name) in self.0.iter_mut().zip(["bids", "asks"]) {
            for level in update[name].as_array().unwrap() {
                let [price, quantity] = [0, 1].map(|at| level[at].as_str().unwrap().to_owned());
                let at_scale = |text: &str| Decimal::parse(text.as_bytes()).unwrap().at_scale(12);
                let key = at_scale(&price).unwrap();
                match at_scale(&quantity).unwrap() {
                    0 => levels.remove(&key),
                    _ => levels.insert(key, (price, quantity)),
                };
            }
        }
        let [bids, asks] = &self.0;
        let (mut bids, mut asks) = (bids.values().rev(), asks.values());
        let mut words = Vec::new();
        for _ in 0..25 {
            for (price, quantity) in bids.next().into_iter().chain(asks.next()) {
                words.extend([price.as_str(), quantity.as_str()]);
            }
        }
        let sum = crc32fast::hash(words.join(":").as_bytes()).cast_signed();
        update["checksum"].as_i64() == Some(i64::from(sum))
    }
}

/// What of Bitget's v1, which has no ids, can be found: books that are not what a checksum is of.
/// An update that the next one writes over leaves no trace, and no wrong book.
#[derive(Default)]
struct PlainBooks {
    books: BTreeMap<String, PlainBook>,
    broken: BTreeSet<String>,
}

impl PlainBooks {
    /// Is a gap to be named at this message?
    fn is_gap(&mut self, symbol: &str, recorded: &Recorded) -> bool {
        let What::Text(text) = &recorded.what else { return false };
        let message: Value = serde_json::from_slice(text).unwrap();
        if message["action"] == "snapshot" {
            self.books.insert(symbol.to_owned(), PlainBook::default());
            self.broken.remove(symbol);
        }
        let update = &message["data"][0];
        let is_right = self.books.get_mut(symbol).is_some_and(|book| book.follow(update));
        !is_right && self.broken.insert(symbol.to_owned())
    }
}

/// Drops every `k`-th message and holds the named gaps against the dropped ones: a gap is named at
/// the next depth message of its symbol, and nowhere else.
#[track_caller]
fn check_dropped(
    messages: &[(Recorded, Option<(String, u64)>)],
    recordings: &Recordings,
    k: usize,
) {
    let connections = recordings.connections();
    let is_bitget = connections[0].venue.name() == "bitget";
    let mut player = Player::new(SessionOptions::replay());
    let mut gaps = Gaps::default();
    // Up to which id nothing can be missed: what came before all is nobody's loss.
    let mut begun: BTreeMap<String, u64> = BTreeMap::new();
    let mut plain = PlainBooks::default();
    let (mut missing, mut expected) = (BTreeSet::new(), BTreeSet::new());
    for (place, (recorded, depth)) in messages.iter().enumerate() {
        let is_dropped = place % k == k - 1 && matches!(recorded.what, What::Text(_));
        match depth {
            Some((symbol, last)) if is_dropped => {
                if begun.get(symbol).is_some_and(|begun| last > begun) {
                    missing.insert(symbol.clone());
                }
            }
            Some((symbol, _)) => {
                begun.insert(symbol.clone(), 0);
                let is_gap = match is_bitget {
                    true => plain.is_gap(symbol, recorded),
                    false => missing.remove(symbol),
                };
                if is_gap {
                    expected.insert((recorded.receive_ns, symbol.clone()));
                }
            }
            None => {
                if let Some((symbol, last)) = snapshot_of(recorded) {
                    begun.entry(symbol).or_insert(last);
                }
            }
        }
        if !is_dropped {
            gaps.now = recorded.receive_ns;
            player.play(recorded, connections, &mut gaps);
        }
    }
    let differing: Vec<_> = gaps.named.symmetric_difference(&expected).collect();
    assert!(differing.is_empty(), "every {k}th dropped: {differing:?}");
    assert!(!expected.is_empty());
}

#[test]
fn a_dropped_message_is_named_at_the_next_depth_message_of_its_symbol() {
    for capture in CAPTURES.iter().filter(|it| !it.files[0].contains("hftbacktest/spot")) {
        let Some(files) = files(capture) else { continue };
        let mut recordings = Recordings::open(&files, None).unwrap();
        let mut messages = Vec::new();
        while let Some(recorded) = recordings.read_next().unwrap() {
            let depth = depth_of(&recorded);
            messages.push((recorded, depth));
        }
        for k in [2, 3, 5, 17, 101] {
            check_dropped(&messages, &recordings, k);
        }
    }
}
