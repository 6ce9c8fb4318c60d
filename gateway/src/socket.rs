//! What all WebSocket connections share: how long they live, and how what waits is written.

use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use futures_util::{SinkExt, StreamExt};

use crate::options::Options;
use crate::outbox::{Close, Outbox};

/// A connection that is told to close has this long to take what waits for it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Pings, pongs and age of one connection.
#[derive(Debug)]
pub struct Life {
    ping_interval: Duration,
    pong_timeout: Duration,
    ends: Instant,
    next_ping: Instant,
    last_pong: Instant,
}

impl Life {
    pub fn new(options: &Options) -> Life {
        let now = Instant::now();
        Life {
            ping_interval: options.ping_interval,
            pong_timeout: options.pong_timeout,
            ends: now + options.connection_age_max,
            next_ping: now + options.ping_interval,
            last_pong: now,
        }
    }

    /// How long a write may take: for so long the client has answered no ping either.
    pub const fn patience(&self) -> Duration {
        self.pong_timeout
    }

    /// The client answered a ping.
    pub fn pong(&mut self) {
        self.last_pong = Instant::now();
    }

    /// Waits for the next thing to do: a ping to send, or the end.
    pub async fn tick(&mut self) -> Result<Message, Close> {
        tokio::time::sleep_until(self.next_ping.min(self.ends).into()).await;
        let now = Instant::now();
        if now >= self.ends {
            return Err(Close::TooOld);
        }
        if now.duration_since(self.last_pong) > self.pong_timeout {
            return Err(Close::NoPong);
        }
        self.next_ping = now + self.ping_interval;
        Ok(Message::Ping(Bytes::new()))
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
        Some(_) => tokio::time::timeout(CLOSE_TIMEOUT, flush).await.ok().and_then(Result::ok),
    };
    match (written, close) {
        (Some(()), None) => Written::On,
        (Some(()), Some(close)) => {
            say_goodbye(socket, Some(close)).await;
            Written::Over
        }
        (None, _) => {
            say_goodbye(socket, Some(outbox_reason(outbox))).await;
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
pub async fn say_goodbye(socket: &mut WebSocket, close: Option<Close>) {
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
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, saying).await;
}
