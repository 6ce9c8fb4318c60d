//! `outcry feed replay`: recordings through the code that keeps live books.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use clap::{Args, ValueEnum};
use feed::adapter::{Depth, Note, Order, Quote, Read, Sink};
use feed::book::Scales;
use feed::decimal::{Decimal, write_count};
use feed::player::Player;
use feed::recordings::{MarketOption, Recordings};
use feed::session::{SOURCES_MAX, SessionOptions, Source};
use marketdata::OBI_LEVELS;
use protocol::Side;
use protocol::feed::FeedEvent;

use super::expect::Judge;
use crate::simulate::Orders;

/// Things that were noticed and are printed one by one; more are counted.
const NOTES_MAX: u64 = 1_000;
/// A longer wait is slept in pieces, so that a signal ends it.
const NAP: Duration = Duration::from_millis(50);

#[derive(Debug, Args)]
pub struct Replay {
    /// Recordings, ours or raw captures of other tools (plain or .gz); merged by receive time
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How many times as fast as it was recorded, as 1 or 0.5 or 20; or max
    #[arg(long, default_value = "max", value_name = "X")]
    pub speed: String,
    /// What messages of Binance are of, where the recording is not to say it
    #[arg(long, value_enum)]
    pub market: Option<MarketName>,
    /// Compare with EXPECTED.obi.csv.gz and EXPECTED.summary.json; exit 1 unless every row and the
    /// final books agree
    #[arg(long, value_name = "EXPECTED")]
    pub expect: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MarketName {
    Spot,
    Usdm,
}

/// Plays the files. Ok(false): something is not as expected.
pub fn replay(args: &Replay, orders: &Orders, out: &mut dyn Write) -> Result<bool> {
    let market = args.market.map(|it| match it {
        MarketName::Spot => MarketOption::Spot,
        MarketName::Usdm => MarketOption::UsdM,
    });
    let pace = Pace::new(&args.speed)?;
    let judge = args.expect.as_deref().map(Judge::open).transpose()?;
    let recordings = Recordings::open(&args.files, market).map_err(|error| anyhow!(error))?;
    play(recordings, pace, judge, orders, out)
}

/// As [`replay`], of recordings that are open already.
pub fn play(
    mut recordings: Recordings,
    mut pace: Pace,
    judge: Option<Judge>,
    orders: &Orders,
    out: &mut dyn Write,
) -> Result<bool> {
    let mut player = Player::new(SessionOptions::replay());
    let mut teller = Teller { judge, out, notes: 0, error: None, symbols: BTreeMap::new(), now: 0 };
    let (begin, mut messages) = (Instant::now(), 0_u64);
    while let Some(recorded) = recordings.read_next().map_err(|error| anyhow!(error))? {
        if orders.stop.load(Ordering::Relaxed) {
            break;
        }
        pace.wait(recorded.receive_ns, orders);
        messages += 1;
        teller.now = recorded.receive_ns;
        player.play(&recorded, recordings.connections(), &mut teller);
        if let Some(error) = teller.error.take() {
            return Err(error);
        }
    }
    let elapsed = begin.elapsed();
    let Teller { judge, notes, .. } = teller;
    if notes > NOTES_MAX {
        writeln!(out, "… and {} more", notes - NOTES_MAX)?;
    }
    for remark in recordings.remarks() {
        writeln!(out, "{remark}")?;
    }
    let sources = player.sessions().flat_map(|session| {
        let (venue, market) = (session.venue().name(), session.venue().market());
        session.sources().iter().map(move |source| (venue, market, source))
    });
    for (venue, market, source) in sources {
        tell_source(venue, market, source, out)?;
    }
    let unreadable: u64 = player.sessions().map(|session| session.refused()).sum();
    let rate = u128::from(messages) * 1_000_000_000 / elapsed.as_nanos().max(1);
    writeln!(
        out,
        "{messages} messages, {unreadable} unreadable, in {} ms ({rate} a second)",
        elapsed.as_millis()
    )?;
    match judge {
        Some(judge) => {
            let sources = player.sessions().flat_map(|session| session.sources());
            judge.judge(sources, out)
        }
        None => Ok(true),
    }
}

/// One line for what became of a source, one for its book.
fn tell_source(venue: &str, market: &str, source: &Source, out: &mut dyn Write) -> Result<()> {
    let counts = source.counts();
    let state = match source.reason() {
        "" => source.state().to_string(),
        reason => format!("{} ({reason})", source.state()),
    };
    writeln!(
        out,
        "{venue} {market} {}: {state}; {} messages, {} depth, {} applied, {} stale, {} repeated, \
         {} gaps, {} resyncs, {} crossed, {} trades ({} missed), {} quotes",
        source.symbol(),
        counts.messages,
        counts.depths,
        counts.applied,
        counts.stale,
        counts.repeated,
        counts.gaps,
        counts.resyncs,
        counts.crossed,
        counts.trades,
        counts.trades_missed,
        counts.quotes,
    )?;
    let Some(committed) = source.committed() else { return Ok(()) };
    let scales = source.book().scales();
    let [bid, ask] = [Side::Buy, Side::Sell].map(|side| best(source, side, scales));
    write!(out, "  at {}: bid {bid}, ask {ask}", committed.update)?;
    if let Some(imbalances) = source.book().imbalances() {
        for (levels, imbalance) in OBI_LEVELS.iter().zip(imbalances) {
            let ratio = imbalance.ratio().map_or_else(|| "–".to_owned(), |it| it.to_string());
            write!(out, ", OBI{levels} {ratio}")?;
        }
    }
    writeln!(out)?;
    Ok(())
}

fn best(source: &Source, side: Side, scales: Scales) -> String {
    let Some((price, quantity)) = source.book().best(side) else { return "none".into() };
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = write_count(&mut text, quantity, scales.quantity);
    text.push_str(" @ ");
    let _ = write_count(&mut text, u128::from(price), scales.price);
    text
}

/// Prints what is noticed, and shows the judge each book.
struct Teller<'a> {
    judge: Option<Judge>,
    out: &'a mut dyn Write,
    notes: u64,
    error: Option<anyhow::Error>,
    symbols: BTreeMap<u32, String>,
    now: u64,
}

