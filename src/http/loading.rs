//! While what is stored is still being loaded.

use super::Api;
use super::error::Refusal;
use axum::extract::{Request, State};
use axum::http::header::{HeaderValue, RETRY_AFTER};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Answers 503 until everything is there. Routes are answered from what is there as soon as the configuration is, where that is wished.
pub(super) async fn gate(State(api): State<Api>, request: Request, next: Next) -> Response {
    let is_answered = api.service.loading().is_none() || (is_route(&request) && routes_are_answered(&api));
    if is_answered {
        return next.run(request).await;
    }
    later(Refusal::loading().into_response())
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

fn is_route(request: &Request) -> bool {
    request.uri().path().ends_with("/route")
}
