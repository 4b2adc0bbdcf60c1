//! The SIP listener: UDP and TCP on one address.

use super::connection;
use super::stream::MAX_MESSAGE;
use super::{Door, Handled, Outgoing, Transport};
use crate::admission::Budget;
use crate::metrics::SipEvent;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tracing::debug;

/// How often binding is tried when the port is 0, since a free TCP port may be in use for UDP.
const TRIES: u32 = 20;

/// Limits of the SIP listener's TCP connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SipLimits {
    /// The number of simultaneous connections on each address. The default is 4,096, a quarter of them from one source.
    pub connections: Budget,
    /// How long a connection may be idle. The default is ten minutes. Gateways that keep a connection open send
    /// something every two minutes.
    pub idle: Duration,
    /// The longest time from a message's first byte to its last, and the longest time that a response may stay
    /// unread. The default is ten seconds.
    pub message_timeout: Duration,
}

impl Default for SipLimits {
    fn default() -> Self {
        Self { connections: Budget::of(4096), idle: Duration::from_secs(600), message_timeout: Duration::from_secs(10) }
    }
}

/// A UDP socket and a TCP listener on the same address and port.
#[derive(Debug)]
pub struct SipListener {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl SipListener {
    /// Binds the UDP socket and the TCP listener. Port 0 selects a port that is free for both.
    ///
    /// # Errors
    /// The operating system's error.
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

    /// Returns the address that the listener is bound to.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Answers messages until `stop` changes or its sender is dropped. Then closes all connections.
    pub async fn serve(self, door: Arc<Door>, limits: SipLimits, stop: watch::Receiver<()>) {
        let udp = Arc::new(self.udp);
        tokio::join!(datagrams(&udp, &door, stop.clone()), connection::accept(self.tcp, &door, limits, stop));
    }
}

async fn datagrams(socket: &Arc<UdpSocket>, door: &Arc<Door>, mut stop: watch::Receiver<()>) {
    let mut packet = vec![0; MAX_MESSAGE];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut packet) => received,
            _ = stop.changed() => return,
        };
        let (length, from) = match received {
            Ok(received) => received,
            Err(error) => {
                // On some systems, an undeliverable response is reported as an error of the next read.
                debug!(%error, "cannot receive a datagram");
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
        match door.handle(&packet[..length], from, Transport::Udp) {
            Handled::Done(None) => {}
            Handled::Done(Some(answer)) => send(socket, door, &answer).await,
            Handled::Reading(unfinished, call) => {
                // The next datagram does not wait for this read. There are at most as many of these tasks as reads, because
                // a read that does not begin ends at once.
                let (socket, door) = (Arc::clone(socket), Arc::clone(door));
                tokio::spawn(async move {
                    let answer = door.finish(unfinished, call).await;
                    send(&socket, &door, &answer).await;
                });
            }
        }
    }
}

async fn send(socket: &UdpSocket, door: &Door, answer: &Outgoing) {
    if socket.send_to(&answer.bytes, answer.to).await.is_err() {
        door.counts().count(SipEvent::NotSent);
    }
}