impl Sink for Teller<'_> {
    fn change(&mut self, change: FeedEvent) {
        if let FeedEvent::FeedSourceDefined(defined) = change
            && self.symbols.len() < SOURCES_MAX
        {
            self.symbols.insert(defined.source, defined.symbol.as_str().to_owned());
        }
    }

    fn order(&mut self, _order: Order) {}

    fn note(&mut self, source: Option<u32>, note: Note<'_>) {
        self.notes += 1;
        if self.notes > NOTES_MAX {
            return;
        }
        let symbol = source.and_then(|it| self.symbols.get(&it)).map_or("–", String::as_str);
        let written = writeln!(self.out, "{} {symbol}: {note}", self.now);
        self.error = self.error.take().or(written.err().map(anyhow::Error::from));
    }

    fn applied(&mut self, source: &Source, depth: &Depth, read: &Read) {
        if let Some(judge) = &mut self.judge {
            let judged = judge.applied(source, depth, read, &mut *self.out);
            self.error = self.error.take().or(judged.err());
        }
    }

    fn quote(&mut self, quote: &Quote) {
        if let Some(judge) = &mut self.judge {
            judge.quoted(quote);
        }
    }
}

/// How fast time passes.
#[derive(Debug)]
pub struct Pace {
    /// Thousandths; none: as fast as it goes.
    speed: Option<u64>,
    begin: Option<(Instant, u64)>,
}

impl Pace {
    pub fn new(text: &str) -> Result<Pace> {
        if text == "max" {
            return Ok(Pace { speed: None, begin: None });
        }
        let speed = Decimal::parse(text.as_bytes()).and_then(|it| it.price_at_scale(3).ok());
        let speed = speed.filter(|&it| it > 0);
        let speed =
            speed.with_context(|| format!("--speed {text} is no number above 0, nor max"))?;
        ensure!(speed <= 1_000_000_000, "--speed {text}: say max");
        Ok(Pace { speed: Some(speed), begin: None })
    }

    /// Sleeps until it is time for what came at `receive_ns`.
    fn wait(&mut self, receive_ns: u64, orders: &Orders) {
        let Some(speed) = self.speed else { return };
        let (begin, first_ns) = *self.begin.get_or_insert((Instant::now(), receive_ns));
        let recorded = u128::from(receive_ns.saturating_sub(first_ns));
        let due = u64::try_from(recorded * 1_000 / u128::from(speed)).unwrap_or(u64::MAX);
        let due = Duration::from_nanos(due);
        while !orders.stop.load(Ordering::Relaxed) {
            let Some(rest) = due.checked_sub(begin.elapsed()).filter(|it| !it.is_zero()) else {
                return;
            };
            std::thread::sleep(rest.min(NAP));
        }
    }
}
