//! Purges: removing erased and expired data from the files.
//!
//! A log-structured store only appends. Removed data is still in its journal, and in its tables until they are
//! rewritten, and the removal itself contains the key. A purge removes all data that was removed before the purge
//! began, while others keep writing:
//!
//! 1. **Delete the journals.** The engine is made to begin a new journal and to delete all older ones; see
//!    [`rotation`](super::rotation).
//! 2. **Rewrite the tables.** Each keyspace with removed or expired keys is rewritten completely, into its last level.
//!    That level keeps no record of removals. Data below the floor is left out.
//! 3. **Delete the old tables.** The engine deletes them after the next flush.
//!
//! A purge can be interrupted at any point. Only its end is recorded. The first purge of a process rewrites everything.
//! Later purges do nothing if nothing was removed and nothing has expired.

use super::StoreError;
use super::disk_use::disk_use;
use super::fjall::Shared;
use super::keyspaces::{Keyspaces, Setting, read_register};
use super::rotation::{leave_journals, leave_tables};
use crate::history::Register;
use crate::time::Timestamp;
use fjall::Keyspace;
use std::fmt;
use std::sync::{Arc, PoisonError, Weak};

/// Removes erased and expired data from the files of a store. Does nothing after the store has been closed.
#[derive(Clone)]
pub struct Upkeep {
    store: Weak<Shared>,
}

/// The result of a purge.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Purged {
    /// The disk space of the engine's files before the purge, in bytes.
    pub bytes_before: u64,
    /// The disk space of the engine's files after the purge, in bytes.
    pub bytes_after: u64,
    /// The number of journals after the purge.
    pub journals: usize,
    /// The number of rewritten keyspaces. 0 if nothing was removed and nothing had expired since the last purge.
    pub rewritten: usize,
}

impl Upkeep {
    pub(super) fn new(store: &Arc<Shared>) -> Self {
        Self { store: Arc::downgrade(store) }
    }

    /// Returns the time of the last purge, which its caller gave. If there was none, stores and returns `now`.
    ///
    /// # Errors
    /// The time cannot be read or written.
    pub fn purged_at(&self, now: Timestamp) -> Result<Timestamp, StoreError> {
        let Some(store) = self.store.upgrade() else { return Ok(now) };
        let keyspaces = &store.keyspaces;
        let Some(value) = keyspaces.setting(Setting::PurgedAt)? else {
            return set_purged_at(keyspaces, now).map(|()| now);
        };
        let millis =
            value.try_into().map_err(|_| keyspaces.damaged("the time of the last purge has the wrong length"))?;
        Ok(Timestamp::from_millis(u64::from_be_bytes(millis)))
    }

    /// Returns the disk space of the engine's files in bytes, or 0 after the store has been closed.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn disk_use(&self) -> Result<u64, StoreError> {
        self.store.upgrade().map_or(Ok(0), |store| disk_use(store.keyspaces.path()))
    }

    /// Removes all data from the files that was erased before this call or is below `floor`. Stores `now` as the time
    /// of the purge. Other threads can commit meanwhile.
    ///
    /// # Cost
    /// Reads the registers once. If data was erased or has expired since the last purge, or if this is the first purge
    /// since the store was opened, rewrites the keyspaces with such data and up to 64 MB of padding.
    ///
    /// # Errors
    /// The engine cannot write. Data may then still be in the files, and the next purge removes it.
    pub fn purge(&self, floor: Option<Register>, now: Timestamp) -> Result<Purged, StoreError> {
        let Some(store) = self.store.upgrade() else { return Ok(Purged::default()) };
        let _alone = store.purging.write().unwrap_or_else(PoisonError::into_inner);
        let keyspaces = &store.keyspaces;
        let bytes_before = disk_use(keyspaces.path())?;
        let rewritten = purge(&store, floor)?;
        set_purged_at(keyspaces, now)?;
        if rewritten > 0 {
            leave_tables(keyspaces)?;
        }
        let (bytes_after, journals) = (disk_use(keyspaces.path())?, keyspaces.database.journal_count());
        Ok(Purged { bytes_before, bytes_after, journals, rewritten })
    }
}

impl fmt::Debug for Upkeep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upkeep").finish_non_exhaustive()
    }
}

pub(super) fn set_purged_at(keyspaces: &Keyspaces, at: Timestamp) -> Result<(), StoreError> {
    keyspaces.set(Setting::PurgedAt, &at.millis().to_be_bytes())
}

/// Purges the store. Returns the number of rewritten keyspaces.
fn purge(store: &Shared, floor: Option<Register>) -> Result<usize, StoreError> {
    let keyspaces = &store.keyspaces;
    // Read the counts first: data that is removed from here on may wait for the next purge.
    let (registers, outbox) = (store.removals.pending(), store.outbox_removals.pending());
    let is_expired = |keyspace| floor.map_or(Ok(false), |floor| has_below(keyspaces, keyspace, floor));
    let is_first = registers.is_some();
    let has_calls = is_first || is_expired(&keyspaces.registers)?;
    let has_erasures = is_first || is_expired(&keyspaces.erasures)?;
    // Raise the floor only now: an earlier compaction could remove the expired keys, and this purge would not see that
    // the journal has to be deleted, too.
    if let Some(floor) = floor {
        keyspaces.floor.raise(floor);
    }
    let due =
        [(has_calls, &keyspaces.registers), (has_erasures, &keyspaces.erasures), (outbox.is_some(), &keyspaces.outbox)];
    let due: Vec<&Keyspace> = due.into_iter().filter(|(is_due, _)| *is_due).map(|(_, keyspace)| keyspace).collect();
    if due.is_empty() {
        return Ok(0);
    }
    leave_journals(keyspaces)?;
    for keyspace in &due {
        keyspace.major_compact().map_err(|error| keyspaces.failed(error))?;
    }
    registers.inspect(|seen| store.removals.purged(*seen));
    outbox.inspect(|seen| store.outbox_removals.purged(*seen));
    Ok(due.len())
}

/// Returns whether a register of this keyspace is below the floor. Reads up to the first such register.
fn has_below(keyspaces: &Keyspaces, keyspace: &Keyspace, floor: Register) -> Result<bool, StoreError> {
    for item in keyspace.iter() {
        let value = item.value().map_err(|error| keyspaces.failed(error))?;
        let register = read_register(&value).ok_or_else(|| keyspaces.damaged("an invalid register"))?;
        if register.bits() < floor.bits() {
            return Ok(true);
        }
    }
    Ok(false)
}
