//! Measures when a new node of a fleet is ready, compared with a restart of a node that has all data on its disk.
//!
//! `cargo run --release --features fleet --example fleet_snapshot -- [PAIRS]`
//!
//! The restart reads from the page cache. The stream is in this process, so the transfer time of a real stream comes
//! on top.
//!
//! The program creates a data directory with PAIRS pairs (ten million by default) and starts a service on it. The
//! service joins a fleet whose stream is in this process, publishes everything to it, and writes a snapshot. Then a
//! second node with an empty directory reads the snapshot.

use dialback::fleet::{Bounds, Delivery, Link, Node, Position, Settings, Snapshot, Stream, StreamError, Subject};
use dialback::metrics::FleetState;
use dialback::store::FjallStore;
use dialback::{Service, Timestamp};
use std::error::Error;
use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[path = "support/filled.rs"]
mod filled;

use filled::{START, fill};

fn main() -> Result<(), Box<dyn Error>> {
    let pairs: u64 = std::env::args().nth(1).map_or(Ok(10_000_000), |pairs| pairs.parse())?;
    let directory = tempfile::tempdir()?;
    let (first, second) = (directory.path().join("first"), directory.path().join("second"));
    fill(&first, pairs, START)?;
    let stream = Arc::new(InProcess::default());

    // After a bulk load the engine sorts its data for a while. A node that restarts has already finished that.
    drop(start(&first, &stream)?);
    sleep(Duration::from_secs(10));
    let began = Instant::now();
    let (link, service) = start(&first, &stream)?;
    let restart = began.elapsed();
    assert_eq!(service.history().len() as u64, pairs, "all of them");
    println!("restart               {:6.2} s", restart.as_secs_f64());

    let began = Instant::now();
    let node = Node::start(link, service, Arc::new(|what: &str| eprintln!("first: {what}")))?;
    while stream.held().snapshot.is_none() || stream.held().first == 1 {
        sleep(Duration::from_millis(10));
    }
    let bytes = stream.held().snapshot.as_ref().map_or(0, |(_, bytes)| bytes.len());
    let took = began.elapsed().as_secs_f64();
    println!("published and written {took:6.2} s, a snapshot of {} MB", bytes / 1_000_000);

    let began = Instant::now();
    let (link, service) = start(&second, &stream)?;
    let second = Node::start(link, Arc::clone(&service), Arc::new(|what: &str| eprintln!("second: {what}")))?;
    while second.link().metrics().state() != FleetState::Following {
        sleep(Duration::from_millis(1));
    }
    let ready = began.elapsed();
    assert_eq!(service.history().len() as u64, pairs, "all of them");
    println!(
        "a new node, ready     {:6.2} s: {:.2} of a restart",
        ready.as_secs_f64(),
        ready.as_secs_f64() / restart.as_secs_f64()
    );
    let fleet_state = service.fleet_state().expect("it keeps an outbox");
    while fleet_state.place()?.is_none() {
        sleep(Duration::from_millis(10));
    }
    println!("and on its disk       {:6.2} s", began.elapsed().as_secs_f64());
    drop((second, node));
    Ok(())
}

fn start(path: &Path, stream: &Arc<InProcess>) -> Result<(Arc<Link>, Arc<Service>), Box<dyn Error>> {
    let mut settings = Settings::new(|| {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        Timestamp::from_millis(u64::try_from(since.as_millis()).expect("before the year 500 million"))
    });
    settings.settle = Duration::ZERO;
    settings.beat_every = Duration::from_millis(100);
    let link = Link::new(settings, Arc::clone(stream) as _);
    let service = Service::builder(FjallStore::open(path)?).sequencer(Arc::clone(&link) as _).start()?;
    Ok((link, Arc::new(service)))
}

/// A stream in memory.
#[derive(Default)]
struct InProcess(Mutex<Held>);

#[derive(Default)]
struct Held {
    messages: Vec<Delivery>,
    first: u64,
    last: u64,
    last_configuration: u64,
    snapshot: Option<(Position, Vec<u8>)>,
}

impl InProcess {
    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        let mut held = self.0.lock().expect("no panic");
        held.first = held.first.max(1);
        held
    }
}

impl Held {
    fn append(&mut self, subject: Subject, payload: Vec<u8>) -> Position {
        self.last += 1;
        if subject == Subject::Configuration {
            self.last_configuration = self.last;
        }
        self.messages.push(Delivery { position: Position(self.last), subject, payload: payload.into() });
        Position(self.last)
    }
}

impl Stream for InProcess {
    fn publish(&self, messages: &[(Subject, Vec<u8>)]) -> Result<Position, StreamError> {
        let mut held = self.held();
        for (subject, payload) in messages {
            held.append(*subject, payload.clone());
        }
        Ok(Position(held.last))
    }

    fn publish_after(&self, subject: Subject, message: &[u8], last: Position) -> Result<Position, StreamError> {
        let mut held = self.held();
        if last.0 == held.last_configuration {
            Ok(held.append(subject, message.to_vec()))
        } else {
            Err(StreamError::Superseded)
        }
    }

    fn consume(&self, after: Position, limit: usize, wait: Duration) -> Result<Vec<Delivery>, StreamError> {
        let began = Instant::now();
        loop {
            let held = self.held();
            if after.0 + 1 < held.first {
                return Err(StreamError::Gone);
            }
            let behind = held.messages.partition_point(|message| message.position <= after);
            let mut room = limit;
            let fits = |message: &&Delivery| {
                let has_room = room > 0;
                room = room.saturating_sub(message.payload.len());
                has_room
            };
            let some: Vec<_> = held.messages[behind..].iter().take_while(fits).cloned().collect();
            if !some.is_empty() || began.elapsed() > wait {
                return Ok(some);
            }
            drop(held);
            sleep(Duration::from_millis(1));
        }
    }

    fn last_configuration(&self) -> Result<Option<Delivery>, StreamError> {
        let of_configuration = |message: &&Delivery| message.subject == Subject::Configuration;
        Ok(self.held().messages.iter().rfind(of_configuration).cloned())
    }

    fn message_at(&self, position: Position) -> Result<Option<Delivery>, StreamError> {
        Ok(self.held().messages.iter().find(|message| message.position == position).cloned())
    }

    fn bounds(&self) -> Result<Bounds, StreamError> {
        let Held { first, last, last_configuration, .. } = *self.held();
        let (first, last) = (Position(first), Position(last));
        Ok(Bounds { incarnation: 1, first, last, last_configuration: Position(last_configuration) })
    }

    fn truncate(&self, up_to: Position) -> Result<(), StreamError> {
        let mut held = self.held();
        held.messages.retain(|message| message.position > up_to);
        held.first = up_to.0 + 1;
        Ok(())
    }

    fn write_snapshot(&self, at: Position, content: &mut dyn Read) -> Result<(), StreamError> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(|error| StreamError::Engine(error.to_string()))?;
        self.held().snapshot = Some((at, bytes));
        Ok(())
    }

    fn read_snapshot(&self) -> Result<Option<Snapshot>, StreamError> {
        let held = self.held();
        let Some((at, bytes)) = &held.snapshot else { return Ok(None) };
        Ok(Some(Snapshot { at: *at, content: Box::new(Cursor::new(bytes.clone())) }))
    }
}
