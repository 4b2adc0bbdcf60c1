//! Reports with ids and contexts at any node, and what all nodes know of the calls in the end.

#![allow(unreachable_pub)]

use super::world::{PARTITIONS, World};
use crate::support::random::Random;
use dialback::fleet::partition_of;
use dialback::history::LastCall;
use dialback::service::KnownCall;
use dialback::slot::Scope;
use dialback::store::StoredCalls;
use dialback::{
    Applied, Call, CallId, Context, Details, E164, EnvironmentId, Erasure, Event, Outcome, Service, ServiceError,
    Timestamp, Update,
};
use std::collections::{BTreeMap, BTreeSet};

/// The number of contacts: few, so that pairs have more calls than they keep.
const CONTACTS: usize = 2;
/// The number of calls of a pair below which none is cut off.
const UNCUT: usize = 3;
/// The number of dates of one call below which none of its records is left out.
const DATES: usize = 2;

/// The random numbers of these reports, which are their own, so that a run without them is not another one.
pub struct Reports {
    random: Random,
    /// The calls that were reported with an id.
    named: Vec<(Call, CallId)>,
    made: u64,
}

/// An acknowledged report with an id or a context.
pub struct Acknowledged {
    pub call: Call,
    id: Option<CallId>,
    has_context: bool,
}

impl Reports {
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed, 4), named: Vec::new(), made: 0 }
    }

    /// Reports something now and then.
    pub fn act(mut self, world: &mut World) -> Self {
        if !self.random.is_one_in(3) {
            return self;
        }
        let nodes: Vec<usize> = (0..world.nodes.len()).filter(|node| world.nodes[*node].running.is_some()).collect();
        let Some(node) = nodes.get(self.random.below(nodes.len().max(1))).copied() else { return self };
        match self.random.below(10) {
            0..4 => self.update(world, node),
            4 if self.random.is_one_in(3) => self.erase(world, node),
            _ => self.report(world, node),
        }
        self
    }

    fn outcome(&mut self) -> Outcome {
        Outcome::ALL[self.random.below(8)]
    }

    fn context(&mut self) -> Option<Context> {
        self.made += 1;
        let text = format!("{{\"made\":{}}}", self.made);
        (!self.random.is_one_in(3)).then(|| Context::new(&text).expect("an object"))
    }

    /// Reports a call by all its fields: a new one, or one that has been reported before, also with another date, or a new
    /// one with the id of another call.
    fn report(&mut self, world: &mut World, node: usize) {
        if world.agents.is_empty() || world.numbers.is_empty() {
            return;
        }
        let now = world.now_at(node).millis();
        let at = Timestamp::from_millis(now - self.random.below(600_000) as u64);
        let kind = self.random.below(8);
        let known = self.named.get(self.random.below(self.named.len().max(1))).cloned();
        let (call, id) = match known {
            // Another report of a call, sometimes with another date.
            Some((call, id)) if kind < 3 => (Call { at: if kind == 0 { at } else { call.at }, ..call }, Some(id)),
            known => {
                let (environment, agent) = world.agents[self.random.below(world.agents.len())];
                let of_tenant = world.numbers.iter().filter(|(tenant, _)| *tenant == environment);
                let numbers: BTreeSet<_> = of_tenant.map(|(_, number)| *number).collect();
                let Some(from) = numbers.iter().nth(self.random.below(numbers.len().max(1))).copied() else { return };
                let to = E164::from_code(49_000 + self.random.below(CONTACTS) as u64).expect("a code");
                let call = Call { environment, agent, from, to, at, outcome: Outcome::Initiated };
                let id = match known {
                    // The mistake of a client: the id of another call.
                    Some((_, id)) if kind == 3 => Some(id),
                    _ if kind == 4 => None,
                    _ => CallId::new(&format!("call-{}", self.made)),
                };
                (call, id)
            }
        };
        let call = Call { outcome: self.outcome(), ..call };
        let context = self.context();
        let has_context = context.is_some();
        let event = Event::reported(call, Details { id: id.clone(), context });
        if !matches!(event, Event::Report(_)) || !record(world, node, &event, &call) {
            return;
        }
        world.counts.details += 1;
        self.named.extend(id.clone().map(|id| (call, id)));
        world.acknowledged.details.push(Acknowledged { call, id, has_context });
    }

    /// Reports a call by its id alone.
    fn update(&mut self, world: &mut World, node: usize) {
        let Some((call, id)) = self.named.get(self.random.below(self.named.len().max(1))).cloned() else { return };
        let (outcome, context) = (self.outcome(), self.context());
        let has_context = context.is_some();
        let environment = call.environment;
        let event = Event::Update(Box::new(Update { environment, id: id.clone(), from: None, outcome, context }));
        // The call that has the id at this node may be another one than the client meant.
        let held = world.service(node).known_call(environment, &id).expect("readable");
        let call =
            held.map_or(call, |held| Call { agent: held.agent, from: held.from, to: held.to, at: held.at, ..call });
        if record(world, node, &event, &call) {
            world.counts.updates += 1;
            world.acknowledged.details.push(Acknowledged { call, id: Some(id), has_context });
        }
    }

    fn erase(&mut self, world: &mut World, node: usize) {
        let Some((call, _)) = self.named.get(self.random.below(self.named.len().max(1))).cloned() else { return };
        let until = world.now_at(node);
        let erasure = Erasure { environment: call.environment, contact: call.to, until, is_ahead: false };
        world.counts.erasures += 1;
        world.record(node, Event::Erasure(erasure));
    }
}

