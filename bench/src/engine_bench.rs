//! The engine alone, and its book alone, beside a naive book and whatever else is brought along.

use app::market::Shape;
use app::ops::{
    BUY, BookAlone, CHUNK, Exchange, FullEngine, Kind, Operation, Outcome, QUANTILE_NAMES,
    Stopwatch, Subject, Timing, Translator, clock_ns, replay,
};
use clap::Args;
use clients::memory_bytes;

use crate::book::Book;
use crate::figures::{Figures, grouped};
use crate::tape::{Length, Tape, Taped};
use crate::workload::{FULL_SIZE, Mix, Workload};
use crate::{Result, machine};

#[derive(Debug, Clone, Args)]
pub struct Arguments {
    /// Operations of each mix
    #[arg(long, default_value_t = FULL_SIZE)]
    pub operations: usize,
    /// Commands of the random market
    #[arg(long, default_value_t = 500_000)]
    pub commands: u64,
    #[arg(long, default_value_t = 7)]
    pub seed: u64,
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Only these mixes
    #[arg(long = "mix", value_enum, default_values_t = Mix::ALL)]
    pub mixes: Vec<Mix>,
}

/// A run from the beginning.
type Run = Box<dyn Fn(&Workload, &mut Stopwatch) -> Result<Outcome>>;

/// One of those that are measured beside each other.
pub struct Contestant {
    name: &'static str,
    /// Must what it trades be what the others trade?
    agrees: bool,
    once: bool,
    run: Run,
}

impl Contestant {
    /// Begins each run with what `make` gives.
    pub fn new<S: Subject>(name: &'static str, make: impl Fn() -> S + 'static) -> Contestant {
        let run = move |workload: &Workload, watch: &mut Stopwatch| {
            Ok(replay(&mut make(), &mut &*workload, watch)?)
        };
        Contestant { name, agrees: true, once: false, run: Box::new(run) }
    }

    /// Known to trade otherwise: marked instead of refused.
    #[must_use]
    pub fn with_other_trades(self) -> Contestant {
        Contestant { agrees: false, ..self }
    }

    /// So slow that it runs in the first round only.
    #[must_use]
    pub fn in_one_round(self) -> Contestant {
        Contestant { once: true, ..self }
    }
}

/// The first one is the book that all others are compared with.
fn ours() -> Vec<Contestant> {
    vec![
        Contestant::new("naive book", Book::default),
        Contestant::new("our book", BookAlone::default),
        Contestant::new("our engine", FullEngine::default),
    ]
}

/// Runs everything and tells line by line.
pub fn run(options: &Arguments, others: Vec<Contestant>, tell: &mut dyn FnMut(&str)) -> Result<()> {
    let Arguments { rounds, operations, commands, .. } = options;
    tell(&format!(
        "one thread; {}; {rounds} interleaved rounds, medians; {operations} operations of each mix, \
         {commands} commands of the market; a reading of the clock ({} ns) is part of every percentile",
        machine::describe(),
        clock_ns()
    ));
    tell(
        "our book: trades and levels as events, encoded; our engine: accounts, holds, fees, all events \
         encoded and hashed; others: no events, no accounts",
    );
    tell(&memory_of_resting_orders()?);
    tell(&header());
    market(options, tell)?;
    let contestants: Vec<Contestant> = ours().into_iter().chain(others).collect();
    for &mix in &options.mixes {
        compare(mix, options, &contestants, tell)?;
    }
    Ok(())
}

fn header() -> String {
    let names: String =
        QUANTILE_NAMES.iter().map(|name| format!(" {:>11}", format!("{name} ns"))).collect();
    format!("{:<24}{:>14}{names}  of the naive book", "", "operations/s")
}

const TIMINGS: [Timing; 2] = [Timing::Whole, Timing::Each];

fn add(figures: &mut Figures, timing: Timing, watch: &Stopwatch) {
    match timing {
        Timing::Whole => figures.add_rate(watch.per_second() as f64),
        Timing::Each => figures.add_quantiles(watch.quantiles()),
    }
}

fn market(options: &Arguments, tell: &mut dyn FnMut(&str)) -> Result<()> {
    let length = Length { together: options.commands, alone: 0 };
    let tape = Tape::rehearse(options.seed, &Shape::default(), 1, length);
    let (mut figures, mut hash) = (Figures::default(), None);
    for _ in 0..options.rounds {
        for timing in TIMINGS {
            let mut watch = Stopwatch::new(timing);
            let played = play(&tape, &mut watch);
            add(&mut figures, timing, &watch);
            if *hash.get_or_insert(played) != played {
                return Err("the same commands gave other events".into());
            }
        }
    }
    let (hash, state) = hash.unwrap_or_default();
    tell(&format!("{:<24}{figures}", "random market"));
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
    let hash = exchange.log.hash().expect("the log of an engine has a hash");
    (hash, exchange.engine().state_hash())
}

