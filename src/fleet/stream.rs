//! The interface of the engine between a fleet's nodes: an ordered log with few subjects, and a place for snapshots.

use bytes::Bytes;
use std::fmt;
use std::io;
use std::time::Duration;

/// A log that all nodes of a fleet share. NATS `JetStream` is one implementation. Kafka or Redis Streams could be
/// others.
///
/// Each call blocks its thread, but never longer than a bound that the implementation documents. Several threads may
/// make calls at once.
///
/// A stream that crashed may have lost its last messages, and other nodes may have appended messages since. A node
/// checks for that after it got [`StreamError::Away`]. A connection that was lost and restored must therefore be
/// reported by this error at least once, in [`consume`](Self::consume) or in [`bounds`](Self::bounds).
pub trait Stream: Send + Sync + 'static {
    /// Appends the messages in order, each to its subject, and waits until the stream has acknowledged all of them.
    /// Returns the position of the last message.
    ///
    /// All messages are sent before the first acknowledgement is awaited, as far as the engine permits. If there are no
    /// messages, appends nothing and returns `bounds().last`. The engine decides how durable an acknowledged message
    /// is: no node treats the stream as the only copy.
    ///
    /// # Errors
    /// After an error, any of the messages may be in the stream. If the call is repeated, they may be in the stream
    /// twice.
    fn publish(&self, messages: &[(Subject, Vec<u8>)]) -> Result<Position, StreamError>;

    /// Appends messages as [`publish`](Self::publish) does. An engine that can send while it waits for acknowledgements
    /// takes each message from the iterator when it can send it. The messages are then made while the stream works.
    ///
    /// # Errors
    /// See [`publish`](Self::publish). Messages may remain in the iterator.
    fn publish_each(
        &self,
        messages: &mut dyn ExactSizeIterator<Item = (Subject, Vec<u8>)>,
    ) -> Result<Position, StreamError> {
        self.publish(&messages.collect::<Vec<_>>())
    }

    /// Appends one message if the last message of its subject is at `last`, or if there is none and `last` is
    /// [`Position::START`]. Otherwise appends nothing.
    ///
    /// After a connection was lost, appends nothing until [`bounds`](Self::bounds) has succeeded again. A stream that
    /// lost its last messages may have another message at `last`. A node that has not checked this must not append
    /// after that message.
    ///
    /// # Errors
    /// Returns [`StreamError::Superseded`] if another message came first, and [`StreamError::Unseen`] if `bounds` has
    /// not succeeded since the connection was lost. In both cases nothing was appended. After any other error, the
    /// message may be in the stream.
    fn publish_after(&self, subject: Subject, message: &[u8], last: Position) -> Result<Position, StreamError>;

    /// Returns the next messages after a position, in order. Waits up to `wait` for the first one, and returns none if
    /// none arrived. Returns about `limit` bytes of payload at most, but at least one whole message.
    ///
    /// # Errors
    /// Returns [`StreamError::Gone`] if the stream no longer holds the message that follows the position. The node then
    /// needs a snapshot.
    fn consume(&self, after: Position, limit: usize, wait: Duration) -> Result<Vec<Delivery>, StreamError>;

    /// Returns the message at a position, or `None` if the stream holds none there, or only a last configuration that is before
    /// the first message of [`bounds`](Self::bounds).
    ///
    /// Several threads of a node call this, so it reports no lost connection: only the thread that calls
    /// [`consume`](Self::consume) and [`bounds`](Self::bounds) may receive that report.
    ///
    /// # Errors
    /// Returns an error if the stream is unreachable or cannot answer.
    fn message_at(&self, position: Position) -> Result<Option<Delivery>, StreamError>;

    /// Returns the range of messages that the stream holds now.
    ///
    /// # Errors
    /// Returns an error if the stream is unreachable or cannot answer.
    fn bounds(&self) -> Result<Bounds, StreamError>;

    /// Returns the last message about configurations that the stream holds, even if it is before the first message of
    /// [`bounds`](Self::bounds).
    ///
    /// # Errors
    /// Returns an error if the stream is unreachable or cannot answer.
    fn last_configuration(&self) -> Result<Option<Delivery>, StreamError>;

    /// Removes all messages up to and including `up_to` permanently. The last message about configurations stays,
    /// because [`publish_after`](Self::publish_after) compares positions with it.
    ///
    /// # Errors
    /// Returns an error if the stream is unreachable or cannot answer.
    fn truncate(&self, up_to: Position) -> Result<(), StreamError>;

    /// Returns the length of the longest message that [`publish`](Self::publish) and
    /// [`publish_after`](Self::publish_after) accept now, in bytes.
    fn largest(&self) -> usize {
        DEFAULT_LARGEST
    }

    /// Stores a snapshot, which replaces the previous one. The snapshot is stored completely or not at all.
    ///
    /// # Errors
    /// Returns the error of the engine, or of reading `content`.
    fn write_snapshot(&self, at: Position, content: &mut dyn io::Read) -> Result<(), StreamError>;

    /// Returns the newest snapshot, if there is one.
    ///
    /// # Errors
    /// Returns an error if the stream is unreachable or cannot answer. A later failure is an error of the snapshot's
    /// reader, at the end of the content at the latest: a truncated snapshot never looks complete.
    fn read_snapshot(&self) -> Result<Option<Snapshot>, StreamError>;
}

