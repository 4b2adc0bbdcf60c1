//! Moments as RFC 3339 text.

use crate::time::Timestamp;

/// A moment in RFC 3339 form, with any offset; `None` for what is none, and for years before 1970.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(moment.as_millisecond()).ok().map(Timestamp::from_millis)
}

/// `2026-01-31T12:00:00.000Z`: UTC, always with milliseconds, so that the order of the texts is that of the moments.
pub(super) fn render(moment: Timestamp) -> String {
    let millis = i64::try_from(moment.millis()).unwrap_or(i64::MAX);
    // Nothing that a request or a register can hold lies beyond the year 9999.
    let moment = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{moment:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_come_back_in_one_form() {
        for (text, rendered) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"),
            ("2026-01-31T13:00:00.25+01:00", "2026-01-31T12:00:00.250Z"),
            ("1970-01-01T00:00:00z", "1970-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(parse(text).map(render).as_deref(), Some(rendered), "{text}");
        }
        assert_eq!(render(Timestamp::LATEST), "2089-09-06T15:47:35.550Z");
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for text in
            ["", "now", "2026-01-31", "2026-01-31T12:00:00", "2026-02-30T12:00:00Z", "1969-12-31T23:59:59Z", "0"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
