//! Streams over plain HTTP: server-sent events that can be resumed.
//!
//! ```text
//! GET /stream/sse?streams=btcusdt@depth/btcusdt@trade
//!
//! id: 4711.0                                        where the subscription begins
//!
//! id: 4712.1                                        first message of this subscription at 4712
//! data: {"stream":"btcusdt@trade","data":{…}}
//!
//! : keep-alive                                      every 15 s of silence
//! ```
//! A message is always in the combined wrapper, also when one stream was asked for. Whoever comes
//! back with `Last-Event-ID` and the same streams goes on after that message; if what came between
//! is no longer kept, `event: reset` with the data `{}` comes first. `event: serverShutdown` is the
//! last event before the exchange stops. A client that does not read fast enough is cut off.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, mem};

use axum::body::{Body, Bytes};
use axum::extract::ws::Utf8Bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use protocol::Sequence;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::Connected;
use super::audience::combined;
use super::history::EventId;
use super::name::{Name, Stream};
use crate::error::ApiError;
use crate::gateway::{Admitted, Gateway};
use crate::json::TimeUnit;
use crate::outbox::OutboxLimits;

/// After this long without a message a comment is sent, so that nobody in between hangs up.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A piece of the body is ended when it has this many bytes.
const CHUNK_BYTES: usize = 64 * 1024;
/// What the names in the parameter `streams` are made of.
const STREAMS_RANGE: &str = "^<symbol>@<stream>(/<symbol>@<stream>)*$";

/// Why nothing more comes.
#[derive(Debug, Clone)]
pub(super) enum End {
    TooSlow,
    /// With the message that says so.
    ShuttingDown(Utf8Bytes),
}

#[derive(Debug)]
struct Waiting {
    messages: VecDeque<(EventId, Utf8Bytes)>,
    bytes: usize,
    /// Id of the newest message that was pushed.
    newest: EventId,
    end: Option<End>,
}

/// What waits to be written to one subscriber. The sender never waits: a full queue ends it.
#[derive(Debug)]
pub(super) struct EventQueue {
    limits: OutboxLimits,
    waiting: Mutex<Waiting>,
    ready: Notify,
}

