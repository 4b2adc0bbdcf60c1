//! Address space, looked for before it is needed: where an allocation fails later, the process ends without a word.

use crate::failure::Failure;
use memmap2::MmapOptions;

const MEGABYTE: usize = 1 << 20;

/// What threads, the storage engine and requests take, without the history.
const NEEDED: usize = 256 * MEGABYTE;

/// Checks that there is enough of it left to run. Takes none.
///
/// # Errors
/// Where a limit such as that of `ulimit -v` is too low.
pub(crate) fn check() -> Result<(), Failure> {
    // Given back at once, and never touched.
    let looked = MmapOptions::new().len(NEEDED).no_reserve_swap().map_anon();
    looked.map(drop).map_err(|error| {
        let megabytes = NEEDED / MEGABYTE;
        Failure::new(format!(
            "cannot reserve {megabytes} MB of address space for threads and the store: {error}; raise the limit \
             (ulimit -v, LimitAS) or lower --max-pairs"
        ))
    })
}
