//! A hash index from keys to slots. Copies share unchanged parts.

use ahash::RandomState;
use hashbrown::HashTable;
use std::hash::Hash;
use std::sync::Arc;

/// The number of shards. A change copies one shard: at a million keys, about a thousand entries.
const SHARDS: usize = 1024;

/// A map from keys to slot indexes. `clone` is O(1). A write to a clone copies one shard and the list of shards, unless
/// no other clone shares them. A lookup hashes once and does not allocate. Each index has its own hash keys, so that an
/// attacker cannot craft colliding keys.
#[derive(Clone)]
pub(super) struct Index<K> {
    shards: Arc<Vec<Shard<K>>>,
    hasher: RandomState,
}

type Shard<K> = Arc<HashTable<(K, u32)>>;

impl<K: Copy + Eq + Hash> Index<K> {
    pub(super) fn get(&self, key: K) -> Option<usize> {
        let hash = self.hasher.hash_one(key);
        self.shards[shard_of(hash)].find(hash, |entry| entry.0 == key).map(|entry| entry.1 as usize)
    }

    /// Sets the slot of a key, and replaces the previous one.
    pub(super) fn set(&mut self, key: K, slot: usize) {
        let slot = u32::try_from(slot).expect("slots have at most 24 bits");
        let hash = self.hasher.hash_one(key);
        let hasher = self.hasher.clone();
        let shard = self.shard_mut(hash);
        match shard.find_mut(hash, |entry| entry.0 == key) {
            Some(entry) => entry.1 = slot,
            None => {
                shard.insert_unique(hash, (key, slot), |entry| hasher.hash_one(entry.0));
            }
        }
    }

    pub(super) fn remove(&mut self, key: K) {
        let hash = self.hasher.hash_one(key);
        if let Ok(entry) = self.shard_mut(hash).find_entry(hash, |entry| entry.0 == key) {
            entry.remove();
        }
    }

    fn shard_mut(&mut self, hash: u64) -> &mut HashTable<(K, u32)> {
        Arc::make_mut(&mut Arc::make_mut(&mut self.shards)[shard_of(hash)])
    }
}

/// Returns the shard of a hash, from its middle bits. The table uses the low bits for buckets and the top seven for
/// tags.
fn shard_of(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
}

impl<K> Default for Index<K> {
    fn default() -> Self {
        // All shards share one empty table until they are written.
        let empty = Shard::<K>::default();
        Self { shards: Arc::new(vec![empty; SHARDS]), hasher: RandomState::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_is_not_changed_by_later_writes() {
        let mut index = Index::default();
        for key in 0..10_000_u64 {
            index.set(key, 7);
            index.set(key, usize::try_from(key).expect("small"));
        }
        let before = index.clone();
        index.remove(17);
        index.set(10_000, 3);
        assert_eq!((before.get(17), before.get(10_000)), (Some(17), None));
        assert_eq!((index.get(17), index.get(10_000), index.get(9_999)), (None, Some(3), Some(9_999)));
    }
}
