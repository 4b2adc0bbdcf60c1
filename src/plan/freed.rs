//! The removed pairs of callback agents and source agents whose tally no other pair has taken, by pair.

use super::tally::{Pair, Tallies};
use ahash::RandomState;
use hashbrown::HashTable;
use std::sync::Arc;

/// The number of shards, as in an [`Index`](super::index::Index).
const SHARDS: usize = 1024;

/// A map from a removed pair to its tally. It works like an [`Index`](super::index::Index) with a third of the memory:
/// it stores slots only and compares the pairs in the tallies' entries. The caller therefore passes the entries to each
/// method.
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

    /// Inserts the pair of a slot, which must not be present.
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

/// Returns the shard, from the middle of the hash: the table uses the low bits for buckets and the top seven as tags.
fn shard_of(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

impl Default for Freed {
    fn default() -> Self {
        // All shards share one empty table until they are written.
        Self { shards: Arc::new(vec![Arc::default(); SHARDS]), hasher: RandomState::new() }
    }
}
