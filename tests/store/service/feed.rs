//! The feeds of events: order, restarts, limits, expiry, erasures, damage.

use super::*;
use crate::support::disk_search::DiskSearch;
use dialback::history::Register;
use dialback::service::{FeedSettings, RecordSettings};
use dialback::slot::{EnvironmentSlot, Scope};
use dialback::store::{
    EventContent, EventKind, EventKinds, FeedCall, FeedEnds, FeedPage, FeedQuery, MemoryStore, NewEvent, Pseudonyms,
    RecordLimits, RecordsTidied, StoredEvent, pseudonym_of,
};
use dialback::{Actor, CallId, Details, E164, RecordedDoor, Timestamp};

const AT_ONCE: u64 = RecordLimits::REMOVED_AT_ONCE as u64;
const NO_LIMITS: RecordLimits =
    RecordLimits { expired_before: Timestamp::from_millis(0), max_per_environment: 1_000_000 };

fn environment(place: usize) -> Scope {
    Scope::from(EnvironmentSlot::new(place).expect("a slot"))
}

fn contact(number: u64) -> E164 {
    E164::from_code(493_000_000_000 + number).expect("a code")
}

fn after(millis: u64) -> Timestamp {
    START.plus_millis(millis)
}

fn content(caller: u64, millis: u64) -> FeedCall {
    FeedCall {
        agent: Agent(0).id(),
        from: Dialed(0).number(),
        to: contact(caller),
        at: after(millis),
        outcome: Outcome::Busy,
        call_id: None,
    }
}

/// Returns the event of a call that was placed so many milliseconds after the start.
fn new(caller: u64, millis: u64) -> NewEvent {
    NewEvent {
        environment: environment(0),
        kind: EventKind::CallRecorded,
        at: after(millis),
        id: None,
        contact: Some(contact(caller)),
        known_at: after(millis),
        text: serde_json::to_vec(&content(caller, millis)).expect("JSON"),
    }
}

/// Returns the event of an answer, which has no contact.
fn answer(id: u128, millis: u64) -> NewEvent {
    NewEvent { kind: EventKind::RouteAnswered, id: Some(id), contact: None, text: Vec::new(), ..new(0, millis) }
}

fn write(store: &mut FjallStore, events: Vec<NewEvent>) {
    store.commit(&Batch { events, can_wait: true, ..Batch::default() }).expect("written");
}

fn erase_contact(store: &mut FjallStore, caller: u64, until: Timestamp) {
    let registers = vec![(environment(0), contact(caller), Register::erasure(until))];
    store.commit(&Batch { registers, ..Batch::default() }).expect("written");
}

fn query(after: u64) -> FeedQuery {
    FeedQuery { environment: environment(0), after, kinds: EventKinds::ALL, limit: usize::MAX, max_bytes: usize::MAX }
}

fn page(store: &FjallStore, query: &FeedQuery) -> Option<FeedPage> {
    store.show_events();
    store.feed().expect("it keeps events").page(query).expect("readable")
}

fn ends(store: &FjallStore) -> FeedEnds {
    store.show_events();
    store.feed().expect("it keeps events").ends(environment(0)).expect("the store is open")
}

/// Returns all events after a number, in their order, read in parts of this many.
fn events_after(store: &FjallStore, after: u64, limit: usize) -> Vec<StoredEvent> {
    let (mut events, mut query) = (Vec::new(), FeedQuery { limit, ..query(after) });
    loop {
        let FeedPage { events: more, reached, is_more } = page(store, &query).expect("nothing was removed");
        events.extend(more);
        assert!(!is_more || reached > query.after, "it goes on");
        query.after = reached;
        if !is_more {
            assert!(events.is_sorted_by(|one, next| one.sequence < next.sequence), "in their order, each once");
            return events;
        }
    }
}

/// Returns when the events of the feed happened, in their order.
fn times(store: &FjallStore) -> Vec<u64> {
    events_after(store, 0, 7).into_iter().map(|event| event.at.millis() - START.millis()).collect()
}

fn place() -> (tempfile::TempDir, FjallStore) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = reopened(directory.path(), u64::MAX);
    (directory, store)
}

/// Opens the store as a service does that keeps so many events.
fn reopened(path: &Path, most: u64) -> FjallStore {
    let mut store = FjallStore::open(path).expect("it opens");
    store.begin_feed(START, most).expect("written");
    store
}

