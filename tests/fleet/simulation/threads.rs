//! Nodes with their own threads, over the embedded store and a stream without faults.

use super::stream::SimServer;
use crate::support::random::Random;
use dialback::fleet::{Link, Log, Node, Position, Settings, Share, Stream, Subject, partition_of};
use dialback::metrics::FleetState;
use dialback::store::FjallStore;
use dialback::testing::universe::START;
use dialback::{
    AgentId, Applied, Call, CallId, Caller, Change, Clock, Context, CountsFrom, Details, DialPlan, Direction, E164,
    Engine, EnvironmentId, Erasure, Event, Lookback, NumberId, Outcome, Reason, Service, ServiceError, Timestamp,
    Update,
};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

pub(crate) const TENANT: EnvironmentId = EnvironmentId::from_u128(0xE0);
const SOURCE: AgentId = AgentId::from_u128(0xA1);

pub(crate) struct Place {
    pub(crate) node: Node,
    pub(crate) service: Arc<Service>,
}

fn start(server: &SimServer, which: usize, path: &Path, set_up: impl FnOnce(&mut Settings)) -> Place {
    start_over(server.port(which), path, set_up)
}

/// Starts a node on any stream.
pub(crate) fn start_over(stream: Arc<dyn Stream>, path: &Path, set_up: impl FnOnce(&mut Settings)) -> Place {
    start_logging(stream, path, set_up, Arc::new(|_| {}))
}

fn start_logging(stream: Arc<dyn Stream>, path: &Path, set_up: impl FnOnce(&mut Settings), log: Log) -> Place {
    let mut settings = Settings::new(|| START);
    settings.settle = Duration::ZERO;
    set_up(&mut settings);
    let link = Link::new(settings, stream);
    let store = FjallStore::open(path).expect("it opens");
    let service =
        Service::builder(store).engine(Engine::with_max_pairs(100_000)).sequencer(Arc::clone(&link) as _).start();
    let service = Arc::new(service.expect("it starts"));
    let node = Node::start(link, Arc::clone(&service), log).expect("threads");
    Place { node, service }
}

/// Returns a clock that begins at [`START`] and runs.
pub(crate) fn running_clock() -> Clock {
    let began = Instant::now();
    let millis = move || u64::try_from(began.elapsed().as_millis()).expect("short");
    Arc::new(move || Timestamp::from_millis(START.millis() + millis()))
}

/// Returns whether the node follows the stream and has published everything.
pub(crate) fn follows(place: &Place) -> bool {
    let metrics = place.node.link().metrics();
    metrics.state() == FleetState::Following && metrics.outbox() == 0
}

pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "{what}");
        sleep(Duration::from_millis(2));
    }
}

fn ours() -> E164 {
    E164::from_code(15_550_000).expect("a code")
}

fn contact(index: u64) -> E164 {
    E164::from_code(49_000 + index).expect("a code")
}

pub(crate) fn configure(place: &Place) {
    until("the node follows the stream", || place.node.link().metrics().state() == FleetState::Following);
    place.service.configure(TENANT, START, move |_| Ok(changes())).expect("ordered and in force");
}

/// Returns the changes that create the environment, its number and its agents.
fn changes() -> Vec<Change> {
    let lookback = Lookback::default();
    let mut changes = vec![
        Change::EnvironmentSet { name: "acme".into(), dial_plan: DialPlan::NONE, lookback },
        Change::NumberAdded { id: NumberId::from_u128(1), number: ours() },
    ];
    let callback = AgentId::from_u128(0xA2);
    for (id, direction) in [(SOURCE, Direction::Outbound), (callback, Direction::Inbound)] {
        let numbers = Some(vec![NumberId::from_u128(1)]);
        changes.push(Change::AgentCreated { id, name: "agent".into(), label: None, direction });
        changes.push(Change::CallingSet { id, direction, numbers });
        changes.push(Change::AgentPublished { id });
    }
    changes.push(Change::CallbackSet { id: callback, sources: vec![SOURCE], outcomes: None, lookback: None });
    changes
}

