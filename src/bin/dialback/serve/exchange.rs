//! The requests of a connection, from their heads to the ends of their responses.

use super::progress::{Progress, Standstill};
use axum::body::{Body, Bytes};
use axum::http::Response;
use dialback::admission::Place;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::{Buf, Incoming};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// The requests of one connection. While one of them is being answered, the connection is not closed for another one.
pub(super) struct Exchanges {
    place: Place,
    counts: Mutex<Counts>,
}

#[derive(Default)]
struct Counts {
    /// The requests that are being answered, and whose client is known and has sent the whole body.
    answering: usize,
    /// The progress of all requests until their responses are written. Signs of life are a part of the request's body,
    /// and a written part of the response.
    progress: Progress,
}

impl Exchanges {
    pub(super) fn new(place: Place) -> Arc<Self> {
        Arc::new(Self { place, counts: Mutex::default() })
    }

    /// Waits until the connection has to close for another one.
    pub(super) async fn closing(&self) {
        self.place.closing().await;
    }

    /// Looks after this time since the last look. Returns for how long the client has made no progress.
    pub(super) fn look(&self, passed: Duration) -> Standstill {
        self.counts().progress.look(passed)
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self) {
        let mut counts = self.counts();
        counts.answering += 1;
        // If another connection gets this place now, this one is dropped at once with its requests.
        let _is_open = self.place.begin();
    }

    /// Notes that the connection waits for its client, unless another request is being answered.
    fn wait(&self, counts: &Counts) {
        if counts.answering == 0 {
            self.place.idle();
        }
    }
}

/// A request on its way. Until the client has shown a valid token and has sent the whole body, its connection may be
/// closed for another one. So neither strangers nor slow clients can hold all places.
pub(super) struct Exchange {
    exchanges: Arc<Exchanges>,
    /// Its number among those of the connection.
    number: usize,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    valid_token: bool,
    whole_body: bool,
    /// The connection has taken the whole response.
    is_answered: bool,
}

impl Heard {
    fn all(&self) -> bool {
        self.valid_token && self.whole_body
    }
}

impl Exchange {
    pub(super) fn new(exchanges: &Arc<Exchanges>) -> Arc<Self> {
        let number = exchanges.counts().progress.begin();
        Arc::new(Self { exchanges: Arc::clone(exchanges), number, heard: Mutex::default() })
    }

    pub(super) fn note_valid_token(&self) {
        self.exchanges.place.identify();
        self.note(|heard| heard.valid_token = true);
    }

    fn note_body(&self, is_whole: bool) {
        self.sign();
        self.note(|heard| heard.whole_body |= is_whole);
    }

    /// Notes a sign of life.
    pub(super) fn sign(&self) {
        self.exchanges.counts().progress.sign(self.number);
    }

    fn note(&self, hear: impl FnOnce(&mut Heard)) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.is_answered {
            return;
        }
        let knew_all = heard.all();
        hear(&mut heard);
        if heard.all() && !knew_all {
            self.exchanges.answer();
        } else if heard.valid_token && !heard.whole_body {
            // Each part of the body counts as a sign of life.
            self.exchanges.wait(&self.exchanges.counts());
        }
    }

    /// Notes that the connection has taken the whole response, or that there will be none.
    fn end_answer(&self) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        if heard.is_answered {
            return;
        }
        heard.is_answered = true;
        let mut counts = self.exchanges.counts();
        counts.answering -= usize::from(heard.all());
        self.exchanges.wait(&counts);
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.end_answer();
        self.exchanges.counts().progress.end(self.number);
    }
}

/// The body of a request, which notes its end.
pub(super) struct Received {
    body: Incoming,
    exchange: Arc<Exchange>,
}

impl Received {
    pub(super) fn new(body: Incoming, exchange: Arc<Exchange>) -> Self {
        if body.is_end_stream() {
            exchange.note_body(true);
        }
        Self { body, exchange }
    }
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let is_whole = frame.is_none() || self.body.is_end_stream();
        self.exchange.note_body(is_whole);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a response. The answer ends when the connection has taken the body, and the exchange when all of the body
/// is written.
pub(super) struct Tracked {
    body: Body,
    exchange: Arc<Exchange>,
}

impl Tracked {
    pub(super) fn response(response: Response<Body>, exchange: Arc<Exchange>) -> Response<Self> {
        response.map(|body| Self { body, exchange })
    }
}

impl http_body::Body for Tracked {
    type Data = Piece;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.exchange.sign();
        let piece = |bytes| Piece { bytes, exchange: Arc::clone(&self.exchange) };
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        self.exchange.end_answer();
    }
}

/// A part of a response that the connection has taken, and writes as fast as its client reads. The exchange is open until
/// the last part is written.
pub(super) struct Piece {
    bytes: Bytes,
    exchange: Arc<Exchange>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
        self.exchange.sign();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dialback::admission::{Admission, Arrival, Budget};
    use std::net::{IpAddr, Ipv4Addr};

    fn known(exchanges: &Arc<Exchanges>) -> Arc<Exchange> {
        let exchange = Exchange::new(exchanges);
        exchange.note_valid_token();
        exchange.note_body(true);
        exchange
    }

    #[tokio::test]
    async fn connection_is_closed_for_another_only_when_its_last_response_has_ended() {
        let admission = Admission::new(Budget { connections: 1, per_source: None });
        let source = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
        let Arrival::Placed(place) = admission.arrive(source).await else { panic!("there is a place") };
        let exchanges = Exchanges::new(place);
        let (one, two) = (known(&exchanges), known(&exchanges));
        drop(one);
        drop(Exchange::new(&exchanges));
        let is_open = || exchanges.counts().progress.is_open();
        assert!(is_open());
        assert!(matches!(admission.arrive(source).await, Arrival::Waiting(_)));
        drop(two);
        assert!(!is_open());
        let close = async move { exchanges.closing().await };
        let (arrival, ()) = tokio::join!(admission.arrive(source), close);
        assert!(matches!(arrival, Arrival::Placed(_)));
    }
}
