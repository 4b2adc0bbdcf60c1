//! Strays at the end of a stream that loses its end.

use super::stream::SimServer;
use super::threads::{Place, call, configure, reason, start_over, until};
use crate::support::random::Random;
use dialback::Reason;
use dialback::fleet::{Planted, Settings, Share, Subject};
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

fn start(server: &SimServer, which: usize, path: &Path, planted: Option<Planted>) -> Place {
    let set_up = |settings: &mut Settings| {
        // Such a node writes no snapshots.
        settings.share = Share::of(0..15);
        settings.planted = planted;
    };
    start_over(server.port(which), path, set_up)
}

/// Returns whether a node reads the message that has taken the place of a stray, which the stream has lost.
fn reads_what_took_a_strays_place(planted: Option<Planted>) -> bool {
    let server = SimServer::new(Random::new(1, 1), 2);
    server.heal();
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let first = start(&server, 0, &path("first"), planted);
    configure(&first);
    let second = start(&server, 1, &path("second"), planted);
    until("the other node has the configuration", || second.service.plan().generation() == 1);
    let position = |place: &Place| place.node.link().metrics().position();
    for (place, index) in [(&first, 1), (&second, 2)] {
        // A node that has published a message sends no heartbeat.
        place.service.record(vec![call(index)]).expect("it is durable");
        until("the call is published", || place.node.link().metrics().outbox() == 0);
    }
    until("both have all messages", || [&first, &second].map(position) == [server.last(); 2]);
    server.sync();
    drop(second);
    let stray = server.inject(Subject::Calls(0), b"hello");
    until("the node has passed the stray", || position(&first) == stray);
    server.cut(0, true);
    assert_eq!(server.crash(), 1, "the stray is lost");
    let second = start(&server, 1, &path("second"), None);
    second.service.record(vec![call(3)]).expect("it is durable");
    until("the call has the stray's place", || server.last() == stray);
    server.cut(0, false);
    // Something that the node reads in any case.
    second.service.record(vec![call(4)]).expect("it is durable");
    until("the node has the later call", || reason(&first, 4) == Reason::Matched);
    sleep(Duration::from_millis(100));
    reason(&first, 3) == Reason::Matched
}

#[test]
fn a_message_that_took_the_place_of_a_lost_stray_is_read() {
    assert!(reads_what_took_a_strays_place(None));
    assert!(!reads_what_took_a_strays_place(Some(Planted::StrayTail)), "the check finds a node that does not read it");
}
