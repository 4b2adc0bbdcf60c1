//! Checks whether the stream is still the one that the node's place refers to, and begins again if it is not.

use super::super::StepError;
use super::super::elapsed::{elapsed, millis};
use super::super::keeper::ATTEMPTS;
use super::super::link::{Sighting, Standing, digest};
use super::super::message::{self, Body, Message};
use super::super::place::Place;
use super::super::restore::Restored;
use super::super::settings::Planted;
use super::super::snapshot::{Head, Reader};
use super::super::stream::{Bounds, Position};
use super::{ASK_EVERY, Consumer};
use std::sync::{Arc, mpsc};

/// The reason why a node begins again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Why {
    /// The stream lost messages, or is another one.
    Lost,
    /// The node has no place, or its place is valid and does not suffice: the stream no longer holds the messages after it, or
    /// other nodes wait for all that this node has.
    Behind,
    /// A snapshot may have what this node lacks.
    Gap,
}

impl Consumer {
    /// Checks from time to time that the stream is still the one that the place refers to.
    pub(super) fn look(&mut self) -> Result<(), StepError> {
        let now = self.link.now();
        // Read before the bounds: a request may publish a configuration, and another thread may lose the connection, while
        // the stream answers.
        let (acknowledged, losses) = {
            let state = self.link.state();
            (state.configuration, state.losses)
        };
        if self.losses != losses {
            (self.losses, self.is_checked) = (losses, false);
        }
        let is_due = self.asked_at.is_none_or(|asked_at| now.millis_since(asked_at) >= ASK_EVERY || asked_at > now);
        if self.is_checked && !is_due {
            return Ok(());
        }
        let bounds = self.link.stream.bounds()?;
        self.asked_at = Some(now);
        self.last = bounds.last;
        self.link.begins(bounds.first);
        if !self.is_checked {
            // The node may have to wait for a snapshot, but no longer for the stream.
            self.link.stand(Standing::Unsettled, self.losses);
        }
        if !self.has_joined {
            self.join(&bounds)?;
        }
        self.pass_deleted(&bounds);
        match self.reason_to_begin_again(&bounds, acknowledged)? {
            Some(why) => self.begin_again(&bounds, why)?,
            None => self.find_configuration(&bounds)?,
        }
        // A node that may know less than others waits for them before it publishes its configurations.
        if self.link.state().must_republish && !self.is_still_blind() {
            self.give(&bounds)?;
        }
        if !self.is_checked {
            // The messages after the witness prove nothing, and others may be in their place: read them again.
            if self.place.witness_at > Position::START && !self.link.settings.is_planted(Planted::StrayTail) {
                self.place.position = self.place.position.min(self.place.witness_at);
            }
            (self.is_checked, self.target, self.back_at) = (true, bounds.last, now);
            self.link.stand(Standing::Unsettled, self.losses);
        }
        // The place is valid, also if an attempt to begin again failed and is not necessary any more.
        self.link.state().is_beginning = false;
        self.show(now);
        Ok(())
    }

    /// Returns why this node has to begin again, if it has to. `acknowledged` is the last configuration that was known to
    /// be in the stream before it told its bounds.
    fn reason_to_begin_again(&mut self, bounds: &Bounds, acknowledged: Position) -> Result<Option<Why>, StepError> {
        let is_same = self.place.incarnation == bounds.incarnation && self.place.position <= bounds.last;
        // The place counts, too: a node that has just joined has read it since.
        let configuration = acknowledged.max(self.place.configuration);
        let has_configuration = configuration <= bounds.last_configuration;
        // The stream was there since the place was checked, so the configuration was removed and not replaced.
        let is_purged = self.is_checked && !has_configuration && bounds.first > configuration;
        if !is_same || (!self.is_checked && !self.has_witness(bounds)?) || !(has_configuration || is_purged) {
            return Ok(Some(Why::Lost));
        }
        if is_purged || bounds.first.0 > self.place.position.0 + 1 {
            return Ok(Some(Why::Behind));
        }
        Ok(self.can_fill_gap().then_some(Why::Gap))
    }

