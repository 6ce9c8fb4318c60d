//! Time is read by whoever drives replication and turned into stamps here, once per frame.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// What the clocks say at one moment, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    /// Since 1970, UTC; may be set back or forth.
    pub wall: u64,
    /// Since some moment of this process; never runs backwards.
    pub monotonic: u64,
}

/// Where readings come from: the system, or a test.
pub trait Clock: Send {
    fn read(&self) -> Reading;
}

/// The machine's clocks.
#[derive(Debug, Clone)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn read(&self) -> Reading {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Reading { wall: wall.as_nanos() as u64, monotonic: self.start.elapsed().as_nanos() as u64 }
    }
}

/// A wall clock that differs by more is reported.
const STEP_NS: u64 = 1_000_000_000;

/// Stored time approaches the wall clock by at most this part of the time that passes: 1/200.
const SLEW_DIVISOR: u64 = 200;

/// Turns readings into stamps: they follow the monotonic clock, never run backwards, and approach
/// the wall clock slowly, so that a step of the wall clock is slewed and not followed.
#[derive(Debug)]
pub struct Stamper {
    /// The last stamp given out.
    last: u64,
    /// Stored time at the last reading, and that reading's monotonic clock.
    time: u64,
    monotonic: u64,
    /// Time that has passed and is not slewed for yet: less than the divisor.
    unslewed: u64,
    is_stepped: bool,
    steps: u64,
}

impl Stamper {
    /// `last`: the stamp of the log's last frame; stored time starts from it or from the wall
    /// clock, whichever is later.
    pub fn new(last: u64, now: Reading) -> Stamper {
        let time = now.wall.max(last);
        Stamper { last, time, monotonic: now.monotonic, unslewed: 0, is_stepped: false, steps: 0 }
    }

    /// The stamp for a frame that is made now: `max(last stamp, stored time)`.
    pub fn stamp(&mut self, now: Reading) -> u64 {
        self.last = self.last.max(self.advance(now));
        self.last
    }

    /// Stored time now, without stamping anything.
    pub fn advance(&mut self, now: Reading) -> u64 {
        let elapsed = now.monotonic.saturating_sub(self.monotonic);
        self.monotonic = self.monotonic.max(now.monotonic);
        self.time = self.time.saturating_add(elapsed);
        self.unslewed += elapsed;
        let slew = self.unslewed / SLEW_DIVISOR;
        self.unslewed %= SLEW_DIVISOR;
        let apart = self.time.abs_diff(now.wall);
        if self.time < now.wall {
            self.time += apart.min(slew);
        } else {
            self.time -= apart.min(slew);
        }
        let is_stepped = apart > STEP_NS;
        self.steps += u64::from(is_stepped && !self.is_stepped);
        self.is_stepped = is_stepped;
        self.time
    }

    /// How often the wall clock was found more than a second away from stored time.
    pub fn steps(&self) -> u64 {
        self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(wall: u64, monotonic: u64) -> Reading {
        Reading { wall, monotonic }
    }

    #[test]
    fn stamps_follow_the_monotonic_clock() {
        let mut stamper = Stamper::new(0, at(100 * SECOND, 0));
        assert_eq!(stamper.stamp(at(101 * SECOND, SECOND)), 101 * SECOND);
        assert_eq!(stamper.stamp(at(101 * SECOND, SECOND)), 101 * SECOND);
    }

    #[test]
    fn stored_time_never_runs_backwards_after_a_restart() {
        let mut stamper = Stamper::new(500 * SECOND, at(100 * SECOND, 0));
        let first = stamper.stamp(at(100 * SECOND, 0));
        assert_eq!(first, 500 * SECOND);
        let passed = stamper.stamp(at(101 * SECOND, SECOND)) - first;
        assert_eq!(passed, SECOND - SECOND / SLEW_DIVISOR);
    }

    #[test]
    fn the_wall_clock_is_approached_however_often_it_is_read() {
        let mut stamper = Stamper::new(0, at(0, 0));
        let ahead = SECOND / 2;
        for read in 1..=1_000_000 {
            stamper.advance(at(read * 150 + ahead, read * 150));
        }
        let behind =
            1_000_000 * 150 + ahead - stamper.stamp(at(1_000_000 * 150 + ahead, 1_000_000 * 150));
        assert_eq!(behind, ahead - 1_000_000 * 150 / SLEW_DIVISOR);
    }

    #[test]
    fn a_step_of_the_wall_clock_is_reported_and_slewed() {
        let mut stamper = Stamper::new(0, at(100 * SECOND, 0));
        let mut before = stamper.stamp(at(100 * SECOND, 0));
        for second in 1..=100 {
            let stamp = stamper.stamp(at((3_700 + second) * SECOND, second * SECOND));
            let passed = stamp - before;
            assert!((SECOND..=SECOND + SECOND / SLEW_DIVISOR).contains(&passed), "{passed}");
            before = stamp;
        }
        assert_eq!(stamper.steps(), 1);
        let back = stamper.stamp(at(0, 101 * SECOND));
        assert!(back >= before && back - before <= SECOND);
    }
}
