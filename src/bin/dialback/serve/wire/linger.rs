//! Reads what the client still sends after the last response.
//!
//! If a connection is closed while it has unread data, the system resets it, and the client may lose the response that says
//! why.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long a client may go on sending.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many bytes a client may go on sending: the usual limit of a body.
const BYTES: usize = 1 << 20;

/// The wait for the client's end of a connection.
pub(super) struct Linger {
    until: Pin<Box<Sleep>>,
    left: usize,
}

impl Linger {
    pub(super) fn begin() -> Self {
        Self { until: Box::pin(sleep(PATIENCE)), left: BYTES }
    }

    /// Reads and drops data until the client closes its side of the connection, or reaches a limit.
    pub(super) fn poll(&mut self, stream: Pin<&mut (impl AsyncRead + ?Sized)>, context: &mut Context<'_>) -> Poll<()> {
        let mut stream = stream;
        if self.until.as_mut().poll(context).is_ready() {
            return Poll::Ready(());
        }
        loop {
            let mut bytes = [0; 4096];
            let mut buffer = ReadBuf::new(&mut bytes);
            let read = ready!(stream.as_mut().poll_read(context, &mut buffer));
            let count = buffer.filled().len();
            self.left = self.left.saturating_sub(count);
            if read.is_err() || count == 0 || self.left == 0 {
                return Poll::Ready(());
            }
        }
    }
}
