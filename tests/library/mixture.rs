//! No decision mixes two plans.
//!
//! The configuration flips between two under load. They are such that a decision made partly by the one and partly by the other is one
//! that neither makes, and a plan's generation says which of the two it is: even and odd ones.

use dialback::{
    AgentId, Call, Caller, Change, Decision, DialPlan, Direction, E164, Engine, EnvironmentId, Event, Lookback,
    NumberId, Outcome, Reason, Route, Timestamp,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const ENVIRONMENT: EnvironmentId = EnvironmentId::from_u128(1);
const NUMBER: NumberId = NumberId::from_u128(1);
const SOURCE: AgentId = AgentId::from_u128(1);
/// The callback agent of the even and of the odd configurations, and who answers everybody else.
const CALLBACK: [AgentId; 2] = [AgentId::from_u128(2), AgentId::from_u128(3)];
const DEFAULT: [AgentId; 2] = [AgentId::from_u128(4), AgentId::from_u128(5)];
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const FLIPS: usize = 3_000;

fn e164(code: u64) -> E164 {
    E164::from_code(code).expect("a number")
}

fn dialed() -> E164 {
    e164(15_551_234_567)
}

fn contact() -> Caller {
    Caller::Number(e164(15_557_654_321))
}

fn stranger() -> Caller {
    Caller::Number(e164(15_550_000_000))
}

/// What turns the other configuration into this one. Each part of it alone gives a decision that neither makes: a callback agent without the
/// number, an unpublished one, one without the source, another default agent.
fn flip(to: usize) -> Vec<Change> {
    let (callback, other) = (CALLBACK[to], CALLBACK[1 - to]);
    let calling = |id, numbers: &[NumberId]| Change::CallingSet {
        id,
        direction: Direction::Inbound,
        numbers: Some(numbers.to_vec()),
    };
    vec![
        Change::CallbackRemoved { id: other },
        Change::CallbackSet { id: callback, sources: vec![SOURCE], outcomes: None, lookback: None },
        calling(other, &[]),
        calling(callback, &[NUMBER]),
        Change::AgentUnpublished { id: other },
        Change::AgentPublished { id: callback },
        Change::DefaultAgentSet { number: NUMBER, agent: Some(DEFAULT[to]) },
    ]
}

/// An engine in the even configuration.
fn engine() -> Engine {
    let engine = Engine::new();
    let create = |id, direction| Change::AgentCreated { id, name: "agent".into(), label: None, direction };
    let mut changes = vec![
        Change::EnvironmentSet { name: "ours".into(), dial_plan: DialPlan::NONE, lookback: Lookback::default() },
        Change::NumberAdded { id: NUMBER, number: dialed() },
        create(SOURCE, Direction::Outbound),
    ];
    for id in CALLBACK.into_iter().chain(DEFAULT) {
        changes.push(create(id, Direction::Inbound));
    }
    for id in DEFAULT {
        changes.push(Change::CallingSet { id, direction: Direction::Inbound, numbers: Some(vec![NUMBER]) });
        changes.push(Change::AgentPublished { id });
    }
    changes.push(Change::CallbackSet { id: CALLBACK[1], sources: vec![SOURCE], outcomes: None, lookback: None });
    engine.configure(ENVIRONMENT, NOW, changes).expect("valid");
    engine.configure(ENVIRONMENT, NOW, flip(0)).expect("valid");
    let Caller::Number(to) = contact() else { unreachable!("a number") };
    let call = Call { environment: ENVIRONMENT, agent: SOURCE, from: dialed(), to, at: NOW, outcome: Outcome::Busy };
    engine.apply(&Event::Call(call)).expect("room");
    engine
}

/// Which of the two configurations made the decision; `None` where neither did.
fn maker(caller: Caller, decision: &Decision) -> Option<usize> {
    let which = usize::try_from(decision.generation % 2).expect("0 or 1");
    let expected = if caller == contact() {
        (Route::Callback(CALLBACK[which]), Reason::Matched)
    } else {
        (Route::Default(DEFAULT[which]), Reason::NoHistory)
    };
    ((decision.route, decision.reason) == expected).then_some(which)
}

/// Asks in one of the ways there are, again and again while the configuration flips. The first decision that neither configuration
/// makes, if any; and whether those of both were seen.
fn watch(flipping: &AtomicBool, mut ask: impl FnMut(Caller) -> Vec<Decision>) -> (Option<Decision>, bool) {
    let mut seen = [false; 2];
    while flipping.load(Ordering::Relaxed) || seen != [true; 2] {
        for caller in [contact(), stranger()] {
            for decision in ask(caller) {
                match maker(caller, &decision) {
                    Some(which) => seen[which] = true,
                    None => return (Some(decision), seen == [true; 2]),
                }
            }
        }
    }
    (None, true)
}

/// Flips until all is done, then on until the watchers have seen both.
fn flipping<T>(engine: &Engine, flips: usize, watchers: impl FnOnce(&AtomicBool) -> T) -> T {
    let (goes_on, done) = (AtomicBool::new(true), AtomicBool::new(false));
    thread::scope(|threads| {
        threads.spawn(|| {
            let mut made = 0;
            while made < flips || !done.load(Ordering::Relaxed) {
                made += 1;
                engine.configure(ENVIRONMENT, NOW, flip(made % 2)).expect("valid");
                if made == flips {
                    goes_on.store(false, Ordering::Relaxed);
                }
            }
        });
        let found = watchers(&goes_on);
        done.store(true, Ordering::Relaxed);
        found
    })
}

#[test]
fn each_decision_is_made_by_one_configuration() {
    let engine = engine();
    let found = flipping(&engine, FLIPS, |goes_on| {
        thread::scope(|threads| {
            let plain = threads.spawn(|| watch(goes_on, |caller| vec![engine.resolve(dialed(), caller, NOW)]));
            let cached = threads.spawn(|| {
                let mut reader = engine.reader();
                watch(goes_on, |caller| vec![reader.resolve(dialed(), caller, NOW)])
            });
            let explained =
                threads.spawn(|| watch(goes_on, |caller| vec![engine.explain(dialed(), caller, NOW).decision]));
            let batches = threads.spawn(|| {
                watch(goes_on, |caller| {
                    let mut decisions = [engine.resolve(dialed(), caller, NOW); 40];
                    engine.resolve_batch(&[(dialed(), caller); 40], NOW, &mut decisions);
                    assert!(decisions.iter().all(|one| one.generation == decisions[0].generation), "one plan a batch");
                    decisions.to_vec()
                })
            });
            [plain, cached, explained, batches].map(|watcher| watcher.join().expect("no panic"))
        })
    });
    assert_eq!(found, [(None, true); 4]);
}

/// Decisions that read two plans must be found, or the test above finds nothing.
mod planted {
    use super::*;

    #[test]
    fn a_decision_of_two_plans_is_found() {
        let engine = engine();
        let (found, _) = flipping(&engine, FLIPS, |goes_on| {
            watch(goes_on, |caller| {
                let (one, two) = (engine.resolve(dialed(), caller, NOW), engine.resolve(dialed(), caller, NOW));
                vec![Decision { generation: one.generation, ..two }]
            })
        });
        assert!(found.is_some());
    }

    /// Every part of a configuration that is in force without the rest: each is a decision for somebody that neither makes.
    #[test]
    fn a_configuration_in_part_is_found() {
        for parts in 1..flip(1).len() {
            let engine = engine();
            let plan = engine.plan();
            let changes = flip(1).into_iter().take(parts).collect();
            engine.configure(ENVIRONMENT, NOW, changes).expect("valid");
            let mixed = [contact(), stranger()].map(|caller| maker(caller, &engine.resolve(dialed(), caller, NOW)));
            assert!(mixed.contains(&None), "{parts} of its changes give {mixed:?}");
            // As is the old plan's decision under the new one's name.
            let old = engine.resolve_on(&plan, dialed(), contact(), NOW);
            assert_eq!(maker(contact(), &Decision { generation: old.generation + 1, ..old }), None);
        }
    }
}
