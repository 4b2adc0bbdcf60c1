//! The service: log, then apply, then acknowledge.
//!
//! One committer thread takes what many callers hand in, makes it durable with one sync (group commit), applies it to the
//! engine in the same order, and only then acknowledges. Decisions never pass through here: they read the engine.
//!
//! What is acknowledged is durable, as far as the store is. A store that fails once is not written again: the service answers
//! [`ServiceError::NotDurable`] from then on, and the engine goes on routing from memory.

mod carrier;
mod command;
mod commit;
mod group;
mod loading;
mod merging;
mod outbox;
mod reckoning;
mod recovery;
mod retention;
mod room;
mod sequencer;
mod statistics;

use crate::decision::{Decision, Trace};
use crate::engine::{Applied, Engine, Reader};
use crate::event::{Change, Event};
use crate::history::{Full, History, Keeper, Register};
use crate::id::EnvironmentId;
use crate::metrics::{Commits, Fleet, Metrics};
use crate::number::{Caller, E164};
use crate::plan::{ConfigError, Plan};
use crate::store::{Aside, Durability, EventStore, Export, StoreError};
use crate::tally::Book;
use crate::time::Timestamp;
use carrier::Carrier;
use command::{Command, Submitted};
use commit::Committer;
use loading::Loading;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock, mpsc};
use std::thread::{self, JoinHandle};

pub use merging::{Load, Merge, Pair};
pub use reckoning::{ANSWERABLE_DAYS, Report};
pub use recovery::Recovered;
pub use sequencer::{Acknowledge, Alone, Consumed, Sequencer};
pub use statistics::{Callbacks, Statistics};

/// How far in the future a call may be dated when it is reported: a day, which forgives a gateway that reports local time
/// as UTC. What is further off is refused, since it would stay the pair's last call until its date had passed.
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
    committer: Option<JoinHandle<()>>,
    carrier: Option<Carrier>,
    book: Arc<RwLock<Book>>,
    secret: Option<[u8; 16]>,
    sequencer: Shared<dyn Sequencer>,
    aside: Shared<dyn Aside>,
    /// Grows the history off the committer's path.
    _keeper: Option<Keeper>,
}

impl Service {
    /// Puts back what the store holds and starts to serve. Reports progress as it goes.
    ///
    /// # Errors
    /// What the store cannot read, or the history cannot hold.
    pub fn start(
        store: impl EventStore,
        engine: Engine,
        progress: impl FnMut(Recovered) + Send,
    ) -> Result<Self, StoreError> {
        Self::start_with(Arc::new(Alone), store, engine, progress)
    }

