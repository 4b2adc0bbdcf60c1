//! Whether the stream is still the one that the node's place is of, and what to do where it is not.

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
    /// Looks now and then whether the stream is still the one that the place is of.
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

    /// The last configuration that is known to be in the stream.
    pub(super) fn known(&self) -> Position {
        self.link.state().configuration
    }

    pub(super) fn join(&mut self, bounds: &Bounds) -> Result<(), StepError> {
        let read =
            |place: Vec<u8>| Place::from_bytes(&place).ok_or(StepError::Damaged("the node's place in its stream"));
        let place = self.aside.place()?.map(read).transpose()?;
        // Of what another share had left out, nobody knows where it is.
        if let Some(place) = place.filter(|place| place.share == self.link.settings.share.mark()) {
            self.place = place;
        } else {
            // What it had before it came to this fleet, the others do not have.
            let republish = self.has_something();
            self.begin_again(bounds, republish)?;
        }
        self.has_joined = true;
        if self.place.is_in_conflict {
            self.conflict("the stream has other configurations than this node, since before it was started".into());
        }
        self.committed = self.place;
        self.tell_place()?;
        Ok(())
    }

    pub(super) fn has_something(&self) -> bool {
        self.service.plan().generation() > 0 || !self.service.history().is_empty()
    }

    pub(super) fn tell_place(&mut self) -> Result<(), StepError> {
        self.is_whole = self.place.position == Position::START || self.place.sequence > 0;
        let (digest, parent) = (self.digest(self.place.sequence)?, self.digest(self.place.sequence.saturating_sub(1))?);
        let mut state = self.link.state();
        (state.configuration, state.sequence) = (self.place.configuration, self.place.sequence);
        (state.digest, state.parent) = (digest, parent);
        state.republish = self.place.republish;
        Ok(())
    }

    /// Whether the message at the place is the one that was there. One that the stream has forgotten says nothing: what is behind it
    /// may be behind another.
    pub(super) fn has_witness(&self, bounds: &Bounds) -> Result<bool, StepError> {
        let Place { position, witness, .. } = self.place;
        if position == Position::START || self.link.settings.is_planted(Planted::NoWitness) {
            return Ok(bounds.first.0 <= position.0 + 1);
        }
        Ok(bounds.first <= position && self.fingerprint_at(position)? == Some(witness))
    }

    pub(super) fn fingerprint_at(&self, position: Position) -> Result<Option<u64>, StepError> {
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
    pub(super) fn roll_back(&mut self, bounds: &Bounds) -> Result<(), StepError> {
        let has_something = self.has_something();
        self.begin_again(bounds, has_something)
    }

    /// The node was away for longer than the stream remembers. Whatever was lost in between, it cannot see any more, so it gets all as well.
    pub(super) fn start_over(&mut self, bounds: &Bounds) -> Result<(), StepError> {
        let has_something = self.has_something();
        self.begin_again(bounds, has_something)
    }

    /// Nothing of the node's place is changed before there is a new one.
    pub(super) fn begin_again(&mut self, bounds: &Bounds, republish: bool) -> Result<(), StepError> {
        let old = self.place;
        let position = Position(bounds.first.0.saturating_sub(1));
        let republish = (republish || old.republish) && !self.link.settings.is_planted(Planted::NoRepublish);
        let share = self.link.settings.share.mark();
        let mut place = Place { incarnation: bounds.incarnation, position, republish, share, ..Place::default() };
        // Whether that is so still, is to be seen.
        self.link.begin_again();
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
        place.is_in_conflict = self.is_in_conflict();
        self.place = place;
        self.committed = place;
        self.own.clear();
        self.tell_place()?;
        self.link.stand(Standing::Unsettled);
        (self.target, self.back_at) = (bounds.last, self.link.now());
        Ok(())
    }

    /// Takes the newest snapshot in. `None` where there is none, or none that fits.
    pub(super) fn take_snapshot(&mut self) -> Result<Option<Head>, StepError> {
        let Some(snapshot) = self.link.stream.read_snapshot()? else { return Ok(None) };
        let restored = match Restored::read(snapshot, &self.service, &self.aside, &self.link.settings)? {
            Ok(restored) => restored,
            Err(conflict) => {
                self.conflict(conflict);
                return Ok(None);
            }
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
    pub(super) fn go_behind(&self, head: &Head, bounds: &Bounds, place: &mut Place) -> Result<(), StepError> {
        let is_there = bounds.first <= head.at && head.at <= bounds.last;
        if is_there && self.fingerprint_at(head.at)? == Some(head.witness) {
            (place.position, place.witness) = (head.at, head.witness);
            (place.configuration, place.sequence) = (head.at, head.sequence);
        }
        Ok(())
    }

    /// Whether a place can be stored.
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
