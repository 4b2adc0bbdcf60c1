//! NATS JetStream as the stream of a fleet.
//!
//! ```text
//! <prefix>.config        configurations                      \ one JetStream stream,
//! <prefix>.calls.<n>     calls and erasures of partition n   / in a file
//! <STREAM>_SNAPSHOTS     an object store's bucket with one object, `snapshot`
//! ```
//!
//! The stream is made where it is not, and looked at again with each new connection: another one of that name, or one made for
//! another number of partitions, is refused. Messages leave it by [`Stream::truncate`] alone; its last configuration stays, since
//! the server compares with it what [`Stream::publish_after`] expects.
//!
//! JetStream acknowledges before it syncs, unless the server has `sync_interval: always`, so an acknowledgement is not worth
//! more than the server's power supply: see [`Syncing`]. What a restored or rolled-back server has lost, nodes publish again.

mod bounds;
mod core;
mod cursor;
mod error;
mod options;
mod publish;
mod server;
mod setup;
mod snapshot;
mod subject;

pub use options::NatsOptions;
pub use server::{ServerFacts, Syncing};

use self::core::Core;
use super::{Bounds, Delivery, Position, Snapshot, Stream, StreamError, Subject};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// A connection to a NATS server, or to a cluster of them, that comes back by itself.
///
/// Brings two threads. Calls block: from a thread of an async runtime, make them where that may be blocked. None waits longer
/// than [`NatsOptions::patience`] for the server to do the next thing ([`Stream::consume`]: that and what it was told to wait);
/// while there is no connection any more they fail after a fifth of a second.
#[derive(Clone)]
pub struct NatsStream {
    core: Arc<Core>,
}

impl NatsStream {
    /// Begins to connect. A server that is away is not an error: it is tried for until it is there.
    ///
    /// # Errors
    /// [`StreamError::Engine`]: the options cannot be.
    pub fn new(options: NatsOptions) -> Result<Self, StreamError> {
        Ok(Self { core: Arc::new(Core::start(options)?) })
    }

    /// What the server says of itself, and makes the stream where there is none.
    ///
    /// # Errors
    /// It is away, or its stream is not ours.
    pub fn server(&self) -> Result<ServerFacts, StreamError> {
        self.core.run(self.core.server())
    }
}

impl Stream for NatsStream {
    fn publish(&self, messages: &[(Subject, Vec<u8>)]) -> Result<Position, StreamError> {
        self.core.run(publish::publish(&self.core, messages))
    }

    fn publish_after(&self, subject: Subject, message: &[u8], last: Position) -> Result<Position, StreamError> {
        self.core.run(publish::publish_after(&self.core, subject, message, last))
    }

    fn consume(&self, after: Position, limit: usize, wait: Duration) -> Result<Vec<Delivery>, StreamError> {
        self.core.run(cursor::consume(&self.core, after, limit, wait))
    }

    fn bounds(&self) -> Result<Bounds, StreamError> {
        self.core.run(bounds::bounds(&self.core))
    }

    fn truncate(&self, up_to: Position) -> Result<(), StreamError> {
        self.core.run(bounds::truncate(&self.core, up_to))
    }

    fn write_snapshot(&self, at: Position, content: &mut dyn io::Read) -> Result<(), StreamError> {
        self.core.run(snapshot::write(&self.core, at, content))
    }

    fn read_snapshot(&self) -> Result<Option<Snapshot>, StreamError> {
        self.core.run(snapshot::read(&self.core))
    }
}
