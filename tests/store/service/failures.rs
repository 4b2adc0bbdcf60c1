//! Stores that fail.

use super::*;

fn not_durable<T: std::fmt::Debug>(did: &Result<T, ServiceError>) -> bool {
    matches!(did, Err(ServiceError::NotDurable(_)))
}

#[test]
fn failed_commit_rejects_later_changes_and_routing_continues() {
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

/// A store that panics, as an engine may when it reads impossible data.
struct Panicking;

impl EventStore for Panicking {
    fn commit(&mut self, _: &Batch) -> Result<(), StoreError> {
        panic!("a write of more bytes than there were");
    }

    fn recover(&mut self, _: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        Ok(())
    }
}

#[test]
fn panicking_store_counts_as_failed() {
    let service = start(Panicking);
    assert!(not_durable(&configure(&service, changes())), "the one that waits is told");
    assert!(not_durable(&service.record(vec![call_to(2, Moment(2), Outcome::Busy)])), "and those who come later");
    assert!(service.failure().is_some_and(|why| why.contains("the storage engine failed")));
    assert_eq!(ask(&service, 2).reason, Reason::UnknownNumber, "nothing of it is in force");
}

#[test]
fn batch_written_before_its_failed_sync_may_be_present_after_a_restart() {
    let store = RecordingStore::new();
    let service = start(FailingStore::after_writing(1, store.clone()));
    configure(&service, changes()).expect("it is valid");
    assert!(not_durable(&service.record(vec![call_to(2, Moment(2), Outcome::Busy)])));
    assert_eq!(ask(&service, 2).reason, Reason::NoHistory);
    drop(service);
    assert_eq!(ask(&start(store), 2).reason, Reason::Matched);
}

#[test]
fn any_commit_may_fail() {
    let events: Vec<Event> = (0..12).map(|contact| call_to(contact % 5, Moment(2), Outcome::from_rank(2))).collect();
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

#[test]
fn stalled_store_bounds_waiting_changes_and_commits_them_later() {
    const MAX_WAITING: usize = 1 << 18;
    let hang = Hang::default();
    let service = start(HangingStore::new(&hang, RecordingStore::new()));
    configure(&service, changes()).expect("it is valid");
    let hanging = hang.begin();
    let (told, answers) = mpsc::channel();
    let submit = |events: Vec<Event>| {
        let told = told.clone();
        service.submit(events, move |recording| _ = told.send(recording.map(|did| did.len())));
    };
    submit(vec![call_to(1, Moment(2), Outcome::Busy)]);
    let waited = std::time::Instant::now();
    while !service.commits().is_stalled() {
        assert!(waited.elapsed().as_secs() < 60, "nobody says that it hangs");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    // Commands up to the bound are accepted. The next one is rejected at once.
    submit(vec![call_to(1, Moment(2), Outcome::Busy); MAX_WAITING - 2]);
    submit(vec![call_to(2, Moment(2), Outcome::Busy)]);
    assert!(answers.try_recv().is_err(), "all of them wait");
    submit(vec![call_to(3, Moment(2), Outcome::Busy)]);
    assert_eq!(answers.try_recv(), Ok(Err(ServiceError::Stalled)));
    assert_eq!(configure(&service, vec![settings()]), Err(ServiceError::Stalled));

    drop(hanging);
    let taken: Vec<_> = (0..3).map(|_| answers.recv().expect("told")).collect();
    assert_eq!(taken, [Ok(1), Ok(MAX_WAITING - 2), Ok(1)]);
    assert_eq!(service.record(vec![call_to(3, Moment(2), Outcome::Busy)]).map(|did| did.len()), Ok(1));
    assert!(!service.commits().is_stalled());
    let reasons = [1, 2, 3].map(|contact| ask(&service, contact).reason);
    assert_eq!(reasons, [Reason::Matched; 3], "what waited is in force");
}
