//! Parses the value of `--time-zone`.

use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::{Offset, TimeZone};
use std::ops::RangeInclusive;

/// A time zone, as the user named it.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    pub(in crate::import) rules: TimeZone,
    text: String,
}

impl Zone {
    /// Returns the name for people: that of the zone, its offset, or the text of the user.
    pub(in crate::import) fn name(&self) -> String {
        let name = self.rules.iana_name().map(str::to_owned);
        let offset = || self.rules.to_fixed_offset().ok().map(|offset| offset.to_string());
        name.or_else(offset).unwrap_or_else(|| self.text.clone())
    }
}

/// Returns the time zone with this name or offset.
///
/// `GMT-5` and `UTC+05:30` are read as people mean them: five hours behind, five and a half ahead. POSIX inverts the
/// sign, so a POSIX text with a sign is rejected, unless it has the rules of its summer time and so must be POSIX.
/// `EST5EDT` and `Etc/GMT+5` are names, and keep their meaning.
///
/// # Errors
/// The text is no zone, or one that no clock shows: offsets reach from -12:00 to +14:00.
pub(in crate::import) fn parse_time_zone(text: &str) -> Result<Zone, String> {
    let text = text.trim();
    let rules = match offset_from_utc(text) {
        Some(offset) => offset.map(TimeZone::fixed)?,
        None if has_inverted_sign(text) => return Err(inverted_sign(text)),
        None => match DateTimeParser::new().parse_time_zone(text).map_err(|error| error.to_string())? {
            rules if rules.iana_name().is_none() && is_posix_without_rules(text) => return Err(inverted_sign(text)),
            rules => rules,
        },
    };
    let is_real =
        |second| jiff::Timestamp::from_second(second).is_ok_and(|at| OFFSETS.contains(&rules.to_offset(at).seconds()));
    if rules.iana_name().is_none() && !(is_real(WINTER) && is_real(SUMMER)) {
        return Err(no_offset(text));
    }
    Ok(Zone { rules, text: text.to_owned() })
}

/// The offsets that clocks show, in seconds: those of Baker Island and of Kiribati are the furthest from UTC.
const OFFSETS: RangeInclusive<i32> = -12 * 3600..=14 * 3600;

/// The first of January and of July 2025.
const WINTER: i64 = 1_735_689_600;
const SUMMER: i64 = 1_751_328_000;

fn no_offset(text: &str) -> String {
    format!("`{text}` is not the offset of a time zone: write one from -12:00 to +14:00, such as -05:00 or UTC+05:30")
}

/// Returns the offset in a text such as `GMT-5`, `UTC+05:30` or `-5`. `None` if the text is not of this form.
fn offset_from_utc(text: &str) -> Option<Result<Offset, String>> {
    let (name, offset) = text.split_at(text.find(['+', '-'])?);
    let read = || offset_of(offset, 1).ok_or_else(|| no_offset(text));
    (name.is_empty() || is_utc(name.trim_end())).then(read)
}

fn is_utc(name: &str) -> bool {
    ["UTC", "GMT", "UT", "Z"].iter().any(|utc| utc.eq_ignore_ascii_case(name))
}

/// Returns the offset in `+05:30`, `+0530` or `+05`. Hours may have one digit if `least` is 1.
pub(in crate::import) fn offset_of(text: &str, least: usize) -> Option<Offset> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let (hours, minutes) = match rest.split_once(':') {
        Some((hours, minutes)) if minutes.len() == 2 => (hours, minutes),
        Some(_) => return None,
        None if rest.len() == 4 => rest.split_at_checked(2)?,
        None => (rest, "0"),
    };
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !(least..=2).contains(&hours.len()) || !is_number(hours) || !is_number(minutes) {
        return None;
    }
    let (hours, minutes): (i32, i32) = (hours.parse().ok()?, minutes.parse().ok()?);
    let seconds = sign * (hours * 3600 + minutes * 60);
    Offset::from_seconds(seconds).ok().filter(|_| minutes < 60 && OFFSETS.contains(&seconds))
}

fn inverted_sign(text: &str) -> String {
    format!(
        "`{text}` has the sign of POSIX, which is inverted: write an offset such as -05:00, or a name such as \
         Europe/Berlin"
    )
}

/// Returns whether the text is a name and an offset, as in POSIX: `IST5:30` is 5:30 behind UTC there, and India is ahead.
fn is_posix_without_rules(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '<')
        && !text.contains(',')
        && text.contains(|c: char| matches!(c, '1'..='9'))
}

