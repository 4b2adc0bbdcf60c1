//! The extra cost of a decision through the C interface, compared with Rust: `cargo bench --bench capi --features
//! capi`.
//!
//! Each figure has its own service with equal contents (1,000 numbers, 100,000 pairs, asked in random order), so that
//! no figure profits from cache lines that another loaded. The C functions are called by address, with a handle and
//! texts, as C code calls them. The variants take turns of 128 decisions. Each figure is the median of the turns.
//! Each difference is the median of the differences between neighbouring turns, which other load on the machine
//! changes little.
#![allow(unsafe_code, reason = "what C calls is unsafe to call")]
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "small numbers")]

use dialback::capi::{
    CallReport, DecisionOut, Handle, Options, Question, Status, Text, dialback_close, dialback_configure,
    dialback_open, dialback_record, dialback_resolve, dialback_resolve_batch,
};
use dialback::store::MemoryStore;
use dialback::{
    AgentId, Call, Caller, Change, Decision, DialPlan, Digits, Direction, E164, EnvironmentId, Event, Lookback,
    NumberId, Outcome, Service, Timestamp,
};
use std::hint::black_box;
use std::time::Instant;

const ENVIRONMENT: EnvironmentId = EnvironmentId::from_u128(1);
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const NUMBERS: u64 = 1_000;
const AGENTS: u64 = 10;
const PAIRS: u64 = 100_000;
const ROUNDS: usize = 100;
const BATCH: usize = 32;

/// A pair in each form that a variant passes. Its text is in the cache, like a text that was just read from a trunk.
#[derive(Clone, Copy)]
struct Pair {
    dialed: E164,
    caller: Caller,
    dialed_text: Digits,
    caller_text: Digits,
}

/// A pair whose texts have been loaded into the cache.
struct Asked<'a> {
    dialed: E164,
    caller: Caller,
    dialed_text: &'a str,
    caller_text: &'a str,
}

fn number(index: u64) -> E164 {
    E164::from_code(15_550_000_000 + index % NUMBERS).expect("a number")
}

fn contact(index: u64) -> E164 {
    E164::from_code(447_700_900_000 + index).expect("a number")
}

fn source(index: u64) -> AgentId {
    AgentId::from_u128(u128::from(1_000 + index % AGENTS))
}

fn changes() -> Vec<Change> {
    let ids: Vec<_> = (0..NUMBERS).map(|index| NumberId::from_u128(u128::from(index))).collect();
    let environment =
        Change::EnvironmentSet { name: "bench".into(), dial_plan: DialPlan::NONE, lookback: Lookback::default() };
    let numbers = (0..).zip(&ids).map(|(index, id)| Change::NumberAdded { id: *id, number: number(index) });
    let agents = (0..AGENTS).flat_map(|index| {
        let (source, callback) = (source(index), AgentId::from_u128(u128::from(2_000 + index)));
        let create = |id, direction| Change::AgentCreated { id, name: "agent".into(), label: None, direction };
        let numbers = Some(ids.iter().copied().skip(index as usize).step_by(AGENTS as usize).collect());
        [
            create(source, Direction::Outbound),
            create(callback, Direction::Inbound),
            Change::CallingSet { id: callback, direction: Direction::Inbound, numbers },
            Change::AgentPublished { id: callback },
            Change::CallbackSet { id: callback, sources: vec![source], outcomes: None, lookback: None },
        ]
    });
    [environment].into_iter().chain(numbers).chain(agents).collect()
}

fn service() -> Service {
    let service = Service::builder(MemoryStore).start().expect("nothing to read");
    service.configure(ENVIRONMENT, NOW, |_| Ok(changes())).expect("valid");
    let call = |index| {
        let (from, to) = (number(index), contact(index));
        let (agent, outcome) = (source(index), Outcome::NoAnswer);
        Event::Call(Call { environment: ENVIRONMENT, agent, from, to, at: NOW, outcome })
    };
    service.record((0..PAIRS).map(call).collect()).expect("in memory");
    service
}

