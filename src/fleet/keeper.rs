//! Writes snapshots, and removes the messages that they cover from the stream.
//!
//! A node that keeps all calls and finds a snapshot due publishes the last configuration again. If several nodes do so
//! at once, the stream accepts one message and rejects the others. The snapshot is taken at the position of the
//! accepted message, so the message's fingerprint can be compared later. The message names no contact, so it can stay
//! when all messages before it are removed.

use super::StepError;
use super::consumer::PATIENCE;
use super::link::{Link, Standing};
use super::message;
use super::publisher::Did;
use super::snapshot::{Head, RECORDS, Section, write_erasure, write_pair};
use super::stream::{Delivery, Position, StreamError};
use crate::history::LastCall;
use crate::plan::Plan;
use crate::service::Service;
use crate::store::StoredFleetState;
use crate::time::Timestamp;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use xxhash_rust::xxh3::xxh3_64;

/// The number of sections that are prepared before they are read.
const READY: usize = 4;

/// Writes a snapshot when one is due.
pub(super) struct Keeper {
    link: Arc<Link>,
    service: Arc<Service>,
    fleet_state: Arc<dyn StoredFleetState>,
    /// Whether the time of the newest snapshot was looked up.
    has_looked: bool,
    /// A snapshot to write once the node has consumed the stream up to its position, and the epoch in which it was
    /// begun.
    due: Option<(Head, u64)>,
}

impl Keeper {
    pub(super) fn new(link: Arc<Link>, service: Arc<Service>, fleet_state: Arc<dyn StoredFleetState>) -> Self {
        Self { link, service, fleet_state, has_looked: false, due: None }
    }

    /// Begins or writes a snapshot if one is due.
    pub(super) fn step(&mut self) -> Result<Did, StepError> {
        let did = self.try_step();
        // The stream reports a lost connection only once: pass it on.
        if let Some(error) = did.as_ref().err().and_then(StepError::away) {
            self.link.away(error);
        }
        did
    }

    fn try_step(&mut self) -> Result<Did, StepError> {
        if let Some((head, epoch)) = self.due {
            let (consumed, now_epoch) = {
                let state = self.link.state();
                (state.consumed, state.epoch)
            };
            if now_epoch != epoch {
                self.due = None;
            } else if consumed >= head.at {
                self.due = None;
                self.write(head)?;
                return Ok(Did::Some);
            }
            return Ok(Did::Nothing);
        }
        if !self.has_looked && self.link.may_publish() {
            if let Some(mut snapshot) = self.link.stream.read_snapshot()? {
                let taken_at = Head::read(&mut snapshot.content)?.taken_at;
                let mut state = self.link.state();
                state.snapshot_at = state.snapshot_at.max(Some(taken_at));
            }
            self.has_looked = true;
        }
        if self.is_due(self.link.now()) { self.begin() } else { Ok(Did::Nothing) }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        let state = self.link.state();
        let every = u64::try_from(self.link.settings.snapshot_every.as_millis()).unwrap_or(u64::MAX);
        // A delay of up to a tenth, so that nodes that started together do not all try at once.
        let jitter = xxh3_64(&self.link.settings.node) % (every / 10 + 1);
        let is_old = |at: Timestamp| now.millis_since(at) >= every.saturating_add(jitter);
        self.link.settings.share.is_all()
            && state.standing == Standing::Settled
            && state.away.is_none()
            && self.has_looked
            && !state.republish
            && state.snapshot_at.is_none_or(is_old)
    }

