//! The runtime folder: live cursors and reader slots in shared memory.
//!
//! It is made anew at each boot of the machine, kept over restarts of processes and removed at the
//! last clean shutdown. What it says is never evidence after a crash: recovery looks at the logs.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use crate::bytes::{Fields, FieldsMut};
use crate::error::Error;
use crate::map::{Map, MapMut};
use crate::storage::{Disk, Storage};

/// Cursors and slots stand this far apart: two cache lines, since lines are fetched in pairs.
pub const LINE: usize = 128;
/// Reader slots.
pub const READER_SLOTS: usize = 64;
/// The format of both files.
pub const RUNTIME_FORMAT: u32 = 1;

const CURSORS_NAME: &str = "cursors";
const READERS_NAME: &str = "readers";
const CURSORS_MAGIC: [u8; 8] = *b"OUTCRYRC";
const READERS_MAGIC: [u8; 8] = *b"OUTCRYRR";
const CURSORS_BYTES: usize = 4096;
const READERS_BYTES: usize = 12_288;
const _: () = assert!(CURSORS_BYTES >= LINE * (CURSORS + 2));
const _: () = assert!(READERS_BYTES >= LINE * (READER_SLOTS + 1));

/// Where a runtime folder is looked for and made.
#[derive(Clone, Debug)]
pub struct RuntimeOptions {
    /// A tmpfs, `/dev/shm` by default.
    pub shared_memory: PathBuf,
    /// Where the folder goes when there is no room there, usually in the data folder.
    pub fallback: PathBuf,
    /// One per data folder.
    pub log_id: u128,
    /// The boot of the machine, see [`crate::durable::boot_id`].
    pub boot_id: u128,
    /// What cursors, slots, rings and logs in memory will take.
    pub bytes_needed: u64,
}

impl RuntimeOptions {
    pub fn new(fallback: &Path, log_id: u128) -> RuntimeOptions {
        RuntimeOptions {
            shared_memory: PathBuf::from("/dev/shm"),
            fallback: fallback.to_owned(),
            log_id,
            boot_id: crate::durable::boot_id(),
            bytes_needed: 64 << 10,
        }
    }
}

/// Why the folder is not in shared memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    NoSharedMemory { path: PathBuf },
    SmallSharedMemory { path: PathBuf, free_bytes: u64, needed_bytes: u64 },
}

impl std::fmt::Display for Warning {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Warning::NoSharedMemory { path } => {
                write!(f, "there is no {}; cursors and rings go to the data folder", path.display())
            }
            Warning::SmallSharedMemory { path, free_bytes, needed_bytes } => write!(
                f,
                "{} has {free_bytes} bytes free of {needed_bytes} needed; cursors and rings go to \
                 the data folder (in a container: raise its shm size)",
                path.display()
            ),
        }
    }
}

/// The runtime folder of a node.
#[derive(Debug)]
pub struct Runtime {
    directory: PathBuf,
    home: PathBuf,
    log_id: u128,
    boot_id: u128,
    warning: Option<Warning>,
}

impl Runtime {
    /// Finds or makes the folder; the caller holds the data folder's [`crate::Lock`].
    ///
    /// A folder of another boot is emptied first.
    pub fn open(options: &RuntimeOptions) -> Result<Runtime, Error> {
        let shared = options.shared_memory.join(format!("outcry-{:032x}", options.log_id));
        let shared = Runtime::at(shared, options, None);
        // What this boot has begun there goes on there, however little room it has left.
        let warning = if shared.is_whole() { None } else { shared_memory_warning(options) };
        let runtime = match warning {
            None => shared,
            warning => Runtime::at(options.fallback.clone(), options, warning),
        };
        runtime.prepare()?;
        Ok(runtime)
    }

    /// `home/run` and nowhere else: of a log whose readers look for it there.
    pub fn within(home: &Path, log_id: u128) -> Result<Runtime, Error> {
        let runtime = Runtime::at(home.to_owned(), &RuntimeOptions::new(home, log_id), None);
        runtime.prepare()?;
        Ok(runtime)
    }

