//! Everything that must pass before a change is taken, in the order in which it is cheapest to
//! learn that something is wrong. One target folder, the dev profile.

use crate::{call, cargo, tidy};
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const BUDGET: Duration = Duration::from_secs(25 * 60);
const FUZZ_SECONDS: u64 = 10;
/// A target that takes this much longer than it was given hangs.
const FUZZ_GRACE_SECONDS: u64 = 60;
const FUZZ_AT_ONCE: usize = 2;
const LOOM_MEND: &str =
    "RUSTFLAGS='--cfg loom' cargo test -p store --lib --target-dir target/loom ring";

pub(crate) fn run(root: &Path) -> Result<()> {
    let mut steps = Steps { done: Vec::new(), started: Instant::now() };
    let outcome = all(root, &mut steps);
    steps.summary(outcome.is_ok());
    outcome
}

fn all(root: &Path, steps: &mut Steps) -> Result<()> {
    steps.cargo(root, "format", "fmt --all --check", "cargo fmt --all")?;
    let clippy = "clippy --workspace --all-targets -- -D warnings";
    steps.cargo(root, "clippy", clippy, &format!("cargo {clippy}"))?;
    steps.step("tidy", "cargo xtask tidy", || tidy::run(root))?;
    let readme = fs::read_to_string(root.join("README.md")).context("cannot read README.md")?;
    let tests = test_command(&readme)?;
    steps
        .step("tests", tests, || call(Command::new("sh").current_dir(root).args(["-c", tests])))?;
    steps.step("loom: rings", LOOM_MEND, || loom(root))?;
    steps.cargo(root, "fuzz: build", "build -p fuzz", "cargo build -p fuzz")?;
    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    for pair in fuzz_targets(root)?.chunks(FUZZ_AT_ONCE) {
        let name = format!("fuzz: {}", pair.join(", "));
        steps.step(&name, "the command that the message names", || fuzz(root, pair, seed))?;
    }
    Ok(())
}

/// Every interleaving of a ring's two ends, as far as the models go. Its own target folder: the
/// flag would rebuild everything else.
fn loom(root: &Path) -> Result<()> {
    let arguments = ["test", "-p", "store", "--lib", "--target-dir", "target/loom", "ring"];
    call(cargo(root).env("RUSTFLAGS", "--cfg loom").args(arguments))
}

struct Steps {
    done: Vec<(String, Duration)>,
    started: Instant,
}

impl Steps {
    fn step(&mut self, name: &str, mend: &str, work: impl FnOnce() -> Result<()>) -> Result<()> {
        println!("── {name}");
        let start = Instant::now();
        let outcome = work();
        self.done.push((name.into(), start.elapsed()));
        outcome.map_err(|error| anyhow!("{name}: {error:#}\nto see or mend it alone: {mend}"))
    }

    fn cargo(&mut self, root: &Path, name: &str, arguments: &str, mend: &str) -> Result<()> {
        self.step(name, mend, || call(cargo(root).args(arguments.split(' '))))
    }

    fn summary(&self, passed: bool) {
        println!();
        for (index, (name, time)) in self.done.iter().enumerate() {
            let failed = !passed && index + 1 == self.done.len();
            let word = if failed { "FAILED" } else { "passed" };
            println!("{word}  {:>7.1} s  {name}", time.as_secs_f64());
        }
        let total = self.started.elapsed();
        println!("{:>15.1} s  in all", total.as_secs_f64());
        if total > BUDGET {
            println!("more than the {} minutes that this may take", BUDGET.as_secs() / 60);
        }
    }
}

/// The command that the README tells people to run, so that what it says is what is checked.
fn test_command(readme: &str) -> Result<&str> {
    let mut in_code = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            in_code = !in_code;
        } else if in_code && line.starts_with("cargo test") {
            return Ok(line);
        }
    }
    bail!("README.md has no code block with a line that starts with `cargo test`")
}

fn fuzz_targets(root: &Path) -> Result<Vec<String>> {
    let output = cargo(root).args(["run", "--quiet", "-p", "fuzz", "--", "--list"]).output()?;
    ensure!(output.status.success(), "cargo run -p fuzz -- --list: {}", output.status);
    let text = String::from_utf8(output.stdout)?;
    let targets: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    ensure!(!targets.is_empty(), "cargo run -p fuzz -- --list names no target");
    Ok(targets)
}

/// Runs some targets side by side, each with its output kept until it fails.
fn fuzz(root: &Path, targets: &[String], seed: u64) -> Result<()> {
    let failures: Vec<String> = thread::scope(|scope| {
        let mut runs = Vec::new();
        for target in targets {
            runs.push(scope.spawn(move || fuzz_one(root, target, seed)));
        }
        let outcomes = runs.into_iter().map(|run| run.join().unwrap_or(Err(anyhow!("panicked"))));
        outcomes.filter_map(|outcome| outcome.err()).map(|error| format!("{error:#}")).collect()
    });
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

fn fuzz_one(root: &Path, target: &str, seed: u64) -> Result<()> {
    let limit = FUZZ_SECONDS + FUZZ_GRACE_SECONDS;
    let again = format!("cargo run -p fuzz -- {target} --seconds {FUZZ_SECONDS} --seed {seed}");
    let output = Command::new("timeout")
        .current_dir(root)
        .args(["--kill-after=5", &limit.to_string()])
        .args(again.split(' '))
        .output()
        .context("cannot start `timeout` of coreutils")?;
    if output.status.success() {
        return Ok(());
    }
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    match output.status.code() {
        Some(124 | 137) => bail!("{target} still ran after {limit} s; again: {again}"),
        _ => bail!("{target}: {}; again: {again}", output.status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_command_is_the_one_in_a_code_block() {
        let readme = "cargo test no\n```\ncargo run\ncargo test --all   # all\n```\n";
        assert_eq!(test_command(readme).unwrap(), "cargo test --all   # all");
        assert!(test_command("```\n```\ncargo test no\n").is_err());
    }

    #[test]
    fn a_step_that_fails_says_what_to_run_and_is_counted() {
        let mut steps = Steps { done: Vec::new(), started: Instant::now() };
        steps.step("a", "b", || Ok(())).unwrap();
        let error = steps.step("c", "cargo d", || bail!("e")).unwrap_err();
        assert_eq!(error.to_string(), "c: e\nto see or mend it alone: cargo d");
        assert_eq!(steps.done.len(), 2);
    }
}
