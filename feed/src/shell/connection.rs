//! One session, driven: what its orders ask for is done, and what comes of it is put in.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, spawn_local};

use super::backoff::Backoff;
use super::clock::{now_ns, sleep_until_ns};
use super::desk::Desk;
use super::error::Error;
use super::http::Answer;
use super::record::Line;
use super::socket::{Got, Socket};
use super::{Failure, SharedListener};
use crate::adapter::{Input, Note, Order, Sink};
use crate::session::Session;
use protocol::FeedEvent;
use protocol::feed::FeedStatusChanged;

/// Texts that wait for their turn: subscriptions of one connection and a keep-alive.
const TEXTS_MAX: usize = 4_096;
/// Answers on their way to the session. Each request has one, and each symbol at most one request.
const ANSWERS_MAX: usize = 64;
/// How often counts are told.
const COUNT_EVERY_NS: u64 = 500 * MILLISECOND_NS;
const MILLISECOND_NS: u64 = 1_000_000;
const SECOND_NS: u64 = 1_000_000_000;

/// What a connection is made of.
pub(super) struct Parts {
    /// Its number in recordings.
    pub(super) number: u32,
    pub(super) session: Session,
    pub(super) venue: &'static str,
    pub(super) market: &'static str,
    pub(super) symbols: String,
    pub(super) texts_per_second: u32,
    pub(super) desk: Rc<Desk>,
    pub(super) backoff: Backoff,
    pub(super) listener: SharedListener,
}

/// Drives a session until `stop` is true. Errors: the listener cannot go on.
pub(super) async fn drive(parts: Parts, mut stop: watch::Receiver<bool>) -> Result<(), Failure> {
    let (replies, incoming) = mpsc::channel(ANSWERS_MAX);
    let told = vec![None; parts.session.sources().len()];
    let mut driven = Driven {
        parts,
        link: Link::Idle,
        url: String::new(),
        opened_ns: None,
        texts: VecDeque::new(),
        next_text_ns: 0,
        requests: BTreeMap::new(),
        replies,
        out: Outbox::default(),
        counted_ns: 0,
        told,
    };
    let ended = driven.run(incoming, &mut stop).await;
    driven.end().await;
    ended
}

/// What a session has put out and nobody has seen.
#[derive(Default)]
struct Outbox {
    changes: Vec<FeedEvent>,
    orders: VecDeque<Order>,
    notes: Vec<(Option<u32>, String)>,
}

impl Sink for Outbox {
    fn change(&mut self, change: FeedEvent) {
        self.changes.push(change);
    }

    fn order(&mut self, order: Order) {
        self.orders.push_back(order);
    }

    fn note(&mut self, source: Option<u32>, note: Note<'_>) {
        self.notes.push((source, note.to_string()));
    }
}

type Opening = Pin<Box<dyn Future<Output = Result<Socket, Error>>>>;

enum Link {
    /// Nothing was asked for.
    Idle,
    Opening(Opening),
    Open(Box<Socket>),
}

/// The answer to a request.
struct Reply {
    id: u64,
    url: String,
    answer: Result<Answer, String>,
}

/// What the loop has met.
enum Event {
    Stop,
    Opened(Result<Socket, Error>),
    Got(Got),
    Reply(Reply),
    Time,
}

struct Driven {
    parts: Parts,
    link: Link,
    /// Where the link goes, or is to go.
    url: String,
    /// Since when the link is open.
    opened_ns: Option<u64>,
    texts: VecDeque<Text>,
    next_text_ns: u64,
    /// By id.
    requests: BTreeMap<u64, AbortHandle>,
    replies: mpsc::Sender<Reply>,
    out: Outbox,
    /// When counts were told last, and what, source by source.
    counted_ns: u64,
    told: Vec<Option<FeedStatusChanged>>,
}

enum Text {
    Text(String),
    Ping,
}

