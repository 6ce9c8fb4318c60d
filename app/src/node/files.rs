//! What lies where in a data folder.
//!
//! ```text
//! DIR/node          whose folder this is, and whether its logs lie on disk or in memory
//! DIR/lock          held by the process that writes
//! DIR/log/          segments of both logs, `durable`
//! DIR/snapshots/
//! DIR/secret.key    seals API secrets
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use replication::Durability;
use store::runtime::RuntimeOptions;
use store::segment::Identity;
use store::{Runtime, Storage};

use super::NodeOptions;

const NODE_NAME: &str = "node";
/// Longer is no file of ours.
const NODE_LENGTH_MAX: u64 = 4096;

/// Where the parts of a node lie.
#[derive(Debug, Clone)]
pub struct Place {
    /// Segments of both logs.
    pub log: PathBuf,
    /// The segments lie in memory (durability `memory`).
    pub in_memory: bool,
    /// The durable facts; always on disk.
    pub durable: PathBuf,
    pub snapshots: PathBuf,
}

impl Place {
    pub(super) fn of(data: &Path, file: &NodeFile) -> Place {
        let durable = data.join("log");
        let log = file.memory_log.clone().unwrap_or_else(|| durable.clone());
        let in_memory = file.memory_log.is_some();
        Place { log, in_memory, durable, snapshots: data.join("snapshots") }
    }

    /// The parts of a folder that is only looked at.
    pub fn existing(data: &Path) -> Result<(Place, NodeFile)> {
        let file = NodeFile::read(&store::Disk, data)?;
        let place = Place::of(data, &file);
        if !place.log.exists() {
            bail!("the logs of {} are gone: there is no {}", data.display(), place.log.display());
        }
        Ok((place, file))
    }
}

/// `DIR/node`: four lines of text, written when the folder is begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeFile {
    pub identity: Identity,
    /// With durability `memory`: where the segments lie, wherever later starts find room.
    pub memory_log: Option<PathBuf>,
    /// The tmpfs that the node was last started with.
    pub shared_memory: PathBuf,
}

impl NodeFile {
    fn text(&self) -> String {
        let Identity { cluster, node } = self.identity;
        let log = match &self.memory_log {
            Some(log) => format!("memory {}", log.display()),
            None => "disk".to_owned(),
        };
        let shared = self.shared_memory.display();
        format!("cluster {cluster:032x}\nnode {node}\nlog {log}\nshared {shared}\n")
    }

    fn parse(text: &str) -> Option<NodeFile> {
        let mut lines = text.lines();
        let cluster = lines.next()?.strip_prefix("cluster ")?;
        let node = lines.next()?.strip_prefix("node ")?;
        let memory_log = match lines.next()?.strip_prefix("log ")? {
            "disk" => None,
            log => Some(log.strip_prefix("memory ")?.into()),
        };
        let shared_memory = lines.next()?.strip_prefix("shared ")?.into();
        let cluster = u128::from_str_radix(cluster, 16).ok()?;
        let identity = Identity { cluster, node: node.parse().ok()? };
        Some(NodeFile { identity, memory_log, shared_memory })
    }

    /// Is this a data folder?
    pub fn exists(data: &Path) -> bool {
        data.join(NODE_NAME).exists()
    }

    /// Reads the file of an existing data folder.
    pub fn read(storage: &dyn Storage, data: &Path) -> Result<NodeFile> {
        let path = data.join(NODE_NAME);
        let file = storage.open(&path, false).with_context(|| {
            format!("{} is no data folder: cannot open {}", data.display(), path.display())
        })?;
        let length = file.length()?;
        if length > NODE_LENGTH_MAX {
            bail!("{} has {length} bytes; it is no file of ours", path.display());
        }
        let mut bytes = vec![0; length as usize];
        file.read_at(&mut bytes, 0)?;
        let text = String::from_utf8_lossy(&bytes);
        NodeFile::parse(&text).with_context(|| {
            format!(
                "{} at offset 0: expected `cluster HEX`, `node NUMBER`, `log disk` or `log memory PATH`, \
                 `shared PATH`; restore it from a backup",
                path.display()
            )
        })
    }

