//! Consumes the stream: passes its messages to the service.

mod configurations;
mod place;

use super::StepError;
use super::commit::commit;
use super::elapsed::{elapsed, millis};
use super::erasures::Sweep;
use super::link::{Link, Witness};
use super::message::{self, Body, Message, NodeId, Unreadable};
use super::place::Place;
use super::publisher::Did;
use super::settings::{Log, Planted};
use super::stream::{Delivery, Position, StreamError, Subject};
use crate::engine::Applied;
use crate::event::Event;
use crate::metrics::Skipped;
use crate::service::{Consumed, Service, ServiceError};
use crate::store::StoredFleetState;
use crate::time::Timestamp;
use place::Why;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// The approximate number of payload bytes that are consumed together.
const AT_ONCE: usize = 1 << 20;
/// The time between two requests for the stream's bounds, in milliseconds.
const ASK_EVERY: u64 = 1_000;
/// The number of heartbeat intervals without a message after which a node is no longer counted as a peer.
const MISSED_BEATS: u64 = 6;

/// Consumes the messages after the node's place, passes them to the service, and stores the place in the same commit.
#[allow(clippy::struct_excessive_bools, reason = "the flags are independent")]
pub(super) struct Consumer {
    link: Arc<Link>,
    service: Arc<Service>,
    fleet_state: Arc<dyn StoredFleetState>,
    /// The place after the last message read, and the place that was last committed.
    place: Place,
    committed: Place,
    has_joined: bool,
    /// Whether the stream was checked, since it was last unreachable, to be the one that `place` refers to.
    is_checked: bool,
    /// How often it had been unreachable when the last look at it began.
    losses: u64,
    /// Where the stream began when the node last began again.
    began_at: Position,
    /// The stream's end when it was last reachable again, and the time of that.
    target: Position,
    back_at: Timestamp,
    asked_at: Option<Timestamp>,
    last: Position,
    /// Whether the node has seen every configuration that the stream held up to the place.
    is_whole: bool,
    /// Own messages that were delivered and not yet matched with their acknowledgements.
    own: VecDeque<(Position, u64)>,
    /// The last own message that was delivered and acknowledged, and its outbox entry. The next commit that reaches this
    /// position removes the entry.
    delivered_back: Option<(Position, u64)>,
    peers: HashMap<NodeId, Timestamp>,
    /// The result of writing a snapshot to the store. No place is stored while it is pending.
    storing: Option<mpsc::Receiver<Result<(), ServiceError>>>,
    /// Whether the place was left out of a commit because of that, and must be stored afterwards.
    is_place_due: bool,
    /// Whether to block until the snapshot is stored, so that a simulation is deterministic.
    waits: bool,
    /// Since when the node has not known which configuration is the last one in the stream.
    blind_since: Option<Timestamp>,
    /// The newest snapshot, and how often this node has tried to read it for what it may lack.
    tried: (Position, u32),
    /// Since when the node has waited for a snapshot.
    waits_since: Option<Timestamp>,
    progress: Progress,
    log: Log,
}

/// Counts of what was read, to estimate how far the node is behind.
#[derive(Default)]
struct Progress {
    messages: u64,
    events: u64,
    sent_at: Option<Timestamp>,
}

/// Events that are committed together.
#[derive(Default)]
struct Load {
    events: Vec<Event>,
    /// The number of configurations among the events.
    configurations: u64,
    /// The number of events that count as consumed from other nodes.
    others: u64,
}

/// Dates contexts by this node's clock: a planted bug.
fn date_anew(events: &mut [Event], now: Timestamp) {
    for event in events {
        if let Event::Joined(joined) = event
            && let Some((at, _)) = &mut joined.context
        {
            *at = now;
        }
    }
}

impl Consumer {
    pub(super) fn new(
        link: Arc<Link>,
        service: Arc<Service>,
        fleet_state: Arc<dyn StoredFleetState>,
        waits: bool,
        log: Log,
    ) -> Self {
        let back_at = link.now();
        Self {
            link,
            service,
            fleet_state,
            place: Place::default(),
            committed: Place::default(),
            has_joined: false,
            is_checked: false,
            losses: 0,
            began_at: Position::START,
            target: Position::START,
            back_at,
            asked_at: None,
            last: Position::START,
            is_whole: false,
            own: VecDeque::new(),
            delivered_back: None,
            peers: HashMap::new(),
            storing: None,
            is_place_due: false,
            waits,
            blind_since: None,
            tried: (Position::START, 0),
            waits_since: None,
            progress: Progress::default(),
            log,
        }
    }

