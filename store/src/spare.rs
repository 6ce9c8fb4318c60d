//! The spare: the next segment, made ahead of its use by a helper thread, so that roll-over is a
//! rename. It is zero-filled where somebody waits for the log's syncs (unwritten extents were
//! measured to cost 18 ms tails of fdatasync), and durable before the writer gets it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::error::Error;
use crate::map::MapMut;
use crate::storage::{Storage, StorageFile, write_zeros};
use crate::writer::{Backing, LogOptions, Spares};

/// How long the helper waits before it tries again on a full disk.
const RETRY: Duration = Duration::from_millis(100);

/// A segment that has no number yet.
pub(crate) struct Spare {
    pub(crate) file: Arc<dyn StorageFile>,
    /// With `Backing::Mapped`, where frames are put.
    pub(crate) map: Option<MapMut>,
}

enum State {
    Missing,
    Making,
    Ready(Spare),
    /// The writer is gone.
    Over,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    recipe: Recipe,
}

/// All that making a spare needs.
struct Recipe {
    storage: Arc<dyn Storage>,
    path: PathBuf,
    segment_bytes: u64,
    backing: Backing,
    zero_filled: bool,
}

/// Keeps one spare ready; its thread ends when it is dropped.
pub(crate) struct SpareMaker {
    shared: Arc<Shared>,
    helper: Option<JoinHandle<()>>,
}

impl SpareMaker {
    /// Starts the helper, if the options want one. A spare left by another process is removed: it
    /// may be half made.
    pub(crate) fn start(
        storage: &Arc<dyn Storage>,
        directory: &Path,
        options: &LogOptions,
    ) -> Result<SpareMaker, Error> {
        let recipe = Recipe {
            storage: Arc::clone(storage),
            path: directory.join(options.kind.spare_name()),
            segment_bytes: options.segment_bytes,
            backing: options.backing,
            zero_filled: options.zero_filled,
        };
        recipe.remove_leftover()?;
        let (state, changed) = (Mutex::new(State::Missing), Condvar::new());
        let shared = Arc::new(Shared { state, changed, recipe });
        let helper = match options.spares {
            Spares::Thread => Some(spawn(&shared)?),
            Spares::Inline => None,
        };
        Ok(SpareMaker { shared, helper })
    }

    /// Whether the next roll-over can be done at once.
    pub(crate) fn is_ready(&self) -> bool {
        matches!(*self.shared.lock(), State::Ready(_))
    }

    /// The spare; waits for one being made, makes it itself when there is none.
    pub(crate) fn take(&self) -> Result<Spare, Error> {
        let mut state = self.shared.lock();
        loop {
            match std::mem::replace(&mut *state, State::Making) {
                State::Ready(spare) => return Ok(spare),
                State::Making => state = self.shared.wait(state),
                State::Missing | State::Over => break,
            }
        }
        drop(state);
        let made = self.shared.recipe.make();
        if made.is_err() {
            self.shared.set(State::Missing);
        }
        made
    }

    /// The spare that was taken has its own name now: the next may be made.
    pub(crate) fn order_next(&self) {
        self.shared.set(State::Missing);
    }
}

impl Drop for SpareMaker {
    fn drop(&mut self) {
        self.shared.set(State::Over);
        if let Some(helper) = self.helper.take() {
            // A helper that panicked has nothing to tell that the writer could use now.
            let _ = helper.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, new: State) {
        *self.lock() = new;
        self.changed.notify_all();
    }

    /// Makes spares until the writer is gone.
    fn help(&self) {
        let mut state = self.lock();
        loop {
            match *state {
                State::Over => return,
                State::Making | State::Ready(_) => state = self.wait(state),
                State::Missing => {
                    *state = State::Making;
                    drop(state);
                    let made = self.recipe.make();
                    state = self.put(made);
                }
            }
        }
    }

    /// Puts what was made in place; after a failure waits before the next try.
    fn put(&self, made: Result<Spare, Error>) -> MutexGuard<'_, State> {
        let mut state = self.lock();
        if matches!(*state, State::Over) {
            return state;
        }
        let failed = made.is_err();
        *state = made.map_or(State::Missing, State::Ready);
        self.changed.notify_all();
        if failed {
            let waited = self.changed.wait_timeout(state, RETRY);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }
}

impl Recipe {
    fn remove_leftover(&self) -> Result<(), Error> {
        match self.storage.unlink(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("remove", &self.path)(error))
            }
            _ => Ok(()),
        }
    }

    fn make(&self) -> Result<Spare, Error> {
        let made = self.try_make();
        if made.is_err() {
            // Else the next try would find the name taken; a failure here shows there.
            let _ = self.storage.unlink(&self.path);
        }
        made
    }

    fn try_make(&self) -> Result<Spare, Error> {
        let (path, length) = (&self.path, self.segment_bytes);
        let file = self.storage.create(path, length).map_err(Error::io("create", path))?;
        if self.backing == Backing::Mapped {
            let map = file.map_mut().map_err(Error::io("map", path))?;
            return Ok(Spare { file, map: Some(map) });
        }
        if self.zero_filled {
            write_zeros(file.as_ref(), length).map_err(Error::io("write", path))?;
        }
        file.sync_data().map_err(Error::sync(path))?;
        Ok(Spare { file, map: None })
    }
}

fn spawn(shared: &Arc<Shared>) -> Result<JoinHandle<()>, Error> {
    let theirs = Arc::clone(shared);
    let thread = std::thread::Builder::new().name("spare".to_owned());
    let path = &shared.recipe.path;
    thread.spawn(move || theirs.help()).map_err(Error::io("start a thread for", path))
}
