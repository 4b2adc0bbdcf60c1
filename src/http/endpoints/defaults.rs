//! Warnings about default agents that change with a change of one agent, or that a change makes by their order.

use crate::http::response::list::MAX_WITHIN_PAGE;
use crate::id::{AgentId, EnvironmentId, NumberId};
use crate::plan::{AgentView, DefaultChoice, NumberView, Plan};
use std::collections::HashSet;

/// The maximum number of warnings in a response. Further ones are only counted.
const MAX_TOLD: usize = 250;

/// How an agent was the default agent of its numbers, before a change of the agent.
pub(super) struct Defaults {
    agent: AgentId,
    held: Vec<Held>,
}

/// A number that had the agent as its default agent, or named it.
struct Held {
    number: NumberId,
    /// The agent took the number's other calls.
    is_taken: bool,
    /// The number's setting was this agent.
    is_named: bool,
}

impl Defaults {
    /// Remembers the numbers of the agent. Later ones than the first ten thousand get no warning, so that the change of an
    /// agent with very many numbers takes no longer.
    pub(super) fn before(agent: AgentView<'_>) -> Self {
        let held = |number: NumberView<'_>| {
            let is_taken = number.default_agent() == Some(agent.id());
            let is_named = number.default_choice() == DefaultChoice::Named(agent.id());
            (is_taken || is_named).then(|| Held { number: number.id(), is_taken, is_named })
        };
        Self { agent: agent.id(), held: agent.numbers().take(MAX_WITHIN_PAGE).filter_map(held).collect() }
    }

    /// Returns the changes of default agents in the plan after the change, which the client may not have intended.
    pub(super) fn warnings(&self, plan: &Plan, environment: EnvironmentId) -> Vec<String> {
        let mut warnings = Vec::new();
        for held in &self.held {
            let Some(number) = plan.number(environment, held.number) else { continue };
            let id = held.number;
            if held.is_named && number.default_choice() != DefaultChoice::Named(self.agent) {
                warnings.push(format!(
                    "Phone number {id} names no default agent from now on: its default_agent_setting is auto"
                ));
            }
            let next = number.default_agent().filter(|next| *next != self.agent && held.is_taken);
            warnings.extend(next.and_then(|next| plan.agent(environment, next)).map(|next| takes(next, id)));
        }
        warnings.extend(self.taken_by_order(plan, environment));
        at_most(warnings)
    }

    /// Warns if the agent has a callback role, and became the default agent of a number that does not name it.
    fn taken_by_order(&self, plan: &Plan, environment: EnvironmentId) -> Vec<String> {
        let Some(agent) = plan.agent(environment, self.agent).filter(|agent| agent.callback().is_some()) else {
            return Vec::new();
        };
        let before: HashSet<_> = self.held.iter().filter(|held| held.is_taken).map(|held| held.number).collect();
        let is_new = |number: &NumberView<'_>| is_taken_by_order(*number, agent) && !before.contains(&number.id());
        let numbers = agent.numbers().take(MAX_WITHIN_PAGE).filter(is_new);
        numbers.map(|number| takes(agent, number.id())).collect()
    }
}

/// Returns a warning for each number that does not name the agent, and whose other calls it takes now that it has a
/// callback role.
pub(super) fn of_role(plan: &Plan, environment: EnvironmentId, agent: AgentId) -> Vec<String> {
    let warnings = Defaults { agent, held: Vec::new() }.taken_by_order(plan, environment);
    at_most(warnings)
}

/// Returns a warning if the number does not name its default agent, and this agent has a callback role.
pub(super) fn of_number(plan: &Plan, environment: EnvironmentId, number: NumberId) -> Vec<String> {
    let number = plan.number(environment, number);
    let agent = number.and_then(NumberView::default_agent).and_then(|agent| plan.agent(environment, agent));
    let taken =
        number.zip(agent).filter(|(number, agent)| agent.callback().is_some() && is_taken_by_order(*number, *agent));
    taken.map(|(number, agent)| takes(agent, number.id())).into_iter().collect()
}

/// Returns whether the agent takes the other calls of a number that does not name it.
fn is_taken_by_order(number: NumberView<'_>, agent: AgentView<'_>) -> bool {
    number.default_agent() == Some(agent.id()) && number.default_choice() != DefaultChoice::Named(agent.id())
}

/// Cuts the list of warnings. Says how many were cut.
fn at_most(mut warnings: Vec<String>) -> Vec<String> {
    let more = warnings.len().saturating_sub(MAX_TOLD);
    if more > 0 {
        warnings.truncate(MAX_TOLD);
        warnings.push(format!("{more} more are not listed"));
    }
    warnings
}

fn takes(agent: AgentView<'_>, number: NumberId) -> String {
    let kind = if agent.callback().is_some() { "Callback agent" } else { "Agent" };
    format!("{kind} {} takes all other calls of phone number {number} from now on", agent.id())
}
