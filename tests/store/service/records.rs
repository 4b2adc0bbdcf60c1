//! Decision records in the embedded store: bounds, erasures, expiry, damage, restarts.

use super::*;
use crate::support::disk_search::DiskSearch;
use dialback::history::Register;
use dialback::service::RecordSettings;
use dialback::slot::{EnvironmentSlot, Scope};
use dialback::store::{
    NewRecord, Pseudonyms, RecordLimits, RecordPage, RecordPlace, RecordQuery, RecordsTidied, StoredRecord,
    pseudonym_of,
};
use dialback::{DecisionRecord, E164, RecordedDoor, Timestamp};

/// The number of records that one step removes.
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

fn content(caller: Option<E164>) -> DecisionRecord {
    DecisionRecord {
        door: RecordedDoor::Library,
        dialed: Dialed(0).number(),
        caller,
        agent: None,
        reason: Reason::NoHistory,
        revision: 1,
        call: None,
        source_exists: false,
        callback_agents: 0,
        candidates: Vec::new(),
        reached: [0; 5],
    }
}

/// Returns a record with the id `id`, decided so many milliseconds after the start.
fn new(id: u64, caller: u64) -> NewRecord {
    let text = serde_json::to_vec(&content(Some(contact(caller)))).expect("JSON");
    NewRecord {
        environment: environment(0),
        id: id.into(),
        at: after(id),
        contact: Some(contact(caller)),
        called_at: None,
        answered: None,
        text,
    }
}

fn write(store: &mut FjallStore, records: Vec<NewRecord>) {
    store.commit(&Batch { records, can_wait: true, ..Batch::default() }).expect("written");
}

fn erasure(caller: u64, until: Timestamp) -> (Scope, E164, Register) {
    (environment(0), contact(caller), Register::erasure(until))
}

fn erase_contact(store: &mut FjallStore, caller: u64, until: Timestamp) {
    store.commit(&Batch { registers: vec![erasure(caller, until)], ..Batch::default() }).expect("written");
}

fn query(of: Option<u64>) -> RecordQuery {
    let (since, before) = (Timestamp::from_millis(0), RecordPlace::LAST);
    RecordQuery { environment: environment(0), contact: of.map(contact), since, before }
}

/// Returns the ids of all records, newest first, and the number of pages.
fn pages(store: &FjallStore, of: Option<u64>) -> (Vec<u64>, usize) {
    let records = store.records().expect("it keeps records");
    let (mut ids, mut count, mut query) = (Vec::new(), 0, query(of));
    loop {
        let RecordPage { records, rest, .. } = records.page(&query).expect("readable");
        ids.extend(records.iter().map(|record| u64::try_from(record.place.id).expect("small")));
        count += 1;
        match rest {
            Some(rest) => query.before = rest,
            None => return (ids, count),
        }
    }
}

fn ids(store: &FjallStore) -> Vec<u64> {
    pages(store, None).0
}

fn find(store: &FjallStore, id: u64) -> Option<StoredRecord> {
    store.records().expect("it keeps records").find(id.into()).expect("readable")
}

/// Removes step by step until nothing is left to remove. Returns the number of removed records and of steps.
fn tidy_all(store: &mut FjallStore, limits: RecordLimits) -> (u64, usize) {
    let (mut removed, mut steps) = (0, 0);
    loop {
        let tidied = store.tidy_records(&limits).expect("written");
        assert!(tidied.removed <= AT_ONCE, "a step is short");
        removed += tidied.removed;
        steps += 1;
        if !tidied.is_more {
            return (removed, steps);
        }
        assert!(steps < 1000, "it ends");
    }
}

fn place() -> (tempfile::TempDir, FjallStore) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = FjallStore::open(directory.path()).expect("it opens");
    (directory, store)
}

