//! The maximum size of a history, and the error when it is reached.

use super::memory::CHUNK_BYTES;
use super::shape::{CHUNK_BITS, SEGMENTS};
use std::fmt;

/// The maximum size of a history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HistoryLimits {
    /// The maximum number of pairs.
    pub max_pairs: usize,
    /// The maximum number of bytes of lines, up to 512 GiB. The address space is reserved at once, and memory is used
    /// as needed.
    pub max_bytes: usize,
}

/// 512 GiB of lines, which is what the largest tables of all segments and their successors need. Directory entries are
/// byte offsets in 64 bits and would permit more.
const MOST_CHUNKS: usize = 1 << (32 - CHUNK_BITS);
/// The bytes of one table for each segment, and of a growth of each.
const LEAST_BYTES: usize = 4 * SEGMENTS * CHUNK_BYTES;

impl HistoryLimits {
    /// Returns limits of `max_pairs` and of the bytes that so many pairs can need (32 for each pair, and 16 MiB).
    pub const fn pairs(max_pairs: usize) -> HistoryLimits {
        HistoryLimits { max_pairs, max_bytes: max_pairs.saturating_mul(32).saturating_add(LEAST_BYTES) }
    }

    pub(crate) fn chunks(self) -> usize {
        (self.max_bytes.max(LEAST_BYTES / 2) / CHUNK_BYTES).min(MOST_CHUNKS)
    }
}

impl Default for HistoryLimits {
    /// Returns limits of a hundred million pairs and 3.2 GB.
    fn default() -> Self {
        HistoryLimits::pairs(100_000_000)
    }
}

impl From<usize> for HistoryLimits {
    fn from(max_pairs: usize) -> HistoryLimits {
        HistoryLimits::pairs(max_pairs)
    }
}

/// The history is full, and nothing in it can be reclaimed. The write was rejected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Full {
    /// The number of pairs in the history.
    pub pairs: usize,
    /// The maximum number of pairs. If `pairs` is below it, the maximum number of bytes was reached.
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
        write!(f, "the history is full ({pairs} pairs of at most {max_pairs}): raise its limits")
    }
}

impl std::error::Error for Full {}

/// The size of a history, and counts of what happened to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// The number of pairs, including erased and expired ones that are not reclaimed yet.
    pub pairs: usize,
    /// The number of resident bytes.
    pub bytes: usize,
    /// The number of rewritten segments, to grow or to reclaim.
    pub growths: u64,
    /// The number of pairs that growths dropped: expired, or of a retired scope.
    pub reclaimed: u64,
    /// The number of writes that were rejected because the history was full.
    pub rejected: u64,
    /// The number of segments that are being rewritten now.
    pub growing: usize,
}
