//! The upkeep of a store other than purges: the power fails at each of its steps.

#[cfg(feature = "daemon")]
mod export;
#[cfg(feature = "fleet")]
mod fleet_node;
#[cfg(feature = "fleet")]
mod merge;
mod migration;
mod older;
mod restore;
mod shop;
#[cfg(feature = "fleet")]
mod stream;

use super::crash::{Checked, Crashes, Found};
use super::disk::State;
use super::judge::Judge;
use super::plant::Bug;
use super::{memory, recording, setting};
use std::fs;
use std::path::Path;
use std::process::Command;

/// An upkeep that a power failure interrupts. As a [`Judge`], it judges the directory after that. The upkeep is the one
/// entry of the diary: a directory is at 1 if it has the effect of the whole upkeep, and at 0 if it has none.
trait Upkeep: Judge {
    /// Makes what is in the directory `root` before the upkeep.
    fn prepare(&self, root: &Path);

    /// Returns the process that does the upkeep in the directory `root`.
    fn process(&self, root: &Path) -> Command;

    /// How many times as many random crashes as usual there are at each point, for an upkeep of few steps.
    fn effort(&self) -> u64 {
        1
    }

    /// Returns the exit code of the process.
    fn exit_code(&self) -> i32 {
        0
    }
}

/// The number of random crashes at each point, in addition to the two that lose nothing and everything unsynced.
fn choices() -> u64 {
    setting("CRASH_CHOICES", 1)
}

/// Returns the number of states of which one is judged more closely, if it is one in `usual` without random crashes.
/// With more crashes at each point, there are more states alike.
fn one_in(usual: u64) -> u128 {
    u128::from(usual * (choices() + 1))
}

/// Records the upkeep, with a bug if one is given, and interrupts it at each point.
fn interrupt(upkeep: &dyn Upkeep, bug: Option<Bug>, choices: u64) -> Result<Checked, Found> {
    let place = memory();
    let root = place.path().join("before");
    fs::create_dir(&root).expect("made");
    upkeep.prepare(&root);
    let before = State::read(&root).to_disk();
    let mut record = recording::record(&before, upkeep.exit_code(), |root| upkeep.process(root));
    if !record.has_diary() {
        record.keep_diary();
    }
    if let Some(bug) = bug {
        bug.plant(&mut record);
    }
    let seed = setting("CRASH_FIRST_SEED", 1);
    Crashes { record: &record, before: &before, base: 0, judge: upkeep, choices, seed }.check()
}

/// Interrupts the upkeep at each point. Fails if a directory is not good after that, or if no crash left a directory
/// before the upkeep, or none one after it.
fn survives(name: &str, upkeep: &dyn Upkeep) {
    let checked =
        interrupt(upkeep, None, choices() * upkeep.effort()).unwrap_or_else(|found| panic!("{name}: {found}"));
    let Checked { tried, distinct, reached, .. } = checked;
    println!("{name}: {tried} crash points tried, {distinct} distinct states opened, at {reached:?}, losses: 0");
    assert!(reached.keys().eq(&[0, 1]), "{name}: {reached:?}");
}

/// Interrupts the upkeep with a planted bug, which must be found.
fn detects(upkeep: &dyn Upkeep, bug: Option<Bug>) -> Found {
    let found = interrupt(upkeep, bug, 0).err().unwrap_or_else(|| panic!("{bug:?} was not found"));
    println!("{bug:?}: {found}");
    found
}
