//! How long a request may take.

use super::Api;
use super::error::Refusal;
use super::loading;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

tokio::task_local! {
    /// Whether the request that this task answers has handed a change in.
    static HAS_HANDED_IN: Cell<bool>;
}

/// Answers 503 where there is no answer in time.
pub(super) async fn watch(State(api): State<Api>, request: Request, next: Next) -> Result<Response, Refusal> {
    within(api.limits.patience, next.run(request)).await
}

/// Does so behind the [gate](loading::gate).
pub(super) async fn watch_behind_gate(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let patience = api.limits.patience;
    let answer = loading::gate(State(api), request, next);
    within(patience, answer).await
}

/// Notes that the request has handed a change in: from here on it may come into force after the deadline.
pub(super) fn note_handed_in() {
    // There is no deadline where the request is streamed.
    let _ = HAS_HANDED_IN.try_with(|handed_in| handed_in.set(true));
}

async fn within<T>(patience: Duration, answer: impl Future<Output = T>) -> Result<T, Refusal> {
    let mut answer = pin!(HAS_HANDED_IN.scope(Cell::new(false), answer));
    match tokio::time::timeout(patience, answer.as_mut()).await {
        Ok(answer) => Ok(answer),
        Err(_) if answer.take_value().is_some_and(Cell::into_inner) => Err(Refusal::outcome_unknown()),
        Err(_) => Err(Refusal::too_slow()),
    }
}
