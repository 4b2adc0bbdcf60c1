//! The index from a dialed number to its slot, which each decision begins with.

use super::entry::NumberEntry;
use super::slots::Slots;
use crate::number::E164;
use crate::slot::NumberSlot;
use ahash::RandomState;
use std::sync::Arc;

/// The number of shards. A change copies one shard.
const SHARDS: usize = 1024;

/// A map from numbers to slots. It needs a third of the instructions and of the memory of an
/// [`Index`](super::index::Index). A place takes four bytes. The number is compared in the slot's entry, which a
/// decision reads next anyway. The caller passes the entries.
#[derive(Clone)]
pub(super) struct Dialed {
    shards: Arc<[Shard; SHARDS]>,
    /// The keys of the hash, so that an attacker cannot choose colliding numbers.
    keys: [u64; 2],
}

/// An open-addressing table, at most half full. Its length is a power of two.
#[derive(Clone)]
struct Shard {
    words: Arc<[u32]>,
    /// Words that are not free.
    used: usize,
}

/// The word of a place that was never used. A search ends at it.
const FREE: u32 = 0;
/// The bits of a word with its tag: bits of the number's hash.
const TAG: u32 = 0xFF00_0000;
/// The word of a removed number: a tag without a slot. In each other used word, the bits below the tag are the slot's
/// index plus one.
const REMOVED: u32 = 0x0100_0000;

impl Dialed {
    /// Returns the entry of a number from `numbers`.
    #[inline]
    pub(super) fn get<'a>(&self, numbers: &'a Slots<NumberEntry>, number: E164) -> Option<&'a NumberEntry> {
        let hash = self.hash(number);
        let words = &self.shards[shard_of(hash)].words;
        for place in places(hash, words.len()) {
            let word = words[place];
            match entry(numbers, word ^ tag_of(hash)) {
                Some(entry) if entry.number == Some(number) => return Some(entry),
                _ if word == FREE => return None,
                _ => {}
            }
        }
        None
    }

    /// Inserts a number that the index does not hold yet. `numbers` must have the entry of its slot.
    pub(super) fn insert(&mut self, numbers: &Slots<NumberEntry>, number: E164, slot: NumberSlot) {
        debug_assert!(self.get(numbers, number).is_none());
        let hash = self.hash(number);
        if self.shards[shard_of(hash)].is_full() {
            let grown = self.grown(numbers, shard_of(hash));
            Arc::make_mut(&mut self.shards)[shard_of(hash)] = grown;
        }
        Arc::make_mut(&mut self.shards)[shard_of(hash)].put(hash, word_of(hash, slot));
    }

    pub(super) fn remove(&mut self, numbers: &Slots<NumberEntry>, number: E164) {
        let Some(slot) = self.get(numbers, number).map(|entry| entry.slot) else { return };
        let hash = self.hash(number);
        let words = Arc::make_mut(&mut Arc::make_mut(&mut self.shards)[shard_of(hash)].words);
        // Each slot is in one place only.
        words.iter_mut().filter(|word| **word == word_of(hash, slot)).for_each(|word| *word = REMOVED);
    }

    /// Returns a copy of the shard with room for more numbers and without removed ones.
    fn grown(&self, numbers: &Slots<NumberEntry>, shard: usize) -> Shard {
        let words = self.shards[shard].words.iter().copied();
        let numbers = words.filter_map(|word| Some((word, entry(numbers, word & !TAG)?.number?)));
        let held: Vec<_> = numbers.collect();
        let mut grown = Shard::of_len((3 * (held.len() + 1)).next_power_of_two());
        for (word, number) in held {
            grown.put(self.hash(number), word);
        }
        grown
    }

    /// Returns the keyed hash of a number: a product of 128 bits, folded and multiplied again. Without the second
    /// product, numbers in steps of a power of two would collide.
    fn hash(&self, number: E164) -> u64 {
        let product = u128::from(number.code() ^ self.keys[0]) * u128::from(self.keys[1]);
        #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
        let low = product as u64;
        ((product >> 64) as u64 ^ low).wrapping_mul(self.keys[1])
    }
}

impl Shard {
    fn of_len(len: usize) -> Self {
        Self { words: vec![FREE; len].into(), used: 0 }
    }

    fn is_full(&self) -> bool {
        2 * (self.used + 1) > self.words.len()
    }

    fn put(&mut self, hash: u64, word: u32) {
        let words = Arc::make_mut(&mut self.words);
        let free = places(hash, words.len()).find(|place| words[*place] == FREE).expect("at most half full");
        words[free] = word;
        self.used += 1;
    }
}

impl Default for Dialed {
    fn default() -> Self {
        let empty = Shard::of_len(1);
        let random = RandomState::new();
        // Odd, and so never zero.
        let keys = [random.hash_one(0), random.hash_one(1) | 1];
        Self { shards: Arc::new(std::array::from_fn(|_| empty.clone())), keys }
    }
}

