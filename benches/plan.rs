//! The plan at size: what it costs to load, when a change is seen, and what readers feel of changes.
//!
//! `cargo bench --bench plan --features store -- [--agents N] [--numbers N] [--roles N] [--rounds N]`
//!
//! One environment; each callback agent takes the callbacks of one source agent and owns its numbers with it. 100,000 agents, a
//! million numbers and 50,000 roles unless said otherwise.
//!
//! * **load**: an engine fed with configurations of 10,000 changes; with the feature `store`, a service that makes each of them
//!   durable, and its restart from the disk;
//! * **seen**: from the call that changes a role to the first decision, on another thread, that is made by it;
//! * **readers**: the latency of single decisions of a thread that does nothing else, in rounds without and with a hundred
//!   changes a second, interleaved; each round's p99.9, and the ratio of their medians. A third kind of round has a thread
//!   that wakes as often and changes nothing: what the machine does to a reader by itself.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "figures for people, from counts that are far below 2^52"
)]

use dialback::{
    AgentId, Call, Caller, Change, DialPlan, Direction, E164, Engine, EnvironmentId, Event, Lookback, NumberId,
    Outcome, Route, Timestamp,
};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const ENVIRONMENT: EnvironmentId = EnvironmentId::from_u128(1);
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Changes in one configuration while loading.
const BATCH: usize = 10_000;

/// What is told of latencies.
const SHARES: [f64; 5] = [0.5, 0.99, 0.999, 0.9999, 1.0];

/// Changes a second while readers are watched.
const PACE: Duration = Duration::from_millis(10);

struct Size {
    agents: u64,
    numbers: u64,
    roles: u64,
    rounds: usize,
    /// How long a round lasts.
    round: Duration,
}

impl Size {
    fn read() -> Self {
        let args: Vec<String> = std::env::args().collect();
        // `cargo bench` says so; without it this is a test that the program runs.
        let measuring = args.iter().any(|arg| arg == "--bench");
        let given = |name: &str, usual: [u64; 2]| {
            let at = args.iter().position(|arg| arg == name).map(|at| args[at + 1].replace('_', ""));
            at.map_or(usual[usize::from(measuring)], |given| given.parse().expect("a number"))
        };
        Self {
            agents: given("--agents", [1_000, 100_000]),
            numbers: given("--numbers", [5_000, 1_000_000]),
            roles: given("--roles", [500, 50_000]),
            rounds: given("--rounds", [2, 15]) as usize,
            round: Duration::from_millis(if measuring { 1_000 } else { 50 }),
        }
    }

    fn numbers_of(&self, role: u64) -> impl Iterator<Item = u64> {
        (role..self.numbers).step_by(self.roles as usize)
    }

    /// All of it, as changes in an order that can be made.
    fn changes(&self) -> Vec<Change> {
        let set =
            Change::EnvironmentSet { name: "bench".into(), dial_plan: DialPlan::NONE, lookback: Lookback::default() };
        let mut all = vec![set];
        all.extend((0..self.numbers).map(|index| Change::NumberAdded { id: number_id(index), number: number(index) }));
        let create = |id, direction| Change::AgentCreated { id, name: "agent".into(), label: None, direction };
        all.extend((0..self.roles).map(|role| create(callback(role), Direction::Inbound)));
        all.extend((0..self.agents - self.roles).map(|index| create(source(index), Direction::Outbound)));
        for role in 0..self.roles {
            for (id, direction) in [(source(role), Direction::Outbound), (callback(role), Direction::Inbound)] {
                let numbers = Some(self.numbers_of(role).map(number_id).collect());
                all.push(Change::CallingSet { id, direction, numbers });
                all.push(Change::AgentPublished { id });
            }
            all.push(role_of(callback(role), source(role)));
        }
        all
    }
}

fn number(index: u64) -> E164 {
    E164::from_code(15_550_000_000 + index).expect("a number")
}

fn contact(index: u64) -> E164 {
    E164::from_code(447_700_000_000 + index).expect("a number")
}

fn number_id(index: u64) -> NumberId {
    NumberId::from_u128(u128::from(index) | 1 << 100)
}

