//! Messages that a real server rejects or delivers, and that the simulation does not know.

use super::nats::NatsServer;
use super::{open, options};
use crate::simulation::threads::{Place, TENANT, call, configure, reason, start_over, until};
use async_nats::jetstream;
use dialback::fleet::nats::NatsOptions;
use dialback::fleet::{Keys, Settings};
use dialback::metrics::{FleetState, Skipped};
use dialback::{CallId, Context, Details, Event, Reason};
use std::fs;
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
fn longest_report_waits_for_a_server_that_accepts_it() {
    let mut server = NatsServer::start_with(&format!("{JETSTREAM}max_payload: 8192"));
    let directory = tempfile::tempdir().expect("a directory");
    let keys = Keys::read(&"5a".repeat(32), "small").expect("a key").encrypting(true);
    let begin = |name: &str| start(&server, &directory.path().join(name), |settings| settings.keys = keys.clone());
    let [first, second] = ["first", "second"].map(begin);
    configure(&first);
    until("the other node has the configuration", || second.service.plan().generation() == 1);

    limit(&mut server, 8192, 8191);
    until("the node says why it is away", || match first.node.link().metrics().state() {
        FleetState::Away(why) => why.contains("8191") && why.contains("max_payload"),
        _ => false,
    });
    let id = CallId::new(&"i".repeat(CallId::MAX)).expect("valid");
    let context = format!("{{\"a\":\"{}\"}}", "x".repeat(Context::MAX - 8));
    let context = Context::new(&context).expect("valid");
    let Event::Call(shortest) = call(1) else { unreachable!("it is a call") };
    let details = Details { id: Some(id.clone()), context: Some(context.clone()) };
    let recorded = first.service.record(vec![Event::reported(shortest, details)]).expect("it is durable");
    assert!(recorded[0].is_ok() && !outbox_is_empty(&first));

    limit(&mut server, 8191, 8192);
    until("the other node has the call", || {
        let known = second.service.known_call(TENANT, &id).expect("readable");
        known.is_some_and(|known| known.context.as_ref() == Some(&context))
    });
    until("the node has published all", || outbox_is_empty(&first));
}

/// Restarts the server with another limit.
fn limit(server: &mut NatsServer, from: u32, to: u32) {
    server.kill();
    let path = server.store().with_file_name("server.conf");
    let configuration = fs::read_to_string(&path).expect("a file");
    fs::write(&path, configuration.replace(&format!("max_payload: {from}"), &format!("max_payload: {to}")))
        .expect("written");
    server.restart();
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
