//! What a start does: newest good snapshot, replay of the command log, comparison with the event
//! log up to its end, and then whatever the event log is missing.

use std::fmt;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use engine::Engine;
use protocol::EVENT_SCHEMA;
use replication::{Durability, Settler};
use store::durable::DURABLE_NAME;
use store::reader::From;
use store::recovery::Recovery;
use store::segment::{self, LogKind, Opened, Tail};
use store::writer::{Backing, LogOptions, Spares};
use store::{CursorKind, Durable, Error, Reader, SnapshotFacts, Snapshots, Writer};

use super::apply::Apply;
use super::event_log::EventLog;
use super::{NodeOptions, Shared};
use crate::offline::load;

/// What was found when a node was opened.
#[derive(Debug, Clone)]
pub struct Recovered {
    /// The snapshot it started from; 0 is none.
    pub snapshot_sequence: u64,
    /// Commands that were applied again.
    pub replayed: u64,
    pub sequence: u64,
    pub events_hash: u64,
    /// Bytes of the command log that were torn and cut off.
    pub torn_bytes: u64,
    /// Bytes of the event log that were cut off and made again.
    pub events_cut_bytes: u64,
    /// What a reader may want to tell a person.
    pub warnings: Vec<String>,
}

impl fmt::Display for Recovered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "recovered to sequence {} (snapshot {}, {} commands replayed, {} torn bytes cut)",
            self.sequence, self.snapshot_sequence, self.replayed, self.torn_bytes
        )
    }
}

/// The state to start from.
pub(super) struct Start {
    pub(super) engine: Engine,
    pub(super) facts: SnapshotFacts,
    /// Where the command log begins, should it not be there.
    pub(super) commands: Tail,
    durable_events_position: u64,
    warnings: Vec<String>,
}

/// Loads the newest snapshot that is good, whole and durable with its logs.
pub(super) fn find_start(
    snapshots: &Snapshots,
    shared: &Shared,
    options: &NodeOptions,
    is_new: bool,
) -> Result<Start> {
    let storage = shared.storage.as_ref();
    let mut warnings: Vec<String> = Vec::new();
    warnings.extend(shared.runtime_warning());
    let in_memory = options.durability == Durability::Memory;
    let has_facts = Durable::exists(storage, &shared.place.durable).unwrap_or(false);
    let durable = match has_facts {
        true => Durable::peek(storage, &shared.place.durable)?,
        false => Default::default(),
    };
    let needed = if in_memory { 0 } else { durable.position };
    check_segments(shared, LogKind::Commands, needed)?;
    let needed = if in_memory { 0 } else { durable.events_position };
    check_segments(shared, LogKind::Events, needed)?;
    let durable_events_position = if in_memory { 0 } else { durable.events_position };
    let is_usable = |facts: &SnapshotFacts| {
        facts.schema == Engine::STATE_SCHEMA
            && facts.rules_version <= engine::RULES_VERSION
            && (in_memory || facts.events_position <= durable_events_position)
    };
    let newest = snapshots.newest_good(u64::MAX, is_usable)?;
    warnings.extend(
        newest
            .passed_over
            .iter()
            .map(|(sequence, error)| format!("snapshot {sequence} is passed over: {error}")),
    );
    let (engine, facts) = match newest.good {
        Some((facts, state)) => (load(&facts, &state)?, facts),
        None => (Engine::new(), SnapshotFacts::default()),
    };
    let commands = Tail {
        position: facts.commands_position,
        index: facts.index,
        sequence: facts.sequence,
        term: facts.term,
        stamp: facts.stamp,
        ..Tail::default()
    };
    let has_snapshots = !snapshots.list()?.is_empty();
    let loss = check_presence(shared, has_facts, has_snapshots, is_new, facts.sequence)?;
    warnings.extend(loss);
    Ok(Start { engine, facts, commands, durable_events_position, warnings })
}

/// Refuses a folder on disk that lacks what its other parts show it had; says what is lost when logs
/// in memory are gone.
fn check_presence(
    shared: &Shared,
    has_facts: bool,
    has_snapshots: bool,
    is_new: bool,
    sequence: u64,
) -> Result<Option<String>> {
    let (log, durable) = (&shared.place.log, &shared.place.durable);
    let is_gone = segment::list(shared.storage.as_ref(), log, LogKind::Commands)?.is_empty();
    if shared.place.in_memory {
        let is_lost = is_gone && !is_new;
        return Ok(is_lost.then(|| {
            format!(
                "the logs lay in memory, in {}, and are gone: commands after sequence {sequence} \
                 are lost",
                log.display()
            )
        }));
    }
    let missing = match is_gone {
        false if !has_facts => durable.join(DURABLE_NAME),
        true if has_snapshots => segment::path(log, LogKind::Commands, 1),
        _ => {
            let is_bare = is_gone && !has_facts && !is_new;
            let warning = "the folder was begun before but has no log: it begins anew";
            return Ok(is_bare.then(|| warning.to_owned()));
        }
    };
    bail!(
        "{} is missing at offset 0, but there was more: copy the whole folder again or restore it \
         from a backup",
        missing.display()
    );
}

