//! A line of eight slots: a cache line of key words, followed by a cache line of registers.
//!
//! The state of a slot goes one way. An *empty* slot is *claimed* by a pair for good, its register rises, and finally
//! the register is *moved* or *dropped*. An empty slot can also be *sealed*. The last state stays until the whole table
//! is given back, when no thread can be writing to it.
//!
//! # Orderings
//! Within a table, nothing depends on the order of two words. Each word only goes forward. A thread that saw a word in
//! one state sees it in that state or a later one from then on (coherence of one location). Each operation describes
//! the order that it needs. There are three kinds:
//!
//! * (a) A slot that ends means "look in the next table", so the next table must be visible with the end.
//! * (b) A late reader may read a line that is already in use for something else. It must then see that its version
//!   ended.
//! * A mover must copy what the last writer wrote. Coherence ensures that, through compare-and-swap.

use super::compare::{Compare, settled};
use super::shape::{Key, SLOTS, UNMARKED, marks};
use crate::sync::{AtomicU64, Ordering, canary, order};

/// The key word of a slot that no pair claimed before its line was moved, and that no pair can claim any more. No pair
/// has this word: its displacement field is zero, which it never is in a pair's word.
pub(crate) const SEALED: u64 = 1;
/// The register of a pair that lives on in the next table.
pub(crate) const MOVED: u64 = u64::MAX;
/// The register of a pair that a growth dropped: expired, of a retired scope, or claimed and never written.
pub(crate) const DROPPED: u64 = u64::MAX - 1;

/// Aligned to two cache lines: one for the key words, one for the registers.
#[repr(C, align(128))]
pub(crate) struct Line {
    keys: [AtomicU64; SLOTS],
    registers: [AtomicU64; SLOTS],
}

/// The result of a search in one line.
pub(crate) enum Found {
    /// The pair's register as it is. It may be zero, or one of the words of a slot that has ended.
    Register(u64),
    /// The pair is not in this line, and not in a later one.
    Nowhere,
    /// The pair is not in this line. The next line may have it.
    Further,
    /// The pair is not in this table, because the line was sealed before the pair was written. The next table may have
    /// it.
    Sealed,
}

/// The result of a write to one line.
pub(crate) enum Wrote {
    /// The register is at least the value. `old` is the word before.
    Before { old: u64, claimed: bool },
    /// The pair's slot, or the slot that it would have claimed, has ended: the pair belongs to the next table. With
    /// `claimed`, the pair was claimed here and dropped before it was written. The thread that dropped it has
    /// subtracted it from the count.
    Ended { claimed: bool },
    /// A slot is free, but the caller did not allow a claim.
    Free,
    /// All slots belong to other pairs, and the line is marked for this pair.
    Full,
}

// The vector comparisons load the key words as one cache line.
const _: () = assert!(cfg!(loom) || align_of::<Line>() >= 64, "a line begins a cache line");

