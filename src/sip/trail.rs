//! Adds the number that the call was going to: Diversion (RFC 5806) and History-Info (RFC 7044).

use super::message::Request;
use super::party::{Party, split};
use super::reply::Reply;
use ezk_sip_types::Name;

pub(super) static DIVERSION: Name = Name::custom("Diversion", &["diversion"]);
pub(super) static HISTORY: Name = Name::custom("History-Info", &["history-info"]);

/// The largest number of entries that are copied. Longer lists are loops, and a response should fit into one
/// datagram.
const MOST: usize = 10;

/// Adds the Contact and the trail. With History-Info, the Contact refers to its entry.
pub(super) fn with_trail(mut reply: Reply, request: &Request<'_>, contact: &str) -> Reply {
    let history = wants_history(request).then(|| history(request));
    reply = match &history {
        Some(history) => reply.with("Contact", format!("<{contact}>;mp={}", history.index)),
        None => reply.with("Contact", format!("<{contact}>")),
    };
    // The newest entry is the topmost (RFC 5806, section 5).
    reply = reply.with("Diversion", format!("<{}>;reason=unconditional;counter=1", request.uri));
    for value in request.all(&DIVERSION).take(MOST) {
        reply = reply.with("Diversion", value);
    }
    for value in history.map(|history| history.entries).unwrap_or_default() {
        reply = reply.with("History-Info", value);
    }
    reply
}

/// Returns whether the client supports History-Info. It is sent to no other client (RFC 7044, section 9.3).
fn wants_history(request: &Request<'_>) -> bool {
    let tags = request.all(&Name::SUPPORTED).flat_map(|value| value.split(','));
    tags.map(str::trim).any(|tag| tag.eq_ignore_ascii_case("histinfo"))
}

struct History {
    entries: Vec<String>,
    /// The index of the entry for the request URI.
    index: String,
}

/// Returns the request's entries, with one added for the request URI if the last entry is not for it.
fn history(request: &Request<'_>) -> History {
    let all: Vec<&str> = request.all(&HISTORY).flat_map(|value| split(value, ',')).map(str::trim).collect();
    let mut entries: Vec<String> = all[all.len().saturating_sub(MOST)..].iter().map(ToString::to_string).collect();
    let last = all.last().and_then(|entry| Party::of(entry));
    let last_index = last.and_then(|entry| entry.param("index")).filter(|index| is_index(index));
    let index = match (last, last_index) {
        (Some(entry), Some(index)) if entry.uri == request.uri => return History { entries, index: index.into() },
        (_, Some(index)) => format!("{index}.1"),
        _ => "1".into(),
    };
    entries.push(format!("<{}>;index={index}", request.uri));
    History { entries, index }
}

fn is_index(index: &str) -> bool {
    !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}
