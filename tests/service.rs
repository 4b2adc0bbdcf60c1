//! The service over its stores: what is acknowledged is there again, what cannot be stored is not in force, and a data
//! directory that is not ours, not readable or not free is left as it is.

use dialback::history::Full;
use dialback::store::{Batch, EventStore, FjallStore, StoreError, Stored};
use dialback::testing::driver::Driver;
use dialback::testing::failing::FailingStore;
use dialback::testing::op::furnished;
use dialback::testing::recording::RecordingStore;
use dialback::testing::universe::{Agent, Dialed, Moment, Number, START, Tenant};
use dialback::{
    Applied, Call, Caller, Change, ConfigError, Decision, DialPlan, Direction, Engine, Erasure, Event, Lookback,
    Outcome, Reason, Service, ServiceError,
};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, mpsc};

fn start(store: impl EventStore) -> Service {
    Service::start(store, Engine::new(), |_| {}).expect("what is stored fits")
}

fn open(path: &Path) -> Service {
    start(FjallStore::open(path).expect("it opens"))
}

fn settings() -> Change {
    Change::EnvironmentSet { name: "acme".into(), dial_plan: DialPlan::NONE, lookback: Lookback::default() }
}

/// A source (agent 0) and its callback agent (agent 3) behind number 0.
fn changes() -> Vec<Change> {
    let numbers = || Some(vec![Number(0).id()]);
    let mut changes = vec![settings(), Change::NumberAdded { id: Number(0).id(), number: Dialed(0).number() }];
    for (agent, direction) in [(Agent(0), Direction::Outbound), (Agent(3), Direction::Inbound)] {
        changes.push(Change::AgentCreated { id: agent.id(), name: "agent".into(), label: None, direction });
        changes.push(Change::CallingSet { id: agent.id(), direction, numbers: numbers() });
        changes.push(Change::AgentPublished { id: agent.id() });
    }
    let sources = vec![Agent(0).id()];
    changes.push(Change::CallbackSet { id: Agent(3).id(), sources, outcomes: None, lookback: None });
    changes
}

fn configure(service: &Service, changes: Vec<Change>) -> Result<u64, ServiceError> {
    service.configure(Tenant(0).id(), START, |_| Ok(changes)).map(|plan| plan.generation())
}

fn call_to(contact: u64, at: Moment, outcome: Outcome) -> Event {
    Event::Call(Call {
        environment: Tenant(0).id(),
        agent: Agent(0).id(),
        from: Dialed(0).number(),
        to: dialback::E164::from_code(49_000 + contact).expect("a code"),
        at: at.at(START),
        outcome,
    })
}

fn erase(contact: u64, until: Moment) -> Event {
    let contact = dialback::E164::from_code(49_000 + contact).expect("a code");
    Event::Erasure(Erasure { environment: Tenant(0).id(), contact, until: until.at(START) })
}

fn ask(service: &Service, contact: u64) -> Decision {
    let caller = Caller::Number(dialback::E164::from_code(49_000 + contact).expect("a code"));
    service.engine().resolve(Dialed(0).number(), caller, START)
}

fn ask_all(service: &Service) -> Vec<Decision> {
    (0..300).map(|contact| ask(service, contact)).collect()
}

/// Names and bytes of all that is in a directory.
fn contents(path: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut all = BTreeMap::new();
    let mut waiting = vec![path.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).expect("a directory") {
            let entry = entry.expect("a readable directory").path();
            let name = entry.strip_prefix(path).expect("below it").display().to_string();
            if entry.is_dir() {
                all.insert(name, None);
                waiting.push(entry);
            } else {
                all.insert(name, Some(fs::read(&entry).expect("a readable file")));
            }
        }
    }
    all
}

mod durability {
    use super::*;