/// Submits a report about this call. Returns whether it was acknowledged and its agent and its number are known. What the
/// history got from it is acknowledged, too.
fn record(world: &mut World, node: usize, event: &Event, call: &Call) -> bool {
    let service = world.service(node);
    let before = registers(&service, call.to);
    let did = service.record(vec![event.clone()]).expect("the store works").remove(0);
    match did {
        Ok(Applied::Ignored) | Err(ServiceError::CallNotFound) => return false,
        Err(ServiceError::CallIdReused) => {
            world.counts.reused += 1;
            return false;
        }
        Err(error) => panic!("there is room: {error}"),
        Ok(did) => {
            world.counts.uncounted += u64::from(did == Applied::Uncounted);
            world.say(format!("{node} records {event:?}: {did:?}"));
        }
    }
    let raised = registers(&service, call.to).into_iter().find(|(scope, held)| before.get(scope) != Some(held));
    if let Some((_, LastCall::Placed { at, outcome, .. })) = raised {
        let call = Call { at, outcome, ..*call };
        let number = service.plan().dialed(call.from).expect("the number is there").id();
        world.acknowledged.calls.push((call, number));
        world.acknowledged.events.push(Event::Call(call));
    }
    true
}

/// Returns what the history holds of a contact.
fn registers(service: &Service, contact: E164) -> BTreeMap<Scope, LastCall> {
    let mut registers = BTreeMap::new();
    service.history().for_each(|scope, to, register| {
        if to == contact {
            registers.insert(scope, register.read());
        }
    });
    registers
}

/// Checks that all nodes know the same calls with ids and contexts, that they lack none that was acknowledged, and that they
/// have none of an erased contact.
pub fn check(world: &World, when: &str) -> Result<(), String> {
    let held: Vec<_> = (0..world.nodes.len()).map(|node| known(world, node)).collect();
    for (node, known) in held.iter().enumerate() {
        has_none_erased(world, known).map_err(|why| format!("{node} {when}: {why}"))?;
    }
    // A conflict loses the calls of some agents and numbers.
    if world.counts.conflicts > 0 {
        return Ok(());
    }
    has_all(world, &held[0]).map_err(|why| format!("0 {when}: {why}"))?;
    let records = |node: usize| StoredCalls::calls(&world.nodes[node].store, &[], usize::MAX).expect("readable");
    let by_id = |node: usize| -> Vec<_> {
        let ids = world.acknowledged.details.iter().filter_map(|made| Some((made.call.environment, made.id.as_ref()?)));
        ids.map(|(environment, id)| world.service(node).known_call(environment, id).expect("readable")).collect()
    };
    for (node, place) in world.nodes.iter().enumerate().skip(1) {
        if !place.share.is_all() {
            let is_kept =
                |(_, call): &&(EnvironmentId, KnownCall)| place.share.takes(partition_of(call.from, PARTITIONS));
            let [own, all] = [node, 0].map(|node| held[node].iter().filter(is_kept).collect::<Vec<_>>());
            if own != all {
                return Err(format!("{node} knows {own:?} of its share and 0 knows {all:?}, {when}"));
            }
        } else if records(node) != records(0) || by_id(node) != by_id(0) {
            return Err(format!("{node} knows {:?} and 0 knows {:?}, {when}", held[node], held[0]));
        }
    }
    Ok(())
}

