//! The state that a node's threads and its service share.

use super::elapsed::{elapsed, millis};
use super::message::{self, Writer};
use super::settings::{Planted, Settings};
use super::stream::{Position, Stream, StreamError, Subject};
use crate::event::{Change, Configuration};
use crate::id::EnvironmentId;
use crate::metrics::{Fleet, FleetState};
use crate::service::{Acknowledge, Sequencer, ServiceError};
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const BEGAN_AGAIN: &str = "the node began again while the stream accepted the message";

/// A node's connection to its fleet. It is the [`Sequencer`] of the node's service, and [`Node`](super::Node) works
/// with it.
pub struct Link {
    pub(super) settings: Settings,
    pub(super) stream: Arc<dyn Stream>,
    pub(super) metrics: Arc<Fleet>,
    writer: Mutex<Writer>,
    /// Held while a message among the configurations is on its way: two at once would follow the same one, and the
    /// stream would reject the second.
    turn: Mutex<()>,
    state: Mutex<State>,
    changed: Condvar,
}

/// How far the node has settled with its stream. This decides what it may publish.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// The content of the stream is not known yet, or the stream may lack configurations of the node.
    Unsettled,
    /// The stream has all configurations of the node. The node waits for nodes that may have more.
    Settling,
    /// Configurations can be changed.
    Settled,
    /// The stream has other configurations than the node. The node neither accepts nor publishes configurations.
    Conflict(String),
}

/// A group of messages that the stream has acknowledged and not yet delivered back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acked {
    /// The position of the last message in the group.
    pub(super) position: Position,
    /// The fingerprint of that message.
    pub(super) fingerprint: u64,
    /// The last outbox entry in the group, or 0 if the messages are from no entry.
    pub(super) entry: u64,
}

/// A snapshot, as a node saw it.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Sighting {
    /// Its position; 0 if there is no usable snapshot.
    pub(super) at: Position,
    /// The node that wrote it may have lacked messages up to here; 0 if it lacked none.
    pub(super) gap: Position,
    /// The number of its configurations.
    pub(super) sequence: u64,
    /// The time at which the node first saw it, by the node's own clock.
    pub(super) seen_at: Option<Timestamp>,
}

/// The last message of a node that this node has consumed, which proves up to where it has consumed the stream.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Witness {
    pub(super) at: Position,
    pub(super) fingerprint: u64,
    /// The sequence of the last configuration up to there that this node accepted.
    pub(super) sequence: u64,
}

/// The end of the configurations in the stream, as the node knew it before it published the next message there.
#[derive(Clone, Copy, Debug)]
struct End {
    /// The position of the last message among the configurations.
    position: Position,
    /// The digest of the configuration that the next message follows.
    parent: u64,
    epoch: u64,
}

#[allow(clippy::struct_excessive_bools, reason = "the flags are independent")]
pub(super) struct State {
    pub(super) standing: Standing,
    /// The reason why the stream is unreachable, or `None` if it is reachable.
    pub(super) away: Option<String>,
    /// How often the stream was found unreachable. An answer counts only if this has not increased since the question.
    pub(super) losses: u64,
    /// The reason why the stream takes no more messages, or `None` if it takes them.
    pub(super) full: Option<String>,
    /// The reason why the node has halted before a message, or `None` if it has not.
    pub(super) halted: Option<String>,
    /// The reason why the node's last attempt to consume the stream failed, or `None` if it did not.
    failed: Option<String>,
    /// The last configuration message that is known to be in the stream, and its sequence.
    pub(super) configuration: Position,
    pub(super) sequence: u64,
    /// The digest of the configuration with that sequence, and the digest of the one before it.
    pub(super) digest: u64,
    pub(super) parent: u64,
    pub(super) acked: VecDeque<Acked>,
    /// Increases when the node begins again. Messages published in an earlier epoch no longer count as published.
    pub(super) epoch: u64,
    /// Whether the node begins again and has no place yet: it may have to wait for a snapshot, and tries again and again.
    pub(super) is_beginning: bool,
    /// The position up to which the node has consumed the stream. The content of those messages is in force.
    pub(super) consumed: Position,
    /// The last message of a node up to there.
    pub(super) witness: Witness,
    /// Whether all data has to be published again.
    pub(super) republish: bool,
    /// Whether other nodes wait for data that this node has and cannot put into a snapshot.
    pub(super) must_republish: bool,
    /// The epoch in which all data was published again, and the position of its last message.
    pub(super) republished: Option<(u64, Position)>,
    /// Where the stream began when the node last looked.
    pub(super) first: Position,
    /// The node may lack messages up to here; 0 if it lacks none.
    pub(super) gap: Position,
    /// The newest snapshot, as the node last saw it.
    pub(super) snapshot: Sighting,
    /// How often a snapshot was seen.
    pub(super) sightings: u64,
    /// The time at which another node last began a snapshot, by this node's clock.
    pub(super) other_began_at: Option<Timestamp>,
    /// The last outbox entry that exists, and the last one that the stream has acknowledged.
    last_entry: u64,
    acked_entry: u64,
    waiting: VecDeque<(u64, Timestamp, Acknowledge)>,
    is_stopping: bool,
}