    #[test]
    fn what_is_acknowledged_is_there_after_a_restart() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("data");
        let service = Arc::new(open(&path));
        configure(&service, changes()).expect("it is valid");
        // Many callers at once: their events share syncs.
        let threads: Vec<_> = (0..4)
            .map(|part| {
                let service = Arc::clone(&service);
                std::thread::spawn(move || {
                    for contact in (part * 50)..(part * 50 + 50) {
                        let did = service.record(vec![call_to(contact, Moment(2), Outcome::Busy)]);
                        assert_eq!(did, Ok(vec![Ok(Applied::Recorded)]));
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        let did = service.record(vec![erase(7, Moment(0)), call_to(8, Moment(10), Outcome::Voicemail)]);
        assert_eq!(did, Ok(vec![Ok(Applied::Erased { pairs: 1 }), Ok(Applied::Recorded)]));

        let before = ask_all(&service);
        assert_eq!(before.iter().filter(|decision| decision.reason == Reason::Matched).count(), 199);
        drop(service);
        let service = open(&path);
        assert_eq!(ask_all(&service), before);
        // And it goes on: the next configuration follows the last one.
        assert_eq!(configure(&service, vec![Change::AgentUnpublished { id: Agent(3).id() }]), Ok(2));
        drop(service);
        assert_eq!(ask(&open(&path), 1).reason, Reason::CallbackAgentUnpublished);
    }

    #[test]
    fn calls_and_erasures_in_any_mix_come_back_as_they_were_in_memory() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("data");
        let service = open(&path);
        configure(&service, changes()).expect("it is valid");
        let mix = |contact: u64| {
            let call = |at, outcome| call_to(contact, Moment(at), outcome);
            let mixes = [
                vec![call(4, Outcome::Busy), erase(contact, Moment(4)), call(4, Outcome::Voicemail)],
                vec![erase(contact, Moment(4)), call(4, Outcome::Busy), call(2, Outcome::Busy)],
                vec![call(2, Outcome::Busy), erase(contact, Moment(4)), call(5, Outcome::Busy)],
                vec![call(2, Outcome::Busy), call(2, Outcome::Voicemail), call(2, Outcome::Initiated)],
                vec![erase(contact, Moment(0)), erase(contact, Moment(4)), call(2, Outcome::Busy)],
                vec![call(2, Outcome::Busy), erase(contact, Moment(0)), erase(contact, Moment(0))],
            ];
            mixes[usize::try_from(contact % 6).expect("small")].clone()
        };
        let events: Vec<Event> = (0..300).flat_map(mix).collect();
        let did = service.record(events).expect("it is durable");
        let pairs: u64 = did.iter().map(|did| if let Ok(Applied::Erased { pairs }) = did { *pairs } else { 0 }).sum();
        assert_eq!(pairs, 100, "the first and the last of the mixes lose their call");
        let before = ask_all(&service);
        drop(service);
        assert_eq!(ask_all(&open(&path)), before);
    }

    #[test]
    fn a_data_directory_is_free_again_when_its_service_is_gone() {
        let directory = tempfile::tempdir().expect("a directory");
        for _ in 0..3 {
            drop(open(directory.path()));
        }
    }

    #[test]
    fn the_whole_world_of_the_driver_comes_back_from_disk() {
        struct OnDisk(Option<Service>, tempfile::TempDir);
        impl dialback::testing::driver::Subject for OnDisk {
            fn apply(&mut self, events: &[Event]) -> Vec<Option<Applied>> {
                let did = self.0.as_ref().expect("running").record(events.to_vec()).expect("it is durable");
                did.into_iter().map(Result::ok).collect()
            }
            fn engine(&self) -> Arc<Engine> {
                Arc::clone(self.0.as_ref().expect("running").engine())
            }
            fn restart(&mut self) {
                drop(self.0.take());
                self.0 = Some(open(self.1.path()));
            }
        }
        let directory = tempfile::tempdir().expect("a directory");
        let seen = Driver::new(OnDisk(Some(open(directory.path())), directory)).run(&furnished());
        assert_eq!(seen.restarts, 1);
    }
}

mod groups {
    use super::*;

    /// Commits only when it is told to, so that what is handed in meanwhile becomes one group.
    struct Gated(RecordingStore, mpsc::Receiver<()>);

    impl EventStore for Gated {
        fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
            self.1.recv().expect("the test goes on");
            self.0.commit(batch)
        }

        fn recover(&mut self, see: &mut dyn FnMut(Stored) -> Result<(), StoreError>) -> Result<(), StoreError> {
            self.0.recover(see)
        }
    }

    /// A service whose committer is busy with a first configuration, and what lets it go on.
    fn busy() -> (RecordingStore, Service, mpsc::Sender<()>) {
        let store = RecordingStore::new();
        let (go_on, gate) = mpsc::channel();
        let service = start(Gated(store.clone(), gate));
        let (begins, begun) = mpsc::channel();
        let decide = move |_: &dialback::Plan| {
            begins.send(()).expect("the test waits");
            Ok(vec![settings()])
        };
        service.submit_configuration(Tenant(1).id(), START, decide, |done| assert!(done.is_ok()));
        // Its group is closed when its decision is asked for; what is handed in after that waits for its sync.
        begun.recv().expect("its turn comes");
        (store, service, go_on)
    }

    #[test]
    fn many_callers_share_one_sync() {
        let (store, service, go_on) = busy();
        let (done, answers) = mpsc::channel();
        service.submit_configuration(Tenant(0).id(), START, |_| Ok(changes()), |_| {});
        for contact in 0..100 {
            let done = done.clone();
            let call = call_to(contact, Moment(2), Outcome::Busy);
            service.submit(vec![call], move |did| done.send(did).expect("the test waits"));
        }
        assert_eq!(ask(&service, 0).reason, Reason::UnknownNumber, "nothing is in force before it is durable");
        go_on.send(()).expect("the store waits");
        go_on.send(()).expect("the store waits");
        for did in answers.iter().take(100) {
            assert_eq!(did, Ok(vec![Ok(Applied::Recorded)]));
        }
        assert_eq!((store.commits(), store.pairs()), (2, 100));
        // A configuration before its calls in one group: all of it is in force, now and after a restart.
        assert!(ask_all(&service)[..100].iter().all(|decision| decision.reason == Reason::Matched));
        let before = ask_all(&service);
        drop(service);
        assert_eq!(ask_all(&start(store)), before);
    }

    #[test]
    fn a_call_before_its_agent_in_one_group_is_ignored_in_memory_as_on_disk() {
        let (store, service, go_on) = busy();
        let (done, answer) = mpsc::channel();
        let early = vec![call_to(1, Moment(2), Outcome::Busy), erase(2, Moment(0))];
        service.submit(early, move |did| done.send(did).expect("the test waits"));
        service.submit_configuration(Tenant(0).id(), START, |_| Ok(changes()), |_| {});
        go_on.send(()).expect("the store waits");
        go_on.send(()).expect("the store waits");
        let did = answer.recv().expect("an answer");
        assert_eq!(did, Ok(vec![Ok(Applied::Ignored), Ok(Applied::Ignored)]));
        go_on.send(()).expect("the store waits");
        // What had been ignored has left nothing behind: a call from before the erasure counts.
        let did = service.record(vec![call_to(2, Moment(4), Outcome::Busy)]);
        assert_eq!(did, Ok(vec![Ok(Applied::Recorded)]));
        let before = ask_all(&service);
        assert_eq!(before[1].reason, Reason::NoHistory);
        drop(service);
        assert_eq!(ask_all(&start(store)), before);
    }

    #[test]
    fn a_refused_change_leaves_the_others_of_its_group_alone() {
        let (_, service, go_on) = busy();
        let (done, answers) = mpsc::channel();
        for changes in [changes(), changes(), vec![Change::AgentUnpublished { id: Agent(3).id() }]] {
            let done = done.clone();
            let answer =
                move |plan: Result<Arc<_>, _>| done.send(plan.map(|_: Arc<dialback::Plan>| ())).expect("waits");
            service.submit_configuration(Tenant(0).id(), START, |_| Ok(changes), answer);
        }
        go_on.send(()).expect("the store waits");
        go_on.send(()).expect("the store waits");
        let answers: Vec<_> = answers.iter().take(3).collect();
        let taken = ServiceError::Config(ConfigError::NumberExists(Number(0).id()));
        assert_eq!(answers.iter().filter(|answer| **answer == Err(taken.clone())).count(), 1);
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2);
        assert_eq!(service.engine().plan().generation(), 3);
    }

    #[test]
    fn no_change_is_no_event() {
        let store = RecordingStore::new();
        let service = start(store.clone());
        assert_eq!(configure(&service, vec![]), Ok(0));
        assert_eq!(service.record(vec![]), Ok(vec![]));
        assert_eq!(store.commits(), 0);
    }

    #[test]
    fn a_replayed_configuration_changes_nothing_and_says_so() {
        let service = start(RecordingStore::new());
        let changes = changes();
        let configuration = dialback::Configuration { sequence: 1, environment: Tenant(0).id(), at: START, changes };
        let event = Event::Configuration(configuration);
        let did = service.record(vec![event.clone(), event.clone()]);
        assert_eq!(did, Ok(vec![Ok(Applied::Configured { generation: 1 }), Ok(Applied::Unchanged)]));
        assert_eq!(service.record(vec![event]), Ok(vec![Ok(Applied::Unchanged)]));
    }
}

mod failures {
    use super::*;