    /// Goes past the message that the node has halted before, if an operator has removed that message alone. The node
    /// then lacks nothing else.
    pub(super) fn pass_deleted(&mut self, bounds: &Bounds) {
        let deleted = Position(self.place.position.0 + 1);
        let is_deleted = self.place.incarnation == bounds.incarnation && bounds.first.0 == deleted.0 + 1;
        if self.place.is_halted && is_deleted {
            (self.place.position, self.place.is_halted) = (deleted, false);
        }
    }

    /// Finds the last configuration of the stream if the node is behind it and does not know it. A node that begins again sees
    /// only the last one. If it cannot read that one and an operator removes it, the one before is the last.
    fn find_configuration(&mut self, bounds: &Bounds) -> Result<(), StepError> {
        let last = bounds.last_configuration;
        if last <= self.place.configuration || last > self.place.position {
            return Ok(());
        }
        let mut place = self.place;
        self.go_behind_configuration(&mut place)?;
        let Place { configuration, accepted, sequence, .. } = place;
        for place in [&mut self.place, &mut self.committed] {
            (place.configuration, place.accepted, place.sequence) = (configuration, accepted, sequence);
        }
        self.note_whether_blind(&place);
        self.tell_place()
    }

    /// Notes since when this node does not have the last configuration of the stream.
    fn note_whether_blind(&mut self, place: &Place) {
        let is_blind = place.sequence == 0 && place.configuration > Position::START;
        self.blind_since = is_blind.then(|| self.blind_since.unwrap_or_else(|| self.link.now()));
    }

    /// Returns whether there is a snapshot, not read yet, of a node that lacks less than this node, or that knows the last
    /// configuration. A stopped node cannot use it: it would publish all its data again at each snapshot.
    pub(super) fn can_fill_gap(&mut self) -> bool {
        let snapshot = self.link.state().snapshot;
        if self.tried.0 != snapshot.at {
            self.tried = (snapshot.at, 0);
        }
        let fills = snapshot.at >= self.place.gap && snapshot.gap < self.place.gap;
        let shows = self.blind_since.is_some() && !self.is_whole && snapshot.at >= self.place.configuration;
        let is_new = self.tried.1 < ATTEMPTS && snapshot.at < Position(u64::MAX);
        (fills || shows) && is_new && !self.is_in_conflict()
    }

    /// Publishes all that this node has again, including all configurations, because other nodes wait for it.
    fn give(&mut self, bounds: &Bounds) -> Result<(), StepError> {
        self.begin_again(bounds, Why::Behind)?;
        self.link.state().must_republish = false;
        self.place.sequence = 0;
        self.blind_since = None;
        self.committed = self.place;
        self.tell_place()
    }

    /// Reads the node's place from the store, or begins again if there is none for this share.
    pub(super) fn join(&mut self, bounds: &Bounds) -> Result<(), StepError> {
        let read =
            |place: Vec<u8>| Place::from_bytes(&place).ok_or(StepError::Damaged("the node's place in its stream"));
        let place = self.fleet_state.place()?.map(read).transpose()?;
        // A place of another share says nothing: the node left out messages whose positions it does not know.
        if let Some(place) = place.filter(|place| place.share == self.link.settings.share.mark()) {
            self.place = place;
            self.link.state().recall(place.snapshot, place.snapshot_seen_at);
        } else {
            // The other nodes lack what this node held before it joined the fleet.
            self.begin_again(bounds, Why::Behind)?;
        }
        self.has_joined = true;
        let keys = &self.link.settings.keys;
        if self.place.signer.is_some_and(|signer| !keys.takes(signer)) {
            // Nodes with the same keys have skipped what this node published, and it has skipped what they published.
            self.link.state().must_republish = true;
        } else {
            self.place.signer = Some(keys.signer());
        }
        if self.place.is_in_conflict {
            self.conflict(
                "this node's configurations have differed from the stream's since before its last start".into(),
            );
        }
        self.committed = self.place;
        self.tell_place()?;
        Ok(())
    }

    pub(super) fn has_something(&self) -> bool {
        self.service.plan().generation() > 0 || !self.service.history().is_empty()
    }

    /// Copies what the place says about configurations to the link.
    pub(super) fn tell_place(&mut self) -> Result<(), StepError> {
        self.is_whole = self.place.position == Position::START || self.place.sequence > 0;
        let (digest, parent) = (self.digest(self.place.sequence)?, self.digest(self.place.sequence.saturating_sub(1))?);
        let mut state = self.link.state();
        (state.gap, state.is_beginning) = (self.place.gap, false);
        (state.configuration, state.sequence) = (self.place.configuration, self.place.sequence);
        (state.digest, state.parent) = (digest, parent);
        state.republish = self.place.republish;
        Ok(())
    }

