//! No decision mixes two plans.
//!
//! The configuration alternates between two under load. A decision made partly by one and partly by the other equals no
//! decision of either. The generation of a plan says which of the two it is: even or odd.

use dialback::{
    AgentId, Call, Caller, Change, Decision, DialPlan, Direction, E164, Engine, EnvironmentId, Event, Lookback,
    NumberId, Outcome, Reason, Route, Timestamp,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

const ENVIRONMENT: EnvironmentId = EnvironmentId::from_u128(1);
const NUMBER: NumberId = NumberId::from_u128(1);
const SOURCE: AgentId = AgentId::from_u128(1);
/// The callback agents of the even and of the odd configuration, and their default agents.
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

/// Returns the changes from the other configuration to this one. Each change alone leads to a decision that neither
/// configuration makes: a callback agent without the number, unpublished or without the source, or another default
/// agent.
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

/// Returns an engine with the even configuration.
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
    let _applied = engine.apply(&Event::Call(call)).expect("room");
    engine
}

/// Returns which configuration made the decision, or `None` if neither did.
fn maker(caller: Caller, decision: &Decision) -> Option<usize> {
    let which = usize::try_from(decision.generation % 2).expect("0 or 1");
    let expected = if caller == contact() {
        (Route::Callback(CALLBACK[which]), Reason::Matched)
    } else {
        (Route::Default(DEFAULT[which]), Reason::NoHistory)
    };
    ((decision.route, decision.reason) == expected).then_some(which)
}

/// Resolves calls with `ask` while the configuration alternates. Returns the first decision that neither configuration
/// makes, and whether decisions of both were seen.
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

/// Alternates the configuration `flips` times, and then until the watchers have seen both.
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
fn each_decision_belongs_to_one_configuration() {
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

/// Canaries: decisions that mix two plans must be detected.
mod planted {
    use super::*;

    #[test]
    fn decision_of_two_plans_is_detected() {
        let engine = engine();
        let (found, _) = flipping(&engine, FLIPS, |goes_on| {
            watch(goes_on, |caller| {
                let (one, mut two) = (engine.resolve(dialed(), caller, NOW), engine.resolve(dialed(), caller, NOW));
                two.generation = one.generation;
                vec![two]
            })
        });
        assert!(found.is_some());
    }

    /// Applies each subset of the changes. Each leads to a decision that neither configuration makes.
    #[test]
    fn partly_applied_configuration_is_detected() {
        for parts in 1..flip(1).len() {
            let engine = engine();
            let plan = engine.plan();
            let changes = flip(1).into_iter().take(parts).collect();
            engine.configure(ENVIRONMENT, NOW, changes).expect("valid");
            let mixed = [contact(), stranger()].map(|caller| maker(caller, &engine.resolve(dialed(), caller, NOW)));
            assert!(mixed.contains(&None), "{parts} of its changes give {mixed:?}");
            // The same holds for a decision of the old plan with the generation of the new one.
            let mut old = engine.resolve_on(&plan, dialed(), contact(), NOW);
            old.generation += 1;
            assert_eq!(maker(contact(), &old), None);
        }
    }
}
