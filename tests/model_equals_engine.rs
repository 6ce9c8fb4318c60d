//! Random markets through the engine and through the naive model: equal events, command by command.

use crate::model::Model;
use app::market::{RandomLog, Shape, Slots, Step};
use app::story::Story;
use engine::Engine;
use protocol::*;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The engine and the model, side by side.
pub(crate) struct Pair {
    pub(crate) engine: Engine,
    model: Model,
    sequence: Sequence,
}

/// They differ.
#[derive(Debug)]
pub(crate) struct Difference {
    sequence: Sequence,
    command: Command,
    engine: Vec<Event>,
    model: Vec<Event>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "engine and model differ at {}: {:?}", self.sequence, self.command)?;
        // From a little before the first difference on.
        let same = self.engine.iter().zip(&self.model).take_while(|(a, b)| is_same(a, b)).count();
        let end = self.engine.len().max(self.model.len());
        for at in same.saturating_sub(6)..end.min(same + 30) {
            match (self.engine.get(at), self.model.get(at)) {
                (Some(engine), Some(model)) if is_same(engine, model) => {
                    writeln!(f, "  both   {engine:?}")?;
                }
                (engine, model) => {
                    engine.map_or(Ok(()), |event| writeln!(f, "  engine {event:?}"))?;
                    model.map_or(Ok(()), |event| writeln!(f, "  model  {event:?}"))?;
                }
            }
        }
        Ok(())
    }
}

/// The model knows no hash of the state.
fn is_same(engine: &Event, model: &Event) -> bool {
    match (engine, model) {
        (Event::StateHashed(engine), Event::StateHashed(model)) => {
            engine.sequence == model.sequence
        }
        _ => engine == model,
    }
}

impl Pair {
    pub(crate) fn new() -> Pair {
        Pair { engine: Engine::new(), model: Model::new(), sequence: Sequence(0) }
    }

    /// Applies the next command to both; gives the engine's events.
    pub(crate) fn apply(
        &mut self,
        stamp: Stamp,
        command: &Command,
    ) -> Result<Vec<Event>, Box<Difference>> {
        self.sequence = self.sequence.next();
        let sequence = self.sequence;
        let mut events = Vec::new();
        self.engine.apply(&Sequenced { sequence, stamp, command }, &mut events);
        let expected = self.model.apply(sequence, stamp, command);
        let same = events.len() == expected.len()
            && events.iter().zip(&expected).all(|(engine, model)| is_same(engine, model));
        match same {
            true => Ok(events),
            false => Err(Box::new(Difference {
                sequence,
                command: command.clone(),
                engine: events,
                model: expected,
            })),
        }
    }
}

/// Commands between two checks of the engine's invariants.
const CHECK_INTERVAL: usize = 97;

/// Runs the steps through a new pair, up to the first difference.
fn run(steps: &[Step]) -> Result<(), String> {
    let (mut pair, mut slots) = (Pair::new(), Slots::new());
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        for step in steps {
            let (stamp, command) = slots.place(step);
            pair.apply(stamp, &command).map_err(|differ| differ.to_string())?;
        }
        pair.engine.check_invariants();
        Ok(())
    }));
    outcome.unwrap_or(Err("a panic".into()))
}

/// Runs a random log of so many commands, and gives the state's hash at its end.
///
/// # Panics
/// When the two differ: with the seed, the difference, and a story that shows it.
fn check(seed: u64, shape: Shape, commands: usize) -> u64 {
    let mut log = RandomLog::extended(seed, shape);
    let (mut pair, mut slots) = (Pair::new(), Slots::new());
    let mut steps = Vec::with_capacity(commands);
    for count in 1..=commands {
        let step = log.next();
        let (stamp, command) = slots.place(&step);
        steps.push(step);
        let applied = catch_unwind(AssertUnwindSafe(|| {
            let applied = pair.apply(stamp, &command);
            if count.is_multiple_of(CHECK_INTERVAL) || count == commands {
                pair.engine.check_invariants();
            }
            applied.map_err(|differ| differ.to_string())
        }));
        match applied.unwrap_or(Err("a panic".into())) {
            Ok(events) => events.iter().for_each(|event| log.observe(event)),
            Err(wrong) => {
                eprintln!("seed {seed}, sequence {count}; this takes some minutes:\n{wrong}");
                let story = story(&shrink(steps));
                panic!("seed {seed}, {shape:?}, sequence {count}:\n{wrong}\n\n{story}");
            }
        }
    }
    pair.engine.state_hash()
}

