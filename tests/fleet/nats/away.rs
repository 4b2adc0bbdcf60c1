//! Servers that are unreachable, or that are killed.

use super::nats::NatsServer;
use super::stream::{LONG, SHORT, messages, read};
use super::{open, options};
use dialback::fleet::nats::NatsOptions;
use dialback::fleet::{Position, Stream, StreamError, Subject};
use std::collections::HashSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

fn is_away<T>(done: &Result<T, StreamError>) -> bool {
    matches!(done, Err(StreamError::Away(_)))
}

#[test]
fn calls_to_an_unreachable_server_fail_in_time_and_succeed_after_its_restart() {
    let mut server = NatsServer::start();
    let url = server.url();
    server.kill();
    let stream = open(NatsOptions { patience: Duration::from_secs(1), ..NatsOptions::new(url) });
    let asked = Instant::now();
    assert!(is_away(&stream.publish(&messages(0, 0..1))));
    assert!(is_away(&stream.publish_after(Subject::Configuration, b"x", Position::START)));
    assert!(is_away(&stream.bounds()));
    assert!(is_away(&stream.truncate(Position(1))));
    assert!(is_away(&stream.consume(Position::START, 1, SHORT)));
    assert!(is_away(&stream.write_snapshot(Position(1), &mut &b"x"[..])));
    assert!(is_away(&stream.read_snapshot()));
    assert!(asked.elapsed() < LONG, "each call has a bound");
    server.restart();
    let published = until(|| stream.publish(&messages(0, 0..1)));
    assert_eq!(published, Position(1));
}

/// A message without an acknowledgement may be missing. Acknowledged messages are there and in order, whatever happens
/// to the server.
#[test]
fn acknowledged_messages_survive_killing_the_server() {
    let mut server = NatsServer::start();
    let stream = open(NatsOptions { patience: Duration::from_secs(5), ..options(&server) });
    let (counted, counting) = std::sync::mpsc::channel();
    let mut acknowledged = Vec::new();
    let mut failed = 0;
    let _server = std::thread::scope(|scope| {
        // Kill the server after some more acknowledgements, in the middle of a publication.
        let killer = scope.spawn(move || {
            for pause in [3, 0, 11, 1, 5] {
                for _ in 0..8 {
                    counting.recv().expect("the publisher goes on");
                }
                sleep(Duration::from_millis(pause));
                server.kill();
                server.restart();
            }
            server
        });
        let mut next = 0;
        while !killer.is_finished() {
            let some = messages(1, next..next + 50);
            next += 50;
            match stream.publish(&some) {
                Ok(_) => {
                    acknowledged.extend(some.into_iter().map(|(_, payload)| payload));
                    let _ = counted.send(());
                }
                Err(_) => failed += 1,
            }
        }
        killer.join().expect("no panic")
    });
    let last = until(|| stream.bounds()).last;
    let there = read(&stream, Position::START, usize::try_from(last.0).expect("small"));
    let positions: Vec<u64> = there.iter().map(|delivery| delivery.position.0).collect();
    assert!(positions.iter().copied().eq(1..=last.0), "every position once");
    let there: Vec<_> = there.iter().map(|delivery| delivery.payload.to_vec()).collect();
    let held: HashSet<&Vec<u8>> = there.iter().collect();
    let missing = acknowledged.iter().filter(|message| !held.contains(message)).count();
    println!("acknowledged {}, failed {failed}, lost {missing}", acknowledged.len());
    assert_eq!(missing, 0);
    assert!(acknowledged.len() > 500 && failed > 0, "{} and {failed}", acknowledged.len());
    let order = |delivery: &&Vec<u8>| acknowledged.binary_search_by_key(&number(delivery), number).is_ok();
    let kept: Vec<u64> = there.iter().filter(order).map(number).collect();
    assert!(kept.is_sorted(), "in the order in which they were published");
}

#[allow(clippy::ptr_arg, reason = "`binary_search_by_key` passes a reference to an element")]
fn number(message: &Vec<u8>) -> u64 {
    let text = std::str::from_utf8(message).expect("text");
    text.strip_prefix("message ").expect("one of ours").parse().expect("a number")
}

