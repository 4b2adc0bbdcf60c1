//! What a node's threads and its service have in common.

use super::message::{self, Writer};
use super::settings::Settings;
use super::stream::{Position, Stream, StreamError, Subject};
use crate::event::Configuration;
use crate::metrics::{Fleet, FleetState};
use crate::service::{Acknowledge, Sequencer, ServiceError};
use crate::time::Timestamp;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A node's connection to its fleet: the [`Sequencer`] of its service, and what a [`Node`](super::Node) works on.
pub struct Link {
    pub(super) settings: Settings,
    pub(super) stream: Arc<dyn Stream>,
    pub(super) metrics: Arc<Fleet>,
    writer: Mutex<Writer>,
    state: Mutex<State>,
    changed: Condvar,
}

/// How the node stands to its stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// What the stream has is not known yet, or the node has configurations that the stream may lack.
    Unsettled,
    /// The stream has all configurations of the node. Whether others have more is waited for.
    Settling,
    /// Configurations can be changed.
    Settled,
    /// The stream has other configurations than the node: it takes and gives no more of them.
    Conflict(String),
}

/// What the stream acknowledged and has not brought back yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Acked {
    /// The last message of some that were published together.
    pub(super) position: Position,
    pub(super) fingerprint: u64,
    /// The last entry of the outbox in them.
    pub(super) entry: u64,
}

pub(super) struct State {
    pub(super) standing: Standing,
    /// Why the stream cannot be reached.
    pub(super) away: Option<String>,
    /// The last message about configurations that is known to be in the stream, and its sequence.
    pub(super) configuration: Position,
    pub(super) sequence: u64,
    /// The digests of the configuration of that sequence, and of the one before.
    pub(super) digest: u64,
    pub(super) parent: u64,
    pub(super) acked: VecDeque<Acked>,
    /// Rises when the stream turns out to have lost something: what was published before counts no more.
    pub(super) epoch: u64,
    /// Up to where the node has consumed, and in force what it brought.
    pub(super) consumed: Position,
    /// Whether all has to be published again; the epoch in which it has been, and where the last of it is.
    pub(super) republish: bool,
    pub(super) republished: Option<(u64, Position)>,
    /// When a node last began a snapshot, as far as was heard.
    pub(super) snapshot_at: Option<Timestamp>,
    /// The last entry of the outbox there is, and the last one that the stream has acknowledged.
    last_entry: u64,
    acked_entry: u64,
    waiting: VecDeque<(u64, Timestamp, Acknowledge)>,
    is_stopping: bool,
}

impl Link {
    /// A connection to be.
    pub fn new(settings: Settings, stream: Arc<dyn Stream>) -> Arc<Self> {
        let metrics = Arc::new(Fleet::default());
        metrics.set_lag_limit(u64::try_from(settings.lag_limit.as_millis()).unwrap_or(u64::MAX));
        let state = State {
            standing: Standing::Unsettled,
            away: None,
            configuration: Position::START,
            sequence: 0,
            digest: 0,
            parent: 0,
            acked: VecDeque::new(),
            epoch: 0,
            consumed: Position::START,
            republish: false,
            republished: None,
            snapshot_at: None,
            last_entry: 0,
            acked_entry: 0,
            waiting: VecDeque::new(),
            is_stopping: false,
        };
        let writer = Mutex::new(Writer::new(settings.node));
        Arc::new(Self { settings, stream, metrics, writer, state: Mutex::new(state), changed: Condvar::new() })
    }

    /// What is counted.
    pub fn metrics(&self) -> &Arc<Fleet> {
        &self.metrics
    }

