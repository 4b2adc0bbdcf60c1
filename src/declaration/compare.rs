//! Compares a document with the present state.

use super::document::Declaration;
use super::reference::{Names, Wrong};
use super::resolve::{Agent, Callback, Number, Resolved, Resolver, Settings};
use super::step::Step;
use crate::event::{Change, Configuration, Direction};
use crate::id::{AgentId, EnvironmentId};
use crate::plan::{AgentView, ConfigError, DefaultChoice, EnvironmentView, NumberView, Plan};
use crate::time::Timestamp;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// How a document is meant.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Whether agents and numbers that the document does not name go away.
    pub prune: bool,
    /// The time of the change.
    pub at: Timestamp,
}

/// The way from the present state to the declared one.
#[derive(Debug)]
pub struct Comparison {
    /// The changes, to be made in one configuration. None if the present state is the declared one.
    pub changes: Vec<Change>,
    /// The changes for people.
    pub steps: Vec<Step>,
    /// The plan with the changes.
    pub next: Plan,
}

/// Why a document cannot be applied.
#[derive(Debug)]
pub enum Refused {
    /// Mistakes in the document.
    Wrong(Vec<Wrong>),
    /// The environment does not exist, or the declared state is impossible.
    Change(ConfigError),
}

impl From<ConfigError> for Refused {
    fn from(error: ConfigError) -> Self {
        Self::Change(error)
    }
}

impl Declaration {
    /// Finds the changes that make the environment as this document says. `new_id` gives the ids of new agents and
    /// numbers.
    ///
    /// Where several inbound agents got a number at the same time, or several roles have the same source and number, their
    /// order is not compared: name the default agent, and let no two roles share a source and a number.
    ///
    /// # Errors
    /// [`Refused`]. It names the fields, and no value of them.
    pub fn compare(
        &self,
        plan: &Plan,
        environment: EnvironmentId,
        wish: Wish,
        new_id: &mut dyn FnMut() -> Uuid,
    ) -> Result<Comparison, Refused> {
        let tenant = plan.environment(environment).ok_or(ConfigError::UnknownEnvironment(environment))?;
        let resolver = Resolver::new(plan, tenant, wish.prune, new_id);
        let Resolved { settings, numbers, agents } = resolver.resolve(self).map_err(Refused::Wrong)?;
        let mut way = Way::new(plan, tenant, &agents);
        way.settings(settings);
        way.add_numbers(&numbers);
        way.create_agents(&agents);
        way.free_agents(&agents, wish.prune);
        way.set_agents(&agents);
        way.set_roles(&agents);
        if wish.prune {
            way.prune(&agents, &numbers);
        }
        let after = |changes: &[Change]| {
            let sequence = plan.generation() + 1;
            plan.with(&Configuration { sequence, environment, at: wish.at, changes: changes.to_vec() })
        };
        // A change of an agent can change the default of its numbers, so defaults are compared afterwards.
        let next = after(&way.changes)?;
        way.set_defaults(&next, environment, &numbers);
        let next = after(&way.changes)?;
        Ok(Comparison { changes: way.changes, steps: way.steps, next })
    }
}

/// The word for an agent without a direction in a step.
const WITHOUT_DIRECTION: &str = "without direction";

/// The changes so far. Each is possible after those before it.
struct Way<'a> {
    plan: &'a Plan,
    tenant: EnvironmentView<'a>,
    names: Names,
    /// The roles that were removed, to be set again.
    freed: HashSet<AgentId>,
    changes: Vec<Change>,
    steps: Vec<Step>,
}

impl<'a> Way<'a> {
    fn new(plan: &'a Plan, tenant: EnvironmentView<'a>, agents: &[Agent]) -> Self {
        let mut names = Names::default();
        for agent in agents {
            names.add(agent.id, &agent.name);
        }
        let (changes, steps, freed) = (Vec::new(), Vec::new(), HashSet::new());
        Self { plan, tenant, names, freed, changes, steps }
    }

    fn step(&mut self, action: &'static str, kind: &'static str, name: impl Into<String>, to: impl Into<String>) {
        self.steps.push(Step { action: action.into(), kind: kind.into(), name: name.into(), to: to.into() });
    }

