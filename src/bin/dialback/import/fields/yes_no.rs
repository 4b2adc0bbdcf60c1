//! Reads texts that say yes or no.

/// Returns whether the text says yes or no. An empty text and the texts for a missing value are a no.
pub(in crate::import) fn yes_or_no(text: &str) -> Option<bool> {
    let is = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    if text.is_empty() || is(&["no", "false", "n", "f", "null", "none", "\\N", "-"]) {
        return Some(false);
    }
    is(&["yes", "true", "y", "t"]).then_some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_any_case_say_yes_or_no() {
        assert!(["Yes", "TRUE", "y", "t"].into_iter().all(|text| yes_or_no(text) == Some(true)));
        assert!(["", "no", "False", "NULL", "\\N", "-"].into_iter().all(|text| yes_or_no(text) == Some(false)));
        assert!(["perhaps", "1", "0", " "].into_iter().all(|text| yes_or_no(text).is_none()));
    }
}
