//! Logs, durable facts and snapshots that a disk has changed: read as they were written up to
//! some place, or refused; never a panic, never anything that was not written.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use store::durable::SLOT_LENGTH;
use store::frame::{FRAME_HEADER_LENGTH, Parsed, parse};
use store::reader::From;
use store::segment::SEGMENT_HEADER_LENGTH;
use store::snapshot::SNAPSHOT_HEADER_LENGTH;
use store::{
    Durable, DurableFacts, Error, FrameFlags, FrameHeader, FrameKind, FrameMeta, Identity, LogKind,
    LogOptions, Reader, SegmentHeader, SimDisk, SnapshotFacts, Snapshots, Spares, Storage, Writer,
};

use crate::Target;
use crate::draw::Draw;
use crate::edit::damage;
use crate::feedback::note;

pub const TARGET: Target =
    Target { name: "frame", run: frame, corpus, words: &[], length_max: 8_192 };

const IDENTITY: Identity = Identity { cluster: 0x0C, node: 1 };
const SCHEMA: u64 = 7;
/// A header and room for a few frames.
const SEGMENT_BYTES: u64 = 2 * SEGMENT_HEADER_LENGTH as u64;
const FRAMES: u64 = 40;
const TERM: u64 = 3;
/// Up to here the log is known to be durable, when it is.
const DURABLE_FRAMES: usize = 22;

fn frame(data: &[u8]) {
    let mut draw = Draw::new(data);
    match draw.below(4) {
        0 => headers(draw.rest()),
        1 => log(&mut draw, Sums::AsTheyAre),
        // Sums made right again after the damage: what was not written may come back then, but
        // still nothing may panic.
        2 => log(&mut draw, Sums::Forged),
        _ => facts(&mut draw),
    }
}

fn corpus() -> Vec<Vec<u8>> {
    let mut inputs = vec![vec![1], vec![1, 1], vec![2], vec![3], vec![3, 1]];
    for (_, content) in &written().files {
        let first_frame = content.get(SEGMENT_HEADER_LENGTH..).unwrap_or(content);
        for part in [content, first_frame] {
            inputs.push([&[0, 1, 2, 3, 4], &part[..part.len().min(5_000)]].concat());
        }
    }
    // Damages: how many, then for each the file, what, where, with what.
    for at in 0..64u16 {
        let [low, high] = (at * 131).to_le_bytes();
        inputs.push(vec![1, at as u8, 1, at as u8, 2 + at as u8 % 6, low, high, at as u8]);
        inputs.push(vec![2, at as u8, 1, at as u8, 2 + at as u8 % 6, low, high, at as u8]);
        inputs.push(vec![3, at as u8, 1, at as u8, 2 + at as u8 % 6, low, high, at as u8]);
    }
    inputs
}

// Headers alone.

fn headers(data: &[u8]) {
    let (seed, bytes) = data.split_at(data.len().min(4));
    let seed = seed.try_into().map_or(0, u32::from_le_bytes);
    if let Parsed::Frame(header, payload) = parse(bytes, Some(seed)) {
        note("a frame behind this very predecessor");
        check_frame(bytes, &header, payload);
    }
    match parse(bytes, None) {
        Parsed::Frame(header, payload) => check_frame(bytes, &header, payload),
        Parsed::End => note("end"),
        Parsed::Bad(what) => note(what),
    }
    match SegmentHeader::parse(bytes) {
        Ok(header) => {
            let again = header.to_bytes();
            assert_eq!(SegmentHeader::parse(&again), Ok(header));
            assert_eq!(header.tail().position, header.first_position);
        }
        Err(bad) => note(bad),
    }
}

fn check_frame(bytes: &[u8], header: &FrameHeader, payload: &[u8]) {
    let length = header.length as usize;
    assert_eq!(bytes[..FRAME_HEADER_LENGTH], header.to_bytes());
    assert_eq!(&bytes[FRAME_HEADER_LENGTH..length], payload);
}

// A log.

