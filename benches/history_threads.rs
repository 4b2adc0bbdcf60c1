//! What only more than one thread, or crafted pairs, can show of the history; ratios within one run.
//!
//! `cargo bench --bench history_threads -- [--pairs N]`
//!
//! * two reading threads against one;
//! * a reader's latencies (p50, p99, p99.9, maximum, each under its own name) without and with a writer at full speed;
//! * the longest insert while growing from nothing, with and without a keeper;
//! * crafted pairs against random ones: consecutive contacts, the same low bits, round numbers, all of one number.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::inline_always,
    clippy::type_complexity,
    reason = "figures for people, from counts that are far below 2^52"
)]

use dialback::history::{History, Keeper, Register};
use dialback::{E164, Scope};
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    let x = (x ^ x >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    x ^ x >> 32
}

type Pair = (Scope, E164);

fn pair(scope: u64, contact: u64) -> Pair {
    (Scope::from_bits(scope as u32).expect("24 bits"), E164::from_code(contact).expect("a contact"))
}

fn random(i: u64) -> Pair {
    let x = mix(i + 1);
    pair(((x >> 32) * 100_000) >> 32, 1 + (x.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 15))
}

fn register(i: u64) -> Register {
    Register::from_bits(i + 1).expect("not zero")
}

fn fill(pairs: u64, make: impl Fn(u64) -> Pair) -> History {
    let history = History::new(pairs as usize * 2);
    for i in 0..pairs {
        let (scope, contact) = make(i);
        history.merge(scope, contact, register(i)).expect("room");
    }
    while history.tend() {}
    history
}

fn queries(pairs: u64, seed: u64, make: impl Fn(u64) -> Pair) -> Vec<Pair> {
    (0..1u64 << 19)
        .map(|i| make(((u128::from(mix((seed << 32) | (i + 1))) * u128::from(pairs)) >> 64) as u64))
        .collect()
}

fn nanos_a_read(history: &History, queries: &[Pair]) -> f64 {
    let start = Instant::now();
    let mut sum = 0u64;
    for &(scope, contact) in queries {
        sum = sum.wrapping_add(history.get(scope, contact).map_or(0, Register::bits));
    }
    black_box(sum);
    start.elapsed().as_nanos() as f64 / queries.len() as f64
}

/// How often the system has taken the processor from this thread.
fn preemptions() -> u64 {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("nonvoluntary_ctxt_switches:"));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn percentiles(name: &str, mut nanos: Vec<u32>) -> u32 {
    nanos.sort_unstable();
    let at = |share: f64| nanos[((nanos.len() - 1) as f64 * share) as usize];
    println!(
        "{name:44} p50 {:6} ns  p99 {:6} ns  p99.9 {:7} ns  max {:9} ns",
        at(0.5),
        at(0.99),
        at(0.999),
        nanos[nanos.len() - 1]
    );
    at(0.999)
}

fn latencies(history: &History, queries: &[Pair]) -> Vec<u32> {
    let mut last = Instant::now();
    queries
        .iter()
        .map(|&(scope, contact)| {
            black_box(history.get(scope, contact));
            let now = Instant::now();
            let took = (now - last).as_nanos() as u32;
            last = now;
            took
        })
        .collect()
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    // `cargo bench` says so; without it this is a test that the program runs.
    let measuring = args.iter().any(|arg| arg == "--bench");
    let pairs = args.iter().position(|arg| arg == "--pairs").map(|at| args[at + 1].replace('_', ""));
    let usual = if measuring { 10_000_000 } else { 10_000 };
    let pairs: u64 = pairs.map_or(usual, |pairs| pairs.parse().expect("a number"));
    println!("{pairs} pairs");

    let history = fill(pairs, random);
    let (one, two) = (queries(pairs, 1, random), queries(pairs, 2, random));
    let ratios = (0..7).map(|_| {
        let alone = nanos_a_read(&history, &one);
        let start = Instant::now();
        thread::scope(|threads| {
            threads.spawn(|| nanos_a_read(&history, &two));
            nanos_a_read(&history, &one);
        });
        alone * 2.0 / (start.elapsed().as_nanos() as f64 / one.len() as f64)
    });
    println!("two threads: {:.2} x one", median(ratios.collect()));

    let mut quiet = Vec::new();
    let mut busy = Vec::new();
    for round in 0..5 {
        quiet.extend(latencies(&history, &queries(pairs, 10 + round, random)));
        let done = AtomicBool::new(false);
        thread::scope(|threads| {
            threads.spawn(|| {
                let mut i = 0;
                while !done.load(Ordering::Relaxed) {
                    i += 1;
                    let (scope, contact) = random(((u128::from(mix(i)) * u128::from(pairs)) >> 64) as u64);
                    history.merge(scope, contact, register(pairs + round * pairs + i)).expect("room");
                }
            });
            busy.extend(latencies(&history, &queries(pairs, 20 + round, random)));
            done.store(true, Ordering::Relaxed);
        });
    }
    let quiet = percentiles("a read (and the clock), nobody writes", quiet);
    let busy = percentiles("a read (and the clock), a writer at full speed", busy);
    println!("p99.9 with a writer: {:.2} x without", f64::from(busy) / f64::from(quiet));
    drop(history);

    for kept in [false, true] {
        let history = Arc::new(History::new(pairs as usize * 2));
        let keeper = kept.then(|| Keeper::start(&history).expect("a thread"));
        let mut nanos = vec![0u32; pairs as usize];
        // The longest during which the system certainly did not run something else on this processor.
        let mut longest_own = 0;
        let mut preempted = preemptions();
        let mut last = Instant::now();
        for i in 0..pairs {
            let (scope, contact) = random(i);
            history.merge(scope, contact, register(i)).expect("room");
            let now = Instant::now();
            let took = (now - last).as_nanos() as u32;
            nanos[i as usize] = took;
            last = now;
            if took > 100_000 || i % 1024 == 0 {
                let count = preemptions();
                if count == preempted {
                    longest_own = longest_own.max(took);
                }
                preempted = count;
                last = Instant::now();
            }
        }
        percentiles(if kept { "an insert while growing, kept" } else { "an insert while growing, no keeper" }, nanos);
        println!("longest without being preempted: {longest_own} ns; {:?}", history.stats());
        drop(keeper);
    }

    let crafted: [(&str, fn(u64) -> Pair); 5] = [
        ("random", random),
        ("one number, consecutive contacts", |i| pair(7, 15_550_000_000 + i)),
        ("one number, the same low bits", |i| pair(7, i << 24 | 0x12_3456)),
        ("one number, round contacts", |i| pair(7, (i + 1) * 100_000)),
        ("100 contacts of every number", |i| pair(i / 100, 49_151_000_000 + i % 100)),
    ];
    let mut random_one = 0.0;
    for (name, make) in crafted {
        let start = Instant::now();
        let history = fill(pairs, make);
        let filled = start.elapsed().as_nanos() as f64 / pairs as f64;
        let queries = queries(pairs, 3, make);
        let nanos = median((0..5).map(|_| nanos_a_read(&history, &queries)).collect());
        random_one = if name == "random" { nanos } else { random_one };
        println!("{name:34} {nanos:6.1} ns a read, {:.2} x random; fill {filled:6.1} ns", nanos / random_one);
    }
}
