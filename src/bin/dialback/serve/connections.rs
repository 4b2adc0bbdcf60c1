//! Connections: accepting them, limiting their number and their time, and closing them in order.

use super::connection::ConnectionHandler;
use super::limits::ConnectionLimits;
use super::wire::full_answer;
use axum::Router;
use dialback::admission::{Admission, Budget, Place};
use hyper_util::server::graceful::GracefulShutdown;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

/// How long the listener pauses if the system has no more descriptors or memory.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// A listener with its budget of connections, and the router that answers.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) router: Router,
    pub(crate) budget: Budget,
}

/// Accepts connections until `stop`, then waits until all requests in progress are finished.
pub(crate) async fn serve(listeners: Vec<Listener>, limits: ConnectionLimits, stop: impl Future<Output = ()>) {
    let graceful = Arc::new(GracefulShutdown::new());
    let (stopping, told) = watch::channel(());
    let open: Vec<_> = listeners
        .into_iter()
        .map(|listener| tokio::spawn(accept(listener, limits, Arc::clone(&graceful), told.clone())))
        .collect();
    stop.await;
    drop(stopping);
    for task in open {
        // The task ends by itself after the stop. A panic has been reported already.
        let _ = task.await;
    }
    if let Some(graceful) = Arc::into_inner(graceful) {
        graceful.shutdown().await;
    }
}

async fn accept(
    listener: Listener,
    limits: ConnectionLimits,
    graceful: Arc<GracefulShutdown>,
    mut told: watch::Receiver<()>,
) {
    let Listener { socket, tls, router, budget } = listener;
    let admission = Admission::new(budget);
    let is_plain = tls.is_none();
    let handler = ConnectionHandler { tls, router, limits };
    loop {
        let next = tokio::select! {
            next = next(&socket, &admission, is_plain) => next,
            _ = told.changed() => return,
        };
        if let Some((stream, place)) = next {
            tokio::spawn(handler.clone().handle(stream, place, graceful.watcher()));
        }
    }
}

/// Returns the next connection and its place, or `None` if it was rejected.
async fn next(listener: &TcpListener, admission: &Admission, is_plain: bool) -> Option<(TcpStream, Place)> {
    match listener.accept().await {
        Ok((stream, from)) => {
            let place = admission.admit(from.ip()).await;
            if place.is_none() {
                refuse(&stream, from.ip(), is_plain);
            }
            place.map(|place| (stream, place))
        }
        Err(error) => {
            warn!(%error, "cannot accept a connection");
            tokio::time::sleep(EXHAUSTED).await;
            None
        }
    }
}

/// Sends a 503 response without waiting for the client. Over TLS it sends nothing, because that would need a handshake.
fn refuse(stream: &TcpStream, from: IpAddr, is_plain: bool) {
    debug!(%from, "rejected a connection: the listener or the source address has no place left");
    if is_plain {
        // The client may be gone already. Its request is read, because closing with unread data would reset the
        // connection.
        let _ = stream.try_write(&full_answer());
        let _ = stream.try_read(&mut [0; 4096]);
    }
}