fn tidy_all(store: &mut FjallStore, limits: RecordLimits) -> u64 {
    let (mut removed, mut steps) = (0, 0);
    loop {
        let tidied = store.tidy_feed(None, &limits).expect("written");
        assert!(tidied.removed <= AT_ONCE, "a step is short");
        removed += tidied.removed;
        steps += 1;
        if !tidied.is_more {
            return removed;
        }
        assert!(steps < 1000, "it ends");
    }
}

#[test]
fn events_are_read_in_their_order_from_any_place_also_after_a_restart() {
    let (directory, mut store) = place();
    // The place of an empty feed is not its oldest event: it goes on from there.
    let begin = ends(&store).last;
    assert!(begin > 0);
    assert_eq!(page(&store, &query(0)), Some(FeedPage { reached: begin, ..FeedPage::default() }));
    write(&mut store, (1..=50).map(|at| new(at % 3, at)).collect());
    let other = NewEvent { environment: environment(1), ..new(1, 999) };
    write(&mut store, vec![other]);
    let first = events_after(&store, 0, 1000);
    assert_eq!(events_after(&store, begin, 1000), first);
    assert_eq!(first[3].content, Some(EventContent::Called(content(1, 4))));
    let numbers: Vec<u64> = first.iter().map(|event| event.sequence).collect();
    drop(store);
    let mut store = reopened(directory.path(), u64::MAX);
    write(&mut store, (51..=100).map(|at| new(at % 3, at)).collect());
    assert_eq!(times(&store), (1..=100).collect::<Vec<_>>());
    for (place, number) in numbers.iter().enumerate() {
        let rest = events_after(&store, *number, 13);
        assert_eq!((rest.len(), rest[0].at), (99 - place, after(place as u64 + 2)));
    }
    let last = ends(&store).last;
    assert_eq!(page(&store, &query(last)), Some(FeedPage { reached: last, ..FeedPage::default() }));
    let short = FeedQuery { max_bytes: 1000, ..query(0) };
    let page_of = page(&store, &short).expect("nothing was removed");
    assert!(page_of.is_more && (1..100).contains(&page_of.events.len()), "{}", page_of.events.len());
    // Other kinds are passed, and the place moves on.
    let answers = FeedQuery { kinds: EventKinds::NONE.with(EventKind::RouteAnswered), ..query(0) };
    assert_eq!(page(&store, &answers), Some(FeedPage { reached: last, ..FeedPage::default() }));
}

#[test]
fn event_of_the_same_decision_is_kept_once() {
    let (directory, mut store) = place();
    write(&mut store, vec![answer(1, 1), answer(2, 2), answer(1, 3)]);
    drop(store);
    let mut store = reopened(directory.path(), u64::MAX);
    write(&mut store, vec![answer(2, 4), answer(3, 5)]);
    assert_eq!(times(&store), [1, 2, 5]);
    assert_eq!(events_after(&store, 0, 9)[2].content, Some(EventContent::Answered));
    // An event that has left the feed can come again.
    tidy_all(&mut store, RecordLimits { expired_before: after(3), ..NO_LIMITS });
    write(&mut store, vec![answer(1, 6), answer(3, 7)]);
    assert_eq!(times(&store), [5, 6]);
}

/// A power failure loses commits that were not synced, and a restored backup those after the backup. A reader may have seen
/// their events.
#[test]
fn no_number_is_used_twice_after_a_crash_or_a_restored_backup() {
    let (directory, mut store) = place();
    write(&mut store, vec![new(1, 1)]);
    drop(store);
    let backup = contents(directory.path());
    let mut store = reopened(directory.path(), u64::MAX);
    write(&mut store, (2..=40).map(|at| new(1, at)).collect());
    let seen = ends(&store).last;
    drop(store);
    let restored = tempfile::tempdir().expect("a directory");
    write_all(restored.path(), &backup);
    // Since then, more seconds have passed than there were starts.
    let mut store = FjallStore::open(restored.path()).expect("it opens");
    store.begin_feed(after(5000), u64::MAX).expect("written");
    assert!(ends(&store).highest > seen, "the reader's place is one that this feed can go on from");
    write(&mut store, vec![new(1, 41)]);
    assert_eq!(events_after(&store, seen, 9).len(), 1);
    // A clock that is behind changes nothing.
    let last = ends(&store).last;
    drop(store);
    let mut store = FjallStore::open(restored.path()).expect("it opens");
    store.begin_feed(Timestamp::from_millis(0), u64::MAX).expect("written");
    write(&mut store, vec![new(1, 42)]);
    assert_eq!(events_after(&store, last, 9).len(), 1);
}

