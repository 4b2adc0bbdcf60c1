//! What stands for an erased contact on disk.
//!
//! A late report of a call from before the erasure must be refused for as long as it could count, so something has to be kept
//! that the contact can be recognised by. That is not the number: it is a keyed hash of it, under a key that the data directory
//! was given when it was made. Who has the whole directory can try numbers against it one by one, and learn of a number that
//! he guesses that it was erased; there is no way to refuse late reports of which that could not be said. It goes when the
//! erasure itself has expired.

use super::keys::pack_pair;
use crate::number::E164;
use crate::slot::Scope;
use sha2::{Digest, Sha256};

/// The key of a data directory's pseudonyms.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct PseudonymKey([u8; PseudonymKey::BYTES]);

/// 128 bits, so that no two contacts ever meet.
pub(super) type Pseudonym = [u8; 16];

impl PseudonymKey {
    pub(super) const BYTES: usize = 32;

    pub(super) fn random() -> Self {
        let mut bytes = [0; Self::BYTES];
        getrandom::fill(&mut bytes).expect("the system gives random bytes");
        Self(bytes)
    }

    pub(super) const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    pub(super) const fn bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }

    /// Different in each environment. What is hashed has one length, and the key comes first, so that a plain hash is a keyed one.
    pub(super) fn of(&self, environment: Scope, contact: E164) -> Pseudonym {
        let digest = Sha256::new().chain_update(self.0).chain_update(pack_pair(environment, contact)).finalize();
        let mut pseudonym = Pseudonym::default();
        pseudonym.copy_from_slice(&digest[..16]);
        pseudonym
    }
}

/// What stands for an erased contact, under this key.
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