    fn not_durable<T: std::fmt::Debug>(did: &Result<T, ServiceError>) -> bool {
        matches!(did, Err(ServiceError::NotDurable(_)))
    }

    #[test]
    fn after_a_failed_commit_nothing_more_is_taken_and_routing_goes_on() {
        let store = RecordingStore::new();
        let service = start(FailingStore::at_commit(2, store.clone()));
        configure(&service, changes()).expect("it is valid");
        service.record(vec![call_to(1, Moment(2), Outcome::Busy)]).expect("it is durable");
        let before = ask_all(&service);
        assert_eq!((service.failure(), before[1].reason), (None, Reason::Matched));

        assert!(not_durable(&service.record(vec![call_to(2, Moment(2), Outcome::Busy)])));
        assert!(not_durable(&service.record(vec![erase(1, Moment(0))])));
        assert!(not_durable(&configure(&service, vec![Change::AgentUnpublished { id: Agent(3).id() }])));
        assert!(not_durable(&service.record(vec![])), "not even nothing is acknowledged");
        assert!(service.failure().is_some());
        assert_eq!(ask_all(&service), before, "nothing of it is in force");
        drop(service);
        assert_eq!((store.commits(), ask_all(&start(store))), (2, before));
    }

    #[test]
    fn a_batch_that_reached_the_disk_before_its_sync_failed_may_be_there_after_a_restart() {
        let store = RecordingStore::new();
        let service = start(FailingStore::after_writing(1, store.clone()));
        configure(&service, changes()).expect("it is valid");
        assert!(not_durable(&service.record(vec![call_to(2, Moment(2), Outcome::Busy)])));
        assert_eq!(ask(&service, 2).reason, Reason::NoHistory);
        drop(service);
        assert_eq!(ask(&start(store), 2).reason, Reason::Matched);
    }

