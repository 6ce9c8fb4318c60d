//! How long operations take, without what prepares them.

use std::time::{Duration, Instant};

use clients::Latencies;

use crate::progress::per_second;

/// Of the times that [`Stopwatch::quantiles`] gives.
pub const QUANTILE_NAMES: [&str; 4] = ["p50", "p99", "p99.9", "p99.99"];

/// What is timed: reading the clock for each operation costs as much as some operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// All operations together: for operations per second.
    Whole,
    /// Each one: for percentiles.
    Each,
}

/// Runs only while operations run; what prepares them is not timed.
pub struct Stopwatch {
    timing: Timing,
    began: Instant,
    last: Instant,
    elapsed: Duration,
    laps: Vec<u64>,
    latencies: Latencies,
    operations: u64,
}

impl Stopwatch {
    pub fn new(timing: Timing) -> Stopwatch {
        let now = Instant::now();
        Stopwatch {
            timing,
            began: now,
            last: now,
            elapsed: Duration::ZERO,
            laps: Vec::with_capacity(1 << 12),
            latencies: Latencies::new(),
            operations: 0,
        }
    }

    pub fn start(&mut self) {
        self.began = Instant::now();
        self.last = self.began;
    }

    /// One operation is done.
    #[inline]
    pub fn lap(&mut self) {
        self.operations += 1;
        if self.timing == Timing::Each {
            let now = Instant::now();
            self.laps.push((now - self.last).as_nanos() as u64);
            self.last = now;
        }
    }

    pub fn stop(&mut self) {
        self.elapsed += self.began.elapsed();
        for lap in self.laps.drain(..) {
            self.latencies.record(lap);
        }
    }

    /// Operations a second.
    pub fn per_second(&self) -> u64 {
        per_second(self.operations, self.elapsed)
    }

    /// In nanoseconds, of [`QUANTILE_NAMES`]; zeros when not each operation was timed.
    pub fn quantiles(&self) -> [u64; 4] {
        self.latencies.tail_ns()
    }
}

/// What it takes to read the clock, in nanoseconds: a part of everything timed one by one.
pub fn clock_ns() -> u64 {
    const READINGS: u32 = 100_000;
    let began = Instant::now();
    for _ in 0..READINGS {
        std::hint::black_box(Instant::now());
    }
    (began.elapsed() / READINGS).as_nanos() as u64
}
