//! A simple model of the rule and the configuration. It keeps lists that only grow or are filtered, and applies the
//! nine lines of the rule as they are written. It shares data types with the engine, but no code. All derived data is
//! computed again for each question.

use crate::engine::Applied;
use crate::{
    AgentId, Call, Caller, Change, Configuration, CountsFrom, Decision, Direction, E164, EnvironmentId, Erasure, Event,
    Lookback, NumberId, Outcome, OutcomeSet, Reason, Role, Route, SourceCall, Timestamp, TokenId,
};
use std::collections::{BTreeMap, BTreeSet};

/// The model that the engine must agree with.
#[derive(Clone, Default, Debug)]
pub struct Model {
    /// The number of configurations so far.
    pub generation: u64,
    environments: BTreeMap<EnvironmentId, Lookback>,
    /// The outcomes that do not count, where they were set.
    uncounted: BTreeMap<EnvironmentId, &'static [Outcome]>,
    /// The environments that were deleted. Their ids are not used again.
    deleted: BTreeSet<EnvironmentId>,
    /// All agents that ever existed, in the order of their first creation.
    agents: Vec<AgentRow>,
    /// The numbers that are held now.
    numbers: Vec<NumberRow>,
    /// The numbers that were ever held, with their environments.
    ever_held: BTreeSet<(EnvironmentId, E164)>,
    /// The owners of numbers, in the order of assignment.
    assignments: Vec<Assignment>,
    /// The default agents that were named; `None` for a number that has none on purpose.
    named_defaults: BTreeMap<(EnvironmentId, NumberId), Option<AgentId>>,
    /// The callback roles, in the order of configuration.
    roles: Vec<RoleRow>,
    tokens: Vec<(EnvironmentId, TokenId, [u8; 32])>,
    calls: Vec<Call>,
    erasures: Vec<Erasure>,
}

#[derive(Clone, Debug)]
struct AgentRow {
    environment: EnvironmentId,
    id: AgentId,
    /// `None` if the agent is deleted.
    alive: Option<Alive>,
}

#[derive(Clone, Copy, Debug)]
struct Alive {
    /// `None` until it is set.
    direction: Option<Direction>,
    published: bool,
}

#[derive(Clone, Debug)]
struct NumberRow {
    environment: EnvironmentId,
    id: NumberId,
    number: E164,
}

#[derive(Clone, PartialEq, Debug)]
struct Assignment {
    environment: EnvironmentId,
    number: NumberId,
    agent: AgentId,
}

#[derive(Clone, Debug)]
struct RoleRow {
    environment: EnvironmentId,
    agent: AgentId,
    sources: Vec<AgentId>,
    outcomes: Option<OutcomeSet>,
    lookback: Option<Lookback>,
}

/// The error for a change or a whole configuration that is not valid.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Refused;

/// Events.
impl Model {
    /// Applies an event.
    ///
    /// # Errors
    /// [`Refused`] if a configuration is invalid or out of order.
    pub fn apply(&mut self, event: &Event) -> Result<Applied, Refused> {
        match event {
            Event::Call(call) => Ok(self.call(call)),
            Event::Report(report) => Ok(self.call(&report.call)),
            // The model knows no ids and no fleet.
            Event::Update(_) | Event::Joined(_) => Ok(Applied::Ignored),
            Event::Erasure(erasure) => Ok(self.erase(erasure)),
            Event::Configuration(configuration) => self.configure(configuration),
        }
    }

    fn call(&mut self, call: &Call) -> Applied {
        let agent_known = self.agents.iter().any(|row| row.environment == call.environment && row.id == call.agent);
        let number_known = self.ever_held.contains(&(call.environment, call.from));
        let is_deleted = self.deleted.contains(&call.environment);
        if is_deleted || !agent_known || !number_known || self.is_erased(call) {
            return Applied::Ignored;
        }
        if self.uncounted.get(&call.environment).is_some_and(|outcomes| outcomes.contains(&call.outcome)) {
            return Applied::Uncounted;
        }
        let before = self.last_call(call.environment, call.from, call.to);
        self.calls.push(*call);
        let after = self.last_call(call.environment, call.from, call.to);
        let place = |call: Option<Call>| call.map(|call| self.place(&call));
        if place(before) == place(after) { Applied::Unchanged } else { Applied::Recorded }
    }

