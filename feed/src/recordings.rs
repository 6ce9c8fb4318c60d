//! Recordings: our own, and the raw formats of two other recorders, plain or gzipped.
//!
//! What a line is, its beginning says:
//!
//! | line | what |
//! |---|---|
//! | `<ns> <JSON>` | a message, or a snapshot that names no symbol |
//! | `<ns> @<connection> …`, `<ns> #<word> …` | ours: see [`crate::shell::record`] |
//! | `<seconds>.<fraction>: <JSON>` | a message |
//! | `<url> -> <seconds>.<fraction>: <JSON>` | the answer to a GET |
//! | `<url> <- …`, `<url> <-> …`, `configuration: …` | sent, opened, settings: passed over |
//!
//! Several files are merged by receive time; lines of one file stay in their order. Which market a
//! file is of, its URLs and its messages say.

use crate::adapter::Venue;
use crate::binance::Binance;
use crate::bitget::{Bitget, Channel, Product, Version};
use crate::scan::Scan;
use flate2::read::MultiGzDecoder;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The longest line that is read, in bytes.
const LINE_BYTES_MAX: u64 = 32 << 20;
/// Lines that are looked at to find out what a file is.
const LOOK_LINES_MAX: usize = 20_000;
/// Connections of one replay.
const CONNECTIONS_MAX: usize = 1_000;
const BUFFER_BYTES: usize = 1 << 18;

/// A recording that cannot be read on.
#[derive(Debug)]
pub struct Error {
    file: String,
    /// From 1; 0: the file itself.
    line: u64,
    what: String,
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(out, "{}: {}", self.file, self.what),
            line => write!(out, "{}: line {line}: {}", self.file, self.what),
        }
    }
}

impl std::error::Error for Error {}

/// A market of Binance that a person says a recording is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MarketOption {
    Spot,
    UsdM,
}

/// One connection of a recording.
#[derive(Debug, Clone)]
pub struct Connection {
    pub venue: Arc<dyn Venue>,
    /// Which of several it is: a host, or what was written when it was opened.
    pub name: String,
}

/// One thing that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// Nanoseconds since 1970, as the recorder's clock had it.
    pub receive_ns: u64,
    /// Place in [`Recordings::connections`].
    pub connection: usize,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    Opened,
    Closed {
        reason: String,
    },
    Text(Vec<u8>),
    /// A snapshot; without symbol where the recording has one symbol and does not say.
    Snapshot {
        symbol: Option<String>,
        body: Vec<u8>,
    },
}

/// Recordings that are read as one.
pub struct Recordings {
    files: Vec<Recording>,
    connections: Vec<Connection>,
    market: Option<MarketOption>,
}

/// Makes a reader of the same bytes each time.
pub type Make<'a> = &'a dyn Fn() -> Box<dyn Read>;

/// One file.
struct Recording {
    name: String,
    reader: Box<dyn BufRead>,
    line: Vec<u8>,
    number: u64,
    /// Lines that are none of the formats.
    strange: u64,
    is_cut: bool,
    /// Receive times of a file do not run backwards here.
    clock_ns: u64,
    ahead: Option<Recorded>,
    guess: Guess,
    /// Connections of our own format, by their numbers.
    own: Vec<(u32, usize, u64)>,
}

/// What a file is of, as far as its lines say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Guess {
    is_usdm: bool,
    is_us: bool,
}