#[test]
fn oldest_events_beyond_the_limit_are_removed_with_each_commit_and_their_readers_are_told() {
    let (directory, store) = place();
    drop(store);
    let mut store = reopened(directory.path(), 100);
    write(&mut store, (1..=60).map(|at| new(1, at)).collect());
    let reached = events_after(&store, 0, 1000)[9].sequence;
    let beginning = ends(&store);
    for step in 0..20 {
        write(&mut store, (1..=60).map(|at| new(1, 60 + step * 60 + at)).collect());
        assert!(times(&store).len() <= 160, "at most one batch too many");
    }
    write(&mut store, vec![new(1, 1261)]);
    assert_eq!(times(&store), (1162..=1261).collect::<Vec<_>>());
    assert_eq!(page(&store, &query(reached)), None, "it would miss events");
    assert!(ends(&store).removed > reached && beginning.removed < reached);
    // From the end of what was removed, nothing is missed.
    let rest = events_after(&store, ends(&store).removed, 9);
    assert_eq!(rest.len(), 100);
    // Fewer are kept after a restart, and the removed ones leave nothing behind.
    drop(store);
    let mut store = reopened(directory.path(), 100);
    assert_eq!(tidy_all(&mut store, RecordLimits { max_per_environment: 5, ..NO_LIMITS }), 95);
    assert_eq!(times(&store), (1257..=1261).collect::<Vec<_>>());
    assert_eq!(tidy_all(&mut store, RecordLimits { max_per_environment: 0, ..NO_LIMITS }), 5);
    assert_eq!((times(&store).len(), ends(&store).removed), (0, ends(&store).last));
    store.upkeep().purge(None, START).expect("purged");
    assert_eq!(DiskSearch::new([contact(1)]).numbers(directory.path()), [].into());
}

#[test]
fn number_of_events_stays_bounded_under_load_and_environments_take_turns() {
    let (directory, store) = place();
    drop(store);
    let mut store = reopened(directory.path(), u64::MAX);
    let (flooded, other) = (environment(1), environment(0));
    write(&mut store, (0..4 * AT_ONCE).map(|at| NewEvent { environment: flooded, ..new(1, at) }).collect());
    write(&mut store, (0..110).map(|at| new(1, at)).collect());
    let limits = RecordLimits { max_per_environment: 100, ..NO_LIMITS };
    for _ in 0..2 {
        assert!(store.tidy_feed(None, &limits).expect("written").is_more);
    }
    let count = |store: &FjallStore, environment| {
        page(store, &FeedQuery { environment, ..query(0) }).expect("nothing is missed").events.len()
    };
    assert_eq!(count(&store, other), 100, "it does not wait until the other one is done");
    drop(store);
    let mut store = reopened(directory.path(), 100);
    for batch in 0..6_u64 {
        let at = |place: u64| NewEvent { environment: flooded, ..new(1, 100_000 + batch * 3000 + place) };
        write(&mut store, (0..3000).map(at).collect());
    }
    write(&mut store, vec![NewEvent { environment: flooded, ..new(1, 200_000) }]);
    write(&mut store, vec![NewEvent { environment: flooded, ..new(1, 200_001) }]);
    assert_eq!(count(&store, flooded), 100);
}

#[test]
fn expired_events_are_removed_and_one_dated_ahead_keeps_no_others() {
    let (_directory, mut store) = place();
    write(&mut store, (1..=20).map(|at| new(1, at)).collect());
    assert_eq!(tidy_all(&mut store, RecordLimits { expired_before: after(11), ..NO_LIMITS }), 10);
    assert_eq!(times(&store), (11..=20).collect::<Vec<_>>());
    assert_eq!(tidy_all(&mut store, RecordLimits { expired_before: after(11), ..NO_LIMITS }), 0);
    write(&mut store, vec![new(1, 1 << 40), new(1, 30)]);
    store.tidy_feed(Some(after(31)), &NO_LIMITS).expect("written");
    write(&mut store, vec![new(1, 40)]);
    tidy_all(&mut store, RecordLimits { expired_before: after(31), ..NO_LIMITS });
    assert_eq!(times(&store), [1 << 40, 30, 40], "they were there at 31");
    tidy_all(&mut store, RecordLimits { expired_before: after(32), ..NO_LIMITS });
    assert!(times(&store).is_empty(), "events are kept since they are written");
}