pub(crate) fn call(index: u64) -> Event {
    let (from, to) = (ours(), contact(index));
    Event::Call(Call { environment: TENANT, agent: SOURCE, from, to, at: START, outcome: Outcome::Busy })
}

pub(crate) fn reason(place: &Place, index: u64) -> Reason {
    place.service.resolve(ours(), Caller::Number(contact(index)), START).reason
}

#[test]
fn a_call_recorded_on_one_node_is_routed_on_another_and_survives_restarts() {
    let server = SimServer::new(Random::new(1, 1), 3);
    server.heal();
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let first = start(&server, 0, &path("first"), |_| {});
    configure(&first);
    let calls = (0..5000).map(call).collect();
    let did = first.service.record(calls).expect("it is durable");
    assert!(did.iter().all(|did| *did == Ok(Applied::Recorded)));
    let second = start(&server, 1, &path("second"), |_| {});
    until("all calls arrive", || second.service.history().len() == 5000);
    assert_eq!(reason(&second, 4999), Reason::Matched);

    // The opposite direction, and an erasure.
    second.service.record(vec![call(5000)]).expect("it is durable");
    let erasure = Erasure { environment: TENANT, contact: contact(7), until: START, is_ahead: false };
    second.service.record(vec![Event::Erasure(erasure)]).expect("it is durable");
    until("the first node erases the contact", || reason(&first, 7) == Reason::NoHistory);
    until("the first node has the call", || reason(&first, 5000) == Reason::Matched);

    // A node that is cut off records a call, stops, and publishes the call after its restart.
    server.cut(0, true);
    first.service.record(vec![call(5001)]).expect("it is durable here");
    drop(first);
    server.cut(0, false);
    assert_eq!(reason(&second, 5001), Reason::NoHistory);
    let first = start(&server, 0, &path("first"), |_| {});
    until("the call is published", || reason(&second, 5001) == Reason::Matched);
    let fleet_state = first.service.fleet_state().expect("it has an outbox");
    until("the outbox is empty", || fleet_state.outbox(0, 1).expect("readable").is_empty());
    assert_eq!(reason(&first, 7), Reason::NoHistory);
}

/// The first node has recorded the call before it knew the threshold that is in front of the call in the stream.
#[test]
fn a_call_that_counted_where_it_was_reported_counts_at_each_node() {
    let server = SimServer::new(Random::new(1, 1), 2);
    server.heal();
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let first = start(&server, 0, &path("first"), |_| {});
    configure(&first);
    let second = start(&server, 1, &path("second"), |_| {});
    until("the second node follows", || follows(&second) && second.service.plan().generation() == 1);
    server.cut(0, true);
    assert_eq!(first.service.record(vec![call(1)]), Ok(vec![Ok(Applied::Recorded)]));
    let raised = vec![Change::CountsFromSet { from: CountsFrom::Answered }];
    second.service.configure(TENANT, START, move |_| Ok(raised)).expect("ordered and in force");
    assert_eq!(second.service.record(vec![call(2)]), Ok(vec![Ok(Applied::Uncounted)]));
    server.cut(0, false);
    until("the second node has the call", || reason(&second, 1) == Reason::Matched);
    until("the first node has the threshold", || first.service.plan().generation() == 2);
    assert_eq!(first.service.record(vec![call(2)]), Ok(vec![Ok(Applied::Uncounted)]));
    until("all is published", || follows(&first) && follows(&second));
    for place in [&first, &second] {
        assert_eq!((reason(place, 1), reason(place, 2)), (Reason::Matched, Reason::NoHistory));
    }
}

