//! `outcry verify` and `outcry inspect`: is everything whole, and what lies there.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use protocol::{COMMAND_SCHEMA, Command, EVENT_SCHEMA, FeedEvent, Records, RollingHash};
use store::reader::From;
use store::segment::{LogKind, SegmentHeader};
use store::{CursorKind, CursorsReader, ReaderSlots};

use crate::node::runtime_folder;
use crate::offline::{Folder, load};
use crate::replay::{check_records, replay};

/// A node that runs on the folder may retire segments under the check: then it is done again.
const ATTEMPTS: usize = 3;

/// Checks every frame, record, sum and snapshot; true when all is whole. Prints a line per check.
pub fn verify(data: &Path, out: &mut dyn Write) -> Result<bool> {
    let folder = Folder::open(data)?;
    for _ in 1..ATTEMPTS {
        let (before, mut report) = (first_segments(&folder)?, Vec::new());
        let whole = verify_once(data, &folder, &mut report);
        if matches!(whole, Ok(true)) || first_segments(&folder)? == before {
            out.write_all(&report)?;
            return whole;
        }
    }
    verify_once(data, &folder, out)
}

/// Where both logs begin.
fn first_segments(folder: &Folder) -> Result<[Option<u64>; 2]> {
    let (storage, log) = (folder.storage.as_ref(), &folder.place.log);
    let [commands, events] =
        [LogKind::Commands, LogKind::Events].map(|kind| store::segment::list(storage, log, kind));
    Ok([commands?.first().copied(), events?.first().copied()])
}

fn verify_once(data: &Path, folder: &Folder, out: &mut dyn Write) -> Result<bool> {
    let mut whole = verify_identity(folder, out)?;
    for kind in [LogKind::Commands, LogKind::Events] {
        let durable = folder.durable_position(kind)?;
        whole &= verify_log(folder, kind, durable, out)?;
    }
    whole &= verify_snapshots(folder, out)?;
    if whole {
        // Replays everything, which checks the engine's sums and compares both logs.
        let mut quietly = Vec::new();
        match replay(data, u64::MAX, true, &mut quietly) {
            Ok(outcome) => writeln!(out, "replay: {outcome}, equal to the event log")?,
            Err(error) => {
                whole = false;
                writeln!(out, "replay: {error:#}")?;
            }
        }
    }
    writeln!(out, "{}", if whole { "whole" } else { "broken" })?;
    Ok(whole)
}

/// Every segment is this node's.
fn verify_identity(folder: &Folder, out: &mut dyn Write) -> Result<bool> {
    let ours = folder.node.identity;
    let segments = store::inspect(folder.storage.as_ref(), &folder.place.log)?.segments;
    let mut whole = true;
    for segment in segments {
        let Some(found) = segment.header.ok().map(|header| header.identity) else { continue };
        if found != ours {
            whole = false;
            let (cluster, node) = (found.cluster, found.node);
            let file = segment.path.display();
            writeln!(out, "{file} at offset 16 belongs to cluster {cluster:032x} node {node}")?;
        }
    }
    Ok(whole)
}

fn verify_log(folder: &Folder, kind: LogKind, durable: u64, out: &mut dyn Write) -> Result<bool> {
    let verified = store::verify(folder.storage.as_ref(), &folder.place.log, kind, durable)?;
    let name = kind.name();
    writeln!(
        out,
        "{name}: {} segments, {} frames, {} records, {} bytes, up to sequence {}",
        verified.segments,
        verified.frames,
        verified.records,
        verified.bytes,
        verified.tail.sequence
    )?;
    let mut whole = true;
    match &verified.problem {
        Some(problem) if verified.is_torn_tail => {
            writeln!(out, "{name}: torn tail, a start cuts it off: {problem}")?;
        }
        Some(problem) => {
            whole = false;
            writeln!(out, "{name}: {problem}")?;
        }
        None => {}
    }
    if let Err(error) = verify_records(folder, kind, verified.tail.position) {
        whole = false;
        writeln!(out, "{name}: {error:#}")?;
    }
    Ok(whole)
}

/// Every record can be read; event frames have the hash that their events give.
fn verify_records(folder: &Folder, kind: LogKind, end: u64) -> Result<()> {
    if end == 0 {
        return Ok(());
    }
    let mut reader = folder.reader(kind, From::Start, end)?;
    let mut hash = RollingHash(reader.tail().hash);
    while let Some(frame) = reader.next(end)? {
        let at = || format!("frame at position {}", frame.position);
        let count = match kind {
            LogKind::Events => check_records(frame.payload, &mut hash).with_context(at)?,
            LogKind::Commands => check_commands(frame.payload).with_context(at)?,
            LogKind::Feed => check_feed(frame.payload).with_context(at)?,
        };
        anyhow::ensure!(
            count == frame.header.count && hash.0 == frame.header.hash,
            "{}: its count or hash is not that of its records",
            at()
        );
    }
    Ok(())
}

