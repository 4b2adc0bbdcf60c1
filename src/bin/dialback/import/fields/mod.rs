//! Reads the fields of a record: numbers, times and statuses.

pub(super) mod civil;
pub(super) mod moment;
pub(super) mod name;
pub(super) mod phone;
pub(super) mod reading;
pub(super) mod spreadsheet;
pub(super) mod status;
pub(super) mod words;
pub(super) mod yes_no;
pub(super) mod zone;
