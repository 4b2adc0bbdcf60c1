//! Commands that become durable together.

use super::command::{Command, Decide, Done, Submitted};
use super::outbox::Outbox;
use super::reckoning::Reckoning;
use super::room::{Ceiling, Claim, Need, Room};
use super::sequencer::{Consumed, Sequencer};
use super::{Recording, ServiceError};
use crate::engine::{Applied, Engine, Write, call_write, erasure_writes};
use crate::event::{Call, Configuration, Event};
use crate::history::{LastCall, Register};
use crate::id::EnvironmentId;
use crate::metrics::{Commits, Stopwatch};
use crate::number::E164;
use crate::plan::Plan;
use crate::slot::{EnvironmentSlot, Scope};
use crate::store::{Batch, EventStore, Pseudonyms, StoreError};
use crate::tally::Book;
use crate::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, RwLock};

/// Commands that become durable together: the plan after them, the registers they reach, and who is told what.
pub(super) struct Group<'a> {
    engine: &'a Engine,
    commits: &'a Commits,
    plan: Arc<Plan>,
    configurations: Vec<Configuration>,
    registers: HashMap<(Scope, E164), Register, ahash::RandomState>,
    /// What the history would refuse must not be stored either: a store that holds more than the history may could not be started
    /// again.
    room: Room<'a>,
    reckoning: Reckoning<'a>,
    sequencer: &'a dyn Sequencer,
    pub(super) outbox: Outbox,
    /// Whether memory holds what the store does not: then nothing is passed over because memory has it.
    is_unstored: bool,
    pseudonyms: Pseudonyms,
    published: Option<u64>,
    place: Option<Vec<u8>>,
    /// Whether somebody is told that something is durable who may be the only one that has it.
    is_awaited: bool,
    waiting: Vec<(Waiting, Stopwatch)>,
}

/// Where something was handed in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// The others have to be told.
    Here,
    /// They know.
    Stream,
}

/// What became of a pair's register.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Raised {
    /// It is higher than any before.
    Anew,
    /// There is one at least as high.
    Held,
}

/// What became of an event when its turn came. The engine is asked only about what was logged: by the time it applies, the
/// whole group's plan is in force, and would take a call that came before its agent, which no store keeps.
enum Logged {
    /// Its register is in the batch.
    Call(Write),
    /// Its registers are in the batch.
    Erasure(Remembers),
    /// It is done, or there is nothing to do.
    Did(Applied),
    /// It cannot be done.
    Refused(ServiceError),
}

/// Where an erasure is remembered, for the late reports.
#[derive(Clone, Copy)]
struct Remembers {
    /// The history has room for it.
    in_memory: bool,
    /// The store answers for it.
    in_store: bool,
}

enum Waiting {
    Recording {
        events: Vec<Event>,
        logged: Vec<Logged>,
        /// Whether the fleet has a say in the acknowledgement.
        is_told: bool,
        done: Done<Recording>,
    },
    /// Answered with the plan right after it: one of later in the group could say that it was never made.
    Configured { plan: Arc<Plan>, done: Done<Result<Arc<Plan>, ServiceError>> },
    /// Refused in view of the group's plan, which is only true once the group is durable.
    NotConfigured { error: ServiceError, done: Done<Result<Arc<Plan>, ServiceError>> },
    /// In the book once the group is durable.
    Reckoned { count: usize, done: Done<Result<(), ServiceError>> },
}

