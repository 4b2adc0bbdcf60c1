//! Reading on from a position: a consumer on the server that is kept from call to call, and made anew whenever anything about it
//! is in doubt.

use super::bounds;
use super::core::Core;
use super::error::{away, following};
use crate::fleet::{Delivery, Position, StreamError};
use async_nats::jetstream::consumer::pull::{self, MessagesErrorKind};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use futures_util::{FutureExt, StreamExt};
use std::time::Duration;
use tokio::time::timeout;
use tracing::warn;

/// What is asked of the server in one request, and lies here unread at most: twice that. More than the largest message that a
/// server takes unless it is set up for more, else it would never come.
const AHEAD_MESSAGES: usize = 4096;
const AHEAD_BYTES: usize = 16 << 20;

/// A server that says nothing for two of these is taken for dead.
const HEARTBEAT: Duration = Duration::from_secs(3);

/// How long a request for messages stands.
const REQUEST: Duration = Duration::from_secs(30);

/// How long a consumer that nobody asks stays on the server.
const ORPHAN: Duration = Duration::from_secs(60);

/// A consumer that has delivered everything up to a position.
pub(super) struct Cursor {
    after: Position,
    generation: u64,
    /// How many it has delivered.
    delivered: u64,
    messages: pull::Stream,
}

/// What a consumer delivered at once.
#[derive(Default)]
struct Batch {
    deliveries: Vec<Delivery>,
    /// How many were delivered before the first that does not follow the one before it.
    before_gap: Option<usize>,
    /// Where that one is.
    gap: Position,
    /// Something went wrong behind what is here.
    is_broken: bool,
}

pub(super) async fn consume(
    core: &Core,
    after: Position,
    limit: usize,
    wait: Duration,
) -> Result<Vec<Delivery>, StreamError> {
    let generation = core.connected(wait).await?;
    core.shown_to_readers.check(generation)?;
    let mut held = core.cursor.lock().await;
    let fits = |cursor: &Cursor| cursor.after == after && cursor.generation == generation;
    let mut cursor = match held.take().filter(fits) {
        Some(cursor) => cursor,
        None => open(core, after, generation).await?,
    };
    let mut batch = cursor.read(core, limit, wait).await?;
    if core.is_lost(generation) {
        return Err(away("the connection was lost"));
    }
    // Between two of ours there may be others', or something that was taken away before it was read.
    if let Some(before) = batch.before_gap {
        let first = bounds::first(&bounds::ask(core).await?).await?;
        if first.0 > batch.gap.0 + 1 {
            if before == 0 {
                return Err(StreamError::Gone);
            }
            batch.deliveries.truncate(before);
            batch.is_broken = true;
        }
    }
    if let Some(last) = batch.deliveries.last() {
        cursor.after = last.position;
    }
    if !batch.is_broken {
        *held = Some(cursor);
    }
    Ok(batch.deliveries)
}

async fn open(core: &Core, after: Position, generation: u64) -> Result<Cursor, StreamError> {
    let stream = bounds::ask(core).await?;
    if bounds::first(&stream).await?.0 > after.0 + 1 {
        return Err(StreamError::Gone);
    }
    let config = pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after.0 + 1 },
        ack_policy: AckPolicy::None,
        // What it has delivered is known here: nothing of it has to outlive the server.
        memory_storage: true,
        num_replicas: 1,
        inactive_threshold: ORPHAN,
        ..pull::Config::default()
    };
    let consumer = stream.create_consumer(config).await.map_err(|error| following(&error))?;
    let messages = consumer
        .stream()
        .max_messages_per_batch(AHEAD_MESSAGES)
        .max_bytes_per_batch(AHEAD_BYTES)
        .heartbeat(HEARTBEAT)
        .expires(REQUEST)
        .messages()
        .await
        .map_err(away)?;
    Ok(Cursor { after, generation, delivered: 0, messages })
}

impl Cursor {
    /// Waits for the first, and takes what is there already behind it.
    async fn read(&mut self, core: &Core, limit: usize, wait: Duration) -> Result<Batch, StreamError> {
        let mut batch = Batch::default();
        let mut bytes = 0;
        let Ok(mut next) = timeout(wait, self.messages.next()).await else { return Ok(batch) };
        let mut before = self.after;
        loop {
            let message = match next {
                Some(Ok(message)) => message,
                failed if batch.deliveries.is_empty() => return Err(ended(failed.and_then(Result::err))),
                _ => {
                    batch.is_broken = true;
                    return Ok(batch);
                }
            };
            let Ok(info) = message.info() else { return Err(away("a message without a place in the stream")) };
            let position = Position(info.stream_sequence);
            // One of the consumer's own messages was lost on its way here.
            if info.consumer_sequence != self.delivered + 1 {
                batch.is_broken = true;
                return if batch.deliveries.is_empty() {
                    Err(away("a message was lost on its way"))
                } else {
                    Ok(batch)
                };
            }
            self.delivered += 1;
            if position.0 != before.0 + 1 && batch.before_gap.is_none() {
                batch.before_gap = Some(batch.deliveries.len());
                batch.gap = before;
            }
            before = position;
            if let Some(subject) = core.subjects.read(&message.subject) {
                bytes += message.payload.len();
                batch.deliveries.push(Delivery { position, subject, payload: message.payload.to_vec() });
            } else {
                warn!(%position, "a message of the fleet's stream is in no partition");
            }
            if bytes >= limit {
                return Ok(batch);
            }
            // Without the runtime's budget, after which everything seems to be empty.
            match tokio::task::unconstrained(self.messages.next()).now_or_never() {
                Some(there) => next = there,
                None => return Ok(batch),
            }
        }
    }
}

fn ended(error: Option<async_nats::error::Error<MessagesErrorKind>>) -> StreamError {
    error.map_or_else(|| away("the consumer ended"), away)
}
