//! A stream whose acknowledgements take long.

use super::stream::SimServer;
use super::threads::{Place, TENANT, call, configure, follows, running_clock, start_over, until};
use crate::support::random::Random;
use dialback::fleet::{Bounds, Delivery, Position, Settings, Share, Snapshot, Stream, StreamError, Subject};
use dialback::testing::universe::START;
use dialback::{AgentId, Applied, Change, DialPlan, Direction, Event, Lookback, NumberId, Plan, ServiceError};
use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::{Duration, Instant};

/// A stream that waits for the test before it answers each configuration after the first one.
struct Slow {
    stream: Arc<dyn Stream>,
    asked: Mutex<mpsc::Sender<()>>,
    answers: Mutex<mpsc::Receiver<bool>>,
    /// Whether the configuration is in the stream while the answer waits.
    appends_first: bool,
    /// Passed when calls are in the stream, before they are acknowledged.
    calls: Gate,
    /// Whether calls do not reach the stream.
    refuses_calls: Mutex<bool>,
    /// Passed when the bounds are read, before they are returned.
    bounds: Gate,
    /// Passed before the next messages are read.
    next: Gate,
    /// Passed when a single message is read, before it is returned. A node reads one to see whether the stream is still the
    /// same.
    single: Gate,
}

/// A place where threads wait while a test holds it, and where they are counted.
#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    opened: Condvar,
}

#[derive(Default)]
struct GateState {
    is_held: bool,
    came: u64,
}

/// Opens the gate when it is dropped.
struct Holds<'a>(&'a Gate);

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock().expect("no panic");
        state.came += 1;
        drop(self.opened.wait_while(state, |state| state.is_held).expect("no panic"));
    }

    /// Makes threads wait that come from now on. Returns how many came before.
    fn hold(&self) -> (Holds<'_>, u64) {
        let mut state = self.state.lock().expect("no panic");
        state.is_held = true;
        (Holds(self), state.came)
    }

    fn came(&self) -> u64 {
        self.state.lock().expect("no panic").came
    }
}

impl Drop for Holds<'_> {
    fn drop(&mut self) {
        self.0.state.lock().expect("no panic").is_held = false;
        self.0.opened.notify_all();
    }
}

impl Stream for Slow {
    fn publish_after(&self, subject: Subject, message: &[u8], last: Position) -> Result<Position, StreamError> {
        if last == Position::START {
            return self.stream.publish_after(subject, message, last);
        }
        let early = self.appends_first.then(|| self.stream.publish_after(subject, message, last));
        self.asked.lock().expect("no panic").send(()).expect("the test listens");
        if !self.answers.lock().expect("no panic").recv().expect("the test goes on") {
            return Err(StreamError::Away("the acknowledgement was lost".into()));
        }
        early.unwrap_or_else(|| self.stream.publish_after(subject, message, last))
    }

    fn publish(&self, messages: &[(Subject, Vec<u8>)]) -> Result<Position, StreamError> {
        if *self.refuses_calls.lock().expect("no panic") {
            return Err(StreamError::Away("the connection was lost".into()));
        }
        let appended = self.stream.publish(messages);
        self.calls.pass();
        appended
    }

    fn consume(&self, after: Position, limit: usize, wait: Duration) -> Result<Vec<Delivery>, StreamError> {
        self.next.pass();
        self.stream.consume(after, limit, wait)
    }

    fn message_at(&self, position: Position) -> Result<Option<Delivery>, StreamError> {
        let read = self.stream.message_at(position);
        self.single.pass();
        read
    }

    fn bounds(&self) -> Result<Bounds, StreamError> {
        let bounds = self.stream.bounds();
        self.bounds.pass();
        bounds
    }

    fn last_configuration(&self) -> Result<Option<Delivery>, StreamError> {
        self.stream.last_configuration()
    }

    fn largest(&self) -> usize {
        self.stream.largest()
    }

    fn truncate(&self, up_to: Position) -> Result<(), StreamError> {
        self.stream.truncate(up_to)
    }

    fn write_snapshot(&self, at: Position, content: &mut dyn Read) -> Result<(), StreamError> {
        self.stream.write_snapshot(at, content)
    }

    fn read_snapshot(&self) -> Result<Option<Snapshot>, StreamError> {
        self.stream.read_snapshot()
    }
}

/// A node over a slow stream. The fields are dropped in this order: the node waits for the stream, which waits for answers.
struct Scene {
    answer: mpsc::Sender<bool>,
    place: Place,
    asked: mpsc::Receiver<()>,
    stream: Arc<Slow>,
    server: SimServer,
    _directory: tempfile::TempDir,
}

