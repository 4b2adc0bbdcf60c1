//! Durability of acknowledged changes.

use super::*;
use dialback::Configuration;
use dialback::service::Consumed;

#[test]
fn acknowledged_changes_are_present_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("data");
    let service = Arc::new(open(&path));
    configure(&service, changes()).expect("it is valid");
    // Many concurrent callers share syncs.
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
    for thread in threads {
        thread.join().expect("no panic");
    }
    let did = service.record(vec![erase(7, Moment(0)), call_to(8, Moment(10), Outcome::Voicemail)]);
    assert_eq!(did, Ok(vec![Ok(Applied::Erased { pairs: 1 }), Ok(Applied::Recorded)]));

    let before = ask_all(&service);
    assert_eq!(before.iter().filter(|decision| decision.reason == Reason::Matched).count(), 199);
    drop(service);
    let service = open(&path);
    assert_eq!(ask_all(&service), before);
    // The next configuration follows the last one.
    assert_eq!(configure(&service, vec![Change::AgentUnpublished { id: Agent(3).id() }]), Ok(2));
    drop(service);
    assert_eq!(ask(&open(&path), 1).reason, Reason::CallbackAgentUnpublished);
}

#[test]
fn calls_and_erasures_in_any_order_are_loaded_as_they_were_in_memory() {
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

/// Copies the files as they are when a process is killed: the content of the system's cache.
fn killed(path: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().expect("a directory");
    for (name, bytes) in contents(path) {
        let to = copy.path().join(name);
        match bytes {
            Some(bytes) => fs::write(to, bytes).expect("written"),
            None => fs::create_dir_all(to).expect("made"),
        }
    }
    copy
}

#[test]
fn acknowledged_changes_survive_what_their_durability_promises() {
    for (durability, survives_a_kill) in
        [(Durability::Synced, true), (Durability::Buffered, true), (Durability::Memory, false)]
    {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("data");
        let service = open(&path);
        configure(&service, changes()).expect("it is valid");
        service.record(vec![call_to(1, Moment(2), Outcome::Busy)]).expect("it is durable");
        drop(service);

        let service = start(FjallStore::open(&path).expect("it opens").with_durability(durability));
        assert_eq!(service.durability(), durability);
        service.record(vec![call_to(2, Moment(2), Outcome::Busy)]).expect("it is acknowledged");
        assert_eq!(
            configure(
                &service,
                vec![Change::AgentCreated {
                    id: Agent(5).id(),
                    name: "agent".into(),
                    label: None,
                    direction: Direction::Inbound,
                }]
            ),
            Ok(2)
        );
        assert_eq!(ask(&service, 2).reason, Reason::Matched, "{durability}: it is in force");
        let after_a_kill = open(killed(&path).path());
        assert_eq!(ask(&after_a_kill, 1).reason, Reason::Matched, "{durability}: what was there before stays");
        let expected = if survives_a_kill { (Reason::Matched, 2) } else { (Reason::NoHistory, 1) };
        assert_eq!((ask(&after_a_kill, 2).reason, after_a_kill.plan().generation()), expected, "{durability}");
        drop(service);
        let after_the_end = open(&path);
        assert_eq!((ask(&after_the_end, 2).reason, after_the_end.plan().generation()), expected, "{durability}");
    }
}

/// A store that reports each call of its methods.
struct Asked(Durability, mpsc::Sender<&'static str>, bool);

impl EventStore for Asked {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.1.send(if batch.can_wait { "commit that can wait" } else { "commit" }).expect("the test listens");
        Ok(())
    }

    fn recover(&mut self, _: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        Ok(())
    }

    fn durability(&self) -> Durability {
        self.0
    }

    fn sync(&mut self) -> Result<(), StoreError> {
        self.1.send("sync").expect("the test listens");
        if self.2 { Err(StoreError::Engine("the disk is gone".into())) } else { Ok(()) }
    }
}

#[test]
fn buffered_changes_are_synced_soon_and_at_the_end() {
    let (asked, answers) = mpsc::channel();
    let service = start(Asked(Durability::Buffered, asked, false));
    configure(&service, changes()).expect("it is valid");
    // No further command is submitted; the sync comes by itself.
    assert_eq!((answers.recv(), answers.recv()), (Ok("commit"), Ok("sync")));
    service.record(vec![call_to(1, Moment(2), Outcome::Busy)]).expect("it is acknowledged");
    drop(service);
    assert_eq!(answers.iter().collect::<Vec<_>>(), ["commit", "sync"]);

    let (asked, answers) = mpsc::channel();
    let service = start(Asked(Durability::Synced, asked, false));
    configure(&service, changes()).expect("it is valid");
    drop(service);
    assert_eq!(answers.iter().collect::<Vec<_>>(), ["commit"], "the commit was the sync");
}

/// Submits events as messages of a stream.
fn consume(service: &Service, events: Vec<Event>) {
    let (told, answer) = mpsc::channel();
    service.submit_consumed(Consumed { events, ..Consumed::default() }, move |did| told.send(did).expect("waited for"));
    answer.recv().expect("an answer").expect("it is committed");
}

#[test]
fn events_of_a_stream_wait_for_a_sync_and_acknowledged_ones_do_not() {
    let call = || call_to(1, Moment(2), Outcome::Busy);
    let (asked, answers) = mpsc::channel();
    let service = start(Asked(Durability::Synced, asked, false));
    configure(&service, changes()).expect("it is valid");
    consume(&service, vec![call()]);
    // The history has the call already, so nothing is stored. The acknowledgement still requires a sync, because the
    // client's copy may be the only other one.
    service.record(vec![call()]).expect("it is acknowledged");
    assert_eq!(answers.try_iter().collect::<Vec<_>>(), ["commit", "commit that can wait", "commit"]);
    // That commit synced both. The next call is acknowledged to no client.
    consume(&service, vec![call_to(2, Moment(2), Outcome::Busy)]);
    assert_eq!((answers.recv(), answers.recv()), (Ok("commit that can wait"), Ok("sync")));
    service.record(vec![call_to(2, Moment(2), Outcome::Busy)]).expect("it is acknowledged");
    let changes = vec![Change::AgentUnpublished { id: Agent(3).id() }];
    let configuration = Configuration::new(2, Tenant(0).id(), START, changes);
    consume(&service, vec![Event::Configuration(configuration)]);
    drop(service);
    assert_eq!(answers.iter().collect::<Vec<_>>(), ["commit"], "what was synced already, and a configuration");
}

#[test]
fn failed_late_sync_fails_the_store() {
    let (asked, answers) = mpsc::channel();
    let service = start(Asked(Durability::Buffered, asked, true));
    configure(&service, changes()).expect("it is valid");
    assert_eq!((answers.recv(), answers.recv()), (Ok("commit"), Ok("sync")));
    let did = service.record(vec![call_to(1, Moment(2), Outcome::Busy)]);
    assert!(matches!(did, Err(ServiceError::NotDurable(_))), "{did:?}");
    assert!(service.failure().is_some());
}

#[test]
fn dropped_service_unlocks_its_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    for _ in 0..3 {
        drop(open(directory.path()));
    }
}

#[test]
fn complete_state_of_the_driver_is_loaded_from_disk() {
    struct OnDisk(Option<Service>, tempfile::TempDir);
    impl dialback::testing::driver::Subject for OnDisk {
        fn apply(&mut self, events: &[Event]) -> Vec<Option<Applied>> {
            let did = self.0.as_ref().expect("running").record(events.to_vec()).expect("it is durable");
            did.into_iter().map(Result::ok).collect()
        }
        fn engine(&self) -> Arc<Engine> {
            dialback::testing::driver::engine_of(self.0.as_ref().expect("running"))
        }
        fn restart(&mut self) {
            drop(self.0.take());
            self.0 = Some(open(self.1.path()));
        }
    }
    let directory = tempfile::tempdir().expect("a directory");
    let seen = Driver::new(OnDisk(Some(open(directory.path())), directory)).run(&initial_state());
    assert_eq!(seen.restarts, 1);
}