#[test]
fn a_replicated_call_is_acknowledged_after_the_stream_has_it() {
    let server = SimServer::new(Random::new(1, 1), 1);
    server.heal();
    let directory = tempfile::tempdir().expect("a directory");
    let place = start(&server, 0, directory.path(), |settings| {
        settings.replicated = true;
        settings.replicated_wait = Duration::ZERO;
    });
    configure(&place);
    // Without time to wait, the call is durable and in force, but reported as not replicated.
    server.cut(0, true);
    assert_eq!(place.service.record(vec![call(1)]), Err(ServiceError::NotReplicated));
    assert_eq!(reason(&place, 1), Reason::Matched);
    drop(place);
    server.cut(0, false);
    let place = start(&server, 0, directory.path(), |settings| settings.replicated = true);
    until("the node follows the stream", || place.node.link().metrics().state() == FleetState::Following);
    let before = server.last();
    assert_eq!(place.service.record(vec![call(2)]), Ok(vec![Ok(Applied::Recorded)]));
    assert!(server.last() > before, "the stream has the call when it is acknowledged");
    let fleet_state = place.service.fleet_state().expect("it has an outbox");
    until("the first call is published, too", || fleet_state.outbox(0, 1).expect("readable").is_empty());
}

#[test]
fn the_outbox_is_counted_also_after_a_restart_without_the_stream() {
    let server = SimServer::new(Random::new(1, 1), 1);
    server.heal();
    let directory = tempfile::tempdir().expect("a directory");
    let place = start(&server, 0, directory.path(), |_| {});
    configure(&place);
    server.cut(0, true);
    for index in 0..3 {
        place.service.record(vec![call(index)]).expect("it is durable here");
    }
    let outbox = |place: &Place| place.node.link().metrics().outbox();
    assert_eq!(outbox(&place), 3);
    drop(place);
    let place = start(&server, 0, directory.path(), |_| {});
    assert_eq!(outbox(&place), 3);
    place.service.record(vec![call(3)]).expect("it is durable here");
    assert_eq!(outbox(&place), 4);
    server.cut(0, false);
    until("all calls are published", || outbox(&place) == 0);
    let fleet_state = place.service.fleet_state().expect("it has an outbox");
    assert_eq!(fleet_state.outbox(0, 1).expect("readable"), []);
}

#[test]
fn a_new_node_loads_a_snapshot_and_keeps_it_after_a_restart() {
    let server = SimServer::new(Random::new(1, 1), 2);
    server.heal();
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let first = start(&server, 0, &path("first"), |settings| settings.snapshot_every = Duration::ZERO);
    configure(&first);
    first.service.record((0..40_000).map(call).collect()).expect("it is durable");
    let erasure = Erasure { environment: TENANT, contact: contact(7), until: START, is_ahead: false };
    first.service.record(vec![Event::Erasure(erasure)]).expect("it is durable");
    let fleet_state = first.service.fleet_state().expect("it has an outbox");
    until("the calls are published", || fleet_state.outbox(0, 1).expect("readable").is_empty());
    let last = server.last();
    until("the stream no longer holds the calls", || server.first() > last);
    drop(first);
    let second = start(&server, 1, &path("second"), |_| {});
    until("the node is ready", || second.node.link().metrics().state() == FleetState::Following);
    assert_eq!(second.service.history().len(), 39_999);
    // A late report of a contact that was erased before this node existed.
    assert_eq!(second.service.record(vec![call(7)]), Ok(vec![Ok(Applied::Ignored)]));
    let fleet_state = second.service.fleet_state().expect("it has an outbox");
    until("the place is stored", || fleet_state.place().expect("readable").is_some());
    drop(second);
    let second = start(&server, 1, &path("second"), |_| {});
    assert_eq!(second.service.history().len(), 39_999);
    assert_eq!(second.service.record(vec![call(7)]), Ok(vec![Ok(Applied::Ignored)]));
}

