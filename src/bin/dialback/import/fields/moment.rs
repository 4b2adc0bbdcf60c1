//! Parses the time of a call, in the notations that call records use.

use super::civil::{Civil, CivilError, DateOrder};
use super::yes_no::yes_or_no;
use super::zone::offset_of;
use dialback::Timestamp;
use dialback::service::MAX_SKEW_MILLIS;
use jiff::civil::DateTime;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::{Offset, TimeZone};

/// Parses times. Those without an offset are in one configured time zone.
#[derive(Debug)]
pub(in crate::import) struct TimeReader {
    time_zone: TimeZone,
    /// The order of day and month in dates of numbers, if the user named it.
    order: Option<DateOrder>,
    latest: Timestamp,
}

/// The reason why a time was rejected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::import) enum MomentError {
    Empty,
    NotATime,
    /// A date of numbers whose order of day and month was not named.
    WhichOrder,
    /// Before [`Timestamp::EARLIEST`].
    TooEarly,
    /// Further in the future than clock differences explain.
    InTheFuture,
}

/// Whole numbers from here on are milliseconds, and from [`MICROS_FROM`] on microseconds. As seconds, the first of
/// them would lie in the year 5138.
const MILLIS_FROM: i64 = 100_000_000_000;
const MICROS_FROM: i64 = 1000 * MILLIS_FROM;

static PARSER: DateTimeParser = DateTimeParser::new();

impl TimeReader {
    /// Creates a parser. Times without an offset are in `time_zone`, and dates of numbers have this `order`. A time
    /// later than `now` plus the allowed clock difference is rejected.
    pub(in crate::import) fn new(time_zone: TimeZone, order: Option<DateOrder>, now: Timestamp) -> Self {
        Self { time_zone, order, latest: now.plus_millis(MAX_SKEW_MILLIS) }
    }

    /// Parses RFC 3339, RFC 3339 without an offset or with a space for the T, RFC 9557 (with a zone in brackets), the
    /// notations of [`Civil`], `YYYYMMDDhhmmss`, or seconds, milliseconds or microseconds since 1970.
    pub(in crate::import) fn read(&self, text: &str) -> Result<Timestamp, MomentError> {
        let millis = self.millis(text)?;
        let moment = u64::try_from(millis).map(Timestamp::from_millis).map_err(|_| MomentError::TooEarly)?;
        if moment < Timestamp::EARLIEST {
            return Err(MomentError::TooEarly);
        }
        if moment > self.latest {
            return Err(MomentError::InTheFuture);
        }
        Ok(moment)
    }

