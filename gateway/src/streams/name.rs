//! Names of streams: `btcusdt@depth@100ms`, `!miniTicker@arr`.
//!
//! A name that is well formed is accepted whatever it says, as the venue does: a stream that does
//! not exist is silent. Answers and wrappers repeat the client's own text.

use std::fmt;
use std::sync::Arc;

use marketdata::Interval;
use protocol::{MILLISECOND_NS, MINUTE_NS};

/// Longer than any name with the longest symbol, and than the listen keys that old clients send.
const NAME_LENGTH_MAX: usize = 128;

/// How often a book is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Speed {
    /// Every 100 ms.
    Fast,
    /// Every second: what a name without a speed means.
    Slow,
}

impl Speed {
    pub const fn interval_ns(self) -> u64 {
        match self {
            Speed::Fast => 100 * MILLISECOND_NS,
            Speed::Slow => 1_000 * MILLISECOND_NS,
        }
    }

    fn parse(text: Option<&str>) -> Option<Speed> {
        match text {
            None | Some("1000ms") => Some(Speed::Slow),
            Some("100ms") => Some(Speed::Fast),
            Some(_) => None,
        }
    }

    const fn suffix(self) -> &'static str {
        match self {
            Speed::Fast => "@100ms",
            Speed::Slow => "",
        }
    }
}

/// Levels of one side that a partial book shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Levels {
    Five,
    Ten,
    Twenty,
}

impl Levels {
    pub const fn count(self) -> usize {
        match self {
            Levels::Five => 5,
            Levels::Ten => 10,
            Levels::Twenty => 20,
        }
    }

    fn parse(text: &str) -> Option<Levels> {
        match text {
            "5" => Some(Levels::Five),
            "10" => Some(Levels::Ten),
            "20" => Some(Levels::Twenty),
            _ => None,
        }
    }
}

/// The time zone in which a candle's period begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Zone {
    Utc,
    /// `@+08:00`, the only other one that the venue offers.
    Utc8,
}

impl Zone {
    pub const fn offset_minutes(self) -> i32 {
        match self {
            Zone::Utc => 0,
            Zone::Utc8 => 8 * 60,
        }
    }
}

/// Width of a rolling window ticker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Window {
    Hour1,
    Hours4,
    Day1,
}

impl Window {
    pub const fn as_str(self) -> &'static str {
        match self {
            Window::Hour1 => "1h",
            Window::Hours4 => "4h",
            Window::Day1 => "1d",
        }
    }

    /// What the field `e` says.
    pub const fn event_name(self) -> &'static str {
        match self {
            Window::Hour1 => "1hTicker",
            Window::Hours4 => "4hTicker",
            Window::Day1 => "1dTicker",
        }
    }

    pub const fn length_ns(self) -> u64 {
        match self {
            Window::Hour1 => 60 * MINUTE_NS,
            Window::Hours4 => 4 * 60 * MINUTE_NS,
            Window::Day1 => 24 * 60 * MINUTE_NS,
        }
    }

    fn parse(text: &str) -> Option<Window> {
        match text {
            "1h" => Some(Window::Hour1),
            "4h" => Some(Window::Hours4),
            "1d" => Some(Window::Day1),
            _ => None,
        }
    }
}

/// Which statistics a ticker stream shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TickerKind {
    /// 24 hours, six numbers.
    Mini,
    /// 24 hours, everything.
    Full,
    Rolling(Window),
}

impl TickerKind {
    pub const fn window(self) -> Window {
        match self {
            TickerKind::Mini | TickerKind::Full => Window::Day1,
            TickerKind::Rolling(window) => window,
        }
    }

    fn parse(text: &str) -> Option<TickerKind> {
        match text {
            "miniTicker" => Some(TickerKind::Mini),
            "ticker" => Some(TickerKind::Full),
            _ => Window::parse(text.strip_prefix("ticker_")?).map(TickerKind::Rolling),
        }
    }
}

impl fmt::Display for TickerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TickerKind::Mini => f.write_str("miniTicker"),
            TickerKind::Full => f.write_str("ticker"),
            TickerKind::Rolling(window) => write!(f, "ticker_{}", window.as_str()),
        }
    }
}

/// What a stream of one instrument tells. The order here is the order in which messages of one
/// moment are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    Trade,
    AggregateTrade,
    BookTicker,
    /// Changes of the book.
    Depth(Speed),
    /// The best levels.
    PartialDepth(Levels, Speed),
    Kline(Interval, Zone),
    Ticker(TickerKind),
    AveragePrice,
    ReferencePrice,
    /// *Ours*: what an auction would do, and what it did.
    Auction,
}

