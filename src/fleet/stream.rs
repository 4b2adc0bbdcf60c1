//! What a fleet asks of the engine between its nodes: an ordered log with few subjects, and a place for snapshots.

use std::fmt;
use std::io;
use std::time::Duration;

/// A log that all nodes of a fleet share. `JetStream` is one; Kafka or Redis Streams would be another implementation of this.
///
/// Calls block the thread that makes them, never longer than a bound that the implementation states. They may be made from
/// several threads at once.
///
/// A stream that crashed may have lost its end, and others may have appended since. A node looks for that where it was told
/// [`StreamError::Away`] before: so a connection that was lost and is there again shows as that error at least once, in
/// [`consume`](Self::consume) or [`bounds`](Self::bounds).
pub trait Stream: Send + Sync + 'static {
    /// Appends messages, each to its subject, in this order, and returns when the stream has acknowledged all of them: the position
    /// of the last. They are on their way together: one wait for all. Nothing is appended of none, and `bounds().last` is the answer.
    /// What an acknowledgement is worth is the engine's: no node treats the stream as the only copy.
    ///
    /// # Errors
    /// After an error any of them may be in the stream, also twice after a repetition.
    fn publish(&self, messages: &[(Subject, Vec<u8>)]) -> Result<Position, StreamError>;

    /// Appends one message if the last one of that subject is at `last` ([`Position::START`]: if there is none), else nothing.
    ///
    /// Where a connection was lost, nothing is appended before [`bounds`](Self::bounds) has succeeded again: a stream that lost its
    /// end may have another message at `last` by now, and who does not know that yet must not go on behind it.
    ///
    /// # Errors
    /// [`StreamError::Superseded`]: another came first; [`StreamError::Unseen`]: as above; nothing was appended. After any other it
    /// may be in the stream.
    fn publish_after(&self, subject: Subject, message: &[u8], last: Position) -> Result<Position, StreamError>;

    /// The next messages behind a position, in their order: at least one, or none after
    /// waiting that long. At most about `limit` bytes of payload, but always a whole message.
    ///
    /// # Errors
    /// [`StreamError::Gone`]: what follows that position is not in the stream any more. A snapshot is needed.
    fn consume(&self, after: Position, limit: usize, wait: Duration) -> Result<Vec<Delivery>, StreamError>;

    /// What the stream holds now.
    ///
    /// # Errors
    /// Where it cannot be asked.
    fn bounds(&self) -> Result<Bounds, StreamError>;

    /// Removes every message up to and including a position, for good. The last message about configurations is never among
    /// them: what [`publish_after`](Self::publish_after) goes by stays.
    ///
    /// # Errors
    /// Where it cannot be asked.
    fn truncate(&self, up_to: Position) -> Result<(), StreamError>;

    /// Stores a snapshot in the place of the one before, whole or not at all.
    ///
    /// # Errors
    /// What the engine or `content` says.
    fn write_snapshot(&self, at: Position, content: &mut dyn io::Read) -> Result<(), StreamError>;

    /// The newest snapshot, if there is one.
    ///
    /// # Errors
    /// Where it cannot be asked. What fails later shows as an error of the reader, at its end at the latest: a snapshot that was
    /// cut short is never taken for a whole one.
    fn read_snapshot(&self) -> Result<Option<Snapshot>, StreamError>;
}

/// Where a message is in the stream: the first is at 1, all subjects share one count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Position(pub u64);

impl Position {
    /// Before the first message.
    pub const START: Self = Self(0);
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a message is about. Few, since an engine may keep an index entry in memory for each.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Subject {
    /// Configurations, which every node takes.
    Configuration,
    /// Calls and erasures of the numbers in this partition.
    Calls(u16),
}

/// A message of the stream.
#[derive(Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Where it is.
    pub position: Position,
    /// What it is about.
    pub subject: Subject,
    /// What was published.
    pub payload: Vec<u8>,
}

/// There may be whole phone numbers in a message, so it is shown by its length.
impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Delivery({}, {:?}, {} bytes)", self.position, self.subject, self.payload.len())
    }
}

/// What a stream holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// Which stream it is: another one after it was deleted and made again.
    pub incarnation: u64,
    /// The first message that is still there; one past `last` where none is.
    pub first: Position,
    /// The last message that was ever appended, as far as the stream remembers.
    pub last: Position,
    /// The last message about configurations that was ever appended; [`Position::START`] where there is none.
    pub last_configuration: Position,
}

/// A snapshot: the state of a node that had consumed everything up to a position.
pub struct Snapshot {
    /// Up to where.
    pub at: Position,
    /// What was written.
    pub content: Box<dyn io::Read + Send>,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot").field("at", &self.at).finish_non_exhaustive()
    }
}

/// Why the stream did not do what was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum StreamError {
    /// It cannot be reached, or did not answer in time.
    Away(String),
    /// A connection was lost, and nobody has looked since at what the stream holds: nothing was appended.
    Unseen,
    /// Another message of the subject came first.
    Superseded,
    /// What was asked for has left the stream.
    Gone,
    /// It answered with something that nobody expected.
    Engine(String),
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(what) => write!(f, "the stream is away: {what}"),
            Self::Unseen => f.write_str("the stream is being looked at, after a connection was lost"),
            Self::Superseded => f.write_str("another message came first"),
            Self::Gone => f.write_str("what follows is not in the stream any more"),
            Self::Engine(what) => write!(f, "the stream: {what}"),
        }
    }
}

impl std::error::Error for StreamError {}
