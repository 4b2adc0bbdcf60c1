//! The file descriptors that the store needs, and the limit of this process.
//!
//! The storage engine keeps table files open between uses: by default up to 900, regardless of the process's limit. It
//! fails permanently if it gets no descriptor for a journal. The store therefore allows it a quarter of the limit for
//! table files. The other descriptors that it needs are bounded.

/// The most table files that are kept open.
const MOST_CACHED: u64 = 900;

/// The fewest table files that are kept open. With fewer, almost each read would open a file.
const FEWEST_CACHED: u64 = 16;

/// Other descriptors: journals, tables being written or read completely, directories, the lock, and an export.
const WORKING: u64 = 64;

/// Returns the descriptor limit of this process, or `None` if there is none.
#[cfg(unix)]
pub fn limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

/// Returns the descriptor limit of this process, or `None` if there is none.
#[cfg(not(unix))]
pub fn limit() -> Option<u64> {
    None
}

/// Raises the descriptor limit as far as the system allows, and returns it.
#[cfg(unix)]
pub fn raise_limit() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let held = getrlimit(Resource::Nofile);
    if held.current != held.maximum {
        // If the system refuses, the limit stays unchanged.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: held.maximum, maximum: held.maximum });
    }
    limit()
}

/// Returns the descriptor limit, which this system cannot raise.
#[cfg(not(unix))]
pub fn raise_limit() -> Option<u64> {
    limit()
}

/// Returns how many descriptors a store needs if it is opened under this limit.
pub fn needed(limit: Option<u64>) -> u64 {
    cached_under(limit) + WORKING
}

/// Returns how many table files a store keeps open if it is opened now.
pub(in crate::store) fn cached_files() -> usize {
    usize::try_from(cached_under(limit())).unwrap_or(usize::MAX)
}

fn cached_under(limit: Option<u64>) -> u64 {
    limit.map_or(MOST_CACHED, |limit| (limit / 4).clamp(FEWEST_CACHED, MOST_CACHED))
}
