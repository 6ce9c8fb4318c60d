//! WebSocket frames by hand (RFC 6455, section 5): many client frames into one buffer, server
//! frames parsed in place. No fragments, no extensions.
//!
//! ```text
//! byte 0  FIN 1 | RSV 000 | opcode
//! byte 1  MASK | length 0..125, or 126: 2 bytes follow, or 127: 8 bytes follow (big endian)
//!         4 bytes of mask, if MASK
//!         payload
//! ```

use std::fmt;

const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;
const LENGTH_16: u8 = 126;
const LENGTH_64: u8 = 127;

/// Opcode, length in two bytes, mask: what [`begin_frame`] leaves room for.
const HEADER_ROOM: usize = 8;

/// A server frame above this many payload bytes is refused.
pub(crate) const FRAME_LENGTH_MAX: usize = 16 << 20;

/// Payload of a control frame (RFC 6455, 5.5).
const CONTROL_LENGTH_MAX: usize = 125;

/// An HTTP answer above this many bytes is refused.
const HEAD_LENGTH_MAX: usize = 16 << 10;

/// The least room that is offered to one read.
const READ_ROOM_MIN: usize = 4 << 10;

/// The mask of every frame sent. Zeros are a legal mask and leave the payload as it is.
pub(crate) const MASK: [u8; 4] = [0; 4];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Opcode {
    Text,
    Binary,
    Close,
    Ping,
    Pong,
}

impl Opcode {
    const fn from_byte(byte: u8) -> Option<Opcode> {
        match byte & 0x0F {
            0x1 => Some(Opcode::Text),
            0x2 => Some(Opcode::Binary),
            0x8 => Some(Opcode::Close),
            0x9 => Some(Opcode::Ping),
            0xA => Some(Opcode::Pong),
            _ => None,
        }
    }

    const fn byte(self) -> u8 {
        match self {
            Opcode::Text => 0x1,
            Opcode::Binary => 0x2,
            Opcode::Close => 0x8,
            Opcode::Ping => 0x9,
            Opcode::Pong => 0xA,
        }
    }
}

/// Bytes of the server that are no frame of this client's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireError {
    /// A reserved bit, an unknown opcode or a masked server frame.
    Malformed,
    /// A message in several frames.
    Fragmented,
    /// A frame, or an HTTP answer, above the limit.
    TooLong { length: u64 },
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WireError::Malformed => f.write_str("malformed frame"),
            WireError::Fragmented => f.write_str("message in several frames"),
            WireError::TooLong { length } => write!(f, "frame of {length} bytes"),
        }
    }
}

impl std::error::Error for WireError {}

/// Starts a frame at the end of `out`; the payload is appended by the caller. Returns the place
/// for [`end_frame`].
pub(crate) fn begin_frame(out: &mut Vec<u8>) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_ROOM]);
    start
}

/// Writes the header of the frame begun at `start` and masks its payload of less than 64 KiB.
///
/// # Panics
/// When the payload is longer: the requests of this crate are built here and short.
pub(crate) fn end_frame(out: &mut Vec<u8>, start: usize, opcode: Opcode, mask: [u8; 4]) {
    let payload = start + HEADER_ROOM;
    let length = out.len() - payload;
    assert!(length <= usize::from(u16::MAX), "request of {length} bytes");
    apply_mask(&mut out[payload..], mask);
    let first = FINAL | opcode.byte();
    let [high, low] = (length as u16).to_be_bytes();
    let [a, b, c, d] = mask;
    if length < usize::from(LENGTH_16) {
        out.copy_within(payload.., payload - 2);
        out.truncate(payload - 2 + length);
        out[start..start + 6].copy_from_slice(&[first, MASKED | low, a, b, c, d]);
    } else {
        let header = [first, MASKED | LENGTH_16, high, low, a, b, c, d];
        out[start..payload].copy_from_slice(&header);
    }
}

/// Appends one whole frame.
pub(crate) fn push_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    let start = begin_frame(out);
    out.extend_from_slice(payload);
    end_frame(out, start, opcode, MASK);
}

