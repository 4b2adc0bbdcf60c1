//! Checks that each implementation of [`Stream`] must pass.
//!
//! Each check gets a function that opens a new handle to one new stream with each call.
#![allow(dead_code, unreachable_pub)]

use dialback::fleet::{Bounds, Delivery, Position, Stream, StreamError, Subject};
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

/// Long enough for a message to arrive on a busy machine.
pub const LONG: Duration = Duration::from_secs(20);
/// The wait for a message that must not arrive.
pub const SHORT: Duration = Duration::from_millis(50);
const EVERYTHING: usize = usize::MAX;

type Handle = Arc<dyn Stream>;
type Check = fn(&dyn Fn() -> Handle);

const CHECKS: [(&str, Check); 8] = [
    ("empty", empty),
    ("order", order),
    ("limits", limits),
    ("expectations", expectations),
    ("truncation", truncation),
    ("truncation under a reader", truncation_under_a_reader),
    ("snapshots", snapshots),
    ("a wait that ends", a_wait_that_ends),
];

/// Runs each check on a stream of its own.
pub fn conforms(mut new: impl FnMut() -> Box<dyn Fn() -> Handle>) {
    conforms_in(&CHECKS.map(|(name, _)| name), &mut new);
    for seed in 0..4 {
        println!("at random, seed {seed}");
        at_random(&*new(), seed);
    }
}

/// Runs these checks, for a stream that never waits, or is never truncated after its last configuration.
pub fn conforms_in(wanted: &[&str], mut new: impl FnMut() -> Box<dyn Fn() -> Handle>) {
    for name in wanted {
        let check = CHECKS.iter().find(|(found, _)| found == name).expect("a check").1;
        println!("{name}");
        check(&*new());
    }
}

/// Returns all following messages, or at least this many.
pub fn read(stream: &dyn Stream, after: Position, count: usize) -> Vec<Delivery> {
    let mut all: Vec<Delivery> = Vec::new();
    while all.len() < count {
        let from = all.last().map_or(after, |last| last.position);
        let more = stream.consume(from, EVERYTHING, LONG).expect("read");
        assert!(!more.is_empty(), "{} of {count} after {after}", all.len());
        all.extend(more);
    }
    all
}

pub fn messages(partition: u16, range: std::ops::Range<u64>) -> Vec<(Subject, Vec<u8>)> {
    range.map(|n| (Subject::Calls(partition), format!("message {n}").into_bytes())).collect()
}

fn empty(open: &dyn Fn() -> Handle) {
    let stream = open();
    let bounds = stream.bounds().expect("bounds");
    assert_eq!((bounds.first, bounds.last, bounds.last_configuration), (Position(1), Position::START, Position::START));
    assert_eq!(stream.consume(Position::START, EVERYTHING, SHORT).expect("read"), []);
    assert_eq!(stream.message_at(Position(1)).expect("read"), None);
    assert!(stream.read_snapshot().expect("read").is_none());
    assert_eq!(open().bounds().expect("bounds").incarnation, bounds.incarnation, "the same for everybody");
}