/// A line, taken apart.
enum Line<'a> {
    Own { receive_ns: u64, rest: &'a [u8] },
    Text { receive_ns: u64, text: &'a [u8] },
    Answer { receive_ns: u64, url: &'a str, body: &'a [u8] },
    Passed,
    Strange,
}

impl Recordings {
    /// Opens all files. `market`: what Binance's messages are of, if the files are not to say it.
    pub fn open(paths: &[PathBuf], market: Option<MarketOption>) -> Result<Recordings, Error> {
        let mut recordings = Recordings { files: Vec::new(), connections: Vec::new(), market };
        for path in paths {
            let guess = look(Recording::new(path, open(path)?, Guess::default()))?;
            let file = Recording::new(path, open(path)?, guess);
            recordings.files.push(file);
        }
        Ok(recordings)
    }

    /// Reads what is in memory or comes in pieces; each source is called for twice, and must give
    /// the same bytes.
    pub fn from_readers(
        sources: &[(&str, Make<'_>)],
        market: Option<MarketOption>,
    ) -> Result<Recordings, Error> {
        let mut recordings = Recordings { files: Vec::new(), connections: Vec::new(), market };
        for (name, make) in sources {
            let path = Path::new(name);
            let guess = look(Recording::new(path, unpacked(path, make())?, Guess::default()))?;
            let reader = unpacked(path, make())?;
            recordings.files.push(Recording::new(path, reader, guess));
        }
        Ok(recordings)
    }

    pub fn connections(&self) -> &[Connection] {
        &self.connections
    }

    /// What a person should know about the files, when all are read.
    pub fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        for file in &self.files {
            if file.strange > 0 {
                remarks.push(format!("{}: {} lines of no known format", file.name, file.strange));
            }
            if file.is_cut {
                remarks.push(format!("{}: ends in the middle", file.name));
            }
        }
        remarks
    }

    /// The next thing of all files, by receive time.
    pub fn read_next(&mut self) -> Result<Option<Recorded>, Error> {
        for file in &mut self.files {
            while file.ahead.is_none() && file.read()? {
                file.ahead = file.recorded(&mut self.connections, self.market)?;
            }
        }
        let first = self.files.iter_mut().filter(|file| file.ahead.is_some());
        let first = first.min_by_key(|file| file.clock_ns);
        Ok(first.and_then(|file| file.ahead.take()))
    }
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, Error> {
    let file = File::open(path).map_err(|error| failed(path, &error))?;
    unpacked(path, Box::new(file))
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error { file: path.display().to_string(), line: 0, what: error.to_string() }
}

/// Plain or gzipped: the first bytes say it.
fn unpacked(path: &Path, reader: Box<dyn Read>) -> Result<Box<dyn BufRead>, Error> {
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, reader);
    let mut magic = [0; 2];
    let mut length = 0;
    while let Some(rest @ [_, ..]) = magic.get_mut(length..) {
        match reader.read(rest) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(path, &error)),
        }
    }
    let begin = io::Cursor::new(magic.get(..length).unwrap_or(&[]).to_vec());
    let whole = begin.chain(reader);
    Ok(match magic == [0x1f, 0x8b] {
        true => Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(whole))),
        false => Box::new(BufReader::with_capacity(BUFFER_BYTES, whole)),
    })
}

/// Reads the beginning of a file to find out what it is of.
fn look(mut file: Recording) -> Result<Guess, Error> {
    let mut guess = Guess::default();
    let mut understood = false;
    for _ in 0..LOOK_LINES_MAX {
        if !file.read()? {
            break;
        }
        let line = &file.line;
        guess.is_us |= !line.starts_with(b"{") && contains(line, b"binance.us");
        let by_url = contains(line, b"//fapi.") || contains(line, b"//fstream.");
        let is_depth = contains(line, b"\"depthUpdate\"");
        guess.is_usdm |= by_url || (is_depth && contains(line, b"\"pu\""));
        understood |= !matches!(taken_apart(line), Line::Strange);
        if is_depth && understood {
            break;
        }
    }
    match understood || file.number <= 1 {
        true => Ok(guess),
        false => Err(file.error("no line is of a known format")),
    }
}

fn contains(line: &[u8], words: &[u8]) -> bool {
    line.windows(words.len()).any(|window| window == words)
}

impl Recording {
    fn new(path: &Path, reader: Box<dyn BufRead>, guess: Guess) -> Recording {
        Recording {
            name: path.display().to_string(),
            reader,
            line: Vec::new(),
            number: 0,
            strange: 0,
            is_cut: false,
            clock_ns: 0,
            ahead: None,
            guess,
            own: Vec::new(),
        }
    }

    fn error(&self, what: impl fmt::Display) -> Error {
        Error { file: self.name.clone(), line: self.number, what: what.to_string() }
    }