#[test]
fn records_are_found_by_id_contact_and_time_also_after_a_restart() {
    let (directory, mut store) = place();
    write(&mut store, (1..=300).map(|id| new(id, id % 3)).collect());
    let withheld = serde_json::to_vec(&content(None)).expect("JSON");
    write(&mut store, vec![NewRecord { contact: None, text: withheld, ..new(301, 0) }]);
    // Only the first record of an id is kept.
    write(&mut store, vec![NewRecord { at: after(900), ..new(7, 2) }, new(302, 1), new(302, 2)]);
    drop(store);
    let store = FjallStore::open(directory.path()).expect("it opens");
    assert_eq!(ids(&store), (1..=302).rev().collect::<Vec<_>>());
    assert_eq!(pages(&store, Some(2)).0, (1..=300).rev().filter(|id| id % 3 == 2).collect::<Vec<_>>());
    let found = find(&store, 7).expect("it is there");
    assert_eq!((found.place.at, found.content), (after(7), Some(content(Some(contact(1))))));
    assert_eq!(find(&store, 301).expect("it is there").content, Some(content(None)));
    assert_eq!(find(&store, 303), None);
    let records = store.records().expect("it keeps records");
    let since = RecordQuery { since: after(298), ..query(None) };
    assert_eq!(records.page(&since).expect("readable").records.len(), 5);
    let foreign = RecordQuery { environment: environment(1), ..query(None) };
    assert_eq!(records.page(&foreign).expect("readable"), RecordPage::default());
}

#[test]
fn first_answer_is_kept_and_one_without_a_record_changes_nothing() {
    let (_directory, mut store) = place();
    write(&mut store, vec![new(1, 1)]);
    let answers = vec![(1, after(50)), (9, after(50))];
    store.commit(&Batch { record_answers: answers, ..Batch::default() }).expect("written");
    store.commit(&Batch { record_answers: vec![(1, after(60))], ..Batch::default() }).expect("written");
    assert_eq!(find(&store, 1).expect("it is there").answered, Some(after(50)));
    assert_eq!(find(&store, 9), None);
    assert_eq!(ids(&store), [1]);
}

#[test]
fn oldest_records_beyond_the_limit_are_removed_in_short_steps() {
    let (directory, mut store) = place();
    let limits = RecordLimits { max_per_environment: 100, ..NO_LIMITS };
    write(&mut store, (1..=5000).map(|id| new(id, 1)).collect());
    let other = NewRecord { environment: environment(1), ..new(9000, 1) };
    write(&mut store, vec![other]);
    let first = store.tidy_records(&limits).expect("written");
    assert_eq!(first, RecordsTidied { removed: AT_ONCE, is_more: true, damaged: 0 });
    // A restart keeps the count.
    drop(store);
    let mut store = FjallStore::open(directory.path()).expect("it opens");
    assert_eq!(tidy_all(&mut store, limits), (4900 - AT_ONCE, 2));
    assert_eq!(ids(&store), (4901..=5000).rev().collect::<Vec<_>>());
    assert_eq!(find(&store, 4900), None);
    assert_eq!(pages(&store, Some(1)).0.len(), 100);
    write(&mut store, vec![new(5001, 2)]);
    assert_eq!(tidy_all(&mut store, limits), (1, 1));
    assert_eq!(ids(&store), (4902..=5001).rev().collect::<Vec<_>>());
    assert!(find(&store, 5000).is_some(), "another environment keeps its records");
}

#[test]
fn expired_records_are_removed_and_a_clock_that_was_wrong_hides_nothing() {
    let (_directory, mut store) = place();
    write(&mut store, (1..=20).map(|id| new(id, 1)).collect());
    let expired = RecordLimits { expired_before: after(11), ..NO_LIMITS };
    assert_eq!(tidy_all(&mut store, expired), (10, 1));
    assert_eq!(ids(&store), (11..=20).rev().collect::<Vec<_>>());
    // A record by a clock far ahead, and then one by a clock that was set right.
    write(&mut store, vec![NewRecord { at: after(1 << 40), ..new(30, 1) }]);
    write(&mut store, vec![new(5, 2)]);
    assert_eq!(ids(&store)[0], 30);
    assert_eq!(find(&store, 5).expect("it is there").place.at, after(5));
    // An expiry by a clock far ahead removes all, and later records are kept all the same.
    let wrong = RecordLimits { expired_before: after(1 << 41), ..NO_LIMITS };
    assert_eq!(tidy_all(&mut store, wrong).0, 12);
    write(&mut store, vec![new(6, 2)]);
    assert_eq!((ids(&store), pages(&store, Some(2)).0), (vec![6], vec![6]));
    assert_eq!(tidy_all(&mut store, expired), (1, 1));
    assert!(ids(&store).is_empty());
}

