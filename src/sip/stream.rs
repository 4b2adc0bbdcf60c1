//! From a stream of bytes to messages (RFC 3261, section 18.3): the head says how long the body is.

use super::message::Head;

/// The most bytes that a message may have.
pub(super) const MAX_MESSAGE: usize = 65_536;

/// What a stream begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Frame {
    /// Not enough of it yet.
    Partial,
    /// So many line ends that mean nothing.
    Blank(usize),
    /// Four bytes that ask whether anybody is there (RFC 5626, section 3.5.1).
    Ping,
    /// A message of so many bytes.
    Message(usize),
    /// A message whose length nobody can tell: a head of so many bytes, and nothing behind it can be found.
    Lost(usize),
    /// More than a message may have.
    TooLarge,
}

impl Frame {
    /// Looks at the beginning of what has come in. `seen` is how much of it was looked at before, and is moved on.
    pub(super) fn of(bytes: &[u8], seen: &mut usize) -> Frame {
        if bytes.starts_with(b"\r\n\r\n") {
            return Frame::Ping;
        }
        match bytes {
            [] | [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return Frame::Partial,
            [b'\r', b'\n', ..] => return Frame::Blank(2),
            [b'\n', ..] => return Frame::Blank(1),
            _ => {}
        }
        let Some(head) = Head::find(bytes, seen) else {
            return if bytes.len() >= MAX_MESSAGE { Frame::TooLarge } else { Frame::Partial };
        };
        let Ok(Some(body)) = head.body else { return Frame::Lost(head.length) };
        match head.length.checked_add(body) {
            Some(length) if length > MAX_MESSAGE => Frame::TooLarge,
            None => Frame::TooLarge,
            Some(length) if length <= bytes.len() => Frame::Message(length),
            Some(_) => Frame::Partial,
        }
    }
}