    fn at(home: PathBuf, options: &RuntimeOptions, warning: Option<Warning>) -> Runtime {
        let (log_id, boot_id) = (options.log_id, options.boot_id);
        Runtime { directory: home.join("run"), home, log_id, boot_id, warning }
    }

    /// `…/run`: cursors, reader slots, rings.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// `…/log`: the segments of both logs, for durability `memory`.
    pub fn log_directory(&self) -> PathBuf {
        self.home.join("log")
    }

    /// Why the folder is not in shared memory, if it is not.
    pub fn warning(&self) -> Option<&Warning> {
        self.warning.as_ref()
    }

    /// The cursors, to move them.
    pub fn cursors(&self) -> Result<Cursors, Error> {
        Ok(Cursors { map: self.map(CURSORS_NAME)? })
    }

    /// The reader slots.
    pub fn readers(&self) -> Result<ReaderSlots, Error> {
        ReaderSlots::open(&self.directory)
    }

    /// Ends a clean shutdown: removes `run`, unless a living reader is still attached; true when
    /// removed. Logs in memory stay.
    pub fn close(self) -> Result<bool, Error> {
        let readers = self.readers()?;
        readers.reap();
        if !readers.list().is_empty() {
            return Ok(false);
        }
        fs::remove_dir_all(&self.directory).map_err(Error::io("remove", &self.directory))?;
        // Succeeds only when nothing else is in it.
        let _ = fs::remove_dir(&self.home);
        Ok(true)
    }

    fn prepare(&self) -> Result<(), Error> {
        if self.is_whole() {
            return Ok(());
        }
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &self.directory)(error));
            }
            _ => {}
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.directory)
            .map_err(Error::io("create", &self.directory))?;
        self.make(CURSORS_NAME, CURSORS_MAGIC, CURSORS_BYTES)?;
        self.make(READERS_NAME, READERS_MAGIC, READERS_BYTES)
    }

    /// Whether both files are there, of this log and this boot.
    fn is_whole(&self) -> bool {
        self.is_valid(CURSORS_NAME, CURSORS_MAGIC, CURSORS_BYTES)
            && self.is_valid(READERS_NAME, READERS_MAGIC, READERS_BYTES)
    }

    fn is_valid(&self, name: &str, magic: [u8; 8], length: usize) -> bool {
        let Ok(bytes) = fs::read(self.directory.join(name)) else { return false };
        bytes.len() == length && bytes.starts_with(&self.header(magic))
    }

    /// Starts both files.
    ///
    /// ```text
    ///   0              8        12     16                   32                   48        128
    ///   | magic        | format | 0    | log id             | boot id            | zeros    |
    /// ```
    fn header(&self, magic: [u8; 8]) -> [u8; LINE] {
        let mut bytes = [0; LINE];
        FieldsMut::new(&mut bytes)
            .put(magic)
            .u32(RUNTIME_FORMAT)
            .u32(0)
            .u128(self.log_id)
            .u128(self.boot_id);
        bytes
    }

    fn make(&self, name: &str, magic: [u8; 8], length: usize) -> Result<(), Error> {
        let path = self.directory.join(name);
        let new = self.directory.join(format!("{name}.new"));
        let file = Disk.create(&new, length as u64).map_err(Error::io("create", &new))?;
        file.write_at(&self.header(magic), 0).map_err(Error::io("write", &new))?;
        fs::rename(&new, &path).map_err(Error::io("rename", &new))
    }

    fn map(&self, name: &str) -> Result<MapMut, Error> {
        let path = self.directory.join(name);
        let file = Disk.open(&path, true).map_err(Error::io("open", &path))?;
        file.map_mut().map_err(Error::io("map", &path))
    }
}

