//! Streams and buckets that are full, with nodes.

use super::nats::NatsServer;
use super::{open, options};
use crate::simulation::purged::rename;
use crate::simulation::threads::{Place, call, configure, follows, reason, running_clock, start_over, until};
use async_nats::jetstream;
use dialback::Reason;
use dialback::fleet::nats::{NatsOptions, NatsStream};
use dialback::fleet::{Position, Settings, Stream};
use dialback::metrics::FleetState;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const STREAM: &str = "DIALBACK";
const BUCKET: &str = "OBJ_DIALBACK_SNAPSHOTS";

fn connect(server: &NatsServer, max_bytes: Option<u64>) -> NatsStream {
    let mut options = NatsOptions { partitions: Settings::PARTITIONS, ..options(server) };
    options.storage.max_bytes = max_bytes;
    open(options)
}

/// Starts a node whose clock runs.
fn start(server: &NatsServer, path: &Path, max_bytes: Option<u64>, set_up: impl FnOnce(&mut Settings)) -> Place {
    start_over(Arc::new(connect(server, max_bytes)), path, |settings| {
        settings.now = running_clock();
        set_up(settings);
    })
}

fn record(place: &Place, calls: std::ops::Range<u64>) {
    for from in calls.clone().step_by(5000) {
        let some = (from..calls.end.min(from + 5000)).map(call).collect();
        place.service.record(some).expect("it is durable");
    }
}

fn state(place: &Place) -> FleetState {
    place.node.link().metrics().state()
}

/// Sets the size limit of a stream, as `nats stream edit` does. Returns how many bytes the stream holds.
fn limit(server: &NatsServer, stream: &str, max_bytes: i64) -> u64 {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(async {
        let context = jetstream::new(async_nats::connect(server.url()).await.expect("there"));
        let stream = context.get_stream(stream).await.expect("there");
        let config = jetstream::stream::Config { max_bytes, ..stream.cached_info().config.clone() };
        context.update_stream(&config).await.expect("changed").state.bytes
    })
}

#[test]
fn nodes_make_room_in_a_full_stream_and_all_calls_arrive() {
    let server = NatsServer::start();
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let start = |name: &str| start(&server, &path(name), Some(2 << 20), |_| {});
    let (first, second) = (start("first"), start("second"));
    configure(&first);
    record(&first, 0..50_000);
    until("the other node has all calls", || second.service.history().len() == 50_000);
    until("both follow", || follows(&first) && follows(&second));
    assert_eq!(reason(&second, 49_999), Reason::Matched);
    let stream = connect(&server, None);
    assert!(stream.bounds().expect("there").first > Position(1), "the stream held fewer calls");

    // A node that begins with such a snapshot has all, and knows the last configuration.
    drop(first);
    let third = start("third");
    until("the new node follows", || follows(&third));
    assert_eq!(third.service.history().len(), 50_000);
    until("the new node changes the configuration", || rename(&third, "renamed") == Some(2));
    until("the other node has the change", || second.service.plan().generation() == 2);
}

#[test]
fn a_full_stream_is_named_until_its_limits_are_raised() {
    let server = NatsServer::start();
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name);
    let start = |name: &str| start(&server, &path(name), Some(1 << 20), |_| {});
    let (first, second) = (start("first"), start("second"));
    configure(&first);
    // A snapshot of these takes more than the bucket holds, and all of them more than the stream.
    record(&first, 0..80_000);
    let failures = |place: &Place| place.node.link().metrics().snapshot_failures();
    until("a snapshot fails", || failures(&first) + failures(&second) > 0);
    let is_full = |place: &Place| matches!(state(place), FleetState::Full(why) if why.contains("maximum bytes"));
    until("the node says so", || is_full(&first));
    assert_eq!(reason(&first, 79_999), Reason::Matched, "the node routes by what it has");
    limit(&server, BUCKET, 16 << 20);
    until("the other node has all calls", || second.service.history().len() == 80_000);
    until("both follow", || follows(&first) && follows(&second));
}

#[test]
fn a_bucket_without_room_delays_snapshots_and_nothing_else() {
    let server = NatsServer::start();
    let directory = tempfile::tempdir().expect("a directory");
    connect(&server, None).bounds().expect("made");
    limit(&server, BUCKET, 16 << 10);
    let every = Duration::from_secs(2);
    let node = start(&server, directory.path(), None, |settings| settings.snapshot_every = every);
    configure(&node);
    record(&node, 0..5000);
    until("the calls are published", || follows(&node));
    let failures = || node.node.link().metrics().snapshot_failures();
    let (began, mut changes) = (Instant::now(), 1);
    // As long as it takes: beside other work, a change may need longer than an attempt, or than the node waits.
    until("snapshots fail while changes are made", || {
        let state = state(&node);
        assert!(!matches!(state, FleetState::Full(_) | FleetState::Halted(_) | FleetState::Stopped(_)), "{state:?}");
        // The snapshot's message may come first.
        changes = rename(&node, &format!("name {changes}")).unwrap_or(changes);
        failures() > 2 && changes > 20
    });
    assert_eq!(node.node.link().metrics().republished(), 0, "the node never began again");
    let most = 10 + 7 * began.elapsed().as_secs();
    assert!(failures() < most, "{} attempts, at most {most}", failures());
    assert!(limit(&server, BUCKET, 16 << 20) < 16 << 10, "failed attempts leave nothing behind");
    let stream = connect(&server, None);
    until("the stream is truncated", || stream.bounds().is_ok_and(|bounds| bounds.first > Position(1)));
    assert!(limit(&server, STREAM, -1) > 0);
}
