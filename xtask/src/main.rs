//! `cargo xtask …`: what a developer and the build machine run. It knows none of our crates; it
//! reads their text and manifests and starts `cargo`.
#![allow(clippy::print_stdout, reason = "a tool talks to its terminal")]

#[path = "../../tests/arrows.rs"]
mod arrows; // The one copy of the arrow table: `tidy` reads it without building the crates.
mod ci;
mod source;
mod tidy;

use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, str};

const USAGE: &str = "\
usage: cargo xtask <what>
  ci                           all that must pass before a change is taken
  tidy                         fast checks of text and manifests
  golden                       rewrites the golden stories in tests/golden
  bench engine [...]           the engine, its book, a naive book and the books of others, side by side
  bench pipeline|gateway|feed [...]
                               release benchmarks; further arguments go to the bench
  bench operations a|b|c FILE  writes an operation file, for `outcry bench engine --ops`
  crash [--serve] [--runs N]   kills the simulator N times (1000), or with --serve the server under
                               load (500), and checks what is found after; alone: both
  depth [--seconds N]          keeps books by the documented procedure for N seconds (60)
  feed [--seconds N]           a feed of our own exchange, with all faults for N seconds (60)
  soak [--commands N]          a long run of N commands (100000000)";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&root(), &arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(root: &Path, arguments: &[&str]) -> Result<()> {
    match arguments {
        ["ci"] => ci::run(root),
        ["tidy"] => tidy::run(root),
        ["golden"] => tests(root, "golden", ("UPDATE_GOLDEN", "1"), &[], &[]),
        ["bench", "engine", ..] => bench_engine(root, &arguments[2..]),
        ["bench", "pipeline" | "gateway" | "feed" | "operations", ..] => {
            let words = ["run", "--release", "-p", "bench", "--"];
            call(cargo(root).args(words).args(&arguments[1..]))
        }
        ["crash"] => crash(root, "1000").and_then(|()| crash_serve(root, "500")),
        ["crash", "--runs", runs] => crash(root, runs),
        ["crash", "--serve"] => crash_serve(root, "500"),
        ["crash", "--serve", "--runs", runs] => crash_serve(root, runs),
        ["depth"] => depth(root, "60"),
        ["depth", "--seconds", seconds] => depth(root, seconds),
        ["feed"] => feed(root, "60"),
        ["feed", "--seconds", seconds] => feed(root, seconds),
        ["soak"] => soak(root, "100000000"),
        ["soak", "--commands", commands] => soak(root, commands),
        _ => bail!("{USAGE}"),
    }
}

/// A workspace of its own, built with the profiles of this one: a manifest is a configuration too.
fn bench_engine(root: &Path, arguments: &[&str]) -> Result<()> {
    let words = ["run", "--release", "--config", "Cargo.toml"];
    let manifest = ["--manifest-path", "bench-peers/Cargo.toml", "--"];
    call(cargo(root).args(words).args(manifest).args(arguments))
}

fn crash(root: &Path, runs: &str) -> Result<()> {
    let setting = ("OUTCRY_CRASH_RUNS", count(runs)?);
    tests(root, "crash", setting, &["--release"], &["--nocapture"])
}

fn crash_serve(root: &Path, runs: &str) -> Result<()> {
    let setting = ("OUTCRY_SERVE_CRASH_RUNS", count(runs)?);
    tests(root, "serve::killed", setting, &["--release"], &["--nocapture"])
}

fn depth(root: &Path, seconds: &str) -> Result<()> {
    let setting = ("OUTCRY_DEPTH_SECONDS", count(seconds)?);
    tests(root, "serve::depth", setting, &["--release"], &["--nocapture"])
}

fn feed(root: &Path, seconds: &str) -> Result<()> {
    let setting = ("OUTCRY_FEED_SECONDS", count(seconds)?);
    tests(root, "serve::feed_live", setting, &["--release"], &["--nocapture"])
}

fn soak(root: &Path, commands: &str) -> Result<()> {
    let setting = ("OUTCRY_SOAK_COMMANDS", count(commands)?);
    tests(root, "soak", setting, &["--release"], &["--nocapture"])
}

fn count(text: &str) -> Result<&str> {
    let number: u64 = text.parse().with_context(|| format!("`{text}` is not a count"))?;
    ensure!(number > 0, "nothing to do for a count of 0");
    Ok(text)
}

/// Runs the tests of `tests/` whose name holds `filter`. That there are none is a failure: cargo
/// alone would call it a success.
fn tests(
    root: &Path,
    filter: &str,
    (name, value): (&str, &str),
    build: &[&str],
    run: &[&str],
) -> Result<()> {
    let mut command = cargo(root);
    command.args(["test", "-p", "tests"]).args(build).arg(filter).arg("--").env(name, value);
    let listed = cargo(root)
        .args(["test", "-p", "tests"])
        .args(build)
        .args([filter, "--", "--list"])
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cargo does not start")?;
    ensure!(listed.status.success(), "the tests do not build");
    let found = str::from_utf8(&listed.stdout)?.lines().filter(|line| line.ends_with(": test"));
    ensure!(found.count() > 0, "no test of `tests` has `{filter}` in its name");
    call(command.args(run))
}

/// The workspace that this xtask belongs to.
fn root() -> PathBuf {
    let manifest = env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
    Path::new(&manifest).parent().unwrap_or(Path::new(".")).to_path_buf()
}

fn cargo(root: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    command.current_dir(root);
    command
}

/// Runs to the end with our own terminal; an exit code other than 0 is an error.
fn call(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start {command:?}"))?;
    ensure!(status.success(), "{status} of {}", words(command));
    Ok(())
}

/// A command as one would type it.
fn words(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or_default();
    let all = std::iter::once(program).chain(command.get_args());
    all.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
