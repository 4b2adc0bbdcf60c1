//! Texts that are logged again and again.

use std::collections::VecDeque;

/// How often a text that repeats is logged, in milliseconds.
const EVERY: u64 = 60_000;
/// The number of texts that are remembered. Others are forgotten first, and then logged again.
const REMEMBERED: usize = 32;

/// Remembers the last texts of a log, so that each one is logged at most once a minute.
#[derive(Default)]
pub(super) struct Repeats(VecDeque<(String, u64)>);

impl Repeats {
    /// Returns whether to log this text at this time, in milliseconds of any clock.
    pub(super) fn is_due(&mut self, text: &str, now: u64) -> bool {
        // A clock that was set back must not silence the log.
        self.0.retain(|(_, at)| now.abs_diff(*at) < EVERY);
        if self.0.iter().any(|(said, _)| said == text) {
            return false;
        }
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((text.to_owned(), now));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_due_once_a_minute_whatever_comes_between() {
        let mut repeats = Repeats::default();
        for second in 0..180 {
            let due = [repeats.is_due("one", second * 1000), repeats.is_due("other", second * 1000)];
            assert_eq!(due, [second % 60 == 0; 2], "after {second} s");
        }
        assert!(repeats.is_due("one", 0), "the clock was set back");
    }

    #[test]
    fn a_flood_of_different_texts_takes_little_memory() {
        let mut repeats = Repeats::default();
        assert!((0..1000).all(|number| repeats.is_due(&format!("message {number}"), 0)));
        assert_eq!(repeats.0.len(), REMEMBERED);
    }
}
