//! Runs an engine and the model side by side and compares them.

use super::model::{Model, Refused};
use super::op::{Edit, Op};
use super::recording::RecordingStore;
use super::universe::{Agent, Contact, Dialed, Moment, Number, START, Tenant};
use crate::engine::{Applied, ApplyError};
use crate::plan::{AgentView, CallbackView, NumberView};
use crate::{
    AgentId, Call, Caller, Configuration, Decision, E164, Engine, Erasure, Event, Reason, Route, Service, ServiceError,
    Timestamp,
};
use std::sync::Arc;

/// A system under test: it applies events and decides.
pub trait Subject {
    /// Applies the events in order, as one batch. Returns `None` for an event that is rejected.
    fn apply(&mut self, events: &[Event]) -> Vec<Option<Applied>>;

    /// Returns the engine that decides.
    fn engine(&self) -> Arc<Engine>;

    /// Ends and starts again from the stored state. Does nothing without a store.
    fn restart(&mut self) {}
}

impl Subject for Arc<Engine> {
    fn apply(&mut self, events: &[Event]) -> Vec<Option<Applied>> {
        let apply = |event| match Engine::apply(self, event) {
            Ok(applied) => Some(applied),
            Err(ApplyError::Config(_)) => None,
            Err(error @ ApplyError::Full(_)) => panic!("{error}"),
        };
        events.iter().map(apply).collect()
    }

    fn engine(&self) -> Arc<Engine> {
        Self::clone(self)
    }
}

/// A service with a store in memory.
#[derive(Debug)]
pub struct Stored {
    store: RecordingStore,
    service: Service,
}

impl Stored {
    /// Creates a new service with a new store.
    pub fn new() -> Self {
        let store = RecordingStore::new();
        Self { service: start(&store), store }
    }
}

impl Default for Stored {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the engine of a service, which is not public.
pub fn engine_of(service: &Service) -> Arc<Engine> {
    Arc::clone(service.engine())
}

fn start(store: &RecordingStore) -> Service {
    Service::builder(store.clone()).start().expect("a store in memory always fits")
}

impl Subject for Stored {
    fn apply(&mut self, events: &[Event]) -> Vec<Option<Applied>> {
        let apply = |did| match did {
            Ok(applied) => Some(applied),
            Err(ServiceError::Config(_)) => None,
            Err(error) => panic!("{error}"),
        };
        let did = self.service.record(events.to_vec()).expect("a store in memory does not fail");
        did.into_iter().map(apply).collect()
    }

    fn engine(&self) -> Arc<Engine> {
        engine_of(&self.service)
    }

    fn restart(&mut self) {
        self.service = start(&self.store);
    }
}

/// Counts what a run exercised. A run without a difference proves something only if these counts are high.
#[derive(Clone, Default, Debug)]
pub struct Seen {
    /// The number of decisions for each reason.
    pub reasons: [u64; 9],
    /// The number of single changes of each kind: accepted, and rejected.
    pub edits: [[u64; 2]; Edit::KINDS],
    /// The number of pairs that erasures removed.
    pub erased_pairs: u64,
    /// The number of calls that were recorded, already known, ignored, and not counted.
    pub calls: [u64; 4],
    /// The number of restarts.
    pub restarts: u64,
}

impl Seen {
    /// Adds the counts of another run.
    pub fn add(&mut self, other: &Self) {
        let sum = |to: &mut [u64], from: &[u64]| to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        sum(&mut self.reasons, &other.reasons);
        sum(self.edits.as_flattened_mut(), other.edits.as_flattened());
        sum(&mut self.calls, &other.calls);
        self.erased_pairs += other.erased_pairs;
        self.restarts += other.restarts;
    }
}

/// Applies operations to a subject and to the model, and panics at the first difference.
///
/// Consecutive events are applied as one batch, so that subjects that group events are tested too.
#[derive(Debug)]
pub struct Driver<S> {
    subject: S,
    model: Model,
    now: Timestamp,
    events: Vec<Event>,
    waiting: Vec<(Event, Option<usize>, Result<Applied, Refused>)>,
    seen: Seen,
}

impl<S: Subject> Driver<S> {
    /// Creates a driver whose time is [`START`] and whose state is empty.
    pub fn new(subject: S) -> Self {
        Self {
            subject,
            model: Model::default(),
            now: START,
            events: Vec::new(),
            waiting: Vec::new(),
            seen: Seen::default(),
        }
    }

