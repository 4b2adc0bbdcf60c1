//! `GET /export`: all that is stored, for operators.

use super::Api;
use super::auth::Operator;
use super::error::Refusal;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use http_body::Frame;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// Chunks that may wait for the client.
const AHEAD: usize = 16;

/// All that is stored as of one commit, one JSON object a line, while the service goes on: a backup.
///
/// An export is whole when its last line begins with `{"end":`. It has every phone number in it, and none of what was erased.
#[utoipa::path(
    get, path = "/api/v1/export", tag = "operators", operation_id = "export", security(("operator" = [])),
    responses(
        (status = 200, description = "The lines", content((String = "application/x-ndjson"))),
        (status = 501, description = "`NOT_STORED`: this service keeps nothing"),
    ),
)]
pub(super) async fn show(_: Operator, State(api): State<Api>) -> Result<Response, Refusal> {
    let export = api.service.export().ok_or_else(Refusal::not_stored)?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    let mut out = Out { sender, runtime: Handle::current(), patience: api.limits.patience };
    tokio::task::spawn_blocking(move || {
        if let Err(error) = export(&mut out) {
            tracing::error!(%error, "the export was not finished");
            // The connection is cut where the body ends in an error, so that nobody takes it for the whole.
            let _ = out.send(Err(io::Error::other("the export was not finished")));
        }
    });
    let mut response = Response::new(Body::new(Chunks(receiver)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

type Chunk = Result<Bytes, io::Error>;

/// Where the exporting thread writes.
struct Out {
    sender: mpsc::Sender<Chunk>,
    runtime: Handle,
    /// How long a client may take for a chunk: what it sees of the store is kept for it that long.
    patience: Duration,
}

impl Out {
    fn send(&self, chunk: Chunk) -> io::Result<()> {
        let sent = self.runtime.block_on(async { tokio::time::timeout(self.patience, self.sender.send(chunk)).await });
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(Ok(Bytes::copy_from_slice(bytes)))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The body that is made of what was written.
struct Chunks(mpsc::Receiver<Chunk>);

impl http_body::Body for Chunks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(context).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }
}
