//! `DIR/log/durable`: the facts that must outlive a crash. Two slots of 512 bytes (a disk writes a
//! sector whole or not at all), written in turn, so that one good slot is always there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::bytes::{Fields, FieldsMut, seal, sealed};
use crate::error::Error;
use crate::segment::Identity;
use crate::storage::{Storage, StorageFile};

/// Bytes of one slot.
pub const SLOT_LENGTH: usize = 512;
/// The format that this build writes, and the newest that it reads.
pub const DURABLE_FORMAT: u32 = 1;
/// The file's name in the log folder.
pub const DURABLE_NAME: &str = "durable";

const MAGIC: [u8; 8] = *b"OUTCRYDU";

/// What is known to be on disk, and what this node has promised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DurableFacts {
    pub identity: Identity,
    /// The boot of the machine in which this was stored.
    pub boot_id: u128,
    /// Raft's term and vote (0: none): stored before they are used.
    pub term: u64,
    pub vote: u64,
    /// The command log up to this frame and position is on disk.
    pub index: u64,
    pub position: u64,
    /// The event log up to this position is on disk.
    pub events_position: u64,
}

/// The open file.
pub struct Durable {
    file: Arc<dyn StorageFile>,
    path: PathBuf,
    facts: DurableFacts,
    generation: u64,
    stopped: bool,
}

impl Durable {
    /// Makes the file with its first facts, durably. An existing one is an error.
    ///
    /// It appears under its name only when whole, so a crash leaves no file or a good one.
    pub fn create(
        storage: &dyn Storage,
        directory: &Path,
        facts: &DurableFacts,
    ) -> Result<Durable, Error> {
        let path = directory.join(DURABLE_NAME);
        let new = directory.join("durable.new");
        storage.create_directory(directory).map_err(Error::io("create", directory))?;
        if Self::exists(storage, directory)? {
            let source = std::io::ErrorKind::AlreadyExists.into();
            return Err(Error::Io { action: "create", file: path, source });
        }
        // Left over from a start that did not get to its end, if it is there.
        let _ = storage.unlink(&new);
        let length = 2 * SLOT_LENGTH as u64;
        let file = storage.create(&new, length).map_err(Error::io("create", &new))?;
        let mut durable =
            Durable { file, path: new.clone(), facts: *facts, generation: 0, stopped: false };
        durable.store(facts)?;
        storage.rename(&new, &path).map_err(Error::io("rename", &new))?;
        storage.sync_directory(directory).map_err(Error::sync(directory))?;
        durable.path = path;
        Ok(durable)
    }

    /// Whether the folder has the file.
    pub fn exists(storage: &dyn Storage, directory: &Path) -> Result<bool, Error> {
        let names = storage.list(directory).map_err(Error::io("list", directory))?;
        Ok(names.iter().any(|name| name == DURABLE_NAME))
    }

    /// Opens the file of this node: the newest good slot counts, two bad ones are corruption.
    pub fn open(
        storage: &dyn Storage,
        directory: &Path,
        identity: Identity,
    ) -> Result<Durable, Error> {
        let (durable, offset) = Self::open_newest(storage, directory, true)?;
        let found = durable.facts.identity;
        if found != identity {
            return Err(Error::Foreign {
                file: durable.path,
                offset,
                found: (found.cluster, found.node),
                expected: (identity.cluster, identity.node),
            });
        }
        Ok(durable)
    }

    /// The facts of whichever node the folder belongs to, read only; for tools.
    pub fn peek(storage: &dyn Storage, directory: &Path) -> Result<DurableFacts, Error> {
        Ok(Self::open_newest(storage, directory, false)?.0.facts)
    }

    fn open_newest(
        storage: &dyn Storage,
        directory: &Path,
        write: bool,
    ) -> Result<(Durable, u64), Error> {
        let path = directory.join(DURABLE_NAME);
        let file = storage.open(&path, write).map_err(Error::io("open", &path))?;
        let length = file.length().map_err(Error::io("look at", &path))?;
        let expected = 2 * SLOT_LENGTH as u64;
        if length < expected {
            return Err(Error::Truncated { file: path, length, expected });
        }
        let (generation, facts, offset) = newest(file.as_ref(), &path)?;
        Ok((Durable { file, path, facts, generation, stopped: false }, offset))
    }

    pub fn facts(&self) -> &DurableFacts {
        &self.facts
    }

