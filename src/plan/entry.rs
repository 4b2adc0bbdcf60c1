//! The entries that a decision reads: small, flat, and addressed by slot.

use crate::id::AgentId;
use crate::number::E164;
use crate::outcome::OutcomeSet;
use crate::slot::{AgentSlot, EnvironmentSlot, NumberSlot, TallySlot};
use crate::time::Lookback;
use smallvec::SmallVec;

/// A number, as the rule reads it. It fills one cache line of its own.
#[derive(Clone, Default, Debug)]
#[repr(align(64))]
pub(crate) struct NumberEntry {
    /// The number itself, also after its release, because the slot's call history is kept under it. Each assigned slot
    /// has one.
    pub(crate) number: Option<E164>,
    /// The slot of this entry.
    pub(crate) slot: NumberSlot,
    /// The agents that own it, in the order of their assignment.
    pub(crate) owners: SmallVec<[AgentSlot; 4]>,
    /// The default agent, which answers if no callback agent does.
    pub(crate) default_agent: Option<AgentSlot>,
    /// The environment that the number belongs to.
    pub(crate) environment: EnvironmentSlot,
    /// The tally for calls that no callback agent gets: the environment's unmatched calls, if a callback agent owns the
    /// number.
    pub(crate) unmatched: Option<TallySlot>,
}

/// A callback agent of a source agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Feed {
    /// The callback agent.
    pub(crate) agent: AgentSlot,
    /// The tally for the calls that this agent gets from the source agent's contacts.
    pub(crate) tally: TallySlot,
}

/// The callback agents of a source agent. The one whose role was configured last comes first. Most sources have one
/// callback agent, which is found without reading a length.
#[derive(Clone, Default, Debug)]
pub(crate) struct Feeds {
    pub(crate) first: Option<Feed>,
    pub(crate) others: Box<[Feed]>,
}

impl Feeds {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    #[inline]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Feed> {
        self.first.iter().chain(&self.others)
    }

    /// Inserts a callback agent before all others.
    pub(super) fn put_first(&mut self, feed: Feed) {
        *self = Self { others: self.iter().copied().collect(), first: Some(feed) };
    }

    /// Removes the agent. Returns its tally, or `None` if the agent was not in the list.
    pub(super) fn remove(&mut self, agent: AgentSlot) -> Option<TallySlot> {
        let removed = self.iter().find(|feed| feed.agent == agent).map(|feed| feed.tally);
        let mut rest = self.iter().copied().filter(|feed| feed.agent != agent);
        *self = Self { first: rest.next(), others: rest.collect() };
        removed
    }
}

/// An agent, as the rule reads it. It fills one cache line of its own.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(crate) struct AgentEntry {
    /// The agent's identity, which a decision returns.
    pub(crate) id: AgentId,
    /// The callback agents of this source agent. The one whose role was configured last comes first.
    pub(crate) callback_agents: Feeds,
    /// The agent's own callback role, if it has one.
    pub(crate) callback: Option<CallbackEntry>,
    /// Whether the agent exists. A deleted agent keeps only its slot.
    pub(crate) exists: bool,
    /// Whether the agent is published: it can get new calls.
    pub(crate) published: bool,
}

/// A callback agent's role, as the rule reads it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallbackEntry {
    /// The outcomes of the source agent's call that count.
    pub(crate) outcomes: OutcomeSet,
    /// The agent's own look-back, or `None` to use the environment's.
    pub(crate) lookback: Option<Lookback>,
}

impl Default for AgentEntry {
    fn default() -> Self {
        Self {
            id: AgentId::from_u128(0),
            callback_agents: Feeds::default(),
            callback: None,
            exists: false,
            published: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_fills_exactly_one_cache_line() {
        assert_eq!(size_of::<AgentEntry>(), 64);
        assert_eq!(size_of::<NumberEntry>(), 64);
    }
}
