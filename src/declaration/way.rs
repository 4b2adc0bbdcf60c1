//! The changes of a comparison, and its steps: one for each entity that changes.

use super::difference::{Differences, NONE, named, short};
use super::order::{self, Reordered, Roles};
use super::reference::{AUTO, NOBODY, Names, Wrong};
use super::resolve::{Agent, Callback, Number, Settings};
use super::step::{Step, Steps};
use crate::event::{Change, Direction};
use crate::id::{AgentId, EnvironmentId, NumberId};
use crate::number::{Attestation, DialPlan, E164};
use crate::outcome::{CountsFrom, Outcome, OutcomeSet};
use crate::plan::{AgentView, CallbackView, DefaultChoice, EnvironmentView, NumberView, Plan};
use crate::time::Lookback;
use std::collections::{HashMap, HashSet};

/// The word for an agent without a direction in a step.
const WITHOUT_DIRECTION: &str = "without direction";

/// The changes so far. Each is possible after those before it.
pub(super) struct Way<'a> {
    plan: &'a Plan,
    tenant: EnvironmentView<'a>,
    /// The changes create the environment, which is empty in the plan.
    is_new: bool,
    /// The names of all agents, for the steps.
    names: Names,
    /// The declared numbers.
    digits: HashMap<NumberId, E164>,
    /// The roles that were removed, to be set again.
    freed: HashSet<AgentId>,
    pub(super) changes: Vec<Change>,
    pub(super) steps: Steps,
}

