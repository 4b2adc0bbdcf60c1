//! How a writer wakes the keeper: a flag, and a system call only when the keeper sleeps.

use crate::sync::{AtomicBool, Ordering};
use std::sync::OnceLock;
use std::thread::Thread;

#[derive(Default)]
pub(crate) struct Bell {
    asleep: AtomicBool,
    keeper: OnceLock<Thread>,
}

impl Bell {
    /// Wakes the keeper, if there is one and it sleeps.
    pub(crate) fn ring(&self) {
        // SeqCst here and in `sleep_unless`: either the keeper sees the work, or this sees that it sleeps. Should both
        // be missed after all, the keeper wakes by itself before long.
        if self.asleep.load(Ordering::SeqCst)
            && self.asleep.swap(false, Ordering::SeqCst)
            && let Some(keeper) = self.keeper.get()
        {
            keeper.unpark();
        }
    }

    /// Makes this thread the keeper; whether it became it.
    #[cfg(not(loom))]
    pub(crate) fn answer(&self) -> bool {
        self.keeper.set(std::thread::current()).is_ok()
    }

    /// Sleeps until the bell rings, or a while; not at all if there is `work`.
    #[cfg(not(loom))]
    pub(crate) fn sleep_unless(&self, work: impl FnOnce() -> bool) {
        self.asleep.store(true, Ordering::SeqCst);
        if !work() {
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
        self.asleep.store(false, Ordering::SeqCst);
    }
}
