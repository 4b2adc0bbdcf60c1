//! A node of a fleet: its changes of the configuration wait for their order, and nothing else does.

use super::*;
use dialback::service::{Acknowledge, Consumed, Sequencer};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// How long a test waits for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A request that waits for the test.
#[derive(PartialEq, Eq, Debug)]
enum Asked {
    /// To order the configuration with this sequence.
    Order(u64),
    /// To confirm that no configuration follows the one with this sequence.
    Confirm(u64),
}

/// A sequencer whose orders take as long as the test wants.
struct Slow {
    asked: Mutex<mpsc::Sender<Asked>>,
    answers: Mutex<mpsc::Receiver<Result<(), ServiceError>>>,
}

impl Sequencer for Slow {
    fn has_outbox(&self) -> bool {
        true
    }

    fn order(&self, configuration: &dialback::Configuration) -> Result<(), ServiceError> {
        self.ask(Asked::Order(configuration.sequence))
    }

    fn confirm(&self, sequence: u64) -> Result<(), ServiceError> {
        self.ask(Asked::Confirm(sequence))
    }

    fn acknowledge(&self, _: u64, done: Acknowledge) {
        done(Ok(()));
    }
}

impl Slow {
    fn ask(&self, asked: Asked) -> Result<(), ServiceError> {
        self.asked.lock().expect("no panic").send(asked).expect("the test listens");
        self.answers.lock().expect("no panic").recv().expect("the test goes on")
    }
}

/// A node, and the two ends by which the test plays its stream. They are dropped first, so that no order waits for a
/// test that failed.
struct Node {
    asked: mpsc::Receiver<Asked>,
    answer: mpsc::Sender<Result<(), ServiceError>>,
    service: Service,
}

impl Node {
    fn start(store: impl EventStore) -> Self {
        let ((asked, sequences), (answer, answers)) = (mpsc::channel(), mpsc::channel());
        let slow = Slow { asked: Mutex::new(asked), answers: Mutex::new(answers) };
        let service = Service::builder(store).sequencer(Arc::new(slow)).start().expect("it starts");
        Self { service, asked: sequences, answer }
    }

    /// Returns a node with a source, its callback agent and a number.
    fn configured(store: impl EventStore) -> Self {
        let node = Self::start(store);
        let changed = node.change(changes());
        node.ordered(1, Ok(()));
        assert_eq!(generation(&changed), Ok(1));
        node
    }

    /// Submits a change, and returns where its result arrives.
    fn change(&self, changes: Vec<Change>) -> mpsc::Receiver<Result<Arc<dialback::Plan>, ServiceError>> {
        let (done, answer) = mpsc::channel();
        self.service.submit_configuration(
            Tenant(0).id(),
            START,
            |_| Ok(changes),
            move |result| {
                let _ = done.send(result);
            },
        );
        answer
    }

    fn ordered(&self, sequence: u64, result: Result<(), ServiceError>) {
        assert_eq!(self.asked.recv_timeout(PATIENCE), Ok(Asked::Order(sequence)));
        self.answer.send(result).expect("the node waits");
    }

    /// Commits this as a message of the stream.
    fn deliver(&self, configuration: dialback::Configuration) {
        let (done, answer) = mpsc::channel();
        let consumed = Consumed { events: vec![Event::Configuration(configuration)], ..Consumed::default() };
        self.service.submit_consumed(consumed, move |did| done.send(did).expect("the test waits"));
        let did = answer.recv_timeout(PATIENCE).expect("it is committed").expect("it is durable");
        assert!(did.iter().all(Result::is_ok), "{did:?}");
    }
}

fn generation(changed: &mpsc::Receiver<Result<Arc<dialback::Plan>, ServiceError>>) -> Result<u64, ServiceError> {
    changed.recv_timeout(PATIENCE).expect("an answer").map(|plan| plan.generation())
}

fn renamed(name: &str) -> Change {
    Change::EnvironmentSet { name: name.into(), dial_plan: DialPlan::NONE, lookback: Lookback::default() }
}

fn name(plan: &dialback::Plan) -> String {
    plan.environment(Tenant(0).id()).expect("there is one").name().to_owned()
}

