//! The command log and who may write it: stamps, numbers, makes durable, commits.
//!
//! One interface, [`Replication`], whether one node or five stand behind it; nobody else knows how
//! many there are. [`Alone`] is a cluster of one: it leads always, and commits a frame when it is
//! as durable as configured. What a command means is nobody's business here.

mod alone;
mod clock;
mod flush;

pub use alone::{Alone, AloneOptions, Settler};
pub use clock::{Clock, Reading, Stamper, SystemClock};
pub use flush::Durability;

use store::Error;

/// A node of the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// A batch's place in the log, once it was proposed. It counts when it is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    pub index: u64,
    pub first_sequence: u64,
    pub last_sequence: u64,
}

/// How far the command log is committed: below, nothing is ever taken back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    pub position: u64,
    pub sequence: u64,
}

/// What this node is in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Leader,
    Follower { leader: Option<NodeId> },
}

/// Why a batch was not taken. Nothing of it is in the log.
#[derive(Debug)]
pub enum ProposeError {
    /// Another node leads, if any does: forward the commands there.
    NotLeader { leader: Option<NodeId> },
    /// Too much is uncommitted: try again later.
    Full,
    /// The log failed; the node stops.
    Failed(Error),
}

/// The command log as the rest of the node sees it.
pub trait Replication {
    /// Appends a batch of command records. Assigns term, index, sequences and stamp.
    fn propose(&mut self, records: &[u8], count: u32) -> Result<Ticket, ProposeError>;

    /// Takes a message of another node.
    fn step(&mut self, from: NodeId, message: &[u8]) -> Result<(), Error>;

    /// Time has passed: what is proposed from here on is stamped with it.
    fn tick(&mut self, now: Reading) -> Result<(), Error>;

    /// Writes what was proposed and commits what may be committed.
    fn advance(&mut self) -> Result<(), Error>;

    fn committed(&self) -> Committed;

    fn role(&self) -> Role;

    /// Hands out the messages for other nodes.
    fn send(&mut self, deliver: &mut dyn FnMut(NodeId, &[u8]));
}