/// A clock that was ahead for some time must not keep its events, and those after them, until its time comes.
#[test]
fn events_expire_in_their_time_after_the_clock_was_ahead_however_many_there_are() {
    const AHEAD: u64 = 1 << 40;
    for many in [1, 65, 3000] {
        let (directory, mut store) = place();
        write(&mut store, (0..many).map(|at| new(1, AHEAD + at)).collect());
        // The clock is corrected. One that is slightly behind later corrects nothing.
        for now in [10, 9] {
            store.tidy_feed(Some(after(now)), &NO_LIMITS).expect("written");
        }
        drop(store);
        let mut store = reopened(directory.path(), u64::MAX);
        store.tidy_feed(Some(after(20)), &NO_LIMITS).expect("written");
        write(&mut store, (0..10).map(|at| new(1, 20 + at)).collect());
        assert_eq!(tidy_all(&mut store, RecordLimits { expired_before: after(10), ..NO_LIMITS }), 0, "{many}");
        assert_eq!(tidy_all(&mut store, RecordLimits { expired_before: after(11), ..NO_LIMITS }), many, "{many}");
        assert_eq!(tidy_all(&mut store, RecordLimits { expired_before: after(21), ..NO_LIMITS }), 10, "{many}");
    }
}

/// A configuration of another node has the time of that node, and can come late.
#[test]
fn event_that_is_dated_long_ago_takes_no_newer_ones_with_it() {
    let (_directory, mut store) = place();
    store.tidy_feed(Some(after(1000)), &NO_LIMITS).expect("written");
    let old = NewEvent { at: Timestamp::from_millis(0), contact: None, ..answer(1, 0) };
    let calls = || (1..=60).map(|at| new(1, 1000 + at));
    write(&mut store, calls().chain([old]).chain(calls()).collect());
    assert_eq!(tidy_all(&mut store, RecordLimits { expired_before: after(1000), ..NO_LIMITS }), 0);
    assert_eq!(events_after(&store, 0, 1000).len(), 121);
}

/// Ends that cannot be understood are looked for among the events.
#[test]
fn events_of_an_idle_environment_whose_ends_are_damaged_expire_and_are_counted() {
    let (directory, mut store) = place();
    write(&mut store, (1..=5000).map(|at| new(1, at)).collect());
    for expired in [true, false] {
        drop(store);
        let database = fjall::Database::builder(directory.path().join("store")).open().expect("it opens");
        let feed = database.keyspace("feed", fjall::KeyspaceCreateOptions::default).expect("it is there");
        let counts: Vec<_> = feed.prefix("n").map(|item| item.key().expect("readable")).collect();
        feed.insert(&*counts[0], [1]).expect("written");
        drop((feed, database));
        store = reopened(directory.path(), u64::MAX);
        let limits = if expired {
            RecordLimits { expired_before: after(1001), ..NO_LIMITS }
        } else {
            RecordLimits { max_per_environment: 10, ..NO_LIMITS }
        };
        assert_eq!(tidy_all(&mut store, limits), if expired { 1000 } else { 3990 });
    }
    assert_eq!(times(&store), (4991..=5000).collect::<Vec<_>>());
}

/// A call after an erasure can be committed before it, if the erasure comes from another node.
#[test]
fn erasure_leaves_the_events_that_it_does_not_cover() {
    let (directory, mut store) = place();
    store.tidy_feed(Some(after(50)), &NO_LIMITS).expect("written");
    // The last one is dated by a clock that was wrong: no call is later than its erasure by so much.
    write(&mut store, vec![new(1, 39), new(1, 50), new(1, 40), new(1, 41), new(1, 1 << 40)]);
    erase_contact(&mut store, 1, after(40));
    assert_eq!(times(&store), [50, 41]);
    store.upkeep().purge(None, START).expect("purged");
    drop(store);
    let mut store = reopened(directory.path(), u64::MAX);
    store.tidy_feed(Some(after(50)), &NO_LIMITS).expect("written");
    assert_eq!(times(&store), [50, 41]);
    erase_contact(&mut store, 1, after(45));
    assert_eq!(times(&store), [50]);
    erase_contact(&mut store, 1, after(60));
    assert!(times(&store).is_empty());
    store.upkeep().purge(None, START).expect("purged");
    assert_eq!(DiskSearch::new([contact(1)]).numbers(directory.path()), [].into());
}

