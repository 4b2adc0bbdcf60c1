//! Parses the relative times of scenarios.

use crate::Timestamp;

/// Parses `now`, `2d 3h ago` or `in 5m 1ms`, relative to `now`. The units are `d`, `h`, `m`, `s` and `ms`.
///
/// # Panics
/// If the text has another form.
pub(super) fn read(text: &str, now: Timestamp) -> Timestamp {
    if text == "now" {
        return now;
    }
    if let Some(span) = text.strip_suffix(" ago") {
        return Timestamp::from_millis(now.millis() - millis(span));
    }
    let span = text.strip_prefix("in ").unwrap_or_else(|| panic!("neither `now` nor `... ago` nor `in ...`: {text:?}"));
    now.plus_millis(millis(span))
}

fn millis(span: &str) -> u64 {
    span.split(' ').map(part).sum()
}

fn part(part: &str) -> u64 {
    let unit = part.trim_start_matches(|c: char| c.is_ascii_digit());
    let count: u64 = part.strip_suffix(unit).and_then(|count| count.parse().ok()).expect("a number before its unit");
    count
        * match unit {
            "d" => 86_400_000,
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1000,
            "ms" => 1,
            _ => panic!("unknown unit of time: {part:?}"),
        }
}
