//! Requests that give an environment one of two names. They change nothing where the node has that name already, and
//! are acknowledged all the same.

#![allow(unreachable_pub)]

use super::world::World;
use crate::support::random::Random;
use dialback::metrics::FleetState;
use dialback::{Change, Configuration, DialPlan, Lookback, ServiceError};

const NAMES: [&str; 2] = ["open", "closed"];

/// The random numbers of these requests, which are their own, so that a run without them is not another one.
pub struct Wishes(Random);

/// The answer to a change of the configuration, in the order in which the clients received them.
pub enum Answer {
    /// The change is in force, in the plan of this generation. Perhaps the plan had it before.
    Acknowledged(u64),
    /// These changes may be in force, now or later.
    Unknown(Vec<Change>),
}

impl Wishes {
    /// Returns the requests of a run, if it has some.
    pub fn of(seed: u64) -> Option<Self> {
        (seed % 4 == 2).then(|| Self(Random::new(seed, 3)))
    }

    /// Makes a request now and then, mostly at a node that can order it.
    pub fn act(mut self, world: &mut World) -> Self {
        let random = &mut self.0;
        if !random.is_one_in(12) {
            return self;
        }
        let is_any = random.is_one_in(4);
        let can = |state: FleetState| is_any || state == FleetState::Following;
        let nodes: Vec<usize> = (0..world.nodes.len()).filter(|node| world.state(*node).is_some_and(can)).collect();
        let (environment, name) = (random.below(2) as u128, NAMES[random.below(NAMES.len())]);
        if let Some(node) = nodes.get(random.below(nodes.len().max(1))) {
            ask(world, *node, environment, name);
        }
        self
    }
}

fn ask(world: &mut World, node: usize, which: u128, name: &str) {
    let Some(environment) = world.environment_of(node, which) else { return };
    let plan = world.service(node).plan();
    let is_named = plan.environment(environment).is_some_and(|environment| environment.name() == name);
    let lookback = Lookback::from_days(world.next_days());
    let change = Change::EnvironmentSet { name: name.into(), dial_plan: DialPlan::NONE, lookback };
    let changes: Vec<Change> = (!is_named).then_some(change).into_iter().collect();
    let (at, asked) = (world.now_at(node), changes.clone());
    let done = world.service(node).configure(environment, at, move |_| Ok(asked));
    world.say(format!("{node} names {which} {name}: {:?}", done.as_ref().map(|plan| plan.generation())));
    match done {
        Ok(plan) => {
            world.counts.confirmed += u64::from(is_named);
            if !is_named {
                world.acknowledged.configurations.push((plan.generation(), environment, changes));
            }
            world.acknowledged.answers.push(Answer::Acknowledged(plan.generation()));
        }
        Err(ServiceError::Superseded) => world.counts.superseded += 1,
        Err(ServiceError::StreamAway(_)) => world.counts.refused_away += 1,
        Err(ServiceError::OutcomeUnknown(_)) => {
            world.counts.unknown_outcomes += 1;
            world.acknowledged.answers.push(Answer::Unknown(changes));
        }
        Err(error) => panic!("{error}"),
    }
}

/// Checks that each acknowledged request was decided after everything that was acknowledged before it, and that nothing
/// whose outcome was unknown came into force later.
pub fn check(answers: &[Answer], configurations: &[Configuration]) -> Result<(), String> {
    let place = |changes: &[Change]| {
        let made = configurations.iter().find(|made| made.changes == changes);
        made.map_or(0, |made| made.sequence)
    };
    let mut newest = 0;
    for answer in answers {
        match answer {
            Answer::Acknowledged(generation) if *generation < newest => {
                return Err(format!("a request was acknowledged with configuration {generation}, after {newest}"));
            }
            Answer::Acknowledged(generation) => newest = *generation,
            Answer::Unknown(changes) => newest = newest.max(place(changes)),
        }
    }
    Ok(())
}
