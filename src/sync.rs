//! The one place that names atomics.
//!
//! Everything lock-free in this crate imports its atomics from here, so that a model checker can put its own in their
//! place. A partial seam would give partial models; a test (`tests/layers.rs`) holds the rest of the crate to this one.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

#[cfg(all(feature = "capi", not(loom)))]
pub(crate) use std::sync::atomic::{AtomicPtr, compiler_fence};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

/// Orders what this thread wrote before a look at what the others wrote, both `SeqCst` on their own atomics.
///
/// Nothing in a real build: there the `SeqCst` operations around it are in one total order already. Loom runs `SeqCst`
/// operations as acquire and release ones and knows only fences, so that its models need the fence to be there.
#[inline]
pub(crate) fn store_then_look() {
    #[cfg(loom)]
    if !canary("seat fence") {
        fence(Ordering::SeqCst);
    }
}

/// An ordering with a name, under which a model can ask for a build that does without it: a *canary*, which must fail.
macro_rules! order {
    ($order:ident, $canary:literal) => {
        if crate::sync::canary($canary) { Ordering::Relaxed } else { Ordering::$order }
    };
}
pub(crate) use order;

/// Whether this is the canary of that name. Never, in a real build.
#[cfg(not(loom))]
#[inline]
pub(crate) const fn canary(_name: &str) -> bool {
    false
}

#[cfg(loom)]
pub(crate) fn canary(name: &str) -> bool {
    static CANARY: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    CANARY.get_or_init(|| std::env::var("DIALBACK_CANARY").ok()).as_deref() == Some(name)
}
