//! What a scenario asks of a door: the library, HTTP, and what comes later.

use crate::{
    AgentId, Change, DialPlan, Direction, E164, EnvironmentId, Lookback, NumberId, Outcome, OutcomeSet, Reason, Route,
    Timestamp,
};

/// A way into a new and empty installation. Everything that a door cannot do is a failed test: it panics.
pub trait Door {
    /// The scenario's present, asked once, at its start. A door to something with a clock gives that clock's time.
    fn now(&mut self) -> Timestamp;

    /// Makes a change.
    ///
    /// # Errors
    /// The code of the refusal.
    fn configure(&mut self, environment: EnvironmentId, action: &Action) -> Result<(), Refusal>;

    /// Reports an outbound call; returns when it is in force.
    fn call(&mut self, report: &Report);

    /// Forgets a contact up to the present and says how many pairs that were.
    fn erase(&mut self, environment: EnvironmentId, contact: &str) -> u64;

    /// Asks where a call goes. Callers are passed as a trunk sends them.
    fn route(&mut self, dialed: &str, caller: &str, at: Timestamp) -> Answer;
}

/// The code of a refusal, as `AGENT_IS_PUBLISHED`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal(pub String);

/// A change of configuration: one request of the control API each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// The environment is made or set. No request of a tenant's: the operator's part.
    SetEnvironment {
        /// For people.
        name: String,
        /// Its dial plan.
        dial_plan: DialPlan,
        /// Its look-back.
        lookback: Lookback,
    },
    /// `POST /phone-numbers`
    AddNumber {
        /// The identity it is to have.
        id: NumberId,
        /// The number with its `+`.
        number: String,
    },
    /// `DELETE /phone-numbers/{id}`
    ReleaseNumber(NumberId),
    /// `PUT /phone-numbers/{id}`
    NameDefault {
        /// Which number.
        number: NumberId,
        /// `None`: nobody is named any more.
        agent: Option<AgentId>,
    },
    /// `POST /agents`
    CreateAgent {
        /// The identity it is to have.
        id: AgentId,
        /// For people.
        name: String,
        /// What it is for.
        direction: Direction,
    },
    /// `PUT /agents/{id}/calling`
    SetCalling {
        /// Which agent.
        id: AgentId,
        /// What it is for.
        direction: Direction,
        /// `None` leaves its numbers.
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
    /// What it changes, for doors that take changes.
    pub fn to_change(&self) -> Change {
        match self.clone() {
            Self::SetEnvironment { name, dial_plan, lookback } => Change::EnvironmentSet { name, dial_plan, lookback },
            Self::AddNumber { id, number } => {
                Change::NumberAdded { id, number: E164::parse_international(&number).expect("a number with its +") }
            }
            Self::ReleaseNumber(id) => Change::NumberReleased { id },
            Self::NameDefault { number, agent } => Change::DefaultAgentSet { number, agent },
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
pub struct Report {
    /// The tenant of the agent.
    pub environment: EnvironmentId,
    /// The source agent.
    pub agent: AgentId,
    /// The number of ours as the gateway writes it.
    pub from: String,
    /// The contact as the gateway writes it.
    pub to: String,
    /// When it was placed.
    pub at: Timestamp,
    /// How it went.
    pub outcome: Outcome,
}

/// `GET /route`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Where the call goes.
    pub route: Route,
    /// Why.
    pub reason: Reason,
    /// The agent of the call behind it.
    pub source: Option<AgentId>,
    /// When that was placed.
    pub called_at: Option<Timestamp>,
}
