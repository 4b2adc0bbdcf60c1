//! The history beside its rivals and beside the memory itself, in one interleaved run, as a table.
//!
//! `cargo bench --bench history_table -- [--pairs N] [--only a,b,c] [--rounds R] [--ops N]`
//!
//! Every figure is the median of rounds in which the contenders take turns. Huge pages for all: ours asks for them, and
//! for the rivals the program starts itself again with glibc told to.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::inline_always,
    clippy::type_complexity,
    reason = "figures for people, from counts that are far below 2^52"
)]

use dialback::history::{History, Keeper, Register};
use dialback::{
    AgentId, Call, Caller, Change, Decision, DialPlan, Direction, E164, Engine, EnvironmentId, Event, Lookback,
    NumberId, Outcome, Reason, Route, Scope, Timestamp,
};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

const NUMBERS: u64 = 100_000;

fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let x = (x ^ x >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    x ^ x >> 32
}

/// The pair with this index: scope and contact.
#[inline(always)]
fn pair(i: u64) -> (u32, u64) {
    let x = mix(i + 1);
    let scope = ((x >> 32) * NUMBERS) >> 32;
    (scope as u32, 1 + (x.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 15))
}

/// The dialed number behind a scope.
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
    /// A pair as the map takes it: made beforehand, so that nobody's check of an argument is measured.
    type Key: Copy;
    fn key(pair: (u32, u64)) -> Self::Key;
    fn insert(&self, key: Self::Key, value: u64) {
        self.upsert(key, value);
    }
    fn get(&self, key: Self::Key) -> u64;
    fn upsert(&self, key: Self::Key, value: u64);
    /// Whatever is left to do once nothing is written.
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
    /// As a decision has them: the dialed number and the contact are known, and the scope from the plan.
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

