//! Splits a stream of bytes into records, each with its line number.
//!
//! One record is one call or one rejection, whatever its size and whatever is in it. A quoted value may span lines, so
//! a line inside of one must never be read as a record:
//!
//! * A record that does not fit into memory is rejected and read up to its end.
//! * A quote is not closed if text follows the quote that closes it, or if the file ends first. Then the record is
//!   rejected together with the lines that may belong to its values. The next record begins where no value can be open
//!   ([`Doubt`]).
//!
//! Memory is bounded for any input. Line numbers are those of a text editor, even with CRLF, blank lines and quoted
//! line breaks.

use super::doubt::{Doubt, ends_column};
use super::quoting::Quoting;
use super::window::{CHUNK, Window};
use crate::import::report::rejection::Rejection;
use memchr::{memchr2, memchr3};
use std::io::{self, Read};
use std::ops::RangeInclusive;

/// The largest record in bytes. The transcript of a long call has some hundred kilobytes.
pub(in crate::import) const LONGEST: usize = 8 * 1024 * 1024;

/// An iterator over the records of a file.
pub(in crate::import) struct Lines<R> {
    window: Window<R>,
    /// The delimiter of the values. `None` if each line is a record, whatever is in it.
    delimiter: Option<u8>,
    /// The numbers of columns that a record may have, as far as they are known.
    widths: Vec<RangeInclusive<usize>>,
    limit: usize,
    /// Whether a carriage return alone ends a line, as on old Macs.
    carriage_return_ends: bool,
    /// The state of the scan of the next record.
    scan: Scan,
    /// Whether the last record was too long, and its rest has not been taken.
    is_long: bool,
    /// Whether the last piece of such a record ended with a line end.
    ended_line: bool,
    /// The number of the line that begins the next record, from 1.
    line: u64,
}

/// A record or its error, and the number of the line on which it begins.
#[derive(PartialEq, Eq, Debug)]
pub(in crate::import) struct Line<'a> {
    pub(in crate::import) number: u64,
    /// The record as it is in the file, without the line end. The beginning, if the record is too long.
    pub(in crate::import) bytes: &'a [u8],
    pub(in crate::import) broken: Option<Rejection>,
    /// Whether the file ends after the record without a line end. Then the record may have been cut.
    pub(in crate::import) is_last: bool,
}

/// The extent of the next record in the window.
struct Found {
    /// The length, including the line end if there is one.
    taken: usize,
    lines: u64,
    broken: Option<Rejection>,
    is_last: bool,
    is_long: bool,
}

impl<R: Read> Lines<R> {
    /// Creates a reader of records, whose values are separated by `delimiter`. Without one, each line is a record.
    pub(in crate::import) fn new(source: R, delimiter: Option<u8>) -> io::Result<Self> {
        Self::with_limit(source, delimiter, LONGEST)
    }

    fn with_limit(source: R, delimiter: Option<u8>, limit: usize) -> io::Result<Self> {
        let mut window = Window::new(source);
        let carriage_return_ends = loop {
            match ends_with_carriage_return(window.bytes()) {
                Some(ends) => break ends,
                None if window.has_ended() || window.bytes().len() >= CHUNK => break false,
                None => window.fill()?,
            }
        };
        let scan = Scan::new(delimiter, carriage_return_ends);
        let widths = Vec::new();
        Ok(Self {
            window,
            delimiter,
            widths,
            limit,
            carriage_return_ends,
            scan,
            is_long: false,
            ended_line: false,
            line: 1,
        })
    }

    /// Returns the number of bytes up to the end of the last record.
    pub(in crate::import) fn position(&self) -> u64 {
        self.window.position()
    }

    /// Returns the number of the line after the last record.
    pub(in crate::import) fn line_number(&self) -> u64 {
        self.line
    }

    /// Sets the delimiter of the records that have not been read.
    pub(in crate::import) fn set_delimiter(&mut self, delimiter: u8) {
        self.delimiter = Some(delimiter);
    }

