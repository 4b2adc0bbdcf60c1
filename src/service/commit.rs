//! The committer: the one thread that writes the store and applies to the engine.

use super::reckoning::{Reckoning, Report};
use super::{Failure, Recording, ServiceError};
use crate::engine::{Applied, ApplyError, Engine, Write, call_write, erasure_writes};
use crate::event::{Change, Configuration, Event};
use crate::history::Register;
use crate::id::EnvironmentId;
use crate::metrics::{Commits, Stopwatch};
use crate::number::E164;
use crate::plan::{ConfigError, Plan};
use crate::slot::Scope;
use crate::store::{Batch, Durability, EventStore, StoreError};
use crate::tally::{Book, Delta};
use crate::time::Timestamp;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, RwLock};
use std::time::Duration;

/// Commands that one sync may cover. Bounds how long the first of a group waits for the last, and the memory of a group.
const MAX_GROUP: usize = 4096;

/// How long what is [`Durability::Buffered`] stays unsynced: what a power failure may cost.
const SYNC_EVERY: Duration = Duration::from_secs(1);

type Decide = Box<dyn FnOnce(&Plan) -> Result<Vec<Change>, ConfigError> + Send>;
type Done<T> = Box<dyn FnOnce(T) + Send>;

/// What a caller hands in, and who is told.
pub(super) enum Command {
    Record {
        events: Vec<Event>,
        done: Done<Recording>,
    },
    Configure {
        environment: EnvironmentId,
        at: Timestamp,
        decide: Decide,
        done: Done<Result<Arc<Plan>, ServiceError>>,
    },
    /// What was counted, to be carried into the book.
    Carry {
        deltas: Vec<Delta>,
        done: Done<Result<(), ServiceError>>,
    },
    /// A decision was reported answered.
    Answer {
        report: Report,
        done: Done<Result<(), ServiceError>>,
    },
}

/// A command on its way.
pub(super) struct Submitted {
    pub(super) command: Command,
    pub(super) since: Stopwatch,
}

impl Submitted {
    pub(super) fn new(command: Command) -> Self {
        Self { command, since: Stopwatch::start() }
    }
}

impl Command {
    /// Events, or the one configuration.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Record { events, .. } => events.len(),
            Self::Configure { .. } | Self::Answer { .. } => 1,
            // Counted before, and acknowledged to nobody.
            Self::Carry { .. } => 0,
        }
    }

    fn events(&self) -> &[Event] {
        match self {
            Self::Record { events, .. } => events,
            Self::Configure { .. } | Self::Carry { .. } | Self::Answer { .. } => &[],
        }
    }

    pub(super) fn refuse(self, error: ServiceError) {
        match self {
            Self::Record { done, .. } => done(Err(error)),
            Self::Configure { done, .. } => done(Err(error)),
            Self::Carry { done, .. } | Self::Answer { done, .. } => done(Err(error)),
        }
    }
}

pub(super) struct Committer {
    store: Box<dyn EventStore>,
    engine: Arc<Engine>,
    failure: Arc<Failure>,
    commits: Arc<Commits>,
    book: Arc<RwLock<Book>>,
    /// Since when something has been acknowledged that is not synced. Only where less than that was asked for.
    unsynced: Option<Stopwatch>,
}

impl Committer {
    pub(super) fn new(
        store: Box<dyn EventStore>,
        engine: Arc<Engine>,
        failure: Arc<Failure>,
        commits: Arc<Commits>,
        book: Arc<RwLock<Book>>,
    ) -> Self {
        Self { store, engine, failure, commits, book, unsynced: None }
    }

