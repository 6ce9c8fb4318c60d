//! Readers: cursors over a log, in the writer's process or another.
//!
//! A reader maps segments read-only and is told up to where it may look (`limit`, a published
//! cursor). It takes nothing at or above the limit, whatever lengths may stand there: batches seen
//! before they are published were measured to be torn nearly always.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Error;
use crate::frame::{FRAME_HEADER_LENGTH, Frame, FrameHeader, FrameKind, Parsed, parse};
use crate::map::Map;
use crate::segment::{self, LogKind, Opened, SEGMENT_HEADER_LENGTH, SegmentHeader, Tail};
use crate::segment::{check_header, list};
use crate::storage::Storage;

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// The first frame that is still there.
    Start,
    /// The frame that begins at this position.
    Position(u64),
    /// The first frame that has anything of this command.
    Sequence(u64),
}

/// What a reader stores to go on later: the last command whose events it has all seen, and the
/// rolling hash there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    pub sequence: u64,
    pub hash: u64,
}

/// A cursor over a log.
pub struct Reader {
    storage: Arc<dyn Storage>,
    directory: PathBuf,
    kind: LogKind,
    verify: bool,
    segment: Option<Mapped>,
    /// What the reader has read; its checksum is known once a segment was entered.
    tail: Tail,
}

/// The segment that a reader is in.
struct Mapped {
    map: Map,
    path: PathBuf,
    header: SegmentHeader,
    /// The file's usable size.
    size: usize,
    verify: bool,
    offset: usize,
    /// Where in this segment the last frame read begins, if one was.
    last: Option<usize>,
}

impl Mapped {
    /// Whether there is no frame at the offset. Only asked below a limit, so the bytes are in place.
    fn is_at_end(&self) -> bool {
        let length = self.size.saturating_sub(self.offset);
        if length < FRAME_HEADER_LENGTH {
            return true;
        }
        self.map.bytes(self.offset, 4).is_none_or(|length| length == [0; 4])
    }

    /// Whether the last frame read still stands where it was read.
    fn still_has(&self, checksum: u32) -> bool {
        let Some(last) = self.last else { return true };
        let field = self.map.bytes(last.saturating_add(4), 4);
        field.is_some_and(|field| field == checksum.to_le_bytes())
    }
}

impl Reader {
    /// Opens a cursor over what is below `limit`.
    ///
    /// With `verify` each frame's checksum is checked to follow from the one before; without, only
    /// lengths are. Errors: `Vanished` when the beginning was retired, `NotABoundary` when no
    /// frame begins at the position.
    pub fn open(
        storage: Arc<dyn Storage>,
        directory: &Path,
        kind: LogKind,
        from: From,
        limit: u64,
        verify: bool,
    ) -> Result<Reader, Error> {
        let mut reader = Reader::nowhere(storage, directory, kind, verify);
        match from {
            From::Start => reader.go_to_start()?,
            From::Position(position) => reader.go_to_position(position, limit)?,
            From::Sequence(sequence) => reader.go_to_sequence(sequence, limit)?,
        }
        Ok(reader)
    }

    fn nowhere(storage: Arc<dyn Storage>, directory: &Path, kind: LogKind, verify: bool) -> Reader {
        let (directory, tail) = (directory.to_owned(), Tail::default());
        Reader { storage, directory, kind, verify, segment: None, tail }
    }

    /// Where the next frame begins.
    #[inline]
    pub fn position(&self) -> u64 {
        self.tail.position
    }

    /// The tail of what was read: position, index, sequence, hash.
    #[inline]
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// The header of the segment that the reader is in.
    pub fn segment(&self) -> Option<&SegmentHeader> {
        self.segment.as_ref().map(|segment| &segment.header)
    }

