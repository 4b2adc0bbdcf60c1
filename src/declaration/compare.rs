//! Compares a document with the present state.

use super::document::Declaration;
use super::reference::Wrong;
use super::resolve::{Resolved, Resolver};
use super::step::Step;
use super::way::Way;
use crate::event::{Change, Configuration};
use crate::id::EnvironmentId;
use crate::number::DialPlan;
use crate::plan::{ConfigError, Plan};
use crate::time::{Lookback, Timestamp};
use uuid::Uuid;

/// How a document is meant.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Whether agents and numbers that the document does not name go away.
    pub prune: bool,
    /// The time of the change.
    pub at: Timestamp,
}

/// The way from the present state to the declared one.
#[derive(Debug)]
pub struct Comparison {
    /// The changes, to be made in one configuration. None if the present state is the declared one.
    pub changes: Vec<Change>,
    /// The changes for people: the first ones, up to a megabyte as JSON.
    pub steps: Vec<Step>,
    /// The number of all steps, also of those that are not listed.
    pub steps_total: usize,
    /// The plan with the changes.
    pub next: Plan,
}

/// Why a document cannot be applied.
#[derive(Debug)]
pub enum Refused {
    /// Mistakes in the document.
    Wrong(Vec<Wrong>),
    /// The environment does not exist, or the declared state is impossible.
    Change(ConfigError),
}

impl From<ConfigError> for Refused {
    fn from(error: ConfigError) -> Self {
        Self::Change(error)
    }
}

impl Declaration {
    /// Finds the changes that make the environment as this document says. `new_id` gives the ids of new agents and
    /// numbers.
    ///
    /// The order of the document is compared, too: that of the inbound agents with a number, and that of the roles with a
    /// source. Agents that the document does not name keep their places among the owners of a number. If it has the
    /// settings of the environment, their roles come after those of the document.
    ///
    /// # Errors
    /// [`Refused`]. It names the fields, and no value of them.
    pub fn compare(
        &self,
        plan: &Plan,
        environment: EnvironmentId,
        wish: Wish,
        new_id: &mut dyn FnMut() -> Uuid,
    ) -> Result<Comparison, Refused> {
        self.find(plan, plan, environment, wish, new_id)
    }

    /// Finds the changes that create an environment as this document says, with all that is in it. The environment must
    /// not exist, and the document must have its settings.
    ///
    /// # Errors
    /// [`Refused`]. It names the fields, and no value of them.
    pub fn create(
        &self,
        plan: &Plan,
        environment: EnvironmentId,
        at: Timestamp,
        new_id: &mut dyn FnMut() -> Uuid,
    ) -> Result<Comparison, Refused> {
        if self.environment.is_none() {
            return Err(Refused::Wrong(vec![Wrong::new("environment", "is required for a new environment")]));
        }
        let (name, dial_plan, lookback) = (String::new(), DialPlan::NONE, Lookback::default());
        let changes = vec![Change::EnvironmentSet { name, dial_plan, lookback }];
        let empty = plan.with(&Configuration::new(plan.generation() + 1, environment, at, changes))?;
        self.find(plan, &empty, environment, Wish { prune: false, at }, new_id)
    }

    /// Finds the changes of `start` that make the environment as this document says. It is in `present`, which is another
    /// plan only if the environment is new: then it is empty there.
    fn find(
        &self,
        start: &Plan,
        present: &Plan,
        environment: EnvironmentId,
        wish: Wish,
        new_id: &mut dyn FnMut() -> Uuid,
    ) -> Result<Comparison, Refused> {
        let tenant = present.environment(environment).ok_or(ConfigError::UnknownEnvironment(environment))?;
        let resolver = Resolver::new(present, tenant, wish.prune, new_id);
        let Resolved { settings, numbers, agents } = resolver.resolve(self).map_err(Refused::Wrong)?;
        let is_new = start.environment(environment).is_none();
        let mut way = Way::new(present, tenant, is_new, &agents, &numbers);
        way.settings(settings);
        way.add_numbers(&numbers);
        way.create_agents(&agents);
        way.free_agents(&agents, wish.prune);
        way.set_agents(&agents);
        // A document without its environment declares a part: it says nothing about the roles of other agents.
        let is_whole = self.environment.is_some();
        way.set_roles(&agents, is_whole && !wish.prune);
        if wish.prune {
            way.prune(&agents, &numbers);
        }
        let after = |changes: &[Change]| {
            let sequence = start.generation() + 1;
            start.with(&Configuration::new(sequence, environment, wish.at, changes.to_vec()))
        };
        // A change of an agent can change the default of its numbers, so defaults are compared afterwards.
        let next = after(&way.changes)?;
        way.order_owners(&next, environment, &agents, &numbers).map_err(Refused::Wrong)?;
        way.set_defaults(&next, environment, &numbers);
        let next = after(&way.changes)?;
        let Way { changes, steps, .. } = way;
        Ok(Comparison { changes, steps: steps.first, steps_total: steps.total, next })
    }
}
