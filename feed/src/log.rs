//! The log of a feed, `DIR/feed`: who keeps the feed writes it, gateways and others read it, in this
//! process or another.
//!
//! ```text
//! DIR/feed/lock                            held by the one who writes, for as long as he lives
//! DIR/feed/feed-00000000000000000001.seg   segments, see docs/format.md
//! DIR/feed/feed.spare                      the next segment
//! DIR/feed/run/cursors                     how far readers may go, and the writer's heartbeat
//! ```
//!
//! It is bounded: old segments are retired, whoever reads them. A segment begins with a checkpoint
//! that tells everything anew, so a reader begins with the newest one and stands where all others do.
//! Nothing waits for the disk: after a power cut the log may be gone, and the feed begins anew.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use marketdata::Feeds;
use protocol::feed::{FeedSourceDefined, FeedStatusChanged};
use protocol::record::encoded_length;
use protocol::{FEED_SCHEMA, FeedEvent, MILLISECOND_NS, Records, SECOND_NS, Stamp};
use store::frame::FRAME_HEADER_LENGTH;
use store::reader::From;
use store::segment::{self, Identity, Opened};
use store::{
    CursorKind, Cursors, CursorsReader, Disk, Error, FrameFlags, FrameKind, FrameMeta, LogKind,
    LogOptions, Reader, Runtime, Storage, Writer,
};

/// The folder in the data folder.
pub const FEED_FOLDER: &str = "feed";

/// A frame is ended when it is this long, or where a segment is so small, as long as it may be.
const FRAME_BYTES: usize = 64 << 10;
/// No record of a feed is longer.
const RECORD_BYTES: usize = 128;
const _: () = assert!(encoded_length::<FeedStatusChanged>() <= RECORD_BYTES);
const _: () = assert!(encoded_length::<FeedSourceDefined>() <= RECORD_BYTES);
/// What is appended and not published is written when it is this long.
const BATCH_BYTES: usize = 1 << 20;

/// A writer that has not been heard of for so long is gone.
pub const HEARTBEAT_MAX_NS: u64 = 5 * SECOND_NS;
/// How often a reader looks whether there is a log, or another one.
const LOOK_NS: u64 = 250 * MILLISECOND_NS;
/// How often one poll begins with a log that changes under it.
const OPENS_MAX: usize = 3;

/// Bounds of a feed's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedLogOptions {
    /// Size of a segment.
    pub segment_bytes: u64,
    /// Size of all segments together, at least two of them.
    pub log_bytes: u64,
}

impl Default for FeedLogOptions {
    fn default() -> FeedLogOptions {
        FeedLogOptions { segment_bytes: 16 << 20, log_bytes: 256 << 20 }
    }
}

impl FeedLogOptions {
    fn segments_max(&self) -> usize {
        let segments = self.log_bytes.checked_div(self.segment_bytes).unwrap_or(0);
        usize::try_from(segments).unwrap_or(usize::MAX).max(2)
    }
}

/// The one who writes.
///
/// **Invariants:** `told` is what a reader of everything appended knows; what is published ends
/// where no message of a venue is cut.
pub struct FeedLog {
    writer: Writer,
    cursors: Cursors,
    directory: PathBuf,
    options: FeedLogOptions,
    told: Feeds,
    /// A frame is ended when it is this long.
    frame_bytes: usize,
    /// Room for one record.
    record: Vec<u8>,
    /// Records in the open frame.
    count: u32,
    now: Stamp,
    /// The end of the newest frame after which no message is cut.
    whole: u64,
    checkpoint: Checkpoint,
    /// A segment was begun and older ones are not retired yet.
    has_rolled: bool,
    /// The disk is full: nothing is appended until there is room, and then everything anew.
    is_behind: bool,
    failed: Option<Error>,
    discarded: Option<String>,
    /// The last to go.
    _lock: store::Lock,
}

