//! What all WebSocket connections share: how long they live, and how what waits is written.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use tokio::time::Instant;

use crate::options::Options;
use crate::outbox::{Close, Outbox};

/// How long a connection that is being closed may take to read its last messages, and then to
/// close from its side.
pub const FAREWELL: Duration = Duration::from_secs(2);

/// Pings, pongs and age of one connection.
#[derive(Debug)]
pub struct Life {
    pulse: Pulse,
    ends: Instant,
}

impl Life {
    pub fn new(options: &Options, now: Instant) -> Life {
        let pulse = Pulse::new(options.ping_interval, options.pong_timeout, now);
        Life { pulse, ends: now + options.connection_age_max }
    }

    /// How long a write may take: for so long the client has answered no ping either.
    pub const fn patience(&self) -> Duration {
        self.pulse.timeout
    }

    /// When it is to be looked at again.
    pub fn next(&self) -> Instant {
        self.pulse.next().min(self.ends)
    }

    /// A ping that is due, or the end.
    pub fn look(&mut self, now: Instant) -> Result<Option<Message>, Close> {
        if now >= self.ends {
            return Err(Close::TooOld);
        }
        if self.pulse.is_lost(now) {
            return Err(Close::NoPong);
        }
        Ok(self.pulse.ping(now).map(Message::Ping))
    }

    /// The client sent a pong.
    pub fn pong(&mut self, payload: &[u8], now: Instant) {
        self.pulse.pong(payload, now);
    }
}

/// The pings of a connection. Only a pong that repeats a ping's payload counts.
#[derive(Debug)]
struct Pulse {
    interval: Duration,
    timeout: Duration,
    next_ping: Instant,
    sent: u64,
    answered: u64,
    /// When the oldest ping without an answer was sent, or when a later one was answered.
    waits_since: Option<Instant>,
}

impl Pulse {
    fn new(interval: Duration, timeout: Duration, now: Instant) -> Pulse {
        let next_ping = now + interval;
        Pulse { interval, timeout, next_ping, sent: 0, answered: 0, waits_since: None }
    }

    /// When it is to be looked at again.
    fn next(&self) -> Instant {
        let no_pong = self.waits_since.map(|since| since + self.timeout);
        no_pong.map_or(self.next_ping, |no_pong| no_pong.min(self.next_ping))
    }

    fn is_lost(&self, now: Instant) -> bool {
        self.waits_since.is_some_and(|since| now >= since + self.timeout)
    }

    /// The payload of a ping that is due.
    fn ping(&mut self, now: Instant) -> Option<Bytes> {
        if now < self.next_ping {
            return None;
        }
        self.next_ping = now + self.interval;
        self.sent += 1;
        self.waits_since.get_or_insert(now);
        Some(self.sent.to_string().into())
    }

    fn pong(&mut self, payload: &[u8], now: Instant) {
        let number = std::str::from_utf8(payload).ok().and_then(|text| text.parse().ok());
        if let Some(number) = number
            && self.answered < number
            && number <= self.sent
        {
            self.answered = number;
            self.waits_since = (number < self.sent).then_some(now);
        }
    }
}

/// What became of a connection after a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It goes on.
    On,
    /// It is closed.
    Over,
}

/// Writes `first` and everything that waits, with one flush. A client that does not take it while its
/// queue fills, or within `patience`, is cut off.
pub async fn write(
    socket: &mut WebSocket,
    outbox: &Outbox,
    first: &mut Vec<Message>,
    patience: Duration,
) -> Written {
    let mut waiting = Vec::new();
    let close = outbox.drain(&mut waiting);
    let messages = first.drain(..).chain(waiting.into_iter().map(Message::Text));
    let flush = async {
        for message in messages {
            socket.feed(message).await?;
        }
        socket.flush().await
    };
    let written = match close {
        None => tokio::time::timeout(patience, until_too_slow(outbox, flush)).await.ok().flatten(),
        Some(_) => tokio::time::timeout(FAREWELL, flush).await.ok().and_then(Result::ok),
    };
    match (written, close) {
        (Some(()), None) => Written::On,
        (Some(()), Some(close)) => {
            farewell(socket, Some(close)).await;
            Written::Over
        }
        (None, _) => {
            farewell(socket, Some(outbox_reason(outbox))).await;
            Written::Over
        }
    }
}

fn outbox_reason(outbox: &Outbox) -> Close {
    outbox.drain(&mut Vec::new()).unwrap_or(Close::TooSlow)
}

/// Completes the write, unless the queue overflows meanwhile or the socket fails.
async fn until_too_slow(
    outbox: &Outbox,
    flush: impl Future<Output = Result<(), axum::Error>>,
) -> Option<()> {
    tokio::pin!(flush);
    let mut has_more = false;
    let written = loop {
        tokio::select! {
            biased;
            written = &mut flush => break written,
            () = outbox.ready() => has_more = true,
        }
        // Another reason to close waits until what is queued has been written.
        if outbox.is_overrun() {
            return None;
        }
    };
    if has_more {
        outbox.note();
    }
    written.ok()
}

/// Says why, if the end is ours, and waits a moment for the client to close too.
pub async fn farewell<S, E>(socket: &mut S, close: Option<Close>)
where
    S: Stream<Item = Result<Message, E>> + Sink<Message> + Unpin,
{
    let saying = async {
        if let Some(close) = close {
            let (code, reason) = close.frame();
            let frame = CloseFrame { code, reason: reason.into() };
            if socket.send(Message::Close(Some(frame))).await.is_err() {
                return;
            }
        }
        while let Some(Ok(_)) = socket.next().await {}
    };
    // Whoever does not answer is left.
    let _ = tokio::time::timeout(FAREWELL, saying).await;
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn only_the_payload_of_a_ping_is_its_pong() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut pulse = Pulse::new(20 * second, 60 * second, now);
        assert_eq!(pulse.ping(now), None);
        let sent = RefCell::new(Vec::new());
        for at in [20, 40, 60] {
            sent.borrow_mut().push(pulse.ping(now + at * second).unwrap());
        }
        for pong in [&b""[..], b"x", b"4", b"0", b"\xff"] {
            pulse.pong(pong, now + 61 * second);
        }
        assert_eq!(pulse.next(), now + 80 * second);
        assert!(!pulse.is_lost(now + 79 * second) && pulse.is_lost(now + 80 * second));
        pulse.pong(&sent.borrow()[1], now + 70 * second);
        assert!(!pulse.is_lost(now + 129 * second) && pulse.is_lost(now + 130 * second));
        pulse.pong(&sent.borrow()[0], now + 71 * second);
        pulse.pong(&sent.borrow()[2], now + 72 * second);
        assert!(!pulse.is_lost(now + 900 * second));
    }
}
