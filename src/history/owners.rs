//! The owner of each scope, which is a part of the place of the scope's pairs.

use super::index::memory::Region;
use crate::number::{CODE_BITS, CODES_END, E164};
use crate::sync::{AtomicU64, AtomicUsize, Ordering};
use std::io;

/// The owner of each scope. Once a pair may have been placed with an owner, it never changes.
pub(crate) struct Owners {
    owners: Region<AtomicU64>,
    /// The number of scopes with an owner.
    settled: AtomicUsize,
}

#[cfg(not(loom))]
const SCOPES: usize = 1 << 24;
#[cfg(loom)]
const SCOPES: usize = 64;

/// The owner of a scope that was written to before an owner was assigned: the scope itself, as the word of a number
/// that cannot exist.
const fn own(scope: u32) -> u64 {
    (CODES_END + scope as u64) << E164::FREE_BITS
}

const _: () = assert!(CODES_END + (SCOPES as u64) < 1 << CODE_BITS, "there are codes that are no number's");

impl Owners {
    /// The reserved bytes.
    pub(crate) const BYTES: usize = SCOPES * size_of::<AtomicU64>();

    pub(crate) fn new() -> io::Result<Owners> {
        Ok(Owners { owners: Region::new(SCOPES, false)?, settled: AtomicUsize::new(0) })
    }

    /// Makes `owner` the scope's owner, unless it has another. Returns whether `owner` is the scope's owner now.
    pub(crate) fn assign(&self, scope: u32, owner: u64) -> bool {
        self.settle(scope, owner) == owner
    }

    /// Returns the owner, for a read. A scope without an owner has no pairs, at any place.
    #[inline]
    pub(crate) fn of(&self, scope: u32) -> u64 {
        // Relaxed: it is one word, and a thread that knows of a pair of the scope knows of the owner that the pair was
        // written with.
        self.owners[scope as usize].load(Ordering::Relaxed)
    }

    /// Returns the owner, for a write. From now on the owner is fixed.
    #[inline]
    pub(crate) fn settled(&self, scope: u32) -> u64 {
        let word = &self.owners[scope as usize];
        let owner = word.load(Ordering::Relaxed);
        if owner != 0 {
            return owner;
        }
        self.settle(scope, own(scope))
    }

    /// Sets the owner, unless there is one. Returns the scope's owner.
    fn settle(&self, scope: u32, owner: u64) -> u64 {
        // Relaxed: it is one word. A thread that knows of a pair of the scope knows of it through that pair's own line.
        match self.owners[scope as usize].compare_exchange(0, owner, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => {
                self.settled.fetch_add(1, Ordering::Relaxed);
                owner
            }
            Err(held) => held,
        }
    }

    /// Returns the resident bytes, except for a page at either end: scopes are assigned without gaps, from both ends.
    pub(crate) fn bytes(&self) -> usize {
        self.settled.load(Ordering::Relaxed) * size_of::<AtomicU64>()
    }
}