/// After a restart of the server, a reader continues at its position, whatever the server has lost of it.
#[test]
fn a_reader_continues_after_the_server_was_killed() {
    let mut server = NatsServer::start();
    let (writer, reader) = (open(options(&server)), open(options(&server)));
    writer.publish(&messages(1, 0..10)).expect("published");
    assert_eq!(read(&reader, Position::START, 10).len(), 10);
    reader.bounds().expect("there");
    server.kill();
    assert!(is_away(&reader.consume(Position(10), 1, SHORT)));
    server.restart();
    // The stream may lack its last messages now, so the reader and the caller of `bounds` must be told. Another thread may
    // read a single message first.
    assert_eq!(&*until(|| reader.message_at(Position(10))).expect("it is there").payload, b"message 9");
    assert!(is_away(&reader.consume(Position(10), 1, LONG)), "a new connection is reported to the reader");
    assert!(is_away(&reader.bounds()), "a new connection is reported by `bounds`");
    assert_eq!(until(|| reader.bounds()).last, Position(10));
    assert_eq!(until(|| writer.publish(&messages(1, 10..20))), Position(20));
    let more = until(|| reader.consume(Position(10), usize::MAX, LONG));
    assert_eq!(more[0].position, Position(11));
    assert_eq!(&*more[0].payload, b"message 10");
}

/// A stream that lost its end may have another message at the position of the last one.
#[test]
fn publish_after_fails_on_a_new_connection_until_bounds_succeeds() {
    let mut server = NatsServer::start();
    let stream = open(options(&server));
    let last = stream.publish_after(Subject::Configuration, b"one", Position::START).expect("the first");
    server.kill();
    server.restart();
    until(|| stream.publish(&messages(1, 0..1)));
    for _ in 0..3 {
        let ordered = stream.publish_after(Subject::Configuration, b"two", last);
        assert!(matches!(ordered, Err(StreamError::Unseen)), "{ordered:?}");
    }
    assert_eq!(until(|| stream.bounds()).last_configuration, last);
    stream.publish_after(Subject::Configuration, b"two", last).expect("the second");
}

/// The client blocks without an error when 5,000 acknowledgements are not awaited.
#[test]
fn eight_threads_publish_more_than_the_client_can_hold() {
    let server = NatsServer::start_with("jetstream { store_dir: \"STORE\" }");
    let stream = open(options(&server));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let stream = &stream;
            scope.spawn(move || stream.publish(&messages(thread, 0..7000)).expect("published"));
        }
    });
    assert_eq!(stream.bounds().expect("there").last, Position(56_000));
}

/// A deleted stream is created again, with another incarnation.
#[test]
fn a_recreated_stream_has_another_incarnation_and_no_snapshot() {
    let server = NatsServer::start();
    let stream = open(options(&server));
    stream.publish(&messages(1, 0..3)).expect("published");
    stream.write_snapshot(Position(3), &mut &b"all"[..]).expect("written");
    let before = stream.bounds().expect("there");
    delete(&server, "DIALBACK");
    let after = until(|| stream.bounds());
    assert_ne!(after.incarnation, before.incarnation);
    assert_eq!(after.last, Position::START);
    assert!(stream.read_snapshot().expect("there").is_none(), "a snapshot of the deleted stream does not count");
}

fn delete(server: &NatsServer, stream: &str) {
    let runtime = tokio::runtime::Runtime::new().expect("threads");
    runtime.block_on(async {
        let client = async_nats::connect(server.url()).await.expect("there");
        async_nats::jetstream::new(client).delete_stream(stream).await.expect("deleted");
    });
}

/// Repeats a call until the server is reachable again.
fn until<T>(mut ask: impl FnMut() -> Result<T, StreamError>) -> T {
    let asked = Instant::now();
    loop {
        match ask() {
            Ok(done) => return done,
            Err(StreamError::Away(_)) if asked.elapsed() < LONG => sleep(Duration::from_millis(20)),
            Err(error) => panic!("{error}"),
        }
    }
}
