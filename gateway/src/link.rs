//! What the gateway needs of the node and of the process around it: traits that `app` fills.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering, fence};

use protocol::event::CommandBegan;
use protocol::{ApiKey, Command, Event, FeedEvent, Origin, Stamp};
use tokio::sync::Notify;

/// The gateway's end of its slot: commands out, every published event in.
pub trait Link: Send {
    /// Sends a command as this gateway's next; sets its origin, keeps the rest of the envelope.
    ///
    /// Errors: the ring has no room for it; nothing was sent.
    fn send(&mut self, command: Command) -> Result<(), Full>;

    /// Hands over events that were published since the last call, with their commands, in order: all
    /// of them, or a little more than `events_max`.
    fn poll(&mut self, events_max: usize, see: &mut Seer<'_>) -> Result<Polled, Broken>;

    /// Is there anything left to poll?
    fn has_news(&self) -> bool;

    /// What this gateway's present attachment puts into its commands; the number does not matter.
    fn origin(&self) -> Origin;

    /// The exchange's time.
    fn now(&self) -> Stamp;
}

/// What is called for each event.
pub type Seer<'a> = dyn FnMut(&Event, &CommandBegan) + 'a;

/// How far a poll came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Polled {
    /// There was nothing.
    Nothing,
    /// There is more; the last command may be cut.
    Some,
    /// All that was published; the last command is whole.
    All,
}

/// The way to what a feed knows of other venues. The log behind it may be absent, come later, and be
/// another one after a while.
pub trait FeedLink: Send {
    /// Hands over what was published since the last call, in order, each record with the stamp of
    /// its frame: all of it, or a little more than `records_max`, up to the end of a message.
    /// Begins, and begins anew, with a checkpoint.
    fn poll(&mut self, now: Stamp, records_max: usize, see: &mut FeedSeer<'_>) -> FeedPolled;

    /// Why the log cannot be read, if it is there and cannot.
    fn problem(&self) -> Option<&str>;
}

/// What is called for each record of a feed.
pub type FeedSeer<'a> = dyn FnMut(&FeedEvent, Stamp) + 'a;

/// What a poll of a feed found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FeedPolled {
    /// There is a log.
    pub is_there: bool,
    /// Somebody writes it.
    pub is_live: bool,
    /// There is more to be read at once.
    pub has_more: bool,
}

/// No room in the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// The event log cannot be read on; the gateway ends.
#[derive(Debug)]
pub struct Broken(pub String);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

/// The process around the gateway: secrets, randomness, and what only the node knows.
pub trait Host: Send + Sync {
    /// Seals an HMAC secret for the log.
    fn seal(&self, key: &ApiKey, secret: &[u8]) -> Result<Vec<u8>, String>;

    /// Opens what `seal` made.
    fn unseal(&self, key: &ApiKey, sealed: &[u8]) -> Result<Vec<u8>, String>;

    /// Fills the buffer from the operating system's generator.
    fn random(&self, buffer: &mut [u8]) -> Result<(), String>;

    /// The life of an order, as JSON: what was asked for it, and every event that is about it. Reads
    /// the log: to be called on a thread that may wait.
    ///
    /// Errors: why it cannot be told.
    fn explain(&self, order: &str) -> Result<String, Untold>;

    /// Asks the node for a snapshot; it is taken between two turns.
    fn request_snapshot(&self);

    /// Does the node wait for room on its disk?
    fn is_stalled(&self) -> bool;

    /// Where the node stands.
    fn node(&self) -> NodeState;
}

/// Why the life of an order is not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Untold {
    /// The log has no such order, or not its beginning any more.
    NoSuchOrder(String),
    /// The log cannot be read.
    Unreadable(String),
}

/// Where the node stands, for the admin API and `/readyz`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeState {
    pub is_running: bool,
    pub durability: String,
    /// Cursors: position in bytes and sequence of the last command.
    pub cursors: Vec<(&'static str, u64, u64)>,
}

/// Wakes the gateway when events were published; the node's thread rings it.
#[derive(Debug, Default)]
pub struct Alarm {
    is_waiting: AtomicBool,
    notify: Notify,
}

impl Alarm {
    /// Something was published. Costs a fence and a load unless the gateway sleeps.
    #[inline]
    pub fn ring(&self) {
        fence(Ordering::SeqCst);
        if self.is_waiting.load(Ordering::Relaxed) && self.is_waiting.swap(false, Ordering::AcqRel)
        {
            self.notify.notify_one();
        }
    }

    /// Sleeps until the next ring, unless `has_news` says that it came already.
    pub async fn wait(&self, has_news: impl Fn() -> bool) {
        self.is_waiting.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if has_news() {
            self.is_waiting.store(false, Ordering::Relaxed);
            return;
        }
        self.notify.notified().await;
    }
}
