//! The main paths on real files.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use store::{
    Backing, CursorKind, Cursors, Disk, Durable, DurableFacts, From, LogKind, LogOptions, Reader,
    Spares, Writer,
};

use crate::bench::{IDENTITY, SCHEMA, meta};

const KIND: LogKind = LogKind::Events;

fn options(backing: Backing) -> LogOptions {
    LogOptions { segment_bytes: 64 << 10, backing, ..LogOptions::new(KIND, IDENTITY, SCHEMA) }
}

fn open(directory: &Path, backing: Backing) -> Writer {
    Writer::open(Disk::shared(), directory, options(backing)).unwrap().0
}

/// Appends `count` frames of one 128-byte record, publishing every tenth batch.
fn write_and_publish(writer: &mut Writer, cursors: &Cursors, count: u64) {
    for sequence in 1..=count {
        writer.append(&meta(sequence), &[sequence as u8; 128]);
        if sequence % 10 == 0 {
            let end = writer.write().unwrap();
            cursors.publish(CursorKind::Published, end, sequence);
        }
    }
}

/// Follows the published cursor until command `last`.
fn follow(directory: &Path, cursors: &store::CursorsReader, last: u64) {
    let mut reader = Reader::open(Disk::shared(), directory, KIND, From::Start, 0, true).unwrap();
    while reader.tail().sequence < last {
        let limit = cursors.position(CursorKind::Published);
        while let Some(frame) = reader.next(limit).unwrap() {
            assert_eq!(frame.payload, [frame.header.last_sequence as u8; 128]);
            assert!(frame.end() <= limit);
        }
        assert_eq!(reader.position(), limit);
        std::thread::yield_now();
    }
}

fn check_threads(backing: Backing) {
    const COUNT: u64 = 20_000;
    let folder = tempfile::tempdir().unwrap();
    let cursors = Cursors::anonymous().unwrap();
    let mut writer = open(folder.path(), backing);
    let (syncer, view) = (writer.syncer(), cursors.reader());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                assert!(syncer.sync().unwrap() <= syncer.written());
                std::thread::yield_now();
            }
        });
        scope.spawn(|| {
            write_and_publish(&mut writer, &cursors, COUNT);
            done.store(true, Ordering::Release);
        });
        scope.spawn(|| follow(folder.path(), &view, COUNT));
    });
    assert_eq!(syncer.sync().unwrap(), COUNT * 192);
    drop(writer);
    let (_, recovery) = Writer::open(Disk::shared(), folder.path(), options(backing)).unwrap();
    assert_eq!((recovery.tail.sequence, recovery.records), (COUNT, COUNT));
    assert_eq!(recovery.cut, None);
}

#[test]
fn a_reader_follows_a_writer_over_many_segments() {
    check_threads(Backing::File);
}

#[test]
fn a_reader_follows_a_writer_of_a_map() {
    check_threads(Backing::Mapped);
}

#[test]
fn a_torn_tail_on_a_real_disk_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = open(folder.path(), Backing::File);
    let ends: Vec<u64> = (1..=10).map(|n| writer.append(&meta(n), &[1; 100])).collect();
    writer.write().unwrap();
    writer.sync().unwrap();
    drop(writer);
    let path = folder.path().join(KIND.file_name(1));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[4096 + ends[6] as usize + 70] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let mut writer = open(folder.path(), Backing::File);
    assert_eq!(writer.tail().sequence, 7);
    writer.append(&meta(8), &[2; 100]);
    writer.write().unwrap();
    drop(writer);
    assert_eq!(open(folder.path(), Backing::File).tail().sequence, 8);
}

#[test]
fn the_helper_makes_a_spare_ahead_and_survives_the_writer_dropping() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = open(folder.path(), Backing::File);
    for round in 0..5 {
        while !writer.has_spare() {
            std::thread::yield_now();
        }
        for _ in 0..2 {
            let sequence = writer.tail().sequence + 1;
            writer.append(&meta(sequence), &vec![round; 40_000]);
        }
        writer.write().unwrap();
    }
    drop(writer);
    let inspection = store::inspect(&Disk, folder.path()).unwrap();
    assert!(inspection.segments.len() >= 5);
}

#[test]
fn files_and_folders_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("node/log");
    let inline = LogOptions { spares: Spares::Inline, ..options(Backing::File) };
    drop(Writer::open(Disk::shared(), &directory, inline).unwrap());
    let facts = DurableFacts { identity: IDENTITY, ..Default::default() };
    drop(Durable::create(&Disk, &directory, &facts).unwrap());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    assert_eq!(mode(&directory.join(KIND.file_name(1))), 0o600);
    assert_eq!(mode(&directory.join("durable")), 0o600);
    assert_eq!(Durable::open(&Disk, &directory, IDENTITY).unwrap().facts(), &facts);
}

#[test]
fn a_missing_right_is_an_error_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    // A file where the folder should be: refused whoever runs the test.
    let error = Writer::open(Disk::shared(), &file.join("log"), options(Backing::File))
        .err()
        .expect("a file is no folder");
    assert!(error.to_string().contains("file/log"), "{error}");
}
