//! When a call was placed, in the notations that call records use.

use dialback::Timestamp;
use dialback::service::MAX_SKEW_MILLIS;
use jiff::civil::DateTime;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::TimeZone;

/// Reads times: those without an offset are local to one time zone.
#[derive(Debug)]
pub(super) struct Clock {
    time_zone: TimeZone,
    latest: Timestamp,
}

/// Why a time was not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum MomentError {
    Empty,
    NotATime,
    /// Before [`Timestamp::EARLIEST`].
    TooEarly,
    /// Further ahead than clocks differ.
    InTheFuture,
}

/// From here on, whole numbers are milliseconds, then microseconds: as seconds they would lie in the year 5138 and beyond, and
/// these as milliseconds.
const MILLIS_FROM: i64 = 100_000_000_000;
const MICROS_FROM: i64 = 1000 * MILLIS_FROM;

static PARSER: DateTimeParser = DateTimeParser::new();

impl Clock {
    /// Times without an offset are in `time_zone`; none may lie more than the allowed skew behind `now`.
    pub(super) fn new(time_zone: TimeZone, now: Timestamp) -> Self {
        Self { time_zone, latest: now.plus_millis(MAX_SKEW_MILLIS) }
    }

    /// Reads RFC 3339, the same without an offset and with a space for the T, or seconds, milliseconds or microseconds since
    /// 1970.
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
        // The shortest date and time, YYYY-MM-DDTHH:MM, has no sign or Z behind it unless an offset follows.
        let has_offset = text.get(16..).ok_or(MomentError::NotATime)?.contains(['Z', 'z', '+', '-']);
        if has_offset {
            let instant = PARSER.parse_timestamp(text).map_err(|_| MomentError::NotATime)?;
            return Ok(instant.as_millisecond());
        }
        let local: DateTime = PARSER.parse_datetime(text).map_err(|_| MomentError::NotATime)?;
        // Of an hour that the clocks pass twice, the first; in an hour that they leave out, as far behind its beginning.
        let instant = self.time_zone.to_timestamp(local).map_err(|_| MomentError::NotATime)?;
        Ok(instant.as_millisecond())
    }
}

/// Seconds, with or without a fraction, or whole milliseconds or microseconds: told apart by their size, since all three are
/// dates of this century.
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
        Clock::new(time_zone, NOW).read(text).map(Timestamp::millis)
    }

    #[test]
    fn notations() {
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
    fn an_hour_passed_twice_is_the_first_and_one_left_out_moves_on() {
        // Berlin, 2024-10-27: 02:30 is 00:30Z, then again 01:30Z. 2024-03-31: 02:30 does not exist; 01:30Z is 03:30.
        assert_eq!(read("2024-10-27 02:30:00", "Europe/Berlin"), Ok(1_729_989_000_000));
        assert_eq!(read("2024-03-31 02:30:00", "Europe/Berlin"), Ok(1_711_848_600_000));
    }

    #[test]
    fn what_is_no_time() {
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
