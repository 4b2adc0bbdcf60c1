//! The plan: the compiled, immutable configuration that one decision reads from beginning to end.
//!
//! A [`Plan`] is a value. [`Plan::with`] builds the next plan, validates it, and shares all unchanged parts with this
//! one. A change therefore costs the same in a small and in a large configuration: a few chunks of 256 entries and
//! their lists. The engine publishes the new plan with one atomic swap.

mod answers;
mod change;
mod details;
mod dialed;
mod entry;
mod error;
mod freed;
mod index;
mod name;
mod names;
mod published;
mod retired;
mod slots;
mod tally;
mod view;

pub use answers::{ANSWER_MILLIS, MAX_ANSWER_BYTES, MAX_ANSWERS};
pub use change::MAX_SOURCES;
pub use details::{DefaultChoice, Token};
pub use error::ConfigError;
pub use tally::{REST_DAYS, Tallied};
pub use view::{AgentView, CallbackView, EnvironmentView, Lacking, NumberView};

pub(crate) use entry::{AgentEntry, Feed, Feeds, NumberEntry};
pub(crate) use published::{Cached, Published};
pub(crate) use retired::Retired;

use crate::event::{Call, Change, Configuration, Stamp};
use crate::id::{AgentId, EnvironmentId, NumberId};
use crate::number::E164;
use crate::outcome::CountsFrom;
use crate::slot::{AgentSlot, EnvironmentSlot, NumberSlot, Scope};
use crate::time::Lookback;
use answers::Answers;
use details::{AgentDetails, Deleted, EnvironmentDetails, NumberDetails};
use dialed::Dialed;
use freed::Freed;
use index::Index;
use slots::Slots;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use tally::Tallies;

/// The whole configuration: environments, agents, numbers, callback roles and tokens. Cheap to clone.
#[derive(Clone, Default)]
pub struct Plan {
    generation: u64,

    // Read by decisions.
    dialed: Dialed,
    numbers: Slots<NumberEntry>,
    agents: Slots<AgentEntry>,
    /// By environment slot.
    lookbacks: Arc<Vec<Lookback>>,

    // Read by the control API, not by decisions. Details are `None` if the slot's agent or number was deleted.
    environments: Slots<Option<Arc<EnvironmentDetails>>>,
    agent_details: Slots<Option<Arc<AgentDetails>>>,
    number_details: Slots<Option<Arc<NumberDetails>>>,
    tokens: Arc<HashMap<[u8; 32], Token>>,
    system_answers: Answers,
    tallies: Tallies,

    // Dictionaries. Their keys contain the environment, so that a tenant cannot find out what another one has.
    environment_slots: Index<EnvironmentId>,
    agent_slots: Index<(EnvironmentSlot, AgentId)>,
    number_slots: Index<(EnvironmentSlot, E164)>,
    number_ids: Index<(EnvironmentSlot, NumberId)>,
    answer_places: Index<(EnvironmentId, [u8; 16])>,
    freed_tallies: Freed,
    has_regions: bool,
    requires_attestation: bool,
    /// Whether an environment has, or had, calls that do not count.
    has_thresholds: bool,
    /// The number of environments that exist.
    live_environments: usize,
    /// In the order of deletion.
    deleted: Arc<Vec<Deleted>>,
    deleted_ids: Index<EnvironmentId>,
}

impl Plan {
    /// Returns the empty plan of a new installation.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of applied configurations, which is also the sequence of the last one.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Returns whether an environment has, or had, the dial plan of a region. If not, each `+` and digits is its own
    /// number.
    pub fn has_regions(&self) -> bool {
        self.has_regions
    }

    /// Returns whether an environment requires, or required, an attestation of callers.
    pub fn requires_attestation(&self) -> bool {
        self.requires_attestation
    }

