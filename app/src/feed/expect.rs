//! What others found in a recording: rows and a summary, compared with what a replay gives.
//!
//! `EXPECTED.obi.csv.gz` has a row for each update of a book, `EXPECTED.summary.json` the counts
//! and, of Binance, the SHA-256 of the final books. Prices and sums there count 10^-8.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Read as _, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use feed::adapter::{Depth, Quote, Read};
use feed::book::{Book, write_as_written};
use feed::session::Source;
use flate2::read::MultiGzDecoder;
use marketdata::Imbalance;
use protocol::Side;
use serde_json::{Map, Value, json};

const ROW_BYTES_MAX: u64 = 4_096;
const ROWS_MAX: usize = 20_000_000;
const SUMMARY_BYTES_MAX: u64 = 64 << 20;
/// Rows that differ and are printed.
const SHOWN_MAX: u64 = 10;
/// Decimal places of the numbers in the files.
const PLACES: u8 = 8;
/// The widest scale that a book has; quotes of different scales are compared at it.
const WIDEST: u8 = protocol::feed::FEED_SCALE_MAX;

const BINANCE_COLUMNS: &str = "symbol,seq,recv_ns,event_ms,update_id,bid_px,bid_qty,ask_px,ask_qty,\
                               B5,A5,OBI5,B10,A10,OBI10,B20,A20,OBI20";
const BITGET_COLUMNS: &str = "symbol,seq,action,ts,checksum_sent,checksum_computed,bid_px,bid_qty,\
                              ask_px,ask_qty,n_bids,n_asks,B5,A5,OBI5,B10,A10,OBI10,B20,A20,OBI20";

/// Whose rows they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Binance,
    Bitget,
}

/// Compares as the replay goes on.
#[derive(Debug)]
pub struct Judge {
    form: Form,
    /// By symbol, in the order of their `seq`.
    rows: HashMap<String, Vec<Box<str>>>,
    summary: Map<String, Value>,
    seen: HashMap<String, Seen>,
    /// Quotes by source, also of those that have no book yet.
    quotes: HashMap<u32, Vec<(u64, Top)>>,
    compared: u64,
    differing: u64,
    text: String,
}

/// What the replay has shown of one symbol.
#[derive(Debug, Default)]
struct Seen {
    rows: u64,
    snapshots: u64,
    /// Update id and levels a side of the first snapshot.
    snapshot: Option<(u64, usize, usize)>,
    crossed: u64,
    max_places: (u8, u8),
    tops: Vec<(u64, Top)>,
}

/// Best bid and ask, price and quantity, at [`WIDEST`]; none where a side is empty.
type Top = [Option<(u128, u128)>; 2];

impl Judge {
    /// Opens both files of the prefix.
    pub fn open(prefix: &Path) -> Result<Judge> {
        let rows = with_end(prefix, ".obi.csv.gz");
        let file = File::open(&rows).with_context(|| rows.display().to_string())?;
        let lines = BufReader::new(MultiGzDecoder::new(BufReader::new(file)));
        let (form, rows) = read_rows(lines).with_context(|| rows.display().to_string())?;
        let path = with_end(prefix, ".summary.json");
        let summary = read_summary(&path).with_context(|| path.display().to_string())?;
        Ok(Judge {
            form,
            rows,
            summary,
            seen: HashMap::new(),
            quotes: HashMap::new(),
            compared: 0,
            differing: 0,
            text: String::new(),
        })
    }

    /// A book has changed: of Bitget each message has a row, of Binance each update.
    pub(super) fn applied(
        &mut self,
        source: &Source,
        depth: &Depth,
        read: &Read,
        out: &mut dyn Write,
    ) -> Result<()> {
        if !self.seen.contains_key(source.symbol()) {
            self.seen.insert(source.symbol().to_owned(), Seen::default());
        }
        let seen = self.seen.get_mut(source.symbol()).context("a source without symbol")?;
        seen.take_in(source.book(), depth, read);
        if self.form == Form::Binance && depth.is_snapshot {
            return Ok(());
        }
        seen.rows += 1;
        if self.form == Form::Binance {
            seen.tops.push((depth.last, top(source.book())));
        }
        self.text.clear();
        match self.form {
            Form::Binance => write_binance(&mut self.text, seen.rows, source, depth)?,
            Form::Bitget => write_bitget(&mut self.text, seen.rows, source, depth)?,
        }
        let place = usize::try_from(seen.rows - 1)?;
        let expected = self.rows.get(source.symbol()).and_then(|rows| rows.get(place));
        let expected = expected.map_or("no such row", |row| row);
        self.compared += 1;
        if expected != self.text {
            self.differing += 1;
            if self.differing <= SHOWN_MAX {
                writeln!(out, "expected {expected}\n   found {}", self.text)?;
            }
        }
        Ok(())
    }

