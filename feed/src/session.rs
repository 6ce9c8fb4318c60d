//! One connection to a venue and the books of its symbols: a pure state machine.
//!
//! For each symbol: updates are kept until a snapshot has come, the snapshot is taken when it
//! reaches them, and from then on each update must follow the one before it. What is missing is
//! found by ids, or by checksum where there are none. After a gap the book stays as it was, in
//! state `resyncing`, until a new snapshot has come; a book that may be wrong is never committed.

mod sighted;

use crate::adapter::{
    Depth, Input, Item, KeepAlive, Last, Note, Order, Place, Read, Sink, SnapshotBy, Symbol, Venue,
};
use crate::book::{Book, Change, Scales};
use crate::decimal::Misfit;
use protocol::Side;
use protocol::feed::{
    FeedBookCommitted, FeedBookReset, FeedEvent, FeedLevelChanged, FeedMarket, FeedReason,
    FeedSourceDefined, FeedState, FeedStatusChanged, FeedVenue,
};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::fmt::Display;
use std::sync::Arc;

use sighted::{quoted, traded};

const SECOND_NS: u64 = 1_000_000_000;
/// Best levels that a checksum covers.
pub const CHECKSUM_LEVELS: usize = 25;
/// Updates after which a book counts as good: the next time, a snapshot is asked for at once.
const APPLIED_FOR_GOOD: u32 = 10;
/// Sources of one session.
pub const SOURCES_MAX: usize = 10_000;

/// What a session is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionOptions {
    /// Levels a side that are kept; 0: all.
    pub depth_max: usize,
    /// A new snapshot is asked for when fewer levels than this are left between which nothing is
    /// missing; 0: never. See [`Book::known_to`].
    pub known_levels_min: usize,
    /// An update that crosses the book is refused, and a new snapshot asked for.
    pub refuses_crossed: bool,
    /// Symbols that were not named get a source too, with the next id.
    pub adopts: bool,
    /// Updates that are kept for one symbol until its snapshot has come, and their bytes.
    pub kept_max: usize,
    pub kept_bytes_max: usize,
    /// Silence of the connection after which it is asked whether it lives, its books are called
    /// stale, and it is taken for dead. Each at least twice the one before.
    pub probe_ns: u64,
    pub stale_ns: u64,
    pub dead_ns: u64,
    /// First and longest wait before a snapshot is asked for again.
    pub retry_first_ns: u64,
    pub retry_max_ns: u64,
}

impl Default for SessionOptions {
    fn default() -> SessionOptions {
        SessionOptions {
            depth_max: 1_000,
            known_levels_min: 20,
            refuses_crossed: true,
            adopts: false,
            kept_max: 10_000,
            kept_bytes_max: 32 << 20,
            probe_ns: 10 * SECOND_NS,
            stale_ns: 25 * SECOND_NS,
            dead_ns: 60 * SECOND_NS,
            retry_first_ns: SECOND_NS,
            retry_max_ns: 60 * SECOND_NS,
        }
    }
}

impl SessionOptions {
    /// For recordings: everything is kept, nothing is asked for that a recording cannot have.
    pub fn replay() -> SessionOptions {
        SessionOptions {
            depth_max: 0,
            known_levels_min: 0,
            refuses_crossed: false,
            adopts: true,
            ..SessionOptions::default()
        }
    }
}

/// What a source has counted since its session began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    pub messages: u64,
    /// Updates and snapshots that the venue sent in its stream.
    pub depths: u64,
    pub trades: u64,
    pub quotes: u64,
    /// Snapshots that were asked for and came, whatever became of them.
    pub answers: u64,
    /// Updates that came before the first of those.
    pub before_snapshot: u64,
    /// Updates that are in the book.
    pub applied: u64,
    /// Snapshots that became the book.
    pub snapshots: u64,
    /// Updates that a snapshot had already.
    pub stale: u64,
    /// Updates that came twice or too late.
    pub repeated: u64,
    /// Messages that were refused.
    pub refused: u64,
    pub gaps: u64,
    pub resyncs: u64,
    /// Committed states with the bid at or above the ask.
    pub crossed: u64,
    /// Removals of levels that were not there.
    pub absent: u64,
    /// Trades that the ids of trades show to be missing.
    pub trades_missed: u64,
    pub checksums: u64,
}

/// One symbol and its book.
#[derive(Debug)]
pub struct Source {
    id: u32,
    symbol: Symbol,
    book: Book,
    state: FeedState,
    reason: FeedReason,
    counts: Counts,
    /// None: there is no book that an update could follow.
    last: Option<Last>,
    /// The last update of the stream, followed also while there is no book.
    seen: Option<u64>,
    kept: VecDeque<Kept>,
    kept_bytes: usize,
    first_applied: Option<(u64, u64)>,
    request: Option<u64>,
    retry_at: Option<u64>,
    /// Snapshots that were asked for since the book was last good for a while.
    attempts: u32,
    applied_since_snapshot: u32,
    trade: Option<u64>,
    lag_ns: i64,
    committed: Option<FeedBookCommitted>,
}

