//! Messages on their way to the server: many under way at once, never more than the client can hold.

use super::core::{Core, IN_FLIGHT};
use super::error::{away, engine, publishing};
use crate::fleet::{Position, StreamError, Subject};
use async_nats::HeaderMap;
use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::jetstream::context::PublishAckFuture;
use bytes::Bytes;
use std::collections::VecDeque;
use tokio::time::timeout;

/// How many one call has under way. Some calls can be under way at once, and none holds a part of what another waits for.
const WINDOW: usize = IN_FLIGHT / 4;

pub(super) async fn publish(core: &Core, subject: Subject, messages: &[Vec<u8>]) -> Result<Position, StreamError> {
    let sent = send(core, subject, messages).await;
    settle(core, sent).await
}

async fn send(core: &Core, subject: Subject, messages: &[Vec<u8>]) -> Result<Position, StreamError> {
    core.prepared().await?;
    let name = async_nats::Subject::from(core.subjects.name(subject));
    let window = messages.len().clamp(1, WINDOW);
    // All that this call will ever hold, at once: calls that each held some and waited for more would wait for ever.
    let permits = core.permits.acquire_many(u32::try_from(window).expect("a small bound"));
    let permits = timeout(core.options.patience, permits).await;
    let _permits = permits.map_err(|_| away("too much is under way"))?;
    let mut under_way = VecDeque::with_capacity(window);
    let mut last = Position::START;
    for message in messages {
        if under_way.len() == window {
            last = last.max(acknowledged(core, &mut under_way).await?);
        }
        let sent = core.context.publish(name.clone(), Bytes::copy_from_slice(message)).await;
        under_way.push_back(sent.map_err(|error| publishing(&error))?);
    }
    while !under_way.is_empty() {
        last = last.max(acknowledged(core, &mut under_way).await?);
    }
    Ok(last)
}

pub(super) async fn publish_after(
    core: &Core,
    subject: Subject,
    message: &[u8],
    last: Position,
) -> Result<Position, StreamError> {
    let sent = send_after(core, subject, message, last).await;
    settle(core, sent).await
}

async fn send_after(core: &Core, subject: Subject, message: &[u8], last: Position) -> Result<Position, StreamError> {
    core.prepared().await?;
    let mut headers = HeaderMap::new();
    headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, last.to_string());
    let payload = Bytes::copy_from_slice(message);
    let sent = core.context.publish_with_headers(core.subjects.name(subject), headers, payload).await;
    acknowledged(core, &mut VecDeque::from([sent.map_err(|error| publishing(&error))?])).await
}

async fn acknowledged(core: &Core, under_way: &mut VecDeque<PublishAckFuture>) -> Result<Position, StreamError> {
    let Some(oldest) = under_way.pop_front() else { return Ok(Position::START) };
    let acknowledgement = oldest.await.map_err(|error| publishing(&error))?;
    if acknowledgement.stream != core.options.stream {
        return Err(engine(format_args!("the stream {} takes our subjects", acknowledgement.stream)));
    }
    Ok(Position(acknowledgement.sequence))
}

/// Nobody answers for a subject whose stream was deleted: it is looked for the next time.
async fn settle(core: &Core, done: Result<Position, StreamError>) -> Result<Position, StreamError> {
    if matches!(done, Err(StreamError::Away(_))) {
        core.doubt().await;
    }
    done
}
