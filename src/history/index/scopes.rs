//! The set of retired scopes, whose pairs a growth drops.

use super::memory::Region;
use crate::sync::{AtomicBool, AtomicU64, Ordering};
use std::io;

/// A set of scopes that only grows.
pub(crate) struct ScopeSet {
    bits: Region<AtomicU64>,
    any: AtomicBool,
}

#[cfg(not(loom))]
const SCOPES: usize = 1 << 24;
#[cfg(loom)]
const SCOPES: usize = 64;

impl ScopeSet {
    /// The reserved bytes.
    pub(crate) const BYTES: usize = SCOPES / 8;

    pub(crate) fn new() -> io::Result<ScopeSet> {
        Ok(ScopeSet { bits: Region::new(SCOPES / 64, false)?, any: AtomicBool::new(false) })
    }

    /// Adds a scope. Returns whether it is new.
    pub(crate) fn insert(&self, scope: u32) -> bool {
        // Relaxed: nothing depends on when a growth learns of the scope.
        self.any.store(true, Ordering::Relaxed);
        let bit = 1 << (scope % 64);
        self.bits[scope as usize / 64].fetch_or(bit, Ordering::Relaxed) & bit == 0
    }

    pub(crate) fn contains(&self, scope: u32) -> bool {
        self.any() && self.bits[scope as usize / 64].load(Ordering::Relaxed) >> (scope % 64) & 1 != 0
    }

    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }
}
