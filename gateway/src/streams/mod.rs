//! Market data streams: who has subscribed to what, and what is sent when.
//!
//! [`Streams`] is plain data behind the core's lock. It follows the event log in stored time, so
//! every node sends the same bytes; it reads no clock and never waits. A stream without subscribers
//! costs nothing: nothing is encoded and no change is kept.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use marketdata::{FeedSource, Instrument, Market};
use protocol::event::InstrumentDefined;
use protocol::{Event, InstrumentId, MILLISECOND_NS, SECOND_NS, Sequence, Stamp};

use crate::error::ApiError;
use crate::feed::{FeedView, own};
use crate::gateway::Gateway;
use crate::json::{Json, TimeUnit};
use crate::options::Options;
use crate::outbox::{Close, Outbox};

mod audience;
mod control;
pub mod events;
mod feed;
mod history;
mod market_feed;
mod name;
mod payload;
pub mod socket;
#[cfg(test)]
mod tests;
mod venue_feed;

pub use audience::ConnectionId;
pub use control::{Control, Refusal, Request, parse_control};
pub use history::{EventId, RECORDED_BYTES_MAX};
pub use name::{Malformed, Name, Stream};
pub use socket::Start;

pub(crate) use audience::combined;

use audience::{Audience, Form, Publisher, Sink};
use events::{Backlog, End, EventQueue, Listening, symbol_of};
use feed::{Elapsed, Feed};
use history::Records;
use market_feed::MarketFeed;
use name::{MarketTopic, Topic, VenueTopic};
use venue_feed::VenueFeed;

/// Nothing is sent on the beat of less than this.
const BEAT_NS: u64 = 100 * MILLISECOND_NS;

/// Where a name's messages come from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    /// Nowhere: there is no such stream.
    Silent,
    /// The instrument is not defined yet.
    Awaited(Box<str>),
    Of(InstrumentId, Topic),
    Market(MarketTopic),
    Venues(Box<str>, VenueTopic),
}

/// One connection and what it listens to.
#[derive(Debug)]
struct Connection {
    sink: Sink,
    unit: TimeUnit,
    is_combined: bool,
    /// With the place in the order of subscribing.
    names: HashMap<Arc<str>, (u64, Source)>,
    subscribed: u64,
}

impl Connection {
    fn form(&self, name: &Arc<str>) -> Form {
        Form { name: Arc::clone(name), is_combined: self.is_combined, unit: self.unit }
    }
}

/// A connection would listen to more streams than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooManyStreams;

/// All subscriptions of a gateway, and what is to be sent.
#[derive(Debug)]
pub struct Streams {
    streams_max: usize,
    /// Stored time of the newest command.
    now: Stamp,
    publisher: Publisher,
    connections: BTreeMap<ConnectionId, Connection>,
    connections_made: u64,
    /// At the place of the instrument's id, by topic; none is empty after a second has passed.
    feeds: Vec<Vec<Feed>>,
    /// Places in `feeds` that have some.
    active: BTreeSet<usize>,
    market_feeds: Vec<MarketFeed>,
    /// By symbol and topic; each has its own in it.
    venue_feeds: Vec<VenueFeed>,
    /// Instruments whose books changed since the streams over venues were looked at.
    own_changed: BTreeSet<InstrumentId>,
    /// The newest time of the feed.
    feed_now: Stamp,
    /// Names of instruments that are not defined yet, by symbol.
    awaited: HashMap<Box<str>, Vec<(ConnectionId, Arc<str>)>>,
    /// Instruments of this command's events.
    touched: Vec<InstrumentId>,
    stopped: Option<Stamp>,
}

