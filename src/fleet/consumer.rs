//! From the stream to the service.

mod configurations;
mod place;

use super::StepError;
use super::erasures::Sweep;
use super::link::Link;
use super::message::{self, Body, Message, NodeId, Unreadable};
use super::place::Place;
use super::publisher::Did;
use super::settings::Planted;
use super::stream::{Delivery, Position, StreamError, Subject};
use crate::engine::Applied;
use crate::event::Event;
use crate::service::{Consumed, Recording, Service, ServiceError};
use crate::store::Aside;
use crate::time::Timestamp;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// Bytes of payload that are committed together.
const AT_ONCE: usize = 1 << 20;
/// How often the stream is asked where it ends.
const ASK_EVERY: u64 = 1_000;
/// For how long a message that is known to be there is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// Beats of other nodes after which they are no peers any more.
const MISSED_BEATS: u32 = 6;

/// Takes what the stream has behind the node's place, hands it to the service, and stores the place with it.
#[allow(clippy::struct_excessive_bools, reason = "each is of something else")]
pub(super) struct Consumer {
    link: Arc<Link>,
    service: Arc<Service>,
    aside: Arc<dyn Aside>,
    /// As far as it was taken, and as far as it was committed.
    place: Place,
    committed: Place,
    has_joined: bool,
    /// Whether the stream is known to be the one that the place is of, since it was last away.
    is_checked: bool,
    /// Where the stream ended when it was there again, and when that was.
    target: Position,
    back_at: Timestamp,
    asked_at: Option<Timestamp>,
    last: Position,
    /// Whether it has seen every configuration that the stream had up to its place.
    is_whole: bool,
    /// Own messages that came by and whose acknowledgement has not been looked for.
    own: VecDeque<(Position, u64)>,
    peers: HashMap<NodeId, Timestamp>,
    /// A snapshot that is on its way into the store: until then no place is stored.
    storing: Option<mpsc::Receiver<Result<(), ServiceError>>>,
    /// Whether to wait for it, so that one step after another is the same every time.
    waits: bool,
    pace: Pace,
}

/// What is read of the messages, for how far behind the node is.
#[derive(Default)]
struct Pace {
    messages: u64,
    events: u64,
    sent_at: Option<Timestamp>,
}

/// What is handed in together.
#[derive(Default)]
struct Load {
    events: Vec<Event>,
    /// Configurations among them.
    configurations: u64,
    others: u64,
}

impl Consumer {
    pub(super) fn new(link: Arc<Link>, service: Arc<Service>, aside: Arc<dyn Aside>, waits: bool) -> Self {
        let back_at = link.now();
        Self {
            link,
            service,
            aside,
            place: Place::default(),
            committed: Place::default(),
            has_joined: false,
            is_checked: false,
            target: Position::START,
            back_at,
            asked_at: None,
            last: Position::START,
            is_whole: false,
            own: VecDeque::new(),
            peers: HashMap::new(),
            storing: None,
            waits,
            pace: Pace::default(),
        }
    }

    /// Takes what comes next; waits that long for it where there is nothing.
    pub(super) fn step(&mut self, wait: Duration) -> Result<Did, StepError> {
        if self.link.state().away.is_some() {
            self.is_checked = false;
        }
        let did = self.try_step(wait);
        if let Some(error) = did.as_ref().err().and_then(StepError::away) {
            self.is_checked = false;
            self.link.away(error);
        }
        did
    }

    fn try_step(&mut self, wait: Duration) -> Result<Did, StepError> {
        self.look()?;
        let deliveries = match self.link.stream.consume(self.place.position, AT_ONCE, wait) {
            Ok(deliveries) => deliveries,
            Err(StreamError::Gone) => {
                let bounds = self.link.stream.bounds()?;
                self.start_over(&bounds)?;
                return Ok(Did::Some);
            }
            Err(error) => return Err(error.into()),
        };
        let did = if deliveries.is_empty() { Did::Nothing } else { Did::Some };
        match self.take(deliveries) {
            // What the stream has forgotten may be in a snapshot.
            Err(StepError::Missing { sequence }) if self.place.position.0 > 0 => {
                let bounds = self.link.stream.bounds()?;
                self.start_over(&bounds)?;
                return Err(StepError::Missing { sequence });
            }
            taken => taken?,
        }
        self.settle()?;
        Ok(did)
    }

    fn take(&mut self, deliveries: Vec<Delivery>) -> Result<(), StepError> {
        let taken = self.try_take(deliveries);
        if taken.is_err() {
            // What was taken and not committed comes again.
            self.place = self.committed;
            let committed = self.committed.position;
            self.own.retain(|(position, _)| *position <= committed);
        }
        taken
    }

    fn try_take(&mut self, deliveries: Vec<Delivery>) -> Result<(), StepError> {
        let mut load = Load::default();
        let now = self.link.now();
        for Delivery { position, subject, payload } in deliveries {
            // Delivered twice.
            if position <= self.place.position {
                continue;
            }
            let print = message::fingerprint(&payload);
            match message::read(&payload) {
                Ok(message) => {
                    if let Err(error) = self.take_message(message, subject, position, print, now, &mut load) {
                        // Those before it need not come again.
                        self.hand_in(load)?;
                        return Err(error);
                    }
                }
                Err(Unreadable::Newer) => {
                    self.hand_in(load)?;
                    return Err(StepError::Newer(position));
                }
                Err(Unreadable::Damaged) => self.link.metrics.count_refused(1),
            }
            (self.place.position, self.place.witness) = (position, print);
            self.pace.messages += 1;
        }
        self.hand_in(load)
    }