fn source(index: u64) -> AgentId {
    AgentId::from_u128(u128::from(index) | 1 << 101)
}

fn callback(index: u64) -> AgentId {
    AgentId::from_u128(u128::from(index) | 1 << 102)
}

fn role_of(id: AgentId, source: AgentId) -> Change {
    Change::CallbackSet { id, sources: vec![source], outcomes: None, lookback: None }
}

fn batches(changes: Vec<Change>) -> Vec<Vec<Change>> {
    let mut changes = changes.into_iter();
    let next = || Some(changes.by_ref().take(BATCH).collect()).filter(|batch: &Vec<_>| !batch.is_empty());
    std::iter::from_fn(next).collect()
}

fn main() {
    let size = Size::read();
    println!("{} agents, {} numbers, {} callback roles", size.agents, size.numbers, size.roles);
    let engine = loaded(&size);
    #[cfg(feature = "store")]
    durable(&size);
    for index in 0..size.numbers {
        let (agent, from, to) = (source(index % size.roles), number(index), contact(index));
        let call = Call { environment: ENVIRONMENT, agent, from, to, at: NOW, outcome: Outcome::NoAnswer };
        engine.apply(&Event::Call(call)).expect("room");
    }
    seen(&engine, &size);
    readers(&engine, &size);
}

fn loaded(size: &Size) -> Engine {
    let batches = batches(size.changes());
    let (changes, start) = (batches.iter().map(Vec::len).sum::<usize>(), Timer::start());
    let engine = Engine::new();
    for batch in batches {
        engine.configure(ENVIRONMENT, NOW, batch).expect("a valid configuration");
    }
    println!("load: {changes} changes into an engine in {start}");
    engine
}

#[cfg(feature = "store")]
fn durable(size: &Size) {
    use dialback::Service;
    use dialback::store::FjallStore;
    let folder = tempfile::tempdir().expect("a folder");
    let open =
        || Service::start(FjallStore::open(folder.path()).expect("a store"), Engine::new(), |_| {}).expect("starts");
    let service = open();
    let start = Timer::start();
    for batch in batches(size.changes()) {
        service.configure(ENVIRONMENT, NOW, move |_| Ok(batch)).expect("a valid configuration");
    }
    println!("load: the same, each configuration durable before the next, in {start}");
    let took: Vec<_> = (0..200.min(size.roles))
        .map(|role| {
            let (start, role) = (Instant::now(), role_of(callback(role), source(role)));
            service.configure(ENVIRONMENT, NOW, move |_| Ok(vec![role])).expect("a valid change");
            start.elapsed().as_nanos() as u64
        })
        .collect();
    tell("seen: one change, durable", &shares(took));
    drop(service);
    let start = Timer::start();
    let service = open();
    println!("load: from the disk at a start in {start}");
    drop(service);
}

/// Gives each of some sources to another callback agent of its number, while a reader waits for it.
fn seen(engine: &Engine, size: &Size) {
    let begun = Instant::now();
    let asked = AtomicU64::new(u64::MAX);
    let answered = AtomicU64::new(0);
    let mut took = Vec::new();
    thread::scope(|threads| {
        threads.spawn(|| {
            let mut reader = engine.reader();
            let mut last = u64::MAX;
            loop {
                let role = asked.load(Ordering::Acquire);
                if role == 0 {
                    return;
                }
                if role == last {
                    std::hint::spin_loop();
                    continue;
                }
                let decision = reader.resolve(number(role), Caller::Number(contact(role)), NOW);
                // The callback agent is the number's default agent too.
                if decision.route != Route::Callback(callback(role)) {
                    last = role;
                    answered.store(begun.elapsed().as_nanos() as u64, Ordering::Release);
                }
            }
        });
        for role in 1..=500.min(size.roles - 1) {
            answered.store(0, Ordering::Relaxed);
            asked.store(role, Ordering::Release);
            let start = begun.elapsed().as_nanos() as u64;
            engine.configure(ENVIRONMENT, NOW, vec![Change::CallbackRemoved { id: callback(role) }]).expect("a change");
            let at = loop {
                match answered.load(Ordering::Acquire) {
                    0 => std::hint::spin_loop(),
                    at => break at,
                }
            };
            took.push(at - start);
        }
        asked.store(0, Ordering::Release);
    });
    for role in 1..=500.min(size.roles - 1) {
        engine.configure(ENVIRONMENT, NOW, vec![role_of(callback(role), source(role))]).expect("a change");
    }
    tell("seen: one change, by a decision of another thread", &shares(took));
}

