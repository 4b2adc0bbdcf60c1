//! The numbers and agents of an environment, by the names that call records use.

use super::{Additions, Tenant, Unmade};
use crate::import::columns::map::Field;
use crate::import::error::ImportError;
use crate::import::fields::name;
use crate::import::report::rejection::{Quoted, Rejection};
use crate::new_id;
use ahash::{HashMap, HashMapExt, HashSet};
use dialback::plan::{AgentView, EnvironmentView, NumberView};
use dialback::{AgentId, DialPlan, Direction, E164, EnvironmentId, NumberId, Plan};
use std::sync::Arc;
use uuid::Uuid;

/// The smallest number of digits of an international number. A shorter one is an extension.
const SHORTEST_NUMBER: usize = 7;
/// The largest length of an agent's name in bytes.
const LONGEST_NAME: usize = 200;

/// The numbers and agents that an import may create.
#[derive(Clone, Copy, Debug)]
pub(in crate::import) struct Allowance {
    /// Whether missing entities are created at all.
    pub(in crate::import) create_missing: bool,
    /// The largest number of agents, and of numbers, to create. `None` in a dry run, which counts them all.
    pub(in crate::import) at_most: Option<u64>,
    /// The quotas of the environment. Deleted entities count. Unlimited if the destination has its own.
    pub(in crate::import) max_agents: usize,
    pub(in crate::import) max_numbers: usize,
}

/// The numbers and agents that calls can come from. If the allowance permits it, an entity that a record names and the
/// environment lacks is queued, and created with the next [`additions`](Self::additions).
pub(in crate::import) struct Roster {
    environment: EnvironmentId,
    plan: Arc<Plan>,
    is_foreign: Option<Box<dyn FnMut(E164) -> bool>>,
    dial_plan: DialPlan,
    numbers: HashSet<E164>,
    agents: HashMap<String, Agent>,
    allowance: Allowance,
    additions: Additions,
    /// The entities that could not be created.
    unmade: Unmade,
    /// Whether a call came from a number that the environment has had before.
    pub(in crate::import) uses_own_number: bool,
    pub(in crate::import) created_numbers: u64,
    pub(in crate::import) created_agents: u64,
    /// The created numbers that the environment has never had: each takes a slot.
    new_slots: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Agent {
    Outbound(AgentId),
    /// It is inbound, or has no direction yet.
    Other,
    /// Several outbound agents have this name or label.
    Ambiguous,
}

impl Agent {
    fn of(agent: AgentView<'_>) -> Self {
        match agent.direction() {
            Some(Direction::Outbound) => Self::Outbound(agent.id()),
            Some(Direction::Inbound) | None => Self::Other,
        }
    }

    /// Returns the agent meant by a name that two agents have. Only outbound agents count, so another agent does
    /// not make the name ambiguous.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Other, agent) | (agent, Self::Other) => agent,
            (one, other) if one == other => one,
            _ => Self::Ambiguous,
        }
    }
}

impl Roster {
    pub(in crate::import) fn new(tenant: Tenant, allowance: Allowance) -> Self {
        let Tenant { id: environment, plan, is_foreign, .. } = tenant;
        let view = plan.environment(environment);
        Self {
            environment,
            is_foreign,
            dial_plan: view.map_or(DialPlan::NONE, |view| *view.dial_plan()),
            numbers: view.into_iter().flat_map(EnvironmentView::numbers).map(NumberView::number).collect(),
            agents: view.map(agents_by_name).unwrap_or_default(),
            allowance,
            additions: Additions::default(),
            unmade: Unmade::default(),
            uses_own_number: false,
            created_numbers: 0,
            created_agents: 0,
            new_slots: 0,
            plan,
        }
    }

    /// Returns the dial plan with which numbers are read.
    pub(in crate::import) fn dial_plan(&self) -> &DialPlan {
        &self.dial_plan
    }

    /// Checks that calls can be placed from this number, or could be once the number is added.
    pub(in crate::import) fn check_number(&mut self, number: E164) -> Result<(), Rejection> {
        if self.numbers.contains(&number) {
            self.uses_own_number = self.uses_own_number || self.plan.dialed(number).is_some();
            return Ok(());
        }
        if let Some(why) = self.unmade.numbers.get(&number) {
            return Err(why.clone());
        }
        if self.plan.dialed(number).is_some() || self.is_foreign.as_mut().is_some_and(|asks| asks(number)) {
            return Err(Rejection::ForeignNumber);
        }
        if !self.allowance.create_missing {
            return Err(Rejection::NotOurNumber);
        }
        if !number.is_international() || number.digits().len() < SHORTEST_NUMBER {
            return Err(Rejection::NumberTooShort);
        }
        self.dial_plan.check(number).map_err(|error| Rejection::Number(Field::From, error.into()))?;
        if !self.has_slot_for(number) {
            return Err(Rejection::quota("phone numbers", self.allowance.max_numbers));
        }
        Ok(())
    }

    /// Returns whether the quota has room for the number. A number that the environment has had keeps its slot.
    fn has_slot_for(&self, number: E164) -> bool {
        let view = self.plan.environment(self.environment);
        let used = view.map_or(0, EnvironmentView::number_slots) as u64;
        used + self.new_slots < self.allowance.max_numbers as u64 || !self.takes_slot(number)
    }

    fn takes_slot(&self, number: E164) -> bool {
        !self.plan.environment(self.environment).is_some_and(|view| view.has_had_number(number))
    }