fn compare(
    mix: Mix,
    options: &Arguments,
    contestants: &[Contestant],
    tell: &mut dyn FnMut(&str),
) -> Result<()> {
    let workload = Workload::generate(mix, options.operations);
    let expected = match options.operations {
        FULL_SIZE => mix.expected(),
        _ => workload.outcome,
    };
    let mut rows: Vec<(Figures, Outcome)> = vec![Default::default(); contestants.len()];
    for round in 0..options.rounds {
        for (contestant, (figures, outcome)) in contestants.iter().zip(&mut rows) {
            if contestant.once && round > 0 {
                continue;
            }
            for timing in TIMINGS {
                let mut watch = Stopwatch::new(timing);
                *outcome = (contestant.run)(&workload, &mut watch)?;
                if contestant.agrees {
                    expect(mix, contestant.name, *outcome, expected)?;
                }
                add(figures, timing, &watch);
            }
        }
    }
    let naive = rows.first().map_or(0.0, |(figures, _)| figures.per_second());
    for (Contestant { name, once, .. }, (figures, outcome)) in contestants.iter().zip(&rows) {
        let ratio = figures.per_second() / naive;
        let mut line = format!("{:<24}{figures}  {ratio:.3}", format!("{}: {name}", mix.name()));
        if *once {
            line += "  (one round)";
        }
        if *outcome != expected {
            line += &format!("  (other trades: {outcome})");
        }
        tell(&line);
    }
    tell(&format!("  {expected}: all but those marked, in all rounds"));
    if options.operations == FULL_SIZE && naive < mix.naive_per_second_min() {
        let least = grouped(mix.naive_per_second_min() as u64);
        tell(&format!(
            "  VOID: the naive book stayed below {least}/s, so the machine was not ours"
        ));
    }
    Ok(())
}

fn expect(mix: Mix, who: &str, found: Outcome, expected: Outcome) -> Result<()> {
    match found == expected {
        true => Ok(()),
        false => Err(format!("mix {}, {who}: {found}, expected {expected}", mix.name()).into()),
    }
}

const RESTING_ORDERS: u64 = 1_000_000;

/// What a million resting orders add to the process: 50,000 levels, 1,000 accounts. Their commands are
/// there before; memory that others gave back must not be.
fn memory_of_resting_orders() -> Result<String> {
    // Memory that was used before and is free again would hide what the engine takes.
    let mut translator = Translator::with_capacity(RESTING_ORDERS as usize);
    let mut exchange = Exchange::of_operations(&mut translator);
    let mut commands = Vec::with_capacity(RESTING_ORDERS as usize);
    for id in 1..=RESTING_ORDERS {
        commands.push(translator.command(&resting(id))?);
    }
    let before = memory_bytes();
    commands.iter().for_each(|command| exchange.apply(command));
    let megabytes = memory_bytes().saturating_sub(before) / 1_000_000;
    exchange.engine().check_invariants();
    let orders = grouped(exchange.engine().open_orders_count() as u64);
    Ok(format!("{orders} resting orders in our engine take {megabytes} MB (goal: below 400)"))
}

fn resting(id: u64) -> Operation {
    let (side, distance) = ((id % 2) as u8, 1 + (id.wrapping_mul(7_919) % 25_000) as i64);
    let price = if side == BUY { 100_000 - distance } else { 100_000 + distance };
    Operation { kind: Kind::Limit, side, id, price, quantity: 1 + id % 50 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn naive_book_our_book_and_our_engine_trade_alike() {
        for mix in [Mix::A, Mix::B] {
            let workload = Workload::generate(mix, 50_000);
            let watch = || Stopwatch::new(Timing::Whole);
            let naive = replay(&mut Book::default(), &mut &workload, &mut watch()).unwrap();
            let book = replay(&mut BookAlone::default(), &mut &workload, &mut watch()).unwrap();
            let mut engine = FullEngine::default();
            let full = replay(&mut engine, &mut &workload, &mut watch()).unwrap();
            engine.exchange.engine().check_invariants();
            assert_eq!([naive, book, full], [workload.outcome; 3], "{mix:?}");
            assert!(naive.trades > 1_000, "{mix:?}");
        }
    }

    #[test]
    fn a_short_run_checks_its_own_work() {
        let options = Arguments {
            operations: 3_000,
            commands: 2_000,
            seed: 7,
            rounds: 1,
            mixes: vec![Mix::A],
        };
        let mut lines = Vec::new();
        run(&options, vec![], &mut |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines.len(), 10, "{lines:#?}");
        let other = Outcome { trades: 1, ..Outcome::default() };
        assert!(expect(Mix::A, "book", other, Outcome::default()).is_err());
    }
}
