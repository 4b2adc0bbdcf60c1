//! Operations whose instructions are counted: `history_instructions OPERATION`, run by `scripts/instructions`.
//!
//! Each operation is a function that is not inlined, so that the counter can be limited to it.
#![allow(clippy::cast_possible_truncation, reason = "small numbers")]

use dialback::history::{History, Register, Spot};
use dialback::slot::Scope;
use dialback::{
    AgentId, Call, Caller, Change, Decision, DialPlan, Direction, E164, Engine, EnvironmentId, Event, Lookback,
    NumberId, Outcome, Reason, Timestamp,
};
use std::hint::black_box;

const PAIRS: u64 = 100_000;
/// The engines that share the operations of a count, and the pairs of each. Where an engine keeps a dialed number depends
/// on random keys: one engine's count differs by up to 4 % from the next one's, and their mean by 1 %.
const ENGINES: u64 = 16;
const ENGINE_PAIRS: u64 = 8_000;
const NUMBERS: u64 = 1_000;
const AGENTS: u64 = 100;
/// The number by which the count of an operation is divided.
const OPS: u64 = 32_768;
const ENVIRONMENT: EnvironmentId = EnvironmentId::from_u128(1);
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    x ^ x >> 29
}

fn number(at: u64) -> E164 {
    E164::from_code(4_930_000_000 + at % NUMBERS).expect("a number")
}

fn contact(at: u64) -> E164 {
    E164::from_code(1 + (mix(at + 1) >> 15)).expect("a contact")
}

fn register(at: u64) -> Register {
    Register::from_bits(at + 1).expect("not zero")
}

type Key = (Scope, E164, E164);

fn key(at: u64) -> Key {
    (Scope::from_bits((at % NUMBERS) as u32).expect("24 bits"), number(at), contact(at))
}

fn history() -> History {
    let history = History::new(2 * PAIRS as usize);
    for at in 0..NUMBERS {
        let (scope, number, _) = key(at);
        history.assign(scope, number);
    }
    for at in 0..PAIRS {
        let (scope, _, contact) = key(at);
        history.merge(scope, contact, register(at)).expect("room");
    }
    while history.tend() {}
    history
}

#[inline(never)]
fn measured_lookup(history: &History, keys: &[Key]) -> u64 {
    let get = |&(scope, dialed, contact): &Key| history.get_at(scope, history.spot(dialed, contact));
    keys.iter().fold(0, |sum, key| sum.wrapping_add(get(key).map_or(0, Register::bits)))
}

#[inline(never)]
fn measured_batch(history: &History, keys: &[Key]) -> u64 {
    let mut sum = 0u64;
    let mut registers = [None; 32];
    for keys in keys.chunks_exact(32) {
        let spots: [(Scope, Spot); 32] = std::array::from_fn(|at| (keys[at].0, history.spot(keys[at].1, keys[at].2)));
        history.get_batch(&spots, &mut registers);
        sum = registers.iter().fold(sum, |sum, register| sum.wrapping_add(register.map_or(0, Register::bits)));
    }
    sum
}

#[inline(never)]
fn measured_upsert(history: &History, keys: &[Key]) {
    for &(scope, dialed, contact) in keys {
        black_box(history.merge_at(scope, history.spot(dialed, contact), register(PAIRS)).expect("room"));
    }
}

/// A lookup with eight additional instructions, which the gate must notice.
#[inline(never)]
fn measured_canary(history: &History, keys: &[Key]) -> u64 {
    let mut sum = 0u64;
    for &(scope, dialed, contact) in keys {
        let register = history.get_at(scope, history.spot(dialed, contact)).map_or(0, Register::bits);
        sum = black_box(black_box(black_box(black_box(sum.wrapping_add(register)))));
    }
    sum
}

