//! The one module that maps memory: files read by many processes, rings and cursors shared with
//! them.
//!
//! Nobody here holds a reference to bytes that another thread or process may be writing. That is
//! kept by cursors: a writer writes at or above its cursor only, a reader takes bytes below the
//! cursor only, and the cursor moves with a release store after the bytes are in place.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use memmap2::{MmapOptions, MmapRaw};

/// A map that is only read.
#[derive(Clone, Debug)]
pub struct Map {
    memory: Arc<MmapRaw>,
}

/// A map that is read and written.
#[derive(Clone, Debug)]
pub struct MapMut {
    memory: Arc<MmapRaw>,
}

impl Map {
    /// Maps a file read-only, as long as it is now.
    pub fn of(file: &File) -> io::Result<Map> {
        let memory = MmapOptions::new().map_raw_read_only(file)?;
        Ok(Map { memory: Arc::new(memory) })
    }

    pub fn length(&self) -> usize {
        self.memory.len()
    }

    /// Some bytes of the map; `None` beyond its end.
    ///
    /// The caller asks for bytes below a published cursor only.
    #[inline]
    pub fn bytes(&self, offset: usize, length: usize) -> Option<&[u8]> {
        slice(&self.memory, offset, length)
    }

    /// Loads the word at `offset` so that what was written before it was stored is seen.
    #[inline]
    pub fn load(&self, offset: usize) -> Option<u64> {
        let word = word(&self.memory, offset)?;
        // A relaxed load and a fence: the form of an acquire load that read-only memory allows.
        let value = word.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        Some(value)
    }
}

impl MapMut {
    /// Maps a file for reading and writing, its pages present from the start.
    pub fn of(file: &File) -> io::Result<MapMut> {
        let memory = MmapOptions::new().populate().map_raw(file)?;
        Ok(MapMut { memory: Arc::new(memory) })
    }

    /// Zeroed memory of this process.
    pub fn anonymous(length: usize) -> io::Result<MapMut> {
        let memory = MmapOptions::new().len(length.max(1)).map_anon()?;
        Ok(MapMut { memory: Arc::new(MmapRaw::from(memory)) })
    }

    /// The same memory, to be read.
    pub fn share(&self) -> Map {
        Map { memory: Arc::clone(&self.memory) }
    }

    pub fn length(&self) -> usize {
        self.memory.len()
    }

    /// Some bytes of the map; `None` beyond its end. The caller is the only one who writes them.
    #[inline]
    pub(crate) fn bytes(&self, offset: usize, length: usize) -> Option<&[u8]> {
        slice(&self.memory, offset, length)
    }

    /// Copies `bytes` to `offset`; a bug when they do not fit.
    ///
    /// The caller is the only writer, and no reader takes these bytes before a cursor passes them.
    #[inline]
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        let end = offset.checked_add(bytes.len());
        assert!(end.is_some_and(|end| end <= self.memory.len()), "write beyond the end of a map");
        // SAFETY: the range is inside the map (asserted above), which lives as long as `self`. The
        // one writer and the cursors (see the module) keep others from reading or writing it now.
        unsafe {
            let to = self.memory.as_mut_ptr().add(offset);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
    }

    /// The shared word at `offset`; a bug when it is not aligned or not inside.
    #[inline]
    pub(crate) fn word(&self, offset: usize) -> &AtomicU64 {
        word(&self.memory, offset).expect("the word lies inside the map")
    }
}

#[inline]
fn slice(memory: &MmapRaw, offset: usize, length: usize) -> Option<&[u8]> {
    let end = offset.checked_add(length)?;
    if end > memory.len() {
        return None;
    }
    // SAFETY: the range is inside the map, which lives as long as the reference. Nobody writes it
    // meanwhile: callers ask for bytes below a cursor only, writers write above it (see the module).
    Some(unsafe { std::slice::from_raw_parts(memory.as_ptr().add(offset), length) })
}

#[inline]
fn word(memory: &MmapRaw, offset: usize) -> Option<&AtomicU64> {
    let end = offset.checked_add(8)?;
    if end > memory.len() || !offset.is_multiple_of(8) {
        return None;
    }
    // SAFETY: the eight bytes are inside the map and aligned (maps begin at a page), live as long
    // as the reference, and are only ever accessed as an atomic word by every process.
    Some(unsafe { &*memory.as_ptr().add(offset).cast::<AtomicU64>() })
}