    /// The same, with others that have to do with what is committed.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with(
        sequencer: Arc<dyn Sequencer>,
        mut store: impl EventStore,
        engine: Engine,
        progress: impl FnMut(Recovered) + Send,
    ) -> Result<Self, StoreError> {
        engine.history().share_out();
        let keeper = engine.keeper().map_err(no_thread)?;
        let mut book = Book::default();
        recovery::recover(&mut store, &engine, &mut book, progress, &|| true)?;
        Self::begin(sequencer, store, engine, keeper, book, Loading::default(), |_, _, _, _| true)
    }

    /// The same, and returns at once: what is stored is put back by another thread. Until that is [done](Self::loading) decisions
    /// are made from what is there, and whatever is handed in is refused with [`ServiceError::Loading`]. `loaded` is told how it ended;
    /// where it failed, nothing is taken any more.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn load(
        store: impl EventStore,
        engine: Engine,
        progress: impl FnMut(Recovered) + Send + 'static,
        loaded: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) -> Result<Self, StoreError> {
        Self::load_with(Arc::new(Alone), store, engine, progress, loaded)
    }

    /// The same, with others that have to do with what is committed.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn load_with(
        sequencer: Arc<dyn Sequencer>,
        store: impl EventStore,
        engine: Engine,
        mut progress: impl FnMut(Recovered) + Send + 'static,
        loaded: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) -> Result<Self, StoreError> {
        engine.history().share_out();
        let keeper = engine.keeper().map_err(no_thread)?;
        Self::begin(
            sequencer,
            store,
            engine,
            keeper,
            Book::default(),
            Loading::begun(),
            move |store, engine, book, loading| {
                let report = |recovered| {
                    loading.advance(recovered);
                    progress(recovered);
                };
                let mut stored = Book::default();
                let recovered = recovery::recover(store, engine, &mut stored, report, &|| !loading.is_given_up());
                *book.write().unwrap_or_else(PoisonError::into_inner) = stored;
                let is_loaded = recovered.is_ok();
                if is_loaded {
                    loading.end();
                }
                loaded(recovered);
                is_loaded
            },
        )
    }

    /// Starts the committer's thread, which first does what `load` does, and ends if that says so.
    fn begin<S: EventStore>(
        sequencer: Arc<dyn Sequencer>,
        mut store: S,
        engine: Engine,
        keeper: Option<Keeper>,
        book: Book,
        loading: Loading,
        load: impl FnOnce(&mut S, &Engine, &RwLock<Book>, &Loading) -> bool + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (engine, loading) = (Arc::new(engine), Arc::new(loading));
        let failure = Arc::<Failure>::default();
        let (commands, queue) = mpsc::channel();
        let commits = Arc::<Commits>::default();
        let (durability, secret, export) = (store.durability(), store.secret(), Exports(store.export()));
        let aside = store.aside();
        let last_entry = aside.as_ref().map_or(Ok(0), |aside| aside.last_entry())?;
        let book = Arc::new(RwLock::new(book));
        let ordering = Arc::clone(&sequencer);
        let (engine_there, loading_there) = (Arc::clone(&engine), Arc::clone(&loading));
        let (failure_there, counted, totals) = (Arc::clone(&failure), Arc::clone(&commits), Arc::clone(&book));
        let work = move || {
            if load(&mut store, &engine_there, &totals, &loading_there) {
                let store = Box::new(store);
                Committer::new(store, engine_there, failure_there, counted, totals, ordering, last_entry).run(&queue);
            }
        };
        let thread = thread::Builder::new().name("dialback-commit".into()).spawn(work).map_err(no_thread)?;
        let carrier = Carrier::start(Arc::clone(&engine), commands.clone()).map_err(no_thread)?;
        let (commands, committer, carrier) = (Some(commands), Some(thread), Some(carrier));
        Ok(Self {
            engine,
            commands,
            durability,
            commits,
            failure,
            loading,
            export,
            committer,
            carrier,
            book,
            secret,
            sequencer: Shared(Some(sequencer)),
            aside: Shared(aside),
            _keeper: keeper,
        })
    }

    /// How far [loading](Self::load) has come; `None` when everything is there. The plan is the stored one from the first pair on;
    /// its generation is 0 before.
    pub fn loading(&self) -> Option<Recovered> {
        self.loading.so_far()
    }

    /// What exports the store from another thread, as of one commit, where the store can be.
    pub fn export(&self) -> Option<Arc<Export>> {
        self.export.0.clone()
    }

    /// As [`Engine::resolve`]: from memory, whatever the store does.
    pub fn resolve(&self, dialed: E164, caller: Caller, now: Timestamp) -> Decision {
        self.engine.resolve(dialed, caller, now)
    }

    /// As [`Engine::resolve_on`].
    pub fn resolve_on(&self, plan: &Plan, dialed: E164, caller: Caller, now: Timestamp) -> Decision {
        self.engine.resolve_on(plan, dialed, caller, now)
    }

    /// As [`Engine::resolve_batch_on`].
    pub fn resolve_batch_on(&self, plan: &Plan, calls: &[(E164, Caller)], now: Timestamp, decisions: &mut [Decision]) {
        self.engine.resolve_batch_on(plan, calls, now, decisions);
    }

    /// As [`Engine::explain_on`].
    pub fn explain_on(&self, plan: &Plan, dialed: E164, caller: Caller, now: Timestamp) -> Trace {
        self.engine.explain_on(plan, dialed, caller, now)
    }

    /// As [`Engine::explain`].
    pub fn explain(&self, dialed: E164, caller: Caller, now: Timestamp) -> Trace {
        self.engine.explain(dialed, caller, now)
    }

    /// As [`Engine::reader`].
    pub fn reader(&self) -> Reader<'_> {
        self.engine.reader()
    }

    /// The plan that decisions read now.
    pub fn plan(&self) -> Arc<Plan> {
        self.engine.plan()
    }

    /// A thread's own way to the plan.
    #[cfg(feature = "capi")]
    pub(crate) fn keep_plan(&self) -> crate::engine::KeptPlan {
        crate::engine::KeptPlan::new(Arc::clone(&self.engine))
    }

    /// As [`Engine::read_plan`].
    #[cfg(feature = "capi")]
    pub(crate) fn read_plan(&self) -> impl std::ops::Deref<Target = Arc<Plan>> + '_ {
        self.engine.read_plan()
    }

    /// The register below which nothing counts for a decision any more: older than the longest look-back and a day. What is below it
    /// may leave memory ([`History::expire_before`]) and the store. Looks at all agents.
    pub fn retention_floor(&self, now: Timestamp) -> Register {
        retention::floor(&self.plan(), now)
    }

    /// The history that decisions read.
    pub fn history(&self) -> &History {
        self.engine.history()
    }

    /// What has been counted so far.
    pub fn metrics(&self) -> &Metrics {
        self.engine.metrics()
    }

    /// Not for users: what is applied to the engine past the service is not durable.
    #[cfg(feature = "__testing")]
    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Hands in events; `done` gets what each of them did once all of them are durable. Returns at once.
    pub fn submit(&self, events: Vec<Event>, done: impl FnOnce(Recording) + Send + 'static) {
        self.send(Command::Record { events, now: None, done: Box::new(done) });
    }

    /// Hands in events at a moment; `done` gets what each of them did once all of them are durable. Returns at once.
    ///
    /// Refuses a call that an erasure covers which reaches past `now`, with [`ServiceError::ContactErased`]: the call may be
    /// newer than the erasure. [`submit`](Self::submit) ignores such a call, as it ignores a late report.
    pub fn submit_at(&self, now: Timestamp, events: Vec<Event>, done: impl FnOnce(Recording) + Send + 'static) {
        self.send(Command::Record { events, now: Some(now), done: Box::new(done) });
    }

    /// Hands in a change of configuration: `decide` sees the plan as it is when its turn comes and says what is to change, so
    /// that no other change can come between its look and its answer. `done` gets the plan right after the change, which is in force.
    /// No change is no event. Returns at once.
    pub fn submit_configuration(
        &self,
        environment: EnvironmentId,
        at: Timestamp,
        decide: impl FnOnce(&Plan) -> Result<Vec<Change>, ConfigError> + Send + 'static,
        done: impl FnOnce(Result<Arc<Plan>, ServiceError>) + Send + 'static,
    ) {
        self.send(Command::Configure { environment, at, decide: Box::new(decide), done: Box::new(done) });
    }

    /// As [`submit`](Self::submit), and waits.
    ///
    /// # Errors
    /// [`ServiceError::NotDurable`]: nothing of it is in force. What each event did is in the answer.
    pub fn record(&self, events: Vec<Event>) -> Recording {
        wait(|done| self.submit(events, done))
    }

    /// As [`submit_configuration`](Self::submit_configuration), and waits.
    ///
    /// # Errors
    /// The first change that cannot be made, or [`ServiceError::NotDurable`]; nothing is in force then.
    pub fn configure(
        &self,
        environment: EnvironmentId,
        at: Timestamp,
        decide: impl FnOnce(&Plan) -> Result<Vec<Change>, ConfigError> + Send + 'static,
    ) -> Result<Arc<Plan>, ServiceError> {
        wait(|done| self.submit_configuration(environment, at, decide, done))
    }

    /// Hands in what a fleet's stream brought; `done` gets what each event did once all of it is committed and in force. Returns at once.
    ///
    /// Unless there are configurations in it, it is synced about a second later, or with the next change that is acknowledged: a
    /// power failure takes it together with the place behind it, and the stream brings it again.
    pub fn submit_consumed(&self, consumed: Consumed, done: impl FnOnce(Recording) + Send + 'static) {
        self.send(Command::Consume { consumed, done: Box::new(done) });
    }

    /// Hands in a snapshot, by the slots of the plan in force: `load` puts it into memory, on the thread that commits, so that nothing is
    /// committed meanwhile. `loaded` is told then, and `stored` when the store has it, too, while others commit in between. What is
    /// acknowledged in between is durable all the same. Returns at once.
    pub fn submit_merge(
        &self,
        load: Load,
        loaded: impl FnOnce(Result<(), String>) + Send + 'static,
        stored: impl FnOnce(Result<(), ServiceError>) + Send + 'static,
    ) {
        self.send(Command::Merge { load, loaded: Box::new(loaded), stored: Box::new(stored) });
    }

    /// What the store keeps for a fleet, if it can.
    pub fn aside(&self) -> Option<Arc<dyn Aside>> {
        self.aside.0.clone()
    }

    /// What is counted of the fleet, where there is one.
    pub fn fleet(&self) -> Option<&Arc<Fleet>> {
        self.sequencer.0.as_ref()?.metrics()
    }

    /// How what is handed in becomes durable, in numbers.
    pub fn commits(&self) -> &Commits {
        &self.commits
    }

    /// What an acknowledgement means.
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// What made the store fail, if it has. Routing goes on all the same.
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
        self.commits.submit(command.len());
        if let Err(mpsc::SendError(Submitted { command, .. })) = commands.send(Submitted::new(command)) {
            self.commits.refuse(command.len());
            command.refuse(ServiceError::NotDurable(ENDED.to_owned()));
        }
    }
}

