//! From one plan to the next: each change, validated and compiled.

use super::answers::Answers;
use super::card::{AgentCard, CallbackCard, EnvironmentCard, NumberCard, Token};
use super::entry::{AgentEntry, CallbackEntry, Feed, NumberEntry};
use super::slots::Slots;
use super::tally::Resting;
use super::{ConfigError, Plan};
use crate::event::{Change, Configuration, Direction, Role};
use crate::id::{AgentId, EnvironmentId, NumberId, TokenId};
use crate::number::{DialPlan, E164};
use crate::outcome::OutcomeSet;
use crate::slot::{AgentSlot, EnvironmentSlot, NumberSlot};
use crate::time::{Day, Lookback, Timestamp};
use std::collections::HashSet;
use std::sync::Arc;

/// How many source agents one callback agent may have.
pub const MAX_SOURCES: usize = 1000;

impl Plan {
    /// The plan after this configuration. This plan stays as it is; the two share what did not change.
    ///
    /// # Errors
    /// The first change that cannot be made; then none is.
    pub fn with(&self, configuration: &Configuration) -> Result<Self, ConfigError> {
        let mut next = self.clone();
        next.advance(configuration)?;
        Ok(next)
    }

    /// The same in place. After an error the plan is half changed and must be thrown away.
    pub(crate) fn advance(&mut self, configuration: &Configuration) -> Result<(), ConfigError> {
        let expected = self.generation + 1;
        if configuration.sequence != expected {
            return Err(ConfigError::OutOfOrder { expected, found: configuration.sequence });
        }
        if let Some(slot) = self.environment_slot(configuration.environment) {
            self.environment_card_mut(slot).revision += 1;
        }
        for change in &configuration.changes {
            self.change(configuration.environment, configuration.at, change)?;
        }
        self.generation = expected;
        Ok(())
    }

    fn change(&mut self, environment: EnvironmentId, at: Timestamp, change: &Change) -> Result<(), ConfigError> {
        match change {
            Change::EnvironmentSet { name, dial_plan, lookback } => {
                self.set_environment(environment, name, dial_plan, *lookback)
            }
            Change::TokenIssued { id, role, label, digest } => self.issue_token(Token {
                id: *id,
                environment,
                role: *role,
                label: label.clone(),
                issued_at: at,
                digest: *digest,
            }),
            Change::TokenRevoked { id } => self.revoke_token(environment, *id),
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
                let card = AgentCard {
                    id: *id,
                    name: name.clone(),
                    label: label.clone(),
                    direction: *direction,
                    created_at: at,
                    updated_at: at,
                    revision: self.environment_card(tenant).revision,
                    numbers: Vec::new(),
                    callback: None,
                };
                self.create_agent(tenant, card)
            }
            Change::AgentPublished { id } => self.set_published(tenant, *id, true, at),
            Change::AgentUnpublished { id } => self.set_published(tenant, *id, false, at),
            Change::AgentDeleted { id } => self.delete_agent(tenant, *id, at),
            Change::CallingSet { id, direction, numbers } => {
                self.set_calling(tenant, *id, *direction, numbers.as_deref(), at)
            }
            Change::NumberAdded { id, number } => self.add_number(tenant, *id, *number),
            Change::NumberReleased { id } => self.release_number(tenant, *id),
            Change::DefaultAgentSet { number, agent } => self.name_default(tenant, *number, *agent),
            Change::CallbackSet { id, sources, outcomes, lookback } => {
                self.set_callback(tenant, *id, sources, *outcomes, *lookback, at)
            }
            Change::CallbackRemoved { id } => self.remove_callback(tenant, *id, at),
            Change::EnvironmentSet { .. }
            | Change::TokenIssued { .. }
            | Change::TokenRevoked { .. }
            | Change::AnswerGiven { .. } => {
                unreachable!("belongs to no tenant's part")
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
        let card = self.environment_card_mut(slot);
        name.clone_into(&mut card.name);
        card.dial_plan = *dial_plan;
        card.lookback = lookback;
        Arc::make_mut(&mut self.lookbacks)[slot.index()] = lookback;
        Ok(())
    }

    fn new_environment(&mut self, id: EnvironmentId) -> Result<EnvironmentSlot, ConfigError> {
        let slot = EnvironmentSlot::new(self.environments.len())
            .ok_or(ConfigError::SlotsExhausted { kind: "environments", limit: EnvironmentSlot::LIMIT })?;
        let unmatched = self.tally_of_unmatched(slot)?;
        Arc::make_mut(&mut self.lookbacks).push(Lookback::default());
        self.environments.push(Some(Arc::new(EnvironmentCard {
            id,
            name: String::new(),
            dial_plan: DialPlan::default(),
            lookback: Lookback::default(),
            revision: 0,
            unmatched,
            callback_slots: 0,
            resting: Resting::default(),
            agents: Slots::default(),
            numbers: Slots::default(),
            answers: Answers::default(),
        })));
        self.environment_slots.set(id, slot.index());
        Ok(slot)
    }

    fn issue_token(&mut self, token: Token) -> Result<(), ConfigError> {
        // A tenant's token belongs to a tenant; the two other kinds belong to the installation.
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
        let token = self.tokens.values().find(|token| token.id == id && token.environment == environment);
        let digest = token.ok_or(ConfigError::UnknownToken(id))?.digest;
        Arc::make_mut(&mut self.tokens).remove(&digest);
        Ok(())
    }
}

/// Agents.
impl Plan {
    fn create_agent(&mut self, tenant: EnvironmentSlot, card: AgentCard) -> Result<(), ConfigError> {
        let id = card.id;
        let entry = AgentEntry { id, exists: true, ..AgentEntry::default() };
        let known = self.agent_slot(tenant, id);
        if known.is_some_and(|slot| self.agent_entry(slot).is_some_and(|entry| entry.exists)) {
            return Err(ConfigError::AgentExists(id));
        }
        if let Some(slot) = known {
            // The same identity comes back: its calls are still its own.
            *self.agent_entry_mut(slot) = entry;
            *self.agent_cards.get_mut(slot.index()).expect("slots have cards") = Some(Arc::new(card));
            return Ok(());
        }
        let slot = AgentSlot::new(self.agents.len())
            .ok_or(ConfigError::SlotsExhausted { kind: "agents", limit: AgentSlot::LIMIT })?;
        self.agents.push(entry);
        self.agent_cards.push(Some(Arc::new(card)));
        self.agent_slots.set((tenant, id), slot.index());
        self.environment_card_mut(tenant).agents.push(Some(slot));
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
            let role = self.agent_card_mut(agent).callback.as_mut().expect("it has the role");
            role.revision = revision;
            role.sources.retain(|source| *source != slot);
        }
        self.assign_numbers(slot, &[]);
        self.agent_entry_mut(slot).exists = false;
        *self.agent_cards.get_mut(slot.index()).expect("slots have cards") = None;
        Ok(())
    }

