//! Request bodies as they arrive over a network.

use axum::body::{Body, Bytes, HttpBody};
use http_body::Frame;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// How a body ends.
#[derive(Clone, Copy)]
pub(crate) enum End {
    Properly,
    BrokenOff,
    Never,
    /// A space follows every 100 ms, without end.
    Trickles,
}

/// The parts that are left, how the body ends, and the pause before the next byte of one that trickles.
struct Chunks(VecDeque<Bytes>, End, Option<Pin<Box<Sleep>>>);

/// Returns the text in parts of this size, without a declared length.
pub(crate) fn chunks(text: &[u8], size: usize, end: End) -> Body {
    Body::new(Chunks(text.chunks(size).map(Bytes::copy_from_slice).collect(), end, None))
}

impl HttpBody for Chunks {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match (self.0.pop_front(), self.1) {
            (Some(chunk), _) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
            (None, End::Properly) => Poll::Ready(None),
            (None, End::BrokenOff) => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
            (None, End::Never) => Poll::Pending,
            (None, End::Trickles) => {
                let pause = self.2.get_or_insert_with(|| Box::pin(sleep(Duration::from_millis(100))));
                ready!(pause.as_mut().poll(context));
                self.2 = None;
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b" ")))))
            }
        }
    }
}
