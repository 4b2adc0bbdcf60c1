//! A copy of an environment, made by a document from an empty plan, decides each call as the original does.

use dialback::declaration::{Declaration, Pieces, Wish};
use dialback::{
    AgentId, Caller, Change, DialPlan, Direction, E164, Engine, EnvironmentId, Event, Lookback, NumberId, Outcome,
    OutcomeSet, Plan, Reason, Route, SourceCall, Timestamp,
};
use proptest::prelude::*;
use std::cell::Cell;
use uuid::Uuid;

const OURS: EnvironmentId = EnvironmentId::from_u128(1);
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
/// The first agents place calls, the others answer them.
const SOURCES: u8 = 3;
const AGENTS: u8 = 8;
const NUMBERS: u8 = 3;
/// The numbers. The dial plans of regions refuse the second, and read the third as other digits.
const DIALED: [&str; NUMBERS as usize] = ["+12125550100", "+1212555", "+4402012345678"];
/// The dial plans: of a region, or without one.
const REGIONS: [Option<&str>; 3] = [None, Some("US"), Some("GB")];
/// Names that agents share, that look like an id or a setting, and that JSON writes otherwise.
const NAMES: [&str; 4] = ["Twin", "auto", "00000000-0000-0000-0000-000000000064", "\"\\\u{1}"];
/// The statuses of the calls. Roles accept different ones.
const OUTCOMES: [Outcome; 3] = [Outcome::NoAnswer, Outcome::Busy, Outcome::Answered];
/// The ages of the calls in days. Roles have different look-backs.
const AGES: [u32; 2] = [1, 8];

