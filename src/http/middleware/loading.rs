//! Requests while the stored data is still being loaded.

use crate::http::Api;
use crate::http::response::error::Refusal;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Returns 503 until all stored data is loaded.
pub(in crate::http) async fn gate(State(api): State<Api>, request: Request, next: Next) -> Response {
    match api.service().loading() {
        None => next.run(request).await,
        Some(_) => later(Refusal::loading().into_response()),
    }
}

/// An extractor that rejects a route request while loading, unless routes are answered while loading. It must be the first
/// extractor of its handler.
pub(in crate::http) struct Routing;

impl FromRequestParts<Api> for Routing {
    type Rejection = Response;

    async fn from_request_parts(_: &mut Parts, api: &Api) -> Result<Self, Response> {
        if api.inbound.is_ready() { Ok(Self) } else { Err(later(Refusal::loading().into_response())) }
    }
}

/// Adds `Retry-After: 1` to the response.
pub(in crate::http) fn later(mut answer: Response) -> Response {
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}