/// An update that waits for a snapshot.
#[derive(Debug)]
struct Kept {
    receive_ns: u64,
    bytes: Box<[u8]>,
}

impl Source {
    fn new(id: u32, symbol: Symbol, depth_max: usize) -> Source {
        Source {
            id,
            symbol,
            book: Book::new(Scales::default(), depth_max),
            state: FeedState::Connecting,
            reason: FeedReason::EMPTY,
            counts: Counts::default(),
            last: None,
            seen: None,
            kept: VecDeque::new(),
            kept_bytes: 0,
            first_applied: None,
            request: None,
            retry_at: None,
            attempts: 0,
            applied_since_snapshot: 0,
            trade: None,
            lag_ns: 0,
            committed: None,
        }
    }

    pub fn id(&self) -> u32 {
        self.id
    }

    /// As the venue writes it.
    pub fn symbol(&self) -> &str {
        self.symbol.as_str()
    }

    /// The book as of [`Source::committed`]; while the state is another than `synced` the last one
    /// that was right.
    pub fn book(&self) -> &Book {
        &self.book
    }

    pub fn state(&self) -> FeedState {
        self.state
    }

    pub fn reason(&self) -> &str {
        self.reason.as_str()
    }

    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// The message that the book stands at.
    pub fn committed(&self) -> Option<&FeedBookCommitted> {
        self.committed.as_ref()
    }

    /// First and last id of the first update after the last snapshot.
    pub fn first_applied(&self) -> Option<(u64, u64)> {
        self.first_applied
    }

    /// Receive time less event time of the last message; may be below 0.
    pub fn lag_ns(&self) -> i64 {
        self.lag_ns
    }

    /// The request for a snapshot that has no answer yet.
    pub fn request(&self) -> Option<u64> {
        self.request
    }

    pub fn status(&self) -> FeedStatusChanged {
        FeedStatusChanged {
            source: self.id,
            state: self.state,
            reason: self.reason,
            messages: self.counts.messages,
            gaps: self.counts.gaps,
            resyncs: self.counts.resyncs,
            dropped: self.counts.refused + self.counts.repeated,
            lag_ns: self.lag_ns,
        }
    }

    fn is_synced(&self) -> bool {
        matches!(self.state, FeedState::Synced | FeedState::Stale)
    }

    fn forget_kept(&mut self) {
        self.kept.clear();
        self.kept_bytes = 0;
    }
}

/// The state machine of one connection.
#[derive(Debug)]
pub struct Session {
    line: Line,
    sources: Vec<Source>,
    by_symbol: FxHashMap<Symbol, usize>,
    next_source: u32,
    read: Read,
    changes: Vec<Change>,
}

/// What concerns all sources of the connection.
#[derive(Debug)]
struct Line {
    venue: Arc<dyn Venue>,
    options: SessionOptions,
    is_open: bool,
    opened_ns: u64,
    heard_ns: u64,
    probed_ns: u64,
    closing: bool,
    is_stale: bool,
    next_request: u64,
    /// The venue wants no request before this time.
    blocked_until: u64,
    refused: u64,
}

impl Session {
    /// `symbols` as the venue writes them; their sources are numbered from `first_source`. What is
    /// longer than a [`Symbol`] is one at no venue, and gets no source.
    pub fn new(
        venue: Arc<dyn Venue>,
        symbols: &[String],
        first_source: u32,
        options: SessionOptions,
    ) -> Session {
        let line = Line {
            venue,
            options,
            is_open: false,
            opened_ns: 0,
            heard_ns: 0,
            probed_ns: 0,
            closing: false,
            is_stale: false,
            next_request: 1,
            blocked_until: 0,
            refused: 0,
        };
        let mut session = Session {
            line,
            sources: Vec::new(),
            by_symbol: FxHashMap::default(),
            next_source: first_source,
            read: Read::default(),
            changes: Vec::new(),
        };
        for (id, symbol) in (first_source..).zip(symbols) {
            if let Ok(symbol) = Symbol::new(symbol) {
                session.add(id, symbol);
            }
        }
        session
    }

    fn add(&mut self, id: u32, symbol: Symbol) -> usize {
        let place = self.sources.len();
        self.next_source = id.saturating_add(1);
        self.by_symbol.insert(symbol, place);
        self.sources.push(Source::new(id, symbol, self.line.options.depth_max));
        place
    }

    /// Defines the sources and asks for the connection. To be called once, before any input.
    pub fn start<S: Sink>(&mut self, sink: &mut S) {
        for source in &self.sources {
            self.line.define(source, sink);
            sink.change(FeedEvent::FeedStatusChanged(source.status()));
        }
        sink.order(self.line.connect(&self.sources));
    }

    pub fn venue(&self) -> &dyn Venue {
        &*self.line.venue
    }

    pub fn sources(&self) -> &[Source] {
        &self.sources
    }

    pub fn source(&self, symbol: &str) -> Option<&Source> {
        self.sources.get(*self.by_symbol.get(&Symbol::new(symbol).ok()?)?)
    }

    /// Messages that belong to no source and made no sense.
    pub fn refused(&self) -> u64 {
        self.line.refused
    }

