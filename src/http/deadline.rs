//! How long a request may take.

use super::Api;
use super::error::Refusal;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

/// Answers 503 where there is no answer in time.
pub(super) async fn watch(State(api): State<Api>, request: Request, next: Next) -> Result<Response, Refusal> {
    tokio::time::timeout(api.limits.patience, next.run(request)).await.map_err(|_| Refusal::too_slow())
}
