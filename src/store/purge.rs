//! What was erased and what has expired leaves the files too.
//!
//! A log-structured store only ever adds: what was removed is still in its journal, and in its tables until they are rewritten, and
//! the removal itself names the key. A purge gets rid of all that was removed before it began, while others go on writing:
//!
//! 1. **The journal goes.** The engine begins a new one when the present one is more than 64 MB long and something is flushed, and
//!    deletes the old one when every keyspace has flushed what it has in there. So the journal is padded to that length, and every
//!    keyspace flushed. A removal of nothing from each keyspace makes sure that there is something to flush, and that what is
//!    flushed is the newest there is, which is how the engine tells that it needs the journal no longer.
//! 2. **The tables go.** Each keyspace is rewritten whole, into its last level, where removals need no longer be remembered, and
//!    what is below the floor is left out.
//! 3. **The engine lets go** of the old tables when the next thing is flushed.
//!
//! The padding is written in pieces, so that a commit waits no longer than for one of them; the rest runs beside the commits.

use super::StoreError;
use super::fjall::Shared;
use super::keyspaces::{Keyspaces, Setting};
use crate::history::Register;
use crate::time::Timestamp;
use std::fmt;
use std::sync::{Arc, PoisonError, Weak};
use std::thread;
use std::time::Duration;

/// The length at which the engine is willing to begin a new journal.
const JOURNAL_BYTES: usize = 64_000_000;
/// How much padding is written at a time: about a millisecond's worth.
const PIECE: usize = 1 << 20;
/// Pieces after which the padding is dropped, before the engine makes a table of it.
const PIECES_KEPT: usize = 16;
/// A key that nobody writes.
const NOTHING: [u8; 1] = [0];
/// How often the journal is tried to be got rid of: others write meanwhile, and what they write may be all that is in the way.
const ATTEMPTS: usize = 4;
/// How often it is looked whether they have gone, in each attempt, and how long it is waited in between.
const LOOKS: usize = 500;
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);

/// Keeps the files of a store clean of what was erased or has expired. Does nothing once the store is gone.
#[derive(Clone)]
pub struct Upkeep {
    store: Weak<Shared>,
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

    /// When this has returned, nothing is in the store's files of what was erased before it was called, nor of what is below
    /// `floor`. `now` is remembered as the time of it. Takes as long as rewriting the store; others commit meanwhile.
    ///
    /// # Errors
    /// What the engine cannot write. What should have gone may be there still, and the next purge gets it.
    pub fn purge(&self, floor: Option<Register>, now: Timestamp) -> Result<(), StoreError> {
        let Some(store) = self.store.upgrade() else { return Ok(()) };
        let _alone = store.purging.write().unwrap_or_else(PoisonError::into_inner);
        let keyspaces = &store.keyspaces;
        if let Some(floor) = floor {
            keyspaces.floor.raise(floor);
        }
        leave_journal(keyspaces)?;
        for keyspace in keyspaces.all() {
            keyspace.major_compact().map_err(|error| keyspaces.failed(error))?;
        }
        set_purged_at(keyspaces, now)?;
        flush(keyspaces)
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

/// Makes the engine delete every journal that there is now.
fn leave_journal(keyspaces: &Keyspaces) -> Result<(), StoreError> {
    for _ in 0..ATTEMPTS {
        pad(keyspaces)?;
        flush(keyspaces)?;
        // A worker of the engine removes them, soon after it has flushed what was in the way.
        for _ in 0..LOOKS {
            // The one that is left was begun after the padding.
            if keyspaces.database.journal_count() == 1 {
                return Ok(());
            }
            thread::sleep(BETWEEN_LOOKS);
        }
    }
    Err(StoreError::Engine("it keeps a journal that it should need no longer".into()))
}

fn pad(keyspaces: &Keyspaces) -> Result<(), StoreError> {
    let piece = vec![0; PIECE];
    for written in 1..=JOURNAL_BYTES.div_ceil(PIECE) {
        keyspaces.padding.insert(NOTHING, &piece).map_err(|error| keyspaces.failed(error))?;
        if written.is_multiple_of(PIECES_KEPT) {
            keyspaces.padding.clear().map_err(|error| keyspaces.failed(error))?;
        }
    }
    keyspaces.padding.clear().map_err(|error| keyspaces.failed(error))
}

fn flush(keyspaces: &Keyspaces) -> Result<(), StoreError> {
    let mut write = keyspaces.database.batch();
    for keyspace in keyspaces.all() {
        write.remove(keyspace, NOTHING);
    }
    write.commit().map_err(|error| keyspaces.failed(error))?;
    for keyspace in keyspaces.all() {
        keyspace.rotate_memtable_and_wait().map_err(|error| keyspaces.failed(error))?;
    }
    Ok(())
}
