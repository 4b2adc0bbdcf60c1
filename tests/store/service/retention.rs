//! Erased and expired data leaves the disk. The tests search all files of the data directory for the number, and decode
//! the tables.

use super::*;
use crate::support::disk_search::DiskSearch;
use dialback::history::Register;
use dialback::plan::{AgentView, NumberView};
use dialback::{Day, E164, NumberId, Statistics, Timestamp};

const HOUR: u64 = 3_600_000;

fn contact(digits: &str) -> E164 {
    E164::from_digits(digits).expect("digits")
}

pub(super) fn call(digits: &str, at: Timestamp) -> Event {
    let (environment, agent, from) = (Tenant(0).id(), Agent(0).id(), Dialed(0).number());
    Event::Call(Call { environment, agent, from, to: contact(digits), at, outcome: Outcome::Busy })
}

pub(super) fn forget(digits: &str, until: Timestamp) -> Event {
    Event::Erasure(Erasure { environment: Tenant(0).id(), contact: contact(digits), until, is_ahead: false })
}

pub(super) fn before(hours: u64) -> Timestamp {
    Timestamp::from_millis(START.millis() - hours * HOUR)
}

pub(super) fn reason(service: &Service, digits: &str) -> Reason {
    service.resolve(Dialed(0).number(), Caller::Number(contact(digits)), START).reason
}

/// Returns the files that hold the number.
pub(super) fn files_with(path: &Path, digits: &str) -> Vec<String> {
    let name = |file: &Path| file.strip_prefix(path).expect("below it").display().to_string();
    DiskSearch::new([contact(digits)]).files(path).iter().map(|file| name(file)).collect()
}

/// The contacts of the calls that no test erases.
fn others() -> impl Iterator<Item = E164> {
    (0..1000u64).map(|other| contact(&format!("4420{:08}", other * 7919)))
}

/// Fails if the search does not find each contact that is kept.
pub(super) fn expect_others(path: &Path) {
    assert_eq!(DiskSearch::new(others()).numbers(path).len(), others().count(), "the search finds what is kept");
}

/// The first and the last key of a table are also in its description.
pub(super) const FIRST: &str = "12025550101";
pub(super) const LAST: &str = "998901234567890";
pub(super) const MIDDLE: &str = "493012345678";

pub(super) fn used(path: &Path) -> (Service, dialback::store::Upkeep) {
    let store = FjallStore::open(path).expect("it opens");
    let upkeep = store.upkeep();
    let service = start(store);
    configure(&service, changes()).expect("it is valid");
    let others = others().map(|other| call(&other.digits(), before(2)));
    service.record(others.collect()).expect("it is durable");
    let those = [FIRST, MIDDLE, LAST].map(|digits| call(digits, before(2)));
    service.record(those.to_vec()).expect("it is durable");
    (service, upkeep)
}

#[test]
fn erased_number_is_in_no_file_after_a_purge_and_stays_erased() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("data");
    let (service, upkeep) = used(&path);
    // The search itself works: it finds the numbers in the journal, and in the tables after the journal was deleted.
    for digits in [FIRST, MIDDLE, LAST] {
        assert!(files_with(&path, digits).iter().any(|name| name.contains(".jnl")), "{digits} in the journal");
    }
    assert_eq!(upkeep.purged_at(before(9)).expect("writable"), before(9), "the first who asks");
    upkeep.purge(None, before(8)).expect("it is written");
    assert_eq!(upkeep.purged_at(START).expect("readable"), before(8));
    for digits in [FIRST, MIDDLE, LAST] {
        let found = files_with(&path, digits);
        assert!(!found.is_empty() && found.iter().all(|name| name.contains("/tables/")), "{digits}: {found:?}");
        assert_eq!(reason(&service, digits), Reason::Matched);
    }

    let forgotten = [FIRST, MIDDLE, LAST].map(|digits| forget(digits, before(1)));
    let did = service.record(forgotten.to_vec()).expect("it is durable");
    assert!(did.iter().all(|did| *did == Ok(Applied::Erased { pairs: 1 })), "{did:?}");
    for digits in [FIRST, MIDDLE, LAST] {
        assert!(!files_with(&path, digits).is_empty(), "nothing has been purged yet");
    }
    upkeep.purge(None, START).expect("it is written");
    for digits in [FIRST, MIDDLE, LAST] {
        assert_eq!(files_with(&path, digits), Vec::<String>::new(), "{digits}");
    }
    expect_others(&path);
    assert_eq!(upkeep.purged_at(before(0)).expect("readable"), START);

    // Late reports are ignored, now and after a restart. Later calls start a new history.
    let late = || vec![call(FIRST, before(1)), call(MIDDLE, before(3)), forget(FIRST, before(5))];
    let ignored = |did: Vec<Result<Applied, ServiceError>>| did[..2].iter().all(|did| *did == Ok(Applied::Ignored));
    assert!(ignored(service.record(late()).expect("it is durable")));
    drop(service);
    let service = open(&path);
    assert!(ignored(service.record(late()).expect("it is durable")));
    for digits in [FIRST, MIDDLE, LAST] {
        assert_eq!(reason(&service, digits), Reason::NoHistory);
        assert_eq!(files_with(&path, digits), Vec::<String>::new(), "{digits} after late reports");
    }
    assert_eq!(service.record(vec![call(LAST, before(0))]), Ok(vec![Ok(Applied::Recorded)]));
    assert_eq!(reason(&service, LAST), Reason::Matched);
    assert_eq!(reason(&service, "442000000000"), Reason::Matched, "others are untouched");
    drop(service);
    assert_eq!(reason(&open(&path), LAST), Reason::Matched);
}

