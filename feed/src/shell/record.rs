//! What came, as it came: a recording that `outcry feed replay` plays through the same adapters.
//!
//! A text file, gzipped, one line for each thing that happened, in order of receive time (our
//! clock, nanoseconds since 1970). The first word after the time says what it is:
//!
//! ```text
//! <ns> <text>                                         a message on connection 0
//! <ns> @<connection> <text>                           a message on any connection
//! <ns> #open <connection> <venue> <market> <symbols> <url>   it was opened
//! <ns> #close <connection> <reason …>                 it ended, or never came about
//! <ns> #answer <connection> <status> <retry-after> <url> <body …>
//!                                                     to a request of the connection's adapter
//! <ns> #lost <count>                                  so many lines were not written: a gap
//! ```
//!
//! - A recording of one connection is what other tools call a raw capture: `<ns> <JSON>`.
//! - A `connection` is one adapter, counted from 0; it keeps its number when it is opened again.
//!   `symbols` are joined with commas, as the venue writes them. None of these has a space in it.
//! - A message is the rest of its line, byte for byte. A line break in it is written as a space (in
//!   JSON they mean the same); a message of connection 0 that begins with `@` or `#` is written
//!   with `@0`.
//! - `status` is HTTP's, or 0 when there was no answer; then the body is the reason.
//!   `retry-after` is in seconds, `-` without one.
//! - Bytes that are no message, as pings, are not written.
//!
//! Files are rotated by size: the first has the name that was asked for (`a.gz`), later ones have a
//! number before the last dot (`a.2.gz`, `a.3.gz`). Each begins with the `#open` lines of the
//! connections that are open, and is a whole gzip file. A file whose writer was killed ends early,
//! at most a second before the end; what is there is good. When all files together exceed their
//! bound, the oldest are deleted.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

/// Bounds of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordOptions {
    /// Compressed bytes after which a new file is begun; what is being compressed, some 32 KiB, comes
    /// on top.
    pub file_bytes_max: u64,
    /// Compressed bytes of all files; the oldest are deleted. At least two files' worth.
    pub total_bytes_max: u64,
}

impl Default for RecordOptions {
    fn default() -> RecordOptions {
        RecordOptions { file_bytes_max: 256 << 20, total_bytes_max: 8 << 30 }
    }
}

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    Text {
        connection: u32,
        text: &'a [u8],
    },
    Open {
        connection: u32,
        venue: &'a str,
        market: &'a str,
        symbols: &'a str,
        url: &'a str,
    },
    Close {
        connection: u32,
        reason: &'a str,
    },
    Answer {
        connection: u32,
        status: u16,
        retry_after_s: Option<u64>,
        url: &'a str,
        body: &'a [u8],
    },
    Lost {
        count: u64,
    },
}

impl Line<'_> {
    /// Appends the line, with its end.
    pub fn write(&self, receive_ns: u64, out: &mut Vec<u8>) {
        let _ = write!(out, "{receive_ns} ");
        match *self {
            Line::Text { connection: 0, text } if !matches!(text.first(), Some(b'@' | b'#')) => {
                push_text(text, out);
            }
            Line::Text { connection, text } => {
                let _ = write!(out, "@{connection} ");
                push_text(text, out);
            }
            Line::Open { connection, venue, market, symbols, url } => {
                let words = [venue, market, symbols, url].map(word);
                let _ = write!(out, "#open {connection} {}", words.join(" "));
            }
            Line::Close { connection, reason } => {
                let _ = write!(out, "#close {connection} ");
                push_text(reason.as_bytes(), out);
            }
            Line::Answer { connection, status, retry_after_s, url, body } => {
                let wait = retry_after_s.map_or_else(|| "-".to_owned(), |it| it.to_string());
                let _ = write!(out, "#answer {connection} {status} {wait} {} ", word(url));
                push_text(body, out);
            }
            Line::Lost { count } => {
                let _ = write!(out, "#lost {count}");
            }
        }
        out.push(b'\n');
    }
}

