//! The time for which a number is read in a region. The bar: a `+` form as without a region, any other form 2 µs.

use criterion::{Criterion, criterion_group, criterion_main};
use dialback::{Caller, DialPlan};
use std::hint::black_box;

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("number");
    let america = DialPlan::new("1", "1", "011").expect("a dial plan");
    group.bench_function("+12125550143 without a region", |bench| {
        bench.iter(|| Caller::parse(black_box("+12125550143"), &america));
    });
    for (region, text) in [
        ("US", "+12125550143"),
        ("GB", "+44 20 7946 0958"),
        ("GB", "+4402079460958"),
        ("GB", "020 7946 0958"),
        ("GB", "2079460958"),
        ("GB", "442079460958"),
        ("GB", "00442079460958"),
        ("GB", "12125550143"),
        ("US", "(212) 555-0143"),
        ("US", "2125550143"),
        ("US", "72727"),
        ("US", "5550143"),
        ("RU", "88005553535"),
        ("RU", "12125550143"),
        ("BR", "0 21 11 96123-4567"),
        ("AR", "011 15 1234-5678"),
        ("AR", "+541112345678"),
        ("IT", "06 6982"),
        ("AU", "13 12 34"),
        ("JP", "<sip:0312345678@trunk.example;user=phone>;tag=1"),
    ] {
        let plan = DialPlan::of_region(region).expect("a region");
        group.bench_function(format!("{region} {text}"), |bench| bench.iter(|| Caller::parse(black_box(text), &plan)));
    }
    group.finish();
}

criterion_group!(benches, reading);
criterion_main!(benches);
