//! Which thread runs which stage, how it waits, and how it is stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering, fence};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use store::{CursorKind, CursorsReader};

use super::{Apply, Ingest, Node};

/// Called when events were published; it must be quick and must not wait.
pub type OnPublished = Arc<dyn Fn() + Send + Sync>;

/// A stage spins for this long before it waits.
const SPIN: Duration = Duration::from_micros(50);
/// A parked stage looks again after this long: ticks are due, and a wake-up may be missed.
const PARK: Duration = Duration::from_millis(5);

/// Bits of the stages that may wait for room on the disk.
const INGEST: u8 = 1;
const APPLY: u8 = 2;

/// What a stage does when it has nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// Looks again at once, for ever.
    Spin,
    /// Gives the core away and looks again.
    Yield,
    /// Spins for 50 µs (gives the core away instead when all stages share a thread), then sleeps
    /// until woken.
    Park,
}

/// Where the stages run.
#[derive(Clone)]
pub struct Threads {
    /// One thread for all stages; else one each.
    pub is_fused: bool,
    pub waiting: Waiting,
    /// OS numbers of the cores to pin the stages to, in the order of the stages.
    pub cores: Vec<usize>,
    /// A core that cannot be had is an error, not a warning.
    pub strict_pinning: bool,
    /// For readers in this process that sleep.
    pub on_published: Option<OnPublished>,
}

/// Wakes a parked stage. Producers call it after a push.
#[derive(Clone, Default)]
pub struct Waker {
    parked: Arc<Parked>,
}

#[derive(Default)]
struct Parked {
    is_parked: AtomicBool,
    thread: std::sync::OnceLock<Thread>,
}

impl Waker {
    #[inline]
    pub fn wake(&self) {
        // Orders the push before the look; pairs with the fence in `park`.
        fence(Ordering::SeqCst);
        if self.parked.is_parked.load(Ordering::Relaxed)
            && let Some(thread) = self.parked.thread.get()
        {
            thread.unpark();
        }
    }

    fn adopt_current_thread(&self) {
        // A waker belongs to one stage; its thread is set once.
        let _ = self.parked.thread.set(thread::current());
    }

    /// Sleeps unless `has_work` says that something came in the meantime.
    fn park(&self, has_work: impl FnOnce() -> bool) {
        self.parked.is_parked.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !has_work() {
            thread::park_timeout(PARK);
        }
        self.parked.is_parked.store(false, Ordering::Relaxed);
    }
}

/// Waits according to the setting, one idle turn after another.
struct Idle {
    waiting: Waiting,
    /// Few cores: whoever could run instead must not wait for a stage that only looks.
    yields: bool,
    since: Option<Instant>,
}

impl Idle {
    fn new(waiting: Waiting, yields: bool) -> Idle {
        Idle { waiting, yields, since: None }
    }

    fn busy(&mut self) {
        self.since = None;
    }

    /// True when the stage should park now.
    fn wait(&mut self) -> bool {
        match self.waiting {
            Waiting::Spin => std::hint::spin_loop(),
            Waiting::Yield => thread::yield_now(),
            Waiting::Park => {
                let since = *self.since.get_or_insert_with(Instant::now);
                if since.elapsed() >= SPIN {
                    return true;
                }
                match self.yields {
                    true => thread::yield_now(),
                    false => std::hint::spin_loop(),
                }
            }
        }
        false
    }
}

/// Asks both stages for something, from other threads.
#[derive(Debug, Default)]
struct Requests {
    stop: AtomicBool,
    snapshot: AtomicBool,
    /// Said by a stage that has ended.
    ended: AtomicBool,
    /// Said by a stage that waits for room on the disk: one bit each.
    stalled: AtomicU8,
}

/// A node whose stages run on threads of their own.
pub struct Running {
    waker: Waker,
    apply_waker: Waker,
    requests: Arc<Requests>,
    cursors: CursorsReader,
    stages: Option<Stages>,
    shared: super::Shared,
}

/// A running node, as other threads see it.
#[derive(Clone)]
pub struct NodeHandle {
    requests: Arc<Requests>,
    wakers: [Waker; 2],
    pub cursors: CursorsReader,
}

