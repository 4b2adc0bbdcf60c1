//! Publishes messages: many at once, but never more than the client can hold.

use super::bounds;
use super::connection::IN_FLIGHT;
use super::core::Core;
use super::error::{away, engine, publishing};
use crate::fleet::{Position, StreamError, Subject};
use crate::sync::Ordering;
use async_nats::HeaderMap;
use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::jetstream::context::PublishAckFuture;
use bytes::Bytes;
use futures_util::future::{Either, select};
use std::collections::VecDeque;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Duration;
use tokio::time::timeout;

/// The maximum number of unacknowledged messages of one call. Several calls can run at once, and none waits for permits
/// while it holds others.
const WINDOW: usize = IN_FLIGHT / 4;

/// How long the server may take to order a configuration, with all that precedes its publication.
const ORDERING: Duration = Duration::from_secs(2);

pub(super) async fn publish(core: &Core, messages: &[(Subject, Vec<u8>)]) -> Result<Position, StreamError> {
    if messages.is_empty() {
        return Ok(bounds::bounds(core).await?.last);
    }
    settle(core, send(core, messages).await)
}

async fn send(core: &Core, messages: &[(Subject, Vec<u8>)]) -> Result<Position, StreamError> {
    let patience = core.connection.options.patience;
    let generation = in_time(patience, core.prepared()).await?.generation;
    let window = messages.len().min(WINDOW);
    // All permits of the call at once. Calls that each held some and waited for more would deadlock.
    let permits = core.permits.acquire_many(u32::try_from(window).expect("a small bound"));
    let permits = timeout(patience, permits).await;
    let _permits = permits.map_err(|_| away("too many messages are waiting for an acknowledgement"))?;
    let mut under_way =
        UnderWay { core, waiting: VecDeque::with_capacity(window), lost: Box::pin(core.connection.lost(generation)) };
    let mut last = Position::START;
    for (subject, message) in messages {
        if under_way.waiting.len() == window {
            last = last.max(under_way.acknowledged().await?);
        }
        // The client waits here if messages for a lost connection fill its buffer.
        let sent = core.connection.context.publish(name(core, *subject)?, Bytes::copy_from_slice(message));
        let sent = in_time(patience, async { sent.await.map_err(|error| publishing(&error)) }).await?;
        under_way.waiting.push_back(sent);
    }
    while !under_way.waiting.is_empty() {
        last = last.max(under_way.acknowledged().await?);
    }
    Ok(last)
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
    let waiting = VecDeque::from([sent.map_err(|error| publishing(&error))?]);
    let mut under_way = UnderWay { core, waiting, lost: Box::pin(core.connection.lost(generation)) };
    under_way.acknowledged().await
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

/// Messages that were sent and not yet acknowledged, oldest first.
struct UnderWay<'a, Lost> {
    core: &'a Core,
    waiting: VecDeque<PublishAckFuture>,
    /// Completes when the connection is lost: outstanding acknowledgements then never arrive.
    lost: Pin<Box<Lost>>,
}

impl<Lost: Future<Output = ()>> UnderWay<'_, Lost> {
    async fn acknowledged(&mut self) -> Result<Position, StreamError> {
        let Some(oldest) = self.waiting.pop_front() else { return Ok(Position::START) };
        let acknowledgement = match select(oldest.into_future(), self.lost.as_mut()).await {
            Either::Left((acknowledgement, _)) => acknowledgement.map_err(|error| publishing(&error))?,
            Either::Right(_) => return Err(away("the connection was lost before the server acknowledged")),
        };
        if acknowledgement.stream != self.core.connection.options.stream {
            return Err(engine(format_args!(
                "another stream, {}, receives this fleet's subjects: choose another prefix",
                acknowledgement.stream
            )));
        }
        Ok(Position(acknowledgement.sequence))
    }
}

/// Looks up the stream again next time if the call failed: a deleted stream's subjects get no answer.
fn settle(core: &Core, done: Result<Position, StreamError>) -> Result<Position, StreamError> {
    if matches!(done, Err(StreamError::Away(_))) {
        core.doubt();
    }
    done
}