impl Topic {
    fn parse(text: &str) -> Option<Topic> {
        let (kind, option) = match text.split_once('@') {
            Some((kind, option)) => (kind, Some(option)),
            None => (text, None),
        };
        if let Some(levels) = kind.strip_prefix("depth") {
            let speed = Speed::parse(option)?;
            return match levels {
                "" => Some(Topic::Depth(speed)),
                _ => Some(Topic::PartialDepth(Levels::parse(levels)?, speed)),
            };
        }
        if let Some(interval) = kind.strip_prefix("kline_") {
            let zone = match option {
                None => Zone::Utc,
                Some("+08:00") => Zone::Utc8,
                Some(_) => return None,
            };
            return Some(Topic::Kline(Interval::parse(interval)?, zone));
        }
        match (kind, option) {
            ("trade", None) => Some(Topic::Trade),
            ("aggTrade", None) => Some(Topic::AggregateTrade),
            ("bookTicker", None) => Some(Topic::BookTicker),
            ("avgPrice", None) => Some(Topic::AveragePrice),
            ("referencePrice", None) => Some(Topic::ReferencePrice),
            ("auction", None) => Some(Topic::Auction),
            (_, None) => TickerKind::parse(kind).map(Topic::Ticker),
            _ => None,
        }
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Topic::Trade => f.write_str("trade"),
            Topic::AggregateTrade => f.write_str("aggTrade"),
            Topic::BookTicker => f.write_str("bookTicker"),
            Topic::Depth(speed) => write!(f, "depth{}", speed.suffix()),
            Topic::PartialDepth(levels, speed) => {
                write!(f, "depth{}{}", levels.count(), speed.suffix())
            }
            Topic::Kline(interval, Zone::Utc) => write!(f, "kline_{interval}"),
            Topic::Kline(interval, Zone::Utc8) => write!(f, "kline_{interval}@+08:00"),
            Topic::Ticker(kind) => write!(f, "{kind}"),
            Topic::AveragePrice => f.write_str("avgPrice"),
            Topic::ReferencePrice => f.write_str("referencePrice"),
            Topic::Auction => f.write_str("auction"),
        }
    }
}

/// What a stream of all instruments tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MarketTopic {
    /// `!bookTicker`, retired by the venue.
    BookTickers,
    /// `!miniTicker@arr`, `!ticker_1h@arr`, and `!ticker@arr`, which is retired too.
    Tickers(TickerKind),
}

impl MarketTopic {
    /// Without its exclamation mark. Some clients add a speed; there is one alone.
    fn parse(text: &str) -> Option<MarketTopic> {
        if text == "bookTicker" {
            return Some(MarketTopic::BookTickers);
        }
        let (kind, rest) = text.split_once('@')?;
        match rest {
            "arr" | "arr@1000ms" | "arr@3000ms" => {
                TickerKind::parse(kind).map(MarketTopic::Tickers)
            }
            _ => None,
        }
    }
}

impl fmt::Display for MarketTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MarketTopic::BookTickers => f.write_str("!bookTicker"),
            MarketTopic::Tickers(kind) => write!(f, "!{kind}@arr"),
        }
    }
}

/// What a stream over all venues that have a symbol tells. *Ours*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum VenueTopic {
    /// Order book imbalance, a message for each venue.
    Imbalance,
    /// One book over all venues.
    Consolidated,
}

impl VenueTopic {
    fn parse(text: &str) -> Option<VenueTopic> {
        match text {
            "obi" => Some(VenueTopic::Imbalance),
            "consolidated" => Some(VenueTopic::Consolidated),
            _ => None,
        }
    }
}

impl fmt::Display for VenueTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            VenueTopic::Imbalance => "obi",
            VenueTopic::Consolidated => "consolidated",
        })
    }
}

/// A stream that has messages.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Stream {
    Of {
        /// As in the name: in small letters.
        symbol: Box<str>,
        topic: Topic,
    },
    Market(MarketTopic),
    /// The symbol need not be one of ours.
    Venues {
        /// As in the name: in small letters.
        symbol: Box<str>,
        topic: VenueTopic,
    },
}

impl Stream {
    fn parse(text: &str) -> Option<Stream> {
        if let Some(market) = text.strip_prefix('!') {
            return MarketTopic::parse(market).map(Stream::Market);
        }
        let (symbol, topic) = text.split_once('@')?;
        let symbol = symbol.into();
        if let Some(topic) = VenueTopic::parse(topic) {
            return Some(Stream::Venues { symbol, topic });
        }
        Some(Stream::Of { symbol, topic: Topic::parse(topic)? })
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stream::Of { symbol, topic } => write!(f, "{symbol}@{topic}"),
            Stream::Market(topic) => write!(f, "{topic}"),
            Stream::Venues { symbol, topic } => write!(f, "{symbol}@{topic}"),
        }
    }
}

