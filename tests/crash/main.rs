//! Crash tests with a simulated crash: the store on a disk that distinguishes written and synced data.
//!
//! * A separate process runs the store with the real engine. It records each call that changes a file, and each
//!   acknowledgement (`recorder.c`, `workload.rs`).
//! * The record is replayed on a simulated disk (`disk.rs`). The power fails at each point. Any part of the unsynced
//!   data may have reached the disk, in any order, torn (`crash.rs`).
//! * The remaining data is written into a directory and opened by the real store (`verdict.rs`). It must open, and hold
//!   exactly the first n batches: all acknowledged ones, and none that was not submitted.
//!
//! * Each other upkeep (conversion, restore, export, merge of a snapshot) is crashed in the same way (`upkeep/`).
//!
//! `CRASH_SEEDS` (from `CRASH_FIRST_SEED` on) and `CRASH_CHOICES` (crashes at each point) make longer runs, as in
//! `scripts/crash-tests`. `CRASH_BATCHES` makes shorter ones.
#![cfg(target_os = "linux")]
#![allow(clippy::case_sensitive_file_extension_comparisons)]

mod crash;
mod diary;
mod disk;
mod judge;
mod plant;
mod print;
mod problem;
mod purge;
mod record;
mod recording;
mod rot;
#[path = "../support/mod.rs"]
mod support;
mod upkeep;
mod verdict;
mod workload;

use crash::{Checked, Crashes, Found};
use disk::Disk;
use plant::Bug;
use problem::Problem;
use std::fmt;
use std::path::Path;
use verdict::Verdict;
use workload::Workload;

/// Returns a directory in memory.
fn memory() -> tempfile::TempDir {
    let shared = Path::new("/dev/shm");
    let parent = if shared.is_dir() { shared.to_owned() } else { std::env::temp_dir() };
    tempfile::Builder::new().prefix("dialback-crash-").tempdir_in(parent).expect("a directory")
}

fn setting(name: &str, otherwise: u64) -> u64 {
    support::setting::setting(name).unwrap_or(otherwise)
}

#[derive(Default)]
struct Totals {
    tried: u64,
    distinct: u64,
    recoveries: u64,
    purges: u64,
    purges_with_something: u64,
}

impl Totals {
    fn add(&mut self, checked: &Checked, verdict: &Verdict) {
        self.tried += checked.tried;
        self.distinct += checked.distinct;
        let purges = *verdict.purges.lock().expect("no panic");
        self.purges += purges.0;
        self.purges_with_something += purges.1;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tried, distinct, recoveries, purges, purges_with_something } = self;
        write!(
            f,
            "{tried} crash points tried, {distinct} distinct states opened, {recoveries} recoveries crashed, {purges} purges \
             behind them ({purges_with_something} with something to remove), losses: 0"
        )
    }
}

/// Records a workload and crashes it at all points. Then crashes the recoveries of some of the results.
fn crash_everywhere(seed: u64, choices: u64, batches: u64, bug: Option<Bug>) -> Result<Totals, Found> {
    let empty = Disk::default();
    let workload = Workload { seed, first: 1, batches, reopen_every: 25, purge_every: 30 };
    let mut record = workload.run(&empty);
    match bug {
        Some(bug) => bug.plant(&mut record),
        None => record.expect_rotations(),
    }
    let verdict = Verdict::new(&workload, choices, false);
    let first = Crashes { record: &record, before: &empty, base: 0, judge: &verdict, choices, seed }.check()?;
    let mut totals = Totals::default();
    totals.add(&first, &verdict);
    if bug.is_none() {
        for (index, (number, state)) in first.sample.into_iter().enumerate() {
            let before = state.to_disk();
            // A purge is most of the steps of a recovery that has one.
            let purge_every = if index % 3 == 0 { 5 } else { u64::MAX };
            let workload = Workload { seed, first: number + 1, batches: 5, reopen_every: 3, purge_every };
            let record = workload.run(&before);
            let verdict = Verdict::new(&workload, choices, false);
            let crashes = Crashes { record: &record, before: &before, base: number, judge: &verdict, choices, seed };
            totals.add(&crashes.check()?, &verdict);
            totals.recoveries += 1;
        }
    }
    Ok(totals)
}

#[test]
fn power_failure_at_any_point_loses_no_acknowledged_batch_and_adds_none() {
    let (choices, seeds) = (setting("CRASH_CHOICES", 1), setting("CRASH_SEEDS", 1));
    let batches = setting("CRASH_BATCHES", 70);
    let mut all = Totals::default();
    let first = setting("CRASH_FIRST_SEED", 1);
    for seed in first..first + seeds {
        let totals =
            crash_everywhere(seed, choices, batches, None).unwrap_or_else(|found| panic!("seed {seed}: {found}"));
        all.tried += totals.tried;
        all.distinct += totals.distinct;
        all.recoveries += totals.recoveries;
        all.purges += totals.purges;
        all.purges_with_something += totals.purges_with_something;
        println!("after seed {seed}: {all}");
    }
    assert!(all.tried >= setting("CRASH_AT_LEAST", 5_000), "too few: {all}");
    assert!(all.purges_with_something > 5, "too few purges: {all}");
}

#[test]
fn planted_bug_is_detected() {
    for bug in Bug::ALL {
        let found = crash_everywhere(7, 6, 15, Some(bug));
        let found = found.err().unwrap_or_else(|| panic!("{bug:?} was not found"));
        assert!(bug.shows_as(&found), "{bug:?} shows as {found}");
        println!("{bug:?}: {found}");
    }
}

/// Canary: a purge without the padding, as in an older version, does not recover after each crash, and must be
/// detected.
#[test]
fn planted_purge_of_the_first_edition_is_found() {
    let empty = Disk::default();
    let workload = Workload { seed: 3, first: 1, batches: 12, reopen_every: 50, purge_every: 6 };
    let record = workload.run(&empty);
    let verdict = Verdict::new(&workload, 0, true);
    let crashes = Crashes { record: &record, before: &empty, base: 0, judge: &verdict, choices: 0, seed: 3 };
    let found = crashes.check().err().expect("it must be found");
    assert!(matches!(&found.problem, Problem::NotPurged(why) if why.contains("journals are left")), "{found}");
}