    /// Queues a checked number for creation if it is missing.
    pub(in crate::import) fn add_number(&mut self, number: E164) -> Result<(), ImportError> {
        if self.numbers.insert(number) {
            self.created_numbers += 1;
            self.new_slots += u64::from(self.takes_slot(number));
            self.check_allowance("numbers", self.created_numbers)?;
            self.additions.numbers.push((NumberId::from(new_uuid()?), number));
        }
        Ok(())
    }

    /// Returns an error if this is one entity more than the import may create.
    fn check_allowance(&self, kind: &'static str, count: u64) -> Result<(), ImportError> {
        match self.allowance.at_most {
            Some(limit) if count > limit => Err(ImportError::TooManyNew { kind, limit, count: None }),
            _ => Ok(()),
        }
    }

    /// Returns the outbound agent with this id, name or label. Queues a new agent with this name if it is missing and
    /// may be created.
    pub(in crate::import) fn agent(&mut self, text: &str) -> Result<Result<AgentId, Rejection>, ImportError> {
        let text = name::of_text(text);
        if let Some(agent) = self.agents.get(text) {
            return Ok(match agent {
                Agent::Outbound(id) => self.unmade.agents.get(id).map_or(Ok(*id), |why| Err(why.clone())),
                Agent::Other => Err(Rejection::InboundAgent(Quoted::new(text))),
                Agent::Ambiguous => Err(Rejection::AmbiguousAgent(Quoted::new(text))),
            });
        }
        if text.is_empty() {
            return Ok(Err(Rejection::NoAgent));
        }
        if let Ok(id) = text.parse::<AgentId>() {
            return Ok(self.agent_of_another_spelling(id, text));
        }
        if !self.allowance.create_missing {
            return Ok(Err(Rejection::UnknownAgent(Quoted::new(text))));
        }
        if text.len() > LONGEST_NAME || name::has_invisible(text) || name::is_no_name(text) {
            return Ok(Err(Rejection::AgentName(Quoted::new(text))));
        }
        let used = self.plan.environment(self.environment).map_or(0, EnvironmentView::agent_slots) as u64;
        if used + self.created_agents >= self.allowance.max_agents as u64 {
            return Ok(Err(Rejection::quota("agents", self.allowance.max_agents)));
        }
        let id = AgentId::from(new_uuid()?);
        self.created_agents += 1;
        self.check_allowance("agents", self.created_agents)?;
        self.additions.agents.push((id, text.to_owned()));
        self.agents.insert(text.to_owned(), Agent::Outbound(id));
        Ok(Ok(id))
    }

    /// Returns the agent whose id is written in capitals or without hyphens. An unknown id is never created, because
    /// it refers to an existing agent.
    fn agent_of_another_spelling(&mut self, id: AgentId, text: &str) -> Result<AgentId, Rejection> {
        let agent = self.agents.get(&id.to_string()).copied();
        match agent {
            Some(Agent::Outbound(id)) => {
                self.agents.insert(text.to_owned(), Agent::Outbound(id));
                Ok(id)
            }
            Some(_) => Err(Rejection::InboundAgent(Quoted::new(text))),
            None => Err(Rejection::UnknownId(Quoted::new(text))),
        }
    }

    /// Returns the name, the label or else the id of an agent.
    pub(in crate::import) fn name_of(&self, id: AgentId) -> String {
        let (own, id) = (Agent::Outbound(id), id.to_string());
        let names = self.agents.iter().filter(|(_, agent)| **agent == own).map(|(name, _)| name);
        names.filter(|name| **name != id).min().cloned().unwrap_or(id)
    }

    /// Returns the queued entities and clears the queue.
    pub(in crate::import) fn additions(&mut self) -> Additions {
        std::mem::take(&mut self.additions)
    }

    /// Returns the queued entities.
    pub(in crate::import) fn queued(&self) -> &Additions {
        &self.additions
    }

    /// Notes entities that could not be created. Further lines that name them are rejected. Agents that no call needs yet are
    /// queued again.
    pub(in crate::import) fn withdraw(&mut self, unmade: &mut Unmade) {
        for (number, why) in &unmade.numbers {
            self.numbers.remove(number);
            self.unmade.numbers.insert(*number, why.clone());
            self.new_slots -= u64::from(self.takes_slot(*number));
        }
        self.unmade.agents.extend(unmade.agents.iter().map(|(id, why)| (*id, why.clone())));
        self.created_numbers -= unmade.numbers.len() as u64;
        self.created_agents -= unmade.agents.len() as u64;
        self.additions.agents.append(&mut unmade.postponed);
    }
}

/// Returns the agents by id, name and label.
fn agents_by_name(environment: EnvironmentView<'_>) -> HashMap<String, Agent> {
    let mut agents = HashMap::new();
    for agent in environment.agents() {
        let known = Agent::of(agent);
        let names = std::iter::once(agent.name()).chain(agent.label()).map(name::trim);
        for name in names.filter(|name| !name.is_empty()) {
            let entry = agents.entry(name.to_owned()).or_insert(known);
            *entry = entry.or(known);
        }
    }
    // Ids are added last, so that an id means its own agent even if it is another agent's name.
    agents.extend(environment.agents().map(|agent| (agent.id().to_string(), Agent::of(agent))));
    agents
}

pub(in crate::import) fn new_uuid() -> Result<Uuid, ImportError> {
    new_id::uuid().map_err(|_| ImportError::Random)
}
