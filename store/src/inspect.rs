//! What lies in a log folder, and whether it is whole. Changes nothing; works on a live log too,
//! where the newest frames may look torn.

use std::path::{Path, PathBuf};

use crate::durable::{Durable, DurableFacts};
use crate::error::Error;
use crate::recovery::{Expected, walk};
use crate::segment::{self, LogKind, Opened, SegmentHeader, Tail};
use crate::storage::Storage;

/// What lies in a log folder.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The durable facts, if the folder has them.
    pub durable: Option<DurableFacts>,
    pub segments: Vec<SegmentFacts>,
    /// The spares: path and bytes.
    pub spares: Vec<(PathBuf, u64)>,
}

/// One segment file.
#[derive(Clone, Debug)]
pub struct SegmentFacts {
    pub path: PathBuf,
    /// Bytes of the file.
    pub length: u64,
    /// What its header says, or why it says nothing.
    pub header: Result<SegmentHeader, &'static str>,
}

/// Looks at everything in a log folder, without walking the frames.
pub fn inspect(storage: &dyn Storage, directory: &Path) -> Result<Inspection, Error> {
    let durable = match Durable::exists(storage, directory)? {
        true => Some(Durable::peek(storage, directory)?),
        false => None,
    };
    let (mut segments, mut spares) = (Vec::new(), Vec::new());
    for kind in [LogKind::Commands, LogKind::Events] {
        for number in segment::list(storage, directory, kind)? {
            segments.push(segment_facts(storage, directory, kind, number)?);
        }
        let spare = directory.join(kind.spare_name());
        if let Ok(length) = length(storage, &spare) {
            spares.push((spare, length));
        }
    }
    Ok(Inspection { durable, segments, spares })
}

fn segment_facts(
    storage: &dyn Storage,
    directory: &Path,
    kind: LogKind,
    number: u64,
) -> Result<SegmentFacts, Error> {
    let path = segment::path(directory, kind, number);
    let length = length(storage, &path)?;
    let header = match segment::open_header(storage, directory, kind, number) {
        Ok(Opened::Good(header)) => Ok(header),
        Ok(Opened::Damaged(what)) => Err(what),
        Err(Error::NewerFormat { .. }) => Err("the format is newer than this build's"),
        Err(Error::Truncated { .. }) => Err("the file is truncated"),
        Err(Error::Corrupt { what, .. }) => Err(what),
        Err(error) => return Err(error),
    };
    Ok(SegmentFacts { path, length, header })
}

fn length(storage: &dyn Storage, path: &Path) -> Result<u64, Error> {
    let file = storage.open(path, false).map_err(Error::io("open", path))?;
    file.length().map_err(Error::io("look at", path))
}

/// The outcome of walking a whole log.
#[derive(Debug)]
pub struct Verified {
    /// Where the good part of the log begins and ends.
    pub first_position: u64,
    pub tail: Tail,
    pub segments: u64,
    pub frames: u64,
    pub records: u64,
    /// Bytes of frames.
    pub bytes: u64,
    /// The first thing that is wrong, with file and offset.
    pub problem: Option<Error>,
    /// The problem lies above what is known to be durable: a start would cut there and go on.
    pub is_torn_tail: bool,
}

/// Walks every frame of a log and checks every sum.
pub fn verify(
    storage: &dyn Storage,
    directory: &Path,
    kind: LogKind,
    durable_position: u64,
) -> Result<Verified, Error> {
    let numbers = segment::list(storage, directory, kind)?;
    let expected = Expected { kind, identity: None, schemas: None };
    let walked = match walk(storage, directory, &expected, &numbers, 0, None) {
        Ok(walked) => walked,
        Err(problem) => return Ok(Verified::nothing(Some(problem))),
    };
    let Some(walked) = walked else {
        let missing = missing_log(directory, kind, durable_position);
        return Ok(Verified::nothing(missing));
    };
    let (position, path, offset) = (walked.tail.position, walked.path, walked.offset);
    let is_torn_tail = position >= durable_position;
    let broken = walked.broken.map(|broken| broken.into_error(position));
    let garbage = || "bytes behind the last frame";
    let ends_early = || "the log ends here although more of it was durable";
    let problem = broken.or_else(|| match (is_torn_tail, walked.garbage) {
        (true, 0) => None,
        (true, _) => Some(Error::corrupt(&path, offset, garbage())),
        (false, _) => Some(Error::corrupt(&path, offset, ends_early())),
    });
    Ok(Verified {
        first_position: walked.first_position,
        tail: walked.tail,
        segments: walked.last as u64 + 1,
        frames: walked.frames,
        records: walked.records,
        bytes: position.saturating_sub(walked.first_position),
        is_torn_tail: is_torn_tail && problem.is_some(),
        problem,
    })
}

fn missing_log(directory: &Path, kind: LogKind, position: u64) -> Option<Error> {
    let file = segment::path(directory, kind, 1);
    let what = "there is no segment although some were durable";
    (position > 0).then_some(Error::MissingSegment { file, position, what })
}

impl Verified {
    fn nothing(problem: Option<Error>) -> Verified {
        Verified {
            first_position: 0,
            tail: Tail::default(),
            segments: 0,
            frames: 0,
            records: 0,
            bytes: 0,
            problem,
            is_torn_tail: false,
        }
    }
}
