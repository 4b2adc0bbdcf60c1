//! A stream in memory that does everything a stream may do to its users, as random numbers of one seed decide.

#![allow(unreachable_pub)]

use crate::support::random::Random;
use dialback::fleet::{Bounds, Delivery, Position, Snapshot, Stream, StreamError, Subject};
use std::io::{Cursor, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The content of the server.
#[derive(Clone, Default)]
struct Held {
    incarnation: u64,
    messages: Vec<Delivery>,
    first: u64,
    last: u64,
    last_configuration: u64,
    /// The incarnation and the position of the snapshot, and its bytes.
    snapshot: Option<(u64, u64, Vec<u8>)>,
}

impl Held {
    fn remove(&mut self, position: u64, payload: &[u8]) -> bool {
        let before = self.messages.len();
        self.messages.retain(|message| message.position.0 != position || message.payload != payload);
        let is_removed = self.messages.len() < before;
        if is_removed {
            self.first = self.first.max(position + 1);
            self.note_configuration();
        }
        is_removed
    }

    /// Looks for the last configuration that is left.
    fn note_configuration(&mut self) {
        let last = self.configurations().next_back().map_or(0, |last| last.position.0);
        self.last_configuration = last;
    }

    fn configurations(&self) -> impl DoubleEndedIterator<Item = &Delivery> {
        self.messages.iter().filter(|message| message.subject == Subject::Configuration)
    }
}

#[allow(clippy::struct_excessive_bools, reason = "the flags are independent")]
struct Server {
    held: Held,
    /// The content that survives a power failure.
    synced: Held,
    random: Random,
    faults: bool,
    /// The length of the longest message that the server accepts.
    largest: usize,
    /// The number of bytes of all messages that the server holds at most.
    capacity: usize,
    /// A planted bug: whether the server appends a configuration whatever position it was to follow.
    takes_any_order: bool,
    /// Whether no message can be removed, and how often a node then tried.
    keeps_all: bool,
    kept: u64,
    /// Whether each snapshot ends early when it is read.
    breaks_snapshots: bool,
    /// Whether one thread runs all nodes, so that no message arrives while a node waits for one.
    is_stepped: bool,
    ports: Vec<PortState>,
}

#[derive(Clone, Copy, Default)]
struct PortState {
    is_cut: bool,
    /// A connection was lost, and the loss is not reported yet.
    was_lost: bool,
    /// The bounds were not read since a connection was lost.
    is_unseen: bool,
}

impl PortState {
    fn lose(&mut self) {
        (self.was_lost, self.is_unseen) = (true, true);
    }
}

/// The server, which the ports of all nodes share.
#[derive(Clone)]
pub struct SimServer(Arc<Mutex<Server>>);

impl SimServer {
    pub fn new(random: Random, nodes: usize) -> Self {
        let held = Held { incarnation: 1, first: 1, ..Held::default() };
        let ports = vec![PortState::default(); nodes];
        let server = Server {
            synced: held.clone(),
            held,
            random,
            faults: true,
            largest: usize::MAX,
            capacity: usize::MAX,
            takes_any_order: false,
            keeps_all: false,
            kept: 0,
            breaks_snapshots: false,
            is_stepped: false,
            ports,
        };
        Self(Arc::new(Mutex::new(server)))
    }

    fn lock(&self) -> MutexGuard<'_, Server> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn port(&self, node: usize) -> Arc<dyn Stream> {
        Arc::new(Port { server: self.clone(), node })
    }

    /// Makes waiting take no time, for nodes that all run on one thread.
    pub fn step(&self) {
        self.lock().is_stepped = true;
    }

    pub fn take_any_order(&self) {
        self.lock().takes_any_order = true;
    }

    /// Makes the server reject messages that are longer.
    pub fn limit(&self, largest: usize) {
        self.lock().largest = largest;
    }

    /// Makes the server reject messages when it holds so many bytes.
    pub fn hold_at_most(&self, capacity: usize) {
        self.lock().capacity = capacity;
    }

    /// Makes requests to remove messages get lost, or arrive again.
    pub fn keep_all(&self, keeps_all: bool) {
        self.lock().keeps_all = keeps_all;
    }

    /// Returns how many requests to remove messages got lost in this way.
    pub fn kept(&self) -> u64 {
        self.lock().kept
    }

    /// Sets whether each snapshot ends early when it is read.
    pub fn break_snapshots(&self, breaks: bool) {
        self.lock().breaks_snapshots = breaks;
    }

    pub fn cut(&self, node: usize, is_cut: bool) {
        let mut server = self.lock();
        server.ports[node].is_cut = is_cut;
        server.ports[node].lose();
    }

    pub fn is_cut(&self, node: usize) -> bool {
        self.lock().ports[node].is_cut
    }

    /// Ends all faults: each node reaches the server from now on.
    pub fn heal(&self) {
        let mut server = self.lock();
        server.faults = false;
        for port in &mut server.ports {
            if std::mem::take(&mut port.is_cut) {
                port.lose();
            }
        }
    }

    /// Makes the present content survive a power failure.
    pub fn sync(&self) {
        let mut server = self.lock();
        server.synced = server.held.clone();
    }

    /// Simulates a power failure, which loses what was not synced. Returns the number of lost messages.
    pub fn crash(&self) -> u64 {
        let mut server = self.lock();
        let lost = server.held.last - server.synced.last.min(server.held.last);
        // Snapshots are in another file, which may or may not be older.
        let keeps_snapshot = server.random.is_one_in(2);
        let snapshot = server.held.snapshot.clone();
        server.held = server.synced.clone();
        if keeps_snapshot {
            server.held.snapshot = snapshot;
        }
        server.ports.iter_mut().for_each(PortState::lose);
        lost
    }

    /// Deletes the stream and creates it again.
    pub fn recreate(&self) {
        let mut server = self.lock();
        let incarnation = server.held.incarnation + 1;
        let snapshot = server.held.snapshot.clone().filter(|_| server.random.is_one_in(2));
        server.held = Held { incarnation, first: 1, snapshot, ..Held::default() };
        server.synced = server.held.clone();
        server.ports.iter_mut().for_each(PortState::lose);
    }

    /// Appends a message that no node of the simulation published.
    pub fn inject(&self, subject: Subject, payload: &[u8]) -> u64 {
        self.lock().append(subject, payload).0
    }

    /// Removes one message, as an operator does. The stream begins after it: what was before it may be incomplete.
    ///
    /// Returns whether the message was there.
    pub fn delete(&self, position: u64, payload: &[u8]) -> bool {
        let mut server = self.lock();
        // The operator would remove it again if it came back after a power failure.
        server.synced.remove(position, payload);
        server.held.remove(position, payload)
    }

    /// Removes all messages, as an operator does. The stream remembers where it ended.
    pub fn purge(&self) {
        let mut server = self.lock();
        server.held.messages.clear();
        server.held.first = server.held.last + 1;
        server.held.last_configuration = 0;
    }

    /// Returns the messages that the stream holds.
    pub fn messages(&self) -> Vec<Delivery> {
        self.lock().held.messages.clone()
    }

    /// Returns the messages among the configurations.
    pub fn configurations(&self) -> Vec<Delivery> {
        self.lock().held.configurations().cloned().collect()
    }

    pub fn last(&self) -> u64 {
        self.lock().held.last
    }

    pub fn first(&self) -> u64 {
        self.lock().held.first
    }
}

