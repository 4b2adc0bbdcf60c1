//! The interface between a scenario and the adapter that it runs through: the library, HTTP, SIP and others.

use crate::plan::DefaultChoice;
use crate::{
    AgentId, CallId, Change, Context, CountsFrom, Details, DialPlan, Direction, E164, EnvironmentId, Lookback,
    NumberId, Outcome, OutcomeSet, Reason, Route, Timestamp,
};
use std::collections::BTreeMap;

/// An adapter to a new and empty installation. Its methods panic if the adapter cannot do what a scenario asks.
pub trait Door {
    /// Returns the scenario's current time. It is called once, at the start. An adapter to a program with its own
    /// clock returns that clock's time.
    fn now(&mut self) -> Timestamp;

    /// Makes a configuration change.
    ///
    /// # Errors
    /// The code of the error.
    fn configure(&mut self, environment: EnvironmentId, action: &Action) -> Result<(), Refusal>;

    /// Reports an outbound call, and returns when the report is in force.
    fn call(&mut self, report: &ReportedCall);

    /// Erases a contact up to the current time, and returns the number of erased pairs.
    fn erase(&mut self, environment: EnvironmentId, contact: &str) -> u64;

    /// Returns whether the adapter keeps ids and contexts of calls.
    fn keeps_details(&self) -> bool {
        true
    }

    /// Returns the route of a call. `caller` is passed as a trunk sends it.
    fn route(&mut self, dialed: &str, caller: &str, at: Timestamp) -> RouteAnswer;
}

/// The code of an error, such as `AGENT_IS_PUBLISHED`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal(pub String);

/// A configuration change: one request of the control API.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// Creates or changes an environment. Only an operator can do this, not a tenant.
    SetEnvironment {
        /// The name, for people.
        name: String,
        /// The dial plan.
        dial_plan: DialPlan,
        /// The look-back.
        lookback: Lookback,
        /// The status from which calls count, if it is set.
        counts_from: Option<CountsFrom>,
    },
    /// `POST /phone-numbers`
    AddNumber {
        /// The id of the new number.
        id: NumberId,
        /// The phone number in `+` form.
        number: String,
    },
    /// `DELETE /phone-numbers/{id}`
    ReleaseNumber(NumberId),
    /// `PUT /phone-numbers/{id}`
    ChooseDefault {
        /// The number.
        number: NumberId,
        /// How its default agent is chosen.
        choice: DefaultChoice,
    },
    /// `POST /agents`
    CreateAgent {
        /// The id of the new agent.
        id: AgentId,
        /// The name, for people.
        name: String,
        /// The agent's direction.
        direction: Direction,
    },
    /// `PUT /agents/{id}/calling`
    SetCalling {
        /// The agent.
        id: AgentId,
        /// The agent's direction.
        direction: Direction,
        /// The agent's numbers; `None` leaves them unchanged.
        numbers: Option<Vec<NumberId>>,
    },
    /// `POST /agents/{id}/publish`
    Publish(AgentId),
    /// `POST /agents/{id}/unpublish`
    Unpublish(AgentId),
    /// `DELETE /agents/{id}`
    DeleteAgent(AgentId),
    /// `POST /agents/{id}/callback`
    SetCallback {
        /// The callback agent.
        id: AgentId,
        /// `source_agent_ids`
        sources: Vec<AgentId>,
        /// `callback_trigger_statuses`
        statuses: Option<OutcomeSet>,
        /// `lookback_days`
        lookback_days: Option<u32>,
    },
    /// `DELETE /agents/{id}/callback`
    RemoveCallback(AgentId),
}

impl Action {
    /// Returns the equivalent changes, for adapters that accept changes.
    pub fn to_changes(&self) -> Vec<Change> {
        let counting = match self {
            Self::SetEnvironment { counts_from, .. } => counts_from.map(|from| Change::CountsFromSet { from }),
            _ => None,
        };
        [self.to_change()].into_iter().chain(counting).collect()
    }

    /// Returns the first of the equivalent changes.
    fn to_change(&self) -> Change {
        match self.clone() {
            Self::SetEnvironment { name, dial_plan, lookback, .. } => {
                Change::EnvironmentSet { name, dial_plan, lookback }
            }
            Self::AddNumber { id, number } => {
                Change::NumberAdded { id, number: E164::parse_international(&number).expect("a number with its +") }
            }
            Self::ReleaseNumber(id) => Change::NumberReleased { id },
            Self::ChooseDefault { number, choice } => match choice {
                DefaultChoice::Auto => Change::DefaultAgentSet { number, agent: None },
                DefaultChoice::Named(agent) => Change::DefaultAgentSet { number, agent: Some(agent) },
                DefaultChoice::Nobody => Change::DefaultAgentRemoved { number },
            },
            Self::CreateAgent { id, name, direction } => Change::AgentCreated { id, name, label: None, direction },
            Self::SetCalling { id, direction, numbers } => Change::CallingSet { id, direction, numbers },
            Self::Publish(id) => Change::AgentPublished { id },
            Self::Unpublish(id) => Change::AgentUnpublished { id },
            Self::DeleteAgent(id) => Change::AgentDeleted { id },
            Self::SetCallback { id, sources, statuses, lookback_days } => Change::CallbackSet {
                id,
                sources,
                outcomes: statuses,
                lookback: lookback_days.map(Lookback::from_days),
            },
            Self::RemoveCallback(id) => Change::CallbackRemoved { id },
        }
    }
}

/// `POST /calls`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReportedCall {
    /// The tenant of the agent.
    pub environment: EnvironmentId,
    /// The source agent.
    pub agent: AgentId,
    /// The number of the tenant, as the gateway writes it.
    pub from: String,
    /// The contact, as the gateway writes it.
    pub to: String,
    /// When the call was placed.
    pub at: Timestamp,
    /// The outcome of the call.
    pub outcome: Outcome,
    /// The id and the context of the call.
    pub details: CallDetails,
}

/// The id and the context of a call. Without fields there is no context.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct CallDetails {
    /// The id of the call.
    pub id: Option<String>,
    /// The fields of its context, all of which are strings.
    pub context: BTreeMap<String, String>,
}

impl CallDetails {
    /// The fields that contexts in scenarios may have, because SIP and FastAGI pass on those only that an operator names.
    pub const FIELDS: [&str; 2] = ["note", "order"];

    /// Returns the context as JSON, if there is one.
    pub fn context_text(&self) -> Option<String> {
        (!self.context.is_empty()).then(|| serde_json::to_string(&self.context).expect("JSON"))
    }

    /// Returns the equivalent [`Details`].
    pub fn to_details(&self) -> Details {
        let id = self.id.as_ref().map(|id| CallId::new(id).expect("an id"));
        let context = self.context_text().map(|text| Context::new(&text).expect("a context"));
        Details { id, context }
    }

    /// Returns the details of an id and a context as JSON.
    pub fn read(id: Option<&str>, context: Option<&str>) -> Self {
        let context = context.map(|text| serde_json::from_str(text).expect("strings only")).unwrap_or_default();
        Self { id: id.map(str::to_owned), context }
    }
}

/// `GET /route`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteAnswer {
    /// The route of the call.
    pub route: Route,
    /// The reason for the route.
    pub reason: Reason,
    /// The agent of the last outbound call.
    pub source: Option<AgentId>,
    /// When the last outbound call was placed.
    pub called_at: Option<Timestamp>,
    /// The outcome of the last outbound call.
    pub outcome: Option<Outcome>,
    /// The id and the context of the last outbound call.
    pub details: CallDetails,
}
