//! The command line: what can be asked of `outcry`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A real exchange on one machine: deterministic, in a log that no crash can hurt.
#[derive(Debug, Parser)]
#[command(name = "outcry", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the exchange: REST, WebSocket API, streams and admin API on one port
    Serve(Serve),
    /// Send orders at a steady rate over the WebSocket API and measure the answers
    Load(Load),
    /// Run a seeded random market through the whole path; killable, goes on where it was
    Simulate(Simulate),
    /// Show what a configuration means
    #[command(subcommand)]
    Config(Config),
    /// Turn other venues' definitions into instruments
    #[command(subcommand)]
    Instruments(Instruments),
    /// Print the log as a story and what it comes to: sequence, events hash, state hash
    Replay {
        /// Data folder
        data: PathBuf,
        /// Stop after this command
        #[arg(long, value_name = "SEQ", default_value_t = u64::MAX, hide_default_value = true)]
        to: u64,
        /// Print the outcome only
        #[arg(long)]
        quiet: bool,
    },
    /// Tell the life of an order: checks, place in the queue, fills, why it was not filled
    Explain {
        /// Data folder
        data: PathBuf,
        /// Order id, or client order id (`id:7` where it is a number)
        order: String,
        /// Print every change of the queue, not the first and last ones
        #[arg(long)]
        all: bool,
        /// Print a JSON document
        #[arg(long)]
        json: bool,
    },
    /// Check every frame, record, sum and snapshot; exit 1 when something is broken
    Verify {
        /// Data folder
        data: PathBuf,
    },
    /// Print what lies in a data folder
    Inspect {
        /// Data folder
        data: PathBuf,
    },
    /// Run real recorded order flow through the engine; exit 1 when a check fails
    #[command(subcommand)]
    ReplayCapture(Capture),
    /// Books of other venues, kept exactly: live, recorded, played back
    #[command(subcommand)]
    Feed(crate::feed::Feed),
    /// Measure; exit 2 when a file is not what its format promises
    #[command(subcommand)]
    Bench(Bench),
}

/// Local settings that most commands take.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data folder
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Any setting: `--set log.durability=sync`
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    pub settings: Settings,
    /// A venue that is alive: four symbols, two accounts with keys, and bots that trade
    #[arg(long)]
    pub demo: bool,
    /// Address and port; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// Seed of the demo's bots
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Written when it serves: {"pid":…,"http":"http://…","ws":"ws://…"}
    #[arg(long, value_name = "FILE")]
    pub ready_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Load {
    /// Addresses and keys: the `demo.env` of a running `serve --demo`
    #[arg(long, value_name = "FILE", default_value = "./outcry-data/demo.env")]
    pub env: PathBuf,
    /// Orders and cancels a second over all connections
    #[arg(long, default_value_t = 10_000)]
    pub rate: u64,
    /// Time that is measured
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Time before it that is not
    #[arg(long, default_value_t = 1)]
    pub warm_up: u64,
    /// Connections, each logged on with an account of its own
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub connections: u16,
    /// Symbols; none: all there are, at most four
    #[arg(long, value_name = "SYMBOL")]
    pub symbol: Vec<String>,
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// Append a line for every answer to this file before it counts
    #[arg(long, value_name = "FILE")]
    pub recorder: Option<PathBuf>,
    /// A connection that is lost ends the run and is no error
    #[arg(long)]
    pub tolerate_disconnect: bool,
    /// Leave open orders as they are at the end
    #[arg(long)]
    pub leave_open: bool,
}

#[derive(Debug, Args)]
pub struct Simulate {
    #[command(flatten)]
    pub settings: Settings,
    /// memory, async or sync
    #[arg(long)]
    pub durability: Option<String>,
    /// Seed of the market
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    /// End when the log has this many commands, the venue's own included
    #[arg(long, default_value_t = 2_000_000)]
    pub commands: u64,
    /// Producers, each with a ring of its own
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub producers: u8,
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub instruments: u32,
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub accounts: u32,
    /// Commands a second over all producers; 0 is no bound
    #[arg(long, default_value_t = 0)]
    pub rate: u64,
    /// One thread and virtual time: the same seed gives the same hashes everywhere (with the same
    /// market, producers, frame and ring sizes)
    #[arg(long)]
    pub lockstep: bool,
    /// Print a line for every answered command: sequence, events hash, slot, incarnation, number,
    /// order
    #[arg(long)]
    pub answers: bool,
}

#[derive(Debug, Subcommand)]
pub enum Config {
    /// Show what a start would propose
    Plan(Settings),
    /// Show the effective values
    Show {
        #[command(flatten)]
        settings: Settings,
        /// With where each came from
        #[arg(long)]
        origin: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum Instruments {
    /// Import a Binance exchangeInfo answer (.json or .json.gz)
    Import {
        file: PathBuf,
        /// Write the instruments as TOML
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Print the instruments as exchangeInfo's `symbols` would show them
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum Capture {
    /// NASDAQ by LOBSTER: message and orderbook files (plain or .gz), or one .zip with both
    Lobster { messages: PathBuf, book: Option<PathBuf> },
    /// Bitstamp order events (plain or .gz)
    Bitstamp { log: PathBuf },
    /// CME market by order as CSV (plain or .gz), files of one instrument in order of time
    CmeMbo {
        #[arg(required = true, value_name = "CSV")]
        files: Vec<PathBuf>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Replay an operation file: speed, percentiles, trades, volume, hash
    Engine(BenchEngine),
}

#[derive(Debug, Args)]
pub struct BenchEngine {
    /// Operation file (OPSF0001)
    #[arg(long, value_name = "FILE")]
    pub ops: PathBuf,
    /// The book without accounts, holds and fees around it
    #[arg(long)]
    pub book_only: bool,
}