    #[test]
    fn every_commit_may_be_the_one_that_fails() {
        let events: Vec<Event> =
            (0..12).map(|contact| call_to(contact % 5, Moment(2), Outcome::from_rank(2))).collect();
        for fails_at in 0..8 {
            let store = RecordingStore::new();
            let service = start(FailingStore::at_commit(fails_at, store.clone()));
            let configured = configure(&service, changes()).is_ok();
            assert_eq!(configured, fails_at > 0);
            for event in &events {
                let _ = service.record(vec![event.clone()]);
            }
            let before = ask_all(&service);
            drop(service);
            assert_eq!(ask_all(&start(store)), before, "failed at {fails_at}");
        }
    }
}

mod ceiling {
    use super::*;

    #[test]
    fn what_the_history_refuses_is_not_stored() {
        let store = RecordingStore::new();
        let start = |store| Service::start(store, Engine::with_max_pairs(3), |_| {});
        let service = start(store.clone()).expect("it is empty");
        configure(&service, changes()).expect("it is valid");
        let events = (0..5).map(|contact| call_to(contact, Moment(2), Outcome::Busy)).collect();
        let did = service.record(events).expect("it is durable");
        let full = |did: &Result<Applied, ServiceError>| matches!(did, Err(ServiceError::Full(Full { .. })));
        assert_eq!(did.iter().filter(|did| **did == Ok(Applied::Recorded)).count(), 3);
        assert!(did[3..].iter().all(full), "{did:?}");
        assert!(service.record(vec![call_to(9, Moment(2), Outcome::Busy)]).is_ok_and(|did| full(&did[0])));
        // What is there can still change.
        let did = service.record(vec![call_to(0, Moment(1), Outcome::Voicemail)]);
        assert_eq!(did, Ok(vec![Ok(Applied::Recorded)]));
        // An erasure forgets what it finds, also where it cannot be remembered itself.
        let did = service.record(vec![erase(1, Moment(0))]).expect("it is durable");
        assert!(full(&did[0]), "{did:?}");
        let before = ask_all(&service);
        assert_eq!(before[1].reason, Reason::NoHistory);
        drop(service);
        assert_eq!(store.pairs(), 3);
        let service = start(store).expect("a restart must not fail for what was refused");
        assert_eq!(ask_all(&service), before);
    }
}

mod directories {
    use super::*;

