//! What a decision reads: small, flat, by slot.

use crate::id::AgentId;
use crate::number::E164;
use crate::outcome::OutcomeSet;
use crate::slot::{AgentSlot, EnvironmentSlot, NumberSlot, TallySlot};
use crate::time::Lookback;
use smallvec::SmallVec;

/// A number as the rule sees it. One cache line, and no part of another.
#[derive(Clone, Default, Debug)]
#[repr(align(64))]
pub(crate) struct NumberEntry {
    /// The number itself, also after its release: what the slot's contacts are kept under. Every slot that was given has one.
    pub(crate) number: Option<E164>,
    /// Its slot.
    pub(crate) slot: NumberSlot,
    /// The agents that own it, in the order of their assignment.
    pub(crate) owners: SmallVec<[AgentSlot; 4]>,
    /// Who answers when nobody else is to: named, else the published inbound owner assigned first.
    pub(crate) default_agent: Option<AgentSlot>,
    /// Whose it is.
    pub(crate) environment: EnvironmentSlot,
    /// Where a call to it counts that no callback agent takes: among the environment's unmatched calls, if a callback agent
    /// owns the number.
    pub(crate) unmatched: Option<TallySlot>,
}

/// A callback agent of a source agent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Feed {
    /// The callback agent.
    pub(crate) agent: AgentSlot,
    /// Where the calls that it takes for the source count.
    pub(crate) tally: TallySlot,
}

/// The callback agents of a source agent, the one whose role was configured last first. Nearly always there is one, and it
/// is found without a look at how many there are.
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

    /// Puts it before all others.
    pub(super) fn put_first(&mut self, feed: Feed) {
        *self = Self { others: self.iter().copied().collect(), first: Some(feed) };
    }

    /// Takes the agent out; its tally, if it was in.
    pub(super) fn remove(&mut self, agent: AgentSlot) -> Option<TallySlot> {
        let removed = self.iter().find(|feed| feed.agent == agent).map(|feed| feed.tally);
        let mut rest = self.iter().copied().filter(|feed| feed.agent != agent);
        *self = Self { first: rest.next(), others: rest.collect() };
        removed
    }
}

/// An agent as the rule sees it. One cache line, and no part of another.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(crate) struct AgentEntry {
    /// Its identity, for the answer.
    pub(crate) id: AgentId,
    /// The callback agents that take this source's callbacks, the one whose role was configured last first.
    pub(crate) callback_agents: Feeds,
    /// Its own part as a callback agent.
    pub(crate) callback: Option<CallbackEntry>,
    /// Deleted agents keep their slot, and nothing else.
    pub(crate) exists: bool,
    /// Whether it takes new calls.
    pub(crate) published: bool,
}

/// A callback agent's role as the rule sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CallbackEntry {
    /// Which outcomes of the source's call count.
    pub(crate) outcomes: OutcomeSet,
    /// Its own look-back; `None`: the environment's.
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
    fn entries_fit_a_cache_line() {
        assert_eq!(size_of::<AgentEntry>(), 64);
        assert_eq!(size_of::<NumberEntry>(), 64);
    }
}
