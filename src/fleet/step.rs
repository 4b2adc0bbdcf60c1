//! Why a step of a node's work was not done.

use super::stream::{Position, StreamError};
use crate::service::ServiceError;
use crate::store::StoreError;
use std::fmt;
use std::io;

/// Why a step of a node's work was not done. It is tried again.
#[derive(Debug)]
#[non_exhaustive]
pub enum StepError {
    /// The stream.
    Stream(StreamError),
    /// The store.
    Store(StoreError),
    /// The service does not take it.
    Service(ServiceError),
    /// The message there is of a newer version: this node can go on when it has that, too.
    Newer(Position),
    /// The stream has lost what it acknowledged at this position.
    Lost(Position),
    /// Neither the stream nor a snapshot has a configuration that is needed.
    Missing {
        /// Which.
        sequence: u64,
    },
    /// A snapshot cannot be read or written.
    Snapshot(io::Error),
    /// The stream begins behind what the newest snapshot is of: the next one is waited for.
    TooOld(Position),
    /// A snapshot does not fit in.
    NotLoaded(String),
    /// Something of the node's own is not as it was written.
    Damaged(&'static str),
}

impl StepError {
    /// Why the stream cannot be reached, or is not what it was, if that is why.
    pub(super) fn away(&self) -> Option<&StreamError> {
        match self {
            Self::Stream(error @ (StreamError::Away(_) | StreamError::Unseen | StreamError::Engine(_))) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(error) => error.fmt(f),
            Self::Store(error) => error.fmt(f),
            Self::Service(error) => error.fmt(f),
            Self::Newer(at) => write!(f, "the message at {at} is of a newer version: nothing behind it is taken"),
            Self::Lost(at) => write!(f, "the stream has lost what it acknowledged at {at}; it gets it again"),
            Self::Missing { sequence } => {
                write!(f, "configuration {sequence} is neither in the stream nor in a snapshot")
            }
            Self::Snapshot(error) => write!(f, "the snapshot: {error}"),
            Self::TooOld(at) => write!(f, "the newest snapshot is of {at}, and the stream begins later"),
            Self::NotLoaded(what) => write!(f, "the snapshot does not fit in: {what}"),
            Self::Damaged(what) => write!(f, "{what}: not as it was written"),
        }
    }
}

impl std::error::Error for StepError {}

impl From<StoreError> for StepError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ServiceError> for StepError {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}

impl From<StreamError> for StepError {
    fn from(error: StreamError) -> Self {
        Self::Stream(error)
    }
}
