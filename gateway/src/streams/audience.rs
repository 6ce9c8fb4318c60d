//! Who listens to one stream, and how one message reaches all of them.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use protocol::{Sequence, Stamp};

use super::events::EventQueue;
use super::history::{Recorded, Recording, Records};
use crate::json::{Json, TimeUnit};
use crate::outbox::Outbox;

/// One connection, as long as the gateway runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnectionId(pub(super) u64);

/// Where a connection's messages go.
#[derive(Debug, Clone)]
pub(super) enum Sink {
    Socket(Arc<Outbox>),
    Events(Arc<EventQueue>),
}

impl Sink {
    fn push(&self, sequence: Sequence, message: Utf8Bytes) {
        match self {
            Sink::Socket(outbox) => outbox.push(message),
            Sink::Events(queue) => queue.push(sequence, message),
        }
    }
}

/// The form in which a connection wants a stream's messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    /// The stream's name as the client wrote it.
    pub(super) name: Arc<str>,
    pub(super) is_combined: bool,
    pub(super) unit: TimeUnit,
}

impl Form {
    /// By name first: it decides the order of one message under two names.
    fn order(&self) -> (&str, bool, usize) {
        (&self.name, self.is_combined, place(self.unit))
    }
}

/// Those who share the bytes of a message.
#[derive(Debug)]
struct Group {
    form: Form,
    members: Vec<(ConnectionId, Sink)>,
}

impl Group {
    fn send(&self, sequence: Sequence, payload: &Utf8Bytes) {
        let message = match self.form.is_combined {
            true => combined(&self.form.name, payload),
            false => payload.clone(),
        };
        for (_, sink) in &self.members {
            sink.push(sequence, message.clone());
        }
    }
}

/// The payload in its wrapper.
pub(crate) fn combined(name: &str, payload: &str) -> Utf8Bytes {
    // A well-formed name needs no escape.
    format!("{{\"stream\":\"{name}\",\"data\":{payload}}}").into()
}

/// Who listens to one stream. **Invariants:** groups rise by form and are not empty.
#[derive(Debug, Default)]
pub(super) struct Audience {
    groups: Vec<Group>,
    /// Of subscribers over HTTP, by time unit.
    recordings: [Option<Recording>; 2],
}

/// Place of a unit's recording.
const fn place(unit: TimeUnit) -> usize {
    match unit {
        TimeUnit::Millisecond => 0,
        TimeUnit::Microsecond => 1,
    }
}

impl Audience {
    /// Nobody listens, and nobody is waited for.
    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty() && self.recordings.iter().all(Option::is_none)
    }

    /// Nothing is known of what came up to this sequence.
    pub(super) fn begin(&mut self, sequence: Sequence) {
        self.recordings.iter_mut().flatten().for_each(|recording| recording.begin(sequence));
    }

    fn wants(&self, unit: TimeUnit) -> bool {
        self.recording(unit).is_some() || self.groups.iter().any(|group| group.form.unit == unit)
    }

    pub(super) fn recording(&self, unit: TimeUnit) -> Option<&Recording> {
        self.recordings.get(place(unit)).and_then(Option::as_ref)
    }

    fn recording_mut(&mut self, unit: TimeUnit) -> Option<&mut Option<Recording>> {
        self.recordings.get_mut(place(unit))
    }

    /// Adds a subscriber that is not in yet; `now` is the sequence that is complete.
    pub(super) fn join(&mut self, form: Form, id: ConnectionId, sink: Sink, now: Sequence) {
        if let (Sink::Events(_), Some(recording)) = (&sink, self.recording_mut(form.unit)) {
            recording.get_or_insert_with(|| Recording::new(now)).join();
        }
        match self.groups.binary_search_by(|group| group.form.order().cmp(&form.order())) {
            Ok(at) => self.groups[at].members.push((id, sink)),
            Err(at) => self.groups.insert(at, Group { form, members: vec![(id, sink)] }),
        }
    }

    pub(super) fn leave(&mut self, form: &Form, id: ConnectionId, now: Stamp) {
        let Ok(at) = self.groups.binary_search_by(|group| group.form.order().cmp(&form.order()))
        else {
            return;
        };
        let members = &mut self.groups[at].members;
        let Some(member) = members.iter().position(|member| member.0 == id) else { return };
        let (_, sink) = members.remove(member);
        if members.is_empty() {
            self.groups.remove(at);
        }
        if let (Sink::Events(_), Some(Some(recording))) = (sink, self.recording_mut(form.unit)) {
            recording.leave(now);
        }
    }
}

/// Sends messages: encodes each at most once per time unit, and once more per wrapper.
#[derive(Debug)]
pub(super) struct Publisher {
    /// The command whose messages are sent.
    pub(super) sequence: Sequence,
    order: u64,
    records: Records,
    resume_kept_ns: u64,
}

impl Publisher {
    pub(super) fn new(records: Records, resume_kept_ns: u64) -> Publisher {
        Publisher { sequence: Sequence::NONE, order: 0, records, resume_kept_ns }
    }

    /// `write` writes one JSON value: the raw payload.
    pub(super) fn publish(&mut self, audience: &mut Audience, write: impl Fn(&mut Json)) {
        self.order += 1;
        for unit in [TimeUnit::Millisecond, TimeUnit::Microsecond] {
            if !audience.wants(unit) {
                continue;
            }
            let mut json = Json::new(unit);
            write(&mut json);
            let payload = Utf8Bytes::from(json.finish());
            if let Some(Some(recording)) = audience.recording_mut(unit) {
                let (sequence, order) = (self.sequence, self.order);
                let message = Recorded { sequence, order, payload: payload.clone() };
                self.records.keep(recording, message);
            }
            for group in audience.groups.iter().filter(|group| group.form.unit == unit) {
                group.send(self.sequence, &payload);
            }
        }
    }

    /// Drops recordings that nobody came back for.
    pub(super) fn forget(&mut self, audience: &mut Audience, now: Stamp) {
        for recording in &mut audience.recordings {
            if recording.as_ref().is_some_and(|it| it.is_forgotten(now, self.resume_kept_ns))
                && let Some(forgotten) = recording.take()
            {
                self.records.forget(forgotten);
            }
        }
    }
}
