//! A disk in memory whose power can be cut, for tests here and in other crates.
//!
//! It keeps what was synced apart from what was only written. [`SimDisk::cut`] gives the disk as a
//! machine might find it after the power came back: everything synced, and of the later writes any
//! subset of 512-byte sectors, each in any of its later versions; of the later creations, renames
//! and unlinks any subset. Everything is decided by a seed.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::map::{Map, MapMut};
use crate::storage::{Storage, StorageFile};

/// What a disk writes whole or not at all.
pub const SECTOR: usize = 512;

/// Random numbers from a seed (splitmix64).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }

    /// True `percent` times of a hundred.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    files: BTreeMap<u64, SimFile>,
    next_file: u64,
    directories: BTreeSet<PathBuf>,
    names: BTreeMap<PathBuf, u64>,
    durable_names: BTreeMap<PathBuf, u64>,
    /// Changes of names since their folder was last synced, in order.
    unsynced_names: Vec<NameChange>,
    faults: Faults,
    operations: u64,
}

#[derive(Clone, Copy, Default)]
struct Faults {
    syncs_lie: bool,
    capacity: Option<u64>,
    bytes_before_full: Option<u64>,
    syncs_before_error: Option<u64>,
    operations_before_off: Option<u64>,
}

struct SimFile {
    /// What processes see.
    content: MapMut,
    length: usize,
    /// What the platter holds.
    synced: Vec<u8>,
    ever_synced: bool,
    /// Writes since the last sync, in order.
    unsynced: Vec<(usize, Vec<u8>)>,
}

#[derive(Clone)]
enum NameChange {
    Create(PathBuf, u64),
    Rename(PathBuf, PathBuf, u64),
    Unlink(PathBuf),
}

impl NameChange {
    fn touches(&self, directory: &Path) -> bool {
        let path = match self {
            NameChange::Create(path, _) | NameChange::Unlink(path) => path,
            NameChange::Rename(_, to, _) => to,
        };
        path.parent() == Some(directory)
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            NameChange::Create(path, file) => {
                names.insert(path.clone(), *file);
            }
            NameChange::Rename(from, to, file) => {
                if names.get(from) == Some(file) {
                    names.remove(from);
                }
                names.insert(to.clone(), *file);
            }
            NameChange::Unlink(path) => {
                names.remove(path);
            }
        }
    }
}

impl SimDisk {
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// The disk as the store takes it.
    pub fn shared(&self) -> Arc<dyn Storage> {
        Arc::new(self.clone())
    }

    /// The disk after a power cut now. This one stays as it is, so one run can be cut many times.
    pub fn cut(&self, seed: u64) -> SimDisk {
        let inner = self.lock();
        let mut random = Random::new(seed);
        let names = inner.names_after_cut(&mut random);
        let mut files = BTreeMap::new();
        for (&id, file) in &inner.files {
            // Every file draws, so that a name more or less does not change the others' fate.
            let survivor = file.after_cut(&mut Random::new(random.number()));
            if names.values().any(|&named| named == id) {
                files.insert(id, survivor);
            }
        }
        let inner = Inner {
            files,
            next_file: inner.next_file,
            directories: inner.directories.clone(),
            durable_names: names.clone(),
            names,
            ..Inner::default()
        };
        SimDisk { inner: Arc::new(Mutex::new(inner)) }
    }

    /// From now on syncs say `Ok` and do nothing: a proof by power cut must fail with this.
    pub fn set_syncs_lie(&self, lie: bool) {
        self.lock().faults.syncs_lie = lie;
    }

    /// Files may take this many bytes together; creating more is `ENOSPC`.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().faults.capacity = bytes;
    }

    /// After this many more bytes writes stop short with `ENOSPC`, until set anew.
    pub fn fail_writes_after(&self, bytes: Option<u64>) {
        self.lock().faults.bytes_before_full = bytes;
    }

    /// After this many more syncs each fails with `EIO`, until set anew.
    pub fn fail_syncs_after(&self, syncs: Option<u64>) {
        self.lock().faults.syncs_before_error = syncs;
    }

    /// After this many more changing operations the power is off: all fail, nothing changes.
    pub fn power_off_after(&self, operations: Option<u64>) {
        self.lock().faults.operations_before_off = operations;
    }

    /// Changing operations done so far.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// The bytes of a file as processes see them.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let inner = self.lock();
        let id = inner.find(path)?;
        Ok(inner.file(id)?.visible().to_vec())
    }

    /// Changes a file behind everybody's back, durably: flips, truncations, foreign bytes.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let mut inner = self.lock();
        let id = inner.find(path)?;
        let mut bytes = inner.file(id)?.visible().to_vec();
        change(&mut bytes);
        inner.files.insert(id, SimFile::of(bytes)?);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn find(&self, path: &Path) -> io::Result<u64> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn file(&self, id: u64) -> io::Result<&SimFile> {
        self.files.get(&id).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.unsynced_names.push(change);
    }

    /// Counts one changing operation; an error when the power is off.
    fn operate(&mut self) -> io::Result<()> {
        if !spend(&mut self.faults.operations_before_off, 1) {
            return Err(io::Error::other("the power is off"));
        }
        self.operations += 1;
        Ok(())
    }

    /// Counts one sync; `Ok(false)` when syncs lie.
    fn sync(&mut self) -> io::Result<bool> {
        self.operate()?;
        if !spend(&mut self.faults.syncs_before_error, 1) {
            return Err(rustix::io::Errno::IO.into());
        }
        Ok(!self.faults.syncs_lie)
    }

    fn used(&self) -> u64 {
        let living = |id: &u64| self.names.values().any(|named| named == id);
        let living = self.files.iter().filter(|(id, _)| living(id));
        living.map(|(_, file)| file.length as u64).sum()
    }

    fn names_after_cut(&self, random: &mut Random) -> BTreeMap<PathBuf, u64> {
        let mut names = self.durable_names.clone();
        let percent = any_percent(random);
        for change in &self.unsynced_names {
            if random.chance(percent) {
                change.apply(&mut names);
            }
        }
        names
    }
}

