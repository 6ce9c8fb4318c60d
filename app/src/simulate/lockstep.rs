//! A simulation in lockstep: one thread, virtual time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Result;
use replication::{Clock, Reading};

use super::producer::{Producer, market_of};
use super::{Answers, Opened, Orders, Simulation, Summary, finish, venue};
use crate::check::Checker;
use crate::node::{Node, NodeOptions};
use crate::progress::Progress;

/// Virtual time between two turns, and commands of a producer per turn.
const TURN_NS: u64 = 20_000;
const COMMANDS_PER_TURN: u64 = 8;
/// Where virtual time begins: 2026-01-01T00:00:00Z.
const BEGINNING_NS: u64 = 1_767_225_600_000_000_000;

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
        let opened = Opened::new(simulation, options, Box::new(clock.clone()), answers)?;
        let Opened { mut node, from, admin, gateways, checker, venue, open_orders } = opened;
        let mut turn = || {
            clock.advance(TURN_NS);
            node.poll().map(drop)
        };
        venue::set_up(admin, from, &venue, &mut turn)?;
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
        let Lockstep { node, checker, producers, from, .. } = self;
        drop(producers);
        finish(node, checker, from, elapsed, orders.stop.load(Ordering::Acquire))
    }
}