impl Link {
    /// Creates a link. [`Node::start`](super::Node::start) starts the work on it.
    pub fn new(settings: Settings, stream: Arc<dyn Stream>) -> Arc<Self> {
        let metrics = Arc::new(Fleet::default());
        metrics.set_lag_limit(u64::try_from(settings.lag_limit.as_millis()).unwrap_or(u64::MAX));
        let state = State {
            standing: Standing::Unsettled,
            away: None,
            losses: 0,
            full: None,
            halted: None,
            failed: None,
            configuration: Position::START,
            sequence: 0,
            digest: 0,
            parent: 0,
            acked: VecDeque::new(),
            epoch: 0,
            is_beginning: false,
            consumed: Position::START,
            witness: Witness::default(),
            republish: false,
            must_republish: false,
            republished: None,
            first: Position(1),
            gap: Position::START,
            snapshot: Sighting::default(),
            sightings: 0,
            other_began_at: None,
            last_entry: 0,
            acked_entry: 0,
            waiting: VecDeque::new(),
            is_stopping: false,
        };
        let writer = Mutex::new(Writer::new(settings.node, settings.keys.clone()));
        let (turn, state) = (Mutex::default(), Mutex::new(state));
        Arc::new(Self { settings, stream, metrics, writer, turn, state, changed: Condvar::new() })
    }

    /// Returns the fleet's metrics.
    pub fn metrics(&self) -> &Arc<Fleet> {
        &self.metrics
    }

    /// Returns whether the node still has to publish all its data again.
    #[cfg(feature = "__testing")]
    #[doc(hidden)]
    pub fn is_republishing(&self) -> bool {
        self.state().republish
    }

    /// Returns the position up to which the node may lack messages that the stream no longer held.
    #[cfg(feature = "__testing")]
    #[doc(hidden)]
    pub fn gap(&self) -> Position {
        self.state().gap
    }

