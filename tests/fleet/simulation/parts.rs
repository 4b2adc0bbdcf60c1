//! The parts in which a node publishes its outbox, and all its data.

use super::stream::SimServer;
use super::threads::{Place, TENANT, call, configure, follows, reason, start_over, until};
use crate::support::random::Random;
use dialback::fleet::{Bounds, Delivery, Position, Settings, Snapshot, Stream, StreamError, Subject};
use dialback::testing::universe::START;
use dialback::{Call, Erasure, Event, Reason, Timestamp};
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::sleep;
use std::time::Duration;

/// About the size of a part, unless the outbox is long and the stream is fast.
const USUAL: usize = 1 << 20;

type Hook = Box<dyn FnMut(usize) -> Result<(), StreamError> + Send>;

/// A stream that notes the bytes of each part, and calls a function before it takes one.
struct Watched {
    stream: Arc<dyn Stream>,
    parts: Mutex<Vec<usize>>,
    before: Mutex<Hook>,
}

impl Watched {
    fn new(server: &SimServer) -> Arc<Self> {
        server.heal();
        Arc::new(Self { stream: server.port(0), parts: Mutex::default(), before: Mutex::new(Box::new(|_| Ok(()))) })
    }

    fn start(self: &Arc<Self>, path: &Path, set_up: impl FnOnce(&mut Settings)) -> Place {
        let place = start_over(Arc::clone(self) as _, path, set_up);
        configure(&place);
        place
    }

    /// Starts a node that has published calls to 40,000 contacts.
    fn start_with_calls(self: &Arc<Self>, path: &Path) -> Place {
        let place = self.start(path, |_| {});
        place.service.record(calls(0)).expect("it is durable");
        until("the calls are published", || follows(&place));
        self.parts();
        place
    }

    /// Calls this with the bytes of each further part.
    fn before(&self, hook: impl FnMut(usize) -> Result<(), StreamError> + Send + 'static) {
        *self.before.lock().expect("sound") = Box::new(hook);
    }

    /// Returns the bytes of the parts since the last call.
    fn parts(&self) -> Vec<usize> {
        std::mem::take(&mut *self.parts.lock().expect("sound"))
    }
}

impl Stream for Watched {
    fn publish(&self, messages: &[(Subject, Vec<u8>)]) -> Result<Position, StreamError> {
        self.stream.publish(messages)
    }

    fn publish_each(
        &self,
        messages: &mut dyn ExactSizeIterator<Item = (Subject, Vec<u8>)>,
    ) -> Result<Position, StreamError> {
        let messages: Vec<_> = messages.collect();
        let bytes = messages.iter().map(|(_, message)| message.len()).sum();
        self.parts.lock().expect("sound").push(bytes);
        (self.before.lock().expect("sound"))(bytes)?;
        self.stream.publish(&messages)
    }

    fn publish_after(&self, subject: Subject, message: &[u8], last: Position) -> Result<Position, StreamError> {
        self.stream.publish_after(subject, message, last)
    }

    fn consume(&self, after: Position, limit: usize, wait: Duration) -> Result<Vec<Delivery>, StreamError> {
        self.stream.consume(after, limit, wait)
    }

    fn message_at(&self, position: Position) -> Result<Option<Delivery>, StreamError> {
        self.stream.message_at(position)
    }

    fn bounds(&self) -> Result<Bounds, StreamError> {
        self.stream.bounds()
    }

    fn last_configuration(&self) -> Result<Option<Delivery>, StreamError> {
        self.stream.last_configuration()
    }

    fn truncate(&self, up_to: Position) -> Result<(), StreamError> {
        self.stream.truncate(up_to)
    }

    fn write_snapshot(&self, at: Position, content: &mut dyn Read) -> Result<(), StreamError> {
        self.stream.write_snapshot(at, content)
    }

    fn read_snapshot(&self) -> Result<Option<Snapshot>, StreamError> {
        self.stream.read_snapshot()
    }
}

/// Returns calls to 40,000 contacts, later ones than those of an earlier round.
fn calls(round: u64) -> Vec<Event> {
    let at = |event| match event {
        Event::Call(call) => Event::Call(Call { at: Timestamp::from_millis(START.millis() - 10_000 + round), ..call }),
        other => other,
    };
    (0..40_000).map(call).map(at).collect()
}

