//! Tallies: the counters of each pair of callback agent and source agent, and of each environment's unmatched calls.
//!
//! A tally slot names such a counter and always belongs to the same environment. A pair that is removed from the
//! configuration keeps its slot, and gets it back if it returns. Another pair of the environment may take the slot
//! after [`REST_DAYS`]. By then, no decision that names the slot can be reported answered any more.
//!
//! Durable totals are kept by agents, not by slot, so that the statistics of removed pairs stay correct. Counts that
//! are flushed late go to the pair that had the slot on their day.

use super::slots::Slots;
use super::{ConfigError, Plan};
use crate::id::{AgentId, EnvironmentId};
use crate::slot::{AgentSlot, EnvironmentSlot, TallySlot};
use crate::time::Day;

/// The number of days for which the slot of a removed pair is given to no other pair.
pub const REST_DAYS: u32 = 4;

/// The calls that a tally counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tallied {
    /// The environment's calls to numbers of callback agents that no callback agent took.
    Unmatched,
    /// The calls that a callback agent took for a source agent. Both agents may have been removed since.
    Callbacks {
        /// The callback agent.
        agent: AgentId,
        /// The source agent.
        source: AgentId,
    },
}

/// A callback agent and a source agent.
pub(super) type Pair = (AgentSlot, AgentSlot);

/// One tally. An entry has 32 bytes. With 16 bytes of counters and 12 bytes for the lists of both agents, a pair uses
/// less than 64 bytes.
#[derive(Clone, Copy, Default)]
pub(super) struct TallyEntry {
    environment: EnvironmentSlot,
    /// The callback agent and the source agent. Two equal agents mean unmatched calls, because no agent is its own
    /// source.
    pair: Pair,
    /// The pair that had the slot before.
    former: Pair,
    /// The last day on which the former pair had the slot; 0 if there was none.
    until: u16,
    /// The day on which the pair was removed; 0 while it is configured.
    freed: u16,
    /// The neighbours in the list of the environment's freed slots, oldest first.
    before: Link,
    after: Link,
}

/// A slot's index plus one, or 0 for none.
type Link = u32;

/// The list of an environment's freed slots, oldest first.
#[derive(Clone, Copy, Default)]
pub(super) struct Resting {
    first: Link,
    last: Link,
}

impl TallyEntry {
    /// Returns the pair, or `None` for unmatched calls.
    pub(super) fn pair(&self) -> Option<Pair> {
        (self.pair.0 != self.pair.1).then_some(self.pair)
    }
}

impl Plan {
    /// Returns the tally's environment and the calls that it counts, or `None` if this plan does not have the tally or its
    /// environment.
    pub fn tally(&self, slot: TallySlot) -> Option<(EnvironmentId, Tallied)> {
        let entry = self.tallies.get(slot.index())?;
        let id = |slot| self.agent_entry(slot).map(|agent| agent.id);
        let tallied = match entry.pair() {
            None => Tallied::Unmatched,
            Some((agent, source)) => Tallied::Callbacks { agent: id(agent)?, source: id(source)? },
        };
        Some((self.environment_id_of(entry.environment)?, tallied))
    }

    /// Returns the tally of the environment's unmatched calls.
    pub fn unmatched_tally(&self, environment: EnvironmentId) -> Option<TallySlot> {
        Some(self.environment_details(self.environment_slot(environment)?).unmatched)
    }

    /// Returns the number of tallies.
    pub(crate) fn tally_count(&self) -> usize {
        self.tallies.len()
    }

    /// Returns the tally's environment, and the callback agent and source agent that it counted on that day; `None` in
    /// place of the agents for unmatched calls. Returns `None` if the environment was deleted.
    pub(crate) fn tally_pair(
        &self,
        slot: TallySlot,
        day: Day,
    ) -> Option<(EnvironmentSlot, Option<(AgentSlot, AgentSlot)>)> {
        let entry = self.tallies.get(slot.index())?;
        self.environment_id_of(entry.environment)?;
        let is_formers = entry.until > 0 && short(day) <= entry.until;
        Some((entry.environment, if is_formers { Some(entry.former) } else { entry.pair() }))
    }

