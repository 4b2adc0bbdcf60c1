//! What a node of a fleet keeps in its store besides the state itself.

use super::StoreError;
use crate::event::Configuration;
use crate::history::Register;
use crate::slot::Scope;
use std::fmt;

/// What a node of a fleet keeps besides, read by other threads than the one that commits. All of it is written with a
/// [`Batch`](super::Batch), so that it is never of another moment than the state.
pub trait Aside: Send + Sync {
    /// Entries of the outbox behind this one, the oldest first: one at least where there is one, and about so many bytes.
    ///
    /// # Errors
    /// What cannot be read.
    fn outbox(&self, after: u64, bytes: usize) -> Result<Vec<Entry>, StoreError>;

    /// The number of the last entry of the outbox; 0 where there is none. Numbers are given again once nothing is left.
    ///
    /// # Errors
    /// What cannot be read.
    fn last_entry(&self) -> Result<u64, StoreError>;

    /// Where the node stands in its stream, in the node's own words; `None` where it never said.
    ///
    /// # Errors
    /// What cannot be read.
    fn place(&self) -> Result<Option<Vec<u8>>, StoreError>;

    /// One configuration; `None` where there is none of that sequence.
    ///
    /// # Errors
    /// What cannot be read.
    fn configuration(&self, sequence: u64) -> Result<Option<Configuration>, StoreError>;

    /// Every erasure that is remembered, and the keys that their pseudonyms were made under.
    ///
    /// # Errors
    /// What cannot be read.
    fn erasures(&self) -> Result<Pseudonyms, StoreError>;
}

/// Events that were committed and have to be told the others: an entry of the outbox.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Entry {
    /// Its place among them.
    pub number: u64,
    /// Calls and erasures, one behind the other, as messages have them.
    pub events: Vec<u8>,
}

/// There are whole phone numbers in it, so it is shown by its length.
impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entry({}, {} bytes)", self.number, self.events.len())
    }
}

/// Erasures of contacts that are known by their pseudonyms only.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Pseudonyms {
    /// The keys that any of them may have been made under; the first is the one for new ones.
    pub keys: Vec<[u8; 32]>,
    /// Environment, pseudonym, until when.
    pub erasures: Vec<(Scope, [u8; 16], Register)>,
}

impl Pseudonyms {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.erasures.is_empty()
    }
}

/// Keys are shown to nobody.
impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pseudonyms({} keys, {} erasures)", self.keys.len(), self.erasures.len())
    }
}
