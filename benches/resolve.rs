//! The cost of a decision: `cargo bench --bench resolve`.
//!
//! The plan has 1,000 numbers, 10 source agents and 10 callback agents. The history has 100,000 pairs, asked in
//! random order. The bare map at the end holds the same pairs: it is the lower limit for any design based on a map.

use ahash::RandomState;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use dashmap::DashMap;
use dialback::{
    AgentId, Call, Caller, Change, DialPlan, Direction, E164, Engine, EnvironmentId, Event, Lookback, NumberId,
    Outcome, Timestamp,
};
use std::hint::black_box;
const ENVIRONMENT: EnvironmentId = EnvironmentId::from_u128(1);
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const NUMBERS: u64 = 1_000;
const AGENTS: usize = 10;
const PAIRS: u64 = 100_000;

fn e164(code: u64) -> E164 {
    E164::from_code(code).expect("a number")
}

fn number(index: u64) -> E164 {
    e164(15_550_000_000 + index % NUMBERS)
}

fn contact(index: u64) -> E164 {
    e164(447_700_900_000 + index)
}

fn source(index: u64) -> AgentId {
    AgentId::from_u128(u128::from(1_000 + index % AGENTS as u64))
}

fn callback_agent(index: u64) -> AgentId {
    AgentId::from_u128(u128::from(2_000 + index % AGENTS as u64))
}

fn engine() -> Engine {
    let engine = Engine::new();
    let environment =
        Change::EnvironmentSet { name: "bench".into(), dial_plan: DialPlan::NONE, lookback: Lookback::default() };
    let ids: Vec<_> = (0..NUMBERS).map(|index| NumberId::from_u128(u128::from(index))).collect();
    let numbers = (0..).zip(&ids).map(|(index, id)| Change::NumberAdded { id: *id, number: number(index) });
    let agents = (0..AGENTS).zip(0..).flat_map(|(place, index)| {
        let (source, callback) = (source(index), callback_agent(index));
        let create = |id, direction| Change::AgentCreated { id, name: "agent".into(), label: None, direction };
        let numbers = Some(ids.iter().copied().skip(place).step_by(AGENTS).collect());
        [
            create(source, Direction::Outbound),
            create(callback, Direction::Inbound),
            Change::CallingSet { id: callback, direction: Direction::Inbound, numbers },
            Change::AgentPublished { id: callback },
            Change::CallbackSet { id: callback, sources: vec![source], outcomes: None, lookback: None },
        ]
    });
    let changes = [environment].into_iter().chain(numbers).chain(agents).collect();
    engine.configure(ENVIRONMENT, NOW, changes).expect("a valid configuration");
    for index in 0..PAIRS {
        let call = Call {
            environment: ENVIRONMENT,
            agent: source(index),
            from: number(index),
            to: contact(index),
            at: NOW,
            outcome: Outcome::NoAnswer,
        };
        let _applied = engine.apply(&Event::Call(call)).expect("room");
    }
    engine
}

/// Returns indices of pairs in an order that no cache can predict: a congruence with full period.
fn shuffled() -> impl FnMut() -> u64 {
    let mut at = 1;
    move || {
        at = (at * 25_173 + 13_849) % 65_536;
        at
    }
}

fn decisions(criterion: &mut Criterion) {
    let engine = engine();
    let mut group = criterion.benchmark_group("resolve");
    let mut next = shuffled();
    group.bench_function("matched", |bench| {
        bench.iter(|| {
            let index = next();
            black_box(engine.resolve(number(index), Caller::Number(contact(index)), NOW))
        });
    });
    let mut reader = engine.reader();
    group.bench_function("matched, cached plan", |bench| {
        bench.iter(|| {
            let index = next();
            black_box(reader.resolve(number(index), Caller::Number(contact(index)), NOW))
        });
    });
    group.bench_function("stranger", |bench| {
        bench.iter(|| {
            let index = next();
            black_box(engine.resolve(number(index), Caller::Number(contact(index + PAIRS)), NOW))
        });
    });
    group.bench_function("explained", |bench| {
        bench.iter(|| {
            let index = next();
            black_box(engine.explain(number(index), Caller::Number(contact(index)), NOW))
        });
    });
    let bare: DashMap<(u64, u64), u64, RandomState> = DashMap::default();
    (0..PAIRS).for_each(|index| {
        bare.insert((number(index).code(), contact(index).code()), index);
    });
    group.bench_function("bare DashMap::get", |bench| {
        bench.iter(|| {
            let index = next();
            black_box(bare.get(&(number(index).code(), contact(index).code())).map(|held| *held))
        });
    });
    group.finish();
}

fn parsing(criterion: &mut Criterion) {
    let plan = DialPlan::new("1", "1", "011").expect("a dial plan");
    let mut group = criterion.benchmark_group("caller");
    for text in ["+15551234567", "(555) 123-4567", "\"Ann\" <sip:+15551234567@trunk.example;user=phone>;tag=1"] {
        group.bench_function(text, |bench| bench.iter(|| Caller::parse(black_box(text), &plan)));
    }
    group.finish();
}

fn changes(criterion: &mut Criterion) {
    let engine = engine();
    criterion.bench_function("configure one callback", |bench| {
        bench.iter_batched(
            || Change::CallbackSet { id: callback_agent(0), sources: vec![source(0)], outcomes: None, lookback: None },
            |change| engine.configure(ENVIRONMENT, NOW, vec![change]),
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, decisions, parsing, changes);
criterion_main!(benches);
