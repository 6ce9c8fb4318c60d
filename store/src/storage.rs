//! The file operations of the store, and as few as possible, so that a test can stand in for the
//! disk and cut its power ([`crate::sim::SimDisk`]).

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::map::{Map, MapMut};

/// Where files live.
pub trait Storage: Send + Sync {
    /// Makes the folder and those above it, if missing; only the owner may enter new ones.
    fn create_directory(&self, directory: &Path) -> io::Result<()>;

    /// Makes a new file of `length` zeros with all its space taken, so that no later write within
    /// it can find the disk full. An existing file is an error; so is a full disk.
    fn create(&self, path: &Path, length: u64) -> io::Result<Arc<dyn StorageFile>>;

    fn open(&self, path: &Path, write: bool) -> io::Result<Arc<dyn StorageFile>>;

    /// Names a file anew, in place of one that has the name already.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn unlink(&self, path: &Path) -> io::Result<()>;

    /// Makes creations, renames and unlinks in the folder durable.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;

    /// The names of the files in a folder, in any order.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;
}

/// An open file.
pub trait StorageFile: Send + Sync {
    /// Writes all of `bytes` at `offset`; after an error any part of them may be written.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Fills all of `bytes` from `offset`; an error when the file ends before.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Makes what was written durable.
    fn sync_data(&self) -> io::Result<()>;

    fn length(&self) -> io::Result<u64>;

    /// Maps the file to read it.
    fn map(&self) -> io::Result<Map>;

    /// Maps the file to write it; for tmpfs only, since a full disk would be a SIGBUS elsewhere.
    fn map_mut(&self) -> io::Result<MapMut>;
}

/// Real files.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Disk {
    /// The disk as the store takes it.
    pub fn shared() -> Arc<dyn Storage> {
        Arc::new(Disk)
    }
}

impl Storage for Disk {
    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        create_directory(directory)
    }

    fn create(&self, path: &Path, length: u64) -> io::Result<Arc<dyn StorageFile>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(path)?;
        if let Err(error) = take_space(&file, length, fallocate) {
            // The half-made file is of no use; the first error is the one that matters.
            let _ = fs::remove_file(path);
            return Err(error);
        }
        Ok(Arc::new(DiskFile(file)))
    }

    fn open(&self, path: &Path, write: bool) -> io::Result<Arc<dyn StorageFile>> {
        Ok(Arc::new(DiskFile(OpenOptions::new().read(true).write(write).open(path)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(directory)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }
}

struct DiskFile(File);

impl StorageFile for DiskFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn map(&self) -> io::Result<Map> {
        Map::of(&self.0)
    }

    fn map_mut(&self) -> io::Result<MapMut> {
        MapMut::of(&self.0)
    }
}

/// Makes a folder and those above it, and makes their names durable: files in a folder whose own
/// name is lost are lost with it.
pub(crate) fn create_directory(directory: &Path) -> io::Result<()> {
    let parent = match directory.parent() {
        Some(parent) if parent == Path::new("") => Path::new("."),
        Some(parent) => parent,
        None => return Ok(()),
    };
    if !parent.is_dir() {
        create_directory(parent)?;
    }
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists || !directory.is_dir() => {
            return Err(error);
        }
        _ => {}
    }
    // Also when it was there: whoever made it may have died before this.
    match File::open(parent) {
        // A folder of somebody else, who looks after it.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        opened => opened?.sync_all(),
    }
}

fn fallocate(file: &File, length: u64) -> Result<(), Errno> {
    rustix::io::retry_on_intr(|| rustix::fs::fallocate(file, FallocateFlags::empty(), 0, length))
}

/// Takes the space of a new file. A file system that cannot (`EOPNOTSUPP`) gets zeros written:
/// never a sparse file, whose holes would become a SIGBUS or an error in the middle of a batch.
fn take_space(
    file: &File,
    length: u64,
    fallocate: impl Fn(&File, u64) -> Result<(), Errno>,
) -> io::Result<()> {
    if length == 0 {
        return Ok(());
    }
    match fallocate(file, length) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeros(&DiskFile(file.try_clone()?), length),
        other => Ok(other?),
    }
}

/// Writes `length` zeros from the start of a file.
pub(crate) fn write_zeros(file: &dyn StorageFile, length: u64) -> io::Result<()> {
    write_zeros_between(file, 0, length)
}

/// Writes zeros from one offset up to another.
pub(crate) fn write_zeros_between(file: &dyn StorageFile, from: u64, to: u64) -> io::Result<()> {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    let mut at = from;
    while at < to {
        let length = (to - at).min(ZEROS.len() as u64);
        file.write_at(&ZEROS[..length as usize], at)?;
        at += length;
    }
    Ok(())
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_without_fallocate_gets_zeros_and_no_holes() {
        use std::os::unix::fs::MetadataExt;
        let folder = tempfile::tempdir().unwrap();
        let file = File::create_new(folder.path().join("file")).unwrap();
        take_space(&file, 300_000, |_, _| Err(Errno::OPNOTSUPP)).unwrap();
        let facts = file.metadata().unwrap();
        assert_eq!(facts.len(), 300_000);
        // Some file systems count no block before they write back.
        file.sync_all().unwrap();
        assert!(file.metadata().unwrap().blocks() * 512 >= 300_000);
    }

    #[test]
    fn a_full_disk_is_an_error_of_create_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        assert!(Disk.create(&path, 1 << 60).is_err());
        assert!(!path.exists());
    }

    #[test]
    fn folders_are_made_with_those_above_and_may_be_there_already() {
        let folder = tempfile::tempdir().unwrap();
        let deep = folder.path().join("one/two/three");
        Disk.create_directory(&deep).unwrap();
        Disk.create_directory(&deep).unwrap();
        assert!(deep.is_dir());
        let file = folder.path().join("file");
        File::create(&file).unwrap();
        assert!(Disk.create_directory(&file).is_err());
        assert!(Disk.create_directory(&file.join("below")).is_err());
    }

    #[test]
    fn a_new_file_is_zeros_and_never_replaces_another() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = Disk.create(&path, 8192).unwrap();
        let mut bytes = [1; 8192];
        file.read_at(&mut bytes, 0).unwrap();
        assert_eq!(bytes, [0; 8192]);
        let error = Disk.create(&path, 8192).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    }
}
