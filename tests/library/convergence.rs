//! Calls and erasures of one contact converge in any order and with any repetition.
//!
//! A call of an unknown agent or number is not kept, so each test configures the agents and numbers first.

use dialback::{
    AgentId, Call, Caller, Change, Configuration, Decision, DialPlan, Direction, E164, Engine, EnvironmentId, Erasure,
    Event, Lookback, NumberId, Outcome, Timestamp,
};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::LazyLock;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const ENVIRONMENT: EnvironmentId = EnvironmentId::from_u128(1);
const DAY: u64 = 86_400_000;

fn dialed() -> E164 {
    E164::from_digits("15550100").expect("digits")
}

fn contact() -> E164 {
    E164::from_digits("4930123456").expect("digits")
}

fn source(agent: u128) -> AgentId {
    AgentId::from_u128(0x100 + agent)
}

/// Returns three source agents, each with its own callback agent, so that the decision reveals which call was the
/// last.
fn setup() -> Configuration {
    let id = NumberId::from_u128(1);
    let mut changes = vec![
        Change::EnvironmentSet { name: "acme".into(), dial_plan: DialPlan::NONE, lookback: Lookback::default() },
        Change::NumberAdded { id, number: dialed() },
    ];
    for agent in 0..3 {
        let callback = AgentId::from_u128(0x200 + agent);
        for (id, direction) in [(source(agent), Direction::Outbound), (callback, Direction::Inbound)] {
            let numbers = Some(vec![NumberId::from_u128(1)]);
            changes.push(Change::AgentCreated { id, name: "agent".into(), label: None, direction });
            changes.push(Change::CallingSet { id, direction, numbers });
            changes.push(Change::AgentPublished { id });
        }
        let sources = vec![source(agent)];
        changes.push(Change::CallbackSet { id: callback, sources, outcomes: None, lookback: None });
    }
    Configuration::new(1, ENVIRONMENT, NOW, changes)
}

fn engine() -> Engine {
    static FURNITURE: LazyLock<Event> = LazyLock::new(|| Event::Configuration(setup()));
    let engine = Engine::new();
    let _applied = engine.apply(&FURNITURE).expect("it is valid");
    engine
}

fn call(days_ago: u64, agent: u128, outcome: Outcome) -> Event {
    call_at(Timestamp::from_millis(NOW.millis() - days_ago * DAY), agent, outcome)
}

fn call_at(at: Timestamp, agent: u128, outcome: Outcome) -> Event {
    let (from, to) = (dialed(), contact());
    Event::Call(Call { environment: ENVIRONMENT, agent: source(agent), from, to, at, outcome })
}

fn erasure(days_ago: u64) -> Event {
    let until = Timestamp::from_millis(NOW.millis() - days_ago * DAY);
    Event::Erasure(Erasure { environment: ENVIRONMENT, contact: contact(), until, is_ahead: false })
}

/// Returns the decisions about the pair: now, after the last call has expired, and after a later call.
fn outlook(engine: &Engine, contact: E164) -> Vec<Decision> {
    let ask = |at| engine.resolve(dialed(), Caller::Number(contact), at);
    [NOW, NOW.plus_millis(25 * DAY), NOW.plus_millis(60 * DAY)].map(ask).to_vec()
}

fn after(events: &[Event]) -> Vec<Decision> {
    after_in(&engine(), contact(), events)
}

/// Returns what `after` returns, from an engine that others use too. `another` is a contact that it has not seen.
fn after_in(engine: &Engine, another: E164, events: &[Event]) -> Vec<Decision> {
    for event in events {
        let mut event = event.clone();
        match &mut event {
            Event::Call(call) => call.to = another,
            Event::Erasure(erasure) => erasure.contact = another,
            _ => unreachable!("only calls and erasures are permuted"),
        }
        let _applied = engine.apply(&event).expect("there is room");
    }
    outlook(engine, another)
}

