//! The thread that grows a history, so that writers need not.

use super::History;
use crate::sync::{AtomicBool, Ordering};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

/// A thread that grows a history outside the write path: it moves pairs, clears memory, and prepares new memory ahead
/// of need.
///
/// With a keeper, a writer meets no page that the system still has to provide. It begins a growth only if a small table
/// has no room near a pair's home. The exception is a keeper that got no processor for so long that a table is nearly
/// full, or that its prepared memory is used up. The writer then does the work that is due.
///
/// Without a keeper, writers do all of this in small steps, and a write that needs new memory waits for the system. The
/// thread ends when the handle is dropped. In a process that forks, start it after the fork.
pub struct Keeper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread. Returns `None` if the history has a keeper. Only the first keeper of a history does work: one
    /// that is started after it has ended ends at once.
    ///
    /// # Errors
    /// Returns an error if the system cannot create the thread.
    pub fn start(history: &Arc<History>) -> io::Result<Option<Keeper>> {
        let stop = Arc::new(AtomicBool::new(false));
        let (history, stopped) = (Arc::clone(history), Arc::clone(&stop));
        if history.index.kept.swap(true, Ordering::Relaxed) {
            return Ok(None);
        }
        let kept = Arc::clone(&history);
        let spawned = std::thread::Builder::new().name("dialback-history".into()).spawn(move || {
            if history.index.keeper.register() {
                while !stopped.load(Ordering::Relaxed) {
                    if !history.index.tend() {
                        history.index.keeper.sleep_unless(|| history.index.tend());
                    }
                }
            }
            history.index.kept.store(false, Ordering::Relaxed);
        });
        match spawned {
            Ok(thread) => Ok(Some(Keeper { stop, thread: Some(thread) })),
            Err(error) => {
                kept.index.kept.store(false, Ordering::Relaxed);
                Err(error)
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            // The panic of a keeper has been reported by the thread itself.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}