    /// The next frame that ends at or below `limit`, a published cursor.
    ///
    /// `Vanished`: the next segment was retired. `Cut`: the log is no longer the one that was read;
    /// forget what came after its `last_common` and open anew.
    #[inline]
    pub fn next(&mut self, limit: u64) -> Result<Option<Frame<'_>>, Error> {
        if !self.is_below(limit)? {
            return Ok(None);
        }
        let position = self.tail.position;
        let header = self.peek(limit)?;
        let payload = self.advance(&header);
        Ok(Some(Frame { header, position, payload }))
    }

    /// Whether a frame is to be read below the limit; `Cut` when more was read already.
    #[inline]
    fn is_below(&self, limit: u64) -> Result<bool, Error> {
        if self.tail.position > limit {
            return Err(self.cut_at(limit));
        }
        Ok(self.tail.position < limit)
    }

    /// The header of the next frame, which is there because the limit is above.
    #[inline]
    fn peek(&mut self, limit: u64) -> Result<FrameHeader, Error> {
        self.settle()?;
        let (tail, Some(segment)) = (self.tail, &self.segment) else {
            return Err(self.replaced());
        };
        let allowed = usize::try_from(limit.saturating_sub(tail.position)).unwrap_or(usize::MAX);
        let there = segment.size.saturating_sub(segment.offset);
        let bytes = segment.map.bytes(segment.offset, allowed.min(there)).unwrap_or_default();
        let what = match parse(bytes, segment.verify.then_some(tail.checksum)) {
            Parsed::Frame(header, _) => match tail.refuses(&header) {
                None => return Ok(header),
                Some(what) => what,
            },
            Parsed::End => "there is no frame although the cursor is above",
            Parsed::Bad(what) => what,
        };
        Err(Error::corrupt(&segment.path, segment.offset as u64, what))
    }

    /// Enters the segment that holds the next frame, if it is not this one.
    #[inline]
    fn settle(&mut self) -> Result<(), Error> {
        while self.segment.as_ref().is_none_or(Mapped::is_at_end) {
            self.enter_next()?;
        }
        match &self.segment {
            Some(segment) if segment.still_has(self.tail.checksum) => Ok(()),
            _ => Err(self.replaced()),
        }
    }

    /// Steps over the frame at the offset; gives its payload.
    #[inline]
    fn advance(&mut self, header: &FrameHeader) -> &[u8] {
        self.tail = self.tail.after(header);
        let Some(segment) = &mut self.segment else { return &[] };
        let length = header.length as usize;
        let payload = segment.offset.saturating_add(FRAME_HEADER_LENGTH);
        segment.last = Some(segment.offset);
        segment.offset = segment.offset.saturating_add(length);
        segment.map.bytes(payload, length.saturating_sub(FRAME_HEADER_LENGTH)).unwrap_or_default()
    }

    fn go_to_start(&mut self) -> Result<(), Error> {
        match self.numbers()?.first() {
            Some(&first) => self.enter(first),
            None => Ok(()),
        }
    }

    fn go_to_position(&mut self, position: u64, limit: u64) -> Result<(), Error> {
        match self.find(|header| header.first_position <= position)? {
            Some(header) => self.enter(header.number)?,
            None => self.nothing_below()?,
        }
        while self.tail.position < position && self.is_below(limit)? {
            let header = self.peek(limit)?;
            self.advance(&header);
        }
        match self.tail.position == position {
            true => Ok(()),
            false if position > limit => Err(self.cut_at(limit)),
            false => Err(Error::NotABoundary { position }),
        }
    }

    fn go_to_sequence(&mut self, sequence: u64, limit: u64) -> Result<(), Error> {
        self.enter_before(sequence.max(1), limit)?;
        while self.is_below(limit)? {
            let header = self.peek(limit)?;
            if reaches(&header, sequence) {
                break;
            }
            self.advance(&header);
        }
        Ok(())
    }

    /// Enters the last segment below the limit before whose frames nothing of the command is.
    fn enter_before(&mut self, sequence: u64, limit: u64) -> Result<(), Error> {
        let begins_before = |header: &SegmentHeader| {
            let is_clean = header.first_sequence == sequence && header.starts_command;
            header.first_position <= limit && (header.first_sequence < sequence || is_clean)
        };
        match self.find(begins_before)? {
            Some(header) => self.enter(header.number),
            None => self.nothing_below(),
        }
    }

    /// No segment begins low enough: fine when there is none at all, else they were retired.
    fn nothing_below(&self) -> Result<(), Error> {
        match self.first_header()? {
            Some(first) => Err(vanished(&first)),
            None => Ok(()),
        }
    }

    fn numbers(&self) -> Result<Vec<u64>, Error> {
        list(self.storage.as_ref(), &self.directory, self.kind)
    }

    /// The last segment for which `wanted` holds; it holds for all before that one too.
    fn find(
        &self,
        wanted: impl Fn(&SegmentHeader) -> bool,
    ) -> Result<Option<SegmentHeader>, Error> {
        let numbers = self.numbers()?;
        let (mut low, mut high, mut best) = (0, numbers.len(), None);
        while low < high {
            let middle = low.midpoint(high);
            let Some(&number) = numbers.get(middle) else { break };
            let header = self.header(number)?;
            // One that is gone was retired meanwhile: what is wanted lies above.
            if header.is_none_or(|header| wanted(&header)) {
                best = header.or(best);
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        Ok(best)
    }

    /// A segment's header; `None` when there is no such segment.
    fn header(&self, number: u64) -> Result<Option<SegmentHeader>, Error> {
        match segment::open_header(self.storage.as_ref(), &self.directory, self.kind, number) {
            Ok(Opened::Good(header)) => Ok(Some(header)),
            Ok(Opened::Damaged(what)) => {
                let path = segment::path(&self.directory, self.kind, number);
                Err(Error::corrupt(&path, 0, what))
            }
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn first_header(&self) -> Result<Option<SegmentHeader>, Error> {
        match self.numbers()?.first() {
            Some(&first) => self.header(first),
            None => Ok(None),
        }
    }

    /// Goes on in the segment behind this one, which is there because the limit is above.
    #[cold]
    fn enter_next(&mut self) -> Result<(), Error> {
        let Some(segment) = &self.segment else { return self.enter_first() };
        let (tail, ours) = (self.tail, segment.header);
        let broken = Error::corrupt(
            &segment.path,
            segment.offset as u64,
            "the segment ends here although the next one begins elsewhere",
        );
        self.enter(ours.number.saturating_add(1))?;
        if self.segment.as_ref().is_some_and(|next| next.header.follows(&tail)) {
            return Ok(());
        }
        // Either frames of this segment were damaged, or the log was cut and goes another way.
        let same = self.header(ours.number)?.is_some_and(|now| now.checksum == ours.checksum);
        let elsewhere = self.tail.position != tail.position;
        if same && elsewhere { Err(broken) } else { Err(self.replaced()) }
    }

    fn enter_first(&mut self) -> Result<(), Error> {
        self.go_to_start()?;
        match self.segment {
            Some(_) => Ok(()),
            None => self.missing(1),
        }
    }

    /// Maps a segment and stands at its first frame.
    fn enter(&mut self, number: u64) -> Result<(), Error> {
        let path = segment::path(&self.directory, self.kind, number);
        let file = match self.storage.open(&path, false) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.missing(number),
            Err(error) => return Err(Error::io("open", &path)(error)),
        };
        let length = file.length().map_err(Error::io("look at", &path))?;
        let expected = SEGMENT_HEADER_LENGTH as u64;
        if length < expected {
            return Err(Error::Truncated { file: path, length, expected });
        }
        let map = file.map().map_err(Error::io("map", &path))?;
        let bytes = map.bytes(0, SEGMENT_HEADER_LENGTH).unwrap_or_default();
        let header = match check_header(bytes, length, &path, self.kind, number)? {
            Opened::Good(header) => header,
            Opened::Damaged(what) => return Err(Error::corrupt(&path, 0, what)),
        };
        let size = usize::try_from(header.segment_bytes).unwrap_or(0).min(map.length());
        let (verify, offset) = (self.verify, SEGMENT_HEADER_LENGTH);
        self.tail = header.tail();
        self.segment = Some(Mapped { map, path, header, size, verify, offset, last: None });
        Ok(())
    }

    /// Why a segment that must be there is not.
    fn missing(&self, number: u64) -> Result<(), Error> {
        let position = self.tail.position;
        match self.first_header()? {
            Some(first) if first.first_position > position => Err(vanished(&first)),
            _ => Err(Error::MissingSegment {
                file: segment::path(&self.directory, self.kind, number),
                position,
                what: "the cursor is above it",
            }),
        }
    }

    /// The log ends at `limit`, below what was read.
    #[cold]
    fn cut_at(&self, limit: u64) -> Error {
        let (storage, directory) = (Arc::clone(&self.storage), &self.directory);
        let from = From::Position(limit);
        match Reader::open(storage, directory, self.kind, from, limit, false) {
            Ok(reader) => Error::Cut { last_common: reader.tail.sequence },
            Err(_) => self.replaced(),
        }
    }

    /// Other frames stand where this reader has read: nothing says since when.
    #[cold]
    fn replaced(&self) -> Error {
        let first = self.first_header().ok().flatten();
        let last_common = first.map_or(0, |first| first.first_sequence.saturating_sub(1));
        Error::Cut { last_common }
    }
}

/// The log now begins here; a command whose first events are gone counts as gone.
fn vanished(first: &SegmentHeader) -> Error {
    let first_sequence = first.first_sequence.saturating_add(u64::from(!first.starts_command));
    Error::Vanished { first_available: first.first_position, first_sequence }
}

/// Whether a frame has something of the command, or of a later one.
fn reaches(header: &FrameHeader, sequence: u64) -> bool {
    let ends = header.flags.ends_command() || header.kind != FrameKind::Events;
    // A frame that ends inside a command has something of the one after its last.
    header.last_sequence.saturating_add(u64::from(!ends)) >= sequence
}

/// Finds the position from which a stored cursor goes on.
///
/// `Cut`: the log up to `limit` does not lead through the cursor; the reader forgets what came
/// after `last_common` and goes back there. `Vanished`: what follows the cursor was retired.
pub fn check_cursor(
    storage: Arc<dyn Storage>,
    directory: &Path,
    kind: LogKind,
    cursor: Cursor,
    limit: u64,
) -> Result<u64, Error> {
    let mut reader = Reader::nowhere(storage, directory, kind, false);
    reader.enter_before(cursor.sequence.saturating_add(1), limit)?;
    loop {
        let tail = reader.tail;
        if tail.sequence == cursor.sequence && tail.ends_command {
            return match tail.hash == cursor.hash {
                true => Ok(tail.position),
                false => Err(reader.replaced()),
            };
        }
        if tail.sequence > cursor.sequence {
            // The frames are others now: the cursor lies inside one of them.
            return Err(reader.replaced());
        }
        if reader.next(limit)?.is_none() {
            return Err(Error::Cut { last_common: tail.sequence });
        }
    }
}
