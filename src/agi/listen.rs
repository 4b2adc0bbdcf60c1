//! Accepts FastAGI connections and serves one call on each. Their number, size and duration are bounded.

use super::request::{MAX_BYTES, Request};
use super::{Door, escaped};
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

/// How long the listener waits after a failed accept, for example when the system has no free file descriptor or no
/// memory.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// Limits of the AGI listener's connections.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct AgiLimits {
    /// The number of simultaneous connections. The default is 1,024, a quarter of them from one source.
    pub connections: Budget,
    /// The longest duration of a connection, from its first byte to its end. The default is five seconds.
    pub max_duration: Duration,
}

impl Default for AgiLimits {
    fn default() -> Self {
        Self { connections: Budget::of(1024), max_duration: Duration::from_secs(5) }
    }
}

/// A TCP listener for FastAGI.
#[derive(Debug)]
pub struct AgiListener(TcpListener);

impl AgiListener {
    /// Binds the listener to `address`.
    ///
    /// # Errors
    /// The operating system's error.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self)
    }

    /// Returns the address that the listener is bound to.
    ///
    /// # Errors
    /// The operating system's error.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Accepts and serves connections until `stop` changes or its sender is dropped. Connections that are open at
    /// that time are still served to their end.
    pub async fn serve(self, door: Arc<Door>, limits: AgiLimits, mut stop: watch::Receiver<()>) {
        let admission = Admission::new(limits.connections);
        loop {
            let accepted = tokio::select! {
                accepted = self.0.accept() => accepted,
                _ = stop.changed() => return,
            };
            match accepted {
                Ok((_, from)) if !door.trusts(from.ip()) => {
                    debug!("rejected an AGI connection from an untrusted address");
                }
                Ok((stream, from)) => {
                    let door = Arc::clone(&door);
                    let serve = move |place| serve(door, stream, place, limits.max_duration);
                    admission.arrive(from.ip()).await.serve(serve);
                }
                Err(error) => {
                    warn!(%error, "cannot accept an AGI connection");
                    tokio::time::sleep(EXHAUSTED).await;
                }
            }
        }
    }
}

async fn serve(door: Arc<Door>, stream: TcpStream, place: Place, max_duration: Duration) {
    let talk = timeout(max_duration, talk(&door, stream, &place));
    tokio::select! {
        ended = talk => match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!(%error, "an AGI connection ended early"),
            Err(_) => debug!("an AGI connection took too long"),
        },
        () = place.closing() => debug!("closed an idle AGI connection for a new one"),
    }
}

/// Serves one call: reads the channel's variables up to an empty line, then sends each command and reads its result
/// line.
async fn talk(door: &Door, mut stream: TcpStream, place: &Place) -> io::Result<()> {
    // Each command is written in one piece, so delaying it to collect more data gains nothing.
    let _ = stream.set_nodelay(true);
    let (read, mut write) = stream.split();
    let mut read = BufReader::new(read.take(MAX_BYTES as u64));
    let mut head = String::new();
    loop {
        // A caller's name can be in any encoding.
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
    let Some(variables) = door.answer(&request).await else { return Ok(()) };
    for (name, value) in variables {
        write.write_all(format!("SET VARIABLE {name} \"{}\"\n", escaped(&value)).as_bytes()).await?;
        let mut answer = String::new();
        read.read_line(&mut answer).await?;
        // Any other result means that the channel was hung up or does not know the command.
        if !answer.starts_with("200 result=1") {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
    }
    Ok(())
}
