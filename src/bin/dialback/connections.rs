//! Connections: taken, bounded in number and in time, and ended in order.

use crate::limits::ConnectionLimits;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tracing::{debug, warn};

/// How long nobody is let in where the system has no more descriptors, or no memory.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Bytes of an answer that wait in a connection for their client, and the most that the head of a request may have.
const BUFFER: usize = 64 << 10;

/// A way in: who listens, and who answers.
pub(crate) struct Door {
    pub(crate) listener: TcpListener,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) router: Router,
}

/// Lets clients in until it is told to stop, then waits until what they had begun is finished. A slow client holds its own
/// connection and, for no longer than the limits say, its place among them.
pub(crate) async fn serve(doors: Vec<Door>, limits: ConnectionLimits, stop: impl Future<Output = ()>) {
    let graceful = Arc::new(GracefulShutdown::new());
    let (stopping, told) = watch::channel(());
    let places = Arc::new(Semaphore::new(limits.connections));
    let open: Vec<_> = doors
        .into_iter()
        .map(|door| {
            let visitor = Visitor { tls: door.tls, router: door.router, limits };
            tokio::spawn(take(door.listener, visitor, Arc::clone(&places), Arc::clone(&graceful), told.clone()))
        })
        .collect();
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

async fn take(
    listener: TcpListener,
    visitor: Visitor,
    places: Arc<Semaphore>,
    graceful: Arc<GracefulShutdown>,
    mut told: watch::Receiver<()>,
) {
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("never closed");
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            next = next => next,
            _ = told.changed() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                tokio::spawn(visitor.clone().visit(stream, place, graceful.watcher()));
            }
            Err(error) => {
                warn!(%error, "cannot take a connection");
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
}

#[derive(Clone)]
struct Visitor {
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: ConnectionLimits,
}

impl Visitor {
    /// From the first byte to the last. Holds its place until then.
    async fn visit(self, stream: TcpStream, place: OwnedSemaphorePermit, watcher: Watcher) {
        // An answer is written whole: there is nothing to wait for.
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => self.talk(stream, watcher).await,
            Some(tls) => match tokio::time::timeout(self.limits.header_timeout, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.talk(stream, watcher).await,
                Ok(Err(error)) => debug!(%error, "no TLS"),
                Err(_) => debug!("a TLS handshake took too long"),
            },
        }
        drop(place);
    }

    async fn talk(&self, stream: impl AsyncRead + AsyncWrite + Send + 'static, watcher: Watcher) {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.write_timeout));
        let stream: Pin<Box<_>> = Box::pin(stream);
        let service = TowerToHyperService::new(self.router.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_timeout)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection).await {
            debug!(%error, "a connection ended early");
        }
    }
}