    /// Returns whether the last message of a node up to the place is the one that this node consumed there. Returns false
    /// if the stream no longer holds the message, because the messages after it may follow another one.
    pub(super) fn has_witness(&self, bounds: &Bounds) -> Result<bool, StepError> {
        let Place { position, witness_at, witness, .. } = self.place;
        if position == Position::START || self.link.settings.is_planted(Planted::NoWitness) {
            return Ok(bounds.first.0 <= position.0 + 1);
        }
        let is_there = Position::START < witness_at && bounds.first <= witness_at;
        Ok(is_there && self.fingerprint_at(witness_at)? == Some(witness))
    }

    /// Returns the fingerprint of the message at a position, or `None` if the stream has no message there.
    pub(super) fn fingerprint_at(&self, position: Position) -> Result<Option<u64>, StepError> {
        let there = self.link.stream.message_at(position)?;
        Ok(there.map(|there| message::fingerprint(&there.payload)))
    }

    /// Begins again at the stream's first message or at a newer snapshot, and publishes all that the node has. The node's
    /// place does not change until the new one is complete.
    pub(super) fn begin_again(&mut self, bounds: &Bounds, why: Why) -> Result<(), StepError> {
        let old = self.place;
        self.began_at = bounds.first;
        // If this attempt fails, the next step must find the loss again.
        if why == Why::Lost {
            self.is_checked = false;
        }
        let position = Position(bounds.first.0.saturating_sub(1));
        let has_data = self.has_something() || old.republish;
        let republish = has_data && !self.link.settings.is_planted(Planted::NoRepublish);
        let share = self.link.settings.share.mark();
        let signer = Some(self.link.settings.keys.signer());
        let mut place =
            Place { incarnation: bounds.incarnation, position, republish, share, signer, ..Place::default() };
        // The link's knowledge of the stream may be out of date.
        self.link.begin_again(old.incarnation != bounds.incarnation);
        if position > Position::START {
            // A node that has consumed the removed messages can continue without a snapshot.
            let had_it = old.incarnation == bounds.incarnation && old.position >= position;
            let needs_none = had_it || self.has_waited();
            let at_least = if needs_none { Position::START } else { position };
            let (head, has_read) = match self.take_snapshot(at_least) {
                Err(StepError::Snapshot(_) | StepError::Upkeep(_)) if needs_none && why != Why::Gap => (None, false),
                Err(error) => {
                    self.tried.1 += 1;
                    return Err(error);
                }
                Ok(head) => (head, true),
            };
            // The messages that the stream still holds are read again, unless the snapshot has all of them.
            let covers = |head: &Head| head.at >= position && head.gap <= position;
            // After a loss, others may have been in the place of those that it has consumed.
            let gap = if had_it && why != Why::Lost { old.gap.min(position) } else { position };
            place.gap = head.filter(|head| head.at >= gap).map_or(gap, |head| head.gap.min(gap));
            if let Some(head) = head.filter(covers) {
                self.go_behind(&head, bounds, &mut place)?;
            }
            self.go_behind_configuration(&mut place)?;
            if has_read {
                self.tried.1 = ATTEMPTS;
            }
        }
        self.waits_since = None;
        self.note_whether_blind(&place);
        place.is_in_conflict = self.is_in_conflict();
        self.place = place;
        self.committed = place;
        self.own.clear();
        self.delivered_back = None;
        self.is_checked = true;
        self.tell_place()?;
        self.link.stand(Standing::Unsettled, self.losses);
        (self.target, self.back_at) = (bounds.last, self.link.now());
        Ok(())
    }

    /// Returns whether the node has waited for a snapshot long enough. The nodes that have what it may lack have written
    /// none meanwhile, so they are away or there are none. The node then continues, and says in its own snapshots what
    /// it may lack. A node that has nothing waits longer, because it has nothing to give either.
    fn has_waited(&mut self) -> bool {
        let now = self.link.now();
        let waited = elapsed(now, self.waits_since.get_or_insert(now));
        let factor = if self.has_something() { 1 } else { 3 };
        waited >= factor * millis(self.link.settings.snapshot_wait)
    }

