//! The place where a list of changes continues.
//!
//! A cursor is one encrypted block, because an environment token must not learn how many changes other environments made. The
//! key belongs to the data directory, so a cursor stays valid after a restart.

use crate::http::Api;
use crate::id::EnvironmentId;
use aes::Aes128;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// A place in the list of changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::http) struct Cursor {
    /// The list continues below this sequence.
    pub(in crate::http) before: u64,
    /// The environment's revision at the next of its changes; 0 in the list of all environments.
    pub(in crate::http) revision: u64,
}

/// Encrypts and decrypts the cursors of one reader.
pub(in crate::http) struct Cursors {
    cipher: Aes128,
    /// Marks the cursors of this reader. A cursor of another one is not accepted.
    mark: u32,
}

const BITS: u32 = 48;
const MARK_BITS: u32 = 32;

impl Cursors {
    /// Returns the cursors of an environment token, or of operators with [`EnvironmentId::SYSTEM`].
    pub(in crate::http) fn of(api: &Api, reader: EnvironmentId) -> Self {
        Self::new(api.service().secret().unwrap_or_default(), reader)
    }

    fn new(secret: [u8; 16], reader: EnvironmentId) -> Self {
        let key: [u8; 32] = Sha256::new().chain_update("cursors of changes").chain_update(secret).finalize().into();
        let mark: [u8; 32] = Sha256::digest(reader.as_u128().to_be_bytes()).into();
        let (key, mark) = (*key.first_chunk::<16>().expect("it is longer"), *mark.first_chunk().expect("it is longer"));
        Self { cipher: Aes128::new(&key.into()), mark: u32::from_be_bytes(mark) }
    }

    /// Returns the cursor as text.
    pub(in crate::http) fn write(&self, Cursor { before, revision }: Cursor) -> String {
        let low = |word: u64| u128::from(word) & ((1 << BITS) - 1);
        let word = (low(before) << BITS | low(revision)) << MARK_BITS | u128::from(self.mark);
        let mut block = word.to_be_bytes().into();
        self.cipher.encrypt_block(&mut block);
        Uuid::from_bytes(block.into()).simple().to_string()
    }

    /// Reads the text of a cursor. Returns `None` if it is none of this reader.
    pub(in crate::http) fn read(&self, text: &str) -> Option<Cursor> {
        let mut block = Uuid::try_parse(text).ok()?.into_bytes().into();
        self.cipher.decrypt_block(&mut block);
        let word = u128::from_be_bytes(block.into());
        let part = |shift: u32| u64::try_from(word >> shift & ((1 << BITS) - 1)).ok();
        let is_ours = word & ((1 << MARK_BITS) - 1) == u128::from(self.mark);
        Some(Cursor { before: part(MARK_BITS + BITS)?, revision: part(MARK_BITS)? }).filter(|_| is_ours)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: EnvironmentId = EnvironmentId::from_u128(1);

    #[test]
    fn cursor_reads_back_only_for_its_reader_and_its_directory() {
        let ours = Cursors::new([1; 16], ONE);
        let others = [Cursors::new([1; 16], EnvironmentId::SYSTEM), Cursors::new([2; 16], ONE)];
        for cursor in [
            Cursor { before: 1, revision: 0 },
            Cursor { before: 1_000_000, revision: 77 },
            Cursor { before: (1 << BITS) - 1, revision: (1 << BITS) - 1 },
        ] {
            let text = ours.write(cursor);
            assert_eq!(Cursors::new([1; 16], ONE).read(&text), Some(cursor));
            assert!(others.iter().all(|other| other.read(&text).is_none()));
        }
        for text in ["", "7", "00000000000000000000000000000000", "zz000000000000000000000000000000"] {
            assert_eq!(ours.read(text), None, "{text}");
        }
    }
}
