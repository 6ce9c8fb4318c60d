//! How often an address may connect, and how fast one connection of streams may speak.

use core::fmt;
use core::net::IpAddr;

use protocol::{MINUTE_NS, SECOND_NS, Stamp};

use super::recent::Recent;
use super::seconds_until;
use super::usage::CLIENTS_MAX;

/// Attempts to connect, per address.
pub const CONNECTS_MAX: u32 = 300;
pub const CONNECTS_WINDOW_NS: u64 = 5 * MINUTE_NS;
/// Pings, pongs and control messages from a client of streams.
pub const MESSAGES_PER_SECOND_MAX: u32 = 5;

/// How many have come in one window.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    window: u64,
    count: u32,
}

impl Tally {
    /// Counts one more and returns their number. An earlier time counts in the window reached.
    fn add(&mut self, window: u64) -> u32 {
        if self.window < window {
            *self = Tally { window, count: 0 };
        }
        self.count = self.count.saturating_add(1);
        self.count
    }
}

/// Attempts to connect, in fixed windows of five minutes.
#[derive(Debug)]
pub struct Connects {
    connects_max: u32,
    addresses: Recent<IpAddr, Tally>,
}

/// An attempt above the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyConnects {
    pub connects_max: u32,
    pub retry_after_seconds: u64,
}

impl fmt::Display for TooManyConnects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = CONNECTS_WINDOW_NS / MINUTE_NS;
        write!(f, "more than {} attempts to connect in {minutes} minutes", self.connects_max)
    }
}

impl core::error::Error for TooManyConnects {}

impl Default for Connects {
    fn default() -> Connects {
        Connects::new(CONNECTS_MAX)
    }
}

impl Connects {
    /// 0 switches the limit off.
    pub fn new(connects_max: u32) -> Connects {
        Connects { connects_max, addresses: Recent::new(CLIENTS_MAX) }
    }

    /// Counts an attempt, also one that is refused.
    ///
    /// # Errors
    ///
    /// It is above the limit.
    pub fn attempt(&mut self, address: IpAddr, now: Stamp) -> Result<(), TooManyConnects> {
        let Connects { connects_max, ref mut addresses } = *self;
        if connects_max == 0 {
            return Ok(());
        }
        let window = now.0 / CONNECTS_WINDOW_NS;
        if addresses.entry(&address.to_canonical()).add(window) <= connects_max {
            return Ok(());
        }
        let end = Stamp(window.saturating_add(1).saturating_mul(CONNECTS_WINDOW_NS));
        Err(TooManyConnects { connects_max, retry_after_seconds: seconds_until(end, now) })
    }
}

/// Messages from the client of one connection, in fixed seconds.
#[derive(Debug, Clone, Copy)]
pub struct MessagePace {
    messages_max: u32,
    tally: Tally,
}

impl Default for MessagePace {
    fn default() -> MessagePace {
        MessagePace::new(MESSAGES_PER_SECOND_MAX)
    }
}

impl MessagePace {
    /// 0 switches the limit off.
    pub fn new(messages_max: u32) -> MessagePace {
        MessagePace { messages_max, tally: Tally::default() }
    }

    /// Counts a message. `false`: it is too fast, the connection must be closed.
    #[must_use]
    pub fn admits(&mut self, now: Stamp) -> bool {
        self.tally.add(now.0 / SECOND_NS) <= self.messages_max || self.messages_max == 0
    }
}
