//! Threads: some for routes alone, others for all else that is asked.
//!
//! The first take connections, and answer `GET /route`, SIP and FastAGI. Every other request runs on the second, which have a lower
//! priority, so that nothing that a tenant can ask for delays a route.

use crate::failure::Failure;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::thread;
use tokio::runtime::{Builder, Runtime};

/// The two kinds of threads.
pub(crate) struct Runtimes {
    pub(crate) routes: Runtime,
    pub(crate) work: Runtime,
}

impl Runtimes {
    /// # Errors
    /// Where the system has no memory or no threads for it.
    pub(crate) fn start() -> Result<Self, Failure> {
        Ok(Self { routes: start("dialback-route", || {})?, work: start("dialback-work", step_back)? })
    }
}

/// Tokio panics where it gets no thread. An operator whose limits are too low sees a message instead.
fn start(name: &str, begin: impl Fn() + Send + Sync + 'static) -> Result<Runtime, Failure> {
    let failed = |why: String| {
        Failure::new(format!(
            "cannot start threads: {why}; raise the limits of memory and processes (ulimit -v, ulimit -u)"
        ))
    };
    // That there are threads at all is known from a first one, whose failure says why.
    let first = thread::Builder::new().spawn(|| {}).map_err(|error| failed(error.to_string()))?;
    first.join().map_err(|_| failed("a thread ended early".into()))?;
    let mut builder = Builder::new_multi_thread();
    builder.enable_all().thread_name(name).on_thread_start(begin);
    let silent = take_hook();
    set_hook(Box::new(|_| {}));
    let built = catch_unwind(AssertUnwindSafe(|| builder.build()));
    set_hook(silent);
    built.map_err(|_| failed("the system refuses".into()))?.map_err(|error| failed(error.to_string()))
}

/// Gives the calling thread a lower priority than those that answer routes.
#[cfg(target_os = "linux")]
fn step_back() {
    // Where the system refuses, all threads are equals.
    let _ = rustix::process::nice(NICENESS);
}

#[cfg(target_os = "linux")]
const NICENESS: i32 = 5;

/// Elsewhere a priority is the whole process's.
#[cfg(not(target_os = "linux"))]
fn step_back() {}
