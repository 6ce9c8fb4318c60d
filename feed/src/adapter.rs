//! The border between a feed and the world: what comes in, what goes out, what a venue must know.
//!
//! A [`Session`](crate::session::Session) is one WebSocket connection with its symbols. It is a pure
//! state machine: whoever drives it owns sockets, clocks and chance. Each [`Input`] has the time at
//! which it came (nanoseconds since 1970, UTC); what follows from it goes into a [`Sink`].
//! A [`Venue`] is the dialect: its texts, its ids, its rule of what follows what. A third venue is
//! one more file that implements it.

use crate::book::Scales;
use crate::decimal::Decimal;
use crate::session::Source;
use protocol::Side;
use protocol::feed::FeedEvent;
use std::fmt;
use std::ops::Range;

/// What happened outside.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// The WebSocket is open.
    Opened,
    /// The WebSocket is gone, or could not be opened. The session answers with
    /// [`Order::Connect`]; how long to wait before is the driver's (back-off and jitter need chance).
    Closed { reason: &'a str },
    /// One text message, whole.
    Text(&'a [u8]),
    /// A ping or pong frame of the venue; the driver has answered a ping. Says that the line lives.
    Ping,
    /// The answer to the [`Order::Request`] with this id; `retry_after_s` is the header's.
    Response { id: u64, status: u16, retry_after_s: Option<u64>, body: &'a [u8] },
    /// The request brought no answer: refused connection, time-out.
    Failed { id: u64, reason: &'a str },
    /// Time passes. To be called at the latest at [`Session::wake_ns`](crate::session::Session::wake_ns).
    Tick,
}

/// What a session wants done outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// Open a WebSocket to this URL; answered by [`Input::Opened`] or [`Input::Closed`].
    Connect { url: String },
    /// Close the WebSocket: it is silent, or as old as it may become. Answered by [`Input::Closed`].
    Disconnect { reason: String },
    /// Send a text message. Dropped without a word when there is no connection.
    Send { text: String },
    /// Send a ping frame; the pong that comes back is [`Input::Ping`].
    Ping,
    /// GET this URL; answered by [`Input::Response`] or [`Input::Failed`] with the same id. `weight`
    /// is what it costs of the venue's limit; the driver holds that over all sessions.
    Request { id: u64, url: String, weight: u32 },
    /// A request whose answer is not wanted any more; an answer that comes does no harm.
    Forget { id: u64 },
}

/// Where outputs go, in order.
pub trait Sink {
    /// What subscribers of the feed see: the records of the feed log. A book is to be shown only at
    /// [`FeedEvent::FeedBookCommitted`].
    fn change(&mut self, change: FeedEvent);

    fn order(&mut self, order: Order);

    /// Something that a person should read: a gap with its ids, a refusal of the venue, garbage.
    fn note(&mut self, _source: Option<u32>, _note: Note<'_>) {}

    /// A book stands at `depth` now; called before its [`FeedEvent::FeedBookCommitted`]. For who
    /// wants the book itself and what the message said.
    fn applied(&mut self, _source: &Source, _depth: &Depth, _read: &Read) {}

    /// A trade of the venue.
    fn trade(&mut self, _trade: &Trade) {}

    /// A best bid and ask that the venue sent beside its depth.
    fn quote(&mut self, _quote: &Quote) {}
}

/// Both kinds of output kept, for tests and simple drivers.
#[derive(Debug, Default)]
pub struct Collected {
    pub changes: Vec<FeedEvent>,
    pub orders: Vec<Order>,
    /// As text.
    pub notes: Vec<String>,
}

impl Sink for Collected {
    fn change(&mut self, change: FeedEvent) {
        self.changes.push(change);
    }

    fn order(&mut self, order: Order) {
        self.orders.push(order);
    }

    fn note(&mut self, _source: Option<u32>, note: Note<'_>) {
        self.notes.push(note.to_string());
    }
}

/// What was noticed about a source, or about the whole connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note<'a> {
    /// The ids show that messages are missing: `expected` was to come, `found` came.
    Gap { expected: u64, found: u64 },
    /// The checksum shows it.
    Checksum { sent: i32, computed: i32 },
    /// An update came where its snapshot should have come before it.
    NoSnapshot { found: u64 },
    /// The venue began its sequence anew.
    Restarted { found: u64 },
    /// A snapshot that does not reach the messages that were kept: `first` is the first of them.
    SnapshotTooOld { snapshot: u64, first: u64 },
    /// An update that was already in: sent twice or out of order.
    Repeated { update: u64 },
    /// Bid at or above ask after a whole update.
    Crossed { bid: u64, ask: u64 },
    /// Bytes that make no sense.
    Unreadable { reason: &'a str },
    /// The venue refused a request, or said that it goes away.
    Refused { reason: &'a str },
}

impl fmt::Display for Note<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Note::Gap { expected, found } => write!(out, "gap: expected {expected}, found {found}"),
            Note::Checksum { sent, computed } => {
                write!(out, "gap: checksum sent {sent}, computed {computed}")
            }
            Note::NoSnapshot { found } => write!(out, "gap: no snapshot before {found}"),
            Note::Restarted { found } => write!(out, "the venue began anew at {found}"),
            Note::SnapshotTooOld { snapshot, first } => {
                write!(out, "snapshot {snapshot} does not reach the first kept update {first}")
            }
            Note::Repeated { update } => write!(out, "repeated update {update}"),
            Note::Crossed { bid, ask } => write!(out, "crossed book: bid {bid}, ask {ask}"),
            Note::Unreadable { reason } => write!(out, "unreadable: {reason}"),
            Note::Refused { reason } => write!(out, "refused: {reason}"),
        }
    }
}

/// A trade, in `scales`: those of its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trade {
    pub source: u32,
    pub scales: Scales,
    /// 0 where the venue sends none.
    pub id: u64,
    pub price: u64,
    pub quantity: u128,
    pub taker: Side,
    pub event_ns: u64,
    pub receive_ns: u64,
}

