//! The document of an environment. A long one is written while the client reads.
//!
//! Between two pieces the plan of the document stays in memory, so that all of it shows one moment. A client that takes no
//! piece within the time limit of a request ends its document: nothing may keep an old plan for long.

use super::reply;
use crate::declaration::Pieces;
use crate::http::Api;
use crate::http::middleware::answer_budget::{Kept, PIECE};
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

/// The size in bytes up to which a document is written at once.
const WHOLE: usize = 128 << 10;

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
    let kib = (WHOLE + pieces.state_bytes() + 4 * PIECE).div_ceil(1 << 10);
    let rest = Rest::Waiting(Box::new((api.clone(), tenant, pieces)));
    let body = Streamed { written: out.into_boxed_slice().into(), rest };
    let mut response = reply::json_text(StatusCode::OK, Body::new(body));
    response.extensions_mut().insert(Kept { kib });
    response
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
    rest: Rest,
}

/// The part of a document behind the written one.
enum Rest {
    /// The client has not taken the written part yet.
    Waiting(Box<(Api, EnvironmentId, Pieces)>),
    Coming(mpsc::Receiver<Piece>),
    End,
}

impl Rest {
    /// Returns the pieces that come. The first call begins to write them, so that the time limit of each begins when the
    /// client has taken what is before it.
    fn pieces(&mut self) -> Option<&mut mpsc::Receiver<Piece>> {
        if let Self::Waiting(_) = self {
            let (sender, pieces) = mpsc::channel(1);
            if let Self::Waiting(waiting) = std::mem::replace(self, Self::Coming(pieces)) {
                let (api, tenant, rest) = *waiting;
                tokio::spawn(deliver(api, tenant, rest, sender));
            }
        }
        match self {
            Self::Coming(pieces) => Some(pieces),
            Self::Waiting(_) | Self::End => None,
        }
    }
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
        let Some(pieces) = self.rest.pieces() else { return Poll::Ready(None) };
        let piece = ready!(pieces.poll_recv(context));
        if piece.as_ref().is_none_or(|(_, is_end)| *is_end) {
            self.rest = Rest::End;
        }
        // A body that ends in an error closes the connection. In HTTP/1.1 and HTTP/2, the client then cannot take the
        // document for complete.
        let cut_short = || io::Error::new(io::ErrorKind::TimedOut, "the client did not read the document in time");
        Poll::Ready(Some(piece.map(|(written, _)| Frame::data(written)).ok_or_else(cut_short)))
    }

    fn is_end_stream(&self) -> bool {
        self.written.is_empty() && matches!(self.rest, Rest::End)
    }
}
