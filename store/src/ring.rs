//! Rings of records from one producer to one consumer, in shared memory or within a process.
//!
//! Three words that only grow: `head` (the producer has put records up to here), `taken` (the
//! consumer has seen them) and `released` (they are committed). The producer's free space is
//! counted from `released`, so after a change of leader the consumer can take again what was never
//! committed. New orders fill three quarters of a ring at most; the rest is for cancels and admin.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::bytes::{Fields, FieldsMut};
use crate::error::Error;
use crate::frame::padded;

#[cfg(loom)]
use loom::sync::atomic::Ordering;
#[cfg(not(loom))]
use std::sync::atomic::Ordering;

/// Bytes before a record's own.
pub const RECORD_HEADER_LENGTH: usize = 16;
/// The format of ring files.
pub const RING_FORMAT: u32 = 1;

/// Stands in a record's length: nothing more fits before the end, go on at the start.
const WRAP: u32 = u32::MAX;

/// How urgent a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// May fill three quarters of the ring.
    Order,
    /// Cancels and admin: may fill all of it.
    Urgent,
}

/// There is no room for a record of this class now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the ring is full")
    }
}

impl std::error::Error for Full {}

/// Starts every record. The position is the record's own and guards against stale bytes.
///
/// ```text
///   0        4        8                 16
///   | length | 0      | position        | bytes, padded to 16 …
/// ```
fn record_header(length: u32, position: u64) -> [u8; RECORD_HEADER_LENGTH] {
    let mut bytes = [0; RECORD_HEADER_LENGTH];
    FieldsMut::new(&mut bytes).u32(length).u32(0).u64(position);
    bytes
}

/// A ring within this process. The capacity is a power of two, 128 at least.
pub fn anonymous(capacity: usize) -> Result<(Producer, Consumer), Error> {
    let memory = Arc::new(Memory::anonymous(capacity)?);
    Ok((Producer::over(Arc::clone(&memory))?, Consumer::over(memory)?))
}

/// The end that puts records in. There is one per ring at a time.
pub struct Producer {
    memory: Arc<Memory>,
    head: u64,
    /// The last `released` seen.
    released: u64,
}

impl Producer {
    /// Makes a ring file, in place of one that has the name; the consumer opens it.
    #[cfg(not(loom))]
    pub fn create(path: &Path, capacity: usize) -> Result<Producer, Error> {
        Producer::over(Arc::new(Memory::create(path, capacity)?))
    }

    /// Opens a ring file behind its last record.
    #[cfg(not(loom))]
    pub fn open(path: &Path) -> Result<Producer, Error> {
        Producer::over(Arc::new(Memory::open(path)?))
    }

    fn over(memory: Arc<Memory>) -> Result<Producer, Error> {
        let (head, _, released) = memory.check_words()?;
        Ok(Producer { memory, head, released })
    }

    /// Puts one record in and publishes it, or says `Full` and changes nothing.
    ///
    /// A record with its header of 16 bytes takes a quarter of the ring at most; more is a bug.
    #[inline]
    pub fn push(&mut self, bytes: &[u8], class: Class) -> Result<(), Full> {
        let capacity = self.memory.capacity();
        let length = RECORD_HEADER_LENGTH + padded(bytes.len());
        assert!(length <= capacity / 4, "a record larger than a quarter of its ring");
        let offset = self.memory.offset(self.head);
        let left = capacity - offset;
        let skipped = if length > left { left } else { 0 };
        if !self.has_room(skipped + length, class) {
            return Err(Full);
        }
        if skipped > 0 {
            self.memory.write(offset, &record_header(WRAP, self.head));
            self.head += skipped as u64;
        }
        let offset = self.memory.offset(self.head);
        self.memory.write(offset, &record_header(bytes.len() as u32, self.head));
        self.memory.write(offset + RECORD_HEADER_LENGTH, bytes);
        self.head += length as u64;
        // Publishes the bytes above.
        self.memory.head().store(self.head, Ordering::Release);
        Ok(())
    }

    /// Where the next record goes; it grows by the bytes that records take.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Bytes that are not released yet.
    pub fn used(&mut self) -> u64 {
        self.look_at_released();
        self.head - self.released
    }