impl Server {
    fn append(&mut self, subject: Subject, payload: &[u8]) -> Position {
        self.held.last += 1;
        let position = Position(self.held.last);
        if subject == Subject::Configuration {
            self.held.last_configuration = position.0;
        }
        self.held.messages.push(Delivery { position, subject, payload: payload.to_vec().into() });
        position
    }

    fn check_lengths(&self, mut lengths: impl Iterator<Item = usize>) -> Result<(), StreamError> {
        match lengths.find(|length| *length > self.largest) {
            Some(length) => Err(StreamError::Engine(format!("a message of {length} bytes"))),
            None => Ok(()),
        }
    }

    fn check_room(&self, length: usize) -> Result<(), StreamError> {
        let held: usize = self.held.messages.iter().map(|message| message.payload.len()).sum();
        if held + length > self.capacity { Err(StreamError::Full("maximum bytes exceeded".into())) } else { Ok(()) }
    }

    fn fails(&mut self, one_in: usize) -> bool {
        self.faults && self.random.is_one_in(one_in)
    }
}

struct Port {
    server: SimServer,
    node: usize,
}

fn away<T>() -> Result<T, StreamError> {
    Err(StreamError::Away("cut off".into()))
}

impl Port {
    /// Returns the server if the node reaches it. `tells` says whether a lost connection is reported here.
    fn reach(&self, tells: bool) -> Result<MutexGuard<'_, Server>, StreamError> {
        let mut server = self.server.lock();
        if server.ports[self.node].is_cut || server.fails(60) {
            server.ports[self.node].lose();
            return away();
        }
        if tells && std::mem::take(&mut server.ports[self.node].was_lost) {
            return away();
        }
        Ok(server)
    }
}

impl Port {
    fn look(&self, after: Position) -> Result<Vec<Delivery>, StreamError> {
        let mut server = self.reach(true)?;
        if after.0 + 1 < server.held.first {
            return Err(StreamError::Gone);
        }
        let behind = server.held.messages.partition_point(|message| message.position <= after);
        let rest = server.held.messages.len() - behind;
        let shown = if rest > 0 && server.fails(2) { 1 + server.random.below(rest) } else { rest };
        let mut deliveries = server.held.messages[behind..behind + shown].to_vec();
        // Deliver a message twice.
        if shown > 1 && server.fails(5) {
            let which = server.random.below(shown);
            deliveries.push(deliveries[which].clone());
        }
        Ok(deliveries)
    }
}

