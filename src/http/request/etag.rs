//! Versions of entities: `ETag`, `If-Match` and `If-None-Match` (RFC 9110, sections 8.8 and 13).
//!
//! The tag of an entity is its revision, a count of the configurations of its own environment. A tag survives a restart, never
//! names another version, and reveals nothing about other environments.

use crate::http::Api;
use crate::http::response::error::Refusal;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::header::{ETAG, HeaderName, IF_MATCH, IF_NONE_MATCH};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use std::convert::Infallible;
use utoipa::IntoParams;

/// The headers by which a client names versions. `openapi/refusal.rs` documents the responses of the operations that use them.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only described: headers are read by `Conditions`")]
pub(in crate::http) struct Versions {
    /// Process the request only if the current version is one of these.
    #[param(rename = "If-Match")]
    if_match: Option<String>,
    /// Process the request only if the current version is none of these.
    #[param(rename = "If-None-Match")]
    if_none_match: Option<String>,
}

/// The versions in the headers of a request.
pub(in crate::http) struct Conditions {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

/// The tags in a header, without their quotes.
enum Tags {
    /// `*`: any version.
    Any,
    /// The valid tags. Invalid tags are left out, because they match no version.
    These(Vec<Tag>),
}

struct Tag {
    is_weak: bool,
    opaque: String,
}

impl Conditions {
    /// Returns whether a change may proceed, given the current revision of the entity; `None` if it does not exist. Call this
    /// where changes are ordered, so that no other change comes between the check and the change.
    ///
    /// # Errors
    /// `PRECONDITION_FAILED` if the current version does not satisfy the headers.
    pub(in crate::http) fn allow(&self, current: Option<u64>) -> Result<(), Refusal> {
        let matches = self.if_match.as_ref().is_none_or(|tags| tags.name(current, false));
        let differs = self.if_none_match.as_ref().is_none_or(|tags| !tags.name(current, true));
        if matches && differs { Ok(()) } else { Err(Refusal::stale()) }
    }

    /// Returns the response of `show` with its tag, or 304 if the client already has this version.
    pub(in crate::http) fn show(&self, revision: u64, show: impl FnOnce() -> Response) -> Result<Response, Refusal> {
        Ok(match self.known(revision)? {
            Some(known) => known,
            None => tagged(revision, show()),
        })
    }

    /// Returns a 304 response if the client has this version, else `None`.
    pub(in crate::http) fn known(&self, revision: u64) -> Result<Option<Response>, Refusal> {
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

/// Adds the `ETag` of this revision to the response.
pub(in crate::http) fn tagged(revision: u64, mut response: Response) -> Response {
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

/// Parses a list of tags. A comma between quotes belongs to the tag.
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
    fn change_is_allowed_only_if_the_current_tag_satisfies_the_conditions() {
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
