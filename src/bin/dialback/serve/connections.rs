//! Connections: accepting them, limiting their number and their time, and closing them in order.

use super::certificate::Certificate;
use super::connection::ConnectionHandler;
use super::limits::ConnectionLimits;
use super::origins::Origins;
use super::wire::full_answer;
use axum::Router;
use dialback::admission::{Admission, Arrival, Budget};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tracing::{debug, warn};

/// How long the listener pauses if the system has no more descriptors or memory.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// A listener with its budget of connections, and the router that answers.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) tls: Option<Certificate>,
    pub(crate) router: Router,
    pub(crate) budget: Budget,
    /// The origins whose pages may read the answers that the router does not make.
    pub(crate) origins: Origins,
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
    let Listener { socket, tls, router, budget, origins } = listener;
    let admission = Admission::new(budget);
    let is_plain = tls.is_none();
    let handler = ConnectionHandler { tls, router, limits, origins, stopping: told.clone() };
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            _ = told.changed() => return,
        };
        match accepted {
            Ok((stream, from)) => {
                let connection = New { stream, from: from.ip(), is_plain, watcher: graceful.watcher() };
                connection.begin(&admission, handler.clone()).await;
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
}

/// A connection that was accepted and has no place yet.
struct New {
    stream: TcpStream,
    from: IpAddr,
    is_plain: bool,
    watcher: Watcher,
}

impl New {
    /// Serves or rejects the connection in a task of its own. Waits for no client.
    async fn begin(self, admission: &Admission, handler: ConnectionHandler) {
        match admission.arrive(self.from).await {
            Arrival::Placed(place) => {
                tokio::spawn(handler.handle(self.stream, place, self.watcher));
            }
            Arrival::Waiting(waiting) => {
                tokio::spawn(async move {
                    match waiting.place().await {
                        Some(place) => handler.handle(self.stream, place, self.watcher).await,
                        None => refuse(&self.stream, self.from, self.is_plain),
                    }
                });
            }
            Arrival::Refused => refuse(&self.stream, self.from, self.is_plain),
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

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Extension;
    use axum::routing::get;
    use dialback::http::OnValidToken;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// How long the test waits for each answer. It is far shorter than the waits of all connections in turn.
    const SOON: Duration = Duration::from_secs(8);

    #[tokio::test]
    async fn refused_connections_do_not_delay_each_other_or_a_free_place() {
        let socket = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = socket.local_addr().expect("bound");
        let known = |note: &OnValidToken| (note.0)();
        let hang = move |Extension(note): Extension<OnValidToken>| async move {
            known(&note);
            std::future::pending::<()>().await;
        };
        let router = Router::new().route("/hang", get(hang)).route("/", get(async || "well"));
        let listener = Listener { socket, tls: None, router, budget: Budget::of(2), origins: Origins::default() };
        let serving = tokio::spawn(serve(vec![listener], ConnectionLimits::default(), std::future::pending()));

        let ask = async |path: &str| {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).await.expect("it reads");
            stream
        };
        let busy = [ask("/hang").await, ask("/hang").await];
        // Waits until both requests have begun.
        tokio::time::sleep(Duration::from_millis(200)).await;
        // None of these clients reads before all have connected.
        let mut others = Vec::new();
        for _ in 0..50 {
            others.push(ask("/").await);
        }
        let read = async |stream: &mut TcpStream| {
            let mut answer = String::new();
            tokio::time::timeout(SOON, stream.read_to_string(&mut answer)).await.expect("in time").expect("an answer");
            answer
        };
        let last = read(others.last_mut().expect("many")).await;
        assert!(last.starts_with("HTTP/1.1 503 ") && last.contains("TOO_MANY_CONNECTIONS"), "{last}");
        drop(busy);
        let answer = read(&mut ask("/").await).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        serving.abort();
    }
}
