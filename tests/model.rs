//! Random operations through the engine, and through a service that restarts in between: neither ever differs from the
//! naive model.
//!
//! How many cases: a case is up to 80 steps and, at its end, every question that the small universe has, twice. A thousand
//! of them come across every reason, every kind of change made and refused, and every answer to a call often enough (each is
//! asserted, so that silence means something), and take some ten seconds in a debug build. Two planted bugs (line 7 tried
//! before line 6; an erasure that a replayed call survives) were each found and shrunk within a
//! second.

use arbitrary::{Arbitrary, Unstructured};
use dialback::Engine;
use dialback::testing::driver::{Driver, Seen, Stored, Subject};
use dialback::testing::op::{Edit, Op, furnished};
use dialback::testing::universe::{Agent, Contact, Dialed, Moment, Tenant, Went};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::RefCell;
use std::sync::Arc;

const CASES: u32 = 1000;

/// Bytes behind one operation. Each has its own, so that a failing case shrinks by leaving operations out.
const OP_BYTES: usize = 24;

fn op() -> impl Strategy<Value = Op> {
    prop::array::uniform::<_, OP_BYTES>(any::<u8>()).prop_map(|bytes| {
        let op = Op::arbitrary(&mut Unstructured::new(&bytes));
        op.expect("bytes that run out read as zeros")
    })
}

/// A change of what a furnished world has.
fn edit() -> impl Strategy<Value = Op> {
    (0..2_u8, prop::array::uniform::<_, OP_BYTES>(any::<u8>())).prop_map(|(tenant, bytes)| {
        let edit = Edit::arbitrary(&mut Unstructured::new(&bytes));
        Op::Edit(Tenant(tenant), edit.expect("bytes that run out read as zeros"))
    })
}

/// A call that a furnished world knows, and a question about it: most of what is wholly random is about nothing.
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
        let first = if kind == 0 { Vec::new() } else { furnished() };
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
fn the_engine_never_differs_from_the_model() {
    assert_worth_something(&run(CASES, || Arc::new(Engine::new())));
}

#[test]
fn a_service_that_restarts_never_differs_from_the_model() {
    let seen = run(CASES, Stored::new);
    assert_worth_something(&seen);
    assert!(seen.restarts > u64::from(CASES), "{seen:?}");
}

/// A case that fails for certain: the model is right, the subject forgets what it is told.
#[test]
#[should_panic(expected = "Ignored")]
fn a_subject_that_forgets_is_found_out() {
    struct Forgetful(Arc<Engine>);
    impl Subject for Forgetful {
        fn apply(&mut self, events: &[dialback::Event]) -> Vec<Option<dialback::Applied>> {
            events.iter().map(|_| Some(dialback::Applied::Ignored)).collect()
        }
        fn engine(&self) -> Arc<Engine> {
            Arc::clone(&self.0)
        }
    }
    Driver::new(Forgetful(Arc::default())).run(&furnished());
}