    /// Returns whether this node does not know which configuration is the last one in the stream, and should not publish
    /// its own after it: nodes that know more may be there, and write a snapshot.
    pub(super) fn is_still_blind(&mut self) -> bool {
        let now = self.link.now();
        let wait = 2 * millis(self.link.settings.snapshot_wait);
        let may_know_less = !self.is_whole && self.service.plan().generation() > 0;
        may_know_less && self.blind_since.as_mut().is_some_and(|since| elapsed(now, since) < wait)
    }

    /// Merges the newest snapshot into the service. Returns `None` if there is none, or if it conflicts with this
    /// node's configurations.
    ///
    /// # Errors
    /// Returns [`StepError::TooOld`] if the snapshot ends before `at_least`, or if there is none and one is needed.
    pub(super) fn take_snapshot(&mut self, at_least: Position) -> Result<Option<Head>, StepError> {
        let too_old = |at| if at < at_least { Err(StepError::TooOld(at)) } else { Ok(()) };
        let sightings = self.link.state().sightings;
        let Some(snapshot) = self.link.stream.read_snapshot().map_err(StepError::Upkeep)? else {
            return too_old(Position::START).map(|()| None);
        };
        let link = Arc::clone(&self.link);
        let reader = Reader::open(snapshot.content, &link.settings.keys)?;
        too_old(reader.head().at)?;
        let restored = match Restored::read(reader, &self.service, &self.fleet_state, &link.settings)? {
            Ok(restored) => restored,
            Err(conflict) => {
                self.conflict(conflict);
                return Ok(None);
            }
        };
        let (stored, storing) = mpsc::sync_channel(1);
        let head = restored.merge(&self.service, &self.fleet_state, &link.settings, move |result| {
            // The receiver is gone if the node has stopped.
            let _ = stored.send(result);
        })?;
        self.storing = Some(storing);
        let seen_at = Some(self.link.now());
        let seen = Sighting { at: head.at, gap: head.gap, sequence: head.sequence, seen_at };
        self.link.state().see_read(seen, sightings);
        self.is_stored()?;
        Ok(Some(head))
    }

    /// Sets the place to the snapshot's position, if the snapshot belongs to this stream in its present state. If the
    /// message there is no configuration, [`go_behind_configuration`](Self::go_behind_configuration) finds the last one.
    pub(super) fn go_behind(&self, head: &Head, bounds: &Bounds, place: &mut Place) -> Result<(), StepError> {
        let is_there = bounds.first <= head.at && head.at <= bounds.last;
        if is_there && self.fingerprint_at(head.at)? == Some(head.witness) {
            (place.position, place.witness_at, place.witness) = (head.at, head.at, head.witness);
            (place.accepted, place.sequence) = (head.at, head.sequence);
            if head.is_configuration {
                place.configuration = head.at;
            }
        }
        Ok(())
    }

    /// Notes the last configuration before the place, which the next one has to follow, and its sequence if this node
    /// has it, too.
    fn go_behind_configuration(&self, place: &mut Place) -> Result<(), StepError> {
        let last = self.link.stream.last_configuration()?;
        let Some(last) = last.filter(|last| place.configuration < last.position && last.position <= place.position)
        else {
            return Ok(());
        };
        place.configuration = last.position;
        let Ok(Message { body: Body::Configuration { configuration, .. }, .. }) =
            self.read(&last.payload, last.subject)
        else {
            return Ok(());
        };
        let held = self.fleet_state.configuration(configuration.sequence)?;
        if held.is_some_and(|held| digest(&held) == digest(&configuration)) {
            place.accepted = place.accepted.max(last.position);
            place.sequence = place.sequence.max(configuration.sequence);
        }
        Ok(())
    }

    /// Returns whether a place can be stored: no snapshot is being written to the store.
    pub(super) fn is_stored(&mut self) -> Result<bool, StepError> {
        let Some(storing) = &self.storing else { return Ok(true) };
        let stored = if self.waits { storing.recv().ok() } else { storing.try_recv().ok() };
        if let Some(stored) = stored {
            stored?;
            self.storing = None;
        }
        Ok(self.storing.is_none())
    }
}
