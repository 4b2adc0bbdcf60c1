//! The pairs of callback agents and sources that are configured no more and whose tally has not been given to another: by pair.

use super::tally::{Pair, Tallies};
use ahash::RandomState;
use hashbrown::HashTable;
use std::sync::Arc;

/// As of an [`Index`](super::index::Index).
const SHARDS: usize = 1024;

/// Pair → tally. As an [`Index`](super::index::Index), in a third of the memory: the pair is compared in the tally's entry. Whoever
/// asks brings the entries along.
#[derive(Clone)]
pub(super) struct Freed {
    shards: Arc<Vec<Arc<HashTable<u32>>>>,
    hasher: RandomState,
}

impl Freed {
    pub(super) fn get(&self, tallies: &Tallies, pair: Pair) -> Option<usize> {
        let hash = self.hasher.hash_one(Some(pair));
        let is_pairs = |slot: &u32| pair_of(tallies, *slot) == Some(pair);
        self.shards[shard_of(hash)].find(hash, is_pairs).map(|slot| *slot as usize)
    }

    /// Takes in the pair of a slot; it is not in yet.
    pub(super) fn insert(&mut self, tallies: &Tallies, slot: usize) {
        let slot = u32::try_from(slot).expect("slots have at most 24 bits");
        let hasher = self.hasher.clone();
        let hash = |slot: &u32| hasher.hash_one(pair_of(tallies, *slot));
        let own = hash(&slot);
        self.shard_mut(own).insert_unique(own, slot, hash);
    }

    pub(super) fn remove(&mut self, tallies: &Tallies, slot: usize) {
        let slot = u32::try_from(slot).expect("slots have at most 24 bits");
        let hash = self.hasher.hash_one(pair_of(tallies, slot));
        if let Ok(entry) = self.shard_mut(hash).find_entry(hash, |held| *held == slot) {
            entry.remove();
        }
    }

    fn shard_mut(&mut self, hash: u64) -> &mut HashTable<u32> {
        Arc::make_mut(&mut Arc::make_mut(&mut self.shards)[shard_of(hash)])
    }
}

fn pair_of(tallies: &Tallies, slot: u32) -> Option<Pair> {
    tallies.get(slot as usize)?.pair()
}

/// From the middle of the hash: the table takes its buckets from the low bits and its tags from the top seven.
fn shard_of(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

impl Default for Freed {
    fn default() -> Self {
        // One empty shard stands for all until they are written.
        Self { shards: Arc::new(vec![Arc::default(); SHARDS]), hasher: RandomState::new() }
    }
}
