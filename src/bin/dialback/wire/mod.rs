//! A connection's bytes, below the HTTP parser.
//!
//! The parser accepts a line that ends in a bare LF, and answers what it cannot parse without a body. Here such lines are made invalid
//! before the parser sees them, and its answers are replaced by ones with a body.

mod heads;
mod refusal;

use heads::Heads;
use refusal::Refusal;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(crate) use refusal::full as full_answer;

/// A stream for the HTTP parser. Vectored writes are left out, so that each of the parser's answers is in one piece.
pub(crate) struct Wire<S> {
    stream: S,
    heads: Heads,
    /// The answer that replaces the parser's.
    refusal: Option<Refusal>,
}

impl<S> Wire<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, heads: Heads::default(), refusal: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if let Some(bare) = self.heads.find_bare_line_feed(&buffer.filled()[before..]) {
            // Invalid wherever it stands in a head.
            buffer.filled_mut()[before + bare] = 0;
            buffer.set_filled(before + bare + 1);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = &mut *self;
        if wire.refusal.is_none() {
            match refusal::find(bytes) {
                None => return Pin::new(&mut wire.stream).poll_write(context, bytes),
                Some((at @ 1.., _)) => return Pin::new(&mut wire.stream).poll_write(context, &bytes[..at]),
                Some((0, refusal)) => wire.refusal = Some(refusal),
            }
        }
        while let Some(rest) = wire.refusal.as_ref().and_then(Refusal::rest) {
            let written = ready!(Pin::new(&mut wire.stream).poll_write(context, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            if let Some(refusal) = &mut wire.refusal {
                refusal.wrote(written);
            }
        }
        wire.refusal = None;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