/// The stream is set back, and has had other messages at the node's old place when the node comes back. A snapshot covers
/// them, and the node cannot read it at first. It knows that it lacks something.
#[test]
fn a_node_takes_no_replaced_messages_for_consumed_ones() {
    let server = SimServer::new(Random::new(1, 1), 2);
    server.heal();
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let first = start(&server, 0, &path("first"), |settings| settings.snapshot_every = Duration::ZERO);
    configure(&first);
    let second = start(&server, 1, &path("second"), |_| {});
    until("both follow", || follows(&first) && follows(&second));
    server.sync();
    for _ in 0..200 {
        server.inject(Subject::Other, b"another program's");
    }
    let last = server.last();
    until("the messages are consumed", || second.node.link().metrics().position() >= last);
    drop(second);
    server.crash();
    until("the first node notices", || follows(&first) && server.last() < last);
    first.service.record((0..10).map(call).collect()).expect("it is durable");
    until("the calls are published", || follows(&first));
    let published = server.last();
    until("a snapshot covers them", || server.first() > published);
    assert!(server.first() < last, "the old place is behind the stream's beginning");
    server.break_snapshots(true);
    // It looks for snapshots from time to time.
    let second = start(&server, 1, &path("second"), |settings| settings.now = running_clock());
    until("it goes on, and knows that it lacks something", || second.node.link().gap() > Position::START);
    server.break_snapshots(false);
    until("it has the calls", || [0, 9].iter().all(|index| reason(&second, *index) == Reason::Matched));
}

#[test]
fn a_node_with_a_share_keeps_only_the_calls_of_its_partitions() {
    let server = SimServer::new(Random::new(1, 1), 2);
    server.heal();
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let partition = partition_of(ours(), Settings::PARTITIONS);
    let has_all = |place: &Place| place.node.link().metrics().position() >= server.last();
    let first = start(&server, 0, &path("first"), |_| {});
    configure(&first);
    first.service.record((0..100).map(call).collect()).expect("it is durable");
    let fleet_state = first.service.fleet_state().expect("it has an outbox");
    until("the calls are published", || fleet_state.outbox(0, 1).expect("readable").is_empty());

    let without = |settings: &mut Settings| settings.share = Share::of((0..16).filter(|other| *other != partition));
    let second = start(&server, 1, &path("second"), without);
    until("the node has consumed all messages", || has_all(&second));
    assert_eq!((reason(&second, 1), second.service.history().len()), (Reason::NoHistory, 0));
    // The node keeps and publishes what is recorded on it, even outside its share.
    second.service.record(vec![call(100)]).expect("it is durable");
    assert_eq!(reason(&second, 100), Reason::Matched);
    until("the call is published", || reason(&first, 100) == Reason::Matched);
    drop(second);

    // From a snapshot, the node keeps no more than from the stream.
    drop((first, fleet_state));
    let last = server.last();
    let first = start(&server, 0, &path("first"), |settings| settings.snapshot_every = Duration::ZERO);
    until("the stream no longer holds the calls", || server.first() > last);
    let third = start(&server, 1, &path("third"), without);
    until("the node is ready", || third.node.link().metrics().state() == FleetState::Following && has_all(&third));
    assert_eq!((reason(&third, 1), third.service.history().len()), (Reason::NoHistory, 0));
    drop((first, third));
    // A node whose share grows gets the calls that it had left out.
    let third = start(&server, 1, &path("third"), |_| {});
    until("the node has all calls", || third.service.history().len() == 101);
    drop(third);
    // A node whose share shrinks keeps the calls that it has.
    let third = start(&server, 1, &path("third"), without);
    until("the node is ready", || third.node.link().metrics().state() == FleetState::Following);
    assert_eq!(third.service.history().len(), 101);
}

#[test]
fn a_node_that_stops_logs_the_reason_once() {
    let (ours, theirs) = (SimServer::new(Random::new(1, 1), 1), SimServer::new(Random::new(2, 1), 2));
    ours.heal();
    theirs.heal();
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let first = start(&ours, 0, &path("first"), |_| {});
    configure(&first);
    drop(first);
    let other = start(&theirs, 1, &path("other"), |_| {});
    until("the node follows the stream", || other.node.link().metrics().state() == FleetState::Following);
    let change =
        Change::EnvironmentSet { name: "other".into(), dial_plan: DialPlan::NONE, lookback: Lookback::default() };
    other.service.configure(TENANT, START, move |_| Ok(vec![change])).expect("ordered and in force");
    let lines = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&lines);
    let log: Log = Arc::new(move |line: &str| log.lock().expect("no panic").push(line.to_owned()));
    let first = start_logging(theirs.port(0), &path("first"), |_| {}, log);
    until("the node stops", || matches!(first.node.link().metrics().state(), FleetState::Stopped(_)));
    sleep(Duration::from_millis(1200));
    drop(first);
    let lines = lines.lock().expect("no panic");
    let stopped: Vec<_> = lines.iter().filter(|line| line.contains("this node has stopped")).collect();
    assert_eq!(stopped.len(), 1, "{lines:?}");
    assert!(stopped[0].contains("configuration 1"), "{stopped:?}");
}

