//! Fields and query parameters that an endpoint does not know: they are ignored, and the answer names them, unless the client
//! or the operator wants them refused.

use crate::http::response::header::IGNORED;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use std::sync::{Arc, Mutex, PoisonError};

/// The request header by which a client has unknown fields refused.
const STRICT: HeaderName = HeaderName::from_static("x-dialback-strict");

/// The maximum number of names in a response.
const MAX_NAMES: usize = 16;

/// Stands for names that are not repeated, because they may contain a phone number, and for those beyond the maximum.
const OTHERS: &str = "*";

/// What happens to unknown fields.
#[derive(Clone, Default)]
pub(in crate::http) enum Unknown {
    #[default]
    Refused,
    /// They are ignored. The names so far.
    Ignored(Arc<Mutex<Vec<String>>>),
    /// The client's header has another value than yes or no, so the request is refused.
    Unclear,
}

impl Unknown {
    /// Reads what a request wants.
    pub(in crate::http) fn wanted(headers: &HeaderMap, is_strict: bool) -> Self {
        let mut is_strict = is_strict;
        for value in headers.get_all(STRICT) {
            match value.as_bytes() {
                b"true" | b"1" => is_strict = true,
                b"false" | b"0" => {}
                _ => return Self::Unclear,
            }
        }
        if is_strict { Self::Refused } else { Self::Ignored(Arc::default()) }
    }

    /// Returns the name of the client's header and what is wrong with it, if it is.
    pub(in crate::http) fn error(&self) -> Option<(&'static str, &'static str)> {
        matches!(self, Self::Unclear).then_some(("X-Dialback-Strict", "must be true or false"))
    }

    /// Returns the one that the layer around all routes added to the request.
    pub(in crate::http) fn of(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or_default()
    }

    /// Notes a field that is ignored. Returns whether it is.
    pub(in crate::http) fn ignores(&self, within: &str, field: &str) -> bool {
        let Self::Ignored(names) = self else { return false };
        let mut names = names.lock().unwrap_or_else(PoisonError::into_inner);
        let has_room = names.len() < MAX_NAMES;
        let name = if has_room && is_name(field) { format!("{within}{field}") } else { OTHERS.to_owned() };
        if !names.contains(&name) {
            names.push(name);
        }
        true
    }

    /// Names the ignored fields in the response.
    pub(in crate::http) fn name_in(&self, response: &mut Response) {
        let Self::Ignored(names) = self else { return };
        let names = names.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = (!names.is_empty()).then(|| HeaderValue::from_str(&names.join(", ")).ok()).flatten() {
            response.headers_mut().insert(IGNORED, value);
        }
    }
}

/// Returns whether the name of an unknown field can be repeated: one with digits may contain a phone number.
pub(in crate::http) fn is_name(field: &str) -> bool {
    (1..=64).contains(&field.len()) && field.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_')
}
