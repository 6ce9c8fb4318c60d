//! Rate limits: which there are, and how much of them clients and accounts have used.
//!
//! Everything counts in fixed windows of the exchange's time: a window of 1 MINUTE starts at each
//! full minute, of 10 SECOND at :00, :10, :20, of 1 DAY at midnight UTC. Time is passed in; nothing
//! here reads a clock, knows a socket or writes JSON. Each call takes constant time, whatever the
//! number of clients.

mod connections;
mod orders;
mod recent;
#[cfg(test)]
mod tests;
mod usage;
mod windows;

use core::fmt;
use core::ops::Deref;

use protocol::event::RateLimitSet;
use protocol::{MINUTE_NS, RateLimitInterval, RateLimitKind, SECOND_NS, Stamp};

pub use connections::{
    CONNECTS_MAX, CONNECTS_WINDOW_NS, Connects, MESSAGES_PER_SECOND_MAX, MessagePace,
    TooManyConnects,
};
pub use orders::{FIRST_FILL_AS_MAKER, FIRST_FILL_AS_TAKER, OrderCounts, TooManyOrders};
pub use usage::{
    BAN_NS, BAN_NS_MAX, BAN_REMEMBERED_NS, BANS_MAX, CLIENTS_MAX, ClientId, REFUSALS_MAX, TooMany,
    Usage,
};

/// Rate limits of one kind that are applied at a time.
pub const RULES_PER_KIND_MAX: usize = 4;

const DAY_NS: u64 = 24 * 60 * MINUTE_NS;

/// One rate limit of the venue.
///
/// **Invariants:** `limit` and `length_ns` are above 0; no two rules of a kind have the same slot,
/// no two rules ever the same id.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub kind: RateLimitKind,
    pub interval: RateLimitInterval,
    pub interval_count: u32,
    pub limit: u32,
    length_ns: u64,
    slot: usize,
    id: u32,
}

impl Rule {
    /// The window, counted from 1970, that this moment lies in.
    const fn window(&self, now: Stamp) -> u64 {
        now.0 / self.length_ns
    }

    /// When the current window ends and counting starts anew.
    pub const fn window_end(&self, now: Stamp) -> Stamp {
        Stamp(self.window(now).saturating_add(1).saturating_mul(self.length_ns))
    }

    const fn status(&self, count: u32) -> RateLimitStatus {
        RateLimitStatus {
            kind: self.kind,
            interval: self.interval,
            interval_count: self.interval_count,
            limit: self.limit,
            count,
        }
    }
}

const fn interval_ns(interval: RateLimitInterval, interval_count: u32) -> u64 {
    let unit_ns = match interval {
        RateLimitInterval::Second => SECOND_NS,
        RateLimitInterval::Minute => MINUTE_NS,
        RateLimitInterval::Day => DAY_NS,
    };
    let length_ns = unit_ns.saturating_mul(interval_count as u64);
    if length_ns == 0 { unit_ns } else { length_ns }
}

/// The rate limits of the venue, as the events set them.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Per kind, the shortest interval first.
    lists: [Vec<Rule>; RateLimitKind::ALL.len()],
    last_id: u32,
}

impl Rules {
    pub fn new() -> Rules {
        Rules::default()
    }

    /// Adds a limit, changes its number, or removes it (limit 0). What was counted for the others,
    /// and for a limit whose number changes, stays. `false`: the limit is not applied, because
    /// there are [`RULES_PER_KIND_MAX`] of its kind.
    pub fn set(&mut self, event: &RateLimitSet) -> bool {
        let RateLimitSet { kind, interval, interval_count, limit } = *event;
        let list = &mut self.lists[kind as usize];
        let place = list.binary_search_by_key(&(interval, interval_count), |rule| {
            (rule.interval, rule.interval_count)
        });
        match place {
            Ok(place) if limit == 0 => {
                list.remove(place);
            }
            Ok(place) => list[place].limit = limit,
            Err(_) if limit == 0 => {}
            Err(place) => {
                let is_free = |slot: &usize| list.iter().all(|rule| rule.slot != *slot);
                let Some(slot) = (0..RULES_PER_KIND_MAX).find(is_free) else { return false };
                self.last_id += 1;
                let (id, length_ns) = (self.last_id, interval_ns(interval, interval_count));
                let rule = Rule { kind, interval, interval_count, limit, length_ns, slot, id };
                list.insert(place, rule);
            }
        }
        true
    }

    /// All limits, in the order of `exchangeInfo`: weights, orders, raw requests.
    pub fn iter(&self) -> impl Iterator<Item = &Rule> {
        self.lists.iter().flatten()
    }

    /// The limits of one kind, the shortest interval first.
    pub fn of(&self, kind: RateLimitKind) -> &[Rule] {
        &self.lists[kind as usize]
    }
}

/// How much of one limit is used: an entry of `rateLimits`, or the value of a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitStatus {
    pub kind: RateLimitKind,
    pub interval: RateLimitInterval,
    pub interval_count: u32,
    pub limit: u32,
    pub count: u32,
}

impl RateLimitStatus {
    /// End of the name of its header: `10S`, `1M`, `1D`.
    pub fn header_suffix(&self) -> impl fmt::Display {
        let letter = match self.interval {
            RateLimitInterval::Second => 'S',
            RateLimitInterval::Minute => 'M',
            RateLimitInterval::Day => 'D',
        };
        HeaderSuffix(self.interval_count, letter)
    }
}

struct HeaderSuffix(u32, char);

impl fmt::Display for HeaderSuffix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0, self.1)
    }
}

/// A few statuses of one kind, stored inline; reads as a slice.
#[derive(Clone, Copy)]
pub struct Statuses {
    list: [RateLimitStatus; RULES_PER_KIND_MAX],
    length: usize,
}

impl Statuses {
    pub const EMPTY: Statuses = Statuses {
        list: [RateLimitStatus {
            kind: RateLimitKind::RequestWeight,
            interval: RateLimitInterval::Second,
            interval_count: 0,
            limit: 0,
            count: 0,
        }; RULES_PER_KIND_MAX],
        length: 0,
    };

    /// Of these limits, with the count of each.
    fn of(rules: &[Rule], mut count: impl FnMut(&Rule) -> u32) -> Statuses {
        let mut statuses = Statuses::EMPTY;
        for (place, rule) in statuses.list.iter_mut().zip(rules) {
            *place = rule.status(count(rule));
            statuses.length += 1;
        }
        statuses
    }
}

/// What a request used: the account's unfilled orders, if it places one, and the client's weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    pub orders: Statuses,
    pub weights: Statuses,
}

impl Used {
    pub const NOTHING: Used = Used { orders: Statuses::EMPTY, weights: Statuses::EMPTY };

    /// In the order of `rateLimits`.
    pub fn iter(&self) -> impl Iterator<Item = &RateLimitStatus> {
        self.orders.iter().chain(self.weights.iter())
    }
}

impl Deref for Statuses {
    type Target = [RateLimitStatus];

    fn deref(&self) -> &[RateLimitStatus] {
        &self.list[..self.length]
    }
}

impl fmt::Debug for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for Statuses {
    fn eq(&self, other: &Statuses) -> bool {
        **self == **other
    }
}

impl Eq for Statuses {}

/// For the header `Retry-After`: whole seconds, never too few, at least 1.
fn seconds_until(end: Stamp, now: Stamp) -> u64 {
    end.0.saturating_sub(now.0).div_ceil(SECOND_NS).max(1)
}
