//! Messages of a recorded feed through parse, book and imbalances, beside the same with `serde_json`
//! and `BTreeMap`.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use feed::adapter::{Depth, Order, Read, Sink, Venue};
use feed::binance::Binance;
use feed::naive::{BookTicker, Combined, NaiveBook, Snapshot, Traded, Update};
use feed::recordings::{MarketOption, Recordings, What};
use feed::session::{Session, SessionOptions, Source};
use marketdata::{Imbalance, OBI_LEVELS};
use protocol::Side;
use protocol::feed::FeedEvent;

use crate::figures::grouped;
use crate::{Result, machine};

#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Folder of recordings; by default OUTCRY_CAPTURES, else ../shared/captures
    #[arg(long, value_name = "DIR")]
    pub captures: Option<PathBuf>,
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
}

/// A recording and what it is of.
const RECORDINGS: [(&str, MarketOption, &[&str]); 2] = [
    (
        "spot BTCUSDT",
        MarketOption::Spot,
        &[
            "binance-hftbacktest/spot_btcusdt_20240808.gz",
            "binance-hftbacktest/spot_btcusdt_20240809.gz",
        ],
    ),
    ("USD-M BTCUSDT", MarketOption::UsdM, &["binance-hftbacktest/usdm_btcusdt_20240808.gz"]),
];
const SYMBOL: &str = "BTCUSDT";

/// What a run has done, to be the same for all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Work {
    /// Updates after the snapshot.
    updates: u64,
    /// Ratios over the best levels, added up.
    ratios: i128,
    book: NaiveBook,
}

struct Tape {
    messages: Vec<(u64, Vec<u8>)>,
    /// Place before which the snapshot came, and its text.
    snapshot: (usize, Vec<u8>),
    levels: u64,
}

pub fn run(options: &Arguments, tell: &mut dyn FnMut(&str)) -> Result<()> {
    tell(&format!("feed: {} rounds, medians; {}", options.rounds, machine::describe()));
    let folder = options.captures.clone().unwrap_or_else(captures);
    for (name, market, files) in RECORDINGS {
        let files: Vec<PathBuf> = files.iter().map(|file| folder.join(file)).collect();
        if !files.iter().all(|file| file.is_file()) {
            tell(&format!("{name}: skipped, no recording in {}", folder.display()));
            continue;
        }
        for only_depth in [false, true] {
            let tape = read(&files, market, only_depth)?;
            let what = if only_depth { "depth alone" } else { "all messages" };
            tell(&format!(
                "{name}, {what}: {} messages, {} levels",
                grouped(tape.messages.len() as u64),
                grouped(tape.levels)
            ));
            compare(&tape, market, options.rounds, tell)?;
        }
    }
    Ok(())
}

fn captures() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    std::env::var_os("OUTCRY_CAPTURES").map_or_else(beside, PathBuf::from)
}

fn read(files: &[PathBuf], market: MarketOption, only_depth: bool) -> Result<Tape> {
    let mut recordings = Recordings::open(files, Some(market))?;
    let mut tape = Tape { messages: Vec::new(), snapshot: (0, Vec::new()), levels: 0 };
    let venue = Binance::spot();
    let mut parsed = Read::default();
    while let Some(recorded) = recordings.read_next()? {
        match recorded.what {
            What::Text(text) => {
                venue.read(&text, &mut parsed)?;
                tape.levels += parsed.levels.len() as u64;
                if !only_depth || text.windows(6).any(|it| it == b"@depth") {
                    tape.messages.push((recorded.receive_ns, text));
                }
            }
            What::Snapshot { body, .. } => tape.snapshot = (tape.messages.len(), body),
            _ => {}
        }
    }
    Ok(tape)
}

