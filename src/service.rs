//! The service: store first, then apply to the engine, then acknowledge.
//!
//! One committer thread collects the commands of many callers. It makes a group of them durable with one sync (group
//! commit), applies them to the engine in the same order, and then acknowledges them. Decisions do not pass through the
//! service: they read the engine.
//!
//! An acknowledged change is as durable as the store's [`Durability`] says. After a store has failed once, the service
//! does not write to it again. From then on each change fails with [`ServiceError::NotDurable`], and the engine
//! continues to route from memory.

mod builder;
mod calls;
mod command;
mod commit;
mod error;
mod feed;
mod group;
mod loading;
mod merging;
mod ordering;
mod outbox;
mod pending_calls;
mod pending_totals;
mod recorder;
mod recording;
mod recovery;
mod retention;
mod sequencer;
mod shares;
mod statistics;
mod statistics_flusher;
mod webhooks;

use crate::decision::{Decision, Trace};
use crate::engine::{Applied, Engine, Reader};
use crate::event::{Change, Event, Stamp};
use crate::history::{History, Keeper, Register};
use crate::id::EnvironmentId;
use crate::metrics::{Commits, Fleet, Metrics, RecordCounts};
use crate::number::{Caller, E164};
use crate::plan::{ConfigError, Plan};
use crate::store::{
    Durability, EventStore, Excerpts, Export, StoreError, StoredCalls, StoredFeed, StoredFleetState, StoredRecords,
    StoredWebhooks,
};
use crate::tally::Totals;
use crate::time::Timestamp;
use command::{Command, Submitted};
use commit::{Committer, KnownCalls};
use feed::Watchers;
use loading::Loading;
use ordering::Ordering;
use recorder::Recorder;
use statistics_flusher::StatisticsFlusher;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::thread::{self, JoinHandle};

use builder::Setup;
pub use builder::{Builder, DEFAULT_MAX_CONTEXT_BYTES};
pub use calls::KnownCall;
#[cfg(feature = "fleet")]
pub(crate) use calls::{joined, joined_of_stored};
pub use command::KeptWebhook;
pub use error::{ContextsFull, ServiceError, ShareUsed};
pub use feed::{FeedSettings, FeedWatch};
pub use merging::{Load, Merge, Pair};
pub use pending_totals::{ANSWERABLE_DAYS, AnswerReport};
pub use recorder::{MAX_KEEP_DAYS, RecordSettings};
pub use recovery::Recovered;
pub use sequencer::{Acknowledge, Alone, Consumed, CutOff, Sequencer};
pub use statistics::{Callbacks, Statistics};

/// How far in the future a reported call may be dated: one day. This accepts a gateway that reports local time as UTC.
/// Later dates are rejected, because such a call would stay the pair's last call until its date has passed.
pub const MAX_SKEW_MILLIS: u64 = 24 * 60 * 60 * 1000;

/// An engine whose changes are durable. Share it in an [`Arc`].
#[derive(Debug)]
pub struct Service {
    engine: Arc<Engine>,
    commands: Option<mpsc::Sender<Submitted>>,
    durability: Durability,
    commits: Arc<Commits>,
    failure: Arc<Failure>,
    loading: Arc<Loading>,
    export: Exports,
    excerpts: Shared<Excerpts>,
    calls: Shared<dyn StoredCalls>,
    records: Shared<dyn StoredRecords>,
    record_counts: Arc<RecordCounts>,
    feed: Shared<dyn StoredFeed>,
    webhooks: Shared<dyn StoredWebhooks>,
    watchers: Arc<Watchers>,
    is_feeding: bool,
    recorder: Option<Recorder>,
    committer: Option<JoinHandle<()>>,
    statistics_flusher: Option<StatisticsFlusher>,
    totals: Arc<RwLock<Totals>>,
    secret: Option<[u8; 16]>,
    sequencer: Shared<dyn Sequencer>,
    fleet_state: Shared<dyn StoredFleetState>,
    /// Grows the history off the committer's path.
    _keeper: Option<Keeper>,
}

impl Service {
    /// Returns a builder of a service over this store, which starts with an engine of the default size.
    ///
    /// ```
    /// use dialback::{Engine, Service, store::MemoryStore};
    ///
    /// let service = Service::builder(MemoryStore).engine(Engine::with_max_pairs(1_000_000)).start()?;
    /// assert!(service.history().is_empty());
    /// # Ok::<(), dialback::store::StoreError>(())
    /// ```
    pub fn builder<S: EventStore>(store: S) -> Builder<S> {
        Builder::new(store)
    }

