//! A cluster of one: the same path as any other, without anybody to ask.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use protocol::command::{Envelope, Tick};
use protocol::record::{encode, encoded_length};
use protocol::{COMMAND_SCHEMA, MILLISECOND_NS, SECOND_NS};
use store::frame::{FRAME_HEADER_LENGTH, FRAME_LENGTH_MAX};
use store::recovery::Recovery;
use store::segment::{Identity, LogKind, SEGMENT_BYTES, Tail};
use store::writer::{Backing, LogOptions, Spares};
use store::{Durable, DurableFacts, Error, FrameFlags, FrameKind, FrameMeta, Storage, Writer};

use crate::clock::{Reading, Stamper};
use crate::flush::{Durability, FACTS_INTERVAL, FlushThread, Flusher, FrameEnd, sync_period};
use crate::{Committed, NodeId, ProposeError, Replication, Role, Ticket};

/// A tick follows a busy frame at each boundary of this length …
const BUSY_TICK_NS: u64 = 100 * MILLISECOND_NS;
/// … for this long; after that at each boundary of this very length.
const IDLE_TICK_NS: u64 = SECOND_NS;

/// How the log is opened and when it commits.
#[derive(Debug, Clone)]
pub struct AloneOptions {
    pub identity: Identity,
    pub boot_id: u128,
    pub durability: Durability,
    /// At most this is lost at a power failure with `Durability::Async`.
    pub async_interval: Duration,
    pub segment_bytes: u64,
    /// The longest batch that one frame takes.
    pub payload_length_max: usize,
    /// More than this uncommitted: new batches are refused.
    pub uncommitted_bytes_max: u64,
    /// Flush on a thread of its own; else within `tick`, for tests.
    pub flush_thread: bool,
    /// Where the log begins if there is none: after a snapshot, or at the very start.
    pub start: Tail,
    /// The log must be there from this position on.
    pub needed_from: u64,
}

impl AloneOptions {
    pub fn new(identity: Identity) -> AloneOptions {
        AloneOptions {
            identity,
            boot_id: 0,
            durability: Durability::Async,
            async_interval: Duration::from_millis(50),
            segment_bytes: SEGMENT_BYTES,
            payload_length_max: FRAME_LENGTH_MAX - FRAME_HEADER_LENGTH,
            uncommitted_bytes_max: 64 << 20,
            flush_thread: true,
            start: Tail::default(),
            needed_from: 0,
        }
    }
}

/// **Invariants:** `committed ≤ written ≤ appended`; with `Durability::Sync` also
/// `committed ≤ durable`.
pub struct Alone {
    writer: Writer,
    flusher: Arc<Flusher>,
    thread: Option<FlushThread>,
    options: AloneOptions,
    stamper: Stamper,
    now: Reading,
    committed: Committed,
    /// Sequence of the last command in the log.
    last_sequence: u64,
    /// Stamp of the last frame that was more than a tick.
    last_busy: u64,
    tick: Vec<u8>,
    /// When flushing within `tick`: the monotonic time of the last flush and of the last store.
    last_flush: u64,
    last_store: u64,
}

impl Alone {
    /// Opens the command log: `log_directory` holds its segments, `durable_directory` the facts.
    pub fn open(
        storage: Arc<dyn Storage>,
        log_directory: &Path,
        durable_directory: &Path,
        options: AloneOptions,
        now: Reading,
    ) -> Result<(Alone, Recovery), Error> {
        let durable = open_facts(storage.as_ref(), durable_directory, &options)?;
        let in_memory = options.durability == Durability::Memory;
        let mut log = LogOptions::new(LogKind::Commands, options.identity, COMMAND_SCHEMA);
        log.segment_bytes = options.segment_bytes;
        log.payload_length_max = options.payload_length_max;
        log.backing = if in_memory { Backing::Mapped } else { Backing::File };
        log.spares = if options.flush_thread { Spares::Thread } else { Spares::Inline };
        log.start = options.start;
        log.durable_position = if in_memory { 0 } else { durable.facts().position };
        log.needed_from = options.needed_from;
        let (writer, recovery) = Writer::open(storage, log_directory, log)?;
        let tail = recovery.tail;
        let end = FrameEnd { position: tail.position, index: tail.index };
        let flusher = Arc::new(Flusher::new(writer.syncer(), durable, end));
        let thread = match options.flush_thread && !in_memory {
            true => Some(start_thread(&flusher, &options, log_directory)?),
            false => None,
        };
        let mut tick = Vec::with_capacity(encoded_length::<Tick>());
        encode(&Tick { envelope: Envelope::INTERNAL }, &mut tick);
        let alone = Alone {
            writer,
            flusher,
            thread,
            options,
            stamper: Stamper::new(tail.stamp, now),
            now,
            committed: Committed { position: tail.position, sequence: tail.sequence },
            last_sequence: tail.sequence,
            last_busy: 0,
            tick,
            last_flush: now.monotonic,
            last_store: now.monotonic,
        };
        Ok((alone, recovery))
    }

    /// The largest batch that one frame takes.
    pub fn payload_length_max(&self) -> usize {
        self.writer.payload_length_max()
    }

    /// How often the wall clock was found more than a second away from stored time.
    pub fn clock_steps(&self) -> u64 {
        self.stamper.steps()
    }

    /// The end of the log as written.
    pub fn tail(&self) -> &Tail {
        self.writer.tail()
    }

    /// On disk up to here.
    pub fn durable_position(&self) -> u64 {
        self.writer.durable()
    }