impl Line {
    #[cfg(loom)]
    pub(crate) fn new() -> Line {
        Line { keys: std::array::from_fn(|_| AtomicU64::new(0)), registers: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// Returns a line with these key words.
    #[cfg(all(test, not(loom)))]
    pub(in crate::history) fn of(words: [u64; SLOTS]) -> Line {
        Line { keys: words.map(AtomicU64::new), registers: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// Returns the key words, which are a cache line.
    #[inline(always)]
    pub(in crate::history) fn keys(&self) -> &[AtomicU64; SLOTS] {
        &self.keys
    }

    /// Returns the registers, which are a cache line.
    #[inline(always)]
    pub(in crate::history) fn registers(&self) -> &[AtomicU64; SLOTS] {
        &self.registers
    }

    /// Returns the key's register if no slot of the line has ended, or zero if the key is not here. Returns `None` if
    /// the next line may have the key. Before it uses the result, the caller must check, after this call, that no slot
    /// had ended.
    #[inline(always)]
    pub(crate) fn find_intact(&self, compare: impl Compare, key: Key) -> Option<u64> {
        match compare.first(&self.keys, key) {
            // A pair has one slot, so there is one hit at most.
            Some(slot) => Some(settled(self).registers[slot].load(Ordering::Relaxed)),
            None => (!compare.is_marked(&self.keys, key)).then_some(0),
        }
    }

    /// Searches for the key. All loads are relaxed: the caller fences before it uses or follows the result (a, b).
    #[inline(always)]
    pub(crate) fn find(&self, compare: impl Compare, key: Key) -> Found {
        if let Some(slot) = compare.first(&self.keys, key) {
            Found::Register(self.registers[slot].load(Ordering::Relaxed))
        } else if self.is_sealed() {
            // A seal stays, and a sealed line has no marks to follow: a line that was full has nothing to seal.
            Found::Sealed
        } else if compare.is_marked(&self.keys, key) {
            Found::Further
        } else {
            Found::Nowhere
        }
    }

    /// Raises the register of a pair that has a slot here. Returns the previous register, or `None` if there is no slot
    /// or the slot has ended.
    #[inline(always)]
    pub(crate) fn raise_held(&self, compare: impl Compare, key: Key, value: u64) -> Option<u64> {
        match self.raise_slot(compare.first(&self.keys, key)?, value, false) {
            Wrote::Before { old, .. } => Some(old),
            _ => None,
        }
    }

    /// Raises the pair's register to `value`. Claims a slot for the pair if `claim`.
    #[inline]
    pub(crate) fn raise(&self, compare: impl Compare, key: Key, value: u64, claim: bool) -> Wrote {
        if let Some(slot) = compare.first(&self.keys, key) {
            return self.raise_slot(slot, value, false);
        }
        // The slots before the first free one are claimed for good. But only a search *after* the search for the free
        // slot shows that other pairs have all of them. In the opposite order, the pair could be claimed between the
        // two searches, and then claimed again.
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
                // Release: a late reader that finds this key in a line of an older table sees that its version ended
                // (b). Relaxed on failure: another pair's key says nothing except that it is there.
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

    /// Returns whether any slot is sealed. Slots are sealed from the last one down, so one load is enough.
    #[inline(always)]
    fn is_sealed(&self) -> bool {
        self.keys[SLOTS - 1].load(Ordering::Relaxed) == SEALED
    }

    #[inline(always)]
    fn raise_slot(&self, slot: usize, value: u64, claimed: bool) -> Wrote {
        let register = &self.registers[slot];
        // Acquire: if the register has ended, the next table must be visible (a).
        let old = register.load(Ordering::Acquire);
        if old >= DROPPED {
            return Wrote::Ended { claimed };
        }
        if old >= value {
            return Wrote::Before { old, claimed };
        }
        // Acquire: if the register has ended, the next table must be visible (a). Release: a late reader that finds
        // this value sees that its version ended (b).
        let old = register.fetch_max(value, order!(AcqRel, "raise"));
        if old >= DROPPED { Wrote::Ended { claimed } } else { Wrote::Before { old, claimed } }
    }

    /// Marks the line, so that searches for pairs with these marks continue in the next line. This comes before the
    /// pair's slot there is claimed. A thread that learns of the pair therefore also finds the way to it.
    fn leave_marks(&self, key: Key) {
        if canary("mark") {
            return;
        }
        for (slot, bit) in marks(key) {
            if self.keys[slot].load(Ordering::Relaxed) >> bit & 1 == 0 {
                // Release: a late reader that finds this mark sees that its version ended (b).
                self.keys[slot].fetch_or(1 << bit, Ordering::Release);
            }
        }
    }

    /// Returns whether no slot was claimed or sealed.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.iter().all(|key| key.load(Ordering::Relaxed) == 0)
    }

    /// Returns the key word and the register of a slot.
    #[inline(always)]
    pub(crate) fn slot(&self, slot: usize) -> (u64, u64) {
        // Acquire on both: the iteration reads slots one by one, and so needs no fence of its own to follow a register
        // to the next table (a).
        let key = self.keys[slot].load(Ordering::Acquire);
        (key & UNMARKED, self.registers[slot].load(Ordering::Acquire))
    }

    /// Seals a slot that no pair has claimed. If a pair has claimed it, returns that pair's key word without its marks.
    pub(crate) fn seal(&self, slot: usize) -> Option<u64> {
        // Release: a thread that sees the seal sees the next table (a).
        match self.keys[slot].compare_exchange(0, SEALED, order!(AcqRel, "seal"), Ordering::Acquire) {
            Ok(_) | Err(SEALED) => None,
            Err(key) => Some(key & UNMARKED),
        }
    }

    /// Returns the register of a slot, for the mover.
    pub(crate) fn register(&self, slot: usize) -> u64 {
        self.registers[slot].load(Ordering::Acquire)
    }

    /// Ends a slot if its register is still `seen`. Returns the present register if it is not.
    pub(crate) fn end(&self, slot: usize, seen: u64, end: u64) -> Result<(), u64> {
        // Release: a thread that sees the end sees the copy that was made before (a), and the next table.
        if canary("end re-check") {
            self.registers[slot].store(end, Ordering::Release);
            return Ok(());
        }
        self.registers[slot].compare_exchange(seen, end, order!(AcqRel, "end"), Ordering::Acquire).map(drop)
    }

    /// Clears the line. No thread may be writing to it, and the caller has fenced (b).
    pub(crate) fn clear(&self) {
        for word in self.keys.iter().chain(&self.registers) {
            word.store(0, Ordering::Relaxed);
        }
    }

    /// Makes the system provide the memory of the line's page. No other thread may know the line.
    ///
    /// This is a store, because an operation that changes nothing, such as adding zero, is compiled to a load.
    pub(crate) fn touch(&self) {
        self.keys[0].store(0, Ordering::Relaxed);
    }
}

/// Returns whether two key words of one line belong to the same pair. Their marks do not matter.
#[inline(always)]
fn same(word: u64, key: u64) -> bool {
    (word ^ key) & UNMARKED == 0
}
