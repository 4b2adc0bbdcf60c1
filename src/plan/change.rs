//! Compiles the next plan: each change is validated and applied.

use super::answers::Answers;
use super::details::{AgentDetails, CallbackDetails, DefaultChoice, Deleted, EnvironmentDetails, NumberDetails, Token};
use super::entry::{AgentEntry, CallbackEntry, Feed, NumberEntry};
use super::slots::Slots;
use super::tally::Resting;
use super::{ConfigError, Plan};
use crate::event::{Change, Configuration, Direction, Role};
use crate::id::{AgentId, EnvironmentId, NumberId, TokenId};
use crate::number::{DialPlan, E164};
use crate::outcome::{CountsFrom, OutcomeSet};
use crate::slot::{AgentSlot, EnvironmentSlot, NumberSlot};
use crate::time::{Day, Lookback, Timestamp};
use std::collections::HashSet;
use std::sync::Arc;

/// The maximum number of source agents of one callback agent.
pub const MAX_SOURCES: usize = 1000;

impl Plan {
    /// Returns the plan after this configuration. This plan does not change; the two share all unchanged parts.
    ///
    /// # Errors
    /// Returns the error of the first invalid change. Then none of the changes is made.
    pub fn with(&self, configuration: &Configuration) -> Result<Self, ConfigError> {
        let mut next = self.clone();
        next.advance(configuration)?;
        Ok(next)
    }

    /// Applies a configuration to this plan. After an error the plan is partly changed and must be dropped.
    pub(crate) fn advance(&mut self, configuration: &Configuration) -> Result<(), ConfigError> {
        let expected = self.generation + 1;
        if configuration.sequence != expected {
            return Err(ConfigError::OutOfOrder { expected, found: configuration.sequence });
        }
        if let Some(slot) = self.environment_slot(configuration.environment) {
            self.environment_details_mut(slot).revision += 1;
        }
        for change in &configuration.changes {
            self.change(configuration.environment, configuration.at, change)?;
        }
        self.note_actor(configuration);
        self.generation = expected;
        Ok(())
    }

    /// Keeps the moment and the actor of a change that decisions may depend on.
    fn note_actor(&mut self, configuration: &Configuration) {
        let Configuration { environment, at, changes, actor, .. } = configuration;
        if let Some(slot) = self.environment_slot(*environment)
            && changes.iter().any(Change::may_reroute)
        {
            self.environment_details_mut(slot).last_change = Some(actor.shortened().at(*at));
        }
    }

    fn change(&mut self, environment: EnvironmentId, at: Timestamp, change: &Change) -> Result<(), ConfigError> {
        match change {
            Change::EnvironmentSet { name, dial_plan, lookback } => {
                self.set_environment(environment, name, dial_plan, *lookback)
            }
            Change::EnvironmentDeleted {} => self.delete_environment(environment),
            Change::TokenIssued { id, role, label, digest } => self.issue_token(Token {
                id: *id,
                environment,
                role: *role,
                label: label.clone(),
                issued_at: at,
                expires_at: None,
                digest: *digest,
            }),
            Change::TokenRevoked { id } => self.revoke_token(environment, *id),
            Change::TokenExpires { id, at } => self.set_expiry(environment, *id, *at),
            Change::AnswerGiven { scope, answer } if [environment, EnvironmentId::SYSTEM].contains(scope) => {
                self.remember(*scope, at, answer)
            }
            Change::AnswerGiven { scope, .. } => Err(ConfigError::UnknownEnvironment(*scope)),
            _ => {
                let tenant = self.environment_slot(environment).ok_or(ConfigError::UnknownEnvironment(environment))?;
                self.change_tenant(tenant, at, change)
            }
        }
    }

