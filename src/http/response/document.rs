//! The document of an environment. A long one is written while the client reads.
//!
//! Between two pieces the plan of the document stays in memory, so that all of it shows one moment. A client that takes no
//! piece within the time limit of a request ends its document: nothing may keep an old plan for long.

use super::reply;
use crate::declaration::Pieces;
use crate::http::Api;
use crate::http::middleware::answer_budget::PIECE;
use crate::http::middleware::work::pause;
use crate::id::EnvironmentId;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::StatusCode;
use axum::response::Response;
use http_body::Frame;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::sync::mpsc;

/// The size in bytes up to which a document is written at once. Together with the state of a longer one it fits into the
/// reservation of a long response.
const WHOLE: usize = 512 << 10;

/// The size in bytes of a document after which other tenants get their turn.
const SLICE: usize = 64 << 10;

/// A piece of a document, and whether it is the last one.
type Piece = (Bytes, bool);

/// Returns the response with the document as its data.
pub(in crate::http) async fn answer(api: &Api, tenant: EnvironmentId, mut pieces: Pieces) -> Response {
    let mut out = br#"{"success":true,"data":"#.to_vec();
    loop {
        let enough = WHOLE.min(out.len() + SLICE);
        if pieces.write(&mut out, enough) {
            out.push(b'}');
            return reply::json_text(StatusCode::OK, out);
        }
        if out.len() >= WHOLE {
            break;
        }
        pause().await;
    }
    let (sender, rest) = mpsc::channel(1);
    tokio::spawn(deliver(api.clone(), tenant, pieces, sender));
    let body = Streamed { written: out.into_boxed_slice().into(), rest: Some(rest) };
    reply::json_text(StatusCode::OK, Body::new(body))
}

/// Writes the rest of the document, one piece ahead of the client.
async fn deliver(api: Api, tenant: EnvironmentId, mut pieces: Pieces, sender: mpsc::Sender<Piece>) {
    let mut out = Vec::new();
    loop {
        let slice = move || {
            let is_end = pieces.write(&mut out, PIECE);
            (pieces, out, is_end)
        };
        let is_end;
        (pieces, out, is_end) = api.work.run(tenant, slice).await;
        if is_end {
            out.push(b'}');
        } else if out.len() < PIECE {
            continue;
        }
        let piece = (std::mem::take(&mut out).into(), is_end);
        let sent = tokio::time::timeout(api.limits.patience, sender.send(piece)).await;
        if is_end || !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
}

/// The body of a document that is not written at once.
struct Streamed {
    written: Bytes,
    rest: Option<mpsc::Receiver<Piece>>,
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if !self.written.is_empty() {
            let written = std::mem::take(&mut self.written);
            return Poll::Ready(Some(Ok(Frame::data(written))));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        let piece = ready!(rest.poll_recv(context));
        if piece.as_ref().is_none_or(|(_, is_end)| *is_end) {
            self.rest = None;
        }
        // A body that ends in an error closes the connection, so the client cannot take the document for complete.
        let cut_short = || io::Error::new(io::ErrorKind::TimedOut, "the client did not read the document in time");
        Poll::Ready(Some(piece.map(|(written, _)| Frame::data(written)).ok_or_else(cut_short)))
    }

    fn is_end_stream(&self) -> bool {
        self.written.is_empty() && self.rest.is_none()
    }
}
