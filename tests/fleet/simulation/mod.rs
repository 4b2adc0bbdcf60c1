//! A simulated fleet: three to seven real services over stores in memory, and a stream with faults, under a scheduler
//! of this test. One seed gives one run, which is the same each time.
//!
//! `DIALBACK_FLEET_SEEDS=100000` sets the number of seeds, and `DIALBACK_FLEET_FROM` the first one.
//! `scripts/fleet-simulation` runs these with an optimised library. `DIALBACK_FLEET_SEED=7` runs one seed and prints
//! its story.

mod announced;
mod details;
mod full;
mod hidden;
mod intruder;
mod ordering;
mod parts;
pub(crate) mod purged;
mod strays;
mod stream;
pub(crate) mod threads;
mod verdict;
mod wishes;
mod world;

use crate::support::{random, stream as conformance};
use dialback::fleet::Planted;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::thread;
use world::{Bug, Counts, World};

/// The number of random actions before the fleet comes to rest.
const ACTS: usize = 300;

fn run(seed: u64, bug: Option<Bug>) -> (Result<(), String>, Vec<String>, Counts) {
    let mut world = World::new(seed, bug);
    let judged = catch_unwind(AssertUnwindSafe(|| {
        for _ in 0..ACTS {
            world.act();
        }
        verdict::judge(&mut world)
    }));
    (judged.unwrap_or_else(|_| Err("a panic".into())), world.story, world.counts)
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// Runs the seeds on all processors until one fails. Returns the failed seed, or the sum of what happened in all of
/// them.
fn run_all(seeds: std::ops::Range<u64>, bug: Option<Bug>) -> Result<Counts, (u64, String, Vec<String>)> {
    let (next, end) = (Mutex::new(seeds.clone()), seeds.end);
    let found = Mutex::new(Ok(Counts::default()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some(seed) = next.lock().expect("no panic").next() else { return };
                    let (verdict, story, counts) = run(seed, bug);
                    let mut found = found.lock().expect("no panic");
                    match (verdict, &mut *found) {
                        (Ok(()), Ok(sum)) => *sum += counts,
                        (Err(why), Ok(_)) => {
                            *found = Err((seed, why, story));
                            *next.lock().expect("no panic") = end..end;
                        }
                        (_, Err(_)) => {}
                    }
                }
            });
        }
    });
    found.into_inner().expect("no panic")
}

#[test]
fn after_faults_all_nodes_hold_exactly_what_was_acknowledged() {
    if let Some(seed) = variable("DIALBACK_FLEET_SEED") {
        let (verdict, story, counts) = run(seed, None);
        println!("{}\n{counts:?}", story.join("\n"));
        verdict.expect("a good end");
        return;
    }
    let seeds = variable("DIALBACK_FLEET_SEEDS").unwrap_or(100);
    let from = variable("DIALBACK_FLEET_FROM").unwrap_or(0);
    let counts = match run_all(from..from + seeds, None) {
        Ok(counts) => counts,
        Err((seed, why, story)) => panic!("seed {seed}: {why}\n{}", story.join("\n")),
    };
    println!("{seeds} seeds: {counts:?}");
    // A run in which nothing happened would prove nothing.
    let Counts { calls, erasures, configurations, superseded, refused_away, unknown_outcomes, .. } = counts;
    let Counts { restarts, power_failures, partitions, rollbacks, recreations, truncations, joins, .. } = counts;
    let Counts { strays, forgeries, newer, deletions, purges, full, clock_jumps, confirmed, uncounted, .. } = counts;
    let Counts { details, updates, reused, shared_ids, .. } = counts;
    let happened = [calls, erasures, configurations, confirmed, superseded, refused_away, unknown_outcomes, uncounted];
    let befell = [restarts, power_failures, partitions, rollbacks, recreations, truncations, joins];
    let intruded = [strays, forgeries, newer, deletions, purges, full, clock_jumps];
    let named = [details, updates, reused, shared_ids];
    assert!(happened.iter().chain(&befell).chain(&intruded).chain(&named).all(|count| *count > 0), "{counts:?}");
}

#[test]
fn a_seed_gives_the_same_run_twice() {
    for seed in 0..5 {
        let (first, second) = (run(seed, None), run(seed, None));
        assert_eq!(first.1, second.1, "seed {seed}");
        assert_eq!((first.0, first.2), (second.0, second.2), "seed {seed}");
    }
}

#[test]
fn each_planted_bug_is_found() {
    // Some bugs show rarely. Their first seeds are below the ones that find them: 2,292, 47, 851, 30, 351 and 407.
    let bugs = [
        (Bug::NoOutbox, 0),
        (Bug::NoSync, 0),
        (Bug::AnyOrder, 0),
        (Bug::Node(Planted::NoRepublish), 0),
        (Bug::Node(Planted::ForgetsEarly), 2_280),
        (Bug::Node(Planted::NoWitness), 40),
        (Bug::Node(Planted::NoFence), 0),
        (Bug::Node(Planted::StrayBlocks), 840),
        (Bug::Node(Planted::TrustsAll), 0),
        (Bug::Node(Planted::SkipsNewer), 20),
        (Bug::Node(Planted::IgnoresLimit), 340),
        (Bug::Node(Planted::IgnoresNeed), 0),
        (Bug::Node(Planted::TrustsClocks), 400),
        (Bug::Node(Planted::IgnoresFull), 0),
        (Bug::Node(Planted::NoDetailsAgain), 0),
        (Bug::Node(Planted::DatesAnew), 0),
    ];
    let is_left_out =
        |bug: &Bug| std::env::var("DIALBACK_FLEET_BUG").is_ok_and(|name| !format!("{bug:?}").contains(&name));
    for (bug, from) in bugs {
        if is_left_out(&bug) {
            continue;
        }
        let (seed, why, _) = run_all(from..5_000, Some(bug)).expect_err("it is found");
        println!("{bug:?}: seed {seed}: {why}");
    }
}

/// The simulated stream must conform too, except for waiting and limits, which it does not have.
#[test]
fn without_faults_the_simulated_stream_conforms() {
    conformance::conforms_in(&["empty", "order", "expectations", "snapshots"], || {
        let server = stream::SimServer::new(random::Random::new(1, 0), 2);
        server.heal();
        Box::new(move || server.port(0))
    });
}