impl Drop for Service {
    /// Commits what was handed in before, then lets go of the store.
    fn drop(&mut self) {
        // Its last load goes before the end.
        drop(self.carrier.take());
        drop(self.commands.take());
        self.loading.give_up();
        // Where the last owner was an acknowledgement, this is the committer's own thread, which then ends by itself.
        let elsewhere = |committer: &JoinHandle<()>| committer.thread().id() != thread::current().id();
        if let Some(committer) = self.committer.take().filter(elsewhere) {
            // A panic of the committer has been reported by its own thread.
            let _ = committer.join();
        }
    }
}

/// Something of which is shown whether it is there.
struct Shared<T: ?Sized>(Option<Arc<T>>);

impl<T: ?Sized> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&self.0.is_some()).finish()
    }
}

fn no_thread(error: std::io::Error) -> StoreError {
    StoreError::Io { path: "a thread".into(), error }
}

/// What exports the store.
struct Exports(Option<Arc<Export>>);

impl fmt::Debug for Exports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Exports").field(&self.0.is_some()).finish()
    }
}

type Answer<T> = Result<T, ServiceError>;

fn wait<T: Send + 'static>(submit: impl FnOnce(Box<dyn FnOnce(Answer<T>) + Send>)) -> Answer<T> {
    let (done, answer) = mpsc::sync_channel(1);
    submit(Box::new(move |value| {
        // Nobody waits any more where the waiting thread was unwound.
        let _ = done.send(value);
    }));
    answer.recv().unwrap_or_else(|_| Err(ServiceError::NotDurable(ENDED.to_owned())))
}