    /// Runs the operations, asks all questions, restarts, and asks all questions again. Returns what the run
    /// exercised.
    ///
    /// # Panics
    /// At the first difference between the subject and the model.
    pub fn run<'a>(mut self, ops: impl IntoIterator<Item = &'a Op>) -> Seen {
        ops.into_iter().for_each(|op| self.step(op));
        self.compare_everything();
        self.restart();
        self.compare_everything();
        self.seen
    }

    fn step(&mut self, op: &Op) {
        match op {
            Op::Edit(tenant, edit) => {
                let event = self.configuration(*tenant, std::slice::from_ref(edit), 1);
                self.submit(event, Some(edit.kind()));
            }
            Op::Batch(tenant, edits) => {
                let event = self.configuration(*tenant, edits, 1);
                self.submit(event, None);
            }
            Op::OutOfOrder(tenant, edit) => {
                let event = self.configuration(*tenant, std::slice::from_ref(edit), 2);
                self.submit(event, None);
            }
            Op::Call { tenant, agent, from, to, at, went } => {
                let event = Event::Call(Call {
                    environment: tenant.id(),
                    agent: agent.id(),
                    from: from.number(),
                    to: to.number(),
                    at: at.at(self.now),
                    outcome: went.outcome(),
                });
                self.submit(event, None);
            }
            Op::Erase { tenant, contact, until } => {
                let event = Event::Erasure(Erasure {
                    environment: tenant.id(),
                    contact: contact.number(),
                    until: until.at(self.now),
                    is_ahead: until.at(self.now) > self.now,
                });
                self.submit(event, None);
            }
            Op::Again(place) => {
                let again = self.events.get(usize::from(*place) % self.events.len().max(1)).cloned();
                if let Some(event) = again {
                    self.submit(event, None);
                }
            }
            Op::Query { dialed, caller, at } => {
                self.flush();
                self.compare(dialed_number(*dialed), caller_of(*caller), at.at(self.now));
            }
            Op::Advance(span) => self.now = self.now.plus_millis(span.millis()),
            Op::Restart => self.restart(),
        }
    }

    fn configuration(&self, tenant: Tenant, edits: &[Edit], ahead: u64) -> Event {
        Event::Configuration(Configuration::new(
            self.model.generation + ahead,
            tenant.id(),
            self.now,
            edits.iter().map(Edit::change).collect(),
        ))
    }

    fn submit(&mut self, event: Event, edit: Option<usize>) {
        let expected = self.model.apply(&event);
        self.waiting.push((event, edit, expected));
    }

    fn flush(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let events: Vec<Event> = waiting.iter().map(|(event, ..)| event.clone()).collect();
        let results = self.subject.apply(&events);
        assert_eq!(results.len(), waiting.len(), "one result for each event");
        for ((event, edit, expected), result) in waiting.into_iter().zip(results) {
            assert_eq!(result.ok_or(Refused), expected, "{event:?}");
            if let Some(kind) = edit {
                self.seen.edits[kind][usize::from(expected.is_err())] += 1;
            }
            match expected {
                Ok(Applied::Erased { pairs }) => self.seen.erased_pairs += pairs,
                Ok(Applied::Recorded) => self.seen.calls[0] += 1,
                Ok(Applied::Unchanged) => self.seen.calls[1] += 1,
                Ok(Applied::Ignored) => self.seen.calls[2] += 1,
                Ok(Applied::Uncounted) => self.seen.calls[3] += 1,
                Ok(Applied::Configured { .. }) | Err(Refused) => {}
            }
            self.events.push(event);
        }
    }

    fn restart(&mut self) {
        self.flush();
        self.subject.restart();
        self.seen.restarts += 1;
    }

