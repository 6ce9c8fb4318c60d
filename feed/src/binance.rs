//! Binance: spot (Binance.US and our own exchange too) and USD-M futures.
//!
//! The rules that real recordings obey:
//!
//! | | an update is old | the first after snapshot L | the next ones |
//! |---|---|---|---|
//! | spot | `u` ≤ L | `U` ≤ L + 1 ≤ `u` | `U` = previous `u` + 1 |
//! | USD-M | `u` < L | `U` ≤ L ≤ `u`, or `pu` ≤ L | `pu` = previous `u` |
//!
//! The documents' "L within [`U`; `u`]" for spot refuses good ones. An update of USD-M covers all
//! that came after `pu`, so one with `pu` ≤ L ≤ `u` misses nothing even where `U` > L.

use crate::adapter::{
    Depth, Item, KeepAlive, Last, Limits, Place, Read, ReadError, ReadQuote, ReadTrade, SnapshotBy,
    Symbol, Venue,
};
use crate::decimal::Decimal;
use crate::scan::Scan;
use protocol::Side;
use std::borrow::Cow;
use std::ops::Range;

type Result<T> = std::result::Result<T, ReadError>;

const SECOND_NS: u64 = 1_000_000_000;
/// Ten minutes before the venue ends it.
const CONNECTION_AGE_NS: u64 = (24 * 3600 - 600) * SECOND_NS;
/// A URL with the streams of so many symbols stays below 8 KB.
const SYMBOLS_PER_CONNECTION: usize = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Market {
    Spot,
    UsdM,
}

/// One market of Binance, or of who speaks like it.
#[derive(Debug, Clone)]
pub struct Binance {
    market: Market,
    /// `wss://…`, without path.
    ws_url: String,
    /// `https://…`, without path.
    rest_url: String,
    snapshot_levels: u32,
}

impl Binance {
    pub fn spot() -> Binance {
        Binance {
            market: Market::Spot,
            ws_url: "wss://stream.binance.com:9443".into(),
            rest_url: "https://api.binance.com".into(),
            snapshot_levels: 5_000,
        }
    }

    pub fn usdm() -> Binance {
        Binance {
            market: Market::UsdM,
            ws_url: "wss://fstream.binance.com".into(),
            rest_url: "https://fapi.binance.com".into(),
            snapshot_levels: 1_000,
        }
    }

    /// Other addresses: another host, a test network, our own exchange.
    #[must_use]
    pub fn at(mut self, ws_url: Option<&str>, rest_url: Option<&str>) -> Binance {
        let set = |own: &mut String, other: Option<&str>| {
            if let Some(other) = other {
                *own = other.trim_end_matches('/').to_owned();
            }
        };
        set(&mut self.ws_url, ws_url);
        set(&mut self.rest_url, rest_url);
        self
    }

    /// Levels a side that a snapshot is asked for: 5, 10, 20, 50, 100, 500, 1000, and at spot 5000.
    #[must_use]
    pub fn with_snapshot_levels(mut self, levels: u32) -> Binance {
        self.snapshot_levels = levels;
        self
    }

    fn snapshot_weight(&self) -> u32 {
        match (self.market, self.snapshot_levels) {
            (Market::Spot, ..=100) => 5,
            (Market::Spot, ..=500) => 25,
            (Market::Spot, ..=1_000) => 50,
            (Market::Spot, _) => 250,
            (Market::UsdM, ..=50) => 2,
            (Market::UsdM, ..=100) => 5,
            (Market::UsdM, ..=500) => 10,
            (Market::UsdM, _) => 20,
        }
    }
}

