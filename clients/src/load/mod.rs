//! An open-loop order generator: orders are sent when they are due, whatever became of the ones
//! before, and their latency counts from the moment at which they were due. One thread, plain
//! sockets, a few hundred nanoseconds per order of its own work.

mod drive;
mod flow;
mod report;
mod schedule;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use protocol::{Price, Quantity};

pub use report::{LoadReport, Progress};

use crate::credentials::Credentials;
use crate::handshake::HandshakeError;
use crate::session::SessionError;
use flow::{Kind, LEVELS};

/// Orders sent and not answered, when nothing else is said: 0.2 s at 150,000 orders/s.
pub const IN_FLIGHT_MAX: usize = 32 << 10;

/// Open orders per account and symbol, when nothing else is said: below the venue's usual 200.
pub const OPEN_ORDERS_MAX: usize = 150;

/// Sleep between two looks at the sockets, when nothing else is said.
pub const POLL: Duration = Duration::from_micros(100);

/// A symbol to trade on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadSymbol {
    pub symbol: String,
    /// The middle around which orders rest, a multiple of `tick`.
    pub price: Price,
    pub tick: Price,
    /// Of every order: a multiple of the step, above the smallest notional.
    pub quantity: Quantity,
}

/// Parts of the flow; only their ratio matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mix {
    pub resting: u64,
    pub cancels: u64,
    pub trading: u64,
}

impl Default for Mix {
    fn default() -> Mix {
        Mix { resting: 50, cancels: 30, trading: 20 }
    }
}

impl Mix {
    const fn total(self) -> u64 {
        self.resting.saturating_add(self.cancels).saturating_add(self.trading)
    }

    const fn pick(self, drawn: u64) -> Kind {
        match drawn {
            _ if drawn < self.resting => Kind::Rest,
            _ if drawn < self.resting.saturating_add(self.cancels) => Kind::Cancel,
            _ => Kind::Trade,
        }
    }
}

#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// `ws://host:port`.
    pub ws: String,
    /// Connection `i` uses number `i mod length`.
    pub credentials: Vec<Credentials>,
    pub connections: usize,
    pub symbols: Vec<LoadSymbol>,
    /// Orders per second on all connections together; cancels count too.
    pub rate: u64,
    /// Time that is measured, after `warm_up`, which is not.
    pub duration: Duration,
    pub warm_up: Duration,
    pub mix: Mix,
    /// Each connection also receives its account's user data stream.
    pub user_streams: bool,
    pub seed: u64,
    /// Orders sent and not answered, rounded up to a power of two. At the limit nothing is sent;
    /// what is due waits and its latency counts on.
    pub in_flight_max: usize,
    /// Open orders per account and symbol.
    pub open_orders_max: usize,
    /// Sleep between two looks at the sockets; zero spins. Part of every latency.
    pub poll: Duration,
    /// Order `k` goes through connection `k mod connections`. Else all that is due at one
    /// wake-up goes through one connection, in turn: one write per wake-up.
    pub spread: bool,
    /// Appends a line per answer to this file before it counts as answered:
    /// `connection id kind symbol orderId clientOrderId status executedQty`, `-` for what is not
    /// there, the error code as the status of a refusal. Kinds: rest, cancel, trade.
    /// `clientOrderId` is the order's own, `load-<seed>-<id>`: another seed names other orders.
    pub recorder: Option<PathBuf>,
    /// A lost connection ends the run and is no error.
    pub tolerate_disconnect: bool,
    /// Cancels all open orders of its accounts and symbols after the run, as before it.
    pub cancel_at_end: bool,
}

impl LoadOptions {
    /// 8 connections, 10,000 orders/s for 10 s after 2 s of warm-up.
    pub fn new(
        ws: impl Into<String>,
        credentials: Vec<Credentials>,
        symbols: Vec<LoadSymbol>,
    ) -> LoadOptions {
        LoadOptions {
            ws: ws.into(),
            credentials,
            connections: 8,
            symbols,
            rate: 10_000,
            duration: Duration::from_secs(10),
            warm_up: Duration::from_secs(2),
            mix: Mix::default(),
            user_streams: true,
            seed: 1,
            in_flight_max: IN_FLIGHT_MAX,
            open_orders_max: OPEN_ORDERS_MAX,
            poll: POLL,
            spread: false,
            recorder: None,
            tolerate_disconnect: false,
            cancel_at_end: true,
        }
    }

    /// What cannot work, in the order of the fields.
    fn check(&self) -> Result<(), LoadError> {
        let wrong = |text| Err(LoadError::Options(text));
        let reach = LEVELS + 1;
        let is_low = |symbol: &LoadSymbol| symbol.tick.0.saturating_mul(reach) >= symbol.price.0;
        let is_off_tick = |symbol: &LoadSymbol| {
            symbol.tick.is_zero() || !symbol.price.0.is_multiple_of(symbol.tick.0)
        };
        match self {
            _ if self.credentials.is_empty() => wrong("no credentials"),
            _ if self.connections == 0 => wrong("no connections"),
            _ if self.symbols.is_empty() => wrong("no symbols"),
            _ if self.symbols.iter().any(is_off_tick) => wrong("a price is not on a tick"),
            _ if self.symbols.iter().any(is_low) => wrong("a price is below 22 ticks"),
            _ if self.rate == 0 => wrong("no rate"),
            _ if self.mix.total() == 0 => wrong("an empty mix"),
            _ if self.in_flight_max == 0 => wrong("no orders in flight"),
            _ => Ok(()),
        }
    }
}

/// Why a run could not be started or finished.
#[derive(Debug)]
pub enum LoadError {
    Options(&'static str),
    Url(HandshakeError),
    /// Of one connection, numbered from 0.
    Session {
        connection: usize,
        error: SessionError,
    },
    /// Of the recorder's file.
    Recorder(io::Error),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadError::Options(text) => f.write_str(text),
            LoadError::Url(error) => write!(f, "{error}"),
            LoadError::Session { connection, error } => {
                write!(f, "connection {connection}: {error}")
            }
            LoadError::Recorder(error) => write!(f, "recorder: {error}"),
        }
    }
}

impl std::error::Error for LoadError {}

/// Connects, logs on, cancels old orders, sends the flow, waits for the last answers.
///
/// `progress` is called about once a second. `stop` ends the sending early; what was sent is
/// still waited for.
pub fn run(
    options: LoadOptions,
    progress: impl FnMut(&Progress),
    stop: &AtomicBool,
) -> Result<LoadReport, LoadError> {
    options.check()?;
    drive::Drive::open(options)?.run(progress, stop)
}
