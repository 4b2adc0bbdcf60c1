//! Counts removals, so that a purge rewrites only the keyspaces that hold removed keys.

use crate::sync::{AtomicU64, Ordering};

/// The removals from one keyspace: how many batches removed data, and how many of those the last purge covered.
///
/// Both counts are in memory only. A store that was just opened therefore counts as changed, and its first purge
/// rewrites everything.
pub(in crate::store) struct Removals {
    seen: AtomicU64,
    purged: AtomicU64,
}

impl Removals {
    pub(in crate::store) fn new() -> Self {
        Self { seen: AtomicU64::new(1), purged: AtomicU64::new(0) }
    }

    /// Counts a batch that removed something, and returns the count. Call this after the batch is committed and before it is
    /// acknowledged: a purge that reads an older count then meets the batch in the store, or leaves it for the next purge.
    pub(in crate::store) fn note(&self) -> u64 {
        self.seen.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Returns the number of such batches so far, or `None` if the last purge covered all of them.
    pub(in crate::store) fn pending(&self) -> Option<u64> {
        let seen = self.seen.load(Ordering::Acquire);
        (seen != self.purged.load(Ordering::Acquire)).then_some(seen)
    }

    /// A purge that began at this count has ended, and did all that it had to do. One that failed is not reported: what it had
    /// to remove stays pending.
    pub(in crate::store) fn purged(&self, seen: u64) {
        self.purged.store(seen, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removal_during_a_purge_is_pending_for_the_next() {
        let removals = Removals::new();
        let first = removals.pending().expect("a store that was just opened is to be purged");
        removals.note();
        removals.purged(first);
        let second = removals.pending().expect("one came during the purge");
        removals.purged(second);
        assert_eq!(removals.pending(), None);
        removals.note();
        assert!(removals.pending().is_some());
    }
}