fn report(index: u64, name: &str, text: &str) -> Event {
    let Event::Call(call) = call(index) else { unreachable!("it is one") };
    let context = (!text.is_empty()).then(|| Context::new(text).expect("an object"));
    Event::reported(call, Details { id: CallId::new(name), context })
}

fn update(name: &str, outcome: Outcome) -> Event {
    let id = CallId::new(name).expect("an id");
    Event::Update(Box::new(Update { environment: TENANT, id, from: None, outcome, context: None }))
}

/// Returns the context of the call with this id, or of the call behind the decision about a contact.
fn context_of(place: &Place, name: &str) -> Option<String> {
    let found = place.service.known_call(TENANT, &CallId::new(name).expect("an id")).expect("readable");
    found.map(|call| call.context.map_or(String::new(), |context| context.as_str().to_owned()))
}

fn context_behind(place: &Place, index: u64) -> Option<String> {
    let plan = place.service.plan();
    let call = place.service.resolve(ours(), Caller::Number(contact(index)), START).call?;
    let behind = place.service.call_behind(&plan, ours(), contact(index), &call).expect("readable")?;
    behind.context.map(|context| context.as_str().to_owned())
}

#[test]
fn ids_and_contexts_reach_other_nodes_and_survive_restarts() {
    let server = SimServer::new(Random::new(1, 1), 2);
    server.heal();
    // A message holds three of the longest contexts.
    server.limit(16 << 10);
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let first = start(&server, 0, &path("first"), |_| {});
    configure(&first);
    let second = start(&server, 1, &path("second"), |_| {});
    until("the second node follows", || follows(&second) && second.service.plan().generation() == 1);
    let longest = |index: u64| format!("{{\"n\":\"{}\"}}", index.to_string().repeat((Context::MAX - 8) / 4));
    let reports = (1000..1100).map(|index| report(index, &format!("call-{index}"), &longest(index)));
    let did = first.service.record(reports.collect()).expect("it is durable");
    assert!(did.iter().all(|did| *did == Ok(Applied::Recorded)));
    until("all calls arrive", || second.service.history().len() == 100);
    for index in 1000..1100 {
        assert_eq!(context_behind(&second, index), Some(longest(index)));
    }
    assert_eq!(second.service.record(vec![update("call-1000", Outcome::Voicemail)]), Ok(vec![Ok(Applied::Recorded)]));
    let erasure = Erasure { environment: TENANT, contact: contact(1001), until: START, is_ahead: false };
    second.service.record(vec![Event::Erasure(erasure)]).expect("it is durable");
    let outcome = |place: &Place| {
        place.service.resolve(ours(), Caller::Number(contact(1000)), START).call.expect("a call").outcome
    };
    until("the update arrives", || outcome(&first) == Outcome::Voicemail);
    until("the erasure arrives", || context_of(&first, "call-1001").is_none());
    drop((first, second));
    for name in ["first", "second"] {
        let place = start(&server, 0, &path(name), |_| {});
        assert_eq!(context_behind(&place, 1000), Some(longest(1000)));
        assert_eq!((context_of(&place, "call-1001"), context_of(&place, "call-1099")), (None, Some(longest(1099))));
    }
}