impl Driven {
    async fn run(
        &mut self,
        mut incoming: mpsc::Receiver<Reply>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<(), Failure> {
        self.parts.session.start(&mut self.out);
        self.settle(now_ns()).await?;
        loop {
            let wake_ns = self.wake_ns();
            let event = tokio::select! {
                biased;
                _ = stop.wait_for(|&is_stopped| is_stopped) => Event::Stop,
                Some(reply) = incoming.recv() => Event::Reply(reply),
                event = next_of(&mut self.link) => event,
                () = sleep_until_ns(wake_ns) => Event::Time,
            };
            let now = now_ns();
            match event {
                Event::Stop => return Ok(()),
                Event::Opened(Ok(socket)) => self.opened(now, socket)?,
                Event::Opened(Err(error)) => self.lost(now, &error.to_string())?,
                Event::Got(Got::Text(text)) => self.text(now, text.as_bytes())?,
                Event::Got(Got::Binary(bytes)) => self.text(now, &bytes)?,
                Event::Got(Got::Life) => self.input(now, Input::Ping),
                Event::Got(Got::Closed(reason)) => self.lost(now, &reason)?,
                Event::Reply(reply) => self.reply(now, &reply)?,
                Event::Time => {}
            }
            if self.parts.session.wake_ns() <= now {
                self.input(now, Input::Tick);
            }
            self.count(now);
            self.settle(now).await?;
        }
    }

    /// Tells the counts of the sources that have got something, now and then. Their states are told
    /// by the session as they change.
    fn count(&mut self, now: u64) {
        if now.abs_diff(self.counted_ns) < COUNT_EVERY_NS {
            return;
        }
        self.counted_ns = now;
        for (source, told) in self.parts.session.sources().iter().zip(&mut self.told) {
            let status = source.status();
            if told.replace(status) != Some(status) {
                self.out.changes.push(status.into());
            }
        }
    }

    fn input(&mut self, now: u64, input: Input<'_>) {
        self.parts.session.input(now, input, &mut self.out);
    }

    fn opened(&mut self, now: u64, socket: Socket) -> Result<(), Failure> {
        self.link = Link::Open(Box::new(socket));
        (self.opened_ns, self.next_text_ns) = (Some(now), now);
        let Parts { number, venue, market, symbols, .. } = &self.parts;
        let line = Line::Open { connection: *number, venue, market, symbols, url: &self.url };
        self.parts.listener.borrow_mut().line(now, &line)?;
        self.input(now, Input::Opened);
        Ok(())
    }

    fn text(&mut self, now: u64, text: &[u8]) -> Result<(), Failure> {
        let line = Line::Text { connection: self.parts.number, text };
        self.parts.listener.borrow_mut().line(now, &line)?;
        self.input(now, Input::Text(text));
        Ok(())
    }

    /// The link is gone, or has not come about.
    fn lost(&mut self, now: u64, reason: &str) -> Result<(), Failure> {
        self.link = Link::Idle;
        self.texts.clear();
        let line = Line::Close { connection: self.parts.number, reason };
        self.parts.listener.borrow_mut().line(now, &line)?;
        self.input(now, Input::Closed { reason });
        Ok(())
    }

    fn reply(&mut self, now: u64, reply: &Reply) -> Result<(), Failure> {
        let Reply { id, url, answer } = reply;
        // One that was forgotten has ended in the same moment.
        if self.requests.remove(id).is_none() {
            return Ok(());
        }
        let (status, retry_after_s, body) = match answer {
            Ok(answer) => (answer.status, answer.retry_after_s, &*answer.body),
            Err(reason) => (0, None, reason.as_bytes()),
        };
        let connection = self.parts.number;
        let line = Line::Answer { connection, status, retry_after_s, url, body };
        self.parts.listener.borrow_mut().line(now, &line)?;
        match answer {
            Ok(_) => self.input(now, Input::Response { id: *id, status, retry_after_s, body }),
            Err(reason) => self.input(now, Input::Failed { id: *id, reason }),
        }
        Ok(())
    }

    /// Tells the listener what changed, and does what was ordered, until there is nothing left.
    async fn settle(&mut self, now: u64) -> Result<(), Failure> {
        loop {
            self.tell(now)?;
            let Some(order) = self.out.orders.pop_front() else { break };
            self.follow(now, order).await?;
        }
        self.send_due(now).await
    }

    fn tell(&mut self, now: u64) -> Result<(), Failure> {
        let mut listener = self.parts.listener.borrow_mut();
        for (source, note) in self.out.notes.drain(..) {
            listener.note(source, &note);
        }
        if !self.out.changes.is_empty() {
            listener.changes(now, &self.out.changes)?;
            self.out.changes.clear();
        }
        Ok(())
    }

    async fn follow(&mut self, now: u64, order: Order) -> Result<(), Failure> {
        match order {
            Order::Connect { url } => self.connect(now, url),
            Order::Disconnect { reason } => {
                if let Link::Open(socket) = std::mem::replace(&mut self.link, Link::Idle) {
                    spawn_local(socket.close());
                }
                self.lost(now, &reason)?;
            }
            Order::Send { text } => self.queue(now, Text::Text(text))?,
            Order::Ping => self.queue(now, Text::Ping)?,
            Order::Request { id, url, weight } => self.request(id, url, weight),
            Order::Forget { id } => {
                if let Some(request) = self.requests.remove(&id) {
                    request.abort();
                }
            }
        }
        Ok(())
    }

    /// The first time at once, later after a wait.
    fn connect(&mut self, now: u64, url: String) {
        let wait_ms = match (self.url.is_empty(), self.opened_ns.take()) {
            (true, _) => 0,
            (false, None) => self.parts.backoff.lost(0),
            (false, Some(opened)) => {
                self.parts.backoff.lost(now.saturating_sub(opened) / MILLISECOND_NS)
            }
        };
        self.url.clone_from(&url);
        let (desk, wait) = (Rc::clone(&self.parts.desk), Duration::from_millis(wait_ms));
        self.link = Link::Opening(Box::pin(async move { desk.open(&url, wait).await }));
    }

    fn request(&mut self, id: u64, url: String, weight: u32) {
        let (desk, replies) = (Rc::clone(&self.parts.desk), self.replies.clone());
        let task = spawn_local(async move {
            let answer = desk.get(&url, weight).await.map_err(|error| error.to_string());
            // Nobody listens any more when the session has ended.
            let _ = replies.send(Reply { id, url, answer }).await;
        });
        if let Some(before) = self.requests.insert(id, task.abort_handle()) {
            before.abort();
        }
    }

    fn queue(&mut self, now: u64, text: Text) -> Result<(), Failure> {
        if !matches!(self.link, Link::Open(_)) {
            return Ok(());
        }
        if self.texts.len() >= TEXTS_MAX {
            return self.lost(now, "too many texts to be sent");
        }
        self.texts.push_back(text);
        Ok(())
    }

    /// Sends what is due. What cannot be sent ends the link.
    async fn send_due(&mut self, now: u64) -> Result<(), Failure> {
        while self.next_text_ns <= now {
            let Link::Open(socket) = &mut self.link else { return Ok(()) };
            let sent = match self.texts.pop_front() {
                None => return Ok(()),
                Some(Text::Text(text)) => socket.send(text).await,
                Some(Text::Ping) => socket.ping().await,
            };
            let apart_ns = SECOND_NS / u64::from(self.parts.texts_per_second.max(1));
            self.next_text_ns = now.saturating_add(apart_ns);
            if let Err(error) = sent {
                self.lost(now, &error.to_string())?;
                return Box::pin(self.settle(now)).await;
            }
        }
        Ok(())
    }

    fn wake_ns(&self) -> u64 {
        let session_ns = self.parts.session.wake_ns();
        let text_ns = if self.texts.is_empty() { u64::MAX } else { self.next_text_ns };
        session_ns.min(text_ns).min(self.counted_ns.saturating_add(COUNT_EVERY_NS))
    }

    async fn end(self) {
        self.requests.values().for_each(AbortHandle::abort);
        if let Link::Open(socket) = self.link {
            socket.close().await;
        }
    }
}

/// What the link brings next; nothing while it is idle. Safe to drop while waiting.
async fn next_of(link: &mut Link) -> Event {
    match link {
        Link::Idle => std::future::pending().await,
        Link::Opening(opening) => Event::Opened(opening.await),
        Link::Open(socket) => Event::Got(socket.next().await),
    }
}
