//! The calls that are known by an id or a context, in the embedded store.

use super::keyspaces::Keyspaces;
use super::shared::FjallReader;
use crate::number::E164;
use crate::slot::EnvironmentSlot;
use crate::store::calls::{CallKey, CallValue, Place, contact_of, environment_of, time_of_call, time_of_id};
use crate::store::{CallChanges, KeyValue, StoreError, StoredCalls};
use crate::time::Timestamp;
use fjall::{OwnedWriteBatch, Readable};
use std::collections::HashMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

/// The size of the calls of each environment.
///
/// Commits know by how much the calls grow. What expires vanishes while the engine rewrites its files, so the sizes are
/// counted anew after each purge.
#[derive(Default)]
pub(in crate::store) struct Sizes {
    bytes: RwLock<HashMap<EnvironmentSlot, u64>>,
    /// Locked while a commit changes calls. A count locks it for its first moment, so that each commit is either part of
    /// what it counts, or added to the result.
    changing: Mutex<()>,
    /// The growth since a count began, if one is in progress.
    growth: Mutex<Option<HashMap<EnvironmentSlot, i64>>>,
}

impl Sizes {
    /// Returns a guard that is held while a commit changes calls.
    pub(in crate::store) fn begin(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the growth of a commit, while its guard is held.
    pub(in crate::store) fn add(&self, changes: &[(EnvironmentSlot, i64)]) {
        let mut bytes = self.bytes.write().unwrap_or_else(PoisonError::into_inner);
        let mut growth = self.growth.lock().unwrap_or_else(PoisonError::into_inner);
        for (environment, more) in changes {
            let held = bytes.entry(*environment).or_default();
            *held = held.saturating_add_signed(*more);
            if let Some(growth) = growth.as_mut() {
                *growth.entry(*environment).or_default() += more;
            }
        }
    }

    fn of(&self, environment: EnvironmentSlot) -> u64 {
        self.read().get(&environment).copied().unwrap_or_default()
    }

    fn read(&self) -> RwLockReadGuard<'_, HashMap<EnvironmentSlot, u64>> {
        self.bytes.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts all stored calls anew. Commits go on meanwhile.
    pub(in crate::store) fn count(&self, keyspaces: &Keyspaces) -> Result<(), StoreError> {
        let snapshot = {
            let _no_commit = self.begin();
            *self.growth.lock().unwrap_or_else(PoisonError::into_inner) = Some(HashMap::new());
            keyspaces.database.snapshot()
        };
        let counted = count(keyspaces, &snapshot);
        let _no_commit = self.begin();
        let growth = self.growth.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
        let mut counted = counted?;
        for (environment, more) in growth {
            let held: &mut u64 = counted.entry(environment).or_default();
            *held = held.saturating_add_signed(more);
        }
        *self.bytes.write().unwrap_or_else(PoisonError::into_inner) = counted;
        Ok(())
    }
}

fn count(keyspaces: &Keyspaces, snapshot: &fjall::Snapshot) -> Result<HashMap<EnvironmentSlot, u64>, StoreError> {
    let mut bytes = HashMap::new();
    for item in snapshot.iter(&keyspaces.contexts) {
        let (key, value) = item.into_inner().map_err(|error| keyspaces.failed(error))?;
        if let Some(environment) = environment_of(&key) {
            *bytes.entry(environment).or_default() += (key.len() + value.len()) as u64;
        }
    }
    Ok(bytes)
}

/// Adds changed calls to the engine's write batch.
pub(in crate::store) fn write(keyspaces: &Keyspaces, changes: &CallChanges, write: &mut OwnedWriteBatch) {
    for (keyspace, entries) in [(&keyspaces.contexts, &changes.calls), (&keyspaces.call_ids, &changes.ids)] {
        for (key, value) in entries {
            match value {
                Some(value) => write.insert(keyspace, key.as_slice(), value.as_slice()),
                None => write.remove(keyspace, key.as_slice()),
            }
        }
    }
}

/// Returns whether a change is about a call from before this time, which has expired.
pub(in crate::store) fn has_before(changes: &CallChanges, is_expired: impl Fn(Timestamp) -> bool) -> bool {
    changes.calls.iter().any(|(key, _)| time_of_call(key).is_some_and(&is_expired))
}

/// Returns whether an entry of a call has expired. Reads up to the first such entry.
pub(in crate::store) fn has_expired(
    keyspaces: &Keyspaces,
    is_expired: impl Fn(Timestamp) -> bool,
) -> Result<bool, StoreError> {
    for item in keyspaces.contexts.iter() {
        let key = item.key().map_err(|error| keyspaces.failed(error))?;
        if time_of_call(&key).is_some_and(&is_expired) {
            return Ok(true);
        }
    }
    for item in keyspaces.call_ids.iter() {
        let value = item.value().map_err(|error| keyspaces.failed(error))?;
        if time_of_id(&value).is_some_and(&is_expired) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads every entry, and fails at the first one that is invalid.
pub(in crate::store) fn check(keyspaces: &Keyspaces) -> Result<u64, StoreError> {
    let mut calls = 0;
    for item in keyspaces.contexts.iter() {
        let (key, value) = item.into_inner().map_err(|error| keyspaces.failed(error))?;
        let is_valid = CallKey::from_bytes(&key).is_some() && CallValue::from_bytes(&value).is_some();
        if !is_valid {
            return Err(keyspaces.damaged("an invalid call with an id or a context"));
        }
        calls += 1;
    }
    for item in keyspaces.call_ids.iter() {
        let value = item.value().map_err(|error| keyspaces.failed(error))?;
        Place::read_all(&value).ok_or_else(|| keyspaces.damaged("an invalid id of a call"))?;
    }
    Ok(calls)
}

impl StoredCalls for FjallReader {
    fn each(&self, prefix: &[u8], see: &mut dyn FnMut(&[u8], &[u8]) -> bool) -> Result<(), StoreError> {
        let store = self.store()?;
        for item in store.keyspaces.contexts.prefix(prefix) {
            let (key, value) = item.into_inner().map_err(|error| store.keyspaces.failed(error))?;
            if !see(&key, &value) {
                break;
            }
        }
        Ok(())
    }

    fn id(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let store = self.store()?;
        let value = store.keyspaces.call_ids.get(key).map_err(|error| store.keyspaces.failed(error))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn bytes(&self, environment: EnvironmentSlot) -> u64 {
        self.store().map_or(0, |store| store.call_sizes.of(environment))
    }

    fn page(&self, after: &[u8], bytes: usize) -> Result<Vec<KeyValue>, StoreError> {
        let store = self.store()?;
        // The iterator reads one state to its end. A purge could not remove what that state has.
        let _no_purge = store.purging.read().unwrap_or_else(PoisonError::into_inner);
        let (mut entries, mut len) = (Vec::new(), 0);
        let range = (Bound::Excluded(after), Bound::Unbounded);
        for item in store.keyspaces.contexts.range::<&[u8], _>(range) {
            let (key, value) = item.into_inner().map_err(|error| store.keyspaces.failed(error))?;
            len += key.len() + value.len();
            entries.push((key.to_vec(), value.to_vec()));
            if len >= bytes {
                break;
            }
        }
        Ok(entries)
    }

    fn contacts(&self, see: &mut dyn FnMut(EnvironmentSlot, E164)) -> Result<(), StoreError> {
        let store = self.store()?;
        // The iterator reads one state to its end. A purge could not remove what that state has.
        let _no_purge = store.purging.read().unwrap_or_else(PoisonError::into_inner);
        for item in store.keyspaces.contexts.iter() {
            let key = item.key().map_err(|error| store.keyspaces.failed(error))?;
            if let Some((environment, contact)) = contact_of(&key) {
                see(environment, contact);
            }
        }
        Ok(())
    }
}
