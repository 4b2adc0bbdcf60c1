//! The byte format of a message's envelope, which is the same in each version from 2 on.
//!
//! | bytes | what |
//! | --- | --- |
//! | 3 | `DBF` |
//! | 1 | the version of the contents, 2 or more |
//! | 1 | the kind of the body |
//! | 1 | flags. 1: a node that does not know the version or the kind may skip the message. 2: the body is encrypted. 4: the tag is of AES-256-GCM |
//! | 8 | the id of the key that signed the message; 0 if there is none |
//! | 16 | the publishing node's id, which is new at each start |
//! | 8 | the number of messages that the node had written before |
//! | 8 | the node's clock, in milliseconds since 1970 |
//! | 4 | the length of the body |
//! | | the body |
//! | 32 or 16 | with a key: the tag |
//! | 8 | XXH3 of all preceding bytes |
//!
//! There are two kinds of tags:
//!
//! | flag 4 | tag | encrypted body | messages |
//! | --- | --- | --- | --- |
//! | not set | HMAC-SHA256 of all preceding bytes and the subject: 32 bytes | ChaCha20-Poly1305; its own tag of 16 bytes is part of the body | all of versions 2 and 3, and all without calls |
//! | set | AES-256-GCM of the head and the subject as additional data and of the body as plaintext: 16 bytes | the ciphertext | calls, since version 4 |
//!
//! AES-256-GCM takes a fifth of the time of HMAC-SHA256, and messages of calls are nearly all bytes of a stream. If their
//! body is not encrypted, the sender and the receivers compute the tag as if it were, and drop the ciphertext. Only the
//! tag and the plaintext are public then, and GCM remains a message authentication code: the tag is a polynomial hash
//! under a secret point, plus a secret number that no other message has.
//!
//! Each cipher has its own key, which is derived from the fleet's key, the use and the node's id. The number of messages
//! written before is the nonce. The id is new at each start, so no nonce is used twice with a key. With AES-256-GCM, two
//! messages with the same nonce would reveal how to forge others of that start of the node.
//!
//! A node that has the key checks the tag, and computes XXH3 only if it needs it to tell damage from forgery. XXH3 itself
//! is then not checked in messages with flag 4: a copy with another XXH3 has the effect of an equal copy. Nodes without
//! the key check XXH3.
//!
//! Since version 4, calls have flag 4. A node of version 2 or 3 cannot authenticate them, and would skip them as damaged. It
//! can authenticate all other messages of version 4, and halts before the first one. So each node publishes a heartbeat
//! before its first calls (`src/fleet/publisher.rs`).
//!
//! Since version 3, `failed` ranks below `answered` ([`Outcome`](crate::Outcome)). A node of an earlier version would keep
//! other outcomes, so it must not go on. Versions 2 and 3 are the same otherwise, and are still read.
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
pub(super) const VERSION: u8 = 4;
/// The first version with tags of AES-256-GCM.
const FOURTH: u8 = 4;
/// The first version whose envelopes can be signed.
const SECOND: u8 = 2;
/// The version before envelopes could be signed.
const FIRST: u8 = 1;
/// A node that does not know the version or the kind may skip the message.
pub(super) const MAY_SKIP: u8 = 1;
/// The body is encrypted.
const ENCRYPTED: u8 = 2;
/// The tag is of AES-256-GCM.
const GCM: u8 = 4;
/// Bytes of the checksum.
pub(super) const SUM: usize = 8;
/// Bytes that stand for a subject in a signature.
const MARK: usize = 3;
/// Where the flags are.
const FLAGS: usize = 5;
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
    /// A key must never seal two messages with the same node and number.
    ///
    /// # Panics
    /// Panics if the body is longer than 4 GiB.
    #[must_use]
    pub fn seal(mut self, subject: Subject, body: &[u8], keys: &Keys) -> Vec<u8> {
        let (key, encrypts) = (keys.signing(), keys.encrypting_key().is_some());
        let is_gcm = self.version >= FOURTH && self.kind == b'E' && !body.is_empty() && key.is_some();
        self.flags &= !(ENCRYPTED | if self.version >= FOURTH { GCM } else { 0 });
        self.flags |= if encrypts { ENCRYPTED } else { 0 } | if is_gcm { GCM } else { 0 };
        let len = body.len() + if encrypts && !is_gcm { SEAL } else { 0 };
        let mut bytes = Vec::with_capacity(FRAME + body.len());
        bytes.extend(MAGIC);
        bytes.extend([self.version, self.kind, self.flags]);
        bytes.extend(key.map_or(0, Key::id).to_be_bytes());
        bytes.extend(self.node);
        bytes.extend(self.written.to_be_bytes());
        bytes.extend(self.sent_at.millis().to_be_bytes());
        bytes.extend(u32::try_from(len).expect("a message is far shorter").to_be_bytes());
        bytes.extend(body);
        match key {
            Some(key) if is_gcm => self.tag(subject, key, &mut bytes),
            Some(key) => self.sign(subject, key, &mut bytes),
            None => {}
        }
        bytes.extend(xxh3_64(&bytes).to_be_bytes());
        bytes
    }

    /// Appends a tag of AES-256-GCM to a head and a body, which is encrypted before if the flags say so.
    fn tag(&self, subject: Subject, key: &Key, bytes: &mut Vec<u8>) {
        let (head, body) = bytes.split_first_chunk_mut().expect("it has a head");
        let head = additional_data(head, subject);
        let tag = if self.flags & ENCRYPTED == 0 {
            key.tag_of(&self.node, self.written, &head, body)
        } else {
            key.encrypt_tagged(&self.node, self.written, &head, body)
        };
        bytes.extend(tag);
    }

    /// Appends a tag of HMAC-SHA256 to a head and a body, which is encrypted before if the flags say so.
    fn sign(&self, subject: Subject, key: &Key, bytes: &mut Vec<u8>) {
        if self.flags & ENCRYPTED != 0 {
            let seal = key.encrypt_in_place(&self.node, self.written, &mut bytes[HEAD..]);
            bytes.extend(seal);
        }
        let tag = key.sign(bytes, &mark(subject));
        bytes.extend(tag);
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
    let is_intact = || xxh3_64(bytes).to_be_bytes() == *sum;
    // A tag of AES-256-GCM shows that the message is intact in a fraction of the time.
    let has_gcm = version >= FOURTH && bytes.get(FLAGS).is_some_and(|flags| flags & GCM != 0);
    if (!has_gcm || keys.is_empty()) && !is_intact() {
        return Err(skip(Skipped::Damaged));
    }
    match version {
        0 => return Err(skip(Skipped::Foreign)),
        FIRST if !keys.takes_unsigned() => return Err(skip(Skipped::Unsigned)),
        FIRST => return open_first(&bytes[4..]).ok_or(skip(Skipped::Damaged)),
        _ => {}
    }
    let (envelope, signature, body) = split(bytes).ok_or(skip(Skipped::Damaged))?;
    let mut decrypted = None;
    let key = match signature {
        None if keys.takes_unsigned() => None,
        None => return Err(skip(Skipped::Unsigned)),
        // Without a key, nothing is checked.
        Some(_) if keys.is_empty() => None,
        Some((id, tag)) => {
            let unless_damaged = |why| skip(if is_intact() { why } else { Skipped::Damaged });
            let key = keys.find(id).ok_or_else(|| unless_damaged(Skipped::UnknownKey))?;
            let Envelope { node, written, flags, .. } = &envelope;
            let is_authentic = match tag {
                Tag::Hmac(signed, tag) => key.verifies(signed, &mark(subject), tag),
                Tag::Gcm(head, tag) if flags & ENCRYPTED == 0 => {
                    key.has_tag(node, *written, &additional_data(head, subject), body, tag)
                }
                Tag::Gcm(head, tag) => {
                    decrypted = key.decrypt_tagged(node, *written, &additional_data(head, subject), body, tag);
                    decrypted.is_some()
                }
            };
            if !is_authentic {
                return Err(unless_damaged(Skipped::Forged));
            }
            Some(key)
        }
    };
    if !envelope.is_known() {
        return Err(envelope.unknown());
    }
    let body = match (decrypted, key) {
        (Some(body), _) => Cow::Owned(body),
        _ if envelope.flags & ENCRYPTED == 0 => Cow::Borrowed(body),
        (None, Some(key)) => {
            let body = key.decrypt(&envelope.node, envelope.written, body.to_vec());
            Cow::Owned(body.ok_or(skip(Skipped::Damaged))?)
        }
        (None, None) => return Err(Unreadable::Locked),
    };
    Ok((envelope, body))
}

