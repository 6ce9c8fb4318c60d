//! `outcry simulate`: a seeded random market through the real path.
//!
//! Several producers push commands into rings of their own and read their answers from the event
//! log; one more reader checks what every reader may rely on. It can be killed and started again
//! on the same folder at any moment, where it goes on.

use std::fmt;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use engine::Engine;
use protocol::command::{GatewayJoined, OrderRequest};
use protocol::event::OrderAccepted;
use protocol::{Command, Envelope, Event, ExecutionId, Origin, Quantity, Sequenced, Stamp};
use replication::{Clock, Reading, SystemClock};
use store::CursorKind;

use crate::check::Checker;
use crate::config::VenueState;
use crate::events::EventReader;
use crate::gateway::Gateway;
use crate::market::{Market, Shape, venue_commands};
use crate::node::{Node, NodeOptions, Running, Threads, Waker};
use crate::progress::{Progress, per_second};
use crate::replay::{Outcome, outcome_of};

/// Commands that a producer sends ahead of its answers.
const IN_FLIGHT_MAX: u64 = 512;
/// In lockstep: virtual time between two turns, and commands of a producer per turn.
const TURN_NS: u64 = 20_000;
const COMMANDS_PER_TURN: u64 = 8;
/// Where virtual time begins: 2026-01-01T00:00:00Z.
const BEGINNING_NS: u64 = 1_767_225_600_000_000_000;
/// How long producers wait for their last answers once they are told to stop.
const DRAIN: Duration = Duration::from_secs(2);
/// A producer gives its core away so often before it sleeps.
const IDLE_TURNS: u32 = 1_000;
/// How often waiting threads look.
const LOOK: Duration = Duration::from_millis(1);

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

/// Runs on threads, in real time.
pub fn run(
    simulation: &Simulation,
    options: &NodeOptions,
    threads: &Threads,
    orders: &Orders,
    answers: Option<Answers>,
) -> Result<Summary> {
    let (mut node, recovered) = Node::open(options, Box::new(SystemClock::default()))?;
    for warning in &recovered.warnings {
        eprintln!("outcry: {warning}");
    }
    eprintln!("outcry: {recovered}");
    let open_orders = node.apply.engine().open_orders();
    let venue = missing_venue(simulation, node.apply.engine())?;
    let readers = node.readers();
    let mut checker = Checker::new(EventReader::from_now(&readers)?, answers);
    let mut makers = Vec::new();
    for slot in 0..=simulation.producers {
        let (gateway, consumer) =
            Gateway::new(slot, simulation.ring_bytes, &readers, Waker::default())?;
        node.ingest.attach(consumer);
        makers.push(gateway);
    }
    let running = Running::start(node, threads)?;
    for gateway in &mut makers {
        gateway.set_waker(running.waker());
    }
    let began = Instant::now();
    let from = recovered.sequence;
    let stop = Arc::new(AtomicBool::new(false));
    let admin = makers.remove(0);
    let wait = || -> Result<()> {
        thread::sleep(LOOK);
        anyhow::ensure!(running.is_running(), "the node failed");
        anyhow::ensure!(!orders.stop.load(Ordering::Acquire), "stopped while the venue was set up");
        Ok(())
    };
    let is_over = || from >= simulation.commands || orders.stop.load(Ordering::Acquire);
    let is_set_up = match is_over() {
        true => {
            // Nobody will speak through them: they would keep the runtime folder.
            drop(admin);
            makers.clear();
            Ok(())
        }
        false => set_up(admin, from, &venue, wait),
    };
    let done = Arc::new(AtomicU64::new(0));
    let result = thread::scope(|scope| -> Result<()> {
        let checking = scope.spawn({
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            let checker = &mut checker;
            move || check_until(checker, &stop, &done, simulation.producers)
        });
        let mut producing = Vec::new();
        if is_set_up.is_ok() && !is_over() {
            for gateway in makers {
                let market = market_of(simulation, &gateway, from, &open_orders);
                let pace = Pace::new(simulation.rate, simulation.producers);
                let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
                producing.push(scope.spawn(move || {
                    let result = produce(gateway, market, pace, from, stop.as_ref());
                    done.fetch_add(1, Ordering::Release);
                    result
                }));
            }
        } else {
            done.store(u64::from(simulation.producers), Ordering::Release);
        }
        // None of them ends before it is told to, unless it failed.
        let failed = || checking.is_finished() || producing.iter().any(|it| it.is_finished());
        if is_set_up.is_ok() {
            watch(&running, simulation, orders, failed);
        }
        stop.store(true, Ordering::Release);
        for producer in producing {
            joined(producer.join())?;
        }
        joined(checking.join())
    });
    let was_stopped = orders.stop.load(Ordering::Acquire);
    let elapsed = began.elapsed();
    let node = running.stop();
    // A stage that failed is the cause of whatever its producers met.
    let mut node = node?;
    result?;
    if !orders.stop.load(Ordering::Acquire) {
        is_set_up?;
    }
    node.settle()?;
    let outcome = outcome_of(node.apply.engine(), node.apply.events_hash());
    let (events, trades) = (checker.events, checker.trades);
    // Nobody reads any more: the runtime folder can go.
    drop(checker);
    node.close()?;
    let commands = outcome.sequence - from;
    Ok(Summary { outcome, commands, events, trades, elapsed, was_stopped })
}