impl Venue for Binance {
    fn name(&self) -> &'static str {
        "binance"
    }

    fn market(&self) -> &'static str {
        match self.market {
            Market::Spot => "spot",
            Market::UsdM => "usdm",
        }
    }

    fn limits(&self) -> Limits {
        let (weight, texts_per_second) = match self.market {
            Market::Spot => (6_000, 5),
            Market::UsdM => (2_400, 10),
        };
        Limits {
            symbols_per_connection: SYMBOLS_PER_CONNECTION,
            connection_age_ns: CONNECTION_AGE_NS,
            weight,
            weight_window_ns: 60 * SECOND_NS,
            texts_per_second,
        }
    }

    fn connect_url(&self, symbols: &[String]) -> String {
        let streams = ["@depth@100ms", "@aggTrade", "@bookTicker"];
        let of = |symbol: &String| streams.map(|stream| symbol.to_lowercase() + stream).join("/");
        let all: Vec<String> = symbols.iter().map(of).collect();
        format!("{}/stream?streams={}", self.ws_url, all.join("/"))
    }

    fn subscribe(&self, _symbols: &[String]) -> Vec<String> {
        Vec::new()
    }

    fn snapshot(&self, symbol: &str) -> SnapshotBy {
        let path = match self.market {
            Market::Spot => "/api/v3/depth",
            Market::UsdM => "/fapi/v1/depth",
        };
        let Binance { rest_url, snapshot_levels, .. } = self;
        SnapshotBy::Url {
            url: format!("{rest_url}{path}?symbol={symbol}&limit={snapshot_levels}"),
            weight: self.snapshot_weight(),
            levels_max: *snapshot_levels as usize,
        }
    }

    fn keep_alive(&self) -> KeepAlive {
        KeepAlive::Frame
    }

    fn read(&self, bytes: &[u8], read: &mut Read) -> Result<()> {
        read.clear();
        let mut scan = Scan::new(bytes);
        let mut fields = Fields::default();
        match scan.peek() {
            Some(b'[') => scan.skip()?,
            _ => fields.enveloped(&mut scan, read)?,
        }
        scan.end()?;
        if let Some(item) = fields.item().map_err(|what| scan.error(what))? {
            read.items.push(item);
        }
        Ok(())
    }

    fn read_snapshot(&self, bytes: &[u8], read: &mut Read) -> Result<()> {
        read.clear();
        let mut scan = Scan::new(bytes);
        let mut fields = Fields::default();
        fields.scan(&mut scan, read)?;
        scan.end()?;
        let snapshot = fields.snapshot().map_err(|what| scan.error(what))?;
        read.items.push(Item::Depth(snapshot));
        Ok(())
    }

    fn place(&self, last: Last, depth: &Depth) -> Place {
        match self.market {
            Market::Spot => place_spot(last, depth),
            Market::UsdM => place_usdm(last, depth),
        }
    }
}

fn place_spot(last: Last, depth: &Depth) -> Place {
    let expected = last.update.saturating_add(1);
    let follows = match last.is_snapshot {
        true => depth.first <= expected,
        false => depth.first == expected,
    };
    match follows {
        _ if depth.last <= last.update => Place::Old,
        true => Place::Next,
        false => Place::Gap { expected, found: depth.first },
    }
}

fn place_usdm(last: Last, depth: &Depth) -> Place {
    let previous = depth.previous;
    if last.is_snapshot {
        let reaches_back = previous.unwrap_or(depth.first) <= last.update;
        return match reaches_back || depth.first <= last.update {
            _ if depth.last < last.update => Place::Old,
            true => Place::Next,
            false => {
                let found = previous.unwrap_or(depth.first);
                Place::Gap { expected: last.update, found }
            }
        };
    }
    match previous {
        _ if depth.last <= last.update => Place::Old,
        Some(previous) if previous == last.update => Place::Next,
        _ => Place::Gap { expected: last.update, found: previous.unwrap_or(depth.first) },
    }
}

/// What a message may have, by the venue's letters.
#[derive(Default)]
struct Fields<'a> {
    stream: Option<Cow<'a, [u8]>>,
    event: Option<Cow<'a, [u8]>>,
    symbol: Option<Cow<'a, [u8]>>,
    event_ms: Option<u64>,
    first: Option<u64>,
    last: Option<u64>,
    previous: Option<u64>,
    snapshot: Option<u64>,
    /// Levels of an update, and of a snapshot.
    changed: (Option<Range<usize>>, Option<Range<usize>>),
    whole: (Option<Range<usize>>, Option<Range<usize>>),
    bid: (Option<Decimal>, Option<Decimal>),
    ask: (Option<Decimal>, Option<Decimal>),
    trade: Option<u64>,
    aggregate: Option<u64>,
    price: Option<Decimal>,
    quantity: Option<Decimal>,
    buyer_is_maker: Option<bool>,
    message: Option<Cow<'a, [u8]>>,
    is_answer: bool,
}

