//! Threads: one pool for routes, and one for all other requests.
//!
//! The first pool accepts connections, and answers `GET /route`, SIP and FastAGI. All other requests run on the second
//! pool, whose threads have a lower priority. A tenant's other requests therefore cannot delay a route.

use crate::failure::Failure;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::thread;
use tokio::runtime::{Builder, Runtime};

/// The two thread pools.
pub(crate) struct Runtimes {
    pub(crate) routes: Runtime,
    pub(crate) work: Runtime,
}

impl Runtimes {
    /// Starts both pools.
    ///
    /// # Errors
    /// The system has too little memory or too few threads.
    pub(crate) fn start() -> Result<Self, Failure> {
        Ok(Self { routes: start("dialback-route", || {})?, work: start("dialback-work", step_back)? })
    }
}

/// Starts a pool. Tokio panics if it cannot start a thread; this returns an error instead.
fn start(name: &str, begin: impl Fn() + Send + Sync + 'static) -> Result<Runtime, Failure> {
    let failed = |why: String| {
        Failure::new(format!(
            "cannot start threads: {why}; raise the limits of memory and processes (ulimit -v, ulimit -u)"
        ))
    };
    // Start a single thread first, because its error names the reason.
    let first = thread::Builder::new().spawn(|| {}).map_err(|error| failed(error.to_string()))?;
    first.join().map_err(|_| failed("a thread ended early".into()))?;
    let mut builder = Builder::new_multi_thread();
    builder.enable_all().thread_name(name).on_thread_start(begin);
    let silent = take_hook();
    set_hook(Box::new(|_| {}));
    let built = catch_unwind(AssertUnwindSafe(|| builder.build()));
    set_hook(silent);
    built.map_err(|_| failed("the system started no thread".into()))?.map_err(|error| failed(error.to_string()))
}

/// Gives the calling thread a lower priority than the route threads.
#[cfg(target_os = "linux")]
fn step_back() {
    // If the system refuses, all threads have the same priority.
    let _ = rustix::process::nice(NICENESS);
}

#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;

/// Does nothing: on other systems, a priority applies to the whole process.
#[cfg(not(target_os = "linux"))]
fn step_back() {}
