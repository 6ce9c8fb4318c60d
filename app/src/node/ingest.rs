//! The first stage: rings → sequencer → replication → command log.

use anyhow::{Result, bail};
use replication::{Alone, Clock, ProposeError, Replication, Ticket};
use sequencer::Sequencer;
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
}

impl Ingest {
    pub(super) fn new(replication: Alone, clock: Box<dyn Clock>, cursors: Cursors) -> Ingest {
        let sequencer = Sequencer::new(replication.payload_length_max());
        Ingest { sequencer, replication, clock, cursors, clock_steps: 0 }
    }

    /// Adds a producer's ring.
    pub fn attach(&mut self, consumer: Consumer) {
        self.sequencer.attach(consumer);
    }

    /// One turn; true when there was something to do.
    pub fn poll(&mut self) -> Result<bool> {
        self.replication.tick(self.clock.read())?;
        let mut proposed = false;
        for _ in 0..BATCHES_PER_TURN_MAX {
            match self.propose()? {
                Some(_) => proposed = true,
                None => break,
            }
        }
        self.replication.advance()?;
        self.sequencer.release(self.replication.committed().sequence);
        self.publish();
        self.report_clock();
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
