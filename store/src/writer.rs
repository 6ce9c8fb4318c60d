//! The one writer of a log.
//!
//! Frames are built in a heap buffer, each chained to the one before (no input or output, cannot
//! fail). `write` hands the batch to the file in one `pwrite` per segment, `sync` or a [`Syncer`]
//! on another thread makes it durable. Roll-over happens in `write`: when it fails for want of
//! space the batch stays as it is and `write` can be called again.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::Error;
use crate::frame::{
    FRAME_HEADER_LENGTH, FRAME_LENGTH_MAX, FrameHeader, FrameMeta, checksum, padded,
};
use crate::map::MapMut;
use crate::recovery::{self, Last, Recovery};
use crate::segment::{self, Identity, LogKind, SEGMENT_BYTES, SEGMENT_HEADER_LENGTH};
use crate::segment::{SegmentHeader, Tail};
use crate::spare::{Spare, SpareMaker};
use crate::storage::{Storage, StorageFile};

/// Room for a batch before the buffer grows.
const BATCH_BYTES: usize = 256 << 10;

/// How frames get into a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backing {
    /// By `pwrite`; for disks.
    File,
    /// By copying into its map; for tmpfs (durability `memory`). Syncs do nothing.
    Mapped,
}

/// Who makes the next segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spares {
    /// A helper thread, one ahead of its use.
    Thread,
    /// The writer when it needs one: deterministic, for tests and tools.
    Inline,
}

/// What a log is and how it is opened.
#[derive(Clone, Debug)]
pub struct LogOptions {
    pub kind: LogKind,
    pub identity: Identity,
    /// The schema of the records that are written from now on.
    pub schema: u64,
    /// Older schemas that this build reads as well.
    pub schemas_readable: Vec<u64>,
    /// The size of new segments.
    pub segment_bytes: u64,
    /// The largest payload of a frame; a segment's size bounds it too.
    pub payload_length_max: usize,
    pub backing: Backing,
    pub spares: Spares,
    /// New segments are filled with zeros ahead of use. For a log whose syncs somebody waits for; of
    /// one that nobody waits for, the space is only taken, which writes half as much.
    pub zero_filled: bool,
    /// Where the log begins if there is none yet: after a snapshot, or at the very start.
    pub start: Tail,
    /// Known to be on disk: a bad frame below is corruption, above a torn tail.
    pub durable_position: u64,
    /// The log must be there from this position on, and is walked from it (the newest snapshot's,
    /// else 0).
    pub needed_from: u64,
}

impl LogOptions {
    pub fn new(kind: LogKind, identity: Identity, schema: u64) -> LogOptions {
        LogOptions {
            kind,
            identity,
            schema,
            schemas_readable: Vec::new(),
            segment_bytes: SEGMENT_BYTES,
            payload_length_max: FRAME_LENGTH_MAX - FRAME_HEADER_LENGTH,
            backing: Backing::File,
            spares: Spares::Thread,
            zero_filled: true,
            start: Tail::default(),
            durable_position: 0,
            needed_from: 0,
        }
    }

    /// Bytes for frames in one segment.
    fn segment_room(&self) -> u64 {
        self.segment_bytes.saturating_sub(SEGMENT_HEADER_LENGTH as u64)
    }

    fn check(&self) -> Result<(), Error> {
        if self.segment_bytes < 2 * SEGMENT_HEADER_LENGTH as u64
            || self.segment_bytes > u64::from(u32::MAX)
            || !self.segment_bytes.is_multiple_of(SEGMENT_HEADER_LENGTH as u64)
        {
            let what = "segment_bytes must be a multiple of 4096, from 8192 to 4 GiB less 4096";
            return Err(Error::Options { what });
        }
        Ok(())
    }
}

/// The one writer of a log.
///
/// **Invariants:** `batch[batch_written..frame_start]` are whole frames not yet written, in order;
/// `tail` is the log's tail behind them; behind `frame_start` lies at most one open frame.
pub struct Writer {
    storage: Arc<dyn Storage>,
    directory: PathBuf,
    options: LogOptions,
    payload_length_max: usize,
    batch: Vec<u8>,
    batch_written: usize,
    frame_start: usize,
    /// Where in the batch a new segment begins.
    rolls: VecDeque<Roll>,
    tail: Tail,
    /// Bytes left in the segment that `tail` is in.
    room: u64,
    next_number: u64,
    epoch: u64,
    current: Current,
    spares: SpareMaker,
    /// A spare that was taken for a roll-over that failed half-way.
    rolling: Option<Spare>,
    syncing: Arc<Syncing>,
}