    /// When to call with [`Input::Tick`] at the latest, if nothing else comes before; `u64::MAX`:
    /// never.
    pub fn wake_ns(&self) -> u64 {
        let retries = self.sources.iter().filter_map(|source| source.retry_at);
        let retries = retries.map(|at| at.max(self.line.blocked_until));
        retries.chain(self.line.wake_ns()).min().unwrap_or(u64::MAX)
    }

    /// Takes what happened at `now` (nanoseconds since 1970).
    pub fn input<S: Sink>(&mut self, now: u64, input: Input<'_>, sink: &mut S) {
        match input {
            Input::Opened => self.opened(now, sink),
            Input::Closed { reason } => self.closed(reason, sink),
            Input::Text(bytes) => {
                self.heard(now, sink);
                self.text(now, bytes, sink);
            }
            Input::Ping => self.heard(now, sink),
            Input::Response { id, status, retry_after_s, body } => {
                self.response(now, id, status, retry_after_s, body, sink);
            }
            Input::Failed { id, reason } => {
                if let Some(place) = self.requested(id) {
                    self.retry_later(place, now, reason, sink);
                }
            }
            Input::Tick => self.tick(now, sink),
        }
    }

    /// Makes a source of a symbol that the venue has, as `adopts` does; none when there are too
    /// many.
    pub fn adopt<S: Sink>(&mut self, now: u64, symbol: Symbol, sink: &mut S) -> Option<&Source> {
        let place = match self.by_symbol.get(&symbol) {
            Some(&place) => place,
            None if self.sources.len() >= SOURCES_MAX => return None,
            None => {
                let place = self.add(self.next_source, symbol);
                let source = self.sources.get_mut(place)?;
                self.line.define(source, sink);
                if self.line.is_open {
                    self.line.begin_source(source, now, sink);
                }
                place
            }
        };
        self.sources.get(place)
    }

    /// Takes a snapshot that nobody asked for, as a recording has it.
    pub fn offer<S: Sink>(&mut self, now: u64, symbol: &str, body: &[u8], sink: &mut S) {
        let place = Symbol::new(symbol).ok().and_then(|it| self.place_of(now, &it, sink));
        let Some(place) = place else { return };
        if let Some(source) = self.sources.get_mut(place) {
            source.request = None;
        }
        self.snapshot_came(place, now, body, sink);
    }

    fn opened<S: Sink>(&mut self, now: u64, sink: &mut S) {
        let line = &mut self.line;
        line.is_open = true;
        line.closing = false;
        line.is_stale = false;
        (line.opened_ns, line.heard_ns, line.probed_ns) = (now, now, now);
        let symbols = names(&self.sources);
        for text in line.venue.subscribe(&symbols) {
            sink.order(Order::Send { text });
        }
        for source in &mut self.sources {
            line.begin_source(source, now, sink);
        }
    }

    fn closed<S: Sink>(&mut self, reason: &str, sink: &mut S) {
        self.line.is_open = false;
        self.line.closing = false;
        for source in &mut self.sources {
            source.last = None;
            source.seen = None;
            source.retry_at = None;
            source.forget_kept();
            if let Some(id) = source.request.take() {
                sink.order(Order::Forget { id });
            }
            turn(source, FeedState::Connecting, reason, sink);
        }
        sink.order(self.line.connect(&self.sources));
    }

    fn heard<S: Sink>(&mut self, now: u64, sink: &mut S) {
        self.line.heard_ns = self.line.heard_ns.max(now);
        if !std::mem::take(&mut self.line.is_stale) {
            return;
        }
        for source in self.sources.iter_mut().filter(|it| it.state == FeedState::Stale) {
            turn(source, FeedState::Synced, "", sink);
        }
    }

    fn tick<S: Sink>(&mut self, now: u64, sink: &mut S) {
        let line = &mut self.line;
        for source in &mut self.sources {
            if source.retry_at.is_some_and(|at| at.max(line.blocked_until) <= now) {
                line.ask(source, now, sink);
            }
        }
        if !line.is_open || line.closing {
            return;
        }
        line.probe(now, sink);
        let silence = now.saturating_sub(line.heard_ns);
        if silence >= line.options.stale_ns && !line.is_stale {
            line.is_stale = true;
            let words = format!("nothing for {} s", silence / SECOND_NS);
            for source in self.sources.iter_mut().filter(|it| it.state == FeedState::Synced) {
                turn(source, FeedState::Stale, &words, sink);
            }
        }
        line.end_when_due(now, sink);
    }

    fn text<S: Sink>(&mut self, now: u64, bytes: &[u8], sink: &mut S) {
        let mut read = std::mem::take(&mut self.read);
        match self.line.venue.read(bytes, &mut read) {
            Ok(()) => {
                for item in &read.items {
                    self.item(now, bytes, item, &read, sink);
                }
            }
            Err(error) => {
                self.line.refused += 1;
                sink.note(None, Note::Unreadable { reason: &error.to_string() });
            }
        }
        self.read = read;
    }

