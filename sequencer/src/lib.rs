//! Many producers, one order: polls the rings and batches what is there.
//!
//! A record's place in the batch is its place in the log; nothing is reordered within a ring. What
//! was taken stays in its ring until it is committed, so that after a change of leader it can be
//! taken again. The sequencer never knows what a command means: it only sees to it that whatever
//! gets a sequence can be read again.

use std::collections::VecDeque;

use protocol::record::RECORD_LENGTH_MAX;
use protocol::{Command, RecordView};
use store::ring::Consumer;

/// Commands that are ready to be proposed together.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Records, one after the other.
    pub records: &'a [u8],
    pub count: u32,
}

/// One producer's ring.
struct Inlet {
    consumer: Consumer,
    /// What was proposed and is not committed: (last sequence, ring position behind it).
    proposed: VecDeque<(u64, u64)>,
    /// Records that were no command: a producer's bug, dropped and counted.
    unreadable: u64,
}

/// **Invariants:** what stands in `batch` was taken from the rings and not proposed yet.
pub struct Sequencer {
    inlets: Vec<Inlet>,
    batch: Vec<u8>,
    count: u32,
    count_max: usize,
    /// The ring that is polled first next time, so that none starves the others.
    first: usize,
}

impl Sequencer {
    /// `payload_length_max`: the longest batch that the log takes.
    pub fn new(payload_length_max: usize) -> Sequencer {
        let count_max = (payload_length_max / RECORD_LENGTH_MAX).max(1);
        let batch = Vec::with_capacity(count_max * RECORD_LENGTH_MAX);
        Sequencer { inlets: Vec::new(), batch, count: 0, count_max, first: 0 }
    }

    /// Adds a producer's ring.
    pub fn attach(&mut self, consumer: Consumer) {
        self.inlets.push(Inlet { consumer, proposed: VecDeque::new(), unreadable: 0 });
    }

    /// What is to be proposed next: what was put back, or else what the rings hold now.
    pub fn collect(&mut self) -> Result<Option<Batch<'_>>, store::Error> {
        if self.count == 0 {
            self.poll_rings()?;
        }
        let Sequencer { batch, count, .. } = self;
        Ok((*count > 0).then_some(Batch { records: batch, count: *count }))
    }

    fn poll_rings(&mut self) -> Result<(), store::Error> {
        let rings = self.inlets.len();
        for at in 0..rings {
            let room = self.count_max - self.count as usize;
            let inlet = &mut self.inlets[(self.first + at) % rings];
            let (batch, count) = (&mut self.batch, &mut self.count);
            let unreadable = &mut inlet.unreadable;
            inlet.consumer.poll(room, |bytes| match is_command(bytes) {
                true => {
                    batch.extend_from_slice(bytes);
                    *count += 1;
                }
                false => *unreadable += 1,
            })?;
        }
        self.first = (self.first + 1) % rings.max(1);
        Ok(())
    }

    /// Is there anything to collect?
    pub fn has_work(&self) -> bool {
        self.count > 0 || self.inlets.iter().any(|inlet| inlet.consumer.has_work())
    }

    /// The batch was proposed and ends with this sequence.
    pub fn proposed(&mut self, last_sequence: u64) {
        for inlet in &mut self.inlets {
            let taken = inlet.consumer.taken();
            if inlet.proposed.back().map_or(inlet.consumer.released(), |(_, at)| *at) < taken {
                inlet.proposed.push_back((last_sequence, taken));
            }
        }
        self.batch.clear();
        self.count = 0;
    }

    /// Everything up to this sequence is committed: the producers may have its space again.
    pub fn release(&mut self, committed: u64) {
        for inlet in &mut self.inlets {
            while let Some((_, taken)) =
                inlet.proposed.front().filter(|(last, _)| *last <= committed)
            {
                inlet.consumer.release(*taken);
                inlet.proposed.pop_front();
            }
        }
    }

    /// Another node leads now: everything that was not committed will be taken again.
    pub fn rewind(&mut self) {
        self.batch.clear();
        self.count = 0;
        for inlet in &mut self.inlets {
            inlet.proposed.clear();
            inlet.consumer.rewind_to_released();
        }
    }

    /// Records that were dropped because they were no command.
    pub fn unreadable(&self) -> u64 {
        self.inlets.iter().map(|inlet| inlet.unreadable).sum()
    }
}

