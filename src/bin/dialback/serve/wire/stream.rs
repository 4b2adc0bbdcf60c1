//! The byte stream of a connection, below the HTTP parser.
//!
//! The parser accepts lines that end with a bare LF. This layer makes such lines invalid before the parser reads them.
//! The parser also answers invalid requests without a body. This layer replaces these answers by ones with a JSON body.

use super::heads::Heads;
use super::refusal::{self, Refusal};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream for the HTTP parser. It does not support vectored writes, so that the parser writes each response in one
/// piece.
pub(crate) struct Wire<S> {
    stream: S,
    heads: Heads,
    /// The response that replaces the parser's.
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
            // A zero byte is invalid at any position of a head.
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
