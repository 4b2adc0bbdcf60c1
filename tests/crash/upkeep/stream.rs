//! A fleet's stream in memory, which can be saved to files for another process.

use dialback::fleet::{Bounds, Delivery, Position, Snapshot, Stream, StreamError, Subject};
use serde_json::{Value, json};
use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The content of the stream.
#[derive(Clone, Default)]
struct Held {
    messages: Vec<(u64, Subject, Arc<[u8]>)>,
    /// The number of removed messages.
    removed: u64,
    last: u64,
    last_configuration: u64,
    snapshot: Option<(u64, Arc<[u8]>)>,
}

impl Held {
    fn append(&mut self, subject: Subject, payload: &[u8]) -> Position {
        self.last += 1;
        if subject == Subject::Configuration {
            self.last_configuration = self.last;
        }
        self.messages.push((self.last, subject, payload.into()));
        Position(self.last)
    }
}

#[derive(Default)]
pub(super) struct InMemory(Mutex<Held>);

impl InMemory {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().expect("no panic")
    }

    /// Returns the position of the last message.
    pub(super) fn last(&self) -> u64 {
        self.held().last
    }

    /// Returns the number of messages that a snapshot covers and that were removed.
    pub(super) fn removed(&self) -> u64 {
        self.held().removed
    }

    /// Returns a stream with the same content, which changes separately.
    pub(super) fn copy(&self) -> Self {
        Self(Mutex::new(self.held().clone()))
    }

    /// Saves the stream in a new folder.
    pub(super) fn save(&self, folder: &Path) {
        let held = self.held();
        let partition = |subject: Subject| if let Subject::Calls(partition) = subject { Some(partition) } else { None };
        let messages =
            held.messages.iter().map(|(at, subject, payload)| json!([at, partition(*subject), &payload[..]]));
        let (at, snapshot) = held.snapshot.clone().unwrap_or_default();
        let text = json!({
            "messages": messages.collect::<Vec<_>>(), "removed": held.removed, "last": held.last,
            "last_configuration": held.last_configuration, "snapshot_at": at,
        });
        fs::create_dir(folder).expect("made");
        fs::write(folder.join("snapshot"), &snapshot).expect("written");
        fs::write(folder.join("stream.json"), text.to_string()).expect("written");
    }

    /// Reads a saved stream.
    pub(super) fn load(folder: &Path) -> Self {
        let text: Value = serde_json::from_slice(&fs::read(folder.join("stream.json")).expect("saved")).expect("JSON");
        let word = |value: &Value| value.as_u64().expect("a number");
        let message = |message: &Value| {
            let partition = message[1].as_u64().map(|partition| u16::try_from(partition).expect("a partition"));
            let subject = partition.map_or(Subject::Configuration, Subject::Calls);
            let payload =
                message[2].as_array().expect("bytes").iter().map(|byte| u8::try_from(word(byte)).expect("a byte"));
            (word(&message[0]), subject, payload.collect())
        };
        let snapshot: Arc<[u8]> = fs::read(folder.join("snapshot")).expect("saved").into();
        let snapshot = Some((word(&text["snapshot_at"]), snapshot)).filter(|(at, _)| *at > 0);
        Self(Mutex::new(Held {
            messages: text["messages"].as_array().expect("messages").iter().map(message).collect(),
            removed: word(&text["removed"]),
            last: word(&text["last"]),
            last_configuration: word(&text["last_configuration"]),
            snapshot,
        }))
    }
}

fn delivery((at, subject, payload): &(u64, Subject, Arc<[u8]>)) -> Delivery {
    Delivery { position: Position(*at), subject: *subject, payload: payload.to_vec().into() }
}

impl Stream for InMemory {
    fn publish(&self, messages: &[(Subject, Vec<u8>)]) -> Result<Position, StreamError> {
        let mut held = self.held();
        for (subject, payload) in messages {
            held.append(*subject, payload);
        }
        Ok(Position(held.last))
    }

    fn publish_after(&self, subject: Subject, message: &[u8], last: Position) -> Result<Position, StreamError> {
        let mut held = self.held();
        if held.last_configuration == last.0 { Ok(held.append(subject, message)) } else { Err(StreamError::Superseded) }
    }

    fn last_configuration(&self) -> Result<Option<Delivery>, StreamError> {
        let held = self.held();
        Ok(held.messages.iter().rfind(|(_, subject, _)| *subject == Subject::Configuration).map(delivery))
    }

    fn message_at(&self, position: Position) -> Result<Option<Delivery>, StreamError> {
        Ok(self.held().messages.iter().find(|(at, ..)| *at == position.0).map(delivery))
    }

    fn consume(&self, after: Position, limit: usize, wait: Duration) -> Result<Vec<Delivery>, StreamError> {
        let began = Instant::now();
        loop {
            let held = self.held();
            if after.0 < held.removed {
                return Err(StreamError::Gone);
            }
            let mut room = limit;
            let next = held.messages.iter().skip_while(|(at, ..)| *at <= after.0).take_while(|(_, _, payload)| {
                let has_room = room > 0;
                room = room.saturating_sub(payload.len().max(1));
                has_room
            });
            let next: Vec<_> = next.map(delivery).collect();
            drop(held);
            if !next.is_empty() || began.elapsed() >= wait {
                return Ok(next);
            }
            sleep(Duration::from_millis(1));
        }
    }

    fn bounds(&self) -> Result<Bounds, StreamError> {
        let held = self.held();
        Ok(Bounds {
            incarnation: 1,
            first: Position(held.removed + 1),
            last: Position(held.last),
            last_configuration: Position(held.last_configuration),
        })
    }

    fn truncate(&self, up_to: Position) -> Result<(), StreamError> {
        let mut held = self.held();
        held.messages.retain(|(at, ..)| *at > up_to.0);
        held.removed = held.removed.max(up_to.0);
        Ok(())
    }

    fn write_snapshot(&self, at: Position, content: &mut dyn Read) -> Result<(), StreamError> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(|error| StreamError::Engine(error.to_string()))?;
        self.held().snapshot = Some((at.0, bytes.into()));
        Ok(())
    }

    fn read_snapshot(&self) -> Result<Option<Snapshot>, StreamError> {
        let snapshot = self.held().snapshot.clone();
        Ok(snapshot.map(|(at, bytes)| Snapshot { at: Position(at), content: Box::new(Cursor::new(bytes)) }))
    }
}