impl Envelope {
    fn is_known(&self) -> bool {
        (SECOND..=VERSION).contains(&self.version)
            && matches!(self.kind, b'E' | b'C' | b'F' | b'P' | b'D')
            && self.flags & !(MAY_SKIP | ENCRYPTED | if self.has_gcm() { GCM } else { 0 }) == 0
    }

    /// Returns whether the tag is of AES-256-GCM. Earlier versions did not know the flag.
    const fn has_gcm(&self) -> bool {
        self.version >= FOURTH && self.flags & GCM != 0
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

/// A tag, and the bytes that it signs besides the subject. The tag of AES-256-GCM signs the body, too.
enum Tag<'a> {
    Hmac(&'a [u8], &'a [u8; TAG]),
    Gcm(&'a [u8; HEAD], &'a [u8; SEAL]),
}

/// The id of a key, and its tag.
type Signature<'a> = (u64, Tag<'a>);

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
    let envelope = Envelope { version, kind, flags, node, written, sent_at };
    let signature = match (key, tag) {
        (0, []) if !envelope.has_gcm() => None,
        (0, _) => return None,
        (id, tag) if envelope.has_gcm() => Some((id, Tag::Gcm(bytes.first_chunk()?, tag.try_into().ok()?))),
        (id, tag) => Some((id, Tag::Hmac(&bytes[..HEAD + len], tag.try_into().ok()?))),
    };
    Some((envelope, signature, body))
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

/// Returns what a tag of AES-256-GCM signs besides the body.
fn additional_data(head: &[u8; HEAD], subject: Subject) -> [u8; HEAD + MARK] {
    let mut data = [0; HEAD + MARK];
    data[..HEAD].copy_from_slice(head);
    data[HEAD..].copy_from_slice(&mark(subject));
    data
}

/// Returns the bytes that stand for a subject in a signature.
fn mark(subject: Subject) -> [u8; MARK] {
    let (kind, partition) = match subject {
        Subject::Configuration => (b'C', 0),
        Subject::Calls(partition) => (b'E', partition),
        Subject::Other => (b'-', 0),
    };
    let [high, low] = partition.to_be_bytes();
    [kind, high, low]
}
