//! The names of what a change refers to.

use super::Plan;
use crate::event::{Change, Names};
use crate::id::{AgentId, EnvironmentId, NumberId, TokenId};

impl Plan {
    /// Returns the names that this plan has for the ids in the changes, up to [`Names::MAX`]. The agents and numbers that
    /// the changes are about come before those in their lists.
    ///
    /// # Cost
    /// Reads all tokens if a change revokes or limits one.
    pub fn names_in(&self, environment: EnvironmentId, changes: &[Change]) -> Names {
        let mut naming = Naming { plan: self, environment, names: Names::default() };
        for change in changes {
            naming.subject(change);
        }
        for change in changes {
            naming.lists(change);
        }
        naming.names
    }
}

struct Naming<'a> {
    plan: &'a Plan,
    environment: EnvironmentId,
    names: Names,
}

impl Naming<'_> {
    fn subject(&mut self, change: &Change) {
        match change {
            Change::AgentPublished { id }
            | Change::AgentUnpublished { id }
            | Change::AgentDeleted { id }
            | Change::AgentRenamed { id, .. }
            | Change::CallingSet { id, .. }
            | Change::NumbersAssigned { id, .. }
            | Change::CallbackSet { id, .. }
            | Change::CallbackRemoved { id } => self.agent(*id),
            Change::NumberReleased { id }
            | Change::DefaultAgentRemoved { number: id }
            | Change::OwnersOrdered { number: id, .. } => self.number(*id),
            Change::DefaultAgentSet { number, agent } => {
                self.number(*number);
                if let Some(agent) = agent {
                    self.agent(*agent);
                }
            }
            Change::TokenRevoked { id } | Change::TokenExpires { id, .. } => self.token(*id),
            Change::EnvironmentSet { .. }
            | Change::EnvironmentDeleted {}
            | Change::AttestationRequired { .. }
            | Change::CountsFromSet { .. }
            | Change::AgentCreated { .. }
            | Change::AgentDrafted { .. }
            | Change::NumberAdded { .. }
            | Change::TokenIssued { .. }
            | Change::AnswerGiven { .. } => {}
        }
    }

    fn lists(&mut self, change: &Change) {
        match change {
            Change::CallingSet { numbers: Some(numbers), .. } | Change::NumbersAssigned { numbers, .. } => {
                for number in numbers {
                    self.number(*number);
                }
            }
            Change::CallbackSet { sources: agents, .. } | Change::OwnersOrdered { owners: agents, .. } => {
                for agent in agents {
                    self.agent(*agent);
                }
            }
            _ => {}
        }
    }

    fn agent(&mut self, id: AgentId) {
        if !self.names.is_full()
            && let Some(agent) = self.plan.agent(self.environment, id)
        {
            self.names.set_agent(id, agent.name());
        }
    }

    fn number(&mut self, id: NumberId) {
        if !self.names.is_full()
            && let Some(number) = self.plan.number(self.environment, id)
        {
            self.names.set_number(id, number.number());
        }
    }

    fn token(&mut self, id: TokenId) {
        if !self.names.is_full()
            && let Some(token) = self.plan.tokens().find(|token| token.id == id)
        {
            self.names.set_token(id, &token.label);
        }
    }
}