    /// Reads a line, without its end. A gzip stream that ends early ends the file: its recorder was
    /// killed.
    fn read(&mut self) -> Result<bool, Error> {
        self.line.clear();
        let mut bounded = self.reader.by_ref().take(LINE_BYTES_MAX);
        let read = bounded.read_until(b'\n', &mut self.line);
        self.number += 1;
        match read {
            Ok(0) => Ok(false),
            Ok(_) if self.line.ends_with(b"\n") => {
                let length = self.line.trim_ascii_end().len();
                self.line.truncate(length);
                Ok(true)
            }
            Ok(length) if length as u64 >= LINE_BYTES_MAX => {
                Err(self.error(format_args!("longer than {LINE_BYTES_MAX} bytes")))
            }
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.is_cut = true;
                self.line.clear();
                Ok(false)
            }
            Err(error) => Err(self.error(error)),
        }
    }

    /// What the line that was read says, if it is of interest.
    fn recorded(
        &mut self,
        connections: &mut Vec<Connection>,
        market: Option<MarketOption>,
    ) -> Result<Option<Recorded>, Error> {
        let line = std::mem::take(&mut self.line);
        let found = match taken_apart(&line) {
            Line::Own { receive_ns, rest } => self.own(receive_ns, rest, connections, market)?,
            Line::Text { receive_ns, text } => {
                let connection = self.guessed(text, connections, market)?;
                Some(self.stamped(receive_ns, connection, message(text)))
            }
            Line::Answer { receive_ns, url, body } => match symbol_of(url) {
                Some(symbol) if url.contains("depth") => {
                    let connection = self.guessed(body, connections, market)?;
                    let (symbol, body) = (Some(symbol), body.to_vec());
                    Some(self.stamped(receive_ns, connection, What::Snapshot { symbol, body }))
                }
                _ => None,
            },
            Line::Passed => None,
            Line::Strange => {
                self.strange += 1;
                None
            }
        };
        self.line = line;
        Ok(found)
    }

    fn stamped(&mut self, receive_ns: u64, connection: usize, what: What) -> Recorded {
        // The stamp is told as it was recorded; the order in which files are merged is another.
        self.clock_ns = self.clock_ns.max(receive_ns);
        Recorded { receive_ns, connection, what }
    }

    /// A line of `<ns> …`.
    fn own(
        &mut self,
        receive_ns: u64,
        rest: &[u8],
        connections: &mut Vec<Connection>,
        market: Option<MarketOption>,
    ) -> Result<Option<Recorded>, Error> {
        let (mark, words) = match rest.split_first() {
            Some((mark @ (b'@' | b'#'), words)) => (*mark, words),
            _ => {
                let connection = match self.own.iter().find(|it| it.0 == 0) {
                    Some(&(_, connection, _)) => connection,
                    None => self.guessed(rest, connections, market)?,
                };
                return Ok(Some(self.stamped(receive_ns, connection, message(rest))));
            }
        };
        let (first, words) = word(words);
        if mark == b'@' {
            let Some(connection) = self.numbered(first) else { return Ok(self.is_strange()) };
            let what = What::Text(words.to_vec());
            return Ok(Some(self.stamped(receive_ns, connection, what)));
        }
        let (number, words) = word(words);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let what = match first {
            b"open" => return self.opened(receive_ns, number, words, connections),
            b"close" => What::Closed { reason: text(words) },
            b"answer" => {
                let (status, words) = word(words);
                let (_, words) = word(words);
                let (url, body) = word(words);
                match (status, symbol_of(&text(url))) {
                    (b"200", symbol @ Some(_)) => What::Snapshot { symbol, body: body.to_vec() },
                    _ => return Ok(None),
                }
            }
            b"lost" => return Ok(None),
            _ => return Ok(self.is_strange()),
        };
        let Some(connection) = self.numbered(number) else { return Ok(self.is_strange()) };
        Ok(Some(self.stamped(receive_ns, connection, what)))
    }

    fn is_strange(&mut self) -> Option<Recorded> {
        self.strange += 1;
        None
    }

    fn numbered(&self, number: &[u8]) -> Option<usize> {
        let number: u32 = std::str::from_utf8(number).ok()?.parse().ok()?;
        self.own.iter().find(|it| it.0 == number).map(|&(_, connection, _)| connection)
    }

    /// `#open <connection> <venue> <market> <symbols> <url>`
    fn opened(
        &mut self,
        receive_ns: u64,
        number: &[u8],
        words: &[u8],
        connections: &mut Vec<Connection>,
    ) -> Result<Option<Recorded>, Error> {
        let text = std::str::from_utf8(words).map_err(|error| self.error(error))?;
        let mut words = text.split(' ');
        let (venue, market) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let number = std::str::from_utf8(number).ok().and_then(|it| it.parse::<u32>().ok());
        let (Some(number), Some(venue)) = (number, named(venue, market)) else {
            return Ok(self.is_strange());
        };
        let connection = place(connections, &format!("{number} {text}"), || venue);
        let connection = connection.ok_or_else(|| self.error("too many connections"))?;
        let before = self.own.iter().position(|it| it.0 == number);
        // Each file begins with what is open: that happened once.
        let repeats = before.and_then(|at| self.own.get(at)).is_some_and(|it| it.2 == receive_ns);
        if let Some(at) = before {
            self.own.swap_remove(at);
        }
        self.own.push((number, connection, receive_ns));
        match repeats {
            true => Ok(None),
            false => Ok(Some(self.stamped(receive_ns, connection, What::Opened))),
        }
    }

    /// The connection that a message without one belongs to.
    fn guessed(
        &self,
        text: &[u8],
        connections: &mut Vec<Connection>,
        market: Option<MarketOption>,
    ) -> Result<usize, Error> {
        let found = match bitget_market(text) {
            Some(market) => {
                let venue = || named("bitget", market);
                place(connections, &format!("bitget {market}"), || venue().unwrap_or_else(spot))
            }
            None => {
                let is_usdm = market.map_or(self.guess.is_usdm, |it| it == MarketOption::UsdM);
                let (market, at) = (if is_usdm { "usdm" } else { "spot" }, self.guess.is_us);
                let name = format!("binance {market}{}", if at { " us" } else { "" });
                place(connections, &name, || named("binance", market).unwrap_or_else(spot))
            }
        };
        found.ok_or_else(|| self.error("too many connections"))
    }
}