#[test]
fn erasure_removes_all_records_of_the_contact_and_later_ones_of_earlier_calls_are_left_out() {
    let (directory, mut store) = place();
    write(&mut store, (1..=20).map(|id| new(id, id % 2)).collect());
    // Made after the time of the erasure, but before its commit.
    let registers = vec![erasure(1, after(10))];
    let late = new(21, 1);
    store
        .commit(&Batch { registers, records: vec![NewRecord { at: after(9), ..late }], ..Batch::default() })
        .expect("written");
    assert_eq!(ids(&store), (1..=20).rev().filter(|id| id % 2 == 0).collect::<Vec<_>>());
    assert_eq!(find(&store, 19), None);
    assert_eq!(find(&store, 21), None, "the erasure of the same batch covers it");
    // Written after the erasure.
    let earlier_call = |called_at| NewRecord { called_at: Some(called_at), ..new(30, 1) };
    write(&mut store, vec![NewRecord { at: after(10), ..new(22, 1) }, earlier_call(after(10))]);
    assert_eq!((find(&store, 22), find(&store, 30)), (None, None));
    write(&mut store, vec![NewRecord { id: 31, ..earlier_call(after(11)) }, new(32, 1)]);
    assert_eq!(pages(&store, Some(1)).0, [32, 31]);
    drop(store);
    let mut store = FjallStore::open(directory.path()).expect("it opens");
    write(&mut store, vec![NewRecord { at: after(8), ..new(33, 1) }]);
    assert_eq!(find(&store, 33), None, "also after a restart");
    // Nothing of them is on the disk, either.
    let registers = vec![erasure(5, after(50))];
    store.commit(&Batch { registers, records: vec![new(41, 5)], ..Batch::default() }).expect("written");
    write(&mut store, vec![new(42, 5), NewRecord { called_at: Some(after(50)), ..new(60, 5) }]);
    store.upkeep().purge(None, START).expect("purged");
    let search = DiskSearch::new([contact(1), contact(5)]);
    assert_eq!(search.numbers(directory.path()), [contact(1)].into());
}

#[test]
fn large_erasure_is_at_once_invisible_and_is_completed_in_short_steps_after_a_restart() {
    let (directory, mut store) = place();
    write(&mut store, (1..=2500).map(|id| new(id, 1)).collect());
    write(&mut store, vec![new(2501, 2)]);
    erase_contact(&mut store, 1, after(3000));
    assert_eq!((ids(&store), pages(&store, Some(1)).0.len(), find(&store, 1)), (vec![2501], 0, None));
    // Another erasure of the same contact does not forget the rest of the first.
    write(&mut store, vec![new(3500, 1)]);
    erase_contact(&mut store, 1, after(4000));
    drop(store);
    let mut store = FjallStore::open(directory.path()).expect("it opens");
    assert_eq!(tidy_all(&mut store, NO_LIMITS).0, 2500 - AT_ONCE);
    assert_eq!(ids(&store), [2501]);
    store.upkeep().purge(None, START).expect("purged");
    let search = DiskSearch::new([contact(1), contact(2)]);
    assert_eq!(search.numbers(directory.path()), [contact(2)].into(), "only the contact that is kept");
}

#[test]
fn records_of_a_contact_erased_under_a_foreign_pseudonym_are_swept_also_after_a_restart() {
    let (directory, mut store) = place();
    write(&mut store, (1..=3000).map(|id| new(id, 1 + id % 2)).collect());
    let key = [7; 32];
    let name = pseudonym_of(&key, environment(0), contact(1));
    let erasures = vec![(environment(0), name, Register::erasure(after(5000)))];
    let pseudonyms = Pseudonyms { keys: vec![key], erasures };
    store.commit(&Batch { pseudonyms, ..Batch::default() }).expect("written");
    // The process ends before the first step of the sweep.
    drop(store);
    let mut store = FjallStore::open(directory.path()).expect("it opens");
    let left: Vec<_> = (1..=3000).rev().filter(|id| id % 2 == 1).collect();
    assert_eq!(ids(&store), left, "nothing is shown before the sweep");
    // The sweep is interrupted after its first step.
    assert!(store.tidy_records(&NO_LIMITS).expect("written").is_more);
    drop(store);
    let mut store = FjallStore::open(directory.path()).expect("it opens");
    tidy_all(&mut store, NO_LIMITS);
    assert_eq!(ids(&store), left);
    assert_eq!(store.tidy_records(&NO_LIMITS).expect("written"), RecordsTidied::default());
    store.upkeep().purge(None, START).expect("purged");
    let search = DiskSearch::new([contact(1), contact(2)]);
    assert_eq!(search.numbers(directory.path()), [contact(2)].into());
}

