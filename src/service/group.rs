//! A group of commands that become durable together.

use super::command::{Command, Decide, Done, Submitted, detail_bytes};
use super::feed;
use super::ordering::UnderWay;
use super::outbox::Outbox;
use super::pending_calls::{Changed, PendingCalls, Prepared, Reported};
use super::pending_totals::PendingTotals;
use super::sequencer::{Consumed, Sequencer};
use super::shares::{Ceiling, Need, PairLimit, Shares};
use super::{Recording, ServiceError};
use crate::engine::{Applied, Engine, Write, call_write, erasure_writes};
use crate::event::{Call, CallId, Configuration, Counted, Details, Event, Joined, Report, Stamp, Update};
use crate::history::{LastCall, Register};
use crate::id::EnvironmentId;
use crate::metrics::{Commits, Stopwatch};
use crate::number::E164;
use crate::plan::Plan;
use crate::slot::{EnvironmentSlot, Scope};
use crate::store::{Batch, EventStore, NewEvent, NewRecord, Pseudonyms, StoreError, WebhookValue};
use crate::tally::Totals;
use crate::time::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, RwLock};

/// A group of commands: the plan after them, the registers that they set, and the callers that wait for them.
pub(super) struct Group<'a> {
    engine: &'a Engine,
    commits: &'a Commits,
    plan: Arc<Plan>,
    configurations: Vec<Configuration>,
    registers: HashMap<(Scope, E164), Register, ahash::RandomState>,
    /// The room in the history. A pair that the history would reject must not be stored: a store that holds more pairs
    /// than the history may hold could not be loaded again.
    shares: Shares<'a>,
    pending_totals: PendingTotals<'a>,
    pub(super) calls: PendingCalls,
    sequencer: &'a dyn Sequencer,
    /// The request to the fleet's order that has no result yet.
    pub(super) under_way: Option<UnderWay>,
    pub(super) outbox: Outbox,
    /// Whether memory holds pairs that the store does not hold yet. Then a register is written even if memory already
    /// has it.
    is_unstored: bool,
    /// Decision records, and answers to decisions.
    pub(super) records: Vec<NewRecord>,
    pub(super) record_answers: Vec<(u128, Timestamp)>,
    /// The events of the group, if events are written.
    pub(super) feed: Option<Vec<NewEvent>>,
    webhooks: Vec<WebhookValue>,
    pseudonyms: Pseudonyms,
    published: Option<u64>,
    place: Option<Vec<u8>>,
    /// Whether the group has other commands than messages of a stream. No other node may have their data, so the group
    /// must be synced before it is acknowledged.
    is_awaited: bool,
    waiting: Vec<(Waiting, Stopwatch)>,
}

/// The origin of an event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// A client of this node: the other nodes have to be informed.
    Here,
    /// This installation had the event already, with another number. See
    /// [`Service::record_moved`](super::Service::record_moved).
    Moved,
    /// The fleet's stream: all nodes receive it.
    Stream,
}

/// The effect of an event on a pair's register.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Raised {
    /// The register is higher than before.
    Higher,
    /// The register was at least as high already.
    Held,
}

/// The result of an event when its turn came. Only events that were logged are applied to the engine. At that time the
/// plan of the whole group is in force. The engine would then accept a call that came before its agent, although the
/// store does not hold that call.
enum Logged {
    /// A call whose register is in the batch.
    Call(Write),
    /// A call whose register is in the batch, with an id or a context that is new.
    Detailed(Write),
    /// An erasure whose registers are in the batch.
    Erasure(Remembers),
    /// The event needs no further work.
    Did(Applied),
    /// The event is rejected.
    Refused(ServiceError),
}

impl Logged {
    fn is_not_durable(&self) -> bool {
        matches!(self, Self::Refused(ServiceError::NotDurable(_)))
    }
}

/// Where an erasure is remembered, so that it also covers calls that are reported later.
#[derive(Clone, Copy)]
struct Remembers {
    /// In the history, which has room for it.
    in_memory: bool,
    /// In the store.
    in_store: bool,
}

