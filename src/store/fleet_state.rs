//! The state that a node of a fleet keeps in its store, in addition to configurations and registers.

use super::StoreError;
use crate::event::Configuration;
use crate::history::Register;
use crate::slot::Scope;
use std::fmt;

/// The stored state of a fleet's node, for other threads than the committer's. It is written with a
/// [`Batch`](super::Batch), so that it always belongs to the same commit as the rest.
pub trait StoredFleetState: Send + Sync {
    /// Returns the outbox entries after entry `after`, the oldest first: about `bytes` bytes, and at least one entry if
    /// there is one.
    ///
    /// # Errors
    /// An entry cannot be read.
    fn outbox(&self, after: u64, bytes: usize) -> Result<Vec<Entry>, StoreError>;

    /// Returns the number of the outbox's last entry, or 0 if the outbox is empty. After the outbox was emptied,
    /// numbers start again.
    ///
    /// # Errors
    /// The entry cannot be read.
    fn last_entry(&self) -> Result<u64, StoreError>;

    /// Returns the node's place in its stream, in the fleet's encoding; `None` if none was stored.
    ///
    /// # Errors
    /// The place cannot be read.
    fn place(&self) -> Result<Option<Vec<u8>>, StoreError>;

    /// Returns the configuration with this sequence, or `None` if there is none.
    ///
    /// # Errors
    /// The configuration cannot be read.
    fn configuration(&self, sequence: u64) -> Result<Option<Configuration>, StoreError>;

    /// Returns all remembered erasures, and the keys of their pseudonyms.
    ///
    /// # Errors
    /// An erasure cannot be read.
    fn erasures(&self) -> Result<Pseudonyms, StoreError>;
}

/// An entry of the outbox: committed events that the node still has to publish.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// The entry's number, which gives the order.
    pub number: u64,
    /// Calls and erasures, concatenated, in the format of messages.
    pub events: Vec<u8>,
}

/// Prints the length only, because the events contain phone numbers.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({}, {} bytes)", self.number, self.events.len())
    }
}

/// Erasures of contacts that are identified only by pseudonyms.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Pseudonyms {
    /// The keys of the pseudonyms. The first one is the key for new pseudonyms.
    pub keys: Vec<[u8; 32]>,
    /// The environment, the pseudonym, and a register with the end of the erasure.
    pub erasures: Vec<(Scope, [u8; 16], Register)>,
}

impl Pseudonyms {
    /// Returns whether there are neither keys nor erasures.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.erasures.is_empty()
    }
}

/// Prints no keys, because they are secret.
impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pseudonyms({} keys, {} erasures)", self.keys.len(), self.erasures.len())
    }
}