fn for_each_permutation(events: &mut [Event], fixed: usize, see: &mut impl FnMut(&[Event])) {
    if fixed == events.len() {
        return see(events);
    }
    for next in fixed..events.len() {
        events.swap(fixed, next);
        for_each_permutation(events, fixed + 1, see);
        events.swap(fixed, next);
    }
}

/// Returns sets of up to seven events that interact: calls at one time, statuses of one call, erasures before, at and
/// after calls.
fn tangles() -> Vec<Vec<Event>> {
    use Outcome::{Answered, Busy, Completed, Initiated, NoAnswer, Ringing, Voicemail};
    vec![
        vec![call(3, 0, Busy)],
        vec![call(3, 0, Busy), erasure(3)],
        vec![call(3, 0, Busy), erasure(3), call(3, 0, Voicemail)],
        vec![call(3, 0, Initiated), call(3, 0, Ringing), call(3, 0, Answered), call(3, 0, Completed)],
        vec![call(3, 0, Busy), call(3, 1, Busy), call(3, 2, Busy), call(3, 0, NoAnswer), call(2, 1, Initiated)],
        vec![call(5, 0, Busy), call(4, 1, Busy), erasure(4), call(3, 2, Ringing), call(3, 2, Completed), erasure(9)],
        vec![
            call(6, 0, Busy),
            call(5, 1, Busy),
            call(4, 2, Busy),
            erasure(5),
            erasure(3),
            call(3, 1, Voicemail),
            call(2, 0, Initiated),
        ],
        vec![
            call(1, 0, Initiated),
            call(1, 0, Busy),
            call(1, 1, Busy),
            call(1, 2, Initiated),
            erasure(1),
            erasure(2),
            call(2, 2, Voicemail),
        ],
        vec![
            call_at(NOW.plus_millis(DAY), 0, Initiated),
            call(0, 1, Busy),
            erasure(0),
            call_at(Timestamp::EARLIEST, 0, Initiated),
            call_at(Timestamp::from_millis(0), 0, Busy),
            call(40, 2, Busy),
            call(0, 1, Completed),
        ],
    ]
}

#[test]
fn permutations_of_up_to_seven_events_give_one_state() {
    let mut seen = BTreeSet::new();
    let mut permutations = 0;
    for mut events in tangles() {
        assert!(events.len() <= 7);
        let expected = after(&events);
        seen.insert(expected[0].reason);
        let engine = engine();
        for_each_permutation(&mut events, 0, &mut |events| {
            permutations += 1;
            let another = E164::from_digits(&format!("4930{permutations:07}")).expect("digits");
            assert_eq!(after_in(&engine, another, events), expected, "{events:?}");
        });
    }
    assert_eq!(permutations, 1 + 2 + 6 + 24 + 120 + 720 + 3 * 5040);
    assert!(seen.len() > 1, "some of them erase everything and some do not: {seen:?}");
}

fn any_event() -> impl Strategy<Value = Event> {
    let call =
        (0..9_u64, 0..3_u128, 0..8_u64).prop_map(|(days, agent, rank)| call(days, agent, Outcome::from_rank(rank)));
    prop_oneof![4 => call, 1 => (0..9_u64).prop_map(erasure)]
}

proptest! {
    // Each case compares a few dozen events in two orders. Five hundred cases take about a second.
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn shuffled_and_repeated_events_come_to_the_same(
        (events, shuffled) in prop::collection::vec(any_event(), 0..40).prop_flat_map(|events| {
            let twice: Vec<Event> = events.iter().chain(&events).cloned().collect();
            (Just(events), Just(twice).prop_shuffle())
        }),
    ) {
        prop_assert_eq!(after(&events), after(&shuffled));
    }
}

#[test]
fn repeated_event_changes_nothing() {
    for events in tangles() {
        let engine = engine();
        for event in &events {
            let _applied = engine.apply(event).expect("there is room");
            let before = outlook(&engine, contact());
            let pairs = engine.history().len();
            let _applied = engine.apply(event).expect("there is room");
            assert_eq!((outlook(&engine, contact()), engine.history().len()), (before, pairs), "{event:?}");
        }
    }
}
