//! Reads messages after a position. The consumer on the server is kept from call to call, and created again whenever
//! its state is in doubt.

use super::bounds;
use super::core::{Core, Shown};
use super::error::{away, following};
use super::repeated::repeated;
use crate::fleet::{Delivery, Position, StreamError};
use async_nats::jetstream::consumer::pull::{self, MessagesErrorKind};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use futures_util::{FutureExt, StreamExt};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// The limits of one request to the server. The client buffers up to twice as much. A message that exceeds
/// the byte limit would never arrive, so the limit grows with the longest message that the server accepts.
const AHEAD_MESSAGES: usize = 4096;
const AHEAD_BYTES: usize = 16 << 20;

/// The interval of the server's heartbeats. After two missing heartbeats the server counts as dead.
const HEARTBEAT: Duration = Duration::from_secs(3);

/// How long a request for messages stays open.
const REQUEST: Duration = Duration::from_secs(30);

/// How long the server keeps a consumer without requests.
const ORPHAN: Duration = Duration::from_secs(60);

/// The cursor that is kept from call to call.
#[derive(Default)]
pub(super) struct KeptCursor {
    cursor: Mutex<Option<Cursor>>,
    /// The connection that was reported to callers of `consume`.
    shown: Shown,
}

/// A consumer that has delivered all messages up to a position.
struct Cursor {
    after: Position,
    generation: u64,
    /// The number of messages that it has delivered.
    delivered: u64,
    messages: pull::Stream,
}

/// The messages of one read.
#[derive(Default)]
struct Received {
    deliveries: Vec<Delivery>,
    /// The number of deliveries before the first gap between two positions.
    before_gap: Option<usize>,
    /// The position before that gap.
    gap: Position,
    /// Whether reading failed after these messages.
    is_broken: bool,
}

impl KeptCursor {
    pub(super) async fn consume(
        &self,
        core: &Core,
        after: Position,
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, StreamError> {
        let generation = core.connection.connected(wait).await?;
        self.shown.check(generation)?;
        let mut held = self.cursor.lock().await;
        let fits = |cursor: &Cursor| cursor.after == after && cursor.generation == generation;
        let mut cursor = match held.take().filter(fits) {
            Some(cursor) => cursor,
            None => open(core, after, generation).await?,
        };
        let mut batch = cursor.read(core, limit, wait).await?;
        if core.connection.is_lost(generation) {
            return Err(away("the connection was lost"));
        }
        // A gap is an error only if the part of the stream without gaps begins after it: then messages were removed
        // before they were read.
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
}

async fn open(core: &Core, after: Position, generation: u64) -> Result<Cursor, StreamError> {
    let stream = bounds::ask(core).await?;
    if bounds::first(&stream).await?.0 > after.0 + 1 {
        return Err(StreamError::Gone);
    }
    let config = pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after.0 + 1 },
        ack_policy: AckPolicy::None,
        // The position is kept here, so the consumer need not survive the server.
        memory_storage: true,
        num_replicas: 1,
        inactive_threshold: ORPHAN,
        ..pull::Config::default()
    };
    // An attempt without an answer may leave a consumer without requests.
    let create = async || stream.create_consumer(config.clone()).await.map_err(|error| following(&error));
    let consumer = repeated(core.connection.options.patience, create).await?;
    let messages = consumer
        .stream()
        .max_messages_per_batch(AHEAD_MESSAGES)
        .max_bytes_per_batch(AHEAD_BYTES.max(2 * core.connection.largest()))
        .heartbeat(HEARTBEAT)
        .expires(REQUEST)
        .messages()
        .await
        .map_err(away)?;
    Ok(Cursor { after, generation, delivered: 0, messages })
}

impl Cursor {
    /// Waits for the first message, and takes the messages that are already buffered after it.
    async fn read(&mut self, core: &Core, limit: usize, wait: Duration) -> Result<Received, StreamError> {
        let mut batch = Received::default();
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
            let Ok(info) = message.info() else {
                return Err(away("the server sent a message without its position in the stream"));
            };
            let position = Position(info.stream_sequence);
            // A message was lost between the server and this client.
            if info.consumer_sequence != self.delivered + 1 {
                batch.is_broken = true;
                return if batch.deliveries.is_empty() {
                    Err(away("a message was lost between the server and this client"))
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
            bytes += message.payload.len();
            let subject = core.connection.subjects.read(&message.subject);
            batch.deliveries.push(Delivery { position, subject, payload: message.message.payload });
            if bytes >= limit {
                return Ok(batch);
            }
            // Unconstrained: once the runtime's budget is used up, the stream would always seem empty.
            match tokio::task::unconstrained(self.messages.next()).now_or_never() {
                Some(there) => next = there,
                None => return Ok(batch),
            }
        }
    }
}

fn ended(error: Option<async_nats::error::Error<MessagesErrorKind>>) -> StreamError {
    error.map_or_else(|| away("the server ended the consumer"), away)
}
