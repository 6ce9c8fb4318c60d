//! Bounds and switches of a gateway. All of them are local: none influences an event.

use std::time::Duration;

use marketdata::History;

use crate::outbox::OutboxLimits;

/// How a gateway serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Open sockets of all kinds; more wait in the system's queue.
    pub sockets_max: usize,
    /// Open WebSocket connections and streams over HTTP; more are refused.
    pub connections_max: usize,
    /// WebSocket connection attempts of one address in five minutes; 0 switches it off.
    pub connects_per_five_minutes: u32,
    /// Streams of one connection.
    pub streams_max: usize,
    /// Messages a second that a client of streams may send; 0 switches it off.
    pub stream_messages_per_second: u32,
    /// Bytes of one request: body, query or WebSocket message.
    pub request_bytes_max: usize,
    /// Requests that wait for their answer, over all connections.
    pub pending_max: usize,
    /// After this long an answer counts as unknown (-1007).
    pub answer_timeout: Duration,
    /// A socket on which nothing is read or written for so long is closed.
    pub idle_timeout: Duration,
    pub ping_interval: Duration,
    pub pong_timeout: Duration,
    pub connection_age_max: Duration,
    /// What may wait for one connection.
    pub outbox: OutboxLimits,
    /// Messages of one stream that are kept for resuming over HTTP, and for how long after the last
    /// subscriber has left.
    pub resume_messages: usize,
    pub resume_kept: Duration,
    /// Public history.
    pub history: History,
    /// Closed orders kept per account and instrument; open ones always are.
    pub closed_orders_max: usize,
    /// Fills kept per account and instrument.
    pub fills_max: usize,
    /// `userDataStream` with listen keys, retired by the venue on 2026-02-20.
    pub listen_keys: bool,
    /// The token of the admin API; none switches it off.
    pub admin_token: Option<String>,
    /// The admin API answers callers that are not on this machine.
    pub admin_remote: bool,
    /// Rate limits of addresses and keys are applied.
    pub rate_limits: bool,
    /// Seconds for which the client order id of a closed order is not taken again; 0: it is free.
    pub idempotency_window_s: u32,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            sockets_max: 8_192,
            connections_max: 4_096,
            connects_per_five_minutes: 300,
            streams_max: 1_024,
            stream_messages_per_second: 5,
            request_bytes_max: 64 * 1024,
            pending_max: 65_536,
            answer_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            ping_interval: Duration::from_secs(20),
            pong_timeout: Duration::from_secs(60),
            connection_age_max: Duration::from_secs(24 * 3600),
            outbox: OutboxLimits { messages_max: 65_536, bytes_max: 32 * 1024 * 1024 },
            resume_messages: 10_000,
            resume_kept: Duration::from_secs(300),
            history: History::default(),
            closed_orders_max: 4_000,
            fills_max: 4_000,
            listen_keys: false,
            admin_token: None,
            admin_remote: false,
            rate_limits: true,
            idempotency_window_s: 0,
        }
    }
}
