//! Counters of decision records.

use crate::sync::{AtomicU64, Ordering};

/// Counts what became of decision records.
///
/// # Orderings
/// All relaxed, because a count orders nothing else.
#[derive(Default, Debug)]
pub struct RecordCounts {
    written: AtomicU64,
    dropped: AtomicU64,
    lost: AtomicU64,
    removed: AtomicU64,
    damaged: AtomicU64,
}

impl RecordCounts {
    pub(crate) fn count_written(&self, records: u64) {
        self.written.fetch_add(records, Ordering::Relaxed);
    }

    pub(crate) fn count_dropped(&self, records: u64) {
        self.dropped.fetch_add(records, Ordering::Relaxed);
    }

    pub(crate) fn count_lost(&self, records: u64) {
        self.lost.fetch_add(records, Ordering::Relaxed);
    }

    pub(crate) fn count_removed(&self, records: u64) {
        self.removed.fetch_add(records, Ordering::Relaxed);
    }

    pub(crate) fn count_damaged(&self, records: u64) {
        self.damaged.fetch_add(records, Ordering::Relaxed);
    }

    /// Returns how many records were given to the store, which leaves out those of erased contacts.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Returns how many records and answers were dropped because the queue had no room.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Returns how many records were lost because the store could not be written.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Returns how many records were removed because they expired, were too many, or were left by an erasure.
    pub fn removed(&self) -> u64 {
        self.removed.load(Ordering::Relaxed)
    }

    /// Returns how often a damaged record was found. A record that is read twice counts twice.
    pub fn damaged(&self) -> u64 {
        self.damaged.load(Ordering::Relaxed)
    }
}
