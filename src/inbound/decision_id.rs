//! The ids of decisions. An id contains, encrypted, all that a later report about the decision needs, so no decision
//! has to be stored.
//!
//! An id is one block of 128 bits, encrypted with AES. The key never leaves the data directory. The block contains
//! the day, the tally, whether the decision was counted, a number that makes the id unique, and 39 zero bits. A
//! forged id has those zeros with a probability of 1 in 5 × 10^11. Without the key, an id can neither be read nor
//! changed.

use crate::slot::TallySlot;
use crate::sync::{AtomicU64, Ordering};
use crate::time::Day;
use aes::Aes128;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use std::fmt;
use uuid::Uuid;

/// The content of a decision's id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sealed {
    /// The day of the decision.
    pub day: Day,
    /// The tally that the decision counts for, or the tally of unmatched calls in its environment. `None` if there is
    /// neither.
    pub tally: Option<TallySlot>,
    /// Whether the decision is part of the statistics.
    pub is_counted: bool,
}

/// The content of a decrypted id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened {
    /// The content of the id.
    pub sealed: Sealed,
    /// A number that distinguishes the decision from all others.
    pub number: u64,
}

/// Encrypts and decrypts the ids of decisions.
pub struct DecisionIds {
    cipher: Aes128,
    /// Counts decisions, starting at a random number. Two runs of the process share a number only if their starting
    /// points are close together among 2^48.
    next: AtomicU64,
}

const NUMBER_BITS: u32 = 48;
const TALLY_BITS: u32 = 24;
const ZERO_BITS: u32 = 39;
/// A value that is not a valid [`TallySlot`].
const NO_TALLY: u128 = (1 << TALLY_BITS) - 1;

impl DecisionIds {
    /// Creates ids with this key, or with a random key that is lost when the process ends.
    pub fn new(key: Option<[u8; 16]>) -> Self {
        let key = key.unwrap_or_else(random);
        Self { cipher: Aes128::new(&key.into()), next: AtomicU64::new(u64::from_be_bytes(random())) }
    }

    /// Encrypts `sealed` as a new id.
    pub fn seal(&self, sealed: &Sealed) -> Uuid {
        // Relaxed: it only matters that each call gets a different number.
        let number = self.next.fetch_add(1, Ordering::Relaxed) & ((1 << NUMBER_BITS) - 1);
        self.seal_numbered(sealed, number)
    }

    fn seal_numbered(&self, sealed: &Sealed, number: u64) -> Uuid {
        let mut word = u128::from(sealed.day.index()) & 0xFFFF;
        word = word << TALLY_BITS | sealed.tally.map_or(NO_TALLY, |tally| tally.index() as u128);
        word = word << 1 | u128::from(sealed.is_counted);
        word = word << NUMBER_BITS | u128::from(number);
        let mut block = (word << ZERO_BITS).to_be_bytes().into();
        self.cipher.encrypt_block(&mut block);
        Uuid::from_bytes(block.into())
    }

    /// Encrypts `sealed` under the caller's number, so that repeating the call gives the same id. The numbers must be
    /// pseudo-random: two decisions with the same number and equal content would get the same id.
    pub fn seal_as(&self, sealed: &Sealed, number: u64) -> Uuid {
        self.seal_numbered(sealed, number & ((1 << NUMBER_BITS) - 1))
    }

    /// Decrypts an id. Returns `None` if it is forged or was encrypted with another key.
    pub fn open(&self, id: Uuid) -> Option<Opened> {
        let mut block = id.into_bytes().into();
        self.cipher.decrypt_block(&mut block);
        let word = u128::from_be_bytes(block.into());
        let mut rest = word;
        let mut take = |bits: u32| {
            let low = rest & ((1 << bits) - 1);
            rest >>= bits;
            low
        };
        let (zeros, number, is_counted, tally, day) =
            (take(ZERO_BITS), take(NUMBER_BITS), take(1), take(TALLY_BITS), take(16));
        let tally = usize::try_from(tally).ok().and_then(TallySlot::new);
        let sealed = Sealed { day: Day::from_index(u32::try_from(day).ok()?), tally, is_counted: is_counted == 1 };
        (zeros == 0).then_some(Opened { sealed, number: u64::try_from(number).ok()? })
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bits = [0; N];
    getrandom::fill(&mut bits).expect("the operating system provides random bytes");
    bits
}

impl fmt::Debug for DecisionIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecisionIds").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn id_opens_only_with_its_key_and_is_unique() {
        let (ours, theirs) = (DecisionIds::new(Some([1; 16])), DecisionIds::new(Some([2; 16])));
        let mut seen = HashSet::new();
        for day in [0, 20_605, 0xFFFF] {
            for tally in [None, Some(TallySlot::FIRST), Some(TallySlot::LAST)] {
                for is_counted in [false, true] {
                    let sealed = Sealed { day: Day::from_index(day), tally, is_counted };
                    let id = ours.seal(&sealed);
                    assert_eq!(ours.open(id).map(|opened| opened.sealed), Some(sealed));
                    assert_eq!(theirs.open(id), None);
                    assert!(seen.insert(id) && seen.insert(ours.seal(&sealed)));
                    // The id also opens after a restart.
                    assert_eq!(DecisionIds::new(Some([1; 16])).open(id), ours.open(id));
                }
            }
        }
        let numbers: HashSet<_> = seen.iter().map(|id| ours.open(*id).expect("ours").number).collect();
        assert_eq!(numbers.len(), seen.len());
    }

    #[test]
    fn id_with_any_bit_flipped_does_not_open() {
        let ids = DecisionIds::new(None);
        let id = ids.seal(&Sealed { day: Day::from_index(1), tally: None, is_counted: true }).as_u128();
        for bit in 0..128 {
            assert_eq!(ids.open(Uuid::from_u128(id ^ 1 << bit)), None, "bit {bit}");
        }
        assert_eq!(ids.open(Uuid::nil()), None);
    }
}
