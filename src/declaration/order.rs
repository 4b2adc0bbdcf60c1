//! The orders that a document declares: of the inbound agents with a number, and of roles with a common source.

use super::reference::Wrong;
use super::resolve::{Agent, Callback, Number};
use crate::event::Direction;
use crate::id::{AgentId, EnvironmentId, NumberId};
use crate::plan::{AgentView, EnvironmentView, NumberView, Plan};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

/// The inbound agents of a number in their order, and in the declared one.
pub(super) struct Reordered {
    pub(super) number: NumberId,
    pub(super) before: Vec<AgentId>,
    pub(super) after: Vec<AgentId>,
}

/// Finds the numbers whose inbound agents have another order in this plan than in the document. Agents that the document
/// does not name keep their places.
///
/// # Errors
/// The numbers whose declared order does not name each inbound agent with the number.
pub(super) fn owners(
    plan: &Plan,
    environment: EnvironmentId,
    agents: &[Agent],
    numbers: &[Number],
) -> Result<Vec<Reordered>, Vec<Wrong>> {
    let mut of_number = HashMap::<NumberId, Vec<AgentId>>::new();
    let mut in_order = Vec::new();
    for agent in agents.iter().filter(|agent| agent.direction == Some(Direction::Inbound)) {
        for number in &agent.numbers {
            let declared = of_number.entry(*number).or_insert_with(|| {
                in_order.push(*number);
                Vec::new()
            });
            declared.push(agent.id);
        }
    }
    let present = |number| plan.number(environment, number).map(inbound).unwrap_or_default();
    let (mut reordered, mut wrong, mut named) = (Vec::new(), Vec::new(), HashSet::new());
    for (at, Number { id: number, order, .. }) in
        numbers.iter().enumerate().filter(|(_, number)| !number.order.is_empty())
    {
        named.insert(*number);
        let before = present(*number);
        let (all, listed): (HashSet<_>, HashSet<_>) = (before.iter().collect(), order.iter().collect());
        if all == listed {
            reordered.push(Reordered { number: *number, before, after: order.clone() });
        } else {
            wrong.push(Wrong::new(format!("numbers.{at}.order"), "must name each inbound agent with the number"));
        }
    }
    for number in in_order.into_iter().filter(|number| !named.contains(number)) {
        let (before, declared) = (present(number), &of_number[&number]);
        let movable: HashSet<_> = declared.iter().collect();
        let mut next = declared.iter();
        let fill = |owner: &AgentId| if movable.contains(owner) { *next.next().unwrap_or(owner) } else { *owner };
        let after = before.iter().map(fill).collect();
        reordered.push(Reordered { number, before, after });
    }
    reordered.retain(|reordered| reordered.before != reordered.after);
    if wrong.is_empty() { Ok(reordered) } else { Err(wrong) }
}

/// Returns the inbound agents of a number, in the order of their assignment.
pub(super) fn inbound(number: NumberView<'_>) -> Vec<AgentId> {
    let owners = (0..number.owner_count()).filter_map(|place| number.owner_at(place));
    owners.filter(|owner| owner.direction() == Some(Direction::Inbound)).map(AgentView::id).collect()
}

/// The order of roles with a common source: of the declared ones, the last in the document is the one that was configured
/// last. Those that stay undeclared were configured before them. Roles are looked at in the order of the document.
pub(super) struct Roles {
    /// The place of a role among those of its source. The one that was configured last has the first place.
    places: HashMap<(AgentId, AgentId), usize>,
    /// For each source, the first place of the undeclared roles and of those that were looked at, and its agent.
    first: HashMap<AgentId, (usize, AgentId)>,
    /// The sources of the roles that were set.
    set: HashSet<AgentId>,
}

impl Roles {
    /// `stays_undeclared` tells which agents keep a role that the document does not name.
    pub(super) fn of(environment: EnvironmentView<'_>, stays_undeclared: impl Fn(AgentId) -> bool) -> Self {
        let (mut places, mut first) = (HashMap::new(), HashMap::new());
        for source in environment.agents() {
            for (place, agent) in source.callback_agents().into_iter().enumerate() {
                places.insert((source.id(), agent), place);
                if stays_undeclared(agent) {
                    first.entry(source.id()).or_insert((place, agent));
                }
            }
        }
        Self { places, first, set: HashSet::new() }
    }

    /// Returns an agent whose role was configured after that of this agent, and should have been configured before it: an
    /// earlier agent of the document, or an undeclared one.
    pub(super) fn overtaken(&self, agent: AgentId, role: &Callback) -> Option<AgentId> {
        role.sources.iter().find_map(|source| {
            let (place, first) = self.first.get(source)?;
            (place < self.places.get(&(*source, agent))?).then_some(*first)
        })
    }

    /// Returns whether an earlier role with a common source was set, so that it was configured after this one.
    pub(super) fn is_after_set(&self, role: &Callback) -> bool {
        role.sources.iter().any(|source| self.set.contains(source))
    }

    /// Notes that the role is passed, and whether it was set.
    pub(super) fn pass(&mut self, agent: AgentId, role: &Callback, is_set: bool) {
        for source in &role.sources {
            if is_set {
                self.set.insert(*source);
            }
            if let Some(place) = self.places.get(&(*source, agent)) {
                let first = self.first.entry(*source).or_insert((*place, agent));
                *first = (*first).min((*place, agent));
            }
        }
    }
}

/// Returns the agents of an environment in the order of creation, but those with a role in the order in which their roles
/// were configured, as far as the order of two roles matters.
pub(super) fn agents(environment: EnvironmentView<'_>) -> Vec<AgentView<'_>> {
    let mut agents: Vec<_> = environment.agents().collect();
    let places: HashMap<_, _> = agents.iter().enumerate().map(|(place, agent)| (agent.id(), place)).collect();
    // The roles that were configured directly after a role, and the number of those directly before it.
    let (mut later, mut before) = (vec![Vec::new(); agents.len()], vec![0; agents.len()]);
    for source in &agents {
        let roles: Vec<_> = source.callback_agents().iter().map(|agent| places[agent]).collect();
        for pair in roles.windows(2) {
            later[pair[1]].push(pair[0]);
            before[pair[0]] += 1;
        }
    }
    let has_role: Vec<_> = (0..agents.len()).filter(|place| agents[*place].callback().is_some()).collect();
    let mut ready: BinaryHeap<_> = has_role.iter().copied().filter(|place| before[*place] == 0).map(Reverse).collect();
    let mut ordered = Vec::new();
    while let Some(Reverse(place)) = ready.pop() {
        ordered.push(agents[place]);
        for next in &later[place] {
            before[*next] -= 1;
            if before[*next] == 0 {
                ready.push(Reverse(*next));
            }
        }
    }
    debug_assert_eq!(ordered.len(), has_role.len(), "each role was configured at one time");
    for (place, agent) in has_role.into_iter().zip(ordered) {
        agents[place] = agent;
    }
    agents
}
