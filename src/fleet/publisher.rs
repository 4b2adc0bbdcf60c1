//! Publishes the outbox to the stream.

use super::StepError;
use super::commit::commit;
use super::elapsed::{elapsed, millis};
use super::link::{Acked, Link};
use super::message::{self, FRAME, NodeId, PSEUDONYM, PSEUDONYM_COUNT, PSEUDONYM_KEY};
use super::settings::Planted;
use super::share::{partition, partition_of};
use super::stream::{Position, StreamError, Subject};
use crate::event::{Call, Event, wire};
use crate::history::LastCall;
use crate::service::{Consumed, Service, joined_of_stored};
use crate::store::StoredFleetState;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// The approximate number of message bytes that are published together. Acknowledgements count when the stream has all of
/// them, so the number is small while the outbox is short.
const AT_ONCE: usize = 1 << 20;
/// The most of them, while the outbox holds at least as many and the stream is fast. The node waits until a part is
/// acknowledged before it sends the next, and that costs little of a part of this size. A part is in memory up to twice: as
/// entries, and as events by partition. A message is written when the stream takes it.
const MOST: usize = 1 << 25;
/// How long the stream should take for a part at most, in milliseconds. A call that waits for its acknowledgement waits
/// for its part.
const PART: u64 = 100;
/// The least number of them, after a full stream has rejected more.
const LEAST: usize = 1 << 14;

/// Reads entries of the outbox in order, and publishes them. An entry stays in the outbox until the stream has
/// delivered its messages back.
pub(super) struct Publisher {
    link: Arc<Link>,
    service: Arc<Service>,
    fleet_state: Arc<dyn StoredFleetState>,
    /// The last entry that the stream has acknowledged in this epoch.
    cursor: u64,
    epoch: u64,
    /// The number of message bytes to publish together. A stream that holds less than `AT_ONCE` never has room for so many.
    at_once: usize,
    /// The time at which the node last published a message.
    published_at: Option<Timestamp>,
    /// The position of the node's last heartbeat, and the epoch in which it was acknowledged.
    announced: Option<(u64, Position)>,
}

/// The result of a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Did {
    /// The step did something, and there may be more to do.
    Some,
    /// There was nothing to do.
    Nothing,
}

impl Publisher {
    pub(super) fn new(link: Arc<Link>, service: Arc<Service>, fleet_state: Arc<dyn StoredFleetState>) -> Self {
        Self { link, service, fleet_state, cursor: 0, epoch: 0, at_once: AT_ONCE, published_at: None, announced: None }
    }

    /// Returns the last entry that was published.
    pub(super) fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Publishes the next part of the outbox, or all data again if that is due.
    pub(super) fn step(&mut self) -> Result<Did, StepError> {
        self.link.expire();
        if !self.link.may_publish() {
            return Ok(Did::Nothing);
        }
        let (epoch, first, republish, last_entry) = {
            let state = self.link.state();
            let republish = state.republish && state.republished.is_none_or(|(epoch, _)| epoch != state.epoch);
            (state.epoch, state.first, republish, state.last_entry())
        };
        if self.epoch != epoch {
            (self.epoch, self.cursor) = (epoch, 0);
        }
        if self.must_announce(first) {
            self.heartbeat()?;
            return Ok(Did::Some);
        }
        if republish {
            self.republish()?;
            return Ok(Did::Some);
        }
        if self.publish_outbox()? == Did::Some {
            return Ok(Did::Some);
        }
        // An entry that exists no more was delivered back. Otherwise the thread would not wait for the next one.
        self.cursor = self.cursor.max(last_entry);
        self.beat()
    }

    /// Publishes the next part of the outbox.
    fn publish_outbox(&mut self) -> Result<Did, StepError> {
        let entries = self.fleet_state.outbox(self.cursor, self.at_once)?;
        let mut last = None;
        let mut parcels = self.parcels();
        for entry in entries {
            // An erasure goes into each partition, so there can be more to publish than was read.
            if parcels.len() >= self.at_once {
                break;
            }
            last = Some(entry.number);
            let events = message::read_events(&entry.events).ok_or(StepError::Damaged("an entry of the outbox"))?;
            for event in &events {
                parcels.add(event);
            }
        }
        let Some(last) = last else { return Ok(Did::Nothing) };
        let (count, bytes) = (parcels.events, parcels.len());
        let mut began = self.link.now();
        let published = self.publish(parcels, last);
        let took = elapsed(self.link.now(), &mut began);
        self.at_once = match &published {
            // What a full stream accepted of the part is published again.
            Err(StepError::Stream(StreamError::Full(_))) => (self.at_once.min(AT_ONCE) / 2).max(LEAST),
            Err(_) => self.at_once.min(AT_ONCE),
            Ok(_) => next_size(self.at_once, bytes, took),
        };
        published?;
        self.cursor = last;
        self.link.metrics.count_published(count);
        Ok(Did::Some)
    }

