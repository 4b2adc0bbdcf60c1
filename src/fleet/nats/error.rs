//! Converts errors of the NATS client to [`StreamError`].

use crate::fleet::StreamError;
use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind, PublishError, PublishErrorKind};
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

/// Converts an error that `JetStream` answered. Conditions that pass count as unreachable: a missing leader,
/// `JetStream` not running yet, or a missing stream, which is created again.
pub(super) fn answered(error: &ApiError) -> StreamError {
    let passes = error.code() == 503
        || matches!(
            error.error_code(),
            ErrorCode::STREAM_NOT_FOUND | ErrorCode::JETSTREAM_NOT_ENABLED | ErrorCode::CLUSTER_NOT_AVAILABLE
        );
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
