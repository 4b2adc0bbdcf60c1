//! The error for address space that the system refuses to reserve.

use super::HistoryLimits;
use std::fmt;

/// The system refused to reserve the address space for a history of this size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct NoRoom {
    /// The bytes that the history tried to reserve.
    pub bytes: usize,
    /// The ceiling in pairs that they are needed for.
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