#[test]
fn answer_in_the_batch_of_an_erasure_does_not_bring_the_record_back() {
    let (directory, mut store) = place();
    write(&mut store, vec![new(1, 1), new(2, 2)]);
    let registers = vec![erasure(1, after(10))];
    let record_answers = vec![(1, after(5)), (2, after(5)), (2, after(6))];
    store.commit(&Batch { registers, record_answers, ..Batch::default() }).expect("written");
    assert_eq!((ids(&store), find(&store, 1)), (vec![2], None));
    assert_eq!(find(&store, 2).expect("it is there").answered, Some(after(5)), "the first answer of a batch counts");
    store.upkeep().purge(None, START).expect("purged");
    let search = DiskSearch::new([contact(1), contact(2)]);
    assert_eq!(search.numbers(directory.path()), [contact(2)].into());
}

#[test]
fn erasures_of_one_batch_together_remove_a_bounded_number_at_once() {
    let (directory, mut store) = place();
    write(&mut store, (1..=4800).map(|id| new(id, 1 + id % 6)).collect());
    write(&mut store, vec![new(4801, 9)]);
    let registers = (1..=6).map(|caller| erasure(caller, after(9000))).collect();
    store.commit(&Batch { registers, ..Batch::default() }).expect("written");
    assert_eq!(ids(&store), [4801], "all are invisible at once");
    drop(store);
    let mut store = FjallStore::open(directory.path()).expect("it opens");
    assert_eq!(tidy_all(&mut store, NO_LIMITS).0, 4800 - AT_ONCE);
    assert_eq!(ids(&store), [4801]);
    store.upkeep().purge(None, START).expect("purged");
    let search = DiskSearch::new((1..=9).map(contact));
    assert_eq!(search.numbers(directory.path()), [contact(9)].into());
}

/// Returns the number of an environment's records, up to the limit of a page.
fn count(store: &FjallStore, environment: Scope) -> usize {
    let query = RecordQuery { environment, ..query(None) };
    store.records().expect("it keeps records").page(&query).expect("readable").records.len()
}

#[test]
fn number_of_records_stays_bounded_under_load_and_environments_take_turns() {
    let (_directory, mut store) = place();
    let limits = RecordLimits { max_per_environment: 100, ..NO_LIMITS };
    let [flooded, other] = [environment(1), environment(0)];
    assert!(flooded < other, "its turn is first");
    let mut last = 0;
    let mut flood = |store: &mut FjallStore, records: u64| {
        let ids = last + 1..=last + records;
        last += records;
        write(store, ids.map(|id| NewRecord { environment: flooded, ..new(id, id % 7) }).collect());
    };
    flood(&mut store, 4 * AT_ONCE);
    write(&mut store, (100_001..=100_110).map(|id| new(id, 1)).collect());
    for _ in 0..2 {
        assert!(store.tidy_records(&limits).expect("written").is_more);
    }
    assert_eq!(count(&store, other), 100, "it does not wait until the other one is done");
    // The most that is written before each step.
    for _ in 0..6 {
        flood(&mut store, AT_ONCE / 2);
        store.tidy_records(&limits).expect("written");
    }
    assert_eq!((count(&store, flooded), count(&store, other)), (100, 100));
}

/// Damages each block of the large tables of an open store.
pub(super) fn damage_tables(path: &Path) {
    damage_tables_up_to(path, |size| size - 1000);
}

/// Damages each block of the large tables up to a place in their files. The second half has the blocks that the engine reads
/// to open a table.
pub(super) fn damage_tables_up_to(path: &Path, end: impl Fn(usize) -> usize) {
    let mut damaged = 0;
    for (name, bytes) in contents(path) {
        let Some(mut bytes) = bytes.filter(|bytes| name.contains("/tables/") && bytes.len() > 20_000) else { continue };
        let end = end(bytes.len());
        bytes[..end].iter_mut().step_by(500).for_each(|byte| *byte ^= 0x10);
        fs::write(path.join(name), bytes).expect("written");
        damaged += 1;
    }
    assert!(damaged > 0, "a table is large");
}

