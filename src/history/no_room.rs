//! The error for address space that the system refuses to reserve.

use super::{History, HistoryLimits};
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
        Self { bytes: History::address_space(limits), max_pairs: limits.max_pairs }
    }
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = self.bytes.div_ceil(1_000_000);
        write!(f, "cannot reserve {megabytes} MB of address space for a history of {} pairs", self.max_pairs)
    }
}

impl std::error::Error for NoRoom {}
