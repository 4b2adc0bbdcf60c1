//! Where the server is, and what of it is ours.

use super::Syncing;
use super::error::engine;
use crate::fleet::StreamError;
use async_nats::ServerAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How a node reaches the stream. All nodes of a fleet must agree on `stream`, `prefix` and `partitions`.
#[derive(Clone)]
pub struct NatsOptions {
    /// URLs, with commas between them: `nats://host:4222`, `tls://user:password@host:4222`.
    pub servers: String,
    /// What this node calls itself to the server.
    pub name: String,
    /// The name of the stream; that of the bucket is this and `_SNAPSHOTS`.
    pub stream: String,
    /// What all subjects begin with.
    pub prefix: String,
    /// How many partitions there are, fewer than 32,768.
    pub partitions: u16,
    /// How many servers of a cluster keep the stream, where this node makes it.
    pub replicas: usize,
    /// How long the server may take for one thing.
    pub patience: Duration,
    /// What is known of when the server syncs.
    pub syncing: Syncing,
    /// A file of the authorities that sign the server's certificate, besides those of the system.
    pub authorities: Option<PathBuf>,
}

impl NatsOptions {
    /// One stream of 64 partitions, on one server.
    pub fn new(servers: impl Into<String>) -> Self {
        Self {
            servers: servers.into(),
            name: "dialback".into(),
            stream: "DIALBACK".into(),
            prefix: "dialback".into(),
            partitions: 64,
            replicas: 1,
            patience: Duration::from_secs(5),
            syncing: Syncing::Unknown,
            authorities: None,
        }
    }

    /// The bucket of the snapshots.
    pub(super) fn bucket(&self) -> String {
        format!("{}_SNAPSHOTS", self.stream)
    }

    /// Whether they can be, without a word to the server.
    ///
    /// # Errors
    /// [`StreamError::Engine`]: what cannot be.
    pub fn check(&self) -> Result<(), StreamError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let wrong = if self.stream.is_empty() || !self.stream.chars().all(is_plain) {
            "the stream's name has letters, digits, - and _"
        } else if self.prefix.is_empty()
            || !self.prefix.split('.').all(|part| !part.is_empty() && part.chars().all(is_plain))
        {
            "the prefix has letters, digits, - and _, with dots between them"
        } else if self.partitions == 0 || self.partitions > 1 << 15 {
            "there are 1 to 32,768 partitions"
        } else if !(1..=5).contains(&self.replicas) {
            "JetStream keeps 1 to 5 replicas"
        } else {
            return self.addresses().map(drop);
        };
        Err(engine(wrong))
    }

    pub(super) fn addresses(&self) -> Result<Vec<ServerAddr>, StreamError> {
        let addresses = self.servers.split(',').map(|server| server.trim().parse());
        // The text of the error would show a password.
        addresses.collect::<Result<_, _>>().map_err(|_| engine("a server's address is no host:port and no URL"))
    }
}