    fn compare(&mut self, dialed: E164, caller: Caller, at: Timestamp) {
        let engine = self.subject.engine();
        let expected = self.model.resolve(dialed, caller, at);
        let decision = engine.resolve(dialed, caller, at);
        assert_eq!(decision, expected, "{dialed} {caller:?} {at:?}");
        check_trace(&engine, dialed, caller, at, &decision);
        assert_eq!(engine.reader().resolve(dialed, caller, at), decision, "a reader decides like the engine");
        self.seen.reasons[usize::from(decision.reason.line()) - 1] += 1;
    }

    fn compare_everything(&mut self) {
        self.flush();
        for dialed in 0..=Dialed::COUNT {
            for caller in 0..=Contact::COUNT {
                // Only the first nine moments: those near the limits of time are used in single queries.
                for at in 0..9 {
                    self.compare(dialed_number(dialed), caller_of(caller), Moment(at).at(self.now));
                }
            }
        }
        self.compare_batch();
        self.compare_views();
    }

    /// Asks all questions of one moment as one batch. Its size is more than one group and not a multiple of a group.
    fn compare_batch(&self) {
        let engine = self.subject.engine();
        let callers = |dialed| (0..=Contact::COUNT).map(move |caller| (dialed_number(dialed), caller_of(caller)));
        let calls: Vec<_> = (0..=Dialed::COUNT).flat_map(callers).collect();
        let one_by_one: Vec<_> =
            calls.iter().map(|(dialed, caller)| engine.resolve(*dialed, *caller, self.now)).collect();
        let mut decisions = vec![UNDECIDED; calls.len()];
        engine.resolve_batch(&calls, self.now, &mut decisions);
        assert_eq!(decisions, one_by_one, "a batch decides like single calls");
    }

    fn compare_views(&self) {
        let plan = self.subject.engine().plan();
        for environment in [Tenant(0), Tenant(1)].map(Tenant::id) {
            for number in (0..Number::COUNT).map(|number| Number(number).id()) {
                let view = plan.number(environment, number);
                let expected = self.model.default_agent(environment, number);
                assert_eq!(view.and_then(NumberView::default_agent), expected, "the default agent of {number}");
                let owners = view.map(NumberView::owners).unwrap_or_default();
                assert_eq!(owners, self.model.owners(environment, number), "the owners of {number}");
            }
            for agent in (0..Agent::COUNT).map(|agent| Agent(agent).id()) {
                let view = plan.agent(environment, agent);
                let callback_agents = view.map(AgentView::callback_agents).unwrap_or_default();
                assert_eq!(
                    callback_agents,
                    self.model.callback_agents(environment, agent),
                    "the callback agents of {agent}"
                );
                let sources = view.and_then(AgentView::callback).map(CallbackView::sources);
                assert_eq!(sources, self.model.sources(environment, agent), "the source agents of {agent}");
            }
        }
    }
}

/// A decision that no engine makes: a default route for an unknown number.
const UNDECIDED: Decision = Decision {
    route: Route::Default(AgentId::from_u128(0)),
    reason: Reason::UnknownNumber,
    call: None,
    generation: u64::MAX,
};

/// Checks an explanation: its decision is the given one, it tries the lines in order, and its last step decided.
///
/// # Panics
/// If the explanation differs.
pub fn check_trace(engine: &Engine, dialed: E164, caller: Caller, at: Timestamp, decision: &Decision) {
    let trace = engine.explain(dialed, caller, at);
    assert_eq!(trace.decision, *decision, "the explanation decides like the fast path");
    let lines: Vec<Reason> = trace.steps.iter().map(|step| step.line).collect();
    let tried: Vec<Reason> = Reason::ALL.into_iter().take_while(|line| *line <= decision.reason).collect();
    assert_eq!(lines, tried, "the lines are tried in order, up to the one that decided");
    let applying: Vec<Reason> = trace.steps.iter().filter(|step| step.applies).map(|step| step.line).collect();
    assert_eq!(applying, [decision.reason], "only the last step applies");
}

fn dialed_number(byte: u8) -> E164 {
    match byte % (Dialed::COUNT + 1) {
        Dialed::COUNT => E164::from_code(4_420_794_609).expect("a code"),
        ours => Dialed(ours).number(),
    }
}

fn caller_of(byte: u8) -> Caller {
    match byte % (Contact::COUNT + 1) {
        Contact::COUNT => Caller::Withheld,
        contact => Caller::Number(Contact(contact).number()),
    }
}
