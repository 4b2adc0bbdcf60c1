//! Work that takes long: done on a few threads of its own, in turns between tenants.
//!
//! A thread that answers `GET /route` must not be kept busy by what a tenant asks for beside. [`Work::run`] does one slice of
//! work on another thread. [`Work::drive`] polls a whole future there, so that a handler needs no change to be moved: each
//! `await` in it ends a slice.
//!
//! * **Bounded.** No more slices run at a time than there are threads for them: half of the processors, one at least.
//! * **In turns.** One slice of a tenant at a time competes for a thread. A tenant with a thousand searches delays another
//!   tenant's search by one slice.
//! * **Cancellable.** Nothing runs for a future that was dropped, past the slice that is running.

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

/// The threads, and whose turn it is.
pub(super) struct Work {
    /// The runtime whose blocking threads do the work; `None` for the current one.
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
    /// Creates a pool that works on the blocking threads of `runtime`.
    pub(super) fn on(runtime: Handle) -> Self {
        Self { runtime: Some(runtime), ..Self::default() }
    }

    /// Does a slice of work for the tenant on another thread.
    ///
    /// # Panics
    /// As the slice does.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        tenant: EnvironmentId,
        slice: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let (turn, thread) = (self.turns.of(tenant), Arc::clone(&self.threads));
        // In a task of its own: a permit that is assigned to a future that is never polled again would block all others.
        let runtime = self.runtime.clone();
        let done = Abandoned(tokio::spawn(async move {
            let turn = acquire(turn, 1).await;
            let thread = acquire(thread, 1).await;
            let held = move || {
                let _held = (turn, thread);
                slice()
            };
            match runtime {
                Some(runtime) => runtime.spawn_blocking(held).await,
                None => spawn_blocking(held).await,
            }
        }));
        match done.await {
            Ok(Ok(done)) => done,
            Ok(Err(error)) | Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
            // The runtime is shutting down, and drops this future.
            Ok(Err(_)) | Err(_) => std::future::pending().await,
        }
    }

    /// Polls the future on other threads until it is ready.
    pub(super) async fn drive<T: Send + 'static>(
        &self,
        tenant: EnvironmentId,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        let mut future: Driven<T> = Box::pin(future.in_current_span());
        let bell = Arc::new(Bell(Notify::new()));
        loop {
            let waker = Waker::from(Arc::clone(&bell));
            let slice = move || match future.as_mut().poll(&mut Context::from_waker(&waker)) {
                // What the future held is dropped here too: a body of a mebibyte takes its time.
                Poll::Ready(done) => Ok(done),
                Poll::Pending => Err(future),
            };
            match self.run(tenant, slice).await {
                Ok(done) => return done,
                Err(pending) => future = pending,
            }
            bell.0.notified().await;
        }
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").field("free", &self.threads.available_permits()).finish_non_exhaustive()
    }
}

/// A task that is aborted when this handle is dropped.
struct Abandoned<T>(JoinHandle<T>);

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
struct Bell(Notify);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.notify_one();
    }
}

/// Lets the rest of the work wait for its turn again: a slice should take less than a millisecond.
pub(super) async fn pause() {
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
    async fn tenants_take_turns_however_much_one_asks_for() {
        let work = on_one_thread();
        let (say, said) = mpsc::channel();
        let (release, held) = mpsc::channel::<()>();
        let mut tasks = Vec::new();
        let mut ask = |tenant, hold: Option<mpsc::Receiver<()>>| {
            let (work, say) = (Arc::clone(&work), say.clone());
            let slice = move || {
                hold.map(|held| held.recv());
                say.send(tenant).expect("heard");
            };
            tasks.push(tokio::spawn(async move { work.run(tenant, slice).await }));
        };
        ask(ONE, Some(held));
        (0..20).for_each(|_| ask(ONE, None));
        ask(OTHER, None);
        // All of them wait by then, since this runtime has one thread.
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
    async fn a_future_is_driven_elsewhere_and_ends_where_it_is_dropped() {
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
        // Waits for the slice that was running, if one was.
        work.run(ONE, || ()).await;
        while said.try_recv().is_ok() {}
        work.run(ONE, || ()).await;
        assert!(matches!(said.try_recv(), Err(mpsc::TryRecvError::Disconnected)), "it is gone");
    }

    #[tokio::test]
    async fn a_panic_comes_out_and_leaves_the_threads_to_others() {
        let work = on_one_thread();
        let panicking = Arc::clone(&work);
        let task = tokio::spawn(async move { panicking.run(ONE, || panic!("planted")).await });
        assert!(task.await.is_err_and(|error| error.is_panic()));
        assert_eq!(work.run(ONE, || 7).await, 7);
    }
}