    fn change_tenant(&mut self, tenant: EnvironmentSlot, at: Timestamp, change: &Change) -> Result<(), ConfigError> {
        match change {
            Change::AgentCreated { id, name, label, direction } => {
                self.create_agent(tenant, *id, name, label.as_deref(), Some(*direction), at)
            }
            Change::AgentDrafted { id, name, label } => {
                self.create_agent(tenant, *id, name, label.as_deref(), None, at)
            }
            Change::AttestationRequired { level } => {
                self.requires_attestation |= level.is_some();
                let details = self.environment_details_mut(tenant);
                details.attestation = *level;
                details.settings_revision = details.revision;
                Ok(())
            }
            Change::CountsFromSet { from } => {
                self.has_thresholds |= *from != CountsFrom::default();
                let details = self.environment_details_mut(tenant);
                details.counts_from = *from;
                details.settings_revision = details.revision;
                Ok(())
            }
            Change::AgentRenamed { id, name, label } => self.rename_agent(tenant, *id, name, label.as_deref(), at),
            Change::AgentPublished { id } => self.set_published(tenant, *id, true, at),
            Change::AgentUnpublished { id } => self.set_published(tenant, *id, false, at),
            Change::AgentDeleted { id } => self.delete_agent(tenant, *id, at),
            Change::CallingSet { id, direction, numbers } => {
                self.set_calling(tenant, *id, Some(*direction), numbers.as_deref(), at)
            }
            Change::NumbersAssigned { id, numbers } => self.set_calling(tenant, *id, None, Some(numbers), at),
            Change::NumberAdded { id, number } => self.add_number(tenant, *id, *number),
            Change::NumberReleased { id } => self.release_number(tenant, *id),
            Change::DefaultAgentSet { number, agent } => {
                self.choose_default(tenant, *number, agent.map_or(DefaultChoice::Auto, DefaultChoice::Named))
            }
            Change::OwnersOrdered { number, owners } => self.order_owners(tenant, *number, owners),
            Change::DefaultAgentRemoved { number } => self.choose_default(tenant, *number, DefaultChoice::Nobody),
            Change::CallbackSet { id, sources, outcomes, lookback } => {
                self.set_callback(tenant, *id, sources, *outcomes, *lookback, at)
            }
            Change::CallbackRemoved { id } => self.remove_callback(tenant, *id, at),
            Change::EnvironmentSet { .. }
            | Change::EnvironmentDeleted {}
            | Change::TokenIssued { .. }
            | Change::TokenRevoked { .. }
            | Change::TokenExpires { .. }
            | Change::AnswerGiven { .. } => {
                unreachable!("handled by `change`")
            }
        }
    }
}

/// Environments and tokens.
impl Plan {
    fn set_environment(
        &mut self,
        id: EnvironmentId,
        name: &str,
        dial_plan: &DialPlan,
        lookback: Lookback,
    ) -> Result<(), ConfigError> {
        // The installation itself is no tenant: it has no numbers and no agents.
        if id == EnvironmentId::SYSTEM {
            return Err(ConfigError::UnknownEnvironment(id));
        }
        let slot = match self.environment_slot(id) {
            Some(slot) => slot,
            None => self.new_environment(id)?,
        };
        self.has_regions |= dial_plan.region().is_some();
        let details = self.environment_details_mut(slot);
        name.clone_into(&mut details.name);
        details.dial_plan = *dial_plan;
        details.lookback = lookback;
        details.settings_revision = details.revision;
        Arc::make_mut(&mut self.lookbacks)[slot.index()] = lookback;
        Ok(())
    }

    fn new_environment(&mut self, id: EnvironmentId) -> Result<EnvironmentSlot, ConfigError> {
        if self.deleted_ids.get(id).is_some() {
            return Err(ConfigError::EnvironmentDeleted(id));
        }
        let slot = EnvironmentSlot::new(self.environments.len())
            .ok_or(ConfigError::SlotsExhausted { kind: "environments", limit: EnvironmentSlot::LIMIT })?;
        let unmatched = self.tally_of_unmatched(slot)?;
        Arc::make_mut(&mut self.lookbacks).push(Lookback::default());
        self.environments.push(Some(Arc::new(EnvironmentDetails {
            id,
            name: String::new(),
            dial_plan: DialPlan::default(),
            lookback: Lookback::default(),
            attestation: None,
            counts_from: CountsFrom::default(),
            revision: 0,
            settings_revision: 0,
            last_change: None,
            unmatched,
            callback_slots: 0,
            resting: Resting::default(),
            live_agents: 0,
            live_numbers: 0,
            agents: Slots::default(),
            numbers: Slots::default(),
            answers: Answers::default(),
        })));
        self.environment_slots.set(id, slot.index());
        self.live_environments += 1;
        Ok(slot)
    }

