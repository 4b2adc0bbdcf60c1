//! Checks the tools of the benches: their verdicts, percentiles and output must be right.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "figures for people, from counts that are far below 2^52"
)]

#[path = "../../benches/figures/mod.rs"]
mod bench;

use bench::args::{count, grouped};
use bench::checks::{self, Bar, CHECKS, Verdict};
use bench::records::{Record, Records};
use bench::stalls::{EVERY, Latencies, Stalls};
use bench::{plot, sweep, table, tracked};
use std::time::{Duration, Instant};

const TEN_MILLION: u64 = 10_000_000;

/// Returns a run in which each figure is exactly at its bar.
fn at_the_bars() -> Records {
    let mut records = Records::default();
    for pairs in [10_000, TEN_MILLION] {
        for (contender, figure, value) in [
            ("lines", "dependent", 200.0),
            ("ours", "dependent", 230.0),
            ("decisions", "dependent", 280.0),
            ("dashmap", "dependent", 280.1),
            ("ours", "independent", if pairs == TEN_MILLION { 45.0 } else { 70.0 }),
            ("horde", "independent", 60.0),
            ("dashmap", "independent", 100.0),
            ("ours", "miss", 49.5),
            ("horde", "miss", 41.25),
            ("ours", "batch32", 20.0),
            ("decisions", "batch32", 20.0),
            ("ours", "two threads", 1.9),
            ("ours", "upsert", 65.0),
            ("dashmap", "upsert", 100.0),
            ("ours", "read p99.9", 1000.0),
            ("ours", "read beside a writer p99.9", 1500.0),
            ("ours", "bytes least", 24.0),
            ("kept", "bytes least", 24.0),
            ("ours", "bytes most", 32.0),
            ("kept", "bytes most", 32.0),
            ("ours", "insert max", 1e6),
            ("kept", "insert max", 1e6),
            ("ours", "insert max not preempted", 1e6),
            ("kept", "insert max not preempted", 1e6),
            ("kept", "insert page faults", 0.0),
            ("ours", "crafted", 2.0),
        ] {
            records.add(1, pairs, contender, figure, value);
        }
    }
    records
}

#[test]
fn bar_is_met_at_its_value_and_missed_beyond() {
    let records = at_the_bars();
    for check in CHECKS {
        let pairs = [10_000, TEN_MILLION].into_iter().find(|&pairs| (check.at)(pairs)).expect("some size");
        let verdict = check.verdict(&records, pairs);
        assert!(matches!(verdict, Verdict::Reached(_)), "{}: {verdict:?}", check.name);
        let Verdict::Reached(value) = verdict else { unreachable!() };
        let beyond = if check.bar.is_ceiling() { value * 1.01 + 0.001 } else { value * 0.99 };
        assert!(!check.bar.is_reached(beyond), "{}: {beyond} would do", check.name);
    }
    let told = checks::tell(&records);
    assert!(told.contains(" 0 not reached"), "{told}");
}

#[test]
fn worse_figure_is_reported() {
    let good = at_the_bars();
    let ours = ["ours", "kept", "decisions"];
    let asked = |record: &Record| record.pairs == TEN_MILLION && ours.contains(&record.contender.as_str());
    // If any of our figures gets worse by a tenth, a line reports it.
    for record in good.all().iter().filter(|record| asked(record)) {
        // These two are worse when they are smaller.
        let less = ["two threads", "read p99.9"].contains(&record.figure.as_str());
        let mut records = Records::default();
        for other in good.all() {
            let worse = if less { 0.9 } else { 1.1 };
            // One more of something that should not occur.
            let worsened = if other.value == 0.0 { 1.0 } else { other.value * worse };
            let value = if other == record { worsened } else { other.value };
            records.add(other.run, other.pairs, &other.contender, &other.figure, value);
        }
        let told = checks::tell(&records);
        assert!(told.contains("not reached**"), "{record:?}: {told}");
    }
}