    pub(super) fn now(&self) -> Timestamp {
        (self.settings.now)()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes the configuration after the last one that is known to be in the stream.
    ///
    /// # Errors
    /// Returns [`StreamError::Superseded`] if it is another one.
    pub(super) fn publish_next(&self, configuration: &Configuration) -> Result<(), StreamError> {
        let _turn = self.turn();
        let end = {
            let state = self.state();
            if state.is_stopping || configuration.sequence != state.sequence + 1 {
                return Err(StreamError::Superseded);
            }
            state.end()
        };
        self.publish_after(configuration, end).map(drop)
    }

    /// Publishes the last configuration again. Returns the position and the fingerprint of the message.
    ///
    /// Returns `None` if the node has begun again meanwhile.
    ///
    /// # Errors
    /// Returns [`StreamError::Superseded`] if it is no longer the last one, if the node began again after `epoch`, or if it
    /// is no longer settled. An older configuration would follow the wrong one.
    pub(super) fn publish_last(
        &self,
        configuration: &Configuration,
        epoch: u64,
    ) -> Result<Option<(Position, u64)>, StreamError> {
        let _turn = self.turn();
        let end = {
            let state = self.state();
            let is_last = (configuration.sequence, epoch) == (state.sequence, state.epoch);
            if state.is_stopping || !is_last || state.standing != Standing::Settled {
                return Err(StreamError::Superseded);
            }
            End { parent: state.parent, ..state.end() }
        };
        self.publish_after(configuration, end)
    }

    fn publish_after(&self, configuration: &Configuration, end: End) -> Result<Option<(Position, u64)>, StreamError> {
        let payload = self.writer().configuration(self.now(), end.parent, configuration);
        let (bytes, largest) = (payload.len(), self.stream.largest());
        if bytes > largest {
            return Err(StreamError::TooLarge { bytes, largest });
        }
        let position = self.noting_room(self.stream.publish_after(Subject::Configuration, &payload, end.position))?;
        let noted = self.state_in(end.epoch).map(|mut state| state.note(position, configuration, end.parent));
        Ok(noted.map(|()| (position, message::fingerprint(&payload))))
    }

    /// Returns the state, to record the acknowledgement of a message that was published in this epoch. Returns `None` if the
    /// node has begun again meanwhile: the reason may be that the stream lost the message.
    fn state_in(&self, epoch: u64) -> Option<MutexGuard<'_, State>> {
        Some(self.state()).filter(|state| state.epoch == epoch)
    }

    /// Records whether the stream takes messages, from the result of a publication.
    pub(super) fn noting_room<T>(&self, published: Result<T, StreamError>) -> Result<T, StreamError> {
        match &published {
            Ok(_) => self.fill(None),
            Err(error @ StreamError::Full(_)) => self.fill(Some(error.to_string())),
            Err(_) => {}
        }
        published
    }

    /// Records where the stream begins. If messages were removed, it may take others again.
    pub(super) fn begins(&self, first: Position) {
        let is_moved = std::mem::replace(&mut self.state().first, first) != first;
        if is_moved {
            self.fill(None);
        }
    }

    fn fill(&self, why: Option<String>) {
        self.note_reason(why, |state| &mut state.full);
    }

    /// Records a reason, or that there is none any more, and shows it if it has changed.
    fn note_reason(&self, why: Option<String>, kept: impl FnOnce(&mut State) -> &mut Option<String>) {
        let is_changed = {
            let mut state = self.state();
            let kept = kept(&mut state);
            let is_changed = *kept != why;
            *kept = why;
            is_changed
        };
        if is_changed {
            self.show();
        }
    }

    /// Records that the stream is unreachable. The node is unsettled from then on, unless it is in conflict.
    pub(super) fn away(&self, error: &StreamError) {
        let mut state = self.state();
        state.away = Some(error.to_string());
        state.losses += 1;
        if !matches!(state.standing, Standing::Conflict(_)) {
            state.standing = Standing::Unsettled;
        }
        drop(state);
        self.show();
    }

    /// Forgets what was known about the stream, because the node consumes it from the beginning again. A conflict with
    /// the same stream remains: other nodes have made changes after the configuration that this node lacks.
    pub(super) fn begin_again(&self, is_another: bool) {
        let mut state = self.state();
        if is_another || !matches!(state.standing, Standing::Conflict(_)) {
            state.standing = Standing::Unsettled;
        }
        state.acked.clear();
        state.epoch += 1;
        state.is_beginning = true;
        (state.consumed, state.witness) = (Position::START, Witness::default());
        drop(state);
        self.show();
    }

    /// Records that the stream is reachable, and the node's standing, unless the node is in conflict.
    ///
    /// `losses` is [`State::losses`] from before the stream was asked. If it has been unreachable since, nothing is
    /// recorded: another thread of the node may have received the only report of a lost connection.
    pub(super) fn stand(&self, standing: Standing, losses: u64) {
        let mut state = self.state();
        if state.losses != losses {
            return;
        }
        state.away = None;
        if !matches!(state.standing, Standing::Conflict(_)) {
            state.standing = standing;
        }
        drop(state);
        self.changed.notify_all();
        self.show();
    }

