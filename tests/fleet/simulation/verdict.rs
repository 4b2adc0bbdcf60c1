//! The checks at the end of a run.

#![allow(unreachable_pub)]

use super::world::{Counts, Node, PARTITIONS, World};
use super::{details, wishes};
use dialback::fleet::{Share, partition_of};
use dialback::history::{LastCall, Register};
use dialback::metrics::FleetState;
use dialback::slot::Scope;
use dialback::{Call, Change, Configuration, E164, Engine, EnvironmentId, Event};
use std::collections::BTreeMap;

type Registers = BTreeMap<(Scope, E164), u64>;

/// The number of rounds after which all nodes must be at rest: about half an hour of simulated time.
const ROUNDS: usize = 400;

/// The number of rounds of ten seconds in which a snapshot must be written: its interval, a delay of up to a tenth, a
/// tenth more if another node has begun one and not written it, two heartbeats in which a node with a gap waits for one
/// without (in seed 53,938 all have one, and the stream is full), and a few rounds to read and write.
const UPKEEP_ROUNDS: usize = 18;

/// A limit on the size of the stream under which all nodes can publish what they hold.
const MORE: usize = 60_000;

/// Removes all faults and waits until the nodes are at rest. Returns the first violation that it finds.
pub fn judge(world: &mut World) -> Result<(), String> {
    world.server.heal();
    for node in 0..world.nodes.len() {
        if world.nodes[node].running.is_none() {
            world.start(node);
        }
    }
    if world.is_halting() {
        all_halt(world)?;
    }
    world.end_intrusion();
    world.repair_clocks();
    rest(world)?;
    // Nodes whose configuration conflicts with the stream's say so, and their operator gives them an empty disk.
    for node in 0..world.nodes.len() {
        if let Some(FleetState::Stopped(why)) = world.state(node) {
            world.counts.conflicts += 1;
            world.story.push(format!("{node} has a conflict: {why}"));
            let held = world.nodes[node].store.configurations();
            world.given_up.extend(held);
            world.wipe(node);
        }
    }
    let Counts { conflicts, rollbacks, recreations, purges, deletions, .. } = world.counts;
    let has_lost_nothing = rollbacks + recreations + purges + deletions == 0;
    if conflicts > 0 && has_lost_nothing {
        return Err("a conflict, although the stream has lost nothing".into());
    }
    rest(world)?;
    upkeep(world)?;
    rest(world)?;
    world.counts.shared_ids += details::shared_ids(world);
    compare(world, "in the end")?;
    if has_lost_nothing {
        wishes::check(&world.acknowledged.answers, &world.nodes[0].store.configurations())?;
    }
    for node in 0..world.nodes.len() {
        world.stop(node);
        world.start(node);
    }
    compare(world, "after a restart")
}

/// Checks that a snapshot is written and the stream truncated in the time that `snapshot_every` promises.
fn upkeep(world: &mut World) -> Result<(), String> {
    if world.nodes[0].store.configurations().is_empty() {
        return Ok(());
    }
    let (first, last) = (world.server.first(), world.server.last());
    for _ in 0..UPKEEP_ROUNDS {
        round(world, 10_000);
        // A snapshot of a full stream leaves the last message.
        let now = world.server.first();
        if now > first && now >= last {
            return Ok(());
        }
    }
    Err(format!("the stream still holds the messages up to {last}"))
}

/// Checks that no node passes a message that it cannot read and must not skip, and that it shows that it waits.
fn all_halt(world: &mut World) -> Result<(), String> {
    (0..60).for_each(|_| round(world, 500));
    let follows = |node: &usize| world.state(*node) == Some(FleetState::Following);
    match (0..world.nodes.len()).find(follows) {
        Some(node) => Err(format!("{node} follows the stream past a message of a newer version")),
        None => Ok(()),
    }
}

/// Lets some time pass, and each node do what it can.
fn round(world: &mut World, millis: u64) {
    world.pass(millis);
    for node in 0..world.nodes.len() {
        world.publish(node);
        while world.consume(node) {}
        world.keep(node);
    }
    (0..world.nodes.len()).for_each(|node| while world.consume(node) {});
}

