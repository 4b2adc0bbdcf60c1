//! The result of an import.

use indicatif::HumanCount;
use std::fmt;
use std::time::Duration;

/// The result of an import.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub(crate) struct Summary {
    /// Calls that are stored and durable, including `unchanged` and `erased` ones.
    pub(crate) accepted: u64,
    /// Accepted calls that changed nothing: they were known, or the pair has a later call.
    pub(crate) unchanged: u64,
    /// Accepted calls without effect, because the contact has been erased.
    pub(crate) erased: u64,
    /// Lines that were rejected. Each has been reported.
    pub(crate) rejected: u64,
    /// Lines that `--only` or the format skips.
    pub(crate) skipped: u64,
    /// Numbers added to the environment.
    pub(crate) created_numbers: u64,
    /// Agents created and published.
    pub(crate) created_agents: u64,
    pub(crate) elapsed: Duration,
}

impl Summary {
    /// Returns whether no line was rejected.
    pub(crate) fn is_complete(&self) -> bool {
        self.rejected == 0
    }

    /// Returns the number of accepted calls a second.
    pub(crate) fn calls_per_second(&self) -> u64 {
        let millis = self.elapsed.as_millis().max(1);
        u64::try_from(u128::from(self.accepted) * 1000 / millis).unwrap_or(u64::MAX)
    }

    /// Returns the summary as JSON.
    pub(crate) fn to_json(self) -> serde_json::Value {
        serde_json::json!({
            "accepted": self.accepted,
            "unchanged": self.unchanged,
            "erased": self.erased,
            "rejected": self.rejected,
            "skipped": self.skipped,
            "created_numbers": self.created_numbers,
            "created_agents": self.created_agents,
            "seconds": self.elapsed.as_secs_f64(),
            "calls_per_second": self.calls_per_second(),
        })
    }
}

/// Formats the summary as text of several lines.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, name, count, note| {
            write!(f, "\n  {name:<10}{:>13}{note}", HumanCount(count).to_string())
        };
        write!(
            f,
            "{} calls in {:.1} s, {} a second",
            HumanCount(self.accepted),
            self.elapsed.as_secs_f64(),
            HumanCount(self.calls_per_second()),
        )?;
        row(f, "accepted", self.accepted, "")?;
        row(f, "unchanged", self.unchanged, "  of these: already known, or the pair has a later call")?;
        if self.erased > 0 {
            row(f, "erased", self.erased, "  of these: the contact has been erased")?;
        }
        row(f, "rejected", self.rejected, "")?;
        if self.skipped > 0 {
            row(f, "skipped", self.skipped, "  lines that --only or the format skips")?;
        }
        if self.created_numbers > 0 || self.created_agents > 0 {
            row(f, "created", self.created_numbers, "  numbers")?;
            row(f, "", self.created_agents, "  agents")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn summary_prints_one_row_for_each_count() {
        let summary = Summary {
            accepted: 1_000_000,
            unchanged: 12,
            rejected: 3,
            created_numbers: 1000,
            created_agents: 2,
            elapsed: Duration::from_secs(4),
            ..Summary::default()
        };
        let expected = "1,000,000 calls in 4.0 s, 250,000 a second
  accepted      1,000,000
  unchanged            12  of these: already known, or the pair has a later call
  rejected              3
  created           1,000  numbers
                        2  agents";
        assert_eq!(summary.to_string(), expected);
        assert_eq!(summary.to_json()["calls_per_second"], 250_000);
    }
}
