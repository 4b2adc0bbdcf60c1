//! Converts errors of the NATS client to [`StreamError`].

use crate::fleet::StreamError;
use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind, PublishError, PublishErrorKind};
use async_nats::jetstream::object_store::{PutError, PutErrorKind};
use async_nats::jetstream::stream::{
    ConsumerError, ConsumerErrorKind, PurgeError, PurgeErrorKind, RawMessageError, RawMessageErrorKind,
};
use async_nats::jetstream::{Error as ApiError, ErrorCode};
use std::fmt::Display;

pub(super) fn away(what: impl Display) -> StreamError {
    StreamError::Away(what.to_string())
}

pub(super) fn engine(what: impl Display) -> StreamError {
    StreamError::Engine(what.to_string())
}

/// The errors of a server that has no room for a message.
const NO_ROOM: [ErrorCode; 4] = [
    ErrorCode::ACCOUNT_RESOURCES_EXCEEDED,
    ErrorCode::INSUFFICIENT_RESOURCES,
    ErrorCode::MEMORY_RESOURCES_EXCEEDED,
    ErrorCode::STORAGE_RESOURCES_EXCEEDED,
];

/// Returns whether the server refused to store a message, because a limit is reached or its disk is full.
fn has_no_room(error: &ApiError) -> bool {
    // The code of a store that failed does not say why.
    let is_limit = names_a_limit(&error.to_string());
    NO_ROOM.contains(&error.error_code()) || error.error_code() == ErrorCode::STREAM_STORE_FAILED && is_limit
}

fn names_a_limit(text: &str) -> bool {
    ["maximum bytes exceeded", "maximum messages exceeded", "no space left", "resource limits exceeded"]
        .iter()
        .any(|limit| text.contains(limit))
}

/// Converts the error of writing an object. The client passes on what the server answered as a text only.
pub(super) fn putting(error: &PutError) -> StreamError {
    match error.kind() {
        PutErrorKind::ReadChunks | PutErrorKind::InvalidName => engine(error),
        _ if names_a_limit(&error.to_string()) => {
            engine(format_args!("the bucket of the snapshots has no room for another one ({error}): raise its limit"))
        }
        _ => away(error),
    }
}

/// Converts an error that `JetStream` answered. Conditions that pass count as unreachable: a missing leader,
/// `JetStream` not running yet, more messages than the server has stored so far, or a missing stream, which is created
/// again.
pub(super) fn answered(error: &ApiError) -> StreamError {
    let passes = error.code() == 503
        || matches!(
            error.error_code(),
            ErrorCode::STREAM_NOT_FOUND
                | ErrorCode::JETSTREAM_NOT_ENABLED
                | ErrorCode::CLUSTER_NOT_AVAILABLE
                | ErrorCode::STREAM_TOO_MANY_REQUESTS
        );
    if has_no_room(error) {
        return StreamError::Full(error.to_string());
    }
    if passes { away(error) } else { engine(error) }
}

pub(super) fn getting(error: &GetStreamError) -> StreamError {
    match error.kind() {
        GetStreamErrorKind::Request => away(error),
        GetStreamErrorKind::JetStream(answer) => answered(&answer),
        _ => engine(error),
    }
}

pub(super) fn reading(error: &RawMessageError) -> StreamError {
    match error.kind() {
        RawMessageErrorKind::Other => away(error),
        RawMessageErrorKind::JetStream(answer) => answered(&answer),
        _ => engine(error),
    }
}

pub(super) fn purging(error: &PurgeError) -> StreamError {
    match error.kind() {
        PurgeErrorKind::JetStream(answer) => answered(&answer),
        _ => away(error),
    }
}

pub(super) fn following(error: &ConsumerError) -> StreamError {
    match error.kind() {
        ConsumerErrorKind::JetStream(answer) => answered(&answer),
        ConsumerErrorKind::TimedOut | ConsumerErrorKind::Request => away(error),
        _ => engine(error),
    }
}

/// Converts the error of a message that the client did not send.
pub(super) fn sending(error: &async_nats::PublishError) -> StreamError {
    match error.kind() {
        async_nats::client::PublishErrorKind::MaxPayloadExceeded => engine(error),
        _ => away(error),
    }
}

pub(super) fn publishing(error: &PublishError) -> StreamError {
    match error.kind() {
        PublishErrorKind::WrongLastSequence => StreamError::Superseded,
        PublishErrorKind::MaxPayloadExceeded => engine(error),
        PublishErrorKind::Other => {
            let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<ApiError>());
            source.map_or_else(|| away(error), answered)
        }
        _ => away(error),
    }
}
