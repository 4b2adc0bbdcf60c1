//! Writes responses: envelopes, refusals, entities, lists and explanations.

pub(super) mod actor;
pub(super) mod change;
pub(super) mod document;
pub(super) mod error;
pub(super) mod event;
pub(super) mod explain;
pub(super) mod header;
pub(super) mod known_call;
pub(super) mod list;
pub(super) mod narrative;
pub(super) mod recorded;
pub(super) mod render;
pub(super) mod reply;
pub(super) mod shown;
pub(super) mod time_text;
