//! The history's operations one by one, under criterion: the small set for tracking. `history_table` is the wide
//! comparison, and `history_threads` measures several threads.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::inline_always,
    clippy::type_complexity,
    reason = "figures for people, from counts that are far below 2^52"
)]

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use dialback::E164;
use dialback::history::{History, Register, Spot};
use dialback::slot::Scope;
use std::hint::black_box;

const PAIRS: u64 = 1_000_000;
const QUERIES: usize = 1 << 14;

fn mix(x: u64) -> u64 {
    let x = (x ^ x >> 32).wrapping_mul(0xD6E8_FEB8_6659_FD93);
    x ^ x >> 29
}

fn pair(i: u64) -> (Scope, E164) {
    let x = mix(i + 1);
    let scope = Scope::from_bits((x % 1000) as u32).expect("24 bits");
    (scope, E164::from_code(1 + (x >> 15)).expect("a contact"))
}

fn register(i: u64) -> Register {
    Register::from_bits(i + 1).expect("not zero")
}

fn filled() -> History {
    let history = History::new(2 * PAIRS as usize);
    for i in 0..PAIRS {
        let (scope, contact) = pair(i);
        history.merge(scope, contact, register(i)).expect("room");
    }
    while history.tend() {}
    history
}

fn history(c: &mut Criterion) {
    let history = filled();
    let held: Vec<_> = (0..QUERIES as u64).map(|i| pair(mix(i) % PAIRS)).collect();
    let strange: Vec<_> = (0..QUERIES as u64).map(|i| pair(1 << 40 | i)).collect();
    let spots: Vec<(Scope, Spot)> =
        held.iter().map(|&(scope, contact)| (scope, history.spot_in(scope, contact))).collect();

    let mut group = c.benchmark_group("history");
    group.throughput(Throughput::Elements(QUERIES as u64));
    for (name, pairs) in [("get", &held), ("get a stranger", &strange)] {
        group.bench_function(name, |b| {
            b.iter(|| {
                for &(scope, contact) in pairs {
                    black_box(history.get(scope, contact));
                }
            });
        });
    }
    group.bench_function("get in batches of 32", |b| {
        let mut registers = [None; 32];
        b.iter(|| {
            for spots in spots.chunks_exact(32) {
                history.get_batch(spots, &mut registers);
                black_box(&registers);
            }
        });
    });
    group.bench_function("merge", |b| {
        let mut round = PAIRS;
        b.iter(|| {
            round += 1;
            for &(scope, contact) in &held {
                let _ = black_box(history.merge(scope, contact, register(round)));
            }
        });
    });
    group.bench_function("insert, growing from nothing", |b| {
        b.iter_batched_ref(
            || History::new(2 * PAIRS as usize),
            |history| {
                for i in 0..QUERIES as u64 {
                    let (scope, contact) = pair(i);
                    let _ = black_box(history.merge(scope, contact, register(i)));
                }
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, history);
criterion_main!(benches);