struct Roll {
    at: usize,
    header: SegmentHeader,
}

/// The segment that is being written.
struct Current {
    file: Arc<SegmentFile>,
    map: Option<MapMut>,
    /// Where in the file the next byte goes.
    offset: u64,
}

impl Current {
    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match &self.map {
            Some(map) => map.write(self.offset as usize, bytes),
            None => {
                let file = &self.file;
                let written = file.file.write_at(bytes, self.offset);
                written.map_err(Error::io("write", &file.path))?;
            }
        }
        self.offset += bytes.len() as u64;
        Ok(())
    }
}

struct SegmentFile {
    file: Arc<dyn StorageFile>,
    path: PathBuf,
}

impl Writer {
    /// Opens a log: checks what is there, cuts a torn tail, makes the rest durable.
    ///
    /// The caller holds the folder's [`crate::Lock`]. Nothing is changed when this is an error,
    /// but for a cut of what was torn.
    pub fn open(
        storage: Arc<dyn Storage>,
        directory: &Path,
        options: LogOptions,
    ) -> Result<(Writer, Recovery), Error> {
        options.check()?;
        storage.create_directory(directory).map_err(Error::io("create", directory))?;
        let found = recovery::recover(storage.as_ref(), directory, &options)?;
        let spares = SpareMaker::start(&storage, directory, &options)?;
        let (last, recovery) = match found {
            Some(found) => found,
            None => begin_log(storage.as_ref(), directory, &options, &spares)?,
        };
        let current = Current::of(&last, options.backing)?;
        let room = options.segment_room() as usize;
        let payload_length_max =
            options.payload_length_max.min(room.saturating_sub(FRAME_HEADER_LENGTH));
        let syncing = Syncing::new(&storage, directory, &options, &current, last.tail.position);
        let mut writer = Writer {
            storage,
            directory: directory.to_owned(),
            payload_length_max,
            options,
            batch: Vec::with_capacity(BATCH_BYTES),
            batch_written: 0,
            frame_start: 0,
            rolls: VecDeque::with_capacity(4),
            tail: last.tail,
            room: 0,
            next_number: 0,
            epoch: 0,
            current,
            spares,
            rolling: None,
            syncing: Arc::new(syncing),
        };
        writer.stand_at(&last);
        Ok((writer, recovery))
    }