/// Returns the shard of a hash, from its top bits, which are a product's best. Places come from bit 32 upwards, and
/// tags from the eight bits below.
fn shard_of(hash: u64) -> usize {
    (hash >> 54) as usize % SHARDS
}

#[expect(clippy::cast_possible_truncation, reason = "the bits that it is taken from")]
fn tag_of(hash: u64) -> u32 {
    hash as u32 & TAG
}

fn word_of(hash: u64, slot: NumberSlot) -> u32 {
    tag_of(hash) | u32::try_from(slot.index() + 1).expect("slots have at most 24 bits")
}

/// Returns the entry that a word without its tag refers to. If another tag or no slot remains, the index is higher than
/// any slot's, and there is no entry.
#[inline]
fn entry(numbers: &Slots<NumberEntry>, word: u32) -> Option<&NumberEntry> {
    numbers.near(word.wrapping_sub(1) as usize)
}

/// Returns the places of a table in the order in which a search for this hash visits them.
#[inline]
fn places(hash: u64, len: usize) -> impl Iterator<Item = usize> {
    let first = (hash >> 32) as usize;
    (0..len).map(move |step| first.wrapping_add(step) & (len - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers by slot, and the index of the numbers that are held, as in a plan.
    #[derive(Clone, Default)]
    struct Numbers {
        dialed: Dialed,
        entries: Slots<NumberEntry>,
    }

    fn number(code: u64) -> E164 {
        E164::from_code(code).expect("a number")
    }

    impl Numbers {
        fn add(&mut self, code: u64) -> NumberSlot {
            let slot = NumberSlot::new(self.entries.len()).expect("a slot");
            self.entries.push(NumberEntry { number: Some(number(code)), slot, ..NumberEntry::default() });
            self.dialed.insert(&self.entries, number(code), slot);
            slot
        }

        fn remove(&mut self, code: u64) {
            self.dialed.remove(&self.entries, number(code));
        }

        fn get(&self, code: u64) -> Option<usize> {
            self.dialed.get(&self.entries, number(code)).map(|entry| entry.slot.index())
        }
    }

    #[test]
    fn a_clone_is_not_changed_by_later_writes() {
        let mut numbers = Numbers::default();
        for code in 1..=10_000 {
            assert_eq!(numbers.get(code), None);
            let slot = numbers.add(code);
            assert_eq!(numbers.get(code), Some(slot.index()));
        }
        let before = numbers.clone();
        numbers.remove(17);
        numbers.remove(20_000);
        numbers.add(10_001);
        assert_eq!((before.get(17), before.get(10_001)), (Some(16), None));
        assert_eq!((numbers.get(17), numbers.get(10_001), numbers.get(10_000)), (None, Some(10_000), Some(9_999)));
        assert!((18..=10_000).all(|code| numbers.get(code) == before.get(code)));
    }

    #[test]
    fn adding_and_removing_numbers_repeatedly_does_not_grow_the_table() {
        let mut numbers = Numbers::default();
        for code in 1..=100 {
            numbers.add(code);
        }
        let places = |numbers: &Numbers| numbers.dialed.shards.iter().map(|shard| shard.words.len()).sum::<usize>();
        let before = places(&numbers);
        for round in 0..100_000 {
            numbers.add(1_000 + round);
            numbers.remove(1_000 + round);
        }
        assert!((1..=100).all(|code| numbers.get(code) == usize::try_from(code - 1).ok()));
        assert!(places(&numbers) < before + 8 * SHARDS, "{} places, {before} before", places(&numbers));
    }

    /// Returns the average number of words that a lookup of a held number reads.
    fn words_read(codes: impl Iterator<Item = u64> + Clone) -> f64 {
        let mut numbers = Numbers::default();
        for code in codes.clone() {
            numbers.add(code);
        }
        let read = |code| {
            let (hash, slot) = (numbers.dialed.hash(number(code)), numbers.get(code).expect("held"));
            let words = &numbers.dialed.shards[shard_of(hash)].words;
            let word = word_of(hash, NumberSlot::new(slot).expect("a slot"));
            1 + places(hash, words.len()).position(|place| words[place] == word).expect("there")
        };
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let mean = codes.clone().map(read).sum::<usize>() as f64 / codes.count() as f64;
        mean
    }

    #[test]
    fn numbers_in_regular_steps_need_few_probes() {
        for step in [1, 10, 64, 100, 1_000, 1_024, 1_000_000, 1 << 20, 1 << 30] {
            let mean = words_read((1..=100_000).map(|at| 4_930_000_000 + at * step));
            assert!(mean < 1.5, "in steps of {step}: {mean}");
        }
    }
}
