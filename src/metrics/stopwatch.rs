//! A stopwatch for metrics.

use std::time::Instant;

/// Measures elapsed time, for metrics only. It does not reveal the time of day, so no decision can depend on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns a stopwatch that was started so many nanoseconds ago.
    #[cfg(test)]
    pub(crate) fn started_before(nanos: u64) -> Self {
        Self(Instant::now().checked_sub(std::time::Duration::from_nanos(nanos)).expect("the system runs longer"))
    }

    /// Returns the nanoseconds since the start.
    pub(crate) fn nanos(self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}
