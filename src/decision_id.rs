//! The identities of decisions: all that a later report about one needs, sealed, so that no decision has to be remembered.
//!
//! An identity is one block of 128 bits under AES with a key that never leaves the data directory: the day, the tally, whether the
//! decision was counted, a number that tells it from every other, and 39 zeros. Whoever makes one up hits upon those zeros
//! once in 5 × 10^11 times, and nothing can be read from one or changed in it.

use crate::slot::TallySlot;
use crate::sync::{AtomicU64, Ordering};
use crate::time::Day;
use aes::Aes128;
use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use std::fmt;
use uuid::Uuid;

/// What an identity says of its decision.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sealed {
    /// When it was made.
    pub(crate) day: Day,
    /// What it counts for, or else the unmatched calls of the environment that it was made in. `None`: in none.
    pub(crate) tally: Option<TallySlot>,
    /// Whether it is part of the statistics.
    pub(crate) is_counted: bool,
}

/// An identity that was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Opened {
    pub(crate) sealed: Sealed,
    /// Tells the decision from all others.
    pub(crate) number: u64,
}

/// Seals and opens identities.
pub(crate) struct DecisionIds {
    cipher: Aes128,
    /// Counts decisions, from a random number on: those of two runs would have to begin within one another's reach among 2^48
    /// to have one in common.
    next: AtomicU64,
}

const NUMBER_BITS: u32 = 48;
const TALLY_BITS: u32 = 24;
const ZERO_BITS: u32 = 39;
/// What no [`TallySlot`] is.
const NO_TALLY: u128 = (1 << TALLY_BITS) - 1;

impl DecisionIds {
    /// With this key, or with one that is gone with the process.
    pub(crate) fn new(key: Option<[u8; 16]>) -> Self {
        let key = key.unwrap_or_else(random);
        Self { cipher: Aes128::new(&key.into()), next: AtomicU64::new(u64::from_be_bytes(random())) }
    }

    pub(crate) fn seal(&self, sealed: &Sealed) -> Uuid {
        // Relaxed: that each gets another is all that matters.
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

    /// The same under a number that the caller brings, so that the same decision has the same identity however often it is told.
    /// Numbers must look random: two that are the same on one day, of two decisions, would be told apart by nothing.
    pub(crate) fn seal_as(&self, sealed: &Sealed, number: u64) -> Uuid {
        self.seal_numbered(sealed, number & ((1 << NUMBER_BITS) - 1))
    }

    /// What the identity says; `None` for one that was made up, or sealed with another key.
    pub(crate) fn open(&self, id: Uuid) -> Option<Opened> {
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
    getrandom::fill(&mut bits).expect("the operating system gives random bytes");
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
    fn an_identity_opens_with_its_key_alone_and_no_two_are_the_same() {
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
                    // After a restart too.
                    assert_eq!(DecisionIds::new(Some([1; 16])).open(id), ours.open(id));
                }
            }
        }
        let numbers: HashSet<_> = seen.iter().map(|id| ours.open(*id).expect("ours").number).collect();
        assert_eq!(numbers.len(), seen.len());
    }

    #[test]
    fn every_bit_is_sealed() {
        let ids = DecisionIds::new(None);
        let id = ids.seal(&Sealed { day: Day::from_index(1), tally: None, is_counted: true }).as_u128();
        for bit in 0..128 {
            assert_eq!(ids.open(Uuid::from_u128(id ^ 1 << bit)), None, "bit {bit}");
        }
        assert_eq!(ids.open(Uuid::nil()), None);
    }
}
