//! Pairs as keys of the embedded store.

use crate::number::E164;
use crate::slot::Scope;

/// Packs 24 bits of scope and 50 bits of contact into ten bytes, which sort like the pairs.
pub(in crate::store) fn pack_pair(scope: Scope, contact: E164) -> [u8; 10] {
    let pair = u128::from(scope.bits()) << 56 | u128::from(contact.code());
    let mut key = [0; 10];
    key.copy_from_slice(&pair.to_be_bytes()[6..]);
    key
}

pub(in crate::store) fn unpack_pair(key: [u8; 10]) -> Option<(Scope, E164)> {
    let mut bytes = [0; 16];
    bytes[6..].copy_from_slice(&key);
    let pair = u128::from_be_bytes(bytes);
    let scope = u32::try_from(pair >> 56).ok().and_then(Scope::from_bits)?;
    let contact = u64::try_from(pair & ((1 << 56) - 1)).ok().and_then(E164::from_code)?;
    Some((scope, contact))
}

/// Returns the first three bytes of all keys of this scope.
pub(in crate::store) fn pack_scope(scope: Scope) -> [u8; 3] {
    let [_, bytes @ ..] = scope.bits().to_be_bytes();
    bytes
}

pub(in crate::store) fn unpack_scope(bytes: [u8; 3]) -> Option<Scope> {
    let [a, b, c] = bytes;
    Scope::from_bits(u32::from_be_bytes([0, a, b, c]))
}

/// Returns the key half way between two keys. It may be the lower one.
pub(in crate::store) fn between(low: [u8; 10], high: [u8; 10]) -> [u8; 10] {
    let number = |key: [u8; 10]| {
        let mut bytes = [0; 16];
        bytes[6..].copy_from_slice(&key);
        u128::from_be_bytes(bytes)
    };
    let (low, high) = (number(low), number(high));
    let mut key = [0; 10];
    key.copy_from_slice(&(low + high.saturating_sub(low) / 2).to_be_bytes()[6..]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_pairs_sort_like_pairs_and_unpack() {
        let scopes = [0, 1, 0xFF_FFFF].map(|bits| Scope::from_bits(bits).expect("24 bits"));
        let contacts = ["1", "15551234567", "999999999999999", "0", "000000000000000"];
        let contacts = contacts.map(|digits| E164::from_digits(digits).expect("digits"));
        for scope in scopes {
            assert_eq!(unpack_scope(pack_scope(scope)), Some(scope));
            for contact in contacts {
                let key = pack_pair(scope, contact);
                assert_eq!(unpack_pair(key), Some((scope, contact)));
                assert_eq!(key[..3], pack_scope(scope));
            }
        }
        assert!(pack_pair(scopes[0], contacts[2]) < pack_pair(scopes[1], contacts[0]));
        assert_eq!(unpack_pair([0xFF; 10]), None);
    }

    #[test]
    fn a_key_between_two_keys_is_above_the_lower_and_below_the_higher() {
        let keys = [[0; 10], [0, 0, 0, 0, 0, 0, 0, 0, 0, 9], [0, 0, 1, 0, 0, 0, 0, 0, 0, 0], [0xFF; 10]];
        for (low, high) in keys.iter().zip(&keys[1..]) {
            let middle = between(*low, *high);
            assert!(*low < middle && middle < *high);
        }
        assert_eq!(between([7; 10], [7; 10]), [7; 10]);
    }
}