#[test]
fn records_in_damaged_files_are_an_error_and_removing_them_rests() {
    let (directory, mut store) = place();
    write(&mut store, (1..=3000).map(|id| new(id, id % 500)).collect());
    store.upkeep().purge(None, START).expect("purged");
    drop(store);
    let mut store = FjallStore::open(directory.path()).expect("it opens");
    damage_tables(directory.path());
    let records = store.records().expect("it keeps records");
    records.page(&query(None)).expect_err("damaged");
    records.page(&query(Some(1))).expect_err("damaged");
    // Neither an erasure nor a record fails its batch.
    erase_contact(&mut store, 1, after(4000));
    write(&mut store, vec![new(4001, 1)]);
    let key = [7; 32];
    let erasures = vec![(environment(0), pseudonym_of(&key, environment(0), contact(2)), Register::erasure(after(5)))];
    let pseudonyms = Pseudonyms { keys: vec![key], erasures };
    store.commit(&Batch { pseudonyms, ..Batch::default() }).expect("written");
    let limits = RecordLimits { expired_before: after(100), max_per_environment: 10 };
    let first = store.tidy_records(&limits).expect("written");
    assert!(first.damaged >= 2 && first.removed < 100 && !first.is_more, "{first:?}");
    assert_eq!(store.tidy_records(&limits).expect("written"), RecordsTidied::default(), "it rests");
}

#[test]
fn damaged_record_is_shown_as_such_and_stops_nothing() {
    let (_directory, mut store) = place();
    write(&mut store, vec![new(1, 1), NewRecord { text: b"{".to_vec(), ..new(2, 1) }, new(3, 1)]);
    assert_eq!(ids(&store), [3, 2, 1]);
    assert_eq!(find(&store, 2).expect("it is there").content, None);
    // It does not stop answers, erasures and expiry.
    store.commit(&Batch { record_answers: vec![(2, after(9))], ..Batch::default() }).expect("written");
    assert_eq!(find(&store, 2).expect("it is there").answered, Some(after(9)));
    let expired = RecordLimits { expired_before: after(3), ..NO_LIMITS };
    assert_eq!(tidy_all(&mut store, expired), (2, 1));
    assert_eq!(ids(&store), [3]);
}

#[test]
fn page_over_many_erased_records_examines_a_bounded_number() {
    let (_directory, mut store) = place();
    write(&mut store, vec![new(1, 2)]);
    write(&mut store, (2..=600).map(|id| new(id, 1)).collect());
    erase_contact(&mut store, 1, after(700));
    let first = store.records().expect("it keeps records").page(&query(None)).expect("readable");
    assert_eq!((first.records.len(), first.rest.map(|rest| rest.id)), (0, Some(600 - 127)));
    assert_eq!(pages(&store, None), (vec![1], 5));
    assert_eq!(pages(&store, Some(1)), (Vec::new(), 1));
}

fn recording(path: &Path, settings: RecordSettings) -> Service {
    let store = FjallStore::open(path).expect("it opens");
    Service::builder(store).records(settings).start().expect("it starts")
}

fn route(service: &Service, id: u128, caller: Caller) {
    let call = (Dialed(0).number(), caller);
    service.route_recorded(&service.plan(), call, START, RecordedDoor::Library, |_| id);
}

/// Waits until the records of all earlier calls are written.
fn flush(service: &Service) {
    let (done, flushed) = mpsc::channel();
    service.submit_records(move || done.send(()).expect("awaited"));
    flushed.recv().expect("flushed");
}

fn record(service: &Service, id: u128) -> Option<DecisionRecord> {
    flush(service);
    service.record_of(Tenant(0).id(), id).expect("readable").map(|found| found.content.expect("whole"))
}

