//! Removes the marks by which spreadsheets keep a value as text.

/// Returns the text in `="…"`, or the text itself.
pub(in crate::import) fn without_formula(text: &str) -> &str {
    let inner = text.strip_prefix("=\"").and_then(|text| text.strip_suffix('"'));
    inner.filter(|inner| !inner.contains('"')).map_or(text, str::trim)
}

/// Returns the text without `="…"` and without the apostrophe before it. Names and other free texts may begin
/// with an apostrophe, so this is for numbers, times and words only.
pub(in crate::import) fn plain(text: &str) -> &str {
    let text = without_formula(text);
    let inner = text.strip_prefix('\'').filter(|inner| !inner.is_empty() && !inner.contains('\''));
    inner.map_or(text, str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_spreadsheets_are_removed() {
        for (text, expected) in [
            ("'+12125550143", "+12125550143"),
            ("=\"+12125550143\"", "+12125550143"),
            ("=\" '12125550143 \"", "12125550143"),
            ("12125550143", "12125550143"),
            ("", ""),
            ("=\"\"", ""),
            // Not of a spreadsheet.
            ("'", "'"),
            ("'a'", "'a'"),
            ("=12125550143", "=12125550143"),
            ("=\"1\"&\"2\"", "=\"1\"&\"2\""),
        ] {
            assert_eq!(plain(text), expected, "{text}");
        }
        assert_eq!(without_formula("'t Hooft"), "'t Hooft");
    }
}
