//! Disks that are full, disks that fail, and folders that are not what they were: nothing
//! acknowledged is lost, and whoever looks is told the file, the offset and what to do.

use std::fs;
use std::path::{Path, PathBuf};

use app::node::Node;
use app::simulate::{Lockstep, Orders, VirtualClock};
use replication::{Durability, SystemClock};
use store::SimDisk;
use store::sim::Random;

use crate::support::{on_disk, simulated, small};

/// A data folder with a finished simulation in it.
struct Finished {
    _folder: tempfile::TempDir,
    data: PathBuf,
    outcome: String,
}

fn finished(seed: u64) -> Finished {
    let folder = tempfile::tempdir().unwrap();
    let mut options = on_disk(folder.path(), Durability::Async);
    options.segment_bytes = 64 << 10;
    options.frame_bytes_max = 16 << 10;
    let lockstep = Lockstep::open(&small(seed, 1_500), &options, None).unwrap();
    let outcome = lockstep.finish(&Orders::default()).unwrap().outcome.to_string();
    Finished { data: options.data, outcome, _folder: folder }
}

impl Finished {
    fn log_files(&self) -> Vec<PathBuf> {
        let mut files: Vec<_> = fs::read_dir(self.data.join("log"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "seg"))
            .collect();
        files.sort();
        files
    }

    /// The message of a start that is refused.
    fn refusal(&self) -> String {
        let folder = self.data.parent().unwrap();
        match Node::open(&on_disk(folder, Durability::Async), Box::new(SystemClock::default())) {
            Ok(_) => panic!("a damaged folder was opened"),
            Err(error) => format!("{error:#}"),
        }
    }

    fn report(&self) -> (bool, String) {
        let mut report = Vec::new();
        let is_whole = app::verify::verify(&self.data, &mut report).unwrap();
        (is_whole, String::from_utf8(report).unwrap())
    }
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_full_disk_is_waited_for_and_nothing_is_lost() {
    let disk = SimDisk::new();
    let options = simulated(disk.shared(), Durability::Sync);
    let mut lockstep = Lockstep::open(&small(1, u64::MAX), &options, None).unwrap();
    // No room for another segment.
    disk.set_capacity(Some(0));
    let mut last = 0;
    for _ in 0..400 {
        lockstep.turn().unwrap();
        last = lockstep.sequence();
    }
    let stuck = last;
    for _ in 0..50 {
        lockstep.turn().unwrap();
    }
    assert_eq!(lockstep.sequence(), stuck, "the log grows on a full disk");
    assert!(lockstep.node.apply.snapshot().is_err(), "a snapshot on a full disk");
    disk.set_capacity(None);
    for _ in 0..50 {
        lockstep.turn().unwrap();
    }
    assert!(lockstep.sequence() > stuck, "room was made and nothing goes on");
    let (sequence, hash) = (lockstep.sequence(), lockstep.node.apply.events_hash());
    drop(lockstep);
    let clock = VirtualClock::starting_at(0);
    let (_, recovered) = Node::open(&options, Box::new(clock)).unwrap();
    assert_eq!((recovered.sequence, recovered.events_hash), (sequence, hash));
}

#[test]
fn a_failed_fsync_stops_the_node_and_the_next_start_is_right() {
    let disk = SimDisk::new();
    let options = simulated(disk.shared(), Durability::Sync);
    let mut lockstep = Lockstep::open(&small(2, u64::MAX), &options, None).unwrap();
    for _ in 0..20 {
        lockstep.turn().unwrap();
    }
    let (sequence, hash) = (lockstep.sequence(), lockstep.node.apply.events_hash());
    disk.fail_syncs_after(Some(0));
    let error = lockstep.turn().unwrap_err();
    assert!(format!("{error:#}").contains("sync of"), "{error:#}");
    disk.fail_syncs_after(None);
    assert!(lockstep.turn().is_err(), "a failed fsync was retried");
    drop(lockstep);
    for cut in 0..20 {
        let options = simulated(disk.cut(cut).shared(), Durability::Sync);
        let clock = VirtualClock::starting_at(0);
        let (_, recovered) = Node::open(&options, Box::new(clock)).unwrap();
        assert!(recovered.sequence >= sequence, "{} of {sequence}", recovered.sequence);
        assert!(recovered.sequence > sequence || recovered.events_hash == hash);
    }
}

#[test]
fn a_second_writer_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let options = on_disk(folder.path(), Durability::Async);
    let clock = || Box::new(SystemClock::default());
    let (node, _) = Node::open(&options, clock()).unwrap();
    let error = Node::open(&options, clock()).err().unwrap().to_string();
    assert!(error.contains("is held by process"), "{error}");
    drop(node);
    Node::open(&options, clock()).unwrap();
}

#[test]
fn every_flipped_bit_below_the_durable_position_is_found_and_named() {
    let finished = finished(3);
    assert!(finished.report().0);
    // A start reads the frames above the newest snapshot: here, all of them.
    fs::remove_dir_all(finished.data.join("snapshots")).unwrap();
    let mut random = Random::new(9);
    for file in finished.log_files() {
        for _ in 0..12 {
            let original = fs::read(&file).unwrap();
            // What follows the last frame is not the log's.
            let used = original.iter().rposition(|byte| *byte != 0).unwrap() as u64;
            let at = random.below(used) as usize;
            change(&file, |bytes| bytes[at] ^= 1 << random.below(8));
            let (is_whole, report) = finished.report();
            let name = file.file_name().unwrap().to_str().unwrap();
            assert!(!is_whole, "{name} byte {at}: {report}");
            assert!(
                report.contains(name) && report.contains("offset"),
                "{name} byte {at}: {report}"
            );
            let refusal = finished.refusal();
            assert!(refusal.contains(".seg"), "{name} byte {at}: {refusal}");
            fs::write(&file, original).unwrap();
        }
    }
    assert!(finished.report().0);
}

