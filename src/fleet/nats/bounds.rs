//! Reads the stream's bounds and single messages, and truncates it.
//!
//! The server compares the position that [`publish_after`](crate::fleet::Stream::publish_after) expects with the last
//! message of the subject that it still *holds*. Truncation therefore keeps the last configuration, even if it removes
//! the messages before and after it. The stream can then begin with that configuration and a gap. The end of the last
//! gap counts as the stream's beginning.

use super::core::Core;
use super::error::{away, getting, purging, reading};
use super::repeated::repeated;
use super::setup;
use crate::fleet::{Bounds, Delivery, Position, StreamError};
use crate::sync::Ordering;
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{Info, RawMessageError, RawMessageErrorKind, Stream};

pub(super) async fn bounds(core: &Core) -> Result<Bounds, StreamError> {
    let generation = core.prepared().await?.generation;
    core.shown_in_bounds.check(generation)?;
    let stream = ask(core).await?;
    let info = stream.cached_info();
    let bounds = Bounds {
        incarnation: setup::incarnation(info),
        first: first(&stream).await?,
        last: Position(info.state.last_sequence),
        last_configuration: last_configuration(core, &stream).await?,
    };
    // Relaxed: each caller that relies on the value has already received the error of the lost connection.
    core.seen.store(generation, Ordering::Relaxed);
    Ok(bounds)
}

pub(super) async fn truncate(core: &Core, up_to: Position) -> Result<(), StreamError> {
    let stream = ask(core).await?;
    // After a purge past its end, a stream would continue to count from there.
    let up_to = up_to.0.min(stream.cached_info().state.last_sequence);
    let configuration = last_configuration(core, &stream).await?.0;
    // The purge excludes this position. The server takes 0 for everything, and has no message before 1.
    let all_before = if (1..=up_to).contains(&configuration) { configuration } else { up_to + 1 };
    if all_before > 1 {
        stream.purge().sequence(all_before).await.map_err(|error| purging(&error))?;
    }
    if all_before <= up_to {
        let calls = stream.purge().filter(core.connection.subjects.calls()).sequence(up_to + 1);
        calls.await.map_err(|error| purging(&error))?;
    }
    Ok(())
}

/// Returns the stream with its present state.
pub(super) async fn ask(core: &Core) -> Result<Stream, StreamError> {
    core.prepared().await?;
    let (connection, patience) = (&core.connection, core.connection.options.patience);
    let ask = async || connection.context.get_stream(&connection.options.stream).await.map_err(|error| getting(&error));
    let stream = repeated(patience, ask).await;
    if stream.is_err() {
        core.doubt();
    }
    stream
}

/// Returns the position at which the part without gaps begins.
pub(super) async fn first(stream: &Stream) -> Result<Position, StreamError> {
    let state = &stream.cached_info().state;
    let behind_last = Position(state.last_sequence + 1);
    if state.messages == 0 {
        return Ok(behind_last);
    }
    let missing = state.deleted_count.unwrap_or_default();
    if missing == 0 {
        return Ok(Position(state.first_sequence));
    }
    let next = match stream.get_first_raw_message_by_subject(">", state.first_sequence + 1).await {
        Ok(next) => next.sequence,
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => return Ok(behind_last),
        Err(error) => return Err(reading(&error)),
    };
    if next - state.first_sequence - 1 == missing {
        return Ok(Position(next));
    }
    // Gaps that no truncation made: of a damaged file, or of an operator.
    let info = stream.info_builder().with_deleted(true).fetch().await.map_err(away)?;
    Ok(behind_holes(&info.info).unwrap_or(Position(next)))
}

fn behind_holes(info: &Info) -> Option<Position> {
    info.state.deleted.as_ref()?.iter().max().map(|last| Position(last + 1))
}

async fn last_configuration(core: &Core, stream: &Stream) -> Result<Position, StreamError> {
    let message = configuration_in(core, stream).await?;
    Ok(message.map_or(Position::START, |message| message.position))
}

/// Returns the last message about configurations that the stream holds.
pub(super) async fn configuration(core: &Core) -> Result<Option<Delivery>, StreamError> {
    configuration_in(core, &ask(core).await?).await
}

async fn configuration_in(core: &Core, stream: &Stream) -> Result<Option<Delivery>, StreamError> {
    let subject = core.connection.subjects.configuration();
    delivery(core, async || stream.get_last_raw_message_by_subject(subject).await).await
}

/// Returns the message at a position.
pub(super) async fn message_at(core: &Core, position: Position) -> Result<Option<Delivery>, StreamError> {
    let stream = ask(core).await?;
    if position < first(&stream).await? {
        return Ok(None);
    }
    delivery(core, async || stream.get_raw_message(position.0).await).await
}

/// Reads one message. Returns `None` if there is none.
async fn delivery(
    core: &Core,
    read: impl AsyncFn() -> Result<StreamMessage, RawMessageError>,
) -> Result<Option<Delivery>, StreamError> {
    let read = async || match read().await {
        Ok(message) => {
            let (position, subject) = (Position(message.sequence), core.connection.subjects.read(&message.subject));
            Ok(Some(Delivery { position, subject, payload: message.payload }))
        }
        Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(reading(&error)),
    };
    repeated(core.connection.options.patience, read).await
}
