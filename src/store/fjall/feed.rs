//! The feeds of events in the embedded store.
//!
//! * **Numbers.** A commit numbers its events in the order of its batch. See [`feed_key`](crate::store::records::feed_key) why
//!   no number is used twice.
//! * **Bounds.** A commit that leaves an environment with too many events also removes its oldest ones, and more than it adds.
//!   Expired events are removed by steps, which begin at environments in turn.
//! * **Age.** An event is kept since its commit, by the clock that decides what expires. When it happened does not matter: its
//!   clock may have been wrong, and an event of another node may come late.
//! * **Erasures** remove the events of their contacts as [`erasing`] describes. Until then, readers leave out what an erasure
//!   covers. An erased event keeps its number.
//! * **Damage.** An event that can be read and not understood is passed without its content. Where the engine cannot read, a
//!   step stops and rests for an hour, and a page fails. Neither fails a commit.

use super::erasing::{self, AT_ONCE, Examined, Removing, Shelf, remove_contact};
use super::feeds::{Clock, State, read_one};
use super::keyspaces::Keyspaces;
use super::shared::Shared;
use crate::number::E164;
use crate::slot::Scope;
use crate::store::feed::removed_at_once;
use crate::store::records::feed_key::{self as keys, Header, Kept};
use crate::store::records::record_key;
use crate::store::{
    Batch, FeedEnds, FeedPage, FeedQuery, NewEvent, RecordLimits, RecordPlace, RecordsTidied, StoreError, StoredEvent,
    StoredFeed, event_content,
};
use crate::time::Timestamp;
use fjall::{Keyspace, OwnedWriteBatch, PersistMode};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Bound;
use std::sync::{Arc, Weak};

/// The keyspace of the events.
struct Events;

impl Shelf for Events {
    fn keyspace(keyspaces: &Keyspaces) -> &Keyspace {
        &keyspaces.feed
    }

    fn clear(feed: &Keyspace, environment: Scope, place: RecordPlace, note: &[u8], write: &mut OwnedWriteBatch) {
        if let Ok(sequence) = u64::try_from(place.id) {
            write.insert(feed, keys::event(environment, sequence), keys::erased_value(note));
        }
    }

    fn examine<'a>(key: &[u8], value: &'a [u8]) -> Examined<'a> {
        let Some((environment, sequence)) = keys::read_event(key).filter(|_| !keys::is_erased(value)) else {
            return Examined::Empty;
        };
        let Some(((header, _), note)) = keys::read_value(value).zip(keys::shell_of(value)) else {
            return Examined::Damaged;
        };
        let place = place_of(sequence, &header);
        Examined::Entry { environment, place, contact: header.contact, called_at: None, note }
    }
}

/// Returns the place of an event among those of its contact.
fn place_of(sequence: u64, header: &Header) -> RecordPlace {
    RecordPlace { at: header.known_at, id: sequence.into() }
}

/// Notes that a service begins to write events, and how many an environment may have. Durable when this returns.
pub(in crate::store) fn begin(store: &Shared, now: Timestamp, most: u64) -> Result<(), StoreError> {
    let keyspaces = &store.keyspaces;
    let mut state = store.feeds.lock();
    let seconds = u32::try_from(now.millis() / 1000).unwrap_or(u32::MAX);
    let beginning = state.beginning.saturating_add(1).max(seconds);
    let floor = state.floor.unwrap_or(keys::numbers_of(beginning).0);
    let mut write = keyspaces.database.batch().durability(Some(PersistMode::SyncAll));
    write.insert(&keyspaces.feed, keys::BEGINNING, keys::beginning_value(beginning, Some(floor)));
    if state.is_unreadable {
        // Erasures may have passed over events that were not known.
        write.insert(&keyspaces.feed, record_key::SWEEP, []);
    }
    write.commit().map_err(|error| keyspaces.failed(error))?;
    (state.beginning, state.floor, state.most, state.clock) = (beginning, Some(floor), most, Clock::Begun(now));
    store.feeds.show_beginning(beginning, floor);
    Ok(())
}

