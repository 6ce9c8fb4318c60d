//! Reads operation files chunk by chunk and refuses what is none, with the offset.

use std::fmt;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::exchange::{PRICE_MAX, QUANTITY_MAX};
use super::replay::{CHUNK, Chunk, Operations, See};
use super::{BUY, Kind, Operation, SELL};

const MAGIC: [u8; 8] = *b"OPSF0001";
/// Of the header and of each operation.
const RECORD_LENGTH: usize = 32;

/// Why a file cannot be replayed.
#[derive(Debug)]
pub enum Error {
    Unreadable(std::io::Error),
    /// It is not what the format promises.
    Invalid {
        offset: u64,
        what: String,
    },
}

impl Error {
    fn invalid(offset: u64, what: impl Into<String>) -> Error {
        Error::Invalid { offset, what: what.into() }
    }

    /// About an operation, counted from 0, prefill included.
    pub(super) fn of_operation(number: u64, what: impl fmt::Display) -> Error {
        Error::invalid(offset_of(number), format!("operation {number}: {what}"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unreadable(error) => error.fmt(f),
            Error::Invalid { offset, what } => write!(f, "byte {offset}: {what}"),
        }
    }
}

impl std::error::Error for Error {}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Error {
        Error::Unreadable(error)
    }
}

fn offset_of(number: u64) -> u64 {
    RECORD_LENGTH as u64 * (1 + number)
}

/// An operation file, open.
pub struct OperationFile {
    file: BufReader<File>,
    prefill: u64,
    operations: u64,
    chunk: Vec<Operation>,
}

impl OperationFile {
    /// Reads the header and compares what it promises with the file's length.
    pub fn open(path: &Path) -> Result<OperationFile, Error> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Error::invalid(0, "not a regular file"));
        }
        let mut file = BufReader::with_capacity(CHUNK * RECORD_LENGTH, file);
        let (prefill, operations) = read_header(&mut file, metadata.len())?;
        Ok(OperationFile { file, prefill, operations, chunk: Vec::with_capacity(CHUNK) })
    }

    pub fn prefill(&self) -> u64 {
        self.prefill
    }

    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// Back to the first operation.
    pub(super) fn rewind(&mut self) -> Result<(), Error> {
        self.file.seek(SeekFrom::Start(RECORD_LENGTH as u64))?;
        Ok(())
    }

    fn read_chunk(&mut self, first: u64, count: usize) -> Result<(), Error> {
        self.chunk.clear();
        for number in first..first + count as u64 {
            let mut record = [0; RECORD_LENGTH];
            self.file.read_exact(&mut record)?;
            let operation = parse(&record).map_err(|what| Error::of_operation(number, what))?;
            self.chunk.push(operation);
        }
        Ok(())
    }
}

impl Operations for OperationFile {
    fn each_chunk(&mut self, see: See<'_>) -> Result<(), Error> {
        let all = self.prefill + self.operations;
        let mut first = 0;
        while first < all {
            let is_timed = first >= self.prefill;
            let end = if is_timed { all } else { self.prefill };
            let count = (end - first).min(CHUNK as u64) as usize;
            self.read_chunk(first, count)?;
            see(Chunk { operations: &self.chunk, first, is_timed })?;
            first += count as u64;
        }
        Ok(())
    }
}

fn read_header(file: &mut impl Read, length: u64) -> Result<(u64, u64), Error> {
    let mut magic = [0; 8];
    let begin = length.min(8) as usize;
    file.read_exact(&mut magic[..begin])?;
    if magic[..begin] != MAGIC[..begin] {
        return Err(Error::invalid(0, "not an operation file: it does not begin with OPSF0001"));
    }
    if length < RECORD_LENGTH as u64 {
        return Err(Error::invalid(length, "the file ends in its header of 32 bytes"));
    }
    let [prefill, operations, _next_id] = [read_u64(file)?, read_u64(file)?, read_u64(file)?];
    let end = prefill
        .checked_add(operations)
        .and_then(|count| count.checked_add(1)?.checked_mul(RECORD_LENGTH as u64));
    let Some(end) = end else {
        let what = format!("{prefill} and {operations} operations: no file is that long");
        return Err(Error::invalid(8, what));
    };
    if length < end {
        let what = format!(
            "the file ends; {prefill} of prefill and {operations} operations are {end} bytes"
        );
        return Err(Error::invalid(length, what));
    }
    if length > end {
        let what = format!("bytes behind the last operation: {}", length - end);
        return Err(Error::invalid(end, what));
    }
    Ok((prefill, operations))
}

fn read_u64(file: &mut impl Read) -> Result<u64, Error> {
    let mut bytes = [0; 8];
    file.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn parse(record: &[u8; RECORD_LENGTH]) -> Result<Operation, String> {
    let [kind, side, rest @ ..] = record;
    let kind = match kind {
        0 => Kind::Limit,
        1 => Kind::ImmediateOrCancel,
        2 => Kind::Cancel,
        3 => Kind::Replace,
        _ => return Err(format!("unknown kind {kind}")),
    };
    if *side != BUY && *side != SELL {
        return Err(format!("unknown side {side}"));
    }
    if rest.first_chunk() != Some(&[0; 6]) {
        return Err("bytes 2 to 7 are not zero".to_owned());
    }
    let [id, price, quantity] = [8, 16, 24].map(|at| word(record, at));
    let operation = Operation { kind, side: *side, id, price: price as i64, quantity };
    check(&operation).map_or(Ok(operation), Err)
}

fn word(record: &[u8; RECORD_LENGTH], at: usize) -> u64 {
    let bytes = record.get(at..).and_then(|rest| rest.first_chunk()).copied();
    u64::from_le_bytes(bytes.unwrap_or_default())
}

/// A cancel's price and quantity are not looked at, but no price is negative.
fn check(operation: &Operation) -> Option<String> {
    let Operation { kind, id, price, quantity, .. } = *operation;
    if id == 0 {
        return Some("0 is no order's id".to_owned());
    }
    if !(0..=PRICE_MAX).contains(&price) {
        return Some(format!("price {price} is not between 0 and {PRICE_MAX} ticks"));
    }
    if quantity > QUANTITY_MAX {
        return Some(format!("quantity {quantity} is above {QUANTITY_MAX} lots"));
    }
    match kind {
        Kind::Cancel => None,
        _ if price == 0 => Some("price 0".to_owned()),
        _ if quantity == 0 => Some("quantity 0".to_owned()),
        _ => None,
    }
}
