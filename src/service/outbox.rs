//! The entries of the outbox that a group adds.

use crate::event::Event;
use crate::store::Entry;

/// An entry is cut when it has so many bytes: a message's worth.
#[cfg(feature = "store")]
const CUT: usize = 1 << 15;

/// What a group tells the fleet.
pub(super) struct Outbox {
    /// The number of the last entry there is.
    last: u64,
    entries: Vec<Vec<u8>>,
    /// Whether there is a fleet.
    is_kept: bool,
}

impl Outbox {
    pub(super) fn new(last: u64, is_kept: bool) -> Self {
        Self { last, entries: Vec::new(), is_kept }
    }

    #[cfg(feature = "store")]
    pub(super) fn add(&mut self, event: &Event) {
        use crate::event::wire;
        if !self.is_kept {
            return;
        }
        if self.entries.last().is_none_or(|entry| entry.len() + wire::LONGEST > CUT) {
            self.entries.push(Vec::new());
        }
        if let Some(entry) = self.entries.last_mut() {
            wire::write(event, entry);
        }
    }

    /// Events have no form as bytes without a store, and a store of somebody else's no fleet.
    #[cfg(not(feature = "store"))]
    pub(super) fn add(&mut self, _: &Event) {
        let _ = self.is_kept;
    }

    /// The number of the last entry, with those that are to come.
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
