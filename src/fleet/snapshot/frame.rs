//! The frame of a snapshot: its header and its sections, with checksums, and signed and encrypted as the keys say.
//!
//! ```text
//! "DBSNAP" 0 3                                                       8 bytes
//! position, fingerprint of the message there, number of configurations, time, gap (8 bytes each)
//! identity (16), flags (8), id of the key (8; 0: none)
//! with a key: HMAC-SHA256 of all before (32)
//! XXH3 of all before (8)
//! then sections: kind (1), length (4), XXH3 of kind, length and content (8), content
//!                with a key: HMAC-SHA256 (32) of kind, length, content, the identity and the section's number
//! ```
//!
//! The flags: 1 if the contents are encrypted, 2 if the message at the position is no configuration.
//!
//! All integers are big-endian. An encrypted content is sealed with ChaCha20-Poly1305; its key is derived from the
//! fleet's key and the snapshot's identity, and the section's number is the nonce.
//!
//! Version 2 has the same bytes. A snapshot of version 3 covers messages that only nodes with messages of version 4 can
//! authenticate. An earlier node halts before it, and so does not go on among those messages.
//!
//! A snapshot of version 1 had neither gap, identity, flags nor key, and no tags.

use super::super::StepError;
use super::super::keys::{Key, Keys, TAG};
use super::super::message::NodeId;
use super::super::stream::Position;
use super::Section;
use crate::event::wire::take;
use crate::time::Timestamp;
use std::io::{self, Read};
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: [u8; 7] = *b"DBSNAP\0";
const FIRST: u8 = 1;
const SECOND: u8 = 2;
/// The version that this program writes.
pub(in crate::fleet) const VERSION: u8 = 3;
/// The largest accepted length of a section, in bytes.
const LONGEST: usize = 1 << 26;
/// The bytes of a header since version 2, without tag and checksum.
const HEAD: usize = 8 + 5 * 8 + 16 + 8 + 8;
const ENCRYPTED: u64 = 1;
const NO_CONFIGURATION: u64 = 2;
/// The use of a header's tag.
const OF_HEAD: &[u8] = b"snapshot";

/// The header of a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::fleet) struct Head {
    /// The position up to which the writer had consumed the stream, and the fingerprint of the message there.
    pub(in crate::fleet) at: Position,
    pub(in crate::fleet) witness: u64,
    /// Whether that message is the last configuration. It is not if the stream was too full to take one.
    pub(in crate::fleet) is_configuration: bool,
    /// The number of configurations.
    pub(in crate::fleet) sequence: u64,
    /// The time by the writer's clock, for people: no decision relies on it.
    pub(in crate::fleet) taken_at: Timestamp,
    /// The writer may lack messages up to here; 0 if it lacks none.
    pub(in crate::fleet) gap: Position,
}

/// Writes the frame of one snapshot.
pub(in crate::fleet) struct Writer<'a> {
    signing: Option<&'a Key>,
    encrypting: Option<&'a Key>,
    identity: NodeId,
    sections: u64,
}

