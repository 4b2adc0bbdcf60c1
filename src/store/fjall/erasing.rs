//! Erasures in keyspaces whose entries belong to contacts: decision records, and the feed of events.
//!
//! * **An erasure** removes the entries of its contact in its own batch, up to a budget. The same batch notes the rest, which
//!   later steps remove.
//! * **A sweep** compares all entries with all erasures. Erasures under pseudonyms of other nodes need one.
//!
//! Both keyspaces have the keys that [`record_key`](crate::store::records::record_key) describes.

use super::keyspaces::Keyspaces;
use super::shared::Shared;
use super::shelves::Faults;
use crate::history::Register;
use crate::number::E164;
use crate::slot::Scope;
use crate::store::decision_records::is_erased_until;
use crate::store::records::pseudonym::Pseudonym;
use crate::store::records::record_key as keys;
use crate::store::records::register::erasure_key;
use crate::store::{RecordLimits, RecordPlace, RecordsTidied, StoreError};
use crate::time::Timestamp;
use fjall::{Keyspace, OwnedWriteBatch};
use std::collections::HashSet;
use std::marker::PhantomData;

/// The most entries that the erasures of one batch remove at once, and the most that one step removes for each of its
/// reasons: some milliseconds.
pub(super) const AT_ONCE: usize = RecordLimits::REMOVED_AT_ONCE;

/// A keyspace whose entries belong to contacts.
pub(super) trait Shelf {
    fn keyspace(keyspaces: &Keyspaces) -> &Keyspace;

    /// Removes the content of an entry, and leaves its main key. `note` is the value of the key by which the contact's entry
    /// is found.
    fn clear(shelf: &Keyspace, environment: Scope, place: RecordPlace, note: &[u8], write: &mut OwnedWriteBatch);

    /// Reads what decides whether an erasure covers an entry.
    fn examine<'a>(key: &[u8], value: &'a [u8]) -> Examined<'a>;
}

/// The part of an entry that a sweep compares with erasures.
pub(super) enum Examined<'a> {
    /// An entry of a contact, or of none.
    Entry {
        environment: Scope,
        place: RecordPlace,
        contact: Option<E164>,
        called_at: Option<Timestamp>,
        note: &'a [u8],
    },
    /// An entry without content.
    Empty,
    Damaged,
}

/// Where removing the entries of a contact ended.
enum Ended {
    AllRemoved,
    /// There are more, up to this time.
    Full(Timestamp),
    /// Those up to this time could not be read.
    Unreadable(Timestamp),
}

/// Removes a limited number of entries in one batch.
pub(super) struct Removing<'a, S> {
    store: &'a Shared,
    pub(super) write: &'a mut OwnedWriteBatch,
    /// How many more it may remove.
    left: usize,
    /// The entries that it removed.
    pub(super) gone: HashSet<(Scope, u128)>,
    shelf: PhantomData<S>,
}

impl<'a, S: Shelf> Removing<'a, S> {
    pub(super) fn new(store: &'a Shared, write: &'a mut OwnedWriteBatch) -> Self {
        Self { store, write, left: AT_ONCE, gone: HashSet::new(), shelf: PhantomData }
    }

    fn shelf(&self) -> &'a Keyspace {
        S::keyspace(&self.store.keyspaces)
    }

    /// Removes the entries of a contact up to a time, and those after `ahead`, whose clock was wrong: the newest first. Notes the
    /// rest.
    pub(super) fn erase(
        &mut self,
        faults: &mut Faults,
        (environment, contact): (Scope, E164),
        until: Timestamp,
        ahead: Timestamp,
    ) {
        let store = self.store;
        let name = store.key.of(environment, contact);
        // Up to the erasure before, all are removed or noted. Removed keys are not scanned again.
        let before = store
            .erasure(&erasure_key(&store.key, environment, contact))
            .ok()
            .flatten()
            .and_then(Register::erased_until);
        let from = before.unwrap_or(Timestamp::from_millis(0));
        let latest = Timestamp::from_millis(u64::MAX);
        let ended = if until >= ahead {
            self.remove_between(environment, &name, from, latest)
        } else {
            match self.remove_between(environment, &name, ahead.plus_millis(1), latest) {
                Ended::AllRemoved => self.remove_between(environment, &name, from, until),
                // The rest is removed together, with what is between.
                ended => ended,
            }
        };
        let to = match ended {
            // A rest that an erasure before has noted is older, and stays noted.
            Ended::AllRemoved => return,
            Ended::Full(to) => to,
            Ended::Unreadable(to) => {
                faults.pause(environment);
                to
            }
        };
        // This replaces the note of an erasure before, whose rest is older.
        self.write.insert(self.shelf(), keys::of_rest(environment, &name), keys::rest_value(to));
    }

    /// Removes entries of a contact between two times, both included, the newest first.
    fn remove_between(&mut self, environment: Scope, name: &Pseudonym, from: Timestamp, mut to: Timestamp) -> Ended {
        let entries = self.shelf();
        let first = keys::of_contact(environment, name, RecordPlace { at: from, id: 0 });
        let last = keys::of_contact(environment, name, RecordPlace { at: to, id: u128::MAX });
        if first > last {
            return Ended::AllRemoved;
        }
        for item in entries.range(first..=last).rev() {
            let Ok((key, note)) = item.into_inner() else { return Ended::Unreadable(to) };
            let Some(place) = keys::read_of_contact(&key) else { return Ended::Unreadable(to) };
            if self.left == 0 {
                return Ended::Full(place.at);
            }
            to = place.at;
            self.write.remove(entries, keys::of_contact(environment, name, place));
            self.remove_erased(environment, place, &note);
        }
        Ended::AllRemoved
    }

    /// Removes the content of an entry.
    fn remove_erased(&mut self, environment: Scope, place: RecordPlace, note: &[u8]) {
        S::clear(self.shelf(), environment, place, note, self.write);
        self.left = self.left.saturating_sub(1);
        self.gone.insert((environment, place.id));
    }
}

