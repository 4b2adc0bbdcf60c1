//! The adapters to the library: to an engine, and to a service that restarts before each question.

use super::door::{Action, CallDetails, Door, Refusal, ReportedCall, RouteAnswer};
use crate::engine::Applied;
use crate::plan::NumberView;
use crate::testing::driver::check_trace;
use crate::testing::lasting::LastingStore;
use crate::testing::universe::START;
use crate::{
    Call, CallId, Caller, ConfigError, Context, DialPlan, E164, Engine, EnvironmentId, Erasure, Event, Plan, Service,
    ServiceError, Timestamp,
};

/// An engine, used as an embedder without a store uses it.
#[derive(Default, Debug)]
pub struct EngineDoor(Engine);

impl Door for EngineDoor {
    fn now(&mut self) -> Timestamp {
        START
    }

    fn configure(&mut self, environment: EnvironmentId, action: &Action) -> Result<(), Refusal> {
        match self.0.configure(environment, START, action.to_changes()) {
            Ok(_) => Ok(()),
            Err(error) => Err(refusal(&error)),
        }
    }

    fn call(&mut self, report: &ReportedCall) {
        let event = event(&self.0.plan(), report);
        let _applied = self.0.apply(&event).expect("a call is applied");
    }

    fn erase(&mut self, environment: EnvironmentId, contact: &str) -> u64 {
        let event = erasure(&self.0.plan(), environment, contact);
        pairs(self.0.apply(&event).expect("an erasure is applied"))
    }

    /// An engine knows no ids.
    fn keeps_details(&self) -> bool {
        false
    }

    fn route(&mut self, dialed: &str, caller: &str, at: Timestamp) -> RouteAnswer {
        route(&self.0, dialed, caller, at)
    }
}

/// A service with a store in memory. It restarts before each question, so each answer is based on data that was
/// stored.
#[derive(Debug)]
pub struct ServiceDoor {
    store: LastingStore,
    service: Service,
}

impl ServiceDoor {
    /// Creates a new service with a new store.
    pub fn new() -> Self {
        let store = LastingStore::new([7; 32]);
        Self { service: start(&store), store }
    }

    /// Starts a service from what is stored so far, for an adapter of another kind.
    pub fn again(&self) -> Service {
        start(&self.store)
    }

    fn record(&self, event: Event) -> Applied {
        let results = self.service.record(vec![event]).expect("a store in memory does not fail");
        results.into_iter().next().expect("one result for each event").expect("it is applied")
    }
}

impl Default for ServiceDoor {
    fn default() -> Self {
        Self::new()
    }
}

fn start(store: &LastingStore) -> Service {
    Service::builder(store.clone()).start().expect("the stored state loads")
}

impl Door for ServiceDoor {
    fn now(&mut self) -> Timestamp {
        START
    }

    fn configure(&mut self, environment: EnvironmentId, action: &Action) -> Result<(), Refusal> {
        let changes = action.to_changes();
        match self.service.configure(environment, START, move |_| Ok(changes)) {
            Ok(_) => Ok(()),
            Err(ServiceError::Config(error)) => Err(refusal(&error)),
            Err(error) => panic!("{error}"),
        }
    }

    fn call(&mut self, report: &ReportedCall) {
        let _applied = self.record(event(&self.service.engine().plan(), report));
    }

    fn erase(&mut self, environment: EnvironmentId, contact: &str) -> u64 {
        pairs(self.record(erasure(&self.service.engine().plan(), environment, contact)))
    }

    fn route(&mut self, dialed: &str, caller: &str, at: Timestamp) -> RouteAnswer {
        self.service = start(&self.store);
        let answer = route(self.service.engine(), dialed, caller, at);
        RouteAnswer { details: details(&self.service, dialed, caller, at), ..answer }
    }
}

