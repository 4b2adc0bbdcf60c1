//! Messages on their way to the server: many under way at once, never more than the client can hold.

use super::bounds;
use super::core::{Core, IN_FLIGHT};
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

/// How many one call has under way. Some calls can be under way at once, and none holds a part of what another waits for.
const WINDOW: usize = IN_FLIGHT / 4;

/// How long the server may take to order one message: everything that a node commits waits behind it.
const ORDERING: Duration = Duration::from_secs(2);

pub(super) async fn publish(core: &Core, messages: &[(Subject, Vec<u8>)]) -> Result<Position, StreamError> {
    if messages.is_empty() {
        return Ok(bounds::bounds(core).await?.last);
    }
    settle(core, send(core, messages).await).await
}

async fn send(core: &Core, messages: &[(Subject, Vec<u8>)]) -> Result<Position, StreamError> {
    let generation = core.prepared().await?.generation;
    let window = messages.len().min(WINDOW);
    // All that this call will ever hold, at once: calls that each held some and waited for more would wait for ever.
    let permits = core.permits.acquire_many(u32::try_from(window).expect("a small bound"));
    let permits = timeout(core.options.patience, permits).await;
    let _permits = permits.map_err(|_| away("too much is under way"))?;
    let mut under_way =
        UnderWay { core, waiting: VecDeque::with_capacity(window), lost: Box::pin(core.lost(generation)) };
    let mut last = Position::START;
    for (subject, message) in messages {
        if under_way.waiting.len() == window {
            last = last.max(under_way.acknowledged().await?);
        }
        let sent = core.context.publish(name(core, *subject)?, Bytes::copy_from_slice(message)).await;
        under_way.waiting.push_back(sent.map_err(|error| publishing(&error))?);
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
    settle(core, send_after(core, subject, message, last).await).await
}

async fn send_after(core: &Core, subject: Subject, message: &[u8], last: Position) -> Result<Position, StreamError> {
    let generation = core.prepared().await?.generation;
    if generation != core.seen.load(Ordering::Relaxed) {
        return Err(StreamError::Unseen);
    }
    let mut headers = HeaderMap::new();
    headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, last.to_string());
    let payload = Bytes::copy_from_slice(message);
    let sent = core.context.publish_with_headers(name(core, subject)?, headers, payload).await;
    let waiting = VecDeque::from([sent.map_err(|error| publishing(&error))?]);
    let mut under_way = UnderWay { core, waiting, lost: Box::pin(core.lost(generation)) };
    let answer = timeout(ORDERING.min(core.options.patience), under_way.acknowledged()).await;
    answer.unwrap_or_else(|_| Err(away("the server does not answer")))
}

fn name(core: &Core, subject: Subject) -> Result<async_nats::Subject, StreamError> {
    core.subjects.name(subject).ok_or_else(|| engine("there are not that many partitions"))
}

/// What was sent and not acknowledged, oldest first.
struct UnderWay<'a, Lost> {
    core: &'a Core,
    waiting: VecDeque<PublishAckFuture>,
    /// Ends with the connection: an acknowledgement that was on its way then never comes.
    lost: Pin<Box<Lost>>,
}

impl<Lost: Future<Output = ()>> UnderWay<'_, Lost> {
    async fn acknowledged(&mut self) -> Result<Position, StreamError> {
        let Some(oldest) = self.waiting.pop_front() else { return Ok(Position::START) };
        let acknowledgement = match select(oldest.into_future(), self.lost.as_mut()).await {
            Either::Left((acknowledgement, _)) => acknowledgement.map_err(|error| publishing(&error))?,
            Either::Right(_) => return Err(away("the connection was lost before the server had acknowledged")),
        };
        if acknowledgement.stream != self.core.options.stream {
            return Err(engine(format_args!("the stream {} takes our subjects", acknowledgement.stream)));
        }
        Ok(Position(acknowledgement.sequence))
    }
}

/// Nobody answers for a subject whose stream was deleted: it is looked for the next time.
async fn settle(core: &Core, done: Result<Position, StreamError>) -> Result<Position, StreamError> {
    if matches!(done, Err(StreamError::Away(_))) {
        core.doubt().await;
    }
    done
}
