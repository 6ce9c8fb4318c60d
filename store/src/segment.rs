//! Segments: the files of a log. Fixed size, zero-filled ahead of use, never used twice.

use std::path::{Path, PathBuf};

use crate::bytes::{Fields, FieldsMut, seal, sealed};
use crate::error::Error;
use crate::frame::FrameHeader;
use crate::storage::Storage;

/// Bytes before a segment's first frame: one page, so that frames begin page-aligned.
pub const SEGMENT_HEADER_LENGTH: usize = 4096;
/// The format that this build writes, and the newest that it reads.
pub const SEGMENT_FORMAT: u32 = 1;
/// A segment's size unless the options say otherwise.
pub const SEGMENT_BYTES: u64 = 64 << 20;

const MAGIC: [u8; 8] = *b"OUTCRYSG";
const STARTS_COMMAND: u32 = 1;

/// Which of the logs: two of the exchange, in one folder, and that of a feed in a folder of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u32)]
pub enum LogKind {
    Commands = 1,
    Events = 2,
    Feed = 3,
}

impl LogKind {
    /// The first word of the names of its files.
    pub fn name(self) -> &'static str {
        match self {
            LogKind::Commands => "commands",
            LogKind::Events => "events",
            LogKind::Feed => "feed",
        }
    }

    /// `commands-00000000000000000001.seg`
    pub fn file_name(self, number: u64) -> String {
        format!("{}-{number:020}.seg", self.name())
    }

    /// The name of the segment that is made ahead of its use.
    pub fn spare_name(self) -> String {
        format!("{}.spare", self.name())
    }

    fn number_of(self, file_name: &str) -> Option<u64> {
        let digits = file_name.strip_prefix(self.name())?.strip_prefix('-')?;
        let digits = digits.strip_suffix(".seg")?;
        let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if plain { digits.parse().ok() } else { None }
    }

    fn from_u32(value: u32) -> Option<LogKind> {
        match value {
            1 => Some(LogKind::Commands),
            2 => Some(LogKind::Events),
            3 => Some(LogKind::Feed),
            _ => None,
        }
    }
}

/// Whose file it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    pub cluster: u128,
    pub node: u32,
}

/// Where a log stands: everything that the next frame follows from.
///
/// The default is the tail of a log without any frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The end of the last frame.
    pub position: u64,
    /// The last frame's index; the next one's is one higher.
    pub index: u64,
    /// The last completed command.
    pub sequence: u64,
    /// Whether the last frame ended where a command's events end.
    pub ends_command: bool,
    /// The last frame's term, stamp and hash.
    pub term: u64,
    pub stamp: u64,
    pub hash: u64,
    /// The checksum that seeds the next frame's.
    pub checksum: u32,
}

impl Default for Tail {
    fn default() -> Self {
        Tail {
            position: 0,
            index: 0,
            sequence: 0,
            ends_command: true,
            term: 0,
            stamp: 0,
            hash: 0,
            checksum: 0,
        }
    }
}

impl Tail {
    /// The tail after one more frame.
    pub(crate) fn after(&self, frame: &FrameHeader) -> Tail {
        Tail {
            position: self.position.saturating_add(u64::from(frame.length)),
            index: frame.index,
            sequence: frame.last_sequence,
            ends_command: frame.flags.ends_command() || frame.kind != crate::FrameKind::Events,
            term: frame.term,
            stamp: frame.stamp,
            hash: frame.hash,
            checksum: frame.checksum,
        }
    }

    /// Why `frame` cannot come next, if it cannot.
    pub(crate) fn refuses(&self, frame: &FrameHeader) -> Option<&'static str> {
        if self.index.checked_add(1) != Some(frame.index) {
            return Some("the index of the frame is not one more than the one before");
        }
        if frame.last_sequence < self.sequence {
            return Some("the sequence of the frame is lower than the one before");
        }
        None
    }
}

/// Starts every segment file. Little endian; zeros where nothing is named.
///
/// ```text
///   0               8         12         16                       32       36       40
///   | "OUTCRYSG"    | format  | log kind | cluster                | node   | flags  |
///   40              48                   56                       64                72
///   | schema hash   | epoch              | number                 | segment bytes   |
///   72              80                   88                       96
///   | first position| first index        | first sequence         |
///   96         100       104            112                      120              128
///   | previous | 0       | previous term | previous stamp         | previous hash   |
///   128 …                                                                 4092     4096
///   | zeros                                                               | crc32c |
/// ```
///
/// `flags` bit 0: the segment starts at the start of a command. `previous` is the checksum, term,
/// stamp and hash of the frame before the first one. `crc32c` covers all bytes before it and seeds
/// the first frame's; magic, format and crc32c keep their places in every format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    pub kind: LogKind,
    pub identity: Identity,
    pub starts_command: bool,
    pub schema: u64,
    /// Rises with each cut of the log.
    pub epoch: u64,
    /// The number in the file's name.
    pub number: u64,
    /// The size of the file.
    pub segment_bytes: u64,
    pub first_position: u64,
    pub first_index: u64,
    /// The first command that can be completed in this segment.
    pub first_sequence: u64,
    pub previous_checksum: u32,
    pub previous_term: u64,
    pub previous_stamp: u64,
    pub previous_hash: u64,
    /// The checksum of this header; computed by `seal`.
    pub checksum: u32,
}

