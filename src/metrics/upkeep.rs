//! Counters of the store's upkeep.

use crate::sync::{AtomicU64, Ordering};
use std::time::Duration;

/// The number of failures in a row at which the daemon reports ill health. A single failure may be a disk that was full
/// for a moment.
const FAILING: u64 = 2;

/// Counts the results of the store's upkeep. The upkeep thread records each run; `/health` and `/metrics` read the
/// counts.
///
/// # Orderings
/// All relaxed, because a count orders nothing else. A reader between two writes sees values of two runs.
#[derive(Default, Debug)]
pub struct UpkeepCounts {
    last_success_millis: AtomicU64,
    last_duration_nanos: AtomicU64,
    bytes: AtomicU64,
    failures: AtomicU64,
    failures_in_row: AtomicU64,
    clock_jumps: AtomicU64,
}

impl UpkeepCounts {
    /// Records the last success of an earlier run of the daemon, in milliseconds since 1970.
    pub fn succeeded_before(&self, at_millis: u64) {
        self.last_success_millis.store(at_millis, Ordering::Relaxed);
    }

    /// Records a successful run: the time in milliseconds since 1970, its duration, and the size of the data directory
    /// in bytes.
    pub fn succeeded(&self, at_millis: u64, took: Duration, bytes: u64) {
        self.last_success_millis.store(at_millis, Ordering::Relaxed);
        self.finished(took, bytes);
        self.failures_in_row.store(0, Ordering::Relaxed);
    }

    /// Records a failed run.
    pub fn failed(&self, took: Duration, bytes: u64) {
        self.finished(took, bytes);
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.failures_in_row.fetch_add(1, Ordering::Relaxed);
    }

    fn finished(&self, took: Duration, bytes: u64) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.last_duration_nanos.store(nanos, Ordering::Relaxed);
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Records that the wall clock jumped.
    pub fn clock_jumped(&self) {
        self.clock_jumps.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns whether so many runs failed in a row that an operator has to act.
    pub fn is_failing(&self) -> bool {
        self.failures_in_row() >= FAILING
    }

    /// Returns the time of the last success, in milliseconds since 1970; 0 if there was none.
    pub fn last_success_millis(&self) -> u64 {
        self.last_success_millis.load(Ordering::Relaxed)
    }

    /// Returns the duration of the last run, in nanoseconds.
    pub fn last_duration_nanos(&self) -> u64 {
        self.last_duration_nanos.load(Ordering::Relaxed)
    }

    /// Returns the size of the data directory after the last run, in bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Returns the number of failed runs.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Returns the number of failed runs since the last success.
    pub fn failures_in_row(&self) -> u64 {
        self.failures_in_row.load(Ordering::Relaxed)
    }

    /// Returns how often the wall clock jumped.
    pub fn clock_jumps(&self) -> u64 {
        self.clock_jumps.load(Ordering::Relaxed)
    }
}