impl Streams {
    pub fn new(options: &Options) -> Streams {
        let records = Records::new(options.resume_messages, RECORDED_BYTES_MAX);
        let resume_kept_ns = u64::try_from(options.resume_kept.as_nanos()).unwrap_or(u64::MAX);
        Streams {
            streams_max: options.streams_max,
            now: Stamp(0),
            publisher: Publisher::new(records, resume_kept_ns),
            connections: BTreeMap::new(),
            connections_made: 0,
            feeds: Vec::new(),
            active: BTreeSet::new(),
            market_feeds: Vec::new(),
            venue_feeds: Vec::new(),
            own_changed: BTreeSet::new(),
            feed_now: Stamp(0),
            awaited: HashMap::new(),
            touched: Vec::new(),
            stopped: None,
        }
    }

    // Following the event log.

    /// The market was rebuilt up to this command without its events passing here: nothing is sent
    /// for the time before it, and nobody can resume from there.
    pub fn begin(&mut self, now: Stamp, sequence: Sequence) {
        (self.now, self.publisher.sequence) = (now, sequence);
        let feeds = self.feeds.iter_mut().flatten().map(|feed| &mut feed.audience);
        let audiences = feeds
            .chain(self.market_feeds.iter_mut().map(|feed| &mut feed.audience))
            .chain(self.venue_feeds.iter_mut().map(|feed| &mut feed.audience));
        audiences.for_each(|audience| audience.begin(sequence));
    }

    /// A command begins; its events are not in the market yet. Sends what was due at every boundary
    /// up to `now`, as of the boundary.
    pub fn advance(&mut self, now: Stamp, sequence: Sequence, market: &Market, view: &FeedView) {
        if self.publisher.sequence == Sequence::NONE {
            self.begin(now, Sequence(sequence.0.saturating_sub(1)));
        }
        self.publisher.sequence = sequence;
        let elapsed = Elapsed { before: self.now, now: now.max(self.now) };
        self.now = elapsed.now;
        if self.is_idle() || elapsed.first(BEAT_NS).is_none() {
            return;
        }
        for place in &self.active {
            let Some(instrument) = market.instrument(id_of(*place)) else { continue };
            for feed in self.feeds.get_mut(*place).into_iter().flatten() {
                feed.pass(elapsed, instrument, &mut self.publisher);
            }
        }
        for feed in &mut self.market_feeds {
            feed.pass(elapsed, market, &mut self.publisher);
        }
        self.tell_own_changed(market);
        for feed in &mut self.venue_feeds {
            let own = own(market, &feed.symbol);
            feed.pass_own(elapsed, own, view, &mut self.publisher);
        }
        if elapsed.first(SECOND_NS).is_some() {
            self.forget();
        }
    }

    fn tell_own_changed(&mut self, market: &Market) {
        let changed = std::mem::take(&mut self.own_changed);
        for instrument in changed.into_iter().filter_map(|id| market.instrument(id)) {
            let symbol = instrument.symbol().to_lowercase();
            let feeds = self.venue_feeds.iter_mut().filter(|feed| *feed.symbol == *symbol);
            feeds.for_each(VenueFeed::own_changed);
        }
    }

    // Following a feed.

    /// A source of a feed shows something else, or goes.
    pub fn source_changed(&mut self, source: &FeedSource) {
        if self.venue_feeds.is_empty() {
            return;
        }
        let (id, symbol) = (source.definition().source, source.symbol().to_lowercase());
        for feed in self.venue_feeds.iter_mut().filter(|feed| *feed.symbol == *symbol) {
            feed.source_changed(id);
        }
    }

    /// Everything that a feed has published up to `now` is in the view: sends what is due.
    pub fn advance_feeds(&mut self, now: Stamp, market: &Market, view: &FeedView) {
        // No boundary lies before the first look.
        let before = if self.feed_now == Stamp(0) { now } else { self.feed_now };
        let elapsed = Elapsed { before, now: now.max(before) };
        self.feed_now = elapsed.now;
        for feed in &mut self.venue_feeds {
            let own = own(market, &feed.symbol);
            feed.pass_sources(elapsed, own, view, &mut self.publisher);
        }
    }

    // Following the event log.

