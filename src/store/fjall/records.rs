//! Decision records in the embedded store.
//!
//! * **Erasures** remove the records of their contacts as [`erasing`] describes. Until then, readers leave out what an erasure
//!   covers.
//! * **Expired records**, and those beyond the limit of an environment, are removed from the oldest on. Steps begin at
//!   environments in turn.
//! * **Damage.** A record that can be read and not understood is skipped. Where the engine cannot read, a step stops and
//!   rests for an hour, and a page fails. Neither fails a commit. Only `verify` and a restore help then.
//!
//! Removed keys slow a scan until the engine rewrites its tables. So the `r` key of an erased record stays without a value, and
//! scans begin at the oldest record that there can be.

use super::erasing::{self, AT_ONCE, Examined, Removing, Shelf, remove_contact};
use super::keyspaces::Keyspaces;
use super::shared::{FjallReader, Shared};
use super::shelves::State;
use crate::number::E164;
use crate::record::DecisionRecord;
use crate::slot::Scope;
use crate::store::records::record_key::{self as keys, Header, Kept};
use crate::store::{
    Batch, NewRecord, RecordLimits, RecordPage, RecordPlace, RecordQuery, RecordsTidied, StoreError, StoredRecord,
    StoredRecords,
};
use crate::time::Timestamp;
use fjall::{Guard, Keyspace, OwnedWriteBatch};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Bound;

/// The keyspace of the records.
struct Records;

impl Shelf for Records {
    fn keyspace(keyspaces: &Keyspaces) -> &Keyspace {
        &keyspaces.records
    }

    /// Removes also the key by which the id of the record is found.
    fn clear(records: &Keyspace, environment: Scope, place: RecordPlace, _: &[u8], write: &mut OwnedWriteBatch) {
        write.insert(records, keys::record(environment, place), []);
        write.remove(records, keys::of_id(place.id));
    }

    fn examine<'a>(key: &[u8], value: &'a [u8]) -> Examined<'a> {
        let Some((environment, place)) = keys::read_record(key).filter(|_| !value.is_empty()) else {
            return Examined::Empty;
        };
        let Some((Header { contact, called_at, .. }, _)) = keys::read_value(value) else { return Examined::Damaged };
        Examined::Entry { environment, place, contact, called_at, note: &[] }
    }
}

/// Adds the records of a batch to the engine's write batch, and removes those of the contacts that it erases. Returns whether
/// records were removed.
pub(in crate::store) fn write(store: &Shared, batch: &Batch, write: &mut OwnedWriteBatch) -> bool {
    let state = &mut *store.shelves.lock();
    let mut removing = Removing::<Records>::new(store, write);
    let mut erased = HashMap::new();
    for (scope, contact, register) in &batch.registers {
        if let Some(until) = register.erased_until().filter(|_| scope.environment().is_some()) {
            erased.insert((*scope, *contact), until);
            // Also later ones: a record may be of a call that is earlier than its decision.
            let latest = Timestamp::from_millis(u64::MAX);
            removing.erase(&mut state.faults, (*scope, *contact), latest, latest);
        }
    }
    let has_records = !state.kept.is_empty() || !batch.records.is_empty();
    if has_records && !batch.pseudonyms.erasures.is_empty() {
        // Also if a sweep is under way: what it has passed may match the new erasures.
        removing.write.insert(&store.keyspaces.records, keys::SWEEP, []);
    }
    let gone: HashSet<u128> = removing.gone.into_iter().map(|(_, id)| id).collect();
    add(store, state, batch, &erased, write);
    let mut answered = HashSet::new();
    for (id, at) in &batch.record_answers {
        // The last of two writes of a key in one batch holds: an erased record would come back, and a later answer count.
        if !gone.contains(id) && answered.insert(*id) && answer(store, *id, *at, write).is_err() {
            state.faults.damaged += 1;
        }
    }
    !gone.is_empty()
}

/// Writes the new records of a batch, except those that an erasure covers, and those of deleted environments.
fn add(
    store: &Shared,
    state: &mut State,
    batch: &Batch,
    erased: &HashMap<(Scope, E164), Timestamp>,
    write: &mut OwnedWriteBatch,
) {
    let records = &store.keyspaces.records;
    let (mut ids, mut changed) = (BTreeSet::new(), BTreeSet::new());
    for new in &batch.records {
        let NewRecord { environment, id, at, contact, .. } = new;
        match is_left_out(store, new, erased) {
            Ok(false) if !store.keyspaces.retired.contains(*environment) && ids.insert(*id) => {}
            Ok(_) => continue,
            // Without the answer, the record is left out.
            Err(_) => {
                state.faults.damaged += 1;
                continue;
            }
        }
        let place = RecordPlace { at: *at, id: *id };
        write.insert(records, keys::record(*environment, place), keys::record_value(new));
        write.insert(records, keys::of_id(*id), keys::id_value(*environment, *at));
        if let Some(contact) = contact {
            let name = store.key.of(*environment, *contact);
            write.insert(records, keys::of_contact(*environment, &name, place), []);
        }
        let kept = state.kept.entry(*environment).or_insert(Kept::UNKNOWN);
        *kept = Kept { count: kept.count + 1, oldest: kept.oldest.min(*at) };
        changed.insert(*environment);
    }
    for environment in changed {
        write.insert(records, keys::of_count(environment), keys::count_value(state.kept[&environment]));
    }
}

