//! What stands in a path: identities. A malformed one is answered like an unknown one.

use super::Api;
use super::error::Refusal;
use crate::id::{AgentId, NumberId, TokenId};
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;

/// The one parameter of the path, read.
pub(super) struct Named<T>(pub(super) T);

/// Something that a path names.
pub(super) trait InPath: Sized + Send {
    fn parse(text: &str) -> Option<Self>;
    fn not_found() -> Refusal;
}

impl<T: InPath> FromRequestParts<Api> for Named<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Refusal> {
        let text = Path::<String>::from_request_parts(parts, api).await;
        text.ok().and_then(|Path(text)| T::parse(&text)).map(Self).ok_or_else(T::not_found)
    }
}

macro_rules! identity_in_path {
    ($id:ty, $not_found:ident) => {
        impl InPath for $id {
            fn parse(text: &str) -> Option<Self> {
                <$id>::parse(text)
            }

            fn not_found() -> Refusal {
                Refusal::$not_found()
            }
        }
    };
}

identity_in_path!(AgentId, agent_not_found);
identity_in_path!(NumberId, number_not_found);
identity_in_path!(TokenId, token_not_found);
