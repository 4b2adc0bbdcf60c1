//! Reads requests: tokens, bodies, parameters and conditional headers.

pub(super) mod accept;
pub(super) mod auth;
pub(super) mod body;
pub(super) mod collected;
pub(super) mod cursor;
pub(super) mod etag;
pub(super) mod form;
pub(super) mod idempotency;
pub(super) mod json;
pub(super) mod last_used;
pub(super) mod page;
pub(super) mod path;
pub(super) mod read;
pub(super) mod token;
pub(super) mod unknown;
pub(super) mod unread_body;