/// Answers a PING: a PONG with the same payload.
pub(crate) fn push_pong(out: &mut Vec<u8>, ping: &[u8]) {
    push_frame(out, Opcode::Pong, &ping[..ping.len().min(CONTROL_LENGTH_MAX)]);
}

fn apply_mask(payload: &mut [u8], mask: [u8; 4]) {
    if mask != [0; 4] {
        for (byte, key) in payload.iter_mut().zip(mask.iter().cycle()) {
            *byte ^= key;
        }
    }
}

/// A whole frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) opcode: Opcode,
    pub(crate) payload: &'a [u8],
}

/// Bytes received and not yet read as frames.
///
/// **Invariants:** `start <= end <= buffer.len()`; bytes `start..end` are unread.
pub(crate) struct FrameReader {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl FrameReader {
    /// With room for `capacity` bytes; grows for longer frames.
    pub(crate) fn new(capacity: usize) -> FrameReader {
        FrameReader { buffer: vec![0; capacity.max(READ_ROOM_MIN)], start: 0, end: 0 }
    }

    /// Where the next read may write; never empty. Follow with [`FrameReader::received`].
    pub(crate) fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.buffer.len() - self.end < READ_ROOM_MIN {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.buffer.len() - self.end < READ_ROOM_MIN {
            self.buffer.resize(self.buffer.len() * 2, 0);
        }
        &mut self.buffer[self.end..]
    }

    /// `count` bytes were written to the room.
    pub(crate) fn received(&mut self, count: usize) {
        self.end = (self.end + count).min(self.buffer.len());
    }

    /// The next frame that is there whole.
    #[inline]
    pub(crate) fn next_frame(&mut self) -> Result<Option<Frame<'_>>, WireError> {
        let unread = &self.buffer[self.start..self.end];
        let Some((opcode, header, length)) = read_header(unread)? else { return Ok(None) };
        let Some(payload) = unread.get(header..header + length) else { return Ok(None) };
        self.start += header + length;
        Ok(Some(Frame { opcode, payload }))
    }

    /// The head of an HTTP answer up to and with its empty line, once it is there whole.
    pub(crate) fn take_head(&mut self) -> Result<Option<Vec<u8>>, WireError> {
        let unread = &self.buffer[self.start..self.end];
        match unread.windows(4).position(|window| window == b"\r\n\r\n") {
            Some(position) => {
                let head = unread[..position + 4].to_vec();
                self.start += head.len();
                Ok(Some(head))
            }
            None if unread.len() > HEAD_LENGTH_MAX => {
                Err(WireError::TooLong { length: unread.len() as u64 })
            }
            None => Ok(None),
        }
    }
}

