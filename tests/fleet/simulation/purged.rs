//! A stream that an operator purges while nodes follow it.

use super::stream::SimServer;
use super::threads::{Place, TENANT, call, configure, follows, running_clock, start_over, until};
use crate::support::random::Random;
use dialback::fleet::{Body, Keys, Position, Settings, Share, Subject, read};
use dialback::metrics::FleetState;
use dialback::testing::universe::START;
use dialback::{Change, DialPlan, Lookback, Timestamp};
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Starts a node whose clock stands still, so that it looks at the stream's bounds once. It writes no snapshots.
fn start(server: &SimServer, which: usize, path: &Path) -> Place {
    let with_a_share = |settings: &mut Settings| settings.share = Share::of(0..15);
    start_over(server.port(which), path, with_a_share)
}

pub(crate) fn rename(place: &Place, name: &str) -> Option<u64> {
    let change = Change::EnvironmentSet { name: name.into(), dial_plan: DialPlan::NONE, lookback: Lookback::default() };
    place.service.configure(TENANT, START, move |_| Ok(vec![change])).ok().map(|plan| plan.generation())
}

/// Publishes something, so that the node needs no heartbeat, and waits until the node has consumed everything.
fn catch_up(server: &SimServer, place: &Place, index: u64) {
    place.service.record(vec![call(index)]).expect("it is durable");
    let metrics = place.node.link().metrics();
    until("the call is published", || metrics.outbox() == 0);
    until("the node has consumed all messages", || metrics.position() == server.last());
}

#[test]
fn a_node_does_not_pass_over_configurations_that_nodes_publish_again_after_a_purge() {
    let server = SimServer::new(Random::new(1, 1), 2);
    server.heal();
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let first = start(&server, 0, &path("first"));
    configure(&first);
    let oldest = server.configurations().swap_remove(0).payload;
    for (generation, name) in [(2, "second"), (3, "third")] {
        assert_eq!(rename(&first, name), Some(generation));
    }
    let second = start(&server, 1, &path("second"));
    until("the other node has the configurations", || second.service.plan().generation() == 3);
    for (place, index) in [(&first, 1), (&second, 2)] {
        catch_up(&server, place, index);
    }
    catch_up(&server, &first, 3);
    until("the other node has the call", || second.node.link().metrics().position() == server.last());
    drop(second);

    // A third node has noticed the purge, and has published the oldest configuration again, but not yet the next ones.
    server.purge();
    server.inject(Subject::Configuration, &oldest);
    until("the first node has read it", || first.node.link().metrics().position() == server.last());
    until("the first node can order a change", || rename(&first, "fourth") == Some(4));
    let second = start(&server, 1, &path("second"));
    until("the other node has the change, too", || second.service.plan().generation() == 4);
    assert_eq!(second.service.plan().environment(TENANT).expect("there").name(), "fourth");
}

/// Nodes that were connected when the stream was purged have consumed all that it held.
#[test]
fn connected_nodes_lack_nothing_after_a_purge() {
    let server = SimServer::new(Random::new(1, 1), 2);
    server.heal();
    let directory = tempfile::tempdir().expect("a directory");
    let start = |which: usize| {
        let with_a_clock = |settings: &mut Settings| settings.now = running_clock();
        start_over(server.port(which), &directory.path().join(which.to_string()), with_a_clock)
    };
    let places = [start(0), start(1)];
    until("the first node follows", || follows(&places[0]));
    configure(&places[0]);
    until("both have the configuration", || places.iter().all(|place| place.service.plan().generation() == 1));
    until("both follow", || places.iter().all(follows));
    let before = server.last();
    server.purge();
    until("a node publishes its configuration again", || !server.configurations().is_empty());
    assert!(server.first() > before, "the stream was purged");
    until("both follow again", || places.iter().all(follows));
    for place in &places {
        assert_eq!(place.node.link().gap(), Position::START);
    }
}

/// How much faster the clocks of [`Parted`] run. The nodes look at the stream's bounds each second.
const FASTER: u128 = 100;

/// Two nodes with different second configurations: the stream has lost the first node's while that node was away, and
/// accepted the other's.
struct Parted {
    server: SimServer,
    first: Place,
    other: Place,
    _directory: tempfile::TempDir,
}

