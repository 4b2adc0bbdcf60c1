//! Builds SIP responses: the fields copied from the request, and the destination.

use super::details::Details;
use super::message::Request;
use super::party::{Party, split};
use ezk_sip_types::Name;
use std::fmt::{self, Write};
use std::net::SocketAddr;

/// A response before it is serialized. The code that adds a field must make sure that its value contains no line end.
pub(super) struct Reply {
    pub(super) status: u16,
    fields: Vec<(&'static str, String)>,
    pub(super) details: Details,
}

/// A response ready to be sent. `Debug` omits its text, because it contains phone numbers.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// The serialized message.
    pub bytes: Vec<u8>,
    /// The UDP destination. Its IP address is always that of the request (RFC 3261, section 18.2.2, and RFC 3581).
    /// Over TCP the response uses the request's connection.
    pub to: SocketAddr,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("bytes", &self.bytes.len()).field("to", &self.to).finish()
    }
}

impl Reply {
    pub(super) const fn new(status: u16) -> Self {
        Self { status, fields: Vec::new(), details: Details::None }
    }

    /// Adds a header field.
    ///
    /// # Panics
    /// In debug builds, if the value contains a line end.
    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        debug_assert!(!value.contains(['\r', '\n']), "{name} is on one line");
        self.fields.push((name, value));
        self
    }

    /// Builds the response to a request from the address `from` (section 8.2.6). Returns `None` if the request has no
    /// Via.
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
            Some((value, hop)) => {
                let rest = value.strip_prefix(hop.text)?;
                if !split(hop.text, ';').skip(1).any(is_rport) {
                    to.set_port(hop.sent_by.port.unwrap_or(5060));
                }
                add("Via", [stamped(hop.text, from).as_bytes(), rest.as_bytes()]);
            }
            // The Via cannot be read, so the 400 goes back to the source address.
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

/// Returns the topmost Via with the packet's source address, which replaces any `received` that it had (section
/// 18.2.1, and RFC 3581, section 4). The rest is unchanged, with its white space.
fn stamped(via: &str, from: SocketAddr) -> String {
    let mut text = String::with_capacity(via.len() + 48);
    for (place, param) in split(via.trim_end(), ';').enumerate() {
        match place {
            0 => text.push_str(param),
            _ if is_received(param) => {}
            _ if is_rport(param) => {
                let _ = write!(text, ";rport={}", from.port());
            }
            _ => {
                let _ = write!(text, ";{param}");
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
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "Version Not Supported",
        _ => "Answered",
    }
}
