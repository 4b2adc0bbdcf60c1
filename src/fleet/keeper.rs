//! Writes snapshots, and removes the messages that they cover from the stream.
//!
//! A node that keeps all calls and finds a snapshot due publishes the last configuration again. If several nodes do so
//! at once, the stream accepts one message and rejects the others. The snapshot is taken at the position of the
//! accepted message, so the message's fingerprint can be compared later. The message names no contact, so it can stay
//! when all messages before it are removed.
//!
//! A full stream accepts no message. Then each node that keeps all calls takes a snapshot at the last message of a node
//! that it has consumed. If several do so at once, the last one stays, and a missing one is written soon after.
//!
//! A node with a share writes a snapshot only if no other node did: to lend its configurations to nodes that wait.

use super::StepError;
use super::elapsed::{elapsed, millis};
use super::keys::Keys;
use super::link::{Link, Sighting, Standing, State, Witness};
use super::message;
use super::publisher::Did;
use super::settings::Planted;
use super::snapshot::{BYTES, Head, RECORDS, Reader, Section, Writer, write_erasure, write_known, write_pair};
use super::stream::{Position, StreamError};
use crate::history::LastCall;
use crate::plan::Plan;
use crate::service::{Service, joined_of_stored};
use crate::store::{KeyValue, StoredFleetState};
use crate::time::Timestamp;
use std::io::{self, ErrorKind, Read};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use xxhash_rust::xxh3::xxh3_64;

/// The number of sections that are prepared before they are read.
const READY: usize = 4;
/// The number of attempts to read a snapshot, after which it counts as unusable.
pub(super) const ATTEMPTS: u32 = 3;
/// How long another node gets at most to write a snapshot that nodes wait for, in milliseconds.
const LONGEST_GRACE: u64 = 300_000;
/// How long another node gets at most to make room in a full stream, in milliseconds.
const FULL_GRACE: u64 = 30_000;
/// The pause after a failure to write a snapshot, in milliseconds. Each further failure doubles it, up to `FULL_GRACE`.
const FIRST_PAUSE: u64 = 1_000;

/// Writes a snapshot when one is due.
///
/// No decision here relies on another node's clock. The age of a snapshot is the time, by this node's clock, since this
/// node first saw it.
pub(super) struct Keeper {
    link: Arc<Link>,
    service: Arc<Service>,
    fleet_state: Arc<dyn StoredFleetState>,
    /// When the newest snapshot was last looked at, and where the stream began then.
    looked_at: Option<Timestamp>,
    looked_first: Position,
    /// How often in a row the snapshot could not be read.
    failures: u32,
    /// The beginning of the stream for which this node has published all its data again.
    given_for: Position,
    /// Since when a snapshot has been due.
    due_since: Option<Timestamp>,
    /// Whether this node's last snapshot may have replaced a better one, or the stream was not truncated after it.
    must_repeat: bool,
    /// How often in a row writing a snapshot failed, and when it last did.
    refusals: u32,
    refused_at: Option<Timestamp>,
    /// A snapshot to write once the node has consumed the stream up to its position, and the epoch in which it was
    /// begun.
    begun: Option<(Head, u64)>,
}

/// The reason why a snapshot is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Due {
    /// The stream takes no more messages.
    Full,
    /// The newest snapshot is old.
    Regular,
    /// Other nodes wait for a snapshot: the newest one is missing, unusable or incomplete, or ends before the stream's
    /// beginning.
    Needed,
    /// Other nodes wait for configurations that no snapshot has, and no node that keeps all calls has written one.
    Lent,
}

impl Keeper {
    pub(super) fn new(link: Arc<Link>, service: Arc<Service>, fleet_state: Arc<dyn StoredFleetState>) -> Self {
        Self {
            link,
            service,
            fleet_state,
            looked_at: None,
            looked_first: Position::START,
            failures: 0,
            given_for: Position::START,
            due_since: None,
            must_repeat: false,
            refusals: 0,
            refused_at: None,
            begun: None,
        }
    }

