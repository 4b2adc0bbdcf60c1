//! The store in the embedded storage engine `fjall`.

pub(super) mod calls;
pub(super) mod commits;
mod erasing;
pub(super) mod excerpts;
pub(super) mod expiry;
pub(super) mod feed;
mod feeds;
pub(super) mod fleet;
pub(super) mod keyspaces;
pub(super) mod migrate;
pub(super) mod purge;
pub(super) mod records;
mod removals;
pub(super) mod rotation;
pub(super) mod scan;
pub(super) mod shared;
mod shelves;
pub(super) mod store;
pub(super) mod webhooks;
