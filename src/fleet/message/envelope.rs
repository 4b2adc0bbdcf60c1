//! The byte format of a message's envelope, which is the same in each version from 2 on.
//!
//! | bytes | what |
//! | --- | --- |
//! | 3 | `DBF` |
//! | 1 | the version of the contents, 2 or more |
//! | 1 | the kind of the body |
//! | 1 | flags. 1: a node that does not know the version or the kind may skip the message. 2: the body is encrypted |
//! | 8 | the id of the key that signed the message; 0 if there is none |
//! | 16 | the publishing node's id, which is new at each start |
//! | 8 | the number of messages that the node had written before |
//! | 8 | the node's clock, in milliseconds since 1970 |
//! | 4 | the length of the body |
//! | | the body |
//! | 32 | with a key: HMAC-SHA256 of all preceding bytes and the subject |
//! | 8 | XXH3 of all preceding bytes |
//!
//! An encrypted body is sealed with ChaCha20-Poly1305. Its key is derived from the fleet's key and the node's id, and
//! the number of messages written before is the nonce. So no nonce is used twice.
//!
//! Since version 3, `failed` ranks below `answered` ([`Outcome`](crate::Outcome)). A node of an earlier version would keep
//! other outcomes, so it must not go on. Version 2 is the same otherwise, and is still read.
//!
//! Version 1 had no flags, no key and no length: version, kind, node, number, clock, body and XXH3.

use super::{NodeId, Unreadable};
use crate::event::wire::take;
use crate::fleet::keys::{Key, Keys, SEAL, TAG};
use crate::fleet::stream::Subject;
use crate::metrics::Skipped;
use crate::time::Timestamp;
use std::borrow::Cow;
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: [u8; 3] = *b"DBF";
/// The version of the contents that this program writes.
pub(super) const VERSION: u8 = 3;
/// The first version whose envelopes can be signed.
const SECOND: u8 = 2;
/// The version before envelopes could be signed.
const FIRST: u8 = 1;
/// A node that does not know the version or the kind may skip the message.
pub(super) const MAY_SKIP: u8 = 1;
/// The body is encrypted.
const ENCRYPTED: u8 = 2;
/// Bytes of the checksum.
pub(super) const SUM: usize = 8;
/// Bytes before the body.
const HEAD: usize = 3 + 1 + 1 + 1 + 8 + 16 + 8 + 8 + 4;
/// The largest number of bytes around a body.
pub(in crate::fleet) const FRAME: usize = HEAD + SEAL + TAG + SUM;

/// The fields of an envelope.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Envelope {
    /// The version of the contents.
    pub version: u8,
    /// The kind of the body.
    pub kind: u8,
    /// The flags.
    pub flags: u8,
    /// The publishing node.
    pub node: NodeId,
    /// The number of messages that the node had written before.
    pub written: u64,
    /// The time of publication, by the node's clock.
    pub sent_at: Timestamp,
}

impl Envelope {
    /// Returns the message with this envelope and body, signed and encrypted as the keys say.
    ///
    /// # Panics
    /// Panics if the body is longer than 4 GiB.
    #[must_use]
    pub fn seal(mut self, subject: Subject, body: &[u8], keys: &Keys) -> Vec<u8> {
        let encrypting = keys.encrypting_key();
        if encrypting.is_some() {
            self.flags |= ENCRYPTED;
        }
        let len = body.len() + encrypting.map_or(0, |_| SEAL);
        let key = keys.signing();
        let mut bytes = Vec::with_capacity(FRAME + body.len());
        bytes.extend(MAGIC);
        bytes.extend([self.version, self.kind, self.flags]);
        bytes.extend(key.map_or(0, Key::id).to_be_bytes());
        bytes.extend(self.node);
        bytes.extend(self.written.to_be_bytes());
        bytes.extend(self.sent_at.millis().to_be_bytes());
        bytes.extend(u32::try_from(len).expect("a message is far shorter").to_be_bytes());
        bytes.extend(body);
        if let Some(key) = encrypting {
            let seal = key.encrypt_in_place(&self.node, self.written, &mut bytes[HEAD..]);
            bytes.extend(seal);
        }
        if let Some(key) = key {
            let tag = key.sign(&bytes, &mark(subject));
            bytes.extend(tag);
        }
        bytes.extend(xxh3_64(&bytes).to_be_bytes());
        bytes
    }

    /// Returns a message of version 1.
    #[cfg(any(test, feature = "__testing"))]
    #[must_use]
    pub fn seal_first(self, body: &[u8]) -> Vec<u8> {
        let mut bytes = [&MAGIC[..], &[FIRST, self.kind], &self.node].concat();
        bytes.extend(self.written.to_be_bytes());
        bytes.extend(self.sent_at.millis().to_be_bytes());
        bytes.extend(body);
        bytes.extend(xxh3_64(&bytes).to_be_bytes());
        bytes
    }
}

