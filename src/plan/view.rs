//! Read-only views of a plan, for the control API.

use super::Plan;
use super::details::{AgentDetails, CallbackDetails, DefaultChoice, EnvironmentDetails, NumberDetails};
use super::entry::{AgentEntry, NumberEntry};
use crate::event::{Direction, Stamp};
use crate::id::{AgentId, EnvironmentId, NumberId};
use crate::number::{Attestation, DialPlan, E164};
use crate::outcome::{CountsFrom, OutcomeSet};
use crate::time::{Lookback, Timestamp};
use std::collections::HashSet;
use std::fmt;

/// An environment of a plan.
#[derive(Clone, Copy)]
pub struct EnvironmentView<'a> {
    pub(super) plan: &'a Plan,
    pub(super) details: &'a EnvironmentDetails,
}

impl<'a> EnvironmentView<'a> {
    /// Returns the environment's identity.
    pub fn id(self) -> EnvironmentId {
        self.details.id
    }

    /// Returns the name, which is for people.
    pub fn name(self) -> &'a str {
        &self.details.name
    }

    /// Returns the dial plan: the format of national numbers.
    pub fn dial_plan(self) -> &'a DialPlan {
        &self.details.dial_plan
    }

    /// Returns the look-back of callback agents that have none of their own.
    pub fn lookback(self) -> Lookback {
        self.details.lookback
    }

    /// Returns the weakest attestation with which a caller's number counts, or `None` if it needs none.
    pub fn required_attestation(self) -> Option<Attestation> {
        self.details.attestation
    }

    /// Returns the status from which calls count. What the history has already counts whatever the setting is.
    pub fn counts_from(self) -> CountsFrom {
        self.details.counts_from
    }

    /// Returns the number of configurations since the environment was created. It reveals nothing about other
    /// environments.
    pub fn revision(self) -> u64 {
        self.details.revision
    }

    /// Returns the version of the settings: the revision when the name, the dial plan, the look-back, the required
    /// attestation or the status from which calls count last changed.
    pub fn settings_revision(self) -> u64 {
        self.details.settings_revision
    }

    /// Returns the moment and the actor of the last change that decisions may depend on: any but a change of tokens. The
    /// actor's label is a [short](crate::Actor::shortened) one.
    pub fn last_change(self) -> Option<&'a Stamp> {
        self.details.last_change.as_ref()
    }

    /// Returns the number of agents.
    pub fn agent_count(self) -> usize {
        self.details.live_agents
    }

    /// Returns the number of phone numbers.
    pub fn number_count(self) -> usize {
        self.details.live_numbers
    }

    /// Returns the number of slots that the environment's agents use. Deleted agents keep their slots.
    pub fn agent_slots(self) -> usize {
        self.details.agents.len()
    }

    /// Returns the number of slots that the environment's numbers use. Released numbers keep their slots.
    pub fn number_slots(self) -> usize {
        self.details.numbers.len()
    }

    /// Returns the number of slots that its pairs of callback agents and source agents use. Slots of removed pairs are
    /// reused after [`REST_DAYS`](super::REST_DAYS) days.
    pub fn callback_slots(self) -> usize {
        self.details.callback_slots
    }

    /// Returns the agent at this place among the [slots](Self::agent_slots), or `None` if it was deleted. An agent
    /// never changes its place.
    pub fn agent_at(self, place: usize) -> Option<AgentView<'a>> {
        self.plan.agent_view((*self.details.agents.get(place)?)?)
    }

    /// Returns the number at this place among the [slots](Self::number_slots), or `None` if it was released. A number
    /// never changes its place.
    pub fn number_at(self, place: usize) -> Option<NumberView<'a>> {
        self.plan.number_view((*self.details.numbers.get(place)?)?)
    }

    /// Returns the number at this place, also if it was released.
    pub fn number_ever_at(self, place: usize) -> Option<E164> {
        self.plan.number_entry((*self.details.numbers.get(place)?)?)?.number
    }

    /// Returns the scope under which the calls from the number at this place are held, also if it was released.
    #[cfg(feature = "http")]
    pub(crate) fn scope_at(self, place: usize) -> Option<crate::slot::Scope> {
        (*self.details.numbers.get(place)?).map(crate::slot::Scope::from)
    }

    /// Returns whether the environment has or had an agent with this identity.
    pub fn has_had_agent(self, id: AgentId) -> bool {
        self.plan.environment_slot(self.details.id).is_some_and(|slot| self.plan.agent_slot(slot, id).is_some())
    }

    /// Returns whether the environment holds or held this number.
    pub fn has_had_number(self, number: E164) -> bool {
        let slot = self.plan.environment_slot(self.details.id);
        slot.is_some_and(|slot| self.plan.number_slots.get((slot, number)).is_some())
    }

    /// Returns the environment's agents, in the order of creation.
    pub fn agents(self) -> impl Iterator<Item = AgentView<'a>> {
        self.details.agents.iter().flatten().filter_map(move |slot| self.plan.agent_view(*slot))
    }

    /// Returns the environment's numbers, in the order of addition.
    pub fn numbers(self) -> impl Iterator<Item = NumberView<'a>> {
        self.details.numbers.iter().flatten().filter_map(move |slot| self.plan.number_view(*slot))
    }
}

