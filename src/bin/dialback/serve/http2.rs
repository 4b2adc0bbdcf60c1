//! HTTP/2, for clients that choose it in the TLS handshake (ALPN).
//!
//! One connection carries several requests at a time. All that a client can make a connection keep has a bound: requests,
//! heads, unread bodies and unread responses.

use super::exchange::{Exchanges, Tracked};
use super::limits::ConnectionLimits;
use super::progress::Standstill;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::HttpService;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::debug;

/// The name of the protocol in the TLS handshake.
pub(super) const ALPN: &[u8] = b"h2";

/// The most requests of one connection at a time.
const REQUESTS: u32 = 32;
/// The longest head of a request. Longer ones get 431.
const HEAD: u32 = 32 << 10;
/// The most unread bytes of one request's body, and of all bodies of a connection.
const WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;
/// The most unsent bytes of one response.
const SENDING: usize = 64 << 10;
/// The most requests that a client may cancel before they are served, and that may fail. Then the connection is closed.
const CANCELLED: usize = 64;
/// How long a connection stays after the daemon has sent GOAWAY. Requests that were on their way are still answered.
const PARTING: Duration = Duration::from_millis(500);

/// Serves the connection until it ends, until its client leaves it unused, or until the daemon stops and the open
/// requests are answered. Sends GOAWAY before it closes the connection.
pub(super) async fn talk<S>(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    service: S,
    exchanges: &Exchanges,
    limits: ConnectionLimits,
    watcher: Watcher,
    mut stopping: watch::Receiver<()>,
) where
    S: HttpService<Incoming, ResBody = Tracked> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let tasks = Arc::new(Mutex::new(JoinSet::new()));
    // The daemon waits until it is dropped.
    let _watcher = watcher;
    let connection = http2::Builder::new(Requests(Arc::downgrade(&tasks)))
        .timer(TokioTimer::new())
        .max_concurrent_streams(REQUESTS)
        .max_header_list_size(HEAD)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SENDING)
        .max_pending_accept_reset_streams(CANCELLED)
        .max_local_error_reset_streams(CANCELLED)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let is_stuck = tokio::select! {
        ended = connection.as_mut() => return note(ended),
        quiet = standstill(exchanges, limits.header_timeout, limits) => matches!(quiet, Standstill::Open(_)),
        _ = stopping.changed() => false,
    };
    connection.as_mut().graceful_shutdown();
    let parting = async {
        if is_stuck {
            tokio::time::sleep(PARTING).await;
        } else {
            standstill(exchanges, PARTING, limits).await;
        }
    };
    // The client need not answer, so the daemon does not wait for that.
    tokio::select! {
        ended = connection => note(ended),
        () = parting => debug!(is_stuck, "closed a connection of HTTP/2 whose client made no progress"),
    }
}

fn note(ended: hyper::Result<()>) {
    if let Err(error) = ended {
        debug!(%error, "a connection of HTTP/2 ended early");
    }
}

/// Waits until the client has made no progress for too long: without a request for this interval, or with one that is
/// open, because it does not send the body or leaves the response unread. Looks after each interval. Pings, settings and
/// other requests are no progress.
async fn standstill(exchanges: &Exchanges, every: Duration, limits: ConnectionLimits) -> Standstill {
    loop {
        tokio::time::sleep(every).await;
        let standstill = exchanges.look(every);
        let is_over = match standstill {
            Standstill::Unused(quiet) => quiet >= every,
            // A request may take as long as a client may leave its response unread.
            Standstill::Open(quiet) => quiet >= 2 * limits.write_timeout,
        };
        if is_over {
            return standstill;
        }
    }
}

/// The tasks of a connection's requests. They end with the connection.
#[derive(Clone)]
struct Requests(Weak<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Requests {
    fn execute(&self, request: F) {
        let Some(tasks) = self.0.upgrade() else { return };
        let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(request);
    }
}