    fn take_message(
        &mut self,
        message: Message,
        subject: Subject,
        position: Position,
        print: u64,
        now: Timestamp,
        load: &mut Load,
    ) -> Result<(), StepError> {
        let is_own = message.node == self.link.settings.node;
        if is_own {
            self.own.push_back((position, print));
        } else {
            self.peers.insert(message.node, now);
        }
        self.pace.sent_at = Some(message.sent_at);
        match message.body {
            Body::Events(events) => {
                self.pace.events += events.len() as u64;
                // It has been committed here before it was published.
                if !is_own && self.keeps(subject) {
                    load.others += events.len() as u64;
                    load.events.extend(events);
                }
                Ok(())
            }
            Body::Configuration { parent, configuration } => {
                if !is_own && configuration.sequence == self.place.sequence {
                    self.link.state().snapshot_at = Some(message.sent_at);
                }
                self.take_configuration(&configuration, parent, position, load)
            }
            Body::Pseudonyms { keys, erasures } if !is_own => {
                self.hand_in(std::mem::take(load))?;
                Sweep::of_message(&self.service.plan(), keys, &erasures).apply(&self.service, &self.aside)
            }
            Body::Pseudonyms { .. } => Ok(()),
        }
    }

    /// Whether calls of this subject are this node's to keep. An erasure is in each, and so among those.
    fn keeps(&self, subject: Subject) -> bool {
        match subject {
            Subject::Calls(partition) => self.link.settings.share.takes(partition),
            Subject::Configuration => true,
        }
    }

    /// Commits what was taken, the place with it, and that the outbox is rid of what the stream has brought back.
    fn hand_in(&mut self, Load { events, others, .. }: Load) -> Result<(), StepError> {
        let published = self.look_for_own()?;
        let republished = {
            let state = self.link.state();
            // Acknowledged is not enough: what has not come by may be lost, and after a restart nobody would know.
            let is_back = |(epoch, last)| epoch == state.epoch && last <= self.place.position;
            self.place.republish && state.republished.is_some_and(is_back)
        };
        if republished {
            self.place.republish = false;
        }
        let is_stored = self.is_stored()?;
        let moved = self.link.state().consumed != self.place.position;
        if events.is_empty() && !moved && !republished {
            return Ok(());
        }
        let place = is_stored.then(|| self.place.to_bytes());
        let mut published = published.filter(|_| is_stored);
        if self.link.settings.is_planted(Planted::ForgetsEarly) {
            published = Some(self.link.acked_entry());
        }
        let consumed = Consumed { events: events.clone(), place, published, ..Consumed::default() };
        let did = commit(&self.service, consumed)?;
        self.link.metrics.count_consumed(others);
        self.count(&events, &did);
        self.committed = self.place;
        self.link.metrics.stand(self.place.position.0, self.last.max(self.place.position).0);
        let mut state = self.link.state();
        state.consumed = self.place.position;
        state.republish = self.place.republish;
        Ok(())
    }

    /// Own messages that the stream has acknowledged must come by where it said. The last entry of the outbox among them.
    fn look_for_own(&mut self) -> Result<Option<u64>, StepError> {
        let mut published = None;
        if let Some(lost) = self.lost_configuration() {
            let bounds = self.link.stream.bounds()?;
            self.roll_back(&bounds)?;
            return Err(StepError::Lost(lost));
        }
        loop {
            let acked = match self.link.state().acked.front() {
                Some(acked) if acked.position <= self.place.position => *acked,
                _ => return Ok(published),
            };
            if !self.own.contains(&(acked.position, acked.fingerprint)) {
                let bounds = self.link.stream.bounds()?;
                self.roll_back(&bounds)?;
                return Err(StepError::Lost(acked.position));
            }
            self.own.retain(|(position, _)| *position > acked.position);
            published = published.max(Some(acked.entry).filter(|entry| *entry > 0));
            self.link.state().acked.pop_front();
        }
    }

    fn count(&mut self, events: &[Event], did: &[Result<Applied, ServiceError>]) {
        let plan = self.service.plan();
        for (event, did) in events.iter().zip(did) {
            match (event, did) {
                (Event::Call(call), Ok(Applied::Ignored)) if plan.call_slots(call).is_none() => {
                    self.link.metrics.count_unknown(1);
                }
                (Event::Configuration(configuration), Err(error)) => {
                    self.link.metrics.count_refused(1);
                    let sequence = configuration.sequence;
                    self.conflict(format!("configuration {sequence} does not follow this node's: {error}"));
                }
                (_, Err(_)) => self.link.metrics.count_refused(1),
                (_, Ok(_)) => {}
            }
        }
    }

    fn show(&mut self, now: Timestamp) {
        let heard = u64::try_from(self.link.settings.beat_every.as_millis()).unwrap_or(u64::MAX);
        self.peers.retain(|_, at| now.millis_since(*at) < heard.saturating_mul(u64::from(MISSED_BEATS)));
        let metrics = &self.link.metrics;
        metrics.set_peers(self.peers.len());
        metrics.stand(self.place.position.0, self.last.0);
        let behind = self.last.0.saturating_sub(self.place.position.0);
        let events = (behind * self.pace.events).checked_div(self.pace.messages).unwrap_or(behind);
        let late = self.pace.sent_at.filter(|_| behind > 0).map_or(0, |sent_at| now.millis_since(sent_at));
        metrics.set_lag(events, late);
    }
}

/// Hands in, and waits.
pub(super) fn commit(service: &Service, consumed: Consumed) -> Result<Vec<Result<Applied, ServiceError>>, StepError> {
    let (done, answer) = mpsc::sync_channel::<Recording>(1);
    service.submit_consumed(consumed, move |recording| {
        // Whoever waits is there until it is told.
        let _ = done.send(recording);
    });
    let recording = answer.recv().map_err(|_| StepError::Damaged("the committer has ended"))?;
    Ok(recording?)
}