    fn begin(&mut self) -> Result<Did, StepError> {
        let (sequence, epoch) = {
            let state = self.link.state();
            (state.sequence, state.epoch)
        };
        let taken_at = self.link.now();
        // There is no configuration yet, or the last one has not reached this node's store.
        let Some(configuration) = self.fleet_state.configuration(sequence)? else { return Ok(Did::Nothing) };
        match self.link.publish_configuration(&configuration) {
            Ok((at, witness)) => {
                self.link.state().snapshot_at = Some(taken_at);
                self.due = Some((Head { at, witness, sequence, taken_at }, epoch));
                Ok(Did::Some)
            }
            Err(StreamError::Superseded) => Ok(Did::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes the snapshot and removes the messages that it covers, if the stream still holds the message at the
    /// snapshot's position.
    ///
    /// If the stream was rolled back meanwhile, nothing may be removed, because its present messages may be in no
    /// snapshot. If the message was removed, another node's snapshot is newer than this one.
    fn write(&self, head: Head) -> Result<(), StepError> {
        self.check(head)?;
        write(&self.link, &self.service, &self.fleet_state, head)?;
        if let Err(error) = self.check(head) {
            // This snapshot may have replaced a better one, so the next one is due at once.
            self.link.state().snapshot_at = None;
            return Err(error);
        }
        if head.at > Position(1) {
            self.link.stream.truncate(Position(head.at.0 - 1))?;
        }
        Ok(())
    }

    fn check(&self, head: Head) -> Result<(), StepError> {
        let there = self.link.stream.consume(Position(head.at.0 - 1), 1, PATIENCE)?;
        let is_witness =
            |there: &&Delivery| there.position == head.at && message::fingerprint(&there.payload) == head.witness;
        there.first().filter(is_witness).map(|_| ()).ok_or(StepError::Lost(head.at))
    }
}

/// Writes the state of a node that has consumed the stream up to `head.at` or further. The stream delivers everything
/// newer than `head.at` again.
fn write(link: &Link, service: &Service, fleet_state: &Arc<dyn StoredFleetState>, head: Head) -> Result<(), StepError> {
    let (sender, sections) = sync_channel::<Vec<u8>>(READY);
    let failed = Mutex::new(None);
    thread::scope(|scope| {
        let make = || {
            let mut send = |bytes: Vec<u8>| sender.send(bytes).is_ok();
            if let Err(error) = produce(service, fleet_state, head, &mut send) {
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
            // The reader sees the end of the content.
            drop(sender);
        };
        let thread = thread::Builder::new().name("dialback-snapshot".into()).spawn_scoped(scope, make);
        thread.map_err(StepError::Snapshot)?;
        let mut content = Content { sections, section: Vec::new(), at: 0, failed: &failed };
        let written = link.stream.write_snapshot(head.at, &mut content);
        // The producer must not wait for a reader that has stopped.
        drop(content);
        written.map_err(StepError::from)
    })?;
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// The content of a snapshot, as the stream's engine reads it.
struct Content<'a> {
    sections: Receiver<Vec<u8>>,
    section: Vec<u8>,
    at: usize,
    failed: &'a Mutex<Option<StepError>>,
}

impl Read for Content<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.at == self.section.len() {
            match self.sections.recv() {
                Ok(section) => (self.section, self.at) = (section, 0),
                Err(_) if self.failed.lock().unwrap_or_else(PoisonError::into_inner).is_some() => {
                    return Err(io::Error::other("the node's state could not be read"));
                }
                Err(_) => return Ok(0),
            }
        }
        let len = out.len().min(self.section.len() - self.at);
        out[..len].copy_from_slice(&self.section[self.at..self.at + len]);
        self.at += len;
        Ok(len)
    }
}

/// Produces the sections in order. `send` returns whether more sections are wanted.
fn produce(
    service: &Service,
    fleet_state: &Arc<dyn StoredFleetState>,
    head: Head,
    send: &mut dyn FnMut(Vec<u8>) -> bool,
) -> Result<(), StepError> {
    let mut is_wanted = send(head.to_bytes());
    let mut plan = Plan::new();
    let mut section = Vec::new();
    for sequence in 1..=head.sequence {
        let configuration = fleet_state.configuration(sequence)?.ok_or(StepError::Missing { sequence })?;
        let text = serde_json::to_vec(&configuration).expect("a configuration has only text and integers");
        section.extend(u32::try_from(text.len()).expect("a configuration is far shorter").to_be_bytes());
        section.extend(text);
        plan.advance(&configuration).map_err(|_| StepError::Damaged("a configuration"))?;
        if section.len() > RECORDS * 8 {
            is_wanted &= send(Section { kind: b'C', content: std::mem::take(&mut section) }.to_bytes());
        }
    }
    is_wanted &= send(Section { kind: b'C', content: section }.to_bytes());
    // Read the erasures before the pairs: a pair that is erased in between is erased again by a message after the
    // snapshot.
    let kept = fleet_state.erasures()?;
    is_wanted &= send(Section { kind: b'K', content: kept.keys.concat() }.to_bytes());
    let mut erasures = 0;
    for some in kept.erasures.chunks(RECORDS) {
        let mut content = Vec::new();
        for erasure in some.iter().filter(|(scope, ..)| plan.environment_of_scope(*scope).is_some()) {
            write_erasure(*erasure, &mut content);
            erasures += 1;
        }
        is_wanted &= send(Section { kind: b'E', content }.to_bytes());
    }
    let (mut pairs, mut content) = (0u64, Vec::new());
    service.history().for_each(|scope, contact, register| {
        let LastCall::Placed { source, .. } = register.read() else { return };
        // Pairs of numbers and agents that newer configurations added follow the snapshot in the stream.
        if !is_wanted || plan.number_of_scope(scope).is_none() || plan.agent_id(source).is_none() {
            return;
        }
        write_pair((scope, contact, register), &mut content);
        pairs += 1;
        if content.len() >= RECORDS * 18 {
            is_wanted = send(Section { kind: b'P', content: std::mem::take(&mut content) }.to_bytes());
        }
    });
    send(Section { kind: b'P', content }.to_bytes());
    let counts = [head.sequence, erasures, pairs].map(u64::to_be_bytes).concat();
    send(Section { kind: b'Z', content: counts }.to_bytes());
    Ok(())
}