fn spot() -> Arc<dyn Venue> {
    Arc::new(Binance::spot())
}

fn place(
    connections: &mut Vec<Connection>,
    name: &str,
    venue: impl FnOnce() -> Arc<dyn Venue>,
) -> Option<usize> {
    if let Some(found) = connections.iter().position(|it| it.name == name) {
        return Some(found);
    }
    if connections.len() >= CONNECTIONS_MAX {
        return None;
    }
    connections.push(Connection { venue: venue(), name: name.to_owned() });
    Some(connections.len() - 1)
}

fn named(venue: &str, market: &str) -> Option<Arc<dyn Venue>> {
    Some(match (venue, market) {
        ("binance", "spot") => Arc::new(Binance::spot()),
        ("binance", "usdm") => Arc::new(Binance::usdm()),
        ("bitget", "spot") => Arc::new(Bitget::new(Version::V2, Product::Spot, Channel::Books)),
        ("bitget", "mix") => {
            Arc::new(Bitget::new(Version::V2, Product::UsdtFutures, Channel::Books))
        }
        _ => return None,
    })
}

/// The market of a message of Bitget, by its `instType`; none: it is no such message.
fn bitget_market(text: &[u8]) -> Option<&'static str> {
    const NAME: &[u8] = b"\"instType\"";
    // It stands before the data.
    let head = text.get(..text.len().min(400)).unwrap_or(&[]);
    let at = head.windows(NAME.len()).position(|window| window == NAME)?;
    let value = head.get(at + NAME.len()..)?.iter().copied();
    let value = value.skip_while(|byte| matches!(byte, b' ' | b':' | b'"'));
    let value: Vec<u8> = value.take_while(|&byte| byte != b'"').collect();
    let is_spot = value.eq_ignore_ascii_case(b"sp") || value.eq_ignore_ascii_case(b"spot");
    Some(if is_spot { "spot" } else { "mix" })
}

/// A message, unless it is a snapshot that was written among them.
fn message(text: &[u8]) -> What {
    match is_bare_snapshot(text) {
        true => What::Snapshot { symbol: None, body: text.to_vec() },
        false => What::Text(text.to_vec()),
    }
}

/// An object with `lastUpdateId` and no name of a stream or an event.
fn is_bare_snapshot(text: &[u8]) -> bool {
    if text.starts_with(b"{\"stream\"") || !text.starts_with(b"{") {
        return false;
    }
    let (mut has_id, mut is_named) = (false, false);
    let mut scan = Scan::new(text);
    let read = scan.object(|name, scan| {
        has_id |= name == b"lastUpdateId";
        is_named |= name == b"stream" || name == b"e";
        scan.skip()
    });
    read.is_ok() && has_id && !is_named
}

/// The value of `symbol` in a URL.
fn symbol_of(url: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find(|(name, _)| *name == "symbol").map(|(_, symbol)| symbol.to_uppercase())
}

/// The first word, and what is behind the space after it.
fn word(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&byte| byte == b' ') {
        Some(at) => bytes
            .split_at_checked(at)
            .map_or((bytes, &[][..]), |(word, rest)| (word, rest.get(1..).unwrap_or(&[]))),
        None => (bytes, &[]),
    }
}

fn taken_apart(line: &[u8]) -> Line<'_> {
    match line.first() {
        Some(b'0'..=b'9') => stamped_line(line),
        Some(b'h') if line.starts_with(b"http") => answer_line(line),
        Some(b'w') if line.starts_with(b"ws") => Line::Passed,
        Some(b'c') if line.starts_with(b"configuration:") => Line::Passed,
        None => Line::Passed,
        _ => Line::Strange,
    }
}