#[test]
fn service_records_what_a_decision_saw_and_shows_it_after_a_restart_and_changes() {
    let directory = tempfile::tempdir().expect("a directory");
    let service = recording(directory.path(), RecordSettings::default());
    configure(&service, changes()).expect("valid");
    let recorded = service.record(vec![call_to(1, Moment(2), Outcome::Busy)]).expect("durable");
    assert_eq!(recorded, [Ok(Applied::Recorded)]);
    let caller = Caller::Number(E164::from_code(49_001).expect("a code"));
    route(&service, 1, caller);
    route(&service, 2, Caller::Withheld);
    service.note_answer(Some(Tenant(0).id()), 1, START);
    // An unknown number can be a personal one.
    let unknown = (E164::from_code(49_009).expect("a code"), caller);
    service.route_recorded(&service.plan(), unknown, START, RecordedDoor::Library, |_| 3);
    let gone = [
        Change::CallbackRemoved { id: Agent(3).id() },
        Change::AgentUnpublished { id: Agent(3).id() },
        Change::AgentDeleted { id: Agent(3).id() },
    ];
    configure(&service, gone.to_vec()).expect("valid");
    drop(service);
    let service = recording(directory.path(), RecordSettings::default());
    let matched = record(&service, 1).expect("it is there");
    assert_eq!(
        (matched.reason, matched.door, matched.reached),
        (Reason::Matched, RecordedDoor::Library, [0, 0, 0, 0, 1])
    );
    let agent = matched.agent.expect("it was routed");
    assert_eq!((agent.id, agent.name.as_deref()), (Agent(3).id(), Some("agent")));
    let call = matched.call.expect("there was one");
    assert_eq!((call.source.id, call.outcome, call.at), (Agent(0).id(), Outcome::Busy, Moment(2).at(START)));
    let found = service.record_of(Tenant(0).id(), 1).expect("readable").expect("it is there");
    assert_eq!(found.answered, Some(START));
    assert_eq!(record(&service, 2).expect("it is there").reason, Reason::AnonymousCaller);
    assert_eq!(record(&service, 3), None);
    assert_eq!(service.record_of(Tenant(1).id(), 1).expect("readable"), None);
    // An erasure removes the record of the contact only.
    let erased = service.record(vec![Event::Erasure(Erasure {
        environment: Tenant(0).id(),
        contact: E164::from_code(49_001).expect("a code"),
        until: START,
        is_ahead: false,
    })]);
    assert_eq!(erased.expect("durable"), [Ok(Applied::Erased { pairs: 1 })]);
    assert_eq!(record(&service, 1), None);
    assert!(record(&service, 2).is_some());
}

#[test]
fn service_keeps_the_newest_records_and_removes_all_when_it_is_to_keep_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let settings = RecordSettings { max_per_environment: 5, ..RecordSettings::default() };
    let service = recording(directory.path(), settings);
    configure(&service, changes()).expect("valid");
    for id in 1..=12 {
        let call = (Dialed(0).number(), Caller::Withheld);
        let at = START.plus_millis(u64::try_from(id).expect("small"));
        service.route_recorded(&service.plan(), call, at, RecordedDoor::Library, |_| id);
    }
    flush(&service);
    let kept = |service: &Service| (1..=12).filter(|id| record(service, *id).is_some()).collect::<Vec<_>>();
    assert_eq!(kept(&service), [8, 9, 10, 11, 12]);
    assert_eq!((service.record_counts().written(), service.record_counts().removed()), (12, 7));
    service.expire_records(START.plus_millis(7 * 24 * 3_600_000 + 10));
    flush(&service);
    assert_eq!(kept(&service), [10, 11, 12]);
    drop(service);
    let service = recording(directory.path(), RecordSettings { keep_days: 0, ..settings });
    route(&service, 20, Caller::Withheld);
    assert!(kept(&service).is_empty() && record(&service, 20).is_none());
}

#[test]
fn service_that_keeps_records_for_no_days_has_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let service = recording(directory.path(), RecordSettings { keep_days: 0, ..RecordSettings::default() });
    assert!(!service.has_records());
}

