//! What waits to be written to one connection: a bounded queue that never makes a sender wait.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::Notify;

/// Why a connection is closed from this side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Close {
    /// It did not read fast enough: its queue was full.
    TooSlow,
    /// It sent more messages a second than it may.
    TooManyMessages,
    /// No pong came.
    NoPong,
    /// It is as old as a connection may get.
    TooOld,
    /// Its API key or listen key was deleted or has run out.
    KeyGone,
    /// It sent what is not WebSocket, or a message above the bound.
    Unreadable,
    /// The exchange stops.
    ShuttingDown,
}

impl Close {
    /// Close code (RFC 6455) and reason.
    pub const fn frame(self) -> (u16, &'static str) {
        match self {
            Close::TooSlow => (1008, "too slow: the queue of messages for you is full"),
            Close::TooManyMessages => (1008, "Too many requests"),
            Close::NoPong => (1008, "Pong timeout"),
            Close::TooOld => (1001, "connection is older than 24 hours"),
            Close::KeyGone => (1008, "the API key or listen key is gone"),
            Close::Unreadable => (1003, "message cannot be read"),
            Close::ShuttingDown => (1001, "server shutdown"),
        }
    }
}

/// Bounds of one connection's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxLimits {
    pub messages_max: usize,
    pub bytes_max: usize,
}

#[derive(Debug, Default)]
struct Queue {
    messages: VecDeque<Utf8Bytes>,
    bytes: usize,
    close: Option<Close>,
}

/// One connection's queue. The sender never waits: a queue that is full closes the connection.
#[derive(Debug)]
pub struct Outbox {
    limits: OutboxLimits,
    queue: Mutex<Queue>,
    ready: Notify,
}

impl Outbox {
    pub fn new(limits: OutboxLimits) -> Outbox {
        Outbox { limits, queue: Mutex::default(), ready: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn push(&self, message: Utf8Bytes) {
        let mut queue = self.lock();
        if queue.close.is_some() {
            return;
        }
        queue.bytes += message.len();
        queue.messages.push_back(message);
        if queue.messages.len() > self.limits.messages_max || queue.bytes > self.limits.bytes_max {
            queue.messages.clear();
            queue.close = Some(Close::TooSlow);
        }
        drop(queue);
        self.ready.notify_one();
    }

    /// Closes after what waits has been written; the first reason stands.
    pub fn close(&self, reason: Close) {
        self.lock().close.get_or_insert(reason);
        self.ready.notify_one();
    }

    pub fn is_closed(&self) -> bool {
        self.lock().close.is_some()
    }

    /// Was the queue full?
    pub fn is_overrun(&self) -> bool {
        self.lock().close == Some(Close::TooSlow)
    }

    /// Bytes that wait to be written.
    pub fn waiting_bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Takes what waits; a reason means that nothing comes after it.
    pub fn drain(&self, into: &mut Vec<Utf8Bytes>) -> Option<Close> {
        let mut queue = self.lock();
        queue.bytes = 0;
        into.extend(queue.messages.drain(..));
        queue.close
    }

    /// Makes the next `ready` complete at once.
    pub fn note(&self) {
        self.ready.notify_one();
    }

    /// Completes when something was pushed or the connection is to be closed.
    pub async fn ready(&self) {
        self.ready.notified().await;
    }
}