impl<'a> Group<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        commits: &'a Commits,
        book: &'a RwLock<Book>,
        sequencer: &'a dyn Sequencer,
        ceiling: &'a mut Ceiling,
        last_entry: u64,
        is_unstored: bool,
    ) -> Self {
        Self {
            engine,
            commits,
            plan: engine.plan(),
            configurations: Vec::new(),
            registers: HashMap::default(),
            room: Room::new(engine, ceiling),
            reckoning: Reckoning::new(book),
            sequencer,
            outbox: Outbox::new(last_entry, sequencer.has_outbox()),
            is_unstored,
            pseudonyms: Pseudonyms::default(),
            published: None,
            place: None,
            is_awaited: false,
            waiting: Vec::new(),
        }
    }

    /// Brings near what will be looked at when the event's turn comes.
    pub(super) fn prefetch(&self, event: &Event) {
        if let Event::Call(call) = event {
            let history = self.engine.history();
            history.prefetch(history.spot(call.from, call.to));
        }
    }

    pub(super) fn take(&mut self, submitted: Submitted, store: &dyn EventStore) {
        self.is_awaited |= !matches!(submitted.command, Command::Consume { .. });
        let waiting = match submitted.command {
            Command::Record { events, now, done } => {
                let logged = events.iter().map(|event| self.log(event, store, Origin::Here, now)).collect();
                Waiting::Recording { events, logged, is_told: true, done }
            }
            Command::Consume { consumed, done } => {
                let Consumed { events, pseudonyms, published, place } = consumed;
                let logged = events.iter().map(|event| self.log(event, store, Origin::Stream, None)).collect();
                self.pseudonyms.keys.extend(pseudonyms.keys);
                self.pseudonyms.erasures.extend(pseudonyms.erasures);
                self.published = self.published.max(published);
                self.place = place.or(self.place.take());
                Waiting::Recording { events, logged, is_told: false, done }
            }
            // Taken out before.
            Command::Merge { .. } => return,
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

    fn configure(&mut self, environment: EnvironmentId, at: Timestamp, decide: Decide) -> Result<(), ServiceError> {
        let changes = decide(&self.plan)?;
        if changes.is_empty() {
            return Ok(());
        }
        let sequence = self.plan.generation() + 1;
        self.follow(Configuration { sequence, environment, at, changes }, Origin::Here)
    }

    fn follow(&mut self, configuration: Configuration, origin: Origin) -> Result<(), ServiceError> {
        let plan = self.plan.with(&configuration)?;
        if origin == Origin::Here {
            self.sequencer.order(&configuration)?;
        }
        self.plan = Arc::new(plan);
        self.configurations.push(configuration);
        Ok(())
    }

    fn log(&mut self, event: &Event, store: &dyn EventStore, origin: Origin, now: Option<Timestamp>) -> Logged {
        // What the store remembers of the contact's erasure, and the history need not know.
        let erased = match self.erased(event, store) {
            Ok(erased) => erased,
            Err(error) => return Logged::Refused(ServiceError::NotDurable(error.to_string())),
        };
        match event {
            Event::Configuration(configuration) if configuration.sequence <= self.plan.generation() => {
                Logged::Did(Applied::Unchanged)
            }
            Event::Configuration(configuration) => match self.follow(configuration.clone(), origin) {
                // In force with the plan of its group.
                Ok(()) => Logged::Did(Applied::Configured { generation: configuration.sequence }),
                Err(error) => Logged::Refused(error),
            },
            Event::Call(call) => {
                let held = |scope: Scope, contact| match erased {
                    Some((environment, erasure)) if scope == environment => self.held(scope, contact).max(erasure),
                    _ => self.held(scope, contact),
                };
                let (write, slot) = (call_write(&self.plan, call, held), self.plan.environment_slot(call.environment));
                let Some((write, slot)) = write.zip(slot) else { return self.pass_over(call, erased, now) };
                match self.raise_call(write, slot, origin) {
                    Ok(raised) => {
                        if origin == Origin::Here && raised == Raised::Anew {
                            self.outbox.add(event);
                        }
                        Logged::Call(write)
                    }
                    Err(refused) => Logged::Refused(refused),
                }
            }
            Event::Erasure(erasure) => {
                let writes = erasure_writes(&self.plan, erasure, |scope, contact| self.held(scope, contact));
                let Some(slot) = self.plan.environment_slot(erasure.environment) else {
                    return Logged::Did(Applied::Ignored);
                };
                if origin == Origin::Here {
                    self.outbox.add(event);
                }
                let known = erased.and_then(|(_, erasure)| erasure);
                Logged::Erasure(self.log_erasure(&writes, slot, known, store.remembers_erasures()))
            }
        }
    }

    /// What becomes of a call that writes nothing, being of something unknown or erased. Whoever hands it in at a moment must not
    /// take it for recorded where it may be newer than its erasure.
    fn pass_over(&self, call: &Call, erased: Option<(Scope, Option<Register>)>, now: Option<Timestamp>) -> Logged {
        let erasure = erased.and_then(|(environment, stored)| self.held(environment, call.to).max(stored));
        match (erasure.map(Register::read), now) {
            (Some(LastCall::Erased { until }), Some(now)) if until > now && self.plan.call_slots(call).is_some() => {
                Logged::Refused(ServiceError::ContactErased)
            }
            _ => Logged::Did(Applied::Ignored),
        }
    }

    /// Notes what the erasure writes: itself, where there is room for it or the store answers for it, and each pair that it reaches.
    fn log_erasure(
        &mut self,
        writes: &[Write],
        environment: EnvironmentSlot,
        known: Option<Register>,
        in_store: bool,
    ) -> Remembers {
        let Some((own, pairs)) = writes.split_first() else { return Remembers { in_memory: false, in_store } };
        let is_call = |write: &&Write| self.held(write.0, write.1).is_some_and(|held| !held.is_erasure());
        // What it erases gives room, first of all for itself.
        let erased = pairs.iter().filter(is_call).count();
        self.room.give(environment, erased);
        for write in pairs {
            self.raise(*write);
        }
        let need = Need { place: true, pair: true };
        // Where the store answers for it, memory need not, and takes nothing of what is short.
        let may_take = !in_store || !self.room.is_short();
        let claim = if in_store { Claim::Fair } else { Claim::Due };
        let in_memory = self.held(own.0, own.1).is_some()
            || may_take && self.room.take(&self.plan, environment, need, claim).is_ok();
        if (in_memory || in_store) && known < Some(own.2) {
            self.raise(*own);
        }
        Remembers { in_memory, in_store }
    }

    /// Notes a call's register, where its environment may have the pair.
    fn raise_call(
        &mut self,
        write: Write,
        environment: EnvironmentSlot,
        origin: Origin,
    ) -> Result<Raised, ServiceError> {
        let held = self.held(write.0, write.1);
        let need = Need { place: held.is_none(), pair: held.is_none_or(Register::is_erasure) };
        if need.pair && held < Some(write.2) {
            let claim = if origin == Origin::Here { Claim::Fair } else { Claim::Due };
            self.room.take(&self.plan, environment, need, claim)?;
        }
        Ok(self.raise(write))
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
        let _call = self.commits.call_store();
        Ok(Some((scope, store.erasure(scope, contact)?)))
    }

    /// What the pair's register will be when the events of this group so far have been applied.
    fn held(&self, scope: Scope, contact: E164) -> Option<Register> {
        self.engine.history().get(scope, contact).max(self.registers.get(&(scope, contact)).copied())
    }

    /// Notes what the pair's register has to be. The store keeps one a pair, and keeps what it was given last: so it is given
    /// the maximum. What the history holds is committed already, since this thread applies nothing else.
    fn raise(&mut self, (scope, contact, register): Write) -> Raised {
        let held = self.held(scope, contact);
        match held.filter(|held| *held >= register) {
            None => {
                self.registers.insert((scope, contact), register);
                Raised::Anew
            }
            Some(held) => {
                if self.is_unstored {
                    self.registers.insert((scope, contact), held);
                }
                Raised::Held
            }
        }
    }

    pub(super) fn batch(&mut self) -> Batch {
        let registers = self.registers.drain().map(|((scope, contact), register)| (scope, contact, register));
        let mut registers: Vec<_> = registers.collect();
        // A store that keeps its keys in order finds the place of each near that of the one before: a sixth less to search.
        registers.sort_unstable_by_key(|(scope, contact, _)| (*scope, *contact));
        let configurations = std::mem::take(&mut self.configurations);
        let (tallies, answered, forgotten) = self.reckoning.entries();
        let (outbox, pseudonyms) = (self.outbox.take(), std::mem::take(&mut self.pseudonyms));
        let (published, place) = (self.published.take(), self.place.take());
        // Configurations are seldom, and of those that a stream forgets whole fleets have to be told.
        let can_wait = !self.is_awaited && configurations.is_empty();
        Batch {
            configurations,
            registers,
            tallies,
            answered,
            forgotten,
            outbox,
            published,
            place,
            pseudonyms,
            can_wait,
        }
    }

    pub(super) fn refuse(self, why: &str) {
        let error = ServiceError::NotDurable(why.to_owned());
        for (waiting, _) in self.waiting {
            match waiting {
                Waiting::Recording { done, .. } => done(Err(error.clone())),
                Waiting::Configured { done, .. } | Waiting::NotConfigured { done, .. } => done(Err(error.clone())),
                Waiting::Reckoned { done, .. } => done(Err(error.clone())),
            }
        }
    }

    pub(super) fn apply(self) {
        let engine = self.engine;
        if self.plan.generation() != engine.plan().generation() {
            engine.publish(self.plan);
        }
        self.reckoning.apply();
        for (waiting, since) in self.waiting {
            match waiting {
                Waiting::Recording { events, logged, is_told, done } => {
                    let did = |(event, logged): (&Event, Logged)| match logged {
                        Logged::Call(write) => apply_call(engine, write),
                        Logged::Erasure(remembers) => apply_erasure(engine, event, remembers),
                        Logged::Did(applied) => Ok(applied),
                        Logged::Refused(error) => Err(error),
                    };
                    let did = events.iter().zip(logged).map(did).collect();
                    self.commits.acknowledge(since, events.len());
                    if is_told {
                        let entry = self.outbox.last();
                        self.sequencer.acknowledge(entry, Box::new(move |enough| done(enough.map(|()| did))));
                    } else {
                        done(Ok(did));
                    }
                }
                Waiting::Configured { plan, done } => {
                    self.commits.acknowledge(since, 1);
                    done(Ok(plan));
                }
                Waiting::NotConfigured { error, done } => {
                    self.commits.acknowledge(since, 1);
                    done(Err(error));
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
    let before = engine.history().merge_counted(scope, contact, register).map_err(ServiceError::Full)?;
    Ok(if before >= Some(register) { Applied::Unchanged } else { Applied::Recorded })
}

/// An erasure in force is never refused. Where there was nothing to erase, and no room to remember it, it is not.
fn apply_erasure(engine: &Engine, event: &Event, remembers: Remembers) -> Result<Applied, ServiceError> {
    let Event::Erasure(erasure) = event else { return Ok(Applied::Ignored) };
    let (pairs, remembered) = engine.forget(erasure, remembers.in_memory);
    let is_remembered = remembers.in_store || remembers.in_memory && remembered.is_ok();
    if is_remembered || pairs > 0 {
        Ok(Applied::Erased { pairs })
    } else {
        Err(ServiceError::Full(engine.history().full()))
    }
}
