//! Reads the event log: every event, with the command that it belongs to.

use anyhow::{Context, Result};
use protocol::event::CommandBegan;
use protocol::{Event, Records, RollingHash};
use store::reader::From;
use store::segment::LogKind;
use store::{CursorKind, Reader, ReaderSlot};

use crate::node::Readers;

/// An event and where it stands.
#[derive(Debug)]
pub struct Seen<'a> {
    pub event: &'a Event,
    /// The command whose answer or consequence it is.
    pub command: &'a CommandBegan,
    /// The hash over all events up to this one.
    pub hash: u64,
}

/// A cursor over the event log, in this or another process. It never holds the writer up.
pub struct EventReader {
    reader: Reader,
    readers: Readers,
    hash: RollingHash,
    command: Option<CommandBegan>,
    slot: Option<ReaderSlot>,
    /// Where `published` stood when all of it had been read.
    published: u64,
    is_drained: bool,
}

impl EventReader {
    /// From the first event of the log that is kept.
    pub fn from_start(readers: &Readers) -> Result<EventReader> {
        EventReader::open(readers, From::Start)
    }

    /// From what is published after this call on.
    pub fn from_now(readers: &Readers) -> Result<EventReader> {
        let published = readers.cursors.position(CursorKind::Published);
        EventReader::open(readers, From::Position(published))
    }

    /// From the frame that begins at this position.
    pub fn from_position(readers: &Readers, position: u64) -> Result<EventReader> {
        EventReader::open(readers, From::Position(position))
    }

    fn open(readers: &Readers, from: From) -> Result<EventReader> {
        let limit = readers.cursors.position(CursorKind::Published);
        let (storage, log) = (readers.storage.clone(), &readers.log);
        let reader = Reader::open(storage, log, LogKind::Events, from, limit, true)?;
        let hash = RollingHash(reader.tail().hash);
        let slot = readers.claim(reader.position());
        let readers = readers.clone();
        Ok(EventReader {
            reader,
            readers,
            hash,
            command: None,
            slot,
            published: 0,
            is_drained: true,
        })
    }

    /// Did the last poll read all that was published, and so whole commands?
    pub fn is_drained(&self) -> bool {
        self.is_drained
    }

    /// The hash over all events before the next one.
    pub fn hash(&self) -> u64 {
        self.hash.0
    }

    /// Was anything published since the last poll?
    pub fn has_news(&self) -> bool {
        self.readers.cursors.position(CursorKind::Published) != self.published
    }

    /// Where the next frame begins.
    pub fn position(&self) -> u64 {
        self.reader.position()
    }

    /// Everything that is published now; true when there was something.
    ///
    /// Errors: the log was cut or retired below the cursor, or is damaged.
    pub fn poll(&mut self, see: impl FnMut(Seen<'_>) -> Result<()>) -> Result<bool> {
        self.poll_some(usize::MAX, see)
    }

    /// As [`EventReader::poll`], but stops after the frame in which `events_max` is reached; then
    /// there still is news.
    pub fn poll_some(
        &mut self,
        events_max: usize,
        mut see: impl FnMut(Seen<'_>) -> Result<()>,
    ) -> Result<bool> {
        let published = self.readers.cursors.position(CursorKind::Published);
        let (mut seen, mut is_drained) = (0, false);
        while seen < events_max {
            let Some(frame) = self.reader.next(published).context("event log")? else {
                is_drained = true;
                break;
            };
            for view in Records::new(frame.payload) {
                let view = view?;
                seen += 1;
                self.hash.add(view.bytes);
                let event = Event::decode(&view)?;
                if let Event::CommandBegan(began) = &event {
                    self.command = Some(*began);
                }
                let command = self.command.as_ref().context("the event log begins in a command")?;
                see(Seen { event: &event, command, hash: self.hash.0 })?;
            }
            anyhow::ensure!(
                self.hash.0 == frame.header.hash,
                "event log: the hash of the frame at position {} is not that of its events",
                frame.position
            );
        }
        self.is_drained = is_drained;
        if is_drained {
            self.published = published;
        }
        let seen = seen > 0;
        if let Some(slot) = self.slot.as_ref().filter(|_| seen) {
            let tail = self.reader.tail();
            slot.stand_at(tail.position, tail.sequence, tail.hash);
        }
        Ok(seen)
    }
}
