//! Runs random operations on the engine, and on a service that restarts in between. Neither may differ from the
//! simple model.
//!
//! A case has up to 80 steps and ends with all possible questions, asked twice. A thousand cases exercise each
//! reason, each kind of accepted and rejected change, and each result of a call; the test asserts that. They take
//! about ten seconds in a debug build. Two planted bugs (line 7 before line 6; an erasure that a repeated call
//! survives) were each found and shrunk within a second.

use arbitrary::{Arbitrary, Unstructured};
use dialback::Engine;
use dialback::testing::driver::{Driver, Seen, Stored, Subject};
use dialback::testing::op::{Edit, Op, initial_state};
use dialback::testing::universe::{Agent, Contact, Dialed, Moment, Tenant, Went};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::RefCell;
use std::sync::Arc;

const CASES: u32 = 1000;
/// Each of these creates a new engine at each restart.
const RESTARTING_CASES: u32 = 300;

/// The number of random bytes for one operation. Each operation has its own bytes, so that a failing case shrinks by
/// leaving operations out.
const OP_BYTES: usize = 24;

fn op() -> impl Strategy<Value = Op> {
    prop::array::uniform::<_, OP_BYTES>(any::<u8>()).prop_map(|bytes| {
        let op = Op::arbitrary(&mut Unstructured::new(&bytes));
        op.expect("bytes that run out read as zeros")
    })
}

/// A change of entities that the initial state has.
fn edit() -> impl Strategy<Value = Op> {
    (0..2_u8, prop::array::uniform::<_, OP_BYTES>(any::<u8>())).prop_map(|(tenant, bytes)| {
        let edit = Edit::arbitrary(&mut Unstructured::new(&bytes));
        Op::Edit(Tenant(tenant), edit.expect("bytes that run out read as zeros"))
    })
}

/// A call of entities that the initial state has, and a question about it. Most fully random calls and questions
/// refer to nothing.
fn call_and_query() -> impl Strategy<Value = Vec<Op>> {
    let names = (0..2_u8, 0..3_u8, 0..2_u8, 0..3_u8);
    (names, 0..11_u8, 0..8_u8, 0..11_u8).prop_map(|((tenant, agent, number, contact), at, went, asked)| {
        let number = tenant * 3 + number;
        vec![
            Op::Call {
                tenant: Tenant(tenant),
                agent: Agent(agent),
                from: Dialed(number),
                to: Contact(contact),
                at: Moment(at),
                went: Went(went),
            },
            Op::Query { dialed: number, caller: contact, at: Moment(asked) },
        ]
    })
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let steps =
        prop_oneof![2 => op().prop_map(|op| vec![op]), 1 => edit().prop_map(|op| vec![op]), 1 => call_and_query()];
    (0..4_u8, prop::collection::vec(steps, 0..80)).prop_map(|(kind, steps)| {
        let first = if kind == 0 { Vec::new() } else { initial_state() };
        first.into_iter().chain(steps.into_iter().flatten()).collect()
    })
}

fn run<S: Subject>(cases: u32, subject: impl Fn() -> S) -> Seen {
    let seen = RefCell::new(Seen::default());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let cases = TestRunner::new(config).run(&ops(), |ops| {
        let of_case = Driver::new(subject()).run(&ops);
        seen.borrow_mut().add(&of_case);
        Ok(())
    });
    if let Err(error) = cases {
        panic!("{error}");
    }
    seen.into_inner()
}

fn assert_worth_something(seen: &Seen) {
    println!("{seen:?}");
    for (line, count) in seen.reasons.iter().enumerate() {
        assert!(*count > 100, "line {} decided {count} times: {seen:?}", line + 1);
    }
    for (kind, [made, refused]) in seen.edits.iter().enumerate() {
        assert!(*made > 0 && *refused > 0, "edit {kind} was made {made} times and refused {refused}: {seen:?}");
    }
    assert_eq!(seen.edits.len(), Edit::KINDS);
    assert!(seen.erased_pairs > 10, "{seen:?}");
    assert!(seen.calls.iter().all(|count| *count > 10), "{seen:?}");
}

#[test]
fn engine_agrees_with_the_model() {
    assert_worth_something(&run(CASES, || Arc::new(Engine::new())));
}

#[test]
fn restarting_service_agrees_with_the_model() {
    let seen = run(RESTARTING_CASES, Stored::new);
    assert_worth_something(&seen);
    assert!(seen.restarts > u64::from(RESTARTING_CASES), "{seen:?}");
}

/// Canary: the subject forgets events, so the run must fail.
#[test]
#[should_panic(expected = "Ignored")]
fn forgetful_subject_is_detected() {
    struct Forgetful(Arc<Engine>);
    impl Subject for Forgetful {
        fn apply(&mut self, events: &[dialback::Event]) -> Vec<Option<dialback::Applied>> {
            events.iter().map(|_| Some(dialback::Applied::Ignored)).collect()
        }
        fn engine(&self) -> Arc<Engine> {
            Arc::clone(&self.0)
        }
    }
    Driver::new(Forgetful(Arc::default())).run(&initial_state());
}