fn check_commands(payload: &[u8]) -> Result<u32> {
    let mut count = 0;
    for view in Records::new(payload) {
        Command::decode(&view?)?;
        count += 1;
    }
    Ok(count)
}

fn check_feed(payload: &[u8]) -> Result<u32> {
    let mut count = 0;
    for view in Records::new(payload) {
        FeedEvent::decode(&view?)?;
        count += 1;
    }
    Ok(count)
}

fn verify_snapshots(folder: &Folder, out: &mut dyn Write) -> Result<bool> {
    let mut whole = true;
    for sequence in folder.snapshots.list()? {
        let read = folder.snapshots.read(sequence).map_err(anyhow::Error::from);
        match read.and_then(|(facts, state)| load(&facts, &state)) {
            Ok(engine) => writeln!(
                out,
                "snapshot {sequence}: whole, {} open orders, state {:016x}",
                engine.open_orders_count(),
                engine.state_hash()
            )?,
            Err(error) => {
                whole = false;
                writeln!(out, "snapshot {sequence}: {error:#}")?;
            }
        }
    }
    Ok(whole)
}

/// Prints what lies in a folder: whose it is, segments, durable facts, snapshots, live cursors.
pub fn inspect(data: &Path, out: &mut dyn Write) -> Result<()> {
    let folder = Folder::open(data)?;
    let identity = folder.node.identity;
    let log = folder.place.log.display();
    writeln!(out, "cluster {:032x} node {}", identity.cluster, identity.node)?;
    writeln!(out, "logs in {log} ({})", if folder.place.in_memory { "memory" } else { "disk" })?;
    writeln!(
        out,
        "this build: segments {} commands {COMMAND_SCHEMA:016x} events {EVENT_SCHEMA:016x} rules {}",
        store::segment::SEGMENT_FORMAT,
        engine::RULES_VERSION
    )?;
    let durable = store::inspect(folder.storage.as_ref(), &folder.place.durable)?.durable;
    if let Some(facts) = durable {
        writeln!(
            out,
            "durable: term {} vote {} commands index {} position {}, events position {}",
            facts.term, facts.vote, facts.index, facts.position, facts.events_position
        )?;
    }
    let inspection = store::inspect(folder.storage.as_ref(), &folder.place.log)?;
    for segment in &inspection.segments {
        let name = segment.path.file_name().unwrap_or_default().display();
        match &segment.header {
            Ok(header) => writeln!(out, "{name}: {}", line_of(header, segment.length))?,
            Err(what) => writeln!(out, "{name}: {} bytes, damaged: {what}", segment.length)?,
        }
    }
    for (path, length) in &inspection.spares {
        writeln!(
            out,
            "{}: spare of {length} bytes",
            path.file_name().unwrap_or_default().display()
        )?;
    }
    inspect_snapshots(&folder, out)?;
    inspect_cursors(data, &folder, out)
}

fn line_of(header: &SegmentHeader, length: u64) -> String {
    format!(
        "{length} bytes, epoch {}, from position {} index {} sequence {}, schema {:016x}",
        header.epoch,
        header.first_position,
        header.first_index,
        header.first_sequence,
        header.schema
    )
}

fn inspect_snapshots(folder: &Folder, out: &mut dyn Write) -> Result<()> {
    for sequence in folder.snapshots.list()? {
        match folder.snapshots.read(sequence) {
            Ok((facts, state)) => writeln!(
                out,
                "snapshot {sequence}: {} bytes, rules {}, commands position {}, events position \
                 {}, events {:016x}, state {:016x}",
                state.len(),
                facts.rules_version,
                facts.commands_position,
                facts.events_position,
                facts.events_hash,
                facts.state_hash
            )?,
            Err(error) => writeln!(out, "snapshot {sequence}: {error}")?,
        }
    }
    Ok(())
}

fn inspect_cursors(data: &Path, folder: &Folder, out: &mut dyn Write) -> Result<()> {
    let Some(runtime) = runtime_folder(data, &folder.node) else {
        return Ok(writeln!(out, "no runtime folder: the last shutdown was clean")?);
    };
    let cursors = CursorsReader::open(&runtime)?;
    writeln!(out, "cursors in {}:", runtime.display())?;
    for kind in CursorKind::ALL {
        let place = cursors.place(kind);
        writeln!(out, "  {kind:?}: position {} sequence {}", place.position, place.sequence)?;
    }
    for reader in ReaderSlots::open(&runtime)?.list() {
        let (slot, pid) = (reader.slot, reader.process.pid);
        writeln!(
            out,
            "  reader {slot} (process {pid}): position {} sequence {}",
            reader.position, reader.sequence
        )?;
    }
    Ok(())
}