/// Why bytes are no header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadHeader {
    /// Torn or damaged.
    Damaged(&'static str),
    /// Whole, but of this newer format.
    Newer(u32),
}

impl SegmentHeader {
    /// The header of a segment that begins at `tail`.
    pub(crate) fn following(
        tail: &Tail,
        number: u64,
        epoch: u64,
        options: &crate::writer::LogOptions,
    ) -> SegmentHeader {
        let mut header = SegmentHeader {
            kind: options.kind,
            identity: options.identity,
            starts_command: tail.ends_command,
            schema: options.schema,
            epoch,
            number,
            segment_bytes: options.segment_bytes,
            first_position: tail.position,
            first_index: tail.index.saturating_add(1),
            first_sequence: tail.sequence.saturating_add(1),
            previous_checksum: tail.checksum,
            previous_term: tail.term,
            previous_stamp: tail.stamp,
            previous_hash: tail.hash,
            checksum: 0,
        };
        header.seal();
        header
    }

    /// The log's tail when this segment holds no frame yet.
    pub fn tail(&self) -> Tail {
        Tail {
            position: self.first_position,
            index: self.first_index.saturating_sub(1),
            sequence: self.first_sequence.saturating_sub(1),
            ends_command: self.starts_command,
            term: self.previous_term,
            stamp: self.previous_stamp,
            hash: self.previous_hash,
            checksum: self.checksum,
        }
    }

    /// Whether this segment begins exactly where `tail` ends.
    pub(crate) fn follows(&self, tail: &Tail) -> bool {
        self.first_position == tail.position && self.previous_checksum == tail.checksum
    }

    fn seal(&mut self) {
        let (_, checksum) = self.encode();
        self.checksum = checksum;
    }

    /// The bytes on disk.
    pub fn to_bytes(&self) -> [u8; SEGMENT_HEADER_LENGTH] {
        self.encode().0
    }

    fn encode(&self) -> ([u8; SEGMENT_HEADER_LENGTH], u32) {
        let mut bytes = [0; SEGMENT_HEADER_LENGTH];
        FieldsMut::new(&mut bytes)
            .put(MAGIC)
            .u32(SEGMENT_FORMAT)
            .u32(self.kind as u32)
            .u128(self.identity.cluster)
            .u32(self.identity.node)
            .u32(if self.starts_command { STARTS_COMMAND } else { 0 })
            .u64(self.schema)
            .u64(self.epoch)
            .u64(self.number)
            .u64(self.segment_bytes)
            .u64(self.first_position)
            .u64(self.first_index)
            .u64(self.first_sequence)
            .u32(self.previous_checksum)
            .u32(0)
            .u64(self.previous_term)
            .u64(self.previous_stamp)
            .u64(self.previous_hash);
        let checksum = seal(&mut bytes);
        (bytes, checksum)
    }

    /// Reads a header; `bytes` are the first of the file.
    pub fn parse(bytes: &[u8]) -> Result<SegmentHeader, BadHeader> {
        let damaged = BadHeader::Damaged;
        let bytes = bytes
            .first_chunk::<SEGMENT_HEADER_LENGTH>()
            .ok_or(damaged("the header is not all there"))?;
        let mut fields = Fields::new(bytes);
        if fields.take() != Some(MAGIC) {
            return Err(damaged("this is no segment of a log"));
        }
        if !sealed(bytes) {
            return Err(damaged("the checksum of the segment's header is wrong"));
        }
        match fields.u32() {
            Some(SEGMENT_FORMAT) => {}
            Some(found) => return Err(BadHeader::Newer(found)),
            None => return Err(damaged("the header is not all there")),
        }
        Self::parse_fields(fields, bytes).ok_or(damaged("a field of the segment's header is wrong"))
    }

    fn parse_fields(mut fields: Fields<'_>, bytes: &[u8]) -> Option<SegmentHeader> {
        let kind = LogKind::from_u32(fields.u32()?)?;
        let identity = Identity { cluster: fields.u128()?, node: fields.u32()? };
        let starts_command = fields.u32()? & STARTS_COMMAND != 0;
        let (schema, epoch, number) = (fields.u64()?, fields.u64()?, fields.u64()?);
        let segment_bytes = fields.u64()?;
        let (first_position, first_index) = (fields.u64()?, fields.u64()?);
        let first_sequence = fields.u64()?;
        let (previous_checksum, _) = (fields.u32()?, fields.u32()?);
        let (previous_term, previous_stamp) = (fields.u64()?, fields.u64()?);
        let previous_hash = fields.u64()?;
        let checksum = u32::from_le_bytes(*bytes.last_chunk::<4>()?);
        Some(SegmentHeader {
            kind,
            identity,
            starts_command,
            schema,
            epoch,
            number,
            segment_bytes,
            first_position,
            first_index,
            first_sequence,
            previous_checksum,
            previous_term,
            previous_stamp,
            previous_hash,
            checksum,
        })
    }
}

