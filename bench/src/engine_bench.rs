//! The engine alone, beside a naive book.

use app::market::Shape;
use protocol::Command;

use crate::book::{Book, Outcome};
use crate::exchange::{Exchange, Translator};
use crate::figures::{Figures, QUANTILE_NAMES, Stopwatch, Timing};
use crate::tape::{Length, Tape, Taped};
use crate::workload::{FULL_SIZE, Mix, Operation, Workload};
use crate::{Result, machine};

/// Operations whose commands are prepared before the clock runs.
const CHUNK: usize = 1_024;

#[derive(Debug, Clone)]
pub struct Options {
    /// Of each mix.
    pub operations: usize,
    /// Of the random market.
    pub commands: u64,
    pub seed: u64,
    pub rounds: usize,
    pub mixes: Vec<Mix>,
}

/// Runs everything and tells line by line.
pub fn run(options: &Options, tell: &mut dyn FnMut(&str)) -> Result<()> {
    let Options { rounds, operations, commands, .. } = options;
    tell(&format!(
        "engine alone, events encoded and hashed: {}; {rounds} rounds, medians; {operations} \
         operations of each mix, {commands} commands of the market; a reading of the clock \
         ({} ns) is part of every percentile",
        machine::describe(),
        machine::clock_ns()
    ));
    tell(&header());
    market(options, tell)?;
    for &mix in &options.mixes {
        compare(mix, options, tell)?;
    }
    Ok(())
}

fn header() -> String {
    let names: String =
        QUANTILE_NAMES.iter().map(|name| format!(" {:>11}", format!("{name} ns"))).collect();
    format!("{:<16}{:>14}{names}  of the book", "", "operations/s")
}

const TIMINGS: [Timing; 2] = [Timing::Whole, Timing::Each];

fn add(figures: &mut Figures, timing: Timing, watch: &Stopwatch) {
    match timing {
        Timing::Whole => figures.add_rate(watch.per_second()),
        Timing::Each => figures.add_times(watch.histogram()),
    }
}

fn market(options: &Options, tell: &mut dyn FnMut(&str)) -> Result<()> {
    let length = Length { together: options.commands, alone: 0 };
    let tape = Tape::rehearse(options.seed, &Shape::default(), 1, length);
    let (mut figures, mut hash) = (Figures::default(), None);
    for _ in 0..options.rounds {
        for timing in TIMINGS {
            let mut watch = Stopwatch::new(timing)?;
            let played = play(&tape, &mut watch);
            add(&mut figures, timing, &watch);
            if *hash.get_or_insert(played) != played {
                return Err("the same commands gave other events".into());
            }
        }
    }
    let (hash, state) = hash.unwrap_or_default();
    tell(&format!("{:<16}{figures}", "random market"));
    tell(&format!("  events hash {hash:016x}, state hash {state:016x}, equal in all rounds"));
    Ok(())
}

/// Plays a tape from the beginning; gives the hashes of its events and of the state.
fn play(tape: &Tape, watch: &mut Stopwatch) -> (u64, u64) {
    let mut exchange = Exchange::default();
    tape.setup.iter().for_each(|taped| exchange.apply(&taped.command));
    for chunk in tape.market.chunks(CHUNK) {
        watch.start();
        for Taped { command, .. } in chunk {
            exchange.apply(command);
            watch.lap();
        }
        watch.stop();
        exchange.log.trades.clear();
    }
    exchange.engine().check_invariants();
    (exchange.log.hash(), exchange.engine().state_hash())
}

fn compare(mix: Mix, options: &Options, tell: &mut dyn FnMut(&str)) -> Result<()> {
    let workload = Workload::generate(mix, options.operations);
    let expected = match options.operations {
        FULL_SIZE => mix.expected(),
        _ => workload.outcome,
    };
    let (mut book, mut engine) = (Figures::default(), Figures::default());
    for _ in 0..options.rounds {
        for timing in TIMINGS {
            let mut watch = Stopwatch::new(timing)?;
            expect(mix, "book", run_book(&workload, &mut watch), expected)?;
            add(&mut book, timing, &watch);
            let mut watch = Stopwatch::new(timing)?;
            expect(mix, "engine", run_engine(&workload, &mut watch), expected)?;
            add(&mut engine, timing, &watch);
        }
    }
    let ratio = engine.per_second() / book.per_second();
    tell(&format!("{:<16}{book}  1.000", format!("{}: naive book", mix.name())));
    tell(&format!("{:<16}{engine}  {ratio:.3}", format!("{}: engine", mix.name())));
    let Outcome { trades, volume, hash } = expected;
    tell(&format!("  trades {trades}, volume {volume}, hash {hash:016x}: both, in all rounds"));
    Ok(())
}

fn expect(mix: Mix, who: &str, found: Outcome, expected: Outcome) -> Result<()> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("mix {}, {who}: {found:?}, expected {expected:?}", mix.name()).into()),
    }
}

fn run_book(workload: &Workload, watch: &mut Stopwatch) -> Outcome {
    let mut book = Book::default();
    workload.prefill.iter().for_each(|operation| book.apply(operation, |_| {}));
    for chunk in workload.operations.chunks(CHUNK) {
        watch.start();
        for operation in chunk {
            book.apply(operation, |_| {});
            watch.lap();
        }
        watch.stop();
    }
    book.outcome
}

fn run_engine(workload: &Workload, watch: &mut Stopwatch) -> Outcome {
    let (mut translator, mut outcome) = (Translator::default(), Outcome::default());
    let mut exchange = Exchange::of_operations(&mut translator);
    let mut prepared = Prepared::default();
    for chunk in workload.prefill.chunks(CHUNK) {
        prepared.fill(chunk, &mut translator);
        prepared.commands.iter().for_each(|command| exchange.apply(command));
    }
    for chunk in workload.operations.chunks(CHUNK) {
        prepared.fill(chunk, &mut translator);
        let mut commands = prepared.commands.iter();
        watch.start();
        for &count in &prepared.counts {
            commands.by_ref().take(count).for_each(|command| exchange.apply(command));
            watch.lap();
        }
        watch.stop();
        translator.add(&mut exchange.log.trades, &mut outcome);
    }
    outcome
}

/// The commands of some operations, and how many each has.
#[derive(Default)]
struct Prepared {
    commands: Vec<Command>,
    counts: Vec<usize>,
}

impl Prepared {
    fn fill(&mut self, operations: &[Operation], translator: &mut Translator) {
        self.commands.clear();
        self.counts.clear();
        for operation in operations {
            self.counts.push(translator.translate(operation, &mut self.commands));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_run_checks_its_own_work() {
        let options =
            Options { operations: 3_000, commands: 2_000, seed: 7, rounds: 1, mixes: vec![Mix::A] };
        let mut lines = Vec::new();
        run(&options, &mut |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines.len(), 7, "{lines:#?}");
        let other = Outcome { trades: 1, ..Outcome::default() };
        assert!(expect(Mix::A, "book", other, Outcome::default()).is_err());
    }
}
