//! What was sent of late, for subscribers over HTTP that come back.

use std::collections::VecDeque;
use std::str::FromStr;
use std::{fmt, mem};

use axum::extract::ws::Utf8Bytes;
use protocol::{Sequence, Stamp};

/// Bytes of all recordings together. At the bound a recording drops its own oldest messages.
pub const RECORDED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Where a subscriber over HTTP stands: after the `count`-th of its messages at this sequence of
/// the event log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventId {
    pub sequence: Sequence,
    pub count: u32,
}

impl EventId {
    /// The id of the next message.
    pub(super) fn next(self, sequence: Sequence) -> EventId {
        let before = if self.sequence == sequence { self.count } else { 0 };
        EventId { sequence, count: before.saturating_add(1) }
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.sequence, self.count)
    }
}

/// The text is not an [`EventId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoEventId;

impl FromStr for EventId {
    type Err = NoEventId;

    fn from_str(text: &str) -> Result<EventId, NoEventId> {
        let (sequence, count) = text.trim().split_once('.').ok_or(NoEventId)?;
        let sequence = Sequence(sequence.parse().map_err(|_| NoEventId)?);
        Ok(EventId { sequence, count: count.parse().map_err(|_| NoEventId)? })
    }
}

/// One message that was sent.
#[derive(Debug, Clone)]
pub(super) struct Recorded {
    pub(super) sequence: Sequence,
    /// Rises over all messages of all streams.
    pub(super) order: u64,
    pub(super) payload: Utf8Bytes,
}

impl Recorded {
    fn bytes(&self) -> usize {
        self.payload.len() + mem::size_of::<Recorded>()
    }
}

/// The newest messages of one stream in one time unit.
///
/// **Invariants:** every message sent after both `created` and `evicted` is in; orders rise.
#[derive(Debug)]
pub(super) struct Recording {
    messages: VecDeque<Recorded>,
    /// The sequence at which it was begun.
    created: Sequence,
    /// The sequence of the newest message that was dropped.
    evicted: Option<Sequence>,
    listeners: usize,
    /// When the last listener left.
    left: Stamp,
}

impl Recording {
    pub(super) fn new(created: Sequence) -> Recording {
        Recording {
            messages: VecDeque::new(),
            created,
            evicted: None,
            listeners: 0,
            left: Stamp(0),
        }
    }

    /// It reaches back to here and no further.
    pub(super) fn begin(&mut self, created: Sequence) {
        self.created = created;
    }

    pub(super) fn join(&mut self) {
        self.listeners += 1;
    }

    pub(super) fn leave(&mut self, now: Stamp) {
        self.listeners = self.listeners.saturating_sub(1);
        self.left = now;
    }

    /// Was it left so long ago that nobody is waited for any more?
    pub(super) fn is_forgotten(&self, now: Stamp, kept_ns: u64) -> bool {
        self.listeners == 0 && now.0.saturating_sub(self.left.0) > kept_ns
    }

    /// Is every message after this sequence still in, and every one of the sequence itself?
    pub(super) fn reaches(&self, sequence: Sequence) -> bool {
        self.created <= sequence && self.evicted.is_none_or(|evicted| evicted < sequence)
    }

    /// Messages of this sequence and later ones.
    pub(super) fn from(&self, sequence: Sequence) -> impl Iterator<Item = &Recorded> {
        let start = self.messages.partition_point(|it| it.sequence < sequence);
        self.messages.range(start..)
    }
}

/// Bounds over all recordings, and what they hold.
#[derive(Debug)]
pub(super) struct Records {
    messages_max: usize,
    bytes_max: usize,
    bytes: usize,
}

impl Records {
    pub(super) fn new(messages_max: usize, bytes_max: usize) -> Records {
        Records { messages_max, bytes_max, bytes: 0 }
    }

    pub(super) fn keep(&mut self, recording: &mut Recording, message: Recorded) {
        self.bytes += message.bytes();
        recording.messages.push_back(message);
        while self.bytes > self.bytes_max || recording.messages.len() > self.messages_max {
            let Some(oldest) = recording.messages.pop_front() else { break };
            self.bytes -= oldest.bytes();
            recording.evicted = Some(oldest.sequence);
        }
    }

    pub(super) fn forget(&mut self, recording: Recording) {
        self.bytes -= recording.messages.iter().map(Recorded::bytes).sum::<usize>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_recordings_together_are_bounded() {
        let message = |sequence, length| Recorded {
            sequence: Sequence(sequence),
            order: sequence,
            payload: "x".repeat(length).into(),
        };
        let each = message(1, 100).bytes();
        let mut records = Records::new(1_000, 10 * each);
        let mut recordings = [(); 2].map(|()| Recording::new(Sequence(0)));
        for sequence in 1..=20 {
            records.keep(&mut recordings[0], message(sequence, 100));
        }
        assert_eq!(recordings[0].from(Sequence(0)).count(), 10);
        assert!(recordings[0].reaches(Sequence(11)) && !recordings[0].reaches(Sequence(10)));
        // Nothing is left for another one: it does not pretend to have what it could not keep.
        records.keep(&mut recordings[1], message(21, 100));
        assert!(!recordings[1].reaches(Sequence(21)) && recordings[1].reaches(Sequence(22)));
        for recording in recordings {
            records.forget(recording);
        }
        assert_eq!(records.bytes, 0);
    }

    #[test]
    fn ids_are_printed_and_read_back() {
        let id = EventId { sequence: Sequence(12), count: 3 };
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.next(Sequence(12)).to_string(), "12.4");
        assert_eq!(id.next(Sequence(13)).to_string(), "13.1");
        for text in ["", ".", "1", "1.", ".1", "1.2.3", "1.-2", "a.b"] {
            assert_eq!(text.parse::<EventId>(), Err(NoEventId), "{text}");
        }
    }
}