impl EventQueue {
    pub(super) fn new(limits: OutboxLimits) -> EventQueue {
        let (messages, newest) = (VecDeque::new(), EventId::default());
        let waiting = Mutex::new(Waiting { messages, bytes: 0, newest, end: None });
        EventQueue { limits, waiting, ready: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets after which message the subscription begins.
    pub(super) fn begin(&self, at: EventId) {
        self.lock().newest = at;
    }

    pub(super) fn push(&self, sequence: Sequence, message: Utf8Bytes) {
        let mut waiting = self.lock();
        if waiting.end.is_some() {
            return;
        }
        let id = waiting.newest.next(sequence);
        waiting.newest = id;
        waiting.bytes += message.len();
        waiting.messages.push_back((id, message));
        let Waiting { messages, bytes, .. } = &*waiting;
        if messages.len() > self.limits.messages_max || *bytes > self.limits.bytes_max {
            waiting.messages = VecDeque::new();
            waiting.end = Some(End::TooSlow);
        }
        drop(waiting);
        self.ready.notify_one();
    }

    /// Ends after what waits has been written; the first reason stands.
    pub(super) fn end(&self, end: End) {
        self.lock().end.get_or_insert(end);
        self.ready.notify_one();
    }

    /// Takes messages for one chunk; an end means that nothing comes after it.
    pub(super) fn take(&self, into: &mut String) -> Option<End> {
        let mut waiting = self.lock();
        while into.len() < CHUNK_BYTES {
            let Some((id, message)) = waiting.messages.pop_front() else {
                return waiting.end.clone();
            };
            waiting.bytes -= message.len();
            write_event(into, id, &message);
        }
        None
    }
}

fn write_event(out: &mut String, id: EventId, message: &str) {
    out.push_str(&format!("id: {id}\ndata: {message}\n\n"));
}

/// What was sent while the subscriber was away: id, name and raw payload.
pub(super) type Backlog = VecDeque<(EventId, Arc<str>, Utf8Bytes)>;

/// How a subscription begins.
#[derive(Debug)]
pub(super) struct Listening {
    /// What the subscriber asked for is not kept.
    pub(super) is_reset: bool,
    /// After which message it begins.
    pub(super) at: EventId,
    pub(super) backlog: Backlog,
}

/// Answers a request for a stream of events.
pub async fn answer(
    gateway: Arc<Gateway>,
    streams: Vec<String>,
    last_event_id: Option<String>,
    unit: TimeUnit,
) -> Response {
    match open(&gateway, &streams, last_event_id.as_deref(), unit) {
        Ok(reader) => {
            let chunks = stream::unfold(reader, |mut reader| async move {
                reader.next().await.map(|chunk| (chunk, reader))
            });
            let headers = [
                (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
                (header::CACHE_CONTROL, "no-store"),
            ];
            (headers, Body::from_stream(chunks)).into_response()
        }
        Err(error) => {
            let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::BAD_REQUEST);
            let content = [(header::CONTENT_TYPE, "application/json;charset=UTF-8")];
            (status, content, error.body()).into_response()
        }
    }
}

fn open(
    gateway: &Arc<Gateway>,
    streams: &[String],
    last_event_id: Option<&str>,
    unit: TimeUnit,
) -> Result<Reader, ApiError> {
    let names = parse_names(streams, gateway.options.streams_max)?;
    let admitted = gateway.admit().ok_or_else(ApiError::busy)?;
    // An id that is not one of ours is one that is not kept.
    let resume = last_event_id.map(|text| text.parse::<EventId>().ok());
    let queue = Arc::new(EventQueue::new(gateway.options.outbox));
    let mut core = gateway.core();
    let views = &mut core.views;
    let (id, listening) =
        views.streams.listen(&names, unit, resume, Arc::clone(&queue), &views.market)?;
    let connected = Connected::new(Arc::clone(gateway), id);
    Ok(Reader::new(queue, listening, Some((connected, admitted))))
}

/// Streams that exist, each once.
pub(super) fn parse_names(streams: &[String], streams_max: usize) -> Result<Vec<Name>, ApiError> {
    if streams.is_empty() {
        return Err(ApiError::mandatory("streams"));
    }
    if streams.len() > streams_max {
        let text =
            format!("Too many streams; expected '{streams_max}' and received '{}'.", streams.len());
        return Err(ApiError::new(-1101, text));
    }
    let mut names: Vec<Name> = Vec::with_capacity(streams.len());
    for text in streams {
        let illegal = || ApiError::illegal("streams", STREAMS_RANGE);
        let name = Name::parse(text).map_err(|_| illegal())?;
        name.stream.as_ref().ok_or_else(illegal)?;
        names.push(name);
    }
    names.sort_by(|a, b| a.text.cmp(&b.text));
    names.dedup();
    Ok(names)
}

/// The instrument's part of a name.
pub(super) fn symbol_of(name: &Name) -> Option<&str> {
    match name.stream.as_ref()? {
        Stream::Of { symbol, .. } => Some(symbol),
        // Another venue may have it although we do not, now or later.
        Stream::Market(_) | Stream::Venues { .. } => None,
    }
}

/// Writes the body, chunk by chunk.
pub(super) struct Reader {
    queue: Arc<EventQueue>,
    /// What is written before all else.
    begin: String,
    backlog: Backlog,
    is_ended: bool,
    /// Leaves the streams when the body is dropped.
    _connected: Option<(Connected, Admitted)>,
}

impl Reader {
    pub(super) fn new(
        queue: Arc<EventQueue>,
        listening: Listening,
        connected: Option<(Connected, Admitted)>,
    ) -> Reader {
        let Listening { is_reset, at, backlog } = listening;
        let begin = match is_reset {
            true => format!("event: reset\nid: {at}\ndata: {{}}\n\n"),
            false => format!("id: {at}\n\n"),
        };
        Reader { queue, begin, backlog, is_ended: false, _connected: connected }
    }

    pub(super) async fn next(&mut self) -> Option<Result<Bytes, io::Error>> {
        let mut chunk = mem::take(&mut self.begin);
        loop {
            if self.is_ended {
                return None;
            }
            self.take_backlog(&mut chunk);
            let end = self.queue.take(&mut chunk);
            match end {
                Some(End::TooSlow) => {
                    self.is_ended = true;
                    return Some(Err(io::Error::other("the subscriber does not read fast enough")));
                }
                Some(End::ShuttingDown(message)) => {
                    self.is_ended = true;
                    chunk.push_str(&format!("event: serverShutdown\ndata: {message}\n\n"));
                }
                None => {}
            }
            if !chunk.is_empty() {
                return Some(Ok(chunk.into()));
            }
            tokio::select! {
                () = self.queue.ready.notified() => {}
                () = sleep(KEEP_ALIVE) => chunk.push_str(": keep-alive\n\n"),
            }
        }
    }

    fn take_backlog(&mut self, chunk: &mut String) {
        while chunk.len() < CHUNK_BYTES
            && let Some((id, name, payload)) = self.backlog.pop_front()
        {
            write_event(chunk, id, &combined(&name, &payload));
        }
    }
}
