//! Compares the limit of address space with the need, before an engine is made: the process would abort without a
//! message if a later allocation failed.

use crate::failure::Failure;
use dialback::history::History;
use std::thread::available_parallelism;

const MEGABYTE: usize = 1 << 20;

/// The program itself, the store's buffers, and requests.
const BASE: usize = 256 * MEGABYTE;

/// What the C library reserves for each thread that allocates memory (64 MiB in glibc), and its stack.
const PER_THREAD: usize = 66 * MEGABYTE;

/// The threads of the store, the committer and the keeper of the history, and the main thread.
const OTHER_THREADS: usize = 10;

/// Checks that the limit of address space (`ulimit -v`) leaves enough for this many pairs.
///
/// # Errors
/// The limit is too low.
pub(crate) fn check(max_pairs: usize) -> Result<(), Failure> {
    let least = needed(0).div_ceil(MEGABYTE);
    check_for(max_pairs, &format!(", {least} MiB of them whatever `--max-pairs` is (now {max_pairs})"))
}

/// Checks the limit for a command without `--max-pairs`.
///
/// # Errors
/// The limit is too low.
pub(crate) fn check_fixed(max_pairs: usize) -> Result<(), Failure> {
    check_for(max_pairs, "")
}

fn check_for(max_pairs: usize, about: &str) -> Result<(), Failure> {
    match limit() {
        Some(limit) if limit < needed(max_pairs) as u64 => Err(too_low(limit, needed(max_pairs), about)),
        _ => Ok(()),
    }
}

fn needed(max_pairs: usize) -> usize {
    // Two pools, each with a thread for each processor.
    let threads = OTHER_THREADS + 2 * available_parallelism().map_or(1, usize::from);
    History::address_space(max_pairs).saturating_add(BASE + threads * PER_THREAD)
}

fn too_low(limit: u64, needed: usize, about: &str) -> Failure {
    let (limit, needed) = (limit / MEGABYTE as u64, needed.div_ceil(MEGABYTE));
    Failure::new(format!(
        "the limit of address space is {limit} MiB, and {needed} MiB are needed{about}: raise the limit (ulimit -v, LimitAS)"
    ))
}

/// Returns the limit of this process, in bytes. `None` if there is none.
#[cfg(unix)]
fn limit() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::As).current
}

/// Returns `None`: the limit of this system is not read.
#[cfg(not(unix))]
fn limit() -> Option<u64> {
    None
}
