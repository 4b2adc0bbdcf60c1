//! Times as RFC 3339 text.

use crate::time::{Day, Timestamp};

/// Parses a time in RFC 3339 form, with any offset. Returns `None` for malformed text and for times before 1970.
pub(in crate::http) fn parse(text: &str) -> Option<Timestamp> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(moment.as_millisecond()).ok().map(Timestamp::from_millis)
}

/// Formats a time as `2026-01-31T12:00:00.000Z`: in UTC and always with milliseconds, so that texts sort like their times.
pub(in crate::http) fn render(moment: Timestamp) -> String {
    let millis = i64::try_from(moment.millis()).unwrap_or(i64::MAX);
    // No time in a request or in the store is after the year 9999.
    let moment = jiff::Timestamp::from_millisecond(millis).unwrap_or(jiff::Timestamp::MAX);
    format!("{moment:.3}")
}

/// Parses a day in the form `2026-01-31`. Returns `None` for malformed text and for days before 1970.
pub(in crate::http) fn parse_day(text: &str) -> Option<Day> {
    // The length excludes other forms of a date, which the parser accepts too.
    let date: jiff::civil::Date = text.parse().ok().filter(|_| text.len() == 10)?;
    let index = date.since((jiff::Unit::Day, EPOCH)).ok()?.get_days();
    u32::try_from(index).ok().map(Day::from_index)
}

/// Formats a day as `2026-01-31`.
pub(in crate::http) fn render_day(day: Day) -> String {
    let date = jiff::Span::new().try_days(day.index()).and_then(|days| EPOCH.checked_add(days));
    date.unwrap_or(jiff::civil::Date::MAX).to_string()
}

const EPOCH: jiff::civil::Date = jiff::civil::Date::constant(1970, 1, 1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rendered_in_utc_with_milliseconds() {
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
    fn days_survive_parsing_and_rendering_and_malformed_ones_are_rejected() {
        for (text, index) in
            [("1970-01-01", 0), ("2000-02-29", 11_016), ("2026-06-01", 20_605), ("9999-12-31", 2_932_896)]
        {
            assert_eq!(parse_day(text), Some(Day::from_index(index)), "{text}");
            assert_eq!(render_day(Day::from_index(index)), text);
        }
        assert_eq!(render_day(Day::from_index(u32::MAX)), "9999-12-31");
        for text in
            ["", "2026", "2026-02-30", "20260601", "2026-06-01T00:00:00", "26-06-01", "1969-12-31", "-026-06-01"]
        {
            assert_eq!(parse_day(text), None, "{text}");
        }
    }

    #[test]
    fn malformed_times_and_times_before_1970_are_rejected() {
        for text in
            ["", "now", "2026-01-31", "2026-01-31T12:00:00", "2026-02-30T12:00:00Z", "1969-12-31T23:59:59Z", "0"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