/// A reader with a place must be told that it misses events, also of a time at which none were written.
#[test]
fn place_of_another_directory_or_of_before_a_time_without_a_feed_is_not_valid_any_more() {
    let (directory, mut store) = place();
    write(&mut store, vec![new(1, 1), new(1, 2)]);
    let reached = ends(&store).last;
    drop(store);
    // A start alone changes nothing.
    let mut store = reopened(directory.path(), u64::MAX);
    assert!(page(&store, &query(reached)).is_some());
    // Without a feed, all events are removed.
    let off = RecordLimits { expired_before: Timestamp::from_millis(u64::MAX), max_per_environment: 0 };
    assert_eq!(tidy_all(&mut store, off), 2);
    drop(store);
    let store = reopened(directory.path(), u64::MAX);
    assert_eq!(page(&store, &query(reached)), None, "events of meanwhile are missing");
    assert!(ends(&store).removed > reached);
    let begin = page(&store, &query(0)).expect("it asked for no place").reached;
    assert!(page(&store, &query(begin)).is_some());
    // A directory made from an export, or of a format without events, has a feed of its own.
    let (_directory, mut store) = place();
    write(&mut store, vec![new(1, 1)]);
    assert_eq!(page(&store, &query(reached.min(ends(&store).removed - 1))), None);
}

/// Erased events keep their numbers until they expire. They must not hide the expired ones after them.
#[test]
fn expired_events_behind_erased_ones_are_removed_and_erased_ones_expire_in_their_time() {
    for erased in [64, 65, 100] {
        let (_directory, mut store) = place();
        write(&mut store, (1..=erased).map(|at| new(1, at)).collect());
        write(&mut store, (erased + 1..=erased + 10).map(|at| new(2, at)).collect());
        erase_contact(&mut store, 1, after(erased));
        let limits = |at| RecordLimits { expired_before: after(at), ..NO_LIMITS };
        assert_eq!(tidy_all(&mut store, limits(11)), 10, "{erased}");
        assert_eq!(tidy_all(&mut store, limits(erased + 6)), erased - 5, "{erased}");
        assert_eq!(times(&store), (erased + 6..=erased + 10).collect::<Vec<_>>(), "{erased}");
        assert_eq!(store.tidy_feed(None, &limits(erased + 6)).expect("written"), RecordsTidied::default());
    }
}

#[test]
fn erasure_removes_all_events_of_the_contact_and_keeps_the_numbers_of_the_others() {
    let (directory, mut store) = place();
    write(&mut store, (1..=20).map(|at| new(at % 2, at)).collect());
    let before = events_after(&store, 0, 9);
    // In one batch: an erasure, an event that it covers, and one of a later call.
    let registers = vec![(environment(0), contact(1), Register::erasure(after(30)))];
    let events = vec![new(1, 30), new(1, 31), new(0, 32)];
    store.commit(&Batch { registers, events, ..Batch::default() }).expect("written");
    let expected: Vec<u64> = (1..=20).filter(|at| at % 2 == 0).chain([31, 32]).collect();
    assert_eq!(times(&store), expected);
    write(&mut store, vec![new(1, 29)]);
    drop(store);
    let mut store = reopened(directory.path(), u64::MAX);
    write(&mut store, vec![new(1, 30)]);
    assert_eq!(times(&store), expected, "late ones are left out");
    assert_eq!(events_after(&store, before[0].sequence, 9)[0].sequence, before[1].sequence);
    erase_contact(&mut store, 1, after(40));
    assert_eq!(times(&store), expected.into_iter().filter(|at| *at != 31).collect::<Vec<_>>());
    store.upkeep().purge(None, START).expect("purged");
    let search = DiskSearch::new([contact(0), contact(1)]);
    assert_eq!(search.numbers(directory.path()), [contact(0)].into());
    // The rest of erased events leaves with the others.
    tidy_all(&mut store, RecordLimits { max_per_environment: 0, ..NO_LIMITS });
    assert!(times(&store).is_empty());
    drop(store);
    let database = fjall::Database::builder(directory.path().join("store")).open().expect("it opens");
    let feed = database.keyspace("feed", fjall::KeyspaceCreateOptions::default).expect("it is there");
    let keys: Vec<_> = feed.iter().map(|item| item.key().expect("readable")[0]).collect();
    assert_eq!(keys, *b"bn", "the beginning and the ends");
}

