//! Plays recordings through the same sessions that live venues have.

use crate::adapter::{Input, Sink};
use crate::recordings::{Connection, Recorded, What};
use crate::session::{Session, SessionOptions};
use std::sync::Arc;

/// One session for each connection of a recording.
#[derive(Debug)]
pub struct Player {
    options: SessionOptions,
    played: Vec<Played>,
    next_source: u32,
}

#[derive(Debug)]
struct Played {
    session: Session,
    is_open: bool,
    /// A snapshot that names no symbol waits until one is known.
    held: Option<Vec<u8>>,
    known: usize,
}

/// Ids of sources that each connection has for itself.
const SOURCES_PER_CONNECTION: u32 = 10_000;

impl Player {
    pub fn new(options: SessionOptions) -> Player {
        Player { options, played: Vec::new(), next_source: 0 }
    }

    /// The sessions, in the order of the recordings' connections.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.played.iter().map(|played| &played.session)
    }

    /// Takes one thing that was recorded; `connections` are those of the recordings.
    pub fn play<S: Sink>(&mut self, recorded: &Recorded, connections: &[Connection], sink: &mut S) {
        while let Some(connection) = connections.get(self.played.len()) {
            self.begin(connection, sink);
        }
        let Some(played) = self.played.get_mut(recorded.connection) else { return };
        let now = recorded.receive_ns;
        if !std::mem::replace(&mut played.is_open, true) {
            played.session.input(now, Input::Opened, sink);
        }
        match &recorded.what {
            What::Text(text) => played.text(now, text, sink),
            What::Snapshot { symbol: Some(symbol), body } => {
                played.session.offer(now, symbol, body, sink);
            }
            What::Snapshot { symbol: None, body } => {
                played.held = Some(body.clone());
                played.offer_held(now, sink);
            }
            What::Opened => {}
            What::Closed { reason } => {
                played.session.input(now, Input::Closed { reason }, sink);
                played.is_open = false;
            }
        }
    }

    fn begin<S: Sink>(&mut self, connection: &Connection, sink: &mut S) {
        let venue = Arc::clone(&connection.venue);
        let mut session = Session::new(venue, &[], self.next_source, self.options);
        self.next_source += SOURCES_PER_CONNECTION;
        session.start(sink);
        self.played.push(Played { session, is_open: false, held: None, known: 0 });
    }
}

impl Played {
    fn text<S: Sink>(&mut self, now: u64, text: &[u8], sink: &mut S) {
        self.session.input(now, Input::Text(text), sink);
        let known = self.session.sources().len();
        if std::mem::replace(&mut self.known, known) != known {
            self.offer_held(now, sink);
        }
    }

    fn offer_held<S: Sink>(&mut self, now: u64, sink: &mut S) {
        let Some(first) = self.session.sources().first() else { return };
        let symbol = first.symbol().to_owned();
        if let Some(body) = self.held.take() {
            self.session.offer(now, &symbol, &body, sink);
        }
    }
}