#[test]
fn unmeasured_figure_is_not_judged() {
    let mut records = Records::default();
    records.add(1, TEN_MILLION, "ours", "dependent", 230.0);
    // Lines of another run must not be used for a ratio.
    records.add(2, TEN_MILLION, "lines", "dependent", 200.0);
    assert_eq!(CHECKS[0].verdict(&records, TEN_MILLION), Verdict::NotMeasured);
    records.add(2, TEN_MILLION, "ours", "dependent", 300.0);
    assert_eq!(CHECKS[0].verdict(&records, TEN_MILLION), Verdict::NotReached(1.5));
    assert!(Bar::Below(1.0).is_reached(0.99) && !Bar::Below(1.0).is_reached(1.0));
}

#[test]
fn figures_read_back_from_their_file() {
    let records = at_the_bars();
    assert_eq!(Records::from_csv(&records.to_csv()), Ok(records));
    for broken in ["", "run,pairs\n", "run,pairs,contender,figure,value\n1,2,ours,dependent\n"] {
        assert!(Records::from_csv(broken).is_err(), "{broken:?}");
    }
}

#[test]
fn percentile_error_is_at_most_three_percent() {
    let mut latencies = Latencies::new();
    let mut all: Vec<u64> = (0..100_000u64).map(|i| bench::mix(i) >> (20 + i % 40)).collect();
    for &nanos in &all {
        latencies.add(nanos);
    }
    all.sort_unstable();
    for share in [0.001, 0.5, 0.99, 0.999, 1.0] {
        let exact = all[((all.len() as f64 * share).ceil() as usize).max(1) - 1];
        let told = latencies.percentile(share);
        assert!(told >= exact && told as f64 <= exact as f64 * 1.04 + 1.0, "{share}: {told} for {exact}");
    }
    assert_eq!(latencies.max(), all[all.len() - 1]);
    assert_eq!(latencies.percentile(1.0), latencies.max());
}

/// A slow operation is the operation's own fault unless its thread was preempted or waited for pages.
#[test]
#[cfg(target_os = "linux")]
fn slow_operation_reports_preemption_and_page_faults() {
    let mut stalls = Stalls::begin();
    // The duration exceeds the limit for slow operations. Other processes may preempt many of them, but some stay our
    // own.
    for at in 0..200 {
        let start = Instant::now();
        while start.elapsed() < Duration::from_micros(200) {}
        stalls.note(at);
    }
    let (slow, own) = (stalls.slowest(), stalls.longest_own());
    assert_eq!(slow.len(), 200);
    assert!(slow.iter().any(bench::stalls::Slow::own) && own >= 200_000, "{own}: {slow:?}");
    assert!(slow.windows(2).all(|pair| pair[0].nanos >= pair[1].nanos));

    let mut stalls = Stalls::begin();
    let pages = vec![1u8; 64 << 20];
    stalls.note(0);
    assert!(std::hint::black_box(&pages)[4096] == 1);
    let slow = stalls.slowest();
    assert!(slow[0].system.faults >= 32, "{slow:?}");
    assert!(stalls.longest_own_without_faults() < slow[0].nanos, "{slow:?}");

    // A sleeping thread is neither preempted nor waiting. Two busy threads on one processor preempt each other.
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|threads| {
        let busy = || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        };
        for _ in 0..2 * std::thread::available_parallelism().map_or(2, usize::from) {
            threads.spawn(busy);
        }
        let clock = Stalls::of_the_clock(Duration::from_millis(500));
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let slow = clock.slowest();
        assert!(slow.iter().any(|slow| !slow.own() && slow.system.preempted > 0), "{slow:?}");
        assert!(clock.of_a_milli().0 > clock.of_a_milli().1, "{slow:?}");
    });
}

#[test]
fn fast_operations_are_not_recorded() {
    let stalls = Stalls::of_the_clock(Duration::from_millis(20));
    assert!(stalls.latencies.percentile(0.5) < 20_000);
    assert!(stalls.slowest().len() < 1000 && EVERY > 1);
}

