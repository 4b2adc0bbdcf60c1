//! Messages that a real server rejects or delivers, and that the simulation does not know.

use super::nats::NatsServer;
use super::{open, options};
use crate::simulation::threads::{Place, call, configure, reason, start_over, until};
use async_nats::jetstream;
use dialback::Reason;
use dialback::fleet::nats::NatsOptions;
use dialback::fleet::{Keys, Settings};
use dialback::metrics::{FleetState, Skipped};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const JETSTREAM: &str = "jetstream { store_dir: \"STORE\" }\n";

fn start(server: &NatsServer, path: &Path, set_up: impl FnOnce(&mut Settings)) -> Place {
    let stream = open(NatsOptions { partitions: Settings::PARTITIONS, ..options(server) });
    start_over(Arc::new(stream), path, set_up)
}

fn outbox_is_empty(place: &Place) -> bool {
    let fleet_state = place.service.fleet_state().expect("it has an outbox");
    fleet_state.outbox(0, 1).expect("readable").is_empty()
}

/// Publishes past the fleet.
fn publish(server: &NatsServer, subject: &str, payload: Vec<u8>) {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let subject = subject.to_owned();
    runtime.block_on(async {
        let context = jetstream::new(async_nats::connect(server.url()).await.expect("there"));
        let sent = context.publish(subject, payload.into()).await.expect("sent");
        sent.await.expect("acknowledged");
    });
}

#[test]
fn batches_and_snapshots_are_split_to_what_a_server_of_16_kb_accepts() {
    let server = NatsServer::start_with(&format!("{JETSTREAM}max_payload: 16384"));
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let keys = Keys::read(&"5a".repeat(32), "small").expect("a key").encrypting(true);
    let with_key = |settings: &mut Settings| settings.keys = keys.clone();
    let first = start(&server, &path("first"), with_key);
    configure(&first);
    first.service.record((0..5000).map(call).collect()).expect("it is durable");
    until("the calls are published", || outbox_is_empty(&first));
    let second = start(&server, &path("second"), with_key);
    until("all calls arrive", || second.service.history().len() == 5000);
    assert_eq!(reason(&second, 4999), Reason::Matched);

    // A snapshot of 90 KB, and a node that reads it.
    drop(first);
    let first = start(&server, &path("first"), |settings| {
        with_key(settings);
        settings.snapshot_every = Duration::ZERO;
    });
    let stream = open(NatsOptions { partitions: Settings::PARTITIONS, ..options(&server) });
    let first_message = || dialback::fleet::Stream::bounds(&stream).map_or(0, |bounds| bounds.first.0);
    until("the stream is truncated", || first_message() > 1);
    drop(first);
    let third = start(&server, &path("third"), with_key);
    until("the node is ready", || third.node.link().metrics().state() == FleetState::Following);
    assert_eq!(third.service.history().len(), 5000);
}

#[test]
fn strays_and_a_message_of_20_mb_are_skipped_and_the_configuration_can_still_be_changed() {
    let server = NatsServer::start_with(&format!("{JETSTREAM}max_payload: 32MB\nmax_pending: 64MB"));
    let directory = tempfile::tempdir().expect("a directory");
    let first = start(&server, directory.path(), |_| {});
    until("the node follows", || first.node.link().metrics().state() == FleetState::Following);
    publish(&server, "dialback.config", b"hello".to_vec());
    publish(&server, "dialback.calls.99", Vec::new());
    publish(&server, "dialback.calls.3", vec![b'x'; 20 << 20]);
    publish(&server, "dialback.config", Vec::new());
    let metrics = first.node.link().metrics();
    until("the node skips them", || metrics.skipped(Skipped::Foreign) == 4);
    configure(&first);
    first.service.record(vec![call(1)]).expect("it is durable");
    until("the call is published", || outbox_is_empty(&first));
    assert_eq!((metrics.state(), reason(&first, 1)), (FleetState::Following, Reason::Matched));
}
