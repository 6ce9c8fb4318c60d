//! How the state of books is shown.

use std::collections::VecDeque;
use std::fmt::Write;

use feed::decimal::write_count;
use marketdata::{FeedBook, FeedSource, Feeds, OBI_LEVELS};
use protocol::feed::FeedStatusChanged;
use protocol::{FeedState, MILLISECOND_NS, SECOND_NS, Side};
use serde_json::{Value, json};

/// Of milliseconds.
const NANOSECOND_PLACES: u8 = 6;

const HEADINGS: [&str; 15] = [
    "venue", "market", "symbol", "state", "bid", "ask", "spread", "OBI 5", "OBI 10", "OBI 20",
    "lag ms", "msg/s", "gaps", "resyncs", "dropped",
];
/// These begin at the left; all others are numbers.
const WORDS: usize = 4;

/// All books and the latest notes, for a person.
pub(super) fn table(feeds: &Feeds, notes: &VecDeque<String>, now_ns: u64) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    rows.extend(feeds.sources().map(row));
    let mut widths = [0; HEADINGS.len()];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = format!("{} UTC\n", clock(now_ns));
    for row in &rows {
        let mut line = String::new();
        for (at, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let _ = match at < WORDS {
                true => write!(line, "{cell:<width$}  "),
                false => write!(line, "{cell:>width$}  "),
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    for source in feeds.sources() {
        let reason = source.status().map_or("", |status| status.reason.as_str());
        if !reason.is_empty() {
            let _ = writeln!(text, "{} {}: {reason}", name(source), source.state().as_str());
        }
    }
    notes.iter().for_each(|note| text += &format!("{note}\n"));
    text
}

fn row(source: &FeedSource) -> [String; HEADINGS.len()] {
    let definition = source.definition();
    let (price_scale, dash) = (definition.price_scale, || "-".to_owned());
    let book = source.book();
    let best = |side| book.and_then(|book| book.best(side)).map(|(price, _)| price);
    let (bid, ask) = (best(Side::Buy), best(Side::Sell));
    let places = [bid, ask].into_iter().flatten().map(|it| places(it, price_scale)).max();
    let places = places.unwrap_or(0);
    let shown = |count, scale| cut(text(count, scale), scale - places.min(scale));
    let price = |price: Option<u64>| price.map_or_else(dash, |it| shown(it.into(), price_scale));
    let spread = bid.zip(ask).map_or_else(dash, |(bid, ask)| spread(bid, ask, price_scale, shown));
    let obi = OBI_LEVELS.map(|levels| {
        let ratio = synced(source).and_then(|book| book.imbalance(levels)?.ratio());
        // Cut, not rounded: who wants more digits asks for JSON.
        ratio
            .map_or_else(dash, |it| it.to_string().chars().take(it.to_string().len() - 6).collect())
    });
    let status = source.status();
    let count = |of: fn(&FeedStatusChanged) -> u64| status.map_or(0, of).to_string();
    let [obi_5, obi_10, obi_20] = obi;
    [
        definition.venue.as_str().to_owned(),
        definition.market.as_str().to_owned(),
        source.symbol().to_owned(),
        source.state().as_str().to_owned(),
        price(bid),
        price(ask),
        spread,
        obi_5,
        obi_10,
        obi_20,
        lagged(source).map_or_else(dash, |it| lag_ms(it.lag_ns, 1)),
        rate(source),
        count(|it| it.gaps),
        count(|it| it.resyncs),
        count(|it| it.dropped),
    ]
}

/// The book, if it is the venue's: another one has no imbalance.
fn synced(source: &FeedSource) -> Option<&FeedBook> {
    source.book().filter(|_| source.state() == FeedState::Synced)
}

/// One book, for a machine: what `GET /feed/v1/status` says of it. Exact numbers are texts, times
/// milliseconds.
pub(super) fn status(source: &FeedSource, now_ns: u64) -> Value {
    let definition = source.definition();
    let (price_scale, quantity_scale) = (definition.price_scale, definition.quantity_scale);
    let book = source.book();
    let best = |side| book.and_then(|book| book.best(side));
    let (bid, ask) = (best(Side::Buy), best(Side::Sell));
    let level = |(price, quantity): (u64, u128)| {
        [text(price.into(), price_scale), text(quantity, quantity_scale)]
    };
    let spread = bid.zip(ask).map(|(bid, ask)| spread(bid.0, ask.0, price_scale, text));
    let status = source.status();
    let count = |of: fn(&FeedStatusChanged) -> u64| status.map_or(0, of);
    json!({
        "type": "status",
        "time": now_ns / MILLISECOND_NS,
        "venue": definition.venue.as_str(),
        "market": definition.market.as_str(),
        "symbol": source.symbol(),
        "state": source.state().as_str(),
        "reason": status.map_or("", |it| it.reason.as_str()),
        "bid": bid.map(level),
        "ask": ask.map(level),
        "spread": spread,
        "obi": synced(source)
            .map(|book| OBI_LEVELS.map(|levels| imbalance(book, levels, quantity_scale))),
        "messages": count(|it| it.messages),
        "messagesPerSecond": text(source.messages_per_second_thousandths().into(), 3),
        "gaps": count(|it| it.gaps),
        "resyncs": count(|it| it.resyncs),
        "dropped": count(|it| it.dropped),
        "lagMs": lagged(source).map(|it| lag_ms(it.lag_ns, 6)),
        "levels": book.map(|it| [Side::Buy, Side::Sell].map(|side| it.levels_count(side))),
        "lastUpdateId": book.map(|it| it.update),
        "eventTime": book.map(|it| it.event_ns / MILLISECOND_NS),
        "receiveTime": book.map(|it| it.receive_ns / MILLISECOND_NS),
    })
}

fn imbalance(book: &FeedBook, levels: usize, scale: u8) -> Value {
    let imbalance = book.imbalance(levels);
    json!({
        "levels": levels,
        "bids": imbalance.map(|it| text(it.bids, scale)),
        "asks": imbalance.map(|it| text(it.asks, scale)),
        "obi": imbalance.and_then(|it| it.ratio()).map(|it| it.to_string()),
    })
}

/// Something came: there is a lag.
fn lagged(source: &FeedSource) -> Option<&FeedStatusChanged> {
    source.status().filter(|status| status.messages > 0)
}

pub(super) fn note(source: Option<&FeedSource>, note: &str, now_ns: u64) -> Value {
    let (venue, symbol) = match source {
        Some(source) => (Some(source.definition().venue.as_str()), Some(source.symbol())),
        None => (None, None),
    };
    json!({ "type": "note", "time": now_ns / MILLISECOND_NS, "venue": venue, "symbol": symbol, "text": note })
}

pub(super) fn note_line(source: Option<&FeedSource>, note: &str, now_ns: u64) -> String {
    match source {
        Some(source) => format!("{} {}: {note}", clock(now_ns), name(source)),
        None => format!("{} {note}", clock(now_ns)),
    }
}

fn name(source: &FeedSource) -> String {
    let definition = source.definition();
    format!("{} {} {}", definition.venue.as_str(), definition.market.as_str(), source.symbol())
}

fn text(count: u128, places: u8) -> String {
    let mut text = String::new();
    // Writing into a string does not fail.
    let _ = write_count(&mut text, count, places);
    text
}

/// Decimal places that a count needs.
fn places(count: u64, scale: u8) -> u8 {
    let zeros = std::iter::successors(Some(count), |it| it.checked_div(10));
    let zeros = zeros.take(scale.into()).take_while(|it| it % 10 == 0).count();
    scale - u8::try_from(zeros).unwrap_or(scale)
}

/// Without so many digits at the end, and without a point that nothing follows.
fn cut(mut text: String, digits: u8) -> String {
    text.truncate(text.len().saturating_sub(digits.into()));
    if text.ends_with('.') {
        text.pop();
    }
    text
}

/// Below zero in a crossed book.
fn spread(bid: u64, ask: u64, places: u8, text: impl Fn(u128, u8) -> String) -> String {
    let sign = if ask < bid { "-" } else { "" };
    format!("{sign}{}", text(ask.abs_diff(bid).into(), places))
}

/// Milliseconds with so many places, at most 6, cut.
fn lag_ms(lag_ns: i64, places: u8) -> String {
    let sign = if lag_ns < 0 { "-" } else { "" };
    let shown = text(lag_ns.unsigned_abs().into(), NANOSECOND_PLACES);
    format!("{sign}{}", cut(shown, NANOSECOND_PLACES.saturating_sub(places)))
}

fn rate(source: &FeedSource) -> String {
    let thousandths = source.messages_per_second_thousandths();
    text((thousandths / 100).into(), 1)
}

/// Hours, minutes, seconds of the day.
fn clock(now_ns: u64) -> String {
    let seconds = now_ns / SECOND_NS % 86_400;
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    format!("{hours:02}:{minutes:02}:{:02}", seconds % 60)
}

#[cfg(test)]
mod tests {
    use protocol::Stamp;
    use protocol::feed::{
        FeedBookCommitted, FeedBookReset, FeedLevelChanged, FeedReason, FeedSourceDefined,
        FeedState, FeedSymbol,
    };

    use super::*;

    /// One source with a bid, an ask, and something to say.
    fn feeds(bid: u64, ask: u64, state: FeedState, reason: &str) -> Feeds {
        let source = 0;
        let mut feeds = Feeds::new();
        let defined = FeedSourceDefined {
            source,
            venue: protocol::feed::FeedVenue::new("binance").unwrap(),
            market: protocol::feed::FeedMarket::new("spot").unwrap(),
            symbol: FeedSymbol::new("BTCUSDT").unwrap(),
            price_scale: 8,
            quantity_scale: 8,
            depth_max: 0,
        };
        let status = FeedStatusChanged {
            source,
            state,
            reason: FeedReason::new(reason).unwrap(),
            messages: 7,
            gaps: 1,
            resyncs: 0,
            dropped: 2,
            lag_ns: -1_274_900_000,
        };
        let level = |side, price, quantity| FeedLevelChanged { source, side, price, quantity };
        let committed = FeedBookCommitted { source, update: 42, event_ns: 5, receive_ns: 6 };
        for event in [
            defined.into(),
            status.into(),
            FeedBookReset { source }.into(),
            level(Side::Buy, bid, 300_000_000).into(),
            level(Side::Sell, ask, 100_000_000).into(),
            committed.into(),
        ] {
            feeds.apply(&event, Stamp(1), |_| {});
        }
        feeds
    }

    #[test]
    fn a_table_has_a_row_for_each_book_and_a_line_for_each_reason() {
        let (bid, ask) = (6_000_010_000_000, 6_000_012_500_000);
        let feeds = feeds(bid, ask, FeedState::Resyncing, "gap: expected 5, found 7");
        assert_eq!(status(feeds.source(0).unwrap(), 9)["obi"], Value::Null);
        let notes = VecDeque::from(["00:00:01 a note".to_owned()]);
        let text = table(&feeds, &notes, 3_723 * SECOND_NS);
        let expected = "01:02:03 UTC\n\
            venue    market  symbol   state            bid        ask  spread  OBI 5  OBI 10  OBI 20   lag ms  msg/s  gaps  resyncs  dropped\n\
            binance  spot    BTCUSDT  resyncing  60000.100  60000.125   0.025      -       -       -  -1274.9    0.0     1        0        2\n\
            binance spot BTCUSDT resyncing: gap: expected 5, found 7\n\
            00:00:01 a note\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_machine_gets_all_digits_and_a_crossed_book_a_spread_below_zero() {
        let feeds = feeds(200_000_000, 150_000_000, FeedState::Synced, "");
        let shown = status(feeds.source(0).unwrap(), 9);
        assert_eq!(shown["bid"], json!(["2.00000000", "3.00000000"]));
        assert_eq!(shown["ask"], json!(["1.50000000", "1.00000000"]));
        let (bids, asks, ratio) = ("3.00000000", "1.00000000", "0.500000000000");
        let obi = json!({ "levels": 5, "bids": bids, "asks": asks, "obi": ratio });
        assert_eq!((&shown["spread"], &shown["obi"][0]), (&json!("-0.50000000"), &obi));
        let (update, lag) = (json!(42), json!("-1274.900000"));
        assert_eq!((&shown["lastUpdateId"], &shown["lagMs"]), (&update, &lag));
        assert_eq!(shown["state"], "synced");
    }
}