    #[inline]
    fn has_room(&mut self, length: usize, class: Class) -> bool {
        let capacity = self.memory.capacity() as u64;
        let bound = match class {
            Class::Order => capacity / 4 * 3,
            Class::Urgent => capacity,
        };
        let used = self.head + length as u64;
        if used - self.released <= bound {
            return true;
        }
        self.look_at_released();
        used - self.released <= bound
    }

    /// Reads the consumer's word; it counts only if it can be true, whatever the other process did.
    fn look_at_released(&mut self) {
        // Pairs with the consumer's store: it has done with the bytes that will be overwritten.
        let released = self.memory.released().load(Ordering::Acquire);
        if (self.released..=self.head).contains(&released) {
            self.released = released;
        }
    }
}

/// The end that takes records out. There is one per ring at a time.
pub struct Consumer {
    memory: Arc<Memory>,
    taken: u64,
    released: u64,
}

impl Consumer {
    /// Opens a ring file at its `released` word: what was not committed is taken again.
    #[cfg(not(loom))]
    pub fn open(path: &Path) -> Result<Consumer, Error> {
        Consumer::over(Arc::new(Memory::open(path)?))
    }

    fn over(memory: Arc<Memory>) -> Result<Consumer, Error> {
        let (_, _, released) = memory.check_words()?;
        Ok(Consumer { memory, taken: released, released })
    }

    /// Takes up to `count` records, oldest first; gives how many. They stay in the ring until
    /// released.
    ///
    /// Errors: `Corrupt` when the producer's process has put nonsense into the ring.
    #[inline]
    pub fn poll(&mut self, count: usize, mut take: impl FnMut(&[u8])) -> Result<usize, Error> {
        // Pairs with the producer's store: the bytes below are in place.
        let head = self.memory.head().load(Ordering::Acquire);
        if head == self.taken {
            return Ok(0);
        }
        let waiting = head.checked_sub(self.released);
        if head < self.taken || waiting.is_none_or(|bytes| bytes > self.memory.capacity() as u64) {
            return Err(self.corrupt("the head is where it cannot be"));
        }
        let mut polled = 0;
        while self.taken < head && polled < count {
            polled += usize::from(self.take_one(head, &mut take)?);
        }
        self.memory.taken().store(self.taken, Ordering::Release);
        Ok(polled)
    }

    /// Takes one record or a wrap marker; true for a record.
    #[inline]
    fn take_one(&mut self, head: u64, take: &mut impl FnMut(&[u8])) -> Result<bool, Error> {
        let offset = self.memory.offset(self.taken);
        let left = self.memory.capacity() - offset;
        let header = self.memory.read(offset, RECORD_HEADER_LENGTH, |bytes| {
            let mut fields = Fields::new(bytes);
            Some((fields.u32()?, fields.u32()?, fields.u64()?))
        });
        let Some((length, 0, position)) = header else {
            return Err(self.corrupt("a record has no header"));
        };
        if position != self.taken {
            return Err(self.corrupt("a record does not know its own position"));
        }
        let whole = match length {
            WRAP => left,
            length => RECORD_HEADER_LENGTH.saturating_add(padded(length as usize)),
        };
        let end = self.taken.saturating_add(whole as u64);
        if whole > left || end > head {
            return Err(self.corrupt("a record is longer than what was put"));
        }
        if length != WRAP {
            self.memory.read(offset + RECORD_HEADER_LENGTH, length as usize, take);
        }
        self.taken = end;
        Ok(length != WRAP)
    }

    /// Whether the producer has put something that was not taken yet.
    pub fn has_work(&self) -> bool {
        self.memory.head().load(Ordering::Acquire) != self.taken
    }

    /// Where the next record will be taken; what lies below can be released once committed.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    pub fn released(&self) -> u64 {
        self.released
    }

    /// Gives the space below `position` (a value of `taken`) back to the producer.
    pub fn release(&mut self, position: u64) {
        assert!(position <= self.taken, "a release of records that were not taken");
        if position > self.released {
            self.released = position;
            // The reads of these bytes come before whatever the producer writes there next.
            self.memory.released().store(position, Ordering::Release);
        }
    }

    /// Takes everything that was not released again, after a change of leader.
    pub fn rewind_to_released(&mut self) {
        self.taken = self.released;
        self.memory.taken().store(self.taken, Ordering::Release);
    }

    #[cold]
    fn corrupt(&self, what: &'static str) -> Error {
        Error::corrupt(self.memory.path(), self.taken, what)
    }
}

