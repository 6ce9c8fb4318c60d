//! `outcry simulate`: a seeded random market through the real path.
//!
//! Several producers push commands into rings of their own and read their answers from the event
//! log; one more reader checks what every reader may rely on. It can be killed and started again
//! on the same folder at any moment, where it goes on.

mod lockstep;
mod producer;
mod threaded;
pub(crate) mod venue;

pub use lockstep::{Lockstep, VirtualClock};
pub use threaded::run;

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Result;
use engine::OpenOrder;
use protocol::Command;
use replication::Clock;

use crate::check::Checker;
use crate::config::VenueState;
use crate::events::EventReader;
use crate::market::Shape;
use crate::node::{Node, NodeOptions, Waker};
use crate::progress::per_second;
use crate::replay::{Outcome, outcome_of};
use crate::slot::Slot;

/// What to simulate.
pub struct Simulation {
    pub seed: u64,
    /// The log's sequence at which it ends.
    pub commands: u64,
    pub producers: u8,
    pub shape: Shape,
    /// Commands a second over all producers; 0 is no bound.
    pub rate: u64,
    pub ring_bytes: usize,
    /// What a configuration adds to the venue.
    pub plan: Option<Planner>,
}

/// The commands that bring a state to a configuration.
pub type Planner = Box<dyn Fn(&VenueState) -> Result<Vec<Command>> + Send + Sync>;

/// Asked from outside, by signals.
#[derive(Debug, Default)]
pub struct Orders {
    pub stop: Arc<AtomicBool>,
    pub snapshot: Arc<AtomicBool>,
}

/// Takes a line for each answered command of a producer; see [`Answer`].
pub type Answers = Box<dyn Write + Send>;

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub struct Summary {
    pub outcome: Outcome,
    /// Commands of this run.
    pub commands: u64,
    pub events: u64,
    pub trades: u64,
    pub elapsed: Duration,
    pub was_stopped: bool,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { commands, events, trades, elapsed, .. } = self;
        writeln!(
            f,
            "{commands} commands, {events} events, {trades} trades in {}.{:03} s: {} commands/s",
            elapsed.as_secs(),
            elapsed.subsec_millis(),
            per_second(*commands, *elapsed)
        )?;
        write!(f, "{}", self.outcome)
    }
}

/// One answered command: its place, the hash over all events up to its `CommandAnswered`, who sent
/// it, and the order that it placed (0: none). The hash says every id, fill and balance so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    pub sequence: u64,
    pub events_hash: u64,
    pub slot: u8,
    pub incarnation: u32,
    pub number: u64,
    pub order: u64,
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Answer { sequence, events_hash, slot, incarnation, number, order } = self;
        write!(f, "{sequence} {events_hash:016x} {slot} {incarnation} {number} {order}")
    }
}

impl Answer {
    /// Reads a whole line; none for a line that was cut short.
    pub fn parse(line: &str) -> Option<Answer> {
        let mut words = line.strip_suffix('\n')?.split(' ');
        let answer = Answer {
            sequence: words.next()?.parse().ok()?,
            events_hash: u64::from_str_radix(words.next()?, 16).ok()?,
            slot: words.next()?.parse().ok()?,
            incarnation: words.next()?.parse().ok()?,
            number: words.next()?.parse().ok()?,
            order: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(answer)
    }
}

/// A node that has recovered, and everybody who is going to speak to it.
struct Opened {
    node: Node,
    /// Where the log stood.
    from: u64,
    /// Sets the venue up.
    admin: Slot,
    gateways: Vec<Slot>,
    checker: Checker,
    /// What is missing of the venue.
    venue: Vec<Command>,
    open_orders: Vec<OpenOrder>,
}

impl Opened {
    fn new(
        simulation: &Simulation,
        options: &NodeOptions,
        clock: Box<dyn Clock>,
        answers: Option<Answers>,
    ) -> Result<Opened> {
        let (mut node, recovered) = Node::open(options, clock)?;
        if !options.is_simulated {
            for warning in &recovered.warnings {
                eprintln!("outcry: {warning}");
            }
            eprintln!("outcry: {recovered}");
        }
        let venue = venue::missing(simulation, node.apply.engine())?;
        let open_orders = node.apply.engine().open_orders();
        let readers = node.readers();
        let checker = Checker::new(EventReader::from_now(&readers)?, answers);
        let mut attach = |slot| {
            let ring_bytes = simulation.ring_bytes;
            let (gateway, consumer) = Slot::new(slot, ring_bytes, &readers, Waker::default())?;
            node.ingest.attach(consumer);
            anyhow::Ok(gateway)
        };
        let admin = attach(venue::SLOT)?;
        let gateways = (1..=simulation.producers).map(attach).collect::<Result<_>>()?;
        let from = recovered.sequence;
        Ok(Opened { node, from, admin, gateways, checker, venue, open_orders })
    }
}

/// Ends a simulation: everything is applied, seen and in a snapshot; the node is closed.
fn finish(
    mut node: Node,
    mut checker: Checker,
    from: u64,
    elapsed: Duration,
    was_stopped: bool,
) -> Result<Summary> {
    node.settle()?;
    checker.poll()?;
    let outcome = outcome_of(node.apply.engine(), node.apply.events_hash());
    let (events, trades) = (checker.events, checker.trades);
    // Nobody reads any more: the runtime folder can go.
    drop(checker);
    node.close()?;
    let commands = outcome.sequence - from;
    Ok(Summary { outcome, commands, events, trades, elapsed, was_stopped })
}
