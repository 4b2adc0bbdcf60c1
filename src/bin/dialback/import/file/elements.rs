//! Splits a JSON list into its elements, each with its line number.
//!
//! An element is returned on one line: its line ends become spaces, which mean the same. Only the ends of the elements
//! are found here. An element is checked when its values are read. Memory is bounded for
//! any input.

use super::lines::{LONGEST, Line};
use super::window::Window;
use crate::import::report::rejection::Rejection;
use std::io::{self, Read};

/// An iterator over the elements of a list.
pub(in crate::import) struct Elements<R> {
    window: Window<R>,
    limit: usize,
    place: Place,
    scan: Scan,
    /// Whether the last element was too long, and its rest has not been taken.
    is_long: bool,
    /// The number of the line that has been read, from 1.
    line: u64,
}

/// The position between two elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    BeforeList,
    AfterOpening,
    AfterComma,
    AfterElement,
    AfterList,
    /// The file ended before the end of the list, which has been reported.
    Cut,
}

impl<R: Read> Elements<R> {
    pub(in crate::import) fn new(source: R) -> Self {
        Self::with_limit(source, LONGEST)
    }

    fn with_limit(source: R, limit: usize) -> Self {
        let (window, place) = (Window::new(source), Place::BeforeList);
        Self { window, limit, place, scan: Scan::default(), is_long: false, line: 1 }
    }

    /// Returns the number of bytes up to the end of the last element.
    pub(in crate::import) fn position(&self) -> u64 {
        self.window.position()
    }

    /// Returns the next element.
    ///
    /// # Errors
    /// The source's read error; [`io::ErrorKind::InvalidData`] if there is something else between two elements than a
    /// comma. Then it is not known where the next element begins.
    pub(in crate::import) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let (number, Some(found)) = self.find()? else { return Ok(None) };
        let Found { taken, breaks, broken, is_long } = found;
        self.is_long = is_long;
        self.line += breaks;
        Ok(Some(Line { number, bytes: self.window.take(taken), broken, is_last: false }))
    }

    /// Returns the bytes of the next element without taking it. `None` if there is none, or if it is broken.
    pub(in crate::import) fn peek(&mut self) -> io::Result<Option<&[u8]>> {
        let (_, Some(Found { taken, broken, .. })) = self.find()? else { return Ok(None) };
        // The separator before the element has been taken, and the element has not.
        self.place = if taken > 0 { Place::AfterComma } else { Place::AfterElement };
        Ok(broken.is_none().then(|| &self.window.bytes()[..taken]))
    }

    /// Returns the next piece of an element that was too long, in order, and `None` at its end.
    pub(in crate::import) fn rest(&mut self) -> io::Result<Option<&[u8]>> {
        if !self.is_long {
            return Ok(None);
        }
        if self.window.bytes().is_empty() {
            self.window.fill()?;
        }
        self.scan.at = 0;
        let breaks = self.scan.breaks;
        let is_complete = self.scan.go_on(self.window.bytes_mut());
        self.is_long = !is_complete && !self.window.bytes().is_empty();
        self.line += self.scan.breaks - breaks;
        let length = self.scan.at;
        Ok(Some(self.window.take(length)))
    }

    fn find(&mut self) -> io::Result<(u64, Option<Found>)> {
        while self.rest()?.is_some() {}
        let found = |taken, breaks, broken| Some(Found { taken, breaks, broken, is_long: false });
        if !self.separate()? {
            let is_cut = !matches!(self.place, Place::AfterList | Place::Cut);
            self.place = if is_cut { Place::Cut } else { self.place };
            return Ok((self.line, found(0, 0, Some(Rejection::CutJson)).filter(|_| is_cut)));
        }
        self.place = Place::AfterElement;
        self.scan = Scan::default();
        loop {
            let bytes = self.window.bytes_mut();
            let seen = bytes.len().min(self.limit + 1);
            let is_complete = self.scan.go_on(&mut bytes[..seen]);
            let (length, breaks) = (self.scan.at, self.scan.breaks);
            let found = if length > self.limit {
                let why = Rejection::TooLong { limit: self.limit, lines: 1 };
                Some(Found { taken: length, breaks, broken: Some(why), is_long: !is_complete })
            } else if is_complete {
                found(length, breaks, None)
            } else if self.window.has_ended() {
                self.place = Place::Cut;
                found(length, breaks, Some(Rejection::CutJson))
            } else {
                self.window.fill()?;
                continue;
            };
            return Ok((self.line, found));
        }
    }

    /// Takes what is between two elements. Returns whether another element follows.
    fn separate(&mut self) -> io::Result<bool> {
        loop {
            let Some(byte) = self.window.bytes().first().copied() else {
                if self.window.has_ended() {
                    return Ok(false);
                }
                self.window.fill()?;
                continue;
            };
            self.place = match (self.place, byte) {
                (place, b' ' | b'\t' | b'\r') => place,
                (place, b'\n') => {
                    self.line += 1;
                    place
                }
                (Place::BeforeList, b'[') => Place::AfterOpening,
                (Place::AfterElement, b',') => Place::AfterComma,
                (Place::AfterOpening | Place::AfterElement, b']') => Place::AfterList,
                (Place::AfterOpening | Place::AfterComma, byte) if !matches!(byte, b',' | b']' | b'}' | b':') => {
                    return Ok(true);
                }
                _ => {
                    let what =
                        format!("its JSON list is broken on line {}: correct it, and import it again", self.line);
                    return Err(io::Error::new(io::ErrorKind::InvalidData, what));
                }
            };
            self.window.take(1);
        }
    }
}

