//! The only module that names atomics.
//!
//! All lock-free code in this crate imports its atomics from here, so that a model checker can replace them. If only
//! a part of the code used this module, the models would be incomplete. A test (`tests/layers.rs`) checks that no
//! other module names atomics.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

#[cfg(all(feature = "capi", not(loom)))]
pub(crate) use std::sync::atomic::{AtomicPtr, compiler_fence};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

/// Orders this thread's store before its load of what other threads stored. Both are `SeqCst` operations on their own
/// atomics.
///
/// In a real build this does nothing, because `SeqCst` operations are in one total order. Loom runs `SeqCst`
/// operations as acquire and release and supports `SeqCst` for fences only, so its models need this fence.
#[inline]
pub(crate) fn store_then_look() {
    #[cfg(loom)]
    if !canary("seat fence") {
        fence(Ordering::SeqCst);
    }
}

/// A named memory ordering. A model can run a *canary*: a build in which the named ordering is `Relaxed`. The model
/// must then fail.
macro_rules! order {
    ($order:ident, $canary:literal) => {
        if crate::sync::canary($canary) { Ordering::Relaxed } else { Ordering::$order }
    };
}
pub(crate) use order;

/// Returns whether the canary with this name is active. Always `false` in a real build.
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