fn engine() -> Engine {
    let engine = Engine::with_max_pairs(2 * ENGINE_PAIRS as usize);
    let name = String::from("counted");
    let settings =
        Change::EnvironmentSet { name: name.clone(), dial_plan: DialPlan::NONE, lookback: Lookback::default() };
    let id = |at: u64| NumberId::from_u128(u128::from(at));
    let numbers = (0..NUMBERS).map(|at| Change::NumberAdded { id: id(at), number: number(at) });
    let agents = (0..AGENTS).flat_map(|place| {
        let (source, callback) = (source(place), AgentId::from_u128(u128::from(1 << 32 | place)));
        let create = |id, direction| Change::AgentCreated { id, name: name.clone(), label: None, direction };
        let numbers = Some((place..NUMBERS).step_by(AGENTS as usize).map(id).collect());
        [
            create(source, Direction::Outbound),
            create(callback, Direction::Inbound),
            Change::CallingSet { id: callback, direction: Direction::Inbound, numbers },
            Change::AgentPublished { id: callback },
            Change::CallbackSet { id: callback, sources: vec![source], outcomes: None, lookback: None },
        ]
    });
    let changes = [settings].into_iter().chain(numbers).chain(agents).collect();
    engine.configure(ENVIRONMENT, NOW, changes).expect("a configuration");
    for at in 0..ENGINE_PAIRS {
        let (from, to) = (number(at), contact(at));
        let call = Call { environment: ENVIRONMENT, agent: source(at), from, to, at: NOW, outcome: Outcome::Busy };
        let _applied = engine.apply(&Event::Call(call)).expect("room");
    }
    engine
}

fn source(at: u64) -> AgentId {
    AgentId::from_u128(u128::from(1 + at % AGENTS))
}

#[inline(never)]
fn measured_resolve(engine: &Engine, keys: &[Key]) -> u64 {
    keys.iter().fold(0, |sum, &(_, dialed, contact)| {
        let decision = engine.resolve(dialed, Caller::Number(contact), NOW);
        sum.wrapping_add(u64::from(decision.reason == Reason::Matched))
    })
}

#[inline(never)]
fn measured_resolve_batch(engine: &Engine, keys: &[Key]) -> u64 {
    let mut decisions = [Decision::UNROUTED; 32];
    let mut matched = 0;
    for keys in keys.chunks_exact(32) {
        let calls: [_; 32] = std::array::from_fn(|at| (keys[at].1, Caller::Number(keys[at].2)));
        engine.resolve_batch(&calls, NOW, &mut decisions);
        matched += decisions.iter().map(|decision| u64::from(decision.reason == Reason::Matched)).sum::<u64>();
    }
    matched
}

/// Returns the sum of a count over the engines, each with its part of the keys.
fn on_engines(keys: &[Key], measured: fn(&Engine, &[Key]) -> u64) -> u64 {
    keys.chunks((OPS / ENGINES) as usize).map(|keys| black_box(measured(&engine(), keys))).sum()
}

fn main() {
    let operation = std::env::args().nth(1).unwrap_or_default();
    let held: Vec<_> = (0..OPS).map(|at| key(mix(at) % PAIRS)).collect();
    let engine_held: Vec<_> = (0..OPS).map(|at| key(mix(at) % ENGINE_PAIRS)).collect();
    let strange: Vec<_> = (0..OPS).map(|at| key(1 << 40 | at)).collect();
    // The result is checked, because an operation that finds nothing would be cheap.
    match operation.as_str() {
        "hit" => assert!(black_box(measured_lookup(&history(), &held)) > OPS),
        "miss" => assert_eq!(black_box(measured_lookup(&history(), &strange)), 0),
        "batch" => assert!(black_box(measured_batch(&history(), &held)) > OPS),
        "upsert" => measured_upsert(&history(), &held),
        "resolve" => assert_eq!(on_engines(&engine_held, measured_resolve), OPS),
        "resolve_miss" => assert_eq!(on_engines(&strange, measured_resolve), 0),
        "resolve_batch" => assert_eq!(on_engines(&engine_held, measured_resolve_batch), OPS),
        "canary" => assert!(black_box(measured_canary(&history(), &held)) > OPS),
        _ => {
            eprintln!("history_instructions hit|miss|batch|upsert|resolve|resolve_miss|resolve_batch|canary");
            std::process::exit(2);
        }
    }
    println!("{OPS}");
}