impl Stream for Port {
    fn publish(&self, messages: &[(Subject, Vec<u8>)]) -> Result<Position, StreamError> {
        let mut server = self.reach(false)?;
        server.check_lengths(messages.iter().map(|(_, payload)| payload.len()))?;
        let taken = if server.fails(25) { server.random.below(messages.len() + 1) } else { messages.len() };
        let mut last = Position(server.held.last);
        for (subject, payload) in &messages[..taken] {
            server.check_room(payload.len())?;
            last = server.append(*subject, payload);
        }
        let is_acknowledged = taken == messages.len() && !server.fails(40);
        // The network repeats a message, which arrives late.
        if server.fails(20) && !messages.is_empty() {
            let which = server.random.below(messages.len());
            server.append(messages[which].0, &messages[which].1);
        }
        if is_acknowledged {
            return Ok(last);
        }
        server.ports[self.node].lose();
        away()
    }

    fn publish_after(&self, subject: Subject, message: &[u8], last: Position) -> Result<Position, StreamError> {
        let mut server = self.reach(false)?;
        if server.ports[self.node].is_unseen {
            return Err(StreamError::Unseen);
        }
        server.check_lengths([message.len()].into_iter())?;
        if server.held.last_configuration != last.0 && !server.takes_any_order {
            return Err(StreamError::Superseded);
        }
        server.check_room(message.len())?;
        let position = server.append(subject, message);
        if server.fails(10) {
            server.ports[self.node].lose();
            return away();
        }
        Ok(position)
    }

    fn consume(&self, after: Position, _limit: usize, mut wait: Duration) -> Result<Vec<Delivery>, StreamError> {
        const MILLI: Duration = Duration::from_millis(1);
        let is_stepped = self.server.lock().is_stepped;
        loop {
            let deliveries = self.look(after)?;
            if !deliveries.is_empty() || wait < MILLI {
                return Ok(deliveries);
            }
            // In each simulated millisecond the connection may be lost.
            if !is_stepped {
                std::thread::sleep(MILLI);
            }
            wait -= MILLI;
        }
    }

    fn message_at(&self, position: Position) -> Result<Option<Delivery>, StreamError> {
        let server = self.reach(false)?;
        let is_there = |message: &&Delivery| message.position == position && position.0 >= server.held.first;
        Ok(server.held.messages.iter().find(is_there).cloned())
    }

    fn bounds(&self) -> Result<Bounds, StreamError> {
        let mut server = self.reach(true)?;
        server.ports[self.node].is_unseen = false;
        let Held { incarnation, first, last, last_configuration, .. } = server.held;
        Ok(Bounds {
            incarnation,
            first: Position(first),
            last: Position(last),
            last_configuration: Position(last_configuration),
        })
    }

    fn last_configuration(&self) -> Result<Option<Delivery>, StreamError> {
        Ok(self.reach(false)?.held.configurations().next_back().cloned())
    }

    fn largest(&self) -> usize {
        self.server.lock().largest
    }

    fn truncate(&self, up_to: Position) -> Result<(), StreamError> {
        let mut server = self.reach(false)?;
        if server.keeps_all {
            server.kept += 1;
            return Err(StreamError::Away("the request was lost".into()));
        }
        let configuration = server.held.last_configuration;
        server.held.messages.retain(|message| message.position > up_to || message.position.0 == configuration);
        server.held.first = server.held.first.max(up_to.0 + 1);
        Ok(())
    }

    fn write_snapshot(&self, at: Position, content: &mut dyn Read) -> Result<(), StreamError> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(|error| StreamError::Engine(error.to_string()))?;
        let mut server = self.reach(false)?;
        server.held.snapshot = Some((server.held.incarnation, at.0, bytes));
        if server.fails(10) {
            return away();
        }
        Ok(())
    }

    fn read_snapshot(&self) -> Result<Option<Snapshot>, StreamError> {
        let mut server = self.reach(false)?;
        let incarnation = server.held.incarnation;
        // The positions of a deleted stream say nothing about this stream.
        let held = server.held.snapshot.clone().filter(|(of, ..)| *of == incarnation);
        let Some((_, at, mut bytes)) = held else { return Ok(None) };
        if server.breaks_snapshots {
            bytes.truncate(bytes.len() - 1);
        } else if server.fails(10) {
            let cut = server.random.below(bytes.len());
            bytes.truncate(cut);
        }
        Ok(Some(Snapshot { at: Position(at), content: Box::new(Cursor::new(bytes)) }))
    }
}