    /// Returns whether the text of a column for the time of the answer says that the call was answered. Databases write
    /// a missing time as zeros, or as a day in or before 1970. `None` if the text is neither a time nor a yes or no.
    pub(in crate::import) fn is_answered(&self, text: &str) -> Option<bool> {
        if let Some(answered) = yes_or_no(text) {
            return Some(answered);
        }
        let is_of_numbers = text
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'/' | b'.' | b':' | b' ' | b'T' | b'Z'));
        if is_of_numbers && text.contains('0') && !text.bytes().any(|byte| matches!(byte, b'1'..=b'9')) {
            return Some(false);
        }
        if text.len() != COMPACT_LEN
            && let Ok(number) = text.parse::<f64>()
        {
            return number.is_finite().then_some(number > 0.0);
        }
        // Only the year counts, so the order of day and month does not.
        let orders = [DateOrder::DayMonthYear, DateOrder::MonthDayYear, DateOrder::YearMonthDay].map(Some);
        let orders = [self.order].into_iter().chain(orders);
        let read = |text: &str| orders.clone().find_map(|order| local(text, order).ok());
        if let Some(local) = read(text).or_else(|| read(&format!("{text} 00:00:00"))) {
            return Some(local.year() > 1970);
        }
        let of_any_day = format!("2020-01-01 {text}");
        local(&of_any_day, None).is_ok().then_some(true)
    }

    fn millis(&self, text: &str) -> Result<i64, MomentError> {
        if text.is_empty() {
            return Err(MomentError::Empty);
        }
        if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            if let Some(compact) = split_compact(text) {
                return self.civil_millis(&compact);
            }
            return epoch_millis(text).ok_or(MomentError::NotATime);
        }
        if text.ends_with(']') {
            // RFC 9557. An offset that the zone does not have at this time is an error.
            let zoned = PARSER.parse_zoned_datetime(text).map_err(|_| MomentError::NotATime)?;
            return Ok(zoned.timestamp().as_millisecond());
        }
        self.iso_millis(text).map_or_else(|| self.civil_millis(text), Ok)
    }

    /// Parses the notation of nearly all records, RFC 3339 with or without an offset.
    fn iso_millis(&self, text: &str) -> Option<i64> {
        // The shortest date and time is YYYY-MM-DDTHH:MM. A sign or Z after it starts an offset.
        let seconds = text.get(16..).filter(|_| text.as_bytes()[4] == b'-')?;
        if let Some(at) = seconds.find(['Z', 'z', '+', '-']) {
            let is_utc = seconds[at..].eq_ignore_ascii_case("Z");
            if !is_utc {
                offset_of(&seconds[at..], 2)?;
            }
            return PARSER.parse_timestamp(text).ok().map(jiff::Timestamp::as_millisecond);
        }
        self.in_zone(PARSER.parse_datetime(text).ok()?, None).ok()
    }

    fn civil_millis(&self, text: &str) -> Result<i64, MomentError> {
        let Civil { local, offset } = Civil::parse(text, self.order)?;
        self.in_zone(local, offset)
    }

    /// Returns the instant of a local time. If clocks are set back, the first of two possible times counts. If clocks
    /// are set forward, a skipped time is moved ahead by the length of the gap.
    fn in_zone(&self, local: DateTime, offset: Option<Offset>) -> Result<i64, MomentError> {
        let instant = match offset {
            Some(offset) => offset.to_timestamp(local),
            None => self.time_zone.to_timestamp(local),
        };
        instant.map(jiff::Timestamp::as_millisecond).map_err(|_| MomentError::NotATime)
    }
}

impl From<CivilError> for MomentError {
    fn from(error: CivilError) -> Self {
        match error {
            CivilError::NotATime => Self::NotATime,
            CivilError::WhichOrder => Self::WhichOrder,
        }
    }
}

/// Returns the date and time that the text shows, without regard to its offset.
fn local(text: &str, order: Option<DateOrder>) -> Result<DateTime, MomentError> {
    if text.ends_with(']') {
        return PARSER.parse_zoned_datetime(text).map(|zoned| zoned.datetime()).map_err(|_| MomentError::NotATime);
    }
    if let Some(compact) = split_compact(text) {
        return Ok(Civil::parse(&compact, None)?.local);
    }
    Ok(Civil::parse(text, order)?.local)
}

/// The length of `YYYYMMDDhhmmss`. As milliseconds since 1970, so many digits lie after the year 2286.
const COMPACT_LEN: usize = 14;

/// Returns the date and the time of `YYYYMMDDhhmmss` with a space between them.
fn split_compact(text: &str) -> Option<String> {
    let is_compact = text.len() == COMPACT_LEN && text.bytes().all(|byte| byte.is_ascii_digit());
    is_compact.then(|| format!("{} {}", &text[..8], &text[8..]))
}