/// Checks the envelope of a message, and returns it with the body, which is decrypted. A body that was not encrypted is not
/// copied.
pub(super) fn open<'a>(
    payload: &'a [u8],
    subject: Subject,
    keys: &Keys,
) -> Result<(Envelope, Cow<'a, [u8]>), Unreadable> {
    let skip = |why| Unreadable::Skip(why);
    let mut rest = payload;
    if take(&mut rest) != Some(MAGIC) || subject == Subject::Other {
        return Err(skip(Skipped::Foreign));
    }
    let [version] = take(&mut rest).ok_or(skip(Skipped::Damaged))?;
    let (bytes, sum) = payload.split_last_chunk::<SUM>().ok_or(skip(Skipped::Damaged))?;
    if xxh3_64(bytes).to_be_bytes() != *sum {
        return Err(skip(Skipped::Damaged));
    }
    match version {
        0 => return Err(skip(Skipped::Foreign)),
        FIRST if !keys.takes_unsigned() => return Err(skip(Skipped::Unsigned)),
        FIRST => return open_first(&bytes[4..]).ok_or(skip(Skipped::Damaged)),
        _ => {}
    }
    let (envelope, key, body) = split(bytes).ok_or(skip(Skipped::Damaged))?;
    let key = match key {
        None if keys.takes_unsigned() => None,
        None => return Err(skip(Skipped::Unsigned)),
        // Without a key, nothing is checked.
        Some(_) if keys.is_empty() => None,
        Some((id, signed, tag)) => {
            let key = keys.find(id).ok_or(skip(Skipped::UnknownKey))?;
            if !key.verifies(signed, &mark(subject), tag) {
                return Err(skip(Skipped::Forged));
            }
            Some(key)
        }
    };
    if !envelope.is_known() {
        return Err(envelope.unknown());
    }
    let body = match key {
        _ if envelope.flags & ENCRYPTED == 0 => Cow::Borrowed(body),
        Some(key) => {
            let body = key.decrypt(&envelope.node, envelope.written, body.to_vec());
            Cow::Owned(body.ok_or(skip(Skipped::Damaged))?)
        }
        None => return Err(Unreadable::Locked),
    };
    Ok((envelope, body))
}

impl Envelope {
    fn is_known(&self) -> bool {
        (SECOND..=VERSION).contains(&self.version)
            && matches!(self.kind, b'E' | b'C' | b'F' | b'P' | b'D')
            && self.flags & !(MAY_SKIP | ENCRYPTED) == 0
    }

    /// Returns what to do with a message that a newer version wrote.
    fn unknown(&self) -> Unreadable {
        if self.flags & MAY_SKIP != 0 {
            Unreadable::Skip(Skipped::Newer)
        } else {
            Unreadable::Newer { version: self.version, kind: self.kind }
        }
    }
}

/// A key's id, the bytes that it signed, and the tag.
type Signature<'a> = (u64, &'a [u8], &'a [u8; TAG]);

/// Splits a message without its checksum into its envelope, its signature and its body.
fn split(bytes: &[u8]) -> Option<(Envelope, Option<Signature<'_>>, &[u8])> {
    let mut rest = bytes.get(3..)?;
    let [version, kind, flags] = take(&mut rest)?;
    let key = u64::from_be_bytes(take(&mut rest)?);
    let node = take(&mut rest)?;
    let written = u64::from_be_bytes(take(&mut rest)?);
    let sent_at = Timestamp::from_millis(u64::from_be_bytes(take(&mut rest)?));
    let len = u32::from_be_bytes(take(&mut rest)?) as usize;
    let (body, tag) = rest.split_at_checked(len)?;
    let signature = match (key, tag) {
        (0, []) => None,
        (0, _) => return None,
        (id, tag) => Some((id, &bytes[..HEAD + len], tag.try_into().ok()?)),
    };
    Some((Envelope { version, kind, flags, node, written, sent_at }, signature, body))
}

/// Reads the part of a message of version 1 that follows its version.
fn open_first(mut rest: &[u8]) -> Option<(Envelope, Cow<'_, [u8]>)> {
    let [kind] = take(&mut rest)?;
    let node = take(&mut rest)?;
    let written = u64::from_be_bytes(take(&mut rest)?);
    let sent_at = Timestamp::from_millis(u64::from_be_bytes(take(&mut rest)?));
    let envelope = Envelope { version: FIRST, kind, flags: 0, node, written, sent_at };
    matches!(kind, b'E' | b'C' | b'P').then_some((envelope, Cow::Borrowed(rest)))
}

/// Returns the bytes that stand for a subject in a signature.
fn mark(subject: Subject) -> [u8; 3] {
    let (kind, partition) = match subject {
        Subject::Configuration => (b'C', 0),
        Subject::Calls(partition) => (b'E', partition),
        Subject::Other => (b'-', 0),
    };
    let [high, low] = partition.to_be_bytes();
    [kind, high, low]
}