impl<'a> Way<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        tenant: EnvironmentView<'a>,
        is_new: bool,
        agents: &[Agent],
        numbers: &[Number],
    ) -> Self {
        let mut names = Names::default();
        for agent in agents {
            names.add(agent.id, &agent.name);
        }
        let declared: HashSet<_> = agents.iter().map(|agent| agent.id).collect();
        names.add_others(Names::of(tenant.agents().filter(|agent| !declared.contains(&agent.id()))));
        let digits = numbers.iter().map(|number| (number.id, number.digits)).collect();
        let (changes, steps, freed) = (Vec::new(), Steps::default(), HashSet::new());
        Self { plan, tenant, is_new, names, digits, freed, changes, steps }
    }

    fn step(&mut self, action: &'static str, kind: &'static str, name: &str, to: impl Into<String>) {
        self.steps.add(Step { action: action.into(), kind: kind.into(), name: short(name), to: to.into() });
    }

    /// Returns the name of an agent for a step.
    fn name(&self, id: AgentId) -> String {
        short(&self.names.text(id))
    }

    fn present(&self, id: AgentId) -> Option<AgentView<'a>> {
        self.plan.agent(self.tenant.id(), id)
    }

    /// Returns the digits of a number of the document or of the environment.
    fn number_text(&self, id: NumberId) -> String {
        let held = || self.plan.number(self.tenant.id(), id).map(NumberView::number);
        let digits = self.digits.get(&id).copied().or_else(held);
        digits.map_or_else(|| id.to_string(), |number| number.to_plus_form().to_string())
    }

    pub(super) fn settings(&mut self, settings: Option<Settings>) {
        let Some(Settings { name, dial_plan, lookback, attestation, counts_from }) = settings else { return };
        let present = self.tenant;
        let is_set = (present.name(), present.dial_plan(), present.lookback()) == (name.as_str(), &dial_plan, lookback);
        if self.is_new {
            let to = format!("{}; look-back {}", dial_plan_text(dial_plan), lookback_text(lookback));
            let level = attestation.map(|level| format!("; required attestation {}", level.name()));
            let from = Some(counts_from).filter(|from| *from != CountsFrom::default());
            let from = from.map(|from| format!("; calls count from {from}"));
            self.step("create", "environment", &name, to + &level.unwrap_or_default() + &from.unwrap_or_default());
        } else if !is_set || (present.required_attestation(), present.counts_from()) != (attestation, counts_from) {
            let mut differences = Differences::default();
            differences.value("name", present.name(), &name, short);
            differences.value("look-back", present.lookback(), lookback, lookback_text);
            differences.value("dial plan", *present.dial_plan(), dial_plan, dial_plan_text);
            let required = present.required_attestation();
            differences.value("required attestation", required, attestation, attestation_text);
            differences.value("calls count from", present.counts_from(), counts_from, |from| from.to_string());
            self.step("change", "environment", present.name(), differences);
        }
        if self.is_new || !is_set {
            self.changes.push(Change::EnvironmentSet { name, dial_plan, lookback });
        }
        if present.required_attestation() != attestation {
            self.changes.push(Change::AttestationRequired { level: attestation });
        }
        if present.counts_from() != counts_from {
            self.changes.push(Change::CountsFromSet { from: counts_from });
        }
    }

    pub(super) fn add_numbers(&mut self, numbers: &[Number]) {
        for number in numbers.iter().filter(|number| number.is_new) {
            self.step("create", "number", &number.digits.to_plus_form(), "");
            self.changes.push(Change::NumberAdded { id: number.id, number: number.digits });
        }
    }

    pub(super) fn create_agents(&mut self, agents: &[Agent]) {
        for Agent { id, name, label, direction, .. } in agents.iter().filter(|agent| agent.is_new) {
            let (id, name, label) = (*id, name.clone(), label.clone());
            self.changes.push(Change::agent(id, name, label, *direction));
        }
    }

    /// Removes the roles that are not declared, and those that a change of direction would contradict. A role without
    /// sources stays: a document cannot declare it, and it takes no call.
    pub(super) fn free_agents(&mut self, agents: &[Agent], prunes: bool) {
        let by_id: HashMap<_, _> = agents.iter().map(|agent| (agent.id, agent)).collect();
        let declared = |id: AgentId| by_id.get(&id);
        let turns_inbound = |id: AgentId| declared(id).is_some_and(|agent| agent.direction == Some(Direction::Inbound));
        for present in self.tenant.agents() {
            let Some(role) = present.callback() else { continue };
            let sources = role.sources();
            let (is_kept, is_possible) = match declared(present.id()) {
                Some(Agent { direction: Some(Direction::Inbound), callback: None, .. }) => (sources.is_empty(), true),
                Some(agent) => (agent.callback.is_some(), !sources.into_iter().any(turns_inbound)),
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

    pub(super) fn set_agents(&mut self, agents: &[Agent]) {
        for agent in agents {
            let present = self.present(agent.id);
            match present {
                None => {
                    let direction = agent.direction.map_or(WITHOUT_DIRECTION, Direction::name);
                    let numbers = match &*agent.numbers {
                        [] => String::new(),
                        numbers => format!("; numbers: {}", named(numbers, |id| self.number_text(id))),
                    };
                    let to = format!("{direction}; {}{numbers}", status(agent.is_published));
                    self.step("create", "agent", &agent.name, to);
                }
                Some(present) => {
                    let differences = self.differences(present, agent);
                    if !differences.is_empty() {
                        self.step("change", "agent", present.name(), differences);
                    }
                }
            }
            self.change_agent(present, agent);
        }
    }

    fn differences(&self, present: AgentView<'_>, agent: &Agent) -> Differences {
        let mut differences = Differences::default();
        let direction = |direction: Option<Direction>| direction.map_or(NONE, Direction::name).to_owned();
        let label = |label: Option<&str>| short(label.unwrap_or(NONE));
        differences.value("name", present.name(), &agent.name, short);
        differences.value("label", present.label(), agent.label.as_deref(), label);
        differences.value("direction", present.direction(), agent.direction, direction);
        let held: Vec<_> = present.numbers().map(NumberView::id).collect();
        differences.list("numbers", &held, &agent.numbers, |id| self.number_text(id));
        differences.value("status", present.is_published(), agent.is_published, |is| status(is).to_owned());
        differences
    }

    fn change_agent(&mut self, present: Option<AgentView<'_>>, agent: &Agent) {
        let Agent { id, name, label, direction, numbers, is_published, .. } = agent;
        let id = *id;
        let is_named = |present: AgentView<'_>| (present.name(), present.label()) == (name.as_str(), label.as_deref());
        if !present.is_none_or(is_named) {
            self.changes.push(Change::AgentRenamed { id, name: name.clone(), label: label.clone() });
        }
        let same_numbers = present
            .map_or(numbers.is_empty(), |present| present.numbers().map(NumberView::id).eq(numbers.iter().copied()));
        let same_direction = present.is_none_or(|present| present.direction() == *direction);
        if !(same_numbers && same_direction) {
            self.changes.extend(Change::calling(id, *direction, Some(numbers.clone())));
        }
        if present.is_some_and(AgentView::is_published) != *is_published {
            let change = if *is_published { Change::AgentPublished { id } } else { Change::AgentUnpublished { id } };
            self.changes.push(change);
        }
    }

    /// Sets the roles that change, and roles after them in the document that would then be before them. With
    /// `precede_others`, they come before roles of agents that the document does not name. A role that is removed overtakes
    /// none.
    pub(super) fn set_roles(&mut self, agents: &[Agent], precede_others: bool) {
        let declared: HashSet<_> = agents.iter().map(|agent| agent.id).collect();
        let mut roles = Roles::of(self.tenant, |agent| precede_others && !declared.contains(&agent));
        for agent in agents {
            let Some(role) = &agent.callback else { continue };
            let present = self.present(agent.id).and_then(AgentView::callback);
            let is_same = present.is_some_and(|present| present.equals(&role.sources, role.outcomes, role.lookback));
            let overtaken = roles.overtaken(agent.id, role);
            let is_kept = is_same && !self.freed.contains(&agent.id) && overtaken.is_none();
            let is_set = !is_kept || roles.is_after_set(role);
            roles.pass(agent.id, role, is_set);
            if !is_set {
                continue;
            }
            match present {
                // It is set only to stay after another one.
                Some(_) if is_kept => {}
                Some(present) => {
                    let mut differences = self.role_differences(present, role);
                    if let Some(other) = overtaken {
                        differences.note(format!("tried before {}", self.name(other)));
                    }
                    self.step("change", "callback", &agent.name, differences);
                }
                None => self.step("create", "callback", &agent.name, self.role_text(role)),
            }
            let (id, sources) = (agent.id, role.sources.clone());
            self.changes.push(Change::CallbackSet { id, sources, outcomes: role.outcomes, lookback: role.lookback });
        }
    }

    fn role_text(&self, role: &Callback) -> String {
        let sources = named(&role.sources, |source| self.name(source));
        let lookback = role.lookback.map(|lookback| format!("; look-back {}", lookback_text(lookback)));
        let statuses = role.outcomes.map(|_| format!("; statuses {}", outcomes_text(role.outcomes)));
        format!("of {sources}{}{}", lookback.unwrap_or_default(), statuses.unwrap_or_default())
    }

    fn role_differences(&self, present: CallbackView<'_>, role: &Callback) -> Differences {
        let lookback =
            |lookback: Option<Lookback>| lookback.map_or_else(|| "of the environment".to_owned(), lookback_text);
        let mut differences = Differences::default();
        differences.list("sources", &present.sources(), &role.sources, |source| self.name(source));
        differences.value("look-back", present.lookback(), role.lookback, lookback);
        differences.value("statuses", present.outcomes(), role.outcomes, outcomes_text);
        differences
    }

    pub(super) fn prune(&mut self, agents: &[Agent], numbers: &[Number]) {
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
            self.step("delete", "number", &present.number().to_plus_form(), "");
        }
    }

    /// Puts the inbound agents of numbers in the declared order. `next` is the plan after the changes before this.
    ///
    /// # Errors
    /// The declared orders that do not name each inbound agent with the number.
    pub(super) fn order_owners(
        &mut self,
        next: &Plan,
        environment: EnvironmentId,
        agents: &[Agent],
        numbers: &[Number],
    ) -> Result<(), Vec<Wrong>> {
        for Reordered { number, before, after } in order::owners(next, environment, agents, numbers)? {
            let mut differences = Differences::default();
            differences.order("order", &before, &after, |agent| self.name(agent));
            self.step("change", "number", &self.number_text(number), differences);
            self.changes.push(Change::OwnersOrdered { number, owners: after });
        }
        Ok(())
    }

    /// Sets the default agents, which the changes before this may have changed: `next` is the plan after these.
    pub(super) fn set_defaults(&mut self, next: &Plan, environment: EnvironmentId, numbers: &[Number]) {
        for Number { id: number, digits, default, .. } in numbers {
            let (number, default) = (*number, *default);
            let choice = |plan: &Plan| plan.number(environment, number).map(NumberView::default_choice);
            let before = choice(self.plan).unwrap_or_default();
            if before != default {
                let mut differences = Differences::default();
                differences.value("", before, default, |choice| self.choice_text(choice));
                self.step("change", "default agent", &digits.to_plus_form(), differences);
            }
            if choice(next) != Some(default) {
                self.changes.push(match default {
                    DefaultChoice::Auto => Change::DefaultAgentSet { number, agent: None },
                    DefaultChoice::Nobody => Change::DefaultAgentRemoved { number },
                    DefaultChoice::Named(agent) => Change::DefaultAgentSet { number, agent: Some(agent) },
                });
            }
        }
    }

    fn choice_text(&self, choice: DefaultChoice) -> String {
        match choice {
            DefaultChoice::Auto => AUTO.to_owned(),
            DefaultChoice::Nobody => NOBODY.to_owned(),
            DefaultChoice::Named(agent) => self.name(agent),
        }
    }
}

fn status(is_published: bool) -> &'static str {
    if is_published { "published" } else { "draft" }
}