    /// One event of the command, after the market has taken it.
    pub fn apply(&mut self, event: &Event, stamp: Stamp, sequence: Sequence, market: &Market) {
        self.publisher.sequence = sequence;
        match event {
            Event::InstrumentDefined(defined) => self.instrument_defined(defined, market),
            _ if self.is_idle() => {}
            Event::Trade(trade) => {
                let id = trade.instrument;
                self.market_feeds.iter_mut().for_each(|feed| feed.trade(id));
                let (Some(feeds), Some(instrument)) =
                    (feeds_mut(&mut self.feeds, id), market.instrument(id))
                else {
                    return;
                };
                for feed in feeds {
                    feed.trade(trade, stamp, instrument, &mut self.publisher);
                }
                self.touch(id);
            }
            Event::BookChanged(change) => {
                let id = change.instrument;
                if !self.venue_feeds.is_empty() {
                    self.own_changed.insert(id);
                }
                self.market_feeds.iter_mut().for_each(|feed| feed.book_changed(id));
                if let Some(feeds) = feeds_mut(&mut self.feeds, id) {
                    feeds.iter_mut().for_each(|feed| feed.book_changed(change));
                    self.touch(id);
                }
            }
            Event::IndicativeChanged(changed) => {
                self.auction_changed(changed.instrument, stamp, market);
            }
            Event::AuctionUncrossed(uncrossed) => {
                self.auction_changed(uncrossed.instrument, stamp, market);
            }
            _ => {}
        }
    }

    fn auction_changed(&mut self, id: InstrumentId, stamp: Stamp, market: &Market) {
        if let (Some(feeds), Some(instrument)) =
            (feeds_mut(&mut self.feeds, id), market.instrument(id))
        {
            for feed in feeds {
                feed.auction_changed(stamp, instrument, &mut self.publisher);
            }
        }
    }

    /// The command's events are complete: what belongs together goes out.
    pub fn settle(&mut self, stamp: Stamp, sequence: Sequence, market: &Market) {
        self.publisher.sequence = sequence;
        self.now = self.now.max(stamp);
        for id in self.touched.drain(..) {
            let (Some(feeds), Some(instrument)) =
                (feeds_mut(&mut self.feeds, id), market.instrument(id))
            else {
                continue;
            };
            for feed in feeds {
                feed.settle(instrument, &mut self.publisher);
            }
        }
        for feed in &mut self.market_feeds {
            feed.settle(market, &mut self.publisher);
        }
    }

    /// The exchange stops: every connection is told and then closed.
    pub fn shut_down(&mut self, now: Stamp) {
        self.stopped = Some(now);
        for connection in self.connections.values() {
            say_goodbye(connection, now);
        }
    }

    fn is_idle(&self) -> bool {
        self.active.is_empty() && self.market_feeds.is_empty() && self.venue_feeds.is_empty()
    }

    fn touch(&mut self, id: InstrumentId) {
        if !self.touched.contains(&id) {
            self.touched.push(id);
        }
    }

    /// Drops recordings that nobody came back for, and feeds that have nobody left.
    fn forget(&mut self) {
        let Streams { feeds, active, publisher, now, market_feeds, venue_feeds, .. } = self;
        active.retain(|place| {
            let Some(feeds) = feeds.get_mut(*place) else { return false };
            feeds.retain_mut(|feed| is_wanted(&mut feed.audience, publisher, *now));
            !feeds.is_empty()
        });
        market_feeds.retain_mut(|feed| is_wanted(&mut feed.audience, publisher, *now));
        venue_feeds.retain_mut(|feed| is_wanted(&mut feed.audience, publisher, *now));
    }

    fn instrument_defined(&mut self, defined: &InstrumentDefined, market: &Market) {
        if self.awaited.is_empty() {
            return;
        }
        let symbol = defined.definition.symbol.as_str().to_lowercase();
        for (id, name) in self.awaited.remove(symbol.as_str()).unwrap_or_default() {
            if let Ok(name) = Name::parse(&name) {
                self.leave(id, &name.text);
                self.join(id, &name, market);
            }
        }
    }

    // Connections.

