//! When the command log gets to the disk, and the facts that say how far it is there.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use store::writer::Syncer;
use store::{Durable, DurableFacts, Error};

/// What a commit waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Nothing: the log survives the process, not the machine.
    Memory,
    /// The page cache: at most the interval is lost when the power goes, never a hole.
    Async,
    /// The disk.
    Sync,
}

impl Durability {
    pub const fn as_str(self) -> &'static str {
        match self {
            Durability::Memory => "memory",
            Durability::Async => "async",
            Durability::Sync => "sync",
        }
    }
}

/// How often the log is synced so that at most `interval` is lost: what is written just after a sync
/// began waits for the next one to begin and to end.
pub(crate) fn sync_period(durability: Durability, interval: Duration) -> Duration {
    match durability {
        // The writer syncs by itself; only the facts are left to do.
        Durability::Sync => FACTS_INTERVAL,
        Durability::Memory | Durability::Async => interval / 2,
    }
}

/// The durable position is stored at most this often.
pub(crate) const FACTS_INTERVAL: Duration = Duration::from_millis(100);

/// The end of a frame: its position and index.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FrameEnd {
    pub(crate) position: u64,
    pub(crate) index: u64,
}

/// Makes the log durable and writes down how far it is.
pub(crate) struct Flusher {
    syncer: Syncer,
    durable: Mutex<Durable>,
    /// The last frame written, durable or not.
    written: Mutex<FrameEnd>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Flusher {
    pub(crate) fn new(syncer: Syncer, durable: Durable, written: FrameEnd) -> Flusher {
        Flusher { syncer, durable: Mutex::new(durable), written: Mutex::new(written) }
    }

    /// The writer tells what it has written.
    pub(crate) fn note_written(&self, end: FrameEnd) {
        *lock(&self.written) = end;
    }

    /// Makes the log durable up to what was written when this was called.
    pub(crate) fn sync(&self) -> Result<FrameEnd, Error> {
        let end = *lock(&self.written);
        self.syncer.sync()?;
        Ok(end)
    }

    /// Stores that the log is durable up to there, and the event log up to its position if one is
    /// given.
    pub(crate) fn store(&self, end: FrameEnd, events_position: Option<u64>) -> Result<(), Error> {
        let mut durable = lock(&self.durable);
        let before = *durable.facts();
        let facts = DurableFacts {
            index: before.index.max(end.index),
            position: before.position.max(end.position),
            events_position: events_position.unwrap_or(before.events_position),
            ..before
        };
        if facts == before { Ok(()) } else { durable.store(&facts) }
    }
}

/// A thread that flushes at an interval.
pub(crate) struct FlushThread {
    over: Arc<AtomicBool>,
    failure: Arc<Mutex<Option<Error>>>,
    thread: Option<JoinHandle<()>>,
}

impl FlushThread {
    pub(crate) fn start(flusher: Arc<Flusher>, period: Duration) -> std::io::Result<FlushThread> {
        let over = Arc::new(AtomicBool::new(false));
        let failure = Arc::new(Mutex::new(None));
        let (is_over, failed) = (Arc::clone(&over), Arc::clone(&failure));
        let run = move || {
            let mut stored = Instant::now();
            let mut due = Instant::now();
            while !is_over.load(Ordering::Acquire) {
                due += period;
                thread::park_timeout(due.saturating_duration_since(Instant::now()));
                let store_due = stored.elapsed() >= FACTS_INTERVAL;
                let flushed = flusher.sync().and_then(|end| match store_due {
                    true => flusher.store(end, None),
                    false => Ok(()),
                });
                if store_due {
                    stored = Instant::now();
                }
                // A disk that is slower than the period is not chased.
                due = due.max(Instant::now().checked_sub(period).unwrap_or(due));
                if let Err(error) = flushed {
                    *lock(&failed) = Some(error);
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("flush".to_owned()).spawn(run)?;
        Ok(FlushThread { over, failure, thread: Some(thread) })
    }

    /// The failure that ended the thread, once.
    pub(crate) fn take_failure(&self) -> Option<Error> {
        lock(&self.failure).take()
    }
}

impl Drop for FlushThread {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // A panic there was printed by its own hook; there is nothing to add.
            let _ = thread.join();
        }
    }
}
