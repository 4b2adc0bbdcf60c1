//! One connection, from its start to its end.

use super::certificate::Certificate;
use super::limits::ConnectionLimits;
use super::wire::{Wire, names_one_host};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use axum::http::{Request, Response, StatusCode};
use dialback::admission::Place;
use dialback::http::OnValidToken;
use http_body::{Body as _, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;
use tracing::debug;

/// The longest head of a request. A target of more than 65,534 bytes is rejected earlier.
const HEAD: usize = 96 << 10;

/// About the most unread response data that is kept, and the size at which the parser stops to read a head.
const BUFFER: usize = HEAD;

#[derive(Clone)]
pub(crate) struct ConnectionHandler {
    pub(crate) tls: Option<Certificate>,
    pub(crate) router: Router,
    pub(crate) limits: ConnectionLimits,
}

impl ConnectionHandler {
    /// Serves the connection until it ends, or until its place is needed for another one.
    pub(crate) async fn handle(self, stream: TcpStream, place: Place, watcher: Watcher) {
        // Responses are written in one piece, so there is nothing to combine with later data.
        let _ = stream.set_nodelay(true);
        let place = Arc::new(place);
        tokio::select! {
            () = self.serve(stream, &place, watcher) => {}
            () = place.closing() => debug!("closed an idle connection to admit another"),
        }
    }

    async fn serve(&self, stream: TcpStream, place: &Arc<Place>, watcher: Watcher) {
        match &self.tls {
            None => self.talk(stream, place, watcher).await,
            Some(tls) => match tokio::time::timeout(self.limits.header_timeout, tls.acceptor().accept(stream)).await {
                Ok(Ok(stream)) => self.talk(stream, place, watcher).await,
                Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
                Err(_) => debug!("a TLS handshake timed out"),
            },
        }
    }

    async fn talk(&self, stream: impl AsyncRead + AsyncWrite + Send + 'static, place: &Arc<Place>, watcher: Watcher) {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.write_timeout));
        let stream = Wire::new(Box::pin(stream));
        let (router, place) = (self.router.clone(), Arc::clone(place));
        let service = service_fn(move |request| answer(router.clone(), Arc::clone(&place), request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_timeout)
            // Without it, a head that arrives in one piece may be longer than the buffer.
            .max_header_size(HEAD)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection).await {
            debug!(%error, "a connection ended early");
        }
    }
}

async fn answer(
    router: Router,
    place: Arc<Place>,
    request: Request<Incoming>,
) -> Result<Response<Tracked>, Infallible> {
    if !names_one_host(&request) {
        return Ok(Tracked::response(no_host(), None));
    }
    let exchange = Arc::new(Exchange::new(Arc::clone(&place)));
    let noted = Arc::clone(&exchange);
    let mut request = request.map(|body| Received::new(body, exchange));
    request.extensions_mut().insert(OnValidToken(Arc::new(move || noted.note(|heard| heard.valid_token = true))));
    let response = router.oneshot(request).await?;
    Ok(Tracked::response(response, Some(place)))
}

/// A request on its way. Until the client has shown a valid token and has sent the whole body, its connection may be
/// closed for another one. So neither strangers nor slow clients can hold all places.
struct Exchange {
    place: Arc<Place>,
    heard: Mutex<Heard>,
}

#[derive(Default)]
struct Heard {
    valid_token: bool,
    whole_body: bool,
}

impl Exchange {
    fn new(place: Arc<Place>) -> Self {
        Self { place, heard: Mutex::default() }
    }

    fn note(&self, hear: impl FnOnce(&mut Heard)) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        hear(&mut heard);
        if heard.valid_token {
            self.place.identify();
        }
        match *heard {
            Heard { valid_token: true, whole_body: true } => {
                // If another connection gets this place now, this one is dropped at once with its request.
                let _is_open = self.place.begin();
            }
            // Each part of the body counts as a sign of life.
            Heard { valid_token: true, whole_body: false } => self.place.idle(),
            Heard { valid_token: false, .. } => {}
        }
    }
}

/// The body of a request, which notes its end.
struct Received {
    body: Incoming,
    exchange: Arc<Exchange>,
}

impl Received {
    fn new(body: Incoming, exchange: Arc<Exchange>) -> Self {
        if body.is_end_stream() {
            exchange.note(|heard| heard.whole_body = true);
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
        self.exchange.note(|heard| heard.whole_body |= is_whole);
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn no_host() -> Response<Body> {
    let message = "A request needs exactly one Host header field, with a host and an optional port";
    let body = serde_json::json!({ "success": false, "message": message, "code": "MALFORMED_REQUEST" });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A response body that marks the connection as idle when it ends.
struct Tracked {
    body: Body,
    place: Option<Arc<Place>>,
}

impl Tracked {
    fn response(response: Response<Body>, place: Option<Arc<Place>>) -> Response<Self> {
        response.map(|body| Self { body, place })
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        if let Some(place) = &self.place {
            place.idle();
        }
    }
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