    fn erase(&mut self, erasure: &Erasure) -> Applied {
        if !self.environments.contains_key(&erasure.environment) {
            return Applied::Ignored;
        }
        let numbers = self.ever_held.iter().filter(|(environment, _)| *environment == erasure.environment);
        let last_calls = numbers.filter_map(|(environment, from)| self.last_call(*environment, *from, erasure.contact));
        let pairs = last_calls.filter(|call| self.moment(call) <= held(erasure.until)).count() as u64;
        self.erasures.push(*erasure);
        Applied::Erased { pairs }
    }

    fn configure(&mut self, configuration: &Configuration) -> Result<Applied, Refused> {
        if configuration.sequence <= self.generation {
            return Ok(Applied::Unchanged);
        }
        if configuration.sequence != self.generation + 1 {
            return Err(Refused);
        }
        let mut next = self.clone();
        for change in &configuration.changes {
            next.change(configuration.environment, change)?;
        }
        next.generation += 1;
        *self = next;
        Ok(Applied::Configured { generation: self.generation })
    }
}

/// Calls.
impl Model {
    /// Returns the time that the call counts for. The lowest possible call (first millisecond, first outcome, first
    /// agent) counts as one millisecond later, because its register would be zero.
    fn moment(&self, call: &Call) -> Timestamp {
        let at = held(call.at);
        let is_first = at == Timestamp::EARLIEST && call.outcome == Outcome::Initiated && self.rank(call) == 0;
        if is_first { at.plus_millis(1) } else { at }
    }

    fn rank(&self, call: &Call) -> usize {
        let known = |row: &AgentRow| row.environment == call.environment && row.id == call.agent;
        self.agents.iter().position(known).expect("only calls of known agents are kept")
    }

    /// Returns the call's place in the order of calls: by time, then outcome, then agent.
    fn place(&self, call: &Call) -> (Timestamp, Outcome, usize) {
        (self.moment(call), call.outcome, self.rank(call))
    }

    fn is_erased(&self, call: &Call) -> bool {
        self.erasures.iter().any(|erasure| {
            erasure.environment == call.environment
                && erasure.contact == call.to
                && self.moment(call) <= held(erasure.until)
        })
    }

    fn last_call(&self, environment: EnvironmentId, from: E164, to: E164) -> Option<Call> {
        let of_pair = |call: &&Call| call.environment == environment && call.from == from && call.to == to;
        let calls = self.calls.iter().filter(of_pair).filter(|call| !self.is_erased(call));
        calls.max_by_key(|call| self.place(call)).copied()
    }
}

fn held(at: Timestamp) -> Timestamp {
    if at < Timestamp::EARLIEST {
        Timestamp::EARLIEST
    } else if at > Timestamp::LATEST {
        Timestamp::LATEST
    } else {
        at
    }
}