fn shared_memory_warning(options: &RuntimeOptions) -> Option<Warning> {
    let path = options.shared_memory.clone();
    let Ok(facts) = rustix::fs::statvfs(&path) else {
        return Some(Warning::NoSharedMemory { path });
    };
    let free_bytes = facts.f_bavail.saturating_mul(facts.f_frsize);
    let needed_bytes = options.bytes_needed;
    let enough = free_bytes >= needed_bytes;
    (!enough).then_some(Warning::SmallSharedMemory { path, free_bytes, needed_bytes })
}

/// The cursors of the writers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorKind {
    /// Command log: written by `replication`, whether durable or not.
    Appended = 0,
    /// Command log: `apply` may go up to here.
    Committed = 1,
    /// Command log: the engine has applied up to here.
    Applied = 2,
    /// Event log: readers may go up to here; moves at ends of commands.
    Published = 3,
    /// Command log: on disk up to here.
    Durable = 4,
    /// Event log: on disk up to here.
    EventsDurable = 5,
}

const CURSORS: usize = 6;
const CUTS_OFFSET: usize = LINE * (CURSORS + 1);

impl CursorKind {
    /// Each cursor, in the order of the file.
    pub const ALL: [CursorKind; CURSORS] = [
        CursorKind::Appended,
        CursorKind::Committed,
        CursorKind::Applied,
        CursorKind::Published,
        CursorKind::Durable,
        CursorKind::EventsDurable,
    ];

    fn offset(self) -> usize {
        LINE * (self as usize + 1)
    }
}

/// A cursor's value: a position in its log and the last command up to there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    pub position: u64,
    pub sequence: u64,
}

/// The cursors' file for those who move them. Each cursor has one mover.
///
/// ```text
///   0        128               256                                     896
///   | header | appended        | committed | applied | published | …   | cuts            | …
///              position u64      position                                count u64
///              sequence u64      sequence                                last common u64
/// ```
#[derive(Clone, Debug)]
pub struct Cursors {
    map: MapMut,
}

impl Cursors {
    /// Cursors of this process alone, for tests and tools.
    pub fn anonymous() -> io::Result<Cursors> {
        Ok(Cursors { map: MapMut::anonymous(CURSORS_BYTES)? })
    }

    /// Publishes: everything written before this call is seen by whoever reads the cursor after.
    #[inline]
    pub fn publish(&self, kind: CursorKind, position: u64, sequence: u64) {
        self.map.word(kind.offset() + 8).store(sequence, Ordering::Release);
        self.map.word(kind.offset()).store(position, Ordering::Release);
    }

    #[inline]
    pub fn position(&self, kind: CursorKind) -> u64 {
        self.map.word(kind.offset()).load(Ordering::Acquire)
    }

    /// The position, and a sequence that belongs to it or to a later one.
    #[inline]
    pub fn place(&self, kind: CursorKind) -> Place {
        let position = self.position(kind);
        let sequence = self.map.word(kind.offset() + 8).load(Ordering::Acquire);
        Place { position, sequence }
    }

    /// Tells readers that the event log was cut after this sequence.
    pub fn note_cut(&self, last_common: u64) {
        self.map.word(CUTS_OFFSET + 8).store(last_common, Ordering::Release);
        self.map.word(CUTS_OFFSET).fetch_add(1, Ordering::Release);
    }

    /// The same cursors, only to be read.
    pub fn reader(&self) -> CursorsReader {
        CursorsReader { map: self.map.share() }
    }
}

/// The cursors' file mapped read-only, for any process.
#[derive(Clone, Debug)]
pub struct CursorsReader {
    map: Map,
}

impl CursorsReader {
    /// Maps the cursors in a runtime folder.
    pub fn open(directory: &Path) -> Result<CursorsReader, Error> {
        let path = directory.join(CURSORS_NAME);
        let file = Disk.open(&path, false).map_err(Error::io("open", &path))?;
        check_file(file.as_ref(), &path, CURSORS_MAGIC, CURSORS_BYTES)?;
        Ok(CursorsReader { map: file.map().map_err(Error::io("map", &path))? })
    }

