//! Where agents are reached: what a gateway dials once it has been decided who takes the call.

#[cfg(feature = "serde")]
mod list;
mod template;

pub use template::{AddressTemplate, TemplateError};

use crate::id::{AgentId, EnvironmentId};
use crate::number::E164;
use std::collections::HashMap;

/// Whom an address is for, and who was called.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Destination {
    /// Where the agent belongs.
    pub environment: EnvironmentId,
    /// Who takes the call.
    pub agent: AgentId,
    /// The number of ours that was called.
    pub dialed: E164,
}

/// The addresses of agents: one template for all of them, others for those of an environment, and for single agents. The most
/// particular one counts. An agent that none of them covers has no address.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct AgentAddresses {
    everybody: Option<AddressTemplate>,
    environments: HashMap<EnvironmentId, AddressTemplate>,
    agents: HashMap<AgentId, AddressTemplate>,
}

impl AgentAddresses {
    /// All agents by this template.
    pub fn by_template(template: AddressTemplate) -> Self {
        Self::default().with_template(template)
    }

    /// The same with this template for whoever has no other.
    #[must_use]
    pub fn with_template(self, template: AddressTemplate) -> Self {
        Self { everybody: Some(template), ..self }
    }

    /// Whether no agent has an address.
    pub fn is_empty(&self) -> bool {
        self.templates().next().is_none()
    }

    /// Every template there is, in no order: for who wants more of an address than this does, such as that it is a SIP URI.
    pub fn templates(&self) -> impl Iterator<Item = &AddressTemplate> {
        self.everybody.iter().chain(self.environments.values()).chain(self.agents.values())
    }

    /// Where the call is to go.
    pub fn of(&self, destination: &Destination) -> Option<String> {
        let own = self.agents.get(&destination.agent);
        let template = own.or_else(|| self.environments.get(&destination.environment)).or(self.everybody.as_ref());
        Some(template?.fill(destination))
    }

    /// The same, or the agent's id where it has no address: for gateways that make one of it.
    pub fn of_or_id(&self, destination: &Destination) -> String {
        self.of(destination).unwrap_or_else(|| destination.agent.to_string())
    }
}
