//! Responses to requests that the HTTP parser rejects, in the format of all other responses.

use axum::http::{HeaderName, HeaderValue};
use std::fmt::Write;

/// A replacement response, partly written.
pub(super) struct Refusal {
    bytes: Vec<u8>,
    written: usize,
}

impl Refusal {
    /// Returns the bytes that are not written yet.
    pub(super) fn rest(&self) -> Option<&[u8]> {
        Some(&self.bytes[self.written..]).filter(|rest| !rest.is_empty())
    }

    pub(super) fn wrote(&mut self, count: usize) {
        self.written += count;
    }
}

/// The greatest length of the parser's responses.
const LONGEST: usize = 256;

/// The parser's own statuses, and the code and message of their replacements.
const REFUSALS: [(&str, &str, &str); 3] = [
    ("400 Bad Request", "MALFORMED_REQUEST", "The request is not valid HTTP/1.1"),
    ("414 URI Too Long", "URI_TOO_LONG", "The request target has more than 65534 bytes"),
    (
        "431 Request Header Fields Too Large",
        "HEADERS_TOO_LARGE",
        "The head of the request has too many bytes or fields",
    ),
];

/// Finds a response by the parser itself at the end of the written bytes. Returns its position and its replacement.
/// Responses of the API have a body and other header fields. `fields` returns more fields for the replacement.
pub(super) fn find<F>(bytes: &[u8], fields: impl FnOnce() -> F) -> Option<(usize, Refusal)>
where
    F: IntoIterator<Item: IntoIterator<Item = (HeaderName, HeaderValue)>>,
{
    if !bytes.ends_with(b"\r\n\r\n") {
        return None;
    }
    let tail = bytes.len().saturating_sub(LONGEST);
    let begins = (tail..bytes.len()).rev().find(|&at| bytes[at..].starts_with(b"HTTP/1."))?;
    let mut lines = std::str::from_utf8(&bytes[begins..]).ok()?.trim_end().split("\r\n");
    let (_, status) = lines.next()?.split_once(' ')?;
    let (status, code, message) = REFUSALS.into_iter().find(|(known, _, _)| *known == status)?;
    let is_own = |line: &str| line.starts_with("date: ") || ["connection: close", "content-length: 0"].contains(&line);
    lines.all(is_own).then(|| {
        let fields = fields().into_iter().flatten();
        let fields = fields.filter_map(|(name, value)| Some(format!("{name}: {}\r\n", value.to_str().ok()?)));
        let bytes = answer(status, code, message, &fields.collect::<String>());
        (begins, Refusal { bytes, written: 0 })
    })
}

/// Returns the response to a connection for which there is no place.
pub(crate) fn full() -> Vec<u8> {
    let message = "There are too many connections, altogether or from this address; try again soon";
    answer("503 Service Unavailable", "TOO_MANY_CONNECTIONS", message, "retry-after: 1\r\n")
}

fn answer(status: &str, code: &str, message: &str, more: &str) -> Vec<u8> {
    let body = serde_json::json!({ "success": false, "message": message, "code": code }).to_string();
    let mut text = String::new();
    let length = body.len();
    let written = write!(
        text,
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{more}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    written.expect("a string has room");
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::ORIGIN;

    #[test]
    fn response_of_the_parser_is_found_after_another_response() {
        let date = "date: Sun, 29 Nov 2026 09:00:00 GMT\r\n\r\n";
        let own = format!("HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n{date}");
        let before = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n{date}{{}}");
        let more = [(ORIGIN, HeaderValue::from_static("https://console.example"))];
        let (at, refusal) = find(format!("{before}{own}").as_bytes(), || Some(more)).expect("found");
        assert_eq!(at, before.len());
        let replacement = String::from_utf8_lossy(&refusal.bytes);
        assert!(replacement.contains("MALFORMED_REQUEST"), "{replacement}");
        assert!(replacement.contains("\r\norigin: https://console.example\r\n"), "{replacement}");
        for other in [
            before.as_str(),
            "HTTP/1.1 400 Bad Request\r\nx-request-id: 1\r\ncontent-length: 0\r\n\r\n",
            "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n",
            "",
        ] {
            assert!(find(other.as_bytes(), || Some([])).is_none(), "{other}");
        }
    }
}
