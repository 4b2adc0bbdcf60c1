//! How large a history may become, and what it says when it is.

use super::memory::CHUNK_BYTES;
use super::shape::{CHUNK_BITS, SEGMENTS};
use std::fmt;

/// The ceilings of a history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The most pairs.
    pub max_pairs: usize,
    /// The most bytes of lines, 512 GiB at most; address space that is taken at once, memory only as it is used.
    pub max_bytes: usize,
}

/// A directory names a chunk by its first line, in 32 bits: 512 GiB.
const MOST_CHUNKS: usize = 1 << (32 - CHUNK_BITS);
/// What a table of each segment takes, and a growth of each.
const LEAST_BYTES: usize = 4 * SEGMENTS * CHUNK_BYTES;

impl Limits {
    /// Up to `max_pairs`, and as many bytes as they can need (32 a pair, and 16 MiB).
    pub const fn pairs(max_pairs: usize) -> Limits {
        Limits { max_pairs, max_bytes: max_pairs.saturating_mul(32).saturating_add(LEAST_BYTES) }
    }

    pub(crate) fn chunks(self) -> usize {
        (self.max_bytes.max(LEAST_BYTES / 2) / CHUNK_BYTES).min(MOST_CHUNKS)
    }
}

impl Default for Limits {
    /// A hundred million pairs, 3.2 GB.
    fn default() -> Self {
        Limits::pairs(100_000_000)
    }
}

impl From<usize> for Limits {
    fn from(max_pairs: usize) -> Limits {
        Limits::pairs(max_pairs)
    }
}

/// The history is full, and nothing in it can be reclaimed; the write was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Full {
    /// The pairs there were.
    pub pairs: usize,
    /// The ceiling in pairs. Where `pairs` is below it, the ceiling in bytes was reached.
    pub max_pairs: usize,
}

impl Full {
    pub(crate) fn new(pairs: usize, max_pairs: usize) -> Full {
        Full { pairs, max_pairs }
    }
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Full { pairs, max_pairs } = self;
        write!(f, "the history holds {pairs} pairs of {max_pairs} and has no room for a new one")
    }
}

impl std::error::Error for Full {}

/// What a history holds and what happened to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Pairs, erased and expired ones that were not reclaimed yet included.
    pub pairs: usize,
    /// Resident bytes.
    pub bytes: usize,
    /// Segments that were rewritten, to grow or to reclaim.
    pub growths: u64,
    /// Pairs that were left behind: expired, or of a retired scope.
    pub reclaimed: u64,
    /// Writes that were refused because the history was full.
    pub rejected: u64,
    /// Segments that are being rewritten now.
    pub growing: usize,
}
