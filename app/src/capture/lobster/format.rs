//! The two files of a LOBSTER recording: one message and one row of the book per line.
//!
//! Prices are 10^-4 dollars, sizes are shares; an empty level has size 0.

use super::super::source::Lines;
use anyhow::{Result, bail};
use protocol::{Price, Quantity, SCALE, Side};
use std::fmt;

/// Levels per side.
const DEPTH_MAX: usize = 1_000;
/// 999,999.9999 dollars is the highest price that the exchange takes.
const PRICE_MAX: u64 = 9_999_999_999;
/// Shares of one message, and of one level of the book.
const SIZE_MAX: u64 = 10_000_000;
const LEVEL_SIZE_MAX: u64 = 10_000_000_000;
const SECONDS_MAX: u64 = 1_000_000;
/// Digits of a second: more than any recording has.
const FRACTION_DIGITS_MAX: usize = 18;
const COLUMNS_PER_LEVEL: usize = 4;
/// A seventh column, if there is one, names who entered the order.
const MESSAGE_COLUMNS: std::ops::RangeInclusive<usize> = 6..=7;
/// Units of a [`Price`] in 10^-4 dollars.
const PRICE_UNIT: u64 = SCALE / 10_000;

pub(super) const fn price(ticks: u64) -> Price {
    Price(ticks * PRICE_UNIT)
}

pub(super) fn quantity(shares: u64) -> Quantity {
    Quantity(shares * SCALE)
}

/// Time of day: seconds, and 10^-18 of them. Compared whole, so that equal times are equal texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time {
    seconds: u64,
    fraction: u64,
}

impl Time {
    pub(super) fn nanoseconds(self) -> u64 {
        self.seconds * 1_000_000_000 + self.fraction / 1_000_000_000
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fraction = format!("{:018}", self.fraction);
        let fraction = fraction.trim_end_matches('0');
        write!(f, "{}{}{fraction}", self.seconds, if fraction.is_empty() { "" } else { "." })
    }
}

/// What a message says of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Change {
    /// The exchange's order id.
    pub(super) name: i64,
    pub(super) side: Side,
    /// In 10^-4 dollars.
    pub(super) price: u64,
    /// In shares.
    pub(super) size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Add(Change),
    /// Partial cancel.
    Reduce(Change),
    Delete(Change),
    Execute(Change),
    /// Of an order that was never in the book.
    ExecuteHidden,
    /// The print of an auction.
    Cross,
    /// Trading stops, or only quotes are taken.
    Halt,
    Resume,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Message {
    pub(super) time: Time,
    pub(super) kind: Kind,
}

/// The book after a message: price and size, best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) asks: Vec<(u64, u64)>,
    pub(super) bids: Vec<(u64, u64)>,
}

impl Row {
    pub(super) fn side(&self, side: Side) -> &[(u64, u64)] {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    /// Can a book of continuous trading look so? Levels in order of price, and not crossed.
    pub(super) fn is_possible(&self) -> bool {
        let is_crossed = match (self.bids.first(), self.asks.first()) {
            (Some(bid), Some(ask)) => bid.0 >= ask.0,
            _ => false,
        };
        !is_crossed
            && self.asks.is_sorted_by(|better, worse| better.0 < worse.0)
            && self.bids.is_sorted_by(|better, worse| better.0 > worse.0)
    }
}

/// One line of both files.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) line: u64,
    pub(super) message: Message,
    pub(super) row: Row,
}

impl Step {
    pub(super) fn execution(&self) -> Option<Change> {
        match self.message.kind {
            Kind::Execute(change) => Some(change),
            _ => None,
        }
    }
}

/// Both files in step.
pub(super) struct Steps {
    messages: Lines,
    book: Lines,
    /// Levels per side, from the columns of the first row.
    pub(super) depth: usize,
    ahead: Option<Step>,
}

impl Steps {
    pub(super) fn new(messages: Lines, book: Lines) -> Result<Steps> {
        let mut steps = Steps { messages, book, depth: 0, ahead: None };
        steps.ahead = steps.read()?;
        if steps.ahead.is_none() {
            bail!("{}: empty", steps.messages.name());
        }
        if let Some(named) = depth_in_name(steps.book.name()).filter(|it| *it != steps.depth) {
            let (name, depth) = (steps.book.name(), steps.depth);
            bail!("{name}: line 1: {depth} levels where the file's name says {named}");
        }
        Ok(steps)
    }