    /// Commits group after group until nobody can hand in any more.
    pub(super) fn run(mut self, queue: &Receiver<Submitted>) {
        let _reported = ReportedPanic(Arc::clone(&self.failure));
        loop {
            match self.next(queue) {
                Ok(first) => {
                    let group = std::iter::once(first).chain(queue.try_iter().take(MAX_GROUP - 1)).collect();
                    self.commit(group);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if self.sync_is_due().is_zero() {
                self.sync();
            }
        }
        if self.unsynced.is_some() {
            self.sync();
        }
    }

    /// The next command. Does not wait for it past the time at which something has to be synced.
    fn next(&self, queue: &Receiver<Submitted>) -> Result<Submitted, RecvTimeoutError> {
        match self.sync_is_due() {
            Duration::MAX => queue.recv().map_err(|_| RecvTimeoutError::Disconnected),
            due => queue.recv_timeout(due),
        }
    }

    /// In how long.
    fn sync_is_due(&self) -> Duration {
        let since = |unsynced: Stopwatch| SYNC_EVERY.saturating_sub(Duration::from_nanos(unsynced.nanos()));
        self.unsynced.map_or(Duration::MAX, since)
    }

    fn sync(&mut self) {
        self.unsynced = None;
        if self.failure.get().is_none()
            && let Err(error) = self.store.sync()
        {
            self.failure.set(error.to_string());
        }
    }

    fn commit(&mut self, commands: Vec<Submitted>) {
        let events = commands.iter().map(|submitted| submitted.command.len()).sum();
        if let Some(why) = self.failure.get() {
            self.commits.refuse(events);
            for submitted in commands {
                submitted.command.refuse(ServiceError::NotDurable(why.clone()));
            }
            return;
        }
        let (engine, commits) = (Arc::clone(&self.engine), Arc::clone(&self.commits));
        let book = Arc::clone(&self.book);
        let mut group = Group::new(&engine, &commits, &book);
        for event in commands.iter().flat_map(|submitted| submitted.command.events()) {
            group.prefetch(event);
        }
        for submitted in commands {
            group.take(submitted, &*self.store);
        }
        let batch = group.batch();
        if batch.is_empty() {
            return group.apply();
        }
        match self.write(&batch, events) {
            Ok(()) => group.apply(),
            Err(error) => {
                self.failure.set(error.to_string());
                self.commits.refuse(events);
                group.refuse(&error.to_string());
            }
        }
    }

    fn write(&mut self, batch: &Batch, events: usize) -> Result<(), StoreError> {
        let began = Stopwatch::start();
        // A storage engine may take for impossible what a bad disk does. Whoever waits is told then as after any failure.
        let committed = catch_unwind(AssertUnwindSafe(|| self.store.commit(batch)));
        committed.unwrap_or_else(|_| Err(StoreError::Engine("it came upon something impossible".into())))?;
        self.commits.commit(began, events);
        if self.store.durability() == Durability::Buffered {
            self.unsynced.get_or_insert(began);
        }
        Ok(())
    }
}

/// A caller's code runs on this thread (what decides a change, what is told). Should it panic, nothing is committed any more, and
/// the service's health says so.
struct ReportedPanic(Arc<Failure>);

impl Drop for ReportedPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set("the committer panicked".into());
        }
    }
}

/// Commands that become durable together: the plan after them, the registers they reach, and who is told what.
struct Group<'a> {
    engine: &'a Engine,
    commits: &'a Commits,
    plan: Arc<Plan>,
    configurations: Vec<Configuration>,
    registers: HashMap<(Scope, E164), Register, ahash::RandomState>,
    /// How many pairs more the history will take. What it would refuse must not be stored either: a store that holds more
    /// than the history may could not be started again.
    room: usize,
    reckoning: Reckoning<'a>,
    waiting: Vec<(Waiting, Stopwatch)>,
}

/// What became of an event when its turn came. The engine is asked only about what was logged: by the time it applies, the
/// whole group's plan is in force, and would take a call that came before its agent, which no store keeps.
enum Logged {
    /// Its register is in the batch.
    Call(Write),
    /// Its registers are in the batch.
    Erasure,
    /// It is done, or there is nothing to do.
    Did(Applied),
    /// It cannot be done.
    Refused(ServiceError),
}

enum Waiting {
    Recording {
        events: Vec<Event>,
        logged: Vec<Logged>,
        done: Done<Recording>,
    },
    /// Answered with the plan right after it: one of later in the group could say that it was never made.
    Configured {
        plan: Arc<Plan>,
        done: Done<Result<Arc<Plan>, ServiceError>>,
    },
    /// Refused in view of the group's plan, which is only true once the group is durable.
    NotConfigured {
        error: ConfigError,
        done: Done<Result<Arc<Plan>, ServiceError>>,
    },
    /// In the book once the group is durable.
    Reckoned {
        count: usize,
        done: Done<Result<(), ServiceError>>,
    },
}

