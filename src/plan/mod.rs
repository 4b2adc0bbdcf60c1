//! The plan: the compiled, immutable configuration that one decision reads from beginning to end.
//!
//! A [`Plan`] is a value. [`Plan::with`] makes the next one aside, validates it whole, and shares with this one everything that
//! did not change, so that a change costs the same in a small and in a large configuration: a few chunks of 256 entries and
//! their lists. The engine publishes it with one swap.

mod answers;
mod card;
mod change;
mod dialed;
mod entry;
mod error;
mod freed;
mod index;
mod published;
mod retired;
mod slots;
mod tally;
mod view;

pub use answers::{ANSWER_MILLIS, MAX_ANSWER_BYTES, MAX_ANSWERS};
pub use card::Token;
pub use change::MAX_SOURCES;
pub use error::ConfigError;
pub use tally::{REST_DAYS, Tallied};
pub use view::{AgentView, CallbackView, EnvironmentView, NumberView};

pub(crate) use entry::{AgentEntry, Feed, Feeds, NumberEntry};
#[cfg(feature = "capi")]
pub(crate) use published::CachedBy;
pub(crate) use published::{Cached, Published};
pub(crate) use retired::Retired;

use crate::event::Call;
use crate::id::{AgentId, EnvironmentId, NumberId};
use crate::number::E164;
use crate::slot::{AgentSlot, EnvironmentSlot, NumberSlot, Scope};
use crate::time::Lookback;
use answers::Answers;
use card::{AgentCard, EnvironmentCard, NumberCard};
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

    // What decisions read.
    dialed: Dialed,
    numbers: Slots<NumberEntry>,
    agents: Slots<AgentEntry>,
    /// By environment.
    lookbacks: Arc<Vec<Lookback>>,

    // What everybody else reads. A card is `None` where the slot's holder is gone.
    environments: Slots<Option<Arc<EnvironmentCard>>>,
    agent_cards: Slots<Option<Arc<AgentCard>>>,
    number_cards: Slots<Option<Arc<NumberCard>>>,
    tokens: Arc<HashMap<[u8; 32], Token>>,
    system_answers: Answers,
    tallies: Tallies,

    // Dictionaries. Slots are keyed by environment too, so that no tenant can tell what another one has.
    environment_slots: Index<EnvironmentId>,
    agent_slots: Index<(EnvironmentSlot, AgentId)>,
    number_slots: Index<(EnvironmentSlot, E164)>,
    number_ids: Index<(EnvironmentSlot, NumberId)>,
    answer_places: Index<(EnvironmentId, [u8; 16])>,
    freed_tallies: Freed,
}

impl Plan {
    /// The plan of a new installation: nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many configurations have been applied; the last one's sequence.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The environment, if there is one.
    pub fn environment(&self, id: EnvironmentId) -> Option<EnvironmentView<'_>> {
        let slot = self.environment_slot(id)?;
        Some(EnvironmentView { plan: self, card: self.environment_card(slot) })
    }

    /// Every environment, in the order of creation.
    pub fn environments(&self) -> impl Iterator<Item = EnvironmentView<'_>> {
        self.environments.iter().flatten().map(|card| EnvironmentView { plan: self, card })
    }

    /// The environment's agent of this identity. Unknown and foreign identities answer alike.
    pub fn agent(&self, environment: EnvironmentId, id: AgentId) -> Option<AgentView<'_>> {
        self.agent_view(self.agent_slot(self.environment_slot(environment)?, id)?)
    }

    /// The environment's number of this identity. Unknown and foreign identities answer alike.
    pub fn number(&self, environment: EnvironmentId, id: NumberId) -> Option<NumberView<'_>> {
        self.number_view(self.held_number(self.environment_slot(environment)?, id)?)
    }

    /// The number of ours that was dialed, whoever holds it.
    pub fn dialed(&self, number: E164) -> Option<NumberView<'_>> {
        self.number_view(self.dialed_slot(number)?)
    }

    /// The token with this SHA-256 digest.
    pub fn token(&self, digest: &[u8; 32]) -> Option<&Token> {
        self.tokens.get(digest)
    }

    /// Every token, in no order.
    pub fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.tokens.values()
    }
}

/// What the engine reads.
impl Plan {
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

    /// The agent of a slot that this plan has given: what its other entries name.
    #[inline]
    pub(crate) fn named_agent(&self, slot: AgentSlot) -> &AgentEntry {
        self.agents.near(slot.index()).expect("slots have entries")
    }

    #[inline]
    pub(crate) fn lookback(&self, slot: EnvironmentSlot) -> Lookback {
        self.lookbacks[slot.index()]
    }

