//! A large plan: the time to load it, the time until a change is visible, and the effect of changes on readers.
//!
//! `cargo bench --bench plan --features store -- [--agents N] [--numbers N] [--roles N] [--rounds N]`
//!
//! There is one environment. Each callback agent takes the callbacks of one source agent and owns that agent's
//! numbers. The default is 100,000 agents, a million numbers and 50,000 roles.
//!
//! * **load**: an engine receives configurations of 10,000 changes. With the feature `store`, a service makes each of
//!   them durable, and then restarts from the disk.
//! * **seen**: the time from the call that changes a role to the first decision on another thread that uses the
//!   change.
//! * **readers**: the latency of single decisions of a thread that does nothing else, in interleaved rounds without
//!   and with a hundred changes a second. Printed are each round's p99.9 and the ratio of their medians. A third kind
//!   of round has a thread that wakes as often and changes nothing, which shows the effect of the machine itself.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "figures for people, from counts that are far below 2^52"
)]

use dialback::{
    AgentId, Applied, Call, Caller, Change, DialPlan, Direction, E164, Engine, EnvironmentId, Event, Lookback,
    NumberId, Outcome, Route, Timestamp,
};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const ENVIRONMENT: EnvironmentId = EnvironmentId::from_u128(1);
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// The number of changes in one configuration during loading.
const BATCH: usize = 10_000;

/// The percentiles that are printed.
const SHARES: [f64; 5] = [0.5, 0.99, 0.999, 0.9999, 1.0];

/// The number of changes a second while readers are measured.
const PACE: Duration = Duration::from_millis(10);

struct Size {
    agents: u64,
    numbers: u64,
    roles: u64,
    rounds: usize,
    /// The duration of a round.
    round: Duration,
}

impl Size {
    fn read() -> Self {
        let args: Vec<String> = std::env::args().collect();
        // `cargo bench` passes a flag; without it, the program only checks that it runs.
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

    /// Returns the whole configuration as changes in a valid order.
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
        assert_eq!(engine.apply(&Event::Call(call)).expect("room"), Applied::Recorded);
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
    let open = || Service::builder(FjallStore::open(folder.path()).expect("a store")).start().expect("starts");
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

/// Moves some source agents to another callback agent of their number, while a reader waits for the change.
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
                // The callback agent is also the number's default agent.
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

/// The activity next to the reader.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beside {
    Nothing,
    /// A thread that wakes as often as one that changes the plan, and does nothing.
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
    // For each percentile, the median over the rounds, so that a disturbed round counts as one only.
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
                    // A large stride, so that no change finds cache lines that the previous one loaded.
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

/// Measures elapsed time, and processor time of all threads of this process. The latter is the duration on an idle
/// machine.
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

/// Returns the user and system time so far, if the system reports it.
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
