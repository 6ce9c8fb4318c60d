//! Snapshots as files: an opaque payload and what it was taken of. A snapshot is there whole under
//! its name or not at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bytes::{Fields, FieldsMut, seal, sealed};
use crate::error::Error;
use crate::segment::Identity;
use crate::storage::Storage;

/// Bytes before the payload.
pub const SNAPSHOT_HEADER_LENGTH: usize = 512;
/// The format that this build writes, and the newest that it reads.
pub const SNAPSHOT_FORMAT: u32 = 1;

const MAGIC: [u8; 8] = *b"OUTCRYSN";
const NEW_NAME: &str = "snapshot.new";

/// What a snapshot was taken of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotFacts {
    pub identity: Identity,
    pub schema: u64,
    /// The rules in force after it.
    pub rules_version: u32,
    /// The last command in it.
    pub sequence: u64,
    /// The frame of the command log that ends with that command, and its term.
    pub index: u64,
    pub term: u64,
    /// Where the logs go on.
    pub commands_position: u64,
    pub events_position: u64,
    pub events_hash: u64,
    pub state_hash: u64,
    /// The stamp of the last command.
    pub stamp: u64,
}

/// The snapshots of a node, in a folder of their own.
pub struct Snapshots {
    storage: Arc<dyn Storage>,
    directory: PathBuf,
    identity: Identity,
}

impl Snapshots {
    /// Makes the folder, if missing.
    pub fn open(
        storage: Arc<dyn Storage>,
        directory: &Path,
        identity: Identity,
    ) -> Result<Snapshots, Error> {
        storage.create_directory(directory).map_err(Error::io("create", directory))?;
        Ok(Snapshots { storage, directory: directory.to_owned(), identity })
    }

    /// The file of one snapshot.
    pub fn path(&self, sequence: u64) -> PathBuf {
        self.directory.join(format!("snapshot-{sequence:020}"))
    }

    /// The sequences of the snapshots that are there, lowest first; whether they are good is not
    /// looked at.
    pub fn list(&self) -> Result<Vec<u64>, Error> {
        let listed = self.storage.list(&self.directory);
        let names = listed.map_err(Error::io("list", &self.directory))?;
        let mut sequences: Vec<u64> = names.iter().filter_map(|name| sequence_of(name)).collect();
        sequences.sort_unstable();
        Ok(sequences)
    }

    /// Stores a snapshot durably, in place of one of the same sequence.
    ///
    /// A failure leaves the others as they were; after a failed sync the node must stop.
    pub fn write(&self, facts: &SnapshotFacts, payload: &[u8]) -> Result<(), Error> {
        let new = self.directory.join(NEW_NAME);
        // Left over from a process that died in the middle, if it is there.
        let _ = self.storage.unlink(&new);
        let written = self.write_new(&new, facts, payload);
        if written.is_err() {
            // It is of no use; the first error is the one that matters.
            let _ = self.storage.unlink(&new);
        }
        written?;
        self.storage.sync_directory(&self.directory).map_err(Error::sync(&self.directory))
    }

    fn write_new(&self, new: &Path, facts: &SnapshotFacts, payload: &[u8]) -> Result<(), Error> {
        let header = encode(facts, payload);
        let length = (header.len() as u64).saturating_add(payload.len() as u64);
        let file = self.storage.create(new, length).map_err(Error::io("create", new))?;
        file.write_at(&header, 0).map_err(Error::io("write", new))?;
        file.write_at(payload, header.len() as u64).map_err(Error::io("write", new))?;
        file.sync_data().map_err(Error::sync(new))?;
        let path = self.path(facts.sequence);
        self.storage.rename(new, &path).map_err(Error::io("rename", new))
    }

    /// Reads one snapshot and checks all of it.
    pub fn read(&self, sequence: u64) -> Result<(SnapshotFacts, Vec<u8>), Error> {
        let path = self.path(sequence);
        let file = self.storage.open(&path, false).map_err(Error::io("open", &path))?;
        let length = file.length().map_err(Error::io("look at", &path))?;
        let header_length = SNAPSHOT_HEADER_LENGTH as u64;
        if length < header_length {
            return Err(Error::Truncated { file: path, length, expected: header_length });
        }
        let mut header = [0; SNAPSHOT_HEADER_LENGTH];
        file.read_at(&mut header, 0).map_err(Error::io("read", &path))?;
        let (facts, payload_length, payload_sum) = decode(&header, &path)?;
        self.check(&facts, sequence, &path)?;
        let expected = header_length.saturating_add(payload_length);
        if length < expected {
            return Err(Error::Truncated { file: path, length, expected });
        }
        let size = usize::try_from(payload_length).map_err(|_| Error::Options {
            what: "a snapshot is larger than this machine's memory",
        })?;
        let mut payload = vec![0; size];
        file.read_at(&mut payload, header_length).map_err(Error::io("read", &path))?;
        if crc32c::crc32c(&payload) != payload_sum {
            return Err(Error::corrupt(
                &path,
                header_length,
                "the checksum of the payload is wrong",
            ));
        }
        Ok((facts, payload))
    }