/// The publisher knows entries that exist no more, and must not look for them again and again.
#[test]
fn idle_node_that_began_again_waits() {
    let server = SimServer::new(Random::new(1, 1), 1);
    let (watched, directory) = (Watched::new(&server), tempfile::tempdir().expect("a directory"));
    let looks = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&looks);
    // Each thread reads the clock in each turn.
    let count = move |settings: &mut Settings| {
        settings.now = Arc::new(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            START
        });
    };
    let place = watched.start(directory.path(), count);
    place.service.record(vec![call(1)]).expect("it is durable");
    until("the call is published", || follows(&place));
    server.recreate();
    until("the call is published again", || place.node.link().metrics().republished() > 0 && follows(&place));
    until("nothing is left to do", || !place.node.link().is_republishing());
    let before = looks.load(Ordering::Relaxed);
    sleep(Duration::from_millis(500));
    let turns = looks.load(Ordering::Relaxed) - before;
    assert!(turns < 1000, "it turned {turns} times");
}

#[test]
fn new_calls_do_not_wait_until_all_data_is_published_again() {
    let server = SimServer::new(Random::new(1, 1), 1);
    let (watched, directory) = (Watched::new(&server), tempfile::tempdir().expect("a directory"));
    let place = watched.start_with_calls(directory.path());
    let (service, mut is_new) = (Arc::clone(&place.service), true);
    watched.before(move |bytes| {
        if bytes >= USUAL && std::mem::replace(&mut is_new, false) {
            service.record(vec![call(99_999)]).expect("it is durable");
        }
        Ok(())
    });
    server.recreate();
    until("all is published again", || place.node.link().metrics().republished() >= 40_000 && follows(&place));
    let parts = watched.parts();
    let large: Vec<bool> = parts.iter().map(|bytes| *bytes >= USUAL / 2).collect();
    let first = large.iter().position(|is_large| *is_large).expect("a large part");
    assert_eq!(large[first..first + 3], [true, false, true], "the call is between the parts: {parts:?}");
}

#[test]
fn stop_ends_the_publication_of_all_data() {
    let server = SimServer::new(Random::new(1, 1), 1);
    let (watched, directory) = (Watched::new(&server), tempfile::tempdir().expect("a directory"));
    let place = watched.start_with_calls(directory.path());
    let (begun, begins) = mpsc::channel();
    watched.before(move |bytes| {
        if bytes >= USUAL {
            begun.send(()).expect("it is awaited");
            // Until the node has been asked to stop.
            sleep(Duration::from_millis(500));
        }
        Ok(())
    });
    server.recreate();
    begins.recv_timeout(Duration::from_secs(60)).expect("the publication begins");
    drop(place);
    let large = watched.parts().iter().filter(|bytes| **bytes >= USUAL / 2).count();
    assert_eq!(large, 1, "of two parts");
}

#[test]
fn part_after_a_failure_is_small_again() {
    let server = SimServer::new(Random::new(1, 1), 1);
    let (watched, directory) = (Watched::new(&server), tempfile::tempdir().expect("a directory"));
    let place = watched.start(directory.path(), |_| {});
    until("it follows", || follows(&place));
    server.cut(0, true);
    (0..3).for_each(|round| drop(place.service.record(calls(round)).expect("it is durable")));
    watched.parts();
    let mut has_failed = false;
    watched.before(move |bytes| {
        if bytes > USUAL * 3 / 2 && !std::mem::replace(&mut has_failed, true) {
            return Err(StreamError::Away("a test".into()));
        }
        Ok(())
    });
    server.cut(0, false);
    until("the calls are published", || follows(&place));
    let parts = watched.parts();
    let failed = parts.iter().position(|bytes| *bytes > USUAL * 3 / 2).expect("parts grow");
    assert!(parts[failed + 1] < USUAL * 5 / 4, "{parts:?}");
}

/// An erasure goes into each partition.
#[test]
fn parts_of_erasures_are_bounded_and_complete() {
    let server = SimServer::new(Random::new(1, 1), 2);
    let (watched, directory) = (Watched::new(&server), tempfile::tempdir().expect("a directory"));
    let place = watched.start(&directory.path().join("first"), |_| {});
    place.service.record((0..6000).map(call).collect()).expect("it is durable");
    let other = start_over(server.port(1), &directory.path().join("other"), |_| {});
    until("both have the calls", || follows(&place) && other.service.history().len() == 6000);
    server.cut(0, true);
    let erasure = |event| match event {
        Event::Call(Call { to, .. }) => {
            Event::Erasure(Erasure { environment: TENANT, contact: to, until: START, is_ahead: false })
        }
        other => other,
    };
    place.service.record((0..6000).map(call).map(erasure).collect()).expect("it is durable");
    watched.parts();
    server.cut(0, false);
    until("the erasures are published", || follows(&place));
    let parts = watched.parts();
    // 6,000 erasures of 30 bytes in 16 partitions. An entry can have more than a part.
    assert!(parts.iter().sum::<usize>() > 2 * USUAL, "{parts:?}");
    assert!(parts.iter().all(|bytes| *bytes < 2 * USUAL), "{parts:?}");
    until("all contacts are erased", || (0..6000).all(|index| reason(&other, index) == Reason::NoHistory));
}
