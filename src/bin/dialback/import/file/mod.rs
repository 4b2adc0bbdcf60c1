//! Reads the file: its kind, its records and their values.

pub(super) mod compression;
pub(super) mod doubt;
pub(super) mod elements;
pub(super) mod json;
pub(super) mod lines;
pub(super) mod quotation;
pub(super) mod quoting;
pub(super) mod record;
pub(super) mod records;
pub(super) mod source;
pub(super) mod table;
pub(super) mod window;
