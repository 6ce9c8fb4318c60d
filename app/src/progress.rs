//! Progress of long work, on stderr, once a second, when somebody watches.

use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_secs(1);

/// Shows how far something is and how fast it goes.
pub struct Progress {
    what: &'static str,
    is_shown: bool,
    began: Instant,
    last: Instant,
    first_count: Option<u64>,
}

impl Progress {
    /// Shown only on a terminal unless `always`.
    pub fn new(what: &'static str, is_wanted: bool) -> Progress {
        let now = Instant::now();
        let is_shown = is_wanted && stderr().is_terminal();
        Progress { what, is_shown, began: now, last: now, first_count: None }
    }

    /// Shown wherever stderr goes.
    pub fn always(what: &'static str) -> Progress {
        Progress { is_shown: true, ..Progress::new(what, true) }
    }

    /// `done` of `all`; `count` is what the speed is told of.
    pub fn show(&mut self, done: u64, all: u64, count: u64) {
        let first = *self.first_count.get_or_insert(count);
        if !self.is_shown || self.last.elapsed() < INTERVAL {
            return;
        }
        self.last = Instant::now();
        let percent = (u128::from(done) * 100 / u128::from(all.max(1))).min(100);
        let speed = per_second(count - first, self.began.elapsed());
        // Nobody is told when stderr is closed.
        let _ = writeln!(stderr(), "{}: {percent} %, {count} commands, {speed}/s", self.what);
    }

    pub fn end(&mut self) {
        self.is_shown = false;
    }
}

/// A rate, rounded down.
pub fn per_second(count: u64, elapsed: Duration) -> u64 {
    let per_second = u128::from(count) * 1_000_000_000 / elapsed.as_nanos().max(1);
    u64::try_from(per_second).unwrap_or(u64::MAX)
}