    /// A WebSocket connection begins, without streams.
    pub fn connect(
        &mut self,
        outbox: Arc<Outbox>,
        unit: TimeUnit,
        is_combined: bool,
    ) -> ConnectionId {
        self.add(Sink::Socket(outbox), unit, is_combined)
    }

    fn add(&mut self, sink: Sink, unit: TimeUnit, is_combined: bool) -> ConnectionId {
        self.connections_made += 1;
        let id = ConnectionId(self.connections_made);
        let names = HashMap::new();
        let connection = Connection { sink, unit, is_combined, names, subscribed: 0 };
        if let Some(now) = self.stopped {
            say_goodbye(&connection, now);
        }
        self.connections.insert(id, connection);
        id
    }

    /// A connection ends.
    pub fn disconnect(&mut self, id: ConnectionId) {
        for name in self.list(id) {
            self.leave(id, &name);
        }
        self.connections.remove(&id);
    }

    /// Carries out a message of a client; returns the answer, which is to be sent before anything
    /// that the streams send after it.
    pub fn control(&mut self, id: ConnectionId, control: &Control<'_>, market: &Market) -> String {
        let result = match &control.request {
            Request::Subscribe(names) => match self.subscribe(id, names, market) {
                Ok(()) => "null".to_owned(),
                Err(TooManyStreams) => {
                    let text = format!("too many streams, at most {}", self.streams_max);
                    return Refusal::request(text, Some(control.id)).body();
                }
            },
            Request::Unsubscribe(names) => {
                names.iter().for_each(|name| self.leave(id, &name.text));
                "null".to_owned()
            }
            Request::List => Json::list(TimeUnit::Millisecond, |json| {
                self.list(id).iter().for_each(|name| json.text(name));
            }),
            Request::SetCombined(is_combined) => {
                self.set_combined(id, *is_combined);
                "null".to_owned()
            }
            Request::GetCombined => self.is_combined(id).to_string(),
        };
        control::answer(control.id, &result)
    }

    /// Adds streams; those that are subscribed to already stay as they are.
    ///
    /// Errors: there would be too many; none was added.
    pub fn subscribe(
        &mut self,
        id: ConnectionId,
        names: &[Name],
        market: &Market,
    ) -> Result<(), TooManyStreams> {
        let Some(connection) = self.connections.get(&id) else { return Ok(()) };
        let is_new = |name: &&Name| !connection.names.contains_key(&name.text);
        let added: BTreeSet<&str> = names.iter().filter(is_new).map(|name| &*name.text).collect();
        if connection.names.len() + added.len() > self.streams_max {
            return Err(TooManyStreams);
        }
        names.iter().for_each(|name| self.join(id, name, market));
        Ok(())
    }

    /// Names in the order of subscribing.
    pub fn list(&self, id: ConnectionId) -> Vec<Arc<str>> {
        let Some(connection) = self.connections.get(&id) else { return Vec::new() };
        let mut names: Vec<_> = connection.names.iter().map(|(name, it)| (it.0, name)).collect();
        names.sort_unstable();
        names.into_iter().map(|(_, name)| Arc::clone(name)).collect()
    }

    /// Are this connection's messages wrapped?
    pub fn is_combined(&self, id: ConnectionId) -> bool {
        self.connections.get(&id).is_some_and(|connection| connection.is_combined)
    }

