//! Tracks the requests in a byte stream, to find faults that the HTTP parser accepts or does not answer.

/// The bytes of a line that are kept. The relevant fields are shorter. Only `Origin` may be as long as a host name (253).
const KEPT: usize = 288;

/// The most bytes of the trailers after a chunked body.
const TRAILERS: usize = 16 << 10;

/// The first line of a client that speaks HTTP/2 only. The parser does not answer it.
const HTTP_2: &[u8] = b"PRI * HTTP/2.0";

/// The position of a byte that the parser must not read as it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// In a head. The parser has to reject the head.
    Head(usize),
    /// In the framing of a chunked body. The body ends here.
    Body(usize),
}

/// Tracks the requests of one connection. It only finds where each head and each body ends, and these faults:
///
/// * a line feed without a carriage return before it, in a head, in the line with a chunk's size, or in the trailers;
/// * a first line of HTTP/2;
/// * trailers that are too long.
#[derive(Default)]
pub(super) struct Heads {
    part: Part,
    /// The start of the current line, and its last byte.
    line: Vec<u8>,
    last: u8,
    /// Whether the current head has a first line.
    has_begun: bool,
    body: Body,
    /// The origins that the current or latest head names. Two stand for more.
    origins: Vec<Vec<u8>>,
    /// The bytes of the current trailers.
    trailers: usize,
}

/// The kind of the next byte.
#[derive(Clone, Copy, Default, PartialEq)]
enum Part {
    #[default]
    Head,
    /// A body with this many bytes left.
    Body(u64),
    ChunkSize,
    /// A chunk with this many bytes left, including its line end.
    Chunk(u64),
    Trailers,
    /// Unknown. The parser rejects the data, or closes the connection after it.
    Lost,
}

/// The body that a head announces.
#[derive(Clone, Copy, Default)]
enum Body {
    #[default]
    None,
    Length(u64),
    Chunked,
    Unknown,
}

impl Heads {
    /// Reads the next bytes of the connection. Returns the first fault in them. Does not read the bytes after it.
    pub(super) fn find_fault(&mut self, bytes: &[u8]) -> Option<Fault> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match self.part {
                Part::Lost => return None,
                Part::Body(left) | Part::Chunk(left) => {
                    let skipped = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    at += skipped;
                    self.skipped(left - skipped as u64);
                }
                Part::Head | Part::ChunkSize | Part::Trailers => {
                    let end = rest.iter().position(|byte| *byte == b'\n');
                    self.keep(&rest[..end.unwrap_or(rest.len())]);
                    if self.part == Part::Trailers && self.trailers > TRAILERS {
                        return Some(self.fault(at));
                    }
                    at += end?;
                    let is_http_2 = self.part == Part::Head && !self.has_begun && self.line.starts_with(HTTP_2);
                    if self.last != b'\r' || is_http_2 {
                        return Some(self.fault(at));
                    }
                    self.end_line();
                    at += 1;
                }
            }
        }
        None
    }

    /// Returns the values of `Origin` in the current or latest head, as far as it has been read. At most two, as two mean that
    /// none of them counts.
    pub(super) fn origins(&self) -> impl Iterator<Item = &[u8]> {
        self.origins.iter().map(Vec::as_slice)
    }

    /// Returns whether the connection is between two requests.
    pub(super) fn is_between_requests(&self) -> bool {
        self.part == Part::Head && !self.has_begun && self.line.is_empty()
    }

    fn fault(&mut self, at: usize) -> Fault {
        match std::mem::replace(&mut self.part, Part::Lost) {
            Part::Head => Fault::Head(at),
            _ => Fault::Body(at),
        }
    }

    fn keep(&mut self, part: &[u8]) {
        let Some(last) = part.last() else { return };
        self.last = *last;
        if self.part == Part::Trailers {
            self.trailers += part.len();
        }
        let room = KEPT.saturating_sub(self.line.len()).min(part.len());
        self.line.extend_from_slice(&part[..room]);
    }

    fn skipped(&mut self, left: u64) {
        self.part = match self.part {
            Part::Chunk(_) if left == 0 => Part::ChunkSize,
            Part::Chunk(_) => Part::Chunk(left),
            _ if left == 0 => Part::Head,
            _ => Part::Body(left),
        };
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        self.last = 0;
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        match self.part {
            Part::ChunkSize => {
                self.part = chunk(line);
                self.trailers = 0;
            }
            Part::Trailers if line.is_empty() => self.part = Part::Head,
            Part::Head if line.is_empty() && self.has_begun => self.end_head(),
            Part::Head if line.is_empty() => {}
            Part::Head if self.has_begun => self.field(line),
            Part::Head => {
                self.has_begun = true;
                self.origins.clear();
            }
            _ => {}
        }
    }

    fn field(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let is_chunked = value.to_ascii_lowercase().ends_with(b"chunked");
            self.body = if is_chunked { Body::Chunked } else { Body::Unknown };
        } else if name.eq_ignore_ascii_case(b"origin") && self.origins.len() < 2 {
            self.origins.push(value.to_vec());
        } else if name.eq_ignore_ascii_case(b"content-length") && !matches!(self.body, Body::Chunked) {
            let length = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
            self.body = length.map_or(Body::Unknown, Body::Length);
        }
    }

    fn end_head(&mut self) {
        self.has_begun = false;
        self.part = match std::mem::take(&mut self.body) {
            Body::None | Body::Length(0) => Part::Head,
            Body::Length(length) => Part::Body(length),
            Body::Chunked => Part::ChunkSize,
            Body::Unknown => Part::Lost,
        };
    }
}

