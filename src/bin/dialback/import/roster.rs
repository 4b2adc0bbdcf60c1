//! The numbers and agents of an environment, by the names that call records use.

use super::error::ImportError;
use super::map::Field;
use super::rejection::{Quoted, Rejection};
use ahash::{HashMap, HashMapExt, HashSet};
use dialback::plan::{AgentView, EnvironmentView, NumberView};
use dialback::{AgentId, Change, DialPlan, Direction, E164, NumberId, Plan};
use std::sync::Arc;
use uuid::Uuid;

/// The smallest number of digits of an international number. A shorter one is an extension.
const SHORTEST_NUMBER: usize = 7;
/// The largest length of an agent's name in bytes.
const LONGEST_NAME: usize = 200;

/// The numbers and agents that calls can come from. With `create_missing`, an entity that a record names and the
/// environment lacks is queued, and created with the next [`additions`](Self::additions).
pub(super) struct Roster {
    plan: Arc<Plan>,
    dial_plan: DialPlan,
    numbers: HashSet<E164>,
    agents: HashMap<String, Agent>,
    create_missing: bool,
    additions: Vec<Change>,
    pub(super) created_numbers: u64,
    pub(super) created_agents: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Agent {
    Outbound(AgentId),
    Inbound,
    /// Several outbound agents have this name or label.
    Ambiguous,
}

impl Agent {
    fn of(agent: AgentView<'_>) -> Self {
        match agent.direction() {
            Direction::Outbound => Self::Outbound(agent.id()),
            Direction::Inbound => Self::Inbound,
        }
    }

    /// Returns the agent meant by a name that two agents have. Only outbound agents count, so an inbound agent does
    /// not make the name ambiguous.
    fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Inbound, agent) | (agent, Self::Inbound) => agent,
            (one, other) if one == other => one,
            _ => Self::Ambiguous,
        }
    }
}

impl Roster {
    pub(super) fn new(plan: &Arc<Plan>, environment: EnvironmentView<'_>, create_missing: bool) -> Self {
        let mut agents = HashMap::new();
        for agent in environment.agents() {
            let known = Agent::of(agent);
            let names = std::iter::once(agent.name()).chain(agent.label()).map(str::trim);
            for name in names.filter(|name| !name.is_empty()) {
                let entry = agents.entry(name.to_owned()).or_insert(known);
                *entry = entry.or(known);
            }
        }
        // Ids are added last, so that an id means its own agent even if it is another agent's name.
        agents.extend(environment.agents().map(|agent| (agent.id().to_string(), Agent::of(agent))));
        Self {
            plan: Arc::clone(plan),
            dial_plan: *environment.dial_plan(),
            numbers: environment.numbers().map(NumberView::number).collect(),
            agents,
            create_missing,
            additions: Vec::new(),
            created_numbers: 0,
            created_agents: 0,
        }
    }

    /// Returns the dial plan with which numbers are read.
    pub(super) fn dial_plan(&self) -> &DialPlan {
        &self.dial_plan
    }

    /// Checks that calls can be placed from this number, or could be once the number is added.
    pub(super) fn check_number(&self, number: E164) -> Result<(), Rejection> {
        if self.numbers.contains(&number) {
            return Ok(());
        }
        if self.plan.dialed(number).is_some() {
            return Err(Rejection::ForeignNumber);
        }
        if !self.create_missing {
            return Err(Rejection::NotOurNumber);
        }
        if !number.is_international() || number.digits().len() < SHORTEST_NUMBER {
            return Err(Rejection::NumberTooShort);
        }
        self.dial_plan.check(number).map_err(|error| Rejection::Number(Field::From, error))?;
        Ok(())
    }

    /// Queues a checked number for creation if it is missing.
    pub(super) fn add_number(&mut self, number: E164) -> Result<(), ImportError> {
        if self.numbers.insert(number) {
            self.additions.push(Change::NumberAdded { id: NumberId::from(new_uuid()?), number });
            self.created_numbers += 1;
        }
        Ok(())
    }

    /// Returns the outbound agent with this id, name or label. Queues a new agent with this name if it is missing and
    /// may be created.
    pub(super) fn agent(&mut self, text: &str) -> Result<Result<AgentId, Rejection>, ImportError> {
        if let Some(agent) = self.agents.get(text) {
            return Ok(match agent {
                Agent::Outbound(id) => Ok(*id),
                Agent::Inbound => Err(Rejection::InboundAgent(Quoted::new(text))),
                Agent::Ambiguous => Err(Rejection::AmbiguousAgent(Quoted::new(text))),
            });
        }
        if text.is_empty() {
            return Ok(Err(Rejection::NoAgent));
        }
        if let Ok(id) = text.parse::<AgentId>() {
            return Ok(self.agent_of_another_spelling(id, text));
        }
        if !self.create_missing {
            return Ok(Err(Rejection::UnknownAgent(Quoted::new(text))));
        }
        if text.len() > LONGEST_NAME || text.chars().any(char::is_control) {
            return Ok(Err(Rejection::AgentName(Quoted::new(text))));
        }
        let id = AgentId::from(new_uuid()?);
        let (name, label, direction) = (text.to_owned(), None, Direction::Outbound);
        self.additions.push(Change::AgentCreated { id, name, label, direction });
        self.additions.push(Change::AgentPublished { id });
        self.agents.insert(text.to_owned(), Agent::Outbound(id));
        self.created_agents += 1;
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
            None => Err(Rejection::UnknownAgent(Quoted::new(text))),
        }
    }

    /// Returns the queued changes and clears the queue.
    pub(super) fn additions(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.additions)
    }
}

/// Returns a random UUID (RFC 9562, version 4).
pub(super) fn new_uuid() -> Result<Uuid, ImportError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|_| ImportError::Random)?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}
