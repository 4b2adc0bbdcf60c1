//! The connection to the server, and its threads.

use super::error::{away, engine};
use super::options::NatsOptions;
use super::subject::Subjects;
use crate::fleet::StreamError;
use crate::fleet::repeats::Repeats;
use crate::metrics::Stopwatch;
use async_nats::jetstream::context::{Context, ContextBuilder};
use async_nats::{Client, ClientError, ConnectOptions, Event, ServerAddr, ServerError};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{info, warn};

/// The maximum number of messages without an acknowledgement, over all calls that publish data. The client's own count,
/// which is for configurations, has the same maximum: it blocks without an error when 5,000 are not awaited.
pub(super) const IN_FLIGHT: usize = 4096;

/// How long a call waits for a lost connection: about as long as reconnecting to a running server takes.
const GRACE: Duration = Duration::from_millis(200);

/// The longest message that a server accepts by default, in bytes.
const DEFAULT_LARGEST: usize = 1 << 20;

/// The shortest limit with which a call fits that has the longest id and the longest context, in bytes.
const LEAST: usize = 8192;

/// Room for the headers of a message, which count as a part of it.
const HEADERS: usize = 256;

/// The pauses between attempts to connect, in milliseconds. The last one repeats.
const PAUSES: [u64; 6] = [0, 20, 50, 100, 200, 500];

/// A connection that the client restores when it is lost. Each restored connection has its own generation.
pub(super) struct Connection {
    /// Taken when this is dropped.
    runtime: Option<Runtime>,
    pub(super) options: NatsOptions,
    pub(super) subjects: Subjects,
    pub(super) context: Context,
    pub(super) client: Client,
    state: watch::Receiver<State>,
}

/// The state of the connection, as the client last reported it.
#[derive(Clone, Debug)]
struct State {
    generation: u64,
    is_up: bool,
    /// The reason why the last attempt to connect failed, while there is no connection.
    failed: Option<Arc<str>>,
    /// What the server last reported over this connection, such as a missing permission. It does not answer such a
    /// request.
    reported: Option<Arc<str>>,
}

/// Passes on what the client reports about the connection.
struct Events {
    changed: watch::Sender<State>,
    since: Stopwatch,
    said: Mutex<Repeats>,
}

impl Connection {
    pub(super) fn start(options: NatsOptions) -> Result<Self, StreamError> {
        options.check()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("dialback-nats")
            .enable_all()
            .build()
            .map_err(|error| engine(format_args!("cannot create threads: {error}")))?;
        let (changed, state) = watch::channel(State { generation: 0, is_up: false, failed: None, reported: None });
        let (servers, connecting) = connecting(&options, changed)?;
        let client = runtime.block_on(connecting.connect(servers)).map_err(engine)?;
        // The context starts tasks, which need the runtime.
        let inside = runtime.enter();
        let context = context(&options, client.clone());
        drop(inside);
        Ok(Self {
            runtime: Some(runtime),
            subjects: Subjects::below(&options.prefix, options.partitions),
            options,
            context,
            client,
            state,
        })
    }

