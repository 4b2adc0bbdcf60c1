//! Splits a stream of bytes into records, each with its line number.
//!
//! A CSV parser alone is enough for well-formed files only. This reader adds three guarantees. An unclosed quote
//! affects its own line and not the rest of the file. Memory is bounded for any input. Line numbers are those of a
//! text editor, even with CRLF, blank lines and quoted line breaks.

use super::rejection::Rejection;
use std::io::{self, Read};

/// The largest record in bytes. Real records have a few hundred bytes; a longer one has an unclosed quote or is not
/// text.
const LONGEST: usize = 64 * 1024;
/// The size of one read. The buffer always has room for it after an incomplete record.
const CHUNK: usize = 256 * 1024;

/// An iterator over the records of a file.
pub(super) struct Lines<R> {
    source: R,
    delimiter: u8,
    buffer: Box<[u8]>,
    /// The range of the buffer that holds unread records.
    start: usize,
    end: usize,
    /// The state of the scan of the next record.
    scan: Scan,
    /// The number of bytes read from the source.
    read: u64,
    /// The number of the line that begins at `start`, from 1.
    line: u64,
    ended: bool,
}

/// A record or its error, and the number of the line on which it begins.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Line<'a> {
    pub(super) number: u64,
    /// The record as it is in the file, without the line end.
    pub(super) bytes: &'a [u8],
    pub(super) broken: Option<Rejection>,
}

/// The extent of the next record in the buffer.
struct Found {
    /// The length, including the line end if there is one.
    taken: usize,
    lines: u64,
    broken: Option<Rejection>,
}

impl<R: Read> Lines<R> {
    /// Creates a reader, and checks the beginning of the file for UTF-16.
    ///
    /// # Errors
    /// The source's read error; [`io::ErrorKind::InvalidData`] for UTF-16.
    pub(super) fn new(source: R, delimiter: u8) -> io::Result<Self> {
        let buffer = vec![0; LONGEST + 1 + CHUNK].into_boxed_slice();
        let scan = Scan::new();
        let mut lines = Self { source, delimiter, buffer, start: 0, end: 0, scan, read: 0, line: 1, ended: false };
        while lines.end < 3 && !lines.ended {
            lines.fill()?;
        }
        match &lines.buffer[..lines.end] {
            [0xEF, 0xBB, 0xBF, ..] => lines.start = 3,
            [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the file is UTF-16: convert it to UTF-8 first",
                ));
            }
            _ => {}
        }
        Ok(lines)
    }

    /// Returns the number of bytes up to the end of the last record.
    pub(super) fn position(&self) -> u64 {
        self.read - (self.end - self.start) as u64
    }

    /// Returns the next record that is not blank.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            let Some(Found { taken, lines, broken }) = self.find()? else { return Ok(None) };
            let (begin, number) = (self.start, self.line);
            self.start += taken;
            self.line += lines;
            // This borrows again, because the borrow checker cannot see that the borrow of a blank line has ended.
            let bytes = without_line_end(&self.buffer[begin..begin + taken]);
            if bytes.is_empty() && broken.is_none() {
                continue;
            }
            let end = begin + bytes.len();
            if broken.is_some() && lines == 0 {
                self.skip_line()?;
                return Ok(Some(Line { number, bytes: &[], broken }));
            }
            return Ok(Some(Line { number, bytes: &self.buffer[begin..end], broken }));
        }
    }

    fn find(&mut self) -> io::Result<Option<Found>> {
        self.scan = Scan::new();
        loop {
            let rest = &self.buffer[self.start..self.end];
            let window = &rest[..rest.len().min(LONGEST + 1)];
            match self.scan.go_on(window, self.delimiter) {
                Seen::End => return Ok(Some(Found { taken: self.scan.at, lines: self.scan.lines, broken: None })),
                Seen::Unclosed => return Ok(Some(broken_line(rest, Rejection::UnclosedQuote))),
                Seen::Nothing if window.len() > LONGEST => {
                    let too_long = Rejection::TooLong { limit: LONGEST };
                    let why = if self.scan.is_quoted() { Rejection::UnclosedQuote } else { too_long };
                    return Ok(Some(broken_line(rest, why)));
                }
                Seen::Nothing if !self.ended => self.fill()?,
                Seen::Nothing if rest.is_empty() => return Ok(None),
                Seen::Nothing if self.scan.is_quoted() => {
                    return Ok(Some(broken_line(rest, Rejection::UnclosedQuote)));
                }
                Seen::Nothing => return Ok(Some(Found { taken: rest.len(), lines: 1, broken: None })),
            }
        }
    }

    /// Reads more bytes after those in the buffer.
    fn fill(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let got = loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                got => break got?,
            }
        };
        self.end += got;
        self.read += got as u64;
        self.ended = got == 0;
        Ok(())
    }

    /// Skips the rest of a line that is too long for the buffer.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            if let Some(at) = self.buffer[self.start..self.end].iter().position(|byte| *byte == b'\n') {
                self.start += at + 1;
                self.line += 1;
                return Ok(());
            }
            self.start = self.end;
            if self.ended {
                return Ok(());
            }
            self.fill()?;
        }
    }
}

