//! The event log without a log: events are encoded in place and hashed as the node does it, and
//! the space is used again when a batch is full.

use engine::EventSink;
use protocol::event::Trade;
use protocol::record::{RECORD_LENGTH_MAX, encode_into, encoded_length};
use protocol::{Event, EventRecord, Record, RollingHash};

/// As long as a batch of the node's event log.
const BATCH_BYTES: usize = 256 << 10;

/// Where events go.
pub struct MemoryLog {
    batch: Vec<u8>,
    length: usize,
    hash: RollingHash,
    pub events: u64,
    /// Maker's order id and quantity of each trade since they were last taken.
    pub trades: Vec<(u64, u64)>,
}

impl Default for MemoryLog {
    fn default() -> MemoryLog {
        MemoryLog {
            batch: vec![0; BATCH_BYTES + RECORD_LENGTH_MAX],
            length: 0,
            hash: RollingHash::default(),
            events: 0,
            trades: Vec::with_capacity(1 << 12),
        }
    }
}

impl MemoryLog {
    /// The hash over all events so far.
    pub fn hash(&self) -> u64 {
        self.hash.0
    }
}

impl EventSink for MemoryLog {
    fn emit<E: EventRecord>(&mut self, event: E) {
        if self.length >= BATCH_BYTES {
            self.length = 0;
        }
        let out = &mut self.batch[self.length..][..encoded_length::<E>()];
        self.length += encode_into(&event, out);
        self.hash.add(out);
        self.events += 1;
        if E::KIND == Trade::KIND
            && let Event::Trade(trade) = event.into()
        {
            self.trades.push((trade.maker_order.0, trade.quantity.0));
        }
    }
}
