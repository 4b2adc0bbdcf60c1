//! Durable calls a second: the service compared with the bare storage engine, at equal sizes of groups.
//!
//! `cargo bench --bench commit --features store -- [--calls N] [--rounds R]`
//!
//! *bare* is the storage engine alone: one thread writes batches of pairs, with one sync each. *ours* is the service:
//! calls are submitted one by one, each with its own acknowledgement. The number of pending calls is bounded so that
//! groups of about the intended size form. The bare engine then gets batches of exactly the size that formed. Both
//! use one disk, first as it is and then with 10 ms added to each sync. Rounds are interleaved, and figures are
//! medians.

#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use dialback::history::Register;
use dialback::slot::Scope;
use dialback::store::{Batch, Durability, EventStore, FjallStore, StoreError, Stored};
use dialback::{
    AgentId, Call, Change, DialPlan, Direction, E164, Engine, EnvironmentId, Event, Lookback, NumberId, Outcome,
    Service, Timestamp,
};
use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, Thread, sleep};
use std::time::{Duration, Instant};

const ACME: EnvironmentId = EnvironmentId::from_u128(1);
const AGENT: AgentId = AgentId::from_u128(1);
const LINE: NumberId = NumberId::from_u128(1);
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// A store on a disk whose syncs take longer.
struct Slow(FjallStore, Duration);

impl EventStore for Slow {
    fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.0.commit(batch)?;
        sleep(self.1);
        Ok(())
    }

    fn recover(&mut self, see: &(dyn Fn(Stored) -> Result<(), StoreError> + Sync)) -> Result<(), StoreError> {
        self.0.recover(see)
    }

    fn durability(&self) -> Durability {
        self.0.durability()
    }

    fn erasure(&self, environment: Scope, contact: E164) -> Result<Option<Register>, StoreError> {
        self.0.erasure(environment, contact)
    }
}

/// Bounds the number of pending calls. It is cheap, so that the service dominates the measurement.
struct Window {
    inside: AtomicUsize,
    waiter: Thread,
}

impl Window {
    /// Used only by the thread that submits calls.
    fn new() -> Self {
        Self { inside: AtomicUsize::new(0), waiter: thread::current() }
    }

    fn enter(&self, most: usize) {
        self.wait_below(most);
        self.inside.fetch_add(1, Ordering::SeqCst);
    }

    fn leave(&self, most: usize) {
        let left = self.inside.fetch_sub(1, Ordering::SeqCst) - 1;
        // The waiting thread is woken once for a large part of a group, not for each call.
        if left == most / 2 || left == 0 {
            self.waiter.unpark();
        }
    }

    fn wait_below(&self, most: usize) {
        while self.inside.load(Ordering::SeqCst) >= most {
            thread::park_timeout(Duration::from_millis(1));
        }
    }
}

struct Ours {
    calls_a_second: f64,
    group: usize,
    /// The average nanoseconds from submission to acknowledgement.
    wait: u64,
}

fn ours(calls: usize, group: usize, sync: Duration) -> Ours {
    let directory = tempfile::tempdir().expect("a directory");
    let store = FjallStore::open(directory.path().join("data")).expect("it opens");
    let service =
        Service::builder(Slow(store, sync)).engine(Engine::with_max_pairs(2_000_000)).start().expect("it starts");
    let ours = E164::parse_international("+12125550100").expect("a number");
    let changes = vec![
        Change::EnvironmentSet { name: "acme".into(), dial_plan: DialPlan::NONE, lookback: Lookback::default() },
        Change::NumberAdded { id: LINE, number: ours },
        Change::AgentCreated { id: AGENT, name: "sales".into(), label: None, direction: Direction::Outbound },
        Change::CallingSet { id: AGENT, direction: Direction::Outbound, numbers: Some(vec![LINE]) },
    ];
    service.configure(ACME, NOW, |_| Ok(changes)).expect("it is valid");
    let count = |service: &Service| {
        let (sizes, waits) = (service.commits().group().snapshot(), service.commits().waits().snapshot());
        (sizes.count(), sizes.sum, waits.sum)
    };
    let before = count(&service);
    let window = Arc::new(Window::new());
    let most = 2 * group;
    let began = Instant::now();
    for call in 0..calls {
        window.enter(most);
        let to = E164::from_code(spread(call)).expect("a code");
        let call = Call { environment: ACME, agent: AGENT, from: ours, to, at: NOW, outcome: Outcome::Busy };
        let window = Arc::clone(&window);
        service.submit(vec![Event::Call(call)], move |did| {
            assert!(matches!(did.as_deref(), Ok([Ok(_)])), "it is durable");
            window.leave(most);
        });
    }
    window.wait_below(1);
    let took = began.elapsed();
    let after = count(&service);
    assert_eq!(after.1 - before.1, calls as u64, "every call was in a group");
    Ours {
        calls_a_second: calls as f64 / took.as_secs_f64(),
        group: usize::try_from((after.1 - before.1) / (after.0 - before.0)).expect("small"),
        wait: (after.2 - before.2) / calls as u64,
    }
}

fn bare(calls: usize, group: usize, sync: Duration) -> f64 {
    let directory = tempfile::tempdir().expect("a directory");
    let database = Database::builder(directory.path()).open().expect("it opens");
    let pairs = database.keyspace("pairs", KeyspaceCreateOptions::default).expect("a keyspace");
    let began = Instant::now();
    let mut call = 0;
    while call < calls {
        let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
        for _ in 0..group.min(calls - call) {
            let mut key = [0; 10];
            key[2..].copy_from_slice(&spread(call).to_be_bytes());
            batch.insert(&pairs, key, (call as u64).to_be_bytes());
            call += 1;
        }
        batch.commit().expect("it is written");
        sleep(sync);
    }
    calls as f64 / began.elapsed().as_secs_f64()
}

/// Returns contacts in no particular order.
fn spread(call: usize) -> u64 {
    1 + (call as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) % 899_999_999_999
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let measuring = args.iter().any(|arg| arg == "--bench");
    let option = |name: &str, usual: usize| {
        let place = args.iter().position(|arg| arg == name);
        place.map_or(usual, |place| args[place + 1].parse().expect("a number"))
    };
    let calls = option("--calls", if measuring { 200_000 } else { 2_000 });
    let rounds = option("--rounds", if measuring { 5 } else { 1 });
    println!("| group | a sync takes | bare, records/s | ours, calls/s | ours of bare | group of ours | wait, ms |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for (sync, name) in [(Duration::ZERO, "what it takes"), (Duration::from_millis(10), "10 ms more")] {
        for group in [100, 1_000, 4_000] {
            let calls = if sync.is_zero() { calls } else { calls.min(100 * group) };
            let mut runs: Vec<(f64, f64, f64, f64)> = Vec::new();
            for _ in 0..rounds {
                let ours = ours(calls, group, sync);
                let bare = bare(calls, ours.group, sync);
                runs.push((bare, ours.calls_a_second, ours.group as f64, ours.wait as f64 / 1e6));
            }
            let of = |pick: fn(&(f64, f64, f64, f64)) -> f64| median(runs.iter().map(pick).collect());
            println!(
                "| {group} | {name} | {:.0} | {:.0} | {:.2} | {:.0} | {:.1} |",
                of(|run| run.0),
                of(|run| run.1),
                of(|run| run.1 / run.0),
                of(|run| run.2),
                of(|run| run.3),
            );
        }
    }
}
