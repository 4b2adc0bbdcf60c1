//! Servers and streams that are not this fleet's, and invalid options.

use super::nats::NatsServer;
use super::stream::messages;
use super::{open, options};
use async_nats::jetstream::{self, stream::Config};
use dialback::fleet::nats::{NatsOptions, NatsStream, Storage};
use dialback::fleet::{Stream, StreamError, Subject};
use std::time::Duration;

fn refused(stream: &NatsStream) -> String {
    match stream.publish(&messages(0, 0..1)) {
        Err(StreamError::Engine(what)) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_foreign_stream_is_rejected() {
    let server = NatsServer::start();
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(async {
        let context = jetstream::new(async_nats::connect(server.url()).await.expect("there"));
        let theirs = Config { name: "THEIRS".into(), subjects: vec!["theirs.*".into()], ..Config::default() };
        context.create_stream(theirs).await.expect("made");
    });
    let stream = open(NatsOptions { stream: "THEIRS".into(), ..options(&server) });
    assert!(refused(&stream).contains("not this fleet's"), "{}", refused(&stream));
    let stream = open(NatsOptions { prefix: "theirs".into(), ..options(&server) });
    assert!(refused(&stream).contains("cannot create the stream"), "{}", refused(&stream));
}

#[test]
fn a_node_with_other_partitions_or_another_prefix_is_rejected() {
    let server = NatsServer::start();
    open(options(&server)).bounds().expect("made");
    let stream = open(NatsOptions { partitions: 128, ..options(&server) });
    assert!(refused(&stream).contains("partitions 64"), "{}", refused(&stream));
    let stream = open(NatsOptions { prefix: "other".into(), ..options(&server) });
    assert!(refused(&stream).contains("its subjects are dialback.calls.*"), "{}", refused(&stream));
}

#[test]
fn a_server_without_jetstream_counts_as_unreachable() {
    let server = NatsServer::start_with("");
    let stream = open(NatsOptions { patience: Duration::from_secs(1), ..options(&server) });
    let done = stream.publish(&messages(0, 0..1));
    assert!(matches!(done, Err(StreamError::Away(_))), "{done:?}");
}

#[test]
fn invalid_options_are_rejected_without_showing_a_password() {
    let is_refused = |options: NatsOptions| match NatsStream::new(options) {
        Err(StreamError::Engine(what)) => assert!(!what.contains("secret"), "{what}"),
        other => panic!("{}", other.is_ok()),
    };
    let fine = || NatsOptions::new("nats://127.0.0.1:1");
    is_refused(NatsOptions { servers: "nats://me:secret@[x".into(), ..fine() });
    is_refused(NatsOptions { stream: "a.b".into(), ..fine() });
    is_refused(NatsOptions { prefix: "a..b".into(), ..fine() });
    is_refused(NatsOptions { prefix: "a.*".into(), ..fine() });
    is_refused(NatsOptions { partitions: 0, ..fine() });
    is_refused(NatsOptions { storage: Storage { replicas: 6, ..fine().storage }, ..fine() });
}

#[test]
fn a_message_over_the_servers_limit_is_rejected_at_once() {
    let server = NatsServer::start();
    let stream = open(options(&server));
    let done = stream.publish(&[(Subject::Calls(0), vec![0; 2 << 20])]);
    assert!(matches!(done, Err(StreamError::Engine(_))), "{done:?}");
    stream.publish(&[(Subject::Calls(0), vec![0; 1 << 20])]).expect("the largest");
}