impl Scene {
    /// Starts a node, and waits until it has its first configuration.
    fn new(appends_first: bool, set_up: impl FnOnce(&mut Settings)) -> Self {
        let server = SimServer::new(Random::new(1, 1), 2);
        server.heal();
        let directory = tempfile::tempdir().expect("a directory");
        let ((asks, asked), (answer, answers)) = (mpsc::channel(), mpsc::channel());
        let (calls, bounds, next, single, refuses_calls) = Default::default();
        let (port, asks, answers) = (server.port(0), Mutex::new(asks), Mutex::new(answers));
        let stream =
            Slow { stream: port, asked: asks, answers, appends_first, calls, refuses_calls, bounds, next, single };
        let stream = Arc::new(stream);
        let place = start_over(Arc::clone(&stream) as _, directory.path(), set_up);
        configure(&place);
        Self { answer, place, asked, stream, server, _directory: directory }
    }
}

/// Makes a node that writes no snapshots: their messages would follow the others, and its thread for them asks the stream,
/// too.
fn without_snapshots(settings: &mut Settings) {
    settings.share = Share::of(0..15);
}

/// Lets the stream accept each configuration from now on, until the node is gone.
fn accept_all(answer: mpsc::Sender<bool>) {
    std::thread::spawn(move || {
        while answer.send(true).is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
    });
}

/// Submits a change, and sends the generation after it when it is answered.
fn rename(place: &Place, name: &str, done: mpsc::Sender<Result<u64, ServiceError>>) {
    let change = Change::EnvironmentSet { name: name.into(), dial_plan: DialPlan::NONE, lookback: Lookback::default() };
    place.service.submit_configuration(
        TENANT,
        START,
        move |_| Ok(vec![change]),
        move |result| {
            let _ = done.send(result.map(|plan| plan.generation()));
        },
    );
}

#[test]
fn a_node_acknowledges_and_routes_calls_while_the_stream_orders_a_configuration() {
    let scene = Scene::new(false, without_snapshots);
    let (done, changed) = mpsc::channel();
    rename(&scene.place, "slow", done);
    scene.asked.recv().expect("it is on its way");
    let began = Instant::now();
    for index in 0..50 {
        assert_eq!(scene.place.service.record(vec![call(index)]), Ok(vec![Ok(Applied::Recorded)]));
    }
    assert!(began.elapsed() < Duration::from_secs(2), "no call waits for the stream: {:?}", began.elapsed());
    // Messages of the stream are committed meanwhile, too.
    let fleet_state = scene.place.service.fleet_state().expect("it has an outbox");
    until("the calls come back", || fleet_state.outbox(0, 1).expect("readable").is_empty());
    assert!(changed.try_recv().is_err(), "the configuration waits");
    scene.answer.send(true).expect("the stream waits");
    assert_eq!(changed.recv().expect("an answer"), Ok(2));
}

/// The stream delivers the configuration while its acknowledgement is on its way, or lost.
#[test]
fn a_configuration_that_is_delivered_before_its_acknowledgement_is_in_force_once() {
    for is_acknowledged in [true, false] {
        let scene = Scene::new(true, without_snapshots);
        let (done, changed) = mpsc::channel();
        rename(&scene.place, "early", done);
        scene.asked.recv().expect("it is on its way");
        until("it is delivered", || scene.place.service.plan().generation() == 2);
        assert!(changed.try_recv().is_err(), "its acknowledgement is on its way");
        scene.answer.send(is_acknowledged).expect("the stream waits");
        assert_eq!(changed.recv().expect("an answer"), Ok(2));
    }
}

/// A configuration may be in the stream that this node does not know, and may undo what the request found.
#[test]
fn a_request_that_changes_nothing_is_acknowledged_only_if_no_other_came_first() {
    for is_first in [true, false] {
        let scene = Scene::new(false, without_snapshots);
        let (done, confirmed) = mpsc::channel();
        let done = move |result: Result<Arc<Plan>, ServiceError>| {
            let _ = done.send(result.map(|plan| plan.generation()));
        };
        scene.place.service.submit_configuration(TENANT, START, |_| Ok(Vec::new()), done);
        scene.asked.recv().expect("it is on its way");
        assert!(confirmed.try_recv().is_err(), "the stream has not confirmed it");
        if !is_first {
            scene.server.inject(Subject::Configuration, b"another node's");
        }
        scene.answer.send(true).expect("the stream waits");
        let expected = if is_first { Ok(1) } else { Err(ServiceError::Superseded) };
        assert_eq!(confirmed.recv().expect("an answer"), expected);
    }
}

