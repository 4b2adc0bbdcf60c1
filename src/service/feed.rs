//! The feeds of events: what a commit adds to them, reading them, and waiting for more.

use super::Service;
use crate::engine::Engine;
use crate::event::{Call, CallId, Change, Configuration};
use crate::id::EnvironmentId;
use crate::plan::{EnvironmentView, Plan};
use crate::record::DecisionRecord;
use crate::slot::{EnvironmentSlot, Scope};
use crate::store::{EventKind, EventStore, FeedCall, FeedChange, FeedEnds, FeedPage, FeedQuery, NewEvent, StoreError};
use crate::time::Timestamp;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How long the events of a feed are kept, and how many.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FeedSettings {
    /// The number of days for which an event is kept, at most [`MAX_KEEP_DAYS`](super::MAX_KEEP_DAYS). With 0, none are
    /// written, and those that exist are removed.
    pub keep_days: u32,
    /// The most events of one environment. The oldest are removed first.
    pub max_per_environment: u64,
}

impl Default for FeedSettings {
    fn default() -> Self {
        Self { keep_days: 7, max_per_environment: 1_000_000 }
    }
}

impl FeedSettings {
    /// Returns whether events are written.
    pub(super) fn is_on(&self) -> bool {
        self.keep_days > 0
    }

    /// Prepares the store for events.
    pub(super) fn begin(self, store: &mut impl EventStore, engine: &Engine) -> Result<(), StoreError> {
        store.begin_feed(engine.now().unwrap_or(Timestamp::from_millis(0)), self.max_per_environment)
    }
}

/// Returns the event of a routed call. `text` is the record as JSON.
pub(super) fn decided(environment: Scope, id: u128, at: Timestamp, record: &DecisionRecord, text: Vec<u8>) -> NewEvent {
    let known_at = record.call.as_ref().map_or(at, |call| call.at.min(at));
    NewEvent { environment, kind: EventKind::RouteDecided, at, id: Some(id), contact: record.caller, known_at, text }
}

/// Returns the event of an answer.
pub(super) fn answered(environment: Scope, id: u128, at: Timestamp) -> NewEvent {
    let kind = EventKind::RouteAnswered;
    NewEvent { environment, kind, at, id: Some(id), contact: None, known_at: at, text: Vec::new() }
}

/// Returns the event of a call that was recorded.
pub(super) fn called(environment: EnvironmentSlot, call: &Call, id: Option<&CallId>, at: Timestamp) -> NewEvent {
    let Call { agent, from, to, at: placed, outcome, .. } = *call;
    let call_id = id.map(|id| id.as_str().to_owned());
    NewEvent {
        environment: environment.into(),
        kind: EventKind::CallRecorded,
        at,
        id: None,
        contact: Some(to),
        known_at: placed,
        text: written(&FeedCall { agent, from, to, at: placed, outcome, call_id }),
    }
}

/// Returns the event of a configuration, which made this plan. `None` if it belongs to no environment, or only keeps the
/// answer to a request.
pub(super) fn configured(plan: &Plan, configuration: &Configuration) -> Option<NewEvent> {
    let environment = plan.environment_slot(configuration.environment)?.into();
    let changes = configuration.changes.iter().filter(|change| !matches!(change, Change::AnswerGiven { .. })).count();
    let revision = plan.environment(configuration.environment).map_or(0, EnvironmentView::revision);
    let text = written(&FeedChange { revision, actor: configuration.actor.clone(), changes });
    let (kind, at) = (EventKind::ConfigurationChanged, configuration.at);
    (changes > 0).then_some(NewEvent { environment, kind, at, id: None, contact: None, known_at: at, text })
}

#[cfg(feature = "serde")]
pub(super) fn written(content: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(content).expect("the content has only text and integers")
}

/// A store that keeps events or records needs the feature `serde` to read them.
#[cfg(not(feature = "serde"))]
pub(super) fn written<T>(_: &T) -> Vec<u8> {
    Vec::new()
}

/// Called once, when an environment has a new event.
type Wake = Box<dyn FnOnce() + Send>;

/// The functions to call when environments have new events.
#[derive(Default)]
pub(super) struct Watchers(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    last: u64,
    waiting: HashMap<Scope, Vec<(u64, Wake)>, ahash::RandomState>,
}

impl Watchers {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(self: &Arc<Self>, environment: Scope, wake: Wake) -> FeedWatch {
        let mut state = self.lock();
        state.last += 1;
        let number = state.last;
        state.waiting.entry(environment).or_default().push((number, wake));
        FeedWatch { watchers: Arc::clone(self), environment, number }
    }

    /// Calls the functions of these environments. They must not wait.
    pub(super) fn wake(&self, environments: &BTreeSet<Scope>) {
        for environment in environments {
            let woken = self.lock().waiting.remove(environment);
            woken.into_iter().flatten().for_each(|(_, wake)| wake());
        }
    }
}

impl fmt::Debug for Watchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watchers").finish_non_exhaustive()
    }
}

/// A wait for the next event of an environment. It ends when this is dropped.
#[must_use = "the wait ends when this is dropped"]
#[derive(Debug)]
pub struct FeedWatch {
    watchers: Arc<Watchers>,
    environment: Scope,
    number: u64,
}

impl Drop for FeedWatch {
    fn drop(&mut self) {
        let mut state = self.watchers.lock();
        if let Some(waiting) = state.waiting.get_mut(&self.environment) {
            waiting.retain(|(number, _)| *number != self.number);
            if waiting.is_empty() {
                state.waiting.remove(&self.environment);
            }
        }
    }
}

impl Service {
    /// Returns whether this service writes events: see [`Builder::feed`](super::Builder::feed).
    pub fn has_feed(&self) -> bool {
        self.is_feeding
    }

    /// Returns where the feed of an environment begins and ends. `None` if there is no such environment, or no feed, or the store
    /// has been closed.
    pub fn feed_ends(&self, environment: EnvironmentId) -> Option<FeedEnds> {
        let slot = self.plan().environment_slot(environment)?;
        self.feed.0.as_ref().filter(|_| self.is_feeding).and_then(|feed| feed.ends(slot.into()))
    }

    /// Returns a part of an environment's feed, in the order of its events. `query` receives the scope of the environment.
    /// Returns `None` if events after the number of the query were removed because they had expired or were too many.
    ///
    /// # Errors
    /// The store cannot be read or keeps no events, or there is no such environment, also while the service loads its data. An
    /// event that can be read and is not valid is no error.
    pub fn events_of(
        &self,
        environment: EnvironmentId,
        query: impl FnOnce(Scope) -> FeedQuery,
    ) -> Result<Option<FeedPage>, StoreError> {
        // Not an empty page: its place would be the oldest event.
        let no_feed = || StoreError::Engine("the environment has no feed of events here".into());
        let slot = self.plan().environment_slot(environment).ok_or_else(no_feed)?;
        self.feed.0.as_ref().ok_or_else(no_feed)?.page(&query(slot.into()))
    }

    /// Calls `wake` once, after the next commit that adds an event of this environment. `wake` runs on the committing thread
    /// and must not wait. Returns `None` if there is no such environment.
    ///
    /// Read the feed after this call: an event that was committed before it wakes nobody.
    pub fn watch_feed(&self, environment: EnvironmentId, wake: impl FnOnce() + Send + 'static) -> Option<FeedWatch> {
        let slot = self.plan().environment_slot(environment)?;
        Some(self.watchers.add(slot.into(), Box::new(wake)))
    }
}
