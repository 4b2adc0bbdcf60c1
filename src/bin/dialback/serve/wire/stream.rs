//! The byte stream of a connection, below the HTTP parser.
//!
//! The parser accepts lines that end with a bare LF. This layer makes such lines invalid before the parser reads them.
//! The parser also answers invalid requests without a body. This layer replaces these answers by ones with a JSON body.
//! It reads on for a moment if the connection closes in the middle of a request.

use super::super::origins::Origins;
use super::heads::{Fault, Heads};
use super::linger::Linger;
use super::refusal::{self, Refusal};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes of one read. The parser's buffer grows with the reads, and each connection keeps one.
const READ: usize = 8 << 10;

/// A stream for the HTTP parser. It does not support vectored writes, so that the parser writes each response in one
/// piece.
pub(crate) struct Wire<S> {
    stream: S,
    heads: Heads,
    /// The origins whose pages may read the replacements.
    origins: Origins,
    /// The response that replaces the parser's.
    refusal: Option<Refusal>,
    /// The current body has invalid framing. No more of it is read.
    is_broken: bool,
    /// Set while the connection closes.
    linger: Option<Linger>,
}

impl<S> Wire<S> {
    pub(crate) fn new(stream: S, origins: Origins) -> Self {
        Self { stream, heads: Heads::default(), origins, refusal: None, is_broken: false, linger: None }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.is_broken {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        let before = buffer.filled().len();
        let wire = &mut *self;
        ready!(read(Pin::new(&mut wire.stream), context, buffer))?;
        match wire.heads.find_fault(&buffer.filled()[before..]) {
            None => {}
            Some(Fault::Head(at)) => {
                // A zero byte is invalid at any position of a head.
                buffer.filled_mut()[before + at] = 0;
                buffer.set_filled(before + at + 1);
            }
            Some(Fault::Body(at)) => {
                wire.is_broken = true;
                buffer.set_filled(before + at);
                if at == 0 {
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// Reads at most [`READ`] bytes.
fn read(stream: Pin<&mut impl AsyncRead>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
    if buffer.remaining() <= READ {
        return stream.poll_read(context, buffer);
    }
    let mut part = ReadBuf::new(buffer.initialize_unfilled_to(READ));
    ready!(stream.poll_read(context, &mut part))?;
    let count = part.filled().len();
    buffer.advance(count);
    Poll::Ready(Ok(()))
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = &mut *self;
        if wire.refusal.is_none() {
            match refusal::find(bytes, || wire.origins.fields(wire.heads.origins())) {
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
        let wire = &mut *self;
        if wire.linger.is_none() {
            ready!(Pin::new(&mut wire.stream).poll_shutdown(context))?;
            if wire.heads.is_between_requests() {
                return Poll::Ready(Ok(()));
            }
        }
        let linger = wire.linger.get_or_insert_with(Linger::begin);
        linger.poll(Pin::new(&mut wire.stream), context).map(Ok)
    }
}
