//! Acknowledgements of published messages.

use super::error::{answered, away, engine};
use crate::fleet::{Position, StreamError};
use async_nats::jetstream::Error as ApiError;
use async_nats::{Client, Message, StatusCode, Subscriber};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::VecDeque;

/// A subscription at which the server acknowledges messages. Each message has a number, which is the last token of the
/// subject for its acknowledgement.
///
/// The client can also wait for each acknowledgement separately. That costs a channel, a timer and a table entry a
/// message, which is more than the rest of the work for a short message.
pub(super) struct Inbox {
    /// The subjects for acknowledgements, without the number.
    prefix: String,
    pub(super) acknowledgements: Subscriber,
    waiting: Waiting,
}

/// The messages without an acknowledgement.
#[derive(Default)]
struct Waiting {
    /// The number of the oldest one.
    oldest: u64,
    /// The messages from the oldest one on.
    messages: VecDeque<Sent>,
    /// The bytes of these messages.
    bytes: usize,
}

struct Sent {
    bytes: usize,
    is_acknowledged: bool,
}

impl Waiting {
    /// Returns the number of the next message, which waits from now on.
    fn next(&mut self, bytes: usize) -> u64 {
        self.messages.push_back(Sent { bytes, is_acknowledged: false });
        self.bytes += bytes;
        self.oldest + self.messages.len() as u64 - 1
    }

    /// Returns whether a message has no acknowledgement yet.
    fn is_waiting(&self, number: u64) -> bool {
        let message = self.index(number).and_then(|index| self.messages.get(index));
        message.is_some_and(|message| !message.is_acknowledged)
    }

    fn index(&self, number: u64) -> Option<usize> {
        usize::try_from(number.checked_sub(self.oldest)?).ok()
    }

    /// Notes that a message that waits was acknowledged.
    fn take(&mut self, number: u64) {
        let index = self.index(number);
        if let Some(message) = index.and_then(|index| self.messages.get_mut(index)) {
            message.is_acknowledged = true;
        }
        while self.messages.front().is_some_and(|message| message.is_acknowledged) {
            self.bytes -= self.messages.pop_front().map_or(0, |message| message.bytes);
            self.oldest += 1;
        }
    }
}

/// What the server answers to a published message.
#[derive(Deserialize)]
struct Answer<'a> {
    error: Option<ApiError>,
    #[serde(default, borrow)]
    stream: Cow<'a, str>,
    #[serde(default)]
    seq: u64,
}

impl Inbox {
    pub(super) async fn open(client: &Client) -> Result<Self, StreamError> {
        let prefix = format!("{}.", client.new_inbox());
        let acknowledgements = client.subscribe(format!("{prefix}*")).await.map_err(away)?;
        Ok(Self { prefix, acknowledgements, waiting: Waiting::default() })
    }

    /// Returns the number of messages from the oldest one without an acknowledgement to the last one.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.messages.len()
    }

    /// Returns the bytes of these messages.
    pub(super) fn bytes(&self) -> usize {
        self.waiting.bytes
    }

    /// Returns the subject for the acknowledgement of the next message, which waits for it from now on.
    pub(super) fn next(&mut self, bytes: usize) -> String {
        format!("{}{}", self.prefix, self.waiting.next(bytes))
    }

    /// Takes an acknowledgement, and returns the position of its message in the stream. Ignores an acknowledgement for
    /// which no message waits, and returns [`Position::START`].
    ///
    /// # Errors
    /// Returns an error if the server did not store the message, or if another stream did.
    pub(super) fn take(&mut self, message: &Message, stream: &str) -> Result<Position, StreamError> {
        let number = message.subject.strip_prefix(&self.prefix).and_then(|number| number.parse::<u64>().ok());
        let Some(number) = number.filter(|number| self.waiting.is_waiting(*number)) else {
            return Ok(Position::START);
        };
        let position = acknowledged(message, stream)?;
        self.waiting.take(number);
        Ok(position)
    }
}

fn acknowledged(message: &Message, stream: &str) -> Result<Position, StreamError> {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return Err(away("no stream takes the message"));
    }
    let answer: Answer<'_> = serde_json::from_slice(&message.payload).map_err(away)?;
    if let Some(error) = answer.error {
        return Err(answered(&error));
    }
    of_stream(&answer.stream, stream).map(|()| Position(answer.seq))
}

/// Checks that the fleet's stream has stored a message.
pub(super) fn of_stream(took: &str, stream: &str) -> Result<(), StreamError> {
    if took == stream {
        return Ok(());
    }
    Err(engine(format_args!("another stream, {took}, receives this fleet's subjects: choose another prefix")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Result<Position, StreamError> {
        let message = Message {
            subject: "_INBOX.0".into(),
            reply: None,
            payload: text.to_owned().into(),
            headers: None,
            status: None,
            description: None,
            length: 0,
        };
        acknowledged(&message, "DIALBACK")
    }

    #[test]
    fn only_messages_that_wait_are_acknowledged_in_any_order() {
        let mut waiting = Waiting::default();
        assert!(!waiting.is_waiting(0), "nothing was sent");
        assert_eq!([waiting.next(1), waiting.next(10), waiting.next(100)], [0, 1, 2]);
        waiting.take(1);
        assert_eq!([0, 1, 2, 3].map(|number| waiting.is_waiting(number)), [true, false, true, false]);
        assert_eq!((waiting.messages.len(), waiting.bytes), (3, 111), "the oldest one has no acknowledgement");
        waiting.take(0);
        assert_eq!((waiting.messages.len(), waiting.bytes), (1, 100));
        // A late acknowledgement of an earlier message counts for none of a later call.
        assert_eq!(waiting.next(5), 3);
        for late in [0, 1, u64::MAX] {
            assert!(!waiting.is_waiting(late));
            waiting.take(late);
        }
        assert_eq!([2, 3].map(|number| waiting.is_waiting(number)), [true; 2]);
        waiting.take(3);
        waiting.take(2);
        assert_eq!((waiting.messages.len(), waiting.bytes, waiting.next(0)), (0, 0, 4), "no number is used again");
    }

    #[test]
    fn answers_of_the_server_are_read() {
        assert_eq!(answer(r#"{"stream":"DIALBACK", "seq":7}"#).expect("stored"), Position(7));
        assert_eq!(
            answer(r#"{"stream":"DIALBACK","seq":8,"domain":"hub","duplicate":true}"#).expect("stored"),
            Position(8)
        );
        assert!(matches!(answer(r#"{"stream":"OTHER","seq":8}"#), Err(StreamError::Engine(_))));
        let full = r#"{"error":{"code":400,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"DIALBACK","seq":0}"#;
        assert!(matches!(answer(full), Err(StreamError::Full(_))));
        let no_leader = r#"{"error":{"code":503,"err_code":10008,"description":"not available"}}"#;
        assert!(matches!(answer(no_leader), Err(StreamError::Away(_))));
        let too_fast = r#"{"error":{"code":429,"err_code":10167,"description":"too many requests"}}"#;
        assert!(matches!(answer(too_fast), Err(StreamError::Away(_))));
        for damaged in ["", "{", "-ERR", "[]"] {
            assert!(matches!(answer(damaged), Err(StreamError::Away(_))), "{damaged}");
        }
    }
}