impl NodeHandle {
    /// Does a stage wait for room on the disk?
    pub fn is_stalled(&self) -> bool {
        self.requests.stalled.load(Ordering::Relaxed) != 0
    }

    /// False when a stage has ended.
    pub fn is_running(&self) -> bool {
        !self.requests.ended.load(Ordering::Acquire)
    }

    /// Asks for a snapshot; it is taken between two turns.
    pub fn request_snapshot(&self) {
        self.requests.snapshot.store(true, Ordering::Release);
        self.wakers.iter().for_each(Waker::wake);
    }
}

enum Stages {
    Fused(JoinHandle<Result<(Ingest, Apply)>>),
    Apart(JoinHandle<Result<Ingest>>, JoinHandle<Result<Apply>>),
}

impl Running {
    /// Starts the stages of a node.
    pub fn start(node: Node, threads: &Threads) -> Result<Running> {
        let Node { ingest, apply, shared } = node;
        let (waker, apply_waker) = (Waker::default(), Waker::default());
        let requests = Arc::new(Requests::default());
        let cursors = shared.cursors.reader();
        let stages = if threads.is_fused {
            let stage = Stage::new("node", 0, threads, &waker, &requests);
            Stages::Fused(stage.spawn(move |stage| run_fused(ingest, apply, stage))?)
        } else {
            let first = Stage::new("ingest", 0, threads, &waker, &requests);
            let second = Stage::new("apply", 1, threads, &apply_waker, &requests);
            let wake_apply = apply_waker.clone();
            let seen = cursors.clone();
            Stages::Apart(
                first.spawn(move |stage| run_ingest(ingest, stage, &wake_apply))?,
                second.spawn(move |stage| run_apply(apply, stage, &seen))?,
            )
        };
        Ok(Running { waker, apply_waker, requests, cursors, stages: Some(stages), shared })
    }

    /// Wakes the first stage; for producers.
    pub fn waker(&self) -> Waker {
        self.waker.clone()
    }

    /// Asks for a snapshot; it is taken between two turns.
    pub fn request_snapshot(&self) {
        self.handle().request_snapshot();
    }

    /// For those who ask from other threads while it runs.
    pub fn handle(&self) -> NodeHandle {
        NodeHandle {
            requests: Arc::clone(&self.requests),
            wakers: [self.waker.clone(), self.apply_waker.clone()],
            cursors: self.cursors.clone(),
        }
    }

    /// False when a stage has ended, by a failure.
    pub fn is_running(&self) -> bool {
        match &self.stages {
            Some(Stages::Fused(stage)) => !stage.is_finished(),
            Some(Stages::Apart(ingest, apply)) => !ingest.is_finished() && !apply.is_finished(),
            None => false,
        }
    }

    pub fn cursors(&self) -> &CursorsReader {
        &self.cursors
    }

    /// Stops both stages where they are and gives the node back.
    pub fn stop(mut self) -> Result<Node> {
        self.requests.stop.store(true, Ordering::Release);
        self.waker.wake();
        self.apply_waker.wake();
        let (ingest, apply) = match self.stages.take() {
            Some(Stages::Fused(stage)) => join(stage)?,
            Some(Stages::Apart(ingest, apply)) => {
                // The second stage may have failed first: its error is the one that matters.
                let (ingest, apply) = (join(ingest), join(apply));
                let apply = apply?;
                (ingest?, apply)
            }
            None => return Err(anyhow!("the node was stopped before")),
        };
        Ok(Node { ingest, apply, shared: self.shared })
    }
}

fn join<T>(stage: JoinHandle<Result<T>>) -> Result<T> {
    stage
        .join()
        .map_err(|_| anyhow!("a stage panicked: this is a bug; the data folder is intact"))?
}

/// What a stage's thread is told.
struct Stage {
    name: &'static str,
    core: Option<usize>,
    strict_pinning: bool,
    waiting: Waiting,
    waker: Waker,
    requests: Arc<Requests>,
    on_published: Option<OnPublished>,
}

