//! Runs requests away from the threads that answer `GET /route`, each with memory reserved for its response.

use super::answer_budget::{LARGE, USUAL};
use super::body_budget::FREE;
use super::deadline::Submitted;
use super::loading;
use crate::http::Api;
use crate::http::request::{auth, body};
use crate::http::response::error::Refusal;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

/// Bodies of up to this many bytes are read on any thread: that takes a few microseconds.
const SHORT: u64 = FREE as u64;

/// Runs a request with a response of usual size, within the time limit.
pub(in crate::http) async fn usual(State(api): State<Api>, request: Request, next: Next) -> Result<Response, Refusal> {
    with_budget(&api, USUAL, request, next).await
}

/// Runs a request with a response that may be long, within the time limit.
pub(in crate::http) async fn large(State(api): State<Api>, request: Request, next: Next) -> Result<Response, Refusal> {
    with_budget(&api, LARGE, request, next).await
}

/// Runs a short request in place, because it has to be quick. Runs it on another thread if its body is long.
pub(in crate::http) async fn if_long(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let is_short = request.body().size_hint().upper().is_some_and(|bytes| bytes <= SHORT);
    let tenant = auth::holder(request.headers(), &api).filter(|_| !is_short);
    let (submitted, limit) = (Submitted::default(), api.limits.patience);
    let answer = submitted.watch(loading::gate(State(api.clone()), request, next));
    match tenant {
        None => submitted.within(limit, answer).await,
        Some(tenant) => submitted.within(limit, api.work.drive(tenant, answer)).await,
    }
}

/// Runs a streamed request. It has no time limit as a whole, but each of its steps has one.
pub(in crate::http) async fn stream(State(api): State<Api>, request: Request, next: Next) -> Response {
    let holder = auth::holder(request.headers(), &api);
    let answer = loading::gate(State(api.clone()), request, next);
    match holder {
        None => answer.await,
        Some(tenant) => api.work.drive(tenant, answer).await,
    }
}

async fn with_budget(api: &Api, kib: u32, request: Request, next: Next) -> Result<Response, Refusal> {
    let submitted = Submitted::default();
    submitted.within(api.limits.patience, answer_with_budget(api, kib, request, next, &submitted)).await?
}

async fn answer_with_budget(
    api: &Api,
    kib: u32,
    request: Request,
    next: Next,
    submitted: &Submitted,
) -> Result<Response, Refusal> {
    // A request without a valid token is rejected at once, so it needs no other thread.
    let Some(tenant) = auth::holder(request.headers(), api) else {
        return Ok(loading::gate(State(api.clone()), request, next).await);
    };
    // The body is read first: a client that sends its body slowly must not hold memory for a response meanwhile.
    let (request, is_whole) = whole(api, request).await?;
    let before = if is_whole { Some(api.answer_budget.reserve(tenant, kib).await) } else { None };
    let answer = submitted.watch(loading::gate(State(api.clone()), request, next));
    let answer = api.work.drive(tenant, answer).await;
    let reservation = match before {
        Some(reservation) => reservation,
        None => api.answer_budget.reserve(tenant, kib).await,
    };
    Ok(reservation.hold(answer))
}

/// Reads the body of the request if its length is known and within the limit. Returns whether it did.
async fn whole(api: &Api, request: Request) -> Result<(Request, bool), Refusal> {
    if request.body().is_end_stream() {
        return Ok((request, true));
    }
    let limit = api.limits.body_bytes;
    if request.body().size_hint().exact().is_none_or(|bytes| bytes > limit as u64) {
        return Ok((request, false));
    }
    let (mut head, body) = request.into_parts();
    let body = body::read(body, &head.headers, api).await?;
    head.extensions.insert(body::Whole(body.clone()));
    Ok((Request::from_parts(head, Body::from(body)), true))
}