    /// Sets the numbers of columns that a record may have.
    pub(in crate::import) fn set_widths(&mut self, widths: Vec<RangeInclusive<usize>>) {
        self.widths = widths;
    }

    /// Returns the next record that is not blank.
    pub(in crate::import) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let Some(Found { taken, lines, broken, is_last, is_long }) = self.find()? else { return Ok(None) };
        let number = self.line;
        self.is_long = is_long;
        self.line += lines;
        let bytes = self.window.take(taken);
        let bytes = if is_long { bytes } else { without_line_end(bytes) };
        Ok(Some(Line { number, bytes, broken, is_last }))
    }

    /// Returns the bytes of the next record that is not blank, without taking it. `None` if there is none, or if it is
    /// broken.
    pub(in crate::import) fn peek(&mut self) -> io::Result<Option<&[u8]>> {
        let Some(Found { taken, broken: None, .. }) = self.find()? else { return Ok(None) };
        Ok(Some(without_line_end(&self.window.bytes()[..taken])))
    }

    /// Returns the bytes of the next record that is not blank, even if it is broken, without taking it.
    pub(in crate::import) fn peek_broken(&mut self) -> io::Result<Option<&[u8]>> {
        let Some(Found { taken, .. }) = self.find()? else { return Ok(None) };
        Ok(Some(&self.window.bytes()[..taken]))
    }

    /// Returns the next line without its end, even if it is blank or a part of a record.
    pub(in crate::import) fn line(&mut self) -> io::Result<Option<&[u8]>> {
        let delimiter = self.delimiter.take();
        let found = self.find_any();
        self.delimiter = delimiter;
        let Some(Found { taken, lines, is_long, .. }) = found? else { return Ok(None) };
        self.is_long = is_long;
        self.line += lines;
        Ok(Some(without_line_end(self.window.take(taken))))
    }

    /// Returns the next piece of a record that was too long, in order, and `None` at its end.
    pub(in crate::import) fn rest(&mut self) -> io::Result<Option<&[u8]>> {
        if !self.is_long {
            return Ok(None);
        }
        if self.window.bytes().is_empty() {
            self.window.fill()?;
        }
        self.scan.go_to_next_piece();
        let piece = self.window.bytes();
        let whole = piece.len();
        let has_ended = self.scan.go_on(piece, &self.widths);
        if !has_ended && whole > 0 {
            self.ended_line = piece.ends_with(b"\n");
            return Ok(Some(self.window.take(whole)));
        }
        self.is_long = false;
        self.line += self.scan.breaks + u64::from(!has_ended && !self.ended_line);
        Ok(Some(without_line_end(self.window.take(self.scan.at))))
    }

    /// Finds the next record that is not blank. Takes the blank lines before it.
    fn find(&mut self) -> io::Result<Option<Found>> {
        while self.rest()?.is_some() {}
        loop {
            let Some(found) = self.find_any()? else { return Ok(None) };
            let is_blank = is_blank(&self.window.bytes()[..found.taken], self.delimiter);
            if !is_blank || found.broken.is_some() {
                return Ok(Some(found));
            }
            self.line += found.lines;
            self.window.take(found.taken);
        }
    }

    fn find_any(&mut self) -> io::Result<Option<Found>> {
        while self.rest()?.is_some() {}
        self.scan = Scan::new(self.delimiter, self.carriage_return_ends);
        loop {
            let bytes = self.window.bytes();
            let bytes = &bytes[..bytes.len().min(self.limit + 1)];
            let has_ended = self.scan.go_on(bytes, &self.widths);
            let breaks = self.scan.breaks;
            let found = |taken, lines, broken| Found { taken, lines, broken, is_last: false, is_long: false };
            return Ok(Some(if has_ended {
                found(self.scan.at, breaks, self.scan.broken(breaks))
            } else if bytes.len() > self.limit {
                self.ended_line = bytes.ends_with(b"\n");
                let why = Rejection::TooLong { limit: self.limit, lines: 1 };
                Found { is_long: true, ..found(bytes.len(), 0, Some(why)) }
            } else if !self.window.has_ended() {
                self.window.fill()?;
                continue;
            } else if bytes.is_empty() {
                return Ok(None);
            } else {
                let lines = breaks + u64::from(!bytes.ends_with(b"\n"));
                let is_last = bytes.last() != Some(&b'\r');
                let is_whole = self.scan.ends_at_line_end(&self.widths);
                let broken = if is_whole { self.scan.broken(lines) } else { Some(Rejection::UnclosedQuote { lines }) };
                Found { is_last, ..found(bytes.len(), lines, broken) }
            }));
        }
    }
}

