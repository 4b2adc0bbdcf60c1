//! Reads dates and times in other notations than RFC 3339.

use super::zone::offset_of;
use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::Offset;
use std::str::FromStr;

/// The order of day, month and year in dates of numbers, such as `05/06/2026`. The user must name it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum DateOrder {
    DayMonthYear,
    MonthDayYear,
    YearMonthDay,
}

impl FromStr for DateOrder {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let letters: String = text.chars().filter(char::is_ascii_alphabetic).collect();
        match letters.to_ascii_uppercase().as_str() {
            "DMY" | "DDMMYYYY" | "DDMMYY" => Ok(Self::DayMonthYear),
            "MDY" | "MMDDYYYY" | "MMDDYY" => Ok(Self::MonthDayYear),
            "YMD" | "YYYYMMDD" | "YYMMDD" => Ok(Self::YearMonthDay),
            _ => Err("the order must be D/M/Y, M/D/Y or Y/M/D".into()),
        }
    }
}

/// A date and time as they were written.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(in crate::import) struct Civil {
    pub(in crate::import) local: DateTime,
    /// The offset from UTC, if the text has one.
    pub(in crate::import) offset: Option<Offset>,
}

/// The reason why a text is not read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::import) enum CivilError {
    NotATime,
    /// A date of numbers, and the order of day and month is not known.
    WhichOrder,
}

use CivilError::{NotATime, WhichOrder};

impl Civil {
    /// Reads a date and a time of day, with or without an offset:
    /// * dates: `2026-11-20`, `2026/11/20`, `20261120`, `20 Nov 2026`, `20-Nov-2026`, `Nov 20, 2026`, and numbers in
    ///   the given order; a weekday before them must be the right one;
    /// * times: `13:00`, `13:00:00.5`, `1:00 PM`, `130000`;
    /// * offsets: `Z`, `UTC`, `GMT`, `+01`, `+0100`, `+01:00`, `GMT+0100`.
    ///
    /// The date may also follow a time with an offset, as on Twilio's pages: `13:00:00 UTC 2026-11-20`.
    pub(in crate::import) fn parse(text: &str, order: Option<DateOrder>) -> Result<Self, CivilError> {
        let turned = date_first(text);
        let mut rest = Rest(turned.as_deref().unwrap_or(text));
        let weekday = rest.weekday();
        let date = rest.date(order);
        let local = match date {
            Err(NotATime) => return Err(NotATime),
            // The order is only worth asking for if everything else is a time.
            Err(WhichOrder) => Date::constant(2026, 1, 1),
            Ok(date) => date,
        };
        let time = rest.time().ok_or(NotATime)?;
        let offset = rest.offset()?;
        if weekday.is_some_and(|weekday| date.is_ok_and(|date| date.weekday() != weekday)) {
            return Err(NotATime);
        }
        date.map(|_| Self { local: local.to_datetime(time), offset })
    }
}

