//! Plain-text responses for clients that cannot read JSON, such as the HTTP client of a dial plan.

use crate::http::Api;
use axum::extract::FromRequestParts;
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use std::convert::Infallible;

const PLAIN: &str = "text/plain";
const JSON: &str = "application/json";

/// Whether the client prefers plain text to JSON.
pub(in crate::http) struct PrefersText(pub(in crate::http) bool);

impl FromRequestParts<Api> for PrefersText {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Infallible> {
        Ok(Self(prefers_text(&parts.headers)))
    }
}

/// Returns whether `Accept` prefers plain text (RFC 9110, section 12.5.1). If it prefers neither, the response is JSON.
fn prefers_text(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT);
    let accept: Vec<_> = lines.iter().filter_map(|line| line.to_str().ok()).collect();
    let accept = accept.join(",");
    quality(&accept, PLAIN) > quality(&accept, JSON)
}

/// Returns a plain-text response.
pub(in crate::http) fn text(text: String) -> Response {
    let mut response = Response::new(text.into());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    varying(response)
}

/// Adds `Vary: accept` to the response.
pub(in crate::http) fn varying(mut response: Response) -> Response {
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    response
}

/// Returns the quality of the media type in thousandths. The most specific matching range decides.
fn quality(accept: &str, wanted: &str) -> u16 {
    let family = wanted.split('/').next().unwrap_or_default();
    let mut best = (0, 0);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let precision = match name.split_once('/') {
            _ if name.eq_ignore_ascii_case(wanted) => 3,
            Some((of, "*")) if of.eq_ignore_ascii_case(family) => 2,
            Some(("*", "*")) => 1,
            _ => continue,
        };
        let given = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        if precision > best.0 {
            best = (precision, given.map_or(1000, thousandths));
        }
    }
    best.1
}

fn thousandths(quality: &str) -> u16 {
    let (whole, part) = quality.trim().split_once('.').unwrap_or((quality.trim(), ""));
    if whole == "1" { 1000 } else { format!("{part:0<3.3}").parse().unwrap_or(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_prefers_text_only_if_accept_ranks_it_above_json() {
        for (accept, plain) in [
            (&["text/plain"][..], true),
            (&["Text/Plain; charset=utf-8"], true),
            (&["text/*"], true),
            (&["text/plain, */*;q=0.1"], true),
            (&["text/plain", "application/json;q=0.5"], true),
            (&["text/plain;q=0.05, application/json;q=0.1"], false),
            (&["application/json, text/plain"], false),
            (&["application/json, text/plain, */*"], false),
            (&["text/html, */*"], false),
            (&["*/*"], false),
            (&["text/plain;q=0"], false),
            (&["text/plainer"], false),
            (&[""], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for accept in accept {
                headers.append(ACCEPT, accept.parse().expect("a header"));
            }
            assert_eq!(prefers_text(&headers), plain, "{accept:?}");
        }
    }
}
