//! Writes the document of an environment as JSON, piece by piece.
//!
//! A document repeats the names of source agents, so it can be far longer than the environment is in memory. Between two
//! pieces, only the plan and up to eight bytes for each agent are held. All pieces are of one plan, so the document shows one
//! moment.

use super::current;
use super::order;
use crate::event::Direction;
use crate::id::{AgentId, EnvironmentId};
use crate::plan::{AgentView, CallbackView, EnvironmentView, Plan};
use serde::Serialize;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// The number of entries and items that are examined before a piece ends. Deleted ones write nothing.
const SLICE: usize = 4096;

/// A document in progress. The pieces together are the JSON of
/// [`Declaration::of`](super::Declaration::of), with some fields of an agent in another order.
pub struct Pieces {
    plan: Arc<Plan>,
    environment: EnvironmentId,
    /// The places of the agents, in the order of the document.
    agents: Box<[u32]>,
    /// The places of the agents that share their name with another one, in the order of their ids.
    namesakes: Box<[u32]>,
    /// A bit for each place of a number. It is set if the owners have an order of their own.
    ordered: Box<[u64]>,
    next: Part,
    /// Whether the list of numbers or agents has an entry.
    has_entry: bool,
    items: Items,
}

/// The part of the document that comes next. Numbers are counted by their places, agents in the order of the document.
#[derive(Clone, Copy)]
enum Part {
    Settings,
    Number(usize),
    Order(usize),
    Agents,
    Agent(usize),
    NumbersOf(usize),
    Callback(usize),
    Sources(usize),
    End,
}

/// How far the list within an entry is written.
#[derive(Default)]
struct Items {
    examined: usize,
    has_one: bool,
}

impl Pieces {
    /// Begins the document of an environment. `None` if the plan has no such environment.
    ///
    /// # Panics
    /// Never: an installation holds fewer agents than 32 bits can count.
    pub fn new(plan: Arc<Plan>, environment: EnvironmentId) -> Option<Self> {
        let tenant = plan.environment(environment)?;
        let place = |place: usize| u32::try_from(place).expect("an installation has fewer agents");
        let places: HashMap<_, _> =
            (0..tenant.agent_slots()).filter_map(|at| Some((tenant.agent_at(at)?.id(), place(at)))).collect();
        let in_order = order::agents(tenant);
        let rank: HashMap<_, _> = in_order.iter().enumerate().map(|(rank, agent)| (agent.id(), rank)).collect();
        let mut ordered = vec![0; tenant.number_slots().div_ceil(64)].into_boxed_slice();
        for at in 0..tenant.number_slots() {
            if tenant.number_at(at).is_some_and(|number| !order::inbound(number).is_sorted_by_key(|id| rank[id])) {
                ordered[at / 64] |= 1 << (at % 64);
            }
        }
        let mut uses = HashMap::<_, usize>::new();
        for agent in &in_order {
            *uses.entry(agent.name()).or_default() += 1;
        }
        let mut namesakes: Vec<_> =
            in_order.iter().filter(|agent| uses[agent.name()] > 1).map(|agent| agent.id()).collect();
        namesakes.sort_unstable();
        let namesakes = namesakes.iter().map(|id| places[id]).collect();
        let agents = in_order.iter().map(|agent| places[&agent.id()]).collect();
        let (next, has_entry, items) = (Part::Settings, false, Items::default());
        Some(Self { plan, environment, agents, namesakes, ordered, next, has_entry, items })
    }

    /// Returns the memory of this, besides the plan.
    pub fn state_bytes(&self) -> usize {
        size_of_val(&*self.agents) + size_of_val(&*self.namesakes) + size_of_val(&*self.ordered)
    }

    /// Appends more of the document. Returns `true` at its end, and `false` when `out` has `enough` bytes or a slice of work
    /// is done. Exceeds `enough` by one entry without its lists at most.
    ///
    /// # Panics
    /// Never: the plan still has the environment.
    pub fn write(&mut self, out: &mut Vec<u8>, enough: usize) -> bool {
        let plan = Arc::clone(&self.plan);
        let tenant = plan.environment(self.environment).expect("it was there at the beginning");
        let mut left = SLICE;
        while left > 0 && out.len() < enough {
            if matches!(self.next, Part::End) {
                return true;
            }
            let before = self.items.examined;
            self.next = self.step(tenant, out, enough, left);
            left = left.saturating_sub(1 + self.items.examined.saturating_sub(before));
        }
        matches!(self.next, Part::End)
    }

