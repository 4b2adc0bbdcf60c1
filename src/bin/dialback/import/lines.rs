//! From a stream of bytes to records, each with the number of its line.
//!
//! A CSV parser alone would do, were every file well formed. Here a quote that is never closed costs its own line and not the
//! rest of the file, memory is bounded whatever the file holds, and line numbers are those of an editor, also behind CRLF,
//! blank lines and quoted line breaks.

use super::rejection::Rejection;
use std::io::{self, Read};

/// The longest record. Real ones have a few hundred bytes; whatever is longer has lost its quote or is no text.
const LONGEST: usize = 64 * 1024;
/// How much is read at a time. There is always room for it behind the beginning of a record.
const CHUNK: usize = 256 * 1024;

/// The records of a file.
pub(super) struct Lines<R> {
    source: R,
    delimiter: u8,
    buffer: Box<[u8]>,
    /// Where in the buffer the next record begins, and where what has been read ends.
    start: usize,
    end: usize,
    /// How far the next record has been looked at.
    scan: Scan,
    /// How many bytes have been read from the source.
    read: u64,
    /// The number of the line that begins at `start`, from 1.
    line: u64,
    ended: bool,
}

/// A record, or why there is none, and the line on which it begins.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Line<'a> {
    pub(super) number: u64,
    /// As it is in the file, without the line's end.
    pub(super) bytes: &'a [u8],
    pub(super) broken: Option<Rejection>,
}

/// What the next record turned out to be, in bytes of the buffer.
struct Found {
    /// Up to and including the line's end, if it has one.
    taken: usize,
    lines: u64,
    broken: Option<Rejection>,
}

impl<R: Read> Lines<R> {
    /// Looks at the beginning of the file for what is not UTF-8 text.
    ///
    /// # Errors
    /// What cannot be read; [`io::ErrorKind::InvalidData`] for UTF-16.
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
                return Err(io::Error::new(io::ErrorKind::InvalidData, "UTF-16 text; convert it to UTF-8 first"));
            }
            _ => {}
        }
        Ok(lines)
    }

    /// How many bytes lie behind the last record.
    pub(super) fn position(&self) -> u64 {
        self.read - (self.end - self.start) as u64
    }

    /// The next record that is not blank.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            let Some(Found { taken, lines, broken }) = self.find()? else { return Ok(None) };
            let (begin, number) = (self.start, self.line);
            self.start += taken;
            self.line += lines;
            // Borrowed anew: the borrow checker cannot see that a blank line's borrow ends with it.
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

    /// Reads on behind what is buffered already.
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

    /// Drops everything up to the end of a line that is too long to hold.
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

/// What is wrong costs the line that it begins on; the next one is tried by itself. No line where the end is not in sight yet.
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

/// How far a record has been looked at, by the rules of the CSV parser that will take it apart.
struct Scan {
    state: State,
    /// How many bytes, and on how many lines.
    at: usize,
    lines: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    ValueBegins,
    Plain,
    Quoted,
    /// Behind a quote in a quoted value: its end, or the first of two that mean one.
    Quote,
}

enum Seen {
    /// The record ends here.
    End,
    /// No end so far.
    Nothing,
    /// A quoted value goes over several lines and ends in the middle of a value: it is two, and the first was never closed.
    Unclosed,
}

impl Scan {
    const fn new() -> Self {
        Self { state: State::ValueBegins, at: 0, lines: 1 }
    }

    fn is_quoted(&self) -> bool {
        self.state == State::Quoted
    }

    /// Looks at the record's bytes from where it stopped the last time.
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
                // Some programs do not double the quotes in their values; within a line that can be forgiven.
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

    /// Hands out a few bytes at a time, so that every record lies across a boundary.
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
    fn line_ends_blank_lines_and_a_byte_order_mark() {
        expect("", &[]);
        expect("\n\r\n", &[]);
        expect("\u{FEFF}a,b\nc,d", &[(1, "a,b"), (2, "c,d")]);
        expect("a\r\n\r\n\r\nb\r\n", &[(1, "a"), (4, "b")]);
        expect("\n\na\n", &[(3, "a")]);
    }

    #[test]
    fn quotes() {
        expect("\"a\nb\",c\nd\n", &[(1, "\"a\nb\",c"), (3, "d")]);
        expect("\"a\r\n\r\nb\"\r\nd\r\n", &[(1, "\"a\r\n\r\nb\""), (4, "d")]);
        expect("\"a\"\"\n\"\"\",c\nd", &[(1, "\"a\"\"\n\"\"\",c"), (3, "d")]);
        expect("5\" pipe,x\nd\n", &[(1, "5\" pipe,x"), (2, "d")]);
        expect("\"the \"man\"\",1\n\"d\"\n", &[(1, "\"the \"man\"\",1"), (2, "\"d\"")]);
    }

    #[test]
    fn a_quote_that_never_closes_costs_its_own_line() {
        let broken = "! a quoted value does not end";
        expect("\"a,1\n\"b\",2\nc,3\n", &[(1, broken), (2, "\"b\",2"), (3, "c,3")]);
        expect("a,1\n\"b,2\nc,3", &[(1, "a,1"), (2, broken), (3, "c,3")]);
        expect("\"b", &[(1, broken)]);
        let long = format!("\"a\n{}", "b,c\n".repeat(LONGEST));
        let read = read(&long);
        assert_eq!(read[0], (1, broken.to_owned()));
        assert_eq!((read.len(), read[1].clone()), (LONGEST + 1, (2, "b,c".to_owned())));
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let long = "x".repeat(3 * CHUNK);
        let too_long = "! longer than 65536 bytes";
        expect(&format!("a\n{long}\nb\n{long}"), &[(1, "a"), (2, too_long), (3, "b"), (4, too_long)]);
        let fits = "x".repeat(LONGEST - 1);
        expect(&format!("{fits}\nb\n"), &[(1, &fits), (2, "b")]);
    }

    #[test]
    fn utf_16_is_refused() {
        assert!(Lines::new(&b"\xFF\xFEa\0"[..], b',').is_err());
    }
}