#[test]
fn purge_during_commits_loses_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("data");
    let (service, upkeep) = used(&path);
    let number = |round: u64, other: u64| format!("3361{:08}", round * 1000 + other);
    let purging = std::thread::spawn(move || (0..3).try_for_each(|_| upkeep.purge(None, START).map(drop)));
    let mut rounds = 0;
    while !purging.is_finished() || rounds < 3 {
        let calls = (0..100).map(|other| call(&number(rounds, other), before(1)));
        let erased = (0..50).map(|other| forget(&number(rounds, other), before(0)));
        service.record(calls.chain(erased).collect()).expect("it is durable");
        rounds += 1;
    }
    purging.join().expect("no panic").expect("it is written");
    drop(service);
    let service = open(&path);
    for round in 0..rounds {
        for other in 0..100 {
            let expected = if other < 50 { Reason::NoHistory } else { Reason::Matched };
            assert_eq!(reason(&service, &number(round, other)), expected, "{round} {other}");
        }
    }
    assert_eq!(reason(&service, FIRST), Reason::Matched);
}

#[test]
fn purge_removes_data_below_the_floor_and_keeps_the_rest() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("data");
    let (service, upkeep) = used(&path);
    let (old, edge) = ("12025550100", "998901234567891");
    // An expired call, an expired erasure, and a call at the floor that has not expired.
    service.record(vec![call(old, before(11)), call(edge, before(10))]).expect("it is durable");
    service.record(vec![call(MIDDLE, before(12)), forget(MIDDLE, before(11))]).expect("it is durable");
    upkeep.purge(Some(Register::floor(before(10))), START).expect("it is written");
    assert_eq!(files_with(&path, old), Vec::<String>::new());
    expect_others(&path);
    assert!(!files_with(&path, edge).is_empty());
    drop(service);
    let service = open(&path);
    assert_eq!((reason(&service, old), reason(&service, edge)), (Reason::NoHistory, Reason::Matched));
    assert_eq!((reason(&service, FIRST), reason(&service, MIDDLE)), (Reason::Matched, Reason::Matched));
}

#[test]
fn upkeep_does_not_keep_a_closed_store() {
    let directory = tempfile::tempdir().expect("a directory");
    let (service, upkeep) = used(directory.path());
    drop(service);
    upkeep.purge(None, START).expect("there is nothing to do");
    assert_eq!(upkeep.purged_at(START).expect("nothing is read"), START);
    drop(open(directory.path()));
}

/// A sequencer that writes everything to the outbox and has no stream.
pub(super) struct Apart;

impl dialback::service::Sequencer for Apart {
    fn has_outbox(&self) -> bool {
        true
    }

    fn order(&self, _: &dialback::Configuration) -> Result<(), ServiceError> {
        Ok(())
    }

    fn confirm(&self, _: u64) -> Result<(), ServiceError> {
        Ok(())
    }

    fn acknowledge(&self, _: u64, done: dialback::service::Acknowledge) {
        done(Ok(()));
    }
}

