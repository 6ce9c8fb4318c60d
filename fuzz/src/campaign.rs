//! The loop: mutate, run, keep what is new, stop at the first panic.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use crate::mutate::Mutator;
use crate::{Target, feedback};

/// Inputs beyond the target's own that are kept.
const KEPT_MAX: usize = 4_096;
/// How long a failing input is made shorter.
const SHORTEN: Duration = Duration::from_secs(5);

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub enum Until {
    Elapsed(Duration),
    Executions(u64),
}

/// What a campaign did.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    pub executions: u64,
    /// Inputs that showed something new.
    pub kept: usize,
    /// Outcomes seen.
    pub outcomes: usize,
}

/// An input that made the target panic.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Which execution it was; the seed leads there again.
    pub execution: u64,
    pub input: Vec<u8>,
}

/// Runs a target with inputs from a seed.
pub fn run(target: &Target, seed: u64, until: Until) -> Result<Report, Failure> {
    let mut corpus = (target.corpus)();
    let own = corpus.len();
    let mut mutator = Mutator::new(seed, target.words, target.length_max);
    let mut outcomes = BTreeSet::new();
    let began = Instant::now();
    let mut execution = 0;
    while !is_over(until, execution, began) {
        let input = match corpus.get(execution as usize).filter(|_| execution < own as u64) {
            Some(valid) => valid.clone(),
            None => mutator.next(&corpus),
        };
        execution += 1;
        if panics(target, &input) {
            return Err(Failure { execution, input });
        }
        let before = outcomes.len();
        outcomes.append(&mut feedback::take());
        if outcomes.len() > before && execution > own as u64 && corpus.len() < own + KEPT_MAX {
            corpus.push(input);
        }
    }
    Ok(Report { executions: execution, kept: corpus.len() - own, outcomes: outcomes.len() })
}

fn is_over(until: Until, executions: u64, began: Instant) -> bool {
    match until {
        Until::Elapsed(bound) => began.elapsed() >= bound,
        Until::Executions(bound) => executions >= bound,
    }
}

fn panics(target: &Target, input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| (target.run)(input))).is_err()
}

/// Takes parts out of a failing input for as long as it fails.
pub fn shorten(target: &Target, mut input: Vec<u8>) -> Vec<u8> {
    let began = Instant::now();
    let mut length = input.len() / 2;
    while length > 0 && began.elapsed() < SHORTEN {
        let mut at = 0;
        while at < input.len() && began.elapsed() < SHORTEN {
            let end = input.len().min(at + length);
            let mut shorter = input.clone();
            shorter.drain(at..end);
            match panics(target, &shorter) {
                true => input = shorter,
                false => at = end,
            }
        }
        length /= 2;
    }
    feedback::take();
    input
}

/// Bytes as hexadecimal text.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of hexadecimal text, if it is that.
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.trim().chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2))?;
    Some(digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect())
}

/// For tests: a short campaign that must find nothing.
///
/// # Panics
/// With the seed and the input when the target does.
#[track_caller]
pub fn check(target: &Target, seed: u64, executions: u64) {
    if let Err(failure) = run(target, seed, Until::Executions(executions)) {
        let Failure { execution, input } = failure;
        panic!("{}, seed {seed}, execution {execution}: {}", target.name, hex(&input));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuses_two_sevens(data: &[u8]) {
        assert!(data.iter().filter(|&&byte| byte == 7).count() < 2);
    }

    const PICKY: Target = Target {
        name: "picky",
        run: refuses_two_sevens,
        corpus: || vec![vec![7, 1, 2, 3]],
        words: &["\u{7}"],
        length_max: 64,
    };

    #[test]
    fn a_failure_is_found_and_found_again_and_made_short() {
        let of = |seed| run(&PICKY, seed, Until::Executions(100_000)).unwrap_err();
        let (first, again) = (of(3), of(3));
        assert_eq!((first.execution, &first.input), (again.execution, &again.input));
        assert_eq!(shorten(&PICKY, first.input), [7, 7]);
    }

    #[test]
    fn hexadecimal_text_is_read_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(from_hex(&hex(&bytes)), Some(bytes));
        assert_eq!((from_hex("1"), from_hex("xy"), from_hex("\n")), (None, None, Some(vec![])));
    }
}