    /// How often facts were stored; the newest slot is the one with the highest.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Replaces the older slot and returns when the disk has it.
    ///
    /// After an error the node must stop: which facts the disk has is unknown.
    pub fn store(&mut self, facts: &DurableFacts) -> Result<(), Error> {
        if self.stopped {
            return Err(Error::Stopped);
        }
        self.stopped = true;
        let generation = self.generation.saturating_add(1);
        let slot = encode(facts, generation);
        let offset = (generation % 2) * SLOT_LENGTH as u64;
        self.file.write_at(&slot, offset).map_err(Error::io("write", &self.path))?;
        self.file.sync_data().map_err(Error::sync(&self.path))?;
        self.stopped = false;
        self.generation = generation;
        self.facts = *facts;
        Ok(())
    }
}

/// One slot. Little endian; generation decides which is newer.
///
/// ```text
///   0               8         12        16                      32       36        40
///   | "OUTCRYDU"    | format  | 0       | cluster               | node   | 0       |
///   40              48                      64                  72                80
///   | generation    | boot id               | term              | vote            |
///   80              88                      96                  104                508     512
///   | durable index | durable position      | events position   | zeros            | crc32c |
/// ```
fn encode(facts: &DurableFacts, generation: u64) -> [u8; SLOT_LENGTH] {
    let mut bytes = [0; SLOT_LENGTH];
    FieldsMut::new(&mut bytes)
        .put(MAGIC)
        .u32(DURABLE_FORMAT)
        .u32(0)
        .u128(facts.identity.cluster)
        .u32(facts.identity.node)
        .u32(0)
        .u64(generation)
        .u128(facts.boot_id)
        .u64(facts.term)
        .u64(facts.vote)
        .u64(facts.index)
        .u64(facts.position)
        .u64(facts.events_position);
    seal(&mut bytes);
    bytes
}

enum Slot {
    Good(u64, DurableFacts),
    Newer(u32),
    Bad,
}

fn decode(bytes: &[u8; SLOT_LENGTH]) -> Slot {
    let mut fields = Fields::new(bytes);
    if fields.take() != Some(MAGIC) || !sealed(bytes) {
        return Slot::Bad;
    }
    match fields.u32() {
        Some(DURABLE_FORMAT) => {}
        Some(found) => return Slot::Newer(found),
        None => return Slot::Bad,
    }
    match decode_fields(fields) {
        Some((generation, facts)) => Slot::Good(generation, facts),
        None => Slot::Bad,
    }
}

fn decode_fields(mut fields: Fields<'_>) -> Option<(u64, DurableFacts)> {
    fields.u32()?;
    let identity = Identity { cluster: fields.u128()?, node: fields.u32()? };
    fields.u32()?;
    let generation = fields.u64()?;
    let facts = DurableFacts {
        identity,
        boot_id: fields.u128()?,
        term: fields.u64()?,
        vote: fields.u64()?,
        index: fields.u64()?,
        position: fields.u64()?,
        events_position: fields.u64()?,
    };
    Some((generation, facts))
}

/// The newest good slot: its generation, facts and offset.
fn newest(file: &dyn StorageFile, path: &Path) -> Result<(u64, DurableFacts, u64), Error> {
    let mut best: Option<(u64, DurableFacts, u64)> = None;
    for offset in [0, SLOT_LENGTH as u64] {
        let mut bytes = [0; SLOT_LENGTH];
        file.read_at(&mut bytes, offset).map_err(Error::io("read", path))?;
        match decode(&bytes) {
            Slot::Good(generation, facts) => {
                if best.is_none_or(|(newest, ..)| generation > newest) {
                    best = Some((generation, facts, offset));
                }
            }
            Slot::Newer(found) => {
                let (file, supported) = (path.to_owned(), DURABLE_FORMAT);
                return Err(Error::NewerFormat { file, offset: offset + 8, found, supported });
            }
            Slot::Bad => {}
        }
    }
    best.ok_or_else(|| Error::corrupt(path, 0, "neither of its two slots is whole"))
}

