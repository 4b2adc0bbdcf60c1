//! The state of a fleet's node in the embedded store.

use super::keyspaces::{Keyspaces, Setting};
use super::shared::{FjallReader, Shared};
use crate::event::Configuration;
use crate::store::records::pseudonym::PseudonymKey;
use crate::store::records::register::{pseudonym_key, read_pseudonym, read_register, register_value};
use crate::store::{Batch, Entry, Pseudonyms, StoreError, StoredFleetState};
use fjall::OwnedWriteBatch;
use std::sync::PoisonError;

/// Adds the fleet state of a batch to the engine's write batch.
pub(in crate::store) fn write(store: &Shared, batch: &Batch, write: &mut OwnedWriteBatch) -> Result<(), StoreError> {
    let keyspaces = &store.keyspaces;
    for entry in &batch.outbox {
        write.insert(&keyspaces.outbox, entry.number.to_be_bytes(), entry.events.as_slice());
    }
    if let Some(published) = batch.published {
        for item in keyspaces.outbox.range(..=published.to_be_bytes()) {
            write.remove(&keyspaces.outbox, item.key().map_err(|error| keyspaces.failed(error))?);
        }
    }
    if let Some(place) = &batch.place {
        write.insert(&keyspaces.settings, Setting::Place.name(), place.as_slice());
    }
    for (environment, pseudonym, register) in &batch.pseudonyms.erasures {
        let key = pseudonym_key(*environment, pseudonym);
        if store.erasure(&key)? < Some(*register) {
            write.insert(&keyspaces.erasures, key, register_value(*register));
        }
    }
    add_keys(store, &batch.pseudonyms.keys, write);
    Ok(())
}

fn add_keys(store: &Shared, keys: &[[u8; 32]], write: &mut OwnedWriteBatch) {
    let mut held = store.foreign_keys.write().unwrap_or_else(PoisonError::into_inner);
    let before = held.len();
    for key in keys.iter().map(|key| PseudonymKey::from_bytes(*key)) {
        if key != store.key && !held.contains(&key) {
            held.push(key);
        }
    }
    if held.len() > before {
        let bytes: Vec<u8> = held.iter().flat_map(|key| *key.bytes()).collect();
        write.insert(&store.keyspaces.settings, Setting::ForeignKeys.name(), bytes);
    }
}

pub(in crate::store) fn foreign_keys(keyspaces: &Keyspaces) -> Result<Vec<PseudonymKey>, StoreError> {
    let bytes = keyspaces.setting(Setting::ForeignKeys)?.unwrap_or_default();
    let (keys, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        return Err(keyspaces.damaged("the list of other nodes' pseudonym keys has the wrong length"));
    }
    Ok(keys.iter().map(|key| PseudonymKey::from_bytes(*key)).collect())
}

impl StoredFleetState for FjallReader {
    fn outbox(&self, after: u64, bytes: usize) -> Result<Vec<Entry>, StoreError> {
        let store = self.store()?;
        let keyspaces = &store.keyspaces;
        let (mut entries, mut len) = (Vec::new(), 0);
        for item in keyspaces.outbox.range(after.saturating_add(1).to_be_bytes()..) {
            let (key, value) = item.into_inner().map_err(|error| keyspaces.failed(error))?;
            let number = key
                .as_ref()
                .try_into()
                .map_err(|_| keyspaces.damaged("the number of an outbox entry has the wrong length"))?;
            len += value.len();
            entries.push(Entry { number: u64::from_be_bytes(number), events: value.to_vec() });
            if len >= bytes {
                break;
            }
        }
        Ok(entries)
    }

    fn last_entry(&self) -> Result<u64, StoreError> {
        let store = self.store()?;
        let keyspaces = &store.keyspaces;
        let Some(last) = keyspaces.outbox.last_key_value() else { return Ok(0) };
        let key = last.key().map_err(|error| keyspaces.failed(error))?;
        let number = key
            .as_ref()
            .try_into()
            .map_err(|_| keyspaces.damaged("the number of an outbox entry has the wrong length"))?;
        Ok(u64::from_be_bytes(number))
    }

    fn place(&self) -> Result<Option<Vec<u8>>, StoreError> {
        self.store()?.keyspaces.setting(Setting::Place)
    }

    fn configuration(&self, sequence: u64) -> Result<Option<Configuration>, StoreError> {
        let store = self.store()?;
        let key = sequence.to_be_bytes();
        let item = store.keyspaces.configurations.range(key..=key).next();
        item.map(|item| store.keyspaces.read_configuration(item, sequence)).transpose()
    }

    fn erasures(&self) -> Result<Pseudonyms, StoreError> {
        let store = self.store()?;
        let keyspaces = &store.keyspaces;
        let foreign = store.foreign_keys.read().unwrap_or_else(PoisonError::into_inner);
        let keys = std::iter::once(store.key).chain(foreign.iter().copied()).map(|key| *key.bytes()).collect();
        let mut erasures = Vec::new();
        for item in keyspaces.erasures.iter() {
            let (key, value) = item.into_inner().map_err(|error| keyspaces.failed(error))?;
            let read = read_pseudonym(&key).zip(read_register(&value));
            let ((environment, pseudonym), register) = read.ok_or_else(|| keyspaces.damaged("an invalid erasure"))?;
            erasures.push((environment, pseudonym, register));
        }
        Ok(Pseudonyms { keys, erasures })
    }
}