/// Returns whether the first line outside of quotes ends with a carriage return alone. `None` if no line ends here.
fn ends_with_carriage_return(bytes: &[u8]) -> Option<bool> {
    let (mut is_quoted, mut returned) = (false, false);
    for &byte in bytes {
        match byte {
            b'\n' if !is_quoted => return Some(false),
            b'\r' if !is_quoted => returned = true,
            _ if returned => return Some(true),
            byte => is_quoted ^= byte == b'"',
        }
    }
    None
}

/// Returns whether a line has no value: spreadsheets write rows without text as delimiters.
fn is_blank(line: &[u8], delimiter: Option<u8>) -> bool {
    line.iter().all(|byte| byte.is_ascii_whitespace() || Some(*byte) == delimiter)
}

fn without_line_end(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

/// The state of a record's scan.
struct Scan {
    delimiter: Option<u8>,
    carriage_return_ends: bool,
    state: Quoting,
    /// The state since text followed the quote that closes a value.
    doubt: Option<Doubt>,
    /// The number of columns so far.
    columns: usize,
    /// The number of bytes scanned in this piece of the record.
    at: usize,
    /// The number of line ends scanned.
    breaks: u64,
    returned: Returned,
}

/// The carriage returns outside of quotes in a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Returned {
    No,
    /// The last byte was one. It may belong to the line end.
    Last,
    /// One is inside the line.
    Inside,
}

impl Scan {
    const fn new(delimiter: Option<u8>, carriage_return_ends: bool) -> Self {
        let (state, doubt, returned) = (Quoting::Begin, None, Returned::No);
        Self { delimiter, carriage_return_ends, state, doubt, columns: 1, at: 0, breaks: 0, returned }
    }

    fn is_quoted(&self) -> bool {
        self.state == Quoting::Quoted
    }

    /// Returns why the record, which ends here after `lines` lines, is broken.
    fn broken(&self, lines: u64) -> Option<Rejection> {
        if self.is_quoted() || (self.doubt.is_some() && lines > 1) {
            return Some(Rejection::UnclosedQuote { lines });
        }
        (self.returned == Returned::Inside).then_some(Rejection::CarriageReturn)
    }

    /// Expects the next bytes at the beginning of the next piece.
    fn go_to_next_piece(&mut self) {
        self.at = 0;
    }

    /// Scans the bytes of the record from where the last scan stopped. Returns whether the record ends there. `widths`
    /// are the numbers of columns that a record may have.
    fn go_on(&mut self, bytes: &[u8], widths: &[RangeInclusive<usize>]) -> bool {
        let Some(delimiter) = self.delimiter else { return self.go_to_line_end(bytes) };
        while let Some(skipped) = self.next_of_interest(&bytes[self.at..], delimiter) {
            let at = self.at + skipped;
            let byte = bytes[at];
            self.at = at + 1;
            if byte == b'\n' || (byte == b'\r' && self.carriage_return_ends) {
                let ends = self.ends_at_line_end(widths);
                self.breaks += 1;
                if ends {
                    return true;
                }
                if let Some(doubt) = &mut self.doubt {
                    self.state = doubt.go_to_next_line(self.state);
                }
                continue;
            }
            let next = self.state.next(byte, delimiter);
            self.columns += usize::from(ends_column(byte, delimiter, next));
            match &mut self.doubt {
                Some(doubt) => doubt.add(byte, delimiter),
                None if next == Quoting::Malformed => {
                    self.doubt = Some(Doubt::begin(self.columns, &bytes[..at], delimiter, self.breaks == 0));
                }
                None => {}
            }
            match (self.returned, byte) {
                _ if self.is_quoted() => {}
                (Returned::No | Returned::Last, b'\r') => self.returned = Returned::Last,
                (Returned::Last, _) => self.returned = Returned::Inside,
                (Returned::No | Returned::Inside, _) => {}
            }
            self.state = next;
        }
        self.at = bytes.len();
        false
    }