fn order(open: &dyn Fn() -> Handle) {
    let (writer, reader) = (open(), open());
    let mut sent = messages(3, 0..3000);
    // Reads several subjects with one wait.
    sent[500].0 = Subject::Calls(5);
    sent[1001].0 = Subject::Configuration;
    assert_eq!(writer.publish(&sent[..1000]).expect("published"), Position(1000));
    assert_eq!(writer.publish(&sent[1000..1001]).expect("published"), Position(1001));
    let configured = writer.publish_after(Subject::Configuration, &sent[1001].1, Position::START);
    assert_eq!(configured.expect("published"), Position(1002));
    assert_eq!(reader.publish(&sent[1002..1010]).expect("published"), Position(1010));
    // Made one by one.
    let made = |range: std::ops::Range<usize>| reader.publish_each(&mut sent[range].iter().cloned());
    assert_eq!(made(1010..2900).expect("published"), Position(2900));
    assert_eq!(made(2900..3000).expect("published"), Position(3000));
    assert_eq!(made(0..0).expect("nothing to do"), Position(3000));
    assert_eq!(reader.publish(&[]).expect("nothing to do"), Position(3000));
    for (stream, after) in [(&reader, 0), (&writer, 0), (&reader, 1000), (&reader, 7), (&writer, 2999)] {
        let got = read(&**stream, Position(after), 3000 - usize::try_from(after).expect("small"));
        for (delivery, position) in got.iter().zip(after + 1..) {
            let (subject, payload) = &sent[usize::try_from(position).expect("small") - 1];
            assert_eq!(delivery.position, Position(position));
            assert_eq!((delivery.subject, &*delivery.payload), (*subject, payload.as_slice()));
        }
        assert_eq!(got.last().map(|last| last.position), Some(Position(3000)));
        assert_eq!(stream.consume(Position(3000), EVERYTHING, SHORT).expect("read"), []);
    }
    let Bounds { first, last, last_configuration, .. } = reader.bounds().expect("bounds");
    assert_eq!((first, last, last_configuration), (Position(1), Position(3000), Position(1002)));
    for position in [1, 501, 1002, 3000] {
        let (subject, payload) = sent[position - 1].clone();
        let position = Position(position as u64);
        let there = reader.message_at(position).expect("read");
        assert_eq!(there, Some(Delivery { position, subject, payload: payload.into() }));
    }
    assert_eq!(reader.message_at(Position(3001)).expect("read"), None);
}

fn limits(open: &dyn Fn() -> Handle) {
    let stream = open();
    let sent: Vec<_> = (0..100).map(|n| (Subject::Calls(0), vec![n; 1000])).collect();
    stream.publish(&sent).expect("published");
    // All messages are present, so only a limit ends a batch.
    read(&*stream, Position::START, 100);
    for limit in [0, 1, 999, 1000] {
        let got = stream.consume(Position(10), limit, LONG).expect("read");
        assert_eq!(got.len(), 1, "a whole message under a limit of {limit}");
        assert_eq!((got[0].position, &*got[0].payload), (Position(11), sent[10].1.as_slice()));
    }
    let got = stream.consume(Position(10), 5500, LONG).expect("read");
    assert!((1..=7).contains(&got.len()), "about as much as was asked for: {}", got.len());
    let last = stream.publish(&[(Subject::Calls(0), Vec::new())]).expect("published");
    assert_eq!(
        read(&*stream, Position(100), 1)[0],
        Delivery { position: last, subject: Subject::Calls(0), payload: Vec::new().into() }
    );
}

fn expectations(open: &dyn Fn() -> Handle) {
    let (one, other) = (open(), open());
    let ours = Subject::Configuration;
    other.publish(&messages(1, 0..5)).expect("published");
    let first = one.publish_after(ours, b"one", Position::START).expect("none was there");
    assert_eq!(first, Position(6), "calls do not count");
    for stale in [Position::START, Position(1), Position(5), Position(7)] {
        let refused = other.publish_after(ours, b"stale", stale);
        assert!(matches!(refused, Err(StreamError::Superseded)), "{stale}: {refused:?}");
    }
    assert_eq!(one.bounds().expect("bounds").last, first, "what was refused is nowhere");
    let second = other.publish_after(ours, b"two", first).expect("on the last");
    assert!(matches!(one.publish_after(ours, b"late", first), Err(StreamError::Superseded)));
    assert_eq!(one.bounds().expect("bounds").last_configuration, second);
    let got: Vec<Vec<u8>> = read(&*one, first, 1).into_iter().map(|delivery| delivery.payload.to_vec()).collect();
    assert_eq!(got, [b"two"]);
}

