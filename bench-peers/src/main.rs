//! `cargo xtask bench engine`: the engine and its book beside a naive book and the books of others.
//!
//! The peers get the same operations, prepared off the clock; what they trade is collected on it. They
//! write no events and know no accounts. Each module says how an operation is said to its peer.
#![allow(clippy::print_stdout, reason = "a tool talks to its terminal")]

mod lobster;
mod matchcore;
mod orderbook_rs;

use std::process::ExitCode;

use bench::engine_bench::{self, Arguments, Contestant};
use clap::Parser;

#[derive(Debug, Parser)]
struct Command {
    #[command(flatten)]
    arguments: Arguments,
}

/// As `outcry` has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Command::parse().arguments;
    match engine_bench::run(&arguments, peers(), &mut |line| println!("{line}")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn peers() -> Vec<Contestant> {
    vec![
        Contestant::new("lobster 0.7.0", lobster::Peer::default),
        Contestant::new("matchcore 0.4.0", matchcore::Peer::default).with_other_trades(),
        Contestant::new("orderbook-rs 0.15.3", orderbook_rs::Peer::default).in_one_round(),
    ]
}
