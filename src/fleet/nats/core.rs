//! The connection, its threads, and what is known about the server.

use super::cursor::Cursor;
use super::error::{away, engine};
use super::options::NatsOptions;
use super::server::ServerFacts;
use super::setup::{self, Prepared};
use super::subject::Subjects;
use crate::fleet::StreamError;
use crate::sync::AtomicU64;
use async_nats::jetstream::context::{Context, ContextBuilder};
use async_nats::{Client, ConnectOptions, Event};
use std::future::Future;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::timeout;
use tracing::{info, warn};

/// The maximum number of messages without an acknowledgement, over all calls. The client blocks without an error when
/// 5,000 acknowledgements are not awaited.
pub(super) const IN_FLIGHT: usize = 4096;

/// How long a call waits for a lost connection: about as long as reconnecting to a running server takes.
const GRACE: Duration = Duration::from_millis(200);

/// The pauses between attempts to connect, in milliseconds. The last one repeats.
const PAUSES: [u64; 6] = [0, 20, 50, 100, 200, 500];

/// The state of the connection. Each connection has its own generation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Connection {
    pub(super) generation: u64,
    is_up: bool,
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

pub(super) struct Core {
    /// Taken when this is dropped.
    runtime: Option<Runtime>,
    pub(super) options: NatsOptions,
    pub(super) subjects: Subjects,
    pub(super) context: Context,
    client: Client,
    link: watch::Receiver<Connection>,
    pub(super) permits: Semaphore,
    pub(super) cursor: Mutex<Option<Cursor>>,
    /// The connections that were reported to readers, and to callers of `bounds`.
    pub(super) shown_to_readers: Shown,
    pub(super) shown_in_bounds: Shown,
    /// The last connection over which `bounds` succeeded. The first connection has nothing to report, so this begins
    /// with 1.
    pub(super) seen: AtomicU64,
    prepared: Mutex<Option<Arc<Prepared>>>,
}

impl Core {
    pub(super) fn start(options: NatsOptions) -> Result<Self, StreamError> {
        options.check()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("dialback-nats")
            .enable_all()
            .build()
            .map_err(|error| engine(format_args!("cannot create threads: {error}")))?;
        let servers = options.addresses()?;
        let (changed, link) = watch::channel(Connection { generation: 0, is_up: false });
        let changed = Arc::new(changed);
        let mut connecting = ConnectOptions::new()
            .name(&options.name)
            .connection_timeout(options.patience)
            .request_timeout(Some(options.patience))
            .ping_interval(options.patience)
            .retry_on_initial_connect()
            .reconnect_delay_callback(|attempts| Duration::from_millis(PAUSES[attempts.min(PAUSES.len() - 1)]))
            .event_callback(move |event| {
                note(&changed, &event);
                std::future::ready(())
            });
        if let Some(file) = &options.authorities {
            connecting = connecting.add_root_certificates(file.clone());
        }
        let client = runtime.block_on(connecting.connect(servers)).map_err(engine)?;
        // The context starts tasks, which need the runtime.
        let inside = runtime.enter();
        let context = ContextBuilder::new()
            .timeout(options.patience)
            .max_ack_inflight(IN_FLIGHT)
            .backpressure_on_inflight(true)
            .build(client.clone());
        drop(inside);
        Ok(Self {
            runtime: Some(runtime),
            subjects: Subjects::below(&options.prefix, options.partitions),
            options,
            context,
            client,
            link,
            permits: Semaphore::new(IN_FLIGHT),
            cursor: Mutex::new(None),
            shown_to_readers: Shown::default(),
            shown_in_bounds: Shown::default(),
            seen: AtomicU64::new(1),
            prepared: Mutex::new(None),
        })
    }

    /// Runs the future on the calling thread.
    pub(super) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.as_ref().expect("taken by drop alone").block_on(future)
    }

    /// Returns the generation of the connection, and waits up to `at_most` for one.
    pub(super) async fn connected(&self, at_most: Duration) -> Result<u64, StreamError> {
        let mut link = self.link.clone();
        let up = timeout(at_most, link.wait_for(|link| link.is_up)).await;
        let up = up.map_err(|_| away("no connection to the server"))?;
        up.map(|link| link.generation).map_err(|_| away("the client has stopped"))
    }

    /// Waits until the connection with this generation is lost.
    pub(super) async fn lost(&self, generation: u64) {
        let mut link = self.link.clone();
        // An error means that the client has stopped.
        let _ = link.wait_for(|link| !link.is_up || link.generation != generation).await;
    }

    pub(super) fn is_lost(&self, generation: u64) -> bool {
        let link = *self.link.borrow();
        !link.is_up || link.generation != generation
    }

    /// Returns what was found on the server, looked up once a connection and again after [`doubt`](Self::doubt).
    pub(super) async fn prepared(&self) -> Result<Arc<Prepared>, StreamError> {
        // The first connection may take longer than a reconnection.
        let at_most = if self.link.borrow().generation == 0 { self.options.patience } else { GRACE };
        let generation = self.connected(at_most).await?;
        let mut held = self.prepared.lock().await;
        if let Some(prepared) = held.as_ref().filter(|prepared| prepared.generation == generation) {
            return Ok(Arc::clone(prepared));
        }
        let is_first = held.is_none();
        *held = None;
        let prepared = Arc::new(setup::prepare(self, generation).await?);
        if is_first {
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
    pub(super) async fn doubt(&self) {
        *self.prepared.lock().await = None;
    }

    pub(super) async fn server(&self) -> Result<ServerFacts, StreamError> {
        Ok(self.facts(&*self.prepared().await?))
    }

    fn facts(&self, prepared: &Prepared) -> ServerFacts {
        let version = self.client.server_info().version;
        ServerFacts { version, replicas: prepared.replicas, syncing: self.options.syncing }
    }
}

impl Drop for Core {
    /// Shuts the runtime down in the background. A runtime that is dropped on a thread of another runtime would panic.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn note(changed: &watch::Sender<Connection>, event: &Event) {
    match event {
        Event::Connected => {
            changed.send_modify(|link| *link = Connection { generation: link.generation + 1, is_up: true });
            info!("connected to NATS");
        }
        Event::Disconnected => {
            changed.send_modify(|link| link.is_up = false);
            warn!("lost the connection to NATS: reconnecting");
        }
        event => warn!(%event, "the NATS client reports an event"),
    }
}
