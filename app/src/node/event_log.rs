//! The event log as the engine's sink: events are encoded in place into frames, hashed, and
//! published at the ends of commands. While a node recovers, the events that replay gives are
//! compared with those that are there.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use engine::EventSink;
use protocol::record::{encode, encode_into, encoded_length};
use protocol::{EventRecord, RecordView, RollingHash};
use store::reader::From;
use store::segment::LogKind;
use store::{
    CursorKind, Cursors, Error, FrameFlags, FrameKind, FrameMeta, Reader, Storage, Syncer, Writer,
};

/// A batch is written when it is this long, even when more is to be applied.
const BATCH_BYTES_MAX: usize = 64 << 10;

/// Events are hashed when there are so many bytes of them: they are in the nearest cache still, and
/// those of one command are too few for the hash to get going.
const HASHED_BYTES: usize = 2 << 10;

/// The log is derived and no commit waits for it, but each full segment stays open until it is
/// synced, and the next snapshot has to wait for all of them: a thread syncs now and then …
const SYNC_PERIOD: Duration = Duration::from_secs(1);
/// … and with more than these the writer does it itself.
const UNSYNCED_SEGMENTS_MAX: usize = 64;

/// **Invariants:** `hash` covers the first `hashed` bytes of the open frame and every event before it;
/// the open frame holds events of commands
/// `first_sequence ..= sequence` and has room for `room` bytes more, and none is open when that is 0.
pub struct EventLog {
    writer: Writer,
    hash: RollingHash,
    hashed: usize,
    room: usize,
    /// What is being compared, until replay has reached the end of what is there.
    comparison: Option<Comparison>,
    /// Events in the open frame.
    count: u32,
    first_sequence: u64,
    /// The command being applied, its stamp, and the last one completed.
    sequence: u64,
    stamp: u64,
    completed: u64,
    syncing: Option<SyncThread>,
}

impl EventLog {
    pub(super) fn new(writer: Writer, hash: u64, completed: u64) -> EventLog {
        EventLog {
            writer,
            hash: RollingHash(hash),
            hashed: 0,
            room: 0,
            comparison: None,
            count: 0,
            first_sequence: 0,
            sequence: completed,
            stamp: 0,
            completed,
            syncing: None,
        }
    }

    /// Syncs on a thread of its own from here on.
    pub(super) fn sync_now_and_then(&mut self) -> std::io::Result<()> {
        self.syncing = Some(SyncThread::start(self.writer.syncer())?);
        Ok(())
    }

    /// From here on events are compared with those of the log, up to its end.
    pub(super) fn compare(
        &mut self,
        storage: Arc<dyn Storage>,
        directory: &std::path::Path,
        from: u64,
    ) -> Result<(), Error> {
        let limit = self.writer.tail().position;
        let last_sequence = self.writer.tail().sequence;
        let from = From::Position(from);
        let reader = Reader::open(storage, directory, LogKind::Events, from, limit, true)?;
        let comparison = Comparison {
            reader,
            limit,
            last_sequence,
            event: Vec::new(),
            frame: Vec::new(),
            at: 0,
            frame_hash: 0,
            frames: 0,
            divergence: None,
        };
        self.comparison = Some(comparison).filter(|_| last_sequence > self.completed);
        Ok(())
    }

    /// The hash over all events so far. Between commands only.
    pub fn hash(&self) -> u64 {
        let mut hash = self.hash;
        hash.add(self.unhashed());
        hash.0
    }

    pub(super) fn position(&self) -> u64 {
        self.writer.tail().position
    }

    pub(super) fn begin_command(&mut self, sequence: u64, stamp: u64) {
        (self.sequence, self.stamp) = (sequence, stamp);
    }

    /// The command's events are complete.
    pub(super) fn end_command(&mut self) -> Result<(), Divergence> {
        self.completed = self.sequence;
        let Some(comparison) = &mut self.comparison else {
            if self.unhashed().len() >= HASHED_BYTES {
                self.hash_events();
            }
            return Ok(());
        };
        let over = comparison.end_command(self.completed, self.hash.0)?;
        if over {
            self.comparison = None;
        }
        Ok(())
    }

    /// Ends the open frame where a command ends.
    fn end_frame(&mut self) {
        if self.count > 0 {
            self.finish_frame(FrameFlags::ENDS_COMMAND);
        }
    }

    fn finish_frame(&mut self, flags: FrameFlags) {
        self.hash_events();
        let meta = FrameMeta {
            kind: FrameKind::Events,
            flags,
            count: self.count,
            term: 0,
            first_sequence: self.first_sequence,
            last_sequence: self.completed,
            stamp: self.stamp,
            hash: self.hash.0,
        };
        self.writer.resume().finish(&meta);
        (self.count, self.hashed, self.room) = (0, 0, 0);
    }

    /// Events of the open frame that are not in the hash.
    fn unhashed(&self) -> &[u8] {
        match self.room {
            0 => &[],
            _ => &self.writer.open_payload()[self.hashed..],
        }
    }

    /// Hashes what was encoded since the last time. One by one each event would wait for the stores
    /// that encoded it.
    fn hash_events(&mut self) {
        let mut hash = self.hash;
        let events = self.unhashed();
        hash.add(events);
        self.hashed += events.len();
        self.hash = hash;
    }

    /// Is there so much to write that readers should not wait for more?
    pub(super) fn is_batch_full(&self) -> bool {
        self.writer.unwritten_bytes() >= BATCH_BYTES_MAX
    }

