//! Splits a stream of bytes into records, each with its line number.
//!
//! One record is one call or one rejection, whatever its size and whatever is in it. A quoted value may span lines, so
//! a line inside of one must never be read as a record:
//!
//! * A record that does not fit into memory is rejected and read up to its end.
//! * A quote is not closed if text follows the quote that closes it, or if the file ends first. Then the record is
//!   rejected together with the lines that may belong to it. If the quote that disproves it opens a value, the line of
//!   that quote begins a new record.
//!
//! Memory is bounded for any input. Line numbers are those of a text editor, even with CRLF, blank lines and quoted
//! line breaks.

use super::quoting::Quoting;
use super::rejection::Rejection;
use super::window::{CHUNK, Window};
use memchr::{memchr2, memchr3};
use std::io::{self, Read};

/// The largest record in bytes. The transcript of a long call has some hundred kilobytes.
pub(super) const LONGEST: usize = 8 * 1024 * 1024;

/// An iterator over the records of a file.
pub(super) struct Lines<R> {
    window: Window<R>,
    /// The delimiter of the values. `None` if each line is a record, whatever is in it.
    delimiter: Option<u8>,
    limit: usize,
    /// Whether a carriage return alone ends a line, as on old Macs.
    carriage_return_ends: bool,
    /// The state of the scan of the next record.
    scan: Scan,
    /// Whether the last record was too long, and its rest has not been taken.
    is_long: bool,
    /// The number of the line that begins the next record, from 1.
    line: u64,
}

