//! Counters and histograms, sharded by thread so that two cores do not share a cache line when they count. Export
//! formats are elsewhere.

mod commits;
mod fleet;
mod histogram;
mod records;
#[cfg(any(feature = "http", feature = "sip"))]
mod sip;
mod stopwatch;
mod upkeep;

pub use commits::Commits;
pub use fleet::{Fleet, FleetState, Skipped};
pub use histogram::{Histogram, Snapshot};
pub use records::RecordCounts;
#[cfg(any(feature = "http", feature = "sip"))]
pub use sip::{SIP_METHODS, SIP_STATUSES, SipCounts, SipEvent};
pub(crate) use stopwatch::Stopwatch;
pub use upkeep::UpkeepCounts;

use crate::decision::{Decision, Reason, Route};
use crate::sync::{AtomicU64, AtomicUsize, Ordering};
use std::cell::Cell;
use std::fmt;

/// The number of shards: a power of two, above the number of worker threads of known gateways. Further threads share
/// shards.
const SHARDS: usize = 64;

/// The number of counters: one for each kind of route and each reason.
const COUNTERS: usize = 3 * Reason::ALL.len();

/// The number of decisions by route and reason.
///
/// # Orderings
/// All relaxed, because a count orders nothing else. A sum that is read while other threads count combines values of
/// slightly different moments.
pub struct Metrics {
    shards: Box<[Shard; SHARDS]>,
}

/// One thread's counters. Aligned to two cache lines, because processors fetch lines in pairs.
#[repr(align(128))]
struct Shard([AtomicU64; COUNTERS]);

impl Metrics {
    pub(crate) fn new() -> Self {
        let shard = || Shard(std::array::from_fn(|_| AtomicU64::new(0)));
        Self { shards: Box::new(std::array::from_fn(|_| shard())) }
    }

    pub(crate) fn count(&self, decision: &Decision) {
        let shard = &self.shards[shard_of_thread()];
        shard.0[counter(decision.route, decision.reason)].fetch_add(1, Ordering::Relaxed);
    }

    /// Counts several decisions with one atomic addition for each kind. An atomic addition waits for all earlier memory
    /// accesses.
    pub(crate) fn count_all(&self, decisions: &[Decision]) {
        let mut counts = [0; COUNTERS];
        for decision in decisions {
            counts[counter(decision.route, decision.reason)] += 1;
        }
        let shard = &self.shards[shard_of_thread()];
        for (total, count) in shard.0.iter().zip(&counts).filter(|(_, count)| **count > 0) {
            total.fetch_add(*count, Ordering::Relaxed);
        }
    }

    /// Returns the number of decisions with this kind of route (for any agent) and this reason.
    pub fn decisions(&self, route: Route, reason: Reason) -> u64 {
        let place = counter(route, reason);
        self.shards.iter().map(|shard| shard.0[place].load(Ordering::Relaxed)).sum()
    }
}

fn counter(route: Route, reason: Reason) -> usize {
    let kind = match route {
        Route::Callback(_) => 0,
        Route::Default(_) => 1,
        Route::Unrouted => 2,
    };
    kind * Reason::ALL.len() + reason as usize
}

/// Returns this thread's shard, below [`SHARDS`].
#[inline]
pub(crate) fn shard_of_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        // A constant initializer, so that a read is a single load.
        static SHARD: Cell<Option<usize>> = const { Cell::new(None) };
    }
    let shard = SHARD.get().unwrap_or_else(|| {
        // Relaxed: the values only have to differ between threads, which the atomic addition ensures.
        let next = NEXT.fetch_add(1, Ordering::Relaxed);
        SHARD.set(Some(next));
        next
    });
    shard % SHARDS
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
