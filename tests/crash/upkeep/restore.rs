//! Restoring an export into a new data directory.

use super::shop::{self, Shop};
use super::{Upkeep, detects, one_in, survives};
use crate::diary::Diary;
use crate::judge::{self, Judge};
use crate::plant::Bug;
use crate::print::Print;
use crate::problem::Problem;
use crate::recording;
use dialback::store::{self, FjallStore};
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;
use std::process::Command;

/// More calls than are written together.
const SHOP: Shop = Shop { erased: 40, calls: 4500 };

struct Restore;

impl Upkeep for Restore {
    fn prepare(&self, root: &Path) {
        let store = SHOP.fill(&root.join("source"));
        let mut export = Vec::new();
        store.exporter().export(&mut export, false).expect("readable");
        drop(store);
        fs::remove_dir_all(root.join("source")).expect("removed");
        fs::write(root.join("export"), export).expect("written");
    }

    fn process(&self, _: &Path) -> Command {
        recording::child("upkeep::restore::restore_in_this_process")
    }
}

/// Restores the export in `root`.
fn restore(root: &Path) -> Result<(), store::StoreError> {
    let export = BufReader::new(File::open(root.join("export")).expect("readable"));
    store::restore(root.join("data"), export).map(|_| ())
}

/// Not a test by itself: the child process that is recorded.
#[test]
#[ignore = "other tests run it in a child process"]
fn restore_in_this_process() {
    let Some(root) = recording::root() else { return };
    let mut diary = Diary::begin(&root);
    diary.begun(1);
    restore(&root).expect("restored");
    diary.acknowledged(1);
}

impl Judge for Restore {
    /// A directory that is accepted as complete must be. Any other holds nothing, and can be restored again.
    fn judge(&self, root: &Path, hash: u128) -> Result<u64, Problem> {
        let path = &root.join("data");
        let is_complete = FjallStore::look(path).map_err(|error| Problem::Refused(error.to_string()))?;
        let close_one_in = one_in(16);
        if !is_complete && hash % close_one_in == 2 {
            let (_, print) = judge::open(|| shop::open(path), SHOP.erased)?;
            let is_empty = print == Print::default().0;
            return if is_empty { Ok(0) } else { Err(Problem::Incomplete("a part of the export opens".into())) };
        }
        let is_close = hash % close_one_in == 1;
        if !is_complete && is_close {
            restore(root).map_err(|error| Problem::NotContinued(error.to_string()))?;
        }
        if is_complete || is_close {
            SHOP.expect_at(path)?;
        }
        if is_close {
            SHOP.purge(path)?;
        }
        Ok(u64::from(is_complete))
    }
}

#[test]
fn restore_that_lost_power_is_complete_or_can_be_repeated() {
    survives("restore", &Restore);
}

#[test]
fn planted_bugs_of_a_restore_are_detected() {
    let found = detects(&Restore, Some(Bug::MarkerTooEarly));
    assert!(matches!(found.problem, Problem::Incomplete(_)), "{found}");
    let found = detects(&Restore, Some(Bug::AcknowledgedUnsynced));
    assert!(matches!(found.problem, Problem::Lost { .. }), "{found}");
}
