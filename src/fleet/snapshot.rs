//! The byte format of a snapshot: the state of a node, with the slots that its configurations define.
//!
//! [`frame`] has the format of the header and of the sections. The sections follow in this order:
//!
//! ```text
//! 'C'  configurations in their order, each with its length (4) in front, as JSON
//! 'K'  keys of pseudonyms, 32 bytes each
//! 'E'  erasures: environment's scope (3), pseudonym (16), register (8)
//! 'P'  pairs: number's scope (3), contact (7), register (8)
//! 'Z'  the numbers of configurations, erasures and pairs (8 each): the end
//! ```
//!
//! All integers are big-endian. Records of a kind have a fixed length, so a section is split without reading each
//! record. A pair takes 18 bytes.

mod frame;

pub(super) use frame::{Head, Reader, VERSION, Writer, wrong};

use crate::history::Register;
use crate::number::E164;
use crate::service::Pair;
use crate::slot::Scope;

/// The approximate number of records in a section.
pub(super) const RECORDS: usize = 1 << 16;
const PAIR: usize = 18;
const ERASURE: usize = 27;

/// A piece of a snapshot.
pub(super) struct Section {
    pub(super) kind: u8,
    pub(super) content: Vec<u8>,
}

pub(super) fn write_pair((scope, contact, register): Pair, out: &mut Vec<u8>) {
    out.extend(&scope.bits().to_be_bytes()[1..]);
    out.extend(&contact.code().to_be_bytes()[1..]);
    out.extend(register.to_stored().to_be_bytes());
}

pub(super) fn write_erasure((scope, name, register): (Scope, [u8; 16], Register), out: &mut Vec<u8>) {
    out.extend(&scope.bits().to_be_bytes()[1..]);
    out.extend(name);
    out.extend(register.to_stored().to_be_bytes());
}

/// Reads the pairs of a section. Returns `None` if one of them is invalid.
pub(super) fn read_pairs(content: &[u8]) -> Option<Vec<Pair>> {
    let (records, rest) = content.as_chunks::<PAIR>();
    let read = |record: &[u8; PAIR]| {
        let contact = word(&record[3..10])?;
        Some((read_scope(record)?, E164::from_code(contact)?, Register::from_stored(word(&record[10..])?)?))
    };
    rest.is_empty().then(|| records.iter().map(read).collect())?
}

pub(super) fn read_erasures(content: &[u8]) -> Option<Vec<(Scope, [u8; 16], Register)>> {
    let (records, rest) = content.as_chunks::<ERASURE>();
    let read = |record: &[u8; ERASURE]| {
        let name = record[3..19].try_into().ok()?;
        let register = Register::from_stored(word(&record[19..])?)?;
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
mod tests;