fn truncation(open: &dyn Fn() -> Handle) {
    let (one, other) = (open(), open());
    one.publish(&messages(1, 0..3)).expect("published");
    let old = one.publish_after(Subject::Configuration, b"old", Position::START).expect("published");
    let last = one.publish_after(Subject::Configuration, b"last", old).expect("published");
    one.publish(&messages(2, 0..15)).expect("published");
    let incarnation = one.bounds().expect("bounds").incarnation;
    one.truncate(Position::START).expect("nothing to do");
    assert_eq!(one.bounds().expect("bounds").first, Position(1));
    for up_to in [2, 2, 1, 4, 5, 9, 12] {
        one.truncate(Position(up_to)).expect("truncated");
        let gone = up_to.max(2);
        let bounds = other.bounds().expect("bounds");
        assert_eq!((bounds.last, bounds.last_configuration), (Position(20), last));
        let gone = left_out(&bounds, gone);
        assert_eq!(bounds.incarnation, incarnation, "it is the same stream");
        for after in 0..gone {
            let missing = other.consume(Position(after), EVERYTHING, SHORT);
            assert!(matches!(missing, Err(StreamError::Gone)), "after {after} of {gone}: {missing:?}");
        }
        let left = read(&*other, Position(gone), usize::try_from(20 - gone).expect("small"));
        assert_eq!(left[0].position, Position(gone + 1));
    }
    assert!(matches!(other.publish_after(Subject::Configuration, b"stale", old), Err(StreamError::Superseded)));
    assert!(matches!(
        other.publish_after(Subject::Configuration, b"stale", Position::START),
        Err(StreamError::Superseded)
    ));
    let kept = one.message_at(last).expect("read");
    assert_eq!(kept, None, "a configuration before the stream's beginning");
    let next =
        other.publish_after(Subject::Configuration, b"next", last).expect("the last one counts though it is gone");
    assert_eq!(next, Position(21));
    // Everything, and more than there is.
    for up_to in [21, 1000] {
        one.truncate(Position(up_to)).expect("truncated");
        let bounds = one.bounds().expect("bounds");
        assert_eq!((bounds.last, bounds.last_configuration), (Position(21), next));
        left_out(&bounds, 21);
        assert_eq!(one.consume(Position(21), EVERYTHING, SHORT).expect("read"), []);
    }
    assert_eq!(one.publish(&messages(2, 0..1)).expect("published"), Position(22));
    assert_eq!(read(&*other, Position(21), 1)[0].position, Position(22));
    assert!(matches!(one.consume(Position(19), EVERYTHING, SHORT), Err(StreamError::Gone)));
    assert_eq!(one.message_at(Position(20)).expect("read"), None, "it is removed");
    assert_eq!(one.message_at(Position(22)).expect("read").expect("it is there").position, Position(22));
}

/// Returns how many messages are gone after a truncation. The last configuration stays, and the stream may begin with
/// it.
fn left_out(bounds: &Bounds, gone: u64) -> u64 {
    if bounds.first != Position(gone + 1) {
        assert_eq!((bounds.first, bounds.last_configuration), (Position(gone), Position(gone)), "of {gone}");
    }
    bounds.first.0 - 1
}

fn truncation_under_a_reader(open: &dyn Fn() -> Handle) {
    let (writer, reader) = (open(), open());
    writer.publish(&messages(1, 0..10)).expect("published");
    assert_eq!(reader.consume(Position::START, 1, LONG).expect("read").len(), 1);
    read(&*reader, Position(1), 9);
    writer.publish(&messages(1, 10..20)).expect("published");
    writer.truncate(Position(15)).expect("truncated");
    writer.publish(&messages(1, 20..21)).expect("published");
    // Messages that were already sent to the reader may still arrive, in order. The reader never skips over a gap.
    let mut after = Position(10);
    loop {
        match reader.consume(after, EVERYTHING, LONG) {
            Ok(some) => {
                for delivery in some {
                    assert_eq!(delivery.position.0, after.0 + 1, "nothing is left out without a word");
                    after = delivery.position;
                }
                if after == Position(21) {
                    return;
                }
            }
            Err(StreamError::Gone) => return assert!(after < Position(15), "{after} is there"),
            Err(error) => panic!("{error}"),
        }
    }
}

fn snapshots(open: &dyn Fn() -> Handle) {
    let (one, other) = (open(), open());
    let content =
        |length: usize, salt: usize| (0..length).map(|n| ((n * 31 + salt) >> 3).to_le_bytes()[0]).collect::<Vec<u8>>();
    for (at, length) in [(7, 3_000_000), (8, 0), (9, 1), (10, 128 << 10), (11, 1_000_001)] {
        let sent = content(length, at);
        one.write_snapshot(Position(at as u64), &mut Halting(&sent)).expect("written");
        let snapshot = other.read_snapshot().expect("read").expect("one is there");
        assert_eq!(snapshot.at, Position(at as u64));
        let mut got = Vec::new();
        { snapshot.content }.read_to_end(&mut got).expect("whole");
        assert!(got == sent, "{length} bytes");
    }
    let mut failing = content(500_000, 1).chain(Failing);
    assert!(one.write_snapshot(Position(12), &mut failing).is_err());
    let snapshot = other.read_snapshot().expect("read").expect("the one before");
    assert_eq!(snapshot.at, Position(11));
    let mut got = Vec::new();
    { snapshot.content }.read_to_end(&mut got).expect("whole");
    assert!(got == content(1_000_001, 11));
}

