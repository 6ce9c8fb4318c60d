//! What several tests need: a node's options, a small simulation, the hash at every command.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use app::market::Shape;
use app::node::NodeOptions;
use app::simulate::Simulation;
use protocol::{RecordView, Records, RollingHash};
use replication::Durability;
use store::segment::LogKind;
use store::{Disk, Reader, Storage};

/// A node on a real disk, all of it below `folder`.
pub(crate) fn on_disk(folder: &Path, durability: Durability) -> NodeOptions {
    let shared_memory = folder.join("shm");
    std::fs::create_dir_all(&shared_memory).unwrap();
    NodeOptions {
        shared_memory,
        ..options(folder.join("data").as_path(), Disk::shared(), durability)
    }
}

/// A node on a simulated disk.
pub(crate) fn simulated(disk: Arc<dyn Storage>, durability: Durability) -> NodeOptions {
    NodeOptions { is_simulated: true, ..options(Path::new("/node"), disk, durability) }
}

fn options(data: &Path, storage: Arc<dyn Storage>, durability: Durability) -> NodeOptions {
    NodeOptions {
        data: data.to_owned(),
        durability,
        async_interval: Duration::from_millis(20),
        segment_bytes: 1 << 20,
        frame_bytes_max: 256 << 10,
        uncommitted_bytes_max: 4 << 20,
        snapshots_kept: 2,
        retention_bytes_max: 0,
        cluster: 7,
        storage,
        shared_memory: "/dev/shm".into(),
        is_simulated: false,
    }
}

/// A market small enough to be set up many times.
pub(crate) fn small(seed: u64, commands: u64) -> Simulation {
    Simulation {
        seed,
        commands,
        producers: 3,
        shape: Shape { instruments: 3, accounts: 12, open_orders: 200, bad_per_mille: 20 },
        rate: 0,
        ring_bytes: 1 << 18,
        plan: None,
    }
}

/// Shows every event of a log up to `limit`: the record, and the hash before and after it.
pub(crate) fn walk_log(
    storage: Arc<dyn Storage>,
    log: &Path,
    limit: u64,
    mut see: impl FnMut(&RecordView<'_>, u64, u64),
) {
    let from = store::reader::From::Start;
    let mut reader = Reader::open(storage, log, LogKind::Events, from, limit, true).unwrap();
    let mut hash = RollingHash(reader.tail().hash);
    while let Some(frame) = reader.next(limit).unwrap() {
        for view in Records::new(frame.payload) {
            let (view, before) = (view.unwrap(), hash.0);
            hash.add(view.bytes);
            see(&view, before, hash.0);
        }
    }
}
