//! Reads calls with ids and contexts from the store for requests that may wait for a disk, though not for ever.
//!
//! Such a read must not run in a slice of [`Work`](super::work::Work): if the disk hangs, it would occupy a thread that all
//! tenants need. The reads have a few threads of their own, and a tenant uses one of them at a time.

use super::shares::{Shares, acquire};
use super::work::Abandoned;
use crate::id::EnvironmentId;
use crate::sync::{AtomicU64, Ordering};
use std::fmt;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// The most reads at a time, each of which occupies a thread.
const MOST: usize = 8;

/// The time limit of a read, including the wait for its turn.
const PATIENCE: Duration = Duration::from_secs(5);

/// The reads, and the turn of each tenant.
pub(in crate::http) struct StoredReads {
    threads: Arc<Semaphore>,
    turns: Shares,
    /// The reads that failed.
    failed: AtomicU64,
}

impl Default for StoredReads {
    fn default() -> Self {
        Self { threads: Arc::new(Semaphore::new(MOST)), turns: Shares::new(1), failed: AtomicU64::new(0) }
    }
}

impl StoredReads {
    /// Returns the result of `read`, which runs on another thread. Returns `None` if there is none within `limit` or five
    /// seconds.
    ///
    /// # Panics
    /// If `read` panics.
    pub(in crate::http) async fn within<T: Send + 'static>(
        &self,
        limit: Duration,
        tenant: EnvironmentId,
        read: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (turn, thread) = (self.turns.of(tenant), Arc::clone(&self.threads));
        // In a task of its own, because a permit that is assigned to a future waits until that future is polled again.
        let reading = Abandoned(tokio::spawn(async move {
            let held = (acquire(turn, 1).await, acquire(thread, 1).await);
            let read = move || {
                let _held = held;
                read()
            };
            Abandoned(spawn_blocking(read)).await
        }));
        match tokio::time::timeout(limit.min(PATIENCE), reading).await.ok()? {
            Ok(Ok(done)) => Some(done),
            Ok(Err(error)) | Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            // The runtime is shutting down.
            Ok(Err(_)) | Err(_) => None,
        }
    }

    /// Counts a read that failed.
    pub(in crate::http) fn fail(&self) {
        // Relaxed: a counter by itself.
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many reads failed.
    pub(in crate::http) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for StoredReads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredReads").field("free", &self.threads.available_permits()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::AtomicUsize;
    use std::sync::mpsc;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn reads_that_hang_leave_threads_for_other_tenants_and_end_with_their_limit() {
        let reads = StoredReads::default();
        let tenant = |number: usize| EnvironmentId::from_u128(1 + number as u128);
        let running = Arc::new(AtomicUsize::new(0));
        let mut releases = Vec::new();
        let mut hanging = || {
            let (release, held) = mpsc::channel::<()>();
            releases.push(release);
            let running = Arc::clone(&running);
            move || {
                running.fetch_add(1, Ordering::Relaxed);
                _ = held.recv();
            }
        };
        let short = Duration::from_millis(5);
        for _ in 0..100 {
            assert_eq!(reads.within(short, tenant(0), hanging()).await, None);
        }
        assert_eq!(reads.within(LONG, tenant(1), || 7).await, Some(7), "one tenant occupies one thread");
        // On a busy machine, a read may end before it has a thread.
        for number in 0..MOST {
            while running.load(Ordering::Relaxed) <= number {
                assert_eq!(reads.within(short, tenant(number), hanging()).await, None);
            }
        }
        assert_eq!(reads.within(short, tenant(MOST), || 7).await, None, "all threads are occupied");
        drop(releases);
        assert_eq!(reads.within(LONG, tenant(0), || 8).await, Some(8));
    }
}
