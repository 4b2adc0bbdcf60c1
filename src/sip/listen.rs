//! Bytes in, bytes out: UDP and TCP on one address.

use super::Door;
use super::stream::{Frame, MAX_MESSAGE};
use crate::metrics::SipEvent;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use tracing::{debug, warn};

/// How long nobody is let in where the system has no more descriptors, or no memory.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Room for the next read: most messages come whole in one, and an idle connection keeps no more.
const READ: usize = 2048;

/// How often a free port is tried that must be free for both.
const TRIES: u32 = 20;

/// What connections may cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at a time on each address; others wait. 4,096 unless set.
    pub connections: usize,
    /// How long a connection may be silent. Ten minutes unless set: gateways that keep one open say something every two.
    pub idle: Duration,
    /// How long a message may take from its first byte to its last, and how long an answer may go unread. Ten seconds unless set.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 4096, idle: Duration::from_secs(600), patience: Duration::from_secs(10) }
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
        let places = Arc::new(Semaphore::new(limits.connections));
        tokio::join!(
            datagrams(&self.udp, &door, stop.clone()),
            connections(self.tcp, door.clone(), limits, places, stop)
        );
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

async fn connections(
    listener: TcpListener,
    door: Arc<Door>,
    limits: Limits,
    places: Arc<Semaphore>,
    mut stop: watch::Receiver<()>,
) {
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("never closed");
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            next = next => next,
            _ = stop.changed() => return,
        };
        match accepted {
            Ok((_, from)) if !door.trusts(from.ip()) => door.counts().count(SipEvent::Stranger),
            Ok((stream, from)) => {
                let connection = Connection { door: Arc::clone(&door), from, limits };
                tokio::spawn(connection.run(stream, place, stop.clone()));
            }
            Err(error) => {
                warn!(%error, "cannot take a SIP connection");
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
}

struct Connection {
    door: Arc<Door>,
    from: SocketAddr,
    limits: Limits,
}

/// Why a connection ends.
enum End {
    /// The other side has closed it, or it broke.
    Gone,
    /// For this.
    Counted(SipEvent),
    /// The message before was the last that can be made out.
    Lost,
}

impl Connection {
    async fn run(self, mut stream: TcpStream, place: OwnedSemaphorePermit, mut stop: watch::Receiver<()>) {
        let _ = stream.set_nodelay(true);
        self.door.counts().count(SipEvent::Connected);
        self.door.counts().open();
        let end = tokio::select! {
            end = self.talk(&mut stream) => end,
            _ = stop.changed() => End::Lost,
        };
        if let End::Counted(event) = end {
            self.door.counts().count(event);
        }
        self.door.counts().close();
        drop(place);
    }

    async fn talk(&self, stream: &mut TcpStream) -> End {
        let (mut received, mut seen) = (Vec::new(), 0);
        loop {
            let end = self.answer_all(stream, &mut received, &mut seen).await;
            if let Some(end) = end {
                return end;
            }
            if let Err(end) = self.read(stream, &mut received, &mut seen).await {
                return end;
            }
        }
    }

    /// Reads until there is something whole. What is begun must be finished in time, however it trickles.
    async fn read(&self, stream: &mut TcpStream, received: &mut Vec<u8>, seen: &mut usize) -> Result<(), End> {
        received.reserve(READ);
        if received.is_empty() {
            let first = timeout(self.limits.idle, stream.read_buf(received)).await;
            read(&first.map_err(|_| End::Counted(SipEvent::Idle))?)?;
        }
        let rest = async {
            while Frame::of(received, seen) == Frame::Partial {
                received.reserve(READ);
                read(&stream.read_buf(received).await)?;
            }
            Ok(())
        };
        timeout(self.limits.patience, rest).await.unwrap_or(Err(End::Counted(SipEvent::Slow)))
    }

    /// Answers every message that is there whole, and leaves the rest.
    async fn answer_all(&self, stream: &mut TcpStream, received: &mut Vec<u8>, seen: &mut usize) -> Option<End> {
        let mut done = 0;
        let mut answers = Vec::new();
        let mut end = None;
        while end.is_none() {
            let rest = &received[done..];
            let length = match Frame::of(rest, seen) {
                Frame::Partial => break,
                Frame::Blank(length) => length,
                Frame::Ping => {
                    self.door.counts().count(SipEvent::KeepAlive);
                    answers.extend_from_slice(b"\r\n");
                    4
                }
                Frame::Message(length) => {
                    self.answer(&rest[..length], &mut answers);
                    length
                }
                Frame::Lost(length) => {
                    self.answer(&rest[..length], &mut answers);
                    end = Some(End::Lost);
                    length
                }
                Frame::TooLarge => {
                    end = Some(End::Counted(SipEvent::TooLarge));
                    0
                }
            };
            done += length;
            *seen = 0;
        }
        received.drain(..done);
        received.shrink_to(READ);
        if !answers.is_empty() {
            match timeout(self.limits.patience, stream.write_all(&answers)).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Some(End::Gone),
                Err(_) => return Some(End::Counted(SipEvent::Slow)),
            }
        }
        end
    }

    fn answer(&self, message: &[u8], answers: &mut Vec<u8>) {
        if let Some(answer) = self.door.answer(message, self.from) {
            answers.extend_from_slice(&answer.bytes);
        }
    }
}

fn read(result: &io::Result<usize>) -> Result<(), End> {
    match result {
        Ok(1..) => Ok(()),
        Ok(0) | Err(_) => Err(End::Gone),
    }
}
