//! An engine and the model, side by side.

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

/// What is driven: something that takes events and decides.
pub trait Subject {
    /// Applies the events, in order, as one hand-in. `None`: refused.
    fn apply(&mut self, events: &[Event]) -> Vec<Option<Applied>>;

    /// What decides.
    fn engine(&self) -> Arc<Engine>;

    /// Ends and starts again, where there is something to start from.
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

/// A service over a store in memory.
#[derive(Debug)]
pub struct Stored {
    store: RecordingStore,
    service: Service,
}

impl Stored {
    /// A new service over a new store.
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

/// A service's engine, which users do not get to see.
pub fn engine_of(service: &Service) -> Arc<Engine> {
    Arc::clone(service.engine())
}

fn start(store: &RecordingStore) -> Service {
    Service::start(store.clone(), Engine::new(), |_| {}).expect("a store in memory has nothing that does not fit")
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

/// What a run came across: shows that a run without a difference is worth something.
#[derive(Clone, Default, Debug)]
pub struct Seen {
    /// Decisions by reason.
    pub reasons: [u64; 9],
    /// Single changes of each kind that were made, and that were refused.
    pub edits: [[u64; 2]; Edit::KINDS],
    /// Pairs that erasures erased.
    pub erased_pairs: u64,
    /// Calls that were recorded, were known, were ignored.
    pub calls: [u64; 3],
    /// Restarts.
    pub restarts: u64,
}

impl Seen {
    /// This and another run.
    pub fn add(&mut self, other: &Self) {
        let sum = |to: &mut [u64], from: &[u64]| to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
        sum(&mut self.reasons, &other.reasons);
        sum(self.edits.as_flattened_mut(), other.edits.as_flattened());
        sum(&mut self.calls, &other.calls);
        self.erased_pairs += other.erased_pairs;
        self.restarts += other.restarts;
    }
}

/// Drives a subject and the model through the same operations, and panics at the first difference.
///
/// Events are handed in together, as many as come before the next question, so that a subject that groups them is driven too.
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
    /// Begins at [`START`] with nothing.
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

    /// Runs the operations, asks every question there is, restarts, asks again, and says what came across.
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
                self.hand_in(event, Some(edit.kind()));
            }
            Op::Batch(tenant, edits) => {
                let event = self.configuration(*tenant, edits, 1);
                self.hand_in(event, None);
            }
            Op::OutOfOrder(tenant, edit) => {
                let event = self.configuration(*tenant, std::slice::from_ref(edit), 2);
                self.hand_in(event, None);
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
                self.hand_in(event, None);
            }
            Op::Erase { tenant, contact, until } => {
                let event = Event::Erasure(Erasure {
                    environment: tenant.id(),
                    contact: contact.number(),
                    until: until.at(self.now),
                });
                self.hand_in(event, None);
            }
            Op::Again(place) => {
                let again = self.events.get(usize::from(*place) % self.events.len().max(1)).cloned();
                if let Some(event) = again {
                    self.hand_in(event, None);
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
        Event::Configuration(Configuration {
            sequence: self.model.generation + ahead,
            environment: tenant.id(),
            at: self.now,
            changes: edits.iter().map(Edit::change).collect(),
        })
    }

    fn hand_in(&mut self, event: Event, edit: Option<usize>) {
        let expected = self.model.apply(&event);
        self.waiting.push((event, edit, expected));
    }

    fn flush(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let events: Vec<Event> = waiting.iter().map(|(event, ..)| event.clone()).collect();
        let did = self.subject.apply(&events);
        assert_eq!(did.len(), waiting.len(), "an answer for every event");
        for ((event, edit, expected), did) in waiting.into_iter().zip(did) {
            assert_eq!(did.ok_or(Refused), expected, "{event:?}");
            if let Some(kind) = edit {
                self.seen.edits[kind][usize::from(expected.is_err())] += 1;
            }
            match expected {
                Ok(Applied::Erased { pairs }) => self.seen.erased_pairs += pairs,
                Ok(Applied::Recorded) => self.seen.calls[0] += 1,
                Ok(Applied::Unchanged) => self.seen.calls[1] += 1,
                Ok(Applied::Ignored) => self.seen.calls[2] += 1,
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
        assert_eq!(engine.reader().resolve(dialed, caller, at), decision, "a reader answers as the engine does");
        self.seen.reasons[usize::from(decision.reason.line()) - 1] += 1;
    }

    fn compare_everything(&mut self) {
        self.flush();
        for dialed in 0..=Dialed::COUNT {
            for caller in 0..=Contact::COUNT {
                // The moments that are about the ends of time are left to single questions.
                for at in 0..9 {
                    self.compare(dialed_number(dialed), caller_of(caller), Moment(at).at(self.now));
                }
            }
        }
        self.compare_batch();
        self.compare_views();
    }

    /// Every question of one moment, asked at once: more than one group of a batch, and no whole number of groups.
    fn compare_batch(&self) {
        let engine = self.subject.engine();
        let callers = |dialed| (0..=Contact::COUNT).map(move |caller| (dialed_number(dialed), caller_of(caller)));
        let calls: Vec<_> = (0..=Dialed::COUNT).flat_map(callers).collect();
        let one_by_one: Vec<_> =
            calls.iter().map(|(dialed, caller)| engine.resolve(*dialed, *caller, self.now)).collect();
        let mut decisions = vec![UNDECIDED; calls.len()];
        engine.resolve_batch(&calls, self.now, &mut decisions);
        assert_eq!(decisions, one_by_one, "a batch decides as single calls do");
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
                assert_eq!(callback_agents, self.model.callback_agents(environment, agent), "who takes {agent}'s");
                let sources = view.and_then(AgentView::callback).map(CallbackView::sources);
                assert_eq!(sources, self.model.sources(environment, agent), "whose {agent} takes");
            }
        }
    }
}

/// What no engine decides: a default route for a number that is not there.
const UNDECIDED: Decision = Decision {
    route: Route::Default(AgentId::from_u128(0)),
    reason: Reason::UnknownNumber,
    call: None,
    generation: u64::MAX,
};

/// The explanation decides alike, tries the lines in order, and ends at the one that decided.
///
/// # Panics
/// Where it does not.
pub fn check_trace(engine: &Engine, dialed: E164, caller: Caller, at: Timestamp, decision: &Decision) {
    let trace = engine.explain(dialed, caller, at);
    assert_eq!(trace.decision, *decision, "the explanation decides as the fast path does");
    let lines: Vec<Reason> = trace.steps.iter().map(|step| step.line).collect();
    let tried: Vec<Reason> = Reason::ALL.into_iter().take_while(|line| *line <= decision.reason).collect();
    assert_eq!(lines, tried, "every line up to the one that decided is tried, in order");
    let applying: Vec<Reason> = trace.steps.iter().filter(|step| step.applies).map(|step| step.line).collect();
    assert_eq!(applying, [decision.reason], "the last step is the one that applies");
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
