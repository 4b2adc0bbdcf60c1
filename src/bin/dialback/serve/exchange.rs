//! The requests of a connection, from their heads to the ends of their responses.

use axum::body::{Body, Bytes};
use axum::http::Response;
use dialback::admission::Place;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

/// The requests of one connection. While one of them is being answered, the connection is not closed for another one.
pub(super) struct Exchanges {
    place: Place,
    counts: Mutex<Counts>,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    /// The requests whose responses have not ended.
    open: usize,
    /// Those of them whose client is known and has sent the whole body.
    answering: usize,
    /// Grows with each sign of life: a request, a part of its body, a part of a response, its end.
    signs: u64,
}

impl Exchanges {
    pub(super) fn new(place: Place) -> Arc<Self> {
        Arc::new(Self { place, counts: Mutex::default() })
    }

    /// Waits until the connection has to close for another one.
    pub(super) async fn closing(&self) {
        self.place.closing().await;
    }

    /// Returns whether there is a request without a complete response.
    pub(super) fn is_open(&self) -> bool {
        self.counts().open > 0
    }

    /// Returns a number that grows while a client makes progress with its requests.
    pub(super) fn signs(&self) -> u64 {
        self.counts().signs
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sign(&self) {
        self.counts().signs += 1;
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
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    valid_token: bool,
    whole_body: bool,
}

impl Heard {
    fn all(&self) -> bool {
        self.valid_token && self.whole_body
    }
}

impl Exchange {
    pub(super) fn new(exchanges: &Arc<Exchanges>) -> Arc<Self> {
        let mut counts = exchanges.counts();
        (counts.open, counts.signs) = (counts.open + 1, counts.signs + 1);
        drop(counts);
        Arc::new(Self { exchanges: Arc::clone(exchanges), heard: Mutex::default() })
    }

    pub(super) fn note_valid_token(&self) {
        self.exchanges.place.identify();
        self.note(|heard| heard.valid_token = true);
    }

    fn note_body(&self, is_whole: bool) {
        self.exchanges.sign();
        self.note(|heard| heard.whole_body |= is_whole);
    }

    fn note(&self, hear: impl FnOnce(&mut Heard)) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let knew_all = heard.all();
        hear(&mut heard);
        if heard.all() && !knew_all {
            self.exchanges.answer();
        } else if heard.valid_token && !heard.whole_body {
            // Each part of the body counts as a sign of life.
            self.exchanges.wait(&self.exchanges.counts());
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let heard = self.heard.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut counts = self.exchanges.counts();
        counts.signs += 1;
        counts.open -= 1;
        counts.answering -= usize::from(heard.all());
        self.exchanges.wait(&counts);
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

/// The body of a response. The exchange ends with it.
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
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.exchange.exchanges.sign();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
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
        assert!(exchanges.is_open());
        assert!(matches!(admission.arrive(source).await, Arrival::Waiting(_)));
        drop(two);
        assert!(!exchanges.is_open());
        let close = async move { exchanges.closing().await };
        let (arrival, ()) = tokio::join!(admission.arrive(source), close);
        assert!(matches!(arrival, Arrival::Placed(_)));
    }
}
