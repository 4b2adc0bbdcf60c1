//! Snapshots, and what the stream may forget because of them.
//!
//! Whoever has all calls and finds a snapshot due publishes the last configuration again. Only one of several can: whoever is
//! second is told that another came first. The message is what the snapshot is taken at, so its fingerprint can be compared later, and it names no contact, so
//! that it may stay when all before it goes.

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
use crate::store::Aside;
use crate::time::Timestamp;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use xxhash_rust::xxh3::xxh3_64;

/// Sections that are ready before anybody reads them.
const READY: usize = 4;

/// Writes a snapshot when one is due.
pub(super) struct Keeper {
    link: Arc<Link>,
    service: Arc<Service>,
    aside: Arc<dyn Aside>,
    has_looked: bool,
    /// A snapshot that is to be written when the node is there.
    due: Option<(Head, u64)>,
}

impl Keeper {
    pub(super) fn new(link: Arc<Link>, service: Arc<Service>, aside: Arc<dyn Aside>) -> Self {
        Self { link, service, aside, has_looked: false, due: None }
    }

    /// Does what is due.
    pub(super) fn step(&mut self) -> Result<Did, StepError> {
        let did = self.try_step();
        // Told here, a lost connection is told nowhere else.
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
        // Up to a tenth later, so that nodes which started together do not all try at once.
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
        // Without a configuration there is nothing; and one that is on its way to this node comes first.
        let Some(configuration) = self.aside.configuration(sequence)? else { return Ok(Did::Nothing) };
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

    /// Only of a stream in which the message is that the snapshot is taken at: of one that has been rolled back meanwhile, nothing may
    /// go, since what is there now may be in no snapshot; and where it has gone, another node's snapshot is newer than this.
    fn write(&self, head: Head) -> Result<(), StepError> {
        self.check(head)?;
        write(&self.link, &self.service, &self.aside, head)?;
        if let Err(error) = self.check(head) {
            // It may have taken the place of a better one: the next is due at once.
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

/// Writes the state of a node that has consumed up to `head.at`, or further: what is newer than the snapshot says comes again.
fn write(link: &Link, service: &Service, aside: &Arc<dyn Aside>, head: Head) -> Result<(), StepError> {
    let (sender, sections) = sync_channel::<Vec<u8>>(READY);
    let failed = Mutex::new(None);
    thread::scope(|scope| {
        let make = || {
            let mut send = |bytes: Vec<u8>| sender.send(bytes).is_ok();
            if let Err(error) = produce(service, aside, head, &mut send) {
                failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            }
            // The end of what is read.
            drop(sender);
        };
        let thread = thread::Builder::new().name("dialback-snapshot".into()).spawn_scoped(scope, make);
        thread.map_err(StepError::Snapshot)?;
        let mut content = Content { sections, section: Vec::new(), at: 0, failed: &failed };
        let written = link.stream.write_snapshot(head.at, &mut content);
        // Whoever makes it must not wait for somebody who reads no more.
        drop(content);
        written.map_err(StepError::from)
    })?;
    failed.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err)
}

/// What the engine reads.
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
                    return Err(io::Error::other("the node could not be read"));
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

/// Makes one section after another; `send` says whether anybody wants more.
fn produce(
    service: &Service,
    aside: &Arc<dyn Aside>,
    head: Head,
    send: &mut dyn FnMut(Vec<u8>) -> bool,
) -> Result<(), StepError> {
    let mut is_wanted = send(head.to_bytes());
    let mut plan = Plan::new();
    let mut section = Vec::new();
    for sequence in 1..=head.sequence {
        let configuration = aside.configuration(sequence)?.ok_or(StepError::Missing { sequence })?;
        let text = serde_json::to_vec(&configuration).expect("a configuration has only text and integers");
        section.extend(u32::try_from(text.len()).expect("a configuration is far shorter").to_be_bytes());
        section.extend(text);
        plan.advance(&configuration).map_err(|_| StepError::Damaged("the configurations"))?;
        if section.len() > RECORDS * 8 {
            is_wanted &= send(Section { kind: b'C', content: std::mem::take(&mut section) }.to_bytes());
        }
    }
    is_wanted &= send(Section { kind: b'C', content: section }.to_bytes());
    // Before the pairs: one that is erased later is erased again by what follows the snapshot.
    let kept = aside.erasures()?;
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
        // What newer configurations brought comes again with them.
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