/// Is this exactly one command? A log holds nothing that cannot be applied.
fn is_command(bytes: &[u8]) -> bool {
    RecordView::read(bytes, 0)
        .is_ok_and(|view| view.bytes.len() == bytes.len() && Command::decode(&view).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::command::{Envelope, GatewayJoined};
    use store::ring::{Class, Producer, anonymous};

    const PAYLOAD_MAX: usize = 4 * RECORD_LENGTH_MAX;

    fn join(nonce: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        Command::from(GatewayJoined { envelope: Envelope::INTERNAL, nonce }).encode(&mut bytes);
        bytes
    }

    fn nonces(batch: Option<Batch<'_>>) -> Vec<u64> {
        let records = batch.map_or(&[][..], |batch| batch.records);
        let decode = |view| match Command::decode(&view) {
            Ok(Command::GatewayJoined(joined)) => joined.nonce,
            other => panic!("{other:?}"),
        };
        protocol::Records::new(records).map(|view| decode(view.unwrap())).collect()
    }

    fn with_rings(count: usize) -> (Sequencer, Vec<Producer>) {
        let mut sequencer = Sequencer::new(PAYLOAD_MAX);
        let producers = (0..count)
            .map(|_| {
                let (producer, consumer) = anonymous(4096).unwrap();
                sequencer.attach(consumer);
                producer
            })
            .collect();
        (sequencer, producers)
    }

    #[test]
    fn rings_are_taken_in_turn_and_each_in_its_own_order() {
        let (mut sequencer, mut producers) = with_rings(2);
        for nonce in [1, 2, 3] {
            producers[0].push(&join(nonce), Class::Order).unwrap();
        }
        producers[1].push(&join(11), Class::Order).unwrap();
        assert_eq!(nonces(sequencer.collect().unwrap()), [1, 2, 3, 11]);
        sequencer.proposed(4);
        producers[0].push(&join(4), Class::Order).unwrap();
        producers[1].push(&join(12), Class::Order).unwrap();
        assert_eq!(nonces(sequencer.collect().unwrap()), [12, 4]);
    }

    #[test]
    fn a_batch_that_was_not_proposed_is_collected_again() {
        let (mut sequencer, mut producers) = with_rings(1);
        producers[0].push(&join(1), Class::Order).unwrap();
        assert_eq!(nonces(sequencer.collect().unwrap()), [1]);
        producers[0].push(&join(2), Class::Order).unwrap();
        assert_eq!(nonces(sequencer.collect().unwrap()), [1]);
        sequencer.proposed(1);
        assert_eq!(nonces(sequencer.collect().unwrap()), [2]);
    }

    #[test]
    fn space_is_given_back_when_committed_and_not_before() {
        let (mut sequencer, mut producers) = with_rings(1);
        producers[0].push(&join(1), Class::Order).unwrap();
        let used = producers[0].used();
        assert!(sequencer.collect().unwrap().is_some());
        sequencer.proposed(7);
        sequencer.release(6);
        assert_eq!(producers[0].used(), used);
        sequencer.release(7);
        assert_eq!(producers[0].used(), 0);
    }

    #[test]
    fn after_a_change_of_leader_the_uncommitted_is_taken_again() {
        let (mut sequencer, mut producers) = with_rings(1);
        for nonce in [1, 2] {
            producers[0].push(&join(nonce), Class::Order).unwrap();
            assert!(sequencer.collect().unwrap().is_some());
            sequencer.proposed(nonce);
        }
        sequencer.release(1);
        sequencer.rewind();
        assert_eq!(nonces(sequencer.collect().unwrap()), [2]);
    }

    #[test]
    fn what_is_no_command_never_gets_a_sequence() {
        let (mut sequencer, mut producers) = with_rings(1);
        let mut two = join(1);
        two.extend(join(2));
        for bytes in [&[0; 16][..], &[], &join(3)[..8], &two] {
            producers[0].push(bytes, Class::Order).unwrap();
        }
        assert!(sequencer.collect().unwrap().is_none());
        assert_eq!(sequencer.unreadable(), 4);
        producers[0].push(&join(4), Class::Order).unwrap();
        assert_eq!(nonces(sequencer.collect().unwrap()), [4]);
    }
}
