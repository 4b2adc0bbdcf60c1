//! Checks the address space early, because the process aborts without a message if a later allocation fails.

use crate::failure::Failure;
use memmap2::MmapOptions;

const MEGABYTE: usize = 1 << 20;

/// The address space for threads, the storage engine and requests, without the history.
const NEEDED: usize = 256 * MEGABYTE;

/// Checks that there is enough address space left to run. Does not keep it.
///
/// # Errors
/// A limit such as that of `ulimit -v` is too low.
pub(crate) fn check() -> Result<(), Failure> {
    // The mapping is never touched, and released at once.
    let looked = MmapOptions::new().len(NEEDED).no_reserve_swap().map_anon();
    looked.map(drop).map_err(|error| {
        let megabytes = NEEDED / MEGABYTE;
        Failure::new(format!(
            "cannot reserve {megabytes} MB of address space for threads and the store: {error}; raise the limit \
             (ulimit -v, LimitAS) or lower --max-pairs"
        ))
    })
}