/// Parses seconds with or without a fraction, whole milliseconds or whole microseconds. The size distinguishes them,
/// because all are dates of this century.
fn epoch_millis(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    // A data frame writes whole numbers with `.0` if a row of their column is empty.
    let fraction = fraction.filter(|digits| *digits != "0");
    let whole: i64 = whole.parse().ok()?;
    let Some(fraction) = fraction else {
        return Some(match whole {
            0..MILLIS_FROM => whole * 1000,
            MILLIS_FROM..MICROS_FROM => whole,
            _ => whole / 1000,
        });
    };
    if fraction.contains('.') || whole >= MILLIS_FROM {
        return None;
    }
    let millis = fraction.bytes().chain(*b"000").take(3).fold(0, |value, digit| value * 10 + i64::from(digit - b'0'));
    Some(whole * 1000 + millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_760_000_000); // 2025-10-09T08:53:20Z

    fn read(text: &str, time_zone: &str) -> Result<u64, MomentError> {
        let time_zone = PARSER.parse_time_zone(time_zone).expect("a time zone");
        TimeReader::new(time_zone, None, NOW).read(text).map(Timestamp::millis)
    }

    #[test]
    fn all_notations_give_the_same_time() {
        let noon = 1_751_371_200_000; // 2025-07-01T12:00:00Z
        for (text, time_zone, expected) in [
            ("2025-07-01T12:00:00Z", "UTC", noon),
            ("2025-07-01T12:00:00Z", "Europe/Berlin", noon),
            ("2025-07-01t14:00:00.250+02:00", "UTC", noon + 250),
            ("2025-07-01 12:00:00", "UTC", noon),
            ("2025-07-01 14:00:00.5", "Europe/Berlin", noon + 500),
            ("2025-07-01T12:00", "UTC", noon),
            ("2025-07-01 07:00:00", "-05:00", noon),
            ("1751371200", "Europe/Berlin", noon),
            ("1751371200.25", "UTC", noon + 250),
            ("1751371200.123456", "UTC", noon + 123),
            ("1751371200.", "UTC", noon),
            ("1751371200250", "UTC", noon + 250),
            ("1751371200.0", "UTC", noon),
            ("1751371200250.0", "UTC", noon + 250),
            ("1751371200250999", "UTC", noon + 250),
            ("20250701120000", "UTC", noon),
            ("20250701140000", "Europe/Berlin", noon),
            ("2025/07/01 12:00:00", "UTC", noon),
            ("2025-07-01 12:00:00 PM", "UTC", noon),
            ("2025-07-01 02:00 PM", "Europe/Berlin", noon),
            ("2025-07-01 12:00:00 UTC", "Europe/Berlin", noon),
            ("2025-07-01 14:00:00 +0200", "UTC", noon),
            ("2025-07-01T14:00:00.250+0200", "UTC", noon + 250),
            ("2025-07-01 07:00:00-05", "UTC", noon),
            ("Tue, 01 Jul 2025 12:00:00 +0000", "Europe/Berlin", noon),
            ("20250701T120000Z", "Europe/Berlin", noon),
            ("2025-07-01T14:00:00[Europe/Berlin]", "UTC", noon),
            ("2025-07-01T14:00:00+02:00[Europe/Berlin]", "UTC", noon),
            ("2025-07-01T12:00:00Z[Europe/Berlin]", "UTC", noon),
        ] {
            assert_eq!(read(text, time_zone), Ok(expected), "{text} in {time_zone}");
        }
    }

    #[test]
    fn ambiguous_local_time_is_the_first_and_skipped_one_moves_ahead() {
        // Berlin, 2024-10-27: 02:30 is 00:30Z, then again 01:30Z. 2024-03-31: 02:30 does not exist; 01:30Z is 03:30.
        assert_eq!(read("2024-10-27 02:30:00", "Europe/Berlin"), Ok(1_729_989_000_000));
        assert_eq!(read("2024-03-31 02:30:00", "Europe/Berlin"), Ok(1_711_848_600_000));
    }

    #[test]
    fn malformed_time_is_rejected() {
        use MomentError::{Empty, InTheFuture, NotATime, TooEarly, WhichOrder};
        for (text, expected) in [
            ("", Empty),
            ("yesterday", NotATime),
            ("2025-13-01 12:00:00", NotATime),
            ("2025-07-01", NotATime),
            ("07/01/2025 12:00:00", WhichOrder),
            ("25/12/2024 12:00:00", WhichOrder),
            ("2025-07-01 13:00:00 PM", NotATime),
            ("2025-07-01T12:00:00+02:00[America/New_York]", NotATime),
            ("2025-07-01T12:00:00[Mars/Base]", NotATime),
            ("20251301120000", NotATime),
            ("20250701126000", NotATime),
            ("2025-07-01T25:00:00Z", NotATime),
            ("1.2.3", NotATime),
            (".", NotATime),
            ("99999999999999999999", NotATime),
            ("1751371200250.5", NotATime),
            ("äöüäöüäöüäöü", NotATime),
            ("2019-12-31T23:59:59Z", TooEarly),
            ("1969-12-31T00:00:00Z", TooEarly),
            ("0", TooEarly),
            ("2025-10-10T08:53:21Z", InTheFuture),
            ("2999-01-01 00:00:00", InTheFuture),
        ] {
            assert_eq!(read(text, "UTC"), Err(expected), "{text}");
        }
        assert!(read("2025-10-10T08:53:20Z", "UTC").is_ok(), "a day ahead is forgiven");
        assert!(read("2020-01-01T00:00:00Z", "UTC").is_ok());
    }

    #[test]
    fn dates_of_numbers_are_read_in_the_named_order() {
        let read = |text, order| TimeReader::new(TimeZone::UTC, Some(order), NOW).read(text).map(Timestamp::millis);
        let noon = 1_751_371_200_000;
        assert_eq!(read("01/07/2025 12:00:00", DateOrder::DayMonthYear), Ok(noon));
        assert_eq!(read("07/01/2025 12:00:00 PM", DateOrder::MonthDayYear), Ok(noon));
        assert_eq!(read("2025-07-01T12:00:00Z", DateOrder::MonthDayYear), Ok(noon));
        assert_eq!(read("25/12/2024 12:00:00", DateOrder::MonthDayYear), Err(MomentError::NotATime));
    }

    #[test]
    fn answered_is_a_time_after_1970_or_a_yes() {
        let reader = TimeReader::new(TimeZone::UTC, None, NOW);
        for (text, expected) in [
            ("", Some(false)),
            ("no", Some(false)),
            ("FALSE", Some(false)),
            ("NULL", Some(false)),
            ("0", Some(false)),
            ("0.0", Some(false)),
            ("-1", Some(false)),
            ("0000-00-00 00:00:00", Some(false)),
            ("00:00:00", Some(false)),
            ("00000000000000", Some(false)),
            ("1969-12-31 19:00:00", Some(false)),
            ("1970-01-01T01:00:00Z", Some(false)),
            ("01/01/1970 01:00:00", Some(false)),
            ("31/12/1969 19:00:00", Some(false)),
            ("12/31/69", Some(false)),
            ("12/31/69 7:00 PM", Some(false)),
            ("1/1/70 1:00", Some(false)),
            ("1.1.70", Some(false)),
            ("70-01-01 00:00:00", Some(false)),
            ("1/7/25 14:00", Some(true)),
            ("1899-12-30 00:00:00", Some(false)),
            ("0001-01-01 00:00:00", Some(false)),
            ("19700101000000", Some(false)),
            ("yes", Some(true)),
            ("True", Some(true)),
            ("1", Some(true)),
            ("51", Some(true)),
            ("1751371200.5", Some(true)),
            ("20250701120000", Some(true)),
            ("2025-07-01 12:00:00", Some(true)),
            ("2025-07-01T12:00:00.5+02:00", Some(true)),
            ("2025-07-01T12:00:00[Europe/Berlin]", Some(true)),
            ("07/01/2025 12:00:00 PM", Some(true)),
            ("25/12/2024", Some(true)),
            ("12:00:05", Some(true)),
            ("perhaps", None),
            ("inf", None),
            ("ANSWERED", None),
            ("2025-13-01 12:00:00", None),
            ("7a", None),
        ] {
            assert_eq!(reader.is_answered(text), expected, "{text}");
        }
    }
}