/// Best bid and ask as the venue sent them, in `scales`: those of their source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quote {
    pub source: u32,
    pub scales: Scales,
    /// 0 where the venue sends none.
    pub update: u64,
    /// Price and quantity.
    pub bid: (u64, u128),
    pub ask: (u64, u128),
    pub receive_ns: u64,
}

/// A venue's dialect for one of its markets: no state, no I/O.
pub trait Venue: fmt::Debug + Send + Sync {
    /// `binance`, `bitget`.
    fn name(&self) -> &'static str;

    /// `spot`, `usdm`, `mix`.
    fn market(&self) -> &'static str;

    fn limits(&self) -> Limits;

    /// Where the connection for these symbols goes; part of it may be the subscription.
    fn connect_url(&self, symbols: &[String]) -> String;

    /// Texts to be sent once the connection is open.
    fn subscribe(&self, symbols: &[String]) -> Vec<String>;

    /// How a new snapshot of one symbol is asked for.
    fn snapshot(&self, symbol: &str) -> SnapshotBy;

    /// What is sent on a silent line, so that it answers if it lives.
    fn keep_alive(&self) -> KeepAlive;

    /// Reads one message; `read` is emptied first. What is of no interest gives no item.
    fn read(&self, bytes: &[u8], read: &mut Read) -> Result<(), ReadError>;

    /// Reads the answer of the snapshot's URL: one [`Depth`] with [`Depth::is_snapshot`].
    fn read_snapshot(&self, bytes: &[u8], read: &mut Read) -> Result<(), ReadError>;

    /// Whether an update follows what the book has.
    fn place(&self, last: Last, depth: &Depth) -> Place;
}

