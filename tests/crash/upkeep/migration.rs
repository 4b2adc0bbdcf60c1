//! Opening a data directory of an older format, which converts it.

use super::older::Older;
use super::shop;
use super::{Upkeep, detects, one_in, survives};
use crate::diary::Diary;
use crate::judge::{self, Judge};
use crate::plant::Bug;
use crate::problem::Problem;
use crate::{purge, recording};
use dialback::Timestamp;
use dialback::store::FjallStore;
use dialback::testing::universe::START;
use std::fs;
use std::path::Path;
use std::process::Command;

struct Migration {
    older: Older,
    /// A number of called contacts that the purges after the crashes should have removed: a planted bug.
    planted: usize,
}

impl Migration {
    fn of(older: Older) -> Self {
        Self { older, planted: 0 }
    }

    /// Opens the directory, which converts it if that is not done. It has the content of the older directory.
    fn open(&self, path: &Path) -> Result<FjallStore, Problem> {
        let (store, print) = judge::open(|| shop::open(path), self.older.shop.erased)?;
        if print == self.older.print().0 { Ok(store) } else { Err(Problem::Incomplete("the content differs".into())) }
    }

    /// Purges the directory, which must be due if erased numbers were in clear.
    fn purge(&self, path: &Path) -> Result<(), Problem> {
        let purged_at = self.open(path)?.upkeep().purged_at(START);
        let purged_at = purged_at.map_err(|error| Problem::NotPurged(error.to_string()))?;
        if self.older.format < 3 && purged_at > Timestamp::from_millis(0) {
            return Err(Problem::NotPurged("it is not due at once".into()));
        }
        let forgotten: Vec<_> = (0..self.older.shop.erased + self.planted).collect();
        purge::run(path, &forgotten, false).map_err(Problem::NotPurged)?;
        self.open(path).map(drop)
    }
}

impl Upkeep for Migration {
    fn prepare(&self, root: &Path) {
        self.older.write(&root.join("data"));
    }

    fn process(&self, _: &Path) -> Command {
        recording::child("upkeep::migration::open_in_this_process")
    }
}

/// Not a test by itself: the child process that is recorded.
#[test]
#[ignore = "other tests run it in a child process"]
fn open_in_this_process() {
    let Some(root) = recording::root() else { return };
    let mut diary = Diary::begin(&root);
    diary.begun(1);
    let store = shop::open(&root.join("data")).expect("it opens");
    diary.acknowledged(1);
    drop(store);
}

fn is_current(path: &Path) -> bool {
    fs::read(path.join("dialback.json")).is_ok_and(|text| text == b"{\"format\":10}\n")
}

impl Judge for Migration {
    fn judge(&self, root: &Path, hash: u128) -> Result<u64, Problem> {
        let path = &root.join("data");
        let was_current = is_current(path);
        self.open(path)?;
        if !is_current(path) {
            return Err(Problem::NotContinued("it is not in the current format".into()));
        }
        match hash % one_in(16) {
            1 => self.purge(path)?,
            2 => drop(self.open(path)?),
            _ => {}
        }
        Ok(u64::from(was_current))
    }
}

fn survives_format(older: Older) {
    survives(&format!("conversion of format {}", older.format), &Migration::of(older));
}

#[test]
fn conversion_that_lost_power_is_repeated_without_loss() {
    for format in [1, 3, 4, 6] {
        survives_format(Older::small(format));
    }
}

#[test]
fn conversion_in_several_batches_that_lost_power_is_repeated_without_loss() {
    for format in [2, 5] {
        survives_format(Older::large(format));
    }
}

#[test]
fn planted_bugs_of_a_conversion_are_detected() {
    for format in [2, 4] {
        let found = detects(&Migration::of(Older::small(format)), Some(Bug::MarkerTooEarly));
        assert!(matches!(found.problem, Problem::Refused(_) | Problem::Incomplete(_)), "{found}");
    }
    let found = detects(&Migration::of(Older::small(5)), Some(Bug::AcknowledgedUnsynced));
    assert!(matches!(found.problem, Problem::Lost { .. }), "{found}");
}

#[test]
fn planted_number_that_a_purge_left_is_detected() {
    let found = detects(&Migration { planted: 1, ..Migration::of(Older::small(1)) }, None);
    assert!(matches!(&found.problem, Problem::NotPurged(why) if why.contains("was erased and is there")), "{found}");
}
