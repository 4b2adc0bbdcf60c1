//! Measures the events a second that are published with acknowledgement and replayed, compared with the bare client
//! and equal messages. A node writes, signs and encrypts its messages in the measured time, and reads them.
//!
//! The two take turns at being the first in a round, because the second one finds a server that still writes the files
//! of the first. Beside the rates are the nanoseconds of processor time an event, of this process and of the server's:
//! they show whether a difference is work or waiting.

use crate::access::Access;
use crate::args::Args;
use crate::bare::Bare;
use crate::meter::Took;
use crate::verdict;
use dialback::fleet::nats::{NatsOptions, NatsStream};
use dialback::fleet::{Body, Envelope, Keys, Position, Stream, Subject, read};
use dialback::{E164, Timestamp};
use std::time::{Duration, Instant};

/// The number of bytes that a node processes at once, and the most that it publishes at once from a long outbox.
const AT_ONCE: usize = 1 << 20;
const MOST: usize = 1 << 25;
const WAIT: Duration = Duration::from_secs(20);
const SUBJECT: Subject = Subject::Calls(0);
/// The smallest accepted shares of the bare client's rates.
const PUBLISHED: f64 = 0.85;
const REPLAYED: f64 = 0.8;

/// Measures every line, or those with a server, a key and a number of events that the arguments name.
pub(crate) fn run(args: &Args, rounds: usize, messages: u64) {
    let wants = |name: &str, value: &str| args.text(name).is_none_or(|only| only == value);
    println!(
        "| server | key | events a message | what | bare, events/s | ours, events/s | ratio | asked | \
         | bare, ns of processor an event: client + server | ours |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    let signs = || Keys::read(&"5a".repeat(32), "DIALBACK").expect("a key");
    let keys = [("none", Keys::NONE), ("signs", signs()), ("encrypts", signs().encrypting(true))];
    let servers = [("open", Access::open as fn() -> Access), ("tls", Access::with_login_and_tls)];
    for (_, start) in servers.into_iter().filter(|(server, _)| wants("--server", server)) {
        let access = start();
        for (key, keys) in keys.iter().filter(|(key, _)| wants("--key", key)) {
            for (events, share) in [(1, 1), (100, 4), (500, 16)] {
                if !wants("--events", &events.to_string()) {
                    continue;
                }
                let count = (usize::try_from(messages).expect("a count") / share).max(100);
                let load = Load::new(key, keys, events, count);
                let [published, replayed] = load.measure(&access, rounds);
                for (what, took, asked) in [("published", published, PUBLISHED), ("replayed", replayed, REPLAYED)] {
                    load.print(&access, what, took, asked);
                }
            }
        }
    }
}

/// The messages of one line, and the bodies that a node makes them of.
struct Load<'a> {
    key: &'a str,
    keys: &'a Keys,
    events: usize,
    bodies: Vec<Vec<u8>>,
    messages: Vec<Vec<u8>>,
}

impl<'a> Load<'a> {
    fn new(key: &'a str, keys: &'a Keys, events: usize, count: usize) -> Self {
        let body = |message: usize| (0..events).flat_map(|n| call(message * events + n)).collect();
        let bodies: Vec<Vec<u8>> = (0..count).map(body).collect();
        let messages = sealed(&bodies, 0, keys).map(|(_, message)| message).collect();
        Self { key, keys, events, bodies, messages }
    }

    /// Returns what the bare client and a node took to publish, and to replay.
    fn measure(&self, access: &Access, rounds: usize) -> [[Took; 2]; 2] {
        let bare = access.bare();
        let mut took = [const { Vec::new() }; 4];
        for round in 0..rounds {
            let theirs = Theirs::new(self, &bare, round);
            let ours = Ours::new(self, access, round);
            // The second of a round goes first in the next one.
            let mut turns: [(usize, &dyn Turn); 2] = [(0, &theirs), (1, &ours)];
            if round % 2 == 1 {
                turns.reverse();
            }
            let meter = access.meter();
            for (who, turn) in turns {
                took[who].push(meter.measure(|| turn.publish()));
            }
            for (who, turn) in turns {
                took[2 + who].push(meter.measure(|| turn.replay()));
            }
            bare.delete(&theirs.name);
            bare.delete(&ours.name);
            bare.delete(&format!("OBJ_{}_SNAPSHOTS", ours.name));
        }
        let [a, b, c, d] = took.map(|took| Took::median(&took));
        [[a, b], [c, d]]
    }