trait Chain: Sized {
    fn chain(self, next: Failing) -> io::Chain<io::Cursor<Vec<u8>>, Failing>;
}

impl Chain for Vec<u8> {
    fn chain(self, next: Failing) -> io::Chain<io::Cursor<Vec<u8>>, Failing> {
        io::Cursor::new(self).chain(next)
    }
}

/// A reader that returns pieces of varying sizes.
struct Halting<'a>(&'a [u8]);

impl Read for Halting<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(1 + self.0.len() % 70_001);
        self.0.read(&mut into[..most])
    }
}

struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is on fire"))
    }
}

fn a_wait_that_ends(open: &dyn Fn() -> Handle) {
    let (writer, reader) = (open(), open());
    assert_eq!(reader.consume(Position::START, EVERYTHING, SHORT).expect("read"), []);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| reader.consume(Position::START, EVERYTHING, LONG).expect("read"));
        writer.publish(&messages(9, 0..1)).expect("published");
        assert_eq!(waiting.join().expect("no panic").len(), 1);
    });
}

/// Compares the stream with a simple one: a list.
fn at_random(open: &dyn Fn() -> Handle, seed: u64) {
    let handles = [open(), open()];
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut below = move |bound: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % bound
    };
    let mut all: Vec<(Subject, Vec<u8>)> = Vec::new();
    let (mut first, mut configuration) = (1, 0);
    for step in 0..200u64 {
        let stream = &handles[usize::try_from(below(2)).expect("small")];
        let last = all.len() as u64;
        match below(10) {
            0..4 => {
                let subject = Subject::Calls(u16::try_from(below(4)).expect("small"));
                let mut sent = messages(0, step..step + 1 + below(20));
                for message in &mut sent {
                    message.0 = subject;
                }
                all.extend(sent.iter().cloned());
                assert_eq!(stream.publish(&sent).expect("published").0, all.len() as u64);
            }
            4 => {
                let expected = if below(2) == 0 { configuration } else { below(last + 2) };
                let done = stream.publish_after(Subject::Configuration, &step.to_le_bytes(), Position(expected));
                if expected == configuration {
                    all.push((Subject::Configuration, step.to_le_bytes().to_vec()));
                    configuration = all.len() as u64;
                    assert_eq!(done.expect("published").0, configuration);
                } else {
                    assert!(matches!(done, Err(StreamError::Superseded)), "{expected}, not {configuration}: {done:?}");
                }
            }
            5 => {
                let up_to = below(last + 1) / 2;
                stream.truncate(Position(up_to)).expect("truncated");
                first = first.max(up_to + 1);
            }
            6 => {
                let bounds = stream.bounds().expect("bounds");
                assert_eq!((bounds.last.0, bounds.last_configuration.0), (last, configuration));
                left_out(&bounds, first - 1);
            }
            _ => {
                let after = below(last + 1);
                let got =
                    stream.consume(Position(after), usize::try_from(below(200)).expect("small"), LONG.min(SHORT * 4));
                match got {
                    Err(StreamError::Gone) => assert!(after + 1 < first, "after {after}, with {first} there"),
                    Err(error) => panic!("{error}"),
                    Ok(got) => {
                        let stays = after + 1 == configuration && configuration + 1 == first;
                        assert!(after + 1 >= first || stays, "after {after}, with {first} the first");
                        assert!(!got.is_empty() || after == last, "after {after} of {last}");
                        for (delivery, position) in got.iter().zip(after + 1..) {
                            let (subject, payload) = &all[usize::try_from(position).expect("small") - 1];
                            assert_eq!(delivery.position.0, position);
                            assert_eq!((delivery.subject, &*delivery.payload), (*subject, payload.as_slice()));
                        }
                    }
                }
            }
        }
    }
}