    fn set_calling(
        &mut self,
        tenant: EnvironmentSlot,
        id: AgentId,
        direction: Direction,
        numbers: Option<&[NumberId]>,
        at: Timestamp,
    ) -> Result<(), ConfigError> {
        let slot = self.existing_agent(tenant, id)?;
        self.check_direction(slot, direction)?;
        let numbers = numbers.map(|ids| self.existing_numbers(tenant, ids)).transpose()?;
        self.touch_agent(tenant, slot, at);
        self.agent_card_mut(slot).direction = direction;
        if let Some(numbers) = numbers {
            self.assign_numbers(slot, &numbers);
        }
        self.compile_defaults_of(slot);
        Ok(())
    }

    /// Neither end of a callback configuration may turn round while it stands.
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

    /// Replaces the agent's numbers. Where it keeps one, it keeps its place among the owners too.
    fn assign_numbers(&mut self, slot: AgentSlot, numbers: &[NumberSlot]) {
        let before = std::mem::replace(&mut self.agent_card_mut(slot).numbers, numbers.to_vec());
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

    /// Notes that what people see of the agent changes; at which revision.
    fn touch_agent(&mut self, tenant: EnvironmentSlot, slot: AgentSlot, at: Timestamp) -> u64 {
        let revision = self.environment_card(tenant).revision;
        let card = self.agent_card_mut(slot);
        card.updated_at = at;
        card.revision = revision;
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
            // This environment held the number before: its contacts are still its own.
            Some(slot) => slot,
            // A number that another environment held gets a new slot: nobody inherits somebody else's contacts.
            None => self.new_number(tenant, number)?,
        };
        *self.number_entry_mut(slot) =
            NumberEntry { number: Some(number), slot, environment: tenant, ..NumberEntry::default() };
        let revision = self.environment_card(tenant).revision;
        let card = NumberCard { id, number, environment: tenant, revision, named_default: None };
        *self.number_cards.get_mut(slot.index()).expect("slots have cards") = Some(Arc::new(card));
        self.number_ids.set((tenant, id), slot.index());
        self.dialed.insert(&self.numbers, number, slot);
        Ok(())
    }

    fn new_number(&mut self, tenant: EnvironmentSlot, number: E164) -> Result<NumberSlot, ConfigError> {
        let slot = NumberSlot::new(self.numbers.len())
            .ok_or(ConfigError::SlotsExhausted { kind: "numbers", limit: NumberSlot::LIMIT })?;
        self.numbers.push(NumberEntry::default());
        self.number_cards.push(None);
        self.number_slots.set((tenant, number), slot.index());
        self.environment_card_mut(tenant).numbers.push(Some(slot));
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
        *self.number_cards.get_mut(slot.index()).expect("slots have cards") = None;
        Ok(())
    }

