//! While what is stored is still being loaded.

use super::Api;
use super::error::Refusal;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Answers 503 until everything is there.
pub(super) async fn gate(State(api): State<Api>, request: Request, next: Next) -> Response {
    match api.service.loading() {
        None => next.run(request).await,
        Some(_) => later(Refusal::loading().into_response()),
    }
}

/// The same for decisions, which may be answered from what is there: the first thing that such a handler takes.
pub(super) struct Routing;

impl FromRequestParts<Api> for Routing {
    type Rejection = Response;

    async fn from_request_parts(_: &mut Parts, api: &Api) -> Result<Self, Response> {
        let is_answered = api.service.loading().is_none() || routes_are_answered(api);
        if is_answered { Ok(Self) } else { Err(later(Refusal::loading().into_response())) }
    }
}

/// Whether routes are answered also while the rest is loading: there is nobody whose token would be known without the configuration.
pub(super) fn routes_are_answered(api: &Api) -> bool {
    api.serves_while_loading && api.service.plan().generation() > 0
}

/// The request is worth another try in a second.
pub(super) fn later(mut answer: Response) -> Response {
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}