fn rest(world: &mut World) -> Result<(), String> {
    for at in 0..ROUNDS {
        // Mostly they are at rest soon. Nodes that miss a snapshot which no node can write wait for long.
        round(world, if at < ROUNDS / 2 { 500 } else { 10_000 });
        if at > ROUNDS / 2 {
            raise_limit(world);
        }
        if (0..world.nodes.len()).all(|node| is_at_rest(world, node)) && are_complete(world) {
            return Ok(());
        }
    }
    let states: Vec<_> =
        (0..world.nodes.len()).map(|node| (world.state(node), world.nodes[node].store.waiting())).collect();
    Err(format!("the nodes did not come to rest: {states:?}, the stream ends at {}", world.server.last()))
}

/// Lets the operator raise the limit of a full stream, if each node that could make room has stopped.
fn raise_limit(world: &mut World) {
    let mut makers = (0..world.nodes.len()).filter(|node| world.nodes[*node].share.is_all());
    let is_full = |node| matches!(world.state(node), Some(FleetState::Full(_)));
    if makers.all(|node| has_stopped(world, node)) && (0..world.nodes.len()).any(is_full) {
        world.say("an operator raises the limit of the stream");
        world.server.hold_at_most(MORE);
    }
}

/// Returns whether no node lacks more than the one that lacks least and can give it to the others. A stopped node
/// neither gives nor gets.
fn are_complete(world: &World) -> bool {
    // Without a configuration there is nothing to give, and no snapshot.
    let has_nothing = world.nodes.iter().all(|node| node.store.configurations().is_empty());
    let takes_part = |node: &usize| !has_stopped(world, *node);
    let nodes = || (0..world.nodes.len()).filter(takes_part).map(|node| &world.nodes[node]);
    let gap = |node: &Node| node.running.as_ref().map(|running| running.link.gap());
    let least = nodes().filter(|node| node.share.is_all()).filter_map(gap).min();
    has_nothing || least.is_none() || nodes().all(|node| gap(node) <= least)
}

fn has_stopped(world: &World, node: usize) -> bool {
    matches!(world.state(node), Some(FleetState::Stopped(_)))
}

fn is_at_rest(world: &World, node: usize) -> bool {
    let Some(running) = &world.nodes[node].running else { return false };
    let metrics = running.link.metrics();
    matches!(metrics.state(), FleetState::Following | FleetState::Stopped(_))
        && metrics.position() == world.server.last()
        && world.nodes[node].store.waiting() == 0
        && !running.link.is_republishing()
}

fn compare(world: &World, when: &str) -> Result<(), String> {
    let configurations = world.nodes[0].store.configurations();
    let mut expected = expected(&configurations, world.acknowledged.events.iter());
    uncover(world, &configurations, &mut expected);
    // Only a conflict can excuse missing or additional registers.
    let mut lost = if world.counts.conflicts == 0 { Registers::new() } else { of_lost(world, &configurations) };
    lost.retain(|pair, register| expected.get(pair).is_some_and(|expected| expected <= register));
    let kept = |share: &Share| {
        let is_kept = |event: &&Event| match event {
            Event::Call(call) => share.takes(partition_of(call.from, PARTITIONS)),
            _ => true,
        };
        self::expected(&configurations, world.acknowledged.events.iter().filter(is_kept))
    };
    for (node, place) in world.nodes.iter().enumerate() {
        if place.store.configurations() != configurations {
            return Err(format!("{node} and 0 have different configurations {when}"));
        }
        let running = place.running.as_ref().expect("all run");
        if running.service.plan().generation() != configurations.len() as u64 {
            return Err(format!("{node} has a plan that differs from its store {when}"));
        }
        let mut held = registers(running.service.history());
        let kept = (!place.share.is_all()).then(|| kept(&place.share));
        let others = expected.keys().filter(|pair| kept.as_ref().is_some_and(|kept| !kept.contains_key(pair)));
        for pair in lost.keys().chain(others) {
            // For these pairs, a node may hold a lower register than expected, or none, but not a higher one.
            if held.get(pair) < expected.get(pair) {
                held.insert(*pair, expected[pair]);
            }
        }
        if held != expected {
            let missing: Vec<_> = expected.iter().filter(|(pair, register)| held.get(pair) != Some(register)).collect();
            let invented: Vec<_> =
                held.iter().filter(|(pair, register)| expected.get(pair) != Some(register)).collect();
            return Err(format!("{node} {when}: missing {missing:?}, instead {invented:?}"));
        }
    }
    details::check(world, when)?;
    // Acknowledged configurations exist, unless the stream lost one while its node was cut off. A node that has it has
    // then reported a conflict.
    for (sequence, environment, changes) in &world.acknowledged.configurations {
        let is_it = |held: &&Configuration| {
            (held.sequence, held.environment, &held.changes) == (*sequence, *environment, changes)
        };
        if !configurations.iter().chain(&world.given_up).any(|held| is_it(&held)) {
            return Err(format!("configuration {sequence} was acknowledged and is missing {when}"));
        }
    }
    Ok(())
}

