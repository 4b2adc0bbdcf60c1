//! Each request, counted and logged. A path or query may hold a phone number, so neither is ever in it.

use super::Api;
use crate::metrics::Stopwatch;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;

/// One line a request, at debug level: method, the route's template, status.
pub(super) async fn requests(State(api): State<Api>, request: Request, next: Next) -> Response {
    let begun = Stopwatch::start();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let route = route.as_ref().map_or("-", MatchedPath::as_str);
    let status = response.status();
    api.requests.count(&method, route, status, begun.nanos());
    tracing::debug!(%method, route, status = status.as_u16(), "request");
    response
}
