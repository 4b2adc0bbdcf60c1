//! Parses the time of a call, in the notations that call records use.

use dialback::Timestamp;
use dialback::service::MAX_SKEW_MILLIS;
use jiff::civil::DateTime;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::TimeZone;

/// Parses times. Those without an offset are in one configured time zone.
#[derive(Debug)]
pub(super) struct TimeReader {
    time_zone: TimeZone,
    latest: Timestamp,
}

/// The reason why a time was rejected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MomentError {
    Empty,
    NotATime,
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
    /// Creates a parser. Times without an offset are in `time_zone`. A time later than `now` plus the allowed clock
    /// difference is rejected.
    pub(super) fn new(time_zone: TimeZone, now: Timestamp) -> Self {
        Self { time_zone, latest: now.plus_millis(MAX_SKEW_MILLIS) }
    }

    /// Parses RFC 3339, RFC 3339 without an offset or with a space for the T, or seconds, milliseconds or
    /// microseconds since 1970.
    pub(super) fn read(&self, text: &str) -> Result<Timestamp, MomentError> {
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

    fn millis(&self, text: &str) -> Result<i64, MomentError> {
        if text.is_empty() {
            return Err(MomentError::Empty);
        }
        if text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return epoch_millis(text).ok_or(MomentError::NotATime);
        }
        // The shortest date and time is YYYY-MM-DDTHH:MM. A sign or Z after it starts an offset.
        let has_offset = text.get(16..).ok_or(MomentError::NotATime)?.contains(['Z', 'z', '+', '-']);
        if has_offset {
            let instant = PARSER.parse_timestamp(text).map_err(|_| MomentError::NotATime)?;
            return Ok(instant.as_millisecond());
        }
        let local: DateTime = PARSER.parse_datetime(text).map_err(|_| MomentError::NotATime)?;
        // If clocks are set back, the first of two possible times counts. If clocks are set forward, a skipped time
        // is moved ahead by the length of the gap.
        let instant = self.time_zone.to_timestamp(local).map_err(|_| MomentError::NotATime)?;
        Ok(instant.as_millisecond())
    }
}

/// Parses seconds with or without a fraction, whole milliseconds or whole microseconds. The size distinguishes them,
/// because all are dates of this century.
fn epoch_millis(text: &str) -> Option<i64> {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
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
        TimeReader::new(time_zone, NOW).read(text).map(Timestamp::millis)
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
            ("1751371200250999", "UTC", noon + 250),
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
        use MomentError::{Empty, InTheFuture, NotATime, TooEarly};
        for (text, expected) in [
            ("", Empty),
            ("yesterday", NotATime),
            ("2025-13-01 12:00:00", NotATime),
            ("2025-07-01", NotATime),
            ("07/01/2025 12:00:00", NotATime),
            ("2025-07-01 12:00:00 PM", NotATime),
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
}
