//! The memory of the process, and how it grows with the number of pairs.

use std::fs;

/// Returns the resident bytes of the process. Zero if the system does not report them.
pub(crate) fn resident() -> f64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok()).unwrap_or(0.0) * 4096.0
}

/// Returns the largest number of bytes that was ever resident.
pub(crate) fn peak() -> f64 {
    kilobytes("/proc/self/status", "VmHWM:")
}

/// Returns the number of bytes available without swapping.
pub(crate) fn available() -> f64 {
    kilobytes("/proc/meminfo", "MemAvailable:")
}

fn kilobytes(file: &str, name: &str) -> f64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()).unwrap_or(0.0) * 1024.0
}

/// Bytes a pair while pairs are added: the minimum and maximum at any count from a million up. It includes a growth's
/// temporary copy, because it is computed from resident memory.
pub(crate) struct Samples {
    before: f64,
    /// The count of pairs at which the next sample is due.
    pub(crate) next: u64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

/// The count at which sampling begins.
pub(crate) const FROM: u64 = 1_000_000;

impl Samples {
    /// Starts with the resident bytes before the first pair, or before the map exists.
    pub(crate) fn new(before: f64) -> Samples {
        Samples { before, next: FROM, least: f64::INFINITY, most: 0.0 }
    }

    /// Takes a sample and plans the next one half a percent of the pairs later, so that no growth by a sixtieth is
    /// missed.
    pub(crate) fn look(&mut self, pairs: u64) {
        self.next = pairs + pairs / 200;
        let bytes = self.bytes(pairs);
        self.least = self.least.min(bytes);
        self.most = self.most.max(bytes);
    }

    /// Returns the current bytes a pair.
    pub(crate) fn bytes(&self, pairs: u64) -> f64 {
        (resident() - self.before) / pairs as f64
    }
}
