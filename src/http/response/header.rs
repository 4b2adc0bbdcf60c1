//! The header fields of responses: those that only this API has, and those that a page of another origin may read.

use axum::http::header::{ALLOW, ETAG, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};

/// The id that the log gives to the request.
pub(in crate::http) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The names of the fields that were ignored.
pub(in crate::http) const IGNORED: HeaderName = HeaderName::from_static("x-dialback-ignored");
/// The response is the stored one of an earlier request with this idempotency key.
pub(in crate::http) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The response was rebuilt, and shows a newer version of the entity than the first response did.
pub(in crate::http) const REBUILT: HeaderName = HeaderName::from_static("idempotency-rebuilt");
/// The number of requests that the token may send in a second.
pub(in crate::http) const RATE_LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
/// The number of requests that the token may still send now.
pub(in crate::http) const RATE_REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
/// When the next request is allowed, in seconds since 1970.
pub(in crate::http) const RATE_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The header fields of responses with information for the client, for `Access-Control-Expose-Headers`. Browsers show a page
/// of another origin only these, and the few that every page may read, such as `Content-Type`.
pub const EXPOSED: [HeaderName; 11] = [
    ALLOW,
    ETAG,
    RETRY_AFTER,
    WWW_AUTHENTICATE,
    REQUEST_ID,
    IGNORED,
    REPLAYED,
    REBUILT,
    RATE_LIMIT,
    RATE_REMAINING,
    RATE_RESET,
];