/// Takes `amount` from a budget, if there is one; false when it is exhausted.
fn spend(budget: &mut Option<u64>, amount: u64) -> bool {
    match budget {
        None => true,
        Some(left) if *left >= amount => {
            *left -= amount;
            true
        }
        Some(_) => false,
    }
}

/// How much of the unsynced survives: often nothing or all, else anything between.
fn any_percent(random: &mut Random) -> u64 {
    match random.below(4) {
        0 => 0,
        1 => 100,
        _ => random.below(101),
    }
}

impl SimFile {
    fn of(bytes: Vec<u8>) -> io::Result<SimFile> {
        let content = MapMut::anonymous(bytes.len())?;
        content.write(0, &bytes);
        let (length, synced) = (bytes.len(), bytes);
        Ok(SimFile { content, length, synced, ever_synced: true, unsynced: Vec::new() })
    }

    fn visible(&self) -> &[u8] {
        self.content.bytes(0, self.length).unwrap_or_default()
    }

    fn write(&mut self, bytes: &[u8], offset: usize) {
        self.content.write(offset, bytes);
        self.unsynced.push((offset, bytes.to_vec()));
    }

    fn sync(&mut self) {
        for (offset, bytes) in self.unsynced.drain(..) {
            self.synced[offset..offset + bytes.len()].copy_from_slice(&bytes);
        }
        self.ever_synced = true;
    }

    fn after_cut(&self, random: &mut Random) -> SimFile {
        let mut bytes = self.synced.clone();
        let percent = any_percent(random);
        for (offset, written) in &self.unsynced {
            keep_some_sectors(&mut bytes, *offset, written, percent, random);
        }
        if !self.ever_synced && random.chance(30) {
            bytes.truncate(random.below(bytes.len() as u64 + 1) as usize);
        }
        SimFile::of(bytes).expect("memory for a simulated file")
    }
}

/// Copies each sector that `written` touches, or does not.
fn keep_some_sectors(
    bytes: &mut [u8],
    offset: usize,
    written: &[u8],
    percent: u64,
    random: &mut Random,
) {
    let end = offset + written.len();
    let mut at = offset;
    while at < end {
        let next = ((at / SECTOR + 1) * SECTOR).min(end);
        if random.chance(percent) {
            bytes[at..next].copy_from_slice(&written[at - offset..next - offset]);
        }
        at = next;
    }
}

