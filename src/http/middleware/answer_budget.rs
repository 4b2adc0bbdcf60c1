//! Memory for responses that clients have not read yet.
//!
//! A response reserves memory before it is made, and keeps what it needs of the reservation until all of it is written or
//! dropped. The connection takes a response in pieces of [`PIECE`] bytes. In HTTP/2 it may hold the last piece of each
//! stream for long, so a piece that it has taken still counts. All responses together have [`ALL`] KiB, and those of one
//! tenant an eighth of that. A tenant whose clients do not read waits for its own clients, not for others.
//!
//! `GET /route` and the reports of calls reserve nothing: their responses have a few hundred bytes.

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

/// The reservation of the few responses that may be longer, in KiB: a thousand decisions, or a thousand names. It is enough
/// for what is held of a document that is written while the client reads.
pub(in crate::http) const LARGE: u32 = 2 << 10;

/// The memory in KiB of all responses together, and of those of one tenant.
const ALL: u32 = 20 << 10;
const OF_ONE: u32 = ALL / 8;

/// The memory that responses may reserve.
pub(in crate::http) struct AnswerBudget {
    all: Arc<Semaphore>,
    tenants: Shares,
}

/// The KiB that a response of unknown length holds in memory at a time: an extension of that response.
#[derive(Clone, Copy)]
pub(in crate::http) struct Kept {
    pub(in crate::http) kib: usize,
}

/// The memory that one response has reserved. Dropping it releases the memory.
pub(in crate::http) struct Reservation {
    tenants: OwnedSemaphorePermit,
    all: OwnedSemaphorePermit,
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
        Reservation { tenants, all: acquire(Arc::clone(&self.all), kib).await }
    }
}

impl Reservation {
    /// Returns the response with the reservation attached, until all of it is written. A response of at most one piece keeps
    /// only as much of the reservation as it is long, and another one whose length is known twice that: the buffer in which it
    /// was written grows by doubling.
    pub(in crate::http) fn hold(mut self, response: Response) -> Response {
        match response.body().size_hint().exact().map(usize::try_from) {
            Some(Ok(0)) => return response,
            Some(Ok(bytes)) if bytes <= PIECE => self.keep(bytes.div_ceil(1 << 10)),
            Some(Ok(bytes)) => self.keep((2 * bytes + PIECE).div_ceil(1 << 10)),
            _ => {
                if let Some(Kept { kib }) = response.extensions().get() {
                    self.keep(*kib);
                }
            }
        }
        response.map(|body| Body::new(Held { body, piece: Bytes::new(), reservation: Arc::new(self) }))
    }

    /// Returns data of a body with the reservation attached, until the connection has written it. Keeps only as much of the
    /// reservation as the data is long.
    pub(in crate::http) fn attach(mut self, data: Vec<u8>) -> Bytes {
        self.keep(data.len().div_ceil(1 << 10));
        Bytes::from_owner(Piece { data: data.into(), _reservation: Arc::new(self) })
    }

    /// Releases all but this many KiB.
    fn keep(&mut self, kib: usize) {
        for permit in [&mut self.tenants, &mut self.all] {
            drop(permit.split(permit.num_permits().saturating_sub(kib)));
        }
    }
}

/// Data of a response. The connection drops it when it is written.
struct Piece {
    data: Box<[u8]>,
    _reservation: Arc<Reservation>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.data
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
    reservation: Arc<Reservation>,
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
                last => return Poll::Ready(last),
            }
        }
        let len = self.piece.len().min(PIECE);
        // Copied, because a slice would keep the whole buffer in memory.
        let data = self.piece.split_to(len)[..].into();
        if self.piece.is_empty() {
            self.piece = Bytes::new();
        }
        let piece = Piece { data, _reservation: Arc::clone(&self.reservation) };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(piece)))))
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
    async fn long_response_keeps_its_reservation_until_it_is_written_or_dropped() {
        let budget = AnswerBudget::default();
        let text: String = (b'a'..=b'z').cycle().take(40_000).map(char::from).collect();
        let answer = budget.reserve(ONE, USUAL).await.hold(Response::new(text.clone().into()));
        assert_eq!(answer.body().size_hint().exact(), Some(40_000));
        // Twice 40,000 bytes, and a piece.
        assert_eq!(free(&budget), ALL as usize - 95);
        let mut body = answer.into_body();
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        assert_eq!(frame.expect("there").expect("whole").into_data().expect("data").len(), PIECE);
        assert_eq!(free(&budget), ALL as usize - 95);
        assert_eq!(to_bytes(body, usize::MAX).await.expect("whole"), text.as_bytes()[PIECE..]);
        assert_eq!(free(&budget), ALL as usize);

        drop(budget.reserve(ONE, USUAL).await.hold(Response::new(text.into())));
        assert_eq!(free(&budget), ALL as usize);
    }

    #[tokio::test]
    async fn data_of_a_stream_keeps_its_memory_until_it_is_written() {
        let budget = AnswerBudget::default();
        let data = budget.reserve(ONE, USUAL).await.attach(vec![b'x'; 5000]);
        assert_eq!((data.len(), free(&budget)), (5000, ALL as usize - 5));
        drop(data);
        assert_eq!(free(&budget), ALL as usize);
    }

    #[tokio::test]
    async fn piece_that_the_connection_has_taken_keeps_the_reservation_until_it_is_written() {
        let budget = AnswerBudget::default();
        for (bytes, kib) in [(1, 1), (1024, 1), (1025, 2), (PIECE, 16), (PIECE + 1, 49), (4 * PIECE, USUAL as usize)] {
            let mut body = budget.reserve(ONE, USUAL).await.hold(Response::new("x".repeat(bytes).into())).into_body();
            assert_eq!(free(&budget), ALL as usize - kib, "{bytes}");
            let mut taken = Vec::new();
            while let Some(frame) = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                taken.push(frame.expect("whole").into_data().expect("data"));
            }
            drop(body);
            assert_eq!(taken.concat().len(), bytes);
            taken.truncate(1);
            assert_eq!(free(&budget), ALL as usize - kib, "{bytes}");
            drop(taken);
            assert_eq!(free(&budget), ALL as usize, "{bytes}");
        }
        drop(budget.reserve(ONE, USUAL).await.hold(Response::new(Body::empty())));
        assert_eq!(free(&budget), ALL as usize);
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
