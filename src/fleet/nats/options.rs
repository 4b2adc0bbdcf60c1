//! The options of a connection to NATS.

use super::error::engine;
use super::server::Syncing;
use crate::fleet::StreamError;
use async_nats::ServerAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How a node reaches the stream. All nodes of a fleet must agree on `stream`, `prefix` and `partitions`.
#[derive(Clone)]
pub struct NatsOptions {
    /// The URLs of the servers, separated by commas: `nats://host:4222`, `tls://user:password@host:4222`.
    pub servers: String,
    /// The node's name, as the server shows it.
    pub name: String,
    /// The name of the stream. The bucket of the snapshots has this name, followed by `_SNAPSHOTS`.
    pub stream: String,
    /// The prefix of all subjects.
    pub prefix: String,
    /// The number of partitions, from 1 to 32,768.
    pub partitions: u16,
    /// The number of servers in a cluster that keep the stream, if this node creates it.
    pub replicas: usize,
    /// How long the server may take for one answer.
    pub patience: Duration,
    /// When the server syncs, as far as it is known.
    pub syncing: Syncing,
    /// A file of certificate authorities for the server's certificate, in addition to those of the system.
    pub authorities: Option<PathBuf>,
}

impl NatsOptions {
    /// Returns the options for one stream of 64 partitions, on one server.
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

    /// Returns the name of the bucket for snapshots.
    pub(super) fn bucket(&self) -> String {
        format!("{}_SNAPSHOTS", self.stream)
    }

    /// Checks the options without contacting the server.
    ///
    /// # Errors
    /// Returns [`StreamError::Engine`] with the first invalid option.
    pub fn check(&self) -> Result<(), StreamError> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let wrong = if self.stream.is_empty() || !self.stream.chars().all(is_plain) {
            "invalid stream name: use letters, digits, - and _"
        } else if self.prefix.is_empty()
            || !self.prefix.split('.').all(|part| !part.is_empty() && part.chars().all(is_plain))
        {
            "invalid prefix: use letters, digits, - and _, separated by dots"
        } else if self.partitions == 0 || self.partitions > 1 << 15 {
            "invalid number of partitions: use 1 to 32768"
        } else if !(1..=5).contains(&self.replicas) {
            "invalid number of replicas: use 1 to 5"
        } else {
            return self.addresses().map(drop);
        };
        Err(engine(wrong))
    }

    pub(super) fn addresses(&self) -> Result<Vec<ServerAddr>, StreamError> {
        let addresses = self.servers.split(',').map(|server| server.trim().parse());
        // The parser's error could quote a password.
        addresses.collect::<Result<_, _>>().map_err(|_| engine("invalid server address: use host:port or a URL"))
    }
}
