//! Operation files: deterministic order flow for one book, replayed on the engine or on a book alone.
//!
//! ```text
//! file:       "OPSF0001" | prefill u64 | operations u64 | next id u64 | operations …
//! operation:  kind u8 | side u8 | 6 zeros | id u64 | price i64 | quantity u64
//! ```
//! Little endian. Kinds: 0 GTC limit, 1 IOC limit, 2 cancel, 3 replace (loses priority: same id, new
//! price, quantity is the new open quantity). Sides: 0 buy, 1 sell. Prices are ticks, quantities
//! lots. The prefill comes first and is not timed. A new order has an id that no order before it
//! had; a cancel or replace names an order that is open. `next id` is the id that a further order
//! would have; it is read by nobody.

mod exchange;
mod file;
mod log;
mod replay;
mod stopwatch;

use std::io::Write;

use anyhow::{Context, Result, ensure};

pub use exchange::{Exchange, Translator};
pub use file::{Error, OperationFile};
pub use log::MemoryLog;
pub use replay::{BookAlone, CHUNK, Chunk, FullEngine, Operations, Refused, See, Subject, replay};
pub use stopwatch::{QUANTILE_NAMES, Stopwatch, Timing, clock_ns};

use crate::cli;

/// What is asked of a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Limit,
    ImmediateOrCancel,
    Cancel,
    Replace,
}

pub const BUY: u8 = 0;
pub const SELL: u8 = 1;

/// One operation, as it stands in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Operation {
    pub kind: Kind,
    pub side: u8,
    pub id: u64,
    /// Ticks.
    pub price: i64,
    /// Lots.
    pub quantity: u64,
}

impl Operation {
    /// The first that an order's life has.
    pub fn is_new(&self) -> bool {
        matches!(self.kind, Kind::Limit | Kind::ImmediateOrCancel)
    }
}

/// What came of some operations: what engines are compared by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Outcome {
    pub trades: u64,
    /// Lots.
    pub volume: u64,
    /// Over makers and quantities of the trades, in order.
    pub hash: u64,
}

impl Outcome {
    /// Adds one trade.
    pub fn add(&mut self, maker: u64, quantity: u64) {
        self.trades += 1;
        self.volume += quantity;
        let mixed = self.hash.rotate_left(5) ^ maker;
        self.hash = mixed.wrapping_add(quantity.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Outcome { trades, volume, hash } = self;
        write!(f, "trades {trades} volume {volume} hash {hash:016x}")
    }
}

/// `bench engine`: replays a file twice, once timed as a whole and once operation by operation.
///
/// An [`Error`] below it says where in the file it is not as it should be.
pub fn bench_engine(args: &cli::BenchEngine, out: &mut dyn Write) -> Result<()> {
    measure(args, out).with_context(|| args.ops.display().to_string())
}

fn measure(args: &cli::BenchEngine, out: &mut dyn Write) -> Result<()> {
    let mut file = OperationFile::open(&args.ops)?;
    let (prefill, operations) = (file.prefill(), file.operations());
    writeln!(out, "{}: {operations} operations behind {prefill} of prefill", args.ops.display())?;
    match args.book_only {
        true => {
            writeln!(out, "book alone; events encoded")?;
            let book = both(&mut file, BookAlone::default, out)?;
            tell_events(&book.log, out)
        }
        false => {
            writeln!(out, "engine with accounts, holds and fees; events encoded and hashed")?;
            let engine = both(&mut file, FullEngine::default, out)?;
            tell_events(&engine.exchange.log, out)?;
            engine.exchange.engine().check_invariants();
            let state = engine.exchange.engine().state_hash();
            writeln!(out, "conserved: what was deposited is there; state {state:016x}")?;
            Ok(())
        }
    }
}

fn tell_events(log: &MemoryLog, out: &mut dyn Write) -> Result<()> {
    let hash = log.hash().map_or_else(String::new, |hash| format!(", hash {hash:016x}"));
    writeln!(out, "events {} of {} bytes{hash}", log.events, log.bytes())?;
    Ok(())
}

/// The speed of one run, the percentiles of another, and what came of both. Gives the last subject.
fn both<S: Subject>(
    file: &mut OperationFile,
    subject: impl Fn() -> S,
    out: &mut dyn Write,
) -> Result<S> {
    let mut run = |timing| -> Result<_> {
        file.rewind()?;
        let (mut subject, mut watch) = (subject(), Stopwatch::new(timing));
        let outcome = replay(&mut subject, file, &mut watch)?;
        Ok((subject, watch, outcome))
    };
    let (_, whole, outcome) = run(Timing::Whole)?;
    let (subject, each, again) = run(Timing::Each)?;
    ensure!(outcome == again, "{outcome} in the first run, {again} in the second");
    write!(out, "{} operations/s; nanoseconds of each:", whole.per_second())?;
    for (name, value) in QUANTILE_NAMES.iter().zip(each.quantiles()) {
        write!(out, " {name} {value}")?;
    }
    writeln!(out, " (a reading of the clock, {}, is in each)", clock_ns())?;
    writeln!(out, "{outcome}")?;
    Ok(subject)
}
