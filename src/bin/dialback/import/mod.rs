//! `dialback import`.

mod daemon;
mod destination;
mod directory;
mod error;
mod format;
mod layout;
mod lines;
mod map;
mod moment;
mod moments;
mod options;
mod pipeline;
mod place;
mod preview;
mod reading;
mod reasons;
mod record;
mod reject_file;
mod rejection;
mod report;
mod roster;
mod run;
mod source;
mod status;
mod summary;
mod tenant;
mod upload;

pub(crate) use options::Options;
pub(crate) use run::run;
pub(crate) use source::Source;
