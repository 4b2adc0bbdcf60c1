//! `dialback import`.

mod attempts;
mod columns;
mod destination;
mod error;
mod fields;
mod file;
mod options;
mod report;
mod run;

pub(crate) use file::record::values_of_line;
pub(crate) use file::source::Source;
pub(crate) use options::Options;
pub(crate) use run::run;