/// The id of this boot of the machine; 0 when the system does not say.
pub fn boot_id() -> u128 {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    u128::from_str_radix(&digits, 16).unwrap_or(0)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::sim::SimDisk;

    const IDENTITY: Identity = Identity { cluster: 7, node: 1 };

    fn facts(position: u64) -> DurableFacts {
        DurableFacts { identity: IDENTITY, boot_id: 3, term: 4, position, ..Default::default() }
    }

    fn folder() -> &'static Path {
        Path::new("/d/log")
    }

    fn file() -> PathBuf {
        folder().join(DURABLE_NAME)
    }

    fn stored(positions: &[u64]) -> SimDisk {
        let disk = SimDisk::new();
        let mut durable = Durable::create(&disk, folder(), &facts(0)).unwrap();
        for &position in positions {
            durable.store(&facts(position)).unwrap();
        }
        disk
    }

    fn position(disk: &SimDisk) -> Result<u64, Error> {
        Durable::open(disk, folder(), IDENTITY).map(|durable| durable.facts().position)
    }

    #[test]
    fn what_was_stored_is_there_again() {
        assert_eq!(position(&stored(&[])).unwrap(), 0);
        assert_eq!(position(&stored(&[10])).unwrap(), 10);
        assert_eq!(position(&stored(&[10, 20, 30])).unwrap(), 30);
    }

    #[test]
    fn one_bad_slot_is_fine_and_two_are_corruption() {
        // The third store lies in the second slot's place, and so on in turn.
        for bad in [0usize, 511, 512, 1023] {
            let disk = stored(&[10, 20]);
            disk.damage(&file(), |bytes| bytes[bad] ^= 1).unwrap();
            let expected = if bad < SLOT_LENGTH { 20 } else { 10 };
            assert_eq!(position(&disk).unwrap(), expected, "byte {bad}");
            disk.damage(&file(), |bytes| bytes[(bad + SLOT_LENGTH) % 1024] ^= 1).unwrap();
            assert!(matches!(position(&disk), Err(Error::Corrupt { .. })), "byte {bad}");
        }
    }

    #[test]
    fn a_cut_while_storing_keeps_the_old_facts_or_has_the_new() {
        for seed in 0..200 {
            let disk = stored(&[10]);
            let mut durable = Durable::open(&disk, folder(), IDENTITY).unwrap();
            disk.power_off_after(Some(1));
            assert!(durable.store(&facts(20)).is_err());
            let found = position(&disk.cut(seed)).unwrap();
            assert!([10, 20].contains(&found), "seed {seed}: {found}");
        }
    }

    #[test]
    fn a_cut_while_creating_leaves_no_file_or_a_good_one() {
        for operations in 0..6 {
            for seed in 0..50 {
                let disk = SimDisk::new();
                disk.power_off_after(Some(operations));
                let created = Durable::create(&disk, folder(), &facts(1)).is_ok();
                let after = disk.cut(seed);
                if created || Durable::exists(&after, folder()).unwrap_or(false) {
                    assert_eq!(position(&after).unwrap(), 1);
                }
                if !created && !Durable::exists(&after, folder()).unwrap_or(false) {
                    Durable::create(&after, folder(), &facts(1)).unwrap();
                }
            }
        }
    }

    #[test]
    fn another_nodes_file_is_refused() {
        let other = Identity { cluster: 7, node: 2 };
        let error = Durable::open(&stored(&[1]), folder(), other).err().unwrap();
        assert!(matches!(error, Error::Foreign { .. }), "{error}");
    }

    #[test]
    fn a_truncated_file_is_refused() {
        let disk = stored(&[1]);
        disk.damage(&file(), |bytes| bytes.truncate(700)).unwrap();
        assert!(matches!(position(&disk), Err(Error::Truncated { length: 700, .. })));
    }

    #[test]
    fn a_newer_file_is_refused() {
        let disk = stored(&[1]);
        let change = |bytes: &mut Vec<u8>| {
            bytes[8] = 2;
            seal(&mut bytes[..SLOT_LENGTH]);
        };
        disk.damage(&file(), change).unwrap();
        assert!(matches!(position(&disk), Err(Error::NewerFormat { found: 2, .. })));
    }

    #[test]
    fn after_a_failed_sync_nothing_more_is_stored() {
        let disk = stored(&[1]);
        let mut durable = Durable::open(&disk, folder(), IDENTITY).unwrap();
        disk.fail_syncs_after(Some(0));
        assert!(matches!(durable.store(&facts(2)), Err(Error::SyncFailed { .. })));
        disk.fail_syncs_after(None);
        assert!(matches!(durable.store(&facts(2)), Err(Error::Stopped)));
    }

    #[test]
    fn a_second_file_is_never_made() {
        let disk = stored(&[5]);
        assert!(Durable::create(&disk, folder(), &facts(0)).is_err());
        assert_eq!(position(&disk).unwrap(), 5);
    }

    #[test]
    fn the_boot_has_an_id() {
        assert_eq!(boot_id(), boot_id());
    }
}