impl<'a> Writer<'a> {
    /// Begins a snapshot. Returns its header, too.
    pub(in crate::fleet) fn begin(head: Head, keys: &'a Keys) -> (Self, Vec<u8>) {
        let mut identity = NodeId::default();
        getrandom::fill(&mut identity).expect("the system gives random bytes");
        let (signing, encrypting) = (keys.signing(), keys.encrypting_key());
        let mut bytes = [&MAGIC[..], &[VERSION]].concat();
        for word in [head.at.0, head.witness, head.sequence, head.taken_at.millis(), head.gap.0] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend(identity);
        let flags = [(encrypting.is_some(), ENCRYPTED), (!head.is_configuration, NO_CONFIGURATION)];
        let flags: u64 = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag).sum();
        bytes.extend(flags.to_be_bytes());
        bytes.extend(signing.map_or(0, Key::id).to_be_bytes());
        if let Some(key) = signing {
            bytes.extend(key.sign(&bytes, OF_HEAD));
        }
        bytes.extend(xxh3_64(&bytes).to_be_bytes());
        (Self { signing, encrypting, identity, sections: 0 }, bytes)
    }

    /// Returns the bytes of the next section.
    pub(in crate::fleet) fn section(&mut self, Section { kind, content }: Section) -> Vec<u8> {
        let number = self.sections;
        self.sections += 1;
        let content = match self.encrypting {
            Some(key) => key.encrypt(&self.identity, number, content),
            None => content,
        };
        let len = u32::try_from(content.len()).expect("sections are far shorter").to_be_bytes();
        let mut bytes = Vec::with_capacity(content.len() + 13 + TAG);
        bytes.push(kind);
        bytes.extend(len);
        bytes.extend(sum(kind, &content).to_be_bytes());
        bytes.extend(&content);
        if let Some(key) = self.signing {
            let tag = key.sign(&bytes, &of_section(&self.identity, number));
            bytes.extend(tag);
        }
        bytes
    }
}

/// Reads the frame of one snapshot, and checks it.
pub(in crate::fleet) struct Reader<'a> {
    source: Box<dyn Read + Send>,
    head: Head,
    key: Option<&'a Key>,
    has_tags: bool,
    is_encrypted: bool,
    identity: NodeId,
    sections: u64,
}

impl<'a> Reader<'a> {
    /// Reads and checks the header.
    pub(in crate::fleet) fn open(mut source: Box<dyn Read + Send>, keys: &'a Keys) -> Result<Self, StepError> {
        let mut magic = [0; 8];
        source.read_exact(&mut magic).map_err(StepError::Snapshot)?;
        let [magic @ .., version] = magic;
        if magic != MAGIC || version == 0 {
            return Err(wrong("it is no snapshot of a fleet"));
        }
        match version {
            FIRST => Self::open_first(source, keys),
            SECOND | VERSION => Self::open_second(version, source, keys),
            version => Err(StepError::NewerSnapshot(version)),
        }
    }

    fn open_first(mut source: Box<dyn Read + Send>, keys: &'a Keys) -> Result<Self, StepError> {
        let mut bytes = [0; 48];
        bytes[..7].copy_from_slice(&MAGIC);
        bytes[7] = FIRST;
        source.read_exact(&mut bytes[8..]).map_err(StepError::Snapshot)?;
        let (words, sum) = bytes.split_at(40);
        if xxh3_64(words).to_be_bytes() != sum {
            return Err(wrong("its header is corrupt"));
        }
        if !keys.takes_unsigned() {
            return Err(wrong("it is not signed"));
        }
        let word = |at: usize| u64::from_be_bytes(words[at..at + 8].try_into().expect("eight bytes"));
        let taken_at = Timestamp::from_millis(word(32));
        let (at, gap) = (Position(word(8)), Position::START);
        let head = Head { at, witness: word(16), is_configuration: true, sequence: word(24), taken_at, gap };
        let identity = NodeId::default();
        Ok(Self { source, head, key: None, has_tags: false, is_encrypted: false, identity, sections: 0 })
    }

