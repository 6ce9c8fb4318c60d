//! One node: the stages of the one-way path, wired together.
//!
//! ```text
//! rings → [ ingest: sequencer, replication ] → command log → [ apply: engine ] → event log
//! ```
//! [`Ingest`] and [`Apply`] are `poll` functions; `threads` runs both on one thread (fused) or each
//! on its own. Everybody else reads the event log through a [`crate::events::EventReader`].

mod apply;
mod event_log;
mod files;
mod ingest;
mod recover;
mod threads;

pub use apply::Apply;
pub use event_log::{Divergence, EventLog};
pub use files::{NodeFile, Place, runtime_folder};
pub use ingest::Ingest;
pub use recover::Recovered;
pub use threads::{NodeHandle, OnPublished, Running, Threads, Waiting, Waker};

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use replication::{Alone, AloneOptions, Clock, Durability};
use store::segment::Identity;
use store::{
    Cursors, CursorsReader, Error, Lock, ReaderSlot, ReaderSlots, Runtime, SnapshotFacts,
    Snapshots, Storage,
};

/// Where a node lives and how it writes. Nothing here influences an event.
#[derive(Clone)]
pub struct NodeOptions {
    pub data: PathBuf,
    pub durability: Durability,
    pub async_interval: Duration,
    pub segment_bytes: u64,
    pub frame_bytes_max: usize,
    pub uncommitted_bytes_max: u64,
    pub snapshots_kept: usize,
    /// Segments below the oldest kept snapshot go when the logs take more than this; 0 keeps all.
    pub retention_bytes_max: u64,
    /// Given to a log that does not exist yet.
    pub cluster: u128,
    pub storage: Arc<dyn Storage>,
    /// A tmpfs for the runtime folder and for logs in memory.
    pub shared_memory: PathBuf,
    /// On a disk of a test: no lock, no runtime folder, no threads.
    pub is_simulated: bool,
}

impl NodeOptions {
    fn payload_length_max(&self) -> usize {
        self.frame_bytes_max.saturating_sub(store::frame::FRAME_HEADER_LENGTH)
    }
}

/// A node that has recovered and is ready to run.
pub struct Node {
    pub ingest: Ingest,
    pub apply: Apply,
    shared: Shared,
}

/// What both stages and every reader need to know.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) place: Place,
    pub(crate) identity: Identity,
    pub(crate) cursors: Cursors,
    /// Held for life; the last clone frees it.
    _lock: Option<Arc<Lock>>,
    runtime: Option<Arc<Runtime>>,
}

impl Node {
    /// Opens a data folder, recovers what is there, and says what it found.
    ///
    /// Errors name the file, the offset and what to do; nothing is lost by trying again.
    pub fn open(options: &NodeOptions, clock: Box<dyn Clock>) -> Result<(Node, Recovered)> {
        let lock = match options.is_simulated {
            true => None,
            false => Some(Arc::new(lock(&options.data)?)),
        };
        let storage = &options.storage;
        let files::Opened { file, runtime, is_new } = files::open(storage.as_ref(), options)?;
        let identity = file.identity;
        let place = Place::of(&options.data, &file);
        let cursors = match &runtime {
            Some(runtime) => runtime.cursors()?,
            None => Cursors::anonymous()?,
        };
        let shared =
            Shared { storage: Arc::clone(storage), place, identity, cursors, _lock: lock, runtime };
        let snapshots = Snapshots::open(Arc::clone(storage), &shared.place.snapshots, identity)?;
        let start = recover::find_start(&snapshots, &shared, options, is_new)?;
        let (alone, commands) = Alone::open(
            Arc::clone(storage),
            &shared.place.log,
            &shared.place.durable,
            AloneOptions {
                identity,
                boot_id: store::durable::boot_id(),
                durability: options.durability,
                async_interval: options.async_interval,
                segment_bytes: options.segment_bytes,
                payload_length_max: options.payload_length_max(),
                uncommitted_bytes_max: options.uncommitted_bytes_max,
                flush_thread: !options.is_simulated,
                start: start.commands,
                needed_from: start.facts.commands_position,
            },
            clock.read(),
        )
        .context("command log")?;
        let settler = alone.settler();
        let ingest = Ingest::new(alone, clock, shared.cursors.clone());
        let (apply, recovered) =
            recover::recover(start, commands, &shared, snapshots, settler, options)?;
        ingest.publish();
        Ok((Node { ingest, apply, shared }, recovered))
    }

    /// One turn of both stages on this thread; true when there was something to do.
    pub fn poll(&mut self) -> Result<bool> {
        let ingested = self.ingest.poll()?;
        let applied = self.apply.poll()?;
        Ok(ingested || applied)
    }

    /// For readers of the logs in this process.
    pub fn readers(&self) -> Readers {
        Readers::of(&self.shared)
    }

    /// The first part of a clean end: everything proposed is applied, a snapshot is taken.
    pub fn settle(&mut self) -> Result<SnapshotFacts> {
        while self.poll()? {}
        self.apply.snapshot()
    }

    /// The last part: cursors are removed unless somebody still reads.
    pub fn close(self) -> Result<()> {
        let Node { ingest, apply, shared } = self;
        drop((ingest, apply));
        // Readers that are left in this process hold maps, not the folder.
        if let Some(runtime) = shared.runtime.and_then(Arc::into_inner) {
            runtime.close()?;
        }
        Ok(())
    }
}

/// A process that was killed a moment ago may still be on its way out and hold the lock.
const LOCK_WAIT: Duration = Duration::from_millis(500);
const LOCK_LOOK: Duration = Duration::from_millis(10);

fn lock(data: &Path) -> Result<Lock, Error> {
    let began = Instant::now();
    loop {
        match Lock::acquire(data) {
            Err(Error::Locked { .. }) if began.elapsed() < LOCK_WAIT => thread::sleep(LOCK_LOOK),
            outcome => return outcome,
        }
    }
}

impl Shared {
    fn runtime_warning(&self) -> Option<String> {
        self.runtime.as_ref()?.warning().map(ToString::to_string)
    }
}

/// All that is needed to read a node's logs.
#[derive(Clone)]
pub struct Readers {
    pub storage: Arc<dyn Storage>,
    pub log: PathBuf,
    pub cursors: CursorsReader,
    /// Where readers say how far they are; none on the disk of a test.
    slots: Option<Arc<ReaderSlots>>,
}

impl Readers {
    /// A slot for one reader, so that others see how far it is; none when all are taken, which
    /// takes nothing from the reader but that.
    pub fn claim(&self, position: u64) -> Option<ReaderSlot> {
        self.slots.as_ref()?.claim(position).ok()
    }
}

impl Readers {
    fn of(shared: &Shared) -> Readers {
        Readers {
            storage: Arc::clone(&shared.storage),
            log: shared.place.log.clone(),
            cursors: shared.cursors.reader(),
            slots: shared.runtime.as_ref().and_then(|it| it.readers().ok()).map(Arc::new),
        }
    }
}
