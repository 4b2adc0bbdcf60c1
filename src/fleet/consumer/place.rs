//! Checks whether the stream is still the one that the node's place refers to, and begins again if it is not.

use super::super::StepError;
use super::super::link::Standing;
use super::super::message;
use super::super::place::Place;
use super::super::restore::Restored;
use super::super::settings::Planted;
use super::super::snapshot::Head;
use super::super::stream::{Bounds, Position, StreamError};
use super::{ASK_EVERY, Consumer, PATIENCE};
use std::sync::mpsc;

impl Consumer {
    /// Checks from time to time that the stream is still the one that the place refers to.
    pub(super) fn look(&mut self) -> Result<(), StepError> {
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

    /// Returns the position of the last configuration that is known to be in the stream.
    pub(super) fn known(&self) -> Position {
        self.link.state().configuration
    }

    /// Reads the node's place from the store, or begins again if there is none for this share.
    pub(super) fn join(&mut self, bounds: &Bounds) -> Result<(), StepError> {
        let read =
            |place: Vec<u8>| Place::from_bytes(&place).ok_or(StepError::Damaged("the node's place in its stream"));
        let place = self.fleet_state.place()?.map(read).transpose()?;
        // A place of another share says nothing: the node left out messages whose positions it does not know.
        if let Some(place) = place.filter(|place| place.share == self.link.settings.share.mark()) {
            self.place = place;
        } else {
            // The other nodes lack what this node held before it joined the fleet.
            let republish = self.has_something();
            self.begin_again(bounds, republish)?;
        }
        self.has_joined = true;
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
        (state.configuration, state.sequence) = (self.place.configuration, self.place.sequence);
        (state.digest, state.parent) = (digest, parent);
        state.republish = self.place.republish;
        Ok(())
    }

    /// Returns whether the message at the place is the one that the node consumed there. Returns false if the stream no
    /// longer holds the message, because the messages after it may follow another one.
    pub(super) fn has_witness(&self, bounds: &Bounds) -> Result<bool, StepError> {
        let Place { position, witness, .. } = self.place;
        if position == Position::START || self.link.settings.is_planted(Planted::NoWitness) {
            return Ok(bounds.first.0 <= position.0 + 1);
        }
        Ok(bounds.first <= position && self.fingerprint_at(position)? == Some(witness))
    }

    /// Returns the fingerprint of the message at a position, or `None` if the stream has no message there.
    pub(super) fn fingerprint_at(&self, position: Position) -> Result<Option<u64>, StepError> {
        let before = Position(position.0 - 1);
        match self.link.stream.consume(before, 1, PATIENCE) {
            Ok(deliveries) => match deliveries.first() {
                None => Err(StreamError::Away("it did not deliver a message that it holds".into()).into()),
                Some(there) if there.position == position => Ok(Some(message::fingerprint(&there.payload))),
                Some(_) => Ok(None),
            },
            Err(StreamError::Gone) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Begins again because the stream lost messages or is another one. The node consumes all that the stream holds,
    /// and publishes all that it has.
    pub(super) fn roll_back(&mut self, bounds: &Bounds) -> Result<(), StepError> {
        let has_something = self.has_something();
        self.begin_again(bounds, has_something)
    }

    /// Begins again because the stream no longer holds the messages after the node's place. Losses in between are not
    /// visible to the node, so it publishes all that it has.
    pub(super) fn start_over(&mut self, bounds: &Bounds) -> Result<(), StepError> {
        let has_something = self.has_something();
        self.begin_again(bounds, has_something)
    }

    /// Begins again at the stream's first message or at a newer snapshot. The node's place does not change until the
    /// new one is complete.
    pub(super) fn begin_again(&mut self, bounds: &Bounds, republish: bool) -> Result<(), StepError> {
        let old = self.place;
        let position = Position(bounds.first.0.saturating_sub(1));
        let republish = (republish || old.republish) && !self.link.settings.is_planted(Planted::NoRepublish);
        let share = self.link.settings.share.mark();
        let mut place = Place { incarnation: bounds.incarnation, position, republish, share, ..Place::default() };
        // The link's knowledge of the stream may be out of date.
        self.link.begin_again();
        if position > Position::START {
            // A node that has consumed the removed messages can continue without a snapshot.
            let had_it = old.incarnation == bounds.incarnation && old.position >= position;
            match self.take_snapshot()? {
                Some(head) if head.at >= position => self.go_behind(&head, bounds, &mut place)?,
                Some(head) if !had_it => return Err(StepError::TooOld(head.at)),
                None if !had_it && !self.is_in_conflict() => return Err(StepError::TooOld(Position::START)),
                _ => {}
            }
        }
        place.is_in_conflict = self.is_in_conflict();
        self.place = place;
        self.committed = place;
        self.own.clear();
        self.tell_place()?;
        self.link.stand(Standing::Unsettled);
        (self.target, self.back_at) = (bounds.last, self.link.now());
        Ok(())
    }

    /// Merges the newest snapshot into the service. Returns `None` if there is none, or if it conflicts with this
    /// node's configurations.
    pub(super) fn take_snapshot(&mut self) -> Result<Option<Head>, StepError> {
        let Some(snapshot) = self.link.stream.read_snapshot()? else { return Ok(None) };
        let restored = match Restored::read(snapshot, &self.service, &self.fleet_state, &self.link.settings)? {
            Ok(restored) => restored,
            Err(conflict) => {
                self.conflict(conflict);
                return Ok(None);
            }
        };
        let (stored, storing) = mpsc::sync_channel(1);
        let head = restored.merge(&self.service, &self.fleet_state, move |result| {
            // The receiver is gone if the node has stopped.
            let _ = stored.send(result);
        })?;
        self.storing = Some(storing);
        self.link.state().snapshot_at = Some(head.taken_at);
        self.is_stored()?;
        Ok(Some(head))
    }

    /// Sets the place to the snapshot's position, if the snapshot belongs to this stream in its present state.
    pub(super) fn go_behind(&self, head: &Head, bounds: &Bounds, place: &mut Place) -> Result<(), StepError> {
        let is_there = bounds.first <= head.at && head.at <= bounds.last;
        if is_there && self.fingerprint_at(head.at)? == Some(head.witness) {
            (place.position, place.witness) = (head.at, head.witness);
            (place.configuration, place.sequence) = (head.at, head.sequence);
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
