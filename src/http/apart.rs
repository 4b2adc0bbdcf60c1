//! Requests that are handled away from the threads that answer `GET /route`, each with room for its answer.

use super::deadline::Submitted;
use super::error::Refusal;
use super::room::{LARGE, USUAL};
use super::{Api, auth, body, loading};
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

/// Bodies up to this many bytes are read on any thread: that takes a few microseconds.
const SHORT: u64 = 16 << 10;

/// Handles what a tenant or an operator configures and reads, in time.
pub(super) async fn usual(State(api): State<Api>, request: Request, next: Next) -> Result<Response, Refusal> {
    with_room(&api, USUAL, request, next).await
}

/// Handles what may have a longer answer.
pub(super) async fn large(State(api): State<Api>, request: Request, next: Next) -> Result<Response, Refusal> {
    with_room(&api, LARGE, request, next).await
}

/// Handles what is short and has to be quick, in place unless the body is long.
pub(super) async fn if_long(State(api): State<Api>, request: Request, next: Next) -> Result<Response, Refusal> {
    let is_short = request.body().size_hint().upper().is_some_and(|bytes| bytes <= SHORT);
    let tenant = auth::holder(request.headers(), &api).filter(|_| !is_short);
    let (submitted, limit) = (Submitted::default(), api.limits.patience);
    let answer = submitted.watch(loading::gate(State(api.clone()), request, next));
    match tenant {
        None => submitted.within(limit, answer).await,
        Some(tenant) => submitted.within(limit, api.work.drive(tenant, answer)).await,
    }
}

/// Handles what takes as long as it takes: each of its steps has a limit of its own.
pub(super) async fn stream(State(api): State<Api>, request: Request, next: Next) -> Response {
    let holder = auth::holder(request.headers(), &api);
    let answer = loading::gate(State(api.clone()), request, next);
    match holder {
        None => answer.await,
        Some(tenant) => api.work.drive(tenant, answer).await,
    }
}

async fn with_room(api: &Api, kib: u32, request: Request, next: Next) -> Result<Response, Refusal> {
    let submitted = Submitted::default();
    submitted.within(api.limits.patience, answer_with_room(api, kib, request, next, &submitted)).await?
}

async fn answer_with_room(
    api: &Api,
    kib: u32,
    request: Request,
    next: Next,
    submitted: &Submitted,
) -> Result<Response, Refusal> {
    // Without a good token nothing is done that would take time.
    let Some(tenant) = auth::holder(request.headers(), api) else {
        return Ok(loading::gate(State(api.clone()), request, next).await);
    };
    // A client that sends its body slowly holds no room meanwhile.
    let (request, is_whole) = whole(api, request).await?;
    let before = if is_whole { Some(api.rooms.take(tenant, kib).await) } else { None };
    let answer = submitted.watch(loading::gate(State(api.clone()), request, next));
    let answer = api.work.drive(tenant, answer).await;
    let room = match before {
        Some(room) => room,
        None => api.rooms.take(tenant, kib).await,
    };
    Ok(room.hold(answer))
}

/// The request with its body read, where it says how long it is and is not too long.
async fn whole(api: &Api, request: Request) -> Result<(Request, bool), Refusal> {
    if request.body().is_end_stream() {
        return Ok((request, true));
    }
    let limit = api.limits.body_bytes;
    if request.body().size_hint().exact().is_none_or(|bytes| bytes > limit as u64) {
        return Ok((request, false));
    }
    let (head, body) = request.into_parts();
    let body = body::read(body, limit).await?;
    Ok((Request::from_parts(head, Body::from(body)), true))
}