impl Stage {
    fn new(
        name: &'static str,
        number: usize,
        threads: &Threads,
        waker: &Waker,
        requests: &Arc<Requests>,
    ) -> Stage {
        Stage {
            name,
            core: threads.cores.get(number).copied(),
            strict_pinning: threads.strict_pinning,
            waiting: threads.waiting,
            waker: waker.clone(),
            requests: Arc::clone(requests),
            on_published: threads.on_published.clone(),
        }
    }

    /// Says whether the stage of this bit waits for room on the disk.
    fn stalls(&self, bit: u8, is_stalled: bool) {
        let stalled = &self.requests.stalled;
        if (stalled.load(Ordering::Relaxed) & bit != 0) != is_stalled {
            stalled.fetch_xor(bit, Ordering::Relaxed);
        }
    }

    /// Tells readers that sleep; after a turn that published something.
    fn tell(&self) {
        if let Some(tell) = &self.on_published {
            tell();
        }
    }

    fn spawn<T: Send + 'static>(
        self,
        run: impl FnOnce(&Stage) -> Result<T> + Send + 'static,
    ) -> Result<JoinHandle<Result<T>>> {
        let thread = thread::Builder::new().name(self.name.to_owned());
        let run = move || {
            self.waker.adopt_current_thread();
            let outcome = self.pin().and_then(|()| run(&self));
            self.requests.ended.store(true, Ordering::Release);
            outcome
        };
        thread.spawn(run).context("cannot start a thread")
    }

    fn pin(&self) -> Result<()> {
        let Some(core) = self.core else { return Ok(()) };
        if core_affinity::set_for_current(core_affinity::CoreId { id: core }) {
            return Ok(());
        }
        let what = format!("cannot pin stage {} to core {core}", self.name);
        if self.strict_pinning {
            return Err(anyhow!("{what}; choose one of the allowed cores"));
        }
        eprintln!("outcry: {what}; it runs anywhere");
        Ok(())
    }

    fn is_stopped(&self) -> bool {
        self.requests.stop.load(Ordering::Acquire)
    }

    fn takes_snapshot(&self) -> bool {
        self.requests.snapshot.load(Ordering::Relaxed)
            && self.requests.snapshot.swap(false, Ordering::AcqRel)
    }
}

fn run_fused(mut ingest: Ingest, mut apply: Apply, stage: &Stage) -> Result<(Ingest, Apply)> {
    let mut idle = Idle::new(stage.waiting, true);
    while !stage.is_stopped() {
        let ingested = ingest.poll()?;
        let applied = apply.poll()?;
        if applied {
            stage.tell();
        }
        stage.stalls(INGEST, ingest.is_stalled());
        stage.stalls(APPLY, apply.is_stalled());
        let busy = ingested | applied;
        if stage.takes_snapshot() {
            apply.snapshot_on_request()?;
        }
        if busy {
            idle.busy();
        } else if idle.wait() {
            stage.waker.park(|| ingest.has_work() || stage.is_stopped());
        }
    }
    Ok((ingest, apply))
}

fn run_ingest(mut ingest: Ingest, stage: &Stage, next: &Waker) -> Result<Ingest> {
    let mut idle = Idle::new(stage.waiting, false);
    let mut committed = 0;
    while !stage.is_stopped() {
        let busy = ingest.poll()?;
        stage.stalls(INGEST, ingest.is_stalled());
        let now_committed = ingest.committed();
        if now_committed != std::mem::replace(&mut committed, now_committed) {
            next.wake();
        }
        if busy {
            idle.busy();
        } else if idle.wait() {
            stage.waker.park(|| ingest.has_work() || stage.is_stopped());
        }
    }
    Ok(ingest)
}

fn run_apply(mut apply: Apply, stage: &Stage, cursors: &CursorsReader) -> Result<Apply> {
    let mut idle = Idle::new(stage.waiting, false);
    while !stage.is_stopped() {
        let busy = apply.poll()?;
        if busy {
            stage.tell();
        }
        stage.stalls(APPLY, apply.is_stalled());
        if stage.takes_snapshot() {
            apply.snapshot_on_request()?;
        }
        if busy {
            idle.busy();
        } else if idle.wait() {
            let applied = cursors.position(CursorKind::Applied);
            let has_work = || cursors.position(CursorKind::Committed) != applied;
            stage.waker.park(|| has_work() || stage.is_stopped());
        }
    }
    Ok(apply)
}
