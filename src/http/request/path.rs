//! Ids in paths.

use crate::http::{Api, new_id};
use crate::id::{AgentId, NumberId, TokenId};
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use std::convert::Infallible;
use uuid::Uuid;

/// The id in the path. A malformed id becomes a new random id, which no entity has. The request is then answered like one with
/// an unknown id, whatever other errors it has.
pub(in crate::http) struct Named<T>(pub(in crate::http) T);

/// A type of id that a path may contain.
pub(in crate::http) trait InPath: From<Uuid> + Send {
    fn parse(text: &str) -> Option<Self>;
}

impl<T: InPath> FromRequestParts<Api> for Named<T> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        let text = Path::<String>::from_request_parts(parts, api).await;
        let named = text.ok().and_then(|Path(text)| T::parse(&text));
        Ok(Self(named.unwrap_or_else(|| new_id::uuid().into())))
    }
}

macro_rules! identity_in_path {
    ($($id:ty)*) => {$(
        impl InPath for $id {
            fn parse(text: &str) -> Option<Self> {
                <$id>::parse(text)
            }
        }
    )*};
}

identity_in_path!(AgentId NumberId TokenId);