#[test]
fn calls_and_erasures_are_acknowledged_while_a_change_waits_for_its_order() {
    let node = Node::configured(RecordingStore::new());
    let changed = node.change(vec![renamed("slow")]);
    assert_eq!(node.asked.recv_timeout(PATIENCE), Ok(Asked::Order(2)), "it is under way");
    let began = Instant::now();
    for contact in 0..100 {
        let did = node.service.record(vec![call_to(contact, Moment(2), Outcome::Busy)]);
        assert_eq!(did, Ok(vec![Ok(Applied::Recorded)]));
    }
    assert!(began.elapsed() < Duration::from_secs(2), "no call waits for the order: {:?}", began.elapsed());
    assert_eq!(ask(&node.service, 7).reason, Reason::Matched);
    assert!(changed.try_recv().is_err(), "the change waits");
    assert_eq!(node.service.plan().generation(), 1, "and is not in force");
    node.answer.send(Ok(())).expect("the node waits");
    assert_eq!(generation(&changed), Ok(2));
}

#[test]
fn changes_are_ordered_one_after_the_other_and_each_sees_the_one_before() {
    let store = RecordingStore::new();
    let node = Node::configured(store.clone());
    let (first, second) = (node.change(vec![renamed("first")]), {
        let (done, answer) = mpsc::channel();
        let decide = |plan: &dialback::Plan| Ok(vec![renamed(&format!("after {}", name(plan)))]);
        node.service.submit_configuration(Tenant(0).id(), START, decide, move |result| {
            let _ = done.send(result);
        });
        answer
    });
    let unchanged = node.change(Vec::new());
    assert_eq!(node.asked.recv_timeout(PATIENCE), Ok(Asked::Order(2)));
    assert!(node.asked.recv_timeout(Duration::from_millis(100)).is_err(), "the second waits for the first");
    node.answer.send(Ok(())).expect("the node waits");
    assert_eq!(name(&first.recv_timeout(PATIENCE).expect("an answer").expect("ordered")), "first");
    node.ordered(3, Ok(()));
    assert_eq!(name(&second.recv_timeout(PATIENCE).expect("an answer").expect("ordered")), "after first");
    assert_eq!(node.asked.recv_timeout(PATIENCE), Ok(Asked::Confirm(3)), "no change needs its turn and its place, too");
    node.answer.send(Ok(())).expect("the node waits");
    assert_eq!(generation(&unchanged), Ok(3));
    drop(node);
    assert_eq!(name(&start(store).plan()), "after first");
}

#[test]
fn a_request_that_changes_nothing_is_rejected_if_the_order_does_not_confirm_it() {
    let node = Node::configured(RecordingStore::new());
    for result in [Err(ServiceError::Superseded), Err(ServiceError::StreamAway("cut off".into())), Ok(())] {
        let unchanged = node.change(Vec::new());
        assert_eq!(node.asked.recv_timeout(PATIENCE), Ok(Asked::Confirm(1)));
        node.answer.send(result.clone()).expect("the node waits");
        assert_eq!(generation(&unchanged), result.map(|()| 1));
    }
    assert_eq!(node.service.plan().generation(), 1);
}

#[test]
fn a_change_that_is_not_ordered_is_not_in_force_and_the_next_one_is_decided_anew() {
    let node = Node::configured(RecordingStore::new());
    for error in [ServiceError::Superseded, ServiceError::OutcomeUnknown("silent".into())] {
        let (first, second) = (node.change(vec![renamed("first")]), node.change(vec![renamed("second")]));
        let sequence = node.service.plan().generation() + 1;
        node.ordered(sequence, Err(error.clone()));
        assert_eq!(generation(&first), Err(error));
        node.ordered(sequence, Ok(()));
        assert_eq!(generation(&second), Ok(sequence));
        assert_eq!(name(&node.service.plan()), "second");
    }
    let invalid = node.change(vec![Change::NumberAdded { id: Number(1).id(), number: Dialed(0).number() }]);
    assert!(matches!(generation(&invalid), Err(ServiceError::Config(_))), "an invalid change is not ordered");
    assert!(node.asked.try_recv().is_err());
}