    /// Returns empty messages, which become no longer than the stream accepts.
    fn parcels(&self) -> Parcels {
        Parcels::new(self.link.settings.partitions, self.link.settings.batch, self.body())
    }

    /// Returns the length of the longest body that the stream accepts.
    fn body(&self) -> usize {
        if self.link.settings.is_planted(Planted::IgnoresLimit) {
            return usize::MAX;
        }
        self.link.stream.largest().saturating_sub(FRAME)
    }

    fn publish(&mut self, parcels: Parcels, entry: u64) -> Result<Option<Position>, StepError> {
        let now = self.link.now();
        self.published_at = Some(now);
        self.publish_messages(parcels, entry)
    }

    /// Publishes the messages, each of which is written when the stream takes it.
    fn publish_messages(&self, parcels: Parcels, entry: u64) -> Result<Option<Position>, StepError> {
        let parcels = parcels.finish();
        let count = parcels.len();
        let mut fingerprint = 0;
        let mut messages = parcels.into_iter().enumerate().map(|(index, Parcel { has_details, subject, body })| {
            let now = self.link.now();
            let mut writer = self.link.writer();
            let message =
                if has_details { writer.details(subject, now, &body) } else { writer.events(subject, now, &body) };
            drop(writer);
            if index + 1 == count {
                fingerprint = message::fingerprint(&message);
            }
            (subject, message)
        });
        if count == 0 {
            return Ok(None);
        }
        let published = self.link.stream.publish_each(&mut messages);
        drop(messages);
        self.note(published, fingerprint, entry).map(Some)
    }

    /// Records whether the stream has acknowledged messages up to an outbox entry. Returns the position of the last one.
    fn note(
        &self,
        published: Result<Position, StreamError>,
        fingerprint: u64,
        entry: u64,
    ) -> Result<Position, StepError> {
        match self.link.noting_room(published) {
            Ok(position) => {
                self.link.acknowledged(Acked { position, fingerprint, entry }, self.epoch);
                Ok(position)
            }
            Err(error @ StreamError::Full(_)) => Err(error.into()),
            Err(error) => {
                self.link.away(&error);
                Err(error.into())
            }
        }
    }

    /// Publishes a heartbeat if no message was published for `beat_every`. It shows the other nodes that this node
    /// runs, and how late its messages arrive.
    fn beat(&mut self) -> Result<Did, StepError> {
        let now = self.link.now();
        let every = millis(self.link.settings.beat_every);
        if self.published_at.as_mut().is_some_and(|published_at| elapsed(now, published_at) < every) {
            return Ok(Did::Nothing);
        }
        self.heartbeat()?;
        Ok(Did::Nothing)
    }

    /// Returns whether a heartbeat has to precede the node's calls in the stream, which begins at `first`.
    ///
    /// A node of an earlier version cannot authenticate calls, and would skip them. It can authenticate a heartbeat, which
    /// tells it that a newer version wrote the messages. It then halts. So there must be a heartbeat before the calls of
    /// each start of this node, before those that it publishes after a loss, and before those that follow a removal of
    /// the last heartbeat. Without a key, an earlier node halts before any message.
    fn must_announce(&self, first: Position) -> bool {
        let is_there = |(epoch, position)| epoch == self.epoch && position >= first;
        !self.link.settings.keys.is_empty() && !self.announced.is_some_and(is_there)
    }

    /// Publishes a message without calls.
    fn heartbeat(&mut self) -> Result<(), StepError> {
        let settings = &self.link.settings;
        let subject = Subject::Calls(partition_of_node(settings.node, settings.partitions));
        let mut parcels = self.parcels();
        parcels.full.push(Parcel { has_details: false, subject, body: Vec::new() });
        self.announced = self.publish(parcels, self.cursor)?.map(|position| (self.epoch, position));
        Ok(())
    }

