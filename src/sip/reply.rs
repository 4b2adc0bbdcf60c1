//! Responses: what is copied from the request, and where it goes.

use super::message::Request;
use super::party::{Party, split};
use ezk_sip_types::Name;
use std::fmt::{self, Write};
use std::net::SocketAddr;

/// What is answered, before it is bytes. A field's value has no line end: whoever adds one makes it of checked parts.
pub(super) struct Reply {
    pub(super) status: u16,
    fields: Vec<(&'static str, String)>,
}

/// An answer as it goes out. `Debug` leaves its text out: there are numbers in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The message.
    pub bytes: Vec<u8>,
    /// Where to, over UDP: never another address than the one the request came from (RFC 3261, section 18.2.2, and RFC 3581).
    /// Over TCP it goes back on the same connection.
    pub to: SocketAddr,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("bytes", &self.bytes.len()).field("to", &self.to).finish()
    }
}

impl Reply {
    pub(super) const fn new(status: u16) -> Self {
        Self { status, fields: Vec::new() }
    }

    /// Adds a header field.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        debug_assert!(!value.contains(['\r', '\n']), "{name} is on one line");
        self.fields.push((name, value));
        self
    }

    /// The answer to this request, which came from there (section 8.2.6). `None` where nothing says by which way it came.
    pub(super) fn to(&self, request: &Request<'_>, from: SocketAddr, tag: u64) -> Option<Outgoing> {
        let mut bytes = format!("SIP/2.0 {} {}\r\n", self.status, phrase(self.status)).into_bytes();
        let mut add = |name: &str, parts: [&[u8]; 2]| {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            for part in parts {
                bytes.extend_from_slice(part);
            }
            bytes.extend_from_slice(b"\r\n");
        };
        let mut vias = request.bytes(&Name::VIA);
        let first = vias.next()?;
        let mut to = from;
        match request.first(&Name::VIA).zip(request.top_via()) {
            Some((value, (via, length))) => {
                let (top, rest) = value.split_at_checked(length)?;
                if !split(top, ';').skip(1).any(is_rport) {
                    to.set_port(via.sent_by.port.unwrap_or(5060));
                }
                add("Via", [stamped(top, from).as_bytes(), rest.as_bytes()]);
            }
            // It is told that it is malformed where it came from.
            None => add("Via", [first, b""]),
        }
        vias.for_each(|via| add("Via", [via, b""]));
        for (name, word) in [(Name::FROM, "From"), (Name::CALL_ID, "Call-ID"), (Name::CSEQ, "CSeq")] {
            request.bytes(&name).take(1).for_each(|value| add(word, [value, b""]));
        }
        if let (Some(value), Some(text)) = (request.bytes(&Name::TO).next(), request.first(&Name::TO)) {
            let is_tagged = Party::of(text).is_none_or(|party| party.param("tag").is_some());
            let tag = if is_tagged { String::new() } else { format!(";tag={tag:016x}") };
            add("To", [value, tag.as_bytes()]);
        }
        for (name, value) in &self.fields {
            add(name, [value.as_bytes(), b""]);
        }
        add("Content-Length", [b"0", b""]);
        bytes.extend_from_slice(b"\r\n");
        Some(Outgoing { bytes, to })
    }
}

fn is_rport(param: &str) -> bool {
    param.split_once('=').map_or(param, |(key, _)| key).trim().eq_ignore_ascii_case("rport")
}

fn is_received(param: &str) -> bool {
    param.split_once('=').is_some_and(|(key, _)| key.trim().eq_ignore_ascii_case("received"))
}

/// The topmost hop with the address that the packet came from, whatever it said of that itself (sections 18.2.1, and RFC 3581,
/// section 4).
fn stamped(via: &str, from: SocketAddr) -> String {
    let mut text = String::with_capacity(via.len() + 48);
    for (place, param) in split(via, ';').enumerate() {
        match place {
            0 => text.push_str(param.trim_end()),
            _ if is_received(param) => {}
            _ if is_rport(param) => {
                let _ = write!(text, ";rport={}", from.port());
            }
            _ => {
                let _ = write!(text, ";{}", param.trim());
            }
        }
    }
    let _ = write!(text, ";received={}", from.ip().to_canonical());
    text
}

const fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Moved Temporarily",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        416 => "Unsupported URI Scheme",
        420 => "Bad Extension",
        480 => "Temporarily Unavailable",
        481 => "Call/Transaction Does Not Exist",
        503 => "Service Unavailable",
        505 => "Version Not Supported",
        _ => "Answered",
    }
}