    fn name_default(
        &mut self,
        tenant: EnvironmentSlot,
        number: NumberId,
        agent: Option<AgentId>,
    ) -> Result<(), ConfigError> {
        let slot = self.held_number(tenant, number).ok_or_else(|| ConfigError::UnknownNumbers(vec![number]))?;
        let named = agent.map(|id| self.existing_agent(tenant, id)).transpose()?;
        if let Some(named) = named.filter(|agent| !self.is_inbound_owner(*agent, slot)) {
            let agent = self.agent_entry_mut(named).id;
            return Err(ConfigError::DefaultNotInboundOwner { number, agent });
        }
        if self.number_card_mut(slot).named_default != named {
            self.touch_number(slot);
        }
        self.number_card_mut(slot).named_default = named;
        self.compile_default(slot);
        Ok(())
    }

    fn compile_defaults_of(&mut self, agent: AgentSlot) {
        for number in self.agent_card_mut(agent).numbers.clone() {
            self.compile_default(number);
        }
    }

    /// The default agent: the one that was named, else the published inbound owner assigned first. One that was named but is a
    /// draft stands aside until it is published; one that is no inbound owner any more is no longer named.
    fn compile_default(&mut self, slot: NumberSlot) {
        let card = self.number_card_mut(slot);
        let named = card.named_default;
        let named = named.filter(|agent| self.is_inbound_owner(*agent, slot));
        self.number_card_mut(slot).named_default = named;
        let answers = |agent: &AgentSlot| {
            self.is_inbound_owner(*agent, slot) && self.agent_entry(*agent).is_some_and(|entry| entry.published)
        };
        let owners = self.number_entry(slot).into_iter().flat_map(|entry| entry.owners.iter().copied());
        let default_agent = named.into_iter().chain(owners).find(answers);
        if self.number_entry_mut(slot).default_agent != default_agent {
            self.number_entry_mut(slot).default_agent = default_agent;
            self.touch_number(slot);
        }
    }

    /// Notes that what people see of the number changes.
    fn touch_number(&mut self, slot: NumberSlot) {
        let tenant = self.number_card_mut(slot).environment;
        self.number_card_mut(slot).revision = self.environment_card(tenant).revision;
    }

    fn compile_unmatched_of(&mut self, agent: AgentSlot) {
        for number in self.agent_card_mut(agent).numbers.clone() {
            self.compile_unmatched(number);
        }
    }

    /// Where a call to the number counts that no callback agent takes.
    fn compile_unmatched(&mut self, slot: NumberSlot) {
        let Some(entry) = self.number_entry(slot) else { return };
        let has_role = |owner: &AgentSlot| self.agent_entry(*owner).is_some_and(|agent| agent.callback.is_some());
        let is_watched = entry.owners.iter().any(has_role);
        let unmatched = is_watched.then(|| self.environment_card(entry.environment).unmatched);
        // What stays as it is need not be copied.
        if entry.unmatched != unmatched {
            self.number_entry_mut(slot).unmatched = unmatched;
        }
    }

    fn is_inbound_owner(&self, agent: AgentSlot, number: NumberSlot) -> bool {
        self.agent_view(agent).is_some_and(|view| view.direction() == Direction::Inbound)
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
        if self.agent_view(slot).is_none_or(|view| view.direction() != Direction::Inbound) {
            return Err(ConfigError::CallbackNotInbound(id));
        }
        let sources = self.existing_sources(tenant, id, sources)?;
        self.withdraw_callback(slot, at.day());
        // Pairs that go on first: their slots are not there for others.
        let held: Vec<_> = sources.iter().map(|source| self.tally_again((slot, *source))).collect();
        let revision = self.touch_agent(tenant, slot, at);
        self.agent_card_mut(slot).callback =
            Some(CallbackCard { revision, sources: sources.clone(), outcomes, lookback });
        let outcomes = outcomes.unwrap_or(OutcomeSet::EVERY);
        self.agent_entry_mut(slot).callback = Some(CallbackEntry { outcomes, lookback });
        for (source, held) in sources.into_iter().zip(held) {
            let tally = match held {
                Some(tally) => tally,
                None => self.tally_of_callbacks(tenant, (slot, source), at.day())?,
            };
            // Configured last, so first: the rule takes the first candidate that remains.
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

    /// Takes the agent's role away, if it has one, from it and from its sources.
    fn withdraw_callback(&mut self, slot: AgentSlot, day: Day) {
        self.agent_entry_mut(slot).callback = None;
        let Some(role) = self.agent_card_mut(slot).callback.take() else { return };
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
            (view.direction() == Direction::Outbound).then_some(slot)
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

/// Look-ups that must succeed.
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

    pub(super) fn environment_card_mut(&mut self, slot: EnvironmentSlot) -> &mut EnvironmentCard {
        let card = self.environments.get_mut(slot.index()).and_then(Option::as_mut);
        Arc::make_mut(card.expect("environments are never removed"))
    }

    fn agent_card_mut(&mut self, slot: AgentSlot) -> &mut AgentCard {
        Arc::make_mut(self.agent_cards.get_mut(slot.index()).and_then(Option::as_mut).expect("it exists"))
    }

    fn number_card_mut(&mut self, slot: NumberSlot) -> &mut NumberCard {
        Arc::make_mut(self.number_cards.get_mut(slot.index()).and_then(Option::as_mut).expect("it is held"))
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
