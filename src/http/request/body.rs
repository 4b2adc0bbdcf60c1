//! Reads a request body and parses it as a form.

use super::collected::Collected;
use super::form::Form;
use super::idempotency;
use super::json::{context_of, parse_body};
use super::unknown::Unknown;
use crate::http::Api;
use crate::http::response::error::Refusal;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HeaderValue};
use std::error::Error;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;

impl FromRequest<Api> for Form {
    type Rejection = Refusal;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Refusal> {
        let is_json = media_type(request.headers()).is_some_and(|found| {
            found == "application/json" || (found.starts_with("application/") && found.ends_with("+json"))
        });
        if !is_json {
            return Err(Refusal::media_type("The body must be application/json"));
        }
        refuse_coding(request.headers())?;
        let (mut head, body) = request.into_parts();
        let body = match head.extensions.remove() {
            Some(Whole(body)) => body,
            None => read(body, &head.headers, api).await?,
        };
        let (value, room) = parse_body(&body, &head.headers, api)?;
        let (unknown, context) = (Unknown::of(&head.extensions), context_of(&body, &value));
        Ok(Self::new(value)?
            .with_context(context)
            .with_unknown(unknown)
            .with_digest(idempotency::digest(&head.headers, &body))
            .in_room(room))
    }
}

/// The body of a request that was read before its handler runs. It is in the request's extensions.
#[derive(Clone)]
pub(in crate::http) struct Whole(pub(in crate::http) Bytes);

/// How many times the size limit is read from a body that is too long. If the connection closes before the client has sent
/// its whole body, the client does not see the response.
pub(in crate::http) const PATIENCE: usize = 8;

/// Reads the whole body of a request with these headers.
///
/// # Errors
/// If the body is too long or is cut short, or if there is no memory for it.
pub(in crate::http) async fn read(mut body: Body, headers: &HeaderMap, api: &Api) -> Result<Bytes, Refusal> {
    let limit = api.limits.body_bytes;
    let declared = body.size_hint();
    // A body that declares too great a length is rejected before any of it is stored.
    if declared.lower() > limit as u64 {
        // Reading on would ask a client that waits for `100 Continue` to send its body.
        let is_on_request = headers.contains_key(EXPECT);
        return Err(if is_on_request { Refusal::too_large(limit) } else { refuse(body, limit).await });
    }
    let most = declared.upper().and_then(|bytes| usize::try_from(bytes).ok()).map_or(limit, |bytes| bytes.min(limit));
    let mut read = Collected::new(api, headers, most);
    while let Some(chunk) = next_chunk(&mut body).await {
        let chunk = chunk?;
        if read.len() + chunk.len() > limit {
            return Err(refuse(body, limit).await);
        }
        read.push(&chunk)?;
    }
    Ok(read.finish())
}

/// Reads the rest of the body, within limits, so that the client sees the response.
async fn refuse(mut body: Body, limit: usize) -> Refusal {
    let mut left = limit.saturating_mul(PATIENCE);
    while let Some(Ok(chunk)) = next_chunk(&mut body).await {
        left = left.saturating_sub(chunk.len());
        if left == 0 {
            break;
        }
    }
    Refusal::too_large(limit)
}

/// Returns the next data of a body, or `None` at its end.
pub(in crate::http) async fn next_chunk(body: &mut Body) -> Option<Result<Bytes, Refusal>> {
    loop {
        match poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await? {
            Err(error) if is_malformed(&error) => return Some(Err(Refusal::broken_framing())),
            Err(_) => return Some(Err(Refusal::cut_short())),
            // Trailers are not data.
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Some(Ok(data));
                }
            }
        }
    }
}

/// Returns whether the client sent invalid chunks. The HTTP parser reports them as errors of these kinds.
fn is_malformed(error: &axum::Error) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput);
        }
        next = error.source();
    }
    false
}

/// Rejects a compressed body.
///
/// # Errors
/// `UNSUPPORTED_MEDIA_TYPE` if `Content-Encoding` names a coding.
pub(in crate::http) fn refuse_coding(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_identity = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity");
    if headers.get_all(CONTENT_ENCODING).iter().all(is_identity) { Ok(()) } else { Err(Refusal::compressed()) }
}

/// Returns the media type without its parameters, in lower case.
pub(in crate::http) fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = text.split(';').next().unwrap_or_default();
    Some(essence.trim().to_ascii_lowercase())
}
