//! The time limit of a request, and what has to be known about a request that may change the configuration.

use crate::event::Actor;
use crate::http::Api;
use crate::http::response::error::Refusal;
use crate::sync::{AtomicBool, Ordering};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

tokio::task_local! {
    /// Set while a handler is polled, on any thread.
    static SUBMITTED: Submitted;
}

/// Whether a request has submitted a change to the service, and the actor of its changes.
#[derive(Clone, Default)]
pub(in crate::http) struct Submitted(Arc<Submission>);

#[derive(Default)]
struct Submission {
    is_submitted: AtomicBool,
    actor: OnceLock<Actor>,
}

impl Submitted {
    /// Returns a future that polls `answer` and makes [`note`](Self::note) set this value meanwhile.
    pub(in crate::http) fn watch<F: Future>(&self, answer: F) -> impl Future<Output = F::Output> + use<F> {
        SUBMITTED.scope(self.clone(), answer)
    }

    /// Records that the request has submitted a change. From now on the change may take effect after the time limit.
    pub(in crate::http) fn note() {
        // A streamed request has no time limit as a whole, and no flag to set.
        // Relaxed: the flag is read when the handler is no longer polled, and it publishes no other data.
        let _ = SUBMITTED.try_with(|submitted| submitted.0.is_submitted.store(true, Ordering::Relaxed));
    }

    /// Records the actor of the changes that the request submits.
    pub(in crate::http) fn act(actor: impl FnOnce() -> Actor) {
        // A request in place, such as `GET /route`, changes no configuration.
        let _ = SUBMITTED.try_with(|submitted| submitted.0.actor.get_or_init(actor).is_unknown());
    }

    /// Returns the actor of the request that is being handled.
    pub(in crate::http) fn actor() -> Actor {
        SUBMITTED.try_with(|submitted| submitted.0.actor.get().cloned()).ok().flatten().unwrap_or_default()
    }

    /// Waits for the answer.
    ///
    /// # Errors
    /// If the time limit is over: `OUTCOME_UNKNOWN` if the request has submitted a change, else `TIMEOUT`.
    pub(in crate::http) async fn within<T>(
        &self,
        limit: Duration,
        answer: impl Future<Output = T>,
    ) -> Result<T, Refusal> {
        match tokio::time::timeout(limit, answer).await {
            Ok(answer) => Ok(answer),
            Err(_) if self.0.is_submitted.load(Ordering::Relaxed) => Err(Refusal::outcome_unknown()),
            Err(_) => Err(Refusal::too_slow()),
        }
    }
}

/// Returns 503 if the response is not ready within the time limit.
pub(in crate::http) async fn watch(State(api): State<Api>, request: Request, next: Next) -> Result<Response, Refusal> {
    let submitted = Submitted::default();
    submitted.within(api.limits.patience, submitted.watch(next.run(request))).await
}