/// Returns the part after the line with a chunk's size.
fn chunk(line: &[u8]) -> Part {
    let digits = line.split(|byte| !byte.is_ascii_hexdigit()).next().unwrap_or_default();
    let size = std::str::from_utf8(digits).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
    match size {
        None => Part::Lost,
        Some(0) => Part::Trailers,
        Some(size) => size.checked_add(2).map_or(Part::Lost, Part::Chunk),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOUND: &[&str] = &[
        "\r\nGET / HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\na\nb\n\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, Chunked\r\n\r\n3;a=b\r\n\n\n\n\r\nA\r\n\n\n\n\n\n\n\n\n\n\n\r\n0\r\nx: y\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 7\r\ntransfer-encoding: chunked\r\n\r\n1\r\n\n\r\n0\r\n\r\n",
    ];

    fn find(text: &str, step: usize) -> Option<Fault> {
        let mut heads = Heads::default();
        let parts = text.as_bytes().chunks(step).enumerate();
        parts.into_iter().find_map(|(place, part)| {
            let fault = heads.find_fault(part)?;
            Some(match fault {
                Fault::Head(at) => Fault::Head(place * step + at),
                Fault::Body(at) => Fault::Body(place * step + at),
            })
        })
    }

    #[test]
    fn fault_is_found_however_the_bytes_arrive() {
        let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(1000));
        let sound = [SOUND, &[&*long]].concat().concat();
        let chunked = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
        for step in [1, 2, 3, 7, 10_000] {
            assert_eq!(find(&sound, step), None, "{step}");
            for (before, bad) in [
                ("", "\n"),
                ("GET / HTTP/1.1", "\n"),
                ("GET / HTTP/1.1\r\nhost: x", "\n"),
                ("GET / HTTP/1.1\r\nhost: x\r\n", "\n"),
                ("PRI * HTTP/2.0\r", "\n\r\nSM\r\n\r\n"),
            ] {
                let text = format!("{sound}{before}{bad} and more");
                assert_eq!(find(&text, step), Some(Fault::Head(sound.len() + before.len())), "{step}: {before:?}");
            }
            for before in ["", "5", "5;a=b", "1\r\na\r\n", "0\r\n", "0\r\nx: y", "0\r\nx: y\r\n"] {
                let before = format!("{sound}{chunked}{before}");
                let text = format!("{before}\n and more");
                assert_eq!(find(&text, step), Some(Fault::Body(before.len())), "{step}: {before:?}");
            }
        }
    }

    #[test]
    fn trailers_are_bounded() {
        let chunked = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n";
        let trailers = |bytes| format!("{chunked}{}\r\n\r\n", "y".repeat(bytes)).repeat(2);
        for step in [1, 100, 100_000] {
            assert_eq!(find(&trailers(TRAILERS - 100), step), None);
            assert!(matches!(find(&trailers(TRAILERS + 100), step), Some(Fault::Body(_))));
        }
    }

    #[test]
    fn end_of_a_request_is_known() {
        let mut heads = Heads::default();
        assert!(heads.is_between_requests());
        for (part, is_between) in [
            ("POST / HTTP/1.1\r\ncontent-", false),
            ("length: 2\r\n\r\n", false),
            ("{", false),
            ("}", true),
            ("G", false),
        ] {
            assert_eq!(heads.find_fault(part.as_bytes()), None);
            assert_eq!(heads.is_between_requests(), is_between, "{part}");
        }
    }
}