/// Adds the events of a batch to the engine's write batch, and removes those of the contacts that it erases, and the oldest
/// of environments with too many. Returns whether events were removed.
pub(in crate::store) fn write(store: &Shared, batch: &Batch, write: &mut OwnedWriteBatch) -> bool {
    let state = &mut *store.feeds.lock();
    if state.is_empty() && batch.events.is_empty() {
        return false;
    }
    let mut removing = Removing::<Events>::new(store, write);
    let mut erased = HashMap::new();
    for (scope, contact, register) in &batch.registers {
        if let Some(until) = register.erased_until().filter(|_| scope.environment().is_some()) {
            erased.insert((*scope, *contact), until);
            removing.erase(&mut state.faults, (*scope, *contact), until, state.clock.ahead());
        }
    }
    let gone = removing.gone;
    let (added, is_unsure) = add(store, state, &batch.events, &erased, write);
    if is_unsure || !batch.pseudonyms.erasures.is_empty() {
        // Also if a sweep is under way: what it has passed may match the new erasures.
        write.insert(&store.keyspaces.feed, record_key::SWEEP, []);
    }
    let count: usize = added.values().map(|added| added.count).sum();
    let left = removed_at_once(count).saturating_sub(gone.len());
    let limits = RecordLimits { expired_before: Timestamp::from_millis(0), max_per_environment: state.most };
    let mut trimming = Trimming { store, limits: &limits, gone: &gone, left, write };
    for (environment, added) in added {
        let mut kept = state.kept[&environment];
        if kept.count > state.most && !state.faults.is_paused(environment) {
            if trimming.remove_oldest(environment, &mut kept, added).is_err() {
                state.faults.pause(environment);
            }
            state.kept.insert(environment, kept);
        }
        store.feeds.show_removed(environment, kept.removed);
        state.unshown.insert(environment);
        trimming.write.insert(&store.keyspaces.feed, record_key::of_count(environment), keys::count_value(kept));
    }
    !gone.is_empty() || trimming.left < left
}

/// The events that a batch adds to an environment. They cannot be read before the batch is committed.
#[derive(Clone, Copy)]
struct Added {
    count: usize,
    /// The number of the last event before them.
    before: u64,
    /// Since when the first of them is kept.
    oldest: Timestamp,
}

/// Writes new events, except those that an erasure covers, those that are in the feed already, and those of deleted
/// environments. Returns the environments that got some, and whether an erasure may cover one that was written, because the
/// disk could not be read.
fn add(
    store: &Shared,
    state: &mut State,
    events: &[NewEvent],
    erased: &HashMap<(Scope, E164), Timestamp>,
    write: &mut OwnedWriteBatch,
) -> (BTreeMap<Scope, Added>, bool) {
    let feed = &store.keyspaces.feed;
    let (mut ids, mut added, mut is_unsure) = (HashSet::new(), BTreeMap::new(), false);
    for new in events {
        let NewEvent { environment, kind, id, contact, .. } = new;
        if id.is_some_and(|id| !ids.insert((*kind, id))) {
            continue;
        }
        match is_left_out(store, new, erased) {
            Ok(false) => {}
            Ok(true) => continue,
            // The change is acknowledged. A reader may see its event twice, and cannot read one of an erased contact.
            Err(_) => {
                state.faults.damaged += 1;
                is_unsure = true;
            }
        }
        let (clock, is_unreadable) = (state.clock, state.is_unreadable);
        let unknown = || if is_unreadable { read_one(feed, *environment).unwrap_or(Kept::UNKNOWN) } else { Kept::NONE };
        let kept = state.kept.entry(*environment).or_insert_with(unknown);
        let since = clock.since(kept, new.at);
        let sequence = kept.last.max(keys::numbers_of(state.beginning).0) + 1;
        let value = keys::event_value(new, since);
        if let Some(id) = id {
            write.insert(feed, keys::of_id(*kind, *id), keys::id_value(*environment, sequence));
        }
        if let Some((contact, shell)) = contact.zip(keys::shell_of(&value)) {
            let place = RecordPlace { at: new.known_at, id: sequence.into() };
            let name = store.key.of(*environment, contact);
            write.insert(feed, record_key::of_contact(*environment, &name, place), shell);
        }
        write.insert(feed, keys::event(*environment, sequence), value);
        let nothing = Added { count: 0, before: kept.last, oldest: since };
        let added = added.entry(*environment).or_insert(nothing);
        added.count += 1;
        let oldest = kept.oldest.min(since);
        *kept = Kept { count: kept.count + 1, last: sequence, oldest, newest: since, ..*kept };
    }
    (added, is_unsure)
}

