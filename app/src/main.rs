//! `outcry`: see `app::cli`.
#![allow(clippy::print_stdout)]

use std::io::{BufWriter, Write, stdout};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use app::cli::{Bench, Capture, Cli, Command};
use app::explain::{self, Form};
use app::feed::{self, Feed};
use app::simulate::Orders;
use app::{capture, commands, load, ops, replay, serve, verify};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the command line itself ends with when it makes no sense.
const BAD_INPUT: u8 = 2;

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        // Whoever read our output has gone: not a failure worth words.
        Err(error) if is_broken_pipe(&error) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("outcry: {error:#}");
            ExitCode::from(code_of(&error))
        }
    }
}

fn code_of(error: &anyhow::Error) -> u8 {
    if error.is::<ops::Error>() { BAD_INPUT } else { 1 }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        let json = cause.downcast_ref::<serde_json::Error>().and_then(|it| it.io_error_kind());
        io.or(json) == Some(std::io::ErrorKind::BrokenPipe)
    })
}

/// Ok(false): everything was done, and what was checked is not as it should be.
fn run(command: Command) -> Result<bool> {
    let out = &mut BufWriter::new(stdout());
    let passed = match command {
        Command::Simulate(simulate) => {
            let summary = commands::simulate(&simulate, &signals()?)?;
            // With --answers stdout is for the answers alone.
            match simulate.answers {
                true => eprintln!("{summary}"),
                false => writeln!(out, "{summary}")?,
            }
            true
        }
        Command::Serve(args) => serve::serve(&args, &signals()?).map(|()| true)?,
        Command::Load(args) => load::load(&args, &signals()?, out)?,
        Command::Config(config) => commands::config(&config, out).map(|()| true)?,
        Command::Instruments(instruments) => commands::instruments(&instruments, out)?,
        Command::Replay { data, to, quiet } => {
            replay::replay(&data, to, quiet, out).map(|_| true)?
        }
        Command::Explain { data, order, all, json } => {
            explain::explain(&data, &order, Form { all, json }, out).map(|()| true)?
        }
        Command::Verify { data } => verify::verify(&data, out)?,
        Command::Inspect { data } => verify::inspect(&data, out).map(|()| true)?,
        Command::ReplayCapture(Capture::Lobster { messages, book }) => {
            capture::lobster(&messages, book.as_deref(), out)?
        }
        Command::ReplayCapture(Capture::Bitstamp { log }) => capture::bitstamp(&log, out)?,
        Command::Feed(Feed::Watch(args)) => feed::watch(&args, &signals()?).map(|()| true)?,
        Command::Feed(Feed::Record(args)) => feed::record(&args, &signals()?, out)?,
        Command::Feed(Feed::Replay(args)) => feed::replay(&args, &signals()?, out)?,
        Command::Bench(Bench::Engine(args)) => ops::bench_engine(&args, out).map(|()| true)?,
        Command::ReplayCapture(Capture::CmeMbo { files }) => capture::cme_mbo(&files, out)?,
    };
    out.flush()?;
    Ok(passed)
}

/// SIGTERM and SIGINT stop, SIGUSR1 takes a snapshot.
fn signals() -> Result<Orders> {
    use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
    let orders = Orders::default();
    let (stop, snapshot) = (&orders.stop, &orders.snapshot);
    for (signal, flag) in [(SIGTERM, stop), (SIGINT, stop), (SIGUSR1, snapshot)] {
        signal_hook::flag::register(signal, Arc::clone(flag)).context("cannot catch a signal")?;
    }
    Ok(orders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_what_it_should_be_ends_with_2() {
        let line = [
            "outcry",
            "bench",
            "engine",
            "--ops",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
        ];
        let error = run(Cli::parse_from(line).command).unwrap_err();
        assert_eq!(code_of(&error), 2, "{error:#}");
        assert_eq!(code_of(&anyhow::anyhow!("another")), 1);
    }
}
