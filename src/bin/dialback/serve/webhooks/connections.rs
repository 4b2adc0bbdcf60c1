//! Connections to receivers.
//!
//! A connection stays open for a few seconds after a message, because the next one may follow. The number of those connections is
//! bounded, so that receivers cannot use up the descriptors of the daemon.

use axum::body::Body;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

/// The time limit for the set-up of a connection to one address.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a connection without a message stays open.
const IDLE: Duration = Duration::from_secs(4);

/// The host that a connection leads to.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Host {
    pub(super) is_secured: bool,
    pub(super) name: String,
    pub(super) port: u16,
}

/// An open connection.
pub(super) struct Connection {
    host: Host,
    sender: SendRequest<Body>,
}

/// The connections that wait for a message.
pub(super) struct Connections {
    tls: TlsConnector,
    most: usize,
    idle: Mutex<Idle>,
}

#[derive(Default)]
struct Idle {
    /// The oldest first.
    connections: VecDeque<(Instant, Connection)>,
    /// Whether a task closes those that wait for too long.
    is_closing: bool,
}

impl Connections {
    /// Returns a set of at most so many connections that wait.
    pub(super) fn new(tls: ClientConfig, most: usize) -> Self {
        Self { tls: TlsConnector::from(Arc::new(tls)), most, idle: Mutex::default() }
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.connections.retain(|(since, connection)| since.elapsed() < IDLE && !connection.sender.is_closed());
        idle
    }

    /// Takes a connection to this host that waits for a message.
    pub(super) fn take(&self, host: &Host) -> Option<Connection> {
        let mut idle = self.idle();
        let place = idle.connections.iter().rposition(|(_, connection)| connection.host == *host)?;
        idle.connections.remove(place).map(|(_, connection)| connection)
    }

    /// Keeps a connection for the next message, unless there are too many.
    pub(super) fn keep(self: &Arc<Self>, connection: Connection) {
        let mut idle = self.idle();
        if !std::mem::replace(&mut idle.is_closing, true) {
            let there = Arc::clone(self);
            tokio::spawn(async move { there.close_idle().await });
        }
        if idle.connections.len() >= self.most {
            idle.connections.pop_front();
        }
        if self.most > 0 {
            idle.connections.push_back((Instant::now(), connection));
        }
    }

    /// Closes connections that wait for too long, until none waits.
    async fn close_idle(&self) {
        loop {
            tokio::time::sleep(IDLE).await;
            let mut idle = self.idle();
            if idle.connections.is_empty() {
                idle.is_closing = false;
                return;
            }
        }
    }

    /// Opens a connection to the first address that accepts one.
    ///
    /// # Errors
    /// None does, or TLS fails. The text names no address.
    pub(super) async fn open(&self, host: Host, addresses: &[SocketAddr]) -> Result<Connection, &'static str> {
        let mut why = "the host has no address";
        for address in addresses {
            match timeout(CONNECT, self.open_one(&host, *address)).await {
                Ok(Ok(sender)) => return Ok(Connection { host, sender }),
                Ok(Err(wrong)) => why = wrong,
                Err(_) => why = "the host cannot be reached in time",
            }
        }
        Err(why)
    }

    async fn open_one(&self, host: &Host, address: SocketAddr) -> Result<SendRequest<Body>, &'static str> {
        let stream = TcpStream::connect(address).await.map_err(|error| match error.kind() {
            std::io::ErrorKind::ConnectionRefused => "the connection was refused",
            _ => "the host cannot be reached",
        })?;
        // If it fails, messages only take longer.
        let _ = stream.set_nodelay(true);
        if !host.is_secured {
            return begin(stream).await;
        }
        let name = ServerName::try_from(host.name.clone()).map_err(|_| "the host has no valid name")?;
        let secured = self.tls.connect(name, stream).await;
        begin(secured.map_err(|_| "the TLS connection failed, or the certificate is not trusted")?).await
    }
}

async fn begin(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
) -> Result<SendRequest<Body>, &'static str> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(|_| "the connection was closed")?;
    // Its errors reach the message that is under way.
    tokio::spawn(async move { _ = connection.await });
    Ok(sender)
}

/// Why a message has no answer.
pub(super) enum NoAnswer {
    /// The connection was closed before the message was sent: a receiver may close one that waits at any time.
    Unsent,
    /// The connection was closed, or the answer is not HTTP.
    Failed,
}

impl Connection {
    /// Sends a request.
    pub(super) async fn send(&mut self, request: Request<Body>) -> Result<Response<Incoming>, NoAnswer> {
        self.sender.ready().await.map_err(|_| NoAnswer::Unsent)?;
        let sent = self.sender.try_send_request(request).await;
        sent.map_err(|mut error| if error.take_message().is_some() { NoAnswer::Unsent } else { NoAnswer::Failed })
    }

    /// Returns whether another message can follow.
    pub(super) async fn is_ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }
}