    /// Deletes an environment without agents and numbers. Slots are never reused, so those of its former agents, numbers
    /// and pairs stay assigned. Nothing of what is stored under them is read any more.
    ///
    /// # Cost
    /// Removes the answers to requests with an idempotency key one by one. The number of calls makes no difference.
    fn delete_environment(&mut self, id: EnvironmentId) -> Result<(), ConfigError> {
        let slot = self.environment_slot(id).ok_or(ConfigError::UnknownEnvironment(id))?;
        let EnvironmentDetails { live_agents: agents, live_numbers: numbers, .. } = *self.environment_details(slot);
        if agents + numbers > 0 {
            return Err(ConfigError::EnvironmentNotEmpty { environment: id, agents, numbers });
        }
        if self.tokens.values().any(|token| token.environment == id) {
            Arc::make_mut(&mut self.tokens).retain(|_, token| token.environment != id);
        }
        self.forget_answers(id);
        let details = self.environments.get_mut(slot.index()).and_then(Option::take).expect("the environment exists");
        Arc::make_mut(&mut self.deleted).push(Deleted { slot, numbers: details.numbers.clone() });
        self.environment_slots.remove(id);
        self.deleted_ids.set(id, slot.index());
        self.live_environments -= 1;
        Ok(())
    }

    fn issue_token(&mut self, token: Token) -> Result<(), ConfigError> {
        // An environment's token belongs to that environment. The other two roles belong to the installation.
        let belongs = match token.role {
            Role::Environment => self.environment_slot(token.environment).is_some(),
            Role::Gateway | Role::Operator => token.environment == EnvironmentId::SYSTEM,
        };
        if !belongs {
            return Err(ConfigError::UnknownEnvironment(token.environment));
        }
        if self.tokens.contains_key(&token.digest) || self.tokens.values().any(|held| held.id == token.id) {
            return Err(ConfigError::TokenExists(token.id));
        }
        Arc::make_mut(&mut self.tokens).insert(token.digest, token);
        Ok(())
    }

    fn revoke_token(&mut self, environment: EnvironmentId, id: TokenId) -> Result<(), ConfigError> {
        let digest = self.digest_of(environment, id)?;
        Arc::make_mut(&mut self.tokens).remove(&digest);
        Ok(())
    }

    fn set_expiry(&mut self, environment: EnvironmentId, id: TokenId, end: Timestamp) -> Result<(), ConfigError> {
        let digest = self.digest_of(environment, id)?;
        if let Some(token) = Arc::make_mut(&mut self.tokens).get_mut(&digest) {
            token.expires_at = Some(end);
        }
        Ok(())
    }

    fn digest_of(&self, environment: EnvironmentId, id: TokenId) -> Result<[u8; 32], ConfigError> {
        let token = self.tokens.values().find(|token| token.id == id && token.environment == environment);
        Ok(token.ok_or(ConfigError::UnknownToken(id))?.digest)
    }
}

/// Agents.
impl Plan {
    fn create_agent(
        &mut self,
        tenant: EnvironmentSlot,
        id: AgentId,
        name: &str,
        label: Option<&str>,
        direction: Option<Direction>,
        at: Timestamp,
    ) -> Result<(), ConfigError> {
        let details = AgentDetails {
            id,
            name: name.to_owned(),
            label: label.map(str::to_owned),
            direction,
            created_at: at,
            updated_at: at,
            revision: self.environment_details(tenant).revision,
            numbers: Vec::new(),
            callback: None,
        };
        let entry = AgentEntry { id, exists: true, ..AgentEntry::default() };
        let known = self.agent_slot(tenant, id);
        if known.is_some_and(|slot| self.agent_entry(slot).is_some_and(|entry| entry.exists)) {
            return Err(ConfigError::AgentExists(id));
        }
        self.environment_details_mut(tenant).live_agents += 1;
        if let Some(slot) = known {
            // An agent is created again with its former identity: its calls still belong to it.
            *self.agent_entry_mut(slot) = entry;
            *self.agent_details.get_mut(slot.index()).expect("slots have details") = Some(Arc::new(details));
            return Ok(());
        }
        let slot = AgentSlot::new(self.agents.len())
            .ok_or(ConfigError::SlotsExhausted { kind: "agents", limit: AgentSlot::LIMIT })?;
        self.agents.push(entry);
        self.agent_details.push(Some(Arc::new(details)));
        self.agent_slots.set((tenant, id), slot.index());
        self.environment_details_mut(tenant).agents.push(Some(slot));
        Ok(())
    }