fn push_text(text: &[u8], out: &mut Vec<u8>) {
    let from = out.len();
    out.extend_from_slice(text);
    for byte in out.iter_mut().skip(from) {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
}

/// Words of the format have no spaces; an empty one is a dash.
fn word(text: &str) -> String {
    match text.is_empty() {
        true => "-".to_owned(),
        false => text.replace(char::is_whitespace, "_"),
    }
}

/// Writes a recording: the file that is open, and the ones before it.
///
/// **Invariants:** `files` are in the order in which they were begun; the last is the open one.
pub struct Recorder {
    options: RecordOptions,
    out: PathBuf,
    files: Vec<(PathBuf, u64)>,
    number: u64,
    encoder: GzEncoder<Counted>,
    line: Vec<u8>,
    /// The last `#open` line of each connection that is open, for the next file.
    open: Vec<(u32, Vec<u8>)>,
}

/// The file below the compression, and how many bytes it has got.
struct Counted {
    file: BufWriter<File>,
    bytes: u64,
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.bytes = self.bytes.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Recorder {
    /// Begins a new file: `out`, or the next free number when there is one already. Older files of
    /// the same name count against the bound.
    pub fn create(out: &Path, options: RecordOptions) -> io::Result<Recorder> {
        let mut files = existing(out)?;
        let number = files.last().map_or(1, |&(number, ..)| number.saturating_add(1));
        let path = name_of(out, number);
        let encoder = begin(&path)?;
        let mut files: Vec<_> = files.drain(..).map(|(_, path, bytes)| (path, bytes)).collect();
        files.push((path, 0));
        let (line, open) = (Vec::new(), Vec::new());
        Ok(Recorder { options, out: out.to_owned(), files, number, encoder, line, open })
    }

    /// The file that is open.
    pub fn path(&self) -> &Path {
        self.files.last().map_or(&self.out, |(path, _)| path)
    }

    pub fn write(&mut self, receive_ns: u64, line: &Line<'_>) -> io::Result<()> {
        self.line.clear();
        line.write(receive_ns, &mut self.line);
        self.encoder.write_all(&self.line)?;
        self.remember(line);
        match self.encoder.get_ref().bytes >= self.options.file_bytes_max {
            true => self.rotate(),
            false => Ok(()),
        }
    }

    /// Hands all that was written to the kernel; afterwards it can be read whatever becomes of this
    /// process. Costs some of the compression: about once a second is enough.
    pub fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush()
    }

    /// Ends the last file.
    pub fn finish(mut self) -> io::Result<()> {
        self.encoder.try_finish()?;
        self.encoder.get_mut().flush()
    }

    fn remember(&mut self, line: &Line<'_>) {
        let (Line::Open { connection, .. } | Line::Close { connection, .. }) = *line else {
            return;
        };
        self.open.retain(|&(it, _)| it != connection);
        if matches!(line, Line::Open { .. }) {
            self.open.push((connection, self.line.clone()));
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.encoder.try_finish()?;
        self.encoder.get_mut().flush()?;
        if let Some((_, bytes)) = self.files.last_mut() {
            *bytes = self.encoder.get_ref().bytes;
        }
        self.number = self.number.saturating_add(1);
        let path = name_of(&self.out, self.number);
        self.encoder = begin(&path)?;
        self.files.push((path, 0));
        for (_, line) in &self.open {
            self.encoder.write_all(line)?;
        }
        self.delete_oldest()
    }

    /// Keeps what is there, and room for the file that was begun, within the bound.
    fn delete_oldest(&mut self) -> io::Result<()> {
        let room = self.options.total_bytes_max.saturating_sub(self.options.file_bytes_max);
        let mut total: u64 = self.files.iter().map(|&(_, bytes)| bytes).sum();
        while total > room && self.files.len() > 1 {
            let (path, bytes) = self.files.remove(0);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => total = total.saturating_sub(bytes),
            }
        }
        Ok(())
    }
}

fn begin(path: &Path) -> io::Result<GzEncoder<Counted>> {
    // Never over another one.
    let file = File::options().write(true).create_new(true).open(path)?;
    let counted = Counted { file: BufWriter::new(file), bytes: 0 };
    Ok(GzEncoder::new(counted, Compression::default()))
}

/// `a.gz` is the first, `a.2.gz` the second.
fn name_of(out: &Path, number: u64) -> PathBuf {
    if number <= 1 {
        return out.to_owned();
    }
    let (stem, extension) = halves(out);
    out.with_file_name(format!("{stem}.{number}{extension}"))
}

/// A name up to its last dot, and from there on.
fn halves(out: &Path) -> (String, String) {
    let name = out.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match name.rfind('.') {
        Some(dot) if dot > 0 => {
            let (stem, extension) = name.split_at(dot);
            (stem.to_owned(), extension.to_owned())
        }
        _ => (name, String::new()),
    }
}

/// What lies there of the same name, by number, with its length.
fn existing(out: &Path) -> io::Result<Vec<(u64, PathBuf, u64)>> {
    let folder = match out.parent() {
        Some(folder) if folder.as_os_str().is_empty() => Path::new("."),
        Some(folder) => folder,
        None => return Err(io::Error::new(io::ErrorKind::InvalidInput, "not the name of a file")),
    };
    let (stem, extension) = halves(out);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let middle = name.strip_prefix(&stem).and_then(|it| it.strip_suffix(&extension));
        let number = match middle {
            Some("") => Some(1),
            Some(middle) => middle.strip_prefix('.').and_then(|it| it.parse::<u64>().ok()),
            None => None,
        };
        // Of `a.02.gz` we know nothing.
        let number = number.filter(|&it| name_of(out, it).file_name() == Some(&entry.file_name()));
        if let Some(number) = number {
            found.push((number, entry.path(), entry.metadata()?.len()));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;

    fn written(line: &Line<'_>) -> String {
        let mut out = Vec::new();
        line.write(1_723_161_256_071_000_000, &mut out);
        String::from_utf8(out).unwrap().strip_prefix("1723161256071000000 ").unwrap().to_owned()
    }

    #[test]
    fn each_kind_of_line_has_its_form() {
        let text =
            |connection, text: &'static str| Line::Text { connection, text: text.as_bytes() };
        assert_eq!(written(&text(0, "{\"a\":1}")), "{\"a\":1}\n");
        assert_eq!(written(&text(3, "{\"a\":1}")), "@3 {\"a\":1}\n");
        assert_eq!(written(&text(0, "#open")), "@0 #open\n");
        assert_eq!(written(&text(0, "@1 x")), "@0 @1 x\n");
        assert_eq!(written(&text(0, "{\r\n}")), "{  }\n");
        let (venue, market, symbols) = ("binance", "spot", "BTCUSDT,ETHUSDT");
        let open = Line::Open { connection: 0, venue, market, symbols, url: "ws://a/b" };
        assert_eq!(written(&open), "#open 0 binance spot BTCUSDT,ETHUSDT ws://a/b\n");
        let close = Line::Close { connection: 1, reason: "cut\noff" };
        assert_eq!(written(&close), "#close 1 cut off\n");
        let answer = |retry_after_s| Line::Answer {
            connection: 2,
            status: 429,
            retry_after_s,
            url: "http://a/d?x=1",
            body: b"{ }",
        };
        assert_eq!(written(&answer(None)), "#answer 2 429 - http://a/d?x=1 { }\n");
        assert_eq!(written(&answer(Some(7))), "#answer 2 429 7 http://a/d?x=1 { }\n");
        assert_eq!(written(&Line::Lost { count: 5 }), "#lost 5\n");
    }

    fn read(path: &Path) -> io::Result<String> {
        let mut text = String::new();
        GzDecoder::new(File::open(path)?).read_to_string(&mut text).map(|_| text)
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<_> =
            entries.map(|it| it.unwrap().file_name().into_string().unwrap()).collect();
        names.sort_by_key(|name| (name.len(), name.clone()));
        names
    }

    /// Hardly compressible, the same each time.
    fn noise(seed: u64) -> String {
        let mut random = crate::shell::random::Random::new(seed);
        (0..64).map(|_| format!("{:016x}", random.draw())).collect()
    }

    fn record(recorder: &mut Recorder, lines: std::ops::Range<u64>) {
        for seed in lines {
            let text = noise(seed);
            recorder.write(seed, &Line::Text { connection: 0, text: text.as_bytes() }).unwrap();
        }
    }

    const OPEN: Line<'static> =
        Line::Open { connection: 0, venue: "a", market: "b", symbols: "C", url: "ws://d" };

    #[test]
    fn rotated_files_read_in_order_are_what_came_and_each_says_what_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let options = RecordOptions { file_bytes_max: 60_000, total_bytes_max: 1 << 30 };
        let mut recorder = Recorder::create(&folder.path().join("a.gz"), options).unwrap();
        recorder.write(0, &OPEN).unwrap();
        record(&mut recorder, 1..600);
        recorder.finish().unwrap();
        let names = names(folder.path());
        assert!(names.len() > 4 && names[0] == "a.gz" && names[1] == "a.2.gz", "{names:?}");
        let mut expected = 1..600;
        for name in names {
            let text = read(&folder.path().join(&name)).unwrap();
            let mut lines = text.lines();
            assert_eq!(lines.next(), Some("0 #open 0 a b C ws://d"), "{name}");
            for line in lines {
                let seed = expected.next().unwrap();
                assert_eq!(line, format!("{seed} {}", noise(seed)));
            }
        }
        assert_eq!(expected.next(), None);
    }

    #[test]
    fn the_oldest_files_go_when_there_are_too_many_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let options = RecordOptions { file_bytes_max: 100_000, total_bytes_max: 500_000 };
        let mut recorder = Recorder::create(&folder.path().join("a.gz"), options).unwrap();
        record(&mut recorder, 0..2_000);
        recorder.finish().unwrap();
        let names = names(folder.path());
        assert!(!names.contains(&"a.gz".to_owned()) && names.len() >= 3, "{names:?}");
        let lengths = names.iter().map(|it| folder.path().join(it).metadata().unwrap().len());
        assert!(lengths.sum::<u64>() <= 550_000);
    }

    #[test]
    fn a_second_recording_of_a_name_goes_on_behind_the_first() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.02.gz"), "not ours").unwrap();
        for _ in 0..3 {
            let out = folder.path().join("a.gz");
            Recorder::create(&out, RecordOptions::default()).unwrap().finish().unwrap();
        }
        assert_eq!(names(folder.path()), ["a.gz", "a.2.gz", "a.3.gz", "a.02.gz"]);
        let out = folder.path().join("b");
        let recorder = Recorder::create(&out, RecordOptions::default()).unwrap();
        assert_eq!(recorder.path(), out);
    }

    #[test]
    fn what_was_flushed_is_there_when_the_writer_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("a.gz");
        let mut recorder = Recorder::create(&out, RecordOptions::default()).unwrap();
        record(&mut recorder, 0..10);
        recorder.flush().unwrap();
        let mut text = Vec::new();
        let ended = GzDecoder::new(File::open(&out).unwrap()).read_to_end(&mut text);
        assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(text.split(|&it| it == b'\n').count(), 11);
        recorder.finish().unwrap();
        assert_eq!(read(&out).unwrap().lines().count(), 10);
    }
}
