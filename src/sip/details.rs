//! The headers with the id and the context of the call behind a decision. They are read after the decision, and added to a
//! response that is otherwise complete.

use super::Outgoing;
use super::recent::LIFE_MILLIS;
use crate::inbound::{CallReads, CallToRead, ContextFields};
use crate::service::KnownCall;
use crate::time::Timestamp;
use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// The headers of the transactions of the last 32 seconds, so that a retransmission gets the same ones.
///
/// The oldest ones leave first: when they expire, which the next transaction finds, or when they take too much memory. Then a
/// retransmission is answered without these headers.
#[derive(Default)]
pub(super) struct SentDetails(Mutex<Table>);

#[derive(Default)]
struct Table {
    sent: HashMap<u64, Sent>,
    /// The transactions with the numbers of their entries, from the oldest to the newest.
    order: VecDeque<(u64, u64)>,
    /// The bytes of all lines.
    bytes: usize,
    /// The entries made so far.
    made: u64,
}

struct Sent {
    number: u64,
    at: Timestamp,
    /// `None` while they are being read.
    lines: Option<Arc<str>>,
}

/// The most entries: the load at which a hash table of 65,536 places would grow.
const MOST: usize = (1 << 16) / 8 * 7;

/// The most bytes of all lines.
const MOST_BYTES: usize = 8 << 20;

// With the lines and the counters of each, the memory bound that the documentation of the SIP door states.
const _: () = assert!(
    MOST_BYTES + (1 << 16) * (size_of::<(u64, Sent)>() + 1 + size_of::<(u64, u64)>()) + MOST * 2 * size_of::<usize>()
        <= 14 << 20
);

impl SentDetails {
    /// Returns the details of a transaction that was decided before.
    pub(super) fn of(&self, transaction: u64, now: Timestamp) -> Details {
        match self.table().sent.get(&transaction) {
            Some(sent) if is_recent(sent.at, now) => sent.lines.clone().map_or(Details::Awaited, Details::Known),
            _ => Details::None,
        }
    }

    /// Notes that the details of a transaction are being read. Returns the number of the entry.
    fn begin(&self, transaction: u64, at: Timestamp) -> u64 {
        let mut table = self.table();
        table.made += 1;
        let number = table.made;
        while table.sent.len() >= MOST || table.oldest().is_some_and(|oldest| !is_recent(oldest, at)) {
            table.remove_oldest();
        }
        table.remove(transaction);
        table.sent.insert(transaction, Sent { number, at, lines: None });
        table.order.push_back((transaction, number));
        number
    }

    /// Keeps the lines of an entry, unless it was removed or its transaction has begun again.
    fn keep(&self, transaction: u64, number: u64, lines: Arc<str>) {
        let mut table = self.table();
        let Some(sent) = table.sent.get_mut(&transaction).filter(|sent| sent.number == number) else { return };
        let bytes = lines.len();
        sent.lines = Some(lines);
        table.bytes += bytes;
        while table.bytes > MOST_BYTES {
            table.remove_oldest();
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn oldest(&self) -> Option<Timestamp> {
        let (transaction, _) = self.order.front()?;
        self.sent.get(transaction).map(|sent| sent.at)
    }

    fn remove_oldest(&mut self) {
        if let Some((transaction, _)) = self.order.front() {
            self.remove(*transaction);
        }
    }

    /// Removes an entry and its place in the order.
    fn remove(&mut self, transaction: u64) {
        let Some(sent) = self.sent.remove(&transaction) else { return };
        self.bytes -= sent.lines.map_or(0, |lines| lines.len());
        // Entries are in the order of their numbers.
        if let Ok(place) = self.order.binary_search_by_key(&sent.number, |(_, number)| *number) {
            self.order.remove(place);
        }
    }
}

fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    now.millis_since(at) < LIFE_MILLIS
}

/// A response that is complete but for the headers of its call.
pub(super) struct Unfinished {
    answer: Outgoing,
    transaction: u64,
    /// The number of its entry in the table.
    number: u64,
    /// The most bytes of the response.
    most: usize,
    table: Arc<SentDetails>,
    is_sent: bool,
}

impl Unfinished {
    /// Notes that the headers of a transaction are being read.
    pub(super) fn begin(
        answer: Outgoing,
        transaction: u64,
        now: Timestamp,
        most: usize,
        table: &Arc<SentDetails>,
    ) -> Self {
        let number = table.begin(transaction, now);
        Self { answer, transaction, number, most, table: Arc::clone(table), is_sent: false }
    }

