//! What was erased and what has expired leaves the files too.
//!
//! A log-structured store only ever adds. What was removed is still in its journal, and in its tables until they are rewritten,
//! and the removal itself names the key. A purge gets rid of all that was removed before it began, while others go on writing:
//!
//! 1. **The journals go.** The engine is made to begin a new journal and to delete all older ones; see
//!    [`rotation`](super::rotation).
//! 2. **The tables go.** Each keyspace with removed or expired keys is rewritten whole, into its last level, where removals need
//!    no longer be remembered. What is below the floor is left out.
//! 3. **The engine lets go** of the old tables when the next thing is flushed.
//!
//! A purge can be stopped at any point. Nothing but its end is remembered, and the first purge of a process does everything.
//! Later ones do nothing where nothing was removed and nothing has expired.

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

/// Keeps the files of a store clean of what was erased or has expired. Does nothing once the store is gone.
#[derive(Clone)]
pub struct Upkeep {
    store: Weak<Shared>,
}

/// What a purge did.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct Purged {
    /// What the engine's files took on the disk before, in bytes.
    pub bytes_before: u64,
    /// What they take now.
    pub bytes_after: u64,
    /// Journals that there are now.
    pub journals: usize,
    /// Keyspaces that were rewritten. 0 where nothing was removed and nothing had expired since the last purge.
    pub rewritten: usize,
}

impl Upkeep {
    pub(super) fn new(store: &Arc<Shared>) -> Self {
        Self { store: Arc::downgrade(store) }
    }

    /// When the last purge ended, by the clock of whoever asked for it. Where there has been none, that is `now`, from now on.
    ///
    /// # Errors
    /// What cannot be read or written.
    pub fn purged_at(&self, now: Timestamp) -> Result<Timestamp, StoreError> {
        let Some(store) = self.store.upgrade() else { return Ok(now) };
        let keyspaces = &store.keyspaces;
        let Some(value) = keyspaces.setting(Setting::PurgedAt)? else {
            return set_purged_at(keyspaces, now).map(|()| now);
        };
        let millis = value.try_into().map_err(|_| keyspaces.damaged("the time of the last purge"))?;
        Ok(Timestamp::from_millis(u64::from_be_bytes(millis)))
    }

    /// What the engine's files take on the disk, in bytes. 0 once the store is gone.
    ///
    /// # Errors
    /// A directory that cannot be read.
    pub fn disk_use(&self) -> Result<u64, StoreError> {
        self.store.upgrade().map_or(Ok(0), |store| disk_use(store.keyspaces.path()))
    }

    /// When this has returned, nothing is in the store's files of what was erased before it was called, nor of what is below
    /// `floor`. `now` is remembered as the time of it.
    ///
    /// # Cost
    /// Where something was erased or has expired since the last purge, and the first time after the store was opened: rewriting
    /// the keyspaces that hold it, and up to 64 MB of padding. Otherwise reading the registers once. Others commit meanwhile.
    ///
    /// # Errors
    /// What the engine cannot write. What should have gone may be there still, and the next purge gets it.
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

/// How many keyspaces were rewritten.
fn purge(store: &Shared, floor: Option<Register>) -> Result<usize, StoreError> {
    let keyspaces = &store.keyspaces;
    // Counted before anything is looked at: what is removed from here on may wait for the next purge.
    let (registers, outbox) = (store.removals.pending(), store.outbox_removals.pending());
    let is_expired = |keyspace| floor.map_or(Ok(false), |floor| has_below(keyspaces, keyspace, floor));
    let is_first = registers.is_some();
    let has_calls = is_first || is_expired(&keyspaces.registers)?;
    let has_erasures = is_first || is_expired(&keyspaces.erasures)?;
    // Only now: a compaction of the engine's own must not take away what tells that the journal has to go, too.
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

/// Whether a register of this keyspace is below the floor. Reads up to the first one.
fn has_below(keyspaces: &Keyspaces, keyspace: &Keyspace, floor: Register) -> Result<bool, StoreError> {
    for item in keyspace.iter() {
        let value = item.value().map_err(|error| keyspaces.failed(error))?;
        let register = read_register(&value).ok_or_else(|| keyspaces.damaged("a register that nobody wrote"))?;
        if register.bits() < floor.bits() {
            return Ok(true);
        }
    }
    Ok(false)
}