    /// Begins or writes a snapshot if one is due.
    pub(super) fn step(&mut self) -> Result<Did, StepError> {
        if self.is_pausing() {
            return Ok(Did::Nothing);
        }
        let did = self.try_step();
        if let Some(error) = did.as_ref().err().and_then(StepError::away) {
            self.link.away(error);
        }
        did
    }

    /// Returns whether writing a snapshot failed a short time ago. Then it may fail for long.
    fn is_pausing(&mut self) -> bool {
        let now = self.link.now();
        let pause = (FIRST_PAUSE << self.refusals.min(16)).min(self.grace(Due::Full));
        self.refused_at.as_mut().is_some_and(|at| elapsed(now, at) < pause)
    }

    fn try_step(&mut self) -> Result<Did, StepError> {
        if let Some((head, epoch)) = self.begun {
            let (consumed, now_epoch) = {
                let state = self.link.state();
                (state.consumed, state.epoch)
            };
            if now_epoch != epoch {
                self.begun = None;
            } else if consumed >= head.at {
                self.begun = None;
                self.write(head)?;
                return Ok(Did::Some);
            }
            return Ok(Did::Nothing);
        }
        // A node that may lack something looks for a snapshot of another node, and one that cannot publish makes room.
        let has_reason = {
            let state = self.link.state();
            state.away.is_none() && (state.gap > Position::START || state.sequence == 0 || state.full.is_some())
        };
        if !self.link.may_publish() && !has_reason {
            return Ok(Did::Nothing);
        }
        let now = self.link.now();
        self.look(now)?;
        self.give();
        match self.whats_due(now) {
            Some(Due::Full) => Ok(self.begin_full(now)),
            Some(Due::Lent) => self.lend(now),
            Some(_) => self.begin(now),
            None => Ok(Did::Nothing),
        }
    }

    /// Looks at the newest snapshot from time to time, and whenever the stream's beginning has changed.
    fn look(&mut self, now: Timestamp) -> Result<(), StepError> {
        let (first, sightings) = {
            let state = self.link.state();
            (state.first, state.sightings)
        };
        let pause = if self.due_since.is_some() { self.grace(Due::Needed) / 4 } else { self.every() / 20 };
        let is_recent = self.looked_at.as_mut().is_some_and(|at| elapsed(now, at) < pause);
        if is_recent && self.looked_first == first {
            return Ok(());
        }
        let seen = match self.link.stream.read_snapshot().map_err(StepError::Upkeep)? {
            None => Sighting::default(),
            Some(snapshot) => match Reader::open(snapshot.content, &self.link.settings.keys) {
                Ok(reader) => {
                    let Head { at, gap, sequence, taken_at, .. } = reader.head();
                    let trusts = self.link.settings.is_planted(Planted::TrustsClocks);
                    Sighting { at, gap, sequence, seen_at: Some(if trusts { taken_at } else { now }) }
                }
                // Nothing may replace it, and only newer nodes can say how old it is.
                Err(StepError::NewerSnapshot(_) | StepError::LockedSnapshot) => {
                    Sighting { at: Position(u64::MAX), gap: Position::START, sequence: u64::MAX, seen_at: Some(now) }
                }
                Err(StepError::Snapshot(error)) if error.kind() == ErrorKind::InvalidData => Sighting::default(),
                Err(error) => {
                    self.failures += 1;
                    if self.failures < ATTEMPTS {
                        return Err(error);
                    }
                    Sighting::default()
                }
            },
        };
        self.failures = 0;
        // If the consumer has seen one meanwhile, the next step looks again.
        if self.link.state().see_read(seen, sightings) {
            (self.looked_at, self.looked_first) = (Some(now), first);
        }
        Ok(())
    }

    /// A node with a share writes no snapshots, except to [lend](Self::lend) its configurations. If other nodes need one,
    /// it publishes all that it has again, once. A node that does not know the stream's last configuration waits first
    /// for one that does, and then publishes all anyway.
    fn give(&mut self) {
        let mut state = self.link.state();
        let is_blind = state.sequence == 0 && state.configuration > Position::START;
        let is_needed = state.first.0 > state.snapshot.at.0.saturating_add(1) && self.looked_first == state.first;
        if is_needed && !is_blind && !self.link.settings.share.is_all() && self.given_for != state.first {
            self.given_for = state.first;
            state.must_republish = true;
        }
    }