    pub(crate) fn environment_id(&self, slot: EnvironmentSlot) -> EnvironmentId {
        self.environment_card(slot).id
    }

    /// The same of a slot that may never have been given.
    #[cfg(feature = "store")]
    pub(crate) fn environment_id_of(&self, slot: EnvironmentSlot) -> Option<EnvironmentId> {
        self.environments.get(slot.index())?.as_ref().map(|card| card.id)
    }

    /// The number that this is the scope of, where it is one's, and its environment.
    #[cfg(feature = "fleet")]
    pub(crate) fn number_of_scope(&self, scope: Scope) -> Option<(EnvironmentId, E164)> {
        let entry = self.number_entry(scope.number()?)?;
        Some((self.environment_id(entry.environment), entry.number?))
    }

    /// The slot of the environment whose number this is the scope of.
    pub(crate) fn environment_of_number(&self, scope: Scope) -> Option<EnvironmentSlot> {
        Some(self.number_entry(scope.number()?)?.environment)
    }

    /// The agent of a slot that may never have been given.
    #[cfg(feature = "fleet")]
    pub(crate) fn agent_id(&self, slot: AgentSlot) -> Option<AgentId> {
        Some(self.agent_entry(slot)?.id)
    }

    /// The environment that this is the scope of, where it is one's.
    pub(crate) fn environment_of_scope(&self, scope: Scope) -> Option<EnvironmentId> {
        self.environments.get(scope.environment()?.index())?.as_ref().map(|card| card.id)
    }

    pub(crate) fn environment_slot(&self, id: EnvironmentId) -> Option<EnvironmentSlot> {
        self.environment_slots.get(id).and_then(EnvironmentSlot::new)
    }

    /// The slots that were given since `before`, an earlier plan, and their numbers.
    pub(crate) fn numbers_since(&self, before: &Plan) -> impl Iterator<Item = (NumberSlot, E164)> {
        let given = (before.numbers.len()..self.numbers.len()).filter_map(NumberSlot::new);
        given.filter_map(|slot| Some((slot, self.number_entry(slot)?.number?)))
    }

    /// Where a call belongs, also of an agent that has been deleted and from a number that has been released since: a late
    /// report is about a call that did happen.
    pub(crate) fn call_slots(&self, call: &Call) -> Option<(EnvironmentSlot, NumberSlot, AgentSlot)> {
        let environment = self.environment_slot(call.environment)?;
        let agent = self.agent_slot(environment, call.agent)?;
        let number = self.number_slots.get((environment, call.from)).and_then(NumberSlot::new)?;
        Some((environment, number, agent))
    }

    /// How many environments there are.
    pub(crate) fn environment_count(&self) -> usize {
        self.environments.len()
    }

    /// The longest look-back of any environment or callback agent. Looks at all agents.
    pub(crate) fn longest_lookback(&self) -> Lookback {
        let own = |environment: EnvironmentView<'_>| {
            let agents = environment.agents().filter_map(|agent| agent.callback()?.lookback());
            agents.fold(environment.lookback(), Ord::max)
        };
        self.environments().map(own).max().unwrap_or_default()
    }

    /// The scopes of every number that the environment ever had.
    pub(crate) fn number_scopes(&self, environment: EnvironmentSlot) -> impl Iterator<Item = Scope> {
        self.environment_card(environment).numbers.iter().flatten().copied().map(Scope::from)
    }
}

impl Plan {
    fn environment_card(&self, slot: EnvironmentSlot) -> &EnvironmentCard {
        self.environments.get(slot.index()).and_then(Option::as_ref).expect("environments are never removed")
    }

    fn agent_slot(&self, environment: EnvironmentSlot, id: AgentId) -> Option<AgentSlot> {
        self.agent_slots.get((environment, id)).and_then(AgentSlot::new)
    }

    fn held_number(&self, environment: EnvironmentSlot, id: NumberId) -> Option<NumberSlot> {
        self.number_ids.get((environment, id)).and_then(NumberSlot::new)
    }

    fn agent_view(&self, slot: AgentSlot) -> Option<AgentView<'_>> {
        let card = self.agent_cards.get(slot.index())?.as_ref()?;
        Some(AgentView { plan: self, card, entry: self.agents.get(slot.index())? })
    }

    fn number_view(&self, slot: NumberSlot) -> Option<NumberView<'_>> {
        let card = self.number_cards.get(slot.index())?.as_ref()?;
        Some(NumberView { plan: self, card, entry: self.numbers.get(slot.index())? })
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