    fn rename_agent(
        &mut self,
        tenant: EnvironmentSlot,
        id: AgentId,
        name: &str,
        label: Option<&str>,
        at: Timestamp,
    ) -> Result<(), ConfigError> {
        let slot = self.existing_agent(tenant, id)?;
        self.touch_agent(tenant, slot, at);
        let details = self.agent_details_mut(slot);
        name.clone_into(&mut details.name);
        details.label = label.map(str::to_owned);
        Ok(())
    }

    fn set_published(
        &mut self,
        tenant: EnvironmentSlot,
        id: AgentId,
        published: bool,
        at: Timestamp,
    ) -> Result<(), ConfigError> {
        let slot = self.existing_agent(tenant, id)?;
        if published && self.agent_details_mut(slot).direction.is_none() {
            return Err(ConfigError::AgentHasNoDirection(id));
        }
        self.agent_entry_mut(slot).published = published;
        self.touch_agent(tenant, slot, at);
        self.compile_defaults_of(slot);
        Ok(())
    }

    fn delete_agent(&mut self, tenant: EnvironmentSlot, id: AgentId, at: Timestamp) -> Result<(), ConfigError> {
        let slot = self.existing_agent(tenant, id)?;
        if self.agent_entry(slot).is_some_and(|entry| entry.published) {
            return Err(ConfigError::AgentIsPublished(id));
        }
        self.withdraw_callback(slot, at.day());
        for Feed { agent, tally } in std::mem::take(&mut self.agent_entry_mut(slot).callback_agents).iter().copied() {
            self.free_tally(tally, at.day());
            let revision = self.touch_agent(tenant, agent, at);
            let role = self.agent_details_mut(agent).callback.as_mut().expect("it has the role");
            role.revision = revision;
            role.sources.retain(|source| *source != slot);
        }
        self.assign_numbers(slot, &[]);
        self.environment_details_mut(tenant).live_agents -= 1;
        self.agent_entry_mut(slot).exists = false;
        *self.agent_details.get_mut(slot.index()).expect("slots have details") = None;
        Ok(())
    }

    /// Sets the direction and the numbers of an agent, as far as they are given.
    fn set_calling(
        &mut self,
        tenant: EnvironmentSlot,
        id: AgentId,
        direction: Option<Direction>,
        numbers: Option<&[NumberId]>,
        at: Timestamp,
    ) -> Result<(), ConfigError> {
        let slot = self.existing_agent(tenant, id)?;
        direction.map_or(Ok(()), |direction| self.check_direction(slot, direction))?;
        let numbers = numbers.map(|ids| self.existing_numbers(tenant, ids)).transpose()?;
        self.touch_agent(tenant, slot, at);
        if direction.is_some() {
            self.agent_details_mut(slot).direction = direction;
        }
        if let Some(numbers) = numbers {
            self.assign_numbers(slot, &numbers);
        }
        self.compile_defaults_of(slot);
        Ok(())
    }

    /// Checks that an agent with a callback role stays inbound, and that a source agent stays outbound.
    fn check_direction(&self, slot: AgentSlot, direction: Direction) -> Result<(), ConfigError> {
        let view = self.agent_view(slot).expect("it exists");
        match direction {
            Direction::Outbound => match view.callback() {
                Some(role) => Err(ConfigError::AgentIsCallback { agent: view.id(), sources: role.sources() }),
                None => Ok(()),
            },
            Direction::Inbound if view.entry.callback_agents.is_empty() => Ok(()),
            Direction::Inbound => {
                Err(ConfigError::AgentIsSource { agent: view.id(), callback_agents: view.callback_agents() })
            }
        }
    }