/// What was written before the damage.
struct Written {
    files: Vec<(PathBuf, Vec<u8>)>,
    frames: Vec<WrittenFrame>,
    /// The durable facts in both of their generations.
    facts: Vec<DurableFacts>,
    snapshots: Vec<(SnapshotFacts, Vec<u8>)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct WrittenFrame {
    position: u64,
    meta: FrameMeta,
    payload: Vec<u8>,
}

fn log_folder() -> &'static Path {
    Path::new("/data/log")
}

fn snapshots_folder() -> &'static Path {
    Path::new("/data/snapshots")
}

fn written() -> &'static Written {
    static WRITTEN: OnceLock<Written> = OnceLock::new();
    WRITTEN.get_or_init(|| write().expect("a disk that works"))
}

fn options(durable_position: u64) -> LogOptions {
    LogOptions {
        segment_bytes: SEGMENT_BYTES,
        spares: Spares::Inline,
        durable_position,
        ..LogOptions::new(LogKind::Commands, IDENTITY, SCHEMA)
    }
}

fn meta_of(number: u64) -> FrameMeta {
    FrameMeta {
        kind: FrameKind::Commands,
        flags: FrameFlags::ENDS_COMMAND,
        count: number as u32 % 7,
        term: TERM,
        first_sequence: 2 * number + 1,
        last_sequence: 2 * number + 2,
        stamp: 1_000 + number,
        hash: 0,
    }
}

fn write() -> Result<Written, Error> {
    let disk = SimDisk::new();
    let (mut writer, _) = Writer::open(disk.shared(), log_folder(), options(0))?;
    let mut frames = Vec::new();
    for number in 0..FRAMES {
        let payload = vec![number as u8; 16 * (number as usize * 7 % 30)];
        let meta = meta_of(number);
        let end = writer.append(&meta, &payload);
        let position = end - (FRAME_HEADER_LENGTH + payload.len()) as u64;
        frames.push(WrittenFrame { position, meta, payload });
    }
    writer.write()?;
    writer.sync()?;
    let mut facts = vec![DurableFacts { identity: IDENTITY, term: TERM, ..Default::default() }];
    let mut durable = Durable::create(&disk, log_folder(), &facts[0])?;
    let position = frames[DURABLE_FRAMES].position;
    facts.push(DurableFacts { position, index: DURABLE_FRAMES as u64, vote: 1, ..facts[0] });
    durable.store(&facts[1])?;
    let snapshots = Snapshots::open(disk.shared(), snapshots_folder(), IDENTITY)?;
    let mut kept = Vec::new();
    for sequence in [10, 20] {
        let facts = SnapshotFacts { identity: IDENTITY, sequence, ..Default::default() };
        let payload = vec![sequence as u8; 300];
        snapshots.write(&facts, &payload)?;
        kept.push((facts, payload));
    }
    let mut files = Vec::new();
    for folder in [log_folder(), snapshots_folder()] {
        let mut names = disk.list(folder).map_err(of_disk)?;
        names.sort_unstable();
        for path in names.into_iter().map(|name| folder.join(name)) {
            let content = disk.read(&path).map_err(of_disk)?;
            files.push((path, content));
        }
    }
    Ok(Written { files, frames, facts, snapshots: kept })
}