/// The stream can deliver a configuration before it has acknowledged it, or although its acknowledgement is lost.
#[test]
fn a_change_that_the_stream_delivers_first_is_in_force_once() {
    for late in [Ok(()), Err(ServiceError::OutcomeUnknown("the acknowledgement was lost".into()))] {
        let store = RecordingStore::new();
        let node = Node::configured(store.clone());
        let changed = node.change(vec![renamed("ours")]);
        assert_eq!(node.asked.recv_timeout(PATIENCE), Ok(Asked::Order(2)));
        let of = |sequence, name: &str| {
            let environment = Tenant(0).id();
            dialback::Configuration::new(sequence, environment, START, vec![renamed(name)])
        };
        node.deliver(of(2, "ours"));
        assert_eq!(name(&node.service.plan()), "ours");
        node.deliver(of(3, "theirs"));
        node.answer.send(late).expect("the node waits");
        let plan = changed.recv_timeout(PATIENCE).expect("an answer").expect("in force");
        assert_eq!((plan.generation(), name(&plan).as_str()), (2, "ours"), "the plan right after the change");
        assert_eq!(name(&node.service.plan()), "theirs");
        drop(node);
        let plan = start(store).plan();
        assert_eq!((plan.generation(), name(&plan).as_str()), (3, "theirs"));
    }
}

/// Two configurations with one sequence cannot both be in force.
#[test]
fn a_change_whose_place_another_configuration_took_has_an_unknown_outcome() {
    let node = Node::configured(RecordingStore::new());
    let changed = node.change(vec![renamed("ours")]);
    assert_eq!(node.asked.recv_timeout(PATIENCE), Ok(Asked::Order(2)));
    let (environment, theirs) = (Tenant(0).id(), vec![renamed("theirs")]);
    node.deliver(dialback::Configuration::new(2, environment, START, theirs));
    node.answer.send(Ok(())).expect("the node waits");
    assert!(matches!(generation(&changed), Err(ServiceError::OutcomeUnknown(_))));
    assert_eq!(name(&node.service.plan()), "theirs");
}

#[test]
fn a_configuration_among_other_events_is_rejected_in_a_fleet() {
    let node = Node::configured(RecordingStore::new());
    let changes = vec![renamed("unordered")];
    let event = Event::Configuration(dialback::Configuration::new(2, Tenant(0).id(), START, changes));
    let did = node.service.record(vec![event, call_to(1, Moment(2), Outcome::Busy)]).expect("durable");
    assert!(matches!(did[..], [Err(ServiceError::StreamAway(_)), Ok(Applied::Recorded)]), "{did:?}");
    assert_eq!(node.service.plan().generation(), 1);
}

#[test]
fn a_dropped_service_answers_the_changes_that_wait_for_their_order() {
    let store = RecordingStore::new();
    let Node { service, asked, answer } = Node::configured(store.clone());
    let (done, answers) = mpsc::channel();
    for name in ["first", "second"] {
        let done = done.clone();
        let decide = move |_: &dialback::Plan| Ok(vec![renamed(name)]);
        service.submit_configuration(Tenant(0).id(), START, decide, move |result| {
            let _ = done.send(result.map(|plan| plan.generation()));
        });
    }
    assert_eq!(asked.recv_timeout(PATIENCE), Ok(Asked::Order(2)));
    let dropped = std::thread::spawn(move || drop(service));
    answer.send(Ok(())).expect("the node waits");
    assert_eq!(asked.recv_timeout(PATIENCE), Ok(Asked::Order(3)));
    answer.send(Ok(())).expect("the node waits");
    dropped.join().expect("no panic");
    assert_eq!(answers.try_iter().collect::<Vec<_>>(), [Ok(2), Ok(3)]);
    assert_eq!(name(&start(store).plan()), "second");
}

#[test]
fn a_failed_store_refuses_the_changes_that_wait_for_their_order() {
    let node = Node::start(FailingStore::at_commit(0, RecordingStore::new()));
    let (first, second) = (node.change(changes()), node.change(vec![renamed("second")]));
    node.ordered(1, Ok(()));
    for changed in [first, second] {
        assert!(matches!(generation(&changed), Err(ServiceError::NotDurable(_))));
    }
    assert!(matches!(generation(&node.change(vec![renamed("third")])), Err(ServiceError::NotDurable(_))));
    assert_eq!(node.service.commits().pending(), 0);
}
