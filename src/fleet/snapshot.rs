//! The byte format of a snapshot: the state of a node, with the slots that its configurations define.
//!
//! ```text
//! "DBSNAP" 0 1                                                       8 bytes
//! position, fingerprint of the message there, number of configurations, time: 8 bytes each; XXH3 of all before (8)
//! then sections: kind (1), length (4), XXH3 of kind, length and content (8), content
//!   'C'  configurations in their order, each with its length (4) in front, as JSON
//!   'K'  keys of pseudonyms, 32 bytes each
//!   'E'  erasures: environment's scope (3), pseudonym (16), register (8)
//!   'P'  pairs: number's scope (3), contact (7), register (8)
//!   'Z'  the numbers of configurations, erasures and pairs (8 each): the end
//! ```
//!
//! All integers are big-endian. Records of a kind have a fixed length, so a section is split without reading each
//! record. A pair takes 18 bytes.

use super::StepError;
use super::stream::Position;
use crate::history::Register;
use crate::number::E164;
use crate::service::Pair;
use crate::slot::Scope;
use crate::time::Timestamp;
use std::io::{self, Read};
use xxhash_rust::xxh3::xxh3_64;

pub(super) const MAGIC: [u8; 8] = *b"DBSNAP\0\x01";
/// The approximate number of records in a section.
pub(super) const RECORDS: usize = 1 << 16;
/// The largest accepted length of a section, in bytes.
const LONGEST: usize = 1 << 26;
const PAIR: usize = 18;
const ERASURE: usize = 27;

/// The header of a snapshot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    pub(super) at: Position,
    pub(super) witness: u64,
    pub(super) sequence: u64,
    pub(super) taken_at: Timestamp,
}

impl Head {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for word in [self.at.0, self.witness, self.sequence, self.taken_at.millis()] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend(xxh3_64(&bytes).to_be_bytes());
        bytes
    }

    pub(super) fn read(source: &mut dyn Read) -> Result<Self, StepError> {
        let mut bytes = [0; 48];
        source.read_exact(&mut bytes).map_err(StepError::Snapshot)?;
        let (words, sum) = bytes.split_at(40);
        if xxh3_64(words).to_be_bytes() != sum || words[..8] != MAGIC {
            return Err(wrong("its header is corrupt"));
        }
        let word = |at: usize| u64::from_be_bytes(words[at..at + 8].try_into().expect("eight bytes"));
        let (at, taken_at) = (Position(word(8)), Timestamp::from_millis(word(32)));
        Ok(Self { at, witness: word(16), sequence: word(24), taken_at })
    }
}

/// A piece of a snapshot.
pub(super) struct Section {
    pub(super) kind: u8,
    pub(super) content: Vec<u8>,
}

impl Section {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let len = u32::try_from(self.content.len()).expect("sections are far shorter").to_be_bytes();
        let mut bytes = Vec::with_capacity(self.content.len() + 13);
        bytes.push(self.kind);
        bytes.extend(len);
        bytes.extend(self.sum().to_be_bytes());
        bytes.extend(&self.content);
        bytes
    }

    /// Combines the hashes of the content and of the header, so that the content need not be copied.
    fn sum(&self) -> u64 {
        xxh3_64(&self.content) ^ xxh3_64(&[&[self.kind][..], &(self.content.len() as u64).to_be_bytes()].concat())
    }

    pub(super) fn read(source: &mut dyn Read) -> Result<Self, StepError> {
        let mut head = [0; 13];
        source.read_exact(&mut head).map_err(StepError::Snapshot)?;
        let [kind, a, b, c, d, sum @ ..] = head;
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        if len > LONGEST {
            return Err(wrong("a section is too long"));
        }
        let mut content = vec![0; len];
        source.read_exact(&mut content).map_err(StepError::Snapshot)?;
        let section = Self { kind, content };
        if section.sum().to_be_bytes() == sum { Ok(section) } else { Err(wrong("the checksum of a section is wrong")) }
    }
}