/// Reports an error for the line on which the record begins; the next line is read as a new record. The line is empty
/// if its end has not been read yet.
fn broken_line(rest: &[u8], why: Rejection) -> Found {
    match rest.iter().position(|byte| *byte == b'\n') {
        Some(at) => Found { taken: at + 1, lines: 1, broken: Some(why) },
        None => Found { taken: rest.len(), lines: 0, broken: Some(why) },
    }
}

fn without_line_end(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}

/// The state of a record's scan. It follows the rules of the CSV parser that splits the record later.
struct Scan {
    state: State,
    /// The number of bytes and lines scanned.
    at: usize,
    lines: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    ValueBegins,
    Plain,
    Quoted,
    /// After a quote in a quoted value: the value's end, or the first of two quotes that stand for one.
    Quote,
}

enum Seen {
    /// The record ends here.
    End,
    /// The end is not reached yet.
    Nothing,
    /// A quoted value spans several lines and is followed by text instead of a delimiter. So these are two values,
    /// and the first quote was never closed.
    Unclosed,
}

impl Scan {
    const fn new() -> Self {
        Self { state: State::ValueBegins, at: 0, lines: 1 }
    }

    fn is_quoted(&self) -> bool {
        self.state == State::Quoted
    }

    /// Scans the bytes of the record from where the last scan stopped.
    fn go_on(&mut self, bytes: &[u8], delimiter: u8) -> Seen {
        for &byte in &bytes[self.at..] {
            self.at += 1;
            self.state = match (self.state, byte) {
                (State::Quoted, b'"') => State::Quote,
                (State::Quoted, byte) => {
                    self.lines += u64::from(byte == b'\n');
                    State::Quoted
                }
                (_, b'\n') => return Seen::End,
                (State::ValueBegins | State::Quote, b'"') => State::Quoted,
                (_, byte) if byte == delimiter => State::ValueBegins,
                (State::Quote, b'\r') => State::Quote,
                // Some programs do not double the quotes in their values. Within one line this is accepted.
                (State::Quote, _) if self.lines > 1 => return Seen::Unclosed,
                _ => State::Plain,
            };
        }
        Seen::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    fn read(text: &str) -> Vec<(u64, String)> {
        let mut lines = Lines::new(Drip(text.as_bytes()), b',').expect("readable");
        let mut seen = Vec::new();
        while let Some(line) = lines.next().expect("readable") {
            let shown = match line.broken {
                Some(rejection) => format!("! {rejection}"),
                None => String::from_utf8_lossy(line.bytes).into_owned(),
            };
            seen.push((line.number, shown));
        }
        assert_eq!(lines.position(), text.len() as u64);
        seen
    }

    fn expect(text: &str, expected: &[(u64, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(line, text)| (*line, (*text).to_owned())).collect();
        assert_eq!(read(text), expected, "{text:?}");
    }

    #[test]
    fn line_ends_blank_lines_and_byte_order_mark_are_skipped() {
        expect("", &[]);
        expect("\n\r\n", &[]);
        expect("\u{FEFF}a,b\nc,d", &[(1, "a,b"), (2, "c,d")]);
        expect("a\r\n\r\n\r\nb\r\n", &[(1, "a"), (4, "b")]);
        expect("\n\na\n", &[(3, "a")]);
    }

    #[test]
    fn quoted_values_may_contain_delimiters_and_line_breaks() {
        expect("\"a\nb\",c\nd\n", &[(1, "\"a\nb\",c"), (3, "d")]);
        expect("\"a\r\n\r\nb\"\r\nd\r\n", &[(1, "\"a\r\n\r\nb\""), (4, "d")]);
        expect("\"a\"\"\n\"\"\",c\nd", &[(1, "\"a\"\"\n\"\"\",c"), (3, "d")]);
        expect("5\" pipe,x\nd\n", &[(1, "5\" pipe,x"), (2, "d")]);
        expect("\"the \"man\"\",1\n\"d\"\n", &[(1, "\"the \"man\"\",1"), (2, "\"d\"")]);
    }

    #[test]
    fn unclosed_quote_rejects_only_its_own_line() {
        let broken = "! a quote is not closed";
        expect("\"a,1\n\"b\",2\nc,3\n", &[(1, broken), (2, "\"b\",2"), (3, "c,3")]);
        expect("a,1\n\"b,2\nc,3", &[(1, "a,1"), (2, broken), (3, "c,3")]);
        expect("\"b", &[(1, broken)]);
        let long = format!("\"a\n{}", "b,c\n".repeat(LONGEST));
        let read = read(&long);
        assert_eq!(read[0], (1, broken.to_owned()));
        assert_eq!((read.len(), read[1].clone()), (LONGEST + 1, (2, "b,c".to_owned())));
    }

    #[test]
    fn too_long_line_is_rejected_and_skipped() {
        let long = "x".repeat(3 * CHUNK);
        let too_long = "! the line is longer than 65536 bytes";
        expect(&format!("a\n{long}\nb\n{long}"), &[(1, "a"), (2, too_long), (3, "b"), (4, too_long)]);
        let fits = "x".repeat(LONGEST - 1);
        expect(&format!("{fits}\nb\n"), &[(1, &fits), (2, "b")]);
    }

    #[test]
    fn utf_16_is_refused() {
        assert!(Lines::new(&b"\xFF\xFEa\0"[..], b',').is_err());
    }
}