    /// Records that the stream has other configurations than the node.
    pub(super) fn conflict(&self, what: String) {
        self.state().standing = Standing::Conflict(what);
        self.show();
    }

    /// Records whether the node has halted before a message, and why.
    pub(super) fn halt(&self, why: Option<String>) {
        self.note_reason(why, |state| &mut state.halted);
    }

    /// Records why the last attempt to consume the stream failed, or that it did not.
    pub(super) fn fail(&self, why: Option<String>) {
        self.note_reason(why, |state| &mut state.failed);
    }

    fn show(&self) {
        let state = self.state();
        let shown = match (&state.standing, &state.away, &state.halted, &state.full) {
            (Standing::Conflict(what), ..) => FleetState::Stopped(what.clone()),
            (_, Some(why), ..) => FleetState::Away(why.clone()),
            (_, None, Some(why), _) => FleetState::Halted(why.clone()),
            (_, None, None, Some(why)) => FleetState::Full(why.clone()),
            (Standing::Settled, None, None, None) => FleetState::Following,
            (Standing::Unsettled | Standing::Settling, None, None, None) => FleetState::Joining(state.failed.clone()),
        };
        // Under the lock, so that the last one that is shown is the last one that was recorded.
        self.metrics.set_state(shown);
        drop(state);
    }

    /// Records that all data was published again in this epoch. Only the publisher publishes calls, so the last
    /// acknowledged message is the last one of them.
    pub(super) fn republished(&self, epoch: u64) {
        let mut state = self.state();
        let last = state.acked.back().map_or(Position::START, |acked| acked.position);
        state.republished = Some((epoch, last));
    }

    /// Returns whether calls may be published. The configurations that they refer to come first.
    ///
    /// A stopped node publishes, too, but not while it has no place. Each attempt to get one begins an epoch, so it would
    /// publish all its data again in each.
    pub(super) fn may_publish(&self) -> bool {
        let state = self.state();
        state.away.is_none() && state.standing != Standing::Unsettled && !state.is_beginning
    }

    /// Records an acknowledgement of the stream, and completes the requests that waited for it.
    ///
    /// If the node has begun again since `epoch`, its messages no longer count as published: it will publish them again.
    pub(super) fn acknowledged(&self, acked: Acked, epoch: u64) {
        let mut state = self.state();
        if state.epoch != epoch {
            return;
        }
        state.acked.push_back(acked);
        state.acked_entry = state.acked_entry.max(acked.entry);
        let reached = state.acked_entry;
        let done = take_while(&mut state.waiting, |(entry, _, _)| *entry <= reached);
        drop(state);
        for (_, _, done) in done {
            done(Ok(()));
        }
    }

    /// Returns the last outbox entry that the stream has acknowledged.
    pub(super) fn acked_entry(&self) -> u64 {
        self.state().acked_entry
    }

    /// Completes the requests that have waited for `replicated_wait` with an error.
    pub(super) fn expire(&self) {
        let now = self.now();
        let wait = millis(self.settings.replicated_wait);
        let mut state = self.state();
        let done = take_while(&mut state.waiting, |(_, since, _)| elapsed(now, since) >= wait);
        drop(state);
        for (_, _, done) in done {
            done(Err(ServiceError::NotReplicated));
        }
    }

    /// Waits until there is an entry after `published` or the node stops, for at most `long`.
    pub(super) fn wait(&self, published: u64, long: Duration) {
        let state = self.state();
        let idle = |state: &mut State| !state.is_stopping && state.last_entry <= published;
        drop(self.changed.wait_timeout_while(state, long, idle).unwrap_or_else(PoisonError::into_inner));
    }