#[test]
fn a_node_that_stops_rejects_the_changes_that_wait() {
    let scene = Scene::new(false, without_snapshots);
    let (done, changed) = mpsc::channel();
    for name in ["first", "second"] {
        rename(&scene.place, name, done.clone());
    }
    scene.asked.recv().expect("the first is on its way");
    drop(scene.place.node);
    scene.answer.send(true).expect("the stream waits");
    assert_eq!(changed.recv().expect("an answer"), Ok(2));
    assert!(matches!(changed.recv().expect("an answer"), Err(ServiceError::StreamAway(_))));
    drop(scene.place.service);
}

/// The entry of a call leaves the outbox although nothing follows its message, and although the clock stands still, so
/// that there is no heartbeat.
#[test]
fn a_call_that_is_delivered_before_its_acknowledgement_leaves_the_outbox() {
    let scene = Scene::new(false, without_snapshots);
    let metrics = scene.place.node.link().metrics();
    until("the heartbeat is consumed", || scene.server.last() >= 2 && metrics.position() == scene.server.last());
    let before = scene.server.last();
    let (holds, _) = scene.stream.calls.hold();
    scene.place.service.record(vec![call(1)]).expect("it is durable");
    until("the call is consumed", || metrics.position() > before);
    assert_eq!(metrics.outbox(), 1, "it is not acknowledged");
    drop(holds);
    until("its entry is gone", || metrics.outbox() == 0);
}

/// The bounds that a node has asked for may be older than its own last configuration. The stream has lost nothing then.
#[test]
fn a_configuration_that_is_published_while_the_stream_tells_its_bounds_is_not_lost() {
    let scene = Scene::new(false, |settings| {
        without_snapshots(settings);
        settings.now = running_clock();
    });
    scene.place.service.record(vec![call(1)]).expect("it is durable");
    let metrics = scene.place.node.link().metrics();
    for generation in 2..5 {
        let (holds, before) = scene.stream.bounds.hold();
        until("the bounds are read", || scene.stream.bounds.came() > before);
        let (done, changed) = mpsc::channel();
        rename(&scene.place, &format!("name {generation}"), done);
        scene.answer.send(true).expect("the stream waits");
        assert_eq!(changed.recv().expect("an answer"), Ok(generation));
        drop(holds);
        until("all is consumed", || follows(&scene.place) && metrics.position() == scene.server.last());
    }
    // A node that begins again publishes its call and its configurations again.
    assert_eq!(metrics.republished(), 0);
}

/// A lost connection is reported once. If the thread that publishes configurations gets the report while the consumer
/// still checks the connection before, the consumer checks the stream again.
#[test]
fn an_end_that_the_stream_loses_while_a_node_checks_it_is_published_again() {
    let scene = Scene::new(false, |settings| {
        without_snapshots(settings);
        settings.now = running_clock();
    });
    until("it follows", || follows(&scene.place));
    scene.server.sync();
    scene.place.service.record(vec![call(1)]).expect("it is durable");
    let metrics = scene.place.node.link().metrics();
    until("the call is published", || follows(&scene.place) && metrics.position() == scene.server.last());
    // A change is on its way, and another thread finds the stream unreachable.
    let (done, changed) = mpsc::channel();
    rename(&scene.place, "lost", done);
    scene.asked.recv().expect("it is on its way");
    let (holds, before) = scene.stream.single.hold();
    *scene.stream.refuses_calls.lock().expect("no panic") = true;
    scene.place.service.record(vec![call(2)]).expect("it is durable");
    until("the consumer checks the stream", || scene.stream.single.came() > before);
    // Meanwhile the stream loses its end, and others publish. The change gets the report.
    assert!(scene.server.crash() > 0);
    assert!(scene.stream.stream.consume(Position::START, 2, Duration::ZERO).is_err(), "the report");
    for _ in 0..3 {
        scene.server.inject(Subject::Other, b"another program's");
    }
    scene.answer.send(false).expect("the stream waits");
    assert!(changed.recv().expect("an answer").is_err());
    accept_all(scene.answer);
    *scene.stream.refuses_calls.lock().expect("no panic") = false;
    drop(holds);
    until("it follows", || follows(&scene.place) && metrics.position() == scene.server.last());
    assert!(metrics.republished() > 0, "the stream lacks the first call");
}

