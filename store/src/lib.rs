//! The event store: append-only logs of opaque records, each with one writer and any number of
//! readers in any process, that no crash can hurt.
//!
//! The store knows frames, not orders. What a record means is the business of whoever wrote it.
//!
//! ```text
//! DIR/lock                            one process at a time           lock
//! DIR/log/commands-00000000000000000001.seg                           segment, frame
//! DIR/log/events-00000000000000000001.seg
//! DIR/log/commands.spare              the next segment, zero-filled   spare
//! DIR/log/durable                     term, vote, durable position    durable
//! DIR/feed/feed-00000000000000000001.seg   a feed's log, with lock, spare and run of its own
//! DIR/snapshots/snapshot-00000000000000004096                         snapshot
//! /dev/shm/outcry-<id>/run/cursors    live cursors, never evidence    runtime
//! /dev/shm/outcry-<id>/run/readers    64 reader slots                 runtime
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | [`frame`] | the 64 bytes that start every frame, and the chain of checksums |
//! | [`segment`] | the header of a segment file, its name |
//! | [`writer`] | builds frames, writes batches, rolls over, syncs |
//! | [`spare`] | makes the next segment ahead of its use |
//! | [`reader`] | a cursor over a log, in any process |
//! | [`recovery`] | what a start does with a log after a crash: walk, refuse or cut |
//! | [`durable`] | the facts that outlive a crash: term, vote, how far the log is on disk |
//! | [`runtime`] | the folder of live cursors and reader slots |
//! | [`ring`] | single-producer single-consumer rings of records |
//! | [`snapshot`] | snapshots as files, opaque too |
//! | [`mod@inspect`] | what lies in a log folder, and whether it is whole |
//! | [`lock`] | one writer per data folder |
//! | [`storage`] | the file operations that all of it uses; [`sim`] cuts the power in tests |
//! | [`map`] | the one module that maps memory |
//! | [`error`] | every failure of the world, with file, offset and what to do |
//!
//! **Positions** count the bytes of frames since the log began. Headers of segments and the unused
//! end of a segment do not count: the position after a segment's last frame is the position of the
//! next segment's first. **Index** counts frames, **sequence** counts commands; nobody derives one
//! from the other.
//!
//! **Cursors, not lengths**: whoever reads stops at a position that a writer has published. A
//! frame's length serves recovery only.

mod bytes;
pub mod durable;
pub mod error;
pub mod frame;
pub mod inspect;
pub mod lock;
pub mod map;
pub mod reader;
pub mod recovery;
pub mod ring;
pub mod runtime;
pub mod segment;
pub mod sim;
pub mod snapshot;
pub mod spare;
pub mod storage;
pub mod writer;

pub use durable::{Durable, DurableFacts};
pub use error::Error;
pub use frame::{Frame, FrameFlags, FrameHeader, FrameKind, FrameMeta};
pub use inspect::{Inspection, Verified, inspect, verify};
pub use lock::Lock;
pub use reader::{Cursor, From, Reader, check_cursor};
pub use recovery::{Recovery, retire};
pub use ring::{Class, Consumer, Full, Producer};
pub use runtime::{CursorKind, Cursors, CursorsReader, ReaderSlot, ReaderSlots, Runtime};
pub use segment::{Identity, LogKind, SegmentHeader, Tail};
pub use sim::SimDisk;
pub use snapshot::{SnapshotFacts, Snapshots};
pub use storage::{Disk, Storage, StorageFile};
pub use writer::{Backing, FrameBuilder, LogOptions, Spares, Syncer, Writer};
