//! Bitget: protocol v1 (recordings of 2022), v2, and v3 of the unified account.
//!
//! Channel `books` sends a snapshot and then updates; `books1`, `books5`, `books15` send snapshots
//! alone. In v2 and v3 an update says which one it follows: `pseq` = last `seq`; `pseq` 0 begins
//! anew. Where there is no `pseq`, `seq` must rise. The checksum was removed in May 2026: it is
//! verified where it is there and not 0, and then it is all that v1 has.

use crate::adapter::{
    Depth, Item, KeepAlive, Last, Limits, Place, Read, ReadError, ReadTrade, SnapshotBy, Symbol,
    Venue,
};
use crate::decimal::Decimal;
use crate::scan::Scan;
use protocol::Side;
use std::borrow::Cow;
use std::ops::Range;

type Result<T> = std::result::Result<T, ReadError>;

const SECOND_NS: u64 = 1_000_000_000;
const CONNECTION_AGE_NS: u64 = (24 * 3600 - 600) * SECOND_NS;
/// The venue advises less than 50 channels; there are two for each symbol.
const SYMBOLS_PER_CONNECTION: usize = 24;
/// Levels a side of a snapshot of `books`.
const SNAPSHOT_LEVELS_MAX: usize = 400;
/// Things that one message may say.
const ITEMS_MAX: usize = 10_000;
/// The venue ends a connection that has not sent this for two minutes.
const PING: KeepAlive = KeepAlive::Text { text: "ping", every_ns: 25 * SECOND_NS };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V2,
    V3,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    Spot,
    UsdtFutures,
    CoinFutures,
    UsdcFutures,
}

/// How deep a book is subscribed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    Books,
    Books1,
    Books5,
    Books15,
}

impl Channel {
    fn name(self) -> &'static str {
        match self {
            Channel::Books => "books",
            Channel::Books1 => "books1",
            Channel::Books5 => "books5",
            Channel::Books15 => "books15",
        }
    }
}

/// One product line of Bitget.
#[derive(Debug, Clone)]
pub struct Bitget {
    version: Version,
    product: Product,
    channel: Channel,
    ws_url: String,
}

impl Bitget {
    pub fn new(version: Version, product: Product, channel: Channel) -> Bitget {
        let path = match version {
            Version::V2 => "v2",
            Version::V3 => "v3",
        };
        let ws_url = format!("wss://ws.bitget.com/{path}/ws/public");
        Bitget { version, product, channel, ws_url }
    }

    /// Another address, with its path.
    #[must_use]
    pub fn at(mut self, ws_url: Option<&str>) -> Bitget {
        if let Some(ws_url) = ws_url {
            self.ws_url = ws_url.to_owned();
        }
        self
    }

    fn argument(&self, channel: &str, symbol: &str) -> String {
        let product = match self.product {
            Product::Spot => "spot",
            Product::UsdtFutures => "usdt-futures",
            Product::CoinFutures => "coin-futures",
            Product::UsdcFutures => "usdc-futures",
        };
        let symbol = serde_json::Value::from(symbol);
        match self.version {
            Version::V2 => {
                let product = product.to_uppercase();
                format!(r#"{{"instType":"{product}","channel":"{channel}","instId":{symbol}}}"#)
            }
            Version::V3 => {
                format!(r#"{{"instType":"{product}","topic":"{channel}","symbol":{symbol}}}"#)
            }
        }
    }
}

fn operation(name: &str, arguments: &[String]) -> String {
    format!(r#"{{"op":"{name}","args":[{}]}}"#, arguments.join(","))
}

impl Venue for Bitget {
    fn name(&self) -> &'static str {
        "bitget"
    }

    fn market(&self) -> &'static str {
        match self.product {
            Product::Spot => "spot",
            _ => "mix",
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            symbols_per_connection: SYMBOLS_PER_CONNECTION,
            connection_age_ns: CONNECTION_AGE_NS,
            // Snapshots come in the stream.
            weight: 600,
            weight_window_ns: 60 * SECOND_NS,
            texts_per_second: 10,
        }
    }

    fn connect_url(&self, _symbols: &[String]) -> String {
        self.ws_url.clone()
    }

    /// At most 20 arguments each: a text may have 4,096 bytes.
    fn subscribe(&self, symbols: &[String]) -> Vec<String> {
        let trades = match self.version {
            Version::V2 => "trade",
            Version::V3 => "publicTrade",
        };
        let channels = [self.channel.name(), trades];
        let arguments =
            symbols.iter().flat_map(|symbol| channels.map(|it| self.argument(it, symbol)));
        let arguments: Vec<String> = arguments.collect();
        arguments.chunks(20).map(|some| operation("subscribe", some)).collect()
    }

    fn snapshot(&self, symbol: &str) -> SnapshotBy {
        let argument = [self.argument(self.channel.name(), symbol)];
        SnapshotBy::Stream {
            texts: vec![operation("unsubscribe", &argument), operation("subscribe", &argument)],
            levels_max: match self.channel {
                Channel::Books => SNAPSHOT_LEVELS_MAX,
                Channel::Books1 => 1,
                Channel::Books5 => 5,
                Channel::Books15 => 15,
            },
        }
    }

    fn keep_alive(&self) -> KeepAlive {
        PING
    }

    fn read(&self, bytes: &[u8], read: &mut Read) -> Result<()> {
        read.clear();
        if bytes == b"pong" {
            read.items.push(Item::Answered);
            return Ok(());
        }
        let mut scan = Scan::new(bytes);
        let mut message = Message::default();
        message.scan(&mut scan, read)?;
        scan.end()?;
        message.finish(read).map_err(|what| scan.error(what))
    }

    fn read_snapshot(&self, bytes: &[u8], read: &mut Read) -> Result<()> {
        self.read(bytes, read)
    }

    fn place(&self, last: Last, depth: &Depth) -> Place {
        let found = depth.last;
        match depth.previous {
            // v1 counts nothing: whether an update follows, its checksum says.
            None if found == 0 => Place::Next,
            None if found > last.update => Place::Next,
            None => Place::Old,
            Some(0) => Place::Restart { found },
            Some(previous) if previous == last.update => Place::Next,
            Some(_) if found <= last.update => Place::Old,
            Some(previous) => Place::Gap { expected: last.update, found: previous },
        }
    }
}

/// What stands around the data.
#[derive(Default)]
struct Message<'a> {
    event: Option<Cow<'a, [u8]>>,
    action: Option<Cow<'a, [u8]>>,
    channel: Option<Cow<'a, [u8]>>,
    symbol: Option<Cow<'a, [u8]>>,
    text: Option<Cow<'a, [u8]>>,
    code: Option<u64>,
    sent_ms: Option<u64>,
    has_data: bool,
}