#[test]
fn full_queue_drops_records_and_counts_them_while_calls_are_routed() {
    let directory = tempfile::tempdir().expect("a directory");
    let hang = Hang::default();
    let store = HangingStore::new(&hang, FjallStore::open(directory.path()).expect("it opens"));
    let service = Service::builder(store).records(RecordSettings::default()).start().expect("it starts");
    configure(&service, changes()).expect("valid");
    let disk = hang.begin();
    let mut routed = 0_u32;
    while service.record_counts().dropped() == 0 {
        routed += 1;
        route(&service, routed.into(), Caller::Withheld);
        assert!(routed < 1_000_000, "the queue is bounded");
    }
    drop(disk);
    flush(&service);
    let counts = service.record_counts();
    assert_eq!((counts.written(), counts.dropped(), counts.lost()), (u64::from(routed) - 1, 1, 0));
    route(&service, 2_000_000, Caller::Withheld);
    assert!(record(&service, 2_000_000).is_some(), "there is room again");
}

#[test]
fn function_that_waits_for_records_may_panic_and_may_drop_the_last_reference() {
    let directory = tempfile::tempdir().expect("a directory");
    let service = Arc::new(recording(directory.path(), RecordSettings::default()));
    configure(&service, changes()).expect("valid");
    service.submit_records(|| panic!("planted"));
    route(&service, 1, Caller::Withheld);
    assert!(record(&service, 1).is_some());
    let ((go, wait), (done, dropped)) = (mpsc::channel(), mpsc::channel());
    let last = Arc::clone(&service);
    service.submit_records(move || {
        wait.recv().expect("sent");
        drop(last);
        done.send(()).expect("awaited");
    });
    drop(service);
    go.send(()).expect("awaited");
    dropped.recv_timeout(std::time::Duration::from_secs(60)).expect("it does not wait for itself");
}

/// A failing store costs records, which are counted, and no routes.
#[test]
fn records_of_a_failing_store_are_counted_as_lost_and_calls_are_routed() {
    let directory = tempfile::tempdir().expect("a directory");
    let service = recording(directory.path(), RecordSettings::default());
    configure(&service, changes()).expect("valid");
    drop(service);
    let store = FailingStore::at_commit(0, FjallStore::open(directory.path()).expect("it opens"));
    let service = Service::builder(store).records(RecordSettings::default()).start().expect("it starts");
    for id in 1..=3 {
        route(&service, id, Caller::Withheld);
    }
    flush(&service);
    assert!(service.failure().is_some());
    assert_eq!((service.record_counts().written(), service.record_counts().lost()), (0, 3));
    let (routed, _) = service.route_recorded(
        &service.plan(),
        (Dialed(0).number(), Caller::Withheld),
        START,
        RecordedDoor::Library,
        |_| 9,
    );
    assert_eq!(routed.decision.reason, Reason::AnonymousCaller);
}

/// Returns a call from one of our numbers, which has expired by `after(0)`.
fn expired_call(caller: u64) -> (Scope, E164, Register) {
    let at = Timestamp::from_millis(START.millis() - 1000);
    let agent = dialback::slot::AgentSlot::new(0).expect("a slot");
    (Scope::from_bits(1).expect("24 bits"), contact(caller), Register::call(at, Outcome::Busy, agent))
}

fn foreign_erasure(caller: u64, until: Timestamp) -> Pseudonyms {
    let key = [7; 32];
    let name = pseudonym_of(&key, environment(0), contact(caller));
    Pseudonyms { keys: vec![key], erasures: vec![(environment(0), name, Register::erasure(until))] }
}

#[test]
fn erasures_stay_until_all_records_were_compared_with_them_and_expire_where_there_are_none() {
    let floor = Some(Register::floor(after(9000)));
    for has_records in [true, false] {
        let (directory, mut store) = place();
        if has_records {
            write(&mut store, vec![new(1, 1)]);
        }
        let registers = vec![expired_call(3)];
        let pseudonyms = foreign_erasure(1, after(5000));
        store.commit(&Batch { registers, pseudonyms, ..Batch::default() }).expect("written");
        store.upkeep().purge(floor, after(9000)).expect("purged");
        let search = DiskSearch::new([contact(1), contact(3)]);
        let before = if has_records { [contact(1), contact(3)].into() } else { [].into() };
        assert_eq!(search.numbers(directory.path()), before, "{has_records}");
        tidy_all(&mut store, NO_LIMITS);
        store.upkeep().purge(floor, after(9000)).expect("purged");
        assert_eq!(search.numbers(directory.path()), [].into(), "{has_records}");
    }
}

