//! A pool of threads for long work, shared fairly between tenants.
//!
//! A thread that answers `GET /route` must not be busy with a tenant's other requests. [`Work::run`] runs one slice of work
//! on another thread. [`Work::drive`] polls a whole future there, so that a handler needs no change: each `await` that
//! waits ends a slice.
//!
//! * **Bounded.** At most as many slices run at a time as the pool has threads: half of the processors, at least one.
//! * **Fair.** A tenant competes for a thread with one slice at a time. A tenant with a thousand searches delays another
//!   tenant's search by one slice.
//! * **Cancellable.** If a future is dropped, a slice that has begun runs to its end and no other slice starts.

use super::shares::{Shares, acquire};
use crate::id::EnvironmentId;
use std::fmt;
use std::num::NonZeroUsize;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};
use tracing::Instrument;

/// The pool of threads, and the turn of each tenant.
pub(in crate::http) struct Work {
    /// The runtime whose blocking threads run the slices. `None` means the current runtime.
    runtime: Option<Handle>,
    threads: Arc<Semaphore>,
    turns: Shares,
}

type Driven<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Default for Work {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self { runtime: None, threads: Arc::new(Semaphore::new((processors / 2).max(1))), turns: Shares::new(1) }
    }
}

impl Work {
    /// Creates a pool on the blocking threads of `runtime`.
    pub(in crate::http) fn on(runtime: Handle) -> Self {
        Self { runtime: Some(runtime), ..Self::default() }
    }

    /// Runs a slice of the tenant's work on another thread.
    ///
    /// # Panics
    /// If the slice panics.
    pub(in crate::http) async fn run<T: Send + 'static>(
        &self,
        tenant: EnvironmentId,
        slice: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let (turn, thread) = (self.turns.of(tenant), Arc::clone(&self.threads));
        // The permits are acquired in a task of their own: a permit assigned to a future that is never polled again would block
        // all other waiters.
        let runtime = self.runtime.clone();
        let done = Abandoned(tokio::spawn(async move {
            let turn = acquire(turn, 1).await;
            let thread = acquire(thread, 1).await;
            let held = move || {
                let _held = (turn, thread);
                slice()
            };
            match runtime {
                Some(runtime) => Abandoned(runtime.spawn_blocking(held)).await,
                None => Abandoned(spawn_blocking(held)).await,
            }
        }));
        match done.await {
            Ok(Ok(done)) => done,
            Ok(Err(error)) | Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            // The runtime is shutting down and drops this future.
            Ok(Err(_)) | Err(_) => std::future::pending().await,
        }
    }

    /// Polls the future on other threads until it is ready.
    pub(in crate::http) async fn drive<T: Send + 'static>(
        &self,
        tenant: EnvironmentId,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let mut future: Driven<T> = Box::pin(future.in_current_span());
        let wakeup = Arc::new(Wakeup(Notify::new()));
        loop {
            let waker = Waker::from(Arc::clone(&wakeup));
            let slice = move || match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                // The future's data is dropped here too, because dropping a body of 1 MiB takes time.
                Poll::Ready(done) => Ok(done),
                Poll::Pending => Err(future),
            };
            match self.run(tenant, slice).await {
                Ok(done) => return done,
                Err(pending) => future = pending,
            }
            wakeup.0.notified().await;
        }
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("free", &self.threads.available_permits()).finish_non_exhaustive()
    }
}

/// The handle of a task. Dropping it aborts the task, unless the task is a slice that has begun.
pub(super) struct Abandoned<T>(pub(super) JoinHandle<T>);

impl<T> Future for Abandoned<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context)
    }
}

impl<T> Drop for Abandoned<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Wakes the task that drives a future.
struct Wakeup(Notify);

impl Wake for Wakeup {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

/// Ends the current slice, so that other tenants get their turn. A slice should take less than a millisecond.
pub(in crate::http) async fn pause() {
    let mut is_first = true;
    std::future::poll_fn(|context| {
        if std::mem::take(&mut is_first) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(())
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const ONE: EnvironmentId = EnvironmentId::from_u128(1);
    const OTHER: EnvironmentId = EnvironmentId::from_u128(2);

    fn on_one_thread() -> Arc<Work> {
        Arc::new(Work { runtime: None, threads: Arc::new(Semaphore::new(1)), turns: Shares::new(1) })
    }

    #[tokio::test]
    async fn tenant_with_many_slices_delays_another_tenant_by_at_most_two() {
        let work = on_one_thread();
        let (say, said) = mpsc::channel();
        let (release, held) = mpsc::channel::<()>();
        let mut tasks = Vec::new();
        let mut submit = |tenant, hold: Option<mpsc::Receiver<()>>| {
            let (work, say) = (Arc::clone(&work), say.clone());
            let slice = move || {
                hold.map(|held| held.recv());
                say.send(tenant).expect("received");
            };
            tasks.push(tokio::spawn(async move { work.run(tenant, slice).await }));
        };
        submit(ONE, Some(held));
        (0..20).for_each(|_| submit(ONE, None));
        submit(OTHER, None);
        // After this loop all of them wait, because this runtime has one thread.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        release.send(()).expect("heard");
        for task in tasks {
            task.await.expect("ends");
        }
        let order: Vec<_> = said.try_iter().collect();
        assert_eq!(order.len(), 22);
        assert!(order.iter().position(|tenant| *tenant == OTHER) <= Some(2), "{order:?}");
    }

    #[tokio::test]
    async fn driven_future_runs_on_other_threads_and_stops_when_dropped() {
        let work = on_one_thread();
        let here = std::thread::current().id();
        let there = work.drive(ONE, async {
            let first = std::thread::current().id();
            tokio::task::yield_now().await;
            pause().await;
            (first, std::thread::current().id())
        });
        let (first, last) = there.await;
        assert!(first != here && last != here);

        let (say, said) = mpsc::channel();
        let endless = async move {
            loop {
                if say.send(()).is_err() {
                    return;
                }
                pause().await;
            }
        };
        let driven = Arc::clone(&work);
        let task = tokio::spawn(async move { driven.drive(ONE, endless).await });
        while said.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        task.abort();
        assert!(task.await.is_err_and(|error| error.is_cancelled()));
        // Waits for a slice that may still be running.
        work.run(ONE, || ()).await;
        while said.try_recv().is_ok() {}
        work.run(ONE, || ()).await;
        assert!(matches!(said.try_recv(), Err(mpsc::TryRecvError::Disconnected)), "it is gone");
    }

    #[tokio::test]
    async fn panic_reaches_the_caller_and_frees_the_thread() {
        let work = on_one_thread();
        let panicking = Arc::clone(&work);
        let task = tokio::spawn(async move { panicking.run(ONE, || panic!("planted")).await });
        assert!(task.await.is_err_and(|error| error.is_panic()));
        assert_eq!(work.run(ONE, || 7).await, 7);
    }
}