/// Returns whether the feed has an event of this kind and id, or an erasure covers the event.
fn is_left_out(store: &Shared, new: &NewEvent, erased: &HashMap<(Scope, E164), Timestamp>) -> Result<bool, StoreError> {
    let keyspaces = &store.keyspaces;
    if keyspaces.retired.contains(new.environment) {
        return Ok(true);
    }
    if let Some(id) = new.id
        && keyspaces.feed.contains_key(keys::of_id(new.kind, id)).map_err(|error| keyspaces.failed(error))?
    {
        return Ok(true);
    }
    let Some(contact) = new.contact else { return Ok(false) };
    let before = store.erased_until(new.environment, contact)?;
    let until = before.max(erased.get(&(new.environment, contact)).copied());
    Ok(until.is_some_and(|until| new.known_at <= until))
}

/// Does one step of removing: the rest of erasures, the sweep, and what has expired or is beyond the limits.
pub(in crate::store) fn tidy(
    store: &Shared,
    now: Option<Timestamp>,
    limits: &RecordLimits,
    write: &mut OwnedWriteBatch,
) -> RecordsTidied {
    let state = &mut *store.feeds.lock();
    let mut done = RecordsTidied::default();
    if limits.max_per_environment == 0 && state.floor.take().is_some() {
        // No events are written. Those of this time are missing for a reader that has a place. The next step syncs this.
        done.is_more = true;
        write.insert(&store.keyspaces.feed, keys::BEGINNING, keys::beginning_value(state.beginning, None));
    }
    store.feeds.read_again(state, &store.keyspaces.feed);
    let corrected = now.map(|now| state.believe(now)).unwrap_or_default();
    if state.is_empty() {
        return done;
    }
    let gone = erasing::go_on::<Events>(store, &mut state.faults, &mut done, write);
    let written = expire(store, state, limits, &gone, &mut done, write);
    for environment in corrected.difference(&written) {
        write.insert(
            &store.keyspaces.feed,
            record_key::of_count(*environment),
            keys::count_value(state.kept[environment]),
        );
    }
    done.damaged += std::mem::take(&mut state.faults.damaged);
    done
}

/// Returns whether events wait for a comparison with all erasures, which must not expire before it.
pub(in crate::store) fn is_sweep_due(store: &Shared) -> Result<bool, StoreError> {
    erasing::is_sweep_due::<Events>(store)
}