    /// Writes what was emitted and lets readers see it. Between commands only.
    pub(super) fn publish(&mut self, cursors: &Cursors) -> Result<(), Error> {
        self.end_frame();
        if self.writer.unwritten_bytes() > 0 {
            self.writer.write()?;
            self.publish_tail(cursors);
            if self.writer.unsynced_segments() > UNSYNCED_SEGMENTS_MAX {
                self.writer.sync()?;
            }
        }
        Ok(())
    }

    pub(super) fn publish_tail(&self, cursors: &Cursors) {
        let tail = self.writer.tail();
        cursors.publish(CursorKind::Published, tail.position, tail.sequence);
    }

    /// Makes everything published durable.
    pub(super) fn sync(&mut self) -> Result<u64, Error> {
        self.writer.sync()
    }

    #[inline]
    fn append<E: EventRecord>(&mut self, event: &E) {
        let length = encoded_length::<E>();
        if length >= self.room {
            self.begin_frame();
        }
        self.room -= length;
        self.count += 1;
        self.writer.resume().push_with(length, |out| encode_into(event, out));
    }

    #[cold]
    fn begin_frame(&mut self) {
        if self.count > 0 {
            self.finish_frame(FrameFlags::default());
        }
        self.first_sequence = self.sequence;
        // One more than what fits: 0 is no frame.
        self.room = self.payload_length_max() + 1;
    }

    fn payload_length_max(&self) -> usize {
        // A frame as long as a batch: readers of other processes get it soon enough.
        self.writer.payload_length_max().min(BATCH_BYTES_MAX)
    }
}

impl EventSink for EventLog {
    #[inline]
    fn emit<E: EventRecord>(&mut self, event: E) {
        match &mut self.comparison {
            None => self.append(&event),
            Some(comparison) => {
                comparison.event.clear();
                encode(&event, &mut comparison.event);
                self.hash.add(&comparison.event);
                comparison.compare(E::KIND, self.sequence);
            }
        }
    }
}

/// Syncs the event log until it is dropped. A failure stops the writer, which tells.
struct SyncThread {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl SyncThread {
    fn start(syncer: Syncer) -> std::io::Result<SyncThread> {
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let run = move || {
            while !is_over.load(Ordering::Acquire) && syncer.sync().is_ok() {
                thread::park_timeout(SYNC_PERIOD);
            }
        };
        let thread = thread::Builder::new().name("sync events".to_owned()).spawn(run)?;
        Ok(SyncThread { over, thread: Some(thread) })
    }
}

impl Drop for SyncThread {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic there was printed by its own hook; there is nothing to add.
            let _ = thread.join();
        }
    }
}

/// Replay and the event log differ: the log was damaged, or this build's engine is another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Divergence {
    pub sequence: u64,
    /// Of the event-log frame.
    pub position: u64,
    pub what: &'static str,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Divergence { sequence, position, what } = self;
        write!(
            f,
            "replay of command {sequence} differs from the event log at position {position}: \
             {what}; run the build that wrote the log, or restore the folder from a backup"
        )
    }
}

impl std::error::Error for Divergence {}

/// The events that are there, beside those that replay gives.
struct Comparison {
    reader: Reader,
    limit: u64,
    /// The last command whose events are there.
    last_sequence: u64,
    /// The record of the event that replay gave.
    event: Vec<u8>,
    /// The payload of the frame being compared, and how far it is.
    frame: Vec<u8>,
    at: usize,
    frame_hash: u64,
    frames: u64,
    divergence: Option<Divergence>,
}

impl Comparison {
    fn compare(&mut self, kind: u16, sequence: u64) {
        if self.divergence.is_some() {
            return;
        }
        if self.at == self.frame.len()
            && let Err(what) = self.next_frame()
        {
            self.diverge(sequence, what);
            return;
        }
        let there = self.frame.get(self.at..self.at + self.event.len());
        if there != Some(&self.event) {
            let rest = self.frame.get(self.at..).unwrap_or_default();
            let other_kind = RecordView::read(rest, 0).is_ok_and(|view| view.kind != kind);
            self.diverge(
                sequence,
                if other_kind { "another kind of event" } else { "other values" },
            );
            return;
        }
        self.at += self.event.len();
    }

    fn next_frame(&mut self) -> Result<(), &'static str> {
        match self.reader.next(self.limit) {
            Ok(Some(frame)) => {
                self.frame.clear();
                self.frame.extend_from_slice(frame.payload);
                self.frame_hash = frame.header.hash;
                self.at = 0;
                self.frames += 1;
                Ok(())
            }
            Ok(None) => Err("the log has fewer events"),
            Err(_) => Err("the event log cannot be read"),
        }
    }

    fn diverge(&mut self, sequence: u64, what: &'static str) {
        let position = self.reader.position();
        self.divergence = Some(Divergence { sequence, position, what });
    }

    /// True when everything that is there was compared.
    fn end_command(&mut self, sequence: u64, hash: u64) -> Result<bool, Divergence> {
        let at_frame_end = self.at == self.frame.len();
        if at_frame_end && self.frames > 0 && hash != self.frame_hash {
            self.diverge(sequence, "the events hash of the frame is another");
        }
        if sequence >= self.last_sequence && !(at_frame_end && self.reader.position() == self.limit)
        {
            self.diverge(sequence, "the log has more events");
        }
        match self.divergence.clone() {
            Some(divergence) => Err(divergence),
            None => Ok(sequence >= self.last_sequence),
        }
    }
}
