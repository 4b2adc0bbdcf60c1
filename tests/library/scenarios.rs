//! Runs the scenarios of `tests/data` through the library.

use crate::support::scenarios::{files, run_each, run_wrong};
use dialback::Reason;
use dialback::testing::scenario::{EngineDoor, ServiceDoor, Step};
use std::collections::BTreeSet;

#[test]
fn each_scenario_holds_in_the_engine() {
    run_each(|_| true, EngineDoor::default);
}

#[test]
fn each_scenario_holds_in_a_restarting_service() {
    run_each(|_| true, ServiceDoor::new);
}

#[test]
fn scenarios_are_numerous_and_uniquely_named() {
    let files = files();
    let names: Vec<&str> =
        files.iter().flat_map(|(_, file)| &file.scenario).map(|scenario| scenario.name.as_str()).collect();
    println!("{} scenarios", names.len());
    assert!(names.len() >= 60, "{}", names.len());
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "each is named after a behaviour of its own");
}

/// Returns the reason of each question, with the pair of lines that its scenario distinguishes.
fn reasons() -> Vec<(Option<[u8; 2]>, Reason)> {
    let mut reasons = Vec::new();
    for (_, file) in files() {
        for scenario in &file.scenario {
            for step in file.steps(scenario) {
                if let Step::Route(route) = step {
                    let reason = route.reason.parse::<Reason>().expect("a reason");
                    reasons.push((scenario.pair, reason));
                }
            }
        }
    }
    reasons
}

#[test]
fn every_reason_occurs() {
    let seen: BTreeSet<Reason> = reasons().into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), Reason::ALL);
}

#[test]
fn each_pair_of_neighbouring_lines_has_scenarios_on_both_sides() {
    let reasons = reasons();
    for neighbours in Reason::ALL.windows(2) {
        let pair = [neighbours[0].line(), neighbours[1].line()];
        let told: BTreeSet<Reason> =
            reasons.iter().filter(|(of, _)| *of == Some(pair)).map(|(_, reason)| *reason).collect();
        assert!(neighbours.iter().all(|line| told.contains(line)), "{pair:?}: {told:?}");
    }
    for (pair, reason) in reasons.iter().filter_map(|(pair, reason)| Some(((*pair)?, reason))) {
        assert!(pair.contains(&reason.line()), "a scenario of {pair:?} asks what gives {reason}");
    }
}

/// Canary: the runner must be able to fail.
#[test]
#[should_panic(expected = "NO_HISTORY")]
fn failing_scenario_is_reported() {
    run_wrong(&mut EngineDoor::default());
}
