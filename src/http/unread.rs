//! Bodies that a handler left unread.
//!
//! A connection on which the rest of a request is still to come cannot take another request. The rest is read on, within limits,
//! so that the client has sent all of it when it reads the answer. Past the limits the answer says that the connection closes.

use super::Api;
use super::body::{PATIENCE, next_chunk};
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, EXPECT, HeaderValue};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

/// The body of a request that is being handled.
pub(super) struct Unread {
    place: Place,
    /// The client waits to be asked for its body, and need not send it.
    is_on_request: bool,
}

type Place = Arc<Mutex<State>>;

enum State {
    /// The handler still has it.
    Lent,
    /// It was dropped before its end.
    Left(Body),
    Read,
}

/// Looks whether the body is read to its end; there is nothing to look for where there is none.
pub(super) fn watch(request: Request) -> (Request, Option<Unread>) {
    if request.body().is_end_stream() {
        return (request, None);
    }
    let is_on_request = request.headers().contains_key(EXPECT);
    let place = Arc::new(Mutex::new(State::Lent));
    let lend = |body| Body::new(Lent { body: Some(body), place: Arc::clone(&place) });
    (request.map(lend), Some(Unread { place, is_on_request }))
}

impl Unread {
    /// Reads what is left of the body, or has the answer say that the connection closes.
    pub(super) async fn settle(self, api: &Api, response: &mut Response) {
        let state = std::mem::replace(&mut *lock(&self.place), State::Read);
        let is_read = match state {
            State::Read => true,
            State::Lent => false,
            // That one has been read on already.
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

/// Whether the body ended within so many bytes.
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

/// A body that comes back where it is dropped before its end.
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
        if body.is_end_stream() || !matches!(frame, Some(Ok(_))) {
            self.body = None;
            // After an error there is no connection to save.
            *lock(&self.place) = State::Read;
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