fn stamped_line(line: &[u8]) -> Line<'_> {
    let (first, rest) = word(line);
    if let Some(seconds) = first.strip_suffix(b":") {
        return match seconds_ns(seconds) {
            Some(receive_ns) => Line::Text { receive_ns, text: rest },
            None => Line::Strange,
        };
    }
    let number = std::str::from_utf8(first).ok().and_then(|it| it.parse().ok());
    match number {
        Some(receive_ns) => Line::Own { receive_ns, rest },
        None => Line::Strange,
    }
}

/// `<url> -> <seconds>: <JSON>`
fn answer_line(line: &[u8]) -> Line<'_> {
    let (url, rest) = word(line);
    let (arrow, rest) = word(rest);
    let (stamp, body) = word(rest);
    let receive_ns = stamp.strip_suffix(b":").and_then(seconds_ns);
    match (arrow, receive_ns, std::str::from_utf8(url)) {
        (b"->", Some(receive_ns), Ok(url)) => Line::Answer { receive_ns, url, body },
        _ => Line::Strange,
    }
}

/// `1617647603.4249449` as nanoseconds; more than nine places are cut.
fn seconds_ns(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || !all_digits(seconds) || !all_digits(fraction) {
        return None;
    }
    let mut nanoseconds = 0;
    for place in 0..9 {
        let digit = fraction.as_bytes().get(place).map_or(0, |byte| u64::from(byte - b'0'));
        nanoseconds = nanoseconds * 10 + digit;
    }
    seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?.checked_add(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recordings(files: &[&'static str]) -> Recordings {
        type Own = Box<dyn Fn() -> Box<dyn Read>>;
        let makes: Vec<Own> = files
            .iter()
            .map(|&text| -> Own { Box::new(move || Box::new(text.as_bytes())) })
            .collect();
        let sources: Vec<(&str, Make<'_>)> = makes.iter().map(|make| ("memory", &**make)).collect();
        Recordings::from_readers(&sources, None).unwrap()
    }

    fn all(files: &[&'static str]) -> (Vec<String>, Recordings) {
        let mut recordings = recordings(files);
        let mut lines = Vec::new();
        while let Some(it) = recordings.read_next().unwrap() {
            let name = recordings.connections()[it.connection].name.clone();
            let what = match it.what {
                What::Text(text) => String::from_utf8(text).unwrap(),
                What::Snapshot { symbol, body } => {
                    format!("snapshot {symbol:?} {}", String::from_utf8(body).unwrap())
                }
                other => format!("{other:?}"),
            };
            lines.push(format!("{} {name}: {what}", it.receive_ns));
        }
        (lines, recordings)
    }

    #[test]
    fn lines_of_all_formats_are_merged_by_receive_time() {
        let (lines, _) = all(&[
            "3000000000 {\"e\":\"depthUpdate\",\"pu\":1}\n5000000000 {\"lastUpdateId\":7}\n",
            "configuration: {}\nwss://a <-> 1.0\n4.5: {\"arg\":{\"instType\":\"sp\"}}\n\
             https://b/depth?symbol=XY&limit=5 -> 2.25: {}\nhttps://b/info -> 9.0: {}\n",
        ]);
        assert_eq!(
            lines,
            [
                "3000000000 binance usdm: {\"e\":\"depthUpdate\",\"pu\":1}",
                "4500000000 bitget spot: {\"arg\":{\"instType\":\"sp\"}}",
                "2250000000 binance spot: snapshot Some(\"XY\") {}",
                "5000000000 binance usdm: snapshot None {\"lastUpdateId\":7}",
            ]
        );
    }

    #[test]
    fn what_is_of_no_format_is_counted_and_a_file_of_it_is_refused() {
        let (lines, recordings) = all(&["1 {}\nnoise\n2 {}\n\n3"]);
        assert_eq!(lines.len(), 3);
        assert_eq!(recordings.remarks(), ["memory: 1 lines of no known format"]);
        let make = || -> Box<dyn Read> { Box::new(&b"some\ntext\n"[..]) };
        assert!(Recordings::from_readers(&[("memory", &make)], None).is_err());
    }

    #[test]
    fn receive_times_are_read_to_the_nanosecond() {
        assert_eq!(seconds_ns(b"1617647603.4249449"), Some(1_617_647_603_424_944_900));
        assert_eq!(seconds_ns(b"1.0000000019"), Some(1_000_000_001));
        for text in [&b""[..], b".5", b"1.-5", b"-1.0", b"99999999999999999999.0"] {
            assert_eq!(seconds_ns(text), None);
        }
    }
}
