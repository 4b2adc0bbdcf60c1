//! Bytes in, bytes out: UDP and TCP on one address.

use super::Door;
use super::connection;
use super::stream::MAX_MESSAGE;
use crate::admission::Budget;
use crate::metrics::SipEvent;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tracing::debug;

/// How often a free port is tried that must be free for both.
const TRIES: u32 = 20;

/// What connections may cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at a time on each address. 4,096, and a quarter of them from one source, unless set.
    pub connections: Budget,
    /// How long a connection may be silent. Ten minutes unless set: gateways that keep one open say something every two.
    pub idle: Duration,
    /// How long a message may take from its first byte to its last, and how long an answer may go unread. Ten seconds unless set.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: Budget::of(4096), idle: Duration::from_secs(600), patience: Duration::from_secs(10) }
    }
}

/// A UDP socket and a TCP listener on the same address and port.
#[derive(Debug)]
pub struct Ears {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Ears {
    /// Port 0 takes one that is free for both.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let mut tries = if address.port() == 0 { TRIES } else { 1 };
        loop {
            let tcp = TcpListener::bind(address).await?;
            tries -= 1;
            match UdpSocket::bind(tcp.local_addr()?).await {
                Ok(udp) => return Ok(Self { udp, tcp }),
                Err(error) if tries == 0 => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Answers until `stop` changes or its sender is gone; then connections are closed.
    pub async fn serve(self, door: Arc<Door>, limits: Limits, stop: watch::Receiver<()>) {
        tokio::join!(datagrams(&self.udp, &door, stop.clone()), connection::take(self.tcp, &door, limits, stop));
    }
}

async fn datagrams(socket: &UdpSocket, door: &Door, mut stop: watch::Receiver<()>) {
    let mut packet = vec![0; MAX_MESSAGE];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut packet) => received,
            _ = stop.changed() => return,
        };
        let (length, from) = match received {
            Ok(received) => received,
            Err(error) => {
                // An answer that nobody took comes back as an error of the next read on some systems.
                debug!(%error, "no datagram");
                tokio::task::yield_now().await;
                continue;
            }
        };
        if !door.trusts(from.ip()) {
            door.counts().count(SipEvent::Stranger);
            continue;
        }
        if packet[..length].iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            door.counts().count(SipEvent::KeepAlive);
            continue;
        }
        let Some(answer) = door.answer(&packet[..length], from) else { continue };
        if socket.send_to(&answer.bytes, answer.to).await.is_err() {
            door.counts().count(SipEvent::NotSent);
        }
    }
}
