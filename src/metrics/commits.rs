//! What the committer does, in numbers.

use super::{Histogram, Stopwatch};
use crate::sync::{AtomicU64, Ordering};
use std::time::Duration;

const MICRO: u64 = 1_000;
const MILLI: u64 = 1_000 * MICRO;
const SECOND: u64 = 1_000 * MILLI;

/// From a memory-backed disk to one that hardly works any more, in nanoseconds.
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

/// How long the store may take before it counts as hanging: so that whoever looks two seconds after it stopped is told.
const STALLED: Duration = Duration::from_millis(1500);

/// From then on a store that hangs is given nothing more, so that what waits for it is bounded whatever it is.
const GIVEN_UP: Duration = Duration::from_secs(60);

/// Events and configurations that may wait for a store that hangs: some 64 MiB of calls.
const MAX_WAITING: u64 = 1 << 18;

/// How a service makes durable what is handed in.
#[derive(Debug)]
pub struct Commits {
    latency: Histogram,
    waits: Histogram,
    group: Histogram,
    submitted: AtomicU64,
    settled: AtomicU64,
    refused: AtomicU64,
    clock: Stopwatch,
    /// When the call of the store that is under way began, in nanoseconds of `clock`, and one; 0 where there is none.
    calling_since: AtomicU64,
}

/// A call of the store that is under way, until it is dropped.
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
            settled: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            clock: Stopwatch::start(),
            calling_since: AtomicU64::new(0),
        }
    }
}

impl Commits {
    /// How long the store took for a group, in nanoseconds: the sync, mostly.
    pub fn latency(&self) -> &Histogram {
        &self.latency
    }

    /// How long it was from the handing in to the acknowledgement, in nanoseconds.
    pub fn waits(&self) -> &Histogram {
        &self.waits
    }

    /// How many events and configurations shared a sync.
    pub fn group(&self) -> &Histogram {
        &self.group
    }

    /// Events and configurations that were handed in and are neither durable nor refused yet: what would be lost, without
    /// having been acknowledged, if the machine stopped now.
    pub fn pending(&self) -> u64 {
        // Settled first: what is settled in between was submitted before.
        let settled = self.settled.load(Ordering::Relaxed);
        self.submitted.load(Ordering::Relaxed).saturating_sub(settled)
    }

    /// Events and configurations that were refused because the store cannot be written.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Returns for how long the committer has been waiting for the store; zero where it does not.
    pub fn store_waits(&self) -> Duration {
        // Relaxed: a call that ends meanwhile may be seen as under way, as it was when this was asked.
        match self.calling_since.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => Duration::from_nanos(self.clock.nanos().saturating_sub(since)),
        }
    }

    /// Returns whether the store hangs: it has not answered for longer than a disk that works takes.
    pub fn is_stalled(&self) -> bool {
        self.store_waits() >= STALLED
    }

    /// Returns whether the store hangs and as much waits for it as may.
    pub(crate) fn is_overfull(&self) -> bool {
        let waits = self.store_waits();
        waits >= GIVEN_UP || (waits >= STALLED && self.pending() >= MAX_WAITING)
    }

    /// Says that the committer calls the store from now on. It makes one call at a time.
    pub(crate) fn call_store(&self) -> StoreCall<'_> {
        self.calling_since.store(self.clock.nanos() + 1, Ordering::Relaxed);
        StoreCall(self)
    }

    pub(crate) fn submit(&self, events: usize) {
        self.submitted.fetch_add(events as u64, Ordering::Relaxed);
    }

    /// The store took this long for these.
    pub(crate) fn commit(&self, took: Stopwatch, events: usize) {
        self.latency.record(took.nanos());
        self.group.record(events as u64);
    }

    /// These are acknowledged.
    pub(crate) fn acknowledge(&self, waited: Stopwatch, events: usize) {
        self.waits.record(waited.nanos());
        self.settled.fetch_add(events as u64, Ordering::Relaxed);
    }

    pub(crate) fn refuse(&self, events: usize) {
        self.refused.fetch_add(events as u64, Ordering::Relaxed);
        self.settled.fetch_add(events as u64, Ordering::Relaxed);
    }
}
