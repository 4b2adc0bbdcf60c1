//! Histograms: counts of values by size, sharded by thread.

use super::shard_of_thread;
use crate::sync::{AtomicU64, Ordering};
use std::fmt;

/// The number of shards. It is smaller than for plain counters: a histogram is larger, and the measured operations take
/// microseconds.
const SHARDS: usize = 16;

/// The most buckets, including the one for values above all bounds.
const BUCKETS: usize = 20;

/// Counts of values by size. Recording a value is two relaxed additions and does not allocate.
///
/// # Orderings
/// All relaxed, because a count orders nothing else. A snapshot's count is the sum of its buckets, so the two always
/// agree.
pub struct Histogram {
    bounds: &'static [u64],
    shards: Box<[Shard]>,
}

/// One shard's counters. Aligned to two cache lines, because processors fetch lines in pairs.
#[repr(align(128))]
struct Shard {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

/// The counts of a histogram at about one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snapshot {
    /// For each bound, in ascending order, the number of values up to it and above the bound before. The last entry
    /// counts the values above all bounds.
    pub buckets: Vec<(Option<u64>, u64)>,
    /// The sum of all values.
    pub sum: u64,
}

impl Histogram {
    /// Returns an empty histogram. The bounds must ascend; a bucket includes its bound.
    ///
    /// # Panics
    /// There are too many bounds, or they do not ascend.
    pub(crate) fn new(bounds: &'static [u64]) -> Self {
        assert!(
            bounds.len() < BUCKETS && bounds.is_sorted_by(|one, next| one < next),
            "at most 19 bounds, in ascending order"
        );
        let zero = || AtomicU64::new(0);
        let shard = || Shard { buckets: std::array::from_fn(|_| zero()), sum: zero() };
        Self { bounds, shards: std::iter::repeat_with(shard).take(SHARDS).collect() }
    }

    /// Counts a value.
    pub(crate) fn record(&self, value: u64) {
        let shard = &self.shards[shard_of_thread() % SHARDS];
        let place = self.bounds.partition_point(|bound| *bound < value);
        shard.buckets[place].fetch_add(1, Ordering::Relaxed);
        shard.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Returns the current counts.
    pub fn snapshot(&self) -> Snapshot {
        let total = |pick: &dyn Fn(&Shard) -> &AtomicU64| {
            self.shards.iter().map(|shard| pick(shard).load(Ordering::Relaxed)).fold(0, u64::wrapping_add)
        };
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        let buckets = bounds.enumerate().map(|(place, bound)| (bound, total(&|shard| &shard.buckets[place])));
        Snapshot { buckets: buckets.collect(), sum: total(&|shard| &shard.sum) }
    }
}

impl Snapshot {
    /// Returns the number of values.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.snapshot().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_counted_in_the_first_bucket_whose_bound_reaches_it() {
        let histogram = Histogram::new(&[10, 20, 40]);
        for value in [0, 10, 11, 20, 21, 40, 41, 1_000] {
            histogram.record(value);
        }
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.buckets, [(Some(10), 2), (Some(20), 2), (Some(40), 2), (None, 2)]);
        assert_eq!((snapshot.count(), snapshot.sum), (8, 1_143));
    }

    #[test]
    fn values_of_concurrent_threads_are_all_counted() {
        let histogram = Histogram::new(&[50]);
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| (0..100).for_each(|value| histogram.record(value)));
            }
        });
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.buckets, [(Some(50), 20 * 51), (None, 20 * 49)]);
        assert_eq!(snapshot.sum, 20 * 4_950);
    }
}