#[test]
fn a_new_node_loads_ids_and_contexts_from_a_snapshot() {
    let server = SimServer::new(Random::new(1, 1), 3);
    server.heal();
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let first = start(&server, 0, &path("first"), |settings| settings.snapshot_every = Duration::ZERO);
    configure(&first);
    // More than one section.
    let text = |index: u64| format!("{{\"n\":\"{}\"}}", index.to_string().repeat(500));
    let reports = (1000..2000).map(|index| report(index, &format!("call-{index}"), &text(index)));
    first.service.record(reports.collect()).expect("it is durable");
    let erasure = Erasure { environment: TENANT, contact: contact(1007), until: START, is_ahead: false };
    first.service.record(vec![Event::Erasure(erasure)]).expect("it is durable");
    let fleet_state = first.service.fleet_state().expect("it has an outbox");
    until("the calls are published", || fleet_state.outbox(0, 1).expect("readable").is_empty());
    let last = server.last();
    until("the stream no longer holds the calls", || server.first() > last);
    drop(first);
    let second = start(&server, 1, &path("second"), |_| {});
    until("the node is ready", || second.node.link().metrics().state() == FleetState::Following);
    for index in (1000..2000).filter(|index| *index != 1007) {
        assert_eq!(context_of(&second, &format!("call-{index}")), Some(text(index)));
        assert_eq!(context_behind(&second, index), Some(text(index)));
    }
    assert_eq!(second.service.record(vec![report(1007, "call-1007", "{}")]), Ok(vec![Ok(Applied::Ignored)]));
    // A node whose share has none of these calls.
    let share = Share::of((0..Settings::PARTITIONS).filter(|it| *it != partition_of(ours(), Settings::PARTITIONS)));
    let third = start(&server, 2, &path("third"), |settings| settings.share = share);
    until("the node with a share is ready", || third.node.link().metrics().state() == FleetState::Following);
    assert_eq!(context_of(&third, "call-1000"), None);
}

/// Calls that the store keeps are published again after a loss, also those that the history does not hold.
#[test]
fn ids_and_contexts_are_published_again_after_the_stream_was_created_anew() {
    let server = SimServer::new(Random::new(1, 1), 2);
    server.heal();
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let first = start(&server, 0, &path("first"), |_| {});
    configure(&first);
    first.service.record(vec![report(1, "one", "{\"n\":1}"), report(2, "two", "")]).expect("it is durable");
    until("all is published", || follows(&first));
    server.recreate();
    let second = start(&server, 1, &path("second"), |_| {});
    until("the second node has both", || {
        (context_of(&second, "one"), context_of(&second, "two")) == (Some("{\"n\":1}".into()), Some(String::new()))
    });
    until("the second node routes by the call", || context_behind(&second, 1).as_deref() == Some("{\"n\":1}"));
}

/// The call that the history holds is known as long as calls are routed by it, also if it is from before the fleet.
#[test]
fn call_from_before_the_fleet_outlives_newer_calls_that_do_not_count() {
    let server = SimServer::new(Random::new(1, 1), 2);
    server.heal();
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let alone = Service::builder(FjallStore::open(path("first")).expect("it opens"));
    let alone = alone.engine(Engine::with_max_pairs(1000)).start().expect("it starts");
    let answered = Change::CountsFromSet { from: CountsFrom::Answered };
    alone.configure(TENANT, START, |_| Ok(changes())).expect("it is valid");
    alone.record(vec![report(1, "old", "{\"n\":1}")]).expect("it is durable");
    alone.configure(TENANT, START, |_| Ok(vec![answered])).expect("it is valid");
    drop(alone);

    let first = start(&server, 0, &path("first"), |_| {});
    let second = start(&server, 1, &path("second"), |_| {});
    until("the second node has the call", || follows(&first) && context_of(&second, "old").is_some());
    for newer in 1..=4 {
        let Event::Call(call) = call(1) else { unreachable!("it is one") };
        let call = Call { at: START.plus_millis(newer), outcome: Outcome::Initiated, ..call };
        let details = Details { id: CallId::new(&format!("new-{newer}")), context: None };
        let did = first.service.record(vec![Event::reported(call, details)]);
        assert_eq!(did, Ok(vec![Ok(Applied::Uncounted)]));
    }
    until("the second node has the newest call", || context_of(&second, "new-4").is_some());
    for place in [&first, &second] {
        assert_eq!(context_of(place, "old").as_deref(), Some("{\"n\":1}"));
        assert_eq!(context_behind(place, 1).as_deref(), Some("{\"n\":1}"));
    }
}