impl<'a> Group<'a> {
    fn new(engine: &'a Engine, commits: &'a Commits, book: &'a RwLock<Book>) -> Self {
        Self {
            engine,
            commits,
            plan: engine.plan(),
            configurations: Vec::new(),
            registers: HashMap::default(),
            room: engine.history().room(),
            reckoning: Reckoning::new(book),
            waiting: Vec::new(),
        }
    }

    /// Brings near what will be looked at when the event's turn comes.
    fn prefetch(&self, event: &Event) {
        if let Event::Call(call) = event {
            let history = self.engine.history();
            history.prefetch(history.spot(call.from, call.to));
        }
    }

    fn take(&mut self, submitted: Submitted, store: &dyn EventStore) {
        let waiting = match submitted.command {
            Command::Record { events, done } => {
                let logged = events.iter().map(|event| self.log(event, store)).collect();
                Waiting::Recording { events, logged, done }
            }
            Command::Configure { environment, at, decide, done } => match self.configure(environment, at, decide) {
                Ok(()) => Waiting::Configured { plan: Arc::clone(&self.plan), done },
                Err(error) => Waiting::NotConfigured { error, done },
            },
            Command::Carry { deltas, done } => {
                self.reckoning.carry(&self.plan, &deltas);
                Waiting::Reckoned { count: 0, done }
            }
            Command::Answer { report, done } => {
                self.reckoning.answer(&self.plan, &report);
                Waiting::Reckoned { count: 1, done }
            }
        };
        self.waiting.push((waiting, submitted.since));
    }

    fn configure(&mut self, environment: EnvironmentId, at: Timestamp, decide: Decide) -> Result<(), ConfigError> {
        let changes = decide(&self.plan)?;
        if changes.is_empty() {
            return Ok(());
        }
        let sequence = self.plan.generation() + 1;
        self.follow(Configuration { sequence, environment, at, changes })
    }

    fn follow(&mut self, configuration: Configuration) -> Result<(), ConfigError> {
        self.plan = Arc::new(self.plan.with(&configuration)?);
        self.configurations.push(configuration);
        Ok(())
    }

    fn log(&mut self, event: &Event, store: &dyn EventStore) -> Logged {
        // What the store remembers of the contact's erasure, and the history need not know.
        let erased = match self.erased(event, store) {
            Ok(erased) => erased,
            Err(error) => return Logged::Refused(ServiceError::NotDurable(error.to_string())),
        };
        match event {
            Event::Configuration(configuration) if configuration.sequence <= self.plan.generation() => {
                Logged::Did(Applied::Unchanged)
            }
            Event::Configuration(configuration) => match self.follow(configuration.clone()) {
                // In force with the plan of its group.
                Ok(()) => Logged::Did(Applied::Configured { generation: configuration.sequence }),
                Err(error) => Logged::Refused(error.into()),
            },
            Event::Call(call) => {
                let held = |scope: Scope, contact| match erased {
                    Some((environment, erasure)) if scope == environment => self.held(scope, contact).max(erasure),
                    _ => self.held(scope, contact),
                };
                match call_write(&self.plan, call, held).map(|write| (write, self.raise(write))) {
                    Some((write, true)) => Logged::Call(write),
                    Some((_, false)) => Logged::Refused(ServiceError::Full(self.engine.history().full())),
                    None => Logged::Did(Applied::Ignored),
                }
            }
            Event::Erasure(erasure) => {
                let writes = erasure_writes(&self.plan, erasure, |scope, contact| self.held(scope, contact));
                if writes.is_empty() {
                    return Logged::Did(Applied::Ignored);
                }
                // Where there is no room to remember the erasure, what is there goes all the same, and the engine says so.
                for write in writes {
                    let known = erased.and_then(|(environment, erasure)| erasure.filter(|_| write.0 == environment));
                    if known < Some(write.2) {
                        self.raise(write);
                    }
                }
                Logged::Erasure
            }
        }
    }

