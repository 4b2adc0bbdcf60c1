//! Decisions of the last half minute, so that a retransmission is answered as before and counted once.
//!
//! A table of fixed size: a transaction's hash says its place, and the next one there takes it over. So nothing is to be cleaned
//! up, and no flood makes it grow; what it costs is that a retransmission whose place was taken is decided again.

use crate::engine::Routed;
use crate::time::Timestamp;
use std::sync::{Mutex, PoisonError};

/// Places. At 2,500 calls a second, a transaction of the last second is still there 19 times out of 20.
const PLACES: usize = 1 << 16;

/// How long a request may come again: 64 × T1 (RFC 3261, timers B and H).
const LIFE_MILLIS: u64 = 32_000;

/// Locks, each for its part of the places.
const SHARDS: usize = 64;

/// A decision and the transaction that it was made in.
#[derive(Clone, Copy)]
struct Made {
    transaction: u64,
    at: Timestamp,
    routed: Routed,
}

// What the door's documentation says of memory.
const _: () = assert!(PLACES * size_of::<Option<Made>>() <= 8 << 20);

pub(super) struct Recent(Box<[Mutex<Vec<Option<Made>>>]>);

impl Recent {
    pub(super) fn new() -> Self {
        // A shard takes its memory with its first decision.
        Self(std::iter::repeat_with(Mutex::default).take(SHARDS).collect())
    }

    /// What was decided in this transaction, and when.
    pub(super) fn get(&self, transaction: u64, now: Timestamp) -> Option<(Routed, Timestamp)> {
        let (shard, place) = spot(transaction);
        let made = self.shard(shard).get(place).copied().flatten()?;
        let is_it = made.transaction == transaction && now.millis_since(made.at) < LIFE_MILLIS;
        is_it.then_some((made.routed, made.at))
    }

    pub(super) fn put(&self, transaction: u64, at: Timestamp, routed: Routed) {
        let (shard, place) = spot(transaction);
        let mut shard = self.shard(shard);
        if shard.is_empty() {
            shard.resize(PLACES / SHARDS, None);
        }
        shard[place] = Some(Made { transaction, at, routed });
    }

    fn shard(&self, shard: usize) -> std::sync::MutexGuard<'_, Vec<Option<Made>>> {
        self.0[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the bits that are used are the low ones")]
const fn spot(transaction: u64) -> (usize, usize) {
    let place = transaction as usize % PLACES;
    (place % SHARDS, place / SHARDS)
}
