//! What an import did.

use indicatif::HumanCount;
use std::fmt;
use std::time::Duration;

/// What an import did.
#[derive(Clone, Copy, Default, PartialEq, Debug)]
pub(crate) struct Summary {
    /// Calls that are in and durable: `unchanged` and `erased` among them.
    pub(crate) accepted: u64,
    /// Accepted, but no news: known already, or the pair has a later call.
    pub(crate) unchanged: u64,
    /// Accepted, but without effect: the contact has been erased since.
    pub(crate) erased: u64,
    /// Lines that were not taken; each has been reported.
    pub(crate) rejected: u64,
    /// Lines that `--only` or the format passes over.
    pub(crate) skipped: u64,
    /// Numbers that were added to the environment.
    pub(crate) created_numbers: u64,
    /// Agents that were created and published.
    pub(crate) created_agents: u64,
    pub(crate) elapsed: Duration,
}

impl Summary {
    /// Whether nothing was rejected.
    pub(crate) fn is_complete(&self) -> bool {
        self.rejected == 0
    }

    /// Accepted calls a second.
    pub(crate) fn calls_per_second(&self) -> u64 {
        let millis = self.elapsed.as_millis().max(1);
        u64::try_from(u128::from(self.accepted) * 1000 / millis).unwrap_or(u64::MAX)
    }

    /// For machines.
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

/// For people; several lines.
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
        row(f, "unchanged", self.unchanged, "  of these: known already, or the pair has a later call")?;
        if self.erased > 0 {
            row(f, "erased", self.erased, "  of these: the contact has been erased since")?;
        }
        row(f, "rejected", self.rejected, "")?;
        if self.skipped > 0 {
            row(f, "skipped", self.skipped, "  not among the lines that are wanted")?;
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
    fn a_summary_reads_well() {
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
  unchanged            12  of these: known already, or the pair has a later call
  rejected              3
  created           1,000  numbers
                        2  agents";
        assert_eq!(summary.to_string(), expected);
        assert_eq!(summary.to_json()["calls_per_second"], 250_000);
    }
}
