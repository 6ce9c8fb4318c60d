//! CME market-by-order rows as CSV: one row per line, an event ends with the flag for it.
//!
//! Prices are 10^-9 and become our 10^-8 exactly, or the row is refused.

use super::super::source::Lines;
use anyhow::{Result, bail};
use protocol::{Price, Quantity, SCALE, Side};
use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;

const HEADER: &str = "ts_recv,ts_event,sequence,action,side,price_1e9,size,order_id,flags";
const COLUMNS: usize = 9;
/// 10^-9 in one unit of a [`Price`].
const PRICE_PARTS: u64 = 10;
/// A thousand million, in counts of 10^-9.
const PRICE_MAX: u64 = 1_000_000_000_000_000_000;
/// Lots of one row.
const SIZE_MAX: u64 = 10_000_000;
const TIME_MAX: u64 = i64::MAX as u64;
/// Rows of one event.
const EVENT_ROWS_MAX: usize = 100_000;

const FLAG_LAST: u8 = 1 << 7;
const FLAG_SNAPSHOT: u8 = 1 << 5;

pub(super) fn quantity(lots: u64) -> Quantity {
    Quantity(lots * SCALE)
}

/// Where a row stands, for messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Of the files that were named, from 1.
    pub(super) file: usize,
    pub(super) line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.file {
            1 => write!(f, "line {}", self.line),
            file => write!(f, "file {file} line {}", self.line),
        }
    }
}

/// A resting order as a row shows it; the size of a cancel is what is canceled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) id: u64,
    pub(super) side: Side,
    pub(super) price: Price,
    /// In lots.
    pub(super) size: u64,
}

/// A trade, or one order's fill. No side: an auction, or no aggressor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Print {
    pub(super) id: u64,
    pub(super) side: Option<Side>,
    pub(super) price: Price,
    /// In lots.
    pub(super) size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Add(Order),
    Modify(Order),
    Cancel(Order),
    /// Of the aggressor; the fills follow, the book is changed by later rows.
    Trade(Print),
    Fill(Print),
    /// The book is emptied.
    Clear,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) place: Place,
    pub(super) received_ns: u64,
    pub(super) action: Action,
    pub(super) is_snapshot: bool,
    is_last: bool,
}

/// Rows that belong together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) rows: Vec<Row>,
    /// Does the event end here? Rows of a snapshot come one by one.
    pub(super) is_whole: bool,
}

/// The events of all files, one after another.
pub(super) struct Events {
    waiting: VecDeque<PathBuf>,
    lines: Lines,
    file: usize,
    pub(super) rows: u64,
    /// Rows at the end that are no whole event.
    pub(super) unfinished: usize,
}

impl Events {
    pub(super) fn open(files: &[PathBuf]) -> Result<Events> {
        let Some((first, waiting)) = files.split_first() else { bail!("no file is named") };
        Events::new(Lines::open(first)?, waiting.iter().cloned().collect())
    }

    pub(super) fn new(lines: Lines, waiting: VecDeque<PathBuf>) -> Result<Events> {
        let mut events = Events { waiting, lines, file: 1, rows: 0, unfinished: 0 };
        events.header()?;
        Ok(events)
    }

