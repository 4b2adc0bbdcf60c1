//! Reads the id and the context of a call for an answer to a call, which must not wait for a disk.
//!
//! A read runs on another thread, and the door waits for it for a short time only. A read that has not ended occupies its
//! place, also if its request was given up or cancelled. While several reads are slow, or one hangs, no other read begins, and
//! requests do not wait at all. A decision without its context is counted.

use crate::metrics::Stopwatch;
use crate::sync::{AtomicU64, Ordering};
use std::array::from_fn;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
#[cfg(any(feature = "http", feature = "sip"))]
use tokio::sync::oneshot;

/// The most reads at a time, each of which occupies a thread.
const MOST: usize = 16;

/// A read that takes longer is slow. A working disk needs less for most reads.
const SLOW: Duration = Duration::from_millis(20);

/// So many slow reads mean that the disk is too busy for more.
const MANY_SLOW: usize = 3;

/// A read that takes longer hangs.
const HANGS: Duration = Duration::from_millis(100);

/// How long an answer waits for its read.
const PATIENCE: Duration = Duration::from_millis(20);

/// The reads of the calls behind decisions. The doors of one daemon share them, because they share a disk.
///
/// The counters are relaxed: each is a value by itself.
pub struct CallReads {
    places: Arc<Places>,
    threads: Threads,
    patience: Duration,
    slow: Duration,
    hangs: Duration,
    /// The decisions that were answered without the id and the context of their call.
    missed: AtomicU64,
    /// The reads that failed.
    failed: AtomicU64,
    /// The fields of contexts, and the ids, that were too large for an answer.
    too_large: AtomicU64,
}

type Job = Box<dyn FnOnce() + Send>;

/// The threads that read, which begin with the first read and end with this. The runtime's own pool panics if the system
/// gives it no thread, and a route must not.
#[derive(Default)]
struct Threads(OnceLock<Started>);

struct Started {
    jobs: SyncSender<Job>,
    #[cfg_attr(
        not(feature = "capi"),
        allow(dead_code, reason = "only C closes a store that another process may open")
    )]
    workers: Vec<JoinHandle<()>>,
}

impl Threads {
    /// Runs the job on a thread. Returns `false` and drops the job if the system gives no thread.
    fn run(&self, job: Job) -> bool {
        // Of two first reads at a time, the threads of one end at once.
        let started = self.0.get().or_else(|| Self::start(MOST).map(|started| self.0.get_or_init(|| started)));
        started.is_some_and(|started| started.jobs.try_send(job).is_ok())
    }

    fn start(most: usize) -> Option<Started> {
        let (sender, jobs) = sync_channel::<Job>(MOST);
        let jobs = Arc::new(Mutex::new(jobs));
        let work = |jobs: Arc<Mutex<std::sync::mpsc::Receiver<Job>>>| {
            let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
            while let Ok(job) = next() {
                // A read that panics has no result, and the thread goes on.
                let _ = catch_unwind(AssertUnwindSafe(job));
            }
        };
        let start = |_| {
            let jobs = Arc::clone(&jobs);
            thread::Builder::new().name("dialback-calls".into()).spawn(move || work(jobs)).ok()
        };
        let workers: Vec<_> = (0..most).filter_map(start).collect();
        (!workers.is_empty()).then_some(Started { jobs: sender, workers })
    }
}

/// The places of the reads in progress.
struct Places {
    clock: Stopwatch,
    /// When the read of each place began, in nanoseconds of the clock plus one. 0: the place is free.
    ///
    /// All accesses are relaxed: each place is a value by itself and guards no other data.
    began: [AtomicU64; MOST],
}

/// The place of a read in progress. Dropping it frees the place.
struct Place {
    places: Arc<Places>,
    number: usize,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.began[self.number].store(0, Ordering::Relaxed);
    }
}

impl Places {
    /// Takes a free place, or returns `None` if there is none.
    fn take(self: &Arc<Self>) -> Option<Place> {
        let now = self.clock.nanos() + 1;
        let is_taken = |place: &AtomicU64| place.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        let number = self.began.iter().position(is_taken)?;
        Some(Place { places: Arc::clone(self), number })
    }

    /// Returns how long each read in progress has taken so far.
    fn ages(&self) -> impl Iterator<Item = Duration> {
        let now = self.clock.nanos() + 1;
        let began = self.began.iter().map(|began| began.load(Ordering::Relaxed)).filter(|began| *began > 0);
        began.map(move |began| Duration::from_nanos(now.saturating_sub(began)))
    }
}