/// The numbers of a log's segments in `directory`, lowest first.
pub fn list(storage: &dyn Storage, directory: &Path, kind: LogKind) -> Result<Vec<u64>, Error> {
    let names = storage.list(directory).map_err(Error::io("list", directory))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| kind.number_of(name)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The file of one segment.
pub fn path(directory: &Path, kind: LogKind, number: u64) -> PathBuf {
    directory.join(kind.file_name(number))
}

/// What a segment file says about itself before its frames are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opened {
    Good(SegmentHeader),
    /// The header is torn or damaged: harmless only above what is known to be durable.
    Damaged(&'static str),
}

/// Checks the header of one segment against its name and size.
///
/// Errors: `Truncated`, `NewerFormat`, a name that is not the header's, or the disk's own.
pub fn open_header(
    storage: &dyn Storage,
    directory: &Path,
    kind: LogKind,
    number: u64,
) -> Result<Opened, Error> {
    let path = path(directory, kind, number);
    let file = storage.open(&path, false).map_err(Error::io("open", &path))?;
    let length = file.length().map_err(Error::io("look at", &path))?;
    if length < SEGMENT_HEADER_LENGTH as u64 {
        let expected = SEGMENT_HEADER_LENGTH as u64;
        return Err(Error::Truncated { file: path, length, expected });
    }
    let mut bytes = [0; SEGMENT_HEADER_LENGTH];
    file.read_at(&mut bytes, 0).map_err(Error::io("read", &path))?;
    check_header(&bytes, length, &path, kind, number)
}

/// The same, for a header that has been read.
pub(crate) fn check_header(
    bytes: &[u8],
    length: u64,
    path: &Path,
    kind: LogKind,
    number: u64,
) -> Result<Opened, Error> {
    let header = match SegmentHeader::parse(bytes) {
        Ok(header) => header,
        Err(BadHeader::Damaged(what)) => return Ok(Opened::Damaged(what)),
        Err(BadHeader::Newer(found)) => {
            let (file, supported) = (path.to_owned(), SEGMENT_FORMAT);
            return Err(Error::NewerFormat { file, offset: 8, found, supported });
        }
    };
    if header.kind != kind || header.number != number {
        return Err(Error::corrupt(path, 12, "the name of the file is not the one in its header"));
    }
    if length < header.segment_bytes {
        let expected = header.segment_bytes;
        return Err(Error::Truncated { file: path.to_owned(), length, expected });
    }
    Ok(Opened::Good(header))
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::writer::LogOptions;

    fn header() -> SegmentHeader {
        let identity = Identity { cluster: 0x0102, node: 3 };
        let options = LogOptions::new(LogKind::Events, identity, 4);
        let tail = Tail { position: 5, index: 6, sequence: 7, checksum: 8, ..Default::default() };
        let tail = Tail { term: 9, stamp: 10, hash: 11, ..tail };
        SegmentHeader::following(&tail, 12, 13, &options)
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        let bytes = header().to_bytes();
        assert_eq!(SegmentHeader::parse(&bytes), Ok(header()));
        let places = [(8, 1), (12, 2), (16, 2), (32, 3), (36, 1), (40, 4), (48, 13), (56, 12)];
        for (at, value) in places {
            assert_eq!(bytes[at], value, "byte {at}");
        }
        let places = [(72, 5), (80, 7), (88, 8), (96, 8), (104, 9), (112, 10), (120, 11)];
        for (at, value) in places {
            assert_eq!(bytes[at], value, "byte {at}");
        }
    }

    #[test]
    fn the_tail_of_an_empty_segment_is_the_one_it_was_made_at() {
        let tail = header().tail();
        assert_eq!((tail.position, tail.index, tail.sequence), (5, 6, 7));
        assert_eq!((tail.term, tail.stamp, tail.hash), (9, 10, 11));
        assert_eq!(tail.checksum, header().checksum);
    }

    #[test]
    fn any_flipped_bit_of_a_header_is_damage() {
        let mut bytes = header().to_bytes();
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(SegmentHeader::parse(&bytes), Err(BadHeader::Damaged(_))), "{bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(SegmentHeader::parse(&bytes[..4095]).is_err());
    }

    #[test]
    fn file_names_sort_like_their_numbers_and_others_are_no_segments() {
        assert_eq!(LogKind::Commands.file_name(1), "commands-00000000000000000001.seg");
        assert_eq!(LogKind::Events.number_of("events-00000000000000000042.seg"), Some(42));
        for name in [
            "events-42.seg",
            "commands-00000000000000000042.seg",
            "events-0000000000000000004x.seg",
            "events-00000000000000000042.seg.zst",
            "events-99999999999999999999.seg",
            "events.spare",
            "",
        ] {
            assert_eq!(LogKind::Events.number_of(name), None, "{name}");
        }
    }
}