/// Returns whether the text is one of POSIX with a sign, and without rules: `EST+5`, `CET-1CEST`. In `UTC5` the missing
/// sign is a plus.
fn has_inverted_sign(text: &str) -> bool {
    let letters = text.len() - text.trim_start_matches(|c: char| c.is_ascii_alphabetic()).len();
    let (name, rest) = text.split_at(letters);
    let has_sign = rest.starts_with(['+', '-'])
        || is_utc(name)
            && rest.starts_with(|c: char| c.is_ascii_digit())
            && rest.contains(|c: char| matches!(c, '1'..='9'));
    !name.is_empty() && has_sign && !text.contains(',')
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use proptest::prelude::*;

    #[test]
    fn offset_without_a_sign_is_rejected() {
        for text in ["UTC5", "GMT5", "UTC5:30", "utc05", "Z5", "IST5:30", "MSK3", "CET1", "<+03>3"] {
            let error = parse_time_zone(text).expect_err(text);
            assert!(error.contains("write an offset such as -05:00"), "{text}: {error}");
        }
        assert!(parse_time_zone("GMT0BST,M3.5.0/1,M10.5.0").is_ok());
    }

    /// Returns what the clock of the zone shows less UTC on 1 July 2025, in minutes.
    fn ahead(zone: &str) -> Result<i32, String> {
        let summer = Timestamp::from_second(1_751_371_200).expect("a time");
        parse_time_zone(zone).map(|zone| zone.rules.to_offset(summer).seconds() / 60)
    }

    #[test]
    fn offsets_from_utc_and_gmt_have_the_sign_that_people_mean() {
        for (zone, minutes) in [
            ("GMT-5", -300),
            ("gmt-5", -300),
            ("UTC+1", 60),
            ("UTC+05:30", 330),
            ("UTC +05:30", 330),
            ("GMT-05:00", -300),
            ("UTC-0330", -210),
            ("UTC+14", 840),
            ("GMT+0", 0),
            ("UTC-00:00", 0),
            ("Z+2", 120),
        ] {
            assert_eq!(ahead(zone), Ok(minutes), "{zone}");
        }
    }

    #[test]
    fn names_and_offsets_keep_their_meaning() {
        for (zone, minutes) in [
            ("UTC", 0),
            ("GMT", 0),
            ("GMT0", 0),
            ("-05:00", -300),
            ("+05:30", 330),
            ("-5", -300),
            ("+9", 540),
            ("-0330", -210),
            ("+14:00", 840),
            ("-12", -720),
            ("Etc/GMT+5", -300),
            ("Etc/GMT-5", 300),
            ("EST5EDT", -240),
            ("Europe/Berlin", 120),
            ("CET-1CEST,M3.5.0,M10.5.0/3", 120),
        ] {
            assert_eq!(ahead(zone), Ok(minutes), "{zone}");
        }
    }

    #[test]
    fn inverted_and_impossible_offsets_are_rejected() {
        for zone in [
            "EST+5",
            "EST-5",
            "CET-1",
            "CET-1CEST",
            "XYZ+3",
            "XYZ20",
            "EST5",
            "UTC+15",
            "UTC+1:5",
            "GMT-5x",
            "UTC+",
            "Mars/Base",
            "",
        ] {
            assert!(ahead(zone).is_err(), "{zone}: {:?}", ahead(zone));
        }
        for zone in ["+25:00", "+14:01", "-12:30", "-13", "UTC-13", "+5h", "+"] {
            let error = ahead(zone).expect_err(zone);
            assert!(error.contains("write one from -12:00 to +14:00"), "{zone}: {error}");
        }
    }

    #[test]
    fn zone_has_a_name_for_people() {
        for (text, name) in [
            (" Europe/Berlin ", "Europe/Berlin"),
            ("-5", "-05"),
            ("UTC+05:30", "+05:30"),
            ("CET-1CEST,M3.5.0,M10.5.0/3", "CET-1CEST,M3.5.0,M10.5.0/3"),
        ] {
            assert_eq!(parse_time_zone(text).map(|zone| zone.name()).as_deref(), Ok(name));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        /// An offset has the same sign behind a name of UTC as alone.
        #[test]
        fn name_of_utc_does_not_change_an_offset(
            name in "UTC|GMT|utc|UT", sign in "[+-]", hours in 0_i32..14, minutes in prop::sample::select(vec![0, 30, 45]),
        ) {
            let alone = ahead(&format!("{sign}{hours:02}:{minutes:02}")).ok();
            prop_assert_eq!(ahead(&format!("{name}{sign}{hours}:{minutes:02}")).ok(), alone);
            prop_assert_eq!(ahead(&format!("{name}{sign}{hours:02}{minutes:02}")).ok(), alone);
        }
    }
}