    #[inline]
    pub fn position(&self, kind: CursorKind) -> u64 {
        self.map.load(kind.offset()).unwrap_or(0)
    }

    /// The position, and a sequence that belongs to it or to a later one.
    #[inline]
    pub fn place(&self, kind: CursorKind) -> Place {
        let position = self.position(kind);
        let sequence = self.map.load(kind.offset() + 8).unwrap_or(0);
        Place { position, sequence }
    }

    /// How often the event log was cut since this boot, and the last common sequence of the last.
    pub fn cuts(&self) -> (u64, u64) {
        let count = self.map.load(CUTS_OFFSET).unwrap_or(0);
        (count, self.map.load(CUTS_OFFSET + 8).unwrap_or(0))
    }
}

fn check_file(
    file: &dyn crate::storage::StorageFile,
    path: &Path,
    magic: [u8; 8],
    expected: usize,
) -> Result<(), Error> {
    let length = file.length().map_err(Error::io("look at", path))?;
    let expected = expected as u64;
    if length < expected {
        return Err(Error::Truncated { file: path.to_owned(), length, expected });
    }
    let mut bytes = [0; LINE];
    file.read_at(&mut bytes, 0).map_err(Error::io("read", path))?;
    let mut fields = Fields::new(&bytes);
    if fields.take() != Some(magic) {
        return Err(Error::corrupt(path, 0, "this is no file of a runtime folder"));
    }
    match fields.u32() {
        Some(RUNTIME_FORMAT) => Ok(()),
        found => {
            let (file, found) = (path.to_owned(), found.unwrap_or(0));
            Err(Error::NewerFormat { file, offset: 8, found, supported: RUNTIME_FORMAT })
        }
    }
}

/// A process that cannot be confused with a later one of the same pid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    /// Clock ticks since boot.
    pub start: u64,
}

impl Process {
    pub fn current() -> Process {
        let pid = std::process::id();
        Process { pid, start: start_time(pid).unwrap_or(0) }
    }

    /// Dead means: the pid is gone, a zombie, or another process has it. Never a late heartbeat.
    pub fn is_alive(&self) -> bool {
        start_time(self.pid) == Some(self.start)
    }
}

/// The start time of a process that lives.
fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses, which may hold anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    // Of the remaining fields, counted from the fourth, the start time is the 22nd.
    let start: u64 = fields.nth(18)?.parse().ok()?;
    (state != "Z" && state != "X").then_some(start & START_MASK)
}

const FREE: u64 = 0;
const STATE_MASK: u64 = 3;
const CLAIMING: u64 = 1;
const LIVE: u64 = 2;
const PID_SHIFT: u32 = 2;
const PID_BITS: u32 = 22;
const START_SHIFT: u32 = PID_SHIFT + PID_BITS;
const START_MASK: u64 = (1 << (64 - START_SHIFT)) - 1;

/// The reader slots, which keep retention from taking segments from under a living reader.
///
/// ```text
///   0        128                                                              256
///   | header | owner u64 | position u64 | sequence u64 | hash u64 | zeros …   | the next slot …
///
///   owner:  63                          24                2       0
///           | start time of the process | pid             | state |    0 free, 1 claimed, 2 live
/// ```
///
/// State and owner are one word, so a slot is never owned by half a process. Processes that share
/// the folder must see each other's pids (one pid namespace).
#[derive(Clone, Debug)]
pub struct ReaderSlots {
    map: MapMut,
}

/// What a slot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReaderFacts {
    pub slot: usize,
    pub process: Process,
    pub position: u64,
    pub sequence: u64,
    pub hash: u64,
}

impl ReaderSlots {
    /// Maps the slots in a runtime folder.
    pub fn open(directory: &Path) -> Result<ReaderSlots, Error> {
        let path = directory.join(READERS_NAME);
        let file = Disk.open(&path, true).map_err(Error::io("open", &path))?;
        check_file(file.as_ref(), &path, READERS_MAGIC, READERS_BYTES)?;
        Ok(ReaderSlots { map: file.map_mut().map_err(Error::io("map", &path))? })
    }

