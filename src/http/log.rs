//! Each request, counted and logged. A path or query may hold a phone number, so neither is ever in it; nor is what a client
//! calls its request, which may hold one too.

use super::{Api, unread};
use crate::metrics::Stopwatch;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use std::time::Duration;
use tracing::{Instrument, debug, debug_span, error};

/// Under which the answer says what the log calls its request.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A span around what is done for a request, and a line when it is answered, both at debug level: method, the route's
/// template, status, how long it took, and the name of the request, which the answer has too.
pub(super) async fn requests(State(api): State<Api>, request: Request, next: Next) -> Response {
    let begun = Stopwatch::start();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("-", MatchedPath::as_str);
    let id = api.requests.name();
    let span = debug_span!("request", %method, route, %id);
    let (request, unread) = unread::watch(request);
    let mut response = next.run(request).instrument(span.clone()).await;
    if let Some(unread) = unread {
        unread.settle(&api, &mut response).await;
    }
    let (status, nanos) = (response.status(), begun.nanos());
    api.requests.count(&method, route, status, nanos);
    let _inside = span.entered();
    debug!(status = status.as_u16(), latency = ?Duration::from_nanos(nanos), "answered");
    if status == StatusCode::SERVICE_UNAVAILABLE && !route.contains("/health") {
        tell_of_failure(&api, id.as_ref());
    }
    response.headers_mut().insert(REQUEST_ID, id.header());
    response
}

/// Says why the store cannot be written, which names files of this machine and so is for its operator, not for clients. A
/// daemon under load refuses thousands of requests a second from then on: told are the first, the second, the fourth, and so on.
fn tell_of_failure(api: &Api, id: &str) {
    let Some(why) = api.service.failure() else { return };
    let refused = api.requests.refused();
    if refused.is_power_of_two() {
        error!(%why, refused, request = id, "the store cannot be written; routes are answered from memory");
    }
}