    fn write(&self, storage: &dyn Storage, data: &Path) -> Result<()> {
        storage.create_directory(data)?;
        let (new, path) = (data.join("node.new"), data.join(NODE_NAME));
        let text = self.text();
        // Left over from a start that did not get to its end, if it is there.
        let _ = storage.unlink(&new);
        let file = storage.create(&new, text.len() as u64)?;
        file.write_at(text.as_bytes(), 0)?;
        file.sync_data()?;
        storage.rename(&new, &path)?;
        storage.sync_directory(data)?;
        Ok(())
    }
}

/// What a start finds or makes of a folder.
pub(super) struct Opened {
    pub(super) file: NodeFile,
    pub(super) runtime: Option<Arc<Runtime>>,
    pub(super) is_new: bool,
}

/// Reads the node's file, or makes it in an empty folder; finds or makes the runtime folder.
pub(super) fn open(storage: &dyn Storage, options: &NodeOptions) -> Result<Opened> {
    let data = &options.data;
    storage.create_directory(data).with_context(|| format!("cannot make {}", data.display()))?;
    if storage.list(data)?.iter().any(|name| name == NODE_NAME) {
        let mut file = NodeFile::read(storage, data)?;
        check_durability(&file, options)?;
        let runtime = open_runtime(options, file.identity)?;
        if file.shared_memory != options.shared_memory {
            file.shared_memory = options.shared_memory.clone();
            file.write(storage, data)?;
        }
        return Ok(Opened { file, runtime, is_new: false });
    }
    let log = data.join("log");
    if storage.list(&log).is_ok_and(|names| !names.is_empty()) {
        bail!(
            "{} has segments but {} is missing: copy the whole folder again or restore it",
            log.display(),
            data.join(NODE_NAME).display()
        );
    }
    let identity = Identity { cluster: options.cluster, node: 1 };
    let runtime = open_runtime(options, identity)?;
    let memory_log = match options.durability {
        Durability::Memory => {
            let log = runtime.as_ref().map_or(log, |runtime| runtime.log_directory());
            Some(std::path::absolute(log)?)
        }
        Durability::Async | Durability::Sync => None,
    };
    let shared_memory = options.shared_memory.clone();
    let file = NodeFile { identity, memory_log, shared_memory };
    file.write(storage, data).with_context(|| format!("cannot make {}", data.display()))?;
    Ok(Opened { file, runtime, is_new: true })
}

fn check_durability(file: &NodeFile, options: &NodeOptions) -> Result<()> {
    let (is, wanted) = match (&file.memory_log, options.durability) {
        (Some(_), Durability::Async | Durability::Sync) => ("in memory", "memory"),
        (None, Durability::Memory) => ("on disk", "async or sync"),
        _ => return Ok(()),
    };
    bail!(
        "the logs of {} lie {is}: start it with durability {wanted}, or use another folder",
        options.data.display()
    );
}

/// Where a node's runtime folder may be: shared memory, or the data folder itself.
fn runtime_homes(data: &Path, file: &NodeFile) -> [PathBuf; 2] {
    let name = format!("outcry-{:032x}", file.identity.cluster);
    [file.shared_memory.join(name), data.to_owned()]
}

/// The folder of live cursors, if a node runs on the data folder or was killed there.
pub fn runtime_folder(data: &Path, file: &NodeFile) -> Option<PathBuf> {
    let folders = runtime_homes(data, file).map(|home| home.join("run"));
    folders.into_iter().find(|run| run.exists())
}

fn open_runtime(options: &NodeOptions, identity: Identity) -> Result<Option<Arc<Runtime>>> {
    if options.is_simulated {
        return Ok(None);
    }
    let mut runtime = RuntimeOptions::new(&options.data, identity.cluster);
    runtime.shared_memory = options.shared_memory.clone();
    if options.durability == Durability::Memory {
        // Both logs, each with a spare.
        runtime.bytes_needed += 4 * options.segment_bytes;
    }
    Ok(Some(Arc::new(Runtime::open(&runtime)?)))
}