    /// Takes a slot for this process, standing at `position`.
    pub fn claim(&self, position: u64) -> Result<ReaderSlot, Error> {
        self.claim_for(Process::current(), position)
    }

    fn claim_for(&self, process: Process, position: u64) -> Result<ReaderSlot, Error> {
        match self.claim_free(process, position) {
            None => {
                self.reap();
                self.claim_free(process, position).ok_or(Error::NoReaderSlot)
            }
            Some(slot) => Ok(slot),
        }
    }

    fn claim_free(&self, process: Process, position: u64) -> Option<ReaderSlot> {
        let claiming = owner_word(process, CLAIMING);
        let live = owner_word(process, LIVE);
        let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
        let claimed = |slot: &usize| {
            let word = self.map.word(slot_offset(*slot));
            word.compare_exchange(FREE, claiming, success, failure).is_ok()
        };
        let slot = (0..READER_SLOTS).find(claimed)?;
        let slot = ReaderSlot { map: self.map.clone(), slot, owner: live };
        slot.stand_at(position, 0, 0);
        self.map.word(slot_offset(slot.slot)).store(live, Ordering::Release);
        Some(slot)
    }

    /// Frees the slots of dead processes; gives how many.
    pub fn reap(&self) -> u64 {
        let mut freed = 0;
        for slot in 0..READER_SLOTS {
            let word = self.map.word(slot_offset(slot));
            let owner = word.load(Ordering::Acquire);
            if owner & STATE_MASK == FREE || process_of(owner).is_alive() {
                continue;
            }
            let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
            freed += u64::from(word.compare_exchange(owner, FREE, success, failure).is_ok());
        }
        freed
    }

    /// The slots that are taken.
    pub fn list(&self) -> Vec<ReaderFacts> {
        (0..READER_SLOTS).filter_map(|slot| self.facts(slot)).collect()
    }

    /// The lowest position that a reader still needs; `None` without readers. Reap before.
    pub fn lowest_position(&self) -> Option<u64> {
        self.list().iter().map(|facts| facts.position).min()
    }

    fn facts(&self, slot: usize) -> Option<ReaderFacts> {
        let offset = slot_offset(slot);
        let owner = self.map.word(offset).load(Ordering::Acquire);
        let field = |at: usize| self.map.word(offset + at).load(Ordering::Acquire);
        let process = process_of(owner);
        let (sequence, hash) = (field(16), field(24));
        match owner & STATE_MASK {
            FREE => None,
            // Its position is still that of the slot's last owner: it may need everything.
            CLAIMING => Some(ReaderFacts { slot, process, position: 0, sequence: 0, hash: 0 }),
            _ => Some(ReaderFacts { slot, process, position: field(8), sequence, hash }),
        }
    }
}

fn slot_offset(slot: usize) -> usize {
    LINE * (slot + 1)
}

fn owner_word(process: Process, state: u64) -> u64 {
    let pid = u64::from(process.pid) & ((1 << PID_BITS) - 1);
    ((process.start & START_MASK) << START_SHIFT) | (pid << PID_SHIFT) | state
}

fn process_of(owner: u64) -> Process {
    let pid = (owner >> PID_SHIFT) & ((1 << PID_BITS) - 1);
    Process { pid: pid as u32, start: owner >> START_SHIFT }
}

/// A slot that this process holds; freed when dropped.
#[derive(Debug)]
pub struct ReaderSlot {
    map: MapMut,
    slot: usize,
    owner: u64,
}

impl ReaderSlot {
    pub fn number(&self) -> usize {
        self.slot
    }

    /// Says that nothing below `position` is needed any more.
    #[inline]
    pub fn stand_at(&self, position: u64, sequence: u64, hash: u64) {
        let offset = slot_offset(self.slot);
        self.map.word(offset + 16).store(sequence, Ordering::Release);
        self.map.word(offset + 24).store(hash, Ordering::Release);
        self.map.word(offset + 8).store(position, Ordering::Release);
    }
}

