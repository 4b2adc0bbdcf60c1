//! The headers with the id and the context of the call behind a decision. They are read after the decision, and added to a
//! response that is otherwise complete.

use super::Outgoing;
use crate::inbound::{CallReads, CallToRead, ContextFields};
use crate::service::KnownCall;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

/// The most bytes of a context's value, as it is written in a header.
const MAX_VALUE: usize = 256;

/// The last lines of each response.
const END: &str = "Content-Length: 0\r\n\r\n";

/// What belongs into a response about its call.
pub(super) enum Details {
    /// Nothing.
    None,
    /// The headers of a call that has not been read yet.
    Unread(CallToRead),
    /// The response is a retransmission's, and the one to the first request has not been sent yet. It answers both.
    Awaited,
    /// These header lines.
    Known(Arc<str>),
}

/// The headers of recent transactions, so that a retransmission gets the same ones. `None` while they are being read.
///
/// A place is selected by the transaction's hash, and the next transaction with the same place replaces it. The table has no
/// memory before the first call with an id or a context.
#[derive(Default)]
pub(super) struct SentDetails(Mutex<Vec<Option<Sent>>>);

#[derive(Clone)]
struct Sent {
    transaction: u64,
    lines: Option<Arc<str>>,
}

/// As many as there are decisions in the table of recent ones.
const PLACES: usize = 1 << 16;

impl SentDetails {
    /// Returns the details of a transaction that was decided before.
    pub(super) fn of(&self, transaction: u64) -> Details {
        let held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match held.get(place(transaction)).and_then(Option::as_ref) {
            Some(sent) if sent.transaction == transaction => {
                sent.lines.clone().map_or(Details::Awaited, Details::Known)
            }
            _ => Details::None,
        }
    }

    fn put(&self, transaction: u64, lines: Option<Arc<str>>) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if held.is_empty() {
            held.resize(PLACES, None);
        }
        held[place(transaction)] = Some(Sent { transaction, lines });
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the bits that are used are the low ones")]
const fn place(transaction: u64) -> usize {
    transaction as usize % PLACES
}

/// A response that is complete but for the headers of its call.
pub(super) struct Unfinished {
    answer: Outgoing,
    transaction: u64,
    /// The most bytes of the response.
    most: usize,
    table: Arc<SentDetails>,
    is_sent: bool,
}

impl Unfinished {
    /// Notes that the headers of a transaction are being read.
    pub(super) fn begin(answer: Outgoing, transaction: u64, most: usize, table: &Arc<SentDetails>) -> Self {
        table.put(transaction, None);
        Self { answer, transaction, most, table: Arc::clone(table), is_sent: false }
    }

    /// Returns the response with what is known of the call.
    pub(super) fn finish(mut self, known: Option<KnownCall>, fields: &ContextFields, reads: &CallReads) -> Outgoing {
        let room = self.most.saturating_sub(self.answer.bytes.len());
        let (lines, left_out) = known.map(|known| lines(&known, fields, room)).unwrap_or_default();
        if left_out > 0 {
            reads.leave_out(left_out);
        }
        let lines: Arc<str> = lines.into();
        self.table.put(self.transaction, Some(Arc::clone(&lines)));
        self.is_sent = true;
        let answer = Outgoing { bytes: std::mem::take(&mut self.answer.bytes), to: self.answer.to };
        with(answer, &lines)
    }
}

/// A response that is given up must not leave its retransmissions waiting for it.
impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_sent {
            self.table.put(self.transaction, Some("".into()));
        }
    }
}

/// Returns the response with more header lines.
pub(super) fn with(answer: Outgoing, lines: &str) -> Outgoing {
    let Outgoing { mut bytes, to } = answer;
    if !lines.is_empty() && bytes.ends_with(END.as_bytes()) {
        bytes.truncate(bytes.len() - END.len());
        bytes.extend_from_slice(lines.as_bytes());
        bytes.extend_from_slice(END.as_bytes());
    }
    Outgoing { bytes, to }
}

/// Returns the header lines of a call, and how many fields of its context are left out. The lines of the context take at most
/// `room` bytes together with the line of the id, which is always there.
fn lines(known: &KnownCall, fields: &ContextFields, room: usize) -> (String, u64) {
    let mut lines = String::new();
    if let Some(id) = &known.id {
        // Visible ASCII, by its type.
        let _ = write!(lines, "X-Dialback-Call-ID: {}\r\n", id.as_str());
    }
    let mut left_out = 0;
    for (name, value) in known.context.as_ref().map(|context| fields.values(context)).unwrap_or_default() {
        let value = escaped(&value);
        let line = format!("X-Dialback-Context-{name}: {value}\r\n");
        if value.len() > MAX_VALUE || lines.len() + line.len() > room {
            left_out += 1;
        } else {
            lines.push_str(&line);
        }
    }
    (lines, left_out)
}

/// Returns the value with each byte that is not visible ASCII, and each `%`, as `%XX`. So no value can end its line, and
/// nothing trims it.
fn escaped(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_value_is_visible_ascii_and_can_be_decoded() {
        let value = "a%b \r\nX: y\0\u{7f}\tä\u{2028}\u{85}";
        let escaped = escaped(value);
        assert_eq!(escaped, "a%25b%20%0D%0AX:%20y%00%7F%09%C3%A4%E2%80%A8%C2%85");
        assert!(escaped.bytes().all(|byte| byte.is_ascii_graphic()));
    }

    #[test]
    fn response_that_is_given_up_is_sent_to_retransmissions_without_details() {
        let table = Arc::new(SentDetails::default());
        let answer = Outgoing { bytes: END.into(), to: ([127, 0, 0, 1], 1).into() };
        assert!(matches!(table.of(7), Details::None));
        let unfinished = Unfinished::begin(answer, 7, 1300, &table);
        assert!(matches!(table.of(7), Details::Awaited));
        assert!(matches!(table.of(7 + PLACES as u64), Details::None), "another transaction of this place");
        drop(unfinished);
        assert!(matches!(table.of(7), Details::Known(lines) if lines.is_empty()));
    }
}