/// Removes the oldest events of the environments that have too many or expired ones. Returns those whose ends it wrote.
fn expire(
    store: &Shared,
    state: &mut State,
    limits: &RecordLimits,
    gone: &HashSet<(Scope, u128)>,
    done: &mut RecordsTidied,
    write: &mut OwnedWriteBatch,
) -> BTreeSet<Scope> {
    let mut written = BTreeSet::new();
    let is_due = |kept: &Kept| kept.count > limits.max_per_environment || kept.oldest < limits.expired_before;
    let next = state.next.map_or(Bound::Unbounded, Bound::Included);
    let before = state.next.map_or(Bound::Excluded(Scope::from_bits(0).expect("24 bits")), Bound::Excluded);
    let in_turn = state.kept.range((next, Bound::Unbounded)).chain(state.kept.range((Bound::Unbounded, before)));
    let due = in_turn.filter(|(environment, kept)| is_due(kept) && !state.faults.is_paused(**environment));
    let due: Vec<Scope> = due.map(|(environment, _)| *environment).collect();
    let left = AT_ONCE.saturating_sub(gone.len());
    let mut trimming = Trimming { store, limits, gone, left, write };
    for environment in due {
        if trimming.left == 0 {
            (state.next, done.is_more) = (Some(environment), true);
            break;
        }
        let mut kept = state.kept[&environment];
        let before = trimming.left;
        let nothing = Added { count: 0, before: kept.last, oldest: Timestamp::from_millis(u64::MAX) };
        if trimming.remove_oldest(environment, &mut kept, nothing).is_err() {
            state.faults.pause(environment);
        } else {
            // A step that removed nothing would remove nothing again.
            done.is_more |= trimming.left < before && is_due(&kept);
        }
        done.removed += (before - trimming.left) as u64;
        state.kept.insert(environment, kept);
        store.feeds.show_removed(environment, kept.removed);
        // After one with very many, the next step begins with another.
        state.next = record_key::next_scope(environment);
        trimming.write.insert(&store.keyspaces.feed, record_key::of_count(environment), keys::count_value(kept));
        written.insert(environment);
    }
    written
}

/// Removes a limited number of the oldest events in one batch.
struct Trimming<'a> {
    store: &'a Shared,
    limits: &'a RecordLimits,
    /// The events that an erasure of the same batch changes. They stay until the next one, so that no key is written twice.
    gone: &'a HashSet<(Scope, u128)>,
    /// How many more it may remove.
    left: usize,
    write: &'a mut OwnedWriteBatch,
}

impl Trimming<'_> {
    /// Removes the oldest events of an environment, up to the first that stays.
    ///
    /// Fails where the engine cannot read.
    fn remove_oldest(&mut self, environment: Scope, kept: &mut Kept, added: Added) -> Result<(), fjall::Error> {
        let feed = &self.store.keyspaces.feed;
        let first = keys::event(environment, kept.removed.saturating_add(1));
        let last = keys::event(environment, added.before);
        let items = (first <= last).then(|| feed.range(first..=last));
        for item in items.into_iter().flatten() {
            let (key, value) = item.into_inner()?;
            let Some((_, sequence)) = keys::read_event(&key) else { continue };
            // A damaged one goes with those before it.
            let since = kept.since(sequence, keys::since_of(&value).unwrap_or(kept.oldest));
            let is_over = kept.count > self.limits.max_per_environment || since < self.limits.expired_before;
            if !is_over || self.left == 0 || self.gone.contains(&(environment, sequence.into())) {
                kept.oldest = since;
                return Ok(());
            }
            self.remove(environment, sequence, &value);
            kept.removed = sequence;
            kept.count = kept.count.saturating_sub(1);
            self.left -= 1;
        }
        // All before those that are added are gone. So the count is known, also if it was damaged.
        (kept.count, kept.removed) = (added.count as u64, kept.removed.max(added.before));
        kept.oldest = added.oldest;
        Ok(())
    }

    fn remove(&mut self, environment: Scope, sequence: u64, value: &[u8]) {
        let feed = &self.store.keyspaces.feed;
        self.write.remove(feed, keys::event(environment, sequence));
        if let Some(key) = keys::id_key_of(value) {
            self.write.remove(feed, key);
        }
        let header = keys::read_value(value).map(|(header, _)| header);
        if let Some((header, contact)) = header.and_then(|header| Some((header, header.contact?))) {
            let place = place_of(sequence, &header);
            remove_contact(self.store, feed, environment, place, contact, self.write);
        }
    }
}

/// Reads feeds from other threads. Fails after the store has been closed.
pub(in crate::store) struct FjallFeed(Weak<Shared>);

