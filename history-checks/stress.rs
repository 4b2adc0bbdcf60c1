//! Writers, readers, iteration, expiry and growth on one history for some seconds, with all possible checks. It is
//! meant for `ThreadSanitizer`; see `scripts/tsan`.
//!
//! `history_stress [SECONDS] [--plant]`: `--plant` adds a data race, to show that the checker reports it.
#![allow(unsafe_code, clippy::cast_possible_truncation)]

use dialback::E164;
use dialback::history::{History, Keeper, Register};
use dialback::slot::Scope;
use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CONTACTS: u64 = 300_000;

struct Planted(UnsafeCell<u64>);
// SAFETY: intentionally unsound; accessed only with `--plant`.
unsafe impl Sync for Planted {}
static PLANTED: Planted = Planted(UnsafeCell::new(0));

fn plant() {
    // SAFETY: none. This is the planted data race.
    unsafe { *PLANTED.0.get() += 1 };
}

fn mix(n: u64) -> u64 {
    let n = (n ^ n >> 31).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (n ^ n >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 8
}

fn pair(n: u64) -> (Scope, E164) {
    let scope = Scope::from_bits((n % 3) as u32).expect("in range");
    (scope, E164::from_code(n % CONTACTS + 1).expect("in range"))
}

fn register(bits: u64) -> Register {
    Register::from_bits(bits).expect("not zero")
}

fn main() {
    let planted = std::env::args().any(|arg| arg == "--plant");
    let seconds = std::env::args().nth(1).and_then(|arg| arg.parse().ok()).unwrap_or(10);
    let history = Arc::new(History::new(10_000_000));
    let keeper = Keeper::start(&history).expect("a thread");
    let until = Instant::now() + Duration::from_secs(seconds);
    let stop = AtomicBool::new(false);
    // The acknowledged register of each contact in the third scope, which never expires and has no duplicates.
    let acknowledged: Vec<AtomicU64> = (0..CONTACTS).map(|_| AtomicU64::new(0)).collect();
    let (writes, reads, walks) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|threads| {
        let (history, stop, acknowledged) = (&history, &stop, &acknowledged);
        let (writes, reads, walks) = (&writes, &reads, &walks);
        for t in 0..2u64 {
            threads.spawn(move || {
                let mut n = t;
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    let (scope, contact) = pair(mix(n << 1 | t));
                    history.merge(scope, contact, register(n + 1)).expect("room");
                    acknowledged_at(acknowledged, scope, contact).fetch_max(n + 1, Ordering::Release);
                    if planted {
                        plant();
                    }
                    // New pairs are added too, so that the history grows and expires pairs.
                    let new = E164::from_code(1 << 40 | n << 1 | t).expect("in range");
                    history.merge(Scope::from_bits(9).expect("in range"), new, register(n + 1)).expect("room");
                    writes.fetch_add(2, Ordering::Relaxed);
                }
            });
        }
        for t in 0..2u64 {
            threads.spawn(move || {
                let mut n = t << 32;
                while !stop.load(Ordering::Relaxed) {
                    n += 1;
                    let (scope, contact) = pair(mix(n));
                    let least = acknowledged_at(acknowledged, scope, contact).load(Ordering::Acquire);
                    let first = history.get(scope, contact).map_or(0, Register::bits);
                    let second = history.get(scope, contact).map_or(0, Register::bits);
                    assert!(least <= first && first <= second, "{least} {first} {second}");
                    if planted {
                        plant();
                    }
                    reads.fetch_add(2, Ordering::Relaxed);
                }
            });
        }
        threads.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let mut pairs = 0u64;
                history.for_each(|_, _, _| pairs += 1);
                walks.fetch_add(1, Ordering::Relaxed);
                history.retire(Scope::from_bits(9).expect("in range"));
            }
        });
        while Instant::now() < until {
            thread::sleep(Duration::from_millis(20));
        }
        stop.store(true, Ordering::Relaxed);
    });
    drop(keeper);
    for n in 0..CONTACTS {
        for scope in 0..3 {
            let (scope, contact) =
                (Scope::from_bits(scope).expect("in range"), E164::from_code(n + 1).expect("in range"));
            let least = acknowledged_at(&acknowledged, scope, contact).load(Ordering::Acquire);
            if scope.bits() == (n % 3) as u32 {
                assert!(history.get(scope, contact).map_or(0, Register::bits) >= least, "lost");
            }
        }
    }
    println!(
        "{} writes, {} reads, {} walks, {:?}",
        writes.into_inner(),
        reads.into_inner(),
        walks.into_inner(),
        history.stats()
    );
}

/// Contacts and scopes are selected by the same remainder, so one word a contact is enough.
fn acknowledged_at(acknowledged: &[AtomicU64], _: Scope, contact: E164) -> &AtomicU64 {
    &acknowledged[contact.code() as usize - 1]
}