/// Every segment of a log is there and has its size, also below the newest snapshot, whose frames
/// a start does not read (`verify` does): a folder copied by halves is refused.
fn check_segments(shared: &Shared, kind: LogKind, durable_position: u64) -> Result<()> {
    let (storage, log) = (shared.storage.as_ref(), &shared.place.log);
    storage.create_directory(log).with_context(|| format!("cannot make {}", log.display()))?;
    let mut before: Option<u64> = None;
    let mut next_position = 0;
    let missing = |number, position, what| {
        bail!(Error::MissingSegment { file: segment::path(log, kind, number), position, what })
    };
    for number in segment::list(storage, log, kind)? {
        // What a damaged header means is decided by what is durable, when the log is opened.
        let Opened::Good(header) = segment::open_header(storage, log, kind, number)? else {
            return Ok(());
        };
        if before.is_some_and(|before| before + 1 != number) {
            // Above what is durable a power cut may leave any names: recovery cuts there.
            if header.first_position > durable_position {
                return Ok(());
            }
            let what = "there is a later segment but not this one";
            return missing(before.unwrap_or(0) + 1, next_position, what);
        }
        before = Some(number);
        next_position = header.first_position;
    }
    if before.is_none() && durable_position > 0 {
        return missing(1, durable_position, "there is no segment although some were durable");
    }
    Ok(())
}

/// Replays what follows the start, compares it with the event log, and completes the event log.
pub(super) fn recover(
    start: Start,
    commands: Recovery,
    shared: &Shared,
    snapshots: Snapshots,
    settler: Settler,
    options: &NodeOptions,
) -> Result<(Apply, Recovered)> {
    let Start { engine, facts, mut warnings, durable_events_position, .. } = start;
    if let Some(cut) = &commands.cut {
        warnings.push(format!(
            "torn tail of {} bytes cut off {} at offset {}: {}",
            cut.bytes,
            cut.file.display(),
            cut.offset,
            cut.what
        ));
    }
    let (writer, events_cut_bytes) =
        open_event_log(shared, options, &facts, &commands.tail, durable_events_position)?;
    let mut events = EventLog::new(writer, facts.events_hash, facts.sequence);
    if !options.is_simulated {
        events.sync_now_and_then().context("cannot start a thread")?;
    }
    events
        .compare(Arc::clone(&shared.storage), &shared.place.log, facts.events_position)
        .context("event log")?;
    let end = commands.tail.position;
    let reader = Reader::open(
        Arc::clone(&shared.storage),
        &shared.place.log,
        LogKind::Commands,
        From::Position(facts.commands_position),
        end,
        true,
    )
    .context("command log")?;
    let mut apply = Apply::new(engine, events, reader, shared, snapshots, settler, options);
    while apply.apply_frame(end)? {
        apply.publish_if_full()?;
    }
    apply.publish_recovered()?;
    let sequence = apply.engine().last_sequence().0;
    let recovered = Recovered {
        snapshot_sequence: facts.sequence,
        replayed: sequence - facts.sequence,
        sequence,
        events_hash: apply.events_hash(),
        torn_bytes: commands.cut.map_or(0, |cut| cut.bytes),
        events_cut_bytes,
        warnings,
    };
    Ok((apply, recovered))
}

/// Opens the event log and cuts it to the end of a command that the command log still has.
fn open_event_log(
    shared: &Shared,
    options: &NodeOptions,
    facts: &SnapshotFacts,
    commands: &Tail,
    durable_position: u64,
) -> Result<(Writer, u64)> {
    let in_memory = options.durability == Durability::Memory;
    let mut log = LogOptions::new(LogKind::Events, shared.identity, EVENT_SCHEMA);
    log.segment_bytes = options.segment_bytes;
    log.payload_length_max = options.payload_length_max();
    log.backing = if in_memory { Backing::Mapped } else { Backing::File };
    log.spares = if options.is_simulated { Spares::Inline } else { Spares::Thread };
    // Derived: no answer waits until it is on disk.
    log.zero_filled = false;
    log.durable_position = durable_position;
    log.needed_from = facts.events_position;
    log.start = Tail {
        position: facts.events_position,
        sequence: facts.sequence,
        hash: facts.events_hash,
        stamp: facts.stamp,
        ..Tail::default()
    };
    let storage = Arc::clone(&shared.storage);
    let (mut writer, recovery) =
        Writer::open(Arc::clone(&storage), &shared.place.log, log).context("event log")?;
    let end = recovery.tail;
    let torn = recovery.cut.map_or(0, |cut| cut.bytes);
    if end.ends_command && end.sequence <= commands.sequence {
        return Ok((writer, torn));
    }
    let from = From::Position(facts.events_position);
    let mut reader =
        Reader::open(storage, &shared.place.log, LogKind::Events, from, end.position, false)?;
    let mut keep = (facts.events_position, facts.sequence);
    while let Some(frame) = reader.next(end.position)? {
        let header = frame.header;
        if header.flags.ends_command() && header.last_sequence <= commands.sequence {
            keep = (reader.position(), header.last_sequence);
        }
    }
    writer.cut(keep.0).context("event log")?;
    shared.cursors.note_cut(keep.1);
    shared.cursors.publish(CursorKind::Published, keep.0, keep.1);
    Ok((writer, torn + end.position - keep.0))
}