/// Opcode, bytes of header and of payload, once the header is there whole.
#[inline]
fn read_header(bytes: &[u8]) -> Result<Option<(Opcode, usize, usize)>, WireError> {
    let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
    if first & RESERVED != 0 || second & MASKED != 0 {
        return Err(WireError::Malformed);
    }
    if first & FINAL == 0 || first & 0x0F == 0 {
        return Err(WireError::Fragmented);
    }
    let opcode = Opcode::from_byte(first).ok_or(WireError::Malformed)?;
    let (header, length) = match second {
        LENGTH_16 => match rest.first_chunk() {
            Some(&bytes) => (4, u64::from(u16::from_be_bytes(bytes))),
            None => return Ok(None),
        },
        LENGTH_64 => match rest.first_chunk() {
            Some(&bytes) => (10, u64::from_be_bytes(bytes)),
            None => return Ok(None),
        },
        short => (2, u64::from(short)),
    };
    match usize::try_from(length) {
        Ok(length) if length <= FRAME_LENGTH_MAX => Ok(Some((opcode, header, length))),
        _ => Err(WireError::TooLong { length }),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::random::Random;

    /// A frame as a server sends it.
    pub(crate) fn server_frame(opcode: Opcode, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![FINAL | opcode.byte()];
        match payload.len() {
            length @ 0..126 => out.push(length as u8),
            length @ 126..65_536 => {
                out.push(LENGTH_16);
                out.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                out.push(LENGTH_64);
                out.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(payload);
        out
    }

    fn read_all(reader: &mut FrameReader, out: &mut Vec<(Opcode, Vec<u8>)>) {
        while let Some(frame) = reader.next_frame().unwrap() {
            out.push((frame.opcode, frame.payload.to_vec()));
        }
    }

    #[test]
    fn frames_come_out_whole_however_the_bytes_are_cut() {
        for seed in 0..40 {
            let mut random = Random::new(seed);
            let mut expected = Vec::new();
            let mut bytes = Vec::new();
            for _ in 0..random.between(1, 30) {
                let length =
                    [0, 1, 125, 126, 127, 4_000, 65_535, 65_536, 90_000][random.below(9) as usize];
                let payload: Vec<u8> = (0..length).map(|_| random.draw() as u8).collect();
                let opcode = [Opcode::Text, Opcode::Ping, Opcode::Binary][random.below(3) as usize];
                bytes.extend_from_slice(&server_frame(opcode, &payload));
                expected.push((opcode, payload));
            }
            let mut reader = FrameReader::new(0);
            let mut found = Vec::new();
            let mut rest = bytes.as_slice();
            while !rest.is_empty() {
                let room = reader.room();
                let cut = random.between(1, 9_000).min(room.len() as u64).min(rest.len() as u64);
                let (chunk, after) = rest.split_at(cut as usize);
                room[..chunk.len()].copy_from_slice(chunk);
                reader.received(chunk.len());
                rest = after;
                read_all(&mut reader, &mut found);
            }
            assert!(found == expected, "seed {seed}");
        }
    }

    /// What a server makes of a client frame.
    fn unmask(bytes: &[u8]) -> (u8, Vec<u8>, usize) {
        let (header, length) = match bytes[1] & 0x7F {
            LENGTH_16 => (4, usize::from(u16::from_be_bytes([bytes[2], bytes[3]]))),
            short => (2, usize::from(short)),
        };
        assert_eq!(bytes[1] & MASKED, MASKED);
        let mask: [u8; 4] = bytes[header..header + 4].try_into().unwrap();
        let mut payload = bytes[header + 4..header + 4 + length].to_vec();
        apply_mask(&mut payload, mask);
        (bytes[0], payload, header + 4 + length)
    }

    #[test]
    fn client_frames_are_masked_and_have_the_shortest_length() {
        for mask in [MASK, [1, 2, 3, 4]] {
            let mut out = Vec::new();
            let lengths = [0, 1, 105, 125, 126, 200, 65_535];
            for length in lengths {
                let start = begin_frame(&mut out);
                out.extend((0..length).map(|index| index as u8));
                end_frame(&mut out, start, Opcode::Text, mask);
            }
            let mut rest = out.as_slice();
            for length in lengths {
                let (first, payload, used) = unmask(rest);
                assert_eq!(first, 0x81);
                assert_eq!(payload, (0..length).map(|index| index as u8).collect::<Vec<_>>());
                assert_eq!(rest[1] & 0x7F == LENGTH_16, length >= 126, "{length}");
                rest = &rest[used..];
            }
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        #[track_caller]
        fn check(bytes: &[u8], expected: WireError) {
            let mut reader = FrameReader::new(0);
            reader.room()[..bytes.len()].copy_from_slice(bytes);
            reader.received(bytes.len());
            assert_eq!(reader.next_frame(), Err(expected));
        }
        check(&[0x81, 0x80, 0, 0, 0, 0], WireError::Malformed);
        check(&[0xC1, 0], WireError::Malformed);
        check(&[0x83, 0], WireError::Malformed);
        check(&[0x01, 0], WireError::Fragmented);
        check(&[0x80, 0], WireError::Fragmented);
        let long = [0x82, 127, 0xFF, 0, 0, 0, 0, 0, 0, 0];
        check(&long, WireError::TooLong { length: 0xFF << 56 });
    }
}
