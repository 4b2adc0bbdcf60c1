//! Connections: one call each, bounded in number, size and time.

use super::Door;
use super::request::{MAX_BYTES, Request};
use crate::admission::{Admission, Budget, Place};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::{debug, warn};

/// How long nobody is let in where the system has no more descriptors, or no memory.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// What connections may cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Limits {
    /// Connections at a time. 1,024, and a quarter of them from one source, unless set.
    pub connections: Budget,
    /// How long a connection may take from its first byte to the end. Five seconds unless set.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: Budget::of(1024), patience: Duration::from_secs(5) }
    }
}

/// A listener.
#[derive(Debug)]
pub struct Ears(TcpListener);

impl Ears {
    /// # Errors
    /// What the operating system says.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self)
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Answers until `stop` changes or its sender is gone. Calls that are being answered then have their answer.
    pub async fn serve(self, door: Arc<Door>, limits: Limits, mut stop: watch::Receiver<()>) {
        let admission = Admission::new(limits.connections);
        loop {
            let accepted = tokio::select! {
                accepted = self.0.accept() => accepted,
                _ = stop.changed() => return,
            };
            match accepted {
                Ok((_, from)) if !door.trusts(from.ip()) => debug!("an AGI connection from a stranger"),
                Ok((stream, from)) => {
                    let Some(place) = admission.admit(from.ip()).await else { continue };
                    tokio::spawn(serve(Arc::clone(&door), stream, place, limits.patience));
                }
                Err(error) => {
                    warn!(%error, "cannot take an AGI connection");
                    tokio::time::sleep(EXHAUSTED).await;
                }
            }
        }
    }
}

async fn serve(door: Arc<Door>, stream: TcpStream, place: Place, patience: Duration) {
    let talk = timeout(patience, talk(&door, stream, &place));
    tokio::select! {
        ended = talk => match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "an AGI connection ended early"),
            Err(_) => debug!("an AGI connection took too long"),
        },
        () = place.closing() => debug!("a silent AGI connection was closed for another"),
    }
}

/// One call: its variables, an empty line, then a command of ours and a line of theirs in turns.
async fn talk(door: &Door, mut stream: TcpStream, place: &Place) -> io::Result<()> {
    // A command is written whole: there is nothing to wait for.
    let _ = stream.set_nodelay(true);
    let (read, mut write) = stream.split();
    let mut read = BufReader::new(read.take(MAX_BYTES as u64));
    let mut head = String::new();
    loop {
        // A caller's name comes in whatever encoding the caller has.
        let mut line = Vec::new();
        if read.read_until(b'\n', &mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        match String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']) {
            "" => break,
            line => {
                head.push_str(line);
                head.push('\n');
            }
        }
    }
    if !place.begin() {
        return Err(io::ErrorKind::ConnectionAborted.into());
    }
    let request = Request::read(&head).ok_or(io::ErrorKind::InvalidData)?;
    let Some(variables) = door.answer(&request) else { return Ok(()) };
    for (name, value) in variables {
        // None of the values can hold a quote, a backslash or a line's end: see AddressTemplate, and the rest are names and identities.
        write.write_all(format!("SET VARIABLE {name} \"{value}\"\n").as_bytes()).await?;
        let mut answer = String::new();
        read.read_line(&mut answer).await?;
        // Anything else is a channel that was hung up, or one that does not know the command.
        if !answer.starts_with("200 result=1") {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
    }
    Ok(())
}