/// The rule.
impl Model {
    /// Applies the nine lines of the rule.
    pub fn resolve(&self, dialed: E164, caller: Caller, now: Timestamp) -> Decision {
        let decide = |route, reason, call| Decision { route, reason, call, generation: self.generation };

        // 1: the dialed number is not in the plan
        let Some(number) = self.numbers.iter().find(|row| row.number == dialed) else {
            return decide(Route::Unrouted, Reason::UnknownNumber, None);
        };
        let environment = number.environment;
        let default = self.default_agent(environment, number.id).map_or(Route::Unrouted, Route::Default);

        // 2: the caller is withheld, or is not a number that the history can hold
        let Caller::Number(contact) = caller else {
            return decide(default, Reason::AnonymousCaller, None);
        };

        // 3: no outbound call in the history
        let Some(last) = self.last_call(environment, dialed, contact) else {
            return decide(default, Reason::NoHistory, None);
        };
        let at = self.moment(&last);
        let call = Some(SourceCall { agent: last.agent, at, outcome: last.outcome });

        // 4: the source agent is deleted, or feeds no callback agent
        let feeds: Vec<&RoleRow> = self.roles_of_source(environment, last.agent);
        if self.alive(environment, last.agent).is_none() || feeds.is_empty() {
            return decide(default, Reason::NoCallbackAgent, call);
        }

        // 5: none of its callback agents owns the dialed number
        let owning: Vec<&RoleRow> =
            feeds.into_iter().filter(|role| self.owns(environment, role.agent, number.id)).collect();
        if owning.is_empty() {
            return decide(default, Reason::NumberNotOwned, call);
        }

        // 6: none of those is published
        let published: Vec<&RoleRow> = owning
            .into_iter()
            .filter(|role| self.alive(environment, role.agent).is_some_and(|agent| agent.published))
            .collect();
        if published.is_empty() {
            return decide(default, Reason::CallbackAgentUnpublished, call);
        }

        // 7: none of those accepts the outcome of the last call
        let eligible: Vec<&RoleRow> = published
            .into_iter()
            .filter(|role| role.outcomes.is_none_or(|outcomes| outcomes.contains(last.outcome)))
            .collect();
        if eligible.is_empty() {
            return decide(default, Reason::OutcomeNotEligible, call);
        }

        // 8: the call is older than the look-back of each of those
        let age_millis = now.millis().saturating_sub(at.millis());
        let recent: Vec<&RoleRow> = eligible
            .into_iter()
            .filter(|role| {
                let lookback = role.lookback.unwrap_or(self.environments[&environment]);
                age_millis <= u64::from(lookback.secs()) * 1000
            })
            .collect();

        // 9: otherwise: the remaining candidate whose role was configured last
        match recent.last() {
            None => decide(default, Reason::Expired, call),
            Some(role) => decide(Route::Callback(role.agent), Reason::Matched, call),
        }
    }

    /// Returns the roles that the source feeds. The one that was configured last is at the end.
    fn roles_of_source(&self, environment: EnvironmentId, source: AgentId) -> Vec<&RoleRow> {
        let feeds = |role: &&RoleRow| role.environment == environment && role.sources.contains(&source);
        self.roles.iter().filter(feeds).collect()
    }

    /// Returns the named default agent if it is published, else the published inbound owner that was assigned first. A
    /// number that has none on purpose gets none.
    pub fn default_agent(&self, environment: EnvironmentId, number: NumberId) -> Option<AgentId> {
        let answers = |agent: &AgentId| {
            self.owns(environment, *agent, number)
                && self
                    .alive(environment, *agent)
                    .is_some_and(|agent| agent.published && agent.direction == Some(Direction::Inbound))
        };
        let named = self.named_defaults.get(&(environment, number)).copied();
        match named {
            Some(None) => None,
            named => named.flatten().into_iter().chain(self.owners(environment, number)).find(answers),
        }
    }

    /// Returns the number's owners in the order of assignment.
    pub fn owners(&self, environment: EnvironmentId, number: NumberId) -> Vec<AgentId> {
        let of_number = |row: &&Assignment| row.environment == environment && row.number == number;
        self.assignments.iter().filter(of_number).map(|row| row.agent).collect()
    }

    /// Returns the callback agents of a source. The one that was configured last comes first.
    pub fn callback_agents(&self, environment: EnvironmentId, source: AgentId) -> Vec<AgentId> {
        self.roles_of_source(environment, source).into_iter().rev().map(|role| role.agent).collect()
    }

