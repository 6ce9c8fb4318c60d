//! The event log without a log: events are encoded in place, of a whole engine also hashed as the
//! node does it, and the space is used again when a batch is full.

use engine::EventSink;
use protocol::event::{CommandRefused, Trade};
use protocol::record::{RECORD_LENGTH_MAX, encode_into};
use protocol::{Event, EventRecord, Record, RejectReason, RollingHash};

/// As long as a batch of the node's event log.
const BATCH_BYTES: usize = 64 << 10;

/// Events are hashed when there are so many bytes of them, as the node's event log does it: they are
/// in the nearest cache still, and a command alone is too short for the hash to get going.
const HASHED_BYTES: usize = 2 << 10;

/// Where events go. The batch has room for the longest record behind its end.
pub struct MemoryLog {
    batch: Box<[u8; BATCH_BYTES + RECORD_LENGTH_MAX]>,
    length: usize,
    /// What of the batch is in the hash.
    hashed: usize,
    /// None: a book alone has no log whose hash anybody would compare.
    hash: Option<RollingHash>,
    pub events: u64,
    /// In batches before this one.
    bytes: u64,
    /// Maker's order id and quantity of each trade since they were last taken.
    pub trades: Vec<(u64, u64)>,
    /// Commands that ended.
    pub commands: u64,
    /// The first command, counted from 0, that was refused since this was last taken, and why.
    pub refused: Option<(u64, RejectReason)>,
}

impl Default for MemoryLog {
    fn default() -> MemoryLog {
        MemoryLog {
            batch: Box::new([0; BATCH_BYTES + RECORD_LENGTH_MAX]),
            length: 0,
            hashed: 0,
            hash: Some(RollingHash::default()),
            events: 0,
            bytes: 0,
            trades: Vec::with_capacity(1 << 12),
            commands: 0,
            refused: None,
        }
    }
}

impl MemoryLog {
    pub fn without_hash() -> MemoryLog {
        MemoryLog { hash: None, ..MemoryLog::default() }
    }

    /// The hash over all events so far, if there is one. Between commands only.
    pub fn hash(&self) -> Option<u64> {
        let mut hash = self.hash?;
        hash.add(&self.batch[self.hashed..self.length]);
        Some(hash.0)
    }

    /// Of all records so far.
    pub fn bytes(&self) -> u64 {
        self.bytes + self.length as u64
    }

    /// The command's events are complete.
    #[inline]
    pub fn end_command(&mut self) {
        self.commands += 1;
        if self.length - self.hashed >= HASHED_BYTES {
            self.hash_events();
        }
    }

    #[inline(never)]
    fn hash_events(&mut self) {
        if let Some(hash) = &mut self.hash {
            hash.add(&self.batch[self.hashed..self.length]);
        }
        self.hashed = self.length;
    }

    /// Returns where the next event goes.
    #[cold]
    #[inline(never)]
    fn begin_batch(&mut self) -> usize {
        self.hash_events();
        self.bytes += self.length as u64;
        (self.length, self.hashed) = (0, 0);
        0
    }
}

impl EventSink for MemoryLog {
    #[inline]
    fn emit<E: EventRecord>(&mut self, event: E) {
        let at = if self.length > BATCH_BYTES { self.begin_batch() } else { self.length };
        self.length = at + encode_into(&event, &mut self.batch[at..]);
        self.events += 1;
        if E::KIND == Trade::KIND
            && let Event::Trade(trade) = event.clone().into()
        {
            self.trades.push((trade.maker_order.0, trade.quantity.0));
        }
        if E::KIND == CommandRefused::KIND
            && let Event::CommandRefused(refused) = event.into()
        {
            self.refused.get_or_insert((self.commands, refused.reason));
        }
    }
}
