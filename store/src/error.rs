//! Every failure of the world that the store can meet. A bug is an assert instead, a refused order
//! an event; neither comes here.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What went wrong, where, and (in its text) what to do about it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused; after a failed write the writer refuses everything.
    Io { action: &'static str, file: PathBuf, source: io::Error },
    /// The disk is full. Nothing is lost: make room and call `write` again.
    NoSpace { file: PathBuf, source: io::Error },
    /// A sync failed. What the disk holds is unknown, so the node must stop; never retried.
    SyncFailed { file: PathBuf, source: io::Error },
    /// The writer or syncer was used after a failure that it cannot survive.
    Stopped,
    /// Bytes that were known to be durable are not what was written.
    Corrupt { file: PathBuf, offset: u64, what: &'static str },
    /// The file belongs to another cluster or node.
    Foreign { file: PathBuf, offset: u64, found: (u128, u32), expected: (u128, u32) },
    /// The file was written by a newer version.
    NewerFormat { file: PathBuf, offset: u64, found: u32, supported: u32 },
    /// The records in the file follow a schema that this build does not read.
    UnknownSchema { file: PathBuf, offset: u64, found: u64 },
    /// The file is shorter than its header says (or than a header).
    Truncated { file: PathBuf, length: u64, expected: u64 },
    /// A segment that must be there is not: a directory copied by halves.
    MissingSegment { file: PathBuf, position: u64, what: &'static str },
    /// Another process holds the data folder; pid 0 when it has not said its own yet.
    Locked { file: PathBuf, pid: u32 },
    /// What the reader wants was retired; it may go on from here, having missed the rest.
    Vanished { first_available: u64, first_sequence: u64 },
    /// The log was cut below the reader's cursor; what it has up to this sequence is still right.
    Cut { last_common: u64 },
    /// A position that is no end of a frame of this log.
    NotABoundary { position: u64 },
    /// All 64 reader slots are taken by living processes.
    NoReaderSlot,
    /// Options that contradict each other.
    Options { what: &'static str },
}

impl Error {
    pub(crate) fn io(action: &'static str, file: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Error::NoSpace { file: file.to_owned(), source }
            }
            _ => Error::Io { action, file: file.to_owned(), source },
        }
    }

    pub(crate) fn sync(file: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::SyncFailed { file: file.to_owned(), source }
    }

    pub(crate) fn corrupt(file: &Path, offset: u64, what: &'static str) -> Error {
        Error::Corrupt { file: file.to_owned(), offset, what }
    }

    /// True when the same call may succeed later with nothing lost.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Error::NoSpace { .. })
    }

    /// True when the node must stop: it can no longer say what its disk holds.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Error::SyncFailed { .. } | Error::Stopped | Error::Io { .. })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Io { action, file, source } => {
                write!(f, "cannot {action} {}: {source}", file.display())
            }
            Error::NoSpace { file, source } => write!(
                f,
                "no space for {}: {source}; make room and go on, nothing is lost",
                file.display()
            ),
            Error::SyncFailed { file, source } => write!(
                f,
                "sync of {} failed: {source}; the node stops because it cannot know what the disk \
                 holds: check the disk, then start again",
                file.display()
            ),
            Error::Stopped => write!(f, "the log stopped after a failed write or sync"),
            Error::Corrupt { file, offset, what } => write!(
                f,
                "{} is corrupt at offset {offset}: {what}; restore the data folder from a backup \
                 or from another node",
                file.display()
            ),
            Error::Foreign { file, offset, found, expected } => write!(
                f,
                "{} at offset {offset} belongs to cluster {:032x} node {}, not to cluster {:032x} \
                 node {}; use the folder of this node",
                file.display(),
                found.0,
                found.1,
                expected.0,
                expected.1
            ),
            Error::NewerFormat { file, offset, found, supported } => write!(
                f,
                "{} at offset {offset} has format {found}, this build reads up to {supported}; use \
                 the build that wrote it or a newer one",
                file.display()
            ),
            Error::UnknownSchema { file, offset, found } => write!(
                f,
                "{} at offset {offset} holds records of schema {found:016x}, which this build does \
                 not read; use the build that wrote it or start from a snapshot",
                file.display()
            ),
            Error::Truncated { file, length, expected } => write!(
                f,
                "{} ends at offset {length} but should have {expected} bytes; copy it again or \
                 restore it from a backup",
                file.display()
            ),
            Error::MissingSegment { file, position, what } => write!(
                f,
                "{} is missing (position {position} at offset 0): {what}; copy the whole folder \
                 again or restore it from a backup",
                file.display()
            ),
            Error::Locked { file, pid: 0 } => {
                write!(f, "{} is held by another process; stop it first", file.display())
            }
            Error::Locked { file, pid } => {
                write!(f, "{} is held by process {pid}; stop it first", file.display())
            }
            Error::Vanished { first_available, first_sequence } => write!(
                f,
                "the log now begins at position {first_available}, sequence {first_sequence}; go \
                 on from there or from a snapshot"
            ),
            Error::Cut { last_common } => write!(
                f,
                "the log was cut; forget what came after sequence {last_common} and read on from \
                 there"
            ),
            Error::NotABoundary { position } => {
                write!(f, "position {position} is not the end of a frame of this log")
            }
            Error::NoReaderSlot => {
                write!(f, "all reader slots are taken; stop a reader and try again")
            }
            Error::Options { what } => write!(f, "{what}"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Error::Io { source, .. }
            | Error::NoSpace { source, .. }
            | Error::SyncFailed { source, .. } => Some(source),
            _ => None,
        }
    }
}