/// Returns the error for a snapshot with invalid content.
pub(super) fn wrong(what: &'static str) -> StepError {
    StepError::Snapshot(io::Error::new(io::ErrorKind::InvalidData, what))
}

pub(super) fn write_pair((scope, contact, register): Pair, out: &mut Vec<u8>) {
    out.extend(&scope.bits().to_be_bytes()[1..]);
    out.extend(&contact.code().to_be_bytes()[1..]);
    out.extend(register.bits().to_be_bytes());
}

pub(super) fn write_erasure((scope, name, register): (Scope, [u8; 16], Register), out: &mut Vec<u8>) {
    out.extend(&scope.bits().to_be_bytes()[1..]);
    out.extend(name);
    out.extend(register.bits().to_be_bytes());
}

/// Reads the pairs of a section. Returns `None` if one of them is invalid.
pub(super) fn read_pairs(content: &[u8]) -> Option<Vec<Pair>> {
    let (records, rest) = content.as_chunks::<PAIR>();
    let read = |record: &[u8; PAIR]| {
        let contact = word(&record[3..10])?;
        Some((read_scope(record)?, E164::from_code(contact)?, Register::from_bits(word(&record[10..])?)?))
    };
    rest.is_empty().then(|| records.iter().map(read).collect())?
}

pub(super) fn read_erasures(content: &[u8]) -> Option<Vec<(Scope, [u8; 16], Register)>> {
    let (records, rest) = content.as_chunks::<ERASURE>();
    let read = |record: &[u8; ERASURE]| {
        let name = record[3..19].try_into().ok()?;
        let register = Register::from_bits(word(&record[19..])?)?;
        let scope = read_scope(record).filter(|scope| scope.environment().is_some())?;
        register.is_erasure().then_some((scope, name, register))
    };
    rest.is_empty().then(|| records.iter().map(read).collect())?
}

fn read_scope(record: &[u8]) -> Option<Scope> {
    Scope::from_bits(u32::try_from(word(&record[..3])?).ok()?)
}

/// Reads up to eight bytes as a big-endian integer.
fn word(bytes: &[u8]) -> Option<u64> {
    let mut word = [0; 8];
    word.get_mut(8 - bytes.len()..)?.copy_from_slice(bytes);
    Some(u64::from_be_bytes(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register() -> Register {
        Register::from_bits(u64::MAX >> 3).expect("no zero")
    }

    #[test]
    fn a_snapshot_round_trips_and_a_flipped_bit_or_a_truncation_is_rejected() {
        let head = Head { at: Position(7), witness: 8, sequence: 9, taken_at: Timestamp::from_secs(1_800_000_000) };
        let contact = E164::from_digits("000000000000000").expect("digits");
        let scope = Scope::from_bits(5).expect("a scope");
        let mut content = Vec::new();
        let pairs = vec![(scope, contact, register()), (scope, E164::from_digits("1").expect("digits"), register())];
        for pair in &pairs {
            write_pair(*pair, &mut content);
        }
        assert_eq!(content.len(), 36);
        let mut bytes = head.to_bytes();
        bytes.extend(Section { kind: b'P', content }.to_bytes());
        let read = |mut bytes: &[u8]| {
            let head = Head::read(&mut bytes).ok()?;
            let section = Section::read(&mut bytes).ok()?;
            Some((head, section.kind, read_pairs(&section.content)?))
        };
        assert_eq!(read(&bytes), Some((head, b'P', pairs)));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&flipped), None, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(read(&bytes[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn an_erasure_outside_an_environments_scope_is_rejected() {
        let environment = Scope::from_bits(0xFF_FFFF).expect("a scope");
        let erasure = Register::erasure(Timestamp::from_secs(1_800_000_000));
        let mut content = Vec::new();
        write_erasure((environment, [3; 16], erasure), &mut content);
        assert_eq!(read_erasures(&content), Some(vec![(environment, [3; 16], erasure)]));
        content[0] = 0;
        assert_eq!(read_erasures(&content), None);
        assert_eq!(read_erasures(&content[1..]), None);
    }
}
