//! Figures of the history that need several threads or crafted pairs, as ratios within one run.

use super::args::grouped;
use super::records::Records;
use super::stalls::Latencies;
use super::{median, mix};
use dialback::E164;
use dialback::history::{History, Register};
use dialback::slot::Scope;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

type Pair = (Scope, E164);

/// Crafted pairs are measured up to this size, because each set is filled again.
pub(crate) const MOST_CRAFTED: u64 = 10_000_000;

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

fn queries(pairs: u64, many: u64, seed: u64, make: impl Fn(u64) -> Pair) -> Vec<Pair> {
    (0..many).map(|i| make(((u128::from(mix((seed << 32) | (i + 1))) * u128::from(pairs)) >> 64) as u64)).collect()
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

fn read_one_by_one(history: &History, queries: &[Pair], latencies: &mut Latencies) {
    let mut last = Instant::now();
    for &(scope, contact) in queries {
        black_box(history.get(scope, contact));
        let now = Instant::now();
        latencies.add((now - last).as_nanos() as u64);
        last = now;
    }
}

/// Measures all of them at this size, with this many lookups a round.
pub(crate) fn measure(records: &mut Records, run: u32, pairs: u64, ops: u64) {
    let history = fill(pairs, random);
    records.add(run, pairs, "ours", "two threads", two_threads(&history, pairs, ops));
    beside_a_writer(&history, records, run, pairs, ops);
    drop(history);
    if pairs <= MOST_CRAFTED {
        records.add(run, pairs, "ours", "crafted", crafted(pairs, ops));
    }
}

/// Measures the throughput of two reading threads relative to one.
fn two_threads(history: &History, pairs: u64, ops: u64) -> f64 {
    let (one, two) = (queries(pairs, ops, 1, random), queries(pairs, ops, 2, random));
    let ratios: Vec<_> = (0..7)
        .map(|_| {
            let alone = nanos_a_read(history, &one);
            let start = Instant::now();
            thread::scope(|threads| {
                threads.spawn(|| nanos_a_read(history, &two));
                nanos_a_read(history, &one);
            });
            alone * 2.0 / (start.elapsed().as_nanos() as f64 / one.len() as f64)
        })
        .collect();
    let ratio = median(&ratios);
    println!("two threads: {ratio:.2} x one");
    ratio
}

/// Measures a reader's latencies without and with a writer at full speed, in turns.
fn beside_a_writer(history: &History, records: &mut Records, run: u32, pairs: u64, ops: u64) {
    let (mut quiet, mut busy) = (Latencies::new(), Latencies::new());
    for round in 0..5 {
        read_one_by_one(history, &queries(pairs, ops, 10 + round, random), &mut quiet);
        let done = AtomicBool::new(false);
        let queries = queries(pairs, ops, 20 + round, random);
        thread::scope(|threads| {
            threads.spawn(|| {
                let mut i = 0;
                while !done.load(Ordering::Relaxed) {
                    i += 1;
                    let (scope, contact) = random(((u128::from(mix(i)) * u128::from(pairs)) >> 64) as u64);
                    history.merge(scope, contact, register(pairs + round * pairs + i)).expect("room");
                }
            });
            read_one_by_one(history, &queries, &mut busy);
            done.store(true, Ordering::Relaxed);
        });
    }
    for (latencies, what) in [(&quiet, "read"), (&busy, "read beside a writer")] {
        latencies.record(records, run, pairs, "ours", what);
        print!("{what} (and the clock):");
        for (name, nanos) in latencies.named() {
            print!(" {name} {} ns;", grouped(nanos));
        }
        println!();
    }
}

/// Measures the slowest crafted set's reads relative to random ones.
fn crafted(pairs: u64, ops: u64) -> f64 {
    let sets: [(&str, fn(u64) -> Pair); 5] = [
        ("random", random),
        ("one number, consecutive contacts", |i| pair(7, 15_550_000_000 + i)),
        ("one number, the same low bits", |i| pair(7, i << 24 | 0x12_3456)),
        ("one number, round contacts", |i| pair(7, (i + 1) * 100_000)),
        ("100 contacts of every number", |i| pair(i / 100, 49_151_000_000 + i % 100)),
    ];
    let (mut random_one, mut worst) = (0.0, 0.0_f64);
    for (name, make) in sets {
        let start = Instant::now();
        let history = fill(pairs, make);
        let filled = start.elapsed().as_nanos() as f64 / pairs as f64;
        let queries = queries(pairs, ops, 3, make);
        let nanos = median(&(0..5).map(|_| nanos_a_read(&history, &queries)).collect::<Vec<_>>());
        random_one = if name == "random" { nanos } else { random_one };
        worst = if name == "random" { worst } else { worst.max(nanos / random_one) };
        println!("{name:34} {nanos:6.1} ns a read, {:.2} x random; fill {filled:6.1} ns", nanos / random_one);
    }
    worst
}
