//! Opens what a crash left, and judges it.

use super::print::Print;
use super::problem::Problem;
use dialback::store::{FjallStore, StoreError};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Judges the directories that crashes leave.
pub(super) trait Judge: Sync {
    /// Returns how far the directory `root` is: the number of the last entry of the diary whose effect it has. `hash`
    /// selects the states that are judged more closely. The directory may be changed.
    ///
    /// # Errors
    /// The problem of this directory.
    fn judge(&self, root: &Path, hash: u128) -> Result<u64, Problem>;
}

/// Opens a store, and returns it with the fingerprint of its content. The first `erased` contacts may be erased.
pub(super) fn open(
    open: impl FnOnce() -> Result<FjallStore, StoreError>,
    erased: usize,
) -> Result<(FjallStore, u128), Problem> {
    let open = || {
        let mut store = open()?;
        let print = Print::of(&mut store, erased)?.0;
        Ok::<_, StoreError>((store, print))
    };
    let opened = catch_unwind(AssertUnwindSafe(open)).map_err(|_| Problem::Refused("it panicked".into()))?;
    opened.map_err(|error| Problem::Refused(error.to_string()))
}