    pub(super) fn quoted(&mut self, quote: &Quote) {
        let scaled = |(price, quantity): (u64, u128)| {
            let scales = quote.scales;
            Some((wide(u128::from(price), scales.price), wide(quantity, scales.quantity)))
        };
        let both = [scaled(quote.bid), scaled(quote.ask)];
        self.quotes.entry(quote.source).or_default().push((quote.update, both));
    }

    /// The verdict, when the recording is over. False: rows or final books differ.
    pub(super) fn judge<'a>(
        mut self,
        sources: impl Iterator<Item = &'a Source>,
        out: &mut dyn Write,
    ) -> Result<bool> {
        let sources: HashMap<&str, &Source> = sources.map(|it| (it.symbol(), it)).collect();
        let mut missing = 0;
        for (symbol, rows) in &self.rows {
            let found = self.seen.get(symbol).map_or(0, |seen| seen.rows) as usize;
            missing += rows.len().saturating_sub(found);
            if rows.len() > found {
                writeln!(out, "{symbol}: {} rows expected, {found} found", rows.len())?;
            }
        }
        let (mut hashes, mut wrong_hashes) = (0, 0);
        let (mut counts, mut wrong_counts) = (0, 0);
        for (symbol, expected) in std::mem::take(&mut self.summary) {
            let source = sources.get(symbol.as_str()).copied();
            let empty = Seen::default();
            let seen = self.seen.get(&symbol).unwrap_or(&empty);
            for (name, expected) in expected.as_object().into_iter().flatten() {
                if name == "final_book_sha256" {
                    let found = source.map(|it| book_sha256(it.book())).transpose()?;
                    hashes += 1;
                    if !expected.is_null() && expected.as_str() != found.as_deref() {
                        wrong_hashes += 1;
                        let found = found.as_deref().unwrap_or("no book");
                        writeln!(out, "{symbol} {name}: expected {expected}, found {found}")?;
                    }
                    continue;
                }
                let Some(source) = source else { continue };
                let quotes = self.quotes.get(&source.id()).map_or(&[][..], Vec::as_slice);
                let found = count(name, expected, source, seen, quotes);
                let Some(found) = found else { continue };
                counts += 1;
                if &found != expected {
                    wrong_counts += 1;
                    writeln!(out, "{symbol} {name}: expected {expected}, found {found}")?;
                }
            }
        }
        let agreed = self.compared - self.differing;
        writeln!(
            out,
            "rows: {agreed} agree, {} differ, {missing} missing; final books: {} of {hashes} \
             agree; counts: {} of {counts} agree",
            self.differing,
            hashes - wrong_hashes,
            counts - wrong_counts,
        )?;
        Ok(self.differing == 0 && missing == 0 && wrong_hashes == 0)
    }
}

fn with_end(prefix: &Path, end: &str) -> PathBuf {
    let mut path = prefix.as_os_str().to_owned();
    path.push(end);
    path.into()
}

type Rows = HashMap<String, Vec<Box<str>>>;

fn read_rows(mut lines: impl BufRead) -> Result<(Form, Rows)> {
    let mut rows = Rows::new();
    let mut form = None;
    let mut line = String::new();
    for number in 0..=ROWS_MAX {
        line.clear();
        if lines.by_ref().take(ROW_BYTES_MAX).read_line(&mut line)? == 0 {
            return Ok((form.context("no rows")?, rows));
        }
        let row = line.trim_end();
        match form {
            None => {
                form = Some(match row {
                    BINANCE_COLUMNS => Form::Binance,
                    BITGET_COLUMNS => Form::Bitget,
                    _ => bail!("line {}: columns that nobody knows", number + 1),
                });
            }
            Some(_) => {
                let (symbol, _) = row.split_once(',').with_context(|| format!("line {number}"))?;
                match rows.get_mut(symbol) {
                    Some(rows) => rows.push(row.into()),
                    None => drop(rows.insert(symbol.to_owned(), vec![row.into()])),
                }
            }
        }
    }
    bail!("more than {ROWS_MAX} rows")
}

