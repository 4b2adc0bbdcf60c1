//! The byte format of a message.
//!
//! | bytes | what |
//! | --- | --- |
//! | 4 | `DBF` and the version, 1 |
//! | 1 | `E`: calls and erasures; `C`: a configuration; `P`: erasures under pseudonyms |
//! | 16 | the publishing node's id, which is new at each start |
//! | 8 | the number of messages that the node had written before |
//! | 8 | the node's clock, in milliseconds since 1970 |
//! | | the body |
//! | 8 | XXH3 of all preceding bytes |
//!
//! `E`: events, one after another. A message without events is a heartbeat. `C`: the digest of the preceding
//! configuration (8 bytes), then one [`Configuration`] as JSON. `P`: the number of keys (2 bytes), the keys (32 bytes
//! each), then the environment (16), the pseudonym (16) and the end time (8) of each erasure; its highest bit
//! says that it was in the future when the contact was erased. All integers are
//! big-endian.
//!
//! No two messages are equal. A message's fingerprint therefore shows whether the message at a position is still the
//! one that was there before.

use crate::event::wire::{self, take};
use crate::event::{Configuration, Event};
use crate::history::{LastCall, Register};
use crate::id::EnvironmentId;
use crate::time::Timestamp;
use std::fmt;
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: [u8; 3] = *b"DBF";
const VERSION: u8 = 1;
/// Bytes of the checksum.
const SUM: usize = 8;
/// Bytes of a message with an empty body.
const FRAME: usize = 4 + 1 + 16 + 8 + 8 + SUM;

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
    /// Calls and erasures.
    Events(Vec<Event>),
    /// A configuration.
    Configuration {
        /// The digest of the preceding configuration; 0 for the first one.
        parent: u64,
        /// The configuration.
        configuration: Configuration,
    },
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
            Self::Pseudonyms { erasures, .. } => write!(f, "Pseudonyms({})", erasures.len()),
        }
    }
}

/// The reason why bytes could not be read as a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unreadable {
    /// A newer version wrote the message: its format version, its kind or its configuration is not known here.
    Newer,
    /// The bytes are corrupt.
    Damaged,
}

/// Returns the hash that identifies a message.
pub(super) fn fingerprint(payload: &[u8]) -> u64 {
    xxh3_64(payload)
}

/// Writes the messages of a node from one start to the next.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) node: NodeId,
    written: u64,
}

impl Writer {
    pub(super) fn new(node: NodeId) -> Self {
        Self { node, written: 0 }
    }

    /// Writes a message of events, which are already encoded.
    pub(super) fn events(&mut self, now: Timestamp, events: &[u8]) -> Vec<u8> {
        self.message(b'E', now, events)
    }

    pub(super) fn configuration(&mut self, now: Timestamp, parent: u64, configuration: &Configuration) -> Vec<u8> {
        let text = serde_json::to_vec(configuration).expect("a configuration has only text and integers");
        self.message(b'C', now, &[&parent.to_be_bytes()[..], &text].concat())
    }

    pub(super) fn pseudonyms(
        &mut self,
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
        self.message(b'P', now, &body)
    }

    fn message(&mut self, kind: u8, now: Timestamp, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(FRAME + body.len());
        bytes.extend(MAGIC);
        bytes.extend([VERSION, kind]);
        bytes.extend(self.node);
        bytes.extend(self.written.to_be_bytes());
        bytes.extend(now.millis().to_be_bytes());
        bytes.extend(body);
        bytes.extend(xxh3_64(&bytes).to_be_bytes());
        self.written += 1;
        bytes
    }
}

/// Reads a message, and checks its checksum, its version and each field.
///
/// # Errors
/// Returns [`Unreadable`] if the bytes are corrupt or a newer version wrote them.
pub fn read(payload: &[u8]) -> Result<Message, Unreadable> {
    let (bytes, sum) = payload.split_last_chunk::<SUM>().ok_or(Unreadable::Damaged)?;
    let mut rest = bytes;
    if xxh3_64(bytes).to_be_bytes() != *sum || take(&mut rest) != Some(MAGIC) {
        return Err(Unreadable::Damaged);
    }
    match take(&mut rest) {
        Some([VERSION]) => {}
        Some([newer]) if newer > VERSION => return Err(Unreadable::Newer),
        _ => return Err(Unreadable::Damaged),
    }
    let head = read_head(&mut rest).ok_or(Unreadable::Damaged)?;
    let (kind, node, sent_at) = head;
    let body = match kind {
        b'E' => read_events(rest).map(Body::Events).ok_or(Unreadable::Damaged)?,
        // The checksum is right, so the text is as it was written. If it cannot be parsed, a newer version wrote it.
        b'C' => {
            let parent = take(&mut rest).map(u64::from_be_bytes).ok_or(Unreadable::Damaged)?;
            let configuration = serde_json::from_slice(rest).map_err(|_| Unreadable::Newer)?;
            Body::Configuration { parent, configuration }
        }
        b'P' => read_pseudonyms(rest).ok_or(Unreadable::Damaged)?,
        _ => return Err(Unreadable::Newer),
    };
    Ok(Message { node, sent_at, body })
}

