//! The whole path: rings → sequencer → replication → command log → engine → event log → reader, in
//! one process, for each durability.

use std::path::{Path, PathBuf};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use app::events::EventReader;
use app::market::Shape;
use app::node::{Node, NodeOptions, Readers, Running, Threads, Waiting, Waker};
use app::ops::QUANTILE_NAMES;
use app::slot::Slot;
use protocol::{Command, Event, Stamp};
use replication::{Durability, SystemClock};

use crate::figures::{Figures, histogram};
use crate::tape::{Length, Tape};
use crate::{Result, machine};

/// Commands that a producer sends ahead of its answers.
const IN_FLIGHT_MAX: u64 = 512;
const RING_BYTES: usize = 4 << 20;
const SHARED_MEMORY: &str = "/dev/shm";

#[derive(Debug, Clone)]
pub struct Options {
    /// Of the throughput run, over all producers.
    pub commands: u64,
    /// Of the latency run; none: as many as the durability makes sensible.
    pub latency: Option<u64>,
    pub producers: u8,
    pub seed: u64,
    pub rounds: usize,
    pub waiting: Waiting,
    pub durabilities: Vec<Durability>,
    /// Where the data folders are made; none: the folder for temporary files.
    pub data: Option<PathBuf>,
}

/// Runs everything and tells line by line.
pub fn run(options: &Options, tell: &mut dyn FnMut(&str)) -> Result<()> {
    let Options { rounds, commands, producers, waiting, .. } = options;
    tell(&format!(
        "whole path, stages fused, waiting by {waiting:?}: {}; {rounds} rounds, medians; \
         {producers} producers, {commands} commands, {IN_FLIGHT_MAX} in flight each; round trips \
         with one in flight",
        machine::describe()
    ));
    let names: String =
        QUANTILE_NAMES.iter().map(|name| format!(" {:>11}", format!("{name} ns"))).collect();
    tell(&format!("{:<16}{:>14}{names}  of memory: commands/s, p50", "", "commands/s"));
    let mut figures = vec![Figures::default(); options.durabilities.len()];
    for _ in 0..options.rounds {
        for (figures, &durability) in figures.iter_mut().zip(&options.durabilities) {
            measure(durability, options, figures)?;
        }
    }
    let memory = options.durabilities.iter().position(|it| *it == Durability::Memory);
    let memory = memory.map(|at| (figures[at].per_second(), figures[at].quantiles()[0]));
    for (figures, durability) in figures.iter().zip(&options.durabilities) {
        let ratios = memory.map_or(String::new(), |(per_second, p50)| {
            let rate = figures.per_second() / per_second;
            let time = figures.quantiles()[0] as f64 / p50.max(1) as f64;
            format!("  {rate:.3}, {time:.2}")
        });
        tell(&format!("{:<16}{figures}{ratios}", name(*durability)));
    }
    tell(
        "  every command answered once and in order; the reader's hash is the node's, in all rounds",
    );
    Ok(())
}

pub fn name(durability: Durability) -> &'static str {
    match durability {
        Durability::Memory => "memory",
        Durability::Async => "async",
        Durability::Sync => "sync",
    }
}

fn latency_of(durability: Durability, options: &Options) -> u64 {
    options.latency.unwrap_or(match durability {
        Durability::Memory | Durability::Async => 20_000,
        Durability::Sync => 3_000,
    })
}