    /// Returns the response with what is known of the call.
    pub(super) fn finish(mut self, known: Option<KnownCall>, fields: &ContextFields, reads: &CallReads) -> Outgoing {
        let room = self.most.saturating_sub(self.answer.bytes.len());
        let (lines, left_out) = known.map(|known| lines(&known, fields, room)).unwrap_or_default();
        if left_out > 0 {
            reads.leave_out(left_out);
        }
        let lines: Arc<str> = lines.into();
        self.table.keep(self.transaction, self.number, Arc::clone(&lines));
        self.is_sent = true;
        let answer = Outgoing { bytes: std::mem::take(&mut self.answer.bytes), to: self.answer.to };
        with(answer, &lines)
    }
}

/// A response that is given up must not leave its retransmissions waiting for it.
impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_sent {
            self.table.keep(self.transaction, self.number, "".into());
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

/// Returns the header lines of a call, which take at most `room` bytes together, and how many of them are left out: the id, and
/// fields of the context.
fn lines(known: &KnownCall, fields: &ContextFields, room: usize) -> (String, u64) {
    let (mut lines, mut left_out) = (String::new(), 0);
    let mut add = |line: &str, fits: bool| {
        if fits && lines.len() + line.len() <= room {
            lines.push_str(line);
        } else {
            left_out += 1;
        }
    };
    if let Some(id) = &known.id {
        // Visible ASCII, by its type.
        add(&format!("X-Dialback-Call-ID: {}\r\n", id.as_str()), true);
    }
    for (name, value) in known.context.as_ref().map(|context| fields.values(context)).unwrap_or_default() {
        let value = escaped(&value);
        add(&format!("X-Dialback-Context-{name}: {value}\r\n"), value.len() <= MAX_VALUE);
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

    const START: Timestamp = Timestamp::from_secs(1_780_315_200);

    fn begin(table: &Arc<SentDetails>, transaction: u64, at: Timestamp) -> Unfinished {
        let answer = Outgoing { bytes: END.into(), to: ([127, 0, 0, 1], 1).into() };
        Unfinished::begin(answer, transaction, at, 1300, table)
    }

    fn entries(table: &SentDetails) -> (usize, usize, usize) {
        let table = table.table();
        (table.sent.len(), table.order.len(), table.bytes)
    }

    #[test]
    fn response_that_is_given_up_is_sent_to_retransmissions_without_details() {
        let table = Arc::default();
        assert!(matches!(SentDetails::of(&table, 7, START), Details::None));
        let unfinished = begin(&table, 7, START);
        assert!(matches!(table.of(7, START), Details::Awaited));
        assert!(matches!(table.of(8, START), Details::None), "another transaction");
        drop(unfinished);
        assert!(matches!(table.of(7, START), Details::Known(lines) if lines.is_empty()));
    }

    #[test]
    fn details_are_removed_when_they_expire() {
        let table = Arc::new(SentDetails::default());
        drop(begin(&table, 7, START));
        table.keep(7, 1, "x".into());
        let (last, after) = (START.plus_millis(LIFE_MILLIS - 1), START.plus_millis(LIFE_MILLIS));
        assert!(matches!(table.of(7, last), Details::Known(lines) if &*lines == "x"));
        assert!(matches!(table.of(7, after), Details::None));
        drop(begin(&table, 8, last));
        assert_eq!(entries(&table), (2, 2, 1));
        drop(begin(&table, 9, after));
        assert_eq!(entries(&table), (2, 2, 0), "the memory is free");
    }

    #[test]
    fn late_response_changes_no_newer_one_of_its_transaction() {
        let table = Arc::new(SentDetails::default());
        let first = begin(&table, 7, START);
        let other = begin(&table, 8, START);
        let second = begin(&table, 7, START.plus_millis(LIFE_MILLIS));
        drop((first, other));
        assert!(matches!(table.of(7, START.plus_millis(LIFE_MILLIS)), Details::Awaited));
        assert_eq!(entries(&table), (1, 1, 0));
        drop(second);
        assert!(matches!(table.of(7, START.plus_millis(LIFE_MILLIS)), Details::Known(_)));
    }

    #[test]
    fn oldest_details_leave_when_they_take_too_much_memory() {
        let table = Arc::new(SentDetails::default());
        let lines: Arc<str> = "x".repeat(4096).into();
        for transaction in 0..3000 {
            let number = table.begin(transaction, START);
            table.keep(transaction, number, Arc::clone(&lines));
        }
        assert_eq!(entries(&table), (2048, 2048, MOST_BYTES));
        assert!(matches!(table.of(951, START), Details::None) && matches!(table.of(952, START), Details::Known(_)));
        for transaction in 0..100_000 {
            table.begin(transaction, START);
        }
        assert_eq!(entries(&table), (MOST, MOST, 0));
    }
}