    /// Replaces the agent's numbers. For numbers that it keeps, its place in the order of owners does not change.
    fn assign_numbers(&mut self, slot: AgentSlot, numbers: &[NumberSlot]) {
        let before = std::mem::replace(&mut self.agent_details_mut(slot).numbers, numbers.to_vec());
        let (had, has): (HashSet<_>, HashSet<_>) = (before.iter().collect(), numbers.iter().collect());
        for number in before.iter().filter(|number| !has.contains(number)) {
            self.number_entry_mut(*number).owners.retain(|owner| *owner != slot);
            self.touch_number(*number);
            self.compile_default(*number);
            self.compile_unmatched(*number);
        }
        for number in numbers.iter().filter(|number| !had.contains(number)) {
            self.number_entry_mut(*number).owners.push(slot);
            self.touch_number(*number);
            self.compile_default(*number);
            self.compile_unmatched(*number);
        }
    }

    /// Updates the agent's revision and time of change. Returns the revision.
    fn touch_agent(&mut self, tenant: EnvironmentSlot, slot: AgentSlot, at: Timestamp) -> u64 {
        let revision = self.environment_details(tenant).revision;
        let details = self.agent_details_mut(slot);
        details.updated_at = at;
        details.revision = revision;
        revision
    }
}

/// Numbers.
impl Plan {
    fn add_number(&mut self, tenant: EnvironmentSlot, id: NumberId, number: E164) -> Result<(), ConfigError> {
        if self.held_number(tenant, id).is_some() {
            return Err(ConfigError::NumberExists(id));
        }
        if self.dialed_slot(number).is_some() {
            return Err(ConfigError::NumberTaken(id));
        }
        let slot = match self.number_slots.get((tenant, number)).and_then(NumberSlot::new) {
            // This environment held the number before: its call history still belongs to it.
            Some(slot) => slot,
            // A number of another environment gets a new slot, so that its call history stays with that environment.
            None => self.new_number(tenant, number)?,
        };
        *self.number_entry_mut(slot) =
            NumberEntry { number: Some(number), slot, environment: tenant, ..NumberEntry::default() };
        let revision = self.environment_details(tenant).revision;
        let details = NumberDetails { id, number, environment: tenant, revision, default: DefaultChoice::Auto };
        *self.number_details.get_mut(slot.index()).expect("slots have details") = Some(Arc::new(details));
        self.environment_details_mut(tenant).live_numbers += 1;
        self.number_ids.set((tenant, id), slot.index());
        self.dialed.insert(&self.numbers, number, slot);
        Ok(())
    }

    fn new_number(&mut self, tenant: EnvironmentSlot, number: E164) -> Result<NumberSlot, ConfigError> {
        let slot = NumberSlot::new(self.numbers.len())
            .ok_or(ConfigError::SlotsExhausted { kind: "numbers", limit: NumberSlot::LIMIT })?;
        self.numbers.push(NumberEntry::default());
        self.number_details.push(None);
        self.number_slots.set((tenant, number), slot.index());
        self.environment_details_mut(tenant).numbers.push(Some(slot));
        Ok(slot)
    }

    fn release_number(&mut self, tenant: EnvironmentSlot, id: NumberId) -> Result<(), ConfigError> {
        let slot = self.held_number(tenant, id).ok_or_else(|| ConfigError::UnknownNumbers(vec![id]))?;
        let view = self.number_view(slot).expect("it is held");
        if view.is_active() {
            return Err(ConfigError::NumberInUse { number: id, owners: view.owners() });
        }
        let number = view.number();
        self.dialed.remove(&self.numbers, number);
        self.number_ids.remove((tenant, id));
        self.environment_details_mut(tenant).live_numbers -= 1;
        *self.number_details.get_mut(slot.index()).expect("slots have details") = None;
        Ok(())
    }