/// Both in turn, so that what else runs on the machine hits both.
fn compare(
    tape: &Tape,
    market: MarketOption,
    rounds: usize,
    tell: &mut dyn FnMut(&str),
) -> Result<()> {
    let (mut own, mut naive) = (Vec::new(), Vec::new());
    for _ in 0..rounds.max(1) {
        let (first, elapsed) = timed(|| ours(tape, market));
        own.push(elapsed);
        let (second, elapsed) = timed(|| with_serde_json(tape));
        naive.push(elapsed);
        if first? != second? {
            return Err("the two disagree about the book".into());
        }
    }
    let (own, naive) = (median(own), median(naive));
    for (name, elapsed) in [("ours", own), ("serde_json, BTreeMap", naive)] {
        let rate = |count: u64| grouped(per_second(count, elapsed));
        tell(&format!(
            "  {name:<21}{:>12} messages/s {:>13} levels/s",
            rate(tape.messages.len() as u64),
            rate(tape.levels)
        ));
    }
    tell(&format!("  {:.2} times as fast", naive as f64 / own as f64));
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, u128) {
    let begin = Instant::now();
    let done = work();
    (done, begin.elapsed().as_nanos().max(1))
}

fn median(mut times: Vec<u128>) -> u128 {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or(1)
}

fn per_second(count: u64, nanoseconds: u128) -> u64 {
    (u128::from(count) * 1_000_000_000 / nanoseconds) as u64
}

/// Takes each book as the feed's readers do.
#[derive(Default)]
struct Reader {
    updates: u64,
    ratios: i128,
    levels: u64,
}

impl Sink for Reader {
    fn change(&mut self, change: FeedEvent) {
        if let FeedEvent::FeedLevelChanged(level) = change {
            self.levels ^= level.price;
        }
    }

    fn order(&mut self, _order: Order) {}

    fn applied(&mut self, source: &Source, depth: &Depth, _read: &Read) {
        if depth.is_snapshot {
            return;
        }
        self.updates += 1;
        for imbalance in source.book().imbalances().into_iter().flatten() {
            self.ratios += imbalance.ratio().map_or(0, |ratio| i128::from(ratio.0));
        }
    }
}

fn ours(tape: &Tape, market: MarketOption) -> Result<Work> {
    let venue: Arc<dyn Venue> = match market {
        MarketOption::Spot => Arc::new(Binance::spot()),
        MarketOption::UsdM => Arc::new(Binance::usdm()),
    };
    let options = SessionOptions { adopts: false, ..SessionOptions::replay() };
    let mut session = Session::new(venue, &[SYMBOL.to_owned()], 0, options);
    let mut reader = Reader::default();
    session.start(&mut reader);
    session.input(0, feed::adapter::Input::Opened, &mut reader);
    for (place, (receive_ns, text)) in tape.messages.iter().enumerate() {
        if place == tape.snapshot.0 {
            session.offer(*receive_ns, SYMBOL, &tape.snapshot.1, &mut reader);
        }
        session.input(*receive_ns, feed::adapter::Input::Text(text), &mut reader);
    }
    black_box(reader.levels);
    let source = session.source(SYMBOL).ok_or("no source")?;
    let side = |side| source.book().levels(side).collect();
    let book = NaiveBook { bids: side(Side::Buy), asks: side(Side::Sell) };
    Ok(Work { updates: reader.updates, ratios: reader.ratios, book })
}

fn with_serde_json(tape: &Tape) -> Result<Work> {
    let snapshot: Snapshot<'_> = feed::naive::read(&tape.snapshot.1)?;
    let mut work = Work::default();
    work.book.apply(&snapshot.bids, &snapshot.asks).ok_or("a number that does not fit")?;
    for (_, text) in &tape.messages {
        let message: Combined<'_> = feed::naive::read(text)?;
        let data = message.data.get().as_bytes();
        if message.stream.contains("@depth") {
            let update: Update<'_> = feed::naive::read(data)?;
            // Both markets' rule for updates that the snapshot has, as far as this tape needs it.
            if update.last > snapshot.last {
                apply(&mut work, &update)?;
            }
        } else if message.stream.ends_with("@bookTicker") {
            black_box(feed::naive::read::<BookTicker<'_>>(data)?);
        } else {
            black_box(feed::naive::read::<Traded<'_>>(data)?);
        }
    }
    Ok(work)
}

fn apply(work: &mut Work, update: &Update<'_>) -> Result<()> {
    work.book.apply(&update.bids, &update.asks).ok_or("a number that does not fit")?;
    work.updates += 1;
    for levels in OBI_LEVELS {
        let (bids, asks) = work.book.sums(levels);
        let ratio = Imbalance { bids, asks }.ratio();
        work.ratios += ratio.map_or(0, |ratio| i128::from(ratio.0));
    }
    Ok(())
}
