//! A barrier that one thread has all others run, so that those who ask need none of their own.
//!
//! Opening and closing a handle are rare and decisions are not. Where the system has `membarrier` (Linux from 4.14 on), who closes
//! pays for the order that [`pin`](super::pin) needs. Elsewhere, and where a sandbox refuses it, each decision pays an exchange.

use crate::sync::{AtomicBool, Ordering};

/// Whether whoever closes runs the barrier. Set before the first handle is opened, and never again.
static IS_THERE: AtomicBool = AtomicBool::new(false);

/// Asks the system for it. Before each handle is opened, under the lock of those who open.
pub(super) fn prepare() {
    if !is_there() && system::register() {
        // Relaxed: the gate that is opened after it publishes it to those who close. Who enters and does not see it yet makes
        // an exchange, which is right with either.
        IS_THERE.store(true, Ordering::Relaxed);
    }
}

/// Whether whoever enters may leave the order to those who close.
#[inline]
pub(super) fn is_there() -> bool {
    IS_THERE.load(Ordering::Relaxed)
}

/// All threads of the process have been through a full barrier between the beginning and the end of this.
///
/// # Panics
/// Where the system takes back what it has granted. The handle is then shut and never freed.
pub(super) fn run() {
    assert!(system::run(), "the barrier that was granted is refused");
}

#[cfg(target_os = "linux")]
mod system {
    use rustix::thread::{MembarrierCommand, membarrier};

    pub(super) fn register() -> bool {
        membarrier(MembarrierCommand::RegisterPrivateExpedited).is_ok()
    }

    pub(super) fn run() -> bool {
        let barrier = || membarrier(MembarrierCommand::PrivateExpedited).is_ok();
        // A child of a fork may have to ask again.
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
