//! The addresses at which agents are reached. A gateway dials the address of the agent that a decision names.

mod book;
#[cfg(feature = "serde")]
mod list;
mod template;

pub use book::AddressBook;
pub use template::{AddressTemplate, TemplateError};

use crate::id::{AgentId, EnvironmentId};
use crate::number::E164;
use std::collections::HashMap;

/// The agent to reach, and the number that was called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Destination {
    /// The environment of the agent.
    pub environment: EnvironmentId,
    /// The agent that the call is routed to.
    pub agent: AgentId,
    /// The dialed number.
    pub dialed: E164,
}

/// The addresses of agents. There can be a template for all agents, one for each environment, and one for each agent.
/// The most specific one applies. An agent without any of them has no address.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct AgentAddresses {
    default: Option<AddressTemplate>,
    environments: HashMap<EnvironmentId, AddressTemplate>,
    agents: HashMap<AgentId, AddressTemplate>,
}

impl AgentAddresses {
    /// Creates addresses with one template for all agents.
    pub fn by_template(template: AddressTemplate) -> Self {
        Self::default().with_template(template)
    }

    /// Sets the template for agents that have no more specific one.
    #[must_use]
    pub fn with_template(self, template: AddressTemplate) -> Self {
        Self { default: Some(template), ..self }
    }

    /// Returns whether no agent has an address.
    pub fn is_empty(&self) -> bool {
        self.templates().next().is_none()
    }

    /// Returns all templates in no particular order, for example to check that each is a SIP URI.
    pub fn templates(&self) -> impl Iterator<Item = &AddressTemplate> {
        self.default.iter().chain(self.environments.values()).chain(self.agents.values())
    }

    /// Returns the address of the destination, or `None` if the agent has none.
    pub fn of(&self, destination: &Destination) -> Option<String> {
        let own = self.agents.get(&destination.agent);
        let template = own.or_else(|| self.environments.get(&destination.environment)).or(self.default.as_ref());
        Some(template?.fill(destination))
    }

    /// Returns the address of the destination, or the agent's id if it has no address. For gateways that can build an
    /// address from the id.
    pub fn of_or_id(&self, destination: &Destination) -> String {
        self.of(destination).unwrap_or_else(|| destination.agent.to_string())
    }
}