/// The part of a text that is still to be read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    /// Removes the text if it is next.
    fn take(&mut self, text: &str) -> bool {
        let next = self.0.strip_prefix(text);
        self.0 = next.unwrap_or(self.0);
        next.is_some()
    }

    fn skip_spaces(&mut self) -> bool {
        let trimmed = self.0.trim_start_matches([' ', '\t', '\u{a0}', '\u{202f}']);
        let any = trimmed.len() < self.0.len();
        self.0 = trimmed;
        any
    }

    /// Removes and returns the digits that are next.
    fn digits(&mut self) -> &'a str {
        let len = self.0.bytes().take_while(u8::is_ascii_digit).count();
        let (digits, rest) = self.0.split_at(len);
        self.0 = rest;
        digits
    }

    /// Removes and returns a number of this many digits.
    fn number(&mut self, digits: std::ops::RangeInclusive<usize>) -> Option<i16> {
        let number = self.digits();
        if digits.contains(&number.len()) { number.parse().ok() } else { None }
    }

    /// Removes and returns the letters that are next.
    fn letters(&mut self) -> &'a str {
        let len = self.0.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (letters, rest) = self.0.split_at(len);
        self.0 = rest;
        letters
    }

    fn weekday(&mut self) -> Option<Weekday> {
        let start = self.0;
        let name = self.letters();
        let weekday = WEEKDAYS.iter().find(|(long, _)| is_name(long, name)).map(|(_, weekday)| *weekday);
        if weekday.is_some() {
            self.take(",");
            self.skip_spaces();
        } else {
            self.0 = start;
        }
        weekday
    }

    fn date(&mut self, order: Option<DateOrder>) -> Result<Date, CivilError> {
        if self.0.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let month = month(self.letters()).ok_or(NotATime)?;
            let day = self.after_space().number(1..=2).ok_or(NotATime)?;
            self.take(",");
            let year = self.after_space().number(4..=4).ok_or(NotATime)?;
            return day_of(year, month, day);
        }
        let first = self.digits();
        if first.len() == 8 {
            let part = |at: std::ops::Range<usize>| first[at].parse().map_err(|_| NotATime);
            return day_of(part(0..4)?, part(4..6)?, part(6..8)?);
        }
        let separator = self.0.chars().next().filter(|c| matches!(c, '-' | '/' | '.' | ' ')).ok_or(NotATime)?;
        self.0 = &self.0[1..];
        if self.0.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let month = month(self.letters()).ok_or(NotATime)?;
            let year =
                if self.0.starts_with(separator) { self.separated(separator, 4..=4)? } else { return Err(NotATime) };
            return day_of(year, month, short_number(first)?);
        }
        if separator == ' ' {
            return Err(NotATime);
        }
        let second = self.number(1..=2).ok_or(NotATime)?;
        if first.len() == 4 {
            let day = self.separated(separator, 1..=2)?;
            return day_of(first.parse().map_err(|_| NotATime)?, second, day);
        }
        let start = self.0.len();
        let third = self.separated(separator, 2..=4)?;
        let digits = start - self.0.len() - 1;
        of_numbers(short_number(first)?, second, (third, digits), order)
    }

    fn after_space(&mut self) -> &mut Self {
        self.skip_spaces();
        self
    }

    /// Removes the separator and returns the number after it.
    fn separated(&mut self, separator: char, digits: std::ops::RangeInclusive<usize>) -> Result<i16, CivilError> {
        let rest = self.0.strip_prefix(separator).ok_or(NotATime)?;
        self.0 = rest;
        self.number(digits).ok_or(NotATime)
    }

    fn time(&mut self) -> Option<Time> {
        let comma = self.take(",");
        let has_gap = self.skip_spaces() || comma || self.take("T") || self.take("t");
        let first = self.digits();
        let is_compact = first.len() == 6;
        // Only digits may follow digits without a gap: YYYYMMDDhhmmss is split by the caller.
        if !has_gap || first.is_empty() {
            return None;
        }
        let (hour, minute, second) = if is_compact {
            (first[..2].parse().ok()?, first[2..4].parse().ok()?, first[4..].parse().ok()?)
        } else {
            let hour: i8 = if first.len() <= 2 { first.parse().ok()? } else { return None };
            let minute = self.part_of_time()?;
            let second = if self.0.starts_with(':') { self.part_of_time()? } else { 0 };
            (hour, minute, second)
        };
        let nanos = self.fraction();
        Time::new(self.hour(hour)?, minute, second, nanos).ok()
    }

    /// Returns the minutes or seconds after a colon.
    fn part_of_time(&mut self) -> Option<i8> {
        let digits = self.take(":").then(|| self.digits()).filter(|digits| digits.len() == 2)?;
        digits.parse().ok()
    }

    /// Returns the nanoseconds after the seconds, which are 0 if there is no fraction.
    fn fraction(&mut self) -> i32 {
        let begins = |text: &str, mark: char| {
            text.strip_prefix(mark).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        if !begins(self.0, '.') && !begins(self.0, ',') {
            return 0;
        }
        self.0 = &self.0[1..];
        let digits = self.digits();
        digits.bytes().chain(*b"000000000").take(9).fold(0, |value, digit| value * 10 + i32::from(digit - b'0'))
    }

    /// Returns the hour from 0 to 23, with AM or PM if it is next.
    fn hour(&mut self, hour: i8) -> Option<i8> {
        let start = self.0;
        self.skip_spaces();
        let word =
            self.0.get(..4).filter(|word| word.eq_ignore_ascii_case("a.m.") || word.eq_ignore_ascii_case("p.m."));
        let name = match word {
            Some(word) => {
                self.0 = &self.0[4..];
                word
            }
            None => self.letters(),
        };
        let is_afternoon = match name.as_bytes() {
            [b'a' | b'A', b'm' | b'M'] | [b'a' | b'A', b'.', ..] => false,
            [b'p' | b'P', b'm' | b'M'] | [b'p' | b'P', b'.', ..] => true,
            _ => {
                self.0 = start;
                return Some(hour);
            }
        };
        (1..=12).contains(&hour).then(|| hour % 12 + if is_afternoon { 12 } else { 0 })
    }

    /// Returns the offset, or `None` if the text ends without one.
    fn offset(&mut self) -> Result<Option<Offset>, CivilError> {
        self.skip_spaces();
        let name = self.letters();
        let is_utc = ["UTC", "GMT", "UT", "Z"].iter().any(|utc| utc.eq_ignore_ascii_case(name));
        match (name, self.0) {
            ("", "") => Ok(None),
            (_, "") if is_utc => Ok(Some(Offset::UTC)),
            (_, offset) if is_utc || name.is_empty() => {
                // A program writes the name of its zone after the offset: `GMT+0100 (CET)`.
                let offset = offset.split_once(" (").map_or(offset, |(offset, _)| offset);
                offset_of(offset, 2).map(Some).ok_or(NotATime)
            }
            _ => Err(NotATime),
        }
    }
}