/// A well-formed name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// As the client wrote it.
    pub text: Arc<str>,
    /// None: nothing is ever sent under this name.
    pub stream: Option<Stream>,
}

/// The text cannot be a stream's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl Name {
    pub fn parse(text: &str) -> Result<Name, Malformed> {
        if !is_well_formed(text) {
            return Err(Malformed);
        }
        Ok(Name { text: text.into(), stream: Stream::parse(text) })
    }
}

/// Parts of letters, digits and a few signs, joined by `@`; the first may begin with `!`.
fn is_well_formed(text: &str) -> bool {
    let parts = text.strip_prefix('!').unwrap_or(text);
    let is_legal = |it: char| it.is_alphanumeric() || matches!(it, '_' | '-' | '.' | '+' | ':');
    text.len() <= NAME_LENGTH_MAX
        && parts.split('@').all(|part| !part.is_empty() && part.chars().all(is_legal))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parsed(text: &str) -> Option<Stream> {
        Name::parse(text).expect("a well-formed name").stream
    }

    #[test]
    fn every_stream_is_printed_and_read_back() {
        let speeds = [Speed::Fast, Speed::Slow];
        let windows = [Window::Hour1, Window::Hours4, Window::Day1];
        let mut kinds = vec![TickerKind::Mini, TickerKind::Full];
        kinds.extend(windows.map(TickerKind::Rolling));
        let mut topics =
            vec![Topic::Trade, Topic::AggregateTrade, Topic::BookTicker, Topic::AveragePrice];
        topics.extend([Topic::ReferencePrice, Topic::Auction]);
        topics.extend(speeds.map(Topic::Depth));
        for levels in [Levels::Five, Levels::Ten, Levels::Twenty] {
            topics.extend(speeds.map(|speed| Topic::PartialDepth(levels, speed)));
        }
        for zone in [Zone::Utc, Zone::Utc8] {
            topics.extend(Interval::ALL.map(|interval| Topic::Kline(interval, zone)));
        }
        topics.extend(kinds.iter().map(|kind| Topic::Ticker(*kind)));
        let mut streams: Vec<Stream> = topics
            .into_iter()
            .map(|topic| Stream::Of { symbol: "btcusdt".into(), topic })
            .collect();
        streams.push(Stream::Market(MarketTopic::BookTickers));
        streams.extend(kinds.iter().map(|kind| Stream::Market(MarketTopic::Tickers(*kind))));
        streams.extend(
            [VenueTopic::Imbalance, VenueTopic::Consolidated]
                .map(|topic| Stream::Venues { symbol: "btcusdt".into(), topic }),
        );
        for stream in streams {
            assert_eq!(parsed(&stream.to_string()).as_ref(), Some(&stream), "{stream}");
        }
    }

    #[test]
    fn the_venues_names_are_known() {
        let check = |text: &str, canonical: &str| {
            let stream = parsed(text).map(|stream| stream.to_string());
            assert_eq!(stream.as_deref(), Some(canonical), "{text}");
        };
        for text in [
            "btcusdt@aggTrade",
            "btcusdt@depth@100ms",
            "btcusdt@depth5@100ms",
            "btcusdt@kline_1M",
            "btcusdt@kline_1m@+08:00",
            "!miniTicker@arr",
            "!ticker_4h@arr",
            "币安人生usdt@trade",
        ] {
            check(text, text);
        }
        check("btcusdt@depth@1000ms", "btcusdt@depth");
        check("btcusdt@depth20@1000ms", "btcusdt@depth20");
        check("!miniTicker@arr@1000ms", "!miniTicker@arr");
        check("!ticker@arr@3000ms", "!ticker@arr");
    }

    #[test]
    fn what_does_not_exist_is_silent() {
        for text in [
            "0",
            "btcusdt",
            "btcusdt@referencePrice@1000ms",
            "btcusdt@blockTrade",
            "btcusdt@obi@100ms",
            "btcusdt@depth7",
            "btcusdt@depth@250ms",
            "btcusdt@kline_1H",
            "btcusdt@kline_1m@+09:00",
            "btcusdt@trade@100ms",
            "btcusdt@aggtrade",
            "!ticker",
            "!depth@arr",
            "pqia91ma19a5s61cv6a81va65sdf19v8a65a1a5s61cv6a81va65sdf19v8a65a1",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn malformed_names_are_refused() {
        let long = "a".repeat(NAME_LENGTH_MAX + 1);
        for text in
            ["", "@", "!", "@trade", "a@", "a@@b", "not a name", "a/b", "a\"b", "a\nb", &long]
        {
            assert_eq!(Name::parse(text), Err(Malformed), "{text:?}");
        }
    }
}
