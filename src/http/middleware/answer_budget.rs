//! Memory for responses that clients have not read yet.
//!
//! A long response reserves memory before it is written, and keeps the reservation until the connection has all of it.
//! The connection takes a response in pieces of [`PIECE`] bytes and buffers a limited amount. All long responses together
//! have [`ALL`] KiB, and those of one tenant an eighth of that. A tenant whose clients do not read waits for its own
//! clients, not for others.

use super::shares::{Shares, acquire};
use crate::id::EnvironmentId;
use axum::body::{Body, Bytes, HttpBody};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The size in bytes of the pieces that a connection gets.
pub(in crate::http) const PIECE: usize = 16 << 10;

/// The reservation of most responses in KiB. It is enough for a page or a piece of a list, and for the longest single agent:
/// a thousand numbers and two long names.
pub(in crate::http) const USUAL: u32 = 128;

/// The reservation of the few responses that may be longer, in KiB: a thousand decisions, or a thousand names.
pub(in crate::http) const LARGE: u32 = 2 << 10;

/// The memory in KiB of all responses together, and of those of one tenant.
const ALL: u32 = 20 << 10;
const OF_ONE: u32 = ALL / 8;

/// The memory that responses may reserve.
pub(in crate::http) struct AnswerBudget {
    all: Arc<Semaphore>,
    tenants: Shares,
}

/// The memory that one response has reserved. Dropping it releases the memory.
pub(in crate::http) struct Reservation {
    _tenants: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for AnswerBudget {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(ALL as usize)), tenants: Shares::new(OF_ONE as usize) }
    }
}

impl AnswerBudget {
    /// Reserves this many KiB. Waits until they are free.
    pub(in crate::http) async fn reserve(&self, tenant: EnvironmentId, kib: u32) -> Reservation {
        let tenants = acquire(self.tenants.of(tenant), kib).await;
        Reservation { _tenants: tenants, _all: acquire(Arc::clone(&self.all), kib).await }
    }
}

impl Reservation {
    /// Returns the response with the reservation attached, until the connection has all of it. A response of at most one
    /// piece releases the reservation at once, because the connection takes it at once.
    pub(in crate::http) fn hold(self, response: Response) -> Response {
        match response.body().size_hint().exact() {
            Some(bytes) if bytes <= PIECE as u64 => response,
            _ => response.map(|body| Body::new(Held { body, piece: Bytes::new(), reservation: Some(self) })),
        }
    }
}

impl fmt::Debug for AnswerBudget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnswerBudget").field("free_kib", &self.all.available_permits()).finish_non_exhaustive()
    }
}

/// A body with reserved memory, delivered in small pieces.
struct Held {
    body: Body,
    /// Data that the body has delivered and the connection has not taken yet.
    piece: Bytes,
    reservation: Option<Reservation>,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.piece.is_empty() {
            match std::task::ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) if frame.is_data() => self.piece = frame.into_data().unwrap_or_default(),
                last => {
                    self.reservation = None;
                    return Poll::Ready(last);
                }
            }
        }
        let len = self.piece.len().min(PIECE);
        // Copied, because a slice would keep the whole buffer in memory.
        let piece = Bytes::copy_from_slice(&self.piece.split_to(len));
        if self.piece.is_empty() {
            self.piece = Bytes::new();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.piece.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.piece.len() as u64;
        let rest = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + held);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + held);
        }
        hint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::to_bytes;

    const ONE: EnvironmentId = EnvironmentId::from_u128(1);
    const OTHER: EnvironmentId = EnvironmentId::from_u128(2);

    fn free(budget: &AnswerBudget) -> usize {
        budget.all.available_permits()
    }

    fn is_waiting<T>(future: impl Future<Output = T>) -> bool {
        let mut context = Context::from_waker(std::task::Waker::noop());
        std::pin::pin!(future).poll(&mut context).is_pending()
    }

    #[tokio::test]
    async fn long_response_keeps_its_reservation_until_it_is_read_or_dropped() {
        let budget = AnswerBudget::default();
        let text: String = (b'a'..=b'z').cycle().take(40_000).map(char::from).collect();
        let answer = budget.reserve(ONE, USUAL).await.hold(Response::new(text.clone().into()));
        assert_eq!(answer.body().size_hint().exact(), Some(40_000));
        assert_eq!(free(&budget), (ALL - USUAL) as usize);
        let mut body = answer.into_body();
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        assert_eq!(frame.expect("there").expect("whole").into_data().expect("data").len(), PIECE);
        assert_eq!(free(&budget), (ALL - USUAL) as usize);
        assert_eq!(to_bytes(body, usize::MAX).await.expect("whole"), text.as_bytes()[PIECE..]);
        assert_eq!(free(&budget), ALL as usize);

        drop(budget.reserve(ONE, USUAL).await.hold(Response::new(text.into())));
        assert_eq!(free(&budget), ALL as usize);
        let short = budget.reserve(ONE, USUAL).await.hold(Response::new("short".into()));
        assert_eq!(free(&budget), ALL as usize, "a short response holds no memory");
        drop(short);
    }

    #[tokio::test]
    async fn tenant_waits_for_its_own_clients_only() {
        let budget = AnswerBudget::default();
        let mut held = Vec::new();
        for _ in 0..OF_ONE / USUAL {
            held.push(budget.reserve(ONE, USUAL).await);
        }
        assert!(is_waiting(budget.reserve(ONE, USUAL)));
        assert!(!is_waiting(budget.reserve(OTHER, LARGE)));
        held.pop();
        assert!(!is_waiting(budget.reserve(ONE, USUAL)));
    }
}