impl<'a> Message<'a> {
    fn scan(&mut self, scan: &mut Scan<'a>, read: &mut Read) -> Result<()> {
        scan.object(|name, scan| {
            match (name, scan.peek()) {
                (b"action", _) => self.action = scan.maybe(Scan::text)?,
                (b"event", _) => self.event = scan.maybe(Scan::text)?,
                (b"msg", _) => self.text = scan.maybe(Scan::text)?,
                (b"code", _) => self.code = scan.maybe(Scan::whole)?,
                (b"ts", _) => self.sent_ms = scan.maybe(Scan::whole)?,
                (b"arg", Some(b'{')) => self.argument(scan)?,
                (b"data", Some(b'[')) => {
                    self.has_data = true;
                    read.clear();
                    scan.array(|scan| entry(scan, read))?;
                }
                _ => scan.skip()?,
            }
            Ok(())
        })
    }

    fn argument(&mut self, scan: &mut Scan<'a>) -> Result<()> {
        scan.object(|name, scan| {
            match name {
                b"channel" | b"topic" => self.channel = scan.maybe(Scan::text)?,
                b"instId" | b"symbol" => self.symbol = scan.maybe(Scan::text)?,
                _ => scan.skip()?,
            }
            Ok(())
        })
    }

    /// Gives the items what stands around them.
    fn finish(self, read: &mut Read) -> std::result::Result<(), &'static str> {
        if !self.has_data {
            read.clear();
            let is_refused = self.event.as_deref() == Some(b"error");
            let text = self.text.as_deref().unwrap_or(b"");
            let reason = || format!("{} {}", self.code.unwrap_or(0), String::from_utf8_lossy(text));
            read.items.extend(match (is_refused, &self.event) {
                (true, _) => Some(Item::Refused { reason: reason() }),
                (false, Some(_)) => Some(Item::Answered),
                (false, None) => None,
            });
            return Ok(());
        }
        let symbol = self.symbol.as_deref().ok_or("no symbol")?;
        let symbol = std::str::from_utf8(symbol).map_err(|_| "not UTF-8")?;
        let symbol = Symbol::new(symbol).map_err(|_| "too long a symbol")?;
        let is_snapshot = match self.action.as_deref() {
            Some(b"snapshot") => true,
            Some(b"update") => false,
            _ => return Err("no action"),
        };
        match self.channel.as_deref() {
            Some(channel) if channel.starts_with(b"books") => self.books(symbol, is_snapshot, read),
            Some(b"trade" | b"publicTrade") => {
                // The first message of the channel tells trades of the past.
                read.items.retain(|item| matches!(item, Item::Trade(_)) && !is_snapshot);
                for item in &mut read.items {
                    if let Item::Trade(trade) = item {
                        trade.symbol = symbol;
                    }
                }
                if read.items.is_empty() {
                    read.items.push(Item::Other { symbol });
                }
                Ok(())
            }
            _ => {
                read.clear();
                read.items.push(Item::Other { symbol });
                Ok(())
            }
        }
    }

    fn books(
        &self,
        symbol: Symbol,
        is_snapshot: bool,
        read: &mut Read,
    ) -> std::result::Result<(), &'static str> {
        for item in &mut read.items {
            let Item::Depth(depth) = item else { return Err("no book") };
            depth.symbol = symbol;
            depth.is_snapshot = is_snapshot;
            if depth.event_ms == 0 {
                depth.event_ms = self.sent_ms.unwrap_or(0);
            }
        }
        Ok(())
    }
}