    pub(super) fn symbol(&self) -> &str {
        let name = self.messages.name().rsplit(['/', '\\', ' ']).next().unwrap_or("");
        let symbol = name.split(['_', '.']).next().unwrap_or("");
        let is_symbol = symbol.len() <= 8 && symbol.bytes().all(|byte| byte.is_ascii_uppercase());
        if is_symbol && !symbol.is_empty() { symbol } else { "SHARE" }
    }

    pub(super) fn peek(&self) -> Option<&Step> {
        self.ahead.as_ref()
    }

    pub(super) fn next(&mut self) -> Result<Option<Step>> {
        let step = self.ahead.take();
        if step.is_some() {
            self.ahead = self.read()?;
        }
        Ok(step)
    }

    fn read(&mut self) -> Result<Option<Step>> {
        let message = self.messages.next()?.map(parse_message);
        let row = self.book.next()?.map(parse_row);
        let (message, row) = match (message, row) {
            (None, None) => return Ok(None),
            (Some(_), None) => return Err(self.longer(&self.messages, &self.book)),
            (None, Some(_)) => return Err(self.longer(&self.book, &self.messages)),
            (Some(message), Some(row)) => (message, row),
        };
        let message = message.map_err(|what| self.messages.error(what))?;
        let (depth, row) = row.map_err(|what| self.book.error(what))?;
        if self.depth == 0 {
            self.depth = depth;
        }
        if depth != self.depth {
            let what = format!("{depth} levels where the rows before have {}", self.depth);
            return Err(self.book.error(what));
        }
        Ok(Some(Step { line: self.messages.number(), message, row }))
    }

    fn longer(&self, longer: &Lines, shorter: &Lines) -> anyhow::Error {
        let lines = longer.number() - 1;
        longer.error(format_args!("{} ends after {lines} lines: not a pair", shorter.name()))
    }
}

/// `…_orderbook_10.csv.gz` says 10 levels.
fn depth_in_name(name: &str) -> Option<usize> {
    let name = name.rsplit(['/', '\\', ' ']).next()?;
    let stem = name.split('.').next().filter(|stem| stem.contains("orderbook"))?;
    stem.rsplit('_').next()?.parse().ok()
}

fn parse_message(text: &str) -> Result<Message, String> {
    let columns: Vec<&str> = text.split(',').map(str::trim).collect();
    let &[time, kind, name, size, price, direction, ..] = columns.as_slice() else {
        return Err(message_columns(columns.len()));
    };
    if !MESSAGE_COLUMNS.contains(&columns.len()) {
        return Err(message_columns(columns.len()));
    }
    let time = parse_time(time)?;
    let name = integer("order id", name)?;
    let (size, price) = (integer("size", size)?, integer("price", price)?);
    let direction = integer("direction", direction)?;
    let change = || parse_change(name, size, price, direction);
    let kind = match kind {
        "1" => Kind::Add(change()?),
        "2" => Kind::Reduce(change()?),
        "3" => Kind::Delete(change()?),
        "4" => Kind::Execute(change()?),
        "5" => Kind::ExecuteHidden,
        "6" => Kind::Cross,
        "7" if price == 1 => Kind::Resume,
        "7" => Kind::Halt,
        other => return Err(format!("type `{other}`; 1 to 7 are known")),
    };
    Ok(Message { time, kind })
}

fn message_columns(count: usize) -> String {
    format!("{count} columns; a message has 6 or 7")
}

fn parse_change(name: i64, size: i64, price: i64, direction: i64) -> Result<Change, String> {
    let side = match direction {
        1 => Side::Buy,
        -1 => Side::Sell,
        other => return Err(format!("direction {other}; 1 and -1 are known")),
    };
    let price = bounded("price", price, 1, PRICE_MAX)?;
    Ok(Change { name, side, price, size: bounded("size", size, 1, SIZE_MAX)? })
}

fn parse_time(text: &str) -> Result<Time, String> {
    let wrong = || format!("time `{text}`; seconds after midnight are expected");
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
    if !is_digits(seconds) || !is_digits(fraction) || fraction.len() > FRACTION_DIGITS_MAX {
        return Err(wrong());
    }
    let seconds = seconds.parse().ok().filter(|it| *it <= SECONDS_MAX).ok_or_else(wrong)?;
    let fraction = format!("{fraction:0<FRACTION_DIGITS_MAX$}").parse().map_err(|_| wrong())?;
    Ok(Time { seconds, fraction })
}

