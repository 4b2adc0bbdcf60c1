//! Request bodies as they arrive over a network.

use axum::body::{Body, Bytes, HttpBody};
use http_body::Frame;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// How a body ends.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Properly,
    BrokenOff,
    Never,
}

struct Chunks(VecDeque<Bytes>, End);

/// Returns the text in parts of this size, without a declared length.
pub(crate) fn chunks(text: &[u8], size: usize, end: End) -> Body {
    Body::new(Chunks(text.chunks(size).map(Bytes::copy_from_slice).collect(), end))
}

impl HttpBody for Chunks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match (self.0.pop_front(), self.1) {
            (Some(chunk), _) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
            (None, End::Properly) => Poll::Ready(None),
            (None, End::BrokenOff) => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
            (None, End::Never) => Poll::Pending,
        }
    }
}