/// One place of `data`: what it is, its own fields say.
fn entry(scan: &mut Scan<'_>, read: &mut Read) -> Result<()> {
    if read.items.len() >= ITEMS_MAX {
        return Err(scan.error("too many entries"));
    }
    let item = match scan.peek() {
        Some(b'[') => row(scan)?,
        Some(b'{') => Entry::default().scan(scan, &mut read.levels)?,
        _ => {
            scan.skip()?;
            None
        }
    };
    // A place of no use keeps the others from being taken for a book.
    read.items.push(item.unwrap_or(Item::Answered));
    Ok(())
}

/// A trade of v1: `[time, price, quantity, side]`. A candle has more.
fn row(scan: &mut Scan<'_>) -> Result<Option<Item>> {
    let mut at = 0;
    let (mut event_ms, mut price, mut quantity, mut taker) = (None, None, None, None);
    scan.array(|scan| {
        at += 1;
        match at {
            1 => event_ms = scan.maybe(Scan::whole)?,
            2 => price = scan.maybe(Scan::decimal)?,
            3 => quantity = scan.maybe(Scan::decimal)?,
            4 => taker = scan.maybe(Scan::text)?.and_then(|it| side(&it)),
            _ => scan.skip()?,
        }
        Ok(())
    })?;
    Ok(trade(0, event_ms, price, quantity, taker))
}

fn side(text: &[u8]) -> Option<Side> {
    match text {
        b"buy" => Some(Side::Buy),
        b"sell" => Some(Side::Sell),
        _ => None,
    }
}

fn trade(
    id: u64,
    event_ms: Option<u64>,
    price: Option<Decimal>,
    quantity: Option<Decimal>,
    taker: Option<Side>,
) -> Option<Item> {
    Some(Item::Trade(ReadTrade {
        symbol: Symbol::EMPTY,
        id,
        price: price?,
        quantity: quantity?,
        taker: taker?,
        event_ms: event_ms.unwrap_or(0),
    }))
}

/// The fields of a book or of a trade; v2 spells them out, v3 has letters.
#[derive(Default)]
struct Entry {
    bids: Option<Range<usize>>,
    asks: Option<Range<usize>>,
    checksum: Option<i64>,
    sequence: Option<u64>,
    previous: Option<u64>,
    event_ms: Option<u64>,
    id: Option<u64>,
    price: Option<Decimal>,
    quantity: Option<Decimal>,
    taker: Option<Side>,
}

impl Entry {
    fn scan(
        mut self,
        scan: &mut Scan<'_>,
        levels: &mut Vec<crate::adapter::ReadLevel>,
    ) -> Result<Option<Item>> {
        scan.object(|name, scan| {
            match name {
                b"bids" | b"b" => self.bids = scan.maybe(|scan| scan.levels(levels))?,
                b"asks" | b"a" => self.asks = scan.maybe(|scan| scan.levels(levels))?,
                b"checksum" => self.checksum = scan.maybe(Scan::signed)?,
                b"seq" => self.sequence = scan.maybe(Scan::whole)?,
                b"pseq" => self.previous = scan.maybe(Scan::whole)?,
                b"ts" | b"T" => self.event_ms = scan.maybe(Scan::whole)?,
                b"tradeId" | b"i" => self.id = scan.maybe(Scan::whole)?,
                b"price" | b"p" => self.price = scan.maybe(Scan::decimal)?,
                b"size" | b"v" => self.quantity = scan.maybe(Scan::decimal)?,
                b"side" | b"S" => {
                    self.taker = scan.maybe(Scan::text)?.and_then(|it| side(&it));
                }
                _ => scan.skip()?,
            }
            Ok(())
        })?;
        self.item().map_err(|what| scan.error(what))
    }

    fn item(self) -> std::result::Result<Option<Item>, &'static str> {
        let (bids, asks) = match (self.bids, self.asks) {
            (Some(bids), Some(asks)) => (bids, asks),
            (None, None) => {
                let Entry { event_ms, price, quantity, taker, .. } = self;
                return Ok(trade(self.id.unwrap_or(0), event_ms, price, quantity, taker));
            }
            _ => return Err("a book with one side"),
        };
        // Sent as signed, or as the same 32 bits without sign.
        let checksum = match self.checksum.unwrap_or(0) {
            0 => None,
            sent => Some(
                i32::try_from(sent)
                    .or_else(|_| u32::try_from(sent).map(u32::cast_signed))
                    .map_err(|_| "no checksum")?,
            ),
        };
        let sequence = self.sequence.unwrap_or(0);
        Ok(Some(Item::Depth(Depth {
            symbol: Symbol::EMPTY,
            is_snapshot: false,
            first: sequence,
            last: sequence,
            previous: self.previous,
            event_ms: self.event_ms.unwrap_or(0),
            checksum,
            bids,
            asks,
        })))
    }
}
