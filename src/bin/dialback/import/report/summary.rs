//! The result of an import.

use super::reasons::Row;
use super::span::Span;
use indicatif::HumanCount;
use std::fmt;
use std::time::Duration;

/// The result of an import.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Summary {
    /// Calls that are stored and durable, including `unchanged` ones. In a dry run, calls that would be accepted.
    pub(crate) accepted: u64,
    /// Accepted calls that changed nothing: they were known, or the pair has a later call.
    pub(crate) unchanged: u64,
    /// Calls that were not stored, because the contact has been erased.
    pub(crate) erased: u64,
    /// Calls that were not stored, because their outcome does not count in the environment.
    pub(crate) uncounted: u64,
    /// Lines that were rejected.
    pub(crate) rejected: u64,
    /// Lines that `--only` or the format skips.
    pub(crate) skipped: u64,
    /// Numbers added to the environment.
    pub(crate) created_numbers: u64,
    /// Agents created and published.
    pub(crate) created_agents: u64,
    /// When the calls of the lines that were not rejected were placed. Empty if none was accepted.
    pub(crate) span: Span,
    /// The rejected lines by reason.
    pub(crate) reasons: Vec<Row>,
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
    pub(crate) fn to_json(&self) -> serde_json::Value {
        serde_json::json!({
            "accepted": self.accepted,
            "unchanged": self.unchanged,
            "erased": self.erased,
            "uncounted": self.uncounted,
            "rejected": self.rejected,
            "skipped": self.skipped,
            "created_numbers": self.created_numbers,
            "created_agents": self.created_agents,
            "first_call": self.span.first(),
            "last_call": self.span.last(),
            "in_the_future": self.span.in_the_future,
            "reasons": self.reasons,
            "seconds": self.elapsed.as_secs_f64(),
            "calls_per_second": self.calls_per_second(),
        })
    }
}

/// Formats the summary as text of several lines.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} calls in {:.1} s, {} a second",
            HumanCount(self.accepted),
            self.elapsed.as_secs_f64(),
            HumanCount(self.calls_per_second()),
        )?;
        write_count(f, "accepted", self.accepted, "")?;
        write_count(f, "unchanged", self.unchanged, "  of these: already known, or the pair has a later call")?;
        if self.erased > 0 {
            write_count(f, "erased", self.erased, "  not stored: the contact has been erased")?;
        }
        if self.uncounted > 0 {
            write_count(f, "uncounted", self.uncounted, "  not stored: see counts_from of the environment")?;
        }
        write_count(f, "rejected", self.rejected, "")?;
        if self.skipped > 0 {
            write_count(f, "skipped", self.skipped, "  lines that --only or the format skips")?;
        }
        if self.created_numbers > 0 || self.created_agents > 0 {
            write_count(f, "created", self.created_numbers, "  numbers")?;
            write_count(f, "", self.created_agents, "  agents")?;
        }
        write_span(f, self.span)?;
        write_reasons(f, &self.reasons)
    }
}

/// Writes a count on a line of its own.
pub(in crate::import) fn write_count(f: &mut fmt::Formatter<'_>, name: &str, count: u64, note: &str) -> fmt::Result {
    write!(f, "\n  {name:<10}{:>13}{note}", HumanCount(count).to_string())
}

/// Writes the first and the last moment, and how many calls lie in the future.
pub(in crate::import) fn write_span(f: &mut fmt::Formatter<'_>, span: Span) -> fmt::Result {
    if let (Some(first), Some(last)) = (span.first(), span.last()) {
        write!(f, "\n  first call  {first}\n  last call   {last}")?;
    }
    if span.in_the_future > 0 {
        write_count(f, "in future", span.in_the_future, "  calls later than now: check --time-zone")?;
    }
    Ok(())
}

/// Writes the rejected lines by reason.
pub(in crate::import) fn write_reasons(f: &mut fmt::Formatter<'_>, reasons: &[Row]) -> fmt::Result {
    if !reasons.is_empty() {
        f.write_str("\nrejected lines by reason")?;
    }
    for Row { reason, count, first_line } in reasons {
        write!(f, "\n{:>11}  {reason}", HumanCount(*count).to_string())?;
        if let Some(line) = first_line {
            write!(f, " (first: line {line})")?;
        }
    }
    Ok(())
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
            reasons: vec![Row { reason: "a quote is not closed".into(), count: 3, first_line: Some(7) }],
            ..Summary::default()
        };
        let expected = "1,000,000 calls in 4.0 s, 250,000 a second
  accepted      1,000,000
  unchanged            12  of these: already known, or the pair has a later call
  rejected              3
  created           1,000  numbers
                        2  agents
rejected lines by reason
          3  a quote is not closed (first: line 7)";
        assert_eq!(summary.to_string(), expected);
        assert_eq!(summary.to_json()["calls_per_second"], 250_000);
    }
}
