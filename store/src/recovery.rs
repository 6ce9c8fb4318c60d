//! What a start does with a log after a crash.
//!
//! The segments are walked, every header and every frame's chain is checked. The walk ends at the
//! first thing that does not follow: zeros, a bad frame, a segment that does not fit or is not
//! there. Below what is known to be durable that is corruption and the start stops; above it is a
//! torn tail and is cut: later segments are unlinked, what lies behind is zeroed, both durably,
//! before anything is appended. What is kept is made durable.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;
use crate::frame::{FRAME_HEADER_LENGTH, Parsed, parse};
use crate::segment::{self, LogKind, Opened, SEGMENT_HEADER_LENGTH, SegmentHeader, Tail};
use crate::segment::{Identity, check_header};
use crate::storage::{Storage, StorageFile, write_zeros_between};
use crate::writer::{Backing, LogOptions};

/// What was found when a log was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Where the log ends.
    pub tail: Tail,
    /// Where the first segment begins.
    pub first_position: u64,
    pub segments: u64,
    /// Frames and records walked (from `needed_from` on).
    pub frames: u64,
    pub records: u64,
    /// What was cut off, if something was.
    pub cut: Option<TornTail>,
}

impl Recovery {
    pub(crate) fn of_new_log(last: &Last) -> Recovery {
        let first_position = last.tail.position;
        Recovery { tail: last.tail, first_position, segments: 1, frames: 0, records: 0, cut: None }
    }
}

/// Something behind the last good frame that was not durable and is gone now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    pub file: PathBuf,
    pub offset: u64,
    pub what: &'static str,
    /// From the first to the last byte that was not zero in this segment.
    pub bytes: u64,
    pub segments_removed: u64,
}

/// The segment in which a log ends.
pub(crate) struct Last {
    pub(crate) file: Arc<dyn StorageFile>,
    pub(crate) path: PathBuf,
    pub(crate) header: SegmentHeader,
    pub(crate) tail: Tail,
    /// Where in the file the log ends.
    pub(crate) offset: u64,
    /// The epoch of the next segment.
    pub(crate) epoch: u64,
}

/// What segments of a log must say.
pub(crate) struct Expected<'a> {
    pub(crate) kind: LogKind,
    pub(crate) identity: Option<Identity>,
    /// The schema written and those read.
    pub(crate) schemas: Option<(u64, &'a [u64])>,
}

impl<'a> Expected<'a> {
    fn of(options: &'a LogOptions) -> Expected<'a> {
        Expected {
            kind: options.kind,
            identity: Some(options.identity),
            schemas: Some((options.schema, &options.schemas_readable)),
        }
    }

    pub(crate) fn check(&self, header: &SegmentHeader, path: &Path) -> Result<(), Error> {
        let (file, found) = (path.to_owned(), header.identity);
        match self.identity {
            Some(ours) if ours != found => {
                return Err(Error::Foreign {
                    file,
                    offset: 16,
                    found: (found.cluster, found.node),
                    expected: (ours.cluster, ours.node),
                });
            }
            _ => {}
        }
        match self.schemas {
            Some((ours, older)) if ours != header.schema && !older.contains(&header.schema) => {
                Err(Error::UnknownSchema { file, offset: 40, found: header.schema })
            }
            _ => Ok(()),
        }
    }
}

/// How far a log could be walked.
pub(crate) struct Walk {
    pub(crate) tail: Tail,
    /// Where the walk began.
    pub(crate) first_position: u64,
    /// The last segment that belongs to the log; it is number `last` of those listed.
    pub(crate) last: usize,
    pub(crate) path: PathBuf,
    pub(crate) header: SegmentHeader,
    /// Where in that segment the walk ended.
    pub(crate) offset: u64,
    pub(crate) frames: u64,
    pub(crate) records: u64,
    /// From `offset` to the last byte that is not zero.
    pub(crate) garbage: u64,
    /// What stopped the walk, if it was not the end of the log.
    pub(crate) broken: Option<Broken>,
    /// The ends of the segments walked, by their number in the list.
    ends: Vec<(usize, u64)>,
}

/// Something that does not follow.
#[derive(Clone, Debug)]
pub(crate) struct Broken {
    pub(crate) file: PathBuf,
    pub(crate) offset: u64,
    pub(crate) what: &'static str,
    missing: bool,
}

impl Broken {
    fn at(file: &Path, offset: u64, what: &'static str) -> Option<Broken> {
        Some(Broken { file: file.to_owned(), offset, what, missing: false })
    }