    pub(super) fn tally_of_unmatched(&mut self, environment: EnvironmentSlot) -> Result<TallySlot, ConfigError> {
        self.new_tally(TallyEntry { environment, ..TallyEntry::default() })
    }

    /// Returns the slot that the pair had before, if no other pair has taken it since.
    pub(super) fn tally_again(&mut self, pair: Pair) -> Option<TallySlot> {
        let slot = self.freed_tallies.get(&self.tallies, pair)?;
        self.unlink(slot);
        TallySlot::new(slot)
    }

    /// Returns a slot for a pair that has none: the oldest freed slot if it has rested long enough, else a new one.
    pub(super) fn tally_of_callbacks(
        &mut self,
        environment: EnvironmentSlot,
        pair: Pair,
        day: Day,
    ) -> Result<TallySlot, ConfigError> {
        let first = index(self.environment_details(environment).resting.first);
        let has_rested = |slot: &usize| {
            let entry = self.tallies.get(*slot);
            entry.is_some_and(|entry| u32::from(entry.freed) + REST_DAYS <= u32::from(short(day)))
        };
        if let Some(slot) = first.filter(has_rested) {
            let before = *self.tallies.get(slot).expect("it was found");
            self.unlink(slot);
            let (former, until) = (before.pair, before.freed);
            *self.tallies.get_mut(slot).expect("it was found") =
                TallyEntry { environment, pair, former, until, ..TallyEntry::default() };
            return Ok(TallySlot::new(slot).expect("it was given"));
        }
        let slot = self.new_tally(TallyEntry { environment, pair, ..TallyEntry::default() })?;
        self.environment_details_mut(environment).callback_slots += 1;
        Ok(slot)
    }

    /// Frees the slot of a pair that was removed from the configuration.
    pub(super) fn free_tally(&mut self, slot: TallySlot, day: Day) {
        let slot = slot.index();
        let Some(environment) = self.tallies.get(slot).map(|entry| entry.environment) else { return };
        let last = self.environment_details(environment).resting.last;
        let entry = self.tallies.get_mut(slot).expect("it was found");
        (entry.freed, entry.before, entry.after) = (short(day).max(1), last, 0);
        self.link(environment, last, link(slot));
        self.link(environment, link(slot), 0);
        self.freed_tallies.insert(&self.tallies, slot);
    }

    /// Removes the slot from the list of freed slots.
    fn unlink(&mut self, slot: usize) {
        self.freed_tallies.remove(&self.tallies, slot);
        let entry = self.tallies.get_mut(slot).expect("it rests");
        let (environment, before, after) = (entry.environment, entry.before, entry.after);
        (entry.freed, entry.before, entry.after) = (0, 0, 0);
        self.link(environment, before, after);
    }

    /// Makes two slots neighbours in the list; 0 stands for the end of the list.
    fn link(&mut self, environment: EnvironmentSlot, before: Link, after: Link) {
        match index(before).and_then(|slot| self.tallies.get_mut(slot)) {
            Some(entry) => entry.after = after,
            None => self.environment_details_mut(environment).resting.first = after,
        }
        match index(after).and_then(|slot| self.tallies.get_mut(slot)) {
            Some(entry) => entry.before = before,
            None => self.environment_details_mut(environment).resting.last = before,
        }
    }

    fn new_tally(&mut self, entry: TallyEntry) -> Result<TallySlot, ConfigError> {
        let kind = "pairs of callback agents and sources";
        let slot =
            TallySlot::new(self.tallies.len()).ok_or(ConfigError::SlotsExhausted { kind, limit: TallySlot::LIMIT })?;
        self.tallies.push(entry);
        Ok(slot)
    }
}

fn index(link: Link) -> Option<usize> {
    usize::try_from(link).ok()?.checked_sub(1)
}

fn link(slot: usize) -> Link {
    u32::try_from(slot + 1).expect("slots have at most 24 bits")
}

/// Returns the day in 16 bits, which suffice until 2149.
fn short(day: Day) -> u16 {
    u16::try_from(day.index()).unwrap_or(u16::MAX)
}

/// The entries of all tallies, by slot.
pub(super) type Tallies = Slots<TallyEntry>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_takes_32_bytes() {
        assert_eq!(size_of::<TallyEntry>(), 32);
    }
}
