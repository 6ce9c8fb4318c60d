//! Files for targets that take paths.

use std::env::temp_dir;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

const SHARED_MEMORY: &str = "/dev/shm";

/// The name of a file of one run; the file goes with it.
pub struct Scratch {
    pub path: PathBuf,
}

impl Scratch {
    /// A name that no other run has, in memory where there is such a place.
    pub fn new() -> Scratch {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let (process, count) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let memory = Some(PathBuf::from(SHARED_MEMORY)).filter(|folder| folder.is_dir());
        let folder = memory.unwrap_or_else(temp_dir);
        Scratch { path: folder.join(format!("outcry-fuzz-{process}-{count}")) }
    }

    /// A file with this content.
    pub fn holding(content: &[u8]) -> Scratch {
        let file = Scratch::new();
        fs::write(&file.path, content).expect("a scratch file");
        file
    }
}

impl Default for Scratch {
    fn default() -> Scratch {
        Scratch::new()
    }
}

impl AsRef<Path> for Scratch {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing to do about it if it stays, or was never made.
        let _ = fs::remove_file(&self.path);
    }
}
