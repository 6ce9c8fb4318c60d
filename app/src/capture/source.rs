//! The files of a recording: plain, gzipped, or one zip archive with a pair of them.
//!
//! What a file is, its first bytes say. Lengths are bounded; an error names file and line.

use anyhow::{Context, Result, anyhow, bail};
use flate2::CrcReader;
use flate2::read::{DeflateDecoder, MultiGzDecoder};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;
use zip::{CompressionMethod, ZipArchive};

/// The longest line that is read, in bytes.
const LINE_LENGTH_MAX: u64 = 1 << 20;
/// The most lines that are read of one file.
const LINES_MAX: u64 = 100_000_000;
const BUFFER_LENGTH: usize = 1 << 16;

/// The lines of one file, in turn.
pub(super) struct Lines {
    name: String,
    reader: Box<dyn BufRead>,
    number: u64,
    bytes: Vec<u8>,
}

enum Format {
    Plain,
    Gzip,
    Zip,
}

impl Lines {
    /// Opens a plain or gzipped file.
    pub(super) fn open(path: &Path) -> Result<Lines> {
        let name = path.display().to_string();
        let (mut file, format) = look(path)?;
        file.rewind().with_context(|| name.clone())?;
        let reader: Box<dyn BufRead> = match format {
            Format::Plain => Box::new(BufReader::with_capacity(BUFFER_LENGTH, file)),
            Format::Gzip => {
                let plain = MultiGzDecoder::new(BufReader::with_capacity(BUFFER_LENGTH, file));
                Box::new(BufReader::with_capacity(BUFFER_LENGTH, plain))
            }
            Format::Zip => bail!("{name}: a zip archive where a plain or gzipped file is expected"),
        };
        Ok(Lines::new(name, reader))
    }

