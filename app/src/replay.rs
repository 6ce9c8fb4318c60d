//! `outcry replay`: the command log as a readable story, and what it comes to.

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use engine::{Engine, EventSink};
use protocol::record::encode;
use protocol::{Event, EventRecord, Records, RollingHash};
use store::Reader;
use store::reader::From;
use store::segment::LogKind;

use crate::offline::{Commands, Folder};
use crate::progress::Progress;
use crate::story::Story;

/// What a log comes to: equal on every node, live and replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    pub sequence: u64,
    pub events_hash: u64,
    pub state_hash: u64,
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Outcome { sequence, events_hash, state_hash } = self;
        write!(f, "sequence {sequence} events {events_hash:016x} state {state_hash:016x}")
    }
}

/// Collects a command's events and hashes them as the event log does.
struct Replayed {
    hash: RollingHash,
    /// The records of the command's events.
    records: Vec<u8>,
    events: Vec<Event>,
    keeps_events: bool,
}

impl EventSink for Replayed {
    fn emit<E: EventRecord>(&mut self, event: E) {
        encode(&event, &mut self.records);
        if self.keeps_events {
            self.events.push(event.into());
        }
    }
}

impl Replayed {
    fn end_command(&mut self) -> RollingHash {
        self.hash.add(&self.records);
        self.records.clear();
        self.hash
    }
}

/// The event log beside a replay: at the end of each of its frames both hashes must be equal.
struct Live {
    reader: Reader,
    end: u64,
    /// The next frame that ends where a command ends: (its last sequence, its hash).
    next: Option<(u64, u64)>,
    compared: u64,
}

impl Live {
    fn open(folder: &Folder, from: u64) -> Result<Live> {
        let end = folder.end(LogKind::Events)?;
        let reader = folder.reader(LogKind::Events, From::Position(from), end)?;
        let mut live = Live { reader, end, next: None, compared: 0 };
        live.advance()?;
        Ok(live)
    }

    fn advance(&mut self) -> Result<()> {
        self.next = None;
        while let Some(frame) = self.reader.next(self.end)? {
            // A sum over the records themselves is `verify`'s business.
            if frame.header.flags.ends_command() {
                self.next = Some((frame.header.last_sequence, frame.header.hash));
                break;
            }
        }
        Ok(())
    }

    fn compare(&mut self, sequence: u64, hash: u64) -> Result<()> {
        while let Some((last, expected)) = self.next.filter(|(last, _)| *last <= sequence) {
            anyhow::ensure!(
                last == sequence && expected == hash,
                "replay differs from the event log at sequence {sequence}: events hash {hash:016x}, \
                 the log has {expected:016x} at sequence {last}"
            );
            self.compared += 1;
            self.advance()?;
        }
        Ok(())
    }
}

/// Replays a folder's command log up to `to` and compares it with its event log.
///
/// Errors name what cannot be read, or the first command whose events differ.
pub fn replay(data: &Path, to: u64, quiet: bool, out: &mut dyn Write) -> Result<Outcome> {
    let folder = Folder::open(data)?;
    let begin = folder.beginning()?;
    let mut engine = begin.engine;
    let mut live = Live::open(&folder, begin.facts.events_position)?;
    let hash = RollingHash(begin.facts.events_hash);
    let mut sink = Replayed { hash, records: Vec::new(), events: Vec::new(), keeps_events: !quiet };
    let mut commands = Commands::of(&folder, begin.facts.commands_position)?;
    let mut story = Story::new();
    let mut text = String::new();
    let mut progress = Progress::new("replay", quiet);
    let mut is_over = false;
    while !is_over {
        let more = commands.next_frame(|input| {
            if input.sequence.0 > to {
                is_over = true;
                return Ok(());
            }
            if !quiet {
                text.clear();
                let _ = story.write_command(input.command, &mut text);
                writeln!(out, "{} {}", input.sequence, text.trim_end())?;
            }
            engine.apply(input, &mut sink);
            for event in sink.events.drain(..) {
                text.clear();
                let _ = story.write(&event, &mut text);
                if !text.trim_end().is_empty() {
                    writeln!(out, "  {}", text.trim_end())?;
                }
            }
            live.compare(input.sequence.0, sink.end_command().0)
        })?;
        let (done, all) = commands.progress();
        progress.show(done, all, engine.last_sequence().0);
        is_over |= !more;
    }
    progress.end();
    engine.check_invariants();
    let outcome = outcome_of(&engine, sink.hash.0);
    writeln!(out, "{outcome}")?;
    writeln!(out, "equal to the event log at {} of its frames", live.compared)?;
    Ok(outcome)
}

/// What an engine and its events come to.
pub fn outcome_of(engine: &Engine, events_hash: u64) -> Outcome {
    Outcome { sequence: engine.last_sequence().0, events_hash, state_hash: engine.state_hash() }
}

/// Decodes every record of a frame's payload and adds it to the hash; gives how many there are.
pub fn check_records(payload: &[u8], hash: &mut RollingHash) -> Result<u32> {
    let mut count = 0;
    for view in Records::new(payload) {
        Event::decode(&view?)?;
        count += 1;
    }
    hash.add(payload);
    Ok(count)
}
