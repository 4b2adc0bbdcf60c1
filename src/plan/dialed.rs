//! From a dialed number to its slot: what every decision begins with.

use super::entry::NumberEntry;
use super::slots::Slots;
use crate::number::E164;
use crate::slot::NumberSlot;
use ahash::RandomState;
use std::sync::Arc;

/// As of an [`Index`](super::index::Index).
const SHARDS: usize = 1024;

/// Number → slot, as an [`Index`](super::index::Index) would have it, in a third of the instructions and of the memory: a
/// place takes four bytes, and the number is compared in the slot's entry, which a decision reads next anyway. Whoever asks
/// brings the entries along.
#[derive(Clone)]
pub(super) struct Dialed {
    shards: Arc<[Shard; SHARDS]>,
    /// Of the hash: nobody outside can choose numbers that meet.
    keys: [u64; 2],
}

/// An open table, at most half full. Its length is a power of two.
#[derive(Clone)]
struct Shard {
    words: Arc<[u32]>,
    /// Words that are not free.
    used: usize,
}

/// The word of a place where nothing is, and nothing has been: a search ends there.
const FREE: u32 = 0;
/// A word's tag: bits of its number's hash.
const TAG: u32 = 0xFF00_0000;
/// A tag without a slot: the number has been removed. Below a tag stands the slot's index and one.
const REMOVED: u32 = 0x0100_0000;

impl Dialed {
    /// The number's entry among `numbers`.
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

    /// Takes in the number of a slot of `numbers`; it is not held yet.
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
        // A slot is in one place only.
        words.iter_mut().filter(|word| **word == word_of(hash, slot)).for_each(|word| *word = REMOVED);
    }

    /// The shard again with room for more, without what has been removed.
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

    /// A product of 128 bits, folded, and multiplied once more: without that, numbers in steps of a power of two meet.
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
        // Odd, so that no factor is zero.
        let keys = [random.hash_one(0), random.hash_one(1) | 1];
        Self { shards: Arc::new(std::array::from_fn(|_| empty.clone())), keys }
    }
}

/// From the top of the hash, where a product is best; places are taken from below, and tags from what is left.
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

/// The entry of a word without its tag. Where that leaves another tag, or no slot, there is no slot so high.
#[inline]
fn entry(numbers: &Slots<NumberEntry>, word: u32) -> Option<&NumberEntry> {
    numbers.near(word.wrapping_sub(1) as usize)
}

/// The places of a table in the order in which a hash tries them.
#[inline]
fn places(hash: u64, len: usize) -> impl Iterator<Item = usize> {
    let first = (hash >> 32) as usize;
    (0..len).map(move |step| first.wrapping_add(step) & (len - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dictionary as a plan has it: numbers by slot, and the index of those that are held.
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
    fn a_clone_keeps_what_it_saw() {
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
    fn what_comes_and_goes_takes_no_room() {
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

    /// How many words a look-up reads, on average, over numbers that are held.
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
    fn numbers_in_rows_are_found_as_fast_as_any() {
        for step in [1, 10, 64, 100, 1_000, 1_024, 1_000_000, 1 << 20, 1 << 30] {
            let mean = words_read((1..=100_000).map(|at| 4_930_000_000 + at * step));
            assert!(mean < 1.5, "in steps of {step}: {mean}");
        }
    }
}
