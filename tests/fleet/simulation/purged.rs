//! A stream that an operator purges while nodes follow it.

use super::stream::SimServer;
use super::threads::{Place, TENANT, call, configure, start_over, until};
use crate::support::random::Random;
use dialback::fleet::{Settings, Share, Subject};
use dialback::testing::universe::START;
use dialback::{Change, DialPlan, Lookback};
use std::path::Path;

/// Starts a node whose clock stands still, so that it looks at the stream's bounds once. It writes no snapshots.
fn start(server: &SimServer, which: usize, path: &Path) -> Place {
    let with_a_share = |settings: &mut Settings| settings.share = Share::of(0..15);
    start_over(server.port(which), path, with_a_share)
}

fn rename(place: &Place, name: &str) -> Option<u64> {
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
    let is_configuration = |subject: Subject| subject == Subject::Configuration;
    let oldest = server.messages().into_iter().find(|message| is_configuration(message.subject)).expect("one").payload;
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