impl Default for CallReads {
    fn default() -> Self {
        let places = Places { clock: Stopwatch::start(), began: from_fn(|_| AtomicU64::new(0)) };
        let zero = || AtomicU64::new(0);
        Self {
            places: Arc::new(places),
            threads: Threads::default(),
            patience: PATIENCE,
            slow: SLOW,
            hangs: HANGS,
            missed: zero(),
            failed: zero(),
            too_large: zero(),
        }
    }
}

impl CallReads {
    /// Sets how long the gateways' doors wait for a read. The default is 20 milliseconds.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Returns how long the gateways' doors wait for a read.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Returns the result of `read`, which runs on another thread. Returns `None` if there is no result within `patience`.
    #[cfg(any(feature = "http", feature = "sip"))]
    pub(crate) async fn within<T: Send + 'static>(
        &self,
        patience: Duration,
        read: impl FnOnce() -> Option<T> + Send + 'static,
    ) -> Option<T> {
        let (done, result) = oneshot::channel();
        let begun = self.begin(read, move |found| {
            // The receiver is gone if the request was given up.
            let _ = done.send(found);
        });
        let found = if begun { tokio::time::timeout(patience, result).await.ok() } else { None };
        let found = found.and_then(Result::ok).flatten();
        self.counted(found)
    }

    /// Returns the result of `read`, as [`within`](Self::within) does. Blocks this thread.
    #[cfg(any(feature = "capi", feature = "sip"))]
    pub(crate) fn wait<T: Send + 'static>(&self, read: impl FnOnce() -> Option<T> + Send + 'static) -> Option<T> {
        let (done, result) = sync_channel(1);
        let begun = self.begin(read, move |found| {
            let _ = done.send(found);
        });
        let found = if begun { result.recv_timeout(self.patience).ok().flatten() } else { None };
        self.counted(found)
    }

    /// Waits for all reads and ends their threads, so that no read keeps the store open. More reads start new threads.
    #[cfg(feature = "capi")]
    pub(crate) fn end(&mut self) {
        let Some(Started { jobs, workers }) = self.threads.0.take() else { return };
        drop(jobs);
        for worker in workers {
            // A worker catches the panics of its reads.
            let _ = worker.join();
        }
    }

    /// Begins a read, unless the disk hangs or the system gives no thread. Returns whether it has begun. `done` is dropped
    /// if the read panics.
    fn begin<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Option<T> + Send + 'static,
        done: impl FnOnce(Option<T>) + Send + 'static,
    ) -> bool {
        if self.is_hanging() {
            return false;
        }
        let Some(place) = self.places.take() else { return false };
        self.threads.run(Box::new(move || {
            let found = occupying(place, read);
            done(found);
        }))
    }

    fn counted<T>(&self, found: Option<T>) -> Option<T> {
        if found.is_none() {
            self.miss();
        }
        found
    }

    /// Returns whether the disk does not answer in time.
    fn is_hanging(&self) -> bool {
        let mut slow = 0;
        self.places.ages().any(|age| {
            slow += usize::from(age >= self.slow);
            age >= self.hangs || slow >= MANY_SLOW
        })
    }

    /// Counts a decision that is answered without the id and the context of its call.
    pub(crate) fn miss(&self) {
        self.missed.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many decisions were answered without the id and the context of their call.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Counts a read that failed.
    #[cfg_attr(not(any(feature = "http", feature = "sip")), allow(dead_code, reason = "C returns the failure"))]
    pub(crate) fn fail(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many reads failed.
    pub fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Counts fields of a context, and ids, that were left out of an answer, because they were too large for it.
    #[cfg_attr(not(feature = "sip"), allow(dead_code, reason = "only gateways' doors limit the size of an answer"))]
    pub(crate) fn leave_out(&self, fields: u64) {
        self.too_large.fetch_add(fields, Ordering::Relaxed);
    }

    /// Returns how many fields of contexts, and ids, were left out of answers, because they were too large.
    pub fn left_out(&self) -> u64 {
        self.too_large.load(Ordering::Relaxed)
    }
}

/// Returns the result of `read`, and frees the place, also if it panics.
fn occupying<T>(_place: Place, read: impl FnOnce() -> T) -> T {
    read()
}

impl fmt::Debug for CallReads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallReads").field("missed", &self.missed()).finish_non_exhaustive()
    }
}