    pub(super) fn new(name: String, reader: Box<dyn BufRead>) -> Lines {
        Lines { name, reader, number: 0, bytes: Vec::new() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Number of the line that was read last, from 1.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// The next line without the blanks at its end; blank lines may only end the file.
    pub(super) fn next(&mut self) -> Result<Option<&str>> {
        if !self.read()? {
            return Ok(None);
        }
        if self.is_blank() {
            let blank = self.number;
            while self.read()? {
                if !self.is_blank() {
                    bail!("{}: line {blank}: blank line before the end of the file", self.name);
                }
            }
            return Ok(None);
        }
        let text = std::str::from_utf8(&self.bytes);
        let text = text.map_err(|_| anyhow!("{}: line {}: not UTF-8", self.name, self.number))?;
        Ok(Some(text.trim_start_matches('\u{feff}').trim_end()))
    }

    /// The line that [`Lines::next`] returned last, in an error.
    pub(super) fn error(&self, what: impl Display) -> anyhow::Error {
        anyhow!("{}: line {}: {what}", self.name, self.number)
    }

    fn is_blank(&self) -> bool {
        self.bytes.trim_ascii().is_empty()
    }

    fn read(&mut self) -> Result<bool> {
        self.bytes.clear();
        let mut bounded = self.reader.by_ref().take(LINE_LENGTH_MAX);
        let read = bounded.read_until(b'\n', &mut self.bytes);
        self.number += 1;
        match read {
            Err(error) => Err(self.error(error)),
            Ok(0) => Ok(false),
            Ok(_) if self.number > LINES_MAX => {
                Err(self.error(format_args!("more than {LINES_MAX} lines")))
            }
            Ok(length) if length as u64 == LINE_LENGTH_MAX && !self.bytes.ends_with(b"\n") => {
                Err(self.error(format_args!("longer than {LINE_LENGTH_MAX} bytes")))
            }
            Ok(_) => Ok(true),
        }
    }
}

/// A message file and its book file; without `book`, the two members of a zip archive.
pub(super) fn pair(messages: &Path, book: Option<&Path>) -> Result<(Lines, Lines)> {
    let name = messages.display();
    match (look(messages)?.1, book) {
        (Format::Zip, None) => Ok((member(messages, "message")?, member(messages, "orderbook")?)),
        (Format::Zip, Some(_)) => {
            bail!("{name}: a zip archive holds both files of the pair; leave the book file out")
        }
        (_, None) => bail!("{name}: not a zip archive, so the book file must be named too"),
        (_, Some(book)) => Ok((Lines::open(messages)?, Lines::open(book)?)),
    }
}

fn look(path: &Path) -> Result<(File, Format)> {
    let open = || -> io::Result<(File, Vec<u8>)> {
        let mut file = File::open(path)?;
        let mut first = Vec::new();
        file.by_ref().take(4).read_to_end(&mut first)?;
        Ok((file, first))
    };
    let (file, first) = open().with_context(|| path.display().to_string())?;
    let format = match first.as_slice() {
        [0x1f, 0x8b, ..] => Format::Gzip,
        b"PK\x03\x04" | b"PK\x05\x06" => Format::Zip,
        _ => Format::Plain,
    };
    Ok((file, format))
}

/// The one CSV file of the archive with `word` in its name.
///
/// Both members are read side by side, so each gets a file of its own and none is held in memory.
fn member(path: &Path, word: &str) -> Result<Lines> {
    let archive_name = path.display();
    let file = File::open(path).with_context(|| archive_name.to_string())?;
    let mut archive =
        ZipArchive::new(BufReader::new(file)).with_context(|| archive_name.to_string())?;
    let wanted = |name: &str| {
        let name = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
        name.contains(word) && !name.starts_with('.')
    };
    let names = (0..archive.len()).filter_map(|index| {
        let name = archive.name_for_index(index)?.ok()?;
        wanted(&name).then(|| (index, name.into_owned()))
    });
    let names: Vec<(usize, String)> = names.collect();
    let &[(index, ref name)] = names.as_slice() else {
        bail!("{archive_name}: {} members with `{word}` in their name, not one", names.len());
    };
    let full_name = format!("{archive_name}: {name}");
    let entry = archive.by_index_raw(index).with_context(|| full_name.clone())?;
    if entry.encrypted() {
        bail!("{full_name}: encrypted");
    }
    let start = entry.data_start().with_context(|| format!("{full_name}: no place given"))?;
    let mut packed = File::open(path).with_context(|| full_name.clone())?;
    packed.seek(SeekFrom::Start(start)).with_context(|| full_name.clone())?;
    let packed = BufReader::with_capacity(BUFFER_LENGTH, packed).take(entry.compressed_size());
    let plain: Box<dyn Read> = match entry.compression() {
        CompressionMethod::Stored => Box::new(packed),
        CompressionMethod::Deflated => Box::new(DeflateDecoder::new(packed)),
        other => bail!("{full_name}: compressed by {other}; stored and deflated are known"),
    };
    let checked =
        Checked { inner: CrcReader::new(plain), crc: entry.crc32(), length: entry.size() };
    Ok(Lines::new(full_name, Box::new(BufReader::with_capacity(BUFFER_LENGTH, checked))))
}

/// Compares length and sum with the archive's when the end is reached.
struct Checked {
    inner: CrcReader<Box<dyn Read>>,
    crc: u32,
    length: u64,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        let sum = self.inner.crc();
        // The sum counts length modulo 2^32.
        let is_whole = sum.sum() == self.crc && sum.amount() == self.length as u32;
        if length == 0 && !buffer.is_empty() && !is_whole {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the archive is damaged here"));
        }
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn lines(text: &'static [u8]) -> Lines {
        Lines::new("file".into(), Box::new(Cursor::new(text)))
    }

    #[track_caller]
    fn check(text: &'static [u8], expected: &[&str], error: Option<&str>) {
        let mut lines = lines(text);
        for line in expected {
            assert_eq!(lines.next().unwrap(), Some(*line));
        }
        match error {
            None => assert_eq!(lines.next().unwrap(), None),
            Some(error) => assert_eq!(lines.next().unwrap_err().to_string(), error),
        }
    }

    #[test]
    fn line_ends_of_all_kinds_and_blanks_at_the_end_are_read() {
        check(b"a\nb", &["a", "b"], None);
        check(b"a \r\nb\t\r\n\r\n\n", &["a", "b"], None);
        check(b"\xef\xbb\xbfa\n", &["a"], None);
        check(b"", &[], None);
        check(b"a\n\nb\n", &["a"], Some("file: line 2: blank line before the end of the file"));
        check(b"a\n\xff\xfe\n", &["a"], Some("file: line 2: not UTF-8"));
    }

    #[test]
    fn a_line_without_end_is_refused() {
        let endless = Box::new(BufReader::new(io::repeat(b'x')));
        let error = Lines::new("file".into(), endless).next().unwrap_err();
        assert_eq!(error.to_string(), "file: line 1: longer than 1048576 bytes");
    }
}
