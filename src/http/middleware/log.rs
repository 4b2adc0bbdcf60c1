//! Counts and logs each request. The log never contains a path, a query or an id that a client gave its request, because
//! each of them may contain a phone number.

use crate::http::Api;
use crate::http::request::unknown::Unknown;
use crate::http::request::unread_body;
use crate::http::response::header::REQUEST_ID;
use crate::metrics::Stopwatch;
use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use std::time::Duration;
use tracing::{Instrument, debug, debug_span, error};

/// Opens a debug span around a request, and logs a debug line after the response: method, route template, status,
/// duration, and the request's id. The response carries the same id, and the names of the fields that were ignored.
pub(in crate::http) async fn requests(State(api): State<Api>, request: Request, next: Next) -> Response {
    let begun = Stopwatch::start();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("-", MatchedPath::as_str);
    let id = api.requests.name();
    let span = debug_span!("request", %method, route, %id);
    let (mut request, unread) = unread_body::watch(request);
    let unknown = Unknown::wanted(request.headers(), api.is_strict);
    request.extensions_mut().insert(unknown.clone());
    let mut response = next.run(request).instrument(span.clone()).await;
    if let Some(unread) = unread {
        unread.settle(&api, &mut response).await;
    }
    let (status, nanos) = (response.status(), begun.nanos());
    api.requests.count(&method, route, status, nanos);
    let _inside = span.entered();
    debug!(status = status.as_u16(), latency = ?Duration::from_nanos(nanos), "answered");
    if status == StatusCode::SERVICE_UNAVAILABLE && !route.contains("/health") {
        log_failure(&api, id.as_ref());
    }
    unknown.name_in(&mut response);
    response.headers_mut().insert(REQUEST_ID, id.header());
    response
}

/// Logs why the store cannot be written. The reason names files of this machine, so only the operator may see it, not
/// clients. A daemon under load rejects thousands of requests a second, so only the first, second, fourth, eighth and so
/// on are logged.
fn log_failure(api: &Api, id: &str) {
    let Some(why) = api.service().failure() else { return };
    let refused = api.requests.refused();
    if refused.is_power_of_two() {
        error!(%why, refused, request = id, "the store cannot be written; routes are answered from memory");
    }
}
