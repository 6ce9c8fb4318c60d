//! A producer: a gateway whose user is a random market.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use engine::OpenOrder;
use protocol::command::OrderRequest;
use protocol::event::OrderAccepted;
use protocol::{Command, Event, ExecutionId, Quantity, Stamp};

use super::Simulation;
use crate::market::Market;
use crate::slot::Slot;

/// Commands that a producer sends ahead of its answers.
const IN_FLIGHT_MAX: u64 = 512;
/// How long producers wait for their last answers once they are told to stop.
const DRAIN: Duration = Duration::from_secs(2);
/// A producer gives its core away so often before it sleeps.
const IDLE_TURNS: u32 = 1_000;
/// How often waiting threads look.
pub(super) const LOOK: Duration = Duration::from_millis(1);

/// The market of one producer: its share of the accounts, and their orders that are still open.
pub(super) fn market_of(
    simulation: &Simulation,
    gateway: &Slot,
    from: u64,
    open_orders: &[OpenOrder],
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
pub(super) struct Pace {
    began: Instant,
    per_second: Option<u64>,
}

impl Pace {
    pub(super) fn new(rate: u64, producers: u8) -> Pace {
        let per_second = (rate / u64::from(producers)).max(1);
        Pace { began: Instant::now(), per_second: (rate > 0).then_some(per_second) }
    }

    fn allows(&self, sent: u64) -> bool {
        let Some(per_second) = self.per_second else { return true };
        let due = self.began.elapsed().as_nanos() * u128::from(per_second) / 1_000_000_000;
        u128::from(sent) < due
    }
}

pub(super) fn produce(
    mut gateway: Slot,
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
pub(super) struct Producer {
    gateway: Slot,
    market: Market,
    /// Refused by a full ring, to be sent again.
    waiting: Option<Command>,
    answered: u64,
}

impl Producer {
    pub(super) fn new(gateway: Slot, market: Market) -> Producer {
        Producer { gateway, market, waiting: None, answered: 0 }
    }

    fn in_flight(&self) -> u64 {
        self.gateway.sent() - self.answered
    }

    /// False when the ring is full.
    pub(super) fn send(&mut self) -> bool {
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
    pub(super) fn listen(&mut self) -> Result<bool> {
        let origin = self.gateway.origin();
        let Producer { gateway, market, answered, .. } = self;
        gateway.poll(|seen| {
            market.observe(seen.event);
            if matches!(seen.event, Event::CommandAnswered(_)) && Slot::is_own(&origin, &seen) {
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
