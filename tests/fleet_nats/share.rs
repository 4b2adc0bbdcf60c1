//! A node that takes a share of the partitions.

use super::nats::NatsServer;
use super::stream::{LONG, SHORT, messages};
use super::{open, options};
use dialback::fleet::nats::NatsOptions;
use dialback::fleet::{Position, Stream, StreamError, Subject};

#[test]
fn a_share_is_its_partitions_and_every_configuration() {
    let server = NatsServer::start();
    let all = open(options(&server));
    let some = open(NatsOptions { share: Some(vec![3, 5]), ..options(&server) });
    for partition in [3, 4, 5, 6, 3] {
        all.publish(&messages(partition, 0..2)).expect("published");
    }
    all.publish_after(Subject::Configuration, b"c", Position::START).expect("published");
    let mut got = Vec::new();
    while got.len() < 7 {
        let after = got.last().map_or(Position::START, |(position, _)| *position);
        let more = some.consume(after, 1, LONG).expect("read");
        got.extend(more.into_iter().map(|delivery| (delivery.position, delivery.subject)));
    }
    let (three, five) = (Subject::Calls(3), Subject::Calls(5));
    let expected =
        [(1, three), (2, three), (5, five), (6, five), (9, three), (10, three), (11, Subject::Configuration)];
    assert_eq!(got, expected.map(|(position, subject)| (Position(position), subject)));
    assert_eq!(some.consume(Position(11), 1, SHORT).expect("read"), []);
    // A share of another's messages is missed too where they are gone: nobody can tell any more.
    all.truncate(Position(4)).expect("truncated");
    assert!(matches!(some.consume(Position(2), 1, SHORT), Err(StreamError::Gone)));
    assert_eq!(some.consume(Position(4), 1, LONG).expect("read")[0].position, Position(5));
}
