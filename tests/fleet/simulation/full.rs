//! A stream that takes no more messages.

use super::stream::SimServer;
use super::threads::{Place, call, configure, follows, reason, running_clock, start_over, until};
use crate::support::random::Random;
use dialback::Reason;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

fn server_of(bytes: usize) -> SimServer {
    let server = SimServer::new(Random::new(1, 1), 1);
    server.heal();
    server.hold_at_most(bytes);
    server
}

fn start(server: &SimServer, path: &Path) -> Place {
    start_over(server.port(0), path, |settings| {
        settings.now = running_clock();
        settings.beat_every = Duration::from_millis(20);
    })
}

fn record(place: &Place, calls: Range<u64>) {
    place.service.record(calls.map(call).collect()).expect("it is durable");
}

/// Nodes publish calls of agents that they do not know: a configuration may come later.
#[test]
fn a_full_stream_without_a_configuration_gets_room() {
    let server = server_of(4 << 10);
    let directory = tempfile::tempdir().expect("a directory");
    let place = start(&server, directory.path());
    for index in 0..100 {
        record(&place, index..index + 1);
        until("the call is published", || follows(&place));
    }
    assert!(server.messages().len() < 100, "messages were removed");
    configure(&place);
    record(&place, 100..101);
    until("the node routes by the call", || reason(&place, 100) == Reason::Matched);
    until("the node follows the stream", || follows(&place));
}

#[test]
fn a_node_makes_room_if_the_last_one_stopped_between_its_snapshot_and_the_removal() {
    let server = server_of(64 << 10);
    let directory = tempfile::tempdir().expect("a directory");
    let place = start(&server, directory.path());
    configure(&place);
    until("the first snapshot is written", || server.first() > 1);
    drop(place);

    server.keep_all(true);
    let place = start(&server, directory.path());
    let mut calls = 0;
    until("the stream is full, and the node tries to make room", || {
        if place.node.link().metrics().outbox() == 0 {
            record(&place, calls..calls + 100);
            calls += 100;
        }
        server.kept() > 0
    });
    drop(place);
    server.keep_all(false);
    let place = start(&server, directory.path());
    until("the node makes room, and publishes the calls", || follows(&place));
    assert_eq!(place.service.history().len() as u64, calls);
}
