//! Counters of the committer.

use super::{Histogram, Stopwatch};
use crate::sync::{AtomicU64, Ordering};
use std::time::Duration;

const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000 * MICRO;
const SECOND: u64 = 1_000 * MILLI;

/// The bounds for times, in nanoseconds: from a disk in memory to one that hardly works.
const LATENCY: &[u64] = &[
    100 * MICRO,
    250 * MICRO,
    500 * MICRO,
    MILLI,
    2_500 * MICRO,
    5 * MILLI,
    10 * MILLI,
    25 * MILLI,
    50 * MILLI,
    100 * MILLI,
    250 * MILLI,
    500 * MILLI,
    SECOND,
    2_500 * MILLI,
    5 * SECOND,
    10 * SECOND,
];

const GROUP: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192];

/// How long a call of the store may take before it counts as stalled. A health check two seconds after the store stops
/// sees it.
const STALLED: Duration = Duration::from_millis(1500);

/// After this time, a stalled store receives no further commands, which bounds the memory of the waiting ones.
const GIVEN_UP: Duration = Duration::from_secs(60);

/// How many events and configurations may wait for a stalled store: about 64 MiB of calls.
const MAX_WAITING: u64 = 1 << 18;

/// How many bytes of ids and contexts may wait for a stalled store, beside the calls themselves.
const MAX_WAITING_BYTES: u64 = 64 << 20;

/// The counters of a service's commits.
#[derive(Debug)]
pub struct Commits {
    latency: Histogram,
    waits: Histogram,
    group: Histogram,
    submitted: AtomicU64,
    /// The bytes of ids and contexts that were submitted, and of those that wait no more.
    submitted_bytes: AtomicU64,
    freed_bytes: AtomicU64,
    settled: AtomicU64,
    refused: AtomicU64,
    clock: Stopwatch,
    /// The time at which the current call of the store began, in nanoseconds of `clock` plus one; 0 if there is none.
    calling_since: AtomicU64,
}

/// A call of the store in progress. Dropping it ends the call.
pub(crate) struct StoreCall<'a>(&'a Commits);

impl Drop for StoreCall<'_> {
    fn drop(&mut self) {
        self.0.calling_since.store(0, Ordering::Relaxed);
    }
}

impl Default for Commits {
    fn default() -> Self {
        Self {
            latency: Histogram::new(LATENCY),
            waits: Histogram::new(LATENCY),
            group: Histogram::new(GROUP),
            submitted: AtomicU64::new(0),
            submitted_bytes: AtomicU64::new(0),
            freed_bytes: AtomicU64::new(0),
            settled: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            clock: Stopwatch::start(),
            calling_since: AtomicU64::new(0),
        }
    }
}

impl Commits {
    /// Returns the times that the store took for a group, in nanoseconds. Most of it is the sync.
    pub fn latency(&self) -> &Histogram {
        &self.latency
    }

    /// Returns the times from submission to acknowledgement, in nanoseconds.
    pub fn waits(&self) -> &Histogram {
        &self.waits
    }

    /// Returns the numbers of events and configurations that shared a sync.
    pub fn group(&self) -> &Histogram {
        &self.group
    }

    /// Returns the number of events and configurations that were submitted and are neither durable nor rejected yet.
    /// They would be lost if the machine stopped now, but none of them has been acknowledged.
    pub fn pending(&self) -> u64 {
        // Read `settled` first: each settled event was submitted before.
        let settled = self.settled.load(Ordering::Relaxed);
        self.submitted.load(Ordering::Relaxed).saturating_sub(settled)
    }

    /// Returns the number of events and configurations that were rejected because the store cannot be written.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Returns for how long the committer has been waiting for the store; zero if it is not waiting.
    pub fn store_waits(&self) -> Duration {
        // Relaxed: a call that ends at this moment may still be reported as in progress.
        match self.calling_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_nanos(self.clock.nanos().saturating_sub(since)),
        }
    }

    /// Returns whether the store is stalled: it has not answered for longer than a working disk needs.
    pub fn is_stalled(&self) -> bool {
        self.store_waits() >= STALLED
    }

    /// Returns whether the store is stalled and the queue of waiting commands is full.
    pub(crate) fn is_overfull(&self) -> bool {
        let waits = self.store_waits();
        let is_full = || self.pending() >= MAX_WAITING || self.pending_bytes() >= MAX_WAITING_BYTES;
        waits >= GIVEN_UP || (waits >= STALLED && is_full())
    }

    /// Records that the committer calls the store. It makes one call at a time.
    pub(crate) fn call_store(&self) -> StoreCall<'_> {
        self.calling_since.store(self.clock.nanos() + 1, Ordering::Relaxed);
        StoreCall(self)
    }

    /// Returns the bytes of the ids and contexts of waiting events.
    fn pending_bytes(&self) -> u64 {
        // As in `pending`.
        let freed = self.freed_bytes.load(Ordering::Relaxed);
        self.submitted_bytes.load(Ordering::Relaxed).saturating_sub(freed)
    }

    pub(crate) fn submit(&self, events: usize, detail_bytes: u64) {
        self.submitted.fetch_add(events as u64, Ordering::Relaxed);
        if detail_bytes > 0 {
            self.submitted_bytes.fetch_add(detail_bytes, Ordering::Relaxed);
        }
    }

    /// Records that events with so many bytes of ids and contexts wait no more.
    pub(crate) fn free(&self, detail_bytes: u64) {
        if detail_bytes > 0 {
            self.freed_bytes.fetch_add(detail_bytes, Ordering::Relaxed);
        }
    }

    /// Records a commit: the time that the store took, and the number of events.
    pub(crate) fn commit(&self, took: Stopwatch, events: usize) {
        self.latency.record(took.nanos());
        self.group.record(events as u64);
    }

    /// Records that events were acknowledged after `waited`.
    pub(crate) fn acknowledge(&self, waited: Stopwatch, events: usize) {
        self.waits.record(waited.nanos());
        self.settled.fetch_add(events as u64, Ordering::Relaxed);
    }

    pub(crate) fn refuse(&self, events: usize) {
        self.refused.fetch_add(events as u64, Ordering::Relaxed);
        self.settled.fetch_add(events as u64, Ordering::Relaxed);
    }
}
