//! A stream whose first message is after its last configuration, and nodes that may lack that configuration.

use super::purged::rename;
use super::stream::SimServer;
use super::threads::{Place, TENANT, call, configure, start_over, until};
use crate::support::random::Random;
use dialback::fleet::{Settings, Share, Subject};
use dialback::metrics::FleetState;
use dialback::testing::universe::START;
use dialback::{AgentId, Call, Change, Direction, Event, Timestamp};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(600);
const SOON: Duration = Duration::from_secs(5);

/// Two nodes that are stopped: the first one has two or three configurations, and the other one has the first of them.
struct Hidden {
    server: SimServer,
    now: Arc<AtomicU64>,
    directory: tempfile::TempDir,
}

impl Hidden {
    fn new() -> Self {
        Self::with(|first| {
            for (generation, name) in [(2, "second"), (3, "third")] {
                assert_eq!(rename(first, name), Some(generation));
            }
        })
    }

    /// Creates the nodes. The first one makes these changes, which the other one does not have.
    fn with(change: impl FnOnce(&Place)) -> Self {
        let server = SimServer::new(Random::new(1, 1), 2);
        server.heal();
        let now = Arc::new(AtomicU64::new(START.millis()));
        let hidden = Self { server, now, directory: tempfile::tempdir().expect("a directory") };
        let (first, other) = (hidden.start_sharing(0), hidden.start_sharing(1));
        configure(&first);
        until("the other node has the configuration", || other.service.plan().generation() == 1);
        until("it has its position", || other.node.link().metrics().position() == hidden.server.last());
        drop(other);
        change(&first);
        until("the first node has its position", || first.node.link().metrics().position() == hidden.server.last());
        drop(first);
        // The nodes have read neither of these messages. The stream begins after the one that is removed.
        hidden.server.inject(Subject::Other, b"hello");
        let removed = hidden.server.inject(Subject::Other, b"remove this");
        assert!(hidden.server.delete(removed, b"remove this"));
        hidden
    }

    /// Starts a node. If it lacks messages, it writes a snapshot for others after twice `beat_every`.
    fn start(&self, which: usize, share: Share, beat_every: Duration) -> Place {
        let path = self.directory.path().join(which.to_string());
        start_over(self.server.port(which), &path, |settings: &mut Settings| {
            let now = Arc::clone(&self.now);
            settings.now = Arc::new(move || Timestamp::from_millis(now.load(Ordering::SeqCst)));
            settings.snapshot_wait = WAIT;
            settings.beat_every = beat_every;
            settings.share = share;
        })
    }

    /// Starts a node that writes no snapshots.
    fn start_sharing(&self, which: usize) -> Place {
        self.start(which, Share::of(0..15), SOON)
    }

    fn pass(&self, time: Duration) {
        self.now.fetch_add(u64::try_from(time.as_millis()).expect("short"), Ordering::SeqCst);
    }

    /// Lets twenty seconds pass, in which each part of a node takes several steps.
    fn work(&self) {
        for _ in 0..20 {
            self.pass(Duration::from_secs(1));
            sleep(Duration::from_millis(100));
        }
    }

    /// Lets time pass until something has happened.
    fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        until(what, || {
            self.pass(Duration::from_millis(20));
            is_so()
        });
    }

    /// Waits until the node has begun again at the stream's beginning, although it may lack what was before.
    fn until_it_goes_on(&self, place: &Place) {
        self.work();
        self.pass(WAIT);
        self.until("the node goes on", || place.node.link().gap().0 > 0);
    }

    /// Returns the number of messages about configurations after the stream's beginning.
    fn published(&self) -> usize {
        let first = self.server.first();
        self.server.configurations().iter().filter(|message| message.position.0 >= first).count()
    }
}

fn follows(place: &Place) -> bool {
    place.node.link().metrics().state() == FleetState::Following
}

fn generations(places: [&Place; 2]) -> [u64; 2] {
    places.map(|place| place.service.plan().generation())
}

#[test]
fn a_node_does_not_pass_over_what_nodes_publish_that_cannot_know_its_last_configuration() {
    let hidden = Hidden::new();
    let first = hidden.start(0, Share::ALL, 100 * WAIT);
    hidden.until_it_goes_on(&first);
    hidden.until("the first node follows the stream", || follows(&first));
    hidden.work();
    hidden.server.cut(0, true);
    let other = hidden.start_sharing(1);
    hidden.until_it_goes_on(&other);
    // The other node waits for a node that has the last configuration.
    hidden.pass(2 * WAIT);
    hidden.until("the other node publishes its configuration", || hidden.published() > 0);
    hidden.server.cut(0, false);
    hidden.until("both have all configurations", || generations([&first, &other]) == [3, 3]);
    hidden.until("the first node can order a change", || rename(&first, "fourth") == Some(4));
    hidden.until("the other node has the change", || generations([&first, &other]) == [4, 4]);
    assert_eq!(other.service.plan().environment(TENANT).expect("there").name(), "fourth");
}

#[test]
fn a_node_with_a_share_publishes_no_configurations_before_it_has_waited_for_the_last_one() {
    let hidden = Hidden::new();
    let other = hidden.start_sharing(1);
    hidden.until_it_goes_on(&other);
    hidden.work();
    assert_eq!(hidden.published(), 0);
    // A node that has the last configuration writes a snapshot with it.
    let first = hidden.start(0, Share::ALL, SOON);
    hidden.until_it_goes_on(&first);
    hidden.work();
    hidden.until("both have all configurations", || generations([&first, &other]) == [3, 3]);
}

/// The configuration that a node lacks comes to it in a message before a snapshot is there. The calls of that
/// configuration are before the message.
#[test]
fn a_node_gets_the_calls_that_it_ignored_before_it_had_their_configuration() {
    let id = AgentId::from_u128(0xB1);
    let hidden = Hidden::with(|first| {
        let created = Change::AgentCreated { id, name: "new".into(), label: None, direction: Direction::Outbound };
        first.service.configure(TENANT, START, move |_| Ok(vec![created])).expect("ordered and in force");
    });
    let other = hidden.start(1, Share::ALL, 100 * WAIT);
    hidden.until_it_goes_on(&other);
    let first = hidden.start(0, Share::ALL, SOON);
    let Event::Call(by_another) = call(1) else { panic!("a call") };
    first.service.record(vec![Event::Call(Call { agent: id, ..by_another })]).expect("it is durable");
    hidden.until_it_goes_on(&first);
    hidden.until("the other node has ignored the call", || other.node.link().metrics().unknown() > 0);
    assert_eq!(other.service.plan().generation(), 1);
    hidden.until("the other node has the configuration", || other.service.plan().generation() == 2);
    hidden.until("the other node has the call", || other.service.history().len() == 1);
}
