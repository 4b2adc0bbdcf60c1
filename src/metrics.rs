//! Counters and histograms, sharded by thread so that counting never makes two cores share a cache line. No exporter.

mod commits;
mod fleet;
mod histogram;
#[cfg(any(feature = "http", feature = "sip"))]
mod sip;
mod stopwatch;
mod upkeep;

pub use commits::Commits;
pub use fleet::{Fleet, FleetState};
pub use histogram::{Histogram, Snapshot};
#[cfg(any(feature = "http", feature = "sip"))]
pub use sip::{SIP_METHODS, SIP_STATUSES, SipCounts, SipEvent};
pub(crate) use stopwatch::Stopwatch;
pub use upkeep::UpkeepCounts;

use crate::decision::{Decision, Reason, Route};
use crate::sync::{AtomicU64, AtomicUsize, Ordering};
use std::cell::Cell;
use std::fmt;

/// Shards. A power of two, above the worker threads of the gateways we know; more threads than that share.
const SHARDS: usize = 64;

/// Kinds of route times reasons.
const COUNTERS: usize = 3 * Reason::ALL.len();

/// Decisions by route and reason.
///
/// # Orderings
/// All relaxed: a count orders nothing else, and a sum read while threads count is a sum of moments close to each other.
pub struct Metrics {
    shards: Box<[Shard; SHARDS]>,
}

/// Aligned to two cache lines, since processors fetch lines in pairs.
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

    /// Each kind is added once: an addition that others may make too waits for all that came before it.
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

    /// How many decisions there were with this route (whichever agent it names) and this reason.
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

/// A number of this thread's, below [`SHARDS`].
#[inline]
pub(crate) fn shard_of_thread() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        // Nothing that the compiler would have to make when it is first asked for: reading it is one load.
        static SHARD: Cell<Option<usize>> = const { Cell::new(None) };
    }
    let shard = SHARD.get().unwrap_or_else(|| {
        // Relaxed: the value only has to differ between threads, and does by the addition's atomicity.
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