impl<'a> Fields<'a> {
    /// A message, with `{"stream":…,"data":{…}}` around it or without.
    fn enveloped(&mut self, scan: &mut Scan<'a>, read: &mut Read) -> Result<()> {
        let mut is_inside = false;
        scan.object(|name, scan| match (name, scan.peek()) {
            (b"data", Some(b'{')) => {
                is_inside = true;
                *self = Fields { stream: self.stream.take(), ..Fields::default() };
                self.scan(scan, read)
            }
            (b"stream", _) => self.field(name, scan, read),
            _ if is_inside => scan.skip(),
            _ => self.field(name, scan, read),
        })
    }

    fn scan(&mut self, scan: &mut Scan<'a>, read: &mut Read) -> Result<()> {
        scan.object(|name, scan| self.field(name, scan, read))
    }

    #[inline]
    fn field(&mut self, name: &[u8], scan: &mut Scan<'a>, read: &mut Read) -> Result<()> {
        match name {
            [letter] => self.letter(*letter, scan, read),
            _ => self.word(name, scan, read),
        }
    }

    fn letter(&mut self, letter: u8, scan: &mut Scan<'a>, read: &mut Read) -> Result<()> {
        match letter {
            b'e' => self.event = scan.maybe(Scan::text)?,
            b'E' => self.event_ms = scan.maybe(Scan::whole)?,
            b's' => self.symbol = scan.maybe(Scan::text)?,
            b'U' => self.first = scan.maybe(Scan::whole)?,
            b'u' => self.last = scan.maybe(Scan::whole)?,
            b'b' => match scan.peek() {
                Some(b'[') => self.changed.0 = Some(scan.levels(&mut read.levels)?),
                _ => (self.changed.0, self.bid.0) = (None, scan.maybe(Scan::decimal)?),
            },
            // An id where the message is a trade.
            b'a' => match scan.peek() {
                Some(b'[') => self.changed.1 = Some(scan.levels(&mut read.levels)?),
                Some(b'"') => (self.changed.1, self.ask.0) = (None, scan.maybe(Scan::decimal)?),
                _ => (self.changed.1, self.aggregate) = (None, scan.maybe(Scan::whole)?),
            },
            b'B' => self.bid.1 = scan.maybe(Scan::decimal)?,
            b'A' => self.ask.1 = scan.maybe(Scan::decimal)?,
            b't' => self.trade = scan.maybe(Scan::whole)?,
            b'p' => self.price = scan.maybe(Scan::decimal)?,
            b'q' => self.quantity = scan.maybe(Scan::decimal)?,
            b'm' => self.buyer_is_maker = scan.maybe(Scan::truth)?,
            _ => scan.skip()?,
        }
        Ok(())
    }

    fn word(&mut self, name: &[u8], scan: &mut Scan<'a>, read: &mut Read) -> Result<()> {
        let levels = &mut read.levels;
        match name {
            b"pu" => self.previous = scan.maybe(Scan::whole)?,
            b"bids" => self.whole.0 = scan.maybe(|scan| scan.levels(levels))?,
            b"asks" => self.whole.1 = scan.maybe(|scan| scan.levels(levels))?,
            b"lastUpdateId" => self.snapshot = scan.maybe(Scan::whole)?,
            b"stream" => self.stream = scan.maybe(Scan::text)?,
            b"msg" => self.message = scan.maybe(Scan::text)?,
            b"error" if scan.peek() == Some(b'{') => {
                let mut error = Fields::default();
                error.scan(scan, read)?;
                self.message = error.message;
            }
            b"result" => (self.is_answer, ()) = (true, scan.skip()?),
            _ => scan.skip()?,
        }
        Ok(())
    }