    /// A data directory that has been used and closed.
    pub(super) fn used() -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("a directory");
        let service = open(directory.path());
        configure(&service, changes()).expect("it is valid");
        let events = (0..300).map(|contact| call_to(contact, Moment(2), Outcome::Busy)).collect();
        service.record(events).expect("it is durable");
        drop(service);
        directory
    }

    /// Opening says this, and changes nothing.
    fn refused(path: &Path, expected: impl FnOnce(&StoreError) -> bool) {
        let before = contents(path);
        let error = FjallStore::open(path).expect_err("it must not open");
        assert!(expected(&error), "{error:?}");
        assert!(error.to_string().contains(&path.display().to_string()), "it says where: {error}");
        assert!(contents(path) == before, "the directory was touched");
    }

    #[test]
    fn a_directory_that_another_holds_is_locked() {
        let directory = used();
        let held = FjallStore::open(directory.path()).expect("it opens");
        refused(directory.path(), |error| matches!(error, StoreError::Locked(_)));
        drop(held);
        FjallStore::open(directory.path()).expect("it is free again");
    }

    #[test]
    fn a_directory_with_something_else_in_it_is_foreign() {
        for name in ["notes.txt", "lock.bak", ".hidden", "store"] {
            let directory = tempfile::tempdir().expect("a directory");
            fs::write(directory.path().join(name), "keep me").expect("written");
            refused(directory.path(), |error| matches!(error, StoreError::Foreign(_)));
        }
    }

    #[test]
    fn a_directory_of_a_newer_format_is_newer() {
        for lock in [true, false] {
            let directory = used();
            fs::write(directory.path().join("dialback.json"), "{\"format\":2}").expect("written");
            if !lock {
                fs::remove_file(directory.path().join("lock")).expect("removed");
            }
            refused(directory.path(), |error| matches!(error, StoreError::Newer { found: 2, known: 1, .. }));
        }
    }

    #[test]
    fn a_damaged_marker_is_damage() {
        for marker in [&b""[..], b"{}", b"{\"format\":-1}", b"{\"format\":\"1\"}", b"\xFF\xFE", b"[1]"] {
            let directory = used();
            fs::write(directory.path().join("dialback.json"), marker).expect("written");
            refused(directory.path(), |error| matches!(error, StoreError::Damaged { .. }));
        }
    }