impl Memory {
    /// Where in the data a position lies.
    #[inline]
    fn offset(&self, position: u64) -> usize {
        (position & (self.capacity() as u64 - 1)) as usize
    }

    /// Head, taken and released, if they can be true.
    fn check_words(&self) -> Result<(u64, u64, u64), Error> {
        let released = self.released().load(Ordering::Acquire);
        let taken = self.taken().load(Ordering::Acquire);
        let head = self.head().load(Ordering::Acquire);
        let used = head.checked_sub(released);
        let aligned = (head | released).is_multiple_of(RECORD_HEADER_LENGTH as u64);
        // No ring has come that far; from there on sums could wrap.
        let is_absurd = head > u64::MAX / 2;
        if !aligned || is_absurd || used.is_none_or(|used| used > self.capacity() as u64) {
            return Err(Error::corrupt(self.path(), HEAD as u64, "the words of the ring disagree"));
        }
        Ok((head, taken, released))
    }
}

fn check_capacity(capacity: usize) -> Result<(), Error> {
    if capacity.is_power_of_two() && capacity >= 128 {
        return Ok(());
    }
    Err(Error::Options { what: "the capacity of a ring must be a power of two, 128 at least" })
}

const HEAD: usize = 128;

#[cfg(not(loom))]
use shared::Memory;

/// Memory of a file or of this process.
#[cfg(not(loom))]
mod shared {
    use std::path::PathBuf;
    use std::sync::atomic::AtomicU64;

    use super::*;
    use crate::map::MapMut;
    use crate::storage::{Disk, Storage};

    const MAGIC: [u8; 8] = *b"OUTCRYRG";
    const TAKEN: usize = 256;
    const RELEASED: usize = 384;
    const DATA: usize = 512;

    /// The bytes of a ring.
    ///
    /// ```text
    ///   0                8        12      16         24      128      256      384        512
    ///   | "OUTCRYRG"     | format | 0     | capacity | …     | head … | taken …| released…| records
    /// ```
    pub(super) struct Memory {
        map: MapMut,
        capacity: usize,
        path: PathBuf,
    }

    impl Memory {
        pub(super) fn anonymous(capacity: usize) -> Result<Memory, Error> {
            check_capacity(capacity)?;
            let path = PathBuf::from("(ring in memory)");
            let map = MapMut::anonymous(DATA + capacity).map_err(Error::io("map", &path))?;
            Ok(Memory { map, capacity, path })
        }

        pub(super) fn create(path: &Path, capacity: usize) -> Result<Memory, Error> {
            check_capacity(capacity)?;
            let mut new = path.as_os_str().to_owned();
            new.push(".new");
            let new = PathBuf::from(new);
            // Left over from a process that died in the middle, if it is there.
            let _ = Disk.unlink(&new);
            let length = (DATA + capacity) as u64;
            let file = Disk.create(&new, length).map_err(Error::io("create", &new))?;
            let mut header = [0; 24];
            FieldsMut::new(&mut header).put(MAGIC).u32(RING_FORMAT).u32(0).u64(capacity as u64);
            file.write_at(&header, 0).map_err(Error::io("write", &new))?;
            Disk.rename(&new, path).map_err(Error::io("rename", &new))?;
            Memory::open(path)
        }

        pub(super) fn open(path: &Path) -> Result<Memory, Error> {
            let file = Disk.open(path, true).map_err(Error::io("open", path))?;
            let length = file.length().map_err(Error::io("look at", path))?;
            let short = |expected| Error::Truncated { file: path.to_owned(), length, expected };
            let mut header = [0; 24];
            if length < DATA as u64 {
                return Err(short(DATA as u64));
            }
            file.read_at(&mut header, 0).map_err(Error::io("read", path))?;
            let capacity = capacity_in(&header, path)?;
            check_capacity(capacity)?;
            let expected = (DATA as u64).saturating_add(capacity as u64);
            if length < expected {
                return Err(short(expected));
            }
            let map = file.map_mut().map_err(Error::io("map", path))?;
            Ok(Memory { map, capacity, path: path.to_owned() })
        }

        pub(super) fn path(&self) -> &Path {
            &self.path
        }

        #[inline]
        pub(super) fn capacity(&self) -> usize {
            self.capacity
        }

