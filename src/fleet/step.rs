//! The reasons why a step of a node's work fails.

use super::stream::{Position, StreamError};
use crate::service::ServiceError;
use crate::store::StoreError;
use std::fmt;
use std::io;

/// The reason why a step of a node's work failed. The node tries the step again.
#[derive(Debug)]
#[non_exhaustive]
pub enum StepError {
    /// The stream failed.
    Stream(StreamError),
    /// The store failed.
    Store(StoreError),
    /// The service rejected a change.
    Service(ServiceError),
    /// A newer version wrote the message at this position. The node can continue when it has that version too.
    Newer {
        /// The position of the message.
        at: Position,
        /// The version of the contents.
        version: u8,
        /// The kind of the body.
        kind: u8,
    },
    /// The message at this position is encrypted, and this node has no key.
    Locked(Position),
    /// A newer version wrote the snapshot that this node needs.
    NewerSnapshot(u8),
    /// The snapshot that this node needs is encrypted, and this node has no key.
    LockedSnapshot,
    /// The stream no longer holds the message that it acknowledged at this position.
    Lost(Position),
    /// A required configuration is neither in the stream nor in a snapshot.
    Missing {
        /// The sequence of the configuration.
        sequence: u64,
    },
    /// A snapshot could not be read or written.
    Snapshot(io::Error),
    /// The place for snapshots failed, or the stream could not be truncated. That says nothing about other requests to the
    /// stream: a lost connection is an error of those, too.
    Upkeep(StreamError),
    /// The stream begins after the position of the newest snapshot. The node waits for a newer one.
    TooOld(Position),
    /// A snapshot could not be loaded.
    NotLoaded(String),
    /// Data in the node's own store is corrupt.
    Damaged(&'static str),
}

impl StepError {
    /// Returns whether the node waits for its operator, before something that it cannot read or publish and must not skip.
    pub(super) const fn halts(&self) -> bool {
        let is_too_large = matches!(self, Self::Stream(StreamError::TooLarge { .. }));
        is_too_large
            || matches!(self, Self::Newer { .. } | Self::Locked(_) | Self::NewerSnapshot(_) | Self::LockedSnapshot)
    }

    /// Returns the reason as everyone may read it: it names no tenant and no agent.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::Service(_) => "this node cannot put a message of the stream into force: read its log".into(),
            Self::NotLoaded(_) => "this node cannot load the snapshot: read its log".into(),
            error => error.to_string(),
        }
    }

    /// Returns the stream's error if it says that the stream is unreachable, unchecked or failing.
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
            Self::Newer { at, version, kind } => write!(
                f,
                "a newer version wrote the message at position {at} (version {version}, kind {}): \
                 update this node to continue",
                kind.escape_ascii()
            ),
            Self::Locked(at) => write!(
                f,
                "the message at position {at} is encrypted: give this node the fleet's key to continue \
                 (`--fleet-key-file`)"
            ),
            Self::NewerSnapshot(version) => {
                write!(
                    f,
                    "a newer version wrote the fleet's snapshot (version {version}): update this node to continue"
                )
            }
            Self::LockedSnapshot => f.write_str(
                "the fleet's snapshot is encrypted: give this node the fleet's key to continue (`--fleet-key-file`)",
            ),
            Self::Lost(at) => write!(
                f,
                "the stream no longer holds the message that it acknowledged at position {at}: \
                 nodes publish lost messages again"
            ),
            Self::Missing { sequence } => {
                write!(
                    f,
                    "configuration {sequence} is neither in the stream nor in a snapshot: start a node that has it"
                )
            }
            Self::Snapshot(error) => write!(f, "cannot read or write the snapshot: {error}"),
            Self::Upkeep(error) => write!(f, "cannot keep the fleet's snapshots: {error}"),
            Self::TooOld(Position::START) => {
                f.write_str("the stream no longer holds its first messages, and there is no snapshot: waiting for one")
            }
            Self::TooOld(at) => write!(
                f,
                "the stream begins after the newest snapshot, which is of position {at}: waiting for a newer one"
            ),
            Self::NotLoaded(what) => write!(f, "cannot load the snapshot: {what}"),
            Self::Damaged(what) => {
                write!(f, "{what} is corrupt in this node's store: check the data directory with `dialback verify`")
            }
        }
    }
}

impl std::error::Error for StepError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Stream(error) | Self::Upkeep(error) => Some(error),
            Self::Store(error) => Some(error),
            Self::Service(error) => Some(error),
            Self::Snapshot(error) => Some(error),
            _ => None,
        }
    }
}

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
