//! Versions of what can be replaced: `ETag`, `If-Match`, `If-None-Match` (RFC 9110, sections 8.8 and 13).
//!
//! A tag is the revision of what it stands for, which counts the configurations of its own environment: it is the same after a
//! restart, never comes back for something else, and tells nothing of other environments.

use super::Api;
use super::error::Refusal;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use std::convert::Infallible;
use utoipa::IntoParams;

/// How a client says it. An operation that takes these answers with tags, and refuses what is stale: `openapi/refusal.rs`.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only described: headers are read by `Conditions`")]
pub(super) struct Versions {
    /// Go on only where it is one of these versions.
    #[param(rename = "If-Match")]
    if_match: Option<String>,
    /// Go on only where it is none of these versions.
    #[param(rename = "If-None-Match")]
    if_none_match: Option<String>,
}

/// What the client says about the version that it knows.
pub(super) struct Conditions {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

/// What is between the quotes of each tag that was named.
enum Tags {
    /// `*`
    Any,
    /// What cannot be a tag is left out: it is no version of anything.
    These(Vec<Tag>),
}

struct Tag {
    is_weak: bool,
    opaque: String,
}

impl Conditions {
    /// Whether a change may go on, given the revision of what it would replace; `None` where there is nothing yet. To be asked
    /// where changes are put in order, so that none comes between the look and the change.
    pub(super) fn allow(&self, current: Option<u64>) -> Result<(), Refusal> {
        let matches = self.if_match.as_ref().is_none_or(|tags| tags.name(current, false));
        let differs = self.if_none_match.as_ref().is_none_or(|tags| !tags.name(current, true));
        if matches && differs { Ok(()) } else { Err(Refusal::stale()) }
    }

    /// The answer to somebody who wants to see something, with its tag; or that it is still what they have seen.
    pub(super) fn show(&self, revision: u64, show: impl FnOnce() -> Response) -> Result<Response, Refusal> {
        Ok(match self.known(revision)? {
            Some(known) => known,
            None => tagged(revision, show()),
        })
    }

    /// The answer to a client that has seen this version; `None` for one that has not.
    pub(super) fn known(&self, revision: u64) -> Result<Option<Response>, Refusal> {
        if !self.if_match.as_ref().is_none_or(|tags| tags.name(Some(revision), false)) {
            return Err(Refusal::stale());
        }
        let is_known = self.if_none_match.as_ref().is_some_and(|tags| tags.name(Some(revision), true));
        Ok(is_known.then(|| {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            tagged(revision, response)
        }))
    }
}

/// The answer with the tag of what it shows.
pub(super) fn tagged(revision: u64, mut response: Response) -> Response {
    let tag = HeaderValue::try_from(format!("\"{revision}\"")).expect("digits and quotes");
    response.headers_mut().insert(ETAG, tag);
    response
}

impl Tags {
    fn read(headers: &HeaderMap, name: HeaderName) -> Option<Self> {
        let lines = headers.get_all(name);
        let mut lines = lines.iter().map(HeaderValue::as_bytes).peekable();
        lines.peek()?;
        let text = String::from_utf8_lossy(&lines.collect::<Vec<_>>().join(&b","[..])).into_owned();
        Some(if text.trim() == "*" { Self::Any } else { Self::These(tags(&text)) })
    }

    fn name(&self, current: Option<u64>, weakly: bool) -> bool {
        let Some(current) = current.map(|revision| revision.to_string()) else { return false };
        match self {
            Self::Any => true,
            Self::These(tags) => tags.iter().any(|tag| tag.opaque == current && (weakly || !tag.is_weak)),
        }
    }
}

/// The tags of a list. A comma within quotes belongs to the tag.
fn tags(text: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('"') {
        let before = rest[..open].rsplit(',').next().unwrap_or_default().trim();
        let Some((opaque, behind)) = rest[open + 1..].split_once('"') else { break };
        if before.is_empty() || before == "W/" {
            tags.push(Tag { is_weak: before == "W/", opaque: opaque.to_owned() });
        }
        rest = behind;
    }
    tags
}

impl FromRequestParts<Api> for Conditions {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, Infallible> {
        let read = |name| Tags::read(&parts.headers, name);
        Ok(Self { if_match: read(IF_MATCH), if_none_match: read(IF_NONE_MATCH) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(name: &HeaderName, values: &[&str]) -> Conditions {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name, value.parse().expect("a header"));
        }
        let read = |name| Tags::read(&headers, name);
        Conditions { if_match: read(IF_MATCH), if_none_match: read(IF_NONE_MATCH) }
    }

    #[test]
    fn a_change_goes_on_where_one_of_the_tags_is_the_current_one() {
        for (values, current, goes_on) in [
            (&[][..], Some(7), true),
            (&[], None, true),
            (&["*"], Some(7), true),
            (&["*"], None, false),
            (&["\"7\""], Some(7), true),
            (&["\"7\""], Some(17), false),
            (&["\"7\""], None, false),
            (&["\"1\", \"7\""], Some(7), true),
            (&["\"1\"", " \"7\" "], Some(7), true),
            (&["\"a,b\",\"7\""], Some(7), true),
            (&["W/\"7\""], Some(7), false),
            (&["7"], Some(7), false),
            (&["x\"7\""], Some(7), false),
            (&["\"7"], Some(7), false),
            (&[""], Some(7), false),
        ] {
            assert_eq!(conditions(&IF_MATCH, values).allow(current).is_ok(), goes_on, "{values:?} {current:?}");
        }
        for (values, current, goes_on) in [
            (&["*"][..], None, true),
            (&["*"], Some(7), false),
            (&["\"7\""], Some(7), false),
            (&["W/\"7\""], Some(7), false),
            (&["\"6\""], Some(7), true),
        ] {
            assert_eq!(conditions(&IF_NONE_MATCH, values).allow(current).is_ok(), goes_on, "{values:?} {current:?}");
        }
    }
}
