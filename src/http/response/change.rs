//! A change of the configuration in words and as data, with the names of its time.

use super::narrative::{MAX_NAMED, duration, omitted};
use super::time_text;
use crate::event::{Change, Configuration, Direction, Names, Role};
use crate::http::openapi::schema;
use crate::id::{AgentId, NumberId, TokenId};
use crate::number::{DialPlan, E164};
use crate::outcome::{Outcome, OutcomeSet};
use crate::plan::{AgentView, NumberView, Plan};
use crate::time::Lookback;
use serde::Serialize;
use std::fmt::Write as _;
use utoipa::ToSchema;

/// The maximum number of changes of one configuration that are shown.
pub(in crate::http) const MAX_CHANGES: usize = 50;

/// The maximum number of names in a sentence.
const MAX_IN_TEXT: usize = 5;

/// One change.
#[derive(Serialize, ToSchema)]
pub(in crate::http) struct ShownChange {
    /// The kind of the change.
    change: &'static str,
    /// A sentence about the change.
    text: String,
    /// The agent that changed, or that the change names as a default agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    agent: Option<NamedAgent>,
    /// The phone number that changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    number: Option<NamedNumber>,
    /// The token that changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    token: Option<NamedToken>,
    /// The first twenty source agents of a callback agent, or owners of a number.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, max_items = 20)]
    agents: Option<Vec<NamedAgent>>,
    /// The first twenty numbers that the agent owns after the change.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false, max_items = 20)]
    numbers: Option<Vec<NamedNumber>>,
    /// How many more agents or numbers there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    more: Option<usize>,
}

/// An agent with the name that it had.
#[derive(Clone, Serialize, ToSchema)]
struct NamedAgent {
    #[schema(value_type = Uuid)]
    id: AgentId,
    /// The name; null if it is not recorded and the agent was deleted.
    #[schema(required)]
    name: Option<String>,
}

/// A phone number of the environment.
#[derive(Clone, Serialize, ToSchema)]
struct NamedNumber {
    #[schema(value_type = Uuid)]
    id: NumberId,
    /// The phone number; null if it is not recorded and was removed.
    #[schema(schema_with = schema::number_or_null)]
    number: Option<String>,
}

/// A token with the label that it had.
#[derive(Serialize, ToSchema)]
struct NamedToken {
    #[schema(value_type = Uuid)]
    id: TokenId,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    label: Option<String>,
}

/// Returns the first changes of a configuration, and how many there are. Stored responses are no changes.
pub(in crate::http) fn shown(plan: &Plan, configuration: &Configuration) -> (Vec<ShownChange>, usize) {
    let changes = || configuration.changes.iter().filter(|change| !matches!(change, Change::AnswerGiven { .. }));
    let mut naming = Naming { plan, configuration, names: configuration.names.clone() };
    let first = changes().take(MAX_CHANGES).map(|change| naming.show(change)).collect();
    (first, changes().count())
}

struct Naming<'a> {
    plan: &'a Plan,
    configuration: &'a Configuration,
    /// The names before the change that is shown next.
    names: Names,
}

