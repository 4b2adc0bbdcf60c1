//! The facts that a decision examined, in a bounded size, for its record.

use super::rule::Observer;
use crate::decision::{Reason, Saw};
use crate::id::AgentId;
use crate::slot::TallySlot;
use crate::time::Lookback;

/// The most candidates that are examined for a record. An agent may have all agents of an environment as its callback
/// agents, and a decision for one tenant must not take the time of others.
pub(super) const MAX_EXAMINED: usize = 100;

/// A candidate, and the line that rejected it, or [`Reason::Matched`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Examined {
    pub(crate) agent: AgentId,
    pub(crate) reached: Reason,
    pub(crate) lookback: Lookback,
}

/// Keeps the tally that counts the call, and the facts for a record.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Noted {
    pub(super) tally: Option<TallySlot>,
    pub(crate) source_exists: bool,
    /// The number of callback agents of the source agent.
    pub(crate) callback_agents: usize,
    /// The first [`MAX_KEPT`](Self::MAX_KEPT) candidates, with the one that takes the call.
    pub(crate) candidates: Vec<Examined>,
    /// How many of the examined candidates reached each of the lines 5 to 9, and no later one.
    pub(crate) reached: [u32; 5],
}

impl Noted {
    /// The most candidates that are kept.
    pub(crate) const MAX_KEPT: usize = 20;

    fn see(&mut self, examined: Examined) {
        let line = usize::from(examined.reached.line()) - usize::from(Reason::NumberNotOwned.line());
        self.reached[line] += 1;
        let is_taker = examined.reached == Reason::Matched && self.reached[line] == 1;
        if self.candidates.len() < Self::MAX_KEPT {
            self.candidates.push(examined);
        } else if let Some(last) = self.candidates.last_mut().filter(|_| is_taker) {
            *last = examined;
        }
    }
}

impl Observer for Noted {
    fn saw(&mut self, _: Reason, _: bool, _: impl FnOnce() -> Saw) {}

    fn counts(&mut self, tally: impl FnOnce() -> Option<TallySlot>) {
        self.tally = tally();
    }

    fn source(&mut self, what: impl FnOnce() -> (bool, usize)) {
        (self.source_exists, self.callback_agents) = what();
    }

    fn tried(&mut self, each: impl FnOnce(&mut dyn FnMut(Examined))) {
        each(&mut |examined| self.see(examined));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_bounded_and_the_taker_is_kept() {
        let mut noted = Noted::default();
        let examined = |id, reached| Examined { agent: AgentId::from_u128(id), reached, lookback: Lookback::default() };
        for id in 0..50 {
            noted.see(examined(id, Reason::NumberNotOwned));
        }
        noted.see(examined(50, Reason::Matched));
        noted.see(examined(51, Reason::Matched));
        assert_eq!((noted.candidates.len(), noted.reached), (Noted::MAX_KEPT, [50, 0, 0, 0, 2]));
        assert_eq!(noted.candidates[Noted::MAX_KEPT - 1], examined(50, Reason::Matched));
        assert_eq!(noted.candidates[0], examined(0, Reason::NumberNotOwned));
    }
}