    /// The newest snapshot at or below `sequence` that `wanted` takes and that is whole, with those
    /// that were passed over because they are not.
    pub fn newest_good(
        &self,
        sequence: u64,
        wanted: impl Fn(&SnapshotFacts) -> bool,
    ) -> Result<Newest, Error> {
        let mut passed_over = Vec::new();
        for candidate in self.list()?.into_iter().rev().filter(|&found| found <= sequence) {
            match self.read(candidate) {
                Ok((facts, payload)) if wanted(&facts) => {
                    return Ok(Newest { good: Some((facts, payload)), passed_over });
                }
                Ok(_) => {}
                Err(error @ (Error::Corrupt { .. } | Error::Truncated { .. })) => {
                    passed_over.push((candidate, error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Newest { good: None, passed_over })
    }

    /// Removes all but the `count` newest; gives how many. Never removes the last.
    pub fn keep(&self, count: usize) -> Result<u64, Error> {
        let sequences = self.list()?;
        let surplus = sequences.len().saturating_sub(count.max(1));
        for &sequence in sequences.iter().take(surplus) {
            let path = self.path(sequence);
            self.storage.unlink(&path).map_err(Error::io("remove", &path))?;
        }
        if surplus > 0 {
            let synced = self.storage.sync_directory(&self.directory);
            synced.map_err(Error::sync(&self.directory))?;
        }
        Ok(surplus as u64)
    }

    fn check(&self, facts: &SnapshotFacts, sequence: u64, path: &Path) -> Result<(), Error> {
        let (ours, found) = (self.identity, facts.identity);
        // A snapshot of another node of the cluster is as good as our own.
        if found.cluster != ours.cluster {
            return Err(Error::Foreign {
                file: path.to_owned(),
                offset: 16,
                found: (found.cluster, found.node),
                expected: (ours.cluster, ours.node),
            });
        }
        if facts.sequence != sequence {
            let what = "the name of the file is not the sequence in its header";
            return Err(Error::corrupt(path, 56, what));
        }
        Ok(())
    }
}

/// What [`Snapshots::newest_good`] found.
#[derive(Debug)]
pub struct Newest {
    pub good: Option<(SnapshotFacts, Vec<u8>)>,
    /// Newer ones that are damaged, and how.
    pub passed_over: Vec<(u64, Error)>,
}

fn sequence_of(file_name: &str) -> Option<u64> {
    let digits = file_name.strip_prefix("snapshot-")?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// Starts every snapshot file. Little endian; zeros where nothing is named.
///
/// ```text
///   0               8         12       16                       32       36       40
///   | "OUTCRYSN"    | format  | rules  | cluster                | node   | 0      |
///   40              48                 56                       64                72
///   | schema hash   | payload length   | sequence               | index           |
///   72              80                 88                       96                104
///   | term          | commands position| events position        | events hash     |
///   104             112                120            124                508      512
///   | state hash    | stamp            | payload crc32c | zeros             | crc32c |
///   512 …
///   | payload
/// ```
fn encode(facts: &SnapshotFacts, payload: &[u8]) -> [u8; SNAPSHOT_HEADER_LENGTH] {
    let mut bytes = [0; SNAPSHOT_HEADER_LENGTH];
    FieldsMut::new(&mut bytes)
        .put(MAGIC)
        .u32(SNAPSHOT_FORMAT)
        .u32(facts.rules_version)
        .u128(facts.identity.cluster)
        .u32(facts.identity.node)
        .u32(0)
        .u64(facts.schema)
        .u64(payload.len() as u64)
        .u64(facts.sequence)
        .u64(facts.index)
        .u64(facts.term)
        .u64(facts.commands_position)
        .u64(facts.events_position)
        .u64(facts.events_hash)
        .u64(facts.state_hash)
        .u64(facts.stamp)
        .u32(crc32c::crc32c(payload));
    seal(&mut bytes);
    bytes
}

/// The facts, the payload's length and its checksum.
fn decode(
    bytes: &[u8; SNAPSHOT_HEADER_LENGTH],
    path: &Path,
) -> Result<(SnapshotFacts, u64, u32), Error> {
    let mut fields = Fields::new(bytes);
    if fields.take() != Some(MAGIC) {
        return Err(Error::corrupt(path, 0, "this is no snapshot"));
    }
    if !sealed(bytes) {
        return Err(Error::corrupt(path, 0, "the checksum of the snapshot's header is wrong"));
    }
    match fields.u32() {
        Some(SNAPSHOT_FORMAT) => {}
        found => {
            let (file, found) = (path.to_owned(), found.unwrap_or(0));
            return Err(Error::NewerFormat { file, offset: 8, found, supported: SNAPSHOT_FORMAT });
        }
    }
    let short = || Error::corrupt(path, 0, "the header is not all there");
    decode_fields(fields).ok_or_else(short)
}

fn decode_fields(mut fields: Fields<'_>) -> Option<(SnapshotFacts, u64, u32)> {
    let rules_version = fields.u32()?;
    let identity = Identity { cluster: fields.u128()?, node: fields.u32()? };
    fields.u32()?;
    let (schema, payload_length) = (fields.u64()?, fields.u64()?);
    let facts = SnapshotFacts {
        identity,
        schema,
        rules_version,
        sequence: fields.u64()?,
        index: fields.u64()?,
        term: fields.u64()?,
        commands_position: fields.u64()?,
        events_position: fields.u64()?,
        events_hash: fields.u64()?,
        state_hash: fields.u64()?,
        stamp: fields.u64()?,
    };
    Some((facts, payload_length, fields.u32()?))
}
