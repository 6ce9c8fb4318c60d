//! The first stage: rings → sequencer → replication → command log.

use anyhow::{Result, bail};
use replication::{Alone, Clock, ProposeError, Replication, Ticket};
use sequencer::Sequencer;
use store::Error;
use store::ring::Consumer;
use store::{CursorKind, Cursors};

/// Batches proposed before what was proposed is written.
const BATCHES_PER_TURN_MAX: usize = 16;

/// Takes commands in and commits them.
pub struct Ingest {
    sequencer: Sequencer,
    replication: Alone,
    clock: Box<dyn Clock>,
    cursors: Cursors,
    clock_steps: u64,
    /// Records dropped because they were no command, as far as was told.
    unreadable: u64,
    /// The disk is full: nothing new is taken until what was taken can be written.
    is_stalled: bool,
}

impl Ingest {
    pub(super) fn new(replication: Alone, clock: Box<dyn Clock>, cursors: Cursors) -> Ingest {
        let sequencer = Sequencer::new(replication.payload_length_max());
        Ingest {
            sequencer,
            replication,
            clock,
            cursors,
            clock_steps: 0,
            unreadable: 0,
            is_stalled: false,
        }
    }

    /// Adds a producer's ring.
    pub fn attach(&mut self, consumer: Consumer) {
        self.sequencer.attach(consumer);
    }

    /// Does it wait for room on the disk?
    pub fn is_stalled(&self) -> bool {
        self.is_stalled
    }

    /// One turn; true when there was something to do.
    pub fn poll(&mut self) -> Result<bool> {
        let mut proposed = false;
        if !self.is_stalled {
            self.replication.tick(self.clock.read())?;
            for _ in 0..BATCHES_PER_TURN_MAX {
                match self.propose()? {
                    Some(_) => proposed = true,
                    None => break,
                }
            }
        }
        let advanced = self.replication.advance();
        self.is_stalled = stalls(advanced, self.is_stalled)?;
        self.sequencer.release(self.replication.committed().sequence);
        self.publish();
        self.report_clock();
        self.report_unreadable();
        Ok(proposed)
    }

    /// Is something waiting in a ring?
    pub(super) fn has_work(&self) -> bool {
        self.sequencer.has_work()
    }

    pub(super) fn committed(&self) -> u64 {
        self.replication.committed().position
    }

    fn propose(&mut self) -> Result<Option<Ticket>> {
        let Some(batch) = self.sequencer.collect()? else { return Ok(None) };
        match self.replication.propose(batch.records, batch.count) {
            Ok(ticket) => {
                self.sequencer.proposed(ticket.last_sequence);
                Ok(Some(ticket))
            }
            Err(ProposeError::Full) => Ok(None),
            Err(ProposeError::NotLeader { .. }) => {
                self.sequencer.rewind();
                Ok(None)
            }
            Err(ProposeError::Failed(error)) => bail!(error),
        }
    }

    pub(super) fn publish(&self) {
        let (tail, committed) = (self.replication.tail(), self.replication.committed());
        let cursors = &self.cursors;
        cursors.publish(CursorKind::Appended, tail.position, tail.sequence);
        cursors.publish(CursorKind::Committed, committed.position, committed.sequence);
        cursors.publish(CursorKind::Durable, self.replication.durable_position(), 0);
    }

    fn report_unreadable(&mut self) {
        let unreadable = self.sequencer.unreadable();
        if unreadable != self.unreadable {
            self.unreadable = unreadable;
            eprintln!("outcry: {unreadable} records of rings were no commands and are dropped");
        }
    }

    fn report_clock(&mut self) {
        let steps = self.replication.clock_steps();
        if steps != self.clock_steps {
            self.clock_steps = steps;
            eprintln!(
                "outcry: the wall clock is more than 1 s away from stored time; stored time \
                 approaches it by 5 ms a second"
            );
        }
    }
}

/// A full disk is waited for: nothing is lost, the batch is written once there is room. True while
/// it is full; told once.
pub(super) fn stalls(written: Result<(), Error>, was_stalled: bool) -> Result<bool> {
    match written {
        Ok(()) => Ok(false),
        Err(error) if error.is_retryable() => {
            if !was_stalled {
                eprintln!("outcry: {error}");
            }
            Ok(true)
        }
        Err(error) => bail!(error),
    }
}