    /// Returns whether the record ends at a line end here.
    fn ends_at_line_end(&self, widths: &[RangeInclusive<usize>]) -> bool {
        let Some(doubt) = self.doubt else { return !self.is_quoted() };
        let fits = |columns| (!widths.is_empty()).then(|| widths.iter().any(|width| width.contains(&columns)));
        doubt.ends(self.state, self.columns, self.breaks == 0, fits)
    }

    /// Returns the place of the next byte that can change the state.
    fn next_of_interest(&self, rest: &[u8], delimiter: u8) -> Option<usize> {
        match self.state {
            _ if self.doubt.is_some() => (!rest.is_empty()).then_some(0),
            Quoting::Quoted if self.carriage_return_ends => memchr3(b'"', b'\n', b'\r', rest),
            Quoting::Quoted => memchr2(b'"', b'\n', rest),
            Quoting::Plain if self.returned != Returned::Last => memchr3(delimiter, b'\n', b'\r', rest),
            _ => (!rest.is_empty()).then_some(0),
        }
    }

    fn go_to_line_end(&mut self, bytes: &[u8]) -> bool {
        let ends = |byte: &u8| *byte == b'\n' || (*byte == b'\r' && self.carriage_return_ends);
        let Some(at) = bytes[self.at..].iter().position(ends) else {
            self.at = bytes.len();
            return false;
        };
        self.at += at + 1;
        self.breaks += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Returns a few bytes at a time, so that each record crosses a boundary.
    struct Drip<'a>(&'a [u8]);

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = self.0.len().min(into.len()).min(3);
            into[..n].copy_from_slice(&self.0[..n]);
            self.0 = &self.0[n..];
            Ok(n)
        }
    }

    /// Returns each record, with the pieces of a long one, and why it was rejected.
    fn read_with_limit(text: &[u8], limit: usize) -> Vec<(u64, Vec<u8>, Option<Rejection>)> {
        let mut lines = Lines::with_limit(Drip(text), Some(b','), limit).expect("readable");
        let mut seen = Vec::new();
        while let Some(Line { number, bytes, broken, .. }) = lines.next().expect("readable") {
            let mut bytes = bytes.to_vec();
            while let Some(piece) = lines.rest().expect("readable") {
                bytes.extend_from_slice(piece);
            }
            seen.push((number, bytes, broken));
        }
        assert_eq!(lines.position(), text.len() as u64);
        seen
    }

    fn expect(text: &str, expected: &[(u64, &str)]) {
        let shown = |(number, bytes, broken): (u64, Vec<u8>, Option<Rejection>)| match broken {
            Some(rejection) => (number, format!("! {rejection}")),
            None => (number, String::from_utf8(bytes).expect("UTF-8")),
        };
        let read: Vec<_> = read_with_limit(text.as_bytes(), LONGEST).into_iter().map(shown).collect();
        let expected: Vec<_> = expected.iter().map(|(line, text)| (*line, (*text).to_owned())).collect();
        assert_eq!(read, expected, "{text:?}");
    }

    #[test]
    fn line_ends_and_blank_lines_are_skipped() {
        expect("", &[]);
        expect("\n\r\n", &[]);
        expect("a,b\nc,d", &[(1, "a,b"), (2, "c,d")]);
        expect("a\r\n\r\n\r\nb\r\n", &[(1, "a"), (4, "b")]);
        expect("\n\na\n", &[(3, "a")]);
        expect("a,b\r\r\nc\r\n", &[(1, "a,b\r"), (2, "c")]);
        expect("a,b\n,,\n \t\n , \nc,d\n,,", &[(1, "a,b"), (5, "c,d")]);
        expect("a,b\n\"\",\"\"\n,x\n", &[(1, "a,b"), (2, "\"\",\"\""), (3, ",x")]);
    }

    #[test]
    fn carriage_returns_alone_end_lines_if_the_first_line_ends_so() {
        expect("a,b\rc,d\r\re", &[(1, "a,b"), (2, "c,d"), (4, "e")]);
        expect("\"a\rb\",c\r\"d\",e\r", &[(1, "\"a\rb\",c"), (3, "\"d\",e")]);
        let inside = "! a carriage return is inside the line, but the first line ends with a line feed";
        expect("a,b\nc,d\re,f\r\ng,h\n", &[(1, "a,b"), (2, inside), (3, "g,h")]);
        expect("a,b\n\"c\rd\",e\n", &[(1, "a,b"), (2, "\"c\rd\",e")]);
    }

    #[test]
    fn quoted_values_may_contain_delimiters_and_line_breaks() {
        expect("\"a\nb\",c\nd\n", &[(1, "\"a\nb\",c"), (3, "d")]);
        expect("x, \"a\nb\" ,c\nd\n", &[(1, "x, \"a\nb\" ,c"), (3, "d")]);
        expect("\"a\r\n\r\nb\"\r\nd\r\n", &[(1, "\"a\r\n\r\nb\""), (4, "d")]);
        expect("\"a\"\"\n\"\"\",c\nd", &[(1, "\"a\"\"\n\"\"\",c"), (3, "d")]);
        expect("5\" pipe,x\nd\n", &[(1, "5\" pipe,x"), (2, "d")]);
        expect("\"the \"man\"\",1\n\"d\"\n", &[(1, "\"the \"man\"\",1"), (2, "\"d\"")]);
    }

    #[test]
    fn unclosed_quote_rejects_the_lines_that_may_belong_to_its_value() {
        let lines = |lines| format!("! {}", Rejection::UnclosedQuote { lines });
        let (one, two, three, four) = (&lines(1), &lines(2), &lines(3), &lines(4));
        // A quote has no partner, so a value may be open up to the end.
        expect("\"a,1\n\"b\",2\nc,3\n", &[(1, three)]);
        expect("\"a,1\n\"b\",2\nc\"3\nd,4\n", &[(1, three), (4, "d,4")]);
        expect("\"one\ntwo \"three\" four\nfive\",6\nc,3\n", &[(1, three), (4, "c,3")]);
        expect("\"one\ntwo \"three\",4\nc,3\nfive\"\nd,4\n", &[(1, four), (5, "d,4")]);
        expect("\"one\ntwo \"three\",\"4\nc,3\n", &[(1, three)]);
        expect("\"said \"yes\", and\nc,3\nbye\"\nd,4\n", &[(1, three), (4, "d,4")]);
        expect("a,1\n\"b,2\nc,3", &[(1, "a,1"), (2, two)]);
        expect("a,1\n\"b,2\nc,3\n", &[(1, "a,1"), (2, two)]);
        expect("h\n\"\"b\"\n\"\n", &[(1, "h"), (2, two)]);
        expect("\"b", &[(1, one)]);
        expect("\"b\" c\" d", &[(1, one)]);
    }

    #[test]
    fn line_behind_a_quotation_is_no_record() {
        let text = |value: &str| format!("h,n\n1,\"{value}\"\n");
        let read = |value: &str| {
            let text = text(value);
            let mut lines = Lines::new(Drip(text.as_bytes()), Some(b',')).expect("readable");
            lines.set_widths(vec![2..=2]);
            let mut accepted = Vec::new();
            while let Some(line) = lines.next().expect("readable") {
                if line.broken.is_none() {
                    accepted.push(line.number);
                }
            }
            accepted
        };
        for value in [
            "he said \"hi\"\n2,x\nbye",
            "he said \"hi\" and \"\n2,x\nok\" bye",
            "5\" pipe, \"hi\"\n2,x\nbye",
            "12\" x 24\" x 6\"\n2,x\nbye",
            "x,\"hi\" 5\" \"a\"\n2,x\nbye",
            "a 5\" pipe \"hi\", then \"bye\", and left\n2,x\nbye",
            "he said \"hi\"\nshe (\"\n2,x\nok\") bye",
            "5\" pipe",
        ] {
            assert_eq!(read(value), [1], "{value}");
        }
        assert_eq!(read("the \"man\"\"\n2,\"the \"man\""), [1, 2, 3]);
    }

    #[test]
    fn too_long_record_is_one_rejection_and_keeps_its_bytes() {
        let long = Some(Rejection::TooLong { limit: 100, lines: 1 });
        let unquoted = "x".repeat(3 * CHUNK);
        let value = format!("\"{}\"", "+1,+2,3\n".repeat(1000));
        let text = format!("a\n{unquoted}\nb\n{value},c\nd,e\n{unquoted}");
        let expected = [
            (1, b"a".to_vec(), None),
            (2, unquoted.clone().into_bytes(), long.clone()),
            (3, b"b".to_vec(), None),
            (4, format!("{value},c").into_bytes(), long.clone()),
            (1005, b"d,e".to_vec(), None),
            (1006, unquoted.into_bytes(), long),
        ];
        for (read, expected) in read_with_limit(text.as_bytes(), 100).into_iter().zip(expected) {
            assert_eq!((read.0, read.1.len(), &read.2), (expected.0, expected.1.len(), &expected.2));
            assert!(read.1 == expected.1);
        }
        let fits = "x".repeat(99);
        assert_eq!(read_with_limit(format!("{fits}\nb\n").as_bytes(), 100)[0], (1, fits.into_bytes(), None));
    }

    #[test]
    fn memory_is_bounded_for_a_line_of_any_length() {
        let endless = io::repeat(b'x').take(24 * 1024 * 1024);
        let mut lines = Lines::with_limit(endless, Some(b','), CHUNK).expect("readable");
        assert!(lines.next().expect("readable").expect("a record").broken.is_some());
        assert!(lines.next().expect("readable").is_none());
        assert!(lines.window.memory() <= 4 * CHUNK, "{}", lines.window.memory());
    }

    #[test]
    fn last_line_without_an_end_is_marked() {
        for (text, expected) in [("a\nb", true), ("a\nb\n", false), ("a\nb\r\n", false), ("a\nb\r", false)] {
            let mut lines = Lines::new(text.as_bytes(), Some(b',')).expect("readable");
            assert!(!lines.next().expect("readable").expect("a record").is_last, "{text:?}");
            assert_eq!(lines.next().expect("readable").expect("a record").is_last, expected, "{text:?}");
        }
    }

    #[test]
    fn lines_are_taken_one_by_one_whatever_is_in_them() {
        let mut lines = Lines::new(&b"\"title\n\na,b\nc"[..], Some(b',')).expect("readable");
        for expected in ["\"title", ""] {
            assert_eq!(lines.line().expect("readable"), Some(expected.as_bytes()));
        }
        assert_eq!(lines.peek().expect("readable"), Some(&b"a,b"[..]));
        assert_eq!(lines.next().expect("readable").map(|line| line.number), Some(3));
        assert_eq!(lines.line().expect("readable"), Some(&b"c"[..]));
        assert_eq!(lines.line().expect("readable"), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever is in the values, and however short the longest record is: each record of a well-formed file is
        /// returned once, unchanged, and nothing else is.
        #[test]
        fn well_formed_records_are_returned_unchanged(
            rows in vec(vec("[ab\",;\t \r\n+1]{0,12}", 1..4), 1..8),
            limit in 1_usize..60,
        ) {
            let (text, records) = written(&rows);
            let read = read_with_limit(&text, limit);
            let bytes: Vec<_> = read.iter().map(|(_, bytes, _)| bytes.clone()).collect();
            prop_assert_eq!(bytes, records.clone());
            for ((_, bytes, broken), record) in read.iter().zip(&records) {
                prop_assert_eq!(broken.is_some(), record.len() > limit, "{:?}", String::from_utf8_lossy(bytes));
            }
        }

        /// Any text has at most as many records as another reader finds.
        #[test]
        fn no_text_has_more_records_than_another_reader_finds(text in "[ab\",\n]{0,60}") {
            let read = read_with_limit(text.as_bytes(), LONGEST);
            let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
            let found: Vec<_> = reader.records().collect::<Result<_, _>>().expect("UTF-8");
            prop_assert!(read.len() <= found.len(), "{:?} {:?}", read, found);
        }

        /// A program that does not double quotes: whatever is in its values, if their quotes have partners, no line of a
        /// value is read as a record.
        #[test]
        fn no_line_of_a_value_with_quotes_is_a_record(
            rows in vec(vec(vec(prop::sample::select(vec!["a", "\"b\"", ",", "\n", "\"b, c\"", "\na,\"b\"\n"]), 0..6), 1..3), 1..6),
        ) {
            let record = |row: &Vec<Vec<&str>>| {
                row.iter().map(|value| format!("\"{}\"", value.concat())).collect::<Vec<_>>().join(",")
            };
            let records: Vec<_> = rows.iter().map(record).collect();
            let text = format!("h\n{}\n", records.join("\n"));
            for (_, bytes, broken) in read_with_limit(text.as_bytes(), LONGEST).into_iter().skip(1) {
                let is_record = records.iter().any(|record| record.as_bytes() == bytes);
                prop_assert!(broken.is_some() || is_record, "{:?}: {:?}", text, String::from_utf8_lossy(&bytes));
            }
        }

        /// A program that does not double quotes, and a text with quotations, inches and whole records: no line of the
        /// text is read as a record.
        #[test]
        fn no_line_of_a_text_with_quotations_is_a_record(
            begin in prop::sample::select(vec!["he said \"hi\"", "5\" pipe", "\"yes\" he said", "\"b\"", "c,\"b\"", "a\n+1,x\n5\" b"]),
            rest in vec(
                prop::sample::select(vec![
                    " a", " \"b\"", " 5\" x", " 6\"", ", c", " \"b, c\"", "\n+1,x\n", " \"b\n+1,x\nc\"", " \"\n+1,x\nb\"",
                    "\n+1,\"x\"\n", " (\"b\")",
                ]),
                0..8,
            ),
        ) {
            let record = format!("+1,\"{begin}{}\"", rest.concat());
            let text = format!("h,n\n{record}\n+2,x\n+3,\"y\"\n");
            let mut lines = Lines::new(Drip(text.as_bytes()), Some(b',')).expect("readable");
            lines.set_widths(vec![2..=2]);
            while let Some(line) = lines.next().expect("readable") {
                let bytes = String::from_utf8_lossy(line.bytes);
                let is_record = ["h,n", &record, "+2,x", "+3,\"y\""].contains(&&*bytes);
                prop_assert!(line.broken.is_some() || is_record, "{:?}: {:?}", text, bytes);
            }
        }

        /// A file that is cut anywhere has no record that the whole file does not have, except for the last one.
        #[test]
        fn cut_file_has_no_other_records(rows in vec(vec("[ab\",\r\n]{0,8}", 1..4), 1..6), cut in 0_usize..200) {
            let (text, records) = written(&rows);
            let read = read_with_limit(&text[..cut.min(text.len())], LONGEST);
            for (at, (_, bytes, _)) in read.iter().enumerate() {
                prop_assert!(*bytes == records[at] || at + 1 == read.len(), "{:?}", String::from_utf8_lossy(bytes));
            }
        }
    }

    /// Writes a file with another program's CSV writer. Returns it, and each record as it is there.
    fn written(rows: &[Vec<String>]) -> (Vec<u8>, Vec<Vec<u8>>) {
        let mut records = vec![b"\"h\"".to_vec()];
        for row in rows {
            let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
            writer.write_record(row).expect("written");
            let mut record = writer.into_inner().expect("written");
            record.pop();
            records.push(record);
        }
        let text = records.iter().flat_map(|record| [&record[..], b"\n"].concat()).collect();
        (text, records)
    }
}