    /// Writes one entry without its lists, or some items of a list. Returns the part after it.
    fn step(&mut self, tenant: EnvironmentView<'_>, out: &mut Vec<u8>, enough: usize, most: usize) -> Part {
        match self.next {
            Part::Settings => {
                out.extend_from_slice(br#"{"environment":"#);
                json(out, &current::settings(tenant));
                Part::Number(0)
            }
            Part::Number(at) => self.number(tenant, at, out),
            Part::Order(at) => {
                let number = tenant.number_at(at).expect("it was there before");
                let inbound = |at| number.owner_at(at).filter(|owner| owner.direction() == Some(Direction::Inbound));
                let item = |at| inbound(at).map(|owner| text(&self.plan, &self.namesakes, tenant, owner.id()));
                if self.items.write(out, enough, most, number.owner_count(), item) {
                    out.extend_from_slice(b"]}");
                    return Part::Number(at + 1);
                }
                self.next
            }
            Part::Agents => {
                out.extend_from_slice(br#","agents":["#);
                self.has_entry = false;
                Part::Agent(0)
            }
            Part::Agent(at) => self.agent(tenant, at, out),
            Part::NumbersOf(at) => {
                let agent = self.agent_at(tenant, at);
                let item = |at| agent.number_at(at).map(|number| number.number().to_plus_form().to_string());
                if self.items.write(out, enough, most, agent.number_count(), item) {
                    out.push(b']');
                    return Part::Callback(at);
                }
                self.next
            }
            Part::Callback(at) => {
                // A role whose sources are all deleted cannot be declared: it takes no call.
                if self.agent_at(tenant, at).callback().is_none_or(|role| role.sources().is_empty()) {
                    out.push(b'}');
                    return Part::Agent(at + 1);
                }
                out.extend_from_slice(br#","callback":{"sources":["#);
                self.items = Items::default();
                Part::Sources(at)
            }
            Part::Sources(at) => {
                let role = self.agent_at(tenant, at).callback().expect("it was there before");
                if self.sources(tenant, role, out, enough, most) { Part::Agent(at + 1) } else { self.next }
            }
            Part::End => Part::End,
        }
    }

    fn number(&mut self, tenant: EnvironmentView<'_>, at: usize, out: &mut Vec<u8>) -> Part {
        if at == tenant.number_slots() {
            if self.has_entry {
                out.push(b']');
            }
            return Part::Agents;
        }
        let Some(number) = tenant.number_at(at) else { return Part::Number(at + 1) };
        out.extend_from_slice(if self.has_entry { b"," } else { br#","numbers":["# });
        self.has_entry = true;
        json(out, &current::number(number, |id| text(&self.plan, &self.namesakes, tenant, id)));
        if self.ordered[at / 64] >> (at % 64) & 1 == 0 {
            return Part::Number(at + 1);
        }
        self.open(out, "order");
        Part::Order(at)
    }

    fn agent(&mut self, tenant: EnvironmentView<'_>, at: usize, out: &mut Vec<u8>) -> Part {
        if at == self.agents.len() {
            out.extend_from_slice(b"]}");
            return Part::End;
        }
        if self.has_entry {
            out.push(b',');
        }
        self.has_entry = true;
        json(out, &current::agent(self.agent_at(tenant, at)));
        self.open(out, "numbers");
        Part::NumbersOf(at)
    }

    /// Opens the entry that was just written again, for a list.
    fn open(&mut self, out: &mut Vec<u8>, list: &str) {
        debug_assert_eq!(out.last(), Some(&b'}'), "an entry is an object with fields");
        out.pop();
        out.extend_from_slice(format!(r#","{list}":["#).as_bytes());
        self.items = Items::default();
    }

    /// Writes sources of a role, and the rest of the role and of its agent after the last one.
    fn sources(
        &mut self,
        tenant: EnvironmentView<'_>,
        role: CallbackView<'_>,
        out: &mut Vec<u8>,
        enough: usize,
        most: usize,
    ) -> bool {
        let sources = role.sources();
        let item = |at: usize| Some(text(&self.plan, &self.namesakes, tenant, sources[at]));
        let is_end = self.items.write(out, enough, most, sources.len(), item);
        if is_end {
            let mut rest = Vec::new();
            json(&mut rest, &current::callback(role));
            out.extend_from_slice(
                rest.strip_prefix(br#"{"sources":["#.as_slice()).expect("it begins with its sources"),
            );
            out.push(b'}');
        }
        is_end
    }

    fn agent_at<'a>(&self, tenant: EnvironmentView<'a>, at: usize) -> AgentView<'a> {
        tenant.agent_at(self.agents[at] as usize).expect("it was there at the beginning")
    }
}

impl Items {
    /// Writes items from where the list stopped, and examines `most` of them. Returns whether the list is at its end.
    fn write<T: Serialize>(
        &mut self,
        out: &mut Vec<u8>,
        enough: usize,
        most: usize,
        len: usize,
        item: impl Fn(usize) -> Option<T>,
    ) -> bool {
        let end = len.min(self.examined + most);
        while self.examined < end && out.len() < enough {
            if let Some(item) = item(self.examined) {
                if self.has_one {
                    out.push(b',');
                }
                self.has_one = true;
                json(out, &item);
            }
            self.examined += 1;
        }
        self.examined == len
    }
}

/// Returns how the document names an agent: by its name if no other agent has it, else by its id.
fn text(plan: &Plan, namesakes: &[u32], tenant: EnvironmentView<'_>, id: AgentId) -> String {
    let id_at = |place: &u32| tenant.agent_at(*place as usize).map(AgentView::id);
    let is_namesake = namesakes.binary_search_by_key(&Some(id), id_at).is_ok();
    let name = plan
        .agent(tenant.id(), id)
        .map(AgentView::name)
        .filter(|name| !is_namesake && name.parse::<AgentId>().is_err());
    name.map_or_else(|| id.to_string(), str::to_owned)
}

fn json(out: &mut Vec<u8>, value: &impl Serialize) {
    serde_json::to_writer(out, value).expect("every part can be written as JSON");
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pieces").field("agents", &self.agents.len()).finish_non_exhaustive()
    }
}