    /// Sleeps for `long`, or until the node stops.
    pub(super) fn pause(&self, long: Duration) {
        let state = self.state();
        let goes_on = |state: &mut State| !state.is_stopping;
        drop(self.changed.wait_timeout_while(state, long, goes_on).unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn stop(&self) {
        let mut state = self.state();
        state.is_stopping = true;
        let done: Vec<_> = state.waiting.drain(..).collect();
        drop(state);
        self.changed.notify_all();
        for (_, _, done) in done {
            done(Err(ServiceError::NotReplicated));
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.state().is_stopping()
    }
}

impl State {
    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping
    }

    /// Returns the last outbox entry since the start of the node; 0 if there was none.
    pub(super) fn last_entry(&self) -> u64 {
        self.last_entry
    }

    /// Records the newest snapshot, unless another one was seen since there were `sightings`: it may be newer.
    /// Returns whether it was recorded.
    pub(super) fn see_read(&mut self, seen: Sighting, sightings: u64) -> bool {
        let is_next = self.sightings == sightings;
        if is_next {
            self.see(seen);
        }
        is_next
    }

    /// Records what the node's stored place says about the newest snapshot, unless a newer one was seen since the start.
    /// The place does not say which messages that snapshot lacks, so the node must not expect more in it than it has.
    pub(super) fn recall(&mut self, at: Position, seen_at: Option<Timestamp>) {
        if self.sightings == 0 {
            self.see(Sighting { at, seen_at, gap: Position(u64::MAX), ..Sighting::default() });
        } else if self.snapshot.at == at {
            self.snapshot.seen_at = seen_at.or(self.snapshot.seen_at);
        }
    }

    /// Records the newest snapshot.
    pub(super) fn see(&mut self, mut seen: Sighting) {
        self.sightings += 1;
        if seen.at == self.snapshot.at {
            seen.seen_at = self.snapshot.seen_at.or(seen.seen_at);
        }
        self.snapshot = seen;
    }

    /// Records the position of a message among the configurations that changes nothing, unless a later one is known.
    pub(super) fn take_place(&mut self, position: Position) {
        self.configuration = self.configuration.max(position);
    }

    /// Returns the end of the configurations, after which the next one has to follow.
    fn end(&self) -> End {
        End { position: self.configuration, parent: self.digest, epoch: self.epoch }
    }

    /// Returns the end of the configurations, if they can be changed and the last one has this sequence.
    ///
    /// # Errors
    /// The reason why there can be no next one now, or [`ServiceError::Superseded`] if `sequence` is not the last one's.
    fn end_after(&self, sequence: u64) -> Result<End, ServiceError> {
        let away = |what: &str| Err(ServiceError::StreamAway(what.to_owned()));
        if self.is_stopping {
            return away("this node is stopping");
        }
        match (&self.away, &self.halted, &self.standing) {
            (_, _, Standing::Conflict(what)) => away(what),
            (Some(why), ..) | (None, Some(why), _) => away(why),
            (None, None, Standing::Unsettled | Standing::Settling) => away("still checking what the stream holds"),
            // Otherwise, another node's configuration has not reached this service yet.
            (None, None, Standing::Settled) if sequence == self.sequence => Ok(self.end()),
            (None, None, Standing::Settled) => Err(ServiceError::Superseded),
        }
    }

    /// Records the position of a configuration in the stream, unless a later one is known.
    pub(super) fn note(&mut self, position: Position, configuration: &Configuration, parent: u64) {
        if position > self.configuration {
            self.configuration = position;
            (self.sequence, self.digest, self.parent) = (configuration.sequence, digest(configuration), parent);
        }
    }
}

fn take_while<T>(queue: &mut VecDeque<T>, is_taken: impl Fn(&mut T) -> bool) -> Vec<T> {
    let taken = queue.iter_mut().map_while(|item| is_taken(item).then_some(())).count();
    queue.drain(..taken).collect()
}

impl Sequencer for Link {
    fn has_outbox(&self) -> bool {
        true
    }

    fn order(&self, configuration: &Configuration) -> Result<(), ServiceError> {
        let _turn = self.turn();
        // Read together with the sequence: the consumer may note another node's configuration at any time.
        let end = self.state().end_after(configuration.sequence - 1)?;
        match self.publish_after(configuration, end) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(ServiceError::OutcomeUnknown(BEGAN_AGAIN.to_owned())),
            Err(StreamError::Superseded) => Err(ServiceError::Superseded),
            Err(error @ (StreamError::TooLarge { .. } | StreamError::Full(_))) => {
                Err(ServiceError::StreamAway(error.to_string()))
            }
            Err(error @ StreamError::Unseen) => {
                self.away(&error);
                Err(ServiceError::StreamAway(error.to_string()))
            }
            Err(error) => {
                self.away(&error);
                Err(ServiceError::OutcomeUnknown(error.to_string()))
            }
        }
    }

    fn confirm(&self, sequence: u64) -> Result<(), ServiceError> {
        if self.settings.is_planted(Planted::NoFence) {
            return Ok(());
        }
        let _turn = self.turn();
        let end = self.state().end_after(sequence)?;
        let payload = self.writer().fence(self.now());
        match self.noting_room(self.stream.publish_after(Subject::Configuration, &payload, end.position)) {
            Ok(position) => {
                let taken = self.state_in(end.epoch).map(|mut state| state.take_place(position));
                taken.ok_or_else(|| ServiceError::StreamAway(BEGAN_AGAIN.to_owned()))
            }
            Err(StreamError::Superseded) => Err(ServiceError::Superseded),
            Err(error @ StreamError::Full(_)) => Err(ServiceError::StreamAway(error.to_string())),
            Err(error) => {
                self.away(&error);
                Err(ServiceError::StreamAway(error.to_string()))
            }
        }
    }

    fn acknowledge(&self, entry: u64, done: Acknowledge) {
        self.metrics.enter(entry);
        let mut state = self.state();
        let is_new = entry > state.last_entry;
        state.last_entry = state.last_entry.max(entry);
        let is_replicated = !self.settings.replicated || entry <= state.acked_entry;
        let done = if is_replicated || state.is_stopping {
            Some(done)
        } else {
            let now = self.now();
            state.waiting.push_back((entry, now, done));
            None
        };
        drop(state);
        if is_new {
            self.changed.notify_all();
        }
        if let Some(done) = done {
            // A node that stops publishes the entry after its next start.
            done(if is_replicated { Ok(()) } else { Err(ServiceError::NotReplicated) });
        }
    }

    fn metrics(&self) -> Option<&Arc<Fleet>> {
        Some(&self.metrics)
    }
}

/// Returns the digest of a configuration. All nodes of a fleet have the same digest for the same sequence, also those that
/// received the configuration through an earlier version, which drops its actor and its names.
pub(super) fn digest(configuration: &Configuration) -> u64 {
    let Configuration { sequence, environment, at, changes, .. } = configuration;
    let shared = Shared { sequence: *sequence, environment: *environment, at: *at, changes };
    message::fingerprint(&serde_json::to_vec(&shared).expect("a configuration has only text and integers"))
}

/// The fields of a configuration that each version keeps, in the order in which they are written.
#[derive(serde::Serialize)]
struct Shared<'a> {
    sequence: u64,
    environment: EnvironmentId,
    at: Timestamp,
    changes: &'a [Change],
}