    /// Starts the committer thread. The thread runs `load` first, and ends if `load` returns `false`.
    fn begin<S: EventStore>(
        Setup { sequencer, keeper, max_context_bytes, feed }: Setup,
        mut store: S,
        engine: Engine,
        totals: Totals,
        loading: Loading,
        load: impl FnOnce(&mut S, &Engine, &RwLock<Totals>, &Loading) -> bool + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (engine, loading) = (Arc::new(engine), Arc::new(loading));
        let failure = Arc::<Failure>::default();
        let (commands, queue) = mpsc::channel();
        let commits = Arc::<Commits>::default();
        let (durability, secret, export) = (store.durability(), store.secret(), Exports(store.export()));
        let (fleet_state, excerpts, records) = (store.fleet_state(), Shared(store.excerpts()), Shared(store.records()));
        let calls = store.calls();
        let known = KnownCalls { stored: calls.clone(), max_bytes: max_context_bytes };
        let record_counts = Arc::<RecordCounts>::default();
        let (stored_feed, watchers) = (Shared(store.feed()), Arc::<Watchers>::default());
        let webhooks = Shared(store.webhooks());
        let feed = feed.filter(|feed| feed.is_on() && stored_feed.0.is_some());
        let is_feeding = feed.map(|feed| feed.begin(&mut store, &engine)).transpose()?.is_some();
        let last_entry = fleet_state.as_ref().map_or(Ok(0), |fleet_state| fleet_state.last_entry())?;
        let totals = Arc::new(RwLock::new(totals));
        let order = || Ordering::start(Arc::clone(&sequencer), commands.clone());
        let ordering = sequencer.has_outbox().then(order).transpose().map_err(no_thread)?;
        let sequencer_there = Arc::clone(&sequencer);
        let (engine_there, loading_there) = (Arc::clone(&engine), Arc::clone(&loading));
        let (failure_there, counted, totals_there) = (Arc::clone(&failure), Arc::clone(&commits), Arc::clone(&totals));
        let (records_there, watchers_there) = (Arc::clone(&record_counts), Arc::clone(&watchers));
        let work = move || {
            if load(&mut store, &engine_there, &totals_there, &loading_there) {
                let store = Box::new(store);
                let (engine, failure, totals) = (engine_there, failure_there, totals_there);
                Committer::new(store, engine, failure, counted, totals, sequencer_there, last_entry)
                    .keeping(known)
                    .counting(records_there)
                    .feeding(is_feeding, watchers_there)
                    .run(ordering, &queue);
            }
        };
        let thread = thread::Builder::new().name("dialback-commit".into()).spawn(work).map_err(no_thread)?;
        let statistics_flusher = StatisticsFlusher::start(Arc::clone(&engine), commands.clone()).map_err(no_thread)?;
        let (commands, committer, statistics_flusher) = (Some(commands), Some(thread), Some(statistics_flusher));
        Ok(Self {
            engine,
            commands,
            durability,
            commits,
            failure,
            loading,
            export,
            excerpts,
            calls: Shared(calls),
            records,
            record_counts,
            feed: stored_feed,
            webhooks,
            watchers,
            is_feeding,
            recorder: None,
            committer,
            statistics_flusher,
            totals,
            secret,
            sequencer: Shared(Some(sequencer)),
            fleet_state: Shared(fleet_state),
            _keeper: keeper,
        })
    }

    /// Returns how far [loading](Builder::load) has come, or `None` when it is complete.
    ///
    /// The plan is complete before the first pair is loaded. Until then its generation is 0.
    pub fn loading(&self) -> Option<Recovered> {
        self.loading.so_far()
    }

    /// Returns the function that exports the store from another thread, as it was after one commit; `None` if this
    /// store cannot be exported.
    pub fn export(&self) -> Option<Arc<Export>> {
        self.export.0.clone()
    }

    /// Returns the function that reads the stored configurations, newest first; `None` if this store cannot show them.
    pub fn excerpts(&self) -> Option<Arc<Excerpts>> {
        self.excerpts.0.clone()
    }

