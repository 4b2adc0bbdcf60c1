//! Ids in paths.

use crate::http::{Api, new_id};
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use std::convert::Infallible;
use std::str::FromStr;
use uuid::Uuid;

/// The id in the path. A malformed id becomes a new random id, which no entity has. The request is then answered like one with
/// an unknown id, whatever other errors it has.
pub(in crate::http) struct Named<T>(pub(in crate::http) T);

impl<T: FromStr + From<Uuid> + Send> FromRequestParts<Api> for Named<T> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        let text = Path::<String>::from_request_parts(parts, api).await;
        let named = text.ok().and_then(|Path(text)| text.parse().ok());
        Ok(Self(named.unwrap_or_else(|| new_id::uuid().into())))
    }
}