/// The longest message of an engine that does not say another length: 1 MiB.
const DEFAULT_LARGEST: usize = 1 << 20;

/// The position of a message in the stream. The first message is at 1, and all subjects share one sequence.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Position(pub u64);

impl Position {
    /// The position before the first message.
    pub const START: Self = Self(0);
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The subject of a message. There are few subjects, because an engine may keep an index entry in memory for each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Subject {
    /// Configurations, which every node consumes.
    Configuration,
    /// Calls of the numbers in this partition, and erasures.
    Calls(u16),
    /// A subject that is none of this fleet's. Nodes skip its messages, and publish none.
    Other,
}

/// A message of the stream.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The position of the message.
    pub position: Position,
    /// The subject of the message.
    pub subject: Subject,
    /// The published bytes. They can share memory with those of other messages that arrived together.
    pub payload: Bytes,
}

/// Shows the payload's length only, because a payload can contain phone numbers.
impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Delivery({}, {:?}, {} bytes)", self.position, self.subject, self.payload.len())
    }
}

/// The range of messages that a stream holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// The identity of the stream, which changes if the stream is deleted and created again.
    pub incarnation: u64,
    /// The first message that the stream still holds, or one past `last` if it holds none.
    pub first: Position,
    /// The last message that was ever appended, as far as the stream remembers.
    pub last: Position,
    /// The last message about configurations that was ever appended, or [`Position::START`] if there was none.
    pub last_configuration: Position,
}

/// A snapshot: the state of a node that had consumed everything up to a position.
pub struct Snapshot {
    /// The position up to which that node had consumed.
    pub at: Position,
    /// The bytes of the snapshot.
    pub content: Box<dyn io::Read + Send>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("at", &self.at).finish_non_exhaustive()
    }
}

/// The reason why the stream did not do what was requested.
#[derive(Debug)]
#[non_exhaustive]
pub enum StreamError {
    /// The stream is unreachable, or did not answer in time.
    Away(String),
    /// The connection was lost, and [`Stream::bounds`] has not succeeded since. Nothing was appended.
    Unseen,
    /// Another message of the subject came first.
    Superseded,
    /// The stream no longer holds the requested messages.
    Gone,
    /// The stream has reached a limit of its size, or of its server's storage. Of one message, nothing was appended. Of
    /// several, the first ones may have been.
    Full(String),
    /// The message is longer than the stream accepts. Nothing was appended.
    TooLarge {
        /// The length of the message, in bytes.
        bytes: usize,
        /// The length of the longest message that the stream accepts.
        largest: usize,
    },
    /// The engine rejected the request, or gave an unexpected answer.
    Engine(String),
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(what) => write!(f, "the stream is unreachable: {what}"),
            Self::Unseen => f.write_str("the connection was lost, and the stream is not checked yet: try again"),
            Self::Superseded => f.write_str("another message of the subject came first: read it and try again"),
            Self::Gone => f.write_str("the stream no longer holds the messages after this position"),
            Self::Full(what) => write!(
                f,
                "the stream takes no more messages ({what}): a node makes room by a snapshot. If this remains, raise \
                 the limits of the stream and of the snapshots"
            ),
            Self::TooLarge { bytes, largest } => write!(
                f,
                "the configuration takes {bytes} bytes, and the stream accepts messages of {largest}: \
                 raise the server's limit (`max_payload`)"
            ),
            Self::Engine(what) => write!(f, "the stream's engine reports: {what}"),
        }
    }
}

impl std::error::Error for StreamError {}
