//! The state of an open store that other threads use too.

use super::calls::Sizes;
use super::keyspaces::Keyspaces;
use super::removals::Removals;
use crate::history::Register;
use crate::store::StoreError;
use crate::store::disk::directory::DataDirectory;
use crate::store::records::pseudonym::PseudonymKey;
use crate::store::records::register::read_register;
use std::sync::RwLock;

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
    pub(in crate::store) directory: DataDirectory,
}

impl Shared {
    /// Returns the register stored under the key of an erasure.
    pub(in crate::store) fn erasure(&self, key: &[u8]) -> Result<Option<Register>, StoreError> {
        let held = self.keyspaces.erasures.get(key);
        let Some(value) = held.map_err(|error| self.keyspaces.failed(error))? else { return Ok(None) };
        let register = read_register(&value).ok_or_else(|| self.keyspaces.damaged("an invalid erasure"))?;
        Ok(Some(register))
    }
}