fn read_summary(path: &Path) -> Result<Map<String, Value>> {
    let mut text = Vec::new();
    File::open(path)?.take(SUMMARY_BYTES_MAX).read_to_end(&mut text)?;
    ensure!((text.len() as u64) < SUMMARY_BYTES_MAX, "longer than {SUMMARY_BYTES_MAX} bytes");
    match serde_json::from_slice(&text)? {
        Value::Object(summary) => Ok(summary),
        _ => bail!("no JSON object"),
    }
}

impl Seen {
    fn take_in(&mut self, book: &Book, depth: &Depth, read: &Read) {
        if depth.is_snapshot {
            self.snapshots += 1;
            let levels = (book.len(Side::Buy), book.len(Side::Sell));
            self.snapshot.get_or_insert((depth.last, levels.0, levels.1));
        }
        self.crossed += u64::from(book.crossed().is_some());
        for level in [&depth.bids, &depth.asks].into_iter().flat_map(|it| read.levels(it)) {
            self.max_places.0 = self.max_places.0.max(level.price.places);
            self.max_places.1 = self.max_places.1.max(level.quantity.places);
        }
    }

    /// After how many updates the best bid and ask were those of the last quote, and where not.
    ///
    /// The quote is the last one up to the update, by ids, of those that are newer than the
    /// snapshot.
    fn quotes_compared(&self, quotes: &[(u64, Top)]) -> (u64, Vec<u64>) {
        let snapshot = self.snapshot.map_or(0, |it| it.0);
        let mut quotes: Vec<&(u64, Top)> = quotes.iter().collect();
        quotes.sort_by_key(|quote| quote.0);
        let (mut equal, mut differing) = (0, Vec::new());
        for (update, top) in &self.tops {
            let until = quotes.partition_point(|quote| quote.0 <= *update);
            let last = until.checked_sub(1).and_then(|at| quotes.get(at));
            match last.filter(|quote| quote.0 >= snapshot) {
                Some(quote) if quote.1 == *top => equal += 1,
                Some(_) => differing.push(*update),
                None => {}
            }
        }
        (equal, differing)
    }
}

fn wide(count: u128, scale: u8) -> u128 {
    count.saturating_mul(10_u128.pow(u32::from(WIDEST.saturating_sub(scale))))
}

fn top(book: &Book) -> Top {
    let scales = book.scales();
    [Side::Buy, Side::Sell].map(|side| {
        let (price, quantity) = book.best(side)?;
        Some((wide(u128::from(price), scales.price), wide(quantity, scales.quantity)))
    })
}

/// A count of 10^-`scale` as one of 10^-8; with a fraction where it needs more places.
fn write_at_8(text: &mut String, count: u128, scale: u8) -> Result<()> {
    if let Some(missing) = PLACES.checked_sub(scale) {
        let factor = 10_u128.pow(u32::from(missing));
        write!(text, "{}", count.checked_mul(factor).context("too large a number")?)?;
        return Ok(());
    }
    let divisor = 10_u128.pow(u32::from(scale - PLACES));
    write!(text, "{}", count / divisor)?;
    let rest = count % divisor;
    if rest > 0 {
        let width = usize::from(scale - PLACES);
        write!(text, ".{}", format!("{rest:0width$}").trim_end_matches('0'))?;
    }
    Ok(())
}

/// `B5,A5,OBI5,B10,…` with a comma before each.
fn write_imbalances(text: &mut String, book: &Book) -> Result<()> {
    let scale = book.scales().quantity;
    for imbalance in book.imbalances().context("sums beyond all bounds")? {
        let Imbalance { bids, asks } = imbalance;
        for sum in [bids, asks] {
            text.push(',');
            write_at_8(text, sum, scale)?;
        }
        match imbalance.ratio() {
            Some(ratio) => write!(text, ",{ratio}")?,
            None => text.push_str(",nan"),
        }
    }
    Ok(())
}

fn write_binance(text: &mut String, seq: u64, source: &Source, depth: &Depth) -> Result<()> {
    let book = source.book();
    let receive_ns = source.committed().map_or(0, |it| it.receive_ns);
    let Depth { event_ms, last, .. } = depth;
    write!(text, "{},{seq},{receive_ns},{event_ms},{last}", source.symbol())?;
    for side in [Side::Buy, Side::Sell] {
        text.push(',');
        let best = book.best(side);
        if let Some((price, _)) = best {
            write_at_8(text, u128::from(price), book.scales().price)?;
        }
        text.push(',');
        if let Some((_, quantity)) = best {
            write_at_8(text, quantity, book.scales().quantity)?;
        }
    }
    write_imbalances(text, book)
}

