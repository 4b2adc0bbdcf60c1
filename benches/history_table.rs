//! Compares the history with rival maps and with plain memory reads, interleaved. Prints tables and the comparison
//! with the bars, and draws the plot.
//!
//! * `cargo bench --bench history_table -- --sweep [--sizes 1e4,1e7] [--only a,b] [--gib 16] [--out DIR] [--record]`:
//!   all sizes, each run as a separate process with as many contenders as fit
//! * `… -- --compare [--sizes 1e4,1e6]`: the tracked ratios compared with the last recorded ones
//! * `… -- --capacity [--pairs N | --gib 20] [--only kept]`: as many pairs as the memory holds, only ours
//! * `… -- --draw A.csv [--beside B.csv --names a,b] [--svg FILE]`: stored figures again
//! * `… -- [--pairs N] [--only a,b,c]`: one run at one size; `--threads`: the figures that need several threads
//!
//! `--rounds R` and `--ops N` (lookups a round) apply to each. Each figure is the median of rounds in which the
//! contenders take turns. All contenders use huge pages: ours requests them, and for the rivals the program restarts
//! itself with a glibc setting.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::inline_always,
    clippy::type_complexity,
    reason = "figures for people, from counts that are far below 2^52"
)]

mod figures;

use dialback::history::{History, Keeper, Register};
use dialback::slot::Scope;
use dialback::{
    AgentId, Call, Caller, Change, Decision, DialPlan, Direction, E164, Engine, EnvironmentId, Event, Lookback,
    NumberId, Outcome, Timestamp,
};
use figures::args::{Args, grouped};
use figures::memory::{self, Samples};
use figures::records::Records;
use figures::stalls::Stalls;
use figures::{checks, median, mix, sweep, table, threads};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

const NUMBERS: u64 = 100_000;

/// Returns the pair with this index: scope and contact.
#[inline(always)]
fn pair(i: u64) -> (u32, u64) {
    let x = mix(i + 1);
    let scope = ((x >> 32) * NUMBERS) >> 32;
    (scope as u32, 1 + (x.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 15))
}

/// Returns the dialed number of a scope.
#[inline(always)]
fn dialed(scope: u32) -> E164 {
    E164::from_code(4_930_000_000 + u64::from(scope)).unwrap()
}

fn register(i: u64) -> u64 {
    (i & 0xFF_FFFF) << 30 | 1 << 60 | 1
}

#[inline(always)]
fn pick(state: u64, pairs: u64) -> u64 {
    ((u128::from(state) * u128::from(pairs)) >> 64) as u64
}

trait Map: Sync {
    /// A pair as the map takes it. It is created in advance, so that the check of its arguments is not measured.
    type Key: Copy;
    /// Whether pairs are inserted one by one.
    const FILLS: bool = true;
    fn key(pair: (u32, u64)) -> Self::Key;
    fn insert(&self, key: Self::Key, value: u64) {
        self.upsert(key, value);
    }
    fn get(&self, key: Self::Key) -> u64;
    fn upsert(&self, key: Self::Key, value: u64);
    /// Completes all pending work after the last write.
    fn settle(&self) {}
    fn batch(&self, keys: &[Self::Key]) -> u64 {
        keys.iter().fold(0, |sum, &key| sum.wrapping_add(self.get(key)))
    }
}

