//! Publishes the outbox to the stream.

use super::StepError;
use super::link::{Acked, Link};
use super::message::{self, NodeId};
use super::share::{partition, partition_of};
use super::stream::Subject;
use crate::event::{Call, Event, wire};
use crate::history::LastCall;
use crate::service::Service;
use crate::store::StoredFleetState;
use crate::time::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// The approximate number of event bytes that are published together.
const AT_ONCE: usize = 1 << 20;

/// Reads entries of the outbox in order, and publishes them. An entry stays in the outbox until the stream has
/// delivered its messages back.
pub(super) struct Publisher {
    link: Arc<Link>,
    service: Arc<Service>,
    fleet_state: Arc<dyn StoredFleetState>,
    /// The last entry that the stream has acknowledged in this epoch.
    cursor: u64,
    epoch: u64,
    /// The time at which the node last published a message.
    published_at: Option<Timestamp>,
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
        Self { link, service, fleet_state, cursor: 0, epoch: 0, published_at: None }
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
        let (epoch, republish) = {
            let state = self.link.state();
            (state.epoch, state.republish && state.republished.is_none_or(|(epoch, _)| epoch != state.epoch))
        };
        if self.epoch != epoch {
            (self.epoch, self.cursor) = (epoch, 0);
        }
        if republish {
            self.republish(epoch)?;
            return Ok(Did::Some);
        }
        let entries = self.fleet_state.outbox(self.cursor, AT_ONCE)?;
        let Some(last) = entries.last().map(|entry| entry.number) else { return self.beat() };
        let mut events = Vec::new();
        for entry in &entries {
            events.extend(message::read_events(&entry.events).ok_or(StepError::Damaged("an entry of the outbox"))?);
        }
        let count = events.len() as u64;
        let mut parcels = Parcels::new(self.link.settings.partitions, self.link.settings.batch);
        for event in &events {
            parcels.add(event);
        }
        self.publish(parcels.finish(), last)?;
        self.cursor = last;
        self.link.metrics.count_published(count);
        Ok(Did::Some)
    }

    fn publish(&mut self, parcels: Vec<(Subject, Vec<u8>)>, entry: u64) -> Result<(), StepError> {
        let now = self.link.now();
        let messages: Vec<_> = {
            let mut writer = self.link.writer();
            parcels.into_iter().map(|(subject, events)| (subject, writer.events(now, &events))).collect()
        };
        self.published_at = Some(now);
        self.publish_messages(&messages, entry)
    }

    fn publish_messages(&self, messages: &[(Subject, Vec<u8>)], entry: u64) -> Result<(), StepError> {
        let Some((_, last)) = messages.last() else { return Ok(()) };
        match self.link.stream.publish(messages) {
            Ok(position) => {
                self.link.acknowledged(Acked { position, fingerprint: message::fingerprint(last), entry });
                Ok(())
            }
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
        let every = u64::try_from(self.link.settings.beat_every.as_millis()).unwrap_or(u64::MAX);
        if self.published_at.is_some_and(|published_at| now.millis_since(published_at) < every) {
            return Ok(Did::Nothing);
        }
        let settings = &self.link.settings;
        let subject = Subject::Calls(partition_of_node(settings.node, settings.partitions));
        self.publish(vec![(subject, Vec::new())], self.cursor)?;
        Ok(Did::Nothing)
    }

    /// Publishes all data of the node again, with UUIDs and numbers in place of slots. Calls converge, so data that the
    /// other nodes have already is harmless.
    fn republish(&mut self, epoch: u64) -> Result<(), StepError> {
        let plan = self.service.plan();
        let settings = &self.link.settings;
        let mut parcels = Parcels::new(settings.partitions, settings.batch);
        let mut failed = None;
        let mut ready = Vec::new();
        // Publish in parts, so that only one part at a time is in memory.
        self.service.history().for_each(|scope, contact, register| {
            let LastCall::Placed { at, outcome, source } = register.read() else { return };
            let Some((environment, from)) = plan.number_of_scope(scope) else { return };
            let Some(agent) = plan.agent_id(source) else { return };
            parcels.add(&Event::Call(Call { environment, agent, from, to: contact, at, outcome }));
            if parcels.len() >= AT_ONCE {
                let full = std::mem::replace(&mut parcels, Parcels::new(settings.partitions, settings.batch));
                ready.push(full);
            }
            if let Some(full) = ready.pop()
                && failed.is_none()
            {
                failed = self.publish_again(full).err();
            }
        });
        if let Some(error) = failed {
            return Err(error);
        }
        self.publish_again(parcels)?;
        self.republish_erasures()?;
        self.link.republished(epoch);
        Ok(())
    }

    fn publish_again(&self, parcels: Parcels) -> Result<(), StepError> {
        let now = self.link.now();
        let count = parcels.events;
        let messages: Vec<_> = {
            let mut writer = self.link.writer();
            parcels.finish().into_iter().map(|(subject, events)| (subject, writer.events(now, &events))).collect()
        };
        self.publish_messages(&messages, 0)?;
        self.link.metrics.count_republished(count);
        Ok(())
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
        for some in named.chunks(AT_ONCE / 40) {
            let payload = self.link.writer().pseudonyms(self.link.now(), &kept.keys, some);
            self.publish_messages(&[(Subject::Calls(0), payload)], 0)?;
            self.link.metrics.count_republished(some.len() as u64);
        }
        Ok(())
    }
}

fn partition_of_node(node: NodeId, partitions: u16) -> u16 {
    partition(xxh3_64(&node), partitions)
}

/// Events that are grouped by subject into messages of at most `batch` events.
struct Parcels {
    partitions: u16,
    batch: usize,
    /// The unfinished message of each partition: the number of its events, and the encoded events.
    open: BTreeMap<u16, (usize, Vec<u8>)>,
    full: Vec<(Subject, Vec<u8>)>,
    bytes: usize,
    events: u64,
}

impl Parcels {
    fn new(partitions: u16, batch: usize) -> Self {
        Self { partitions, batch, open: BTreeMap::new(), full: Vec::new(), bytes: 0, events: 0 }
    }

    fn len(&self) -> usize {
        self.bytes
    }

    fn add(&mut self, event: &Event) {
        self.events += 1;
        match event {
            Event::Call(call) => self.put(partition_of(call.from, self.partitions), event),
            // Any number of the environment may have called the contact, so each partition gets the erasure.
            Event::Erasure(_) => (0..self.partitions.max(1)).for_each(|partition| self.put(partition, event)),
            Event::Configuration(_) => {}
        }
    }

    fn put(&mut self, partition: u16, event: &Event) {
        let (count, bytes) = self.open.entry(partition).or_default();
        let before = bytes.len();
        wire::write(event, bytes);
        *count += 1;
        self.bytes += bytes.len() - before;
        if *count >= self.batch.max(1) {
            let bytes = std::mem::take(bytes);
            self.open.remove(&partition);
            self.full.push((Subject::Calls(partition), bytes));
        }
    }

    fn finish(mut self) -> Vec<(Subject, Vec<u8>)> {
        let rest = std::mem::take(&mut self.open).into_iter();
        self.full.extend(rest.map(|(partition, (_, bytes))| (Subject::Calls(partition), bytes)));
        self.full
    }
}