#[test]
fn large_erasure_is_at_once_invisible_and_is_completed_in_short_steps_after_a_restart() {
    let (directory, mut store) = place();
    write(&mut store, (1..=4500).map(|at| new(1, at)).collect());
    write(&mut store, vec![new(2, 4501)]);
    erase_contact(&mut store, 1, after(5000));
    assert_eq!(times(&store), [4501]);
    drop(store);
    let mut store = reopened(directory.path(), u64::MAX);
    assert_eq!(tidy_all(&mut store, NO_LIMITS), 4500 - AT_ONCE);
    assert_eq!(times(&store), [4501]);
    store.upkeep().purge(None, START).expect("purged");
    let search = DiskSearch::new([contact(1), contact(2)]);
    assert_eq!(search.numbers(directory.path()), [contact(2)].into());
    // Expiry and an erasure in one step write no key twice.
    write(&mut store, (4502..=9000).map(|at| new(1, at)).collect());
    erase_contact(&mut store, 1, after(9000));
    tidy_all(&mut store, RecordLimits { max_per_environment: 0, ..NO_LIMITS });
    assert!(times(&store).is_empty());
    store.upkeep().purge(None, START).expect("purged");
    assert_eq!(search.numbers(directory.path()), [].into());
}

#[test]
fn events_of_a_contact_erased_under_a_foreign_pseudonym_are_swept_before_the_erasure_expires() {
    let (directory, mut store) = place();
    write(&mut store, (1..=3000).map(|at| new(1 + at % 2, at)).collect());
    let key = [7; 32];
    let name = pseudonym_of(&key, environment(0), contact(1));
    let erasures = vec![(environment(0), name, Register::erasure(after(5000)))];
    store.commit(&Batch { pseudonyms: Pseudonyms { keys: vec![key], erasures }, ..Batch::default() }).expect("written");
    drop(store);
    let mut store = reopened(directory.path(), u64::MAX);
    let left: Vec<_> = (1..=3000).filter(|at| at % 2 == 1).collect();
    assert_eq!(times(&store), left, "nothing is shown before the sweep");
    store.upkeep().purge(Some(Register::floor(after(9000))), START).expect("purged");
    tidy_all(&mut store, NO_LIMITS);
    store.upkeep().purge(Some(Register::floor(after(9000))), START).expect("purged");
    assert_eq!(times(&store), left);
    let search = DiskSearch::new([contact(1), contact(2)]);
    assert_eq!(search.numbers(directory.path()), [contact(2)].into());
}

#[test]
fn damaged_event_is_shown_as_such_and_found_by_verify() {
    let (directory, mut store) = place();
    write(&mut store, vec![new(1, 1), NewEvent { text: b"{".to_vec(), ..new(1, 2) }, new(1, 3)]);
    assert_eq!(times(&store), [1, 2, 3]);
    assert_eq!(events_after(&store, 0, 9)[1].content, None);
    drop(store);
    let damages = dialback::store::verify(directory.path()).expect("it ends").damages;
    assert_eq!(damages.len(), 1, "{damages:?}");
    // A damaged count does not keep the store from opening, and no number is used twice.
    let store = reopened(directory.path(), u64::MAX);
    let last = ends(&store).last;
    drop(store);
    let database = fjall::Database::builder(directory.path().join("store")).open().expect("it opens");
    let feed = database.keyspace("feed", fjall::KeyspaceCreateOptions::default).expect("it is there");
    let counts: Vec<_> = feed.prefix("n").map(|item| item.key().expect("readable")).collect();
    feed.insert(&*counts[0], [1]).expect("written");
    drop((feed, database));
    let mut store = reopened(directory.path(), u64::MAX);
    write(&mut store, vec![new(1, 4)]);
    assert_eq!(events_after(&store, last, 9).len(), 1);
    assert_eq!(times(&store), [1, 2, 3, 4]);
}

#[test]
fn events_in_damaged_files_are_an_error_and_removing_them_rests() {
    let (directory, mut store) = place();
    write(&mut store, (1..=3000).map(|at| new(at % 500, at)).chain((1..=500).map(|id| answer(id, 3001))).collect());
    store.upkeep().purge(None, START).expect("purged");
    drop(store);
    let mut store = reopened(directory.path(), 1_000_000);
    records::damage_tables(directory.path());
    store.feed().expect("it keeps events").page(&query(0)).expect_err("damaged");
    // Neither an erasure nor an event fails its batch.
    erase_contact(&mut store, 1, after(4000));
    for event in [new(1, 4001), answer(250, 4002)] {
        let before = ends(&store).last;
        write(&mut store, vec![event]);
        assert!(ends(&store).last > before, "what is acknowledged is told, whether or not it was told before");
    }
    let limits = RecordLimits { expired_before: after(100), max_per_environment: 10 };
    let first = store.tidy_feed(None, &limits).expect("written");
    assert!(first.damaged >= 1 && first.removed < 100 && !first.is_more, "{first:?}");
    assert_eq!(store.tidy_feed(None, &limits).expect("written"), RecordsTidied::default(), "it rests");
}

