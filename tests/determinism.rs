//! The same seed gives the same log, events and state: in another process, with another allocator,
//! on another day. This test binary has an allocator of its own; `tests/determinism.txt` holds what
//! the binary, with the system's allocator, gave on the day when it was last rewritten:
//!
//! ```text
//! outcry simulate --lockstep --commands 20000 --instruments 3 --accounts 12 --seed 7 --data DIR
//! ```
//! `UPDATE_GOLDEN=1` rewrites the file.

use std::process::Command;

use app::market::Shape;
use app::simulate::{Lockstep, Orders, Simulation};
use replication::Durability;
use store::SimDisk;

use crate::support::{simulated, small};

#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

const CHILD: &str = "OUTCRY_DETERMINISM_CHILD";
const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/determinism.txt");

fn outcome(seed: u64) -> String {
    let options = simulated(SimDisk::new().shared(), Durability::Async);
    let shape = Shape { instruments: 3, accounts: 12, ..Shape::default() };
    let simulation = Simulation { shape, ..small(seed, 20_000) };
    let lockstep = Lockstep::open(&simulation, &options, None).unwrap();
    lockstep.finish(&Orders::default()).unwrap().outcome.to_string()
}

/// Does nothing but in a child, where it prints what the seeds give there.
#[test]
fn prints_its_outcomes() {
    if std::env::var_os(CHILD).is_some() {
        eprintln!("outcomes: {}", outcomes());
    }
}

fn outcomes() -> String {
    [7, 8].map(|seed| format!("seed {seed} {}", outcome(seed))).join("; ")
}

#[test]
fn the_same_seed_gives_the_golden_hashes_everywhere() {
    let here = outcomes();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "determinism::prints_its_outcomes", "--nocapture"])
        .env(CHILD, "1")
        .output()
        .unwrap();
    let there = String::from_utf8_lossy(&child.stderr).into_owned();
    assert!(there.contains(&format!("outcomes: {here}")), "here {here}, in a child {there}");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(GOLDEN, format!("{here}\n")).unwrap();
    }
    let then = std::fs::read_to_string(GOLDEN).unwrap();
    assert_eq!(then.trim_end(), here, "another day gave other hashes");
}

#[test]
fn another_seed_gives_another_market() {
    assert_ne!(outcome(7), outcome(8));
}