    fn item<S: Sink>(&mut self, now: u64, bytes: &[u8], item: &Item, read: &Read, sink: &mut S) {
        let symbol = match item {
            Item::Depth(depth) => &depth.symbol,
            Item::Trade(trade) => &trade.symbol,
            Item::Quote(quote) => &quote.symbol,
            Item::Other { symbol } => symbol,
            Item::Answered => return,
            Item::Refused { reason } => return sink.note(None, Note::Refused { reason }),
        };
        let Some(place) = self.place_of(now, symbol, sink) else { return };
        let Some(source) = self.sources.get_mut(place) else { return };
        source.counts.messages += 1;
        match item {
            Item::Depth(depth) => {
                source.counts.depths += 1;
                source.lag_ns = lag(now, depth.event_ms).unwrap_or(source.lag_ns);
                let mut at = At { line: &mut self.line, changes: &mut self.changes, now };
                match depth.is_snapshot {
                    true => at.stream_snapshot(source, depth, read, sink),
                    false => at.update(source, depth, read, bytes, sink),
                }
            }
            Item::Trade(trade) => traded(source, now, trade, sink),
            Item::Quote(quote) => quoted(source, now, quote, sink),
            _ => {}
        }
    }

    fn place_of<S: Sink>(&mut self, now: u64, symbol: &Symbol, sink: &mut S) -> Option<usize> {
        if let Some(&place) = self.by_symbol.get(symbol) {
            return Some(place);
        }
        if !self.line.options.adopts {
            return None;
        }
        self.adopt(now, *symbol, sink)?;
        self.by_symbol.get(symbol).copied()
    }

    fn requested(&mut self, id: u64) -> Option<usize> {
        let place = self.sources.iter().position(|source| source.request == Some(id))?;
        self.sources.get_mut(place)?.request = None;
        Some(place)
    }

    fn response<S: Sink>(
        &mut self,
        now: u64,
        id: u64,
        status: u16,
        retry_after_s: Option<u64>,
        body: &[u8],
        sink: &mut S,
    ) {
        if matches!(status, 418 | 429) {
            // No wait known: a minute, and longer for a ban.
            let wait_s = retry_after_s.unwrap_or(if status == 418 { 120 } else { 60 }).max(1);
            let until = now.saturating_add(wait_s.saturating_mul(SECOND_NS));
            self.line.blocked_until = self.line.blocked_until.max(until);
        }
        let Some(place) = self.requested(id) else { return };
        if status == 200 {
            return self.snapshot_came(place, now, body, sink);
        }
        let text = String::from_utf8_lossy(body.get(..body.len().min(80)).unwrap_or(&[]));
        let reason = format!("HTTP {status} {text}");
        sink.note(self.sources.get(place).map(|it| it.id), Note::Refused { reason: &reason });
        self.retry_later(place, now, &reason, sink);
        let gone = matches!(status, 400..=499) && !matches!(status, 408 | 418 | 425 | 429);
        if let (true, Some(source)) = (gone, self.sources.get_mut(place)) {
            // It will say the same again: ask seldom.
            source.retry_at = Some(now.saturating_add(self.line.options.retry_max_ns));
            turn(source, FeedState::Down, &reason, sink);
        }
    }

    fn retry_later<S: Sink>(&mut self, place: usize, now: u64, reason: &str, sink: &mut S) {
        let Some(source) = self.sources.get_mut(place) else { return };
        self.line.retry_later(source, now);
        turn(source, source.state, reason, sink);
    }

    fn snapshot_came<S: Sink>(&mut self, place: usize, now: u64, body: &[u8], sink: &mut S) {
        let Some(source) = self.sources.get_mut(place) else { return };
        source.counts.answers += 1;
        let mut read = std::mem::take(&mut self.read);
        let mut at = At { line: &mut self.line, changes: &mut self.changes, now };
        match (at.line.venue.read_snapshot(body, &mut read), read.items.first()) {
            (Ok(()), Some(Item::Depth(depth))) => {
                let depth = depth.clone();
                at.answered(source, &depth, &mut read, sink);
            }
            (result, _) => {
                let error = result.err().map_or_else(|| "no snapshot".into(), |it| it.to_string());
                source.counts.refused += 1;
                sink.note(Some(source.id), Note::Unreadable { reason: &error });
                at.line.retry_later(source, now);
                turn(source, source.state, format!("snapshot: {error}"), sink);
            }
        }
        self.read = read;
    }
}

fn names(sources: &[Source]) -> Vec<String> {
    sources.iter().map(|source| source.symbol().to_owned()).collect()
}

impl Line {
    fn connect(&self, sources: &[Source]) -> Order {
        Order::Connect { url: self.venue.connect_url(&names(sources)) }
    }

    fn define<S: Sink>(&self, source: &Source, sink: &mut S) {
        let scales = source.book.scales();
        sink.change(FeedEvent::FeedSourceDefined(FeedSourceDefined {
            source: source.id,
            venue: FeedVenue::new(self.venue.name()).unwrap_or_default(),
            market: FeedMarket::new(self.venue.market()).unwrap_or_default(),
            symbol: source.symbol,
            price_scale: scales.price,
            quantity_scale: scales.quantity,
            depth_max: u32::try_from(source.book.depth_max()).unwrap_or(u32::MAX),
        }));
    }

