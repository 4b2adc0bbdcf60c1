//! Counters of webhooks.

use super::queue::Answer;
use crate::sync::{AtomicU64, Ordering};

/// Counts the attempts of all webhooks, by what the receivers answered.
///
/// # Orderings
/// All relaxed, because a count orders nothing else.
#[derive(Default)]
pub(in crate::http) struct Counts {
    accepted: AtomicU64,
    refused: AtomicU64,
    failed: AtomicU64,
}

impl Counts {
    pub(super) fn count(&self, answer: Answer) {
        let count = match answer {
            Answer::Accepted => &self.accepted,
            Answer::Refused => &self.refused,
            Answer::Outage => &self.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the name of each result, and how many attempts had it.
    pub(in crate::http) fn all(&self) -> [(&'static str, u64); 3] {
        let named = [("accepted", &self.accepted), ("refused", &self.refused), ("failed", &self.failed)];
        named.map(|(name, count)| (name, count.load(Ordering::Relaxed)))
    }
}
