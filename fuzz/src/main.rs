//! `fuzz --list`, `fuzz TARGET --seconds N [--seed N]`, `fuzz TARGET FILE`.
//!
//! Meant for the dev profile, whose arithmetic is checked. Where a panic aborts (release), the seed
//! that is printed at the beginning leads to the failure again.
#![allow(clippy::print_stdout, reason = "a tool talks to its terminal")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, fs, io, panic};

use fuzz::campaign::{self, Failure, Until};
use fuzz::{TARGETS, Target, target};

const USAGE: &str = "\
usage: fuzz --list
       fuzz TARGET --seconds N [--seed N]
       fuzz TARGET FILE        (hexadecimal text if the name ends with .hex, else the bytes)";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(what) => {
            eprintln!("fuzz: {what}");
            ExitCode::from(2)
        }
    }
}

/// False when a target failed.
fn run(arguments: &[&str]) -> Result<bool, String> {
    match arguments {
        ["--list"] => {
            TARGETS.iter().for_each(|target| println!("{}", target.name));
            Ok(true)
        }
        [name, "--seconds", seconds] => fuzz(named(name)?, number(seconds)?, any_seed()),
        [name, "--seconds", seconds, "--seed", seed]
        | [name, "--seed", seed, "--seconds", seconds] => {
            fuzz(named(name)?, number(seconds)?, number(seed)?)
        }
        [name, file] if !file.starts_with("--") => {
            let input = read(Path::new(file)).map_err(|error| format!("{file}: {error}"))?;
            (named(name)?.run)(&input);
            println!("{name}: {} bytes, nothing found", input.len());
            Ok(true)
        }
        _ => Err(USAGE.to_owned()),
    }
}

fn named(name: &str) -> Result<&'static Target, String> {
    target(name).ok_or_else(|| format!("no target `{name}`; --list names them"))
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number"))
}

fn any_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

fn read(file: &Path) -> io::Result<Vec<u8>> {
    let bytes = fs::read(file)?;
    if file.extension().is_none_or(|extension| extension != "hex") {
        return Ok(bytes);
    }
    let text = String::from_utf8_lossy(&bytes);
    campaign::from_hex(&text).ok_or_else(|| io::Error::other("no hexadecimal text"))
}

fn fuzz(target: &Target, seconds: u64, seed: u64) -> Result<bool, String> {
    let name = target.name;
    println!("{name}: seed {seed}");
    let until = Until::Elapsed(Duration::from_secs(seconds));
    match campaign::run(target, seed, until) {
        Ok(report) => {
            println!(
                "{name}: {} executions, {} outcomes, {} inputs kept, seed {seed}: nothing found",
                report.executions, report.outcomes, report.kept
            );
            Ok(true)
        }
        Err(Failure { execution, input }) => {
            // The panics of shorter inputs say nothing new.
            panic::set_hook(Box::new(|_| {}));
            let input = campaign::shorten(target, input);
            let file = keep(name, seed, &input).map_or_else(
                |error| format!("not kept: {error}"),
                |path| path.display().to_string(),
            );
            println!("{name}: FAILED at execution {execution}, seed {seed}");
            println!("{name}: input of {} bytes: {file}", input.len());
            Ok(false)
        }
    }
}

fn keep(name: &str, seed: u64, input: &[u8]) -> io::Result<PathBuf> {
    let path = env::temp_dir().join(format!("outcry-fuzz-{name}-{seed}.hex"));
    fs::write(&path, campaign::hex(input) + "\n")?;
    Ok(path)
}