    /// The connection is there: what comes is kept, and a snapshot asked for.
    fn begin_source<S: Sink>(&mut self, source: &mut Source, now: u64, sink: &mut S) {
        source.last = None;
        source.seen = None;
        source.trade = None;
        source.attempts = 0;
        source.forget_kept();
        turn(source, FeedState::Buffering, "", sink);
        // Where it comes in the stream, the subscription brings the first one.
        if matches!(self.venue.snapshot(source.symbol()), SnapshotBy::Url { .. }) {
            self.ask(source, now, sink);
        }
    }

    /// Asks for a snapshot, at once or when the venue lets us.
    fn ask<S: Sink>(&mut self, source: &mut Source, now: u64, sink: &mut S) {
        source.retry_at = None;
        if !self.is_open || source.request.is_some() {
            return;
        }
        match self.venue.snapshot(source.symbol()) {
            SnapshotBy::Url { .. } if now < self.blocked_until => {
                source.retry_at = Some(self.blocked_until);
            }
            SnapshotBy::Url { url, weight, .. } => {
                let id = self.next_request;
                self.next_request += 1;
                source.request = Some(id);
                sink.order(Order::Request { id, url, weight });
            }
            SnapshotBy::Stream { texts, .. } => {
                for text in texts {
                    sink.order(Order::Send { text });
                }
                // If it does not come, it is asked for again.
                source.retry_at = Some(now.saturating_add(self.options.retry_max_ns));
            }
        }
    }

    fn retry_later(&self, source: &mut Source, now: u64) {
        let SessionOptions { retry_first_ns, retry_max_ns, .. } = self.options;
        let wait = retry_first_ns.saturating_mul(1 << source.attempts.min(20)).min(retry_max_ns);
        source.attempts = source.attempts.saturating_add(1);
        source.retry_at = Some(now.saturating_add(wait).max(self.blocked_until));
    }

    /// The book cannot go on: it stays as it is until a new snapshot has come.
    fn resync<S: Sink>(&mut self, source: &mut Source, now: u64, reason: &str, sink: &mut S) {
        source.last = None;
        source.counts.resyncs += 1;
        source.forget_kept();
        turn(source, FeedState::Resyncing, reason, sink);
        // The last snapshot did not hold for long: not at once again.
        let soon = source.attempts == 0;
        self.retry_later(source, now);
        if soon {
            self.ask(source, now, sink);
        }
    }

    fn wake_ns(&self) -> Option<u64> {
        if !self.is_open || self.closing {
            return None;
        }
        let SessionOptions { probe_ns, stale_ns, dead_ns, .. } = self.options;
        let age = self.opened_ns.saturating_add(self.venue.limits().connection_age_ns);
        let silent = self.heard_ns.saturating_add(if self.is_stale { dead_ns } else { stale_ns });
        let every = match self.venue.keep_alive() {
            KeepAlive::Frame => self.heard_ns.max(self.probed_ns).saturating_add(probe_ns),
            KeepAlive::Text { every_ns, .. } => self.probed_ns.saturating_add(every_ns),
        };
        Some(age.min(silent).min(every))
    }

    /// Asks whether the line lives, when it is time.
    fn probe<S: Sink>(&mut self, now: u64, sink: &mut S) {
        match self.venue.keep_alive() {
            KeepAlive::Frame => {
                let since = now.saturating_sub(self.heard_ns.max(self.probed_ns));
                if since >= self.options.probe_ns {
                    self.probed_ns = now;
                    sink.order(Order::Ping);
                }
            }
            KeepAlive::Text { text, every_ns } => {
                if now.saturating_sub(self.probed_ns) >= every_ns {
                    self.probed_ns = now;
                    sink.order(Order::Send { text: text.into() });
                }
            }
        }
    }

    fn end_when_due<S: Sink>(&mut self, now: u64, sink: &mut S) {
        let silence = now.saturating_sub(self.heard_ns);
        let age = now.saturating_sub(self.opened_ns);
        let reason = match () {
            () if silence >= self.options.dead_ns => {
                format!("silent for {} s", silence / SECOND_NS)
            }
            () if age >= self.venue.limits().connection_age_ns => "as old as it may become".into(),
            () => return,
        };
        self.closing = true;
        sink.order(Order::Disconnect { reason });
    }
}

/// A moment, and what is needed to change a source.
struct At<'a> {
    line: &'a mut Line,
    changes: &'a mut Vec<Change>,
    now: u64,
}