    /// Returns the reason for which this node begins a snapshot now.
    fn whats_due(&mut self, now: Timestamp) -> Option<Due> {
        let Some(due) = self.due(now) else {
            self.due_since = None;
            return None;
        };
        let waited = elapsed(now, self.due_since.get_or_insert(now));
        let (is_complete, began_at) = {
            let state = self.link.state();
            (state.gap == Position::START, state.other_began_at)
        };
        let beat = millis(self.link.settings.beat_every);
        // A node that lacks nothing comes first.
        if due != Due::Regular && !is_complete && waited < beat * 2 {
            return None;
        }
        if due == Due::Lent && waited < self.lending_wait() {
            return None;
        }
        // The nodes cannot agree through a full stream, so they wait differently long for each other.
        if due == Due::Full && waited < self.jitter(beat / 4) {
            return None;
        }
        // Another node has begun one, and gets the time to write it. It is not waited for twice.
        let grace = self.grace(due);
        let has_begun = began_at.is_some_and(|mut at| elapsed(now, &mut at) < grace);
        (!has_begun || waited >= grace).then_some(due)
    }

    /// Returns a span of up to `longest` milliseconds, by the node's identity.
    fn jitter(&self, longest: u64) -> u64 {
        xxh3_64(&self.link.settings.node) % (longest + 1)
    }

    fn due(&self, now: Timestamp) -> Option<Due> {
        let mut state = self.link.state();
        let is_able = state.away.is_none() && state.halted.is_none() && self.looked_at.is_some();
        let keeps_all = self.link.settings.share.is_all();
        if is_able && keeps_all && self.can_make_room(&state) {
            return Some(Due::Full);
        }
        if !is_able || state.standing != Standing::Settled || state.republish {
            return None;
        }
        let (first, gap, sequence) = (state.first, state.gap, state.sequence);
        let snapshot = &mut state.snapshot;
        // Another node may have truncated the stream after a newer snapshot than the one that this node has seen.
        let ends_early = first.0 > snapshot.at.0.saturating_add(1) && self.looked_first == first;
        if !keeps_all {
            return (ends_early && sequence > snapshot.sequence).then_some(Due::Lent);
        }
        let is_incomplete = gap < snapshot.gap;
        if self.must_repeat || ends_early || is_incomplete {
            return Some(Due::Needed).filter(|_| !self.link.settings.is_planted(Planted::IgnoresNeed));
        }
        // A delay of up to a tenth, so that nodes that started together do not all try at once.
        let every = self.every();
        let jitter = self.jitter(every / 10);
        let trusts = self.link.settings.is_planted(Planted::TrustsClocks);
        let age = |at: &mut Timestamp| if trusts { now.millis_since(*at) } else { elapsed(now, at) };
        let is_old = snapshot.seen_at.as_mut().is_none_or(|at| age(at) >= every.saturating_add(jitter));
        is_old.then_some(Due::Regular)
    }

    /// Returns whether a snapshot at the last message of a node would make room in a full stream.
    ///
    /// The node may be unsettled, because it may lack the room for what it has to publish first. It has consumed all
    /// messages that the snapshot replaces, and before it removes them it checks that the stream still holds these.
    fn can_make_room(&self, state: &State) -> bool {
        let Witness { at, sequence, .. } = state.witness;
        // The stream has held no configuration since the node joined it, and no other node has shown one.
        let is_unconfigured = state.configuration == Position::START && state.standing == Standing::Settled;
        state.full.is_some()
            && !matches!(state.standing, Standing::Conflict(_))
            && (sequence > 0 || is_unconfigured)
            && at > state.first
            // A snapshot may be there, and the messages too: its writer stopped before it removed them.
            && at >= state.snapshot.at
            && !self.link.settings.is_planted(Planted::IgnoresFull)
    }