/// Returns the control API's code for an error of the library.
fn refusal(error: &ConfigError) -> Refusal {
    let code = match error {
        ConfigError::UnknownAgent(_) => "AGENT_NOT_FOUND",
        ConfigError::UnknownNumbers(_) => "NUMBER_NOT_FOUND",
        ConfigError::AgentExists(_) => "AGENT_EXISTS",
        ConfigError::NumberTaken(_) => "PHONE_NUMBER_TAKEN",
        ConfigError::NumberInUse { .. } => "PHONE_NUMBER_IN_USE",
        ConfigError::AgentIsPublished(_) => "AGENT_IS_PUBLISHED",
        ConfigError::AgentIsCallback { .. } => "AGENT_IS_CALLBACK",
        ConfigError::AgentIsSource { .. } => "AGENT_IS_SOURCE",
        ConfigError::CallbackNotInbound(_) => "INVALID_AGENT_DIRECTION",
        ConfigError::InvalidSources(_) => "INVALID_SOURCE_AGENT",
        ConfigError::NotACallbackAgent(_) => "NOT_A_CALLBACK_AGENT",
        other => panic!("the scenarios have no code for this error yet: {other}"),
    };
    Refusal(code.to_owned())
}

fn event(plan: &Plan, report: &ReportedCall) -> Event {
    let dial_plan = dial_plan(plan, report.environment);
    let number = |text: &str| E164::parse(text, &dial_plan).expect("a number");
    let call = Call {
        environment: report.environment,
        agent: report.agent,
        from: number(&report.from),
        to: number(&report.to),
        at: report.at,
        outcome: report.outcome,
    };
    Event::reported(call, report.details.to_details())
}

fn erasure(plan: &Plan, environment: EnvironmentId, contact: &str) -> Event {
    let contact = E164::parse(contact, &dial_plan(plan, environment)).expect("a number");
    Event::Erasure(Erasure { environment, contact, until: START, is_ahead: false })
}

fn pairs(applied: Applied) -> u64 {
    match applied {
        Applied::Erased { pairs } => pairs,
        other => panic!("an erasure returned {other:?}"),
    }
}

fn dial_plan(plan: &Plan, environment: EnvironmentId) -> DialPlan {
    plan.environment(environment).map_or(DialPlan::NONE, |environment| *environment.dial_plan())
}

fn route(engine: &Engine, dialed: &str, caller: &str, at: Timestamp) -> RouteAnswer {
    let plan = engine.plan();
    let dialed = E164::parse_international(dialed).expect("dialed numbers come with their +");
    let home = plan.dialed(dialed).map(NumberView::environment);
    let caller = Caller::parse(caller, &home.map_or(DialPlan::NONE, |home| dial_plan(&plan, home)));
    let decision = engine.resolve(dialed, caller, at);
    check_trace(engine, dialed, caller, at, &decision);
    RouteAnswer {
        route: decision.route,
        reason: decision.reason,
        source: decision.call.map(|call| call.agent),
        called_at: decision.call.map(|call| call.at),
        outcome: decision.call.map(|call| call.outcome),
        details: CallDetails::default(),
    }
}

/// Returns the id and the context of the call behind a decision.
fn details(service: &Service, dialed: &str, caller: &str, at: Timestamp) -> CallDetails {
    let plan = service.plan();
    let dialed = E164::parse_international(dialed).expect("dialed numbers come with their +");
    let home = plan.dialed(dialed).map(NumberView::environment);
    let caller = Caller::parse(caller, &home.map_or(DialPlan::NONE, |home| dial_plan(&plan, home)));
    let call = service.resolve(dialed, caller, at).call;
    let Some((call, caller)) = call.zip(caller.number()) else { return CallDetails::default() };
    let known = service.call_behind(&plan, dialed, caller, &call).expect("a store in memory does not fail");
    known
        .map(|known| {
            CallDetails::read(known.id.as_ref().map(CallId::as_str), known.context.as_ref().map(Context::as_str))
        })
        .unwrap_or_default()
}
