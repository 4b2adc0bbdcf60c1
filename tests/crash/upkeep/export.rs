//! `dialback export` to a file, with and without `--salvage`.

use super::shop::{self, Shop};
use super::{Upkeep, detects, one_in, survives};
use crate::disk::State;
use crate::judge::Judge;
use crate::memory;
use crate::plant::Bug;
use crate::problem::Problem;
use dialback::store;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

const SHOP: Shop = Shop { erased: 40, calls: 2500 };
const FILE: &str = "backup.ndjson";

/// An export of a data directory.
struct Export {
    /// Whether a table is damaged, and its records are skipped.
    is_salvage: bool,
    /// The export of the directory before.
    expected: OnceLock<Vec<u8>>,
}

impl Export {
    fn new(is_salvage: bool) -> Self {
        Self { is_salvage, expected: OnceLock::new() }
    }

    /// Exports the directory in this process.
    fn exported(&self, path: &Path) -> Result<Vec<u8>, store::StoreError> {
        let mut export = Vec::new();
        shop::open(path)?.exporter().export(&mut export, self.is_salvage)?;
        Ok(export)
    }

    /// Returns whether the file has been exported. A file with another content is an error.
    fn is_done(&self, root: &Path) -> Result<bool, Problem> {
        let Ok(file) = fs::read(root.join(FILE)) else { return Ok(false) };
        if Some(&file) == self.expected.get() { Ok(true) } else { Err(Problem::Incomplete(FILE.into())) }
    }

    /// Runs the program again, which replaces the files of the first run, and restores the export. A whole export is
    /// replaced only if the command says so.
    fn repeat(&self, root: &Path, is_done: bool) -> Result<(), Problem> {
        let mut process = self.process(root);
        process.args(is_done.then_some("--overwrite"));
        let output = process.output().expect("it runs");
        if output.status.code() != Some(self.exit_code()) {
            return Err(Problem::NotContinued(format!("{output:?}")));
        }
        if !self.is_done(root)? || fs::read_dir(root).expect("a directory").count() != 2 {
            return Err(Problem::NotContinued("the file is missing, or another one is left".into()));
        }
        let restored = store::restore(root.join("restored"), &fs::read(root.join(FILE)).expect("readable")[..]);
        restored.map_err(|error| Problem::NotContinued(error.to_string()))?;
        if self.is_salvage { Ok(()) } else { SHOP.expect_at(&root.join("restored")).map(drop) }
    }
}

/// Flips a byte in the middle of a table with calls, so that only a salvage is possible.
fn damage(root: &Path) {
    let state = State::read(root);
    let place = memory();
    let copy = place.path().join("copy");
    let tables = state.lengths().filter(|(name, ..)| name.contains("/tables/"));
    let places = tables.flat_map(|(name, _, len)| (1..8).map(move |part| (name.clone(), len / 8 * part)));
    let flipped = places.map(|(name, at)| state.flipped(&name, at, 0x40));
    let is_salvageable = |state: &State| {
        state.write(&copy);
        let export = |salvage| shop::open(&copy.join("data"))?.exporter().export(&mut Vec::new(), salvage);
        let is_salvageable = export(false).is_err() && export(true).is_ok_and(|exported| exported.passed_over > 0);
        fs::remove_dir_all(&copy).expect("removed");
        is_salvageable
    };
    let damaged = { flipped }.find(is_salvageable).expect("a table with calls");
    fs::remove_dir_all(root).expect("removed");
    damaged.write(root);
}

impl Upkeep for Export {
    fn prepare(&self, root: &Path) {
        let path = &root.join("data");
        drop(SHOP.fill(path));
        if self.is_salvage {
            // A purge writes the calls into a table. Before it they may all be in the journal.
            SHOP.purge(path).expect("purged");
            damage(root);
        }
        let exported = self.exported(path).expect("it opens");
        let last = exported.trim_ascii_end().rsplit(|byte| *byte == b'\n').next().expect("a line");
        let last: serde_json::Value = serde_json::from_slice(last).expect("JSON");
        assert_eq!(last["end"]["passed_over"] != 0, self.is_salvage, "{last}");
        self.expected.set(exported).expect("prepared once");
    }

    fn process(&self, root: &Path) -> Command {
        let mut process = Command::new(env!("CARGO_BIN_EXE_dialback"));
        process.arg("export").arg(root.join(FILE)).arg("--data").arg(root.join("data"));
        process.args(self.is_salvage.then_some("--salvage"));
        process
    }

    fn effort(&self) -> u64 {
        8
    }

    /// A salvage that skipped something ends with 3.
    fn exit_code(&self) -> i32 {
        if self.is_salvage { 3 } else { 0 }
    }
}

impl Judge for Export {
    fn judge(&self, root: &Path, hash: u128) -> Result<u64, Problem> {
        let path = &root.join("data");
        let is_done = self.is_done(root)?;
        if !self.is_salvage {
            SHOP.expect_at(path)?;
        }
        let exported = self.exported(path).map_err(|error| Problem::Refused(error.to_string()))?;
        if Some(&exported) != self.expected.get() {
            return Err(Problem::Incomplete("the data directory has changed".into()));
        }
        // Few states have the whole file.
        if is_done || hash % one_in(10) == 1 {
            self.repeat(root, is_done)?;
        }
        if !self.is_salvage && hash % one_in(10) == 2 {
            SHOP.purge(path)?;
        }
        Ok(u64::from(is_done))
    }
}

#[test]
fn export_that_lost_power_left_the_whole_file_or_none() {
    survives("export", &Export::new(false));
    survives("salvage", &Export::new(true));
}

#[test]
fn planted_bugs_of_an_export_are_detected() {
    let found = detects(&Export::new(false), Some(Bug::FileUnsynced));
    assert!(matches!(found.problem, Problem::Incomplete(_)), "{found}");
    let found = detects(&Export::new(true), Some(Bug::AcknowledgedUnsynced));
    assert!(matches!(found.problem, Problem::Lost { .. }), "{found}");
    let found = detects(&Export::new(false), Some(Bug::JournalRemoved));
    assert!(matches!(found.problem, Problem::Refused(_) | Problem::Incomplete(_)), "{found}");
}
