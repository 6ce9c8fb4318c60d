//! Frames: the unit of writing, checksum, replication and commit.
//!
//! A frame is 64 bytes of header and a payload of records. Its checksum is **seeded by the
//! checksum of the frame before it** (the first of a segment by the segment header's), so a frame
//! is valid only behind the very history that it was written behind: a frame that was cut off can
//! not come back to life when other frames take its predecessors' place.

use crate::bytes::{Fields, FieldsMut};

/// Bytes of a frame's header.
pub const FRAME_HEADER_LENGTH: usize = 64;
/// Frames and records begin at multiples of this.
pub const FRAME_ALIGNMENT: usize = 16;
/// The largest frame unless the options say otherwise.
pub const FRAME_LENGTH_MAX: usize = 1 << 20;

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum FrameKind {
    Commands = 1,
    /// No records: a new leader's first frame.
    Empty = 2,
    /// A change of the cluster's members.
    Configuration = 3,
    Events = 4,
    /// Of a feed's log. `ENDS_COMMAND` says that no message of a venue is cut at its end.
    Feed = 5,
}

impl FrameKind {
    fn from_u16(value: u16) -> Option<FrameKind> {
        match value {
            1 => Some(FrameKind::Commands),
            2 => Some(FrameKind::Empty),
            3 => Some(FrameKind::Configuration),
            4 => Some(FrameKind::Events),
            5 => Some(FrameKind::Feed),
            _ => None,
        }
    }
}

/// Bits about a frame. Unknown bits are kept as they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameFlags(pub u16);

impl FrameFlags {
    /// The frame ends where a command's events end. A frame of the command log always has it.
    pub const ENDS_COMMAND: FrameFlags = FrameFlags(1);

    pub fn ends_command(self) -> bool {
        self.0 & Self::ENDS_COMMAND.0 != 0
    }
}

/// What the writer of a frame says about it; the store adds length, checksum and index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameMeta {
    pub kind: FrameKind,
    pub flags: FrameFlags,
    /// Records in the payload.
    pub count: u32,
    pub term: u64,
    /// The first command that the frame carries or has events of.
    pub first_sequence: u64,
    /// The last command completed when the frame ends; never falls from frame to frame.
    pub last_sequence: u64,
    /// Nanoseconds UTC.
    pub stamp: u64,
    /// The rolling hash of events after this frame; 0 in the command log.
    pub hash: u64,
}

/// Starts every frame. Little endian.
///
/// ```text
///   0          4          8      10      12        16
///   | length   | crc32c   | kind | flags | count   |
///   16                    24                       32
///   | term                | index                  |
///   32                    40                       48
///   | first sequence      | last sequence          |
///   48                    56                       64
///   | stamp               | hash                   | records, each padded to 16 …
/// ```
///
/// `length` counts header and payload and is a multiple of 16; 0 says that the segment ends here.
/// `crc32c` covers all of the frame but itself, seeded by the predecessor's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct FrameHeader {
    pub length: u32,
    pub checksum: u32,
    pub kind: FrameKind,
    pub flags: FrameFlags,
    pub count: u32,
    pub term: u64,
    pub index: u64,
    pub first_sequence: u64,
    pub last_sequence: u64,
    pub stamp: u64,
    pub hash: u64,
}

const _: () = assert!(size_of::<FrameHeader>() == FRAME_HEADER_LENGTH);
const _: () = assert!(FRAME_HEADER_LENGTH.is_multiple_of(FRAME_ALIGNMENT));

impl FrameHeader {
    pub(crate) fn new(meta: &FrameMeta, length: u32, index: u64) -> FrameHeader {
        FrameHeader {
            length,
            checksum: 0,
            kind: meta.kind,
            flags: meta.flags,
            count: meta.count,
            term: meta.term,
            index,
            first_sequence: meta.first_sequence,
            last_sequence: meta.last_sequence,
            stamp: meta.stamp,
            hash: meta.hash,
        }
    }

    /// What the writer of the frame said about it; with it a follower appends the same frame.
    pub fn meta(&self) -> FrameMeta {
        FrameMeta {
            kind: self.kind,
            flags: self.flags,
            count: self.count,
            term: self.term,
            first_sequence: self.first_sequence,
            last_sequence: self.last_sequence,
            stamp: self.stamp,
            hash: self.hash,
        }
    }

    /// The bytes on disk; the checksum as it stands in the field.
    pub fn to_bytes(&self) -> [u8; FRAME_HEADER_LENGTH] {
        let mut bytes = [0; FRAME_HEADER_LENGTH];
        FieldsMut::new(&mut bytes)
            .u32(self.length)
            .u32(self.checksum)
            .u16(self.kind as u16)
            .u16(self.flags.0)
            .u32(self.count)
            .u64(self.term)
            .u64(self.index)
            .u64(self.first_sequence)
            .u64(self.last_sequence)
            .u64(self.stamp)
            .u64(self.hash);
        bytes
    }

    fn from_bytes(bytes: &[u8; FRAME_HEADER_LENGTH]) -> Option<FrameHeader> {
        let mut fields = Fields::new(bytes);
        Some(FrameHeader {
            length: fields.u32()?,
            checksum: fields.u32()?,
            kind: FrameKind::from_u16(fields.u16()?)?,
            flags: FrameFlags(fields.u16()?),
            count: fields.u32()?,
            term: fields.u64()?,
            index: fields.u64()?,
            first_sequence: fields.u64()?,
            last_sequence: fields.u64()?,
            stamp: fields.u64()?,
            hash: fields.u64()?,
        })
    }
}