    fn open_second(version: u8, mut source: Box<dyn Read + Send>, keys: &'a Keys) -> Result<Self, StepError> {
        let mut bytes = vec![0; HEAD];
        bytes[..7].copy_from_slice(&MAGIC);
        bytes[7] = version;
        source.read_exact(&mut bytes[8..]).map_err(StepError::Snapshot)?;
        let (mut head, identity, flags, id) = read_head(&bytes[8..]).expect("the header has this length");
        let mut tag = [0; TAG];
        let has_tags = id != 0;
        if has_tags {
            source.read_exact(&mut tag).map_err(StepError::Snapshot)?;
        }
        let mut sum = [0; 8];
        source.read_exact(&mut sum).map_err(StepError::Snapshot)?;
        let signed = if has_tags { [&bytes[..], &tag].concat() } else { bytes.clone() };
        if xxh3_64(&signed).to_be_bytes() != sum {
            return Err(wrong("its header is corrupt"));
        }
        let key = match keys.find(id) {
            Some(key) if key.verifies(&bytes, OF_HEAD, &tag) => Some(key),
            Some(_) => return Err(wrong("its signature is wrong")),
            None if has_tags && !keys.is_empty() => return Err(wrong("it is signed with a key that this node lacks")),
            None if !has_tags && !keys.takes_unsigned() => return Err(wrong("it is not signed")),
            None => None,
        };
        let is_encrypted = flags & ENCRYPTED != 0;
        if flags & !(ENCRYPTED | NO_CONFIGURATION) != 0 {
            return Err(StepError::NewerSnapshot(version));
        }
        head.is_configuration = flags & NO_CONFIGURATION == 0;
        if is_encrypted && key.is_none() {
            return Err(StepError::LockedSnapshot);
        }
        Ok(Self { source, head, key, has_tags, is_encrypted, identity, sections: 0 })
    }

    pub(in crate::fleet) const fn head(&self) -> Head {
        self.head
    }

    /// Reads and checks the next section.
    pub(in crate::fleet) fn section(&mut self) -> Result<Section, StepError> {
        let number = self.sections;
        self.sections += 1;
        let mut bytes = vec![0; 13];
        self.source.read_exact(&mut bytes).map_err(StepError::Snapshot)?;
        let kind = bytes[0];
        let len = u32::from_be_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]) as usize;
        if len > LONGEST {
            return Err(wrong("a section is too long"));
        }
        bytes.resize(13 + len, 0);
        self.source.read_exact(&mut bytes[13..]).map_err(StepError::Snapshot)?;
        let mut tag = [0; TAG];
        if self.has_tags {
            self.source.read_exact(&mut tag).map_err(StepError::Snapshot)?;
        }
        if sum(kind, &bytes[13..]).to_be_bytes() != bytes[5..13] {
            return Err(wrong("the checksum of a section is wrong"));
        }
        if self.key.is_some_and(|key| !key.verifies(&bytes, &of_section(&self.identity, number), &tag)) {
            return Err(wrong("the signature of a section is wrong"));
        }
        bytes.drain(..13);
        let content = match self.key.filter(|_| self.is_encrypted) {
            Some(key) => key.decrypt(&self.identity, number, bytes).ok_or_else(|| wrong("a section is corrupt"))?,
            None => bytes,
        };
        Ok(Section { kind, content })
    }
}

/// Reads what follows the magic bytes: the header, the identity, the flags and the key's id.
fn read_head(mut rest: &[u8]) -> Option<(Head, NodeId, u64, u64)> {
    let mut word = || take(&mut rest).map(u64::from_be_bytes);
    let (at, witness, sequence) = (Position(word()?), word()?, word()?);
    let (taken_at, gap) = (Timestamp::from_millis(word()?), Position(word()?));
    let identity = take(&mut rest)?;
    let mut word = || take(&mut rest).map(u64::from_be_bytes);
    Some((Head { at, witness, is_configuration: true, sequence, taken_at, gap }, identity, word()?, word()?))
}

/// Returns the bytes that stand for a section in a signature.
fn of_section(identity: &NodeId, number: u64) -> Vec<u8> {
    [&identity[..], &number.to_be_bytes()].concat()
}

/// Combines the hashes of the content and of the header, so that the content need not be copied.
fn sum(kind: u8, content: &[u8]) -> u64 {
    xxh3_64(content) ^ xxh3_64(&[&[kind][..], &(content.len() as u64).to_be_bytes()].concat())
}

/// Returns the error for a snapshot with invalid content.
pub(in crate::fleet) fn wrong(what: &'static str) -> StepError {
    StepError::Snapshot(io::Error::new(io::ErrorKind::InvalidData, what))
}