/// The newest checkpoint: where it begins and ends.
#[derive(Debug, Clone, Copy, Default)]
struct Checkpoint {
    begin: u64,
    end: u64,
}

impl FeedLog {
    /// Takes the lock, and goes on behind what is there. Sources of an earlier writer are gone for
    /// all readers: whoever writes defines his own.
    ///
    /// Errors: somebody else writes (`Locked`); the disk. A damaged log is begun anew.
    pub fn open(data: &Path, options: &FeedLogOptions, now_ns: u64) -> Result<FeedLog, Error> {
        let directory = data.join(FEED_FOLDER);
        let lock = store::Lock::acquire(&directory)?;
        let (writer, identity, discarded) = open_writer(&directory, options)?;
        let cursors = Runtime::within(&directory, identity.cluster)?.cursors()?;
        let whole = writer.tail().position;
        let frame_bytes = FRAME_BYTES.min(writer.payload_length_max().saturating_sub(RECORD_BYTES));
        let mut log = FeedLog {
            writer,
            cursors,
            directory,
            options: *options,
            told: Feeds::new(),
            frame_bytes,
            record: Vec::with_capacity(RECORD_BYTES),
            count: 0,
            now: Stamp(0),
            whole,
            checkpoint: Checkpoint::default(),
            has_rolled: false,
            is_behind: false,
            failed: None,
            discarded,
            _lock: lock,
        };
        log.begin_segment();
        log.publish(now_ns)?;
        Ok(log)
    }

    /// Why the log that was there was thrown away, if it was.
    pub fn discarded(&self) -> Option<&str> {
        self.discarded.as_deref()
    }

    /// What readers know once everything is published.
    pub fn told(&self) -> &Feeds {
        &self.told
    }

    /// Adds a record; readers see it after the next [`FeedLog::publish`] at which no message is cut.
    /// Checkpoints are the log's own: one that is handed in is left out.
    pub fn append(&mut self, event: &FeedEvent) {
        if matches!(event, FeedEvent::FeedCheckpointBegan(_)) {
            return;
        }
        if let FeedEvent::FeedBookCommitted(committed) = event {
            self.now = self.now.max(Stamp(committed.receive_ns));
        }
        if self.is_behind || self.failed.is_some() {
            return self.told.apply(event, self.now, |_| {});
        }
        let mut bytes = std::mem::take(&mut self.record);
        bytes.clear();
        event.encode(&mut bytes);
        if !self.fits(bytes.len()) {
            self.begin_segment();
        }
        self.push(&bytes);
        self.record = bytes;
        self.told.apply(event, self.now, |_| {});
        if self.writer.open_payload().len() >= self.frame_bytes {
            self.finish(!self.told.is_between());
        }
        if self.writer.unwritten_bytes() >= BATCH_BYTES {
            self.write();
        }
    }

    /// Lets readers see what was appended, and tells them that the writer lives: to be called every
    /// second at least, whether there was something or not.
    ///
    /// Errors: `NoSpace` may be tried again, and then nothing that matters is lost; others stay.
    pub fn publish(&mut self, now_ns: u64) -> Result<(), Error> {
        self.now = self.now.max(Stamp(now_ns));
        if self.is_behind {
            self.writer.write()?;
            self.is_behind = false;
            if self.count > 0 {
                self.finish(false);
            }
            self.writer.roll();
            self.write_checkpoint();
        }
        if self.count > 0 {
            self.finish(!self.told.is_between());
        }
        self.write();
        if let Some(error) = self.failed.take() {
            if !error.is_retryable() {
                // The writer has stopped and says so from here on.
                self.is_behind = true;
            }
            return Err(error);
        }
        self.cursors.publish(CursorKind::Published, self.whole, self.writer.tail().index);
        // As the clock is, also when it was set back: readers compare it with theirs.
        let heartbeat = now_ns.max(1);
        self.cursors.publish(CursorKind::Appended, self.writer.tail().position, heartbeat);
        if std::mem::take(&mut self.has_rolled) {
            // A segment stays open until it is synced.
            self.writer.sync()?;
            self.retire()?;
        }
        Ok(())
    }