    pub(crate) fn into_error(self, position: u64) -> Error {
        let Broken { file, offset, what, missing } = self;
        if missing {
            Error::MissingSegment { file, position, what }
        } else {
            Error::Corrupt { file, offset, what }
        }
    }
}

/// Walks the segments `numbers[start..]`, up to position `until` if one is given.
pub(crate) fn walk(
    storage: &dyn Storage,
    directory: &Path,
    expected: &Expected<'_>,
    numbers: &[u64],
    start: usize,
    until: Option<u64>,
) -> Result<Option<Walk>, Error> {
    let mut walked: Option<Walk> = None;
    let mut bytes = Vec::new();
    for (at, &number) in numbers.iter().enumerate().skip(start) {
        let path = segment::path(directory, expected.kind, number);
        if let Some(walk) = &mut walked
            && walk.header.number.checked_add(1) != Some(number)
        {
            walk.broken = gap(directory, expected.kind, walk.header.number);
            break;
        }
        read_segment(storage, &path, &mut bytes)?;
        let length = bytes.len() as u64;
        let header = match check_header(&bytes, length, &path, expected.kind, number)? {
            Opened::Good(header) => header,
            Opened::Damaged(what) => match &mut walked {
                Some(walk) => {
                    walk.broken = Broken::at(&path, 0, what);
                    break;
                }
                None => return Err(Error::corrupt(&path, 0, what)),
            },
        };
        expected.check(&header, &path)?;
        if let Some(walk) = &mut walked
            && !header.follows(&walk.tail)
        {
            let what = "the next segment does not follow: frames are missing or were changed";
            walk.broken = Broken::at(&walk.path, walk.offset, what);
            break;
        }
        let stop = scan(&bytes, header, path, at, until, &mut walked);
        if stop {
            break;
        }
    }
    Ok(walked)
}

fn gap(directory: &Path, kind: LogKind, before: u64) -> Option<Broken> {
    let file = segment::path(directory, kind, before.saturating_add(1));
    let what = "there is a later segment but not this one";
    Some(Broken { file, offset: 0, what, missing: true })
}

fn read_segment(storage: &dyn Storage, path: &Path, bytes: &mut Vec<u8>) -> Result<(), Error> {
    let file = storage.open(path, false).map_err(Error::io("open", path))?;
    let length = file.length().map_err(Error::io("look at", path))?;
    let expected = SEGMENT_HEADER_LENGTH as u64;
    if length < expected {
        return Err(Error::Truncated { file: path.to_owned(), length, expected });
    }
    let size = usize::try_from(length).map_err(|_| Error::Options {
        what: "a segment file is larger than this machine's memory",
    })?;
    bytes.resize(size, 0);
    file.read_at(bytes, 0).map_err(Error::io("read", path))
}

/// Walks the frames of one segment; true when the walk ends in it.
fn scan(
    bytes: &[u8],
    header: SegmentHeader,
    path: PathBuf,
    at: usize,
    until: Option<u64>,
    walked: &mut Option<Walk>,
) -> bool {
    let size = usize::try_from(header.segment_bytes).unwrap_or(usize::MAX);
    let bytes = bytes.get(..size).unwrap_or(bytes);
    let (first_position, mut frames, mut records, mut ends) = match walked.take() {
        Some(walk) => (walk.first_position, walk.frames, walk.records, walk.ends),
        None => (header.first_position, 0, 0, Vec::new()),
    };
    let (mut tail, mut offset, mut broken) = (header.tail(), SEGMENT_HEADER_LENGTH, None);
    while until != Some(tail.position) {
        let rest = bytes.get(offset..).unwrap_or_default();
        let frame = match parse(rest, Some(tail.checksum)) {
            Parsed::Frame(frame, _) => frame,
            Parsed::End => break,
            Parsed::Bad(what) => {
                broken = Broken::at(&path, offset as u64, what);
                break;
            }
        };
        if let Some(what) = tail.refuses(&frame) {
            broken = Broken::at(&path, offset as u64, what);
            break;
        }
        tail = tail.after(&frame);
        offset = offset.saturating_add(frame.length as usize);
        frames += 1;
        records += u64::from(frame.count);
    }
    ends.push((at, tail.position));
    let stop = broken.is_some() || until == Some(tail.position);
    let garbage = not_zero(bytes.get(offset..).unwrap_or_default());
    let offset = offset as u64;
    *walked = Some(Walk {
        tail,
        first_position,
        last: at,
        path,
        header,
        offset,
        frames,
        records,
        garbage,
        broken,
        ends,
    });
    stop
}

/// How many bytes from the start to the last one that is not zero.
fn not_zero(bytes: &[u8]) -> u64 {
    const BLOCK: usize = 4096;
    let blocks = bytes.chunks(BLOCK).rposition(|block| block.iter().any(|&byte| byte != 0));
    let Some(last) = blocks else { return 0 };
    let block = bytes.chunks(BLOCK).nth(last).unwrap_or_default();
    let inside = block.iter().rposition(|&byte| byte != 0).unwrap_or(0);
    (last * BLOCK + inside + 1) as u64
}

/// Brings a log to a state that can be appended to; `None` when there is none yet.
pub(crate) fn recover(
    storage: &dyn Storage,
    directory: &Path,
    options: &LogOptions,
) -> Result<Option<(Last, Recovery)>, Error> {
    let numbers = segment::list(storage, directory, options.kind)?;
    let Some(&first) = numbers.first() else {
        return nothing_there(directory, options).map(|()| None);
    };
    let expected = Expected::of(options);
    let (start, first_position) =
        first_needed(storage, directory, &expected, &numbers, options.needed_from)?;
    if first_position > options.needed_from.max(options.start.position) {
        let file = segment::path(directory, options.kind, first.saturating_sub(1));
        let what = "the log begins above what the newest snapshot needs";
        return Err(Error::MissingSegment { file, position: options.needed_from, what });
    }
    let walk = walk(storage, directory, &expected, &numbers, start, None)?;
    let Some(walk) = walk else { return Ok(None) };
    if walk.tail.position < options.durable_position {
        return Err(below_durable(walk));
    }
    let cut = cut_tail(storage, directory, options.kind, &numbers, &walk)?;
    make_durable(storage, directory, options, &numbers, &walk)?;
    let recovery = Recovery {
        tail: walk.tail,
        first_position,
        segments: walk.last as u64 + 1,
        frames: walk.frames,
        records: walk.records,
        cut,
    };
    let epoch = walk.header.epoch.saturating_add(u64::from(recovery.cut.is_some()));
    Ok(Some((open_last(storage, walk, epoch)?, recovery)))
}

fn nothing_there(directory: &Path, options: &LogOptions) -> Result<(), Error> {
    if options.durable_position <= options.start.position {
        return Ok(());
    }
    let what = "there is no segment although some were durable";
    let file = segment::path(directory, options.kind, 1);
    Err(Error::MissingSegment { file, position: options.durable_position, what })
}

fn below_durable(walk: Walk) -> Error {
    let position = walk.tail.position;
    let what = "the log ends here although more of it was durable: frames or segments are missing";
    let end = Broken { file: walk.path, offset: walk.offset, what, missing: false };
    walk.broken.unwrap_or(end).into_error(position)
}

/// Checks the headers up to the segment that `position` is in; gives its place in the list and the
/// first position of the log.
fn first_needed(
    storage: &dyn Storage,
    directory: &Path,
    expected: &Expected<'_>,
    numbers: &[u64],
    position: u64,
) -> Result<(usize, u64), Error> {
    let (mut start, mut first_position, mut before) = (0, 0, None);
    for (at, &number) in numbers.iter().enumerate() {
        let path = segment::path(directory, expected.kind, number);
        let header = match segment::open_header(storage, directory, expected.kind, number)? {
            Opened::Good(header) => header,
            // The walk decides what it means.
            Opened::Damaged(_) if at > 0 => break,
            Opened::Damaged(what) => return Err(Error::corrupt(&path, 0, what)),
        };
        expected.check(&header, &path)?;
        if at == 0 {
            first_position = header.first_position;
        }
        if header.first_position > position
            || before.is_some_and(|before: u64| before.checked_add(1) != Some(number))
        {
            break;
        }
        (start, before) = (at, Some(number));
    }
    Ok((start, first_position))
}

/// Removes everything behind the end of the walk, durably.
fn cut_tail(
    storage: &dyn Storage,
    directory: &Path,
    kind: LogKind,
    numbers: &[u64],
    walk: &Walk,
) -> Result<Option<TornTail>, Error> {
    let later = numbers.get(walk.last.saturating_add(1)..).unwrap_or_default();
    if later.is_empty() && walk.garbage == 0 {
        return Ok(None);
    }
    // The highest first, each durably: a crash between leaves no gap.
    for &number in later.iter().rev() {
        unlink(storage, directory, kind, number)?;
    }
    zero_behind(storage, walk)?;
    let what = walk.broken.as_ref().map_or("bytes behind the last frame", |broken| broken.what);
    Ok(Some(TornTail {
        file: walk.path.clone(),
        offset: walk.offset,
        what,
        bytes: walk.garbage,
        segments_removed: later.len() as u64,
    }))
}

fn unlink(
    storage: &dyn Storage,
    directory: &Path,
    kind: LogKind,
    number: u64,
) -> Result<(), Error> {
    let path = segment::path(directory, kind, number);
    storage.unlink(&path).map_err(Error::io("remove", &path))?;
    storage.sync_directory(directory).map_err(Error::sync(directory))
}

/// Zeroes what is not zero behind the last frame, at least one frame header.
fn zero_behind(storage: &dyn Storage, walk: &Walk) -> Result<(), Error> {
    let length = walk.garbage.max(FRAME_HEADER_LENGTH as u64);
    let end = walk.offset.saturating_add(length).min(walk.header.segment_bytes);
    let file = storage.open(&walk.path, true).map_err(Error::io("open", &walk.path))?;
    let zeroed = write_zeros_between(file.as_ref(), walk.offset, end);
    zeroed.map_err(Error::io("write", &walk.path))?;
    file.sync_data().map_err(Error::sync(&walk.path))
}

/// Syncs what a process that died may have written and not synced.
fn make_durable(
    storage: &dyn Storage,
    directory: &Path,
    options: &LogOptions,
    numbers: &[u64],
    walk: &Walk,
) -> Result<(), Error> {
    if options.backing == Backing::Mapped {
        return Ok(());
    }
    for &(at, end) in &walk.ends {
        let Some(&number) = numbers.get(at) else { continue };
        if end >= options.durable_position {
            let path = segment::path(directory, options.kind, number);
            let file = storage.open(&path, true).map_err(Error::io("open", &path))?;
            file.sync_data().map_err(Error::sync(&path))?;
        }
    }
    storage.sync_directory(directory).map_err(Error::sync(directory))
}

fn open_last(storage: &dyn Storage, walk: Walk, epoch: u64) -> Result<Last, Error> {
    let Walk { tail, path, header, offset, .. } = walk;
    let file = storage.open(&path, true).map_err(Error::io("open", &path))?;
    Ok(Last { file, path, header, tail, offset, epoch })
}

/// Cuts a log after the frame that ends at `position`.
pub(crate) fn cut(
    storage: &dyn Storage,
    directory: &Path,
    options: &LogOptions,
    position: u64,
) -> Result<Last, Error> {
    let numbers = segment::list(storage, directory, options.kind)?;
    let expected = Expected::of(options);
    let (start, first_position) = first_needed(storage, directory, &expected, &numbers, position)?;
    if position < first_position {
        return Err(Error::NotABoundary { position });
    }
    let walk = walk(storage, directory, &expected, &numbers, start, Some(position))?;
    let walk = walk.ok_or(Error::NotABoundary { position })?;
    if walk.tail.position != position {
        return Err(Error::NotABoundary { position });
    }
    cut_tail(storage, directory, options.kind, &numbers, &walk)?;
    let epoch = walk.header.epoch;
    open_last(storage, walk, epoch)
}

/// Unlinks the segments that end at or below `position`, but never the newest; gives how many.
///
/// The caller knows that no snapshot, reader or voter needs them. Any thread may call it.
pub fn retire(
    storage: &dyn Storage,
    directory: &Path,
    kind: LogKind,
    position: u64,
) -> Result<u64, Error> {
    let numbers = segment::list(storage, directory, kind)?;
    let mut retired = 0;
    for pair in numbers.windows(2) {
        let &[number, next] = pair else { break };
        // A segment ends where the next begins.
        let Opened::Good(header) = segment::open_header(storage, directory, kind, next)? else {
            break;
        };
        if header.first_position > position {
            break;
        }
        make_first(storage, directory, kind, next)?;
        // The lowest first, each durably: a crash between leaves no gap.
        unlink(storage, directory, kind, number)?;
        retired += 1;
    }
    Ok(retired)
}

/// The log will begin with this segment: its header and its name must be on disk before the one
/// before it goes.
fn make_first(
    storage: &dyn Storage,
    directory: &Path,
    kind: LogKind,
    number: u64,
) -> Result<(), Error> {
    let path = segment::path(directory, kind, number);
    let file = storage.open(&path, true).map_err(Error::io("open", &path))?;
    file.sync_data().map_err(Error::sync(&path))?;
    storage.sync_directory(directory).map_err(Error::sync(directory))
}