/// A frame as a reader gets it.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    pub header: FrameHeader,
    /// Where the frame begins in the log.
    pub position: u64,
    /// Records, each padded to 16 by whoever wrote them.
    pub payload: &'a [u8],
}

impl Frame<'_> {
    /// Where the frame ends and the next begins.
    pub fn end(&self) -> u64 {
        self.position.saturating_add(u64::from(self.header.length))
    }
}

/// What stands at the start of some bytes of a segment.
#[derive(Clone, Copy, Debug)]
pub enum Parsed<'a> {
    /// A good frame and its payload.
    Frame(FrameHeader, &'a [u8]),
    /// Zeros or no room for a frame: the segment ends here.
    End,
    /// Bytes that are no frame behind this predecessor, and why.
    Bad(&'static str),
}

/// Reads the frame at the start of `bytes`, which end at the segment's end or at a cursor.
///
/// With `seed` the checksum is verified as a successor of that predecessor; without it is not.
pub fn parse(bytes: &[u8], seed: Option<u32>) -> Parsed<'_> {
    let Some(head) = bytes.first_chunk::<FRAME_HEADER_LENGTH>() else { return Parsed::End };
    let Some(length) = Fields::new(head).u32() else { return Parsed::End };
    if length == 0 {
        return Parsed::End;
    }
    let length = length as usize;
    if length < FRAME_HEADER_LENGTH || !length.is_multiple_of(FRAME_ALIGNMENT) {
        return Parsed::Bad("the length of the frame is impossible");
    }
    let Some(frame) = bytes.get(..length) else {
        return Parsed::Bad("the frame is longer than what is there");
    };
    let Some(header) = FrameHeader::from_bytes(head) else {
        return Parsed::Bad("the kind of the frame is unknown");
    };
    if seed.is_some_and(|seed| checksum(seed, frame) != header.checksum) {
        return Parsed::Bad("the checksum of the frame does not follow from the one before");
    }
    Parsed::Frame(header, frame.get(FRAME_HEADER_LENGTH..).unwrap_or_default())
}

/// The checksum of a whole frame behind the predecessor whose checksum is `seed`.
#[inline]
pub(crate) fn checksum(seed: u32, frame: &[u8]) -> u32 {
    let (length, rest) = frame.split_at_checked(4).unwrap_or_default();
    let covered = rest.get(4..).unwrap_or_default();
    crc32c::crc32c_append(crc32c::crc32c_append(seed, length), covered)
}

/// The next multiple of 16.
#[inline]
pub(crate) fn padded(length: usize) -> usize {
    length.next_multiple_of(FRAME_ALIGNMENT)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    fn meta() -> FrameMeta {
        FrameMeta {
            kind: FrameKind::Events,
            flags: FrameFlags::ENDS_COMMAND,
            count: 0x0C0B_0A09,
            term: 0x1716_1514_1312_1110,
            first_sequence: 0x2726_2524_2322_2120,
            last_sequence: 0x2F2E_2D2C_2B2A_2928,
            stamp: 0x3736_3534_3332_3130,
            hash: 0x3F3E_3D3C_3B3A_3938,
        }
    }

    /// A whole frame of one record behind a predecessor.
    fn frame(seed: u32) -> Vec<u8> {
        let header = FrameHeader::new(&meta(), 80, 0x1F1E_1D1C_1B1A_1918);
        let mut bytes = [&header.to_bytes()[..], &[0xEE; 16]].concat();
        let sum = checksum(seed, &bytes);
        bytes[4..8].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    #[test]
    fn the_header_lies_as_in_the_picture() {
        let mut expected: Vec<u8> = (0..64).collect();
        expected[0..8].copy_from_slice(&[80, 0, 0, 0, 0, 0, 0, 0]);
        expected[8..12].copy_from_slice(&[4, 0, 1, 0]);
        expected[12..16].copy_from_slice(&[0x09, 0x0A, 0x0B, 0x0C]);
        let header = FrameHeader::new(&meta(), 80, 0x1F1E_1D1C_1B1A_1918);
        assert_eq!(header.to_bytes().to_vec(), expected);
        assert_eq!(header.meta(), meta());
    }

    #[test]
    fn a_frame_is_good_behind_its_predecessor_only() {
        let bytes = frame(7);
        let Parsed::Frame(header, payload) = parse(&bytes, Some(7)) else { panic!("refused") };
        assert_eq!((header.meta(), payload), (meta(), &[0xEE; 16][..]));
        assert!(matches!(parse(&bytes, Some(8)), Parsed::Bad(_)));
        assert!(matches!(parse(&bytes, None), Parsed::Frame(..)));
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        for length in [1, 16, 48, 63, 65, 79, 96, u32::MAX, u32::MAX - 15] {
            let mut bytes = frame(7);
            bytes[..4].copy_from_slice(&u32::to_le_bytes(length));
            assert!(matches!(parse(&bytes, None), Parsed::Bad(_)), "{length}");
        }
    }

    #[test]
    fn zeros_and_too_few_bytes_are_the_end() {
        for bytes in [&[][..], &[0; 63], &[0; 64], &[0; 1000], &frame(7)[..63]] {
            assert!(matches!(parse(bytes, Some(7)), Parsed::End), "{} bytes", bytes.len());
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic() {
        let mut random = crate::sim::Random::new(11);
        for _ in 0..20_000 {
            let mut bytes = frame(7);
            for _ in 0..=random.below(3) {
                let at = random.below(80) as usize;
                bytes[at] = random.number() as u8;
            }
            bytes.truncate(random.below(81) as usize);
            let _ = (parse(&bytes, Some(7)), parse(&bytes, None));
        }
    }
}
