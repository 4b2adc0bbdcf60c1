//! Finds the column of each field.

pub(super) mod format;
pub(super) mod layout;
pub(super) mod map;
