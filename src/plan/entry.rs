//! What a decision reads: small, flat, by slot.

use crate::id::AgentId;
use crate::number::E164;
use crate::outcome::OutcomeSet;
use crate::slot::{AgentSlot, EnvironmentSlot, TallySlot};
use crate::time::Lookback;
use smallvec::SmallVec;

/// A number as the rule sees it.
#[derive(Clone, Default, Debug)]
pub(crate) struct NumberEntry {
    /// The number itself, also after its release: what the slot's contacts are kept under. Every slot that was given has one.
    pub(crate) number: Option<E164>,
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

/// An agent as the rule sees it. One cache line.
#[derive(Clone, Debug)]
pub(crate) struct AgentEntry {
    /// Its identity, for the answer.
    pub(crate) id: AgentId,
    /// The callback agents that take this source's callbacks, the one whose role was configured last first.
    pub(crate) callback_agents: SmallVec<[Feed; 2]>,
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
            callback_agents: SmallVec::new(),
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
        assert!(size_of::<AgentEntry>() <= 64, "{}", size_of::<AgentEntry>());
        assert!(size_of::<NumberEntry>() <= 64, "{}", size_of::<NumberEntry>());
    }
}
