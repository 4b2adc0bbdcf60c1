//! Wakes the keeper from a writer: a flag, and a system call only if the keeper sleeps.

use crate::sync::{AtomicBool, Ordering};
use std::sync::OnceLock;
use std::thread::Thread;

/// Wakes the keeper thread of a history.
#[derive(Default)]
pub(crate) struct Waker {
    asleep: AtomicBool,
    keeper: OnceLock<Thread>,
}

impl Waker {
    /// Wakes the keeper, if there is one and it sleeps.
    pub(crate) fn wake(&self) {
        // SeqCst here and in `sleep_unless`: either the keeper sees the work, or this load sees that the keeper sleeps.
        // If both fail all the same, the keeper wakes after its timeout.
        if self.asleep.load(Ordering::SeqCst)
            && self.asleep.swap(false, Ordering::SeqCst)
            && let Some(keeper) = self.keeper.get()
        {
            keeper.unpark();
        }
    }

    /// Makes this thread the keeper, unless there was one before. Returns whether this thread is the keeper now.
    #[cfg(not(loom))]
    pub(crate) fn register(&self) -> bool {
        self.keeper.set(std::thread::current()).is_ok()
    }

    /// Sleeps until `wake` is called or a timeout passes. Does not sleep if there is `work`.
    #[cfg(not(loom))]
    pub(crate) fn sleep_unless(&self, work: impl FnOnce() -> bool) {
        self.asleep.store(true, Ordering::SeqCst);
        if !work() {
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}
