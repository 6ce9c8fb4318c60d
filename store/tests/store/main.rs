//! The store as its users see it, on a disk in memory and on a real one.
#![cfg(not(loom))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod bench;
mod durability;
mod model;
mod reading;
mod real_disk;
mod recovery;
mod writing;