/// A change as the control API makes it. An impossible one is left out.
#[derive(Clone, Debug)]
enum Act {
    Assign(u8, Vec<u8>),
    Role(u8, Vec<u8>, Option<u8>, Option<u8>),
    RemoveRole(u8),
    Publish(u8, bool),
    Default(u8, Option<u8>, bool),
    Delete(u8),
    Plan(Option<&'static str>),
    Name(u8, &'static str),
}

fn act() -> impl Strategy<Value = Act> {
    let inbound = || SOURCES..AGENTS;
    let some =
        |count: u8| prop::sample::subsequence((0..count).collect::<Vec<_>>(), 0..=usize::from(count)).prop_shuffle();
    let role = (inbound(), some(SOURCES), prop::option::of(1..8_u8), prop::option::of(1..15_u8));
    prop_oneof![
        6 => (0..AGENTS, some(NUMBERS)).prop_map(|(agent, numbers)| Act::Assign(agent, numbers)),
        6 => role.prop_map(|(agent, sources, outcomes, days)| Act::Role(agent, sources, outcomes, days)),
        1 => inbound().prop_map(Act::RemoveRole),
        2 => (inbound(), any::<bool>()).prop_map(|(agent, is)| Act::Publish(agent, is)),
        1 => (0..NUMBERS, prop::option::of(inbound()), any::<bool>())
            .prop_map(|(number, agent, nobody)| Act::Default(number, agent, nobody)),
        1 => (0..AGENTS).prop_map(Act::Delete),
        1 => prop::sample::select(&REGIONS[..]).prop_map(Act::Plan),
        1 => (0..AGENTS, prop::sample::select(&NAMES[..])).prop_map(|(agent, name)| Act::Name(agent, name)),
    ]
}

fn id(agent: u8) -> AgentId {
    AgentId::from_u128(100 + u128::from(agent))
}

fn number_id(number: u8) -> NumberId {
    NumberId::from_u128(200 + u128::from(number))
}

fn e164(text: &str) -> E164 {
    E164::parse_international(text).expect("a number")
}

fn dialed(number: u8) -> E164 {
    e164(DIALED[usize::from(number)])
}

/// The contact of the call from this number by this source with this status and age.
fn contact(number: u8, source: u8, outcome: usize, age: usize) -> E164 {
    e164(&format!("+1646555{number}{source}{outcome}{age}"))
}

fn change(act: &Act) -> Vec<Change> {
    match act {
        Act::Assign(agent, numbers) => {
            vec![Change::NumbersAssigned { id: id(*agent), numbers: numbers.iter().copied().map(number_id).collect() }]
        }
        Act::Role(agent, sources, outcomes, days) => vec![Change::CallbackSet {
            id: id(*agent),
            sources: sources.iter().copied().map(id).collect(),
            outcomes: outcomes.map(|mask| -> OutcomeSet {
                OUTCOMES.into_iter().enumerate().filter(|(bit, _)| mask >> bit & 1 == 1).map(|(_, one)| one).collect()
            }),
            lookback: days.map(|days| Lookback::from_days(days.into())),
        }],
        Act::RemoveRole(agent) => vec![Change::CallbackRemoved { id: id(*agent) }],
        Act::Publish(agent, true) => vec![Change::AgentPublished { id: id(*agent) }],
        Act::Publish(agent, false) => vec![Change::AgentUnpublished { id: id(*agent) }],
        Act::Default(number, _, true) => vec![Change::DefaultAgentRemoved { number: number_id(*number) }],
        Act::Default(number, agent, false) => {
            vec![Change::DefaultAgentSet { number: number_id(*number), agent: agent.map(id) }]
        }
        Act::Delete(agent) => {
            let id = id(*agent);
            let again = agent_created(*agent);
            vec![Change::AgentUnpublished { id }, Change::AgentDeleted { id }, again, Change::AgentPublished { id }]
        }
        Act::Name(agent, name) => {
            vec![Change::AgentRenamed { id: id(*agent), name: (*name).into(), label: Some((*name).into()) }]
        }
        Act::Plan(region) => {
            let dial_plan = region.map_or(DialPlan::NONE, |region| DialPlan::of_region(region).expect("a region"));
            vec![Change::EnvironmentSet { name: "Ours".into(), dial_plan, lookback: Lookback::default() }]
        }
    }
}

fn agent_created(agent: u8) -> Change {
    let direction = if agent < SOURCES { Direction::Outbound } else { Direction::Inbound };
    Change::AgentCreated { id: id(agent), name: format!("Agent {agent}"), label: None, direction }
}

fn created() -> Vec<Change> {
    let set = Change::EnvironmentSet { name: "Ours".into(), dial_plan: DialPlan::NONE, lookback: Lookback::default() };
    let numbers = (0..NUMBERS).map(|number| Change::NumberAdded { id: number_id(number), number: dialed(number) });
    let agents = (0..AGENTS).flat_map(|agent| [agent_created(agent), Change::AgentPublished { id: id(agent) }]);
    [set].into_iter().chain(numbers).chain(agents).collect()
}

/// Returns an engine with the configuration, and with a call by each source from each number, of each status and age.
fn engine(configurations: impl IntoIterator<Item = Vec<Change>>) -> Engine {
    let engine = Engine::with_max_pairs(1000);
    for changes in configurations {
        // Some changes are impossible, as in the control API.
        let _ = engine.configure(OURS, NOW, changes);
    }
    for (number, source, outcome, age) in calls() {
        let call = dialback::Call {
            environment: OURS,
            agent: id(source),
            from: dialed(number),
            to: contact(number, source, outcome, age),
            at: Timestamp::from_millis(NOW.millis() - u64::from(AGES[age]) * 86_400_000),
            outcome: OUTCOMES[outcome],
        };
        let _ = engine.apply(&Event::Call(call)).expect("room");
    }
    engine
}

fn calls() -> impl Iterator<Item = (u8, u8, usize, usize)> {
    let of_source = |number, source| {
        (0..OUTCOMES.len()).flat_map(move |outcome| (0..AGES.len()).map(move |age| (number, source, outcome, age)))
    };
    (0..NUMBERS).flat_map(move |number| (0..SOURCES).flat_map(move |source| of_source(number, source)))
}

/// Returns the decisions for each number and each contact, and for a withheld caller.
fn decisions(engine: &Engine) -> Vec<(Route, Reason, Option<SourceCall>)> {
    let callers: Vec<_> = calls()
        .map(|(number, source, outcome, age)| Caller::Number(contact(number, source, outcome, age)))
        .chain([Caller::Withheld])
        .collect();
    let of = |number| callers.iter().map(move |caller| engine.resolve(dialed(number), *caller, NOW));
    (0..NUMBERS).flat_map(of).map(|decision| (decision.route, decision.reason, decision.call)).collect()
}

fn document(engine: &Engine) -> Declaration {
    Declaration::of(engine.plan().environment(OURS).expect("it is there"))
}

/// Returns the document as a file holds it.
fn written(engine: &Engine) -> Declaration {
    let text = serde_json::to_string(&document(engine)).expect("JSON");
    serde_json::from_str(&text).expect("a document")
}

/// Returns the document from its pieces, each of which has this many bytes or one entry more.
fn from_pieces(engine: &Engine, bytes: usize) -> Declaration {
    let mut pieces = Pieces::new(engine.plan(), OURS).expect("it is there");
    let (mut text, mut is_end) = (Vec::new(), false);
    while !is_end {
        let mut piece = Vec::new();
        is_end = pieces.write(&mut piece, bytes);
        assert!(piece.len() < bytes + 512, "{}", piece.len());
        text.extend_from_slice(&piece);
    }
    serde_json::from_slice(&text).expect("a document")
}

fn no_id() -> Uuid {
    panic!("the document has all ids")
}

fn copy(document: &Declaration) -> Engine {
    let compared = document.create(&Plan::new(), OURS, NOW, &mut no_id).expect("possible");
    engine([compared.changes])
}

fn original(acts: &[Act]) -> Engine {
    engine([created()].into_iter().chain(acts.iter().map(change)))
}

#[test]
fn copy_decides_each_call_as_the_original_does() {
    let (own_order, shared) = (Cell::new(0), Cell::new(0));
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    let acts = prop::collection::vec(act(), 0..60);
    let run = proptest::test_runner::TestRunner::new(config).run(&acts, |acts| {
        let first = original(&acts);
        let document = written(&first);
        prop_assert_eq!(&document, &self::document(&first));
        for bytes in [1, 700, usize::MAX / 2] {
            prop_assert_eq!(&from_pieces(&first, bytes), &document);
        }
        own_order.set(own_order.get() + usize::from(document.numbers.iter().any(|number| !number.order.is_empty())));
        let plan = first.plan();
        let sources = plan.environment(OURS).expect("it is there").agents();
        shared.set(shared.get() + usize::from(sources.into_iter().any(|agent| agent.callback_agents().len() > 1)));

        let again = document.compare(&plan, OURS, Wish { prune: true, at: NOW }, &mut no_id).expect("possible");
        prop_assert!(again.changes.is_empty() && again.steps.is_empty(), "{:?}", again.changes);
        let second = copy(&document);
        prop_assert_eq!(decisions(&second), decisions(&first));
        prop_assert_eq!(written(&second), document);
        Ok(())
    });
    if let Err(failure) = run {
        panic!("{failure}");
    }
    assert!(own_order.get() > 40 && shared.get() > 200, "{own_order:?} {shared:?}");
}

/// The document of another environment with the same entities makes this one decide like that one.
#[test]
fn document_brings_its_order_to_an_environment_with_another_one() {
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    let acts = || prop::collection::vec(act(), 0..40);
    proptest!(config, |(one in acts(), other in acts())| {
        let (first, second) = (original(&one), original(&other));
        let document = written(&first);
        let compared = document.compare(&second.plan(), OURS, Wish { prune: true, at: NOW }, &mut no_id).expect("possible");
        second.configure(OURS, NOW, compared.changes).expect("possible");
        prop_assert_eq!(decisions(&second), decisions(&first));
        let again = document.compare(&second.plan(), OURS, Wish { prune: true, at: NOW }, &mut no_id).expect("possible");
        prop_assert!(again.changes.is_empty() && again.steps.is_empty(), "{:?}", again.changes);
    });
}
