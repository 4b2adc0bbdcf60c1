//! Decision records in the embedded store.
//!
//! * **Erasures** remove the records of their contacts in their own batch, up to [`AT_ONCE`] in all. The same batch notes the
//!   rest, which later steps remove. Until then, readers leave out what an erasure covers.
//! * **Erasures under pseudonyms** of other nodes can match any record. Their batch notes that a sweep is due, which later
//!   steps do, also after a restart.
//! * **Expired records**, and those beyond the limit of an environment, are removed from the oldest on. Steps begin at
//!   environments in turn.
//! * **Damage.** A record that can be read and not understood is skipped. Where the engine cannot read, a step stops and
//!   rests for an hour, and a page fails. Neither fails a commit. Only `verify` and a restore help then.
//!
//! Removed keys slow a scan until the engine rewrites its tables. So the `r` key of an erased record stays without a value, and
//! scans begin at the oldest record that there can be.

use super::keyspaces::Keyspaces;
use super::shared::{FjallReader, Shared};
use super::shelves::State;
use crate::history::Register;
use crate::number::E164;
use crate::record::DecisionRecord;
use crate::slot::Scope;
use crate::store::decision_records::is_erased_until;
use crate::store::records::pseudonym::Pseudonym;
use crate::store::records::record_key::{self as keys, Header, Kept};
use crate::store::records::register::erasure_key;
use crate::store::{
    Batch, NewRecord, RecordLimits, RecordPage, RecordPlace, RecordQuery, RecordsTidied, StoreError, StoredRecord,
    StoredRecords,
};
use crate::time::Timestamp;
use fjall::{Guard, OwnedWriteBatch};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Bound;

/// The most records that the erasures of one batch remove at once, and the most that one step removes for each of its
/// reasons: some milliseconds.
const AT_ONCE: usize = RecordLimits::REMOVED_AT_ONCE;

