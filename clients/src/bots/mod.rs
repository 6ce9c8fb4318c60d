//! Three bots that keep a demonstration alive: a market maker, a noise trader and a taker.
//!
//! What a bot decides is a function of its seed and of what the server told it; the decisions
//! ([`Trader`]) know no sockets and no clocks. Each bot has one connection and an account of its
//! own.

mod desk;
mod maker;
mod market;
mod message;
mod noise;
mod taker;
mod trading;
mod walk;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::watch;

pub use market::BotSymbol;

use crate::connection::stopped;
use crate::credentials::Credentials;
use crate::handshake::Endpoint;
use desk::{Desk, Intent};
use maker::Maker;
use noise::Noise;
use taker::Taker;
use trading::Bot;

/// Levels of the market maker per side, when nothing else is said.
pub const LEVELS: u64 = 15;

/// Levels of the market maker per side, at most: with the tail below the venue's usual 200 open
/// orders.
pub const LEVELS_MAX: u64 = 80;

/// Lines that one run may report.
const LINES_MAX: u32 = 100;

/// Pauses between attempts to connect.
const BACK_OFF_MIN: Duration = Duration::from_millis(200);
const BACK_OFF_MAX: Duration = Duration::from_secs(5);

/// Requests per second of each bot on all symbols together, at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rates {
    pub maker: u32,
    pub noise: u32,
    pub taker: u32,
}

impl Default for Rates {
    fn default() -> Rates {
        Rates { maker: 60, noise: 20, taker: 20 }
    }
}

#[derive(Debug, Clone)]
pub struct BotOptions {
    /// `ws://host:port`.
    pub ws: String,
    pub symbols: Vec<BotSymbol>,
    pub maker: Credentials,
    pub noise: Credentials,
    pub taker: Credentials,
    pub seed: u64,
    pub rates: Rates,
    /// Levels of the market maker per side, at most [`LEVELS_MAX`].
    pub levels: u64,
}

/// What one bot asked and was answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Connections that got as far as trading.
    pub connections: u64,
    pub requests: u64,
    pub accepted: u64,
    /// By error code.
    pub refused: BTreeMap<i64, u64>,
}

/// What the bots did in one run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BotsReport {
    pub maker: Tally,
    pub noise: Tally,
    pub taker: Tally,
}

/// A bot's mind.
trait Trader {
    /// Time goes on by one turn.
    fn turn(&mut self);

    /// The next thing to do, if any; it will be noted in the desk before the next call.
    fn decide(&mut self, desk: &Desk) -> Option<Intent>;
}

/// Runs the three bots until `stop` is true or its sender is gone, then returns at once; open
/// orders stay. While the server is away they try again. `report` gets at most 100 lines.
pub async fn run(
    options: BotOptions,
    stop: watch::Receiver<bool>,
    report: impl Fn(&str),
) -> BotsReport {
    let lines = AtomicU32::new(0);
    let report = |line: &str| {
        if lines.fetch_add(1, Ordering::Relaxed) < LINES_MAX {
            report(line);
        }
    };
    let endpoint = match Endpoint::parse(&options.ws) {
        Ok(endpoint) => endpoint,
        Err(error) => {
            report(&format!("bots: {error}"));
            return BotsReport::default();
        }
    };
    let symbols = usable(&options.symbols, &report);
    if symbols.is_empty() {
        return BotsReport::default();
    }
    let seed = |lane| crate::random::Random::lane(options.seed, lane).draw();
    let maker = Maker::new(&symbols, options.levels.min(LEVELS_MAX), seed(0));
    let rates = options.rates;
    let mut maker = Bot::new("maker", maker, options.maker, &symbols, rates.maker);
    let mut noise = Bot::new("noise", Noise::new(seed(1)), options.noise, &symbols, rates.noise);
    let mut taker = Bot::new("taker", Taker::new(seed(2)), options.taker, &symbols, rates.taker);
    noise.polls_touches = true;
    taker.polls_touches = true;
    tokio::join!(
        live(&mut maker, &endpoint, stop.clone(), &report),
        live(&mut noise, &endpoint, stop.clone(), &report),
        live(&mut taker, &endpoint, stop, &report),
    );
    BotsReport { maker: maker.tally, noise: noise.tally, taker: taker.tally }
}

/// The symbols that prices and quantities can be made for.
fn usable(symbols: &[BotSymbol], report: &impl Fn(&str)) -> Vec<BotSymbol> {
    let (good, bad): (Vec<_>, Vec<_>) = symbols.iter().cloned().partition(BotSymbol::is_usable);
    for symbol in bad {
        report(&format!("bots: {} has no usable price, tick, step or quantity", symbol.symbol));
    }
    good
}

/// One bot from connection to connection.
async fn live<T: Trader>(
    bot: &mut Bot<T>,
    endpoint: &Endpoint,
    mut stop: watch::Receiver<bool>,
    report: &impl Fn(&str),
) {
    let mut pause = BACK_OFF_MIN;
    // Of a server that is away, the first failure is told.
    let mut is_told = false;
    loop {
        let connections = bot.tally.connections;
        let lost = tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            lost = bot.trade(endpoint) => lost,
        };
        if bot.tally.connections > connections {
            (pause, is_told) = (BACK_OFF_MIN, false);
        }
        if !is_told {
            report(&format!("{}: {lost}; trying again", bot.name));
            is_told = true;
        }
        tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(BACK_OFF_MAX);
    }
}
