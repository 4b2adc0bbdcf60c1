//! Connections: accepted, bounded in number and in time, and ended in order.

use crate::limits::ConnectionLimits;
use crate::visit::Visitor;
use crate::wire::full_answer;
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

/// How long no connection is accepted where the system has no more descriptors, or no memory.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// A listener, how many connections it holds, and what answers.
pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) router: Router,
    pub(crate) budget: Budget,
}

/// Accepts connections until `stop`, then waits until the requests that have begun are finished.
pub(crate) async fn serve(doors: Vec<Door>, limits: ConnectionLimits, stop: impl Future<Output = ()>) {
    let graceful = Arc::new(GracefulShutdown::new());
    let (stopping, told) = watch::channel(());
    let open: Vec<_> =
        doors.into_iter().map(|door| tokio::spawn(accept(door, limits, Arc::clone(&graceful), told.clone()))).collect();
    stop.await;
    drop(stopping);
    for door in open {
        // It ends by itself once it is told; its panic has been reported by its own task.
        let _ = door.await;
    }
    if let Some(graceful) = Arc::into_inner(graceful) {
        graceful.shutdown().await;
    }
}

async fn accept(door: Door, limits: ConnectionLimits, graceful: Arc<GracefulShutdown>, mut told: watch::Receiver<()>) {
    let Door { listener, tls, router, budget } = door;
    let admission = Admission::new(budget);
    let is_plain = tls.is_none();
    let visitor = Visitor { tls, router, limits };
    loop {
        let next = tokio::select! {
            next = next(&listener, &admission, is_plain) => next,
            _ = told.changed() => return,
        };
        if let Some((stream, place)) = next {
            tokio::spawn(visitor.clone().visit(stream, place, graceful.watcher()));
        }
    }
}

/// The next connection and its place; `None` where there is none for it.
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

/// Says 503 without waiting for the client. Over TLS there is no time to shake hands for it.
fn refuse(stream: &TcpStream, from: IpAddr, is_plain: bool) {
    debug!(%from, "no place for a connection");
    if is_plain {
        // A client that is refused may be gone. What it has sent is taken, since its connection would be reset otherwise.
        let _ = stream.try_write(&full_answer());
        let _ = stream.try_read(&mut [0; 4096]);
    }
}