/// What an agent lacks to be published.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lacking {
    /// It has no direction.
    Direction,
    /// It is inbound and owns no number. Only the control API requires one.
    Number,
}

/// An agent of a plan.
#[derive(Clone, Copy)]
pub struct AgentView<'a> {
    pub(super) plan: &'a Plan,
    pub(super) details: &'a AgentDetails,
    pub(super) entry: &'a AgentEntry,
}

impl<'a> AgentView<'a> {
    /// Returns the agent's identity.
    pub fn id(self) -> AgentId {
        self.details.id
    }

    /// Returns the name, which is for people.
    pub fn name(self) -> &'a str {
        &self.details.name
    }

    /// Returns the label, which is for people.
    pub fn label(self) -> Option<&'a str> {
        self.details.label.as_deref()
    }

    /// Returns whether the agent places calls or answers them, or `None` if its direction was not set yet.
    pub fn direction(self) -> Option<Direction> {
        self.details.direction
    }

    /// Returns what the agent lacks to be published, or `None` if it lacks nothing.
    pub fn lacks(self) -> Option<Lacking> {
        match self.details.direction {
            None => Some(Lacking::Direction),
            Some(Direction::Inbound) if self.details.numbers.is_empty() => Some(Lacking::Number),
            Some(_) => None,
        }
    }

    /// Returns whether the agent is published: it can get new calls.
    pub fn is_published(self) -> bool {
        self.entry.published
    }

    /// Returns the time of the agent's creation.
    pub fn created_at(self) -> Timestamp {
        self.details.created_at
    }

    /// Returns the time of the agent's last change.
    pub fn updated_at(self) -> Timestamp {
        self.details.updated_at
    }

    /// Returns the agent's version: the environment's revision when the agent's visible details last changed. It never
    /// decreases, even if the identity is used again after a deletion. It reveals nothing about other environments.
    pub fn revision(self) -> u64 {
        self.details.revision
    }

    /// Returns the numbers that the agent owns, in the order in which they were assigned.
    pub fn numbers(self) -> impl Iterator<Item = NumberView<'a>> {
        self.details.numbers.iter().filter_map(move |slot| self.plan.number_view(*slot))
    }

    /// Returns the number of phone numbers that the agent owns.
    pub fn number_count(self) -> usize {
        self.details.numbers.len()
    }

    /// Returns the number at this place in the order of the agent's numbers.
    pub fn number_at(self, place: usize) -> Option<NumberView<'a>> {
        self.plan.number_view(*self.details.numbers.get(place)?)
    }

    /// Returns the callback role, if the agent has one.
    pub fn callback(self) -> Option<CallbackView<'a>> {
        Some(CallbackView { plan: self.plan, details: self.details.callback.as_ref()? })
    }

    /// Returns an iterator over the callback agents, in the order of [`callback_agents`](Self::callback_agents).
    pub fn feeds(self) -> impl Iterator<Item = AgentView<'a>> {
        self.entry.callback_agents.iter().filter_map(move |feed| self.plan.agent_view(feed.agent))
    }

    /// Returns the callback agents of this source agent. The one whose role was configured last comes first.
    pub fn callback_agents(self) -> Vec<AgentId> {
        self.plan.agent_ids(self.entry.callback_agents.iter().map(|feed| &feed.agent))
    }
}

