//! A fleet without any configuration.

use super::stream::SimServer;
use super::threads::{call, configure, reason, start_over, until};
use crate::support::random::Random;
use dialback::metrics::FleetState;
use dialback::testing::universe::START;
use dialback::{Reason, Timestamp};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Nodes publish calls of agents that they do not know: a configuration may come later.
#[test]
fn a_full_stream_without_a_configuration_gets_room() {
    let server = SimServer::new(Random::new(1, 1), 1);
    server.heal();
    server.hold_at_most(4096);
    let directory = tempfile::tempdir().expect("a directory");
    let began = Instant::now();
    let millis = move || u64::try_from(began.elapsed().as_millis()).expect("short");
    let place = start_over(server.port(0), directory.path(), |settings| {
        settings.now = Arc::new(move || Timestamp::from_millis(START.millis() + millis()));
        settings.beat_every = Duration::from_millis(20);
    });
    let metrics = place.node.link().metrics();
    until("the node follows the stream", || metrics.state() == FleetState::Following);
    for index in 0..100 {
        place.service.record(vec![call(index)]).expect("it is durable");
        until("the call is published", || metrics.outbox() == 0);
    }
    assert!(server.messages().len() < 100, "messages were removed");
    configure(&place);
    place.service.record(vec![call(100)]).expect("it is durable");
    until("the node routes by the call", || reason(&place, 100) == Reason::Matched);
    until("the node follows the stream", || metrics.state() == FleetState::Following);
}
