//! What the process takes of the machine's memory, and how that follows the pairs.

use std::fs;

/// Resident bytes of the process. Zero where the system does not say.
pub(crate) fn resident() -> f64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or(0.0) * 4096.0
}

/// The most bytes that were ever resident.
pub(crate) fn peak() -> f64 {
    kilobytes("/proc/self/status", "VmHWM:")
}

/// Bytes that could be had without swapping.
pub(crate) fn available() -> f64 {
    kilobytes("/proc/meminfo", "MemAvailable:")
}

fn kilobytes(file: &str, name: &str) -> f64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(0.0) * 1024.0
}

/// Bytes a pair while pairs are added: the least and the most at any count from a million up, a growth's own copy
/// included, since it is resident memory that is looked at.
pub(crate) struct Samples {
    before: f64,
    /// The count of pairs at which the next look is due.
    pub(crate) next: u64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

/// Where the samples begin.
pub(crate) const FROM: u64 = 1_000_000;

impl Samples {
    /// With what was resident before the first pair, or before there was anything to put pairs into.
    pub(crate) fn new(before: f64) -> Samples {
        Samples { before, next: FROM, least: f64::INFINITY, most: 0.0 }
    }

    /// Looks, and plans the next look: half a percent of the pairs later, so that no growth of a sixtieth is missed.
    pub(crate) fn look(&mut self, pairs: u64) {
        self.next = pairs + pairs / 200;
        let bytes = self.bytes(pairs);
        self.least = self.least.min(bytes);
        self.most = self.most.max(bytes);
    }

    /// Bytes a pair now.
    pub(crate) fn bytes(&self, pairs: u64) -> f64 {
        (resident() - self.before) / pairs as f64
    }
}