#[test]
fn published_events_leave_the_outbox_and_the_disk() {
    use dialback::service::Consumed;
    let directory = tempfile::tempdir().expect("a directory");
    let store = FjallStore::open(directory.path()).expect("it opens");
    let upkeep = store.upkeep();
    let service = Service::builder(store).sequencer(Arc::new(Apart)).start().expect("it starts");
    configure(&service, changes()).expect("it is valid");
    service.record(vec![call(MIDDLE, before(2))]).expect("it is durable");
    service.record(vec![forget(MIDDLE, before(1))]).expect("it is durable");
    let fleet_state = service.fleet_state().expect("it has an outbox");
    let entries = fleet_state.outbox(0, usize::MAX).expect("readable");
    assert_eq!(entries.iter().map(|entry| entry.number).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(fleet_state.last_entry().expect("readable"), 2);
    // The number must stay until the event is published.
    upkeep.purge(None, START).expect("purged");
    assert!(!files_with(directory.path(), MIDDLE).is_empty(), "the check can fail");
    let (done, answer) = mpsc::channel();
    let told = Consumed { published: Some(2), place: Some(b"here".to_vec()), ..Consumed::default() };
    service.submit_consumed(told, move |did| done.send(did).expect("it is waited for"));
    answer.recv().expect("an answer").expect("it is durable");
    assert_eq!(fleet_state.outbox(0, 1).expect("readable"), []);
    assert_eq!(fleet_state.last_entry().expect("readable"), 0);
    upkeep.purge(None, START).expect("purged");
    assert_eq!(files_with(directory.path(), MIDDLE), Vec::<String>::new());
    drop(service);
    let store = FjallStore::open(directory.path()).expect("it opens");
    assert_eq!(store.fleet_state().expect("there").place().expect("readable").as_deref(), Some(&b"here"[..]));
}

/// After a restart, only the store remembers the erasure.
#[test]
fn call_covered_by_an_erasure_into_the_future_is_rejected_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("data");
    let (service, _) = used(&path);
    let until = START.plus_millis(5 * HOUR);
    let ahead = Erasure { environment: Tenant(0).id(), contact: contact(FIRST), until, is_ahead: true };
    service.record(vec![call(FIRST, until), Event::Erasure(ahead)]).expect("it is durable");
    let submit = |service: &Service, now: Timestamp, at: Timestamp| {
        let (told, answer) = mpsc::channel();
        service.submit_at(now, vec![call(FIRST, at)], move |recording| _ = told.send(recording));
        answer.recv().expect("told").expect("durable").pop().expect("of one call")
    };
    let hours = |hours: u64| START.plus_millis(hours * HOUR);
    let check = |service: &Service| {
        assert_eq!(submit(service, hours(1), hours(1)), Err(ServiceError::ContactErased), "it may be newer");
        assert_eq!(submit(service, hours(1), until), Err(ServiceError::ContactErased), "or the erased one again");
        assert_eq!(submit(service, hours(6), hours(1)), Err(ServiceError::ContactErased), "it may still be newer");
        assert_eq!(reason(service, FIRST), Reason::NoHistory);
    };
    check(&service);
    drop(service);
    let service = open(&path);
    check(&service);
    assert_eq!(submit(&service, until, until.plus_millis(1)), Ok(Applied::Recorded));
}

/// Deletes the environment of [`used`], once it is empty.
pub(super) fn delete_environment(service: &Service) {
    let plan = service.plan();
    let environment = plan.environment(Tenant(0).id()).expect("it is there");
    let agents: Vec<_> = environment.agents().map(AgentView::id).collect();
    let numbers: Vec<_> = environment.numbers().map(NumberView::id).collect();
    let mut changes: Vec<_> = agents.iter().map(|id| Change::AgentUnpublished { id: *id }).collect();
    changes.extend(agents.iter().map(|id| Change::AgentDeleted { id: *id }));
    changes.extend(numbers.iter().map(|id| Change::NumberReleased { id: *id }));
    configure(service, changes).expect("it is valid");
    configure(service, vec![Change::EnvironmentDeleted {}]).expect("it is empty");
}

/// Returns the number of records in a keyspace of a closed store.
fn records(path: &Path, keyspace: &str) -> usize {
    let database = fjall::Database::builder(path.join("store")).open().expect("it opens");
    database.keyspace(keyspace, fjall::KeyspaceCreateOptions::default).expect("it is there").iter().count()
}

/// Records a call of another environment to this contact.
fn call_of_another(service: &Service, digits: &str) {
    let (environment, from) = (Tenant(1).id(), Dialed(5).number());
    let changes = vec![
        Change::EnvironmentSet { name: "other".into(), dial_plan: DialPlan::NONE, lookback: Lookback::default() },
        Change::NumberAdded { id: NumberId::from_u128(5), number: from },
        Change::AgentCreated { id: Agent(0).id(), name: "a".into(), label: None, direction: Direction::Outbound },
    ];
    service.configure(environment, START, |_| Ok(changes)).expect("it is valid");
    let to = contact(digits);
    let call = Call { environment, agent: Agent(0).id(), from, to, at: before(2), outcome: Outcome::Busy };
    assert_eq!(service.record(vec![Event::Call(call)]), Ok(vec![Ok(Applied::Recorded)]));
}