    /// Decides where a call goes, as [`Engine::resolve`] does: from memory, in whatever state the store is.
    pub fn resolve(&self, dialed: E164, caller: Caller, now: Timestamp) -> Decision {
        self.engine.resolve(dialed, caller, now)
    }

    /// Decides where a call goes by the given plan; see [`Engine::resolve_on`].
    pub fn resolve_on(&self, plan: &Plan, dialed: E164, caller: Caller, now: Timestamp) -> Decision {
        self.engine.resolve_on(plan, dialed, caller, now)
    }

    /// Decides several calls at once by the given plan; see [`Engine::resolve_batch_on`].
    pub fn resolve_batch_on(&self, plan: &Plan, calls: &[(E164, Caller)], now: Timestamp, decisions: &mut [Decision]) {
        self.engine.resolve_batch_on(plan, calls, now, decisions);
    }

    /// Decides where a call goes by the given plan, and returns why; see [`Engine::explain_on`].
    pub fn explain_on(&self, plan: &Plan, dialed: E164, caller: Caller, now: Timestamp) -> Trace {
        self.engine.explain_on(plan, dialed, caller, now)
    }

    /// Decides where a call goes, and returns why; see [`Engine::explain`].
    pub fn explain(&self, dialed: E164, caller: Caller, now: Timestamp) -> Trace {
        self.engine.explain(dialed, caller, now)
    }

    /// Returns a reader for repeated decisions on one worker thread. It keeps the engine in memory, and the service
    /// may be dropped before it.
    pub fn reader(&self) -> Reader<Arc<Engine>> {
        Reader::new(Arc::clone(&self.engine))
    }

    /// Returns the plan that decisions use now.
    pub fn plan(&self) -> Arc<Plan> {
        self.engine.plan()
    }