impl Parted {
    /// The nodes keep these shares. Only a node that keeps everything writes snapshots.
    fn with(shares: &[Share; 2]) -> Self {
        let server = SimServer::new(Random::new(1, 1), 2);
        server.heal();
        let directory = tempfile::tempdir().expect("a directory");
        let began = Instant::now();
        let millis = move || START.millis() + u64::try_from(began.elapsed().as_millis() * FASTER).expect("short");
        let start = |which: usize, share: &Share| {
            let set_up = |settings: &mut Settings| {
                settings.share = share.clone();
                settings.now = Arc::new(move || Timestamp::from_millis(millis()));
            };
            start_over(server.port(which), &directory.path().join(which.to_string()), set_up)
        };
        let (first, other) = (start(0, &shares[0]), start(1, &shares[1]));
        configure(&first);
        until("the other node has the configuration", || other.service.plan().generation() == 1);
        server.sync();
        server.cut(1, true);
        until("the first node orders a change", || rename(&first, "first's") == Some(2));
        server.cut(0, true);
        assert!(server.crash() > 0, "the stream has lost the change");
        server.cut(1, false);
        until("the other node orders a change", || rename(&other, "other's") == Some(2));
        Self { server, first, other, _directory: directory }
    }

    /// Returns the reasons why the nodes have stopped.
    fn stopped(&self) -> [Option<String>; 2] {
        [&self.first, &self.other].map(|place| match place.node.link().metrics().state() {
            FleetState::Stopped(why) => Some(why),
            _ => None,
        })
    }

    /// Waits until exactly one node has stopped, and checks that it names the configuration.
    fn expect_one_named(&self, when: &str) {
        until(when, || self.stopped().iter().flatten().count() == 1);
        let stopped = self.stopped();
        let why = stopped.iter().flatten().next().expect("one");
        assert!(why.contains("configuration 2"), "{when}: {why}");
    }
}

fn shares() -> [[Share; 2]; 4] {
    let some = || Share::of(0..15);
    [[some(), some()], [Share::ALL, some()], [some(), Share::ALL], [Share::ALL, Share::ALL]]
}

#[test]
fn a_conflict_is_named_when_the_stream_was_rolled_back_and_then_purged() {
    for shares in shares() {
        let when = format!("{shares:?}");
        let parted = Parted::with(&shares);
        parted.server.purge();
        parted.server.cut(0, false);
        parted.expect_one_named(&when);
    }
}

#[test]
fn a_conflict_is_named_when_the_stream_is_truncated_to_the_other_configuration() {
    for shares in shares() {
        let when = format!("{shares:?}");
        let parted = Parted::with(&shares);
        // As a node does after a snapshot, which was lost afterwards.
        let port = parted.server.port(1);
        port.truncate(Position(port.bounds().expect("there").last_configuration.0 - 1)).expect("truncated");
        parted.server.cut(0, false);
        parted.expect_one_named(&when);
    }
}

#[test]
fn a_stopped_node_stays_stopped_when_the_stream_is_purged() {
    for shares in shares() {
        let when = format!("{shares:?}");
        let parted = Parted::with(&shares);
        parted.server.cut(0, false);
        until("the first node stops", || parted.stopped()[0].is_some());
        parted.server.purge();
        let position = parted.server.last();
        until("the other node has published its configurations again", || {
            parted.server.configurations().len() >= 2 && parted.other.node.link().metrics().position() > position
        });
        sleep(Duration::from_millis(200));
        assert_eq!(parted.stopped()[1], None, "{when}");
        assert!(parted.stopped()[0].is_some(), "{when}");
        until("the other node orders a change", || rename(&parted.other, "other's third") == Some(3));
    }
}

/// Returns how many messages of the stream contain events.
fn messages_with_events(server: &SimServer) -> usize {
    let has_events = |payload: &[u8], subject: Subject| {
        let message = read(payload, subject, &Keys::NONE).expect("a node wrote it");
        matches!(message.body, Body::Events(events) if !events.is_empty())
    };
    server.messages().iter().filter(|message| has_events(&message.payload, message.subject)).count()
}

