//! Eight slots: a cache line of key words, then one of registers.
//!
//! A slot goes one way: *empty* → *claimed* by a pair, for good → its register rises → it is *moved* or *dropped*. Or
//! *empty* → *sealed*. Its last state stays until the whole table is given back, when nobody can be writing to it.
//!
//! # Orderings
//! Within a table nothing depends on the order of two words: each only goes forward, and whoever saw a word in one
//! state sees it there or further on from then on (coherence of one location). What needs an order is said at each
//! operation, and is of three kinds: a slot that ends says "look in the next table", so the next table must be visible
//! with it (a); a reader that is late may read a line that is in use for something else by now, and must then see that
//! its version ended (b); a mover must copy what the last writer wrote (coherence again, through compare-and-swap).

use super::compare::Compare;
use super::memory::settled;
use super::shape::{Key, SLOTS, UNMARKED, marks};
use crate::sync::{AtomicU64, Ordering, canary, order};

/// A key word that nobody claimed before its line was moved, and nobody can claim any more. No pair has it: its
/// displacement field is zero, which in a pair's word it never is.
pub(crate) const SEALED: u64 = 1;
/// A register that lives on in the next table.
pub(crate) const MOVED: u64 = u64::MAX;
/// A register that a growth left behind: expired, of a retired scope, or claimed and never written.
pub(crate) const DROPPED: u64 = u64::MAX - 1;

/// Aligned to two cache lines: one for the key words, one for the registers.
#[repr(C, align(128))]
pub(crate) struct Line {
    keys: [AtomicU64; SLOTS],
    registers: [AtomicU64; SLOTS],
}

/// What a search found in one line.
pub(crate) enum Found {
    /// The pair's register, as it is: it may be zero, or one of the words that say it ended.
    Register(u64),
    /// Not here and not further on.
    Nowhere,
    /// Not here; perhaps in the next line.
    Further,
    /// Not here, nor further on in this table: the line was sealed before the pair came. Perhaps in the next table.
    Sealed,
}

/// What a write did in one line.
pub(crate) enum Wrote {
    /// The register is at least the value; this is the word before.
    Before { old: u64, claimed: bool },
    /// The pair's slot, or the one it would have taken, ended: the pair belongs to the next table. It may have been
    /// claimed here, and then dropped before it was written: who dropped it has counted it out.
    Ended { claimed: bool },
    /// A slot is free, but the caller did not allow a claim.
    Free,
    /// All slots are others', and the line is marked for this pair.
    Full,
}