    fn write(&mut self) {
        if let Err(error) = self.writer.write() {
            self.is_behind |= error.is_retryable();
            self.failed = Some(error);
        }
    }

    /// Is there room for a record more in this segment?
    fn fits(&self, length: usize) -> bool {
        let open = FRAME_HEADER_LENGTH + self.writer.open_payload().len();
        (open + length) as u64 <= self.writer.room()
    }

    fn push(&mut self, record: &[u8]) {
        self.writer.resume().push(record);
        self.count += 1;
    }

    fn finish(&mut self, is_whole: bool) {
        let flags = if is_whole { FrameFlags::ENDS_COMMAND } else { FrameFlags(0) };
        let count = std::mem::take(&mut self.count);
        let meta = FrameMeta {
            kind: FrameKind::Feed,
            flags,
            count,
            term: 0,
            first_sequence: 0,
            last_sequence: 0,
            stamp: self.now.0,
            hash: 0,
        };
        let end = self.writer.resume().finish(&meta);
        if is_whole {
            self.whole = end;
        }
    }

    /// Begins a segment with a checkpoint, unless the last checkpoint is longer than what came after:
    /// then the log goes on as it is.
    fn begin_segment(&mut self) {
        if self.count > 0 {
            self.finish(!self.told.is_between());
        }
        let Checkpoint { begin, end } = self.checkpoint;
        let since = self.writer.tail().position.saturating_sub(end);
        if since < end.saturating_sub(begin) {
            self.has_rolled = true;
            return;
        }
        self.writer.roll();
        self.write_checkpoint();
    }

    fn write_checkpoint(&mut self) {
        let begin = self.writer.tail().position;
        let told = std::mem::take(&mut self.told);
        let mut bytes = Vec::with_capacity(RECORD_BYTES);
        told.checkpoint(|event| {
            bytes.clear();
            event.encode(&mut bytes);
            self.push(&bytes);
            if self.writer.open_payload().len() >= self.frame_bytes {
                self.finish(false);
            }
        });
        // A frame of its own: where the checkpoint ends is always the end of a frame.
        let is_whole = !told.is_between();
        self.told = told;
        self.finish(is_whole);
        self.checkpoint = Checkpoint { begin, end: self.writer.tail().position };
        self.has_rolled = true;
    }

    /// Unlinks the oldest segments above the bound, but nothing from the newest checkpoint on.
    fn retire(&mut self) -> Result<(), Error> {
        let numbers = segment::list(&Disk, &self.directory, LogKind::Feed)?;
        let surplus = numbers.len().saturating_sub(self.options.segments_max());
        let Some(first) = numbers.get(surplus).filter(|_| surplus > 0) else { return Ok(()) };
        if let Opened::Good(header) =
            segment::open_header(&Disk, &self.directory, LogKind::Feed, *first)?
        {
            self.writer.retire(header.first_position.min(self.checkpoint.begin))?;
        }
        Ok(())
    }
}

impl Drop for FeedLog {
    /// Readers need not wait for the heartbeat.
    fn drop(&mut self) {
        self.cursors.publish(CursorKind::Appended, self.writer.tail().position, 0);
    }
}

/// Opens what is there, from its newest segment on; what is damaged is thrown away, and why is told.
fn open_writer(
    directory: &Path,
    options: &FeedLogOptions,
) -> Result<(Writer, Identity, Option<String>), Error> {
    let opened = newest_header(directory).and_then(|header| {
        let identity = header.map_or_else(new_identity, |header| header.identity);
        let from = header.map_or(0, |header| header.first_position);
        Ok((open_at(directory, options, identity, from)?, identity))
    });
    match opened {
        Ok((writer, identity)) => Ok((writer, identity, None)),
        Err(error) if is_damage(&error) => {
            for number in segment::list(&Disk, directory, LogKind::Feed)? {
                let path = segment::path(directory, LogKind::Feed, number);
                std::fs::remove_file(&path).map_err(|source| Error::Io {
                    action: "remove",
                    file: path,
                    source,
                })?;
            }
            let identity = new_identity();
            let writer = open_at(directory, options, identity, 0)?;
            Ok((writer, identity, Some(error.to_string())))
        }
        Err(error) => Err(error),
    }
}

