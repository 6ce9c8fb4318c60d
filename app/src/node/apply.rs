//! The second stage: committed commands → engine → event log; and the snapshots.

use anyhow::{Context, Result};
use engine::Engine;
use protocol::{Command, Records, Sequence, Sequenced, Stamp};
use replication::Settler;
use store::segment::LogKind;
use store::{CursorKind, Cursors, Reader, SnapshotFacts, Snapshots};

use super::event_log::EventLog;
use super::ingest::stalls;
use super::{NodeOptions, Shared};

/// Applies what is committed.
pub struct Apply {
    engine: Engine,
    events: EventLog,
    commands: Reader,
    cursors: Cursors,
    snapshots: Snapshots,
    settler: Settler,
    shared: Shared,
    snapshots_kept: usize,
    retention_bytes_max: u64,
    /// The rules in force when they were last looked at.
    rules: u32,
    /// The disk is full: nothing is applied until what was emitted can be written.
    is_stalled: bool,
}

impl Apply {
    pub(super) fn new(
        engine: Engine,
        events: EventLog,
        commands: Reader,
        shared: &Shared,
        snapshots: Snapshots,
        settler: Settler,
        options: &NodeOptions,
    ) -> Apply {
        let rules = engine.rules();
        Apply {
            engine,
            events,
            commands,
            cursors: shared.cursors.clone(),
            snapshots,
            settler,
            shared: shared.clone(),
            snapshots_kept: options.snapshots_kept,
            retention_bytes_max: options.retention_bytes_max,
            rules,
            is_stalled: false,
        }
    }

    /// The exchange as it stands.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Does it wait for room on the disk?
    pub fn is_stalled(&self) -> bool {
        self.is_stalled
    }

    /// The hash over all events so far.
    pub fn events_hash(&self) -> u64 {
        self.events.hash()
    }

    /// One turn: everything that is committed now. True when there was something to do.
    pub fn poll(&mut self) -> Result<bool> {
        if self.is_stalled {
            self.publish()?;
        }
        let committed = self.cursors.position(CursorKind::Committed);
        let mut applied = false;
        while !self.is_stalled && self.apply_frame(committed)? {
            applied = true;
            if self.events.is_batch_full() {
                self.publish()?;
            }
        }
        if applied {
            self.publish()?;
            let sequence = self.engine.last_sequence().0;
            self.cursors.publish(CursorKind::Applied, self.commands.position(), sequence);
            self.snapshot_if_rules_changed()?;
        }
        Ok(applied)
    }

    fn publish(&mut self) -> Result<()> {
        let published = self.events.publish(&self.cursors);
        self.is_stalled = stalls(published, self.is_stalled)?;
        Ok(())
    }

    /// Applies the next frame below `limit`, if there is one.
    pub(super) fn apply_frame(&mut self, limit: u64) -> Result<bool> {
        let Apply { commands, engine, events, .. } = self;
        let Some(frame) = commands.next(limit).context("command log")? else { return Ok(false) };
        for (view, sequence) in Records::new(frame.payload).zip(frame.header.first_sequence..) {
            let command = view.and_then(|view| Command::decode(&view)).with_context(|| {
                format!("command {sequence} in the frame at position {}", frame.position)
            })?;
            events.begin_command(sequence, frame.header.stamp);
            let (sequence_of, stamp) = (Sequence(sequence), Stamp(frame.header.stamp));
            let input = Sequenced { sequence: sequence_of, stamp, command: &command };
            engine.apply(&input, events);
            events.end_command()?;
        }
        Ok(true)
    }

    pub(super) fn publish_if_full(&mut self) -> Result<()> {
        if self.events.is_batch_full() {
            self.events.publish(&self.cursors)?;
        }
        Ok(())
    }

    pub(super) fn publish_recovered(&mut self) -> Result<()> {
        self.events.publish(&self.cursors)?;
        self.events.publish_tail(&self.cursors);
        let sequence = self.engine.last_sequence().0;
        self.cursors.publish(CursorKind::Applied, self.commands.position(), sequence);
        Ok(())
    }

    /// Each version of the rules begins with a snapshot, so that a build without the older one can
    /// start there.
    fn snapshot_if_rules_changed(&mut self) -> Result<()> {
        let rules = self.engine.rules();
        let before = std::mem::replace(&mut self.rules, rules);
        if before != 0 && before != rules && !self.is_stalled {
            self.snapshot()?;
        }
        Ok(())
    }

    /// A snapshot that was asked for; on a full disk it is told and not taken.
    pub(super) fn snapshot_on_request(&mut self) -> Result<()> {
        let taken = self.snapshot();
        let is_full = |error: &anyhow::Error| {
            self.is_stalled || error.downcast_ref().is_some_and(store::Error::is_retryable)
        };
        match taken {
            Err(error) if is_full(&error) => {
                eprintln!("outcry: {error:#}");
                Ok(())
            }
            taken => taken.map(drop),
        }
    }

    /// Stops the world and writes the state down, once both logs up to it are durable.
    pub fn snapshot(&mut self) -> Result<SnapshotFacts> {
        anyhow::ensure!(!self.is_stalled, "no snapshot: the disk is full; make room and try again");
        self.engine.check_invariants();
        let events_position = self.events.sync()?;
        self.settler.settle(events_position)?;
        self.cursors.publish(CursorKind::EventsDurable, events_position, 0);
        let mut state = Vec::new();
        self.engine.save(&mut state);
        let tail = *self.commands.tail();
        let facts = SnapshotFacts {
            identity: self.shared.identity,
            schema: Engine::STATE_SCHEMA,
            rules_version: self.engine.rules(),
            sequence: self.engine.last_sequence().0,
            index: tail.index,
            term: tail.term,
            commands_position: tail.position,
            events_position: self.events.position(),
            events_hash: self.events.hash(),
            state_hash: self.engine.state_hash(),
            stamp: tail.stamp,
        };
        self.snapshots.write(&facts, &state).context("snapshot")?;
        self.retire()?;
        Ok(facts)
    }

    /// Lets go of old snapshots, and of segments below the kept ones when the logs take too much.
    fn retire(&mut self) -> Result<()> {
        self.snapshots.keep(self.snapshots_kept)?;
        let oldest = self.snapshots.list()?.first().copied();
        let Some(oldest) = oldest.filter(|_| self.retention_bytes_max > 0) else { return Ok(()) };
        let (storage, log) = (self.shared.storage.as_ref(), &self.shared.place.log);
        let segments = store::inspect(storage, log)?.segments;
        let bytes: u64 = segments.iter().map(|segment| segment.length).sum();
        if bytes > self.retention_bytes_max {
            // A damaged one holds nothing back and nothing up: `verify` tells of it.
            let Ok((facts, _)) = self.snapshots.read(oldest) else { return Ok(()) };
            store::retire(storage, log, LogKind::Commands, facts.commands_position)?;
            store::retire(storage, log, LogKind::Events, facts.events_position)?;
        }
        Ok(())
    }
}
