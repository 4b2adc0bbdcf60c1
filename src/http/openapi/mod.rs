//! The description of the API, and the examples and schemas in it.

pub(super) mod document;
pub(super) mod example;
mod link;
mod refusal;
pub(super) mod schema;