/// Returns the text with the date before the time, if it begins with a time and an offset.
fn date_first(text: &str) -> Option<String> {
    let hour = text.bytes().take_while(u8::is_ascii_digit).count();
    if !(1..=2).contains(&hour) || text.as_bytes().get(hour) != Some(&b':') {
        return None;
    }
    let mut words = text.split(' ').scan(0, |end, word| {
        let begin = *end;
        *end += word.len() + 1;
        Some((begin, word))
    });
    let (at, offset) = words.find(|(at, word)| *at > 0 && Rest(word).offset().is_ok_and(|offset| offset.is_some()))?;
    let date = text.get(at + offset.len() + 1..)?;
    Some(format!("{date} {}", &text[..at + offset.len()]))
}

/// Returns the date of three numbers. The third one has this many digits.
fn of_numbers(
    first: i16,
    second: i16,
    (third, digits): (i16, usize),
    order: Option<DateOrder>,
) -> Result<Date, CivilError> {
    // As in POSIX. A zero in a database is a day of 1969 or 1970.
    let century = |year: i16| if year < 69 { 2000 + year } else { 1900 + year };
    let year = match digits {
        4 => third,
        2 => century(third),
        _ => return Err(NotATime),
    };
    match order {
        None => Err(WhichOrder),
        Some(DateOrder::DayMonthYear) => day_of(year, second, first),
        Some(DateOrder::MonthDayYear) => day_of(year, first, second),
        Some(DateOrder::YearMonthDay) if digits == 2 => day_of(century(first), second, third),
        Some(DateOrder::YearMonthDay) => Err(NotATime),
    }
}

fn short_number(digits: &str) -> Result<i16, CivilError> {
    if digits.is_empty() || digits.len() > 2 { Err(NotATime) } else { digits.parse().map_err(|_| NotATime) }
}

fn day_of(year: i16, month: i16, day: i16) -> Result<Date, CivilError> {
    let (month, day) = (i8::try_from(month).map_err(|_| NotATime)?, i8::try_from(day).map_err(|_| NotATime)?);
    Date::new(year, month, day).map_err(|_| NotATime)
}

/// Returns whether `name` is the long name or its first three letters.
fn is_name(long: &str, name: &str) -> bool {
    name.eq_ignore_ascii_case(long) || name.eq_ignore_ascii_case(&long[..3])
}