    /// Publishes all data of the node again, with UUIDs and numbers in place of slots. Calls converge, so data that the
    /// other nodes have already is harmless.
    ///
    /// Ends early if the node stops or begins again: then nothing counts as published.
    fn republish(&mut self) -> Result<(), StepError> {
        let (service, plan) = (Arc::clone(&self.service), self.service.plan());
        let mut parcels = self.parcels();
        let mut goes_on = Ok(true);
        // Publish in parts, so that only one part at a time is in memory.
        service.history().for_each(|scope, contact, register| {
            if !matches!(goes_on, Ok(true)) {
                return;
            }
            let LastCall::Placed { at, outcome, source } = register.read() else { return };
            let Some((environment, from)) = plan.number_of_scope(scope) else { return };
            let Some(agent) = plan.agent_id(source) else { return };
            parcels.add(&Event::Call(Call { environment, agent, from, to: contact, at, outcome }));
            // Not more: changes of the configuration go behind a part.
            if parcels.len() >= AT_ONCE {
                let full = std::mem::replace(&mut parcels, self.parcels());
                goes_on = self.publish_again(full);
            }
        });
        if goes_on? && self.publish_again(parcels)? && self.republish_details()? {
            self.republish_erasures()?;
            self.link.republished(self.epoch);
        }
        Ok(())
    }

    /// Publishes a part of all data, and then new calls, which must not wait for the rest. Returns whether to go on.
    fn publish_again(&mut self, parcels: Parcels) -> Result<bool, StepError> {
        let count = parcels.events;
        self.publish_messages(parcels, 0)?;
        self.link.metrics.count_republished(count);
        self.publish_outbox()?;
        let state = self.link.state();
        Ok(!state.is_stopping() && state.epoch == self.epoch)
    }

    /// Publishes what the node knows of calls with an id or a context again. Returns whether to go on.
    ///
    /// What it has from before it belonged to the fleet becomes as if it had got it in the fleet: the calls that its history
    /// holds are marked as counted, here and at the other nodes.
    fn republish_details(&mut self) -> Result<bool, StepError> {
        if self.link.settings.is_planted(Planted::NoDetailsAgain) {
            return Ok(true);
        }
        let plan = self.service.plan();
        let mut last = Vec::new();
        loop {
            let records = self.service.known_records(&last, AT_ONCE)?;
            let Some((key, _)) = records.last() else { return Ok(true) };
            last.clone_from(key);
            let unmarked = self.service.unmarked(&records).into_iter().map(|joined| Event::Joined(Box::new(joined)));
            let unmarked: Vec<_> = unmarked.collect();
            let mut parcels = self.parcels();
            for joined in records.iter().filter_map(|record| joined_of_stored(&plan, record)) {
                parcels.add(&Event::Joined(Box::new(joined)));
            }
            for joined in &unmarked {
                parcels.add(joined);
            }
            if !unmarked.is_empty() {
                commit(&self.service, Consumed { events: unmarked, ..Consumed::default() })?;
            }
            if !self.publish_again(parcels)? {
                return Ok(false);
            }
        }
    }

    /// Publishes the erasures again under their pseudonyms, because their numbers are no longer stored.
    fn republish_erasures(&self) -> Result<(), StepError> {
        let plan = self.service.plan();
        let kept = self.fleet_state.erasures()?;
        let named: Vec<_> = kept
            .erasures
            .iter()
            .filter_map(|(scope, name, erasure)| Some((plan.environment_of_scope(*scope)?, *name, *erasure)))
            .collect();
        // Half of a message is for keys. Each erasure goes with each key, because any of them may have made it.
        let body = self.body().min(AT_ONCE).saturating_sub(PSEUDONYM_COUNT);
        let keys = kept.keys.chunks((body / 2 / PSEUDONYM_KEY).max(1));
        for keys in keys {
            let room = body.saturating_sub(keys.len() * PSEUDONYM_KEY) / PSEUDONYM;
            for some in named.chunks(room.max(1)) {
                let subject = Subject::Calls(0);
                let payload = self.link.writer().pseudonyms(subject, self.link.now(), keys, some);
                let fingerprint = message::fingerprint(&payload);
                self.note(self.link.stream.publish(&[(subject, payload)]), fingerprint, 0)?;
                self.link.metrics.count_republished(some.len() as u64);
            }
        }
        Ok(())
    }
}

