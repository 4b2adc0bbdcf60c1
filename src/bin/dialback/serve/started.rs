//! How the daemon was started, and how it reads its options again.

use super::options::ServeOptions;
use crate::failure::Failure;
use crate::hangup::Hangups;
use crate::settings::Settings;
use std::ffi::OsString;

/// How the daemon was started.
pub(crate) struct Started {
    /// The command line, with the name of the program.
    pub(crate) arguments: Vec<OsString>,
    pub(crate) settings: Settings,
    /// Whether answers are JSON.
    pub(crate) json: bool,
    /// Reads the command line again, with the configuration file that it names.
    pub(crate) reread: fn(&[OsString]) -> Result<Reread, Failure>,
    pub(crate) hangups: Hangups,
}

/// The options as they are now.
pub(crate) struct Reread {
    pub(crate) options: Box<ServeOptions>,
    pub(crate) settings: Settings,
    /// The log filter, if one is asked for.
    pub(crate) log: Option<String>,
}