/// The extent of the next element in the window.
struct Found {
    taken: usize,
    breaks: u64,
    broken: Option<Rejection>,
    is_long: bool,
}

/// The state of an element's scan.
#[derive(Default)]
struct Scan {
    /// The number of bytes scanned in this piece of the element.
    at: usize,
    breaks: u64,
    /// The number of objects and lists that are open.
    depth: u64,
    is_quoted: bool,
    is_escaped: bool,
    begun: bool,
}

impl Scan {
    /// Scans the bytes of the element from where the last scan stopped. Returns whether its end was found. Replaces
    /// line ends. One in a text is not allowed, and stays.
    fn go_on(&mut self, bytes: &mut [u8]) -> bool {
        for place in &mut bytes[self.at..] {
            let byte = *place;
            let is_outside = self.depth == 0 && !self.is_quoted;
            if self.begun && is_outside && matches!(byte, b',' | b']' | b'}' | b' ' | b'\t' | b'\r' | b'\n') {
                return true;
            }
            (self.begun, self.at) = (true, self.at + 1);
            self.breaks += u64::from(byte == b'\n');
            match byte {
                b'\n' | b'\r' if !self.is_quoted => *place = b' ',
                _ if self.is_escaped => self.is_escaped = false,
                b'\\' if self.is_quoted => self.is_escaped = true,
                b'"' => self.is_quoted = !self.is_quoted,
                b'{' | b'[' if !self.is_quoted => self.depth += 1,
                b'}' | b']' if !self.is_quoted => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return true;
                    }
                }
                _ => {}
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    fn read_with_limit(text: &str, limit: usize) -> io::Result<Vec<(u64, String, Option<Rejection>)>> {
        let mut elements = Elements::with_limit(text.as_bytes(), limit);
        let mut seen = Vec::new();
        while let Some(Line { number, bytes, broken, .. }) = elements.next()? {
            let mut bytes = bytes.to_vec();
            while let Some(piece) = elements.rest()? {
                bytes.extend_from_slice(piece);
            }
            seen.push((number, String::from_utf8(bytes).expect("UTF-8"), broken));
        }
        assert!(elements.next()?.is_none());
        Ok(seen)
    }

    fn expect(text: &str, expected: &[(u64, &str, Option<Rejection>)]) {
        let read = read_with_limit(text, LONGEST).expect("readable");
        let expected: Vec<_> =
            expected.iter().map(|(line, text, why)| (*line, (*text).to_owned(), why.clone())).collect();
        assert_eq!(read, expected, "{text:?}");
    }

    #[test]
    fn elements_end_at_their_own_brackets() {
        expect("[]", &[]);
        expect(" [\n] \n", &[]);
        expect(
            "[{\"a\": \"]},\\\"\"},\n {\n\"b\": [1, {}]\n}\n,[], 1 ,\"x\",null]\n",
            &[
                (1, "{\"a\": \"]},\\\"\"}", None),
                (2, "{ \"b\": [1, {}] }", None),
                (5, "[]", None),
                (5, "1", None),
                (5, "\"x\"", None),
                (5, "null", None),
            ],
        );
    }

    #[test]
    fn file_that_ends_inside_the_list_is_reported_once() {
        let cut = Some(Rejection::CutJson);
        expect("", &[(1, "", cut.clone())]);
        expect("[{}\n", &[(1, "{}", None), (2, "", cut.clone())]);
        expect("[{},", &[(1, "{}", None), (1, "", cut.clone())]);
        expect("[{},\n{\"a\": \"{}", &[(1, "{}", None), (2, "{\"a\": \"{}", cut)]);
    }

    #[test]
    fn list_without_commas_ends_the_import() {
        for text in ["[{} {}]", "[{},,{}]", "[{},]", "[{}] x", "[,{}]", "[{}}, {}]"] {
            let error = read_with_limit(text, LONGEST).expect_err(text);
            assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        }
    }

    #[test]
    fn next_element_can_be_looked_at() {
        let mut elements = Elements::new(&b"[{\"a\":1},{}]"[..]);
        for _ in 0..2 {
            assert_eq!(elements.peek().expect("readable"), Some(&b"{\"a\":1}"[..]));
        }
        assert_eq!(elements.next().expect("readable").map(|line| line.bytes.len()), Some(7));
        assert_eq!(elements.peek().expect("readable"), Some(&b"{}"[..]));
        assert_eq!(elements.next().expect("readable").map(|line| line.bytes.len()), Some(2));
        assert!(elements.next().expect("readable").is_none());
    }

    proptest! {
        /// Whatever is in the values, and however short the longest element is: each element is returned once,
        /// unchanged, and nothing else is.
        #[test]
        fn elements_are_returned_unchanged(values in vec("[a\\[\\]{},\"\\\\\n]{0,12}", 0..8), limit in 1_usize..40) {
            let objects: Vec<_> = values.iter().map(|value| serde_json::json!({ "x": [value] })).collect();
            let written: Vec<_> = objects.iter().map(|object| serde_json::to_string_pretty(object).unwrap()).collect();
            let read = read_with_limit(&format!("[\n{}\n]", written.join(" ,\n")), limit).expect("readable");
            let texts: Vec<_> = read.iter().map(|(_, text, _)| text.clone()).collect();
            let on_one_line: Vec<_> = written.iter().map(|object| object.replace('\n', " ")).collect();
            prop_assert_eq!(texts, on_one_line);
            for (_, text, broken) in read {
                prop_assert_eq!(broken.is_some(), text.len() > limit);
            }
        }
    }
}