/// Adds the records of a batch to the engine's write batch, and removes those of the contacts that it erases. Returns whether
/// records were removed.
pub(in crate::store) fn write(store: &Shared, batch: &Batch, write: &mut OwnedWriteBatch) -> bool {
    let state = &mut *store.shelves.lock();
    let mut removing = Removing { store, write, left: AT_ONCE, gone: HashSet::new() };
    let mut erased = HashMap::new();
    for (scope, contact, register) in &batch.registers {
        if let Some(until) = register.erased_until().filter(|_| scope.environment().is_some()) {
            erased.insert((*scope, *contact), until);
            removing.erase(state, *scope, *contact);
        }
    }
    let has_records = !state.kept.is_empty() || !batch.records.is_empty();
    if has_records && !batch.pseudonyms.erasures.is_empty() {
        // Also if a sweep is under way: what it has passed may match the new erasures.
        removing.write.insert(&store.keyspaces.records, keys::SWEEP, []);
    }
    let gone = removing.gone;
    add(store, state, batch, &erased, write);
    let mut answered = HashSet::new();
    for (id, at) in &batch.record_answers {
        // The last of two writes of a key in one batch holds: an erased record would come back, and a later answer count.
        if !gone.contains(id) && answered.insert(*id) && answer(store, *id, *at, write).is_err() {
            state.damaged += 1;
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
                state.damaged += 1;
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

/// Where removing the records of a contact ended.
enum Ended {
    AllRemoved,
    /// There are more, up to this time.
    Full(Timestamp),
    /// Those up to this time could not be read.
    Unreadable(Timestamp),
}

/// Removes a limited number of records in one batch.
struct Removing<'a> {
    store: &'a Shared,
    write: &'a mut OwnedWriteBatch,
    /// How many more it may remove.
    left: usize,
    /// The ids of the records that it removed.
    gone: HashSet<u128>,
}

impl Removing<'_> {
    /// Removes the records of a contact, the newest first, and notes the rest.
    fn erase(&mut self, state: &mut State, environment: Scope, contact: E164) {
        let store = self.store;
        let name = store.key.of(environment, contact);
        // Up to the erasure before, all are removed or noted. Removed keys are not scanned again.
        let before = store
            .erasure(&erasure_key(&store.key, environment, contact))
            .ok()
            .flatten()
            .and_then(Register::erased_until);
        let from = before.unwrap_or(Timestamp::from_millis(0));
        let to = match self.remove_between(environment, &name, from, Timestamp::from_millis(u64::MAX)) {
            Ended::AllRemoved => return,
            Ended::Full(to) => to,
            Ended::Unreadable(to) => {
                state.pause(environment);
                to
            }
        };
        // This replaces the note of an erasure before, whose rest is older.
        self.write.insert(&store.keyspaces.records, keys::of_rest(environment, &name), keys::rest_value(to));
    }

    /// Removes records of a contact between two times, both included, the newest first.
    fn remove_between(&mut self, environment: Scope, name: &Pseudonym, from: Timestamp, mut to: Timestamp) -> Ended {
        let records = &self.store.keyspaces.records;
        let first = keys::of_contact(environment, name, RecordPlace { at: from, id: 0 });
        let last = keys::of_contact(environment, name, RecordPlace { at: to, id: u128::MAX });
        if first > last {
            return Ended::AllRemoved;
        }
        for item in records.range(first..=last).rev() {
            let Some(place) = item.key().ok().and_then(|key| keys::read_of_contact(&key)) else {
                return Ended::Unreadable(to);
            };
            if self.left == 0 {
                return Ended::Full(place.at);
            }
            to = place.at;
            self.write.remove(records, keys::of_contact(environment, name, place));
            self.remove_erased(environment, place);
        }
        Ended::AllRemoved
    }

    /// Removes the content of a record, and the key by which its id is found.
    fn remove_erased(&mut self, environment: Scope, place: RecordPlace) {
        let records = &self.store.keyspaces.records;
        self.write.insert(records, keys::record(environment, place), []);
        self.write.remove(records, keys::of_id(place.id));
        self.left = self.left.saturating_sub(1);
        self.gone.insert(place.id);
    }
}

/// Does one step of removing: the rest of erasures, the sweep, and what has expired or is beyond the limits. None of these
/// waits for another.
pub(in crate::store) fn tidy(store: &Shared, limits: &RecordLimits, write: &mut OwnedWriteBatch) -> RecordsTidied {
    let state = &mut *store.shelves.lock();
    let mut done = RecordsTidied::default();
    // A sweep that begins anew must not be overtaken by its own next step in the same batch.
    if !complete_erasures(store, state, &mut done, write) {
        sweep(store, state, &mut done, write);
    }
    expire(store, state, limits, &mut done, write);
    done.damaged += std::mem::take(&mut state.damaged);
    done
}

/// Goes on with the erasures that are not completed. Returns whether a sweep begins anew.
fn complete_erasures(store: &Shared, state: &mut State, done: &mut RecordsTidied, write: &mut OwnedWriteBatch) -> bool {
    if state.notes.is_on() {
        return false;
    }
    let records = &store.keyspaces.records;
    let mut removing = Removing { store, write, left: AT_ONCE, gone: HashSet::new() };
    let mut notes = records.range(keys::rests_from(&keys::ERASURES));
    let (mut is_progress, mut is_sweep_new) = (false, false);
    for _ in 0..AT_ONCE {
        let Some(item) = notes.next() else { break };
        let Ok((key, value)) = item.into_inner() else {
            state.notes.begin();
            done.damaged += 1;
            break;
        };
        let (Some((environment, name)), Some(to)) = (keys::read_rest_key(&key), keys::read_rest(&value)) else {
            // A note that is damaged is replaced by a sweep, which finds everything.
            removing.write.remove(records, key);
            removing.write.insert(records, keys::SWEEP, []);
            done.damaged += 1;
            (is_progress, is_sweep_new) = (true, true);
            continue;
        };
        if state.is_paused(environment) {
            // The notes of this environment are passed in one stride.
            let Some(next) = keys::next_scope(environment) else { break };
            notes = records.range(keys::rests_from(&keys::of_rest(next, &[0; 16])));
            continue;
        }
        match removing.remove_between(environment, &name, Timestamp::from_millis(0), to) {
            Ended::AllRemoved => {
                removing.write.remove(records, key);
                is_progress = true;
            }
            Ended::Full(to) => {
                removing.write.insert(records, key, keys::rest_value(to));
                is_progress = true;
                break;
            }
            Ended::Unreadable(to) => {
                removing.write.insert(records, key, keys::rest_value(to));
                state.pause(environment);
            }
        }
    }
    done.removed += removing.gone.len() as u64;
    done.is_more |= is_progress;
    is_sweep_new
}

/// Returns whether records wait for a comparison with all erasures, which must not expire before it.
pub(in crate::store) fn is_sweep_due(store: &Shared) -> Result<bool, StoreError> {
    let keyspaces = &store.keyspaces;
    keyspaces.records.contains_key(keys::SWEEP).map_err(|error| keyspaces.failed(error))
}

/// Compares the next records with all erasures.
fn sweep(store: &Shared, state: &mut State, done: &mut RecordsTidied, write: &mut OwnedWriteBatch) {
    let records = &store.keyspaces.records;
    if state.sweep.is_on() {
        return;
    }
    let unreadable = |state: &mut State| {
        state.damaged += 1;
        state.sweep.begin();
    };
    let begin = match records.get(keys::SWEEP) {
        Ok(Some(begin)) => begin,
        Ok(None) => return,
        Err(_) => return unreadable(state),
    };
    let (first, last) = keys::all_records_after(&begin);
    let mut removing = Removing { store, write, left: AT_ONCE, gone: HashSet::new() };
    let mut next = None;
    for (seen, item) in records.range(first..last).enumerate() {
        let Ok((key, value)) = item.into_inner() else { return unreadable(state) };
        if seen >= AT_ONCE {
            next = Some(key);
            break;
        }
        let Some((environment, place)) = keys::read_record(&key) else { continue };
        let Some((header, _)) = keys::read_value(&value) else {
            done.damaged += u64::from(!value.is_empty());
            continue;
        };
        match is_erased(store, environment, place.at, &header) {
            Ok(true) => {
                remove_contact(store, environment, place, &header, removing.write);
                removing.remove_erased(environment, place);
                done.removed += 1;
            }
            Ok(false) => {}
            Err(_) => return unreadable(state),
        }
    }
    match next {
        Some(next) => write.insert(records, keys::SWEEP, &*next),
        None => write.remove(records, keys::SWEEP),
    }
    done.is_more = true;
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
    let due = in_turn.filter(|(environment, kept)| is_due(kept) && !state.is_paused(**environment));
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
            state.pause(environment);
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
        if let Some((header, _)) = keys::read_value(&value) {
            remove_contact(store, environment, place, &header, write);
        }
        write.remove(records, key);
        write.remove(records, keys::of_id(place.id));
        kept.count = kept.count.saturating_sub(1);
        *left -= 1;
    }
    *kept = Kept::NONE;
    Ok(())
}

fn remove_contact(
    store: &Shared,
    environment: Scope,
    place: RecordPlace,
    header: &Header,
    write: &mut OwnedWriteBatch,
) {
    if let Some(contact) = header.contact {
        let name = store.key.of(environment, contact);
        write.remove(&store.keyspaces.records, keys::of_contact(environment, &name, place));
    }
}

/// Returns whether an erasure covers a record.
fn is_erased(store: &Shared, environment: Scope, at: Timestamp, header: &Header) -> Result<bool, StoreError> {
    let Some(contact) = header.contact else { return Ok(false) };
    let until = store.erased_until(environment, contact)?;
    Ok(until.is_some_and(|until| is_erased_until(at, header.called_at, until)))
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