    fn print(&self, access: &Access, what: &str, took: [Took; 2], asked: f64) {
        let events = (self.messages.len() * self.events) as f64;
        let [bare, ours] = took.map(|took| events / took.time.as_secs_f64());
        let cost = |took: Took| {
            let nanos = |time: Duration| time.as_nanos() as f64 / events;
            format!("{:.0} + {:.0}", nanos(took.here), nanos(took.server))
        };
        let ratio = ours / bare;
        println!(
            "| {} | {} | {} | {what} | {bare:.0} | {ours:.0} | {ratio:.2} | >= {asked} | {} | {} | {} |",
            access.name,
            self.key,
            self.events,
            verdict(ratio >= asked),
            cost(took[0]),
            cost(took[1])
        );
    }
}

/// One of the two in a round.
trait Turn {
    fn publish(&self);
    fn replay(&self);
}

/// The bare client and its stream.
struct Theirs<'a> {
    load: &'a Load<'a>,
    bare: &'a Bare,
    name: String,
    subject: String,
}

impl<'a> Theirs<'a> {
    fn new(load: &'a Load<'a>, bare: &'a Bare, round: usize) -> Self {
        // Names that no stream had before: once, on a busy machine, a new stream with the name of a deleted one held
        // more messages than were published to it.
        let name = format!("BARE_{}_{}_{round}", load.key, load.events);
        let subject = format!("bare.{round}");
        bare.make(&name, &subject);
        Self { load, bare, name, subject }
    }
}

impl Turn for Theirs<'_> {
    fn publish(&self) {
        self.bare.publish(&self.subject, &self.load.messages);
    }

    fn replay(&self) {
        self.bare.replay(&self.name, self.load.messages.len());
    }
}

/// A node's stream.
struct Ours<'a> {
    load: &'a Load<'a>,
    stream: NatsStream,
    name: String,
}

impl<'a> Ours<'a> {
    fn new(load: &'a Load<'a>, access: &Access, round: usize) -> Self {
        let name = format!("OURS_{}_{}_{round}", load.key, load.events);
        let options = NatsOptions { stream: name.clone(), prefix: format!("ours.{round}"), ..access.options() };
        let stream = NatsStream::new(options).expect("valid options");
        stream.server().expect("it answers");
        Self { load, stream, name }
    }
}

impl Turn for Ours<'_> {
    fn publish(&self) {
        let last = publish(&self.stream, &self.load.bodies, self.load.keys);
        assert_eq!(last, Position(self.load.bodies.len() as u64));
    }

    fn replay(&self) {
        let count = self.load.bodies.len();
        assert_eq!(replay(&self.stream, self.load.keys, count), count * self.load.events);
    }
}

/// Returns an encoded call, in the format of `src/event/wire.rs`. [`replay`] checks that it is one.
fn call(n: usize) -> Vec<u8> {
    let number = |code: u64| E164::from_code(code).expect("a code").code().to_be_bytes();
    let (from, to) = (number(15_550_000), number(49_000 + n as u64 % 1_000_000));
    let (ids, at) = ([7; 32], Timestamp::from_secs(1_800_000_000).millis().to_be_bytes());
    [&[0][..], &ids, &from[1..], &to[1..], &at[2..]].concat()
}

/// Publishes messages as a node with a long outbox does: it writes each message when the stream takes it, and waits until the
/// stream has a part of them. The parts grow while the stream is fast. Returns the position of the last one.
fn publish(stream: &NatsStream, bodies: &[Vec<u8>], keys: &Keys) -> Position {
    let (mut written, mut at_once, mut last) = (0, AT_ONCE, Position::START);
    while written < bodies.len() {
        let began = Instant::now();
        let part = &bodies[written..][..(at_once / bodies[0].len()).min(bodies.len() - written)];
        last = stream.publish_each(&mut sealed(part, written as u64, keys)).expect("published");
        written += part.len();
        at_once = match began.elapsed().as_millis() {
            0..=50 => (at_once * 2).min(MOST),
            51..=100 => at_once,
            _ => (at_once / 2).max(AT_ONCE),
        };
    }
    last
}

/// Returns the messages of a node with these bodies, of which the first has the number `first`.
fn sealed<'a>(bodies: &'a [Vec<u8>], first: u64, keys: &'a Keys) -> impl ExactSizeIterator<Item = (Subject, Vec<u8>)> {
    let sent_at = Timestamp::from_secs(1_800_000_000);
    let envelope = move |written| Envelope { version: 4, kind: b'E', flags: 0, node: [1; 16], written, sent_at };
    bodies.iter().enumerate().map(move |(n, body)| (SUBJECT, envelope(first + n as u64).seal(SUBJECT, body, keys)))
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
