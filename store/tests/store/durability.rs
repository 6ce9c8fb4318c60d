//! What a sync promises, while another thread writes.

use std::sync::atomic::{AtomicBool, Ordering};

use store::{Durable, DurableFacts, Error, LogKind, SimDisk, SnapshotFacts, Snapshots, Syncer};

use crate::bench::*;

#[test]
fn what_a_syncer_reports_survives_a_cut_also_over_roll_overs() {
    let disk = SimDisk::new();
    let (mut writer, _) = open(&disk).unwrap();
    let syncer: Syncer = writer.syncer();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for sequence in 1..=2000 {
                writer.append(&meta(sequence), &[sequence as u8; 300]);
                if sequence % 7 == 0 {
                    writer.write().unwrap();
                }
            }
            writer.write().unwrap();
            done.store(true, Ordering::Release);
        });
        let mut seed = 0;
        while !done.load(Ordering::Acquire) {
            let durable = syncer.sync().unwrap();
            assert!(durable <= syncer.written());
            let after = disk.cut(seed);
            let tail = open_durable(&after, durable).unwrap().1.tail;
            assert!(tail.position >= durable, "seed {seed}");
            seed += 1;
        }
    });
    syncer.sync().unwrap();
    assert_eq!(last_sequence(&disk.cut(0)), 2000);
}

#[test]
fn one_durable_file_serves_both_logs_and_is_shown_by_inspect() {
    let (disk, ends) = filled(3, 100);
    let facts = DurableFacts {
        identity: IDENTITY,
        events_position: ends[2],
        term: 3,
        ..Default::default()
    };
    Durable::create(&disk, folder(), &facts).unwrap();
    assert_eq!(store::inspect(&disk, folder()).unwrap().durable, Some(facts));
    let verified = store::verify(&disk, folder(), LogKind::Events, ends[2]).unwrap();
    assert!(verified.problem.is_none());
    let verified = store::verify(&disk, folder(), LogKind::Events, ends[2] + 64).unwrap();
    assert!(verified.problem.is_some() && !verified.is_torn_tail);
    let verified = store::verify(&disk, folder(), LogKind::Commands, 64).unwrap();
    assert!(matches!(verified.problem, Some(Error::MissingSegment { .. })));
}

fn snapshots(disk: &SimDisk) -> Snapshots {
    Snapshots::open(disk.shared(), std::path::Path::new("/node/snapshots"), IDENTITY).unwrap()
}

fn facts(sequence: u64) -> SnapshotFacts {
    SnapshotFacts { identity: IDENTITY, sequence, state_hash: sequence * 3, ..Default::default() }
}

fn body(sequence: u64) -> Vec<u8> {
    vec![sequence as u8; 1000 + sequence as usize]
}

fn newest(snapshots: &Snapshots, below: u64) -> Option<u64> {
    let newest = snapshots.newest_good(below, |_| true).unwrap();
    newest.good.map(|(facts, payload)| {
        assert_eq!(payload, body(facts.sequence));
        facts.sequence
    })
}

#[test]
fn a_snapshot_is_read_as_it_was_written() {
    let disk = SimDisk::new();
    let snapshots = snapshots(&disk);
    assert_eq!(newest(&snapshots, u64::MAX), None);
    for sequence in [5, 10, 7] {
        snapshots.write(&facts(sequence), &body(sequence)).unwrap();
    }
    assert_eq!(snapshots.list().unwrap(), [5, 7, 10]);
    assert_eq!(snapshots.read(7).unwrap(), (facts(7), body(7)));
    assert_eq!(
        [u64::MAX, 10, 9, 6, 4].map(|below| newest(&snapshots, below)),
        [Some(10), Some(10), Some(7), Some(5), None]
    );
    assert_eq!(snapshots.keep(2).unwrap(), 1);
    assert_eq!(snapshots.list().unwrap(), [7, 10]);
    assert_eq!(snapshots.keep(0).unwrap(), 1);
    assert_eq!(snapshots.list().unwrap(), [10]);
}

#[test]
fn a_damaged_snapshot_is_passed_over_and_named() {
    let disk = SimDisk::new();
    let snapshots = snapshots(&disk);
    for byte in [0, 9, 60, 511, 512, 900, 1500] {
        for sequence in [5, 10] {
            snapshots.write(&facts(sequence), &body(sequence)).unwrap();
        }
        disk.damage(&snapshots.path(10), |bytes| bytes[byte] ^= 0x20).unwrap();
        let found = snapshots.newest_good(u64::MAX, |_| true).unwrap();
        assert_eq!(found.good.unwrap().0.sequence, 5, "byte {byte}");
        assert!(matches!(found.passed_over[..], [(10, Error::Corrupt { .. })]), "byte {byte}");
    }
    snapshots.write(&facts(10), &body(10)).unwrap();
    disk.damage(&snapshots.path(10), |bytes| bytes.truncate(1200)).unwrap();
    assert!(matches!(snapshots.read(10), Err(Error::Truncated { .. })));
    assert_eq!(newest(&snapshots, u64::MAX), Some(5));
}

#[test]
fn a_foreign_snapshot_is_refused() {
    let disk = SimDisk::new();
    snapshots(&disk).write(&facts(5), &body(5)).unwrap();
    let other = store::Identity { cluster: 1, node: 1 };
    let directory = std::path::Path::new("/node/snapshots");
    let theirs = Snapshots::open(disk.shared(), directory, other).unwrap();
    assert!(matches!(theirs.newest_good(9, |_| true), Err(Error::Foreign { .. })));
}

#[test]
fn a_power_cut_leaves_a_snapshot_whole_or_absent() {
    for operations in 0..10 {
        for seed in 0..30 {
            let disk = SimDisk::new();
            let before = snapshots(&disk);
            before.write(&facts(5), &body(5)).unwrap();
            disk.power_off_after(Some(operations));
            let written = before.write(&facts(10), &body(10)).is_ok();
            let after = snapshots(&disk.cut(seed));
            let found = newest(&after, u64::MAX);
            assert!(found == Some(10) || (!written && found == Some(5)), "{operations} {seed}");
            assert!(after.newest_good(99, |_| true).unwrap().passed_over.is_empty());
        }
    }
}

#[test]
fn a_full_disk_leaves_the_older_snapshots() {
    let disk = SimDisk::new();
    let snapshots = snapshots(&disk);
    snapshots.write(&facts(5), &body(5)).unwrap();
    disk.set_capacity(Some(2000));
    let error = snapshots.write(&facts(10), &body(10)).unwrap_err();
    assert!(error.is_retryable(), "{error}");
    disk.set_capacity(None);
    assert_eq!(newest(&snapshots, u64::MAX), Some(5));
    snapshots.write(&facts(10), &body(10)).unwrap();
    assert_eq!(newest(&snapshots, u64::MAX), Some(10));
}