#[test]
fn folders_that_are_not_whole_are_refused_with_what_to_do() {
    type Damage = fn(&Finished);
    let cases: [(&str, Damage); 9] = [
        ("is missing", |it| fs::remove_dir_all(it.data.join("log")).unwrap()),
        ("durable is missing", |it| fs::remove_file(it.data.join("log/durable")).unwrap()),
        ("ends at offset", |it| change(&it.log_files()[0], |bytes| bytes.truncate(9_000))),
        ("is missing", |it| fs::remove_file(&it.log_files()[1]).unwrap()),
        ("is missing", |it| {
            for file in it.log_files() {
                fs::remove_file(file).unwrap();
            }
        }),
        ("neither of its two slots", |it| {
            change(&it.data.join("log/durable"), |bytes| bytes.fill(7));
        }),
        ("expected `cluster HEX`", |it| fs::write(it.data.join("node"), "hello").unwrap()),
        ("belongs to cluster", |it| {
            let node = it.data.join("node");
            let text = fs::read_to_string(&node).unwrap();
            fs::write(node, text.replacen("cluster 0", "cluster 1", 1)).unwrap();
        }),
        ("copy the whole folder again", |it| fs::remove_file(it.data.join("node")).unwrap()),
    ];
    for (at, (expected, damage)) in cases.into_iter().enumerate() {
        let finished = finished(4);
        damage(&finished);
        let refusal = finished.refusal();
        assert!(refusal.contains(expected), "case {at}: {refusal}");
        assert!(refusal.contains(finished.data.to_str().unwrap()), "case {at}: {refusal}");
    }
}

#[test]
fn a_replay_does_not_pass_over_damage() {
    let finished = finished(8);
    let file = &finished.log_files()[1];
    change(file, |bytes| bytes[20_000] ^= 1);
    let mut text = Vec::new();
    let error = app::replay::replay(&finished.data, u64::MAX, true, &mut text).unwrap_err();
    assert!(format!("{error:#}").contains("offset"), "{error:#}");
}

#[test]
fn a_log_in_memory_that_is_gone_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let options = on_disk(folder.path(), Durability::Memory);
    let lockstep = Lockstep::open(&small(9, 1_500), &options, None).unwrap();
    drop(lockstep);
    let open = || Node::open(&options, Box::new(SystemClock::default())).unwrap().1;
    let kept = open();
    assert!(kept.sequence > 0 && kept.warnings.is_empty(), "{kept:?}");
    fs::remove_dir_all(&options.shared_memory).unwrap();
    fs::create_dir_all(&options.shared_memory).unwrap();
    assert!(app::verify::verify(&options.data, &mut Vec::new()).is_err());
    let lost = open();
    assert_eq!(lost.sequence, 0);
    assert!(lost.warnings.iter().any(|warning| warning.contains("are lost")), "{lost:?}");
}

#[test]
fn a_damaged_snapshot_is_passed_over() {
    let finished = finished(5);
    let snapshots = fs::read_dir(finished.data.join("snapshots")).unwrap();
    let newest = snapshots.map(|entry| entry.unwrap().path()).max().unwrap();
    change(&newest, |bytes| bytes[1_000] ^= 1);
    let (is_whole, report) = finished.report();
    assert!(!is_whole && report.contains("snapshot"), "{report}");
    let options = on_disk(finished.data.parent().unwrap(), Durability::Async);
    let (mut node, recovered) = Node::open(&options, Box::new(SystemClock::default())).unwrap();
    assert!(recovered.warnings.iter().any(|warning| warning.contains("passed over")));
    assert_eq!(recovered.snapshot_sequence, 0);
    node.settle().unwrap();
    drop(node);
    let mut text = Vec::new();
    app::replay::replay(&finished.data, u64::MAX, true, &mut text).unwrap();
}

#[test]
fn an_event_log_that_is_gone_is_a_folder_copied_by_halves() {
    let finished = finished(6);
    for file in finished.log_files() {
        if file.file_name().unwrap().to_str().unwrap().starts_with("events") {
            fs::remove_file(file).unwrap();
        }
    }
    assert!(finished.refusal().contains("is missing"));
}

#[test]
fn a_replay_to_a_sequence_is_the_beginning_of_the_whole() {
    let finished = finished(7);
    let story = |to| {
        let mut text = Vec::new();
        app::replay::replay(&finished.data, to, false, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    };
    let (part, whole) = (story(500), story(u64::MAX));
    assert!(whole.contains(&finished.outcome), "replay and live differ");
    let lines = |text: &str| text.lines().count();
    let common = part.lines().zip(whole.lines()).take_while(|(part, whole)| part == whole).count();
    assert!(common + 2 >= lines(&part), "only {common} of {} lines", lines(&part));
    assert!(part.lines().any(|line| line.starts_with("sequence 500 ")), "{part}");
}