/// Returns whether there is a record of this id, or an erasure covers the record.
fn is_left_out(
    store: &Shared,
    new: &NewRecord,
    erased: &HashMap<(Scope, E164), Timestamp>,
) -> Result<bool, StoreError> {
    let keyspaces = &store.keyspaces;
    if keyspaces.records.contains_key(keys::of_id(new.id)).map_err(|error| keyspaces.failed(error))? {
        return Ok(true);
    }
    let Some(contact) = new.contact else { return Ok(false) };
    let before = store.erased_until(new.environment, contact)?;
    let until = before.max(erased.get(&(new.environment, contact)).copied());
    Ok(until.is_some_and(|until| new.is_erased_until(until)))
}

/// Notes when a call was answered. An answer to a decision without a record changes nothing.
fn answer(store: &Shared, id: u128, at: Timestamp, write: &mut OwnedWriteBatch) -> Result<(), fjall::Error> {
    let records = &store.keyspaces.records;
    let found = records.get(keys::of_id(id))?;
    let Some((environment, decided)) = found.and_then(|found| keys::read_id_value(&found)) else { return Ok(()) };
    let key = keys::record(environment, RecordPlace { at: decided, id });
    if let Some(value) = records.get(&key)?.and_then(|value| keys::answered_value(&value, at)) {
        write.insert(records, key, value);
    }
    Ok(())
}

/// Does one step of removing: the rest of erasures, the sweep, and what has expired or is beyond the limits. None of these
/// waits for another.
pub(in crate::store) fn tidy(store: &Shared, limits: &RecordLimits, write: &mut OwnedWriteBatch) -> RecordsTidied {
    let state = &mut *store.shelves.lock();
    let mut done = RecordsTidied::default();
    erasing::go_on::<Records>(store, &mut state.faults, &mut done, write);
    expire(store, state, limits, &mut done, write);
    done.damaged += std::mem::take(&mut state.faults.damaged);
    done
}

/// Returns whether records wait for a comparison with all erasures, which must not expire before it.
pub(in crate::store) fn is_sweep_due(store: &Shared) -> Result<bool, StoreError> {
    erasing::is_sweep_due::<Records>(store)
}

/// Removes the oldest records of the environments that have too many or expired ones.
fn expire(
    store: &Shared,
    state: &mut State,
    limits: &RecordLimits,
    done: &mut RecordsTidied,
    write: &mut OwnedWriteBatch,
) {
    let is_due = |kept: &Kept| kept.count > limits.max_per_environment || kept.oldest < limits.expired_before;
    let next = state.next.map_or(Bound::Unbounded, Bound::Included);
    let before = state.next.map_or(Bound::Excluded(Scope::from_bits(0).expect("24 bits")), Bound::Excluded);
    let in_turn = state.kept.range((next, Bound::Unbounded)).chain(state.kept.range((Bound::Unbounded, before)));
    let due = in_turn.filter(|(environment, kept)| is_due(kept) && !state.faults.is_paused(**environment));
    let due: Vec<Scope> = due.map(|(environment, _)| *environment).collect();
    let mut left = AT_ONCE;
    for environment in due {
        if left == 0 {
            (state.next, done.is_more) = (Some(environment), true);
            break;
        }
        let mut kept = state.kept[&environment];
        let before = left;
        if remove_oldest(store, environment, limits, &mut kept, &mut left, write).is_err() {
            state.faults.pause(environment);
        } else {
            done.is_more |= is_due(&kept);
        }
        done.removed += (before - left) as u64;
        state.kept.insert(environment, kept);
        // After one with very many, the next step begins with another.
        state.next = keys::next_scope(environment);
        write.insert(&store.keyspaces.records, keys::of_count(environment), keys::count_value(kept));
    }
}

