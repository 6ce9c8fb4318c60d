//! Request weights and raw requests of clients, and the bans of those who do not back off.

use core::fmt;
use core::net::IpAddr;
use std::collections::HashMap;

use protocol::command::ApiKey;
use protocol::{MILLISECOND_NS, MINUTE_NS, RateLimitKind, Stamp};

use super::recent::Recent;
use super::windows::Windows;
use super::{DAY_NS, RateLimitStatus, Rule, Rules, Statuses, seconds_until};

/// Clients whose counts are remembered.
pub const CLIENTS_MAX: usize = 32_768;
/// Bans that are remembered; above, the one that ends first is lifted.
pub const BANS_MAX: usize = 4_096;
/// Requests that are refused with 429 in one window; the next one brings a ban.
pub const REFUSALS_MAX: u32 = 10;
/// The first ban; each further one is twice as long.
pub const BAN_NS: u64 = 2 * MINUTE_NS;
pub const BAN_NS_MAX: u64 = 3 * DAY_NS;
/// So long after its end, a ban no longer makes the next one longer. Chosen here: the venue tells
/// no number.
pub const BAN_REMEMBERED_NS: u64 = DAY_NS;

/// Who is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ClientId {
    /// Never an IPv4 address written as IPv6.
    Address(IpAddr),
    Key(ApiKey),
}

impl ClientId {
    /// The address; for a signed request on loopback the key, so that programs on one machine do
    /// not share their limits.
    pub fn of(address: IpAddr, signed_by: Option<ApiKey>) -> ClientId {
        let address = address.to_canonical();
        match signed_by {
            Some(key) if address.is_loopback() => ClientId::Key(key),
            _ => ClientId::Address(address),
        }
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientId::Address(address) => address.fmt(f),
            ClientId::Key(key) => key.fmt(f),
        }
    }
}

/// A request that is refused because of a rate limit (-1003). Prints the venue's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    /// The limit that was hit; of a ban, the one that led to it.
    pub hit: RateLimitStatus,
    pub retry_at: Stamp,
    pub retry_after_seconds: u64,
    pub ban_until: Option<Stamp>,
}

impl TooMany {
    /// HTTP status: 418 while banned, else 429.
    pub const fn status(&self) -> u16 {
        if self.ban_until.is_some() { 418 } else { 429 }
    }
}

impl fmt::Display for TooMany {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RateLimitStatus { kind, interval, interval_count, limit, .. } = self.hit;
        if let Some(until) = self.ban_until {
            let until_ms = until.0 / MILLISECOND_NS;
            return write!(
                f,
                "Way too much request weight used; IP banned until {until_ms}. \
                 Please use WebSocket Streams for live updates to avoid bans."
            );
        }
        match kind {
            RateLimitKind::RequestWeight => write!(
                f,
                "Too much request weight used; current limit is {limit} request weight per \
                 {interval_count} {interval}. Please use WebSocket Streams for live updates to \
                 avoid polling the API."
            ),
            RateLimitKind::RawRequests | RateLimitKind::Orders => write!(
                f,
                "Too many requests; current limit is {limit} requests per {interval_count} \
                 {interval}. Please use WebSocket Streams for live updates to avoid polling the \
                 API."
            ),
        }
    }
}

impl core::error::Error for TooMany {}

/// What the clients of one gateway have used of the limits on requests.
#[derive(Debug)]
pub struct Usage {
    clients: Recent<ClientId, Client>,
    /// Bans that last, and those whose end is less than [`BAN_REMEMBERED_NS`] ago.
    bans: HashMap<ClientId, Ban>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Client {
    weights: Windows,
    raw_requests: Windows,
    /// Requests refused before `refusals_end`.
    refusals: u32,
    refusals_end: Stamp,
}

/// A limit that is exceeded, and the end of its window.
type Hit = (RateLimitStatus, Stamp);

impl Client {
    /// Counts one request: the weights used, and of the limits exceeded the one that ends last.
    fn count(&mut self, rules: &Rules, weight: u32, now: Stamp) -> (Statuses, Option<Hit>) {
        let of_weight = rules.of(RateLimitKind::RequestWeight);
        let of_requests = rules.of(RateLimitKind::RawRequests);
        let weights = Statuses::of(of_weight, |rule| self.weights.add(rule, weight, now));
        let requests = Statuses::of(of_requests, |rule| self.raw_requests.add(rule, 1, now));
        let hits = hits(of_weight, &weights, now).chain(hits(of_requests, &requests, now));
        (weights, hits.max_by_key(|(_, end)| *end))
    }

    /// Counts one refusal until `end`. `true`: it is one too many, and counting starts anew.
    fn refuse(&mut self, end: Stamp, now: Stamp) -> bool {
        let earlier = if now < self.refusals_end { self.refusals } else { 0 };
        let is_too_many = earlier >= REFUSALS_MAX;
        self.refusals = if is_too_many { 0 } else { earlier + 1 };
        self.refusals_end = end;
        is_too_many
    }
}

fn hits(rules: &[Rule], used: &[RateLimitStatus], now: Stamp) -> impl Iterator<Item = Hit> {
    let exceeded = rules.iter().zip(used).filter(|(_, status)| status.count > status.limit);
    exceeded.map(move |(rule, status)| (*status, rule.window_end(now)))
}

#[derive(Debug, Clone, Copy)]
struct Ban {
    until: Stamp,
    duration_ns: u64,
    hit: RateLimitStatus,
}

impl Ban {
    const fn is_forgotten(&self, now: Stamp) -> bool {
        self.until.0.saturating_add(BAN_REMEMBERED_NS) <= now.0
    }