    #[test]
    fn a_directory_without_its_store_is_damaged() {
        for lock in [true, false] {
            let directory = used();
            fs::remove_dir_all(directory.path().join("store")).expect("removed");
            if !lock {
                fs::remove_file(directory.path().join("lock")).expect("removed");
            }
            refused(directory.path(), |error| matches!(error, StoreError::Damaged { .. }));
        }
    }

    #[test]
    fn a_directory_whose_store_has_been_emptied_is_damaged() {
        let directory = used();
        fs::remove_dir_all(directory.path().join("store")).expect("removed");
        fs::create_dir(directory.path().join("store")).expect("made");
        refused(directory.path(), |error| matches!(error, StoreError::Damaged { .. }));
    }

    #[test]
    fn a_file_is_no_directory() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("file");
        fs::write(&path, "keep me").expect("written");
        FjallStore::open(&path).expect_err("it must not open");
        assert_eq!(fs::read(&path).expect("there"), b"keep me");
    }
}

/// Damage to the storage engine's files, one file at a time: gone, empty, half, a bit flipped in several places.
///
/// What was found, and is held here: nothing panics, and every damage is an error or does not matter, but for the journal. A
/// journal that is cut short looks like one whose last write was: the engine takes what comes before the cut, and says
/// nothing. No answer comes out of that that was not right at some time; acknowledged events can be missing from it.
mod damage {
    use super::*;

    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    enum Found {
        Error,
        Same,
        Less,
    }

    fn found(path: &Path, before: &[Decision]) -> Found {
        let open = || {
            let service = Service::start(FjallStore::open(path)?, Engine::new(), |_| {})?;
            Ok::<_, StoreError>(ask_all(&service))
        };
        let Ok(after) = open() else { return Found::Error };
        if after == before {
            return Found::Same;
        }
        for decision in after {
            assert!(matches!(decision.reason, Reason::UnknownNumber | Reason::NoHistory | Reason::Matched));
        }
        Found::Less
    }

    fn write_all(path: &Path, all: &BTreeMap<String, Option<Vec<u8>>>) {
        for (name, bytes) in all {
            match bytes {
                None => fs::create_dir_all(path.join(name)).expect("made"),
                Some(bytes) => fs::write(path.join(name), bytes).expect("written"),
            }
        }
    }

    fn variants(bytes: &[u8]) -> Vec<(&'static str, Option<Vec<u8>>)> {
        let flipped = |at: usize| {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= 0x10;
            ("flipped", Some(bytes))
        };
        // Also near the front, where lengths are.
        let places = [0, 1, 2, 3, bytes.len() / 3, bytes.len() / 2, bytes.len().saturating_sub(1)];
        let places = places.into_iter().filter(|at| *at < bytes.len());
        let cuts = [("gone", None), ("empty", Some(vec![])), ("half", Some(bytes[..bytes.len() / 2].to_vec()))];
        cuts.into_iter().chain(places.map(flipped)).collect()
    }

    #[test]
    fn damage_is_an_error_or_does_not_matter_or_has_cut_the_journal_short() {
        let original = directories::used();
        let before = ask_all(&open(original.path()));
        let all = contents(original.path());
        let mut errors = 0;
        for (name, bytes) in &all {
            for (what, damaged) in bytes.iter().flat_map(|bytes| variants(bytes)) {
                let mut damaged_all = all.clone();
                match damaged {
                    None => damaged_all.remove(name),
                    damaged => damaged_all.insert(name.clone(), damaged),
                };
                let copy = tempfile::tempdir().expect("a directory");
                write_all(copy.path(), &damaged_all);
                let found = found(copy.path(), &before);
                let is_journal = Path::new(name).extension().is_some_and(|extension| extension == "jnl");
                assert!(found != Found::Less || (is_journal && what != "gone"), "{name} {what}");
                errors += u32::from(found == Found::Error);
            }
        }
        assert!(errors > 50, "{errors} damages were found");
    }
}