/// What happens beside the reader.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    /// A thread that wakes as often as one that changes.
    Wakes,
    Changes,
}

fn readers(engine: &Engine, size: &Size) {
    let kinds = [
        (Beside::Nothing, "readers: alone"),
        (Beside::Wakes, "readers: beside a thread that wakes as often"),
        (Beside::Changes, "readers: beside 100 changes a second"),
    ];
    let mut rounds: [Vec<[u64; 5]>; 3] = Default::default();
    let mut change = 0;
    for _ in 0..size.rounds {
        for ((kind, _), rounds) in kinds.iter().zip(&mut rounds) {
            rounds.push(shares(round(engine, size, *kind, &mut change)));
        }
    }
    // Of each share the median over the rounds: a round in which the machine did something else counts for one.
    let medians = rounds.map(|rounds| std::array::from_fn(|share| middle(rounds.iter().map(|round| round[share]))));
    for ((_, name), shares) in kinds.iter().zip(&medians) {
        tell(name, shares);
    }
    let [alone, wakes, changes] = medians.map(|shares| shares[2] as f64);
    let (of_alone, of_wakes) = (changes / alone, changes / wakes);
    println!(
        "readers: p99.9 beside changes is {of_alone:.3} of alone, {of_wakes:.3} of beside a thread that only wakes"
    );
}

fn round(engine: &Engine, size: &Size, beside: Beside, change: &mut u64) -> Vec<u64> {
    let done = AtomicBool::new(false);
    thread::scope(|threads| {
        threads.spawn(|| {
            while beside != Beside::Nothing && !done.load(Ordering::Relaxed) {
                let next = Instant::now() + PACE;
                if beside == Beside::Changes {
                    // A large stride, so that no change finds in the cache what the one before left there.
                    *change += 1;
                    let role = *change * 7_919 % size.roles;
                    engine.configure(ENVIRONMENT, NOW, vec![role_of(callback(role), source(role))]).expect("a change");
                }
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
        });
        let mut reader = engine.reader();
        let mut took = Vec::with_capacity(8_000_000);
        let mut index = 0;
        let (start, mut last) = (Instant::now(), Instant::now());
        while last - start < size.round {
            index = (index + 7_919_317) % size.numbers;
            black_box(reader.resolve(number(index), Caller::Number(contact(index)), NOW));
            let now = Instant::now();
            took.push((now - last).as_nanos() as u64);
            last = now;
        }
        done.store(true, Ordering::Relaxed);
        took
    })
}

fn at(sorted: &[u64], share: f64) -> u64 {
    sorted[((sorted.len() - 1) as f64 * share) as usize]
}

/// How long something takes, by the clock and in processor time of all threads of this process: what it takes where nobody else wants
/// the processors.
struct Timer(Instant, f64);

impl Timer {
    fn start() -> Self {
        Self(Instant::now(), processor_seconds())
    }
}

impl std::fmt::Display for Timer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:.2} s, {:.2} s of processors", self.0.elapsed().as_secs_f64(), processor_seconds() - self.1)
    }
}

/// User and system time so far, where the system says so.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = behind_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

fn middle(values: impl Iterator<Item = u64>) -> u64 {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    values[values.len() / 2]
}

fn shares(mut nanos: Vec<u64>) -> [u64; 5] {
    nanos.sort_unstable();
    SHARES.map(|share| at(&nanos, share))
}

fn tell(name: &str, shares: &[u64; 5]) {
    let [p50, p99, p999, p9999, max] = shares.map(|nanos| nanos as f64 / 1e3);
    println!("{name:52} p50 {p50:9.2} µs  p99 {p99:9.2}  p99.9 {p999:9.2}  p99.99 {p9999:9.2}  max {max:9.2}");
}