    /// Returns the source agents of a callback agent. `None` if it has no role.
    pub fn sources(&self, environment: EnvironmentId, agent: AgentId) -> Option<Vec<AgentId>> {
        self.role(environment, agent).map(|role| role.sources.clone())
    }

    fn owns(&self, environment: EnvironmentId, agent: AgentId, number: NumberId) -> bool {
        self.assignments.contains(&Assignment { environment, number, agent })
    }

    fn alive(&self, environment: EnvironmentId, id: AgentId) -> Option<Alive> {
        self.agents.iter().find(|row| row.environment == environment && row.id == id)?.alive
    }

    fn role(&self, environment: EnvironmentId, agent: AgentId) -> Option<&RoleRow> {
        self.roles.iter().find(|role| role.environment == environment && role.agent == agent)
    }
}

/// Changes.
impl Model {
    fn change(&mut self, environment: EnvironmentId, change: &Change) -> Result<(), Refused> {
        let tenant_exists = self.environments.contains_key(&environment);
        match change {
            Change::EnvironmentSet { lookback, .. } => {
                require(environment != EnvironmentId::SYSTEM && !self.deleted.contains(&environment))?;
                self.environments.insert(environment, *lookback);
            }
            Change::EnvironmentDeleted {} => {
                let has_agents = self.agents.iter().any(|row| row.environment == environment && row.alive.is_some());
                let has_numbers = self.numbers.iter().any(|row| row.environment == environment);
                require(tenant_exists && !has_agents && !has_numbers)?;
                self.environments.remove(&environment);
                self.uncounted.remove(&environment);
                self.deleted.insert(environment);
                self.tokens.retain(|token| token.0 != environment);
                self.calls.retain(|call| call.environment != environment);
                self.erasures.retain(|erasure| erasure.environment != environment);
            }
            Change::TokenIssued { id, role, digest, .. } => {
                require(match role {
                    Role::Environment => tenant_exists,
                    Role::Gateway | Role::Operator => environment == EnvironmentId::SYSTEM,
                })?;
                require(self.tokens.iter().all(|token| token.1 != *id && token.2 != *digest))?;
                self.tokens.push((environment, *id, *digest));
            }
            // The model asks nothing with a token.
            Change::TokenExpires { id, .. } => {
                require(self.tokens.iter().any(|token| (token.0, token.1) == (environment, *id)))?;
            }
            // Records a response to a client. No decision depends on it.
            Change::AnswerGiven { scope, .. } => require([environment, EnvironmentId::SYSTEM].contains(scope))?,
            Change::TokenRevoked { id } => {
                let before = self.tokens.len();
                self.tokens.retain(|token| (token.0, token.1) != (environment, *id));
                require(self.tokens.len() < before)?;
            }
            _ => {
                require(tenant_exists)?;
                self.change_tenant(environment, change)?;
                self.forget_defaults();
            }
        }
        Ok(())
    }