/// The role of a callback agent.
#[derive(Clone, Copy)]
pub struct CallbackView<'a> {
    plan: &'a Plan,
    details: &'a CallbackDetails,
}

impl CallbackView<'_> {
    /// Returns the source agents whose callbacks the agent gets, in the order in which they were configured.
    pub fn sources(self) -> Vec<AgentId> {
        self.plan.agent_ids(&self.details.sources)
    }

    /// Returns the outcomes that make a contact eligible, or `None` if they were not set: every outcome counts then.
    pub fn outcomes(self) -> Option<OutcomeSet> {
        self.details.outcomes
    }

    /// Returns the agent's own look-back, if it was set.
    pub fn lookback(self) -> Option<Lookback> {
        self.details.lookback
    }

    /// Returns whether the role has these sources, in any order, and these limits. Setting it to them again would only
    /// make it the role that was configured last.
    pub fn equals(self, sources: &[AgentId], outcomes: Option<OutcomeSet>, lookback: Option<Lookback>) -> bool {
        let is_alike = (self.details.outcomes, self.details.lookback) == (outcomes, lookback);
        is_alike && self.details.sources.len() == sources.len() && {
            let held: HashSet<_> = self.sources().into_iter().collect();
            held == sources.iter().copied().collect()
        }
    }

    /// Returns the version of the role: the environment's revision when the role last changed.
    pub fn revision(self) -> u64 {
        self.details.revision
    }
}

/// A number of a plan.
#[derive(Clone, Copy)]
pub struct NumberView<'a> {
    pub(super) plan: &'a Plan,
    pub(super) details: &'a NumberDetails,
    pub(super) entry: &'a NumberEntry,
}

impl<'a> NumberView<'a> {
    /// Returns the number's identity.
    pub fn id(self) -> NumberId {
        self.details.id
    }

    /// Returns the phone number.
    pub fn number(self) -> E164 {
        self.details.number
    }

    /// Returns the environment that the number belongs to.
    pub fn environment(self) -> EnvironmentId {
        self.plan.environment_id(self.details.environment)
    }

    /// Returns the number's version: the environment's revision when the number's visible details last changed.
    pub fn revision(self) -> u64 {
        self.details.revision
    }

    /// Returns whether an agent owns the number.
    pub fn is_active(self) -> bool {
        !self.entry.owners.is_empty()
    }

    /// Returns the agents that own the number, in the order of their assignment.
    pub fn owners(self) -> Vec<AgentId> {
        self.plan.agent_ids(&self.entry.owners)
    }

    /// Returns the number of agents that own the number.
    pub fn owner_count(self) -> usize {
        self.entry.owners.len()
    }

    /// Returns the agent at this place in the order of the owners.
    pub fn owner_at(self, place: usize) -> Option<AgentView<'a>> {
        self.plan.agent_view(*self.entry.owners.get(place)?)
    }

    /// Returns the first of the [owners](Self::owners), at most this many.
    pub fn first_owners(self, most: usize) -> Vec<AgentId> {
        self.plan.agent_ids(self.entry.owners.iter().take(most))
    }

    /// Returns how the default agent is chosen.
    pub fn default_choice(self) -> DefaultChoice {
        match self.details.default {
            DefaultChoice::Auto => DefaultChoice::Auto,
            DefaultChoice::Named(agent) => DefaultChoice::Named(self.plan.named_agent(agent).id),
            DefaultChoice::Nobody => DefaultChoice::Nobody,
        }
    }

    /// Returns the default agent, which answers if no callback agent does.
    pub fn default_agent(self) -> Option<AgentId> {
        self.plan.agent_ids(&self.entry.default_agent).pop()
    }
}

macro_rules! debug_as_identity {
    ($($view:ident)*) => {$(
        impl fmt::Debug for $view<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($view)).field(&self.details.id).finish()
            }
        }
    )*};
}

debug_as_identity!(EnvironmentView AgentView NumberView);

impl fmt::Debug for CallbackView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallbackView").field("sources", &self.sources()).finish_non_exhaustive()
    }
}