    fn header(&mut self) -> Result<()> {
        match self.lines.next()? {
            None => bail!("{}: empty", self.lines.name()),
            Some(HEADER) => Ok(()),
            Some(_) => Err(self.lines.error(format_args!("not the header `{HEADER}`"))),
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Event>> {
        let mut event = Event::default();
        while let Some(row) = self.row()? {
            event.rows.push(row);
            event.is_whole = row.is_last;
            if row.is_last || (row.is_snapshot && event.rows.len() == 1) {
                return Ok(Some(event));
            }
            if event.rows.len() >= EVENT_ROWS_MAX {
                let what = format!("an event of {EVENT_ROWS_MAX} rows and no end");
                return Err(self.lines.error(what));
            }
        }
        self.unfinished = event.rows.len();
        Ok(None)
    }

    fn row(&mut self) -> Result<Option<Row>> {
        loop {
            if let Some(text) = self.lines.next()? {
                let place = Place { file: self.file, line: 0 };
                let row = parse(text, place).map_err(|what| self.lines.error(what))?;
                self.rows += 1;
                let place = Place { line: self.lines.number(), ..place };
                return Ok(Some(Row { place, ..row }));
            }
            let Some(file) = self.waiting.pop_front() else { return Ok(None) };
            self.lines = Lines::open(&file)?;
            self.file += 1;
            self.header()?;
        }
    }
}

fn parse(text: &str, place: Place) -> Result<Row, String> {
    let columns: Vec<&str> = text.split(',').collect();
    let &[received, event, sequence, action, side, price, size, id, flags] = columns.as_slice()
    else {
        return Err(format!("{} columns; a row has {COLUMNS}", columns.len()));
    };
    let received_ns = number("ts_recv", received, 0, TIME_MAX)?;
    number("ts_event", event, 0, TIME_MAX)?;
    number("sequence", sequence, 0, u32::MAX.into())?;
    let id = number("order_id", id, 0, u64::MAX)?;
    let flags = number("flags", flags, 0, u8::MAX.into())? as u8;
    let side = parse_side(side)?;
    let print =
        || Ok::<_, String>(Print { id, side, price: parse_price(price)?, size: lots(size)? });
    let order = || {
        let Some(side) = side else {
            return Err(format!("side `N` of an order, action `{action}`"));
        };
        Ok(Order { id, side, price: parse_price(price)?, size: lots(size)? })
    };
    let action = match action {
        "A" => Action::Add(order()?),
        "M" => Action::Modify(order()?),
        "C" => Action::Cancel(order()?),
        "T" => Action::Trade(print()?),
        "F" => Action::Fill(print()?),
        "R" => Action::Clear,
        other => return Err(format!("action `{other}`; A, M, C, T, F and R are known")),
    };
    let (is_last, is_snapshot) = (flags & FLAG_LAST != 0, flags & FLAG_SNAPSHOT != 0);
    Ok(Row { place, received_ns, action, is_snapshot, is_last })
}

fn parse_side(text: &str) -> Result<Option<Side>, String> {
    match text {
        "B" => Ok(Some(Side::Buy)),
        "A" => Ok(Some(Side::Sell)),
        "N" => Ok(None),
        other => Err(format!("side `{other}`; A, B and N are known")),
    }
}

fn lots(text: &str) -> Result<u64, String> {
    number("size", text, 1, SIZE_MAX)
}

fn parse_price(text: &str) -> Result<Price, String> {
    let price = number("price_1e9", text, 1, PRICE_MAX)?;
    if !price.is_multiple_of(PRICE_PARTS) {
        return Err(format!("price_1e9 `{text}`: finer than 10^-8, which is what is counted here"));
    }
    Ok(Price(price / PRICE_PARTS))
}

fn number(what: &str, text: &str, min: u64, max: u64) -> Result<u64, String> {
    let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let value = text.parse().ok().filter(|value| is_digits && (min..=max).contains(value));
    value.ok_or_else(|| format!("{what} `{text}`; a whole number of {min} to {max} is expected"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn events(text: &str) -> Result<Events> {
        let reader = Box::new(Cursor::new(text.to_owned().into_bytes()));
        Events::new(Lines::new("mbo.csv".into(), reader), VecDeque::new())
    }

    #[test]
    fn a_row_is_parsed_exactly() {
        let place = Place { file: 1, line: 7 };
        let row = parse("9,8,7,A,B,4800250000000,3,6412777265520,130", place).unwrap();
        let (id, price) = (6_412_777_265_520, Price(480_025_000_000));
        assert_eq!(row.action, Action::Add(Order { id, side: Side::Buy, price, size: 3 }));
        assert_eq!((row.received_ns, row.is_last, row.is_snapshot), (9, true, false));
        let print = parse("9,8,7,T,N,10,44,0,0", place).unwrap().action;
        assert_eq!(print, Action::Trade(Print { id: 0, side: None, price: Price(1), size: 44 }));
        let clear = parse("9,8,7,R,N,9223372036854775807,0,0,40", place).unwrap();
        assert_eq!((clear.action, clear.is_snapshot), (Action::Clear, true));
    }

    #[test]
    fn a_bad_row_says_what_is_wrong() {
        for (text, what) in [
            ("1,1,1,A,B,10,1,1", "8 columns; a row has 9"),
            ("1,1,1,A,B,10,1,1,1,1", "10 columns; a row has 9"),
            ("1,1,1,X,B,10,1,1,0", "action `X`; A, M, C, T, F and R are known"),
            ("1,1,1,A,S,10,1,1,0", "side `S`; A, B and N are known"),
            ("1,1,1,A,N,10,1,1,0", "side `N` of an order, action `A`"),
            (
                "1,1,1,A,B,4800250000001,1,1,0",
                "price_1e9 `4800250000001`: finer than 10^-8, which is what is counted here",
            ),
            (
                "1,1,1,M,B,-250000000,1,1,0",
                "price_1e9 `-250000000`; a whole number of 1 to 1000000000000000000 is expected",
            ),
            ("1,1,1,C,B,10,0,1,0", "size `0`; a whole number of 1 to 10000000 is expected"),
            ("1,1,1,C,B,10,+1,1,0", "size `+1`; a whole number of 1 to 10000000 is expected"),
            ("1,1,1,C,B,10,1,1,256", "flags `256`; a whole number of 0 to 255 is expected"),
            (
                " 1,1,1,C,B,10,1,1,0",
                "ts_recv ` 1`; a whole number of 0 to 9223372036854775807 is expected",
            ),
        ] {
            assert_eq!(parse(text, Place { file: 1, line: 1 }).unwrap_err(), what, "{text}");
        }
    }

    #[test]
    fn rows_are_events_up_to_the_flag_and_snapshot_rows_stand_alone() {
        let text = format!(
            "{HEADER}\n1,1,1,A,B,10,1,1,40\n1,1,1,A,B,10,1,2,40\n1,1,1,T,A,10,1,3,0\n\
             1,1,1,F,B,10,1,1,0\n1,1,1,C,B,10,1,1,130\n1,1,1,T,A,10,1,3,0\n"
        );
        let mut events = events(&text).unwrap();
        let mut shape = || {
            let event = events.next().unwrap()?;
            Some((event.rows.len(), event.is_whole, event.rows[0].place.line))
        };
        assert_eq!(shape(), Some((1, false, 2)));
        assert_eq!(shape(), Some((1, false, 3)));
        assert_eq!(shape(), Some((3, true, 4)));
        assert_eq!(shape(), None);
        assert_eq!((events.rows, events.unfinished), (6, 1));
    }

    #[test]
    fn an_error_names_file_and_line() {
        let error = |text: &str| match events(text) {
            Ok(mut events) => events.next().unwrap_err().to_string(),
            Err(error) => error.to_string(),
        };
        assert_eq!(error(""), "mbo.csv: empty");
        let header = format!("mbo.csv: line 1: not the header `{HEADER}`");
        assert_eq!(error("1,1,1,A,B,10,1,1,40\n"), header);
        assert_eq!(error(&format!("{HEADER},publisher_id\n")), header);
        let row = "1,1,1,A,B,10,1,1,40\n";
        assert_eq!(
            error(&format!("{HEADER}\n{}\n", row.replace('A', "Z"))).split(';').next(),
            Some("mbo.csv: line 2: action `Z`")
        );
        let endless = format!("{HEADER}\n{}", "1,1,1,A,B,10,1,1,0\n".repeat(EVENT_ROWS_MAX));
        assert_eq!(error(&endless), "mbo.csv: line 100001: an event of 100000 rows and no end");
    }
}