    fn change_tenant(&mut self, environment: EnvironmentId, change: &Change) -> Result<(), Refused> {
        match change {
            Change::AgentCreated { id, direction, .. } => self.create(environment, *id, Some(*direction)),
            Change::AgentDrafted { id, .. } => self.create(environment, *id, None),
            // The model's callers are attested.
            Change::AttestationRequired { .. } => Ok(()),
            Change::CountsFromSet { from } => {
                let outcomes: &[Outcome] = match from {
                    CountsFrom::Initiated => &[],
                    CountsFrom::Ringing => &[Outcome::Initiated, Outcome::Failed],
                    CountsFrom::Answered => {
                        &[Outcome::Initiated, Outcome::Failed, Outcome::Ringing, Outcome::NoAnswer, Outcome::Busy]
                    }
                };
                self.uncounted.insert(environment, outcomes);
                Ok(())
            }
            // No decision depends on a name.
            Change::AgentRenamed { id, .. } => require(self.alive(environment, *id).is_some()),
            Change::AgentPublished { id } => self.publish(environment, *id, true),
            Change::AgentUnpublished { id } => self.publish(environment, *id, false),
            Change::AgentDeleted { id } => self.delete(environment, *id),
            Change::CallingSet { id, direction, numbers } => {
                self.set_calling(environment, *id, Some(*direction), numbers.as_deref())
            }
            Change::NumbersAssigned { id, numbers } => {
                let direction = self.alive(environment, *id).ok_or(Refused)?.direction;
                self.set_calling(environment, *id, direction, Some(numbers))
            }
            Change::NumberAdded { id, number } => {
                let same = |row: &NumberRow| row.environment == environment && row.id == *id;
                require(!self.numbers.iter().any(|row| same(row) || row.number == *number))?;
                self.numbers.push(NumberRow { environment, id: *id, number: *number });
                self.ever_held.insert((environment, *number));
                Ok(())
            }
            Change::NumberReleased { id } => {
                require(self.holds(environment, *id) && self.owners(environment, *id).is_empty())?;
                self.numbers.retain(|row| row.environment != environment || row.id != *id);
                Ok(())
            }
            Change::DefaultAgentSet { number, agent: None } => {
                require(self.holds(environment, *number))?;
                self.named_defaults.remove(&(environment, *number));
                Ok(())
            }
            Change::DefaultAgentSet { number, agent: Some(agent) } => {
                require(self.holds(environment, *number) && self.is_inbound_owner(environment, *agent, *number))?;
                self.named_defaults.insert((environment, *number), Some(*agent));
                Ok(())
            }
            Change::OwnersOrdered { number, owners } => self.order_owners(environment, *number, owners),
            Change::DefaultAgentRemoved { number } => {
                require(self.holds(environment, *number))?;
                self.named_defaults.insert((environment, *number), None);
                Ok(())
            }
            Change::CallbackSet { id, sources, outcomes, lookback } => {
                self.check_callback(environment, *id, sources)?;
                self.roles.retain(|role| (role.environment, role.agent) != (environment, *id));
                self.roles.push(RoleRow {
                    environment,
                    agent: *id,
                    sources: sources.clone(),
                    outcomes: *outcomes,
                    lookback: *lookback,
                });
                Ok(())
            }
            Change::CallbackRemoved { id } => {
                require(self.role(environment, *id).is_some())?;
                self.roles.retain(|role| (role.environment, role.agent) != (environment, *id));
                Ok(())
            }
            Change::EnvironmentSet { .. }
            | Change::EnvironmentDeleted {}
            | Change::TokenIssued { .. }
            | Change::TokenRevoked { .. }
            | Change::TokenExpires { .. }
            | Change::AnswerGiven { .. } => {
                unreachable!("handled before")
            }
        }
    }

    fn create(&mut self, environment: EnvironmentId, id: AgentId, direction: Option<Direction>) -> Result<(), Refused> {
        require(self.alive(environment, id).is_none())?;
        let alive = Some(Alive { direction, published: false });
        match self.row(environment, id) {
            Some(row) => row.alive = alive,
            None => self.agents.push(AgentRow { environment, id, alive }),
        }
        Ok(())
    }

    fn publish(&mut self, environment: EnvironmentId, id: AgentId, published: bool) -> Result<(), Refused> {
        let alive = self.row(environment, id).and_then(|row| row.alive.as_mut()).ok_or(Refused)?;
        require(!published || alive.direction.is_some())?;
        alive.published = published;
        Ok(())
    }

    fn delete(&mut self, environment: EnvironmentId, id: AgentId) -> Result<(), Refused> {
        require(self.alive(environment, id).is_some_and(|agent| !agent.published))?;
        self.row(environment, id).ok_or(Refused)?.alive = None;
        self.assignments.retain(|row| (row.environment, row.agent) != (environment, id));
        self.roles.retain(|role| (role.environment, role.agent) != (environment, id));
        for role in self.roles.iter_mut().filter(|role| role.environment == environment) {
            role.sources.retain(|source| *source != id);
        }
        Ok(())
    }