    /// Borrows the current plan; see [`Engine::read_plan`].
    #[cfg(feature = "capi")]
    pub(crate) fn read_plan(&self) -> impl std::ops::Deref<Target = Arc<Plan>> + '_ {
        self.engine.read_plan()
    }

    /// Returns the oldest register that can still count for a decision: the longest look-back of all agents and one
    /// more day before `now`. Older registers may be removed from memory ([`History::expire_before`]) and from the
    /// store.
    ///
    /// # Cost
    /// Reads all agents.
    pub fn retention_floor(&self, now: Timestamp) -> Register {
        retention::floor(&self.plan(), now)
    }

    /// Returns the history that decisions read.
    pub fn history(&self) -> &History {
        self.engine.history()
    }

    /// Returns the counters of this service's decisions.
    pub fn metrics(&self) -> &Metrics {
        self.engine.metrics()
    }

    /// Returns the engine, for tests only: changes made to it directly are not durable.
    #[cfg(feature = "__testing")]
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Submits events and returns at once. `done` receives the result of each event when all of them are durable.
    ///
    /// In a fleet, an [`Event::Configuration`] is rejected, because only
    /// [`submit_configuration`](Self::submit_configuration) gives it its place in the common order.
    pub fn submit(&self, events: Vec<Event>, done: impl FnOnce(Recording) + Send + 'static) {
        self.send(Command::Record { events, now: None, are_moved: false, done: Box::new(done) });
    }

    /// Submits events that are reported at the moment `now`, and returns at once. `done` receives the result of each
    /// event when all of them are durable.
    ///
    /// A call is rejected with [`ServiceError::ContactErased`] if an erasure covers it that reached into the future when
    /// it was ordered, or that lasts beyond `now`, because the call may be newer than the erasure. [`submit`](Self::submit) ignores such a call, as it ignores a late
    /// report.
    pub fn submit_at(&self, now: Timestamp, events: Vec<Event>, done: impl FnOnce(Recording) + Send + 'static) {
        self.send(Command::Record { events, now: Some(now), are_moved: false, done: Box::new(done) });
    }

    /// Submits a change of configuration and returns at once.
    ///
    /// The committer calls `decide` with the current plan when the command's turn comes. No other change can happen
    /// between that call and the commit. If `decide` returns no changes, no event is written. `done` receives the plan
    /// right after the change, which is then in force.
    ///
    /// In a fleet, a change waits for its place in the stream's order, also if there are no changes. Later changes wait
    /// for it. Events that are submitted meanwhile do not, and may be committed before it.
    ///
    /// `at` is a time, or the [stamp](crate::Actor::at) of a named actor.
    pub fn submit_configuration(
        &self,
        environment: EnvironmentId,
        at: impl Into<Stamp>,
        decide: impl FnOnce(&Plan) -> Result<Vec<Change>, ConfigError> + Send + 'static,
        done: impl FnOnce(Result<Arc<Plan>, ServiceError>) + Send + 'static,
    ) {
        self.submit_decision(environment, at, |plan| decide(plan).map(Some), done);
    }

    /// Submits a change of configuration as [`submit_configuration`](Self::submit_configuration) does. If `decide`
    /// returns `None`, the caller needs nothing but the plan that `decide` was called with. `done` then receives this
    /// plan without waiting for a fleet.
    pub(crate) fn submit_decision(
        &self,
        environment: EnvironmentId,
        at: impl Into<Stamp>,
        decide: impl FnOnce(&Plan) -> Result<Option<Vec<Change>>, ConfigError> + Send + 'static,
        done: impl FnOnce(Result<Arc<Plan>, ServiceError>) + Send + 'static,
    ) {
        self.send(Command::Configure { environment, stamp: at.into(), decide: Box::new(decide), done: Box::new(done) });
    }

    /// Submits events and waits until they are durable. Returns the result of each event.
    ///
    /// # Errors
    /// [`ServiceError::NotDurable`]: none of the events is in force. Errors of single events are in the returned list.
    pub fn record(&self, events: Vec<Event>) -> Recording {
        wait(|done| self.submit(events, done))
    }

    /// Records calls that this installation had already, now with other numbers. Does what [`record`](Self::record)
    /// does, but does not ask from which status calls count: an [`Event::Call`] enters the history, and an
    /// [`Event::Report`] only makes its call known by its id or its context. A node of a fleet refuses it, because the
    /// other nodes would not receive the events.
    ///
    /// # Errors
    /// [`ServiceError::NotDurable`]: none of the events is in force. Errors of single events are in the returned list.
    pub fn record_moved(&self, events: Vec<Event>) -> Recording {
        wait(|done| self.send(Command::Record { events, now: None, are_moved: true, done }))
    }

    /// Submits a change of configuration, waits until it is durable, and returns the plan after it.
    ///
    /// # Errors
    /// The first change that is invalid, or another [`ServiceError`] such as [`ServiceError::NotDurable`]. In both
    /// cases nothing is in force.
    ///
    /// # Examples
    /// ```
    /// use dialback::{Actor, Change, DialPlan, EnvironmentId, Lookback, Service, Timestamp, store::MemoryStore};
    ///
    /// let service = Service::builder(MemoryStore).start()?;
    /// let (id, now) = (EnvironmentId::from_u128(1), Timestamp::from_secs(1_800_000_000));
    /// let name = "Acme".to_owned();
    /// let change = Change::EnvironmentSet { name, dial_plan: DialPlan::NONE, lookback: Lookback::default() };
    /// let plan = service.configure(id, Actor::Command.at(now), |_| Ok(vec![change]))?;
    /// assert_eq!(plan.environment(id).unwrap().last_change().unwrap().actor, Actor::Command);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn configure(
        &self,
        environment: EnvironmentId,
        at: impl Into<Stamp>,
        decide: impl FnOnce(&Plan) -> Result<Vec<Change>, ConfigError> + Send + 'static,
    ) -> Result<Arc<Plan>, ServiceError> {
        wait(|done| self.submit_configuration(environment, at, decide, done))
    }

    /// Submits messages of a fleet's stream and returns at once. `done` receives the result of each event when all of
    /// them are committed and in force.
    ///
    /// Messages without a configuration are synced about a second later, or with the next change that is acknowledged.
    /// A power failure before that loses them together with the node's place after them, and the stream delivers them
    /// again.
    pub fn submit_consumed(&self, consumed: Consumed, done: impl FnOnce(Recording) + Send + 'static) {
        self.send(Command::Consume { consumed, done: Box::new(done) });
    }

    /// Submits a snapshot whose slots are those of the current plan, and returns at once.
    ///
    /// `load` puts the snapshot into memory. It runs on the committer thread, so that nothing is committed meanwhile.
    /// `loaded` is called after that. `stored` is called when the store holds the snapshot, too. Other commands that are
    /// acknowledged between those two calls are durable.
    pub fn submit_merge(
        &self,
        load: Load,
        loaded: impl FnOnce(Result<(), String>) + Send + 'static,
        stored: impl FnOnce(Result<(), ServiceError>) + Send + 'static,
    ) {
        self.send(Command::Merge { load, loaded: Box::new(loaded), stored: Box::new(stored) });
    }

    /// Returns the state that the store keeps for a fleet; `None` if this store cannot keep one.
    pub fn fleet_state(&self) -> Option<Arc<dyn StoredFleetState>> {
        self.fleet_state.0.clone()
    }

    /// Returns the fleet's counters; `None` if this service belongs to no fleet.
    pub fn fleet(&self) -> Option<&Arc<Fleet>> {
        self.sequencer.0.as_ref()?.metrics()
    }

    /// Returns the counters of the committer.
    pub fn commits(&self) -> &Commits {
        &self.commits
    }

    /// Returns how durable an acknowledged change is.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// Returns why the store failed, if it has failed. Routing continues from memory.
    pub fn failure(&self) -> Option<String> {
        self.failure.get()
    }

    fn send(&self, command: Command) {
        if self.loading.so_far().is_some() {
            return command.refuse(ServiceError::Loading);
        }
        if command.is_of_a_client() && self.commits.is_overfull() {
            return command.refuse(ServiceError::Stalled);
        }
        let commands = self.commands.as_ref().expect("taken only when dropped");
        self.commits.submit(command.len(), command.detail_bytes());
        if let Err(mpsc::SendError(Submitted { command, .. })) = commands.send(Submitted::new(command)) {
            self.commits.refuse(command.len());
            self.commits.free(command.detail_bytes());
            command.refuse(ServiceError::NotDurable(ENDED.to_owned()));
        }
    }
}

