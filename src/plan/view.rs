//! A configuration, read: what the control API and people see of a plan.

use super::Plan;
use super::card::{AgentCard, CallbackCard, EnvironmentCard, NumberCard};
use super::entry::{AgentEntry, NumberEntry};
use crate::event::Direction;
use crate::id::{AgentId, EnvironmentId, NumberId};
use crate::number::{DialPlan, E164};
use crate::outcome::OutcomeSet;
use crate::time::{Lookback, Timestamp};
use std::fmt;

/// An environment of a plan.
#[derive(Clone, Copy)]
pub struct EnvironmentView<'a> {
    pub(super) plan: &'a Plan,
    pub(super) card: &'a EnvironmentCard,
}

impl<'a> EnvironmentView<'a> {
    /// Its identity.
    pub fn id(self) -> EnvironmentId {
        self.card.id
    }

    /// For people.
    pub fn name(self) -> &'a str {
        &self.card.name
    }

    /// How its national numbers are written.
    pub fn dial_plan(self) -> &'a DialPlan {
        &self.card.dial_plan
    }

    /// For callback agents without one of their own.
    pub fn lookback(self) -> Lookback {
        self.card.lookback
    }

    /// How many configurations it has had since it was created; says nothing of other environments.
    pub fn revision(self) -> u64 {
        self.card.revision
    }

    /// How many slots its agents have taken, which are not given again: also those of agents that are deleted.
    pub fn agent_slots(self) -> usize {
        self.card.agents.len()
    }

    /// The same for its numbers, also those that it has released.
    pub fn number_slots(self) -> usize {
        self.card.numbers.len()
    }

    /// How many slots its pairs of callback agents and sources have taken. Those of pairs that were removed are given to others after
    /// [`REST_DAYS`](super::REST_DAYS) days.
    pub fn callback_slots(self) -> usize {
        self.card.callback_slots
    }

    /// Whether an agent of this identity has a slot: it is there, or was.
    pub fn has_had_agent(self, id: AgentId) -> bool {
        self.plan.environment_slot(self.card.id).is_some_and(|slot| self.plan.agent_slot(slot, id).is_some())
    }

    /// Whether this number has a slot: the environment holds it, or did.
    pub fn has_had_number(self, number: E164) -> bool {
        let slot = self.plan.environment_slot(self.card.id);
        slot.is_some_and(|slot| self.plan.number_slots.get((slot, number)).is_some())
    }

    /// Its agents, in the order of creation.
    pub fn agents(self) -> impl Iterator<Item = AgentView<'a>> {
        self.card.agents.iter().flatten().filter_map(move |slot| self.plan.agent_view(*slot))
    }

    /// Its numbers, in the order of addition.
    pub fn numbers(self) -> impl Iterator<Item = NumberView<'a>> {
        self.card.numbers.iter().flatten().filter_map(move |slot| self.plan.number_view(*slot))
    }
}

/// An agent of a plan.
#[derive(Clone, Copy)]
pub struct AgentView<'a> {
    pub(super) plan: &'a Plan,
    pub(super) card: &'a AgentCard,
    pub(super) entry: &'a AgentEntry,
}

impl<'a> AgentView<'a> {
    /// Its identity.
    pub fn id(self) -> AgentId {
        self.card.id
    }

    /// For people.
    pub fn name(self) -> &'a str {
        &self.card.name
    }

    /// For people, optional.
    pub fn label(self) -> Option<&'a str> {
        self.card.label.as_deref()
    }

    /// What it is for.
    pub fn direction(self) -> Direction {
        self.card.direction
    }

    /// Whether it takes new calls.
    pub fn is_published(self) -> bool {
        self.entry.published
    }

    /// When it was created.
    pub fn created_at(self) -> Timestamp {
        self.card.created_at
    }

    /// When it last changed.
    pub fn updated_at(self) -> Timestamp {
        self.card.updated_at
    }

    /// Its version: how many configurations the environment had had when what is seen here last changed. Never falls, not
    /// even where the same identity is used again; says nothing of other environments.
    pub fn revision(self) -> u64 {
        self.card.revision
    }

    /// The numbers it owns, in the order in which they were given.
    pub fn numbers(self) -> impl Iterator<Item = NumberView<'a>> {
        self.card.numbers.iter().filter_map(move |slot| self.plan.number_view(*slot))
    }

    /// Its part as a callback agent, if it has one.
    pub fn callback(self) -> Option<CallbackView<'a>> {
        Some(CallbackView { plan: self.plan, card: self.card.callback.as_ref()? })
    }

    /// The callback agents that take its callbacks, the one whose role was configured last first.
    pub fn callback_agents(self) -> Vec<AgentId> {
        self.plan.agent_ids(self.entry.callback_agents.iter().map(|feed| &feed.agent))
    }
}

/// A callback agent's part.
#[derive(Clone, Copy)]
pub struct CallbackView<'a> {
    plan: &'a Plan,
    card: &'a CallbackCard,
}

impl CallbackView<'_> {
    /// Whose callbacks it takes, in the order in which they were given.
    pub fn sources(self) -> Vec<AgentId> {
        self.plan.agent_ids(&self.card.sources)
    }

    /// Which outcomes make a contact eligible; `None` where it was not set: every one.
    pub fn outcomes(self) -> Option<OutcomeSet> {
        self.card.outcomes
    }

    /// Its own look-back, where it was set.
    pub fn lookback(self) -> Option<Lookback> {
        self.card.lookback
    }

    /// Its version, as [`AgentView::revision`].
    pub fn revision(self) -> u64 {
        self.card.revision
    }
}

/// A number of a plan.
#[derive(Clone, Copy)]
pub struct NumberView<'a> {
    pub(super) plan: &'a Plan,
    pub(super) card: &'a NumberCard,
    pub(super) entry: &'a NumberEntry,
}

impl NumberView<'_> {
    /// Its identity.
    pub fn id(self) -> NumberId {
        self.card.id
    }

    /// The number.
    pub fn number(self) -> E164 {
        self.card.number
    }

    /// Whose it is.
    pub fn environment(self) -> EnvironmentId {
        self.plan.environment_id(self.card.environment)
    }

    /// Its version, as [`AgentView::revision`].
    pub fn revision(self) -> u64 {
        self.card.revision
    }

    /// Whether an agent owns it.
    pub fn is_active(self) -> bool {
        !self.entry.owners.is_empty()
    }

    /// The agents that own it, in the order of their assignment.
    pub fn owners(self) -> Vec<AgentId> {
        self.plan.agent_ids(&self.entry.owners)
    }

    /// Who answers when nobody else is to.
    pub fn default_agent(self) -> Option<AgentId> {
        self.plan.agent_ids(&self.entry.default_agent).pop()
    }
}

macro_rules! debug_as_identity {
    ($($view:ident)*) => {$(
        impl fmt::Debug for $view<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($view)).field(&self.card.id).finish()
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