        #[inline]
        pub(super) fn head(&self) -> &AtomicU64 {
            self.map.word(HEAD)
        }

        #[inline]
        pub(super) fn taken(&self) -> &AtomicU64 {
            self.map.word(TAKEN)
        }

        #[inline]
        pub(super) fn released(&self) -> &AtomicU64 {
            self.map.word(RELEASED)
        }

        /// The producer's: bytes between `head` and `released` plus the capacity.
        #[inline]
        pub(super) fn write(&self, offset: usize, bytes: &[u8]) {
            self.map.write(DATA + offset, bytes);
        }

        /// The consumer's: bytes between `released` and `head`.
        #[inline]
        pub(super) fn read<R>(
            &self,
            offset: usize,
            length: usize,
            read: impl FnOnce(&[u8]) -> R,
        ) -> R {
            read(self.map.bytes(DATA + offset, length).unwrap_or_default())
        }
    }

    fn capacity_in(header: &[u8; 24], path: &Path) -> Result<usize, Error> {
        let mut fields = Fields::new(header);
        if fields.take() != Some(MAGIC) {
            return Err(Error::corrupt(path, 0, "this is no ring"));
        }
        let format = fields.u32().unwrap_or(0);
        if format != RING_FORMAT {
            let (file, supported) = (path.to_owned(), RING_FORMAT);
            return Err(Error::NewerFormat { file, offset: 8, found: format, supported });
        }
        let _ = fields.u32();
        Ok(fields.u64().and_then(|capacity| usize::try_from(capacity).ok()).unwrap_or(0))
    }
}

#[cfg(loom)]
use model::Memory;

/// The same memory under loom, which sees every access to every cell of 16 bytes.
#[cfg(loom)]
#[allow(unsafe_code)]
mod model {
    use loom::cell::UnsafeCell;
    use loom::sync::atomic::AtomicU64;

    use super::*;

    const CELL: usize = 16;

    pub(super) struct Memory {
        head: AtomicU64,
        taken: AtomicU64,
        released: AtomicU64,
        cells: Vec<UnsafeCell<[u8; CELL]>>,
    }

    // SAFETY: producer and consumer touch disjoint cells, which the words keep apart: this is what
    // the model checks; loom panics when they ever meet.
    unsafe impl Sync for Memory {}

    impl Memory {
        pub(super) fn anonymous(capacity: usize) -> Result<Memory, Error> {
            check_capacity(capacity)?;
            let words = [0; 3].map(AtomicU64::new);
            let [head, taken, released] = words;
            let cells = (0..capacity / CELL).map(|_| UnsafeCell::new([0; CELL])).collect();
            Ok(Memory { head, taken, released, cells })
        }

        pub(super) fn path(&self) -> &Path {
            Path::new("(ring in a model)")
        }

        pub(super) fn capacity(&self) -> usize {
            self.cells.len() * CELL
        }

        pub(super) fn head(&self) -> &AtomicU64 {
            &self.head
        }

        pub(super) fn taken(&self) -> &AtomicU64 {
            &self.taken
        }

        pub(super) fn released(&self) -> &AtomicU64 {
            &self.released
        }

        pub(super) fn write(&self, offset: usize, bytes: &[u8]) {
            for (cell, part) in self.cells[offset / CELL..].iter().zip(bytes.chunks(CELL)) {
                // SAFETY: the producer alone writes here now; loom checks it.
                cell.with_mut(|cell| unsafe { (&mut *cell)[..part.len()].copy_from_slice(part) });
            }
        }

        pub(super) fn read<R>(
            &self,
            offset: usize,
            length: usize,
            read: impl FnOnce(&[u8]) -> R,
        ) -> R {
            let cells = &self.cells[offset / CELL..][..length.div_ceil(CELL)];
            // SAFETY: nobody writes here now; loom checks it.
            let copies = cells.iter().map(|cell| cell.with(|cell| unsafe { *cell }));
            let bytes: Vec<u8> = copies.flatten().collect();
            read(&bytes[..length])
        }
    }
}

#[cfg(all(test, loom))]
mod model_tests {
    use super::*;

    /// Records of a quarter of the ring, so that the fifth overwrites the first.
    fn record(number: u8) -> [u8; 16] {
        [number; 16]
    }

    fn push_or_yield(producer: &mut Producer, number: u8, class: Class) {
        while producer.push(&record(number), class).is_err() {
            loom::thread::yield_now();
        }
    }

