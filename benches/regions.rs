//! The time for which a number is read in a region, form by form, as the table of `docs/internals/numbers.md`. The bar: a
//! clean `+` form as without a region, any other form 2 µs.
//!
//! ```text
//! cargo bench --bench regions --features regions
//! ```
//!
//! A figure is the fastest of many short rounds, so that other work of the machine disturbs it little.

use dialback::{Caller, DialPlan};
use std::hint::black_box;
use std::time::Instant;

/// Readings of one round: a millisecond or two.
const READINGS: u32 = 1_000;
/// The longest time of a reading, in nanoseconds.
const BAR: u128 = 2_000;

const FORMS: [(&str, &str); 24] = [
    ("US", "+12125550143"),
    ("GB", "+44 20 7946 0958"),
    ("GB", "+4402079460958"),
    ("GB", "020 7946 0958"),
    ("GB", "2079460958"),
    ("GB", "442079460958"),
    ("GB", "00442079460958"),
    ("GB", "12125550143"),
    ("GB", "266696687"),
    ("US", "(212) 555-0143"),
    ("US", "2125550143"),
    ("US", "5550143"),
    ("US", "72727"),
    ("RU", "88005553535"),
    ("RU", "12125550143"),
    ("BR", "0 21 11 96123-4567"),
    ("AR", "011 15 1234-5678"),
    ("AR", "+541112345678"),
    ("IN", "91234 56789"),
    ("IT", "06 6982"),
    ("AU", "13 12 34"),
    ("PA", "00800690814"),
    ("CN", "86282452253"),
    ("JP", "<sip:0312345678@trunk.example;user=phone>;tag=1"),
];

fn main() {
    // `cargo test --benches` runs each bench once, without this argument.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { 300 } else { 1 };
    println!("| region | text | ns |\n| --- | --- | --- |");
    let by_hand = DialPlan::new("1", "1", "011").expect("a dial plan");
    print("none", "+12125550143", fastest("+12125550143", &by_hand, rounds));
    let mut slowest = 0;
    for (region, text) in FORMS {
        let nanos = fastest(text, &DialPlan::of_region(region).expect("a region"), rounds);
        print(region, text, nanos);
        slowest = slowest.max(nanos);
    }
    let verdict = if slowest <= BAR { "holds" } else { "is missed" };
    println!("\nThe slowest form takes {slowest} ns: the bar of {BAR} ns {verdict}.");
}

/// Returns the nanoseconds of a reading in the fastest round.
fn fastest(text: &str, plan: &DialPlan, rounds: usize) -> u128 {
    let round = || {
        let begun = Instant::now();
        for _ in 0..READINGS {
            black_box(Caller::parse(black_box(text), black_box(plan)));
        }
        begun.elapsed().as_nanos() / u128::from(READINGS)
    };
    (0..rounds).map(|_| round()).min().unwrap_or_default()
}

fn print(region: &str, text: &str, nanos: u128) {
    println!("| {region} | `{text}` | {nanos} |");
}