fn text(text: &str) -> Text {
    Text { bytes: text.as_ptr().cast(), len: text.len() }
}

fn handle(pairs: &[Pair]) -> Handle {
    let mut handle = 0;
    let environment = ENVIRONMENT.to_string();
    let changes = serde_json::to_string(&changes()).expect("JSON");
    let agents: Vec<String> = (0..AGENTS).map(|index| source(index).to_string()).collect();
    let call = |(index, pair): (usize, &Pair)| CallReport {
        size: size_of::<CallReport>() as u32,
        outcome: u32::from(Outcome::NoAnswer.code()) + 1,
        at_ms: NOW.millis(),
        environment: text(&environment),
        agent: text(&agents[index % agents.len()]),
        from: text(&pair.dialed_text),
        to: text(&pair.caller_text),
    };
    let calls: Vec<CallReport> = pairs.iter().enumerate().map(call).collect();
    let (environment, changes) = (text(&environment), text(&changes));
    // SAFETY: all arguments are valid during the calls.
    unsafe {
        assert_eq!(dialback_open(std::ptr::null::<Options>(), &raw mut handle), Status::Ok);
        let (bytes, len) = (environment.bytes, environment.len);
        let null = std::ptr::null_mut();
        let done = dialback_configure(handle, bytes, len, changes.bytes, changes.len, NOW.millis(), null);
        assert_eq!(done, Status::Ok);
        let done = dialback_record(handle, calls.as_ptr(), calls.len(), NOW.millis(), std::ptr::null_mut());
        assert_eq!(done, Status::Ok);
    }
    handle
}

/// Returns indices of pairs in an order that no cache can predict.
fn shuffled() -> Vec<usize> {
    let mut at = 1_u64;
    let mut next = || {
        at = (at * 25_173 + 13_849) % 65_536;
        usize::try_from(at).expect("small")
    };
    (0..1 << 14).map(|_| next()).collect()
}

/// The number of pairs whose texts are loaded together before they are asked about. They fit into the first-level
/// cache.
const NEAR: usize = 128;

