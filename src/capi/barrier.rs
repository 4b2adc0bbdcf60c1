//! A memory barrier that one thread makes all other threads run, so that those threads need no barrier of their own.
//!
//! Handles are opened and closed rarely, and decisions are frequent. Where the system has `membarrier` (Linux 4.14
//! and later), the closing thread pays for the order that [`pin`](super::pin) needs. Elsewhere, and where a sandbox
//! denies the call, each decision pays for an atomic exchange.

use crate::sync::{AtomicBool, Ordering};

/// Whether the closing thread runs the barrier. Set before the first handle is opened, and never cleared.
static IS_AVAILABLE: AtomicBool = AtomicBool::new(false);

/// Registers the process for `membarrier` if it is not registered yet. Called before each handle is opened, under the
/// lock of `open`.
pub(super) fn prepare() {
    if !is_available() && system::register() {
        // Relaxed: the gate that is opened afterwards publishes this to closing threads. An entering thread that does
        // not see it yet uses `SeqCst`, which is correct in both cases.
        IS_AVAILABLE.store(true, Ordering::Relaxed);
    }
}

/// Returns whether entering threads may rely on the closing thread's barrier.
#[inline]
pub(super) fn is_available() -> bool {
    IS_AVAILABLE.load(Ordering::Relaxed)
}

/// Makes every thread of the process run a full barrier before this function returns.
///
/// # Panics
/// If the system denies the barrier after it has granted the registration. The handle is then closed and never freed.
pub(super) fn run() {
    assert!(system::run(), "membarrier failed although the process is registered for it");
}

#[cfg(target_os = "linux")]
mod system {
    use rustix::thread::{MembarrierCommand, membarrier};

    pub(super) fn register() -> bool {
        membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok()
    }

    pub(super) fn run() -> bool {
        let barrier = || membarrier(MembarrierCommand::PrivateExpedited).is_ok();
        // A child process may have to register again after a fork.
        barrier() || register() && barrier()
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    pub(super) fn register() -> bool {
        false
    }

    pub(super) fn run() -> bool {
        false
    }
}