impl At<'_> {
    /// An update of the stream.
    fn update<S: Sink>(
        &mut self,
        source: &mut Source,
        depth: &Depth,
        read: &Read,
        bytes: &[u8],
        sink: &mut S,
    ) {
        source.counts.before_snapshot += u64::from(source.counts.answers == 0);
        let seen = source.seen.map(|update| Last { update, is_snapshot: false });
        let place = seen.map_or(Place::Next, |seen| self.line.venue.place(seen, depth));
        match place {
            Place::Next => {}
            Place::Old => {
                source.counts.repeated += 1;
                return sink.note(Some(source.id), Note::Repeated { update: depth.last });
            }
            Place::Gap { expected, found } => {
                source.counts.gaps += 1;
                sink.note(Some(source.id), Note::Gap { expected, found });
            }
            Place::Restart { found } => sink.note(Some(source.id), Note::Restarted { found }),
        }
        source.seen = Some(depth.last);
        match (source.is_synced(), place) {
            (true, Place::Next) => self.follow(source, depth, read, bytes, sink),
            (true, Place::Gap { expected, found }) => {
                let reason = format!("gap: expected {expected}, found {found}");
                self.line.resync(source, self.now, &reason, sink);
                self.keep(source, bytes);
            }
            (true, _) => {
                source.seen = None;
                self.line.resync(source, self.now, "the venue began anew", sink);
            }
            (false, _) if source.state == FeedState::Buffering && self.is_by_stream(source) => {
                source.counts.gaps += 1;
                sink.note(Some(source.id), Note::NoSnapshot { found: depth.last });
                self.line.resync(source, self.now, "no snapshot came", sink);
            }
            (false, Place::Next) => self.keep(source, bytes),
            (false, _) => {
                source.forget_kept();
                self.keep(source, bytes);
            }
        }
    }

    /// An update that follows the stream; the first one after a snapshot must also reach it.
    fn follow<S: Sink>(
        &mut self,
        source: &mut Source,
        depth: &Depth,
        read: &Read,
        bytes: &[u8],
        sink: &mut S,
    ) {
        let Some(last) = source.last else { return };
        match self.line.venue.place(last, depth) {
            Place::Next => {
                self.apply(source, depth, read, sink);
            }
            Place::Old => source.counts.stale += 1,
            Place::Restart { found } => {
                sink.note(Some(source.id), Note::Restarted { found });
                source.seen = None;
                self.line.resync(source, self.now, "the venue began anew", sink);
            }
            Place::Gap { expected, found } => {
                source.counts.gaps += 1;
                sink.note(Some(source.id), Note::Gap { expected, found });
                let reason = format!("gap: expected {expected}, found {found}");
                self.line.resync(source, self.now, &reason, sink);
                self.keep(source, bytes);
            }
        }
    }

    /// Keeps an update until a snapshot has come. Where the snapshot comes in the stream, nothing
    /// before it is of use.
    fn keep(&mut self, source: &mut Source, bytes: &[u8]) {
        let is_given_up = source.request.is_none() && source.retry_at.is_none();
        if self.is_by_stream(source) || (source.state == FeedState::Down && is_given_up) {
            return;
        }
        let SessionOptions { kept_max, kept_bytes_max, .. } = self.line.options;
        source.kept_bytes += bytes.len();
        source.kept.push_back(Kept { receive_ns: self.now, bytes: bytes.into() });
        while source.kept.len() > kept_max || source.kept_bytes > kept_bytes_max {
            let Some(first) = source.kept.pop_front() else { return };
            source.kept_bytes -= first.bytes.len();
        }
    }

    fn is_by_stream(&self, source: &Source) -> bool {
        matches!(self.line.venue.snapshot(source.symbol()), SnapshotBy::Stream { .. })
    }

    /// A snapshot that was asked for.
    fn answered<S: Sink>(
        &mut self,
        source: &mut Source,
        depth: &Depth,
        read: &mut Read,
        sink: &mut S,
    ) {
        if source.is_synced() {
            return;
        }
        if let Some(first) = self.not_reached(source, depth.last) {
            sink.note(Some(source.id), Note::SnapshotTooOld { snapshot: depth.last, first });
            self.line.retry_later(source, self.now);
            let reason = format!("snapshot {} does not reach {first}", depth.last);
            return turn(source, source.state, &reason, sink);
        }
        if !self.load(source, depth, read, sink) {
            return;
        }
        source.first_applied = None;
        let kept = std::mem::take(&mut source.kept);
        source.kept_bytes = 0;
        let now = self.now;
        for Kept { receive_ns, bytes } in kept {
            self.now = receive_ns;
            if !source.is_synced() {
                self.keep(source, &bytes);
            } else if self.line.venue.read(&bytes, read).is_ok() {
                for item in &read.items {
                    if let Item::Depth(depth) = item {
                        self.follow(source, depth, read, &bytes, sink);
                    }
                }
            }
        }
        self.now = now;
    }

    /// The first of what was kept, if a snapshot with this id leaves something out before it.
    fn not_reached(&self, source: &Source, snapshot: u64) -> Option<u64> {
        let last = Last { update: snapshot, is_snapshot: true };
        let mut read = Read::default();
        for kept in &source.kept {
            self.line.venue.read(&kept.bytes, &mut read).ok()?;
            for item in &read.items {
                let Item::Depth(depth) = item else { continue };
                match self.line.venue.place(last, depth) {
                    Place::Old => {}
                    Place::Gap { .. } => return Some(depth.first),
                    _ => return None,
                }
            }
        }
        source.seen.filter(|&seen| seen > snapshot)
    }

    fn stream_snapshot<S: Sink>(
        &mut self,
        source: &mut Source,
        depth: &Depth,
        read: &Read,
        sink: &mut S,
    ) {
        source.seen = Some(depth.last);
        self.load(source, depth, read, sink);
    }

    /// Makes a snapshot the book. False: it cannot be.
    fn load<S: Sink>(
        &mut self,
        source: &mut Source,
        depth: &Depth,
        read: &Read,
        sink: &mut S,
    ) -> bool {
        let mut book = Book::new(source.book.scales(), source.book.depth_max());
        self.changes.clear();
        if let Err(misfit) = self.set(&mut book, depth, read, &mut 0) {
            self.give_up(source, misfit, sink);
            return false;
        }
        if let Some((sent, computed)) = checksum(&book, depth) {
            sink.note(Some(source.id), Note::Checksum { sent, computed });
            source.counts.gaps += 1;
            self.line.resync(source, self.now, "the snapshot's checksum is wrong", sink);
            return false;
        }
        let levels_max = match self.line.venue.snapshot(source.symbol()) {
            SnapshotBy::Url { levels_max, .. } | SnapshotBy::Stream { levels_max, .. } => {
                levels_max
            }
        };
        for side in [Side::Buy, Side::Sell] {
            book.ends_at_snapshot(side, levels_max);
        }
        book.trim(self.changes);
        source.counts.checksums += u64::from(depth.checksum.is_some());
        source.counts.snapshots += 1;
        source.applied_since_snapshot = 0;
        source.retry_at = None;
        source.last = Some(Last { update: depth.last, is_snapshot: true });
        let widened = book.scales() != source.book.scales();
        source.book = book;
        if widened {
            self.line.define(source, sink);
        }
        self.tell_whole(source, depth, read, sink);
        turn(source, FeedState::Synced, "", sink);
        true
    }

    /// The whole book anew.
    fn tell_whole<S: Sink>(
        &mut self,
        source: &mut Source,
        depth: &Depth,
        read: &Read,
        sink: &mut S,
    ) {
        sink.change(FeedEvent::FeedBookReset(FeedBookReset { source: source.id }));
        for side in [Side::Buy, Side::Sell] {
            for (price, quantity) in source.book.levels(side) {
                let level = FeedLevelChanged { source: source.id, side, price, quantity };
                sink.change(FeedEvent::FeedLevelChanged(level));
            }
        }
        self.commit(source, depth, read, sink);
    }

    /// Sets both sides, at wider scales if that is what it takes.
    fn set(
        &mut self,
        book: &mut Book,
        depth: &Depth,
        read: &Read,
        absent: &mut u64,
    ) -> Result<(), Misfit> {
        let sides = [(Side::Buy, &depth.bids), (Side::Sell, &depth.asks)];
        for (side, range) in sides {
            *absent += book.set(side, read.levels(range), self.changes)?;
        }
        Ok(())
    }

    /// Puts an update into the book and commits it, if it is right. False: it was not.
    fn apply<S: Sink>(
        &mut self,
        source: &mut Source,
        depth: &Depth,
        read: &Read,
        sink: &mut S,
    ) -> bool {
        self.changes.clear();
        let was_crossed = self.line.options.refuses_crossed && source.book.crossed().is_some();
        let mut absent = 0;
        let mut widened = false;
        while let Err(misfit) = self.set(&mut source.book, depth, read, &mut absent) {
            source.book.undo(self.changes);
            self.changes.clear();
            absent = 0;
            if let Err(misfit) = widen(&mut source.book, misfit, depth, read) {
                self.give_up(source, misfit, sink);
                return false;
            }
            widened = true;
        }
        let crossed = source.book.crossed();
        let refused = match (checksum(&source.book, depth), crossed) {
            (Some((sent, computed)), _) => Some(Note::Checksum { sent, computed }),
            (None, Some((bid, ask))) => {
                sink.note(Some(source.id), Note::Crossed { bid, ask });
                let refuses = self.line.options.refuses_crossed && !was_crossed;
                refuses.then_some(Note::Crossed { bid, ask })
            }
            (None, None) => None,
        };
        if let Some(note) = refused {
            self.take_back(source, note, widened, sink);
            return false;
        }
        source.book.trim(self.changes);
        let last = Last { update: depth.last, is_snapshot: false };
        if source.last.is_some_and(|it| it.is_snapshot) {
            source.first_applied = Some((depth.first, depth.last));
        }
        source.last = Some(last);
        source.counts.applied += 1;
        source.applied_since_snapshot = source.applied_since_snapshot.saturating_add(1);
        if source.applied_since_snapshot == APPLIED_FOR_GOOD {
            source.attempts = 0;
        }
        source.counts.absent += absent;
        source.counts.crossed += u64::from(crossed.is_some());
        source.counts.checksums += u64::from(depth.checksum.is_some());
        match widened {
            true => {
                self.line.define(source, sink);
                self.tell_whole(source, depth, read, sink);
            }
            false => self.tell_changes(source, depth, read, sink),
        }
        self.check_known(source, sink);
        true
    }

    /// The update showed the book to be wrong, or made it so: back to what it was before.
    fn take_back<S: Sink>(
        &mut self,
        source: &mut Source,
        note: Note<'_>,
        widened: bool,
        sink: &mut S,
    ) {
        source.book.undo(self.changes);
        if widened {
            self.line.define(source, sink);
            self.tell_last(source, sink);
        }
        if let Note::Checksum { .. } = note {
            source.counts.gaps += 1;
            sink.note(Some(source.id), note);
        }
        self.line.resync(source, self.now, &note.to_string(), sink);
    }

    /// The book as it is, at the message it stood at.
    fn tell_last<S: Sink>(&mut self, source: &mut Source, sink: &mut S) {
        let Some(committed) = source.committed else { return };
        sink.change(FeedEvent::FeedBookReset(FeedBookReset { source: source.id }));
        for side in [Side::Buy, Side::Sell] {
            for (price, quantity) in source.book.levels(side) {
                let level = FeedLevelChanged { source: source.id, side, price, quantity };
                sink.change(FeedEvent::FeedLevelChanged(level));
            }
        }
        sink.change(FeedEvent::FeedBookCommitted(committed));
    }

    #[inline]
    fn tell_changes<S: Sink>(
        &mut self,
        source: &mut Source,
        depth: &Depth,
        read: &Read,
        sink: &mut S,
    ) {
        for change in self.changes.iter() {
            let Change { side, price, after: quantity, .. } = *change;
            let level = FeedLevelChanged { source: source.id, side, price, quantity };
            sink.change(FeedEvent::FeedLevelChanged(level));
        }
        self.commit(source, depth, read, sink);
    }

    fn commit<S: Sink>(&mut self, source: &mut Source, depth: &Depth, read: &Read, sink: &mut S) {
        let committed = FeedBookCommitted {
            source: source.id,
            update: depth.last,
            event_ns: depth.event_ms.saturating_mul(1_000_000),
            receive_ns: self.now,
        };
        source.committed = Some(committed);
        sink.applied(source, depth, read);
        sink.change(FeedEvent::FeedBookCommitted(committed));
    }

    /// Too little is known for sure: a new snapshot.
    fn check_known<S: Sink>(&mut self, source: &mut Source, sink: &mut S) {
        let least = self.line.options.known_levels_min;
        if least == 0 {
            return;
        }
        let known = [Side::Buy, Side::Sell].map(|side| source.book.known_levels(side));
        if known.into_iter().flatten().any(|levels| levels < least) {
            self.line.resync(source, self.now, "the snapshot is used up", sink);
        }
    }

    /// The symbol's numbers do not fit a book.
    fn give_up<S: Sink>(&mut self, source: &mut Source, misfit: Misfit, sink: &mut S) {
        source.last = None;
        source.counts.refused += 1;
        source.forget_kept();
        let reason = misfit.to_string();
        sink.note(Some(source.id), Note::Unreadable { reason: &reason });
        turn(source, FeedState::Down, &reason, sink);
    }
}