impl Drop for ReaderSlot {
    fn drop(&mut self) {
        let word = self.map.word(slot_offset(self.slot));
        // Fails only when somebody reaped it, which then is no longer ours to free.
        let _ = word.compare_exchange(self.owner, FREE, Ordering::AcqRel, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn options(folder: &Path) -> RuntimeOptions {
        let shared_memory = folder.join("shm");
        fs::create_dir_all(&shared_memory).unwrap();
        RuntimeOptions {
            shared_memory,
            boot_id: 5,
            ..RuntimeOptions::new(&folder.join("fallback"), 0xABC)
        }
    }

    /// A process that has lived and is dead and reaped.
    fn dead() -> Process {
        let mut child = Command::new("true").stdin(Stdio::null()).spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        Process { pid, start: 1 }
    }

    #[test]
    fn cursors_are_seen_by_readers_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let runtime = Runtime::open(&options(folder.path())).unwrap();
        assert!(runtime.warning().is_none());
        let (cursors, reader) =
            (runtime.cursors().unwrap(), CursorsReader::open(runtime.directory()).unwrap());
        for (kind, number) in CursorKind::ALL.into_iter().zip(1..) {
            assert_eq!(reader.place(kind), Place::default());
            cursors.publish(kind, number * 100, number);
        }
        for (kind, number) in CursorKind::ALL.into_iter().zip(1..) {
            let place = Place { position: number * 100, sequence: number };
            assert_eq!((reader.place(kind), cursors.place(kind)), (place, place));
        }
        assert_eq!(reader.cuts(), (0, 0));
        cursors.note_cut(77);
        assert_eq!(reader.cuts(), (1, 77));
    }

    #[test]
    fn a_published_position_brings_its_bytes_and_sequence_along() {
        let cursors = Cursors::anonymous().unwrap();
        let reader = cursors.reader();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 1..=200_000 {
                    cursors.publish(CursorKind::Published, number * 3, number);
                }
            });
            let mut last = 0;
            while last < 600_000 {
                let place = reader.place(CursorKind::Published);
                assert!(place.position >= last && place.sequence * 3 >= place.position);
                last = place.position;
            }
        });
    }

    #[test]
    fn the_folder_is_kept_over_restarts_and_made_anew_at_another_boot() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path());
        let position = |options: &RuntimeOptions| {
            let cursors = Runtime::open(options).unwrap().cursors().unwrap();
            cursors.position(CursorKind::Applied)
        };
        let cursors = Runtime::open(&options).unwrap().cursors().unwrap();
        cursors.publish(CursorKind::Applied, 9, 1);
        assert_eq!(position(&options), 9);
        options.boot_id = 6;
        assert_eq!(position(&options), 0);
    }

    #[test]
    fn without_room_in_shared_memory_the_folder_is_elsewhere_with_a_warning() {
        let folder = tempfile::tempdir().unwrap();
        let small = RuntimeOptions { bytes_needed: u64::MAX, ..options(folder.path()) };
        let runtime = Runtime::open(&small).unwrap();
        assert!(matches!(runtime.warning(), Some(Warning::SmallSharedMemory { .. })));
        assert_eq!(runtime.directory(), folder.path().join("fallback/run"));
        let none = RuntimeOptions { shared_memory: folder.path().join("none"), ..small };
        let runtime = Runtime::open(&none).unwrap();
        assert!(matches!(runtime.warning(), Some(Warning::NoSharedMemory { .. })));
        runtime.cursors().unwrap().publish(CursorKind::Applied, 1, 1);
    }

    #[test]
    fn a_folder_begun_in_shared_memory_stays_there_when_it_fills_up() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path());
        let before = Runtime::open(&options).unwrap();
        let later = RuntimeOptions { bytes_needed: u64::MAX, ..options };
        let after = Runtime::open(&later).unwrap();
        assert_eq!((after.directory(), after.warning()), (before.directory(), None));
    }

    #[test]
    fn a_clean_shutdown_removes_the_folder_unless_a_reader_lives() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path());
        let runtime = Runtime::open(&options).unwrap();
        let directory = runtime.directory().to_owned();
        let slot = runtime.readers().unwrap().claim(5).unwrap();
        assert!(!runtime.close().unwrap() && directory.exists());
        drop(slot);
        let runtime = Runtime::open(&options).unwrap();
        runtime.readers().unwrap().claim_for(dead(), 5).map(std::mem::forget).unwrap();
        assert!(runtime.close().unwrap() && !directory.exists());
    }

    #[test]
    fn a_damaged_file_is_refused_by_readers_and_made_anew_by_the_server() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path());
        let runtime = Runtime::open(&options).unwrap();
        let path = runtime.directory().join(CURSORS_NAME);
        for bytes in [&b"short"[..], &[0; CURSORS_BYTES]] {
            fs::write(&path, bytes).unwrap();
            assert!(CursorsReader::open(runtime.directory()).is_err());
            Runtime::open(&options).unwrap();
            assert!(CursorsReader::open(runtime.directory()).is_ok());
        }
    }

    fn slots() -> ReaderSlots {
        ReaderSlots { map: MapMut::anonymous(READERS_BYTES).unwrap() }
    }

    #[test]
    fn a_slot_says_what_its_reader_needs_until_dropped() {
        let slots = slots();
        assert_eq!(slots.lowest_position(), None);
        let one = slots.claim(500).unwrap();
        let two = slots.claim(300).unwrap();
        assert_eq!((one.number(), two.number(), slots.lowest_position()), (0, 1, Some(300)));
        two.stand_at(900, 9, 0xAA);
        assert_eq!(slots.lowest_position(), Some(500));
        let facts = slots.list()[1];
        assert_eq!((facts.position, facts.sequence, facts.hash), (900, 9, 0xAA));
        assert_eq!(facts.process, Process::current());
        drop(one);
        assert_eq!(slots.lowest_position(), Some(900));
        assert_eq!(slots.claim(0).unwrap().number(), 0);
    }

    #[test]
    fn sixty_four_readers_fit_and_the_dead_make_room() {
        let slots = slots();
        let dead = dead();
        let mut held: Vec<ReaderSlot> = (0..60).map(|n| slots.claim(n).unwrap()).collect();
        for _ in 0..4 {
            std::mem::forget(slots.claim_for(dead, 1).unwrap());
        }
        held.extend((0..4).map(|n| slots.claim(n).unwrap()));
        assert!(matches!(slots.claim(0), Err(Error::NoReaderSlot)));
        assert_eq!(slots.list().len(), READER_SLOTS);
    }

    #[test]
    fn a_process_of_the_same_pid_that_started_later_is_another_one() {
        let slots = slots();
        let ours = Process::current();
        let older = Process { start: ours.start - 1, ..ours };
        std::mem::forget(slots.claim_for(older, 1).unwrap());
        let _alive = slots.claim(2).unwrap();
        assert!(ours.is_alive() && !older.is_alive());
        assert_eq!(slots.reap(), 1);
        assert_eq!(slots.lowest_position(), Some(2));
    }

    #[test]
    fn a_killed_process_is_dead_before_its_parent_waits_for_it() {
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let process = Process { pid, start: start_time(pid).unwrap() };
        assert!(process.is_alive());
        child.kill().unwrap();
        while process.is_alive() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(!process.is_alive());
    }

    #[test]
    fn threads_never_share_a_slot() {
        let slots = slots();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        let held = [slots.claim(1).unwrap(), slots.claim(2).unwrap()];
                        assert_ne!(held[0].number(), held[1].number());
                        held[0].stand_at(7, 7, 7);
                    }
                });
            }
        });
        assert!(slots.list().is_empty());
    }
}