/// The node's own snapshot begins with a message among the configurations. A change that is requested meanwhile waits for
/// it.
#[test]
fn a_change_is_not_superseded_by_a_snapshot_of_the_same_node() {
    let scene = Scene::new(false, |settings| settings.snapshot_every = Duration::ZERO);
    scene.asked.recv().expect("a snapshot begins");
    let (done, changed) = mpsc::channel();
    rename(&scene.place, "meanwhile", done);
    // If the change does not wait, it follows the same message as the snapshot.
    let _ = scene.asked.recv_timeout(Duration::from_millis(500));
    let before = scene.server.last();
    scene.answer.send(true).expect("the stream waits");
    until("the snapshot's message is in the stream", || scene.server.last() > before);
    accept_all(scene.answer);
    assert_eq!(changed.recv().expect("an answer"), Ok(2));
}

/// An acknowledgement can arrive after the node has begun again, because the stream lost that message. The node does not
/// take the change for ordered, and accepts the next one.
#[test]
fn a_change_that_the_stream_loses_before_its_acknowledgement_arrives_is_not_acknowledged() {
    let scene = Scene::new(true, without_snapshots);
    until("it follows", || follows(&scene.place));
    scene.server.sync();
    let metrics = scene.place.node.link().metrics();
    scene.place.service.record(vec![call(1)]).expect("it is durable");
    until("the call is published", || follows(&scene.place) && metrics.position() == scene.server.last());
    let (holds, before) = scene.stream.next.hold();
    until("the consumer waits", || scene.stream.next.came() > before);
    let (done, changed) = mpsc::channel();
    rename(&scene.place, "lost", done.clone());
    scene.asked.recv().expect("it is in the stream");
    assert!(scene.server.crash() > 1, "the call and the change are lost");
    drop(holds);
    until("the call is published again", || metrics.republished() > 0 && follows(&scene.place));
    scene.answer.send(true).expect("the stream waits");
    let answered = changed.recv().expect("an answer");
    assert!(matches!(answered, Err(ServiceError::OutcomeUnknown(_))), "{answered:?}");
    accept_all(scene.answer);
    until("it follows", || follows(&scene.place));
    rename(&scene.place, "next", done);
    assert_eq!(changed.recv().expect("an answer"), Ok(2));
}

/// The stream acknowledges configurations and loses them before they are delivered back, and one of them is repeated. Calls of a
/// lost configuration's agents, published in between, are in front of it then, where other nodes ignore them.
#[test]
fn calls_in_the_place_of_a_lost_configuration_are_published_again() {
    let scene = Scene::new(false, without_snapshots);
    until("it follows", || follows(&scene.place));
    scene.server.sync();
    let (synced, metrics) = (scene.server.last(), scene.place.node.link().metrics());
    let (holds, before) = scene.stream.next.hold();
    until("the consumer waits", || scene.stream.next.came() > before);
    let (done, changed) = mpsc::channel();
    rename(&scene.place, "second", done.clone());
    scene.answer.send(true).expect("the stream waits");
    assert_eq!(changed.recv().expect("an answer"), Ok(2));
    let second = scene.server.configurations().pop().expect("it is in the stream");
    let agent = AgentId::from_u128(0xA3);
    hire(&scene.place, agent, done);
    scene.answer.send(true).expect("the stream waits");
    assert_eq!(changed.recv().expect("an answer"), Ok(3));

    assert_eq!(scene.server.crash(), 2);
    let Event::Call(by_another) = call(1) else { unreachable!("it is a call") };
    let by_hired = Event::Call(dialback::Call { agent, ..by_another });
    assert_eq!(scene.place.service.record(vec![by_hired]), Ok(vec![Ok(Applied::Recorded)]));
    until("the call is published", || scene.server.last() > synced);
    scene.server.inject(Subject::Other, b"another program's");
    scene.server.inject(second.subject, &second.payload);
    accept_all(scene.answer);
    drop(holds);
    until("the call is published again", || metrics.republished() > 0 && follows(&scene.place));
    let directory = tempfile::tempdir().expect("a directory");
    let other = start_over(scene.server.port(1), directory.path(), |_| {});
    until("another node has the call", || other.service.history().len() == 1);
    assert_eq!(other.service.plan().generation(), 3);
}

/// Submits a change that creates an agent, and sends the generation after it when it is answered.
fn hire(place: &Place, id: AgentId, done: mpsc::Sender<Result<u64, ServiceError>>) {
    let direction = Direction::Outbound;
    let changes = vec![
        Change::AgentCreated { id, name: "hired".into(), label: None, direction },
        Change::CallingSet { id, direction, numbers: Some(vec![NumberId::from_u128(1)]) },
        Change::AgentPublished { id },
    ];
    let answer = move |result: Result<Arc<Plan>, ServiceError>| {
        let _ = done.send(result.map(|plan| plan.generation()));
    };
    place.service.submit_configuration(TENANT, START, move |_| Ok(changes), answer);
}
