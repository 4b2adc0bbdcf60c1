//! Pseudonyms: the stored names of erased contacts.
//!
//! A call from before an erasure may be reported after it, and must be rejected for as long as it could count. The
//! store therefore has to recognise the erased contact, without storing the number. It stores a keyed hash of the
//! number, under a random key of the data directory.
//!
//! A person with the whole directory can test guessed numbers against the hash, and learn that one was erased. Every
//! way of rejecting late reports reveals this. The pseudonym is removed when the erasure expires.

use super::keys::{pack_pair, pack_scope};
use crate::number::E164;
use crate::slot::Scope;
use sha2::{Digest, Sha256};

/// The pseudonym key of a data directory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::store) struct PseudonymKey([u8; PseudonymKey::BYTES]);

/// A pseudonym. 128 bits make it certain in practice that two contacts have different ones.
pub(in crate::store) type Pseudonym = [u8; 16];

impl PseudonymKey {
    pub(in crate::store) const BYTES: usize = 32;

    pub(in crate::store) fn random() -> Self {
        let mut bytes = [0; Self::BYTES];
        getrandom::fill(&mut bytes).expect("the operating system provides random bytes");
        Self(bytes)
    }

    pub(in crate::store) const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    pub(in crate::store) const fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// Returns the pseudonym of a contact, which differs between environments. The hashed input has a fixed length and
    /// starts with the key, so a plain hash is a safe keyed hash.
    pub(in crate::store) fn of(&self, environment: Scope, contact: E164) -> Pseudonym {
        let digest = Sha256::new().chain_update(self.0).chain_update(pack_pair(environment, contact)).finalize();
        let mut pseudonym = Pseudonym::default();
        pseudonym.copy_from_slice(&digest[..16]);
        pseudonym
    }

    /// Returns a value that distinguishes the feeds of this key from those of others. The length of the hashed input differs
    /// from that of a pseudonym.
    pub(in crate::store) fn origin(&self, environment: Scope) -> [u8; 4] {
        let digest = Sha256::new().chain_update(self.0).chain_update(pack_scope(environment)).finalize();
        let mut origin = [0; 4];
        origin.copy_from_slice(&digest[..4]);
        origin
    }
}

/// Returns the pseudonym of an erased contact under this key.
pub fn pseudonym_of(key: &[u8; 32], environment: Scope, contact: E164) -> [u8; 16] {
    PseudonymKey(*key).of(environment, contact)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pseudonym_depends_on_key_environment_and_contact() {
        let scope = |bits| Scope::from_bits(bits).expect("24 bits");
        let contact = |digits| E164::from_digits(digits).expect("digits");
        let key = PseudonymKey::from_bytes([7; 32]);
        let one = key.of(scope(1), contact("15551234567"));
        assert_eq!(one, key.of(scope(1), contact("15551234567")));
        assert_ne!(one, key.of(scope(2), contact("15551234567")));
        assert_ne!(one, key.of(scope(1), contact("15551234568")));
        assert_ne!(one, PseudonymKey::from_bytes([8; 32]).of(scope(1), contact("15551234567")));
        assert!(PseudonymKey::random() != PseudonymKey::random());
    }
}