impl Naming<'_> {
    fn show(&mut self, change: &Change) -> ShownChange {
        match change {
            Change::EnvironmentSet { name, dial_plan, lookback } => {
                ShownChange::new("environment_set", settings(name, dial_plan, *lookback))
            }
            Change::EnvironmentDeleted {} => ShownChange::new("environment_deleted", "Deleted the environment."),
            Change::AttestationRequired { level } => ShownChange::new(
                "attestation_required",
                format!("Set the required attestation of callers to {}.", level.map_or("none", |level| level.name())),
            ),
            Change::CountsFromSet { from } => {
                ShownChange::new("counts_from_set", format!("Set the status from which calls count to {from}."))
            }
            Change::AgentCreated { id, name, direction, .. } => self.created(*id, name, Some(*direction)),
            Change::AgentDrafted { id, name, .. } => self.created(*id, name, None),
            Change::AgentRenamed { id, name, label } => self.renamed(*id, name, label.as_deref()),
            Change::AgentPublished { id } => self.of_agent("agent_published", *id, "Published the agent"),
            Change::AgentUnpublished { id } => self.of_agent("agent_unpublished", *id, "Unpublished the agent"),
            Change::AgentDeleted { id } => self.of_agent("agent_deleted", *id, "Deleted the agent"),
            Change::CallbackRemoved { id } => {
                self.of_agent("callback_removed", *id, "Removed the callback role of the agent")
            }
            Change::CallingSet { id, direction, numbers } => {
                let what = format!("Set the direction to {} for the agent", direction.name());
                let shown = self.of_agent("calling_set", *id, &what);
                numbers.iter().fold(shown, |shown, numbers| self.with_numbers(shown, numbers))
            }
            Change::NumbersAssigned { id, numbers } => {
                let shown = self.of_agent("numbers_assigned", *id, "Set the numbers of the agent");
                self.with_numbers(shown, numbers)
            }
            Change::CallbackSet { id, sources, outcomes, lookback } => {
                let shown = self.of_agent("callback_set", *id, "Set the callback role of the agent");
                self.with_role(shown, sources, *outcomes, *lookback)
            }
            Change::NumberAdded { id, number } => {
                self.names.set_number(*id, *number);
                self.of_number("number_added", *id, "Added the number")
            }
            Change::NumberReleased { id } => self.of_number("number_released", *id, "Removed the number"),
            Change::OwnersOrdered { number, owners } => {
                let shown = self.of_number("owners_ordered", *number, "Ordered the owners of the number");
                self.with_agents(shown, "Its first owners", owners)
            }
            Change::DefaultAgentRemoved { number } => {
                self.of_number("default_agent_removed", *number, "Left without a default agent: the number")
            }
            Change::DefaultAgentSet { number, agent: None } => {
                self.of_number("default_agent_set", *number, "Set to an automatic default agent: the number")
            }
            Change::DefaultAgentSet { number, agent: Some(agent) } => {
                let agent = self.agent(*agent);
                let what = format!("Set the default agent to {} for the number", agent.text());
                ShownChange { agent: Some(agent), ..self.of_number("default_agent_set", *number, &what) }
            }
            Change::TokenIssued { id, role, label, .. } => self.issued(*id, *role, label),
            Change::TokenRevoked { id } => self.of_token("token_revoked", *id, "Revoked the token", "."),
            Change::TokenExpires { id, at } => {
                let end = format!(", which is valid until {}.", time_text::render(*at));
                self.of_token("token_expires", *id, "Set the end of the token", &end)
            }
            Change::AnswerGiven { .. } => ShownChange::new("answer_given", "Stored a response."),
        }
    }

    fn created(&mut self, id: AgentId, name: &str, direction: Option<Direction>) -> ShownChange {
        self.names.set_agent(id, name);
        let direction = direction.map_or("agent without a direction,", |direction| match direction {
            Direction::Inbound => "inbound agent",
            Direction::Outbound => "outbound agent",
        });
        self.of_agent("agent_created", id, &format!("Created the {direction}"))
    }

    fn renamed(&mut self, id: AgentId, name: &str, label: Option<&str>) -> ShownChange {
        let before = self.agent(id).text();
        self.names.set_agent(id, name);
        let label = label.map_or_else(|| "no label".into(), |label| format!("the label {label}"));
        let text = format!("Gave the agent {before} the name {name} and {label}.");
        ShownChange { agent: Some(self.agent(id)), ..ShownChange::new("agent_renamed", text) }
    }

    fn issued(&mut self, id: TokenId, role: Role, label: &str) -> ShownChange {
        self.names.set_token(id, label);
        self.of_token("token_issued", id, &format!("Issued the {} token", role.name()), ".")
    }

    fn of_agent(&self, change: &'static str, id: AgentId, what: &str) -> ShownChange {
        let agent = self.agent(id);
        ShownChange { agent: Some(agent.clone()), ..ShownChange::new(change, format!("{what} {}.", agent.text())) }
    }

    fn of_number(&self, change: &'static str, id: NumberId, what: &str) -> ShownChange {
        let number = self.number(id);
        ShownChange { number: Some(number.clone()), ..ShownChange::new(change, format!("{what} {}.", number.text())) }
    }

    fn of_token(&self, change: &'static str, id: TokenId, what: &str, end: &str) -> ShownChange {
        let held = || self.plan.tokens().find(|token| token.id == id).map(|token| token.label.as_str());
        let label = self.names.token(id).or_else(held).filter(|label| !label.is_empty()).map(str::to_owned);
        let text = format!("{what} {}{end}", label.clone().unwrap_or_else(|| id.to_string()));
        ShownChange { token: Some(NamedToken { id, label }), ..ShownChange::new(change, text) }
    }

    fn with_numbers(&self, shown: ShownChange, numbers: &[NumberId]) -> ShownChange {
        let named: Vec<_> = numbers.iter().take(MAX_NAMED).map(|id| self.number(*id)).collect();
        let list = listed(named.iter().map(NamedNumber::text), numbers.len());
        let text = format!("{} Its numbers: {list}.", shown.text);
        ShownChange { text, numbers: Some(named), more: omitted(numbers.len()), ..shown }
    }

    fn with_role(
        &self,
        shown: ShownChange,
        sources: &[AgentId],
        outcomes: Option<OutcomeSet>,
        lookback: Option<Lookback>,
    ) -> ShownChange {
        let mut shown = self.with_agents(shown, "Its source agents", sources);
        if let Some(outcomes) = outcomes {
            let statuses: Vec<_> = outcomes.iter().map(Outcome::public_name).collect();
            let _ = write!(shown.text, " Only after calls with these statuses: {}.", statuses.join(", "));
        }
        if let Some(lookback) = lookback {
            let _ = write!(shown.text, " Its look-back: {}.", span(lookback));
        }
        shown
    }

    fn with_agents(&self, shown: ShownChange, what: &str, agents: &[AgentId]) -> ShownChange {
        let named: Vec<_> = agents.iter().take(MAX_NAMED).map(|id| self.agent(*id)).collect();
        let list = listed(named.iter().map(NamedAgent::text), agents.len());
        let text = format!("{} {what}: {list}.", shown.text);
        ShownChange { text, agents: Some(named), more: omitted(agents.len()), ..shown }
    }

    /// Returns the agent with the name that it had. A change by an earlier version has no names: then with the name that it
    /// has now.
    fn agent(&self, id: AgentId) -> NamedAgent {
        let now = || self.plan.agent(self.configuration.environment, id).map(AgentView::name);
        NamedAgent { id, name: self.names.agent(id).or_else(now).map(str::to_owned) }
    }

    fn number(&self, id: NumberId) -> NamedNumber {
        let now = || self.plan.number(self.configuration.environment, id).map(NumberView::number);
        let number: Option<E164> = self.names.number(id).or_else(now);
        NamedNumber { id, number: number.map(|number| number.to_plus_form().to_string()) }
    }
}