/// Tries to leave out ever smaller parts, as long as engine and model go on to differ.
fn shrink(mut steps: Vec<Step>) -> Vec<Step> {
    const TRIALS: usize = 400;
    let mut trials = 0;
    let mut size = steps.len() / 2;
    while size > 0 && trials < TRIALS {
        let mut start = 0;
        while start < steps.len() && trials < TRIALS {
            let end = (start + size).min(steps.len());
            let mut fewer = steps.clone();
            // Time goes on as it did.
            let time: u64 = fewer.drain(start..end).map(|step| step.advance_ns).sum();
            if let Some(next) = fewer.get_mut(start) {
                next.advance_ns += time;
            }
            trials += 1;
            match run(&fewer) {
                Ok(()) => start = end,
                Err(_) => steps = fewer,
            }
        }
        size /= 2;
    }
    steps
}

/// The steps in the language of the golden stories, with what the model says to them.
fn story(steps: &[Step]) -> String {
    let (mut model, mut slots, mut story) = (Model::new(), Slots::new(), Story::new());
    let mut text = String::from("> from the beginning\n");
    for (step, sequence) in steps.iter().zip(1..) {
        if step.advance_ns != 0 {
            text += &format!("> time +{}ns\n", step.advance_ns);
        }
        text += "> ";
        match story.command_line(&step.command) {
            line if line.is_empty() => text += &format!("{:?}", step.command),
            line => text += &line,
        }
        text += &options(step);
        text += "\n";
        let (stamp, command) = slots.place(step);
        for event in model.apply(Sequence(sequence), stamp, &command) {
            let line = story.line(&event);
            let is_frame = matches!(
                event,
                Event::CommandBegan(_) | Event::CommandAnswered(_) | Event::StateHashed(_)
            );
            match line.is_empty() {
                true if is_frame => {}
                // What the stories have no words for.
                true => text += &format!("  {event:?}\n"),
                false => text += &format!("  {line}\n"),
            }
        }
    }
    text
}

fn options(step: &Step) -> String {
    let mut text = String::new();
    if step.slot != 0 {
        text += &format!(" slot={}", step.slot);
    }
    if step.numbering != app::market::Numbering::Next {
        text += &format!(" number={:?}", step.numbering).to_lowercase();
    }
    if let Some(deadline_ns) = step.deadline_ns {
        text += &format!(" deadline={deadline_ns}ns");
    }
    text
}

/// One instrument and few accounts meet often; many instruments have every filter.
const SHAPES: &[Shape] = &[
    Shape { instruments: 8, accounts: 12, open_orders: 250, bad_per_mille: 30 },
    Shape { instruments: 2, accounts: 4, open_orders: 60, bad_per_mille: 10 },
    Shape { instruments: 9, accounts: 9, open_orders: 30, bad_per_mille: 200 },
    Shape { instruments: 1, accounts: 3, open_orders: 15, bad_per_mille: 50 },
];

fn shape(seed: u64) -> Shape {
    SHAPES[seed as usize % SHAPES.len()]
}

mod random_markets {
    use super::*;

    #[test]
    fn give_equal_events() {
        // A million commands.
        for seed in 0..100 {
            check(seed, shape(seed), 10_000);
        }
    }

    #[test]
    fn give_the_same_hash_from_the_same_seed() {
        for seed in 100..104 {
            let hash = || check(seed, shape(seed), 2_000);
            assert_eq!(hash(), hash(), "seed {seed}");
        }
        assert_ne!(check(1, shape(1), 2_000), check(2, shape(1), 2_000));
    }

    /// Else equal events would prove little.
    #[test]
    fn reach_every_event_and_every_refusal() {
        let (mut reasons, mut kinds) = (Vec::new(), Vec::new());
        for seed in 0..16 {
            let mut log = RandomLog::extended(seed, shape(seed));
            let (mut model, mut slots) = (Model::new(), Slots::new());
            for sequence in 1..=10_000 {
                let (stamp, command) = slots.place(&log.next());
                for event in model.apply(Sequence(sequence), stamp, &command) {
                    if let Event::CommandRefused(refused) = &event {
                        reasons.push((refused.part, refused.reason));
                    }
                    if let Event::OrderClosed(closed) = &event {
                        kinds.push(format!("closed {}", closed.reason));
                    }
                    kinds.push(Event::kind_name(event.kind()).unwrap().to_owned());
                    log.observe(&event);
                }
            }
            reasons.sort();
            reasons.dedup();
            kinds.sort();
            kinds.dedup();
        }
        let missing: Vec<_> = RejectReason::ALL
            .iter()
            // 65,536 instruments take too long here.
            .filter(|reason| **reason != RejectReason::TooManyDefinitions)
            .filter(|reason| !reasons.iter().any(|(_, found)| found == *reason))
            .collect();
        assert!(missing.is_empty(), "never refused because of {missing:?}");
        for part in [CommandPart::Cancel, CommandPart::New] {
            assert!(reasons.iter().any(|(found, _)| *found == part), "{part} never refused");
        }
        let closed = CloseReason::ALL.iter().map(|reason| format!("closed {reason}"));
        let missing: Vec<_> = closed.filter(|it| !kinds.contains(it)).collect();
        assert!(missing.is_empty(), "never {missing:?}");
        let closings = kinds.iter().filter(|kind| kind.starts_with("closed ")).count();
        assert_eq!(kinds.len() - closings, 42, "{kinds:?}");
    }
}

