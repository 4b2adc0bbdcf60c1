//! What stands in a path: identities.

use super::{Api, fresh};
use crate::id::{AgentId, NumberId, TokenId};
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use std::convert::Infallible;
use uuid::Uuid;

/// The one parameter of the path, read. What cannot be an identity is read as one that nobody has: from there on it is answered
/// like an unknown one, whatever else is wrong with the request.
pub(super) struct Named<T>(pub(super) T);

/// Something that a path names.
pub(super) trait InPath: From<Uuid> + Send {
    fn parse(text: &str) -> Option<Self>;
}

impl<T: InPath> FromRequestParts<Api> for Named<T> {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Infallible> {
        let text = Path::<String>::from_request_parts(parts, api).await;
        let named = text.ok().and_then(|Path(text)| T::parse(&text));
        Ok(Self(named.unwrap_or_else(|| fresh::uuid().into())))
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