/// Appends a checksum to the bytes, so that a fuzzer passes the first check.
#[cfg(feature = "__testing")]
#[doc(hidden)]
pub fn seal(bytes: &[u8]) -> Vec<u8> {
    [bytes, &xxh3_64(bytes).to_be_bytes()].concat()
}

fn read_head(rest: &mut &[u8]) -> Option<(u8, NodeId, Timestamp)> {
    let [kind] = take(rest)?;
    let node = take(rest)?;
    let _written: [u8; 8] = take(rest)?;
    Some((kind, node, Timestamp::from_millis(u64::from_be_bytes(take(rest)?))))
}

/// Reads encoded events up to the end of the bytes. Returns `None` if the bytes contain anything else.
pub(super) fn read_events(mut bytes: &[u8]) -> Option<Vec<Event>> {
    let mut events = Vec::with_capacity(bytes.len() / wire::LONGEST + 1);
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
mod tests {
    use super::*;
    use crate::event::{Call, Change};
    use crate::id::AgentId;
    use crate::number::E164;
    use crate::outcome::Outcome;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn call() -> Event {
        let number = |digits| E164::from_digits(digits).expect("digits");
        Event::Call(Call {
            environment: EnvironmentId::from_u128(1),
            agent: AgentId::from_u128(2),
            from: number("15551234567"),
            to: number("15557654321"),
            at: NOW,
            outcome: Outcome::Busy,
        })
    }

    fn messages() -> [(Vec<u8>, Body); 4] {
        let mut writer = Writer::new([5; 16]);
        let mut events = Vec::new();
        wire::write(&call(), &mut events);
        let environment = EnvironmentId::from_u128(1);
        let changes = vec![Change::AgentDeleted { id: AgentId::from_u128(9) }];
        let configuration = Configuration { sequence: 3, environment, at: NOW, changes };
        let (keys, erasures) = (
            vec![[7; 32]],
            vec![(environment, [8; 16], Register::erasure(NOW)), (environment, [9; 16], Register::erasure_ahead(NOW))],
        );
        [
            (writer.events(NOW, &[]), Body::Events(Vec::new())),
            (writer.events(NOW, &events), Body::Events(vec![call()])),
            (writer.configuration(NOW, 4, &configuration), Body::Configuration { parent: 4, configuration }),
            (writer.pseudonyms(NOW, &keys, &erasures), Body::Pseudonyms { keys, erasures }),
        ]
    }

    #[test]
    fn messages_round_trip_and_no_two_are_equal() {
        let mut prints = Vec::new();
        for (bytes, body) in messages() {
            let message = read(&bytes).expect("a message");
            assert_eq!((message.node, message.sent_at), ([5; 16], NOW));
            assert!(message.body == body);
            prints.push(fingerprint(&bytes));
        }
        let mut writer = Writer::new([5; 16]);
        assert_ne!(writer.events(NOW, &[]), writer.events(NOW, &[]));
        prints.dedup();
        assert_eq!(prints.len(), 4);
    }

    #[test]
    fn a_flipped_bit_or_a_truncation_is_rejected_as_damaged() {
        for (bytes, _) in messages() {
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(read(&flipped), Err(Unreadable::Damaged), "bit {bit}");
            }
            for len in 0..bytes.len() {
                assert_eq!(read(&bytes[..len]), Err(Unreadable::Damaged), "{len} bytes");
            }
        }
    }

    #[test]
    fn content_of_a_newer_version_is_rejected_as_newer() {
        let sealed = |mut bytes: Vec<u8>, at: usize, byte: u8| {
            bytes.truncate(bytes.len() - SUM);
            bytes[at] = byte;
            bytes.extend(xxh3_64(&bytes).to_be_bytes());
            bytes
        };
        let [(beat, _), (events, _), (configuration, _), _] = messages();
        assert_eq!(read(&sealed(beat.clone(), 3, 2)), Err(Unreadable::Newer));
        assert_eq!(read(&sealed(beat, 4, b'Z')), Err(Unreadable::Newer));
        assert_eq!(read(&sealed(events, 37, 0x70)), Err(Unreadable::Damaged));
        assert_eq!(read(&sealed(configuration, 45, b'[')), Err(Unreadable::Newer));
    }
}