    /// Puts these owners of the number first, in this order. The others follow in the order that they had.
    fn order_owners(
        &mut self,
        tenant: EnvironmentSlot,
        number: NumberId,
        first: &[AgentId],
    ) -> Result<(), ConfigError> {
        let slot = self.held_number(tenant, number).ok_or_else(|| ConfigError::UnknownNumbers(vec![number]))?;
        let owners = self.number_entry(slot).map(|entry| entry.owners.clone()).unwrap_or_default();
        let mut others: HashSet<_> = owners.iter().copied().collect();
        let mut ordered = Vec::with_capacity(owners.len());
        for id in first {
            let agent = self.existing_agent(tenant, *id)?;
            if !others.remove(&agent) {
                return Err(ConfigError::InvalidOrder { number, agent: *id });
            }
            ordered.push(agent);
        }
        ordered.extend(owners.iter().filter(|owner| others.contains(owner)));
        if ordered[..] != owners[..] {
            self.number_entry_mut(slot).owners = ordered.into();
            self.touch_number(slot);
            self.compile_default(slot);
        }
        Ok(())
    }

    fn choose_default(
        &mut self,
        tenant: EnvironmentSlot,
        number: NumberId,
        choice: DefaultChoice,
    ) -> Result<(), ConfigError> {
        let slot = self.held_number(tenant, number).ok_or_else(|| ConfigError::UnknownNumbers(vec![number]))?;
        let choice = match choice {
            DefaultChoice::Auto => DefaultChoice::Auto,
            DefaultChoice::Nobody => DefaultChoice::Nobody,
            DefaultChoice::Named(agent) => match self.existing_agent(tenant, agent)? {
                named if self.is_inbound_owner(named, slot) => DefaultChoice::Named(named),
                _ => return Err(ConfigError::DefaultNotInboundOwner { number, agent }),
            },
        };
        self.set_default_choice(slot, choice);
        self.compile_default(slot);
        Ok(())
    }

    fn set_default_choice(&mut self, slot: NumberSlot, choice: DefaultChoice<AgentSlot>) {
        if self.number_details_mut(slot).default != choice {
            self.number_details_mut(slot).default = choice;
            self.touch_number(slot);
        }
    }

    fn compile_defaults_of(&mut self, agent: AgentSlot) {
        for number in self.agent_details_mut(agent).numbers.clone() {
            self.compile_default(number);
        }
    }

    /// Updates the number's default agent. A named agent that is a draft is skipped until it is published. A named agent
    /// that is no longer an inbound owner is no longer named.
    fn compile_default(&mut self, slot: NumberSlot) {
        let mut choice = self.number_details_mut(slot).default;
        if let DefaultChoice::Named(agent) = choice
            && !self.is_inbound_owner(agent, slot)
        {
            choice = DefaultChoice::Auto;
            self.set_default_choice(slot, choice);
        }
        let answers = |agent: &AgentSlot| {
            self.is_inbound_owner(*agent, slot) && self.agent_entry(*agent).is_some_and(|entry| entry.published)
        };
        let mut owners = self.number_entry(slot).into_iter().flat_map(|entry| entry.owners.iter().copied());
        let default_agent = match choice {
            DefaultChoice::Auto => owners.find(answers),
            DefaultChoice::Named(agent) => Some(agent).filter(answers).or_else(|| owners.find(answers)),
            DefaultChoice::Nobody => None,
        };
        if self.number_entry_mut(slot).default_agent != default_agent {
            self.number_entry_mut(slot).default_agent = default_agent;
            self.touch_number(slot);
        }
    }

    /// Updates the number's revision.
    fn touch_number(&mut self, slot: NumberSlot) {
        let tenant = self.number_details_mut(slot).environment;
        self.number_details_mut(slot).revision = self.environment_details(tenant).revision;
    }

    fn compile_unmatched_of(&mut self, agent: AgentSlot) {
        for number in self.agent_details_mut(agent).numbers.clone() {
            self.compile_unmatched(number);
        }
    }