#[test]
fn sweep_runs_contain_their_tables_and_ours() {
    let wanted: Vec<&str> = sweep::BYTES.iter().map(|(name, _)| *name).collect();
    let gib = f64::from(1 << 30);
    assert_eq!(sweep::runs(&wanted, 10_000, 20.0 * gib).0.len(), 1);
    let (runs, left_out) = sweep::runs(&wanted, 50_000_000, 20.0 * gib);
    assert!(runs.len() > 1 && left_out.is_empty(), "{runs:?}");
    let mut seen: Vec<_> = runs.concat();
    for run in &runs {
        assert!(run.contains(&"ours") && run.contains(&"lines"), "{run:?}");
        assert!(sweep::peak(run, 50_000_000) <= 20.0 * gib, "{run:?}");
    }
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), wanted.len());
    // Tables whose figures are divided by one another run together.
    assert!(["ours", "decisions", "lines", "dashmap", "horde"].iter().all(|name| runs[0].contains(name)), "{runs:?}");
    assert_eq!(sweep::runs(&wanted, 50_000_000, 10.0 * gib).1, ["leapfrog"]);
}

#[test]
fn plot_draws_each_series_within_its_frame() {
    let mut records = Records::default();
    for (pairs, ours, lines) in [(10_000, 8.0, 4.0), (1_000_000, 90.0, 60.0), (50_000_000, 300.0, 280.0)] {
        records.add(1, pairs, "ours", "dependent", ours);
        records.add(1, pairs, "lines", "dependent", lines);
    }
    let svg = plot::svg(&records, "a title");
    assert_eq!(svg.matches("<polyline").count(), 2);
    assert!(svg.contains("a title") && svg.contains("random 64-byte lines") && !svg.contains("NaN"), "{svg}");
    let points: Vec<Vec<(f64, f64)>> = svg
        .split("points=\"")
        .skip(1)
        .map(|rest| {
            let list = rest.split('"').next().expect("points");
            let pair = |point: &str| point.split_once(',').and_then(|(x, y)| Some((x.parse().ok()?, y.parse().ok()?)));
            list.split(' ').map(|point| pair(point).expect("a point")).collect()
        })
        .collect();
    for points in points {
        assert_eq!(points.len(), 3);
        // More pairs are further to the right, more nanoseconds further up.
        assert!(points.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 > pair[1].1), "{points:?}");
        assert!(points.iter().all(|(x, y)| (0.0..470.0).contains(x) && (70.0..370.0).contains(y)), "{points:?}");
    }
}

#[test]
fn drift_reports_its_direction() {
    let recorded = tracked::of(&at_the_bars());
    let mut now = Records::default();
    for record in at_the_bars().all() {
        let slower = record.contender == "ours" && ["upsert", "two threads"].contains(&record.figure.as_str());
        let value = if slower { record.value * 0.5 } else { record.value };
        now.add(record.run, record.pairs, &record.contender, &record.figure, value);
    }
    let drift = tracked::drift(&recorded, &now);
    let line = |name: &str| drift.lines().rfind(|line| line.contains(name)).expect("a line").to_owned();
    assert!(line("upsert").ends_with("-50 %, better |"), "{drift}");
    assert!(line("two threads").ends_with("-50 %, worse |"), "{drift}");
    assert!(line("dependent lookup").ends_with("+0 %, as before |"), "{drift}");
}

#[test]
fn tables_contain_the_measured_figures() {
    let records = at_the_bars();
    let text = table::of(&records, TEN_MILLION);
    assert!(text.contains("| 10,000,000 pairs |") && text.contains("| ours | 230 | 45"), "{text}");
    assert!(table::of_threads(&records, TEN_MILLION).is_empty());
    assert!(table::beside(("a", &records), ("b", &records)).contains("| ours | dependent | 230 | 230 | 1.15 | 1.15 |"));
}

#[test]
fn counts_are_parsed_and_printed() {
    assert_eq!((count("1e7"), count("10_000"), count("5e7")), (10_000_000, 10_000, 50_000_000));
    assert_eq!((grouped(7), grouped(1_000), grouped(50_000_000)), ("7".into(), "1,000".into(), "50,000,000".into()));
}
