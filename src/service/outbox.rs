//! The outbox entries that a group of commands adds.

use crate::event::Event;
use crate::store::Entry;

/// The size at which an entry is closed, in bytes: it fits into one message.
#[cfg(feature = "store")]
const CUT: usize = 1 << 15;

/// The events of a group that the node will publish to its fleet.
pub(super) struct Outbox {
    /// The number of the last entry that has been taken.
    last: u64,
    entries: Vec<Vec<u8>>,
    /// Whether the service belongs to a fleet.
    is_kept: bool,
}

impl Outbox {
    pub(super) fn new(last: u64, is_kept: bool) -> Self {
        Self { last, entries: Vec::new(), is_kept }
    }

    /// Returns whether the service belongs to a fleet.
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept
    }

    #[cfg(feature = "store")]
    pub(super) fn add(&mut self, event: &Event) {
        use crate::event::wire;
        if !self.is_kept {
            return;
        }
        if self.entries.last().is_none_or(|entry| entry.len() + wire::len(event) > CUT) {
            self.entries.push(Vec::new());
        }
        if let Some(entry) = self.entries.last_mut() {
            wire::write(event, entry);
        }
    }

    /// Does nothing: without the `store` feature, events have no byte format and no store supports a fleet.
    #[cfg(not(feature = "store"))]
    #[allow(clippy::unused_self, reason = "the variant with a store needs it")]
    pub(super) fn add(&mut self, _: &Event) {}

    /// Returns the number of the last entry, including those not yet taken.
    pub(super) fn last(&self) -> u64 {
        self.last + self.entries.len() as u64
    }

    pub(super) fn take(&mut self) -> Vec<Entry> {
        let entries = std::mem::take(&mut self.entries).into_iter();
        entries
            .map(|events| {
                self.last += 1;
                Entry { number: self.last, events }
            })
            .collect()
    }
}