fn lookback_text(lookback: Lookback) -> String {
    match lookback.whole_days() {
        Some(1) => "1 day".to_owned(),
        Some(days) => format!("{days} days"),
        None => format!("{} seconds", lookback.secs()),
    }
}

fn dial_plan_text(plan: DialPlan) -> String {
    if let Some(region) = plan.region() {
        return format!("region {region}");
    }
    if plan == DialPlan::NONE {
        return "international numbers only".to_owned();
    }
    let lengths = plan.national_lengths().map(|length| length.to_string()).collect::<Vec<_>>().join("/");
    let parts = [
        ("country code", plan.country_code()),
        ("national prefix", plan.national_prefix()),
        ("international prefix", plan.international_prefix()),
        ("national lengths", &lengths),
    ];
    let parts = parts.iter().filter(|(_, part)| !part.is_empty()).map(|(what, part)| format!("{what} {part}"));
    parts.collect::<Vec<_>>().join(", ")
}

fn attestation_text(level: Option<Attestation>) -> String {
    level.map_or(NONE, Attestation::name).to_owned()
}

fn outcomes_text(outcomes: Option<OutcomeSet>) -> String {
    let names = |outcomes: OutcomeSet| outcomes.iter().map(Outcome::public_name).collect::<Vec<_>>().join(", ");
    outcomes.map_or_else(|| "all".to_owned(), names)
}