    fn take_in_order(consumer: &mut Consumer, count: u8) {
        let mut next = 0;
        while next < count {
            let polled = consumer.poll(2, |bytes| {
                assert_eq!(bytes, record(next));
                next += 1;
            });
            if polled.unwrap() == 0 {
                loom::thread::yield_now();
            }
            consumer.release(consumer.taken());
        }
    }

    fn model(test: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(2);
        builder.check(test);
    }

    #[test]
    fn ring_records_arrive_whole_and_in_order_also_over_the_wrap() {
        model(|| {
            let (mut producer, mut consumer) = anonymous(128).unwrap();
            let thread = loom::thread::spawn(move || {
                (0..6).for_each(|number| push_or_yield(&mut producer, number, Class::Urgent));
            });
            take_in_order(&mut consumer, 6);
            thread.join().unwrap();
        });
    }

    #[test]
    fn ring_records_can_be_taken_again_until_released() {
        model(|| {
            let (mut producer, mut consumer) = anonymous(128).unwrap();
            let thread = loom::thread::spawn(move || {
                (0..4).for_each(|number| push_or_yield(&mut producer, number, Class::Order));
            });
            consumer.poll(1, |bytes| assert_eq!(bytes, record(0))).unwrap();
            consumer.rewind_to_released();
            take_in_order(&mut consumer, 4);
            thread.join().unwrap();
        });
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use crate::sim::Random;

    fn taken(consumer: &mut Consumer) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        consumer.poll(usize::MAX, |bytes| records.push(bytes.to_vec())).unwrap();
        records
    }

    fn push_until_full(producer: &mut Producer, class: Class) -> usize {
        std::iter::from_fn(|| producer.push(&[1; 16], class).ok()).count()
    }

    #[test]
    fn records_come_out_as_they_went_in_also_empty_and_odd_ones() {
        let (mut producer, mut consumer) = anonymous(1024).unwrap();
        let records: Vec<Vec<u8>> = [0, 1, 15, 16, 17, 100].map(|length| vec![7; length]).into();
        records.iter().for_each(|record| producer.push(record, Class::Order).unwrap());
        assert!(consumer.has_work());
        assert_eq!(taken(&mut consumer), records);
        assert!(!consumer.has_work());
        assert_eq!(taken(&mut consumer), Vec::<Vec<u8>>::new());
    }

    #[test]
    fn any_sequence_of_records_survives_the_wrap() {
        let (mut producer, mut consumer) = anonymous(1024).unwrap();
        let mut random = Random::new(3);
        let mut waiting = std::collections::VecDeque::new();
        let mut passed = 0;
        for number in 0..20_000 {
            let record = vec![number as u8; random.below(241) as usize];
            if producer.push(&record, Class::Urgent).is_ok() {
                waiting.push_back(record);
            }
            if random.chance(40) {
                let count = random.below(5) as usize;
                let polled = consumer
                    .poll(count, |bytes| assert_eq!(Some(bytes), waiting.pop_front().as_deref()))
                    .unwrap();
                assert!(polled <= count);
                passed += polled;
                consumer.release(consumer.taken());
            }
        }
        assert!(passed > 5_000 && producer.head() > 50 * 1024);
    }

    #[test]
    fn orders_fill_three_quarters_and_cancels_the_rest() {
        let (mut producer, mut consumer) = anonymous(1024).unwrap();
        assert_eq!(push_until_full(&mut producer, Class::Order), 24);
        assert_eq!(push_until_full(&mut producer, Class::Urgent), 8);
        assert_eq!((producer.used(), producer.head()), (1024, 1024));
        // Taking gives no room, only releasing does.
        assert_eq!(taken(&mut consumer).len(), 32);
        assert_eq!(producer.push(&[], Class::Urgent), Err(Full));
        consumer.release(consumer.taken());
        assert_eq!(push_until_full(&mut producer, Class::Order), 24);
    }

    #[test]
    fn full_changes_nothing() {
        let (mut producer, mut consumer) = anonymous(128).unwrap();
        push_until_full(&mut producer, Class::Urgent);
        let head = producer.head();
        assert_eq!(producer.push(&[9; 16], Class::Urgent), Err(Full));
        assert_eq!((producer.head(), taken(&mut consumer).len()), (head, 4));
    }

