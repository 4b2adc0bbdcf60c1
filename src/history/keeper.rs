//! The thread that grows a history so that its writers need not.

use super::History;
use crate::sync::{AtomicBool, Ordering};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

/// A thread that does a history's growing off the write path: moves pairs, clears memory, finds new memory ahead.
///
/// With one, a writer meets no page that the system has yet to find, and begins a growth only where a small table has no room
/// nearby for a pair; unless the keeper has not had a processor for so long that a table is nearly full, or what it had
/// ready is used up: then the writer does what is due itself.
///
/// Without one, writers do all of that in small steps, and a write that needs memory the system has yet to find waits
/// for it. Ends when dropped. Start it after a fork, not before.
pub struct Keeper {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Starts the thread; `None` if the history has had one already.
    ///
    /// # Errors
    /// Where the system does not give a thread.
    pub fn start(history: &Arc<History>) -> io::Result<Option<Keeper>> {
        let stop = Arc::new(AtomicBool::new(false));
        let (history, stopped) = (Arc::clone(history), Arc::clone(&stop));
        if history.index.kept.swap(true, Ordering::Relaxed) {
            return Ok(None);
        }
        let kept = Arc::clone(&history);
        let spawned = std::thread::Builder::new().name("dialback-history".into()).spawn(move || {
            if history.index.keeper.answer() {
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
            // A keeper that panicked has been reported by the panic.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}