/// Removes the oldest records of an environment, up to the number that the step has left. Fails where the engine cannot read.
fn remove_oldest(
    store: &Shared,
    environment: Scope,
    limits: &RecordLimits,
    kept: &mut Kept,
    left: &mut usize,
    write: &mut OwnedWriteBatch,
) -> Result<(), fjall::Error> {
    let records = &store.keyspaces.records;
    let (first, last) = keys::records_since(environment, kept.oldest);
    for item in records.range(first..=last) {
        let (key, value) = item.into_inner()?;
        let Some((_, place)) = keys::read_record(&key) else { continue };
        kept.oldest = place.at;
        if place.at >= limits.expired_before && kept.count <= limits.max_per_environment || *left == 0 {
            return Ok(());
        }
        if let Some(contact) = keys::read_value(&value).and_then(|(header, _)| header.contact) {
            remove_contact(store, records, environment, place, contact, write);
        }
        write.remove(records, key);
        write.remove(records, keys::of_id(place.id));
        kept.count = kept.count.saturating_sub(1);
        *left -= 1;
    }
    *kept = Kept::NONE;
    Ok(())
}

/// Returns whether an erasure covers a record.
fn is_erased(store: &Shared, environment: Scope, at: Timestamp, header: &Header) -> Result<bool, StoreError> {
    let Some(contact) = header.contact else { return Ok(false) };
    erasing::is_erased(store, environment, at, contact, header.called_at)
}

impl StoredRecords for FjallReader {
    fn is_empty(&self) -> bool {
        self.store().is_ok_and(|store| store.shelves.is_empty())
    }

    fn find(&self, id: u128) -> Result<Option<StoredRecord>, StoreError> {
        let store = self.store()?;
        let keyspaces = &store.keyspaces;
        let found = keyspaces.records.get(keys::of_id(id)).map_err(|error| keyspaces.failed(error))?;
        let Some(found) = found else { return Ok(None) };
        let found = keys::read_id_value(&found).ok_or_else(|| keyspaces.damaged("an invalid place of a record"))?;
        let (environment, at) = found;
        stored(&store, environment, RecordPlace { at, id }).map(|(record, _)| record)
    }

    fn page(&self, query: &RecordQuery) -> Result<RecordPage, StoreError> {
        let store = self.store()?;
        let RecordQuery { environment, contact, since, before } = *query;
        let mut since = since.max(store.shelves.oldest(environment));
        let records = &store.keyspaces.records;
        let (name, range) = match contact {
            Some(contact) => {
                // An erasure has removed everything up to its time. Removed keys are not scanned again.
                let until = store.erased_until(environment, contact)?;
                since = until.map_or(since, |until| since.max(until.plus_millis(1)));
                let name = store.key.of(environment, contact);
                let first = keys::of_contact(environment, &name, RecordPlace { at: since, id: 0 });
                (Some(name), first..keys::of_contact(environment, &name, before))
            }
            None => {
                (None, keys::record(environment, RecordPlace { at: since, id: 0 })..keys::record(environment, before))
            }
        };
        let mut page = RecordPage::default();
        if range.is_empty() {
            return Ok(page);
        }
        let mut reached = before;
        for (examined, item) in records.range(range).rev().enumerate() {
            if examined >= RecordPage::MAX_EXAMINED || page.bytes >= RecordPage::MAX_BYTES {
                page.rest = Some(reached);
                break;
            }
            let place = place_of(item, name.is_some()).map_err(|error| store.keyspaces.failed(error))?;
            let Some(place) = place else { continue };
            reached = place;
            let (record, bytes) = stored(&store, environment, place)?;
            page.bytes += bytes;
            page.records.extend(record);
        }
        Ok(page)
    }
}

fn place_of(item: Guard, is_by_contact: bool) -> Result<Option<RecordPlace>, fjall::Error> {
    let key = item.key()?;
    Ok(if is_by_contact { keys::read_of_contact(&key) } else { keys::read_record(&key).map(|(_, place)| place) })
}

/// Returns the record at a place, unless it is erased, and the number of bytes read.
fn stored(store: &Shared, environment: Scope, place: RecordPlace) -> Result<(Option<StoredRecord>, usize), StoreError> {
    let keyspaces = &store.keyspaces;
    let value = keyspaces.records.get(keys::record(environment, place)).map_err(|error| keyspaces.failed(error))?;
    let Some(value) = value.filter(|value| !value.is_empty()) else { return Ok((None, 0)) };
    let (answered, content) = match keys::read_value(&value) {
        Some((header, _)) if is_erased(store, environment, place.at, &header)? => return Ok((None, value.len())),
        Some((header, text)) => (header.answered, serde_json::from_slice::<DecisionRecord>(text).ok()),
        None => (None, None),
    };
    Ok((Some(StoredRecord { place, environment, answered, content }), value.len()))
}

/// Reads each record.
///
/// # Errors
/// One is not valid, or cannot be read.
pub(in crate::store) fn check(keyspaces: &Keyspaces) -> Result<(), StoreError> {
    for item in keyspaces.records.iter() {
        let (key, value) = item.into_inner().map_err(|error| keyspaces.failed(error))?;
        if !keys::is_valid(&key, &value, |text| serde_json::from_slice::<DecisionRecord>(text).is_ok()) {
            return Err(keyspaces.damaged("an invalid record of a routed call"));
        }
    }
    Ok(())
}
