//! Snapshots that are replaced or damaged while they are read.

use super::nats::NatsServer;
use super::{open, options};
use async_nats::jetstream;
use dialback::fleet::nats::{NatsOptions, NatsStream};
use dialback::fleet::{Position, Stream};
use std::io::Read;
use std::time::Duration;

const BUCKET: &str = "OBJ_DIALBACK_SNAPSHOTS";

#[test]
fn reading_a_snapshot_that_is_replaced_meanwhile_fails() {
    let server = NatsServer::start();
    let writer = open(options(&server));
    let stream = open(NatsOptions { patience: Duration::from_secs(1), ..options(&server) });
    // More bytes than the server sends ahead of a request.
    let (old, new) = (vec![1; 64 << 20], vec![2; 1000]);
    writer.write_snapshot(Position(1), &mut &old[..]).expect("written");
    let mut reading = stream.read_snapshot().expect("there").expect("one").content;
    writer.write_snapshot(Position(2), &mut &new[..]).expect("written");
    let mut got = Vec::new();
    assert!(reading.read_to_end(&mut got).is_err(), "{} bytes", got.len());
    assert!(reading.read(&mut [0; 10]).is_err(), "reads fail after the first error");
}

/// Writers that were killed leave chunks that belong to no object.
#[test]
fn old_snapshots_and_chunks_of_dead_writers_are_removed() {
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
    assert_eq!(orphan(&stream, 5), 4, "the writer of the orphan may still be alive");
    assert_eq!(orphan(&stream, 6), 5, "the writer of the orphan has written since");
    stream.write_snapshot(Position(7), &mut &vec![1; 3 << 20][..]).expect("written");
    let bytes = runtime.block_on(async {
        let context = jetstream::new(async_nats::connect(server.url()).await.expect("there"));
        context.get_stream(BUCKET).await.expect("there").cached_info().state.bytes
    });
    assert!((3 << 20..4 << 20).contains(&bytes), "{bytes}");
}

#[test]
fn reading_a_snapshot_with_a_changed_byte_fails() {
    let server = NatsServer::start();
    let stream = open(NatsOptions { patience: Duration::from_secs(1), ..options(&server) });
    stream.write_snapshot(Position(1), &mut &vec![1; 2 << 20][..]).expect("written");
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(async {
        // Replace a chunk through the server, so that the server's own checksums are right.
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