/// Scales that all numbers of a message fit in.
fn widen(book: &mut Book, misfit: Misfit, depth: &Depth, read: &Read) -> Result<(), Misfit> {
    let Misfit::Wider(_) = misfit else { return Err(misfit) };
    let mut wanted = book.scales();
    for level in [&depth.bids, &depth.asks].into_iter().flat_map(|range| read.levels(range)) {
        wanted.price = wanted.price.max(needed(level.price.at_scale(wanted.price))?);
        wanted.quantity = wanted.quantity.max(needed(level.quantity.at_scale(wanted.quantity))?);
    }
    book.widen(wanted)
}

fn needed(count: Result<u128, Misfit>) -> Result<u8, Misfit> {
    match count {
        Ok(_) => Ok(0),
        Err(Misfit::Wider(places)) => Ok(places),
        Err(misfit) => Err(misfit),
    }
}

/// The checksum that was sent and the one of the book, when they differ.
fn checksum(book: &Book, depth: &Depth) -> Option<(i32, i32)> {
    let sent = depth.checksum?;
    let computed = book.checksum(CHECKSUM_LEVELS);
    (sent != computed).then_some((sent, computed))
}

/// Nanoseconds from the venue's clock to ours.
fn lag(now: u64, event_ms: u64) -> Option<i64> {
    if event_ms == 0 {
        return None;
    }
    let event = i128::from(event_ms) * 1_000_000;
    i64::try_from(i128::from(now) - event).ok()
}

/// Changes the state, and says so when something is other than before.
fn turn<S: Sink>(source: &mut Source, state: FeedState, reason: impl Display, sink: &mut S) {
    let reason = short(&reason.to_string());
    if (source.state, source.reason) == (state, reason) {
        return;
    }
    source.state = state;
    source.reason = reason;
    sink.change(FeedEvent::FeedStatusChanged(source.status()));
}

/// The beginning of a text, as much as a record has room for.
fn short(text: &str) -> FeedReason {
    let mut end = text.len().min(64);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    FeedReason::new(text.get(..end).unwrap_or("")).unwrap_or_default()
}