fn of_disk(source: std::io::Error) -> Error {
    Error::Io { action: "use", file: PathBuf::new(), source }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sums {
    AsTheyAre,
    Forged,
}

/// The written files below a folder after the damages that the input states.
fn damaged(draw: &mut Draw<'_>, folder: &Path, sums: Sums) -> SimDisk {
    let mut files: Vec<(PathBuf, Vec<u8>)> =
        written().files.iter().filter(|(path, _)| path.starts_with(folder)).cloned().collect();
    for _ in 0..draw.below(5) {
        let (one, other) = (draw.below(files.len()), draw.below(files.len()));
        match draw.below(32) {
            0 if files.len() > 1 => drop(files.remove(one)),
            1 => files[one].1 = files[other].1.clone(),
            2 => {
                let content = std::mem::take(&mut files[one].1);
                files[one].1 = std::mem::replace(&mut files[other].1, content);
            }
            _ => damage(&mut files[one].1, draw),
        }
    }
    let disk = SimDisk::new();
    disk.create_directory(folder).expect("a folder");
    for (path, mut content) in files {
        if sums == Sums::Forged {
            forge(&path, &mut content);
        }
        // A file of one byte at least: an empty one cannot be mapped.
        disk.create(&path, 1).expect("a new name");
        content.resize(content.len().max(1), 0);
        disk.damage(&path, |bytes| *bytes = content).expect("it was created");
    }
    disk
}

/// Makes the sums right for whatever stands there.
fn forge(path: &Path, content: &mut [u8]) {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if name == "durable" {
        content.chunks_exact_mut(SLOT_LENGTH).for_each(|slot| {
            seal(slot);
        });
    } else if name.starts_with("snapshot") {
        content.get_mut(..SNAPSHOT_HEADER_LENGTH).map(seal);
    } else if let Some((header, frames)) = content.split_at_mut_checked(SEGMENT_HEADER_LENGTH) {
        let mut sum = seal(header);
        let mut rest = frames;
        while let Some(length) = rest.first_chunk().map(|length| u32::from_le_bytes(*length)) {
            let Some((frame, behind)) = rest.split_at_mut_checked(length as usize) else { return };
            let Some((head, covered)) = frame.split_at_mut_checked(8) else { return };
            sum = crc32c::crc32c_append(crc32c::crc32c_append(sum, &head[..4]), covered);
            head[4..].copy_from_slice(&sum.to_le_bytes());
            rest = behind;
        }
    }
}

/// The last four bytes are the sum of those before.
fn seal(block: &mut [u8]) -> u32 {
    let Some((covered, field)) = block.split_last_chunk_mut::<4>() else { return 0 };
    let sum = crc32c::crc32c(covered);
    *field = sum.to_le_bytes();
    sum
}

fn log(draw: &mut Draw<'_>, sums: Sums) {
    let frames = &written().frames;
    let boundary = draw.pick(&[0, DURABLE_FRAMES, frames.len() - 1]);
    let durable = frames[boundary].position;
    let from = match draw.below(4) {
        0 | 1 => From::Start,
        2 => From::Position(frames[draw.below(frames.len())].position),
        _ => From::Sequence(draw.below(100) as u64),
    };
    let limit = match draw.below(4) {
        0 => draw.extreme(),
        1 => frames[draw.below(frames.len())].position,
        _ => end_of(frames),
    };
    let disk = damaged(draw, log_folder(), sums);
    let storage = disk.shared();
    if let Err(error) = store::inspect(&disk, log_folder()) {
        note(kind_of(&error));
    }
    let verified = store::verify(&disk, log_folder(), LogKind::Commands, durable);
    if let Ok(verified) = &verified {
        let problem = verified.problem.as_ref();
        note((problem.map(kind_of), verified.is_torn_tail, verified.frames));
    }
    let is_forged = sums == Sums::Forged;
    let checked = read(&storage, from, limit, true);
    // Without sums whatever stands there may be read; it only must end.
    let _ = read(&storage, from, limit, false);
    if !is_forged {
        assert_run(&checked);
    }
    let opened = Writer::open(Arc::clone(&storage), log_folder(), options(durable));
    let Ok((writer, recovery)) = opened.inspect_err(|error| note(kind_of(error))) else { return };
    note(("opened", recovery.frames, recovery.cut.is_some()));
    if is_forged {
        return;
    }
    let kept = read(&storage, From::Start, writer.tail().position, true);
    assert_eq!(kept, frames[..kept.len()], "not a beginning of what was written");
    assert_eq!(end_of(&kept), writer.tail().position);
    assert!(writer.tail().position >= durable, "what was durable is gone");
    let problem = verified.map(|verified| (verified.tail.position, verified.first_position));
    assert_eq!(problem.ok(), Some((writer.tail().position, 0)), "verify saw another log");
    go_on(writer, storage, kept);
}

/// A log that was opened takes more, and has it when it is opened again.
fn go_on(mut writer: Writer, storage: Arc<dyn Storage>, mut kept: Vec<WrittenFrame>) {
    let (position, number) = (writer.tail().position, FRAMES + 1);
    let (meta, payload) = (meta_of(number), vec![0xEE; 48]);
    let end = writer.append(&meta, &payload);
    writer.write().and_then(|_| writer.sync()).expect("a disk that works");
    drop(writer);
    kept.push(WrittenFrame { position, meta, payload });
    let (writer, recovery) = Writer::open(Arc::clone(&storage), log_folder(), options(end))
        .expect("a log that was good");
    assert_eq!((writer.tail().position, recovery.cut), (end, None));
    assert_eq!(read(&storage, From::Start, end, true), kept);
}

fn end_of(frames: &[WrittenFrame]) -> u64 {
    let end =
        |frame: &WrittenFrame| frame.position + (FRAME_HEADER_LENGTH + frame.payload.len()) as u64;
    frames.last().map_or(0, end)
}

/// All frames up to the first error.
fn read(storage: &Arc<dyn Storage>, from: From, limit: u64, verify: bool) -> Vec<WrittenFrame> {
    let kind = LogKind::Commands;
    let opened = Reader::open(Arc::clone(storage), log_folder(), kind, from, limit, verify);
    let mut frames = Vec::new();
    let mut reader = match opened {
        Ok(reader) => reader,
        Err(error) => {
            note(kind_of(&error));
            return frames;
        }
    };
    loop {
        match reader.next(limit) {
            Ok(Some(frame)) => frames.push(WrittenFrame {
                position: frame.position,
                meta: frame.header.meta(),
                payload: frame.payload.to_vec(),
            }),
            Ok(None) => return frames,
            Err(error) => {
                note(kind_of(&error));
                return frames;
            }
        }
    }
}

/// The frames are a run of those written.
fn assert_run(found: &[WrittenFrame]) {
    let Some(first) = found.first() else { return };
    let frames = &written().frames;
    let at = frames.iter().position(|frame| frame.position == first.position);
    let same = at.and_then(|at| frames.get(at..at + found.len()));
    assert_eq!(same, Some(found), "frames that were not written");
}

/// The kind of an error and what it says, without file and offset. It must print.
fn kind_of(error: &Error) -> (std::mem::Discriminant<Error>, &'static str) {
    assert!(!error.to_string().is_empty());
    let what = match error {
        Error::Corrupt { what, .. } | Error::MissingSegment { what, .. } => what,
        _ => "",
    };
    (std::mem::discriminant(error), what)
}

// Durable facts and snapshots.

fn facts(draw: &mut Draw<'_>) {
    let sums = if draw.below(2) == 0 { Sums::AsTheyAre } else { Sums::Forged };
    let of_log = damaged(draw, log_folder(), sums);
    let of_snapshots = damaged(draw, snapshots_folder(), sums);
    match Durable::open(&of_log, log_folder(), IDENTITY) {
        Ok(durable) if sums == Sums::AsTheyAre => {
            let found = durable.facts();
            assert!(written().facts.contains(found), "facts that were not stored: {found:?}");
            note(("facts", durable.generation()));
        }
        Ok(_) => note("facts"),
        Err(error) => note(kind_of(&error)),
    }
    let _ = Durable::peek(&of_log, log_folder());
    let opened = Snapshots::open(of_snapshots.shared(), snapshots_folder(), IDENTITY);
    match opened.and_then(|snapshots| snapshots.newest_good(u64::MAX, |_| true)) {
        Ok(newest) => {
            note(("snapshots", newest.passed_over.len(), newest.good.is_some()));
            if let Some(good) = newest.good.filter(|_| sums == Sums::AsTheyAre) {
                assert!(
                    written().snapshots.contains(&good),
                    "no snapshot that was taken: {good:?}"
                );
            }
        }
        Err(error) => note(kind_of(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_disk_shows_what_was_not_written() {
        crate::campaign::check(&TARGET, 1, 2_000);
    }

    #[test]
    fn the_log_that_is_damaged_has_several_segments() {
        let segments = written().files.iter().filter(|(_, content)| content.len() == 8_192);
        assert!(segments.count() >= 3);
        assert_eq!(written().frames.len() as u64, FRAMES);
    }

    #[test]
    fn a_forged_log_passes_all_sums() {
        let disk = damaged(&mut Draw::new(&[]), log_folder(), Sums::Forged);
        let storage = disk.shared();
        let limit = end_of(&written().frames);
        assert_eq!(read(&storage, From::Start, limit, true), written().frames);
    }
}
