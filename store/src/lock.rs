//! One writer: the lock on `DIR/lock`, held as long as the process lives and freed by the kernel
//! when it dies, however it dies. Take it before anything else in the folder is touched.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::Error;
use crate::storage::create_directory;

/// The file's name in the data folder.
pub const LOCK_NAME: &str = "lock";

/// Held until dropped.
#[derive(Debug)]
pub struct Lock {
    /// The lock lives as long as this file is open; nothing else is done with it.
    _file: File,
}

impl Lock {
    /// Takes the lock of a data folder (which is made if missing) or says at once who holds it.
    ///
    /// Whoever is refused has changed nothing in the folder.
    pub fn acquire(directory: &Path) -> Result<Lock, Error> {
        create_directory(directory).map_err(Error::io("create", directory))?;
        let path = directory.join(LOCK_NAME);
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = file.open(&path).map_err(Error::io("open", &path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(Error::Locked { pid: holder(&file), file: path }),
            Err(error) => return Err(Error::io("lock", &path)(error.into())),
        }
        let text = format!("{}\n", std::process::id());
        file.set_len(0).map_err(Error::io("write", &path))?;
        file.write_all_at(text.as_bytes(), 0).map_err(Error::io("write", &path))?;
        Ok(Lock { _file: file })
    }
}

/// The pid that the holder wrote; 0 when it has not come to that yet.
fn holder(file: &File) -> u32 {
    let mut bytes = [0; 16];
    let length = file.read_at(&mut bytes, 0).unwrap_or(0);
    let text = bytes.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok());
    text.and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::process::{Child, Command, Stdio};

    const HOLDER_FOLDER: &str = "STORE_LOCK_TEST_FOLDER";

    #[test]
    fn a_second_opener_is_told_who_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let lock = Lock::acquire(folder.path()).unwrap();
        let error = Lock::acquire(folder.path()).unwrap_err();
        assert!(matches!(error, Error::Locked { pid, .. } if pid == std::process::id()), "{error}");
        drop(lock);
        Lock::acquire(folder.path()).unwrap();
    }

    /// Does nothing but in the child of the test below, where it holds the lock until killed.
    #[test]
    fn holder_process() {
        let Some(folder) = std::env::var_os(HOLDER_FOLDER) else { return };
        let _lock = Lock::acquire(Path::new(&folder)).unwrap();
        println!("held");
        // Ends when the parent closes the pipe or kills us.
        let _ = std::io::stdin().lines().next();
    }

    fn spawn_holder(folder: &Path) -> Child {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "lock::tests::holder_process", "--nocapture"])
            .env(HOLDER_FOLDER, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line.contains("held")));
        child
    }

    #[test]
    fn another_process_holds_the_lock_until_it_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = spawn_holder(folder.path());
        let error = Lock::acquire(folder.path()).unwrap_err();
        assert!(matches!(error, Error::Locked { pid, .. } if pid == child.id()), "{error}");
        child.kill().unwrap();
        child.wait().unwrap();
        Lock::acquire(folder.path()).unwrap();
    }
}