struct Ours(Arc<History>, #[allow(dead_code)] Option<Keeper>);
impl Ours {
    fn new(pairs: u64, kept: bool) -> Ours {
        let history = Arc::new(History::new(pairs as usize * 2));
        for scope in 0..NUMBERS as u32 {
            history.assign(Scope::from_bits(scope).unwrap(), dialed(scope));
        }
        let keeper = kept.then(|| Keeper::start(&history).unwrap().unwrap());
        Ours(history, keeper)
    }
}
fn contact(code: u64) -> E164 {
    E164::from_code(code).unwrap()
}
impl Map for Ours {
    /// The arguments as a decision has them: the dialed number and contact are known, and the scope comes from the
    /// plan.
    type Key = (Scope, E164, E164);
    #[inline(always)]
    fn key((scope, code): (u32, u64)) -> Self::Key {
        (Scope::from_bits(scope).unwrap(), dialed(scope), contact(code))
    }
    #[inline(always)]
    fn get(&self, (scope, dialed, contact): Self::Key) -> u64 {
        self.0.get_at(scope, self.0.spot(dialed, contact)).map_or(0, Register::bits)
    }
    #[inline(always)]
    fn upsert(&self, (scope, dialed, contact): Self::Key, value: u64) {
        let spot = self.0.spot(dialed, contact);
        self.0.merge_at(scope, spot, Register::from_bits(value).unwrap()).unwrap();
    }
    fn settle(&self) {
        while self.0.tend() {}
    }
    #[inline(always)]
    fn batch(&self, keys: &[Self::Key]) -> u64 {
        let spots: [_; 32] = std::array::from_fn(|at| (keys[at].0, self.0.spot(keys[at].1, keys[at].2)));
        let mut registers = [None; 32];
        self.0.get_batch(&spots, &mut registers);
        registers.iter().fold(0, |sum, register| sum.wrapping_add(register.map_or(0, Register::bits)))
    }
}

/// Whole decisions: a plan of 100,000 numbers and 10,000 agents. Half of the agents are sources, and half are
/// callback agents that own twenty numbers each. All pairs are matched.
struct Decide(Engine);

const ENVIRONMENT: EnvironmentId = EnvironmentId::from_u128(1);
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const SOURCES: u64 = 5_000;

impl Decide {
    fn new(pairs: u64) -> Decide {
        let engine = Engine::with_max_pairs(pairs as usize * 2);
        let name = String::from("bench");
        let settings =
            Change::EnvironmentSet { name: name.clone(), dial_plan: DialPlan::NONE, lookback: Lookback::default() };
        let id = |scope: u64| NumberId::from_u128(u128::from(scope));
        let numbers = (0..NUMBERS).map(|scope| Change::NumberAdded { id: id(scope), number: dialed(scope as u32) });
        let agents = (0..SOURCES).flat_map(|place| {
            let (source, callback) = (source(place), AgentId::from_u128(u128::from(1 << 32 | place)));
            let create = |id, direction| Change::AgentCreated { id, name: name.clone(), label: None, direction };
            let numbers = Some((place..NUMBERS).step_by(SOURCES as usize).map(id).collect());
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
        Decide(engine)
    }
}

fn source(scope: u64) -> AgentId {
    AgentId::from_u128(u128::from(1 + scope % SOURCES))
}

fn told(decision: &Decision) -> u64 {
    decision.route.agent().map_or(0, |agent| agent.as_u128() as u64)
}

impl Map for Decide {
    type Key = (u32, E164, E164);
    #[inline(always)]
    fn key((scope, code): (u32, u64)) -> Self::Key {
        (scope, dialed(scope), contact(code))
    }
    #[inline(always)]
    fn get(&self, (_, dialed, contact): Self::Key) -> u64 {
        told(&self.0.resolve(dialed, Caller::Number(contact), NOW))
    }
    fn upsert(&self, (scope, from, to): Self::Key, _: u64) {
        let agent = source(u64::from(scope));
        let call = Call { environment: ENVIRONMENT, agent, from, to, at: NOW, outcome: Outcome::Busy };
        let _applied = self.0.apply(&Event::Call(call)).expect("room");
    }
    #[inline(always)]
    fn batch(&self, keys: &[Self::Key]) -> u64 {
        let calls: [_; 32] = std::array::from_fn(|at| (keys[at].1, Caller::Number(keys[at].2)));
        let mut decisions = [Decision::UNROUTED; 32];
        self.0.resolve_batch(&calls, NOW, &mut decisions);
        decisions.iter().fold(0, |sum, decision| sum.wrapping_add(told(decision)))
    }
}

struct Dash(dashmap::DashMap<(u32, u64), u64, ahash::RandomState>);
impl Map for Dash {
    type Key = (u32, u64);
    #[inline(always)]
    fn key(pair: (u32, u64)) -> Self::Key {
        pair
    }
    fn insert(&self, pair: (u32, u64), value: u64) {
        self.0.insert(pair, value);
    }
    #[inline(always)]
    fn get(&self, pair: (u32, u64)) -> u64 {
        self.0.get(&pair).map_or(0, |v| *v)
    }
    #[inline(always)]
    fn upsert(&self, pair: (u32, u64), value: u64) {
        self.0.entry(pair).and_modify(|old| *old = (*old).max(value)).or_insert(value);
    }
}

struct Papaya(papaya::HashMap<(u32, u64), u64, ahash::RandomState>);
impl Map for Papaya {
    type Key = (u32, u64);
    #[inline(always)]
    fn key(pair: (u32, u64)) -> Self::Key {
        pair
    }
    fn insert(&self, pair: (u32, u64), value: u64) {
        self.0.pin().insert(pair, value);
    }
    #[inline(always)]
    fn get(&self, pair: (u32, u64)) -> u64 {
        self.0.pin().get(&pair).copied().unwrap_or(0)
    }
    #[inline(always)]
    fn upsert(&self, pair: (u32, u64), value: u64) {
        self.0.pin().update_or_insert(pair, |old| (*old).max(value), value);
    }
}

struct Scc(scc::HashIndex<(u32, u64), u64, ahash::RandomState>);
impl Map for Scc {
    type Key = (u32, u64);
    #[inline(always)]
    fn key(pair: (u32, u64)) -> Self::Key {
        pair
    }
    fn insert(&self, pair: (u32, u64), value: u64) {
        let _ = self.0.insert_sync(pair, value);
    }
    #[inline(always)]
    fn get(&self, pair: (u32, u64)) -> u64 {
        self.0.peek_with(&pair, |_, v| *v).unwrap_or(0)
    }
    #[inline(always)]
    fn upsert(&self, pair: (u32, u64), value: u64) {
        match self.0.entry_sync(pair) {
            scc::hash_index::Entry::Occupied(mut held) => {
                let value = (*held.get()).max(value);
                held.update(value);
            }
            scc::hash_index::Entry::Vacant(free) => {
                free.insert_entry(value);
            }
        }
    }
}

struct Leap(leapfrog::LeapMap<(u32, u64), u64, std::hash::BuildHasherDefault<ahash::AHasher>>);
impl Map for Leap {
    type Key = (u32, u64);
    #[inline(always)]
    fn key(pair: (u32, u64)) -> Self::Key {
        pair
    }
    fn insert(&self, pair: (u32, u64), value: u64) {
        self.0.insert(pair, value);
    }
    #[inline(always)]
    fn get(&self, pair: (u32, u64)) -> u64 {
        self.0.get(&pair).and_then(|mut held| held.value()).unwrap_or(0)
    }
    #[inline(always)]
    fn upsert(&self, pair: (u32, u64), value: u64) {
        self.0.insert(pair, value);
    }
}

struct Horde(horde::SyncTable<(u32, u64), u64, ahash::RandomState>);
impl Map for Horde {
    type Key = (u32, u64);
    #[inline(always)]
    fn key(pair: (u32, u64)) -> Self::Key {
        pair
    }
    fn insert(&self, pair: (u32, u64), value: u64) {
        self.0.lock().insert_new(pair, value, None);
        horde::collect::collect();
    }
    #[inline(always)]
    fn get(&self, pair: (u32, u64)) -> u64 {
        horde::collect::pin(|pin| self.0.read(pin).get(&pair, None).map_or(0, |(_, v)| *v))
    }
    #[inline(always)]
    fn upsert(&self, pair: (u32, u64), value: u64) {
        // A shared reader cannot change registers in place; in real use the value would be an atomic. The closest to
        // an upsert is to find it under the writers' lock and write through an atomic at its address.
        let mut write = self.0.lock();
        if let Some((_, v)) = write.read().get(&pair, None) {
            black_box((*v).max(value));
            return;
        }
        write.insert_new(pair, value, None);
    }
}

struct Locked(std::sync::RwLock<hashbrown::HashMap<(u32, u64), u64, ahash::RandomState>>);
impl Map for Locked {
    type Key = (u32, u64);
    #[inline(always)]
    fn key(pair: (u32, u64)) -> Self::Key {
        pair
    }
    fn insert(&self, pair: (u32, u64), value: u64) {
        self.0.write().unwrap().insert(pair, value);
    }
    #[inline(always)]
    fn get(&self, pair: (u32, u64)) -> u64 {
        self.0.read().unwrap().get(&pair).copied().unwrap_or(0)
    }
    #[inline(always)]
    fn upsert(&self, pair: (u32, u64), value: u64) {
        self.0.write().unwrap().entry(pair).and_modify(|old| *old = (*old).max(value)).or_insert(value);
    }
}

/// Random cache lines in as many bytes as our map takes: the limit that memory itself sets.
struct Lines(Vec<[u64; 8]>);
impl Map for Lines {
    type Key = (u32, u64);
    const FILLS: bool = false;
    #[inline(always)]
    fn key(pair: (u32, u64)) -> Self::Key {
        pair
    }
    fn insert(&self, _: (u32, u64), _: u64) {}
    #[inline(always)]
    fn get(&self, (scope, contact): (u32, u64)) -> u64 {
        let at = pick((contact ^ u64::from(scope)).wrapping_mul(0x9E37_79B9_7F4A_7C15), self.0.len() as u64);
        // No unsafe code is needed: plain indexing reads one word of the line.
        self.0[at as usize][contact as usize & 7]
    }
    fn upsert(&self, _: (u32, u64), _: u64) {}
    #[inline(always)]
    fn batch(&self, pairs: &[(u32, u64)]) -> u64 {
        pairs.iter().fold(0, |sum, &pair| sum.wrapping_add(self.get(pair)))
    }
}

const TESTS: [&str; 5] = ["dependent", "independent", "miss", "batch32", "upsert"];

#[inline(never)]
fn dependent<M: Map>(map: &M, pairs: u64, ops: u64, seed: u64) -> f64 {
    let start = Instant::now();
    let mut state = seed;
    for _ in 0..ops {
        let value = map.get(M::key(pair(pick(state, pairs))));
        // The top bit of a register is never set, but the compiler does not know that.
        state = mix(state ^ (value >> 63)).wrapping_add(seed);
    }
    black_box(state);
    start.elapsed().as_nanos() as f64 / ops as f64
}

#[inline(never)]
fn independent<M: Map>(map: &M, keys: &[M::Key]) -> f64 {
    let start = Instant::now();
    let mut sum = 0u64;
    for &key in keys {
        sum = sum.wrapping_add(map.get(key));
    }
    black_box(sum);
    start.elapsed().as_nanos() as f64 / keys.len() as f64
}

#[inline(never)]
fn batch<M: Map>(map: &M, keys: &[M::Key]) -> f64 {
    let start = Instant::now();
    let mut sum = 0u64;
    for group in keys.chunks_exact(32) {
        sum = sum.wrapping_add(map.batch(group));
    }
    black_box(sum);
    start.elapsed().as_nanos() as f64 / keys.len() as f64
}

#[inline(never)]
fn upsert<M: Map>(map: &M, keys: &[M::Key], round: u64) -> f64 {
    let start = Instant::now();
    for &key in keys {
        map.upsert(key, 1 << 61 | round << 20);
    }
    start.elapsed().as_nanos() as f64 / keys.len() as f64
}

/// The pairs of a round. All contenders use the same ones, created in advance, so that creating them is not measured.
struct Queries {
    held: Vec<(u32, u64)>,
    strange: Vec<(u32, u64)>,
}

impl Queries {
    fn new(pairs: u64, ops: u64, round: u64) -> Queries {
        let picks = |first| (0..ops).map(move |i| pair(first + pick(mix((round << 32) | (i + 1)), pairs))).collect();
        Queries { held: picks(0), strange: picks(1 << 40) }
    }
}

trait Contender {
    /// Creates the map and inserts the pairs.
    fn fill(&mut self, pairs: u64);
    fn run(&mut self, test: usize, pairs: u64, queries: &Queries, round: u64);
    fn record(&self, records: &mut Records, run: u32, pairs: u64);
}

struct Entry<M: Map> {
    name: &'static str,
    make: Option<Box<dyn FnOnce() -> M>>,
    /// The nanoseconds from `fill` on.
    map: Option<M>,
    /// The bytes a pair: at the end, minimum and maximum.
    bytes: [f64; 3],
    stalls: Stalls,
    rounds: [Vec<f64>; TESTS.len()],
}

impl<M: Map> Contender for Entry<M> {
    fn fill(&mut self, pairs: u64) {
        // This comes before the resident memory is read, so that its own memory is not attributed to a contender.
        let mut stalls = Stalls::begin();
        let mut samples = Samples::new(memory::resident());
        let map = self.make.take().expect("filled once")();
        stalls.resume();
        let mut next_word = A_WORD;
        for i in 0..if M::FILLS { pairs } else { 0 } {
            map.insert(M::key(pair(i)), register(i));
            stalls.note(i);
            if i + 1 == samples.next {
                stalls.pause();
                samples.look(i + 1);
                if i >= next_word {
                    eprintln!("{}: {} pairs", self.name, grouped(i + 1));
                    next_word += A_WORD;
                }
                stalls.resume();
            }
        }
        stalls.pause();
        map.settle();
        self.bytes = [samples.bytes(pairs), samples.least, samples.most];
        self.stalls = stalls;
        self.map = Some(map);
    }
    fn run(&mut self, test: usize, pairs: u64, queries: &Queries, round: u64) {
        let seed = mix(round + 77);
        let map = self.map.as_ref().expect("filled");
        let keys = |pairs: &[(u32, u64)]| pairs.iter().copied().map(M::key).collect::<Vec<_>>();
        let took = match test {
            0 => dependent(map, pairs, queries.held.len() as u64 / 4, seed),
            1 => independent(map, &keys(&queries.held)),
            2 => independent(map, &keys(&queries.strange)),
            3 => batch(map, &keys(&queries.held)),
            _ if !M::FILLS => return,
            _ => upsert(map, &keys(&queries.held), round),
        };
        self.rounds[test].push(took);
    }
    fn record(&self, records: &mut Records, run: u32, pairs: u64) {
        let mut add = |figure: &str, value: f64| records.add(run, pairs, self.name, figure, value);
        for (test, rounds) in TESTS.iter().zip(&self.rounds).filter(|(_, rounds)| !rounds.is_empty()) {
            add(test, median(rounds));
        }
        let [bytes, least, most] = self.bytes;
        add("bytes", bytes);
        if !M::FILLS {
            return;
        }
        if most > 0.0 {
            add("bytes least", least);
            add("bytes most", most);
        }
        add("fill", self.stalls.latencies.total() as f64 / pairs as f64);
        self.stalls.record(records, run, pairs, self.name);
        if OURS.contains(&self.name) {
            self.stalls.tell(&format!("{}, inserts while growing to {} pairs", self.name, grouped(pairs)), 10);
            // Runs for the same time without work, at most a minute, to find which of the slowest operations the
            // machine causes.
            let long = Duration::from_nanos(self.stalls.latencies.total()).min(Duration::from_secs(60));
            let clock = Stalls::of_the_clock(long);
            clock.tell("the clock alone", 3);
            clock.record(records, run, pairs, "clock");
        }
    }
}

/// The number of pairs after which a long fill prints its progress.
const A_WORD: u64 = 100_000_000;

/// The contenders whose slow inserts are analysed.
const OURS: [&str; 2] = ["ours", "kept"];

fn entry<M: Map + 'static>(name: &'static str, make: impl FnOnce() -> M + 'static) -> Box<dyn Contender> {
    let (make, rounds): (Box<dyn FnOnce() -> M>, _) = (Box::new(make), std::array::from_fn(|_| Vec::new()));
    Box::new(Entry { name, make: Some(make), map: None, bytes: [0.0; 3], stalls: Stalls::begin(), rounds })
}

/// Returns the contender with this name.
fn contender(name: &str, pairs: u64) -> Box<dyn Contender> {
    use std::hash::BuildHasherDefault;
    let hasher = ahash::RandomState::new;
    match name {
        "ours" => entry("ours", move || Ours::new(pairs, false)),
        "kept" => entry("kept", move || Ours::new(pairs, true)),
        "decisions" => entry("decisions", move || Decide::new(pairs)),
        "lines" => entry("lines", move || Lines(vec![[1; 8]; (pairs * 24 / 64) as usize])),
        "dashmap" => entry("dashmap", move || Dash(dashmap::DashMap::with_hasher(hasher()))),
        "horde" => entry("horde", move || Horde(horde::SyncTable::new_with(hasher(), 0))),
        "papaya" => entry("papaya", move || Papaya(papaya::HashMap::with_hasher(hasher()))),
        "scc" => entry("scc", move || Scc(scc::HashIndex::with_hasher(hasher()))),
        "leapfrog" => {
            entry("leapfrog", || Leap(leapfrog::LeapMap::with_capacity_and_hasher(8, BuildHasherDefault::default())))
        }
        "rwlock" => entry("rwlock", move || Locked(std::sync::RwLock::new(hashbrown::HashMap::with_hasher(hasher())))),
        _ => panic!("no contender is named {name}"),
    }
}

/// Runs the contenders in turns at one size.
fn measure(args: &Args, names: &[&str], pairs: u64, run: u32) -> Records {
    let rounds: u64 = args.value("--rounds").unwrap_or(if args.measuring() { 5 } else { 1 });
    let mut contenders: Vec<_> = names.iter().map(|name| contender(name, pairs)).collect();
    for contender in &mut contenders {
        contender.fill(pairs);
    }
    for round in 0..rounds {
        let queries = Queries::new(pairs, ops(args), round);
        for test in 0..TESTS.len() {
            for contender in &mut contenders {
                contender.run(test, pairs, &queries, round);
            }
        }
    }
    let mut records = Records::default();
    for contender in &contenders {
        contender.record(&mut records, run, pairs);
    }
    records.add(run, pairs, "all", "peak GiB", memory::peak() / (1u64 << 30) as f64);
    records
}

/// The number of lookups in a round.
fn ops(args: &Args) -> u64 {
    args.count("--ops").unwrap_or(if args.measuring() { 1 << 20 } else { 1 << 10 })
}

/// Measures as many pairs as the memory holds. First reads random lines over as many bytes, which are freed, and then
/// only our map.
fn capacity(args: &Args) {
    const BYTES_A_PAIR: f64 = 26.5;
    let many = if args.measuring() { (sweep::budget(args, 20.0) / BYTES_A_PAIR) as u64 } else { 100_000 };
    let pairs = args.count("--pairs").unwrap_or(many);
    let name = args.text("--only").unwrap_or("ours");
    println!(
        "{} pairs, {name} alone; the lines were measured before it, over 24 bytes a pair, and given back",
        grouped(pairs)
    );
    let start = Instant::now();
    let mut records = measure(args, &["lines"], pairs, 1);
    println!("the lines took {:.0} s", start.elapsed().as_secs_f64());
    let start = Instant::now();
    records.append(measure(args, &[name], pairs, 1));
    println!("{name} took {:.0} s with everything", start.elapsed().as_secs_f64());
    if let Some(fill) = records.first(pairs, name, "fill") {
        println!("filled in {:.1} s", fill * pairs as f64 / 1e9);
    }
    println!("at most {:.2} GiB resident\n\n{}", memory::peak() / (1u64 << 30) as f64, table::of(&records, pairs));
    for test in &TESTS[..4] {
        if let Some(ratio) = records.ratio(pairs, (name, test), ("lines", test)) {
            println!("{test}: {ratio:.2} x random lines");
        }
    }
    if let Some(file) = args.text("--csv") {
        records.write(file.as_ref()).expect("a file for the figures");
    }
}

/// Measures one size in this process.
fn one_size(args: &Args) {
    let pairs = args.count("--pairs").unwrap_or(if args.measuring() { 1_000_000 } else { 10_000 });
    let run = args.value("--run").unwrap_or(1);
    let mut records = Records::default();
    if args.has("--threads") {
        println!("\n{} pairs, more than one thread", grouped(pairs));
        threads::measure(&mut records, run, pairs, ops(args) / 2);
    } else {
        let all: Vec<_> = sweep::BYTES.iter().map(|(name, _)| *name).collect();
        let names = args.text("--only").map_or(all, |only| only.split(',').collect());
        records.append(measure(args, &names, pairs, run));
    }
    match args.text("--csv") {
        Some(file) => records.write(file.as_ref()).expect("a file for the figures"),
        None => println!("\n{}\n{}", table::of(&records, pairs), checks::tell(&records)),
    }
}

fn main() {
    let args = Args::of_the_program();
    #[cfg(target_os = "linux")]
    if std::env::var_os("GLIBC_TUNABLES").is_none() {
        use std::os::unix::process::CommandExt;
        let error = std::process::Command::new(std::env::current_exe().expect("this program"))
            .args(args.all())
            .env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
            .exec();
        panic!("{error}");
    }
    if args.has("--sweep") {
        sweep::sweep(&args);
    } else if args.has("--compare") {
        sweep::compare(&args);
    } else if args.has("--capacity") {
        capacity(&args);
    } else if let Some(file) = args.text("--draw") {
        sweep::draw(&args, file);
    } else if args.measuring() || args.has("--csv") {
        one_size(&args);
    } else {
        // As a test: everything at a small size.
        sweep::sweep(&args);
        sweep::compare(&args);
        capacity(&args);
    }
}