    /// Wraps this connection's messages from here on, or no longer. The feeds stay: what changed
    /// since their last message is not lost.
    fn set_combined(&mut self, id: ConnectionId, is_combined: bool) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.is_combined == is_combined {
            return;
        }
        let forms = connection.names.iter().map(|(name, (_, source))| {
            (Form { name: Arc::clone(name), is_combined, unit: connection.unit }, source)
        });
        let (sequence, now) = (self.publisher.sequence, self.now);
        for (form, source) in forms {
            let feeds = (&mut *self.feeds, &mut *self.market_feeds, &mut *self.venue_feeds);
            let audience = audience_mut(feeds, source);
            let Some(audience) = audience else { continue };
            let before = Form { is_combined: !is_combined, ..form.clone() };
            audience.join(form, id, connection.sink.clone(), sequence);
            audience.leave(&before, id, now);
        }
        connection.is_combined = is_combined;
    }

    fn join(&mut self, id: ConnectionId, name: &Name, market: &Market) {
        let source = source_of(name, market);
        let (sequence, now) = (self.publisher.sequence, self.now);
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if connection.names.contains_key(&name.text) {
            return;
        }
        connection.subscribed += 1;
        connection.names.insert(Arc::clone(&name.text), (connection.subscribed, source.clone()));
        let (form, sink) = (connection.form(&name.text), connection.sink.clone());
        match source {
            Source::Silent => {}
            Source::Awaited(symbol) => {
                self.awaited.entry(symbol).or_default().push((id, form.name));
            }
            Source::Of(instrument, topic) => {
                let Some(instrument) = market.instrument(instrument) else { return };
                if let Some(feed) = self.feed(instrument, topic) {
                    feed.greet();
                    feed.audience.join(form, id, sink, sequence);
                }
            }
            Source::Market(topic) => {
                let feeds = &mut self.market_feeds;
                let at = feeds.binary_search_by_key(&topic, |feed| feed.topic);
                let at = at.unwrap_or_else(|at| {
                    feeds.insert(at, MarketFeed::new(topic, market, now));
                    at
                });
                if let Some(feed) = feeds.get_mut(at) {
                    feed.audience.join(form, id, sink, sequence);
                }
            }
            Source::Venues(symbol, topic) => {
                let feeds = &mut self.venue_feeds;
                let at = feeds
                    .binary_search_by(|feed| (&feed.symbol, feed.topic).cmp(&(&symbol, topic)));
                let at = at.unwrap_or_else(|at| {
                    feeds.insert(at, VenueFeed::new(&symbol, topic));
                    at
                });
                if let Some(feed) = feeds.get_mut(at) {
                    feed.greet();
                    feed.audience.join(form, id, sink, sequence);
                }
            }
        }
    }

    fn feed(&mut self, instrument: &Instrument, topic: Topic) -> Option<&mut Feed> {
        let place = place_of(instrument.id)?;
        if place >= self.feeds.len() {
            self.feeds.resize_with(place + 1, Vec::new);
        }
        self.active.insert(place);
        let feeds = self.feeds.get_mut(place)?;
        let at = feeds.binary_search_by_key(&topic, |feed| feed.topic).unwrap_or_else(|at| {
            feeds.insert(at, Feed::new(topic, instrument));
            at
        });
        feeds.get_mut(at)
    }

    fn leave(&mut self, id: ConnectionId, name: &Arc<str>) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some((_, source)) = connection.names.remove(name) else { return };
        if let Source::Awaited(symbol) = &source
            && let Some(waiting) = self.awaited.get_mut(symbol)
        {
            waiting.retain(|it| *it != (id, Arc::clone(name)));
            if waiting.is_empty() {
                self.awaited.remove(symbol);
            }
        }
        let form = connection.form(name);
        let feeds = (&mut *self.feeds, &mut *self.market_feeds, &mut *self.venue_feeds);
        if let Some(audience) = audience_mut(feeds, &source) {
            audience.leave(&form, id, self.now);
            if audience.is_empty() {
                self.remove(&source);
            }
        }
    }

    /// Drops a feed that nobody listens to, with all that it remembers.
    fn remove(&mut self, source: &Source) {
        match source {
            Source::Silent | Source::Awaited(_) => {}
            Source::Of(id, topic) => {
                let Some(place) = place_of(*id) else { return };
                let Some(feeds) = self.feeds.get_mut(place) else { return };
                feeds.retain(|feed| feed.topic != *topic);
                if feeds.is_empty() {
                    self.active.remove(&place);
                }
            }
            Source::Market(topic) => self.market_feeds.retain(|feed| feed.topic != *topic),
            Source::Venues(symbol, topic) => {
                self.venue_feeds.retain(|feed| (&feed.symbol, &feed.topic) != (symbol, topic));
            }
        }
    }

    // Subscribers over HTTP.

    /// A subscriber over HTTP begins: `resume` is where it stood, if it came back; an id that could
    /// not be read is `Some(None)`.
    ///
    /// Errors: a symbol that does not exist; the exchange stops.
    fn listen(
        &mut self,
        names: &[Name],
        unit: TimeUnit,
        resume: Option<Option<EventId>>,
        queue: Arc<EventQueue>,
        market: &Market,
    ) -> Result<(ConnectionId, Listening), ApiError> {
        if self.stopped.is_some() {
            return Err(ApiError::shutting_down());
        }
        if names.iter().filter_map(symbol_of).any(|symbol| find(symbol, market).is_none()) {
            return Err(ApiError::symbol());
        }
        let id = self.add(Sink::Events(Arc::clone(&queue)), unit, true);
        names.iter().for_each(|name| self.join(id, name, market));
        let current = self.publisher.sequence;
        let count = u32::try_from(self.recorded(id, current).len()).unwrap_or(u32::MAX);
        let at = EventId { sequence: current, count };
        queue.begin(at);
        let backlog = match resume {
            Some(Some(after)) if after <= at => self.backlog(id, after),
            Some(_) => None,
            None => Some(Backlog::new()),
        };
        let is_reset = backlog.is_none();
        let backlog = backlog.unwrap_or_default();
        // With a backlog the subscriber still stands where it stood.
        let at = match (resume, is_reset) {
            (Some(Some(after)), false) => after,
            _ => at,
        };
        Ok((id, Listening { is_reset, at, backlog }))
    }

    /// What a subscriber has missed since; none if not all of it is kept.
    fn backlog(&self, id: ConnectionId, after: EventId) -> Option<Backlog> {
        let connection = self.connections.get(&id)?;
        let is_kept = connection.names.values().all(|(_, source)| {
            let recording = self.audience(source).and_then(|it| it.recording(connection.unit));
            recording.is_some_and(|recording| recording.reaches(after.sequence))
        });
        if !is_kept {
            return None;
        }
        let recorded = self.recorded(id, after.sequence);
        let at_sequence = recorded.iter().take_while(|it| it.0 == after.sequence).count();
        if u32::try_from(at_sequence).is_ok_and(|count| count < after.count) {
            return None;
        }
        let mut at = EventId { sequence: after.sequence, count: 0 };
        let with_id = recorded.into_iter().map(|(sequence, name, payload)| {
            at = at.next(sequence);
            (at, name, payload)
        });
        Some(with_id.filter(|(at, ..)| *at > after).collect())
    }

    /// Messages of a subscriber's streams from a sequence on, in the order they were sent.
    fn recorded(&self, id: ConnectionId, from: Sequence) -> Vec<(Sequence, Arc<str>, Utf8Bytes)> {
        let Some(connection) = self.connections.get(&id) else { return Vec::new() };
        let mut messages = Vec::new();
        for (name, (_, source)) in &connection.names {
            let recording = self.audience(source).and_then(|it| it.recording(connection.unit));
            for message in recording.into_iter().flat_map(|recording| recording.from(from)) {
                messages.push((message.order, name, message));
            }
        }
        messages.sort_unstable_by_key(|(order, name, _)| (*order, *name));
        let with_name = messages.into_iter().map(|(_, name, message)| {
            (message.sequence, Arc::clone(name), message.payload.clone())
        });
        with_name.collect()
    }

    fn audience(&self, source: &Source) -> Option<&Audience> {
        match source {
            Source::Silent | Source::Awaited(_) => None,
            Source::Of(id, topic) => {
                let feeds = self.feeds.get(place_of(*id)?)?;
                feeds.iter().find(|feed| feed.topic == *topic).map(|feed| &feed.audience)
            }
            Source::Market(topic) => {
                let feed = self.market_feeds.iter().find(|feed| feed.topic == *topic)?;
                Some(&feed.audience)
            }
            Source::Venues(symbol, topic) => {
                let is_it = |feed: &&VenueFeed| (&feed.symbol, &feed.topic) == (symbol, topic);
                self.venue_feeds.iter().find(is_it).map(|feed| &feed.audience)
            }
        }
    }
}

