//! The byte format of a snapshot: the state of a node, with the slots that its configurations define.
//!
//! [`frame`] has the format of the header and of the sections. The sections follow in this order:
//!
//! ```text
//! 'C'  configurations in their order, each with its length (4) in front, as JSON
//! 'K'  keys of pseudonyms, 32 bytes each
//! 'E'  erasures: environment's scope (3), pseudonym (16), register (8)
//! 'P'  pairs: number's scope (3), contact (7), register (8)
//! 'E'  nothing, if the sections behind 'Z' follow
//! 'Z'  the numbers of configurations, erasures and pairs (8 each): the end for nodes of earlier versions
//! 'D'  calls with an id or a context: length of the key (1), key, length of the value (2), value, as in a store
//! 'Y'  the number of these calls (8): the end
//! ```
//!
//! All integers are big-endian. Configurations, and calls with an id or a context, have lengths. Records of the other
//! kinds have a fixed length, so a section is split without reading each record. A pair takes 18 bytes.
//!
//! Nodes of earlier versions read up to 'Z', and take an empty section 'E' for one without erasures. So they can load a
//! snapshot with ids and contexts, without these. Without any, the sections behind 'Z' are missing.

mod frame;

pub(super) use frame::{Head, Reader, VERSION, Writer, wrong};

use crate::event::wire::take;
use crate::history::Register;
use crate::number::E164;
use crate::service::Pair;
use crate::slot::Scope;
use crate::store::calls::{CallKey, CallValue};

/// The approximate number of bytes in a section of calls with an id or a context.
pub(super) const BYTES: usize = 1 << 20;
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

/// Writes a call with an id or a context, as a store keeps it. Leaves out one that is too long, which no store has.
pub(super) fn write_known((key, value): (&[u8], &[u8]), out: &mut Vec<u8>) {
    if let (Ok(key_len), Ok(value_len)) = (u8::try_from(key.len()), u16::try_from(value.len())) {
        out.push(key_len);
        out.extend(key);
        out.extend(value_len.to_be_bytes());
        out.extend(value);
    }
}

/// Reads the calls of a section. Returns `None` if one of them is invalid.
pub(super) fn read_known(mut content: &[u8]) -> Option<Vec<(CallKey, CallValue)>> {
    let mut calls = Vec::new();
    while !content.is_empty() {
        let [len] = take(&mut content)?;
        let (key, rest) = content.split_at_checked(usize::from(len))?;
        content = rest;
        let len = u16::from_be_bytes(take(&mut content)?);
        let (value, rest) = content.split_at_checked(usize::from(len))?;
        content = rest;
        calls.push((CallKey::from_bytes(key)?, CallValue::from_bytes(value)?));
    }
    Some(calls)
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
