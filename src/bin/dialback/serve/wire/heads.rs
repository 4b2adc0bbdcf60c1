//! Tracks the heads of requests in a byte stream, to find bare line feeds in them.

/// The bytes of a line that are kept. The relevant fields are shorter.
const KEPT: usize = 128;

/// Tracks the requests of one connection. It only finds where each head and each body ends.
#[derive(Default)]
pub(super) struct Heads {
    part: Part,
    /// The start of the current line, and its last byte.
    line: Vec<u8>,
    last: u8,
    /// Whether the current head has a first line.
    has_begun: bool,
    body: Body,
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
    /// Reads the next bytes of the connection. Returns the position of the first line feed in a head that has no
    /// carriage return before it. Does not read the bytes after that.
    pub(super) fn find_bare_line_feed(&mut self, bytes: &[u8]) -> Option<usize> {
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
                    let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                        self.keep(rest);
                        return None;
                    };
                    self.keep(&rest[..end]);
                    if self.last != b'\r' && self.part == Part::Head {
                        self.part = Part::Lost;
                        return Some(at + end);
                    }
                    self.end_line();
                    at += end + 1;
                }
            }
        }
        None
    }

    fn keep(&mut self, part: &[u8]) {
        let Some(last) = part.last() else { return };
        self.last = *last;
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
            Part::ChunkSize => self.part = chunk(line),
            Part::Trailers if line.is_empty() => self.part = Part::Head,
            Part::Head if line.is_empty() && self.has_begun => self.end_head(),
            Part::Head if line.is_empty() => {}
            Part::Head if self.has_begun => self.field(line),
            Part::Head => self.has_begun = true,
            _ => {}
        }
    }

    fn field(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let is_chunked = value.to_ascii_lowercase().ends_with(b"chunked");
            self.body = if is_chunked { Body::Chunked } else { Body::Unknown };
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

    fn find(text: &str, step: usize) -> Option<usize> {
        let mut heads = Heads::default();
        let parts = text.as_bytes().chunks(step).enumerate();
        parts.into_iter().find_map(|(place, part)| Some(place * step + heads.find_bare_line_feed(part)?))
    }

    #[test]
    fn bare_line_feed_is_found_in_any_head_however_the_bytes_arrive() {
        let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(1000));
        let sound = [SOUND, &[&*long]].concat().concat();
        for step in [1, 2, 3, 7, 10_000] {
            assert_eq!(find(&sound, step), None, "{step}");
            for bad in ["\nGET", "GET / HTTP/1.1\n", "GET / HTTP/1.1\r\nhost: x\n", "GET / HTTP/1.1\r\nhost: x\r\n\n"] {
                let text = format!("{sound}{bad} and more");
                let expected = sound.len() + bad.find("\n\n").map_or(bad.rfind('\n').expect("one"), |at| at + 1);
                assert_eq!(find(&text, step), Some(expected), "{step}: {bad:?}");
            }
        }
    }
}