#[cfg(all(test, any(feature = "http", feature = "sip")))]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Longer than a busy machine needs for a thread.
    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(5);

    fn reads(slow: Duration, hangs: Duration) -> CallReads {
        CallReads { slow, hangs, ..CallReads::default() }
    }

    /// Returns a read that hangs until the sender is dropped.
    fn hanging() -> (mpsc::Sender<()>, impl FnOnce() -> Option<u8> + Send + 'static) {
        let (release, held) = mpsc::channel::<()>();
        let read = move || {
            let _ = held.recv();
            Some(1)
        };
        (release, read)
    }

    /// Expects that a hundred requests neither read nor wait.
    async fn expect_no_read(reads: &CallReads) {
        let began = Stopwatch::start();
        for _ in 0..100 {
            assert_eq!(reads.within(LONG, || Some(2)).await, None, "no read begins");
        }
        assert!(u128::from(began.nanos()) < LONG.as_nanos(), "none of them waits");
    }

    async fn wait_until_free(reads: &CallReads) {
        while reads.places.ages().count() > 0 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn one_slow_read_costs_its_request_the_context_and_the_others_nothing() {
        let reads = reads(Duration::ZERO, LONG);
        assert_eq!(reads.within(LONG, || Some(7)).await, Some(7));
        let (release, slow) = hanging();
        assert_eq!(reads.within(SHORT, slow).await, None);
        assert_eq!(reads.within(LONG, || Some(2)).await, Some(2), "beside a slow one");
        assert_eq!(reads.missed(), 1);
        drop(release);
    }

    #[tokio::test]
    async fn several_slow_reads_stop_the_others_until_they_end() {
        let reads = reads(SHORT, LONG);
        let mut releases = Vec::new();
        for _ in 0..MANY_SLOW {
            let (release, slow) = hanging();
            assert_eq!(reads.within(Duration::from_millis(6), slow).await, None);
            releases.push(release);
        }
        expect_no_read(&reads).await;
        assert_eq!(reads.missed(), 100 + MANY_SLOW as u64);
        drop(releases);
        wait_until_free(&reads).await;
        assert_eq!(reads.within(LONG, || Some(3)).await, Some(3));
    }

    /// The client of the read that hangs drops its request before the time limit.
    #[tokio::test]
    async fn read_of_a_cancelled_request_that_hangs_stops_the_others_until_it_ends() {
        let reads = reads(LONG, SHORT);
        let (release, hangs) = hanging();
        assert!(tokio::time::timeout(Duration::from_millis(6), reads.within(LONG, hangs)).await.is_err());
        expect_no_read(&reads).await;
        assert_eq!(reads.missed(), 100);
        drop(release);
        wait_until_free(&reads).await;
        assert_eq!(reads.within(LONG, || Some(3)).await, Some(3));
    }

    #[tokio::test]
    async fn request_does_not_wait_for_a_place() {
        let reads = reads(LONG, LONG);
        let mut releases = Vec::new();
        for _ in 0..MOST {
            let (release, hangs) = hanging();
            assert_eq!(reads.within(Duration::ZERO, hangs).await, None);
            releases.push(release);
        }
        expect_no_read(&reads).await;
        releases.pop();
        while reads.places.ages().count() == MOST {
            tokio::task::yield_now().await;
        }
        assert_eq!(reads.within(LONG, || Some(3)).await, Some(3));
        drop(releases);
    }

    #[tokio::test]
    async fn read_that_panics_or_fails_is_missed_and_hangs_nothing() {
        let reads = CallReads::default();
        assert_eq!(reads.within(LONG, || None::<u8>).await, None);
        assert_eq!(reads.within(LONG, || -> Option<u8> { panic!("planted") }).await, None);
        wait_until_free(&reads).await;
        assert_eq!(reads.within(LONG, || Some(3)).await, Some(3));
        assert_eq!(reads.missed(), 2);
    }

    #[tokio::test]
    async fn read_that_gets_no_thread_frees_its_place() {
        let reads = CallReads::default();
        // As if no thread took the jobs: the queue is full.
        let (jobs, _queue) = sync_channel(0);
        assert!(reads.threads.0.set(Started { jobs, workers: Vec::new() }).is_ok(), "not started");
        assert_eq!(reads.within(LONG, || Some(1)).await, None);
        assert_eq!((reads.missed(), reads.places.ages().count()), (1, 0));
        assert!(Threads::start(0).is_none(), "no threads");
    }

    #[tokio::test]
    async fn read_that_panics_leaves_its_thread_to_others() {
        let reads = CallReads::default();
        for _ in 0..2 * MOST {
            assert_eq!(reads.within(LONG, || -> Option<u8> { panic!("planted") }).await, None);
            wait_until_free(&reads).await;
        }
        assert_eq!(reads.within(LONG, || Some(7)).await, Some(7));
    }
}
