//! Counts how each status word of a file was read.

use super::rejection::Quoted;
use ahash::{HashMap, HashMapExt};
use dialback::Outcome;

/// The meaning that was given to a status.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::import) enum ReadAs {
    Outcome(Outcome),
    /// The record is of no outcome, and its line is skipped.
    NoOutcome,
    /// The word is not known, and its line is rejected.
    Rejected,
}

impl ReadAs {
    const KINDS: usize = Outcome::ALL.len() + 2;

    fn index(self) -> usize {
        match self {
            Self::Outcome(outcome) => usize::from(outcome.rank()),
            Self::NoOutcome => Outcome::ALL.len(),
            Self::Rejected => Outcome::ALL.len() + 1,
        }
    }

    /// Returns the name for a summary: that of the outcome, `skipped` or `rejected`.
    fn name_at(index: usize) -> &'static str {
        const OTHER: [&str; 2] = ["skipped", "rejected"];
        match Outcome::ALL.get(index) {
            Some(outcome) => outcome.name(),
            None => OTHER[index - Outcome::ALL.len()],
        }
    }
}

/// How often each word was read as each meaning. The number of words is bounded, so that a wrong column does not fill
/// memory.
pub(in crate::import) struct Seen {
    words: HashMap<String, [u64; ReadAs::KINDS]>,
    /// The counts of the words beyond the bounds.
    others: [u64; ReadAs::KINDS],
}

/// One line of a summary.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::import) struct SeenStatus {
    /// The word with long digits masked. `None` for all words beyond the bounds.
    pub(in crate::import) word: Option<Quoted>,
    /// The name of an outcome, `skipped` or `rejected`.
    pub(in crate::import) read_as: &'static str,
    pub(in crate::import) count: u64,
}

impl SeenStatus {
    pub(in crate::import) fn to_json(&self) -> serde_json::Value {
        let word = self.word.as_ref().map(Quoted::to_string);
        serde_json::json!({ "word": word, "outcome": self.read_as, "count": self.count })
    }
}

impl Default for Seen {
    fn default() -> Self {
        Self { words: HashMap::new(), others: [0; ReadAs::KINDS] }
    }
}

impl Seen {
    const MOST_WORDS: usize = 64;
    const LONGEST_WORD: usize = 128;

    pub(in crate::import) fn count(&mut self, word: &str, read: ReadAs) {
        let is_full = self.words.len() >= Self::MOST_WORDS || word.len() > Self::LONGEST_WORD;
        let counts = match self.words.get_mut(word) {
            Some(counts) => counts,
            None if is_full => &mut self.others,
            None => self.words.entry(word.to_owned()).or_insert([0; ReadAs::KINDS]),
        };
        counts[read.index()] += 1;
    }

    /// Returns each word and meaning with its count, the most frequent first.
    pub(in crate::import) fn rows(&self) -> Vec<SeenStatus> {
        let named = self.words.iter().map(|(word, counts)| (Some(word), counts));
        let mut all: Vec<_> = named
            .chain([(None, &self.others)])
            .flat_map(|(word, counts)| counts.iter().enumerate().map(move |(index, count)| (word, index, *count)))
            .filter(|(_, _, count)| *count > 0)
            .collect();
        // Words beyond the bounds come last.
        all.sort_unstable_by_key(|(word, index, count)| (word.is_none(), std::cmp::Reverse(*count), *word, *index));
        let row = |(word, index, count): (Option<&String>, usize, u64)| SeenStatus {
            word: word.map(|word| Quoted::new(word)),
            read_as: ReadAs::name_at(index),
            count,
        };
        all.into_iter().map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_counted_for_each_meaning() {
        let mut seen = Seen::default();
        for _ in 0..3 {
            seen.count("NORMAL_CLEARING", ReadAs::Outcome(Outcome::Completed));
        }
        seen.count("NORMAL_CLEARING", ReadAs::Outcome(Outcome::NoAnswer));
        seen.count("401", ReadAs::NoOutcome);
        seen.count("12125550143", ReadAs::Rejected);
        let rows: Vec<_> = seen
            .rows()
            .into_iter()
            .map(|row| (row.word.map_or_else(String::new, |word| word.to_string()), row.read_as, row.count))
            .collect();
        let expected = [
            ("\"NORMAL_CLEARING\"", "completed", 3),
            ("\"***********\"", "rejected", 1),
            ("\"401\"", "skipped", 1),
            ("\"NORMAL_CLEARING\"", "no_answer", 1),
        ];
        assert_eq!(rows, expected.map(|(word, read_as, count)| (word.to_owned(), read_as, count)));
    }

    #[test]
    fn many_and_long_words_are_counted_together() {
        let mut seen = Seen::default();
        for word in 0..1000 {
            seen.count(&format!("word {word}"), ReadAs::Rejected);
        }
        seen.count(&"x".repeat(1000), ReadAs::Rejected);
        let rows = seen.rows();
        assert_eq!(rows.len(), Seen::MOST_WORDS + 1);
        assert_eq!(rows.last().map(|row| (row.word.is_none(), row.count)), Some((true, 1000 - 64 + 1)));
    }
}