/// Returns the registers that the acknowledged events lead to, in any order.
fn expected<'a>(configurations: &[Configuration], events: impl Iterator<Item = &'a Event>) -> Registers {
    registers(told(configurations, events).history())
}

/// Returns an engine that was told these configurations and events.
fn told<'a>(configurations: &[Configuration], events: impl Iterator<Item = &'a Event>) -> Engine {
    let engine = Engine::with_max_pairs(10_000);
    for configuration in configurations {
        let mut configuration = configuration.clone();
        // The node to which a call was reported has found that it counts, whatever the setting is now.
        configuration.changes.retain(|change| !matches!(change, Change::CountsFromSet { .. }));
        let _applied = engine.apply(&Event::Configuration(configuration)).expect("it followed before");
    }
    for event in events {
        let _applied = engine.apply(event).expect("there is room");
    }
    engine
}

/// Returns the registers of calls that a lost configuration took along.
///
/// These calls were acknowledged, but their agent or their number was created by a configuration that the fleet lost. A
/// node that held such a call publishes nothing older of its pair. For a lost agent, the call counts as if another
/// agent of its environment had made it. For a lost number, other nodes accepted the calls only after the number was
/// added again, with another identity.
fn of_lost(world: &World, configurations: &[Configuration]) -> Registers {
    let changes =
        || configurations.iter().flat_map(|made| made.changes.iter().map(|change| (made.environment, change)));
    let created = |(environment, change): (EnvironmentId, &Change)| match change {
        Change::AgentCreated { id, .. } => Some((environment, *id)),
        _ => None,
    };
    let added = |(_, change): (EnvironmentId, &Change)| match change {
        Change::NumberAdded { id, .. } => Some(*id),
        _ => None,
    };
    let agents: Vec<_> = changes().filter_map(created).collect();
    let numbers: Vec<_> = changes().filter_map(added).collect();
    let there = |call: &Call| agents.contains(&(call.environment, call.agent));
    let lost = world.acknowledged.calls.iter().filter(|(call, number)| !there(call) || !numbers.contains(number));
    let counted = lost.filter_map(|(call, _)| {
        let other = || agents.iter().find(|(environment, _)| *environment == call.environment).map(|(_, agent)| *agent);
        let agent = if there(call) { Some(call.agent) } else { other() };
        Some(Event::Call(Call { agent: agent?, ..*call }))
    });
    expected(configurations, counted.collect::<Vec<_>>().iter())
}

/// Expects the calls with an id or a context that a lost configuration has uncovered.
///
/// The history of their node held a newer call then, so they are not among what the histories got. The newer one was lost with
/// its agent or its number. Which of several the nodes have is what the first node says: all of them must have the same.
fn uncover(world: &World, configurations: &[Configuration], expected: &mut Registers) {
    if world.counts.conflicts == 0 {
        return;
    }
    let service = world.service(0);
    let call_of = |register: Register| match register.read() {
        LastCall::Placed { at, source, .. } => Some((at, source)),
        LastCall::Erased { .. } => None,
    };
    for made in &world.acknowledged.details {
        told(configurations, [&Event::Call(made.call)].into_iter()).history().for_each(|scope, to, register| {
            let Some(held) = service.history().get(scope, to) else { return };
            if call_of(held) == call_of(register) && expected.get(&(scope, to)) < Some(&held.bits()) {
                expected.insert((scope, to), held.bits());
            }
        });
    }
}

/// Returns every pair with a call.
fn registers(history: &dialback::History) -> Registers {
    let mut registers = Registers::new();
    history.for_each(|scope, contact, register| {
        if matches!(register.read(), LastCall::Placed { .. }) {
            registers.insert((scope, contact), register.bits());
        }
    });
    registers
}
