//! Reads a request body and parses it as a form.

use super::form::Form;
use super::idempotency;
use crate::http::Api;
use crate::http::response::error::Refusal;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use std::future::poll_fn;
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
        let (head, body) = request.into_parts();
        let body = read(body, api.limits.body_bytes).await?;
        // The parser's error would quote the body, which may contain a phone number.
        let value = serde_json::from_slice(&body).map_err(|_| Refusal::malformed_json("The body is not valid JSON"))?;
        Ok(Self::new(value)?.with_digest(idempotency::digest(&head.headers, &body)))
    }
}

/// How many times the size limit is read from a body that is too long. If the connection closes before the client has sent
/// its whole body, the client does not see the response.
pub(in crate::http) const PATIENCE: usize = 8;

/// Reads the whole body.
///
/// # Errors
/// If the body is longer than `limit` bytes, or is cut short.
pub(in crate::http) async fn read(mut body: Body, limit: usize) -> Result<Vec<u8>, Refusal> {
    // A body that declares too great a length is rejected before any of it is stored.
    if body.size_hint().lower() > limit as u64 {
        return Err(refuse(body, limit).await);
    }
    let mut read = Vec::new();
    while let Some(chunk) = next_chunk(&mut body).await {
        let chunk = chunk?;
        if read.len() + chunk.len() > limit {
            return Err(refuse(body, limit).await);
        }
        read.extend_from_slice(&chunk);
    }
    Ok(read)
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

/// Returns the media type without its parameters, in lower case.
pub(in crate::http) fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = text.split(';').next().unwrap_or_default();
    Some(essence.trim().to_ascii_lowercase())
}
