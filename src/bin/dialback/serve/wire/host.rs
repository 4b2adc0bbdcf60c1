//! The `Host` field of a request.

use axum::http::header::{HOST, HeaderMap};
use axum::http::uri::Authority;
use axum::http::{Request, Version};

/// The default port of `https`.
const HTTPS: &[u8] = b"443";

/// Returns whether the request has exactly one `Host` field, as HTTP/1.1 requires (RFC 9112, section 3.2), and whether its
/// value is a host with an optional port (RFC 9110, section 7.2). In HTTP/2, the authority of the target takes its place,
/// and a `Host` field must not differ from it (RFC 9113, section 8.3.1). They are compared as hosts are: in any case, and
/// with the port of `https` if there is none.
pub(crate) fn names_one_host<B>(request: &Request<B>) -> bool {
    let mut hosts = hosts(request.headers());
    let authority = request.uri().authority().filter(|_| request.version() == Version::HTTP_2);
    let (host, None) = (hosts.next(), hosts.next()) else { return false };
    match (authority, host) {
        (Some(authority), host) => {
            let authority = authority.as_str().as_bytes();
            is_host(authority) && host.is_none_or(|host| is_host(host) && is_same(host, authority))
        }
        (None, Some(host)) => is_host(host),
        (None, None) => request.version() < Version::HTTP_11,
    }
}

fn hosts(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(HOST).iter().map(axum::http::HeaderValue::as_bytes)
}

/// Returns whether two hosts with optional ports are the same. HTTP/2 is only served over TLS.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let (one, other) = (with_port(one), with_port(other));
    one.0.eq_ignore_ascii_case(other.0) && one.1 == other.1
}

/// Splits a sound value into its host and its port, without leading zeros.
fn with_port(value: &[u8]) -> (&[u8], &[u8]) {
    // In brackets, colons belong to the address.
    let end = value.iter().rposition(|byte| *byte == b']').map_or(0, |bracket| bracket + 1);
    let colon = value[end..].iter().position(|byte| *byte == b':').map(|colon| end + colon);
    let Some(colon) = colon else { return (value, HTTPS) };
    let port = &value[colon + 1..];
    let zeros = port.iter().take_while(|digit| **digit == b'0').count();
    (&value[..colon], if port.is_empty() { HTTPS } else { &port[zeros..] })
}

/// A client sends an empty value if the URI has no host.
fn is_host(value: &[u8]) -> bool {
    if value.is_empty() {
        return true;
    }
    // An authority may also have a user name, and the parser accepts any text as the port and between brackets.
    let Ok(authority) = Authority::try_from(value) else { return false };
    let (text, host) = (authority.as_str(), authority.host());
    let is_literal = |address: &str| address.parse::<std::net::Ipv6Addr>().is_ok();
    let is_sound = match host.strip_prefix('[') {
        Some(literal) => literal.strip_suffix(']').is_some_and(is_literal),
        None => !host.contains(['[', ']']),
    };
    let is_port =
        |rest: &str| rest.strip_prefix(':').is_some_and(|port| port.bytes().all(|digit| digit.is_ascii_digit()));
    let rest = text.strip_prefix(host).unwrap_or(text);
    !text.contains('@') && is_sound && (rest.is_empty() || is_port(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_field_and_authority_are_compared_as_hosts() {
        let named = |authority: &str, host: &str| {
            let request = Request::get(format!("https://{authority}/health")).version(Version::HTTP_2);
            names_one_host(&request.header(HOST, host).body(()).expect("valid"))
        };
        for host in ["localhost", "LocalHost", "localhost:443", "localhost:", "LOCALHOST:0443"] {
            assert!(named("localhost", host) && named(host, "localhost"), "{host}");
        }
        assert!(named("[::1]", "[::1]:443") && named("localhost:8443", "LOCALHOST:8443"));
        for host in ["localhost:80", "localhost:8443", "localhos", "localhost.", "", "localhost:443:443", "[::1]"] {
            assert!(!named("localhost", host), "{host}");
        }
        assert!(!named("[::1]:443", "[::2]:443") && !named("localhost:8443", "localhost"));
    }

    #[test]
    fn host_is_a_name_or_an_address_with_an_optional_port() {
        let sound =
            ["", "x", "x:", "x:80", "a-b.c_d.example", "192.0.2.1:8080", "[::1]", "[::1]:", "[2001:db8::1]:8080"];
        for host in sound {
            assert!(is_host(host.as_bytes()), "{host:?}");
        }
        let wrong = [
            "a b",
            "a b/c@",
            "@",
            "user@x",
            "user:secret@x",
            "x/",
            "x?y",
            "x#y",
            "x:a",
            "x:8a",
            "x:80:80",
            "::1",
            "[::1",
            "::1]",
            "[]",
            "[x]",
            "[::1]x",
            "[::1]80",
            "[::1]:a",
            "x[::1]",
            "x,\u{e9}",
            " x",
            "http://x",
        ];
        for host in wrong {
            assert!(!is_host(host.as_bytes()), "{host:?}");
        }
    }
}