impl ShownChange {
    fn new(change: &'static str, text: impl Into<String>) -> Self {
        let (agent, number, token, agents, numbers, more) = (None, None, None, None, None, None);
        Self { change, text: text.into(), agent, number, token, agents, numbers, more }
    }
}

impl NamedAgent {
    fn text(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.id.to_string())
    }
}

impl NamedNumber {
    fn text(&self) -> String {
        self.number.clone().unwrap_or_else(|| self.id.to_string())
    }
}

fn settings(name: &str, dial_plan: &DialPlan, lookback: Lookback) -> String {
    let home = match (dial_plan.region(), dial_plan.country_code()) {
        (Some(region), _) => format!("region {region}"),
        (None, "") => "no dial plan".into(),
        (None, code) => format!("country code {code}"),
    };
    format!("Set the environment's settings: name {name}, {home}, look-back {}.", span(lookback))
}

fn span(lookback: Lookback) -> String {
    duration(u64::from(lookback.secs()) * 1000)
}

fn listed(names: impl Iterator<Item = String>, total: usize) -> String {
    let mut list = names.take(MAX_IN_TEXT).collect::<Vec<_>>().join(", ");
    match total.checked_sub(MAX_IN_TEXT) {
        _ if total == 0 => list += "none",
        Some(more @ 1..) => _ = write!(list, " and {more} more"),
        _ => {}
    }
    list
}
