//! Registers as values, and the keys of erasures.

use super::keys::{pack_scope, unpack_pair, unpack_scope};
use super::pseudonym::{Pseudonym, PseudonymKey};
use crate::history::Register;
use crate::number::E164;
use crate::slot::Scope;

/// Encodes a register.
pub(in crate::store) fn register_value(register: Register) -> [u8; 8] {
    register.to_stored().to_be_bytes()
}

/// Decodes a stored register.
pub(in crate::store) fn read_register(value: &[u8]) -> Option<Register> {
    Register::from_stored(u64::from_be_bytes(value.try_into().ok()?))
}

/// Decodes a stored register and its key.
pub(in crate::store) fn read_pair(key: &[u8], value: &[u8]) -> Option<(Scope, E164, Register)> {
    let (scope, contact) = unpack_pair(key.try_into().ok()?)?;
    Some((scope, contact, read_register(value)?))
}

/// Returns the key under which an erasure is stored.
pub(in crate::store) fn erasure_key(key: &PseudonymKey, environment: Scope, contact: E164) -> Vec<u8> {
    pseudonym_key(environment, &key.of(environment, contact))
}

/// Returns the key under which the erasure of a pseudonym is stored.
pub(in crate::store) fn pseudonym_key(environment: Scope, pseudonym: &Pseudonym) -> Vec<u8> {
    [&pack_scope(environment)[..], pseudonym].concat()
}

/// Returns the environment and the pseudonym of an erasure's key.
pub(in crate::store) fn read_pseudonym(key: &[u8]) -> Option<(Scope, Pseudonym)> {
    let (scope, pseudonym) = key.split_first_chunk()?;
    let scope = unpack_scope(*scope)?;
    scope.environment()?;
    Some((scope, pseudonym.try_into().ok()?))
}
