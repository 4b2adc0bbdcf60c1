//! Splits a byte stream into SIP messages (RFC 3261, section 18.3). The head of a message announces the length of its
//! body.

use super::message::Head;

/// The largest size of a message in bytes.
pub(super) const MAX_MESSAGE: usize = 65_536;

/// The first element of a byte stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Frame {
    /// Incomplete: more bytes are needed.
    Partial,
    /// A line end, which begins no message (RFC 3261, section 7.5). It may be the beginning of a keep-alive.
    LineEnd,
    /// This many bytes of line ends without meaning.
    Blank(usize),
    /// A keep-alive request of four bytes (RFC 5626, section 3.5.1).
    Ping,
    /// A complete message of this many bytes.
    Message(usize),
    /// A head of this many bytes that does not announce the length of its body, so nothing after it can be read.
    Lost(usize),
    /// A message longer than [`MAX_MESSAGE`].
    TooLarge,
}

impl Frame {
    /// Classifies the beginning of `bytes`. `seen` is the length of the head that is already scanned; it is updated.
    pub(super) fn of(bytes: &[u8], seen: &mut usize) -> Frame {
        if bytes.starts_with(b"\r\n\r\n") {
            return Frame::Ping;
        }
        match bytes {
            [] => return Frame::Partial,
            [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => return Frame::LineEnd,
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
