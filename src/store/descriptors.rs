//! How many file descriptors the store takes, and how many this process may have.
//!
//! The engine keeps table files open between uses. Left alone it keeps up to 900, whatever the process may have, and fails for good
//! when there is no descriptor for a journal. Here it gets a quarter of the limit, and the rest of what it needs is known.

/// The most table files that are kept open.
const MOST_CACHED: u64 = 900;

/// The fewest: less makes each read of the store open a file.
const FEWEST_CACHED: u64 = 16;

/// What is open for a while: journals, tables that are being written and read whole, directories, the lock, an export.
const WORKING: u64 = 64;

/// How many descriptors this process may have now; `None`: as many as it likes.
#[cfg(unix)]
pub fn limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// How many descriptors this process may have now; `None`: as many as it likes.
#[cfg(not(unix))]
pub fn limit() -> Option<u64> {
    None
}

/// Raises the limit as far as the system lets this process, and returns it.
#[cfg(unix)]
pub fn raise_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let held = getrlimit(Resource::Nofile);
    if held.current != held.maximum {
        // Where the system refuses, the limit stays what it is.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: held.maximum, maximum: held.maximum });
    }
    limit()
}

/// Raises the limit as far as the system lets this process, and returns it.
#[cfg(not(unix))]
pub fn raise_limit() -> Option<u64> {
    limit()
}

/// How many descriptors a store needs that is opened under this limit.
pub fn needed(limit: Option<u64>) -> u64 {
    cached_under(limit) + WORKING
}

/// How many table files a store keeps open that is opened now.
pub(super) fn cached_files() -> usize {
    usize::try_from(cached_under(limit())).unwrap_or(usize::MAX)
}

fn cached_under(limit: Option<u64>) -> u64 {
    limit.map_or(MOST_CACHED, |limit| (limit / 4).clamp(FEWEST_CACHED, MOST_CACHED))
}