/// Returns the calls with an id or a context that a node knows of each contact.
fn known(world: &World, node: usize) -> Vec<(EnvironmentId, KnownCall)> {
    let details = &world.acknowledged.details;
    let contacts: BTreeSet<_> = details.iter().map(|made| (made.call.environment, made.call.to)).collect();
    let service = world.service(node);
    let of = |(environment, contact)| {
        let (calls, is_all) = service.known_calls(environment, contact, 1_000).expect("readable");
        assert!(is_all, "few calls");
        calls.into_iter().map(move |call| (environment, call))
    };
    contacts.into_iter().flat_map(of).collect()
}

fn is_erased(world: &World, environment: EnvironmentId, contact: E164, at: Timestamp) -> bool {
    world.acknowledged.events.iter().any(|event| match event {
        Event::Erasure(erasure) => {
            (erasure.environment, erasure.contact) == (environment, contact) && erasure.until >= at
        }
        _ => false,
    })
}

fn has_none_erased(world: &World, known: &[(EnvironmentId, KnownCall)]) -> Result<(), String> {
    match known.iter().find(|(environment, call)| is_erased(world, *environment, call.to, call.at)) {
        Some((_, call)) => Err(format!("a call of an erased contact is there: {call:?}")),
        None => Ok(()),
    }
}

/// Checks that the acknowledged ids and contexts are known, except where a pair or a call has more of them than it keeps, where
/// a part is erased, and where one id was given to several calls.
fn has_all(world: &World, known: &[(EnvironmentId, KnownCall)]) -> Result<(), String> {
    let mut pairs: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    let mut calls: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for made in &world.acknowledged.details {
        let Call { environment, agent, from, to, at, .. } = made.call;
        let call = (agent, made.id.clone(), made.id.is_none().then_some(at));
        pairs.entry((environment, from, to)).or_default().insert(call.clone());
        calls.entry((environment, call)).or_default().push(made);
    }
    let parties = |call: &Call| (call.from, call.to);
    for ((environment, (agent, id, _)), made) in &calls {
        let first = &made[0].call;
        let is_of_one = |made: &&Acknowledged| parties(&made.call) == parties(first);
        let has_one_agent = calls
            .keys()
            .all(|(held, (other, held_id, _))| (held, held_id) != (environment, id) || id.is_none() || other == agent);
        let dates: BTreeSet<_> = made.iter().map(|made| made.call.at).collect();
        let is_cut = pairs[&(*environment, first.from, first.to)].len() > UNCUT || dates.len() > DATES;
        let is_erased = dates.iter().any(|at| is_erased(world, *environment, first.to, *at));
        if !made.iter().all(is_of_one) || !has_one_agent || is_cut || is_erased {
            continue;
        }
        let is_it = |call: &KnownCall| match id {
            Some(id) => call.id.as_ref() == Some(id),
            None => dates.contains(&call.at),
        };
        let found = known.iter().find(|(held, call)| {
            (held, call.agent, call.from, call.to) == (environment, *agent, first.from, first.to) && is_it(call)
        });
        let must_have_context = made.iter().any(|made| made.has_context);
        match found {
            None => return Err(format!("an acknowledged call is not known: {first:?}, {id:?}")),
            Some((_, call)) if must_have_context && call.context.is_none() => {
                return Err(format!("an acknowledged context is not known: {first:?}, {id:?}"));
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// Returns the number of ids that nodes accepted for different calls.
pub fn shared_ids(world: &World) -> u64 {
    let mut calls: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for made in world.acknowledged.details.iter().filter(|made| made.id.is_some()) {
        let Call { environment, agent, from, to, .. } = made.call;
        calls.entry((environment, &made.id)).or_default().insert((agent, from, to));
    }
    calls.values().filter(|calls| calls.len() > 1).count() as u64
}
