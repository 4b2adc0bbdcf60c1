//! The time that a part of a benchmark takes, and what it costs the processor.

use crate::median;
use std::fs;
use std::process;
use std::time::{Duration, Instant};

/// Measures this process and the server's.
pub(crate) struct Meter {
    server: u32,
}

/// The cost of a part: its time, and the processor time of this process and of the server's.
#[derive(Clone, Copy)]
pub(crate) struct Took {
    pub(crate) time: Duration,
    pub(crate) here: Duration,
    pub(crate) server: Duration,
}

impl Meter {
    pub(crate) fn new(server: u32) -> Self {
        Self { server }
    }

    pub(crate) fn measure(&self, part: impl FnOnce()) -> Took {
        let (here, server) = (processor(process::id()), processor(self.server));
        let began = Instant::now();
        part();
        let time = began.elapsed();
        let since = |process, before| processor(process).saturating_sub(before);
        Took { time, here: since(process::id(), here), server: since(self.server, server) }
    }
}

impl Took {
    /// Returns the median of each value.
    pub(crate) fn median(all: &[Took]) -> Took {
        let of = |value: fn(&Took) -> Duration| median(all.iter().map(value).collect());
        Took { time: of(|took| took.time), here: of(|took| took.here), server: of(|took| took.server) }
    }
}

/// Returns the processor time that a process has used. Zero if the system does not report it.
fn processor(process: u32) -> Duration {
    const TICKS_A_SECOND: u64 = 100;
    let text = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The name of the program is in parentheses. The fields after it begin with the third.
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / TICKS_A_SECOND)
}
