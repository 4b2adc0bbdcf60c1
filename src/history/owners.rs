//! Whose hash the places of a scope begin with.

use super::memory::Region;
use crate::number::{CODE_BITS, CODES_END, E164};
use crate::sync::{AtomicU64, AtomicUsize, Ordering};
use std::io;

/// The owner of every scope. Once a pair may lie by it, it never changes.
pub(crate) struct Owners {
    owners: Region<AtomicU64>,
    /// How many scopes have one.
    settled: AtomicUsize,
}

#[cfg(not(loom))]
const SCOPES: usize = 1 << 24;
#[cfg(loom)]
const SCOPES: usize = 64;

/// A scope that was written to before anybody said whose it is, is its own: a word as of a number, and of none that there is.
const fn own(scope: u32) -> u64 {
    (CODES_END + scope as u64) << E164::FREE_BITS
}

const _: () = assert!(CODES_END + (SCOPES as u64) < 1 << CODE_BITS, "there are codes that are no number's");

impl Owners {
    pub(crate) fn new() -> io::Result<Owners> {
        Ok(Owners { owners: Region::new(SCOPES, false)?, settled: AtomicUsize::new(0) })
    }

    /// Whether the scope is `owner`'s now.
    pub(crate) fn assign(&self, scope: u32, owner: u64) -> bool {
        self.settle(scope, owner) == owner
    }

    /// The owner, for a read: a scope without one has no pairs, wherever they are looked for.
    #[inline]
    pub(crate) fn of(&self, scope: u32) -> u64 {
        // Relaxed: one word, and whoever knows of a pair of the scope knows of the word that it was written by.
        self.owners[scope as usize].load(Ordering::Relaxed)
    }

    /// The owner, for a write: settled for good.
    #[inline]
    pub(crate) fn settled(&self, scope: u32) -> u64 {
        let word = &self.owners[scope as usize];
        let owner = word.load(Ordering::Relaxed);
        if owner != 0 {
            return owner;
        }
        self.settle(scope, own(scope))
    }

    /// The owner from now on: `owner`, unless there is one.
    fn settle(&self, scope: u32, owner: u64) -> u64 {
        // Relaxed: one word. Who knows of a pair of the scope knows of it through that pair's own line.
        match self.owners[scope as usize].compare_exchange(0, owner, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => {
                self.settled.fetch_add(1, Ordering::Relaxed);
                owner
            }
            Err(held) => held,
        }
    }

    /// Resident bytes, to a page at either end: scopes are given without gaps, from both ends.
    pub(crate) fn bytes(&self) -> usize {
        self.settled.load(Ordering::Relaxed) * size_of::<AtomicU64>()
    }
}
