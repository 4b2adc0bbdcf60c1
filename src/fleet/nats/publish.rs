//! Publishes messages: many at once, but never more than the client can hold.

use super::bounds;
use super::connection::IN_FLIGHT;
use super::core::Core;
use super::error::{away, engine, publishing, sending};
use super::inbox::{Inbox, of_stream};
use crate::fleet::{Position, StreamError, Subject};
use crate::sync::Ordering;
use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::{HeaderMap, Message};
use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::{FutureExt, StreamExt};
use std::future::{Future, IntoFuture};
use std::pin::{Pin, pin};
use std::time::Duration;
use tokio::time::timeout;

/// The maximum number of unacknowledged messages of one call. Several calls can run at once, and none waits for permits
/// while it holds others.
const WINDOW: usize = IN_FLIGHT / 2;
/// The maximum number of bytes of those messages, apart from a single longer message. A configuration waits behind them, and a message is
/// made when it can be sent.
const WINDOW_BYTES: usize = 4 << 20;

/// How long the server may take to order a configuration, with all that precedes its publication.
const ORDERING: Duration = Duration::from_secs(2);

/// The messages of one call. Each is made when it is sent.
pub(super) type Messages<'a> = dyn ExactSizeIterator<Item = (Subject, Bytes)> + 'a;

pub(super) async fn publish(core: &Core, messages: &mut Messages<'_>) -> Result<Position, StreamError> {
    if messages.len() == 0 {
        return Ok(bounds::bounds(core).await?.last);
    }
    settle(core, send(core, messages).await)
}

async fn send(core: &Core, messages: &mut Messages<'_>) -> Result<Position, StreamError> {
    let patience = core.connection.options.patience;
    let generation = in_time(patience, core.prepared()).await?.generation;
    let window = messages.len().min(WINDOW);
    // All permits of the call at once. Calls that each held some and waited for more would deadlock.
    let permits = core.permits.acquire_many(u32::try_from(window).expect("a small bound"));
    let permits = timeout(patience, permits).await;
    let _permits = permits.map_err(|_| away("too many messages are waiting for an acknowledgement"))?;
    let inbox = in_time(patience, core.inbox()).await?;
    let lost = Box::pin(core.connection.lost(generation));
    let mut under_way = UnderWay { core, inbox, lost, last: Position::START };
    for (subject, message) in messages {
        while under_way.inbox.waiting() >= window || under_way.inbox.bytes() >= WINDOW_BYTES {
            under_way.acknowledged().await?;
        }
        let reply = under_way.inbox.next(message.len());
        // The client waits here if messages for a lost connection fill its buffer.
        let sent = core.connection.client.publish_with_reply(name(core, subject)?, reply, message);
        in_time(patience, sent.map(|sent| sent.map_err(|error| sending(&error)))).await?;
    }
    while under_way.inbox.waiting() > 0 {
        under_way.acknowledged().await?;
    }
    // After an error, acknowledgements may still arrive. The inbox is then dropped with the call.
    core.keep_inbox(under_way.inbox);
    Ok(under_way.last)
}

pub(super) async fn publish_after(
    core: &Core,
    subject: Subject,
    message: &[u8],
    last: Position,
) -> Result<Position, StreamError> {
    let at_most = ORDERING.min(core.connection.options.patience);
    settle(core, in_time(at_most, send_after(core, subject, message, last)).await)
}

async fn send_after(core: &Core, subject: Subject, message: &[u8], last: Position) -> Result<Position, StreamError> {
    let generation = core.prepared().await?.generation;
    if generation != core.seen.load(Ordering::Relaxed) {
        return Err(StreamError::Unseen);
    }
    let mut headers = HeaderMap::new();
    headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, last.to_string());
    let payload = Bytes::copy_from_slice(message);
    let sent = core.connection.context.publish_with_headers(name(core, subject)?, headers, payload).await;
    let acknowledgement = sent.map_err(|error| publishing(&error))?.into_future();
    match select(acknowledgement, pin!(core.connection.lost(generation))).await {
        Either::Left((acknowledgement, _)) => {
            let acknowledgement = acknowledgement.map_err(|error| publishing(&error))?;
            of_stream(&acknowledgement.stream, &core.connection.options.stream)?;
            Ok(Position(acknowledgement.sequence))
        }
        Either::Right(_) => Err(lost()),
    }
}

async fn in_time<T>(at_most: Duration, work: impl Future<Output = Result<T, StreamError>>) -> Result<T, StreamError> {
    timeout(at_most, work).await.unwrap_or_else(|_| Err(away("the server did not answer in time")))
}

fn name(core: &Core, subject: Subject) -> Result<async_nats::Subject, StreamError> {
    core.connection
        .subjects
        .name(subject)
        .ok_or_else(|| engine("the partition does not exist: use the same number of partitions on all nodes"))
}

fn lost() -> StreamError {
    away("the connection was lost before the server acknowledged")
}

/// A call whose messages wait for acknowledgements.
struct UnderWay<'a, Lost> {
    core: &'a Core,
    inbox: Inbox,
    /// Completes when the connection is lost: outstanding acknowledgements then never arrive.
    lost: Pin<Box<Lost>>,
    /// The last position that was acknowledged.
    last: Position,
}

impl<Lost: Future<Output = ()>> UnderWay<'_, Lost> {
    /// Takes the next acknowledgement.
    async fn acknowledged(&mut self) -> Result<(), StreamError> {
        let message = match self.inbox.acknowledgements.next().now_or_never().flatten() {
            None => self.arrived().await?,
            Some(message) => message,
        };
        self.last = self.last.max(self.inbox.take(&message, &self.core.connection.options.stream)?);
        Ok(())
    }

    /// Waits until an acknowledgement arrives.
    async fn arrived(&mut self) -> Result<Message, StreamError> {
        let next = select(self.inbox.acknowledgements.next(), self.lost.as_mut());
        match timeout(self.core.connection.options.patience, next).await {
            Ok(Either::Left((message, _))) => message.ok_or_else(|| away("the client has stopped")),
            Ok(Either::Right(_)) => Err(lost()),
            Err(_) => Err(away("the server did not acknowledge in time")),
        }
    }
}

/// Looks up the stream again next time if the call failed: a deleted stream's subjects get no answer.
fn settle(core: &Core, done: Result<Position, StreamError>) -> Result<Position, StreamError> {
    if matches!(done, Err(StreamError::Away(_))) {
        core.doubt();
    }
    done
}
