//! From the stream to the service.

use super::StepError;
use super::erasures::Sweep;
use super::link::{Link, Standing, digest};
use super::message::{self, Body, Message, NodeId, Unreadable};
use super::place::Place;
use super::publisher::Did;
use super::restore::Restored;
use super::settings::Planted;
use super::snapshot::Head;
use super::stream::{Bounds, Delivery, Position, StreamError};
use crate::engine::Applied;
use crate::event::{Configuration, Event};
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
        if let Err(StepError::Stream(error @ (StreamError::Away(_) | StreamError::Engine(_)))) = &did {
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

    /// Looks now and then whether the stream is still the one that the place is of.
    fn look(&mut self) -> Result<(), StepError> {
        let now = self.link.now();
        let is_due = self.asked_at.is_none_or(|asked_at| now.millis_since(asked_at) >= ASK_EVERY || asked_at > now);
        if self.is_checked && !is_due {
            return Ok(());
        }
        let bounds = self.link.stream.bounds()?;
        self.asked_at = Some(now);
        self.last = bounds.last;
        if !self.has_joined {
            self.join(&bounds)?;
        }
        let is_same = self.place.incarnation == bounds.incarnation && self.place.position <= bounds.last;
        if !is_same || (!self.is_checked && !self.has_witness(&bounds)?) || bounds.last_configuration < self.known() {
            self.roll_back(&bounds)?;
        } else if bounds.first.0 > self.place.position.0 + 1 {
            self.start_over(&bounds)?;
        }
        if !self.is_checked {
            (self.is_checked, self.target, self.back_at) = (true, bounds.last, now);
            self.link.stand(Standing::Unsettled);
        }
        self.show(now);
        Ok(())
    }

    /// The last configuration that is known to be in the stream.
    fn known(&self) -> Position {
        self.link.state().configuration
    }

    fn join(&mut self, bounds: &Bounds) -> Result<(), StepError> {
        match self.aside.place()? {
            Some(place) => {
                self.place = Place::from_bytes(&place).ok_or(StepError::Damaged("the node's place in its stream"))?;
            }
            None => {
                // What it had before it came to this fleet, the others do not have.
                let republish = self.has_something();
                self.begin_again(bounds, republish)?;
            }
        }
        self.has_joined = true;
        self.committed = self.place;
        self.tell_place()?;
        Ok(())
    }

    fn has_something(&self) -> bool {
        self.service.plan().generation() > 0 || !self.service.history().is_empty()
    }

    fn tell_place(&mut self) -> Result<(), StepError> {
        self.is_whole = self.place.position == Position::START || self.place.sequence > 0;
        let (digest, parent) = (self.digest(self.place.sequence)?, self.digest(self.place.sequence.saturating_sub(1))?);
        let mut state = self.link.state();
        (state.configuration, state.sequence) = (self.place.configuration, self.place.sequence);
        (state.digest, state.parent) = (digest, parent);
        state.republish = self.place.republish;
        Ok(())
    }

    /// Of one of the node's own configurations; 0 where there is none.
    fn digest(&self, sequence: u64) -> Result<u64, StepError> {
        Ok(self.aside.configuration(sequence)?.as_ref().map_or(0, digest))
    }

    /// Whether the message at the place is the one that was there.
    fn has_witness(&self, bounds: &Bounds) -> Result<bool, StepError> {
        let Place { position, witness, .. } = self.place;
        let is_blind = self.link.settings.is_planted(Planted::NoWitness);
        Ok(is_blind
            || position == Position::START
            || bounds.first > position
            || self.fingerprint_at(position)? == Some(witness))
    }

    fn fingerprint_at(&self, position: Position) -> Result<Option<u64>, StepError> {
        let before = Position(position.0 - 1);
        match self.link.stream.consume(before, 1, PATIENCE) {
            Ok(deliveries) => match deliveries.first() {
                None => Err(StreamError::Away("it does not show a message that it has".into()).into()),
                Some(there) if there.position == position => Ok(Some(message::fingerprint(&there.payload))),
                Some(_) => Ok(None),
            },
            Err(StreamError::Gone) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The stream has lost something, or is another one: all that it has is taken again, and it gets all that the node has.
    fn roll_back(&mut self, bounds: &Bounds) -> Result<(), StepError> {
        let has_something = self.has_something();
        self.begin_again(bounds, has_something)
    }

    /// The node was away for longer than the stream remembers. Whatever was lost in between, it cannot see any more, so it gets all as well.
    fn start_over(&mut self, bounds: &Bounds) -> Result<(), StepError> {
        let has_something = self.has_something();
        self.begin_again(bounds, has_something)
    }

    /// Nothing of the node's place is changed before there is a new one.
    fn begin_again(&mut self, bounds: &Bounds, republish: bool) -> Result<(), StepError> {
        let old = self.place;
        let position = Position(bounds.first.0.saturating_sub(1));
        let republish = (republish || old.republish) && !self.link.settings.is_planted(Planted::NoRepublish);
        let mut place = Place { incarnation: bounds.incarnation, position, republish, ..Place::default() };
        if position > Position::START {
            // A node that had taken what the stream has forgotten since can do without.
            let had_it = old.incarnation == bounds.incarnation && old.position >= position;
            match self.take_snapshot()? {
                Some(head) if head.at >= position => self.go_behind(&head, bounds, &mut place)?,
                Some(head) if !had_it => return Err(StepError::TooOld(head.at)),
                None if !had_it && !self.is_in_conflict() => return Err(StepError::TooOld(Position::START)),
                _ => {}
            }
        }
        self.place = place;
        self.committed = place;
        self.own.clear();
        {
            let mut state = self.link.state();
            state.acked.clear();
            state.epoch += 1;
            state.consumed = Position::START;
        }
        self.tell_place()?;
        self.link.stand(Standing::Unsettled);
        (self.target, self.back_at) = (bounds.last, self.link.now());
        Ok(())
    }

    /// Takes the newest snapshot in. `None` where there is none, or none that fits.
    fn take_snapshot(&mut self) -> Result<Option<Head>, StepError> {
        let Some(snapshot) = self.link.stream.read_snapshot()? else { return Ok(None) };
        let restored = match Restored::read(snapshot, &self.service, &self.aside)? {
            Ok(restored) => restored,
            Err(conflict) => return self.conflict(conflict).map(|()| None),
        };
        let (stored, storing) = mpsc::sync_channel(1);
        let head = restored.merge(&self.service, &self.aside, move |result| {
            // Nobody waits any more where the node has stopped.
            let _ = stored.send(result);
        })?;
        self.storing = Some(storing);
        self.link.state().snapshot_at = Some(head.taken_at);
        self.is_stored()?;
        Ok(Some(head))
    }

    /// Goes on behind the snapshot where it is of this stream as it is now.
    fn go_behind(&self, head: &Head, bounds: &Bounds, place: &mut Place) -> Result<(), StepError> {
        let is_there = bounds.first <= head.at && head.at <= bounds.last;
        if is_there && self.fingerprint_at(head.at)? == Some(head.witness) {
            (place.position, place.witness) = (head.at, head.witness);
            (place.configuration, place.sequence) = (head.at, head.sequence);
        }
        Ok(())
    }

    /// Whether a place can be stored.
    fn is_stored(&mut self) -> Result<bool, StepError> {
        let Some(storing) = &self.storing else { return Ok(true) };
        let stored = if self.waits { storing.recv().ok() } else { storing.try_recv().ok() };
        if let Some(stored) = stored {
            stored?;
            self.storing = None;
        }
        Ok(self.storing.is_none())
    }

    fn conflict(&mut self, what: String) -> Result<(), StepError> {
        self.link.stand(Standing::Conflict(what));
        Ok(())
    }

    fn is_in_conflict(&self) -> bool {
        matches!(self.link.state().standing, Standing::Conflict(_))
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
        for Delivery { position, payload, .. } in deliveries {
            // Delivered twice.
            if position <= self.place.position {
                continue;
            }
            let print = message::fingerprint(&payload);
            match message::read(&payload) {
                Ok(message) => {
                    if let Err(error) = self.take_message(message, position, print, now, &mut load) {
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
                if !is_own {
                    load.others += events.len() as u64;
                    load.events.extend(events);
                }
                Ok(())
            }
            Body::Configuration { parent, configuration } => {
                if !is_own && configuration.sequence == self.place.sequence {
                    self.link.state().snapshot_at = Some(message.sent_at);
                }
                self.take_configuration(configuration, parent, position, load)
            }
            Body::Pseudonyms { keys, erasures } if !is_own => {
                self.hand_in(std::mem::take(load))?;
                Sweep::of_message(&self.service.plan(), keys, &erasures).apply(&self.service, &self.aside)
            }
            Body::Pseudonyms { .. } => Ok(()),
        }
    }

    /// How many configurations there are with those that are on their way.
    fn generation(&self, load: &Load) -> u64 {
        self.service.plan().generation() + load.configurations
    }

    /// A configuration counts where it follows the last one that did: every node sees the same ones follow. What was ordered after
    /// something that the stream has lost since does not, and is passed over by all.
    fn take_configuration(
        &mut self,
        configuration: Configuration,
        parent: u64,
        position: Position,
        load: &mut Load,
    ) -> Result<(), StepError> {
        if self.is_in_conflict() {
            return Ok(());
        }
        let sequence = configuration.sequence;
        let known = self.generation(load);
        let of_stream = self.place.sequence..=self.place.sequence + 1;
        if self.is_whole && !of_stream.contains(&sequence) {
            self.pass_over(position);
            return Ok(());
        }
        if sequence > known + 1 {
            return Err(StepError::Missing { sequence: known + 1 });
        }
        // What it is to be compared with has to be in the store.
        if load.configurations > 0 {
            self.hand_in(std::mem::take(load))?;
        }
        let follows = parent == self.digest(sequence - 1)?;
        let held = if sequence > known { None } else { self.aside.configuration(sequence)? };
        match held {
            // One's own, on its way into the store, or whose outcome was not known.
            None if follows => {
                load.configurations += 1;
                load.others += 1;
                load.events.push(Event::Configuration(configuration.clone()));
            }
            Some(held) if digest(&held) == digest(&configuration) => {}
            held if self.is_whole && (held.is_none() || sequence == self.place.sequence || !follows) => {
                self.pass_over(position);
                return Ok(());
            }
            _ => return self.conflict(format!("the stream has another configuration {sequence} than this node")),
        }
        self.is_whole = true;
        (self.place.configuration, self.place.sequence) = (position, sequence);
        self.link.state().note(position, &configuration, parent);
        Ok(())
    }

    /// It is the last one of its subject all the same.
    fn pass_over(&mut self, position: Position) {
        self.link.metrics.count_refused(1);
        self.place.configuration = position;
        let mut state = self.link.state();
        state.configuration = state.configuration.max(position);
    }

    /// Commits what was taken, the place with it, and that the outbox is rid of what the stream has brought back.
    fn hand_in(&mut self, load: Load) -> Result<(), StepError> {
        let published = self.look_for_own()?;
        let republished = {
            let state = self.link.state();
            self.place.republish && state.republished == Some(state.epoch)
        };
        if republished {
            self.place.republish = false;
        }
        let is_stored = self.is_stored()?;
        let moved = self.link.state().consumed != self.place.position;
        if load.events.is_empty() && !moved && !republished {
            return Ok(());
        }
        let place = is_stored.then(|| self.place.to_bytes());
        let mut published = published.filter(|_| is_stored);
        if self.link.settings.is_planted(Planted::ForgetsEarly) {
            published = Some(self.link.acked_entry());
        }
        let consumed = Consumed { events: load.events.clone(), place, published, ..Consumed::default() };
        let did = commit(&self.service, consumed)?;
        self.link.metrics.count_consumed(load.others);
        self.count(&load.events, &did)?;
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

    fn count(&mut self, events: &[Event], did: &[Result<Applied, ServiceError>]) -> Result<(), StepError> {
        let plan = self.service.plan();
        for (event, did) in events.iter().zip(did) {
            match (event, did) {
                (Event::Call(call), Ok(Applied::Ignored)) if plan.call_slots(call).is_none() => {
                    self.link.metrics.count_unknown(1);
                }
                (Event::Configuration(configuration), Err(error)) => {
                    self.link.metrics.count_refused(1);
                    let sequence = configuration.sequence;
                    self.conflict(format!("configuration {sequence} does not follow this node's: {error}"))?;
                }
                (_, Err(_)) => self.link.metrics.count_refused(1),
                (_, Ok(_)) => {}
            }
        }
        Ok(())
    }

    /// Once the node has taken what was there when the stream came back: publishes configurations that the stream has lost or
    /// never had, then lets calls be published, then, after a while, changes of the configuration be made.
    fn settle(&mut self) -> Result<(), StepError> {
        if self.is_in_conflict() || self.place.position < self.target || !self.has_joined {
            return Ok(());
        }
        let standing = self.link.state().standing.clone();
        if standing == Standing::Unsettled {
            let generation = self.service.plan().generation();
            let sequence = self.link.state().sequence;
            for sequence in sequence + 1..=generation {
                let configuration = self.aside.configuration(sequence)?.ok_or(StepError::Missing { sequence })?;
                match self.link.publish_configuration(&configuration) {
                    Ok(_) => self.link.metrics.count_republished(1),
                    // Another node is at it: its are taken first.
                    Err(StreamError::Superseded) => {
                        self.target = self.link.stream.bounds()?.last;
                        return Ok(());
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            self.link.stand(Standing::Settling);
        }
        let settle = u64::try_from(self.link.settings.settle.as_millis()).unwrap_or(u64::MAX);
        if standing == Standing::Settling && self.link.now().millis_since(self.back_at) >= settle {
            self.link.stand(Standing::Settled);
        }
        Ok(())
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
