//! The connection, and the facts about its server that all calls share.

use super::connection::{Connection, IN_FLIGHT};
use super::error::away;
use super::inbox::Inbox;
use super::options::NatsOptions;
use super::server::ServerFacts;
use super::setup::{self, Prepared};
use crate::fleet::StreamError;
use crate::sync::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use tokio::sync::{Mutex, Semaphore};
use tracing::{info, warn};

pub(super) struct Core {
    pub(super) connection: Connection,
    pub(super) permits: Semaphore,
    /// The connection that was reported to callers of `bounds`.
    pub(super) shown_in_bounds: Shown,
    /// The last connection over which `bounds` succeeded. The first connection has nothing to report, so this begins
    /// with 1.
    pub(super) seen: AtomicU64,
    prepared: Mutex<Option<Arc<Prepared>>>,
    /// How often the stream was doubted.
    doubts: AtomicU64,
    /// Inboxes that no call uses and for which no acknowledgement is outstanding: as many as calls ever ran at once.
    inboxes: std::sync::Mutex<Vec<Inbox>>,
}

impl Core {
    pub(super) fn start(options: NatsOptions) -> Result<Self, StreamError> {
        Ok(Self {
            connection: Connection::start(options)?,
            permits: Semaphore::new(IN_FLIGHT),
            shown_in_bounds: Shown::default(),
            seen: AtomicU64::new(1),
            prepared: Mutex::new(None),
            doubts: AtomicU64::new(0),
            inboxes: std::sync::Mutex::default(),
        })
    }

    /// Returns an inbox for a call.
    pub(super) async fn inbox(&self) -> Result<Inbox, StreamError> {
        let kept = self.inboxes.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match kept {
            Some(inbox) => Ok(inbox),
            None => Inbox::open(&self.connection.client).await,
        }
    }

    /// Keeps an inbox for another call. All its messages must have been acknowledged.
    pub(super) fn keep_inbox(&self, inbox: Inbox) {
        self.inboxes.lock().unwrap_or_else(PoisonError::into_inner).push(inbox);
    }

    /// Returns what was found on the server, looked up once a connection and again after [`doubt`](Self::doubt).
    pub(super) async fn prepared(&self) -> Result<Arc<Prepared>, StreamError> {
        let generation = self.connection.generation().await?;
        let mut held = self.prepared.lock().await;
        // Relaxed: a doubt that comes later is the next call's.
        let doubts = self.doubts.load(Ordering::Relaxed);
        let is_known = |prepared: &&Arc<Prepared>| (prepared.generation, prepared.doubts) == (generation, doubts);
        if let Some(prepared) = held.as_ref().filter(is_known) {
            return Ok(Arc::clone(prepared));
        }
        let prepared = Arc::new(Box::pin(setup::prepare(&self.connection, generation, doubts)).await?);
        if held.as_ref().is_none_or(|held| held.incarnation != prepared.incarnation) {
            let facts = self.facts(&prepared);
            info!(version = %facts.version, replicas = facts.replicas, incarnation = prepared.incarnation, "found the fleet's stream");
            for warning in facts.warnings() {
                warn!("{warning}");
            }
        }
        *held = Some(Arc::clone(&prepared));
        Ok(prepared)
    }

    /// Makes the next call look up the stream again, because it may have been deleted.
    pub(super) fn doubt(&self) {
        self.doubts.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) async fn server(&self) -> Result<ServerFacts, StreamError> {
        Ok(self.facts(&*self.prepared().await?))
    }

    fn facts(&self, prepared: &Prepared) -> ServerFacts {
        let syncing = self.connection.options.syncing;
        ServerFacts { version: self.connection.version(), replicas: prepared.replicas, syncing }
    }
}

/// The last connection that was reported. After a reconnection the stream may be another one or lack its last messages,
/// so each new connection is reported as an error once.
#[derive(Default)]
pub(super) struct Shown(std::sync::Mutex<Option<u64>>);

impl Shown {
    pub(super) fn check(&self, generation: u64) -> Result<(), StreamError> {
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(generation);
        match before {
            Some(before) if before != generation => Err(away("the connection was lost and restored")),
            _ => Ok(()),
        }
    }
}
