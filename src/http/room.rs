//! Memory for answers that clients have not read yet.
//!
//! A long answer has room before it is written, and keeps it until the connection has the last of it. The connection takes an
//! answer in pieces of [`PIECE`] bytes, and takes no more than its own buffer holds. All long answers together have
//! [`ALL`] KiB, and those of one tenant an eighth: a tenant whose clients do not read waits for its own clients.

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

/// Bytes that a connection is given at a time.
pub(super) const PIECE: usize = 16 << 10;

/// KiB of room for the answer of most requests. A page or piece of a list is written into it, and so is the longest
/// single agent: a thousand numbers and two long names.
pub(super) const USUAL: u32 = 128;

/// KiB of room for the few that may be longer: a thousand decisions, or names.
pub(super) const LARGE: u32 = 2 << 10;

/// KiB for all answers together, and for those of one tenant.
const ALL: u32 = 20 << 10;
const OF_ONE: u32 = ALL / 8;

/// The room that there is.
pub(super) struct Rooms {
    all: Arc<Semaphore>,
    tenants: Shares,
}

/// Room for one answer.
pub(super) struct Room {
    _tenants: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Rooms {
    fn default() -> Self {
        Self { all: Arc::new(Semaphore::new(ALL as usize)), tenants: Shares::new(OF_ONE as usize) }
    }
}

impl Rooms {
    /// Waits for so many KiB.
    pub(super) async fn take(&self, tenant: EnvironmentId, kib: u32) -> Room {
        let tenants = acquire(self.tenants.of(tenant), kib).await;
        Room { _tenants: tenants, _all: acquire(Arc::clone(&self.all), kib).await }
    }
}

impl Room {
    /// The answer, which keeps the room until the connection has the last of it. A short one needs none: the connection takes
    /// it at once.
    pub(super) fn hold(self, response: Response) -> Response {
        match response.body().size_hint().exact() {
            Some(bytes) if bytes <= PIECE as u64 => response,
            _ => response.map(|body| Body::new(Held { body, piece: Bytes::new(), room: Some(self) })),
        }
    }
}

impl fmt::Debug for Rooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooms").field("free_kib", &self.all.available_permits()).finish_non_exhaustive()
    }
}

/// A body that has room, given out in small pieces.
struct Held {
    body: Body,
    /// What the body gave and the connection has not taken.
    piece: Bytes,
    room: Option<Room>,
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
                    self.room = None;
                    return Poll::Ready(last);
                }
            }
        }
        let len = self.piece.len().min(PIECE);
        // A part of the whole would keep all of it.
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

    fn free(rooms: &Rooms) -> usize {
        rooms.all.available_permits()
    }

    fn is_waiting<T>(future: impl Future<Output = T>) -> bool {
        let mut context = Context::from_waker(std::task::Waker::noop());
        std::pin::pin!(future).poll(&mut context).is_pending()
    }

    #[tokio::test]
    async fn a_long_answer_keeps_its_room_until_it_is_taken_or_dropped() {
        let rooms = Rooms::default();
        let text: String =
            (0..40_000).map(|n: u32| char::from(b'a' + u8::try_from(n % 26).expect("below 26"))).collect();
        let answer = rooms.take(ONE, USUAL).await.hold(Response::new(text.clone().into()));
        assert_eq!(answer.body().size_hint().exact(), Some(40_000));
        assert_eq!(free(&rooms), (ALL - USUAL) as usize);
        let mut body = answer.into_body();
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        assert_eq!(frame.expect("there").expect("whole").into_data().expect("data").len(), PIECE);
        assert_eq!(free(&rooms), (ALL - USUAL) as usize);
        assert_eq!(to_bytes(body, usize::MAX).await.expect("whole"), text.as_bytes()[PIECE..]);
        assert_eq!(free(&rooms), ALL as usize);

        drop(rooms.take(ONE, USUAL).await.hold(Response::new(text.into())));
        assert_eq!(free(&rooms), ALL as usize);
        let short = rooms.take(ONE, USUAL).await.hold(Response::new("short".into()));
        assert_eq!(free(&rooms), ALL as usize, "a short one holds none");
        drop(short);
    }

    #[tokio::test]
    async fn a_tenant_waits_for_its_own_clients_only() {
        let rooms = Rooms::default();
        let mut held = Vec::new();
        for _ in 0..OF_ONE / USUAL {
            held.push(rooms.take(ONE, USUAL).await);
        }
        assert!(is_waiting(rooms.take(ONE, USUAL)));
        assert!(!is_waiting(rooms.take(OTHER, LARGE)));
        held.pop();
        assert!(!is_waiting(rooms.take(ONE, USUAL)));
    }
}