mod triggers {
    use super::*;
    use crate::story_language::Language;

    struct Told {
        pair: Pair,
        slots: Slots,
        language: Language,
    }

    impl Told {
        fn ask(&mut self, line: &str) -> Vec<Event> {
            let Ok(Some(step)) = self.language.parse(line) else { panic!("{line}") };
            let (stamp, command) = self.slots.place(&step);
            let events = self.pair.apply(stamp, &command).unwrap_or_else(|it| panic!("{it}"));
            events.iter().for_each(|event| self.language.observe(event));
            self.pair.engine.check_invariants();
            events
        }
    }

    fn triggered(events: &[Event]) -> usize {
        events.iter().filter(|event| matches!(event, Event::OrderTriggered(_))).count()
    }

    /// §8: a command stops after 10,000 events; what is due waits for the next tick or trade.
    #[test]
    fn beyond_ten_thousand_events_wait_for_the_next_tick() {
        const STOPS: usize = 6_000;
        let mut told = Told { pair: Pair::new(), slots: Slots::new(), language: Language::new() };
        for line in ["genesis", "join", "instrument BTCUSDT", "account alice", "account bob"] {
            told.ask(line);
        }
        told.ask("deposit alice 1000000 USDT");
        told.ask("deposit bob 1000000 BTC");
        for _ in 0..STOPS {
            // Each is rejected or rests in two events or so.
            told.ask("alice stop_loss_limit buy 1 @ 5 stop 100");
        }
        told.ask("bob sell 1 @ 100");
        let first = told.ask("alice buy 1 @ 100");
        let ran = triggered(&first);
        assert!((10_000..10_010).contains(&first.len()), "{} events", first.len());
        assert!(ran < STOPS);
        // Due orders are open: what is canceled now is not run later. Nothing else runs them.
        let order = OrderId(ran as u64 + 1);
        assert_eq!(triggered(&told.ask(&format!("alice cancel #{order}"))), 0);
        assert_eq!(triggered(&told.ask("alice buy 1 @ 5")), 0);
        // While nothing trades nothing runs.
        told.ask("status BTCUSDT HALT");
        assert_eq!(triggered(&told.ask("tick")), 0);
        told.ask("status BTCUSDT TRADING");
        assert_eq!(triggered(&told.ask("tick")), STOPS - ran - 1);
        assert_eq!(triggered(&told.ask("tick")), 0);
    }
}

mod snapshots {
    use super::*;

    /// A saved and loaded engine goes on as if nothing had been.
    #[test]
    fn go_on_with_the_same_events_and_hash() {
        for seed in 200..204 {
            let mut log = RandomLog::extended(seed, shape(seed));
            let mut slots = Slots::new();
            let (mut engine, mut loaded) = (Engine::new(), Engine::new());
            for count in 1..=4_000_u64 {
                let sequence = Sequence(count);
                let (stamp, command) = slots.place(&log.next());
                let input = Sequenced { sequence, stamp, command: &command };
                let (mut events, mut of_loaded) = (Vec::new(), Vec::new());
                engine.apply(&input, &mut events);
                loaded.apply(&input, &mut of_loaded);
                assert_eq!(events, of_loaded, "seed {seed}, sequence {count}");
                events.iter().for_each(|event| log.observe(event));
                // At places that no period of the log falls in with.
                if count % 211 == (seed * 31 + count / 211 * 17) % 211 {
                    let mut bytes = Vec::new();
                    loaded.save(&mut bytes);
                    loaded = Engine::load(&bytes).unwrap();
                    loaded.check_invariants();
                    assert_eq!(engine.state_hash(), loaded.state_hash(), "seed {seed}, {count}");
                }
            }
            assert_eq!(engine.state_hash(), loaded.state_hash(), "seed {seed}");
        }
    }
}

mod soak {
    use super::*;

    fn setting<T: std::str::FromStr>(name: &str, otherwise: T) -> T {
        let found = std::env::var(name).ok();
        found.map_or(otherwise, |text| text.parse().ok().expect("a number"))
    }

    /// `OUTCRY_SOAK_COMMANDS=N` makes it long, `OUTCRY_SOAK_SEED=N` begins with another seed,
    /// `OUTCRY_SOAK_RUN=N` begins with the next seed after so many commands.
    #[test]
    fn random_markets_give_equal_events_for_long() {
        let commands = setting("OUTCRY_SOAK_COMMANDS", 2_000);
        let run_max = setting("OUTCRY_SOAK_RUN", 50_000);
        let (mut seed, mut left) = (setting("OUTCRY_SOAK_SEED", 1_000), commands);
        while left > 0 {
            let run = run_max.min(left);
            check(seed, shape(seed), run);
            (seed, left) = (seed + 1, left - run);
            eprintln!("soak: {} of {commands} commands", commands - left);
        }
    }
}
