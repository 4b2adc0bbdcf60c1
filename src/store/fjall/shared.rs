//! The state of an open store that other threads use too.

use super::calls::Sizes;
use super::feeds::Feeds;
use super::keyspaces::Keyspaces;
use super::removals::Removals;
use super::shelves::Shelves;
use crate::history::Register;
use crate::number::E164;
use crate::slot::Scope;
use crate::store::StoreError;
use crate::store::disk::directory::DataDirectory;
use crate::store::records::pseudonym::PseudonymKey;
use crate::store::records::register::{erasure_key, read_register};
use crate::time::Timestamp;
use std::sync::{Arc, PoisonError, RwLock, Weak};

/// The state that the store shares with other threads.
pub(in crate::store) struct Shared {
    // Fields are dropped in this order: the engine writes its last data before the directory is unlocked.
    pub(in crate::store) keyspaces: Keyspaces,
    pub(in crate::store) key: PseudonymKey,
    /// The keys of other nodes' pseudonyms that are stored here.
    pub(in crate::store) foreign_keys: RwLock<Vec<PseudonymKey>>,
    /// The key that seals the ids of decisions.
    pub(in crate::store) secret: [u8; 16],
    /// Locked exclusively by a purge, and shared by readers of an earlier state, whose data a purge could not remove.
    pub(in crate::store) purging: RwLock<()>,
    /// Counts removed pairs, and writes of pairs that have expired already.
    pub(in crate::store) removals: Removals,
    pub(in crate::store) outbox_removals: Removals,
    /// The size of the calls that are known by an id or a context.
    pub(in crate::store) call_sizes: Sizes,
    /// Counts removals of decision records.
    pub(in crate::store) record_removals: Removals,
    pub(in crate::store) shelves: Shelves,
    /// Counts removals of events.
    pub(in crate::store) feed_removals: Removals,
    pub(in crate::store) feeds: Feeds,
    pub(in crate::store) directory: DataDirectory,
}

impl Shared {
    /// Returns the erasure of a contact, under any key of this directory.
    pub(in crate::store) fn erasure_of(
        &self,
        environment: Scope,
        contact: E164,
    ) -> Result<Option<Register>, StoreError> {
        let own = self.erasure(&erasure_key(&self.key, environment, contact))?;
        let foreign = self.foreign_keys.read().unwrap_or_else(PoisonError::into_inner);
        foreign
            .iter()
            .try_fold(own, |latest, key| Ok(latest.max(self.erasure(&erasure_key(key, environment, contact))?)))
    }

    /// Returns the time up to which a contact is erased.
    pub(in crate::store) fn erased_until(
        &self,
        environment: Scope,
        contact: E164,
    ) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.erasure_of(environment, contact)?.and_then(Register::erased_until))
    }

    /// Returns the register stored under the key of an erasure.
    pub(in crate::store) fn erasure(&self, key: &[u8]) -> Result<Option<Register>, StoreError> {
        let held = self.keyspaces.erasures.get(key);
        let Some(value) = held.map_err(|error| self.keyspaces.failed(error))? else { return Ok(None) };
        let register = read_register(&value).ok_or_else(|| self.keyspaces.damaged("an invalid erasure"))?;
        Ok(Some(register))
    }
}

/// Reads a store from other threads. Fails after the store has been closed.
pub(in crate::store) struct FjallReader(Weak<Shared>);

impl FjallReader {
    pub(in crate::store) fn new(store: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(store))
    }

    pub(super) fn store(&self) -> Result<Arc<Shared>, StoreError> {
        self.0.upgrade().ok_or_else(|| StoreError::Engine("the store has been closed".into()))
    }
}
