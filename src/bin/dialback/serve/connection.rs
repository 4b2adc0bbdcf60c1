//! One connection, from its start to its end.

use super::certificate::Certificate;
use super::exchange::{Exchange, Exchanges, Received, Tracked};
use super::http2;
use super::limits::ConnectionLimits;
use super::origins::Origins;
use super::wire::{Wire, names_one_host};
use axum::Router;
use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, ORIGIN};
use axum::http::{Request, Response, StatusCode, Version};
use dialback::admission::Place;
use dialback::http::{EVENTS, OnValidToken, OnWait, Stopping};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use std::convert::Infallible;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
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
    pub(crate) origins: Origins,
    /// Changes when the daemon stops.
    pub(crate) stopping: watch::Receiver<()>,
}

impl ConnectionHandler {
    /// Serves the connection until it ends, or until its place is needed for another one.
    pub(crate) async fn handle(self, stream: TcpStream, place: Place, watcher: Watcher) {
        // Responses are written in one piece, so there is nothing to combine with later data.
        let _ = stream.set_nodelay(true);
        let exchanges = Exchanges::new(place);
        tokio::select! {
            () = self.serve(stream, &exchanges, watcher) => {}
            () = exchanges.closing() => debug!("closed an idle connection to admit another"),
        }
    }

    async fn serve(&self, stream: TcpStream, exchanges: &Arc<Exchanges>, watcher: Watcher) {
        let Some(tls) = &self.tls else { return self.talk(stream, false, exchanges, watcher).await };
        let mut stopping = self.stopping.clone();
        let accepted = tokio::select! {
            accepted = tokio::time::timeout(self.limits.header_timeout, tls.acceptor().accept(stream)) => accepted,
            _ = stopping.changed() => return,
        };
        match accepted {
            Ok(Ok(stream)) => {
                let is_http2 = stream.get_ref().1.alpn_protocol() == Some(http2::ALPN);
                self.talk(stream, is_http2, exchanges, watcher).await;
            }
            Ok(Err(error)) => debug!(%error, "a TLS handshake failed"),
            Err(_) => debug!("a TLS handshake timed out"),
        }
    }

    async fn talk(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + 'static,
        is_http2: bool,
        exchanges: &Arc<Exchanges>,
        watcher: Watcher,
    ) {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.write_timeout));
        let stream = Box::pin(stream);
        let (router, origins, of_connection) = (self.router.clone(), self.origins.clone(), Arc::clone(exchanges));
        let told = self.stopping.clone();
        let answer = move |request: Request<Incoming>| {
            let refusal = (!names_one_host(&request)).then(|| no_host(&request, &origins));
            // Only requests that may wait for long need to know of the stop.
            let stopping = request.uri().path().starts_with(EVENTS).then(|| Stopping(told.clone()));
            answer(router.clone(), refusal, stopping, Exchange::new(&of_connection), request)
        };
        let service = service_fn(answer);
        if is_http2 {
            return http2::talk(stream, service, exchanges, self.limits, watcher, self.stopping.clone()).await;
        }
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_timeout)
            // Without it, a head that arrives in one piece may be longer than the buffer.
            .max_header_size(HEAD)
            .max_buf_size(BUFFER)
            .serve_connection(TokioIo::new(Wire::new(stream, self.origins.clone())), service);
        if let Err(error) = watcher.watch(connection).await {
            debug!(%error, "a connection ended early");
        }
    }
}

async fn answer(
    router: Router,
    refusal: Option<Response<Body>>,
    stopping: Option<Stopping>,
    exchange: Arc<Exchange>,
    request: Request<Incoming>,
) -> Result<Response<Tracked>, Infallible> {
    if let Some(refusal) = refusal {
        return Ok(Tracked::response(refusal, exchange));
    }
    let (received, noted) = (Arc::clone(&exchange), Arc::clone(&exchange));
    let mut request = request.map(|body| Received::new(body, received));
    request.extensions_mut().insert(OnValidToken(Arc::new(move || noted.note_valid_token())));
    if let Some(stopping) = stopping {
        let waiting = Arc::downgrade(&exchange);
        request.extensions_mut().insert(stopping);
        request.extensions_mut().insert(OnWait(Arc::new(move || {
            if let Some(exchange) = waiting.upgrade() {
                exchange.sign();
            }
        })));
    }
    let response = router.oneshot(request).await?;
    Ok(Tracked::response(response, exchange))
}

fn no_host(request: &Request<Incoming>, origins: &Origins) -> Response<Body> {
    let message = "A request needs exactly one Host header field, with a host and an optional port";
    let body = serde_json::json!({ "success": false, "message": message, "code": "MALFORMED_REQUEST" });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if request.version() < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let named = request.headers().get_all(ORIGIN).iter().map(HeaderValue::as_bytes);
    response.headers_mut().extend(origins.fields(named).into_iter().flatten());
    response
}