fn joined(result: thread::Result<Result<()>>) -> Result<()> {
    result.map_err(|_| anyhow!("a thread of the simulation panicked"))?
}

/// Waits until the log is long enough, somebody asks to stop, or a stage failed.
fn watch(running: &Running, simulation: &Simulation, orders: &Orders, failed: impl Fn() -> bool) {
    let mut progress = Progress::always("simulate");
    while running.is_running() && !failed() && !orders.stop.load(Ordering::Acquire) {
        let sequence = running.cursors().place(CursorKind::Published).sequence;
        if sequence >= simulation.commands {
            break;
        }
        if orders.snapshot.swap(false, Ordering::AcqRel) {
            running.request_snapshot();
        }
        progress.show(sequence, simulation.commands, sequence);
        thread::sleep(LOOK);
    }
}

/// What is missing of the venue: the simulated one, if its last command was never executed, and then
/// what the configuration changes of that.
fn missing_venue(simulation: &Simulation, engine: &Engine) -> Result<Vec<Command>> {
    let state = VenueState::of(engine);
    let mut venue = venue_commands(&simulation.shape);
    let is_complete = venue.last().is_some_and(|last| match last {
        Command::Transfer(last) => state.transfers.contains_key(&last.transfer),
        _ => false,
    });
    if is_complete {
        venue.clear();
    }
    venue.retain(|command| !engine.has_genesis() || !matches!(command, Command::Genesis(_)));
    if let Some(plan) = &simulation.plan {
        let planned = plan(&state_after(engine, &venue)?)?;
        venue.extend(planned);
    }
    Ok(venue)
}

/// The venue as it will be when the commands are executed, seen on a copy of the engine.
fn state_after(engine: &Engine, commands: &[Command]) -> Result<VenueState> {
    let mut state = Vec::new();
    engine.save(&mut state);
    let mut copy = Engine::load(&state)?;
    let origin = Origin { node: 1, slot: u8::MAX, incarnation: 0, number: 0 };
    let joins = Envelope { origin, ..Envelope::INTERNAL };
    let (genesis, others): (Vec<_>, Vec<_>) =
        commands.iter().cloned().partition(|it| matches!(it, Command::Genesis(_)));
    let join = Command::from(GatewayJoined { envelope: joins, nonce: 0 });
    let mut events = Vec::new();
    let mut apply = |command: &Command| {
        let (sequence, stamp) = (copy.last_sequence().next(), copy.now());
        copy.apply(&Sequenced { sequence, stamp, command }, &mut events);
        events.drain(..).find_map(|event| match event {
            Event::GatewayAdmitted(admitted) => Some(admitted.incarnation),
            _ => None,
        })
    };
    for command in &genesis {
        apply(command);
    }
    let incarnation = apply(&join).unwrap_or_default();
    for (mut command, number) in others.into_iter().zip(1..) {
        command.envelope_mut().origin = Origin { incarnation, number, ..origin };
        apply(&command);
    }
    Ok(VenueState::of(&copy))
}

