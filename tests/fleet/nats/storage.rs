//! The servers that keep the stream: domains and limits.

use super::nats::NatsServer;
use super::stream::messages;
use super::{open, options};
use dialback::fleet::nats::{NatsOptions, Storage};
use dialback::fleet::{Position, Stream, StreamError, Subject};
use std::time::Duration;

fn with(server: &NatsServer, change: impl FnOnce(&mut Storage)) -> NatsOptions {
    let mut options = NatsOptions { patience: Duration::from_secs(2), ..options(server) };
    change(&mut options.storage);
    options
}

#[test]
fn a_node_reaches_the_stream_in_its_domain_only() {
    let server = NatsServer::start_with("jetstream { store_dir: \"STORE\", domain: hub }");
    let at = |domain: &str| open(with(&server, |storage| storage.domain = Some(domain.into())));
    let stream = at("hub");
    stream.publish(&messages(0, 0..3)).expect("published");
    stream.write_snapshot(Position(3), &mut &b"all"[..]).expect("written");
    assert_eq!(stream.consume(Position(2), 1, Duration::from_secs(2)).expect("read")[0].position, Position(3));
    let elsewhere = at("other").publish(&messages(0, 0..1));
    assert!(matches!(elsewhere, Err(StreamError::Away(_))), "{elsewhere:?}");
}

/// A full stream rejects messages and removes none. It accepts messages again after a truncation.
#[test]
fn a_full_stream_says_so_until_it_is_truncated() {
    let server = NatsServer::start();
    let stream = open(with(&server, |storage| storage.max_bytes = Some(1 << 20)));
    let large = [(Subject::Calls(0), vec![1; 200 << 10])];
    let mut last = Position::START;
    let full = loop {
        match stream.publish(&large) {
            Ok(position) => last = position,
            Err(error) => break error,
        }
        assert!(last < Position(10), "the limit is in force");
    };
    assert!(matches!(&full, StreamError::Full(why) if why.contains("maximum bytes")), "{full}");
    assert_eq!(stream.bounds().expect("there").first, Position(1), "nothing is removed");
    let ordered = stream.publish_after(Subject::Configuration, &large[0].1, Position::START);
    assert!(matches!(&ordered, Err(StreamError::Full(_))), "{ordered:?}");
    for _ in 0..2 {
        let too_large = stream.write_snapshot(last, &mut &vec![1; 2 << 20][..]);
        assert!(matches!(&too_large, Err(StreamError::Engine(why)) if why.contains("no room")), "{too_large:?}");
        stream.write_snapshot(last, &mut &vec![2; 400 << 10][..]).expect("what did not fit left nothing behind");
    }
    stream.truncate(last).expect("truncated");
    stream.publish(&large).expect("there is room again");
}

/// A server alone is no cluster, and so has no place for a stream that needs one.
#[test]
fn a_stream_without_a_place_is_not_created() {
    let server = NatsServer::start();
    let copies = open(with(&server, |storage| storage.replicas = 3)).bounds();
    assert!(matches!(&copies, Err(StreamError::Engine(why)) if why.contains("replicas")), "{copies:?}");
}