fn parse_row(text: &str) -> Result<(usize, Row), String> {
    let columns: Vec<&str> = text.split(',').map(str::trim).collect();
    let depth = columns.len() / COLUMNS_PER_LEVEL;
    if !columns.len().is_multiple_of(COLUMNS_PER_LEVEL) || depth == 0 || depth > DEPTH_MAX {
        let count = columns.len();
        return Err(format!("{count} columns; a row of the book has 4 for each level"));
    }
    let mut row = Row { asks: Vec::with_capacity(depth), bids: Vec::with_capacity(depth) };
    for level in columns.chunks_exact(COLUMNS_PER_LEVEL) {
        let &[ask, ask_size, bid, bid_size] = level else { continue };
        row.asks.extend(parse_level(ask, ask_size)?);
        row.bids.extend(parse_level(bid, bid_size)?);
    }
    Ok((depth, row))
}

fn parse_level(price: &str, size: &str) -> Result<Option<(u64, u64)>, String> {
    let price = integer("price", price)?;
    let size = bounded("size", integer("size", size)?, 0, LEVEL_SIZE_MAX)?;
    match size {
        0 => Ok(None),
        size => Ok(Some((bounded("price", price, 1, PRICE_MAX)?, size))),
    }
}

fn integer(what: &str, text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| format!("{what} `{text}`; a whole number is expected"))
}

fn bounded(what: &str, value: i64, min: u64, max: u64) -> Result<u64, String> {
    let inside = u64::try_from(value).ok().filter(|value| (min..=max).contains(value));
    inside.ok_or_else(|| format!("{what} {value}; {min} to {max} are allowed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_parsed_as_the_format_documents() {
        let message = parse_message("34200.18960767,1,11885113,21,2238100,1").unwrap();
        let change = Change { name: 11885113, side: Side::Buy, price: 2238100, size: 21 };
        assert_eq!(message.kind, Kind::Add(change));
        assert_eq!(message.time.nanoseconds(), 34_200_189_607_670);
        assert_eq!(message.time, parse_time("34200.189607670000").unwrap());
        let with_owner = parse_message("34201.1,6,-1,45725,33552100,-1,null").unwrap();
        assert_eq!(with_owner.kind, Kind::Cross);
        assert_eq!(parse_message("1,7,0,0,-1,-1").unwrap().kind, Kind::Halt);
        assert_eq!(parse_message("1,7,0,0,0,-1").unwrap().kind, Kind::Halt);
        assert_eq!(parse_message("1, 7, 0, 0, 1, -1 ").unwrap().kind, Kind::Resume);
        assert_eq!(price(2_238_100).to_string(), "223.81000000");
        assert_eq!(quantity(21).to_string(), "21.00000000");
    }

    #[test]
    fn a_bad_message_says_what_is_wrong() {
        for (text, what) in [
            ("1,1,1,1,1", "5 columns; a message has 6 or 7"),
            ("1,2,3,4,5,6,7,8", "8 columns; a message has 6 or 7"),
            ("x,1,1,1,1,1", "time `x`; seconds after midnight are expected"),
            ("1,8,1,1,1,1", "type `8`; 1 to 7 are known"),
            ("1,1,a,1,1,1", "order id `a`; a whole number is expected"),
            ("1,1,1,0,1,1", "size 0; 1 to 10000000 are allowed"),
            ("1,1,1,1,-1,1", "price -1; 1 to 9999999999 are allowed"),
            ("1,1,1,1,1,0", "direction 0; 1 and -1 are known"),
        ] {
            assert_eq!(parse_message(text).unwrap_err(), what, "{text}");
        }
    }

    #[test]
    fn empty_levels_of_a_row_are_left_out() {
        let (depth, row) = parse_row("101,5,99,7,9999999999,0,-9999999999,0").unwrap();
        assert_eq!((depth, row.asks, row.bids), (2, vec![(101, 5)], vec![(99, 7)]));
        for (text, what) in [
            ("1,2,3", "3 columns; a row of the book has 4 for each level"),
            ("1,x,3,4", "size `x`; a whole number is expected"),
            ("1,2,-9999999999,4", "price -9999999999; 1 to 9999999999 are allowed"),
        ] {
            assert_eq!(parse_row(text).unwrap_err(), what, "{text}");
        }
    }

    #[test]
    fn the_depth_is_the_last_number_of_the_name() {
        assert_eq!(depth_in_name("a/AAPL_2012-06-21_first999_orderbook_10.csv.gz"), Some(10));
        assert_eq!(
            depth_in_name("x.zip: AMZN_2012-06-21_34200000_57600000_orderbook_5.csv"),
            Some(5)
        );
        assert_eq!(depth_in_name("folder_3/orderbook.csv"), None);
        assert_eq!(depth_in_name("book_7.csv"), None);
    }
}