    fn item(&mut self) -> std::result::Result<Option<Item>, &'static str> {
        if let Some(message) = &self.message {
            return Ok(Some(Item::Refused { reason: String::from_utf8_lossy(message).into() }));
        }
        match self.event.as_deref() {
            Some(b"depthUpdate") => self.update().map(|it| Some(Item::Depth(it))),
            Some(b"trade") => self.taken(self.trade).map(|it| Some(Item::Trade(it))),
            Some(b"aggTrade") => self.taken(self.aggregate).map(|it| Some(Item::Trade(it))),
            Some(b"bookTicker") => self.quote().map(|it| Some(Item::Quote(it))),
            Some(b"serverShutdown") => {
                Ok(Some(Item::Refused { reason: "the venue shuts its server down".into() }))
            }
            None if self.is_quote() => self.quote().map(|it| Some(Item::Quote(it))),
            None if self.is_answer => Ok(Some(Item::Answered)),
            _ => match self.symbol.is_some() || self.stream.is_some() {
                true => self.other().map(Some),
                false => Ok(None),
            },
        }
    }

    /// At spot a book ticker does not say what it is.
    fn is_quote(&self) -> bool {
        self.last.is_some() && self.bid.0.is_some() && self.ask.0.is_some()
    }

    /// What belongs to a symbol and is of no interest to its book.
    fn other(&self) -> std::result::Result<Item, &'static str> {
        if self.symbol.is_some() {
            return Ok(Item::Other { symbol: self.symbol()? });
        }
        let stream = self.stream.as_deref().unwrap_or(&[]);
        let name = stream.split(|&byte| byte == b'@').next().unwrap_or(&[]);
        let symbol = text_of(name)?.to_uppercase();
        Ok(Item::Other { symbol: Symbol::new(&symbol).map_err(|_| "too long a symbol")? })
    }

    fn symbol(&self) -> std::result::Result<Symbol, &'static str> {
        let symbol = self.symbol.as_deref().ok_or("no symbol")?;
        Symbol::new(text_of(symbol)?).map_err(|_| "too long a symbol")
    }

    fn update(&mut self) -> std::result::Result<Depth, &'static str> {
        let (first, last) = (self.first.ok_or("no U")?, self.last.ok_or("no u")?);
        if first > last {
            return Err("U above u");
        }
        Ok(Depth {
            symbol: self.symbol()?,
            is_snapshot: false,
            first,
            last,
            previous: self.previous,
            event_ms: self.event_ms.unwrap_or(0),
            checksum: None,
            bids: self.changed.0.take().ok_or("no bids")?,
            asks: self.changed.1.take().ok_or("no asks")?,
        })
    }

    fn snapshot(&mut self) -> std::result::Result<Depth, &'static str> {
        let last = self.snapshot.ok_or("no lastUpdateId")?;
        Ok(Depth {
            symbol: Symbol::EMPTY,
            is_snapshot: true,
            first: last,
            last,
            previous: None,
            event_ms: self.event_ms.unwrap_or(0),
            checksum: None,
            bids: self.whole.0.take().ok_or("no bids")?,
            asks: self.whole.1.take().ok_or("no asks")?,
        })
    }

    fn taken(&self, id: Option<u64>) -> std::result::Result<ReadTrade, &'static str> {
        let taker = match self.buyer_is_maker.ok_or("no m")? {
            true => Side::Sell,
            false => Side::Buy,
        };
        Ok(ReadTrade {
            symbol: self.symbol()?,
            id: id.ok_or("no trade id")?,
            price: self.price.ok_or("no price")?,
            quantity: self.quantity.ok_or("no quantity")?,
            taker,
            event_ms: self.event_ms.unwrap_or(0),
        })
    }

    fn quote(&self) -> std::result::Result<ReadQuote, &'static str> {
        let pair = |(price, quantity): (Option<_>, Option<_>)| {
            Ok::<_, &'static str>((price.ok_or("no price")?, quantity.ok_or("no quantity")?))
        };
        Ok(ReadQuote {
            symbol: self.symbol()?,
            update: self.last.ok_or("no u")?,
            bid: pair(self.bid)?,
            ask: pair(self.ask)?,
        })
    }
}

fn text_of(bytes: &[u8]) -> std::result::Result<&str, &'static str> {
    std::str::from_utf8(bytes).map_err(|_| "not UTF-8")
}