    fn present(&self, id: AgentId) -> Option<AgentView<'a>> {
        self.plan.agent(self.tenant.id(), id)
    }

    fn settings(&mut self, settings: Option<Settings>) {
        let Some(Settings { name, dial_plan, lookback, attestation }) = settings else { return };
        let present = self.tenant;
        if (present.name(), present.dial_plan(), present.lookback()) != (name.as_str(), &dial_plan, lookback) {
            let plan = match (dial_plan.region(), dial_plan.country_code()) {
                (Some(region), _) => format!("region {region}"),
                (None, "") => "international numbers only".into(),
                (None, code) => format!("country code {code}"),
            };
            let lookback_text = match lookback.whole_days() {
                Some(days) => format!("{days} days"),
                None => format!("{} seconds", lookback.secs()),
            };
            let to = format!("look-back of {lookback_text}, {plan}");
            self.step("change", "environment", name.clone(), to);
            self.changes.push(Change::EnvironmentSet { name: name.clone(), dial_plan, lookback });
        }
        if present.required_attestation() != attestation {
            let level = attestation.map_or("none", |level| level.name());
            self.step("change", "environment", name, format!("required attestation: {level}"));
            self.changes.push(Change::AttestationRequired { level: attestation });
        }
    }

    fn add_numbers(&mut self, numbers: &[Number]) {
        for number in numbers.iter().filter(|number| number.is_new) {
            self.step("create", "number", number.digits.to_plus_form().to_string(), "");
            self.changes.push(Change::NumberAdded { id: number.id, number: number.digits });
        }
    }

    fn create_agents(&mut self, agents: &[Agent]) {
        for Agent { id, name, label, direction, .. } in agents.iter().filter(|agent| agent.is_new) {
            self.step("create", "agent", name, direction.map_or(WITHOUT_DIRECTION, Direction::name));
            let (id, name, label) = (*id, name.clone(), label.clone());
            self.changes.push(Change::agent(id, name, label, *direction));
        }
    }

    /// Removes the roles that are not declared, and those that a change of direction would contradict.
    fn free_agents(&mut self, agents: &[Agent], prunes: bool) {
        let by_id: HashMap<_, _> = agents.iter().map(|agent| (agent.id, agent)).collect();
        let declared = |id: AgentId| by_id.get(&id);
        let turns_inbound = |id: AgentId| declared(id).is_some_and(|agent| agent.direction == Some(Direction::Inbound));
        for present in self.tenant.agents() {
            let Some(role) = present.callback() else { continue };
            let (is_kept, is_possible) = match declared(present.id()) {
                Some(agent) => (agent.callback.is_some(), !role.sources().into_iter().any(turns_inbound)),
                None => (!prunes, true),
            };
            if is_kept && is_possible {
                continue;
            }
            if !is_kept {
                self.step("delete", "callback", present.name(), "");
            }
            self.freed.insert(present.id());
            self.changes.push(Change::CallbackRemoved { id: present.id() });
        }
    }

    fn set_agents(&mut self, agents: &[Agent]) {
        for agent in agents {
            let present = self.present(agent.id);
            let same_numbers = present.map_or(agent.numbers.is_empty(), |present| {
                present.numbers().map(NumberView::id).eq(agent.numbers.iter().copied())
            });
            if let Some(present) = present
                .filter(|present| (present.name(), present.label()) != (agent.name.as_str(), agent.label.as_deref()))
            {
                let to = match &agent.label {
                    Some(label) => format!("{}, label: {label}", agent.name),
                    None => agent.name.clone(),
                };
                self.step("change", "agent", present.name(), to);
                let (name, label) = (agent.name.clone(), agent.label.clone());
                self.changes.push(Change::AgentRenamed { id: agent.id, name, label });
            }
            let same_direction = present.is_none_or(|present| present.direction() == agent.direction);
            if !(same_numbers && same_direction) {
                let direction = agent.direction.map_or(WITHOUT_DIRECTION, Direction::name);
                let to = format!("{direction}, numbers: {}", agent.numbers.len());
                self.step("change", "agent", &agent.name, to);
                self.changes.extend(Change::calling(agent.id, agent.direction, Some(agent.numbers.clone())));
            }
            if present.is_some_and(AgentView::is_published) != agent.is_published {
                let id = agent.id;
                let (to, change) = if agent.is_published {
                    ("published", Change::AgentPublished { id })
                } else {
                    ("draft", Change::AgentUnpublished { id })
                };
                self.step("change", "agent", &agent.name, to);
                self.changes.push(change);
            }
        }
    }

    fn set_roles(&mut self, agents: &[Agent]) {
        for agent in agents {
            let Some(Callback { sources, outcomes, lookback }) = &agent.callback else { continue };
            let present = self.present(agent.id).and_then(AgentView::callback);
            let is_same = present.is_some_and(|present| present.equals(sources, *outcomes, *lookback));
            if is_same && !self.freed.contains(&agent.id) {
                continue;
            }
            let action = if present.is_some() { "change" } else { "create" };
            let named: Vec<_> = sources.iter().map(|source| self.names.text(*source)).collect();
            self.step(action, "callback", &agent.name, format!("of {}", named.join(", ")));
            let (id, sources) = (agent.id, sources.clone());
            self.changes.push(Change::CallbackSet { id, sources, outcomes: *outcomes, lookback: *lookback });
        }
    }

    fn prune(&mut self, agents: &[Agent], numbers: &[Number]) {
        let kept: HashSet<_> = agents.iter().map(|agent| agent.id).collect();
        for present in self.tenant.agents().filter(|present| !kept.contains(&present.id())) {
            let id = present.id();
            if present.is_published() {
                self.changes.push(Change::AgentUnpublished { id });
            }
            self.changes.push(Change::AgentDeleted { id });
            self.step("delete", "agent", present.name(), "");
        }
        let kept: HashSet<_> = numbers.iter().map(|number| number.id).collect();
        for present in self.tenant.numbers().filter(|present| !kept.contains(&present.id())) {
            self.changes.push(Change::NumberReleased { id: present.id() });
            self.step("delete", "number", present.number().to_plus_form().to_string(), "");
        }
    }

    fn set_defaults(&mut self, next: &Plan, environment: EnvironmentId, numbers: &[Number]) {
        for number in numbers {
            let present = next.number(environment, number.id).map(NumberView::default_choice);
            if present == Some(number.default) {
                continue;
            }
            let id = number.id;
            let (to, change) = match number.default {
                DefaultChoice::Auto => ("auto".into(), Change::DefaultAgentSet { number: id, agent: None }),
                DefaultChoice::Nobody => ("nobody".into(), Change::DefaultAgentRemoved { number: id }),
                DefaultChoice::Named(agent) => {
                    (self.names.text(agent), Change::DefaultAgentSet { number: id, agent: Some(agent) })
                }
            };
            self.step("change", "default agent", number.digits.to_plus_form().to_string(), to);
            self.changes.push(change);
        }
    }
}