/// Those of instruments, of the whole market, and over venues.
type AllFeeds<'a> = (&'a mut [Vec<Feed>], &'a mut [MarketFeed], &'a mut [VenueFeed]);

fn audience_mut<'a>(
    (feeds, market_feeds, venue_feeds): AllFeeds<'a>,
    source: &Source,
) -> Option<&'a mut Audience> {
    match source {
        Source::Silent | Source::Awaited(_) => None,
        Source::Of(id, topic) => {
            let feeds = feeds.get_mut(place_of(*id)?)?;
            let at = feeds.binary_search_by_key(topic, |feed| feed.topic).ok()?;
            feeds.get_mut(at).map(|feed| &mut feed.audience)
        }
        Source::Market(topic) => {
            let feed = market_feeds.iter_mut().find(|feed| feed.topic == *topic)?;
            Some(&mut feed.audience)
        }
        Source::Venues(symbol, topic) => {
            let is_it = |feed: &&mut VenueFeed| (&feed.symbol, &feed.topic) == (symbol, topic);
            venue_feeds.iter_mut().find(is_it).map(|feed| &mut feed.audience)
        }
    }
}

fn feeds_mut(feeds: &mut [Vec<Feed>], id: InstrumentId) -> Option<&mut Vec<Feed>> {
    feeds.get_mut(place_of(id)?).filter(|feeds| !feeds.is_empty())
}