/// A record or its error, and the number of the line on which it begins.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Line<'a> {
    pub(super) number: u64,
    /// The record as it is in the file, without the line end. The beginning, if the record is too long.
    pub(super) bytes: &'a [u8],
    pub(super) broken: Option<Rejection>,
    /// Whether the file ends after the record without a line end. Then the record may have been cut.
    pub(super) is_last: bool,
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
    pub(super) fn new(source: R, delimiter: Option<u8>) -> io::Result<Self> {
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
        Ok(Self { window, delimiter, limit, carriage_return_ends, scan, is_long: false, line: 1 })
    }

    /// Returns the number of bytes up to the end of the last record.
    pub(super) fn position(&self) -> u64 {
        self.window.position()
    }

    /// Sets the delimiter of the records that have not been read.
    pub(super) fn set_delimiter(&mut self, delimiter: u8) {
        self.delimiter = Some(delimiter);
    }

    /// Returns the next record that is not blank.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
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
    pub(super) fn peek(&mut self) -> io::Result<Option<&[u8]>> {
        let Some(Found { taken, broken: None, .. }) = self.find()? else { return Ok(None) };
        Ok(Some(without_line_end(&self.window.bytes()[..taken])))
    }

    /// Returns the next line without its end, even if it is blank or a part of a record.
    pub(super) fn line(&mut self) -> io::Result<Option<&[u8]>> {
        let delimiter = self.delimiter.take();
        let found = self.find_any();
        self.delimiter = delimiter;
        let Some(Found { taken, lines, is_long, .. }) = found? else { return Ok(None) };
        self.is_long = is_long;
        self.line += lines;
        Ok(Some(without_line_end(self.window.take(taken))))
    }

    /// Returns the next piece of a record that was too long, in order, and `None` at its end.
    pub(super) fn rest(&mut self) -> io::Result<Option<&[u8]>> {
        if !self.is_long {
            return Ok(None);
        }
        if self.window.bytes().is_empty() {
            self.window.fill()?;
        }
        self.scan.go_to_next_piece();
        let piece = self.window.bytes();
        let whole = piece.len();
        let length = match self.scan.go_on(piece) {
            Seen::Nothing if whole > 0 => return Ok(Some(self.window.take(whole))),
            Seen::Nothing | Seen::End => self.scan.at,
            Seen::Restart(at) => at,
        };
        self.is_long = false;
        self.line += self.scan.breaks;
        Ok(Some(without_line_end(self.window.take(length))))
    }

    /// Finds the next record that is not blank. Takes the blank lines before it.
    fn find(&mut self) -> io::Result<Option<Found>> {
        while self.rest()?.is_some() {}
        loop {
            let Some(found) = self.find_any()? else { return Ok(None) };
            let is_blank = without_line_end(&self.window.bytes()[..found.taken]).is_empty();
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
            let seen = self.scan.go_on(bytes);
            let breaks = self.scan.breaks;
            let found = |taken, lines, broken| Found { taken, lines, broken, is_last: false, is_long: false };
            return Ok(Some(match seen {
                Seen::End => found(self.scan.at, breaks, self.scan.broken(breaks)),
                Seen::Restart(at) => found(at, breaks, Some(Rejection::UnclosedQuote { lines: breaks })),
                Seen::Nothing if bytes.len() > self.limit => {
                    let why = Rejection::TooLong { limit: self.limit, is_quoted: self.scan.is_quoted() };
                    Found { is_long: true, ..found(bytes.len(), 0, Some(why)) }
                }
                Seen::Nothing if !self.window.has_ended() => {
                    self.window.fill()?;
                    continue;
                }
                Seen::Nothing if bytes.is_empty() => return Ok(None),
                Seen::Nothing => {
                    let is_last = bytes.last() != Some(&b'\r');
                    Found { is_last, ..found(bytes.len(), breaks + 1, self.scan.broken(breaks + 1)) }
                }
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

fn without_line_end(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

/// The state of a record's scan.
struct Scan {
    delimiter: Option<u8>,
    carriage_return_ends: bool,
    state: Quoting,
    /// The number of bytes scanned in this piece of the record.
    at: usize,
    /// The number of line ends scanned.
    breaks: u64,
    /// The beginning of the line that is scanned, if it is in this piece of the record and not its first line.
    line: Option<usize>,
    /// Whether the last quote that closed a value could have opened one.
    could_open: bool,
    /// Whether text followed the quote that closed a value of several lines.
    is_unclosed: bool,
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

enum Seen {
    /// The record ends here.
    End,
    /// The end is not reached yet.
    Nothing,
    /// A quoted value spans several lines and is followed by text instead of a delimiter. Its last quote opens a value,
    /// so its first one was never closed, and a record begins at this byte.
    Restart(usize),
}

impl Scan {
    const fn new(delimiter: Option<u8>, carriage_return_ends: bool) -> Self {
        Self {
            delimiter,
            carriage_return_ends,
            state: Quoting::Begin,
            at: 0,
            breaks: 0,
            line: None,
            could_open: false,
            is_unclosed: false,
            returned: Returned::No,
        }
    }

    fn is_quoted(&self) -> bool {
        self.state == Quoting::Quoted
    }

    /// Returns why the record, which ends here after `lines` lines, is broken.
    fn broken(&self, lines: u64) -> Option<Rejection> {
        if self.is_unclosed || self.is_quoted() {
            return Some(Rejection::UnclosedQuote { lines });
        }
        (self.returned == Returned::Inside).then_some(Rejection::CarriageReturn)
    }

    /// Expects the next bytes at the beginning of the next piece.
    fn go_to_next_piece(&mut self) {
        (self.at, self.line) = (0, None);
    }

    /// Scans the bytes of the record from where the last scan stopped.
    fn go_on(&mut self, bytes: &[u8]) -> Seen {
        let Some(delimiter) = self.delimiter else { return self.go_to_line_end(bytes) };
        while let Some(skipped) = self.next_of_interest(&bytes[self.at..], delimiter) {
            let at = self.at + skipped;
            let byte = bytes[at];
            self.at = at + 1;
            if byte == b'\n' || (byte == b'\r' && self.carriage_return_ends) {
                self.breaks += 1;
                if !self.is_quoted() || self.is_unclosed {
                    return Seen::End;
                }
                self.line = Some(self.at);
                continue;
            }
            let next = self.state.next(byte, delimiter);
            match next {
                Quoting::Quote => self.could_open = self.opens_value(&bytes[..at], delimiter),
                Quoting::Malformed if self.state != next && self.breaks > 0 && !self.is_unclosed => {
                    if let Some(line) = self.line.filter(|_| self.could_open) {
                        return Seen::Restart(line);
                    }
                    self.is_unclosed = true;
                }
                _ => {}
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
        Seen::Nothing
    }

    /// Returns the place of the next byte that can change the state.
    fn next_of_interest(&self, rest: &[u8], delimiter: u8) -> Option<usize> {
        match self.state {
            Quoting::Quoted if self.carriage_return_ends => memchr3(b'"', b'\n', b'\r', rest),
            Quoting::Quoted => memchr2(b'"', b'\n', rest),
            Quoting::Plain | Quoting::Malformed if self.returned != Returned::Last => {
                memchr3(delimiter, b'\n', b'\r', rest)
            }
            _ => (!rest.is_empty()).then_some(0),
        }
    }

    /// Returns whether a quote after these bytes could open a value.
    fn opens_value(&self, bytes: &[u8], delimiter: u8) -> bool {
        let is_space = |byte: u8| byte != delimiter && matches!(byte, b' ' | b'\t');
        let last = bytes.iter().rev().copied().find(|byte| !is_space(*byte));
        last.is_some_and(|byte| byte == delimiter || byte == b'\n' || (byte == b'\r' && self.carriage_return_ends))
    }

    fn go_to_line_end(&mut self, bytes: &[u8]) -> Seen {
        let ends = |byte: &u8| *byte == b'\n' || (*byte == b'\r' && self.carriage_return_ends);
        let Some(at) = bytes[self.at..].iter().position(ends) else {
            self.at = bytes.len();
            return Seen::Nothing;
        };
        self.at += at + 1;
        self.breaks += 1;
        Seen::End
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
        let two = "! a quote is not closed, so the record may have 2 lines";
        let one = "! a quote is not closed";
        expect("\"a,1\n\"b\",2\nc,3\n", &[(1, one), (2, "\"b\",2"), (3, "c,3")]);
        expect("\"a,1\nx,2\ny, \"b\",2\nc,3\n", &[(1, two), (3, "y, \"b\",2"), (4, "c,3")]);
        expect("\"one\ntwo \"three\",4\nc,3\n", &[(1, two), (3, "c,3")]);
        expect("\"one\ntwo \"three\",\"4\nc,3\n", &[(1, two), (3, "c,3")]);
        expect("a,1\n\"b,2\nc,3", &[(1, "a,1"), (2, two)]);
        expect("\"b", &[(1, one)]);
    }

    #[test]
    fn too_long_record_is_one_rejection_and_keeps_its_bytes() {
        let long = Some(Rejection::TooLong { limit: 100, is_quoted: false });
        let quoted = Some(Rejection::TooLong { limit: 100, is_quoted: true });
        let unquoted = "x".repeat(3 * CHUNK);
        let value = format!("\"{}\"", "+1,+2,3\n".repeat(1000));
        let text = format!("a\n{unquoted}\nb\n{value},c\nd,e\n{unquoted}");
        let expected = [
            (1, b"a".to_vec(), None),
            (2, unquoted.clone().into_bytes(), long.clone()),
            (3, b"b".to_vec(), None),
            (4, format!("{value},c").into_bytes(), quoted),
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