/// Returns the number of bytes to publish together after a part of `bytes` bytes, for which the stream took `took`
/// milliseconds.
fn next_size(at_once: usize, bytes: usize, took: u64) -> usize {
    let usual = (at_once * 2).min(AT_ONCE);
    match took {
        _ if bytes < at_once => usual,
        took if took > PART => usual.max(at_once / usize::try_from(took / PART).unwrap_or(usize::MAX).max(2)),
        took if took > PART / 2 => usual.max(at_once),
        _ => (at_once * 2).min(MOST),
    }
}

fn partition_of_node(node: NodeId, partitions: u16) -> u16 {
    partition(xxh3_64(&node), partitions)
}

/// The body of a message, and its subject.
struct Parcel {
    /// Whether the events are reports with an id or a context, which have messages of their own.
    has_details: bool,
    subject: Subject,
    body: Vec<u8>,
}

/// Events that are grouped by subject into messages of at most `batch` events and `body` bytes.
struct Parcels {
    partitions: u16,
    batch: usize,
    body: usize,
    /// The unfinished messages of each partition: the number of their events, and the encoded events.
    open: BTreeMap<(bool, u16), (usize, Vec<u8>)>,
    full: Vec<Parcel>,
    bytes: usize,
    events: u64,
}

impl Parcels {
    fn new(partitions: u16, batch: usize, body: usize) -> Self {
        Self { partitions, batch, body, open: BTreeMap::new(), full: Vec::new(), bytes: 0, events: 0 }
    }

    fn len(&self) -> usize {
        self.bytes
    }

    fn add(&mut self, event: &Event) {
        self.events += 1;
        match event {
            Event::Call(call) => self.put(false, partition_of(call.from, self.partitions), event),
            Event::Joined(joined) => self.put(true, partition_of(joined.call.from, self.partitions), event),
            // Any number of the environment may have called the contact, so each partition gets the erasure.
            Event::Erasure(_) => (0..self.partitions.max(1)).for_each(|partition| self.put(false, partition, event)),
            // The outbox has none of these.
            Event::Report(_) | Event::Update(_) | Event::Configuration(_) => {}
        }
    }

    fn put(&mut self, has_details: bool, partition: u16, event: &Event) {
        let (len, batch) = (wire::len(event), self.batch.max(1));
        let (count, body) = self.open.entry((has_details, partition)).or_default();
        if *count >= batch || body.len() + len > self.body && *count > 0 {
            *count = 0;
            let body = std::mem::take(body);
            self.full.push(Parcel { has_details, subject: Subject::Calls(partition), body });
        }
        wire::write(event, body);
        *count += 1;
        self.bytes += len;
    }

    /// Returns all messages, those with details first: a node that has an id or a context with its call shows both in one
    /// event.
    fn finish(mut self) -> Vec<Parcel> {
        let rest = std::mem::take(&mut self.open).into_iter();
        let parcel =
            |((has_details, partition), (_, body))| Parcel { has_details, subject: Subject::Calls(partition), body };
        self.full.extend(rest.map(parcel));
        self.full.sort_by_key(|parcel| !parcel.has_details);
        self.full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_while_the_outbox_is_long_and_the_stream_is_fast() {
        let mut size = LEAST;
        for _ in 0..20 {
            let next = next_size(size, size, PART / 2);
            assert!(next == MOST || next == size * 2);
            size = next;
        }
        assert_eq!(size, MOST);
        assert_eq!(next_size(MOST, MOST, PART), MOST);
        assert_eq!(next_size(MOST, MOST, PART + 1), MOST / 2);
        assert_eq!(next_size(MOST, MOST, 8 * PART), MOST / 8, "what it took in that time");
        assert_eq!(next_size(MOST, MOST - 1, 0), AT_ONCE, "the outbox is short");
        for took in [0, PART, 10 * PART] {
            assert_eq!(next_size(LEAST, LEAST - 1, took), LEAST * 2, "back to the usual size");
            assert!(next_size(AT_ONCE, AT_ONCE, took) >= AT_ONCE, "a slow stream does not make it smaller");
        }
    }
}
