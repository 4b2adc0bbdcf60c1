//! What is counted by day: the callbacks of each pair of a source and one of its callback agents, and each environment's
//! unmatched calls. As with agents and numbers, a slot is given once, in the order of configurations.

use super::{ConfigError, Plan};
use crate::id::{AgentId, EnvironmentId};
use crate::slot::{AgentSlot, EnvironmentSlot, TallySlot};

/// What a tally counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tallied {
    /// The environment's calls to numbers of callback agents that no callback agent took.
    Unmatched,
    /// The calls that a callback agent took for a source agent. Either may be gone by now.
    Callbacks {
        /// The callback agent.
        agent: AgentId,
        /// The source agent.
        source: AgentId,
    },
}

#[derive(Clone, Copy, Default)]
pub(super) struct TallyEntry {
    environment: EnvironmentSlot,
    /// The callback agent and the source; `None`: unmatched calls.
    pair: Option<(AgentSlot, AgentSlot)>,
}

impl Plan {
    /// Whose tally it is, and of what; `None` where this plan does not have it.
    pub fn tally(&self, slot: TallySlot) -> Option<(EnvironmentId, Tallied)> {
        let entry = self.tallies.get(slot.index())?;
        let id = |slot| self.agent_entry(slot).map(|agent| agent.id);
        let tallied = match entry.pair {
            None => Tallied::Unmatched,
            Some((agent, source)) => Tallied::Callbacks { agent: id(agent)?, source: id(source)? },
        };
        Some((self.environment_id(entry.environment), tallied))
    }

    /// The tally of the environment's unmatched calls.
    pub fn unmatched_tally(&self, environment: EnvironmentId) -> Option<TallySlot> {
        Some(self.environment_details(self.environment_slot(environment)?).unmatched)
    }

    /// How many there are.
    pub(crate) fn tally_count(&self) -> usize {
        self.tallies.len()
    }

    pub(crate) fn tally_environment(&self, slot: TallySlot) -> Option<EnvironmentSlot> {
        self.tallies.get(slot.index()).map(|entry| entry.environment)
    }

    pub(super) fn tally_of_unmatched(&mut self, environment: EnvironmentSlot) -> Result<TallySlot, ConfigError> {
        self.new_tally(TallyEntry { environment, pair: None })
    }

    /// The pair's tally; the one it had before, where it had one.
    pub(super) fn tally_of_callbacks(
        &mut self,
        environment: EnvironmentSlot,
        agent: AgentSlot,
        source: AgentSlot,
    ) -> Result<TallySlot, ConfigError> {
        if let Some(slot) = self.tally_slots.get((agent, source)).and_then(TallySlot::new) {
            return Ok(slot);
        }
        let slot = self.new_tally(TallyEntry { environment, pair: Some((agent, source)) })?;
        self.tally_slots.set((agent, source), slot.index());
        Ok(slot)
    }

    fn new_tally(&mut self, entry: TallyEntry) -> Result<TallySlot, ConfigError> {
        let kind = "pairs of callback agents and sources";
        let slot =
            TallySlot::new(self.tallies.len()).ok_or(ConfigError::SlotsExhausted { kind, limit: TallySlot::LIMIT })?;
        self.tallies.push(entry);
        Ok(slot)
    }
}
