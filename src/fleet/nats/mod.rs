//! NATS `JetStream` as the stream of a fleet.
//!
//! ```text
//! <prefix>.config        configurations                      \ one JetStream stream,
//! <prefix>.calls.<n>     calls and erasures of partition n   / in a file
//! <STREAM>_SNAPSHOTS     an object store's bucket with one object, `snapshot`
//! ```
//!
//! The stream is created if it does not exist, and checked again with each new connection. A stream with that name is
//! rejected if it is not a fleet's, or has another number of partitions. Only [`Stream::truncate`] removes messages. It
//! keeps the last configuration, because the server compares with it what [`Stream::publish_after`] expects.
//!
//! `JetStream` acknowledges before it syncs, unless the server has `sync_interval: always`. A power failure of the
//! server can then lose acknowledged messages: see [`Syncing`]. Nodes publish again what a restored or rolled-back
//! server has lost.

mod bounds;
mod connection;
mod core;
mod cursor;
mod error;
mod inbox;
mod login;
mod options;
mod publish;
mod repeated;
mod server;
mod setup;
mod snapshot;
mod subject;
mod tls;

pub use login::Login;
pub use options::{NatsOptions, Storage};
pub use server::{ServerFacts, Syncing};
pub use tls::Certificates;

use self::core::Core;
use self::cursor::KeptCursor;
use super::{Bounds, Delivery, Position, Snapshot, Stream, StreamError, Subject};
use bytes::Bytes;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A connection to a NATS server or cluster, which reconnects automatically.
///
/// It runs two threads. Calls block, so an async program must make them on threads that may block. No call waits longer
/// than [`NatsOptions::patience`] for one answer of the server; [`Stream::consume`] also waits for its own `wait`.
/// While a lost connection is not restored, calls fail after a fifth of a second.
#[derive(Clone)]
pub struct NatsStream {
    core: Arc<Core>,
    cursor: Arc<KeptCursor>,
}

impl NatsStream {
    /// Starts to connect. An unreachable server is not an error: the client tries again until it is reachable.
    ///
    /// # Errors
    /// Returns [`StreamError::Engine`] if the options are invalid.
    pub fn new(options: NatsOptions) -> Result<Self, StreamError> {
        Ok(Self { core: Arc::new(Core::start(options)?), cursor: Arc::default() })
    }

    /// Returns what the server reports about itself. Creates the stream if it does not exist.
    ///
    /// # Errors
    /// Returns an error if the server is unreachable, or if its stream is not this fleet's.
    pub fn server(&self) -> Result<ServerFacts, StreamError> {
        self.run(self.core.server())
    }

    fn run<T>(&self, asking: impl Future<Output = Result<T, StreamError>>) -> Result<T, StreamError> {
        self.core.connection.run(asking).map_err(|error| self.core.connection.explained(error))
    }
}

impl Stream for NatsStream {
    fn publish(&self, messages: &[(Subject, Vec<u8>)]) -> Result<Position, StreamError> {
        let mut copied = messages.iter().map(|(subject, message)| (*subject, Bytes::copy_from_slice(message)));
        self.run(publish::publish(&self.core, &mut copied))
    }

    fn publish_each(
        &self,
        messages: &mut dyn ExactSizeIterator<Item = (Subject, Vec<u8>)>,
    ) -> Result<Position, StreamError> {
        let mut made = messages.map(|(subject, message)| (subject, Bytes::from(message)));
        self.run(publish::publish(&self.core, &mut made))
    }

    fn publish_after(&self, subject: Subject, message: &[u8], last: Position) -> Result<Position, StreamError> {
        self.run(publish::publish_after(&self.core, subject, message, last))
    }

    fn consume(&self, after: Position, limit: usize, wait: Duration) -> Result<Vec<Delivery>, StreamError> {
        self.run(self.cursor.consume(&self.core, after, limit, wait))
    }

    fn message_at(&self, position: Position) -> Result<Option<Delivery>, StreamError> {
        self.run(bounds::message_at(&self.core, position))
    }

    fn bounds(&self) -> Result<Bounds, StreamError> {
        self.run(bounds::bounds(&self.core))
    }

    fn last_configuration(&self) -> Result<Option<Delivery>, StreamError> {
        self.run(bounds::configuration(&self.core))
    }

    fn truncate(&self, up_to: Position) -> Result<(), StreamError> {
        self.run(bounds::truncate(&self.core, up_to))
    }

    fn largest(&self) -> usize {
        self.core.connection.largest()
    }

    fn write_snapshot(&self, at: Position, content: &mut dyn io::Read) -> Result<(), StreamError> {
        self.run(snapshot::write(&self.core, at, content))
    }

    fn read_snapshot(&self) -> Result<Option<Snapshot>, StreamError> {
        self.run(snapshot::read(&self.core))
    }
}
