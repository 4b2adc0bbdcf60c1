//! A stream that takes no more messages.

use super::stream::SimServer;
use super::threads::{Place, call, configure, reason, start_over, until};
use crate::support::random::Random;
use dialback::fleet::{Bounds, Delivery, Position, Snapshot, Stream, StreamError, Subject};
use dialback::metrics::FleetState;
use dialback::testing::universe::START;
use dialback::{Reason, Timestamp};
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A stream whose messages a node cannot remove. Notes the last one that the node tried to remove.
struct Kept {
    stream: Arc<dyn Stream>,
    tried: Mutex<Option<Position>>,
}

impl Stream for Kept {
    fn publish(&self, messages: &[(Subject, Vec<u8>)]) -> Result<Position, StreamError> {
        self.stream.publish(messages)
    }

    fn publish_after(&self, subject: Subject, message: &[u8], last: Position) -> Result<Position, StreamError> {
        self.stream.publish_after(subject, message, last)
    }

    fn consume(&self, after: Position, limit: usize, wait: Duration) -> Result<Vec<Delivery>, StreamError> {
        self.stream.consume(after, limit, wait)
    }

    fn bounds(&self) -> Result<Bounds, StreamError> {
        self.stream.bounds()
    }

    fn last_configuration(&self) -> Result<Option<Delivery>, StreamError> {
        self.stream.last_configuration()
    }

    fn largest(&self) -> usize {
        self.stream.largest()
    }

    fn truncate(&self, up_to: Position) -> Result<(), StreamError> {
        *self.tried.lock().expect("no panic") = Some(up_to);
        Err(StreamError::Away("the request was lost".into()))
    }

    fn write_snapshot(&self, at: Position, content: &mut dyn Read) -> Result<(), StreamError> {
        self.stream.write_snapshot(at, content)
    }

    fn read_snapshot(&self) -> Result<Option<Snapshot>, StreamError> {
        self.stream.read_snapshot()
    }
}

fn server_of(bytes: usize) -> SimServer {
    let server = SimServer::new(Random::new(1, 1), 1);
    server.heal();
    server.hold_at_most(bytes);
    server
}

/// Starts a node whose clock runs.
fn start(stream: Arc<dyn Stream>, path: &Path) -> Place {
    let began = Instant::now();
    let millis = move || u64::try_from(began.elapsed().as_millis()).expect("short");
    start_over(stream, path, |settings| {
        settings.now = Arc::new(move || Timestamp::from_millis(START.millis() + millis()));
        settings.beat_every = Duration::from_millis(20);
    })
}

fn follows(place: &Place) -> bool {
    let metrics = place.node.link().metrics();
    metrics.state() == FleetState::Following && metrics.outbox() == 0
}

fn record(place: &Place, calls: Range<u64>) {
    place.service.record(calls.map(call).collect()).expect("it is durable");
}

/// Nodes publish calls of agents that they do not know: a configuration may come later.
#[test]
fn a_full_stream_without_a_configuration_gets_room() {
    let server = server_of(4 << 10);
    let directory = tempfile::tempdir().expect("a directory");
    let place = start(server.port(0), directory.path());
    for index in 0..100 {
        record(&place, index..index + 1);
        until("the call is published", || follows(&place));
    }
    assert!(server.messages().len() < 100, "messages were removed");
    configure(&place);
    record(&place, 100..101);
    until("the node routes by the call", || reason(&place, 100) == Reason::Matched);
    until("the node follows the stream", || follows(&place));
}

#[test]
fn a_node_makes_room_if_the_last_one_stopped_between_its_snapshot_and_the_removal() {
    let server = server_of(64 << 10);
    let directory = tempfile::tempdir().expect("a directory");
    let place = start(server.port(0), directory.path());
    configure(&place);
    until("the first snapshot is written", || server.first() > 1);
    drop(place);

    let kept = Arc::new(Kept { stream: server.port(0), tried: Mutex::default() });
    let place = start(Arc::clone(&kept) as _, directory.path());
    let mut calls = 0;
    until("the stream is full, and the node tries to make room", || {
        if place.node.link().metrics().outbox() == 0 {
            record(&place, calls..calls + 100);
            calls += 100;
        }
        kept.tried.lock().expect("no panic").is_some()
    });
    drop(place);
    let place = start(server.port(0), directory.path());
    until("the node makes room, and publishes the calls", || follows(&place));
    assert_eq!(place.service.history().len() as u64, calls);
}
