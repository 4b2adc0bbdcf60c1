//! Address space that the system does not give.

use super::HistoryLimits;
use std::fmt;

/// The system does not give the address space that a history of this size reserves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct NoRoom {
    /// The bytes that were asked for.
    pub bytes: usize,
    /// The ceiling in pairs that they are for.
    pub max_pairs: usize,
}

impl NoRoom {
    pub(crate) fn new(limits: HistoryLimits) -> Self {
        Self { bytes: limits.max_bytes, max_pairs: limits.max_pairs }
    }
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.bytes / 100_000_000;
        write!(f, "cannot reserve {}.{} GB for the history", tenths / 10, tenths % 10)
    }
}

impl std::error::Error for NoRoom {}