    /// Begins a frame; one that was begun and not finished is forgotten.
    #[inline]
    pub fn begin(&mut self) -> FrameBuilder<'_> {
        self.batch.truncate(self.frame_start);
        self.resume()
    }

    /// Goes on with the frame that was begun, or begins one.
    #[inline]
    pub fn resume(&mut self) -> FrameBuilder<'_> {
        if self.batch.len() == self.frame_start {
            self.batch.extend_from_slice(&[0; FRAME_HEADER_LENGTH]);
        }
        FrameBuilder { writer: self }
    }

    /// The payload of the frame that is open; empty when none is.
    #[inline]
    pub fn open_payload(&self) -> &[u8] {
        self.batch.get(self.frame_start + FRAME_HEADER_LENGTH..).unwrap_or_default()
    }

    /// Appends a whole frame to the batch; gives the position of its end.
    #[inline]
    pub fn append(&mut self, meta: &FrameMeta, payload: &[u8]) -> u64 {
        let mut frame = self.begin();
        frame.push(payload);
        frame.finish(meta)
    }

    /// The tail of the log with everything that was appended, written or not.
    #[inline]
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// Appended and not yet written.
    pub fn unwritten_bytes(&self) -> usize {
        self.frame_start - self.batch_written
    }

    /// Other readers of the files see the log up to here.
    pub fn written(&self) -> u64 {
        self.syncing.written.load(Ordering::Acquire)
    }

    /// On disk up to here, as far as this process has synced or recovered.
    pub fn durable(&self) -> u64 {
        self.syncing.lock().durable
    }

    /// The largest payload that a frame may have.
    pub fn payload_length_max(&self) -> usize {
        self.payload_length_max
    }

    /// Whether the next roll-over needs no waiting; without a spare no new order is admitted.
    pub fn has_spare(&self) -> bool {
        self.rolling.is_some() || self.spares.is_ready()
    }

    /// Full segments that wait to be synced, each with a file open.
    pub fn unsynced_segments(&self) -> usize {
        self.syncing.lock().closed.len()
    }

    /// True after a failure that the writer cannot survive.
    pub fn is_stopped(&self) -> bool {
        self.syncing.is_stopped()
    }

    /// Writes the batch; gives the position up to which readers may now be let.
    ///
    /// `Error::NoSpace` keeps the batch: make room and call again. Other errors stop the writer.
    pub fn write(&mut self) -> Result<u64, Error> {
        self.syncing.check()?;
        self.write_batch().inspect_err(|error| self.syncing.stop_if_fatal(error))
    }

    /// Makes everything written durable; gives the position.
    ///
    /// An error stops the writer and must stop the node: it is never retried.
    pub fn sync(&mut self) -> Result<u64, Error> {
        self.syncing.sync()
    }

    /// Syncs from another thread.
    pub fn syncer(&self) -> Syncer {
        Syncer { syncing: Arc::clone(&self.syncing) }
    }

    /// Cuts the log after the frame that ends at `position`, durably; what was appended and not
    /// written is written first.
    ///
    /// The caller has stored durable facts that do not reach above `position` before: a crash
    /// in the middle would look like corruption otherwise.
    pub fn cut(&mut self, position: u64) -> Result<Tail, Error> {
        self.batch.truncate(self.frame_start);
        self.write()?;
        if position == self.tail.position {
            return Ok(self.tail);
        }
        self.cut_written(position).inspect_err(|error| self.syncing.stop_if_fatal(error))?;
        Ok(self.tail)
    }

    /// Bytes that still fit the segment that the next frame would go to, headers of frames counted.
    pub fn room(&self) -> u64 {
        self.room
    }

    /// The next frame begins a segment, even if it would fit this one. Does nothing in a segment that
    /// has no frame yet.
    pub fn roll(&mut self) {
        if self.room < self.options.segment_room() {
            self.room = 0;
        }
    }

    /// Unlinks the segments that end at or below `position`, but never the newest; gives how many.
    pub fn retire(&mut self, position: u64) -> Result<u64, Error> {
        let (storage, directory) = (self.storage.as_ref(), &self.directory);
        recovery::retire(storage, directory, self.options.kind, position)
    }

    fn stand_at(&mut self, last: &Last) {
        self.tail = last.tail;
        self.next_number = last.header.number.saturating_add(1);
        self.epoch = last.epoch;
        // Records of another schema begin in a segment of their own.
        let same_schema = last.header.schema == self.options.schema;
        let left = last.header.segment_bytes.saturating_sub(last.offset);
        self.room = if same_schema { left } else { 0 };
    }

    fn finish_frame(&mut self, meta: &FrameMeta) -> u64 {
        let length = padded(self.batch.len() - self.frame_start);
        self.batch.resize(self.frame_start + length, 0);
        if length as u64 > self.room {
            self.plan_roll();
        }
        let mut header = FrameHeader::new(meta, length as u32, self.tail.index + 1);
        assert_eq!(self.tail.refuses(&header), None, "a frame that does not follow the last");
        let frame = &mut self.batch[self.frame_start..];
        frame[..FRAME_HEADER_LENGTH].copy_from_slice(&header.to_bytes());
        header.checksum = checksum(self.tail.checksum, frame);
        frame[4..8].copy_from_slice(&header.checksum.to_le_bytes());
        self.tail = self.tail.after(&header);
        self.room -= length as u64;
        self.frame_start = self.batch.len();
        self.tail.position
    }

    /// The frame being finished goes to a new segment, whose header it is chained to. The file is
    /// made when the batch is written.
    #[cold]
    fn plan_roll(&mut self) {
        let header =
            SegmentHeader::following(&self.tail, self.next_number, self.epoch, &self.options);
        self.tail = header.tail();
        self.room = self.options.segment_room();
        self.next_number = self.next_number.saturating_add(1);
        self.rolls.push_back(Roll { at: self.frame_start, header });
    }

    fn write_batch(&mut self) -> Result<u64, Error> {
        while let Some(roll) = self.rolls.front() {
            let (at, header) = (roll.at, roll.header);
            self.write_run(at)?;
            self.roll_over(&header)?;
            self.rolls.pop_front();
        }
        self.write_run(self.frame_start)?;
        // What remains is the frame that is open, if one is.
        self.batch.drain(..self.frame_start);
        self.batch_written = 0;
        self.frame_start = 0;
        Ok(self.tail.position)
    }

    /// Writes the batch up to `end`, all of it within the current segment.
    fn write_run(&mut self, end: usize) -> Result<(), Error> {
        let run = &self.batch[self.batch_written..end];
        if run.is_empty() {
            return Ok(());
        }
        self.current.put(run)?;
        self.syncing.written.fetch_add(run.len() as u64, Ordering::Release);
        self.batch_written = end;
        Ok(())
    }

    fn roll_over(&mut self, header: &SegmentHeader) -> Result<(), Error> {
        let spare = match self.rolling.take() {
            Some(spare) => spare,
            None => self.spares.take()?,
        };
        let spare = &*self.rolling.insert(spare);
        let (storage, directory) = (self.storage.as_ref(), &self.directory);
        let last = name_spare(storage, directory, spare, header, Durably::WithTheFirstSync)?;
        self.current = Current {
            file: Arc::new(SegmentFile { file: last.file, path: last.path }),
            map: self.rolling.take().and_then(|spare| spare.map),
            offset: last.offset,
        };
        self.syncing.roll_over(&self.current.file);
        self.spares.order_next();
        Ok(())
    }

    fn cut_written(&mut self, position: u64) -> Result<(), Error> {
        let (storage, directory) = (self.storage.as_ref(), &self.directory);
        let last = recovery::cut(storage, directory, &self.options, position)?;
        self.current = Current::of(&last, self.options.backing)?;
        self.syncing.cut(&self.current.file, position);
        let epoch = self.epoch.saturating_add(1);
        self.stand_at(&last);
        self.epoch = epoch;
        Ok(())
    }
}