fn month(name: &str) -> Option<i16> {
    let at = MONTHS.iter().position(|long| is_name(long, name))?;
    i16::try_from(at + 1).ok()
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

const WEEKDAYS: [(&str, Weekday); 7] = [
    ("Monday", Weekday::Monday),
    ("Tuesday", Weekday::Tuesday),
    ("Wednesday", Weekday::Wednesday),
    ("Thursday", Weekday::Thursday),
    ("Friday", Weekday::Friday),
    ("Saturday", Weekday::Saturday),
    ("Sunday", Weekday::Sunday),
];

#[cfg(test)]
mod tests {
    use super::*;
    use DateOrder::{DayMonthYear, MonthDayYear, YearMonthDay};
    use proptest::prelude::*;

    fn read(text: &str, order: Option<DateOrder>) -> Result<String, CivilError> {
        Civil::parse(text, order).map(|read| match read.offset {
            None => read.local.to_string(),
            Some(offset) => format!("{}{offset}", read.local),
        })
    }

    #[test]
    fn notations_with_one_meaning_are_read_without_an_order() {
        for (text, expected) in [
            ("2026/11/20 12:00:00", "2026-11-20T12:00:00"),
            ("2026-11-20 1:05 PM", "2026-11-20T13:05:00"),
            ("2026-11-20 12:00:00 PM", "2026-11-20T12:00:00"),
            ("2026-11-20 12:00:00 am", "2026-11-20T00:00:00"),
            ("2026-11-20 1:00:00.5PM", "2026-11-20T13:00:00.5"),
            ("2026-11-20 1:00 p.m.", "2026-11-20T13:00:00"),
            ("2026-11-20\u{202f}1:00\u{202f}PM", "2026-11-20T13:00:00"),
            ("2026-11-20  12:00:00", "2026-11-20T12:00:00"),
            ("2026-11-20, 12:00:00", "2026-11-20T12:00:00"),
            ("2026-11-20 12:00:00,123", "2026-11-20T12:00:00.123"),
            ("2026-11-20 12:00:00 UTC", "2026-11-20T12:00:00+00"),
            ("2026-11-20 12:00:00Z", "2026-11-20T12:00:00+00"),
            ("2026-11-20 12:00:00 +0130", "2026-11-20T12:00:00+01:30"),
            ("2026-11-20 12:00:00-05", "2026-11-20T12:00:00-05"),
            ("2026-11-20 12:00:00 -05:00", "2026-11-20T12:00:00-05"),
            ("20261120T120000Z", "2026-11-20T12:00:00+00"),
            ("20261120 120000", "2026-11-20T12:00:00"),
            ("Fri, 20 Nov 2026 12:00:00 +0100", "2026-11-20T12:00:00+01"),
            ("Friday, 20 November 2026 12:00", "2026-11-20T12:00:00"),
            ("Fri Nov 20 2026 12:00:00 GMT+0100 (Central European Standard Time)", "2026-11-20T12:00:00+01"),
            ("Nov 20, 2026, 1:00:00 PM", "2026-11-20T13:00:00"),
            ("20-Nov-2026 12:00:00", "2026-11-20T12:00:00"),
            ("5 MAY 2026 12:00 GMT", "2026-05-05T12:00:00+00"),
            ("13:14:54 UTC 2026-11-20", "2026-11-20T13:14:54+00"),
            ("1:14:54 PM UTC 2026-11-20", "2026-11-20T13:14:54+00"),
            ("13:14 +0100 2026-11-20", "2026-11-20T13:14:00+01"),
            ("13:14 GMT Fri, 20 Nov 2026", "2026-11-20T13:14:00+00"),
        ] {
            assert_eq!(read(text, None), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn dates_of_numbers_are_read_in_the_given_order_only() {
        for (text, order, expected) in [
            ("05/06/2026 12:00", Some(DayMonthYear), Ok("2026-06-05T12:00:00")),
            ("05/06/2026 12:00", Some(MonthDayYear), Ok("2026-05-06T12:00:00")),
            ("5.6.26 12:00", Some(DayMonthYear), Ok("2026-06-05T12:00:00")),
            ("26-05-06 12:00", Some(YearMonthDay), Ok("2026-05-06T12:00:00")),
            ("31/12/68 12:00", Some(DayMonthYear), Ok("2068-12-31T12:00:00")),
            ("12/31/69 12:00", Some(MonthDayYear), Ok("1969-12-31T12:00:00")),
            ("70-01-01 12:00", Some(YearMonthDay), Ok("1970-01-01T12:00:00")),
            ("05/06/2026 12:00", None, Err(WhichOrder)),
            // One reading is not a date, but other lines of the file may be ambiguous.
            ("20/11/2026 12:00", None, Err(WhichOrder)),
            ("20/11/2026 12:00", Some(DayMonthYear), Ok("2026-11-20T12:00:00")),
            ("20/11/2026 12:00", Some(MonthDayYear), Err(NotATime)),
            ("05/06/2026 12:00", Some(YearMonthDay), Err(NotATime)),
            ("05/06/2026 yesterday", None, Err(NotATime)),
            ("12:00 UTC 05/06/2026", None, Err(WhichOrder)),
            ("12:00 UTC 05/06/2026", Some(MonthDayYear), Ok("2026-05-06T12:00:00+00")),
            ("05/06/226 12:00", Some(DayMonthYear), Err(NotATime)),
            ("05/06-2026 12:00", Some(DayMonthYear), Err(NotATime)),
            ("2026-11-20 12:00", Some(DayMonthYear), Ok("2026-11-20T12:00:00")),
        ] {
            assert_eq!(read(text, order), expected.map(str::to_owned), "{text} {order:?}");
        }
    }

    #[test]
    fn other_texts_are_not_read() {
        for text in [
            "",
            "2026-11-20",
            "2026-11-20 ",
            "2026-11-2012:00",
            "2026-13-20 12:00",
            "2026-02-30 12:00",
            "2026-11-20 24:00",
            "2026-11-20 12:60",
            "2026-11-20 12",
            "2026-11-20 13:00 PM",
            "2026-11-20 0:00 AM",
            "2026-11-20 12:00 PST",
            "2026-11-20 12:00 PM PM",
            "2026-11-20 12:00:00+24:00",
            "2026-11-20 12:00:00+5",
            "2026-11-20 12:00:00 x",
            "2026-11-20 12:00:00 +0100 x",
            "Mon, 20 Nov 2026 12:00:00 +0000",
            "20 Foo 2026 12:00",
            "Nov 20 26 12:00",
            "12:00:00 2026-11-20",
            "12:00:00 PST 2026-11-20",
            "12:00:00 UTC",
            "12:00:00 UTC ",
            "12:00:00 UTC 2026-11-20 UTC",
            "12:00:00 UTC 2026-11-20 12:00:00",
            "12:00:00 UTC UTC 2026-11-20",
            "2026-11-20_12:00:00",
            "\u{661}\u{662}/11/2026 12:00",
            "é",
        ] {
            assert_eq!(read(text, Some(DayMonthYear)), Err(NotATime), "{text}");
        }
    }

    #[test]
    fn order_is_read_in_any_common_spelling() {
        for (text, expected) in [
            ("D/M/Y", DayMonthYear),
            ("dd.mm.yyyy", DayMonthYear),
            ("m/d/y", MonthDayYear),
            ("MM/DD/YY", MonthDayYear),
            ("y-m-d", YearMonthDay),
        ] {
            assert_eq!(text.parse(), Ok(expected), "{text}");
        }
        for text in ["", "D/Y/M", "DM", "european"] {
            assert!(text.parse::<DateOrder>().is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

        /// A time that is written in a notation is read as this time. Numbers in another order are another time, or none.
        #[test]
        fn written_time_is_read_back(
            year in 2020_i16..2100, month in 1_i8..=12, day in 1_i8..=28, hour in 0_i8..24, minute in 0_i8..60,
            style in 0_usize..6, afternoon in any::<bool>(),
        ) {
            let name = &MONTHS[usize::from(month.unsigned_abs()) - 1][..3];
            let date = match style {
                0 => format!("{year}-{month:02}-{day:02}"),
                1 => format!("{year}/{month}/{day}"),
                2 => format!("{year}{month:02}{day:02}"),
                3 => format!("{day} {name} {year}"),
                4 => format!("{day:02}.{month:02}.{year}"),
                _ => format!("{name} {day}, {year}"),
            };
            let half = if hour < 12 { "am" } else { "PM" };
            let time = if afternoon { format!("{}:{minute:02} {half}", (hour + 11) % 12 + 1) } else { format!("{hour}:{minute:02}") };
            let text = format!("{date} {time}");
            let expected = Date::constant(year, month, day).at(hour, minute, 0, 0);
            prop_assert_eq!(Civil::parse(&text, Some(DayMonthYear)).map(|read| read.local), Ok(expected), "{}", text);
            if style == 4 {
                prop_assert_eq!(Civil::parse(&text, None), Err(WhichOrder));
            }
        }

        #[test]
        fn no_text_panics(text in "[0-9A-Za-z:/. ,+é-]{0,40}", any in any::<String>()) {
            for text in [text, any] {
                for order in [None, Some(DayMonthYear), Some(MonthDayYear), Some(YearMonthDay)] {
                    let _ = Civil::parse(&text, order);
                }
            }
        }
    }
}
