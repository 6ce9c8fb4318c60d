//! A data folder that is only looked at: replay, verify, inspect. Works without any configuration,
//! and beside a node that runs on the folder.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use engine::{Engine, EventSink, RULES_VERSION};
use protocol::{Command, EventRecord, Records, Sequence, Sequenced, Stamp};
use store::reader::From;
use store::segment::LogKind;
use store::{Disk, Durable, Reader, SnapshotFacts, Snapshots, Storage};

use crate::node::{NodeFile, Place};

/// The parts of a folder.
pub struct Folder {
    pub storage: Arc<dyn Storage>,
    pub place: Place,
    pub node: NodeFile,
    pub snapshots: Snapshots,
}

/// Where a replay begins.
pub struct Beginning {
    pub engine: Engine,
    /// Default when it begins with the log.
    pub facts: SnapshotFacts,
}

impl Folder {
    pub fn open(data: &Path) -> Result<Folder> {
        let (place, node) = Place::existing(data)?;
        let storage = Disk::shared();
        let snapshots = Snapshots::open(Arc::clone(&storage), &place.snapshots, node.identity)?;
        Ok(Folder { storage, place, node, snapshots })
    }

    /// Where the good part of a log ends. What lies behind was torn or is being written; damage
    /// below what is known to be durable is an error.
    pub fn end(&self, kind: LogKind) -> Result<u64> {
        let durable = self.durable_position(kind)?;
        let verified = store::verify(self.storage.as_ref(), &self.place.log, kind, durable)?;
        match verified.problem {
            Some(problem) if !verified.is_torn_tail => bail!(problem),
            _ => Ok(verified.tail.position),
        }
    }

    /// How far a log is known to be on disk; nothing of a log in memory is.
    pub fn durable_position(&self, kind: LogKind) -> Result<u64> {
        let is_on_disk = !self.place.in_memory;
        if !is_on_disk || !Durable::exists(self.storage.as_ref(), &self.place.durable)? {
            return Ok(0);
        }
        let facts = Durable::peek(self.storage.as_ref(), &self.place.durable)?;
        Ok(match kind {
            LogKind::Commands => facts.position,
            LogKind::Events => facts.events_position,
            // Nobody waits until it is on the disk.
            LogKind::Feed => 0,
        })
    }

    pub fn reader(&self, kind: LogKind, from: From, limit: u64) -> Result<Reader> {
        let storage = Arc::clone(&self.storage);
        Ok(Reader::open(storage, &self.place.log, kind, from, limit, true)?)
    }

    /// The very start of the log, or the oldest snapshot if the start is gone.
    pub fn beginning(&self) -> Result<Beginning> {
        let first = store::inspect(self.storage.as_ref(), &self.place.log)?
            .segments
            .into_iter()
            .filter_map(|segment| segment.header.ok())
            .find(|header| header.kind == LogKind::Commands);
        let begins_at = first.map_or(0, |header| header.first_position);
        if begins_at == 0 {
            return Ok(Beginning { engine: Engine::new(), facts: SnapshotFacts::default() });
        }
        for sequence in self.snapshots.list()? {
            let (facts, state) = self.snapshots.read(sequence)?;
            if facts.commands_position >= begins_at {
                return Ok(Beginning { engine: load(&facts, &state)?, facts });
            }
        }
        bail!("the command log begins at position {begins_at} and no snapshot reaches it")
    }

    /// The state at the end of the command log, by way of the newest good snapshot.
    pub fn latest(&self) -> Result<Engine> {
        let newest = self.snapshots.newest_good(u64::MAX, |facts| {
            facts.schema == Engine::STATE_SCHEMA && facts.rules_version <= RULES_VERSION
        })?;
        let (mut engine, from) = match newest.good {
            Some((facts, state)) => (load(&facts, &state)?, facts.commands_position),
            None => (Engine::new(), 0),
        };
        let mut commands = Commands::of(self, from)?;
        let mut apply = |input: &Sequenced<'_>| {
            engine.apply(input, &mut Forgotten);
            Ok(())
        };
        while commands.next_frame(&mut apply)? {}
        Ok(engine)
    }
}

/// Takes events that nobody asks for.
struct Forgotten;

impl EventSink for Forgotten {
    fn emit<E: EventRecord>(&mut self, _: E) {}
}

/// The engine of a snapshot, its hash checked.
pub fn load(facts: &SnapshotFacts, state: &[u8]) -> Result<Engine> {
    let what = || format!("snapshot {}", facts.sequence);
    if facts.schema != Engine::STATE_SCHEMA {
        bail!("{} holds a state of another build; use the build that wrote it", what());
    }
    let engine = Engine::load(state).with_context(what)?;
    engine.check_invariants();
    let hash = engine.state_hash();
    if hash != facts.state_hash {
        bail!(
            "{}: state hash {hash:016x}, expected {:016x}; remove it or restore it",
            what(),
            facts.state_hash
        );
    }
    Ok(engine)
}

/// The commands of a log from a position on, as the engine takes them.
pub struct Commands {
    reader: Reader,
    end: u64,
}

impl Commands {
    pub fn of(folder: &Folder, from: u64) -> Result<Commands> {
        let end = folder.end(LogKind::Commands)?;
        let reader = folder.reader(LogKind::Commands, From::Position(from), end)?;
        Ok(Commands { reader, end })
    }

    /// Shows the commands of the next frame; false when there is none.
    pub fn next_frame(
        &mut self,
        mut see: impl FnMut(&Sequenced<'_>) -> Result<()>,
    ) -> Result<bool> {
        let Some(frame) = self.reader.next(self.end)? else { return Ok(false) };
        let stamp = Stamp(frame.header.stamp);
        let sequences = frame.header.first_sequence..;
        for (view, sequence) in Records::new(frame.payload).zip(sequences) {
            let command = Command::decode(&view?)
                .with_context(|| format!("command {sequence} at position {}", frame.position))?;
            see(&Sequenced { sequence: Sequence(sequence), stamp, command: &command })?;
        }
        Ok(true)
    }

    /// Bytes read and bytes in all, for progress.
    pub fn progress(&self) -> (u64, u64) {
        (self.reader.position(), self.end)
    }
}
