//! Golden stories: what is asked (`>`) and what happened, one file a rule. The engine and the model
//! both tell them. `UPDATE_GOLDEN=1` rewrites the files.
//!
//! A story begins in a venue that has its genesis and whose slot 0 is joined; `> from the beginning`
//! leaves that out. `> hide balance book` leaves lines out that begin so, `> show all` ends it.
//! `> ladder BTCUSDT` draws the public book: quantities to buy, prices, quantities to sell.

use crate::model_equals_engine::Pair;
use crate::story_language::Language;
use app::market::{Slots, Step};
use app::story::Story;
use protocol::command::{GatewayJoined, Genesis};
use protocol::{Amount, Envelope, Event, InstrumentId, Price, Side};
use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::path::Path;
use std::{env, fs};

struct Teller {
    pair: Pair,
    slots: Slots,
    language: Language,
    story: Story,
    hidden: Vec<String>,
    /// The public book, as events told it.
    levels: BTreeMap<(InstrumentId, Price, Side), Amount>,
    symbols: BTreeMap<String, InstrumentId>,
}

impl Teller {
    /// What happens, line by line.
    fn tell(&mut self, step: &Step) -> Result<Vec<String>, String> {
        let (stamp, command) = self.slots.place(step);
        let events = self.pair.apply(stamp, &command).map_err(|differ| differ.to_string())?;
        self.pair.engine.check_invariants();
        let mut lines = Vec::new();
        for event in &events {
            self.language.observe(event);
            self.observe(event);
            lines.push(self.story.line(event));
        }
        let is_hidden = |line: &String| {
            let line = line.strip_prefix("then ").unwrap_or(line);
            self.hidden.iter().any(|word| line.split(' ').next() == Some(word))
        };
        lines.retain(|line| !line.is_empty() && !is_hidden(line));
        Ok(lines)
    }

    fn observe(&mut self, event: &Event) {
        match event {
            Event::InstrumentDefined(it) => {
                self.symbols.insert(it.definition.symbol.as_str().into(), it.instrument);
            }
            Event::BookChanged(it) if it.orders == 0 => {
                self.levels.remove(&(it.instrument, it.price, it.side));
            }
            Event::BookChanged(it) => {
                self.levels.insert((it.instrument, it.price, it.side), it.quantity.into());
            }
            _ => {}
        }
    }

    fn ladder(&self, symbol: &str) -> Result<Vec<String>, String> {
        let instrument = self.symbols.get(symbol).ok_or("no such symbol")?;
        let of_it = self.levels.iter().filter(|((it, ..), _)| it == instrument);
        let short = |number: String| match number.contains('.') {
            true => number.trim_end_matches('0').trim_end_matches('.').to_owned(),
            false => number,
        };
        let draw = |((_, price, side), quantity): (&(_, Price, Side), &Amount)| {
            let (price, quantity) = (short(price.to_string()), short(quantity.to_string()));
            match side {
                Side::Buy => format!("{quantity:>8} | {price:^7} |"),
                Side::Sell => format!("{:>8} | {price:^7} | {quantity}", ""),
            }
        };
        Ok(of_it.rev().map(draw).collect())
    }

    fn begin(&mut self) -> Result<(), String> {
        let envelope = Envelope::INTERNAL;
        self.tell(&Step::new(Genesis { envelope, seed: 1, rules: engine::RULES_VERSION }))?;
        self.tell(&Step::new(GatewayJoined { envelope, nonce: 1 }))?;
        Ok(())
    }

    fn ask(&mut self, line: &str) -> Result<Vec<String>, String> {
        if line == "from the beginning" {
            return Ok(Vec::new());
        }
        if line == "show all" {
            self.hidden.clear();
            return Ok(Vec::new());
        }
        if let Some(words) = line.strip_prefix("hide ") {
            self.hidden.extend(words.split(' ').map(str::to_owned));
            return Ok(Vec::new());
        }
        if let Some(symbol) = line.strip_prefix("ladder ") {
            return self.ladder(symbol);
        }
        match self.language.parse(line)? {
            Some(step) => self.tell(&step),
            None => Ok(Vec::new()),
        }
    }
}

/// The story with its events as they happen now.
fn retell(text: &str) -> Result<String, String> {
    let mut teller = Teller {
        pair: Pair::new(),
        slots: Slots::new(),
        language: Language::new(),
        story: Story::new(),
        hidden: Vec::new(),
        levels: BTreeMap::new(),
        symbols: BTreeMap::new(),
    };
    let mut retold = String::new();
    let mut started = false;
    for (number, line) in text.lines().enumerate() {
        if line.starts_with(' ') {
            continue;
        }
        retold += &format!("{line}\n");
        let Some(asked) = line.strip_prefix("> ") else { continue };
        // A story from the beginning says so before anything else.
        if !started && asked != "from the beginning" {
            teller.begin()?;
        }
        started = true;
        let lines = teller.ask(asked).map_err(|wrong| format!("line {}: {wrong}", number + 1))?;
        for line in lines {
            retold += &format!("  {line}\n");
        }
    }
    Ok(retold)
}

fn first_difference(told: &str, retold: &str) -> String {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    let (told, retold) = (lines(told), lines(retold));
    let same = told.iter().zip(&retold).take_while(|(a, b)| a == b).count();
    let line = |lines: &[String]| lines.get(same).cloned().unwrap_or("the end".into());
    format!("line {}: the file has\n  {}\nbut now\n  {}", same + 1, line(&told), line(&retold))
}

#[test]
fn every_story_is_told_the_same_by_engine_and_model() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    let mut failures = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let told = fs::read_to_string(&path).unwrap();
        // A panic is this story's failure only.
        let retold = catch_unwind(|| retell(&told)).unwrap_or(Err("a panic".into()));
        match retold {
            Ok(retold) if retold == told => {}
            Ok(retold) if env::var_os("UPDATE_GOLDEN").is_some() => {
                fs::write(&path, retold).unwrap()
            }
            Ok(retold) => failures.push(format!("{name}: {}", first_difference(&told, &retold))),
            Err(wrong) => failures.push(format!("{name}: {wrong}")),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}
