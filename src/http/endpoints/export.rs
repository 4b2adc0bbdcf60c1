//! `GET /export`: all stored data, for operators.

use crate::http::Api;
use crate::http::request::auth::Operator;
use crate::http::response::error::Refusal;
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

/// The maximum number of chunks that wait for the client.
const AHEAD: usize = 16;

/// Exports all stored data as of one commit, as a backup: one JSON object a line. The service keeps running meanwhile.
///
/// The export is complete only if its last line begins with `{"end":`. It contains all phone numbers except erased ones.
#[utoipa::path(
    get, path = "/api/v1/export", tag = "operators", operation_id = "export", security(("operator" = [])),
    responses(
        (status = 200, description = "The export", content((String = "application/x-ndjson"))),
        (status = 501, description = "`NOT_STORED`: the service keeps no data on disk"),
    ),
)]
pub(in crate::http) async fn show(_: Operator, State(api): State<Api>) -> Result<Response, Refusal> {
    let export = api.service().export().ok_or_else(Refusal::not_stored)?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    let mut out = Out { sender, runtime: Handle::current(), patience: api.limits.patience };
    tokio::task::spawn_blocking(move || {
        if let Err(error) = export(&mut out) {
            tracing::error!(%error, "the export failed");
            // A body that ends in an error closes the connection, so the client cannot take the export for complete.
            let _ = out.send(Err(io::Error::other("the export failed")));
        }
    });
    let mut response = Response::new(Body::new(Chunks(receiver)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

type Chunk = Result<Bytes, io::Error>;

/// The writer of the exporting thread.
struct Out {
    sender: mpsc::Sender<Chunk>,
    runtime: Handle,
    /// How long a client may take for a chunk. The export's snapshot of the store stays open that long.
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

/// The body that delivers the written chunks.
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