/// One round of one durability, in folders of its own.
fn measure(durability: Durability, options: &Options, figures: &mut Figures) -> Result<()> {
    let data = match &options.data {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    let shared_memory = match Path::new(SHARED_MEMORY).is_dir() {
        true => tempfile::tempdir_in(SHARED_MEMORY)?,
        false => tempfile::tempdir()?,
    };
    let alone = latency_of(durability, options);
    let length = Length { together: options.commands, alone };
    let tape = Tape::rehearse(options.seed, &Shape::default(), options.producers, length);
    let node_options = node_options(durability, data.path(), shared_memory.path());
    let (mut node, _) = Node::open(&node_options, Box::new(SystemClock::default()))?;
    let readers = node.readers();
    let mut senders = Vec::new();
    for slot in 0..=options.producers {
        let (gateway, consumer) = Slot::new(slot, RING_BYTES, &readers, Waker::default())?;
        node.ingest.attach(consumer);
        senders.push(Sender { gateway, answered: 0 });
    }
    let threads = Threads {
        is_fused: true,
        waiting: options.waiting,
        cores: Vec::new(),
        strict_pinning: false,
        on_published: None,
    };
    let running = Running::start(node, &threads)?;
    senders.iter_mut().for_each(|sender| sender.gateway.set_waker(running.waker()));
    let measured = drive(senders, &tape, length, figures);
    // A stage that failed is the cause of whatever its producers met.
    let mut node = running.stop()?;
    measured?;
    node.settle()?;
    check_hash(&readers, node.apply.events_hash())?;
    node.close()?;
    Ok(())
}

fn node_options(durability: Durability, data: &Path, shared_memory: &Path) -> NodeOptions {
    NodeOptions {
        data: data.join("data"),
        durability,
        async_interval: Duration::from_millis(100),
        segment_bytes: 64 << 20,
        frame_bytes_max: 1 << 20,
        uncommitted_bytes_max: 16 << 20,
        snapshots_kept: 1,
        retention_bytes_max: 0,
        cluster: 1,
        storage: store::Disk::shared(),
        shared_memory: shared_memory.to_path_buf(),
        is_simulated: false,
    }
}

fn drive(
    mut senders: Vec<Sender>,
    tape: &Tape,
    length: Length,
    figures: &mut Figures,
) -> Result<()> {
    set_up(senders.remove(0), &tape.venue)?;
    for sender in &mut senders {
        let wait = || {
            thread::yield_now();
            Ok(())
        };
        sender.gateway.join(1, wait)?;
    }
    let (together, alone) = tape.market.split_at(length.together as usize);
    let barrier = Barrier::new(senders.len());
    let spans: Vec<(Sender, Span)> = thread::scope(|scope| {
        let mut running = Vec::new();
        for mut sender in senders {
            let own = together.iter().filter(|it| it.slot == sender.gateway.origin().slot);
            let commands: Vec<Command> = own.map(|taped| taped.command.clone()).collect();
            let barrier = &barrier;
            running.push(scope.spawn(move || -> Result<(Sender, Span)> {
                barrier.wait();
                let began = Instant::now();
                sender.send_all(&commands)?;
                Ok((sender, Span { began, ended: Instant::now() }))
            }));
        }
        let joined = running.into_iter().map(|it| it.join().map_err(|_| "a producer panicked"));
        joined.map(|it| it?).collect::<Result<_>>()
    })?;
    let began = spans.iter().map(|(_, span)| span.began).min();
    let ended = spans.iter().map(|(_, span)| span.ended).max();
    let elapsed = began.zip(ended).map_or(Duration::ZERO, |(began, ended)| ended - began);
    figures.add_rate(length.together as f64 / elapsed.as_secs_f64());
    let mut histogram = histogram()?;
    if let Some((mut sender, _)) = spans.into_iter().next() {
        sender.catch_up()?;
        for taped in alone {
            let began = Instant::now();
            sender.send_one(&taped.command)?;
            histogram.saturating_record(began.elapsed().as_nanos() as u64);
        }
    }
    figures.add_times(&histogram);
    Ok(())
}

struct Span {
    began: Instant,
    ended: Instant,
}

/// Defines the venue through the path itself.
fn set_up(mut admin: Sender, venue: &[Command]) -> Result<()> {
    let is_genesis = |command: &&Command| matches!(command, Command::Genesis(_));
    for command in venue.iter().filter(is_genesis) {
        admin.gateway.push(command)?;
    }
    let wait = || {
        thread::yield_now();
        Ok(())
    };
    admin.gateway.join(1, wait)?;
    let others: Vec<Command> = venue.iter().filter(|it| !is_genesis(it)).cloned().collect();
    admin.send_all(&others)
}

/// A gateway that counts its answers.
struct Sender {
    gateway: Slot,
    answered: u64,
}

impl Sender {
    /// Sends with a window of commands in flight, until all are answered.
    fn send_all(&mut self, commands: &[Command]) -> Result<()> {
        let mut commands = commands.iter().peekable();
        while commands.peek().is_some() || self.answered < self.gateway.sent() {
            let mut is_busy = false;
            while self.gateway.sent() - self.answered < IN_FLIGHT_MAX
                && let Some(command) = commands.peek()
                && self.gateway.send((*command).clone(), Stamp::NEVER).is_ok()
            {
                commands.next();
                is_busy = true;
            }
            if !self.listen()? && !is_busy {
                thread::yield_now();
            }
        }
        Ok(())
    }

    /// Sends one and waits for its answer.
    fn send_one(&mut self, command: &Command) -> Result<()> {
        while self.gateway.send(command.clone(), Stamp::NEVER).is_err() {
            self.listen()?;
        }
        while self.answered < self.gateway.sent() {
            if !self.listen()? {
                thread::yield_now();
            }
        }
        Ok(())
    }

    /// Reads what others have caused.
    fn catch_up(&mut self) -> Result<()> {
        while self.listen()? {}
        Ok(())
    }

    /// Reads what is published; false when there was nothing.
    fn listen(&mut self) -> Result<bool> {
        let origin = self.gateway.origin();
        let Sender { gateway, answered } = self;
        let mut gap = None;
        let seen = gateway.poll(|seen| {
            if matches!(seen.event, Event::CommandAnswered(_)) && Slot::is_own(&origin, &seen) {
                let number = seen.command.origin.number;
                if number != *answered + 1 {
                    gap = Some(number);
                }
                *answered = number;
            }
            Ok(())
        })?;
        match gap {
            None => Ok(seen),
            Some(number) => Err(format!("a command before number {number} has no answer").into()),
        }
    }
}

/// Reads the whole event log; its hash is the one that the engine's thread has.
fn check_hash(readers: &Readers, expected: u64) -> Result<()> {
    let mut hash = 0;
    EventReader::from_start(readers)?.poll(|seen| {
        hash = seen.hash;
        Ok(())
    })?;
    match hash == expected {
        true => Ok(()),
        false => Err(format!("events hash {hash:016x}, expected {expected:016x}").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_durability_answers_everything() {
        let options = Options {
            commands: 2_000,
            latency: Some(20),
            producers: 2,
            seed: 7,
            rounds: 1,
            waiting: Waiting::Park,
            durabilities: vec![Durability::Memory, Durability::Async, Durability::Sync],
            data: None,
        };
        let mut lines = Vec::new();
        run(&options, &mut |line| lines.push(line.to_owned())).unwrap();
        assert_eq!(lines.len(), 6, "{lines:#?}");
    }
}
