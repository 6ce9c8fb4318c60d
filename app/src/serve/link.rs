//! The gateway's way to the node: a slot of it, and what only the process knows.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use feed::log::FeedReader;
use gateway::link::{FeedSeer, Seer};
use gateway::{Broken, FeedLink, FeedPolled, Full, Host, Link, NodeState, Polled, Untold};
use protocol::{ApiKey, Command, Origin, Stamp};
use ring::rand::{SecureRandom, SystemRandom};
use store::CursorKind;

use crate::explain;
use crate::node::NodeHandle;
use crate::seal::Sealer;
use crate::slot::Slot;

/// A slot as the gateway sees it.
pub(super) struct SlotLink(pub(super) Slot);

impl Link for SlotLink {
    fn send(&mut self, command: Command) -> Result<(), Full> {
        let deadline = command.envelope().deadline;
        self.0.send(command, deadline).map_err(|_| Full)
    }

    fn poll(&mut self, events_max: usize, see: &mut Seer<'_>) -> Result<Polled, Broken> {
        let polled = self.0.poll_some(events_max, |seen| {
            see(seen.event, seen.command);
            Ok(())
        });
        match polled {
            Err(error) => Err(Broken(format!("{error:#}"))),
            Ok(false) => Ok(Polled::Nothing),
            Ok(true) if self.0.is_drained() => Ok(Polled::All),
            Ok(true) => Ok(Polled::Some),
        }
    }

    fn has_news(&self) -> bool {
        self.0.has_news()
    }

    fn origin(&self) -> Origin {
        self.0.origin()
    }

    fn now(&self) -> Stamp {
        now()
    }
}

/// The log of a feed on the same data folder, whoever writes it.
pub(super) struct FeedLog(pub(super) FeedReader);

impl FeedLink for FeedLog {
    fn poll(&mut self, now: Stamp, records_max: usize, see: &mut FeedSeer<'_>) -> FeedPolled {
        let polled = self.0.poll(now.0, records_max, see);
        let feed::log::Polled { is_there, is_live, has_more, .. } = polled;
        FeedPolled { is_there, is_live, has_more }
    }

    fn problem(&self) -> Option<&str> {
        self.0.problem()
    }
}

/// The wall clock, which stored time follows.
pub(super) fn now() -> Stamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Stamp(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// The process around the gateway.
pub(super) struct Process {
    pub(super) sealer: Arc<Sealer>,
    pub(super) node: NodeHandle,
    pub(super) durability: String,
    /// The folder of the logs.
    pub(super) data: PathBuf,
}

impl Host for Process {
    fn seal(&self, key: &ApiKey, secret: &[u8]) -> Result<Vec<u8>, String> {
        self.sealer.seal(secret, key.as_bytes()).map_err(|error| format!("{error:#}"))
    }

    fn unseal(&self, key: &ApiKey, sealed: &[u8]) -> Result<Vec<u8>, String> {
        let opened = self.sealer.unseal(sealed, key.as_bytes());
        opened.map(|secret| secret.as_bytes().to_vec()).map_err(|error| error.to_string())
    }

    fn random(&self, buffer: &mut [u8]) -> Result<(), String> {
        let filled = SystemRandom::new().fill(buffer);
        filled.map_err(|_| "the system gives no random bytes".to_owned())
    }

    fn explain(&self, order: &str) -> Result<String, Untold> {
        let untold = |error: anyhow::Error| match error.is::<explain::NoSuchOrder>() {
            true => Untold::NoSuchOrder(format!("{error:#}")),
            false => Untold::Unreadable(format!("{error:#}")),
        };
        explain::explain_json(&self.data, order).map_err(untold)
    }

    fn request_snapshot(&self) {
        self.node.request_snapshot();
    }

    fn is_stalled(&self) -> bool {
        self.node.is_stalled()
    }

    fn node(&self) -> NodeState {
        let cursor = |name, kind| {
            let place = self.node.cursors.place(kind);
            (name, place.position, place.sequence)
        };
        NodeState {
            is_running: self.node.is_running(),
            durability: self.durability.clone(),
            cursors: vec![
                cursor("appended", CursorKind::Appended),
                cursor("committed", CursorKind::Committed),
                cursor("applied", CursorKind::Applied),
                cursor("published", CursorKind::Published),
            ],
        }
    }
}