    /// For whoever takes snapshots, on whichever thread.
    pub fn settler(&self) -> Settler {
        let in_memory = self.options.durability == Durability::Memory;
        Settler { flusher: Arc::clone(&self.flusher), in_memory }
    }

    fn append(&mut self, records: &[u8], count: u32, stamp: u64) -> Ticket {
        let first_sequence = self.last_sequence + 1;
        let last_sequence = self.last_sequence + u64::from(count);
        let meta = FrameMeta {
            kind: FrameKind::Commands,
            flags: FrameFlags::ENDS_COMMAND,
            count,
            // No election has been held.
            term: 0,
            first_sequence,
            last_sequence,
            stamp,
            hash: 0,
        };
        self.writer.append(&meta, records);
        self.last_sequence = last_sequence;
        Ticket { index: self.writer.tail().index, first_sequence, last_sequence }
    }

    /// Appends a tick if stored time has passed its boundary.
    fn append_tick(&mut self) {
        let last = self.writer.tail().stamp;
        let time = self.stamper.advance(self.now);
        let is_busy = last.saturating_sub(self.last_busy) < SECOND_NS;
        let step = if is_busy { BUSY_TICK_NS } else { IDLE_TICK_NS };
        let boundary = (last / step + 1) * step;
        if last > 0 && time >= boundary {
            let stamp = self.stamper.stamp(self.now);
            let tick = std::mem::take(&mut self.tick);
            self.append(&tick, 1, stamp);
            self.tick = tick;
        }
    }

    fn write_and_commit(&mut self) -> Result<(), Error> {
        if self.writer.unwritten_bytes() > 0 {
            self.writer.write()?;
            let Tail { position, index, .. } = *self.writer.tail();
            self.flusher.note_written(FrameEnd { position, index });
            if self.options.durability == Durability::Sync {
                self.flusher.sync()?;
            }
        }
        let Tail { position, sequence, .. } = *self.writer.tail();
        self.committed = Committed { position, sequence };
        Ok(())
    }

    /// What the flush thread does, without one.
    fn flush_inline(&mut self) -> Result<(), Error> {
        let AloneOptions { durability, async_interval, .. } = self.options;
        if self.thread.is_some() || durability == Durability::Memory {
            return Ok(());
        }
        let period = sync_period(durability, async_interval);
        let now = self.now.monotonic;
        if now.saturating_sub(self.last_flush) < period.as_nanos() as u64 {
            return Ok(());
        }
        self.last_flush = now;
        let end = self.flusher.sync()?;
        if now.saturating_sub(self.last_store) >= FACTS_INTERVAL.as_nanos() as u64 {
            self.last_store = now;
            self.flusher.store(end, None)?;
        }
        Ok(())
    }
}

impl Replication for Alone {
    fn propose(&mut self, records: &[u8], count: u32) -> Result<Ticket, ProposeError> {
        if self.writer.is_stopped() {
            return Err(ProposeError::Failed(Error::Stopped));
        }
        let uncommitted = self.writer.tail().position - self.committed.position;
        if uncommitted > self.options.uncommitted_bytes_max {
            return Err(ProposeError::Full);
        }
        let stamp = self.stamper.stamp(self.now);
        self.last_busy = stamp;
        Ok(self.append(records, count, stamp))
    }

    /// There is nobody whose message could come.
    fn step(&mut self, _: NodeId, _: &[u8]) -> Result<(), Error> {
        Ok(())
    }

    fn tick(&mut self, now: Reading) -> Result<(), Error> {
        self.now = now;
        if let Some(error) = self.thread.as_ref().and_then(FlushThread::take_failure) {
            return Err(error);
        }
        self.append_tick();
        Ok(())
    }

    fn advance(&mut self) -> Result<(), Error> {
        self.write_and_commit()?;
        self.flush_inline()
    }

    fn committed(&self) -> Committed {
        self.committed
    }

    fn role(&self) -> Role {
        Role::Leader
    }

    fn send(&mut self, _: &mut dyn FnMut(NodeId, &[u8])) {}
}

/// Makes the command log durable on demand, whatever the durability.
#[derive(Clone)]
pub struct Settler {
    flusher: Arc<Flusher>,
    in_memory: bool,
}

impl Settler {
    /// Makes durable what was written of the command log, and stores how far it and the event log
    /// (`events_position`, synced by the caller) are on disk. Nothing to do for a log in memory.
    pub fn settle(&self, events_position: u64) -> Result<(), Error> {
        if self.in_memory {
            return Ok(());
        }
        let end = self.flusher.sync()?;
        self.flusher.store(end, Some(events_position))
    }
}

fn start_thread(
    flusher: &Arc<Flusher>,
    options: &AloneOptions,
    directory: &Path,
) -> Result<FlushThread, Error> {
    let period = sync_period(options.durability, options.async_interval);
    FlushThread::start(Arc::clone(flusher), period).map_err(|source| Error::Io {
        action: "start a thread for",
        file: directory.to_owned(),
        source,
    })
}

fn open_facts(
    storage: &dyn Storage,
    directory: &Path,
    options: &AloneOptions,
) -> Result<Durable, Error> {
    storage.create_directory(directory).map_err(|source| Error::Io {
        action: "create",
        file: directory.to_owned(),
        source,
    })?;
    if Durable::exists(storage, directory)? {
        return Durable::open(storage, directory, options.identity);
    }
    let facts = DurableFacts {
        identity: options.identity,
        boot_id: options.boot_id,
        ..DurableFacts::default()
    };
    Durable::create(storage, directory, &facts)
}