#[test]
fn deleted_environment_leaves_memory_at_a_restart_and_the_disk_with_the_next_purge() {
    const OTHER: &str = "4930999999";
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("data");
    let (service, upkeep) = used(&path);
    service.record(vec![forget(MIDDLE, before(1))]).expect("it is durable");
    call_of_another(&service, OTHER);
    service.route(Dialed(0).number(), Caller::Number(contact(FIRST)), START);
    let counted = || {
        let (done, committed) = std::sync::mpsc::channel();
        service.submit_counts(move |result| done.send(result).expect("received"));
        committed.recv().expect("an answer").expect("durable");
    };
    counted();
    upkeep.purge(None, before(8)).expect("it is written");
    assert!(!files_with(&path, FIRST).is_empty() && !files_with(&path, OTHER).is_empty());
    let counts = |service: &Service| service.statistics(Tenant(0).id(), &(Day::FIRST..=Day::LAST));
    assert_eq!(counts(&service).callbacks.len(), 1);

    delete_environment(&service);
    counted();
    assert_eq!(counts(&service), Statistics::default());
    let late = || vec![call(FIRST, before(0)), forget(LAST, START)];
    assert_eq!(service.record(late()), Ok(vec![Ok(Applied::Ignored); 2]));
    // A start before the purge does not load what is still in the files.
    drop(service);
    let store = FjallStore::open(&path).expect("it opens");
    let upkeep = store.upkeep();
    let service = start(store);
    assert_eq!(service.history().len(), 1, "the pair of the other environment");
    assert_eq!(service.record(late()), Ok(vec![Ok(Applied::Ignored); 2]));
    assert!(!files_with(&path, FIRST).is_empty(), "nothing has been purged yet");
    let mut export = Vec::new();
    service.export().expect("a store that exports")(&mut export).expect("it is written");
    let export = String::from_utf8(export).expect("text");
    assert!(export.contains(OTHER) && !export.contains(FIRST) && !export.contains(LAST), "{export}");
    let end = export.lines().last().expect("an end");
    assert!(end.contains(r#""calls":1,"known":0,"erasures":0"#), "{end}");

    upkeep.purge(None, START).expect("it is written");
    for digits in [FIRST, MIDDLE, LAST] {
        assert_eq!(files_with(&path, digits), Vec::<String>::new(), "{digits}");
    }
    assert_eq!(DiskSearch::new(others()).numbers(&path).len(), 0, "none of its contacts");
    assert!(!files_with(&path, OTHER).is_empty());
    drop(service);
    assert_eq!(["registers", "erasures", "statistics"].map(|keyspace| records(&path, keyspace)), [1, 0, 0]);

    // The id is not used again, and the number starts without a history in another environment.
    let service = open(&path);
    let set = Change::EnvironmentSet { name: "again".into(), dial_plan: DialPlan::NONE, lookback: Lookback::default() };
    assert_eq!(configure(&service, vec![set]), Err(ConfigError::EnvironmentDeleted(Tenant(0).id()).into()));
    assert_eq!(reason(&service, FIRST), Reason::UnknownNumber);
    drop(service);
    let restored = directory.path().join("restored");
    dialback::store::restore(&restored, export.as_bytes()).expect("an export with a deleted environment");
    assert_eq!(open(&restored).history().len(), 1);
}

/// Notes the number of registers in each batch.
#[derive(Clone, Default)]
struct Noting(Arc<std::sync::Mutex<Vec<usize>>>);

impl EventStore for Noting {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.0.lock().expect("not poisoned").push(batch.registers.len());
        Ok(())
    }

    fn recover(&mut self, _: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The work of a deletion must not depend on the number of calls, because the changes of others wait for each commit.
#[test]
fn deletion_of_an_environment_commits_no_register() {
    let store = Noting::default();
    let service = start(store.clone());
    configure(&service, changes()).expect("it is valid");
    let calls = (0..5000u64).map(|n| call(&format!("4420{n:08}"), before(2)));
    service.record(calls.collect()).expect("it is durable");
    let batches = store.0.lock().expect("not poisoned").len();
    delete_environment(&service);
    assert_eq!(store.0.lock().expect("not poisoned")[batches..], [0, 0]);
}