    fn refusal(&self, now: Stamp) -> TooMany {
        let retry_after_seconds = seconds_until(self.until, now);
        let ban_until = Some(self.until);
        TooMany { hit: self.hit, retry_at: self.until, retry_after_seconds, ban_until }
    }
}

impl Default for Usage {
    fn default() -> Usage {
        Usage::new(CLIENTS_MAX)
    }
}

impl Usage {
    /// Remembers the last `clients_max / 2` clients and at most `clients_max`. Who is forgotten
    /// starts at 0, but stays banned.
    pub fn new(clients_max: usize) -> Usage {
        Usage { clients: Recent::new(clients_max), bans: HashMap::new() }
    }

    /// Counts a request, then judges: whoever is over a limit stays over until its window ends.
    /// Requests during a ban are not counted. Returns the weights used.
    ///
    /// # Errors
    ///
    /// 429, and 418 after [`REFUSALS_MAX`] of them or while a ban lasts.
    pub fn charge(
        &mut self,
        rules: &Rules,
        client: &ClientId,
        weight: u32,
        now: Stamp,
    ) -> Result<Statuses, TooMany> {
        if let Some(ban) = self.lasting_ban(client, now) {
            return Err(ban.refusal(now));
        }
        if rules.of(RateLimitKind::RequestWeight).is_empty()
            && rules.of(RateLimitKind::RawRequests).is_empty()
        {
            return Ok(Statuses::EMPTY);
        }
        let counts = self.clients.entry(client);
        let (used, hit) = counts.count(rules, weight, now);
        let Some((hit, retry_at)) = hit else { return Ok(used) };
        if counts.refuse(retry_at, now) {
            return Err(self.ban(client, hit, now).refusal(now));
        }
        let retry_after_seconds = seconds_until(retry_at, now);
        Err(TooMany { hit, retry_at, retry_after_seconds, ban_until: None })
    }

    /// Gives back weight that was charged at `charged`; no longer possible when its window is over.
    pub fn refund(&mut self, rules: &Rules, client: &ClientId, weight: u32, charged: Stamp) {
        if let Some(counts) = self.clients.get_mut(client) {
            for rule in rules.of(RateLimitKind::RequestWeight) {
                counts.weights.give_back(rule, weight, charged);
            }
        }
    }

    /// The weights used, for the headers `X-MBX-USED-WEIGHT-*` and for `rateLimits`.
    pub fn used(&self, rules: &Rules, client: &ClientId, now: Stamp) -> Statuses {
        let counts = self.clients.get(client);
        Statuses::of(rules.of(RateLimitKind::RequestWeight), |rule| {
            counts.map_or(0, |counts| counts.weights.count(rule, now))
        })
    }

    /// All who are banned, in the order of [`ClientId`].
    pub fn bans(&self, now: Stamp) -> Vec<(ClientId, Stamp)> {
        let lasting = self.bans.iter().filter(|(_, ban)| now < ban.until);
        let mut list: Vec<_> = lasting.map(|(client, ban)| (*client, ban.until)).collect();
        list.sort_unstable();
        list
    }

    /// Ends a ban and forgets that it was, and what the client has used. `false`: no ban was
    /// remembered.
    pub fn lift(&mut self, client: &ClientId) -> bool {
        let is_lifted = self.bans.remove(client).is_some();
        if is_lifted && let Some(counts) = self.clients.get_mut(client) {
            *counts = Client::default();
        }
        is_lifted
    }

    pub fn lift_all(&mut self) {
        let banned: Vec<ClientId> = self.bans.keys().copied().collect();
        for client in banned {
            self.lift(&client);
        }
    }

    fn lasting_ban(&self, client: &ClientId, now: Stamp) -> Option<&Ban> {
        self.bans.get(client).filter(|ban| now < ban.until)
    }

    fn ban(&mut self, client: &ClientId, hit: RateLimitStatus, now: Stamp) -> Ban {
        let earlier = self.bans.get(client).filter(|ban| !ban.is_forgotten(now));
        let duration_ns =
            earlier.map_or(BAN_NS, |ban| ban.duration_ns.saturating_mul(2).min(BAN_NS_MAX));
        let ban = Ban { until: Stamp(now.0.saturating_add(duration_ns)), duration_ns, hit };
        if !self.bans.contains_key(client) {
            self.make_room_for_a_ban(now);
        }
        self.bans.insert(*client, ban);
        ban
    }

    /// Looks at all bans, but only when there are [`BANS_MAX`].
    fn make_room_for_a_ban(&mut self, now: Stamp) {
        if self.bans.len() < BANS_MAX {
            return;
        }
        self.bans.retain(|_, ban| !ban.is_forgotten(now));
        if self.bans.len() < BANS_MAX {
            return;
        }
        let first = self.bans.iter().min_by_key(|(client, ban)| (ban.until, **client));
        if let Some(client) = first.map(|(client, _)| *client) {
            self.bans.remove(&client);
        }
    }
}