enum Waiting {
    Recording {
        events: Vec<Event>,
        logged: Vec<Logged>,
        /// Whether the sequencer decides when to acknowledge.
        is_told: bool,
        done: Done<Recording>,
    },
    /// Answered with the plan right after the change. A later plan of the same group might not contain the change any
    /// more.
    Configured { plan: Arc<Plan>, done: Done<Result<Arc<Plan>, ServiceError>> },
    /// Rejected because of the group's plan. The rejection is only correct once that plan is durable.
    NotConfigured { error: ServiceError, done: Done<Result<Arc<Plan>, ServiceError>> },
    /// In the durable totals once the group is durable.
    Counted { count: usize, done: Done<Result<(), ServiceError>> },
}

impl<'a> Group<'a> {
    pub(super) fn new(
        engine: &'a Engine,
        commits: &'a Commits,
        totals: &'a RwLock<Totals>,
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
            shares: Shares::new(engine, ceiling),
            pending_totals: PendingTotals::new(totals),
            calls: PendingCalls::new(None, 0, false),
            sequencer,
            under_way: None,
            outbox: Outbox::new(last_entry, sequencer.has_outbox()),
            is_unstored,
            records: Vec::new(),
            record_answers: Vec::new(),
            feed: None,
            webhooks: Vec::new(),
            pseudonyms: Pseudonyms::default(),
            published: None,
            place: None,
            is_awaited: false,
            waiting: Vec::new(),
        }
    }

    /// Prefetches the history's memory that the event will read when its turn comes.
    pub(super) fn prefetch(&self, event: &Event) {
        if let Some(call) = event.call() {
            let history = self.engine.history();
            history.prefetch(history.spot(call.from, call.to));
        }
    }

    pub(super) fn take(&mut self, submitted: Submitted, store: &dyn EventStore) {
        self.is_awaited |= !matches!(submitted.command, Command::Consume { .. });
        let waiting = match submitted.command {
            Command::Record { events, now, are_moved, done } => {
                let origin = if are_moved { Origin::Moved } else { Origin::Here };
                let is_shared = are_moved && self.outbox.is_kept();
                let mut log = |event| {
                    if is_shared {
                        return Logged::Refused(ServiceError::NotMovable);
                    }
                    self.log(event, store, origin, now)
                };
                let logged = events.iter().map(&mut log).collect();
                Waiting::Recording { events, logged, is_told: true, done }
            }
            Command::Consume { consumed, done } => {
                let Consumed { events, pseudonyms, published, place } = consumed;
                let logged: Vec<_> = events.iter().map(|event| self.log(event, store, Origin::Stream, None)).collect();
                self.pseudonyms.keys.extend(pseudonyms.keys);
                self.pseudonyms.erasures.extend(pseudonyms.erasures);
                // The node must not pass an erasure that it could not make.
                if !logged.iter().any(Logged::is_not_durable) {
                    self.published = self.published.max(published);
                    self.place = place.or(self.place.take());
                }
                Waiting::Recording { events, logged, is_told: false, done }
            }
            // The committer has taken these out of the group.
            Command::Merge { .. } | Command::Keep { .. } | Command::Ordered(_) | Command::Close => return,
            Command::Configure { environment, stamp, decide, done } => match self.configure(environment, stamp, decide)
            {
                Ok(()) => Waiting::Configured { plan: Arc::clone(&self.plan), done },
                Err(error) => Waiting::NotConfigured { error, done },
            },
            Command::AddCounts { deltas, done } => {
                self.pending_totals.add_counts(&self.plan, &deltas);
                Waiting::Counted { count: 0, done }
            }
            Command::KeepWebhooks { values, done } => {
                let stored = |(environment, id, part, value)| {
                    let environment = self.plan.environment_slot(environment)?.into();
                    Some(WebhookValue { environment, id, part, value })
                };
                self.webhooks.extend(values.into_iter().filter_map(stored));
                Waiting::Counted { count: 0, done }
            }
            Command::RecordAnswer { report, done } => {
                self.pending_totals.answer(&self.plan, &report);
                Waiting::Counted { count: 1, done }
            }
        };
        self.waiting.push((waiting, submitted.since));
    }

    fn configure(&mut self, environment: EnvironmentId, stamp: Stamp, decide: Decide) -> Result<(), ServiceError> {
        let changes = decide(&self.plan)?.unwrap_or_default();
        if changes.is_empty() {
            return Ok(());
        }
        self.follow(self.plan.next_configuration(environment, stamp, changes))
    }

    fn follow(&mut self, configuration: Configuration) -> Result<(), ServiceError> {
        self.plan = match &mut self.under_way {
            Some(under_way)
                if under_way.configuration.as_ref().is_some_and(|own| own.changes_alike(&configuration)) =>
            {
                under_way.has_arrived = true;
                Arc::clone(&under_way.plan)
            }
            _ => Arc::new(self.plan.with(&configuration)?),
        };
        self.push_configuration(configuration);
        Ok(())
    }

    /// Logs a configuration, which made the group's plan.
    fn push_configuration(&mut self, configuration: Configuration) {
        if let Some(events) = &mut self.feed {
            events.extend(feed::configured(&self.plan, &configuration));
        }
        self.configurations.push(configuration);
    }

    /// Adds the event of a call that was recorded.
    fn feed_call(&mut self, environment: EnvironmentSlot, call: &Call, id: Option<&CallId>, now: Option<Timestamp>) {
        if let Some(events) = &mut self.feed {
            let at = now.or_else(|| self.engine.now()).unwrap_or(call.at);
            events.push(feed::called(environment, call, id, at));
        }
    }

    /// Takes the result of the request that is under way. Returns whether there is one.
    pub(super) fn take_ordered(&mut self, result: Result<(), ServiceError>) -> bool {
        let Some(UnderWay { configuration, plan, has_arrived, done, since }) = self.under_way.take() else {
            return false;
        };
        let waiting = match result {
            // It is in this group or an earlier one, even if the stream's acknowledgement was lost.
            _ if has_arrived => Waiting::Configured { plan, done },
            Ok(()) => match configuration {
                // The plan that the request was decided on was the last one when the stream confirmed it.
                None => Waiting::Configured { plan, done },
                Some(configuration) if configuration.sequence == self.plan.generation() + 1 => {
                    self.plan = Arc::clone(&plan);
                    self.push_configuration(configuration);
                    Waiting::Configured { plan, done }
                }
                Some(_) => {
                    let error = ServiceError::OutcomeUnknown("another configuration has its place".into());
                    Waiting::NotConfigured { error, done }
                }
            },
            Err(error) => Waiting::NotConfigured { error, done },
        };
        self.is_awaited = true;
        self.waiting.push((waiting, since));
        true
    }

    fn log(&mut self, event: &Event, store: &dyn EventStore, origin: Origin, now: Option<Timestamp>) -> Logged {
        // The store may remember an erasure of this contact that the history does not hold.
        let erased = match self.erased(event, store) {
            Ok(erased) => erased,
            Err(error) => return Logged::Refused(ServiceError::NotDurable(error.to_string())),
        };
        match event {
            Event::Configuration(configuration) if configuration.sequence <= self.plan.generation() => {
                Logged::Did(Applied::Unchanged)
            }
            Event::Configuration(_) if origin != Origin::Stream && self.outbox.is_kept() => {
                Logged::Refused(ServiceError::StreamAway("an event has no order: submit a change".into()))
            }
            Event::Configuration(configuration) => match self.follow(configuration.clone()) {
                // The configuration takes effect with the plan of its group.
                Ok(()) => Logged::Did(Applied::Configured { generation: configuration.sequence }),
                Err(error) => Logged::Refused(error),
            },
            Event::Call(call) => self.log_call(call, erased, origin, now),
            Event::Report(report) => self.log_report(&report.call, &report.details, erased, origin, now),
            Event::Joined(joined) => self.log_joined(joined, erased),
            Event::Update(update) => match self.find(update) {
                Ok(report) => self.log(&report, store, origin, now),
                Err(error) => Logged::Refused(error),
            },
            Event::Erasure(erasure) => {
                let writes = erasure_writes(&self.plan, erasure, |scope, contact| self.held(scope, contact));
                let Some(slot) = self.plan.environment_slot(erasure.environment) else {
                    return Logged::Did(Applied::Ignored);
                };
                let removed = {
                    let _call = self.commits.call_store();
                    self.calls.prepare_erasure(slot, erasure.contact, erasure.until)
                };
                let removed = match removed {
                    Ok(removed) => removed,
                    Err(error) => return Logged::Refused(not_erased(&error)),
                };
                self.calls.note(removed);
                if origin == Origin::Here {
                    self.outbox.add(event);
                }
                let known = erased.and_then(|(_, erasure)| erasure);
                Logged::Erasure(self.log_erasure(&writes, slot, known, store.remembers_erasures()))
            }
        }
    }

    /// Returns what a call writes. `erased` is the erasure of its contact in the environment of this scope.
    fn write_of(&self, call: &Call, erased: Option<(Scope, Option<Register>)>) -> Option<Write> {
        call_write(&self.plan, call, |scope, contact| match erased {
            Some((environment, erasure)) if scope == environment => self.held(scope, contact).max(erasure),
            _ => self.held(scope, contact),
        })
    }

    /// Logs a call without an id or a context.
    fn log_call(
        &mut self,
        call: &Call,
        erased: Option<(Scope, Option<Register>)>,
        origin: Origin,
        now: Option<Timestamp>,
    ) -> Logged {
        let (write, slot) = (self.write_of(call, erased), self.plan.environment_slot(call.environment));
        let Some((write, slot)) = write.zip(slot) else { return self.ignore_call(call, erased, now) };
        // Of a call of the stream, another node has found that it counts. The setting may have changed since.
        if origin == Origin::Here && !self.plan.counts(call) {
            return Logged::Did(Applied::Uncounted);
        }
        match self.raise_call(write, slot, origin) {
            Ok(raised) => {
                if raised == Raised::Higher {
                    self.feed_call(slot, call, None, now);
                }
                if origin == Origin::Here && raised == Raised::Higher {
                    self.outbox.add(&Event::Call(*call));
                }
                Logged::Call(write)
            }
            Err(refused) => Logged::Refused(refused),
        }
    }

    /// Returns the report that an update stands for.
    fn find(&self, update: &Update) -> Result<Event, ServiceError> {
        self.check_details()?;
        let _call = self.commits.call_store();
        let (call, details) = self.calls.resolve(&self.plan, update)?;
        Ok(Event::Report(Box::new(Report { call, details })))
    }

    /// Returns why no details of calls can be kept, if there is a reason.
    fn check_details(&self) -> Result<(), ServiceError> {
        if self.calls.is_kept() { Ok(()) } else { Err(ServiceError::CallsNotKept) }
    }

    /// Logs a call with an id or a context. Everything is read and checked before the first change.
    fn log_report(
        &mut self,
        call: &Call,
        details: &Details,
        erased: Option<(Scope, Option<Register>)>,
        origin: Origin,
        now: Option<Timestamp>,
    ) -> Logged {
        if let Err(error) = self.check_details() {
            return Logged::Refused(error);
        }
        let Some((environment, number, agent)) =
            self.plan.call_slots(call).filter(|_| self.write_of(call, erased).is_some())
        else {
            return self.ignore_call(call, erased, now);
        };
        let dated = now.or_else(|| self.engine.now()).unwrap_or(call.at);
        let report = Reported {
            environment,
            number: number.into(),
            agent,
            call,
            details,
            now: dated,
            counts_from: (origin != Origin::Moved).then(|| self.plan.counts_from(environment)),
            held: self.held(number.into(), call.to).map(Register::read),
        };
        let prepared = {
            let _call = self.commits.call_store();
            self.calls.prepare(&report)
        };
        let Prepared { call, counted, joined, changed } = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return Logged::Refused(error),
        };
        let counted = counted.map(|outcome| Call { outcome, ..call });
        let write = counted.and_then(|counted| self.write_of(&counted, erased));
        if counted.is_some() && write.is_none() {
            return self.ignore_call(&call, erased, now);
        }
        let raised = match write.map_or(Ok(Raised::Held), |write| self.raise_call(write, environment, origin)) {
            Ok(raised) => raised,
            Err(refused) => return Logged::Refused(refused),
        };
        let is_changed = !changed.is_empty();
        if is_changed || raised == Raised::Higher {
            self.feed_call(environment, &call, details.id.as_ref(), now);
        }
        if let Some(joined) = joined.filter(|_| is_changed) {
            self.outbox.add(&Event::Joined(Box::new(joined)));
        }
        // Nodes of an earlier version know only this event.
        if let Some(counted) = counted.filter(|_| raised == Raised::Higher) {
            self.outbox.add(&Event::Call(counted));
        }
        self.calls.note(changed);
        match write {
            Some(write) if is_changed => Logged::Detailed(write),
            Some(write) => Logged::Call(write),
            None => Logged::Did(Applied::Uncounted),
        }
    }

    /// Logs what another node of the fleet knows of a call.
    fn log_joined(&mut self, joined: &Joined, erased: Option<(Scope, Option<Register>)>) -> Logged {
        let Joined { call, id, counted, .. } = joined;
        let Some((environment, number, agent)) =
            self.plan.call_slots(call).filter(|_| self.write_of(call, erased).is_some())
        else {
            return Logged::Did(Applied::Ignored);
        };
        let erased_until = self.erasure_of(call, erased).and_then(|erasure| match erasure.read() {
            LastCall::Erased { until, .. } => Some(until),
            LastCall::Placed { .. } => None,
        });
        let changed = {
            let _call = self.commits.call_store();
            self.calls.prepare_joined((environment, number.into(), agent), joined, erased_until)
        };
        let (changed, is_news) = match changed {
            Ok(changed) if self.calls.is_kept() => changed,
            Ok(_) => (Changed::default(), false),
            Err(error) => return Logged::Refused(error.into()),
        };
        let write = match *counted {
            Counted::As(outcome) => self.write_of(&Call { outcome, ..*call }, erased),
            Counted::No | Counted::Apart => None,
        };
        // The call comes as an event of its own, too. That one is refused if the history has no room.
        let raised = write.and_then(|write| Some((write, self.raise_call(write, environment, Origin::Stream).ok()?)));
        let is_changed = !changed.is_empty();
        if is_changed && is_news || raised.is_some_and(|(_, raised)| raised == Raised::Higher) {
            self.feed_call(environment, call, id.as_ref(), None);
        }
        self.calls.note(changed);
        match raised {
            Some((write, _)) if is_changed => Logged::Detailed(write),
            Some((write, _)) => Logged::Call(write),
            None if is_changed => Logged::Did(Applied::Recorded),
            None => Logged::Did(Applied::Unchanged),
        }
    }

    /// Returns the erasure of the contact of a call, of the history and of what the store remembers.
    fn erasure_of(&self, call: &Call, erased: Option<(Scope, Option<Register>)>) -> Option<Register> {
        erased.and_then(|(environment, stored)| self.held(environment, call.to).max(stored))
    }

    /// Returns the result of a call that writes nothing, because its agent is unknown or its contact was erased. A call
    /// that was reported at a moment is rejected if it may be newer than the erasure, so that the client does not take
    /// it for recorded.
    fn ignore_call(&self, call: &Call, erased: Option<(Scope, Option<Register>)>, now: Option<Timestamp>) -> Logged {
        match (self.erasure_of(call, erased).map(Register::read), now) {
            (Some(LastCall::Erased { until, is_ahead }), Some(now))
                if (is_ahead || until > now) && self.plan.call_slots(call).is_some() =>
            {
                Logged::Refused(ServiceError::ContactErased)
            }
            _ => Logged::Did(Applied::Ignored),
        }
    }

    /// Logs the registers that an erasure sets: its own, if the history has room or the store remembers it, and one for
    /// each pair that it erases.
    fn log_erasure(
        &mut self,
        writes: &[Write],
        environment: EnvironmentSlot,
        known: Option<Register>,
        in_store: bool,
    ) -> Remembers {
        let Some((own, pairs)) = writes.split_first() else { return Remembers { in_memory: false, in_store } };
        let is_call = |write: &&Write| self.held(write.0, write.1).is_some_and(|held| !held.is_erasure());
        // Erased pairs free room, also for the erasure itself.
        let erased = pairs.iter().filter(is_call).count();
        self.shares.give(environment, erased);
        for write in pairs {
            self.raise(*write);
        }
        let need = Need { place: true, pair: true };
        // If the store remembers the erasure, memory need not hold it while room is short.
        let may_take = !in_store || !self.shares.is_short();
        let limit = if in_store { PairLimit::Share } else { PairLimit::History };
        let in_memory = self.held(own.0, own.1).is_some()
            || may_take && self.shares.take(&self.plan, environment, need, limit).is_ok();
        if (in_memory || in_store) && known < Some(own.2) {
            self.raise(*own);
        }
        Remembers { in_memory, in_store }
    }

    /// Logs a call's register if its environment may hold the pair.
    fn raise_call(
        &mut self,
        write: Write,
        environment: EnvironmentSlot,
        origin: Origin,
    ) -> Result<Raised, ServiceError> {
        let held = self.held(write.0, write.1);
        let need = Need { place: held.is_none(), pair: held.is_none_or(Register::is_erasure) };
        if need.pair && held < Some(write.2) {
            let limit = if origin == Origin::Stream { PairLimit::History } else { PairLimit::Share };
            self.shares.take(&self.plan, environment, need, limit)?;
        }
        Ok(self.raise(write))
    }

    /// Returns the scope of the event's environment, and the erasure of its contact that the store remembers there.
    fn erased(&self, event: &Event, store: &dyn EventStore) -> Result<Option<(Scope, Option<Register>)>, StoreError> {
        let (environment, contact) = match event {
            Event::Call(call) => (call.environment, call.to),
            Event::Report(report) => (report.call.environment, report.call.to),
            Event::Joined(joined) => (joined.call.environment, joined.call.to),
            Event::Erasure(erasure) => (erasure.environment, erasure.contact),
            // An update becomes a report first.
            Event::Update(_) | Event::Configuration(_) => return Ok(None),
        };
        let Some(slot) = self.plan.environment_slot(environment) else { return Ok(None) };
        let scope = Scope::from(slot);
        let _call = self.commits.call_store();
        Ok(Some((scope, store.erasure(scope, contact)?)))
    }

    /// Returns the pair's register as it will be after all events of this group so far.
    fn held(&self, scope: Scope, contact: E164) -> Option<Register> {
        self.engine.history().get(scope, contact).max(self.registers.get(&(scope, contact)).copied())
    }

    /// Logs the register that the pair must have at least. The store keeps the last register that it is given, so it is
    /// given the maximum. Registers in the history are committed already, because only this thread applies events.
    fn raise(&mut self, (scope, contact, register): Write) -> Raised {
        let held = self.held(scope, contact);
        match held.filter(|held| *held >= register) {
            None => {
                self.registers.insert((scope, contact), register);
                Raised::Higher
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
        let calls = self.calls.take();
        let registers = self.registers.drain().map(|((scope, contact), register)| (scope, contact, register));
        let mut registers: Vec<_> = registers.collect();
        // An ordered store finds each key near the one before. This saves a sixth of the search.
        registers.sort_unstable_by_key(|(scope, contact, _)| (*scope, *contact));
        let configurations = std::mem::take(&mut self.configurations);
        let (tallies, answered, forgotten) = self.pending_totals.entries();
        let (outbox, pseudonyms) = (self.outbox.take(), std::mem::take(&mut self.pseudonyms));
        let (published, place) = (self.published.take(), self.place.take());
        let (records, record_answers) = (std::mem::take(&mut self.records), std::mem::take(&mut self.record_answers));
        let (events, webhooks) = (self.feed.take().unwrap_or_default(), std::mem::take(&mut self.webhooks));
        // Configurations are rare. If a stream loses one, a whole fleet has to be repaired, so they are synced at once.
        let can_wait = !self.is_awaited && configurations.is_empty();
        Batch {
            configurations,
            registers,
            calls,
            tallies,
            answered,
            forgotten,
            records,
            record_answers,
            events,
            webhooks,
            outbox,
            published,
            place,
            pseudonyms,
            can_wait,
        }
    }

    /// Returns the scopes of the environments that the group deletes.
    pub(super) fn retired(&self) -> Vec<Scope> {
        self.plan.retired_since(&self.engine.plan()).collect()
    }

    pub(super) fn refuse(self, why: &str) {
        let error = ServiceError::NotDurable(why.to_owned());
        for (waiting, _) in self.waiting {
            match waiting {
                Waiting::Recording { events, done, .. } => {
                    self.commits.free(detail_bytes(&events));
                    done(Err(error.clone()));
                }
                Waiting::Configured { done, .. } | Waiting::NotConfigured { done, .. } => done(Err(error.clone())),
                Waiting::Counted { done, .. } => done(Err(error.clone())),
            }
        }
    }

    /// Puts the group in force, calls `show`, and then acknowledges the commands: a client that has its acknowledgement finds the
    /// events of its command in the feed.
    pub(super) fn apply(mut self, show: impl FnOnce()) {
        let engine = self.engine;
        if self.plan.generation() != engine.plan().generation() {
            engine.publish(self.plan);
        }
        self.pending_totals.apply();
        let did = |(event, logged): (&Event, Logged)| match logged {
            Logged::Call(write) => apply_call(engine, write),
            Logged::Detailed(write) => apply_call(engine, write).map(|_| Applied::Recorded),
            Logged::Erasure(remembers) => apply_erasure(engine, event, remembers),
            Logged::Did(applied) => Ok(applied),
            Logged::Refused(error) => Err(error),
        };
        let applied = |(waiting, _): &mut (Waiting, Stopwatch)| match waiting {
            Waiting::Recording { events, logged, .. } => events.iter().zip(std::mem::take(logged)).map(did).collect(),
            _ => Vec::new(),
        };
        let applied: Vec<Vec<_>> = self.waiting.iter_mut().map(applied).collect();
        show();
        for ((waiting, since), did) in self.waiting.into_iter().zip(applied) {
            match waiting {
                Waiting::Recording { events, is_told, done, .. } => {
                    self.commits.acknowledge(since, events.len());
                    self.commits.free(detail_bytes(&events));
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
                Waiting::Counted { count, done } => {
                    self.commits.acknowledge(since, count);
                    done(Ok(()));
                }
            }
        }
    }
}

/// Returns the error of an erasure whose contact has calls with ids and contexts that cannot be read.
fn not_erased(error: &StoreError) -> ServiceError {
    ServiceError::NotDurable(format!(
        "{error}. The contact cannot be erased because its calls with ids and contexts cannot be read: export the \
         directory with `--salvage`, restore it into a new one, and erase the contact there"
    ))
}

/// Applies a call. Its erasures and its plan were checked when it was logged. Both still hold, because only this thread
/// writes the history.
fn apply_call(engine: &Engine, (scope, contact, register): Write) -> Result<Applied, ServiceError> {
    let before = engine.history().merge_counted(scope, contact, register).map_err(ServiceError::Full)?;
    Ok(if before >= Some(register) { Applied::Unchanged } else { Applied::Recorded })
}

/// Applies an erasure. It fails only if it erased no pair and neither the history nor the store could remember it.
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
