//! The connection, the threads behind it, and what is known to be at its other end.

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

/// How many messages may be published and not acknowledged, over all calls. The client hangs, silently, at 5,000 that nobody
/// awaits.
pub(super) const IN_FLIGHT: usize = 4096;

/// How long a call waits for a connection that is not there: about as long as it takes to come back where the server is.
const GRACE: Duration = Duration::from_millis(200);

/// Between attempts to connect: at once, then ever more seldom.
const PAUSES: [u64; 6] = [0, 20, 50, 100, 200, 500];

/// A connection in its life: each has a number of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) generation: u64,
    is_up: bool,
}

/// The last connection that somebody knows of. Behind a new one the stream may be another, or lack its end, so that it shows
/// as an error once.
#[derive(Default)]
pub(super) struct Shown(std::sync::Mutex<Option<u64>>);

impl Shown {
    pub(super) fn check(&self, generation: u64) -> Result<(), StreamError> {
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).replace(generation);
        match before {
            Some(before) if before != generation => Err(away("the connection was lost, and is there again")),
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
    link: watch::Receiver<Link>,
    pub(super) permits: Semaphore,
    pub(super) cursor: Mutex<Option<Cursor>>,
    /// Which connections were told of, to those who read and to those who ask for bounds.
    pub(super) shown_to_readers: Shown,
    pub(super) shown_in_bounds: Shown,
    /// The last connection over which somebody has seen what the stream holds; the first has nothing to hide.
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
            .map_err(|error| engine(format_args!("no threads: {error}")))?;
        let servers = options.addresses()?;
        let (changed, link) = watch::channel(Link { generation: 0, is_up: false });
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
        // Builds what runs beside it.
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

    /// Drives it on the calling thread.
    pub(super) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.as_ref().expect("taken by drop alone").block_on(future)
    }

    /// The number of the connection that is up.
    pub(super) async fn connected(&self, at_most: Duration) -> Result<u64, StreamError> {
        let mut link = self.link.clone();
        let up = timeout(at_most, link.wait_for(|link| link.is_up)).await;
        let up = up.map_err(|_| away("there is no connection to the server"))?;
        up.map(|link| link.generation).map_err(|_| away("the client has ended"))
    }

    /// Ends when that connection has ended.
    pub(super) async fn lost(&self, generation: u64) {
        let mut link = self.link.clone();
        // The client has ended where this fails.
        let _ = link.wait_for(|link| !link.is_up || link.generation != generation).await;
    }

    pub(super) fn is_lost(&self, generation: u64) -> bool {
        let link = *self.link.borrow();
        !link.is_up || link.generation != generation
    }

    /// What the stream was when this connection began, or since it was last doubted.
    pub(super) async fn prepared(&self) -> Result<Arc<Prepared>, StreamError> {
        // One that has never been there may take a while.
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
            info!(version = %facts.version, replicas = facts.replicas, incarnation = prepared.incarnation, "the fleet's stream");
            for warning in facts.warnings() {
                warn!("{warning}");
            }
        }
        *held = Some(Arc::clone(&prepared));
        Ok(prepared)
    }

    /// The stream may not be there any more.
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
    /// Does not wait, which a runtime that is dropped on another's thread would panic about.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn note(changed: &watch::Sender<Link>, event: &Event) {
    match event {
        Event::Connected => {
            changed.send_modify(|link| *link = Link { generation: link.generation + 1, is_up: true });
            info!("connected to NATS");
        }
        Event::Disconnected => {
            changed.send_modify(|link| link.is_up = false);
            warn!("the connection to NATS is gone");
        }
        event => warn!(%event, "NATS"),
    }
}