    #[test]
    fn what_was_not_released_is_taken_again() {
        let (mut producer, mut consumer) = anonymous(1024).unwrap();
        (0..6u8).for_each(|n| producer.push(&[n], Class::Order).unwrap());
        consumer.poll(2, |_| {}).unwrap();
        let committed = consumer.taken();
        consumer.poll(2, |_| {}).unwrap();
        consumer.release(committed);
        consumer.rewind_to_released();
        assert_eq!((consumer.taken(), consumer.released()), (committed, committed));
        assert_eq!(taken(&mut consumer), [[2], [3], [4], [5]]);
    }

    #[test]
    fn a_ring_file_outlives_both_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ring");
        let mut producer = Producer::create(&path, 4096).unwrap();
        producer.push(b"one", Class::Order).unwrap();
        producer.push(b"two", Class::Order).unwrap();
        let mut consumer = Consumer::open(&path).unwrap();
        consumer.poll(1, |bytes| assert_eq!(bytes, b"one")).unwrap();
        consumer.release(consumer.taken());
        consumer.poll(1, |bytes| assert_eq!(bytes, b"two")).unwrap();
        drop((producer, consumer));
        // A new consumer begins with what was not released, a new producer behind the last record.
        let mut producer = Producer::open(&path).unwrap();
        producer.push(b"three", Class::Order).unwrap();
        let mut consumer = Consumer::open(&path).unwrap();
        assert_eq!(taken(&mut consumer), [&b"two"[..], b"three"]);
        // Made anew it is empty.
        Producer::create(&path, 4096).unwrap();
        assert_eq!(taken(&mut Consumer::open(&path).unwrap()).len(), 0);
    }

    #[test]
    fn a_damaged_ring_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ring");
        let cases: [(usize, u8); 6] = [(0, 1), (8, 9), (16, 3), (17, 0xFF), (128, 1), (384, 32)];
        for (at, value) in cases {
            Producer::create(&path, 4096).unwrap();
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[at] = value;
            std::fs::write(&path, &bytes).unwrap();
            assert!(Consumer::open(&path).is_err() && Producer::open(&path).is_err(), "byte {at}");
        }
        std::fs::write(&path, [0; 100]).unwrap();
        assert!(matches!(Consumer::open(&path), Err(Error::Truncated { .. })));
    }

    #[test]
    fn nonsense_in_a_record_is_an_error_and_no_panic() {
        use std::os::unix::fs::FileExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ring");
        let file = |path| std::fs::OpenOptions::new().write(true).open(path).unwrap();
        // Lengths, the zero, the position; then the head.
        for (at, bytes) in [
            (512, [0xF0; 4]),
            (512, [0xFF, 0xFF, 0xFF, 0x7F]),
            (512, [0xFE, 0xFF, 0xFF, 0xFF]),
            (516, [1; 4]),
            (520, [1; 4]),
            (128, [0, 0xFF, 0, 0]),
        ] {
            let mut producer = Producer::create(&path, 1024).unwrap();
            producer.push(&[1; 100], Class::Order).unwrap();
            let mut consumer = Consumer::open(&path).unwrap();
            file(&path).write_all_at(&bytes, at).unwrap();
            let error = consumer.poll(10, |_| {}).unwrap_err();
            assert!(matches!(error, Error::Corrupt { .. }), "{at}: {error}");
        }
    }

    #[test]
    fn a_capacity_that_is_no_power_of_two_is_refused() {
        for capacity in [0, 64, 100, 1000, 1025] {
            assert!(matches!(anonymous(capacity), Err(Error::Options { .. })), "{capacity}");
        }
    }

    #[test]
    fn two_threads_pass_a_hundred_thousand_records() {
        const COUNT: u64 = 100_000;
        let (mut producer, mut consumer) = anonymous(4096).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for number in 0..COUNT {
                    let record = [number.to_le_bytes(); 3].concat();
                    while producer.push(&record, Class::Order).is_err() {
                        std::thread::yield_now();
                    }
                }
            });
            let mut next = 0;
            while next < COUNT {
                let polled = consumer.poll(64, |bytes| {
                    assert_eq!(bytes, [u64::to_le_bytes(next); 3].concat());
                    next += 1;
                });
                if polled.unwrap() == 0 {
                    std::thread::yield_now();
                }
                consumer.release(consumer.taken());
            }
        });
    }
}