    /// Updates the tally for calls to this number that no callback agent gets.
    fn compile_unmatched(&mut self, slot: NumberSlot) {
        let Some(entry) = self.number_entry(slot) else { return };
        let has_role = |owner: &AgentSlot| self.agent_entry(*owner).is_some_and(|agent| agent.callback.is_some());
        let is_watched = entry.owners.iter().any(has_role);
        let unmatched = is_watched.then(|| self.environment_details(entry.environment).unmatched);
        // Write only on a change, because a write copies the entry's chunk.
        if entry.unmatched != unmatched {
            self.number_entry_mut(slot).unmatched = unmatched;
        }
    }

    fn is_inbound_owner(&self, agent: AgentSlot, number: NumberSlot) -> bool {
        self.agent_view(agent).is_some_and(|view| view.direction() == Some(Direction::Inbound))
            && self.number_entry(number).is_some_and(|entry| entry.owners.contains(&agent))
    }
}

/// Callback roles.
impl Plan {
    fn set_callback(
        &mut self,
        tenant: EnvironmentSlot,
        id: AgentId,
        sources: &[AgentId],
        outcomes: Option<OutcomeSet>,
        lookback: Option<Lookback>,
        at: Timestamp,
    ) -> Result<(), ConfigError> {
        let slot = self.existing_agent(tenant, id)?;
        if self.agent_view(slot).is_none_or(|view| view.direction() != Some(Direction::Inbound)) {
            return Err(ConfigError::CallbackNotInbound(id));
        }
        let sources = self.existing_sources(tenant, id, sources)?;
        self.withdraw_callback(slot, at.day());
        // Find the slots of kept pairs first, so that no new pair gets them.
        let held: Vec<_> = sources.iter().map(|source| self.tally_again((slot, *source))).collect();
        let revision = self.touch_agent(tenant, slot, at);
        self.agent_details_mut(slot).callback =
            Some(CallbackDetails { revision, sources: sources.clone(), outcomes, lookback });
        let outcomes = outcomes.unwrap_or(OutcomeSet::EVERY);
        self.agent_entry_mut(slot).callback = Some(CallbackEntry { outcomes, lookback });
        for (source, held) in sources.into_iter().zip(held) {
            let tally = match held {
                Some(tally) => tally,
                None => self.tally_of_callbacks(tenant, (slot, source), at.day())?,
            };
            // The role that was configured last comes first: the rule picks the first remaining candidate.
            self.agent_entry_mut(source).callback_agents.put_first(Feed { agent: slot, tally });
        }
        self.compile_unmatched_of(slot);
        Ok(())
    }

    fn remove_callback(&mut self, tenant: EnvironmentSlot, id: AgentId, at: Timestamp) -> Result<(), ConfigError> {
        let slot = self.existing_agent(tenant, id)?;
        if self.agent_view(slot).is_none_or(|view| view.callback().is_none()) {
            return Err(ConfigError::NotACallbackAgent(id));
        }
        self.withdraw_callback(slot, at.day());
        self.compile_unmatched_of(slot);
        self.touch_agent(tenant, slot, at);
        Ok(())
    }

    /// Removes the agent's callback role, if it has one, from the agent and from its source agents.
    fn withdraw_callback(&mut self, slot: AgentSlot, day: Day) {
        self.agent_entry_mut(slot).callback = None;
        let Some(role) = self.agent_details_mut(slot).callback.take() else { return };
        for source in role.sources {
            if let Some(tally) = self.agent_entry_mut(source).callback_agents.remove(slot) {
                self.free_tally(tally, day);
            }
        }
    }

    fn existing_sources(
        &self,
        tenant: EnvironmentSlot,
        callback_agent: AgentId,
        sources: &[AgentId],
    ) -> Result<Vec<AgentSlot>, ConfigError> {
        if sources.is_empty() {
            return Err(ConfigError::NoSources);
        }
        if sources.len() > MAX_SOURCES {
            return Err(ConfigError::TooManySources { named: sources.len(), limit: MAX_SOURCES });
        }
        if let Some(twice) = first_repeated(sources) {
            return Err(ConfigError::DuplicateSource(twice));
        }
        let source = |id: &AgentId| {
            let slot = self.existing_agent(tenant, *id).ok().filter(|_| *id != callback_agent)?;
            let view = self.agent_view(slot)?;
            (view.direction() == Some(Direction::Outbound)).then_some(slot)
        };
        let slots: Vec<_> = sources.iter().map(source).collect();
        let invalid: Vec<_> =
            sources.iter().zip(&slots).filter(|(_, slot)| slot.is_none()).map(|(id, _)| *id).collect();
        if invalid.is_empty() {
            Ok(slots.into_iter().flatten().collect())
        } else {
            Err(ConfigError::InvalidSources(invalid))
        }
    }
}

