//! Accepts SIP connections, bounded in number and time, and answers their messages. A message that needs the read of a call
//! delays no other: its response is sent when the read has ended.

use super::stream::Frame;
use super::{Door, Handled, Outgoing, SipLimits, Transport};
use crate::admission::{Admission, Place};
use crate::metrics::SipEvent;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tracing::warn;

/// How long the listener waits after a failed accept, for example when the system has no free file descriptor or no
/// memory.
const EXHAUSTED: Duration = Duration::from_millis(100);

/// The buffer space for the next read. Most messages arrive in one read, and an idle connection keeps no more than
/// this.
const READ: usize = 2048;

/// How long the second half of a keep-alive may take after the first.
const HALF_PING: Duration = Duration::from_millis(500);

/// Accepts connections until `stop` changes.
pub(super) async fn accept(listener: TcpListener, door: &Arc<Door>, limits: SipLimits, mut stop: watch::Receiver<()>) {
    let admission = Admission::new(limits.connections);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.changed() => return,
        };
        match accepted {
            Ok((_, from)) if !door.trusts(from.ip()) => door.counts().count(SipEvent::Stranger),
            Ok((stream, from)) => {
                let connection = Connection { door: Arc::clone(door), from, limits };
                let stop = stop.clone();
                admission.arrive(from.ip()).await.serve(move |place| connection.run(stream, place, stop));
            }
            Err(error) => {
                warn!(%error, "cannot accept a SIP connection");
                tokio::time::sleep(EXHAUSTED).await;
            }
        }
    }
}

struct Connection {
    door: Arc<Door>,
    from: SocketAddr,
    limits: SipLimits,
}

/// The reason why a connection ends.
enum End {
    /// The peer closed the connection, or the connection broke.
    Gone,
    /// The event is counted and the connection is closed.
    Counted(SipEvent),
    /// The end of the next message cannot be found, so nothing after the last message can be read.
    Lost,
}

impl Connection {
    async fn run(self, mut stream: TcpStream, place: Place, mut stop: watch::Receiver<()>) {
        let _ = stream.set_nodelay(true);
        self.door.counts().count(SipEvent::Connected);
        self.door.counts().open();
        let end = tokio::select! {
            end = self.talk(&mut stream, &place) => end,
            () = place.closing() => End::Counted(SipEvent::Idle),
            _ = stop.changed() => End::Lost,
        };
        if let End::Counted(event) = end {
            self.door.counts().count(event);
        }
        self.door.counts().close();
        drop(place);
    }

    async fn talk(&self, stream: &mut TcpStream, place: &Place) -> End {
        let (mut received, mut seen) = (Vec::new(), 0);
        // At most as many of these tasks wait as there are reads, because a read that does not begin ends at once.
        let mut reading = JoinSet::new();
        loop {
            if !received.is_empty() {
                if !place.begin() {
                    return End::Counted(SipEvent::Idle);
                }
                let (answers, end) = self.handle_all(&mut received, &mut seen, &mut reading);
                if let Err(end) = self.write(stream, &answers).await {
                    return end;
                }
                if let Some(end) = end {
                    return self.finish(stream, reading, end).await;
                }
                // Trusted by its address, and it has said something: it goes after those that have not.
                place.identify();
            }
            if reading.is_empty() {
                place.idle();
            }
            tokio::select! {
                biased;
                Some(answer) = reading.join_next() => {
                    if let Err(end) = self.write(stream, bytes(&answer)).await {
                        return end;
                    }
                }
                result = self.read(stream, &mut received, &mut seen) => match result {
                    Ok(()) => {}
                    Err(end) => return self.finish(stream, reading, end).await,
                },
            }
        }
    }

    /// Sends the responses whose calls are being read, and returns the reason why the connection ends. The peer may have
    /// closed its half only.
    async fn finish(&self, stream: &mut TcpStream, mut reading: JoinSet<Outgoing>, end: End) -> End {
        while let Some(answer) = reading.join_next().await {
            if let Err(end) = self.write(stream, bytes(&answer)).await {
                return end;
            }
        }
        end
    }

    /// Reads until a complete message is buffered. A message that has begun must be complete within the time limit. A
    /// line end is dropped unless the rest of a keep-alive follows at once.
    async fn read(&self, stream: &mut TcpStream, received: &mut Vec<u8>, seen: &mut usize) -> Result<(), End> {
        while received.is_empty() || Frame::of(received, seen) == Frame::LineEnd {
            received.reserve(READ);
            let limit = if received.is_empty() { self.limits.idle } else { HALF_PING };
            match timeout(limit, stream.read_buf(received)).await {
                Ok(result) => read(&result)?,
                Err(_) if received.is_empty() => return Err(End::Counted(SipEvent::Idle)),
                Err(_) => received.clear(),
            }
        }
        let rest = async {
            while Frame::of(received, seen) == Frame::Partial {
                received.reserve(READ);
                read(&stream.read_buf(received).await)?;
            }
            Ok(())
        };
        timeout(self.limits.message_timeout, rest).await.unwrap_or(Err(End::Counted(SipEvent::Slow)))
    }

    /// Handles each complete message in the buffer and leaves the rest. Returns the responses that are complete, and adds a
    /// task to `reading` for each of the others.
    fn handle_all(
        &self,
        received: &mut Vec<u8>,
        seen: &mut usize,
        reading: &mut JoinSet<Outgoing>,
    ) -> (Vec<u8>, Option<End>) {
        let mut done = 0;
        let mut answers = Vec::new();
        let mut end = None;
        while end.is_none() {
            let rest = &received[done..];
            let length = match Frame::of(rest, seen) {
                Frame::Partial | Frame::LineEnd => break,
                Frame::Blank(length) => length,
                Frame::Ping => {
                    self.door.counts().count(SipEvent::KeepAlive);
                    answers.extend_from_slice(b"\r\n");
                    4
                }
                Frame::Message(length) => {
                    self.handle(&rest[..length], &mut answers, reading);
                    length
                }
                Frame::Lost(length) => {
                    self.handle(&rest[..length], &mut answers, reading);
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
        (answers, end)
    }

    fn handle(&self, message: &[u8], answers: &mut Vec<u8>, reading: &mut JoinSet<Outgoing>) {
        match self.door.handle(message, self.from, Transport::Tcp) {
            Handled::Done(None) => {}
            Handled::Done(Some(answer)) => answers.extend_from_slice(&answer.bytes),
            Handled::Reading(unfinished, call) => {
                let door = Arc::clone(&self.door);
                reading.spawn(async move { door.finish(unfinished, call).await });
            }
        }
    }

    async fn write(&self, stream: &mut TcpStream, answers: &[u8]) -> Result<(), End> {
        match timeout(self.limits.message_timeout, stream.write_all(answers)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => Err(End::Counted(SipEvent::Slow)),
        }
    }
}

/// Returns the bytes of a response, or none if its task panicked.
fn bytes(answer: &Result<Outgoing, JoinError>) -> &[u8] {
    answer.as_ref().map_or(&[], |answer| &answer.bytes)
}

fn read(result: &io::Result<usize>) -> Result<(), End> {
    match result {
        Ok(1..) => Ok(()),
        Ok(0) | Err(_) => Err(End::Gone),
    }
}