/// Returns the nanoseconds per decision for these pairs.
fn timed(pairs: &[Pair], some: &[usize], ask: impl FnOnce(&[Asked])) -> f64 {
    let near: [Pair; NEAR] = black_box(std::array::from_fn(|at| pairs[some[at]]));
    // `Digits` validates its bytes each time it is read as text. This must not be measured.
    let near: [Asked; NEAR] = black_box(std::array::from_fn(|at| {
        let Pair { dialed, caller, dialed_text, caller_text } = &near[at];
        Asked { dialed: *dialed, caller: *caller, dialed_text, caller_text }
    }));
    let begun = Instant::now();
    ask(&near);
    begun.elapsed().as_secs_f64() * 1e9 / NEAR as f64
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn decision() -> DecisionOut {
    // SAFETY: the structure holds numbers only.
    let mut out: DecisionOut = unsafe { std::mem::zeroed() };
    out.size = size_of::<DecisionOut>() as u32;
    out
}

fn main() {
    // `cargo test --benches` runs each bench once.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { ROUNDS } else { 1 };
    let pairs: Vec<Pair> = (0..PAIRS)
        .map(|index| Pair {
            dialed: number(index),
            caller: Caller::Number(contact(index)),
            dialed_text: number(index).to_plus_form(),
            caller_text: contact(index).to_plus_form(),
        })
        .collect();
    let services: [Service; 4] = std::array::from_fn(|_| service());
    let [single, read, from_texts, batched] = &services;
    let (handle, handle_of_batches, order) = (handle(&pairs), handle(&pairs), shuffled());
    let (resolve, resolve_batch) =
        (black_box(dialback_resolve as ResolveFn), black_box(dialback_resolve_batch as BatchFn));
    let mut reader = read.reader();
    let mut out = decision();
    let mut outs = [decision(); BATCH];
    let mut decisions: Vec<Decision> = vec![single.resolve(pairs[0].dialed, pairs[0].caller, NOW); BATCH];
    let mut figures = vec![Vec::new(); 6];
    let chunks: Vec<&[usize]> = order.chunks_exact(NEAR).collect();
    for round in 0..rounds * chunks.len() {
        // No variant asks about pairs whose texts another variant has just loaded.
        let some = |which: usize| chunks[(round + which * chunks.len() / 6) % chunks.len()];
        figures[0].push(timed(&pairs, some(0), |near| {
            for pair in near {
                black_box(single.resolve(pair.dialed, pair.caller, NOW));
            }
        }));
        figures[1].push(timed(&pairs, some(1), |near| {
            for pair in near {
                black_box(reader.resolve(pair.dialed, pair.caller, NOW));
            }
        }));
        figures[2].push(timed(&pairs, some(2), |near| {
            for pair in near {
                let dialed = E164::parse(pair.dialed_text, &DialPlan::NONE).expect("a number");
                let caller = Caller::parse(pair.caller_text, &DialPlan::NONE);
                black_box(from_texts.resolve(dialed, caller, NOW));
            }
        }));
        figures[3].push(timed(&pairs, some(3), |near| {
            for pair in near {
                let (dialed, caller) = (text(pair.dialed_text), text(pair.caller_text));
                // SAFETY: all arguments are valid during the call.
                let status = unsafe {
                    resolve(handle, dialed.bytes, dialed.len, caller.bytes, caller.len, NOW.millis(), &raw mut out)
                };
                assert!(status == Status::Ok && out.reason == 9);
            }
        }));
        figures[4].push(timed(&pairs, some(4), |near| {
            for some in near.chunks_exact(BATCH) {
                let calls: [_; BATCH] = std::array::from_fn(|at| (some[at].dialed, some[at].caller));
                batched.resolve_batch_on(&batched.plan(), &calls, NOW, &mut decisions);
                black_box(&decisions);
            }
        }));
        figures[5].push(timed(&pairs, some(5), |near| {
            for some in near.chunks_exact(BATCH) {
                let ask = |pair: &Asked| Question { dialed: text(pair.dialed_text), caller: text(pair.caller_text) };
                let questions: [_; BATCH] = std::array::from_fn(|at| ask(&some[at]));
                // SAFETY: all arguments are valid during the call.
                let status = unsafe {
                    resolve_batch(handle_of_batches, questions.as_ptr(), BATCH, NOW.millis(), outs.as_mut_ptr())
                };
                assert!(status == Status::Ok && outs[BATCH - 1].reason == 9);
            }
        }));
    }
    let names = [
        "Rust, Service::resolve",
        "Rust, Reader::resolve",
        "Rust, the same from two texts",
        "C, dialback_resolve",
        "Rust, resolve_batch of 32",
        "C, dialback_resolve_batch of 32",
    ];
    println!("{:34} {:>12} {:>24}", "", "ns a decision", "C's over this");
    for (which, name) in names.into_iter().enumerate() {
        let c = if which < 4 { 3 } else { 5 };
        let over = figures[c].iter().zip(&figures[which]).map(|(c, rust)| c - rust).collect();
        println!("{name:34} {:>12.1} {:>+24.1}", median(figures[which].clone()), median(over));
    }
    assert_eq!([handle, handle_of_batches].map(|handle| dialback_close(handle)), [Status::Ok; 2]);
}

type ResolveFn = unsafe extern "C" fn(
    Handle,
    *const std::ffi::c_char,
    usize,
    *const std::ffi::c_char,
    usize,
    u64,
    *mut DecisionOut,
) -> Status;
type BatchFn = unsafe extern "C" fn(Handle, *const Question, usize, u64, *mut DecisionOut) -> Status;