impl FjallFeed {
    pub(in crate::store) fn new(store: &Arc<Shared>) -> Self {
        Self(Arc::downgrade(store))
    }

    fn store(&self) -> Result<Arc<Shared>, StoreError> {
        self.0.upgrade().ok_or_else(|| StoreError::Engine("the store has been closed".into()))
    }
}

impl StoredFeed for FjallFeed {
    fn is_empty(&self) -> bool {
        self.store().is_ok_and(|store| store.feeds.is_empty())
    }

    fn ends(&self, environment: Scope) -> Option<FeedEnds> {
        let store = self.store().ok()?;
        // The key belongs to one node, and an export has it.
        Some(FeedEnds { origin: store.key.origin(environment), ..store.feeds.ends(environment) })
    }

    fn page(&self, query: &FeedQuery) -> Result<Option<FeedPage>, StoreError> {
        let store = self.store()?;
        read_page(&store, query, || store.feeds.ends(query.environment))
    }
}

/// Returns a part of a feed as [`StoredFeed::page`] does. `ends` returns where the feed begins and ends now.
fn read_page(
    store: &Shared,
    query: &FeedQuery,
    mut ends: impl FnMut() -> FeedEnds,
) -> Result<Option<FeedPage>, StoreError> {
    let FeedQuery { environment, after, kinds, limit, max_bytes } = *query;
    let max_bytes = max_bytes.min(FeedPage::MAX_BYTES);
    let FeedEnds { removed, readable, last, .. } = ends();
    let begin = if after == 0 { removed } else { after };
    let mut page = FeedPage { reached: begin, ..FeedPage::default() };
    let mut bytes = 0;
    let (first, end) = (keys::event(environment, begin.saturating_add(1)), keys::event(environment, readable));
    let items = (first <= end).then(|| store.keyspaces.feed.range(first..=end));
    for (examined, item) in items.into_iter().flatten().enumerate() {
        let is_full = page.events.len() >= limit || bytes >= max_bytes;
        if is_full || examined >= FeedPage::MAX_EXAMINED {
            page.is_more = true;
            break;
        }
        let (key, value) = item.into_inner().map_err(|error| store.keyspaces.failed(error))?;
        let Some((_, sequence)) = keys::read_event(&key) else { continue };
        page.reached = sequence;
        let Some((header, text)) = keys::read_value(&value) else { continue };
        let Some(kind) = header.kind.filter(|kind| kinds.contains(*kind)) else { continue };
        if let Some(contact) = header.contact
            && erasing::is_erased(store, environment, header.known_at, contact, None)?
        {
            continue;
        }
        bytes += value.len();
        page.events.push(StoredEvent {
            sequence,
            kind,
            at: header.at,
            id: header.id,
            content: event_content(kind, text),
        });
    }
    // A removal is noted before it is committed, so this covers all that were committed before the read.
    let removed = ends().removed;
    if after > 0 {
        return Ok((removed <= begin).then_some(page));
    }
    // A reader without a place misses nothing if the oldest events go while it reads.
    page.events.retain(|event| event.sequence > removed);
    page.reached = page.reached.max(removed);
    if page.reached == 0 {
        // Not 0, which would stand for the oldest event.
        page.reached = last;
    }
    Ok(Some(page))
}