/// What is said where nothing can be committed any more: the committer's own panic has been reported by its thread.
const ENDED: &str = "the committer has ended";

/// The answer to recorded events: what each did, in their order.
pub type Recording = Result<Vec<Result<Applied, ServiceError>>, ServiceError>;

/// Why something was not done.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum ServiceError {
    /// The store cannot be written. Nothing is in force; what was handed in may or may not be there after a restart.
    NotDurable(String),
    /// The configuration is invalid.
    Config(ConfigError),
    /// The history is at its ceiling.
    Full(Full),
    /// The environment holds as many pairs as it may.
    ShareUsed(ShareUsed),
    /// What is stored is still being put back.
    Loading,
    /// An erasure that reaches past the present covers the call, which may be newer. It is not recorded.
    ContactErased,
    /// The store hangs, and as much waits for it as may. Nothing is in force.
    Stalled,
    /// Another node's change of the configuration came first. Nothing is in force.
    Superseded,
    /// The fleet's stream cannot order a change now. Nothing is in force.
    StreamAway(String),
    /// The stream did not say whether it took a change. It is not in force; if the stream took it, it will be, soon after.
    OutcomeUnknown(String),
    /// It is durable here and in force, and the stream has not acknowledged it in time. It will be told the others later.
    NotReplicated,
}

impl fmt::Display for ServiceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotDurable(what) => write!(f, "the store cannot be written: {what}"),
            Self::Config(error) => error.fmt(f),
            Self::Full(full) => full.fmt(f),
            Self::ShareUsed(used) => used.fmt(f),
            Self::Loading => f.write_str("what is stored is still being loaded"),
            Self::ContactErased => f.write_str("the contact was erased together with a call dated in the future"),
            Self::Stalled => f.write_str("the store does not answer, and too many changes wait for it"),
            Self::Superseded => f.write_str("another node's change came first"),
            Self::StreamAway(what) => write!(f, "the fleet's stream cannot order a change now: {what}"),
            Self::OutcomeUnknown(what) => write!(f, "whether the fleet's stream took the change is not known: {what}"),
            Self::NotReplicated => f.write_str("durable here, and not acknowledged by the fleet's stream in time"),
        }
    }
}

impl std::error::Error for ServiceError {}

/// An environment holds as many pairs as it may; the history has room for others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ShareUsed {
    /// The pairs that it holds.
    pub pairs: usize,
    /// The pairs that it may hold.
    pub may_hold: usize,
    /// Whether the operator set that limit. Otherwise it is the equal share of each environment, which counts while the history is
    /// seven eighths full or more.
    pub is_fixed: bool,
}

impl fmt::Display for ShareUsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pairs, may_hold, is_fixed } = self;
        let why = if *is_fixed {
            "the limit of each environment"
        } else {
            "an equal share of the history, which is nearly full"
        };
        write!(
            f,
            "this environment holds {pairs} contacts and may hold {may_hold}, {why}; erased and expired ones give room"
        )
    }
}

impl From<ConfigError> for ServiceError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// What made the store fail: set once, by the committer.
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
