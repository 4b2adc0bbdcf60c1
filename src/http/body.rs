//! From a request's body to a form.

use super::Api;
use super::error::Refusal;
use super::form::Form;
use axum::body::{Body, HttpBody, to_bytes};
use axum::extract::{FromRequest, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;

impl FromRequest<Api> for Form {
    type Rejection = Refusal;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Refusal> {
        let is_json = media_type(request.headers()).is_some_and(|found| {
            found == "application/json" || (found.starts_with("application/") && found.ends_with("+json"))
        });
        if !is_json {
            return Err(Refusal::media_type("The body must be application/json"));
        }
        let body = read(request.into_body(), api.limits.body_bytes).await?;
        // What was wrong where would quote the body, which may hold a phone number.
        let value = serde_json::from_slice(&body).map_err(|_| Refusal::malformed_json("The body is not valid JSON"))?;
        Self::new(value)
    }
}

async fn read(body: Body, limit: usize) -> Result<axum::body::Bytes, Refusal> {
    if body.size_hint().lower() > limit as u64 {
        return Err(Refusal::too_large(limit));
    }
    to_bytes(body, limit).await.map_err(|error| {
        let source = std::error::Error::source(&error);
        let too_large = source.is_some_and(|source| source.to_string().contains("length limit exceeded"));
        if too_large { Refusal::too_large(limit) } else { Refusal::cut_short() }
    })
}

/// The media type without its parameters, in lower case.
pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    let essence = text.split(';').next().unwrap_or_default();
    Some(essence.trim().to_ascii_lowercase())
}
