//! What all connections of a gateway share.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::core::Core;
use crate::link::{Alarm, Host};
use crate::options::Options;
use crate::outbox::Outbox;
use crate::socket_api;

/// A gateway: its core behind one lock, and what needs none.
pub struct Gateway {
    core: Mutex<Core>,
    pub options: Options,
    pub host: Arc<dyn Host>,
    pub alarm: Arc<Alarm>,
    /// Becomes true when the exchange stops.
    pub stopping: watch::Receiver<bool>,
    connections: AtomicUsize,
    next_connection: AtomicU64,
    /// Open connections of the WebSocket API.
    sessions: Mutex<HashMap<u64, Arc<Outbox>>>,
}

impl Gateway {
    pub fn new(
        core: Core,
        host: Arc<dyn Host>,
        alarm: Arc<Alarm>,
        stopping: watch::Receiver<bool>,
    ) -> Gateway {
        let options = core.options.clone();
        let connections = AtomicUsize::new(0);
        Gateway {
            core: Mutex::new(core),
            options,
            host,
            alarm,
            stopping,
            connections,
            next_connection: AtomicU64::new(1),
            sessions: Mutex::default(),
        }
    }

    /// A number for one connection.
    pub fn next_connection(&self) -> u64 {
        self.next_connection.fetch_add(1, Ordering::Relaxed)
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<u64, Arc<Outbox>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session of the WebSocket API begins.
    pub fn enter(&self, connection: u64, outbox: &Arc<Outbox>) {
        self.sessions().insert(connection, Arc::clone(outbox));
    }

    /// It has ended.
    pub fn leave(&self, connection: u64) {
        self.sessions().remove(&connection);
    }

    /// Tells every connection that the exchange stops, and ends them once that is written.
    pub fn shut_down(&self) {
        let mut core = self.core();
        let now = core.now();
        core.is_draining = true;
        core.streams.shut_down(now);
        drop(core);
        self.sessions().values().for_each(|outbox| socket_api::shut_down(outbox, now));
    }

    /// The core; what is done with it must be short and must not wait.
    pub fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one more open connection until the guard is dropped; none above the bound.
    pub fn admit(self: &Arc<Gateway>) -> Option<Admitted> {
        let open = self.connections.fetch_add(1, Ordering::AcqRel);
        let admitted = Admitted { gateway: Arc::clone(self) };
        (open < self.options.connections_max).then_some(admitted)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Acquire)
    }
}

/// One open connection.
pub struct Admitted {
    gateway: Arc<Gateway>,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.gateway.connections.fetch_sub(1, Ordering::AcqRel);
    }
}