    /// Whether all that the node has is still to be published again.
    #[cfg(feature = "__testing")]
    #[doc(hidden)]
    pub fn is_republishing(&self) -> bool {
        self.state().republish
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

    /// Publishes a configuration: the one after the last that is known, or that one again. The position it got, and its fingerprint.
    pub(super) fn publish_configuration(&self, configuration: &Configuration) -> Result<(Position, u64), StreamError> {
        let (last, parent) = {
            let state = self.state();
            let is_again = configuration.sequence == state.sequence;
            (state.configuration, if is_again { state.parent } else { state.digest })
        };
        let payload = self.writer().configuration(self.now(), parent, configuration);
        let position = self.stream.publish_after(Subject::Configuration, &payload, last)?;
        self.state().note(position, configuration, parent);
        Ok((position, message::fingerprint(&payload)))
    }

    /// Notes that the stream cannot be reached, and whatever else that says.
    pub(super) fn away(&self, error: &StreamError) {
        let mut state = self.state();
        state.away = Some(error.to_string());
        if !matches!(state.standing, Standing::Conflict(_)) {
            state.standing = Standing::Unsettled;
        }
        drop(state);
        self.show();
    }

    /// The stream is taken from its beginning: what was known of it is not known any more.
    pub(super) fn begin_again(&self) {
        let mut state = self.state();
        state.standing = Standing::Unsettled;
        state.acked.clear();
        state.epoch += 1;
        state.consumed = Position::START;
    }

    /// Notes how the node stands.
    pub(super) fn stand(&self, standing: Standing) {
        let mut state = self.state();
        state.away = None;
        if !matches!(state.standing, Standing::Conflict(_)) {
            state.standing = standing;
        }
        drop(state);
        self.changed.notify_all();
        self.show();
    }

    fn show(&self) {
        let state = self.state();
        let shown = match (&state.standing, &state.away) {
            (Standing::Conflict(what), _) => FleetState::Stopped(what.clone()),
            (_, Some(why)) => FleetState::Away(why.clone()),
            (Standing::Settled, None) => FleetState::Following,
            (Standing::Unsettled | Standing::Settling, None) => FleetState::Joining,
        };
        drop(state);
        self.metrics.set_state(shown);
    }

    /// Notes that all has been published again in this epoch. The last of it that has not come by is the last that was acknowledged:
    /// nobody else publishes calls.
    pub(super) fn republished(&self, epoch: u64) {
        let mut state = self.state();
        let last = state.acked.back().map_or(Position::START, |acked| acked.position);
        state.republished = Some((epoch, last));
    }

    /// Whether calls may be published: not before the configurations that they need.
    pub(super) fn may_publish(&self) -> bool {
        let state = self.state();
        state.away.is_none() && state.standing != Standing::Unsettled
    }

    /// Notes what the stream has acknowledged, and tells those who wait for it.
    pub(super) fn acknowledged(&self, acked: Acked) {
        let mut state = self.state();
        state.acked.push_back(acked);
        state.acked_entry = state.acked_entry.max(acked.entry);
        let reached = state.acked_entry;
        let done = take_while(&mut state.waiting, |(entry, _, _)| *entry <= reached);
        drop(state);
        for (_, _, done) in done {
            done(Ok(()));
        }
    }

    /// The last entry of the outbox that the stream has acknowledged.
    pub(super) fn acked_entry(&self) -> u64 {
        self.state().acked_entry
    }

    /// Tells those who have waited long enough.
    pub(super) fn expire(&self) {
        let now = self.now();
        let wait = u64::try_from(self.settings.replicated_wait.as_millis()).unwrap_or(u64::MAX);
        let mut state = self.state();
        let done = take_while(&mut state.waiting, |(_, since, _)| now.millis_since(*since) >= wait);
        drop(state);
        for (_, _, done) in done {
            done(Err(ServiceError::NotReplicated));
        }
    }

    /// Waits until there may be something to publish, or for that long.
    pub(super) fn wait(&self, published: u64, long: Duration) {
        let state = self.state();
        let idle = |state: &mut State| !state.is_stopping && state.last_entry <= published;
        drop(self.changed.wait_timeout_while(state, long, idle).unwrap_or_else(PoisonError::into_inner));
    }

    /// Sleeps, unless the node stops.
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
        self.state().is_stopping
    }
}

impl State {
    /// This configuration is in the stream at this position, and the last one as far as is known.
    pub(super) fn note(&mut self, position: Position, configuration: &Configuration, parent: u64) {
        if position > self.configuration {
            self.configuration = position;
            (self.sequence, self.digest, self.parent) = (configuration.sequence, digest(configuration), parent);
        }
    }
}

fn take_while<T>(queue: &mut VecDeque<T>, is_taken: impl Fn(&T) -> bool) -> Vec<T> {
    let taken = queue.iter().take_while(|item| is_taken(item)).count();
    queue.drain(..taken).collect()
}

impl Sequencer for Link {
    fn has_outbox(&self) -> bool {
        true
    }

    fn order(&self, configuration: &Configuration) -> Result<(), ServiceError> {
        let state = self.state();
        let away = |what: &str| Err(ServiceError::StreamAway(what.to_owned()));
        match (&state.away, &state.standing) {
            (_, Standing::Conflict(what)) => return away(what),
            (Some(why), _) => return away(why),
            (None, Standing::Unsettled | Standing::Settling) => return away("it is being looked at what it holds"),
            (None, Standing::Settled) => {}
        }
        // Another node's is on its way to this service.
        if configuration.sequence != state.sequence + 1 {
            return Err(ServiceError::Superseded);
        }
        drop(state);
        match self.publish_configuration(configuration) {
            Ok(_) => Ok(()),
            Err(StreamError::Superseded) => Err(ServiceError::Superseded),
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

    fn acknowledge(&self, entry: u64, done: Acknowledge) {
        let mut state = self.state();
        let is_new = entry > state.last_entry;
        state.last_entry = state.last_entry.max(entry);
        let waits = self.settings.replicated && entry > state.acked_entry && !state.is_stopping;
        let done = if waits {
            let now = self.now();
            state.waiting.push_back((entry, now, done));
            None
        } else {
            Some(done)
        };
        drop(state);
        if is_new {
            self.changed.notify_all();
        }
        if let Some(done) = done {
            done(Ok(()));
        }
    }

    fn metrics(&self) -> Option<&Arc<Fleet>> {
        Some(&self.metrics)
    }
}

/// The digest of a configuration: two nodes have the same one at a sequence, or they are of different fleets.
pub(super) fn digest(configuration: &Configuration) -> u64 {
    message::fingerprint(&serde_json::to_vec(configuration).expect("a configuration has only text and integers"))
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("settings", &self.settings).field("metrics", &self.metrics).finish_non_exhaustive()
    }
}