/// An erasure must not pass over events because the ends of their feed cannot be read.
#[test]
fn erasure_is_noted_where_the_ends_of_the_feeds_cannot_be_read() {
    let (directory, mut store) = place();
    write(&mut store, (1..=3000).map(|at| new(at % 500, at)).collect());
    store.upkeep().purge(None, START).expect("purged");
    drop(store);
    records::damage_tables_up_to(directory.path(), |size| size / 2);
    let mut store = reopened(directory.path(), 1_000_000);
    assert!(!store.feed().expect("it keeps events").is_empty());
    erase_contact(&mut store, 1, after(4000));
    drop(store);
    let database = fjall::Database::builder(directory.path().join("store")).open().expect("it opens");
    let feed = database.keyspace("feed", fjall::KeyspaceCreateOptions::default).expect("it is there");
    assert!(feed.get([b's']).expect("readable").is_some(), "a sweep finds what the erasure did not");
    let rests = feed.range([b'e']..[b'f']).filter_map(|item| item.key().ok()).count();
    assert_eq!(rests, 1, "the erasure is not complete");
}

fn feeding(path: &Path, records: u32, feed: u32) -> Service {
    let store = FjallStore::open(path).expect("it opens");
    let engine = Engine::with_max_pairs(100_000).with_clock(|| START);
    let builder = Service::builder(store).engine(engine);
    let builder = builder.records(RecordSettings { keep_days: records, ..RecordSettings::default() });
    builder.feed(FeedSettings { keep_days: feed, ..FeedSettings::default() }).start().expect("it starts")
}

fn flush(service: &Service) {
    let (done, flushed) = mpsc::channel();
    service.submit_records(move || done.send(()).expect("awaited"));
    flushed.recv().expect("flushed");
}

fn kinds(service: &Service) -> Vec<&'static str> {
    flush(service);
    read(service).iter().map(|event| event.kind.name()).collect()
}

fn read(service: &Service) -> Vec<StoredEvent> {
    let query = |environment| FeedQuery { environment, ..query(0) };
    service.events_of(Tenant(0).id(), query).expect("readable").expect("nothing is missed").events
}

fn route(service: &Service, id: u128, caller: Caller) {
    let call = (Dialed(0).number(), caller);
    service.route_recorded(&service.plan(), call, START, RecordedDoor::Library, |_| id);
}

#[test]
fn service_tells_each_committed_change_once_and_nothing_that_changed_nothing() {
    for records in [7, 0] {
        let directory = tempfile::tempdir().expect("a directory");
        let service = feeding(directory.path(), records, 7);
        assert!(service.has_feed() && service.has_records() == (records > 0));
        let plan = service.configure(Tenant(0).id(), Actor::Command.at(START), |_| Ok(changes())).expect("valid");
        let call = || call_to(1, Moment(2), Outcome::Busy);
        let wrong = Event::Call(Call { agent: Agent(7).id(), ..*call().call().expect("a call") });
        service.record(vec![call(), call(), wrong.clone()]).expect("durable");
        service.record(vec![call(), wrong]).expect("durable");
        let details = Details { id: CallId::new("one"), context: None };
        let reported = Event::reported(*call().call().expect("a call"), details);
        service.record(vec![reported.clone(), reported]).expect("durable");
        let caller = Caller::Number(E164::from_code(49_001).expect("a code"));
        route(&service, 1, caller);
        route(&service, 1, caller);
        service.note_answer(Some(Tenant(0).id()), 1, START);
        service.note_answer(Some(Tenant(0).id()), 1, START);
        let expected = ["configuration.changed", "call.recorded", "call.recorded", "route.decided", "route.answered"];
        assert_eq!(kinds(&service), expected);
        drop(service);
        let service = feeding(directory.path(), records, 7);
        service.note_answer(Some(Tenant(0).id()), 1, START);
        assert_eq!(kinds(&service), expected);
        let events = read(&service);
        let Some(EventContent::Changed(change)) = &events[0].content else { panic!("{:?}", events[0]) };
        let revision = plan.environment(Tenant(0).id()).expect("it is there").revision();
        assert_eq!((&change.actor, change.revision, change.changes), (&Actor::Command, revision, changes().len()));
        let Some(EventContent::Called(call)) = &events[2].content else { panic!("{:?}", events[2]) };
        assert_eq!((call.outcome, call.call_id.as_deref()), (Outcome::Busy, Some("one")));
        let Some(EventContent::Decided(decided)) = &events[3].content else { panic!("{:?}", events[3]) };
        assert_eq!((decided.reason, events[3].id, events[4].id), (Reason::Matched, Some(1), Some(1)));
        // An erasure removes what is about the contact.
        service.record(vec![erase(1, Moment(0))]).expect("durable");
        assert_eq!(kinds(&service), ["configuration.changed", "route.answered"]);
        // Expired events leave it, too.
        service.expire_records(START.plus_millis(8 * 24 * 3_600_000));
        assert!(kinds(&service).is_empty());
    }
}