    /// Returns how long another node gets to write a snapshot that it has begun, in milliseconds.
    fn grace(&self, due: Due) -> u64 {
        match due {
            Due::Full => (self.every() / 10).min(FULL_GRACE),
            Due::Regular => self.every() / 10,
            Due::Needed | Due::Lent => (self.every() / 10).min(LONGEST_GRACE),
        }
    }

    /// Returns how long a node with a share waits before it lends its configurations, in milliseconds: until a node that
    /// waits continues without a newer snapshot. If there is an old one, nodes that have nothing read it first.
    fn lending_wait(&self) -> u64 {
        let has_snapshot = self.link.state().snapshot.at > Position::START;
        millis(self.link.settings.snapshot_wait).saturating_mul(if has_snapshot { 3 } else { 1 })
    }

    fn every(&self) -> u64 {
        millis(self.link.settings.snapshot_every)
    }

    fn begin(&mut self, now: Timestamp) -> Result<Did, StepError> {
        let (sequence, epoch, gap) = {
            let state = self.link.state();
            (state.sequence, state.epoch, state.gap)
        };
        // There is no configuration yet, or the last one has not reached this node's store.
        let Some(configuration) = self.fleet_state.configuration(sequence)? else { return Ok(Did::Nothing) };
        match self.link.publish_last(&configuration, epoch) {
            Ok(Some((at, witness))) => {
                self.begun = Some((Head { at, witness, is_configuration: true, sequence, taken_at: now, gap }, epoch));
                Ok(Did::Some)
            }
            Ok(None) | Err(StreamError::Superseded) => Ok(Did::Nothing),
            Err(error) => Err(error.into()),
        }
    }

    /// Begins a snapshot without a message of its own. The message at its position may name a contact, and stays until the
    /// next snapshot.
    fn begin_full(&mut self, now: Timestamp) -> Did {
        let state = self.link.state();
        if !self.can_make_room(&state) {
            return Did::Nothing;
        }
        let (Witness { at, fingerprint: witness, sequence }, gap) = (state.witness, state.gap);
        self.begun = Some((Head { at, witness, is_configuration: false, sequence, taken_at: now, gap }, state.epoch));
        Did::Some
    }

    /// Writes a snapshot with this node's configurations, for nodes that lack those before the stream's beginning.
    /// Publishing them would not help: in the stream, they would come after the later ones.
    ///
    /// The snapshot covers no message of the stream, and says that it may lack everything before the stream. So no
    /// message is removed, and a node that lacks less replaces it at once.
    fn lend(&mut self, now: Timestamp) -> Result<Did, StepError> {
        // Another node may have written one since this node last looked.
        self.looked_at = None;
        self.look(now)?;
        if self.due(now) != Some(Due::Lent) {
            return Ok(Did::Nothing);
        }
        let head = {
            let state = self.link.state();
            let at = Position(state.first.0.saturating_sub(1));
            if at <= state.snapshot.at {
                return Ok(Did::Nothing);
            }
            let (sequence, gap) = (state.sequence, state.gap.max(at));
            Head { at, witness: 0, is_configuration: false, sequence, taken_at: now, gap }
        };
        self.put(head)?;
        self.see(head);
        Ok(Did::Some)
    }

    /// Writes the snapshot and removes the messages that it covers, if the stream still holds the message at the
    /// snapshot's position.
    ///
    /// If the stream was rolled back meanwhile, nothing may be removed, because its present messages may be in no
    /// snapshot. If the message was removed, another node's snapshot is newer than this one.
    fn write(&mut self, head: Head) -> Result<(), StepError> {
        self.check(head)?;
        self.put(head)?;
        if let Err(error) = self.check(head) {
            // This snapshot may have replaced a better one, so the next one is due at once.
            self.must_repeat = true;
            return Err(error);
        }
        self.must_repeat = false;
        self.see(head);
        if head.at > Position(1) {
            let truncated = self.link.stream.truncate(Position(head.at.0 - 1)).map_err(StepError::Upkeep);
            self.must_repeat = truncated.is_err();
            self.paced(truncated)?;
        }
        Ok(())
    }

    fn put(&mut self, head: Head) -> Result<(), StepError> {
        let written = write(&self.link, &self.service, &self.fleet_state, head);
        let written = self.paced(written);
        if written.is_err() {
            self.link.metrics.count_snapshot_failure();
        }
        written
    }