    /// Runs the future on the calling thread.
    pub(super) fn run<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.as_ref().expect("taken by drop alone").block_on(future)
    }

    /// Returns the version that the server reports.
    pub(super) fn version(&self) -> String {
        self.client.server_info().version
    }

    /// Returns the generation of the connection, and waits as long as a call may wait for one.
    pub(super) async fn generation(&self) -> Result<u64, StreamError> {
        // The first connection may take longer than a reconnection.
        let at_most = if self.state.borrow().generation == 0 { self.options.patience } else { GRACE };
        self.connected(at_most).await
    }

    /// Returns the generation of the connection, and waits up to `at_most` for one.
    pub(super) async fn connected(&self, at_most: Duration) -> Result<u64, StreamError> {
        let mut state = self.state.clone();
        let up = timeout(at_most, state.wait_for(|state| state.is_up)).await;
        let up = up.map_err(|_| match &self.state.borrow().failed {
            Some(why) => away(format_args!("no connection to the server: {why}")),
            None => away("no connection to the server"),
        })?;
        let generation = up.map(|state| state.generation).map_err(|_| away("the client has stopped"))?;
        // Otherwise a call with a long context could never be published, and the calls behind it would wait for it.
        match self.client.server_info().max_payload {
            0 | LEAST.. => Ok(generation),
            few => Err(away(format_args!(
                "the server accepts messages of up to {few} bytes, and a fleet needs {LEAST}: raise `max_payload`"
            ))),
        }
    }

    /// Returns the length of the longest message that the server accepts, without its headers.
    pub(super) fn largest(&self) -> usize {
        match self.client.server_info().max_payload {
            // There has been no connection yet.
            0 => DEFAULT_LARGEST,
            largest => largest.saturating_sub(HEADERS),
        }
    }

    /// Adds to the error of a request without an answer what the server reported.
    pub(super) fn explained(&self, error: StreamError) -> StreamError {
        match (error, &self.state.borrow().reported) {
            (StreamError::Away(what), Some(reported)) => away(format_args!("{what}; the server reports: {reported}")),
            (error, _) => error,
        }
    }

    /// Waits until the connection with this generation is lost.
    pub(super) async fn lost(&self, generation: u64) {
        let mut state = self.state.clone();
        // An error means that the client has stopped.
        let _ = state.wait_for(|state| !state.is_up || state.generation != generation).await;
    }

    pub(super) fn is_lost(&self, generation: u64) -> bool {
        let state = self.state.borrow();
        !state.is_up || state.generation != generation
    }
}

impl Drop for Connection {
    /// Shuts the runtime down in the background. A runtime that is dropped on a thread of another runtime would panic.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Returns the addresses of the servers, and the options of the client.
fn connecting(
    options: &NatsOptions,
    changed: watch::Sender<State>,
) -> Result<(Vec<ServerAddr>, ConnectOptions), StreamError> {
    let (servers, login) = options.servers()?;
    let events = Arc::new(Events { changed, since: Stopwatch::start(), said: Mutex::default() });
    let connecting = ConnectOptions::new()
        .name(&options.name)
        .custom_inbox_prefix(options.inbox())
        .require_tls(options.needs_tls(&servers))
        .connection_timeout(options.patience)
        .request_timeout(Some(options.patience))
        .ping_interval(options.patience)
        .retry_on_initial_connect()
        .reconnect_delay_callback(|attempts| Duration::from_millis(PAUSES[attempts.min(PAUSES.len() - 1)]))
        .event_callback(move |event| {
            events.note(&event);
            std::future::ready(())
        });
    Ok((servers, login.add_to(options.certificates.add_to(connecting))?))
}

fn context(options: &NatsOptions, client: Client) -> Context {
    let builder =
        ContextBuilder::new().timeout(options.patience).max_ack_inflight(IN_FLIGHT).backpressure_on_inflight(true);
    match &options.storage.domain {
        Some(domain) => builder.domain(domain).build(client),
        None => builder.build(client),
    }
}

impl Events {
    fn note(&self, event: &Event) {
        match event {
            Event::Connected => {
                self.changed.send_modify(|state| {
                    let generation = state.generation + 1;
                    *state = State { generation, is_up: true, failed: None, reported: None };
                });
                info!("connected to NATS");
            }
            Event::Disconnected => {
                self.changed.send_modify(|state| (state.is_up, state.failed) = (false, None));
                warn!("lost the connection to NATS: reconnecting");
            }
            Event::ClientError(ClientError::Other(why)) if !self.changed.borrow().is_up => {
                if self.is_due(why) {
                    warn!(%why, "cannot connect to NATS: trying again");
                }
                self.changed.send_modify(|state| state.failed = Some(why.as_str().into()));
            }
            event => {
                if let Event::ServerError(ServerError::Other(why)) = event {
                    self.changed.send_modify(|state| state.reported = Some(why.as_str().into()));
                }
                if self.is_due(&event.to_string()) {
                    warn!(%event, "the NATS client reports an event");
                }
            }
        }
    }

    /// Returns whether to log this text. The client repeats it for each attempt.
    fn is_due(&self, text: &str) -> bool {
        let now = self.since.nanos() / 1_000_000;
        self.said.lock().unwrap_or_else(PoisonError::into_inner).is_due(text, now)
    }
}