/// Returns the digest of a configuration, for the parent of the next one.
#[cfg(feature = "__testing")]
pub fn digest_for_tests(configuration: &Configuration) -> u64 {
    digest(configuration)
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("settings", &self.settings).field("metrics", &self.metrics).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Actor;
    use crate::fleet::{Bounds, Delivery, Snapshot};
    use crate::id::AgentId;
    use std::io::Read;

    /// A stream that takes each configuration, at the position after the last one.
    struct Takes;

    impl Stream for Takes {
        fn publish(&self, _: &[(Subject, Vec<u8>)]) -> Result<Position, StreamError> {
            unreachable!("no call is published")
        }

        fn publish_after(&self, _: Subject, _: &[u8], last: Position) -> Result<Position, StreamError> {
            Ok(Position(last.0 + 1))
        }

        fn consume(&self, _: Position, _: usize, _: Duration) -> Result<Vec<Delivery>, StreamError> {
            unreachable!("nothing is consumed")
        }

        fn message_at(&self, _: Position) -> Result<Option<Delivery>, StreamError> {
            unreachable!("no message is read")
        }

        fn bounds(&self) -> Result<Bounds, StreamError> {
            unreachable!("nobody asks for the bounds")
        }

        fn last_configuration(&self) -> Result<Option<Delivery>, StreamError> {
            unreachable!("nobody asks for a configuration")
        }

        fn truncate(&self, _: Position) -> Result<(), StreamError> {
            unreachable!("the stream stays whole")
        }

        fn write_snapshot(&self, _: Position, _: &mut dyn Read) -> Result<(), StreamError> {
            unreachable!("there is no snapshot")
        }

        fn read_snapshot(&self) -> Result<Option<Snapshot>, StreamError> {
            unreachable!("there is no snapshot")
        }
    }

    const NOW: Timestamp = Timestamp::from_secs(1_780_315_200);

    fn configuration(sequence: u64) -> Configuration {
        let changes = vec![Change::AgentPublished { id: AgentId::from_u128(9) }];
        Configuration::new(sequence, EnvironmentId::from_u128(1), NOW, changes)
    }

    /// Returns a link of a settled node, whose last configuration is number 7 at position 10.
    fn settled() -> Arc<Link> {
        let link = Link::new(Settings::new(|| NOW), Arc::new(Takes));
        link.state().note(Position(10), &configuration(7), 0);
        link.stand(Standing::Settled, 0);
        link
    }

    fn known(link: &Link) -> (Position, u64) {
        let state = link.state();
        (state.configuration, state.sequence)
    }

    /// The thread of snapshots and the consumer read a sequence first and publish later. A request may have published the
    /// next configurations between the two.
    #[test]
    fn only_the_last_configuration_is_published_again_and_only_the_next_one_after_it() {
        let link = settled();
        for other in [5, 6, 8, 9] {
            let published = link.publish_last(&configuration(other), 0);
            assert!(matches!(published, Err(StreamError::Superseded)), "{other}: {published:?}");
        }
        for other in [5, 6, 7, 9] {
            let published = link.publish_next(&configuration(other));
            assert!(matches!(published, Err(StreamError::Superseded)), "{other}: {published:?}");
        }
        assert_eq!(known(&link), (Position(10), 7));
        let (position, _) = link.publish_last(&configuration(7), 0).expect("it is published").expect("in this epoch");
        assert_eq!((position, known(&link)), (Position(11), (Position(11), 7)));
        link.publish_next(&configuration(8)).expect("it is published");
        assert_eq!(known(&link), (Position(12), 8));
    }

    /// A node that has begun again may not know yet which configuration is the last one.
    #[test]
    fn a_snapshot_begins_in_its_epoch_and_on_a_settled_node_only() {
        let link = settled();
        link.begin_again(false);
        let superseded = |published| matches!(published, Err(StreamError::Superseded));
        assert!(superseded(link.publish_last(&configuration(7), 1)), "the node is not settled");
        link.stand(Standing::Settled, 0);
        assert!(superseded(link.publish_last(&configuration(7), 0)), "the snapshot is of an earlier epoch");
        assert!(matches!(link.publish_last(&configuration(7), 1), Ok(Some(_))));
    }

    /// Another thread of the node may receive the only report of a lost connection while the consumer asks the stream.
    #[test]
    fn a_stream_that_is_lost_while_it_is_asked_remains_lost() {
        let link = settled();
        let lost = StreamError::Away("the connection was lost".into());
        link.away(&lost);
        let asked = link.state().losses;
        link.away(&lost);
        link.stand(Standing::Settling, asked);
        let (standing, is_away) = {
            let state = link.state();
            (state.standing.clone(), state.away.is_some())
        };
        assert_eq!((standing, is_away), (Standing::Unsettled, true));
        link.stand(Standing::Settling, asked + 1);
        assert!(link.may_publish());
    }

    /// A node that begins again publishes all that the stream has not delivered. An acknowledgement of a message from before
    /// would make it begin again once more, because it will not find the message where it looks.
    #[test]
    fn acknowledgements_of_an_earlier_epoch_do_not_count() {
        let link = settled();
        link.begin_again(false);
        let acked = Acked { position: Position(13), fingerprint: 1, entry: 2 };
        link.acknowledged(acked, 0);
        let acknowledged = || {
            let state = link.state();
            (state.acked.len(), state.acked_entry)
        };
        assert_eq!(acknowledged(), (0, 0));
        link.acknowledged(acked, 1);
        assert_eq!(acknowledged(), (1, 2));
    }

    /// The thread of snapshots reads one while the consumer sees a newer one.
    #[test]
    fn a_snapshot_that_was_read_earlier_does_not_replace_a_later_sighting() {
        let link = settled();
        let before = link.state().sightings;
        link.state().see(Sighting { at: Position(9), ..Sighting::default() });
        link.state().see_read(Sighting { at: Position(4), ..Sighting::default() }, before);
        assert_eq!(link.state().snapshot.at, Position(9));
        // The stream is another one: its positions begin again.
        link.state().see_read(Sighting { at: Position(2), ..Sighting::default() }, before + 1);
        assert_eq!(link.state().snapshot.at, Position(2));
    }

    /// A call that is recorded while the node stops is not at the other nodes yet.
    #[test]
    fn replicated_call_is_not_acknowledged_while_the_node_stops() {
        let settings = Settings { replicated: true, ..Settings::new(|| NOW) };
        let link = Link::new(settings, Arc::new(Takes));
        let acknowledged = |entry| {
            let (tell, told) = std::sync::mpsc::channel();
            link.acknowledge(entry, Box::new(move |result| _ = tell.send(result.is_ok())));
            told.try_recv().ok()
        };
        assert_eq!(acknowledged(1), None, "it waits");
        link.acknowledged(Acked { position: Position(1), fingerprint: 1, entry: 2 }, 0);
        assert_eq!(acknowledged(2), Some(true), "the stream has it");
        link.stop();
        assert_eq!((acknowledged(2), acknowledged(3)), (Some(true), Some(false)));
    }

    /// The age of a snapshot begins when the node first saw it, also before a restart. The thread of snapshots may look before
    /// the node has read its stored place.
    #[test]
    fn stored_time_of_a_snapshot_counts_if_it_is_still_the_newest() {
        let (early, late) = (Timestamp::from_secs(1), Timestamp::from_secs(2));
        for (looked, expected) in [(None, early), (Some(Position(9)), early), (Some(Position(10)), late)] {
            let link = Link::new(Settings::new(|| NOW), Arc::new(Takes));
            let mut state = link.state();
            if let Some(at) = looked {
                state.see(Sighting { at, seen_at: Some(late), ..Sighting::default() });
            }
            state.recall(Position(9), Some(early));
            assert_eq!(state.snapshot.seen_at, Some(expected), "{looked:?}");
            assert_eq!(state.snapshot.at, looked.unwrap_or(Position(9)));
            // A smaller gap would make the node read the snapshot, and publish all its data again, at each start.
            assert_eq!(state.snapshot.gap, looked.map_or(Position(u64::MAX), |_| Position::START));
        }
    }

    /// A node of an earlier version has the text without the two fields, and computes the digest of that text. Nodes of both
    /// versions must agree on what the next configuration follows.
    #[test]
    fn digest_is_that_of_the_text_of_an_earlier_version() {
        let agent = AgentId::from_u128(9);
        let changes = vec![Change::AgentPublished { id: agent }];
        let plain = Configuration::new(4, EnvironmentId::from_u128(1), Timestamp::from_secs(1_780_315_200), changes);
        let text = format!(
            r#"{{"sequence":4,"environment":"{}","at":1780315200000,"changes":[{{"agent_published":{{"id":"{agent}"}}}}]}}"#,
            EnvironmentId::from_u128(1)
        );
        assert_eq!(digest(&plain), message::fingerprint(text.as_bytes()));
        let mut names = crate::event::Names::default();
        names.set_agent(agent, "Desk");
        let whole = plain.clone().by(Actor::Command).with_names(names);
        assert_eq!(digest(&whole), digest(&plain));
        assert!(whole.changes_alike(&plain) && whole != plain);
        let other = Configuration { at: Timestamp::from_secs(1_780_315_201), ..whole.clone() };
        assert_ne!(digest(&other), digest(&plain));
        assert!(!whole.changes_alike(&other));
    }
}