impl Current {
    fn of(last: &Last, backing: Backing) -> Result<Current, Error> {
        let map = match backing {
            Backing::File => None,
            Backing::Mapped => Some(last.file.map_mut().map_err(Error::io("map", &last.path))?),
        };
        let file = SegmentFile { file: Arc::clone(&last.file), path: last.path.clone() };
        Ok(Current { file: Arc::new(file), map, offset: last.offset })
    }
}

/// When the header of a new segment gets to the disk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Durably {
    /// Before the file has its name: there is no segment before it to fall back to.
    AtOnce,
    /// With the first frame that counts.
    WithTheFirstSync,
}

/// Gives a spare its header and its name.
fn name_spare(
    storage: &dyn Storage,
    directory: &Path,
    spare: &Spare,
    header: &SegmentHeader,
    durably: Durably,
) -> Result<Last, Error> {
    let from = directory.join(header.kind.spare_name());
    let path = segment::path(directory, header.kind, header.number);
    let bytes = header.to_bytes();
    match &spare.map {
        Some(map) => map.write(0, &bytes),
        None => spare.file.write_at(&bytes, 0).map_err(Error::io("write", &from))?,
    }
    if durably == Durably::AtOnce {
        spare.file.sync_data().map_err(Error::sync(&from))?;
    }
    storage.rename(&from, &path).map_err(Error::io("rename", &from))?;
    if durably == Durably::AtOnce {
        storage.sync_directory(directory).map_err(Error::sync(directory))?;
    }
    let file = Arc::clone(&spare.file);
    let (tail, offset, epoch) = (header.tail(), SEGMENT_HEADER_LENGTH as u64, header.epoch);
    Ok(Last { file, path, header: *header, tail, offset, epoch })
}

/// Makes the first segment of a log.
fn begin_log(
    storage: &dyn Storage,
    directory: &Path,
    options: &LogOptions,
    spares: &SpareMaker,
) -> Result<(Last, Recovery), Error> {
    let header = SegmentHeader::following(&options.start, 1, 1, options);
    let spare = spares.take()?;
    let last = name_spare(storage, directory, &spare, &header, Durably::AtOnce)?;
    spares.order_next();
    let recovery = Recovery::of_new_log(&last);
    Ok((last, recovery))
}

/// A frame being built at the end of the batch.
pub struct FrameBuilder<'a> {
    writer: &'a mut Writer,
}

impl FrameBuilder<'_> {
    /// Appends one record (or part of one) to the payload; the caller pads records to 16.
    #[inline]
    pub fn push(&mut self, bytes: &[u8]) {
        self.writer.batch.extend_from_slice(bytes);
        self.check_length();
    }

    /// Appends `length` zeros and lets the caller write into them: no copy.
    #[inline]
    pub fn push_with<R>(&mut self, length: usize, write: impl FnOnce(&mut [u8]) -> R) -> R {
        let start = self.writer.batch.len();
        self.writer.batch.resize(start + length, 0);
        self.check_length();
        write(&mut self.writer.batch[start..])
    }

    /// Bytes pushed so far.
    #[inline]
    pub fn payload_length(&self) -> usize {
        self.writer.batch.len() - self.writer.frame_start - FRAME_HEADER_LENGTH
    }

    /// Ends the frame; gives the position of its end. The payload is padded to 16.
    #[inline]
    pub fn finish(self, meta: &FrameMeta) -> u64 {
        self.writer.finish_frame(meta)
    }

    #[inline]
    fn check_length(&self) {
        let length = padded(self.payload_length());
        assert!(
            length <= self.writer.payload_length_max,
            "a payload longer than payload_length_max"
        );
    }
}

