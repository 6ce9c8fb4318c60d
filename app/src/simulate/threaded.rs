//! A simulation on threads, in real time.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use anyhow::{Result, anyhow, ensure};
use replication::SystemClock;
use store::CursorKind;

use super::producer::{LOOK, Pace, market_of, produce};
use super::{Answers, Opened, Orders, Simulation, Summary, finish, venue};
use crate::check::Checker;
use crate::market::Market;
use crate::node::{NodeOptions, Running, Threads};
use crate::progress::Progress;
use crate::slot::Slot;

/// Runs on threads, in real time.
pub fn run(
    simulation: &Simulation,
    options: &NodeOptions,
    threads: &Threads,
    orders: &Orders,
    answers: Option<Answers>,
) -> Result<Summary> {
    let clock = Box::new(SystemClock::default());
    let opened = Opened::new(simulation, options, clock, answers)?;
    let Opened { node, from, admin, gateways, mut checker, venue, open_orders } = opened;
    let began = Instant::now();
    if from >= simulation.commands {
        // Nobody will speak through them: they would keep the runtime folder.
        drop((admin, gateways));
        return finish(node, checker, from, began.elapsed(), false);
    }
    let running = Running::start(node, threads)?;
    let is_stopped = || orders.stop.load(Ordering::Acquire);
    let traffic = match set_up(&running, orders, admin, from, &venue) {
        Ok(()) => {
            let with_markets = |mut gateway: Slot| {
                gateway.set_waker(running.waker());
                (market_of(simulation, &gateway, from, &open_orders), gateway)
            };
            let producers = gateways.into_iter().map(with_markets).collect();
            trade(simulation, &running, orders, producers, &mut checker, from)
        }
        Err(error) => {
            drop(gateways);
            if is_stopped() { Ok(()) } else { Err(error) }
        }
    };
    let (was_stopped, elapsed) = (is_stopped(), began.elapsed());
    // A stage that failed is the cause of whatever its producers met.
    let node = running.stop()?;
    traffic?;
    finish(node, checker, from, elapsed, was_stopped)
}

fn set_up(
    running: &Running,
    orders: &Orders,
    mut admin: Slot,
    nonce: u64,
    venue: &[protocol::Command],
) -> Result<()> {
    admin.set_waker(running.waker());
    venue::set_up(admin, nonce, venue, || {
        thread::sleep(LOOK);
        ensure!(running.is_running(), "the node failed");
        ensure!(!orders.stop.load(Ordering::Acquire), "stopped while the venue was set up");
        Ok(())
    })
}

/// Lets the producers trade until the log is long enough, and the checker see all of it.
fn trade(
    simulation: &Simulation,
    running: &Running,
    orders: &Orders,
    producers: Vec<(Market, Slot)>,
    checker: &mut Checker,
    nonce: u64,
) -> Result<()> {
    let (stop, producing) = (AtomicBool::new(false), AtomicU64::new(producers.len() as u64));
    let (stop, producing) = (&stop, &producing);
    thread::scope(|scope| {
        let checking = scope.spawn(|| check_until(checker, stop, producing));
        let spawn = |(market, gateway)| {
            let pace = Pace::new(simulation.rate, simulation.producers);
            scope.spawn(move || {
                let result = produce(gateway, market, pace, nonce, stop);
                producing.fetch_sub(1, Ordering::Release);
                result
            })
        };
        let threads: Vec<_> = producers.into_iter().map(spawn).collect();
        // None of them ends before it is told to, unless it failed.
        let failed = || checking.is_finished() || threads.iter().any(|it| it.is_finished());
        watch(running, simulation, orders, failed);
        stop.store(true, Ordering::Release);
        for producer in threads {
            joined(producer.join())?;
        }
        joined(checking.join())
    })
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

/// Checks until the producers have ended and everything is seen.
fn check_until(checker: &mut Checker, stop: &AtomicBool, producing: &AtomicU64) -> Result<()> {
    loop {
        let is_last = producing.load(Ordering::Acquire) == 0 && stop.load(Ordering::Acquire);
        if !checker.poll()? {
            if is_last {
                return Ok(());
            }
            thread::sleep(LOOK);
        }
    }
}