/// Reads each event.
///
/// # Errors
/// One is not valid, or cannot be read.
pub(in crate::store) fn check(keyspaces: &Keyspaces) -> Result<(), StoreError> {
    for item in keyspaces.feed.iter() {
        let (key, value) = item.into_inner().map_err(|error| keyspaces.failed(error))?;
        if !keys::is_valid(&key, &value, |kind, text| event_content(kind, text).is_some()) {
            return Err(keyspaces.damaged("an invalid event"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{EventKind, EventKinds, EventStore, FjallStore};

    const AFTER_THE_FIRST_LOOK: u32 = 1;
    const BEFORE_THE_LAST_LOOK: u32 = 2;

    fn environment() -> Scope {
        Scope::from_bits(1).expect("24 bits")
    }

    fn answered(at: u64) -> NewEvent {
        NewEvent {
            environment: environment(),
            kind: EventKind::RouteAnswered,
            at: Timestamp::from_millis(at),
            id: Some(at.into()),
            contact: None,
            known_at: Timestamp::from_millis(at),
            text: Vec::new(),
        }
    }

    /// Commits events at these times.
    fn commit(store: &mut FjallStore, times: std::ops::RangeInclusive<u64>) {
        store.commit(&Batch { events: times.map(answered).collect(), ..Batch::default() }).expect("written");
        store.show_events();
    }

    /// The oldest events of a full feed go all the time, also while a page is read.
    #[test]
    fn reader_without_a_place_is_never_told_that_it_misses_events_and_one_with_a_place_is() {
        for moment in [AFTER_THE_FIRST_LOOK, BEFORE_THE_LAST_LOOK] {
            let directory = tempfile::tempdir().expect("a directory");
            let mut store = FjallStore::open(directory.path()).expect("it opens");
            store.begin_feed(Timestamp::from_millis(0), 10).expect("written");
            commit(&mut store, 1..=10);
            let mut next = 11;
            let mut read = |after: u64, moment: u32| {
                let shared = Arc::clone(&store.shared);
                let kinds = EventKinds::ALL;
                let query =
                    FeedQuery { environment: environment(), after, kinds, limit: usize::MAX, max_bytes: usize::MAX };
                let mut looks = 0;
                let page = read_page(&shared, &query, || {
                    let before = shared.feeds.ends(environment());
                    looks += 1;
                    if looks == moment {
                        commit(&mut store, next..=next + 4);
                        next += 5;
                    }
                    if looks == AFTER_THE_FIRST_LOOK { before } else { shared.feeds.ends(environment()) }
                });
                (page.expect("readable"), shared.feeds.ends(environment()).removed)
            };
            let (page, removed) = read(0, moment);
            let page = page.expect("it asked for no place");
            assert!(removed > 0 && page.reached >= removed, "{moment}: {page:?}");
            assert!(page.events.iter().all(|event| event.sequence > removed), "{moment}: {page:?}");
            assert_eq!(page.events.first().map(|event| event.at.millis()), Some(6), "{moment}: none is left out");
            let place = page.events[0].sequence;
            assert_eq!(read(place, BEFORE_THE_LAST_LOOK).0, None, "{moment}: it would miss events");
        }
    }
    /// A client that asks for the end, reads the state, and follows the feed from there must miss nothing.
    #[test]
    fn event_is_not_shown_before_it_is_committed_and_in_force() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut store = FjallStore::open(directory.path()).expect("it opens");
        store.begin_feed(Timestamp::from_millis(0), 10).expect("written");
        commit(&mut store, 1..=3);
        let feed = store.feed().expect("it keeps events");
        let query = |after| FeedQuery {
            environment: environment(),
            after,
            kinds: EventKinds::ALL,
            limit: usize::MAX,
            max_bytes: usize::MAX,
        };
        let before = feed.ends(environment()).expect("open");
        let batch = Batch { events: vec![answered(4)], ..Batch::default() };
        let mut engine_batch = store.shared.keyspaces.database.batch();
        write(&store.shared, &batch, &mut engine_batch);
        assert_eq!(feed.ends(environment()), Some(before), "not written yet");
        engine_batch.commit().expect("written");
        assert_eq!(feed.ends(environment()), Some(before), "not in force yet");
        assert_eq!(feed.page(&query(before.last)).expect("readable").expect("kept").events, []);
        store.show_events();
        assert_eq!(feed.page(&query(before.last)).expect("readable").expect("kept").events.len(), 1);
        drop(store);
        assert_eq!(feed.ends(environment()), None, "closed");
    }
}