/// How a snapshot comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotBy {
    /// By GET; updates are kept meanwhile. `weight` counts against the venue's limit; a side with
    /// `levels_max` levels may go on behind its end.
    Url { url: String, weight: u32, levels_max: usize },
    /// In the stream: the first one by itself, a new one after these texts.
    Stream { texts: Vec<String>, levels_max: usize },
}

/// How a client asks whether the line lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAlive {
    /// By a ping frame of the WebSocket.
    Frame,
    /// By a text, which the venue wants at least this often even on a busy line.
    Text { text: &'static str, every_ns: u64 },
}

/// What a venue allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub symbols_per_connection: usize,
    /// How old a connection may become: a little less than the venue's own bound.
    pub connection_age_ns: u64,
    /// Weight of requests that may be spent in `weight_window_ns`, over all connections.
    pub weight: u32,
    pub weight_window_ns: u64,
    /// Messages a client may send in a second.
    pub texts_per_second: u32,
}

/// Where a book stands in the venue's count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Last {
    /// Id of the last update that is in the book.
    pub update: u64,
    /// It is a snapshot's: the next update may reach back behind it.
    pub is_snapshot: bool,
}

/// What an update is to a book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It comes next.
    Next,
    /// All of it is in the book already.
    Old,
    /// Something before it is missing; `expected` is what was to come.
    Gap { expected: u64, found: u64 },
    /// The venue's count began anew.
    Restart { found: u64 },
}

/// What a message says. Reused from message to message, so that reading allocates nothing.
#[derive(Debug, Default)]
pub struct Read {
    pub items: Vec<Item>,
    /// Levels of all depth items, one after the other.
    pub levels: Vec<ReadLevel>,
}

impl Read {
    pub fn clear(&mut self) {
        self.items.clear();
        self.levels.clear();
    }

    /// The levels in this range; none when it is not one.
    pub fn levels(&self, range: &Range<usize>) -> &[ReadLevel] {
        self.levels.get(range.clone()).unwrap_or(&[])
    }
}

/// One level as the message has it. A quantity of zero removes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLevel {
    pub price: Decimal,
    pub quantity: Decimal,
}

/// One thing that a message says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    Depth(Depth),
    Trade(ReadTrade),
    Quote(ReadQuote),
    /// Something of this symbol that a book does not need: a candle, a ticker.
    Other {
        symbol: Symbol,
    },
    /// The venue's answer to a ping, or to a subscription.
    Answered,
    /// The venue refuses something, or says that it goes away.
    Refused {
        reason: String,
    },
}

/// An update or a snapshot of a book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depth {
    pub symbol: Symbol,
    pub is_snapshot: bool,
    /// Ids of the first and last change in it; 0 where the venue sends none.
    pub first: u64,
    pub last: u64,
    /// Id of the update before it, where the venue sends it.
    pub previous: Option<u64>,
    /// The venue's clock, milliseconds since 1970; 0 where it does not say.
    pub event_ms: u64,
    /// CRC32 over the best levels after it, where the venue sends one.
    pub checksum: Option<i32>,
    /// Ranges of [`Read::levels`].
    pub bids: Range<usize>,
    pub asks: Range<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadTrade {
    pub symbol: Symbol,
    /// 0 where the venue sends none.
    pub id: u64,
    pub price: Decimal,
    pub quantity: Decimal,
    pub taker: Side,
    pub event_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadQuote {
    pub symbol: Symbol,
    pub update: u64,
    pub bid: (Decimal, Decimal),
    pub ask: (Decimal, Decimal),
}

/// A venue's name of what is traded, as it stands in its messages (upper case at both venues).
pub type Symbol = protocol::feed::FeedSymbol;

/// A message that cannot be used, and why. The text is for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadError {
    pub what: &'static str,
    /// Offset in the message.
    pub at: usize,
}

impl fmt::Display for ReadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} at byte {}", self.what, self.at)
    }
}

impl std::error::Error for ReadError {}
