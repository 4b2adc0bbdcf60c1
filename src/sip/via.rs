//! Reads the elements of a `Via` field (RFC 3261, section 20.42).
//!
//! The parser is a dependency. It reads less than the grammar allows, so each element is first written in the form that
//! it reads: see [`plain`]. `docs/internals/sip.md` lists what the dependency would have to change. A response repeats
//! the element as it was sent.

use super::party::split;
use bytes::Bytes;
use ezk_sip_types::header::HeaderParse;
use ezk_sip_types::header::typed::Via;
use ezk_sip_types::host::HostPort;
use std::fmt::Write;

/// One element of a `Via` field: a server that the request came through.
pub(super) struct Hop<'a> {
    /// The element as it was sent.
    pub(super) text: &'a str,
    pub(super) sent_by: HostPort,
    pub(super) branch: Option<String>,
}

impl<'a> Hop<'a> {
    /// Returns the elements of a field's value. `None` stands for an element that is malformed.
    pub(super) fn all(value: &'a str) -> impl Iterator<Item = Option<Hop<'a>>> {
        split(value, ',').map(Self::of)
    }

    fn of(text: &'a str) -> Option<Hop<'a>> {
        let source = Bytes::from(plain(text)?);
        let (rest, via) = Via::parse(&source, str::from_utf8(&source).ok()?).ok()?;
        let is_sound = rest.trim().is_empty() && !via.transport.is_empty();
        let branch = via.params.get_val("branch").map(ToString::to_string);
        is_sound.then_some(Hop { text, sent_by: via.sent_by, branch })
    }
}

/// Returns the element in the form that the parser reads:
/// * without white space around the colon before the port;
/// * with the protocol's name in capital letters;
/// * with percent escapes in place of quotes, because the parser knows no quote within a quoted value;
/// * with the percent signs of other values escaped, because the parser decodes all values.
///
/// `None` if a parameter has no name, or a quote is not closed.
fn plain(element: &str) -> Option<String> {
    let mut parts = split(element, ';');
    let (protocol, rest) = parts.next()?.trim().split_at_checked(3)?;
    let mut text = if protocol.eq_ignore_ascii_case("SIP") { "SIP" } else { protocol }.to_owned();
    match rest.rsplit_once(':') {
        // A bracket ends an IPv6 address, whose colons belong to it.
        Some((host, port)) if !port.contains(']') => {
            text.push_str(host.trim_end());
            text.push(':');
            text.push_str(port.trim_start());
        }
        _ => text.push_str(rest),
    }
    for part in parts {
        let (name, value) = part.split_once('=').map_or((part, None), |(name, value)| (name, Some(value.trim())));
        if name.trim().is_empty() {
            return None;
        }
        text.push(';');
        text.push_str(&name.trim().replace('%', "%25"));
        let Some(value) = value else { continue };
        text.push('=');
        match value.strip_prefix('"') {
            Some(quoted) => escape(&unquoted(quoted)?, &mut text),
            None => text.push_str(&value.replace('%', "%25")),
        }
    }
    Some(text)
}

/// Returns the content of a quoted string, from behind its first quote. `None` if it does not end with a quote.
fn unquoted(text: &str) -> Option<String> {
    let mut content = String::new();
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return chars.as_str().is_empty().then_some(content),
            '\\' => content.push(chars.next()?),
            char => content.push(char),
        }
    }
}

fn escape(content: &str, text: &mut String) {
    for byte in content.bytes() {
        let _ = write!(text, "%{byte:02X}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Read = (String, Option<u16>, Option<String>);

    fn read(value: &str) -> Option<Vec<Read>> {
        let read = |hop: Hop<'_>| (hop.sent_by.host.to_string(), hop.sent_by.port, hop.branch);
        Hop::all(value).map(|hop| hop.map(read)).collect()
    }

    #[test]
    fn host_port_and_branch_are_read_from_each_form_of_the_grammar() {
        for (value, host, port, branch) in [
            // The examples of RFC 3261, section 20.42.
            ("SIP/2.0/UDP erlang.example.com:5060;branch=z9hG4bK87", "erlang.example.com", Some(5060), "z9hG4bK87"),
            ("SIP/2.0/UDP 192.0.2.1:5060 ;received=192.0.2.207;branch=z9hG4bK77", "192.0.2.1", Some(5060), "z9hG4bK77"),
            (
                "SIP / 2.0 / UDP first.example.com: 4000;ttl=16 ;maddr=224.2.0.1 ;branch=z9hG4bKa7c6a8dlze.1",
                "first.example.com",
                Some(4000),
                "z9hG4bKa7c6a8dlze.1",
            ),
            ("SIP/2.0/UDP host :\t5060 ; branch = z1", "host", Some(5060), "z1"),
            ("SIP/2.0/UDP [2001:db8::9:1] : 5060;branch=z1", "[2001:db8::9:1]", Some(5060), "z1"),
            ("SIP/2.0/UDP [2001:db8::9:1];branch=z1", "[2001:db8::9:1]", None, "z1"),
            ("sip/2.0/udp host;branch=z1", "host", None, "z1"),
            ("SIP/2.0/UDP host;x=\"a\\\"b\";branch=z1", "host", None, "z1"),
            ("SIP/2.0/UDP host;x=\"a;branch=no, b\\\\\";branch=z1", "host", None, "z1"),
            ("SIP/2.0/UDP host;x=\"\" ; branch=z1", "host", None, "z1"),
            ("SIP/2.0/UDP host;x=\"a;; b%ff\";branch=z1", "host", None, "z1"),
            ("SIP/2.0/UDP host;branch=z%ff%41", "host", None, "z%ff%41"),
            ("SIP/2.0/UDP host;rport;lr;branch=z1", "host", None, "z1"),
        ] {
            assert_eq!(read(value), Some(vec![(host.into(), port, Some(branch.into()))]), "{value}");
        }
        let two = read("SIP/2.0/UDP a: 1;x=\",\" , SIP/2.0/TCP b").expect("both are sound");
        assert_eq!(two, [("a".into(), Some(1), None), ("b".into(), None, None)]);
    }

    #[test]
    fn malformed_element_returns_none() {
        for value in [
            "",
            "SIP",
            "SIP/2.0/UDP",
            "SIP/2.0/ host",
            "SIP/7.0/UDP host",
            "SIP/2.0/UDP host:",
            "SIP/2.0/UDP host: ;branch=z1",
            "SIP/2.0/UDP host:70000",
            "SIP/2.0/UDP host: 50 60",
            "SIP/2.0/UDP ho st",
            "SIP/2.0/UDP [2001: db8::1]",
            "SIP/2.0/UDP host;",
            "SIP/2.0/UDP host;;branch=z1",
            "SIP/2.0/UDP host;=x",
            "SIP/2.0/UDP host;branch=a b",
            "SIP/2.0/UDP host;x=\"a",
            "SIP/2.0/UDP host;x=\"a\\\"",
            "SIP/2.0/UDP host;x=\"a\"b",
            "SIP/2.0/UDP host;x=a\"b\"",
            "SIP/2.0/UDP host,",
            "SIP/2.0/UDP host,, SIP/2.0/UDP host",
        ] {
            assert_eq!(read(value), None, "{value}");
        }
    }
}