    fn set_calling(
        &mut self,
        environment: EnvironmentId,
        id: AgentId,
        direction: Option<Direction>,
        numbers: Option<&[NumberId]>,
    ) -> Result<(), Refused> {
        let published = self.alive(environment, id).ok_or(Refused)?.published;
        require(match direction {
            None => true,
            Some(Direction::Outbound) => self.role(environment, id).is_none(),
            Some(Direction::Inbound) => self.roles_of_source(environment, id).is_empty(),
        })?;
        if let Some(numbers) = numbers {
            require(numbers.iter().collect::<BTreeSet<_>>().len() == numbers.len())?;
            require(numbers.iter().all(|number| self.holds(environment, *number)))?;
            let kept =
                |row: &Assignment| (row.environment, row.agent) != (environment, id) || numbers.contains(&row.number);
            self.assignments.retain(kept);
            for number in numbers {
                if !self.owns(environment, id, *number) {
                    self.assignments.push(Assignment { environment, number: *number, agent: id });
                }
            }
        }
        self.row(environment, id).ok_or(Refused)?.alive = Some(Alive { direction, published });
        Ok(())
    }

    fn order_owners(
        &mut self,
        environment: EnvironmentId,
        number: NumberId,
        owners: &[AgentId],
    ) -> Result<(), Refused> {
        require(self.holds(environment, number))?;
        require(owners.iter().collect::<BTreeSet<_>>().len() == owners.len())?;
        require(owners.iter().all(|agent| self.owns(environment, *agent, number)))?;
        let of_number = |row: &Assignment| (row.environment, row.number) == (environment, number);
        let (mut ordered, others): (Vec<_>, Vec<_>) = self.assignments.drain(..).partition(of_number);
        ordered.sort_by_key(|row| owners.iter().position(|agent| *agent == row.agent).unwrap_or(usize::MAX));
        self.assignments = others.into_iter().chain(ordered).collect();
        Ok(())
    }

    fn check_callback(&self, environment: EnvironmentId, id: AgentId, sources: &[AgentId]) -> Result<(), Refused> {
        require(self.alive(environment, id).is_some_and(|agent| agent.direction == Some(Direction::Inbound)))?;
        require((1..=1000).contains(&sources.len()))?;
        require(sources.iter().collect::<BTreeSet<_>>().len() == sources.len())?;
        let outbound = |id: &AgentId| {
            self.alive(environment, *id).is_some_and(|agent| agent.direction == Some(Direction::Outbound))
        };
        require(sources.iter().all(|source| *source != id && outbound(source)))
    }

    /// Removes the names of default agents that are no longer inbound owners, and the choices of released numbers. Becoming
    /// an inbound owner again does not restore the name.
    fn forget_defaults(&mut self) {
        let mut named = std::mem::take(&mut self.named_defaults);
        named.retain(|(environment, number), agent| match agent {
            Some(agent) => self.is_inbound_owner(*environment, *agent, *number),
            None => self.holds(*environment, *number),
        });
        self.named_defaults = named;
    }

    fn is_inbound_owner(&self, environment: EnvironmentId, agent: AgentId, number: NumberId) -> bool {
        self.owns(environment, agent, number)
            && self.alive(environment, agent).is_some_and(|agent| agent.direction == Some(Direction::Inbound))
    }

    fn holds(&self, environment: EnvironmentId, id: NumberId) -> bool {
        self.numbers.iter().any(|row| row.environment == environment && row.id == id)
    }

    fn row(&mut self, environment: EnvironmentId, id: AgentId) -> Option<&mut AgentRow> {
        self.agents.iter_mut().find(|row| row.environment == environment && row.id == id)
    }
}

fn require(holds: bool) -> Result<(), Refused> {
    if holds { Ok(()) } else { Err(Refused) }
}
