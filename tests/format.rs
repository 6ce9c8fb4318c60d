//! The bytes on disk: docs/format.md tells the truth, and logs of earlier builds can be read.

use std::fs;
use std::path::{Path, PathBuf};

use app::market::Shape;
use app::simulate::{Lockstep, Orders, Simulation};
use protocol::{Command, Event, FeedEvent};
use replication::Durability;

use crate::support::{on_disk, small};

fn in_tests(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn the_document_lists_every_kind() {
    let mut expected = String::from("| kind | name | archive |\n|---|---|---|\n");
    for (kind, name, length) in Command::KINDS.iter().chain(Event::KINDS).chain(FeedEvent::KINDS) {
        expected += &format!("| {kind:#06x} | {name} | {length} |\n");
    }
    let document = in_tests("../docs/format.md");
    let text = fs::read_to_string(&document).unwrap();
    let (begin, end) = ("## Kinds\n\n", "\nThe rolling events hash");
    let (before, rest) = text.split_once(begin).unwrap();
    let (table, after) = rest.split_once(end).unwrap();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&document, [before, begin, &expected, end, after].concat()).unwrap();
        return;
    }
    assert_eq!(table, expected, "UPDATE_GOLDEN=1 rewrites it");
}

/// A data folder that the first build wrote. Its records are never changed: when this test fails,
/// a kind has changed its bytes or its meaning. (Before the first release it is made anew.)
#[test]
fn a_golden_log_is_read_by_every_later_build() {
    let golden = in_tests("golden-log");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        write_golden(&golden);
    }
    let expected = fs::read_to_string(golden.join("outcome")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    copy(&golden.join("data"), folder.path());
    let mut text = Vec::new();
    let outcome = app::replay::replay(folder.path(), u64::MAX, true, &mut text).unwrap();
    assert_eq!(outcome.to_string(), expected.trim_end());
    let mut report = Vec::new();
    let is_whole = app::verify::verify(folder.path(), &mut report).unwrap();
    assert!(is_whole, "{}", String::from_utf8_lossy(&report));
}

fn write_golden(golden: &Path) {
    let folder = tempfile::tempdir().unwrap();
    let mut options = on_disk(folder.path(), Durability::Async);
    // Without spares and runtime folder.
    (options.is_simulated, options.segment_bytes, options.frame_bytes_max) = (true, 32 << 10, 8192);
    let shape = Shape { instruments: 2, accounts: 3, ..Shape::default() };
    let simulation = Simulation { shape, ..small(1, 200) };
    let lockstep = Lockstep::open(&simulation, &options, None).unwrap();
    let summary = lockstep.finish(&Orders::default()).unwrap();
    let _ = fs::remove_dir_all(golden);
    fs::create_dir_all(golden).unwrap();
    copy(&options.data, &golden.join("data"));
    fs::write(golden.join("outcome"), format!("{}\n", summary.outcome)).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}
