//! Request bodies that a handler did not read to the end.
//!
//! A connection cannot receive the next request before the rest of the current one. The rest is read, within limits, so
//! that the client has sent all of its request when it reads the response. Beyond the limits the response carries
//! `Connection: close`.

use super::body::{PATIENCE, next_chunk};
use crate::http::Api;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, EXPECT, HeaderValue};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

/// The body of a request in progress.
pub(in crate::http) struct UnreadBody {
    place: Place,
    /// The client sent `Expect` and sends its body only if the server asks for it.
    is_on_request: bool,
}

type Place = Arc<Mutex<State>>;

enum State {
    /// The handler has the body.
    Lent,
    /// The handler dropped the body before its end.
    Left(Body),
    Read,
    /// The body is cut short or invalid. The connection cannot be reused.
    Broken,
}

/// Watches whether the handler reads the body to its end. Returns `None` if the request has no body.
pub(in crate::http) fn watch(request: Request) -> (Request, Option<UnreadBody>) {
    if request.body().is_end_stream() {
        return (request, None);
    }
    let is_on_request = request.headers().contains_key(EXPECT);
    let place = Arc::new(Mutex::new(State::Lent));
    let lend = |body| Body::new(Lent { body: Some(body), place: Arc::clone(&place) });
    (request.map(lend), Some(UnreadBody { place, is_on_request }))
}

impl UnreadBody {
    /// Reads the rest of the body. If that fails, makes the response carry `Connection: close`.
    pub(in crate::http) async fn settle(self, api: &Api, response: &mut Response) {
        let state = std::mem::replace(&mut *lock(&self.place), State::Read);
        let is_read = match state {
            State::Read => true,
            State::Lent | State::Broken => false,
            // The request's time may be over. The body gets no more of it.
            State::Left(_) if response.status() == StatusCode::SERVICE_UNAVAILABLE => false,
            // After 413 the rest has already been read as far as the limit allows.
            State::Left(_) if response.status() == StatusCode::PAYLOAD_TOO_LARGE || self.is_on_request => false,
            State::Left(body) => {
                let limit = api.limits.body_bytes.saturating_mul(PATIENCE);
                let rest = tokio::time::timeout(api.limits.patience, read_on(body, limit));
                rest.await.unwrap_or(false)
            }
        };
        if !is_read {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// Reads the body and returns whether it ended within `limit` bytes.
async fn read_on(mut body: Body, limit: usize) -> bool {
    if body.size_hint().lower() > limit as u64 {
        return false;
    }
    let mut left = limit;
    while let Some(chunk) = next_chunk(&mut body).await {
        let Ok(chunk) = chunk else { return false };
        match left.checked_sub(chunk.len()) {
            Some(less) => left = less,
            None => return false,
        }
    }
    true
}

fn lock(place: &Place) -> std::sync::MutexGuard<'_, State> {
    place.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A body that returns to its place if it is dropped before its end.
struct Lent {
    body: Option<Body>,
    place: Place,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(&mut *body).poll_frame(context));
        let is_broken = matches!(frame, Some(Err(_)));
        if body.is_end_stream() || frame.is_none() || is_broken {
            self.body = None;
            *lock(&self.place) = if is_broken { State::Broken } else { State::Read };
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(body) = self.body.take() {
            *lock(&self.place) = State::Left(body);
        }
    }
}