    /// Consumes the next messages. If there are none, waits up to `wait` for the first.
    pub(super) fn step(&mut self, wait: Duration) -> Result<Did, StepError> {
        // The publisher can be busy with one part for longer than requests wait.
        self.link.expire();
        let did = self.try_step(wait);
        if let Some(error) = did.as_ref().err().and_then(StepError::away) {
            self.link.away(error);
        }
        match &did {
            Ok(_) => self.link.halt(None),
            Err(error) if error.halts() => self.link.halt(Some(error.to_string())),
            Err(_) => {}
        }
        self.link.fail(did.as_ref().err().map(StepError::reason));
        did
    }

    fn try_step(&mut self, wait: Duration) -> Result<Did, StepError> {
        if let Err(error) = self.look() {
            // Look again in the next step: the place may belong to another stream.
            self.asked_at = None;
            return Err(error);
        }
        let deliveries = match self.link.stream.consume(self.place.position, AT_ONCE, wait) {
            Ok(deliveries) => deliveries,
            Err(StreamError::Gone) => {
                // The next step compares the place with the stream's beginning.
                self.asked_at = None;
                return Ok(Did::Some);
            }
            Err(error) => return Err(error.into()),
        };
        let did = if deliveries.is_empty() { Did::Nothing } else { Did::Some };
        match self.take(deliveries) {
            // A snapshot may hold the configuration that the stream no longer has.
            Err(StepError::Missing { sequence }) if self.place.position.0 > 0 => {
                let bounds = self.link.stream.bounds()?;
                self.begin_again(&bounds, Why::Behind)?;
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
            // The stream delivers the uncommitted messages again.
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
            // The message was delivered twice.
            if position <= self.place.position {
                continue;
            }
            let print = message::fingerprint(&payload);
            let halting = match self.read(&payload, subject) {
                Ok(message) => {
                    if let Err(error) = self.take_message(message, subject, position, print, now, &mut load) {
                        // Commit the messages before this one, so that they are not consumed again.
                        self.hand_in(load)?;
                        return Err(error);
                    }
                    (self.place.witness_at, self.place.witness) = (position, print);
                    None
                }
                Err(Unreadable::Skip(why)) => {
                    self.skip(why, subject, position);
                    None
                }
                Err(Unreadable::Newer { version, kind }) => Some(StepError::Newer { at: position, version, kind }),
                Err(Unreadable::Locked) => Some(StepError::Locked(position)),
            };
            self.place.is_halted = halting.is_some();
            if let Some(halting) = halting {
                self.hand_in(load)?;
                return Err(halting);
            }
            self.place.position = position;
            self.progress.messages += 1;
        }
        self.hand_in(load)
    }

    pub(super) fn read(&self, payload: &[u8], subject: Subject) -> Result<Message, Unreadable> {
        let settings = &self.link.settings;
        let trusting = settings.is_planted(Planted::TrustsAll).then(|| settings.keys.clone().accepting_unsigned(true));
        match message::read(payload, subject, trusting.as_ref().unwrap_or(&settings.keys)) {
            Err(Unreadable::Newer { .. }) if settings.is_planted(Planted::SkipsNewer) => {
                Err(Unreadable::Skip(Skipped::Newer))
            }
            read => read,
        }
    }

    /// Skips a message that is not an event for this node. It is the last message of its subject all the same.
    fn skip(&mut self, why: Skipped, subject: Subject, position: Position) {
        if subject == Subject::Configuration && !self.link.settings.is_planted(Planted::StrayBlocks) {
            self.take_place(position);
        }
        let count = self.link.metrics.count_skipped(why);
        // A flood of strays must not fill the log.
        if count.is_power_of_two() {
            (self.log)(&format!(
                "skipped the message at position {position} of the fleet's stream ({}): {count} of this kind so far",
                why.name()
            ));
        }
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
        self.progress.sent_at = Some(message.sent_at);
        match message.body {
            Body::Events(mut events) => {
                if self.link.settings.is_planted(Planted::DatesAnew) {
                    date_anew(&mut events, now);
                }
                self.progress.events += events.len() as u64;
                // The node committed its own events before it published them.
                if !is_own && self.keeps(subject) {
                    load.others += events.len() as u64;
                    load.events.extend(events);
                }
                Ok(())
            }
            Body::Configuration { parent, configuration } => {
                if !is_own && configuration.sequence == self.place.sequence {
                    self.link.state().other_began_at = Some(now);
                }
                self.take_configuration(&configuration, parent, position, load)
            }
            Body::Fence => {
                self.take_place(position);
                Ok(())
            }
            Body::Pseudonyms { keys, erasures } if !is_own => {
                self.hand_in(std::mem::take(load))?;
                Sweep::of_message(&self.service.plan(), keys, &erasures).apply(&self.service, &self.fleet_state)
            }
            Body::Pseudonyms { .. } => Ok(()),
        }
    }

    /// Returns whether this node keeps the calls of this subject. Each erasure is published in every partition, so a
    /// node with a share receives it as well.
    fn keeps(&self, subject: Subject) -> bool {
        match subject {
            Subject::Calls(partition) => self.link.settings.share.takes(partition),
            Subject::Configuration | Subject::Other => true,
        }
    }

    /// Commits the events and the place, and removes the outbox entries whose messages the stream has delivered back.
    fn hand_in(&mut self, Load { events, others, .. }: Load) -> Result<(), StepError> {
        self.look_for_own()?;
        let republished = {
            let state = self.link.state();
            // An acknowledgement is not enough: a message that was not delivered back may be lost, and a restarted node
            // would not know.
            let is_back = |(epoch, last)| epoch == state.epoch && last <= self.place.position;
            self.place.republish && state.republished.is_some_and(is_back)
        };
        if republished {
            self.place.republish = false;
        }
        let is_stored = self.is_stored()?;
        let moved = self.link.state().consumed != self.place.position;
        let is_place_due = is_stored && self.is_place_due || self.place.is_halted != self.committed.is_halted;
        let is_reached = |(position, _): &(Position, u64)| is_stored && *position <= self.place.position;
        let mut published = self.delivered_back.filter(is_reached).map(|(_, entry)| entry);
        if events.is_empty() && !moved && !republished && !is_place_due && published.is_none() {
            return Ok(());
        }
        let snapshot = self.link.state().snapshot;
        (self.place.snapshot, self.place.snapshot_seen_at) = (snapshot.at, snapshot.seen_at);
        let place = is_stored.then(|| self.place.to_bytes());
        if self.link.settings.is_planted(Planted::ForgetsEarly) {
            published = Some(self.link.acked_entry());
        }
        let consumed = Consumed { events: events.clone(), place, published, ..Consumed::default() };
        let did = commit(&self.service, consumed)?;
        self.link.metrics.leave(published.unwrap_or_default());
        if published.is_some() {
            self.delivered_back = None;
        }
        self.link.metrics.count_consumed(others);
        self.count(&events, &did);
        self.is_place_due = !is_stored;
        self.committed = self.place;
        self.link.metrics.stand(self.place.position.0, self.last.max(self.place.position).0);
        let mut state = self.link.state();
        state.consumed = self.place.position;
        let Place { witness_at, witness, sequence, .. } = self.place;
        state.witness = Witness { at: witness_at, fingerprint: witness, sequence };
        (state.gap, state.republish) = (self.place.gap, self.place.republish);
        Ok(())
    }

    /// Matches acknowledgements with the own messages that were delivered. An acknowledgement can come after its message.
    ///
    /// # Errors
    /// Begins again and returns [`StepError::Lost`] if a message is not at the position that the stream acknowledged.
    fn look_for_own(&mut self) -> Result<(), StepError> {
        if let Some(lost) = self.lost_configuration() {
            let bounds = self.link.stream.bounds()?;
            self.begin_again(&bounds, Why::Lost)?;
            return Err(StepError::Lost(lost));
        }
        loop {
            let acked = match self.link.state().acked.front() {
                Some(acked) if acked.position <= self.place.position => *acked,
                _ => return Ok(()),
            };
            if !self.own.contains(&(acked.position, acked.fingerprint)) {
                let bounds = self.link.stream.bounds()?;
                self.begin_again(&bounds, Why::Lost)?;
                return Err(StepError::Lost(acked.position));
            }
            self.own.retain(|(position, _)| *position > acked.position);
            if acked.entry > 0 {
                self.delivered_back = Some((acked.position, acked.entry));
            }
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
                    // Everyone may read the reason of a conflict, and the error can name agents.
                    let text = format!(
                        "configuration {} of the stream does not fit this node's configuration",
                        configuration.sequence
                    );
                    (self.log)(&format!("{text}: {error}"));
                    self.conflict(text);
                }
                (_, Err(_)) => self.link.metrics.count_refused(1),
                (_, Ok(_)) => {}
            }
        }
    }

    fn show(&mut self, now: Timestamp) {
        let heard = millis(self.link.settings.beat_every).saturating_mul(MISSED_BEATS);
        self.peers.retain(|_, at| elapsed(now, at) < heard);
        let metrics = &self.link.metrics;
        metrics.set_peers(self.peers.len());
        metrics.stand(self.place.position.0, self.last.0);
        let behind = self.last.0.saturating_sub(self.place.position.0);
        let events = (behind * self.progress.events).checked_div(self.progress.messages).unwrap_or(behind);
        let late = self.progress.sent_at.filter(|_| behind > 0).map_or(0, |sent_at| now.millis_since(sent_at));
        metrics.set_lag(events, late);
    }
}
