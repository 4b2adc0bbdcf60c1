//! The diary: what the recorded process has begun, and what it has acknowledged. It is not on the simulated disk.

use std::fs::File;
use std::io::Write;
use std::path::Path;

/// The name of the diary's file.
pub(super) const NAME: &str = "diary";

pub(super) struct Diary(File);

impl Diary {
    pub(super) fn begin(root: &Path) -> Self {
        Self(File::create(root.join(NAME)).expect("made"))
    }

    pub(super) fn begun(&mut self, number: u64) {
        self.0.write_all(format!("B{number}\n").as_bytes()).expect("written");
    }

    pub(super) fn acknowledged(&mut self, number: u64) {
        self.0.write_all(format!("A{number}\n").as_bytes()).expect("written");
    }
}
