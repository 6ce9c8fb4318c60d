//! A log on a simulated disk, and what the tests ask of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use store::sim::Random;
use store::{
    Error, FrameFlags, FrameKind, FrameMeta, From, Identity, LogKind, LogOptions, Reader, Recovery,
    SimDisk, Spares, Storage, Writer,
};

pub(crate) const IDENTITY: Identity = Identity { cluster: 0xC0FFEE, node: 1 };
pub(crate) const SCHEMA: u64 = 0x5C4E;
pub(crate) const HEADER: u64 = 4096;
/// Small, so that logs roll over soon: 4096 bytes for frames.
pub(crate) const SEGMENT_BYTES: u64 = 8192;

pub(crate) fn folder() -> &'static Path {
    Path::new("/node/log")
}

pub(crate) fn options() -> LogOptions {
    LogOptions {
        segment_bytes: SEGMENT_BYTES,
        spares: Spares::Inline,
        ..LogOptions::new(LogKind::Events, IDENTITY, SCHEMA)
    }
}

pub(crate) fn open(disk: &SimDisk) -> Result<(Writer, Recovery), Error> {
    open_with(disk, &options())
}

pub(crate) fn open_with(disk: &SimDisk, options: &LogOptions) -> Result<(Writer, Recovery), Error> {
    Writer::open(disk.shared(), folder(), options.clone())
}

pub(crate) fn open_durable(
    disk: &SimDisk,
    durable_position: u64,
) -> Result<(Writer, Recovery), Error> {
    open_with(disk, &LogOptions { durable_position, ..options() })
}

pub(crate) fn segment(number: u64) -> PathBuf {
    folder().join(LogKind::Events.file_name(number))
}

/// An event frame that completes command `sequence`.
pub(crate) fn meta(sequence: u64) -> FrameMeta {
    FrameMeta {
        kind: FrameKind::Events,
        flags: FrameFlags::ENDS_COMMAND,
        count: 1,
        term: 1,
        first_sequence: sequence,
        last_sequence: sequence,
        stamp: 1_000_000 + sequence,
        hash: sequence.wrapping_mul(0x9E37_79B9),
    }
}

/// Bytes that nobody else has.
pub(crate) fn payload(random: &mut Random, length: usize) -> Vec<u8> {
    (0..length.div_ceil(8)).flat_map(|_| random.number().to_le_bytes()).take(length).collect()
}

/// Appends frames for commands `from..=to`, writes and syncs them; gives the ends.
pub(crate) fn fill(writer: &mut Writer, from: u64, to: u64, length: usize) -> Vec<u64> {
    let mut random = Random::new(from);
    let append = |sequence| writer.append(&meta(sequence), &payload(&mut random, length));
    let ends = (from..=to).map(append).collect();
    writer.write().unwrap();
    writer.sync().unwrap();
    ends
}

/// A log of commands 1 to `count`, all on disk, and the ends of its frames.
pub(crate) fn filled(count: u64, length: usize) -> (SimDisk, Vec<u64>) {
    let disk = SimDisk::new();
    let (mut writer, _) = open(&disk).unwrap();
    let ends = fill(&mut writer, 1, count, length);
    (disk, ends)
}

/// Everything a verifying reader finds below `limit`: (end, stamp, payload).
pub(crate) fn read_all(
    storage: Arc<dyn Storage>,
    limit: u64,
) -> Result<Vec<(u64, u64, Vec<u8>)>, Error> {
    let kind = LogKind::Events;
    let mut reader = Reader::open(storage, folder(), kind, From::Start, limit, true)?;
    let mut frames = Vec::new();
    while let Some(frame) = reader.next(limit)? {
        frames.push((frame.end(), frame.header.stamp, frame.payload.to_vec()));
    }
    Ok(frames)
}

/// The last sequence of what a start finds.
pub(crate) fn last_sequence(disk: &SimDisk) -> u64 {
    open(disk).unwrap().1.tail.sequence
}

pub(crate) fn error(result: Result<(Writer, Recovery), Error>) -> Error {
    match result {
        Ok((_, recovery)) => panic!("the log was opened: {recovery:?}"),
        Err(error) => error,
    }
}