#[test]
fn service_without_a_feed_writes_no_events_and_removes_those_that_exist() {
    let directory = tempfile::tempdir().expect("a directory");
    let service = feeding(directory.path(), 0, 7);
    configure(&service, changes()).expect("valid");
    assert_eq!(kinds(&service).len(), 1);
    drop(service);
    let service = feeding(directory.path(), 0, 0);
    service.record(vec![call_to(1, Moment(2), Outcome::Busy)]).expect("durable");
    route(&service, 1, Caller::Withheld);
    flush(&service);
    assert!(!service.has_feed() && kinds(&service).is_empty());
    drop(service);
    // Nothing at all is written where there never was a feed.
    let directory = tempfile::tempdir().expect("a directory");
    drop(feeding(directory.path(), 7, 0));
    let store = FjallStore::open(directory.path()).expect("it opens");
    assert!(store.feed().expect("it keeps events").is_empty());
}

#[test]
fn refused_and_lost_changes_have_no_event() {
    let directory = tempfile::tempdir().expect("a directory");
    let service = feeding(directory.path(), 7, 7);
    configure(&service, changes()).expect("valid");
    configure(&service, changes()).expect_err("the ids are taken");
    drop(service);
    let store = FailingStore::at_commit(0, FjallStore::open(directory.path()).expect("it opens"));
    let service = Service::builder(store).feed(FeedSettings::default()).start().expect("it starts");
    service.record(vec![call_to(1, Moment(2), Outcome::Busy)]).expect_err("the disk is gone");
    drop(service);
    assert_eq!(kinds(&feeding(directory.path(), 7, 7)), ["configuration.changed"]);
}

/// Its place would be the oldest event.
#[test]
fn environment_without_a_feed_has_no_page() {
    let directory = tempfile::tempdir().expect("a directory");
    let service = feeding(directory.path(), 0, 7);
    configure(&service, changes()).expect("valid");
    service.events_of(Tenant(1).id(), |environment| FeedQuery { environment, ..query(0) }).expect_err("unknown");
    assert_eq!(service.feed_ends(Tenant(1).id()), None);
    let none = Service::builder(MemoryStore).start().expect("it starts");
    configure(&none, changes()).expect("valid");
    none.events_of(Tenant(0).id(), |environment| FeedQuery { environment, ..query(0) }).expect_err("no feed");
}

#[test]
fn reader_that_waits_is_woken_by_the_next_event_of_its_environment() {
    let directory = tempfile::tempdir().expect("a directory");
    let service = feeding(directory.path(), 7, 7);
    configure(&service, changes()).expect("valid");
    let (woken, wakes) = mpsc::channel();
    let watch = |name: &'static str| {
        let woken = woken.clone();
        service.watch_feed(Tenant(0).id(), move || woken.send(name).expect("awaited")).expect("it exists")
    };
    let (_first, second) = (watch("first"), watch("second"));
    drop(second);
    assert!(service.watch_feed(Tenant(1).id(), || {}).is_none());
    service.record(vec![call_to(1, Moment(2), Outcome::Busy)]).expect("durable");
    assert_eq!(wakes.recv(), Ok("first"));
    service.record(vec![call_to(2, Moment(2), Outcome::Busy)]).expect("durable");
    assert_eq!(kinds(&service).len(), 3);
    assert!(wakes.try_recv().is_err(), "each wakes once, and a dropped one never");
}
