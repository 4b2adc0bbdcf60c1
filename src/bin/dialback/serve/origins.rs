//! Origins: the servers whose pages a browser lets read answers.

use axum::http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, VARY};
use axum::http::{HeaderName, HeaderValue};
use std::sync::Arc;

/// The origins whose pages may use the API.
#[derive(Clone, Default)]
pub(crate) struct Origins(Arc<[HeaderValue]>);

impl Origins {
    pub(super) fn new(allowed: Vec<HeaderValue>) -> Self {
        Self(allowed.into())
    }

    /// Returns the header fields by which the page of this origin may read an answer. A request with several origins counts
    /// as one without.
    pub(super) fn fields<'a>(
        &self,
        mut origins: impl Iterator<Item = &'a [u8]>,
    ) -> Option<[(HeaderName, HeaderValue); 2]> {
        let (Some(origin), None) = (origins.next(), origins.next()) else { return None };
        let allowed = self.0.iter().find(|allowed| allowed.as_bytes() == origin)?;
        Some([(ACCESS_CONTROL_ALLOW_ORIGIN, allowed.clone()), (VARY, HeaderValue::from_static("origin"))])
    }
}