/// Lookups that return an error if there is no result.
impl Plan {
    fn existing_agent(&self, tenant: EnvironmentSlot, id: AgentId) -> Result<AgentSlot, ConfigError> {
        let slot = self.agent_slot(tenant, id).filter(|slot| self.agent_entry(*slot).is_some_and(|entry| entry.exists));
        slot.ok_or(ConfigError::UnknownAgent(id))
    }

    fn existing_numbers(&self, tenant: EnvironmentSlot, ids: &[NumberId]) -> Result<Vec<NumberSlot>, ConfigError> {
        if let Some(twice) = first_repeated(ids) {
            return Err(ConfigError::DuplicateNumber(twice));
        }
        let unknown: Vec<_> = ids.iter().copied().filter(|id| self.held_number(tenant, *id).is_none()).collect();
        if unknown.is_empty() {
            Ok(ids.iter().filter_map(|id| self.held_number(tenant, *id)).collect())
        } else {
            Err(ConfigError::UnknownNumbers(unknown))
        }
    }

    pub(super) fn environment_details_mut(&mut self, slot: EnvironmentSlot) -> &mut EnvironmentDetails {
        let details = self.environments.get_mut(slot.index()).and_then(Option::as_mut);
        Arc::make_mut(details.expect("the environment exists"))
    }

    fn agent_details_mut(&mut self, slot: AgentSlot) -> &mut AgentDetails {
        Arc::make_mut(self.agent_details.get_mut(slot.index()).and_then(Option::as_mut).expect("it exists"))
    }

    fn number_details_mut(&mut self, slot: NumberSlot) -> &mut NumberDetails {
        Arc::make_mut(self.number_details.get_mut(slot.index()).and_then(Option::as_mut).expect("it is held"))
    }

    fn agent_entry_mut(&mut self, slot: AgentSlot) -> &mut AgentEntry {
        self.agents.get_mut(slot.index()).expect("slots have entries")
    }

    fn number_entry_mut(&mut self, slot: NumberSlot) -> &mut NumberEntry {
        self.numbers.get_mut(slot.index()).expect("slots have entries")
    }
}

fn first_repeated<T: Copy + Eq + std::hash::Hash>(items: &[T]) -> Option<T> {
    let mut seen = HashSet::with_capacity(items.len());
    items.iter().copied().find(|item| !seen.insert(*item))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slots of deleted environments are never reused.
    #[test]
    fn environments_that_ever_existed_are_limited() {
        let mut plan = Plan::new();
        let mut change = |id: usize, change: Change| {
            let sequence = plan.generation() + 1;
            let environment = EnvironmentId::from_u128(id as u128 + 1);
            let at = Timestamp::from_secs(1_800_000_000);
            plan.advance(&Configuration::new(sequence, environment, at, vec![change]))
        };
        let created = || Change::EnvironmentSet {
            name: "Short-lived".into(),
            dial_plan: DialPlan::NONE,
            lookback: Lookback::default(),
        };
        for id in 0..EnvironmentSlot::LIMIT {
            change(id, created()).expect("a slot is free");
            change(id, Change::EnvironmentDeleted {}).expect("it is empty");
        }
        let refused = change(EnvironmentSlot::LIMIT, created());
        assert_eq!(refused, Err(ConfigError::SlotsExhausted { kind: "environments", limit: EnvironmentSlot::LIMIT }));
        assert_eq!(EnvironmentSlot::LIMIT, 65_536, "docs/http.md names it");
        assert_eq!((AgentSlot::LIMIT, NumberSlot::LIMIT), (1_048_574, 16_711_680), "docs/http.md names them");
    }
}