    /// Notes a snapshot that this node has written.
    fn see(&self, Head { at, gap, sequence, .. }: Head) {
        self.link.state().see(Sighting { at, gap, sequence, seen_at: Some(self.link.now()) });
    }

    /// Makes the next attempt wait if this one failed.
    fn paced(&mut self, done: Result<(), StepError>) -> Result<(), StepError> {
        let is_refused = done.is_err();
        self.refusals = if is_refused { self.refusals.saturating_add(1) } else { 0 };
        self.refused_at = is_refused.then(|| self.link.now());
        done
    }

    fn check(&self, head: Head) -> Result<(), StepError> {
        let there = self.link.stream.message_at(head.at)?.ok_or(StreamError::Gone)?;
        let is_witness = message::fingerprint(&there.payload) == head.witness;
        if is_witness { Ok(()) } else { Err(StepError::Lost(head.at)) }
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
            if let Err(error) = produce(service, fleet_state, head, &link.settings.keys, &mut send) {
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
        written.map_err(StepError::Upkeep)
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
    keys: &Keys,
    send: &mut dyn FnMut(Vec<u8>) -> bool,
) -> Result<(), StepError> {
    let (mut writer, bytes) = Writer::begin(head, keys);
    let mut is_wanted = send(bytes);
    let mut send = |kind, content| send(writer.section(Section { kind, content }));
    let mut plan = Plan::new();
    let mut section = Vec::new();
    for sequence in 1..=head.sequence {
        let configuration = fleet_state.configuration(sequence)?.ok_or(StepError::Missing { sequence })?;
        let text = serde_json::to_vec(&configuration).expect("a configuration has only text and integers");
        section.extend(u32::try_from(text.len()).expect("a configuration is far shorter").to_be_bytes());
        section.extend(text);
        plan.advance(&configuration).map_err(|_| StepError::Damaged("a configuration"))?;
        if section.len() > RECORDS * 8 {
            is_wanted &= send(b'C', std::mem::take(&mut section));
        }
    }
    is_wanted &= send(b'C', section);
    // Read the erasures before the pairs: a pair that is erased in between is erased again by a message after the
    // snapshot.
    let kept = fleet_state.erasures()?;
    is_wanted &= send(b'K', kept.keys.concat());
    let mut erasures = 0;
    for some in kept.erasures.chunks(RECORDS) {
        let mut content = Vec::new();
        for erasure in some.iter().filter(|(scope, ..)| plan.environment_of_scope(*scope).is_some()) {
            write_erasure(*erasure, &mut content);
            erasures += 1;
        }
        is_wanted &= send(b'E', content);
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
            is_wanted = send(b'P', std::mem::take(&mut content));
        }
    });
    send(b'P', content);
    // What is reported meanwhile follows the snapshot in the stream.
    let first = service.known_records(&[], BYTES)?;
    if !first.is_empty() {
        send(b'E', Vec::new());
    }
    let counts = [head.sequence, erasures, pairs].map(u64::to_be_bytes).concat();
    send(b'Z', counts);
    if first.is_empty() { Ok(()) } else { produce_known(service, &plan, first, &mut send) }
}

/// Produces the sections of calls with an id or a context, which begin with the calls `some`. Only the calls of the plan
/// belong to the snapshot.
fn produce_known(
    service: &Service,
    plan: &Plan,
    mut some: Vec<KeyValue>,
    send: &mut dyn FnMut(u8, Vec<u8>) -> bool,
) -> Result<(), StepError> {
    let mut known = 0u64;
    while let Some((last, _)) = some.last() {
        let last = last.clone();
        let mut content = Vec::new();
        for (key, value) in some.iter().filter(|record| joined_of_stored(plan, record).is_some()) {
            write_known((key, value), &mut content);
            known += 1;
        }
        if !send(b'D', content) {
            return Ok(());
        }
        some = service.known_records(&last, BYTES)?;
    }
    send(b'Y', known.to_be_bytes().to_vec());
    Ok(())
}
