//! Measures the events a second that are published with acknowledgement and replayed, compared with the bare client
//! and equal messages. A node writes, signs and encrypts its messages in the measured time, and reads them.

use crate::access::Access;
use crate::{median, verdict};
use dialback::fleet::nats::{NatsOptions, NatsStream};
use dialback::fleet::{Body, Envelope, Keys, Position, Stream, Subject, read};
use dialback::{E164, Timestamp};
use std::time::{Duration, Instant};

/// The number of bytes that a node processes at once.
const AT_ONCE: usize = 1 << 20;
const WAIT: Duration = Duration::from_secs(20);
const SUBJECT: Subject = Subject::Calls(0);
/// The smallest accepted shares of the bare client's rates.
const PUBLISHED: f64 = 0.85;
const REPLAYED: f64 = 0.8;

pub(crate) fn run(rounds: usize, messages: u64) {
    println!("| server | key | events a message | what | bare, events/s | ours, events/s | ratio | asked | |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let signs = || Keys::read(&"5a".repeat(32), "DIALBACK").expect("a key");
    for access in [Access::open(), Access::with_login_and_tls()] {
        for (key, keys) in [("none", Keys::NONE), ("signs", signs()), ("encrypts", signs().encrypting(true))] {
            for (events, share) in [(1, 1), (100, 4), (500, 16)] {
                let count = (usize::try_from(messages).expect("a count") / share).max(100);
                let [published, replayed] = rates(&access, (key, &keys), rounds, events, count);
                for (what, [bare, ours], asked) in
                    [("published", published, PUBLISHED), ("replayed", replayed, REPLAYED)]
                {
                    let (ratio, server) = (ours / bare, access.name);
                    let reached = verdict(ratio >= asked);
                    println!(
                        "| {server} | {key} | {events} | {what} | {bare:.0} | {ours:.0} | {ratio:.2} | >= {asked} | {reached} |"
                    );
                }
            }
        }
    }
}

/// Returns the events a second that the bare client and a node publish, and that they replay.
fn rates(access: &Access, (key, keys): (&str, &Keys), rounds: usize, events: usize, count: usize) -> [[f64; 2]; 2] {
    let bodies: Vec<Vec<u8>> =
        (0..count).map(|message| (0..events).flat_map(|n| call(message * events + n)).collect()).collect();
    let messages: Vec<Vec<u8>> = sealed(&bodies, 0, keys).into_iter().map(|(_, message)| message).collect();
    let bare = access.bare();
    let mut times = [const { Vec::new() }; 4];
    for round in 0..rounds {
        // Names that no stream had before: once, on a busy machine, a new stream with the name of a deleted one held
        // more messages than were published to it.
        let name = format!("BARE_{key}_{events}_{round}");
        bare.make(&name, &format!("bare.{round}"));
        times[0].push(bare.publish(&format!("bare.{round}"), &messages));
        let name_of_ours = format!("OURS_{key}_{events}_{round}");
        let options = NatsOptions { stream: name_of_ours.clone(), prefix: format!("ours.{round}"), ..access.options() };
        let stream = NatsStream::new(options).expect("valid options");
        stream.server().expect("it answers");
        let began = Instant::now();
        assert_eq!(publish(&stream, &bodies, keys), Position(count as u64));
        times[1].push(began.elapsed());
        times[2].push(bare.replay(&name, count));
        let began = Instant::now();
        assert_eq!(replay(&stream, keys, count), count * events);
        times[3].push(began.elapsed());
        bare.delete(&name);
        bare.delete(&name_of_ours);
    }
    let [a, b, c, d] = times.map(|times| (count * events) as f64 / median(times).as_secs_f64());
    [[a, b], [c, d]]
}

/// Returns an encoded call, in the format of `src/event/wire.rs`. [`replay`] checks that it is one.
fn call(n: usize) -> Vec<u8> {
    let number = |code: u64| E164::from_code(code).expect("a code").code().to_be_bytes();
    let (from, to) = (number(15_550_000), number(49_000 + n as u64 % 1_000_000));
    let (ids, at) = ([7; 32], Timestamp::from_secs(1_800_000_000).millis().to_be_bytes());
    [&[0][..], &ids, &from[1..], &to[1..], &at[2..]].concat()
}

/// Publishes messages as a node does: it seals about as many bytes as it processes at once, and waits until the stream
/// has all of them. Returns the position of the last one.
fn publish(stream: &NatsStream, bodies: &[Vec<u8>], keys: &Keys) -> Position {
    let (at_once, mut written) = (AT_ONCE / bodies[0].len(), 0);
    let parts = bodies.chunks(at_once).map(|part| {
        let messages = sealed(part, written, keys);
        written += part.len() as u64;
        stream.publish(&messages).expect("published")
    });
    parts.last().expect("there is a part")
}

/// Returns the messages of a node with these bodies, of which the first has the number `first`.
fn sealed(bodies: &[Vec<u8>], first: u64, keys: &Keys) -> Vec<(Subject, Vec<u8>)> {
    let sent_at = Timestamp::from_secs(1_800_000_000);
    let envelope = |written| Envelope { version: 3, kind: b'E', flags: 0, node: [1; 16], written, sent_at };
    let bodies = (first..).zip(bodies);
    bodies.map(|(written, body)| (SUBJECT, envelope(written).seal(SUBJECT, body, keys))).collect()
}

/// Reads all messages. Returns the number of events.
fn replay(stream: &NatsStream, keys: &Keys, count: usize) -> usize {
    let (mut after, mut seen, mut events) = (Position::START, 0, 0);
    while seen < count {
        let some = stream.consume(after, AT_ONCE, WAIT).expect("read");
        seen += some.len();
        after = some.last().expect("there are more").position;
        for delivery in some {
            match read(&delivery.payload, delivery.subject, keys).expect("a message of ours").body {
                Body::Events(some) => events += some.len(),
                other => panic!("{other:?}"),
            }
        }
    }
    events
}