/// A stopped node publishes also while it is not settled. It may have to wait for a snapshot before it has a place in the
/// stream, and each of its attempts made it publish everything again, until the stream was full.
#[test]
fn a_stopped_node_that_waits_for_a_snapshot_publishes_its_data_once() {
    let [shares, ..] = shares();
    let Parted { server, first, other, _directory } = Parted::with(&shares);
    first.service.record(vec![call(1)]).expect("it is durable");
    // A full stream, so that the node still has to publish everything when it stops.
    server.hold_at_most(0);
    server.cut(0, false);
    let stops = || matches!(first.node.link().metrics().state(), FleetState::Stopped(_));
    until("the first node stops", stops);
    server.cut(0, true);
    server.hold_at_most(usize::MAX);
    // The node does not have this call, so it waits for a snapshot.
    catch_up(&server, &other, 2);
    server.cut(1, true);
    server.purge();
    server.cut(0, false);
    let metrics = first.node.link().metrics();
    until("the first node has a place again", || metrics.position() == server.last() && metrics.outbox() == 0);
    // With the call in the outbox, and once more because other nodes wait, too.
    let published = messages_with_events(&server);
    assert!((1..=4).contains(&published), "{published}");
    assert!(stops());
}

/// A stopped node that has begun again does not know which configuration of the stream is the last one. It began again at
/// each new snapshot, which might show that.
#[test]
fn a_stopped_node_does_not_begin_again_when_another_node_writes_a_snapshot() {
    let [_, _, shares, _] = shares();
    let Parted { server, first, other, _directory } = Parted::with(&shares);
    server.sync();
    server.cut(0, false);
    let metrics = first.node.link().metrics();
    until("the first node stops", || matches!(metrics.state(), FleetState::Stopped(_)));
    let has_all = || metrics.position() == server.last() && !first.node.link().is_republishing();
    catch_up(&server, &other, 1);
    until("the first node has the call", has_all);
    assert!(server.crash() > 0, "the stream has lost the call");
    catch_up(&server, &other, 2);
    until("the first node has begun again and has published its calls", || metrics.republished() > 0 && has_all());
    let republished = metrics.republished();
    for round in 0..3 {
        // Other nodes could not read what is removed here, so the other node writes a snapshot.
        for call in [2, 3] {
            catch_up(&server, &other, 2 * round + call);
        }
        let last = server.last();
        until("the first node has read it", || metrics.position() >= last);
        server.port(1).truncate(Position(last - 1)).expect("truncated");
        until("the other node writes a snapshot", || server.first() > last);
        sleep(Duration::from_millis(200));
        until("the first node has consumed all messages", has_all);
    }
    assert_eq!(metrics.republished(), republished);
}

/// No node that keeps all calls has the configurations before the stream's beginning, and the stream holds later ones.
#[test]
fn a_node_with_a_share_lends_configurations_that_come_before_those_of_the_stream() {
    let server = SimServer::new(Random::new(1, 1), 2);
    server.heal();
    let directory = tempfile::tempdir().expect("a directory");
    let start = |which: usize, share: Share| {
        start_over(server.port(which), &directory.path().join(which.to_string()), |settings| {
            settings.now = running_clock();
            settings.share = share;
            settings.snapshot_every = Duration::from_secs(2);
            settings.snapshot_wait = Duration::from_millis(500);
            settings.beat_every = Duration::from_millis(20);
        })
    };
    let first = start(0, Share::of(0..15));
    configure(&first);
    assert_eq!(rename(&first, "second"), Some(2));
    let port = server.port(0);
    let last = port.bounds().expect("there").last_configuration;
    port.truncate(Position(last.0 - 1)).expect("truncated");
    let second = start(1, Share::ALL);
    until("the other node has the configurations", || second.service.plan().generation() == 2);
    until("both nodes follow the stream", || follows(&first) && follows(&second));
    assert_eq!(rename(&second, "third"), Some(3));
    until("the first node has the change", || first.service.plan().generation() == 3);
    // The other node replaces the snapshot with its own.
    until("messages are removed", || server.first() > last.0);
}
