//! Exports of a store, and data directories restored from them.

pub(super) mod export;
pub(super) mod line;
pub(super) mod restore;
pub(super) mod salvage;
