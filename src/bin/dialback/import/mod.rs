//! `dialback import`.

mod attempts;
mod civil;
mod compression;
mod elements;
mod error;
mod format;
mod json;
mod layout;
mod lines;
mod map;
mod moment;
mod options;
mod phone;
mod pipeline;
mod quoting;
mod reading;
mod record;
mod records;
mod rejection;
mod report;
mod roster;
mod run;
mod seen;
mod source;
mod spreadsheet;
mod status;
mod summary;
mod table;
mod tenant;
mod window;
mod words;
mod zone;

pub(crate) use error::ImportError;
pub(crate) use options::Options;
pub(crate) use run::run;
pub(crate) use source::Source;