    /// The environment of the event's contact, and until when the contact has been erased there as the store has it.
    fn erased(&self, event: &Event, store: &dyn EventStore) -> Result<Option<(Scope, Option<Register>)>, StoreError> {
        let (environment, contact) = match event {
            Event::Call(call) => (call.environment, call.to),
            Event::Erasure(erasure) => (erasure.environment, erasure.contact),
            Event::Configuration(_) => return Ok(None),
        };
        let Some(slot) = self.plan.environment_slot(environment) else { return Ok(None) };
        let scope = Scope::from(slot);
        Ok(Some((scope, store.erasure(scope, contact)?)))
    }

    /// What the pair's register will be when the events of this group so far have been applied.
    fn held(&self, scope: Scope, contact: E164) -> Option<Register> {
        self.engine.history().get(scope, contact).max(self.registers.get(&(scope, contact)).copied())
    }

    /// Whether there is room for the register. The store keeps one a pair, and keeps what it was given last: so it is given
    /// the maximum. What the history holds is durable already, since this thread applies only what it has committed.
    fn raise(&mut self, (scope, contact, register): Write) -> bool {
        let held = self.held(scope, contact);
        if held.is_none() {
            let Some(room) = self.room.checked_sub(1) else { return false };
            self.room = room;
        }
        if held < Some(register) {
            self.registers.insert((scope, contact), register);
        }
        true
    }

    fn batch(&mut self) -> Batch {
        let registers = self.registers.drain().map(|((scope, contact), register)| (scope, contact, register));
        let mut registers: Vec<_> = registers.collect();
        // A store that keeps its keys in order finds the place of each near that of the one before: a sixth less to search.
        registers.sort_unstable_by_key(|(scope, contact, _)| (*scope, *contact));
        let configurations = std::mem::take(&mut self.configurations);
        let (tallies, answered, forgotten) = self.reckoning.entries();
        Batch { configurations, registers, tallies, answered, forgotten }
    }

    fn refuse(self, why: &str) {
        let error = ServiceError::NotDurable(why.to_owned());
        for (waiting, _) in self.waiting {
            match waiting {
                Waiting::Recording { done, .. } => done(Err(error.clone())),
                Waiting::Configured { done, .. } | Waiting::NotConfigured { done, .. } => done(Err(error.clone())),
                Waiting::Reckoned { done, .. } => done(Err(error.clone())),
            }
        }
    }

    fn apply(self) {
        let engine = self.engine;
        if self.plan.generation() != engine.plan().generation() {
            engine.publish(self.plan);
        }
        self.reckoning.apply();
        for (waiting, since) in self.waiting {
            match waiting {
                Waiting::Recording { events, logged, done } => {
                    let did = |(event, logged): (&Event, Logged)| match logged {
                        Logged::Call(write) => apply_call(engine, write),
                        Logged::Erasure => apply_erasure(engine, event),
                        Logged::Did(applied) => Ok(applied),
                        Logged::Refused(error) => Err(error),
                    };
                    let did = events.iter().zip(logged).map(did).collect();
                    self.commits.acknowledge(since, events.len());
                    done(Ok(did));
                }
                Waiting::Configured { plan, done } => {
                    self.commits.acknowledge(since, 1);
                    done(Ok(plan));
                }
                Waiting::NotConfigured { error, done } => {
                    self.commits.acknowledge(since, 1);
                    done(Err(error.into()));
                }
                Waiting::Reckoned { count, done } => {
                    self.commits.acknowledge(since, count);
                    done(Ok(()));
                }
            }
        }
    }
}

/// Only this thread writes the history, so what its erasures and its plan said of the call when it was logged is so still.
fn apply_call(engine: &Engine, (scope, contact, register): Write) -> Result<Applied, ServiceError> {
    let before = engine.history().merge(scope, contact, register).map_err(ServiceError::Full)?;
    Ok(if before >= Some(register) { Applied::Unchanged } else { Applied::Recorded })
}

fn apply_erasure(engine: &Engine, event: &Event) -> Result<Applied, ServiceError> {
    engine.apply(event).map_err(|error| match error {
        ApplyError::Full(full) => ServiceError::Full(full),
        ApplyError::Config(error) => ServiceError::Config(error),
    })
}