fn open_at(
    directory: &Path,
    options: &FeedLogOptions,
    identity: Identity,
    needed_from: u64,
) -> Result<Writer, Error> {
    let log = LogOptions {
        segment_bytes: options.segment_bytes,
        zero_filled: false,
        needed_from,
        ..LogOptions::new(LogKind::Feed, identity, FEED_SCHEMA)
    };
    Ok(Writer::open(Arc::new(Disk), directory, log)?.0)
}

/// Is it worth nothing to keep? What a feed told lives no longer than its writer anyway.
fn is_damage(error: &Error) -> bool {
    matches!(
        error,
        Error::Corrupt { .. }
            | Error::Foreign { .. }
            | Error::UnknownSchema { .. }
            | Error::Truncated { .. }
            | Error::MissingSegment { .. }
    )
}

fn newest_header(directory: &Path) -> Result<Option<segment::SegmentHeader>, Error> {
    let numbers = segment::list(&Disk, directory, LogKind::Feed)?;
    let Some(newest) = numbers.last() else { return Ok(None) };
    match segment::open_header(&Disk, directory, LogKind::Feed, *newest)? {
        Opened::Good(header) => Ok(Some(header)),
        Opened::Damaged(what) => {
            let file = segment::path(directory, LogKind::Feed, *newest);
            Err(Error::Corrupt { file, offset: 0, what })
        }
    }
}

/// Of a log that is begun: no two are the same.
fn new_identity() -> Identity {
    // Its keys come from the operating system.
    let draw = || u128::from(RandomState::new().hash_one(std::process::id()));
    Identity { cluster: draw() << 64 | draw(), node: 0 }
}

/// What a reader finds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Polled {
    /// There is a log.
    pub is_there: bool,
    /// Somebody writes it.
    pub is_live: bool,
    /// The writer's time when it was heard of last.
    pub heartbeat: Stamp,
    /// There is more to be read at once.
    pub has_more: bool,
}

/// One who reads, wherever he is. The log may be there or not, come later, or be another one after a
/// while: the reader goes on by himself, with a checkpoint.
pub struct FeedReader {
    directory: PathBuf,
    attached: Option<Attached>,
    looked_ns: Option<u64>,
    problem: Option<String>,
}

struct Attached {
    cursors: CursorsReader,
    /// The file that they are in.
    file: (u64, u64),
    reader: Reader,
}

impl FeedReader {
    pub fn new(data: &Path) -> FeedReader {
        let directory = data.join(FEED_FOLDER);
        FeedReader { directory, attached: None, looked_ns: None, problem: None }
    }

    /// Why nothing can be read, if something is there and it cannot.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Hands over what was published since the last call, in order, each record with the stamp of
    /// its frame: all of it, or at least `records_max` and up to the end of a message. `now_ns` is
    /// the wall clock.
    ///
    /// The first record of all is a checkpoint's, and again whenever the reader had to begin anew.
    pub fn poll(
        &mut self,
        now_ns: u64,
        records_max: usize,
        mut see: impl FnMut(&FeedEvent, Stamp),
    ) -> Polled {
        // Retired under us, or another log by now: at once from its newest checkpoint, so that
        // nobody is left in the middle of a message.
        for _ in 0..OPENS_MAX {
            self.look(now_ns);
            let Some(attached) = &mut self.attached else { return Polled::default() };
            let heartbeat = attached.cursors.place(CursorKind::Appended).sequence;
            let is_live = heartbeat > 0 && heartbeat.abs_diff(now_ns) <= HEARTBEAT_MAX_NS;
            match attached.read(records_max, &mut see) {
                Ok(has_more) => {
                    self.problem = None;
                    let heartbeat = Stamp(heartbeat);
                    return Polled { is_there: true, is_live, heartbeat, has_more };
                }
                Err(ReadError::Store(Error::Vanished { .. } | Error::Cut { .. })) => {
                    (self.attached, self.looked_ns) = (None, None);
                }
                Err(error) => {
                    self.problem = Some(error.to_string());
                    self.attached = None;
                    break;
                }
            }
        }
        Polled { is_there: true, ..Polled::default() }
    }