    /// Returns the environment with this identity.
    pub fn environment(&self, id: EnvironmentId) -> Option<EnvironmentView<'_>> {
        let slot = self.environment_slot(id)?;
        Some(EnvironmentView { plan: self, details: self.environment_details(slot) })
    }

    /// Returns an environment other than `own` whose name people would take for this one: equal without regard to case and
    /// white space. The control API keeps names unique in this sense.
    ///
    /// # Cost
    /// Reads all environments.
    pub fn environment_named_like(&self, name: &str, own: EnvironmentId) -> Option<EnvironmentView<'_>> {
        self.environments().find(|other| other.id() != own && name::is_like(other.name(), name))
    }

    /// Returns all environments, in the order of creation.
    pub fn environments(&self) -> impl Iterator<Item = EnvironmentView<'_>> {
        self.environments.iter().flatten().map(|details| EnvironmentView { plan: self, details })
    }

    /// Returns the number of environment slots, those of deleted environments included.
    pub fn environment_slots(&self) -> usize {
        self.environments.len()
    }

    /// Returns the environment in this slot.
    pub fn environment_at(&self, place: usize) -> Option<EnvironmentView<'_>> {
        Some(EnvironmentView { plan: self, details: self.environments.get(place)?.as_ref()? })
    }

    /// Returns the environment's agent with this identity. Another environment's agent gives `None`, like a nonexistent
    /// one.
    pub fn agent(&self, environment: EnvironmentId, id: AgentId) -> Option<AgentView<'_>> {
        self.agent_view(self.agent_slot(self.environment_slot(environment)?, id)?)
    }

    /// Returns the environment's number with this identity. Another environment's number gives `None`, like a
    /// nonexistent one.
    pub fn number(&self, environment: EnvironmentId, id: NumberId) -> Option<NumberView<'_>> {
        self.number_view(self.held_number(self.environment_slot(environment)?, id)?)
    }

    /// Returns the number that was dialed, of any environment.
    pub fn dialed(&self, number: E164) -> Option<NumberView<'_>> {
        self.number_view(self.dialed_slot(number)?)
    }

    /// Returns the token with this SHA-256 digest.
    pub fn token(&self, digest: &[u8; 32]) -> Option<&Token> {
        self.tokens.get(digest)
    }

    /// Returns all tokens, in no particular order.
    pub fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.tokens.values()
    }
}

/// Functions for the engine, the store and the fleet.
impl Plan {
    /// Returns the configuration that makes these changes to this plan, with the names that its ids have here.
    pub(crate) fn next_configuration(
        &self,
        environment: EnvironmentId,
        Stamp { at, actor }: Stamp,
        changes: Vec<Change>,
    ) -> Configuration {
        let names = self.names_in(environment, &changes);
        Configuration::new(self.generation + 1, environment, at, changes).by(actor).with_names(names)
    }

    pub(crate) fn dialed_slot(&self, number: E164) -> Option<NumberSlot> {
        self.dialed_entry(number).map(|entry| entry.slot)
    }

    #[inline]
    pub(crate) fn dialed_entry(&self, number: E164) -> Option<&NumberEntry> {
        self.dialed.get(&self.numbers, number)
    }

    pub(crate) fn number_entry(&self, slot: NumberSlot) -> Option<&NumberEntry> {
        self.numbers.get(slot.index())
    }

    pub(crate) fn agent_entry(&self, slot: AgentSlot) -> Option<&AgentEntry> {
        self.agents.get(slot.index())
    }

    /// Returns the agent in a slot that another entry of this plan refers to.
    ///
    /// # Panics
    /// Panics if the slot has no entry.
    #[inline]
    pub(crate) fn named_agent(&self, slot: AgentSlot) -> &AgentEntry {
        self.agents.near(slot.index()).expect("slots have entries")
    }

    #[inline]
    pub(crate) fn lookback(&self, slot: EnvironmentSlot) -> Lookback {
        self.lookbacks[slot.index()]
    }

    pub(crate) fn environment_id(&self, slot: EnvironmentSlot) -> EnvironmentId {
        self.environment_details(slot).id
    }

    /// Returns the environment in a slot, or `None` if the slot was never assigned or its environment was deleted.
    pub(crate) fn environment_id_of(&self, slot: EnvironmentSlot) -> Option<EnvironmentId> {
        self.environments.get(slot.index())?.as_ref().map(|details| details.id)
    }

    /// Returns the environment and the number with this scope, or `None` if it is no number's scope.
    #[cfg(feature = "fleet")]
    pub(crate) fn number_of_scope(&self, scope: Scope) -> Option<(EnvironmentId, E164)> {
        let entry = self.number_entry(scope.number()?)?;
        Some((self.environment_id_of(entry.environment)?, entry.number?))
    }

    /// Returns whether an environment was ever deleted.
    pub(crate) fn has_retired(&self) -> bool {
        !self.deleted.is_empty()
    }

    /// Returns whether the scope belongs to a deleted environment. No record of such a scope counts any more.
    pub(crate) fn is_retired(&self, scope: Scope) -> bool {
        let environment = scope.environment().or_else(|| self.environment_of_number(scope));
        self.has_retired()
            && environment
                .is_some_and(|slot| slot.index() < self.environments.len() && self.environment_id_of(slot).is_none())
    }

    /// Returns the scopes of the environments that were deleted after the earlier plan `before`.
    pub(crate) fn retired_since(&self, before: &Plan) -> impl Iterator<Item = Scope> {
        let deleted = self.deleted.get(before.deleted.len()..).unwrap_or_default();
        deleted.iter().flat_map(|environment| {
            let numbers = environment.numbers.iter().flatten().copied().map(Scope::from);
            std::iter::once(Scope::from(environment.slot)).chain(numbers)
        })
    }

    /// Returns the slot of the environment that has the number with this scope, or `None` if it is no number's scope.
    pub(crate) fn environment_of_number(&self, scope: Scope) -> Option<EnvironmentSlot> {
        Some(self.number_entry(scope.number()?)?.environment)
    }

