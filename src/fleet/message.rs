//! A message: what a node publishes, and the reasons why other bytes in the stream are skipped.
//!
//! [`envelope`] has the format of the envelope. The body depends on the kind:
//!
//! | kind | subject | body |
//! | --- | --- | --- |
//! | `E` | calls | calls and erasures, one after another. Without any, the message is a heartbeat |
//! | `D` | calls | reports of calls with an id or a context, one after another, at least one. Each call that counts is in a message `E`, too, so a node of an earlier version may skip them |
//! | `C` | configurations | the digest of the preceding configuration (8 bytes), then one [`Configuration`] as JSON |
//! | `F` | configurations | nothing. It takes a place, so that no configuration from before can take it any more |
//! | `P` | calls | erasures under pseudonyms: the number of keys (2 bytes), the keys (32 bytes each), then the environment (16), the pseudonym (16) and the end time (8) of each erasure |
//!
//! The highest bit of an end time says that it was in the future when the contact was erased. All integers are
//! big-endian.
//!
//! No two messages are equal. A message's fingerprint therefore shows whether the message at a position is still the
//! one that was there before.

mod envelope;

pub use envelope::Envelope;

pub(super) use envelope::FRAME;

use super::keys::Keys;
use super::stream::Subject;
use crate::event::wire::{self, take};
use crate::event::{Configuration, Event};
use crate::history::{LastCall, Register};
use crate::id::EnvironmentId;
use crate::metrics::Skipped;
use crate::time::Timestamp;
use std::fmt;
use xxhash_rust::xxh3::xxh3_64;

/// The identity of a node from one start to the next: random bytes.
pub type NodeId = [u8; 16];

/// A message that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// The node that published it.
    pub node: NodeId,
    /// The time of publication, by that node's clock.
    pub sent_at: Timestamp,
    /// The content.
    pub body: Body,
}

/// The content of a message.
#[derive(Clone, PartialEq, Eq)]
pub enum Body {
    /// Calls and erasures, or reports with an id or a context.
    Events(Vec<Event>),
    /// A configuration.
    Configuration {
        /// The digest of the preceding configuration; 0 for the first one.
        parent: u64,
        /// The configuration.
        configuration: Configuration,
    },
    /// Takes a place among the configurations and changes nothing. A configuration whose outcome is unknown cannot come
    /// into force after it.
    Fence,
    /// Erasures under pseudonyms, and the keys that the pseudonyms may have been made with.
    Pseudonyms {
        /// The keys.
        keys: Vec<[u8; 32]>,
        /// The environment, the pseudonym and the register of each erasure.
        erasures: Vec<(EnvironmentId, [u8; 16], Register)>,
    },
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Events(events) => write!(f, "Events({})", events.len()),
            Self::Configuration { configuration, .. } => write!(f, "Configuration({})", configuration.sequence),
            Self::Fence => f.write_str("Fence"),
            Self::Pseudonyms { erasures, .. } => write!(f, "Pseudonyms({})", erasures.len()),
        }
    }
}

/// The reason why bytes could not be read as a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unreadable {
    /// The message is no event for this node: the node skips and counts it.
    Skip(Skipped),
    /// A newer version wrote the message, and skipping it would lose something.
    Newer {
        /// The version of the contents.
        version: u8,
        /// The kind of the body.
        kind: u8,
    },
    /// The message is encrypted, and this node has no key.
    Locked,
}

/// The bytes of a key, and of an erasure, in a message of pseudonyms; and of the number of keys.
pub(super) const PSEUDONYM_KEY: usize = 32;
pub(super) const PSEUDONYM: usize = 40;
pub(super) const PSEUDONYM_COUNT: usize = 2;

/// Returns the hash that identifies a message.
pub(super) fn fingerprint(payload: &[u8]) -> u64 {
    xxh3_64(payload)
}

/// Writes the messages of a node from one start to the next.
#[derive(Debug)]
pub(super) struct Writer {
    node: NodeId,
    keys: Keys,
    written: u64,
}

impl Writer {
    pub(super) fn new(node: NodeId, keys: Keys) -> Self {
        Self { node, keys, written: 0 }
    }

    /// Writes a message of events, which are already encoded.
    pub(super) fn events(&mut self, subject: Subject, now: Timestamp, events: &[u8]) -> Vec<u8> {
        self.message(b'E', 0, subject, now, events)
    }

    /// Writes a message of reports with an id or a context, which are already encoded. A node that does not know it can
    /// skip it.
    pub(super) fn details(&mut self, subject: Subject, now: Timestamp, reports: &[u8]) -> Vec<u8> {
        self.message(b'D', envelope::MAY_SKIP, subject, now, reports)
    }

    pub(super) fn configuration(&mut self, now: Timestamp, parent: u64, configuration: &Configuration) -> Vec<u8> {
        let text = serde_json::to_vec(configuration).expect("a configuration has only text and integers");
        self.message(b'C', 0, Subject::Configuration, now, &[&parent.to_be_bytes()[..], &text].concat())
    }

    /// Writes a message that takes a place among the configurations. A node that does not know it can skip it.
    pub(super) fn fence(&mut self, now: Timestamp) -> Vec<u8> {
        self.message(b'F', envelope::MAY_SKIP, Subject::Configuration, now, &[])
    }

