//! Counts rejected lines by reason.

use super::rejection::Rejection;
use ahash::{HashMap, HashMapExt};

/// The largest number of reasons that are counted one by one. A reason can contain a count, such as that of columns.
const MAX_REASONS: usize = 100;

/// The number of rejected lines of each reason.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct Reasons {
    counts: HashMap<String, Count>,
    /// The lines with other reasons.
    others: u64,
}

#[derive(Clone, Copy, PartialEq, Debug)]
struct Count {
    lines: u64,
    first_line: u64,
}

/// A reason, with its number of lines and the first of them.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize)]
pub(crate) struct Row {
    pub(crate) reason: String,
    pub(crate) count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_line: Option<u64>,
}

impl Reasons {
    pub(in crate::import) fn new() -> Self {
        Self { counts: HashMap::new(), others: 0 }
    }

    /// Counts a rejected line. Returns how many lines have this reason.
    pub(in crate::import) fn count(&mut self, line: u64, why: &Rejection) -> u64 {
        let reason = why.reason();
        if let Some(count) = self.counts.get_mut(&reason) {
            count.lines += 1;
            count.first_line = count.first_line.min(line);
            return count.lines;
        }
        if self.counts.len() < MAX_REASONS {
            self.counts.insert(reason, Count { lines: 1, first_line: line });
            return 1;
        }
        self.others += 1;
        self.others
    }

    /// Returns the reasons, the most frequent one first.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let row = |(reason, count): (&String, &Count)| Row {
            reason: reason.clone(),
            count: count.lines,
            first_line: Some(count.first_line),
        };
        let mut rows: Vec<_> = self.counts.iter().map(row).collect();
        rows.sort_by_key(|row| (std::cmp::Reverse(row.count), row.first_line));
        if self.others > 0 {
            rows.push(Row { reason: "other reasons".into(), count: self.others, first_line: None });
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::report::rejection::Quoted;

    #[test]
    fn reasons_are_counted_without_their_values_and_most_frequent_first() {
        let mut reasons = Reasons::new();
        assert_eq!(reasons.count(9, &Rejection::NoAgent), 1);
        for (line, word) in [(4, "one"), (3, "two"), (5, "three")] {
            reasons.count(line, &Rejection::Status(Quoted::new(word)));
        }
        let rows: Vec<_> = reasons.rows().into_iter().map(|row| (row.count, row.first_line)).collect();
        assert_eq!(rows, [(3, Some(3)), (1, Some(9))]);
    }

    #[test]
    fn number_of_reasons_is_bounded() {
        let mut reasons = Reasons::new();
        for found in 2..1000 {
            reasons.count(1, &Rejection::Columns { found, expected: "1".into() });
        }
        let rows = reasons.rows();
        assert_eq!(rows.len(), MAX_REASONS + 1);
        assert_eq!(rows.iter().map(|row| row.count).sum::<u64>(), 998);
    }
}