impl Drop for Service {
    /// Commits everything that was submitted before, then closes the store.
    fn drop(&mut self) {
        // If an acknowledgement held the last reference, this is the committer thread itself, which ends on its own.
        let elsewhere = |committer: &JoinHandle<()>| committer.thread().id() != thread::current().id();
        // Without this, the recorder could wait for a committer that still loads.
        self.loading.give_up();
        // The last records and the last flush of the statistics must be submitted before the queue is closed.
        if let Some(recorder) = self.recorder.take() {
            recorder.close(self.committer.as_ref().is_some_and(elsewhere));
        }
        drop(self.statistics_flusher.take());
        if let Some(commands) = self.commands.take() {
            // The committer has ended already if it panicked.
            let _ = commands.send(Submitted::new(Command::Close));
        }
        if let Some(committer) = self.committer.take().filter(elsewhere) {
            // A panic of the committer has been reported by its own thread.
            let _ = committer.join();
        }
    }
}

/// An optional shared value; its `Debug` output shows only whether there is one.
struct Shared<T: ?Sized>(Option<Arc<T>>);

impl<T: ?Sized> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&self.0.is_some()).finish()
    }
}

fn no_thread(error: std::io::Error) -> StoreError {
    StoreError::Io { path: "a new thread".into(), error }
}

/// The function that exports the store, if there is one.
struct Exports(Option<Arc<Export>>);

impl fmt::Debug for Exports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Exports").field(&self.0.is_some()).finish()
    }
}

type ServiceResult<T> = Result<T, ServiceError>;

fn wait<T: Send + 'static>(submit: impl FnOnce(Box<dyn FnOnce(ServiceResult<T>) + Send>)) -> ServiceResult<T> {
    let (done, answer) = mpsc::sync_channel(1);
    submit(Box::new(move |value| {
        // The receiver is gone if the waiting thread has panicked.
        let _ = done.send(value);
    }));
    answer.recv().unwrap_or_else(|_| Err(ServiceError::NotDurable(ENDED.to_owned())))
}

/// The error text after the committer thread has ended. If it panicked, the panic has been reported already.
const ENDED: &str = "the committer thread has ended; restart the service";

/// The result of recorded events: one entry for each event, in their order.
pub type Recording = Result<Vec<Result<Applied, ServiceError>>, ServiceError>;

/// Why the store failed. The committer sets it once.
#[derive(Default, Debug)]
struct Failure(Mutex<Option<String>>);

impl Failure {
    fn get(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, what: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(what);
    }
}