/// Defines the venue. What is defined already is refused and changes nothing, so this may be done
/// again after a crash in the middle.
fn set_up(
    mut admin: Gateway,
    nonce: u64,
    venue: &[Command],
    mut turn: impl FnMut() -> Result<()>,
) -> Result<()> {
    let (genesis, others): (Vec<_>, Vec<_>) =
        venue.iter().cloned().partition(|it| matches!(it, Command::Genesis(_)));
    for command in genesis {
        admin.push(&command)?;
    }
    admin.join(nonce, &mut turn)?;
    for command in others {
        while admin.send(command.clone(), Stamp::NEVER).is_err() {
            turn()?;
        }
    }
    let (origin, mut answered) = (admin.origin(), 0);
    while answered < admin.sent() {
        turn()?;
        admin.poll(|seen| {
            let is_answer = matches!(seen.event, Event::CommandAnswered(_));
            if is_answer && Gateway::is_own(&origin, &seen) {
                answered = seen.command.origin.number;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// The market of one producer: its share of the accounts, and their orders that are still open.
fn market_of(
    simulation: &Simulation,
    gateway: &Gateway,
    from: u64,
    open_orders: &[engine::OpenOrder],
) -> Market {
    let (producers, slot) = (u32::from(simulation.producers), u32::from(gateway.origin().slot));
    let share = (simulation.shape.accounts / producers).max(1);
    let first = 1 + share * (slot - 1);
    let mut market = Market::new(simulation.seed ^ from, simulation.shape, first..first + share);
    for open in open_orders {
        let request =
            OrderRequest { quantity: Quantity(open.remaining.0 + open.executed.0), ..open.request };
        let execution = ExecutionId::NONE;
        market.observe(&OrderAccepted { order: open.order, execution, request }.into());
    }
    market
}

/// Holds a producer to its share of the rate.
struct Pace {
    began: Instant,
    per_second: Option<u64>,
}

impl Pace {
    fn new(rate: u64, producers: u8) -> Pace {
        let per_second = (rate / u64::from(producers)).max(1);
        Pace { began: Instant::now(), per_second: (rate > 0).then_some(per_second) }
    }

    fn allows(&self, sent: u64) -> bool {
        let Some(per_second) = self.per_second else { return true };
        let due = self.began.elapsed().as_nanos() * u128::from(per_second) / 1_000_000_000;
        u128::from(sent) < due
    }
}

fn produce(
    mut gateway: Gateway,
    market: Market,
    pace: Pace,
    nonce: u64,
    stop: &AtomicBool,
) -> Result<()> {
    let mut is_stopped = false;
    let joined = gateway.join(nonce, || {
        thread::sleep(LOOK);
        is_stopped = stop.load(Ordering::Acquire);
        anyhow::ensure!(!is_stopped, "stopped");
        Ok(())
    });
    if is_stopped {
        return Ok(());
    }
    joined?;
    let mut producer = Producer::new(gateway, market);
    let mut stopped: Option<Instant> = None;
    let mut idle = 0;
    loop {
        let is_sending = !stop.load(Ordering::Acquire);
        if !is_sending {
            let since = stopped.get_or_insert_with(Instant::now).elapsed();
            // A node that failed, or waits for room on its disk, answers nothing any more.
            if producer.in_flight() == 0 || since > DRAIN {
                return Ok(());
            }
        }
        let sent = is_sending
            && producer.in_flight() < IN_FLIGHT_MAX
            && pace.allows(producer.gateway.sent())
            && producer.send();
        if sent || producer.listen()? {
            idle = 0;
        } else if idle < IDLE_TURNS {
            idle += 1;
            thread::yield_now();
        } else {
            thread::sleep(LOOK);
        }
    }
}

/// A gateway whose user is a random market.
struct Producer {
    gateway: Gateway,
    market: Market,
    /// Refused by a full ring, to be sent again.
    waiting: Option<Command>,
    answered: u64,
}

impl Producer {
    fn new(gateway: Gateway, market: Market) -> Producer {
        Producer { gateway, market, waiting: None, answered: 0 }
    }

    fn in_flight(&self) -> u64 {
        self.gateway.sent() - self.answered
    }

    /// False when the ring is full.
    fn send(&mut self) -> bool {
        let command = self.waiting.take().unwrap_or_else(|| self.market.next());
        // Bad on purpose: a deadline that has passed.
        let deadline = match command.envelope().deadline {
            Stamp(0) => Stamp(0),
            _ => Stamp::NEVER,
        };
        match self.gateway.send(command.clone(), deadline) {
            Ok(()) => true,
            Err(_) => {
                self.waiting = Some(command);
                false
            }
        }
    }

    /// Shows the market what happened; false when there was nothing.
    fn listen(&mut self) -> Result<bool> {
        let origin = self.gateway.origin();
        let Producer { gateway, market, answered, .. } = self;
        gateway.poll(|seen| {
            market.observe(seen.event);
            if matches!(seen.event, Event::CommandAnswered(_)) && Gateway::is_own(&origin, &seen) {
                let number = seen.command.origin.number;
                if number != *answered + 1 {
                    bail!("command {} of slot {} has no answer", *answered + 1, origin.slot);
                }
                *answered = number;
            }
            Ok(())
        })
    }
}

/// Checks until the producers have ended and everything is seen.
fn check_until(
    checker: &mut Checker,
    stop: &AtomicBool,
    done: &AtomicU64,
    producers: u8,
) -> Result<()> {
    loop {
        let is_last =
            done.load(Ordering::Acquire) >= u64::from(producers) && stop.load(Ordering::Acquire);
        if !checker.poll()? {
            if is_last {
                return Ok(());
            }
            thread::sleep(LOOK);
        }
    }
}

/// Time that passes when it is told to.
#[derive(Clone, Default)]
pub struct VirtualClock {
    now: Arc<AtomicU64>,
}

impl VirtualClock {
    pub fn starting_at(now: u64) -> VirtualClock {
        VirtualClock { now: Arc::new(AtomicU64::new(now)) }
    }

    pub fn advance(&self, nanoseconds: u64) {
        self.now.fetch_add(nanoseconds, Ordering::Relaxed);
    }
}

impl Clock for VirtualClock {
    fn read(&self) -> Reading {
        let now = self.now.load(Ordering::Relaxed);
        Reading { wall: now, monotonic: now }
    }
}

/// A simulation on one thread in virtual time: the same seed on a fresh folder gives the same log,
/// events and state, on every machine.
pub struct Lockstep {
    pub node: Node,
    clock: VirtualClock,
    checker: Checker,
    producers: Vec<Producer>,
    commands: u64,
    from: u64,
}

impl Lockstep {
    /// Opens the node and brings its producers in.
    pub fn open(
        simulation: &Simulation,
        options: &NodeOptions,
        answers: Option<Answers>,
    ) -> Result<Lockstep> {
        let clock = VirtualClock::starting_at(BEGINNING_NS);
        let (mut node, recovered) = Node::open(options, Box::new(clock.clone()))?;
        let from = recovered.sequence;
        let open_orders = node.apply.engine().open_orders();
        let venue = missing_venue(simulation, node.apply.engine())?;
        let readers = node.readers();
        let checker = Checker::new(EventReader::from_now(&readers)?, answers);
        let mut gateways = Vec::new();
        for slot in 0..=simulation.producers {
            let (gateway, consumer) =
                Gateway::new(slot, simulation.ring_bytes, &readers, Waker::default())?;
            node.ingest.attach(consumer);
            gateways.push(gateway);
        }
        let mut turn = || {
            clock.advance(TURN_NS);
            node.poll().map(drop)
        };
        let admin = gateways.remove(0);
        set_up(admin, from, &venue, &mut turn)?;
        let mut producers = Vec::new();
        for mut gateway in gateways {
            gateway.join(from, &mut turn)?;
            let market = market_of(simulation, &gateway, from, &open_orders);
            producers.push(Producer::new(gateway, market));
        }
        let commands = simulation.commands;
        Ok(Lockstep { node, clock, checker, producers, commands, from })
    }

    pub fn sequence(&self) -> u64 {
        self.node.apply.engine().last_sequence().0
    }

    /// One turn of everybody; true while there is more to do.
    pub fn turn(&mut self) -> Result<bool> {
        for producer in &mut self.producers {
            for _ in 0..COMMANDS_PER_TURN {
                producer.send();
            }
        }
        self.clock.advance(TURN_NS);
        self.node.poll()?;
        for producer in &mut self.producers {
            producer.listen()?;
        }
        self.checker.poll()?;
        Ok(self.sequence() < self.commands)
    }

    /// Runs to the end and closes the node.
    pub fn finish(mut self, orders: &Orders) -> Result<Summary> {
        let began = Instant::now();
        let mut progress = Progress::always("simulate");
        while !orders.stop.load(Ordering::Acquire) && self.turn()? {
            progress.show(self.sequence(), self.commands, self.sequence());
        }
        let elapsed = began.elapsed();
        self.node.settle()?;
        self.checker.poll()?;
        let Lockstep { node, checker, producers, from, .. } = self;
        let outcome = outcome_of(node.apply.engine(), node.apply.events_hash());
        let (events, trades) = (checker.events, checker.trades);
        drop((checker, producers));
        node.close().context("cannot close the node")?;
        Ok(Summary {
            outcome,
            commands: outcome.sequence - from,
            events,
            trades,
            elapsed,
            was_stopped: orders.stop.load(Ordering::Acquire),
        })
    }
}