/// Best bid and ask stand there as the venue wrote them.
fn write_bitget(text: &mut String, seq: u64, source: &Source, depth: &Depth) -> Result<()> {
    let book = source.book();
    let action = if depth.is_snapshot { "snapshot" } else { "update" };
    write!(text, "{},{seq},{action},{}", source.symbol(), depth.event_ms)?;
    match depth.checksum {
        Some(sent) => write!(text, ",{sent}")?,
        None => text.push(','),
    }
    write!(text, ",{}", book.checksum(feed::session::CHECKSUM_LEVELS))?;
    for side in [Side::Buy, Side::Sell] {
        let best = book.ranked(side, 0);
        text.push(',');
        if let Some((price, _, written)) = best {
            write_as_written(text, u128::from(price), book.scales().price, written.price);
        }
        text.push(',');
        if let Some((_, quantity, written)) = best {
            write_as_written(text, quantity, book.scales().quantity, written.quantity);
        }
    }
    write!(text, ",{},{}", book.len(Side::Buy), book.len(Side::Sell))?;
    write_imbalances(text, book)
}

/// SHA-256 of `b,<price>,<quantity>` from the best bid and `a,…` from the best ask, counts of 10^-8.
fn book_sha256(book: &Book) -> Result<String> {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    let mut line = String::new();
    for (side, letter) in [(Side::Buy, 'b'), (Side::Sell, 'a')] {
        for (price, quantity) in book.levels(side) {
            line.clear();
            line.push(letter);
            line.push(',');
            write_at_8(&mut line, u128::from(price), book.scales().price)?;
            line.push(',');
            write_at_8(&mut line, quantity, book.scales().quantity)?;
            line.push('\n');
            context.update(line.as_bytes());
        }
    }
    let digest = context.finish();
    Ok(digest.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}")))
}

/// What the replay counted under the name of a summary; none: it counts nothing of that name.
fn count(
    name: &str,
    expected: &Value,
    source: &Source,
    seen: &Seen,
    quotes: &[(u64, Top)],
) -> Option<Value> {
    let counts = source.counts();
    if name.starts_with("bookTicker") {
        let (equal, differing) = seen.quotes_compared(quotes);
        return Some(match name {
            "bookTicker_equal" => json!(equal),
            "bookTicker_differs" => json!(differing.len()),
            "bookTicker_differs_at_u" => json!(differing),
            _ => return None,
        });
    }
    Some(match name {
        "counts" => json!(kinds(expected, source)),
        "snapshot_lastUpdateId" => json!(seen.snapshot?.0),
        "snapshot_levels" => json!([seen.snapshot?.1, seen.snapshot?.2]),
        "depth_events_received_before_snapshot" => json!(counts.before_snapshot),
        "dropped_stale" => json!(counts.stale),
        "first_applied_U_u" => source.first_applied().map_or(Value::Null, |it| json!([it.0, it.1])),
        "applied" => json!(counts.applied),
        "gaps" => json!(counts.gaps),
        "crossed_states" | "crossed" => json!(seen.crossed),
        "zero_qty_for_absent_level" | "zero_for_absent" => json!(counts.absent),
        "last_u" => json!(source.committed()?.update),
        "final_levels" => json!([source.book().len(Side::Buy), source.book().len(Side::Sell)]),
        "snapshots" => json!(seen.snapshots),
        "updates" => json!(counts.applied),
        "checksum_ok" => json!(counts.checksums),
        "checksum_bad" => json!(counts.gaps),
        "max_price_decimals" => json!(seen.max_places.0),
        "max_qty_decimals" => json!(seen.max_places.1),
        _ => return None,
    })
}

/// Messages by kind, as far as a session tells kinds apart: both kinds of trades are trades, and
/// candles are the rest.
fn kinds(expected: &Value, source: &Source) -> Map<String, Value> {
    let counts = source.counts();
    let others = counts.messages - counts.depths - counts.trades - counts.quotes;
    let mut kinds = Map::new();
    for (kind, expected) in expected.as_object().into_iter().flatten() {
        let found = match kind.as_str() {
            "depth" => counts.depths,
            "snap" => counts.answers,
            "bookTicker" => counts.quotes,
            "trade" | "aggTrade" => counts.trades,
            "kline" => others,
            _ => {
                kinds.insert(kind.clone(), expected.clone());
                continue;
            }
        };
        kinds.insert(kind.clone(), json!(found));
    }
    kinds
}