/// Makes a log durable from another thread than the writer's.
#[derive(Clone)]
pub struct Syncer {
    syncing: Arc<Syncing>,
}

impl Syncer {
    /// Makes durable what was written when it was called; gives the position known durable.
    ///
    /// An error stops the writer too and must stop the node: it is never retried.
    pub fn sync(&self) -> Result<u64, Error> {
        self.syncing.sync()
    }

    /// What the writer has written, durable or not.
    pub fn written(&self) -> u64 {
        self.syncing.written.load(Ordering::Acquire)
    }
}

/// What writer and syncers share.
struct Syncing {
    storage: Arc<dyn Storage>,
    directory: PathBuf,
    backing: Backing,
    /// Moved by the writer after each write; what is below is in `state`'s files.
    written: AtomicU64,
    stopped: AtomicBool,
    /// One sync at a time.
    turn: Mutex<()>,
    state: Mutex<Unsynced>,
}

struct Unsynced {
    /// Full segments that have not been synced since.
    closed: Vec<Arc<SegmentFile>>,
    current: Arc<SegmentFile>,
    /// A new segment's name is not durable yet.
    names_changed: bool,
    durable: u64,
}

/// What one sync has to do.
struct Duty {
    closed: Vec<Arc<SegmentFile>>,
    current: Arc<SegmentFile>,
    names_changed: bool,
    written: u64,
}

impl Syncing {
    fn new(
        storage: &Arc<dyn Storage>,
        directory: &Path,
        options: &LogOptions,
        current: &Current,
        position: u64,
    ) -> Syncing {
        let state = Unsynced {
            closed: Vec::new(),
            current: Arc::clone(&current.file),
            names_changed: false,
            durable: position,
        };
        Syncing {
            storage: Arc::clone(storage),
            directory: directory.to_owned(),
            backing: options.backing,
            written: AtomicU64::new(position),
            stopped: AtomicBool::new(false),
            turn: Mutex::new(()),
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Unsynced> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    fn check(&self) -> Result<(), Error> {
        if self.is_stopped() { Err(Error::Stopped) } else { Ok(()) }
    }

    fn stop_if_fatal(&self, error: &Error) {
        if error.is_fatal() {
            self.stopped.store(true, Ordering::Release);
        }
    }

    fn roll_over(&self, next: &Arc<SegmentFile>) {
        let mut state = self.lock();
        let full = std::mem::replace(&mut state.current, Arc::clone(next));
        if self.backing == Backing::File {
            // Stays open until it is synced.
            state.closed.push(full);
            state.names_changed = true;
        }
    }

    /// The log ends at `position` now, in `current`; what the files still owe stays owed.
    fn cut(&self, current: &Arc<SegmentFile>, position: u64) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.lock();
        let old = std::mem::replace(&mut state.current, Arc::clone(current));
        state.closed.push(old);
        state.durable = state.durable.min(position);
        self.written.store(position, Ordering::Release);
    }

    fn sync(&self) -> Result<u64, Error> {
        self.check()?;
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        // Another sync may have failed while this one waited for its turn.
        self.check()?;
        let duty = match self.duty() {
            Some(duty) => duty,
            None => return Ok(self.lock().durable),
        };
        if self.backing == Backing::File {
            self.fulfil(&duty).inspect_err(|error| self.stop_if_fatal(error))?;
        }
        Ok(self.settle(&duty))
    }

    /// What is to be synced now; the files are those that hold everything below `written`, because
    /// the writer hands over a new segment before it writes there.
    fn duty(&self) -> Option<Duty> {
        let mut state = self.lock();
        let written = self.written.load(Ordering::Acquire);
        if written == state.durable && state.closed.is_empty() && !state.names_changed {
            return None;
        }
        Some(Duty {
            closed: std::mem::take(&mut state.closed),
            current: Arc::clone(&state.current),
            names_changed: std::mem::take(&mut state.names_changed),
            written,
        })
    }

    fn fulfil(&self, duty: &Duty) -> Result<(), Error> {
        for segment in &duty.closed {
            segment.file.sync_data().map_err(Error::sync(&segment.path))?;
        }
        if duty.names_changed {
            let synced = self.storage.sync_directory(&self.directory);
            synced.map_err(Error::sync(&self.directory))?;
        }
        let current = &duty.current;
        current.file.sync_data().map_err(Error::sync(&current.path))
    }

    fn settle(&self, duty: &Duty) -> u64 {
        let mut state = self.lock();
        state.durable = state.durable.max(duty.written);
        state.durable
    }
}