impl Line {
    #[cfg(loom)]
    pub(crate) fn new() -> Line {
        Line { keys: std::array::from_fn(|_| AtomicU64::new(0)), registers: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// A line with these key words.
    #[cfg(all(test, not(loom)))]
    pub(super) fn of(words: [u64; SLOTS]) -> Line {
        Line { keys: words.map(AtomicU64::new), registers: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// The key words: a cache line.
    #[inline(always)]
    pub(super) fn keys(&self) -> &[AtomicU64; SLOTS] {
        &self.keys
    }

    /// The registers: a cache line.
    #[inline(always)]
    pub(super) fn registers(&self) -> &[AtomicU64; SLOTS] {
        &self.registers
    }

    /// The register of the key where no slot of the line has ended, zero where there is none; `None` where the next line
    /// may have it. Whoever believes it has to know that, behind this look.
    #[inline(always)]
    pub(crate) fn find_calm(&self, compare: impl Compare, key: Key) -> Option<u64> {
        match compare.first(&self.keys, key) {
            // One pair has one slot, so there is one hit.
            Some(slot) => Some(settled(self).registers[slot].load(Ordering::Relaxed)),
            None => (!compare.is_marked(&self.keys, key)).then_some(0),
        }
    }

    /// Looks for the key. Relaxed throughout: the caller fences before it believes or follows anything (a, b).
    #[inline(always)]
    pub(crate) fn find(&self, compare: impl Compare, key: Key) -> Found {
        if let Some(slot) = compare.first(&self.keys, key) {
            Found::Register(self.registers[slot].load(Ordering::Relaxed))
        } else if self.is_sealed() {
            // For good, and not marked as well: a line that was full has nothing to seal.
            Found::Sealed
        } else if compare.is_marked(&self.keys, key) {
            Found::Further
        } else {
            Found::Nowhere
        }
    }

    /// Raises the register of a pair that has a slot here, unless it ended; the register before.
    #[inline(always)]
    pub(crate) fn raise_held(&self, compare: impl Compare, key: Key, value: u64) -> Option<u64> {
        match self.raise_slot(compare.first(&self.keys, key)?, value, false) {
            Wrote::Before { old, .. } => Some(old),
            _ => None,
        }
    }

    /// Raises the pair's register to `value`, claiming a slot for it if `claim`.
    #[inline]
    pub(crate) fn raise(&self, compare: impl Compare, key: Key, value: u64, claim: bool) -> Wrote {
        if let Some(slot) = compare.first(&self.keys, key) {
            return self.raise_slot(slot, value, false);
        }
        // The slots before the first free one are taken for good; but only a look *after* the one for it tells that they
        // are all others'. (The other way round, the pair could be claimed in between, and then claimed again.)
        let free = compare.first(&self.keys, Key::EMPTY);
        if !canary("claim look")
            && let Some(slot) = compare.first(&self.keys, key)
        {
            return self.raise_slot(slot, value, false);
        }
        if free.is_none() && self.is_sealed() && !canary("sealed look") {
            return Wrote::Ended { claimed: false };
        }
        let word = key.word();
        for slot in free.unwrap_or(SLOTS)..SLOTS {
            let mut found = self.keys[slot].load(Ordering::Relaxed);
            if found == 0 {
                if !claim {
                    return Wrote::Free;
                }
                // Release: a late reader that meets this key in a line of an older table sees that its version
                // ended (b). Relaxed on failure: another's key says nothing but that it is there.
                match self.keys[slot].compare_exchange(0, word, order!(Release, "claim"), Ordering::Relaxed) {
                    Ok(_) => return self.raise_slot(slot, value, true),
                    Err(now) => found = now,
                }
            }
            if same(found, word) {
                return self.raise_slot(slot, value, false);
            }
            if found == SEALED {
                return Wrote::Ended { claimed: false };
            }
        }
        self.leave_marks(key);
        Wrote::Full
    }

    /// Whether any slot is sealed: from the last one down they are, so one look tells.
    #[inline(always)]
    fn is_sealed(&self) -> bool {
        self.keys[SLOTS - 1].load(Ordering::Relaxed) == SEALED
    }

    #[inline(always)]
    fn raise_slot(&self, slot: usize, value: u64, claimed: bool) -> Wrote {
        let register = &self.registers[slot];
        // Acquire: if it ended, the next table must be visible (a).
        let old = register.load(Ordering::Acquire);
        if old >= DROPPED {
            return Wrote::Ended { claimed };
        }
        if old >= value {
            return Wrote::Before { old, claimed };
        }
        // Acquire as above; release: a late reader that meets this value sees that its version ended (b).
        let old = register.fetch_max(value, order!(AcqRel, "raise"));
        if old >= DROPPED { Wrote::Ended { claimed } } else { Wrote::Before { old, claimed } }
    }

    /// Tells searches for pairs of this one's marks to go on to the next line. Before the pair's slot there is claimed, so
    /// that who was told of the pair is also told to look there.
    fn leave_marks(&self, key: Key) {
        if canary("mark") {
            return;
        }
        for (slot, bit) in marks(key) {
            if self.keys[slot].load(Ordering::Relaxed) >> bit & 1 == 0 {
                // Release: as for a claim (b).
                self.keys[slot].fetch_or(1 << bit, Ordering::Release);
            }
        }
    }

    /// One slot as it is: key word and register.
    #[inline(always)]
    pub(crate) fn slot(&self, slot: usize) -> (u64, u64) {
        // Acquire on both: the iteration, which reads slots one by one, then needs no fence of its own to follow a
        // register to the next table (a).
        let key = self.keys[slot].load(Ordering::Acquire);
        (key & UNMARKED, self.registers[slot].load(Ordering::Acquire))
    }

    /// Closes a slot that nobody claimed; the key word that is there instead, without its marks, if somebody did.
    pub(crate) fn seal(&self, slot: usize) -> Option<u64> {
        // Release: who sees the seal sees the next table (a).
        match self.keys[slot].compare_exchange(0, SEALED, order!(AcqRel, "seal"), Ordering::Acquire) {
            Ok(_) | Err(SEALED) => None,
            Err(key) => Some(key & UNMARKED),
        }
    }

    /// The register of a slot, for the mover.
    pub(crate) fn register(&self, slot: usize) -> u64 {
        self.registers[slot].load(Ordering::Acquire)
    }

    /// Ends a slot whose register is still `seen`; what it is by now, if not.
    pub(crate) fn end(&self, slot: usize, seen: u64, end: u64) -> Result<(), u64> {
        // Release: who sees the end sees the copy that was made before (a), and the next table.
        if canary("end re-check") {
            self.registers[slot].store(end, Ordering::Release);
            return Ok(());
        }
        self.registers[slot].compare_exchange(seen, end, order!(AcqRel, "end"), Ordering::Acquire).map(drop)
    }

    /// Makes the line as new. Only where no writer is: the caller has fenced (b).
    pub(crate) fn clear(&self) {
        for word in self.keys.iter().chain(&self.registers) {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Makes the system find memory for the page that the line lies in. Only where nobody else knows the line.
    ///
    /// A store: what changes nothing, as an addition of zero would, is compiled to a load.
    pub(crate) fn touch(&self) {
        self.keys[0].store(0, Ordering::Relaxed);
    }
}

/// Whether two key words are of one pair, in the same line: their marks do not matter.
#[inline(always)]
fn same(word: u64, key: u64) -> bool {
    (word ^ key) & UNMARKED == 0
}