impl Storage for SimDisk {
    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        inner.operate()?;
        inner.directories.extend(directory.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn create(&self, path: &Path, length: u64) -> io::Result<Arc<dyn StorageFile>> {
        let mut inner = self.lock();
        inner.operate()?;
        if inner.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let used = inner.used().saturating_add(length);
        if inner.faults.capacity.is_some_and(|capacity| used > capacity) {
            return Err(rustix::io::Errno::NOSPC.into());
        }
        let id = inner.next_file;
        inner.next_file += 1;
        let mut file = SimFile::of(vec![0; length as usize])?;
        file.ever_synced = false;
        inner.files.insert(id, file);
        inner.change_name(NameChange::Create(path.to_owned(), id));
        Ok(Arc::new(SimHandle { disk: self.clone(), id, write: true }))
    }

    fn open(&self, path: &Path, write: bool) -> io::Result<Arc<dyn StorageFile>> {
        let id = self.lock().find(path)?;
        Ok(Arc::new(SimHandle { disk: self.clone(), id, write }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        inner.operate()?;
        let id = inner.find(from)?;
        inner.change_name(NameChange::Rename(from.to_owned(), to.to_owned(), id));
        Ok(())
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        inner.operate()?;
        inner.find(path)?;
        inner.change_name(NameChange::Unlink(path.to_owned()));
        Ok(())
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let mut inner = self.lock();
        if !inner.sync()? {
            return Ok(());
        }
        let changes = std::mem::take(&mut inner.unsynced_names);
        for change in changes {
            if change.touches(directory) {
                change.apply(&mut inner.durable_names);
            } else {
                inner.unsynced_names.push(change);
            }
        }
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let inner = self.lock();
        if !inner.directories.contains(directory) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = inner.names.keys().filter(|path| path.parent() == Some(directory));
        let names = inside.filter_map(|path| path.file_name());
        Ok(names.map(|name| name.to_string_lossy().into_owned()).collect())
    }
}

struct SimHandle {
    disk: SimDisk,
    id: u64,
    write: bool,
}

impl StorageFile for SimHandle {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut inner = self.disk.lock();
        inner.operate()?;
        if !self.write {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let fits = match &mut inner.faults.bytes_before_full {
            None => bytes.len(),
            Some(left) => {
                let fits = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= fits as u64;
                fits
            }
        };
        let file = inner.files.get_mut(&self.id).ok_or(io::ErrorKind::NotFound)?;
        file.write(&bytes[..fits], offset as usize);
        if fits < bytes.len() { Err(rustix::io::Errno::NOSPC.into()) } else { Ok(()) }
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let inner = self.disk.lock();
        let visible = inner.file(self.id)?.visible();
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let end = start.saturating_add(bytes.len());
        let found = visible.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?;
        bytes.copy_from_slice(found);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.disk.lock();
        if inner.sync()? {
            inner.files.get_mut(&self.id).ok_or(io::ErrorKind::NotFound)?.sync();
        }
        Ok(())
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.lock().file(self.id)?.length as u64)
    }

    fn map(&self) -> io::Result<Map> {
        Ok(self.disk.lock().file(self.id)?.content.share())
    }

    /// What is written through the map is never synced: as on tmpfs, a cut loses it.
    fn map_mut(&self) -> io::Result<MapMut> {
        Ok(self.disk.lock().file(self.id)?.content.clone())
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    fn disk() -> (SimDisk, PathBuf, Arc<dyn StorageFile>) {
        let disk = SimDisk::new();
        let path = PathBuf::from("/d/file");
        disk.create_directory(Path::new("/d")).unwrap();
        let file = disk.create(&path, 4096).unwrap();
        (disk, path, file)
    }

    #[test]
    fn a_cut_keeps_what_was_synced() {
        let (disk, path, file) = disk();
        file.write_at(&[1; 2000], 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_directory(Path::new("/d")).unwrap();
        file.write_at(&[2; 1000], 2000).unwrap();
        for seed in 0..200 {
            let bytes = disk.cut(seed).read(&path).unwrap();
            assert_eq!(bytes[..2000], [1; 2000], "seed {seed}");
            assert!(bytes[2000..3000].iter().all(|byte| [0, 2].contains(byte)), "seed {seed}");
        }
    }

    #[test]
    fn a_cut_keeps_any_subset_of_later_sectors_and_names() {
        let (disk, path, file) = disk();
        file.write_at(&[1; 4096], 0).unwrap();
        let mut seen = BTreeSet::new();
        for seed in 0..300 {
            seen.insert(disk.cut(seed).read(&path).ok().map(|bytes| {
                let sector = |at: usize| bytes.get(at).copied();
                (sector(0), sector(1024), sector(4095))
            }));
        }
        assert!(seen.contains(&None), "the name may vanish");
        assert!(seen.contains(&Some((Some(1), Some(1), Some(1)))), "all may stay");
        assert!(seen.contains(&Some((Some(0), Some(1), Some(0)))), "a middle one may stay alone");
        assert!(seen.contains(&Some((Some(0), Some(0), Some(0)))), "none may stay");
    }

    #[test]
    fn a_lying_sync_keeps_nothing_for_sure() {
        let (disk, path, file) = disk();
        disk.set_syncs_lie(true);
        file.write_at(&[1; 512], 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_directory(Path::new("/d")).unwrap();
        assert!((0..50).any(|seed| disk.cut(seed).read(&path).is_err()));
    }

    #[test]
    fn the_same_seed_cuts_the_same_way() {
        let (disk, path, file) = disk();
        file.write_at(&[7; 4096], 0).unwrap();
        for seed in 0..50 {
            let (one, two) = (disk.cut(seed).read(&path), disk.cut(seed).read(&path));
            assert_eq!(one.ok(), two.ok());
        }
    }

    #[test]
    fn faults_come_when_they_were_ordered() {
        let (disk, path, file) = disk();
        disk.fail_writes_after(Some(100));
        let error = file.write_at(&[1; 200], 0).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(disk.read(&path).unwrap()[99..101], [1, 0]);
        disk.fail_writes_after(None);
        disk.fail_syncs_after(Some(1));
        file.sync_data().unwrap();
        assert!(file.sync_data().is_err());
        disk.set_capacity(Some(5000));
        let error = disk.create(Path::new("/d/other"), 1000).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        disk.power_off_after(Some(1));
        file.write_at(&[1; 1], 0).unwrap();
        assert!(file.write_at(&[1; 1], 0).is_err());
    }
}