    /// Returns the agent in a slot, or `None` if the slot was never assigned.
    #[cfg(feature = "fleet")]
    pub(crate) fn agent_id(&self, slot: AgentSlot) -> Option<AgentId> {
        Some(self.agent_entry(slot)?.id)
    }

    /// Returns the environment with this scope, or `None` if it is no environment's scope.
    pub(crate) fn environment_of_scope(&self, scope: Scope) -> Option<EnvironmentId> {
        self.environments.get(scope.environment()?.index())?.as_ref().map(|details| details.id)
    }

    pub(crate) fn environment_slot(&self, id: EnvironmentId) -> Option<EnvironmentSlot> {
        self.environment_slots.get(id).and_then(EnvironmentSlot::new)
    }

    /// Returns the number slots that were assigned after the earlier plan `before`, and their numbers.
    pub(crate) fn numbers_since(&self, before: &Plan) -> impl Iterator<Item = (NumberSlot, E164)> {
        let given = (before.numbers.len()..self.numbers.len()).filter_map(NumberSlot::new);
        given.filter_map(|slot| Some((slot, self.number_entry(slot)?.number?)))
    }

    /// Returns the slots that a call refers to. They are also found for a deleted agent and a released number, because
    /// a late report is about a call that did happen.
    pub(crate) fn call_slots(&self, call: &Call) -> Option<(EnvironmentSlot, NumberSlot, AgentSlot)> {
        let environment = self.environment_slot(call.environment)?;
        let agent = self.agent_slot(environment, call.agent)?;
        let number = self.number_slots.get((environment, call.from)).and_then(NumberSlot::new)?;
        Some((environment, number, agent))
    }

    /// Returns the status from which the environment's calls count.
    pub(crate) fn counts_from(&self, environment: EnvironmentSlot) -> CountsFrom {
        // Most installations have no other setting than the usual one, and then no details are read.
        if !self.has_thresholds {
            return CountsFrom::default();
        }
        let details = self.environments.get(environment.index()).and_then(Option::as_ref);
        details.map_or(CountsFrom::default(), |details| details.counts_from)
    }

    /// Returns whether a report of a call counts: the environment's calls count from its outcome on, or from a lower
    /// one.
    pub(crate) fn counts(&self, call: &Call) -> bool {
        let slot = || self.environment_slot(call.environment);
        !self.has_thresholds || slot().is_none_or(|slot| self.counts_from(slot).counts(call.outcome))
    }

    /// Returns the number of environments.
    pub(crate) fn environment_count(&self) -> usize {
        self.live_environments
    }

    /// Returns the longest look-back of all environments and callback agents. Reads all agents.
    pub(crate) fn longest_lookback(&self) -> Lookback {
        let own = |environment: EnvironmentView<'_>| {
            let agents = environment.agents().filter_map(|agent| agent.callback()?.lookback());
            agents.fold(environment.lookback(), Ord::max)
        };
        self.environments().map(own).max().unwrap_or_default()
    }

    /// Returns the scopes of all numbers that the environment has or had.
    pub(crate) fn number_scopes(&self, environment: EnvironmentSlot) -> impl Iterator<Item = Scope> {
        self.environment_details(environment).numbers.iter().flatten().copied().map(Scope::from)
    }
}

impl Plan {
    fn environment_details(&self, slot: EnvironmentSlot) -> &EnvironmentDetails {
        self.environments.get(slot.index()).and_then(Option::as_ref).expect("the environment exists")
    }

    fn agent_slot(&self, environment: EnvironmentSlot, id: AgentId) -> Option<AgentSlot> {
        self.agent_slots.get((environment, id)).and_then(AgentSlot::new)
    }

    fn held_number(&self, environment: EnvironmentSlot, id: NumberId) -> Option<NumberSlot> {
        self.number_ids.get((environment, id)).and_then(NumberSlot::new)
    }

    fn agent_view(&self, slot: AgentSlot) -> Option<AgentView<'_>> {
        let details = self.agent_details.get(slot.index())?.as_ref()?;
        Some(AgentView { plan: self, details, entry: self.agents.get(slot.index())? })
    }

    fn number_view(&self, slot: NumberSlot) -> Option<NumberView<'_>> {
        let details = self.number_details.get(slot.index())?.as_ref()?;
        Some(NumberView { plan: self, details, entry: self.numbers.get(slot.index())? })
    }

    fn agent_ids<'a>(&'a self, slots: impl IntoIterator<Item = &'a AgentSlot>) -> Vec<AgentId> {
        slots.into_iter().filter_map(|slot| self.agent_entry(*slot)).map(|entry| entry.id).collect()
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("generation", &self.generation)
            .field("environments", &self.environments.len())
            .field("agents", &self.agents.len())
            .field("numbers", &self.numbers.len())
            .finish_non_exhaustive()
    }
}