#[test]
fn service_without_settings_keeps_records_and_completes_erasures_in_them() {
    let (directory, mut store) = place();
    write(&mut store, (1..=2500).map(|id| new(id, 1)).chain([new(2501, 2)]).collect());
    erase_contact(&mut store, 1, after(3000));
    drop(store);
    let service = open(directory.path());
    assert!(!service.has_records());
    route(&service, 9, Caller::Withheld);
    flush(&service);
    drop(service);
    let store = FjallStore::open(directory.path()).expect("it opens");
    assert_eq!(ids(&store), [2501]);
    store.upkeep().purge(None, START).expect("purged");
    let search = DiskSearch::new([contact(1), contact(2)]);
    assert_eq!(search.numbers(directory.path()), [contact(2)].into());
}

#[test]
fn records_of_a_deleted_environment_leave_the_files_and_no_later_one_is_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = FjallStore::open(directory.path()).expect("it opens");
    let upkeep = store.upkeep();
    let service = Service::builder(store).records(RecordSettings::default()).start().expect("it starts");
    configure(&service, changes()).expect("valid");
    let plan = service.plan();
    let call = |id: u128, caller| {
        let call = (Dialed(0).number(), Caller::Number(contact(caller)));
        service.route_recorded(&plan, call, START, RecordedDoor::Library, |_| id);
        flush(&service);
    };
    call(1, 1);
    let search = DiskSearch::new([contact(1), contact(2)]);
    assert_eq!(search.numbers(directory.path()), [contact(1)].into());
    super::retention::delete_environment(&service);
    // It was decided before the deletion.
    call(2, 2);
    upkeep.purge(None, START).expect("purged");
    assert_eq!(search.numbers(directory.path()), [].into());
}

/// Another node's erasure may come so late that only its age tells that it existed.
#[test]
fn node_of_a_fleet_keeps_records_no_longer_than_erasures() {
    const DAY_MILLIS: u64 = 24 * 3_600_000;
    for (is_node, is_kept) in [(true, false), (false, true)] {
        let directory = tempfile::tempdir().expect("a directory");
        let store = FjallStore::open(directory.path()).expect("it opens");
        let builder = Service::builder(store).records(RecordSettings::default());
        let builder = if is_node { builder.sequencer(Arc::new(super::retention::Apart)) } else { builder };
        let service = builder.start().expect("it starts");
        configure(&service, changes()).expect("valid");
        let lookback = Lookback::from_days(1);
        let name = "acme".into();
        configure(&service, vec![Change::EnvironmentSet { name, dial_plan: DialPlan::NONE, lookback }]).expect("valid");
        route(&service, 1, Caller::Number(contact(1)));
        service.expire_records(START.plus_millis(2 * DAY_MILLIS));
        assert!(record(&service, 1).is_some(), "{is_node}");
        service.expire_records(START.plus_millis(2 * DAY_MILLIS + 1));
        assert_eq!(record(&service, 1).is_some(), is_kept, "{is_node}");
    }
}

#[test]
fn invalid_record_and_count_are_found_by_verify_and_expire() {
    let (directory, mut store) = place();
    write(&mut store, vec![new(1, 1), new(2, 1)]);
    drop(store);
    let keyspace = |database: &fjall::Database| {
        database.keyspace("records", fjall::KeyspaceCreateOptions::default).expect("it is there")
    };
    let database = fjall::Database::builder(directory.path().join("store")).open().expect("it opens");
    let records = keyspace(&database);
    let counts: Vec<_> = records.prefix("n").map(|item| item.key().expect("readable")).collect();
    assert_eq!(counts.len(), 1);
    records.insert(&*counts[0], [1]).expect("written");
    drop((records, database));
    let damages = dialback::store::verify(directory.path()).expect("it ends").damages;
    assert_eq!(damages.len(), 1, "{damages:?}");
    let mut store = FjallStore::open(directory.path()).expect("it opens");
    assert_eq!(ids(&store), [2, 1]);
    tidy_all(&mut store, RecordLimits { expired_before: after(2), ..NO_LIMITS });
    assert_eq!(ids(&store), [2]);
    write(&mut store, vec![NewRecord { text: b"{".to_vec(), ..new(3, 1) }]);
    drop(store);
    let damages = dialback::store::verify(directory.path()).expect("it ends").damages;
    assert_eq!(damages.len(), 1, "{damages:?}");
}
