//! Purges: removing erased and expired data from the files.
//!
//! A log-structured store only appends. Removed data is still in its journal, and in its tables until they are
//! rewritten, and the removal itself contains the key. A purge removes all data that was removed before the purge
//! began, while others keep writing:
//!
//! 1. **Delete the journals.** The engine is made to begin a new journal and to delete all older ones; see
//!    [`rotation`](super::rotation).
//! 2. **Rewrite the tables.** Each keyspace with removed or expired keys is rewritten completely, into its last level.
//!    That level keeps no record of removals. Data below the floor and data of deleted environments is left out.
//! 3. **Delete the old tables.** The engine deletes them after the next flush.
//!
//! A purge succeeds only when every journal and every table that was there before is gone, which it looks for on the disk.
//!
//! A purge can be stopped at any point, and can fail at any point. Nothing but its end is remembered, and the first purge of a
//! process does everything. Later ones do nothing where nothing was removed and nothing has expired since the last success.

use super::calls;
use super::keyspaces::{Keyspaces, Setting};
use super::rotation::{leave_journals, leave_long_journals, leave_tables};
use super::shared::Shared;
use super::{feed, records};
use crate::history::Register;
use crate::store::StoreError;
use crate::store::disk::disk_use::disk_use;
use crate::store::records::register::read_register;
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
    pub(in crate::store) fn new(store: &Arc<Shared>) -> Self {
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
            return keyspaces.set_purged_at(now).map(|()| now);
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
        // Decision records or events are still compared with erasures, which therefore stay until the next purge.
        let is_swept = !records::is_sweep_due(&store)? && !feed::is_sweep_due(&store)?;
        let floor = floor.filter(|_| is_swept);
        let due = Due::find(&store, floor)?;
        let rewritten = due.keyspaces.len();
        if rewritten > 0 {
            leave_journals(keyspaces)?;
            leave_tables(keyspaces, &due.keyspaces)?;
        }
        keyspaces.set_purged_at(now)?;
        due.finish(&store);
        if rewritten > 0 {
            leave_long_journals(keyspaces)?;
            store.call_sizes.count(keyspaces)?;
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

/// The keyspaces that a purge has to rewrite, and the removals that it covers by that.
struct Due<'a> {
    keyspaces: Vec<&'a Keyspace>,
    removals: Option<u64>,
    outbox_removals: Option<u64>,
    record_removals: Option<u64>,
    feed_removals: Option<u64>,
}

impl<'a> Due<'a> {
    /// Finds out what is due, and raises the floor.
    fn find(store: &'a Shared, floor: Option<Register>) -> Result<Self, StoreError> {
        let keyspaces = &store.keyspaces;
        // Counted before anything is looked at: what is removed from here on may wait for the next purge.
        let (is_pending, outbox_removals) = (store.removals.pending().is_some(), store.outbox_removals.pending());
        let (record_removals, feed_removals) = (store.record_removals.pending(), store.feed_removals.pending());
        let has_retired = is_pending && !keyspaces.retired.is_empty();
        let is_expired = |keyspace| floor.map_or(Ok(false), |floor| has_below(keyspaces, keyspace, floor));
        let has_calls = is_pending || is_expired(&keyspaces.registers)?;
        let has_erasures = is_pending || is_expired(&keyspaces.erasures)?;
        // A pair with a newer call can have records of calls that have expired.
        let is_before = |floor: Register| move |at| Register::floor(at).bits() < floor.bits();
        let is_known_expired = floor.map_or(Ok(false), |floor| calls::has_expired(keyspaces, is_before(floor)));
        let has_known = is_pending || is_known_expired?;
        // Expired registers count as removed until a purge has ended. Once the floor is raised, the engine may leave them out of
        // its tables at any time. Should this purge fail, only the count tells the next one that they are in older files.
        let removals = (has_calls || has_erasures || has_known).then(|| store.removals.note());
        // Only now: a compaction of the engine's own must not take away what tells that the journal has to go, too.
        if let Some(floor) = floor {
            keyspaces.floor.raise(floor);
        }
        let due = [
            (has_calls, &keyspaces.registers),
            (has_erasures, &keyspaces.erasures),
            (has_known, &keyspaces.contexts),
            (has_known, &keyspaces.call_ids),
            (has_retired, &keyspaces.statistics),
            (has_retired, &keyspaces.webhooks),
            (outbox_removals.is_some(), &keyspaces.outbox),
            (record_removals.is_some() || has_retired, &keyspaces.records),
            (feed_removals.is_some() || has_retired, &keyspaces.feed),
        ];
        let due = due.into_iter().filter(|(is_due, _)| *is_due).map(|(_, keyspace)| keyspace).collect();
        Ok(Self { keyspaces: due, removals, outbox_removals, record_removals, feed_removals })
    }

    /// Everything was done. Not called by a purge that failed at any step: the next one does it all again.
    fn finish(self, store: &Shared) {
        self.removals.inspect(|seen| store.removals.purged(*seen));
        self.outbox_removals.inspect(|seen| store.outbox_removals.purged(*seen));
        self.record_removals.inspect(|seen| store.record_removals.purged(*seen));
        self.feed_removals.inspect(|seen| store.feed_removals.purged(*seen));
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::number::E164;
    use crate::outcome::Outcome;
    use crate::slot::{AgentSlot, Scope};
    use crate::store::{Batch, EventStore, FjallStore};

    const SCOPE: u32 = 1;

    fn contact(number: u64) -> E164 {
        E164::from_code(493_000_000_000 + number).expect("a code")
    }

    fn at(hour: u64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + hour * 3600)
    }

    fn call(number: u64, hour: u64) -> (Scope, E164, Register) {
        let register = Register::call(at(hour), Outcome::Busy, AgentSlot::new(1).expect("a slot"));
        (Scope::from_bits(SCOPE).expect("24 bits"), contact(number), register)
    }

    fn erasure(number: u64, hour: u64) -> (Scope, E164, Register) {
        (Scope::from_bits(SCOPE).expect("24 bits"), contact(number), Register::erasure(at(hour)))
    }

    fn commit(store: &mut FjallStore, registers: Vec<(Scope, E164, Register)>) {
        store.commit(&Batch { registers, ..Batch::default() }).expect("committed");
    }

    /// The files of the store that hold this contact.
    fn files_with(path: &std::path::Path, number: u64) -> Vec<std::path::PathBuf> {
        let needle = &contact(number).code().to_be_bytes()[1..];
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                found.extend(files_with(&path, number));
            } else if std::fs::read(&path).expect("a file").windows(needle.len()).any(|window| window == needle) {
                found.push(path);
            }
        }
        found
    }

    /// A purge whose second step fails, since a reader looks at an earlier state for longer than a purge waits.
    fn fail(store: &FjallStore, floor: Option<Register>) {
        let keyspaces = &store.shared().keyspaces;
        let reader = keyspaces.database.snapshot();
        keyspaces.set(Setting::Place, &[]).expect("a state after the reader's");
        store.upkeep().purge(floor, at(0)).expect_err("a reader is in the way");
        drop(reader);
    }

    #[test]
    fn purge_after_one_that_failed_removes_what_that_one_had_to() {
        let place = tempfile::tempdir().expect("a directory");
        let mut store = FjallStore::open(place.path()).expect("it opens");
        commit(&mut store, vec![call(1, 1), call(2, 9)]);
        store.upkeep().purge(None, at(0)).expect("purged");
        commit(&mut store, vec![erasure(1, 2)]);
        fail(&store, None);
        assert!(!files_with(place.path(), 1).is_empty(), "it failed");
        assert!(store.upkeep().purge(None, at(0)).expect("purged").rewritten > 0);
        assert!(files_with(place.path(), 1).is_empty());
        assert!(!files_with(place.path(), 2).is_empty());
    }

    #[test]
    fn purge_after_one_that_failed_removes_what_had_expired_though_the_tables_hold_it_no_longer() {
        let place = tempfile::tempdir().expect("a directory");
        let mut store = FjallStore::open(place.path()).expect("it opens");
        store.upkeep().purge(None, at(0)).expect("purged");
        commit(&mut store, vec![call(1, 1), call(2, 9)]);
        let floor = Some(Register::floor(at(5)));
        fail(&store, floor);
        // As the engine does by itself at any time.
        store.shared().keyspaces.registers.major_compact().expect("compacted");
        assert!(!files_with(place.path(), 1).is_empty(), "the tables that were replaced are there still");
        assert!(store.upkeep().purge(floor, at(0)).expect("purged").rewritten > 0);
        assert!(files_with(place.path(), 1).is_empty());
        assert!(!files_with(place.path(), 2).is_empty());
        assert_eq!(store.upkeep().purge(floor, at(0)).expect("purged").rewritten, 0, "and then nothing is due");
    }
}
