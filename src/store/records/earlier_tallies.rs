//! The tally slots of formats up to 5. Each pair got the next slot when it was first configured, and kept it forever.

use crate::event::{Change, Configuration};
use crate::id::{AgentId, EnvironmentId};
use crate::slot::{AgentSlot, TallySlot};
use crate::tally::Counted;
use std::collections::{HashMap, HashSet};

/// The slots in the order in which the stored configurations assigned them. These configurations were checked before
/// they were stored.
#[derive(Default)]
pub(in crate::store) struct EarlierTallies {
    environments: HashSet<EnvironmentId>,
    agents: HashMap<(EnvironmentId, AgentId), AgentSlot>,
    pairs: HashSet<Counted>,
    slots: Vec<Counted>,
}

impl EarlierTallies {
    /// Applies the next configuration.
    pub(in crate::store) fn follow(&mut self, configuration: &Configuration) {
        let tenant = configuration.environment;
        for change in &configuration.changes {
            match change {
                Change::EnvironmentSet { .. } if self.environments.insert(tenant) => {
                    self.slots.push(Counted::Unmatched);
                }
                Change::AgentCreated { id, .. } | Change::AgentDrafted { id, .. } => {
                    if let Some(next) = AgentSlot::new(self.agents.len()) {
                        self.agents.entry((tenant, *id)).or_insert(next);
                    }
                }
                Change::CallbackSet { id, sources, .. } => self.pair(tenant, *id, sources),
                _ => {}
            }
        }
    }

    fn pair(&mut self, tenant: EnvironmentId, agent: AgentId, sources: &[AgentId]) {
        let slot = |id: AgentId| self.agents.get(&(tenant, id)).copied();
        let pairs = sources.iter().filter_map(|source| Some((slot(agent)?, slot(*source)?)));
        let pairs: Vec<_> = pairs.map(|(agent, source)| Counted::Callbacks { agent, source }).collect();
        for pair in pairs {
            if self.pairs.insert(pair) {
                self.slots.push(pair);
            }
        }
    }

    /// Returns what the slot counted.
    pub(in crate::store) fn counted(&self, slot: TallySlot) -> Option<Counted> {
        self.slots.get(slot.index()).copied()
    }
}
