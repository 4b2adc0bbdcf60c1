//! Groups: many callers share one sync.

use super::*;

/// A store that commits only on request, so that commands submitted meanwhile form one group.
struct Gated(RecordingStore, mpsc::Receiver<()>);

impl EventStore for Gated {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.1.recv().expect("the test goes on");
        self.0.commit(batch)
    }

    fn recover(&mut self, see: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        self.0.recover(see)
    }
}

/// Returns a service whose committer is busy with a first configuration, and a sender that lets it continue.
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
    // The group is closed when `decide` is called. Later commands wait for the next sync.
    begun.recv().expect("its turn comes");
    (store, service, go_on)
}

#[test]
fn concurrent_callers_share_one_sync() {
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
    // A configuration comes before its calls in one group. All of it is in force, now and after a restart.
    assert!(ask_all(&service)[..100].iter().all(|decision| decision.reason == Reason::Matched));
    let before = ask_all(&service);
    drop(service);
    assert_eq!(ask_all(&start(store)), before);
}

#[test]
fn call_before_its_agent_in_one_group_is_ignored_in_memory_and_on_disk() {
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
    // The ignored erasure left nothing behind: a call from before it counts.
    let did = service.record(vec![call_to(2, Moment(4), Outcome::Busy)]);
    assert_eq!(did, Ok(vec![Ok(Applied::Recorded)]));
    let before = ask_all(&service);
    assert_eq!(before[1].reason, Reason::NoHistory);
    drop(service);
    assert_eq!(ask_all(&start(store)), before);
}

#[test]
fn rejected_change_does_not_affect_others_of_its_group() {
    let (_, service, go_on) = busy();
    let (done, answers) = mpsc::channel();
    for changes in [changes(), changes(), vec![Change::AgentUnpublished { id: Agent(3).id() }]] {
        let done = done.clone();
        let answer = move |plan: Result<Arc<_>, _>| done.send(plan.map(|_: Arc<dialback::Plan>| ())).expect("waits");
        service.submit_configuration(Tenant(0).id(), START, |_| Ok(changes), answer);
    }
    go_on.send(()).expect("the store waits");
    go_on.send(()).expect("the store waits");
    let answers: Vec<_> = answers.iter().take(3).collect();
    let taken = ServiceError::Config(ConfigError::NumberExists(Number(0).id()));
    assert_eq!(answers.iter().filter(|answer| **answer == Err(taken.clone())).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2);
    assert_eq!(service.plan().generation(), 3);
}

#[test]
fn change_is_answered_with_its_own_plan_not_the_plan_of_its_group() {
    let (_, service, go_on) = busy();
    let (done, answers) = mpsc::channel();
    let id = Agent(3).id();
    let deleted = vec![Change::AgentUnpublished { id }, Change::AgentDeleted { id }];
    for changes in [changes(), vec![], deleted, vec![]] {
        let done = done.clone();
        let answer = move |plan: Result<_, _>| done.send(plan.expect("it can be made")).expect("the test waits");
        service.submit_configuration(Tenant(0).id(), START, |_| Ok(changes), answer);
    }
    go_on.send(()).expect("the store waits");
    go_on.send(()).expect("the store waits");
    let plans: Vec<Arc<dialback::Plan>> = answers.iter().take(4).collect();
    assert_eq!(plans.iter().map(|plan| plan.generation()).collect::<Vec<_>>(), [2, 2, 3, 3]);
    let exists = |plan: &Arc<dialback::Plan>| plan.agent(Tenant(0).id(), id).is_some();
    assert_eq!(plans.iter().map(exists).collect::<Vec<_>>(), [true, true, false, false]);
    assert_eq!(service.plan().generation(), 3);
}

#[test]
fn empty_change_writes_no_event() {
    let store = RecordingStore::new();
    let service = start(store.clone());
    assert_eq!(configure(&service, vec![]), Ok(0));
    assert_eq!(service.record(vec![]), Ok(vec![]));
    assert_eq!(store.commits(), 0);
}

#[test]
fn replayed_configuration_is_reported_as_unchanged() {
    let service = start(RecordingStore::new());
    let changes = changes();
    let configuration = dialback::Configuration::new(1, Tenant(0).id(), START, changes);
    let event = Event::Configuration(configuration);
    let did = service.record(vec![event.clone(), event.clone()]);
    assert_eq!(did, Ok(vec![Ok(Applied::Configured { generation: 1 }), Ok(Applied::Unchanged)]));
    assert_eq!(service.record(vec![event]), Ok(vec![Ok(Applied::Unchanged)]));
}