/// Whole decisions: a plan of 100,000 numbers and 10,000 agents, half of them sources, half of them callback agents that own
/// twenty numbers each; every pair is matched.
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
        self.0.apply(&Event::Call(call)).expect("room");
    }
    #[inline(always)]
    fn batch(&self, keys: &[Self::Key]) -> u64 {
        let calls: [_; 32] = std::array::from_fn(|at| (keys[at].1, Caller::Number(keys[at].2)));
        let nothing = Decision { route: Route::Unrouted, reason: Reason::UnknownNumber, call: None, generation: 0 };
        let mut decisions = [nothing; 32];
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
        self.0.lock().write().insert_new(pair, value, None);
        horde::collect::collect();
    }
    #[inline(always)]
    fn get(&self, pair: (u32, u64)) -> u64 {
        horde::collect::pin(|pin| self.0.read(pin).get(&pair, None).map_or(0, |(_, v)| *v))
    }
    #[inline(always)]
    fn upsert(&self, pair: (u32, u64), value: u64) {
        // Registers cannot be changed in place through a shared reader; the value would be an atomic in real use. The
        // closest to an upsert: find it under the writers' lock and write through an atomic at its address.
        let mut write = self.0.lock();
        if let Some((_, v)) = write.read().get(&pair, None) {
            black_box((*v).max(value));
            return;
        }
        write.write().insert_new(pair, value, None);
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

/// Random lines of as many bytes as ours takes: what the memory itself gives.
struct Lines(Vec<[u64; 8]>);
impl Map for Lines {
    type Key = (u32, u64);
    #[inline(always)]
    fn key(pair: (u32, u64)) -> Self::Key {
        pair
    }
    fn insert(&self, _: (u32, u64), _: u64) {}
    #[inline(always)]
    fn get(&self, (scope, contact): (u32, u64)) -> u64 {
        let at = pick((contact ^ u64::from(scope)).wrapping_mul(0x9E37_79B9_7F4A_7C15), self.0.len() as u64);
        // SAFETY-free: plain indexing, one word of the line.
        self.0[at as usize][contact as usize & 7]
    }
    fn upsert(&self, _: (u32, u64), _: u64) {}
    #[inline(always)]
    fn batch(&self, pairs: &[(u32, u64)]) -> u64 {
        pairs.iter().fold(0, |sum, &pair| sum.wrapping_add(self.get(pair)))
    }
}

#[derive(Default)]
struct Figures {
    name: &'static str,
    fill: f64,
    bytes: f64,
    longest: f64,
    p999: f64,
    rounds: [Vec<f64>; 5],
}

const TESTS: [&str; 5] = ["dependent", "independent", "miss", "batch32", "upsert"];

#[inline(never)]
fn dependent<M: Map>(map: &M, pairs: u64, ops: u64, seed: u64) -> f64 {
    let start = Instant::now();
    let mut state = seed;
    for _ in 0..ops {
        let value = map.get(M::key(pair(pick(state, pairs))));
        // The top bit of a register is never set, which the compiler does not know.
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

fn resident() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
}

/// The pairs of a round: the same for all, made beforehand, so that making them costs no contender anything.
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
    fn fill(&mut self, pairs: u64);
    fn run(&mut self, test: usize, pairs: u64, queries: &Queries, round: u64);
    fn figures(&mut self) -> &mut Figures;
}

struct Entry<M: Map> {
    map: M,
    figures: Figures,
}

impl<M: Map> Contender for Entry<M> {
    fn fill(&mut self, pairs: u64) {
        let before = resident();
        let start = Instant::now();
        let mut slow = Vec::new();
        let mut last = start;
        for i in 0..pairs {
            self.map.insert(M::key(pair(i)), register(i));
            let now = Instant::now();
            let took = (now - last).as_nanos() as u64;
            last = now;
            if took > 2_000 {
                slow.push(took);
            }
        }
        self.figures.fill = start.elapsed().as_nanos() as f64 / pairs as f64;
        self.map.settle();
        self.figures.bytes = (resident() - before) / pairs as f64;
        slow.sort_unstable();
        self.figures.longest = slow.last().copied().unwrap_or(0) as f64 / 1e6;
        let rank = (pairs / 1000) as usize;
        self.figures.p999 = if slow.len() > rank { slow[slow.len() - rank] as f64 / 1e3 } else { 0.0 };
    }
    fn run(&mut self, test: usize, pairs: u64, queries: &Queries, round: u64) {
        let seed = mix(round + 77);
        let map = &self.map;
        let keys = |pairs: &[(u32, u64)]| pairs.iter().copied().map(M::key).collect::<Vec<_>>();
        let took = match test {
            0 => dependent(map, pairs, queries.held.len() as u64 / 4, seed),
            1 => independent(map, &keys(&queries.held)),
            2 => independent(map, &keys(&queries.strange)),
            3 => batch(map, &keys(&queries.held)),
            _ => upsert(map, &keys(&queries.held), round),
        };
        self.figures.rounds[test].push(took);
    }
    fn figures(&mut self) -> &mut Figures {
        &mut self.figures
    }
}

fn entry<M: Map + 'static>(name: &'static str, map: M) -> Box<dyn Contender> {
    Box::new(Entry { map, figures: Figures { name, ..Figures::default() } })
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| args.iter().position(|a| a == name).map(|at| args[at + 1].clone());
    #[cfg(target_os = "linux")]
    if std::env::var_os("GLIBC_TUNABLES").is_none() {
        use std::os::unix::process::CommandExt;
        let error = std::process::Command::new(std::env::current_exe().unwrap())
            .args(&args[1..])
            .env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
            .exec();
        panic!("{error}");
    }
    // `cargo bench` says so; without it this is a test that the program runs.
    let measuring = args.iter().any(|arg| arg == "--bench");
    let pairs: u64 =
        value("--pairs").map_or(if measuring { 1_000_000 } else { 10_000 }, |n| n.replace('_', "").parse().unwrap());
    let rounds: u64 = value("--rounds").map_or(5, |n| n.parse().unwrap());
    let ops: u64 = value("--ops").map_or(if measuring { 1 << 20 } else { 1 << 10 }, |n| n.parse().unwrap());
    let only = value("--only");
    let wanted = |name: &str| only.as_ref().is_none_or(|only| only.split(',').any(|o| o == name));
    let hasher = ahash::RandomState::new;

    let mut contenders: Vec<Box<dyn Contender>> = Vec::new();
    if wanted("ours") {
        contenders.push(entry("ours", Ours::new(pairs, false)));
    }
    if only.as_ref().is_some_and(|only| only.contains("kept")) {
        contenders.push(entry("kept", Ours::new(pairs, true)));
    }
    if wanted("decisions") {
        contenders.push(entry("decisions", Decide::new(pairs)));
    }
    if wanted("lines") {
        contenders.push(entry("lines", Lines(vec![[1; 8]; (pairs * 24 / 64) as usize])));
    }
    if wanted("dashmap") {
        contenders.push(entry("dashmap", Dash(dashmap::DashMap::with_hasher(hasher()))));
    }
    if wanted("horde") {
        contenders.push(entry("horde", Horde(horde::SyncTable::new_with(hasher(), 0))));
    }
    if wanted("papaya") {
        contenders.push(entry("papaya", Papaya(papaya::HashMap::with_hasher(hasher()))));
    }
    if wanted("scc") {
        contenders.push(entry("scc", Scc(scc::HashIndex::with_hasher(hasher()))));
    }
    if wanted("leapfrog") {
        contenders.push(entry(
            "leapfrog",
            Leap(leapfrog::LeapMap::with_capacity_and_hasher(8, std::hash::BuildHasherDefault::default())),
        ));
    }
    if wanted("rwlock") {
        contenders.push(entry("rwlock", Locked(std::sync::RwLock::new(hashbrown::HashMap::with_hasher(hasher())))));
    }
    for contender in &mut contenders {
        contender.fill(pairs);
    }
    for round in 0..rounds {
        let queries = Queries::new(pairs, ops, round);
        for test in 0..TESTS.len() {
            for contender in &mut contenders {
                contender.run(test, pairs, &queries, round);
            }
        }
    }
    println!("{pairs} pairs, ns, medians of {rounds} rounds");
    print!("{:10}", "");
    for test in TESTS {
        print!("{test:>12}");
    }
    println!("{:>10}{:>10}{:>14}{:>12}", "fill", "bytes", "longest ms", "p99.9 µs");
    for contender in &mut contenders {
        let figures = contender.figures();
        print!("{:10}", figures.name);
        for test in &figures.rounds {
            print!("{:12.1}", median(test));
        }
        println!("{:10.1}{:10.1}{:14.3}{:12.1}", figures.fill, figures.bytes, figures.longest, figures.p999);
    }
}