    /// Now and then: is there a log now, or another one?
    fn look(&mut self, now_ns: u64) {
        let is_due = self.looked_ns.is_none_or(|looked| looked.abs_diff(now_ns) >= LOOK_NS);
        if !is_due {
            return;
        }
        self.looked_ns = Some(now_ns);
        let file = file_of(&self.directory.join("run").join("cursors"));
        if file.is_none() {
            self.problem = None;
        }
        if file.is_none() || self.attached.as_ref().is_some_and(|it| Some(it.file) != file) {
            self.attached = None;
        }
        let (Some(file), None) = (file, &self.attached) else { return };
        match Attached::open(&self.directory, file) {
            Ok(attached) => self.attached = Some(attached),
            // Retired between two looks at it.
            Err(Error::Vanished { .. }) => {}
            Err(error) => self.problem = Some(error.to_string()),
        }
    }
}

/// Device and number of a file that is there.
fn file_of(path: &Path) -> Option<(u64, u64)> {
    let facts = std::fs::metadata(path).ok()?;
    Some((facts.dev(), facts.ino()))
}

/// Why a log cannot be read on.
enum ReadError {
    Store(Error),
    Record(protocol::RecordError),
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReadError::Store(error) => write!(out, "{error}"),
            ReadError::Record(error) => write!(out, "feed log: {error}"),
        }
    }
}

impl Attached {
    fn open(directory: &Path, file: (u64, u64)) -> Result<Attached, Error> {
        let cursors = CursorsReader::open(&directory.join("run"))?;
        let limit = cursors.position(CursorKind::Published);
        let storage: Arc<dyn Storage> = Arc::new(Disk);
        let open =
            |from| Reader::open(Arc::clone(&storage), directory, LogKind::Feed, from, limit, true);
        let mut numbers = segment::list(storage.as_ref(), directory, LogKind::Feed)?;
        while let Some(number) = numbers.pop() {
            let header = segment::open_header(storage.as_ref(), directory, LogKind::Feed, number)?;
            let Opened::Good(header) = header else { continue };
            if header.first_position >= limit {
                continue;
            }
            let from = From::Position(header.first_position);
            let begins = open(from)?.next(limit)?.is_some_and(|frame| is_checkpoint(frame.payload));
            if begins {
                return Ok(Attached { cursors, file, reader: open(from)? });
            }
        }
        Ok(Attached { cursors, file, reader: open(From::Start)? })
    }

    /// True when there is more.
    fn read(
        &mut self,
        records_max: usize,
        see: &mut impl FnMut(&FeedEvent, Stamp),
    ) -> Result<bool, ReadError> {
        let published = self.cursors.position(CursorKind::Published);
        let mut seen = 0;
        while let Some(frame) = self.reader.next(published).map_err(ReadError::Store)? {
            for view in Records::new(frame.payload) {
                let event = view.and_then(|view| FeedEvent::decode(&view));
                see(&event.map_err(ReadError::Record)?, Stamp(frame.header.stamp));
                seen += 1;
            }
            if seen >= records_max && frame.header.flags.ends_command() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn is_checkpoint(payload: &[u8]) -> bool {
    let first = Records::new(payload).next().and_then(Result::ok);
    first.is_some_and(|view| view.is::<protocol::feed::FeedCheckpointBegan>())
}

#[cfg(test)]
mod tests;