    pub(super) fn pseudonyms(
        &mut self,
        subject: Subject,
        now: Timestamp,
        keys: &[[u8; 32]],
        erasures: &[(EnvironmentId, [u8; 16], Register)],
    ) -> Vec<u8> {
        let mut body = Vec::with_capacity(2 + keys.len() * 32 + erasures.len() * 40);
        body.extend(u16::try_from(keys.len()).unwrap_or(u16::MAX).to_be_bytes());
        body.extend(keys.iter().take(usize::from(u16::MAX)).flatten());
        for (environment, pseudonym, erasure) in erasures {
            body.extend(environment.as_u128().to_be_bytes());
            body.extend(pseudonym);
            body.extend(end_word(*erasure).to_be_bytes());
        }
        self.message(b'P', 0, subject, now, &body)
    }

    fn message(&mut self, kind: u8, flags: u8, subject: Subject, sent_at: Timestamp, body: &[u8]) -> Vec<u8> {
        let (node, written) = (self.node, self.written);
        self.written += 1;
        let envelope = Envelope { version: envelope::VERSION, kind, flags, node, written, sent_at };
        envelope.seal(subject, body, &self.keys)
    }
}

/// Reads a message of a subject, and checks its checksum, its signature, its version and each field.
///
/// # Errors
/// Returns [`Unreadable`] if the bytes are no message of this fleet, or one that this version cannot read.
pub fn read(payload: &[u8], subject: Subject, keys: &Keys) -> Result<Message, Unreadable> {
    let (Envelope { kind, version, node, sent_at, .. }, body) = envelope::open(payload, subject, keys)?;
    let mut rest = &*body;
    let damaged = Unreadable::Skip(Skipped::Damaged);
    let body = match (kind, subject) {
        (b'E', Subject::Calls(_)) => read_only(rest, false).ok_or(damaged)?,
        (b'D', Subject::Calls(_)) => read_only(rest, true).ok_or(damaged)?,
        // The checksum is right, so the text is as it was written. If it cannot be parsed, a newer version wrote it.
        (b'C', Subject::Configuration) => {
            let parent = take(&mut rest).map(u64::from_be_bytes).ok_or(damaged)?;
            let newer = |_| Unreadable::Newer { version, kind };
            Body::Configuration { parent, configuration: serde_json::from_slice(rest).map_err(newer)? }
        }
        (b'F', Subject::Configuration) if rest.is_empty() => Body::Fence,
        (b'P', Subject::Calls(_)) => read_pseudonyms(rest).ok_or(damaged)?,
        _ => return Err(Unreadable::Skip(Skipped::Misplaced)),
    };
    Ok(Message { node, sent_at, body })
}

/// Returns the body of a message with one event.
#[cfg(feature = "__testing")]
pub fn encode(event: &Event) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::write(event, &mut bytes);
    bytes
}

/// Appends a checksum to the bytes, so that a fuzzer passes the first check.
#[cfg(feature = "__testing")]
pub fn seal(bytes: &[u8]) -> Vec<u8> {
    [bytes, &xxh3_64(bytes).to_be_bytes()].concat()
}

/// Reads a body of events that either all are reports with an id or a context, or none.
fn read_only(bytes: &[u8], has_details: bool) -> Option<Body> {
    let events = read_events(bytes).filter(|events| !has_details || !events.is_empty())?;
    events.iter().all(|event| matches!(event, Event::Joined(_)) == has_details).then_some(Body::Events(events))
}

/// Reads encoded events up to the end of the bytes. Returns `None` if the bytes contain anything else.
pub(super) fn read_events(mut bytes: &[u8]) -> Option<Vec<Event>> {
    let mut events = Vec::with_capacity(bytes.len() / wire::CALL + 1);
    while !bytes.is_empty() {
        events.push(wire::read(&mut bytes)?);
    }
    Some(events)
}

fn read_pseudonyms(mut rest: &[u8]) -> Option<Body> {
    let keys = u16::from_be_bytes(take(&mut rest)?);
    let keys = (0..keys).map(|_| take(&mut rest)).collect::<Option<Vec<_>>>()?;
    let mut erasures = Vec::with_capacity(rest.len() / 40);
    while !rest.is_empty() {
        let environment = EnvironmentId::from_u128(u128::from_be_bytes(take(&mut rest)?));
        let pseudonym = take(&mut rest)?;
        erasures.push((environment, pseudonym, read_end(u64::from_be_bytes(take(&mut rest)?))));
    }
    Some(Body::Pseudonyms { keys, erasures })
}

/// The bit of an end time that was in the future when the contact was erased.
const AHEAD: u64 = 1 << 63;

/// Encodes the end time of an erasure.
fn end_word(erasure: Register) -> u64 {
    match erasure.read() {
        LastCall::Erased { until, is_ahead } => until.millis() | if is_ahead { AHEAD } else { 0 },
        LastCall::Placed { .. } => unreachable!("only erasures have pseudonyms"),
    }
}

/// Decodes the end time of an erasure.
fn read_end(word: u64) -> Register {
    Register::erased(Timestamp::from_millis(word & !AHEAD), word & AHEAD != 0)
}

#[cfg(test)]
mod tests;