fn is_wanted(audience: &mut Audience, publisher: &mut Publisher, now: Stamp) -> bool {
    publisher.forget(audience, now);
    !audience.is_empty()
}

/// Place of an instrument's feeds.
fn place_of(id: InstrumentId) -> Option<usize> {
    id.0.checked_sub(1).map(|place| place as usize)
}

fn id_of(place: usize) -> InstrumentId {
    // Places come from ids.
    InstrumentId(place as u32 + 1)
}

fn source_of(name: &Name, market: &Market) -> Source {
    match &name.stream {
        None => Source::Silent,
        Some(Stream::Market(topic)) => Source::Market(*topic),
        Some(Stream::Venues { symbol, topic }) => Source::Venues(symbol.clone(), *topic),
        Some(Stream::Of { symbol, topic }) => match find(symbol, market) {
            Some(instrument) => Source::Of(instrument.id, *topic),
            None => Source::Awaited(symbol.clone()),
        },
    }
}

/// The instrument whose symbol is this in small letters.
fn find<'m>(symbol: &str, market: &'m Market) -> Option<&'m Instrument> {
    let upper = symbol.to_uppercase();
    let found = market.by_symbol(&upper).or_else(|| market.by_symbol(symbol))?;
    (found.symbol().to_lowercase() == symbol).then_some(found)
}

/// `serverShutdown`, and the end.
fn say_goodbye(connection: &Connection, now: Stamp) {
    let payload = Json::of(connection.unit, |json| payload::server_shutdown(json, now));
    let message = match connection.is_combined {
        true => combined("!serverShutdown", &payload),
        false => payload.into(),
    };
    match &connection.sink {
        Sink::Socket(outbox) => {
            outbox.push(message);
            outbox.close(Close::ShuttingDown);
        }
        Sink::Events(queue) => queue.end(End::ShuttingDown(message)),
    }
}

/// A connection's place in the streams, until it is dropped.
pub(crate) struct Connected {
    gateway: Arc<Gateway>,
    pub(crate) id: ConnectionId,
}

impl Connected {
    /// Must not be dropped while the core is locked.
    pub(crate) fn new(gateway: Arc<Gateway>, id: ConnectionId) -> Connected {
        Connected { gateway, id }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.gateway.core().streams.disconnect(self.id);
    }
}