/// Goes on with the erasures that are not completed, or with the sweep. Returns the entries that it removed.
pub(super) fn go_on<S: Shelf>(
    store: &Shared,
    faults: &mut Faults,
    done: &mut RecordsTidied,
    write: &mut OwnedWriteBatch,
) -> HashSet<(Scope, u128)> {
    let mut removing = Removing::<S>::new(store, write);
    // A sweep that begins anew must not be overtaken by its own next step in the same batch.
    if !complete_erasures(&mut removing, faults, done) {
        removing.left = AT_ONCE;
        sweep(&mut removing, faults, done);
    }
    done.removed += removing.gone.len() as u64;
    removing.gone
}

/// Goes on with the erasures that are not completed. Returns whether a sweep begins anew.
fn complete_erasures<S: Shelf>(removing: &mut Removing<'_, S>, faults: &mut Faults, done: &mut RecordsTidied) -> bool {
    if faults.notes.is_on() {
        return false;
    }
    let shelf = removing.shelf();
    let mut notes = shelf.range(keys::rests_from(&keys::ERASURES));
    let (mut is_progress, mut is_sweep_new) = (false, false);
    for _ in 0..AT_ONCE {
        let Some(item) = notes.next() else { break };
        let Ok((key, value)) = item.into_inner() else {
            faults.notes.begin();
            done.damaged += 1;
            break;
        };
        let (Some((environment, name)), Some(to)) = (keys::read_rest_key(&key), keys::read_rest(&value)) else {
            // A note that is damaged is replaced by a sweep, which finds everything.
            removing.write.remove(shelf, key);
            removing.write.insert(shelf, keys::SWEEP, []);
            done.damaged += 1;
            (is_progress, is_sweep_new) = (true, true);
            continue;
        };
        if faults.is_paused(environment) {
            // The notes of this environment are passed in one stride.
            let Some(next) = keys::next_scope(environment) else { break };
            notes = shelf.range(keys::rests_from(&keys::of_rest(next, &[0; 16])));
            continue;
        }
        match removing.remove_between(environment, &name, Timestamp::from_millis(0), to) {
            Ended::AllRemoved => {
                removing.write.remove(shelf, key);
                is_progress = true;
            }
            Ended::Full(to) => {
                removing.write.insert(shelf, key, keys::rest_value(to));
                is_progress = true;
                break;
            }
            Ended::Unreadable(to) => {
                removing.write.insert(shelf, key, keys::rest_value(to));
                faults.pause(environment);
            }
        }
    }
    done.is_more |= is_progress;
    is_sweep_new
}

/// Returns whether entries wait for a comparison with all erasures, which must not expire before it.
pub(super) fn is_sweep_due<S: Shelf>(store: &Shared) -> Result<bool, StoreError> {
    let keyspaces = &store.keyspaces;
    S::keyspace(keyspaces).contains_key(keys::SWEEP).map_err(|error| keyspaces.failed(error))
}

/// Compares the next entries with all erasures.
fn sweep<S: Shelf>(removing: &mut Removing<'_, S>, faults: &mut Faults, done: &mut RecordsTidied) {
    let (store, shelf) = (removing.store, removing.shelf());
    if faults.sweep.is_on() {
        return;
    }
    let unreadable = |faults: &mut Faults| {
        faults.damaged += 1;
        faults.sweep.begin();
    };
    let begin = match shelf.get(keys::SWEEP) {
        Ok(Some(begin)) => begin,
        Ok(None) => return,
        Err(_) => return unreadable(faults),
    };
    let (first, last) = keys::all_records_after(&begin);
    let mut next = None;
    for (seen, item) in shelf.range(first..last).enumerate() {
        let Ok((key, value)) = item.into_inner() else { return unreadable(faults) };
        if seen >= AT_ONCE {
            next = Some(key);
            break;
        }
        let (environment, place, contact, called_at, note) = match S::examine(&key, &value) {
            Examined::Entry { environment, place, contact, called_at, note } => {
                (environment, place, contact, called_at, note)
            }
            Examined::Empty => continue,
            Examined::Damaged => {
                done.damaged += 1;
                continue;
            }
        };
        let Some(contact) = contact else { continue };
        match is_erased(store, environment, place.at, contact, called_at) {
            Ok(true) => {
                remove_contact(store, shelf, environment, place, contact, removing.write);
                removing.remove_erased(environment, place, note);
            }
            Ok(false) => {}
            Err(_) => return unreadable(faults),
        }
    }
    match next {
        Some(next) => removing.write.insert(shelf, keys::SWEEP, &*next),
        None => removing.write.remove(shelf, keys::SWEEP),
    }
    done.is_more = true;
}

/// Removes the key by which an entry of a contact is found.
pub(super) fn remove_contact(
    store: &Shared,
    shelf: &Keyspace,
    environment: Scope,
    place: RecordPlace,
    contact: E164,
    write: &mut OwnedWriteBatch,
) {
    let name = store.key.of(environment, contact);
    write.remove(shelf, keys::of_contact(environment, &name, place));
}

/// Returns whether an erasure covers an entry of a contact.
pub(super) fn is_erased(
    store: &Shared,
    environment: Scope,
    at: Timestamp,
    contact: E164,
    called_at: Option<Timestamp>,
) -> Result<bool, StoreError> {
    let until = store.erased_until(environment, contact)?;
    Ok(until.is_some_and(|until| is_erased_until(at, called_at, until)))
}
