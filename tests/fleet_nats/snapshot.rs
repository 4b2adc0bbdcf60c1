//! Snapshots that are replaced or damaged while somebody reads them.

use super::nats::NatsServer;
use super::{open, options};
use async_nats::jetstream;
use dialback::fleet::nats::{NatsOptions, NatsStream};
use dialback::fleet::{Position, Stream};
use std::io::Read;
use std::time::Duration;

const BUCKET: &str = "OBJ_DIALBACK_SNAPSHOTS";

#[test]
fn a_snapshot_that_another_replaces_is_never_taken_for_whole() {
    let server = NatsServer::start();
    let stream = open(NatsOptions { patience: Duration::from_secs(1), ..options(&server) });
    // More than what the server sends before it is asked for more.
    let (old, new) = (vec![1; 64 << 20], vec![2; 1000]);
    stream.write_snapshot(Position(1), &mut &old[..]).expect("written");
    let mut reading = stream.read_snapshot().expect("there").expect("one").content;
    stream.write_snapshot(Position(2), &mut &new[..]).expect("written");
    let mut got = Vec::new();
    assert!(reading.read_to_end(&mut got).is_err(), "{} bytes", got.len());
    assert!(reading.read(&mut [0; 10]).is_err(), "and no read succeeds after that");
}

/// Writers that were killed leave chunks that nothing names.
#[test]
fn only_one_snapshot_is_kept() {
    let server = NatsServer::start();
    let stream = open(options(&server));
    for at in 1..5 {
        stream.write_snapshot(Position(at), &mut &vec![1; 3 << 20][..]).expect("written");
    }
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    let orphan = |stream: &NatsStream, at: u64| {
        runtime.block_on(async {
            let context = jetstream::new(async_nats::connect(server.url()).await.expect("there"));
            let chunk = context.publish("$O.DIALBACK_SNAPSHOTS.C.orphan", vec![1; 1 << 20].into()).await;
            chunk.expect("sent").await.expect("acknowledged");
        });
        stream.write_snapshot(Position(at), &mut &vec![1; 3 << 20][..]).expect("written");
        runtime.block_on(async {
            let context = jetstream::new(async_nats::connect(server.url()).await.expect("there"));
            context.get_stream(BUCKET).await.expect("there").cached_info().state.bytes >> 20
        })
    };
    assert_eq!(orphan(&stream, 5), 4, "it could still go on");
    assert_eq!(orphan(&stream, 6), 5, "it did go on");
    stream.write_snapshot(Position(7), &mut &vec![1; 3 << 20][..]).expect("written");
    let bytes = runtime.block_on(async {
        let context = jetstream::new(async_nats::connect(server.url()).await.expect("there"));
        context.get_stream(BUCKET).await.expect("there").cached_info().state.bytes
    });
    assert!((3 << 20..4 << 20).contains(&bytes), "{bytes}");
}

#[test]
fn a_changed_byte_is_found() {
    let server = NatsServer::start();
    let stream = open(NatsOptions { patience: Duration::from_secs(1), ..options(&server) });
    stream.write_snapshot(Position(1), &mut &vec![1; 2 << 20][..]).expect("written");
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(async {
        // One chunk in the place of another: the server's own checksums are content.
        let context = jetstream::new(async_nats::connect(server.url()).await.expect("there"));
        let bucket = context.get_stream(BUCKET).await.expect("there");
        let last = bucket.get_last_raw_message_by_subject("$O.DIALBACK_SNAPSHOTS.C.>").await.expect("a chunk");
        let mut payload = last.payload.to_vec();
        payload[0] ^= 1;
        bucket.delete_message(last.sequence).await.expect("deleted");
        context.publish(last.subject, payload.into()).await.expect("sent").await.expect("acknowledged");
    });
    let mut got = Vec::new();
    let error = stream.read_snapshot().expect("there").expect("one").content.read_to_end(&mut got);
    assert_eq!(error.expect_err("found").kind(), std::io::ErrorKind::InvalidData);
}
