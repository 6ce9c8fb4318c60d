//! `bench engine`, `bench pipeline`, `bench gateway`, `bench feed`: figures of the engine alone, of
//! the path behind the ring, of the exchange as a client sees it, and of a feed's books.
#![allow(clippy::print_stdout, reason = "a tool talks to its terminal")]

use std::path::PathBuf;
use std::process::ExitCode;

use app::node::Waiting;
use bench::gateway_bench::{self, Part};
use bench::workload::{FULL_SIZE, Mix, Workload};
use bench::{Result, engine_bench, feed_bench, pipeline_bench};
use clap::{Parser, ValueEnum};
use replication::Durability;

/// Measures; asserts only that the work was done right.
#[derive(Debug, Parser)]
enum Arguments {
    /// The engine alone on a random market and, beside a naive book, on mixes of operations
    Engine(engine_bench::Arguments),
    /// The whole path, for each durability, in temporary folders
    Pipeline {
        /// Commands of the throughput run
        #[arg(long, default_value_t = 300_000)]
        commands: u64,
        /// Round trips with one command in flight; by default 20,000, for sync 3,000
        #[arg(long)]
        latency: Option<u64>,
        /// With one the rehearsed orders are the very ones that are placed
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=7))]
        producers: u8,
        #[arg(long, default_value_t = 7)]
        seed: u64,
        #[arg(long, default_value_t = 3)]
        rounds: usize,
        #[arg(long, value_enum, default_value_t = WaitingName::Park)]
        waiting: WaitingName,
        /// Only these durabilities
        #[arg(long = "durability", value_enum, default_values_t = DurabilityName::value_variants().to_vec())]
        durabilities: Vec<DurabilityName>,
        /// Make the data folders in this one
        #[arg(long)]
        data: Option<PathBuf>,
    },
    /// The whole exchange over sockets, beside a bare echo server
    Gateway {
        /// Only these parts
        #[arg(long = "part", value_enum, default_values_t = Part::value_variants().to_vec())]
        parts: Vec<Part>,
        /// Rounds of the latency part
        #[arg(long, default_value_t = 5)]
        rounds: usize,
        /// Orders of one round
        #[arg(long, default_value_t = 10_000)]
        orders: u64,
        /// Rates to try, orders a second
        #[arg(long = "rate", default_values_t = [20_000, 40_000, 60_000, 80_000, 100_000, 125_000, 150_000, 180_000, 215_000])]
        rates: Vec<u64>,
        /// How long each rate is held, and streams are listened to
        #[arg(long, default_value_t = 10)]
        seconds: u64,
        #[arg(long, default_value_t = 1_000)]
        subscribers: usize,
    },
    /// Recorded messages of a venue through parse, book and imbalances
    Feed(feed_bench::Arguments),
    /// The server of the gateway bench
    #[command(hide = true)]
    Serve {
        #[arg(long)]
        folder: PathBuf,
        #[arg(long)]
        durability: String,
    },
    /// The echo server of the gateway bench
    #[command(hide = true)]
    Echo {
        #[arg(long)]
        folder: PathBuf,
        #[arg(long)]
        durability: String,
    },
    /// Writes an operation file
    Operations {
        mix: Mix,
        file: PathBuf,
        #[arg(long, default_value_t = FULL_SIZE)]
        operations: usize,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WaitingName {
    Spin,
    Yield,
    Park,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DurabilityName {
    Memory,
    Async,
    Sync,
}

/// As `outcry` has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<()> {
    let tell = &mut |line: &str| println!("{line}");
    match arguments {
        Arguments::Engine(arguments) => engine_bench::run(&arguments, Vec::new(), tell),
        Arguments::Feed(arguments) => feed_bench::run(&arguments, tell),
        Arguments::Pipeline {
            commands,
            latency,
            producers,
            seed,
            rounds,
            waiting,
            durabilities,
            data,
        } => {
            let waiting = match waiting {
                WaitingName::Spin => Waiting::Spin,
                WaitingName::Yield => Waiting::Yield,
                WaitingName::Park => Waiting::Park,
            };
            let durabilities = durabilities
                .into_iter()
                .map(|name| match name {
                    DurabilityName::Memory => Durability::Memory,
                    DurabilityName::Async => Durability::Async,
                    DurabilityName::Sync => Durability::Sync,
                })
                .collect();
            let options = pipeline_bench::Options {
                commands,
                latency,
                producers,
                seed,
                rounds,
                waiting,
                durabilities,
                data,
            };
            pipeline_bench::run(&options, tell)
        }
        Arguments::Gateway { parts, rounds, orders, rates, seconds, subscribers } => {
            let options =
                gateway_bench::Options { parts, rounds, orders, rates, seconds, subscribers };
            gateway_bench::run(&options, tell)
        }
        Arguments::Serve { folder, durability } => gateway_bench::serve(&folder, &durability),
        Arguments::Echo { folder, .. } => gateway_bench::echo(&folder),
        Arguments::Operations { mix, file, operations } => {
            Ok(std::fs::write(file, Workload::generate(mix, operations).encode())?)
        }
    }
}
